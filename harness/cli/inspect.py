"""`harness ls`, `show`, `doctor` and `completion`: what is here, and whether it works."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from harness.cli.run import db_option
from harness.errors import HarnessError, NothingMatched, UsageError, suggest

__all__ = ["completion", "doctor", "ls", "show"]

KINDS = ("models", "suites", "tasks", "metrics", "dialects", "plugins", "hooks", "runs", "cells")


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
@click.argument("what", type=Kind())
@click.argument("pattern", required=False, default="")
@click.option("-s", "--suite", default="", metavar="LIST", help="Only tasks or cells of these suites.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=None,
    help="Folder of the suite's data, for tasks and cells; for cells else the one of each cell's run.",
)
@db_option
@click.option("--json", "as_json", is_flag=True, help="Print an array of objects, each with 'name'.")
def ls(what: str, pattern: str, suite: str, data: Path | None, db: Path, as_json: bool) -> None:
    """List models, suites, tasks, metrics, dialects, plugins, hooks, runs or cells; PATTERN is a glob on their names."""
    from harness.cli.output import print_json, print_table
    from harness.plugins import load
    from harness.selection import split_list

    plugins = load()
    readers: dict[str, Callable[[], tuple[list[dict[str, Any]], list[str]]]] = {
        "models": lambda: _models(plugins),
        "suites": lambda: _suites(plugins),
        "tasks": lambda: _tasks(plugins, suite, data),
        "metrics": lambda: _metrics(plugins),
        "dialects": lambda: _dialects(plugins),
        "plugins": lambda: _plugins(plugins),
        "hooks": _hooks,
        "runs": lambda: _runs(db),
        "cells": lambda: _cells(plugins, db, data),
    }
    rows, columns = readers[what]()
    if suite and what == "cells":
        rows = [r for r in rows if r["suite"] in split_list(suite)]
    elif suite and what != "tasks":
        raise UsageError(f"--suite goes with ls tasks and ls cells; {what} are not of one suite")
    if pattern:
        known = [r["name"] for r in rows]
        rows = [r for r in rows if fnmatch.fnmatchcase(str(r["name"]), pattern)]
        if not rows:
            raise NothingMatched(f"none of the {len(known)} {what} matches {pattern!r}.{suggest(pattern, [str(k) for k in known])}")
    if as_json:
        print_json(rows)
    else:
        print_table(rows, columns)
    if what == "models" and not rows:
        click.echo("no model is installed; the simplest ones: pip install harness-baselines", err=True)
    if what in ("models", "suites") and plugins.failures:
        for failure in plugins.failures.values():
            click.echo(f"plugin '{failure.plugin}' could not be loaded: {failure.reason}. {failure.install}", err=True)


Rows = tuple[list[dict[str, Any]], list[str]]


def _models(plugins: Any) -> Rows:
    rows = []
    for name, entry in sorted(plugins.models.items()):
        info = asdict(entry.info)
        info["version"] = info["version"] or entry.version
        rows.append({**info, "name": name, "plugin": entry.distribution})
    return rows, ["name", "summary", "model_type", "output", "modes", "parameters", "license", "plugin", "version"]


def _suites(plugins: Any) -> Rows:
    rows = [{**asdict(e.info), "name": n, "plugin": e.distribution} for n, e in sorted(plugins.suites.items())]
    return rows, ["name", "summary", "version", "license", "plugin"]


def _tasks(plugins: Any, suite: str, data: Path | None) -> Rows:
    from harness.errors import DataError, PluginError, Unavailable
    from harness.plan import open_suites
    from harness.selection import split_list

    names = split_list(suite) or sorted(plugins.suites)
    rows = []
    for name in names:
        try:
            opened = open_suites(plugins, [name], data)[name]
            tasks = opened.tasks()
        except PluginError as error:
            if suite:
                raise
            click.echo(str(error), err=True)
            continue
        for task in tasks:
            row: dict[str, Any] = {**asdict(task), "available": True, "reason": "", "fetch": "", "windows": None, "n_windows": None}
            try:
                found = opened.open(task)
                row |= {"windows": found.windows, "n_windows": len(found)}
            except Unavailable as error:
                row |= {"available": False, "reason": error.reason, "fetch": error.fetch}
            except DataError as error:
                row |= {"available": False, "reason": str(error)}
            rows.append(row)
    return rows, ["suite", "name", "available", "domain", "freq", "horizon", "windows", "n_windows", "season_length", "variates", "reason"]


def _metrics(plugins: Any) -> Rows:
    rows = []
    for name, entry in plugins.metrics.items():
        info = {k: getattr(entry.info, k) for k in ("summary", "formula", "direction", "unit", "range", "dialect", "source")}
        rows.append({"name": name, **info, "plugin": entry.distribution})
    return rows, ["name", "summary", "formula", "direction", "unit", "range", "dialect"]


def _dialects(plugins: Any) -> Rows:
    names = sorted({e.info.dialect for e in plugins.metrics.values()})
    rows = [{"name": n, "metrics": ", ".join(m for m, e in plugins.metrics.items() if e.info.dialect == n)} for n in names]
    return rows, ["name", "metrics"]


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


def _runs(db: Path) -> Rows:
    rows = _query(
        db,
        "SELECT r.id AS name, r.status, r.started_at, r.finished_at, r.cells, count(c.cell_id) AS stored, r.host, r.command "
        "FROM main.runs r LEFT JOIN main.cells c ON c.run_id = r.id GROUP BY ALL ORDER BY r.started_at DESC",
    )
    return rows, ["name", "status", "started_at", "finished_at", "cells", "stored", "host"]


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


@click.command()
@click.argument("name")
@db_option
@click.option("--json", "as_json", is_flag=True, help="Print an array of JSON objects.")
def show(name: str, db: Path, as_json: bool) -> None:
    """Show all that is known of a model, suite, task, metric, run or cell (by id or the beginning of one)."""
    from harness.cli.output import print_json
    from harness.plugins import load

    plugins = load()
    found = _registered(plugins, name)
    if db.exists():
        found += _stored(db, name)
    if not found:
        known = [*plugins.models, *plugins.suites, *plugins.metrics]
        raise NothingMatched(
            f"there is no model, suite, task, metric, run or cell '{name}'.{suggest(name, known)} To see what there is: harness ls KIND"
        )
    if as_json:
        print_json(found)
        return
    for thing in found:
        _print(thing)


def _registered(plugins: Any, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for kind, rows in (("model", _models(plugins)[0]), ("suite", _suites(plugins)[0]), ("metric", _metrics(plugins)[0])):
        found += [{"kind": kind, **r} for r in rows if r["name"] == name]
    if "/" in name:
        rows = _tasks(plugins, "", None)[0]
        found += [{**r, "kind": "task"} for r in rows if name in (r["name"], f"{r['suite']}:{r['name']}")]
    return found


def _stored(db: Path, name: str) -> list[dict[str, Any]]:
    from harness.api import load as load_results

    results = load_results(db)
    found = [{"kind": "run", **r} for r in results.sql("SELECT * FROM main.runs WHERE starts_with(id, ?) LIMIT 5", [name]).to_pylist()]
    task = name.partition(":")[2] or name
    sql = "SELECT * FROM main.cells WHERE source = 'own' AND (starts_with(cell_id, ?) OR task = ?) ORDER BY model LIMIT 50"
    for row in results.sql(sql, [name, task]).to_pylist():
        scores = results.sql("SELECT metric, value FROM main.scores WHERE result_id = ?", [row["result_id"]]).to_pylist()
        found.append({"kind": "cell", **row, "scores": {s["metric"]: s["value"] for s in scores}})
    return found


def _print(thing: dict[str, Any]) -> None:
    import json

    from harness.cli.output import printable

    click.echo(f"{thing['kind']} {thing.get('name') or thing.get('cell_id') or thing.get('id')}")
    for key, value in thing.items():
        if key in ("kind", "name") or value in (None, "", "{}", [], (), {}):
            continue
        if key == "log":
            click.echo("  log")
            for line in str(value).splitlines()[-40:]:
                click.echo(f"    {printable(line)}")
        elif isinstance(value, dict) or (isinstance(value, str) and value.startswith("{")):
            inner = value if isinstance(value, dict) else json.loads(value)
            click.echo(f"  {key}")
            for k, v in inner.items():
                click.echo(f"    {k:<32} {printable(v) if isinstance(v, float) else printable(v, 160)}")
        else:
            click.echo(f"  {key:<18} {printable(value)}")
    click.echo()


@click.command()
@db_option
def doctor(db: Path) -> None:
    """Check this installation: versions, plugins, data, database, and a calculation whose answer is known.

    Ends with 3 where plugins are all that is wrong, with 1 where anything else is.
    """
    from harness.doctor import examine

    bad = set()
    for line in examine(db):
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
