"""A table on disk (CSV with any of four separators, plain or .gz, or Parquet) as checked columns; an error names the file and its line.

Everything is read as text and turned into numbers or times column by column, so that nothing is guessed from the first rows. Empty cells
and the usual words for them (NA, NaN, null) are absent. Time of parsing is Arrow's: no Python object per row.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from harness.arrow import to_numpy
from harness.errors import DataError, suggest
from harness.forecast import F64, I64
from harness_tasks.cgm.readings import Times
from harness_tasks.cgm.stamps import dates, parts_of_day

__all__ = ["Rows", "Table", "open_table"]

SEPARATORS = ",;\t|"
TITLES = 10  # lines among which the header is looked for; exports begin with a title or two
NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
COMMA = r"^([+-]?\d+),(\d{1,2})$"  # a decimal comma; three digits behind it would be thousands
ABSENT = ["", "NA", "N/A", "#N/A", "NaN", "nan", "NULL", "null", "None", "-"]
LOW, HIGH = ["low", "lo"], ["high", "hi"]

Header = Callable[[Sequence[str]], bool]


@dataclass(eq=False)
class Table:
    """A table whose header has been read: the names of its columns, and the first row as text, to tell layouts apart."""

    path: Path
    names: list[str]
    first: dict[str, str]
    data: pa.Buffer | None = None  # CSV: what follows the header; None for Parquet
    separator: str = ","
    header: int = 1  # the header's line
    columns: pa.Table | None = field(default=None, repr=False)  # Parquet

    @property
    def stem(self) -> str:
        """The file's name up to its first dot: what a subject without a name is called."""
        return self.path.name.split(".")[0]

    def read(self, names: Sequence[str], ragged: bool = False) -> Rows:
        """Read these columns.

        Args:
            names: each must stand exactly once in the header.
            ragged: let rows lack the last field, as Clarity writes them.

        Raises:
            DataError: a column is missing or there twice; a row with too few or too many fields; not UTF-8; a file cut short.
        """
        for name in dict.fromkeys(names):
            if self.names.count(name) != 1:
                got = f"the column {name!r} {self.names.count(name)} times" if name in self.names else f"no column {name!r}"
                raise DataError(f"{self.path}: has {got}; its columns are {', '.join(self.names)}.{suggest(name, self.names)}")
        if self.columns is not None:
            table = self.columns.select(list(dict.fromkeys(names)))
            return Rows(self, {name: table[name].combine_chunks() for name in table.column_names}, table.num_rows)
        return self._read_csv(list(dict.fromkeys(names)), ragged)

    def _read_csv(self, names: list[str], ragged: bool) -> Rows:
        short: list[tuple[int, str]] = []
        bad: list[tuple[int, int, int]] = []

        def odd(row: Any) -> str:
            if ragged and row.actual_columns == row.expected_columns - 1:
                short.append((row.number, row.text))
            else:
                bad.append((row.number, row.actual_columns, row.expected_columns))
            return "skip"

        assert self.data is not None
        keys = [f"{i}" for i in range(len(self.names))]  # the names themselves may repeat
        wanted = [keys[self.names.index(name)] for name in names]
        table = self._parse(pa.BufferReader(self.data), keys, wanted, odd)
        if bad:
            row, got, fields = bad[0]
            raise DataError(f"{self.path}, line {self.line(row - 1)}: {got} fields; wanted {fields}, as in the header. Is the file whole?")
        order = None
        if short:
            rest = "\n".join(text.strip("\r\n") for _, text in short).encode()
            more = self._parse(pa.BufferReader(rest), keys[:-1], [k for k in wanted if k != keys[-1]], None)
            table = pa.concat_tables([table, more], promote_options="default")
            late = np.array([number - 1 for number, _ in short], np.int64)
            full = np.setdiff1d(np.arange(table.num_rows, dtype=np.int64), late, assume_unique=True)
            order = np.concatenate([full, late])
        return Rows(self, {name: table[key].combine_chunks() for name, key in zip(names, wanted, strict=True)}, table.num_rows, order)

    def _parse(self, source: Any, keys: list[str], wanted: list[str], odd: Any) -> pa.Table:
        from pyarrow import csv as reader

        if source.size() == 0:
            return pa.table({key: pa.array([], pa.string()) for key in wanted})
        try:
            return reader.read_csv(
                source,
                read_options=reader.ReadOptions(column_names=keys, use_threads=False),  # rows are numbered only by one thread
                parse_options=reader.ParseOptions(delimiter=self.separator, newlines_in_values=True, invalid_row_handler=odd),
                convert_options=reader.ConvertOptions(
                    include_columns=wanted, column_types=dict.fromkeys(wanted, pa.string()), null_values=ABSENT, strings_can_be_null=True
                ),
            )
        except pa.ArrowException as error:
            raise DataError(f"{self.path}: cannot be read as CSV ({error}); wanted UTF-8 text with one separator throughout") from None

    def line(self, row: int) -> int:
        """The line on which a data row (0 the first) ends; reads the file again, so only for errors."""
        assert self.data is not None
        text = io.TextIOWrapper(io.BytesIO(self.data.to_pybytes()), "utf-8", errors="replace", newline="")
        reader = csv.reader(text, delimiter=self.separator)
        seen = -1
        for fields in reader:
            seen += bool(fields)  # blank lines are no rows
            if seen == row:
                break
        return self.header + reader.line_num


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
        number = row if self.order is None else int(self.order[row])
        return f"row {number + 1}" if self.table.data is None else f"line {self.table.line(number)}"

    def text(self, name: str) -> pa.Array:
        """The cells as text without surrounding blanks, null where absent."""
        column = self.columns[name]
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        if not pa.types.is_string(column.type):
            column = column.cast(pa.string())
        trimmed = pc.utf8_trim_whitespace(column)
        return pc.if_else(pc.is_in(trimmed, pa.array(ABSENT)), pa.scalar(None, pa.string()), trimmed)

    def numbers(self, name: str, limits: bool = False) -> F64:
        """The cells as float64 [count], NaN where absent; a decimal comma is one. With `limits`, "Low" is −inf and "High" is +inf."""
        column = self.columns[name]
        if pa.types.is_floating(column.type) or pa.types.is_integer(column.type) or pa.types.is_decimal(column.type):
            values = to_numpy(column.cast(pa.float64()).fill_null(np.nan))
            if np.isinf(values).any():
                raise self.fail(int(np.flatnonzero(np.isinf(values))[0]), f"{name} is infinite", "a number or nothing")
            return values
        text = self.text(name)
        try:
            quick = to_numpy(text.cast(pa.float64()).fill_null(np.nan))
        except pa.ArrowInvalid:
            quick = np.array([np.inf])
        if not np.isinf(quick).any():
            return quick
        plain = pc.replace_substring_regex(text, COMMA, r"\1.\2")
        good = pc.match_substring_regex(plain, NUMBER).fill_null(True)
        lower = pc.utf8_lower(text)
        low = _mask(pc.is_in(lower, pa.array(LOW))) if limits else np.zeros(self.count, np.bool_)
        high = _mask(pc.is_in(lower, pa.array(HIGH))) if limits else np.zeros(self.count, np.bool_)
        wrong = np.flatnonzero(~(_mask(good) | low | high))
        if len(wrong):
            words = ", Low or High" if limits else ""
            raise self.fail(int(wrong[0]), f"{name} is {text[int(wrong[0])].as_py()!r}", f"a number{words} or nothing")
        out = to_numpy(pc.if_else(good, plain, pa.scalar(None, pa.string())).cast(pa.float64()).fill_null(np.nan)).copy()
        out[low], out[high] = -np.inf, np.inf
        return out

    def times(self, name: str, order: str = "") -> tuple[Times, list[str]]:
        """The cells as datetime64[s] [count], NaT where absent, and what is to be noted of them; `order` as in `stamps.dates`."""
        column = self.columns[name]
        if pa.types.is_timestamp(column.type):
            local = pc.local_timestamp(column) if column.type.tz else column
            whole = pc.round_temporal(local, unit="second").cast(pa.timestamp("s")).cast(pa.int64())
            return to_numpy(whole.fill_null(np.iinfo(np.int64).min)).view("datetime64[s]"), []
        return dates(self.text(name), order, lambda row, got, wanted: self.fail(row, f"{name} is {got}", wanted))

    def clock(self, name: str) -> I64:
        """The cells as seconds since midnight, int64 [count], −1 where absent."""
        return parts_of_day(self.text(name), lambda row, got, wanted: self.fail(row, f"{name} is {got}", wanted))


