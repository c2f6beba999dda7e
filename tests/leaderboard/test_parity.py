"""`harness parity`: differences by plain loops, planted faults that the hints must name, and what cannot be compared."""

from __future__ import annotations

import csv
import doctest
import itertools
import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pytest
from click.testing import CliRunner, Result
from scipy import stats

from harness.errors import DataError, HarnessError, NothingMatched, UsageError
from harness.spool import CellWriter
from harness_leaderboard import parity as module
from harness_leaderboard.aggregate import Results
from harness_leaderboard.parity import parity, read_tolerances, relative
from harness_leaderboard.parity_hints import _chance, search
from harness_leaderboard.plugin import register_commands
from harness_results.gift_eval_files import METRICS, PREFIX
from harness_results.gift_eval_import import import_gift_eval
from harness_results.store import DuckStore

NAN, INF = math.nan, math.inf
MASE, CRPS = "MASE[0.5]", "mean_weighted_sum_quantile_loss"
NUMBERS = itertools.count()
HOSTILE = "<script>alert(1)</script>\n\x1b[31m\u202e" + "x" * 10_000
Go = Callable[..., Result]
Scores = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def published(published_results: Results) -> tuple[list[dict[str, Any]], Scores]:
    """The 97 tasks of GIFT-Eval and a model's published scores on them."""
    results = published_results
    row = [entry.model for entry in results.entries].index("chronos-2")
    return results.tasks, {name: values[row] for name, values in results.scores.items()}


def test_worked_numbers() -> None:
    assert doctest.testmod(module) == (0, 2)


def test_relative_differences_by_loops() -> None:
    values = [0.0, 1.0, -2.0, 1e-300, 1e300, INF, NAN]
    for a, b in itertools.product(values, values):
        found = float(relative(np.array([a]), np.array([b]))[0])
        if math.isnan(b):  # was not published
            assert math.isnan(found)
        elif a == b:
            assert found == 0
        elif not (math.isfinite(a) and math.isfinite(b)) or b == 0:
            assert found == INF
        else:
            assert found == pytest.approx((a - b) / abs(b))  # infinite where it is too large for a float


def test_a_model_agrees_with_itself(published: tuple[list[dict[str, Any]], Scores]) -> None:
    tasks, scores = published
    found = parity(tasks, scores, scores, {"": 0.0})
    assert (found["agrees"], found["within"], found["configurations"], len(found["metrics"])) == (True, 97, 97, 11)
    assert found["hints"] == found["outside"] == found["only_own"] == found["only_theirs"] == []


def spoilt(scores: Scores, inside: np.ndarray, factor: float = 1.05, metrics: tuple[str, ...] = ()) -> Scores:
    """Scores × factor in some tasks."""
    return {m: np.where(inside, v * (factor if not metrics or m in metrics else 1.0), v) for m, v in scores.items()}


def of(tasks: list[dict[str, Any]], holds: Callable[[dict[str, Any]], bool]) -> np.ndarray:
    return np.array([holds(task) for task in tasks])


