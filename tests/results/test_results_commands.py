"""`harness sql`, `db`, `import` and `export` as they are typed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from click.testing import CliRunner, Result
from results_kit import spool_cell

from harness.errors import HarnessError, NothingMatched, StoreError, UsageError
from harness_results.plugin import register_commands
from harness_results.schema import TABLES
from harness_results.store import DuckStore

Go = Callable[..., Result]


@pytest.fixture
def db(tmp_path: Path) -> Path:
    store = DuckStore(tmp_path / "x.duckdb")
    spool_cell(store.spool)
    assert store.ingest() == 1
    return store.path


@pytest.fixture
def go(db: Path) -> Go:
    import click

    cli = click.Group()
    register_commands(cli)

    def run(*arguments: object, at: Path = db) -> Result:
        result = CliRunner().invoke(cli, [*map(str, arguments), *([] if "schema" in arguments else ["--db", str(at)])])
        if isinstance(result.exception, HarnessError):
            raise result.exception
        return result

    return run


def test_sql_in_three_forms(go: Go) -> None:
    statement = "SELECT model, MASE, MSIS, quantile_levels FROM results"
    assert "naive" in go("sql", statement).stdout
    assert json.loads(go("sql", "--json", statement).stdout)[0]["MASE"] == 1.25
    rows = list(csv.reader(io.StringIO(go("sql", "--csv", statement).stdout)))
    assert rows == [["model", "MASE", "MSIS", "quantile_levels"], ["naive", "1.25", "inf", "[0.1, 0.5, 0.9]"]]
    assert list(csv.reader(io.StringIO(go("sql", "--csv", "SELECT 1 AS a, 2 AS a").stdout))) == [["a", "a"], ["1", "2"]]
    assert go("sql", "SELECT 1 AS a, 2 AS a").stdout.split()[-2:] == ["1", "2"]
    assert "[/b]" in go("sql", 'SELECT 1 AS "[/b]"').stdout


def test_sql_only_reads(go: Go, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="one statement that reads"):
        go("sql", "DROP TABLE cells")
    with pytest.raises(StoreError, match="harness run"):
        go("sql", "SELECT 1", at=tmp_path / "none.duckdb")
    assert not (tmp_path / "none.duckdb").exists()


def test_the_schema_names_every_column_and_says_what_it_is(go: Go, db: Path) -> None:
    text = go("db", "schema").stdout
    with duckdb.connect(str(db), read_only=True) as con:
        rows = con.execute("SELECT table_name, column_name, comment FROM duckdb_columns() WHERE table_name <> 'results'").fetchall()
    stored = {(table, column): comment for table, column, comment in rows if table in TABLES}
    assert len(stored) == sum(map(len, TABLES.values()))
    for (table, column), comment in stored.items():
        assert f"| {column} |" in text
        if (table, column) != ("meta", "value"):
            assert comment, f"{table}.{column} has no comment"


def test_info_check_and_ingest(go: Go, db: Path) -> None:
    store = DuckStore(db)
    spool_cell(store.spool, cell_id="late", task="late")
    (store.spool / "junk.parquet").write_bytes(b"junk")
    assert json.loads(go("db", "info", "--json").stdout)["cells"] == 2
    with pytest.raises(StoreError, match="1 problem found"):
        go("db", "check")
    for file in (store.spool / "rejected").iterdir():
        file.unlink()
    assert "ok" in go("db", "check").stdout
    spool_cell(store.spool, cell_id="later", task="later")
    assert "1 cells taken in" in go("db", "ingest").stdout
    assert "schema_version" in go("db", "info").stdout


def test_check_finds_contradictions(go: Go, db: Path) -> None:
    with duckdb.connect(str(db)) as con:
        con.execute("INSERT INTO scores VALUES ('nobody', 'nobody', 'MASE[0.5]', 1)")
    with pytest.raises(StoreError, match="1 problem found"):
        go("db", "check")


def test_merge_takes_what_is_new_or_newer(go: Go, db: Path, tmp_path: Path) -> None:
    other = DuckStore(tmp_path / "other 'quoted' [1].duckdb")
    spool_cell(other.spool, result_id="newer", windows=5, finished_at="2026-03-01T00:00:00Z", models={"org": "o"})
    spool_cell(other.spool, cell_id="more", task="more")
    spool_cell(other.spool, cell_id="changed", finished_at="2026-04-01T00:00:00Z")
    other.ingest()
    assert "3 cells taken in" in go("db", "merge", other.path).stdout
    assert "0 cells taken in" in go("db", "merge", other.path).stdout
    store = DuckStore(db)
    found = store.find(["cell-1", "more", "changed"])
    assert (found["cell-1"]["result_id"], found["cell-1"]["superseded_by"]) == ("newer", "changed")
    assert found["more"]["scores"]["MASE[0.5]"] == 1.25
    assert store.query("SELECT count(*) AS n FROM windows WHERE result_id = 'newer'")["n"].to_pylist() == [5]
    assert store.query("SELECT count(*) AS n FROM windows")["n"].to_pylist() == [11]
    assert store.query("SELECT count(*) AS n FROM models")["n"].to_pylist() == [1]
    with pytest.raises(UsageError, match="into itself"):
        go("db", "merge", db)
    with pytest.raises(StoreError, match="no results database"):
        go("db", "merge", tmp_path / "none")
    (tmp_path / "junk").write_bytes(b"junk" * 9999)
    with pytest.raises(StoreError, match="not a DuckDB database"):
        go("db", "merge", tmp_path / "junk")


def test_vacuum_keeps_every_row(go: Go, db: Path) -> None:
    store = DuckStore(db)
    tables = {table: store.query(f"SELECT * FROM {table} ORDER BY ALL").to_pylist() for table in TABLES if table != "windows"}
    windows = store.query("SELECT * EXCLUDE (extra) FROM windows ORDER BY ALL").to_pylist()
    assert "bytes" in go("db", "vacuum").stdout
    assert {table: store.query(f"SELECT * FROM {table} ORDER BY ALL").to_pylist() for table in tables} == tables
    assert store.query("SELECT * EXCLUDE (extra) FROM windows ORDER BY ALL").to_pylist() == windows
    assert store.query("SELECT MASE FROM results").to_pylist() == [{"MASE": 1.25}]
    assert [p.name for p in db.parent.iterdir() if "vacuum" in p.name] == []


def test_import_and_export(go: Go, tmp_path: Path) -> None:
    result = go("export", "gift-eval", "-o", tmp_path / "out")
    assert "naive: 1 of 97 rows, 96 missing" in result.stdout
    result = go("import", "gift-eval", tmp_path / "out", at=tmp_path / "new.duckdb")
    assert "1 models, 1 results imported" in result.stdout
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "all_results.csv").write_text("a,b\n1,2\n")
    with pytest.raises(HarnessError, match="none of the 1"):
        go("import", "gift-eval", tmp_path / "bad")
    with pytest.raises(UsageError, match="two folders"):
        go("export", "gift-eval", tmp_path / "a", "-o", tmp_path / "b")
    with pytest.raises(NothingMatched):
        go("export", "gift-eval", "-m", "nobody")
