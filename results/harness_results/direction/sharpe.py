"""Sharpe ratios of net returns: how sure they are, and what is left of them after many trials.

Axis: n periods in order of time. Net returns are float64 [n] without NaN. A ratio of one period becomes a year's by
√(periods of a year), which is right for returns without autocorrelation (Lo 2002).

Sources: Lo 2002; Bailey and López de Prado 2012 and 2014 (deflated Sharpe ratio).
"""

from __future__ import annotations

import math

import numpy as np

from harness.forecast import F64
from harness.statistics import normal_quantile, normal_tail
from harness_results.direction.inputs import level_of
from harness_results.direction.resampling import Interval

__all__ = ["SESSIONS", "deflated_sharpe", "expected_maximum", "lo_interval", "sharpe"]

SESSIONS = 252
"""Of a year."""
EULER = 0.5772156649015329


def sharpe(net: F64, per_year: float = SESSIONS) -> float:
    """Mean over standard deviation (n − 1), times √(periods of a year); NaN where net returns never vary.

    >>> round(sharpe(np.array([0.01, 0.03]), per_year=1), 4)  # 0.02 / 0.01414
    1.4142
    """
    if len(net) < 2:
        return float("nan")
    spread = float(net.std(ddof=1))
    return float(net.mean()) / spread * per_year**0.5 if spread > 1e-12 * float(np.abs(net).max()) else float("nan")


def lo_interval(net: F64, per_year: float = SESSIONS, level: float = 0.95) -> Interval:
    """The Sharpe ratio a year and its interval by Lo's error for independent returns: √((1 + SR²/2)/n) of the ratio SR of one period.

    >>> rng = np.random.default_rng(0)
    >>> [round(x, 2) for x in lo_interval(rng.normal(0.0, 0.01, 2520))]  # ten years know a ratio to ± 0.62
    [-0.49, -1.11, 0.13]
    """
    z = normal_quantile((1 + level_of(level)) / 2)
    one = sharpe(net, 1.0)
    error = ((1 + one * one / 2) / len(net)) ** 0.5 if len(net) else np.nan
    value, low, high = (x * per_year**0.5 for x in (one, one - z * error, one + z * error))
    return Interval(value, low, high)


def expected_maximum(variance: float, trials: int) -> float:
    """The Sharpe ratio that the best of so many trials without any skill is expected to have; 0 for one.

    √V · ((1 − γ) Φ⁻¹(1 − 1/K) + γ Φ⁻¹(1 − 1/(K e))), γ Euler's constant, V the variance of the trials' ratios.

    >>> round(expected_maximum(0.5 / 250, 100), 4)  # Bailey and López de Prado 2014, their example
    0.1132
    """
    if trials < 1 or not variance >= 0:
        raise ValueError(f"{trials} trials, variance {variance}; wanted at least one trial and a variance of 0 or more")
    if trials == 1:
        return 0.0
    beyond = (1 - EULER) * normal_quantile(1 - 1 / trials) + EULER * normal_quantile(1 - 1 / (trials * math.e))
    return math.sqrt(variance) * beyond


def deflated_sharpe(net: F64, trials: int, variance: float | None = None) -> float:
    """The chance that a rule's true Sharpe ratio is above what the best of `trials` without skill would show, [0, 1].

    Φ((SR − SR0) √(n − 1) / √(1 − g SR + (k − 1)/4 SR²)), SR of one period, SR0 `expected_maximum`, g skewness, k kurtosis (3 = normal).

    Args:
        net: net returns [n] of the best rule.
        trials: how many rules were tried, models, thresholds and horizons counted.
        variance: of the trials' Sharpe ratios, of one period, not of a year; None = 1/n, what ratios of no skill have from chance alone.

    NaN where net returns never vary.

    >>> rng = np.random.default_rng(0)
    >>> found = [deflated_sharpe(rng.normal(0.001, 0.01, 1000), k) for k in (1, 10, 100)]
    >>> found[0] > found[1] > found[2]
    True
    """
    one = sharpe(net, 1.0)
    least = expected_maximum(1.0 / max(1, len(net)) if variance is None else variance, trials)
    if not np.isfinite(one):
        return float("nan")
    standard = (net - net.mean()) / net.std()
    return _deflated(one, least, len(net), float((standard**3).mean()), float((standard**4).mean()))


def _deflated(ratio: float, least: float, n: int, skewness: float, kurtosis: float) -> float:
    """The formula above from its numbers.

    >>> round(_deflated(2.5 / 250**0.5, expected_maximum(0.5 / 250, 100), 1250, -3, 10), 4)  # their example prints 0.9004
    0.9004
    """
    spread = 1 - skewness * ratio + (kurtosis - 1) / 4 * ratio**2
    return normal_tail(-(ratio - least) * (n - 1) ** 0.5 / spread**0.5) if spread > 0 else float("nan")
