"""What `harness run` and `harness plan` tell of a plan and of a run: lines on stderr, tables and JSON on stdout."""

from __future__ import annotations

import shlex
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.progress import likeness

if TYPE_CHECKING:
    from harness.cells import Cell, Outcome
    from harness.errors import Unavailable
    from harness.plan import Plan
    from harness.plugins import Plugins
    from harness.progress import Progress
    from harness.runner import Report

__all__ = ["as_they_are", "count", "headline", "nothing", "print_report", "say_broken", "say_unavailable", "show_plan", "summary", "unread"]


def say_broken(plugins: Plugins) -> None:
    """Warn of each plugin that takes no part."""
    for line in plugins.absent():
        print(f"warning: {line}", file=sys.stderr)


def count(number: int, word: str) -> str:
    """ "1 cell", "2 cells"."""
    return f"{number} {word}" + ("" if number == 1 else "s")


def nothing(made: Plan) -> str:
    """What to say of a plan without a cell."""
    return f"there is no data here for the {count(len(made.unavailable), 'task')} asked for: nothing to run"


def headline(made: Plan) -> str:
    """What is planned, in one line: "4 tasks × 3 models × 2 seeds = 24 cells · to run 20 · reused 4"."""
    factors: dict[str, set[object]] = {
        "task": {(c.task.suite, c.task.name) for c in made.cells},
        "model": {c.model for c in made.cells},
        "mode": {c.mode for c in made.cells},
        "seed": {c.seed for c in made.cells},
    }
    pairs = len({(c.model, c.mode) for c in made.cells})
    if pairs != len(factors["model"]) * len(factors["mode"]):  # not every model in every mode
        del factors["mode"]
    shown = [count(len(values), word) for word, values in factors.items() if word in ("task", "model") or len(values) > 1]
    if "mode" not in factors and pairs != len(factors["model"]):
        shown[1] = f"{pairs} ({shown[1]} in their modes)"
    cached = sum(o.cached for o in made.done.values())
    failed = sum(o.cached and o.status == "failed" for o in made.done.values())
    parts = [f"{' × '.join(shown)} = {count(len(made.cells), 'cell')}", f"to run {len(made.todo)}"]
    if cached:
        parts.append(f"reused {cached}" + (f" ({failed} of them failed: --rerun failed does them again)" if failed else ""))
    if made.stale:
        parts.append(f"stale {len(made.stale)} (model, data or protocol changed)")
    if made.unavailable:
        parts.append(f"unavailable {count(len(made.unavailable), 'task')}")
    return " · ".join(parts)


def as_they_are(made: Plan) -> list[str]:
    """A line for the models that run in one way, whatever mode is asked for: with nothing to train, or always trained; perhaps none."""
    together: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for model, modes in made.as_is.items():
        together[tuple(modes)].append(model)
    return [
        f"{', '.join(models)}: {'learnt anew for each task, which is mode full' if 'zero-shot' in modes else 'nothing to train'}; "
        f"not run in mode {' or '.join(modes)}"
        for modes, models in together.items()
    ]


def unread(made: Plan) -> list[str]:
    """A line for the covariates of suites of the user's own that none of the models reads; perhaps none."""
    models = made.plugins.models
    infos = [models[name].info for name in {cell.model_name for cell in made.cells} if name in models]
    said = []
    for kind in ("past", "known"):
        having = [key for key, data in made.data.items() if key[0] not in made.plugins.suites and getattr(data.series, f"{kind}_count")]
        if having and not any(kind in info.covariates for info in infos):
            which = f"{kind} covariates of {count(len(having), 'task')}: read by none of these models"
            said.append(f"{which}; the names of those that read them: harness ls models --json, 'covariates'")
    return said


OURS = "harness data pull "
"""How a command to fetch data starts that takes `--data`; a suite may name any other command."""


def _into(data: Path | None) -> str:
    """The option that the user gave, to stand in a command to type next."""
    return f" --data {shlex.quote(str(data))}" if data is not None else ""


def _missing(unavailable: Mapping[tuple[str, str], Unavailable], data: Path | None) -> list[dict[str, str]]:
    """Tasks whose data is not here, for JSON."""
    return [
        {"name": f"{s}:{t}", "reason": e.reason, "fetch": e.fetch + (_into(data) if e.fetch.startswith(OURS) else "")}
        for (s, t), e in unavailable.items()
    ]


def say_unavailable(made: Plan, data: Path | None) -> None:
    """One line for each reason, few of them: a user with a part of the data knows that the rest is not there."""
    reasons: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for (suite, task), error in made.unavailable.items():
        reasons[error.reason].append((f"{suite}:{task}", error.fetch))
    into = _into(data)
    shown = list(reasons.items())[:3]
    for reason, tasks in shown:
        others = f" and {len(tasks) - 1} more" if len(tasks) > 1 else ""
        # For several datasets, the command without their names.
        fetches = {fetch for _, fetch in tasks if fetch}
        fetch = fetches.pop() if len(fetches) == 1 else " and ".join(sorted({f.rpartition(" ")[0] for f in fetches}))
        fetch += into if fetch.startswith(OURS) and " and " not in fetch else ""
        print(f"unavailable: {tasks[0][0]}{others}: {reason}" + (f"; fetch with: {fetch}" if fetch else ""), file=sys.stderr)
    rest = len(made.unavailable) - sum(len(tasks) for _, tasks in shown)
    if rest:
        suites = shlex.quote(",".join(dict.fromkeys(suite for suite, _ in made.unavailable)))
        every = f"harness ls tasks -s {suites}{into}"
        print(f"unavailable: {rest} more tasks, whose data is not here either; all of them: {every}", file=sys.stderr)


