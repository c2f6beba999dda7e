"""Published GIFT-Eval results into the store, as cells with source "gift-eval", beside one's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness_results import records
from harness_results.gift_eval_files import Published, read_all
from harness_results.imported import Imported, marked, published_id, put_models, suite_tasks, task_facts

if TYPE_CHECKING:
    from harness.types import Task
    from harness_results.store import DuckStore

__all__ = ["SOURCE", "import_gift_eval", "store_published"]

SOURCE = "gift-eval"


def import_gift_eval(store: DuckStore, path: Path | None = None, tasks: Mapping[str, Task] | None = None) -> Imported:
    """Import published results; a model that was imported before is replaced.

    Args:
        store: where to.
        path: a results file, a model's folder or a folder of those; None = the results inside this package.
        tasks: the suite's tasks by name; None = as the suite `gift-eval` declares them.

    Raises:
        NothingMatched: no results file at `path`.
        StoreError: the store cannot be written.
    """
    tasks = suite_tasks("gift-eval") if tasks is None else tasks
    result = Imported()
    if path is None:
        from harness_results.gift_eval_snapshot import read_snapshot

        models = read_snapshot(tasks)
    else:
        models, result.problems = read_all(path, tasks)
    result.warnings = [f"{model.model}: {warning}" for model in models for warning in model.warnings]
    result.models = len(models)
    result.rows = store_published(store, models, tasks)
    return result


def store_published(store: DuckStore, models: Sequence[Published], tasks: Mapping[str, Task]) -> int:
    """Replace these models' imported results, in one transaction; return how many rows were stored."""
    facts = {name: task_facts(task, "gift-eval") for name, task in tasks.items()}
    seen = {model.model: marked(model.config) for model in models}
    cells = (
        (
            {**facts[task], **seen[model.model], "cell_id": published_id(SOURCE, model.model, task), "model": model.model},
            {metric: value for metric, value in values.items() if value is not None},
        )
        for model in models
        for task, values in model.scores.items()
    )
    return put_models(store, SOURCE, "gift-eval", cells, [records.model_row(model.config, model.model, SOURCE) for model in models])
