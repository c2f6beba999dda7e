"""Low and high glucose as events: how probable quantiles make them, and whether they happened, at points and in nights.

mg/dL; axes N windows or nights, Q quantile levels, H horizon, T steps of a night. A label is 1, 0, or NaN where it is not known.

Thresholds: below 70 (level 1) and below 54 (level 2) is hypoglycaemia, above 180 hyperglycaemia (Battelino et al. 2019). The
nocturnal protocol has 3.9 mmol/L, in mg/dL `NOCTURNAL`; a reading of 70 is below that and not below 70.

>>> quantiles = np.array([[[60.0], [80.0], [100.0]]])  # [N, Q, H]
>>> probability_below(quantiles, [0.1, 0.5, 0.9], 70.0).round(9).tolist()
[[0.3]]
>>> below([[69.0, 70.0, np.nan]], 70.0).tolist()
[[1.0, 0.0, nan]]
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from harness.forecast import F64
from harness_results.glucose.arrays import Bool

__all__ = [
    "HYPER",
    "HYPO",
    "NOCTURNAL",
    "above",
    "below",
    "episode_above",
    "episode_below",
    "in_episode",
    "minimum_below",
    "night_score",
    "probability_above",
    "probability_below",
    "run_length",
]

HYPO, HYPER = (70.0, 54.0), 180.0
NOCTURNAL = 70.2
"""3.9 mmol/L by the factor 18. By 18.0182 it is 70.27, which no whole number and no tenth of a mmol/L tells from it."""


def probability_below(quantiles: ArrayLike, levels: ArrayLike, threshold: float) -> F64:
    """P(glucose < threshold) at each step, float64 [N, H], from quantiles [N, Q, H] at rising levels [Q]; crossings are sorted first.

    NaN where a quantile is NaN. Between two quantiles the distribution is a straight line; outside them it stays at the lowest or the
    highest level, as in the nocturnal protocol (not the exponential tails of `harness.events`): with deciles nothing is less probable than
    0.1 or more probable than 0.9. Equal quantiles are a step: only the levels that lie strictly below the threshold count.

    >>> two = np.array([[[80.0, 100.0], [90.0, 100.0]]])  # [N, Q, H], a point forecast at the second step
    >>> probability_below(two, [0.1, 0.9], 70.0).tolist()
    [[0.1, 0.1]]

    Raises:
        ValueError: shapes that do not fit, levels that do not rise within 0 and 1.
    """
    values, at = _quantiles(quantiles, levels)
    return _clamped(values, at, threshold, inclusive=False)


def probability_above(quantiles: ArrayLike, levels: ArrayLike, threshold: float) -> F64:
    """P(glucose > threshold) at each step, float64 [N, H]; all else as in `probability_below`.

    >>> probability_above(np.array([[[150.0], [190.0]]]), [0.1, 0.9], 180.0).round(12).tolist()
    [[0.3]]
    """
    values, at = _quantiles(quantiles, levels)
    return 1.0 - _clamped(values, at, threshold, inclusive=True)


def _quantiles(quantiles: ArrayLike, levels: ArrayLike) -> tuple[F64, F64]:
    """Checked, rising along Q."""
    values, at = np.asarray(quantiles, np.float64), np.asarray(levels, np.float64)
    if values.ndim != 3 or at.shape != values.shape[1:2] or not len(at):
        raise ValueError(f"got quantiles of shape {values.shape} and levels of shape {at.shape}; wanted [N, Q, H] and [Q], Q at least 1")
    if not (np.all(np.diff(at) > 0) and at[0] > 0 and at[-1] < 1):
        raise ValueError(f"got levels {at.tolist()}; wanted rising numbers between 0 and 1")
    return values if np.all(values[:, 1:] >= values[:, :-1]) else np.sort(values, axis=1), at


def _clamped(values: F64, levels: F64, threshold: float, inclusive: bool) -> F64:
    """P(< threshold), or P(≤ threshold) where inclusive, [N, H]."""
    lower = (values <= threshold) if inclusive else (values < threshold)  # [N, Q, H]
    count = lower.sum(axis=1)  # [N, H]
    low, high = np.maximum(count - 1, 0), np.minimum(count, len(levels) - 1)
    a = np.take_along_axis(values, low[:, None], axis=1)[:, 0]
    b = np.take_along_axis(values, high[:, None], axis=1)[:, 0]
    inside = (low < high) & (count > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.where(inside, (threshold - a) / np.where(inside, b - a, 1.0), 0.0)
    chance = levels[low] + part * (levels[high] - levels[low])
    return np.where(np.isnan(values).any(axis=1), np.nan, chance)


def below(values: ArrayLike, threshold: float) -> F64:
    """Label of each point, any shape: 1 where glucose < threshold, 0 where not, NaN where it is NaN."""
    g = np.asarray(values, np.float64)
    return np.where(np.isnan(g), np.nan, g < threshold)


def above(values: ArrayLike, threshold: float) -> F64:
    """Label of each point, any shape: 1 where glucose > threshold, 0 where not, NaN where it is NaN.

    >>> above([180.0, 181.0], 180.0).tolist()
    [0.0, 1.0]
    """
    g = np.asarray(values, np.float64)
    return np.where(np.isnan(g), np.nan, g > threshold)


def run_length(step_minutes: float, minutes: float = 15.0) -> int:
    """How many consecutive readings last so many minutes, each standing for one step: 3 at 5 minutes, 1 at 15.

    >>> run_length(5), run_length(10), run_length(15), run_length(60)
    (3, 2, 1, 1)

    Raises:
        ValueError: a step or a time that is not above 0.
    """
    if not (step_minutes > 0 and minutes > 0):
        raise ValueError(f"got a step of {step_minutes} minutes and an episode of {minutes}; wanted numbers above 0")
    return max(1, int(np.ceil(minutes / step_minutes - 1e-9)))


def in_episode(nights: ArrayLike, threshold: float, step_minutes: float, minutes: float = 15.0, above: bool = False) -> Bool:
    """Which steps of nights [N, T] belong to an episode of glucose < threshold, with `above` > threshold.

    An episode begins with readings that are low for at least so many minutes (`run_length` of them, none missing). It ends with the last
    low reading before as many minutes without one, in range or missing: a reading in between that is not low, or not there, ends nothing.
    What is low for a shorter time and outside every episode belongs to none. Source: Battelino et al. 2023, Lancet Diabetes Endocrinol
    11:42, which says nothing of missing readings.

    >>> in_episode([[60, 60, 80, 60, 60, 60, 80, np.nan, 60, 80, 80, 80, 60]], 70.0, step_minutes=5).astype(int).tolist()
    [[0, 0, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]]

    Raises:
        ValueError: not [N, T].
    """
    array = _nights(nights)
    low = array > threshold if above else array < threshold
    least, at = run_length(step_minutes, minutes), np.arange(low.shape[1])
    begun = _lasting(low, least)
    later = np.logical_or.accumulate(low[:, ::-1], axis=1)[:, ::-1]  # whether a low reading is to come
    joined = ~_lasting(~low, least) & later
    heads = joined.copy()
    heads[:, 1:] &= ~joined[:, :-1]
    head, sure = (np.maximum.accumulate(np.where(mark, at, -1), axis=1) for mark in (heads, begun))  # [N, T] the newest such step
    inside: Bool = joined & (sure >= head) & (sure >= 0)
    return inside


def _lasting(marks: Bool, least: int) -> Bool:
    """Which steps of [N, T] lie in a run of at least so many True."""
    n, length = marks.shape
    if length < least:
        return np.zeros((n, length), np.bool_)
    total = np.zeros((n, length + 1), np.int64)
    np.cumsum(marks, axis=1, out=total[:, 1:])
    whole = total[:, least:] - total[:, :-least] == least  # [N, T − least + 1]: whether all steps from here on are marked
    edges = np.zeros((n, length + 1), np.int64)
    edges[:, : length - least + 1] += whole
    edges[:, least:] -= whole
    return np.cumsum(edges[:, :length], axis=1) > 0


def episode_below(nights: ArrayLike, threshold: float, step_minutes: float, minutes: float = 15.0, least: float = 0.7) -> F64:
    """Label of each night [N, T] -> [N]: 1 if it has an episode (`in_episode`), the consensus' definition of a hypoglycaemic event.

    Without one it is 0 if at least the share `least` of its readings is there, else NaN: an episode may have gone unseen. An episode that
    was seen is 1 however much is missing. 0.7 is the consensus' least share of readings.

    >>> nan = np.nan
    >>> episode_below([[60, 60, 60, 90], [60, 60, 90, 60], [60, 60, nan, nan], [60, 60, 60, nan]], 70.0, 5.0).tolist()
    [1.0, 0.0, nan, 1.0]
    """
    return _label(in_episode(nights, threshold, step_minutes, minutes), _nights(nights), least)


def episode_above(nights: ArrayLike, threshold: float, step_minutes: float, minutes: float = 15.0, least: float = 0.7) -> F64:
    """Label of each night [N, T] -> [N]: whether it has an episode of readings > threshold; all else as in `episode_below`.

    >>> episode_above([[190, 190, 190, 90], [190, 190, 180, 190]], 180.0, 5.0).tolist()
    [1.0, 0.0]
    """
    return _label(in_episode(nights, threshold, step_minutes, minutes, above=True), _nights(nights), least)


def minimum_below(nights: ArrayLike, threshold: float = NOCTURNAL, least: float = 0.7) -> F64:
    """Label of each night [N, T] -> [N]: 1 if its lowest reading is < threshold, as in the nocturnal protocol; else as in `episode_below`.

    One low reading is enough, so it is 1 wherever the consensus' definition is, and more often.

    >>> minimum_below([[60.0, 90.0], [90.0, 90.0], [90.0, np.nan]]).tolist()
    [1.0, 0.0, nan]
    """
    array = _nights(nights)
    return _label(array < threshold, array, least)


def night_score(probability: ArrayLike) -> F64:
    """Score of each night [N] from the probabilities of its steps [N, H]: the highest.

    It ranks nights and is no probability of an episode, which depends on how the steps depend on each other: use it with AUROC and AUPRC.

    >>> night_score([[0.1, 0.4], [0.3, 0.3]]).tolist()
    [0.4, 0.3]

    Raises:
        ValueError: not [N, H], no step.
    """
    chance = _nights(probability)
    if chance.shape[1] == 0:
        raise ValueError("got nights of 0 steps; wanted at least one")
    score: F64 = chance.max(axis=1)
    return score


def _nights(values: ArrayLike) -> F64:
    array = np.asarray(values, np.float64)
    if array.ndim != 2:
        raise ValueError(f"got an array of shape {array.shape}; wanted [N, T], a row for each night")
    return array


def _label(low: Bool, nights: F64, least: float) -> F64:
    """Labels [N] of nights [N, T] from which of their steps count, bool [N, T]."""
    seen = (~np.isnan(nights)).sum(axis=1) >= max(least * nights.shape[1], 1.0) - 1e-9
    return np.where(low.any(axis=1), 1.0, np.where(seen, 0.0, np.nan))
