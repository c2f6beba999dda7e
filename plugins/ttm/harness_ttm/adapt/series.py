"""The series that fine-tuning learns from: training windows are cut at random origins, those to judge by from the newest steps.

Axes: n windows, S series.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness import Batch
from harness.holdout import ENOUGH, MOST, HoldOut, hold_out
from harness_ttm.adapt.problem import Problem
from harness_ttm.adapt.settings import SHORT
from harness_ttm.adapt.windows import Augmentation, augment, cut, thinned_hints
from harness_ttm.train.windows import Windows

__all__ = ["Series"]

I64 = NDArray[np.int64]


def to_hold_out(horizon: int, most: int) -> tuple[int, int]:
    """How many windows to hold out of few series, together and of one series; none of them more than `most`.

    Of a horizon below `SHORT` steps they are so many that they have twice the labels of those of `SHORT` steps.

    >>> to_hold_out(48, 512), to_hold_out(30, 512), to_hold_out(12, 512), to_hold_out(1, 512), to_hold_out(12, 100)
    ((64, 8), (204, 25), (512, 64), (512, 512), (100, 64))
    """
    together, each = (n if horizon >= SHORT else 2 * n * SHORT // horizon for n in (ENOUGH, MOST))
    return min(together, most), min(each, most)


@dataclass
class Series:
    """The series that windows are cut from, as places in one buffer: [S] each."""

    values: NDArray[np.float32]
    begin: I64
    end: I64  # of what is trained on
    whole: I64  # of the series
    least: int  # steps of history that a window should have
    reach: int  # steps of history that a window may have at most
    held: HoldOut  # windows to judge by

    @classmethod
    def of(cls, train: Batch, problem: Problem, validate: bool, windows: int = ENOUGH) -> Series:
        together, each = to_hold_out(problem.horizon, windows)
        held = hold_out(train.contexts, problem.horizon, enough=together, most=each)
        end = held.end if validate else held.whole
        usable = end < held.whole if validate else end - held.begin >= 2
        least = max(min(problem.horizon, 64), 8)
        longest = int((held.whole - held.begin)[usable].max(initial=1))
        reach = min(longest, train.context_limit or longest)
        return cls(np.asarray(train.contexts.values), held.begin[usable], end[usable], held.whole[usable], least, reach, held)

    def draw(self, problem: Problem, hints: I64, rng: np.random.Generator, n: int, how: Augmentation | None) -> Windows:
        """n training windows."""
        row = rng.integers(0, len(self.begin), n)
        begin, end = self.begin[row], self.end[row]
        length = end - begin
        low = np.minimum(self.least, (length + 1) // 2)
        high = np.maximum(low, length - problem.horizon)
        at = begin + low + np.floor(rng.random(n) * (high - low + 1)).astype(np.int64)
        every = np.ones(n, np.int64)
        if how is not None:
            room = (at - begin >= 2 * low) & (end - at >= 2)
            every += (rng.random(n) < how.thin) & room
        limit = np.minimum(end, at + every * problem.horizon)
        history = problem.history(self.reach)
        y = cut(self.values, np.maximum(begin, at - every * self.reach), at, limit, history, problem.ahead, every)
        if how is not None:
            y = augment(y, history, how, rng)
        return Windows(y, history, thinned_hints(hints, every))

    def newest(self, problem: Problem, hints: I64, held: HoldOut) -> Windows:
        """Some of the windows to judge by."""
        history = problem.history(self.reach)
        begin = np.maximum(held.begin[held.series], held.origin - self.reach)
        y = cut(self.values, begin, held.origin, held.limit, history, problem.ahead)
        return Windows(y, history, np.broadcast_to(hints, (len(held), len(hints))))
