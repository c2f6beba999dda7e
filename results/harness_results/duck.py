"""The results database of a command that is for DuckDB files alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import StoreError, UsageError

if TYPE_CHECKING:
    from harness_results.store import DuckStore

__all__ = ["open_duck"]


def open_duck(db: Path, must_exist: bool = True) -> DuckStore:
    """The store at `db`.

    Raises:
        UsageError: another plugin opens such a path.
        StoreError: there is none, and there must be.
    """
    from harness.plugins import load
    from harness_results.store import DuckStore

    store = load().store(db)
    if not isinstance(store, DuckStore):
        raise UsageError(f"{db} is opened by another plugin ({type(store).__name__}); this command is for DuckDB files")
    if must_exist and not db.exists() and not store.spool.is_dir():
        raise StoreError(f"there is no results database at {db}; make one with `harness run`, or name another with --db")
    return store
