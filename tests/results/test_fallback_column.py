"""The columns `fallback` of `cells` and `windows`, and databases of before them."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from results_kit import spool_cell

from harness_results import maintenance, schema
from harness_results.store import DuckStore


@pytest.fixture
def store(tmp_path: Path) -> DuckStore:
    store = DuckStore(tmp_path / "x.duckdb")
    store.check()
    return store


def older(path: Path) -> None:
    """Make a database what it was at version 3."""
    with duckdb.connect(str(path)) as con:
        con.execute("DROP VIEW results")
        for table in ("cells", "windows"):
            con.execute(f"ALTER TABLE {table} DROP COLUMN fallback")
        con.execute(f"CREATE VIEW results AS {schema.VIEWS['results'][1]}")
        con.execute("UPDATE meta SET value = '3' WHERE key = 'schema_version'")


def test_a_database_of_before_is_read_and_brought_up(store: DuckStore) -> None:
    spool_cell(store.spool, fallback=0.25)
    store.ingest()
    assert store.query("SELECT fallback FROM results")["fallback"].to_pylist() == [0.25]
    older(store.path)
    before = store.path.read_bytes()
    for reader in (DuckStore(store.path), DuckStore(store.path, readonly=True)):
        assert maintenance.info(reader)["schema_version"] == 3
        for name, count in (("cells", 1), ("main.cells", 1), ("results", 1), ("windows", 3), ("main.windows", 3)):
            assert reader.query(f"SELECT fallback FROM {name}")["fallback"].to_pylist() == [None] * count
        assert reader.query("SELECT sum(abs_error) AS s FROM main.windows")["s"].to_pylist() == [3.0]
    assert store.path.read_bytes() == before, "reading changes nothing"
    spool_cell(store.spool, cell_id="cell-2", seed=1, fallback=0.5)
    writer = DuckStore(store.path)
    assert writer.ingest() == 1
    assert maintenance.info(writer)["schema_version"] == schema.SCHEMA_VERSION
    assert writer.query("SELECT fallback FROM results ORDER BY cell_id")["fallback"].to_pylist() == [None, 0.5]
    assert maintenance.check(writer) == []
    with duckdb.connect(str(store.path), read_only=True) as con:
        sql = "SELECT table_name, data_type, comment FROM duckdb_columns() WHERE column_name = 'fallback' AND NOT internal"
        made = {name: (kind, text) for name, kind, text in con.execute(sql).fetchall() if name != "results"}
    assert made == {name: schema.TABLES[name]["fallback"] for name in ("cells", "windows")}


def test_databases_of_two_versions_are_merged(store: DuckStore, tmp_path: Path) -> None:
    spool_cell(store.spool, fallback=0.25)
    store.ingest()
    older(store.path)
    other = DuckStore(tmp_path / "y.duckdb")
    other.check()
    spool_cell(other.spool, cell_id="cell-2", seed=1, fallback=0.5)
    other.ingest()
    maintenance.merge(other, [store.path])
    assert other.query("SELECT fallback FROM cells ORDER BY cell_id")["fallback"].to_pylist() == [None, 0.5]
