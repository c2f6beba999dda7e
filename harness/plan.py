"""Planning a run: which cells there are, which of them have a result, which data is missing. Nothing is predicted here."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.cells import Cell, Outcome
from harness.errors import DataError, HarnessError, NothingMatched, PluginError, Unavailable, Unsupported, UsageError
from harness.identity import label, make_cell
from harness.plugins import Plugins, Registered
from harness.saved import NO_METHOD
from harness.selection import ModelChoice, canonical_limit, learns, parse_limit, parse_modes, select_models, select_tasks, split_list
from harness.series import TaskData
from harness.sink import forecast_folder
from harness.store import Store
from harness.types import ModelInfo, Suite, Task
from harness.uses import Used, Uses, ids, settle
from harness.weights import missing, parse_source, pulled

__all__ = ["Plan", "RunSpec", "elsewhere", "make_plan", "open_suites"]

RERUN = ("", "failed", "stale", "all")


@dataclass(frozen=True)
class RunSpec:
    """What is to be run; the options of `harness run`, in words of their own."""

    models: Sequence[str]
    suites: Sequence[str] = ("quick",)
    model_args: Sequence[str] = ()
    tasks: Sequence[str] = ()
    exclude: Sequence[str] = ()
    where: str = ""
    limit: str = ""
    modes: Sequence[str] = ("zero-shot",)
    budget: str = ""
    seeds: Sequence[int] = (0,)
    batch_size: int | None = None  # None = by memory and the model's wish
    jobs: int = 1
    threads: int | None = None  # per worker; None = cores ÷ jobs
    device: str = "cpu"
    isolation: str = "auto"  # auto | process | env | inprocess
    timeout: float | None = None  # seconds per cell
    save_forecasts: bool = False
    save_models: bool = False  # of cells that are trained, where the model can save itself
    rerun: str = ""  # "" | failed | stale | all
    data: Path | None = None


@dataclass
class Plan:
    """The cells of a run, in order, and what is known of them before it starts."""

    plugins: Plugins  # each model where it is to run: what the cells name is found in these
    cells: list[Cell] = field(default_factory=list)
    data: dict[tuple[str, str], TaskData] = field(default_factory=dict)  # by (suite, task)
    todo: list[Cell] = field(default_factory=list)
    done: dict[str, Outcome] = field(default_factory=dict)  # by cell id: results of earlier runs, and cells that cannot start
    stale: dict[str, str] = field(default_factory=dict)  # cell id -> id of the older result
    unavailable: dict[tuple[str, str], Unavailable] = field(default_factory=dict)
    uses: dict[str, list[Used]] = field(default_factory=dict)  # by cell id, of models made of other models' kept forecasts
    depth: dict[str, int] = field(default_factory=dict)  # by `Cell.model`, of those: after which others its cells are to be done
    kept: Path | None = None  # the folder of the forecasts that `uses` found in a store
    as_is: dict[str, list[str]] = field(default_factory=dict)  # models with one way to run -> the asked modes that they lack


class GuardedSuite:
    """A suite whose mistakes cost its own tasks: what it raises becomes an error that names it."""

    def __init__(self, name: str, make: Callable[[], Suite]) -> None:
        self._name = name
        self._suite: Suite = self._try("being made", make)

    def _try(self, what: str, call: Callable[[], Any], kind: type[HarnessError] = PluginError) -> Any:
        try:
            return call()
        except HarnessError:
            raise
        except Exception as error:
            raise kind(f"suite '{self._name}' raised {type(error).__name__} while {what}: {error}; tell its author") from error

    def tasks(self) -> Sequence[Task]:
        """The suite's tasks.

        Raises:
            PluginError: it raised, or they are no tasks of its own with names of their own.
        """
        tasks: list[Task] = self._try("listing its tasks", lambda: list(self._suite.tasks()))
        seen: set[str] = set()
        for task in tasks:
            if not isinstance(task, Task) or task.suite != self._name or task.name in seen or task.horizon < 1:
                raise PluginError(
                    f"suite '{self._name}' lists {task!r}; wanted tasks with suite='{self._name}', each name once, a horizon of at least 1"
                )
            seen.add(task.name)
        return tasks

    def open(self, task: Task) -> TaskData:
        """The task's data. Raises as `harness.types.Suite.open`; anything else becomes a DataError."""
        data = self._try(f"opening {task.name}", lambda: self._suite.open(task), DataError)
        if not isinstance(data, TaskData):
            raise DataError(f"suite '{self._name}' gave a {type(data).__name__} for {task.name}; wanted a harness.series.TaskData")
        return data


