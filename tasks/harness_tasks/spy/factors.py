"""Lean's factor files: how prices of a day are made comparable with today's.

A file has no header: date, price factor (dividends), split factor, reference price, oldest first. A row holds for the days after the row
before it up to and including its own date, which is the last session before the new factors begin; the reference price is the close of that
session, unadjusted. So the adjusted price of a day is

    raw price × price factor × split factor        of the first row that is not earlier than the day

and after the last row, which usually lies far ahead and says 1, 1, prices are as they are. The dividend that a step from f to f' stands for
is reference price · (1 − f/f').

Source: documentation of the repository QuantConnect/Lean ("factor files"). Its first row repeats the second row's factors at the first
date of the data, with a reference price of 1, its last has 0: neither is a price.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.errors import DataError
from harness.forecast import F64
from harness.table_text import Text
from harness_tasks.spy.adjust import is_reverse_split
from harness_tasks.spy.text_rows import Dates, Place, dates_of, first_line, numbers_of, read_rows

__all__ = ["Factors", "read_factors"]

REFERENCE = 0.005
"""How far a close may lie from its reference price, as a share: other vendors round otherwise, another instrument is further off."""
FALL = 1e-5
"""By what share a price factor may fall: they are rounded to seven digits, or five."""


@dataclass(frozen=True, eq=False)
class Factors:
    """K rows: `place` is where they stand; `date` datetime64[D], rising; `price`, `split` and `reference` float64."""

    place: Place
    date: Dates
    price: F64
    split: F64
    reference: F64

    def at(self, days: Dates) -> tuple[F64, F64]:
        """(price factors, split factors) that hold on these days, float64 [T].

        >>> day = np.array(["2020-03-19", "2020-06-18", "2050-12-31"], "datetime64[D]")
        >>> two = Factors(Place(Path("spy")), day, np.array([0.98, 0.99, 1.0]), np.ones(3), np.array([240.51, 311.78, 0.0]))
        >>> two.at(np.array(["2020-03-19", "2020-03-20", "2020-06-19"], "datetime64[D]"))[0].tolist()
        [0.98, 0.99, 1.0]
        """
        at = np.searchsorted(self.date, days, side="left")
        price, split = np.append(self.price, 1.0), np.append(self.split, 1.0)
        return price[at], split[at]

    def check(self, days: Dates, close: F64) -> None:
        """Compare reference prices with unadjusted closes [T] of the same days.

        Raises:
            DataError: one differs by more than 0.5 %, or the file stops, at factors other than 1, before the prices do.
        """
        at = np.searchsorted(days, self.date)
        there = (at < len(days)) & (self.reference > 0)
        there &= days[np.minimum(at, len(days) - 1)] == self.date
        there[:1] &= self.reference[:1] != 1.0  # the first row is no step and has no price
        rows = np.flatnonzero(there)
        off = np.abs(close[at[rows]] / self.reference[rows] - 1.0) > REFERENCE
        if off.any():
            row = int(rows[off][0])
            raise DataError(
                f"{self.place.at(row)}: reference price {self.reference[row]:g} on {self.date[row]}, where the unadjusted close is "
                f"{close[at[row]]:g}; wanted the factor file of these prices, and prices that nobody has adjusted yet"
            )
        if self.date[-1] < days[-1] and (self.price[-1] != 1.0 or self.split[-1] != 1.0):
            raise DataError(f"{self.place.path}: ends on {self.date[-1]} and the prices on {days[-1]}; wanted a newer factor file")


def read_factors(path: Path) -> Factors:
    """Read a factor file.

    Raises:
        DataError: it is not there or damaged, a row lacks a number, factors are not positive, price factors fall, or dates do not
            rise; with the line.
    """
    first = first_line(path)
    header = not re.match(r"\s*\d", first)
    cells = first.count(",") + 1
    if cells < 3:
        raise DataError(f"{path}, line 1: {cells} cells; wanted date,price factor,split factor,reference price")
    named = ("price factor", "split factor", "reference price")[: cells - 1]
    rows, place = read_rows(Text(path, ("",) * cells, header=header), range(1 + len(named)))
    date = dates_of(place, rows[0])
    values = [numbers_of(place, column, name) for column, name in zip(rows[1:], named, strict=True)]
    for name, column in zip(named, values, strict=True):
        low = column < 0 if name == "reference price" else column <= 0
        wrong = np.flatnonzero(low | ~np.isfinite(column))
        if len(wrong):
            raise DataError(f"{place.at(int(wrong[0]))}: {name} {column[wrong[0]]:g}; wanted a positive number")
    back = np.flatnonzero(np.diff(date) <= np.timedelta64(0, "D"))
    if len(back):
        row = int(back[0]) + 1
        raise DataError(f"{place.at(row)}: {date[row]} after {date[row - 1]}; wanted dates that rise")
    _check_dividends(place, date, values[0])
    reference = values[2] if len(values) > 2 else np.zeros(len(date))
    return Factors(place, date, values[0], values[1], reference)


def _check_dividends(place: Place, date: Dates, price: F64) -> None:
    """Price factors only rise, as dividends are positive; what a reverse split makes is let through."""
    for row in np.flatnonzero(price[1:] < price[:-1] * (1 - FALL)).tolist():
        if not is_reverse_split(price[row] / price[row + 1]):
            old, new = price[row : row + 2]
            paid = 1 - old / new
            raise DataError(
                f"{place.at(row)}: the price factor falls from {old:g} on {date[row]} to {new:g} on {date[row + 1]}:"
                f" a dividend of {paid:.3g} times the price; wanted factors that rise to 1, and splits in the next column. Without the "
                "file, prices are taken as they are"
            )
