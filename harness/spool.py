"""The spool: the folder beside a results store where a finished cell is written whole before anything else happens to it.

One Parquet file a cell, `<result id>.parquet`: its rows are the windows' statistics, its metadata holds the cell's record (`harness.cell`,
JSON, the columns of `CELL_FIELDS` and "scores") and the sums per horizon step (`harness.steps`, an Arrow IPC stream). A run is
`run-<run id>.json`, the record of a trained model `trained-<id>.json`. A file is written under a name that ends in `.<host>.<pid>.tmp`,
flushed to the disk, then renamed: a name without `.tmp` is a whole file; `running-<run id>.<host>.<pid>.tmp` stays while a run is at
work. Nothing here needs DuckDB, so a worker on any machine can write it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import StoreError
from harness.files import HOST, publish, temporary_name

__all__ = [
    "CELL_FIELDS",
    "RUN_FIELDS",
    "TRAINED_FIELDS",
    "CellWriter",
    "finished",
    "is_running",
    "proves_broken",
    "read_cell",
    "running",
    "storing",
    "sweep",
    "write_run",
    "write_trained",
]

CELL_FIELDS: dict[str, str] = {
    "result_id": "VARCHAR",  # this execution; two executions of one cell share cell_id
    "cell_id": "VARCHAR",  # hash of identity
    "run_id": "VARCHAR",
    "source": "VARCHAR",  # "own", or "gift-eval" and the like for imported results
    "suite": "VARCHAR",
    "task": "VARCHAR",
    "model": "VARCHAR",  # with its parameters: "ttm[context=512]"
    "model_name": "VARCHAR",
    "params": "JSON",
    "mode": "VARCHAR",
    "budget": "VARCHAR",
    "seed": "BIGINT",
    "scope": "VARCHAR",  # "" = the whole task
    "status": "VARCHAR",  # ok | failed | skipped
    "failure": "VARCHAR",  # kind of failure, "" when ok
    "reason": "VARCHAR",
    "log": "VARCHAR",  # the end of what the worker printed, for failed cells
    "dataset": "VARCHAR",
    "family": "VARCHAR",
    "domain": "VARCHAR",
    "freq": "VARCHAR",
    "term": "VARCHAR",
    "horizon": "INTEGER",
    "season_length": "INTEGER",
    "variates": "INTEGER",
    "quantile_levels": "DOUBLE[]",
    "n_series": "BIGINT",
    "n_windows": "BIGINT",
    "dialect": "VARCHAR",
    "protocol": "VARCHAR",
    "scoring": "VARCHAR",  # version of the scoring code
    "data_fingerprint": "VARCHAR",
    "plugin": "VARCHAR",  # distribution that registers the model
    "plugin_version": "VARCHAR",
    "source_digest": "VARCHAR",  # hash of the plugin's source
    "weights_digest": "VARCHAR",
    "identity": "JSON",  # everything that went into cell_id
    "isolation": "VARCHAR",  # process | inprocess
    "device": "VARCHAR",
    "threads": "INTEGER",
    "batch_size": "INTEGER",  # the largest batch used
    "crossings": "BIGINT",  # forecast steps whose quantiles crossed and were sorted
    "output": "VARCHAR",  # what the model returned: quantiles | samples | points
    "forecasts": "VARCHAR",  # file of the stored forecasts, relative to the store, or ""
    "started_at": "TIMESTAMP",
    "finished_at": "TIMESTAMP",
    "load_s": "DOUBLE",
    "fit_s": "DOUBLE",
    "predict_s": "DOUBLE",
    "score_s": "DOUBLE",
    "total_s": "DOUBLE",
    "peak_rss_mb": "DOUBLE",
    "receipt": "JSON",  # versions, git commit, hardware, command
    "contamination": "VARCHAR",  # one of harness.contamination.STATES
    "contamination_reason": "VARCHAR",
    "fallback": "DOUBLE",  # mean over the windows of the shares that are not the model's own
}
"""Columns of a cell's record and of the table `cells`, with their SQL types."""

RUN_FIELDS: dict[str, str] = {
    "id": "VARCHAR",
    "started_at": "TIMESTAMP",
    "finished_at": "TIMESTAMP",
    "status": "VARCHAR",
    "command": "JSON",
    "cells": "BIGINT",
    "host": "VARCHAR",
    "counts": "JSON",
}

TRAINED_FIELDS: dict[str, str] = {
    "id": "VARCHAR",
    "created": "TIMESTAMP",
    "parent": "VARCHAR",  # model name and weights digest that training started from, "" = from nothing
    "model": "VARCHAR",  # with its parameters, as in cells
    "model_name": "VARCHAR",
    "version": "VARCHAR",
    "suite": "VARCHAR",
    "task": "VARCHAR",
    "mode": "VARCHAR",
    "budget": "VARCHAR",
    "seed": "BIGINT",
    "params": "JSON",
    "configuration": "VARCHAR",  # hash of all that decides what is learnt
    "data": "VARCHAR",  # task name and fingerprint, or what a pre-training says of its data
    "git": "VARCHAR",
    "environment": "JSON",  # python, versions, platform
    "metrics": "JSON",
    "path": "VARCHAR",  # of the saved weights; "" = not kept
    "weights_digest": "VARCHAR",  # of what is at path
    "cell_id": "VARCHAR",
    "run_id": "VARCHAR",
}
"""Columns of a trained model's record and of the table `trained`, with their SQL types."""

ROW_GROUP = 16_384
"""Rows gathered before they are written: a row group of a few hundred would cost more in headers than in rows."""

