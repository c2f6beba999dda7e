"""Results that others published, put into the store beside one's own: whole models are replaced, in one transaction."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness_results import records
from harness_results.connection import opened

if TYPE_CHECKING:
    from harness.types import Task
    from harness_results.store import DuckStore

__all__ = ["Imported", "marked", "published_id", "put_models", "suite_tasks", "task_facts"]

BATCH = 20_000
"""Cells that are in memory as rows at one time."""


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


def task_facts(task: Task, suite: str) -> dict[str, Any]:
    """A declared task's columns of `cells`, for results of `suite`."""
    from dataclasses import asdict

    facts = asdict(task)
    return {**{k: v for k, v in facts.items() if k not in ("name", "kind")}, "suite": suite, "task": facts["name"]}


def marked(known: Mapping[str, Any], trained: bool | None = None) -> dict[str, str]:
    """The columns of `cells` that say whether a published model may have seen the task's labels; see `harness.contamination`."""
    from harness.contamination import mark_published

    found = mark_published(known, trained)
    return {"contamination": found.state, "contamination_reason": found.reason}


def published_id(source: str, *parts: str) -> str:
    """The id of an imported cell: the same result imported again has the same id."""
    digest = hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
    return f"{source}-{digest[:24]}"


def put_models(
    store: DuckStore,
    source: str,
    suite: str,
    cells: Iterable[tuple[Mapping[str, Any], Mapping[str, float | None]]],
    infos: Sequence[Mapping[str, Any]],
) -> int:
    """Replace what is stored of these models under this source and suite; return how many cells were stored.

    Args:
        cells: (record, {metric: score}); a record needs a `cell_id`, what `records.cell_row` needs, and gets source and suite from here.
        infos: rows of `models`, one for each model.

    Raises:
        StoreError: the store cannot be written, or a record has a value of a wrong type; then nothing has changed.
    """
    names = [row["name"] for row in infos]
    count = 0
    waiting = iter(cells)
    store.check()
    with opened(store.path, write=True, wait=store.wait) as con, records.transaction(con):
        old = con.execute(
            "SELECT result_id FROM cells WHERE source = $1 AND suite = $2 AND model_name IN (SELECT unnest($3::VARCHAR[]))",
            [source, suite, names],
        ).fetchall()
        records.delete_results(con, [result_id for (result_id,) in old])
        con.execute("DELETE FROM models WHERE source = $1 AND name IN (SELECT unnest($2::VARCHAR[]))", [source, names])
        while batch := list(itertools.islice(waiting, BATCH)):
            shared = {"source": source, "suite": suite, "mode": "published", "failure": "", "reason": ""}
            rows = [records.cell_row({**shared, **record, "result_id": record["cell_id"]}) for record, _ in batch]
            records.insert_rows(con, "cells", rows)
            records.insert_scores(con, [(r["result_id"], r["cell_id"], s) for r, (_, s) in zip(rows, batch, strict=True)])
            count += len(batch)
        records.insert_rows(con, "models", infos)
    return count
