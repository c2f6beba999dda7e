"""The seasonal error: how far the naive forecast of season m misses in sample. It scales MASE and MSIS.

Source: gluonts `ev/ts_stats.py`, as called by `evaluate_model(mask_invalid_label=True)`, with its float32 sums taken in float64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.forecast import F64, I64
from harness.series import Channels, SeriesSet

__all__ = ["seasonal_error"]

PIECE = 128  # steps summed at a time; the windows of a series share the sums of its pieces
CHUNK = 1 << 18  # values in memory at a time


def seasonal_error(series: SeriesSet | Channels, channel: NDArray[np.integer[Any]], cut: I64, season: int) -> F64:
    """Mean |y_t − y_{t−m}| over each window's whole context, in the unit of the series: float64 [N].

    `channel` [N] names the series and `cut` [N] the length T of the context. m is `season`, or 1 where `season` > T. Pairs with a
    missing (NaN or infinite) value are skipped. Without any pair (T ≤ m, or all missing) the result is 0, which the scores leave out
    like any other 0: gluonts masks that mean, then drops the mask and keeps the 0 below it. A constant series gives exactly 0.

    A result does not depend on which other windows are asked for, nor on their order.
    """
    if season < 1:
        raise ValueError(f"seasonal_error() got season {season}; wanted a number of steps of at least 1")
    channels = series.target if isinstance(series, SeriesSet) else series
    channel, cut = np.asarray(channel), np.asarray(cut, np.int64)
    result = np.zeros(len(cut))
    short = cut < season
    for lag, rows in ((season, np.flatnonzero(~short)), (1, np.flatnonzero(short))):
        if len(rows):
            result[rows] = _mean(channels, channel[rows], cut[rows], lag)
    return result


def _mean(channels: Channels, channel: NDArray[np.integer[Any]], cut: I64, lag: int) -> F64:
    # Each series is cut into whole pieces, summed once; a window is the running sum of those before it and a rest of its own.
    names, which = np.unique(channel, return_inverse=True)
    longest = np.zeros(len(names), np.int64)
    np.maximum.at(longest, which, cut)
    pieces = longest // PIECE
    first = np.zeros(len(names) + 1, np.int64)
    np.cumsum(pieces, out=first[1:])
    owner = np.repeat(np.arange(len(names)), pieces)  # [pieces]
    number = np.arange(first[-1]) - first[owner]
    total, count = _sums(channels, names[owner], number * PIECE, (number + 1) * PIECE, lag)
    _accumulate(total, first)
    running = np.cumsum(count)
    whole = cut // PIECE
    sums, pairs = _sums(channels, channel, whole * PIECE, cut, lag)
    held = np.flatnonzero(whole)
    last = first[which[held]] + whole[held] - 1
    sums[held] += total[last]
    before = first[which[held]]
    pairs[held] += running[last] - running[before] + count[before]
    return np.divide(sums, pairs, out=np.zeros(len(cut)), where=pairs > 0)


def _accumulate(total: F64, first: I64) -> None:
    """Running sums inside each series, in place; no sum passes from one series to the next, whose scale may be another."""
    pieces = np.diff(first)
    if pieces.max(initial=0) <= len(pieces):
        for rank in range(1, int(pieces.max(initial=0))):
            rows = first[:-1][pieces > rank] + rank
            total[rows] += total[rows - 1]
    else:
        for a, b in zip(first[:-1].tolist(), first[1:].tolist(), strict=True):
            np.cumsum(total[a:b], out=total[a:b])


def _sums(channels: Channels, channel: NDArray[np.integer[Any]], low: I64, high: I64, lag: int) -> tuple[F64, I64]:
    """Sum and number of the |y_t − y_{t−lag}| with low ≤ t < high, t ≥ lag; both values there. At most PIECE steps a row."""
    low = np.maximum(low, lag)
    width = np.maximum(high - low, 0)
    total, count = np.zeros(len(low)), np.zeros(len(low), np.int64)
    rows = np.flatnonzero(width)
    ends = np.cumsum(width[rows])
    edges = [0, *(np.searchsorted(ends, np.arange(CHUNK, int(ends[-1]), CHUNK)) + 1).tolist(), len(rows)] if len(rows) else [0]
    for a, b in zip(edges[:-1], edges[1:], strict=True):
        part = rows[a:b]
        if len(part) == 0:
            continue
        start, stop = low[part], low[part] + width[part]
        now = channels.cut(channel[part], start, stop)
        gap = now.values.astype(np.float64)
        with np.errstate(invalid="ignore"):  # inf − inf is missing like NaN
            gap -= channels.cut(channel[part], start - lag, stop - lag).values
        np.abs(gap, out=gap)
        count[part] = width[part]
        good = np.isfinite(gap)
        if not good.all():
            gap[~good] = 0.0
            count[part] = np.add.reduceat(good, now.offsets[:-1], dtype=np.int64)
        total[part] = np.add.reduceat(gap, now.offsets[:-1])
    return total, count
