"""The command `harness score`. Only click is imported here; the rest inside the command. Nothing is written into the results database."""

from __future__ import annotations

import csv
import fnmatch
import io
import json
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.complete import comma_list
from harness.cli.run import db_option

if TYPE_CHECKING:
    from harness.dialects import Dialect
    from harness.plugins import Plugins
    from harness_results.dialects.boards import Aggregated
    from harness_results.dialects.broken import Broken
    from harness_results.dialects.cells import LeftOut, Scored

__all__ = ["score"]

NAMES = ("suite", "task", "model", "mode", "budget", "seed", "scope")
SAME = 1e-9
"""Relative difference up to which a score is the stored one: sums are added in another order."""


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
    from harness.cli.output import printable
    from harness.dialects.registered import find
    from harness.errors import DataError, PluginError, UsageError
    from harness.selection import split_list
    from harness_results.dialects.boards import aggregate, label
    from harness_results.dialects.broken import Broken, failure, make_all, said
    from harness_results.dialects.cells import Scored, score_cells, select_cells

    plugins = load()
    form = _form(form, output)
    asked = {found.info.name: found for found in (find(text, plugins) for text in split_list(dialects))}
    if not asked:
        raise UsageError(f"no dialect given; name one or more, as in --dialect fev. There are: {', '.join(plugins.dialects)}")
    chosen, broken = make_all(asked.values())
    if not chosen:
        raise PluginError(failure(broken, asked, []))
    store = plugins.store(db)
    against = _baselines(plugins, baseline)
    patterns = split_list(models)
    rows = select_cells(store, patterns, split_list(suite), split_list(tasks), lambda row: row["model"] == against(row["suite"]))
    if baseline and not any(row["model"] == baseline for row in select_cells(store, [], split_list(suite), split_list(tasks))):
        raise UsageError(f"--baseline {baseline}: {store.path} has no result of that model here. To see all: harness ls cells")
    results = list(score_cells(plugins, store, rows, chosen, data))

    def shown(name: str) -> bool:
        return not patterns or any(name == p or fnmatch.fnmatchcase(name, p) for p in patterns)

    visible = [r for r in results if any(shown(name) for name in (label(r.cell), r.cell["model"], r.cell["model_name"]))]
    names = {label(r.cell) for r in visible}
    boards = aggregate(chosen, results, against, lambda name: name in names)
    scored = [r for r in visible if isinstance(r, Scored)]
    left = [r for r in results if not isinstance(r, Scored)]
    broken += [Broken(name, reason, r.cell) for r in results if isinstance(r, Scored) for name, reason in r.broken.items()]
    broken += [Broken(b.dialect, b.broken, {"suite": b.suite, "scope": b.scope}) for b in boards if b.broken]
    working = [d.name for d in chosen if d.name not in {each.dialect for each in broken}]
    notes = [*_unequal(scored), *(f"{b.dialect}, {_where(b)}: {note}" for b in boards for note in b.notes)]
    if form is None and scored:
        _tables(chosen, scored, boards)
    elif form is not None:
        _deliver(_json(chosen, scored, boards, left, notes, broken) if form == "json" else _csv(chosen, scored), output)
    for line in [*_said(left), *said(broken), *(f"note: {printable(note, 1000)}" for note in notes)]:
        click.echo(line, err=True)
    refused = sum(r.kind == "refused" for r in left)
    if not scored:
        raise _nothing(left)
    if refused:
        raise DataError(f"{refused} of {len(results)} results were refused, for the reasons above; the others are scored")
    if broken:
        raise PluginError(failure(broken, asked, working))


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


def _baselines(plugins: Plugins, asked: str) -> Callable[[str], str]:
    """The baseline of a suite: the one asked for, else the one it declares."""
    from harness.errors import HarnessError
    from harness.types import SuiteInfo

    def of(suite: str) -> str:
        if asked:
            return asked
        try:
            return plugins.suite(suite).info.baseline
        except HarnessError:
            return SuiteInfo(suite).baseline

    return of


def _where(board: Aggregated) -> str:
    return f"{board.suite} ({board.scope})" if board.scope else board.suite


def _unequal(scored: Sequence[Scored]) -> list[str]:
    """What the dialect `gift-eval` finds otherwise than the run did."""
    from harness.cli.output import printable

    found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for result in scored:
        for metric, value in result.scores.get("gift-eval", {}).items():
            stored = result.stored.get(metric, math.nan)
            if not (math.isclose(value, stored, rel_tol=SAME, abs_tol=0.0) or (math.isnan(value) and math.isnan(stored))):
                which = (metric, printable(result.cell["model"], 80), result.cell["output"] or "forecasts")
                found[which].append(f"{printable(result.cell['task'], 80)} {value:.6g}, stored {stored:.6g}")
    why = {"MSIS": "; here it is from the kept levels, in a run from the model's own samples or levels"}
    return [
        f"gift-eval: {metric} of {model} ({kind}) is not the stored score on {len(tasks)} tasks: {tasks[0]}{why.get(metric, '')}"
        for (metric, model, kind), tasks in found.items()
    ]


