"""Running a stored cell again, beside the store: what `harness replay` compares with."""

from __future__ import annotations

import glob
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.errors import DataError, HarnessError, PluginError, StoreError, Unavailable, Unsupported, UsageError
from harness.mappings import mapping

if TYPE_CHECKING:
    from harness.cells import Outcome
    from harness.plan import Plan, RunSpec
    from harness.plugins import Plugins
    from harness.store import Store

__all__ = ["Repeated", "check_outcome", "repeat"]


class Repeated(NamedTuple):
    """A cell that was run again: how it ended, what decides its numbers now, and the rows of `trained` that it made."""

    outcome: Outcome
    identity: Mapping[str, Any]
    trained: list[dict[str, Any]]


def repeat(old: Mapping[str, Any], data: Path | None, kept: Store, *, save_models: bool = False) -> Repeated:
    """Run a cell as it was run then.

    Args:
        old: its row of `cells`, or as much of it: model, model_name, params, suite, task, scope, mode, budget, seed; and where they are
            known identity, receipt, threads, device, isolation.
        data: folder of the suite's data; None is that of the stored run.
        kept: the store, for a model that is made of kept forecasts.
        save_models: also write what is trained, so that its rows have a digest; it is removed again.

    Raises:
        UsageError: the folder given does not exist.
        Unavailable, PluginError: the cell cannot be run here; says why.
        StoreError: the run ended before the cell.
    """
    from harness.api import load as load_results
    from harness.plugins import load
    from harness.progress import Progress
    from harness.runner import execute

    plugins = load()
    spec = _spec(old, data, save_models)
    with tempfile.TemporaryDirectory(prefix="harness-replay-") as folder:
        store = plugins.store(Path(folder) / "replay.duckdb")
        store.check()
        plan = _plan(plugins, spec, old, kept)
        report = execute(plan.plugins, spec, plan, store, Progress(), ["replay"])
        if report.run.status == "interrupted":
            raise KeyboardInterrupt
        trained = load_results(store.path).trained(all=True).to_pylist() if old["mode"] != "zero-shot" else []
    outcome = report.outcomes.get(plan.cells[0].id)
    if outcome is None:
        raise StoreError(f"the cell could not be run again: {report.problem or 'the run ended before it'}")
    return Repeated(outcome, plan.cells[0].identity, trained)


def check_outcome(outcome: Outcome) -> None:
    """Raise DataError, Unsupported or PluginError where a cell came to nothing."""
    if outcome.status != "ok":
        kinds: dict[str, type[HarnessError]] = {"data": DataError, "unsupported": Unsupported}
        raise kinds.get(outcome.failure, PluginError)(f"the cell could not be run again: {outcome.reason}")


def _plan(plugins: Plugins, spec: RunSpec, old: Mapping[str, Any], kept: Store) -> Plan:
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


def _spec(old: Mapping[str, Any], data: Path | None, save_models: bool) -> RunSpec:
    from harness.spec import make_spec

    if data is not None and not data.is_dir():
        raise UsageError(f"--data {data}: there is no such folder")
    if data is None and (stored := mapping(old.get("receipt")).get("data_folder")):
        data = Path(stored)
        if not data.is_dir():
            raise Unavailable(f"the data is not here: the stored run read it from {data}, which is gone. Name another folder with --data")
    return make_spec(
        models=[old["model_name"]],
        model_args=[f"{k}={json.dumps(v)}" for k, v in mapping(old["params"]).items()],
        suites=[old["suite"]],
        tasks=[glob.escape(old["task"])],
        limit=old["scope"].removeprefix("limit=").partition(",")[0],
        modes=[old["mode"]],
        budget=old["budget"] or "",
        seeds=[old["seed"]],
        batch_size=mapping(old.get("identity")).get("batch_size"),
        threads=old.get("threads") or None,
        device=old.get("device") or None,
        isolation=old.get("isolation") or None,
        data=data,
        save_models=save_models,
    )
