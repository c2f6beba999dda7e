"""Models made of other models' kept forecasts: whose they want, and where those are.

A factory (a class, say) may have a static or class method `uses(**params) -> list[str]`. It names the models whose kept forecasts
(`--save-forecasts`) its own model wants, one or more, each once, as the leaderboard writes them: "ttm[context=512]", "ttm (finetune)",
"ttm (finetune 200steps)"; "ttm@finetune" is read too. It raises `Unsupported` where the parameters name none, and the cells are skipped.
The model has a method `use(stored: harness.stored.Stored)`, which it is given before each cell.

The rule, for each task: a member's forecasts are those of its own good result on that task, in the same part of it (`--limit`), not
superseded, and still what its model would make today; of the mode that its name says, else the only one that it has, else zero-shot; of
the seed of the cell, or the only seed there is. A result that this very run makes comes first, and the cell then waits for it. The ids of
the members' cells are part of the cell's identity: where a member is made anew and differs, what was made of it is stale.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.again import run_command
from harness.cells import Cell, Outcome
from harness.errors import HarnessError, PluginError, Unsupported, UsageError, describe
from harness.identity import label, make_cell
from harness.kept_file import KeptError, KeptFile
from harness.mappings import mapping
from harness.plugins import Plugins, Registered
from harness.selection import ModelChoice, parse_modes, select_models
from harness.sink import forecast_folder
from harness.store import Store
from harness.types import ModelInfo, Task

__all__ = ["Used", "Uses", "ids", "members", "settle", "split_member"]

ROWS = """
SELECT * FROM main.cells
WHERE source = 'own' AND superseded_by IS NULL AND status = $3 AND model = $1 AND mode = $2
"""
DEEPEST = 20
"""Models that use one another in a row."""


@dataclass(frozen=True)
class Used:
    """One member of a cell."""

    name: str  # as the factory wrote it
    model: str  # as in `cells.model`
    mode: str
    budget: str
    cell_id: str = ""  # of the member's cell; "" = there is none
    row: Mapping[str, Any] | None = None  # its row of `cells`; None = there is none yet
    problem: str = ""  # why there is no such cell
    again: str = ""  # which --rerun makes one, "" = none is needed


def split_member(name: str) -> tuple[str, str, str]:
    """A member's model, mode and budget.

    >>> split_member("ttm[context=512]"), split_member("ttm (finetune 200steps)"), split_member("ttm@few-shot:0.1")
    (('ttm[context=512]', 'zero-shot', ''), ('ttm', 'finetune', '200steps'), ('ttm', 'few-shot:0.1', ''))

    Raises:
        UsageError: a mode that does not exist.
    """
    match = re.fullmatch(r"(.*?)(?:\s*\(([^()\[\]]+)\)|@([^@\[\]]+))", name.strip(), re.DOTALL)
    if match is None:
        return name.strip(), "zero-shot", ""
    mode, _, budget = (match[2] or match[3]).strip().partition(" ")
    try:
        (mode,) = parse_modes([mode])
    except (UsageError, ValueError):
        wanted = "zero-shot, finetune, full, ttt or few-shot:SHARE, as in 'ttm (finetune)'"
        raise UsageError(f"got member {name!r} with mode {mode!r}; wanted {wanted}") from None
    return match[1].strip(), mode, budget.strip()


def members(model: Registered[ModelInfo], params: Mapping[str, Any]) -> list[str] | None:
    """What the factory's `uses` says; None for a model that uses nothing.

    Raises:
        Unsupported: the parameters name no model.
        HarnessError: what else `uses` raises, a list of something else, a name twice.
    """
    uses = getattr(model.factory, "uses", None)
    if not callable(uses):
        return None
    who = f"{model.info.name}: uses({', '.join(f'{k}={v!r}' for k, v in params.items())})"
    try:
        names = list(uses(**params))
    except HarnessError:
        raise
    except Exception as error:
        raise PluginError(f"{who} raised {describe(error)}") from error
    if not names or not all(isinstance(name, str) and name.strip() for name in names):
        raise PluginError(f"{who} returned {names!r}; wanted names of models, one or more")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UsageError(f"{who} names {twice[0]!r} twice; wanted each model once")
    return names


class Uses:
    """Finds members' cells: those of a run in the making first, then those of a store.

    Args:
        store: where to look; None = nowhere.
    """

    def __init__(self, plugins: Plugins, store: Store | None) -> None:
        self._plugins, self._store = plugins, store
        self._planned: dict[tuple[str, str, str, str, int, str], list[Cell]] = {}
        self._rows = functools.cache(self._query)
        self._there = functools.cache(lambda: plugins.settled("env"))  # with the models of environments wherever there are such
        self.choice = functools.cache(self._choice)  # of a member's name

    def add(self, cell: Cell) -> None:
        """A cell of the run, which others may use."""
        task = cell.task
        self._planned.setdefault((task.suite, task.name, cell.model, cell.mode, cell.seed, cell.scope), []).append(cell)

    def depth(self, model: Registered[ModelInfo], params: Mapping[str, Any], above: tuple[str, ...] = ()) -> int:
        """0 for a model that uses nothing, 1 for one that uses such, and so on.

        Args:
            above: the models that use this one, outermost first.

        Raises:
            Unsupported, HarnessError: as `members`.
            UsageError: a model uses itself, by way of others perhaps, or there is no end of models that use others.
        """
        names = members(model, params)
        if names is None:
            return 0
        path = (*above, label(model.info.name, params))
        if path[-1] in above:
            raise UsageError(f"{path[-1]} uses {' and that uses '.join(path[above.index(path[-1]) + 1 :])}; wanted models without a circle")
        if len(path) > DEEPEST:
            raise UsageError(f"{path[0]} uses {path[1]}, and so on over {DEEPEST} models; wanted fewer")
        chosen = [self.choice(split_member(name)[0]) for name in names]
        return 1 + max((self.depth(*each, path) for each in chosen if each is not None), default=0)

    def check(self, model: Registered[ModelInfo], params: Mapping[str, Any]) -> None:
        """Refuse a member that is no model here and has no result in the store either: a name that is misspelt, most often.

        Raises:
            UsageError: there is no such model; names a near one.
            PluginError: it belongs to a plugin that could not be loaded.
            HarnessError: as `members`, but for `Unsupported`.
        """
        try:
            names = members(model, params) or []
        except Unsupported:  # told for each of its cells
            return
        for name in names:
            text = split_member(name)[0]
            if (choice := self.choice(text)) is not None:
                if label(model.info.name, params) != label(choice[0].info.name, choice[1]):  # a circle is refused by `depth`
                    self.depth(*choice)
                    self.check(*choice)
            elif not self._stored(text):
                try:
                    select_models(self._plugins, [text])
                except HarnessError as error:
                    raise type(error)(f"{label(model.info.name, params)} is made of {name!r}, but {error}") from error

    def _stored(self, model: str) -> bool:
        """Whether the store has a result of this model, of whatever task and mode."""
        if self._store is None or not self._store.path.exists():
            return False
        sql = "SELECT 1 FROM main.cells WHERE source = 'own' AND status = 'ok' AND model = $1 LIMIT 1"
        return bool(self._store.query(sql, [model]).num_rows)

    def _choice(self, text: str) -> ModelChoice | None:
        """The model and parameters of a member's name; None where it is not installed here, and may be stored all the same."""
        try:
            chosen = select_models(self._plugins, [text])
        except HarnessError:
            if text.partition("[")[0].strip() in self._plugins.models:
                raise  # a parameter that it does not have
            return None
        if len(chosen) != 1:
            raise UsageError(f"got member {text!r}, which names {len(chosen)} models; wanted one")
        return chosen[0]

    def _query(self, model: str, mode: str, status: str = "ok") -> dict[tuple[str, str, str], list[dict[str, Any]]]:
        """Good rows, or those of another status, by (suite, task, scope)."""
        found: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        if self._store is not None and self._store.path.exists():
            for row in self._store.query(ROWS, [model, mode, status]).to_pylist():
                found.setdefault((row["suite"], row["task"], row["scope"] or ""), []).append(row)
        return found

    def find(
        self, model: Registered[ModelInfo], params: Mapping[str, Any], task: Task, fingerprint: str, seed: int, scope: str
    ) -> list[Used] | None:
        """The members of a cell, in the order of `members`; None for a model that uses nothing.

        Raises:
            Unsupported, HarnessError: as `members`.
            Unsupported: two members are one result.
        """
        names = members(model, params)
        self.depth(model, params)  # refuses a circle, which what follows would not leave
        if names is None:
            return None
        found = [self._member(name, task, fingerprint, seed, scope) for name in names]
        by_cell: dict[str, str] = {}
        for used in found:
            if used.cell_id and (other := by_cell.setdefault(used.cell_id, used.name)) != used.name:
                raise Unsupported(f"its members {other} and {used.name} are one result on {task.suite}:{task.name}; wanted each model once")
        return found

    def _member(self, name: str, task: Task, fingerprint: str, seed: int, scope: str) -> Used:
        text, mode, budget = split_member(name)
        choice = self.choice(text)
        if choice is not None and text == name.strip() and len(set(choice[0].info.modes)) == 1 and "few-shot" not in choice[0].info.modes:
            (mode,) = set(choice[0].info.modes)
        model = text if choice is None else label(choice[0].info.name, choice[1])
        used = functools.partial(Used, name, model, mode, budget)
        planned = [c for c in self._planned.get((task.suite, task.name, model, mode, seed, scope), ()) if budget in ("", c.budget)]
        if planned:
            return used(cell_id=planned[-1].id)

        def of_status(status: str) -> list[dict[str, Any]]:
            there = self._rows(model, mode, status).get((task.suite, task.name, scope), ())
            rows = [row for row in there if budget in ("", row["budget"] or "")]
            return [row for row in rows if row["seed"] == seed] or rows

        rows = of_status("ok")
        if not rows and (failed := of_status("failed")):
            # Without --rerun the command that makes it would take the failure for its result.
            return used(problem=f"it failed there ({(failed[0]['reason'] or '').rstrip('.')})", again="failed")
        if not rows:
            return used(problem="it has no good result there")
        if len(rows) > 1:
            said = "; ".join(sorted(", ".join(filter(None, (r["budget"] or "", f"seed {r['seed']}"))) for r in rows))
            return used(problem=f"it has {len(rows)} results there ({said}), and none with seed {seed}" if not budget else f"it has {said}")
        if not self._holds(rows[0], choice, task, fingerprint):
            return used(problem="its result there is stale")
        return used(cell_id=rows[0]["cell_id"], row=rows[0])

    def _holds(self, row: Mapping[str, Any], choice: ModelChoice | None, task: Task, fingerprint: str) -> bool:
        """Whether a stored result would be made again today; so taken where its model is not installed."""
        if choice is None:
            return True
        then = mapping(row["identity"])
        scope, seed = row["scope"] or "", row["seed"]
        found = self.find(*choice, task, fingerprint, seed, scope)
        plugins = self._there() if row["isolation"] == "env" else self._plugins
        cell = make_cell(
            plugins,
            task,
            fingerprint or then.get("data", ""),
            plugins.models.get(choice[0].info.name, choice[0]),
            choice[1],
            mode=row["mode"],
            budget=row["budget"] or "",
            seed=seed,
            scope=scope,
            batch_size=then.get("batch_size"),
            uses=None if found is None else ids(found),
        )
        return bool(cell.id == row["cell_id"])


