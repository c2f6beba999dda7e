"""Records of trained models: what was learnt from what, how, and where the weights are; the table `trained` of the results database.

A run records each training on a task's data (modes finetune, few-shot, full). A command that trains without a run adds its own:

    from harness.trained import TrainedModel, register

    register("harness.duckdb", TrainedModel("ttm", path="weights/", params={"context": 512}, data="my corpus, 3f2a", metrics={"loss": 0.1}))

Records go through the spool as cells do. One that is stored is never taken back: the record of a superseded cell stays.
"""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness import spool
from harness.cells import Cell
from harness.errors import HarnessError, UsageError
from harness.identity import digest, file_digest, label, source_digest, weight_digests
from harness.mappings import mapping
from harness.plugins import load
from harness.receipt import machine, now
from harness.saved import model_folder
from harness.store import Store

__all__ = ["TrainedModel", "folder_of", "of_cell", "register", "trained_id", "usage"]

LEARNT_FROM = (
    "task", "data", "scope", "model", "version", "source", "weights", "params", "files", "mode", "budget", "seed", "wrappers",
)  # fmt: skip
"""Parts of a cell's identity that decide what a model learns: all but how forecasts are scored."""


@dataclass(frozen=True)
class TrainedModel:
    """A trained model as it is to be recorded; what is left empty is found out, or stays unknown. See docs/store.md, table `trained`."""

    model: str  # as registered, without parameters: "ttm"
    path: str | Path = ""  # folder or file of the weights; "" = they were not kept
    params: Mapping[str, Any] = field(default_factory=dict)  # what the factory was given
    mode: str = "pretrain"
    parent: str = ""  # model and weights digest that training started from: "ttm@3f2a…"; "" = from nothing
    version: str = ""  # "" = that of the registered model, where it is registered
    suite: str = ""
    task: str = ""
    budget: str = ""
    seed: int = 0
    data: str = ""  # what it learnt from: name and fingerprint
    configuration: str = ""  # hash of all that decides what is learnt; "" = made from the fields above and the plugin's source
    metrics: Mapping[str, Any] = field(default_factory=dict)  # numbers of the training: "fit_s", losses
    environment: Mapping[str, Any] = field(default_factory=dict)  # beside what is known of this machine; what `retrain` needs
    created: str = ""  # ISO 8601, UTC; "" = now
    cell_id: str = ""
    run_id: str = ""


def trained_id(cell_id: str, run_id: str, fold: int = 0) -> str:
    """The id of a model that a run trained for a fold of a cell: 32 hexadecimal digits."""
    return digest({"cell": cell_id, "run": run_id, **({"fold": fold} if fold else {})})


def register(db: Store | str | Path, trained: TrainedModel) -> str:
    """Record a model that was trained without a run, as by a pre-training; return the record's id.

    The same configuration at the same path has the same id: a later record replaces the earlier one.

    Args:
        db: the results database, made if it is not there, or an open store.

    Raises:
        UsageError: there is nothing at `path`, or `model` is not a name.
        StoreError: the database cannot be used.
    """
    store = load().store(Path(db)) if isinstance(db, str | os.PathLike) else db
    if not trained.model or "[" in trained.model:
        wanted = "wanted the name of a model as registered, its parameters in params="
        raise UsageError(f"got a trained model called {trained.model!r}; {wanted}")
    if trained.path and not Path(trained.path).exists():
        raise UsageError(f"there is nothing at {trained.path}; save the weights first, or leave path= out")
    store.check()
    row = _row(store, _completed(trained))
    row["id"] = digest({"configuration": row["configuration"], "path": row["path"]})
    spool.write_trained(store.spool, row)
    store.ingest()
    return str(row["id"])


def of_cell(
    store: Store, cell: Cell, run_id: str, begun: Mapping[str, Any], path: Path | None, environment: Mapping[str, Any], fold: int = 0
) -> dict[str, Any]:
    """The row of a model that was trained for a fold of a cell.

    Args:
        begun: what `harness.worker.Session.begin` answered.
        path: where its weights were to be saved; None = they are not wanted.
    """
    identity = cell.identity
    task = " ".join(filter(None, (cell.task.name, cell.scope, identity["data"])))
    learnt_from = {name: identity[name] for name in LEARNT_FROM}
    metrics = {**{k: v for k, v in begun["noted"].items() if k != "unsaved"}, "fit_s": begun["fit_s"], **({"fold": fold} if fold else {})}
    if begun["unsaved"]:
        metrics["unsaved"] = begun["unsaved"]
    trained = TrainedModel(
        model=cell.model_name,
        path=path if path is not None and not begun["unsaved"] else "",
        params=cell.params,
        mode=cell.mode,
        parent="" if cell.mode == "full" else _start(cell),
        version=identity["version"],
        suite=cell.task.suite,
        task=cell.task.name,
        budget=cell.budget,
        seed=cell.seed,
        data=task,
        configuration=digest({**learnt_from, **({"fold": fold} if fold else {})}),
        metrics=metrics,
        environment={**environment, "learnt_from": learnt_from},
        cell_id=cell.id,
        run_id=run_id,
    )
    return {**_row(store, trained), "id": trained_id(cell.id, run_id, fold)}


