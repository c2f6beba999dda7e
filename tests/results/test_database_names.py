"""Names of databases: links, addresses, odd characters; and what DuckDB must not do by itself."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest
from results_kit import spool_cell

from harness.errors import StoreError
from harness_results.connection import opened
from harness_results.maintenance import vacuum
from harness_results.store import DuckStore


def test_a_link_is_the_database_that_it_leads_to(tmp_path: Path) -> None:
    real, link = tmp_path / "real.duckdb", tmp_path / "links" / "link.duckdb"
    link.parent.mkdir()
    link.symlink_to(real)
    store = DuckStore(link)
    store.check()  # a link to what is not there yet
    assert store.spool == DuckStore(real).spool
    spool_cell(store.spool)
    assert DuckStore(real).ingest() == 1
    vacuum(store)
    assert link.is_symlink()
    assert [path.name for path in link.parent.iterdir()] == ["link.duckdb"]
    assert list(DuckStore(link).find(["cell-1"])) == list(DuckStore(real).find(["cell-1"])) == ["cell-1"]


def test_a_lock_by_another_name_is_seen(tmp_path: Path) -> None:
    real, link = tmp_path / "real.duckdb", tmp_path / "link.duckdb"
    link.symlink_to(real)
    with opened(real, write=True, wait=0), pytest.raises(StoreError, match=rf"process {os.getpid()}"):
        DuckStore(link, wait=0).check()


@pytest.mark.parametrize(
    "name", ["md:foo", "sqlite:foo.db", "postgres:dbname=x", "postgresql://h/x", ":memory:", "s3://b/x", "https://h/x"]
)
def test_addresses_are_no_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for method in (DuckStore(Path(name)).check, lambda: opened(Path(name), write=True, wait=0).__enter__()):
        with pytest.raises(StoreError, match="names no file on this machine"):
            method()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a?b.duckdb", "a\\b.duckdb"])
def test_characters_that_duckdb_reads_as_something_else(name: str, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="choose another name"):
        DuckStore(tmp_path / name).check()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a b'\"#%20;[x]*{y}$z&ü:1.duckdb", "-x", "~a", "a\nb"])
def test_other_odd_names_work(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store = DuckStore(Path(name))
    store.check()
    spool_cell(store.spool)
    assert store.ingest() == 1
    vacuum(store)
    assert list(store.find(["cell-1"])) == ["cell-1"]


def test_no_extension_is_fetched(tmp_path: Path) -> None:
    import sqlite3

    foreign = tmp_path / "foreign.db"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE t (a INT)")
    connection.commit()
    connection.close()
    content = foreign.read_bytes()
    with pytest.raises(StoreError, match="not a DuckDB database"):
        DuckStore(foreign).check()
    assert foreign.read_bytes() == content
    store = DuckStore(tmp_path / "x.duckdb")
    store.check()
    for write in (False, True):
        with opened(store.path, write=write, wait=0) as con:
            for setting in ("autoinstall_known_extensions", "autoload_known_extensions"):
                assert con.execute("SELECT current_setting($1)", [setting]).fetchall() == [(False,)]


def test_an_interrupted_statement_is_ctrl_c(tmp_path: Path) -> None:
    path = tmp_path / "x.duckdb"
    with pytest.raises(KeyboardInterrupt), opened(path, write=True, wait=0) as con:
        raise RuntimeError("Query interrupted")  # so DuckDB says it where it was told by Python's signal
    with pytest.raises(KeyboardInterrupt), opened(path, write=True, wait=0) as con:
        timer = threading.Timer(0.3, con.interrupt)
        timer.start()
        con.execute("SELECT count(*) FROM range(100000000000) t(i) WHERE i % 7 = 3")
    timer.join()
    with pytest.raises(RuntimeError, match="other"), opened(path, write=True, wait=0):
        raise RuntimeError("other")
