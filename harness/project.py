"""A plugin's folder, as it is typed, and its pyproject.toml, read in one way for an environment of its own and for checks of the folder."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError, describe
from harness.files import expanded, expanded_home

__all__ = ["GROUP", "Project", "named_folder", "read_project"]

GROUP = "harness"
"""The group of entry points that makes a distribution a plugin."""
NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
PLACE = re.compile(r"[A-Za-z0-9._-]+\s*@\s*[A-Za-z][A-Za-z0-9+.-]*:")
"""How a requirement with an address begins: its slashes are no folder's."""
EXTRAS = re.compile(r"(.+?)(\[[A-Za-z0-9._, -]+\])", re.DOTALL)


@dataclass(frozen=True)
class Project:
    """What a plugin's pyproject.toml says; `entries` {plugin: "module" or "module:object"}."""

    file: Path
    distribution: str
    version: str
    entries: Mapping[str, str]
    requires: tuple[str, ...]


def named_folder(text: str) -> tuple[Path, str] | None:
    """The folder that a text means, and extras in brackets behind it; None for a text that is a name or a requirement.

    A folder is written with a slash, or is "." or "..", or begins with "~"; what stands in brackets does not count. So a folder never takes
    the place of a plugin of its name, whatever the working folder is. It need not exist; where it does with its brackets, they are its own.

    >>> named_folder("./mine[cpu]"), named_folder("mine"), named_folder("ttm[weights=a/b]"), named_folder("mine @ file:///mine")
    ((PosixPath('mine'), '[cpu]'), None, None, None)

    Raises:
        UsageError: there is no home that "~" could stand for.
    """
    head = text.partition("[")[0]
    if not (os.sep in head or head in (".", "..") or head.startswith("~")) or PLACE.match(head):
        return None
    whole, match = expanded_home(text, f"the folder {text}", "./FOLDER or /FOLDER"), EXTRAS.fullmatch(text)
    # Not Path.is_dir(): that raises for a text too long to be a path.
    return (whole, "") if match is None or os.path.isdir(whole) else (expanded(match[1]), match[2])  # noqa: PTH112


def read_project(folder: Path) -> Project:
    """Read the pyproject.toml of a plugin's folder.

    Raises:
        UsageError: there is none, or none that names a plugin of the harness.
    """
    file = folder / "pyproject.toml"
    if not os.path.isfile(file):  # noqa: PTH113
        raise UsageError(f"there is no {file}; wanted the folder of a plugin. To make one: harness new plugin NAME")
    try:
        content = tomllib.loads(file.read_text(encoding="utf-8"))
        project = content["project"]
        name, entries = project["name"], project.get("entry-points", {}).get(GROUP, {})
        version, requires = str(project.get("version", "0")), tuple(map(str, project.get("dependencies", ())))
        if not isinstance(name, str) or not NAME.fullmatch(name) or not all(isinstance(e, str) for e in entries.values()):
            raise ValueError("wanted [project] with a name, and entry points that are text")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(f"{file} cannot be read as that of a plugin: {describe(error)}") from None
    if not entries:
        raise UsageError(
            f'{file} names no plugin; wanted a table [project.entry-points.{GROUP}] with a line such as mymodel = "harness_mymodel"'
        )
    return Project(file, name, version, dict(entries), requires)
