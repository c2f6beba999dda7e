"""Calls of yes or no made from probabilities: how good they are, and whether they are better than chance.

Axes: N windows in order of time. An event is called where the probability exceeds the threshold (at the threshold it is not, so that a
model without an opinion, 0.5, calls nothing). Besides 0.5, a threshold is worth something only if it was frozen on other data:
`best_threshold` finds one, `frozen_thresholds` takes for each fold that of the folds before it.

Notable choices:

* 0/0 is NaN for precision (nothing called) and recall (nothing happened); MCC is 0 where all calls, and NaN where all outcomes, are alike.
* Pesaran and Timmermann's test counts neighbours as related up to a lag (Newey and West 1987): windows of horizon h that begin a session
  apart share h − 1 of their sessions. The test of two losses is `harness.statistics.diebold_mariano`, with the same kernel.

Sources: Matthews 1975; Pesaran and Timmermann 1992; Newey and West 1987, 1994.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from harness.arithmetic import divide
from harness.forecast import F64
from harness.statistics import long_run_variance, normal_tail
from harness_results.direction.inputs import counted

__all__ = [
    "Decisions", "Timing",
    "best_threshold", "decisions", "frozen_thresholds", "pesaran_timmermann",
]  # fmt: skip


class Decisions(NamedTuple):
    """Calls at a threshold. All but `calls` (the share called) and `mcc` ([−1, 1]) are in [0, 1], best 1."""

    precision: float
    recall: float
    f1: float
    balanced_accuracy: float
    mcc: float
    accuracy: float
    calls: float


class Timing(NamedTuple):
    """Pesaran and Timmermann's test: positive if calls and outcomes agree more often than by chance; `p` is P(Z > statistic)."""

    statistic: float
    p: float
    agreement: float
    expected: float


def decisions(score: ArrayLike, outcome: ArrayLike, threshold: ArrayLike = 0.5) -> Decisions:
    """Precision, recall, F1, balanced accuracy, MCC, accuracy and the share of calls; `threshold` is a number or [N], one a window.

    With TP, FP, FN, TN: precision TP/(TP + FP), recall TP/(TP + FN), F1 2TP/(2TP + FP + FN), balanced accuracy the mean of TP/(TP + FN) and
    TN/(TN + FP), MCC (TP·TN − FP·FN)/√((TP + FP)(TP + FN)(TN + FP)(TN + FN)).

    >>> found = decisions([0.9, 0.8, 0.2, 0.1], [1, 0, 1, 0])
    >>> found.precision, found.recall, found.f1, found.balanced_accuracy, found.mcc
    (0.5, 0.5, 0.5, 0.5, 0.0)
    """
    s, happened = counted(score, outcome)
    limit, _ = counted(np.broadcast_to(np.asarray(threshold, np.float64), np.shape(outcome)), outcome)
    if not len(s):
        return Decisions(*[np.nan] * 7)
    called = s > limit
    # As floats: the product of four counts of some hundred thousand windows would be no int64.
    tp, fp = float((called & happened).sum()), float((called & ~happened).sum())
    fn, tn = float((~called & happened).sum()), float((~called & ~happened).sum())
    recall, spared = float(divide(tp, tp + fn)), float(divide(tn, tn + fp))
    size = ((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)) ** 0.5
    alike = tp + fn == 0 or tn + fp == 0
    mcc = np.nan if alike else (tp * tn - fp * fn) / size if size else 0.0
    return Decisions(
        precision=float(divide(tp, tp + fp)),
        recall=recall,
        f1=float(divide(2 * tp, 2 * tp + fp + fn)),
        balanced_accuracy=(recall + spared) / 2,
        mcc=float(mcc),
        accuracy=(tp + tn) / len(s),
        calls=(tp + fp) / len(s),
    )


def best_threshold(score: ArrayLike, outcome: ArrayLike) -> float:
    """The threshold with the highest balanced accuracy, halfway between two neighbouring scores; of several the one nearest to 0.5.

    NaN where there is nothing to choose: one class, or scores that are all the same. To be used on other windows than these.

    >>> best_threshold([0.1, 0.2, 0.6, 0.8], [0, 0, 1, 1])
    0.4
    """
    s, happened = counted(score, outcome)
    order = np.argsort(s, kind="stable")
    ordered, hits = s[order], happened[order]
    m = int(hits.sum())
    edges = np.flatnonzero(ordered[1:] != ordered[:-1])  # the last of each group of equal scores but the highest
    if not m or m == len(s) or not len(edges):
        return float("nan")
    # What lies at or below an edge is not called. Balanced accuracy rises with TN/(n − m) − FN/m, as a whole number: ties are ties.
    fn = np.cumsum(hits)[edges]
    gain = (edges + 1 - fn) * m - fn * (len(s) - m)
    best = edges[gain == gain.max()]
    middles = (ordered[best] + ordered[best + 1]) / 2
    return float(middles[np.argmin(np.abs(middles - 0.5))])


