"""Results of fev into the store, as cells with source "fev" of a suite of that benchmark's own."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import DataError, UsageError
from harness_results import records
from harness_results.fev_files import FevRow, agree, digest, read_fev, task_facts_of
from harness_results.imported import Imported, marked, published_id, put_models
from harness_results.table_files import csv_files

if TYPE_CHECKING:
    from harness_results.store import DuckStore

__all__ = ["SOURCE", "import_fev"]

SOURCE = "fev"
Key = tuple[str, str, str]  # of a `FevRow`
_STORED = """
SELECT task, any_value(identity) AS identity FROM cells
WHERE source = $1 AND suite = $2 AND NOT list_contains($3::VARCHAR[], model) GROUP BY task
"""
_TRAINED = """
SELECT model, suite, task FROM cells
WHERE source = $1 AND suite <> $2 AND json_extract_string(receipt, '$.trained_on_this_dataset') = 'true' ORDER BY ALL
"""


def import_fev(store: DuckStore, path: Path, suite: str = "fev") -> Imported:
    """Import results of fev; a model that was imported into this suite before is replaced.

    Args:
        store: where to.
        path: a CSV file, or a folder of CSV files.
        suite: the suite that the tasks make up.

    Raises:
        NothingMatched: no CSV file at `path`.
        UsageError: a task is in the database with another definition.
        StoreError: the store cannot be written.
    """
    if not suite.strip():
        raise UsageError("got an empty suite name; wanted one, as in --suite fev")
    result = Imported()
    rows: dict[Key, FevRow] = {}
    for file in csv_files(path):
        try:
            _take(rows, read_fev(file), result.warnings)
        except DataError as error:
            result.problems.append(str(error))
    if not rows:
        return result
    names = _task_names(list(rows.values()))
    models = sorted({row.model for row in rows.values()})
    _compare(store, suite, models, rows.values(), names)
    trained = _trained_elsewhere(store, suite)
    infos = [_info(model, [row for row in rows.values() if row.model == model], trained.get(model, [])) for model in models]
    result.models = len(models)
    result.rows = put_models(store, SOURCE, suite, _cells(rows.values(), names, suite), infos)
    if failed := sum(bool(row.error) for row in rows.values()):
        result.warnings.append(f"{failed} results have no test_error and are stored as failed")
    return result


def _take(rows: dict[Key, FevRow], found: Sequence[FevRow], warnings: list[str]) -> None:
    """Add a file's rows, all or none.

    Raises:
        DataError: no rows, or a result that is there already with other numbers.
    """
    if not found:
        raise DataError("a file with a header and no results")
    new: dict[Key, FevRow] = {}
    for row in found:
        first = new.get(row.key) or rows.get(row.key)
        if first is None:
            new[row.key] = row
        elif (first.scores, first.error) != (row.scores, row.error):
            raise DataError(
                f"{row.where}: {row.model!r} has task {row.task!r} twice with different numbers (first in {first.where}); "
                "different tasks need different task_name"
            )
        else:
            warnings.append(f"{row.where}: the same result as in {first.where}")
    rows.update(new)


def _task_names(rows: Sequence[FevRow]) -> dict[Key, str]:
    """{key of a row: name of its task}: tasks of one name and different definitions have a digest of the definition behind it."""
    kinds: dict[str, list[tuple[dict[str, Any], list[FevRow]]]] = {}
    for row in rows:
        same = next((kind for kind in kinds.setdefault(row.task, []) if not agree(kind[0], row.definition)), None)
        if same is None:
            kinds[row.task].append((dict(row.definition), [row]))
        else:
            same[0].update({name: value for name, value in row.definition.items() if name not in same[0]})
            same[1].append(row)
    names = {}
    for task, variants in kinds.items():
        for definition, members in variants:
            name = task if len(variants) == 1 else f"{task}@{digest(definition)}"
            names.update({row.key: name for row in members})
    return names


def _compare(store: DuckStore, suite: str, models: Sequence[str], rows: Collection[FevRow], names: Mapping[Key, str]) -> None:
    """Refuse tasks that the database has with another definition: their numbers would stand in one column."""
    if not store.path.exists():
        return
    table = store.query(_STORED, [SOURCE, suite, list(models)]).to_pylist()
    stored = {row["task"]: json.loads(row["identity"] or "{}").get("definition", {}) for row in table}
    for row in rows:
        task = names[row.key]
        if differing := agree(stored.get(task, {}), row.definition):
            field = differing[0]
            raise UsageError(
                f"{row.where}: task {task!r} is in suite '{suite}' already, with another {', '.join(differing)}"
                + (f" ({stored[task][field]!r} there, {row.definition[field]!r} here)" if field in row.definition else "")
                + f". Import it as another suite: --suite {suite}-2"
            )


def _trained_elsewhere(store: DuckStore, suite: str) -> dict[str, list[str]]:
    """{model: tasks of other suites whose data it was trained on}: a model is one, whichever benchmark tells of it."""
    if not store.path.exists():
        return {}
    found: dict[str, list[str]] = {}
    for row in store.query(_TRAINED, [SOURCE, suite]).to_pylist():
        found.setdefault(row["model"], []).append(f"{row['suite']}:{row['task']}")
    return found


def _info(model: str, rows: Sequence[FevRow], elsewhere: Sequence[str]) -> dict[str, Any]:
    """The row of `models`; leakage as far as the rows declare it."""
    trained = [*sorted({row.task for row in rows if row.trained}), *elsewhere]
    leakage = "Yes" if trained else "No" if all(row.trained is False for row in rows) else ""
    versions = sorted({row.about["fev_version"] for row in rows if "fev_version" in row.about})
    return records.model_row({"testdata_leakage": leakage, "trained_on_tasks": trained, "fev_versions": versions}, model, SOURCE)


def _cells(rows: Collection[FevRow], names: Mapping[Key, str], suite: str) -> Iterator[tuple[dict[str, Any], dict[str, float]]]:
    for row in rows:
        task = names[row.key]
        record = {
            **task_facts_of(row),
            **marked({}, row.trained),
            "cell_id": published_id(SOURCE, suite, row.model, task),
            "task": task,
            "model": row.model,
            "status": "failed" if row.error else "ok",
            "failure": "error" if row.error else "",
            "reason": row.error,
            "protocol": f"fev:{suite}",  # of this suite alone: the same task in two imports is not one result
            "scoring": f"fev {row.about.get('fev_version', '')}".strip(),
            "data_fingerprint": row.about.get("dataset_fingerprint"),
            "identity": {"definition": row.definition},
            "receipt": {**row.about, "trained_on_this_dataset": row.trained},
            "fit_s": row.fit_s,
            "predict_s": row.predict_s,
        }
        yield record, row.scores
