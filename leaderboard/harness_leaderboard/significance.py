"""Tests of significance between models: rank tests over blocks.

Axes: k models, N blocks. Lower scores are better. A block is what may be called independent: a dataset family (`block_means` makes the
blocks' scores). Tasks of one family rise and fall together, so a test over 97 tasks of 19 families would find differences that new data
does not bear out.

A test that has no answer (too few models or blocks, no number) returns NaN and never raises or warns. The test of two series of losses in
time and the correction of many p are in `harness.statistics`. Friedman's and Nemenyi's test import scipy when they are asked for (see
`harness_leaderboard.needs`); the tests of two models do without, so that `harness compare` needs it nowhere.

Sources: Friedman 1937; Nemenyi 1963; Wilcoxon 1945; how they are used for models over datasets: Demsar 2006 (JMLR 7).
"""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from harness_leaderboard.aggregate import Array
from harness_leaderboard.bootstrap import SAME, Units
from harness_leaderboard.needs import need

__all__ = [
    "SignTest", "Statistic",
    "block_means", "friedman", "nemenyi_distance", "nemenyi_quantile", "sign_test", "wilcoxon",
]  # fmt: skip

EXACT, EXACT_TIED = 50, 13
"""Most blocks for which Wilcoxon's p is exact, without ties in the ranks and with."""


class Statistic(NamedTuple):
    """A test's statistic and two-sided p; both NaN where it has no answer."""

    statistic: float
    p: float


class SignTest(NamedTuple):
    """Blocks in which the first is lower, equal, higher, and the two-sided p of so uneven a split."""

    lower: int
    equal: int
    higher: int
    p: float


