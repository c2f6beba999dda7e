"""Windows to train on and to judge by, cut from ragged series without a loop over them.

Axes: N windows, T context, S steps ahead. NaN is missing: in the data, before a series begins, and at or after the end of what may be seen.
"""

from __future__ import annotations

import numpy as np

from harness.forecast import F32, I64, Ragged
from harness.holdout import HoldOut, cut, hold_out

__all__ = ["Series"]

MOST_HELD = 64
"""Windows to judge by; each look at them costs about as much as a step or two."""


class Series:
    """Training series, their newest part held out.

    No window to train on has a value in what `harness.holdout` holds out. Windows to train on are drawn with a probability that rises with
    the square root of how many a series has.

    Args:
        rows: the series up to their first cutoffs; NaN or infinite where missing.
        horizon: H, steps that are to be forecast.
        least: steps of context that a window to train on should have.
        seed: chooses the windows to judge by where there are too many.
    """

    def __init__(self, rows: Ragged, horizon: int, least: int, seed: int = 0) -> None:
        held = hold_out(rows, horizon)
        self.values = rows.values
        self.held: HoldOut = held.some(MOST_HELD, np.random.default_rng([seed % 2**64, 26]))
        usable = held.end < held.whole
        self.begin, self.end = held.begin[usable], held.end[usable]
        span = self.end - self.begin
        self.low: I64 = np.minimum(least, (span + 1) // 2)
        self.count: I64 = np.maximum(span - horizon, self.low) - self.low + 1
        self._chance = np.cumsum(np.sqrt(np.maximum(self.count, 0)))

    def __len__(self) -> int:
        """Series that can be trained on."""
        return len(self.begin)

    def draw(self, rng: np.random.Generator, size: int, context: int, ahead: int) -> F32:
        """Windows [N, T + S] to train on, drawn with replacement; the first step ahead is at index T."""
        row = np.searchsorted(self._chance, rng.random(size) * self._chance[-1], side="right").clip(0, len(self) - 1)
        at = self.begin[row] + self.low[row] + (rng.random(size) * self.count[row]).astype(np.int64)
        return cut(self.values, self.begin[row], at, self.end[row], context, ahead)

    def held_out(self, horizon: int) -> tuple[Ragged, F32, HoldOut]:
        """Windows to judge by that have a label: contexts, targets [N, H], and which they are."""
        held = self.held
        targets = cut(self.values, held.begin[held.series], held.origin, held.limit, 0, horizon)
        labelled = np.flatnonzero(np.isfinite(targets).any(axis=1))
        held, targets = held.only(labelled), targets[labelled]
        begin = held.begin[held.series]
        width = held.origin - begin  # [N]
        offsets = np.concatenate([[0], np.cumsum(width)])
        found = self.values[np.repeat(begin - offsets[:-1], width) + np.arange(offsets[-1])]
        return Ragged(np.where(np.isfinite(found), found, np.float32(np.nan)), offsets), targets, held
