"""Published GIFT-Eval results into the store, as cells with source "gift-eval", beside one's own."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness_results import records
from harness_results.connection import opened
from harness_results.gift_eval_files import Published, read_all

if TYPE_CHECKING:
    from harness.types import Task
    from harness_results.store import DuckStore

__all__ = ["SOURCE", "Imported", "import_gift_eval", "store_published", "suite_tasks"]

SOURCE = "gift-eval"


@dataclass
class Imported:
    """What an import did: models and rows stored, files that could not be read, and what was forgiven."""

    models: int = 0
    rows: int = 0
    problems: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def suite_tasks(suite: str) -> dict[str, Task]:
    """The tasks of a suite by name; needs no data.

    Raises:
        UsageError: no such suite.
        PluginError: the suite could not be made, or not list its tasks.
    """
    from harness.plan import open_suites
    from harness.plugins import load

    return {task.name: task for task in open_suites(load(), [suite], None)[suite].tasks()}


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
    from dataclasses import asdict

    facts = {name: _facts(asdict(task)) for name, task in tasks.items()}
    rows, scores = [], []
    for model in models:
        for task, values in model.scores.items():
            digest = hashlib.sha256("\0".join((model.model, task)).encode("utf-8", "surrogatepass")).hexdigest()
            cell_id = f"{SOURCE}-{digest[:24]}"
            rows.append(
                records.cell_row(
                    {**facts[task], "result_id": cell_id, "cell_id": cell_id, "source": SOURCE, "mode": "published", "model": model.model}
                )
            )
            scores.append((cell_id, cell_id, {metric: value for metric, value in values.items() if value is not None}))
    info = [records.model_row(model.config, model.model, SOURCE) for model in models]
    store.check()
    with opened(store.path, write=True, wait=store.wait) as con, records.transaction(con):
        names = [row["name"] for row in info]
        old = con.execute(
            "SELECT result_id FROM cells WHERE source = $1 AND model IN (SELECT unnest($2::VARCHAR[]))", [SOURCE, names]
        ).fetchall()
        records.delete_results(con, [result_id for (result_id,) in old])
        con.execute("DELETE FROM models WHERE source = $1 AND name IN (SELECT unnest($2::VARCHAR[]))", [SOURCE, names])
        records.insert_rows(con, "cells", rows)
        records.insert_scores(con, scores)
        records.insert_rows(con, "models", info)
    return len(rows)


def _facts(task: Mapping[str, Any]) -> dict[str, Any]:
    """A task's columns of `cells`."""
    return {**{k: v for k, v in task.items() if k not in ("name", "kind")}, "suite": "gift-eval", "task": task["name"]}
