"""What of a task's results is more than chance, in a sentence.

Axes: M models, N windows in order of time, the same for all. Two questions of each model, against the base rate of the part learnt from:

* does it rank? The area under the ROC curve against 0.5, only pairs of windows of the same fold being compared, as a base rate learnt for
  each fold ranks years by itself. Its error is the larger of DeLong's and that of block-bootstrap resamples, the difference over the error
  is compared with Student's t of n / (mean block) − 1: as many blocks as there are;
* do its probabilities cost less? Log-losses against the base rate's, by Diebold and Mariano's test with Newey and West's variance.

Both questions of all models are one family: Holm's correction over 2 M p-values, so that a model is found to differ in about 5 of 100
tasks without anything to find. A model that is worse than the base rate is distinguishable too, and is said to be worse: probabilities that
move without knowing anything do cost more, so of many windows this is the usual finding.

Four scores without skill (white, slow, of two values, a sine), outcomes that overlap by h: in how many of 100 tasks any was found to rank,
after Holm's correction (standard error 1 to 1.5):

    N        h = 1    h = 5
    800      4        9
    2500     4        6

Models whose probabilities are all the same value within folds have no ranking (p = 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.forecast import F64
from harness_results.direction.calibration import log_losses
from harness_results.direction.decisions import diebold_mariano
from harness_results.direction.discrimination import auroc_by_fold, bootstrap_auroc, delong
from harness_results.direction.inputs import counted_rows
from harness_results.direction.resampling import MEAN_BLOCK, RESAMPLES, Interval, percentiles
from harness_results.direction.tails import student_tail

__all__ = ["Evidence", "evidence", "holm", "sentence"]

LEAST = 20
"""Fewest windows of either class for which a verdict is given."""


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


def holm(p: ArrayLike) -> F64:
    """Holm's step-down correction of p-values [K], float64 [K]; NaN stays NaN and is not counted (Holm 1979).

    >>> holm([0.01, 0.04, 0.03, np.nan]).round(3).tolist()  # 3 · 0.01, then 2 · 0.03, then 1 · 0.04, never falling
    [0.03, 0.06, 0.06, nan]
    """
    found = np.array(p, np.float64)
    there = np.flatnonzero(~np.isnan(found))
    order = there[np.argsort(found[there], kind="stable")]
    found[order] = np.minimum(1.0, np.maximum.accumulate(found[order] * np.arange(len(order), 0, -1)))
    return found


def evidence(
    models: Sequence[str],
    probabilities: ArrayLike,
    outcome: ArrayLike,
    base_rate: ArrayLike,
    *,
    horizon: int = 1,
    fold: ArrayLike | None = None,
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
        horizon: how many windows one forecast reaches over; blocks are at least twice as long.
        fold: int [N]; None = all windows are of one.
    """
    rows, happened, keep = counted_rows(probabilities, outcome)
    if len(models) != len(rows):
        raise ValueError(f"{len(models)} models and probabilities of {len(rows)}; wanted a row for each")
    y = happened.astype(np.float64)
    base = np.broadcast_to(np.asarray(base_rate, np.float64), keep.shape)[keep]
    group = (np.zeros(keep.shape, np.int64) if fold is None else np.asarray(fold)).reshape(keep.shape)[keep]
    block = max(mean_block, 2 * horizon)
    resampled = bootstrap_auroc(rows, y, fold=group, mean_block=block, resamples=resamples, seed=seed)
    reference = log_losses(base, y)
    found = []
    for name, p, areas in zip(models, rows, resampled, strict=True):
        area, _ = auroc_by_fold(p, y, group)
        error = _error(p, y, group, areas)
        if error > 1e-12:
            chance = 2 * student_tail(abs(area - 0.5) / error, max(1.0, len(y) / block - 1))
        else:  # a constant, or a score that separates the classes without a mistake
            chance = 1.0 if abs(area - 0.5) < 1e-12 else 0.0 if np.isfinite(area) and np.isfinite(error) else np.nan
        loss = diebold_mariano(log_losses(p, y), reference, horizon)
        found.append(Evidence(name, percentiles(area, areas, level), chance, loss.difference, loss.p, len(y), int(y.sum())))
    return found


