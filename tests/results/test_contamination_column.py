"""The columns `contamination` and `contamination_reason`: of imported results, and of databases of before them."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest
from results_kit import spool_cell

from harness.contamination import CLEAN, DECLARED, UNKNOWN
from harness_results import maintenance, schema
from harness_results.gift_eval_import import import_gift_eval
from harness_results.store import DuckStore

NEW = ["contamination", "contamination_reason"]


@pytest.fixture
def store(tmp_path: Path) -> DuckStore:
    store = DuckStore(tmp_path / "x.duckdb")
    store.check()
    return store


def older(path: Path) -> None:
    """Make a database what it was before there were the columns, and those that came after them."""
    with duckdb.connect(str(path)) as con:
        con.execute("DROP VIEW results")
        for table, names in (added for tables in schema.NEW_COLUMNS.values() for added in tables.items()):
            for name in names:
                con.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
        con.execute(f"CREATE VIEW results AS {schema.VIEWS['results'][1]}")
        con.execute("UPDATE meta SET value = '2' WHERE key = 'schema_version'")


def test_a_database_of_before_is_read_and_brought_up(store: DuckStore) -> None:
    spool_cell(store.spool, contamination=CLEAN)
    store.ingest()
    older(store.path)
    before = store.path.read_bytes()
    sql = "SELECT cell_id, contamination, contamination_reason FROM "
    for reader in (DuckStore(store.path), DuckStore(store.path, readonly=True)):
        for name in ("cells", "main.cells", "results", "main.results"):
            assert reader.query(sql + name).to_pylist() == [{"cell_id": "cell-1", **dict.fromkeys(NEW)}]
        assert reader.query("SELECT count(*) AS n FROM results WHERE MASE > 1")["n"][0].as_py() == 1
        assert reader.find(["cell-1"])["cell-1"]["contamination"] is None
        assert maintenance.info(reader)["schema_version"] == 2
    assert store.path.read_bytes() == before, "reading changes nothing"
    spool_cell(store.spool, cell_id="cell-2", seed=1, contamination=DECLARED, contamination_reason="declares M4")
    writer = DuckStore(store.path)
    assert writer.ingest() == 1
    assert maintenance.info(writer)["schema_version"] == schema.SCHEMA_VERSION
    rows = writer.query("SELECT cell_id, contamination, contamination_reason FROM results ORDER BY 1").to_pylist()
    assert [tuple(row.values()) for row in rows] == [("cell-1", None, None), ("cell-2", DECLARED, "declares M4")]
    assert maintenance.check(writer) == []
    with duckdb.connect(str(store.path), read_only=True) as con:
        made = con.execute("SELECT column_name, data_type, comment FROM duckdb_columns() WHERE table_name = 'cells'").fetchall()
        views = con.execute("SELECT view_name, comment FROM duckdb_views() WHERE NOT internal").fetchall()
    assert {name: (kind, text) for name, kind, text in made if name in NEW} == {name: schema.TABLES["cells"][name] for name in NEW}
    assert {name for name, _, _ in made} == set(schema.TABLES["cells"])
    assert views == [("results", schema.VIEWS["results"][0])]


def test_databases_of_two_versions_are_merged(store: DuckStore, tmp_path: Path) -> None:
    spool_cell(store.spool)
    store.ingest()
    older(store.path)
    other = DuckStore(tmp_path / "y.duckdb")
    other.check()
    spool_cell(other.spool, cell_id="cell-2", seed=1, contamination=UNKNOWN)
    other.ingest()
    maintenance.merge(other, [store.path])
    assert other.query("SELECT contamination FROM cells ORDER BY cell_id")["contamination"].to_pylist() == [None, UNKNOWN]


def test_published_results_are_marked(store: DuckStore) -> None:
    import_gift_eval(store)
    rows = store.query("SELECT DISTINCT model, contamination, contamination_reason FROM cells").to_pylist()
    found = {row["model"]: row["contamination"] for row in rows}
    assert len(rows) == len(found) == 121, "one mark a model: nothing is published of single tasks"
    assert sum(state == DECLARED for state in found.values()) == 16
    assert {found[name] for name in ("Chronos_small", "TTM-R2-Pretrained")} == {DECLARED}
    assert (found["naive"], found["TiRex"]) == (CLEAN, UNKNOWN)
    assert all(row["contamination_reason"] for row in rows)
