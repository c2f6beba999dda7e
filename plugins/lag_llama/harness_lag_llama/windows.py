"""Windows cut from the training series at given origins, without an object for each.

Axes: N windows, L past steps, h steps of a target, C context. NaN in a series is missing; a step before its series is, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness import Batch
from harness.forecast import F32, I64
from harness_lag_llama.calendar import features

__all__ = ["Series", "Windows"]

Mask = NDArray[np.bool_]
ENOUGH = 64
"""Held-out windows; of fewer series than that several are taken of each, as far as an eighth of it goes."""
MOST = 8  # of one series
MOST_HELD = 128
LEAST = 32
"""Steps of history that a window should have."""


@dataclass(frozen=True)
class Windows:
    """Values [N, L + h], 0 where missing, which of them are observed, and time features [N, C + h, 6] of their last C + h steps."""

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
    """

    def __init__(self, train: Batch, horizon: int, context: int, past: int) -> None:
        self.values, self.freq, self.starts = train.contexts.values, train.freq, train.starts
        self.horizon, self.context, self.past = horizon, context, past
        self.begin, self.whole = train.contexts.offsets[:-1], train.contexts.offsets[1:]
        length = train.contexts.lengths
        observed = np.diff(np.concatenate([[0], np.cumsum(np.isfinite(self.values))])[train.contexts.offsets])
        usable = np.flatnonzero((length >= 8) & (observed >= 8))
        each = np.clip(ENOUGH // max(len(usable), 1), 1, MOST)
        count = np.maximum(np.minimum(each, length // 8 // horizon), 1)
        kept = np.where(count > 1, count * horizon, np.minimum(horizon, length // 4))
        self.rows: I64 = usable
        self.end: I64 = self.whole - kept  # of what is trained on
        row = np.repeat(usable, count[usable])
        behind = np.concatenate([np.arange(n)[::-1] for n in count[usable]]) if len(usable) else np.zeros(0, np.int64)
        origin = np.maximum(self.whole[row] - (behind + 1) * horizon, self.end[row])
        some = np.unique(np.linspace(0, len(row) - 1, min(len(row), MOST_HELD)).astype(np.int64)) if len(row) else row
        self.held: I64 = np.stack([row, origin], axis=1)[some]  # [W, 2] series, and place of the first target

    def held_out(self) -> Windows:
        """The held-out windows, in the order of `held`."""
        row, origin = self.held.T
        return self._cut(row, origin, np.minimum(origin + self.horizon, self.whole[row]))

    def draw(self, rng: np.random.Generator, size: int) -> Windows:
        """Windows to train on: a series with equal chance, then a place in it. No target is held out."""
        row = self.rows[rng.integers(0, len(self.rows), size)]
        length = self.end[row] - self.begin[row]
        low = np.minimum(LEAST, (length + 1) // 2)
        high = np.maximum(low, length - self.horizon)
        origin = self.begin[row] + low + np.floor(rng.random(size) * (high - low + 1)).astype(np.int64)
        return self._cut(row, origin, self.end[row])

    def _cut(self, row: I64, origin: I64, limit: I64) -> Windows:
        """Windows whose first target is at `origin` [N] in the buffer, without what is at `limit` [N] or later."""
        at = origin[:, None] + np.arange(-self.past, self.horizon)  # [N, L + h]
        inside = (at >= self.begin[row, None]) & (at < limit[:, None])
        values = self.values[np.where(inside, at, self.begin[row, None])]
        first = origin - self.begin[row] - self.context
        calendar = features(self.starts[row], self.freq, first, self.context + self.horizon)
        return Windows(values, inside, calendar)
