"""What is known of the environments on this machine, without starting any of them."""

from __future__ import annotations

import inspect
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NoReturn

from harness.cache import cache_folder
from harness.types import ModelInfo

__all__ = ["RECORD", "Environment", "all_environments", "damaged", "environments_folder", "foreign_variables", "latest", "normal"]

RECORD = "environment.json"
LEADING_HERE = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
"""Variables that would lead a process of an environment to the packages of this one."""


def foreign_variables(*also: str) -> dict[str, str]:
    """The environment variables for a process of another environment: all but those that would lead it here, and but these."""
    return {**{k: v for k, v in os.environ.items() if k not in (*LEADING_HERE, *also)}, "PYTHONNOUSERSITE": "1"}


def environments_folder() -> Path:
    """The folder of all environments."""
    return cache_folder() / "environments"


def normal(distribution: str) -> str:
    """A distribution's name in the one spelling that packaging compares: lower case, "-" for runs of "-", "_" and "."."""
    parts = distribution.lower().replace("_", "-").replace(".", "-").split("-")
    return "-".join(part for part in parts if part)


@dataclass(frozen=True)
class Environment:
    """A built environment. `facts` is its `environment.json`, or what a build is about to write there."""

    folder: Path
    facts: Mapping[str, Any]

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def distribution(self) -> str:
        """The plugin's distribution, as it calls itself."""
        return str(self.facts["distribution"])

    @property
    def requirement(self) -> str:
        """What was asked for: a folder, or a requirement as pip takes it; `harness env build` takes it again."""
        return str(self.facts["requirement"])

    @property
    def key(self) -> str:
        """The name of its folder."""
        return self.folder.name

    @property
    def models(self) -> list[Mapping[str, Any]]:
        """What its plugin registers, as `harness.describe` wrote it."""
        return list(self.facts["description"]["models"])

    @property
    def names(self) -> list[str]:
        """The normal names under which it is known: its distribution, plugins and models."""
        inside = (text for m in self.models for text in (m["plugin"], m["info"]["name"]))
        return [normal(name) for name in (self.distribution, *inside)]

    @property
    def wrappers(self) -> Mapping[str, str]:
        """Plugins there that take part in predict or finetune, with the digests of their sources."""
        return dict(self.facts["description"]["wrappers"])

    def source(self, plugin: str) -> str:
        """The digest of a plugin's Python files there."""
        return str(self.facts["description"]["sources"].get(plugin, ""))

    def lock(self) -> list[str]:
        """The pinned requirements it was built from, a line each; none where they cannot be read."""
        try:
            return (self.folder / "lock.txt").read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return []


def read(folder: Path) -> Environment | None:
    """The environment in a folder; None where it was never finished, or was written by another version."""
    try:
        facts = json.loads((folder / RECORD).read_bytes())
        found = Environment(folder, facts)
        if facts["format"] != FORMAT or not found.python.exists():
            return None
        for model in found.models:
            info_of(model)
        described = facts["description"]
        if not all(isinstance(described[key], dict) for key in ("wrappers", "sources", "files", "versions")):
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None
    return found


FORMAT = 2
"""Of environment.json: one that says another number is built anew."""


def all_environments() -> list[Environment]:
    """Every finished environment, by distribution, the newest first."""
    try:
        folders = [key for name in environments_folder().iterdir() if name.is_dir() for key in name.iterdir()]
    except OSError:
        return []
    found = [e for folder in folders if folder.is_dir() and (e := read(folder)) is not None]
    found.sort(key=lambda e: str(e.facts["built_at"]), reverse=True)
    return sorted(found, key=lambda e: normal(e.distribution))


def damaged() -> list[Path]:
    """Folders that are no environment, or none any more: being built, never finished, changed since, or of an older harness."""
    try:
        folders = [key for name in environments_folder().iterdir() if name.is_dir() for key in name.iterdir() if key.is_dir()]
    except OSError:
        return []
    return sorted(folder for folder in folders if folder.suffix != ".tmp" and read(folder) is None)


def latest() -> dict[str, Environment]:
    """The newest environment of each distribution, by its normal name."""
    newest: dict[str, Environment] = {}
    for each in all_environments():
        newest.setdefault(normal(each.distribution), each)
    return newest


def info_of(model: Mapping[str, Any]) -> ModelInfo:
    """The `ModelInfo` that a description holds as JSON; what a newer version of the harness may add to it is left out.

    Raises:
        TypeError, ValueError, KeyError: it is none.
    """
    known = {f.name for f in fields(ModelInfo)}
    values: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in model["info"].items() if k in known}
    return ModelInfo(**values)


class Elsewhere:
    """Stands for a model's factory that lives in another environment: it tells its parameters, and makes nothing here."""

    def __init__(self, model: Mapping[str, Any], environment: Environment) -> None:
        self._name, self._environment = model["info"]["name"], environment
        taken = model["takes"]
        if taken is not None:
            self.__signature__ = inspect.Signature([_parameter(each) for each in taken])

    def __call__(self, **params: Any) -> NoReturn:
        from harness.errors import UsageError

        del params
        raise UsageError(
            f"model '{self._name}' lives in an environment of its own ({self._environment.folder}) and cannot run in this process; "
            "leave --isolation out"
        )


def _parameter(told: Mapping[str, Any]) -> inspect.Parameter:
    kind = inspect.Parameter.VAR_KEYWORD if told["kind"] == "any" else inspect.Parameter.KEYWORD_ONLY
    default = inspect.Parameter.empty if kind is inspect.Parameter.VAR_KEYWORD or not told["optional"] else _Shown(told["default"])
    return inspect.Parameter(told["name"], kind, default=default)


class _Shown:
    """A default value that is known by its text alone."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text
