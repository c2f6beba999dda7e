"""Text files of daily numbers: read whole, cut into columns, read as days and numbers; each error with the line it is in.

Axis: T rows. Files may be compressed (.gz, or a .zip of one file); text is UTF-8, and an empty line only stands at its end.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from harness.arrow import to_numpy
from harness.errors import DataError
from harness.forecast import F64
from harness.table_rows import first_bad, joined, numbers, text_batches, texts
from harness.table_text import Text, beginning

__all__ = ["MOST", "Dates", "dates_of", "numbers_of", "read_rows", "read_text"]

Dates = NDArray[np.datetime64]

MOST = 1 << 26
"""Characters of a text, bytes of a table: 64 MiB are half a million days. More is no file of daily prices, and might take all memory."""
_DAY = r"^(\d{4})[-/]?(\d{2})[-/]?(\d{2})([ T].*)?$"


def read_text(path: Path) -> str:
    """The text of a file, which may be compressed, without blank lines at its end.

    Raises:
        DataError: it is not there, damaged, empty, longer than `MOST` once unpacked (no more than that is read), or no text in UTF-8.
    """
    text = beginning(Text(path, brief=True), MOST + 1, 0)
    if len(text) > MOST:
        raise DataError(f"{path}: more than {MOST >> 20} MiB of text; wanted daily prices, a line a day: half a million days are less")
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError(f"{path}:{line}: a zero byte; wanted text in UTF-8")
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip()
    if not text:
        raise DataError(f"{path}: empty; wanted lines of text")
    return text


def read_rows(path: Path, text: str, mark: str, columns: int, header: bool = False) -> list[pa.Array]:
    """The cells of a text as one array of strings for each column.

    Raises:
        DataError: a line has another number of cells, or none follows the header.
    """
    if header and "\n" not in text:
        raise DataError(f"{path}: a header and no row; wanted one line a day")
    written = Text(path, ("",) * columns, mark, header=header, blank=True, brief=True)
    return [texts(cells) for cells in joined(list(text_batches(written, range(columns), source=pa.BufferReader(text.encode()))))]


def dates_of(path: Path, cells: pa.Array, first: int) -> Dates:
    """Days, datetime64[D] [T], from strings such as 1998-01-02, 19980102 or 1998-01-02 00:00; `first` is the line of the first.

    Raises:
        DataError: a cell is no date; with its line.
    """
    plain = pc.replace_substring_regex(cells, _DAY, r"\1-\2-\3")
    row = first_bad(plain, _days)
    if row >= 0:
        raise DataError(f"{path}:{row + first}: {cells[row].as_py()!r} is no date; wanted YYYY-MM-DD or YYYYMMDD")
    return to_numpy(_days(plain)).astype("datetime64[D]")


def _days(plain: pa.Array) -> pa.Array:
    return plain.cast(pa.date32()).cast(pa.int32())


def numbers_of(path: Path, cells: pa.Array, name: str, first: int) -> F64:
    """Numbers, float64 [T], from numbers or strings; NaN where one is empty or says "null" or the like.

    Raises:
        DataError: a cell is no number; with its line.
    """
    values, row = numbers(cells)
    if row >= 0:
        raise DataError(f"{path}:{row + first}: {name} is {cells[row].as_py()!r}; wanted a number such as 97.36")
    return values
