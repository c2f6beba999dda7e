"""The dialect time-r1 beside plain loops, scikit-learn and the harness' metrics; its way through a run, a score and a leaderboard."""

from __future__ import annotations

import csv
import doctest
import io
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import harness_time_r1.dialect as module
import numpy as np
import pytest
from click.testing import CliRunner
from harness_time_r1.dialect import INFO, make
from harness_time_r1.suite import SETS, open_suite

import harness
import harness.cli
from harness.dialects import Forecasts
from harness.directions import lower_is_better
from harness.forecast import F32, F64
from harness.plugins import load
from harness.testing import check_dialect

DIALECT = make()
LEVELS = [0.1, 0.5, 0.9]


def case(labels: F32, mean: F32, median: F32, block: int = 512) -> Forecasts:
    """Windows [N, H] of one series each."""
    quantiles = np.stack([median - 1, median, median + 1], axis=1)  # [N, Q, H]
    series = [np.concatenate([np.ones(2, np.float32), row]) for row in labels]
    return Forecasts.from_arrays(series, np.arange(len(labels)), np.full(len(labels), 2), quantiles, LEVELS, mean, block=block)


def made(size: float = 1.0, level: float = 0.0, seed: int = 3) -> tuple[F32, F32, F32]:
    """Labels with gaps and zeros, means, medians, [40, 7] each."""
    rng = np.random.default_rng(seed)
    labels = (level + size * rng.normal(size=(40, 7))).astype(np.float32)
    mean, median = ((labels + size * rng.normal(size=labels.shape)).astype(np.float32) for _ in range(2))
    labels[rng.random(labels.shape) < 0.2] = np.nan
    labels[0], labels[5, 3] = np.inf, -np.inf  # missing too
    labels[7, :4] = 0
    return labels, mean, median


def points(labels: F32, mean: F32, median: F32) -> Iterator[tuple[float, float, float]]:
    return ((y, m, q) for y, m, q in zip(*(a.ravel().tolist() for a in (labels, mean, median)), strict=True) if math.isfinite(y))


def by_loop(labels: F32, mean: F32, median: F32) -> dict[str, float]:
    """Sums of Python floats that round once."""
    seen = list(points(labels, mean, median))
    n = len(seen)
    centre = math.fsum(y for y, _, _ in seen) / n
    square = math.fsum((y - m) ** 2 for y, m, _ in seen)
    ratios = [abs(y - q) / abs(y) for y, _, q in seen if y != 0]
    return {
        "MSE": square / n,
        "MAE": math.fsum(abs(y - q) for y, _, q in seen) / n,
        "MAPE": math.fsum(ratios) / len(ratios),
        "RMSE": math.sqrt(square / n),
        "NRMSE": math.sqrt(square / n) / (math.fsum(abs(y) for y, _, _ in seen) / n),
        "R2": 1 - square / math.fsum((y - centre) ** 2 for y, _, _ in seen),
    }


def test_the_worked_numbers() -> None:
    found = doctest.testmod(module)
    assert found.attempted > 0 and found.failed == 0


def test_it_conforms() -> None:
    check_dialect("time-r1")
    check_dialect("time-r1", levels=[0.025, 0.975])


@pytest.mark.parametrize("block", [1, 9, 512])
@pytest.mark.parametrize(("size", "level"), [(1.0, 0.0), (1e-3, 5.0), (50.0, 1e4)])
def test_beside_a_loop(block: int, size: float, level: float) -> None:
    arrays = made(size, level)
    assert DIALECT.score(case(*arrays, block=block)) == pytest.approx(by_loop(*arrays), rel=1e-12)


@pytest.mark.parametrize(("size", "level"), [(1.0, 0.0), (50.0, 1e4)])
def test_beside_scikit_learn(size: float, level: float) -> None:
    sklearn = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed: pip install scikit-learn")
    arrays = made(size, level)
    found = DIALECT.score(case(*arrays))
    label, mean, median = zip(*points(*arrays), strict=True)
    assert found["R2"] == pytest.approx(sklearn.r2_score(label, mean), rel=1e-12)
    assert found["MSE"] == pytest.approx(sklearn.mean_squared_error(label, mean), rel=1e-12)
    assert found["MAE"] == pytest.approx(sklearn.mean_absolute_error(label, median), rel=1e-12)


