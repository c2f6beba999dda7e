"""How sure a mean over tasks is: paired bootstrap intervals, clustered by dataset family, and what follows from them.

Axes: M models, R tasks, F units, B resamples. Scores come as logs of ratios, [M, R], NaN = no score; the mean of logs is the log of the
geometric mean.

Notable choices:

- The unit is the dataset family, since tasks of one family (frequencies and terms of the same series) rise and fall together. An interval
  over tasks would call noise a difference: with five families of twelve tasks, 61 % false alarms.
- What counts is the effective number of families, n = ⌊(Σ tasks)² / Σ tasks²⌋ (Kish 1965): a family with half of the tasks is half of the
  evidence. gift-eval has 19 families, and n = 11.
- n ≥ 6: percentiles of resampled families, at levels moved outwards so that they are as wide as Student's t asks for (Hesterberg 2015, the
  expanded percentile interval): plain percentiles of six families hold 87 % instead of 95. 3 ≤ n < 6: Student's t with n − 1 degrees of
  freedom and the cluster-robust variance, as the fewest families have too few resamples. n ≤ 2: nothing is told; with one degree of
  freedom t is 12.7, and an interval of ratios then reaches from 0 to thousands.
- All models see the same resamples, so differences are paired.
- Resamples are drawn by mulberry32, a small generator addressed by a counter: the page's script draws the same ones, and what it computes
  for a slice is what this module computes.
- Bounds are order statistics, so an interval of a difference leaves out 0 exactly when its p is at most 0.05.

Sources: Efron and Tibshirani 1993, chapters 13 and 16; Hesterberg 2015 (The American Statistician 69); Cameron, Gelbach and Miller 2008;
Piepho 2004 (letters).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from harness.statistics import student_quantile, student_tail
from harness_leaderboard.aggregate import Array

__all__ = [
    "FEWEST", "LEAST", "LEVEL", "PATTERNS", "RESAMPLES", "SAME", "SEED", "Difference", "Units",
    "critical", "difference", "effective", "intervals", "tail", "told_apart", "units_of", "weights",
]  # fmt: skip

RESAMPLES = 2000
SEED = 0
FEWEST = 3
"""Fewest effective families of which anything is told."""
LEAST = 6
"""Fewest effective families that are resampled."""
PATTERNS = 32
"""Most ways of lacking tasks among models for which pairs are resampled."""
SAME = 1e-6
"""Log ratios that differ by less are equal: published files hold six or seven digits."""
LEVEL = 0.95
"""Of all intervals and verdicts."""


def critical(freedom: int) -> float:
    """The 97.5 % quantile of Student's t.

    >>> round(critical(1), 3), round(critical(10), 3)
    (12.706, 2.228)
    """
    return student_quantile((1 + LEVEL) / 2, freedom)


@cache
def tail(n: int) -> float:
    """The share of resamples that n ≥ 2 effective families leave outside at either end of a 95 % interval: Φ(−t·√(n / (n − 1))).

    Source: Hesterberg 2015, section 5.3. For large n it is 0.025.

    >>> round(tail(6), 4), round(tail(11), 4), round(tail(10_000), 3)
    (0.0024, 0.0097, 0.025)
    """
    return NormalDist().cdf(-critical(n - 1) * math.sqrt(n / (n - 1)))


@dataclass(frozen=True)
class Units:
    """What is drawn: `of` [R] the number of each task's dataset family, `names` [F] the families."""

    of: NDArray[np.int64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def sums(self, values: Array) -> Array:
        """[M, R] -> [M, F] sums over the tasks of each family; NaN counts as 0."""
        hot = np.zeros((len(self.of), len(self.names)))
        hot[np.arange(len(self.of)), self.of] = 1.0
        total: Array = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0) @ hot
        return total


def units_of(families: Sequence[str]) -> Units:
    """The families of tasks ([R] names)."""
    of_family: dict[str, int] = {}
    index = np.array([of_family.setdefault(family, len(of_family)) for family in families], np.int64)
    return Units(index, tuple(of_family))


def effective(logs: Array, units: Units) -> NDArray[np.int64]:
    """[M] the effective number of families of each model's scores [M, R]; 0 without a score.

    >>> effective(np.zeros((1, 4)), units_of(["a", "a", "b", "c"])).tolist()  # 16 / (4 + 1 + 1)
    [2]
    """
    return _effective(units.sums(np.isfinite(logs).astype(np.float64)))


