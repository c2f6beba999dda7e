"""The days on which an instrument was traded, as its prices tell: closures, and weekends. Axis: T sessions, datetime64[D], rising.

No calendar of an exchange is needed: a missing day is seen as a gap. From 1998 to 2021 the New York Stock Exchange was closed for more than
a long weekend three times: 11 to 14 September 2001 (seven days between sessions), 2 January 2007 after New Year (five), 29 and 30 October
2012 (five).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from harness_tasks.spy.text_rows import Dates

__all__ = ["LONG_WEEKEND", "Gap", "gaps", "weekend_days"]

LONG_WEEKEND = 4
"""Most days from one session to the next around a weekend with a holiday."""


class Gap(NamedTuple):
    """From the session `before` to the next one, `after`, are so many `days`."""

    before: str
    after: str
    days: int


def gaps(days: Dates, longer_than: int = LONG_WEEKEND) -> list[Gap]:
    """Where more than so many days lie between one session and the next.

    >>> gaps(np.array(["2001-09-07", "2001-09-10", "2001-09-17"], "datetime64[D]"))
    [Gap(before='2001-09-10', after='2001-09-17', days=7)]
    """
    apart = np.diff(days).astype(np.int64)
    return [Gap(str(days[at]), str(days[at + 1]), int(apart[at])) for at in np.flatnonzero(apart > longer_than)]


def weekend_days(days: Dates) -> Dates:
    """Which of the sessions are Saturdays or Sundays.

    >>> weekend_days(np.array(["2020-01-03", "2020-01-04"], "datetime64[D]")).astype(str).tolist()
    ['2020-01-04']
    """
    weekday = (days.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday; Monday is 0
    return days[weekday >= 5]
