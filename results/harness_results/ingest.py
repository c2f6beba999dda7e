"""Taking finished cells from the spool into the database: many in one transaction, then their files are removed.

The order is what makes it safe to be killed at any moment: COMMIT first, removal second. A file whose result is already
there is only removed, so nothing is lost and nothing is counted twice.
"""

from __future__ import annotations

import contextlib
import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.arrow import constant
from harness.errors import StoreError
from harness.spool import finished, proves_broken, read_cell
from harness_results import records, schema

if TYPE_CHECKING:
    import duckdb

__all__ = ["take_in"]

log = logging.getLogger(__name__)

_Rows = tuple[str, Iterable[pa.RecordBatch]]
"""Rows of one result: (result id, its rows in pieces)."""

GROUP_FILES = 64
GROUP_BYTES = 512 * 2**20
"""One transaction takes in up to so much of the spool; its files are open together, and some machines allow 256."""


@dataclass(frozen=True)
class _Spooled:
    """A file of the spool, read and checked, but for its windows, which are streamed later."""

    path: Path
    row: dict[str, Any]
    scores: dict[str, float | None]
    model: dict[str, Any] | None
    steps: pa.Table | None
    table: str = "cells"  # or "runs", "trained"


def take_in(con: duckdb.DuckDBPyConnection, spool: Path) -> int:
    """Take in all that the spool holds; return how many cells are new in the database.

    A broken file is moved to `rejected/` with a warning.

    Raises:
        StoreError: a file could not be read now (no permission, no descriptor left); it stays, and the others are taken in.
        StoreError, duckdb.Error: the database cannot be written (full disk); the spool keeps what was not committed.
    """
    unread: dict[Path, Exception] = {}
    count = sum(_group(con, spool, group, unread) for group in _groups(finished(spool)))
    if unread:
        path, error = next(iter(unread.items()))
        others = f", nor {len(unread) - 1} more files" if len(unread) > 1 else ""
        reason = getattr(error, "strerror", None) or error
        raise StoreError(
            f"finished cells wait in the spool: {path} could not be read{others}: {reason}. They stay there; make the files readable "
            "(permissions, disk, `ulimit -n`) and run the same command again"
        ) from error
    return count


def _groups(paths: Sequence[Path]) -> Iterator[list[Path]]:
    group: list[Path] = []
    size = 0
    for path in paths:
        if group and (len(group) >= GROUP_FILES or size >= GROUP_BYTES):
            yield group
            group, size = [], 0
        group.append(path)
        size += path.stat().st_size
    if group:
        yield group


def _read(path: Path) -> _Spooled:
    if path.suffix == ".json":
        table, what = ("trained", "of a trained model") if path.name.startswith("trained-") else ("runs", "of a run")
        try:
            record = json.loads(path.read_text())
        except (ValueError, RecursionError) as error:
            raise StoreError(f"{path} is not the record {what}: {error}") from error
        if not isinstance(record, dict):
            raise StoreError(f"{path} is not the record {what}")
        row = records.run_row(record) if table == "runs" else records.trained_row(record)
        return _Spooled(path, row, {}, None, None, table)
    record, steps = read_cell(path)
    if not isinstance(record, dict):
        raise StoreError(f"{path} holds no cell's record")
    row = records.cell_row(record)
    info = record.get("models") or record.get("model_info")
    model = records.model_row(info, row["model_name"], row["source"]) if isinstance(info, dict) else None
    return _Spooled(path, row, records.scores_of(record), model, steps)


def _reject(spool: Path, path: Path, error: Exception) -> None:
    """Move a broken file out of the way; where that cannot be done it stays, and stops no other."""
    folder = spool / "rejected"
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    try:
        folder.mkdir(exist_ok=True)
        path.replace(folder / path.name)
    except OSError as refused:
        what = f"{folder} is a file; move it away" if folder.exists() and not folder.is_dir() else f"{folder}: {refused.strerror}"
        log.warning("%s could not be taken in (%s), nor moved to the folder of rejected files: %s", path.name, reason, what)
        return
    log.warning("%s could not be taken in and was moved to %s: %s", path.name, folder, reason)


def _group(con: duckdb.DuckDBPyConnection, spool: Path, paths: Sequence[Path], unread: dict[Path, Exception]) -> int:
    import duckdb

    items: list[_Spooled] = []
    for path in paths:
        try:
            items.append(_read(path))
        except (StoreError, RecursionError) as error:  # the latter: values inside values without end
            _reject(spool, path, error)
        except (OSError, MemoryError) as error:
            unread[path] = error
    try:
        count = _transaction(con, items)
    except (duckdb.Error, pa.ArrowException, OSError):
        # One of them may be broken inside: find out which, taking in the others.
        count = 0
        for item in tuple(items):
            try:
                count += _transaction(con, [item])
            except (duckdb.Error, pa.ArrowException, OSError) as error:
                if not _broken(item.path, error):
                    raise
                _reject(spool, item.path, error)
                items.remove(item)  # where it could not be moved it stays
    for item in items:
        item.path.unlink(missing_ok=True)
    return count


def _broken(path: Path, error: Exception) -> bool:
    """Whether the file is to blame; in doubt it is the database (a full disk comes in many guises), and the file must stay."""
    import duckdb

    if isinstance(error, duckdb.ConversionException | duckdb.BinderException | duckdb.OutOfRangeException | duckdb.TypeMismatchException):
        return True
    if path.suffix == ".json":
        return False
    try:
        with pq.ParquetFile(path) as file:
            for _ in file.iter_batches(batch_size=16384):
                pass
    except (pa.ArrowException, OSError) as found:
        return proves_broken(found)
    return False


