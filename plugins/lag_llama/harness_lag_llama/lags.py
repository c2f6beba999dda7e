"""Which lags a token has: in steps, whatever the frequency of the series.

The authors take what gluonts proposes (`get_lags_for_frequency`) for seven frequencies, quarter to second, all together: a few steps around
whole cycles before the step that is forecast. They are counted here from the token, which is one step before that: lag 0 is its own value.
"""

from __future__ import annotations

__all__ = ["LAGS", "cycles"]

LEAST, MOST = 8, 1200
CYCLES = (
    # steps of a cycle, how many cycles back, steps on either side
    (4, 3, 1),  # quarters of a year
    (12, 3, 1),  # months of a year
    (52, 3, 1),  # weeks of a year
    (28, 3, 0),  # days of 4, 8 and 12 weeks
    (7, 4, 1),  # days of a week
    (30, 1, 1),  # days of a month
    (364, 3, 1),  # days of 52 weeks
    (24, 7, 1),  # hours of a day
    (168, 4, 1),  # hours of a week
    (720, 1, 1),  # hours of a month
    (60, 3, 2),  # seconds of a minute, and minutes of an hour
)


def cycles() -> tuple[int, ...]:
    """The lags from those cycles, rising: 84 numbers from 0 to 1092."""
    around = {k * steps + d for steps, count, side in CYCLES for k in range(1, count + 1) for d in range(-side, side + 1)}
    return (0, *sorted(lag - 1 for lag in around if LEAST <= lag <= MOST))


LAGS = cycles()
