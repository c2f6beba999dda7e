"""Which stored results no longer hold: the model, its parameters' files, the task, the data or the scoring is not what it was."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.identity import make_cell
from harness.mappings import mapping
from harness.plan import open_suites
from harness.plugins import Plugins
from harness.store import Store
from harness.types import Suite, Task
from harness.uses import Uses, ids

__all__ = ["changes", "stale_results", "why"]

COLUMNS = (
    "cell_id, suite, task, model_name, params, mode, budget, seed, scope, isolation, identity, "
    "json_extract_string(receipt, '$.data_folder') AS data_folder"
)


def stale_results(plugins: Plugins, store: Store, suite: str = "", data: Path | None = None) -> dict[str, list[str]]:
    """The own current results that would not be made again today: {cell id: what changed, as words of the identity}.

    A result of an environment of its plugin's own is compared with what that environment would make, one of this environment with what this
    one would. What cannot be looked at is taken as unchanged: a model or suite that is not installed or raises, data that is not here.

    Args:
        suite: only results of this suite; "" = of all.
        data: the folder to look for data in; None = for each result the one of its run.

    Raises:
        UsageError: there is no folder `data`.
    """
    open_suites(plugins, [], data)  # refuses a folder that is not there
    rows = store.query(
        f"SELECT {COLUMNS} FROM main.cells "
        "WHERE source = 'own' AND superseded_by IS NULL AND status <> 'skipped' AND ($1 = '' OR suite = $1)",
        [suite],
    ).to_pylist()
    models = sorted({row["model_name"] for row in rows})  # an environment of theirs is asked again where its plugin's files have changed
    here = plugins.settled("auto", asked=models)
    there = plugins.settled("env", asked=models) if any(row["isolation"] == "env" for row in rows) else here
    return _changed(here, there, store, rows, data)


def why(plugins: Plugins, store: Store, older: Mapping[str, str], data: Path | None = None) -> dict[str, str]:
    """What has changed since the stored results that a plan would replace: {new cell id: words of the identity, comma-separated}.

    Args:
        plugins: those of the plan.
        older: {new cell id: id of the stored result of the same key}, as `harness.plan.Plan.stale`.
        data: as for `stale_results`.
    """
    wanted = sorted(set(older.values()))
    rows = store.query(f"SELECT {COLUMNS} FROM main.cells WHERE cell_id IN (SELECT unnest($1::VARCHAR[]))", [wanted]).to_pylist()
    found = _changed(plugins, plugins, store, rows, data)
    return {new: ", ".join(found[old]) for new, old in older.items() if old in found}


def _changed(here: Plugins, there: Plugins, store: Store, rows: Sequence[Mapping[str, Any]], data: Path | None) -> dict[str, list[str]]:
    """{cell id: what changed} of those of these cells where something has; `there` are the plugins of results of environments."""
    places = _Places(here)
    found: dict[str, list[str]] = {}
    lookups = {"": Uses(here, store), "env": Uses(there, store)}
    for row in rows:
        where = "env" if row["isolation"] == "env" else ""
        plugins = there if where else here
        folder = str(data) if data is not None else row["data_folder"] or ""
        place = places.suite(row["suite"], folder)
        if place is None or row["model_name"] not in plugins.models:
            continue
        if row["task"] not in place[1]:
            found[row["cell_id"]] = ["task"]
            continue
        with contextlib.suppress(HarnessError):
            what = changes(plugins, row, place[1][row["task"]], places.fingerprint(row["suite"], folder, row["task"]), lookups[where])
            if what:
                found[row["cell_id"]] = what
    return found | _of_stale(rows, found)


def _of_stale(rows: Sequence[Mapping[str, Any]], found: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Of these cells, the others that are made of forecasts of stale ones."""
    made_of = {row["cell_id"]: set(mapping(mapping(row["identity"]).get("uses")).values()) for row in rows}
    more: dict[str, list[str]] = {}
    while new := [i for i, used in made_of.items() if i not in found and i not in more and used & (found.keys() | more.keys())]:
        more |= {i: ["uses"] for i in new}
    return more


class _Places:
    """Suites in the folders that results were made from, each opened once."""

    def __init__(self, plugins: Plugins) -> None:
        self._plugins = plugins
        self.suite = functools.cache(self._suite)
        self.fingerprint = functools.cache(self._fingerprint)

    def _suite(self, name: str, folder: str) -> tuple[Suite, Mapping[str, Task]] | None:
        """The suite with its data in `folder` ("" = where it looks by itself) and its tasks; None where it cannot be looked at."""
        try:
            suite = open_suites(self._plugins, [name], Path(folder) if folder else None)[name]
            return suite, {task.name: task for task in suite.tasks()}
        except HarnessError:
            return None

    def _fingerprint(self, name: str, folder: str, task: str) -> str | None:
        place = self.suite(name, folder)
        try:
            return place[0].open(place[1][task]).series.fingerprint if place else None
        except HarnessError:
            return None


def changes(plugins: Plugins, row: Mapping[str, Any], task: Task, fingerprint: str | None, lookup: Uses | None = None) -> list[str]:
    """The parts of a stored cell's identity that are not what they were.

    Args:
        fingerprint: of the data; None = it cannot be looked at.
        lookup: finds the cells that this one is made of; None = they are taken as unchanged.
    """
    then = mapping(row["identity"])
    uses = mapping(then["uses"]) if "uses" in then else None
    if lookup is not None:
        model, params = plugins.model(row["model_name"]), mapping(row["params"])
        found = lookup.find(model, params, task, fingerprint or then.get("data", ""), row["seed"], row["scope"] or "")
        # What is not there any more is no other than it was.
        uses = None if found is None else {**(uses or {}), **{name: now for name, now in ids(found).items() if now}}
    now = make_cell(
        plugins,
        task,
        fingerprint if fingerprint is not None else then.get("data", ""),
        plugins.model(row["model_name"]),
        mapping(row["params"]),
        mode=row["mode"],
        budget=row["budget"] or "",
        seed=row["seed"],
        scope=row["scope"] or "",
        batch_size=then.get("batch_size"),
        uses=uses,
    ).identity
    after = json.loads(json.dumps(dict(now), default=str))
    return [name for name in sorted({*then, *after}) if then.get(name) != after.get(name)]
