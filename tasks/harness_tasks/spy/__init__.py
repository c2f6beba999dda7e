"""Daily prices of one instrument: direction, touch and threshold events on them, and walk-forward folds."""
