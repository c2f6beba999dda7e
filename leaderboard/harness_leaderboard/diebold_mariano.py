"""The test of Diebold and Mariano: is the loss of one forecaster lower than another's, over time?

Axes: T cutoffs in time order. A task with many series is a panel: the losses of its windows are first averaged per cutoff, so that the
series under test is the sequence of cutoffs. Series at one cutoff meet the same events; to count each as an observation of its own would
call chance a finding.

What the test calls the horizon h is counted in cutoffs here: how many cutoffs one forecast reaches over, itself included. Windows that
follow each other without overlap have h = 1 and need no correction for shared errors; see `reach`.

Notable choices:

- No answer where the estimated variance is not positive: another kernel there would need another correction than the one below.
- A cutoff without a loss stays a gap, so that lag k is always k cutoffs: products with it are left out, of the mean as of the variance.
- The test needs many cutoffs for each that a forecast reaches over (`least_cutoffs`), as it finds too much otherwise. Of 20,000 series
  without a difference, losses summed over h neighbours (normal), it calls so many different at 5 % (standard error 0.2 %):

      T        h = 1    h = 2    h = 4    h = 8    h = 20
      3 h                        15.8 %   17.8 %   18.4 %
      4 h               9.5 %    13.0 %   15.4 %   16.3 %
      10 h     5.2 %    6.9 %    8.2 %    9.5 %    9.2 %
      20 h     5.2 %    6.0 %    6.6 %    7.0 %    7.0 %
      30 h     5.0 %    5.7 %    5.9 %    6.2 %    6.3 %

  For h = 1 it is Student's test of pairs, which holds its level from the fewest.

Sources: Diebold and Mariano 1995; Harvey, Leybourne and Newbold 1997 (small samples); Parzen 1963 (gaps).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness_leaderboard.aggregate import Array
from harness_leaderboard.student import student

__all__ = ["DieboldMariano", "diebold_mariano", "least_cutoffs", "reach"]

LEAST = 8
"""Fewest cutoffs that are tested where forecasts do not overlap."""
PER_REACH = 20
"""Where they do: so many times as many cutoffs as a forecast reaches over, or the test finds too much; see the table above."""


class DieboldMariano(NamedTuple):
    """`statistic` below 0: the first has the lower loss; two-sided `p`; `cutoffs` with a loss of both.

    Statistic and p are NaN where the test has no answer: no more cutoffs than h, fewer than two, a difference that never varies, or an
    estimate of its variance that is not positive.
    """

    statistic: float
    p: float
    cutoffs: int


def least_cutoffs(horizon: int) -> int:
    """How many cutoffs the test wants for its p to be worth something, where a forecast reaches over `horizon` of them.

    >>> least_cutoffs(1), least_cutoffs(3)
    (8, 60)
    """
    return LEAST if horizon <= 1 else PER_REACH * horizon


def reach(cutoffs: NDArray[np.datetime64], freq: str, horizon: int) -> int:
    """How many of these cutoffs (ascending, distinct, [T]) a forecast from one of them reaches over at most, itself included: the test's h.

    >>> days = np.array(["2024-01-01", "2024-01-02", "2024-01-03"], "datetime64[s]")
    >>> reach(days, "D", 1), reach(days, "D", 2)
    (1, 2)
    """
    from harness.frequency import shift

    if not len(cutoffs):
        return 1
    stamps = cutoffs.astype("datetime64[s]")
    ends = shift(stamps, freq, np.full(len(stamps), horizon, np.int64))
    return int((np.searchsorted(stamps, ends, side="left") - np.arange(len(stamps))).max(initial=1))


def diebold_mariano(loss_a: Array, loss_b: Array, horizon: int = 1) -> DieboldMariano:
    """Test whether two models have the same expected loss, from their losses at cutoffs in time order, all of one distance.

    d_t = loss_a − loss_b at T cutoffs where both are finite, with mean m; γ_k = Σ (d_t − m)(d_{t−k} − m)/T over the t where both are there;
    V = (γ_0 + 2 Σ_{k=1}^{h−1} γ_k)/T. The statistic m/√V · √((T + 1 − 2h + h(h−1)/T)/T) is compared with Student's t of T − 1 degrees of
    freedom.

    Args:
        loss_a: one a cutoff; a NaN or an infinity is a gap and stays one.
        loss_b: as many.
        horizon: h, how many cutoffs a forecast reaches over; 1 = windows do not overlap.

    Conditions: `least_cutoffs(h)` or more; the difference of losses is stationary; the forecasts do not come from nested models that were
    fitted anew at each cutoff.

    >>> found = diebold_mariano(np.array([1.0, 2, 3, 4]), np.zeros(4))  # m = 2.5, V = 1.25/4, √(3/4): 2.5/0.559 · 0.866
    >>> round(found.statistic, 4), round(found.p, 4)
    (3.873, 0.0305)
    """
    there = np.isfinite(loss_a) & np.isfinite(loss_b)
    gap = np.subtract(loss_a, loss_b, out=np.zeros(len(there)), where=there)
    count = int(there.sum())
    if count < 2 or horizon >= count or horizon < 1:
        return DieboldMariano(np.nan, np.nan, count)
    mean = gap[there].mean()
    centred = np.where(there, gap - mean, 0.0)
    gamma = np.array([centred[k:] @ centred[: len(centred) - k] for k in range(horizon)]) / count  # [h]
    variance = gamma[0] + 2 * gamma[1:].sum()
    # What rounding leaves of a difference that never varies is no variance.
    if variance <= (1e-12 * np.abs(gap).max()) ** 2:
        return DieboldMariano(np.nan, np.nan, count)
    small = np.sqrt((count + 1 - 2 * horizon + horizon * (horizon - 1) / count) / count)
    statistic = float(small * mean / np.sqrt(variance / count))
    return DieboldMariano(statistic, student(abs(statistic), count - 1), count)
