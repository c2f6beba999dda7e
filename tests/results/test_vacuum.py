"""`harness db vacuum` and `db check` on disks and databases that are not well: the rows come first."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
from results_kit import spool_cell

from harness.errors import StoreError
from harness_results.connection import opened
from harness_results.maintenance import check, vacuum
from harness_results.store import DuckStore


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(disk)], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


def made(path: Path, scores: int = 0) -> DuckStore:
    """A database of one cell, and of many scores of it."""
    store = DuckStore(path)
    spool_cell(store.spool)
    store.ingest()
    with duckdb.connect(str(path)) as con:
        con.execute("INSERT INTO scores SELECT 'cell-1-a', md5(i::VARCHAR), md5((i * 7)::VARCHAR), i FROM range($1) r(i)", [scores])
    return store


def rows(store: DuckStore) -> list[int]:
    return [int(store.query(f"SELECT count(*) AS n FROM {table}")["n"][0].as_py()) for table in ("cells", "scores", "windows", "steps")]


def gone() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_vacuum_on_a_nearly_full_disk_keeps_every_row(small_disk: Path, tmp_path: Path) -> None:
    source = made(tmp_path / "source.duckdb", scores=100_000).path
    size = source.stat().st_size
    refused = 0
    for room in range(12, 36, 3):  # tenths of the file: too little for the copy, for its log, for the copy after its log, enough
        for path in (small_disk / "v.duckdb", small_disk / "ballast"):
            path.unlink(missing_ok=True)
        shutil.copy(source, small_disk / "v.duckdb")
        store = DuckStore(small_disk / "v.duckdb")
        before = rows(store)
        free = os.statvfs(small_disk)
        (small_disk / "ballast").write_bytes(bytes(free.f_bavail * free.f_frsize - size * room // 10))
        try:
            vacuum(store)
        except StoreError as error:
            refused += 1
            assert "full" in str(error)
        assert rows(store) == before
        assert [path.name for path in small_disk.iterdir() if "vacuum" in path.name] == []
    assert 0 < refused < 8


def test_an_emptied_database_is_not_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    with duckdb.connect(str(path)) as con:
        con.execute("CREATE TABLE gone AS SELECT * FROM range(100000)")
        con.execute("CHECKPOINT")
        con.execute("DROP TABLE gone")
    content = path.read_bytes()
    with pytest.raises(StoreError, match="is damaged: it has room for rows and no tables"):
        check(DuckStore(path))
    assert path.read_bytes() == content
    path.unlink()
    duckdb.connect(str(path)).close()
    assert check(DuckStore(path)) == []


def test_the_log_of_an_emptied_database_brings_its_rows_back(tmp_path: Path) -> None:
    path, log = tmp_path / "x.duckdb", tmp_path / "x.duckdb.77.vacuum.wal"
    code = (
        "import os, sys; from pathlib import Path; from harness_results.connection import opened\n"
        "with opened(Path(sys.argv[1]), write=True, wait=0) as con:\n"
        "    con.execute(\"INSERT INTO runs (id) VALUES ('here')\"); os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", code, str(path)], check=False).returncode == 9
    path.with_name("x.duckdb.wal").rename(log)
    with pytest.raises(StoreError, match=rf"mv {log} {path}\.wal") as caught:
        DuckStore(path).check()
    command = str(caught.value).rpartition("run: ")[2].partition(" && ")[0]
    subprocess.run(command.split(), check=True)
    assert check(DuckStore(path)) == []
    assert DuckStore(path).query("SELECT id FROM runs").to_pylist() == [{"id": "here"}]


def test_litter_of_killed_vacuums_is_swept_beside_a_whole_database(tmp_path: Path) -> None:
    store = made(tmp_path / "x.duckdb")
    pid = gone()
    litter = [tmp_path / f"x.duckdb.{pid}.vacuum{end}" for end in ("", ".lock", ".wal")]
    mine = tmp_path / f"x.duckdb.{os.getppid()}.vacuum"  # of a process that is alive
    litter.append(tmp_path / f"x.duckdb.{os.getpid()}.vacuum")  # of an earlier process with this one's number
    for path in (*litter, mine, tmp_path / "y.duckdb.1.vacuum"):
        path.write_bytes(b"part")
    assert check(store) == []
    assert not any(path.exists() for path in litter)
    assert mine.exists()
    litter[2].write_bytes(b"rows")  # without its file: that may have become the database
    assert f"rm {litter[2]}" in check(store)[0]
    with pytest.raises(StoreError, match="left as it is"):
        vacuum(store)
    litter[2].unlink()
    vacuum(store)
    assert (tmp_path / "y.duckdb.1.vacuum").exists()


def test_litter_beside_a_database_without_results_stays(tmp_path: Path) -> None:
    store = DuckStore(tmp_path / "x.duckdb")
    store.check()
    litter = tmp_path / f"x.duckdb.{gone()}.vacuum"
    with opened(litter, write=True, wait=0) as con:
        con.execute("INSERT INTO runs (id) VALUES ('here')")
    assert "look into it" in check(store)[0]
    assert litter.exists()


def test_a_copy_that_lacks_rows_never_replaces_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness_results import maintenance

    store = made(tmp_path / "x.duckdb", scores=10)
    before = rows(store)
    copied = maintenance._copy
    monkeypatch.setattr(maintenance, "_copy", lambda new, con, table: None if table == "scores" else copied(new, con, table))
    with pytest.raises(StoreError, match=r"has 0 rows of scores, wanted 14; the database is left"):
        vacuum(store)
    assert rows(store) == before
    assert [path.name for path in tmp_path.iterdir() if "vacuum" in path.name] == []
