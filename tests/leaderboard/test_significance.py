"""Tests of significance: against scipy, statsmodels, published tables, plain loops and numbers worked by hand."""

from __future__ import annotations

import doctest
import itertools
import math

import numpy as np
import pytest
from scipy import stats

from harness.errors import UsageError
from harness.statistics import diebold_mariano
from harness_leaderboard import bootstrap, cutoffs, influence, significance, words
from harness_leaderboard.bootstrap import units_of
from harness_leaderboard.cutoffs import least_cutoffs, reach
from harness_leaderboard.significance import (
    block_means,
    friedman,
    nemenyi_distance,
    nemenyi_quantile,
    sign_test,
    wilcoxon,
)

NAN, INF = math.nan, math.inf

# Demsar 2006, table 5(a): q of the two-tailed Nemenyi test at 0.05 by number of models.
DEMSAR = {2: 1.960, 3: 2.343, 4: 2.569, 5: 2.728, 6: 2.850, 7: 2.949, 8: 3.031, 9: 3.102, 10: 3.164}
# Demsar 2006, table 6: AUC of four classifiers on 14 datasets (higher is better), whose Friedman statistic and mean ranks the text states.
AUC = np.array(
    [
        [0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1.000, 0.940, 0.619, 0.972, 0.957],
        [0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1.000, 0.962, 0.666, 0.981, 0.978],
        [0.771, 0.590, 0.968, 0.654, 0.886, 0.916, 0.609, 0.563, 0.866, 1.000, 0.965, 0.614, 0.9751, 0.946],
        [0.798, 0.569, 0.967, 0.657, 0.898, 0.931, 0.685, 0.625, 0.875, 1.000, 0.962, 0.669, 0.975, 0.970],
    ]
)


@pytest.mark.parametrize("module", [bootstrap, significance, cutoffs, influence, words])
def test_worked_numbers(module: object) -> None:
    result = doctest.testmod(module, optionflags=doctest.ELLIPSIS, extraglobs={"np": np})  # type: ignore[arg-type]
    assert (result.failed, result.attempted > 0) == (0, True)


@pytest.mark.parametrize(("k", "q"), DEMSAR.items())
def test_nemenyi_against_the_published_table(k: int, q: float) -> None:
    assert nemenyi_quantile(k) == pytest.approx(q, abs=1.5e-3)  # the table is off by one in its last digit for k = 3 and 7
    assert nemenyi_distance(k, 14) == pytest.approx(q * math.sqrt(k * (k + 1) / 84), rel=1e-3)


def test_nemenyi_by_its_definition() -> None:
    """q is where the range of k standard normals, over √2, is exceeded in 5 % of draws."""
    drawn = np.random.default_rng(0).normal(size=(200_000, 7))
    span = (drawn.max(axis=1) - drawn.min(axis=1)) / math.sqrt(2)
    assert (span > nemenyi_quantile(7)).mean() == pytest.approx(0.05, abs=0.002)
    assert (span > nemenyi_quantile(7, 0.1)).mean() == pytest.approx(0.1, abs=0.003)
    assert nemenyi_quantile(121) > nemenyi_quantile(120)


def test_no_distance_of_nothing() -> None:
    assert all(math.isnan(x) for x in (nemenyi_quantile(1), nemenyi_distance(1, 10), nemenyi_distance(3, 0)))


def test_friedman_by_the_worked_example_of_demsar() -> None:
    ranks = np.array([stats.rankdata(-column) for column in AUC.T]).T  # [k, N], 1 = best
    assert ranks.mean(axis=1) == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    k, n = ranks.shape
    plain = 12 * n / (k * (k + 1)) * ((ranks.mean(axis=1) ** 2).sum() - k * (k + 1) ** 2 / 4)
    assert plain == pytest.approx(9.28, abs=5e-3)  # as the text states, without the correction for ties
    ties = sum(c**3 - c for column in ranks.T for c in np.unique(column, return_counts=True)[1])
    corrected = plain / (1 - ties / (n * (k**3 - k)))
    found = friedman(-AUC)
    assert found.statistic == pytest.approx(corrected)
    assert found.p == pytest.approx(stats.chi2.sf(corrected, k - 1))
    assert friedman(ranks) == pytest.approx(found)  # of ranks as of scores


def test_friedman_without_an_answer() -> None:
    for scores in (AUC[:2], AUC[:, :1], np.ones((4, 6)), np.empty((3, 0)), np.full((3, 5), NAN)):
        assert all(math.isnan(x) for x in friedman(scores))
    gaps = AUC.copy()
    gaps[1, 3] = NAN
    assert friedman(gaps) == friedman(np.delete(AUC, 3, axis=1))


def every_sign(gap: np.ndarray) -> float:
    """Wilcoxon's two-sided p by all 2^N ways to give signs to the ranks."""
    ranks = stats.rankdata(np.abs(gap))
    total = ranks.sum()
    least = min(ranks[gap > 0].sum(), ranks[gap < 0].sum())
    sums = [sum(r for r, s in zip(ranks, signs, strict=True) if s) for signs in itertools.product((0, 1), repeat=len(gap))]
    return sum(min(s, total - s) <= least for s in sums) / len(sums)


def test_wilcoxon_by_all_signs() -> None:
    random = np.random.default_rng(1)
    for shift in (0.0, 0.5, 2.0):
        a, b = random.normal(size=10), random.normal(shift, size=10)
        assert wilcoxon(a, b).p == pytest.approx(every_sign(a - b))
        assert wilcoxon(a, b) == wilcoxon(b, a)


