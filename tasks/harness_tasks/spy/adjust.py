"""How a file's own columns make prices of a day comparable with today's: adjusted closes, or splits and dividends; both are checked.

Axis: T sessions, oldest first.

Adjusted closes. The factor, adjusted close / close, changes on the days of dividends and splits alone, and over time it only rises: a
dividend of d after a close of p makes it 1 − d/p before. It falls with a reverse split alone. A column that is a row late, or another
instrument's, changes it every day and lets it fall on half of them. What rounding does is allowed for: half a unit of the last digit that
each column is printed with, of both days. Of SPY, 5,849 days with 93 dividends, 1.6 % of steps are changes, with both columns in cents too,
and none falls; of a column a row late .99 are, and 2,744 fall. In cents of a hundredth of the price it is 0, and .26 with 726 falls.

Splits and dividends, as yfinance writes them beside the prices (split: new shares for an old one, 0 or 1 = none; dividend: money for a new
share, on the first day without it). The factor of day t is the product over later days k of

    (1 − dividend_k · split_k / close_{k−1}) / split_k

Such a file may be adjusted already (yfinance's `history()` is), which its prices tell: without adjustment a close falls by a split.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from harness.errors import DataError
from harness.forecast import F64
from harness_tasks.spy.price_files import PriceColumns

__all__ = ["by_adjusted_close", "by_events", "is_reverse_split", "rounding"]

SAME = 1e-4
"""A factor that changes by less than that share, beyond rounding, has not changed."""
CHANGES = 0.25
"""Largest believable share of sessions with a change: funds that pay each week have .21, a shifted column .99."""
FEW = 3
"""So many changes are believed in a file of any length."""
TOLD = 0.15
"""A split of at least this |log| is seen in the prices; a day of trade may hide a smaller one."""
INSTEAD = "bring a column of adjusted closes, or the factor file of these prices"


def rounding(values: F64) -> float:
    """Half a unit of the last decimal that all of values [T] are printed with, up to six; 0 = they have more. As float32 they may be.

    >>> rounding(np.array([97.36, 97.5])), rounding(np.array([1 / 3])), rounding(np.array([97.36]).astype(np.float32).astype(float))
    (0.005, 0.0, 0.005)
    """
    with np.errstate(over="ignore", invalid="ignore"):
        for digits in range(7):
            if (np.abs(values - np.round(values, digits)) <= 1e-7 * np.abs(values)).all():
                return float(0.5 * 10.0**-digits)
    return 0.0


def is_reverse_split(ratio: float) -> bool:
    """Whether a factor that becomes 1/ratio of itself may be a reverse split: 3:2, or a whole number of old shares for a new one.

    >>> is_reverse_split(10.001), is_reverse_split(1.5), is_reverse_split(1.3), is_reverse_split(1.0)
    (True, True, False, False)
    """
    near = 1.5 if ratio < 1.75 else float(np.round(ratio))
    return abs(ratio / near - 1) < 0.005


def by_adjusted_close(columns: PriceColumns) -> F64:
    """adjusted close / close, float64 [T], once it is known to be what dividends and splits make.

    Raises:
        DataError: an adjusted close is missing or not positive; the factor changes on too many days, or falls; with date and numbers.
    """
    close, adjusted = columns.close, np.full(len(columns.date), np.nan) if columns.adjusted is None else columns.adjusted
    with np.errstate(over="ignore"):
        factor: F64 = adjusted / close
    columns.refuse(
        ~((factor > 0) & np.isfinite(factor)),
        lambda row: f"the adjusted close is missing or not positive: close {close[row]:g}, adjusted {adjusted[row]:g}",
        f"one for each close. {_leave(columns.place.path)}",
    )
    slack = np.log1p(rounding(close) / close) + np.log1p(rounding(adjusted) / adjusted)
    step = np.diff(np.log(factor))
    beyond = SAME + slack[1:] + slack[:-1]
    changes, falls = np.flatnonzero(np.abs(step) > beyond), np.flatnonzero(step < -beyond)
    falls = falls[[not is_reverse_split(float(np.exp(-step[k]))) for k in falls]]
    if len(changes) > max(FEW, CHANGES * len(step)):
        raise DataError(
            f"{_step(columns, factor, int(changes[0]))}. It changes on {len(changes)} of {len(step)} sessions, where dividends "
            f"change it on a few: the column is shifted, or not of these prices. {_leave(columns.place.path)}"
        )
    if len(falls):
        raise DataError(
            f"{_step(columns, factor, int(falls[0]))}. It falls on {len(falls)} of {len(step)} sessions, where dividends let it "
            f"rise alone and no reverse split is such a number. {_leave(columns.place.path)}"
        )
    return factor


def _step(columns: PriceColumns, factor: F64, at: int) -> str:
    assert columns.adjusted is not None
    (a, b), (c, d) = columns.close[at : at + 2], columns.adjusted[at : at + 2]
    return (
        f"{columns.where(at + 1)}: the adjusted close over the close goes from {factor[at]:.6g} to "
        f"{factor[at + 1]:.6g} (close {a:g} to {b:g}, adjusted {c:g} to {d:g})"
    )


def _leave(path: Path) -> str:
    return f"Leave the column out to have prices as they are, or put the factor file beside them, as {path.name.split('.')[0]}_factors.csv"


def by_events(columns: PriceColumns) -> tuple[F64, F64, str, list[str]]:
    """(factors [T], split factors [T], what `Prices.adjustment` says, notes) by columns of splits and dividends, where there are any.

    Raises:
        DataError: a split or dividend that cannot be; prices that some splits are in and others not; what cannot be told from the prices.
    """
    none = np.zeros(len(columns.date))
    splits = none if columns.splits is None else np.nan_to_num(columns.splits, nan=0.0)
    paid = none if columns.dividends is None else np.nan_to_num(columns.dividends, nan=0.0)
    split = np.where(splits == 0, 1.0, splits)
    columns.refuse(~((split > 0) & np.isfinite(split)), _of("a split", splits), "new shares for an old one, as 2, and 0 for none")
    columns.refuse(~((paid >= 0) & np.isfinite(paid)), _of("a dividend", paid), "money for a share, 0 for none")
    ones, notes = np.ones(len(split)), list[str]()
    days, pays = np.flatnonzero(split[1:] != 1) + 1, np.flatnonzero(paid[1:] > 0) + 1
    if len(days) and not _in_prices(columns, split, days):
        before, share = columns.close[:-1], paid[1:] * split[1:]
        columns.refuse(np.append(False, share >= before), _of("a dividend", paid), "less than the close before")
        step = np.append((1 - share / before) / split[1:], 1.0)  # [T] from each day to the next
        later, shares = np.cumprod(step[::-1])[::-1], np.cumprod(np.append(1 / split[1:], 1.0)[::-1])[::-1]
        return later, shares, "splits and dividends", notes
    if len(days):
        notes.append(f"prices have the {len(days)} splits of their column already, as closes do not fall by them")
    if len(pays) and rounding(columns.close[: pays[-1]]) >= 0.005:
        raise DataError(
            f"{columns.where(int(pays[0]))}: a dividend of {paid[pays[0]]:g} beside closes in whole cents, which "
            f"may lack it or not: {INSTEAD}, or leave the column of dividends out to have prices as they are"
        )
    if len(pays):
        notes.append(f"the {len(pays)} dividends of their column are left alone: prices that are not in cents are adjusted already")
    return ones, ones, "none", notes


def _in_prices(columns: PriceColumns, split: F64, days: np.ndarray[tuple[int], np.dtype[np.int64]]) -> bool:
    """Whether the splits [T] of these days are in the prices: a close that falls by a split has not got it."""
    plain = days[np.abs(np.log(split[days])) >= TOLD]
    if not len(plain):
        row = int(days[0])
        raise DataError(
            f"{columns.where(row)}: a split of {split[row]:g}, too small to tell from the prices whether they "
            f"have it; {INSTEAD}, or leave the column of splits out to have prices as they are"
        )
    moves, size = np.log(columns.close[plain] / columns.close[plain - 1]), np.log(split[plain])
    inside = np.abs(moves) < np.abs(moves + size)
    if inside.any() and not inside.all():
        a, b = int(plain[inside][0]), int(plain[~inside][0])
        raise DataError(
            f"{columns.where(b)}: the close falls by the split of {split[b]:g}, and not by that of {split[a]:g} "
            f"on {columns.date[a]}: some are in the prices and some not; {INSTEAD}"
        )
    return bool(inside.all())


def _of(what: str, values: F64) -> Callable[[int], str]:
    return lambda row: f"{what} of {values[row]:g}"
