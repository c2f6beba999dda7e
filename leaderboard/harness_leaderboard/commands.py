"""The command `harness leaderboard`. Only click is imported here; the rest inside the command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.run import db_option

if TYPE_CHECKING:
    from harness_leaderboard.aggregate import Results

GROUPS = ("domain", "freq", "term", "horizon", "variates", "dataset")
FORMS = {".csv": "csv", ".md": "md", ".json": "json", ".txt": "table"}

__all__ = ["leaderboard"]


@click.command()
@click.option(
    "-s", "--suite", default="", show_default=False, help="Suite to show.  [default: the only one with own results, else gift-eval]"
)
@click.option("-m", "--models", "--model", multiple=True, metavar="LIST", help="Show only these: 'ttm*,naive'. Ranks are among all.")
@click.option("--by", type=click.Choice(GROUPS), help="nMASE for each group of tasks.")
@click.option("--common", is_flag=True, help="Only the tasks that all own models have.")
@click.option("--where", default="", metavar="SQL", help="Only tasks for which this holds: \"domain = 'Energy' and term = 'short'\".")
@click.option("--limit", default="", metavar="N|SHARE", help="Show the results of runs with this --limit.")
@click.option(
    "--format", "form", type=click.Choice(["table", "md", "csv", "json"]), help="Form.  [default: by the suffix of -o, else table]"
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=None,
    show_default=False,
    help="Data folder to tell stale results by.  [default: for each result the one of its run]",
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write: .csv, .md, .json.")
@db_option
def leaderboard(
    suite: str,
    models: tuple[str, ...],
    by: str | None,
    common: bool,
    where: str,
    limit: str,
    form: str | None,
    output: Path | None,
    data: Path | None,
    db: Path,
) -> None:
    """Compare models on a suite: own results beside imported ones.

    nMASE and nCRPS are geometric means of the scores relative to the suite's baseline; ranks are means over tasks.
    """
    from harness.plugins import load
    from harness.stale import stale_results
    from harness_leaderboard import aggregate, collect, render

    form = _form(form, output)
    plugins = load()
    store = plugins.store(db)
    suite = suite or collect.default_suite(store)
    results = collect.collect(store, suite, limit=limit, stale=stale_results(plugins, store, suite, data))
    suite_size = len(results.tasks)
    results = _narrowed(results, where, common)
    chosen = _chosen(results, models)
    results, restricted = _restricted(results, chosen) if models else (results, False)
    of = f" of {suite_size}" if len(results.tasks) < suite_size else ""
    shown = f"{len(chosen)} of {len(results.entries)}" if len(chosen) < len(results.entries) else str(len(chosen))
    title = f"{suite}: {shown} models, {len(results.tasks)}{of} tasks"
    if restricted:
        title += " (those that the models shown have)"
    groups: list[str] = []
    if by:
        groups, rows = aggregate.group_means(results, by)
        title += f", nMASE by {by}"
    else:
        rows = aggregate.board_rows(results)
    rows = [row for row in rows if (row["model"], row["source"]) in chosen]
    results.notes += collect.baseline_notes(results, suite, _limit(results))
    partial = f"To compare on the tasks that all own models have: harness leaderboard -s {suite} --common"
    if not by and not aggregate.complete(results).any():
        partial = f"No model has all: ranks are among all models, each over its own tasks. {partial}"
    if form == "table" and output is None:
        render.print_rich(title, rows, groups, results.notes, partial)
        return
    if form == "csv":
        text = render.to_csv(rows, groups)
    elif form == "json":
        text = render.to_json(rows)
    else:
        text = render.to_markdown(title, rows, groups, results.notes, partial)
    _deliver(text, output)
    if form in ("csv", "json"):
        for note in ([title] if restricted else []) + render.footnotes(rows, results.notes, partial):
            click.echo(note, err=True)


def _form(form: str | None, output: Path | None) -> str:
    from harness.errors import UsageError

    if output is None:
        return form or "table"
    suffix = output.suffix.lower()
    if suffix in (".html", ".htm") and form is None:
        raise UsageError(f"got -o {output}: the leaderboard as a page is not there yet; wanted a name in .csv, .md or .json")
    if form is None and suffix not in FORMS:
        raise UsageError(f"got -o {output}; wanted a name in .csv, .md or .json, or --format csv, md or json with it")
    return form or FORMS[suffix]


def _narrowed(results: Results, where: str, common: bool) -> Results:
    """Keep the tasks of `--where` and `--common`."""
    import numpy as np

    from harness.errors import NothingMatched
    from harness.selection import select_tasks
    from harness.types import Task
    from harness_leaderboard.aggregate import common_tasks

    if where:
        known = set(Task.__dataclass_fields__)
        tasks = [Task(**{k: v for k, v in {"suite": "", **task}.items() if k in known}) for task in results.tasks]
        kept = {task.name for task in select_tasks(tasks, where=where)}
        results = results.only(np.array([task["name"] in kept for task in results.tasks]))
    if common:
        keep = common_tasks(results)
        if not keep.any():
            raise NothingMatched("there is no task that all own models have; leave --common out, or run what is missing")
        results = results.only(keep)
    return results


def _chosen(results: Results, models: tuple[str, ...]) -> set[tuple[str, str]]:
    """(label, source) of the models to show: a pattern is matched with a model's name, and with its name and mode as the table shows it."""
    import fnmatch

    from harness.errors import NothingMatched, suggest
    from harness.selection import split_list

    patterns = split_list(models)
    if not patterns:
        return {(entry.label, entry.source) for entry in results.entries}
    names = sorted({name for entry in results.entries for name in (entry.model, entry.label)})
    found = {p: {name for name in names if name == p or fnmatch.fnmatchcase(name, p)} for p in patterns}
    if not any(found.values()):
        raise NothingMatched(f"no model matches {', '.join(patterns)!r}.{suggest(patterns[0], names)} To see all: harness leaderboard")
    results.notes += [f"No model matches {p!r}.{suggest(p, names)}" for p in patterns if not found[p]]
    wanted = set().union(*found.values())
    return {(entry.label, entry.source) for entry in results.entries if wanted & {entry.model, entry.label}}


def _restricted(results: Results, chosen: set[tuple[str, str]]) -> tuple[Results, bool]:
    """Where none of the chosen own models (where there are none: of the chosen) has all tasks, only the tasks that one of them has."""
    import numpy as np

    from harness_leaderboard.aggregate import complete

    shown = np.array([(entry.label, entry.source) in chosen for entry in results.entries])
    own = shown & np.array([entry.source == "own" for entry in results.entries])
    counted = own if own.any() else shown
    had = (results.status[counted] != "").any(axis=0)
    if complete(results)[counted].any() or had.all() or not had.any():
        return results, False
    return results.only(had), True


def _limit(results: Results) -> str:
    """What `--limit` the results were made with, "" = none."""
    import re

    part = re.match(r"limit=([^,]+)", results.entries[0].scope)
    return part[1] if part else ""


def _deliver(text: str, output: Path | None) -> None:
    from harness.errors import StoreError

    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise StoreError(f"could not write {output}: {error.strerror}; choose another file with -o") from error
    click.echo(f"wrote {output}", err=True)
