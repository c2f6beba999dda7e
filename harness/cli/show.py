"""`harness show`: all that is known of one thing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.complete import shown_names
from harness.cli.inspect import dialects, metrics, models, state_of, suites, tasks
from harness.cli.run import db_option
from harness.errors import HarnessError, NothingMatched, suggest
from harness.types import Column

if TYPE_CHECKING:
    from harness.plugins import Registered
    from harness.results import Results
    from harness.types import ModelInfo

__all__ = ["show"]

TASK_FACTS = (
    *("suite", "domain", "freq", "horizon", "season_length", "variates", "context", "fill_gaps", "event", "dialect"),
    *("windows", "n_windows", "available", "reason", "fetch"),
)

MEASURED = ("batch_size", "crossings", "load_s", "fit_s", "predict_s", "score_s", "peak_rss_mb")
"""Facts of a cell that are 0 where nothing was measured."""

SCORES = {"MASE": "MASE[0.5]", "CRPS": "mean_weighted_sum_quantile_loss"}
"""Scores of a cell whose task is scored as GIFT-Eval does; of another dialect those that models are ranked by."""


@click.command()
@click.argument("name", shell_complete=shown_names)
@db_option
@click.option("--json", "as_json", is_flag=True, help="Print an array of JSON objects.")
def show(name: str, db: Path, as_json: bool) -> None:
    """Show all that is known of a model, suite, task, metric, dialect, or of a run, cell or trained model (by the beginning of its id).

    Of a trained model the beginning of its configuration will do, too.
    """
    from harness.cli.output import print_json
    from harness.plugins import load

    plugins = load()
    if name.endswith((".yaml", ".yml")):
        from harness.suites import stored_name

        name = stored_name(plugins, name)
    found = _registered(plugins, name)
    if db.exists():
        found += _stored(db, name)
    if not found:
        known = [*plugins.models, *plugins.suites, *plugins.metrics, *plugins.dialects]
        absent = sorted({f.distribution for f in plugins.failures.values() if f.whole and f.distribution})
        own = f"\nIn an environment of its own a plugin may be whole: harness env build {' '.join(absent)}" if absent else ""
        raise NothingMatched(
            f"there is no model, suite, task, metric, dialect, run or cell '{name}', and no trained model.{suggest(name, known)} "
            f"To see what there is: harness ls KIND{plugins.lacking(name)}{own}"
        )
    if as_json:
        print_json(found)
        return
    of_task = [thing for thing in found if thing["kind"] == "cell" and not thing["cell_id"].startswith(name)]
    for thing in found:
        if thing["kind"] == "task":
            _print({key: thing[key] for key in ("kind", "name", *TASK_FACTS) if thing[key] or key not in ("context", "fill_gaps")})
        elif thing not in of_task:
            _print(thing)
    if of_task:
        _print_cells(of_task, _leading(plugins, of_task[0]["dialect"]))


def _leading(plugins: Any, dialect: str | None) -> dict[str, str]:
    """{title: stored metric} of the scores that tasks of a dialect are compared by."""
    found = plugins.dialects.get(dialect or "")
    if found is None or dialect == "gift-eval":
        return SCORES
    return {metric: f"{dialect}:{metric}" for metric in found.info.leading}


def _options(suite: Any) -> str:
    """The options of a suite with their defaults, as `-s "name[option=value]"` sets them."""
    options = (p for p in (suite.parameters or {}).values() if p.kind is p.KEYWORD_ONLY and p.name != "suite")
    return ", ".join(f"{p.name}={p.default!r}" for p in options)


def _is_suite(plugins: Any, text: str) -> bool:
    try:
        plugins.suite(text)
    except HarnessError:
        return False
    return True


def _registered(plugins: Any, name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for kind, listed in (("model", models), ("suite", suites), ("metric", metrics), ("dialect", dialects)):
        found += [{"kind": kind, **row} for row in listed(plugins)[0] if row["name"] == name]
    if name in plugins.models:
        found[0]["environment"] = _where(plugins.models[name])
    for thing in found:
        if thing["kind"] == "suite" and name in plugins.suites:
            thing["takes"] = _options(plugins.suites[name])  # imports the suite's module
    suite = name.rpartition(":")[0]
    if "/" in name or suite:
        rows = tasks(plugins, suite, None)[0] if not suite or _is_suite(plugins, suite) else []
        if not suite:
            rows += [row for own in _own_with(plugins, name) for row in tasks(plugins, own, None)[0]]
        found += [{**r, "kind": "task"} for r in rows if name in (r["name"], f"{r['suite']}:{r['name']}")]
    return found


def _own_with(plugins: Any, task: str) -> list[str]:
    """The suites of the user's own files that have a task of this name; only theirs are read."""
    from harness.suites import remembered

    return [own.info.name for own in remembered(plugins) if any(each.name == task for each in own.factory(None).tasks())]


def _where(model: Registered[ModelInfo]) -> str:
    """Where a model runs, or what to type so that it can."""
    from harness.environments import latest
    from harness.environments.record import normal
    from harness.plugins import is_satisfied

    if model.environment is not None:
        return f"one of its own, {model.environment.folder}"
    own = latest().get(normal(model.distribution))
    if own is not None and normal(model.info.name) in own.names:
        return f"this one; with --isolation env its own, {own.folder}"
    if not model.distribution or is_satisfied(model.distribution):
        return "this one"
    return (
        f"this one, where what {model.distribution} requires is not installed, or not in the versions that it wants; "
        f"for one of its own: harness env build {model.distribution}"
    )


