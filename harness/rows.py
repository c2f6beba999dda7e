"""Statistics as Arrow tables: one row a window, and one row a step of the horizon.

Window columns: window int64 (number in the task), item_id dictionary<int32, string>, variate int16, slot int32, cutoff timestamp[s],
context_length int64, seasonal_error double, crossings int32, fallback double (0 where the forecast is the model's own), then
`harness.scoring.STATISTICS` (counts int32, sums double, quantile_loss list<double>, hits list<int32>), and `extra` map<string, double>
where metrics bring statistics of their own.
Step columns: step int32 from 1, then the same statistics, counts int64, summed over the cell's windows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.arrow import from_numpy
from harness.forecast import F64, I64
from harness.scoring import COUNTS, LISTS, STATISTICS, SUMS, Scores, Totals

__all__ = ["step_table", "window_batch", "window_schema"]


def window_schema(extra: bool = False) -> pa.Schema:
    """The columns of window rows; with `extra`, also the map of third-party statistics."""
    fields = [
        ("window", pa.int64()),
        ("item_id", pa.dictionary(pa.int32(), pa.string())),
        ("variate", pa.int16()),
        ("slot", pa.int32()),
        ("cutoff", pa.timestamp("s")),
        ("context_length", pa.int64()),
        ("seasonal_error", pa.float64()),
        ("crossings", pa.int32()),
        ("fallback", pa.float64()),
        *((name, pa.int32()) for name in COUNTS),
        *((name, pa.float64()) for name in SUMS),
        ("quantile_loss", pa.list_(pa.float64())),
        ("hits", pa.list_(pa.int32())),
    ]
    return pa.schema([*fields, ("extra", pa.map_(pa.string(), pa.float64()))] if extra else fields)


def window_batch(
    scores: Scores,
    *,
    window: I64,
    item: NDArray[np.integer[Any]],
    item_ids: pa.Array | pa.ChunkedArray,
    variate: NDArray[np.integer[Any]],
    slot: NDArray[np.integer[Any]],
    cutoff: NDArray[np.datetime64],
    context_length: I64,
    seasonal_error: F64,
    crossings: NDArray[np.integer[Any]],
    fallback: F64 | None = None,
    extra: bool = False,
) -> pa.RecordBatch:
    """Rows of the block's N windows, all arrays [N]; `item` numbers the rows of `item_ids`, `fallback` None is 0 everywhere."""
    names, code = np.unique(item, return_inverse=True)
    ids = item_ids.take(from_numpy(names.astype(np.int64))).cast(pa.string())
    ids = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    schema = window_schema(extra)
    columns = [
        from_numpy(window.astype(np.int64)),
        pa.DictionaryArray.from_arrays(from_numpy(code.astype(np.int32)), ids),
        from_numpy(variate.astype(np.int16)),
        from_numpy(slot.astype(np.int32)),
        from_numpy(cutoff.astype("datetime64[s]")),
        from_numpy(context_length.astype(np.int64)),
        from_numpy(seasonal_error),
        from_numpy(crossings.astype(np.int32)),
        from_numpy(np.zeros(len(window)) if fallback is None else fallback.astype(np.float64)),
        *_columns(scores.windows),
    ]
    if extra:
        columns.append(_map(scores.extra, len(window)))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def step_table(totals: Totals) -> pa.Table:
    """The sums per step of the horizon: H rows."""
    horizon = len(totals.steps["n"])
    whole = {name: totals.steps[name].astype(np.int64) for name in (*COUNTS, "hits")}
    columns = _columns({**totals.steps, **whole})
    return pa.table([from_numpy(np.arange(1, horizon + 1, dtype=np.int32)), *columns], names=["step", *STATISTICS])


def _columns(values: Mapping[str, NDArray[Any]]) -> list[pa.Array]:
    """The statistics in order; [n, Q] as lists."""
    return [_lists(values[name]) if name in LISTS else from_numpy(values[name]) for name in STATISTICS]


def _lists(values: NDArray[Any]) -> pa.Array:
    rows, width = values.shape
    offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(width)
    return pa.ListArray.from_arrays(from_numpy(offsets), from_numpy(values.reshape(-1)))  # [n, Q] -> [n·Q]


def _map(extra: Mapping[str, F64], rows: int) -> pa.Array:
    offsets = np.arange(rows + 1, dtype=np.int32) * np.int32(len(extra))
    names = pa.array(list(extra) * rows, pa.string())
    numbers = np.stack(list(extra.values()), axis=1).reshape(-1) if extra else np.empty(0)  # [n, E] -> [n·E]
    return pa.MapArray.from_arrays(from_numpy(offsets), names, from_numpy(numbers))
