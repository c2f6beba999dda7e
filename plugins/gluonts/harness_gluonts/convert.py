"""What gluonts forecasts, as the harness takes it: each kind by what it is.

A SampleForecast is sample paths. A DistributionForecast has any quantile, taken from the distribution at the asked levels and at those of
the interval score. A QuantileForecast has the levels that the model learnt, and only those: the core's one rule says what lies between
and beyond them. Any other kind is asked level by level.

Axes: N windows, Q quantile levels, S samples, H horizon.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from harness import Forecast
from harness.errors import ForecastError
from harness.forecast import F32, F64
from harness.quantiles import INTERVAL

__all__ = ["Part", "convert", "one", "whole"]


class Part:
    """One window's forecast: `values` [Q, H] or [S, H], `levels` [Q] or None for samples, `mean` [H] or None."""

    def __init__(self, values: Any, levels: F64 | None = None, mean: Any = None) -> None:
        self.values: F32 = np.asarray(values)
        self.levels = levels
        self.mean: F32 | None = None if mean is None else np.asarray(mean)


def asked_levels(levels: F64) -> F64:
    """The asked levels and those of the interval score, rising: a distribution has them all, and else they would be extrapolated."""
    return np.sort(np.append(levels, [q for q in INTERVAL if np.abs(levels - q).min(initial=1) > 1e-6]))


def one(forecast: Any, levels: F64, horizon: int) -> Part:
    """One gluonts forecast. Its steps beyond `horizon` are left out.

    Raises:
        ForecastError: it is none, is of several variates, or has too few steps.
    """
    if getattr(forecast, "samples", None) is not None:
        part = Part(np.asarray(forecast.samples))
    elif getattr(forecast, "forecast_array", None) is not None:
        part = _of_quantiles(forecast)
    elif getattr(forecast, "distribution", None) is not None:
        part = _of_distribution(forecast, asked_levels(levels))
    elif callable(getattr(forecast, "quantile", None)):
        wanted = asked_levels(levels)
        part = Part(np.stack([np.asarray(forecast.quantile(float(q))) for q in wanted]), wanted, getattr(forecast, "mean", None))
    else:
        raise ForecastError(f"the predictor gave a {type(forecast).__name__}; wanted a gluonts Forecast, such as SampleForecast")
    if part.values.ndim != 2 or part.values.shape[1] < horizon:
        raise ForecastError(
            f"the predictor gave a {type(forecast).__name__} of shape {part.values.shape}; wanted one series of {horizon} steps, which is "
            f"the prediction_length that it was made with"
        )
    part.values = part.values[:, :horizon]
    part.mean = None if part.mean is None else part.mean[:horizon]
    return part


def _of_quantiles(forecast: Any) -> Part:
    """The levels that a QuantileForecast was given; the mean where it was."""
    array = np.asarray(forecast.forecast_array)  # [Q (and perhaps the mean), H]
    levels: list[float] = []
    rows: list[int] = []
    mean = None
    for index, key in enumerate(forecast.forecast_keys):
        if key == "mean":
            mean = array[index]
        else:
            levels.append(float(key))
            rows.append(index)
    if not rows:
        return Part(array[:1])  # one path: a point forecast, which is every quantile
    order = np.argsort(levels)
    return Part(array[[rows[i] for i in order]], np.array(levels)[order], mean)


def _of_distribution(forecast: Any, levels: F64) -> Part:
    """Quantiles of a distribution over H steps; of one that has no inverse, those of 1000 draws would be another model: refused."""
    import torch

    law = forecast.distribution
    mean = law.mean
    at = torch.as_tensor(levels, device=mean.device).reshape(-1, *[1] * mean.ndim)  # [Q, 1]
    try:
        values = law.icdf(at)
    except NotImplementedError:
        inner = type(getattr(law, "base_dist", law)).__name__
        raise ForecastError(
            f"the distribution {inner} of the forecast has no quantiles (no icdf); use one that has, such as StudentTOutput, or a model "
            f"that draws samples"
        ) from None
    return Part(values.cpu().numpy(), levels, mean.cpu().numpy())


def whole(parts: Sequence[Part | None], horizon: int) -> Forecast:
    """The forecasts of all windows as one; 0 for a window without.

    Raises:
        ForecastError: they are of different kinds, levels or numbers of samples.
    """
    made = [part for part in parts if part is not None]
    if not made:
        return Forecast.from_points(np.zeros((len(parts), horizon), np.float32))
    first = made[0]
    for part in made:
        same = (part.levels is None) == (first.levels is None) and part.values.shape == first.values.shape
        if not same or (part.levels is not None and first.levels is not None and not np.array_equal(part.levels, first.levels)):
            raise ForecastError(
                f"the predictor gave forecasts of {_shape(first)} and of {_shape(part)} in one batch; wanted one kind, with as many levels "
                f"or samples for each window"
            )
    values = np.zeros((len(parts), *first.values.shape), np.float32)  # [N, Q or S, H]
    mean = None if first.mean is None else np.zeros((len(parts), horizon), np.float32)
    with np.errstate(over="ignore"):  # beyond float32 is infinite, which is told
        for row, each in enumerate(parts):
            if each is not None:
                values[row] = each.values
                if mean is not None and each.mean is not None:
                    mean[row] = each.mean
    return Forecast.from_samples(values, mean) if first.levels is None else Forecast.from_quantiles(values, first.levels, mean)


def _shape(part: Part) -> str:
    return f"{len(part.values)} samples" if part.levels is None else f"{len(part.values)} quantiles"


def convert(forecasts: Sequence[Any], levels: F64, horizon: int) -> Forecast:
    """`one` of each gluonts forecast, and the `whole` of them."""
    return whole([None if forecast is None else one(forecast, levels, horizon) for forecast in forecasts], horizon)