def _effective(counts: Array) -> NDArray[np.int64]:
    squares = (counts**2).sum(axis=1)
    share = np.divide(counts.sum(axis=1) ** 2, squares, out=np.zeros(len(counts)), where=squares > 0)
    whole: NDArray[np.int64] = np.floor(share + 1e-9).astype(np.int64)
    return whole


def weights(count: int, resamples: int = RESAMPLES, seed: int = SEED) -> Array:
    """[B, F] how often each of `count` units is drawn in each resample: F draws with replacement.

    >>> weights(3, resamples=2).tolist()
    [[3.0, 0.0, 0.0], [1.0, 2.0, 0.0]]
    """
    drawn = (_mulberry32(seed, resamples * count).astype(np.uint64) * np.uint64(count)) >> np.uint64(32)
    row = np.repeat(np.arange(resamples), count)
    flat = np.bincount(row * count + drawn.astype(np.int64), minlength=resamples * count)
    return flat.reshape(resamples, count).astype(np.float64)


def _mulberry32(seed: int, count: int) -> NDArray[np.uint32]:
    """The first `count` numbers of Tommy Ettinger's mulberry32 (public domain), uint32."""
    state = np.uint32(seed) + np.arange(1, count + 1, dtype=np.uint32) * np.uint32(0x6D2B79F5)
    mixed = (state ^ (state >> np.uint32(15))) * (state | np.uint32(1))
    mixed ^= mixed + (mixed ^ (mixed >> np.uint32(7))) * (mixed | np.uint32(61))
    numbers: NDArray[np.uint32] = mixed ^ (mixed >> np.uint32(14))
    return numbers


def intervals(logs: Array, units: Units) -> tuple[Array, Array]:
    """95 % intervals of the geometric means: (low [M], high [M]); NaN where there are scores of fewer than FEWEST effective families.

    Args:
        logs: [M, R] logs of ratios; NaN is left out, as in the mean itself.
        units: the families of the same R tasks.
    """
    means = _Means(logs, units)
    low, high = means.bounds()
    return np.exp(low), np.exp(high)


@dataclass(frozen=True)
class Difference:
    """Of two models on the tasks that both have: the mean log ratio a/b, its 95 % interval and two-sided p; NaN where there is none."""

    mean: float
    low: float
    high: float
    p: float
    tasks: int
    effective: int


def difference(a: Array, b: Array, units: Units) -> Difference:
    """Compare two models, logs of scores [R] each, paired."""
    gap = np.where(np.isfinite(a) & np.isfinite(b), a - b, np.nan)
    there = ~np.isnan(gap)
    means = _Means(gap[None, :], units)
    low, high = means.bounds()
    mean = float(gap[there].mean()) if there.any() else np.nan
    return Difference(mean, float(low[0]), float(high[0]), means.p(), int(there.sum()), int(means.effective[0]))


def told_apart(logs: Array, units: Units) -> NDArray[np.int8]:
    """[M, M]: +1 where the row's model is better (lower) than the column's, -1 where it is worse, at 95 %; 0 where none can be told.

    Pairs are compared on the tasks that both have, each pair by itself: no correction for the number of pairs. Where models lack tasks in
    more than PATTERNS ways, pairs with such a model are compared by Student's t, as each would need resamples of its own.
    """
    found = np.zeros((len(logs), len(logs)), np.int8)
    full: NDArray[np.bool_] = np.asarray(np.isfinite(logs).all(axis=1))
    whole = _Means(logs[full], units)
    few = len(np.unique(np.isfinite(logs), axis=0)) <= PATTERNS
    rows = np.flatnonzero(full)
    for k, row in enumerate(rows):
        found[row, rows[k + 1 :]] = whole.signs_against(k)
    for i in range(len(logs)):
        slow = ~full if full[i] else np.ones(len(logs), np.bool_)
        slow[: i + 1] = False
        if slow.any():
            found[i, slow] = _Means(logs[i] - logs[slow], units).signs(resampled=few)
    return found - found.T


