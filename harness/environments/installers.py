"""pip and uv, in the four things that a build asks of them. What they print goes to the build's log."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from harness.environments import tether
from harness.environments.record import foreign_variables
from harness.errors import PluginError, UsageError
from harness.files import expanded

__all__ = ["INSTALLERS", "Installer", "Log", "choose", "clean_environment"]


def clean_environment() -> dict[str, str]:
    """The variables for an installer: none that would lead it to the packages of this environment, or to another place."""
    return foreign_variables(*ELSEWHERE)


@dataclass(frozen=True)
class Log:
    """Where a build keeps what its commands say, and the lock of the build, which stays held until these have gone."""

    path: Path
    lock: int  # a file descriptor


def call(command: Sequence[str | Path], log: Log, doing: str) -> None:
    """Run a command with its output appended to the log; it ends with this process.

    Raises:
        PluginError: it failed; with the end of what it said.
    """
    with log.path.open("a", encoding="utf-8", errors="backslashreplace") as out:
        out.write(f"$ {shlex.join(map(str, command))}\n")
        out.flush()
        start = out.tell()
        environment = {**clean_environment(), "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
        code, _, _ = tether.run(command, held=[log.lock], stdout=out, stderr=subprocess.STDOUT, env=environment)
    if code:
        said = log.path.read_bytes()[start:].decode("utf-8", "replace").strip()
        lines = [line for line in said.splitlines() if line.strip()]
        raise PluginError(f"{doing} failed:\n" + "\n".join(lines[-LINES:]))


ELSEWHERE = ("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON", "UV_TARGET", "UV_PREFIX", "UV_PYTHON", "UV_SYSTEM_PYTHON")
LINES = 25
"""Of what an installer said, that an error repeats; all of it is in the log."""


class Installer(Protocol):
    """What a build asks of pip or uv; `refuses` are characters in the path of a plugin's folder that it cannot do with."""

    name: str
    refuses: str

    def make(self, folder: Path, python: str, log: Log) -> None:
        """Make an empty virtual environment."""

    def resolve(self, python: Path, wanted: Sequence[str], constraints: Sequence[Path], scratch: Path, log: Log) -> list[str]:
        """All distributions that are to be installed, pinned, one line each: "numpy==2.4.6" or "x @ git+https://…"."""

    def install(self, python: Path, arguments: Sequence[str], log: Log) -> None:
        """Install exactly what is named, nothing that it requires."""

    def check(self, python: Path) -> str:
        """What is wrong between the installed distributions; "" where nothing is."""


class Pip:
    """The standard library's venv and this interpreter's pip, which follows the user's configuration of pip."""

    name, refuses = "pip", ""

    def __init__(self) -> None:
        if importlib.util.find_spec("pip") is None:
            raise UsageError("this Python has no pip; type: python -m ensurepip, or: pip install uv, and --with uv")

    def _pip(self, python: Path) -> list[str]:
        return [sys.executable, "-m", "pip", "--python", str(python)]

    def make(self, folder: Path, python: str, log: Log) -> None:
        call([python, "-m", "venv", "--without-pip", str(folder)], log, "making a virtual environment")

    def resolve(self, python: Path, wanted: Sequence[str], constraints: Sequence[Path], scratch: Path, log: Log) -> list[str]:
        report = scratch / "report.json"
        limits = [word for path in constraints for word in ("-c", str(path))]
        command = [*self._pip(python), "install", "--dry-run", "--ignore-installed", "--report", str(report), *limits, *wanted]
        call(command, log, "finding versions that fit together")
        return [_pinned(item) for item in json.loads(report.read_bytes())["install"]]

    def install(self, python: Path, arguments: Sequence[str], log: Log) -> None:
        call([*self._pip(python), "install", "--no-deps", *arguments], log, "installing")

    def check(self, python: Path) -> str:
        done = subprocess.run([*self._pip(python), "check"], capture_output=True, text=True, env=clean_environment(), check=False)
        return "" if done.returncode == 0 else (done.stdout + done.stderr).strip()


def _pinned(item: Mapping[str, Any]) -> str:
    """An entry of pip's report as a requirement; by its address where it was asked for by one."""
    name, version = item["metadata"]["name"], item["metadata"]["version"]
    told = item.get("download_info", {})
    if not item.get("is_direct"):
        return f"{name}=={version}"
    if vcs := told.get("vcs_info"):
        return f"{name} @ {vcs['vcs']}+{told['url']}@{vcs['commit_id']}"
    return f"{name} @ {told['url']}"


class Uv:
    """uv, which is faster, and has a configuration of its own: it does not read pip's."""

    name, refuses = "uv", "#"

    def __init__(self) -> None:
        found = shutil.which("uv")
        if found is None and importlib.util.find_spec("uv") is None:
            raise UsageError("there is no uv; type: pip install uv, or --with pip")
        self._uv = [found] if found else [sys.executable, "-m", "uv"]

    def make(self, folder: Path, python: str, log: Log) -> None:
        call([*self._uv, "venv", "--quiet", "--python", python, str(folder)], log, "making a virtual environment")

    def resolve(self, python: Path, wanted: Sequence[str], constraints: Sequence[Path], scratch: Path, log: Log) -> list[str]:
        asked, found = scratch / "requirements.in", scratch / "requirements.txt"
        asked.write_text("\n".join([*wanted, ""]), encoding="utf-8")
        limits = [word for path in constraints for word in ("-c", str(path))]
        plain = ["--quiet", "--no-header", "--no-annotate", "--python", str(python)]
        command = [*self._uv, "pip", "compile", *plain, *limits, "-o", str(found), str(asked)]
        call(command, log, "finding versions that fit together")
        lines = [line.strip() for line in found.read_text(encoding="utf-8").splitlines()]
        return [line for line in lines if line and not line.startswith(("#", "-"))]

    def install(self, python: Path, arguments: Sequence[str], log: Log) -> None:
        call([*self._uv, "pip", "install", "--python", str(python), "--no-deps", *arguments], log, "installing")

    def check(self, python: Path) -> str:
        command = [*self._uv, "pip", "check", "--python", str(python)]
        done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=False)
        return "" if done.returncode == 0 else (done.stdout + done.stderr).strip()


INSTALLERS: dict[str, Callable[[], Installer]] = {"pip": Pip, "uv": Uv}


def choose(name: str) -> Installer:
    """The installer of this name; of "auto", uv where it is there, but pip where pip alone is configured.

    Raises:
        UsageError: it is not there.
    """
    if name == "auto":
        has_uv = shutil.which("uv") is not None or importlib.util.find_spec("uv") is not None
        name = "uv" if has_uv and not (_configured("PIP_") and not _configured("UV_")) else "pip"
    return INSTALLERS[name]()


def _configured(prefix: str) -> bool:
    """Whether the user has told an installer where packages are."""
    words = ("INDEX", "INDEX_URL", "EXTRA_INDEX_URL", "DEFAULT_INDEX", "FIND_LINKS", "NO_INDEX", "CONFIG_FILE", "CONSTRAINT")
    if any(os.environ.get(prefix + word) for word in words):
        return True
    home = expanded(os.environ.get("XDG_CONFIG_HOME") or "~/.config")
    if prefix == "UV_":
        return any(path.is_file() for path in (home / "uv" / "uv.toml", Path("/etc/uv/uv.toml")))
    known = (home / "pip" / "pip.conf", expanded("~/.pip/pip.conf"), Path("/etc/pip.conf"), Path(sys.prefix) / "pip.conf")
    return any(path.is_file() for path in known)
