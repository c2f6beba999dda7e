"""Writing what a command was asked for: whole, or not at all."""

from __future__ import annotations

import contextlib
from pathlib import Path

from harness.errors import StoreError
from harness.spool import publish, temporary_name

__all__ = ["write_whole"]


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that its name never stands for a part of it; a pipe or a device is written to as it is.

    Raises:
        StoreError: it could not be written; a file that was there before is unchanged.
    """
    data = content.encode("utf-8", "replace") if isinstance(content, str) else content
    temporary = temporary_name(path)
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(data)
            return
        try:
            temporary.write_bytes(data)
            publish(temporary, path)
        finally:
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(f"could not write {path}: {error.strerror or error}; choose another file with -o") from error
