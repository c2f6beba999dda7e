"""The table `trained`: taken in once, never taken away, merged with the folders, and absent from databases of before it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest
from results_kit import spool_cell

from harness.errors import StoreError
from harness.saved import model_folder
from harness.spool import TRAINED_FIELDS, finished, write_trained
from harness.trained import folder_of, usage
from harness_results import maintenance, records, schema
from harness_results.connection import opened
from harness_results.store import DuckStore


@pytest.fixture
def store(tmp_path: Path) -> DuckStore:
    store = DuckStore(tmp_path / "x.duckdb")
    store.check()
    return store


def record(number: int = 1, **changes: Any) -> dict[str, Any]:
    base = {"id": f"{number:032x}", "created": "2026-01-01T00:00:00", "model": "net[a=1]", "mode": "full", "task": "t", "seed": 3}
    base |= {"params": {"a": 1}, "metrics": {"fit_s": 1.5, "loss": float("nan")}, "environment": {"python": "3.11"}, "cell_id": "cell-1"}
    return {**base, **changes}


def older(path: Path) -> None:
    """Make a database what it was before there was the table."""
    with duckdb.connect(str(path)) as con:
        con.execute("DROP TABLE trained")
        for table, name in (("cells", "contamination"), ("cells", "contamination_reason"), ("cells", "fallback"), ("windows", "fallback")):
            con.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
        con.execute("UPDATE meta SET value = '1' WHERE key = 'schema_version'")


def count(store: DuckStore, table: str = "trained") -> int:
    return int(store.query(f"SELECT count(*) AS n FROM main.{table}")["n"][0].as_py())


def test_records_are_taken_in_once(store: DuckStore) -> None:
    write_trained(store.spool, record())
    write_trained(store.spool, record(2, model="other", metrics=None, seed=None, created=None, version=None))
    spool_cell(store.spool)
    assert store.ingest() == 1, "cells are counted"
    assert finished(store.spool) == []
    rows = {row["id"][-1]: row for row in store.query("SELECT * FROM trained").to_pylist()}
    assert set(rows["1"]) == set(TRAINED_FIELDS)
    assert (rows["1"]["model_name"], rows["1"]["seed"], rows["1"]["path"]) == ("net", 3, "")
    assert json.loads(rows["1"]["metrics"]) == {"fit_s": 1.5, "loss": None}
    assert (rows["2"]["metrics"], rows["2"]["seed"], rows["2"]["created"], rows["2"]["version"]) == ("{}", 0, None, "")
    write_trained(store.spool, record())
    store.ingest()
    assert count(store) == 2
    assert maintenance.check(store) == []


def test_the_newest_record_of_an_id_stays(store: DuckStore, tmp_path: Path) -> None:
    def budget() -> str:
        return str(store.query("SELECT budget FROM trained")["budget"].to_pylist())

    for created, name, wanted in (("2026-02", "b", "b"), ("2026-01", "a", "b"), ("2026-03", "c", "c"), ("2026-03", "d", "d")):
        write_trained(store.spool, record(created=f"{created}-01T00:00:00", budget=name))
        store.ingest()
        assert budget() == f"['{wanted}']"
    # Two at once, as from two machines.
    for name, created in (("new", "2026-05"), ("old", "2026-04")):
        path = write_trained(store.spool, record(created=f"{created}-01T00:00:00", budget=name))
        path.rename(path.with_name(f"trained-{name}.json"))
    store.ingest()
    assert budget() == "['new']"


@pytest.mark.parametrize(
    "bad", ["{", "[1]", '{"id": "x"}', '{"id": "x", "model": "m", "seed": "many"}', '{"id": "x", "model": "m", "metrics": "{"}']
)
def test_a_broken_record_is_moved_away(store: DuckStore, bad: str, caplog: pytest.LogCaptureFixture) -> None:
    (store.spool / "trained-x.json").write_text(bad)
    write_trained(store.spool, record())
    spool_cell(store.spool)
    assert store.ingest() == 1
    assert count(store) == 1
    assert [path.name for path in (store.spool / "rejected").iterdir()] == ["trained-x.json"]
    assert "trained" in caplog.text


def test_a_record_outlives_its_cell(store: DuckStore) -> None:
    spool_cell(store.spool, cell_id="cell-1", finished_at="2026-01-01T00:00:00")
    write_trained(store.spool, record())
    store.ingest()
    spool_cell(store.spool, cell_id="cell-2", finished_at="2026-01-02T00:00:00")
    store.ingest()
    assert store.query("SELECT superseded_by FROM cells WHERE cell_id = 'cell-1'")["superseded_by"][0].as_py() == "cell-2"
    with opened(store.path, write=True, wait=1) as con, records.transaction(con):
        records.delete_results(con, ["cell-1-a", "cell-2-a"])
    assert (count(store, "cells"), count(store)) == (0, 1)
    maintenance.vacuum(store)
    assert count(store) == 1


def test_a_database_of_before_opens_and_works(store: DuckStore) -> None:
    spool_cell(store.spool)
    store.ingest()
    older(store.path)
    before = store.path.read_bytes()
    for reader in (DuckStore(store.path), DuckStore(store.path, readonly=True)):
        assert count(reader) == 0
        assert reader.query("SELECT * FROM trained").schema.names == list(TRAINED_FIELDS)
        assert count(reader, "cells") == len(reader.find(["cell-1"])) == 1
        assert maintenance.info(reader)["schema_version"] == 1
    assert store.path.read_bytes() == before, "reading changes nothing"
    # The next record that comes brings the table.
    write_trained(store.spool, record())
    DuckStore(store.path).ingest()
    assert (count(store), count(store, "cells")) == (1, 1)
    assert maintenance.info(store)["schema_version"] == schema.SCHEMA_VERSION
    with duckdb.connect(str(store.path), read_only=True) as con:
        made = con.execute("SELECT column_name, data_type, comment FROM duckdb_columns() WHERE table_name = 'trained'").fetchall()
    assert {name: kind for name, kind, _ in made} == TRAINED_FIELDS
    assert [(name, text) for name, _, text in made] == [(name, text) for name, (_, text) in schema.TABLES["trained"].items()]


@pytest.mark.parametrize("command", ["check", "run", "vacuum"])
def test_what_writes_brings_the_table(store: DuckStore, command: str) -> None:
    spool_cell(store.spool)
    store.ingest()
    older(store.path)
    again = DuckStore(store.path)
    if command == "check":
        assert maintenance.check(again) == []
    elif command == "run":
        again.check()
    else:
        maintenance.vacuum(again)
    assert maintenance.info(again)["schema_version"] == schema.SCHEMA_VERSION
    assert (count(again), count(again, "cells"), count(again, "windows")) == (0, 1, 3)


def test_an_interrupted_migration_leaves_the_version_before(store: DuckStore, monkeypatch: pytest.MonkeyPatch) -> None:
    older(store.path)

    def half(con: duckdb.DuckDBPyConnection) -> None:
        schema._create_table(con, "trained")
        raise StoreError("no room")

    with monkeypatch.context() as patch:
        patch.setitem(schema.MIGRATIONS, 1, half)
        with pytest.raises(StoreError, match="no room"):
            DuckStore(store.path).check()
    assert maintenance.info(store)["schema_version"] == 1
    DuckStore(store.path).check()
    assert (maintenance.info(store)["schema_version"], count(store)) == (schema.SCHEMA_VERSION, 0)


def test_a_newer_database_is_refused(store: DuckStore) -> None:
    with duckdb.connect(str(store.path)) as con:
        con.execute("UPDATE meta SET value = '99' WHERE key = 'schema_version'")
    with pytest.raises(StoreError, match=rf"schema version 99; this one reads up to {schema.SCHEMA_VERSION}"):
        count(DuckStore(store.path))


def saved(store: DuckStore, number: int, **changes: Any) -> Path:
    """A record, and the folder that it names."""
    folder = model_folder(store) / record(number)["id"]
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "model.bin").write_text(str(number))
    write_trained(store.spool, record(number, **{"path": f"{folder.parent.name}/{folder.name}", **changes}))
    store.ingest()
    return folder


def test_merging_takes_the_folders_in(store: DuckStore, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    (tmp_path / "secret").write_text("mine")
    other = DuckStore(tmp_path / "far" / "y.duckdb")
    other.check()
    mine, theirs = saved(store, 1), saved(other, 2)
    (theirs / "link").symlink_to(tmp_path / "secret")
    write_trained(other.spool, record(1, budget="another of the same id"))
    write_trained(other.spool, record(3, path="/somewhere/else"))
    write_trained(other.spool, record(4, path="../../etc/" + mine.name))
    maintenance.merge(store, [other.path])
    rows = {int(row["id"], 16): row for row in store.query("SELECT * FROM trained").to_pylist()}
    assert {number: row["path"] for number, row in rows.items() if number != 1} == {
        2: f"x.duckdb.models/{theirs.name}",
        3: "/somewhere/else",
        4: f"x.duckdb.models/{mine.name}",  # its last part alone: it leads nowhere else
    }
    assert folder_of(store, rows[2]) == model_folder(store) / theirs.name
    assert (model_folder(store) / theirs.name / "deep" / "model.bin").read_text() == "2"
    assert (model_folder(store) / theirs.name / "link").is_symlink(), "the content of a file elsewhere is not copied"
    assert folder_of(store, {"path": "../../etc"}) == model_folder(store) / "etc"
    assert list(model_folder(store).glob("*.tmp")) == []
    shutil.rmtree(theirs)
    maintenance.merge(store, [other.path])
    assert (model_folder(store) / theirs.name / "deep" / "model.bin").exists()


def test_merging_a_database_of_before(store: DuckStore, tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    other = DuckStore(tmp_path / "far" / "y.duckdb")
    other.check()
    spool_cell(other.spool)
    other.ingest()
    older(other.path)
    before = other.path.read_bytes()
    saved(store, 1)
    assert maintenance.merge(store, [other.path]) == {other.path: 1}
    assert (count(store), count(store, "cells")) == (1, 1)
    assert other.path.read_bytes() == before


def test_a_folder_that_is_gone_is_a_problem(store: DuckStore) -> None:
    folder = saved(store, 1)
    write_trained(store.spool, record(2, path="/never/was"))
    store.ingest()
    assert maintenance.check(store) == []
    (row,) = store.query("SELECT * FROM trained WHERE cell_id = 'cell-1' AND path NOT LIKE '/%'").to_pylist()
    assert usage(store, row) == f"harness run -m 'net[a=1]' -M net:weights={folder} -t t"
    shutil.rmtree(folder)
    assert usage(store, row) == ""
    (problem,) = maintenance.check(store)
    assert problem.startswith(f"1 saved models are not in {folder.parent}, as {folder.name}; copy them there")


def test_a_strangers_names_do_no_harm(store: DuckStore) -> None:
    """What stands in a record may be anybody's text."""
    long, odd = "x" * 5000, "a;rm -rf 'b'\n\x1b[31m"
    for number, path in enumerate((long, odd, "models/..", "models/.", f"models/{odd}"), 1):
        write_trained(store.spool, record(number, path=path, model=odd, model_name=odd, params={odd: odd}))
    store.ingest()
    assert count(store) == 5
    folders = []
    for row in store.query("SELECT * FROM trained ORDER BY id").to_pylist():
        folders.append(folder_of(store, row))
        assert usage(store, row) == ""
    base = model_folder(store)
    assert folders == [base / long, base / odd.rpartition("/")[2], None, base / "models", base / odd]
    assert len(maintenance.check(store)) == 1
