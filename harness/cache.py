"""A folder for what costs time to make and can be made again. What cannot be read or written there costs time, nothing else."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.files import expanded_home

__all__ = ["cache_folder", "load_cached", "store_cached"]


def cache_folder() -> Path:
    """`$HARNESS_CACHE`, else `$XDG_CACHE_HOME/harness`, else `~/.cache/harness`.

    Raises:
        UsageError: it begins with "~name", and there is no such user or home.
    """
    instead = "HARNESS_CACHE=FOLDER"
    if own := os.environ.get("HARNESS_CACHE"):
        return expanded_home(own, f"HARNESS_CACHE={own}", instead)
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return expanded_home(base, f"{base} as the folder of caches", instead) / "harness"


def load_cached(name: str) -> dict[str, Any]:
    """The entries of a file of the cache; none when it cannot be read; raises as `cache_folder` does."""
    try:
        entries = json.loads((cache_folder() / name).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return entries if isinstance(entries, dict) else {}


def store_cached(name: str, entries: Mapping[str, Any]) -> None:
    """Replace a file of the cache, whole. Of two that write at once the later wins.

    Raises:
        OSError: it cannot be written.
        UsageError: as `cache_folder`.
    """
    path = cache_folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f"{path.stem}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w") as file:
            json.dump(entries, file)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
