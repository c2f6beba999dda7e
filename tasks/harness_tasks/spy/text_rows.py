"""Text files of daily numbers: cut into columns, read as days and numbers; each error with the line it is in.

Axis: T rows. Files may be compressed (.gz, or a .zip of one file); text is UTF-8, and blank lines only stand at its end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from harness.arrow import to_numpy
from harness.errors import DataError
from harness.forecast import F64
from harness.table_rows import first_bad, joined, numbers, text_batches, texts
from harness.table_text import Text, beginning

__all__ = ["MOST", "Dates", "Place", "dates_of", "first_line", "numbers_of", "read_rows"]

Dates = NDArray[np.datetime64]

MOST = 1 << 26
"""Bytes of the columns that are read: 64 MiB are half a million days. More is no file of daily prices, and might take all memory."""
_DAY = r"^(\d{4})[-/]?(\d{2})[-/]?(\d{2})([ T].*)?$"


@dataclass(frozen=True)
class Place:
    """Where rows stand, for errors: in a file of text, or (`text` is None) in a Parquet file."""

    path: Path
    text: Text | None = None

    def at(self, row: int) -> str:
        """A row, 0 the first, as errors begin: "p.csv, line 2", the line on which it ends; of Parquet "p.parquet, row 1".

        >>> Place(Path("p.parquet")).at(0)
        'p.parquet, row 1'
        """
        return f"{self.path}, row {row + 1}" if self.text is None else self.text.at(self.text.line(row))


def first_line(path: Path) -> str:
    """The first line of a file, which may be compressed, without a byte order mark.

    Raises:
        DataError: it is not there, damaged, empty, or no text in UTF-8.
    """
    text = beginning(Text(path), line=0)
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError(f"{path}, line {line}: a zero byte; wanted text in UTF-8")
    if not text.strip():
        raise DataError(f"{path}: empty; wanted lines of text")
    return text.splitlines()[0]


def read_rows(text: Text, wanted: Sequence[int]) -> tuple[list[pa.Array], Place]:
    """The cells of these columns, an array of strings for each, without the blank lines at the end; and where their rows stand.

    Raises:
        DataError: a line has another number of cells, none follows the header, or there are more than `MOST` bytes.
    """
    if text.header and len(beginning(text, line=0).splitlines()) < 2:
        raise DataError(f"{text.path}: a header and no row; wanted one line a day")
    text = replace(text, blank=True)  # rows keep their lines
    above = 1 + text.header
    spaces: list[int] = []  # rows of nothing but spaces

    def only_spaces(row: Any) -> bool:
        blank = not row.text.strip(" \r\n")
        if blank:
            spaces.append(row.number - above)
        return blank

    batches = list(text_batches(text, wanted, odd=only_spaces, most=MOST))
    columns = [texts(column) for column in joined(batches)] if batches else []
    filled = np.zeros(len(columns[0]) if columns else 0, bool)
    for column in columns:
        filled |= to_numpy(pc.binary_length(column)) > 0
    count = int(np.flatnonzero(filled)[-1]) + 1 if filled.any() else 0
    place = Place(text.path, text)
    if spaces and spaces[0] < count:
        raise DataError(f"{place.at(spaces[0])}: a blank line; wanted {len(text.names)} fields")
    if not count:
        raise DataError(f"{text.path}: no row with anything in it; wanted one line a day")
    return [column[:count] for column in columns], place


def dates_of(place: Place, cells: pa.Array) -> Dates:
    """Days, datetime64[D] [T], from strings such as 1998-01-02, 19980102 or 1998-01-02 00:00.

    Raises:
        DataError: a cell is no date; with its line.
    """
    plain = pc.replace_substring_regex(cells, _DAY, r"\1-\2-\3")
    row = first_bad(plain, _days)
    if row >= 0:
        raise DataError(f"{place.at(row)}: {cells[row].as_py()!r} is no date; wanted YYYY-MM-DD or YYYYMMDD")
    return to_numpy(_days(plain)).astype("datetime64[D]")


def _days(plain: pa.Array) -> pa.Array:
    return plain.cast(pa.date32()).cast(pa.int32())


def numbers_of(place: Place, cells: pa.Array, name: str) -> F64:
    """Numbers, float64 [T], from numbers or strings; NaN where one is empty or says "null" or the like.

    Raises:
        DataError: a cell is no number; with its line.
    """
    values, row = numbers(cells)
    if row >= 0:
        raise DataError(f"{place.at(row)}: {name} is {cells[row].as_py()!r}; wanted a number such as 97.36")
    return values
