"""A plugin's folder as if it were installed: its entry points from its pyproject.toml, its modules where they lie.

Nothing is installed and nothing of the folder is changed: a record of the distribution is written into a temporary folder, and both are put
on the path of the processes that are to find the plugin.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.project import GROUP, Project, read_project

__all__ = ["PluginFolder", "lay_out", "read_folder"]

PLACES = ("", "src", "lib")
"""Where a distribution's modules lie in its folder."""


@dataclass(frozen=True)
class PluginFolder:
    """What a plugin's pyproject.toml says, and the folders in which its modules lie."""

    project: Project
    places: tuple[Path, ...]


def read_folder(path: Path) -> PluginFolder:
    """Read a plugin's folder.

    Raises:
        UsageError: there is no pyproject.toml, or none that names a plugin of the harness, or the module that it names is not there, or
            Python cannot be told of the folder.
    """
    project = read_project(path)
    places = [_place_of(path, entry, project.file) for entry in project.entries.values()]
    if cut := next((place for place in places if os.pathsep in str(place)), None):
        raise UsageError(f"{cut} has {os.pathsep!r} in its name, at which Python's search path is cut; rename or move the folder")
    return PluginFolder(project, tuple(dict.fromkeys(places)))


def _place_of(path: Path, entry: str, file: Path) -> Path:
    """The folder that must be searched for the module of an entry point."""
    top = entry.partition(":")[0].strip().partition(".")[0]
    if not top.isidentifier():
        raise UsageError(f"{file} has the entry point {entry!r}; wanted a module, as in harness_mymodel, or module:object")
    for part in PLACES:
        place = path / part
        if (place / f"{top}.py").is_file() or (place / top).is_dir():
            return place.resolve()
    looked = ", ".join(str(path / part / top) for part in PLACES)
    raise UsageError(
        f"{file} has the entry point {entry!r}, and there is no module {top}; looked for {looked}, a folder or a file with .py"
    )


def lay_out(folder: PluginFolder, site: Path) -> list[str]:
    """Write the record of the distribution into `site`; return what must come first on the path of a process that is to find the plugin."""
    project = folder.project
    stem = re.sub(r"[-_.]+", "_", project.distribution)
    info = site / f"{stem}-{re.sub(r'[^A-Za-z0-9.+!]', '_', project.version)}.dist-info"
    info.mkdir(parents=True)
    lines = ["Metadata-Version: 2.1", f"Name: {project.distribution}", f"Version: {_line(project.version)}"]
    lines += [f"Requires-Dist: {_line(need)}" for need in project.requires]
    (info / "METADATA").write_text("\n".join(lines) + "\n", encoding="utf-8")
    entries = [f"{_line(name)} = {_line(entry)}" for name, entry in project.entries.items()]
    (info / "entry_points.txt").write_text("\n".join([f"[{GROUP}]", *entries]) + "\n", encoding="utf-8")
    return [str(site), *map(str, folder.places)]


def _line(text: str) -> str:
    return " ".join(text.split())
