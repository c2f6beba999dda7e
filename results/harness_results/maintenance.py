"""Looking after a results database: what is in it, whether it is sound, taking in other databases, giving disk space back."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import StoreError, UsageError
from harness.files import other_than_file, publish, temporary_name
from harness.saved import model_folder
from harness.sink import forecast_folder
from harness.spool import finished, storing
from harness_results import records, schema
from harness_results.connection import opened

if TYPE_CHECKING:
    import duckdb

    from harness_results.store import DuckStore

__all__ = ["check", "info", "merge", "vacuum"]


def info(store: DuckStore) -> dict[str, Any]:
    """What is in the database and beside it."""
    counts = {table: store.query(f"SELECT count(*) AS n FROM {table}")["n"][0].as_py() for table in schema.TABLES}
    rejected = store.spool / "rejected"
    return {
        "path": str(store.path),
        "bytes": store.path.stat().st_size,
        "schema_version": int(store.query("SELECT value FROM meta WHERE key = 'schema_version'")["value"][0].as_py()),
        **counts,
        "spool_waiting": len(finished(store.spool)) if store.spool.is_dir() else 0,
        "spool_rejected": sum(1 for _ in rejected.iterdir()) if rejected.is_dir() else 0,
        "results": store.query(
            "SELECT source, suite, status, count(*) AS cells, count(DISTINCT model) AS models FROM cells GROUP BY ALL ORDER BY ALL"
        ).to_pylist(),
    }


def check(store: DuckStore) -> list[str]:
    """Open, migrate if need be, take in the spool, and look for what must not be; return the problems found."""
    store.check()
    store.ingest(store.wait)
    problems = _sweep_vacuums(store)
    questions = {
        "cells with more than one result": "SELECT count(*) AS n FROM (SELECT 1 FROM cells GROUP BY cell_id HAVING count(*) > 1)",
        "scores without a cell": "SELECT count(*) AS n FROM scores WHERE result_id NOT IN (SELECT result_id FROM cells)",
        "windows without a cell": "SELECT count(*) AS n FROM windows WHERE result_id NOT IN (SELECT result_id FROM cells)",
        "trained models with more than one record": ("SELECT count(*) AS n FROM (SELECT 1 FROM trained GROUP BY id HAVING count(*) > 1)"),
        "steps without a cell": "SELECT count(*) AS n FROM steps WHERE result_id NOT IN (SELECT result_id FROM cells)",
    }
    for what, sql in questions.items():
        if count := store.query(sql)["n"][0].as_py():
            problems.append(f"{count} {what}")
    folder = forecast_folder(store)
    if missing := [name for name in _forecast_names(store) if not os.path.isfile(folder / name)]:  # noqa: PTH113 - false, and no error, for a name that no file can have
        problems.append(
            f"{len(missing)} files of stored forecasts are not in {folder}, as {missing[0]}; copy them there, or run with --rerun all"
        )
    models = model_folder(store)
    if missing := [name for name in _model_names(store) if not os.path.isdir(models / name)]:  # noqa: PTH112 - as above
        problems.append(f"{len(missing)} saved models are not in {models}, as {missing[0]}; copy them there, or train them again")
    rejected = store.spool / "rejected"
    if rejected.is_dir() and (files := sorted(rejected.iterdir())):
        problems.append(f"{len(files)} spooled files could not be taken in; they are in {rejected}")
    return problems


def merge(store: DuckStore, files: Sequence[Path]) -> dict[Path, int]:
    """Take the results of other databases in; of two results of one cell the newer stays. Return new cells by file.

    Raises:
        UsageError: a file that is this very database.
        StoreError: a file that is not a results database; nothing of it is taken in.
    """
    from harness_results.store import DuckStore

    store.check()
    counts = {}
    for file in files:
        other = DuckStore(file, readonly=True, wait=store.wait)
        waiting = other.spool.is_dir() and bool(finished(other.spool))
        if not file.is_file() and not waiting:
            what = other_than_file(file)
            raise StoreError(f"{file}: is {what}; wanted a results database" if what else f"there is no results database at {file}")
        if other.path == store.path or (file.exists() and file.samefile(store.path)):
            raise UsageError(f"{file} cannot be merged into itself; name another database")
        if file.is_file():  # opened before anything is taken, as it may be no results database
            with opened(other.path, write=False, wait=store.wait):
                pass
        # What waits there comes first: another process may move it into that database meanwhile, and there it is found afterwards.
        counts[file] = _take_spool(store, other) if waiting else 0
        if file.is_file():
            with opened(other.path, write=False, wait=store.wait) as source, opened(store.path, write=True, wait=store.wait) as con:
                counts[file] += _merge_one(con, source)
        _take_forecasts(store, other)
        _take_models(store, other)
    return counts


def _take_spool(store: DuckStore, other: DuckStore) -> int:
    """Take copies of another store's finished cells in; that store stays as it is, as it may be read-only."""
    for path in finished(other.spool):
        temporary = temporary_name(store.spool / path.name)
        with contextlib.suppress(FileNotFoundError), storing(temporary):
            shutil.copyfile(path, temporary)
            publish(temporary, store.spool / path.name)
    return store.ingest(store.wait)


