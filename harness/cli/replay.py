"""`harness replay`: run a stored cell again and compare."""

from __future__ import annotations

import glob
import json
import math
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.run import db_option
from harness.errors import (
    GATE_FAILED,
    DataError,
    HarnessError,
    NothingMatched,
    PluginError,
    StoreError,
    Unavailable,
    Unsupported,
    UsageError,
)

if TYPE_CHECKING:
    from harness.plan import Plan, RunSpec
    from harness.plugins import Plugins
    from harness.store import Store

__all__ = ["replay"]


@click.command()
@click.argument("cell")
@db_option
@click.option(
    "--data", type=click.Path(path_type=Path), default=None, help="Folder of the suite's data.  [default: that of the stored run]"
)
@click.option("--tolerance", type=float, default=1e-9, help="Largest relative difference of a score that counts as equal.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def replay(cell: str, db: Path, data: Path | None, tolerance: float, as_json: bool) -> int:
    """Run the stored cell with this id (or the beginning of one) again, beside the store, and compare all scores.

    Exit code 0 when all agree, 4 when one does not, 3 when the cell cannot be run.
    """
    from harness.api import load as load_results
    from harness.cli.output import print_json, print_table

    results = load_results(db)
    rows = results.sql("SELECT * FROM main.cells WHERE source = 'own' AND starts_with(cell_id, ?)", [cell]).to_pylist()
    if not rows:
        raise NothingMatched(f"no own cell in {db} has an id that begins with {cell!r}. To see all: harness ls cells --db {db}")
    if len(rows) > 1:
        raise UsageError(f"{len(rows)} cells have an id that begins with {cell!r}; give more of it")
    old = rows[0]
    if old["status"] != "ok":
        raise UsageError(
            f"cell {old['cell_id']} is {old['status']} ({old['reason']}): there are no scores to compare; use harness run --rerun failed"
        )
    before = results.sql("SELECT metric, value FROM main.scores WHERE result_id = ?", [old["result_id"]]).to_pylist()
    new = _again(old, data, results.store)
    lines = []
    for row in before:
        was, now = row["value"], new["scores"].get(row["metric"])
        lines.append({"metric": row["metric"], "stored": was, "now": now, "difference": _difference(was, now)})
    changed = _changed(old, new["identity"])
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


def _again(old: dict[str, Any], data: Path | None, kept: Store) -> dict[str, Any]:
    """Run the cell as it was run then.

    Raises:
        UsageError: the folder given does not exist.
        Unavailable, DataError, PluginError, Unsupported: the cell cannot be run here; says why.
    """
    from harness.plugins import load
    from harness.progress import Progress
    from harness.runner import execute

    plugins = load()
    spec = _spec(old, data)
    with tempfile.TemporaryDirectory(prefix="harness-replay-") as folder:
        store = plugins.store(Path(folder) / "replay.duckdb")
        store.check()
        plan = _plan(plugins, spec, old, kept)
        report = execute(plan.plugins, spec, plan, store, Progress(), ["replay"])
    if report.run.status == "interrupted":
        raise KeyboardInterrupt
    outcome = report.outcomes.get(plan.cells[0].id)
    if outcome is None:
        raise StoreError(f"the cell could not be run again: {report.problem or 'the run ended before it'}")
    if outcome.status != "ok":
        kinds: dict[str, type[HarnessError]] = {"data": DataError, "unsupported": Unsupported}
        raise kinds.get(outcome.failure, PluginError)(f"the cell could not be run again: {outcome.reason}")
    return {"scores": outcome.scores, "identity": plan.cells[0].identity}


def _plan(plugins: Plugins, spec: RunSpec, old: dict[str, Any], kept: Store) -> Plan:
    from harness.plan import make_plan

    try:
        plan = make_plan(plugins, spec, None, kept=kept)
    except UsageError as error:  # what was stored is not here any more: the caller has typed nothing wrong
        name = f"{old['model']} on {old['suite']}:{old['task']}"
        raise PluginError(f"{name} cannot be run here: {error}") from None
    if plan.unavailable:
        missing = next(iter(plan.unavailable.values()))
        fetch = f"{missing.fetch}, or name its folder with --data" if missing.fetch else "name its folder with --data"
        raise Unavailable(f"the data is not here: {missing.reason}. To get it: {fetch}", missing.fetch)
    return plan


def _spec(old: dict[str, Any], data: Path | None) -> RunSpec:
    from harness.spec import make_spec

    params = _mapping(old["params"])
    if data is not None and not data.is_dir():
        raise UsageError(f"--data {data}: there is no such folder")
    if data is None and (stored := _mapping(old["receipt"]).get("data_folder")):
        data = Path(stored)
        if not data.is_dir():
            raise Unavailable(f"the data is not here: the stored run read it from {data}, which is gone. Name another folder with --data")
    return make_spec(
        models=[old["model_name"]],
        model_args=[f"{k}={json.dumps(v)}" for k, v in params.items()],
        suites=[old["suite"]],
        tasks=[glob.escape(old["task"])],
        limit=old["scope"].removeprefix("limit=").partition(",")[0],
        modes=[old["mode"]],
        budget=old["budget"] or "",
        seeds=[old["seed"]],
        batch_size=_mapping(old["identity"]).get("batch_size"),
        threads=old["threads"] or None,
        device=old["device"] or None,
        isolation=old["isolation"] or None,
        data=data,
    )


def _mapping(value: Any) -> dict[str, Any]:
    return json.loads(value) if isinstance(value, str) else dict(value or {})


def _changed(old: dict[str, Any], identity: Any) -> dict[str, tuple[Any, Any]]:
    """Which parts of the identity are not what they were."""
    before = _mapping(old["identity"])
    after = json.loads(json.dumps(dict(identity), default=str))
    return {k: (before.get(k), after.get(k)) for k in sorted({*before, *after}) if before.get(k) != after.get(k)}


def _difference(was: float | None, now: float | None) -> float:
    """Relative; 0 where both are undefined, infinity where one is."""
    a, b = (math.nan if v is None else float(v) for v in (was, now))
    if a == b or (math.isnan(a) and math.isnan(b)):
        return 0.0
    if not (math.isfinite(a) and math.isfinite(b)):
        return math.inf
    return abs(a - b) / max(abs(a), abs(b))