def block_means(logs: Array, units: Units) -> Array:
    """[M, R] logs of ratios -> [M, N] means over the tasks of each dataset family, NaN where a family has none.

    Only tasks that all M models have are counted, so that the models of a block are compared on the same tasks.
    """
    shared = np.logical_and.reduce(np.isfinite(logs), axis=0)
    total = units.sums(np.where(shared, logs, 0.0))
    count = np.broadcast_to(units.sums(shared[None, :].astype(np.float64)), total.shape)
    means: Array = np.full(total.shape, np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means


def _whole(scores: Array) -> Array:
    """[k, N] without the blocks in which a score is NaN."""
    kept: Array = scores[:, ~np.isnan(scores).any(axis=0)]
    return kept


def friedman(scores: Array) -> Statistic:
    """Do any of k models differ? Friedman's chi-square of mean ranks, corrected for ties.

    12/(N k (k+1)) · Σ_j R_j² − 3 N (k+1), with R_j the sum of model j's ranks, over 1 − Σ (t³ − t)/(N (k³ − k)) for groups of t ties;
    compared with chi-square of k − 1 degrees of freedom. Blocks with NaN are left out.

    Conditions: k >= 3, N >= 2, not all tied; else NaN. The approximation is fair from about N > 10 or k > 5 (Demsar 2006, 3.2.2).
    By `scipy.stats.friedmanchisquare`.

    >>> friedman(np.array([[1.0, 1, 1, 1], [2, 2, 2, 2], [3, 3, 3, 3]]))  # 12/(4·3·4) · (4² + 8² + 12²) − 3·4·4 = 56 − 48
    Statistic(statistic=8.0, p=0.0183...)
    """
    whole = _whole(scores)
    if whole.shape[0] < 3 or whole.shape[1] < 2 or (whole == whole[0]).all():
        return Statistic(np.nan, np.nan)
    need("scipy")
    from scipy.stats import friedmanchisquare

    found = friedmanchisquare(*whole)
    return Statistic(float(found.statistic), float(found.pvalue))


def nemenyi_quantile(k: int, level: float = 0.05) -> float:
    """q of Nemenyi's test: the upper `level` quantile of the studentized range of k groups, infinite degrees of freedom, over √2.

    NaN for k < 2. By `scipy.stats.studentized_range`; Demsar 2006, table 5(a), prints k = 2 to 10.

    >>> round(nemenyi_quantile(2), 2), round(nemenyi_quantile(10), 3)
    (1.96, 3.164)
    """
    if k < 2:
        return float("nan")
    need("scipy")
    from scipy.stats import studentized_range

    return float(studentized_range.ppf(1 - level, k, np.inf) / np.sqrt(2))


def nemenyi_distance(k: int, n: int, level: float = 0.05) -> float:
    """The critical distance of mean ranks, q · √(k (k + 1)/(6 n)): models whose mean ranks over n blocks differ by less are not told apart.

    Conditions: to be used after Friedman's test says that any differ. NaN for k < 2 or n < 1. The distance depends on the number of models
    in the test, so that adding poor models hides differences between good ones (Benavoli, Corani and Mangili 2016); for two models of
    interest Wilcoxon's test or the paired bootstrap answers better.

    >>> round(nemenyi_distance(4, 14), 2)  # Demsar 2006, 3.2.2: q = 2.569, k = 4, N = 14
    1.25
    """
    return nemenyi_quantile(k, level) * float(np.sqrt(k * (k + 1) / (6 * n))) if n >= 1 else float("nan")


def wilcoxon(a: Array, b: Array) -> Statistic:
    """Does the pseudo-median of a − b differ from zero? Wilcoxon's signed ranks over blocks [N], two-sided.

    The pseudo-median is the median of the means of all pairs of differences; where the differences are spread evenly around their median it
    is that median, and in general it is not. The statistic is the smaller of the sums of ranks of |a − b| with either sign. Differences
    below 1e-6 are none and are left out, as Wilcoxon did; ties in the ranks share their mean.

    p is exact, over all ways to give signs to the ranks, for up to 50 blocks without ties and up to 13 with ties; else by the normal
    approximation, its variance corrected for ties, without correction for continuity. The page computes the same.

    Returns:
        (smaller sum, p); p = 1 where all are equal, NaN without a block. With N blocks p is at least 2 / 2^N: below 0.05 from N = 6.

    >>> wilcoxon(np.arange(6.0), np.arange(6.0) + [1, 2, 3, 4, 5, 6])  # all of one sign: 2 / 2^6
    Statistic(statistic=0.0, p=0.03125)
    """
    gap = a - b
    gap = gap[~np.isnan(gap)]
    if not len(gap):
        return Statistic(np.nan, np.nan)
    gap = gap[np.abs(gap) > SAME]
    n = len(gap)
    if not n:
        return Statistic(0.0, 1.0)
    ranks, ties = _mid_ranks(np.abs(gap))
    positive, total = float(ranks[gap > 0].sum()), n * (n + 1) / 2
    least = min(positive, total - positive)
    if n <= (EXACT if len(ties) == n else EXACT_TIED):
        return Statistic(least, min(1.0, 2 * _signed_rank_tail(ranks, least)))
    spread = np.sqrt((n * (n + 1) * (2 * n + 1) - (ties**3 - ties).sum() / 2) / 24)
    return Statistic(least, min(1.0, 2 * NormalDist().cdf((least - total / 2) / spread)))


def _mid_ranks(values: Array) -> tuple[Array, Array]:
    """([N] ranks from 1, equal values sharing their mean; sizes of the groups of equal ones)."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(sizes)
    return (last - (sizes - 1) / 2)[group], sizes.astype(np.float64)


def _signed_rank_tail(ranks: Array, most: float) -> float:
    """The share of the 2^N ways to give signs to ranks [N] whose positive ones add up to no more than `most`."""
    doubled = np.rint(2 * ranks).astype(np.int64)  # whole numbers, as shared ranks are halves
    ways = np.zeros(int(doubled.sum()) + 1)
    ways[0] = 1.0
    for rank in doubled.tolist():
        ways[rank:] += ways[: len(ways) - rank].copy()
    return float(ways[: round(2 * most) + 1].sum() / 2.0 ** len(ranks))


def sign_test(a: Array, b: Array) -> SignTest:
    """In how many blocks [N] is a lower than b, and how likely is so uneven a split by chance? Two-sided, exact.

    2 · P(X <= min(lower, higher)) with X binomial(lower + higher, 1/2), at most 1; differences below 1e-6 are ties and are left out.

    Returns:
        Counts and p; p = 1 where all are tied, NaN without a block.

    >>> sign_test(np.zeros(10), np.array([1.0, 1, 1, 1, 1, 1, 1, 1, 1, -1]))  # 2 · (1 + 10) / 2^10
    SignTest(lower=9, equal=0, higher=1, p=0.021484375)
    """
    gap = a - b
    gap = gap[~np.isnan(gap)]
    lower, higher = int((gap < -SAME).sum()), int((gap > SAME).sum())
    return SignTest(lower, len(gap) - lower - higher, higher, _binomial(lower, higher) if len(gap) else float("nan"))


def _binomial(wins: int, losses: int) -> float:
    from math import comb

    n = wins + losses
    return min(1.0, float(2 * sum(comb(n, i) for i in range(min(wins, losses) + 1)) / 2**n))
