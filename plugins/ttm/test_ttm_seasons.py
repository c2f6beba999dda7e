"""Periods, candidates and the rules of the forecaster, beside plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from harness_ttm import seasons
from harness_ttm.blend import BlendForecaster, View, averaged, drawn_out, profile, repeated
from harness_ttm.config import TTMConfig
from harness_ttm.forecaster import ROWS, SeasonForecaster
from harness_ttm.seasons import CANDIDATES, HINTS, calendar_periods, fold, prepare

from harness import Batch

LEVELS = tuple(k / 10 for k in range(1, 10))
CONFIG = TTMConfig(
    context_length=64,
    patch_length=8,
    patch_stride=8,
    quantile_levels=LEVELS,
    patch_mask=True,
    season_fold=True,
    history_length=512,
    max_horizon=48,
)
F32 = np.float32


def wave(length: int, *periods: float, noise: float = 0.1, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    t = np.arange(length)
    return (sum(np.sin(2 * np.pi * t / p) / (k + 1) for k, p in enumerate(periods)) + noise * rng.normal(size=length)).astype(F32)


def last_cycle(arrays: dict[str, np.ndarray]) -> np.ndarray:
    """A network that forecasts candidate 2, the last cycle, with quantiles a tenth apart."""
    steps = np.arange(-4, 5, dtype=F32) / 10
    return arrays["candidates"][:, :, 2, :, None] + steps


@pytest.mark.parametrize(
    ("freq", "season", "wanted"),
    [
        ("H", 24, [24, 168]),
        ("15T", 96, [96, 672]),
        ("10S", 360, [360, 8640, 6]),
        ("W-SUN", 1, [52]),
        ("A", 1, []),
        ("QE", 4, [4]),
        ("?", 1, []),
        ("D", 30, [30, 7, 365]),
    ],
)
def test_calendar(freq: str, season: int, wanted: list[int]) -> None:
    assert calendar_periods(freq, season) == wanted


def test_planted_periods_are_found_without_being_named() -> None:
    y = np.stack([wave(1000, p, noise=0.2, seed=p) for p in (7, 12, 24, 60)] * 4)
    found = prepare(y, np.zeros((16, HINTS), np.int64), 64).periods[:, 0]
    assert (found > 0).all()
    assert (found % ([7, 12, 24, 60] * 4) == 0).all()  # a multiple explains as much


def test_a_random_walk_has_fewer_periods_than_a_wave() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=(64, 500)).cumsum(axis=1).astype(F32)
    assert (prepare(y, np.zeros((64, HINTS), np.int64), 64).periods[:, 0] > 0).mean() < 0.6


def test_two_periods_the_better_first() -> None:
    y = np.tile(wave(1500, 24, noise=0.0) + 0.7 * wave(1500, 168, noise=0.02), (16, 1))
    assert set(prepare(y, np.zeros((16, HINTS), np.int64), 64).periods[0].tolist()) == {24, 168}


def test_location_and_scale_beside_numpy() -> None:
    rng = np.random.default_rng(1)
    y = (100 + 5 * rng.normal(size=(16, 200))).astype(F32)
    y[rng.random(y.shape) < 0.2] = np.nan
    p = prepare(y, np.zeros((16, HINTS), np.int64), 64)
    np.testing.assert_allclose(p.loc, np.nanmean(y[:, -64:].astype(np.float64), axis=1), rtol=1e-9)
    np.testing.assert_allclose(p.scale, np.nanstd(y[:, -64:].astype(np.float64), axis=1), rtol=1e-9)
    np.testing.assert_allclose(p.z[p.mask], np.arcsinh((y - p.loc[:, None]) / p.scale[:, None])[p.mask], rtol=1e-4, atol=1e-5)
    assert (p.z[~p.mask] == 0).all()


def test_lag_error_beside_a_loop() -> None:
    rng = np.random.default_rng(2)
    z, mask = rng.normal(size=(5, 700)).astype(F32), rng.random((5, 700)) > 0.1
    lags = np.array([[0, 1, 7, 690]] * 5)
    got = seasons._lag_error(z, mask, lags)
    for i in range(5):
        for j, lag in enumerate(lags[i]):
            gaps = [
                abs(z[i, t] - z[i, t - lag])
                for t in range(700 - seasons.RECENT, 700)
                if lag and t >= lag and mask[i, t] and mask[i, t - lag]
            ]
            assert got[i, j] == pytest.approx(np.mean(gaps) if gaps else 9.0, rel=1e-5)


def test_candidates_beside_a_loop() -> None:
    rng = np.random.default_rng(3)
    y = np.stack([wave(300, 24, seed=s, noise=0.01) + np.arange(300, dtype=F32) / 300 for s in range(16)])
    y[rng.random(y.shape) < 0.1] = np.nan
    p = prepare(y, np.full((16, HINTS), 24), 64)
    assert (p.periods[:, 0] == 24).all()
    got, _ = fold(p, np.tile([0, 3], (16, 1)), 8)
    assert got.shape == (16, 2, CANDIDATES, 8)
    for i in range(16):
        seen = [float(v) for v, m in zip(p.z[i], p.mask[i], strict=True) if m]
        for f, patch in enumerate((0, 3)):
            for s in range(8):
                h = patch * 8 + s
                cycle = [300 - 24 + h % 24 - 24 * c for c in range(4)]
                there = [float(p.z[i, t]) for t in cycle if p.mask[i, t]]
                assert got[i, f, 0, s] == 0
                assert got[i, f, 1, s] == seen[-1]
                assert got[i, f, 2, s] == pytest.approx(there[0] if there else seen[-1], abs=1e-6)
                assert got[i, f, 3, s] == pytest.approx(np.mean(there) if there else seen[-1], abs=1e-6)


def test_affine_equivariance() -> None:
    forecaster = SeasonForecaster(last_cycle, CONFIG)
    contexts = [wave(300, 24, seed=s) for s in range(5)]
    plain = forecaster.predict(Batch.from_contexts(contexts, 30, freq="H", season_length=24)).values
    moved = forecaster.predict(Batch.from_contexts([1000 + 37 * c for c in contexts], 30, freq="H", season_length=24)).values
    np.testing.assert_allclose(moved, 1000 + 37 * plain, rtol=1e-5)


def test_the_last_cycle_comes_out_in_the_unit_of_the_context() -> None:
    context = 50 + np.tile(np.arange(24, dtype=F32), 10)
    out = SeasonForecaster(last_cycle, CONFIG).predict(Batch.from_contexts([context], 48, freq="H", season_length=24))
    np.testing.assert_allclose(out.values[0, 4], np.tile(50 + np.arange(24), 2), rtol=1e-5)


@pytest.mark.parametrize(
    ("context", "wanted"),
    [
        ([7.0] * 40, 7.0),
        ([np.nan] * 40, 0.0),
        ([3.0], 3.0),
        ([np.nan, 3.0, np.nan], 3.0),
        ([1e30] * 20, np.float32(1e30)),
        ([np.inf, 5.0, 5.0], 5.0),
    ],
)
def test_constant_and_missing_contexts(context: list[float], wanted: float) -> None:
    out = SeasonForecaster(last_cycle, CONFIG).predict(Batch.from_contexts([context], 5)).values
    np.testing.assert_allclose(out, wanted, rtol=1e-6)


def test_a_value_that_is_often_lowest_is_a_bound() -> None:
    context = np.maximum(wave(200, 24, noise=0), 0)
    out = SeasonForecaster(lambda a: last_cycle(a) - 3, CONFIG).predict(
        Batch.from_contexts([context, wave(200, 24)], 20, freq="H", season_length=24)
    )
    assert out.values[0].min() == pytest.approx(0, abs=1e-6)
    assert out.values[1].min() < -1


def test_beyond_the_head_the_spread_is_carried() -> None:
    forecaster = SeasonForecaster(last_cycle, CONFIG)
    batch = Batch.from_contexts([wave(400, 24)], 130, freq="H", season_length=24)
    out = forecaster.predict(batch).values[0]  # [Q, H]
    short = forecaster.predict(Batch.from_contexts([wave(400, 24)], 48, freq="H", season_length=24)).values[0]
    np.testing.assert_array_equal(out[:, :48], short)
    width = out[8] - out[0]
    assert (np.diff(out, axis=0) > 0).all()
    assert width[48:96].mean() > 1.3 * width[:48].mean()
    assert width[96:].mean() > 1.1 * width[48:96].mean()


def test_bits_do_not_depend_on_the_batch() -> None:
    forecaster = SeasonForecaster(last_cycle, CONFIG)
    contexts = [wave(n, 24, seed=n) for n in [20, 40, 511, 512, 513, 700, 90] * 12]
    whole = forecaster.predict(Batch.from_contexts(contexts, 30, freq="H", season_length=24)).values
    assert len(contexts) > 2 * ROWS
    for some in ([0], [5, 3], list(range(40, 84))[::-1]):
        part = forecaster.predict(Batch.from_contexts([contexts[i] for i in some], 30, freq="H", season_length=24)).values
        np.testing.assert_array_equal(part, whole[some])


def test_a_context_longer_than_the_history_is_cut() -> None:
    forecaster = SeasonForecaster(last_cycle, CONFIG)
    long = wave(2000, 24)
    a = forecaster.predict(Batch.from_contexts([long], 9)).values
    b = forecaster.predict(Batch.from_contexts([long[-512:]], 9)).values
    np.testing.assert_array_equal(a, b)


def test_blend_of_one_view_is_that_view() -> None:
    forecaster = SeasonForecaster(last_cycle, CONFIG)
    batch = Batch.from_contexts([wave(300, 24), wave(10, 24)], 20, freq="H", season_length=24)
    np.testing.assert_allclose(
        BlendForecaster(forecaster, [View("plain")]).predict(batch).values, forecaster.predict(batch).values, rtol=1e-6
    )


def test_a_view_that_was_better_weighs_more_and_a_short_context_has_the_plain_one() -> None:
    forecaster = SeasonForecaster(
        lambda a: last_cycle(a) + 0.5, CONFIG
    )  # half a unit too high, so that its mirror image is half a unit too low
    blend = BlendForecaster(forecaster, [View("plain"), View("flipped", flip=True)])
    rising = wave(400, 24) + np.where(np.arange(400) >= 380, -1.5, 0).astype(F32)  # has just fallen
    blend.predict(Batch.from_contexts([rising], 20, freq="H", season_length=24))
    flipped = blend.notes["weight of flipped"]
    assert flipped > 0.5
    blend.predict(Batch.from_contexts([rising[:40]], 20, freq="H", season_length=24))
    assert blend.notes["weight of flipped"] == pytest.approx(flipped / 2)  # notes are means over all batches
    blend.notes.clear()
    blend.predict(Batch.from_contexts([rising[:40]], 20, freq="H", season_length=24))
    assert blend.notes["weight of plain"] == 1


def test_means_of_blocks_and_straight_lines_between_them() -> None:
    np.testing.assert_allclose(averaged(np.array([9, 1, 3, np.nan, 5], F32), 2), [2, 5])
    assert np.isnan(averaged(np.full(4, np.nan, F32), 2)).all()
    q = drawn_out(np.array([[[1.0, 3.0]]]), 2, 4)
    np.testing.assert_allclose(q, [[[1.0, 1.5, 2.5, 3.0]]])
    np.testing.assert_allclose(drawn_out(np.array([[[4.0]]]), 4, 3), [[[4.0, 4.0, 4.0]]])


def test_mean_cycle() -> None:
    cycle = np.array([1, 5, 2, 0], F32)
    context = np.concatenate([[7], np.tile(cycle, 3)]).astype(F32)
    np.testing.assert_allclose(profile(context, [4, 100]), cycle - 2)
    np.testing.assert_allclose(repeated(cycle, -2, 3), [2, 0, 1, 5, 2])
    assert profile(context[-8:], [4]).tolist() == [0]


def test_a_long_horizon_keeps_the_context_in_sight() -> None:
    """After a block of the head's full length the last season of the context is still found."""
    config = TTMConfig.from_dict({**CONFIG.to_dict(), "history_length": 4096, "max_horizon": 960, "patch_length": 16, "patch_stride": 16})
    seen: list[int] = []

    def network(arrays: dict[str, np.ndarray]) -> np.ndarray:
        seen.append(int(arrays["features"][0, 3] > np.log(500 / 64)))  # more than 500 steps of history
        return last_cycle(arrays)

    context = np.tile(np.arange(24, dtype=F32), 20)
    out = SeasonForecaster(network, config).predict(Batch.from_contexts([context], 1200, freq="H", season_length=24)).values
    assert seen == [0, 1]
    np.testing.assert_allclose(out[0, 4], np.tile(np.arange(24), 50), atol=1e-3)


def test_contexts_beyond_the_history() -> None:
    config = TTMConfig.from_dict({**CONFIG.to_dict(), "history_length": 700})
    long, cut = (wave(10_000, 24)[-n:] for n in (10_000, 700))
    out = SeasonForecaster(last_cycle, config).predict(Batch.from_contexts([long, cut], 5, freq="H", season_length=24)).values
    np.testing.assert_array_equal(out[0], out[1])


@pytest.mark.parametrize("unit", [1e-27, 1e-24, 1.0, 1e20, 1e30])
def test_the_spread_beyond_the_head_is_that_of_any_unit(unit: float) -> None:
    forecaster = SeasonForecaster(last_cycle, CONFIG)
    context = wave(400, 24)
    plain, scaled = (
        forecaster.predict(Batch.from_contexts([c], 130, freq="H", season_length=24)).values for c in (context, context * F32(unit))
    )
    np.testing.assert_allclose(scaled / F32(unit), plain, rtol=1e-3, atol=1e-4)
