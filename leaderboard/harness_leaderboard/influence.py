"""What a place on the leaderboard hangs on: single dataset families, single tasks, the choice of the mean.

Axes: M models, R tasks. `ratios` [M, R] are scores over the baseline's (`aggregate.ratios`), NaN = none. A place is 1 + the number of
models with a strictly lower mean; a model without any ratio has place 0. Numpy only, no store.

Why: a geometric mean over 97 tasks gives one dataset that a model has nearly memorised (a ratio of 0.1) the weight of ten ordinary
wins, so a place can rest on a single family. Leaving out one family at a time is the jackknife (Quenouille 1956) with families as groups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness_leaderboard.aggregate import Array

__all__ = ["Disagreement", "Influence", "disagreement", "drivers", "influence", "places_of"]

Places = NDArray[np.int64]

LEAST_GAP = 5
"""Places by two means that differ by no more than this are never called a disagreement."""
SHARE_GAP = 0.15
"""…nor when they differ by no more than this share of the models."""


@dataclass(frozen=True)
class Influence:
    """A model's place by geometric mean, and the best and worst it takes when one family is left out (that family; "" = none moves it)."""

    place: int
    best: int
    worst: int
    best_without: str
    worst_without: str


@dataclass(frozen=True)
class Disagreement:
    """[M] places by geometric mean and by mean rank, and whether they are far apart."""

    by_mean: Places
    by_rank: Places
    flagged: NDArray[np.bool_]


def places_of(values: Array) -> Places:
    """[M] -> [M] places, the lowest value first, equal ones share the better place; 0 for NaN.

    >>> places_of(np.array([0.7, 0.5, np.nan, 0.7])).tolist()
    [2, 1, 0, 2]
    """
    there = ~np.isnan(values)
    place = 1 + np.searchsorted(np.sort(values[there]), values, side="left")
    return np.where(there, place, 0).astype(np.int64)


def influence(ratios: Array, families: Sequence[str]) -> list[Influence]:
    """How far each model's place moves when one dataset family is left out; one record a model.

    Args:
        ratios: [M, R] scores over the baseline's, NaN where there is none.
        families: [R] the family of each task. With a single family nothing can be left out.
    """
    there = ~np.isnan(ratios)
    logs = np.log(ratios, out=np.zeros(ratios.shape), where=there)
    names = list(dict.fromkeys(families))
    of = np.array([names.index(family) for family in families], np.int64)
    whole = places_of(_means(logs.sum(axis=1), there.sum(axis=1)))
    best, worst = whole.copy(), whole.copy()
    best_without, worst_without = [""] * len(ratios), [""] * len(ratios)
    for f, name in enumerate(names if len(names) > 1 else ()):
        kept = of != f
        place = places_of(_means(logs[:, kept].sum(axis=1), there[:, kept].sum(axis=1)))
        for m in np.flatnonzero((place > 0) & (place < best)):
            best[m], best_without[m] = place[m], name
        for m in np.flatnonzero(place > worst):
            worst[m], worst_without[m] = place[m], name
    return [Influence(int(whole[m]), int(best[m]), int(worst[m]), best_without[m], worst_without[m]) for m in range(len(ratios))]


def _means(sums: Array, counts: NDArray[np.int64]) -> Array:
    """[M] means of logs; NaN where nothing is counted."""
    means: Array = np.full(len(sums), np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def drivers(ratios: Array, model: int, reference: Array) -> Array:
    """[R] how much each task adds to the mean log ratio of a model to a reference, (log r − log ref)/R'; their sum is that mean.

    Args:
        ratios: [M, R]; scores in place of ratios give the same, as the baseline cancels.
        model: which row.
        reference: [R] another model's ratios, or ones for the baseline.

    Returns:
        [R]; below 0 the task speaks for the model, NaN where either has no positive finite value. R' counts the others.

    >>> drivers(np.array([[0.5, 2.0, np.nan]]), 0, np.ones(3)).round(3).tolist()
    [-0.347, 0.347, nan]
    """
    mine = ratios[model]
    sound = np.isfinite(mine) & (mine > 0) & np.isfinite(reference) & (reference > 0)
    out: Array = np.full(mine.shape, np.nan)
    if sound.any():
        out[sound] = (np.log(mine[sound]) - np.log(reference[sound])) / sound.sum()
    return out


def disagreement(nmean: Array, rank: Array) -> Disagreement:
    """Compare places by geometric mean [M] with places by mean rank [M]: flagged where they differ by more than max(5, 15 % of the models).

    Models without either number are not flagged and take no place. Mean ranks are fair only among models with all tasks: NaN for others.
    """
    both = ~np.isnan(nmean) & ~np.isnan(rank)
    by_mean, by_rank = places_of(np.where(both, nmean, np.nan)), places_of(np.where(both, rank, np.nan))
    allowed = max(LEAST_GAP, SHARE_GAP * int(both.sum()))
    return Disagreement(by_mean, by_rank, both & (np.abs(by_mean - by_rank) > allowed))
