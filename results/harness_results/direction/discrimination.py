"""Does a score rank the windows in which an event happened above those in which it did not? AUROC, its error, and AUPRC.

Axes: N windows in order of time (n that count, of them m with the event), M models, B resamples. Scores may be of any scale.

All scores are held at once, as their errors follow from ranks and resamples; `harness_results.glucose.decisions` has the same areas from
counts of rounded scores, for millions of points that come block by block.

The area under the ROC curve is the chance that a window with the event has a higher score than one without, equal scores half. 0.5 is
what a constant has. NaN where all windows, or none, have the event.

Which error to believe: DeLong's takes windows for independent, which those of horizon 1 nearly are. Windows that overlap, or scores that
hold for weeks, are not; the block bootstrap keeps what neighbours have in common. A score that is constant within years, such as a base
rate learnt for each fold, still ranks years against each other: `auroc_by_fold` compares windows of the same fold alone, where it has 0.5.

Sources: Hanley and McNeil 1982; DeLong, DeLong and Clarke-Pearson 1988; Sun and Xu 2014 (mid-ranks); Politis and Romano 1994.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.forecast import F64
from harness.statistics import normal_quantile
from harness_results.direction.inputs import counted, counted_rows, level_of
from harness_results.direction.resampling import MEAN_BLOCK, RESAMPLES, Interval, counts

__all__ = [
    "Precision",
    "auprc", "auroc", "auroc_by_fold", "bootstrap_auroc", "delong", "delong_interval", "midranks",
]  # fmt: skip


class Precision(NamedTuple):
    """Area under the precision-recall curve, beside the base rate that a constant has."""

    value: float
    base_rate: float


def midranks(values: F64) -> F64:
    """Ranks from 1 along the last axis of [..., N]; equal values share their mean.

    >>> midranks(np.array([3.0, 1, 3, 2])).tolist()
    [3.5, 1.0, 3.5, 2.0]
    """
    order = np.argsort(values, axis=-1, kind="stable")
    ordered = np.take_along_axis(values, order, axis=-1)
    n = values.shape[-1]
    along = np.broadcast_to(np.arange(n), values.shape)
    fresh = np.ones(values.shape, np.bool_)
    fresh[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    last = np.ones(values.shape, np.bool_)
    last[..., :-1] = fresh[..., 1:]
    begin = np.maximum.accumulate(np.where(fresh, along, 0), axis=-1)
    end = np.minimum.accumulate(np.where(last, along, n)[..., ::-1], axis=-1)[..., ::-1]
    ranks = np.empty(values.shape)
    np.put_along_axis(ranks, order, (begin + end) / 2 + 1, axis=-1)
    return ranks


def auroc(score: ArrayLike, outcome: ArrayLike) -> float:
    """Area under the ROC curve, [0, 1], best 1; NaN where only one class counts.

    Mann and Whitney's: (Σ ranks of windows with the event − m(m + 1)/2) / (m (n − m)).

    >>> auroc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]), auroc([0.5, 0.5, 0.5], [0, 1, 0])
    (0.75, 0.5)
    """
    s, happened = counted(score, outcome)
    m = int(happened.sum())
    others = len(s) - m
    if not m or not others:
        return float("nan")
    return float((midranks(s)[happened].sum() - m * (m + 1) / 2) / (m * others))


def auroc_by_fold(score: ArrayLike, outcome: ArrayLike, fold: ArrayLike) -> tuple[float, dict[int, float]]:
    """(area over pairs of windows of the same fold, {fold: area}); folds with one class have NaN and no pair.

    >>> auroc_by_fold([0.1, 0.1, 0.9, 0.9], [0, 0, 1, 0], [0, 0, 1, 1])
    (0.5, {0: nan, 1: 0.5})
    """
    rows, happened, keep = counted_rows([np.asarray(score)], outcome)
    groups = _whole(fold, keep)
    each, pairs = {}, {}
    for number in np.unique(groups).tolist():
        inside = groups == number
        m = int(happened[inside].sum())
        each[number], pairs[number] = auroc(rows[0][inside], happened[inside]), m * (int(inside.sum()) - m)
    total = sum(pairs.values())
    return (sum(each[f] * pairs[f] for f in each if pairs[f]) / total if total else float("nan")), each


def delong(scores: ArrayLike, outcome: ArrayLike) -> tuple[F64, F64]:
    """Areas of M models on the same windows and how they vary together: (float64 [M], covariance float64 [M, M]).

    With V10 the share of windows without the event that a window with it beats, and V01 the share of windows with it that beat one without,
    the covariance is cov(V10)/m + cov(V01)/(n − m). Both shares are differences of mid-ranks, so that it takes sorting and no pairs.

    Covariances are NaN where a class has fewer than two windows, areas where it has none.

    >>> areas, spread = delong([[0.1, 0.4, 0.35, 0.8]], [0, 0, 1, 1])  # V10 = 0.5, 1; V01 = 1, 0.5: 0.125/2 + 0.125/2
    >>> areas.tolist(), spread.tolist()
    ([0.75], [[0.125]])
    """
    rows, happened, _ = counted_rows(scores, outcome)
    m = int(happened.sum())
    others = rows.shape[1] - m
    models = len(rows)
    if not m or not others:
        return np.full(models, np.nan), np.full((models, models), np.nan)
    ranks = midranks(rows)
    beaten = (ranks[:, happened] - midranks(rows[:, happened])) / others  # V10 [M, m]
    beating = 1 - (ranks[:, ~happened] - midranks(rows[:, ~happened])) / m  # V01 [M, n − m]
    areas: F64 = beaten.mean(axis=1)
    if m < 2 or others < 2:
        return areas, np.full((models, models), np.nan)
    covariance: F64 = np.cov(beaten).reshape(models, models) / m + np.cov(beating).reshape(models, models) / others
    return areas, covariance


def delong_interval(score: ArrayLike, outcome: ArrayLike, level: float = 0.95) -> Interval:
    """The area and its interval by DeLong's variance and the normal distribution, cut off at 0 and 1.

    No bounds (NaN) where the variance is 0: of a constant, and of a score that separates the classes, about which it knows nothing.

    >>> [round(x, 3) for x in delong_interval([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])]
    [0.75, 0.057, 1.0]
    """
    reach = normal_quantile((1 + level_of(level)) / 2)
    areas, covariance = delong([np.asarray(score)], outcome)
    area, variance = float(areas[0]), float(covariance[0, 0])
    if not variance > 0:
        return Interval(area, np.nan, np.nan)
    return Interval(area, max(0.0, area - reach * variance**0.5), min(1.0, area + reach * variance**0.5))


def bootstrap_auroc(
    scores: ArrayLike,
    outcome: ArrayLike,
    *,
    time: ArrayLike | None = None,
    mean_block: float = MEAN_BLOCK,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> F64:
    """Areas of M models in each resample of the windows, float64 [M, B]; NaN in one without both classes.

    All models have the same resamples, so a row less another is the resampled difference. `percentiles` makes intervals of rows, their
    standard deviation is a standard error.

    Args:
        scores: [M, N] in order of time.
        outcome: [N].
        time: [N] whole numbers; windows of one time are drawn together, and blocks are of times. None = each window has its own, in order.
        mean_block: mean length of a block, in windows (or times) that count.

    >>> areas = bootstrap_auroc([[1, 2, 3, 4, 5, 6]], [0, 1, 0, 1, 0, 1], mean_block=2, resamples=50)
    >>> areas.shape, bool(((areas >= 0) & (areas <= 1) | np.isnan(areas)).all())
    ((1, 50), True)
    """
    rows, happened, keep = counted_rows(scores, outcome)
    found = np.full((len(rows), resamples), np.nan)
    if not rows.shape[1]:
        return found
    plans = [_Plan(row, happened) for row in rows]
    place = np.arange(rows.shape[1]) if time is None else np.unique(_whole(time, keep, "times"), return_inverse=True)[1]
    done = 0
    for often in counts(int(place.max()) + 1, resamples, mean_block, seed):  # [b, times]
        drawn = often if time is None else often[:, place]  # [b, n]
        for model, plan in enumerate(plans):
            found[model, done : done + len(drawn)] = plan.areas(drawn)
        done += len(drawn)
    return found


class _Plan:
    """The order of one model's windows by score, and what of each resample is added up along it."""

    def __init__(self, score: F64, happened: NDArray[np.bool_]) -> None:
        order = np.argsort(score, kind="stable")
        s = score[order]
        self._order, self._happened = order, happened[order].astype(np.float64)
        self._begin = np.flatnonzero(np.concatenate([[True], s[1:] != s[:-1]]))  # [U] groups of equal scores

    def areas(self, drawn: F64) -> F64:
        """[b, n] how often each window was drawn -> [b] areas."""
        total = np.add.reduceat(drawn[:, self._order], self._begin, axis=1)  # [b, U]
        hits = np.add.reduceat(drawn[:, self._order] * self._happened, self._begin, axis=1)
        misses = total - hits
        below = np.cumsum(misses, axis=1) - misses  # [b, U] those without the event and with a lower score
        won = (hits * (below + misses / 2)).sum(axis=1)
        pairs = hits.sum(axis=1) * misses.sum(axis=1)
        area: F64 = np.divide(won, pairs, out=np.full(len(drawn), np.nan), where=pairs > 0)
        return area


