"""What decides a number, hashed: two cells with one id give the same result, and a result whose id no longer holds is stale."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from harness import scoring
from harness.cells import Cell
from harness.plugins import Plugins, Registered, iterate_sources
from harness.types import ModelInfo, Task

__all__ = ["make_cell", "source_digest"]


def digest(value: object) -> str:
    """32 hexadecimal digits over a value's canonical JSON."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


@functools.cache
def _module_digest(module: object) -> str:
    state = hashlib.blake2b(digest_size=16)
    for path in iterate_sources(module):
        state.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return state.hexdigest()


def source_digest(plugins: Plugins, plugin: str) -> str:
    """A hash of the plugin's Python files, "" for one without files."""
    module = plugins.pm.get_plugin(plugin)
    return _module_digest(module) if module is not None else ""


def make_cell(
    plugins: Plugins,
    task: Task,
    fingerprint: str,
    model: Registered[ModelInfo],
    params: Mapping[str, Any],
    *,
    mode: str = "zero-shot",
    budget: str = "",
    seed: int = 0,
    scope: str = "",
    batch_size: int | None = None,
) -> Cell:
    """The cell of one model on one task, with its id."""
    info = model.info
    identity: dict[str, Any] = {
        "task": asdict(task),
        "data": fingerprint,
        "model": info.name,
        "version": info.version or model.version,
        "source": source_digest(plugins, model.plugin),
        "weights": info.weights_digest,
        "params": dict(params),
        "files": {name: file_digest(Path(value)) for name, value in params.items() if _is_path(value)},
        "mode": mode,
        "budget": budget,
        "seed": seed,
        "scope": scope,
        "scoring": scoring.VERSION,
        "metrics": {name: source_digest(plugins, m.plugin) for name, m in plugins.metrics.items() if m.info.statistics is not None},
        "wrappers": {name: source_digest(plugins, name) for name in plugins.wrappers() if name != model.plugin},
    }
    if info.batch_dependent:
        identity["batch_size"] = batch_size
    return Cell(
        id=digest(identity),
        task=task,
        model=label(info.name, params),
        model_name=info.name,
        params=dict(params),
        mode=mode,
        budget=budget,
        seed=seed,
        scope=scope,
        identity=identity,
    )


def _is_path(value: object) -> bool:
    return isinstance(value, str) and "/" in value and Path(value).exists()


def file_digest(path: Path) -> str:
    """A hash of a file's bytes, or of all files below a folder: a parameter that names weights counts by their content."""
    state = hashlib.blake2b(digest_size=16)
    for file in [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file()):
        state.update(file.name.encode() + b"\0")
        with file.open("rb") as handle:
            while chunk := handle.read(1 << 20):
                state.update(chunk)
    return state.hexdigest()


def label(name: str, params: Mapping[str, Any]) -> str:
    """How a model with parameters is written: "ttm[context=512,head=2]", sorted."""
    return name if not params else f"{name}[{','.join(f'{k}={params[k]}' for k in sorted(params))}]"
