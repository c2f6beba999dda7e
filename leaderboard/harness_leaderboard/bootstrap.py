"""How sure a mean over tasks is: paired bootstrap intervals, clustered by dataset family, and what follows from them.

Axes: M models, R tasks, F units, B resamples. Scores come as logs of ratios, [M, R], NaN = no score; the mean of logs is the log of the
geometric mean.

Notable choices:

- What is resampled are dataset families, since tasks of one family (frequencies and terms of the same series) rise and fall together. An
  interval over tasks would call noise a difference. Where there are fewer than six families the unit is the task, and the answer holds for
  these datasets only: with five families even a unanimous vote has a sign-test p of 0.06, so nothing could be told about new ones.
- All models see the same resamples, so differences are paired.
- Resamples are drawn by mulberry32, a small generator addressed by a counter: the page's script draws the same ones, and what it computes
  for a slice is what this module computes.
- Percentile intervals by order statistics: with B = 2,000 the bounds at 95 % are the 50th values from either end. So an interval of a
  difference leaves out 0 exactly when its two-sided p = 2·(1 + resamples on the other side)/(B + 1) is at most 0.05.

Sources: Efron and Tibshirani 1993, chapters 13 and 16; Cameron, Gelbach and Miller 2008 (few clusters); Piepho 2004 (letters).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness_leaderboard.aggregate import Array

__all__ = [
    "LEAST", "LETTERED", "LEVEL", "RESAMPLES", "SAME", "SEED", "Difference", "Units",
    "difference", "intervals", "letters", "places", "told_apart", "units_of", "weights",
]  # fmt: skip

RESAMPLES = 2000
SEED = 0
LEVEL = 0.95
LEAST = 6
"""Fewest units that are resampled."""
LETTERED = 30
"""Most models that get letters; more have too many groups to be read (121 published models: hundreds); there places serve."""
SAME = 1e-6
"""Log ratios that differ by less are equal: published files hold six or seven digits."""


@dataclass(frozen=True)
class Units:
    """What is drawn: `kind` is "family", "task" or "" (too few of either), `of` [R] the number of each task's unit, `names` [F]."""

    kind: str
    of: NDArray[np.int64]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.names)

    def sums(self, values: Array) -> Array:
        """[M, R] -> [M, F] sums over the tasks of each unit; NaN counts as 0."""
        hot = np.zeros((len(self.of), len(self.names)))
        hot[np.arange(len(self.of)), self.of] = 1.0
        total: Array = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0) @ hot
        return total


def units_of(families: Sequence[str], names: Sequence[str] = ()) -> Units:
    """What to resample for tasks of these families ([R] each; `names` are the tasks'): families, where they are few tasks, else nothing."""
    of_family: dict[str, int] = {}
    index = np.array([of_family.setdefault(family, len(of_family)) for family in families], np.int64)
    if len(of_family) >= LEAST:
        return Units("family", index, tuple(of_family))
    each = np.arange(len(families), dtype=np.int64)
    return Units("task" if len(families) >= LEAST else "", each, tuple(names or map(str, each)))


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
    """95 % intervals of the geometric means: (low [M], high [M]), NaN where too few units or scores.

    Args:
        logs: [M, R] logs of ratios; NaN is left out, as in the mean itself.
        units: what to resample, of the same R tasks.
    """
    if not units.kind:
        return np.full(len(logs), np.nan), np.full(len(logs), np.nan)
    low, high = _bounds(_resampled(logs, units))
    return np.exp(low), np.exp(high)


def _resampled(logs: Array, units: Units) -> Array:
    """[M, R] -> [M, B] the mean of logs in each resample; NaN where it drew no score."""
    drawn = weights(len(units)).T  # [F, B]
    total = units.sums(logs) @ drawn
    count = units.sums(np.isfinite(logs).astype(np.float64)) @ drawn
    means: Array = np.full(total.shape, np.nan)
    np.divide(total, count, out=means, where=count > 0)
    return means


def _bounds(means: Array) -> tuple[Array, Array]:
    """[M, B] -> the order statistics that bound the middle 95 %, NaN where fewer than LEAST resamples hold anything."""
    ordered = np.sort(means, axis=1)  # NaN last
    count = (~np.isnan(ordered)).sum(axis=1)
    rank = np.floor((1 - LEVEL) / 2 * (count + 1)).astype(np.int64)
    rows = np.arange(len(means))
    enough = rank >= 1
    low = np.where(enough, ordered[rows, np.maximum(rank - 1, 0)], np.nan)
    high = np.where(enough, ordered[rows, np.maximum(count - rank, 0) - (~enough)], np.nan)
    return low, high


@dataclass(frozen=True)
class Difference:
    """Of two models on the tasks that both have: the mean log ratio a/b, its 95 % interval and two-sided p; NaN where there is none."""

    mean: float
    low: float
    high: float
    p: float
    tasks: int


