"""The checks of a plugin's models, each model in a process of its own, each check bounded in time.

A check that takes too long, or a model that ends the process, is a failed check; the others are run in the next process.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from harness.conformance.folder import PluginFolder, lay_out
from harness.errors import HarnessError, PluginError, UsageError, suggest

__all__ = ["Chosen", "Result", "Trial", "only"]

LOOK_EVERY = 1.0
"""Seconds between two looks at whether a silent process still lives: what it started may hold the pipe open after its death."""
TAIL = 4096


@dataclass(frozen=True)
class Chosen:
    """A model to be checked, with its parameters and the distribution that it is from."""

    model: str
    params: Mapping[str, Any]
    source: str = ""


@dataclass(frozen=True)
class Result:
    """How a check of a model ended.

    `state` is "ok", "exception" (declared, with `text` as the reason), "skipped" (not for this model), "absent" (the model lacks weights, a
    package or a parameter: nothing was checked) or "failed". `text` says why, or what an "ok" check found out.
    """

    check: str
    state: str
    text: str = ""
    seconds: float = 0.0


@dataclass
class Trial:
    """A plugin in a folder, or one that is installed, on trial. Use it as a context: it has a temporary folder.

    Args:
        name: a plugin, its distribution or a model, where `folder` is None; else what to call the folder.
        limit: seconds for each check, and for the import of the plugins.
        checks: only these; empty = all.
    """

    name: str
    folder: PluginFolder | None = None
    limit: float = 300.0
    checks: Sequence[str] = ()
    _site: Any = field(default=None, repr=False)
    _path: list[str] = field(default_factory=list, repr=False)

    def __enter__(self) -> Trial:
        if self.folder is not None:
            self._site = tempfile.TemporaryDirectory(prefix="harness-plugin-")
            self._path = lay_out(self.folder, Path(self._site.name))
        return self

    def __exit__(self, *_: object) -> None:
        if self._site is not None:
            self._site.cleanup()

    def models(self, models: str = "", arguments: Sequence[str] = ()) -> list[Chosen]:
        """The models that are to be checked.

        Args:
            models: a list as `harness run -m` takes it; "" = all of the plugin.
            arguments: as `-M` of `harness run`.

        Raises:
            UsageError: no such plugin or model, or a parameter that it does not have.
            PluginError: the plugin could not be loaded, or not within the limit.
        """
        entries = None if self.folder is None else sorted(self.folder.project.entries)
        request = {"do": "list", "name": self.name, "entries": entries, "models": models, "arguments": list(arguments)}
        for event in _events(request, self._path, self.limit):
            if "choices" in event:
                return [Chosen(c["model"], c["params"], c["from"]) for c in event["choices"]]
            if "error" in event:
                kind = next((k for k in (UsageError, PluginError) if k.exit_code == event["code"]), HarnessError)
                raise kind(event["error"])
            if "late" in event:
                raise PluginError(
                    f"the plugins were not imported within {self.limit:g} s, the limit of --timeout; does {self.name} do more than "
                    "register? Do the work in the model's __init__, or allow more with --timeout"
                )
            if "lost" in event:
                raise PluginError(f"the plugins could not be listed: {event['lost']}")
        raise PluginError("the plugins could not be listed: the process ended without an answer")

    def results(self, chosen: Chosen) -> Iterator[Result]:
        """Run the checks of a model and say how each ended, as it ends."""
        done: list[str] = []
        while True:
            request = {"do": "run", "model": chosen.model, "params": dict(chosen.params), "done": done, "only": list(self.checks)}
            running, lost = "", ""
            start = time.perf_counter()
            for event in _events(request, self._path, self.limit):
                if "start" in event:
                    running, start = event["start"], time.perf_counter()
                elif "check" in event:
                    done.append(event["check"])
                    running = ""
                    yield Result(event["check"], event["state"], event["text"], event["seconds"])
                elif "error" in event:
                    yield Result(running or "load", "failed", event["error"])
                    return
                elif "lost" in event:
                    lost = event["lost"]
            if not lost:
                return
            yield Result(running or "load", "failed", lost, time.perf_counter() - start)
            if running in ("", "load"):  # no check had begun: the next process would fare no better
                return
            done += [running, "load"]


def only(text: str) -> list[str]:
    """Read a list of checks.

    Raises:
        UsageError: there is no such check.
    """
    from harness.conformance import CHECKS
    from harness.selection import split_list

    names = split_list(text)
    for name in names:
        if name not in CHECKS:
            raise UsageError(f"there is no check '{name}'.{suggest(name, CHECKS)} The checks are: {', '.join(CHECKS)}")
    return names


def _events(request: Mapping[str, Any], path: Sequence[str], limit: float) -> Iterator[dict[str, Any]]:
    """The answers of a process; the last is {"lost": why} where it did not come to its end, with "late" where time was up.

    Each may take `limit` seconds, the first together with the import of all plugins.
    """
    found = os.pathsep.join([*path, *filter(None, [os.environ.get("PYTHONPATH")])])
    # As in a worker: a user's random.py in the working folder must not break a model.
    own_path = [] if {"", str(Path.cwd())} & set(sys.path) else ["-P"]
    command = [sys.executable, *own_path, "-m", "harness.conformance.child", json.dumps({**request, "parent": os.getpid()})]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, "PYTHONPATH": found},
            start_new_session=True,  # its own process group, so that what it starts ends with it
        )
        ended = False
        try:
            for line in _lines(process, limit):
                event = json.loads(line) if line.startswith(b"{") else {}
                ended = ended or bool({"end", "error"} & set(event))
                yield event
            if not ended:
                yield {"lost": _end_of(process, log)}
        except TimeoutError:
            yield {"late": True, "lost": f"it took longer than {limit:g} s and was ended; allow more with --timeout"}
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if process.stdout is not None:
                process.stdout.close()


def _lines(process: subprocess.Popen[bytes], limit: float) -> Iterator[bytes]:
    """Lines that the process writes, to its end.

    Raises:
        TimeoutError: none came for so many seconds.
    """
    assert process.stdout is not None
    descriptor, buffer = process.stdout.fileno(), b""
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    deadline = time.monotonic() + limit
    while True:
        if not poll.poll(1000 * min(LOOK_EVERY, max(0.0, deadline - time.monotonic()))):
            if time.monotonic() >= deadline:
                raise TimeoutError
            if process.poll() is not None and not poll.poll(0):
                return
            continue
        piece = os.read(descriptor, 1 << 16)
        if not piece:
            return
        *lines, buffer = (buffer + piece).split(b"\n")
        for line in lines:
            yield line
            deadline = time.monotonic() + limit


def _end_of(process: subprocess.Popen[bytes], log: IO[bytes]) -> str:
    """Why a process has gone, with the last that it printed."""
    try:
        code = process.wait(5)
    except subprocess.TimeoutExpired:
        return "the process closed its output and went on; it was ended"
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        how = f"the process was ended by {name}"
    else:
        how = f"the process ended itself with exit code {code}"
    log.seek(0, os.SEEK_END)
    log.seek(max(0, log.tell() - TAIL))
    words = [line.strip() for line in log.read().decode("utf-8", "replace").splitlines() if line.strip()]
    return how + (f"; the last it printed: {words[-1][:300]}" if words else "")
