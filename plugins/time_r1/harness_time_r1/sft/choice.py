"""Which of several forecasts of one window is nearest to what happened: MAPE, sMAPE or MASE. Needs numpy alone.

MAPE divides by the value itself, so one value near zero decides for all others. `by="auto"` therefore takes sMAPE for windows where any
|label| is below `NEAR` of the mean absolute value of context and label, and MAPE for all others. Scores of different windows are not
compared, so each window may have a measure of its own.

Axes: K candidates, H horizon, T context.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.forecast import F32, F64

__all__ = ["MEASURES", "NEAR", "best", "mape", "mase", "measure_of", "smape"]

MEASURES = ("auto", "mape", "smape", "mase")
NEAR = 0.05
"""The share of the mean absolute value below which a label is near zero."""


def measure_of(by: str, context: F32, label: F32) -> str:
    """The measure of a window: `by`, or of "auto" the one that its values allow.

    >>> measure_of("auto", np.float32([10, 12]), np.float32([11, 9])), measure_of("auto", np.float32([10, 12]), np.float32([11, 0.1]))
    ('mape', 'smape')
    """
    if by != "auto":
        return by
    known = np.abs(np.concatenate([context[np.isfinite(context)], label]).astype(np.float64))
    return "smape" if np.abs(label).min() < NEAR * known.mean() or not known.any() else "mape"


def mape(label: F64, forecast: F64) -> float:
    """100 · mean(|y − ŷ| / |y|), in per cent; infinite where a label of zero is missed.

    >>> mape(np.array([100.0, 50.0]), np.array([110.0, 50.0]))
    5.0
    """
    gap = np.abs(label - forecast)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(100 * np.mean(np.where(gap == 0, 0.0, gap / np.abs(label))))


def smape(label: F64, forecast: F64) -> float:
    """200 · mean(|y − ŷ| / (|y| + |ŷ|)), from 0 to 200; 0 / 0 is 0.

    >>> smape(np.array([3.0, 0.0]), np.array([1.0, 0.0]))
    50.0
    """
    gap, size = np.abs(label - forecast), np.abs(label) + np.abs(forecast)
    return float(200 * np.mean(np.where(gap == 0, 0.0, gap / np.where(size > 0, size, 1.0))))


def mase(label: F64, forecast: F64, context: F32, season: int) -> float:
    """mean |y − ŷ| / mean |y_t − y_{t−m}| over the context; the step before where no season is there, and 1 where nothing ever changes.

    >>> mase(np.array([5.0, 6.0]), np.array([5.0, 4.0]), np.float32([1, 2, 1, 4]), 2)
    1.0
    """
    scale = 1.0
    for lag in (season, 1):
        steps = np.abs(context[lag:].astype(np.float64) - context[:-lag].astype(np.float64))
        steps = steps[np.isfinite(steps)]
        if len(steps) and steps.mean() > 0:
            scale = float(steps.mean())
            break
    return float(np.mean(np.abs(label - forecast))) / scale


def score(by: str, label: F32, forecast: F64, context: F32, season: int) -> float:
    """The error of a forecast [H] by a measure that is none but "auto"; lower is better."""
    truth = label.astype(np.float64)
    if by == "mase":
        return mase(truth, forecast, context, season)
    return mape(truth, forecast) if by == "mape" else smape(truth, forecast)


def best(by: str, label: F32, forecasts: Sequence[F64 | None], context: F32, season: int) -> tuple[int, float]:
    """The number of the best of K forecasts and its error; (−1, NaN) where there is none. Of equals the first.

    Args:
        by: "mape", "smape" or "mase".
        forecasts: each [H], or None for an answer that was no forecast.
    """
    errors = [np.inf if f is None else score(by, label, f, context, season) for f in forecasts]
    usable = [k for k, f in enumerate(forecasts) if f is not None]
    if not usable:
        return -1, float("nan")
    at = min(usable, key=lambda k: (errors[k], k))
    return at, errors[at]
