"""The six time features of a token: second, minute, hour, day of the week, of the month and of the year, each from -0.5 to 0.5.

They are what gluonts computes for the frequency "S", whatever the frequency of the series, from the period that the step is:

- what is finer than the frequency is 0, so an hour has no minutes and a day no hours;
- a week, month, quarter or year stands for its last day. A week ends on the day of its anchor (W-WED; W is W-SUN), a quarter or year
  with the month of it (Q-OCT; Q is Q-DEC).

A step before the series began has zeros, as the authors' padding has.

Axes: N windows, T steps.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from harness.forecast import F32, I64
from harness.frequency import shift, split

__all__ = ["features"]

DAYS = ("MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN")
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
SIZES = np.array([60, 60, 24, 7, 31, 366])  # values of each


def features(starts: NDArray[np.datetime64], freq: str, first: I64, count: int) -> F32:
    """Features [N, T, 6] of the T = `count` steps from step `first` [N] of each series on, which began at `starts` (datetime64[s] [N])."""
    steps = (first[:, None] + np.arange(count)).ravel()  # [N · T]
    times = shift(np.repeat(starts, count), freq, np.maximum(steps, 0))
    base = split(freq)[1]
    clock = times.astype(np.int64) % 86_400
    zero = np.zeros(len(times), np.int64)
    parts = (
        clock % 60 if base == "S" else zero,
        clock // 60 % 60 if base in "ST" else zero,
        clock // 3600 if base in "STH" else zero,
        *_days(times.astype("datetime64[D]"), base, freq),
    )
    out = np.stack(parts, axis=1) / (SIZES - 1) - 0.5  # [N · T, 6]
    out[steps < 0] = 0
    return out.reshape(len(starts), count, len(SIZES)).astype(np.float32)


def _days(day: NDArray[np.datetime64], base: str, freq: str) -> tuple[I64, I64, I64]:
    """Day of the week, of the month and of the year, from 0, of the last day of each period that `day` lies in."""
    anchor = re.sub(r"^[^-]*-?", "", freq).upper()
    if base == "W":
        last = DAYS.index(anchor) if anchor else 6
        day = day + ((last - _weekday(day)) % 7).astype("timedelta64[D]")
    elif base in ("M", "Q", "A"):
        length = {"M": 1, "Q": 3, "A": 12}[base]
        last = MONTHS.index(anchor) if anchor else 11
        if anchor and re.match(r"\d*[A-Z]+S-", freq):  # QS-OCT says where a quarter begins
            last -= 1
        month = day.astype("datetime64[M]")
        month = month + (last - month.astype(np.int64)) % length
        day = (month + 1).astype("datetime64[D]") - 1
    within_month = day - day.astype("datetime64[M]").astype("datetime64[D]")
    within_year = day - day.astype("datetime64[Y]").astype("datetime64[D]")
    return _weekday(day), within_month.astype(np.int64), within_year.astype(np.int64)


def _weekday(day: NDArray[np.datetime64]) -> I64:
    """From 0, a Monday; 1970 began on a Thursday."""
    weekday: I64 = (day.astype(np.int64) + 3) % 7
    return weekday
