"""Scales from the part of a series before a window's cut, for all windows at once.

Axes: N windows, S series, T their length. float64 throughout. A context begins where its series begins, so the sum over a context is the
sum over the series' earlier, shorter one and what came since: each value is looked at once, however many windows a series has.

`harness.seasonal` has the scale of GIFT-Eval, with its own rules (lag 1 for short contexts, infinite values missing); the rules here are
the plain ones that the other dialects start from. Series are worked on some at a time, about a million values; a longer one as a whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.arithmetic import divide
from harness.forecast import F64, I64
from harness.series import Channels

__all__ = ["mean_gaps", "standard_deviations"]

VALUES = 1 << 20  # worked on together


def mean_gaps(series: Channels, channel: NDArray[np.integer[Any]], cut: I64, lag: int, *, power: int = 1, observed: bool = False) -> F64:
    """Mean |y_t − y_{t−lag}|^power over each context, float64 [N]: the in-sample error of the naive forecast of season `lag`.

    Pairs with a NaN are skipped; an infinite gap stays. With `observed`, NaN values are first taken out, so that the lag counts observed
    values, and inf − inf makes the mean NaN. NaN where there is no pair.

    >>> from harness.forecast import Ragged
    >>> one = Channels.from_ragged(Ragged.from_rows([[1, 2, 4, np.nan, 8]]))
    >>> mean_gaps(one, np.array([0, 0]), np.array([3, 5]), 1).tolist()
    [1.5, 1.5]
    >>> mean_gaps(one, np.array([0, 0]), np.array([3, 5]), 1, observed=True).round(12).tolist()
    [1.5, 2.333333333333]
    """
    if lag < 1:
        raise ValueError(f"mean_gaps() got lag {lag}; wanted a number of steps of at least 1")
    result = np.full(len(cut), np.nan)
    order = np.lexsort((cut, channel))
    for rows, values, offsets, ends in _pieces(series, np.asarray(channel, np.int64)[order], np.asarray(cut, np.int64)[order]):
        if observed:
            values, offsets, ends = _without_missing(values, offsets, ends)
        total = len(values)
        first = np.repeat(offsets[:-1], np.diff(offsets))  # [T] where each value's series begins
        good = np.arange(total) - first >= lag
        gap = np.zeros(total + 1)  # the last place is where an edge may lie
        with np.errstate(invalid="ignore", over="ignore"):
            gap[lag:total] = np.abs(values[lag:] - values[:-lag]) ** power if lag < total else 0.0
        if not observed:
            good &= ~np.isnan(gap[:-1])
        gap[:-1][~good] = 0.0
        counts = np.concatenate([[0], np.cumsum(good)])
        owner, stop = ends[:, 0], offsets[ends[:, 0]] + ends[:, 1]
        result[order[rows]] = divide(_running(gap, owner, offsets[owner], stop), counts[stop] - counts[offsets[owner]])
    return result


def standard_deviations(series: Channels, channel: NDArray[np.integer[Any]], cut: I64) -> F64:
    """Population standard deviation of the finite values of each context, float64 [N]; NaN where there is none. One context a series.

    >>> from harness.forecast import Ragged
    >>> one = Channels.from_ragged(Ragged.from_rows([[1, np.nan, 3, 100]]))
    >>> standard_deviations(one, np.array([0]), np.array([3])).tolist()
    [1.0]
    """
    result = np.full(len(cut), np.nan)
    order = np.argsort(channel, kind="stable")
    for rows, values, offsets, _ in _pieces(series, np.asarray(channel, np.int64)[order], np.asarray(cut, np.int64)[order]):
        good = np.isfinite(values)
        which = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))[good]
        kept, size = values[good], len(offsets) - 1
        count = np.bincount(which, minlength=size)
        mean = divide(np.bincount(which, kept, size), count)
        # A second pass: the mean of squares less the square of the mean would lose all digits of a large level.
        result[order[rows]] = np.sqrt(divide(np.bincount(which, (kept - mean[which]) ** 2, size), count))
    return result


def _pieces(series: Channels, channel: I64, cut: I64) -> Iterator[tuple[slice, F64, I64, I64]]:
    """Windows in order of channel and cut, some series at a time: (windows, values [T], series' offsets [S + 1], [n, 2] series and cut)."""
    if len(cut) == 0:
        return
    last = np.flatnonzero(np.concatenate([channel[1:] != channel[:-1], [True]]))  # [S] each series' longest window
    first = np.concatenate([[0], last[:-1] + 1])
    load = np.concatenate([[0], np.cumsum(cut[last])])
    a = 0
    while a < len(last):
        b = max(a + 1, int(np.searchsorted(load, load[a] + VALUES, side="right")) - 1)
        names, length = channel[last[a:b]], cut[last[a:b]]
        rows = slice(int(first[a]), int(last[b - 1]) + 1)
        part = series.cut(names, np.zeros_like(length), length)
        owner = np.searchsorted(last[a:b], np.arange(rows.start, rows.stop))
        yield rows, part.values.astype(np.float64), part.offsets, np.stack([owner, cut[rows]], axis=1)
        a = b


def _without_missing(values: F64, offsets: I64, ends: I64) -> tuple[F64, I64, I64]:
    """The same without NaN values."""
    seen = ~np.isnan(values)
    before = np.concatenate([[0], np.cumsum(seen)])  # [T + 1] observed values before each place
    start = offsets[ends[:, 0]]
    cut = before[start + ends[:, 1]] - before[start]
    return values[seen], before[offsets], np.stack([ends[:, 0], cut], axis=1)


def _running(gap: F64, owner: I64, start: I64, stop: I64) -> F64:
    """Sums of gap[start:stop], [n]; the windows of an owner follow each other, each at least as long as the one before."""
    if len(owner) == 0:
        return np.empty(0)
    same = np.concatenate([[False], owner[1:] == owner[:-1]])
    begin = np.where(same, np.concatenate([[0], stop[:-1]]), start)
    spans = np.stack([begin, stop], axis=1)
    sums: F64 = np.add.reduceat(gap, spans.reshape(-1))[::2]  # [n, 2] -> [2·n]; the sums from one window's end on are dropped
    sums[begin == stop] = 0.0
    head = np.flatnonzero(~same)
    rank = np.arange(len(owner)) - np.repeat(head, np.diff(np.concatenate([head, [len(owner)]])))
    # Not a cumulative sum over all and a difference: a small series would drown in the digits of a large one before it.
    by_rank = np.argsort(rank, kind="stable")
    edges = np.searchsorted(rank[by_rank], np.arange(int(rank.max()) + 2))
    for a, b in zip(edges[1:-1].tolist(), edges[2:].tolist(), strict=True):
        rows = by_rank[a:b]
        sums[rows] += sums[rows - 1]
    return sums
