"""Writing `.tsf` files that this reader and the archive's own loaders take back."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike, NDArray

from harness.arrow import from_numpy, to_numpy
from harness.errors import DataError, StoreError
from harness.files import publish, temporary_name
from harness.forecast import Ragged
from harness.monash import alias
from harness.series import Channels

__all__ = ["write_tsf"]

VALUES = 1 << 20  # written at a time
FIRST, END = np.datetime64("0001-01-01", "s"), np.datetime64("10000-01-01", "s")


def write_tsf(
    path: Path,
    values: Channels | Ragged | Sequence[ArrayLike],
    *,
    names: Sequence[str] | pa.Array | pa.ChunkedArray | None = None,
    starts: ArrayLike | None = None,
    attributes: Mapping[str, Sequence[Any] | pa.Array | pa.ChunkedArray] | pa.Table | None = None,
    relation: str = "series",
    frequency: str | None = None,
    horizon: int | None = None,
    comments: Sequence[str] = (),
) -> None:
    """Write N series whole or not at all; numbers are as short as float32 allows.

    Args:
        values: N series, NaN where missing. `@missing` and `@equallength` follow from them.
        names: N, the attribute series_name; None = "T1", "T2", ...
        starts: datetime64 [N] of whole seconds, the attribute start_timestamp; None = there is none.
        attributes: further ones, N of each: strings, finite numbers or times of whole seconds (dates and times of any unit), without a
            zone. Whole numbers are written with all their digits.
        frequency: the archive's word: "daily".
        comments: lines that are put first.

    Raises:
        ValueError: what cannot be written so that it reads back: no series, an empty one, one all missing, an infinity, a name that holds
            a colon or a line end or begins like a comment, a letter that cp1252 lacks, columns of other lengths.
        StoreError: the file cannot be written; one that was there before is unchanged.
    """
    series = _channels(values)
    length = series.length
    if len(length) == 0:
        raise ValueError("write_tsf() got no series; wanted at least one")
    if len(empty := np.flatnonzero(length == 0)):
        raise ValueError(f"write_tsf() got series {empty[0]} without values; wanted at least one in each")
    columns, kinds = _columns(len(length), names, starts, attributes)
    head = _head(relation, frequency, horizon, kinds, comments)
    missing = any(np.isnan(chunk).any() for chunk in series.chunks) and any(np.isnan(series[c]).any() for c in range(len(series)))
    equal = bool(np.all(length == length[0]))
    head += [f"@missing {str(missing).lower()}", f"@equallength {str(equal).lower()}", "@data"]
    target = Path(path).resolve()
    temporary = temporary_name(target)
    try:
        try:
            with temporary.open("wb") as stream:
                stream.write(_encoded("\n".join(head) + "\n"))
                _rows(stream, series, columns)
            publish(temporary, target)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"could not write {path}: {error.strerror or error}; choose another file") from error


def _channels(values: Channels | Ragged | Sequence[ArrayLike]) -> Channels:
    if isinstance(values, Channels):
        return values
    return Channels.from_ragged(values if isinstance(values, Ragged) else Ragged.from_rows(values))


def _head(relation: str, frequency: str | None, horizon: int | None, kinds: Mapping[str, str], comments: Sequence[str]) -> list[str]:
    for what, word in (("relation", relation), *(("attribute", name) for name in kinds)):
        if word.split() != [word]:
            raise ValueError(f"write_tsf() got {what} {word!r}; wanted one word")
    lines = [f"# {line}" for comment in comments for line in comment.splitlines()]
    lines += [f"@relation {relation}", *(f"@attribute {name} {kind}" for name, kind in kinds.items())]
    if frequency is not None:
        try:
            alias(frequency)
        except DataError as error:
            raise ValueError(f"write_tsf() {error}") from None
        lines.append(f"@frequency {frequency}")
    if horizon is not None:
        if isinstance(horizon, bool) or not isinstance(horizon, int | np.integer) or horizon < 1:
            raise ValueError(f"write_tsf() got horizon {horizon!r}; wanted a whole number of at least 1")
        lines.append(f"@horizon {horizon}")
    return lines


def _columns(count: int, names: Any, starts: ArrayLike | None, attributes: Any) -> tuple[list[pa.Array], dict[str, str]]:
    """The text of each attribute [N], and the type of each by name."""
    given: dict[str, Any] = {"series_name": pa.array([f"T{i + 1}" for i in range(count)]) if names is None else names}
    if starts is not None:
        times = np.asarray(starts)
        given["start_timestamp"] = times if times.dtype.kind == "M" else np.asarray(starts, "datetime64[s]")
    if attributes is not None:
        others = {name: attributes[name] for name in attributes.column_names} if isinstance(attributes, pa.Table) else attributes
        if both := sorted(given.keys() & others.keys()):
            raise ValueError(f"write_tsf() got attributes that have an argument of their own: {', '.join(both)}; wanted other names")
        given |= others
    columns, kinds = [], {}
    for name, column in given.items():
        array = _array(name, column)
        if len(array) != count or array.null_count:
            raise ValueError(f"write_tsf() got {len(array)} values of {name}, {array.null_count} of them null; wanted {count}")
        text, kinds[name] = _texts(name, array)
        columns.append(text)
    return columns, kinds


def _array(name: str, column: Any) -> pa.Array:
    """A column as Arrow has it; times of numpy in seconds."""
    if isinstance(column, pa.ChunkedArray):
        return column.combine_chunks()
    if isinstance(column, pa.Array):
        return column
    if isinstance(column, list | tuple) and any(isinstance(value, np.datetime64) for value in column):
        column = np.array(column, np.result_type(*column) if all(isinstance(value, np.datetime64) for value in column) else object)
    if isinstance(column, np.ndarray) and column.dtype.kind == "M":
        times = column.astype("datetime64[s]")  # of any unit, those that Arrow lacks too: D, M, h
        if np.any(~np.isnat(times) & (times.astype(column.dtype) != column)):
            raise ValueError(f"write_tsf() got a value of {name} with a part of a second; wanted times of whole seconds")
        return from_numpy(np.ascontiguousarray(times))
    try:
        return pa.array(column)
    except (pa.ArrowException, OverflowError, TypeError) as error:
        why = " ".join(str(error).split())[:200]
        raise ValueError(f"write_tsf() got {name} that is no column ({why}); wanted strings, numbers or times, all of one kind") from None


def _texts(name: str, array: pa.Array) -> tuple[pa.Array, str]:
    types, wanted = pa.types, "strings, numbers or times without a zone"
    if (types.is_timestamp(array.type) and array.type.tz is None) or types.is_date(array.type):
        try:
            return _dates(name, to_numpy(array.cast(pa.timestamp("s")))), "date"
        except pa.ArrowInvalid:
            raise ValueError(f"write_tsf() got a value of {name} with a part of a second; wanted times of whole seconds") from None
    if types.is_integer(array.type):
        return array.cast(pa.string()), "numeric"
    if types.is_floating(array.type):
        numbers = array.cast(pa.float64())
        if not pc.all(pc.is_finite(numbers)).as_py():
            raise ValueError(f"write_tsf() got a value of {name} that is not finite; wanted numbers")
        return (numbers if types.is_float16(array.type) else array).cast(pa.string()), "numeric"
    if not (types.is_string(array.type) or types.is_large_string(array.type)):
        raise ValueError(f"write_tsf() got {name} of type {array.type}; wanted {wanted}")
    text = array.cast(pa.string())
    bad = pc.match_substring_regex(text, r"[:\x00-\x1f]|^[#@ \x{A0}]|[ \x{A0}]$")
    if pc.any(bad).as_py():
        wrong = text.filter(bad)[0].as_py()
        raise ValueError(f"write_tsf() got {name} {wrong!r}; wanted no colon or control character, no blank around it, no # or @ before")
    return text, "string"


def _dates(name: str, times: NDArray[np.datetime64]) -> pa.Array:
    """ "2020-01-31 23-59-59" of each."""
    if np.isnat(times).any() or np.any((times < FIRST) | (times >= END)):
        raise ValueError(f"write_tsf() got a value of {name} that is no time of the years 1 to 9999; wanted one for each series")
    letters = np.datetime_as_string(times, unit="s").astype("S19").view(np.uint8).reshape(-1, 19).copy()  # [N, 19]
    letters[:, 10] = ord(" ")
    letters[:, (13, 16)] = ord("-")
    bounds = np.arange(len(times) + 1, dtype=np.int32) * np.int32(19)
    return pa.Array.from_buffers(pa.string(), len(times), [None, pa.py_buffer(bounds), pa.py_buffer(letters)])


def _rows(stream: IO[bytes], series: Channels, columns: list[pa.Array]) -> None:
    """Write the series, some rows at a time."""
    total = np.cumsum(series.length)
    low = 0
    while low < len(series):
        high = max(low + 1, int(np.searchsorted(total, total[low] + VALUES)))
        rows = np.arange(low, high)
        part = series.cut(rows, np.zeros(len(rows), np.int64), series.length[rows])
        parts = [column.slice(low, high - low) for column in columns]
        lines = pc.binary_join_element_wise(
            *(c.cast(pa.large_string()) for c in parts), _joined(part, low), pa.scalar(":", pa.large_string())
        )
        text = pc.binary_join(_one_list(lines), pa.scalar("\n", pa.large_string()))[0].as_py()
        stream.write(_encoded(text + "\n"))
        low = high


def _joined(part: Ragged, low: int) -> pa.Array:
    """The values of each row between commas."""
    values = part.values
    if np.isinf(values).any():
        row = int(np.searchsorted(part.offsets, np.flatnonzero(np.isinf(values))[0], side="right")) - 1
        raise ValueError(f"write_tsf() got an infinity in series {low + row}; wanted finite values, or NaN where missing")
    gaps = np.isnan(values)
    known = part.lengths - np.add.reduceat(gaps.astype(np.int64), part.offsets[:-1])
    if np.any(known == 0):
        raise ValueError(f"write_tsf() got series {low + int(np.argmin(known))} with all values missing; wanted at least one that is not")
    text = from_numpy(values).cast(pa.large_string())
    back = to_numpy(text.cast(pa.float64())).astype(np.float32)
    if not np.array_equal(back, values, equal_nan=True):  # a text so close to the middle of two float32 that it reads as the other one
        text = from_numpy(values.astype(np.float64)).cast(pa.large_string())
    if gaps.any():
        text = pc.if_else(_mask(gaps), pa.scalar("?", pa.large_string()), text)
    lists = pa.LargeListArray.from_arrays(from_numpy(part.offsets), text)
    return pc.binary_join(lists, pa.scalar(",", pa.large_string()))


def _one_list(lines: pa.Array) -> pa.Array:
    return pa.LargeListArray.from_arrays(from_numpy(np.array([0, len(lines)], np.int64)), lines)


def _mask(flags: NDArray[np.bool_]) -> pa.Array:
    return pa.Array.from_buffers(pa.bool_(), len(flags), [None, pa.py_buffer(np.packbits(flags, bitorder="little"))])


def _encoded(text: str) -> bytes:
    try:
        return text.encode("cp1252")
    except UnicodeEncodeError as error:
        wrong = text[error.start]
        raise ValueError(f"write_tsf() got the letter {wrong!r}; wanted letters of cp1252, which readers of the format expect") from None
