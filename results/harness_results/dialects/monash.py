"""Dialect `monash`: the errors of the Monash forecasting archive, per series, then mean and median over series.

A series' points are those of all its windows together, and its training part is what lies before the first cutoff: with one window a
series that is the archive's fixed origin, with more its rolling origin. f is the median forecast, y a label:

    MASE    mean |y − f| / mean |x_t − x_{t−m}| of the training part           sMAPE   mean 2|f − y| / (|f| + |y|), a fraction of [0, 2]
    msMAPE  mean 2|f − y| / max(|f| + |y| + 0.1, 0.6)                          MAE     mean |f − y|          RMSE    √mean (f − y)²

m is the archive's shortest season: a day in steps where a step is less than a day (H 24, 30T 48, 15T 96, 10T 144, T 1440, 4S 21600), D 7,
W 52 (365.25 / 7, of which R's diff takes the whole part), M 12, Q 4, years 1. Frequencies that the archive lacks: business days 5; a
multiple divides the season where that is whole, else m is 1. Missing values are taken out of the training part before the lag is counted.

MASE that is NaN (no more than m values, or an error of 0 at a scale of 0) is computed again with lag 1. Then series with a NaN or infinite
MASE are dropped; `MASE series` says how many are left. sMAPE leaves out points with 0/0; a series of nothing else makes mean and median of
sMAPE NaN, as in the archive, which has msMAPE for that. A label that is NaN is skipped; a series without a label is no series.

The archive rounds forecasts of some datasets to whole numbers, half to even; so does this where the task says so (`Task.rounded`). It puts
0 for forecasts that are NaN; here a model that makes one has no result. It has no aggregate over datasets. All [0, inf), best 0; MAE and
RMSE in the unit of the series.

Source: rakshitha123/TSForecasting (2022-11), `utils/error_calculator.R`, `experiments/fixed_horizon_functions.R`, `rolling_origin.R`.

>>> from harness.dialects import Forecasts
>>> two = Forecasts.from_arrays([[1, 3, 5, 9], [2, 2, 4, 4]], [0, 1], [2, 2], [[[5.0, 5.0]], [[2.0, 2.0]]], [0.5], freq="A")
>>> found = DIALECT.score(two)  # errors 0, 4 at a scale of 2; errors 2, 2 at a scale of 0, which is dropped
>>> found["mean MASE"], found["MASE series"], found["mean MAE"], found["median RMSE"] == (8**0.5 + 2) / 2
(1.0, 1.0, 2.0, True)
"""

from __future__ import annotations

import numpy as np

from harness.arithmetic import divide
from harness.dialects import Block, Dialect, Forecasts
from harness.forecast import F64
from harness.monash import season
from harness_results.dialects.infos import MONASH
from harness_results.dialects.insample import mean_gaps

__all__ = ["DIALECT"]

EPSILON = 0.1


class _Series:
    """Sums over the points of each series: [S]."""

    def __init__(self, forecasts: Forecasts) -> None:
        self._of = forecasts
        self._names, self._series = np.unique(forecasts.channel, return_inverse=True)
        size = len(self._names)
        self._sums = {name: np.zeros(size) for name in ("n", "abs", "square", "smape", "n_smape", "msmape")}

    def add(self, block: Block) -> None:
        label, ahead = block.labels.astype(np.float64), block.median()  # [n, H]
        if self._of.data is not None and self._of.data.task.rounded:
            ahead = np.rint(ahead)
        seen = ~np.isnan(label)
        error = np.abs(ahead - label)
        size = np.abs(ahead) + np.abs(label)
        ratio = 2 * error / size
        for name, values, counted in (
            ("n", np.ones_like(error), seen),
            ("abs", error, seen),
            ("square", error**2, seen),
            ("smape", ratio, ~np.isnan(ratio)),
            ("n_smape", np.ones_like(error), ~np.isnan(ratio)),
            ("msmape", 2 * error / np.maximum(size + EPSILON, 0.5 + EPSILON), seen),
        ):
            sums = np.where(counted, values, 0.0).sum(axis=1)
            self._sums[name] += np.bincount(self._series[block.rows], sums, len(self._names))

    def metrics(self) -> dict[str, float]:
        there = self._sums["n"] > 0
        s = {name: values[there] for name, values in self._sums.items()}
        mae = divide(s["abs"], s["n"])
        mase = self._mase()[there]
        each = {
            "MASE": mase[np.isfinite(mase)],
            "sMAPE": divide(s["smape"], s["n_smape"]),
            "msMAPE": divide(s["msmape"], s["n"]),
            "MAE": mae,
            "RMSE": np.sqrt(divide(s["square"], s["n"])),
        }
        found: dict[str, float] = {}
        for name, values in each.items():
            found[f"mean {name}"] = float(values.mean()) if len(values) else np.nan
            found[f"median {name}"] = float(np.median(values)) if len(values) else np.nan
        return {**found, "MASE series": float(len(each["MASE"])), "series": float(there.sum())}

    def _mase(self) -> F64:
        """[S]; NaN and inf as they come."""
        of = self._of
        first = np.full(len(self._names), np.iinfo(np.int64).max)
        np.minimum.at(first, self._series, of.cut)
        mae = divide(self._sums["abs"], self._sums["n"])
        mase: F64 = divide(mae, mean_gaps(of.series, self._names, first, season(of.freq), observed=True))
        again = np.flatnonzero(np.isnan(mase))
        mase[again] = divide(mae[again], mean_gaps(of.series, self._names[again], first[again], 1, observed=True))
        return mase


DIALECT = Dialect(MONASH, _Series)
