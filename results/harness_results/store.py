"""The built-in results store: one DuckDB file, opened for each piece of work and closed again (`harness_results.connection`)."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import StoreError, UsageError
from harness.spool import finished, sweep
from harness_results.connection import LockedError, check_name, opened
from harness_results.schema import SCHEMA_VERSION, version

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.types import Metric

__all__ = ["DuckStore"]

log = logging.getLogger(__name__)


class DuckStore:
    """A results database (`harness.store.Store`).

    Nothing is opened here; the first method that reads takes in what a killed run has left in the spool.

    Args:
        path: the database file; made by the first `check` or `ingest`.
        readonly: never write, so that a file on a read-only disk can be read; the spool then stays as it is.
        wait: seconds that a reading method waits for another process.
    """

    def __init__(self, path: Path, readonly: bool = False, wait: float = 10.0) -> None:
        # A link's own name must not decide where lock and spool lie: two names of one database would not know of each other.
        self.path = path = Path(os.path.realpath(path)) if path.is_symlink() else path
        self.spool = path.with_name(path.name + ".spool")
        self.readonly = readonly
        self.wait = wait
        self._tidied = readonly
        self._blank: tuple[int, int] | None = None  # what the file looked like when it was made, with nothing in it

    def check(self) -> None:
        """Raise now what would go wrong later; creates the database when it is not there."""
        self._check_place()
        if self.readonly:
            if self.path.exists():
                with opened(self.path, write=False, wait=self.wait):
                    pass
            return
        try:
            self.spool.mkdir(exist_ok=True)
        except OSError as error:
            raise StoreError(f"cannot make the folder {self.spool}: {error.strerror}; choose another place with --db") from error
        if self.path.exists():
            try:
                with opened(self.path, write=False, wait=self.wait) as con:
                    con.execute("SELECT count(*) FROM cells").fetchall()
                    if version(con) == SCHEMA_VERSION:
                        return
            except LockedError:
                raise
            except StoreError:
                log.debug("reading %s failed; opening it for writing tells whether it can be mended", self.path)
        with opened(self.path, write=True, wait=self.wait) as con:
            empty = con.execute("SELECT count(*) FROM cells").fetchall() == [(0,)]
        self._blank = self._look() if empty else None

    def _look(self) -> tuple[int, int] | None:
        """Time and size of the file; None where a log beside it holds more."""
        if self.path.with_name(self.path.name + ".wal").exists():
            return None
        status = self.path.stat()
        return status.st_mtime_ns, status.st_size

    def _has_cells(self) -> bool:
        """Whether a look into the database can find a cell; for the first run, which has just made it, the answer needs no look."""
        return self._there() and (self._blank is None or self._blank != self._look() or bool(finished(self.spool)))

    def _check_place(self) -> None:
        path, parent = self.path, self.path.parent
        check_name(path)
        if path.is_dir():
            raise StoreError(f"{path} is a folder; wanted a file, as in: --db {path / 'harness.duckdb'}")
        if not parent.is_dir():
            what = "is a file" if parent.exists() else "does not exist"
            raise StoreError(f"cannot make {path}: the folder {parent} {what}; run: mkdir -p {parent}")
        if self.readonly:
            return
        if not os.access(parent, os.W_OK | os.X_OK):
            raise StoreError(f"cannot write into the folder {parent}; choose another place with --db")
        if path.exists() and not os.access(path, os.W_OK):
            raise StoreError(f"{path} is write-protected; run: chmod u+w {path}, or choose another file with --db")

    def ingest(self, wait: float = 10.0) -> int:
        """Take in what the spool holds; return how many cells are new.

        Waits up to `wait` seconds for another process, then leaves them where they are for the next call.
        """
        from harness_results.ingest import take_in

        if self.readonly:
            raise StoreError(f"{self.path} was opened read-only; nothing can be taken in")
        self._tidied = True
        if not self.spool.is_dir():
            return 0
        try:
            sweep(self.spool)
            waiting = finished(self.spool)
        except OSError as error:
            raise StoreError(f"cannot look into the folder {self.spool}: {error.strerror}; finished cells may wait in it") from error
        if not waiting:
            return 0
        try:
            with opened(self.path, write=True, wait=wait) as con:
                return take_in(con, self.spool)
        except LockedError as error:
            log.info("%s", error)
            return 0

    def find(self, cell_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Rows of `cells` (with "scores": {metric: value}) by cell id, for those that are there; {} for a store not made yet."""
        if not self._has_cells():
            return {}
        with opened(self.path, write=False, wait=self.wait) as con:
            cursor = con.execute("SELECT * FROM cells WHERE cell_id IN (SELECT unnest($1::VARCHAR[]))", [list(cell_ids)])
            names = [column[0] for column in cursor.description]
            found = {row[names.index("cell_id")]: dict(zip(names, row, strict=True)) for row in cursor.fetchall()}
            for row in found.values():
                row["scores"] = {}
            scores = con.execute("SELECT cell_id, metric, value FROM scores WHERE cell_id IN (SELECT unnest($1::VARCHAR[]))", [list(found)])
            for cell_id, metric, value in scores.fetchall():
                found[cell_id]["scores"][metric] = value
        return found

    def superseded(self, keys: Mapping[str, tuple[str, str, str, str, str, int, str]]) -> dict[str, str]:
        """Of these current {cell id: Cell.key}, those that have an older result under another id: {cell id: the newest such id}."""
        if not keys or not self._has_cells():
            return {}
        wanted = {key: cell_id for cell_id, key in keys.items()}
        sql = (
            "SELECT suite, task, model, mode, budget, seed, scope, cell_id FROM cells "
            "WHERE source = 'own' AND suite IN (SELECT unnest($1::VARCHAR[])) AND cell_id NOT IN (SELECT unnest($2::VARCHAR[])) "
            "ORDER BY finished_at NULLS FIRST"
        )
        with opened(self.path, write=False, wait=self.wait) as con:
            rows = con.execute(sql, [sorted({key[0] for key in wanted}), list(keys)]).fetchall()
        return {wanted[row[:7]]: row[7] for row in rows if row[:7] in wanted}

    def confirm(self, cell_ids: Sequence[str]) -> int:
        """Make these stored results the current ones of their keys again, as when changed code was changed back; return how many were not.

        Writes only where something changes.
        """
        if self.readonly or not self._there():
            return 0
        ids = list(cell_ids)
        stale = "SELECT count(*) FROM cells WHERE superseded_by IS NOT NULL AND cell_id IN (SELECT unnest($1::VARCHAR[]))"
        with opened(self.path, write=False, wait=self.wait) as con:
            count = int(con.execute(stale, [ids]).fetchall()[0][0])
        if count:
            from harness_results.records import make_current

            with opened(self.path, write=True, wait=self.wait) as con:
                make_current(con, ids)
        return count

    def rescore(self, result_ids: Sequence[str], metrics: Sequence[Metric]) -> dict[str, dict[str, float]]:
        """Score stored results with these metrics, from the sums that are stored of them; see `harness.store.Store.rescore`.

        Writes only where a score changes, by more than the rounding of sums.
        """
        if not result_ids or not metrics or not self._there():
            return {}
        from harness_results.rescore import computed, put

        with opened(self.path, write=False, wait=self.wait) as con:
            scores, changed = computed(con, result_ids, metrics)
        if changed and not self.readonly:
            with opened(self.path, write=True, wait=self.wait) as con:
                put(con, changed)
        return scores

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """Run one read-only SQL statement; `?` or `$1` stand for the parameters. It sees this database and no file.

        Raises:
            UsageError: not one statement that reads, or wrong SQL.
            StoreError: there is no such database, or it cannot be read.
        """
        import duckdb

        if not self._there():
            raise StoreError(f"there is no results database at {self.path}; make one with `harness run`, or name another with --db")
        with opened(self.path, write=False, wait=self.wait) as con:
            try:
                statements = con.extract_statements(sql)
                kinds = [statement.type.name for statement in statements]
                if len(kinds) != 1 or kinds[0] not in ("SELECT", "EXPLAIN"):
                    raise UsageError(f"got {' and '.join(kinds) or 'no statement'}; wanted one statement that reads, as SELECT")
                relation = con.sql(sql, params=list(parameters)) if parameters else con.sql(sql)
                return relation.to_arrow_table()
            except (duckdb.IOException, duckdb.InterruptException):
                raise
            except duckdb.Error as error:
                raise UsageError(f"{str(error).strip()}\n`harness db schema` lists tables and columns") from error

    def _there(self) -> bool:
        """Whether there is a database to read; the first call takes in what earlier runs have left."""
        if not self._tidied and self.spool.is_dir():
            self.ingest(wait=1.0)
        return self.path.exists()
