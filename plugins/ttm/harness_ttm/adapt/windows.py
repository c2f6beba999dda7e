"""Windows cut from ragged series at given origins, and changed a little: vectorised, without an object per window.

Axes: n windows, L history, S steps ahead. NaN is missing: in the data, before a series begins, or at and after its limit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness import holdout

__all__ = ["Augmentation", "augment", "cut", "some_patches", "thinned_hints"]

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]


@dataclass(frozen=True)
class Augmentation:
    """Probabilities per window. A constant factor or shift of the level is no augmentation: instance scaling takes it out again."""

    sign_flip: float = 0.3
    swell: float = 0.3  # scale: a factor that rises or falls over the window, about its mean
    thin: float = 0.2  # down-sampling: means of two neighbours
    jitter: float = 0.3  # noise on the history

    largest_swell: float = 0.4  # of the factor's logarithm, over the whole window
    largest_jitter: float = 0.1  # of the window's standard deviation


def cut(values: F32, begin: I64, origin: I64, limit: I64, history: int, ahead: int, every: I64 | None = None) -> F32:
    """Windows [n, L + S] as `harness.holdout.cut` makes them, some of them thinned.

    Args:
        every: [n], 1 or 2: a step is the mean of so many values; a missing one counts nowhere.
    """
    y = holdout.cut(values, begin, origin, limit, history, ahead)
    thin = np.flatnonzero(np.zeros(0) if every is None else every == 2)
    if len(thin):
        # Pairs begin at the origin; one that is cut in two by the beginning or the limit is left out.
        at = origin[thin]
        first, last = at - (at - begin[thin]) // 2 * 2, at + (limit[thin] - at) // 2 * 2
        pairs = holdout.cut(values, first, at, last, 2 * history, 2 * ahead).reshape(len(thin), history + ahead, 2)
        one = np.where(np.isfinite(pairs), pairs, pairs[..., ::-1])
        y[thin] = one[..., 0] / 2 + one[..., 1] / 2
    return y


def thinned_hints(hints: I64, every: I64) -> I64:
    """Hints [HINTS] for windows with `every` [n]: [n, HINTS]; a period that is then no whole number of at least 2 is left out."""
    whole = (hints[None, :] % every[:, None] == 0) & (hints[None, :] // every[:, None] >= 2)
    return np.where(whole, hints[None, :] // every[:, None], 0)


def augment(y: F32, history: int, how: Augmentation, rng: np.random.Generator) -> F32:
    """Windows [n, L + S] with signs flipped, swollen, and with noise. (Thinning and shifts are done where windows are cut.)"""
    n, length = y.shape
    chance = rng.random((n, 3))
    size = rng.uniform(-1, 1, (n, 2))
    seen = np.isfinite(y[:, :history])
    count = np.maximum(seen.sum(axis=1), 1)
    mean = np.where(seen, y[:, :history], 0).sum(axis=1, dtype=np.float64) / count
    apart = y - mean[:, None]  # float64
    spread = np.sqrt((np.where(seen, apart[:, :history], 0) ** 2).sum(axis=1) / count)
    growth = np.where(chance[:, 0] < how.swell, size[:, 0] * how.largest_swell, 0)
    apart *= np.exp(growth[:, None] * np.linspace(-0.5, 0.5, length))
    noise = np.where(chance[:, 1] < how.jitter, size[:, 1] * how.largest_jitter, 0) * spread
    rows = np.flatnonzero(noise)
    if len(rows):
        apart[rows, :history] += noise[rows, None] * rng.standard_normal((len(rows), history), dtype=np.float32)
    sign = np.where(chance[:, 2] < how.sign_flip, -1.0, 1.0)
    largest = np.finfo(np.float32).max
    return (np.clip((mean[:, None] + apart) * sign[:, None], -largest, largest)).astype(np.float32)


def some_patches(rng: np.random.Generator, n: int, count: int, most: int) -> I64:
    """For each of n windows, min(count, most) of the `count` future patches, rising, each as likely: [n, F]."""
    if count <= most:
        return np.broadcast_to(np.arange(count, dtype=np.int64), (n, count)).copy()
    return np.sort(rng.random((n, count)).argsort(axis=1)[:, :most], axis=1).astype(np.int64)
