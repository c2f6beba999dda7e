"""What is known of the built-in dialects without loading them. Importing this module costs no numpy.

A dialect's definitions are in the module of its own that `BUILT_IN` names; what stands here is shown by `harness ls dialects`.
"""

from __future__ import annotations

from harness.metrics import METRICS
from harness.types import DialectInfo
from harness_results.dialects import columns

__all__ = ["BUILT_IN", "CGM", "FEV", "GIFT_EVAL", "MONASH", "SPY", "TIME", "TSFM_POINT"]

_OFFICIAL = tuple(metric.name for metric in METRICS[:11])
_LEADING = ("MASE[0.5]", "mean_weighted_sum_quantile_loss")

GIFT_EVAL = DialectInfo(
    "gift-eval",
    version="1",
    summary="ratios of sums over all points of a task; the stored scores of a run",
    source="gluonts ev/metrics.py as called by GIFT-Eval",
    metrics=(*_LEADING, *(name for name in _OFFICIAL if name not in _LEADING)),
    compared_by=_LEADING,
)

FEV = DialectInfo(
    "fev",
    version="0.10",
    summary="items pooled per cutoff and variate, then means; skill score and win rate",
    source="fev 0.10 metrics.py, analysis.py; fev-bench tasks.yaml",
    metrics=(
        *("SQL", "MASE", "WQL[epsilon=1]", "WAPE[epsilon=1]"),  # those of fev-bench, the main one first
        *("WQL", "WAPE", "MQL", "MAE", "MSE", "RMSE", "RMSSE", "MAPE", "SMAPE", "RMSLE", "MAEB", "WAPEB"),
    ),
    compared_by=("MASE", "SQL"),
)

MONASH = DialectInfo(
    "monash",
    version="2022-11",
    summary="per series, then mean and median over series; the archive's own season lengths",
    source="rakshitha123/TSForecasting utils/error_calculator.R",
    metrics=(
        *("mean MASE", "mean MAE", "mean sMAPE", "mean msMAPE", "mean RMSE"),
        *(f"median {name}" for name in ("MASE", "MAE", "sMAPE", "msMAPE", "RMSE")),
        *("MASE series", "series"),
    ),
    compared_by=("mean MASE", "mean MAE"),  # what the archive's published tables have
    columns=("mean MASE", "mean sMAPE", "median MASE"),
    about=columns.MONASH,
)

TIME = DialectInfo(
    "time",
    version="2026-06",
    summary="each window counts the same; NaN windows left out",
    source="zqiao11/TIME src/timebench/evaluation/metrics.py",
    metrics=("MASE", "CRPS", "MAE", "MSE", "RMSE", "MAPE", "sMAPE", "ND"),
    compared_by=("MASE", "CRPS"),
)

_POINTS = ("RMSE", "MAE", "MAPE", "MARD", "gRMSE", "bias")
_GRIDS = ("Clarke[ega]", "Clarke[error-grids]", "Clarke[codina]", "Parkes[1]", "Parkes[2]")
_EVENTS = ("AUROC", "AUPRC", "base rate", "sensitivity", "specificity", "Brier")
_ALARMS = ("detected", "lead time", "false alarms")

CGM = DialectInfo(
    "cgm",
    version="2",
    summary="glucose: per patient, then the mean over patients; error grids, time in range, low and high glucose, nights",
    source="Clarke 1987, Parkes 2000, Del Favero 2012; see docs/cgm.md",
    metrics=(
        *("RMSE", "WQL", "MAE", "MARD", "MAPE", "gRMSE", "bias", "RMSE low", "RMSE high", "RMSE sd", "RMSE pooled"),
        *(f"{name} at H" for name in (*_POINTS, "RMSE pooled")),
        *(f"{grid} {zone}" for grid in _GRIDS for zone in "ABCDE"),
        *("TIR error", "TBR error", "TAR error"),
        *(f"{event} {name}" for event in ("hypo", "severe", "hyper") for name in (*_EVENTS, *_ALARMS)),
        *("pinball", "coverage[50]", "sharpness[50]", "coverage[80]", "sharpness[80]", "MACE"),
        *(f"{night} {name}" for night in ("night", "night hyper") for name in (*_EVENTS[:5], "lead time", "false alarms")),
        *(f"night<3.9 {name}" for name in _EVENTS[:3]),
        *("masked", "patients", "points"),
    ),
    compared_by=("RMSE", "WQL"),
    columns=("RMSE", "MAE", "MARD", "Clarke[ega] A", "TIR error", "hypo AUPRC", "hypo base rate", "night AUROC", "coverage[80]"),
    about=columns.CGM,
    plots={"error-grid": "forecasts of the last step in an error grid, with the share of each zone (--grid)"},
)

SPY = DialectInfo(
    "spy",
    version="1",
    summary="probabilities of events on daily prices: discrimination, calibration, decisions, trading, and a verdict against the base rate",
    source="DeLong 1988, Pesaran and Timmermann 1992, Diebold and Mariano 1995; see docs/spy.md",
    metrics=(
        *("Brier", "log-loss", "Brier skill", "AUC", "AUC low", "AUC high", "AUC DeLong low", "AUC DeLong high", "AUC within folds"),
        *("AUPRC", "base rate", "trained base rate", "ECE", "precision", "recall", "F1", "balanced accuracy", "MCC"),
        *("balanced accuracy frozen", "MCC frozen", "PT p", "DM p", "AUC p", "loss against base rate"),
        *("spread", "std", "collapsed", "net return", "Sharpe", "Sharpe low", "Sharpe high", "drawdown", "turnover", "exposure"),
        *("hold net return", "hold Sharpe", "hold drawdown", "events", "windows"),
    ),
    compared_by=("Brier", "log-loss"),
    columns=("AUC", "AUC low", "AUC high", "Brier skill", "balanced accuracy", "MCC", "Sharpe", "collapsed"),
    about=columns.SPY,
    plots={
        "reliability": "of an event: how often it happened of what was said to have a probability",
        "roc": "of an event: how many are found, and false alarms, at each threshold of the probability",
    },
)

TSFM_POINT = DialectInfo(
    "tsfm-point",
    version="1",
    summary="MSE and MAE of values standardised per channel, as in papers on long-term forecasting",
    source="thuml/Time-Series-Library data loaders and metrics",
    metrics=("MSE", "MAE", "MSE[0.5]", "MAE[0.5]"),
    compared_by=("MSE", "MAE"),
)

BUILT_IN = {"gift_eval": GIFT_EVAL, "fev": FEV, "monash": MONASH, "cgm": CGM, "spy": SPY, "time_bench": TIME, "tsfm_point": TSFM_POINT}
"""The module of each, in this package, which has it as `DIALECT`."""
