"""Tables of glucose readings (CSV with any of four separators, plain or .gz, or Parquet) as checked columns; an error names file and line.

The header may stand below a title or two. Everything is turned into numbers or times column by column, so that nothing is guessed from the
first rows. Empty cells and the usual words for them (NA, NaN, null) are absent.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness import table_rows
from harness.arrow import to_numpy
from harness.errors import DataError
from harness.forecast import F64, I64
from harness.table_text import Text, beginning, check_columns, fields_of, separator_of
from harness_tasks.cgm.readings import Times
from harness_tasks.cgm.stamps import ONE_ZONE, dates, parts_of_day, zone_note

__all__ = ["Rows", "Table", "open_table"]

TITLES = 10  # lines among which the header is looked for; exports begin with a title or two
MOST = 1 << 30  # bytes of the columns that are read: a packed file may be smaller by a thousand times, and arrow joins less than 2 GiB
COMMA = r"^([+-]?\d+),(\d{1,2})$"  # a decimal comma; three digits behind it would be thousands
LOW, HIGH = ["low", "lo", "<40", "<2.2", "<2,2"], ["high", "hi", ">400", ">22.2", ">22,2"]


@dataclass(eq=False)
class Table:
    """A table whose header has been read: the names of its columns, and the first row as text, to tell layouts apart."""

    path: Path
    names: list[str]
    first: dict[str, str]
    text: Text | None = None  # None for Parquet
    lines: Sequence[int] = ()  # of XML, where each row stands

    @property
    def stem(self) -> str:
        """The file's name up to its first dot: what a subject without a name is called."""
        return self.path.name.split(".")[0]

    def where(self, row: int) -> str:
        """A row (0 the first) as "line 5", the line on which it ends; of Parquet as "row 4", 1 the first."""
        line = self.lines[row] if self.lines else 0 if self.text is None else self.text.line(row)
        return f"line {line}" if line else f"row {row + 1}"

    def read(self, names: Sequence[str], ragged: bool = False) -> Rows:
        """Read these columns; `ragged` lets rows lack the last field, as Clarity writes them.

        Raises:
            DataError: a column is missing or there twice; a row with too few or too many fields; not UTF-8; a file cut short.
        """
        names = list(dict.fromkeys(names))
        check_columns(names, self.names, str(self.path))
        if self.text is None:
            table = pa.Table.from_batches(table_rows.parquet_batches(self.path, lambda *_: names, most=MOST, flat=True))
            return Rows(self, {name: table[name].combine_chunks() for name in names}, table.num_rows)
        short: list[tuple[int, str]] = []  # rows that lack the last field: where they stand, and their text

        def odd(row: Any) -> bool:
            lacks_last = ragged and row.actual_columns == row.expected_columns - 1
            if lacks_last:
                short.append((row.number - 2 - text.above, row.text))
            return lacks_last

        text = self.text
        at = [self.names.index(name) for name in names]
        schema = pa.schema([(str(i), pa.string()) for i in at])
        table = pa.Table.from_batches(table_rows.text_batches(text, at, odd=odd, most=MOST), schema)
        order = None
        if short:
            rest = pa.py_buffer("\n".join(line.strip("\r\n") for _, line in short).encode())
            last = len(self.names) - 1
            written = Text(self.path, text.names[:-1], text.separator, header=False)
            more = table_rows.text_batches(written, [i for i in at if i != last], source=pa.BufferReader(rest))
            table = pa.concat_tables([table, pa.Table.from_batches(more)], promote_options="default")
            late = np.array([row for row, _ in short], np.int64)
            full = np.setdiff1d(np.arange(table.num_rows, dtype=np.int64), late, assume_unique=True)
            order = np.concatenate([full, late])
        return Rows(self, dict(zip(names, (column.combine_chunks() for column in table.columns), strict=True)), table.num_rows, order)


