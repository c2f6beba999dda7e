"""Forecasts that need no training: naive, seasonal naive, drift, mean, window average.

Axes: N windows, Q quantile levels, H horizon. All models share these rules:

- A missing or infinite value takes the last finite value before it; leading ones take the first finite value after them; a context without
  any finite value counts as zeros.
- Quantiles are normal: point + z(q) · sigma_h, where sigma comes from the residuals of one-step (or one-season) forecasts within the
  context. Where the context is too short for a single residual, sigma is 0 and every quantile is the point.
- The mean is the point. Arithmetic is float64; results are float32, always finite, and do not depend on the other windows of the batch.

Formulas are those of statsforecast (Naive, SeasonalNaive, RandomWalkWithDrift, HistoricAverage); tests compare the two. To write a plugin
of your own, copy this folder: a class with `predict`, and `register_models` at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import NormalDist

import numpy as np

from harness import Batch, Forecast, ModelInfo, hookimpl
from harness.forecast import F32, F64, I64, Ragged

LARGEST = float(np.finfo(np.float32).max)
BLOCK = 1 << 17  # context values worked on at once: temporary arrays stay in the cache, and 70,000 steps × 512 windows fit in memory


class Baseline:
    """Cleans the contexts and turns (point, sigma) into quantiles; a model adds `fit`."""

    def predict(self, batch: Batch) -> Forecast:
        """Forecast every window: quantiles [N, Q, H] at the batch's levels and mean [N, H], in the unit of the context."""
        z = np.array([NormalDist().inv_cdf(level) for level in batch.quantile_levels.tolist()])  # [Q]
        quantiles = np.empty((len(batch), len(z), batch.horizon), np.float32)
        mean = np.empty((len(batch), batch.horizon), np.float32)
        for rows in blocks(batch.contexts):
            a, b = batch.contexts.offsets[rows.start], batch.contexts.offsets[rows.stop]
            begin = batch.contexts.offsets[rows.start : rows.stop + 1] - a
            y = filled(batch.contexts.values[a:b], begin)
            point, sigma = self.fit(y, begin, batch.horizon, batch.season_length)  # [N, H] each
            spread = z[None, :, None] * sigma[:, None, :]  # [N, Q, H]
            quantiles[rows] = np.clip(point[:, None, :] + spread, -LARGEST, LARGEST)
            mean[rows] = np.clip(point, -LARGEST, LARGEST)
        return Forecast.from_quantiles(quantiles, batch.quantile_levels, mean)

    def fit(self, y: F64, begin: I64, horizon: int, season_length: int) -> tuple[F64, F64]:
        """Return point and sigma_h, [N, H] each, for rows `y[begin[i]:begin[i + 1]]`; y is finite and no row is empty."""
        raise NotImplementedError


