"""Where a cell goes while it runs: its rows into the spool, its forecasts, if they are kept, into a file of their own.

The file says of which result it is, so that no other is read in its place.
"""

from __future__ import annotations

import contextlib
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness import spool
from harness.arrow import from_numpy, rows
from harness.files import publish, temporary_name
from harness.forecast import F32, F64
from harness.kept_file import CELL_ID, FORECASTS, PROBABILITY, RESULT_ID
from harness.rows import window_schema
from harness.store import Store

__all__ = ["SpoolSink", "forecast_folder"]


def forecast_folder(store: Store) -> Path:
    """Where the forecasts of a store's cells are kept."""
    return store.path.with_name(store.path.name + FORECASTS)


class SpoolSink:
    """A cell's way into the spool, and its forecasts' way into a file of their own."""

    def __init__(self, store: Store, keep_forecasts: bool) -> None:
        self.result_id = uuid.uuid4().hex
        self._store = store
        self._writer: spool.CellWriter | None = None
        self._forecasts: pq.ParquetWriter | None = None
        self._folder = forecast_folder(store)
        self._path = self._folder / f"{self.result_id}.parquet"
        self._keep = keep_forecasts

    def write(self, rows: pa.RecordBatch) -> None:
        """Append window rows."""
        if self._writer is None:
            self._writer = spool.CellWriter(self._store.spool, self.result_id, rows.schema)
        self._writer.write(rows)

    def forecasts(self, index: np.ndarray[Any, Any], quantiles: F32, mean: F32, probability: F64 | None = None) -> None:
        """Keep the forecasts of a block, if they are to be kept, with the probabilities [N] of the task's event, where it has one."""
        if not self._keep:
            return
        columns = {"window": from_numpy(index), "quantiles": rows(quantiles), "mean": rows(mean)}  # [N], [N, Q·H], [N, H]
        if probability is not None:
            columns[PROBABILITY] = from_numpy(probability)
        batch = pa.RecordBatch.from_arrays([*columns.values()], names=[*columns])
        with spool.storing(self._path):
            if self._forecasts is None:
                self._folder.mkdir(exist_ok=True)
                self._forecasts = pq.ParquetWriter(temporary_name(self._path), batch.schema, compression="zstd")
            self._forecasts.write_batch(batch)

    def commit(self, record: dict[str, Any], steps: pa.Table | None) -> None:
        """Make the result visible: forecasts first, the cell last."""
        if self._forecasts is not None:
            with spool.storing(self._path):
                self._forecasts.add_key_value_metadata({RESULT_ID: self.result_id.encode(), CELL_ID: str(record["cell_id"]).encode()})
                self._forecasts.close()
                publish(temporary_name(self._path), self._path)
            record["forecasts"] = f"{self._folder.name}/{self._path.name}"
        if self._writer is None:
            self._writer = spool.CellWriter(self._store.spool, self.result_id, window_schema())
        record["result_id"] = self.result_id
        self._writer.commit(record, steps)

    def abort(self) -> None:
        """Drop what was written."""
        if self._writer is not None:
            self._writer.abort()
            self._writer = None
        if self._forecasts is not None:
            with contextlib.suppress(OSError, pa.ArrowException):  # a full disk, say, which is why the cell is given up
                self._forecasts.close()
            temporary_name(self._path).unlink(missing_ok=True)
            self._forecasts = None
