"""The dialect `fev` is the package fev: its metric functions on the same forecasts, its leaderboard on the same scores."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pytest
from dialect_kit import DIALECTS, KINDS, Case, case

from harness.dialects import Board
from harness_results.dialects.fev import BENCH, aggregate

FEV = DIALECTS["fev"]


@pytest.fixture(scope="module")
def fev() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the libraries that fev imports
        return pytest.importorskip("fev", reason="fev is not installed: pip install 'ts-harness[test]'")


def by_package(fev: Any, made: Case, season: int) -> dict[str, float]:
    """Every metric by fev, window by window as its Task does it."""
    variates, levels = made.variates, made.levels
    slots: dict[str, list[float]] = {}
    for slot in np.unique(made.slot):
        rows = np.flatnonzero(made.slot == slot).reshape(-1, variates)  # [items, V]
        past = [np.stack([made.context(n) for n in item], axis=1) for item in rows]  # T × V each
        arrays = {
            "y_true": np.stack([np.stack([made.labels(n) for n in item], axis=1) for item in rows]),  # [N, H, D]
            "y_pred": np.stack([np.stack([made.median(n) for n in item], axis=1) for item in rows]),
            "q_pred": np.stack([made.quantiles[item].astype(np.float64).transpose(2, 0, 1) for item in rows]),  # [N, H, D, Q]
            "y_past": np.concatenate(past),
            "y_past_lengths": np.array([len(p) for p in past]),
        }
        for name in FEV.metrics:
            config: Any = {"name": name.split("[")[0], "epsilon": 1.0} if name.endswith("[epsilon=1]") else name
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                found = fev.metrics.get_metric(config).compute(**arrays, seasonality=season, quantile_levels=levels)
            slots.setdefault(name, []).append(float(found))
    return {name: float(np.mean(values)) for name, values in slots.items()}


def equal(found: dict[str, float], wanted: dict[str, float]) -> None:
    assert list(found) == list(FEV.metrics)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("season", [1, 4, 7])
@pytest.mark.parametrize("kind", KINDS)
def test_every_metric_is_that_of_the_package(fev: Any, kind: str, season: int) -> None:
    for variates, windows in ((1, 3), (3, 2), (2, 1)):
        made = case(kind, season, variates=variates, windows=windows)
        equal(FEV.score(made.forecasts(season)), by_package(fev, made, season))


def test_the_cases_are_not_all_nan() -> None:
    whole = [FEV.score(case(kind, 7).forecasts(7)) for kind in KINDS]
    for name in FEV.metrics:
        assert sum(math.isfinite(found[name]) for found in whole) >= 7, name
    # Three things that this dialect alone does, each seen in its kind.
    missing, constant, infinite = (whole[KINDS.index(kind)] for kind in ("all missing", "constant", "infinite"))
    assert math.isfinite(missing["MASE"])
    assert math.isfinite(constant["MASE"])
    assert infinite["MAE"] == math.inf


def test_one_level_and_more_than_nine(fev: Any) -> None:
    made = case("plain", 5)
    made.levels, made.quantiles = [0.5], made.quantiles[:, 4:5]
    equal(FEV.score(made.forecasts(3)), by_package(fev, made, 3))
    rng = np.random.default_rng(1)
    made.levels = [0.01, 0.25, 0.5, 0.99]
    made.quantiles = np.sort(rng.normal(5, 3, (len(made.cut), 4, made.horizon)), axis=1).astype(np.float32)
    equal(FEV.score(made.forecasts(3)), by_package(fev, made, 3))


def summaries(values: dict[str, np.ndarray[Any, Any]], models: list[str]) -> list[dict[str, Any]]:
    """Evaluation summaries with all the columns that fev asks for."""
    empty = dict.fromkeys(
        ("dataset_path", "dataset_config", "initial_cutoff", "eval_metric", "extra_metrics", "id_column", "timestamp_column", "target",
         "generate_univariate_targets_from", "known_dynamic_columns", "past_dynamic_columns", "static_columns"), "-",
    )  # fmt: skip
    numbers = dict.fromkeys(("horizon", "min_context_length", "max_context_length", "seasonality", "num_forecasts"), 1)
    return [
        {
            **empty,
            **numbers,
            "quantile_levels": "[0.5]",
            "dataset_config": f"task {r}",
            "model_name": model,
            "training_time_s": 0.0,
            "inference_time_s": 1.0,
            "trained_on_this_dataset": False,
            "fev_version": "0.10.0",
            "test_error": float(values["SQL"][i, r]),
        }
        for i, model in enumerate(models)
        for r in range(values["SQL"].shape[1])
    ]


def test_skill_score_and_win_rate_are_those_of_the_package(fev: Any) -> None:
    rng = np.random.default_rng(7)
    models = ["a", "b", "base", "c"]
    scores = np.exp(rng.normal(0, 1, (4, 30)))
    scores[0, :3] = scores[2, :3] * [1e-4, 1e5, np.inf]  # clipped at both ends
    scores[1, 3:6] = scores[0, 3:6]  # ties
    scores[3, 6:9] = np.nan  # failures
    values = dict.fromkeys(BENCH, scores)
    rows, notes = aggregate(Board(models, [f"task {r}" for r in range(30)], values, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pandas' own, of how fev uses it
        wanted = fev.leaderboard(summaries(values, models), missing_strategy="impute", baseline_model="base")
    sql = {row["model"]: row for row in rows if row["metric"] == "SQL"}
    assert list(sql) == list(wanted.index)  # the order, too
    for model in models:
        assert sql[model]["skill_score"] == pytest.approx(wanted.loc[model, "skill_score"], rel=1e-12, abs=1e-12)
        assert sql[model]["win_rate"] == pytest.approx(wanted.loc[model, "win_rate"], rel=1e-12)
        assert sql[model]["failures"] == wanted.loc[model, "num_failures"]
    assert "SQL: tasks without a score count with the ratio 1, as fev has it: c 3 of 30" in notes


def test_tasks_that_the_baseline_cannot_divide_are_left_out_aloud() -> None:
    scores = np.array([[1.0, 1.0, 4.0], [np.nan, 0.0, 2.0]])
    rows, notes = aggregate(Board(["a", "base"], ["x", "y", "z"], dict.fromkeys(BENCH, scores), 1))
    assert {(row["model"], row["skill_score"], row["win_rate"], row["tasks"]) for row in rows} == {
        ("a", -1.0, 0.0, 1),
        ("base", 0.0, 1.0, 1),
    }
    assert notes[0] == "SQL: the baseline has no score above 0 on 2 tasks, which are left out: x, y"


def test_without_a_baseline_there_is_no_aggregate() -> None:
    assert aggregate(Board(["a"], ["x"], dict.fromkeys(BENCH, np.ones((1, 1))), None)) == ([], [])
