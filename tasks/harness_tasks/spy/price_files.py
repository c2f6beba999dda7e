"""Daily price files as columns of numbers: CSV with a header, Lean's CSV without one, Parquet; what the numbers mean is checked elsewhere.

Axis: T rows. A CSV file may be compressed (.gz, or a .zip of one file). The header's names may be in any case and order, in angle brackets
(Stooq) or numbered (Alpha Vantage); columns that are not asked for are left alone. A file has the prices of one instrument. Separators are
comma, semicolon, tab or bar, decimals have a point. What unpacks to too much is refused.

The day of a stamp with a time is the day that is written, of one with an offset too; of a Parquet column with a time zone, the day there.

Lean (QuantConnect) writes no header: date, open, high, low, close, volume, the prices as whole numbers, ten thousand times the price.

Source of Lean's format: its documentation of "US equity" data, and the sample files of the repository QuantConnect/Lean.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from harness.errors import DataError
from harness.forecast import F64, I64
from harness.table_rows import is_number, is_text, joined, parquet_batches, texts
from harness.table_text import Text, fields_of, separator_of
from harness_tasks.spy.text_rows import MOST, Dates, Place, dates_of, first_line, numbers_of, read_rows

__all__ = ["LEAN_SCALE", "PriceColumns", "read_price_columns"]

LEAN_SCALE = 10_000.0
NAMES = {
    "date": ("date", "datetime", "timestamp", "time", "trade_date", "__index_level_0__"),
    "open": ("open",),
    "high": ("high",),
    "low": ("low",),
    "close": ("close", "close/last"),
    "volume": ("volume", "vol"),
    "adjusted": ("adj close", "adj_close", "adjclose", "adj. close", "adjusted_close", "adjusted close", "adjustedclose"),
    "splits": ("stock splits", "stock_splits", "splits", "split coefficient", "split_coefficient", "splitfactor", "split ratio"),
    "dividends": ("dividends", "dividend", "dividend amount", "dividend_amount", "divcash", "ex-dividend"),
    "symbol": ("symbol", "ticker", "tic", "act_symbol", "instrument", "isin", "permno"),
}
"""Spellings of the columns, in small letters, without angle brackets or a number before them."""
OPTIONAL = ("volume", "adjusted", "splits", "dividends", "symbol")
UNNAMED = ("", "unnamed: 0", "index")
"""What the first column may be called where it is the index of a table that somebody wrote out, and no other column is the date."""
HEADER = "date,open,high,low,close,volume"
_LEAN_DATE = re.compile(r"\d{8}( \d\d:\d\d)?$")
_CLOCK, _MIDNIGHT = r"[ T]\d", r"[ T]00:00(:00(\.0*)?)?( ?(Z|[+-][\d:]+))?$"


@dataclass(frozen=True, eq=False)
class PriceColumns:
    """T rows of a file, in its order: `date` datetime64[D], the others float64, NaN where a cell is empty.

    `row` int64 [T] is which row of the file each is, 0 the first, and `place` where that stands. `volume` is NaN, and `adjusted`, `splits`
    (new shares for an old one, 0 or 1 = none) and `dividends` are None, where the file has no such column. `timed` says whether any date
    has a time of day other than midnight.
    """

    date: Dates
    open: F64
    high: F64
    low: F64
    close: F64
    volume: F64
    adjusted: F64 | None
    row: I64
    place: Place
    splits: F64 | None = None
    dividends: F64 | None = None
    timed: bool = False

    def where(self, at: int) -> str:
        """A row (0 the first of these) as errors begin: "p.csv, line 3: 1998-01-05"."""
        return f"{self.place.at(int(self.row[at]))}: {self.date[at]}"

    def refuse(self, wrong: NDArray[np.bool_], got: Callable[[int], str], wanted: str) -> None:
        """Raise DataError for the first wrong row [T], told in `got`'s words of it, with how many more there are."""
        if wrong.any():
            at, more = int(wrong.argmax()), int(wrong.sum()) - 1
            raise DataError(f"{self.where(at)}: {got(at)}{f' (and {more} more)' if more else ''}; wanted {wanted}")


def read_price_columns(path: Path) -> PriceColumns:
    """Read a file of daily prices.

    Raises:
        DataError: it is not there, empty, damaged, not UTF-8, lacks a column, has several instruments, or a cell that is no date or number;
            with its line.
    """
    if path.suffix.lower() in (".parquet", ".pq"):
        columns, symbol = _parquet(path)
        return _from_table(Place(path), columns, symbol)
    first = first_line(path).strip(" ")  # a tab may stand before an unnamed column
    mark = separator_of(first)
    cells = fields_of(path, first, mark) or [""]
    text = Text(path, ("",) * len(cells), mark)
    if _LEAN_DATE.match(cells[0]):
        return _lean(replace(text, header=False))
    names = _find(path, cells)
    rows, place = read_rows(text, list(names.values()))
    return _from_table(place, dict(zip(names, rows, strict=True)), cells[names.get("symbol", 0)])


