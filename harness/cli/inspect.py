"""`harness ls`, `doctor` and `completion`: what is here, and whether it works. `show` is in `harness.cli.show`."""

from __future__ import annotations

import fnmatch
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from harness.cli.run import db_option
from harness.errors import HarnessError, NothingMatched, UsageError, suggest

__all__ = ["completion", "dialects", "doctor", "ls", "metrics", "models", "runs", "state_of", "suites", "tasks"]

MOST_REASONS = 12
"""Reasons why tasks are not available that stand below their table; more stay in it, task by task."""
KINDS = ("models", "suites", "tasks", "metrics", "dialects", "plugins", "hooks", "runs", "cells", "trained")


DROPPED: dict[str, Sequence[str]] = {
    "models": ("version", "plugin", "license", "output", "model_type", "parameters", "modes"),
    "suites": ("version", "plugin", "license"),
    "tasks": ("variates", "season_length", "windows", "n_windows", "freq", "domain", "horizon"),
    "metrics": ("range", "unit", "dialect", "direction"),
    "dialects": ("source", "plugin", "version", "metrics"),
    "plugins": ("version", "distribution"),
    "runs": ("host", "stored", "finished_at"),
    "cells": ("predict_s", "n_windows", "scope", "seed", "mode", "suite"),
    "trained": ("data", "configuration", "fit_s", "seed", "budget", "parent", "created", "suite"),
}
"""What a table does without on a narrow terminal, the first first."""


WHOLE: dict[str, Sequence[str]] = {"models": ("name",), "suites": ("name",), "plugins": ("name",)}
"""Columns that are not wrapped on a narrow terminal."""


