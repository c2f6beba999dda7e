"""`harness run` and `harness plan`."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import HarnessError, NothingMatched, UsageError, suggest

if TYPE_CHECKING:
    from harness.plan import Plan, RunSpec
    from harness.plugins import Plugins
    from harness.progress import Progress
    from harness.runner import Report
    from harness.store import Store
    from harness.workers import ChildWorker

__all__ = ["db_option", "plan", "run"]


def db_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--db`, the same for every command."""
    text = "Results database, made if it is not there."
    return click.option("--db", type=click.Path(path_type=Path), default=Path("harness.duckdb"), envvar="HARNESS_DB", help=text)(command)


def _configured(context: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
    """Take defaults from a YAML file: the options' long names, with - or _; flags and environment win."""
    if path is None:
        return None
    import yaml

    try:
        values = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageError(f"-C {path}: {error}") from None
    if not isinstance(values, dict):
        raise UsageError(f"-C {path}: got {type(values).__name__}; wanted option: value lines, as in 'models: naive,seasonal_naive'")
    options = [p for p in context.command.params if isinstance(p, click.Option) and p.name not in ("config", "help")]
    known = {spelling.lstrip("-").replace("-", "_"): p for p in options for spelling in (*p.opts, str(p.name)) if len(spelling) > 2}
    defaults: dict[str, Any] = {}
    for key, value in values.items():
        if (option := known.get(str(key).replace("-", "_"))) is None:
            raise UsageError(f"-C {path}: there is no option '{key}'.{suggest(str(key), known)}")
        if value is None:
            continue
        name = str(option.name)
        listed = [str(v) for v in value] if isinstance(value, list) else None
        if isinstance(value, dict):
            listed = [f"{k}={v}" for k, v in value.items()]
        if option.multiple:
            defaults[name] = listed if listed is not None else [str(value)]
        else:
            defaults[name] = value if isinstance(value, bool) else ",".join(listed) if listed is not None else str(value)
    context.default_map = {**(context.default_map or {}), **defaults}
    return path


OPTIONS: list[Callable[..., Any]] = [
    click.option(
        "-m", "--models", "--model", required=True, multiple=True, metavar="LIST", help="Models: naive,ttm[context=512],'auto_*'."
    ),
    click.option("-s", "--suite", "--suites", multiple=True, default=["quick"], metavar="LIST", help="Suites: gift-eval,quick."),
    click.option("-t", "--tasks", "--task", multiple=True, metavar="GLOBS", help="Only these tasks: 'm4_*,ett1/*/short'."),
    click.option("--exclude", multiple=True, metavar="GLOBS", help="Not these tasks."),
    click.option("--where", default="", metavar="SQL", help="Only tasks for which this holds: \"domain = 'Energy' and term = 'short'\"."),
    click.option(
        "--limit", "-L", default="", metavar="N|SHARE", help="Only a random N (or a share: 0.1) of each task's items; marked as partial."
    ),
    click.option("-M", "--model-args", multiple=True, metavar="[MODEL:]K=V", help="A parameter of one model, or of all."),
    click.option("--mode", "modes", multiple=True, default=["zero-shot"], metavar="LIST", help="zero-shot, few-shot:SHARE, finetune."),
    click.option("--budget", default="", help="What a fine-tuning may use, in the model's words: 500steps, 10m."),
    click.option("--seed", "seeds", multiple=True, default=["0"], metavar="LIST", help="Seeds: 0,1 or 0-4."),
    click.option(
        "-b", "--batch-size", default="auto", metavar="N|auto", help="Windows per call of the model; halved when memory runs out."
    ),
    click.option("-j", "--jobs", type=click.IntRange(1, 1024), default=1, help="Workers at a time."),
    click.option("--threads", type=click.IntRange(1, 4096), default=None, help="Threads of each worker.  [default: cores / jobs]"),
    click.option("--device", default="cpu", help="Device for models that have a choice; passed as the parameter 'device'."),
    click.option("--isolation", type=click.Choice(["process", "inprocess"]), default="process", help="Where models run."),
    click.option("--timeout", default="", metavar="TIME", help="Longest time for one cell: 90, 30m, 2h.  [default: none]"),
    click.option("--save-forecasts", is_flag=True, help="Keep the forecasts too, as Parquet beside the database."),
    click.option(
        "--rerun",
        type=click.Choice(["failed", "stale", "all"]),
        default=None,
        help="Do again what failed, or everything. Results whose model, data or protocol changed (stale) are always made anew.",
    ),
    click.option(
        "--data", type=click.Path(path_type=Path), default=None, help="Folder of the suite's data; gift-eval also reads GIFT_EVAL."
    ),
    db_option,
    click.option("--progress", default="auto", metavar="KIND", help="auto, rich, plain or none; on stderr."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables."),
    click.option(
        "-C",
        "--config",
        type=click.Path(path_type=Path),
        is_eager=True,
        callback=_configured,
        expose_value=False,
        help="YAML file with these options by their long names; flags win.",
    ),
]


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add all options of a run."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.command()
@options
@click.option("--dry-run", is_flag=True, help="Show what would run, and stop.")
def run(dry_run: bool, **arguments: Any) -> int:
    """Run models on suites; the same command again does only what is missing.

    \b
      harness run -m naive,seasonal_naive                       the embedded suite 'quick'
      harness run -m seasonal_naive -s gift-eval --data DIR     GIFT-Eval, from its official layout
      harness run -m auto_ets -t 'us_births/*' -j 2 --timeout 10m
    """
    return _run(dry_run, **arguments)


@click.command()
@options
def plan(**arguments: Any) -> int:
    """Show what `harness run` with the same options would do."""
    return _run(True, **arguments)


def _run(dry_run: bool, db: Path, progress: str, as_json: bool, **arguments: Any) -> int:
    from harness.plan import make_plan
    from harness.plugins import load
    from harness.progress import make_progress
    from harness.runner import started_early
    from harness.spec import make_spec

    plugins = load()
    _say_broken(plugins)
    spec = make_spec(**arguments)
    shown = make_progress("none" if dry_run else progress)
    store = plugins.store(db)
    if dry_run:
        if db.exists():
            store.check()
            store.ingest()
        return _show_plan(make_plan(plugins, spec, store if db.exists() else None), as_json)
    with started_early(spec) as early:
        return _run_plan(plugins, spec, store, shown, early, as_json)


def _say_broken(plugins: Plugins) -> None:
    """A wrapper that is not there changes no forecast, and nobody would see that it did not."""
    for failure in plugins.failures.values():
        if failure.whole:
            print(f"warning: {str(failure).replace('could not be loaded:', 'could not be loaded and takes no part:', 1)}", file=sys.stderr)


def _run_plan(plugins: Plugins, spec: RunSpec, store: Store, shown: Progress, early: list[ChildWorker], as_json: bool) -> int:
    from harness.plan import make_plan
    from harness.runner import execute

    store.check()
    store.ingest()
    made = make_plan(plugins, spec, store)
    if not as_json:
        print(_headline(made), file=sys.stderr)
    if not made.cells:
        _say_unavailable(made)
        raise NothingMatched(f"none of the {len(made.unavailable)} tasks has its data here: nothing was run")
    report = execute(plugins, spec, made, store, shown, sys.argv, early)
    if as_json:
        _json(report)
    else:
        _summary(report)
        _table(click.get_current_context(), store.path, spec, report)
    if report.run.status == "interrupted":
        done = len(report.outcomes)
        print(f"interrupted: {done} of {len(made.cells)} cells are kept; the same command does the rest", file=sys.stderr)
    return report.exit_code


def _headline(made: Plan) -> str:
    tasks = len({(c.task.suite, c.task.name) for c in made.cells})
    models = len({c.model for c in made.cells})
    cached = sum(o.cached for o in made.done.values())
    failed = sum(o.cached and o.status == "failed" for o in made.done.values())
    parts = [f"{tasks} tasks × {models} models = {len(made.cells)} cells", f"to run {len(made.todo)}"]
    if cached:
        parts.append(f"reused {cached}" + (f" ({failed} of them failed: --rerun failed does them again)" if failed else ""))
    if made.stale:
        parts.append(f"stale {len(made.stale)} (model, data or protocol changed)")
    if made.unavailable:
        parts.append(f"unavailable {len(made.unavailable)} tasks")
    return " · ".join(parts)


def _say_unavailable(made: Plan) -> None:
    """One line for each reason, few of them: a user with a part of the data knows that the rest is not there."""
    reasons: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for (suite, task), error in made.unavailable.items():
        reasons[error.reason].append((f"{suite}:{task}", error.fetch))
    shown = list(reasons.items())[:3]
    for reason, tasks in shown:
        others = f" and {len(tasks) - 1} more" if len(tasks) > 1 else ""
        # For several datasets, the command without their names.
        fetches = {fetch for _, fetch in tasks if fetch}
        fetch = fetches.pop() if len(fetches) == 1 else " and ".join(sorted({f.rpartition(" ")[0] for f in fetches}))
        print(f"unavailable: {tasks[0][0]}{others}: {reason}" + (f"; fetch with: {fetch}" if fetch else ""), file=sys.stderr)
    rest = len(made.unavailable) - sum(len(tasks) for _, tasks in shown)
    if rest:
        print(f"unavailable: {rest} more tasks, whose data is not here either; all of them: harness ls tasks", file=sys.stderr)


def _show_plan(made: Plan, as_json: bool) -> int:
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
                "reason": done.reason if done else "",
                "id": cell.id,
            }
        )
    if as_json:
        missing = [{"name": f"{s}:{t}", "reason": e.reason, "fetch": e.fetch} for (s, t), e in made.unavailable.items()]
        print_json({"cells": rows, "unavailable": missing})
        return 0
    print(_headline(made))
    if rows:
        print_table(rows, ["name", "model", "mode", "seed", "windows", "state", "reason"])
    _say_unavailable(made)
    return 0