def open_suites(plugins: Plugins, names: Sequence[str], data: Path | None) -> dict[str, Suite]:
    """Make the named suites, by the names that their tasks carry; `data` is the folder of `--data`.

    Raises:
        UsageError, DataError: no such suite or folder, or a file that describes none.
        PluginError: a suite could not be made.
    """
    if data is not None and not data.is_dir():
        raise UsageError(f"--data {data}: there is no such folder")
    made: dict[str, Suite] = {}
    for name in split_list(names):
        found = plugins.suite(name)
        made[found.info.name] = GuardedSuite(found.info.name, functools.partial(found.factory, data))
    return made


def make_plan(
    plugins: Plugins,
    spec: RunSpec,
    store: Store | None,
    note: Callable[[str], None] = lambda _: None,
    kept: Store | None = None,
) -> Plan:
    """Cross models with tasks, look up what the store has, open the data.

    Args:
        kept: where the forecasts of models are looked for that others are made of; None = in the store.

    Raises:
        UsageError, NothingMatched, PluginError: the selection does not make sense.
        StoreError: the store cannot be read.
    """
    if spec.rerun not in RERUN:
        raise UsageError(f"got --rerun {spec.rerun}; wanted one of failed, stale, all")
    modes = parse_modes(spec.modes)
    if not spec.seeds or not all(0 <= seed < 2**63 for seed in spec.seeds):
        raise UsageError(f"got seeds {list(spec.seeds)}; wanted whole numbers from 0 to 2**63 - 1, as in --seed 0 or --seed 0-4")
    plugins = plugins.settled(spec.isolation, asked=[text.partition("[")[0].partition(":")[0].strip() for text in split_list(spec.models)])
    models = _models(plugins, spec)
    suites = open_suites(plugins, spec.suites, spec.data)
    try:
        tasks = select_tasks([t for s in suites.values() for t in s.tasks()], spec.tasks, spec.exclude, spec.where)
    except NothingMatched as error:
        raise NothingMatched(f"{error}{elsewhere(plugins, list(suites), spec.tasks)}") from None
    plan = Plan(plugins)
    note(f"opening {len(tasks)} tasks")
    broken = _open(plan, tasks, suites, spec)
    kept = kept or store
    lookup = Uses(plugins, kept)
    plan.kept = None if kept is None else forecast_folder(kept)
    here = [task for task in tasks if (task.suite, task.name) not in plan.unavailable]
    for model, params in models:
        lookup.check(model, params)
    for depth, model, params in sorted(((_depth(lookup, *each), *each) for each in models), key=lambda each: each[0]):
        for mode in _own_modes(plan, model.info, params, modes):
            for seed in dict.fromkeys(spec.seeds):
                for task in here:
                    _add(plan, plugins, spec, lookup, (model, params), depth, mode, seed, task, broken)
    good = _reuse(plan, spec, store)
    _settle(plan, spec, kept, good)
    plan.todo = [c for c in plan.cells if c.id not in plan.done]
    return plan


def _models(plugins: Plugins, spec: RunSpec) -> list[ModelChoice]:
    """The models of a run, with what they cannot do without.

    Raises:
        UsageError, NothingMatched, PluginError: no such model, or none there.
        Unavailable: published weights are not here.
    """
    models = select_models(plugins, spec.models, spec.model_args)
    if spec.isolation == "env" and (bare := sorted({m.distribution for m, _ in models if m.environment is None})):
        names = " ".join(bare)
        raise UsageError(f"there is no environment of its own for {', '.join(bare)}; to build it: harness env build {names}")
    _refuse_without_weights(models)
    return models


def _open(plan: Plan, tasks: Sequence[Task], suites: Mapping[str, Suite], spec: RunSpec) -> dict[tuple[str, str], str]:
    """Open the data of the tasks into the plan; return {(suite, task): what is wrong} of data that is broken."""
    broken: dict[tuple[str, str], str] = {}
    for task in tasks:
        key = (task.suite, task.name)
        try:
            plan.data[key] = _limited(suites[task.suite].open(task), spec)
        except Unavailable as error:
            plan.unavailable[key] = error
        except DataError as error:
            broken[key] = str(error)
    return broken


