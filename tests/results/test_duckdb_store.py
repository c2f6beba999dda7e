"""The store's contract: what goes into the spool comes out of the database, once, whatever happens in between."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from pathlib import Path

import duckdb
import pytest
from results_kit import record, spool_cell

from harness.errors import StoreError, UsageError
from harness.spool import write_run
from harness_results.store import DuckStore

KEY = ("gift-eval", "m4_hourly/H/short", "naive", "zero-shot", "", 0, "")


@pytest.fixture
def store(tmp_path: Path) -> DuckStore:
    store = DuckStore(tmp_path / "harness.duckdb", wait=0.3)
    store.check()
    return store


def count(store: DuckStore, table: str) -> int:
    return int(store.query(f"SELECT count(*) AS n FROM {table}")["n"][0].as_py())


def test_a_spooled_cell_comes_back_whole(store: DuckStore) -> None:
    path = spool_cell(store.spool, models={"model_type": "statistical", "extra": {"org": "me"}, "url": "https://example.org"})
    assert store.ingest() == 1
    assert not path.exists()
    row = store.find(["cell-1", "unknown"])["cell-1"]
    assert row["scores"]["MASE[0.5]"] == 1.25
    assert math.isinf(row["scores"]["MSIS"])
    assert row["scores"]["MAPE[0.5]"] is None
    assert row["quantile_levels"] == [0.1, 0.5, 0.9]
    assert row["finished_at"].isoformat() == "2026-01-01T00:00:01"
    windows = store.query('SELECT * FROM windows ORDER BY "window"').to_pylist()
    assert [w["abs_error"] for w in windows] == [0.0, 1.0, 2.0]
    assert windows[0]["quantile_loss"] == [1.0, 2.0, 3.0]
    assert windows[0]["extra"] == [("mine.sum", 0.5)]
    assert windows[0]["ape"] is None  # not in the file
    assert count(store, "steps") == 2
    assert store.query("SELECT MASE, CRPS FROM results").to_pylist() == [{"MASE": 1.25, "CRPS": 0.5}]
    assert store.query("SELECT org, link FROM models").to_pylist() == [{"org": "me", "link": "https://example.org"}]


def test_the_same_result_twice_is_one(store: DuckStore) -> None:
    spool_cell(store.spool)
    assert store.ingest() == 1
    left = spool_cell(store.spool)  # as if killed between COMMIT and removal
    assert store.ingest() == 0
    assert not left.exists()
    assert (count(store, "cells"), count(store, "windows"), count(store, "scores")) == (1, 3, 4)


def test_a_cell_run_again_replaces_its_result_and_an_older_one_does_not(store: DuckStore) -> None:
    spool_cell(store.spool, result_id="r1")
    store.ingest()
    spool_cell(store.spool, result_id="r2", windows=5, finished_at="2026-01-02T00:00:00Z")
    store.ingest()
    spool_cell(store.spool, result_id="r0", windows=7, finished_at="2025-01-02T00:00:00Z")
    store.ingest()
    assert store.find(["cell-1"])["cell-1"]["result_id"] == "r2"
    assert count(store, "windows") == 5
    assert store.query("SELECT DISTINCT result_id FROM scores").to_pylist() == [{"result_id": "r2"}]


def test_two_results_of_one_cell_in_one_batch(store: DuckStore) -> None:
    spool_cell(store.spool, result_id="r2", windows=5, finished_at="2026-01-02T00:00:00Z")
    spool_cell(store.spool, result_id="r1")
    assert store.ingest() == 1
    assert store.find(["cell-1"])["cell-1"]["result_id"] == "r2"
    assert not list(store.spool.glob("*.parquet"))


def test_a_new_identity_supersedes_the_old_one(store: DuckStore) -> None:
    spool_cell(store.spool, cell_id="old")
    store.ingest()
    assert store.superseded({"new": KEY, "other": (*KEY[:5], 1, "")}) == {"new": "old"}
    spool_cell(store.spool, cell_id="new", finished_at="2026-02-01T00:00:00Z")
    store.ingest()
    assert store.find(["old"])["old"]["superseded_by"] == "new"
    assert store.query("SELECT cell_id FROM results").to_pylist() == [{"cell_id": "new"}]
    assert store.superseded({"new": KEY}) == {"new": "old"}


def test_a_result_that_holds_again_is_current_again(store: DuckStore) -> None:
    spool_cell(store.spool, cell_id="old")
    spool_cell(store.spool, cell_id="new", finished_at="2026-02-01T00:00:00Z")
    spool_cell(store.spool, cell_id="apart", task="another")
    assert store.ingest() == 3
    assert store.confirm(["new", "apart"]) == 0
    assert store.confirm(["old", "apart"]) == 1
    assert sorted(row["cell_id"] for row in store.query("SELECT cell_id FROM results").to_pylist()) == ["apart", "old"]
    assert store.find(["new"])["new"]["superseded_by"] == "old"
    spool_cell(store.spool, cell_id="newest", finished_at="2026-03-01T00:00:00Z")
    store.ingest()
    assert {c: row["superseded_by"] for c, row in store.find(["old", "new"]).items()} == {"old": "newest", "new": "newest"}


def test_runs_are_kept_and_replaced(store: DuckStore) -> None:
    for status in ("running", "complete"):
        write_run(
            store.spool, {"id": "abc", "status": status, "command": '["run"]', "cells": 2, "counts": "{}", "started_at": "2026-01-01"}
        )
        store.ingest()
    assert store.query("SELECT id, status FROM runs").to_pylist() == [{"id": "abc", "status": "complete"}]


@pytest.mark.parametrize("broken", ["garbage", "cut", "bad-type", "wrong-column", "bad-page", "run"])
def test_a_broken_file_never_blocks_the_others(store: DuckStore, broken: str, caplog: pytest.LogCaptureFixture) -> None:
    import pyarrow as pa

    from harness.spool import CellWriter

    good = spool_cell(store.spool, cell_id="good")
    bad = store.spool / "bad.parquet"
    if broken == "garbage":
        bad.write_bytes(b"PAR1 not really")
    elif broken == "cut":
        bad.write_bytes(good.read_bytes()[:200])
    elif broken == "run":
        bad = store.spool / "run-x.json"
        bad.write_text('{"id": ')
    elif broken == "bad-type":
        bad = spool_cell(store.spool, cell_id="bad", horizon="many")
    elif broken == "bad-page":
        bad = spool_cell(store.spool, cell_id="bad", windows=20_000)
        content = bytearray(bad.read_bytes())
        content[1000:60_000] = b"x" * 59_000
        bad.write_bytes(content)
    else:
        writer = CellWriter(store.spool, "bad", pa.schema([("window", pa.string())]))
        writer.write(pa.record_batch({"window": ["not a number"]}))
        writer.commit(record("bad", "bad"))
    assert store.ingest() == 1
    assert list(store.find(["good", "bad"])) == ["good"]
    assert (store.spool / "rejected" / bad.name).exists()
    assert "could not be taken in" in caplog.text


def test_hostile_text_is_data(store: DuckStore) -> None:
    name = "x'); DROP TABLE cells; -- \0 <script> \ud800"
    spool_cell(store.spool, model=name, model_name=name, reason=name, scores={name: 1.0})
    assert store.ingest() == 1
    row = store.find(["cell-1"])["cell-1"]
    assert row["model"].startswith("x'); DROP TABLE cells; -- \0 <script>")
    assert len(row["scores"]) == 1


def test_queries_read_this_database_and_nothing_else(store: DuckStore, tmp_path: Path) -> None:
    assert store.query("SELECT $1 + 1 AS n", [1]).to_pylist() == [{"n": 2}]
    for sql in ("DELETE FROM cells", "SELECT 1; SELECT 2", "", "SET threads = 8", "COPY cells TO 'x.csv'", "ATTACH 'y.duckdb'", "SELEC 1"):
        with pytest.raises(UsageError):
            store.query(sql)
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    with pytest.raises(UsageError, match="disabled by configuration"):
        store.query(f"SELECT * FROM read_text('{secret}')")
    with pytest.raises(UsageError, match="harness db schema"):
        store.query("SELECT nonsense FROM cells")


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    store = DuckStore(tmp_path / "none.duckdb")
    assert store.find(["x"]) == {}
    assert store.superseded({"x": KEY}) == {}
    assert store.ingest() == 0
    with pytest.raises(StoreError, match="harness run"):
        store.query("SELECT 1")
    assert not store.path.exists()


def test_reading_takes_in_what_a_killed_run_left(tmp_path: Path) -> None:
    spool_cell(tmp_path / "a.duckdb.spool")
    assert list(DuckStore(tmp_path / "a.duckdb").find(["cell-1"])) == ["cell-1"]
    spool_cell(tmp_path / "a.duckdb.spool", cell_id="cell-2", task="other")
    assert DuckStore(tmp_path / "a.duckdb", readonly=True).find(["cell-2"]) == {}


def test_check_says_what_is_wrong_with_the_place(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is a folder"):
        DuckStore(tmp_path).check()
    with pytest.raises(StoreError, match=r"mkdir -p"):
        DuckStore(tmp_path / "no" / "x.duckdb").check()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="is a file"):
        DuckStore(tmp_path / "file" / "x.duckdb").check()


@pytest.mark.parametrize("content", ["garbage", "empty", "cut"])
def test_check_refuses_what_is_not_a_database(tmp_path: Path, content: str) -> None:
    path = tmp_path / "x.duckdb"
    DuckStore(path).check()
    whole = path.read_bytes()
    path.write_bytes({"garbage": b"hello" * 5000, "empty": b"", "cut": whole[: len(whole) // 2]}[content])
    with pytest.raises(StoreError, match=r"x\.duckdb"):
        DuckStore(path).check()


def test_check_refuses_other_versions_and_other_databases(tmp_path: Path) -> None:
    path = tmp_path / "new.duckdb"
    DuckStore(path).check()
    with duckdb.connect(str(path)) as con:
        con.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    for method in (DuckStore(path).check, lambda: DuckStore(path).query("SELECT 1")):
        with pytest.raises(StoreError, match=r"version 99.*pip install --upgrade ts-harness"):
            method()
    with duckdb.connect(str(tmp_path / "other.duckdb")) as con:
        con.execute("CREATE TABLE customers (id INT)")
    with pytest.raises(StoreError, match="customers"):
        DuckStore(tmp_path / "other.duckdb").check()


def test_a_database_held_by_another_program(store: DuckStore) -> None:
    spool_cell(store.spool)
    code = f"import duckdb; c = duckdb.connect({str(store.path)!r}); print('held', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert store.ingest(wait=0.2) == 0
        with pytest.raises(StoreError, match=rf"process {holder.pid}"):
            store.find(["cell-1"])
        with pytest.raises(StoreError, match=rf"process {holder.pid}"):
            store.check()
        holder.communicate("\n")
    assert store.ingest() == 1


def test_a_lock_of_our_own_names_its_process(store: DuckStore) -> None:
    import fcntl

    lock = store.path.with_name(store.path.name + ".lock")
    with lock.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        handle.write(str(os.getpid()))
        handle.flush()
        with pytest.raises(StoreError, match=rf"process {os.getpid()}"):
            store.query("SELECT 1")
    assert store.query("SELECT 1 AS one").to_pylist() == [{"one": 1}]


def test_a_full_disk_keeps_the_spool(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        store = DuckStore(disk / "x.duckdb")
        store.check()
        path = spool_cell(store.spool, windows=10)
        with (disk / "ballast").open("wb") as ballast:
            try:
                while True:
                    ballast.write(bytes(65536))
                    ballast.flush()
            except OSError:
                pass
        with pytest.raises(StoreError, match=r"disk is full|No space"):
            store.ingest()
        assert path.exists()
        assert not (store.spool / "rejected").exists()
        (disk / "ballast").unlink()
        assert store.ingest() == 1
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def test_it_answers_at_once(store: DuckStore) -> None:
    for i in range(66):
        spool_cell(store.spool, cell_id=f"c{i}", task=f"t{i}")
    start = time.perf_counter()
    assert store.ingest() == 66
    assert time.perf_counter() - start < 3  # 0.3 s on an idle machine
    start = time.perf_counter()
    assert len(store.find([f"c{i}" for i in range(66)])) == 66
    assert time.perf_counter() - start < 1


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from results_kit import spool_cell
from harness_results.store import DuckStore
store = DuckStore(Path(sys.argv[1]))
for i in range(int(sys.argv[3]), 10**6):
    spool_cell(store.spool, cell_id=f"c{i}", task=f"t{i}", windows=50)
    print(i, flush=True)
    if i % 3 == 0:
        store.ingest()
"""


