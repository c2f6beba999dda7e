"""Hold-outs by patient and by time that are the same on every machine, for any order of the subjects.

Some patients are held out whole: nothing of theirs is learnt from. Of the others the last part of their time is held out. Between the last
value that is learnt from and the first that is forecast lie at least `horizon` steps that are neither, so that no training target reaches
into the test's labels. The context of a test window may reach back into the time that was learnt from: that is what a device in use sees.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.forecast import I64
from harness_tasks.cgm.readings import Bools, Times

__all__ = ["HoldOut", "hold_out", "newest", "ranked"]

FEW = 7  # patients below which a share is rounded up: 0.15 of six would be none or one by chance


@dataclass(frozen=True, eq=False)
class HoldOut:
    """A split of G series.

    Attributes:
        held_out: bool [G], whether the series' patient is held out.
        train_end: int64 [G], positions before it are learnt from; 0 of a held-out patient.
        test_start: int64 [G], the first position that may be forecast: 0 of a held-out patient (its windows begin as soon as they have
            a context), the series' length where none may.
        purge: steps between them.
        seed: of the choice.
    """

    held_out: Bools
    train_end: I64
    test_start: I64
    purge: int
    seed: int


def ranked(patients: Sequence[str], seed: int) -> list[str]:
    """The patients in the order in which they are held out: by the sha256 of seed and name.

    >>> ranked(["a", "b", "c"], 42) == ranked(["c", "a", "b"], 42)
    True
    """
    return sorted(set(patients), key=lambda name: (hashlib.sha256(f"{seed}:{name}".encode()).digest(), name))


def held_count(patients: int, share: float) -> int:
    """How many patients a share is: rounded, halves up; rounded up of fewer than seven.

    >>> [held_count(n, 0.15) for n in (5, 6, 7, 10, 19, 112)]
    [1, 1, 1, 2, 3, 17]
    """
    exact = round(share * patients, 9)  # 0.15 · 20 is 3.0000000000000004 without it
    return math.ceil(exact) if patients < FEW else math.floor(exact + 0.5)


def hold_out(
    patients: Sequence[str],
    starts: Times,
    lengths: I64,
    step_minutes: int,
    horizon: int,
    *,
    patient_share: float = 0.15,
    time_share: float = 0.2,
    purge: int | None = None,
    seed: int = 42,
) -> HoldOut:
    """Split G series.

    Args:
        patients: whose each series is, as `Gridded.patients`: all series of one lie on the same side.
        starts, lengths: datetime64[s] [G] and int64 [G]: first point and number of points. Series should have been split at long breaks
            (`to_grid` with `split_after`): inside a series an empty month counts as time like any other.
        step_minutes: of the grid.
        horizon: H, the longest forecast in steps.
        patient_share: of the patients, held out whole; 0 = none.
        time_share: of the points of each other patient, the last ones, over all its series in order of time; 0 = nothing is tested there.
        purge: steps between training and test, at least H; None = H.
        seed: another choice of patients.

    Raises:
        ValueError: arguments of different lengths or out of their range; a share that leaves no patient to learn from.

    Example: one series of 100 points, H = 6: points 0 to 73 are learnt from, 80 to 99 are forecast.

    >>> split = hold_out(["p"], np.array(["2020-01-01"], "datetime64[s]"), np.array([100]), 5, 6, patient_share=0)
    >>> split.train_end.tolist(), split.test_start.tolist()
    ([74], [80])
    """
    length = np.asarray(lengths, np.int64)
    gap = horizon if purge is None else purge
    if not len(patients) == len(starts) == len(length):
        raise ValueError(f"hold_out got {len(patients)} patients, {len(starts)} starts and {len(length)} lengths; wanted as many of each")
    if horizon < 1 or gap < horizon:
        raise ValueError(f"hold_out got horizon={horizon} and purge={purge}; wanted a horizon of at least 1 and no smaller purge")
    if not (0 <= patient_share < 1 and 0 <= time_share < 1):
        raise ValueError(f"hold_out got patient_share={patient_share} and time_share={time_share}; wanted shares from 0 to below 1")
    if step_minutes < 1 or (length < 1).any():
        raise ValueError(f"hold_out got step_minutes={step_minutes} and lengths down to {length.min(initial=1)}; wanted both at least 1")
    order = ranked(patients, seed)
    count = held_count(len(order), patient_share)
    if count and count >= len(order):
        raise ValueError(f"hold_out of {patient_share:g} of {len(order)} patients leaves none to learn from; pass patient_share=0")
    chosen = set(order[:count])
    held = np.array([name in chosen for name in patients], np.bool_)
    first = starts.astype("datetime64[s]").astype(np.int64) // (step_minutes * 60)  # points counted from 1970
    train_end, test_start = np.zeros(len(length), np.int64), np.zeros(len(length), np.int64)
    _, owner = np.unique(np.asarray(patients, np.str_), return_inverse=True)
    for patient in np.unique(owner[~held]).tolist():
        rows = np.flatnonzero(owner == patient)
        cut = _cut(first[rows], length[rows], math.floor(round(time_share * int(length[rows].sum()), 9)))
        train_end[rows] = np.clip(cut - gap - first[rows], 0, length[rows])
        test_start[rows] = np.clip(cut - first[rows], 0, length[rows])
    return HoldOut(held, train_end, test_start, gap, seed)


def newest(patients: Sequence[str], starts: Times, step_minutes: int, train_end: I64, percent: int) -> I64:
    """Where what is learnt from begins, int64 [G], if it is the newest `percent` of each patient's points before `train_end`.

    Points of all series of a patient are counted in order of time, rounded up; a series that is older than these begins at its end, so that
    nothing is learnt from it. Arguments as in `hold_out` and `HoldOut`. Of series that overlap, points of one moment go together.

    >>> day = np.array(["2020-01-01", "2020-02-01"], "datetime64[s]")
    >>> newest(["p", "p"], day, 5, np.array([300, 100]), 25).tolist(), newest(["p", "q"], day, 5, np.array([300, 100]), 25).tolist()
    ([300, 0], [225, 75])
    """
    first = starts.astype("datetime64[s]").astype(np.int64) // (step_minutes * 60)
    begin = train_end.copy()
    _, owner = np.unique(np.asarray(patients, np.str_), return_inverse=True)
    for patient in np.unique(owner[train_end > 0]).tolist():
        rows = np.flatnonzero((owner == patient) & (train_end > 0))
        cut = _cut(first[rows], train_end[rows], -(-int(train_end[rows].sum()) * percent // 100))
        begin[rows] = np.clip(cut - first[rows], 0, train_end[rows])
    return begin


def _cut(first: I64, length: I64, count: int) -> int:
    """The point from which on the last `count` points of a patient's series lie; the end where it is 0."""
    if not count:
        return int((first + length).max())
    points = np.sort(np.concatenate([np.arange(a, a + n) for a, n in zip(first.tolist(), length.tolist(), strict=True)]))
    return int(points[len(points) - count])