def _find(path: Path, header: list[str]) -> dict[str, int]:
    """{our name: which column}."""
    lower = [re.sub(r"^\d+\. ", "", name.strip().strip("<>").lower()) for name in header]
    found: dict[str, int] = {}
    for name, spellings in NAMES.items():
        at = [i for i, spelled in enumerate(lower) if spelled in spellings]
        if name == "date" and len(at) > 1:  # the time of day in a column of its own
            at = [i for i in at if lower[i] != "time"]
        if len(at) > 1 and name != "symbol":
            raise DataError(f"{path}: columns {' and '.join(repr(header[i]) for i in at)} both say {name}; keep one")
        if at:
            found[name] = at[0]
    if "date" not in found and lower and lower[0] in UNNAMED:
        found["date"] = 0
    lacking = [name for name in NAMES if name not in found and name not in OPTIONAL]
    if lacking:
        shown = ", ".join(header[:12]) + (", …" if len(header) > 12 else "")
        raise DataError(f"{path}: no column {', '.join(lacking)} among {shown}; wanted the header {HEADER}")
    return found


def _lean(text: Text) -> PriceColumns:
    columns = len(text.names)
    if columns != 6:
        raise DataError(f"{text.path}, line 1: {columns} cells and no header; wanted six, as Lean writes them, or the header {HEADER}")
    rows, place = read_rows(text, range(columns))
    for at, name in enumerate(("open", "high", "low", "close"), start=1):
        row = pc.index(pc.match_substring_regex(rows[at], r"^\d+$"), False).as_py()
        if row >= 0:
            raise DataError(
                f"{place.at(row)}: no header, and {name} is {rows[at][row].as_py()!r}; Lean's format has whole numbers, 10000 times the "
                f"price: put the header {HEADER} before prices"
            )
    found = _from_table(place, dict(zip(("date", "open", "high", "low", "close", "volume"), rows, strict=True)))
    return replace(found, **{name: getattr(found, name) / LEAN_SCALE for name in ("open", "high", "low", "close")})


def _parquet(path: Path) -> tuple[dict[str, pa.Array], str]:
    found: dict[str, str] = {}

    def choose(names: list[str], _: str) -> list[str]:
        found.update({names[at]: name for name, at in _find(path, names).items()})
        return list(found)

    batches = list(parquet_batches(path, choose, rows=1 << 20, most=MOST, flat=True))
    if not batches:
        raise DataError(f"{path}: a table without a row; wanted one a day")
    symbol = next((name for name, ours in found.items() if ours == "symbol"), "")
    return {found[name]: cells for name, cells in zip(batches[0].schema.names, joined(batches), strict=True)}, symbol


def _from_table(place: Place, cells: dict[str, pa.Array], symbol: str = "") -> PriceColumns:
    _check_alone(place.path, cells.pop("symbol", None), symbol)
    date, timed = _days(place, cells["date"])
    for name, column in cells.items():
        if name != "date" and not (is_text(column.type) or is_number(column.type)):
            raise DataError(f"{place.path}: column {name} holds {column.type}; wanted numbers")
    values = {name: numbers_of(place, column, name) for name, column in cells.items() if name != "date"}
    volume, row = values.get("volume", np.full(len(date), np.nan)), np.arange(len(date), dtype=np.int64)
    bar = values["open"], values["high"], values["low"], values["close"]
    return PriceColumns(
        date, *bar, volume, values.get("adjusted"), row, place, values.get("splits"), values.get("dividends"), timed
    )  # fmt: skip


def _check_alone(path: Path, symbols: pa.Array | None, called: str) -> None:
    """Raise where a column, of this name, names several instruments."""
    if symbols is None:
        return
    names = [name for name in pc.unique(texts(symbols)).to_pylist() if name]
    if len(names) > 1:
        shown = ", ".join(map(repr, names[:5])) + (", …" if len(names) > 5 else "")
        raise DataError(
            f"{path}: column {called!r} names {len(names)} instruments: {shown}; wanted one in a file. Write a file for each, or make "
            f"a suite of the table (its file has id: {called}): harness new suite NAME --from {quote(str(path))}"
        )


def _days(place: Place, cells: pa.Array) -> tuple[Dates, bool]:
    """The days, and whether any has a time other than midnight."""
    if cells.null_count:
        row = pc.index(cells.is_null(), True).as_py()
        raise DataError(f"{place.at(row)}: no date; wanted YYYY-MM-DD")
    if is_text(cells.type):
        cells = texts(cells)
        clock, midnight = (pc.match_substring_regex(cells, pattern) for pattern in (_CLOCK, _MIDNIGHT))
        return dates_of(place, cells), bool(pc.any(pc.and_not(clock, midnight)).as_py())
    if pa.types.is_timestamp(cells.type) and cells.type.tz is not None:
        try:
            cells = pc.local_timestamp(cells)  # the day where the exchange is, not in Greenwich
        except pa.ArrowInvalid as error:
            raise DataError(
                f"{place.path}: column date has the time zone {cells.type.tz!r}, unknown here; wanted one as 'America/New_York', or dates"
            ) from error
    if pa.types.is_timestamp(cells.type) or pa.types.is_date(cells.type):
        stamps = cells.to_numpy(zero_copy_only=False)
        days: Dates = stamps.astype("datetime64[D]")
        return days, bool((days != stamps).any())
    if pa.types.is_integer(cells.type):
        return dates_of(place, pc.cast(cells, pa.string())), False
    raise DataError(f"{place.path}: column date holds {cells.type}; wanted dates")
