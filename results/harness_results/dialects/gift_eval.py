"""Dialect `gift-eval`: the eleven numbers of GIFT-Eval's result files, as `harness run` stores them.

Every metric is one ratio of sums over all valid points of all windows of the cell, so a window counts by its valid points and a large
series counts more in ND, NRMSE and CRPS. Labels that are NaN or infinite count nowhere; x/0 drops the point. The scale of MASE and MSIS is
the mean |y_t − y_{t−m}| of the window's own context, m the task's season length, 1 where the context is shorter. Formulae, one by one, with
worked numbers: `harness.metrics`. Source: gluonts `ev/metrics.py` as called by GIFT-Eval (`axis=None, mask_invalid_label=True`).

Aggregate: nMASE and nCRPS, the geometric mean over tasks of score / baseline's score; a task where either is missing, zero or infinite has
no ratio and is counted in `undefined`. Source: GIFT-Eval's README.

One number may differ from the stored one: MSIS of a model that gave samples, or other levels than those asked for. A run takes the 95 %
interval from the forecast itself; here it is extrapolated from the levels that were kept.

>>> import numpy as np
>>> from harness.dialects import Forecasts
>>> two = Forecasts.from_arrays([[1, 3, 5, 9], [2, 2, 4, 4]], [0, 1], [2, 2], [[[5.0, 5.0]], [[2.0, 2.0]]], [0.5])
>>> found = DIALECT.score(two)  # errors 0, 4 at a seasonal error of 2; errors 2, 2 at 0, which has no scale
>>> found["MASE[0.5]"], found["ND[0.5]"]
(1.0, 0.36363636363636365)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.arithmetic import divide, geometric_mean
from harness.dialects import Block, Board, Dialect, Forecasts
from harness.metrics import METRICS, evaluate
from harness.scoring import Block as Scored
from harness.scoring import Totals
from harness.scoring import score as statistics
from harness.seasonal import seasonal_error
from harness_results.dialects.infos import GIFT_EVAL

__all__ = ["CRPS", "DIALECT", "MASE"]

MASE, CRPS = GIFT_EVAL.metrics[:2]
OFFICIAL = [metric for metric in METRICS if metric.name in GIFT_EVAL.metrics]


class _Sums:
    def __init__(self, forecasts: Forecasts) -> None:
        self._of = forecasts
        self._totals = Totals(forecasts.levels)

    def add(self, block: Block) -> None:
        of = self._of
        scale = seasonal_error(of.series, of.channel[block.rows], of.cut[block.rows], of.season_length)
        self._totals.add(statistics(Scored(block.labels, block.quantiles, block.mean, of.levels, scale)))

    def metrics(self) -> dict[str, float]:
        return evaluate(self._totals.sums, OFFICIAL) if self._totals.windows else {m.name: np.nan for m in OFFICIAL}


def aggregate(board: Board) -> tuple[list[dict[str, Any]], list[str]]:
    """nMASE and nCRPS of each model, the best nMASE first.

    >>> board = Board(["a", "base"], ["x", "y"], {MASE: np.array([[1.0, 4], [2, 2]]), CRPS: np.array([[1.0, 1], [2, 0]])}, 1)
    >>> aggregate(board)[0][0]
    {'model': 'a', 'nMASE': 1.0, 'nCRPS': 0.5, 'tasks': 2, 'undefined': 1}
    """
    if board.baseline is None:
        return [], []
    ratios = {}
    for metric in (MASE, CRPS):
        values = board.scores[metric]
        usable = np.isfinite(values) & (values > 0)
        ratios[metric] = np.where(usable & usable[board.baseline], divide(values, values[board.baseline]), np.nan)
    means = {metric: geometric_mean(values) for metric, values in ratios.items()}
    there = ~np.isnan(board.scores[MASE]) | ~np.isnan(board.scores[CRPS])
    undefined = there & (np.isnan(ratios[MASE]) | np.isnan(ratios[CRPS]))
    rows = [
        {
            "model": model,
            "nMASE": float(means[MASE][i]),
            "nCRPS": float(means[CRPS][i]),
            "tasks": int(there[i].sum()),
            "undefined": int(undefined[i].sum()),
        }
        for i, model in enumerate(board.models)
    ]
    return sorted(rows, key=lambda row: (np.isnan(row["nMASE"]), row["nMASE"])), []


DIALECT = Dialect(GIFT_EVAL, _Sums, aggregate)
