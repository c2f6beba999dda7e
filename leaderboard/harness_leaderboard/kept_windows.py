"""Single forecasts to draw: of each task with kept forecasts the best, median and worst window, and that where models differ most.

Notable choices: the windows of a task are the same for all models, so that two forecasts can be laid over each other; of the files of
forecasts only the pieces are read that hold these windows; what was known and what came is read from the suite's data, where it is here
and is what was forecast; a result whose file does not hold its forecasts is left out, with a logged warning; long horizons are thinned
for the picture. Of several seeds the lowest is drawn.

Axes: K windows, Q levels, L levels drawn, H steps of the horizon, P of them drawn, C points of the context.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.arrow import to_numpy
from harness.cli.output import printable
from harness.errors import HarnessError, NothingMatched
from harness.forecast import F32
from harness.kept_file import KeptError, KeptFile
from harness.plan import open_suites
from harness.sink import forecast_folder
from harness_leaderboard.aggregate import Results

if TYPE_CHECKING:
    from harness.dialects import Forecasts
    from harness.plugins import Plugins
    from harness.series import TaskData
    from harness.store import Store

__all__ = [
    "DRAWN", "KINDS", "Drawn", "Kept", "SuiteData", "Window",
    "choose_windows", "draw_windows", "kept_forecasts", "numbered_window", "window_range",
]  # fmt: skip

log = logging.getLogger(__name__)

DRAWN = 120
"""Most points of a horizon, and of a context, in a picture."""
LEVELS = 5
"""Most levels in a picture: the outermost, the middle and those between."""
KINDS = ("best", "median", "worst", "apart")
"""Roles of a window by the mean of its models' errors; one window may have several."""

_CELLS = """
SELECT result_id, suite, task, model, horizon, season_length, freq, quantile_levels, forecasts, data_fingerprint,
       json_extract_string(receipt, '$.data_folder') AS data_folder
FROM main.cells WHERE status = 'ok' AND forecasts <> '' AND result_id IN (SELECT unnest($1::VARCHAR[]))
"""
# One that no calendar of Python has (infinity, before the year 1) is none.
CUTOFF = "CASE WHEN year(w.cutoff) BETWEEN 1 AND 9999 THEN w.cutoff END AS cutoff"
# Per task: windows that all of its kept forecasts have, by the mean of their errors; "apart" is where these differ most.
_CHOSEN = f"""
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
    SELECT task, "window", place = 1 AS best, place = (size + 1) // 2 AS median, place = size AS worst, farthest = 1 AND models > 1 AS apart
    FROM placed WHERE best OR median OR worst OR apart
)
SELECT o.*, w.result_id, w.item_id, w.variate, {CUTOFF}, e.error
FROM chosen o JOIN errors e ON e.task = o.task AND e."window" = o."window"
JOIN main.windows w ON w.result_id = e.result_id AND w."window" = e."window"
"""
_WINDOWS = 'SELECT "window" FROM main.windows WHERE result_id = $1 ORDER BY "window"'
_NUMBERED = f"""
SELECT w.result_id, w."window", w.item_id, w.variate, {CUTOFF}, CASE WHEN w.n_scaled > 0 THEN w.scaled_error / w.n_scaled END AS error
FROM main.windows w WHERE w.result_id IN (SELECT unnest($1::VARCHAR[])) AND w."window" = $2
"""


@dataclass(frozen=True)
class Kept:
    """Kept forecasts that are there: `models` have some; `cells` {task: {model: what is stored of the result, "file" its `KeptFile`}}.

    All have the quantile levels that most have, `levels`; the others are left out.
    """

    models: list[int]
    levels: tuple[float, ...]
    cells: Mapping[str, Mapping[int, Mapping[str, Any]]]

    @property
    def drawn(self) -> list[int]:
        """[L] which of the levels are drawn."""
        places: list[int] = np.unique(np.linspace(0, len(self.levels) - 1, LEVELS).round().astype(int)).tolist()
        return places

    def owners(self) -> dict[str, int]:
        """{result id: model}."""
        return {cell["result_id"]: m for cells in self.cells.values() for m, cell in cells.items()}


