"""Dialect `fev`: the metrics of the package fev, as fev-bench uses them.

A task's windows are taken by cutoff, the slot. In each slot and each variate the items are pooled, then the mean over variates, then over
slots. q is the median, one point forecast for all metrics as fev asks for one; q_τ the quantiles; means run over items and steps:

    MAE mean |y − q|                     WAPE MAE / max(mean |y|, ε)          MAEB MAE + |mean (q − y)|      WAPEB MAEB / mean |y|
    MSE mean (y − q)²                    RMSE √MSE                            RMSLE √mean (ln(1 + y) − ln(1 + q))²
    MASE mean |y − q| / a                RMSSE √mean (y − q)² / s             MAPE mean |y − q| / |y|
    SMAPE mean 2|y − q| / (|y| + |q|)    MQL mean L_τ                         SQL mean L_τ / a               WQL MQL / max(mean |y|, ε)

with L_τ = 2 |(y − q_τ)(1{y ≤ q_τ} − τ)|, averaged over the levels at the end, and per item and slot a = mean |y_t − y_{t−m}|, s the same
squared, over the whole history, m the task's season length. All [0, inf), best 0; MAE, MAEB, MQL, RMSE in the unit of the series.

NaN labels are skipped. MASE, RMSSE, SQL, MAPE and SMAPE leave out every point that is NaN or infinite: so items whose history is constant,
all missing or not longer than m count nowhere (there is no lag 1 instead), nor zero labels in MAPE. An infinite label makes the others
infinite. A variate without any point makes the metric NaN.

ε is 0 by default in the package; fev-bench sets 1 for WAPE and WQL: those are WAPE[epsilon=1] and WQL[epsilon=1]. Its main metric is SQL.
The season length is the task's, as in fev; fev-bench's own tasks have 7 for most daily data where GIFT-Eval has 1.

Aggregate: the baseline's ratios, clipped to [0.01, 100]; a model without a score on a task counts with the ratio 1 there (`failures`).
skill score = 1 − geometric mean of ratios; win rate = share of (task, other model) with the lower ratio, ties half. Tasks where the
baseline has no score, or the score 0, are left out, where fev refuses. Models that know the test data are not replaced, as fev-bench does.

Source: fev 0.10, `metrics.py` and `analysis.py` (autogluon/fev); ε: `benchmarks/fev_bench/tasks.yaml`.

>>> import numpy as np
>>> from harness.dialects import Forecasts
>>> two = Forecasts.from_arrays([[1, 3, 5, 9], [2, 2, 4, 4]], [0, 1], [2, 2], [[[5.0, 5.0]], [[2.0, 2.0]]], [0.5])
>>> found = DIALECT.score(two)  # errors 0, 4 at a scale of 2; errors 2, 2 of the constant history do not count
>>> found["MASE"], found["SQL"], found["MAE"], found["MAEB"]
(1.0, 1.0, 2.0, 4.0)
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.arithmetic import divide, geometric_mean
from harness.dialects import Block, Board, Dialect, Forecasts
from harness.forecast import F64
from harness_results.dialects.infos import FEV
from harness_results.dialects.insample import mean_gaps

__all__ = ["BENCH", "CLIP", "DIALECT", "win_rates"]

BENCH = FEV.metrics[:4]
"""The metrics of fev-bench, the main one first."""
CLIP = (0.01, 100.0)


class _Groups:
    """Sums and counts over items and steps for each slot and variate: G groups, [G] or, per level, [G, Q]."""

    def __init__(self, forecasts: Forecasts) -> None:
        of, lag = forecasts, forecasts.season_length
        self._levels = of.levels
        self._group = of.slot.astype(np.int64) * of.variates + of.channel % of.variates  # [N]
        self._shape = (int(of.slot.max(initial=-1)) + 1, of.variates)
        self._scale = mean_gaps(of.series, of.channel, of.cut, lag)  # [N]
        self._square_scale = mean_gaps(of.series, of.channel, of.cut, lag, power=2)
        self._sums: dict[str, F64] = {}
        self._counts: dict[str, F64] = {}

    def add(self, block: Block) -> None:
        group = self._group[block.rows]
        label, median = block.labels.astype(np.float64), block.median()  # [n, H]
        scale, square_scale = self._scale[block.rows, None], self._square_scale[block.rows, None]
        seen = ~np.isnan(label)
        error, size = np.abs(label - median), np.abs(label)
        self._put("windows", group, np.ones((len(block), 1)), None)
        self._put("abs", group, error, seen)
        self._put("bias", group, median - label, seen)
        self._put("square", group, error**2, seen)
        self._put("size", group, size, seen)
        logs = (np.log1p(label) - np.log1p(median)) ** 2
        self._put("log", group, logs, ~np.isnan(logs))
        for name, values in (
            ("ratio", error / size),
            ("symmetric", 2 * error / (size + np.abs(median))),
            ("scaled", error / scale),
            ("scaled_square", error**2 / square_scale),
        ):
            self._put(name, group, values, np.isfinite(values))
        for k, level in enumerate(self._levels.tolist()):
            ahead = block.quantiles[:, k].astype(np.float64)
            loss = 2 * np.abs((label - ahead) * ((label <= ahead) - level))  # [n, H]
            scaled = loss / scale
            self._put(f"loss {k}", group, loss, seen)
            self._put(f"scaled_loss {k}", group, scaled, np.isfinite(scaled))

    def _put(self, name: str, group: NDArray[np.int64], values: F64, counted: NDArray[np.bool_] | None) -> None:
        """Add values [n, H] where they count."""
        size = self._shape[0] * self._shape[1]
        kept = values if counted is None else np.where(counted, values, 0.0)
        number = np.full(len(values), 1.0) if counted is None else counted.sum(axis=1).astype(np.float64)
        if name not in self._sums:
            self._sums[name], self._counts[name] = np.zeros(size), np.zeros(size)
        self._sums[name] += np.bincount(group, kept.sum(axis=1), size)
        self._counts[name] += np.bincount(group, number, size)

    def _mean(self, name: str) -> F64:
        """[G]; NaN where nothing counts."""
        mean: F64 = divide(self._sums[name], self._counts[name])
        return mean

    def _over_levels(self, name: str) -> F64:
        """[G, Q]."""
        return np.stack([self._mean(f"{name} {k}") for k in range(len(self._levels))], axis=1)

    def metrics(self) -> dict[str, float]:
        if not self._sums:
            return dict.fromkeys(FEV.metrics, np.nan)
        error, size = self._mean("abs"), self._mean("size")
        penalised = error + np.abs(self._mean("bias"))
        loss = self._over_levels("loss")
        groups = {
            "SQL": self._over_levels("scaled_loss").mean(axis=1),
            "MASE": self._mean("scaled"),
            "WQL[epsilon=1]": divide(loss, np.maximum(size, 1.0)[:, None]).mean(axis=1),
            "WAPE[epsilon=1]": divide(error, np.maximum(size, 1.0)),
            "WQL": divide(loss, size[:, None]).mean(axis=1),
            "WAPE": divide(error, size),
            "MQL": loss.mean(axis=1),
            "MAE": error,
            "MSE": self._mean("square"),
            "RMSE": np.sqrt(self._mean("square")),
            "RMSSE": np.sqrt(self._mean("scaled_square")),
            "MAPE": self._mean("ratio"),
            "SMAPE": self._mean("symmetric"),
            "RMSLE": np.sqrt(self._mean("log")),
            "MAEB": penalised,
            "WAPEB": divide(penalised, size),
        }
        return {name: self._over_groups(values) for name, values in groups.items()}

    def _over_groups(self, values: F64) -> float:
        """Mean over the variates of a slot, then over slots; [G] -> number. A group without a window is none; NaN stays NaN."""
        there = (self._sums["windows"] > 0).reshape(self._shape)
        sums = np.where(there, values.reshape(self._shape), 0.0).sum(axis=1)  # [slots]
        slots = divide(sums, there.sum(axis=1))
        return float(slots[there.any(axis=1)].mean())


def win_rates(errors: F64) -> F64:
    """[M, R] -> [M]: share of (task, other model) with the lower error, ties half; NaN for a model alone.

    >>> win_rates(np.array([[1.0, 1.0], [2.0, 1.0]])).tolist()
    [0.75, 0.25]
    """
    models, tasks = errors.shape
    wins = np.array([(row < errors).sum() + 0.5 * ((row == errors).sum() - tasks) for row in errors])
    rates: F64 = divide(wins, tasks * (models - 1))
    return rates


def aggregate(board: Board) -> tuple[list[dict[str, Any]], list[str]]:
    """Skill score and win rate of each model in the metrics of fev-bench, by metric and win rate."""
    if board.baseline is None:
        return [], []
    rows: list[dict[str, Any]] = []
    notes = []
    for metric in BENCH:
        values = board.scores[metric]
        ratios = divide(values, values[board.baseline])
        kept = ~np.isnan(ratios[board.baseline])
        if not kept.any():
            continue
        if not kept.all():
            left = [task for task, keep in zip(board.tasks, kept, strict=True) if not keep]
            notes.append(f"{metric}: the baseline has no score above 0 on {len(left)} tasks, which are left out: {', '.join(left[:5])}")
        ratios = ratios[:, kept]
        failures = np.isnan(ratios).sum(axis=1)
        errors = np.where(np.isnan(ratios), 1.0, np.clip(ratios, *CLIP))
        skill, wins = 1 - geometric_mean(errors), win_rates(errors)
        if failures.any():
            who = ", ".join(f"{board.models[i]} {failures[i]}" for i in np.flatnonzero(failures).tolist())
            notes.append(f"{metric}: tasks without a score count with the ratio 1, as fev has it: {who} of {kept.sum()}")
        for i in np.argsort(-np.nan_to_num(wins), kind="stable").tolist():
            row = {"metric": metric, "model": board.models[i], "skill_score": float(skill[i]), "win_rate": float(wins[i])}
            rows.append({**row, "tasks": int(kept.sum()), "failures": int(failures[i])})
    return rows, list(dict.fromkeys(notes))


DIALECT = Dialect(FEV, _Groups, aggregate)
