"""What an environment is to be built for: a plugin's folder, a plugin that is installed here, or a requirement as pip takes it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from harness.environments.record import all_environments, normal
from harness.errors import UsageError, suggest
from harness.plugins import BUILT_IN, Plugins
from harness.project import named_folder, read_project

__all__ = ["Target", "find_target"]

REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?P<extras>\[[A-Za-z0-9._, -]*\])?\s*(?P<rest>(?:[<>=!~@]).*)?"
)
LOCK = "harness-lock.txt"
"""A file beside a plugin's pyproject.toml with pinned versions, which its environments are then built with."""


@dataclass(frozen=True)
class Target:
    """A distribution and where to get it."""

    distribution: str
    requirement: str  # as typed the next time: a folder, or a requirement
    folder: Path | None = None  # of its sources, installed so that an edit counts at once
    extras: str = ""  # "[torch]"

    @property
    def resolve(self) -> str:
        """How pip and uv are told to find out what it requires."""
        return f"{self.distribution}{self.extras} @ {self.folder.as_uri()}" if self.folder else self.requirement

    @property
    def lock(self) -> Path | None:
        """The lock that comes with it, if it has one."""
        path = self.folder / LOCK if self.folder else None
        return path if path is not None and path.is_file() else None


def find_target(plugins: Plugins, text: str) -> Target:
    """Read what was typed after `harness env build`.

    Args:
        text: a folder with a pyproject.toml; a plugin, model or distribution that is here; or a requirement with a version or a place
            ("harness-timesfm==1.2", "harness-x @ file:///…"). A name may be followed by extras in brackets.

    Raises:
        UsageError: none of these.
    """
    if (named := named_folder(text)) is not None:
        folder, extras = named[0].resolve(), named[1]
        path = str(folder)
        if len(path.splitlines()) != 1 or path != path.encode("utf-8", "replace").decode():
            # Python is told of the folder in a file of paths, one a line, in UTF-8.
            raise UsageError(f"got the folder {path!r}; wanted a path of one line in UTF-8, for pip and uv: rename or move it")
        return Target(_project_name(folder), f"{folder}{extras}", folder, extras)
    match = REQUIREMENT.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"got {text!r}; wanted a folder with a slash, as in ./FOLDER, a name, or a requirement such as harness-timesfm==1.0"
        )
    if match["rest"]:
        return Target(match["name"], text.strip())
    if installed := _installed(plugins, match["name"]):
        return _from_installed(installed, match["extras"] or "")
    for built in all_environments():
        if normal(match["name"]) in built.names:
            return find_target(plugins, built.requirement)
    known = {*plugins.origins, *plugins.models, *(d for d, _ in plugins.origins.values()), *plugins.failures}
    own = f" There is a folder of that name; for that: harness env build ./{text}." if Path(match["name"]).is_dir() else ""
    raise UsageError(
        f"there is no plugin or model '{match['name']}' here.{suggest(match['name'], known)}{own} To build one from its sources: "
        f"harness env build ./FOLDER; from an index: harness env build {match['name']}==VERSION{plugins.lacking(match['name'])}"
    )


def _project_name(folder: Path) -> str:
    name = read_project(folder).distribution
    if name == BUILT_IN:
        raise UsageError(f"{folder} is the harness itself; an environment gets the worker's part of it anyway. Name a plugin's folder")
    return name


def _installed(plugins: Plugins, name: str) -> str:
    """The distribution here that has this name, or registers a plugin or model of this name; "" where none does."""
    if name in plugins.models and plugins.models[name].environment is None:
        return plugins.models[name].distribution
    for plugin, (distribution, _) in plugins.origins.items():
        if name == plugin or normal(name) == normal(distribution):
            return distribution
    for failure in plugins.failures.values():
        if name == failure.plugin or normal(name) == normal(failure.distribution):
            return failure.distribution
    return ""


def _from_installed(distribution: str, extras: str) -> Target:
    """Where pip says that an installed distribution came from: a folder, an address, or an index."""
    found = importlib.metadata.distribution(distribution)
    told: Mapping[str, object] = {}
    with contextlib.suppress(ValueError, RecursionError):
        told = json.loads(found.read_text("direct_url.json") or "{}")
    url = str(told.get("url", ""))
    if url.startswith("file://") and "dir_info" in told:
        folder = Path(unquote(urlsplit(url).path))
        if folder.is_dir():
            return Target(distribution, f"{folder}{extras}", folder, extras)
    if url and "dir_info" not in told:
        return Target(distribution, f"{distribution}{extras} @ {url}")
    return Target(distribution, f"{distribution}{extras}=={found.version}")
