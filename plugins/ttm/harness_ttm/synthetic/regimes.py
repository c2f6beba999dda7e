"""Series without a calendar: mean reversion, near unit roots, switching levels, slopes and volatility, GARCH.

Most have no season and so none is declared; a model has to learn from these when the last value is the best forecast.
"""

from __future__ import annotations

import numpy as np

from ._parts import F32, Family, Generator, ar1, grouped, heavy, log_uniform, no_periods, normal, often, per_segment, segments, uniform


def reverting(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """Ornstein-Uhlenbeck paths with a half-life of 1 to 2,000 steps; some squared or exponentiated into skewed ones."""
    memory = np.exp(-np.log(2) / log_uniform(rng, 1, 2000, n)).astype(np.float32)
    shocks = np.where(often(rng, 0.3, n) > 0, heavy(rng, n, length), normal(rng, n, length))
    path = ar1(shocks * np.sqrt(1 - memory * memory), memory)
    path += often(rng, 0.3, n) * log_uniform(rng, 0.05, 1, n) * normal(rng, n, length)
    kind = rng.random((n, 1))
    out = np.where(kind < 0.15, np.exp(np.clip(path * uniform(rng, 0.3, 1, n), -4, 4)), path)
    return np.where(kind > 0.93, path * path, out).astype(np.float32), no_periods(n)


def switching(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """Two to forty levels, spreads or slopes, each kept for a random while; levels return when there are few."""
    stretch = segments(rng, n, length, log_uniform(rng, 20, length, n))
    states = 40
    count = np.round(log_uniform(rng, 2, states, n))
    number = np.floor(rng.random((n, states), dtype=np.float32) * count).astype(np.int64)
    pools = normal(rng, n, states), normal(rng, n, states), normal(rng, n, states)
    level, volatility, slope = (per_segment(np.take_along_axis(pool, number, axis=1), stretch) for pool in pools)
    noise = normal(rng, n, length)
    memory = uniform(rng, 0, 0.95, n) * often(rng, 0.5, n)
    noise = ar1(noise * np.sqrt(1 - memory * memory), memory)
    noise *= np.exp(volatility * uniform(rng, 0, 1, n)) * log_uniform(rng, 0.03, 1, n)
    climb = np.cumsum(slope, axis=1, dtype=np.float32) * log_uniform(rng, 1e-3, 0.05, n) * often(rng, 0.35, n)
    return np.asarray(level * often(rng, 0.7, n) * uniform(rng, 0.3, 3, n) + climb + noise, np.float32), no_periods(n)


def garch(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """Returns with GARCH(1, 1) volatility (Bollerslev 1986), left as they are or summed into prices."""
    z = np.ascontiguousarray(heavy(rng, n, length).T)  # [L, n]
    total = 1 - log_uniform(rng, 0.003, 0.3, n)[:, 0]
    alpha = total * uniform(rng, 0.03, 0.35, n)[:, 0]
    beta, omega = total - alpha, 1 - total
    variance = np.ones(n, np.float32)
    for t in range(length):
        z[t] *= np.sqrt(variance)
        variance = np.minimum(omega + alpha * np.minimum(z[t] * z[t], 50) + beta * variance, 100)
    returns = np.ascontiguousarray(z.T)
    returns += normal(rng, n, 1) * 0.05
    prices = np.cumsum(returns, axis=1, dtype=np.float32)
    rows = rng.random((n, 1))
    grown = np.exp(np.clip(prices * log_uniform(rng, 0.002, 0.03, n), -4, 4))
    out = np.where(rows < 0.3, returns, np.where(rows < 0.65, prices, grown))
    return np.where(rows > 0.93, np.abs(returns), out).astype(np.float32), no_periods(n)


def near_unit(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """AR(1) between stationary and explosive-looking, with a pull towards a mean that itself walks."""
    memory = 1 - log_uniform(rng, 5e-4, 0.1, n)
    goal = np.cumsum(normal(rng, n, length), axis=1, dtype=np.float32) * log_uniform(rng, 0.01, 1, n)
    path = ar1(normal(rng, n, length) + (1 - memory) * goal, memory)
    jumps = (rng.random((n, length), dtype=np.float32) < log_uniform(rng, 1e-4, 0.01, n)) * often(rng, 0.3, n)
    return np.asarray(path + ar1(jumps * normal(rng, n, 1) * 15, memory), np.float32), no_periods(n)


def generate(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """See `Family`; no row has a season."""
    return grouped(rng, n, length, ((reverting, 0.3), (switching, 0.3), (garch, 0.2), (near_unit, 0.2)))


FAMILY = Family("regimes", generate, "mean reversion, near unit roots, switching level, slope and volatility, GARCH")
