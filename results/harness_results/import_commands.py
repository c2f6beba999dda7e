"""The commands `harness submit gift-eval`, `harness import monash`, `fev` and `csv`. Only click is imported here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.cli.run import db_option
from harness.errors import GATE_FAILED, DataError, UsageError
from harness_results.duck import open_duck

if TYPE_CHECKING:
    from harness_results.csv_scores import ScoreTable
    from harness_results.gift_eval_check import Check
    from harness_results.imported import Imported

__all__ = ["import_csv", "import_fev", "import_monash", "submit_gift_eval"]

ANY_PATH = click.Path(path_type=Path)
MARKS = {True: "✓ good", False: "✗ wrong", None: "– note"}


@click.command("gift-eval")
@click.option("-m", "--model", default="", metavar="NAME", help="The model, with its parameters: 'ttm[context=512]'.")
@click.option("-o", "--output", type=ANY_PATH, metavar="DIR", help="Where to write: DIR/NAME/all_results.csv and config.json.")
@click.option("--config", "fields", multiple=True, metavar="FIELD=VALUE", help="A field of config.json: 'testdata_leakage=No'.")
@click.option("--mode", default="", help="Which results, where there are some of several modes.")
@click.option("--seed", type=int, default=None, help="Which results, where there are some of several seeds.")
@click.option(
    "--check", type=ANY_PATH, metavar="DIR", help="Check a folder that somebody made, or a folder of such folders; writes nothing."
)
@click.option("--json", "as_json", is_flag=True, help="The checklist as JSON.")
@db_option
def submit_gift_eval(
    model: str,
    output: Path | None,
    fields: tuple[str, ...],
    mode: str,
    seed: int | None,
    check: Path | None,
    as_json: bool,
    db: Path,
) -> None:
    """Write one model's results as the GIFT-Eval leaderboard takes them, and check everything that it asks for.

    The files are written even when something is missing; exit code 4 says so, and the checklist what to type.

    \b
    harness submit gift-eval -m ttm -o results --config org='Our Lab' --config testdata_leakage=No
    harness submit gift-eval --check results/ttm
    """
    if check is not None:
        if model or output or fields:
            raise UsageError("--check looks at a folder as it is; leave out -m, -o and --config")
        good = _check(check, as_json)
    else:
        if not model or output is None:
            raise UsageError("wanted a model and a folder to write to, as in: harness submit gift-eval -m naive -o results")
        good = _submit(model, output, fields, mode, seed, as_json, db)
    if not good:
        click.get_current_context().exit(GATE_FAILED)


def _submit(model: str, output: Path, fields: Sequence[str], mode: str, seed: int | None, as_json: bool, db: Path) -> bool:
    from harness.plugins import load
    from harness_results.gift_eval_submit import read_config, submit_gift_eval

    config = read_config(fields)
    done = submit_gift_eval(load().store(db), output, model, config, mode, seed)
    if as_json:
        _print_json([(done.folder, done.checks)])
    else:
        _print_checks(done.checks)
        click.echo(f"wrote {done.folder}", err=True)
        what = "ready: add this folder to results/ of the leaderboard's repository" if done.passes else "not ready: see what is wrong above"
        click.echo(what, err=True)
    return done.passes


def _check(folder: Path, as_json: bool) -> bool:
    from harness.cli.output import printable
    from harness_results.gift_eval_check import check_folder, passes
    from harness_results.imported import suite_tasks

    if not folder.is_dir():
        raise UsageError(f"--check {folder}: there is no such folder; wanted one with all_results.csv and config.json")
    below = sorted(path for path in folder.iterdir() if path.is_dir())
    several = below if below and not any(path.is_file() for path in folder.iterdir()) else []
    tasks = suite_tasks("gift-eval")
    results = [(path, check_folder(path, tasks)) for path in several or [folder]]
    good = [path for path, checks in results if passes(checks)]
    if as_json:
        _print_json(results)
    elif not several:
        _print_checks(results[0][1])
    else:
        for path, checks in results:
            wrong = ", ".join(dict.fromkeys(check.name for check in checks if check.ok is False))
            click.echo(f"{MARKS[not wrong]}  {printable(path.name)}{': ' + wrong if wrong else ''}")
        click.echo(f"{len(good)} of {len(results)} folders pass", err=True)
    return len(good) == len(results)


def _print_checks(checks: Sequence[Check]) -> None:
    from harness.cli.output import printable

    for check in checks:
        click.echo(f"{MARKS[check.ok]}  {printable(check.name)}: {printable(check.detail, 2000)}")
        if check.fix:
            click.echo(f"         → {printable(check.fix)}")


def _print_json(results: Sequence[tuple[Path, Sequence[Check]]]) -> None:
    from dataclasses import asdict

    from harness.cli.output import print_json
    from harness_results.gift_eval_check import passes

    print_json(
        [{"folder": str(folder), "passes": passes(checks), "checks": [asdict(check) for check in checks]} for folder, checks in results]
    )


@click.command("monash")
@click.option("--from", "path", type=ANY_PATH, metavar="FILE", help="A table of your own.  [default: the one inside this package]")
@click.option("--metric", default="mean MASE", help="What that table holds, where it has a column for each model.  [default: mean MASE]")
@click.option("--json", "as_json", is_flag=True, help="What was taken, as JSON.")
@db_option
def import_monash(path: Path | None, metric: str, as_json: bool, db: Path) -> None:
    """Take in published results of the Monash archive, to be compared with own ones of the suite monash.

    They are the mean MASE and mean MAE of twelve models on 43 files, as printed in the archive's paper; the other metrics are empty.
    FILE is a CSV file with columns task, model and metrics of the dialect monash, or with the datasets in the first column and a column
    for each model. Importing a model again replaces it.

    \b
    harness import monash
    harness run -m seasonal_naive -s monash
    harness leaderboard -s monash
    """
    from harness_results.monash_import import import_monash as take

    _say(take(open_duck(db, must_exist=False), path, metric), "monash", db, as_json)


@click.command("fev")
@click.argument("path", type=ANY_PATH)
@click.option("-s", "--suite", default="fev", help="Suite that the results become: one for each benchmark.")
@click.option("--json", "as_json", is_flag=True, help="What was taken, as JSON.")
@db_option
def import_fev(path: Path, suite: str, as_json: bool, db: Path) -> None:
    """Take in results of fev, as of fev-bench: one row a task, as fev's evaluation_summary gives them.

    PATH is a CSV file or a folder of CSV files. Each model is named by its rows; importing it again replaces it.

    \b
    harness import fev fev/benchmarks/fev_bench/results
    harness leaderboard -s fev
    """
    from harness_results.fev_import import import_fev as take

    _say(take(open_duck(db, must_exist=False), path, suite), suite, db, as_json)


@click.command("csv")
@click.argument("file", type=ANY_PATH)
@click.option("-s", "--suite", required=True, help="Whose tasks they are; a new name makes a suite of the table's own.")
@click.option("--source", default="", metavar="NAME", help="Where the numbers come from.  [default: the file's name]")
@click.option("--map", "assignments", multiple=True, metavar="COLUMN=NAME", help="What a column is: 'Method=model', 'err=MASE', 'note=-'.")
@click.option("--lower", multiple=True, metavar="LIST", help="Metrics of which a lower score is better, where that is not known.")
@click.option("--higher", multiple=True, metavar="LIST", help="Metrics of which a higher score is better; nobody is ranked by them.")
@click.option("--dry-run", is_flag=True, help="Show what would be taken, and store nothing.")
@click.option("--json", "as_json", is_flag=True, help="What was taken, as JSON.")
@db_option
def import_csv(
    file: Path,
    suite: str,
    source: str,
    assignments: tuple[str, ...],
    lower: tuple[str, ...],
    higher: tuple[str, ...],
    dry_run: bool,
    as_json: bool,
    db: Path,
) -> None:
    """Take in any table of published scores.

    FILE has a row for each model and task with a column for each metric, or a row for each score with columns metric and value.
    Columns are known by usual names (model, method; task, dataset; domain, freq, term, horizon, seed); --map says what others are: a
    field, a metric, or - to leave it out. Importing from the same source again replaces the models that are in the file.

    Models are ranked by metrics of which a lower score is known to be better: of the harness, the usual errors, and what --lower names.

    \b
    harness import csv scores.csv -s gift-eval --dry-run
    harness import csv paper.csv -s my-suite --source paper --map Method=model --map err=MASE
    harness import csv scores.csv -s my-suite --lower 'my score' --higher accuracy
    """
    from harness.selection import split_list
    from harness_results.csv_import import import_csv as take
    from harness_results.csv_import import source_name
    from harness_results.csv_scores import read_scores

    source = source_name(file, source)
    table = read_scores(file, suite, assignments, split_list(lower), split_list(higher))
    if dry_run:
        _show_table(table, source, as_json)
        return
    if not table.declared:
        _say_new_suite(suite)
    _say(take(open_duck(db, must_exist=False), table, source), suite, db, as_json)


def _say_new_suite(suite: str) -> None:
    from harness.cli.output import printable
    from harness.errors import suggest
    from harness.plugins import load

    click.echo(
        f"no plugin declares a suite {printable(suite)!r}: its tasks are those of the table.{suggest(suite, load().suites)}", err=True
    )


def _show_table(table: ScoreTable, source: str, as_json: bool) -> None:
    from harness.cli.output import print_json, print_rows, printable

    tasks = sorted({key[1] for key in table.cells})
    models = sorted(table.about)
    meanings = table.columns.meanings()
    if as_json:
        columns = [{"column": column, "taken_as": meaning} for column, meaning in meanings]
        counts = {"results": len(table.cells), "scores": len(table.values)}
        facts = {"suite": table.suite, "source": source, "declared": bool(table.declared), "models": models, "tasks": tasks}
        print_json(
            {**facts, **counts, "metrics": table.metrics, "directions": table.directions, "columns": columns, "warnings": table.warnings}
        )
        return
    print_rows(["column", "taken as"], [[column, meaning or "left out"] for column, meaning in meanings])
    for name, found in (("models", models), ("tasks", tasks), ("metrics", table.metrics)):
        shown = ", ".join(printable(value, 60) for value in found[:5])
        click.echo(f"{len(found)} {name}: {shown}{', …' if len(found) > 5 else ''}")
    click.echo(
        f"{len(table.values):,} scores of {len(table.cells):,} results would be stored as source {printable(source)!r}; nothing was stored"
    )
    if not table.declared:
        _say_new_suite(table.suite)
    for line in table.warnings:
        click.echo(f"warning: {printable(line, 2000)}", err=True)


def _say(done: Imported, suite: str, db: Path, as_json: bool) -> None:
    from dataclasses import asdict

    from harness.cli.output import print_json, printable

    for line in [*(f"warning: {w}" for w in done.warnings), *(f"skipped: {p}" for p in done.problems)]:
        click.echo(printable(line, 2000), err=True)
    if not done.models:
        raise DataError(f"none of the {len(done.problems)} results files could be read")
    if as_json:
        print_json({"suite": suite, "db": str(db), **asdict(done)})
        return
    again = f"harness leaderboard -s {printable(suite)} --db {db}"
    click.echo(f"{done.models} models, {done.rows:,} results imported into {db}. Compare: {again}")
