"""Small finished cells, as a worker leaves them in the spool."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.spool import CellWriter

LEVELS = 3
WINDOWS = pa.schema(
    [
        ("window", pa.int64()),
        ("item_id", pa.string()),
        ("variate", pa.int16()),
        ("slot", pa.int32()),
        ("cutoff", pa.timestamp("us")),
        ("context_length", pa.int64()),
        ("seasonal_error", pa.float64()),
        ("n", pa.int32()),
        ("abs_error", pa.float64()),
        ("quantile_loss", pa.list_(pa.float64(), LEVELS)),
        ("hits", pa.list_(pa.int32(), LEVELS)),
        ("extra", pa.map_(pa.string(), pa.float64())),
        ("of_a_later_version", pa.float64()),
    ]
)


def rows(count: int, first: int = 0) -> pa.RecordBatch:
    """`count` window rows."""
    index = list(range(first, first + count))
    columns = {
        "window": index,
        "item_id": [f"item-{i}" for i in index],
        "variate": [0] * count,
        "slot": [0] * count,
        "cutoff": [datetime.datetime(2024, 1, 1)] * count,
        "context_length": [100] * count,
        "seasonal_error": [1.5] * count,
        "n": [24] * count,
        "abs_error": [float(i) for i in index],
        "quantile_loss": [[1.0, 2.0, 3.0]] * count,
        "hits": [[1, 2, 3]] * count,
        "extra": [[("mine.sum", 0.5)]] * count,
        "of_a_later_version": [0.0] * count,
    }
    return pa.record_batch([pa.array(columns[field.name], field.type) for field in WINDOWS], schema=WINDOWS)


def record(cell_id: str = "cell-1", result_id: str = "", **changes: Any) -> dict[str, Any]:
    """A cell's record."""
    base: dict[str, Any] = {
        "result_id": result_id or f"{cell_id}-a",
        "cell_id": cell_id,
        "run_id": "run-1",
        "source": "own",
        "suite": "gift-eval",
        "task": "m4_hourly/H/short",
        "model": "naive",
        "model_name": "naive",
        "params": {"a": 1},
        "mode": "zero-shot",
        "budget": "",
        "seed": 0,
        "scope": "",
        "status": "ok",
        "failure": "",
        "domain": "Econ/Fin",
        "freq": "H",
        "term": "short",
        "horizon": 48,
        "variates": 1,
        "quantile_levels": [0.1, 0.5, 0.9],
        "n_windows": 3,
        "started_at": "2026-01-01T00:00:00+00:00",
        "finished_at": "2026-01-01T00:00:01+00:00",
        "predict_s": 0.5,
        "receipt": {"python": "3.11"},
        "scores": {"MASE[0.5]": 1.25, "mean_weighted_sum_quantile_loss": 0.5, "MSIS": "inf", "MAPE[0.5]": None},
    }
    return {**base, **changes}


def spool_cell(folder: Path, windows: int = 3, steps: bool = True, **changes: Any) -> Path:
    """Leave a finished cell in the spool."""
    made = record(**changes)
    writer = CellWriter(folder, made["result_id"], WINDOWS)
    if windows:
        writer.write(rows(windows))
    table = pa.table({"step": pa.array([1, 2], pa.int32()), "n": pa.array([3, 3], pa.int32()), "abs_error": [1.0, 2.0]})
    return writer.commit(made, table if steps else None)
