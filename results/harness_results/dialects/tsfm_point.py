"""Dialect `tsfm-point`: MSE and MAE of standardised values, as papers on long-term forecasting print them.

The convention, which papers seldom spell out: each channel is standardised by mean and standard deviation (population, ddof 0) of its
training part, here the finite values before the first cutoff of that channel. All points of all windows and channels are pooled:

    MSE mean ((y − f) / σ_c)²        MAE mean |y − f| / σ_c

The mean of the channel cancels. MSE and MAE take the mean forecast, one point forecast for both as in the papers; MSE[0.5] and MAE[0.5] the
median. σ of a constant training part is taken as 1 (as scikit-learn's StandardScaler does), a channel without a finite value before its
first cutoff is left out, labels that are NaN or infinite are skipped. All [0, inf), best 0, no unit.

What keeps these numbers from those of a paper: papers slide windows by one step over a fixed test split, some drop the last incomplete
batch, and their training part ends before a validation part, which here belongs to it.

Aggregate: the mean over the tasks that all models have, as the papers' rows "Avg".

Source: the data loaders and `utils/metrics.py` of thuml/Time-Series-Library and of cure-lab/LTSF-Linear; StandardScaler of scikit-learn.

>>> from harness.dialects import Forecasts
>>> one = Forecasts.from_arrays([[1, 5, 5, 9]], [0], [2], [[[3.0, 3.0]]], [0.5])
>>> found = DIALECT.score(one)  # σ of 1, 5 is 2; errors 2, 6
>>> found["MSE"], found["MAE"]
(5.0, 2.0)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.arithmetic import divide
from harness.dialects import Block, Board, Dialect, Forecasts
from harness_results.dialects.infos import TSFM_POINT
from harness_results.dialects.insample import standard_deviations

__all__ = ["DIALECT"]

METRICS = TSFM_POINT.metrics


class _Points:
    def __init__(self, forecasts: Forecasts) -> None:
        of = forecasts
        names, which = np.unique(of.channel, return_inverse=True)
        first = np.full(len(names), np.iinfo(np.int64).max)
        np.minimum.at(first, which, of.cut)
        sigma = standard_deviations(of.series, names, first)
        self._sigma = np.where(sigma == 0, 1.0, sigma)[which]  # [N]
        self._sums = dict.fromkeys(METRICS, 0.0)
        self._count = 0

    def add(self, block: Block) -> None:
        sigma = self._sigma[block.rows, None]
        good = np.isfinite(block.labels) & ~np.isnan(sigma)
        self._count += int(good.sum())
        label = block.labels.astype(np.float64)
        for suffix, ahead in (("", block.mean.astype(np.float64)), ("[0.5]", block.median())):
            error = np.where(good, (label - ahead) / sigma, 0.0)  # [n, H]
            self._sums[f"MSE{suffix}"] += float((error**2).sum())
            self._sums[f"MAE{suffix}"] += float(np.abs(error).sum())

    def metrics(self) -> dict[str, float]:
        return {name: float(divide(self._sums[name], self._count)) for name in METRICS}


def aggregate(board: Board) -> tuple[list[dict[str, Any]], list[str]]:
    """Mean MSE and MAE over the tasks that all models have, the best MSE first.

    >>> aggregate(Board(["a"], ["x", "y"], {m: np.array([[1.0, 3.0]]) for m in METRICS}, None))[0]
    [{'model': 'a', 'MSE': 2.0, 'MAE': 2.0, 'MSE[0.5]': 2.0, 'MAE[0.5]': 2.0, 'tasks': 2}]
    """
    common = np.logical_and.reduce([~np.isnan(board.scores[name]).any(axis=0) for name in METRICS])
    if not common.any():
        return [], ["there is no task that all models have: no mean over tasks"] if len(board.tasks) else []
    notes = [f"means are over the {common.sum()} of {len(common)} tasks that all models have"] if not common.all() else []
    means = {name: board.scores[name][:, common].mean(axis=1) for name in METRICS}
    rows = [
        {"model": model, **{name: float(means[name][i]) for name in METRICS}, "tasks": int(common.sum())}
        for i, model in enumerate(board.models)
    ]
    return sorted(rows, key=lambda row: (np.isnan(row["MSE"]), row["MSE"])), notes


DIALECT = Dialect(TSFM_POINT, _Points, aggregate, relative=False)
