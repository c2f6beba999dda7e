"""numpy to Arrow and back without a copy, and without pandas: pyarrow's own conversions import it, which costs 0.4 s in each process."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["constant", "from_numpy", "rows", "to_numpy"]

TYPES = {
    "float32": pa.float32(),
    "float64": pa.float64(),
    "int16": pa.int16(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "uint64": pa.uint64(),
    "datetime64[s]": pa.timestamp("s"),
}

NAMES = {str(kind): name for name, kind in TYPES.items()}


def from_numpy(values: NDArray[Any]) -> pa.Array:
    """A 1-d array of numbers or datetime64[s] as an Arrow array without nulls; NaN stays NaN."""
    contiguous = np.ascontiguousarray(values)
    kind = TYPES[str(contiguous.dtype)]
    raw = contiguous.view(np.int64) if contiguous.dtype.kind == "M" else contiguous
    return pa.Array.from_buffers(kind, len(contiguous), [None, pa.py_buffer(raw)], null_count=0)


def to_numpy(array: pa.Array) -> NDArray[Any]:
    """An Arrow array of numbers or timestamp[s], without nulls, as a read-only view."""
    dtype = np.dtype(NAMES[str(array.type)])
    buffer = array.buffers()[1]
    if buffer is None:
        return np.empty(0, dtype)
    return np.frombuffer(buffer, dtype, count=array.offset + len(array))[array.offset :]


def rows(values: NDArray[Any]) -> pa.FixedSizeListArray:
    """A 2-d or 3-d array as one fixed-size list a row: [N, Q, H] -> N lists of Q·H."""
    n = len(values)
    return pa.FixedSizeListArray.from_arrays(from_numpy(values.reshape(-1)), max(values.size // max(n, 1), 1))


def constant(text: str, count: int) -> pa.StringArray:
    """`count` times the same text."""
    data = text.encode()
    offsets = np.arange(count + 1, dtype=np.int32) * np.int32(len(data))
    return pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(data * count)], null_count=0)
