"""`harness doctor`: is this installation whole, and does it compute what it must?"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import HarnessError, PluginError
from harness.plugins import INSTALL_SIMPLEST, Plugins, load

__all__ = ["Line", "examine"]

KNOWN = ("quick", "hospital/M/short", "seasonal_naive", "MASE[0.5]", 0.9205278266364776)
"""Suite, task, model, metric and the published score that it must have."""


@dataclass(frozen=True)
class Line:
    """One finding: "ok", "note" (nothing wrong, worth knowing) or "bad"."""

    state: str
    text: str
    error: type[HarnessError] = HarnessError  # what a "bad" line is, for the exit code


def examine(db: Path, sentinels: bool = False) -> Iterator[Line]:
    """All checks, in the order in which a user would want them; with `sentinels` those of `harness.sentinels` too."""
    yield Line("ok", f"Python {platform.python_version()} on {platform.platform()}, {os.cpu_count()} cores")
    for name in ("ts-harness", "numpy", "pyarrow", "duckdb", "pandas"):
        yield Line("ok", f"{name} {importlib.metadata.version(name)}")
    plugins = load()
    yield from _plugins(plugins)
    yield from _data()
    yield from _database(plugins, db)
    yield from _known_answer(plugins)
    if sentinels:
        from harness.sentinels import examine_sentinels

        yield from examine_sentinels(plugins)


def _plugins(plugins: Plugins) -> Iterator[Line]:
    yield Line(
        "ok" if plugins.models else "note",
        f"{len(plugins.models)} models: {', '.join(sorted(plugins.models)) or f'none; the simplest ones: {INSTALL_SIMPLEST}'}",
    )
    yield Line("ok" if plugins.suites else "bad", f"{len(plugins.suites)} suites: {', '.join(sorted(plugins.suites))}")
    for failure in plugins.failures.values():
        yield Line("bad", str(failure), PluginError)
    wrappers = plugins.wrappers()
    if wrappers:
        yield Line("note", f"these plugins take part in predict or finetune: {', '.join(wrappers)}")


def _data() -> Iterator[Line]:
    folder = os.environ.get("GIFT_EVAL")
    if folder is None:
        yield Line("note", "GIFT_EVAL is not set: suite gift-eval has no data; fetch some with: harness data pull gift-eval")
    elif not Path(folder).is_dir():
        yield Line("bad", f"GIFT_EVAL={folder}: there is no such folder")
    else:
        yield Line("ok", f"GIFT_EVAL={folder}; what is there: harness data verify")


def _database(plugins: Plugins, db: Path) -> Iterator[Line]:
    free = shutil.disk_usage(db.parent if db.parent.is_dir() else Path.cwd()).free / 2**30
    yield Line("ok" if free > 1 else "bad", f"{free:.1f} GiB free where {db} is")
    if not db.exists():
        yield Line("note", f"no results database at {db} yet; the first run makes it")
        return
    try:
        store = plugins.store(db)
        store.check()
        cells = store.query("SELECT count(*) AS n FROM main.cells").to_pylist()[0]["n"]
        waiting = len(list(store.spool.glob("*.parquet"))) if store.spool.is_dir() else 0
        yield Line("ok", f"{db}: {cells} cells" + (f", {waiting} more wait in the spool" if waiting else ""))
    except HarnessError as error:
        yield Line("bad", str(error))


def _known_answer(plugins: Plugins) -> Iterator[Line]:
    from harness.api import evaluate

    suite, task, model, metric, wanted = KNOWN
    if model not in plugins.models or suite not in plugins.suites:
        hint = "" if model in plugins.models else f"; to have the model: {INSTALL_SIMPLEST}"
        yield Line("note", f"no self-test: it needs model {model} and suite {suite}{hint}")
        return
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of plugins that are broken: said above
            got = evaluate(model, task, suite=suite).scores[metric]
    except HarnessError as error:
        yield Line("bad", f"self-test: {error}")
        return
    good = abs(got / wanted - 1) < 1e-6
    yield Line("ok" if good else "bad", f"self-test: {metric} of {model} on {task} is {got:.10g}, published {wanted:.10g}")
