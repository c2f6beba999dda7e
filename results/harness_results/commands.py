"""The commands `harness sql`, `db`, `import`, `export` and `submit`. Only click is imported here; the rest inside the commands."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from harness.cli.run import db_option
from harness.errors import DataError, StoreError, UsageError
from harness_results import import_commands
from harness_results.duck import open_duck
from harness_results.score_command import score

__all__ = ["add_to"]

ANY_PATH = click.Path(path_type=Path)


def add_to(cli: click.Group) -> None:
    """Add the commands; groups that another plugin has made are shared with it."""
    cli.add_command(sql)
    cli.add_command(score)
    for name, text, commands in (
        ("db", "Look after the results database.", (info, check, schema, vacuum, merge, ingest)),
        (
            "import",
            "Take in published results.",
            (import_gift_eval, import_commands.import_monash, import_commands.import_fev, import_commands.import_csv),
        ),
        ("export", "Write results in the formats of public leaderboards.", (export_gift_eval,)),
        ("submit", "Write and check one model's results for a public leaderboard.", (import_commands.submit_gift_eval,)),
    ):
        group = cli.commands.get(name)
        if not isinstance(group, click.Group):
            group = click.Group(name, help=text)
            cli.add_command(group)
        for command in commands:
            group.add_command(command)


@click.command()
@click.argument("statement", metavar="SQL")
@click.option("--json", "form", flag_value="json", help="A list of objects.")
@click.option("--csv", "form", flag_value="csv", help="Comma-separated values.")
@db_option
def sql(statement: str, form: str | None, db: Path) -> None:
    """Ask the results database; reads only. Tables and columns: harness db schema.

    \b
    harness sql "SELECT model, task, MASE FROM results ORDER BY MASE"
    """
    from harness.cli.output import print_json, print_rows
    from harness.plugins import load

    table = load().store(db).query(statement)
    if form == "csv":
        _print_csv(table)
        return
    rows = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    if form == "json":
        print_json([dict(zip(table.column_names, row, strict=True)) for row in rows])
    else:
        print_rows(table.column_names, rows)
        click.echo(f"{len(rows)} row{'s' if len(rows) != 1 else ''}", err=True)


def _print_csv(table: Any) -> None:
    import csv

    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(table.column_names)
    for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
        writer.writerow([repr(value) if isinstance(value, float) else value for value in row])


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@db_option
def info(db: Path, as_json: bool) -> None:
    """What is in the database."""
    from harness.cli.output import print_json, print_table
    from harness_results.maintenance import info as collect

    facts = collect(open_duck(db))
    if as_json:
        print_json(facts)
        return
    for name, value in facts.items():
        if name != "results":
            click.echo(f"{name:16} {value:,}" if isinstance(value, int) else f"{name:16} {value}")
    print_table(facts["results"], ["source", "suite", "status", "cells", "models"])


@click.command()
@db_option
def check(db: Path) -> None:
    """Open the database, bring it to the current schema, take in the spool, look for contradictions."""
    from harness_results.maintenance import check as examine

    problems = examine(open_duck(db))
    for problem in problems:
        click.echo(problem, err=True)
    if problems:
        raise StoreError(f"{db}: {len(problems)} problem{'s' if len(problems) != 1 else ''} found")
    click.echo(f"{db}: ok")


@click.command()
def schema() -> None:
    """Tables and columns, as Markdown."""
    from harness_results.schema import describe

    click.echo(describe())


@click.command()
@db_option
def vacuum(db: Path) -> None:
    """Give back the room of replaced results."""
    from harness_results.maintenance import vacuum as compact

    before, after = compact(open_duck(db))
    click.echo(f"{db}: {before:,} -> {after:,} bytes")


@click.command()
@click.argument("files", nargs=-1, required=True, type=ANY_PATH, metavar="FILE...")
@db_option
def merge(files: tuple[Path, ...], db: Path) -> None:
    """Take in the results of other databases; of two results of one cell the newer stays."""
    from harness_results.maintenance import merge as take

    for file, count in take(open_duck(db, must_exist=False), files).items():
        click.echo(f"{file}: {count} cells taken in")


@click.command()
@db_option
def ingest(db: Path) -> None:
    """Take in what runs have left in the spool."""
    store = open_duck(db)
    click.echo(f"{store.ingest()} cells taken in from {store.spool}")


@click.command("gift-eval")
@click.argument("path", required=False, type=ANY_PATH)
@db_option
def import_gift_eval(path: Path | None, db: Path) -> None:
    """Take in published GIFT-Eval results, to be compared with own ones.

    PATH is a folder of models' folders, one model's folder, or one all_results.csv; without it, the results of 121 models that are
    inside this package (August 2026). Each model is named by its folder; importing it again replaces it.
    """
    from harness_results.gift_eval_import import import_gift_eval as take

    done = take(open_duck(db, must_exist=False), path)
    for line in [*(f"warning: {w}" for w in done.warnings), *(f"skipped: {p}" for p in done.problems)]:
        click.echo(line, err=True)
    if not done.models:
        raise DataError(f"none of the {len(done.problems)} results files could be read")
    click.echo(f"{done.models} models, {done.rows:,} results imported into {db}. Compare: harness leaderboard -s gift-eval --db {db}")


@click.command("gift-eval")
@click.argument("folder", required=False, type=ANY_PATH, metavar="[DIR]")
@click.option("-o", "--output", type=ANY_PATH, help="Where to write.  [default: gift-eval-results]")
@click.option("-m", "--model", "--models", "models", multiple=True, metavar="LIST", help="Names or globs.  [default: all own models]")
@click.option("-s", "--suite", default="gift-eval", help="Suite whose results are written.")
@db_option
def export_gift_eval(folder: Path | None, output: Path | None, models: tuple[str, ...], suite: str, db: Path) -> None:
    """Write own results as the GIFT-Eval leaderboard takes them: DIR/MODEL/all_results.csv and config.json."""
    from harness.plugins import load
    from harness.selection import split_list
    from harness_results.gift_eval_export import export_gift_eval as write

    if folder and output and folder != output:
        raise UsageError(f"got two folders to write to, {folder} and -o {output}; wanted one")
    for done in write(load().store(db), output or folder or Path("gift-eval-results"), split_list(models), suite):
        missing = f", {done.total - done.rows} missing" if done.rows < done.total else ""
        click.echo(f"{done.folder}: {done.rows} of {done.total} rows{missing}")
