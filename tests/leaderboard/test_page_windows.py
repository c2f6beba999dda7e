"""Single forecasts: which windows are chosen, and that what is drawn is what was kept and what came."""

from __future__ import annotations

import base64
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from kept import LIMITED, TASKS, changed, kept_lab, results_of, rows_of
from pages import DTYPES
from support import Lab

from harness.kept import read_forecasts
from harness.plugins import load
from harness_leaderboard.aggregate import Results
from harness_leaderboard.kept_windows import (
    DRAWN,
    KINDS,
    Drawn,
    Kept,
    SuiteData,
    choose_windows,
    draw_windows,
    kept_forecasts,
    numbered_window,
    window_range,
)
from harness_leaderboard.page.windows import explorer
from harness_results.store import DuckStore

PLENTY = 10_000_000
ERRORS = """
SELECT c.model, w."window", w.scaled_error / w.n_scaled FROM windows w JOIN cells c USING (result_id)
WHERE c.scope = '' AND c.seed = 0 AND c.status = 'ok' AND w.n_scaled > 0 AND c.task = '{}'
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return kept_lab(tmp_path_factory.getbasetemp())


def store_of(db: Path) -> DuckStore:
    return DuckStore(db, readonly=True)


def kept_of(db: Path, **options: Any) -> tuple[Results, Kept]:
    results = results_of(db, **options)
    kept = kept_forecasts(store_of(db), results)
    assert kept is not None
    return results, kept


def drawn_of(db: Path, task: str, **options: Any) -> dict[str, Drawn]:
    """{role: window}; a window of several roles is there several times."""
    _, kept = kept_of(db, **options)
    found = draw_windows(kept, task, choose_windows(store_of(db), kept)[task], SuiteData(load()))
    return {kind: window for window in found for kind in window.kinds}


def shown(db: Path, budget: int = PLENTY) -> dict[str, Any] | None:
    return explorer(load(), store_of(db), results_of(db), budget)


def read(record: dict[str, Any]) -> Any:
    return np.frombuffer(base64.b64decode(record["data"]), DTYPES[record["dtype"]]).reshape(record["shape"])


def file_of(db: Path, model: str, task: str, scope: str = "", seed: int = 0) -> Path:
    import duckdb

    with duckdb.connect(str(db), read_only=True) as connection:
        sql = "SELECT forecasts FROM cells WHERE model = $1 AND task = $2 AND scope = $3 AND seed = $4"
        (name,) = connection.execute(sql, [model, task, scope, seed]).fetchone()
    return db.with_name(db.name + ".forecasts") / Path(name).name


@pytest.mark.parametrize("task", TASKS)
def test_the_windows_are_what_their_names_say(lab: Lab, task: str) -> None:
    errors: dict[int, dict[str, float]] = {}
    for model, window, error in lab.query(ERRORS.format(task)):
        errors.setdefault(window, {})[model] = error
    most = max(len(those) for those in errors.values())
    mean = {window: math.fsum(those.values()) / len(those) for window, those in errors.items() if len(those) == most}
    by_error = sorted(mean, key=lambda window: (mean[window], window))
    gap = {window: max(errors[window].values()) - min(errors[window].values()) for window in mean}
    found = drawn_of(lab.db, task)
    assert set(found) == set(KINDS)
    assert mean[found["best"].number] == pytest.approx(min(mean.values()))
    assert mean[found["worst"].number] == pytest.approx(max(mean.values()))
    assert mean[found["median"].number] == pytest.approx(mean[by_error[(len(by_error) - 1) // 2]])
    assert gap[found["apart"].number] == pytest.approx(max(gap.values()))
    results = results_of(lab.db)
    for window in found.values():
        mine = {results.entries[m].label: error for m, error in window.errors.items()}
        assert mine == pytest.approx(errors[window.number])


@pytest.mark.parametrize("task", TASKS)
def test_what_is_drawn_is_what_was_kept_and_what_came(lab: Lab, task: str) -> None:
    results, kept = kept_of(lab.db)
    assert [kept.levels[q] for q in kept.drawn] == [0.1, 0.3, 0.5, 0.7, 0.9]
    for window in drawn_of(lab.db, task).values():
        assert len(window.forecasts) == (4 if "/W/" in task else 5)
        horizon = next(int(record["horizon"]) for record in results.tasks if record["name"] == task)
        assert window.step.tolist() == list(range(1, horizon + 1, math.ceil(horizon / DRAWN)))
        for m, drawn in window.forecasts.items():
            model = results.entries[m].model
            table = pq.read_table(file_of(lab.db, model, task)).to_pylist()
            row = next(row for row in table if row["window"] == window.number)
            quantiles = [row["quantiles"][q * horizon : (q + 1) * horizon] for q in range(9)]
            assert drawn.tolist() == [[quantiles[q][s - 1] for s in window.step] for q in (0, 2, 4, 6, 8)]
        cell = next(c for c in results.cells[rows_of(results, "naive"), task])
        labels = read_forecasts(load(), store_of(lab.db), "naive", task, "quick", cell.cell_id, None).to_pylist()
        came = {row["step"]: row["label"] for row in labels if row["window"] == window.number}
        item = {(row["item_id"], row["variate"], row["cutoff"]) for row in labels if row["window"] == window.number}
        assert window.label is not None
        np.testing.assert_array_equal(window.label, np.array([came[s] for s in window.step], np.float32))
        assert item == {(window.item, window.variate, window.cutoff)}
        assert 1 <= len(window.context) <= DRAWN
        known = window.context[np.isfinite(window.context)]
        assert window.forecasts[rows_of(results, "naive")][2, 0] == known[-1]  # the last value that was known


def test_a_long_horizon_is_thinned(lab: Lab) -> None:
    window = drawn_of(lab.db, "bizitobs_l2c/H/medium")["best"]
    assert len(window.step) == DRAWN == len(window.context)
    assert window.step[:3].tolist() == [1, 5, 9]
    assert {forecast.shape for forecast in window.forecasts.values()} == {(5, DRAWN)}


def test_of_several_seeds_the_lowest_is_drawn(lab: Lab) -> None:
    results, kept = kept_of(lab.db)
    noisy, task = rows_of(results, "noisy"), "us_births/M/short"
    files = {seed: file_of(lab.db, "noisy", task, seed=seed) for seed in (0, 1)}
    assert kept.cells[task][noisy]["file"].path == files[0]
    tables = {seed: pq.read_table(file).to_pylist() for seed, file in files.items()}
    assert tables[0] != tables[1]
    window = drawn_of(lab.db, task)["best"]
    row = next(row for row in tables[0] if row["window"] == window.number)
    assert window.forecasts[noisy][2].tolist() == row["quantiles"][4 * 12 : 5 * 12]


def test_parts_of_a_suite_keep_the_numbers_of_the_whole(lab: Lab) -> None:
    task = "hierarchical_sales/W/short"
    results, kept = kept_of(lab.db, limit=LIMITED)
    assert list(kept.cells) == [task]
    assert sorted(results.entries[m].model for m in kept.models) == ["mean", "naive"]
    whole = {(row[1], row[0]): row for row in lab.query('SELECT item_id, "window", cutoff FROM windows')}
    for window in drawn_of(lab.db, task, limit=LIMITED).values():
        assert (window.number, window.item) in whole
        cell = next(c for c in results.cells[rows_of(results, next(e.label for e in results.entries if e.model == "naive")), task])
        rows = read_forecasts(load(), store_of(lab.db), "naive", task, "quick", cell.cell_id, None).to_pylist()
        assert window.label is not None
        assert window.label.tolist() == [row["label"] for row in rows if row["window"] == window.number]


def test_a_window_by_its_number(lab: Lab) -> None:
    _, kept = kept_of(lab.db)
    store, task = store_of(lab.db), "us_births/W/short"
    assert window_range(store, kept, task) == (0, 13)
    window = numbered_window(store, kept, task, 5)
    assert window is not None and window.kinds == () and window.row["window"] == 5 and len(window.errors) == 4
    drawn = draw_windows(kept, task, {5: window}, SuiteData(load()), kept.models[:1])
    assert [d.number for d in drawn] == [5] and list(drawn[0].forecasts) == kept.models[:1]
    assert numbered_window(store, kept, task, 14) is None


def test_failed_cells_have_no_forecasts(lab: Lab) -> None:
    results, kept = kept_of(lab.db)
    fails = rows_of(results, "fails")
    assert [task for task in TASKS if fails not in kept.cells[task]] == ["us_births/W/short", "hierarchical_sales/W/short"]
    window = drawn_of(lab.db, "us_births/W/short")["worst"]
    assert fails not in window.errors and fails not in window.forecasts


def test_without_the_data_forecasts_stand_alone(lab: Lab, tmp_path: Path) -> None:
    other = changed(lab, tmp_path, "UPDATE cells SET data_fingerprint = 'other'")
    for window in drawn_of(other, "saugeen/M/short").values():
        assert window.label is None and len(window.context) == 0
        assert len(window.forecasts) == 5
    found = shown(other)
    assert found is not None
    assert {tuple(w["label"]["shape"]) for task in found["tasks"] for w in task["windows"]} == {(0,)}
    assert {tuple(w["context"]["shape"]) for task in found["tasks"] for w in task["windows"]} == {(0,)}


def test_data_in_a_folder_that_is_gone(lab: Lab, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    db = changed(lab, tmp_path, f"""UPDATE cells SET receipt = json_merge_patch(receipt, '{{"data_folder": "{gone}"}}')""")
    assert drawn_of(db, "saugeen/M/short")["best"].label is None


def test_broken_files_are_left_out(lab: Lab, tmp_path: Path) -> None:
    db, task = changed(lab, tmp_path), "saugeen/M/short"
    results = results_of(db)
    file_of(db, "naive", task).unlink()
    whole = file_of(db, "mean", task).read_bytes()
    file_of(db, "mean", task).write_bytes(whole[: len(whole) // 2])
    pq.write_table(pa.table({"window": [1, 2], "other": ["a", "b"]}), file_of(db, "noisy", task))
    table = pq.read_table(file_of(db, "seasonal_naive", task))
    pq.write_table(table.slice(0, 2), file_of(db, "seasonal_naive", task))  # most windows are missing
    found = drawn_of(db, task)
    assert {m for window in found.values() for m in window.forecasts} == {rows_of(results, "fails")}
    assert rows_of(results, "naive") not in found["best"].errors
    file_of(db, "fails", task).write_bytes(b"")
    assert all(not window.forecasts for window in drawn_of(db, task).values())
    assert all(len(window.forecasts) == 5 for window in drawn_of(db, "us_births/M/short").values())


@pytest.mark.parametrize("table", [{"window": [None]}, {"quantiles": [[1.0]]}, {"window": ["0"], "quantiles": ["x"]}, {}])
def test_files_that_no_run_writes_are_left_out(lab: Lab, tmp_path: Path, table: dict[str, Any]) -> None:
    db, task = changed(lab, tmp_path), "us_births/M/short"
    pq.write_table(pa.table(table), file_of(db, "naive", task))
    naive = rows_of(results_of(db), "naive")
    assert all(naive not in window.forecasts and len(window.forecasts) == 4 for window in drawn_of(db, task).values())


@pytest.mark.parametrize(
    "edit",
    [
        "horizon = 0",
        "horizon = NULL",
        "horizon = -3",
        "horizon = 2147483647",
        "quantile_levels = NULL",
        "quantile_levels = []",
        "quantile_levels = [NULL]",
        "season_length = 2147483647",
        "season_length = NULL",
    ],
)
def test_what_no_forecast_can_have_is_left_out_and_named(lab: Lab, tmp_path: Path, edit: str, caplog: pytest.LogCaptureFixture) -> None:
    task = "us_births/M/short"
    db = changed(lab, tmp_path, f"UPDATE cells SET {edit} WHERE model = 'naive'")
    naive, found = rows_of(results_of(db), "naive"), drawn_of(db, task)
    stays = "season" in edit
    for kind, window in found.items():
        assert len(window.forecasts) == 5 if stays else set(window.forecasts) == set(whole_of(lab, task, kind)) - {naive}
        assert window.label is not None and len(window.label) == len(window.step) == 12
    assert stays or f"the kept forecasts of naive on {task} are left out: " in caplog.text
    assert shown(db) is not None


def whole_of(lab: Lab, task: str, kind: str) -> dict[int, Any]:
    return dict(drawn_of(lab.db, task)[kind].forecasts)


@pytest.mark.parametrize("cutoff", ["'infinity'", "'0044-03-15 (BC) 00:00:00'"])
def test_a_cutoff_without_a_date_is_none(lab: Lab, tmp_path: Path, cutoff: str) -> None:
    db = changed(lab, tmp_path, f"UPDATE windows SET cutoff = {cutoff}::TIMESTAMP")
    assert all(window.cutoff is None for window in drawn_of(db, "us_births/M/short").values())
    assert shown(db) is not None


def test_the_file_of_another_result_is_left_out_and_named(lab: Lab, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    db, task = changed(lab, tmp_path), "us_births/M/short"
    file_of(db, "naive", task).write_bytes(file_of(db, "mean", task).read_bytes())
    naive = rows_of(results_of(db), "naive")
    assert all(naive not in window.forecasts and len(window.forecasts) == 4 for window in drawn_of(db, task).values())
    assert f"the kept forecasts of naive on {task} are left out: " in caplog.text and "another result" in caplog.text


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_forecasts_that_are_no_numbers_are_left_out(lab: Lab, tmp_path: Path, value: float) -> None:
    db, task = changed(lab, tmp_path), "us_births/M/short"
    table = pq.read_table(file_of(db, "naive", task))
    column = pa.array([[value] * 108] * len(table), table.schema.field("quantiles").type)
    pq.write_table(table.set_column(1, "quantiles", column), file_of(db, "naive", task))
    naive = rows_of(results_of(db), "naive")
    assert all(naive not in window.forecasts and len(window.forecasts) == 4 for window in drawn_of(db, task).values())


def test_other_levels_than_most_are_left_out(lab: Lab, tmp_path: Path) -> None:
    db = changed(lab, tmp_path, "UPDATE cells SET quantile_levels = [0.25, 0.5, 0.75] WHERE model = 'mean'")
    results, kept = kept_of(db)
    assert len(kept.levels) == 9
    assert rows_of(results, "mean") not in kept.models
    assert all(rows_of(results, "mean") not in window.errors for window in drawn_of(db, "us_births/M/short").values())


@pytest.mark.parametrize("path", ["'/etc/passwd'", "'..'", "repeat('x', 10000)", "'a' || chr(0)"])
def test_a_path_in_the_database_leads_nowhere_else(lab: Lab, tmp_path: Path, path: str) -> None:
    db = changed(lab, tmp_path, f"UPDATE cells SET forecasts = {path} WHERE model = 'naive'")
    results, kept = kept_of(db)
    assert rows_of(results, "naive") not in kept.models


def test_without_kept_forecasts_there_is_nothing(lab: Lab, tmp_path: Path) -> None:
    db = changed(lab, tmp_path, "UPDATE cells SET forecasts = ''")
    assert kept_forecasts(store_of(db), results_of(db)) is None
    assert shown(db) is None


def test_the_page_has_the_same_windows(lab: Lab) -> None:
    results, kept = kept_of(lab.db)
    found = shown(lab.db)
    assert found is not None and found["left_out"] == ""
    assert (found["models"], found["levels"]) == (kept.models, [0.1, 0.3, 0.5, 0.7, 0.9])
    assert [results.tasks[task["task"]]["name"] for task in found["tasks"]] == [t["name"] for t in results.tasks if t["name"] in TASKS]
    for task in found["tasks"]:
        name = results.tasks[task["task"]]["name"]
        drawn = drawn_of(lab.db, name)
        assert {w["kind"] for w in task["windows"]} == {window.kinds[0] for window in drawn.values()}
        assert [KINDS.index(w["kind"]) for w in task["windows"]] == sorted(KINDS.index(w["kind"]) for w in task["windows"])
        for coded in task["windows"]:
            window = drawn[coded["kind"]]
            assert (coded["item"], coded["variate"]) == (window.item, window.variate)
            assert coded["cutoff"] == str(window.cutoff)
            np.testing.assert_array_equal(read(coded["context"]), window.context)
            np.testing.assert_array_equal(read(coded["label"]), window.label)
            assert read(coded["step"]).tolist() == window.step.tolist()
            assert coded["errors"] == [window.errors.get(m) for m in kept.models]
            assert [f is not None for f in coded["forecasts"]] == [m in window.forecasts for m in kept.models]
            laid_over = [m for m in kept.models if m in window.forecasts]
            assert len(laid_over) >= 4
            for m in laid_over:
                np.testing.assert_array_equal(read(coded["forecasts"][kept.models.index(m)]), window.forecasts[m])


def bytes_of(found: Any) -> int:
    """Bytes of base64 in a payload."""
    if isinstance(found, dict):
        return len(found["data"]) if "data" in found else sum(map(bytes_of, found.values()))
    return sum(map(bytes_of, found)) if isinstance(found, list) else 0


@pytest.mark.parametrize("share", [0.8, 0.6, 0.4, 0.2, 0.0])
def test_the_budget_holds_and_what_is_left_out_is_said(lab: Lab, share: float) -> None:
    whole = shown(lab.db)
    assert whole is not None
    budget = int(share * bytes_of(whole))
    found = shown(lab.db, budget)
    assert found is not None and found["left_out"].startswith("To keep the page small, it leaves out ")
    assert len(found["tasks"]) == 1 or bytes_of(found) <= budget
    kinds = {window["kind"] for task in found["tasks"] for window in task["windows"]}
    assert ("'apart'" in found["left_out"]) == ("apart" not in kinds)
    assert ("'median'" in found["left_out"]) == ("median" not in kinds)
    missing = len(whole["tasks"]) - len(found["tasks"])
    assert (f"{missing} of 5 tasks, those with the longest horizons" in found["left_out"]) == (missing > 0)
    assert {"best", "worst"} <= kinds
    if missing:
        horizons = {task["task"]: len(read(task["windows"][0]["step"])) for task in whole["tasks"]}
        kept = {task["task"] for task in found["tasks"]}
        assert max(horizons[t] for t in kept) <= min(horizons[t] for t in horizons if t not in kept)