@pytest.mark.parametrize("block", [1, 512])
def test_a_spread_of_one_at_a_level_of_ten_million(block: int) -> None:
    rng = np.random.default_rng(5)
    labels = (1e7 + rng.integers(-2, 3, (300, 96))).astype(np.float32)
    mean = labels + rng.integers(-1, 2, labels.shape).astype(np.float32)
    found = DIALECT.score(case(labels, mean, mean, block))["R2"]
    assert found == pytest.approx(by_loop(labels, mean, mean)["R2"], rel=1e-9)
    small = (labels.astype(np.float64) - 1e7).astype(np.float32), (mean.astype(np.float64) - 1e7).astype(np.float32)
    assert found == pytest.approx(DIALECT.score(case(*small, small[1]))["R2"], rel=1e-9)  # the level decides nothing


def test_the_best_value_and_that_of_the_mean_label() -> None:
    labels = np.arange(12, dtype=np.float32).reshape(3, 4)

    def r2(mean: F32) -> float:
        return DIALECT.score(case(labels, mean, labels))["R2"]

    assert r2(labels) == 1
    assert r2(np.full_like(labels, labels.mean())) == pytest.approx(0, abs=1e-12)
    assert r2(-labels) < 0


@pytest.mark.parametrize("block", [1, 4, 512])
@pytest.mark.parametrize("value", [0.1, 1e6, -3.7e8])
def test_labels_all_alike_have_no_r2(value: float, block: int) -> None:
    labels = np.full((30, 7), value, np.float32)
    found = DIALECT.score(case(labels, labels + 100, labels, block))
    assert math.isnan(found.pop("R2"))
    assert found["MAE"] == found["MAPE"] == 0 and found["MSE"] > 0 and np.isfinite(list(found.values())).all()


def test_zeros_and_nothing() -> None:
    zero = np.zeros((2, 3), np.float32)
    found = DIALECT.score(case(zero, zero + 1, zero + 1))
    assert found["MSE"] == found["MAE"] == 1 and found["NRMSE"] == math.inf and math.isnan(found["MAPE"]) and math.isnan(found["R2"])
    assert math.isnan(DIALECT.score(case(zero, zero, zero))["NRMSE"])
    missing = np.full_like(zero, np.nan)
    assert np.isnan(list(DIALECT.score(case(missing, zero, zero)).values())).all()


def test_mean_and_median_have_their_own_scores() -> None:
    labels = np.array([[1, 2, 4]], np.float32)
    found = DIALECT.score(case(labels, labels + 2, labels + 1))
    assert (found["MSE"], found["RMSE"], found["MAE"]) == (4, 2, 1)
    assert found["MAPE"] == pytest.approx((1 + 1 / 2 + 1 / 4) / 3)


def test_what_it_says_of_its_numbers() -> None:
    assert set(INFO.about) == set(INFO.metrics) and INFO.leading == ("MSE", "MAE")
    lower = {name: lower_is_better(f"time-r1:{name}", load()) for name in INFO.metrics}
    assert lower == {"MSE": True, "MAE": True, "MAPE": True, "RMSE": True, "NRMSE": True, "R2": False}


def test_it_makes_no_result_stale() -> None:
    plugins = load()
    assert plugins.dialects["time-r1"].info is INFO
    own = [
        name for name, metric in plugins.metrics.items() if metric.info.statistics is not None and metric.distribution == "harness-time-r1"
    ]
    assert own == [] and "r2" not in plugins.failures


