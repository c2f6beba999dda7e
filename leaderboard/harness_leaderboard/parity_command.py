"""The command `harness parity`. Only click is imported here; the rest inside the command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.run import db_option
from harness.errors import GATE_FAILED

if TYPE_CHECKING:
    from harness_leaderboard.aggregate import Array, Results

__all__ = ["parity"]

SHOWN = 15
"""Differing configurations in the table for people."""


@click.command()
@click.argument("model")
@click.option("--against", required=True, metavar="SOURCE:NAME|PATH", help="'gift-eval:chronos-2' (imported), or an all_results.csv.")
@click.option(
    "-s", "--suite", default="", show_default=False, help="Suite to compare on.  [default: the only one with own results, else gift-eval]"
)
@click.option(
    "--tolerance",
    multiple=True,
    default=("1%",),
    metavar="SHARE",
    help="Largest relative difference that counts as equal; 'MSIS=5%' for one metric. May be given several times.",
)
@click.option("--metric", "metrics", multiple=True, metavar="LIST", help="Compare only these: 'MASE,CRPS'.  [default: all that both have]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@db_option
def parity(model: str, against: str, suite: str, tolerance: tuple[str, ...], metrics: tuple[str, ...], as_json: bool, db: Path) -> int:
    """Do one's own results of a model agree with published ones of it? If not, where do they differ?

    Exit code 0 when every configuration that both have is within the tolerance in every metric that was published of it, 4 when one is
    not. What was not published of a configuration is counted, and is no difference.

    \b
    harness import gift-eval
    harness parity chronos_2 --against gift-eval:chronos-2
    harness parity ttm --against results/TTM/all_results.csv --tolerance 2% --tolerance MSIS=5%
    """
    from harness.again import run_command
    from harness.cli.output import print_json
    from harness.errors import UsageError
    from harness.plugins import load
    from harness.selection import split_list
    from harness.stale import stale_results
    from harness.suites import stored_name
    from harness_leaderboard.choose import choose_metric, choose_model
    from harness_leaderboard.collect import collect, default_suite
    from harness_leaderboard.parity import parity as compare
    from harness_leaderboard.parity import read_tolerances

    allowed = read_tolerances(tolerance)
    plugins = load()
    store = plugins.store(db)
    suite = stored_name(plugins, suite) if suite else default_suite(store)
    results = collect(store, suite, stale=stale_results(plugins, store, suite))
    row, _ = choose_model(results, model, ["own"])
    entry = results.entries[row]
    if entry.scope:
        raise UsageError(
            f"{entry.label} has only results of parts of the tasks of '{suite}' ({entry.scope}), and published ones are of whole tasks. "
            f"To make those: {run_command({'model': entry.model, 'suite': suite}, tasks=())}"
        )
    theirs, name, warnings = _theirs(results, against, str(db))
    chosen = [choose_metric(results, text) for text in split_list(metrics)]
    limits = {choose_metric(results, text, "--tolerance") if text else "": share for text, share in allowed.items()}
    mine = {metric: values[row] for metric, values in results.scores.items()}
    found = compare(results.tasks, mine, theirs, limits, chosen)
    stale = 0 if results.stale is None else int(results.stale[row].sum())
    words = _verdict(found, entry.label, name, suite)
    notes = [*warnings, *_notes(found, entry.label, name, stale)]
    if as_json:
        print_json({"model": entry.label, "against": name, "suite": suite, "words": words, **found, "stale": stale, "notes": notes})
    else:
        _print(found, words, notes)
    return 0 if found["agrees"] else GATE_FAILED


def _theirs(results: Results, against: str, db: str) -> tuple[Mapping[str, Array], str, list[str]]:
    """The published scores {metric: [R]}, how they are called, and what was forgiven in their file.

    Raises:
        UsageError: neither SOURCE:NAME nor a file.
        NothingMatched: nothing imported, or no such model.
    """
    from harness.errors import NothingMatched, UsageError
    from harness_leaderboard.choose import choose_model

    source, colon, name = against.partition(":")
    sources = {entry.source for entry in results.entries} - {"own"}
    if colon and (source in sources or source == "gift-eval"):
        if source not in sources:
            raise NothingMatched(f"no results of '{source}' are in {db}; to take them in: harness import gift-eval --db {db}")
        row, _ = choose_model(results, name, [source])
        return {metric: values[row] for metric, values in results.scores.items()}, f"{source}:{results.entries[row].label}", []
    path = Path(against)
    try:
        there = bool(against) and path.exists()
    except (OSError, ValueError):  # a text that no path can be
        there = False
    if there:
        return _from_file(path, results)
    wanted = f"wanted SOURCE:NAME, as in gift-eval:{against.rpartition(':')[2][:40] or 'chronos-2'}, or the path of an all_results.csv"
    raise UsageError(f"got --against {against[:80]!r}, and there is no such file; {wanted}")


def _from_file(path: Path, results: Results) -> tuple[Mapping[str, Array], str, list[str]]:
    """Scores from a published results file, or the folder of one, read as `harness import gift-eval` reads it; the store stays as it is.

    Raises:
        UsageError: it holds several models, or no plugin reads such files.
        DataError: it cannot be read.
        NothingMatched: there is no results file, or none of the suite's tasks in it.
    """
    import tempfile

    from harness.errors import UsageError
    from harness.plugins import load
    from harness_leaderboard.collect import collect

    with tempfile.TemporaryDirectory(prefix="harness-parity-") as folder:
        db = Path(folder) / "published.duckdb"
        said = _import(path, db)
        store = load().store(db, readonly=True)
        models = [str(row["model"]) for row in store.query("SELECT DISTINCT model FROM main.cells ORDER BY model").to_pylist()]
        if len(models) != 1:
            raise UsageError(
                f"--against {path} holds the results of {len(models)} models ({', '.join(models[:5])}, …); name the file of one"
            )
        theirs = collect(store, "gift-eval", results.tasks)
    return {metric: values[0] for metric, values in theirs.scores.items()}, str(path), said


def _import(path: Path, db: Path) -> list[str]:
    """Import a published file into a database; return the warnings.

    Raises:
        DataError: it cannot be read; says why.
    """
    import contextlib
    import io

    from harness.cli import build
    from harness.errors import DataError, UsageError

    group = build().commands.get("import")
    command = group.commands.get("gift-eval") if isinstance(group, click.Group) else None
    if command is None:
        raise UsageError(f"no plugin here reads the file {path}: there is no command `harness import gift-eval`")
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            command.main(["--db", str(db), "--", str(path)], standalone_mode=False)
    except DataError as error:
        raise DataError(" ".join([*err.getvalue().splitlines(), str(error)])) from error
    return [line.removeprefix("warning: ") for line in err.getvalue().splitlines()]


def _percent(value: float) -> str:
    import math

    if math.isnan(value):
        return "–"
    if not math.isfinite(value):
        return "no ratio"
    if abs(value) < 1e-5:
        return "< 0.001 %" if value else "0 %"
    return f"{100 * value:+.0f} %" if abs(value) >= 0.1 else f"{100 * value:+.2g} %"


def _verdict(found: Mapping[str, Any], model: str, name: str, suite: str) -> str:
    from harness_leaderboard.choose import short_metric

    metrics, shares = len(found["metrics"]), sorted({row["tolerance"] for row in found["metrics"]})
    within = " to ".join(f"{100 * share:g}" for share in shares[:: max(1, len(shares) - 1)])
    counted = f"{found['within']} of {found['configurations']} configurations within {within} % in {metrics} metric{'s' * (metrics != 1)}"
    if found["agrees"]:
        worst = max(found["metrics"], key=lambda row: abs(row["largest"]) if row["compared"] else -1)
        largest = (
            f" (largest difference: {_percent(worst['largest'])}, {short_metric(worst['metric'])} on {worst['task']})"
            if worst["task"]
            else ""
        )
        return f"{model} agrees with {name} on {suite}: {counted}{largest}."
    some = [f"{row['task']} ({short_metric(row['metric'])} {_percent(row['difference'])})" for row in found["outside"][:3]]
    more = f" and {len(found['outside']) - 3} more" if len(found["outside"]) > 3 else ""
    return f"{model} does NOT agree with {name} on {suite}: {counted}; not: {', '.join(some)}{more}."


def _notes(found: Mapping[str, Any], model: str, name: str, stale: int) -> list[str]:
    from harness_leaderboard.choose import short_metric

    lines = []
    for who, tasks in ((model, found["only_own"]), (name, found["only_theirs"])):
        if tasks:
            lines.append(f"† Only {who} has {len(tasks)} more: {', '.join(tasks[:4])}{', …' if len(tasks) > 4 else ''}")
    lacking = [f"{short_metric(row['metric'])} of {row['unpublished']}" for row in found["metrics"] if row["unpublished"]]
    if lacking:
        lines.append(f"† Of the {found['configurations']} configurations {name} has no {', no '.join(lacking)}: not compared there.")
    if stale:
        lines.append(
            f"⚠ {stale} results of {model} are stale: the model, task, data or scoring has changed since (what: harness ls cells)."
        )
    return lines


def _print(found: Mapping[str, Any], words: str, notes: list[str]) -> None:
    from harness.cli.output import print_table, printable
    from harness_leaderboard.choose import short_metric

    click.echo(printable(words))
    rows = [
        {
            "metric": short_metric(row["metric"]),
            "within": f"{row['within']}/{row['compared']}",
            "tolerance": f"{100 * row['tolerance']:g} %",
            "median": _percent(row["median"]),
            "largest": _percent(row["largest"]),
            "on": row["task"],
        }
        for row in found["metrics"]
    ]
    print_table(rows, list(rows[0]), "differences relative to the published score, by metric")
    if found["outside"]:
        lines = []
        for row in found["outside"][:SHOWN]:
            others = sorted(row["differences"].items(), key=lambda pair: -abs(pair[1]))
            lines.append(
                {"configuration": row["task"], "beyond the tolerance": ", ".join(f"{short_metric(m)} {_percent(d)}" for m, d in others)}
            )
        more = [f"{len(found['outside']) - SHOWN} more: --json"] if len(found["outside"]) > SHOWN else []
        print_table(lines, list(lines[0]), "configurations that differ, the worst first", notes=more)
    for line in [*(f"Hint: {hint}" for hint in found["hints"]), *notes]:
        click.echo(printable(line))
