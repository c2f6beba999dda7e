"""What the server says on stderr."""

from __future__ import annotations

import contextlib
import os
import sys

__all__ = ["say"]


def say(*lines: str) -> None:
    """Lines on stderr; never raises: a log that cannot be written (a full disk, a reader that has gone) must cost nobody a forecast."""
    try:
        for line in lines:
            print(line, file=sys.stderr)
        sys.stderr.flush()
    except BrokenPipeError:  # for good: what still stands in the buffer must not change the exit code either
        with contextlib.suppress(Exception):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
    except Exception:  # also of a signal that comes in the middle of a line, where Python lets no second one begin
        return
