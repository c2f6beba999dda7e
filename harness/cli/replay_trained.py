"""`harness replay HASH`: a recorded training, done again in a temporary folder and compared."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.errors import GATE_FAILED, DataError, HarnessError, PluginError, Unsupported, UsageError, describe

if TYPE_CHECKING:
    from harness.results import Results
    from harness.retrained import Comparison

__all__ = ["replay_trained"]


def replay_trained(results: Results, rows: list[dict[str, Any]], data: Path | None, tolerance: float, *, given: bool, as_json: bool) -> int:
    """Do the training of these records again, all of one configuration and newest first, and compare; the exit code.

    Args:
        data: folder of the suite's data, for a training of a run.
        given: whether the tolerance was typed: without one a training that is bounded by a time is not compared.

    Raises:
        Unsupported, PluginError, DataError, Unavailable: it cannot be done again, or there is nothing to compare; says why.
    """
    from harness.retrained import compare, noted

    old = next((row for row in rows if row["weights_digest"]), rows[0])  # one whose weights were kept says most
    timed = _seconds(old)
    what = f"trained model {old['id']} ({old['model']}, {old['mode']})"
    if timed and not given:
        raise Unsupported(
            f"{what} was trained for a time, --budget {old['budget']}: another training does another number of steps, so nothing is "
            "the same bit by bit. To train it again and compare the numbers that it noted: --tolerance 0.1"
        )
    if not old["weights_digest"] and not any(isinstance(value, float | list) for value in noted(old).values()):
        raise Unsupported(f"{what} has neither kept weights nor noted numbers: there is nothing to compare. Train with --save-models")
    new = _of_run(results, old, data) if old["run_id"] else _of_command(old, data)
    found = compare(old, new, _files(results, old))
    if not found.comparable:
        raise Unsupported(f"{what} was trained again and has nothing in common with it to be compared by: {_lacking(new)}")
    good = found.equal(tolerance) if not timed else found.measured and found.worst <= tolerance
    _print(old, found, tolerance, good, timed, as_json)
    return 0 if good else GATE_FAILED


def _lacking(new: Mapping[str, Any]) -> str:
    from harness.mappings import mapping

    return str(mapping(new["metrics"]).get("unsaved") or "no weights were written, and no number of before was noted")


def _seconds(row: Mapping[str, Any]) -> bool:
    """Whether its budget is a time. Budgets are in a model's own words; one that cannot be read says nothing of a time."""
    from harness.budget import parse_budget

    with contextlib.suppress(UsageError):
        return not parse_budget(str(row["budget"] or "")).reproducible
    return False


def _files(results: Results, row: Mapping[str, Any]) -> dict[str, str]:
    """Digests of kept weights, of a record that does not hold them, where they are still what was recorded."""
    from harness.identity import file_digest, weight_digests
    from harness.trained import folder_of

    folder = folder_of(results.store, row)
    with contextlib.suppress(HarnessError, OSError, ValueError):
        if folder is not None and row["weights_digest"] and file_digest(str(folder)) == row["weights_digest"]:
            return weight_digests(str(folder))
    return {}


def _of_run(results: Results, old: dict[str, Any], data: Path | None) -> dict[str, Any]:
    """The row that the training of a run's cell leaves now. Raises as `harness.repeat.repeat`."""
    from harness.mappings import mapping
    from harness.repeat import check_outcome, repeat

    environment = mapping(old["environment"])
    folder = environment.get("data_folder")
    if folder is None:  # a record of before it held this
        sql = "SELECT receipt FROM main.cells WHERE cell_id = ?"
        cells = results.sql(sql, [old["cell_id"]]).to_pylist()
        folder = mapping(cells[0]["receipt"]).get("data_folder") if cells else ""
    scope = str(old["data"]).removeprefix(str(old["task"])).split()[:-1]  # "TASK SCOPE FINGERPRINT"
    where = {name: environment.get(name) for name in ("threads", "device", "isolation")}
    again = {**old, **where, "scope": " ".join(scope), "receipt": {"data_folder": folder}, "identity": {}}
    done = repeat(again, data, results.store, save_models=bool(old["weights_digest"]))
    fold = mapping(old["metrics"]).get("fold", 0)
    for row in done.trained:
        if mapping(row["metrics"]).get("fold", 0) == fold:
            return row
    check_outcome(done.outcome)
    raise PluginError(f"{old['model']} was run again in mode {old['mode']}, and no training was recorded")


