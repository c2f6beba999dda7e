"""Events, such as "the price is higher in five days": what happened, and how probable a forecast says it is; one rule for all.

Axes: N windows, Q quantile levels, S samples, H horizon, T context. An event (`harness.types.Event`) is that the value at one step of the
horizon lies above a threshold, which may follow from the last value of the window's context.

The rule, by the kind of the forecast:

* quantiles: the inverse of the rule of `harness.quantiles`. Between two given quantiles the distribution is a straight line, outside them
  it has the exponential tails that also give the quantiles there: the probability of being above the 0.9 quantile is 0.1. Quantiles that
  are all one value say no more than a point;
* samples: (k + ½) / (S + 1), where k of the S paths lie above the threshold, those that lie on it counted half, or whole where being at it
  is the event too: no finite number of paths makes anything certain;
* points: 1 above the threshold, 0 below, ½ on it, or 1 where that is the event too. A point says nothing of how sure it is: scores of
  probabilities punish that;
* probabilities: as they are given, for a model that was made for the event.

On the threshold: series are float32, so a value and the last one may both be off by half a unit of their last place. Where a threshold
other than the last value follows from it, what lies no further from it than both halves together is at it, a label as well as a forecast's
value: 21.21 after 21 has risen by 1 %, though float32 knows no 21.21. So prices and their logarithms have the outcomes of returns, as far
as they tell prices apart.

Limits: few quantiles know little of rare events (with deciles, all below 0.1 and above 0.9 rests on the tails), and only the distribution
at the event's step is used, so an event over several steps must be a value of the series, such as the highest price of five days.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from harness.forecast import F64, Forecast
from harness.types import Event

__all__ = ["happened", "newest", "outcomes", "probabilities", "threshold"]

NEAR = 1e-8
"""gluonts' tolerance in the logarithms of the tails, as in `harness.quantiles`."""


def threshold(event: Event, last: F64) -> F64:
    """What the value must exceed for the event to happen, float64 [N], after contexts whose last values these are (NaN: there is none).

    Infinite where it is no float any more: the event has no outcome then, as where it is NaN.
    """
    with np.errstate(over="ignore"):
        if event.relative == "ratio":
            return last * (1.0 + event.above)
        return last + event.above if event.relative == "difference" else np.full(last.shape, event.above)


def happened(event: Event, labels: ArrayLike, limit: F64) -> F64:
    """Whether the event happened, float64 [N] of 1 and 0, from labels [N, H] and thresholds [N]; NaN where one of them is missing.

    >>> happened(Event("up", step=2), [[0, 1], [0, 0], [0, -1]], np.zeros(3)).tolist()
    [1.0, 0.0, 0.0]
    >>> rise = Event("rise", above=0.01, relative="ratio", inclusive=True)
    >>> happened(rise, np.array([[21.21], [21.2]], np.float32), threshold(rise, np.array([21.0, 21.0]))).tolist()  # 21.21 is 21.2099991
    [1.0, 0.0]
    """
    value = np.asarray(labels, np.float64)[:, event.step - 1]
    near = _rounding(event, limit)
    above = value >= limit - near if event.inclusive else value > limit + near
    return np.where(np.isfinite(value) & np.isfinite(limit), above.astype(np.float64), np.nan)


def _rounding(event: Event, limit: F64) -> F64:
    """How far float32 may move a value that is at its threshold [N] away from it: half a unit of the value, and of the last one."""
    if not event.relative or not event.above:  # the threshold itself, or the last value: nothing is computed from what was rounded
        return np.zeros(limit.shape)
    with np.errstate(all="ignore"):
        times = 1.0 + event.above if event.relative == "ratio" else 1.0
        last = limit / times if event.relative == "ratio" else limit - event.above
        halves: F64 = 0.5 * (np.spacing(np.abs(limit).astype(np.float32)) + abs(times) * np.spacing(np.abs(last).astype(np.float32)))
    return np.where(np.isfinite(halves), halves, 0.0).astype(np.float64)


def outcomes(event: Event, values: ArrayLike) -> F64:
    """Whether the event happened after each step of a series [T], as if each were the last of a context: float64 [T], NaN where unknown.

    For models that learn to tell events: the last `step` steps of a part that is given for training have no outcome yet.

    >>> outcomes(Event("up", above=0.0, relative="difference"), [1, 2, 2, 1]).tolist()
    [1.0, 0.0, 0.0, nan]
    """
    series = np.asarray(values, np.float64).reshape(-1)
    found = np.full(len(series), np.nan)
    if len(series) > event.step:
        ahead = series[event.step :][:, None]
        step = Event(event.name, 1, event.above, event.relative, event.inclusive)
        found[: -event.step] = happened(step, ahead, threshold(event, newest(series))[: -event.step])
    return found


