"""Calibration and errors by step: against loops over the stored rows, and against the labels themselves."""

from __future__ import annotations

import base64
import doctest
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from kept import MODELS, TASKS, changed, kept_lab, results_of, rows_of, view_of
from pages import DTYPES
from support import Lab

from harness.kept import read_forecasts
from harness.plugins import load
from harness_leaderboard import step_sums
from harness_leaderboard.page import sums
from harness_leaderboard.page.build import view_payload
from harness_leaderboard.page.payload import NEMENYI
from harness_leaderboard.plots import forecasts
from harness_results.store import DuckStore

STEPS = """
SELECT c.model, c.task, c.horizon, s.step, s.n, s.hits, s.scaled_error, s.n_scaled FROM steps s JOIN cells c USING (result_id)
WHERE c.scope = '' AND c.status = 'ok'
"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return kept_lab(tmp_path_factory.getbasetemp())


def store_of(db: Path) -> DuckStore:
    return DuckStore(db, readonly=True)


def read(record: dict[str, Any]) -> Any:
    return np.frombuffer(base64.b64decode(record["data"]), DTYPES[record["dtype"]]).reshape(record["shape"])


def test_worked_numbers() -> None:
    assert doctest.testmod(forecasts) == (0, 1)


def test_a_page_of_windows_says_once_which(lab: Lab) -> None:
    for common, rest in ((False, ""), (True, "; tasks that all own models have")):
        payload = view_payload(load(), store_of(lab.db), view_of(lab.db, where="term <> 'long'", windows="slot >= 1", common=common))
        assert "\n".join([payload["selection"], *payload["notes"]]).count("slot >= 1") == 1
        assert payload["selection"] == f"tasks where term <> 'long'{rest}"
    assert view_payload(load(), store_of(lab.db), view_of(lab.db, windows="slot >= 1"))["selection"] == ""
    whole = view_payload(load(), store_of(lab.db), view_of(lab.db, where="freq = 'M'", common=True))
    assert whole["selection"] == "tasks where freq = 'M'; tasks that all own models have"


def test_calibration_is_what_a_loop_counts(lab: Lab) -> None:
    results = results_of(lab.db)
    found = step_sums.calibration(store_of(lab.db), results)
    assert found is not None and found.left_out == 0 and len(found.levels) == 9
    assert [results.entries[m].label for m in found.models] == [entry.label for entry in results.entries]
    counts: dict[tuple[str, str], int] = {}
    hits: dict[tuple[str, str], list[int]] = {}
    for model, task, _, _, n, hit, _, _ in lab.query(STEPS):
        counts[model, task] = counts.get((model, task), 0) + n
        hits[model, task] = [a + b for a, b in zip(hits.get((model, task), [0] * 9), hit, strict=True)]
    assert len(counts) == len(MODELS) * len(TASKS) - 2  # "fails" does two tasks of eight steps not
    for o, m in enumerate(found.models):
        for r, task in enumerate(results.tasks):
            at = (results.entries[m].model, task["name"])
            assert found.count[o, r] == counts.get(at, 0)
            assert found.hits[o, r].tolist() == hits.get(at, [0] * 9)
            share = found.shares()[o, r]
            assert np.isnan(share).all() if at not in counts else share.tolist() == [hit / counts[at] for hit in hits[at]]


@pytest.mark.parametrize("model", ["naive", "mean"])
def test_calibration_is_what_labels_and_kept_quantiles_say(lab: Lab, model: str) -> None:
    results = results_of(lab.db)
    store = store_of(lab.db)
    found = step_sums.calibration(store, results)
    assert found is not None
    for r, task in enumerate(results.tasks):
        if task["name"] not in TASKS:
            continue
        cell = next(c for c in results.cells[rows_of(results, model), task["name"]])
        table = read_forecasts(load(), store, model, task["name"], "quick", cell.cell_id, None)
        label = np.array(table["label"].to_pylist(), np.float32)
        there = np.isfinite(label)
        below = [int((label[there] <= np.array(table[f"{level:g}"].to_pylist(), np.float32)[there]).sum()) for level in found.levels]
        o = found.models.index(rows_of(results, model))
        assert found.count[o, r] == there.sum()
        assert found.hits[o, r].tolist() == below


def test_seeds_are_added_up(lab: Lab) -> None:
    results = results_of(lab.db)
    found = step_sums.calibration(store_of(lab.db), results)
    assert found is not None
    noisy, naive = (found.models.index(rows_of(results, model)) for model in ("noisy", "naive"))
    had = found.count[naive] > 0
    assert had.sum() == len(TASKS)
    assert (found.count[noisy, had] == 2 * found.count[naive, had]).all()


def test_errors_by_step_are_what_a_loop_adds(lab: Lab) -> None:
    results = results_of(lab.db)
    found = step_sums.error_steps(store_of(lab.db), results)
    assert found is not None
    assert found.points.tolist() == [min(48, task["horizon"]) for task in results.tasks]
    assert found.offset.tolist() == [sum(found.points[:r].tolist()) for r in range(len(results.tasks))]
    error: dict[tuple[str, str, int], float] = {}
    count: dict[tuple[str, str, int], int] = {}
    for model, task, horizon, step, _, _, scaled, n in lab.query(STEPS):
        at = (model, task, math.floor((step - 1) * min(48, horizon) / horizon))
        error[at] = error.get(at, 0.0) + (scaled or 0.0)
        count[at] = count.get(at, 0) + n
    seen = 0
    for r, task in enumerate(results.tasks):
        step, mase = found.of_task(r)
        for o, m in enumerate(found.models):
            for p in range(found.points[r]):
                at = (results.entries[m].model, task["name"], p)
                if count.get(at):
                    seen += 1
                    assert mase[o, p] == pytest.approx(error[at] / count[at], rel=1e-12)
                else:
                    assert np.isnan(mase[o, p])
        if task["name"] in TASKS:
            each = list(range(task["horizon"]))
            points = [[s + 1 for s in each if math.floor(s * found.points[r] / task["horizon"]) == p] for p in range(found.points[r])]
            assert step.tolist() == [sum(steps) / len(steps) for steps in points]
    assert seen > 300


def test_the_whole_curve_is_the_score(lab: Lab) -> None:
    """The points' sums over all steps are the task's MASE, another path through the store."""
    results = results_of(lab.db)
    found = step_sums.error_steps(store_of(lab.db), results)
    assert found is not None
    for r, task in enumerate(results.tasks):
        if task["name"] in ("us_births/M/short", "us_births/W/short"):  # each step has as many labels
            m = rows_of(results, "naive")
            mase = found.of_task(r)[1][found.models.index(m)]
            assert mase.mean() == pytest.approx(results.mase[m, r], rel=1e-9)


def test_the_page_has_the_same_numbers(lab: Lab) -> None:
    store, results = store_of(lab.db), results_of(lab.db)
    plain, coded = step_sums.calibration(store, results), sums.calibration(store, results)
    assert plain is not None and coded is not None
    assert list(coded) == ["models", "levels", "n", "hits", "left_out"]
    assert (coded["models"], coded["levels"]) == (plain.models, list(plain.levels))
    np.testing.assert_array_equal(read(coded["n"]), plain.count.astype(np.float32))
    np.testing.assert_array_equal(read(coded["hits"]), plain.hits.astype(np.float32))
    curve, coded = step_sums.error_steps(store, results), sums.error_steps(store, results)
    assert curve is not None and coded is not None
    assert list(coded) == ["models", "points", "offset", "step", "mase"]
    for name in ("points", "offset", "step", "mase"):
        np.testing.assert_array_equal(read(coded[name]), getattr(curve, name).astype(read(coded[name]).dtype))


def test_cells_with_other_levels_are_left_out_and_counted(lab: Lab, tmp_path: Path) -> None:
    db = changed(lab, tmp_path, "UPDATE cells SET quantile_levels = [0.5] WHERE model = 'mean' AND task LIKE 'us_births%' AND scope = ''")
    results = results_of(db)
    found = step_sums.calibration(store_of(db), results)
    assert found is not None and found.left_out == 2 and len(found.levels) == 9
    o = found.models.index(rows_of(results, "mean"))
    assert (found.count[o] > 0).sum() == len(TASKS) - 2


def test_a_horizon_that_has_changed_since_spills_into_no_other_task(lab: Lab, tmp_path: Path) -> None:
    db = changed(lab, tmp_path)
    results = results_of(db)
    r = next(r for r, task in enumerate(results.tasks) if task["name"] == "us_births/M/short")
    results.tasks[r] = {**results.tasks[r], "horizon": 3}
    found, before = step_sums.error_steps(store_of(db), results), step_sums.error_steps(store_of(lab.db), results_of(lab.db))
    assert found is not None and before is not None
    for other in range(len(results.tasks)):
        if other != r:
            np.testing.assert_array_equal(found.of_task(other)[1], before.of_task(other)[1])
    assert len(found.of_task(r)[0]) == 3


def test_without_own_results_there_is_nothing(lab: Lab, tmp_path: Path) -> None:
    results = results_of(lab.db)
    results.cells.clear()
    store = store_of(lab.db)
    assert step_sums.calibration(store, results) is None and step_sums.error_steps(store, results) is None
    assert sums.calibration(store, results) is None and sums.error_steps(store, results) is None
    db = changed(lab, tmp_path, "DELETE FROM steps")
    assert step_sums.error_steps(store_of(db), results_of(db)) is None
    assert step_sums.calibration(store_of(db), results_of(db)) is None


def test_the_printed_table_of_nemenyi_is_the_studentized_range() -> None:
    stats = pytest.importorskip("scipy.stats")
    exact = stats.studentized_range.ppf(0.95, np.arange(2, 61), np.inf) / math.sqrt(2)
    assert len(NEMENYI) == 59
    np.testing.assert_allclose(NEMENYI, exact, atol=1e-6)
