"""The numbers of the leaderboard, against the published aggregates and against plain loops."""

from __future__ import annotations

import csv
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness_leaderboard.aggregate import (
    Entry,
    Results,
    common_tasks,
    geometric_mean,
    mean_ranks,
    ratios,
    win_rates,
)
from harness_leaderboard.board import board_rows, group_means

NAN, INF = math.nan, math.inf


@pytest.fixture
def published(published_results: Results) -> Results:
    return published_results


def rows_by_model(results: Results) -> dict[str, dict[str, Any]]:
    return {row["model"]: row for row in board_rows(results)}


def test_published_aggregates_are_reproduced(published: Results) -> None:
    file = (
        Path(os.environ.get("HARNESS_TEST_DATA", Path(__file__).parents[2] / ".." / "shared" / "data"))
        / "oracles"
        / "gift_combined_params.csv"
    )
    if not file.is_file():
        pytest.skip(f"the published aggregates are not at {file}; HARNESS_TEST_DATA names the folder of 'oracles'")
    rows = rows_by_model(published)
    with file.open(newline="") as handle:
        oracle = list(csv.DictReader(handle))
    assert len(oracle) == len(rows) == 121
    for expected in oracle:
        row = rows[expected["model"]]
        for column, ours in (("MASE", "nMASE"), ("CRPS", "nCRPS"), ("rank_MASE", "rank_MASE"), ("rank_CRPS", "rank_CRPS")):
            assert row[ours] == pytest.approx(float(expected[column]), abs=6e-5), (expected["model"], column)


def test_some_published_aggregates_stated_in_words(published: Results) -> None:
    rows = rows_by_model(published)
    assert (rows["seasonal_naive"]["nMASE"], rows["seasonal_naive"]["nCRPS"]) == pytest.approx((1, 1), abs=1e-12)
    assert (rows["naive"]["nMASE"], rows["naive"]["nCRPS"]) == pytest.approx((1.2698, 1.5912), abs=5e-5)
    assert (rows["chronos-2"]["nMASE"], rows["chronos-2"]["nCRPS"]) == pytest.approx((0.6978, 0.4854), abs=5e-5)
    assert all(row["coverage"] == 1 and row["undefined"] == 0 for row in rows.values())


def make(mase: list[list[float]], names: str = "abcdef", sources: str = "own", status: Any = None) -> Results:
    scores = np.array(mase)
    count, tasks = scores.shape
    state = np.where(np.isnan(scores), "", "ok").astype("<U8") if status is None else np.array(status, dtype="<U8")
    return Results(
        [{"name": f"t{i}", "domain": "xy"[i % 2], "horizon": 10 ** (i % 2)} for i in range(tasks)],
        [Entry(name, sources, "zero-shot", "", "", name) for name in names[:count]],
        {name: scores.copy() for name in Results.main},
        {name: scores[0].copy() for name in Results.main},
        state,
        np.ones(count, dtype=np.int64),
        np.full(count, 2000.0),
        np.full(count, 3.0),
        np.zeros(count),
        np.full(count, np.nan),
    )


def loop_rank(scores: Any, pool: list[bool], model: int) -> float:
    ranks = []
    for task in range(scores.shape[1]):
        if not math.isnan(scores[model, task]):
            better = sum(scores[other, task] < scores[model, task] for other in range(len(scores)) if pool[other])
            ranks.append(1 + better)
    return float(np.mean(ranks))


def loop_wins(scores: Any, pool: list[bool], model: int) -> float:
    points = []
    for task in range(scores.shape[1]):
        for other in range(len(scores)):
            a, b = float(scores[model, task]), float(scores[other, task])
            if pool[other] and other != model and not math.isnan(a) and not math.isnan(b):
                points.append(1.0 if a < b else 0.5 if a == b else 0.0)
    return sum(points) / len(points)


def test_ranks_and_wins_equal_plain_loops() -> None:
    random = np.random.default_rng(0)
    scores = random.integers(1, 6, (8, 12)).astype(float)  # many ties
    scores[5:][random.random((3, 12)) < 0.4] = NAN
    scores[6, 0] = INF
    pool = np.array([True] * 5 + [False] * 3)
    for model in range(8):
        assert mean_ranks(scores, pool)[model] == pytest.approx(loop_rank(scores, list(pool), model))
        assert win_rates(scores, pool)[model] == pytest.approx(loop_wins(scores, list(pool), model))