def newest(values: ArrayLike) -> F64:
    """The last finite value up to each step of a series [T], float64 [T], NaN before the first.

    >>> newest([np.nan, 1.0, np.nan, 2.0]).tolist()
    [nan, 1.0, 1.0, 2.0]
    """
    series = np.asarray(values, np.float64).reshape(-1)
    at = np.maximum.accumulate(np.where(np.isfinite(series), np.arange(len(series)), -1))  # [T] where it is
    return np.where(at >= 0, series[np.maximum(at, 0)], np.nan) if len(series) else series


def probabilities(forecast: Forecast, event: Event, limit: F64) -> F64:
    """P(event) of each window, float64 [N], by the rule above; ½ where the threshold [N] is NaN, as no label will count there."""
    if forecast.kind == "probabilities":
        return forecast.values[:, 0, 0].astype(np.float64)
    values = forecast.values[:, :, event.step - 1].astype(np.float64)  # [N, Q] or [N, S]
    near = _rounding(event, limit)
    if forecast.kind == "samples":
        chance = (_share_above(values, limit, near, event.inclusive) * values.shape[1] + 0.5) / (values.shape[1] + 1.0)
    elif forecast.kind == "points" or forecast.levels is None or len(forecast.levels) < 2:
        chance = _share_above(values, limit, near, event.inclusive)
    else:
        chance = 1.0 - _share_below(np.sort(values, axis=1), forecast.levels, limit, near, event.inclusive)
    return np.where(np.isfinite(limit), chance, 0.5)


def _share_above(values: F64, limit: F64, near: F64, inclusive: bool) -> F64:
    """Of values [N, S], the share above a threshold [N]; those on it, by up to `near` [N], count half, or wholly as part of the event."""
    low, high = (limit - near)[:, None], (limit + near)[:, None]
    above = values > high
    on = (values >= low) & ~above
    share: F64 = above.mean(axis=1) + (1.0 if inclusive else 0.5) * on.mean(axis=1)
    return share


def _share_below(values: F64, levels: F64, c: F64, near: F64, inclusive: bool) -> F64:
    """The distribution function at c [N] of rising quantiles [N, Q] at levels [Q], Q > 1; those within `near` [N] of c are at it.

    It rises with c: where a quantile is at c it is that quantile's level, which it comes up to below, and goes on from above.
    """
    n, q = values.shape
    rows = np.arange(n)
    on = (values >= (c - near)[:, None]) & (values <= (c + near)[:, None])
    moved = np.where(on, c[:, None], values)  # rising as before
    # How many quantiles lie below: those at c belong to what is above only if being at it is part of the event.
    at = ((moved < c[:, None]) if inclusive else (moved <= c[:, None])).sum(axis=1)
    inside = (at > 0) & (at < q)
    low, high = np.clip(at - 1, 0, q - 1), np.clip(at, 0, q - 1)
    a, b = moved[rows, low], moved[rows, high]
    # The tails begin at the outermost quantiles as they are: between two that are at c there would be no slope.
    first, last = np.where(on[:, 0], values[:, 0], c), np.where(on[:, -1], values[:, -1], c)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        part = np.where(b > a, (c - a) / (b - a), 0.0)
        between = levels[low] + part * (levels[high] - levels[low])
        # The tails of `harness.quantiles.rule`, solved for the level.
        slope_low = np.log((levels[1] + NEAR) / (levels[0] + NEAR) + NEAR)
        left = (levels[1] + NEAR) * np.exp((first - values[:, 1]) / (values[:, 1] - values[:, 0]) * slope_low)
        slope_high = np.log((1 - levels[-2] + NEAR) / (1 - levels[-1] + NEAR) + NEAR)
        right = 1 - (1 - levels[-2] + NEAR) * np.exp(-(last - values[:, -2]) / (values[:, -1] - values[:, -2]) * slope_high)
    flat_low, flat_high = values[:, 1] <= values[:, 0], values[:, -1] <= values[:, -2]
    left = np.where(flat_low, 0.0, np.clip(left, 0.0, levels[0]))
    right = np.where(flat_high, 1.0, np.clip(right, levels[-1], 1.0))
    found = np.where(inside, between, np.where(at == 0, left, right))
    point = values[:, 0] >= values[:, -1]  # one value for all levels
    alone = 1.0 - _share_above(values[:, :1], c, near, inclusive)
    return np.where(point, alone, found)
