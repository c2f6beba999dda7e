"""What the plugins of this environment register, as JSON: `python -m harness.describe DISTRIBUTION`.

Run in a plugin's own environment, for a harness elsewhere that cannot import the plugin. On stdout is one document:

    {"models": [{"info": {…}, "takes": [{"name", "kind", "optional", "default"}] or null, "plugin", "version"}],
     "failures": ["…"], "wrappers": {plugin: digest}, "sources": {plugin: digest}, "files": {path: [bytes, mtime in ns]},
     "versions": {distribution: version}, "python": "3.11.2"}
"""

from __future__ import annotations

import inspect
import json
import os
import platform
import sys
from dataclasses import asdict
from typing import Any

from harness.plugins import Plugins, Registered, iterate_sources, module_digest
from harness.types import ModelInfo
from harness.worker import take_stdout, versions

__all__ = ["describe_plugins", "stamps"]


def describe_plugins(plugins: Plugins, distribution: str) -> dict[str, Any]:
    """All that a plan needs to know of a distribution's models without importing it."""
    from harness.environments.record import normal

    own = [m for m in plugins.models.values() if normal(m.distribution) == normal(distribution)]
    # Their factories are asked while a run is planned, in the harness's own environment.
    mine = [m for m in own if not any(callable(getattr(m.factory, name, None)) for name in ("uses", "canonical_params"))]
    left = [f"model '{m.info.name}' is planned by its own factory, so it runs only beside the harness" for m in own if m not in mine]
    names = {m.plugin for m in mine}
    wrappers = {name: module_digest(plugins.pm.get_plugin(name)) for name in plugins.wrappers()}
    modules = {name: plugins.pm.get_plugin(name) for name in sorted({*names, *wrappers})}
    return {
        "models": [_model(m) for m in mine],
        "failures": [*map(str, plugins.failures.values()), *left],
        "wrappers": wrappers,
        "sources": {name: module_digest(module) for name, module in modules.items()},
        "files": {path: facts for module in modules.values() for path, facts in stamps(module).items()},
        "versions": versions(distribution),
        "python": platform.python_version(),
    }


def stamps(module: object) -> dict[str, list[int]]:
    """Size and time of change of each of a plugin's Python files: while these stay, so does its description."""
    found = {}
    for path in iterate_sources(module):
        facts = path.stat()
        found[str(path)] = [facts.st_size, facts.st_mtime_ns]
    return found


def _model(model: Registered[ModelInfo]) -> dict[str, Any]:
    accepted = model.parameters
    takes = None if accepted is None else [_parameter(p) for p in accepted.values() if p.kind is not p.VAR_POSITIONAL]
    return {"info": asdict(model.info), "takes": takes, "plugin": model.plugin, "version": model.version}


def _parameter(parameter: inspect.Parameter) -> dict[str, Any]:
    optional = parameter.default is not parameter.empty
    kind = "any" if parameter.kind is parameter.VAR_KEYWORD else "named"
    return {"name": parameter.name, "kind": kind, "optional": optional, "default": repr(parameter.default) if optional else ""}


def main(distribution: str) -> None:
    """Print the description; whatever a plugin prints goes to stderr."""
    answers = take_stdout()
    print(json.dumps(describe_plugins(Plugins(), distribution), default=str), file=answers, flush=True)
    sys.stderr.flush()
    # Leave at once: threads that a plugin started while it was imported must not hold the process.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1])
