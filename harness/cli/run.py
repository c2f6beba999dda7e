"""`harness run` and `harness plan`."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from harness.cli.complete import comma_list, progress_kinds
from harness.cli.summary import as_they_are, headline, nothing, print_report, say_broken, say_unavailable, show_plan, summary, unread
from harness.errors import HarnessError, NothingMatched, UsageError, suggest

if TYPE_CHECKING:
    from harness.plan import RunSpec
    from harness.plugins import Plugins
    from harness.progress import Progress
    from harness.runner import Report
    from harness.store import Store
    from harness.workers import ChildWorker

__all__ = ["db_option", "plan", "run"]


def db_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--db`, the same for every command."""
    text = "Results database, made if it is not there."
    kind = click.Path(path_type=Path)
    return click.option("--db", type=kind, default=Path("harness.duckdb"), envvar="HARNESS_DB", callback=_named, help=text)(command)


def _named(_: click.Context, __: click.Parameter, path: Path) -> Path:
    if not path.name:
        raise UsageError(f"got --db {str(path)!r}; wanted the name of a file, as in --db results.duckdb")
    return path


def _configured(context: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
    """Take defaults from a YAML file: the options' long names, with - or _; flags and environment win."""
    if path is None:
        return None
    import yaml

    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        why = "there is no such file" if isinstance(error, FileNotFoundError) else f"it cannot be read: {error.strerror}"
        raise UsageError(f"-C {path}: {why}; wanted a YAML file with option: value lines, as in 'models: naive,seasonal_naive'") from None
    except RecursionError:
        raise UsageError(f"-C {path}: it nests too deep; wanted option: value lines, as in 'models: naive,seasonal_naive'") from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
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
        "-m",
        "--models",
        "--model",
        required=True,
        multiple=True,
        metavar="LIST",
        shell_complete=comma_list("models"),
        help="Models: naive,ttm[context=512],'auto_*'.",
    ),
    click.option(
        "-s",
        "--suite",
        "--suites",
        multiple=True,
        default=["quick"],
        metavar="LIST",
        shell_complete=comma_list("suites"),
        help="Suites: gift-eval,quick.",
    ),
    click.option(
        "-t",
        "--tasks",
        "--task",
        multiple=True,
        metavar="GLOBS",
        shell_complete=comma_list("tasks"),
        help="Only these tasks: 'm4_*,ett1/*/short'.",
    ),
    click.option("--exclude", multiple=True, metavar="GLOBS", shell_complete=comma_list("tasks"), help="Not these tasks."),
    click.option("--where", default="", metavar="SQL", help="Only tasks for which this holds: \"domain = 'Energy' and term = 'short'\"."),
    click.option(
        "--limit", "-L", default="", metavar="N|SHARE", help="Only a random N (or a share: 0.1) of each task's items; marked as partial."
    ),
    click.option(
        "-M", "--model-args", multiple=True, metavar="[MODEL:]K=V", help="A parameter of one model, or of all; K={A,B} runs each value."
    ),
    click.option(
        "--mode", "modes", multiple=True, default=["zero-shot"], metavar="LIST", help="zero-shot, few-shot:SHARE, finetune, full, ttt."
    ),
    click.option("--budget", default="", help="What a fine-tuning may use, in the model's words: 500steps, 10m."),
    click.option("--seed", "seeds", multiple=True, default=["0"], metavar="LIST", help="Seeds: 0,1 or 0-4."),
    click.option(
        "-b", "--batch-size", default="auto", metavar="N|auto", help="Windows per call of the model; halved when memory runs out."
    ),
    click.option("-j", "--jobs", type=click.IntRange(1, 1024), default=1, help="Workers at a time."),
    click.option("--threads", type=click.IntRange(1, 4096), default=None, help="Threads of each worker.  [default: cores / jobs]"),
    click.option("--device", default="cpu", help="Device for models that have a choice; passed as the parameter 'device'."),
    click.option(
        "--isolation",
        type=click.Choice(["auto", "process", "env", "inprocess"]),
        default="auto",
        help="Where models run: in processes of this environment, in environments of their plugins' own (harness env build), or in this "
        "process. auto: in this environment, but for plugins that cannot be used here and have one of their own.",
    ),
    click.option("--timeout", default="", metavar="TIME", help="Longest time for one cell: 90, 30m, 2h.  [default: none]"),
    click.option("--save-forecasts", is_flag=True, help="Keep the forecasts too, as Parquet beside the database."),
    click.option(
        "--save-models",
        is_flag=True,
        envvar="HARNESS_SAVE_MODELS",
        help="Keep what is learnt (modes finetune, few-shot, full), in folders beside the database: harness ls trained.",
    ),
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
    click.option("--progress", default="auto", metavar="KIND", shell_complete=progress_kinds, help="auto, rich, plain or none; on stderr."),
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
    say_broken(plugins)
    spec = make_spec(**arguments)
    shown = make_progress("none" if dry_run else progress)
    store = plugins.store(db)
    if dry_run:
        from harness.stale import why

        if db.exists():
            store.check()
            store.ingest()
        made = make_plan(plugins, spec, store if db.exists() else None)
        changed = why(made.plugins, store, made.stale, spec.data) if made.stale else {}
        return show_plan(made, as_json, spec.data, changed)
    with started_early(spec) as early:
        return _run_plan(plugins, spec, store, shown, early, as_json)


