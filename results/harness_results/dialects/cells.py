"""From the results store to scored cells: which cells there are, their kept forecasts, the data they were made from.

A cell is scored only beside the data that it was forecast from: the fingerprint, the protocol and every window's context length must be
what they were. What cannot be scored is left out with a reason and, where there is one, the command that mends it; the others are scored.
Axes: N windows, n windows of a block, Q quantile levels, H horizon.
"""

from __future__ import annotations

import contextlib
import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from harness.again import run_command
from harness.arrow import to_numpy
from harness.cli.output import printable
from harness.dialects import Dialect, Forecasts
from harness.dialects.scoring import score_each
from harness.errors import DataError, HarnessError, NothingMatched, StoreError, Unavailable, UsageError, suggest
from harness.forecast import F32, I64
from harness.plan import open_suites
from harness.plugins import Plugins
from harness.series import TaskData
from harness.sink import forecast_folder
from harness.store import Store
from harness.types import Suite, Task

__all__ = ["LeftOut", "Scored", "read_forecasts", "score_cells", "select_cells"]

VALUES = 1 << 21  # quantile values of a block

CELLS = """
SELECT result_id, suite, task, dataset, model, model_name, mode, budget, seed, scope, status, failure, reason, forecasts, horizon,
       quantile_levels, n_windows, protocol, data_fingerprint, output, json_extract_string(receipt, '$.data_folder') AS data_folder
FROM main.cells WHERE superseded_by IS NULL AND source = 'own'
ORDER BY suite, task, model, mode, budget, scope, seed
"""
WINDOWS = 'SELECT "window", context_length FROM main.windows WHERE result_id = $1 ORDER BY "window"'
SCORES = "SELECT metric, value FROM main.scores WHERE result_id = $1 AND value IS NOT NULL"

Row = Mapping[str, Any]
Remake = Callable[[Sequence[str]], str]


@dataclass(frozen=True)
class Scored:
    """A cell's scores, {dialect: {metric: score, NaN where undefined}}, what the run stored, {metric: score}, and dialects that failed."""

    cell: Row
    scores: dict[str, dict[str, float]]
    stored: dict[str, float]
    broken: dict[str, str] = field(default_factory=dict)  # {dialect: what is wrong}; these have no scores


@dataclass(frozen=True)
class LeftOut:
    """A cell without scores. kind: failed | no forecasts | unavailable | refused."""

    cell: Row
    kind: str
    reason: str
    fetch: str = ""  # the command that brings its data
    remake: Remake | None = None  # the command that makes such cells of these tasks anew, where that mends it

    @property
    def command(self) -> str:
        """What mends it; "" = nothing to type."""
        return self.remake([self.cell["task"]]) if self.remake else self.fetch


def select_cells(
    store: Store,
    models: Sequence[str] = (),
    suites: Sequence[str] = (),
    tasks: Sequence[str] = (),
    keep: Callable[[Row], bool] | None = None,
) -> list[Row]:
    """The store's current own cells of these models, suites and tasks (names or globs, none = all); `keep` adds models for those tasks.

    Raises:
        NothingMatched: a name that no cell has, or no cell.
    """
    rows: list[Row] = store.query(CELLS).to_pylist()
    if not rows:
        raise NothingMatched(
            f"{store.path} holds no results of own runs. To make some: harness run -m naive,seasonal_naive --save-forecasts"
        )
    for patterns, what, names in ((suites, "suite", _suite), (tasks, "task", _tasks), (models, "model", _models)):
        for pattern in patterns:
            if not any(_matches(name, pattern) for row in rows for name in names(row)):
                known = sorted({printable(names(row)[0], 80) for row in rows})
                raise NothingMatched(
                    f"no {what} of {store.path} matches {pattern!r}.{suggest(pattern, known)} To see all: harness ls cells"
                )
        rows = [
            row
            for row in rows
            if not patterns
            or any(_matches(name, pattern) for pattern in patterns for name in names(row))
            or (what == "model" and keep is not None and keep(row))
        ]
    if not rows:
        raise NothingMatched(f"no cell of {store.path} has one of these models, suites and tasks. To see all: harness ls cells")
    return rows


def _suite(row: Row) -> tuple[str, ...]:
    return (row["suite"],)


def _tasks(row: Row) -> tuple[str, ...]:
    return row["task"], f"{row['suite']}:{row['task']}", row["dataset"] or ""


def _models(row: Row) -> tuple[str, ...]:
    return row["model"], row["model_name"]


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or fnmatch.fnmatchcase(name, pattern)


def remake(store: Store, row: Row, rerun: str = "") -> Remake:
    """The commands that make the forecasts of this row's kind anew and keep them."""
    return partial(_remake, store.path, row, rerun)


def _remake(db: Path, row: Row, rerun: str, tasks: Sequence[str]) -> str:
    return run_command(row, tasks=tasks, save_forecasts=True, data=row["data_folder"], db=db, rerun=rerun)


@dataclass
class _Data:
    """The data of one task at a time; suites are opened once a folder."""

    plugins: Plugins
    folder: Path | None
    suites: dict[tuple[str, str], Suite] = field(default_factory=dict)
    last: tuple[tuple[str, str, str], TaskData | HarnessError] | None = None

    def open(self, row: Row) -> TaskData:
        """Raises what the suite raises, UsageError where it is not installed or lacks the task."""
        folder = str(self.folder) if self.folder is not None else row["data_folder"] or ""
        key = (row["suite"], folder, row["task"])
        if self.last is None or self.last[0] != key:
            try:
                self.last = (key, self._open(*key))
            except HarnessError as error:
                self.last = (key, error)
        found = self.last[1]
        if isinstance(found, HarnessError):
            raise found
        return found

    def _open(self, name: str, folder: str, task: str) -> TaskData:
        if (name, folder) not in self.suites:
            self.suites[name, folder] = open_suites(self.plugins, [name], Path(folder) if folder else None)[name]
        suite = self.suites[name, folder]
        known: dict[str, Task] = {each.name: each for each in suite.tasks()}
        if task not in known:
            raise UsageError(f"suite '{name}' has no task {task!r} any more.{suggest(task, known)}")
        return suite.open(known[task])


