"""The test of Diebold and Mariano: is the loss of one forecaster lower than another's, over time?

Axes: T cutoffs in time order. A task with many series is a panel: the losses of its windows are first averaged per cutoff, so that the
series under test is the sequence of cutoffs. Series at one cutoff meet the same events; to count each as an observation of its own would
call chance a finding.

What the test calls the horizon h is counted in cutoffs here: how many cutoffs one forecast reaches over, itself included. Windows that
follow each other without overlap have h = 1 and need no correction for shared errors; see `reach`.

Sources: Diebold and Mariano 1995; Harvey, Leybourne and Newbold 1997 (small samples); Newey and West 1987 (Bartlett's weights).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness_leaderboard.aggregate import Array
from harness_leaderboard.needs import need

__all__ = ["DieboldMariano", "diebold_mariano", "reach"]


class DieboldMariano(NamedTuple):
    """`statistic` below 0: the first has the lower loss; two-sided `p`; `cutoffs` used; `kernel` "rectangular", "bartlett" or "" = none.

    Statistic and p are NaN where the test has no answer: no more cutoffs than h, fewer than two, or a difference that never varies.
    """

    statistic: float
    p: float
    cutoffs: int
    kernel: str


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
    """Test whether two models have the same expected loss, from their losses at T cutoffs in time order.

    d_t = loss_a − loss_b with mean m; γ_k = Σ_{t>k} (d_t − m)(d_{t−k} − m)/T; V = (γ_0 + 2 Σ_{k=1}^{h−1} γ_k)/T (rectangular kernel); where
    that is not positive, weights 1 − k/h (Bartlett's, never negative). The statistic m/√V · √((T + 1 − 2h + h(h−1)/T)/T) is compared with
    Student's t of T − 1 degrees of freedom.

    Args:
        loss_a: [T]; pairs with a NaN or an infinity are left out.
        loss_b: [T].
        horizon: h, how many cutoffs a forecast reaches over; 1 = windows do not overlap.

    Conditions: the difference of losses is stationary; the forecasts do not come from nested models that were fitted anew at each cutoff.

    >>> found = diebold_mariano(np.array([1.0, 2, 3, 4]), np.zeros(4))  # m = 2.5, V = 1.25/4, √(3/4): 2.5/0.559 · 0.866
    >>> round(found.statistic, 4), round(found.p, 4), found.kernel
    (3.873, 0.0305, 'rectangular')
    """
    gap = loss_a - loss_b
    gap = gap[np.isfinite(gap)]
    count = len(gap)
    if count < 2 or horizon >= count or horizon < 1:
        return DieboldMariano(np.nan, np.nan, count, "")
    centred = gap - gap.mean()
    gamma = np.array([centred[k:] @ centred[: count - k] for k in range(horizon)]) / count  # [h]
    # What rounding leaves of a difference that never varies is no variance.
    least = (1e-12 * np.abs(gap).max()) ** 2
    variance, kernel = gamma[0] + 2 * gamma[1:].sum(), "rectangular"
    if variance <= least:
        variance, kernel = gamma[0] + 2 * ((1 - np.arange(1, horizon) / horizon) * gamma[1:]).sum(), "bartlett"
    if variance <= least:
        return DieboldMariano(np.nan, np.nan, count, "")
    need("scipy")
    from scipy.stats import t as student

    small = np.sqrt((count + 1 - 2 * horizon + horizon * (horizon - 1) / count) / count)
    statistic = float(small * gap.mean() / np.sqrt(variance / count))
    return DieboldMariano(statistic, float(2 * student.sf(abs(statistic), count - 1)), count, kernel)
