"""Statistics of forecasts of an event, as functions of arrays: no store, no task, no plugin is needed to use them.

`discrimination` ranks, `calibration` takes probabilities at their word, `decisions` are yes or no, `trading` is money, `verdict` says in a
sentence what of it is more than chance. Axes: N windows in order of time, M models, F folds, B resamples.

Everywhere: `probability` float [N]; `outcome` [N] of 0 and 1, NaN = not counted; a NaN among probabilities is an error.
"""