CELL_KEY = b"harness.cell"
STEPS_KEY = b"harness.steps"


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity; a score that is undefined is null."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, str):  # a name of a file may hold bytes that are no text, which no database takes
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {str(_plain(str(k))): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


@contextlib.contextmanager
def storing(path: Path) -> Iterator[None]:
    """Turn what the disk says into a StoreError that says what to do."""
    try:
        yield
    except OSError as error:
        what = error.strerror or str(error)
        raise StoreError(
            f"could not write {path}: {what}. Finished cells are safe; free or unlock the disk, then run the same command again."
        ) from error


class CellWriter:
    """Streams one cell's window rows into the spool; nothing is visible there until `commit`."""

    def __init__(self, folder: Path, result_id: str, schema: pa.Schema) -> None:
        self.path = folder / f"{result_id}.parquet"
        self._temporary = temporary_name(self.path)
        with storing(self._temporary):
            folder.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self._temporary, schema, compression="zstd", compression_level=1)
        self._waiting: list[pa.RecordBatch] = []

    def write(self, rows: pa.RecordBatch) -> None:
        """Append window rows."""
        self._waiting.append(rows)
        if sum(batch.num_rows for batch in self._waiting) >= ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        if self._waiting:
            table = pa.Table.from_batches(self._waiting).unify_dictionaries()
            self._waiting.clear()
            with storing(self._temporary):
                self._writer.write_table(table)

    def commit(self, record: Mapping[str, Any], steps: pa.Table | None = None) -> Path:
        """Write the record, flush to the disk, make the file visible; return its path."""
        metadata = {CELL_KEY: json.dumps(_plain(record)).encode()}
        if steps is not None:
            sink = pa.BufferOutputStream()
            with pa.ipc.new_stream(sink, steps.schema) as stream:
                stream.write_table(steps)
            # Parquet metadata is text, so the bytes travel as hexadecimal.
            metadata[STEPS_KEY] = sink.getvalue().to_pybytes().hex().encode()
        self._flush()
        with storing(self._temporary):
            self._writer.add_key_value_metadata(metadata)
            self._writer.close()
            publish(self._temporary, self.path)
        return self.path

    def abort(self) -> None:
        """Forget the cell."""
        with contextlib.suppress(OSError, pa.ArrowException):
            self._writer.close()
        self._temporary.unlink(missing_ok=True)


def write_run(folder: Path, record: Mapping[str, Any]) -> Path:
    """Write a run's record; a later one of the same run replaces it."""
    return _write_record(folder / f"run-{record['id']}.json", record)


def write_trained(folder: Path, record: Mapping[str, Any]) -> Path:
    """Write the record of a trained model; a later one of the same id replaces it."""
    return _write_record(folder / f"trained-{record['id']}.json", record)


def _write_record(path: Path, record: Mapping[str, Any]) -> Path:
    temporary = temporary_name(path)
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(_plain(record)))
        publish(temporary, path)
    return path


def read_cell(path: Path) -> tuple[dict[str, Any], pa.Table | None]:
    """Return a spooled cell's (record, sums per step); its windows are the rows of the Parquet file itself.

    Raises:
        StoreError: not a spooled cell.
        OSError, MemoryError: the file could not be read now, and may be good.
    """
    try:
        metadata = pq.read_metadata(path).metadata or {}
        record = json.loads(metadata[CELL_KEY])
        steps = metadata.get(STEPS_KEY)
        table = pa.ipc.open_stream(bytes.fromhex(steps.decode())).read_all() if steps else None
    except (OSError, pa.ArrowException, KeyError, ValueError, RecursionError) as error:
        if not proves_broken(error):
            raise
        raise StoreError(
            f"{path} is not a finished cell ({type(error).__name__}: {error}); move it away and run the same command again"
        ) from error
    return record, table


def proves_broken(error: BaseException) -> bool:
    """Whether an error of reading a file is the file's fault.

    Parquet's reader raises OSError for two things. With an errno it is the machine that speaks (no descriptor left, no permission, a
    failing disk), and the file may be good; without one, the bytes are wrong.
    """
    if isinstance(error, OSError):
        return error.errno is None
    return not isinstance(error, MemoryError)


def finished(folder: Path) -> list[Path]:
    """Whole files in the spool, oldest first: cells (.parquet), runs and trained models (.json)."""
    files = []
    for path in (*folder.glob("*.parquet"), *folder.glob("run-*.json"), *folder.glob("trained-*.json")):
        with contextlib.suppress(FileNotFoundError):  # another process may take it in meanwhile
            status = path.stat()
            if stat.S_ISREG(status.st_mode):  # a pipe would be waited for without end
                files.append((status.st_mtime_ns, path))
    return [path for _, path in sorted(files)]


@contextlib.contextmanager
def running(folder: Path, run_id: str) -> Iterator[None]:
    """A file that says that this process is at work on a run; when the process is killed, `sweep` takes it away."""
    mark = temporary_name(folder / f"running-{run_id}")
    with contextlib.suppress(OSError):  # a full disk is for the cells to tell
        mark.touch()
    try:
        yield
    finally:
        mark.unlink(missing_ok=True)


def is_running(folder: Path, run_id: str) -> bool:
    """Whether a process of this machine is at work on a run."""
    pids = [path.name.split(".")[-2] for path in folder.glob(f"running-{run_id}.{HOST}.*.tmp")]
    return any(pid.isdigit() and _alive(int(pid)) for pid in pids)


def sweep(folder: Path, folders: bool = False) -> int:
    """Remove unfinished files of processes that are gone, and with `folders` unfinished folders too; return how many."""
    count = 0
    for path in folder.glob(f"*.{HOST}.*.tmp"):
        pid = path.name.split(".")[-2]
        if pid.isdigit() and not _alive(int(pid)):
            with contextlib.suppress(OSError):  # a folder, say, that somebody made
                if folders and path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
                count += 1
    return count


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
