"""Windows cut from the training series at given origins, without an object for each.

Axes: N windows, L past steps, h steps of a target, C context. NaN in a series is missing; a step before its series is, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness import Batch
from harness.forecast import F32, I64
from harness.holdout import HoldOut, cut, hold_out
from harness_lag_llama.calendar import features

__all__ = ["Series", "Windows"]

Mask = NDArray[np.bool_]
MOST_HELD = 128
LEAST = 32
"""Steps of history that a window should have."""


@dataclass(frozen=True)
class Windows:
    """Values [N, L + h], NaN where missing, which of them are observed, and time features [N, C + h, 6] of their last C + h steps."""

    values: F32
    seen: Mask
    calendar: F32


class Series:
    """The series of a training, each with its newest steps held out.

    Args:
        train: each series up to its first cutoff.
        horizon: h.
        context: C.
        past: L.
        seed: chooses the held-out windows where there are too many.
    """

    def __init__(self, train: Batch, horizon: int, context: int, past: int, seed: int = 0) -> None:
        self.values, self.freq, self.starts = train.contexts.values, train.freq, train.starts
        self.horizon, self.context, self.past = horizon, context, past
        self.first = train.contexts.offsets[:-1]  # of the whole series, where `starts` are
        observed = np.diff(np.concatenate([[0], np.cumsum(np.isfinite(self.values))])[train.contexts.offsets])
        usable = observed >= 8
        held = hold_out(train.contexts, horizon, usable)
        self.rows: I64 = np.flatnonzero(usable)
        self.held: HoldOut = held.some(MOST_HELD, np.random.default_rng([seed % 2**64, 85]))

    def held_out(self) -> Windows:
        """The held-out windows, in the order of `held`."""
        return self._cut(self.held.series, self.held.origin, self.held.limit)

    def draw(self, rng: np.random.Generator, size: int) -> Windows:
        """Windows to train on: a series with equal chance, then a place in it. No target is held out."""
        row = self.rows[rng.integers(0, len(self.rows), size)]
        begin, end = self.held.begin[row], self.held.end[row]
        length = end - begin
        low = np.minimum(LEAST, (length + 1) // 2)
        high = np.maximum(low, length - self.horizon)
        origin = begin + low + np.floor(rng.random(size) * (high - low + 1)).astype(np.int64)
        return self._cut(row, origin, end)

    def _cut(self, row: I64, origin: I64, limit: I64) -> Windows:
        """Windows whose first target is at `origin` [N] in the buffer, without what is at `limit` [N] or later."""
        y = cut(self.values, self.held.begin[row], origin, limit, self.past, self.horizon)  # [N, L + h]
        calendar = features(self.starts[row], self.freq, origin - self.first[row] - self.context, self.context + self.horizon)
        return Windows(y, np.isfinite(y), calendar)
