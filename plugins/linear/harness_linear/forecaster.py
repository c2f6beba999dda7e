"""A regression that has been learnt: how it forecasts, and how it is kept in a folder.

    point = centre + (lags − centre) · W + unit · b         quantile = point + scale · r(level, step)

`normalise` says what centre and unit are: "last": the last value, and 1; "scaled": the last value, and the mean absolute change of the
window; "global": the mean of all that was learnt from, and 1. r are quantiles of residuals, and scale is 1, or the mean absolute change of
the window where the residuals were divided by it (`by_window`).

Axes: N windows, T context, L lags, K levels of the table, Q levels that are asked for, H horizon.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness import Batch, Forecast, Unsupported, UsageError
from harness.files import expanded
from harness.forecast import F32, F64
from harness.mappings import read_object
from harness.quantiles import INTERVAL
from harness_linear.windows import MOST_LAGS, SPREAD, change, fill

__all__ = ["LEVELS", "NORMALISE", "Forecaster", "Rule", "quantiles_of", "read"]

FORMAT = "harness-linear/1"
NORMALISE = ("last", "scaled", "global")
LEVELS: F64 = np.concatenate([[0.001, 0.0025, 0.005], np.arange(1, 100) / 100, [0.995, 0.9975, 0.999]])
"""Levels [K] of the table of residuals; between them it is interpolated on a straight line, beyond them it is flat."""
LARGEST = float(np.finfo(np.float32).max)
ROWS = 64
"""Windows that are forecast at once, always as many, so that a forecast is the same bits in any batch."""


@dataclass(frozen=True, eq=False)
class Rule:
    """The points of a forecast: weights [L, H], intercepts [H]; `mean` is the centre of "global" and stands in for what has no value."""

    normalise: str
    weights: F64
    intercepts: F64
    mean: float

    def frame(self, contexts: F64, changes: F64) -> tuple[F64, F64]:
        """Centre and unit of contexts [n, T] with mean absolute changes [n]: [n] each."""
        centre = np.full(len(contexts), self.mean) if self.normalise == "global" else contexts[:, -1]
        return centre, changes if self.normalise == "scaled" else np.ones(len(contexts))

    def points(self, contexts: F64, changes: F64) -> F64:
        """[n, H] of contexts [n, T] without gaps, T at least L."""
        centre, unit = self.frame(contexts, changes)
        lags = contexts[:, contexts.shape[1] - len(self.weights) :] - centre[:, None]  # [n, L]
        found: F64 = centre[:, None] + lags @ self.weights + unit[:, None] * self.intercepts
        return found


def quantiles_of(table: F64, levels: F64) -> F64:
    """Residuals at these levels [Q, H], from a table [K, H] at `LEVELS`."""
    place = np.interp(levels, LEVELS, np.arange(len(LEVELS)))
    low = np.minimum(place.astype(np.int64), len(LEVELS) - 2)
    found: F64 = table[low] + (place - low)[:, None] * (table[low + 1] - table[low])
    return found


@dataclass(eq=False)
class Forecaster:
    """A learnt model.

    Attributes:
        rule: the points.
        table: [K, H], quantiles of residuals at `LEVELS`, rising.
        by_window: whether those are in mean absolute changes of the window.
        least: no quantile lies below it; None is no bound.
        origin: facts about how it came to be, for linear.json and the receipt.
    """

    rule: Rule
    table: F64
    by_window: bool
    least: float | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.notes: dict[str, Any] = dict(self.origin)

    @property
    def horizon(self) -> int:
        return int(self.table.shape[1])

    def predict(self, batch: Batch) -> Forecast:
        """Quantiles [N, Q, H] at the asked levels and at those of the interval score, with the points as mean [N, H].

        Raises:
            Unsupported: the horizon is longer than what was learnt.
        """
        steps = batch.horizon
        if steps > self.horizon:
            raise Unsupported(f"linear: it has learnt {self.horizon} steps, and the task asks for {steps}; learn again: leave weights out")
        asked = batch.quantile_levels
        levels = np.sort(np.append(asked, [q for q in INTERVAL if np.abs(asked - q).min(initial=1.0) > 1e-6]))
        residuals = quantiles_of(self.table, levels)[:, :steps]  # [Q, H]
        quantiles = np.empty((len(batch), len(levels), steps), np.float32)
        mean = np.empty((len(batch), steps), np.float32)
        lowest = -LARGEST if self.least is None else self.least
        contexts, _ = batch.padded(max(len(self.rule.weights), SPREAD))  # [N, T]
        for low in range(0, len(batch), ROWS):
            count = min(ROWS, len(batch) - low)
            block = np.full((ROWS, contexts.shape[1]), np.nan, np.float32)
            block[:count] = contexts[low : low + count]
            filled, first = fill(block)
            for row in np.flatnonzero(first[:count] == contexts.shape[1]):
                filled[row] = self._last(batch.contexts[low + int(row)])
            changes = change(filled, first)  # [ROWS]
            points = self.rule.points(filled, changes)[:count, :steps]
            scale = changes[:count] if self.by_window else np.ones(count)
            quantiles[low : low + count] = np.clip(points[:, None, :] + scale[:, None, None] * residuals, lowest, LARGEST)
            mean[low : low + count] = np.clip(points, lowest, LARGEST)
        return Forecast.from_quantiles(quantiles, levels, mean)

    def _last(self, context: F32) -> float:
        """The last value of a whole context; where it has none, the mean of all that was learnt from."""
        seen = context[np.isfinite(context)]
        return float(seen[-1]) if len(seen) else self.rule.mean

    def save(self, folder: str | Path) -> Path:
        """Write linear.json and linear.npz; `-M linear:weights=FOLDER` reads them. Returns the folder."""
        path = Path(folder)
        path.mkdir(parents=True, exist_ok=True)
        rule = self.rule
        facts = {"format": FORMAT, "normalise": rule.normalise, "mean": rule.mean, "by_window": self.by_window, "least": self.least}
        (path / "linear.json").write_text(json.dumps({**facts, "origin": dict(self.origin)}, indent=1), encoding="utf-8")
        np.savez(path / "linear.npz", weights=rule.weights, intercepts=rule.intercepts, table=self.table)
        return path


def read(folder: str) -> Forecaster:
    """The model that `save` wrote. Nothing in the files is executed.

    Raises:
        UsageError: there is no such folder, or it does not hold what `save` writes.
    """
    path = expanded(folder)
    facts = read_object(path / "linear.json", "linear", "a folder that save() of a learnt model wrote, with linear.json and linear.npz")
    try:
        with (path / "linear.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            weights, intercepts, table = (np.asarray(arrays[name], np.float64) for name in ("weights", "intercepts", "table"))
        _check(facts, weights, intercepts, table)
        rule = Rule(facts["normalise"], weights, intercepts, float(facts["mean"]))
        least = None if facts["least"] is None else float(facts["least"])
        return Forecaster(rule, table, bool(facts["by_window"]), least, dict(facts["origin"]))
    except Exception as error:  # a zip, a header, a shape, a number: whatever a stranger's file may have wrong
        raise UsageError(f"linear: weights={folder} cannot be used: {type(error).__name__}: {error}"[:1000]) from None


def _check(facts: Mapping[str, Any], weights: F64, intercepts: F64, table: F64) -> None:
    """Raise ValueError for what `save` would not write."""
    if facts["format"] != FORMAT or facts["normalise"] not in NORMALISE:
        raise ValueError(f"format {facts['format']!r}, normalise {facts['normalise']!r}; wanted {FORMAT!r} and one of {NORMALISE}")
    lags, horizon = weights.shape
    if intercepts.shape != (horizon,) or table.shape != (len(LEVELS), horizon) or not 1 <= lags <= MOST_LAGS or horizon < 1:
        raise ValueError(f"arrays of shapes {weights.shape}, {intercepts.shape}, {table.shape}; wanted [L, H], [H], [{len(LEVELS)}, H]")
    numbers = [float(facts["mean"]), float(facts["least"] or 0)]
    if not (all(np.isfinite(a).all() for a in (weights, intercepts, table)) and all(map(math.isfinite, numbers))):
        raise ValueError("numbers that are not finite")
    if (np.diff(table, axis=0) < 0).any():
        raise ValueError("quantiles of residuals that fall")