def _take_forecasts(store: DuckStore, other: DuckStore) -> None:
    """Copy the stored forecasts of cells that are now here too, and name the files as they lie beside this database."""
    here, there = forecast_folder(store), forecast_folder(other)
    for name in _forecast_names(store):
        source, target = there / name, here / name
        if os.path.isfile(source) and not target.exists():  # noqa: PTH113
            with storing(target):
                here.mkdir(exist_ok=True)
                shutil.copyfile(source, temporary_name(target))
                publish(temporary_name(target), target)
    with opened(store.path, write=True, wait=store.wait) as con:
        con.execute(f"UPDATE cells SET forecasts = $1 || {_FILE} WHERE forecasts <> '' AND forecasts <> $1 || {_FILE}", [here.name + "/"])


def _take_models(store: DuckStore, other: DuckStore) -> None:
    """Copy the saved models that are now here too, and name the folders as they lie beside this database."""
    here, there = model_folder(store), model_folder(other)
    for name in _model_names(store):
        source, target = there / name, here / name
        if os.path.isdir(source) and not target.exists():  # noqa: PTH112
            temporary = temporary_name(target)
            with storing(target):
                try:
                    # A link stays one: it must not bring in a file from elsewhere.
                    shutil.copytree(source, temporary, symlinks=True)
                    temporary.rename(target)
                finally:
                    shutil.rmtree(temporary, ignore_errors=True)
    last = "regexp_extract(path, '[^/]*$')"
    with opened(store.path, write=True, wait=store.wait) as con:
        con.execute(f"UPDATE trained SET path = $1 || {last} WHERE {_BESIDE} AND path <> $1 || {last}", [here.name + "/"])


_BESIDE = "path <> '' AND NOT starts_with(path, '/')"


def _model_names(store: DuckStore) -> list[str]:
    """Folders of saved models beside the database, by their last part alone."""
    found = store.query(f"SELECT DISTINCT regexp_extract(path, '[^/]*$') AS name FROM trained WHERE {_BESIDE} ORDER BY name")
    return [name for name in found["name"].to_pylist() if name not in ("", ".", "..")]


_FILE = "regexp_extract(forecasts, '[^/]*$')"


def _forecast_names(store: DuckStore) -> list[str]:
    """Files of stored forecasts that cells name, by their last part alone: a path of a stranger's database leads nowhere else."""
    found = store.query(f"SELECT DISTINCT {_FILE} AS name FROM cells WHERE forecasts <> '' ORDER BY name")
    return [name for name in found["name"].to_pylist() if name not in ("", ".", "..")]


def _merge_one(con: duckdb.DuckDBPyConnection, other: duckdb.DuckDBPyConnection) -> int:
    wanted = "SELECT cell_id, result_id, finished_at FROM cells"
    mine = {cell: (result, when) for cell, result, when in con.execute(wanted).fetchall()}
    fresh, outdated = {}, []
    for cell, result, when in other.execute(wanted).fetchall():
        if cell in mine:
            old, old_when = mine[cell]
            if old == result or (old_when is not None and (when is None or when <= old_when)):
                continue
            outdated.append(old)
        fresh[cell] = result
    with records.transaction(con):
        records.delete_results(con, outdated)
        for table in ("cells", "scores", "windows", "steps"):
            _copy(con, other, table, "WHERE result_id IN (SELECT unnest($1::VARCHAR[]))", [list(fresh.values())])
        con.execute("UPDATE cells SET superseded_by = NULL WHERE cell_id IN (SELECT unnest($1::VARCHAR[]))", [list(fresh)])
        known_runs = [row[0] for row in con.execute("SELECT id FROM runs").fetchall()]
        known_trained = [row[0] for row in con.execute("SELECT id FROM trained").fetchall()]
        _copy(con, other, "trained", "WHERE id NOT IN (SELECT unnest($1::VARCHAR[]))", [known_trained])
        _copy(con, other, "runs", "WHERE id NOT IN (SELECT unnest($1::VARCHAR[]))", [known_runs])
        known_models = [name + "\n" + source for name, source in con.execute("SELECT name, source FROM models").fetchall()]
        _copy(con, other, "models", "WHERE name || chr(10) || source NOT IN (SELECT unnest($1::VARCHAR[]))", [known_models])
        records.refresh_superseded(con, list(fresh))
    return len(fresh)