@dataclass
class Window:
    """A window to draw: its roles, what is stored of it, and each model's error (MASE of the window; None = not defined)."""

    kinds: tuple[str, ...]
    row: Mapping[str, Any]
    errors: dict[int, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Drawn:
    """A window with numbers: `context` [C], `label` [P] (None = the data is not here), `step` [P] from 1, `forecasts` {model: [L, P]}."""

    number: int
    kinds: tuple[str, ...]
    item: str
    variate: int
    cutoff: datetime | None
    freq: str
    context: F32
    label: F32 | None
    step: NDArray[np.int64]
    errors: Mapping[int, float | None]
    forecasts: Mapping[int, F32]


def kept_forecasts(store: Store, results: Results) -> Kept | None:
    """Which own results have kept forecasts whose files are there; None where there is none."""
    owner = {
        min(kept, key=lambda cell: cell.seed).result_id: (m, task)
        for (m, task), cells in results.cells.items()
        if (kept := [cell for cell in cells if cell.status == "ok" and cell.forecasts])
    }
    rows = store.query(_CELLS, [list(owner)]).to_pylist() if owner else []
    folder = forecast_folder(store)
    files = {row["result_id"]: (row, file) for row in rows if (file := _file(folder, row)) is not None}
    if not files:
        return None
    levels = Counter(file.levels for _, file in files.values()).most_common(1)[0][0]
    cells: dict[str, dict[int, Mapping[str, Any]]] = {}
    for result, (row, file) in files.items():
        if file.levels == levels:
            m, task = owner[result]
            cells.setdefault(task, {})[m] = {**row, "file": file}
    return Kept(sorted({m for found in cells.values() for m in found}), levels, cells)


def _file(folder: Path, row: Mapping[str, Any]) -> KeptFile | None:
    """The file of a result; None where there is none, or no forecasts could be what the database says."""
    try:
        file = KeptFile.of(folder, row)
    except KeptError as error:
        _leave_out(row, error)
        return None
    return file if file.there else None


def _leave_out(row: Mapping[str, Any], error: KeptError) -> None:
    log.warning("%s", printable(f"the kept forecasts of {row['model']} on {row['task']} are left out: {error}", 400))


def choose_windows(store: Store, kept: Kept) -> dict[str, dict[int, Window]]:
    """{task: {number: window}} of the windows that have a role."""
    owner = kept.owners()
    windows: dict[str, dict[int, Window]] = {}
    for row in store.query(_CHOSEN, [list(owner)]).to_pylist():
        kinds = tuple(kind for kind in KINDS if row[kind])
        window = windows.setdefault(row["task"], {}).setdefault(row["window"], Window(kinds, row))
        window.errors[owner[row["result_id"]]] = row["error"]
    return windows


def numbered_window(store: Store, kept: Kept, task: str, number: int) -> Window | None:
    """The window of a task with this number; None where no kept forecast has it."""
    owner = {cell["result_id"]: m for m, cell in kept.cells[task].items()}
    rows = store.query(_NUMBERED, [list(owner), number]).to_pylist()
    return Window((), rows[0], {owner[row["result_id"]]: row["error"] for row in rows}) if rows else None


def window_range(store: Store, kept: Kept, task: str) -> tuple[int, int]:
    """(lowest, highest) number of the windows of a task's kept forecasts; with `--limit` not all between are there."""
    ids = [cell["result_id"] for cell in kept.cells[task].values()]
    sql = 'SELECT min("window") AS low, max("window") AS high FROM main.windows WHERE result_id IN (SELECT unnest($1::VARCHAR[]))'
    row = store.query(sql, [ids]).to_pylist()[0]
    return row["low"] or 0, row["high"] or 0


def draw_windows(kept: Kept, task: str, windows: Mapping[int, Window], data: SuiteData, models: Iterable[int] | None = None) -> list[Drawn]:
    """Windows of a task with their numbers, in the order of their numbers.

    Args:
        models: whose forecasts to read; None = of all that have kept any. Those whose file is broken are left out.
    """
    index = np.array(sorted(windows), np.int64)  # [K]
    cells = kept.cells[task]
    wanted = cells if models is None else [m for m in models if m in cells]
    read = {m: values for m in wanted if (values := _read(cells[m], index)) is not None}  # [K, Q, H] each
    # What the files hold, not what a database says of them, decides the horizon.
    common = Counter(values.shape[2] for values in read.values()).most_common(1)
    read = {m: values for m, values in read.items() if values.shape[2] == common[0][0]}
    some = cells[next(iter(read or cells))]
    contexts, labels = data.around(some, index)
    horizon = common[0][0] if common else 0 if labels is None else labels.shape[1]
    step = np.arange(0, horizon, max(1, -(-horizon // DRAWN)))  # [P]
    made = []
    for k, number in enumerate(index.tolist()):
        window = windows[number]
        made.append(
            Drawn(
                number=number,
                kinds=window.kinds,
                item=window.row["item_id"] or "",
                variate=window.row["variate"],
                cutoff=window.row["cutoff"],
                freq=some["freq"],
                context=contexts[k],
                label=None if labels is None else labels[k][step],
                step=step + 1,
                errors=window.errors,
                forecasts={m: values[k][kept.drawn][:, step] for m, values in read.items()},  # [L, P]
            )
        )
    return made


def _read(cell: Mapping[str, Any], index: NDArray[np.int64]) -> F32 | None:
    """The quantiles [K, Q, H] of these windows (rising); None where the file is broken or holds others."""
    file: KeptFile = cell["file"]
    try:
        return file.some(index)
    except KeptError as error:
        _leave_out(cell, error)
        return None


class SuiteData:
    """What was known before windows and what came in them, from the suites' data."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        self._suites: dict[tuple[str, str], Any] = {}

    def around(self, cell: Mapping[str, Any], index: NDArray[np.int64]) -> tuple[list[F32], F32 | None]:
        """(K contexts, their newest values; labels [K, H], None where the data is not here or is not what was forecast)."""
        data = self._open(cell)
        nothing: list[F32] = [np.empty(0, np.float32)] * len(index)
        if data is None or not len(data) or (data.series.fingerprint, data.task.horizon) != (cell["data_fingerprint"], cell["horizon"]):
            return nothing, None
        at = np.minimum(np.searchsorted(data.index, index), len(data) - 1)
        if not np.array_equal(data.index[at], index):
            return nothing, None
        wanted = min(DRAWN, max(2 * cell["horizon"], 2 * data.task.season_length, 24))
        contexts = []
        for row in at:
            length = min(wanted, int(data.cut[row]))
            contexts.append(data.series.target.gather(data.channel[[row]], data.cut[[row]] - length, length)[0])
        return contexts, data.series.target.gather(data.channel[at], data.cut[at], cell["horizon"])

    def forecasts(self, store: Store, cell: Mapping[str, Any]) -> Forecasts:
        """All kept forecasts of a result beside its data.

        Raises:
            NothingMatched: the data is not here, or is not what was forecast.
            StoreError: iterating, where the file does not hold these forecasts.
        """
        from harness.dialects import Forecasts

        data = self._open(cell)
        index = to_numpy(store.query(_WINDOWS, [cell["result_id"]])["window"].combine_chunks())  # [N]
        at = np.zeros(0, np.int64) if data is None or not len(data) else np.minimum(np.searchsorted(data.index, index), len(data) - 1)
        if data is None or data.series.fingerprint != cell["data_fingerprint"] or not np.array_equal(data.index[at], index):
            raise NothingMatched(
                f"the data of {printable(cell['task'], 80)} is not here, or is not what was forecast; it is read from the folder of "
                f"the run: {printable(cell['data_folder'] or '(none)', 120)}"
            )
        file: KeptFile = cell["file"]
        return Forecasts.of(data.take(at), np.asarray(file.levels, np.float64), partial(file.blocks, index))

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
