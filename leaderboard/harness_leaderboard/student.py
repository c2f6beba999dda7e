"""Student's t for whole degrees of freedom, without scipy, which the leaderboard's table does not need otherwise."""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist

__all__ = ["LEVEL", "critical", "student", "tail"]

LEVEL = 0.95
"""Of all intervals and verdicts."""


@cache
def critical(freedom: int) -> float:
    """The 97.5 % quantile of Student's t with a whole number of degrees of freedom.

    >>> round(critical(1), 3), round(critical(10), 3)
    (12.706, 2.228)
    """
    low, high = 1.0, 1e3
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if student(middle, freedom) > 1 - LEVEL else (low, middle)
    return high


@cache
def tail(n: int) -> float:
    """The share of resamples that n ≥ 2 effective families leave outside at either end of a 95 % interval: Φ(−t·√(n / (n − 1))).

    Source: Hesterberg 2015, section 5.3. For large n it is 0.025.

    >>> round(tail(6), 4), round(tail(11), 4), round(tail(10_000), 3)
    (0.0024, 0.0097, 0.025)
    """
    return NormalDist().cdf(-critical(n - 1) * math.sqrt(n / (n - 1)))


def student(t: float, freedom: int) -> float:
    """Two-sided p of Student's t ≥ 0 with a whole number of degrees of freedom, in closed form (Abramowitz and Stegun 26.7.3, 26.7.4).

    >>> round(student(2.228, 10), 4)
    0.05
    """
    if not math.isfinite(t):
        return 0.0
    angle = math.atan2(t, math.sqrt(freedom))
    cosine, sine = math.cos(angle), math.sin(angle)
    if freedom % 2:
        total, term = 0.0, cosine
        for k in range(1, freedom - 1, 2):
            total, term = total + term, term * cosine**2 * (k + 1) / (k + 2)
        inside = 2 / math.pi * (angle + sine * total)
    else:
        total, term = 0.0, 1.0
        for k in range(0, freedom - 1, 2):
            total, term = total + term, term * cosine**2 * (k + 1) / (k + 2)
        inside = sine * total
    return max(0.0, 1.0 - inside)