@dataclass(eq=False)
class Rows:
    """Columns of a table, `count` rows each."""

    table: Table
    columns: dict[str, pa.Array]
    count: int
    order: I64 | None = None  # the row of the file that each is, where they are not in its order

    def fail(self, row: int, got: str, wanted: str) -> DataError:
        """An error that names the file and the line (of Parquet: the row, 1 the first)."""
        return DataError(f"{self.table.path}, {self.where(row)}: {got}; wanted {wanted}")

    def where(self, row: int) -> str:
        """The line of a row as "line 5"; of Parquet "row 4", 1 the first."""
        return self.table.where(row if self.order is None else int(self.order[row]))

    def text(self, name: str) -> pa.Array:
        """The cells as text without surrounding blanks, null where absent."""
        return table_rows.absent(table_rows.texts(self.columns[name]))

    def numbers(self, name: str, limits: bool = False) -> F64:
        """The cells as float64 [count], NaN where absent; a decimal comma is one.

        With `limits`, "Low" or "<40" is −inf, "High" or ">400" is +inf.
        """
        number = table_rows.is_number(self.columns[name].type)
        text = self.columns[name] if number else self.text(name)
        values, row = _finite(text)
        if row >= 0 and number:
            raise self.fail(row, f"{name} is infinite", "a number or nothing")
        if row < 0:
            return values
        end = pc.index_in(pc.replace_substring(pc.utf8_lower(text), " ", ""), pa.array(LOW + HIGH if limits else [], pa.string()))
        plain = pc.if_else(end.is_valid(), None, text)
        values, row = _finite(pc.replace_substring_regex(plain, COMMA, r"\1.\2"))
        if row >= 0:
            words = ", Low or High" if limits else ""
            raise self.fail(row, f"{name} is {text[row].as_py()!r}", f"a number{words} or nothing")
        which = to_numpy(end.fill_null(-1))
        return np.where(which < 0, values, np.where(which < len(LOW), -np.inf, np.inf))

    def times(self, name: str, order: str = "") -> tuple[Times, list[str]]:
        """The cells as datetime64[s] [count], NaT where absent, and what is to be noted of them; `order` as in `stamps.dates`."""
        column = self.columns[name]
        if pa.types.is_timestamp(column.type):
            local = pc.local_timestamp(column) if column.type.tz else column
            found = _seconds(local).view("datetime64[s]")
            return found, self._zone(name, found, _seconds(column)) if column.type.tz else []
        return dates(self.text(name), order, lambda row, got, wanted: self.fail(row, f"{name} is {got}", wanted))

    def _zone(self, name: str, local: Times, utc: I64) -> list[str]:
        """The note on a typed column's zone; raises where clocks are changed in it, as for text with two zones."""
        here = np.flatnonzero(~np.isnat(local))
        ahead = (local.astype(np.int64) - utc)[here] // 60
        for row in here[ahead != ahead[:1]][:1]:
            said = f"{str(local[row]).replace('T', ' ')}{_offset(int(ahead[here == row][0]))}"
            raise self.fail(int(row), f"{name} is {said!r}", f"{ONE_ZONE} {_offset(int(ahead[0]))}")
        return [zone_note(self.columns[name].type.tz)]

    def clock(self, name: str) -> I64:
        """The cells as seconds since midnight, int64 [count], −1 where absent."""
        return parts_of_day(self.text(name), lambda row, got, wanted: self.fail(row, f"{name} is {got}", wanted))


def _seconds(column: pa.Array) -> I64:
    """Stamps as whole seconds since 1970, those in a zone of UTC; the least int64 where absent."""
    whole = pc.round_temporal(column.cast(pa.timestamp(column.type.unit)), unit="second").cast(pa.timestamp("s")).cast(pa.int64())
    return to_numpy(whole.fill_null(np.iinfo(np.int64).min))


def _offset(minutes: int) -> str:
    """How far clocks are ahead of UTC, as stamps have it: 60 -> "+01:00"."""
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def _finite(column: pa.Array) -> tuple[F64, int]:
    """As `numbers`, where infinities are none."""
    values, row = table_rows.numbers(column)
    infinite = np.flatnonzero(np.isinf(values))
    return values, int(infinite[0]) if len(infinite) else row


def open_table(path: Path, is_header: Callable[[Sequence[str]], bool] = lambda _: False) -> Table:
    """Read the header of a table.

    Args:
        path: .csv, .txt, .tsv, any of them with .gz, or .parquet.
        is_header: whether these names are the header of a layout; of the first ten lines, the first for which
            it holds is taken, else line 1.

    Raises:
        DataError: no such file, empty, a header alone, not UTF-8, a .gz that is damaged, not Parquet.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; wanted a table of glucose readings (.csv, .csv.gz, .txt or .parquet)")
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".pq"):
        batch = next(table_rows.parquet_batches(path, lambda names, _: names, rows=1), None)
        if batch is None:
            raise DataError(f"{path}: has no row; wanted at least one reading")
        first = {name: str(value) for name, value in batch.to_pylist()[0].items()}
        return Table(path, list(batch.schema.names), first)
    if suffix in (".xlsx", ".xls"):
        raise DataError(f"{path}: is a workbook; wanted a table. Save its sheet as CSV")
    lines = [line.rstrip("\r\n") for line in islice(io.StringIO(beginning(Text(path)), newline=""), TITLES + 1)]
    if not lines[0].strip():
        raise DataError(f"{path}: begins with an empty line; wanted a header")
    rows = [fields_of(path, line, separator_of(line)) for line in lines]
    above = next((number for number, names in enumerate(rows) if is_header(names)), 0)
    names, separator = rows[above], separator_of(lines[above])
    if above + 1 == len(lines):
        raise DataError(f"{path}: has the header {', '.join(names)} and no row; wanted at least one reading. Is the file whole?")
    first = dict(zip(names, fields_of(path, lines[above + 1], separator), strict=False))
    return Table(path, names, first, Text(path, tuple(names), separator, above=above))
