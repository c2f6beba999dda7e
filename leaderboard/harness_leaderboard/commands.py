"""The command `harness leaderboard`. Only click is imported here; the rest inside the command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

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
@click.option("-m", "--models", "--model", multiple=True, metavar="LIST", help="Show only these: 'ttm*,naive'. Ranks stay as they are.")
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
    results = _narrowed(results, where, common)
    title = f"{suite}: {len(results.entries)} models, {len(results.tasks)} tasks"
    groups: list[str] = []
    if by:
        groups, rows = aggregate.group_means(results, by)
        title += f", nMASE by {by}"
    else:
        rows = aggregate.board_rows(results)
        if not aggregate.complete(results).any():
            results.notes.append("No model has all tasks: ranks are among all models, each over its own tasks.")
    rows = _chosen(rows, models)
    if form == "table" and output is None:
        render.print_rich(title, rows, groups, results.notes)
        return
    if form == "csv":
        text = render.to_csv(rows, groups)
    elif form == "json":
        text = render.to_json(rows)
    else:
        text = render.to_markdown(title, rows, groups, results.notes)
    _deliver(text, output)
    if form in ("csv", "json"):
        for note in render.footnotes(rows, results.notes):
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


def _chosen(rows: list[dict[str, Any]], models: tuple[str, ...]) -> list[dict[str, Any]]:
    import fnmatch

    from harness.errors import NothingMatched, suggest
    from harness.selection import split_list

    patterns = split_list(models)
    if not patterns:
        return rows
    kept = [r for r in rows if any(r["model"] == p or fnmatch.fnmatchcase(r["model"], p) for p in patterns)]
    if not kept:
        names = [r["model"] for r in rows]
        raise NothingMatched(f"no model matches {', '.join(patterns)!r}.{suggest(patterns[0], names)} To see all: harness leaderboard")
    return kept


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
