"""A file as pieces of whole rows, read one after the other, so that memory does not grow with the file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from harness.errors import DataError
from harness_tasks.tsf.header import fail

__all__ = ["PIECE", "Piece", "Text"]

PIECE = 1 << 20
"""Bytes of a piece: large enough that Python's part is small, small enough for its arrays to stay in the caches."""

LONGEST = 1 << 26
BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Piece:
    """Some rows.

    Attributes:
        data: ends with a line end, or with a comma where it is `open`.
        line: the number of its first line.
        continues: the first row began in the piece before, so its attributes are not here.
        open: the only row goes on in the next piece.
        ends: the file ends here, and without a line end.
    """

    data: bytes
    line: int
    continues: bool = False
    open: bool = False
    ends: bool = False


class Text:
    """A file's text with line ends as "\\n"; a context manager.

    Raises:
        DataError: the file cannot be read, or is none of text.
    """

    def __init__(self, path: Path, piece: int = PIECE) -> None:
        self.path, self.piece, self.line = path, piece, 1
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise DataError(f"{path}: cannot be opened ({error.strerror}); wanted a .tsf file") from None
        self._held = b""  # a "\r" at the end of what was read: the other half of a line end may follow
        self._rest = b""  # read, and not given out yet
        self._ended = False
        try:
            self.encoding = self._begin()
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Text:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._file.close()

    def header(self) -> Iterator[tuple[int, bytes]]:
        """Number and text of the lines that hold something, without the blanks around it; stops where the caller stops."""
        while self._fill(b"\n") or self._rest:
            raw, _, self._rest = self._rest.partition(b"\n")
            number, self.line = self.line, self.line + 1
            if raw := raw.strip():
                yield number, raw

    def pieces(self, attributes: int) -> Iterator[Piece]:
        """The rest of the file: pieces end with a row, and only a row that is longer than a piece ends somewhere between two values.

        Args:
            attributes: of a row; they stay together.
        """
        continues, size = False, self.piece
        while self._more(size):
            text = self._rest[:size]
            last = self._ended and len(text) == len(self._rest)
            ends = last and not text.endswith(b"\n")
            cut = len(text) if last else text.rfind(b"\n") + 1
            opens = cut == 0
            if opens:
                cut = _comma(text, 0 if continues else attributes)
            if cut == 0:
                if len(text) > LONGEST:
                    raise fail(self.path, self.line, f"{len(text)} bytes without a comma or a line end", "values between commas")
                size = 2 * len(text)
                continue
            data, self._rest, size = text[:cut] + b"\n" * ends, self._rest[cut:], self.piece
            yield Piece(data, self.line, continues, opens, ends)
            self.line += 0 if opens else data.count(b"\n")
            continues = opens
        if continues:  # cut off behind a comma
            yield Piece(b"\n", self.line, True, False, True)

    def _begin(self) -> str:
        """Look at the first bytes; returns the encoding."""
        self._more(8)
        if not self._rest:
            raise DataError(f"{self.path}: the file is empty; wanted a .tsf file")
        for mark, kind, wanted in (
            (b"PK\x03\x04", "a zip archive", "the .tsf file in it: unzip it"),
            (b"\x1f\x8b", "a gzip archive", "the .tsf file in it: gunzip it"),
            (b"\xff\xfe", "UTF-16", "it saved as cp1252 or UTF-8"),
            (b"\xfe\xff", "UTF-16", "it saved as cp1252 or UTF-8"),
        ):
            if self._rest.startswith(mark):
                raise DataError(f"{self.path}: the file is {kind}; wanted {wanted}")
        if self._rest.startswith(BOM):
            self._rest = self._rest[len(BOM) :]
            return "utf-8"
        return "cp1252"

    def _fill(self, wanted: bytes) -> bool:
        """Read on until the text has this in it; whether it has."""
        while wanted not in self._rest:
            if self._ended:
                return False
            self._more(2 * len(self._rest) + 1024)
        return True

    def _more(self, size: int) -> bool:
        """Read on until there are so many bytes, if there are; whether there are any."""
        parts, have = [self._rest], len(self._rest)
        while have < size and not self._ended:
            try:
                raw = self._file.read(size - have)
            except OSError as error:
                raise DataError(f"{self.path}: cannot be read ({error.strerror}); wanted a .tsf file") from None
            self._ended = not raw
            raw = self._held + (raw or b"")
            self._held = b""
            if b"\r" in raw:
                if raw.endswith(b"\r") and not self._ended:
                    raw, self._held = raw[:-1], b"\r"
                raw = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            parts.append(raw)
            have += len(raw)
        self._rest = b"".join(parts) if len(parts) > 1 else parts[0]
        return bool(self._rest)


def _comma(text: bytes, attributes: int) -> int:
    """Where a row that has no end yet can be cut, behind the last comma between its values; 0 = nowhere."""
    cut = text.rfind(b",") + 1
    if attributes and (text.lstrip().startswith(b"#") or text.count(b":", 0, cut) < attributes):
        return 0
    return cut