def _tables(dialects: Sequence[Dialect], scored: Sequence[Scored], boards: Sequence[Aggregated]) -> None:
    from harness.cli.output import print_table

    usual = {"mode": "zero-shot", "budget": "", "seed": 0, "scope": ""}
    plain = [name for name, value in usual.items() if all((r.cell[name] or value) == value for r in scored)]
    if len({r.cell["suite"] for r in scored}) == 1:
        plain.append("suite")
    names = [name for name in NAMES if name not in plain]
    for dialect in dialects:
        rows = [{**{n: r.cell[n] for n in names}, **r.scores[dialect.name]} for r in scored if dialect.name in r.scores]
        if not rows:
            continue
        # Without the last metrics, a line fits; what is left out is said.
        print_table(
            rows,
            [*names, *dialect.metrics],
            title=f"{dialect.name}@{dialect.version}: {len(rows)} results",
            drop=list(reversed(dialect.metrics[2:])),
            all_with="all of it: --json or --csv",
        )
        for board in boards:
            if board.dialect == dialect.name and board.rows:
                against = f", relative to {board.baseline}" if dialect.relative else ""
                print_table(board.rows, list(board.rows[0]), title=f"{dialect.name}: {_where(board)}{against}")


def _json(
    dialects: Sequence[Dialect],
    scored: Sequence[Scored],
    boards: Sequence[Aggregated],
    left: Sequence[LeftOut],
    notes: Sequence[str],
    broken: Sequence[Broken],
) -> str:
    document = {
        "dialects": [{"name": d.name, "version": d.version, "source": d.info.source} for d in dialects],
        "scores": [
            {**{n: r.cell[n] for n in NAMES}, "result_id": r.cell["result_id"], "dialect": d.name, "scores": r.scores[d.name]}
            for d in dialects
            for r in scored
            if d.name in r.scores
        ],
        "aggregates": [
            {"dialect": b.dialect, "suite": b.suite, "scope": b.scope, "baseline": b.baseline, "rows": b.rows, "notes": b.notes}
            for b in boards
            if not b.broken
        ],
        "left_out": [{**{n: r.cell[n] for n in NAMES}, "kind": r.kind, "reason": r.reason, "command": r.command} for r in left],
        "failed": [{**{n: each.on.get(n) for n in NAMES}, "dialect": each.dialect, "reason": each.reason} for each in broken],
        "notes": list(notes),
    }
    return json.dumps(_finite(document), indent=2, ensure_ascii=True, allow_nan=False, default=str) + "\n"


def _finite(value: Any) -> Any:
    """NaN and infinity are null in JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, list | tuple) else value


def _csv(dialects: Sequence[Dialect], scored: Sequence[Scored]) -> str:
    """A line for each score; text that a spreadsheet would take for a formula gets a leading apostrophe."""
    from harness.cli.output import printable

    def safe(value: Any) -> Any:
        text = printable(value)
        return "'" + text if not isinstance(value, int) and text.startswith(("=", "+", "-", "@")) else text

    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(["dialect", "version", *NAMES, "metric", "value"])
    for dialect in dialects:
        for result in (r for r in scored if dialect.name in r.scores):
            head = [dialect.name, dialect.version, *(safe(result.cell[name]) for name in NAMES)]
            writer.writerows([*head, metric, repr(value)] for metric, value in result.scores[dialect.name].items())
    return sink.getvalue()


def _deliver(text: str, output: Path | None) -> None:
    from harness.errors import StoreError
    from harness.spool import publish, temporary_name

    if output is None:
        click.echo(text, nl=False)
        return
    temporary = temporary_name(output)
    try:
        temporary.write_text(text, encoding="utf-8", errors="replace")
        publish(temporary, output)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StoreError(f"could not write {output}: {error.strerror}; choose another file with -o") from error
    click.echo(f"wrote {output}", err=True)


def _said(left: Sequence[LeftOut]) -> list[str]:
    """A line for each reason: what was left out, and what to type."""
    from harness.cli.output import printable

    grouped: dict[tuple[str, str, str], list[LeftOut]] = defaultdict(list)
    for each in left:
        grouped[each.kind, each.cell["model"], each.reason].append(each)
    lines = []
    for (kind, model, reason), members in grouped.items():
        tasks = list(dict.fromkeys(str(m.cell["task"]) for m in members))
        more = f" and {len(tasks) - 1} more" if len(tasks) > 1 else ""
        lines.append(f"{kind}: {printable(model, 80)} on {printable(tasks[0], 80)}{more}: {printable(reason, 1000)}")
        lines += [f"  {printable(command, 2000)}" for command in _commands(members)]
    return lines


def _commands(members: Sequence[LeftOut]) -> list[str]:
    """The members' commands, one for all where they differ by the task alone."""
    import shlex

    bare: dict[str, list[str]] = defaultdict(list)
    for each in members:
        if each.command:
            bare[each.command.replace(f" -t {shlex.quote(str(each.cell['task']))}", " -t \0", 1)].append(str(each.cell["task"]))
    return [key.replace("\0", shlex.quote(",".join(dict.fromkeys(tasks)))) for key, tasks in bare.items()]


def _nothing(left: Sequence[LeftOut]) -> Exception:
    """Why there is no score at all."""
    from harness.errors import DataError, NothingMatched, Unavailable

    kinds = {each.kind for each in left}
    if "refused" in kinds:
        return DataError(f"all {len(left)} results were left out, for the reasons above")
    if "unavailable" in kinds:
        return Unavailable(f"the data of these results is not here: {len(left)} results were left out, for the reasons above")
    return NothingMatched(f"none of {len(left)} results has kept forecasts; what keeps them is above")
