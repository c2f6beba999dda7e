"""The command `harness score`. Only click is imported here; the rest inside the command. Nothing is written into the results database."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.complete import comma_list
from harness.cli.run import db_option

if TYPE_CHECKING:
    from harness.plugins import Plugins
    from harness_results.score_report import Report

__all__ = ["score"]


@click.command()
@click.option(
    "--dialect",
    "--dialects",
    "dialects",
    multiple=True,
    metavar="LIST",
    shell_complete=comma_list("dialects"),
    help="Dialects: fev,monash. All of them: --list.",
)
@click.option("--list", "listing", is_flag=True, help="Print the dialects, as `harness ls dialects` does, and stop.")
@click.option(
    "-m", "--models", "--model", multiple=True, metavar="LIST", help="Only these models, and the baseline to compare with: 'ttm*'."
)
@click.option("-s", "--suite", "--suites", multiple=True, metavar="LIST", shell_complete=comma_list("suites"), help="Only these suites.")
@click.option(
    "-t", "--tasks", "--task", multiple=True, metavar="GLOBS", shell_complete=comma_list("tasks"), help="Only these tasks: 'm4_*'."
)
@click.option(
    "--baseline", default="", show_default=False, metavar="MODEL", help="What aggregates are relative to.  [default: the suite's]"
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    default=None,
    show_default=False,
    help="Folder of the suite's data.  [default: for each result the one of its run]",
)
@click.option("--json", "form", flag_value="json", help="One JSON document; undefined numbers are null.")
@click.option("--csv", "form", flag_value="csv", help="Scores as comma-separated values, a line for each metric.")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write: .json or .csv.")
@db_option
def score(
    dialects: tuple[str, ...],
    listing: bool,
    models: tuple[str, ...],
    suite: tuple[str, ...],
    tasks: tuple[str, ...],
    baseline: str,
    data: Path | None,
    form: str | None,
    output: Path | None,
    db: Path,
) -> None:
    """Score kept forecasts as other leaderboards do: the same run, in the dialect of each.

    Needs the forecasts of `harness run --save-forecasts`, and the data they were made from. Nothing is run again, and nothing is written
    into the results database.

    \b
    harness score --dialect fev,monash -s quick
    harness score --dialect fev@0.10 -m naive,drift --json
    """
    from harness.plugins import load

    if listing:
        _list(load(), form == "json")
        return
    from harness.selection import split_list
    from harness.suites import stored_name
    from harness_results.score_report import Asked, make_report, verdict

    form, plugins = _form(form, output), load()
    suites = [stored_name(plugins, text) for text in split_list(suite)]
    asked = Asked(split_list(dialects), split_list(models), suites, split_list(tasks), baseline, data)
    report = make_report(plugins, db, asked)
    _print(report, form, output)
    if error := verdict(report):
        raise error


def _print(report: Report, form: str | None, output: Path | None) -> None:
    """The scores on stdout or into the file, what is to be said of them on stderr."""
    from harness.files import write_whole
    from harness_results.score_output import print_tables, said, to_csv, to_json

    if form is None:
        print_tables(report)
    else:
        text = to_json(report) if form == "json" else to_csv(report)
        if output is None:
            click.echo(text, nl=False)
        else:
            write_whole(output, text)
            click.echo(f"wrote {output}", err=True)
    for line in said(report):
        click.echo(line, err=True)


def _form(form: str | None, output: Path | None) -> str | None:
    from harness.errors import UsageError

    if output is None or form is not None:
        return form
    if output.suffix.lower() not in (".json", ".csv"):
        raise UsageError(f"got -o {output}; wanted a name in .json or .csv, or --json or --csv with it")
    return output.suffix.lower()[1:]


def _list(plugins: Plugins, as_json: bool) -> None:
    from harness.cli.inspect import DROPPED, dialects
    from harness.cli.output import print_json, print_table

    rows, columns = dialects(plugins)
    if as_json:
        print_json(rows)
    else:
        print_table(rows, columns, drop=DROPPED["dialects"], all_with="all of it: harness score --list --json")
