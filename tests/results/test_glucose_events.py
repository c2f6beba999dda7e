"""Events: probabilities beside plain interpolation and the core's rule, labels and episodes beside plain loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.types import DECILES
from harness_results.glucose import events

F64 = NDArray[np.float64]


def forecasts(n: int = 30, h: int = 4, seed: int = 0) -> F64:
    """Rising quantiles [N, 9, H] around the threshold of 70."""
    rng = np.random.default_rng(seed)
    return np.sort(rng.normal(75, 15, (n, 9, h)), axis=1)


@pytest.mark.parametrize("threshold", [20.0, 54.0, 70.0, 75.3, 200.0])
def test_the_clamped_rule_is_plain_interpolation(threshold: float) -> None:
    quantiles = forecasts()
    below = events.probability_below(quantiles, DECILES, threshold)
    expected = [[np.interp(threshold, quantiles[i, :, t], DECILES) for t in range(4)] for i in range(30)]
    np.testing.assert_allclose(below, expected, rtol=1e-12)
    np.testing.assert_allclose(events.probability_above(quantiles, DECILES, threshold), 1 - below, rtol=1e-12)
    assert below.min() >= 0.1 and below.max() <= 0.9


def test_steps_in_the_distribution() -> None:
    equal = np.full((1, 9, 1), 70.0)
    for threshold, below, above in ((69.9, 0.1, 0.9), (70.0, 0.1, 0.1), (70.1, 0.9, 0.1)):
        assert events.probability_below(equal, DECILES, threshold)[0, 0] == pytest.approx(below)
        assert events.probability_above(equal, DECILES, threshold)[0, 0] == pytest.approx(above)
    partly = np.array([[[60.0], [70.0], [70.0], [80.0]]])
    assert events.probability_below(partly, [0.2, 0.4, 0.6, 0.8], 70.0).tolist() == [[0.4]]
    assert events.probability_above(partly, [0.2, 0.4, 0.6, 0.8], 70.0).tolist() == [[0.4]]
    assert events.probability_below(np.full((1, 1, 1), 60.0), [0.5], 70.0).tolist() == [[0.5]]


def test_crossing_and_missing_quantiles() -> None:
    quantiles = forecasts()
    mixed = quantiles[:, ::-1].copy()
    assert np.array_equal(events.probability_below(mixed, DECILES, 70.0), events.probability_below(quantiles, DECILES, 70.0))
    mixed[0, 3, 1] = np.nan
    chance = events.probability_below(mixed, DECILES, 70.0)
    assert np.isnan(chance[0, 1]) and np.isnan(chance).sum() == 1
    assert events.probability_below(np.empty((0, 9, 4)), DECILES, 70.0).shape == (0, 4)


@pytest.mark.parametrize(
    ("shape", "levels", "said"),
    [
        ((2, 3), [0.1, 0.5, 0.9], r"wanted \[N, Q, H\] and \[Q\]"),
        ((2, 3, 1), [0.1, 0.9], r"levels of shape \(2,\)"),
        ((2, 3, 1), [0.1, 0.9, 0.5], "wanted rising numbers"),
        ((2, 2, 1), [0.0, 0.5], "between 0 and 1"),
    ],
)
def test_wrong_quantiles(shape: tuple[int, ...], levels: list[float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        events.probability_below(np.zeros(shape), levels, 70.0)


def test_labels_of_points() -> None:
    assert events.below([[53.9, 54.0], [np.nan, 70.0]], 54.0).tolist()[0] == [1.0, 0.0]
    values = np.array([69.0, 70.0, 180.0, 180.1, 251.0, np.nan])
    assert np.nansum([events.below(values, t) for t in events.HYPO], axis=1).tolist() == [1.0, 0.0]
    assert np.nansum(events.above(values, events.HYPER)) == 2.0
    assert np.isnan(events.above(values, 180.0)[-1])


def runs(night: list[float], threshold: float, least: int) -> list[bool]:
    """Steps in a run of at least `least` low readings."""
    found: list[bool] = []
    for low, group in itertools.groupby(night, key=lambda g: g < threshold):
        length = len(list(group))
        found += [low and length >= least] * length
    return found


@pytest.mark.parametrize(("step", "least"), [(1, 15), (5, 3), (10, 2), (15, 1), (30, 1), (7, 3)])
def test_episodes_by_a_plain_loop(step: int, least: int) -> None:
    assert events.run_length(step) == least
    rng = np.random.default_rng(step)
    nights = rng.normal(72, 6, (200, 24)).round()
    nights = np.repeat(nights, 3, axis=1) if step == 1 else nights
    nights[rng.random(nights.shape) < 0.05] = np.nan
    expected = [runs(night, 70.0, least) for night in nights.tolist()]
    inside = events.in_episode(nights, 70.0, step)
    assert inside.tolist() == expected
    labels = events.episode_below(nights, 70.0, step, least=0.0)
    assert labels.tolist() == [float(any(row)) for row in expected] and 0 < labels.mean() <= 1


def test_missing_readings_make_a_night_unknown_or_not() -> None:
    nan = np.nan
    night = [60.0, 60.0, nan, 60.0, 90.0, 90.0, 90.0, 90.0, 90.0, 90.0]  # a gap within: no episode; 90 % are there
    assert events.episode_below([night], 70.0, 5.0).tolist() == [0.0]
    assert np.isnan(events.episode_below([night], 70.0, 5.0, least=1.0)).all()
    assert events.minimum_below([night]).tolist() == [1.0]
    empty = np.full((1, 10), nan)
    assert np.isnan(events.episode_below(empty, 70.0, 5.0, least=0.0)).all() and np.isnan(events.minimum_below(empty, least=0.0)).all()
    exactly = [[90.0] * 7 + [nan] * 3]
    assert events.minimum_below(exactly).tolist() == [0.0]


def test_short_and_empty_nights() -> None:
    assert events.episode_below([[60.0, 60.0]], 70.0, 5.0).tolist() == [0.0]
    assert events.in_episode(np.empty((0, 5)), 70.0, 5.0).shape == (0, 5)
    assert np.isnan(events.minimum_below(np.empty((2, 0)))).all()


def test_the_two_definitions_of_a_night() -> None:
    nights = np.array([[70.0] * 5, [70.2] * 5, [90.0, 60.0, 90.0, 90.0, 90.0]])
    assert events.minimum_below(nights).tolist() == [1.0, 0.0, 1.0]
    assert events.episode_below(nights, 70.0, 5).tolist() == [0.0, 0.0, 0.0]
    for factor in (18.0, 18.0182):  # tenths of a mmol/L have one label whatever the factor
        tenths = np.arange(20, 150)[:, None] / 10
        assert events.minimum_below(tenths * factor).tolist() == (tenths[:, 0] < 3.9 - 1e-9).astype(float).tolist()


def test_errors_of_nights() -> None:
    with pytest.raises(ValueError, match=r"got an array of shape \(3,\); wanted \[N, T\]"):
        events.in_episode([60.0, 60.0, 60.0], 70.0, 5.0)
    with pytest.raises(ValueError, match="wanted numbers above 0"):
        events.run_length(0)
    with pytest.raises(ValueError, match="of 0 steps"):
        events.night_score(np.empty((3, 0)))
