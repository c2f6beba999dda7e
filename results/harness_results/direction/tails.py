"""Tails of the normal distribution and of Student's t without scipy, which the core does not need otherwise.

Relative precision is 1e-9 or better, far out too: p = 1e-40 is that and not 0.
"""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist

__all__ = ["normal_quantile", "normal_tail", "student_quantile", "student_tail"]

_TINY = 1e-300


def normal_tail(z: float) -> float:
    """P(Z > z) of the standard normal distribution; NaN for NaN.

    >>> round(normal_tail(1.96), 5), round(normal_tail(-1.96), 5)
    (0.025, 0.975)
    """
    return math.erfc(z / math.sqrt(2)) / 2


def normal_quantile(share: float) -> float:
    """z with P(Z ≤ z) = share; −inf at 0, inf at 1.

    >>> round(normal_quantile(0.975), 3)
    1.96
    """
    if share in (0.0, 1.0):
        return math.copysign(math.inf, share - 0.5)
    return NormalDist().inv_cdf(share)


def student_tail(t: float, freedom: float) -> float:
    """P(T > t) of Student's t; NaN for NaN.

    Half the regularised incomplete beta function of ν/2 and ½ at ν/(ν + t²), Abramowitz and Stegun 26.7.1 and 26.5.27.

    >>> round(student_tail(2.228, 10), 4), round(student_tail(12.706, 1), 4), round(student_tail(-2.228, 10), 4)
    (0.025, 0.025, 0.975)
    """
    if not freedom > 0:
        raise ValueError(f"{freedom} degrees of freedom; wanted more than 0")
    if math.isnan(t) or t == 0:
        return math.nan if math.isnan(t) else 0.5
    if math.isinf(t):
        return float(t < 0)
    half = _beta(freedom / (freedom + t * t), t * t / (freedom + t * t), freedom / 2, 0.5) / 2
    return half if t > 0 else 1 - half


@cache
def student_quantile(share: float, freedom: float) -> float:
    """t with P(T ≤ t) = share, 0.5 < share < 1, by halving.

    >>> round(student_quantile(0.975, 10), 3)
    2.228
    """
    if not 0.5 < share < 1:
        raise ValueError(f"share is {share}; wanted one between 0.5 and 1")
    low, high = 0.0, 1.0
    while student_tail(high, freedom) > 1 - share:
        low, high = high, 2 * high
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if student_tail(middle, freedom) > 1 - share else (low, middle)
    return high


def _beta(x: float, rest: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b); `rest` is 1 − x, with the digits that the difference would lose."""
    if x <= 0 or rest <= 0:
        return float(rest <= 0)
    if x > (a + 1) / (a + b + 2):  # where the fraction below converges slowly
        return 1 - _beta(rest, x, b, a)
    front = a * math.log(x) + b * math.log(rest) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    return math.exp(front) / a * _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    """The continued fraction 1/(1 + d1/(1 + d2/(1 + …))) of I_x(a, b), Abramowitz and Stegun 26.5.8, from the front (Lentz 1976)."""
    numerator, denominator, value = 1.0, 0.0, 1.0
    for k in range(1, 1000):
        m = k // 2
        step = (-(a + m) * (a + b + m) if k % 2 else m * (b - m)) * x / ((a + k - 1) * (a + k))
        denominator = 1 / ((1 + step * denominator) or _TINY)
        numerator = (1 + step / numerator) or _TINY
        value *= numerator * denominator
        if abs(numerator * denominator - 1) < 1e-15:
            break
    return 1 / value
