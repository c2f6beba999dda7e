"""Building an environment, bringing one up to date, and examining one. Only `harness env build` fetches anything."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from harness.environments import tether
from harness.environments.core import make_wheel, variables
from harness.environments.installers import Installer, Log, clean_environment
from harness.environments.record import FORMAT, RECORD, Environment, environments_folder, normal, read
from harness.environments.target import Target
from harness.errors import PluginError, UsageError
from harness.files import HOST, locked, temporary_name
from harness.receipt import now

__all__ = ["build", "current", "examine", "remove"]

LOG = "build.log"
DESCRIBE_S = 120
"""Seconds that a plugin may take to be imported and to register."""


def build(
    target: Target,
    installer: Installer,
    python: str = sys.executable,
    constraints: Sequence[Path] = (),
    note: Callable[[str], None] = lambda _: None,
) -> Environment:
    """Resolve, install and describe; an environment with the same lock is taken as it is, and described anew.

    Args:
        target: what to install, with its requirements.
        python: the interpreter to build on.
        constraints: files of versions to keep to, as for pip -c; a lock beside the plugin counts too.
        note: told what is being done.

    Raises:
        UsageError: the installer cannot do with the name of the folder.
        PluginError: it cannot be built, or what was built registers no model. Nothing of it is left, but its log.
    """
    if odd := next((letter for letter in installer.refuses if letter in str(target.folder or "")), None):
        raise UsageError(
            f"{installer.name} cannot install from {target.folder}, for the {odd!r} in its path; type --with pip, or rename it"
        )
    family = environments_folder() / normal(target.distribution)
    family.mkdir(parents=True, exist_ok=True)
    with _alone(family, lambda: note("another process is at work on it; waiting for it")) as held:
        scratch = temporary_name(family / "building")
        log = Log(family / LOG, held)
        log.path.unlink(missing_ok=True)
        try:
            scratch.mkdir()
            note(f"finding versions that fit together, with {installer.name}")
            lock = _resolve(target, installer, python, constraints, scratch, log)
            folder = family / _key(target, lock, python)
            found = read(folder)
            if found is None:
                note(f"installing {len(lock)} packages into {folder}")
                found = _install(target, installer, python, lock, folder, scratch, log)
            else:
                note(f"{folder} has these versions already")
            made = _described(found, installer.name, held)
            for left in family.iterdir():  # of an older harness, or never finished
                if left.is_dir() and left != scratch and read(left) is None:
                    shutil.rmtree(left, ignore_errors=True)
            return made
        except PluginError as error:
            raise PluginError(f"{target.requirement}: {error}\nAll that was said: {log.path}") from None
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def _alone(family: Path, waits: Callable[[], None] = lambda: None) -> Iterator[int]:
    """Keep other builds of the same plugin out, and clear away what one that was killed has left.

    Yields the lock as a file descriptor: a command that holds it too keeps others out until it has gone, whatever becomes of this process.
    """
    with locked(family / ".lock", waits) as held:
        for left in family.glob(f"*.{HOST}.*.tmp"):
            shutil.rmtree(left, ignore_errors=True)
        yield held.descriptor


def _resolve(target: Target, installer: Installer, python: str, constraints: Sequence[Path], scratch: Path, log: Log) -> list[str]:
    """The lock: all that goes in, pinned, but the harness."""
    empty = scratch / "empty"
    installer.make(empty, python, log)
    wheel = make_wheel(scratch)
    limits = [*constraints, *([target.lock] if target.lock else [])]
    wanted = [target.resolve, f"ts-harness @ {wheel.as_uri()}"]
    lines = installer.resolve(empty / "bin" / "python", wanted, limits, scratch, log)
    versions = {normal(_name(line)): line.partition("==")[2] for line in lines}
    if versions.get("numpy", "").startswith("1.") and _major(versions.get("pyarrow", "")) >= NUMPY_2:
        # pyarrow does not say so: it is found out when it is imported.
        limit = scratch / "numpy-1.txt"
        limit.write_text(f"pyarrow<{NUMPY_2}\n", encoding="utf-8")
        lines = installer.resolve(empty / "bin" / "python", wanted, [*limits, limit], scratch, log)
    return sorted((_exact(line) for line in lines if normal(_name(line)) != "ts-harness"), key=str.lower)


NUMPY_2 = 26
"""The first pyarrow that asks for numpy 2 when it is imported."""


def _major(version: str) -> int:
    head = version.partition(".")[0]
    return int(head) if head.isdecimal() else 0


def _exact(line: str) -> str:
    """A line of a lock that stands for the same bytes always: a file by its hash, too."""
    path = Path(unquote(urlsplit(line.partition(" @ ")[2]).path)) if " @ file://" in line else Path()
    if not path.is_file() or "#" in line:
        return line
    with path.open("rb") as file:
        return f"{line}#sha256={hashlib.file_digest(file, 'sha256').hexdigest()}"


def _name(line: str) -> str:
    """The distribution that a line of a lock is about."""
    for mark in ("==", " @ "):
        if mark in line:
            return line.partition(mark)[0].partition("[")[0].strip()
    return line


def _key(target: Target, lock: Sequence[str], python: str) -> str:
    """16 digits that stand for an environment's content."""
    version = subprocess.run([python, "-VV"], capture_output=True, text=True, check=True).stdout
    text = json.dumps([FORMAT, target.requirement, list(lock), version])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def _install(target: Target, installer: Installer, python: str, lock: Sequence[str], folder: Path, scratch: Path, log: Log) -> Environment:
    shutil.rmtree(folder, ignore_errors=True)  # one that was never finished
    pins = scratch / "lock.txt"
    mine = normal(target.distribution)
    # A folder is installed so that an edit counts at once; anything else as the lock has it.
    wanted = [f"-e {target.folder.as_uri()}" if target.folder and normal(_name(line)) == mine else line for line in lock]
    pins.write_text("\n".join([*wanted, ""]), encoding="utf-8")
    try:
        installer.make(folder, python, log)
        own = folder / "bin" / "python"
        installer.install(own, [str(make_wheel(scratch))], log)
        installer.install(own, ["-r", str(pins)], log)
        (folder / "lock.txt").write_text("\n".join([*lock, ""]), encoding="utf-8")
        facts = {
            "format": FORMAT,
            "distribution": target.distribution,
            "requirement": target.requirement,
            "folder": str(target.folder or ""),
            "installer": installer.name,
            "built_at": now(),
        }
        return Environment(folder, facts)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _described(environment: Environment, installer: str, held: int) -> Environment:
    """Have the environment say what it registers, and write its record: with that it is finished."""
    finished = (environment.folder / RECORD).exists()
    try:
        found = _describe(environment, [held])
        if not found["models"]:
            nothing = "it has no entry point in the group 'harness', or none that registers a model"
            raise PluginError(f"no model is registered there: {'; '.join(found['failures']) or nothing}")
        facts = {**environment.facts, "description": found, "installer": installer, "built_at": now()}
        return _written(Environment(environment.folder, facts))
    except BaseException:
        if not finished:
            shutil.rmtree(environment.folder, ignore_errors=True)
        raise