def frozen_thresholds(score: ArrayLike, outcome: ArrayLike, fold: ArrayLike, otherwise: float = 0.5) -> F64:
    """For each window the best threshold of all earlier folds, float64 [N]: what could have been known.

    `fold` int [N], numbered in order of time. The first fold, and one before which there is nothing to choose by, has `otherwise`.
    The outcomes of a fold's last h windows become known within the next fold: where that matters, leave them out (NaN).

    >>> frozen_thresholds([0.1, 0.9, 0.2, 0.8], [0, 1, 0, 1], [0, 0, 1, 1]).tolist()
    [0.5, 0.5, 0.5, 0.5]
    >>> frozen_thresholds([0.1, 0.3, 0.2, 0.8], [0, 1, 0, 1], [0, 0, 1, 1]).tolist()
    [0.5, 0.5, 0.2, 0.2]
    """
    counted(score, outcome)
    s, y, groups = np.asarray(score, np.float64), np.asarray(outcome, np.float64), np.asarray(fold)
    if groups.shape != y.shape:
        raise ValueError(f"folds of shape {groups.shape} and outcomes of shape {y.shape}; wanted [N] of both")
    found = np.full(len(y), float(otherwise))
    for number in np.unique(groups)[1:].tolist():
        earlier = groups < number
        limit = best_threshold(s[earlier], y[earlier])
        found[groups == number] = otherwise if np.isnan(limit) else limit
    return found


def pesaran_timmermann(called: ArrayLike, outcome: ArrayLike, lags: int = 0) -> Timing:
    """Do calls agree with outcomes more often than calls and outcomes as frequent, but unrelated, would?

    With shares P of agreement, Px of calls, Py of events: P* = Px Py + (1 − Px)(1 − Py), and (P − P*)/√(V(P) − V(P*)), where
    V(P) = P*(1 − P*)/n and V(P*) = ((2Py − 1)² Px(1 − Px) + (2Px − 1)² Py(1 − Py))/n + 4 Px Py (1 − Px)(1 − Py)/n². Normal.

    With `lags` above 0, for windows that overlap: the t of outcomes regressed on calls, with Newey and West's variance.

    Args:
        called: [N] of 1 and 0, or bool: of a probability give `p > threshold`.
        lags: 0, or `lags_for(n, h)`.

    NaN where all calls, or all outcomes, are alike: nothing was timed.

    >>> found = pesaran_timmermann([1, 1, 1, 0, 0, 0], [1, 1, 0, 0, 0, 1])  # P = 4/6, P* = ½; (1/6) / √(1/24 − 1/144)
    >>> round(found.statistic, 4), round(found.p, 4)
    (0.8944, 0.1855)
    """
    x, happened = counted(called, outcome)
    y, n = happened.astype(np.float64), len(x)
    if lags < 0:
        raise ValueError(f"lags is {lags}; wanted 0 or more")
    if ((x != 0) & (x != 1)).any():
        raise ValueError("calls are other numbers than 0 and 1; of probabilities give p > threshold")
    if n < 2 or len(np.unique(x)) < 2 or len(np.unique(y)) < 2:
        return Timing(np.nan, np.nan, float((x == y).mean()) if n else np.nan, np.nan)
    px, py = x.mean(), y.mean()
    agreement, expected = float((x == y).mean()), float(px * py + (1 - px) * (1 - py))
    if lags:
        slope = (x - px) @ (y - py) / (n * px * (1 - px))
        moments = (x - px) * (y - py - slope * (x - px))  # their mean is 0
        variance = long_run_variance(moments, min(lags, n - 1)) / (n * (px * (1 - px)) ** 2)
        gap = slope
    else:
        own = ((2 * py - 1) ** 2 * px * (1 - px) + (2 * px - 1) ** 2 * py * (1 - py)) / n
        variance = expected * (1 - expected) / n - own - 4 * px * py * (1 - px) * (1 - py) / n**2
        gap = agreement - expected
    if not variance > 1e-15:
        return Timing(np.nan, np.nan, agreement, expected)
    z = float(gap / variance**0.5)
    return Timing(z, normal_tail(z), agreement, expected)