FAULTS: dict[str, tuple[Callable[[dict[str, Any]], bool], str]] = {
    "term": (lambda t: t["term"] in ("medium", "long"), "all differences are in term = medium or long, where 42 of 42 differ"),
    "domain": (lambda t: t["domain"] == "Energy", "all differences are in domain = Energy, where 32 of 32 differ"),
    "freq": (lambda t: t["freq"] == "H", "all differences are in freq = H, where 31 of 31 differ"),
    "variates": (lambda t: t["variates"] > 1, "all differences are in multivariate tasks, where "),
    "horizon": (lambda t: t["horizon"] >= 60, "all differences are in horizon >= 60, where "),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named(name: str, published: tuple[list[dict[str, Any]], Scores]) -> None:
    tasks, scores = published
    holds, sentence = FAULTS[name]
    inside = of(tasks, holds)
    found = parity(tasks, spoilt(scores, inside), scores, {"": 0.01})
    assert (found["agrees"], found["within"]) == (False, 97 - inside.sum())
    assert {row["task"] for row in found["outside"]} == {t["name"] for t, i in zip(tasks, inside, strict=True) if i}
    first = next(line for line in found["hints"] if " in " in line and "differences are" in line)
    assert first.startswith(sentence), found["hints"]
    assert any("higher (worse)" in line and "by 5 % in the median" in line for line in found["hints"])


def test_a_fault_with_exceptions_is_still_named(published: tuple[list[dict[str, Any]], Scores]) -> None:
    tasks, _ = published
    inside = of(tasks, lambda t: t["term"] != "short")
    inside[np.flatnonzero(inside)[::8]] = False  # six that agree by luck
    inside[np.flatnonzero(~inside)[0]] = True  # and one elsewhere
    (first,) = [p for p in search(tasks, inside) if p.column == "term"]
    assert (first.size, first.hits) == (42, 36)
    assert first.f1 == pytest.approx(2 * (36 / 42) * (36 / 37) / (36 / 42 + 36 / 37))


@pytest.mark.parametrize("seed", range(20))
def test_chance_is_not_explained(seed: int, published: tuple[list[dict[str, Any]], Scores]) -> None:
    tasks, _ = published
    random = np.random.default_rng(seed)
    bad = np.zeros(97, np.bool_)
    bad[random.choice(97, [3, 5, 10, 30, 60][seed % 5], replace=False)] = True
    assert search(tasks, bad) == []


def test_the_chance_of_a_match_against_scipy() -> None:
    for count, total, size, hits in ((97, 42, 42, 42), (97, 10, 12, 9), (14, 7, 3, 0), (20, 5, 18, 4)):
        assert _chance(count, total, size, hits) == pytest.approx(stats.hypergeom.sf(hits - 1, count, total, size), rel=1e-9)


METRIC_FAULTS = {
    ("MSIS",): "only MSIS differs; possible cause: the tails of the quantiles",
    (MASE, "MSIS"): "only MASE, MSIS differ; possible cause: both are divided by the seasonal error",
    (CRPS, "MSIS"): "only MSIS, CRPS differ; possible cause: the quantiles, while the median agrees",
    ("MSE[mean]", "RMSE[mean]", "NRMSE[mean]"): "possible cause: the mean forecast, while the median agrees",
    ("MAPE[0.5]",): "only MAPE[0.5] differs; possible cause: labels near zero",
}


@pytest.mark.parametrize("metrics", METRIC_FAULTS)
def test_metrics_that_differ_are_named(metrics: tuple[str, ...], published: tuple[list[dict[str, Any]], Scores]) -> None:
    tasks, scores = published
    found = parity(tasks, spoilt(scores, np.ones(97, np.bool_), 1.2, metrics), scores, {"": 0.01})
    assert METRIC_FAULTS[metrics] in found["hints"][0]
    assert found["hints"][1] == "all configurations differ, so that no part of the suite explains it"
    by_name = {row["metric"]: row for row in found["metrics"]}
    assert all(by_name[m]["within"] == (0 if m in metrics else 97) for m in by_name)
    assert by_name[metrics[0]]["median"] == pytest.approx(0.2)


def test_one_factor_is_named(published: tuple[list[dict[str, Any]], Scores]) -> None:
    tasks, scores = published
    scaled = {m: v * (1.1**2 if m.startswith("MSE") else 1.1) for m, v in scores.items()}
    assert any("all metrics differ by the same factor, 1.1;" in line for line in parity(tasks, scaled, scores, {"": 0.01})["hints"])
    each = np.linspace(1.1, 2, 97)
    scaled = {m: v * (each**2 if m.startswith("MSE") else each) for m, v in scores.items()}
    assert any("by one factor in each configuration, 1.55 in the median" in x for x in parity(tasks, scaled, scores, {"": 0.01})["hints"])
    random = np.random.default_rng(0)
    other = {m: v * random.uniform(1.1, 2, 97) for m, v in scores.items()}
    assert not any("factor" in line for line in parity(tasks, other, scores, {"": 0.01})["hints"])


def test_few_differences_have_no_pattern(published: tuple[list[dict[str, Any]], Scores]) -> None:
    tasks, scores = published
    found = parity(tasks, spoilt(scores, np.arange(97) < 2), scores, {"": 0.01})
    assert "too few configurations differ (2) to see what they share" in found["hints"]
    one = parity(tasks[:1], {MASE: np.array([1.0])}, {MASE: np.array([2.0])}, {"": 0.01})
    assert (one["agrees"], one["hints"]) == (False, ["too few configurations differ (1) to see what they share"])


def test_tolerances_hold_to_the_edge_and_by_metric() -> None:
    tasks = [{"name": f"t{i}"} for i in range(3)]
    own = {MASE: np.array([1.01, 0.99, 1.0]), "MSIS": np.array([1.04, 1.0, 1.0])}
    theirs = {MASE: np.ones(3), "MSIS": np.ones(3)}
    assert parity(tasks, own, theirs, {"": 0.01, "MSIS": 0.05})["agrees"]
    assert parity(tasks, own, theirs, {"": 0.01})["outside"][0]["differences"] == {"MSIS": pytest.approx(0.04)}
    assert parity(tasks, own, theirs, {"": 0.0099, "MSIS": 1.0})["within"] == 1
    assert parity(tasks, own, theirs, {"": 0.01}, [MASE])["agrees"]


def test_gaps_on_one_side() -> None:
    tasks = [{"name": f"t{i}"} for i in range(4)]
    own = {MASE: np.array([1.0, 1.0, NAN, 1.0]), "MSIS": np.array([1.0, NAN, NAN, NAN]), "bias": np.ones(4)}
    theirs = {MASE: np.array([1.0, 1.0, 1.0, NAN]), "MSIS": np.array([1.0, 1.0, NAN, NAN]), "bias": np.full(4, NAN)}
    found = parity(tasks, own, theirs, {"": 0.01})
    assert [row["metric"] for row in found["metrics"]] == [MASE, "MSIS"]  # nobody published a bias
    assert (found["configurations"], found["only_own"], found["only_theirs"]) == (2, ["t3"], ["t2"])
    assert found["outside"] == [{"task": "t1", "metric": "MSIS", "difference": INF, "differences": {"MSIS": INF}}]
    with pytest.raises(NothingMatched, match="no configuration that both have: 3 tasks of one's own and 1 of theirs"):
        parity(tasks, {MASE: own[MASE], "bias": np.ones(4)}, {MASE: np.array([NAN, NAN, 1, NAN])}, {})


def test_a_metric_that_was_not_published_is_no_difference() -> None:
    tasks = [{"name": f"t{i}"} for i in range(4)]
    own = {MASE: np.ones(4), "MAE": np.array([2.0, 2.0, 2.0, NAN])}
    found = parity(tasks, own, {MASE: np.ones(4), "MAE": np.array([2.0, NAN, NAN, NAN])}, {"": 0.01})
    assert (found["agrees"], found["within"], found["outside"]) == (True, 4, [])
    assert [(row["metric"], row["compared"], row["within"], row["unpublished"]) for row in found["metrics"]] == [
        (MASE, 4, 4, 0),
        ("MAE", 1, 1, 2),
    ]
    assert not parity(tasks, {**own, MASE: np.array([1, 1, 1, 2.0])}, {MASE: np.ones(4)}, {"": 0.01})["agrees"]


@pytest.mark.parametrize("text", ["", "x", "1", "-1%", "nan", "inf%", "=1%", "1_0%", "MSIS=", "1%%", "\x1b" + "9" * 10_000])
def test_tolerances_that_are_none(text: str) -> None:
    with pytest.raises(UsageError, match="wanted a percentage or a share") as caught:
        read_tolerances([text])
    assert len(str(caught.value)) < 200


# ── the command ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def store(tmp_path: Path) -> DuckStore:
    return DuckStore(tmp_path / "x.duckdb")


def add(store: DuckStore, model: str, task: str, scores: dict[str, float], **changes: Any) -> None:
    number = next(NUMBERS)
    row = {
        "result_id": f"r{number}",
        "cell_id": f"c{number}",
        "suite": "gift-eval",
        "task": task,
        "model": model,
        "model_name": f"stored {model}",  # not installed: whether it has changed is not looked at
        "mode": "zero-shot",
        "protocol": "gift-eval/1",
        "status": "ok",
        "scores": scores,
        "finished_at": f"2026-01-01T{number // 3600 % 24:02d}:{number // 60 % 60:02d}:{number % 60:02d}",
        **changes,
    }
    CellWriter(store.spool, f"r{number}", pa.schema([("window", pa.int64())])).commit(row)


@pytest.fixture
def go(store: DuckStore) -> Go:
    cli = click.Group()
    register_commands(cli)

    def run(*arguments: object) -> Result:
        result = CliRunner().invoke(cli, ["parity", *map(str, arguments), "--db", str(store.path)], standalone_mode=False)
        if isinstance(result.exception, HarnessError):
            raise result.exception
        assert result.exception is None, result.exception
        return result

    return run


@pytest.fixture
def mine(store: DuckStore, published_db: Path, published: tuple[list[dict[str, Any]], Scores]) -> DuckStore:
    """Own results as chronos-2's published ones, 5 % worse on medium and long tasks; two tasks were not run."""
    tasks, scores = published
    shutil.copy(published_db, store.path)
    for r, task in enumerate(tasks[:-2]):
        factor = 1.05 if task["term"] in ("medium", "long") else 1.001
        add(store, "mine", task["name"], {m: float(v[r]) * factor for m, v in scores.items()})
    return store


def test_the_verdict_and_its_exit_code(mine: DuckStore, go: Go) -> None:
    result = go("mine", "--against", "gift-eval:chronos-2")
    said = " ".join(result.stdout.split())
    assert result.return_value == 4
    assert "mine does NOT agree with gift-eval:chronos-2 on gift-eval: " in said
    assert "configurations within 1 % in 11 metrics; not: " in said
    assert "all differences are in term = medium or long" in said
    assert "† Only gift-eval:chronos-2 has 2 more" in said
    assert "more: --json" in said
    result = go("mine", "--against", "gift-eval:chronos-2", "--tolerance", "6%")
    assert result.return_value == 0
    assert "mine agrees with gift-eval:chronos-2 on gift-eval: 95 of 95 configurations within 6 % in 11 metrics" in " ".join(
        result.stdout.split()
    )
    found = json.loads(go("mine", "--against", "gift-eval:chronos-2", "--json", "--metric", "mase,CRPS", "--tolerance", "CRPS=10%").stdout)
    assert [(row["metric"], row["tolerance"]) for row in found["metrics"]] == [(MASE, 0.01), (CRPS, pytest.approx(0.1))]
    assert found["configurations"] - found["within"] == len(found["outside"]) >= 40
    assert all(set(row["differences"]) == {MASE} for row in found["outside"])


def test_what_was_not_published_is_counted(store: DuckStore, go: Go) -> None:
    for task, scores in {"m4_hourly/H/short": {MASE: 1.0, "MSIS": 3.0}, "us_births/D/short": {MASE: 1.0}}.items():
        add(store, "theirs", task, scores, source="gift-eval")
        add(store, "mine", task, {MASE: 1.0, "MSIS": 3.0})
    result = go("mine", "--against", "gift-eval:theirs")
    said = " ".join(result.stdout.split())
    assert result.return_value == 0 and "mine agrees with gift-eval:theirs" in said, said
    assert "† Of the 2 configurations gift-eval:theirs has no MSIS of 1: not compared there." in said


def test_against_a_file(mine: DuckStore, go: Go, tmp_path: Path, published: tuple[list[dict[str, Any]], Scores]) -> None:
    tasks, scores = published
    for folder in ("one", "two"):
        (tmp_path / "results" / folder).mkdir(parents=True)
        with (tmp_path / "results" / folder / "all_results.csv").open("w", newline="") as handle:
            writer = csv.writer(handle)
            writer.writerow(["dataset", "model", *(PREFIX + m for m in METRICS)])
            writer.writerows([task["name"], folder, *(repr(float(scores[m][r])) for m in METRICS)] for r, task in enumerate(tasks))
    file = tmp_path / "results" / "one" / "all_results.csv"
    for path in (file, file.parent):
        from_file, imported = (json.loads(go("mine", "--against", x, "--json").stdout) for x in (path, "gift-eval:chronos-2"))
        assert [from_file[k] for k in ("within", "metrics", "hints")] == [imported[k] for k in ("within", "metrics", "hints")]
        assert from_file["against"] == str(path)
    with pytest.raises(UsageError, match=r"holds the results of 2 models \(one, two"):
        go("mine", "--against", tmp_path / "results")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DataError, match=r"all_results\.csv"):
        go("mine", "--against", file)
    file.write_bytes(b"")
    with pytest.raises(DataError, match="empty file"):
        go("mine", "--against", file)


