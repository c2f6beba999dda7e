"""Opening the database for one piece of work, among other processes that do the same.

DuckDB lets one process in if it writes, or many if all read; a second one is refused at once. So nobody here keeps the database
open: processes of the harness queue at a lock file beside it (`flock`, which the kernel frees when a process dies), and what a
user's own shell holds is waited for by trying again.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import StoreError
from harness.files import other_than_file
from harness_results import schema

if TYPE_CHECKING:
    import duckdb

__all__ = ["LockedError", "check_name", "opened"]

# Modest: the harness shares the machine with the models it measures.
_CONFIG: dict[str, Any] = {
    "threads": 2,
    "python_enable_replacements": "false",
    # A name or a file of another program must not make DuckDB fetch and run code from the network.
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
# So that long tables stream through: a million windows are taken in with less than 300 MB, in any order.
_WRITE = {**_CONFIG, "memory_limit": "256MB", "preserve_insertion_order": "false"}
# A query is somebody's text: it reads this database and nothing else on the machine. What it reads is cached up to the limit.
_READ = {**_CONFIG, "memory_limit": "1GB", "enable_external_access": "false"}

_PAUSE = 0.05  # seconds between attempts
_NEW_FILE = 12_288  # bytes of a database that nothing was ever written to: DuckDB's three headers
_SPECIAL = "?\\\0"  # DuckDB reads them as parts of an address, or as a folder's end
_ADDRESS = re.compile(r"(md|motherduck|sqlite|postgres|postgresql|mysql|ducklake|s3|gcs|gs|r2|az|azure|abfss|hf|https?|file):|:memory:")


class LockedError(StoreError):
    """Another process holds the database."""


def check_name(path: Path) -> None:
    """Refuse what DuckDB would not take as the name of a file on this machine.

    Raises:
        StoreError: an address of a service, or a name with a character that has a meaning for DuckDB.
    """
    if address := _ADDRESS.match(str(path)):
        raise StoreError(f"got --db {str(path)!r}; '{address[0]}' names no file on this machine. Wanted one, as in: --db harness.duckdb")
    if found := sorted(set(_SPECIAL) & set(str(path.absolute()))):
        raise StoreError(f"{str(path)!r}: DuckDB opens no file with {found[0]!r} in its path; choose another name or folder with --db")


def _holder(text: str) -> str:
    """Who holds the lock, from the lock file or from DuckDB's message."""
    match = re.search(r"held in (.*?) \(PID (\d+)\)", text) or re.fullmatch(r"()(\d+)\s*", text)
    if not match:
        return "another process"
    program = match[1] or _program(match[2])
    return f"{program or 'another process'} (process {match[2]})"


def _program(pid: str) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def _locked(path: Path, holder: str, wait: float) -> LockedError:
    return LockedError(
        f"{path} is held by {holder}; waited {wait:g} s. Close that program or let it end, then run the same command again "
        "(finished cells are safe in the spool)"
    )


@contextlib.contextmanager
def _queued(path: Path, write: bool, deadline: float, wait: float) -> Iterator[None]:
    """Hold the lock file: alone for writing, together with other readers for reading."""
    name = path.with_name(path.name + ".lock")
    try:
        handle = os.open(name, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        if write:
            raise
        yield  # a folder that cannot be written to has no writer to wait for
        return
    try:
        while True:
            try:
                fcntl.flock(handle, (fcntl.LOCK_EX if write else fcntl.LOCK_SH) | fcntl.LOCK_NB)
                break
            except OSError as error:
                if not isinstance(error, BlockingIOError):
                    raise
                if time.monotonic() >= deadline:
                    raise _locked(path, _holder(os.pread(handle, 32, 0).decode(errors="replace")), wait) from None
                time.sleep(_PAUSE)
        if write:
            os.ftruncate(handle, 0)
            os.pwrite(handle, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(handle)


def _connect(path: Path, write: bool, deadline: float, wait: float) -> duckdb.DuckDBPyConnection:
    import duckdb

    while True:
        try:
            # Absolute: no beginning of a name can then be taken for a service or for a database in memory.
            return duckdb.connect(str(path.absolute()), read_only=not write, config=_WRITE if write else _READ)
        except (duckdb.IOException, duckdb.ConnectionException) as error:
            message = str(error)
            # The second: this very process (a notebook) has it open with settings of its own.
            if "Could not set lock" not in message and "different configuration" not in message:
                raise
            if time.monotonic() >= deadline:
                raise _locked(path, "this process" if "different" in message else _holder(message), wait) from None
            time.sleep(_PAUSE)


@contextlib.contextmanager
def opened(path: Path, *, write: bool, wait: float) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the database for the body of the `with`; a writer finds the current schema in place.

    Args:
        path: the database; created when `write` and absent.
        write: alone, or together with other readers.
        wait: seconds to wait for other processes.

    Raises:
        LockedError: still held by another process after `wait` seconds.
        StoreError: not there, not readable, not a results database, of a newer version.
    """
    import duckdb

    check_name(path)
    if what := other_than_file(path):
        raise StoreError(f"{path}: is {what}; wanted a file for --db, or a name for a new one")
    deadline = time.monotonic() + wait
    try:
        with _queued(path, write, deadline, wait), contextlib.closing(_connect(path, write, deadline, wait)) as con:
            con.execute("SET enable_progress_bar = false")
            try:
                if write:
                    _not_emptied(con, path)
                    schema.create(con)
                else:
                    _readable(con)
            except StoreError as error:
                raise StoreError(f"{path}: {error}") from None
            yield con
    except duckdb.InterruptException as error:
        raise KeyboardInterrupt from error
    except duckdb.Error as error:
        raise StoreError(f"{path}: {_plainly(error)}") from error
    except RuntimeError as error:
        if "interrupted" in str(error).lower():  # how DuckDB reports that Ctrl-C was typed
            raise KeyboardInterrupt from error
        raise
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror or error}; choose another place with --db") from error


def _readable(con: duckdb.DuckDBPyConnection) -> None:
    """Refuse a database without tables; an older one is read as it is, and brought to the current schema by its next writer."""
    found = schema.version(con)
    if found is None:
        raise StoreError("not brought to the current schema yet; run: harness db check")
    schema.stand_in(con, found)


def _not_emptied(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    """Refuse to make tables in a database that has lost its own: what may be left of it must not be written over."""
    if schema.version(con) is not None:
        return
    if logs := sorted(path.parent.glob(f"{glob.escape(path.name)}.*.vacuum.wal")):
        raise StoreError(
            f"is empty, and {logs[-1].name} beside it holds rows of it: an earlier `harness db vacuum` ended on a full disk. "
            f"Make copies of both, free the disk, then run: mv {logs[-1]} {path}.wal && harness db check --db {path}"
        )
    if path.stat().st_size > _NEW_FILE:
        raise StoreError("is damaged: it has room for rows and no tables; restore it from a copy, or move it away and run again")


def _plainly(error: Exception) -> str:
    text = str(error).strip()
    if "not a valid DuckDB database" in text or ("Extension" in text and "not found" in text):  # the latter for files of SQLite
        return "is there and is not a DuckDB database; name another file with --db, or move it away"
    if "Could not read" in text or "checksum" in text.lower() or "orrupt" in text:
        return f"is damaged or cut short ({text.splitlines()[0]}); restore it from a copy, or move it away and run again"
    if "No space left" in text or "ENOSPC" in text:
        return f"the disk is full ({text.splitlines()[0]}); free some space, then run the same command again"
    return text
