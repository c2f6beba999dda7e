"""Divisions and means of scores, where zero, infinite and missing ones are to be expected. Axes: M models, R tasks; NaN = missing."""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.forecast import F64

__all__ = ["divide", "geometric_mean"]


def divide(a: Any, b: Any) -> Any:
    """a / b as floats: x/0 is inf, 0/0 is NaN, without a warning."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.divide(a, b, dtype=np.float64)


def geometric_mean(ratios: F64) -> F64:
    """[M, R] -> [M] over those that are not NaN; NaN where all are.

    >>> geometric_mean(np.array([[2.0, 8.0, np.nan]])).round(12).tolist()
    [4.0]
    """
    there = ~np.isnan(ratios)
    with np.errstate(divide="ignore"):
        logs = np.log(np.where(there, ratios, 1.0))
    mean: F64 = np.exp(divide(logs.sum(axis=1), there.sum(axis=1)))
    return mean
