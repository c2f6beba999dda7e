"""Text files of daily numbers: uncompressed, decoded, cut into columns, read as days and numbers; each error with the line it is in.

Axis: T rows. Files may be compressed (.gz, or a .zip of one file); text is UTF-8.
"""

from __future__ import annotations

import gzip
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from harness.errors import DataError
from harness.forecast import F64

__all__ = ["Dates", "dates_of", "numbers_of", "read_rows", "read_text"]

Dates = NDArray[np.datetime64]

MISSING = ("", "null", "nan", "na", "n/a", "none", "-")
MOST = 1 << 26
"""Bytes of a file, unpacked: 64 MiB are half a million days. More is no file of daily prices, and might take all memory."""
_DAY = r"^(\d{4})[-/]?(\d{2})[-/]?(\d{2})([ T].*)?$"


def read_text(path: Path) -> str:
    """The text of a file, which may be compressed, without blank lines at its end.

    Raises:
        DataError: it is not there, damaged, empty, longer than `MOST` once unpacked (no more than that is read), or no text in UTF-8.
    """
    try:
        with path.open("rb") as file:
            begin = file.read(4)
            file.seek(0)
            if begin[:2] == b"\x1f\x8b":
                data = gzip.GzipFile(fileobj=file).read(MOST + 1)
            elif begin == b"PK\x03\x04":
                with zipfile.ZipFile(file) as archive:
                    inside = archive.namelist()
                    if len(inside) != 1:
                        raise DataError(f"{path}: an archive of {len(inside)} files; wanted one of one file: unpack it and name the file")
                    with archive.open(inside[0]) as member:
                        data = member.read(MOST + 1)
            else:
                data = file.read(MOST + 1)
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile, RuntimeError) as error:
        raise DataError(f"{path}: damaged or cut short ({error}); fetch it again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(data) > MOST:
        raise DataError(f"{path}: more than {MOST >> 20} MiB of text; wanted daily prices, a line a day: half a million days are less")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise DataError(f"{path}:{line}: not text in UTF-8 (byte {data[error.start]:#04x}); save it as UTF-8") from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError(f"{path}:{line}: a zero byte; wanted text in UTF-8")
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip()
    if not text:
        raise DataError(f"{path}: empty; wanted lines of text")
    return text


def read_rows(path: Path, text: str, mark: str, columns: int, skip: int = 0) -> list[pa.Array]:
    """The cells of a text as one array of strings for each column.

    Raises:
        DataError: a line has another number of cells, or none follows the first `skip`.
    """
    from pyarrow import csv as pacsv

    body = text.split("\n", skip)[skip] if text.count("\n") >= skip else ""
    if not body.strip():
        raise DataError(f"{path}: a header and no row; wanted one line a day")
    names = [str(i) for i in range(columns)]
    bad: list[Any] = []

    def wrong(row: Any) -> str:
        bad.append(row)
        return "error"

    try:
        table = pacsv.read_csv(
            pa.BufferReader(body.encode()),
            # One block: numbers of rows are only known to a reader that has seen all before.
            read_options=pacsv.ReadOptions(use_threads=False, column_names=names, block_size=len(body.encode()) + 1024),
            parse_options=pacsv.ParseOptions(delimiter=mark, ignore_empty_lines=False, invalid_row_handler=wrong),
            convert_options=pacsv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=False),
        )
    except pa.ArrowInvalid as error:
        if bad:
            line = (bad[0].number or 1) + skip
            raise DataError(f"{path}:{line}: {bad[0].actual_columns} cells; wanted {columns}, as in the first line") from error
        raise DataError(f"{path}: not readable as rows of {columns} cells: {str(error).splitlines()[0]}") from error
    return [pc.utf8_trim_whitespace(table.column(i).combine_chunks()) for i in range(columns)]


def dates_of(path: Path, cells: pa.Array, first: int) -> Dates:
    """Days, datetime64[D] [T], from strings such as 1998-01-02, 19980102 or 1998-01-02 00:00; `first` is the line of the first.

    Raises:
        DataError: a cell is no date; with its line.
    """
    plain = pc.replace_substring_regex(cells, _DAY, r"\1-\2-\3")
    good = pc.match_substring_regex(plain, r"^\d{4}-\d{2}-\d{2}$").to_numpy(zero_copy_only=False)
    texts = plain.to_numpy(zero_copy_only=False)
    if good.all():
        try:
            days: Dates = texts.astype("U10").astype("datetime64[D]")
            return days
        except ValueError:  # a thirteenth month
            good = np.array([_is_day(text) for text in texts.tolist()])
    row = int(np.flatnonzero(~good)[0])
    raise DataError(f"{path}:{row + first}: {cells[row].as_py()!r} is no date; wanted YYYY-MM-DD or YYYYMMDD")


def numbers_of(path: Path, cells: pa.Array, name: str, first: int) -> F64:
    """Numbers, float64 [T], from strings; NaN where one is empty or says "null" or the like.

    Raises:
        DataError: a cell is no number; with its line.
    """
    empty = pc.is_in(pc.utf8_lower(cells), pa.array(MISSING))
    kept = pc.if_else(empty, pa.scalar("nan"), cells)
    try:
        found: F64 = pc.cast(kept, pa.float64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid as error:
        row = next(i for i, text in enumerate(kept.to_pylist()) if not _is_number(text))
        raise DataError(f"{path}:{row + first}: {name} is {cells[row].as_py()!r}; wanted a number such as 97.36") from error
    return found


def _is_day(text: str) -> bool:
    try:
        np.datetime64(text, "D")
    except ValueError:
        return False
    return True


def _is_number(text: str) -> bool:
    try:
        pc.cast(pa.scalar(text), pa.float64())
    except pa.ArrowInvalid:
        return False
    return True
