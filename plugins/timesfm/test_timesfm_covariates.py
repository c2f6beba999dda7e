"""TimesFM 2.5 with known covariates beside the library's own call, one window at a time."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install torch")
timesfm: Any = pytest.importorskip("timesfm", reason="timesfm is not installed: pip install 'timesfm>=3.0,<3.1'")
pytest.importorskip("jax", reason="jax is not installed: pip install 'harness-timesfm[xreg]'")
pytest.importorskip("sklearn", reason="scikit-learn is not installed: pip install 'harness-timesfm[xreg]'")

import tiny_timesfm as tiny  # noqa: E402
from harness_timesfm import TimesFM25  # noqa: E402

from harness import Batch, Ragged, UsageError  # noqa: E402
from harness.forecast import F32, F64  # noqa: E402

MODES = ["xreg + timesfm", "timesfm + xreg"]
H = 12


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("timesfm25")
    tiny.write_25(folder)
    return folder


def planned(lengths: list[int], k: int = 2) -> tuple[list[F32], list[list[F64]]]:
    """Histories that follow from their covariates, with a little noise, and covariates [K][N] that go H steps beyond."""
    rng = np.random.default_rng(0)
    plans = [[rng.normal(size=n + H).cumsum() for n in lengths] for _ in range(k)]
    rows = [(50 + 3 * plans[0][i][:n] - 2 * plans[-1][i][:n] + rng.normal(size=n) / 10).astype(np.float32) for i, n in enumerate(lengths)]
    return rows, plans


def batch_of(rows: list[F32], plans: list[list[F64]]) -> Batch:
    return replace(Batch.from_contexts(rows, H), known_covariates=tuple(Ragged.from_rows(plan) for plan in plans))


def library(bare: Any, row: F32, plans: list[F64], mode: str, context: int, ridge: float) -> F32:
    """What the bare library makes of one window, [10, H]."""
    config = timesfm.ForecastConfig(
        max_context=context,
        max_horizon=H,
        normalize_inputs=True,
        use_continuous_quantile_head=True,
        fix_quantile_crossing=True,
        return_backcast=True,
    )
    bare.compile(config)
    _, quantiles = bare.forecast_with_covariates(
        inputs=[row.astype(float).tolist()],
        dynamic_numerical_covariates={f"{k:04d}": [plan.tolist()] for k, plan in enumerate(plans)},
        xreg_mode=mode,
        ridge=ridge,
        force_on_cpu=True,
    )
    return np.asarray(quantiles[0]).T


@pytest.mark.parametrize("mode", MODES)
def test_as_the_library_and_whatever_travels_with_it(weights: Path, mode: str) -> None:
    rows, plans = planned([96, 300, 128, 64])
    plans = [[p.astype(np.float32).astype(np.float64) for p in plan] for plan in plans]
    model = TimesFM25(str(weights), context=128, covariates=mode.replace(" ", ""), ridge=0.5)
    found = model.predict(batch_of(rows, plans))
    assert found.mean is not None
    bare = tiny.read_25(weights)
    for number, width in ((0, 96), (1, 128), (2, 128)):
        row, plan = rows[number][-128:], [p[number][-(len(rows[number][-128:]) + H) :] for p in plans]
        wanted = library(bare, row, plan, mode, width, 0.5)
        np.testing.assert_allclose(found.values[number], wanted[1:], rtol=1e-6, atol=1e-6 * np.ptp(row))
        np.testing.assert_allclose(found.mean[number], wanted[0], rtol=1e-6, atol=1e-6 * np.ptp(row))
    alone = model.predict(batch_of(rows[1:2], [plan[1:2] for plan in plans]))
    np.testing.assert_array_equal(alone.values[0], found.values[1])
    assert not model.notes


@pytest.mark.parametrize("mode", MODES)
def test_what_the_plan_says_of_the_horizon_is_used(weights: Path, mode: str) -> None:
    rows, plans = planned([200])
    model = TimesFM25(str(weights), covariates=mode)
    before = model.predict(batch_of(rows, plans)).values
    plans[0][0][-H:] += 5
    after = model.predict(batch_of(rows, plans)).values
    if mode == MODES[0]:  # the fit is to the series itself: 3 to 1
        np.testing.assert_allclose(after - before, 15, atol=0.5)
    assert not np.allclose(after, before, atol=1e-2)


@pytest.mark.parametrize("mode", MODES)
def test_windows_that_the_library_refuses(weights: Path, mode: str) -> None:
    rows, plans = planned([200, 200, 40, 5, 200, 200], k=3)
    rows[0][[0, 1, 50, 199]] = np.nan
    rows[1][:] = np.nan
    rows[4] *= np.float32(2.0**70)
    plans[1] = [np.full(len(plan), 7.0) for plan in plans[1]]  # constant
    plans[0][0][:30], plans[0][0][-3:], plans[2][0][:] = np.nan, np.nan, np.inf
    for plan in plans:
        plan[5] = np.full(200 + H, np.nan)
    model = TimesFM25(str(weights), covariates=mode)
    found = model.predict(batch_of(rows, plans)).values
    assert np.isfinite(found).all() and not found[1].any()
    plain = TimesFM25(str(weights)).predict(Batch.from_contexts(rows, H)).values
    short = [3, 5] if mode == MODES[0] else [2, 3, 5]  # the second mode cannot fit to the first patch
    for number in range(6):
        assert np.array_equal(found[number], plain[number]) == (number in [1, *short])
    counted = "windows too short for covariates, or whose covariates say nothing, forecast without"
    assert model.notes[counted] == len(short)


def test_without_covariates_it_forecasts_without(weights: Path) -> None:
    rows, plans = planned([80])
    model = TimesFM25(str(weights), covariates=MODES[0])
    plain = TimesFM25(str(weights)).predict(Batch.from_contexts(rows, H)).values
    np.testing.assert_array_equal(model.predict(Batch.from_contexts(rows, H)).values, plain)
    assert "no covariate" in str(model.notes["covariates"])
    # Known covariates are sent; without the parameter they are not used.
    np.testing.assert_array_equal(TimesFM25(str(weights)).predict(batch_of(rows, plans)).values, plain)


@pytest.mark.parametrize("mode", MODES)
def test_past_covariates_are_used_as_late_as_the_horizon_is_long(weights: Path, mode: str) -> None:
    rng = np.random.default_rng(0)
    signal = [rng.normal(size=n).cumsum().astype(np.float32) for n in (120, 90)]
    # The series follows the signal H steps late: from what is known today one knows the horizon.
    rows = [(50 + 3 * np.concatenate([np.full(H, s[0]), s[:-H]]) + rng.normal(size=len(s)) / 10).astype(np.float32) for s in signal]
    batch = replace(Batch.from_contexts(rows, H), past_covariates=(Ragged.from_rows(signal),), past_names=("signal",))
    model = TimesFM25(str(weights), covariates=mode, past="lagged")
    found = model.predict(batch)
    assert "lagged by 12: signal" in str(model.notes["covariates"])
    if mode == MODES[0]:
        assert found.mean is not None and np.abs(found.mean - [50 + 3 * s[-H:] for s in signal]).max() < 1.5
    late = [[np.concatenate([np.full(H, s[0]), s]).astype(np.float64) for s in signal]]  # known beforehand: the same, written by hand
    by_hand = TimesFM25(str(weights), covariates=mode).predict(batch_of(rows, late))
    np.testing.assert_array_equal(found.values, by_hand.values)
    plain = TimesFM25(str(weights), covariates=mode)
    np.testing.assert_array_equal(plain.predict(batch).values, TimesFM25(str(weights)).predict(Batch.from_contexts(rows, H)).values)
    assert "past=lagged would use its 1" in str(plain.notes["covariates"])


def test_past_needs_a_linear_model(weights: Path) -> None:
    for past, covariates in (("lagged", ""), ("constant", MODES[0])):
        with pytest.raises(UsageError, match="'lagged' together with covariates=xreg"):
            TimesFM25(str(weights), past=past, covariates=covariates)
