"""Events: probabilities beside plain interpolation and the core's rule, labels and episodes beside plain loops."""

from __future__ import annotations

import importlib

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


def steps_inside(night: list[float], threshold: float, least: int) -> list[bool]:
    """Reading by reading: an episode is known by its `least`-th low reading in a row, and over after as many steps without one."""
    found, begin, low, quiet = [False] * len(night), -1, 0, 0
    for t, value in enumerate(night):
        low, quiet = (low + 1, 0) if value < threshold else (0, quiet + 1)
        begin = t - least + 1 if begin < 0 and low == least else -1 if quiet == least else begin
        if begin >= 0 and low:
            found[begin : t + 1] = [True] * (t + 1 - begin)
    return found


@pytest.mark.parametrize(("step", "least"), [(1, 15), (5, 3), (10, 2), (15, 1), (30, 1), (7, 3)])
def test_episodes_by_a_plain_loop(step: int, least: int) -> None:
    assert events.run_length(step) == least
    rng = np.random.default_rng(step)
    nights = rng.normal(72, 6, (200, 24)).round()
    nights = np.repeat(nights, 3, axis=1) if step == 1 else nights
    nights[rng.random(nights.shape) < 0.05] = np.nan
    expected = [steps_inside(night, 70.0, least) for night in nights.tolist()]
    inside = events.in_episode(nights, 70.0, step)
    assert inside.tolist() == expected
    labels = events.episode_below(nights, 70.0, step, least=0.0)
    assert labels.tolist() == [float(any(row)) for row in expected] and 0 < labels.mean() <= 1


def test_an_episode_ends_after_fifteen_minutes_in_range() -> None:
    """Battelino et al. 2023; the steps of 1738 real stretches are those of iglu-python 0.4.3."""
    nan, low = np.nan, [60.0] * 3
    for between, episodes in (
        ([80.0], 1),
        ([nan], 1),
        ([80.0, nan], 1),
        ([80.0, 80.0], 1),
        ([80.0] * 3, 2),
        ([80.0, nan, 80.0], 2),
        ([nan] * 3, 2),
    ):
        inside = events.in_episode([[*low, *between, *low]], 70.0, 5.0)[0]
        assert np.diff(inside.astype(int), prepend=0).clip(0).sum() == episodes
        assert inside.all() == (episodes == 1)
    one = events.in_episode([[60, 90, 60, 60, 60, 90, 90, 60, 90, 90, 90, 60, 60, 90]], 70.0, 5.0)[0]
    assert one.astype(int).tolist() == [0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0]  # what is too short before it is none of it
    assert events.in_episode([[190, 190, 190, 180, 190]], 180.0, 5.0, above=True).all()
    assert events.in_episode([[60, 90, 60]], 70.0, 15.0).tolist() == [[True, False, True]]  # a reading of 15 minutes is 15 minutes


@pytest.mark.filterwarnings("ignore")
def test_iglus_episodes_where_it_is_installed() -> None:
    """Its own lasts through readings in range that the recording ends with; here the last low reading is the end."""
    pytest.importorskip("iglu_python", reason="pip install iglu-python==0.4.3 compares with it")
    import pandas as pd

    episodes = importlib.import_module("iglu_python.episode_calculation")
    rng = np.random.default_rng(5)
    for _ in range(40):
        night = 71 + np.cumsum(rng.normal(0, 2, 60))
        for kind, limit in (("hypo", 70.0), ("hyper", 72.0)):
            low = night > limit if kind == "hyper" else night < limit
            theirs = np.asarray(episodes.event_class(pd.DataFrame({"gl": night}), kind, limit, 3, 3)) > 0
            theirs &= np.logical_or.accumulate(low[::-1])[::-1]
            mine = events.in_episode(night[None], limit, 5.0, above=kind == "hyper")[0]
            np.testing.assert_array_equal(mine, theirs)


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