def _of_command(old: dict[str, Any], data: Path | None) -> dict[str, Any]:
    """The row that a plugin's hook `retrain` leaves.

    Raises:
        UsageError: --data was given.
        Unsupported: no plugin can do it again.
        PluginError: what a plugin raised.
    """
    from harness.api import load as load_results
    from harness.mappings import mapping
    from harness.plugins import load
    from harness.trained import TrainedModel, register

    if data is not None:
        raise UsageError("--data goes with trainings of a run; what a command trained on stands in its record")
    plugins = load()
    record = {**old, **{name: mapping(old[name]) for name in ("params", "environment", "metrics")}}
    name = old["model_name"]
    with tempfile.TemporaryDirectory(prefix="harness-replay-") as folder:
        try:
            made = plugins.pm.hook.retrain(record=record, folder=Path(folder) / "again")
        except HarnessError as error:
            if isinstance(error, Unsupported | PluginError | DataError):
                raise
            raise PluginError(f"{name} cannot be trained again here: {error}") from error
        except (Exception, SystemExit) as error:
            raise PluginError(f"{name} cannot be trained again: the hook retrain raised {describe(error)}") from error
        if made is None:
            known = plugins.models.get(name)
            whose = (
                f"the plugin '{known.plugin}' has no hook retrain that takes it" if known else f"the model '{name}' is not installed here"
            )
            raise Unsupported(f"the training of {name} (mode {old['mode']}) cannot be done again: {whose}. See docs/hooks.md")
        if not isinstance(made, TrainedModel):
            raise PluginError(
                f"the hook retrain returned a {type(made).__name__} for {name}; wanted a harness.trained.TrainedModel, or None"
            )
        store = plugins.store(Path(folder) / "replay.duckdb")
        made_id = register(store, made)
        (row,) = (row for row in load_results(store.path).trained(all=True).to_pylist() if row["id"] == made_id)
    found: dict[str, Any] = row
    return found


def _print(old: Mapping[str, Any], found: Comparison, tolerance: float, good: bool, timed: bool, as_json: bool) -> None:
    from harness.cli.output import print_json, print_table

    if as_json:
        about = {name: old[name] for name in ("configuration", "model", "mode", "task")}
        answer = {"equal": good, "weights": found.weights, "changed": found.changed, "numbers": found.numbers}
        print_json({"trained": old["id"], **about, **answer})
        return
    for name, (was, now) in found.changed.items():
        click.echo(f"{name} differs: it was {was}, it is {now}")
    place = f" on {old['suite']}:{old['task']}" if old["task"] else ""
    shown = [{**line, **{name: _shown(line[name]) for name in ("stored", "now")}} for line in found.numbers]
    if shown:
        print_table(shown, ["name", "stored", "now", "difference"], title=f"{old['model']}, {old['mode']}{place}")
    if timed:
        click.echo(f"the budget is a time, {old['budget']}: weights are not compared")
    elif found.weights:
        click.echo("weights: the same bits" if found.weights == "equal" else "weights: they differ")
    if good:
        click.echo("equal" if found.weights == "equal" and not timed else f"equal within {tolerance:g}")
    elif found.measured:
        click.echo(f"NOT equal: the largest relative difference is {found.worst:.3g}, allowed is {tolerance:g}")
    else:
        click.echo("NOT equal: the weights are others, and no numbers were noted to tell how far")


def _shown(value: Any) -> Any:
    return f"{len(value)} numbers, the last {value[-1]}" if isinstance(value, list) and value else value
