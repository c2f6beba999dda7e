"""Whether the values of a table have the season that is usual at their frequency. For proposals only.

The rule: r(k) is the autocorrelation at lag k of the changes from step to step, each series centred and scaled to variance 1, over all
series together. The season s is there where r(s) is above 0.1, above 3/√pairs, and above the mean of r(1) … r(s − 1). Changes and not
values, since whatever wanders is like itself at every lag; the mean, since what moves slowly has changes that are alike at short lags too.
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
LEAST = 0.1
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
    sums = np.zeros(season)
    pairs = np.zeros(season)
    for times, values in series:
        grid = _grid(freq, times, values)
        changes = np.diff(grid)
        there = np.isfinite(changes)
        if len(changes) < 2 * season or there.sum() < 2:
            continue
        changes = changes - changes[there].mean()
        spread = math.sqrt(float(np.mean(changes[there] ** 2)))
        if not 0 < spread < math.inf:
            continue
        changes = np.where(there, changes / spread, 0.0)
        for lag in range(1, season + 1):
            sums[lag - 1] += float(changes[:-lag] @ changes[lag:])
            pairs[lag - 1] += int((there[:-lag] & there[lag:]).sum())
    if not pairs.all():
        return 0, 0.0
    r = sums / pairs
    found = float(r[-1])
    there_is = found > max(LEAST, 3 / math.sqrt(pairs[-1])) and found > float(r[:-1].mean())
    return (season, found) if there_is else (0, 0.0)


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
