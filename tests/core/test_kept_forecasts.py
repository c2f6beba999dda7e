"""Stored forecasts are what was scored, and come back with their labels."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Lab, write_dataset

import harness
from harness import Batch, Forecast, NothingMatched, StoreError, UsageError

TASK = "us_births/M/short"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> harness.Results:
    db = tmp_path_factory.mktemp("kept") / "r.duckdb"
    options: dict[str, Any] = {"tasks": f"{TASK},hospital/M/short", "db": db, "progress": "none", "isolation": "inprocess"}
    harness.run(["drift", "naive"], limit=4, save_forecasts=True, **options)
    harness.run("mean", tasks=TASK, **{k: v for k, v in options.items() if k != "tasks"})
    return harness.load(db)


def test_kept_forecasts_score_as_the_model(kept: harness.Results) -> None:
    table = kept.forecasts("drift", TASK)
    levels = [f"{k / 10:.1f}" for k in range(1, 10)]
    assert table.column_names == ["window", "item_id", "variate", "cutoff", "step", *levels, "mean", "label"]
    assert table["window"].to_pylist() == [0] * 12 + [1] * 12
    assert table["step"].to_pylist() == [*range(1, 13)] * 2
    quantiles = np.stack([table[level].to_numpy().reshape(2, 12) for level in levels], axis=1)  # [N, Q, H]
    made: list[np.ndarray[Any, Any]] = []

    def again(batch: Batch) -> Forecast:
        made.append(quantiles[len(made)])
        return Forecast.from_quantiles(made[-1][None], batch.quantile_levels)

    wanted = harness.evaluate("drift", TASK).scores
    found = harness.evaluate(again, TASK, batch_size=1).scores
    assert len(made) == 2
    for metric in ("MASE[0.5]", "mean_weighted_sum_quantile_loss", "MSIS", "MAE[0.5]"):
        assert found[metric] == pytest.approx(wanted[metric], rel=1e-6)
    error = np.abs(table["label"].to_numpy() - table["0.5"].to_numpy())
    assert error.mean() == pytest.approx(wanted["MAE[0.5]"], rel=1e-6)


def test_windows_of_a_part_have_their_own_labels(kept: harness.Results) -> None:
    table = kept.forecasts("naive", "hospital/M/short")
    sums = kept.sql(
        "SELECT item_id, w.label FROM main.windows w JOIN main.cells c USING (result_id) "
        "WHERE c.model = 'naive' AND c.task = 'hospital/M/short' ORDER BY w.\"window\""
    ).to_pylist()
    labels = table["label"].to_numpy().reshape(-1, 12).sum(axis=1)
    assert len(sums) == 4
    assert [row["item_id"] for row in sums] == table["item_id"].to_pylist()[::12]
    assert labels.tolist() == pytest.approx([row["label"] for row in sums])


def test_what_is_not_kept_is_said(kept: harness.Results, tmp_path: Path) -> None:
    with pytest.raises(NothingMatched, match="no good result of model 'nave' on task"):
        kept.forecasts("nave", TASK)
    with pytest.raises(NothingMatched, match=r"the forecasts of mean on us_births/M/short were not kept; .* save_forecasts=True"):
        kept.forecasts("mean", TASK)
    copy = tmp_path / "alone.duckdb"
    shutil.copy(kept.path, copy)
    with pytest.raises(StoreError, match=r"there is no file .*alone\.duckdb\.forecasts"):
        harness.load(copy).forecasts("naive", TASK)


def test_one_of_several_is_named(tmp_path: Path) -> None:
    options: dict[str, Any] = {"tasks": TASK, "db": tmp_path / "r.duckdb", "progress": "none", "isolation": "inprocess"}
    found = harness.run("naive", seeds="0-1", save_forecasts=True, **options)
    with pytest.raises(UsageError, match=r"2 results of naive .* name one: cell='\w+' \(quick, zero-shot, seed 0\); cell=.* seed 1\)"):
        found.forecasts("naive", TASK)
    assert found.report is not None
    assert found.forecasts("naive", TASK, cell=found.report.plan.cells[1].id[:12]).num_rows == 24
    assert harness.run("naive", seeds=1, **options).forecasts("naive", TASK).num_rows == 24


def test_labels_are_null_where_the_data_is_other_data(lab: Lab) -> None:
    rows = np.random.default_rng(1).normal(size=150).cumsum()
    write_dataset(lab.folder / "data" / "us_births" / "W", [rows.tolist()], "W-SUN")
    where = {"suite": "gift-eval", "data": lab.folder / "data", "tasks": "us_births/W/short", "progress": "none", "isolation": "inprocess"}
    found = harness.run("naive", db=lab.db, save_forecasts=True, **where)
    labels = found.forecasts("naive", "us_births/W/short")["label"].to_numpy()
    assert np.array_equal(labels, rows.astype(np.float32)[-len(labels) :])
    write_dataset(lab.folder / "data" / "us_births" / "W", [(rows + 1).tolist()], "W-SUN")
    assert found.forecasts("naive", "us_births/W/short")["label"].null_count == len(labels)
    shutil.rmtree(lab.folder / "data")
    assert found.forecasts("naive", "us_births/W/short")["label"].null_count == len(labels)
