"""A piece of a file looked at line by line: what is wrong with it, or the same rows spelt as usual.

Slow, and only for pieces that `rows.parse` gives up: those with comments, blank lines, blanks around values or dates of few digits, which
the archive's loaders read too, and broken ones.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from harness.forecast import I64
from harness_tasks.tsf.header import TsfHeader, fail
from harness_tasks.tsf.pieces import Piece

__all__ = ["spelt_out"]

NUMBER = rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
VALUE = re.compile(rb"[ \t]*(?:\?|" + NUMBER + rb")[ \t]*")
LARGEST = float(np.finfo(np.float32).max)
DATE = "%Y-%m-%d %H-%M-%S"


def spelt_out(path: Path, piece: Piece, header: TsfHeader) -> tuple[Piece, I64]:
    """The rows of a piece in their usual spelling, and the number of each one's line.

    Raises:
        DataError: the first line that is no row, with what is wrong about it.
    """
    rows, lines = [], []
    texts = piece.data.removesuffix(b"\n").split(b"\n")
    for number, text in enumerate(texts):
        line = piece.line + number
        inside = piece.continues and number == 0
        row = text if inside else text.strip()
        if not inside:
            if not row or row.startswith(b"#"):
                continue
            if row.startswith(b"@"):
                raise fail(path, line, f"{_quote(row)} after @data", "series only; the words of the header stand before @data")
        at_end = number == len(texts) - 1
        try:
            head, values = (b"", row) if inside else _split(row, header)
            if not inside and not values.strip():
                raise _Wrong("a series without values", "at least one number")
            rows.append(head + _values(values, inside, piece.open and at_end, piece.ends and at_end))
        except _Wrong as error:
            raise fail(path, line, error.got, error.wanted) from None
        lines.append(line)
    data = b"".join(row if piece.open else row + b"\n" for row in rows)
    return replace(piece, data=data), np.array(lines, np.int64)


class _Wrong(Exception):
    def __init__(self, got: str, wanted: str) -> None:
        super().__init__(got)
        self.got, self.wanted = got, wanted


def _split(row: bytes, header: TsfHeader) -> tuple[bytes, bytes]:
    """The attributes of a row as usual, each with its colon, and its values."""
    count = len(header.attributes)
    fields = row.split(b":")
    if len(fields) != count + 1:
        names = ":".join(name for name, _ in header.attributes)
        raise _Wrong(f"{len(fields)} fields between colons, {_quote(row)}", f"{count + 1}: {names}:values")
    heads = [_attribute(raw, name, kind, header.encoding) for raw, (name, kind) in zip(fields, header.attributes, strict=False)]
    return b"".join(head + b":" for head in heads), fields[-1]


def _attribute(raw: bytes, name: str, kind: str, encoding: str) -> bytes:
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError:
        raise _Wrong(f"attribute {name} is {raw[:60]!r}, which is not {encoding}", "cp1252, or UTF-8 behind a byte order mark") from None
    if kind == "date":
        try:
            return datetime.strptime(text.strip(), DATE).isoformat(" ").replace(":", "-").encode()
        except ValueError:
            raise _Wrong(f"attribute {name} is {_quote(raw)}", "a date such as 2020-01-31 23-59-59") from None
    if kind == "numeric":
        if not (VALUE.fullmatch(raw) and raw.strip() != b"?" and np.isfinite(float(raw))):
            raise _Wrong(f"attribute {name} is {_quote(raw)}", "a number")
        return raw.strip().lstrip(b"+")
    return raw


def _values(text: bytes, inside: bool, opens: bool, ends: bool) -> bytes:
    """The values of a row as usual.

    Args:
        inside: the row began before; `opens`: it goes on behind the last comma; `ends`: the file ends with it, without a line end.
    """
    tokens = (text.removesuffix(b",") if opens else text).split(b",")
    wanted = "numbers between commas, ? where one is missing"
    for number, token in enumerate(tokens):
        if VALUE.fullmatch(token) is None:
            cut = "; the file seems to be cut off there" if ends and number == len(tokens) - 1 else ""
            what = _quote(token) if token.strip() else "empty"
            raise _Wrong(f"{'a value' if inside else f'value {number + 1}'} of the series is {what}{cut}", wanted)
    if ends and tokens[-1].endswith(b"."):
        raise _Wrong(f"the last value of the series is {_quote(tokens[-1])}; the file seems to be cut off there", wanted)
    usual = [token.strip().lstrip(b"+") for token in tokens]
    known = [token for token in usual if token != b"?"]
    sizes = np.abs(np.array(pa.array(known, pa.binary()).cast(pa.string()).cast(pa.float64()), np.float64))
    with np.errstate(over="ignore"):
        beyond = np.flatnonzero(~np.isfinite(sizes.astype(np.float32)))
    if len(beyond):
        raise _Wrong(f"the series has a value {_quote(known[beyond[0]])}", f"numbers up to {LARGEST:.6g}, the largest of float32")
    return b",".join(usual) + b"," * opens


def _quote(raw: bytes) -> str:
    text = raw.decode("cp1252", "replace")
    return repr(text if len(text) <= 60 else text[:57] + "...")
