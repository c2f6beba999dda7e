"""Alarms over time: how long before an episode they come, and how many are false. Axes: N nights, T steps on one grid; E episodes.

An alarm at step t is raised with the readings up to and including t, and says that an episode begins within the next `window` steps. A
night is judged by itself: neither alarms nor episodes reach over its edges.

* An episode begins at the first step of its low readings (`events.in_episode`), although it is only known for one some steps later.
* Its lead time is the number of steps from the first alarm among the `window` steps before it, or at its begin, to its begin: `window` at
  most, 0 if the alarm comes with it, NaN if there is none (missed). Alarms within an earlier episode warn of nothing.
* An alarm that lasts is one alarm, raised at its first step. It is false if no episode begins at that step or in the `window` steps after
  it, and if it is not within one. An episode after the end of the night is not seen, so late alarms tend to be false.

One decision a night, at its begin, is judged by `night_scores`.

>>> low = np.array([[0, 0, 0, 0, 1, 1, 1, 0, 0, 0]], bool)
>>> alarm = np.array([[0, 0, 1, 1, 1, 0, 0, 0, 1, 0]], bool)
>>> lead_times(alarm, low, window=6).tolist(), false_alarms(alarm, low, window=6).tolist()
([2.0], [1])
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from harness.arithmetic import divide
from harness.forecast import F64, I64
from harness_results.glucose.arrays import Bool

__all__ = ["begins", "false_alarms", "lead_times", "night_scores", "watch"]


def begins(inside: ArrayLike) -> Bool:
    """The first step of each run of True in nights [N, T].

    >>> begins([[True, True, False, True]]).astype(int).tolist()
    [[1, 0, 0, 1]]
    """
    array = np.asarray(inside)
    if array.ndim != 2 or array.dtype != np.bool_:
        raise ValueError(f"got {array.dtype} of shape {array.shape}; wanted bool [N, T], a row for each night")
    first = array.copy()
    first[:, 1:] &= ~array[:, :-1]
    return first


def lead_times(alarm: ArrayLike, inside: ArrayLike, window: int) -> F64:
    """Steps from alarm to episode, float64 [E], by night and then by time; NaN for an episode without an alarm.

    Args:
        alarm: bool [N, T], such as `probability >= threshold`.
        inside: bool [N, T], which steps belong to an episode.
        window: for how many steps an alarm holds.

    Raises:
        ValueError: other shapes or types, a window below 0.
    """
    on, low = _checked(alarm, inside, window)
    night, begin = np.nonzero(begins(low))  # [E]
    steps = on.shape[1]
    at = np.where(on & ~low, np.arange(steps), steps)
    following = np.minimum.accumulate(at[:, ::-1], axis=1)[:, ::-1]  # [N, T]: the first step from here on that has an alarm
    first = following[night, np.maximum(begin - window, 0)]
    return np.where(first < begin, begin - first, np.where(on[night, begin], 0.0, np.nan))


def false_alarms(alarm: ArrayLike, inside: ArrayLike, window: int) -> I64:
    """False alarms of each night, int64 [N]; arguments and errors as in `lead_times`."""
    on, low = _checked(alarm, inside, window)
    raised = begins(on) & ~low
    steps = on.shape[1]
    total = np.zeros((len(on), steps + 1), np.int64)
    np.cumsum(begins(low), axis=1, out=total[:, 1:])
    last = np.minimum(np.arange(steps) + window, steps - 1)  # [T]
    ahead = total[:, last + 1] - total[:, :steps]  # episodes that begin from this step to the last of its window
    count: I64 = (raised & (ahead == 0)).sum(axis=1, dtype=np.int64)
    return count


def night_scores(alarm: ArrayLike, inside: ArrayLike, step_minutes: float) -> dict[str, float]:
    """One decision a night, at its begin: its median lead time in minutes, and false alarms per night.

    The lead time is that from the begin of a night to its first episode, of nights with an alarm and an episode, one number each; NaN
    without such. A false alarm is one in a night without an episode; NaN without nights.

    Args:
        alarm: bool [N].
        inside: bool [N, T], which steps belong to an episode.

    >>> night_scores([True, True], np.array([[False, True, False, True], [False] * 4]), 5)
    {'lead time': 5.0, 'false alarms per night': 0.5}
    """
    on, low = np.asarray(alarm, np.bool_), np.asarray(inside, np.bool_)
    has = low.any(axis=1)
    first = low[on & has].argmax(axis=1) if low.shape[1] else np.empty(0)
    return {
        "lead time": float(np.median(first)) * step_minutes if len(first) else np.nan,
        "false alarms per night": float(divide((on & ~has).sum(), len(on))),
    }


def watch(alarm: ArrayLike, decided: ArrayLike, inside: ArrayLike, window: int) -> tuple[F64, int]:
    """Of one series [T] that is forecast step by step: steps from alarm to episode, float64 [E] as in `lead_times`, and false alarms.

    An alarm holds until the next decision, but no longer than `window` steps. An episode counts if a decision was made in the `window`
    steps before it: of others no forecast spoke. An alarm after which readings are missing is false if no episode is seen.

    Args:
        alarm: bool [T], read where `decided`.
        decided: bool [T], the steps at which forecasts were made, each with the readings up to and including its own.
        inside: bool [T], which steps belong to an episode.
        window: H, how many steps a forecast speaks of.

    >>> low = np.array([0, 0, 0, 0, 1, 1, 1, 0, 0, 0], bool)
    >>> lead, false = watch([0, 0, 1, 0, 0, 0, 0, 0, 1, 0], np.ones(10, bool), low, window=3)
    >>> lead.tolist(), false
    ([2.0], 1)
    """
    on, made, low = np.asarray(alarm, np.bool_), np.asarray(decided, np.bool_), np.asarray(inside, np.bool_)
    at = np.arange(len(on))
    last = np.maximum.accumulate(np.where(made, at, -1))  # [T] the newest decision
    held = (last >= 0) & (at - last <= window) & on[np.maximum(last, 0)]
    begin = np.flatnonzero(begins(low[None])[0])
    before = np.concatenate([[0], np.cumsum(made)])
    told = before[begin] > before[np.maximum(begin - window, 0)]
    lead = lead_times(held[None], low[None], window)
    return lead[told], int(false_alarms(held[None], low[None], window)[0])


def _checked(alarm: ArrayLike, inside: ArrayLike, window: int) -> tuple[Bool, Bool]:
    on, low = np.asarray(alarm), np.asarray(inside)
    if on.ndim != 2 or on.shape != low.shape or on.dtype != np.bool_ or low.dtype != np.bool_:
        raise ValueError(
            f"got alarms {on.dtype} of shape {on.shape} and episodes {low.dtype} of shape {low.shape}; wanted bool [N, T] twice"
        )
    if window < 0:
        raise ValueError(f"got a window of {window} steps; wanted at least 0")
    return on, low
