"""Files of others in the spool and in folders of published results stop nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from results_kit import spool_cell

from harness.files import HOST
from harness.spool import CELL_KEY
from harness_results.gift_eval_import import import_gift_eval
from harness_results.store import DuckStore

DEEP = "[" * 200_000 + "]" * 200_000


@pytest.fixture
def store(tmp_path: Path) -> DuckStore:
    store = DuckStore(tmp_path / "x.duckdb")
    store.check()
    return store


def leave_foreign_files(spool: Path) -> list[str]:
    """Return the names of those that are broken cells or runs."""
    (spool / "run-deep.json").write_text(DEEP)
    pq.write_table(pa.table({"window": [1]}).replace_schema_metadata({CELL_KEY: DEEP.encode()}), spool / "deep.parquet")
    os.mkfifo(spool / "pipe.parquet")
    os.mkfifo(spool / "run-pipe.json")
    (spool / "folder.parquet").mkdir()
    (spool / f"folder.{HOST}.99999999.tmp").mkdir()
    return ["deep.parquet", "run-deep.json"]


def test_foreign_files_in_the_spool(store: DuckStore) -> None:
    broken = leave_foreign_files(store.spool)
    spool_cell(store.spool)
    assert store.ingest() == 1
    assert sorted(path.name for path in (store.spool / "rejected").iterdir()) == broken


def test_a_file_where_rejected_files_should_go(store: DuckStore, caplog: pytest.LogCaptureFixture) -> None:
    broken = leave_foreign_files(store.spool)
    bad = spool_cell(store.spool, cell_id="bad", horizon="many")
    (store.spool / "rejected").write_text("")
    spool_cell(store.spool)
    assert store.ingest() == 1
    assert "is a file; move it away" in caplog.text
    assert all((store.spool / name).exists() for name in (*broken, bad.name))


@pytest.mark.parametrize(
    "config",
    [
        DEEP,
        '{"a": ' + DEEP + "}",
        '{"org": "' + "\\" + 'ud800", "x": ["' + "\\" + 'udfff"], "' + "\\" + 'ud801": 1}',
        '{"org": "a' + "\\" + 'u0000b", "' + "\\" + 'u0000": "' + "\\" + 'u0000"}',
        '{"x": NaN, "y": -Infinity}',
        '{"x": ' + "[" * 400 + "]" * 400 + "}",
    ],
    ids=["deep", "deep-inside", "surrogate", "nul", "nan", "rather-deep"],
)
def test_one_broken_config_stops_no_model(store: DuckStore, tmp_path: Path, config: str) -> None:
    for name, text in (("good", '{"org": "someone"}'), ("odd", config)):
        (tmp_path / "results" / name).mkdir(parents=True)
        (tmp_path / "results" / name / "config.json").write_text(text)
        lines = "dataset,eval_metrics/MASE[0.5],eval_metrics/MSIS\nm4_hourly/H/short,1.5,1_0\n"
        (tmp_path / "results" / name / "all_results.csv").write_text(lines)
    done = import_gift_eval(store, tmp_path / "results")
    assert (done.models, done.rows, done.problems) == (2, 2, [])
    assert store.query("SELECT name, json_extract_string(info, '$.org') AS org FROM models WHERE name = 'good'").to_pylist() == [
        {"name": "good", "org": "someone"}
    ]
    assert store.query("SELECT count(*) AS n FROM models WHERE json_valid(info)").to_pylist() == [{"n": 2}]
    assert store.query("SELECT DISTINCT metric, value FROM scores WHERE value IS NOT NULL").to_pylist() == [
        {"metric": "MASE[0.5]", "value": 1.5}
    ]
