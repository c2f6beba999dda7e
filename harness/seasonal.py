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
CHUNK = 1 << 16  # values worked on together: their differences stay in the second-level cache
HOLE = 1 << 10  # unwanted values between two pieces up to which both are worked on together


def seasonal_error(series: SeriesSet | Channels, channel: NDArray[np.integer[Any]], cut: I64, season: int) -> F64:
    """Mean |y_t − y_{t−m}| over each window's whole context, in the unit of the series: float64 [N].

    `channel` [N] names the series and `cut` [N] the length T of the context. m is `season`, or 1 where `season` > T. Pairs with a
    missing (NaN or infinite) value are skipped. Without any pair (T ≤ m, or all missing) the result is 0, which the scores leave out
    like any other 0: gluonts masks that mean, then drops the mask and keeps the 0 below it. A constant series gives exactly 0.

    A result does not depend on which other windows are asked for, nor on their order; windows in the order of `TaskData` are fastest.
    """
    if season < 1:
        raise ValueError(f"seasonal_error() got season {season}; wanted a number of steps of at least 1")
    channels = series.target if isinstance(series, SeriesSet) else series
    owner: I64 = np.asarray(channel, np.int64)
    cut = np.asarray(cut, np.int64)
    short = cut < season
    if not short.any() and not _falls(owner, cut):
        return _mean(channels, owner, cut, season)
    result = np.zeros(len(cut))
    for lag, rows in ((season, np.flatnonzero(~short)), (1, np.flatnonzero(short))):
        rows = rows[np.lexsort((cut[rows], owner[rows]))]
        result[rows] = _mean(channels, owner[rows], cut[rows], lag)
    return result


def _falls(channel: I64, cut: I64) -> bool:
    """Whether the windows are out of order: by channel, then by cut."""
    fall = (channel[1:] == channel[:-1]) & (cut[1:] < cut[:-1])
    fall |= channel[1:] < channel[:-1]
    return bool(fall.any())


def _mean(channels: Channels, channel: I64, cut: I64, lag: int) -> F64:
    """The mean gap of windows ordered by channel, then cut."""
    if len(cut) == 0:
        return np.zeros(0)
    # Each series is cut into pieces, summed once each; a window is the sum of its whole pieces and of its part of the next one.
    last = _ends(channel[1:] != channel[:-1])  # [series] the longest window of each
    name, pieces = channel[last], cut[last] // PIECE + 1
    which = np.searchsorted(last, np.arange(len(cut)))  # [N] the window's series
    first = np.cumsum(pieces) - pieces  # [series] its first piece
    owner = np.repeat(np.arange(len(last)), pieces)  # [P] the piece's series
    low = (np.arange(len(owner)) - first[owner]) * PIECE
    begin, chunk = channels.begin[name], channels.chunk[name]
    whole = cut // PIECE  # [N]
    start = first[which]
    sums, counts = _sums(
        channels,
        chunk[owner],
        _edges(begin[owner], low, np.minimum(low + PIECE, cut[last][owner]), lag),
        start + whole,
        _edges(begin[which], whole * PIECE, cut, lag),
        lag,
    )
    spans = np.empty((len(cut), 2), np.int64)
    spans[:, 0], spans[:, 1] = start, start + whole
    total = sums[len(owner) :] + _between(sums, spans)
    pairs = np.maximum(cut - lag, 0) if counts is None else counts[len(owner) :] + _between(counts, spans)
    result: F64 = np.divide(total, pairs, out=np.zeros(len(cut)), where=pairs > 0)
    return result


def _edges(begin: I64, low: I64, high: I64, lag: int) -> I64:
    """Where in their chunk the steps t with low ≤ t < high and t ≥ lag lie: [K, 2]."""
    edges = np.empty((len(low), 2), np.int64)
    np.maximum(low, lag, out=edges[:, 0])
    np.maximum(high, edges[:, 0], out=edges[:, 1])
    edges += begin[:, None]
    return edges


def _sums(
    channels: Channels, chunk: NDArray[np.int32], pieces: I64, piece: I64, parts: I64, lag: int
) -> tuple[F64, NDArray[np.int64] | None]:
    """Sums of |y_t − y_{t−lag}| and numbers of such pairs over pieces, then parts of pieces: [P + N]; None if no value is missing.

    `pieces` [P, 2] are edges in `chunk` [P], `parts` [N, 2] are edges inside the piece with number `piece` [N], which never falls.
    """
    total = np.empty(len(pieces) + len(parts))
    count: NDArray[np.int64] | None = None
    # Pieces that are neighbours in memory are worked on together, straight from the chunk, with the little that lies between them.
    hole = (pieces[1:, 0] - pieces[:-1, 1]).view(np.uint64)  # unsigned, a step back is a long way, too
    part = pieces[:, 0] // CHUNK
    ends = _ends((hole > HOLE) | (part[1:] != part[:-1]) | (chunk[1:] != chunk[:-1])) + 1
    values, gaps, pad = np.empty(CHUNK + PIECE + lag), np.empty(CHUNK + PIECE + 1), len(pieces)
    inner = np.searchsorted(piece, ends)
    a = c = 0
    for b, d in zip(ends.tolist(), inner.tolist(), strict=True):
        low, high = int(pieces[a, 0]), int(pieces[b - 1, 1])
        value, gap = values[: high - low + lag], gaps[: high - low + 1]
        np.copyto(value, channels.chunks[chunk[a]][low - lag : high])
        with np.errstate(invalid="ignore"):  # inf − inf is missing like NaN
            np.subtract(value[lag:], value[:-lag], out=gap[:-1])
        np.abs(gap, out=gap)
        gap[-1] = 0.0  # where an edge may lie
        spans = np.concatenate([pieces[a:b], parts[c:d]])
        spans -= low
        sums = _between(gap, spans)
        if not np.isfinite(sums).all():
            if count is None:
                count = np.concatenate([np.diff(pieces, axis=1), np.diff(parts, axis=1)])[:, 0]
            good = np.isfinite(gap)
            gap[~good] = 0.0
            sums, pairs = _between(gap, spans), _between(good.astype(np.int64), spans)
            count[a:b], count[pad + c : pad + d] = pairs[: b - a], pairs[b - a :]
        total[a:b], total[pad + c : pad + d] = sums[: b - a], sums[b - a :]
        a, c = b, d
    return total, count


def _ends(changes: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Positions after which something changes, and the last one: [K - 1] -> [at most K]."""
    ends = np.ones(len(changes) + 1, np.bool_)
    ends[:-1] = changes
    return np.flatnonzero(ends)


def _between(values: NDArray[Any], spans: I64) -> NDArray[Any]:
    """Sums of values[a:b] for spans a ≤ b [K, 2], the same bits wherever they stand; b is a valid index."""
    sums: NDArray[Any] = np.add.reduceat(values, spans.reshape(-1))[::2]  # [K, 2] -> [K·2]; the sums from b to the next a are dropped
    sums[spans[:, 0] == spans[:, 1]] = 0
    return sums
