"""Reading the forecasts that a run kept (`--save-forecasts`), beside the labels where the data is here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from harness.arrow import from_numpy, to_numpy
from harness.errors import HarnessError, NothingMatched, StoreError, UsageError
from harness.forecast import F32, I64
from harness.kept_file import KeptError, KeptFile
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
# A cutoff that no calendar of Python has (infinity, before the year 1) is none.
WINDOWS = """
SELECT "window", item_id, variate, CASE WHEN year(cutoff) BETWEEN 1 AND 9999 THEN cutoff END AS cutoff
FROM main.windows WHERE result_id = $1 ORDER BY "window"
"""


def read_forecasts(plugins: Plugins, store: Store, model: str, task: str, suite: str, cell: str, among: Sequence[str] | None) -> pa.Table:
    """See `harness.Results.forecasts`; `among` are the cells to look in, None = all of the store."""
    row = _one(store.query(CELLS, [model, task, suite, cell, among is None, list(among or [])]).to_pylist(), store, model, task)
    windows = store.query(WINDOWS, [row["result_id"]])
    index: I64 = to_numpy(windows["window"].combine_chunks())  # [N]
    try:
        file = KeptFile.of(forecast_folder(store), row)
        quantiles, mean, chance = file.read(index)  # [N, Q, H], [N, H], [N]
    except KeptError as error:
        raise StoreError(f"the kept forecasts of {model} on {task} cannot be read: {error}. To make them anew: rerun='all'") from error
    n, horizon, levels = len(index), file.horizon, file.levels
    each = np.repeat(np.arange(n), horizon)  # [N·H], the window of each row
    columns = {name: windows[name].combine_chunks().take(pa.array(each)) for name in ("window", "item_id", "variate", "cutoff")}
    columns["step"] = pa.array(np.tile(np.arange(1, horizon + 1, dtype=np.int32), n))
    for position, level in enumerate(levels):
        columns[f"{level:g}"] = from_numpy(quantiles[:, position].reshape(-1))  # [N, H] -> [N·H]
    columns["mean"] = from_numpy(mean.reshape(-1))
    if chance is not None:
        columns["probability"] = from_numpy(np.repeat(chance, horizon))
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


def _labels(plugins: Plugins, row: Mapping[str, Any], index: I64) -> F32 | None:
    """What came in these windows, [N, H]; None where the data is not here, or is not what was forecast."""
    folder = row["data_folder"]
    try:
        suite = open_suites(plugins, [row["suite"]], Path(folder) if folder else None)[row["suite"]]
        data = suite.open(next(t for t in suite.tasks() if t.name == row["task"]))
    except (HarnessError, StopIteration):
        return None
    if data.task.horizon != row["horizon"] or not len(data):
        return None
    position = np.searchsorted(data.index, index)
    if data.series.fingerprint != row["data_fingerprint"] or not np.array_equal(data.index[np.minimum(position, len(data) - 1)], index):
        return None
    return data.series.target.gather(data.channel[position], data.cut[position], row["horizon"])
