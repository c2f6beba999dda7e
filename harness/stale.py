"""Which stored results no longer hold: the model, its parameters' files, the task, the data or the scoring is not what it was."""

from __future__ import annotations

import json
from typing import Any

from harness.errors import DataError, Unavailable, UsageError
from harness.identity import make_cell
from harness.plan import open_suites
from harness.plugins import Plugins
from harness.store import Store
from harness.types import Suite, Task

__all__ = ["changes", "stale_results"]

COLUMNS = "cell_id, suite, task, model_name, params, mode, budget, seed, scope, identity"


def stale_results(plugins: Plugins, store: Store, suite: str = "") -> dict[str, list[str]]:
    """The own current results that would not be made again today: {cell id: what changed, as words of the identity}.

    What cannot be looked at is taken as unchanged: a model or suite that is not installed, data that is not here.
    """
    rows = store.query(
        f"SELECT {COLUMNS} FROM main.cells "
        "WHERE source = 'own' AND superseded_by IS NULL AND status <> 'skipped' AND ($1 = '' OR suite = $1)",
        [suite],
    ).to_pylist()
    names = {row["suite"] for row in rows} & set(plugins.suites)
    suites = open_suites(plugins, sorted(names), None) if names else {}
    tasks = {(name, task.name): task for name, opened in suites.items() for task in opened.tasks()}
    fingerprints: dict[tuple[str, str], str | None] = {}
    found = {}
    for row in rows:
        key = (row["suite"], row["task"])
        if row["model_name"] not in plugins.models or row["suite"] not in suites:
            continue
        if key not in tasks:
            found[row["cell_id"]] = ["task"]
            continue
        if key not in fingerprints:
            fingerprints[key] = _fingerprint(suites[row["suite"]], tasks[key])
        what = changes(plugins, row, tasks[key], fingerprints[key])
        if what:
            found[row["cell_id"]] = what
    return found


def changes(plugins: Plugins, row: dict[str, Any], task: Task, fingerprint: str | None) -> list[str]:
    """The parts of a stored cell's identity that are not what they were; `fingerprint` None = the data cannot be looked at."""
    then = _mapping(row["identity"])
    now = make_cell(
        plugins,
        task,
        fingerprint if fingerprint is not None else then.get("data", ""),
        plugins.model(row["model_name"]),
        _mapping(row["params"]),
        mode=row["mode"],
        budget=row["budget"] or "",
        seed=row["seed"],
        scope=row["scope"] or "",
        batch_size=then.get("batch_size"),
    ).identity
    after = json.loads(json.dumps(dict(now), default=str))
    return [name for name in sorted({*then, *after}) if then.get(name) != after.get(name)]


def _mapping(value: Any) -> dict[str, Any]:
    return json.loads(value) if isinstance(value, str) else dict(value or {})


def _fingerprint(suite: Suite, task: Task) -> str | None:
    try:
        return suite.open(task).series.fingerprint
    except (Unavailable, DataError, UsageError):
        return None
