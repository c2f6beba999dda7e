"""A table of published scores, as `harness_results.csv_scores` reads it, into the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.directions import DIRECTIONS
from harness.errors import UsageError
from harness_results import records
from harness_results.csv_scores import ScoreTable
from harness_results.imported import Imported, marked, published_id, put_models, task_facts

if TYPE_CHECKING:
    from harness_results.store import DuckStore

__all__ = ["import_csv", "source_name"]


def source_name(path: Path, given: str = "") -> str:
    """The source of a table's results: the given name, else that of the file.

    Raises:
        UsageError: a name that other results have.
    """
    name = given.strip() or path.stem
    if name == "own" or (not given.strip() and name in ("gift-eval", "fev")):
        raise UsageError(
            f"the source '{name}' is that of {'own results' if name == 'own' else 'another import'}; name another: --source NAME"
        )
    return name


def import_csv(store: DuckStore, table: ScoreTable, source: str) -> Imported:
    """Store a table's results; a model that was imported from this source into this suite before is replaced.

    Raises:
        StoreError: the store cannot be written.
    """
    infos = [records.model_row({k: v for k, v in about.items() if v}, model, source) for model, about in table.about.items()]
    rows = put_models(store, source, table.suite, _cells(table, source), infos)
    return Imported(models=len(infos), rows=rows, warnings=list(table.warnings))


def _cells(table: ScoreTable, source: str) -> Iterator[tuple[dict[str, Any], dict[str, float]]]:
    import numpy as np

    codes = np.frombuffer(table.codes, np.int64)
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order] >> 16, np.arange(len(table.cells) + 1))
    receipt = {"receipt": {DIRECTIONS: table.directions}} if table.directions else {}
    declared = {name: task_facts(task, table.suite) for name, task in table.declared.items()}
    seen = {model: marked(about) for model, about in table.about.items()}
    for i, ((model, task, mode, seed), facts) in enumerate(table.cells.items()):
        mine = order[starts[i] : starts[i + 1]].tolist()
        scores = {table.metrics[table.codes[k] & 0xFFFF]: table.values[k] for k in mine}
        record = {
            "dialect": "csv",
            "protocol": f"csv:{table.suite}",
            **facts,
            **declared.get(task, {}),
            **seen[model],
            "cell_id": published_id("csv", source, table.suite, model, task, mode, str(seed)),
            "task": task,
            "model": model,
            "mode": mode,
            "seed": seed,
            "status": "ok" if scores else "failed",
            "failure": "" if scores else "error",
            "reason": "" if scores else f"the table has no number for it ({table.path.name})",
            **receipt,
        }
        yield record, scores
