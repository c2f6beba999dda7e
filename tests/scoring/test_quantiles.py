"""The one rule from any forecast to the asked quantiles, and what is refused."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from harness.errors import ForecastError
from harness.forecast import Forecast
from harness.quantiles import check, rule, sort_crossings, to_quantiles

DECILES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
ASKED = [0.001, 0.025, 0.05, 0.1, 0.13, 0.2, 0.35, 0.5, 0.6, 0.77, 0.9, 0.95, 0.975, 0.999]
RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def gluonts():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("gluonts.model.forecast", reason="gluonts is not installed: pip install 'ts-harness[test]'")


@pytest.mark.parametrize("levels", [DECILES, [0.05, 0.2, 0.5, 0.8, 0.95], [0.01, 0.1, 0.5, 0.6], [0.4, 0.6], [0.025, 0.5, 0.975]])
def test_quantiles_as_gluonts_reads_them(gluonts, levels):
    import pandas as pd

    values = RNG.normal(size=(3, len(levels), 4)).cumsum(axis=1).astype(np.float32)
    found, _ = to_quantiles(Forecast.from_quantiles(values, levels), ASKED)
    assert found.shape == (3, len(ASKED), 4)
    assert found.dtype == np.float32
    for row in range(3):
        other = gluonts.QuantileForecast(values[row].astype(float), pd.Period("2020", "D"), [str(v) for v in levels])
        for index, level in enumerate(ASKED):
            np.testing.assert_allclose(found[row, index], other.quantile(level), rtol=1e-6, atol=1e-6 * np.abs(values).max())


def test_tails_of_the_ranks():
    values = np.arange(1.0, 10.0)[None, :, None]
    found, mean = to_quantiles(Forecast.from_quantiles(values, DECILES), [0.025, 0.975])
    np.testing.assert_allclose(found[0, :, 0], [-1.0, 11.0], rtol=1e-6)
    assert mean.tolist() == [[5.0]]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 11, 20, 100])
def test_samples_as_gluonts_reads_them(gluonts, count):
    import pandas as pd

    samples = RNG.normal(size=(4, count, 6)).astype(np.float32)
    found, mean = to_quantiles(Forecast.from_samples(samples), ASKED)
    for row in range(4):
        other = gluonts.SampleForecast(samples[row], pd.Period("2020", "D"))
        for index, level in enumerate(ASKED):
            np.testing.assert_array_equal(found[row, index], other.quantile(level))
        np.testing.assert_allclose(mean[row], samples[row].astype(float).mean(axis=0), rtol=1e-6)


def test_samples_are_not_changed_and_many_rows_are_cut_rightly():
    samples = RNG.normal(size=(700, 40, 20)).astype(np.float32)
    kept = samples.copy()
    found, _ = to_quantiles(Forecast.from_samples(samples), [0.5])
    np.testing.assert_array_equal(samples, kept)
    np.testing.assert_array_equal(found[:, 0], np.sort(samples, axis=1)[:, round(39 * 0.5)])


def test_points_are_every_quantile():
    points = RNG.normal(size=(3, 4)).astype(np.float32)
    found, mean = to_quantiles(Forecast.from_points(points), DECILES)
    assert found.shape == (3, 9, 4)
    assert (found == points[:, None]).all()
    np.testing.assert_array_equal(mean, points)


def test_asked_levels_come_back_as_they_are():
    values = RNG.normal(size=(3, 9, 4)).astype(np.float32)
    found, mean = to_quantiles(Forecast.from_quantiles(values, DECILES), [level * 3 / 3 for level in DECILES])
    assert found is values
    np.testing.assert_array_equal(mean, values[:, 4])
    some, _ = to_quantiles(Forecast.from_quantiles(values, DECILES), [0.1 * 3, 0.9])
    np.testing.assert_array_equal(some, values[:, [2, 8]])


def test_the_mean_that_was_given_is_used():
    values, mean = RNG.normal(size=(3, 9, 4)), RNG.normal(size=(3, 4)).astype(np.float32)
    for forecast in (Forecast.from_quantiles(values, DECILES, mean), Forecast.from_samples(values, mean)):
        np.testing.assert_array_equal(to_quantiles(forecast, DECILES)[1], mean)


def test_one_level_gives_that_level_only():
    forecast = Forecast.from_quantiles(np.ones((2, 1, 3)), [0.5])
    assert to_quantiles(forecast, [0.5])[0].shape == (2, 1, 3)
    with pytest.raises(
        ForecastError, match=r"level 0\.1 was asked of a forecast with the one level 0\.5; wanted that level or at least two"
    ):
        to_quantiles(forecast, DECILES)


def test_a_tail_beyond_float32_is_refused():
    values = np.array([-3e38, 3e38], np.float32)[None, :, None]
    with pytest.raises(ForecastError, match="beyond float32"):
        to_quantiles(Forecast.from_quantiles(values, [0.4, 0.6]), [0.001])


def test_rule_is_exact_at_its_levels():
    for level in DECILES:
        assert rule(DECILES, level).weight == 0.0
    assert rule(DECILES, 0.025)[:3] == (1, 0, 1)
    assert rule(DECILES, 0.975)[:3] == (7, 7, 8)
    assert rule(DECILES, 0.55)[:3] == (4, 4, 5)


def test_check_passes_what_is_right():
    for forecast in (
        Forecast.from_quantiles(np.ones((3, 2, 4)), [0.1, 0.9], np.ones((3, 4))),
        Forecast.from_samples(np.ones((3, 1, 4))),
        Forecast.from_points(np.full((3, 4), 3e38)),
    ):
        assert check(forecast, 3, 4) is forecast


@pytest.mark.parametrize(
    ("forecast", "message"),
    [
        (np.ones((3, 4)), r"returned ndarray; wanted a Forecast\. Return Forecast\.from_quantiles"),
        (None, "returned NoneType; wanted a Forecast"),
        (Forecast.from_points(np.ones((2, 4))), r"points of shape \(2, 1, 4\); wanted \(3, 1, 4\)"),
        (Forecast.from_points(np.ones((3, 5))), r"points of shape \(3, 1, 5\); wanted \(3, 1, 4\)"),
        (Forecast.from_samples(np.ones((4, 7, 3))), r"samples of shape \(4, 7, 3\); wanted \(3, 7, 4\)"),
        (
            Forecast.from_quantiles(np.ones((3, 2, 5)), [0.1, 0.9]),
            r"quantiles of shape \(3, 2, 5\); wanted \(3, 2, 4\): \[N windows, Q, H steps\]",
        ),
        (Forecast("quantiles", np.ones((3, 2, 4), np.float32), np.array([0.5])), r"shape \(3, 2, 4\); wanted \(3, 1, 4\)"),
        (Forecast("quantiles", np.ones((3, 2, 4), np.float32)), r"with levels None; wanted float32 and, for quantiles, levels"),
        (Forecast("samples", np.ones((3, 2, 4))), "samples of float64 with levels None; wanted float32"),
        (Forecast("median", np.ones((3, 1, 4), np.float32)), "kind 'median'; wanted"),
        (Forecast("samples", np.ones((3, 4), np.float32)), r"samples of shape \(3, 4\); wanted \(3, 1, 4\)"),
    ],
)
def test_check_says_what_is_wrong(forecast, message):
    with pytest.raises(ForecastError, match=message):
        check(forecast, 3, 4)


def test_check_counts_what_is_not_finite():
    values = np.ones((5, 9, 4), np.float32)
    values[2, 3, 1] = values[4, 0] = np.nan
    values[4, 1, 0] = -np.inf
    with pytest.raises(
        ForecastError, match=r"quantiles with 5 NaN and 1 infinite values in 2 of 5 windows, the first in row 2 of the batch"
    ):
        check(Forecast.from_quantiles(values, DECILES), 5, 4)
    mean = np.ones((5, 4), np.float32)
    mean[0, 0] = np.inf
    with pytest.raises(ForecastError, match="a mean with 0 NaN and 1 infinite values in 1 of 5 windows, the first in row 0"):
        check(Forecast.from_samples(np.ones((5, 2, 4)), mean), 5, 4)


def test_check_looks_at_every_row():
    values = np.ones((9000, 9, 8), np.float32)
    for row in (0, 3640, 3641, 8999):
        values[row, 8, 7] = np.nan
        with pytest.raises(ForecastError, match=f"the first in row {row} "):
            check(Forecast.from_quantiles(values, DECILES), 9000, 8)
        values[row, 8, 7] = 1


def test_crossings_are_sorted_and_counted():
    values = np.sort(RNG.normal(size=(9000, 9, 8)), axis=1).astype(np.float32)
    same, count = sort_crossings(values)
    assert same is values
    assert count.shape == (9000,)
    assert not count.any()
    crossed = values.copy()
    for row, step in ((0, 0), (0, 7), (3640, 1), (8999, 3)):
        crossed[row, :, step] = crossed[row, ::-1, step].copy()
    kept = crossed.copy()
    found, count = sort_crossings(crossed)
    assert {row: int(count[row]) for row in np.flatnonzero(count)} == {0: 2, 3640: 1, 8999: 1}
    np.testing.assert_array_equal(found, values)
    np.testing.assert_array_equal(crossed, kept)


def test_crossings_of_points_and_of_one_level():
    points = to_quantiles(Forecast.from_points(np.ones((3, 4))), DECILES)[0]
    assert sort_crossings(points)[0] is points
    one = np.ones((3, 1, 4), np.float32)
    assert sort_crossings(one)[0] is one
    assert sort_crossings(np.empty((0, 9, 4), np.float32))[1].shape == (0,)
