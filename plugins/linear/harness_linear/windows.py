"""The windows that a regression sees: the newest T values of a series without gaps, and the labels after them.

Missing is what is NaN or infinite. The rule is the same where the model learns and where it forecasts: a missing value takes the last value
before it; values before the first one that is there, and steps before the series begins, take the earliest one. Labels are never filled.

Axes: N windows, T context, H horizon, S series. A place is an index into the one buffer that holds all series.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from harness.forecast import F32, F64, I64
from harness.holdout import cut

__all__ = ["MOST_LAGS", "SPREAD", "Windows", "change", "fill"]

MOST_LAGS = 512
"""Lags at most, and so the steps of a context that are of use."""
SPREAD = 64
"""Newest steps that say how much a series moves, where there are fewer lags than that."""
BLOCK = 1 << 20
"""Values of one block of windows: 8 MB."""


def fill(values: F32) -> tuple[F64, I64]:
    """Contexts [N, T] without gaps by the rule above, float64, and the place of each one's first value: int64 [N].

    A context without any value is 0 and its first value at T.

    >>> fill(np.array([[np.nan, 1, np.nan, 3], [np.nan] * 4], np.float32))
    (array([[1., 1., 1., 3.],
           [0., 0., 0., 0.]]), array([1, 4]))
    """
    seen = np.isfinite(values)
    steps = values.shape[1]
    first = np.where(seen.any(axis=1), seen.argmax(axis=1), steps)
    if seen.all():
        return values.astype(np.float64), first
    at = np.maximum.accumulate(np.where(seen, np.arange(steps), -1), axis=1)  # [N, T] the newest value at or before each step
    at = np.where(at < 0, np.minimum(first, steps - 1)[:, None], at)
    filled = np.take_along_axis(values, at, axis=1).astype(np.float64)
    filled[first == steps] = 0.0
    return filled, first


def change(filled: F64, first: I64) -> F64:
    """Mean absolute change from one step to the next, from the first value on: [N], 0 where a window has only one value.

    >>> change(np.array([[1.0, 1.0, 2.0, 5.0]]), np.array([1]))
    array([2.])
    """
    steps = filled.shape[1]
    total: F64 = np.abs(np.diff(filled, axis=1)).sum(axis=1)
    mean: F64 = total / np.maximum(steps - 1 - first, 1)
    return mean


@dataclass(frozen=True, eq=False)
class Windows:
    """The windows that lie within parts of series: values float32, `begin` and `end` int64 [S], places."""

    values: F32
    begin: I64
    end: I64

    def counts(self, lags: int, ahead: int) -> I64:
        """How many windows of so many lags, and labels for `ahead` steps, each series has: [S], missing values counted too."""
        found: I64 = np.maximum(self.end - self.begin - lags - ahead + 1, 0)
        return found

    def sample(
        self, lags: int, horizon: int, ahead: int, most: int, rng: np.random.Generator, past: int = 0
    ) -> Iterator[tuple[F64, F64, F64]]:
        """Blocks of contexts [n, T] without gaps, labels [n, H], NaN where missing, and mean absolute changes [n].

        Those whose newest value is there, and at least one label, with T = max(lags, `past`). Where there are more than `most`, one is
        drawn by chance from each of as many equal stretches of all windows. The generator is used in any case.

        Args:
            lags: steps before a window that its series has at least.
            ahead: labels that lie within the part at least; those behind its end are NaN.
        """
        before = np.concatenate([[0], np.cumsum(self.counts(lags, ahead))])
        total, width = int(before[-1]), max(lags, past)
        number = min(total, most)
        size = max(1, BLOCK // (width + horizon))
        for low in range(0, number, size):
            count = np.arange(low, min(low + size, number))
            jitter = rng.random(len(count))
            chosen = count if number == total else ((count + jitter) * (total / number)).astype(np.int64)
            chosen = np.minimum(chosen, total - 1)
            series = np.searchsorted(before, chosen, side="right") - 1
            origin = self.begin[series] + lags + chosen - before[series]
            rows = cut(self.values, self.begin[series], origin, self.end[series], width, horizon)  # [n, T + H]
            rows = rows[np.isfinite(rows[:, width - 1]) & np.isfinite(rows[:, width:]).any(axis=1)]
            contexts, first = fill(rows[:, :width])
            yield contexts, rows[:, width:].astype(np.float64), change(contexts, first)