def test_wilcoxon_without_an_answer_and_with_equal_blocks() -> None:
    assert math.isnan(wilcoxon(np.array([NAN]), np.ones(1)).p)
    assert math.isnan(wilcoxon(np.empty(0), np.empty(0)).p)
    assert wilcoxon(np.ones(5), np.ones(5)).p == 1
    assert wilcoxon(np.ones(1), np.zeros(1)).p == 1  # one block tells nothing
    assert min(wilcoxon(np.arange(1.0, n + 1), np.zeros(n)).p for n in range(1, 6)) > 0.05
    a, b = np.arange(8.0), np.array([1, 3, 2, 5, 8, 1, 9, 7 + 1e-9])  # the last differs by nothing that counts
    assert wilcoxon(a, b) == wilcoxon(a[:-1], b[:-1])


@pytest.mark.parametrize(("n", "tied"), [(1, False), (9, True), (13, True), (13, False), (14, True), (50, False), (51, False), (80, True)])
def test_wilcoxon_against_scipy(n: int, tied: bool) -> None:
    """Exact up to 50 blocks, 13 with ties; above, the normal approximation: what scipy 1.17 makes of it, whichever scipy is here."""
    random = np.random.default_rng(n)
    for shift in (0.0, 0.4):
        gap = random.normal(shift, size=n)
        if tied:
            gap = np.round(gap * 2) + np.where(random.random(n) < 0.5, 0.5, -0.5)
        found = wilcoxon(gap, np.zeros(n))
        if n <= 13 and tied:
            expected = every_sign(gap)
        else:
            expected = stats.wilcoxon(gap, method="exact" if n <= 50 and not tied else "asymptotic").pvalue
        assert found.p == pytest.approx(expected)
        ranks = stats.rankdata(np.abs(gap))
        assert found.statistic == min(ranks[gap > 0].sum(), ranks[gap < 0].sum())


def test_sign_test_against_scipy() -> None:
    random = np.random.default_rng(3)
    for n in (1, 2, 7, 30, 300):
        a, b = random.integers(0, 4, n).astype(float), random.integers(0, 5, n).astype(float)
        found = sign_test(a, b)
        assert (found.lower, found.equal, found.higher) == ((a < b).sum(), (a == b).sum(), (a > b).sum())
        played = found.lower + found.higher
        assert found.p == pytest.approx(stats.binomtest(found.lower, played).pvalue if played else 1.0)
    assert sign_test(np.ones(3), np.ones(3)).p == 1
    assert math.isnan(sign_test(np.array([NAN]), np.ones(1)).p)


def test_blocks_are_means_over_what_all_models_have() -> None:
    logs = np.array([[1.0, 2, 3, 4, 5, 6, 7, NAN], [0.0, 0, NAN, 0, 0, 0, 0, 0]])
    units = units_of(list("aabbcdef"))
    assert block_means(logs, units)[0] == pytest.approx([1.5, 4, 5, 6, 7, NAN], nan_ok=True)
    assert block_means(logs[:, :5], units_of(list("aabbc"))).shape == (2, 3)


def false_alarms(h: int, steps: int, pairs: int = 3000, gaps: float = 0.0) -> float:
    """The share of pairs without a difference that are called different at 5 %, losses being sums over h neighbours."""
    random = np.random.default_rng(steps)
    noise = random.normal(size=(pairs, steps + h - 1))
    losses = np.lib.stride_tricks.sliding_window_view(noise, h, axis=1).sum(axis=2)
    losses[random.random(losses.shape) < gaps] = NAN
    p = np.array([diebold_mariano(row, np.zeros(steps), h, kernel="flat").p for row in losses])
    return float((p < 0.05).mean())


@pytest.mark.parametrize(("h", "gaps"), [(1, 0.0), (2, 0.0), (4, 0.2), (12, 0.0)])
def test_diebold_mariano_keeps_its_level_from_the_least_cutoffs(h: int, gaps: float) -> None:
    """5 % is the promise and 7 % what it keeps; 3,000 pairs have a standard error of 0.45 %."""
    assert 0.035 < false_alarms(h, math.ceil(least_cutoffs(h) / (1 - gaps)), gaps=gaps) < 0.07 + 3 * 0.0045


def test_with_fewer_cutoffs_diebold_mariano_finds_too_much() -> None:
    assert false_alarms(2, 8) > 0.08
    assert false_alarms(8, 24) > 0.14


def test_reach_counts_cutoffs_that_overlap() -> None:
    hours = np.arange("2024-01-01T00", "2024-01-03T00", dtype="datetime64[h]").astype("datetime64[s]")
    assert [reach(hours, "H", n) for n in (1, 2, 24, 100)] == [1, 2, 24, 48]
    assert reach(hours[::12], "H", 12) == 1  # windows one after the other
    months = np.array(["2024-01-01", "2024-02-01", "2024-03-01"], "datetime64[s]")
    assert [reach(months, "M", n) for n in (1, 2)] == [1, 2]
    assert reach(months[:0], "M", 3) == 1


def test_a_missing_scipy_is_named_with_its_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness_leaderboard.needs.find_spec", lambda name: None)
    for call in (
        lambda: friedman(AUC),
        lambda: nemenyi_quantile(3),
    ):
        with pytest.raises(UsageError, match=r"scipy is not installed.*pip install 'ts-harness\[page\]'"):
            call()
    for p in (sign_test(AUC[0], AUC[1]).p, wilcoxon(AUC[0], AUC[1]).p, diebold_mariano(AUC[0], AUC[1]).p):  # need none
        assert 0 < p < 1