def difference(a: Array, b: Array, units: Units) -> Difference:
    """Compare two models, logs of scores [R] each, paired."""
    gap = np.where(np.isfinite(a) & np.isfinite(b), a - b, np.nan)
    there = ~np.isnan(gap)
    mean = float(gap[there].mean()) if there.any() else np.nan
    if not units.kind or len(np.unique(units.of[there])) < LEAST:
        return Difference(mean, np.nan, np.nan, np.nan, int(there.sum()))
    drawn = _resampled(gap[None, :], units)
    low, high = _bounds(drawn)
    return Difference(mean, float(low[0]), float(high[0]), float(_p(drawn)[0]), int(there.sum()))


def _p(gaps: Array) -> Array:
    """[K, B] resampled differences -> [K] two-sided p; differences below SAME are none."""
    below = (gaps <= SAME).sum(axis=1)  # NaN is on neither side
    above = (gaps >= -SAME).sum(axis=1)
    there = (~np.isnan(gaps)).sum(axis=1)
    p: Array = np.minimum(1.0, 2 * (1 + np.minimum(below, above)) / (there + 1))
    return p


def told_apart(logs: Array, units: Units) -> NDArray[np.int8]:
    """[M, M]: +1 where the row's model is better (lower) than the column's, -1 where it is worse, at 95 %; 0 where none can be told.

    Pairs are compared on the tasks that both have, each pair by itself: no correction for the number of pairs.
    """
    found = np.zeros((len(logs), len(logs)), np.int8)
    if not units.kind:
        return found
    full: NDArray[np.bool_] = np.asarray(np.isfinite(logs).all(axis=1))
    means = _resampled(logs, units)
    for i in range(len(logs)):
        quick = full & bool(full[i])
        quick[: i + 1] = False
        slow = ~full if full[i] else np.ones(len(logs), np.bool_)
        slow[: i + 1] = False
        found[i, quick] = _signs(means[i] - means[quick])
        if slow.any():
            found[i, slow] = _pairs(logs[i] - logs[slow], units)
    return found - found.T


def _pairs(gaps: Array, units: Units) -> NDArray[np.int8]:
    """[K, R] differences with gaps -> [K] signs; 0 where they touch fewer than LEAST units."""
    signs = _signs(_resampled(gaps, units))
    touched = (units.sums(np.isfinite(gaps).astype(np.float64)) > 0).sum(axis=1)
    return np.where(touched >= LEAST, signs, 0).astype(np.int8)


def _signs(gaps: Array) -> NDArray[np.int8]:
    """[K, B] resampled differences -> [K]: +1 below zero, -1 above, 0 undecided."""
    better = (gaps <= SAME).sum(axis=1) > (gaps >= -SAME).sum(axis=1)
    return np.where(_p(gaps) <= 1 - LEVEL + 1e-12, np.where(better, 1, -1), 0).astype(np.int8)


def places(apart: NDArray[np.int8], ranked: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """([M] best, [M] worst) place of each model that its comparisons allow, among those `ranked`; 0 for the others."""
    among = apart[:, ranked]
    best = 1 + (among < 0).sum(axis=1)
    worst = ranked.sum() - (among > 0).sum(axis=1)
    return np.where(ranked, best, 0), np.where(ranked, worst, 0)


def letters(apart: NDArray[np.int8], order: Sequence[int]) -> list[str]:
    """[M] letters: models that share one cannot be told apart, models that share none can. "" for those not in `order`.

    Piepho's insert-and-absorb: begin with one group of all; each pair that is told apart splits the groups that hold both; a group inside
    another is dropped. Letters follow `order` (the best model has an a); after z come aa, ab, …
    """
    position = {model: i for i, model in enumerate(order)}
    groups = [(1 << len(order)) - 1] if order else []  # sets of positions, as bits
    for i, a in enumerate(order):
        for b in (order[j] for j in range(i + 1, len(order)) if apart[a, order[j]]):
            both = (1 << i) | (1 << position[b])
            split = [group for group in groups if group & both == both]
            if split:
                parts = {group & ~(1 << k) for group in split for k in (i, position[b])}
                groups = _absorbed([group for group in groups if group & both != both], sorted(parts))
    names = {}
    # By the first model of each group, then the second, …: reading the bits from the lowest.
    for number, group in enumerate(sorted(groups, key=lambda group: f"{group:0{len(order)}b}"[::-1], reverse=True)):
        names[group] = _letter(number)
    return ["".join(_spaced([names[g] for g in names if g >> position[m] & 1])) if m in position else "" for m in range(len(apart))]


def _absorbed(kept: list[int], new: list[int]) -> list[int]:
    """Groups with the new ones that lie in no other."""
    groups = list(kept)
    for i, group in enumerate(new):
        if not any(group & other == group for other in groups) and not any(group & other == group for other in new[i + 1 :]):
            groups.append(group)
    return groups


def _letter(number: int) -> str:
    """0 is a, 25 z, 26 aa."""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("a") + rest) + text
    return text


def _spaced(names: list[str]) -> list[str]:
    return names if all(len(name) == 1 for name in names) else [" ".join(names)]