def _written(environment: Environment) -> Environment:
    temporary = temporary_name(environment.folder / RECORD)
    temporary.write_text(json.dumps(environment.facts, indent=1), encoding="utf-8")
    temporary.replace(environment.folder / RECORD)
    return environment


def _describe(environment: Environment, held: Sequence[int] = ()) -> dict[str, Any]:
    """What `harness.describe` says there; `held` are locks that are held until it has gone.

    Raises:
        PluginError: it says nothing of use.
    """
    command = [str(environment.python), "-P", "-m", "harness.describe", environment.distribution]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    try:
        code, out, err = tether.run(command, held=held, timeout=DESCRIBE_S, env=variables(), cwd=environment.folder, **pipes)
    except subprocess.TimeoutExpired:
        raise PluginError(f"the plugin was not imported in its environment within {DESCRIBE_S} s; does it do more than register?") from None
    try:
        found: dict[str, Any] = json.loads(out)
        return {key: found[key] for key in ("models", "failures", "wrappers", "sources", "files", "versions", "python")}
    except (ValueError, KeyError, TypeError, RecursionError):
        said = "\n".join((err or out).strip().splitlines()[-10:])
        raise PluginError(f"the plugin cannot be looked at in its environment (exit code {code}):\n{said}") from None


def again(environment: Environment) -> str:
    """What to type to have it anew."""
    return f"build it anew: harness env build {shlex.quote(environment.requirement)}"


def current(environment: Environment) -> Environment:
    """The environment described as its plugin is now; costs a look at the plugin's files as long as these have not changed.

    Raises:
        PluginError: the plugin cannot be loaded any more.
    """
    if _unchanged(environment):
        return environment
    with _alone(environment.folder.parent) as held:
        environment = read(environment.folder) or environment  # another process may have done it meanwhile
        if _unchanged(environment):
            return environment
        found = _describe(environment, [held])
        if not found["models"]:
            said = "; ".join(found["failures"]) or "it registers no model any more"
            raise PluginError(f"the environment of {environment.distribution}: {said}")
        try:
            return _written(Environment(environment.folder, {**environment.facts, "description": found}))
        except OSError as error:
            raise PluginError(f"{environment.folder} cannot be written ({error}); {again(environment)}") from None


def _unchanged(environment: Environment) -> bool:
    return all(_stamp(Path(path)) == facts for path, facts in environment.facts["description"]["files"].items())


def _stamp(path: Path) -> list[int] | None:
    try:
        facts = path.stat()
    except OSError:
        return None
    return [facts.st_size, facts.st_mtime_ns]


INSTALLED = """
import importlib.metadata, json
print(json.dumps({d.name: d.version for d in importlib.metadata.distributions()}))
"""


def examine(environment: Environment, installer: Installer) -> list[str]:
    """What is wrong with an environment, a line each; empty where all is as it was built and its plugin can be loaded."""
    try:
        command = [str(environment.python), "-P", "-c", INSTALLED]
        done = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=True)
        present = {normal(name): version for name, version in json.loads(done.stdout).items()}
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        return [f"its Python does not run ({str(error).splitlines()[0]}); {again(environment)}"]
    problems = [] if environment.lock() else ["its lock.txt cannot be read"]
    for line in environment.lock():
        name, pinned, version = line.partition("==")
        found = present.get(normal(_name(line)))
        if found is None:
            problems.append(f"{_name(line)} is not there; the lock has {line}")
        elif pinned and found != version.strip():
            problems.append(f"{name} is {found}; the lock has {version}")
    if normal(environment.distribution) not in present:
        problems.append(f"the plugin {environment.distribution} is not there")
    if said := installer.check(environment.python):
        problems += said.splitlines()
    try:
        problems += _describe(environment)["failures"]
    except PluginError as error:
        problems.append(str(error))
    return [*problems, again(environment)] if problems else []


def remove(folder: Path) -> None:
    """Remove the folder of an environment; a run that uses it now will fail.

    Raises:
        OSError: it cannot be removed.
    """
    with _alone(folder.parent):
        (folder / RECORD).unlink(missing_ok=True)  # from here on it is none, however far the rest gets
        shutil.rmtree(folder)
