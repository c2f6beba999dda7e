"""What a result must say of itself so that somebody else can check it: the row of the table `cells`."""

from __future__ import annotations

import contextlib
import datetime
import functools
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import __version__
from harness.cells import Cell, Outcome
from harness.contamination import UNKNOWN, Mark, first_label, mark
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
    "training_corpora_complete",
)  # fmt: skip
"""What a store keeps of a model beside its results, under `ModelInfo`'s own names."""

FROM_WEIGHTS = ("zero-shot", "pretrained", "fine-tuned")
"""Types of models that have weights before they see a task."""


def as_used(declared: Mapping[str, Any], mode: str, own_weights: str = "") -> dict[str, Any]:
    """What is known of the weights that a result is of.

    A model with weights of its own (it gives their digest, or where they are published) describes these. Where the parameter `weights`
    names others, nothing is known of them: least of all that they never saw a test series. Mode `full` takes no weights. A model that was
    tuned on the training part (`finetune`, `few-shot`) is "fine-tuned"; one that adapts to the context alone (`ttt`) is what it was.

    Args:
        declared: by the names of `ModelInfo`'s fields.
        own_weights: their digest, or another text where one is not known; "" = the model's own.
    """
    out, kind = dict(declared), declared.get("model_type")
    unknown = {"weights": "", "weights_license": "", "training_corpora": [], "training_corpora_complete": False, "training_cutoff": ""}
    if mode == "full":
        return {**out, **unknown, "weights_digest": "", "model_type": "deep-learning" if kind in FROM_WEIGHTS else kind}
    if own_weights and (declared.get("weights_digest") or str(declared.get("weights", "")).startswith("hf:")):
        out |= {**unknown, "weights_digest": own_weights, "parameters": None, "model_type": kind if kind == "agentic" else ""}
    if mode.partition(":")[0] in ("finetune", "few-shot") and kind in FROM_WEIGHTS:
        out["model_type"] = "fine-tuned"
    return out


def cell_record(
    cell: Cell,
    data: TaskData | None,
    model: Registered[ModelInfo],
    outcome: Outcome,
    facts: Facts,
    **more: Any,
) -> dict[str, Any]:
    """All columns of `harness.spool.CELL_FIELDS`, with "scores"; `more` gives those that only the runner knows."""
    task, where = cell.task, model.environment
    declared = {
        **{name: getattr(model.info, name) for name in OF_MODEL},
        "training_corpora": list(model.info.training_corpora),
        "link": model.info.url,
        "extra": dict(model.info.extra),
    }
    used = as_used(declared, cell.mode, cell.identity["files"].get("weights", ""))
    seen = _mark(cell, data, model.info)
    receipt = {
        "machine": machine(),
        "versions": more.pop("versions", {}),
        "data_folder": more.pop("data_folder", ""),
        "notes": facts.notes,
        **({"environment": {"key": where.key, "python": where.facts["description"]["python"]}} if where else {}),
        **{name: used[name] for name in ("license", "weights_license", "weights", "parameters", "training_corpora")},
        "contamination": {"state": seen.state, "reason": seen.reason, "sources": list(task.sources)},
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
        "weights_digest": used["weights_digest"],
        "identity": dict(cell.identity),
        "batch_size": facts.batch_size,
        "crossings": facts.crossings,
        "output": facts.output or model.info.output,
        "finished_at": now(),
        "fit_s": facts.fit_s,
        "predict_s": facts.predict_s,
        "score_s": facts.score_s,
        "peak_rss_mb": facts.peak_rss_mb,
        "receipt": receipt,
        "contamination": seen.state,
        "contamination_reason": seen.reason,
        "fallback": facts.fallback / len(data) if outcome.status == "ok" and data is not None and len(data) else None,
        "scores": dict(outcome.scores),
        "model_info": declared,
        **more,
    }


def _mark(cell: Cell, data: TaskData | None, info: ModelInfo) -> Mark:
    """Whether the model may have seen the labels of the cell's task."""
    if members := cell.identity.get("uses"):
        return Mark(UNKNOWN, f"made of forecasts of {', '.join(members)}: it has seen what these have")
    named = str(cell.params.get("weights") or "")
    own = bool(named) and cell.identity["files"].get("weights", named) != info.weights_digest
    return mark(
        {name: getattr(info, name) for name in (*OF_MODEL, "training_corpora")},
        cell.task.sources,
        mode=cell.mode,
        own_weights=own,
        labels_from=first_label(data) if info.training_cutoff else None,
    )
