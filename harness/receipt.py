"""What a result must say of itself so that somebody else can check it: the row of the table `cells`."""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness import __version__
from harness.cells import Cell, Outcome
from harness.execute import Facts
from harness.plugins import Registered
from harness.series import TaskData
from harness.types import ModelInfo

__all__ = ["as_used", "cell_record", "machine", "now"]


def now() -> str:
    """The time as ISO 8601, UTC without zone, to the microsecond."""
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None).isoformat(timespec="microseconds")


@functools.cache
def machine() -> dict[str, Any]:
    """This machine and this checkout: hardware, operating system, Python, git commit of the working folder."""
    facts: dict[str, Any] = {
        "harness": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "host": platform.node(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_mb": _memory_mb(),
        "command": sys.argv,
    }
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        git = ["git", "-C", str(Path.cwd()), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
        facts["git"] = subprocess.run(git, capture_output=True, text=True, timeout=5, check=True).stdout.strip()
    return facts


def _cpu() -> str:
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _memory_mb() -> int | None:
    with contextlib.suppress(ValueError, OSError, AttributeError):
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**20)
    return None


OF_TASK = (
    "suite", "dataset", "family", "domain", "freq", "term", "horizon", "season_length", "variates", "dialect", "protocol",
)  # fmt: skip
"""Columns that a cell has from its task, under the task's own names."""

OF_MODEL = (
    "summary", "model_type", "org", "license", "weights_license", "weights", "weights_digest", "parameters", "output", "training_cutoff",
)  # fmt: skip
"""What a store keeps of a model beside its results, under `ModelInfo`'s own names."""


def as_used(info: ModelInfo, cell: Cell) -> ModelInfo:
    """What is known of the weights that a cell was computed with.

    A model that ships with weights (it gives their digest) describes these. Where the parameter `weights` names others, nothing is known
    of them but their digest: least of all that they never saw a test series.
    """
    own = cell.identity["files"].get("weights")
    if not own or not info.weights_digest or own == info.weights_digest:
        return info
    return replace(
        info, weights_digest=own, weights="", weights_license="", parameters=None, training_corpora=(), training_cutoff="", model_type=""
    )


def cell_record(
    cell: Cell,
    data: TaskData | None,
    model: Registered[ModelInfo],
    outcome: Outcome,
    facts: Facts,
    **more: Any,
) -> dict[str, Any]:
    """All columns of `harness.spool.CELL_FIELDS`, with "scores"; `more` gives those that only the runner knows."""
    task, info = cell.task, as_used(model.info, cell)
    receipt = {
        "machine": machine(),
        "versions": more.pop("versions", {}),
        "data_folder": more.pop("data_folder", ""),
        "notes": facts.notes,
        "license": info.license,
        "weights_license": info.weights_license,
        "weights": info.weights,
        "parameters": info.parameters,
    }
    return {
        "cell_id": cell.id,
        "source": "own",
        "task": task.name,
        "model": cell.model,
        "model_name": cell.model_name,
        "params": dict(cell.params),
        "mode": cell.mode,
        "budget": cell.budget,
        "seed": cell.seed,
        "scope": cell.scope,
        "status": outcome.status,
        "failure": outcome.failure,
        "reason": outcome.reason,
        **{name: getattr(task, name) for name in OF_TASK},
        "quantile_levels": list(task.quantile_levels),
        "n_series": 0 if data is None else int((data.slot == 0).sum()),
        "n_windows": 0 if data is None else len(data),
        "scoring": cell.identity["scoring"],
        "data_fingerprint": cell.identity["data"],
        "plugin": model.distribution,
        "plugin_version": model.version,
        "source_digest": cell.identity["source"],
        "weights_digest": info.weights_digest,
        "identity": dict(cell.identity),
        "batch_size": facts.batch_size,
        "crossings": facts.crossings,
        "output": facts.output or info.output,
        "finished_at": now(),
        "fit_s": facts.fit_s,
        "predict_s": facts.predict_s,
        "score_s": facts.score_s,
        "peak_rss_mb": facts.peak_rss_mb,
        "receipt": receipt,
        "scores": dict(outcome.scores),
        "model_info": {
            **{name: getattr(info, name) for name in OF_MODEL},
            "training_corpora": list(info.training_corpora),
            "link": info.url,
            "extra": dict(info.extra),
        },
        **more,
    }
