"""`Results.to_pandas`: own and imported cells, failed ones, undefined scores."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from results_kit import spool_cell

import harness
from harness_results.gift_eval_import import import_gift_eval
from harness_results.store import DuckStore


@pytest.fixture
def path(tmp_path: Path) -> Path:
    store = DuckStore(tmp_path / "x.duckdb")
    store.check()
    spool_cell(store.spool, cell_id="a", model="mine")
    spool_cell(store.spool, cell_id="b", model="mine", task="hospital/M/short", domain=None, scores={"MASE[0.5]": None, "late": 2.0})
    spool_cell(store.spool, cell_id="c", model="mine", task="restaurant/D/short", status="failed", reason="no memory", scores={})
    store.ingest()
    return store.path


def test_published_scores_are_in_the_frame(path: Path) -> None:
    import_gift_eval(DuckStore(path))
    frame = harness.load(path).to_pandas()
    assert len(frame) == 3 + 121 * 97
    published = frame[frame.source == "gift-eval"]
    assert published["MASE[0.5]"].notna().all()
    assert published["n_windows"].isna().all()
    (row,) = published[(published.model == "seasonal_naive") & (published.task == "m4_hourly/H/short")].to_dict("records")
    sql = "SELECT value FROM scores JOIN cells USING (result_id) WHERE model = $1 AND task = $2 AND metric = 'MASE[0.5]'"
    assert row["MASE[0.5]"] == DuckStore(path).query(sql, ["seasonal_naive", "m4_hourly/H/short"])["value"][0].as_py()


def test_own_cells_one_row_each_whatever_is_null(path: Path) -> None:
    frame = harness.load(path).to_pandas()
    assert list(frame.columns[:4]) == ["suite", "task", "model", "source"]
    assert frame.columns.name is None
    rows = {row["task"]: row for row in frame.to_dict("records")}
    assert set(rows) == {"m4_hourly/H/short", "hospital/M/short", "restaurant/D/short"}
    assert rows["m4_hourly/H/short"]["MASE[0.5]"] == 1.25
    assert math.isinf(rows["m4_hourly/H/short"]["MSIS"])
    assert rows["hospital/M/short"]["late"] == 2.0
    assert math.isnan(rows["hospital/M/short"]["MASE[0.5]"])
    assert rows["restaurant/D/short"]["reason"] == "no memory"
    assert math.isnan(rows["restaurant/D/short"]["late"])


def test_a_store_without_scores(tmp_path: Path) -> None:
    store = DuckStore(tmp_path / "x.duckdb")
    store.check()
    assert harness.load(store.path).to_pandas().empty
    spool_cell(store.spool, status="failed", scores={})
    (row,) = harness.load(store.path).to_pandas().to_dict("records")
    assert (row["status"], "MASE[0.5]" in row) == ("failed", False)