def _run_plan(plugins: Plugins, spec: RunSpec, store: Store, shown: Progress, early: list[ChildWorker], as_json: bool) -> int:
    from harness.plan import make_plan
    from harness.runner import execute
    from harness.selection import split_list
    from harness.suites import rebind

    store.check()
    store.ingest()
    for text in split_list(spec.suites):
        if said := rebind(plugins, text):
            print(said, file=sys.stderr)
    made = make_plan(plugins, spec, store)
    if not made.cells:
        say_unavailable(made, spec.data)
        raise NothingMatched(nothing(made))
    if not as_json:
        for line in (headline(made), *as_they_are(made), *unread(made)):
            print(line, file=sys.stderr)
    report = execute(made.plugins, spec, made, store, shown, sys.argv, early)
    if as_json:
        print_report(report, spec.data)
    else:
        summary(report, spec.data, shown)
        _table(click.get_current_context(), store, spec, report)
    if report.run.status == "interrupted":
        done = len(report.outcomes)
        print(f"interrupted: {done} of {len(made.cells)} cells are kept; the same command does the rest", file=sys.stderr)
    if report.abandoned:
        _leave(report.exit_code)
    return report.exit_code


def _leave(code: int) -> NoReturn:
    """End this process at once: Python's own end would wait for, or take the ground from under, a model that still computes in it."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _table(context: click.Context, store: Store, spec: RunSpec, report: Report) -> None:
    """The leaderboard of this run's models on its tasks, by whichever plugin brings that command."""
    group = context.find_root().command
    leaderboard = group.get_command(context, "leaderboard") if isinstance(group, click.Group) else None
    if leaderboard is None or not report.outcomes:
        return
    models = sorted({c.model for c in report.plan.cells})
    takes = {parameter.name for parameter in leaderboard.params}
    for suite in dict.fromkeys(c.task.suite for c in report.plan.cells):
        try:
            only = {"where": where} if "where" in takes and (where := _these_tasks(store, suite, report)) else {}
            context.invoke(leaderboard, suite=suite, models=models, limit=spec.limit, db=store.path, **only)
        except HarnessError as error:
            print(f"no table: {error}", file=sys.stderr)
        except BrokenPipeError:
            raise  # nobody reads any more
        except (Exception, SystemExit) as error:  # a stranger's command may take other options, or be broken: the run is stored
            said = f"{type(error).__name__}: {error}".rstrip(": ")
            print(
                f"no table: 'leaderboard' is the command of a plugin, which raised {said}; the results are in {store.path}", file=sys.stderr
            )
            print("to see them: harness ls cells; whose command it is: harness ls plugins", file=sys.stderr)


def _these_tasks(store: Store, suite: str, report: Report) -> str:
    """SQL that holds for the tasks of this run; "" where the database has no others of the suite, as of other data."""
    tasks = dict.fromkeys(c.task.name for c in report.plan.cells if c.task.suite == suite)
    every = store.query("SELECT DISTINCT task FROM main.cells WHERE suite = $1 AND source = 'own'", [suite])["task"].to_pylist()
    if set(every) <= set(tasks):
        return ""
    return "name IN ({})".format(", ".join("'" + name.replace("'", "''") + "'" for name in tasks))
