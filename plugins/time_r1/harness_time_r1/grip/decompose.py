"""Trend, season and change points of a short series. numpy only.

Axes: H steps. NaN is missing: passed over in every mean, and no change point is next to it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["WIDTH", "decompose", "extrema", "matches", "released_extrema", "released_parts"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.intp]
WIDTH = 5
"""Steps of the moving average where there is no season."""


def decompose(values: F64, season_length: int) -> tuple[F64, F64]:
    """[H] trend and [H] season of a series [H]; what is left is neither.

    The trend is the centred moving average over m steps, the two outermost at half weight where m is even; near an end it is the mean of
    the steps that there are. The season is the mean of what is left at each of the m phases, less the mean of these means. m = 1: the
    trend is over `WIDTH` steps, and the season is 0.

    Both are linear: the parts of a difference are the differences of the parts, as long as the same values are missing.

    >>> trend, season = decompose(np.array([1.0, 2.0, 3.0, 1.0, 2.0, 3.0]), 3)
    >>> trend.round(2).tolist()
    [1.5, 2.0, 2.0, 2.0, 2.0, 2.5]
    >>> season.round(2).tolist()  # phases: means of (-.5, -1), (0, 0), (1, .5), less their mean 0
    [-0.75, 0.0, 0.75, -0.75, 0.0, 0.75]
    """
    count = len(values)
    width = season_length if season_length > 1 else WIDTH
    weights = np.ones(width + (width % 2 == 0))
    if width % 2 == 0:
        weights[[0, -1]] = 0.5
    known = np.isfinite(values)
    half = (len(weights) - 1) // 2
    inside = slice(half, half + count)
    sums = np.convolve(np.where(known, values, 0.0), weights)[inside]
    shares = np.convolve(known.astype(np.float64), weights)[inside]
    with np.errstate(invalid="ignore"):
        trend = np.where(shares > 0, sums / np.maximum(shares, 1e-300), np.nan)
    trend = np.where(known, trend, np.nan)
    if season_length <= 1:
        return trend, np.where(known, 0.0, np.nan)
    rest = np.where(known, values - trend, 0.0)
    phase = np.arange(count) % season_length
    number = np.bincount(phase[known], minlength=season_length)
    means = np.bincount(phase, rest, minlength=season_length) / np.maximum(number, 1)
    means -= means[number > 0].mean() if known.any() else 0.0
    return trend, np.where(known, means[phase], np.nan)


def extrema(values: F64) -> tuple[I64, I64]:
    """The places of strict local maxima and of strict local minima: above, or below, both neighbours. Ends and plateaus are none.

    >>> [places.tolist() for places in extrema(np.array([0.0, 2.0, 1.0, 1.0, 0.0, 3.0]))]
    [[1], [4]]
    """
    before, here, after = values[:-2], values[1:-1], values[2:]
    with np.errstate(invalid="ignore"):
        return np.flatnonzero((here > before) & (here > after)) + 1, np.flatnonzero((here < before) & (here < after)) + 1


def matches(found: I64, wanted: I64, tolerance: int) -> int:
    """How many pairs no more than `tolerance` steps apart can be made, each place in one pair at most. Both are sorted.

    >>> matches(np.array([3, 4, 9]), np.array([4, 8]), 1), matches(np.array([3, 5]), np.array([4]), 1)
    (2, 1)
    """
    pairs = row = column = 0
    while row < len(found) and column < len(wanted):
        if abs(int(found[row]) - int(wanted[column])) <= tolerance:
            pairs, row, column = pairs + 1, row + 1, column + 1
        elif found[row] < wanted[column]:
            row += 1
        else:
            column += 1
    return pairs


def released_parts(values: F64) -> tuple[F64, F64]:
    """[H] trend and [H] rest as the released code has them: a mean over 25 steps, the first and the last value repeated 12 times."""
    known = np.isfinite(values)
    filled = np.interp(np.arange(len(values)), np.flatnonzero(known), values[known]) if known.any() else np.zeros(len(values))
    trend = np.convolve(np.pad(filled, 12, mode="edge"), np.full(25, 1 / 25), mode="valid")
    return np.where(known, trend, np.nan), np.where(known, filled - trend, np.nan)


def released_extrema(values: F64) -> tuple[I64, I64]:
    """Places no less, or no more, than two neighbours on each side; the series goes on as (x2, x1) before it and (x−2, x−1) behind it.

    Every step of a constant series is both.

    >>> [places.tolist() for places in released_extrema(np.array([5.0, 5.0, 5.0]))]
    [[0, 1, 2], [0, 1, 2]]
    """
    around = np.concatenate([values[[2, 1]], values, values[[-2, -1]]])
    shifted = np.stack([around[i : i + len(values)] for i in (0, 1, 3, 4)])  # [4, H] neighbours
    with np.errstate(invalid="ignore"):
        return np.flatnonzero((values >= shifted).all(axis=0)), np.flatnonzero((values <= shifted).all(axis=0))