def _transaction(con: duckdb.DuckDBPyConnection, items: Sequence[_Spooled]) -> int:
    cells = {item.row["result_id"]: item for item in items if item.table == "cells"}
    with records.transaction(con):
        fresh = _newest(con, list(cells.values()))
        records.insert_rows(con, "cells", [item.row for item in fresh])
        records.insert_scores(con, ((item.row["result_id"], item.row["cell_id"], item.scores) for item in fresh))
        _insert_sums(con, fresh)
        _put_models(con, [item.model for item in fresh if item.model is not None])
        _put_trained(con, [item.row for item in items if item.table == "trained"])
        _put_runs(con, [item.row for item in items if item.table == "runs"])
        if fresh:
            records.refresh_superseded(con, [item.row["cell_id"] for item in fresh])
    return len(fresh)


def _age(row: dict[str, Any]) -> tuple[bool, Any]:
    return (row["finished_at"] is not None, row["finished_at"])


def _newest(con: duckdb.DuckDBPyConnection, items: Sequence[_Spooled]) -> list[_Spooled]:
    """Of these, the results to store: one per cell, the newest; an older one of the same cell is deleted."""
    newest: dict[str, _Spooled] = {}
    for item in items:
        other = newest.get(item.row["cell_id"])
        if other is None or _age(item.row) >= _age(other.row):
            newest[item.row["cell_id"]] = item
    known = con.execute(
        "SELECT cell_id, result_id, finished_at FROM cells WHERE cell_id IN (SELECT unnest($1::VARCHAR[])) "
        "OR result_id IN (SELECT unnest($2::VARCHAR[]))",
        [list(newest), [item.row["result_id"] for item in newest.values()]],
    ).fetchall()
    outdated = []
    for cell_id, result_id, finished_at in known:
        mine = newest.get(cell_id)
        if mine is None or mine.row["result_id"] == result_id or _age({"finished_at": finished_at}) > _age(mine.row):
            newest.pop(cell_id, None)
        else:
            outdated.append(result_id)
    records.delete_results(con, outdated)
    return list(newest.values())


def _insert_sums(con: duckdb.DuckDBPyConnection, items: Sequence[_Spooled]) -> None:
    """Append the windows and steps of results: one statement for all that have the same columns, as each statement costs milliseconds."""
    windows: defaultdict[pa.Schema, list[_Rows]] = defaultdict(list)
    steps: defaultdict[pa.Schema, list[_Rows]] = defaultdict(list)
    with contextlib.ExitStack() as stack:
        for item in items:
            file = stack.enter_context(pq.ParquetFile(item.path, memory_map=True))  # mapped: read into memory, it would stay there whole
            if file.metadata.num_rows:
                # Streamed: a cell may have a million windows.
                rows = file.iter_batches(batch_size=16384)
                windows[file.schema_arrow.remove_metadata()].append((item.row["result_id"], rows))
            if item.steps is not None and item.steps.num_rows:
                steps[item.steps.schema.remove_metadata()].append((item.row["result_id"], item.steps.to_batches()))
        for table, streams in (("windows", windows), ("steps", steps)):
            for columns, parts in streams.items():
                _append(con, table, columns, parts)


def _append(con: duckdb.DuckDBPyConnection, table: str, columns: pa.Schema, parts: Sequence[_Rows]) -> None:
    owner = pa.field("owner of the row", pa.string())
    together = columns.insert(0, owner)
    batches = (
        pa.RecordBatch.from_arrays([constant(result_id, batch.num_rows), *batch.columns], schema=together)
        for result_id, rows in parts
        for batch in rows
    )
    names = ", ".join(f'"{name}"' for name in schema.TABLES[table] if name in columns.names and name != "result_id")
    con.register("incoming", pa.RecordBatchReader.from_batches(together, batches))
    con.execute(f'INSERT INTO {table} (result_id, {names}) SELECT "{owner.name}", {names} FROM incoming')
    con.unregister("incoming")


def _put_models(con: duckdb.DuckDBPyConnection, rows: Sequence[dict[str, Any]]) -> None:
    unique = {(row["name"], row["source"]): row for row in rows}
    for name, source in unique:
        con.execute("DELETE FROM models WHERE name = $1 AND source = $2", [name, source])
    records.insert_rows(con, "models", list(unique.values()))


def _put_trained(con: duckdb.DuckDBPyConnection, rows: Sequence[dict[str, Any]]) -> None:
    """One row an id, the newest; nothing else ever takes a row of this table away."""
    if not rows:
        return
    newest = {row["id"]: row for row in sorted(rows, key=lambda row: (row["created"] is not None, row["created"]))}
    sql = "SELECT id, created FROM trained WHERE id IN (SELECT unnest($1::VARCHAR[]))"
    for known, created in con.execute(sql, [list(newest)]).fetchall():
        if created is not None and (newest[known]["created"] is None or newest[known]["created"] < created):
            del newest[known]
    con.execute("DELETE FROM trained WHERE id IN (SELECT unnest($1::VARCHAR[]))", [list(newest)])
    records.insert_rows(con, "trained", list(newest.values()))


def _put_runs(con: duckdb.DuckDBPyConnection, rows: Sequence[dict[str, Any]]) -> None:
    unique = {row["id"]: row for row in rows}
    if unique:
        con.execute("DELETE FROM runs WHERE id IN (SELECT unnest($1::VARCHAR[]))", [list(unique)])
        records.insert_rows(con, "runs", list(unique.values()))