def _mask(values: Any) -> NDArray[np.bool_]:
    """A boolean array without nulls as numpy's."""
    out: NDArray[np.bool_] = to_numpy(pc.cast(values, pa.float32())) > 0
    return out


def open_table(path: Path, is_header: Header = lambda _: False) -> Table:
    """Read the header of a table.

    Args:
        path: .csv, .txt, .tsv, any of them with .gz, or .parquet.
        is_header: whether these names are the header of a layout; of the first ten lines, the first for which
            it holds is taken, else line 1.

    Raises:
        DataError: no such file, empty, a header alone, not UTF-8, a .gz that is cut short, not Parquet.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file; wanted a table of glucose readings (.csv, .csv.gz, .txt or .parquet)")
    suffix = path.suffix.lower()
    if suffix in (".parquet", ".pq"):
        return _open_parquet(path)
    if suffix in (".xlsx", ".xls"):
        raise DataError(f"{path}: is a workbook; wanted a table. Save its sheet as CSV")
    data = _bytes(path)
    begin = 3 if data[:3].to_pybytes() == b"\xef\xbb\xbf" else 0
    lines = _lines(path, data, begin)
    at, separator = 0, _separator(lines[0][1])
    for number, (_, line) in enumerate(lines):
        if is_header(_fields(line, _separator(line))):
            at, separator = number, _separator(line)
            break
    names = _fields(lines[at][1], separator)
    if at + 1 == len(lines):
        raise DataError(f"{path}: has the header {', '.join(names)} and no row; wanted at least one reading. Is the file whole?")
    first = dict(zip(names, _fields(lines[at + 1][1], separator), strict=False))
    return Table(path, names, first, data.slice(lines[at][0]), separator, at + 1)


def _bytes(path: Path) -> pa.Buffer:
    """The file, mapped, or unpacked where it is .gz."""
    if path.stat().st_size == 0:
        raise DataError(f"{path}: the file is empty; wanted a header and readings")
    if path.suffix.lower() != ".gz":
        with pa.memory_map(str(path)) as source:
            return source.read_buffer()
    try:
        with gzip.open(path) as packed:
            return pa.py_buffer(packed.read())
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be unpacked ({error}); wanted a whole .gz file") from None


def _lines(path: Path, data: pa.Buffer, begin: int) -> list[tuple[int, str]]:
    """Of the first lines, where each ends and its text."""
    head = data.slice(begin, min(data.size - begin, 1 << 20)).to_pybytes()
    out, end = [], begin
    for raw in head.splitlines(keepends=True)[: TITLES + 1]:
        end += len(raw)
        try:
            out.append((end, raw.decode().rstrip("\r\n")))
        except UnicodeDecodeError:
            raise DataError(f"{path}, line {len(out) + 1}: is not UTF-8; wanted UTF-8 text. Save the file in that encoding") from None
    if not out or not out[0][1].strip():
        raise DataError(f"{path}: begins with an empty line; wanted a header")
    return out


def _separator(line: str) -> str:
    return max(SEPARATORS, key=line.count)


def _fields(line: str, separator: str) -> list[str]:
    return [name.strip() for name in next(csv.reader([line], delimiter=separator), [])]


def _open_parquet(path: Path) -> Table:
    from pyarrow import parquet

    try:
        columns = parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read ({error}); wanted a whole Parquet file") from None
    if columns.num_rows == 0:
        raise DataError(f"{path}: has no row; wanted at least one reading")
    first = {name: str(value) for name, value in columns.slice(0, 1).to_pylist()[0].items()}
    return Table(path, list(columns.column_names), first, columns=columns)
