"""How well scores tell events from the rest: AUROC, AUPRC, alarms at a threshold and how to pick it, Brier score.

Axes: any shape of labels (1 happened, 0 did not, NaN not known: left out) and scores, a higher one meaning more probable. A score that is
NaN where the label is known is an error, as leaving it out would spare the model its hardest cases.

All but the Brier score follow from counts per distinct score (`score_counts`), which can be merged. Scores are not rounded.
`harness_results.direction.discrimination` has the same areas from all scores at once, for their errors: it needs their ranks, and holds
thousands of windows, where there are millions of points here.

>>> counts = score_counts([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
>>> auroc(counts), round(auprc(counts), 4), base_rate(counts)
(0.75, 0.8333, 0.5)
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from harness.arithmetic import divide
from harness.forecast import F64
from harness_results.glucose.arrays import Sums, complete, grouped, pair

__all__ = [
    "Confusion",
    "ScoreCounts",
    "auprc",
    "auroc",
    "base_rate",
    "brier",
    "brier_sums",
    "choose_threshold",
    "confusion",
    "discrimination",
    "merge",
    "rates",
    "score_counts",
]


class ScoreCounts(NamedTuple):
    """Distinct scores, falling, and how many cases with each of them had the event or did not; float64 [K] each."""

    score: F64
    yes: F64
    no: F64


class Confusion(NamedTuple):
    """Cases with an alarm or without, and the event or not."""

    true_alarm: float
    false_alarm: float
    missed: float
    quiet: float


def score_counts(label: ArrayLike, score: ArrayLike) -> ScoreCounts:
    """Count labels (1, 0, NaN) and scores of one shape.

    Raises:
        ValueError: two shapes, labels other than 1, 0 and NaN, a score that is NaN where the label is known.
    """
    y, s, known = pair(label, score)
    complete(known, s, "telling events from the rest")
    y, s = y[known], s[known]
    if not np.isin(y, (0.0, 1.0)).all():
        raise ValueError(f"got a label {y[~np.isin(y, (0.0, 1.0))][0]:g}; wanted 1 (it happened), 0 (it did not) or NaN (not known)")
    return _counts(s, y, 1.0 - y)


def merge(a: ScoreCounts, b: ScoreCounts) -> ScoreCounts:
    """The counts of both.

    >>> merge(score_counts([1], [0.5]), score_counts([0, 1], [0.5, 0.7])).yes.tolist()
    [1.0, 1.0]
    """
    return _counts(np.concatenate([a.score, b.score]), np.concatenate([a.yes, b.yes]), np.concatenate([a.no, b.no]))


def _counts(score: F64, yes: F64, no: F64) -> ScoreCounts:
    distinct, of = np.unique(score, return_inverse=True)
    of, k = of.reshape(-1), len(distinct)
    hits, others = (np.bincount(of, cases, k).astype(np.float64)[::-1] for cases in (yes, no))
    return ScoreCounts(distinct[::-1], hits, others)


def base_rate(counts: ScoreCounts) -> float:
    """Share of cases with the event; the AUPRC of scores that know nothing. NaN without cases."""
    yes, no = counts.yes.sum(), counts.no.sum()
    return float(divide(yes, yes + no))


def auroc(counts: ScoreCounts) -> float:
    """Share of pairs of an event and a non-event in which the event has the higher score, equal scores counted half (Mann and Whitney's U).

    Range [0, 1], best 1, ½ knows nothing. NaN unless both kinds are there. Ranks alone count: any rising function of the scores has the
    same.

    >>> auroc(score_counts([1, 0, 0], [0.5, 0.5, 0.2]))
    0.75
    """
    yes, no = counts.yes, counts.no
    lower = no.sum() - np.cumsum(no)  # [K] non-events with a lower score
    return float(divide((yes * (lower + 0.5 * no)).sum(), yes.sum() * no.sum()))


def auprc(counts: ScoreCounts) -> float:
    """Average precision: the mean over events of the share of events among the cases with at least its score, without interpolation.

    Range (0, 1], best 1; `base_rate` is what scores that know nothing get, so it must stand beside it. NaN without an event. The same as
    scikit-learn's `average_precision_score`.

    >>> auprc(score_counts([1, 0, 1], [0.9, 0.8, 0.7])) == (1 + 2 / 3) / 2
    True
    """
    hits, alarms = np.cumsum(counts.yes), np.cumsum(counts.yes + counts.no)
    return float(divide((counts.yes * divide(hits, alarms)).sum(), counts.yes.sum()))


def discrimination(counts: ScoreCounts) -> dict[str, float]:
    """AUROC, AUPRC, base rate, AUPRC − base rate, and n, the cases with a known label."""
    base, area = base_rate(counts), auprc(counts)
    return {"AUROC": auroc(counts), "AUPRC": area, "base rate": base, "AUPRC gain": area - base, "n": float((counts.yes + counts.no).sum())}


def confusion(counts: ScoreCounts, threshold: float) -> Confusion:
    """Alarms are the cases whose score is at least the threshold.

    >>> confusion(score_counts([1, 1, 0, 0], [0.9, 0.2, 0.6, 0.1]), 0.6)
    Confusion(true_alarm=1.0, false_alarm=1.0, missed=1.0, quiet=1.0)
    """
    alarm = counts.score >= threshold
    yes, no = float(counts.yes[alarm].sum()), float(counts.no[alarm].sum())
    return Confusion(yes, no, float(counts.yes.sum()) - yes, float(counts.no.sum()) - no)


def rates(found: Confusion) -> dict[str, float]:
    """Shares of cases, each in [0, 1], best 1; NaN where there is nothing to be a share of.

    sensitivity: events with an alarm; specificity: non-events without; PPV: alarms with an event; NPV: quiet cases without; F1: the
    harmonic mean of PPV and sensitivity, 2·true alarms / (alarms + events).

    >>> rates(Confusion(3, 1, 1, 5))
    {'sensitivity': 0.75, 'specificity': 0.8333333333333334, 'PPV': 0.75, 'NPV': 0.8333333333333334, 'F1': 0.75}
    """
    hit, false, missed, quiet = found
    shares = {
        "sensitivity": (hit, hit + missed),
        "specificity": (quiet, quiet + false),
        "PPV": (hit, hit + false),
        "NPV": (quiet, quiet + missed),
        "F1": (2 * hit, 2 * hit + false + missed),
    }
    return {name: float(divide(*share)) for name, share in shares.items()}


def choose_threshold(counts: ScoreCounts, rule: str = "F1", least: float = 0.8) -> float:
    """The threshold for alarms, one of the scores, picked on data other than those it is then judged on: on the same, it flatters.

    Of equally good ones the highest is taken: it has the fewest alarms.

    * "F1": the highest F1.
    * "youden": the highest sensitivity + specificity.
    * "sensitivity": the highest threshold whose sensitivity is at least `least`.

    >>> choose_threshold(score_counts([1, 0, 1, 0, 0], [0.9, 0.8, 0.7, 0.3, 0.1]))
    0.7
    >>> choose_threshold(score_counts([1, 0, 1, 0, 0], [0.9, 0.8, 0.7, 0.3, 0.1]), "sensitivity", 0.5)
    0.9

    Raises:
        ValueError: another rule, a share outside (0, 1], or not both kinds of cases.
    """
    if rule not in ("F1", "youden", "sensitivity") or not 0 < least <= 1:
        raise ValueError(f"got the rule {rule!r} with a share of {least}; wanted F1, youden or sensitivity and a share above 0, at most 1")
    yes, no = counts.yes.sum(), counts.no.sum()
    if not (yes and no):
        raise ValueError(f"got {yes:g} events and {no:g} cases without one to pick a threshold on; wanted some of both")
    hits, false = np.cumsum(counts.yes), np.cumsum(counts.no)  # alarms if the threshold is this score
    if rule == "sensitivity":
        good = hits >= least * yes * (1 - 1e-12)  # the last one always is
    else:
        # Judged in whole numbers, as quotients that are equal may differ in their last bit.
        value = hits / (hits + false + yes) if rule == "F1" else hits * no - false * yes
        good = value >= value.max() - 1e-12 * abs(value.max())
    return float(counts.score[np.argmax(good)])


def brier_sums(label: ArrayLike, probability: ArrayLike, group: ArrayLike | None = None, groups: int | None = None) -> Sums:
    """The sums [P] of `brier`, of labels (1, 0, NaN) and probabilities of one shape [N, ...]; group int [N], groups P (`arrays.grouped`).

    Raises:
        ValueError: two shapes, a probability that is NaN where the label is known, or outside [0, 1].
    """
    y, p, known = pair(label, probability)
    complete(known, p, "the Brier score")
    if np.any((p < 0) | (p > 1)):
        raise ValueError(f"got the probability {p[(p < 0) | (p > 1)][0]:g}; wanted numbers from 0 to 1")
    return {"n": grouped(known, group, groups), "square": grouped(np.where(known, (p - y) ** 2, 0.0), group, groups)}


def brier(sums: Sums) -> F64:
    """Mean squared difference of probability and label, [P]. Range [0, 1], best 0; the base rate b, always given, has b·(1 − b).

    NaN without cases. Source: Brier 1950, in the form for one event.

    >>> brier(brier_sums([1.0, 0.0, np.nan], [0.8, 0.4, 0.9])).round(12).tolist()
    [0.1]
    """
    mean: F64 = divide(sums["square"], sums["n"])
    return mean