def _stored(db: Path, name: str) -> list[dict[str, Any]]:
    from harness.api import load as load_results

    results = load_results(db)
    found = [{"kind": "run", **r} for r in results.sql("SELECT * FROM main.runs WHERE starts_with(id, ?) LIMIT 5", [name]).to_pylist()]
    for run in found:
        run["status"] = state_of(run, db)
    suite, _, task = name.rpartition(":")
    sql = (
        "SELECT * FROM main.cells WHERE source = 'own' AND (starts_with(cell_id, $1) OR (task = $2 AND ($3 = '' OR suite = $3))) "
        "ORDER BY model, suite, seed, finished_at LIMIT 500"
    )
    rows = results.sql(sql, [name, task, suite]).to_pylist()
    sql = "SELECT id, cell_id FROM main.trained WHERE cell_id IN (SELECT unnest($1::VARCHAR[])) ORDER BY created DESC"
    learnt = results.sql(sql, [[row["cell_id"] for row in rows]]).to_pylist()
    for row in rows:
        scores = results.sql("SELECT metric, value FROM main.scores WHERE result_id = ?", [row["result_id"]]).to_pylist()
        made = [trained["id"] for trained in learnt if trained["cell_id"] == row["cell_id"]]
        found.append({"kind": "cell", **row, "trained": made, "scores": {s["metric"]: s["value"] for s in scores}})
    return found + _trained(results, name)


def _trained(results: Results, name: str) -> list[dict[str, Any]]:
    """Trained models by the beginning of an id or a configuration, each with the commands to forecast with it and to train it again."""
    import shlex

    from harness.again import DEFAULT_DB
    from harness.trained import folder_of, usage

    sql = "SELECT * FROM main.trained WHERE starts_with(id, $1) OR starts_with(configuration, $1) ORDER BY created DESC LIMIT 5"
    rows = results.sql(sql, [name]).to_pylist()
    found = []
    for row in rows:
        folder = folder_of(results.store, row)
        use = usage(results.store, row)
        gone = "" if folder is None or use else f"there is nothing at {folder}; the weights were moved or removed"
        where = [] if results.store.path == DEFAULT_DB else ["--db", str(results.store.path)]
        again = shlex.join(["harness", "replay", row["id"][:12], *where])
        found.append({"kind": "trained", "name": row["id"], **row, "use": use, "again": again, "gone": gone})
    return found


def _print_cells(cells: list[dict[str, Any]], scores: dict[str, str]) -> None:
    """A line with these scores, {title: stored metric}, for each current result of a task, then why those that failed did."""
    from harness.cli.output import print_table, printable

    current = [cell for cell in cells if not cell["superseded_by"]]
    rows = [
        {
            **{name: cell[name] for name in ("suite", "model", "mode", "seed", "scope", "status")},
            **{short: cell["scores"].get(metric) for short, metric in scores.items()},
            "fallback": _share(cell["fallback"]),
            "when": cell["finished_at"],
            "cell": cell["cell_id"],
        }
        for cell in current
    ]
    replaced = len(cells) - len(current)
    notes = [f"{replaced} replaced results are not shown; they are in: harness ls cells"] if replaced else []
    fallen = ["fallback"] if any(row["fallback"] for row in rows) else []
    if fallen:
        notes.append("fallback: share of the forecasts that is not the model's own, but a simple one in place of an answer of no use")
    columns = ["model", "status", *scores, *fallen, "when", "suite", "mode", "seed", "scope", "cell"]
    print_table(rows, columns, drop=("scope", "seed", "mode", "suite", "when"), notes=[*notes, "all of one: harness show CELL"])
    for cell in current:
        if cell["status"] != "ok":
            click.echo(f"\n{cell['status']}: {printable(cell['model'])} (cell {cell['cell_id'][:12]}): {printable(cell['reason'])}")
            for line in str(cell["log"] or "").splitlines()[-40:]:
                click.echo(f"    {printable(line)}")


def _share(value: float | None) -> str | None:
    """A share above 0 in percent; None where it is 0 or not known."""
    return (f"{100 * value:.1f}%" if value >= 0.0005 else "<0.1%") if value else None


def _in_a_line(value: Any) -> Any:
    """What a column of a dialect says, without what it lacks; named values as name and value; what holds more than texts as JSON."""
    if not isinstance(value, dict):
        return value
    if any(isinstance(part, dict | list) for part in value.values()):
        return json.dumps(value, default=str)
    said = {name: part for name, part in value.items() if part not in ("", None, "none")}
    return ", ".join(str(part) if set(value) <= set(Column._fields) else f"{name}: {part}" for name, part in said.items())


def _print(thing: dict[str, Any]) -> None:
    """Every fact of a thing, whole; what is not known is left out."""
    from harness.cli.output import printable
    from harness.mappings import mapping

    click.echo(f"{thing['kind']} {thing.get('name') or thing.get('cell_id') or thing.get('id')}")
    for key, value in thing.items():
        if key in ("kind", "name") or value in (None, "", "{}", [], (), {}):
            continue
        if not value and ((key in MEASURED and thing.get("status") != "ok") or (key == "fallback" and thing["kind"] == "cell")):
            continue
        if key == "log":
            click.echo("  log")
            for line in str(value).splitlines():
                click.echo(f"    {printable(line)}")
        elif (isinstance(value, dict) or (isinstance(value, str) and value.startswith("{"))) and (inner := mapping(value)):
            click.echo(f"  {key}")
            for k, v in inner.items():
                click.echo(f"    {k:<32} {printable(_in_a_line(v))}")
        else:
            click.echo(f"  {key:<18} {printable(value)}")
    click.echo()