def _start(cell: Cell) -> str:
    """What training starts from: "ttm@3f2a…" where the weights' digest is known, else "ttm[weights=r2]" or "ttm"."""
    found = cell.identity["files"].get("weights")
    if found is None and "weights" in cell.params:  # the name of some weights that the model knows
        return label(cell.model_name, {"weights": cell.params["weights"]})
    known = found or cell.identity["weights"]
    return f"{cell.model_name}@{known}" if known else cell.model_name


def _completed(trained: TrainedModel) -> TrainedModel:
    """With version and configuration, as far as the model is registered here."""
    plugins = load()
    from harness.worker import versions  # not before: it costs the imports of a worker

    known = plugins.models.get(trained.model)
    version = trained.version or (known.info.version or known.version if known else "")
    decides = {name: getattr(trained, name) for name in ("model", "params", "mode", "parent", "suite", "task", "budget", "seed", "data")}
    source = source_digest(plugins, known.plugin) if known else ""
    of_plugin = {"source": source, "versions": versions(known.distribution)} if known else {}
    return replace(
        trained,
        version=version,
        configuration=trained.configuration or digest({**decides, "version": version, "source": source}),
        environment={**of_plugin, **trained.environment},
    )


def _row(store: Store, trained: TrainedModel) -> dict[str, Any]:
    """All columns of `harness.spool.TRAINED_FIELDS` but the id."""
    facts = machine()
    weights, files = "", {}
    with contextlib.suppress(HarnessError):  # a folder of thousands of files is a model's own affair
        weights = file_digest(str(trained.path)) if trained.path else ""
        files = weight_digests(str(trained.path)) if trained.path else {}
    same = ("parent", "version", "suite", "task", "mode", "budget", "seed", "data", "configuration", "cell_id", "run_id")
    return {
        **{name: getattr(trained, name) for name in same},
        "created": trained.created or now(),
        "model": label(trained.model, trained.params),
        "model_name": trained.model,
        "params": dict(trained.params),
        "git": facts.get("git", ""),
        "environment": {
            **{name: value for name, value in facts.items() if name != "git"},
            **trained.environment,
            **({"weight_files": files} if files else {}),
        },
        "metrics": dict(trained.metrics),
        "path": _stored(store, Path(trained.path)) if trained.path else "",
        "weights_digest": weights,
    }


def _stored(store: Store, path: Path) -> str:
    """A path as the table has it: relative for what lies beside the database, so that both can be moved together."""
    whole, folder = Path(os.path.abspath(path)), Path(os.path.abspath(model_folder(store)))  # noqa: PTH100 - links stay as they are
    return f"{folder.name}/{whole.name}" if whole.parent == folder else str(whole)


def folder_of(store: Store, row: Mapping[str, Any]) -> Path | None:
    """Where the weights of a row of `trained` lie, whether they are there or not; None where they were not kept.

    What is beside the database is found by its last part alone: a relative path of a stranger's database leads nowhere else.
    """
    path = str(row["path"] or "")
    if not path or path.startswith("/"):
        return Path(path) if path else None
    name = Path(path).name
    return Path(os.path.abspath(model_folder(store) / name)) if name not in ("", "..") else None  # noqa: PTH100


def usage(store: Store, row: Mapping[str, Any]) -> str:
    """The command that forecasts with a row of `trained` the task it was learnt on; "" where its weights were not kept, or are gone."""
    folder = folder_of(store, row)
    if folder is None or not os.path.exists(folder):  # noqa: PTH110 - false, and no error, for a name that no file can have
        return ""
    # Low-rank factors alone are of use beside the weights that they were trained on.
    factors = (folder / "adapter_config.json").is_file() and not (folder / "config.json").exists()
    takes = "adapter" if factors else "weights"
    params = {name: value for name, value in mapping(row["params"]).items() if name not in ("adapter", takes)}
    model, name = label(row["model_name"], params), row["model_name"]
    where = [part for option, value in (("-s", row["suite"]), ("-t", row["task"])) if value for part in (option, value)]
    return shlex.join(["harness", "run", "-m", model, "-M", f"{name}:{takes}={folder}", *where])
