"""Events: their thresholds and outcomes, and the probability that each kind of forecast gives them."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import Forecast
from harness.batches import thresholds
from harness.errors import ForecastError
from harness.events import happened, outcomes, probabilities, threshold
from harness.forecast import Ragged
from harness.quantiles import to_quantiles
from harness.series import Channels
from harness.types import DECILES, Event

UP = Event("up", 1, 0.0, "difference")


def chance(forecast: Forecast, limit: float, event: Event = UP) -> float:
    return float(probabilities(forecast, event, np.array([limit]))[0])


def test_quantiles_are_read_backwards() -> None:
    values = np.arange(1.0, 10.0, dtype=np.float32)[None, :, None]  # decile 0.k is k
    forecast = Forecast.from_quantiles(values, DECILES)
    for k, level in enumerate(DECILES, 1):
        assert chance(forecast, k) == pytest.approx(1 - level, abs=1e-6)
    assert chance(forecast, 4.5) == pytest.approx(0.55)
    assert 0 < chance(forecast, 12.0) < chance(forecast, 10.0) < 0.1
    assert 0.9 < chance(forecast, 0.0) < chance(forecast, -3.0) < 1


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(-100, 100, width=32), min_size=9, max_size=9, unique=True), st.floats(0.001, 0.999))
def test_the_rule_is_the_inverse_of_the_one_for_quantiles(values: list[float], level: float) -> None:
    """The probability of being above the quantile at a level is one minus that level, in the tails too."""
    given_ = np.sort(np.array(values, np.float32))
    if np.diff(given_).min() < 1e-3:
        return
    forecast = Forecast.from_quantiles(given_[None, :, None], DECILES)
    at = to_quantiles(forecast, [level])[0][0, 0, 0]
    assert chance(forecast, float(at)) == pytest.approx(1 - level, abs=2e-3)


def test_quantiles_that_are_equal_hold_a_mass() -> None:
    values = np.array([1, 1, 1, 2, 2, 2, 2, 3, 3], np.float32)[None, :, None]
    forecast = Forecast.from_quantiles(values, DECILES)
    touch = Event("touch", 1, inclusive=True)
    assert chance(forecast, 2.0) == pytest.approx(0.3)  # above 2 lies what is beyond level 0.7
    assert chance(forecast, 2.0, touch) == pytest.approx(0.6)  # at 2 or above, what is beyond level 0.4
    assert chance(forecast, 3.5) == 0.0
    assert chance(forecast, 0.5) == 1.0
    flat = Forecast.from_quantiles(np.full((1, 9, 1), 2, np.float32), DECILES)
    assert [chance(flat, limit) for limit in (1.0, 2.0, 3.0)] == [1.0, 0.5, 0.0]
    assert chance(flat, 2.0, touch) == 1.0


def test_samples_are_counted_and_never_certain() -> None:
    paths = Forecast.from_samples(np.array([1, 2, 2, 5], np.float32)[None, :, None])
    assert chance(paths, 2.0) == (1 + 2 / 2 + 0.5) / 5
    assert chance(paths, 2.0, Event("touch", 1, inclusive=True)) == (3 + 0.5) / 5
    assert chance(paths, 9.0) == 0.5 / 5
    assert chance(paths, 0.0) == 4.5 / 5


def test_points_and_probabilities() -> None:
    points = Forecast.from_points([[1.0, 5.0]])
    assert [chance(points, limit) for limit in (0.0, 1.0, 2.0)] == [1.0, 0.5, 0.0]
    assert chance(points, 2.0, Event("later", step=2)) == 1.0
    assert chance(Forecast.from_probabilities([0.25]), math.nan) == 0.25
    assert chance(points, math.nan) == 0.5
    for wrong in ([1.5], [-0.1], [math.nan]):
        with pytest.raises(ForecastError, match="wanted numbers from 0 to 1"):
            Forecast.from_probabilities(wrong)


def test_thresholds_follow_the_last_value_that_was_seen() -> None:
    rows = [np.concatenate([[4.0], np.full(200, np.nan)]), [1, 2, np.nan, 7], [np.nan] * 4]
    series = Channels.from_ragged(Ragged.from_rows(rows))
    channel, cut = np.array([0, 0, 1, 1, 2]), np.array([1, 200, 3, 4, 3])
    ratio = thresholds(Event("up", 1, 0.5, "ratio"), series, channel, cut)
    np.testing.assert_array_equal(ratio, [6, 6, 3, 10.5, np.nan])
    np.testing.assert_array_equal(thresholds(Event("up", 1, 0.5, "difference"), series, channel, cut), [4.5, 4.5, 2.5, 7.5, np.nan])
    np.testing.assert_array_equal(thresholds(Event("hot", 1, 0.5), series, channel, cut), np.full(5, 0.5))


@pytest.mark.parametrize("event", [UP, Event("a", 2, 0.01, "ratio"), Event("b", 3, 1.0), Event("c", 1, 1.0, inclusive=True)])
def test_outcomes_for_training_are_those_of_the_windows(event: Event) -> None:
    """The same series read as training data and as windows with labels tells the same story."""
    rng = np.random.default_rng(0)
    values = np.round(rng.normal(1, 1, 60), 1).astype(np.float32)
    values[[0, 7, 8, 30]] = np.nan
    told = outcomes(event, values)
    series = Channels.from_ragged(Ragged.from_rows([values]))
    cut = np.arange(1, len(values) - event.step + 1)
    channel = np.zeros(len(cut), np.int64)
    labels = series.gather(channel, cut, event.step)
    wanted = happened(event, labels, thresholds(event, series, channel, cut))
    np.testing.assert_array_equal(told[: len(cut)], wanted)
    assert np.isnan(told[len(cut) :]).all()
    assert 0 < np.nanmean(told) < 1
    assert np.isnan(outcomes(event, values[: event.step])).all()


RISE = Event("rise", 1, 0.01, "ratio", inclusive=True)


@pytest.mark.parametrize("inclusive", [False, True])
@pytest.mark.parametrize(("relative", "above"), [("", 21.21), ("ratio", 0.01), ("ratio", -0.01), ("difference", 0.21), ("difference", 0.0)])
def test_a_forecast_of_the_label_gives_what_the_label_gives(relative: str, above: float, inclusive: bool) -> None:
    """Labels in cents after prices in cents, many of them at the threshold as far as float32 can tell; ½ where that is not the event."""
    event = Event("e", 1, above, relative, inclusive)
    last = np.repeat(np.round(np.linspace(1, 300, 400), 2), 5).astype(np.float32)
    exact = last.astype(np.float64).round(2)
    limit = threshold(event, last.astype(np.float64))
    at = threshold(event, exact)
    labels = (at + np.tile([-0.5, -0.01, 0.0, 0.01, 0.5], 400)).astype(np.float32)
    found = happened(event, labels[:, None], limit)
    on = happened(Event("e", 1, above, relative, True), labels[:, None], limit) != happened(
        Event("e", 1, above, relative, False), labels[:, None], limit
    )
    assert (on == (np.arange(len(on)) % 5 == 2)).all() or relative == "", "the middle ones are at the threshold"
    wanted = np.where(on & (not inclusive), 0.5, found)
    q = np.repeat(labels[:, None, None], 9, axis=1)
    for forecast in (Forecast.from_points(labels[:, None]), Forecast.from_quantiles(q, DECILES)):
        np.testing.assert_array_equal(probabilities(forecast, event, limit), wanted)
    paths = probabilities(Forecast.from_samples(q[:, :4]), event, limit)
    np.testing.assert_allclose(paths, (4 * wanted + 0.5) / 5)


def test_a_point_at_a_threshold_that_float32_does_not_know() -> None:
    points = Forecast.from_points(np.array([[21.21], [21.2]], np.float32))
    limit = threshold(RISE, np.array([21.0, 21.0]))
    assert probabilities(points, RISE, limit).tolist() == [1.0, 0.0]
    assert probabilities(points, Event("more", 1, 0.01, "ratio"), limit).tolist() == [0.5, 0.0]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-12, 12), min_size=9, max_size=9), st.booleans(), st.sampled_from([1, 1000]))
def test_probabilities_fall_as_thresholds_rise(units: list[int], inclusive: bool, wide: int) -> None:
    """Quantiles some units of float32's last place apart, equal ones too, and thresholds between these units."""
    unit = np.spacing(np.float32(21))
    values = (np.float32(21.21) + np.array(units, np.float32) * wide * unit).astype(np.float32)
    limits = 21.21 + np.arange(-120, 121) * wide * float(unit) / 7
    forecast = Forecast.from_quantiles(np.repeat(np.sort(values)[None, :, None], len(limits), axis=0), DECILES)
    chances = probabilities(forecast, Event("e", 1, 0.21, "difference", inclusive), limits)
    assert (np.diff(chances) <= 1e-12).all()


@pytest.mark.parametrize("inclusive", [False, True])
def test_a_quantile_within_the_rounding_of_a_threshold_is_at_it(inclusive: bool) -> None:
    unit = np.spacing(np.float32(21))
    values = (np.float32(21.21) + 4 * np.arange(9, dtype=np.float32) * unit).astype(np.float32)
    forecast = Forecast.from_quantiles(np.repeat(values[None, :, None], 9, axis=0), DECILES)
    for off in (-0.7, 0.0, 0.7):
        found = probabilities(forecast, Event("e", 1, 0.21, "difference", inclusive), values + off * float(unit))
        np.testing.assert_allclose(found, 1 - np.array(DECILES), atol=1e-6)
