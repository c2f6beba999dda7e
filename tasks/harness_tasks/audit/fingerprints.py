"""Fingerprints of places in series that scale (also negative), offset, a cut and a shift in time leave as they are.

Everything is taken from differences d[t] = x[t+1] − x[t], which know no offset. A place is chosen by what the series holds there: a
difference that is above (or below) the `RADIUS` before it and behind it. Its fingerprint is a hash of the order of the `WIDTH` differences
around it: the dense ranks, counted from the other end where the place is a low, so that x and −x have the same. Ranks that lie closer than
`TIE` of the window's range are one, so that float32 and float64 of one series agree and equal steps stay equal after scaling.

Windows that hold too little to be told apart have no fingerprint: fewer than `DISTINCT` ranks (constants, counts of few values), or fewer
than `TURNS` turns up or down (lines, slow sines, smooth curves), or a missing value.

Series that rest most of the time have fingerprints of a second kind: the order of `CHANGES` changes and the steps between them, where the
longest rest of five is in the middle. Of these pairs of rank and rest, `DISTINCT` must be different. Their hashes are odd, the others even.

Axes: A places.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from harness.forecast import F64, I64, U64

__all__ = ["SPAN", "WIDTH", "fingerprints", "of_rests"]

RADIUS = 3
HALF = 8
WIDTH = 2 * HALF + 1
SPAN = WIDTH + 1
"""Values under one fingerprint."""
DISTINCT = 8
TURNS = 4
TIE = 1e-3
LARGEST = 2.0**1019
"""Of larger values the differences, or the range of these, may be more than float64 holds."""
CHANGES, RESTS = 16, 8
"""Changes under a fingerprint of the second kind, and how many steps without a change are among them at least."""
MANY = 1 << 16
"""Windows that are in memory at one time."""

_WEIGHTS = np.random.default_rng(20_261_128).integers(1, 2**63, WIDTH, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
_MIX = np.uint64(0x9E3779B97F4A7C15)


def fingerprints(values: F64) -> tuple[I64, U64]:
    """(positions int64 [A] of the first of the `SPAN` values under each fingerprint, hashes uint64 [A]).

    Args:
        values: float64 [n], one series or several with a NaN between them; nothing is found across a value that is not finite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if (np.abs(values) > LARGEST).any():
            values = values * 2.0**-4  # which no rank sees
        steps = np.diff(values)
        if len(steps) < WIDTH:
            return np.empty(0, np.int64), np.empty(0, np.uint64)
        highs, lows = _peaks(steps, 1.0), _peaks(steps, -1.0)
        at = np.concatenate([highs, lows])
        sign = np.repeat([1.0, -1.0], [len(highs), len(lows)])
        views = np.lib.stride_tricks.sliding_window_view(steps, WIDTH)
        positions, hashes = [np.empty(0, np.int64)], [np.empty(0, np.uint64)]
        for low in range(0, len(at), MANY):
            part = at[low : low + MANY] - HALF
            kept, made = _hashes(views[part] * sign[low : low + MANY, None])
            positions.append(part[kept])
            hashes.append(made & ~np.uint64(1))
        for part, made in _rests(steps):
            positions.append(part)
            hashes.append(made | np.uint64(1))
    return np.concatenate(positions), np.concatenate(hashes)


def of_rests(hashes: U64) -> NDArray[np.bool_]:
    """Which fingerprints are of the second kind."""
    odd: NDArray[np.bool_] = (hashes & np.uint64(1)).astype(np.bool_)
    return odd


def _rests(steps: F64) -> Iterator[tuple[I64, U64]]:
    """Positions and hashes of the second kind."""
    changed = np.flatnonzero(steps != 0)  # NaN is a change, which makes the windows about it worth nothing
    if len(steps) - len(changed) < RESTS or len(changed) < CHANGES + 1:
        return
    gaps = np.diff(changed)
    middle = CHANGES // 2
    first = np.arange(len(changed) - CHANGES + 1)
    longest = gaps[first + middle - 1]
    chosen = changed[first + CHANGES - 1] - changed[first] >= CHANGES - 1 + RESTS
    for k in (-2, -1, 1, 2):
        chosen &= longest > gaps[first + middle - 1 + k]
    at = np.flatnonzero(chosen)
    moves = np.lib.stride_tricks.sliding_window_view(steps[changed], CHANGES)
    rests = np.lib.stride_tricks.sliding_window_view(gaps, CHANGES - 1)
    for low in range(0, len(at), MANY):
        part = at[low : low + MANY]
        window = moves[part]
        ranks, span = _ranks(window * np.sign(window[:, middle : middle + 1]))
        pairs = ranks.astype(np.int64)
        pairs[:, 1:] += rests[part] * CHANGES
        ordered = np.sort(pairs[:, 1:], axis=1)
        kept = np.isfinite(span) & (1 + (np.diff(ordered, axis=1) > 0).sum(axis=1) >= DISTINCT)
        yield changed[part[kept]], _mixed(pairs[kept].astype(np.uint64) @ _WEIGHTS[:CHANGES])


def _peaks(steps: F64, sign: float) -> I64:
    """Positions of differences that are strictly above their neighbours on either side; not near the ends."""
    d = steps if sign > 0 else -steps
    middle = d[HALF : len(d) - HALF]
    at: I64 = np.flatnonzero((middle > d[HALF - 1 : len(d) - HALF - 1]) & (middle > d[HALF + 1 : len(d) - HALF + 1])) + HALF
    for k in range(2, RADIUS + 1):
        at = at[(d[at] > d[at - k]) & (d[at] > d[at + k])]
    return at


def _hashes(windows: F64) -> tuple[NDArray[np.bool_], U64]:
    """Which of the windows [A, WIDTH] have a fingerprint, and theirs."""
    ranks, span = _ranks(windows)
    moves = np.sign(np.diff(ranks, axis=1))
    turns = (moves[:, 1:] * moves[:, :-1] < 0).sum(axis=1)
    kept = np.isfinite(span) & (ranks.max(axis=1) >= DISTINCT - 1) & (turns >= TURNS)
    return kept, _mixed(ranks[kept].astype(np.uint64) @ _WEIGHTS)


def _ranks(windows: F64) -> tuple[NDArray[np.int8], F64]:
    """(dense ranks int8 of the shape of the windows, the range of each [A], not finite where one of its values is not)."""
    order = np.argsort(windows, axis=1)
    ordered = np.take_along_axis(windows, order, axis=1)
    span = ordered[:, -1] - ordered[:, 0]  # NaN sorts last, and infinities make one
    level = np.zeros(windows.shape, np.int8)
    np.cumsum(np.diff(ordered, axis=1) > TIE * span[:, None], axis=1, out=level[:, 1:])
    ranks = np.empty_like(level)
    np.put_along_axis(ranks, order, level, axis=1)
    return ranks, span


def _mixed(sums: U64) -> U64:
    sums = (sums ^ (sums >> np.uint64(29))) * _MIX
    return sums ^ (sums >> np.uint64(32))
