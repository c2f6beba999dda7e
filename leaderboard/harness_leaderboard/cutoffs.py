"""How many cutoffs the test of Diebold and Mariano (`harness.statistics.diebold_mariano`) wants here, and what its horizon is.

Axes: T cutoffs in time order. A task with many series is a panel: the losses of its windows are first averaged per cutoff, so that the
series under test is the sequence of cutoffs. Series at one cutoff meet the same events; to count each as an observation of its own would
call chance a finding.

What the test calls the horizon h is counted in cutoffs here: how many cutoffs one forecast reaches over, itself included. Windows that
follow each other without overlap have h = 1 and need no correction for shared errors; see `reach`.

`harness compare` takes the flat kernel. It needs many cutoffs for each that a forecast reaches over (`least_cutoffs`), as the test finds
too much otherwise. Of 20,000 series without a difference, losses summed over h neighbours (normal), it calls so many different at 5 %
(standard error 0.2 %):

    T        h = 1    h = 2    h = 4    h = 8    h = 20
    3 h                        15.8 %   17.8 %   18.4 %
    4 h               9.5 %    13.0 %   15.4 %   16.3 %
    10 h     5.2 %    6.9 %    8.2 %    9.5 %    9.2 %
    20 h     5.2 %    6.0 %    6.6 %    7.0 %    7.0 %
    30 h     5.0 %    5.7 %    5.9 %    6.2 %    6.3 %

For h = 1 it is Student's test of pairs, which holds its level from the fewest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["least_cutoffs", "reach"]

LEAST = 8
"""Fewest cutoffs that are tested where forecasts do not overlap."""
PER_REACH = 20
"""Where they do: so many times as many cutoffs as a forecast reaches over, or the test finds too much; see the table above."""


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
