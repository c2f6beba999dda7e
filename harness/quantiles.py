"""One rule that turns any forecast into quantiles at the asked levels, and the checks that a forecast must pass.

Axes: N windows, Q asked levels, S samples, H horizon. Values are float32 and finite: a forecast has no missing values.

The rule, the same as gluonts' `QuantileForecast` and `SampleForecast` (source: gluonts, `model/forecast.py`):

* samples: sort the S paths at each step; level q is number round((S − 1)·q) of them, halves rounded to even;
* points: every level is the point;
* quantiles: a level that was given is taken as it is. Another one at or below max(x₁, min(x₂, 0.1)) lies on the exponential left tail
  through the two lowest levels x₁ < x₂, one at or above min(x₋₁, max(x₋₂, 0.9)) on the right tail through the two highest, any other on
  the straight line between its neighbours;
* mean: the one given, else the samples' mean, else the median.

Written so that each value is `y[base] + weight · (y[high] − y[low])`: the scores use the same three numbers on differences from the label.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.errors import ForecastError
from harness.forecast import F32, F64, Forecast

__all__ = ["INTERVAL", "NO_EVENT", "Rule", "check", "rule", "sort_crossings", "to_quantiles", "with_interval"]

SAME = 1e-9  # levels nearer than this are one level: 3 * 0.1 is 0.3
TAIL = 1e-8  # gluonts' tolerance in the logarithms of the tails
CHUNK = 1 << 18  # values worked on at a time: they stay in the cache
NO_EVENT = (
    "predict returned probabilities on a task of values, which asks for no event (batch.event is None); wanted quantiles, samples or "
    "points. Raise Unsupported there, in finetune too"
)


class Rule(NamedTuple):
    """A quantile from given ones: `y[base] + weight · (y[high] − y[low])`; weight 0 is `y[base]` itself."""

    base: int
    low: int
    high: int
    weight: float


def rule(levels: Sequence[float], asked: float) -> Rule:
    """How the quantile at level `asked` follows from those at `levels` (rising).

    >>> rule([0.1, 0.2, 0.5], 0.2)
    Rule(base=1, low=1, high=1, weight=0.0)
    >>> rule([0.25, 0.5, 0.75], 0.625)
    Rule(base=1, low=1, high=2, weight=0.5)

    Raises:
        ForecastError: fewer than two levels, and `asked` is not one of them.
    """
    for index, level in enumerate(levels):
        if abs(level - asked) < SAME:
            return Rule(index, index, index, 0.0)
    if len(levels) < 2:
        raise ForecastError(
            f"level {asked:g} was asked of a forecast with the one level {levels[0]:g}; wanted that level or at least two. "
            f"Return Forecast.from_quantiles with more levels, Forecast.from_samples, or Forecast.from_points."
        )
    last = len(levels) - 1
    if asked <= max(levels[0], min(levels[1], 0.1)):
        span = math.log((levels[1] + TAIL) / (levels[0] + TAIL) + TAIL)
        return Rule(1, 0, 1, math.log((asked + TAIL) / (levels[1] + TAIL) + TAIL) / span)
    if asked >= min(levels[last], max(levels[last - 1], 0.9)):
        top = 1 - levels[last - 1] + TAIL
        span = math.log(top / (1 - levels[last] + TAIL) + TAIL)
        return Rule(last - 1, last - 1, last, math.log(top / (1 - asked + TAIL) + TAIL) / span)
    high = next(index for index, level in enumerate(levels) if asked < level)
    return Rule(high - 1, high - 1, high, (asked - levels[high - 1]) / (levels[high] - levels[high - 1]))


def check(forecast: object, n: int, horizon: int) -> Forecast:
    """Return the forecast if it is one for `n` windows of `horizon` steps with only finite values.

    Raises:
        ForecastError: another type, another shape, or NaN or infinite values; says how many and in which windows.
    """
    if not isinstance(forecast, Forecast):
        raise ForecastError(
            f"predict returned {type(forecast).__name__}; wanted a Forecast. Return Forecast.from_quantiles(values [N, Q, H], levels), "
            f"Forecast.from_samples(samples [N, S, H]) or Forecast.from_points(points [N, H])."
        )
    if not isinstance(forecast.values, np.ndarray):
        raise ForecastError(
            f"predict returned a Forecast whose values are a {type(forecast.values).__name__}; wanted an array. "
            f"Make it with Forecast.from_{forecast.kind}(...)."
        )
    if forecast.fallback is not None:
        _check_fallback(forecast.fallback, n)
    if forecast.kind == "probabilities":
        return _probabilities(forecast, n)
    if forecast.kind not in ("quantiles", "samples", "points"):
        raise ForecastError(f"predict returned a forecast of kind {forecast.kind!r}; wanted 'quantiles', 'samples' or 'points'")
    values = forecast.values
    count = values.shape[1] if values.ndim == 3 else 0
    width = (
        len(forecast.levels) if forecast.kind == "quantiles" and forecast.levels is not None else {"points": 1}.get(forecast.kind, count)
    )
    wanted = (n, width, horizon)
    if values.shape != wanted or count == 0:
        letter = {"quantiles": "Q", "samples": "S", "points": "1"}[forecast.kind]
        raise ForecastError(
            f"predict returned {forecast.kind} of shape {values.shape}; wanted {(n, max(width, 1), horizon)}: "
            f"[N windows, {letter}, H steps]. One row for each window of the batch, one column for each of batch.horizon steps."
        )
    if values.dtype != np.float32 or (forecast.kind == "quantiles" and forecast.levels is None):
        raise ForecastError(
            f"predict returned {forecast.kind} of {values.dtype} with levels {forecast.levels}; wanted float32 and, for quantiles, levels. "
            f"Make it with Forecast.from_{forecast.kind}(...)."
        )
    _finite(values, forecast.kind)
    if forecast.mean is not None and forecast.kind != "points":
        if forecast.mean.shape != (n, horizon):
            raise ForecastError(f"predict returned a mean of shape {forecast.mean.shape}; wanted {(n, horizon)}: [N windows, H steps]")
        _finite(forecast.mean, "a mean")
    return forecast


def _check_fallback(fallback: object, n: int) -> None:
    """Raise unless it is a share from 0 to 1 for each of n windows, float32."""
    make = "Give it to the constructor: Forecast.from_samples(..., fallback=shares [N])."
    if not isinstance(fallback, np.ndarray):
        raise ForecastError(f"predict returned a fallback that is a {type(fallback).__name__}; wanted an array [N]. {make}")
    if fallback.shape != (n,) or fallback.dtype != np.float32:
        raise ForecastError(
            f"predict returned a fallback of shape {fallback.shape} and {fallback.dtype}; wanted {(n,)} and float32: one share for each "
            f"window of the batch. {make}"
        )
    wrong = np.flatnonzero(~((fallback >= 0) & (fallback <= 1)))
    if len(wrong):
        raise ForecastError(
            f"predict returned a fallback of {fallback[wrong[0]]:g} for window {wrong[0]} of the batch ({len(wrong)} of {n} like it); "
            f"wanted shares from 0 to 1. {make}"
        )


def _probabilities(forecast: Forecast, n: int) -> Forecast:
    """The forecast, if it is one probability for each of n windows."""
    values, make = forecast.values, "Make it with Forecast.from_probabilities(p [N])."
    if values.shape != (n, 1, 1):
        got = f"{len(values)} probabilities" if values.shape[1:] == (1, 1) else f"probabilities of shape {values.shape}"
        raise ForecastError(f"predict returned {got}; wanted {n}, one for each window of the batch. {make}")
    if values.dtype != np.float32:
        raise ForecastError(f"predict returned probabilities of {values.dtype}; wanted float32. {make}")
    wrong = np.flatnonzero(~((values[:, 0, 0] >= 0) & (values[:, 0, 0] <= 1)))
    if len(wrong):
        first = values[wrong[0], 0, 0]
        raise ForecastError(
            f"predict returned a probability of {first:g} for window {wrong[0]} of the batch ({len(wrong)} of {n} like it); wanted numbers "
            f"from 0 to 1. {make}"
        )
    return forecast


def _finite(values: F32, what: str) -> None:
    """Raise unless every value [N, ...] is finite."""
    rows = len(values)
    step = max(1, CHUNK // max(1, values[:1].size))
    good = np.empty((min(step, rows), *values.shape[1:]), np.bool_)
    for a in range(0, rows, step):
        part = values[a : a + step]
        if not np.isfinite(part, out=good[: len(part)]).all():
            break
    else:
        return
    flat = values.reshape(rows, -1)  # [N, Q·H]
    nan, bad = np.isnan(flat), ~np.isfinite(flat)
    windows = np.flatnonzero(bad.any(axis=1))
    raise ForecastError(
        f"predict returned {what} with {int(nan.sum())} NaN and {int(bad.sum() - nan.sum())} infinite values in {len(windows)} of "
        f"{rows} windows, the first in row {int(windows[0])} of the batch; wanted finite values. Contexts hold NaN where a value is "
        f"missing: fill them, or replace what the model cannot forecast, before returning."
    )


def sort_crossings(quantiles: F32) -> tuple[F32, NDArray[np.int32]]:
    """Put quantiles [N, Q, H] in rising order along Q; return them and, int32 [N], how many steps of each window were not.

    Without crossings the array itself comes back; else a copy, in which only the crossing pairs are changed.
    """
    rows, levels, horizon = quantiles.shape
    count = np.zeros(rows, np.int32)
    if levels < 2 or rows == 0 or horizon == 0:
        return quantiles, count
    step = max(1, CHUNK // (levels * horizon))
    falls = np.empty((min(step, rows), levels, horizon), np.bool_)
    result = quantiles
    for a in range(0, rows, step):
        part = quantiles[a : a + step]
        # Whether each value is below that of the level before. In one long row, which is three times as fast as row by row; that also
        # compares each window's first level with the last of the window before, which lands in the dropped last place.
        fall, flat = falls[: len(part)], part.reshape(-1)  # [n, Q, H], [n·Q·H]
        np.less(flat[horizon:], flat[:-horizon], out=fall.reshape(-1)[:-horizon])
        if not fall[:, :-1].any():
            continue
        window, at = np.nonzero(fall[:, :-1].any(axis=1))  # pairs [K]
        if result is quantiles:
            result = quantiles.copy()
        result[a + window, :, at] = np.sort(part[window, :, at], axis=1)  # [K, Q]
        count[a : a + step] = np.bincount(window, minlength=len(part))
    return result, count


def to_quantiles(forecast: Forecast, levels: F64 | Sequence[float]) -> tuple[F32, F32]:
    """Return the forecast as (quantiles float32 [N, Q, H] at `levels`, mean float32 [N, H]); see the rule above.

    Arrays that need no change come back as they are, points as a read-only view.

    Raises:
        ForecastError: a level cannot be had from the only one given, or lies beyond float32.
    """
    asked = [float(level) for level in levels]
    values = forecast.values
    n, _, horizon = values.shape
    if forecast.kind == "points":
        return np.broadcast_to(values, (n, len(asked), horizon)), values[:, 0] if forecast.mean is None else forecast.mean
    if forecast.kind == "samples":
        mean = values.mean(axis=1, dtype=np.float64).astype(np.float32) if forecast.mean is None else forecast.mean
        return _from_samples(values, asked), mean
    given = [] if forecast.levels is None else forecast.levels.tolist()
    rules = [rule(given, level) for level in asked]
    mean = _apply(values, rule(given, 0.5)) if forecast.mean is None else forecast.mean
    if [r.base for r in rules] == list(range(len(given))) and not any(r.weight for r in rules):
        return values, mean
    out = np.empty((n, len(asked), horizon), np.float32)
    for index, each in enumerate(rules):
        out[:, index] = _apply(values, each)
    return out, mean


INTERVAL = (0.025, 0.975)
"""The levels of the interval score: those of the central 95 %."""


def with_interval(forecast: Forecast, levels: F64 | Sequence[float]) -> tuple[F32, F32, F64 | None]:
    """Quantiles and mean as `to_quantiles` gives them, and the quantiles [N, 2, H] at `INTERVAL` where they must not be had from those.

    gluonts takes them from the forecast itself: from the samples, or from the levels that the model gave. None where those are the
    asked levels, or points: there the scores extrapolate, with fewer roundings.
    """
    asked = [float(level) for level in levels]
    given = [] if forecast.levels is None else forecast.levels.tolist()
    same = len(given) == len(asked) and all(abs(a - b) < SAME for a, b in zip(given, asked, strict=True))
    if forecast.kind == "points" or same:
        return (*to_quantiles(forecast, asked), None)
    both, mean = to_quantiles(forecast, [*asked, *INTERVAL])
    return np.ascontiguousarray(both[:, : len(asked)]), mean, both[:, len(asked) :].astype(np.float64)


def _apply(values: F32, each: Rule) -> F32:
    if each.weight == 0.0:
        return values[:, each.base]
    wide = values[:, [each.base, each.low, each.high]].astype(np.float64)  # [N, 3, H]
    wide[:, 0] += each.weight * (wide[:, 2] - wide[:, 1])
    with np.errstate(over="ignore"):
        result: F32 = wide[:, 0].astype(np.float32)
    if not np.isfinite(result).all():
        raise ForecastError("a quantile on the tail of the forecast lies beyond float32 (3.4e38); return the asked levels themselves")
    return result


def _from_samples(samples: F32, asked: list[float]) -> F32:
    n, count, horizon = samples.shape
    index = [round((count - 1) * level) for level in asked]  # Python rounds halves to even, as gluonts does
    out = np.empty((n, len(asked), horizon), np.float32)
    step = max(1, CHUNK // (count * horizon))
    for a in range(0, n, step):
        paths = np.ascontiguousarray(samples[a : a + step].transpose(0, 2, 1))  # [n, H, S]
        paths.sort(axis=2)
        out[a : a + step] = paths[:, :, index].transpose(0, 2, 1)  # [n, Q, H]
    return out