def test_kill_nine_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "killed.duckdb"
    kit = str(Path(__file__).parent)
    first = 0
    for attempt in range(10):
        with subprocess.Popen([sys.executable, "-c", KILLED, str(path), kit, str(first)], stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            said = [int(child.stdout.readline())]
            time.sleep(0.02 + 0.037 * attempt)
            child.kill()
            said += [int(line) for line in child.stdout.read().splitlines() if line.strip()]
        first = said[-1] + 1
    store = DuckStore(path)
    found = store.find([f"c{i}" for i in range(first + 1)])
    assert set(found) >= {f"c{i}" for i in range(first)}
    doubles = store.query("SELECT cell_id FROM cells GROUP BY cell_id HAVING count(*) > 1").num_rows
    assert doubles == 0
    per_cell = store.query("SELECT DISTINCT count(*) AS n FROM windows GROUP BY result_id").to_pylist()
    assert per_cell == [{"n": 50}]
    assert not list(store.spool.glob("*.parquet"))


SCARCE = """
import os, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from results_kit import spool_cell
from harness_results.store import DuckStore
store = DuckStore(Path(sys.argv[1]))
spool_cell(store.spool, cell_id="first", task="first")
store.ingest()  # imports all that is needed
for i in range(80):
    spool_cell(store.spool, cell_id=f"c{i}", task=f"t{i}")
used = max(int(name) for name in os.listdir("/proc/self/fd")) + 1
resource.setrlimit(resource.RLIMIT_NOFILE, (used + 40, used + 40))
print(store.ingest())
"""


def test_more_files_than_may_be_open(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SCARCE, str(tmp_path / "x.duckdb"), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.returncode) == ("80\n", 0), done.stderr
    spool = tmp_path / "x.duckdb.spool"
    assert not (spool / "rejected").exists()
    assert not list(spool.glob("*.parquet"))


def test_an_unreadable_file_stays_and_stops_no_other(store: DuckStore, monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    from harness.spool import read_cell
    from harness_results import ingest

    def failing(path: Path) -> object:
        if path == bad:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(path))
        return read_cell(path)

    bad = spool_cell(store.spool, cell_id="bad", task="other")
    spool_cell(store.spool, cell_id="good")
    monkeypatch.setattr(ingest, "read_cell", failing)
    with pytest.raises(StoreError, match=rf"{bad.name} could not be read: {os.strerror(errno.EIO)}"):
        store.ingest()
    assert list(store.find(["good", "bad"])) == ["good"]
    monkeypatch.undo()
    assert store.ingest() == 1
    assert not (store.spool / "rejected").exists()


def test_bytes_that_parquet_reports_as_an_os_error_are_broken(store: DuckStore) -> None:
    bad = spool_cell(store.spool, cell_id="bad")
    content = bytearray(bad.read_bytes())
    content[-60:-12] = b"\xff" * 48  # inside the footer: an OSError without a number
    bad.write_bytes(content)
    assert store.ingest() == 0
    assert (store.spool / "rejected" / bad.name).exists()
