"""From pieces of tables to observations: which series, when, and its values, whatever the layout.

long     a row is one observation: an id, a time, a value for each column
wide     a row is one time, and each column a series
nested   a row is a series: an id, lists of values, and of times or the time of the first

Arrays of R observations are kept, 12 bytes each and 4 more for each column of values; strings live as long as their piece.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from harness.arrow import to_numpy
from harness.errors import DataError
from harness.forecast import F32, I64
from harness.table_rows import is_list
from harness.table_text import check_columns
from harness_tasks.own.declared import Source
from harness_tasks.own.stamps import Clock
from harness_tasks.own.tables import Piece, numbers, pieces

__all__ = ["Observations", "observe"]

ONLY = "series"
"""What the one series of a table without an id is called."""


@dataclass(frozen=True, eq=False)
class Part:
    """r observations of one piece: code int32 [r], time int64 [r], values K × float32 [r]; `place(i)` says where one stands."""

    code: NDArray[np.int32]
    time: I64
    values: tuple[F32, ...]
    place: Callable[[int], str]


@dataclass(eq=False)
class Observations:
    """The observations of a source.

    Attributes:
        names: of the series; an observation's code is a position here.
        parts: in the order of the files.
        kind: what `time` is: "micros" since 1970, "steps", or "order" where there is no time: then it is 0, and the order counts.
    """

    kind: str = "micros"
    names: dict[str, int] = field(default_factory=dict)
    parts: list[Part] = field(default_factory=list)
    places: list[tuple[int, Callable[[int], str]]] = field(default_factory=list)  # of each part: how many, and where one stands

    def coded(self, ids: pa.Array) -> NDArray[np.int32]:
        """The code of each id, new ones at the end."""
        coded = ids.dictionary_encode()
        found = np.array([self.names.setdefault(name, len(self.names)) for name in coded.dictionary.to_pylist()], np.int32)
        return found[to_numpy(coded.indices)] if len(found) else np.zeros(len(ids), np.int32)

    def place(self, number: int) -> str:
        """Where an observation stands."""
        for count, place in self.places:
            if number < count:
                return place(number)
            number -= count
        raise IndexError(number)

    def columns(self, names: Sequence[str]) -> tuple[NDArray[np.int32], I64, list[F32]]:
        """All codes, as positions in `names`, times and columns of values; the parts are let go one by one."""
        rank = np.empty(len(names), np.int32)
        for at, name in enumerate(names):
            rank[self.names[name]] = at
        total = sum(len(part.code) for part in self.parts)
        code, time = np.empty(total, np.int32), np.empty(total, np.int64)
        values = [np.empty(total, np.float32) for _ in self.parts[0].values]
        self.parts.reverse()
        at = 0
        while self.parts:
            part = self.parts.pop()
            end = at + len(part.code)
            code[at:end], time[at:end] = rank[part.code], part.time
            for column, own in zip(values, part.values, strict=True):
                column[at:end] = own
            self.places.append((len(part.code), part.place))
            at = end
        return code, time, values


def observe(source: Source, kind: str, files: Sequence[Path]) -> Observations:
    """Read all observations.

    Raises:
        DataError: a column is missing, a value or time is none, a list of another length; no row at all.
    """
    clock = Clock(source)
    out = Observations("order" if not source.columns.time else "steps" if clock.steps else "micros")
    series: list[str] = []

    def names(found: list[str], where: str) -> list[str]:
        nonlocal series
        wanted = list(dict.fromkeys([*_named(source), *(column for column, _ in source.filter)]))
        if source.layout == "wide":
            series = list(source.columns.target) or [name for name in found if name not in wanted]
            wanted += [name for name in series if name not in wanted]
        check_columns(wanted, found, where, f" ({source.where})")
        if source.layout == "wide" and not series:
            raise DataError(f"{where}: has no column of a series; wanted one for each, beside {', '.join(wanted) or 'none'}")
        return wanted

    for piece in pieces(source, kind, files, names):
        kept = piece.filtered(source.filter)
        if kept.count:
            if source.layout == "long":
                _long(out, clock, source, kept)
            elif source.layout == "wide":
                _wide(out, clock, source, kept, series)
            else:
                _nested(out, clock, source, kept)
    if not out.parts:
        which = " that the filter keeps" if source.filter else ""
        raise DataError(f"{source.path}: has no row{which} ({source.where}); wanted at least one. Is the file whole?")
    return out


def _named(source: Source) -> list[str]:
    columns = source.columns
    return [*filter(None, (columns.id, columns.time)), *(columns.values if source.layout != "wide" else columns.target)]


def _time(clock: Clock, source: Source, piece: Piece) -> I64:
    """[count]; zeros where there is no column of times."""
    if not source.columns.time:
        return np.zeros(piece.count, np.int64)
    return clock.micros(piece.columns[source.columns.time], piece.fail)


def _ids(out: Observations, source: Source, piece: Piece) -> NDArray[np.int32]:
    name = source.columns.id
    if not name:
        out.names.setdefault(ONLY, 0)
        return np.zeros(piece.count, np.int32)
    ids = piece.text(name)
    row = pc.index(pc.equal(ids, "").fill_null(True), True).as_py()
    if row >= 0:
        raise piece.fail(row, f"no {name}", "the name of a series in each row")
    return out.coded(ids)


def _long(out: Observations, clock: Clock, source: Source, piece: Piece) -> None:
    values = tuple(piece.numbers(name) for name in source.columns.values)
    out.parts.append(Part(_ids(out, source, piece), _time(clock, source, piece), values, piece.bare().place))


def _wide(out: Observations, clock: Clock, source: Source, piece: Piece, series: Sequence[str]) -> None:
    time, bare = _time(clock, source, piece), piece.bare()
    for name in series:
        code = out.names.setdefault(name, len(out.names))

        def place(row: int, name: str = name) -> str:
            return f"{bare.place(row)}, column {name}"

        out.parts.append(Part(np.full(piece.count, code, np.int32), time, (piece.numbers(name),), place))


def _nested(out: Observations, clock: Clock, source: Source, piece: Piece) -> None:
    """A row's lists as observations; of a row with the time of its first value, the next ones follow in order."""
    columns = source.columns
    lists: dict[str, tuple[pa.Array, I64]] = {}
    for name in columns.values:
        lists[name] = _list(piece, name)
    if not columns.id:
        base = len(out.names)
        code = np.arange(base, base + piece.count, dtype=np.int32)
        out.names |= {f"{ONLY}-{i}": i for i in range(base, base + piece.count)}
    else:
        before = len(out.names)
        code = _ids(out, source, piece)
        if len(out.names) - before < piece.count:
            first = np.zeros(piece.count, np.bool_)
            first[np.unique(code, return_index=True)[1]] = True
            row = int(np.flatnonzero((code < before) | ~first)[0])
            raise piece.fail(row, f"the series {piece.text(columns.id)[row]} again", "each series in one row of the nested layout")
    length = np.diff(lists[columns.values[0]][1])  # [rows]
    timed = columns.time and not is_list(piece.columns[columns.time].type)
    if columns.time and not timed:
        lists[columns.time] = _list(piece, columns.time)
    for name, (_, offsets) in lists.items():
        wrong = np.flatnonzero(np.diff(offsets) != length)
        if len(wrong):
            row = int(wrong[0])
            other = f"{length[row]}, as {columns.values[0]} has"
            raise piece.fail(row, f"{np.diff(offsets)[row]} values of {name}", other)
    offsets = lists[columns.values[0]][1]
    owner = np.repeat(np.arange(piece.count), length)

    def fail_at(number: int, got: str, wanted: str, hint: str = "") -> DataError:
        return piece.fail(int(owner[number]), f"at position {number - offsets[owner[number]]} of the list {got}", wanted, hint)

    values = tuple(numbers(lists[name][0], name, fail_at) for name in columns.values)
    if timed:
        from harness import frequency

        first_time = clock.micros(piece.columns[columns.time], piece.fail)
        step = np.arange(len(owner), dtype=np.int64) - offsets[owner]
        if clock.steps:
            time = first_time[owner] + step
        else:
            seconds, rest = np.divmod(first_time, 1_000_000)
            starts = seconds.view("datetime64[s]")[owner]
            time = frequency.shift(starts, source.freq, step).astype("datetime64[us]").view(np.int64) + rest[owner]
    elif columns.time:
        time = clock.micros(lists[columns.time][0], fail_at)
    else:
        time = np.zeros(len(owner), np.int64)
    if len(owner):
        bare = piece.bare()
        out.parts.append(Part(code[owner], time, values, lambda number: bare.place(int(owner[number]))))


def _list(piece: Piece, name: str) -> tuple[pa.Array, I64]:
    """(all values, offsets int64 [rows + 1] from 0) of a column of lists."""
    column = piece.columns[name]
    if not is_list(column.type):
        raise piece.fail(0, f"{name} of type {column.type}", "a list in each row, as the nested layout has")
    if column.null_count:
        raise piece.fail(pc.index(column.is_null(), True).as_py(), f"no {name}", "a list in each row")
    length = to_numpy(pc.list_value_length(column).cast(pa.int64()))
    return column.flatten(), np.concatenate([[0], np.cumsum(length)])