def test_registering_it_is_light(tmp_path: Path) -> None:
    source = (
        "import sys, harness_time_r1.dialect; print(*sorted({'pyarrow', 'harness.series', 'harness.dialects.contract'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert done.stdout.strip() == ""


@pytest.fixture
def cli() -> click.Group:
    return harness.cli.build()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table of the suite, and in r.duckdb two baselines' results on it."""
    folder = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(1)
    hours = np.datetime64("2016-07-01T00:00") + np.arange(600) * np.timedelta64(1, "h")
    values: F64 = np.sin(np.arange(600) * 2 * np.pi / 24)[:, None] * [1.0, 50.0] + rng.normal(size=(600, 2)) * [0.3, 9.0]
    rows = [f"{str(t).replace('T', ' ')}:00,{a:.4f},{b:.4f}" for t, (a, b) in zip(hours, values.tolist(), strict=True)]
    (folder / "AQWan.csv").write_text("\n".join(["date,a,b", *rows]) + "\n")
    harness.run("seasonal_naive,naive", suite="time-r1", data=folder, db=folder / "r.duckdb", isolation="inprocess", progress="none")
    return folder


def stored(run: Path) -> dict[tuple[str, str], float]:
    rows = harness.load(run / "r.duckdb").sql("SELECT model, metric, value FROM scores JOIN cells USING (result_id)").to_pylist()
    return {(row["model"], row["metric"]): row["value"] for row in rows}


def test_the_suite_is_scored_in_it(run: Path) -> None:
    assert [task.dialect for task in open_suite(None).tasks()] == ["time-r1"] * len(SETS)
    scores = stored(run)
    for model in ("seasonal_naive", "naive"):
        assert {name for who, name in scores if who == model} == {*load().metrics, *(f"time-r1:{name}" for name in INFO.metrics)}
        for name in ("MSE[mean]", "MAE[0.5]", "MAPE[0.5]", "RMSE[mean]", "NRMSE[mean]"):
            ours = f"time-r1:{name.partition('[')[0]}"
            assert scores[model, ours] == pytest.approx(scores[model, name], rel=1e-9)
    assert scores["naive", "time-r1:R2"] < scores["seasonal_naive", "time-r1:R2"] < 1


def test_the_leaderboard_compares_by_it(run: Path, cli: click.Group) -> None:
    done = CliRunner().invoke(cli, ["leaderboard", "-s", "time-r1", "--db", str(run / "r.duckdb"), "--data", str(run), "--format", "csv"])
    assert done.exit_code == 0, done.output
    naive = next(row for row in csv.DictReader(io.StringIO(done.stdout)) if row["model"] == "naive")
    scores = stored(run)
    assert naive["compared_by"] == "MSE, MAE"
    for column, name in (("nMASE", "MSE"), ("nCRPS", "MAE")):  # the form's fixed columns: those that the suite is compared by
        ratio = scores["naive", f"time-r1:{name}"] / scores["seasonal_naive", f"time-r1:{name}"]
        assert float(naive[column]) == pytest.approx(ratio) and ratio > 1
    for name in INFO.columns:
        assert float(naive[name]) == pytest.approx(scores["naive", f"time-r1:{name}"])


def test_kept_forecasts_of_any_suite_are_scored_in_it(tmp_path: Path, cli: click.Group) -> None:
    where = tmp_path / "r.duckdb"
    results = harness.run(
        "seasonal_naive", tasks="us_births/M/short", db=where, isolation="inprocess", progress="none", save_forecasts=True
    )
    done = CliRunner().invoke(cli, ["score", "--dialect", "time-r1", "--db", str(where), "--json"])
    assert done.exit_code == 0, done.output
    (scored,) = json.loads(done.stdout)["scores"]
    assert list(scored["scores"]) == list(INFO.metrics)
    stored = {row["metric"]: row["value"] for row in results.sql("SELECT metric, value FROM scores").to_pylist()}
    assert scored["scores"]["NRMSE"] == pytest.approx(stored["NRMSE[mean]"], rel=1e-9)
    (sums,) = results.sql("SELECT sum(n)::DOUBLE AS n, sum(sq_error_mean) AS square FROM windows").to_pylist()
    assert scored["scores"]["MSE"] == pytest.approx(sums["square"] / sums["n"], rel=1e-9)
    assert 0 < scored["scores"]["R2"] < 1
