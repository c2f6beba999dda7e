"""Tables of text that others wrote, read a row at a time: separators, encodings and byte order marks are found out."""

from __future__ import annotations

import codecs
import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import DataError, NothingMatched, UsageError
from harness.files import other_than_file

__all__ = ["TableFile", "csv_files", "number", "open_table"]

_MARKS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


@dataclass(frozen=True)
class TableFile:
    """A table with a header; each call of `rows` reads the file anew."""

    path: Path
    header: list[str]
    separator: str
    encoding: str

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """(number of the line that it ends in, cells) of each row that is not blank; a row may be shorter or longer than the header.

        Raises:
            DataError: not a table, or the file ends within quotes.
        """
        yield from _rows(self.path, self.separator, self.encoding, skip=1)


def open_table(path: Path) -> TableFile:
    """Look at a file's first row.

    Raises:
        NothingMatched: no such file.
        DataError: it cannot be read, is empty or is not a table.
    """
    if not path.exists():
        raise NothingMatched(f"{path}: there is no such file; wanted a CSV file")
    if not path.is_file():
        raise UsageError(f"{path} is {other_than_file(path)}; wanted a CSV file")
    try:
        with path.open("rb") as handle:
            start = handle.read(65_536)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    encoding = next((name for mark, name in _MARKS.items() if start.startswith(mark)), "utf-8")
    text = start.decode(encoding, errors="replace")
    separator = _separator(text)
    header = next(_rows(path, separator, encoding), (0, []))[1]
    if not any(header):
        raise DataError(f"{path} is empty; wanted a table with a header")
    return TableFile(path, [name.strip() for name in header], separator, encoding)


def _separator(text: str) -> str:
    """The most frequent of the usual separators in the first line, outside quotes."""
    line: list[str] = []
    quoted = False
    for letter in text:
        if letter == '"':
            quoted = not quoted
        elif letter in "\r\n" and line and not quoted:
            break
        elif not quoted:
            line.append(letter)
    return max(",;\t|", key=line.count)


def _rows(path: Path, separator: str, encoding: str, skip: int = 0) -> Iterator[tuple[int, list[str]]]:
    try:
        with path.open(encoding=encoding, errors="replace", newline="") as handle:
            reader = csv.reader((line.replace("\0", "") for line in handle), delimiter=separator, strict=True)
            try:
                for row in reader:
                    if not any(row):
                        continue
                    if skip:
                        skip -= 1
                        continue
                    yield reader.line_num, row
            except csv.Error as error:
                raise DataError(f"{path}, line {reader.line_num}: not a CSV table ({error}); is the file whole?") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    except UnicodeError as error:
        raise DataError(f"{path} is not text in {encoding}: {error}") from error


def number(text: str, separator: str = ",") -> float | None:
    """A finite number, or None for anything else: blank, "nan", "inf", "n/a". With ";" between the cells "1,5" is one and a half."""
    if "_" in text:  # Python would read 1_0 as ten
        return None
    if separator == ";" and "." not in text:
        text = text.replace(",", ".")
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def csv_files(path: Path) -> list[Path]:
    """The CSV file `path`, or those in the folder `path` or in `results` below it.

    Raises:
        UsageError: an address of the network.
        NothingMatched: no CSV file there.
    """
    if (scheme := str(path).partition(":/")[0]) in ("http", "https", "s3", "gs", "hf"):
        raise UsageError(f"{path} is an address ({scheme}); fetch it first, then name the file or folder")
    if path.is_file():
        return [path]
    if not path.is_dir() and (what := other_than_file(path)):
        raise UsageError(f"{path} is {what}; wanted a CSV file or a folder of them")
    for folder in (path, path / "results"):
        found = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".csv" and p.is_file()) if folder.is_dir() else []
        if found:
            return found
    raise NothingMatched(
        f"{path}: {'no CSV file in this folder' if path.is_dir() else 'nothing there'}; wanted a CSV file or a folder of them"
    )
