"""Commands run by `command_server`: started when the first one is asked for, gone with this process."""

from __future__ import annotations

import atexit
import itertools
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["can_run", "run"]

SERVER = Path(__file__).with_name("command_server.py")
OTHER_START = ("PYTHON", "LD_", "OMP_", "MKL_", "OPENBLAS_", "NUMEXPR_", "ARROW_", "MALLOC_", "LC_", "LANG")
"""How variables begin that count when a process starts: another value of one wants another start."""
OWN = ("PYTHONPATH", "PYTHONDONTWRITEBYTECODE")
SERVERS = 2
"""Taken in turn: each has an order of its own for the hashes of texts, as two processes should have."""

_lock = threading.Lock()
_controls: list[socket.socket] = []
_servers: list[subprocess.Popen[bytes]] = []
_turn = itertools.count()


def can_run(env: Mapping[str, str]) -> bool:
    """Whether a fork of a process of this environment is what a process started in that one would be; HARNESS_TEST_FORKS=0 forks none."""
    names = {name for name in (*env, *os.environ) if name.startswith(OTHER_START) and name not in OWN}
    return os.environ.get("HARNESS_TEST_FORKS") != "0" and all(env.get(name) == os.environ.get(name) for name in names)


def run(command: Sequence[str], cwd: Path, env: Mapping[str, str], timeout: float, source: str = "") -> tuple[int, str, str, bool]:
    """The exit status (below 0: the signal), standard output and error, and whether it was in time; else it is killed with its session.

    `source` is a program to be run instead of `harness`.
    """
    here, there = socket.socketpair()
    out, err = os.pipe(), os.pipe()
    with here:
        with there:
            socket.send_fds(_control(), [b"x"], [there.fileno()])
        text = json.dumps({"command": list(command), "cwd": str(cwd), "env": dict(env), "source": source}).encode()
        socket.send_fds(here, [len(text).to_bytes(8, "big")], [out[1], err[1]])
        os.close(out[1])
        os.close(err[1])
        here.sendall(text)
        pid = _number(here)
        end = time.monotonic() + timeout
        said, in_time = _read((out[0], err[0]), end)
        if in_time:
            here.settimeout(max(0.0, end - time.monotonic()))
            try:
                return _number(here) - 1000, *said, True
            except TimeoutError:
                here.settimeout(None)
        os.killpg(pid, signal.SIGKILL)
        return _number(here) - 1000, *said, False


def _control() -> socket.socket:
    """The way to one of the servers."""
    with _lock:
        if not _controls:
            for _ in range(SERVERS):
                mine, its = socket.socketpair()
                with its:
                    command = [sys.executable, "-P", str(SERVER), str(its.fileno())]
                    server = subprocess.Popen(command, pass_fds=[its.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
                _controls.append(mine)
                _servers.append(server)
        return _controls[next(_turn) % SERVERS]


@atexit.register
def _end() -> None:
    for control, server in zip(_controls, _servers, strict=True):
        control.close()
        server.wait()


def _number(talk: socket.socket) -> int:
    data = talk.recv(8, socket.MSG_WAITALL)
    if len(data) < 8:
        raise RuntimeError("the server of commands is gone; its complaint stands above")
    return int.from_bytes(data, "big")


def _read(handles: Sequence[int], end: float) -> tuple[tuple[str, str], bool]:
    """What comes from two pipes until both are closed, or until the end of the time."""
    parts: dict[int, list[bytes]] = {handle: [] for handle in handles}
    with selectors.DefaultSelector() as ready:
        for handle in handles:
            ready.register(handle, selectors.EVENT_READ)
        while ready.get_map() and (left := end - time.monotonic()) > 0:
            for key, _ in ready.select(left):
                data = os.read(key.fd, 1 << 16)
                if data:
                    parts[key.fd].append(data)
                else:
                    ready.unregister(key.fd)
        whole = not ready.get_map()
    for handle in handles:
        os.close(handle)
    out, err = (b"".join(parts[handle]).decode().replace("\r\n", "\n").replace("\r", "\n") for handle in handles)
    return (out, err), whole