def show_plan(made: Plan, as_json: bool, data: Path | None, changed: Mapping[str, str]) -> int:
    """Print a plan's cells; `changed` {cell id: what is not as in the result that it replaces}."""
    from harness.cli.output import print_json, print_table

    rows = []
    for cell in made.cells:
        done = made.done.get(cell.id)
        state = ("reuse " + done.status if done.cached else done.status) if done else "stale, run" if cell.id in made.stale else "run"
        opened = made.data.get((cell.task.suite, cell.task.name))
        rows.append(
            {
                "name": f"{cell.task.suite}:{cell.task.name}",
                "model": cell.model,
                "mode": cell.mode,
                "seed": cell.seed,
                "windows": len(opened) if opened else None,
                "state": state,
                "reason": done.reason if done else f"{changed[cell.id]} changed" if cell.id in changed else "",
                "id": cell.id,
            }
        )
    if as_json:
        print_json({"cells": rows, "unavailable": _missing(made.unavailable, data)})
        return 0
    print(headline(made) if rows else nothing(made))
    if rows:
        for line in (*as_they_are(made), *unread(made)):
            print(line)
        columns = ["name", "model", "mode", "seed", "windows", "state", "reason"]
        print_table(rows, columns, drop=("windows", "seed", "mode"), all_with="all of it: --json")
    say_unavailable(made, data)
    return 0


def _of_all(cell: Cell, outcome: Outcome, names: Sequence[str]) -> str:
    """The reason of one cell as that of all of these tasks: a command in it that is to be typed is about all of them."""
    name = shlex.quote(cell.task.name)
    together = f" -t {shlex.quote(','.join(names))}" if len(names) <= FULL else ""
    return outcome.reason.replace(f" -t {name}", together)


def print_report(report: Report, data: Path | None) -> None:
    """Print how a run ended as one JSON document."""
    from harness.cli.output import print_json

    cells = []
    for cell in report.plan.cells:
        o = report.outcomes.get(cell.id)
        cells.append(
            {
                "id": cell.id,
                "suite": cell.task.suite,
                "task": cell.task.name,
                "model": cell.model,
                "mode": cell.mode,
                "seed": cell.seed,
                "status": o.status if o else "unfinished",
                "failure": o.failure if o else "",
                "reason": o.reason if o else "",
                "cached": bool(o and o.cached),
                "scores": dict(o.scores) if o else {},
            }
        )
    missing = _missing(report.plan.unavailable, data)
    run = report.run
    print_json(
        {"run": run.id, "status": run.status, "counts": report.counts, "problem": report.problem, "cells": cells, "unavailable": missing}
    )


FULL = 20
"""Tasks that are named in a command; for more of them it is over the whole suite."""


def summary(report: Report, data: Path | None, shown: Progress) -> None:
    """Say how a run ended; what many cells have in common is said once, and a cell that the progress has named is only counted."""
    from harness.cli.output import printable

    say_unavailable(report.plan, data)
    bad = [(c, o) for c in report.plan.cells if (o := report.outcomes.get(c.id)) and o.status != "ok"]
    grouped: dict[tuple[str, str, str], list[tuple[Cell, Outcome]]] = defaultdict(list)
    for cell, outcome in bad:
        grouped[likeness(cell, outcome)].append((cell, outcome))
    for (status, model, _), alike in grouped.items():
        cell, outcome = alike[0]
        if len(alike) > 1:
            names = list(dict.fromkeys(c.task.name for c, _ in alike))
            more = f" and {len(names) - 3} more tasks" if len(names) > 3 else ""
            named = f"{', '.join(names[:3])}{more}"
            print(f"{status}: {model}: {printable(_of_all(cell, outcome, names), 1000)} ({len(alike)} cells: {named})", file=sys.stderr)
        elif cell.id not in shown.told:
            print(f"{status}: {model} on {cell.task.name}: {printable(outcome.reason, 1000)}", file=sys.stderr)
    if any(o.failure == "usage" for _, o in bad):
        print("what a model refused of what was typed is not stored; change that, and repeat the command", file=sys.stderr)
    if any(o.status == "failed" and o.failure != "usage" for _, o in bad):
        again = "to try failed cells again: the same command with --rerun failed"
        print(f"why, with the log: harness show CELL-OR-TASK; {again}", file=sys.stderr)
    print(report.said(), file=sys.stderr)
    if report.problem:
        print(f"harness: {report.problem}", file=sys.stderr)