def ids(found: Iterable[Used]) -> dict[str, str]:
    """{member's name: id of its cell, "" = none}: what goes into the identity of a cell."""
    return {used.name: used.cell_id for used in found}


def settle(
    cell: Cell,
    found: Sequence[Used],
    outcome: Callable[[str], Outcome | None],
    kept: bool,
    store: Store | None,
    data: Path | None,
) -> str:
    """Why the forecasts of a cell's members cannot be had, with the command that makes them; "" where they can.

    Args:
        outcome: {cell of this run: how it ended, None = it is still to be done}.
        kept: whether this run keeps forecasts.
        store: where they are looked for.
        data: the run's folder of data.
    """
    problems = [(used, *_problem(used, outcome, kept, store)) for used in found]
    problems = [each for each in problems if each[1]]
    commands = []
    for mode, budget in dict.fromkeys((used.mode, used.budget) for used, _, _ in problems):
        those = [each for each in problems if (each[0].mode, each[0].budget) == (mode, budget)]
        row = {
            "model": ",".join(used.model for used, _, _ in those),
            "suite": cell.task.suite,
            "task": cell.task.name,
            "mode": mode,
            "budget": budget,
            "seed": cell.seed,
            "scope": cell.scope,
        }
        rerun = next((word for word in ("all", "failed") if word in [again for _, _, again in those]), "")
        commands.append(run_command(row, save_forecasts=True, data=data, db=None if store is None else store.path, rerun=rerun))
    alike: dict[str, list[str]] = {}
    for used, problem, _ in problems:
        alike.setdefault(problem, []).append(used.name)
    said = "; ".join(f"{', '.join(names)}: {problem}" for problem, names in alike.items())
    return f"kept forecasts are missing. {said}. To make them: {' && '.join(commands)}" if problems else ""


def _problem(used: Used, outcome: Callable[[str], Outcome | None], kept: bool, store: Store | None) -> tuple[str, str]:
    """Why a member's forecasts cannot be had, and which --rerun makes them."""
    if used.problem:
        return used.problem, used.again
    row = used.row
    if row is None:
        done = outcome(used.cell_id)
        if done is None:
            return ("", "") if kept else ("this run makes its result without --save-forecasts", "")
        if done.status != "ok":
            return f"it is {done.status} there ({done.reason})", "failed" if done.status == "failed" else ""
        row = done.record
    if not row["forecasts"]:
        return "its forecasts there were not kept", ""
    try:
        file = None if store is None else KeptFile.of(forecast_folder(store), row)
    except KeptError as error:
        return str(error), "all"
    if file is None:
        return "the file of its forecasts there is gone", "all"
    return ("", "") if file.there else (file.moved or "the file of its forecasts there is gone", "all")
