"""`harness replay`: run a stored cell, or do a recorded training, again and compare."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.run import db_option
from harness.errors import GATE_FAILED, NothingMatched, UsageError
from harness.mappings import mapping

if TYPE_CHECKING:
    from harness.results import Results

__all__ = ["replay"]

MOST_NAMED = 5
"""Trained models that are named where a hash begins that of several."""


@click.command()
@click.argument("name", metavar="CELL|HASH")
@db_option
@click.option(
    "--data", type=click.Path(path_type=Path), default=None, help="Folder of the suite's data.  [default: that of the stored run]"
)
@click.option("--tolerance", type=float, default=1e-9, help="Largest relative difference of a score or noted number that counts as equal.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def replay(name: str, db: Path, data: Path | None, tolerance: float, as_json: bool) -> int:
    """Run a stored cell, or do a recorded training, again beside the store, and compare.

    CELL is the beginning of a cell's id: all scores are compared. HASH is that of the configuration or the id of a trained model (harness
    ls trained): the weights are compared bit by bit, and the numbers that were noted in training within the tolerance.

    Exit code 0 when all agree, 4 when something does not, 3 when it cannot be run.
    """
    from harness.api import load as load_results

    results = load_results(db)
    cells = results.sql("SELECT * FROM main.cells WHERE source = 'own' AND starts_with(cell_id, ?)", [name]).to_pylist()
    sql = "SELECT * FROM main.trained WHERE starts_with(id, $1) OR starts_with(configuration, $1) ORDER BY created DESC, id"
    trained = results.sql(sql, [name]).to_pylist()
    if not cells and not trained:
        raise NothingMatched(
            f"no own cell in {db} has an id that begins with {name!r}, and no trained model such an id or configuration. "
            f"To see all: harness ls cells --db {db}, harness ls trained --db {db}"
        )
    if cells and trained:
        raise UsageError(
            f"{name!r} is the beginning of {_count(len(cells), 'cell')} and of {_count(len(trained), 'trained model')}; give more of it"
        )
    if trained:
        from harness.cli.replay_trained import replay_trained

        chosen = click.get_current_context().get_parameter_source("tolerance")
        given = chosen is not click.core.ParameterSource.DEFAULT
        return replay_trained(results, _one_training(trained, name), data, tolerance, given=given, as_json=as_json)
    if len(cells) > 1:
        raise UsageError(f"{len(cells)} cells have an id that begins with {name!r}; give more of it")
    return _replay_cell(results, cells[0], data, tolerance, as_json)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number > 1 else ''}"


def _one_training(rows: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """The records that a hash means, newest first: they learnt the same from the same."""
    if len({row["configuration"] for row in rows}) == 1:
        return rows
    some = "; ".join(
        f"{row['id'][:12]} (configuration {row['configuration'][:12]}, {' '.join(filter(None, (row['model'], row['mode'], row['task'])))})"
        for row in rows[:MOST_NAMED]
    )
    more = f"; and {len(rows) - MOST_NAMED} more" if len(rows) > MOST_NAMED else ""
    raise UsageError(f"{len(rows)} trained models have an id or a configuration that begins with {name!r}: {some}{more}. Give more of it")


def _replay_cell(results: Results, old: dict[str, Any], data: Path | None, tolerance: float, as_json: bool) -> int:
    from harness.cli.output import print_json, print_table
    from harness.repeat import check_outcome, repeat
    from harness.retrained import difference

    if old["status"] != "ok":
        raise UsageError(
            f"cell {old['cell_id']} is {old['status']} ({old['reason']}): there are no scores to compare; use harness run --rerun failed"
        )
    before = results.sql("SELECT metric, value FROM main.scores WHERE result_id = ?", [old["result_id"]]).to_pylist()
    new = repeat(old, data, results.store)
    check_outcome(new.outcome)
    lines = []
    for row in before:
        was, now = row["value"], new.outcome.scores.get(row["metric"])
        lines.append({"metric": row["metric"], "stored": was, "now": now, "difference": difference(was, now)})
    changed = _changed(old, new.identity)
    worst = max((line["difference"] for line in lines), default=math.nan)
    good = bool(lines) and worst <= tolerance
    if as_json:
        print_json({"cell": old["cell_id"], "equal": good, "changed": changed, "scores": lines})
        return 0 if good else GATE_FAILED
    for name, (was, now) in changed.items():
        click.echo(f"{name} differs: it was {was}, it is {now}")
    print_table(lines, ["metric", "stored", "now", "difference"], title=f"{old['model']} on {old['suite']}:{old['task']}")
    click.echo(
        f"equal within {tolerance:g}" if good else f"NOT equal: the largest relative difference is {worst:.3g}, allowed is {tolerance:g}"
    )
    return 0 if good else GATE_FAILED


def _changed(old: dict[str, Any], identity: Any) -> dict[str, tuple[Any, Any]]:
    """Which parts of the identity are not what they were."""
    before = mapping(old["identity"])
    after = json.loads(json.dumps(dict(identity), default=str))
    return {k: (before.get(k), after.get(k)) for k in sorted({*before, *after}) if before.get(k) != after.get(k)}
