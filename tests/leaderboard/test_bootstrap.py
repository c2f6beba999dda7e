"""Intervals, comparisons, places and letters, against plain loops, scipy and what must hold of them."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.stats import bootstrap as scipy_bootstrap

from harness_leaderboard import bootstrap
from harness_leaderboard.bootstrap import critical, difference, effective, intervals, tail, told_apart, units_of, weights
from harness_leaderboard.ties import letters, places

NAN = math.nan


def mulberry32(seed: int, count: int) -> list[int]:
    """The generator as it is usually written, one number after the other."""
    numbers, state = [], seed
    for _ in range(count):
        state = (state + 0x6D2B79F5) & 0xFFFFFFFF
        t = ((state ^ (state >> 15)) * (state | 1)) & 0xFFFFFFFF
        t ^= (t + (((t ^ (t >> 7)) * (t | 61)) & 0xFFFFFFFF)) & 0xFFFFFFFF
        numbers.append(t ^ (t >> 14))
    return numbers


def loop_means(values: list[float], units: list[int], resamples: int) -> list[float]:
    """The mean in each resample, by drawing unit after unit."""
    count = max(units) + 1
    numbers = iter(mulberry32(0, resamples * count))
    means = []
    for _ in range(resamples):
        drawn = [next(numbers) * count // 2**32 for _ in range(count)]
        held = [v for unit in drawn for v, u in zip(values, units, strict=True) if u == unit and not math.isnan(v)]
        means.append(sum(held) / len(held) if held else NAN)
    return means


def loop_interval(values: list[float], units: list[int]) -> tuple[float, float]:
    """Percentiles moved outwards as Student's t asks for, with as many families as weigh the same (Hesterberg; Kish)."""
    held = [sum(u == unit and not math.isnan(v) for v, u in zip(values, units, strict=True)) for unit in range(max(units) + 1)]
    families = int(sum(held) ** 2 / sum(n * n for n in held) + 1e-9)
    assert families >= 6
    share = stats.norm.cdf(-stats.t.ppf(0.975, families - 1) * math.sqrt(families / (families - 1)))
    ordered = sorted(m for m in loop_means(values, units, bootstrap.RESAMPLES) if not math.isnan(m))
    rank = int(share * (len(ordered) + 1))
    return math.exp(ordered[rank - 1]), math.exp(ordered[-rank])


@pytest.fixture
def logs() -> np.ndarray:
    random = np.random.default_rng(1)
    made = random.normal(0, 0.3, (7, 24)) + np.linspace(-0.4, 0.4, 7)[:, None]
    made[5, random.random(24) < 0.4] = NAN
    made[6] = NAN
    return made


FAMILIES = [f"family {i // 3}" for i in range(24)]