class _Means:
    """Means over tasks of K rows of logs [K, R], and how sure they are; NaN is left out."""

    def __init__(self, logs: Array, units: Units) -> None:
        self._sums = units.sums(logs)  # [K, F]
        self._counts = units.sums(np.isfinite(logs).astype(np.float64))
        self.effective = _effective(self._counts)

    @cached_property
    def _drawn(self) -> Array:
        """[K, B] the mean in each resample; NaN where it drew no score."""
        drawn = weights(self._sums.shape[1]).T  # [F, B]
        total, count = self._sums @ drawn, self._counts @ drawn
        means: Array = np.full(total.shape, np.nan)
        return np.divide(total, count, out=means, where=count > 0)

    def bounds(self) -> tuple[Array, Array]:
        """([K] low, [K] high) of the middle 95 %, NaN where nothing can be told."""
        low, high = np.full(len(self._sums), np.nan), np.full(len(self._sums), np.nan)
        mean, error = _robust(self._sums, self._counts)
        few = (self.effective >= FEWEST) & (self.effective < LEAST)
        reach = error[few] * np.array([critical(int(n) - 1) for n in self.effective[few]])
        low[few], high[few] = mean[few] - reach, mean[few] + reach
        for k in np.flatnonzero(self.effective >= LEAST).tolist():
            ordered = np.sort(self._drawn[k])  # NaN last
            count = int((~np.isnan(ordered)).sum())
            rank = int(np.floor(tail(int(self.effective[k])) * (count + 1)))
            if rank >= 1:
                low[k], high[k] = ordered[rank - 1], ordered[count - rank]
        return low, high

    def signs(self, resampled: bool) -> NDArray[np.int8]:
        """[K] for differences: +1 below zero, -1 above, 0 undecided; by Student's t where not `resampled`."""
        signs = np.zeros(len(self._sums), np.int8)
        mean, error = _robust(self._sums, self._counts)
        for k, n in enumerate(self.effective.tolist()):
            if n >= LEAST and resampled:
                signs[k] = _signs(self._drawn[[k]], tail(n))[0]
            elif n >= FEWEST and abs(mean[k]) > max(SAME, error[k] * critical(n - 1)):
                signs[k] = -np.sign(mean[k])
        return signs

    def signs_against(self, k: int) -> NDArray[np.int8]:
        """[K - k - 1] the signs of row k less each later row; all rows have the same tasks."""
        n = int(self.effective[k])
        if n >= LEAST:
            return _signs(self._drawn[k] - self._drawn[k + 1 :], tail(n))
        gaps = self._sums[k] - self._sums[k + 1 :]
        if n < FEWEST or not len(gaps):
            return np.zeros(len(gaps), np.int8)
        mean, error = _robust(gaps, self._counts[k])
        apart = np.abs(mean) > np.maximum(SAME, error * critical(n - 1))
        return np.where(apart, -np.sign(mean), 0).astype(np.int8)

    def p(self) -> float:
        """Two-sided p of the first row's mean being zero; NaN where nothing can be told."""
        n = int(self.effective[0]) if len(self.effective) else 0
        if n < FEWEST:
            return np.nan
        mean, error = _robust(self._sums, self._counts)
        if n < LEAST:
            return 1.0 if abs(mean[0]) <= SAME else 2 * student_tail(float(np.inf if error[0] == 0 else abs(mean[0]) / error[0]), n - 1)
        share = _outside(self._drawn[:1])[0]
        if share >= 0.5:
            return 1.0
        # The resamples' tail, back on the scale of Student's t: what `tail` does, the other way round.
        return 2 * student_tail(-NormalDist().inv_cdf(share) * math.sqrt((n - 1) / n), n - 1)


def _robust(sums: Array, counts: Array) -> tuple[Array, Array]:
    """([K] means, [K] cluster-robust standard errors) of rows of sums [K, F] over counts [K, F] or [F]; NaN for less than two families."""
    tasks, families = counts.sum(axis=-1), (counts > 0).sum(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean: Array = sums.sum(axis=1) / tasks
        spread = ((sums - mean[:, None] * counts) ** 2).sum(axis=1)
        error: Array = np.sqrt(spread * families / (families - 1)) / tasks
    return mean, error


def _outside(gaps: Array) -> Array:
    """[K, B] resampled differences -> [K] share on the rarer side of zero; differences below SAME are on both."""
    below, above = (gaps <= SAME).sum(axis=1), (gaps >= -SAME).sum(axis=1)  # NaN is on neither side
    there = (~np.isnan(gaps)).sum(axis=1)
    share: Array = (1 + np.minimum(below, above)) / (there + 1)
    return share


def _signs(gaps: Array, level: float) -> NDArray[np.int8]:
    better = (gaps <= SAME).sum(axis=1) > (gaps >= -SAME).sum(axis=1)
    return np.where(_outside(gaps) <= level + 1e-12, np.where(better, 1, -1), 0).astype(np.int8)