def _json(report: Report) -> None:
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
    missing = [{"name": f"{s}:{t}", "reason": e.reason, "fetch": e.fetch} for (s, t), e in report.plan.unavailable.items()]
    run = report.run
    print_json(
        {"run": run.id, "status": run.status, "counts": report.counts, "problem": report.problem, "cells": cells, "unavailable": missing}
    )


def _summary(report: Report) -> None:
    from harness.cli.output import printable

    _say_unavailable(report.plan)
    bad = [(c, o) for c in report.plan.cells if (o := report.outcomes.get(c.id)) and o.status != "ok"]
    grouped: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for cell, outcome in bad:
        grouped[outcome.status, cell.model, outcome.reason].append(cell.task.name)
    for (status, model, reason), names in grouped.items():
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        print(f"{status}: {model} on {names[0]}{more}: {printable(reason, 1000)}", file=sys.stderr)
    if any(o.status == "failed" for _, o in bad):
        print("the log of a failed cell: harness show CELL-OR-TASK; to try again: the same command with --rerun failed", file=sys.stderr)
    print(report.said(), file=sys.stderr)
    if report.problem:
        print(f"harness: {report.problem}", file=sys.stderr)


def _table(context: click.Context, db: Path, spec: RunSpec, report: Report) -> None:
    """The leaderboard of this run's models, by whichever plugin brings that command."""
    group = context.find_root().command
    leaderboard = group.get_command(context, "leaderboard") if isinstance(group, click.Group) else None
    if leaderboard is None or not report.outcomes:
        return
    models = sorted({c.model for c in report.plan.cells})
    for suite in spec.suites:
        try:
            context.invoke(leaderboard, suite=suite, models=models, limit=spec.limit, db=db)
        except HarnessError as error:
            print(f"no table: {error}", file=sys.stderr)
        except BrokenPipeError:
            raise  # nobody reads any more
        except (Exception, SystemExit) as error:  # a stranger's command may take other options, or be broken: the run is stored
            said = f"{type(error).__name__}: {error}".rstrip(": ")
            print(f"no table: 'leaderboard' is the command of a plugin, which raised {said}; the results are in {db}", file=sys.stderr)
            print("to see them: harness ls cells; whose command it is: harness ls plugins", file=sys.stderr)