def _error(p: F64, y: F64, group: NDArray[np.integer[Any]], areas: F64) -> float:
    """Standard error of the area over pairs within folds, from its resamples [B] and from DeLong's variance of each fold."""
    total, pairs = 0.0, 0.0
    for number in np.unique(group):
        inside = group == number
        weight = float(y[inside].sum() * (1 - y[inside]).sum())
        variance = float(delong([p[inside]], y[inside])[1][0, 0])
        total, pairs = total + (weight**2 * variance if np.isfinite(variance) else 0.0), pairs + weight
    there = areas[np.isfinite(areas)]
    resampled = float(there.std(ddof=1)) if len(there) > 1 else np.nan
    return max(resampled, total**0.5 / pairs) if pairs else np.nan


def sentence(task: str, found: Sequence[Evidence], level: float = 0.05) -> str:
    """The verdict on a task from its models' evidence.

    >>> none = Evidence("naive", Interval(0.51, 0.48, 0.54), 0.5, 0.001, 0.6, 2000, 1060)
    >>> print(sentence("direction/1d", [none]))
    direction/1d: no model is distinguishable from the base rate at 5 % (1 model, 2000 windows, base rate .530, Holm); \
the nearest is naive, AUC .510 [.480, .540], p = 1.
    >>> good = Evidence("atr", Interval(0.75, 0.73, 0.77), 1e-9, -0.04, 1e-6, 2000, 440)
    >>> print(sentence("touch/1d", [good, none]))
    touch/1d: of 2 models (2000 windows, base rate .220, Holm at 5 %), better than the base rate: atr \
(AUC .750 [.730, .770], log-loss -0.0400).
    """
    if not found:
        return f"{task}: no model has been run."
    windows, events = found[0].windows, found[0].events
    if min(events, windows - events) < LEAST:
        return f"{task}: no verdict: {windows} windows, {events} with the event; wanted at least {LEAST} with it and {LEAST} without."
    corrected = holm([p for each in found for p in (each.p_auc, each.p_loss)]).reshape(-1, 2)  # [M, 2]
    known = np.where(np.isnan(corrected), np.inf, corrected)
    ranks, costs = known[:, 0] <= level, known[:, 1] <= level
    size = f"{windows} windows, base rate {_share(events / windows)}"
    if not (ranks | costs).any():
        best = int(np.argmin(known.min(axis=1)))
        least = float(known[best].min())
        near = f"; the nearest is {found[best].model}, AUC {_area(found[best].auc)}, p = {least:.2g}" if np.isfinite(least) else ""
        many = f"{len(found)} model{'s' if len(found) > 1 else ''}"
        return f"{task}: no model is distinguishable from the base rate at {100 * level:g} % ({many}, {size}, Holm){near}."
    better: list[str] = []
    worse: list[str] = []
    mixed: list[str] = []
    for each, ranked, cost in zip(found, ranks, costs, strict=True):
        if not ranked and not cost:
            continue
        said = [(f"AUC {_area(each.auc)}", each.auc.value > 0.5)] if ranked else []
        said += [(f"log-loss {each.loss:+.4f}", each.loss < 0)] if cost else []
        good = [is_good for _, is_good in said]
        place = better if all(good) else mixed if any(good) else worse
        place.append(f"{each.model} ({', '.join(text for text, _ in said)})")
    none = [] if better or mixed else [f"no model is better than the base rate at {100 * level:g} %"]
    groups = (("better than the base rate", better), ("better in one and worse in the other", mixed), ("worse", worse))
    parts = none + [f"{what}: {', '.join(names)}" for what, names in groups if names]
    return f"{task}: of {len(found)} models ({size}, Holm at {100 * level:g} %), {'; '.join(parts)}."


def _share(value: float) -> str:
    """.530, or 1.000."""
    return f"{value:.3f}".removeprefix("0") if np.isfinite(value) else "?"


def _area(auc: Interval) -> str:
    return f"{_share(auc.value)} [{_share(auc.low)}, {_share(auc.high)}]"
