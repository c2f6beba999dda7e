"""Daily price files as columns of numbers: CSV with a header, Lean's CSV without one, Parquet; what the numbers mean is checked elsewhere.

Axis: T rows. A CSV file may be compressed (.gz, or a .zip of one file). The header's names may be in any case and order; columns that are
not asked for are left alone. Separators are comma, semicolon or tab, decimals have a point.

Lean (QuantConnect) writes no header: date, open, high, low, close, volume, the prices as whole numbers, ten thousand times the price.

Source of Lean's format: its documentation of "US equity" data, and the sample files of the repository QuantConnect/Lean.
"""

from __future__ import annotations

import csv
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.errors import DataError
from harness.forecast import F64, I64
from harness_tasks.spy.text_rows import Dates, dates_of, numbers_of, read_rows, read_text

__all__ = ["LEAN_SCALE", "PriceColumns", "read_price_columns"]

LEAN_SCALE = 10_000.0
NAMES = {
    "date": ("date", "datetime", "timestamp", "time", "trade_date", "__index_level_0__"),
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "close": ("close", "close/last"),
    "volume": ("volume",),
    "adjusted": ("adj close", "adj_close", "adjclose", "adj. close", "adjusted_close", "adjusted close", "adjustedclose"),
}
"""Spellings of the columns, in small letters."""
OPTIONAL = ("volume", "adjusted")
HEADER = "date,open,high,low,close,volume"
_LEAN_DATE = re.compile(r"\d{8}( \d\d:\d\d)?$")


@dataclass(frozen=True, eq=False)
class PriceColumns:
    """T rows of a file, in its order: `date` datetime64[D], the others float64, NaN where a cell is empty.

    `line` int64 [T] is where each row stands in the file (of a Parquet file, which row it is, from 1). `volume` is NaN and `adjusted` None
    where the file has no such column.
    """

    date: Dates
    open: F64
    high: F64
    low: F64
    close: F64
    volume: F64
    adjusted: F64 | None
    line: I64


def read_price_columns(path: Path) -> PriceColumns:
    """Read a file of daily prices.

    Raises:
        DataError: it is not there, empty, damaged, not UTF-8, lacks a column, or has a cell that is no date or number; with its line.
    """
    if path.suffix.lower() in (".parquet", ".pq"):
        return _from_table(path, *_parquet(path))
    text = read_text(path)
    first = text.split("\n", 1)[0].strip()
    mark = max(",;\t", key=first.count)
    cells = [cell.strip() for cell in next(csv.reader([first], delimiter=mark))]
    if _LEAN_DATE.match(cells[0]):
        return _lean(path, text, mark, len(cells))
    names = _find(path, cells)
    rows = read_rows(path, text, mark, len(cells), skip=1)
    return _from_table(path, {name: rows[at] for name, at in names.items()}, 2)


def _find(path: Path, header: list[str]) -> dict[str, int]:
    """{our name: which column}."""
    lower = [name.strip().lower() for name in header]
    found: dict[str, int] = {}
    for name, spellings in NAMES.items():
        at = [i for i, spelled in enumerate(lower) if spelled in spellings]
        if len(at) > 1:
            raise DataError(f"{path}:1: columns {' and '.join(repr(header[i]) for i in at)} both say {name}; keep one")
        if at:
            found[name] = at[0]
    lacking = [name for name in NAMES if name not in found and name not in OPTIONAL]
    if lacking:
        shown = ", ".join(header[:12]) + (", …" if len(header) > 12 else "")
        raise DataError(f"{path}:1: no column {', '.join(lacking)} among {shown}; wanted the header {HEADER}")
    return found


def _lean(path: Path, text: str, mark: str, columns: int) -> PriceColumns:
    if columns != 6:
        raise DataError(f"{path}:1: {columns} cells and no header; wanted six, as Lean writes them, or the header {HEADER}")
    rows = read_rows(path, text, mark, columns)
    for at, name in enumerate(("open", "high", "low", "close"), start=1):
        plain = pc.match_substring_regex(rows[at], r"^\d+$").to_numpy(zero_copy_only=False)
        if not plain.all():
            row = int(np.flatnonzero(~plain)[0])
            raise DataError(
                f"{path}:{row + 1}: no header, and {name} is {rows[at][row].as_py()!r}; Lean's format has whole numbers, 10000 times the "
                f"price: put the header {HEADER} before prices"
            )
    found = _from_table(path, dict(zip(("date", "open", "high", "low", "close", "volume"), rows, strict=True)), 1)
    whole = {name: getattr(found, name) / LEAN_SCALE for name in ("open", "high", "low", "close")}
    return replace(found, **whole)


def _parquet(path: Path) -> tuple[dict[str, pa.Array], int]:
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        names = [str(name) for name in file.schema_arrow.names]
        found = _find(path, names)
        table = file.read(columns=[names[at] for at in found.values()])
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from error
    if not table.num_rows:
        raise DataError(f"{path}: a table without a row; wanted one a day")
    return {name: table.column(names[at]).combine_chunks() for name, at in found.items()}, 1


def _from_table(path: Path, cells: dict[str, pa.Array], first: int) -> PriceColumns:
    date = _days(path, cells["date"], first)
    values = {name: _numbers(path, cells[name], name, first) for name in cells if name != "date"}
    volume = values.get("volume", np.full(len(date), np.nan))
    line = np.arange(len(date), dtype=np.int64) + first
    bar = values["open"], values["high"], values["low"], values["close"]
    return PriceColumns(date, bar[0], bar[1], bar[2], bar[3], volume, values.get("adjusted"), line)


def _days(path: Path, cells: pa.Array, first: int) -> Dates:
    if cells.null_count:
        row = int(np.flatnonzero(pc.is_null(cells).to_numpy(zero_copy_only=False))[0])
        raise DataError(f"{path}:{row + first}: no date; wanted YYYY-MM-DD")
    if pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type):
        return dates_of(path, pc.utf8_trim_whitespace(cells), first)
    if pa.types.is_timestamp(cells.type) and cells.type.tz is not None:
        try:
            cells = pc.local_timestamp(cells)  # the day where the exchange is, not in Greenwich
        except pa.ArrowInvalid as error:
            raise DataError(
                f"{path}: column date has the time zone {cells.type.tz!r}, unknown here; wanted one as 'America/New_York', or dates"
            ) from error
    if pa.types.is_timestamp(cells.type) or pa.types.is_date(cells.type):
        days: Dates = cells.to_numpy(zero_copy_only=False).astype("datetime64[D]")
        return days
    if pa.types.is_integer(cells.type):
        return dates_of(path, pc.cast(cells, pa.string()), first)
    raise DataError(f"{path}: column date holds {cells.type}; wanted dates")


def _numbers(path: Path, cells: pa.Array, name: str, first: int) -> F64:
    if pa.types.is_string(cells.type) or pa.types.is_large_string(cells.type):
        return numbers_of(path, pc.utf8_trim_whitespace(pc.fill_null(cells, "")), name, first)
    if pa.types.is_floating(cells.type) or pa.types.is_integer(cells.type) or pa.types.is_decimal(cells.type):
        found: F64 = pc.cast(cells, pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        return found
    raise DataError(f"{path}: column {name} holds {cells.type}; wanted numbers")
