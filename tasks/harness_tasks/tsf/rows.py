"""The rows of one piece of a file as columns, without a Python object per value.

Commas and line ends part the text into values. Arrow reads them where they stand: an array of strings over the piece's own bytes, whose
elements are by turns a value and what lies between two values; the latter are null, and so is "?".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.arrow import from_numpy, to_numpy
from harness.forecast import F32, I64
from harness_tasks.tsf.header import TsfHeader
from harness_tasks.tsf.pieces import Piece

__all__ = ["Part", "parse"]

COMMA, COLON, LINE, MISSING = b",:\n?"  # as numbers
OTHER = ord("#")  # a row that begins with this or less (blanks, line ends) or with @ may be none
AT = ord("@")
YEARS = np.datetime64("0001-01-01", "s"), np.datetime64("9999-12-31T23:59:59", "s")


@dataclass(frozen=True, eq=False)
class Part:
    """R rows, or parts of rows at the ends of the piece.

    Attributes:
        columns: an array of R values for each attribute: string, double or timestamp[s]; of a row's first part only.
        values: float32 [sum of lengths], NaN where missing, row after row.
        lengths: int64 [R].
        observed: int64 [R], how many of them are not missing.
        lines: int64 [R], the number of each row's line.
        whole: whether all values are whole numbers, as they are written.
        continues, open: see `Piece`.
    """

    columns: list[pa.Array]
    values: F32
    lengths: I64
    observed: I64
    lines: I64
    whole: bool
    continues: bool = False
    open: bool = False

    def __len__(self) -> int:
        return len(self.lengths)


def parse(piece: Piece, header: TsfHeader, lines: I64 | None = None) -> Part | None:
    """Read a piece whose rows are spelt as usual; None where one is not.

    As usual: no comment, no blank line, no blanks around anything, dates in full digits.

    Args:
        lines: the number of each row's line where they do not follow each other; such a piece was spelt out, and no row is anything else.
    """
    data, count = piece.data, len(header.attributes)
    if not data:
        return _nothing(header)
    text = np.frombuffer(data, np.uint8)
    mark = text == COMMA
    mark |= text == LINE
    ends = np.flatnonzero(mark)  # [K] where each value ends
    last = _last(text, ends, piece.open)  # [R] the last value of each row
    begin = np.append(0, ends[last[:-1]] + 1)[piece.continues :]  # [own rows] where a row begins whose attributes are here
    colons = np.flatnonzero(text == COLON)
    if len(colons) != len(begin) * count:
        return None
    fields = colons.reshape(-1, count)  # [own rows, attributes] where each attribute ends
    if len(begin) and (np.any(fields[:, 0] < begin) or np.any(fields[:, -1] > ends[last[piece.continues :]])):
        return None  # one row has a colon more, another one fewer
    if lines is None:
        letter = text[begin]
        if np.any((letter <= OTHER) | (letter == AT)):
            return None
        lines = piece.line + np.arange(len(last), dtype=np.int64)
    first = np.append(0, last[:-1] + 1)[piece.continues :]  # [own rows] the first value of each row
    if np.any(ends[first] < fields[:, -1]):  # an attribute with a comma
        low = int(first[0])
        inner = ends[low:] < np.repeat(fields[:, -1], np.diff(first, append=len(ends)))
        ends = np.delete(ends, low + np.flatnonzero(inner))
        last = _last(text, ends, piece.open)
        first = np.append(0, last[:-1] + 1)[piece.continues :]
    columns = _columns(header, data, begin, fields)
    if columns is None:
        return None

    bounds = np.empty(2 * len(ends) + 1, np.int32)  # value, between, value, between, ...
    bounds[0] = 0
    bounds[1::2] = ends
    np.add(bounds[1::2], 1, out=bounds[2::2])
    bounds[2 * first] = fields[:, -1] + 1
    gaps = None
    bits = np.full(len(ends) // 4 + 1, 0b01010101, np.uint8)
    if MISSING in data:
        starts = bounds[:-1:2]
        gaps = (ends - starts == 1) & (text[starts] == MISSING)
        valid = np.zeros((len(ends), 2), np.bool_)
        np.logical_not(gaps, out=valid[:, 0])
        bits = np.packbits(valid, bitorder="little")
    try:
        doubles = _strings_over(data, bounds, bits).cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    wide = np.frombuffer(doubles.buffers()[1], np.float64)[: 2 * len(ends) : 2]
    if gaps is not None:
        wide = np.where(gaps, 0.0, wide)
    with np.errstate(over="ignore"):
        values = wide.astype(np.float32)
    if not np.isfinite(values).all():  # beyond float32, or written as nan or inf
        return None
    whole = bool(np.all(wide[:64] == np.floor(wide[:64])) and np.all(wide == np.floor(wide)))

    lengths = np.diff(last, prepend=-1)
    observed = lengths
    if gaps is not None:
        values[gaps] = np.nan
        observed = lengths - np.add.reduceat(gaps.astype(np.int64), np.append(0, last[:-1] + 1))
    return Part(columns, values, lengths, observed, lines, whole, piece.continues, piece.open)


def _last(text: NDArray[np.uint8], ends: NDArray[np.int64], opens: bool) -> NDArray[np.int64]:
    """The last value of each row, as a position in `ends`."""
    last = np.flatnonzero(text[ends] == LINE)
    return np.append(last, len(ends) - 1) if opens else last


def _strings_over(data: bytes, bounds: NDArray[np.int32], bits: NDArray[np.uint8] | None = None) -> pa.Array:
    """Strings that are `data[bounds[i]:bounds[i + 1]]`, no byte copied."""
    valid = None if bits is None else pa.py_buffer(bits)
    return pa.Array.from_buffers(pa.string(), len(bounds) - 1, [valid, pa.py_buffer(bounds), pa.py_buffer(data)])


ARROW = {"string": pa.string(), "numeric": pa.float64(), "date": pa.timestamp("s")}


def _nothing(header: TsfHeader) -> Part:
    none = np.empty(0, np.int64)
    return Part([pa.array([], ARROW[kind]) for _, kind in header.attributes], np.empty(0, np.float32), none, none, none, True)


def _columns(header: TsfHeader, data: bytes, begin: I64, fields: I64) -> list[pa.Array] | None:
    """The attributes of the rows, which end at `fields` [rows, attributes]; None where one is not as usual."""
    columns = []
    bounds = np.empty(2 * len(begin) + 1, np.int32)  # attribute, between, attribute, between, ...
    bounds[-1] = len(data)
    for number, (_, kind) in enumerate(header.attributes):
        bounds[:-1:2] = fields[:, number - 1] + 1 if number else begin
        bounds[1::2] = fields[:, number]
        raw = _strings_over(data, bounds).view(pa.binary()).take(from_numpy(np.arange(0, len(bounds) - 1, 2)))
        column = _dates(raw) if kind == "date" else _numbers(raw) if kind == "numeric" else _strings(raw, header.encoding)
        if column is None:
            return None
        columns.append(column)
    return columns


def _strings(raw: pa.BinaryArray, encoding: str) -> pa.Array | None:
    offsets, data = _buffers(raw)
    text = data[offsets[0] : offsets[-1]].tobytes()
    if text.isascii():
        return raw.view(pa.string())
    try:
        return pa.array([value.decode(encoding) for value in raw.to_pylist()], pa.string())
    except UnicodeDecodeError:
        return None


def _numbers(raw: pa.BinaryArray) -> pa.Array | None:
    try:
        column = raw.cast(pa.string()).cast(pa.float64())
    except pa.ArrowInvalid:
        return None
    return column if np.isfinite(to_numpy(column)).all() else None


def _dates(raw: pa.BinaryArray) -> pa.Array | None:
    """timestamp[s] of "2020-01-31 23-59-59"; Arrow reads the same with colons, and knows the days of each month."""
    count = len(raw)
    offsets, data = _buffers(raw)
    if np.any(np.diff(offsets) != 19):
        return None
    letters = data[offsets[0] : offsets[-1]].reshape(count, 19).copy()  # [R, 19]
    if np.any(letters[:, 10] != ord(" ")) or np.any(letters[:, (13, 16)] != ord("-")):
        return None
    letters[:, (13, 16)] = ord(":")
    bounds = np.arange(count + 1, dtype=np.int32) * np.int32(19)
    text = pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(bounds), pa.py_buffer(letters)])
    try:
        column = text.cast(pa.timestamp("s"))
    except pa.ArrowInvalid:
        return None
    times = to_numpy(column)
    return column if count == 0 or (times.min() >= YEARS[0] and times.max() <= YEARS[1]) else None


def _buffers(raw: pa.BinaryArray) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Offsets [R + 1] and bytes of an array that is no slice."""
    _, offsets, data = raw.buffers()
    return np.frombuffer(offsets, np.int32, len(raw) + 1), np.frombuffer(data or b"", np.uint8)