def auprc(score: ArrayLike, outcome: ArrayLike) -> Precision:
    """Average precision: Σ over distinct scores, falling, of (recall − recall before) · precision. [0, 1], best 1; NaN without the event.

    Not interpolated (Davis and Goadrich 2006). Compare it with the base rate, not with 0.5.

    >>> auprc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1])  # 1/2 · 1 + 1/2 · 2/3
    Precision(value=0.8333333333333333, base_rate=0.5)
    """
    s, happened = counted(score, outcome)
    if not happened.any():
        return Precision(np.nan, float(happened.mean()) if len(s) else np.nan)
    order = np.argsort(-s, kind="stable")
    ordered, hits = s[order], np.cumsum(happened[order])
    last = np.flatnonzero(np.concatenate([ordered[1:] != ordered[:-1], [True]]))  # of each group of equal scores
    found = hits[last] / hits[-1]
    precision = hits[last] / (last + 1)
    return Precision(float((np.diff(found, prepend=0.0) * precision).sum()), float(happened.mean()))


def _whole(given: ArrayLike, keep: NDArray[np.bool_], what: str = "folds") -> NDArray[np.int64]:
    """Whole numbers [N] of the windows that count."""
    groups = np.asarray(given)
    if groups.shape != keep.shape or groups.dtype.kind not in "iu":
        raise ValueError(f"{what} are {groups.dtype} of shape {groups.shape}; wanted whole numbers of shape {keep.shape}")
    return groups[keep].astype(np.int64)
