"""The hooks of the harness, all of them. A plugin implements any of these with `@hookimpl` under the entry-point group `harness`.

Names of hooks and of their arguments are the contract; a hook may be given new arguments, and existing ones keep their meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import click

    from harness.cells import Cell, Outcome, Run
    from harness.forecast import Batch, Forecast
    from harness.store import Store
    from harness.trained import TrainedModel
    from harness.types import DialectInfo, Metric, ModelInfo, SuiteInfo

PROJECT = "harness"
hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


@hookspec
def register_models(register: Callable[[ModelInfo, Callable[..., Any]], None]) -> None:
    """Call `register(ModelInfo(...), factory)` for each model. Metadata only: must not import torch or the like."""


@hookspec
def register_suites(register: Callable[[SuiteInfo, Callable[[Path | None], Any]], None]) -> None:
    """Call `register(SuiteInfo(...), factory)` for each suite; `factory(data)` gets the folder of `--data` or None."""


@hookspec(firstresult=True)
def open_suite_file(path: Path) -> tuple[SuiteInfo, Callable[[Path | None], Any]] | None:
    """Read a user's own suite from a file: return what `register_suites` would be given, or None for a file that is not yours.

    Raise `harness.DataError` for one that is yours and broken: path, line, what was got, what was wanted.
    """


@hookspec
def register_metrics(register: Callable[[Metric], None]) -> None:
    """Call `register(Metric(...))` for each metric."""


@hookspec
def register_dialects(register: Callable[[DialectInfo, Callable[[], Any]], None]) -> None:
    """Call `register(DialectInfo(...), factory)` for each scoring dialect; `factory()` returns a `harness.dialects.Dialect`.

    An object with methods `tally` and, if it has one, `aggregate` will do. Metadata only: import what is heavy in the factory.
    """


@hookspec
def register_commands(cli: click.Group) -> None:
    """Add commands to the `harness` command: `@cli.command()`. Import what is heavy inside the command."""


@hookspec(firstresult=True)
def open_store(path: Path, readonly: bool) -> Store | None:
    """Open the results database at `path`. The built-in answer is DuckDB; return None for a path that is not yours."""


@hookspec(firstresult=True)
def rank_models(store: Store, suite: str, models: list[str], limit: str) -> list[dict[str, Any]] | None:
    """Rank a store's models on a suite ("" = the only one there), best first; only `models` (and the baseline) unless that is empty.

    `limit` is that of the runs to rank ("10", "0.1"); "" = whole tasks, if there are results of such.
    """


@hookspec(firstresult=True)
def predict(model: Any, batch: Batch) -> Forecast | None:
    """Forecast a batch, in the worker. The default calls `model.predict(batch)`; wrap it with `@hookimpl(wrapper=True)`."""


@hookspec(firstresult=True)
def finetune(model: Any, train: Batch, budget: str, seed: int, mode: str) -> Any:
    """Fit a model, in the worker, and return the model to forecast with. The default calls `model.finetune(train, budget, seed)`.

    `mode` is that of the command line: "finetune", "few-shot:0.1", "full" (start untrained) or "ttt" (`train` has no window: the model
    may adapt on each window's own context inside `predict`). The default passes it to a method that takes it.
    """


@hookspec(firstresult=True)
def retrain(record: Mapping[str, Any], folder: Path) -> TrainedModel | None:
    """Do a training of a command again, for `harness replay`: write the weights into `folder`, and return what `register` would be given.

    `record` is a row of the table `trained`, with `params`, `environment` and `metrics` as dictionaries; all that the training needs must
    stand in it. None for a record that is not yours; raise `harness.Unsupported` for one that cannot be done again, and say why.
    """


@hookspec
def run_started(run: Run) -> None:
    """A run begins: its plan is made and no cell has started."""


@hookspec
def cell_finished(cell: Cell, outcome: Outcome) -> None:
    """A cell ended, well or not, and its result is safe in the spool."""


@hookspec
def run_finished(run: Run) -> None:
    """A run ended, whether complete, failed or interrupted."""
