"""Single forecasts for the page: of each task with kept forecasts the best, median and worst window, and that where models differ most.

Notable choices: the windows of a task are the same for all models, so that two forecasts can be laid over each other; of the files of
forecasts only the pieces are read that hold these windows; what was known and what came is read from the suite's data, where it is here
and is what was forecast; long horizons are thinned for the picture, and what the page has no room for is said.

Axes: L levels drawn, P points of the horizon, C points of the context.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from harness.arrow import to_numpy
from harness.errors import HarnessError
from harness.forecast import F32
from harness.plan import open_suites
from harness.sink import forecast_folder
from harness_leaderboard.aggregate import Results
from harness_leaderboard.page.payload import array

if TYPE_CHECKING:
    from harness.plugins import Plugins
    from harness.series import TaskData
    from harness.store import Store

__all__ = ["explorer"]

DRAWN = 120
"""Most points of a horizon, and of a context, in a picture."""
LEVELS = 5
"""Most levels in a picture: the outermost, the middle and those between."""
KINDS = ("best", "median", "worst", "apart")

_CELLS = """
SELECT result_id, suite, task, horizon, season_length, freq, quantile_levels, forecasts, data_fingerprint,
       json_extract_string(receipt, '$.data_folder') AS data_folder
FROM main.cells WHERE status = 'ok' AND forecasts <> '' AND result_id IN (SELECT unnest($1::VARCHAR[]))
"""
# Per task: windows that all of its kept forecasts have, by the mean of their errors; "apart" is where these differ most.
_CHOSEN = """
WITH errors AS (
    SELECT c.task, w.result_id, w."window", w.scaled_error / w.n_scaled AS error
    FROM main.windows w JOIN main.cells c USING (result_id)
    WHERE w.result_id IN (SELECT unnest($1::VARCHAR[])) AND w.n_scaled > 0
), shared AS (
    SELECT task, "window", avg(error) AS mean, max(error) - min(error) AS gap, count(*) AS models FROM errors GROUP BY ALL
), whole AS (
    SELECT * FROM shared QUALIFY models = max(models) OVER (PARTITION BY task)
), placed AS (
    SELECT *, row_number() OVER (PARTITION BY task ORDER BY mean, "window") AS place, count(*) OVER (PARTITION BY task) AS size,
           row_number() OVER (PARTITION BY task ORDER BY gap DESC, "window") AS farthest
    FROM whole
), chosen AS (
    SELECT task, "window", CASE WHEN place = 1 THEN 'best' WHEN place = size THEN 'worst' WHEN place = (size + 1) // 2 THEN 'median'
                                ELSE 'apart' END AS kind
    FROM placed WHERE place IN (1, (size + 1) // 2, size) OR (farthest = 1 AND models > 1)
)
SELECT o.task, o.kind, o."window", w.result_id, w.item_id, w.variate, w.cutoff, e.error
FROM chosen o JOIN errors e ON e.task = o.task AND e."window" = o."window"
JOIN main.windows w ON w.result_id = e.result_id AND w."window" = e."window"
"""


def explorer(plugins: Plugins, store: Store, results: Results, budget: int) -> dict[str, Any] | None:
    """The windows to draw, as the payload has them; None where no forecasts were kept.

    Args:
        budget: bytes of base64 that all arrays together may take. Where they take more, windows of the kind "apart" are left out, then
            "median", then tasks with the longest horizons; "left_out" says so.
    """
    owner = {
        min(kept, key=lambda cell: cell.seed).result_id: (m, task)
        for (m, task), cells in results.cells.items()
        if (kept := [cell for cell in cells if cell.status == "ok" and cell.forecasts])
    }
    cells = {row["result_id"]: row for row in store.query(_CELLS, [list(owner)]).to_pylist()} if owner else {}
    folder = forecast_folder(store)
    files = {result: folder / Path(row["forecasts"]).name for result, row in cells.items()}
    there = [result for result, file in files.items() if file.is_file()]
    if not there:
        return None
    levels = Counter(tuple(cells[result]["quantile_levels"]) for result in there).most_common(1)[0][0]
    there = [result for result in there if tuple(cells[result]["quantile_levels"]) == levels]
    models = sorted({owner[result][0] for result in there})
    windows: dict[str, dict[int, _Window]] = {}
    for row in store.query(_CHOSEN, [there]).to_pylist():
        window = windows.setdefault(row["task"], {}).setdefault(row["window"], _Window(row["kind"], row))
        window.errors[owner[row["result_id"]][0]] = row["error"]
    of_task: dict[str, dict[int, dict[str, Any]]] = {}
    for result in there:
        m, task = owner[result]
        of_task.setdefault(task, {})[m] = {**cells[result], "file": files[result]}
    drawn = tuple(np.unique(np.linspace(0, len(levels) - 1, LEVELS).round().astype(int)).tolist())
    left_out = _fit(windows, of_task, len(models), len(drawn), budget)
    number = {task["name"]: r for r, task in enumerate(results.tasks)}
    source = _Source(plugins)
    made = [
        {"task": number[name], "windows": _task(windows[name], models, of_task[name], len(levels), drawn, source)}
        for name in sorted(windows, key=lambda name: number[name])
    ]
    return {"models": models, "levels": [levels[q] for q in drawn], "tasks": made, "left_out": left_out}


@dataclass
class _Window:
    """A window to draw: why, what is stored of it, and each model's error."""

    kind: str
    row: Mapping[str, Any]
    errors: dict[int, float] = field(default_factory=dict)


def _fit(
    windows: dict[str, dict[int, _Window]], of_task: Mapping[str, Mapping[int, Mapping[str, Any]]], models: int, levels: int, budget: int
) -> str:
    """Drop windows until what is left fits; return what was left out, in words."""

    def size() -> int:
        """Bytes in base64: context, labels, steps, and the levels of each model."""
        points = {name: min(DRAWN, next(iter(of_task[name].values()))["horizon"]) for name in windows}
        return sum(len(kept) * 6 * (2 * DRAWN + points[name] * (1 + models * levels)) for name, kept in windows.items())

    said = []
    for kind in ("apart", "median"):
        if size() > budget:
            for kept in windows.values():
                for at in [at for at, window in kept.items() if window.kind == kind]:
                    del kept[at]
            said.append(f"the windows of kind '{kind}'")
    total = len(windows)
    for name in sorted(windows, key=lambda name: (-next(iter(of_task[name].values()))["horizon"], name)):
        if size() <= budget or len(windows) == 1:
            break
        del windows[name]
    if len(windows) < total:
        said.append(f"{total - len(windows)} of {total} tasks, those with the longest horizons")
    return f"To keep the page small, it leaves out {' and '.join(said)}; `harness plot forecasts` draws any." if said else ""


def _task(
    windows: Mapping[int, _Window],
    models: Sequence[int],
    cells: Mapping[int, Mapping[str, Any]],
    count: int,
    drawn: Sequence[int],
    source: _Source,
) -> list[dict[str, Any]]:
    """A task's windows as the payload has them: the best, the median, the worst, the one where models differ most."""
    index = np.array(sorted(windows), np.int64)  # [K]
    some = next(iter(cells.values()))
    horizon = int(some["horizon"])
    step = np.arange(0, horizon, -(-horizon // DRAWN))  # [P]
    forecasts = {m: _read(cell["file"], index, count, horizon) for m, cell in cells.items()}  # [K, Q, H] each
    contexts, labels = source.around(some, index)
    made = []
    for k in sorted(range(len(index)), key=lambda k: KINDS.index(windows[int(index[k])].kind)):
        window = windows[int(index[k])]
        shown = [None if (found := forecasts.get(m)) is None else array(found[k][list(drawn)][:, step], "f4") for m in models]  # [L, P]
        made.append(
            {
                "kind": window.kind,
                "item": window.row["item_id"] or "",
                "variate": window.row["variate"],
                "cutoff": window.row["cutoff"].isoformat(sep=" ") if window.row["cutoff"] else "",
                "freq": some["freq"],
                "context": array(contexts[k], "f4"),
                "label": array(np.empty(0) if labels is None else labels[k][step], "f4"),
                "step": array(step + 1, "f4"),
                "errors": [window.errors.get(m) for m in models],
                "forecasts": shown,
            }
        )
    return made


def _read(file: Path, index: NDArray[np.int64], levels: int, horizon: int) -> F32 | None:
    """The quantiles [K, Q, H] of these windows (rising); None where the file is broken or holds others."""
    parts = []
    try:
        with pq.ParquetFile(file) as opened:
            column = opened.schema_arrow.get_field_index("window")
            for group in range(opened.num_row_groups):
                known = opened.metadata.row_group(group).column(column).statistics
                if known is not None and known.has_min_max and not ((index >= known.min) & (index <= known.max)).any():
                    continue
                table = opened.read_row_group(group, columns=["window", "quantiles"]).combine_chunks()
                at = np.flatnonzero(np.isin(to_numpy(table["window"].combine_chunks()), index))
                parts.append(table.take(pa.array(at.tolist(), pa.int64())))
    except (OSError, pa.ArrowException):
        return None
    table = pa.concat_tables(parts).sort_by("window").combine_chunks() if parts else None
    if table is None or table["window"].to_pylist() != index.tolist():
        return None
    values: F32 = to_numpy(table["quantiles"].combine_chunks().flatten())
    return values.reshape(len(index), levels, horizon) if values.size == len(index) * levels * horizon else None


class _Source:
    """What was known before windows and what came in them, from the suites' data."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        self._suites: dict[tuple[str, str], Any] = {}

    def around(self, cell: Mapping[str, Any], index: NDArray[np.int64]) -> tuple[list[F32], F32 | None]:
        """(K contexts, their newest values; labels [K, H], None where the data is not here or is not what was forecast)."""
        data = self._open(cell)
        nothing: list[F32] = [np.empty(0, np.float32)] * len(index)
        if data is None or data.series.fingerprint != cell["data_fingerprint"]:
            return nothing, None
        at = np.minimum(np.searchsorted(data.index, index), len(data) - 1)
        if not np.array_equal(data.index[at], index):
            return nothing, None
        wanted = min(DRAWN, max(2 * cell["horizon"], 2 * cell["season_length"], 24))
        contexts = []
        for row in at:
            length = min(wanted, int(data.cut[row]))
            contexts.append(data.series.target.gather(data.channel[[row]], data.cut[[row]] - length, length)[0])
        return contexts, data.series.target.gather(data.channel[at], data.cut[at], cell["horizon"])

    def _open(self, cell: Mapping[str, Any]) -> TaskData | None:
        folder = cell["data_folder"] or ""
        key = (cell["suite"], folder)
        try:
            if key not in self._suites:
                suite = open_suites(self._plugins, [cell["suite"]], Path(folder) if folder else None)[cell["suite"]]
                self._suites[key] = (suite, {task.name: task for task in suite.tasks()})
            suite, tasks = self._suites[key]
            data: TaskData = suite.open(tasks[cell["task"]])
            return data
        except (HarnessError, KeyError):
            return None
