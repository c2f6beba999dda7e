"""`--windows`: scores over some of the windows, against sums added one by one."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from support import Lab

from harness.errors import NothingMatched, UsageError
from harness.plugins import load
from harness_leaderboard.aggregate import Results
from harness_leaderboard.view import open_view
from harness_results.store import DuckStore

TASKS = "us_births/*,hospital/M/short,bizitobs_l2c/H/*"
MODELS = "naive,seasonal_naive,mean"


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lab = Lab(tmp_path_factory.mktemp("slice"))
    lab.run("run", "-m", MODELS, "-s", "quick", "-t", TASKS, "--progress", "none").expect(0)
    return lab.db


def sliced(db: Path, condition: str, where: str = "") -> Results:
    return open_view(load(), DuckStore(db, readonly=True), "quick", windows=condition, where=where).results


def at(results: Results, model: str, task: str) -> tuple[int, int]:
    row = next(m for m, entry in enumerate(results.entries) if entry.model == model)
    return row, next(r for r, known in enumerate(results.tasks) if known["name"] == task)


def test_all_windows_give_the_scores_of_the_run(db: Path) -> None:
    whole = open_view(load(), DuckStore(db, readonly=True), "quick").results
    parts = sliced(db, "true")
    assert {task["name"] for task in parts.tasks} == {
        task["name"] for r, task in enumerate(whole.tasks) if (whole.status[:, r] == "ok").any()
    }
    for task in parts.tasks:
        for model in MODELS.split(","):
            for values, others in ((parts.mase, whole.mase), (parts.crps, whole.crps)):
                assert values[at(parts, model, task["name"])] == pytest.approx(others[at(whole, model, task["name"])], rel=1e-12)


def test_some_windows_are_added_up_one_by_one(db: Path) -> None:
    condition = "variate IN (0, 3) AND slot >= 1"
    results = sliced(db, condition)
    rows = (
        DuckStore(db)
        .query(
            "SELECT c.model, c.task, w.variate, w.slot, w.scaled_error, w.n_scaled, w.quantile_loss, w.abs_label FROM main.windows w "
            "JOIN main.cells c USING (result_id)"
        )
        .to_pylist()
    )
    kept = [row for row in rows if row["variate"] in (0, 3) and row["slot"] >= 1]
    assert 0 < len(kept) < len(rows)
    assert {task["name"] for task in results.tasks} == {row["task"] for row in kept}
    for model in MODELS.split(","):
        for task in results.tasks:
            mine = [row for row in kept if (row["model"], row["task"]) == (model, task["name"])]
            scaled = math.fsum(row["scaled_error"] for row in mine) / sum(row["n_scaled"] for row in mine)
            loss = np.mean([math.fsum(row["quantile_loss"][q] for row in mine) for q in range(9)])
            place = at(results, model, task["name"])
            assert results.mase[place] == pytest.approx(scaled, rel=1e-12)
            assert results.crps[place] == pytest.approx(loss / math.fsum(row["abs_label"] for row in mine), rel=1e-12)
    own = next(m for m, entry in enumerate(results.entries) if entry.model == "seasonal_naive")
    assert results.baseline_mase.tolist() == results.mase[own].tolist()


def test_published_models_are_left_out_and_it_is_said(db: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.duckdb"
    copy.write_bytes(db.read_bytes())
    from harness_results.gift_eval_import import import_gift_eval

    import_gift_eval(DuckStore(copy))
    results = sliced(copy, "slot = 0")
    assert {entry.source for entry in results.entries} == {"own"}
    assert any("Published results have no windows" in note for note in results.notes)


def test_a_slice_of_a_slice(db: Path) -> None:
    results = sliced(db, "slot = 0", where="domain = 'Healthcare'")
    assert {task["domain"] for task in results.tasks} == {"Healthcare"}


def test_brackets_let_no_other_result_in(db: Path) -> None:
    assert sliced(db, "slot = 0) OR (slot > 0").mase.tolist() == sliced(db, "true").mase.tolist()


@pytest.mark.parametrize("condition", ["nothing = 1", "slot = (", "slot = 0; DROP TABLE cells", "count(*) > 1", "", "'"])
def test_what_is_no_condition_is_refused(db: Path, condition: str) -> None:
    if not condition:
        assert open_view(load(), DuckStore(db, readonly=True), "quick", windows=condition).selection == ""
        return
    with pytest.raises(UsageError, match=r"got --windows"):
        sliced(db, condition)


@pytest.mark.parametrize(
    "condition",
    [
        "1=1) UNION ALL SELECT * FROM main.windows WHERE (1=1",
        "1=1) UNION ALL (SELECT * FROM main.windows WHERE 1=1",
        "1=1) ORDER BY (slot",
        "1=1) GROUP BY ALL HAVING (1=1",
        "1=1); SELECT (1",
    ],
)
def test_more_than_a_condition_is_refused(db: Path, condition: str) -> None:
    with pytest.raises(UsageError, match=r"got --windows .*more than one condition .*wanted one, as in: slot = 0"):
        sliced(db, condition)


@pytest.mark.parametrize(
    "condition", ["slot >= 0 -- all", "item_id IN (SELECT item_id FROM main.windows)", "CASE WHEN variate = 0 THEN true ELSE slot >= 0 END"]
)
def test_any_one_condition_is_taken(db: Path, condition: str) -> None:
    assert sliced(db, condition).mase.tolist() == [pytest.approx(row, rel=1e-12, nan_ok=True) for row in sliced(db, "true").mase.tolist()]


def test_no_window_is_left(db: Path) -> None:
    with pytest.raises(NothingMatched, match=r"no window of an own result fulfils --windows 'slot > 100'.*Columns: item_id"):
        sliced(db, "slot > 100")


def test_from_the_command_line(db: Path, tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    said = lab.run("leaderboard", "-s", "quick", "--db", str(db), "--windows", "slot = 0").expect(0, "Only windows for which slot = 0")
    assert "3 models" in said.out