def test_draws_are_those_of_the_generator_and_fair() -> None:
    drawn = weights(5, resamples=3)
    flat = [n * 5 // 2**32 for n in mulberry32(0, 15)]
    assert drawn.tolist() == [[flat[5 * b : 5 * b + 5].count(f) for f in range(5)] for b in range(3)]
    many = weights(19)
    assert (many.sum(axis=1) == 19).all()
    assert np.abs(many.mean(axis=0) - 1).max() < 4 * math.sqrt((1 - 1 / 19) / len(many))  # binomial, four standard errors
    assert many.var() == pytest.approx(1 - 1 / 19, rel=0.03)


def test_intervals_equal_a_plain_loop(logs: np.ndarray) -> None:
    units = units_of(FAMILIES)
    low, high = intervals(logs, units)
    for m in range(6):
        assert (low[m], high[m]) == pytest.approx(loop_interval(logs[m].tolist(), units.of.tolist()), rel=1e-12)
    assert math.isnan(low[6])
    assert math.isnan(high[6])


def test_resampled_means_agree_with_scipys() -> None:
    values = np.random.default_rng(2).normal(0, 0.3, 40)
    low, high = intervals(values[None, :], units_of([f"f{i}" for i in range(40)]))
    level = 1 - 2 * tail(40)
    theirs = scipy_bootstrap(
        (values,), np.mean, n_resamples=20_000, confidence_level=level, method="percentile", rng=np.random.default_rng(0), vectorized=True
    ).confidence_interval
    width = theirs.high - theirs.low
    assert math.log(low[0]) == pytest.approx(theirs.low, abs=0.06 * width)
    assert math.log(high[0]) == pytest.approx(theirs.high, abs=0.06 * width)
    reach = stats.t.ppf(0.975, 39) * values.std(ddof=1) / math.sqrt(40)  # what so many independent values should give
    assert math.log(high[0] / low[0]) == pytest.approx(2 * reach, rel=0.06)


def test_few_families_have_students_interval() -> None:
    values = np.array([[0.1, 0.3, -0.2, 0.4, 0.0, 0.1]])
    families = list("aabbcc")
    low, high = intervals(values, units_of(families))
    means = np.array([0.2, 0.1, 0.05])  # families of one size: the mean of their means
    reach = stats.t.ppf(0.975, 2) * means.std(ddof=1) / math.sqrt(3)
    assert (math.log(low[0]), math.log(high[0])) == pytest.approx((means.mean() - reach, means.mean() + reach))
    found = difference(values[0], np.zeros(6), units_of(families))
    assert found.p == pytest.approx(stats.ttest_1samp(means, 0).pvalue)
    assert (found.tasks, found.effective) == (6, 3)


def test_a_dominant_family_counts_as_what_it_is() -> None:
    assert effective(np.zeros((1, 20)), units_of(["big"] * 16 + list("abcd"))).tolist() == [1]
    assert effective(np.array([[0.0, 0.0, NAN, NAN], [NAN] * 4]), units_of(list("aabb"))).tolist() == [1, 0]
    assert effective(np.zeros((1, 12)), units_of(list("abcdefabcdef"))).tolist() == [6]


def test_students_t_is_scipys() -> None:
    for freedom in (*range(1, 40), 97, 300):
        assert critical(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-12)
    assert tail(12) == pytest.approx(stats.norm.cdf(-stats.t.ppf(0.975, 11) * math.sqrt(12 / 11)))


def test_tasks_of_one_family_make_the_interval_wider() -> None:
    random = np.random.default_rng(3)
    values = np.repeat(random.normal(0, 0.3, 10), 8)[None, :]  # ten families of eight tasks that say the same
    by_family = intervals(values, units_of([f"f{i // 8}" for i in range(80)]))
    by_task = intervals(values, units_of([f"f{i}" for i in range(80)]))
    assert np.log(by_family[1] / by_family[0]) > 2 * np.log(by_task[1] / by_task[0])


def test_two_families_have_no_interval_and_tell_nothing() -> None:
    logs = np.array([[0.1, 0.2], [1.1, 1.2]])
    units = units_of(["a", "b"])
    assert np.isnan(intervals(logs, units)).all()
    assert not told_apart(logs, units).any()
    assert math.isnan(difference(logs[0], logs[1], units).p)
    assert not np.isnan(intervals(np.array([[0.1, 0.2, 0.4]]), units_of(["a", "b", "c"]))).any()


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_one_family_has_no_interval_and_tells_nothing(rows: int) -> None:
    units = units_of(["a"] * 30)
    low, high = intervals(np.zeros((rows, 30)), units)
    assert np.isnan(low).all()
    assert np.isnan(high).all()
    assert not told_apart(np.arange(rows * 30.0).reshape(rows, 30), units).any()
    assert math.isnan(difference(np.zeros(30), np.ones(30), units).p)


def test_pairs_are_told_apart_as_their_differences_say(logs: np.ndarray) -> None:
    units = units_of(FAMILIES)
    apart = told_apart(logs, units)
    assert (apart == -apart.T).all()
    assert not apart[6].any()
    decided = 0
    for a, b in itertools.combinations(range(6), 2):
        found = difference(logs[a], logs[b], units)
        expected = 1 if found.high < 0 else -1 if found.low > 0 else 0
        assert apart[a, b] == expected, (a, b)
        assert (found.p <= 0.05) == (expected != 0)
        both = ~np.isnan(logs[a]) & ~np.isnan(logs[b])
        assert found.mean == pytest.approx((logs[a] - logs[b])[both].mean())
        assert found.tasks == both.sum()
        decided += expected != 0
    assert 5 <= decided < 15


def test_equal_models_are_never_told_apart() -> None:
    base = np.random.default_rng(4).normal(0, 1, (1, 24))
    same = np.concatenate([base, base + 3e-7, base, base + 0.1])  # as published files round
    apart = told_apart(same, units_of(FAMILIES))
    assert apart[:3, :3].tolist() == np.zeros((3, 3)).tolist()
    assert apart[:3, 3].tolist() == [1, 1, 1]


def test_two_models_without_two_common_families_are_not_compared() -> None:
    a, b = np.zeros(24), np.ones(24)
    a[3:] = NAN  # one family is left
    both = np.stack([a, b])
    assert not told_apart(both, units_of(FAMILIES)).any()
    assert math.isnan(difference(a, b, units_of(FAMILIES)).p)


SIZES = {
    "three": [16, 8, 8],
    "five": [12] * 5,
    "six": [12] * 6,
    "uneven": [12, 6, 3, 1, 1, 1],
    "nineteen": [16, 12, 8, 8, 8, 7, 7, 6, 4, 4, 4, 3, 3, 2, *[1] * 5],
}


@pytest.mark.parametrize("sizes", SIZES.values(), ids=list(SIZES))
def test_false_alarms_are_as_rare_as_promised(sizes: list[int]) -> None:
    """Tasks of a family that rise and fall together, nothing to find: at most 5 % of the pairs may be told apart."""
    random = np.random.default_rng(5)
    units = units_of([f"f{f}" for f, size in enumerate(sizes) for _ in range(size)])
    trials, alarms = 600, 0
    for _ in range(trials):
        gap = np.concatenate([random.normal() + random.normal(0, 0.3, size) for size in sizes])
        alarms += bool(told_apart(np.stack([gap, np.zeros(len(gap))]), units)[0, 1])
    assert alarms <= 0.05 * trials + 3 * math.sqrt(trials * 0.05 * 0.95)  # three standard errors
    assert sizes != SIZES["nineteen"] or alarms >= 6  # and it is not silent


def test_a_difference_is_found_where_there_is_one() -> None:
    random = np.random.default_rng(6)
    gap = np.repeat(random.normal(-0.5, 0.3, 12), 4)
    assert told_apart(np.stack([gap, np.zeros(48)]), units_of([f"f{i // 4}" for i in range(48)]))[0, 1] == 1


def test_places_follow_from_the_comparisons() -> None:
    apart = np.array([[0, 0, 1], [0, 0, 0], [-1, 0, 0]], np.int8)
    best, worst = places(apart, np.array([True, True, True]))
    assert (best.tolist(), worst.tolist()) == ([1, 1, 2], [2, 3, 3])
    best, worst = places(apart, np.array([True, False, True]))
    assert (best.tolist(), worst.tolist()) == ([1, 0, 2], [1, 0, 2])


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 9), st.data())
def test_letters_are_shared_exactly_by_those_that_cannot_be_told_apart(count: int, data: st.DataObject) -> None:
    apart = np.zeros((count, count), np.int8)
    for a, b in itertools.combinations(range(count), 2):
        apart[a, b] = data.draw(st.sampled_from([-1, 0, 1]))
        apart[b, a] = -apart[a, b]
    order = data.draw(st.permutations(range(count)))
    given_letters = letters(apart, order)
    assert all(given_letters)
    for a, b in itertools.combinations(range(count), 2):
        assert bool(set(given_letters[a]) & set(given_letters[b])) == (apart[a, b] == 0), given_letters
    if count:
        assert given_letters[order[0]].startswith("a")
    columns = [{m for m in range(count) if letter in given_letters[m]} for letter in sorted(set("".join(given_letters)))]
    assert not any(one < other for one, other in itertools.permutations(columns, 2))  # no group says what another says


def test_letters_of_many_groups_are_words() -> None:
    count = 60
    apart = np.array([[int(np.sign(b - a)) if abs(a - b) > 1 else 0 for b in range(count)] for a in range(count)], np.int8)
    given_letters = letters(apart, range(count))
    assert (given_letters[0], given_letters[1], given_letters[40]) == ("a", "ab", "an ao")
    assert letters(apart, []) == [""] * count
