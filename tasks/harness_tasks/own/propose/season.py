"""Whether the values of a table have the season that is usual at their frequency. For proposals only.

The rule: of each series the centred mean over a season is taken away, so that neither a trend nor a slow wave is taken for a season, and
what is left is scaled to variance 1. r(k) is the correlation of values k steps apart, over all series together. The season s is there where
r(s) less the mean of r(1) … r(s − 1), if that is above 0, is above 2·√((1 + 2·Σ r(k)²) / pairs), Bartlett's error of an autocorrelation;
this bound is held between 0.1 and 0.5.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from harness import frequency

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["season_of", "usual_season"]

USUAL = {"D": 7, "W": 52}
"""Where the rule of `harness.frequency.season_length` has 1."""
LOW, HIGH = 0.1, 0.5
SEASONS = 3
"""A series has so many at least."""
WIDEST = 4
"""A grid has at most so many steps for each row; beyond it rows are taken in their order."""
DAY = 86_400_000_000


def usual_season(freq: str) -> int:
    """Steps of a week of days, a year of weeks, a day of hours, and so on; 1 where there is none.

    >>> [usual_season(freq) for freq in ("D", "B", "H", "15T", "W", "M", "2D", "A")]
    [7, 5, 24, 96, 52, 12, 1, 1]
    """
    return USUAL.get(freq, 0) or frequency.season_length(freq)


def season_of(freq: str, series: Iterable[tuple[Sequence[int], Sequence[float]]]) -> tuple[int, float]:
    """(season length, r) where the rule finds it, else (0, 0.0).

    Args:
        freq: as `harness.frequency` writes it.
        series: (times in microseconds, values) of each, in any order of time; no times = steps in their order; NaN = missing.
    """
    import numpy as np

    season = usual_season(freq)
    if season < 2:
        return 0, 0.0
    sums, earlier, later, pairs = np.zeros((4, season))
    for times, values in series:
        grid = _grid(freq, times, values)
        if len(grid) < SEASONS * season:
            continue
        rest = _without_mean(grid, season)
        there = np.isfinite(rest)
        spread = float(np.sqrt(np.mean(rest[there] ** 2))) if there.any() else 0.0
        if not 1e-9 * float(np.nanmax(np.abs(grid))) < spread < math.inf:
            continue
        rest, one = np.where(there, rest / spread, 0.0), there.astype(np.float64)
        for lag in range(1, season + 1):
            sums[lag - 1] += rest[:-lag] @ rest[lag:]
            earlier[lag - 1] += rest[:-lag] ** 2 @ one[lag:]
            later[lag - 1] += one[:-lag] @ rest[lag:] ** 2
            pairs[lag - 1] += one[:-lag] @ one[lag:]
    if not (earlier * later).all():
        return 0, 0.0
    r = sums / np.sqrt(earlier * later)
    found = float(r[-1])
    error = 2 * math.sqrt((1 + 2 * float(r[:-1] @ r[:-1])) / pairs[-1])
    there_is = found - max(float(r[:-1].mean()), 0.0) > min(max(LOW, error), HIGH)
    return (season, found) if there_is else (0, 0.0)


def _without_mean(grid: NDArray[np.float64], season: int) -> NDArray[np.float64]:
    """The values less the mean of the season around them, without half a season at either end; NaN where half of it is missing."""
    import numpy as np

    half = season // 2
    weights = np.ones(2 * half + 1)
    if season % 2 == 0:
        weights[[0, -1]] = 0.5  # a whole season, centred
    there = np.isfinite(grid)
    count = np.convolve(there.astype(np.float64), weights, "valid")
    total = np.convolve(np.where(there, grid, 0.0), weights, "valid")
    mean = np.where(count >= season / 2, total / np.maximum(count, 1), np.nan)
    return grid[half : len(grid) - half] - mean


def _grid(freq: str, times: Sequence[int], values: Sequence[float]) -> NDArray[np.float64]:
    """The values at their steps, NaN between; by their order where they have no times, and of months and longer."""
    import numpy as np

    known = np.asarray(values, np.float64)
    if not len(times):
        return known
    stamps = np.asarray(times, np.int64)
    order = np.argsort(stamps, kind="stable")
    stamps, known = stamps[order], known[order]
    multiple, base = frequency.split(freq)
    if base == "B":
        days = stamps // DAY
        steps = np.busday_count(np.datetime64(int(days[0]), "D"), days.astype("datetime64[D]"))
    elif base in frequency.SECONDS:
        steps = np.rint((stamps - stamps[0]) / (multiple * frequency.SECONDS[base] * 1_000_000)).astype(np.int64)
    else:
        return known
    if steps[-1] >= WIDEST * len(steps):
        return known
    grid = np.full(int(steps[-1]) + 1, np.nan)
    grid[steps] = known
    return grid
