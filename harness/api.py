"""Python in place of the command line: `harness.run`, `harness.evaluate`, `harness.load`."""

from __future__ import annotations

import functools
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.cells import Cell
from harness.dialects import own_dialect
from harness.errors import ForecastError, HarnessError, NothingMatched, StoreError, Unsupported, UsageError
from harness.execute import forecast_cell
from harness.forecast import Batch, Forecast
from harness.plan import elsewhere, make_plan, open_suites, unsupported_reason
from harness.plugins import Plugins
from harness.plugins import load as load_plugins
from harness.progress import make_progress
from harness.results import Results
from harness.rows import step_table
from harness.runner import execute
from harness.selection import ModelChoice, select_models, select_tasks
from harness.spec import make_spec, read_batch_size, read_seeds
from harness.types import ModelInfo, Task
from harness.workers import InProcessWorker, WorkerFailed

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Evaluation", "Results", "evaluate", "load", "run"]


def run(
    models: str | Sequence[str],
    suite: str | Sequence[str] | None = None,
    *,
    db: str | Path = "harness.duckdb",
    progress: str = "auto",
    **options: Any,
) -> Results:
    """Run models on suites and keep every result in `db`; the same call again does only what is missing.

    Args:
        models: names, with parameters in brackets: "naive", ["seasonal_naive", "auto_ets[season_length=24]"].
        suite: one or more suites; None is "quick".
        db: the results database, made if it is not there.
        progress: auto, rich, plain or none.
        options: the fields of `harness.plan.RunSpec`: tasks, exclude, where, limit (10, 0.1), modes, budget, seeds (3, "0-4", [0, 1]),
            batch_size, jobs, threads, device, isolation, timeout (seconds, "30m"), save_forecasts, save_models, rerun, data,
            model_args.

    Raises:
        UsageError, PluginError: the selection or an option does not make sense.
        StoreError: the database cannot be used.
    """
    spec = make_spec(models=models, suite=suite, **options)
    plugins = load_plugins()
    _warn(plugins)
    shown = make_progress(progress)
    store = plugins.store(Path(db))
    store.check()
    store.ingest()
    plan = make_plan(plugins, spec, store)
    return Results(store, plan.plugins, execute(plan.plugins, spec, plan, store, shown, sys.argv), spec)


def _warn(plugins: Plugins) -> None:
    for line in plugins.absent():
        warnings.warn(line, RuntimeWarning, stacklevel=3)


def load(path: str | Path = "harness.duckdb") -> Results:
    """Open a results database.

    Raises:
        StoreError: there is none, or it cannot be read.
    """
    path = Path(path)
    if not path.exists():
        raise StoreError(f"there is no results database at {path}; make one with: harness run -m seasonal_naive --db {path}")
    plugins = load_plugins()
    store = plugins.store(path)
    store.ingest()
    return Results(store, plugins)


@dataclass(frozen=True, repr=False)
class Evaluation:
    """Scores of a model on one task, without a store.

    `scores` {metric: value, NaN where undefined}; `windows` one row a window; `steps` one row a step of the horizon.
    """

    task: Task
    scores: Mapping[str, float]
    windows: pa.Table
    steps: pa.Table

    def __repr__(self) -> str:
        main = ", ".join(f"{name} {self.scores[name]:.4g}" for name in MAIN_SCORES if name in self.scores)
        return f"<harness.Evaluation of {self.task.suite}:{self.task.name}: {main}; {self.windows.num_rows} windows>"


MAIN_SCORES = ("MASE[0.5]", "mean_weighted_sum_quantile_loss")


class _Memory:
    """A sink that keeps the rows."""

    def __init__(self) -> None:
        self.rows: list[pa.RecordBatch] = []

    def write(self, rows: pa.RecordBatch) -> None:
        self.rows.append(rows)

    def forecasts(self, index: Any, quantiles: Any, mean: Any, probability: Any = None) -> None:
        """Forecasts are not kept."""


