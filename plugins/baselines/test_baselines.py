"""Numbers beside statsforecast's own models, and what must hold whatever the context."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import harness_baselines
import numpy as np
import pyarrow as pa
import pytest
from harness_baselines import MODELS, Baseline, Drift, Mean, Naive, SeasonalNaive, WindowAverage

from harness import Batch, ModelInfo
from harness.forecast import F32, F64
from harness.testing import Check, checks

LEVELS = [0.025, 0.1, 0.5, 0.8, 0.975]
DATA = Path(os.environ.get("HARNESS_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
NAMES = sorted(MODELS)


@pytest.mark.parametrize("check", [c for name in NAMES for c in checks(name)], ids=str)
def test_conformance(check: Check) -> None:
    check()


def wave(length: int, seed: int = 0) -> F64:
    rng = np.random.default_rng(seed)
    out: F64 = 50 + 10 * np.sin(np.arange(length) / 24 * 2 * np.pi) + rng.normal(size=length).cumsum()
    return out


def real(folder: str, count: int) -> list[F32]:
    """The first `count` univariate series of a dataset in the GIFT-Eval layout."""
    files = sorted((DATA / "gift-eval" / folder).glob("data-*.arrow"))
    if not files:
        pytest.skip(f"no {folder} under {DATA}/gift-eval; set HARNESS_TEST_DATA to a folder that has it")
    with pa.memory_map(str(files[0])) as source:
        rows = pa.ipc.open_stream(source).read_all()["target"][:count].to_pylist()
    return [np.array(row, np.float32) for row in rows]


def by_statsforecast(model: Any, y: F32, horizon: int) -> tuple[F64, F64]:
    """Mean [H] and quantiles [Q, H] of one clean series at LEVELS."""
    width = [round(200 * abs(q - 0.5), 9) for q in LEVELS]
    out = model.forecast(y=y.astype(np.float64), h=horizon, level=sorted({w for w in width if w > 0}))
    rows = [out["mean"] if w == 0 else out[f"{'lo' if q < 0.5 else 'hi'}-{w}"] for q, w in zip(LEVELS, width, strict=True)]
    return out["mean"], np.stack(rows)


@pytest.mark.parametrize(
    ("name", "ours", "m"),
    [
        ("Naive", Naive(), None),
        ("SeasonalNaive", SeasonalNaive(), 24),
        ("SeasonalNaive", SeasonalNaive(), 1),
        ("RandomWalkWithDrift", Drift(), None),
        ("HistoricAverage", Mean(), None),
    ],
)
@pytest.mark.parametrize("source", ["wave", "m4_hourly", "covid_deaths", "hospital"])
def test_numbers_are_those_of_statsforecast(name: str, ours: Baseline, m: int | None, source: str) -> None:
    models = pytest.importorskip("statsforecast.models", reason="statsforecast is not installed: pip install statsforecast")
    theirs = getattr(models, name)() if m is None else getattr(models, name)(m)
    contexts = [wave(n, n).astype(np.float32) for n in (25, 60, 300)] if source == "wave" else real(source, 20)
    forecast = ours.predict(Batch.from_contexts(contexts, 50, season_length=m or 7, quantile_levels=LEVELS))
    assert forecast.mean is not None
    for row, y in enumerate(contexts):
        mean, quantiles = by_statsforecast(theirs, y, 50)
        np.testing.assert_allclose(forecast.mean[row], mean, rtol=1e-6)
        np.testing.assert_allclose(forecast.values[row], quantiles, rtol=1e-6, atol=1e-6 * np.abs(y).max())


@pytest.mark.parametrize("w", [1, 2, 7, 24, 45])
def test_window_average_beside_a_plain_loop(w: int) -> None:
    contexts = [wave(n, n).astype(np.float32) for n in (60, 46, 100)]
    forecast = WindowAverage(w).predict(Batch.from_contexts(contexts, 5, quantile_levels=[0.5, 0.8413447460685429]))
    for row, y in enumerate(c.astype(np.float64) for c in contexts):
        errors = [y[t] - y[t - w : t].mean() for t in range(w, len(y))]
        sigma = np.sqrt(np.mean(np.square(errors)) * (1 + np.arange(5) / w**2))
        np.testing.assert_allclose(forecast.values[row, 0], y[-w:].mean(), rtol=1e-6)
        np.testing.assert_allclose(forecast.values[row, 1], y[-w:].mean() + sigma, rtol=1e-6)


def test_window_average_of_one_step_is_naive() -> None:
    batch = Batch.from_contexts([wave(40), wave(9)], 6)
    np.testing.assert_allclose(WindowAverage(1).predict(batch).values, Naive().predict(batch).values, rtol=1e-6)


def test_missing_values_take_the_last_value() -> None:
    nan = np.nan
    gaps = [[nan, nan, 3, nan, 5, 4, nan], [nan] * 4, [1, nan, nan, 7], [np.inf, 2, -np.inf]]
    whole = [[3, 3, 3, 3, 5, 4, 4], [0] * 4, [1, 1, 1, 7], [2, 2, 2]]
    for model in MODELS.values():
        a, b = (model().predict(Batch.from_contexts(c, 4, season_length=2)) for c in (gaps, whole))
        np.testing.assert_array_equal(a.values, b.values)


def test_context_shorter_than_the_season() -> None:
    batch = Batch.from_contexts([[1, 2, 3], [5, 6, 7, 8, 9]], 7, season_length=5)
    forecast = SeasonalNaive().predict(batch)
    assert forecast.mean is not None
    assert forecast.mean.tolist() == [[3, 3, 1, 2, 3, 3, 3], [5, 6, 7, 8, 9, 5, 6]]
    assert np.array_equal(forecast.values, np.repeat(forecast.mean[:, None], 9, axis=1))  # no residual: sigma 0


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("levels", [[0.5], [0.025, 0.5, 0.975], [0.1, 0.3]])
@pytest.mark.parametrize("horizon", [1, 30])
def test_finite_and_rising_whatever_the_context(name: str, levels: list[float], horizon: int) -> None:
    contexts: list[Any] = [
        [7.0],
        [np.nan],
        [np.nan, 3],
        [4.0] * 30,
        wave(7),
        wave(8),
        wave(100),
        [3e38, -3e38] * 9,
        [1e-40, 2e-40, 0],
        np.full(50, np.nan),
    ]
    forecast = MODELS[name]().predict(Batch.from_contexts(contexts, horizon, season_length=7, quantile_levels=levels))
    assert forecast.values.shape == (len(contexts), len(levels), horizon)
    assert np.isfinite(forecast.values).all()
    assert (forecast.values[:, 1:] >= forecast.values[:, :-1]).all()
    assert (np.diff(forecast.values[6], axis=0) > 0).all()
    assert forecast.mean is not None and np.isfinite(forecast.mean).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_row_is_the_same_in_any_batch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    contexts = [wave(int(n), int(n)) * 10.0 ** rng.integers(-6, 6) for n in rng.integers(1, 700, 40)]
    contexts[5][::3] = np.nan
    contexts[6][:] = np.nan
    model = MODELS[name]()
    together = model.predict(Batch.from_contexts(contexts, 9, season_length=24))
    alone = np.concatenate([model.predict(Batch.from_contexts([c], 9, season_length=24)).values for c in contexts])
    np.testing.assert_array_equal(together.values, alone)
    backwards = model.predict(Batch.from_contexts(contexts[::-1], 9, season_length=24))
    np.testing.assert_array_equal(together.values, backwards.values[::-1])
    monkeypatch.setattr(harness_baselines, "BLOCK", 1000)
    np.testing.assert_array_equal(together.values, model.predict(Batch.from_contexts(contexts, 9, season_length=24)).values)


@pytest.mark.parametrize("name", NAMES)
def test_a_change_of_unit_changes_only_the_unit(name: str) -> None:
    contexts = [wave(60), wave(200, 1)]
    plain, scaled = (
        MODELS[name]().predict(Batch.from_contexts(c, 9, season_length=24)) for c in (contexts, [3 * c + 100 for c in contexts])
    )
    np.testing.assert_allclose(3 * plain.values + 100, scaled.values, rtol=1e-5)


@pytest.mark.parametrize("value", [0, -1, 2.5, "7", True])
def test_a_bad_parameter_says_what_was_wanted(value: Any) -> None:
    for make, name in ((SeasonalNaive, "season_length"), (WindowAverage, "window_size")):
        with pytest.raises(ValueError, match=rf"{name} got .*; wanted a whole number of steps of at least 1"):
            make(value)


def test_a_given_season_replaces_that_of_the_task() -> None:
    given = SeasonalNaive(season_length=24).predict(Batch.from_contexts([wave(80)], 9, season_length=1))
    of_the_task = SeasonalNaive().predict(Batch.from_contexts([wave(80)], 9, season_length=24))
    np.testing.assert_array_equal(given.values, of_the_task.values)


def test_registration_is_complete() -> None:
    infos: dict[str, ModelInfo] = {}
    harness_baselines.register_models(lambda info, _: infos.update({info.name: info}))
    assert sorted(infos) == NAMES
    assert all(info.license == "Apache-2.0" and info.parameters == 0 and 10 < len(info.summary) < 60 for info in infos.values())
