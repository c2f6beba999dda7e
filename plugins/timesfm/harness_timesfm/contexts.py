"""Histories made fit for the networks: no infinity, nothing missing at the start, no size that float32 cannot square.

Axes: N windows, T context, H horizon. Values are float32; NaN is missing, and so is infinity once a history is cleaned.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.forecast import F32, I64, Ragged

__all__ = ["Histories", "batches", "clean", "fill", "interpolate", "widths"]

LARGEST, SMALLEST = 2.0**50, 2.0**-17
"""Beyond these the networks lose a context: variances overflow, or a spread under 1e-6 is taken for a constant."""
FLOAT32 = float(np.finfo(np.float32).max)


@dataclass(frozen=True)
class Histories:
    """N cleaned histories in one buffer: row i is `values[begin[i]:end[i]]`, its first value observed; nothing of it where all is missing.

    What was cleaned is 2**exponent times what is here.
    """

    values: F32
    begin: I64
    end: I64
    exponent: I64
    infinite: int  # how many rows held an infinite value

    @property
    def lengths(self) -> I64:
        """int64 [N]; 0 where all is missing."""
        return self.end - self.begin

    def __getitem__(self, row: int) -> F32:
        """A view of one history."""
        return self.values[self.begin[row] : self.end[row]]

    def restore(self, forecasts: F32, rows: I64) -> F32:
        """Forecasts [n, Q, H] of these rows in the unit of what was cleaned; what float32 cannot hold becomes its largest number."""
        exponent = self.exponent[rows]
        if not exponent.any():
            return forecasts
        large = np.ldexp(forecasts.astype(np.float64), exponent[:, None, None].astype(np.int32))
        return np.clip(large, -FLOAT32, FLOAT32).astype(np.float32)


def clean(rows: Ragged) -> Histories:
    """Histories without infinities and without what is missing at their start; very large and very small ones times a power of two.

    The largest value of such a history then lies between 0.5 and 1. Multiplying by a power of two loses nothing.
    """
    known = np.isfinite(rows.values)
    values = np.where(known, rows.values, np.float32(np.nan))
    seen = np.concatenate([[0], np.cumsum(known)])
    places = np.append(np.flatnonzero(known), len(values))
    begin, end = rows.offsets[:-1], rows.offsets[1:]
    first = np.minimum(places[seen[begin]], end)  # the first observed value at or after the beginning
    largest = np.zeros(len(rows), np.float32)
    filled = np.flatnonzero(end > begin)
    if len(filled):
        largest[filled] = np.maximum.reduceat(np.where(known, np.abs(values), np.float32(0)), begin[filled])
    odd = (largest > LARGEST) | ((largest < SMALLEST) & (largest > 0))
    exponent = np.where(odd, np.frexp(largest)[1], 0).astype(np.int64)
    for row in np.flatnonzero(odd).tolist():
        part = slice(begin[row], end[row])
        values[part] = np.ldexp(values[part], -int(exponent[row]))
    infinite = np.concatenate([[0], np.cumsum(np.isinf(rows.values))])
    return Histories(values, first, end, exponent, int(((infinite[end] - infinite[begin]) > 0).sum()))


def widths(lengths: I64, context: int, patch: int) -> I64:
    """The width [N] that each history is padded to, in steps: a multiple of `patch` that follows from its own length.

    Up to eight patches are taken as they are; beyond, there are four widths to each doubling, so that histories of many lengths share a
    few widths and a fifth of the work at most is padding.

    >>> widths(np.array([3, 33, 300, 5000]), 2048, 32).tolist()
    [32, 64, 320, 2048]
    """
    patches = -(-np.minimum(lengths, context) // patch)
    doubling = np.floor(np.log2(np.maximum(patches - 1, 1))).astype(np.int64)
    step = 2 ** np.maximum(doubling - 2, 0)
    return np.minimum(-(-patches // step) * step * patch, context)


def batches(keys: NDArray[np.int64]) -> Iterator[tuple[tuple[int, ...], I64]]:
    """Rows [n] that share a key, for each key in rising order; `keys` is [N] or [N, K]."""
    if not len(keys):
        return
    table = keys.reshape(len(keys), -1)
    found, which = np.unique(table, axis=0, return_inverse=True)
    which = which.reshape(-1)
    for number, key in enumerate(found.tolist()):
        yield tuple(key), np.flatnonzero(which == number)


def interpolate(history: F32) -> F32:
    """One history [T], with a value in it, with what is missing on the line between its neighbours, as the libraries do it."""
    known = np.isfinite(history)
    if known.all():
        return history
    step = np.arange(len(history))
    filled: F32 = np.where(known, history, np.interp(step, step[known], history[known])).astype(np.float32)
    return filled


def fill(values: F32) -> F32:
    """Missing values [N, T] on the line between their neighbours; before the first and after the last as that one. 0 where all is missing.

    >>> fill(np.array([[np.nan, 1, np.nan, 3, np.nan]], np.float32)).tolist()
    [[1.0, 1.0, 2.0, 3.0, 3.0]]
    """
    known = np.isfinite(values)
    width = values.shape[1]
    step = np.arange(width)
    before = np.maximum.accumulate(np.where(known, step, -1), axis=1)  # [N, T] the last known step, -1 if none
    after = np.minimum.accumulate(np.where(known, step, width)[:, ::-1], axis=1)[:, ::-1]  # the next one, T if none
    left, right = np.where(before >= 0, before, after), np.where(after < width, after, before)
    left, right = np.clip(left, 0, width - 1), np.clip(right, 0, width - 1)
    rows = np.arange(len(values))[:, None]
    y = np.where(known, values, np.float32(0)).astype(np.float64)
    share = np.where(right > left, (step - left) / np.maximum(right - left, 1), 0.0)
    return (y[rows, left] + share * (y[rows, right] - y[rows, left])).astype(np.float32)
