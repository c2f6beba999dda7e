"""Dialect `time-r1`: errors on the scale of the data, pooled over all points of a task, as the paper has MSE and MAE.

Sums run over the valid points of all windows and channels; y is a label, m the mean of the forecast, q its median. For forecasts that are
points m and q are one.

    MSE   Σ(y − m)² / n        RMSE   √MSE        NRMSE   RMSE / mean |y|        R2   1 − Σ(y − m)² / Σ(y − ȳ)²
    MAE   Σ|y − q| / n         MAPE   mean |y − q| / |y|, where y is not 0

All [0, inf), best 0, but R2, which is (−inf, 1], best 1. MSE is in the square of the series' unit, RMSE and MAE in the unit itself, the
others have none; a MAPE of 1 is 100 %. All but R2 are equal to the harness' MSE[mean], MAE[0.5], MAPE[0.5], RMSE[mean] and NRMSE[mean].

Missing and infinite labels count nowhere; without any other all scores are NaN. Labels that are 0 count, but not in MAPE, which is NaN
where all are. NRMSE of labels that are all 0 is inf (NaN if the errors are 0 too). R2 of labels that are all alike, or of one label, is
NaN; scikit-learn has 0 or 1 for the first. Of a forecast without median (one level that is not 0.5) MAE and MAPE are NaN.

Channels with large values decide all but MAPE, which labels near 0 decide. ȳ is the mean label of the task: over channels of different size
it is far from most labels, and any forecast of the right size has an R2 near 1. An R2 of 0 is what forecasting ȳ everywhere gives, which
nobody knows beforehand. There is no number over tasks: means of errors in different units say nothing. A leaderboard compares by ratios to
the baseline.

The centre and the spread of labels, ȳ and Σ(y − ȳ)², are kept and merged block by block, not taken from Σy² − n ȳ², whose digits cancel
where the level is large beside the spread. Values are not standardised first; for that there is the dialect `tsfm-point`.

Source: arXiv 2506.10630 for MSE and MAE; the others are ours: NRMSE and R2 are not in the paper, and MAPE is there only to choose samples
by. Merging: Chan, Golub and LeVeque 1979, Updating formulae and a pairwise algorithm for computing sample variances. R2: Draper and
Smith 1998; scikit-learn `r2_score`.

>>> from harness.dialects import Forecasts
>>> one = Forecasts.from_arrays([[9, 2, 4, 0, 2, np.nan]], [0], [1], [[[3.0, 5.0, 0.0, 2.0, 7.0]]], [0.5])
>>> found = make().score(one)  # errors 1, 1, 0, 0; ȳ is 2 and Σ(y − ȳ)² is 0 + 4 + 4 + 0; ratios 1/2, 1/4, 0
>>> found["MSE"], found["MAE"], found["MAPE"], found["R2"]
(0.5, 0.5, 0.25, 0.75)
>>> found["RMSE"] == 0.5**0.5, found["NRMSE"] == 0.5**0.5 / 2
(True, True)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.arithmetic import divide
from harness.types import Column, DialectInfo

if TYPE_CHECKING:
    from harness.dialects import Block, Dialect, Forecasts
    from harness.forecast import F64

__all__ = ["INFO", "Pooled", "make"]

INFO = DialectInfo(
    "time-r1",
    version="1",
    summary="errors on the scale of the data, pooled over all points of a task; with R2 and NRMSE",
    source="arXiv 2506.10630 for MSE and MAE; the others are not in the paper: see docs/time-r1.md",
    metrics=("MSE", "MAE", "MAPE", "RMSE", "NRMSE", "R2"),
    compared_by=("MSE", "MAE"),
    columns=("MAPE", "NRMSE", "R2"),
    about={
        "MSE": Column("mean squared error of the mean, all points of the task", "the square of that of the series", "min"),
        "MAE": Column("mean absolute error of the median, all points of the task", "that of the series", "min"),
        "MAPE": Column("mean of |error of the median| / |label|, labels of 0 left out; 1 is 100 %", "", "min"),
        "RMSE": Column("root of MSE", "that of the series", "min"),
        "NRMSE": Column("RMSE over the mean size of the labels", "", "min"),
        "R2": Column("1 − squared errors of the mean over those of the mean label; 1 is best, the mean label has 0", "", "max"),
    },
)


class Pooled:
    """Sums over the valid points of a cell, and count, mean and spread of their labels."""

    def __init__(self, _: Forecasts) -> None:
        self._points = self._ratios = 0
        self._square = self._size = self._absolute = self._ratio = 0.0
        self._centre = self._spread = 0.0  # ȳ, Σ(y − ȳ)²

    def add(self, block: Block) -> None:
        seen = np.isfinite(block.labels)  # [n, H]
        if not seen.any():
            return
        label = block.labels[seen].astype(np.float64)  # [P] points
        size = np.abs(label)
        error = np.abs(label - block.median()[seen])
        self._square += float(((label - block.mean[seen]) ** 2).sum())
        self._size += float(size.sum())
        self._absolute += float(error.sum())
        there = size > 0
        self._ratio += float((error[there] / size[there]).sum())
        self._ratios += int(there.sum())
        self._merge(label)

    def _merge(self, label: F64) -> None:
        """Take labels [P], P > 0, into count, mean and spread."""
        away = label - label[0]  # of labels all alike exactly 0, and so is their spread
        shift = away.mean()
        gap = float(label[0] + shift) - self._centre
        before, self._points = self._points, self._points + len(label)
        share = len(label) / self._points
        self._spread += float(((away - shift) ** 2).sum()) + gap**2 * before * share
        self._centre += gap * share

    def metrics(self) -> dict[str, float]:
        mse = float(divide(self._square, self._points))
        return {
            "MSE": mse,
            "MAE": float(divide(self._absolute, self._points)),
            "MAPE": float(divide(self._ratio, self._ratios)),
            "RMSE": mse**0.5,
            "NRMSE": float(divide(mse**0.5, divide(self._size, self._points))),
            "R2": 1 - self._square / self._spread if self._spread > 0 else np.nan,
        }


def make() -> Dialect:
    """The dialect, for the hook `register_dialects`."""
    from harness.dialects import Dialect  # here, as it brings pyarrow, and registration runs in every command

    return Dialect(INFO, Pooled)
