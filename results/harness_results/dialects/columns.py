"""What the columns say that suites in these dialects have of their own on a leaderboard. Importing this module costs no numpy."""

from __future__ import annotations

from harness.types import Column

__all__ = ["CGM", "MONASH", "SPY"]

CGM = {
    "RMSE": Column("root mean squared error of the median, all steps, of each patient; then the mean over patients", "mg/dL", "min"),
    "RMSE low": Column("lower end of the 95 % interval of RMSE over patients", "mg/dL"),
    "RMSE high": Column("upper end of the 95 % interval of RMSE over patients", "mg/dL"),
    "MAE": Column("mean absolute error of the median, all steps; mean over patients", "mg/dL", "min"),
    "MARD": Column("mean of |error| / reference, all steps; mean over patients", "%", "min"),
    "Clarke[ega] A": Column("forecasts of the last step in zone A of Clarke's grid, edges as in ega; mean over patients", "%", "max"),
    "TIR error": Column(
        "|share of forecasts − share of references| in 70–180 mg/dL, last step; mean over patients", "percent points", "min"
    ),
    "hypo AUPRC": Column("area under precision and recall of glucose below 70 mg/dL, last step; a guess has the base rate", "", "max"),
    "hypo base rate": Column("share of references below 70 mg/dL, last step: the AUPRC of a guess"),
    "night AUROC": Column("area under the ROC curve of nights with low glucose, on tasks of nights alone; a guess has 0.5", "", "max"),
    "coverage[80]": Column("share of references inside the central 80 % interval, all steps; 0.8 is what it promises"),
}

SPY = {
    "AUC": Column("area under the ROC curve over all pairs of windows; a guess has 0.5", "", "max"),
    "AUC low": Column("lower end of the 95 % interval of AUC, by block bootstrap"),
    "AUC high": Column("upper end of the 95 % interval of AUC, by block bootstrap"),
    "Brier skill": Column("1 − Brier / Brier of the base rate of what was learnt from; the base rate has 0", "", "max"),
    "balanced accuracy": Column("mean of two shares: of events that are called, of others that are not; a guess has 0.5", "", "max"),
    "MCC": Column("Matthews correlation of call and outcome; a guess has 0", "", "max"),
    "Sharpe": Column(
        "of a year, in the market where the event is more probable than not, 2 bp a side; events of the close alone", "", "max"
    ),
    "collapsed": Column("share of tasks on which the model says one probability whatever it is shown", "", "min"),
}

MONASH = {
    "mean MASE": Column("MASE of each series, then the mean over series", "", "min"),
    "mean sMAPE": Column("sMAPE of each series, then the mean over series", "share, 0 to 2", "min"),
    "median MASE": Column("MASE of each series, then the median over series", "", "min"),
    "mean MAE": Column("mean absolute error of each series, then the mean over series", "that of the series", "min"),
    "mean RMSE": Column("root mean squared error of each series, then the mean over series", "that of the series", "min"),
}