def _copy(
    con: duckdb.DuckDBPyConnection, other: duckdb.DuckDBPyConnection, table: str, where: str = "", parameters: Sequence[Any] = ()
) -> None:
    names = ", ".join(f'"{name}"' for name in schema.TABLES[table])
    sql = f"SELECT {names} FROM {table} {where}"
    relation = other.sql(sql, params=list(parameters)) if parameters else other.sql(sql)
    # Streamed; the reader's name differs between versions of DuckDB.
    reader = relation.to_arrow_reader() if hasattr(relation, "to_arrow_reader") else relation.fetch_arrow_reader()
    con.register("incoming", reader)
    con.execute(f"INSERT INTO {table} ({names}) SELECT {names} FROM incoming")
    con.unregister("incoming")


def vacuum(store: DuckStore) -> tuple[int, int]:
    """Write the database anew without the room of deleted rows; return its size in bytes before and after.

    The new file replaces the old one in one step, when it is whole and on the disk, so that an interruption leaves the old one.

    Raises:
        StoreError: the disk has no room for the new file beside the old one, or the new file is not whole; the old one stays.
    """
    store.check()
    if leftovers := _sweep_vacuums(store):
        raise StoreError(f"{store.path} is left as it is: {'; '.join(leftovers)}")
    before = store.path.stat().st_size
    fresh = store.path.with_name(f"{store.path.name}.{os.getpid()}.vacuum")
    try:
        with opened(store.path, write=True, wait=store.wait) as con:
            # What the log still holds goes into the old file first: a log must never outlive its database.
            con.execute("CHECKPOINT")
            with opened(fresh, write=True, wait=0) as new:
                new.execute("DELETE FROM meta")
                for table in schema.TABLES:
                    _copy(new, con, table)
                # Asked for, because one that fails while the file is closed is not told.
                new.execute("CHECKPOINT")
            _whole(con, fresh)
            shutil.copymode(store.path, fresh)
            publish(fresh, store.path)
    finally:
        for path in _parts(fresh):
            path.unlink(missing_ok=True)
    return before, store.path.stat().st_size


def _whole(con: duckdb.DuckDBPyConnection, fresh: Path) -> None:
    """Raise unless the closed file holds as many rows as the open database, by itself."""
    if any(path.exists() and path.stat().st_size for path in _logs(fresh)):
        raise StoreError(f"the new file {fresh} could not be finished (is the disk full?); the database is left as it was")
    with opened(fresh, write=False, wait=0) as new:
        for table in schema.TABLES:
            wanted, got = (base.execute(f"SELECT count(*) FROM {table}").fetchall()[0][0] for base in (con, new))
            if wanted != got:
                raise StoreError(f"the new file {fresh} has {got} rows of {table}, wanted {wanted}; the database is left as it was")


def _logs(fresh: Path) -> list[Path]:
    return [fresh.with_name(fresh.name + end) for end in (".wal", ".wal.checkpoint", ".wal.recovery")]


def _parts(fresh: Path) -> list[Path]:
    return [fresh, *_logs(fresh), fresh.with_name(fresh.name + ".lock")]


def _sweep_vacuums(store: DuckStore) -> list[str]:
    """Remove what killed vacuums have left beside a database that has its rows; return what had better be looked at."""
    found = {path: match for path in store.path.parent.glob(f"{glob.escape(store.path.name)}.*.vacuum*") if (match := _litter(store, path))}
    if not found:
        return []
    problems = []
    # Held for writing: no vacuum of another process is at work then.
    with opened(store.path, write=True, wait=store.wait) as con:
        has_rows = con.execute("SELECT count(*) FROM cells").fetchall() != [(0,)]
        for pid in sorted({match[1] for match in found.values()}):
            fresh = store.path.with_name(f"{store.path.name}.{pid}.vacuum")
            if int(pid) != os.getpid() and _process_exists(int(pid)):
                continue
            if not fresh.exists() and any(path.exists() for path in _logs(fresh)):
                # The file of this log may have replaced the database.
                problems.append(
                    f"{_logs(fresh)[0]} is left of a vacuum that ended on a full disk; if no results are missing, remove it: "
                    f"rm {_logs(fresh)[0]}"
                )
            elif has_rows:
                for path in _parts(fresh):
                    path.unlink(missing_ok=True)
            else:
                problems.append(f"the database has no results, and {fresh} is left of an unfinished vacuum; look into it, then remove it")
    return problems


def _litter(store: DuckStore, path: Path) -> re.Match[str] | None:
    return re.fullmatch(re.escape(store.path.name) + r"\.(\d+)\.vacuum(\.lock|\.wal.*)?", path.name)


def _process_exists(pid: int) -> bool:
    """Whether a process of this machine has this number."""
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
