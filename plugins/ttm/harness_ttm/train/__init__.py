"""Pre-training of the season-fold model on made series: recipe, windows, loop. Needs torch."""
