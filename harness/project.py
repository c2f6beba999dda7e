"""A plugin's pyproject.toml, read once for all: for an environment of its own, and for checks of a folder that is not installed."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError, describe

__all__ = ["GROUP", "Project", "read_project"]

GROUP = "harness"
"""The group of entry points that makes a distribution a plugin."""
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")


@dataclass(frozen=True)
class Project:
    """What a plugin's pyproject.toml says; `entries` {plugin: "module" or "module:object"}."""

    file: Path
    distribution: str
    version: str
    entries: Mapping[str, str]
    requires: tuple[str, ...]


def read_project(folder: Path) -> Project:
    """Read the pyproject.toml of a plugin's folder.

    Raises:
        UsageError: there is none, or none that names a plugin of the harness.
    """
    file = folder / "pyproject.toml"
    if not file.is_file():
        raise UsageError(f"there is no {file}; wanted the folder of a plugin. To make one: harness new plugin NAME")
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
        project = content["project"]
        name, entries = project["name"], project.get("entry-points", {}).get(GROUP, {})
        version, requires = str(project.get("version", "0")), tuple(map(str, project.get("dependencies", ())))
        if not isinstance(name, str) or not NAME.fullmatch(name) or not all(isinstance(e, str) for e in entries.values()):
            raise ValueError("wanted [project] with a name, and entry points that are text")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{file} cannot be read as that of a plugin: {describe(error)}") from None
    if not entries:
        raise UsageError(
            f'{file} names no plugin; wanted a table [project.entry-points.{GROUP}] with a line such as mymodel = "harness_mymodel"'
        )
    return Project(file, name, version, dict(entries), requires)
