"""From the results store to scored cells: which cells there are, their kept forecasts, the data they were made from.

A cell is scored only beside the data that it was forecast from: the fingerprint, the protocol and every window's context length must be
what they were, and MASE, CRPS and MSE must come out as the run stored them. What cannot be scored is left out with a reason and, where
there is one, the command that mends it; the others are scored.
Axes: N windows, n windows of a block, Q quantile levels, H horizon.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from harness.again import run_command
from harness.arrow import to_numpy
from harness.cli.output import printable
from harness.dialects import Dialect, Forecasts
from harness.dialects.scoring import score_each
from harness.errors import DataError, HarnessError, NothingMatched, StoreError, Unavailable, Unsupported, UsageError, suggest
from harness.kept_file import KeptError, KeptFile
from harness.plan import open_suites
from harness.plugins import Plugins
from harness.series import TaskData
from harness.sink import forecast_folder
from harness.store import Store
from harness.types import Suite, Task
from harness_results.dialects import gift_eval

__all__ = ["LeftOut", "Scored", "read_forecasts", "score_cells", "select_cells"]

CELLS = """
SELECT result_id, suite, task, dataset, model, model_name, mode, budget, seed, scope, status, failure, reason, forecasts, horizon,
       quantile_levels, n_windows, protocol, data_fingerprint, output, json_extract_string(receipt, '$.data_folder') AS data_folder
FROM main.cells WHERE superseded_by IS NULL AND source = 'own'
ORDER BY suite, task, model, mode, budget, scope, seed
"""
WINDOWS = 'SELECT "window", context_length FROM main.windows WHERE result_id = $1 ORDER BY "window"'
SCORES = "SELECT metric, value FROM main.scores WHERE result_id = $1"

CHECKED = ("MASE[0.5]", "mean_weighted_sum_quantile_loss", "MSE[mean]")
"""Stored scores that must come out again: of the median, of all quantiles, of the mean."""
SLACK = 1e-6
"""Relative. Sums in another order differ by 1e-9; other forecasts, by more."""

OWN = replace(gift_eval.DIALECT, info=replace(gift_eval.DIALECT.info, name="(as stored)"))
"""How a run scores, under a name that no dialect has."""

Row = Mapping[str, Any]
Remake = Callable[[Sequence[str]], str]


@dataclass(frozen=True)
class Scored:
    """A cell's scores, {dialect: {metric: score, NaN where undefined}}, what the run stored, and dialects without scores."""

    cell: Row
    scores: dict[str, dict[str, float]]
    stored: dict[str, float]
    broken: dict[str, str] = field(default_factory=dict)  # {dialect: what is wrong}
    unfit: dict[str, str] = field(default_factory=dict)  # {dialect: why it scores no such task}


@dataclass(frozen=True)
class LeftOut:
    """A cell without scores. kind: failed | skipped | no forecasts | unavailable | refused."""

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
            kind = "skipped" if row["status"] == "skipped" else "failed"
            yield LeftOut(row, kind, row["failure"] or row["status"])
            continue
        if not row["forecasts"]:
            yield LeftOut(row, "no forecasts", "its forecasts were not kept", remake=remake(store, row))
            continue
        try:
            opened = places.open(row)
            forecasts = read_forecasts(store, row, opened)
            own = {} if any(each is gift_eval.DIALECT for each in dialects) else {OWN.name: OWN}
            scores, broken = score_each([*dialects, *own.values()], forecasts)
            opened.series.check()
            stored = {r["metric"]: r["value"] for r in store.query(SCORES, [row["result_id"]]).to_pylist()}
            _check_scores(scores.get(OWN.name) or scores[gift_eval.DIALECT.name], stored)
            shown = {name: values for name, values in scores.items() if name not in own}
            found = {metric: value for metric, value in stored.items() if value is not None}
            unfit = {name: str(error.__cause__) for name, error in broken.items() if isinstance(error.__cause__, Unsupported)}
            yield Scored(row, shown, found, {name: str(error) for name, error in broken.items() if name not in unfit}, unfit)
        except Unavailable as error:
            yield LeftOut(row, "unavailable", error.reason, error.fetch)
        except HarnessError as error:
            again = isinstance(error, _Again | KeptError)
            yield LeftOut(row, "refused", str(error), remake=remake(store, row, "all") if again else None)


def _check_scores(scores: Mapping[str, float], stored: Mapping[str, float | None]) -> None:
    """Refuse forecasts whose scores are not those that the run stored; a metric that it did not store is not compared."""
    for metric in CHECKED:
        if metric not in stored:
            continue
        was, now = stored[metric], scores[metric]
        same = np.isnan(now) if was is None else was == now or abs(was - now) <= SLACK * max(abs(was), abs(now)) < np.inf
        if not same:
            said = "undefined" if was is None else f"{was:.9g}"
            raise KeptError(f"its kept forecasts are not those that were scored: the run stored {metric} = {said}, they give {now:.9g}")


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
    if (task.protocol, task.horizon) != (row["protocol"], row["horizon"]):
        was = f"protocol {row['protocol']} with horizon {row['horizon']}"
        raise _Again(f"the task has changed since it was forecast: {was} then, {task.protocol} with horizon {task.horizon} now")
    file = KeptFile.of(forecast_folder(store), row)
    if not file.there:
        raise KeptError(file.moved or file.gone)
    stored = store.query(WINDOWS, [row["result_id"]])
    index = to_numpy(stored["window"].combine_chunks())
    position = np.searchsorted(data.index, index)
    found = data.index[np.minimum(position, len(data) - 1)] if len(data) else np.empty(0, np.int64)
    if not np.array_equal(found, index) or not np.array_equal(data.cut[position], to_numpy(stored["context_length"].combine_chunks())):
        raise DataError(f"the windows of {task.suite}:{task.name} are not those that were forecast")
    return Forecasts.of(data.take(position), np.asarray(file.levels, np.float64), partial(file.blocks, index))
