"""Windows to train on and to judge by, cut from ragged series without a loop over them.

Axes: N windows, T context, S steps ahead. NaN is missing: in the data, before a series begins, and at or after the end of what may be seen.
"""

from __future__ import annotations

import numpy as np

from harness.forecast import F32, I64, Ragged

__all__ = ["Series"]

ENOUGH = 32
"""Windows to judge by; of fewer series than that several are held out of each, as far as an eighth of it goes."""
MOST = 64


class Series:
    """Training series, their newest part held out.

    Held out are the last H steps of each series, or a quarter of it where that is less; no window to train on has a value there. Windows to
    train on are drawn with a probability that rises with the square root of how many a series has.

    Args:
        rows: the series up to their first cutoffs; NaN or infinite where missing.
        horizon: H, steps that are to be forecast.
        least: steps of context that a window to train on should have.
    """

    def __init__(self, rows: Ragged, horizon: int, least: int) -> None:
        known = np.isfinite(rows.values)
        self.values: F32 = np.where(known, rows.values, np.float32(np.nan))
        seen = np.concatenate([[0], np.cumsum(known)])
        places = np.append(np.flatnonzero(known), len(known))
        whole = rows.offsets[1:]
        begin = np.minimum(places[seen[rows.offsets[:-1]]], whole)  # what is missing at the start is no history
        length = whole - begin
        kept = np.minimum(horizon, length // 4)
        usable = kept >= 1
        self.begin, self.whole, kept = begin[usable], whole[usable], kept[usable]
        length = self.whole - self.begin
        count = np.clip(-(-ENOUGH // max(len(length), 1)), 1, np.maximum(length // (8 * horizon), 1))  # windows held out of each
        self.end: I64 = self.whole - np.maximum(kept, (count > 1) * count * horizon)
        self._held: tuple[I64, I64] = (count, kept)
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
        return self._cut(row, at, self.end[row], context, ahead)

    def held_out(self, horizon: int) -> tuple[Ragged, F32, I64]:
        """Windows to judge by, 64 at most, evenly over series: contexts, targets [N, H], and the series [N] that each is of."""
        count, kept = self._held
        row = np.repeat(np.arange(len(count)), count)  # [N]
        behind = np.repeat(np.cumsum(count), count) - 1 - np.arange(len(row))  # windows of the series that come after
        at = np.where(count[row] > 1, self.whole[row] - (behind + 1) * horizon, self.whole[row] - kept[row])
        if len(row) > MOST:
            chosen = np.unique(np.linspace(0, len(row) - 1, MOST).astype(np.int64))
            row, at = row[chosen], at[chosen]
        targets = self._cut(row, at, np.minimum(self.whole[row], at + horizon), 0, horizon)
        labelled = np.isfinite(targets).any(axis=1)
        row, at, targets = row[labelled], at[labelled], targets[labelled]
        contexts = Ragged.from_rows([self.values[a:b] for a, b in zip(self.begin[row].tolist(), at.tolist(), strict=True)])
        return contexts, targets, row

    def _cut(self, row: I64, at: I64, end: I64, context: int, ahead: int) -> F32:
        """Windows [N, T + S] of series `row` whose first step ahead is at place `at`; nothing from place `end` on is seen."""
        place = at[:, None] + np.arange(-context, ahead)  # [N, T + S]
        inside = (place >= self.begin[row, None]) & (place < end[:, None])
        found: F32 = np.where(inside, self.values[np.where(inside, place, 0)], np.float32(np.nan))
        return found
