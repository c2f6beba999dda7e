"""The table of one window: what is known of each step before its value is, equal to that of tabpfn-time-series 1.3.

Axes: T context rows, H horizon, C known covariates, F = C + 18 + 2·periods columns.

The columns, in this order (it matters: the network's ensemble shuffles them): the covariates; a running index; the year; sine and cosine of
the second, minute, hour, day of the week, day of the month, day of the year, week and month; sine and cosine of the periods found in the
context, zeros where fewer were found.

Rows with a missing target are left out before the index is counted, as the pipeline does: index and periods count observed values.
Sources: `tabpfn_time_series.features` and `pipeline`; each column is rounded to float32 there, and so it is here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.signal import find_peaks

from harness.forecast import F32, F64, I64

__all__ = ["calendar", "kept_rows", "seasons", "table"]

CYCLES = np.array([60, 60, 24, 7, 30.5, 365, 52, 12]) - 1  # of what counts from 0, as the pipeline has it
PEAK = 0.05
"""A peak of the spectrum counts from this share of the largest."""


def kept_rows(values: F32, context: int) -> tuple[I64, F64]:
    """Which of a context's steps [T'] are rows of the table, and their targets float64 [T].

    The newest `context` observed values. Where at most one value is observed, all steps are kept and a missing value is 0.
    """
    seen = np.isfinite(values)
    if seen.sum() <= 1:
        rows = np.arange(len(values), dtype=np.int64)[-context:]
        return rows, np.where(seen, values, 0)[rows].astype(np.float64)
    rows = np.flatnonzero(seen)[-context:].astype(np.int64)
    return rows, values[rows].astype(np.float64)


def table(target: F64, times: NDArray[np.datetime64], covariates: F64, periods: int) -> F64:
    """The features [T + H, F] of the rows of the context and of the horizon.

    Args:
        target: float64 [T], no missing value.
        times: datetime64[s] [T + H].
        covariates: float64 [T + H, C], NaN where missing.
        periods: how many seasonal periods to look for.
    """
    rows = len(times)
    index = np.arange(rows, dtype=np.float64)
    found = seasons(target, periods)
    season = np.zeros((rows, periods, 2))
    angle = 2 * np.pi * index[:, None] / found  # [T + H, found]
    season[:, : len(found), 0], season[:, : len(found), 1] = np.sin(angle), np.cos(angle)
    made = [calendar(times), season.reshape(rows, -1).astype(np.float32)]
    return np.concatenate([covariates, index[:, None], *made], axis=1)


def calendar(times: NDArray[np.datetime64]) -> F64:
    """The year and the sine and cosine of eight cycles of datetime64[s] [R]: [R, 17]."""
    days, months, years = (times.astype(f"datetime64[{unit}]") for unit in "DMY")
    second = (times - days).astype(np.int64)  # of the day
    weekday = (days.astype(np.int64) + 3) % 7  # 1970 began on a Thursday; Monday is 0
    thursday = days + (3 - weekday)  # the week of ISO 8601 belongs to the year of its Thursday
    week = (thursday - thursday.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64) // 7
    counts = [
        second % 60,
        second // 60 % 60,
        second // 3600,
        weekday,
        (days - months.astype("datetime64[D]")).astype(np.int64),
        (days - years.astype("datetime64[D]")).astype(np.int64),
        week,
        months.astype(np.int64) % 12,
    ]
    angle = 2 * np.pi * np.stack(counts, axis=1) / CYCLES  # [R, 8]
    waves = np.stack([np.sin(angle), np.cos(angle)], axis=2).reshape(len(times), -1)  # [R, 16]
    year = years.astype(np.int64) + 1970
    return np.concatenate([year[:, None].astype(np.float64), waves.astype(np.float32)], axis=1)


def seasons(target: F64, most: int) -> F64:
    """Periods in steps, at most `most`, the strongest first, of float64 [T] with T ≥ 2: whole numbers.

    The peaks of the spectrum of what is left of a straight line, under a Hann window, padded to twice its length.
    """
    steps = len(target)
    index = np.arange(steps)
    line = np.polyval(np.polyfit(index, target, 1), index)
    padded = np.zeros(2 * steps)
    padded[:steps] = (target - line) * np.hanning(steps)
    size = np.abs(fft.rfft(padded))
    size[0] = 0.0
    peaks, _ = find_peaks(size, height=PEAK * size.max())
    if len(peaks) == 0:
        peaks = np.arange(len(size))
    # The order of equal peaks is that of these very calls.
    top = peaks[np.argsort(size[peaks])[::-1]][:most]
    frequency = np.fft.rfftfreq(2 * steps)
    period = np.zeros(len(top))
    np.divide(1.0, frequency[top], out=period, where=frequency[top] > 0)
    period = np.round(period)
    top, period = top[period != 0], period[period != 0]
    period, first = np.unique(period, return_index=True)
    return period[np.argsort(-size[top[first]], kind="stable")]