class Kind(click.Choice[str]):
    """One of `KINDS`; the singular is understood."""

    def __init__(self) -> None:
        super().__init__(KINDS)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The plural; a usage error that suggests a near word."""
        word = value if value in KINDS else f"{value}s"
        if word not in KINDS:
            raise UsageError(f"there is no list of {value!r}.{suggest(value, KINDS)} Wanted one of {', '.join(KINDS)}")
        return str(super().convert(word, param, ctx))


@click.command()
@click.argument("what", type=Kind(), required=False)
@click.argument("pattern", required=False, default="")
@click.option("-s", "--suite", default="", metavar="LIST", help="Only tasks, cells or trained models of these suites.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder of the suite's data, for tasks and cells; for cells else the one of each cell's run.",
)
@db_option
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects, each with 'name'.")
def ls(what: str | None, pattern: str, suite: str, data: Path | None, db: Path, as_json: bool) -> None:
    """List models, suites, tasks, metrics, dialects, plugins, hooks, runs, cells or trained models; PATTERN is a glob on their names.

    For cells PATTERN is a glob on model, task or status too, or the beginning of an id; for trained models on model, task or mode, or the
    beginning of an id or of a configuration.
    """
    from harness.cli.output import print_json, print_table
    from harness.plugins import INSTALL_SIMPLEST, load
    from harness.selection import split_list

    if what is None:
        click.echo(f"harness ls KIND, which is one of: {', '.join(KINDS)}")
        return
    plugins = load()
    readers: dict[str, Callable[[], tuple[list[dict[str, Any]], list[str]]]] = {
        "models": lambda: models(plugins),
        "suites": lambda: suites(plugins),
        "tasks": lambda: tasks(plugins, suite, data),
        "metrics": lambda: metrics(plugins),
        "dialects": lambda: dialects(plugins),
        "plugins": lambda: _plugins(plugins),
        "hooks": _hooks,
        "runs": lambda: runs(db),
        "cells": lambda: _cells(plugins, db, data),
        "trained": lambda: _trained(db),
    }
    rows, columns = readers[what]()
    if suite and what in ("cells", "trained"):
        from harness.suites import stored_name

        named = [stored_name(plugins, text) for text in split_list(suite)]
        rows = [r for r in rows if r["suite"] in named]
    elif suite and what != "tasks":
        raise UsageError(f"--suite goes with ls tasks, ls cells and ls trained; {what} are not of one suite")
    if pattern:
        known = [r["name"] for r in rows]
        rows = [r for r in rows if _matches(r, what, pattern)]
        if not rows:
            raise NothingMatched(f"none of the {len(known)} {what} matches {pattern!r}.{suggest(pattern, [str(k) for k in known])}")
    if as_json:
        print_json(rows)
    else:
        notes: list[str] = []
        if what == "tasks":
            columns, notes = _shared_reasons(rows, columns)
            notes = [*notes, "windows: of one series, at most; n_windows: of all series of the task"] if rows else notes
        if what == "trained" and rows:
            notes = ["all of one, and how to use it: harness show NAME; to train it again and compare: harness replay NAME"]
        all_with = f"all of it: harness ls {what} --json"
        print_table(rows, columns, drop=DROPPED.get(what, ()), all_with=all_with, notes=notes, whole=WHOLE.get(what, ()))
    if what == "models" and not rows:
        click.echo(f"no model is installed; the simplest ones: {INSTALL_SIMPLEST}", err=True)
    if what in ("models", "suites", "dialects") and plugins.failures:
        for failure in plugins.failures.values():
            click.echo(f"plugin '{failure.plugin}' could not be loaded: {failure.reason}. {failure.install}", err=True)


def _matches(row: dict[str, Any], what: str, pattern: str) -> bool:
    """Whether a row is asked for: a name by itself comes first, as the brackets of "ttm[context=512]" mean something else in a glob."""
    names = [str(row["name"])]
    if what in ("cells", "trained"):
        if names[0].startswith(pattern) or (what == "trained" and str(row["configuration"]).startswith(pattern)):
            return True
        names += [str(row["model"]), str(row["task"]), f"{row['suite']}:{row['task']}", str(row["status" if what == "cells" else "mode"])]
    return any(name == pattern or fnmatch.fnmatchcase(name, pattern) for name in names)


def _shared_reasons(rows: list[dict[str, Any]], columns: list[str]) -> tuple[list[str], list[str]]:
    """The columns and the notes of a table of tasks: what many that are not here have in common is said once, below."""
    absent: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        if row["reason"]:
            absent[row["suite"], row["reason"]].append(row)
    if not absent or len(absent) > MOST_REASONS or all(len(alike) < 2 for alike in absent.values()):
        return columns, []
    notes = []
    for (suite, reason), alike in absent.items():
        fetch = " and ".join(sorted({row["fetch"].rpartition(" ")[0] for row in alike if row["fetch"]}))
        one = len(alike) == 1
        which = f"{suite}:{alike[0]['name']} is" if one else f"{len(alike)} tasks of {suite} are"
        notes.append(f"{which} not available: {reason}" + (f"; fetch with: {fetch}" if fetch else ""))
    return [name for name in columns if name != "reason"], notes


Rows = tuple[list[dict[str, Any]], list[str]]


def models(plugins: Any) -> Rows:
    rows = []
    for name, entry in sorted(plugins.models.items()):
        info = asdict(entry.info)
        info["version"] = info["version"] or entry.version
        rows.append({**info, "name": name, "takes": takes(entry.factory), "plugin": entry.distribution})
    return rows, ["name", "summary", "model_type", "output", "modes", "parameters", "license", "plugin", "version"]


def takes(factory: Any) -> str:
    """The parameters of a model with their defaults, as `-m "name[parameter=value]"` and `-M name:parameter=value` set them."""
    import inspect

    try:
        found = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):  # a class of a compiled extension may not tell
        return ""
    return ", ".join(p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in found if p.kind is not p.VAR_KEYWORD)


def suites(plugins: Any) -> Rows:
    from harness.suites import remembered

    rows = [{**asdict(e.info), "name": n, "plugin": e.distribution} for n, e in sorted(plugins.suites.items())]
    rows += [{**asdict(e.info), "plugin": e.plugin} for e in remembered(plugins)]
    return rows, ["name", "summary", "version", "license", "plugin"]


def tasks(plugins: Any, suite: str, data: Path | None) -> Rows:
    from harness.errors import DataError, PluginError, Unavailable
    from harness.plan import open_suites
    from harness.selection import split_list

    names = split_list(suite) or sorted(plugins.suites)
    rows = []
    for name in names:
        try:
            (opened,) = open_suites(plugins, [name], data).values()
            listed = opened.tasks()
        except PluginError as error:
            if suite:
                raise
            click.echo(str(error), err=True)
            continue
        for task in listed:
            row: dict[str, Any] = {**task.row(), "available": True, "reason": "", "fetch": "", "windows": None, "n_windows": None}
            try:
                found = opened.open(task)
                row |= {"windows": found.windows, "n_windows": len(found)}
            except Unavailable as error:
                row |= {"available": False, "reason": error.reason, "fetch": error.fetch}
            except DataError as error:
                row |= {"available": False, "reason": str(error)}
            rows.append(row)
    return rows, ["suite", "name", "available", "domain", "freq", "horizon", "windows", "n_windows", "season_length", "variates", "reason"]


def metrics(plugins: Any) -> Rows:
    rows = []
    for name, entry in plugins.metrics.items():
        info = {k: getattr(entry.info, k) for k in ("summary", "formula", "direction", "unit", "range", "dialect", "source")}
        rows.append({"name": name, **info, "plugin": entry.distribution})
    return rows, ["name", "summary", "formula", "direction", "unit", "range", "dialect"]


def dialects(plugins: Any) -> Rows:
    rows = [
        {
            **asdict(e.info),
            "compared_by": e.info.leading,
            "about": {name: c._asdict() for name, c in e.info.about.items()},
            "plugin": e.distribution,
        }
        for e in plugins.dialects.values()
    ]
    return rows, ["name", "version", "metrics", "summary", "source", "plugin"]


def _plugins(plugins: Any) -> Rows:
    rows = []
    for name, module in sorted(plugins.pm.list_name_plugin()):
        if module is None:
            continue
        hooks = sorted(h.name for h in plugins.pm.get_hookcallers(module) or [])
        owner = plugins.origins.get(name, ("", ""))  # the defaults of the hooks come from nowhere else
        rows.append({"name": name, "state": "ok", "hooks": ", ".join(hooks), "distribution": owner[0], "version": owner[1], "reason": ""})
    for failure in plugins.failures.values():
        reason = f"{failure.reason}. {failure.install}"
        rows.append(
            {"name": failure.plugin, "state": "failed", "hooks": "", "distribution": failure.distribution, "version": "", "reason": reason}
        )
    return rows, ["name", "state", "distribution", "version", "hooks", "reason"]


def _hooks() -> Rows:
    import inspect

    from harness import hookspecs

    rows = []
    for name, function in vars(hookspecs).items():
        if hasattr(function, "harness_spec"):
            arguments = ", ".join(inspect.signature(function).parameters)
            rows.append({"name": name, "arguments": arguments, "summary": (function.__doc__ or "").strip()})
    return rows, ["name", "arguments", "summary"]


def _query(db: Path, sql: str) -> list[dict[str, Any]]:
    from harness.api import load as load_results

    rows: list[dict[str, Any]] = load_results(db).sql(sql).to_pylist()
    return rows


def runs(db: Path) -> Rows:
    rows = _query(
        db,
        "SELECT r.id AS name, r.status, r.started_at, r.finished_at, r.cells, count(c.cell_id) AS stored, r.host, r.command "
        "FROM main.runs r LEFT JOIN main.cells c ON c.run_id = r.id GROUP BY ALL ORDER BY r.started_at DESC",
    )
    for row in rows:
        row["status"] = state_of(row, db)
    return rows, ["name", "status", "started_at", "finished_at", "cells", "stored", "host"]


def state_of(run: dict[str, Any], db: Path) -> str:
    """A run's status; "killed" when its record says that it is running and its process, on this machine, is gone."""
    import platform

    from harness.api import load as load_results
    from harness.spool import is_running

    if run["status"] != "running" or run["host"] != platform.node():
        return str(run["status"])
    return "running" if is_running(load_results(db).store.spool, run.get("id") or run["name"]) else "killed"


