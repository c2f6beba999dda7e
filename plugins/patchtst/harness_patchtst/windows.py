"""Windows to train on, drawn from ragged series without a Python loop over them, and the scaling that makes them alike.

Axes: N windows, T context, H horizon. Values are float32 as they come and float64 where they are computed with; NaN and infinity are
missing: they count nowhere and are 0 once they are scaled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.forecast import F32, F64, I64, Ragged
from harness.holdout import cut, hold_out

__all__ = ["Constant", "Sample", "Series", "standardise"]

Mask = NDArray[np.bool_]
MOST_HELD = 1024
MOST_SERIES, MOST_STEPS = 512, 4096
LEAST_SPREAD = 1e-6
"""A standard deviation below this share of the values' size is rounding: the window is constant."""


@dataclass(frozen=True)
class Constant:
    """The scale of a window without spread, which has none of its own: `relative` times its size, or `absolute` where it is all 0.

    The default is the library's floor, sqrt(1e-5).
    """

    relative: float = 0.0
    absolute: float = 1e-5**0.5


def standardise(values: F32 | F64, mask: Mask, scaling: str, constant: Constant) -> tuple[F64, F64, F64]:
    """Scale each window by its own observed values: (scaled [N, T], loc [N], scale [N]), scaled = (value − loc) / scale, 0 if missing.

    "std" is the mean and the standard deviation (of the population), "mean" is 0 and the mean absolute value, "none" is 0 and 1.
    A window that is all missing has loc 0 and the scale of a constant one. The scale is never 0.
    """
    mask = mask & np.isfinite(values)
    y = np.where(mask, values, 0.0).astype(np.float64)  # [N, T]
    count = np.maximum(mask.sum(axis=1), 1)
    loc = y.sum(axis=1) / count if scaling == "std" else np.zeros(len(y))
    centred = np.where(mask, y - loc[:, None], 0.0)  # [N, T]
    size = np.sqrt((y * y).sum(axis=1) / count)
    if scaling == "std":
        scale = np.sqrt((centred * centred).sum(axis=1) / count)
    elif scaling == "mean":
        scale = np.abs(y).sum(axis=1) / count
    else:
        scale = np.ones(len(y))
    fallback = np.where(size * constant.relative > 0, size * constant.relative, constant.absolute)
    scale = np.where(scale > LEAST_SPREAD * size, scale, fallback)
    # A fallback far below the values' size would be lost in the rounding of a forecast; far above 0 it is still a number to divide by.
    scale = np.maximum(scale, np.finfo(np.float32).tiny)
    return centred / scale[:, None], loc, scale


@dataclass(frozen=True)
class Sample:
    """Windows cut from series: context [N, T] with mask, target [N, H] with mask; what is missing is 0."""

    context: F32
    seen: Mask
    target: F32
    known: Mask


class Series:
    """Training series with the ranges that windows may be cut from.

    The newest steps of each series are held out by `harness.holdout`; all of a series that is too short is trained on. No window that is
    trained on has a value of what is held out.

    A window's context starts before the series' first value, masked, where less has passed than `context` steps. Windows are cut where the
    context is full, or at least holds half of what the series has; their targets end with the training part, and are masked beyond it for
    a series that is too short for one whole target. A series is drawn with a probability that rises with the square root of its number of
    windows.

    Args:
        rows: the series; NaN or infinite where missing.
        horizon: H, steps of a target.
        context: T, steps of a context.
    """

    def __init__(self, rows: Ragged, horizon: int, context: int) -> None:
        self.values, self.horizon, self.context = rows.values, horizon, context
        held = self.held = hold_out(rows, horizon)
        length: I64 = held.end - held.begin  # [S] steps to train on
        roomy = length > horizon
        half = np.where(roomy, np.maximum((length - horizon) // 2, 1), np.maximum(length // 2, 1))
        self.low: I64 = np.minimum(context, half)  # the first target of a series' first window
        count = np.maximum(length - horizon, self.low) - self.low + 1
        self.count: I64 = np.where(length >= 2, count, 0)
        self._chance: F64 = np.cumsum(np.sqrt(self.count))

    def __len__(self) -> int:
        """Different windows to train on."""
        return int(self.count.sum())

    def draw(self, rng: np.random.Generator, size: int) -> Sample:
        """Windows to train on, drawn with replacement."""
        chance = self._chance
        row = np.searchsorted(chance, rng.random(size) * chance[-1], side="right")  # [N]
        row = np.minimum(row, int(np.flatnonzero(self.count)[-1]))
        at = self.low[row] + (rng.random(size) * self.count[row]).astype(np.int64)
        return self._cut(row, self.held.begin[row] + at, self.held.end[row])

    def held_out(self, rng: np.random.Generator) -> tuple[Sample, I64]:
        """The windows to judge by (1024 of them by chance, where there are more), and what moves together: `HoldOut.groups` [N, 2]."""
        held = self.held.some(MOST_HELD, rng)
        return self._cut(held.series, held.origin, held.limit), held.groups

    def constant(self, scaling: str) -> Constant:
        """What constant windows are to be scaled by: the medians of spread / size, and of spread, over series (512 at most, their newest
        4096 steps)."""
        begin, end = self.held.begin, self.held.end
        row = np.unique(np.linspace(0, len(end) - 1, MOST_SERIES).astype(np.int64))
        newest = self._cut(row, end[row], end[row], int(min((end - begin).max(), MOST_STEPS)))
        _, _, spread = standardise(newest.context, newest.seen, scaling, Constant())
        y = newest.context.astype(np.float64)
        size = np.sqrt((y * y).sum(axis=1) / np.maximum(newest.seen.sum(axis=1), 1))
        varied = (spread > LEAST_SPREAD * size) & (size > 0)
        if not varied.any():
            return Constant()
        return Constant(float(np.median(spread[varied] / size[varied])), float(np.median(spread[varied])))

    def _cut(self, row: I64, at: I64, end: I64, context: int | None = None) -> Sample:
        """The windows of series `row` [N] with their first target at place `at` [N]; targets from place `end` [N] on are masked."""
        t = self.context if context is None else context
        y = cut(self.values, self.held.begin[row], at, end, t, self.horizon)  # [N, T + H]
        mask = np.isfinite(y)
        y = np.where(mask, y, np.float32(0))
        return Sample(y[:, :t], mask[:, :t], y[:, t:], mask[:, t:])