class SeasonalNaive(Baseline):
    """The value one season ago; sigma_h = sigma · sqrt(number of seasons ahead), sigma² = mean squared seasonal difference.

    A step whose season has no value yet (context shorter than the season) takes the last value.

    Args:
        season_length: m in steps; None is the task's.
    """

    def __init__(self, season_length: int | None = None) -> None:
        self.season_length = at_least_one(season_length, "season_length")

    def fit(self, y: F64, begin: I64, horizon: int, season_length: int) -> tuple[F64, F64]:
        m = self.season_length or season_length
        end, ahead = begin[1:, None], np.arange(horizon)
        source = end - m + ahead % m  # [N, H]
        point = y[np.where(source >= begin[:-1, None], source, end - 1)]
        sigma = residual_sigma(lagged_difference(y, m), begin, m)
        return point, sigma[:, None] * np.sqrt(ahead // m + 1)


class Naive(SeasonalNaive):
    """The last value; sigma_h = sigma · sqrt(h), sigma² = mean squared difference."""

    def __init__(self) -> None:
        super().__init__(season_length=1)


class Drift(Baseline):
    """The line through the first and the last value; sigma_h = sigma · sqrt(h · (1 + h / (n − 1)))."""

    def fit(self, y: F64, begin: I64, horizon: int, season_length: int) -> tuple[F64, F64]:  # noqa: ARG002
        steps = np.maximum(np.diff(begin) - 1, 1)
        first, last = y[begin[:-1]], y[begin[1:] - 1]
        slope = (last - first) / steps
        ahead = np.arange(1, horizon + 1)
        residual = lagged_difference(y, 1) - np.repeat(slope, np.diff(begin))
        sigma = residual_sigma(residual, begin, 1)
        return last[:, None] + slope[:, None] * ahead, sigma[:, None] * np.sqrt(ahead * (1 + ahead / steps[:, None]))


class Mean(Baseline):
    """The mean of the context; sigma_h = s · sqrt(1 + 1 / n), s the sample standard deviation."""

    def fit(self, y: F64, begin: I64, horizon: int, season_length: int) -> tuple[F64, F64]:  # noqa: ARG002
        n = np.diff(begin)
        mean = np.add.reduceat(y, begin[:-1]) / n
        squares = np.add.reduceat((y - np.repeat(mean, n)) ** 2, begin[:-1])
        sigma = np.sqrt(squares / np.maximum(n - 1, 1) * (1 + 1 / n))
        return np.repeat(mean[:, None], horizon, axis=1), np.repeat(sigma[:, None], horizon, axis=1)


class WindowAverage(Baseline):
    """The mean of the last w values (all, where there are fewer); sigma_h = sigma · sqrt(1 + (h − 1) / w²).

    sigma² is the mean squared error of the one-step window averages in the context. Its growth is that of simple exponential smoothing with
    alpha = 1 / w, since a window average has no model of its own: w = 1 gives `naive`, and for large w the interval hardly widens.

    Args:
        window_size: w in steps; None is the season length.
    """

    def __init__(self, window_size: int | None = None) -> None:
        self.window_size = at_least_one(window_size, "window_size")

    def fit(self, y: F64, begin: I64, horizon: int, season_length: int) -> tuple[F64, F64]:
        w = self.window_size or season_length
        low = np.maximum(begin[1:] - w, begin[:-1])
        edges = np.stack([low, begin[1:]], axis=1).reshape(-1)  # [2N] each row's last w values, then what lies between
        point = np.add.reduceat(np.append(y, 0.0), edges)[::2] / (begin[1:] - low)
        residual = np.zeros_like(y)
        if w < len(y):
            residual[w:] = y[w:] - trailing_sum(y, w)[w - 1 : -1] / w
        sigma = residual_sigma(residual, begin, w)
        return np.repeat(point[:, None], horizon, axis=1), sigma[:, None] * np.sqrt(1 + np.arange(horizon) / w**2)


def blocks(contexts: Ragged) -> list[slice]:
    """Cut the rows into runs of about `BLOCK` values; a longer row stands alone."""
    total = len(contexts.values)
    edges = np.searchsorted(contexts.offsets, np.arange(BLOCK, total, BLOCK))
    edges = np.unique(np.concatenate([[0], edges, [len(contexts)]]))
    return [slice(a, b) for a, b in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]


def filled(values: F32, begin: I64) -> F64:
    """Copy to float64 with missing values filled as the module says."""
    y = values.astype(np.float64)
    missing = np.flatnonzero(~np.isfinite(values))
    if len(missing) == 0:
        return y
    row = np.searchsorted(begin, missing, side="right") - 1
    edge = np.flatnonzero((np.diff(missing) > 1) | (np.diff(row) > 0)) + 1  # where the next gap of neighbouring missing values begins
    first = np.concatenate([[0], edge])
    before, after, row = missing[first] - 1, missing[np.append(edge, len(missing)) - 1] + 1, row[first]  # [gaps]
    leading, nothing = before < begin[row], (before < begin[row]) & (after == begin[row + 1])
    value = np.where(nothing, 0.0, y[np.where(nothing, 0, np.where(leading, after, before))])
    y[missing] = np.repeat(value, np.diff(np.append(first, len(missing))))
    return y


def lagged_difference(y: F64, lag: int) -> F64:
    """y[t] − y[t − lag], 0 for the first `lag` steps; where t − lag lies in the row before, `residual_sigma` skips it."""
    out = np.zeros_like(y)
    if lag < len(y):
        np.subtract(y[lag:], y[:-lag], out=out[lag:])
    return out


def trailing_sum(y: F64, width: int) -> F64:
    """Sum of the last `width` values at each step (short sums at the start), in log2(width) passes.

    A running total would be shorter and would let a row's rounding depend on the rows before it.
    """
    out, have, power = np.zeros_like(y), 0, y
    size = 1  # `power` holds the sums of the last `size` values
    while width:
        if width & 1:
            out[have:] += power[: len(y) - have]
            have += size
        width >>= 1
        if width:
            power = power + np.concatenate([np.zeros(size), power[:-size]])
            size *= 2
    return out


def residual_sigma(residual: F64, begin: I64, skip: int) -> F64:
    """sqrt(sum of squares / number) of each row's residuals after its first `skip` steps, 0 where none is left: [N]."""
    squares = residual * residual
    head = begin[:-1, None] + np.arange(min(skip, int(np.diff(begin).max())))  # [N, skip]
    squares[head[head < begin[1:, None]]] = 0.0
    sigma: F64 = np.sqrt(np.add.reduceat(squares, begin[:-1]) / np.maximum(np.diff(begin) - skip, 1))
    return sigma


def at_least_one(value: int | None, name: str) -> int | None:
    """Check a parameter that counts steps."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise ValueError(f"{name} got {value!r}; wanted a whole number of steps of at least 1, or nothing for the task's season length")
    return value


MODELS: dict[str, type[Baseline]] = {
    "naive": Naive,
    "seasonal_naive": SeasonalNaive,
    "drift": Drift,
    "mean": Mean,
    "window_average": WindowAverage,
}


@hookimpl
def register_models(register: Callable[[ModelInfo, Callable[..., Baseline]], None]) -> None:
    """Register the five models."""
    for name, model in MODELS.items():
        info = ModelInfo(
            name,
            summary=(model.__doc__ or "").split(";")[0],
            model_type="statistical",
            url="https://otexts.com/fpp3/simple-methods.html",
            license="Apache-2.0",
            parameters=0,
            output="quantiles",
            devices=("cpu",),
            install="pip install harness-baselines",
        )
        register(info, model)
