"""Runs commands in forks of a process that has the libraries imported already: `python -P command_server.py FD`.

Half of the time of a short `harness` command goes into importing numpy, Arrow and DuckDB. A fork of a process that has done so is a
process of its own all the same, which runs the real `main` to its real end: with its own working folder, environment, search path,
streams, session and exit status. What it is not: started from nothing. So what is about starting (what is imported, how long it takes,
which streams are there, interpreter variables) is run otherwise: `Lab.start`, `Lab.python`.

No plugin is imported and no plugin is loaded before the fork. Nothing of the network guard is lost: it is in this process as in any other.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any

__all__: list[str] = []

PRELOADED = (
    "numpy", "pyarrow", "pyarrow.compute", "pyarrow.csv", "pyarrow.parquet", "duckdb", "click", "pluggy", "yaml", "rich.console",
    "rich.progress", "rich.table", "concurrent.futures", "hashlib", "inspect", "sqlite3",
    "harness", "harness.cli", "harness.cli.run", "harness.cli.inspect", "harness.cli.show", "harness.cli.replay", "harness.cli.weights",
    "harness.cli.env", "harness.cli.plugin_commands", "harness.api", "harness.execute", "harness.runner", "harness.scoring",
    "harness.workers", "harness_tasks.plugin", "harness_tasks.quick",
    "harness_results.plugin", "harness_results.store", "harness_leaderboard",
)  # fmt: skip


def main() -> None:
    """Serve until whoever started this is gone; a fork returns from `serve` and goes on as the command."""
    for name in PRELOADED:
        importlib.import_module(name)
    from harness.cli import main as command

    control = socket.socket(fileno=int(sys.argv[1]))
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those that wait for commands
    while True:
        data, handles, _, _ = socket.recv_fds(control, 1, 1)
        if not data:
            os._exit(0)
        if os.fork() == 0:
            control.close()
            source = serve(socket.socket(fileno=handles[0]))
            exec(compile(source, "<string>", "exec"), {"__name__": "__main__"}) if source else command()
            return
        os.close(handles[0])


def serve(talk: socket.socket) -> str:
    """Fork the command that is asked for, say its number, wait for it and say how it ended.

    Returns in the command alone: the program that it is, "" = `harness`.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, handles, _, _ = socket.recv_fds(talk, 8, 2)
    text = b""
    while len(text) < int.from_bytes(size, "big"):
        text += talk.recv(1 << 16)
    pid = os.fork()
    if pid == 0:
        talk.close()
        asked = json.loads(text)
        become(asked, handles)
        return str(asked["source"])
    for handle in handles:
        os.close(handle)
    talk.sendall(pid.to_bytes(8, "big"))
    _, status = os.waitpid(pid, 0)
    talk.sendall((os.waitstatus_to_exitcode(status) + 1000).to_bytes(8, "big"))
    os._exit(0)


def become(asked: Mapping[str, Any], handles: Sequence[int]) -> None:
    """Take on what a process that is started has from its starter."""
    os.setsid()
    os.chdir(asked["cwd"])
    for number, handle in enumerate(handles, 1):
        os.dup2(handle, number)
        os.close(handle)
    for number, name in ((1, "stdout"), (2, "stderr")):  # the old ones remember what they were opened on
        old: Any = getattr(sys, name)
        made = open(number, "w", buffering=1 if number == 2 else -1, encoding=old.encoding, errors=old.errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, made)
        setattr(sys, f"__{name}__", made)
    before = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    os.environ.clear()
    os.environ.update(asked["env"])
    own = [entry for entry in asked["env"].get("PYTHONPATH", "").split(os.pathsep) if entry]
    rest = [entry for entry in sys.path if entry not in before]
    script = [] if asked["source"] else [os.path.dirname(asked["command"][0])]  # noqa: PTH120 - as the script of the command has it
    sys.path[:] = [*script, *own, *rest]
    sys.dont_write_bytecode = bool(asked["env"].get("PYTHONDONTWRITEBYTECODE"))
    sys.argv[:] = asked["command"]
    importlib.invalidate_caches()


if __name__ == "__main__":
    main()