def _cells(plugins: Any, db: Path, data: Path | None) -> Rows:
    from harness.api import load as load_results
    from harness.stale import stale_results

    stale = stale_results(plugins, load_results(db).store, data=data)
    rows = _query(
        db,
        "SELECT cell_id AS name, suite, task, model, mode, seed, scope, status, superseded_by, n_windows, predict_s, finished_at, reason "
        "FROM main.cells WHERE source = 'own' ORDER BY suite, model, task",
    )
    for row in rows:
        newer = row.pop("superseded_by")
        row["stale"] = f"superseded by {newer}" if newer else ", ".join(stale.get(row["name"], ()))
    return rows, ["name", "suite", "task", "model", "mode", "seed", "scope", "status", "stale", "n_windows", "predict_s", "reason"]


def _trained(db: Path) -> Rows:
    from harness.api import load as load_results
    from harness.mappings import mapping
    from harness.trained import usage

    rows, results = [], load_results(db)
    for row in results.trained().to_pylist():
        known = {name: mapping(row[name]) for name in ("params", "environment", "metrics")}
        use = usage(results.store, row)
        rows.append({"name": row.pop("id"), **row, **known, "fit_s": known["metrics"].get("fit_s"), "use": use})
    columns = ["name", "configuration", "model", "mode", "suite", "task", "seed", "budget", "parent", "created", "fit_s", "data", "path"]
    return rows, columns


@click.command()
@db_option
@click.option(
    "--sentinels", is_flag=True, help="Run forecasters whose scores are known beforehand, one of which looks for labels: half a minute."
)
def doctor(db: Path, sentinels: bool) -> None:
    """Check this installation: versions, plugins, data, database, and a calculation whose answer is known.

    Ends with 3 where plugins or sentinels are all that is wrong, with 1 where anything else is.
    """
    from harness.doctor import examine

    bad = set()
    for line in examine(db, sentinels):
        if line.state == "bad":
            bad.add(line.error)
        click.echo(f"{ {'ok': '✓', 'note': '·', 'bad': '✗'}[line.state] } {line.text}")
    if bad:
        raise (bad.pop() if len(bad) == 1 else HarnessError)("something is wrong; see the lines marked ✗")


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    \b
      harness completion bash >> ~/.bashrc
      harness completion zsh  >> ~/.zshrc
      harness completion fish > ~/.config/fish/completions/harness.fish
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise UsageError(f"no completion for {shell}")
    context = click.get_current_context().find_root()
    click.echo(found(context.command, {}, "harness", "_HARNESS_COMPLETE").source())
