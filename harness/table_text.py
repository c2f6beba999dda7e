"""Tables of text that strangers wrote (CSV and its like): unpacked, decoded, separator and header found, the line of a row told.

The rows themselves are read elsewhere, by Arrow. Rows count from 0, the first below the header; lines from 1.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from harness.errors import DataError, suggest
from harness.files import need_text

__all__ = ["ABSENT", "NotDecoded", "Text", "beginning", "check_columns", "fields_of", "separator_of"]

WORDS = ("na", "n/a", "nan", "null", "none")
ABSENT = ("", "-", "#N/A", "NaN", *(form for word in WORDS for form in (word, word.upper(), word.capitalize())))
"""What a cell without a value holds, where nobody says otherwise."""
SEPARATORS = "\t;|,"
HEAD = 1 << 20  # characters among which the header and the first rows are looked for
UNREADABLE = (OSError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError)
"""What reading a file raises that is not there, cut off, packed badly or locked by a password."""


class NotDecoded(DataError):
    """Bytes that are no text of the encoding."""


@dataclass(frozen=True)
class Text:
    """How a table is written: all that is needed to read its rows."""

    path: Path
    names: tuple[str, ...] = ()  # of the columns; each row has as many fields
    separator: str = ","
    encoding: str = "utf-8"
    above: int = 0  # lines above the header
    header: bool = True  # whether names stand above the first row
    blank: bool = False  # whether an empty line is a row
    hint: str = " Save the file as UTF-8."  # where bytes are no text of the encoding

    @property
    def codec(self) -> str:
        """The encoding; of UTF-8 the one that takes a byte order mark away."""
        return "utf-8-sig" if codecs.lookup(self.encoding).name == "utf-8" else self.encoding

    def line(self, row: int) -> int:
        """The line on which a row ends, 0 where it cannot be told. Reads the file again, so only for errors."""
        wrong = (*UNREADABLE, csv.Error)  # what is wrong with the row is said, not this
        with suppress(*wrong), opened(self.path) as file, io.TextIOWrapper(file, self.codec, errors="replace", newline="") as text:
            for _ in range(self.above):
                text.readline()
            reader = csv.reader(text, delimiter=self.separator)
            seen = -1 - self.header
            for fields in reader:
                seen += bool(fields) or self.blank
                if seen == row:
                    return self.above + reader.line_num
        return 0

    def at(self, line: int) -> str:
        """A line as errors begin."""
        return f"{self.path}, line {line}" if line else str(self.path)


def opened(path: Path) -> BinaryIO:
    """A file, unpacked where it is gzip's or a zip archive of one file (its first bytes tell, and .gz in its name).

    Raises:
        DataError: an archive of several files.
        one of UNREADABLE: here or later, when it is read.
    """
    with path.open("rb") as file:
        begin = file.read(4)
    if begin[:2] == b"\x1f\x8b" or path.name.lower().endswith(".gz"):
        return cast(BinaryIO, gzip.open(path))
    if begin != b"PK\x03\x04":
        return path.open("rb")
    with zipfile.ZipFile(path) as archive:  # the file in it stays open until that is closed
        inside = archive.namelist()
        if len(inside) != 1:
            raise DataError(f"{path}: an archive of {len(inside)} files; wanted one of one file: unpack it and name the file")
        return cast(BinaryIO, archive.open(inside[0]))


def beginning(text: Text, size: int = HEAD, line: int = 1 << 26) -> str:
    """The first characters of a table, `size` and up to `line` more to the end of the line, without a byte order mark.

    Raises:
        NotDecoded: not text of its encoding; with the line.
        DataError: empty, not there, damaged; a path that is not UTF-8, which Arrow cannot open.
    """
    need_text(text.path)
    try:
        with opened(text.path) as file, io.TextIOWrapper(file, text.codec, newline="") as characters:
            found = characters.read(size) + characters.readline(line)
    except UnicodeError:
        raise undecoded(text) from None
    except UNREADABLE as error:
        raise damaged(text.path, error) from None
    if not found:
        raise DataError(f"{text.path}: the file is empty; wanted a header and rows")
    return found


def undecoded(text: Text) -> NotDecoded:
    """The error about the first bytes that are no text of the encoding; reads the file again."""
    said = f"has bytes that are not {text.encoding}; wanted that.{text.hint}"
    with opened(text.path) as file:
        for line, data in enumerate(file, 1) if "\n".encode(text.encoding) == b"\n" else ():  # of others, lines cannot be told so
            try:
                data.decode(text.encoding)
            except UnicodeDecodeError as error:
                return NotDecoded(f"{text.at(line)}: {said} The first is {data[error.start]:#04x}")
    return NotDecoded(f"{text.path}: {said}")


def damaged(path: Path, error: BaseException) -> DataError:
    """The error about a file that one of UNREADABLE was raised for."""
    why = getattr(error, "strerror", None)
    said = " ".join(str(why or error).split())[:200]
    return DataError(f"{path}: cannot be read ({said}); wanted a CSV file{'' if why else '. Is it damaged or cut short?'}")


def separator_of(line: str) -> str:
    """Of tab, semicolon, bar and comma the one that a line has most of."""
    return max(SEPARATORS, key=line.count)


def fields_of(path: Path, text: str, separator: str) -> list[str]:
    """The cells of the first row that is not blank, without blanks around them; none where there is no such row. Raises DataError."""
    try:
        return [cell.strip() for cell in next(filter(None, csv.reader(io.StringIO(text, newline=""), delimiter=separator)), [])]
    except csv.Error as error:
        raise DataError(f"{path}: the header cannot be read ({error}); wanted names of columns in the first line") from None


def check_columns(wanted: Iterable[str], found: Sequence[str], where: str, told: str = "") -> None:
    """Raise DataError where a column does not stand exactly once in a header; `where` is the table, `told` says who wants it."""
    for name in wanted:
        if found.count(name) != 1:
            there = name in found
            got = f"the column {name!r} {found.count(name)} times" if there else f"no column {name!r}"
            listed = ", ".join(found[:20]) + (", …" if len(found) > 20 else "")
            raise DataError(f"{where}: has {got}{told}; its columns are {listed}.{'' if there else suggest(name, found)}")
