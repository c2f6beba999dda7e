"""Daily prices of one instrument, adjusted for dividends and splits and checked, before anything is computed from them.

Axis: T sessions, oldest first. Prices and volumes are float64: what models see is made of them as float32 (`harness_tasks.spy.targets`).

All four prices of a day are on one adjustment, or the high of a day would not compare with the close before it. In this order:

* a factor file (Lean's, see `harness_tasks.spy.factors`): all by price factor × split factor, volume divided by the split factor;
* else a column of adjusted closes: all by adjusted close / close; the volume stays, as one cannot tell splits from dividends;
* else columns of splits and dividends (both in `harness_tasks.spy.adjust`), where prices do not have the splits yet;
* else as they are: right for an index, or a file that somebody has adjusted (a vendor's "auto adjust").

A day without any price (a vendor's row of "null") is no session and is left out, which `notes` says. What cannot be: dates that do not
rise; a high below, or a low above, open or close; prices that are not positive; a high or low more than twice, or less than half, the
day's close; adjusted prices that are too large or too small for float32; and a close that differs from the one before by more than a log
return of 0.4 (of indices, none ever did; an unadjusted split of 3:2 does). Of prices that nobody adjusted, moves of more than 0.2 are told,
as splits of 5:4 and 7:5 look like them. Weekends: see `_check_weekends`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.errors import DataError
from harness.forecast import F64
from harness_tasks.spy.adjust import by_adjusted_close, by_events
from harness_tasks.spy.factors import read_factors
from harness_tasks.spy.price_files import PriceColumns, read_price_columns
from harness_tasks.spy.sessions import weekend_days
from harness_tasks.spy.text_rows import Dates

__all__ = ["JUMP", "Prices", "read_prices"]

JUMP = 0.4
"""Largest believable |log return| from close to close."""
SPLIT = 0.2
"""A |log return| that a small split makes, and a bad day: it is told."""
REACH = 2.0
"""How many times the day's close a high may be, or the close its low: on 19 October 1987 the index's high was 1.26 times its close."""
TOLERANCE = 1e-4
"""By what share a high may lie below open or close: vendors round adjusted prices."""
FOUR = ("open", "high", "low", "close")


@dataclass(frozen=True, eq=False)
class Prices:
    """T sessions.

    Attributes:
        date: datetime64[D] [T], rising.
        open, high, low, close: float64 [T], positive, on one adjustment.
        volume: float64 [T], NaN where unknown.
        adjustment: "factors", "adjusted close", "splits and dividends" or "none": how they were adjusted.
        notes: what the reader should be told: days left out, sessions on weekends, moves that may be splits.
    """

    date: Dates
    open: F64
    high: F64
    low: F64
    close: F64
    volume: F64
    adjustment: str = "none"
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.date)


def read_prices(path: str | Path, factors: str | Path | None = None) -> Prices:
    """Read, adjust and check a file of daily prices; `factors` is Lean's factor file for unadjusted ones.

    Raises:
        DataError: a file cannot be read, or a price in it cannot be; with its line or date, and what to do.
    """
    columns, notes = _sessions(read_price_columns(Path(path)))
    _check_dates(columns)
    _check_bars(columns)
    notes += _check_weekends(columns)
    scale, split, adjustment = np.ones(len(columns.date)), np.ones(len(columns.date)), "none"
    if factors is not None:
        found = read_factors(Path(factors))
        found.check(columns.date, columns.close)
        dividends, split = found.at(columns.date)
        scale, adjustment = dividends * split, "factors"
        if columns.adjusted is not None:
            notes.append("the file's adjusted closes are left alone, as a factor file is given")
    elif columns.adjusted is not None:
        scale, adjustment = by_adjusted_close(columns), "adjusted close"
    else:
        scale, split, adjustment, more = by_events(columns)
        notes += more
    with np.errstate(over="ignore"):
        bar, volume = [getattr(columns, name) * scale for name in FOUR], columns.volume / split
    _check_sizes(columns, np.stack(bar))
    columns.refuse(np.isinf(volume), _told(columns, "the adjusted volume is infinite"), "a number of shares")
    if adjustment == "none" and columns.splits is None:
        notes += _small_splits(columns)
    prices = Prices(columns.date, bar[0], bar[1], bar[2], bar[3], volume, adjustment, tuple(notes))
    _check_jumps(prices, columns)
    return prices


def _sessions(columns: PriceColumns) -> tuple[PriceColumns, list[str]]:
    """Without the rows that have no price at all; a row that lacks some is an error."""
    missing = np.stack([np.isnan(getattr(columns, name)) for name in FOUR])  # [4, T]
    none = missing.all(axis=0)
    some = np.asarray(missing.any(axis=0) & ~none)

    def lacking(row: int) -> str:
        return f"no {', '.join(name for name, gone in zip(FOUR, missing[:, row], strict=True) if gone)}"

    columns.refuse(some, lacking, "all four prices, or none")
    if none.all():
        raise DataError(f"{columns.place.path}: no row has prices; wanted a price in open, high, low and close of each session")
    if not none.any():
        return columns, []
    for name in ("splits", "dividends"):
        events = getattr(columns, name)
        if events is None or columns.adjusted is not None:
            continue
        lost = none & (np.nan_to_num(events) != 0) & ~((events == 1) & (name == "splits"))
        columns.refuse(lost, _alone(name, events), "it on the first session with the new prices")
    kept: dict[str, Any] = {name: column[~none] if isinstance(column, np.ndarray) else column for name, column in vars(columns).items()}
    return replace(columns, **kept), [f"{int(none.sum())} rows without any price are left out, the first on {columns.date[none][0]}"]


def _alone(name: str, events: F64) -> Callable[[int], str]:
    return lambda row: f"{events[row]:g} in the column of {name} and no price"


def _told(columns: PriceColumns, what: str) -> Callable[[int], str]:
    """What is wrong with a row, and all its numbers."""
    return lambda row: f"{what}: " + ", ".join(f"{name} {getattr(columns, name)[row]:g}" for name in (*FOUR, "volume"))


def _check_weekends(columns: PriceColumns) -> list[str]:
    """Refuse dates that a time zone has shifted, and note other sessions on weekends.

    Fine: both days of the weekend, as where trade never stops; a few (1 %); Sundays by date alone, as of exchanges that close on Fridays.
    """
    weekday = (columns.date.astype(np.int64) + 3) % 7  # Monday is 0
    count = np.bincount(weekday, minlength=7)
    if not count[5:].any():
        return []
    many, first = int(count[5:].sum()), weekend_days(columns.date)[0]
    said = f"{many} sessions are on weekends, the first on {first}"
    always = 2 * min(count[5], count[6]) > count[:5].mean()
    saturdays = count[5] > 2 * count[0]  # Tuesday to Saturday: no exchange
    if many > 0.01 * len(columns.date) and many > 1 and not always and (columns.timed or saturdays):
        why = "stamps are in another time zone than the exchange's" if columns.timed else "each is a day late"
        raise DataError(
            f"{columns.place.at(int(columns.row[weekday >= 5][0]))}: {said}, and not on all of them: {why}, and the day that is written is "
            "taken; wanted the exchange's day alone, as 2019-01-02, or in Parquet a column in the exchange's time zone"
        )
    return [f"{said}: fine where trade goes on, else the dates are shifted"]


def _small_splits(columns: PriceColumns) -> list[str]:
    moves = np.diff(np.log(columns.close))
    large = np.flatnonzero(np.abs(moves) > SPLIT)
    if not len(large):
        return []
    ratio, day = float(np.exp(moves[large[0]])), columns.date[large[0] + 1]
    return [
        f"{len(large)} closes are more than a log return of {SPLIT} from the one before, the first {ratio:.3g} times it, on {day}: where "
        "that was a split, as 5:4 or 7:5, give a factor file, or a column of splits"
    ]


def _check_dates(columns: PriceColumns) -> None:
    back = np.flatnonzero(np.diff(columns.date) <= np.timedelta64(0, "D"))
    if not len(back):
        return
    row = int(back[0]) + 1
    day, before, place = columns.date[row], columns.date[row - 1], columns.place.at(int(columns.row[row]))
    if day == before:
        raise DataError(f"{place}: a second row for {day}; wanted one a day")
    raise DataError(f"{place}: {day} after {before}; wanted the oldest day first: sort the file by date")


def _check_bars(columns: PriceColumns) -> None:
    four = np.stack([getattr(columns, name) for name in FOUR])  # [4, T]
    top, bottom = np.maximum(columns.open, columns.close), np.minimum(columns.open, columns.close)
    with np.errstate(divide="ignore", invalid="ignore"):  # what is not positive is refused first
        far = (np.abs(np.log(four[1:3]) - np.log(columns.close)) > np.log(REACH)).any(axis=0)
    near = f"one within {REACH:g} times, or 1/{REACH:g} of, the close"
    for wrong, what, wanted in (
        (~((four > 0) & np.isfinite(four)).all(axis=0), "a price is not a positive number", "all four above zero"),
        (columns.high < top * (1 - TOLERANCE), "the high is below open or close", "the highest price of the day"),
        (columns.low > bottom * (1 + TOLERANCE), "the low is above open or close", "the lowest price of the day"),
        (far, "the high or the low is too far off", near),
        ((columns.volume < 0) | np.isinf(columns.volume), "the volume is below zero or infinite", "a number of shares, or nothing"),
    ):
        columns.refuse(wrong, _told(columns, what), wanted)


def _check_sizes(columns: PriceColumns, bar: F64) -> None:
    """Models see float32: adjusted prices [4, T] must be what that can hold with all its digits."""
    least, most = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
    held = np.asarray(np.logical_and(bar >= least, bar <= most).all(axis=0), np.bool_)
    what = f"a price, adjusted, is not within {least:.2g} and {most:.2g}, what float32 holds"
    columns.refuse(~held, _told(columns, what), "prices in another unit")


def _check_jumps(prices: Prices, columns: PriceColumns) -> None:
    moves = np.diff(np.log(prices.close))
    wild = np.flatnonzero(np.abs(moves) > JUMP)
    if not len(wild):
        return
    row = int(wild[0]) + 1
    ratio = float(np.exp(moves[wild[0]]))
    hint = (
        f"is this a split? Put the instrument's factor file beside it, as {columns.place.path.name.split('.')[0]}_factors.csv, or bring "
        "adjusted prices"
        if prices.adjustment == "none"
        else f"though adjusted by {prices.adjustment}: the file lacks a split, or the price is wrong"
    )
    raise DataError(
        f"{columns.where(row)}: the close is {ratio:.4g} times that of {prices.date[row - 1]}, a log return of {moves[wild[0]]:.2f}; "
        f"wanted at most {JUMP}: {hint}"
    )
