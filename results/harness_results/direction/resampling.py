"""The stationary block bootstrap: resamples of windows that follow each other in time, drawn in blocks so that neighbours stay neighbours.

Axes: N windows in order of time, B resamples. A block begins anywhere, goes on with probability 1 − 1/L at each step and wraps around at
the end, so blocks have a mean length of L and every window is as likely as any other. Statistics that do not depend on the order of the
windows within a resample, as all here, need only how often each window was drawn: `counts`.

Draws come from two streams of the same seed, one uniform number a window each, so that what a resample is does not depend on how many
are drawn at a time. All models are given the same resamples: differences are paired.

Source: Politis and Romano 1994.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from harness.forecast import F64, I64
from harness_results.direction.inputs import level_of

__all__ = ["MEAN_BLOCK", "RESAMPLES", "Interval", "counts", "indices", "percentiles"]

MEAN_BLOCK = 10
"""Windows: two weeks of sessions."""
RESAMPLES = 1000
PIECE = 1 << 19
"""Draws made together."""


class Interval(NamedTuple):
    """A number and where it lies with the confidence asked for; bounds are NaN where nothing can be told."""

    value: float
    low: float
    high: float


def indices(n: int, resamples: int = RESAMPLES, mean_block: float = MEAN_BLOCK, seed: int = 0) -> Iterator[I64]:
    """Positions of the windows drawn, some resamples at a time: int64 [b, n], b resamples, B in all.

    Raises:
        ValueError: nothing to draw from, no resample, or a mean block below 1.

    >>> drawn = np.concatenate(list(indices(1000, 20, mean_block=10)))
    >>> follows = (np.diff(drawn) % 1000 == 1).mean()  # all but one in ten
    >>> drawn.shape, round(float(follows), 2)
    ((20, 1000), 0.9)
    """
    if n < 1 or resamples < 1 or mean_block < 1:
        raise ValueError(f"{n} windows, {resamples} resamples, mean block {mean_block:g}; wanted at least 1 of each")
    breaks, places = (np.random.default_rng(part) for part in np.random.SeedSequence(seed).spawn(2))
    step = max(1, PIECE // n)
    along = np.arange(n)
    for done in range(0, resamples, step):
        shape = (min(step, resamples - done), n)
        fresh = breaks.random(shape) < 1.0 / mean_block
        fresh[:, 0] = True
        place = (places.random(shape) * n).astype(np.int64)
        # Where the block of each position began, [b, n]; from there it goes on a window at a time.
        began = np.maximum.accumulate(np.where(fresh, along, 0), axis=1)
        yield (np.take_along_axis(place, began, axis=1) + along - began) % n


def counts(n: int, resamples: int = RESAMPLES, mean_block: float = MEAN_BLOCK, seed: int = 0) -> Iterator[F64]:
    """How often each of n windows is drawn in each resample: float64 [b, n], whose rows add up to n."""
    for drawn in indices(n, resamples, mean_block, seed):
        b = len(drawn)
        flat = drawn + (np.arange(b) * n)[:, None]
        yield np.bincount(flat.reshape(-1), minlength=b * n).reshape(b, n).astype(np.float64)


def percentiles(value: float, resampled: F64, level: float = 0.95) -> Interval:
    """The middle `level` of resampled numbers [B], NaN left out; no bounds where fewer than half of them are numbers.

    >>> [round(x, 3) for x in percentiles(0.5, np.arange(1001) / 1000)]
    [0.5, 0.025, 0.975]
    """
    outside = (1 - level_of(level)) / 2
    there = resampled[np.isfinite(resampled)]
    if 2 * len(there) < len(resampled) or not len(there):
        return Interval(value, np.nan, np.nan)
    low, high = np.quantile(there, [outside, 1 - outside])
    return Interval(value, float(low), float(high))