def _add(
    plan: Plan,
    plugins: Plugins,
    spec: RunSpec,
    lookup: Uses,
    choice: ModelChoice,
    depth: int,
    mode: str,
    seed: int,
    task: Task,
    broken: Mapping[tuple[str, str], str],
) -> None:
    """Add a cell to the plan, and what is known of its end already."""
    (model, params), key, scope = choice, (task.suite, task.name), scope_of(spec)
    opened = plan.data.get(key)
    fingerprint = opened.series.fingerprint if opened else ""
    used, reason = _used(lookup, model, params, task, fingerprint, seed, scope) if depth else (None, "")
    cell = make_cell(
        plugins,
        task,
        fingerprint,
        model,
        params,
        mode=mode,
        budget="" if mode == "zero-shot" else spec.budget,  # it forecasts alike whatever a training may take
        seed=seed,
        scope=scope,
        batch_size=spec.batch_size,
        uses=None if used is None else ids(used),
    )
    plan.cells.append(cell)
    lookup.add(cell)
    if used is not None:
        plan.uses[cell.id], plan.depth[cell.model] = used, depth
    reason = unsupported_reason(model.info, task, mode) or reason
    if key in broken:
        plan.done[cell.id] = Outcome("failed", broken[key], "data")
    elif reason:
        plan.done[cell.id] = Outcome("skipped", reason, "unsupported")


def _refuse_without_weights(models: Sequence[ModelChoice]) -> None:
    """Stop before anything is computed where models' published weights are wanted and are not here.

    Only for a plugin that keeps to the convention: it has the parameter `weights`, and none of its own are shipped. One that is told by
    `url` who serves its weights needs none here.
    """
    lacking = []
    for model, params in models:
        info = model.info
        asked = params.get("weights") or params.get("url") or info.weights_digest or "weights" not in (model.parameters or ())
        if not asked and parse_source(info.weights) is not None and pulled(info) is None and info not in lacking:
            lacking.append(info)
    if len(lacking) == 1:
        raise missing(lacking[0].name, lacking[0].weights, lacking[0].weights_license, lacking[0].weights_note)
    if lacking:
        lines = [f"  {i.name} ({i.weights}), {i.weights_license or 'licence not known'}. {i.weights_note}".rstrip(". ") for i in lacking]
        command = f"harness weights pull {' '.join(i.name for i in lacking)}"
        raise Unavailable(
            "\n".join(
                [
                    f"the weights of {len(lacking)} models are not on this machine:",
                    *lines,
                    f"To fetch them: {command}. Or give files or folders: -M {lacking[0].name}:weights=PATH",
                ]
            ),
            command,
        )


def _own_modes(plan: Plan, info: ModelInfo, params: Mapping[str, Any], modes: Sequence[str]) -> list[str]:
    """The modes that a model is run in: its only one, once, where there is one way to run it, whatever is asked for; noted in the plan."""
    if not untrainable(info):
        return list(modes)
    (own,) = set(info.modes)
    if other := [mode for mode in modes if mode != own]:
        plan.as_is[label(info.name, params)] = other
    return [own]


def untrainable(info: ModelInfo) -> bool:
    """Whether there is one way to run a model, whichever mode is asked for: one without parameters, or a statistical one, that has a single
    mode: a baseline, an ensemble.

    >>> untrainable(ModelInfo("drift", parameters=0)), untrainable(ModelInfo("net", parameters=9)), untrainable(ModelInfo("unknown"))
    (True, False, False)
    """
    return len(set(info.modes)) == 1 and (info.parameters == 0 or info.model_type == "statistical")


def _depth(lookup: Uses, model: Registered[ModelInfo], params: Mapping[str, Any]) -> int:
    """How many steps a model is away from one that uses no other's forecasts."""
    try:
        return lookup.depth(model, params)
    except Unsupported:  # told for each of its cells
        return 1


def _used(
    lookup: Uses, model: Registered[ModelInfo], params: Mapping[str, Any], task: Task, fingerprint: str, seed: int, scope: str
) -> tuple[list[Used], str]:
    """Whose forecasts a cell uses, and why it cannot be done, "" where it may."""
    try:
        return lookup.find(model, params, task, fingerprint, seed, scope) or [], ""
    except Unsupported as error:
        return [], str(error)