class _Lenient:
    """A model, or a bare function as one, that may return a Forecast, points [N, H] or quantiles [N, Q, H] at the asked levels."""

    def __init__(self, model: Any) -> None:
        self._model = model

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # not yet made, as in a copy
            raise AttributeError(name)
        return getattr(self._model, name)

    def predict(self, batch: Batch) -> Forecast:
        whole = hasattr(self._model, "predict")
        answer = self._model.predict(batch) if whole else self._model(batch)
        if isinstance(answer, Forecast):
            return answer
        array = np.asarray(answer)
        if array.ndim not in (2, 3):
            got = f"an array of shape {array.shape}" if array.ndim else type(answer).__name__
            who = f"{type(self._model).__name__}.predict" if whole else "the function"
            raise ForecastError(f"{who} returned {got}; wanted a Forecast, points [N, H], or quantiles [N, Q, H]")
        return Forecast.from_points(array) if array.ndim == 2 else Forecast.from_quantiles(array, batch.quantile_levels)


def evaluate(
    model: Any,
    task: str | Task,
    *,
    suite: str = "quick",
    data: str | Path | None = None,
    batch_size: int | None = None,
    seed: int = 0,
    info: ModelInfo | None = None,
) -> Evaluation:
    """Score a model on one task, in this process.

    Args:
        model: a registered name ("naive", "auto_ets[season_length=24]"), an object with `predict(batch)`, or a function of a batch; either
            returns a `Forecast`, points [N, H], or quantiles [N, Q, H] at `batch.quantile_levels`.
        task: a name in the suite ("m4_hourly/H/short") or a `Task`.
        suite: where to look the name up.
        data: the suite's data folder.
        batch_size: windows per call of the model; None is by memory and the model's wish.
        info: what is to be known of an unregistered model (context and horizon limits, covariates).

    Raises:
        UsageError: an argument does not make sense.
        NothingMatched: no such task.
        Unavailable, DataError: its data is missing or broken.
        Unsupported: the model cannot do this task, by what is known of it or by its own word.
        HarnessError: the model failed; says how.
    """
    batch_size, (seed,) = read_batch_size("batch_size", batch_size), read_seeds("seed", [seed])
    plugins = load_plugins()
    _warn(plugins)
    wanted = task if isinstance(task, Task) else None
    opened = open_suites(plugins, [wanted.suite if wanted else suite], Path(data) if data is not None else None)
    source = next(iter(opened.values()))
    if wanted is None:
        try:
            found = select_tasks(source.tasks(), [str(task)])
        except NothingMatched as error:
            raise NothingMatched(f"{error}{elsewhere(plugins, [suite], [str(task)])}") from None
        if len(found) > 1:
            raise NothingMatched(f"{task!r} matches {len(found)} tasks ({', '.join(t.name for t in found[:3])}, …); wanted one")
        wanted = found[0]
    chosen = _named(plugins, model, info) if isinstance(model, str) else None
    info = chosen[0].info if chosen else info or ModelInfo(getattr(model, "__name__", type(model).__name__))
    if reason := unsupported_reason(info, wanted, "zero-shot"):
        raise Unsupported(reason)
    windows = source.open(wanted)
    worker = InProcessWorker(plugins)
    if chosen:
        _failing(functools.partial(worker.load, info.name, chosen[1], None))
    else:
        worker.use(_Lenient(model))
    cell = Cell("", wanted, info.name, info.name, {}, "zero-shot", "", seed, "", {})
    sink = _Memory()
    metrics = [m.info for m in plugins.metrics.values()]
    own = own_dialect(wanted, plugins)
    result = _failing(lambda: forecast_cell(cell, windows, info, worker, sink, metrics, batch_size=batch_size, dialect=own))
    outcome, _, totals = result()
    if outcome.status != "ok":
        raise HarnessError(outcome.reason)
    import pyarrow as pa

    return Evaluation(wanted, outcome.scores, pa.Table.from_batches(sink.rows), step_table(totals))


def _named(plugins: Plugins, model: str, info: ModelInfo | None) -> ModelChoice:
    chosen = select_models(plugins, model)
    if len(chosen) > 1:
        raise UsageError(f"{model!r} names {len(chosen)} models; wanted one. Several are compared with harness.run")
    if info is not None:
        raise UsageError(f"got info= for {model!r}, whose plugin says already what is to be known of it; leave info= out")
    return chosen[0]


def _failing(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except WorkerFailed as error:
        if error.kind == "unsupported":
            raise Unsupported(error.reason) from None
        raise HarnessError(f"{error.reason}\n{error.log}".strip()) from None