def test_what_is_not_there_is_said(store: DuckStore, go: Go) -> None:
    task = "m4_hourly/H/short"
    add(store, "mine", task, {MASE: 1.0})
    with pytest.raises(NothingMatched, match=r"no results of 'gift-eval' are in .*harness import gift-eval --db"):
        go("mine", "--against", "gift-eval:naive")
    import_gift_eval(store)
    with pytest.raises(NothingMatched, match="Did you mean 'chronos-2'"):
        go("mine", "--against", "gift-eval:chronos2")
    with pytest.raises(NothingMatched, match="Did you mean 'mine'"):
        go("mien", "--against", "gift-eval:naive")
    for nothing in ("naive", "fev:naive", "no/such.csv", "", "x\0y", HOSTILE):
        with pytest.raises(UsageError, match="wanted SOURCE:NAME") as caught:
            go("mine", "--against", nothing)
        assert len(str(caught.value)) < 400
    with pytest.raises(UsageError, match="--metric MSAE"):
        go("mine", "--against", "gift-eval:naive", "--metric", "MSAE")
    with pytest.raises(UsageError, match=r"--tolerance MSI: there is no such metric\. Did you mean 'MSIS'"):
        go("mine", "--against", "gift-eval:naive", "--tolerance", "MSI=5%")
    with pytest.raises(UsageError, match="wanted a percentage"):
        go("mine", "--against", "gift-eval:naive", "--tolerance", "5")


def test_parts_of_tasks_are_no_parity(store: DuckStore, go: Go) -> None:
    add(store, "mine", "m4_hourly/H/short", {MASE: 1.0}, scope="limit=2")
    with pytest.raises(
        UsageError, match=r"only results of parts of the tasks of 'gift-eval' \(limit=2\).*harness run -m mine -s gift-eval"
    ):
        go("mine", "--against", "gift-eval:naive")


def test_hostile_names_are_text(store: DuckStore, go: Go, published_db: Path) -> None:
    shutil.copy(published_db, store.path)
    add(store, HOSTILE, "m4_hourly/H/short", {MASE: 1.0, CRPS: 0.0})
    result = go(HOSTILE, "--against", "gift-eval:naive")
    assert result.return_value == 4
    assert "\x1b" not in result.stdout
    assert "\u202e" not in result.stdout
