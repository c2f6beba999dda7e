"""Walk-forward folds over calendar years: for each year a model that learnt from what came before, and the year's windows to test it on.

Axes: T sessions, N test windows, F folds. A window cut at c knows the sessions before c; its label, a move over h sessions, is about what
happens from the close of c − 1 to that of c − 1 + h. A fold learns from the part [begin, end) of the series:

    begin    the first value of the series (expanding), or the first session that is at most so many years before the test year (rolling)
    end      the fold's first cut − purge − embargo

Purge, h sessions: a model may take any session of [begin, end) as a day to forecast from, and what follows that day within h sessions
must not be what the test year asks. Embargo, h more: nearness without overlap. Every outcome that can be learnt from therefore ends
`embargo` sessions, at least, before the close that the first window is asked about.

Years are calendar years by the date of the first label session. A test year needs `years` whole ones before it; data that begin after the
middle of January have no whole first year. The last year may be a part. Windows of one fold overlap where h > 1, which
the statistics that score them must know.

Source: the usual walk-forward; purge and embargo after López de Prado 2018, chapter 7, with the test part last.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError
from harness.forecast import I64
from harness_tasks.spy.text_rows import Dates

__all__ = ["Folds", "walk_forward"]

WHOLE = 15
"""Data that begin on one of so many first days of January have that year whole."""


@dataclass(frozen=True, eq=False)
class Folds:
    """N windows in order of time, F folds.

    Attributes:
        cut: int64 [N], the session of the first label; rising.
        fold: int32 [N], rising from 0.
        begin, end: int64 [F], the part [begin, end) that a fold learns from.
        year: int64 [F], the year that a fold tests.
    """

    cut: I64
    fold: NDArray[np.int32]
    begin: I64
    end: I64
    year: I64

    def __len__(self) -> int:
        return len(self.year)


def walk_forward(
    days: Dates,
    horizon: int,
    *,
    years: int = 10,
    rolling: bool = False,
    purge: int | None = None,
    embargo: int | None = None,
    first: int = 0,
    from_year: int | None = None,
) -> Folds:
    """Cut sessions [T] into folds, one a year.

    Args:
        days: datetime64[D] [T], rising.
        horizon: h, sessions from the last known close to the one that is asked about.
        years: least number of years to learn from, and with `rolling` the most too.
        rolling: whether a fold forgets what is older than `years`.
        purge: sessions left out before a fold's first cut, so that no outcome reaches into it; None = h.
        embargo: sessions left out besides; None = h.
        first: the first session that the series has a value at (h for a return over h sessions).
        from_year: test no year before this one; None = as soon as there are enough.

    Raises:
        ValueError: a number is out of range, or dates do not rise.
        DataError: there is no year to test.

    >>> days = np.arange("2018-01-02", "2021-01-11", dtype="datetime64[D]")
    >>> found = walk_forward(days, 5, years=2)
    >>> found.year.tolist(), days[found.cut[[0, -1]]].astype(str).tolist(), days[found.end].astype(str).tolist()
    ([2020, 2021], ['2020-01-01', '2021-01-06'], ['2019-12-22', '2020-12-22'])
    """
    gap = _check(days, horizon, years, purge, embargo, first)
    year_of = days.astype("datetime64[Y]").astype(np.int64) + 1970  # [T]
    # By the first session, not by the first value: the test years are then the same for all horizons.
    whole = int(year_of[0]) + (0 if (days[0] - days[0].astype("datetime64[Y]")).astype(np.int64) < WHOLE else 1)
    start = max(whole + years, from_year or 0)
    if from_year is not None and from_year > int(year_of[-1]):
        raise DataError(f"no session is in or after {from_year}, the first year to test: the last is on {days[-1]}; wanted an earlier year")
    cut = np.arange(first + 1, len(days) - horizon + 1, dtype=np.int64)
    cut = cut[year_of[cut] >= start]
    if not len(cut):
        raise DataError(
            f"{len(days)} sessions from {days[0]} to {days[-1]} leave no window of {horizon} sessions to test from {start} on; "
            f"wanted {years} whole years to learn from and a later session: bring more data or fewer years"
        )
    tested, opening, fold = np.unique(year_of[cut], return_index=True, return_inverse=True)
    end = cut[opening] - gap
    begin = np.full(len(tested), first, np.int64)
    if rolling:
        begin = np.maximum(begin, np.searchsorted(year_of, tested - years))
    if (end <= begin).any():
        row = int(np.flatnonzero(end <= begin)[0])
        raise DataError(
            f"the fold of {tested[row]} has {cut[opening[row]] - begin[row]} sessions to learn from, of which {gap} are left out "
            f"(purge and embargo); wanted more years"
        )
    return Folds(cut, fold.astype(np.int32), begin, end, tested)


def _check(days: Dates, horizon: int, years: int, purge: int | None, embargo: int | None, first: int) -> int:
    """How many sessions are left out before a fold's first cut."""
    if days.ndim != 1 or not np.issubdtype(days.dtype, np.datetime64):
        raise ValueError(f"days are {days.dtype} of shape {days.shape}; wanted datetime64[D] [T]")
    if horizon < 1 or years < 1:
        raise ValueError(f"horizon {horizon}, years {years}; wanted at least 1 of each")
    left_out = (horizon if purge is None else purge, horizon if embargo is None else embargo)
    if min(left_out) < 0:
        raise ValueError(f"purge {left_out[0]}, embargo {left_out[1]}; wanted 0 or more sessions")
    if not 0 <= first < len(days):
        raise DataError(f"{len(days)} sessions, of which the first {first} have no value; wanted years of them")
    if (np.diff(days) <= np.timedelta64(0, "D")).any():
        raise ValueError("days do not rise; wanted sessions in order of time, each once")
    return sum(left_out)
