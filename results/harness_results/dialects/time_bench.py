"""Dialect `time`: the numbers of the benchmark TIME, in which each window counts the same.

Each metric is computed for each window (series, cutoff and variate), then the mean over the windows where it is not NaN. With the median f,
labels y that are not NaN, sums and means over a window's steps:

    MSE mean (y − f)²    MAE mean |y − f|    RMSE √MSE    MAPE mean |y − f| / |y|    sMAPE mean 2|y − f| / (|y| + |f|)
    MASE MAE / a         ND Σ|y − f| / Σ|y|                CRPS mean over τ of Σ 2|(y − q_τ)(1{q_τ ≥ y} − τ)| / Σ|y|

a is mean |x_t − x_{t−m}| of the window's context, from which missing values are first taken out; m is gluonts' season of the frequency.
MASE is NaN where a is 0 or the context has no more than m values. ND and CRPS are NaN where Σ|y| is 0. MAPE and sMAPE leave out points that
are not finite. A window without a label is NaN throughout. All [0, inf), best 0; RMSE is the mean of the windows' RMSE.

As windows are not pooled, one window with labels near 0 may outweigh all others in CRPS; in `gift-eval` such a window hardly counts.

Aggregate: MASE and CRPS relative to the baseline, geometric mean over tasks; tasks where the baseline is 0 or NaN, and infinite ratios, are
left out. Ranks are means over tasks; of two equal scores the first model is ahead (here: in the order of the table's models).

Source: zqiao11/TIME (2026-06), `src/timebench/evaluation/metrics.py`, `scripts/compute_local_leaderboard.py`.

>>> import numpy as np
>>> from harness.dialects import Forecasts
>>> two = Forecasts.from_arrays([[1, 3, 5, 9], [2, 2, 4, 4]], [0, 1], [2, 2], [[[5.0, 5.0]], [[2.0, 2.0]]], [0.5])
>>> found = DIALECT.score(two)  # Σ|error| / Σ|y| of the windows: 4/14 and 4/8; only the first has a scale
>>> found["MASE"], round(found["CRPS"], 12) == round((4 / 14 + 4 / 8) / 2, 12)
(1.0, True)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import frequency
from harness.arithmetic import divide, geometric_mean
from harness.dialects import Block, Board, Dialect, Forecasts
from harness.forecast import F64
from harness_results.dialects.infos import TIME
from harness_results.dialects.insample import mean_gaps

__all__ = ["DIALECT"]

METRICS = TIME.metrics


class _Windows:
    """Sums and numbers of the windows' metrics."""

    def __init__(self, forecasts: Forecasts) -> None:
        of = forecasts
        self._levels = of.levels
        scale = mean_gaps(of.series, of.channel, of.cut, frequency.season_length(of.freq), observed=True)
        self._scale = np.where(scale > 0, scale, np.nan)  # [N]
        self._sums = dict.fromkeys(METRICS, 0.0)
        self._counts = dict.fromkeys(METRICS, 0)

    def add(self, block: Block) -> None:
        label, median = block.labels.astype(np.float64), block.median()  # [n, H]
        seen = ~np.isnan(label)
        number = seen.sum(axis=1)
        error, size = np.abs(label - median), np.abs(label)
        mae = divide(_sum(error, seen), number)
        mse = divide(_sum(error**2, seen), number)
        total = _sum(size, seen)
        weight = np.where(total > 0, total, np.nan)
        losses = np.zeros(len(block))
        for k, level in enumerate(self._levels.tolist()):
            ahead = block.quantiles[:, k].astype(np.float64)
            losses += _sum(2 * np.abs((label - ahead) * ((ahead >= label) - level)), seen)
        self._put(
            {
                "MASE": divide(mae, self._scale[block.rows]),
                "CRPS": divide(losses / len(self._levels), weight),
                "MAE": mae,
                "MSE": mse,
                "RMSE": np.sqrt(mse),
                "MAPE": _finite_mean(error / size),
                "sMAPE": _finite_mean(2 * error / (size + np.abs(median))),
                "ND": divide(_sum(error, seen), weight),
            }
        )

    def _put(self, windows: dict[str, F64]) -> None:
        for name, values in windows.items():
            good = ~np.isnan(values)
            self._sums[name] += float(values[good].sum())
            self._counts[name] += int(good.sum())

    def metrics(self) -> dict[str, float]:
        return {name: float(divide(self._sums[name], self._counts[name])) for name in METRICS}


def _sum(values: F64, counted: NDArray[np.bool_]) -> F64:
    """[n, H] -> [n] over the steps that count."""
    sums: F64 = np.where(counted, values, 0.0).sum(axis=1)
    return sums


def _finite_mean(values: F64) -> F64:
    """[n, H] -> [n] over the finite values; NaN where there is none."""
    good = np.isfinite(values)
    mean: F64 = divide(_sum(values, good), good.sum(axis=1))
    return mean


def aggregate(board: Board) -> tuple[list[dict[str, Any]], list[str]]:
    """Relative MASE and CRPS and mean ranks of each model, the best MASE first."""
    if board.baseline is None:
        return [], []
    means, ranks, used = {}, {}, np.zeros(len(board.models), np.int64)
    for metric in ("MASE", "CRPS"):
        values = board.scores[metric]
        base = values[board.baseline]
        ratios = np.where((base != 0) & ~np.isnan(base), divide(values, base), np.nan)
        ratios[np.isinf(ratios)] = np.nan
        means[metric], ranks[metric] = geometric_mean(ratios), _ranks(values)
        used = np.maximum(used, (~np.isnan(ratios)).sum(axis=1))
    rows = [
        {
            "model": model,
            "MASE (norm.)": float(means["MASE"][i]),
            "CRPS (norm.)": float(means["CRPS"][i]),
            "MASE_rank": float(ranks["MASE"][i]),
            "CRPS_rank": float(ranks["CRPS"][i]),
            "tasks": int(used[i]),
        }
        for i, model in enumerate(board.models)
    ]
    return sorted(rows, key=lambda row: (np.isnan(row["MASE (norm.)"]), row["MASE (norm.)"])), []


def _ranks(values: F64) -> F64:
    """[M, R] -> [M]: mean over tasks of 1, 2, …; equal scores in the order of the models, NaN has no rank.

    >>> _ranks(np.array([[1.0, 2.0], [1.0, np.nan], [0.5, 1.0]])).tolist()
    [2.0, 3.0, 1.0]
    """
    ranks = np.full(values.shape, np.nan)
    for r, column in enumerate(values.T):
        there = np.flatnonzero(~np.isnan(column))
        ranks[there[np.argsort(column[there], kind="stable")], r] = np.arange(1, len(there) + 1)
    good = ~np.isnan(ranks)
    mean: F64 = divide(np.where(good, ranks, 0.0).sum(axis=1), good.sum(axis=1))
    return mean


DIALECT = Dialect(TIME, _Windows, aggregate)
