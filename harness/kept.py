"""Reading the forecasts that a run kept (`--save-forecasts`), beside the labels where the data is here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import HarnessError, NothingMatched, StoreError, UsageError
from harness.forecast import F32, I64
from harness.plan import open_suites
from harness.plugins import Plugins
from harness.sink import forecast_folder
from harness.store import Store

__all__ = ["read_forecasts"]

CELLS = """
SELECT result_id, cell_id, suite, task, mode, seed, scope, forecasts, horizon, quantile_levels, data_fingerprint,
       json_extract_string(receipt, '$.data_folder') AS data_folder
FROM main.cells
WHERE superseded_by IS NULL AND source = 'own' AND status = 'ok' AND model = $1 AND task = $2
  AND ($3 = '' OR suite = $3) AND starts_with(cell_id, $4) AND ($5 OR cell_id IN (SELECT unnest($6::VARCHAR[])))
ORDER BY suite, mode, scope, seed
"""
WINDOWS = 'SELECT "window", item_id, variate, cutoff FROM main.windows WHERE result_id = $1 ORDER BY "window"'


def read_forecasts(plugins: Plugins, store: Store, model: str, task: str, suite: str, cell: str, among: Sequence[str] | None) -> pa.Table:
    """See `harness.Results.forecasts`; `among` are the cells to look in, None = all of the store."""
    row = _one(store.query(CELLS, [model, task, suite, cell, among is None, list(among or [])]).to_pylist(), store, model, task)
    kept = pq.read_table(_file(store, row)).combine_chunks().sort_by("window")
    windows = store.query(WINDOWS, [row["result_id"]])
    index: I64 = kept["window"].to_numpy()  # [N]
    if not np.array_equal(index, windows["window"].to_numpy()):
        raise StoreError(f"the forecasts of {model} on {task} are of other windows than its scores; make them anew with rerun='all'")
    n, horizon, levels = len(index), row["horizon"], row["quantile_levels"]
    quantiles = _array(kept["quantiles"]).reshape(n, len(levels), horizon)  # [N, Q, H]
    each = np.repeat(np.arange(n), horizon)  # [N·H], the window of each row
    columns = {name: windows[name].combine_chunks().take(pa.array(each)) for name in ("window", "item_id", "variate", "cutoff")}
    columns["step"] = pa.array(np.tile(np.arange(1, horizon + 1, dtype=np.int32), n))
    for position, level in enumerate(levels):
        columns[f"{level:g}"] = pa.array(quantiles[:, position].reshape(-1))  # [N, H] -> [N·H]
    columns["mean"] = pa.array(_array(kept["mean"]))
    labels = _labels(plugins, row, index)
    columns["label"] = pa.nulls(n * horizon, pa.float32()) if labels is None else pa.array(labels.reshape(-1))
    return pa.table(columns)


def _one(rows: list[dict[str, Any]], store: Store, model: str, task: str) -> dict[str, Any]:
    if not rows:
        raise NothingMatched(f"there is no good result of model '{model}' on task '{task}' in {store.path}. To see all: harness ls cells")
    kept = [row for row in rows if row["forecasts"]]
    if not kept:
        raise NothingMatched(
            f"the forecasts of {model} on {task} were not kept; to make and keep them: save_forecasts=True, or harness run --save-forecasts"
        )
    if len(kept) > 1:
        parts = [", ".join(filter(None, (r["suite"], r["mode"], f"seed {r['seed']}", r["scope"]))) for r in kept[:5]]
        them = [f"cell={r['cell_id'][:12]!r} ({part})" for r, part in zip(kept, parts, strict=False)]
        raise UsageError(f"{len(kept)} results of {model} on {task} have forecasts; name one: {'; '.join(them)}")
    return kept[0]


def _file(store: Store, row: Mapping[str, Any]) -> Path:
    # By its last part alone: a path that a stranger's database holds leads nowhere else.
    path = forecast_folder(store) / Path(row["forecasts"]).name
    if not path.is_file():
        raise StoreError(f"there is no file {path}; forecasts lie in that folder beside the database. To make them anew: rerun='all'")
    return path


def _array(column: pa.ChunkedArray) -> F32:
    """The values of a column of lists of one length, one after the other."""
    values: F32 = np.concatenate([chunk.flatten().to_numpy() for chunk in column.chunks] or [np.empty(0, np.float32)])
    return values


def _labels(plugins: Plugins, row: Mapping[str, Any], index: I64) -> F32 | None:
    """What came in these windows, [N, H]; None where the data is not here, or is not what was forecast."""
    folder = row["data_folder"]
    try:
        suite = open_suites(plugins, [row["suite"]], Path(folder) if folder else None)[row["suite"]]
        data = suite.open(next(t for t in suite.tasks() if t.name == row["task"]))
    except (HarnessError, StopIteration):
        return None
    position = np.searchsorted(data.index, index)
    if data.series.fingerprint != row["data_fingerprint"] or not np.array_equal(data.index[np.minimum(position, len(data) - 1)], index):
        return None
    return data.series.target.gather(data.channel[position], data.cut[position], row["horizon"])