def score_cells(
    plugins: Plugins, store: Store, rows: Sequence[Row], dialects: Sequence[Dialect], data: Path | None = None
) -> Iterator[Scored | LeftOut]:
    """Score each cell in all dialects, in order; one cell's forecasts are in memory a block at a time.

    Raises:
        UsageError: there is no folder `data`.
    """
    open_suites(plugins, [], data)  # refuses a folder that is not there
    places = _Data(plugins, data)
    for row in rows:
        if row["status"] != "ok":
            said = f"{row['status']}: {row['failure']}" if row["failure"] else row["status"]
            yield LeftOut(row, "failed", said)
            continue
        if not row["forecasts"]:
            yield LeftOut(row, "no forecasts", "its forecasts were not kept", remake=remake(store, row))
            continue
        try:
            opened = places.open(row)
            forecasts = read_forecasts(store, row, opened)
            scores, broken = score_each(dialects, forecasts)
            opened.series.check()
            stored = {r["metric"]: r["value"] for r in store.query(SCORES, [row["result_id"]]).to_pylist()}
            yield Scored(row, scores, stored, {name: str(error) for name, error in broken.items()})
        except Unavailable as error:
            yield LeftOut(row, "unavailable", error.reason, error.fetch)
        except HarnessError as error:
            again = isinstance(error, _Again)
            yield LeftOut(row, "refused", str(error), remake=remake(store, row, "all") if again else None)


class _Again(StoreError):
    """What is mended by making the forecasts anew."""


def read_forecasts(store: Store, row: Row, data: TaskData) -> Forecasts:
    """The kept forecasts of a cell beside its data.

    Raises:
        StoreError: the file is not there, or not the forecasts of this cell's windows; iterating raises it for what is broken inside.
        DataError: the data, or how the task cuts it, is not what was forecast.
    """
    task = data.task
    if data.series.fingerprint != row["data_fingerprint"]:
        raise _Again("the data has changed since it was forecast: its fingerprint is another one")
    levels = np.asarray(row["quantile_levels"], np.float64)
    if (task.protocol, task.horizon) != (row["protocol"], row["horizon"]):
        was = f"protocol {row['protocol']} with horizon {row['horizon']}"
        raise _Again(f"the task has changed since it was forecast: {was} then, {task.protocol} with horizon {task.horizon} now")
    # By its last part alone: a path that a stranger's database holds leads nowhere else.
    path = forecast_folder(store) / Path(row["forecasts"]).name
    if not path.is_file():
        raise _Again(f"there is no file {path}")
    stored = store.query(WINDOWS, [row["result_id"]])
    index = to_numpy(stored["window"].combine_chunks())
    position = np.searchsorted(data.index, index)
    found = data.index[np.minimum(position, len(data) - 1)] if len(data) else np.empty(0, np.int64)
    if not np.array_equal(found, index) or not np.array_equal(data.cut[position], to_numpy(stored["context_length"].combine_chunks())):
        raise DataError(f"the windows of {task.suite}:{task.name} are not those that were forecast")

    def parts() -> Iterator[tuple[I64, F32, F32]]:
        return _parts(path, index, len(levels), task.horizon)

    return Forecasts(
        data.series.target,
        data.channel[position],
        data.cut[position],
        data.slot[position],
        levels,
        task.horizon,
        task.season_length,
        task.freq,
        data.series.variates,
        parts,
    )


def _parts(path: Path, index: I64, count: int, horizon: int) -> Iterator[tuple[I64, F32, F32]]:
    """Read a file of forecasts: positions in `index` [n], quantiles [n, Q, H], means [n, H]; each window must come once."""
    seen = np.zeros(len(index), np.bool_)
    with _reading(path), pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        wanted = {"window": pa.int64(), "quantiles": _floats(count * horizon), "mean": _floats(horizon)}
        kinds: dict[str, Any] = {name: schema.field(name).type if name in schema.names else None for name in wanted}
        if kinds != wanted:
            raise _Again(f"{path} holds {kinds}; wanted {wanted}")
        for batch in file.iter_batches(max(1, VALUES // max(1, count * horizon)), columns=list(wanted)):
            window = to_numpy(batch["window"])
            n = len(window)
            at = np.searchsorted(index, window)
            known = np.minimum(at, max(len(index) - 1, 0))
            if batch["window"].null_count or not len(index) or (index[known] != window).any() or len(np.unique(at)) != n or seen[at].any():
                raise _Again(f"{path} holds other windows than the results database")
            seen[at] = True
            quantiles = _values(batch["quantiles"], path).reshape(n, count, horizon)  # [n·Q·H] -> [n, Q, H]
            mean = _values(batch["mean"], path).reshape(n, horizon)
            yield at, quantiles, mean
    if not seen.all():
        raise _Again(f"{path} holds {seen.sum()} of {len(seen)} windows")


def _floats(size: int) -> pa.DataType:
    return pa.list_(pa.float32(), size)


def _values(column: pa.Array, path: Path) -> F32:
    flat = column.flatten()
    values: F32 = to_numpy(flat) if not column.null_count and not flat.null_count else np.full(1, np.nan, np.float32)
    if not np.isfinite(values).all():
        raise _Again(f"{path} holds values that are missing or not finite")
    return values


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[None]:
    """What is wrong with a file becomes a StoreError."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise _Again(f"{path} cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}") from error
