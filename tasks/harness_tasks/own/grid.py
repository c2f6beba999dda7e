"""Observations onto the regular grid of a frequency, in whatever order they come.

Each series has a grid of its own, from its first observation to its last; what lies between and has no row is missing. No sorting: the
place of a row in the result follows from its time, so rows are counted once and scattered once. R rows cost 24 bytes each beside the
result. The grid of months, quarters and years goes by the calendar; that of business days has no weekends.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness import frequency
from harness.errors import DataError
from harness.forecast import F32, I64
from harness_tasks.own.declared import Source
from harness_tasks.own.rows import Observations

__all__ = ["Gridded", "to_grid"]

SECOND = 1_000_000
DAY = 86_400 * SECOND
SPARSE, FEW = 200, 10_000_000
"""More cells than so many for each row, and than so many at all, are a mistake."""
PIECE = 1 << 21
NEVER = np.iinfo(np.int64)

Fail = Callable[[int, int], DataError]
"""Makes an error of a row that lies off the grid, and its time."""


@dataclass(eq=False)
class Gridded:
    """Series on their grids.

    Attributes:
        names: of the items, sorted.
        starts: datetime64[s] [items], the time of the first step.
        begin, length: int64 [items], where an item lies in each column; steps at either end at which no target is there are left out.
        columns: K × float32 [cells], NaN where missing.
        times: datetime64[s] [T] for `gaps: joined`, the time of each step.
        empty: names of items without any value of the target, which are not among the above.
    """

    names: list[str]
    starts: NDArray[np.datetime64]
    begin: I64
    length: I64
    columns: list[F32]
    times: NDArray[np.datetime64] | None
    empty: list[str]


def to_grid(seen: Observations, source: Source) -> Gridded:
    """Place the observations.

    Args:
        seen: is used up, to have each array in memory once.

    Raises:
        DataError: a time off the grid, two rows for one step, a gap where none is wanted, a grid that is nearly empty.
    """
    names = sorted(seen.names)
    code, time, values = seen.columns(names)
    joined = source.gaps == "joined"
    times: NDArray[np.datetime64] | None = None
    if seen.kind == "order":
        unit = _in_order(code, len(names))
        grid: Grid = Plain(source.freq)
    elif joined and seen.kind == "micros":
        grid, unit, times = _joined(time, code, names, source)
    else:
        grid = Plain(source.freq) if seen.kind == "steps" else make(source, len(names))
        unit = grid.units(time, code, lambda row, got: _off(seen, source, names[code[row]], row, got))
    low = np.full(len(names), NEVER.max)
    high = np.full(len(names), NEVER.min)
    np.minimum.at(low, code, unit)
    np.maximum.at(high, code, unit)
    length = high - low + 1
    cells = int(length.sum())
    if cells > FEW and cells > SPARSE * len(code):
        at = int(np.argmax(length))
        rows = np.flatnonzero(code == at)
        ends = [seen.place(int(rows[pick(unit[rows])])) for pick in (np.argmin, np.argmax)]
        raise DataError(
            f"{source.path}: series {names[at]!r} would have {length[at]:,} steps of {source.freq} for {len(rows):,} rows, from {ends[0]} "
            f"to {ends[1]} ({source.where}); wanted a row for one step in {SPARSE} at least. Are freq and these times right?"
        )
    offsets = np.concatenate([[0], np.cumsum(length)])
    shift = offsets[:-1] - low
    for a in range(0, len(unit), PIECE):
        unit[a : a + PIECE] += shift[code[a : a + PIECE]]  # now the row's cell
    there = np.zeros(cells, np.bool_)
    there[unit] = True
    twice = int(np.count_nonzero(there)) < len(unit)
    if twice and source.duplicates == "error":
        raise _twice(seen, source, names, code, unit)
    if source.gaps == "error" and not there.all():
        cell = int(np.flatnonzero(~there)[0])
        at = int(np.searchsorted(offsets, cell, "right")) - 1
        when = grid.start(np.array([low[at] + cell - offsets[at]]), np.array([at]))[0]
        raise DataError(f"{source.path}: series {names[at]!r} has no row for {when} ({source.where}); wanted one for each {source.freq}")
    columns = []
    while values:
        columns.append(_scatter(values.pop(0), unit, cells, source.duplicates if twice else "last"))
    targets = len(source.columns.target) if source.layout != "wide" else 1
    return _trimmed(names, grid, low, offsets, columns, targets, times)


def _scatter(values: F32, cell: I64, cells: int, duplicates: str) -> F32:
    """The column of all cells."""
    out = np.full(cells, np.nan, np.float32)
    if duplicates == "mean":
        good = ~np.isnan(values)
        total = np.bincount(cell[good], values[good], cells)
        count = np.bincount(cell[good], minlength=cells)
        np.divide(total, count, out=out, where=count > 0, casting="same_kind")
    elif duplicates == "first":
        out[cell[::-1]] = values[::-1]
    else:
        out[cell] = values
    return out


def _trimmed(
    names: list[str], grid: Grid, low: I64, offsets: I64, columns: list[F32], targets: int, times: NDArray[np.datetime64] | None
) -> Gridded:
    """Without steps at either end of a series at which no target is there, and without series that have none."""
    here = ~np.isnan(columns[0])
    for column in columns[1:targets]:
        here |= ~np.isnan(column)
    valid = np.flatnonzero(here)
    first, last = np.searchsorted(valid, offsets[:-1]), np.searchsorted(valid, offsets[1:])
    some = last > first
    if not some.any():
        return Gridded([], np.empty(0, "datetime64[s]"), np.empty(0, np.int64), np.empty(0, np.int64), columns, None, names)
    begin, end = valid[first[some]], valid[last[some] - 1] + 1
    item = np.flatnonzero(some)
    if times is not None:  # all items share these steps
        shift, stop = int((begin - offsets[item]).min()), int((end - offsets[item]).max())
        begin, end, times = offsets[item] + shift, offsets[item] + stop, times[shift:stop]
    starts = grid.start(low[item] + begin - offsets[item], item)
    empty = [name for name, kept in zip(names, some.tolist(), strict=True) if not kept]
    return Gridded([names[i] for i in item.tolist()], starts, begin, end - begin, columns, times, empty)


def _in_order(code: NDArray[np.int32], count: int) -> I64:
    """The number of each row among those of its series."""
    order = np.argsort(code, kind="stable")
    sizes = np.bincount(code, minlength=count)
    unit = np.empty(len(code), np.int64)
    unit[order] = np.arange(len(code)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return unit


def _joined(time: I64, code: NDArray[np.int32], names: list[str], source: Source) -> tuple[Sessions, I64, NDArray[np.datetime64]]:
    """Steps that are the times themselves, as sessions of an exchange, which all series must have alike."""
    found = np.unique(time)
    unit = np.searchsorted(found, time)
    rows = np.unique(code.astype(np.int64) * len(found) + unit)
    counts = np.bincount(rows // len(found), minlength=len(names))
    if (counts != len(found)).any():
        at = int(np.argmin(counts))
        there = rows[rows // len(found) == at] % len(found)
        lacks = _shown(int(found[np.setdiff1d(np.arange(len(found)), there)[0]]))
        raise DataError(
            f"{source.path}: series {names[at]!r} has no row for {lacks}, which another has ({source.where}); wanted the same times in all "
            f"series for gaps: joined. Put series of other times into tasks of their own, by filter"
        )
    times = (found // SECOND).view("datetime64[s]")
    return Sessions(times), unit, times


class Plain:
    """Numbers of steps, counted from 1970."""

    def __init__(self, freq: str) -> None:
        self.freq = freq

    def units(self, time: I64, code: NDArray[np.int32], fail: Fail) -> I64:  # noqa: ARG002
        return time

    def start(self, unit: I64, item: I64) -> NDArray[np.datetime64]:  # noqa: ARG002
        """The time of a step: 1970-01-01 is step 0, a Monday for steps of weeks or business days."""
        base = "1970-01-05" if frequency.split(self.freq)[1] in ("W", "B") else "1970-01-01"
        try:
            return frequency.shift(np.full(len(unit), np.datetime64(base, "s")), self.freq, unit)
        except (OverflowError, ValueError):
            raise DataError(f"got step numbers up to {int(np.abs(unit).max())}; wanted such that {self.freq} reaches from 1970") from None


class Sessions(Plain):
    """Steps that are listed."""

    def __init__(self, times: NDArray[np.datetime64]) -> None:
        super().__init__("")
        self.times = times

    def start(self, unit: I64, item: I64) -> NDArray[np.datetime64]:  # noqa: ARG002
        return self.times[unit]


class Even(Plain):
    """Steps of a fixed length: S, T, H, D, W. A series' first row in the file says where between midnights its steps lie."""

    def __init__(self, freq: str, items: int, snap: float) -> None:
        super().__init__(freq)
        multiple, base = frequency.split(freq)
        self.step = multiple * frequency.SECONDS[base] * SECOND
        self.snap = round(snap * SECOND)
        self.phase = np.full(items, -1 if not snap else 0, np.int64)

    def units(self, time: I64, code: NDArray[np.int32], fail: Fail) -> I64:
        """The number of each row's step since 1970, int64 [R], written over its time; `fail(row, time)` makes an error."""
        for a in range(0, len(time), PIECE):
            t, c = time[a : a + PIECE], code[a : a + PIECE]
            if self.snap:
                unit = (t + self.step // 2) // self.step
                wrong = np.abs(t - unit * self.step) > self.snap
            else:
                unit, phase = np.divmod(t, self.step)
                _learn(self.phase, phase, c)
                wrong = phase != self.phase[c]
            if wrong.any():
                at = int(np.flatnonzero(wrong)[0])
                raise fail(a + at, int(t[at]))
            time[a : a + PIECE] = unit
        return time

    def start(self, unit: I64, item: I64) -> NDArray[np.datetime64]:
        return ((unit * self.step + self.phase[item]) // SECOND).view("datetime64[s]")


class Months(Plain):
    """Steps of months, quarters, years: on one day of the month, or its last where it has no such day."""

    def __init__(self, freq: str, items: int) -> None:
        super().__init__(freq)
        multiple, base = frequency.split(freq)
        self.step = multiple * frequency.MONTHS[base]
        self.phase = np.full(items, -1, np.int64)
        self.clock = np.full(items, -1, np.int64)
        self.day = np.zeros(items, np.int64)

    def units(self, time: I64, code: NDArray[np.int32], fail: Fail) -> I64:
        days = time // DAY
        months = days.view("datetime64[D]").astype("datetime64[M]")
        day = days - months.astype("datetime64[D]").astype(np.int64) + 1
        unit, phase = np.divmod(months.astype(np.int64), self.step)
        clock = time - days * DAY
        _learn(self.phase, phase, code)
        _learn(self.clock, clock, code)
        np.maximum.at(self.day, code, day)
        wrong = (phase != self.phase[code]) | (clock != self.clock[code]) | (day != np.minimum(self.day[code], _days_in(months)))
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise fail(at, int(time[at]))
        return unit

    def start(self, unit: I64, item: I64) -> NDArray[np.datetime64]:
        months = (unit * self.step + self.phase[item]).view("datetime64[M]")
        day = np.minimum(self.day[item], _days_in(months)) - 1
        days = months.astype("datetime64[D]").astype(np.int64) + day
        found: NDArray[np.datetime64] = (days * (DAY // SECOND) + self.clock[item] // SECOND).view("datetime64[s]")
        return found


class Business(Plain):
    """Steps of business days, Monday to Friday."""

    def __init__(self, freq: str, items: int) -> None:
        super().__init__(freq)
        self.step = frequency.split(freq)[0]
        self.phase = np.full(items, -1, np.int64)
        self.clock = np.full(items, -1, np.int64)

    def units(self, time: I64, code: NDArray[np.int32], fail: Fail) -> I64:
        days = time // DAY
        dates = days.view("datetime64[D]")
        clock = time - days * DAY
        unit, phase = np.divmod(np.busday_count(np.datetime64("1970-01-01"), dates), self.step)
        _learn(self.phase, phase, code)
        _learn(self.clock, clock, code)
        wrong = ~np.is_busday(dates) | (phase != self.phase[code]) | (clock != self.clock[code])
        if wrong.any():
            at = int(np.flatnonzero(wrong)[0])
            raise fail(at, int(time[at]))
        return unit

    def start(self, unit: I64, item: I64) -> NDArray[np.datetime64]:
        days = np.busday_offset(np.datetime64("1970-01-01"), unit * self.step + self.phase[item]).astype(np.int64)
        return (days * (DAY // SECOND) + self.clock[item] // SECOND).view("datetime64[s]")


Grid = Plain


def make(source: Source, items: int) -> Grid:
    """The grid of a source's frequency."""
    base = frequency.split(source.freq)[1]
    if base in frequency.SECONDS:
        return Even(source.freq, items, source.snap)
    return Business(source.freq, items) if base == "B" else Months(source.freq, items)


def _learn(known: I64, found: I64, code: NDArray[np.int32]) -> None:
    """Fill in what is not known of a series (−1) with what its first row says."""
    fresh = np.flatnonzero(known[code] < 0)
    if len(fresh):
        item, first = np.unique(code[fresh], return_index=True)
        known[item] = found[fresh[first]]


def _days_in(months: NDArray[np.datetime64]) -> I64:
    days: I64 = ((months + 1).astype("datetime64[D]") - months.astype("datetime64[D]")).astype(np.int64)
    return days


def _shown(micros: int) -> str:
    return str(np.datetime64(micros, "us").item() if micros % SECOND else np.datetime64(micros // SECOND, "s").item())


def _off(seen: Observations, source: Source, name: str, row: int, time: int) -> DataError:
    """A row that lies off the grid of its series."""
    got = f"{_shown(time)} of series {name!r}"
    base = frequency.split(source.freq)[1]
    if base == "B" and not np.is_busday(np.datetime64(time // DAY, "D")):
        return DataError(f"{seen.place(row)}: got {got}, a weekend; wanted business days, as freq: {source.freq} says ({source.where})")
    hint = "snap: SECONDS moves times onto the grid" if base in ("S", "T", "H", "D") else "times of the same day and hour"
    if source.snap:
        hint = f"snap is {source.snap:g} s"
    elif base in ("D", "W") and not source.timezone:
        hint = "where days begin in another zone than UTC: timezone: NAME; " + hint
    return DataError(
        f"{seen.place(row)}: got {got}, which is no whole number of steps from others of the series; wanted times {source.freq} apart "
        f"({source.where}). {hint[0].upper() + hint[1:]}"
    )


def _twice(seen: Observations, source: Source, names: list[str], code: NDArray[np.int32], cell: I64) -> DataError:
    """Two rows for one step."""
    order = np.argsort(cell, kind="stable")
    again = np.flatnonzero(np.diff(cell[order]) == 0)
    second = order[again + 1]
    at = int(np.argmin(second))
    row, before = int(second[at]), int(order[again[at]])
    hint = "" if source.columns.id or source.layout == "wide" else " Several series in one table need columns: {id: COLUMN}."
    return DataError(
        f"{seen.place(row)}: got a second row for the same step of series {names[code[row]]!r}, the first at {seen.place(before)} "
        f"({source.where}); wanted one. {len(second):,} rows are like it.{hint} To allow them: duplicates: first, last or mean"
    )
