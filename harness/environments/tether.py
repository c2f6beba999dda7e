"""Commands that do not outlive the process that started them, however that ends: by an error, an interrupt, or `kill -9`.

`run` starts the command below a small process that waits for the end of a pipe, whose other end this process holds: the kernel closes it
with the process. Then the command is ended with all that it has started, as pip starts another pip, which a signal to the one child that
is known here would not reach. It works alike on every system with pipes and process groups, and whichever thread calls.

The small process is this very file, run by its path without site-packages: the standard library alone may be imported here.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["run"]

GRACE_S = 1.0
"""Seconds between an interrupt, at which pip takes its temporary files away, and the kill."""
GONE_S = 10.0
"""Seconds that are waited for all to be gone: they pass only where nobody collects the dead."""


def run(command: Sequence[str | Path], *, held: Sequence[int] = (), timeout: float | None = None, **options: Any) -> tuple[int, str, str]:
    """Run a command to its end, tied to this process.

    Args:
        command: without standard input.
        held: file descriptors that stay open until all of the command has gone, also where this process goes first: locks.
        timeout: seconds; None = as long as it takes.
        options: as for `subprocess.Popen`: stdout, stderr, env, cwd.

    Returns:
        Exit code (128 and the signal's number where one ended it), and what was captured of stdout and stderr, "" for what was not.

    Raises:
        subprocess.TimeoutExpired: it took longer, and was ended.
    """
    theirs, ours = os.pipe()
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__, *map(str, command)],
            stdin=theirs,
            pass_fds=held,
            start_new_session=True,  # what ends this process's group, or its terminal, must not end the one that clears up
            encoding="utf-8",
            errors="replace",
            **options,
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    with process:
        try:
            out, err = process.communicate(timeout=timeout)
        finally:
            os.close(ours)  # whatever of it still runs ends now
            process.wait()
    return process.returncode, out or "", err or ""


def main(command: Sequence[str]) -> None:
    """Entry of the small process."""
    try:
        child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    except OSError as error:
        print(f"{command[0]} cannot be started: {error.strerror}", file=sys.stderr, flush=True)
        os._exit(127)
    released = threading.Event()
    watch = threading.Thread(target=_watch, args=(child, released), daemon=True)
    watch.start()
    code = child.wait()
    if released.is_set():
        watch.join()  # it leaves by itself, once all are gone
    os._exit(code if code >= 0 else 128 - code)


def _watch(child: subprocess.Popen[bytes], released: threading.Event) -> None:
    """Wait for the end of the pipe; then end the command with all that it has started, and this process."""
    while os.read(0, 1):
        pass
    released.set()
    start = time.monotonic()
    with contextlib.suppress(ProcessLookupError, PermissionError):  # none is left; the latter for the dead, on some systems
        os.killpg(child.pid, signal.SIGINT)
        while (passed := time.monotonic() - start) < GONE_S:
            time.sleep(0.01)
            os.killpg(child.pid, signal.SIGKILL if passed > GRACE_S else 0)
    os._exit(1)


if __name__ == "__main__":
    main(sys.argv[1:])
