"""What several packages ask of chance, without scipy: tails, Holm's correction, the test of two losses.

Axes: N windows (or cutoffs) in order of time, K p-values. A test that has no answer gives NaN and warns of nothing.

Notable choices:

* Tails have a relative precision of 1e-9 or better, far out too: p = 1e-40 is that and not 0.
* The variance of a mean of neighbours is a sum of autocovariances with a kernel. "bartlett" (Newey and West 1987) is never negative, and
  takes many lags well. "flat" is the original one of Diebold and Mariano, with h - 1 lags: unbiased for forecasts that overlap by h, and
  negative now and then, where there is no answer. Both are the same at lag 0.
* A window without a number stays a gap, so that lag k is always k windows: products with it are left out (Parzen 1963).

Sources: Abramowitz and Stegun 1964; Holm 1979; Diebold and Mariano 1995; Harvey, Leybourne and Newbold 1997 (small samples);
Newey and West 1987, 1994.
"""

from __future__ import annotations

import math
from functools import cache
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from harness.forecast import F64

__all__ = [
    "KERNELS", "Losses",
    "diebold_mariano", "holm", "lags_for", "long_run_variance", "normal_quantile", "normal_tail", "student_quantile", "student_tail",
]  # fmt: skip

KERNELS = ("bartlett", "flat")
_TINY = 1e-300


class Losses(NamedTuple):
    """Mean of first less second (below 0: the first is better), t and two-sided p, over `windows` with both, up to `lags`."""

    difference: float
    statistic: float
    p: float
    windows: int
    lags: int


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
    """P(T > t) of Student's t; NaN for NaN. Two-sided p of a statistic: `2 * student_tail(abs(t), freedom)`.

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
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if student_tail(middle, freedom) > 1 - share else (low, middle)
    return high


def holm(p: ArrayLike) -> F64:
    """Correct many p, of any shape, so that the chance of any false finding stays at the level: Holm's step-down method.

    In ascending order p_(1) ≤ … ≤ p_(m): max over i ≤ j of min(1, (m − i + 1) · p_(i)). NaN stays NaN and is not counted in m. Of a
    symmetric matrix give one triangle (`p[np.triu_indices(k, 1)]`), or each pair counts twice.

    >>> holm([0.01, 0.04, 0.03, np.nan]).round(3).tolist()  # 3 · 0.01, then 2 · 0.03, then 1 · 0.04, never falling
    [0.03, 0.06, 0.06, nan]
    """
    found = np.array(p, np.float64)
    flat = found.reshape(-1)
    there = np.flatnonzero(~np.isnan(flat))
    order = there[np.argsort(flat[there], kind="stable")]
    flat[order] = np.minimum(1.0, np.maximum.accumulate(flat[order] * np.arange(len(order), 0, -1)))
    return found


def lags_for(n: int, horizon: int = 1) -> int:
    """How many lags Bartlett's kernel takes in: h − 1, or ⌊4 (n/100)^(2/9)⌋ if that is more (Newey and West 1994), and fewer than n.

    >>> lags_for(500), lags_for(500, horizon=21), lags_for(3)
    (5, 20, 1)
    """
    return max(0, min(n - 1, max(horizon - 1, int(4 * (n / 100) ** (2 / 9)))))


def long_run_variance(values: ArrayLike, lags: int, kernel: str = "bartlett") -> float:
    """γ_0 + 2 Σ_{k ≤ lags} w_k γ_k of [N]: n times the variance of the mean of the n values that are no gap (NaN); NaN without any.

    γ_k = Σ (v_t − v̄)(v_{t−k} − v̄)/n over the t where both are there; w_k = 1 − k/(lags + 1) for "bartlett", 1 for "flat".

    >>> long_run_variance([1, 2, 3, 4], 1)  # γ_0 = 1.25, γ_1 = 0.3125: 1.25 + 2 · ½ · 0.3125
    1.5625
    >>> long_run_variance([1, 2, 3, 4], 1, "flat")
    1.875
    """
    if kernel not in KERNELS:
        raise ValueError(f"kernel is {kernel!r}; wanted one of {', '.join(KERNELS)}")
    series = np.asarray(values, np.float64)
    there = ~np.isnan(series)
    n = int(there.sum())
    if not n:
        return math.nan
    centred = np.where(there, series - series[there].mean(), 0.0)
    gamma = [float(centred[k:] @ centred[: len(centred) - k]) / n for k in range(min(lags, len(centred) - 1) + 1)]
    weights = [1.0 if kernel == "flat" else 1 - k / (lags + 1) for k in range(len(gamma))]
    return gamma[0] + 2 * sum(w * g for w, g in zip(weights[1:], gamma[1:], strict=True))


def diebold_mariano(first: ArrayLike, second: ArrayLike, horizon: int = 1, *, lags: int | None = None, kernel: str = "bartlett") -> Losses:
    """Do two models have the same expected loss? From their losses [N] in order of time; a window without both (NaN, inf) is a gap.

    d = first − second over n windows; V is `long_run_variance(d, lags, kernel)`/n; d̄/√V · √((n + 1 − 2h + h(h − 1)/n)/n) is compared with
    Student's t of n − 1 degrees of freedom. With h = 1 and no lags this is Student's test of pairs.

    Args:
        horizon: h, how many windows one forecast reaches over, itself included; 1 = they do not overlap.
        lags: None = h − 1 for "flat", `lags_for(n, h)` for "bartlett".
        kernel: one of `KERNELS`.

    NaN where there are no more windows than h, the difference never varies, or its variance is not positive; p = 1 where it is always 0.

    Conditions: the difference is stationary; the forecasts do not come from nested models that were fitted anew for each window.

    >>> found = diebold_mariano([1, 2, 3, 4], [0, 0, 0, 0], lags=0)  # 2.5/√(1.25/4) · √(3/4)
    >>> round(found.statistic, 4), round(found.p, 4)
    (3.873, 0.0305)

    Raises:
        ValueError: shapes differ, a horizon below 1, lags below 0, or another kernel.
    """
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    if a.ndim != 1 or a.shape != b.shape:
        raise ValueError(f"losses of shapes {a.shape} and {b.shape}; wanted [N] of both")
    if horizon < 1 or (lags is not None and lags < 0):
        raise ValueError(f"horizon {horizon}, lags {lags}; wanted a horizon of at least 1 and lags of at least 0")
    there = np.isfinite(a) & np.isfinite(b)
    gap = np.subtract(a, b, out=np.full(len(a), np.nan), where=there)
    n = int(there.sum())
    usual = horizon - 1 if kernel == "flat" else lags_for(n, horizon)
    used = min(usual if lags is None else lags, max(0, n - 1))
    if n and not gap[there].any():
        return Losses(0.0, 0.0, 1.0, n, used)
    mean = float(gap[there].mean()) if n else math.nan
    if n < 2 or n <= horizon:
        return Losses(mean, math.nan, math.nan, n, used)
    variance = long_run_variance(gap, used, kernel)
    if variance <= (1e-12 * np.abs(gap[there]).max()) ** 2:  # what rounding leaves of none
        return Losses(mean, math.nan, math.nan, n, used)
    small = (n + 1 - 2 * horizon + horizon * (horizon - 1) / n) / n
    t = mean / math.sqrt(variance / n) * math.sqrt(small)
    return Losses(mean, t, 2 * student_tail(abs(t), n - 1), n, used)


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
