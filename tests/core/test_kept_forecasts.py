"""Stored forecasts are what was scored, and come back with their labels."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import Lab, write_dataset

import harness
from harness import Batch, Forecast, NothingMatched, StoreError, UsageError
from harness.arrow import from_numpy, rows
from harness.kept_file import KeptError, KeptFile

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


def test_a_database_that_was_moved_or_renamed_says_what_goes_with_it(kept: harness.Results, tmp_path: Path) -> None:
    pytest.importorskip("harness_ensemble")
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
        shutil.copy(kept.path, folder / "new.duckdb")
    shutil.copytree(f"{kept.path}.forecasts", here / "old.duckdb.forecasts")
    options: dict[str, Any] = {"tasks": TASK, "limit": 4, "progress": "none", "isolation": "inprocess"}
    old, new = here / "old.duckdb.forecasts", here / "new.duckdb.forecasts"
    for folder, said in ((here, f"If the database was renamed: mv {old} {new}"), (there, "move or rename its folder along with it")):
        lacking = f"there is no folder {folder / 'new.duckdb.forecasts'}, where the forecasts of this database are kept"
        with pytest.raises(StoreError) as error:
            harness.load(folder / "new.duckdb").forecasts("naive", TASK)
        assert lacking in str(error.value) and said in str(error.value)
        (row,) = harness.run("ensemble[of=drift+naive]", db=folder / "new.duckdb", **options).to_pandas().to_dict("records")
        assert lacking in row["reason"] and said in row["reason"]
    old.rename(new)
    (row,) = harness.run("ensemble[of=drift+naive]", db=here / "new.duckdb", **options).to_pandas().to_dict("records")
    assert row["status"] == "ok"


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


EDITS = {
    "horizon = 0": "the horizon 0; wanted 1 or more steps",
    "horizon = NULL": "the horizon None; wanted",
    "horizon = -3": "the horizon -3; wanted",
    "horizon = 2147483647": "lists of 2147483647 float",
    "quantile_levels = NULL": "the quantile levels None; wanted rising ones",
    "quantile_levels = []": "the quantile levels \\[\\]; wanted",
    "quantile_levels = [NULL]": "the quantile levels \\[None\\]; wanted",
    "quantile_levels = [0.5]": "wanted window: int64, quantiles: lists of 12 float",
    "forecasts = repeat('x', 10000)": "there is no file .*copy.duckdb.forecasts/xxx",
    "forecasts = 'a' || chr(0) || 'b'": "there is no file .*copy.duckdb.forecasts/a",
    "forecasts = '/etc/passwd'": "there is no file .*copy.duckdb.forecasts/passwd",
}


def edited(kept: harness.Results, folder: Path, *statements: str) -> Path:
    """A copy of the database after these statements."""
    db = folder / "copy.duckdb"
    shutil.copy(kept.path, db)
    shutil.copytree(kept.path.with_name(kept.path.name + ".forecasts"), folder / "copy.duckdb.forecasts")
    with duckdb.connect(str(db)) as con:
        for statement in statements:
            con.execute(statement)
    return db


@pytest.mark.parametrize("edit", EDITS)
def test_a_database_edited_by_hand_is_refused(kept: harness.Results, tmp_path: Path, edit: str) -> None:
    db = edited(kept, tmp_path, f"UPDATE cells SET {edit} WHERE model = 'naive'")
    with pytest.raises(StoreError, match=f"the kept forecasts of naive on {TASK} cannot be read: .*{EDITS[edit]}.*rerun='all'"):
        harness.load(db).forecasts("naive", TASK)
    assert harness.load(db).forecasts("drift", TASK).equals(kept.forecasts("drift", TASK))


@pytest.mark.parametrize("cutoff", ["'infinity'", "'-infinity'", "'0044-03-15 (BC) 00:00:00'"])
def test_a_cutoff_without_a_date_is_none(kept: harness.Results, tmp_path: Path, cutoff: str) -> None:
    db = edited(kept, tmp_path, f'UPDATE windows SET cutoff = {cutoff}::TIMESTAMP WHERE "window" = 0')
    found = harness.load(db).forecasts("naive", TASK).to_pylist()
    assert {row["cutoff"] for row in found if row["window"] == 0} == {None}
    assert all(row["cutoff"] is not None for row in found if row["window"] == 1)


def test_the_file_of_another_result_is_refused(kept: harness.Results, tmp_path: Path) -> None:
    db = edited(kept, tmp_path)
    files = {
        row["model"]: tmp_path / "copy.duckdb.forecasts" / Path(row["forecasts"]).name
        for row in kept.sql(f"SELECT model, forecasts FROM cells WHERE task = '{TASK}' AND forecasts <> ''").to_pylist()
    }
    shutil.copy(files["drift"], files["naive"])
    with pytest.raises(StoreError, match="holds the forecasts of another result"):
        harness.load(db).forecasts("naive", TASK)
    pq.write_table(pq.read_table(files["drift"]).replace_schema_metadata(None), files["drift"])
    assert harness.load(db).forecasts("drift", TASK).equals(kept.forecasts("drift", TASK))


def test_a_few_windows_are_those_of_all(tmp_path: Path) -> None:
    made = np.random.default_rng(2)
    index = np.arange(0, 300, 3)
    quantiles = np.sort(made.normal(size=(100, 3, 4)).astype(np.float32), axis=1)
    mean = made.normal(size=(100, 4)).astype(np.float32)
    order = made.permutation(100)
    names = ["window", "quantiles", "mean"]
    columns = [from_numpy(index[order]), rows(quantiles[order]), rows(mean[order])]
    pq.write_table(pa.Table.from_arrays(columns, names), tmp_path / "x.parquet", row_group_size=7)
    row = {"result_id": "a", "forecasts": "x.parquet", "horizon": 4, "quantile_levels": [0.1, 0.5, 0.9]}
    file = KeptFile.of(tmp_path, row)
    values, means, chances = file.read(index)
    assert chances is None
    assert np.array_equal(values, quantiles) and np.array_equal(means, mean)
    few = np.array([0, 3, 150, 297])
    assert np.array_equal(file.some(few), quantiles[few // 3])
    assert len(file.some(few[:0])) == 0
    for wrong in ([1], [-3], [0, 300]):
        with pytest.raises(KeptError, match="holds other windows"):
            file.some(np.array(wrong))
    with pytest.raises(KeptError, match="holds 100 windows, the results database 99"):
        file.read(index[1:])
    with pytest.raises(KeptError, match="holds other windows"):
        file.read(index + 1)
