"""The textbook processes: random walks, ARIMA with seasonal terms, exponential smoothing with seasons, local level.

Recursions run over time with all series side by side. Multiplicative smoothing is the additive one in logarithms.
Formulae: Hyndman and Athanasopoulos, Forecasting: Principles and Practice; Hyndman et al. 2008 for the state space form.
"""

from __future__ import annotations

import numpy as np

from ._parts import (
    F32,
    Family,
    Generator,
    ar1,
    cycles,
    grouped,
    heavy,
    labelled,
    log_uniform,
    looked_up,
    no_periods,
    normal,
    often,
    seasonal_table,
    spread,
    steps,
    uniform,
)

PERIODS = np.asarray((4, 5, 7, 12, 12, 24, 24, 30, 48, 52, 96, 168), np.int64)


def drawn(rng: Generator, n: int) -> F32:
    return PERIODS[rng.integers(len(PERIODS), size=(n, 1))].astype(np.float32)


def walks(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """Random walks with drift, half with a fixed season and half with noise of measurement; one in four is exponentiated."""
    shocks = np.where(often(rng, 0.3, n) > 0, heavy(rng, n, length), normal(rng, n, length))
    drift = log_uniform(rng, 0.003, 0.6, n) * np.sign(uniform(rng, -1, 1, n)) * often(rng, 0.7, n)
    path = np.cumsum(shocks + drift, axis=1, dtype=np.float32)
    path += often(rng, 0.4, n) * log_uniform(rng, 0.3, 20, n) * normal(rng, n, length)
    period = drawn(rng, n)
    season = looked_up(seasonal_table(rng, n), cycles(period, length)) * log_uniform(rng, 0.5, 15, n) * often(rng, 0.5, n)
    path += season
    grown = np.exp(np.clip(path * log_uniform(rng, 0.002, 0.05, n), -5, 5))
    return np.where(often(rng, 0.25, n) > 0, grown, path).astype(np.float32), labelled(
        length, period, period, spread(season), spread(season)
    )


def arima(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """ARIMA(2, d, 1) with a seasonal AR term: poles drawn inside the unit circle, d of 0, 1 or (seldom) 2."""
    shocks = np.where(often(rng, 0.2, n) > 0, heavy(rng, n, length), normal(rng, n, length))
    shocks[:, 1:] += uniform(rng, -0.8, 0.8, n) * shocks[:, :-1]
    radius, angle = 1 - log_uniform(rng, 0.01, 0.9, n), np.pi * uniform(rng, 0, 1, n) ** 2
    complex_pair = often(rng, 0.4, n)
    other = uniform(rng, -0.6, 0.7, n)
    first = np.where(complex_pair > 0, 2 * radius * np.cos(angle), radius + other)[:, 0]
    second = np.where(complex_pair > 0, -radius * radius, -radius * other)[:, 0]
    period = drawn(rng, n)
    pull = (1 - log_uniform(rng, 0.003, 0.6, n)) * often(rng, 0.5, n)
    warm = 2 * int(PERIODS.max())
    # The seasonal AR term first (its memory is one value per place in the season), then the two poles.
    seasonal = seasonal_ar(np.concatenate([normal(rng, n, warm), shocks], axis=1), period, pull)
    x = np.ascontiguousarray(seasonal.T)  # [warm + L, n]
    for t in range(2, len(x)):
        x[t] += first * x[t - 1] + second * x[t - 2]
    path = np.ascontiguousarray(x[warm:].T)
    order = rng.random((n, 1))
    once = np.cumsum(path + normal(rng, n, 1) * 0.1, axis=1, dtype=np.float32)
    out = np.where(order < 0.45, path, once)
    twice = np.flatnonzero(order[:, 0] > 0.95)
    out[twice] = np.cumsum(once[twice], axis=1, dtype=np.float32) * 0.05
    # Only a strong pull makes a season that one would call so, and only where summing has not drowned it.
    clear = ((pull > 0.85) & (order < 0.45)).astype(np.float32)
    return out.astype(np.float32), labelled(length, period, period, clear, clear)


def seasonal_ar(shocks: F32, period: F32, pull: F32) -> F32:
    """x[t] = pull x[t - period] + shocks[t], [n, L], period by period for the rows that share one."""
    out = shocks.copy()
    for p in np.unique(period):
        rows = np.flatnonzero(period[:, 0] == p)
        step, some, keep = int(p), out[rows], pull[rows]
        for t in range(step, some.shape[1], step):
            end = min(t + step, some.shape[1])
            some[:, t:end] += keep * some[:, t - step : end - step]
        out[rows] = some
    return out


def smoothing(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """Exponential smoothing with damped trend and a season that drifts; half multiplicative (the same in logarithms)."""
    period = drawn(rng, n)
    # The single source of error makes level, trend and season all sums of filtered shocks: no recursion over states is needed.
    shocks = normal(rng, n, length)
    alpha = log_uniform(rng, 0.01, 1, n)
    damping = 1 - log_uniform(rng, 0.002, 0.2, n)
    slope = ar1(np.concatenate([normal(rng, n, 1) * 2, shocks[:, :-1]], axis=1) * alpha * log_uniform(rng, 0.003, 0.3, n), damping)
    level = np.cumsum(alpha * shocks + slope * often(rng, 0.6, n), axis=1, dtype=np.float32)
    gamma = log_uniform(rng, 0.001, 0.2, n)
    strength = log_uniform(rng, 0.5, 12, n) * often(rng, 0.8, n)
    start = looked_up(seasonal_table(rng, n), cycles(period, length)) * strength
    moves = seasonal_ar(gamma * shocks, period, np.ones((n, 1), np.float32))
    season = (start + moves) * (strength > 0)
    path = level + season + shocks * log_uniform(rng, 0.2, 1, n)
    deviation = np.maximum(spread(path), 1e-3)
    grown = np.exp(np.clip(path / deviation * log_uniform(rng, 0.1, 1.0, n), -5, 5))
    return np.where(often(rng, 0.5, n) > 0, grown, path).astype(np.float32), labelled(length, period, period, strength, strength)


def local_level(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """A random walk seen through noise, from nearly all noise to nearly all walk; some with a straight trend."""
    walk = np.cumsum(normal(rng, n, length), axis=1, dtype=np.float32) * log_uniform(rng, 0.005, 1, n)
    line = steps(length) * log_uniform(rng, 1e-4, 0.1, n) * np.sign(uniform(rng, -1, 1, n)) * often(rng, 0.5, n)
    return np.asarray(walk + line + normal(rng, n, length), np.float32), no_periods(n)


def generate(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """See `Family`."""
    return grouped(rng, n, length, ((walks, 0.3), (arima, 0.25), (smoothing, 0.33), (local_level, 0.12)))


FAMILY = Family("arima_ets", generate, "random walks, seasonal ARIMA, exponential smoothing with seasons, local level")