def _settle(plan: Plan, spec: RunSpec, kept: Store | None, good: Mapping[str, Outcome]) -> None:
    """Leave cells out whose members' forecasts cannot be had; where one has a good result, that stays."""
    for cell in plan.cells:  # by depth, so that a member that is left out is known
        if cell.id not in plan.uses or cell.id in plan.done:
            continue
        if reason := settle(cell, plan.uses[cell.id], plan.done.get, spec.save_forecasts, kept, spec.data):
            plan.done[cell.id] = good.get(cell.id) or Outcome("skipped", reason, "unsupported")


def elsewhere(plugins: Plugins, suites: Sequence[str], globs: Sequence[str]) -> str:
    """For the end of a message that tasks are not in these suites: which suite has the first of them; "" where none has."""
    for glob in split_list(globs):
        if any(_has(plugins, name, glob) for name in suites):
            continue
        for name in plugins.suites:
            if name not in suites and _has(plugins, name, glob):
                return f"\n{glob!r} is in suite {name}: pass suite={name!r}, or -s {name} on the command line"
    return ""


def _has(plugins: Plugins, suite: str, glob: str) -> bool:
    try:
        (opened,) = open_suites(plugins, [suite], None).values()
        return bool(select_tasks(opened.tasks(), [glob]))
    except HarnessError:
        return False


def unsupported_reason(info: Any, task: Task, mode: str) -> str:
    if info.max_horizon is not None and task.horizon > info.max_horizon:
        return f"horizon {task.horizon} is beyond the {info.max_horizon} steps that {info.name} can forecast"
    if mode.partition(":")[0] not in {m.partition(":")[0] for m in info.modes}:
        return f"{info.name} has no mode '{mode}'; it has {', '.join(info.modes)}"
    return ""


def _reuse(plan: Plan, spec: RunSpec, store: Store | None) -> dict[str, Outcome]:
    """Take what the store has; return all good results there, also of cells that are to be done again."""
    if store is None or not plan.cells:
        return {}
    known = store.find([c.id for c in plan.cells])
    unsaved = _unsaved(store, [c.id for c in plan.cells if c.id in known and learns(c.mode)]) if spec.save_models else set()
    stored = {
        i: Outcome(row["status"], row["reason"] or "", row["failure"] or "", row["scores"], row, cached=True) for i, row in known.items()
    }
    for cell in plan.cells:
        row = known.get(cell.id)
        if row is None or cell.id in plan.done or spec.rerun == "all":
            continue
        if row["status"] == "skipped" and cell.id in plan.uses:  # what was missing may be there now
            continue
        # A model that could not be loaded computed nothing: what was missing may be there now.
        if row["status"] == "failed" and (spec.rerun == "failed" or row["failure"] == "load"):
            continue
        if spec.save_forecasts and row["status"] == "ok" and not row["forecasts"]:
            continue
        if cell.id in unsaved and row["status"] == "ok":
            continue
        plan.done[cell.id] = stored[cell.id]
    plan.stale = store.superseded({c.id: c.key for c in plan.cells if c.id not in known})
    return {i: outcome for i, outcome in stored.items() if outcome.status == "ok"}


def _unsaved(store: Store, cell_ids: Sequence[str]) -> set[str]:
    """Of these trained cells, those whose weights were not kept, and could be as far as is known."""
    if not cell_ids:
        return set()
    sql = (
        "SELECT cell_id FROM main.trained WHERE cell_id IN (SELECT unnest($1::VARCHAR[])) "
        "AND (path <> '' OR json_extract_string(metrics, '$.unsaved') = $2)"
    )
    return set(cell_ids) - set(store.query(sql, [list(cell_ids), NO_METHOD])["cell_id"].to_pylist())


def scope_of(spec: RunSpec) -> str:
    """How the cell says that it is only part of a task, "" when it is whole."""
    limit = canonical_limit(spec.limit)
    return f"limit={limit}" if limit else ""


def _limited(data: TaskData, spec: RunSpec) -> TaskData:
    """A random part of the items that have windows, the same for every model, run and seed."""
    limit = parse_limit(spec.limit)
    if limit is None:
        return data
    # A patient held out from scoring, or a series too short, has no window: a limit that chose only those would score nothing.
    items = np.unique(data.channel // data.series.variates)
    count = limit if isinstance(limit, int) else max(1, round(limit * len(items)))
    if count >= len(items):
        return data
    state = hashlib.blake2b(f"{data.task.suite}:{data.task.name}".encode(), digest_size=8).digest()
    chosen = np.random.default_rng(int.from_bytes(state)).choice(items, count, replace=False)
    return data.limited(np.sort(chosen))
