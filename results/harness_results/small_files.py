"""Small files that somebody else made, read whole: a device, a pipe or a file without end is refused before it is read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from harness.errors import DataError

__all__ = ["MOST", "read_small"]

MOST = 64_000_000
"""Bytes. The results of one model on the 97 configurations are 30,000."""


def read_small(path: Path, most: int = MOST) -> bytes:
    """The bytes of a regular file, or of one that a link leads to.

    Raises:
        DataError: it is not there, is no regular file, cannot be read, or holds more than `most` bytes.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would be waited for without end
        try:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise DataError(f"{path} is no regular file (a pipe, a device or a folder); wanted a file of at most {most:,} bytes")
            with os.fdopen(handle, "rb", closefd=False) as file:
                data = file.read(most + 1) if status.st_size <= most else b""
        finally:
            os.close(handle)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from error
    if status.st_size > most or len(data) > most:
        raise DataError(f"{path} holds {max(status.st_size, len(data)):,} bytes; wanted at most {most:,}")
    return data
