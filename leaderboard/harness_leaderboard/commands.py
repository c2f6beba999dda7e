"""The command `harness leaderboard`. Only click is imported here; the rest inside the command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.run import db_option
from harness_leaderboard.gate import fail_if_option
from harness_leaderboard.options import GROUPS, view_options

if TYPE_CHECKING:
    from harness.plugins import Plugins
    from harness_leaderboard.view import View

FORMS = {".html": "html", ".csv": "csv", ".md": "md", ".json": "json"}
"""Forms of files by their suffix."""

__all__ = ["leaderboard"]


@click.command()
@view_options
@click.option("--by", type=click.Choice(GROUPS), help="nMASE for each group of tasks.")
@click.option(
    "--format", "form", type=click.Choice(["table", "md", "csv", "json", "html"]), help="Form.  [default: by the suffix of -o, else table]"
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help=f"File to write: {', '.join(FORMS)}.")
@fail_if_option
@db_option
def leaderboard(
    form: str | None,
    output: Path | None,
    by: str | None,
    fail_if: tuple[Any, ...],
    db: Path,
    **chosen: Any,
) -> int:
    """Compare models on a suite: own results beside imported ones.

    nMASE and nCRPS are geometric means of the scores relative to the suite's baseline, with intervals over dataset families; ranks are
    means over tasks. As a page (-o leaderboard.html) with slices, tests, plots and receipts, in one file.
    """
    from harness.errors import UsageError
    from harness.plugins import load
    from harness_leaderboard.board import board_rows
    from harness_leaderboard.view import open_view

    form = _form(form, output)
    if form == "html" and by:
        raise UsageError(f"got --by {by} for a page, where groups are chosen in the page itself; leave --by out, or use --format csv or md")
    plugins = load()
    store = plugins.store(db)
    view = open_view(plugins, store, **chosen, gate=bool(fail_if), db=db if form == "table" else None)
    rows = board_rows(view.results, view.shown) if fail_if or not (by or form == "html") else []
    if form == "html":
        from harness_leaderboard.page.build import build_page

        _deliver(build_page(plugins, store, view), output)
    else:
        _print(plugins, view, rows, form, by, output)
    return _gate(view, rows, fail_if)


def _print(plugins: Plugins, view: View, rows: list[dict[str, Any]], form: str, by: str | None, output: Path | None) -> None:
    """The leaderboard as a table, Markdown, CSV or JSON; what must be said beside machine-readable ones goes to stderr."""
    import shlex
    from dataclasses import replace

    from harness_leaderboard import aggregate, render
    from harness_leaderboard.board import group_means
    from harness_leaderboard.verdicts import verdict_lines, verdicts
    from harness_leaderboard.words import relative

    results = view.results
    told, broken = verdicts(plugins, results)
    results.notes += broken
    groups: list[str] = []
    if by:
        groups, every = group_means(results, by)
        rows = [row for row in every if (row["model"], row["source"]) in view.shown]
    if form in ("table", "md"):
        skipped = _skipped(view)
        rows = [row for row in rows if (row["model"], row["source"]) not in skipped]
        results.notes += _about_skipped(view, skipped)
        view = replace(view, hidden=frozenset(skipped))
    title = view.title + (f", {relative(results.labels[0])} by {by}" if by else "")
    partial = f"To compare on the tasks that all own models have: harness leaderboard -s {shlex.quote(view.suite)} --common"
    if not by:
        ranks = "Ranks and win rates in brackets are over those too, against the models that have all."
        if not aggregate.complete(results).any():
            ranks = "No model has all: ranks and win rates are among all models, each over its own tasks."
        partial = f"{ranks} {partial}"
    table = render.Table(title, rows, groups, results.notes, partial, verdict_lines(told), aggregate.alike(results))
    if form == "table" and output is None:
        render.print_rich(table)
        return
    if form == "csv":
        text = render.to_csv(rows, groups)
    elif form == "json":
        text = render.to_json(rows)
    else:
        text = render.to_markdown(table)
    _deliver(text, output)
    if form in ("csv", "json"):
        notes = [*render.machine_note(rows), *render.footnotes(table)]
        for note in [*([title] if view.restricted else []), *notes, *(f"Verdict: {finding}" for finding in told)]:
            click.echo(note, err=True)


def _skipped(view: View) -> dict[tuple[str, str], int]:
    """{(label, source): number} of the models that were skipped wherever they were tried: they have nothing to show."""
    import numpy as np

    status = view.results.status
    every = (status == "skipped").any(axis=1) & ~np.isin(status, ("ok", "failed")).any(axis=1)
    return {(entry.label, entry.source): m for m, entry in enumerate(view.results.entries) if every[m]}


def _about_skipped(view: View, skipped: Mapping[tuple[str, str], int]) -> list[str]:
    """A line on those of these models that would be shown, and why they were skipped; none where there are none."""
    from harness_leaderboard.render import LONGEST_NAME, NAMED

    said = []
    for name, source in sorted(skipped.keys() & view.shown):
        why = _why(view, skipped[name, source])
        said.append(name[:LONGEST_NAME] + (f" ({why})" if why else ""))
    if len(said) > NAMED:
        said[NAMED:] = [f"{len(said) - NAMED} more"]
    return [f"Left out, as skipped in every task: {'; '.join(said)}. More: harness ls cells skipped"] if said else []


def _why(view: View, model: int) -> str:
    """What the reasons for which a model was skipped have in common, in whole sentences; the first one, where that is nothing."""
    from harness.cli.output import printable

    reasons = [cell.reason for (m, _), cells in view.results.cells.items() if m == model for cell in cells if cell.reason]
    if not reasons:
        return ""
    common = reasons[0]
    while not all(reason.startswith(common) for reason in reasons):
        common = common.rpartition(". ")[0]
    return printable(common or reasons[0], 300)


def _gate(view: View, rows: list[dict[str, Any]], conditions: tuple[Any, ...]) -> int:
    """Hold the own models shown (where there are none: all shown) against `--fail-if`; the baseline only where it stands alone."""
    if not conditions:
        return 0
    from harness_leaderboard.gate import breaches, say

    own = [row for row in rows if row["source"] == "own"] or rows
    return say(breaches(conditions, [row for row in own if row["model"] != view.results.baseline] or own))


def _form(form: str | None, output: Path | None) -> str:
    from harness.errors import UsageError

    if output is None:
        return form or "table"
    if form is None and output.suffix.lower() not in FORMS:
        *suffixes, last = FORMS
        raise UsageError(f"got -o {output}; wanted a name in {', '.join(suffixes)} or {last}, or --format with it")
    return form or FORMS[output.suffix.lower()]


def _deliver(text: str, output: Path | None) -> None:
    from harness.files import write_whole

    if output is None:
        click.echo(text, nl=False)
        return
    write_whole(output, text)
    click.echo(f"wrote {output}", err=True)