def test_worked_numbers() -> None:
    row = rows_by_model(make([[1, 2, 4], [2, 2, 1], [4, 8, 16]]))
    assert row["b"]["nMASE"] == pytest.approx((2 * 1 * 0.25) ** (1 / 3))
    assert row["c"]["nMASE"] == pytest.approx(4)
    assert row["b"]["rank_MASE"] == pytest.approx((2 + 1 + 1) / 3)
    assert row["a"]["rank_MASE"] == pytest.approx((1 + 1 + 2) / 3)  # a tie shares the better rank
    assert row["b"]["win_rate"] == pytest.approx((1 + 1.5 + 2) / 6)
    assert row["b"]["predict_s_per_1k"] == 1.5


def test_a_partial_model_shifts_nobody() -> None:
    full = [[1.0, 2.0, 4.0], [2.0, 2.0, 1.0], [4.0, 8.0, 16.0]]
    before = rows_by_model(make(full))
    after = rows_by_model(make([*full, [0.1, NAN, 0.1]]))
    for name, row in before.items():
        assert after[name] == row
    assert (after["d"]["rank_MASE"], after["d"]["done"], after["d"]["missing"], after["d"]["coverage"]) == (1, 2, 1, 2 / 3)
    assert after["d"]["win_rate"] == 1


def test_where_nobody_has_all_tasks_ranks_are_among_all() -> None:
    rows = rows_by_model(make([[1, NAN], [2, NAN]]))
    assert (rows["a"]["rank_MASE"], rows["b"]["rank_MASE"]) == (1, 2)


@pytest.mark.parametrize("bad", [NAN, INF, 0.0])
def test_scores_without_a_ratio_are_left_out_and_counted(bad: float) -> None:
    rows = rows_by_model(make([[1, 2, 4], [bad, 4, 8]], status=[["ok"] * 3] * 2))
    assert rows["b"]["nMASE"] == pytest.approx(2)
    assert (rows["b"]["undefined"], rows["b"]["done"]) == (1, 3)
    assert rows["a"]["undefined"] == 0
    if bad == INF:
        assert rows["b"]["rank_MASE"] == 2
    rows = rows_by_model(make([[bad, 2, 4], [1, 4, 8]], status=[["ok"] * 3] * 2))  # the baseline's own score
    assert (rows["b"]["nMASE"], rows["b"]["undefined"]) == (pytest.approx(2), 1)


def test_states_are_counted() -> None:
    results = make([[1, 2, 4, 8], [1, NAN, NAN, NAN]], status=[["ok"] * 4, ["ok", "failed", "skipped", ""]])
    row = rows_by_model(results)["b"]
    assert [row[name] for name in ("done", "failed", "skipped", "missing", "total")] == [1, 1, 1, 1, 4]
    assert row["nMASE"] == 1


def test_no_score_at_all_is_none_and_last() -> None:
    results = make([[1, 2], [NAN, NAN], [4, 8]])
    assert [row["model"] for row in board_rows(results)] == ["a", "c", "b"]
    row = rows_by_model(results)["b"]
    assert [row[name] for name in ("nMASE", "rank_MASE", "win_rate")] == [None, None, None]


def test_groups_and_common_tasks() -> None:
    results = make([[1, 2, 4, 8], [2, 8, 2, NAN], [4, 8, 16, 32]])
    groups, rows = group_means(results, "domain")
    assert groups == ["x", "y"]
    b = next(row for row in rows if row["model"] == "b")
    assert b["groups"] == {"x": pytest.approx(1), "y": pytest.approx(4)}
    assert group_means(results, "horizon")[0] == ["1", "10"]
    keep = common_tasks(results)
    assert keep.tolist() == [True, True, True, False]
    assert all(row["total"] == 3 and row["coverage"] == 1 for row in board_rows(results.only(keep)))


def test_the_pieces_on_edges() -> None:
    assert np.isnan(geometric_mean(np.array([[NAN, NAN]]))).all()
    assert np.isnan(ratios(np.array([[1.0, -1.0, 1.0]]), np.array([0.0, 1.0, NAN]))).all()
    assert np.isnan(win_rates(np.array([[1.0]]), np.array([True]))).all()
