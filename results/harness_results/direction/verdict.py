"""What of a task's results is more than chance, in a sentence.

Axes: M models, N windows in order of time, the same for all. Two questions of each model, against the base rate of the part learnt from:

* does it rank? The area under the ROC curve over all pairs of windows against 0.5. Its error is the largest of DeLong's, that of resamples
  in blocks, and that of leaving out one fold after the other. The difference over the error is compared with Student's t of as many degrees
  of freedom as there are blocks, or, where the folds' error is the largest, folds, less 1;
* do its probabilities cost less? Log-losses against the base rate's, by Diebold and Mariano's test with Newey and West's variance.

Both questions of all models are one family: Holm's correction over 2 M p-values, so that a model is found to differ in about 5 of 100
tasks without anything to find. A model that is worse than the base rate is distinguishable too, and is said to be worse: probabilities that
move without knowing anything do cost more, so of many windows this is the usual finding.

Pairs of windows of one fold alone would not do. A score that follows the price, as momentum does, ranks low what rose within the same year,
so that its area within years is below 0.5 on a random walk: .464 for a year's momentum and h = 1, .425 for h = 5.

On made prices without anything to find (random walks whose volatility moves, 13 or 4 test years; 100 of each, error 2 to 5), in how
many of 100 a score was found to rank, at 5 % each:

    score                                h = 1, 13 years    h = 5, 13 years    h = 1, 4 years    h = 5, 4 years
    white noise                                  3                  5                  4                 4
    slow noise                                   2                  3                  5                 5
    range of 14 sessions                         4                  7                  6                12
    momentum of a year                           2                  9                  9                19
    the price itself                            13                 25                 17                45
    any of the first four, after Holm            2                  8                 10                14

So a score that is the level of a price needs more than this test, and of few years with overlapping horizons 5 % is 5 % in name.

Several series have windows at the same times, and what moves all of them on a day is one observation, not as many as there are series.
Given `time`, losses are averaged per time before they are tested, resamples draw times with all their windows, horizons and degrees of
freedom are counted in times, and DeLong's error, which takes windows for independent, is left out. Without enough times that series share
(`shared`) no test has an answer.

A model whose probabilities are nearly the same within folds (`calibration.collapse` of what is left when each fold's mean is taken away)
says nothing of a day, and has p = 1: what it learns anew each year ranks years.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.forecast import F64
from harness.statistics import diebold_mariano, holm, student_tail
from harness_results.direction.calibration import collapse, log_losses
from harness_results.direction.discrimination import auroc, bootstrap_auroc, delong
from harness_results.direction.inputs import counted_rows
from harness_results.direction.resampling import MEAN_BLOCK, RESAMPLES, Interval, percentiles

__all__ = ["LEAST_TIMES", "Evidence", "evidence", "less_means", "sentence", "shared"]

FEW = 5
"""Fewest folds of which leaving one out tells an error."""

LEAST = 20
"""Fewest windows of either class for which a verdict is given."""
LEAST_TIMES = 40
"""Fewest times for which one is given on several series: as many as there are windows at least of one."""

KINDS = BETTER, MIXED_RANKING, MIXED_LOSS, WORSE = (
    "better than the base rate",
    "better in ranking, worse in log-loss",
    "better in log-loss, worse in ranking",
    "worse",
)


@dataclass(frozen=True)
class Evidence:
    """Of one model: area with interval and p, mean log-loss less the base rate's and p; NaN where a test has no answer.

    `windows` are those that count, `events` those of them with the event.
    """

    model: str
    auc: Interval
    p_auc: float
    loss: float
    p_loss: float
    windows: int
    events: int


def evidence(
    models: Sequence[str],
    probabilities: ArrayLike,
    outcome: ArrayLike,
    base_rate: ArrayLike,
    *,
    horizon: int = 1,
    fold: ArrayLike | None = None,
    time: ArrayLike | None = None,
    mean_block: float = MEAN_BLOCK,
    resamples: int = RESAMPLES,
    seed: int = 0,
    level: float = 0.95,
) -> list[Evidence]:
    """Put both questions to each model.

    Args:
        models: M names.
        probabilities: [M, N].
        outcome: [N].
        base_rate: a number or [N], of the part that was learnt from.
        horizon: how many windows (given `time`: times) one forecast reaches over; blocks are at least twice as long.
        fold: int [N]; None = all windows are of one.
        time: int [N], rising, which time each window is of, where there are several series; None = one series, each window has its own.
    """
    rows, happened, keep = counted_rows(probabilities, outcome)
    if len(models) != len(rows):
        raise ValueError(f"{len(models)} models and probabilities of {len(rows)}; wanted a row for each")
    y = happened.astype(np.float64)
    base = np.broadcast_to(np.asarray(base_rate, np.float64), keep.shape)[keep]
    group = (np.zeros(keep.shape, np.int64) if fold is None else np.asarray(fold)).reshape(keep.shape)[keep]
    block = max(mean_block, 2 * horizon)
    when = None if time is None else np.unique(np.asarray(time).reshape(keep.shape)[keep], return_inverse=True)[1]
    resampled = bootstrap_auroc(rows, y, time=when, mean_block=block, resamples=resamples, seed=seed)
    reference = _per_time(log_losses(base, y), when)
    found = []
    for name, p, areas in zip(models, rows, resampled, strict=True):
        area = auroc(p, y)
        error, freedom = _error(p, y, group, areas, len(reference) / block - 1, independent=when is None)
        if np.isfinite(area) and collapse(less_means(p, group)).collapsed:
            chance = 1.0
        elif error > 1e-12:
            chance = 2 * student_tail(abs(area - 0.5) / error, max(1.0, freedom))
        else:  # a score that separates the classes without a mistake
            chance = 0.0 if np.isfinite(area) and np.isfinite(error) else np.nan
        loss = diebold_mariano(_per_time(log_losses(p, y), when), reference, horizon)
        found.append(Evidence(name, percentiles(area, areas, level), chance, loss.difference, loss.p, len(y), int(y.sum())))
    return found


def shared(channel: ArrayLike, time: ArrayLike) -> bool:
    """Whether windows [N] of several series can be tested: most stand at times that series share, and there are `LEAST_TIMES` of those.

    Series that each have times of their own, as recordings of different years, are neither independent nor a panel that one could know
    from that.

    >>> days = np.arange(50)
    >>> shared(np.repeat([0, 1], 50), np.tile(days, 2)), shared(np.repeat([0, 1], 50), np.concatenate([days, days + 50]))
    (True, False)
    """
    pairs = np.unique(np.stack([np.asarray(time, np.int64), np.asarray(channel, np.int64)]), axis=1)
    count = np.unique(pairs[0], return_counts=True)[1]
    return int((count > 1).sum()) >= LEAST_TIMES and 2 * int(count[count > 1].sum()) >= int(count.sum())


def _per_time(values: F64, when: NDArray[np.int64] | None) -> F64:
    """Means of values [N] over the windows of each time [T]; as they are where each window has its own."""
    return values if when is None else np.bincount(when, values) / np.bincount(when)


def less_means(p: F64, fold: NDArray[np.integer[Any]]) -> F64:
    """Probabilities [N], each less the mean of its fold: what a model says of days, without what it says of years.

    >>> less_means(np.array([0.5, 0.6, 0.8]), np.array([0, 0, 1])).round(2).tolist()
    [-0.05, 0.05, 0.0]
    """
    each = np.unique(fold, return_inverse=True)[1]
    count = np.bincount(each)
    return p - (np.bincount(each, p) / count)[each] if len(p) else p


def _error(p: F64, y: F64, group: NDArray[np.integer[Any]], areas: F64, blocks: float, *, independent: bool = True) -> tuple[float, float]:
    """(standard error of the area, degrees of freedom): the largest of that of the resamples [B], DeLong's, and the folds' jackknife.

    DeLong's is left out where windows are known to be not `independent`.
    """
    there = areas[np.isfinite(areas)]
    near = float(there.std(ddof=1)) if len(there) > 1 else np.nan
    near = max(near, float(delong([p], y)[1][0, 0]) ** 0.5) if independent else near
    folds = np.unique(group)
    left = np.array([auroc(p[group != fold], y[group != fold]) for fold in folds]) if len(folds) >= FEW else np.empty(0)
    left = left[np.isfinite(left)]
    apart = float(((len(left) - 1) / len(left) * ((left - left.mean()) ** 2).sum()) ** 0.5) if len(left) >= FEW else 0.0
    return (apart, len(left) - 1.0) if apart > near else (near, blocks)


def sentence(found: Sequence[Evidence], level: float = 0.05, *, apart: bool = False, details: bool = True) -> str:
    """The verdict on a task from its models' evidence.

    Args:
        apart: of several series without times in common (`shared`), so there is none.
        details: with numbers of windows, areas and losses.

    >>> none = Evidence("naive", Interval(0.51, 0.48, 0.54), 0.5, 0.001, 0.6, 2000, 1060)
    >>> print(sentence([none]))
    no model is distinguishable from the base rate at 5 % (1 model, 2000 windows, base rate .530, Holm; the nearest is naive, \
AUC .510 [.480, .540], p = 1).
    >>> good = Evidence("atr", Interval(0.75, 0.73, 0.77), 1e-9, -0.04, 1e-6, 2000, 440)
    >>> print(sentence([good, none]))
    of 2 models (2000 windows, base rate .220, Holm at 5 %), better than the base rate: atr (AUC .750 [.730, .770], log-loss -0.0400).
    >>> print(sentence([good, none], details=False))
    of 2 models, better than the base rate: atr.
    """

    def bracket(text: str) -> str:
        return f" ({text})" if details else ""

    if not found:
        return "no model has been run."
    windows, events = found[0].windows, found[0].events
    if min(events, windows - events) < LEAST:
        return f"no verdict: {windows} windows, {events} with the event; wanted at least {LEAST} with it and {LEAST} without."
    if apart:
        return (
            f"no verdict: {windows} windows of several series without common dates; wanted {LEAST_TIMES} dates that series share, "
            f"and most windows at those."
        )
    corrected = holm([p for each in found for p in (each.p_auc, each.p_loss)]).reshape(-1, 2)  # [M, 2]
    known = np.where(np.isnan(corrected), np.inf, corrected)
    ranks, costs = known[:, 0] <= level, known[:, 1] <= level
    size = f"{windows} windows, base rate {_share(events / windows)}"
    many = f"{len(found)} model{'s' if len(found) > 1 else ''}"
    if not (ranks | costs).any():
        best = int(np.argmin(known.min(axis=1)))
        least = float(known[best].min())
        near = f"; the nearest is {found[best].model}, AUC {_area(found[best].auc)}, p = {least:.2g}" if np.isfinite(least) else ""
        return f"no model is distinguishable from the base rate at {100 * level:g} %{bracket(f'{many}, {size}, Holm{near}')}."
    groups: dict[str, list[str]] = {}
    for each, ranked, cost in zip(found, ranks, costs, strict=True):
        said = [(f"AUC {_area(each.auc)}", each.auc.value > 0.5)] if ranked else []
        said += [(f"log-loss {each.loss:+.4f}", each.loss < 0)] if cost else []
        if said:
            numbers = ", ".join(text for text, _ in said)
            groups.setdefault(_kind([good for _, good in said]), []).append(each.model + bracket(numbers))
    none = [f"no model is better than the base rate at {100 * level:g} %"] if set(groups) == {WORSE} else []
    parts = none + [f"{what}: {', '.join(groups[what])}" for what in KINDS if what in groups]
    return f"of {many}{bracket(f'{size}, Holm at {100 * level:g} %')}, {'; '.join(parts)}."


def _kind(good: Sequence[bool]) -> str:
    """What a model is, of which one answer or two are known to be good or not; of two, ranking comes first."""
    if all(good):
        return BETTER
    return (MIXED_RANKING if good[0] else MIXED_LOSS) if any(good) else WORSE


def _share(value: float) -> str:
    """.530, or 1.000."""
    return f"{value:.3f}".removeprefix("0") if np.isfinite(value) else "?"


def _area(auc: Interval) -> str:
    return f"{_share(auc.value)} [{_share(auc.low)}, {_share(auc.high)}]"
