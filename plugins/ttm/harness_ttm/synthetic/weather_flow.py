"""Weather and rivers: temperature, wind, humidity-like bounded series, and flow fed by rain."""

from __future__ import annotations

import numpy as np

from ._parts import (
    F32,
    Family,
    Generator,
    ar1,
    cycles,
    grouped,
    harmonics,
    labelled,
    log_uniform,
    looked_up,
    normal,
    often,
    pick,
    slow,
    spread,
    uniform,
)

DAYS = (24, 24, 24, 48, 96, 144, 144, 288)  # steps in a day


def clock(rng: Generator, n: int) -> tuple[F32, F32, F32]:
    """Steps in a day (0 where a step is a day or longer), in a year, and whether there are hours at all, each [n, 1]."""
    hourly = often(rng, 0.65, n)
    day = pick(rng, DAYS, n)
    year = np.where(hourly > 0, day * 365.25, pick(rng, (365.25, 365.25, 52.18, 12), n))
    return np.where(hourly > 0, day, 0).astype(np.float32), year.astype(np.float32), hourly


def synoptic(rng: Generator, n: int, length: int, day: F32) -> F32:
    """Weather that passes in one to six days, [n, L], unit variance: AR(1) run through a second, shorter memory."""
    unit = np.where(day > 0, day, 1)
    memory = np.exp(-1 / (unit * log_uniform(rng, 0.6, 6, n))).astype(np.float32)
    path = ar1(normal(rng, n, length) * np.sqrt(1 - memory * memory), memory)
    smooth = np.exp(-1 / (unit * log_uniform(rng, 0.01, 0.4, n))).astype(np.float32)
    path = ar1(path * (1 - smooth), smooth)
    return np.asarray(path / np.maximum(spread(path), 1e-3), np.float32)


def temperature(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """Year, day (stronger under a clear sky and in summer), passing weather and noise."""
    day, year, hourly = clock(rng, n)
    annual = np.sin(2 * np.pi * cycles(year, length, uniform(rng, 0, 1, n)))
    weather = synoptic(rng, n, length, day)
    clear = np.clip(1 + uniform(rng, 0, 0.5, n) * slow(rng, n, length, np.maximum(day * 2, 5)) + uniform(rng, 0, 0.4, n) * annual, 0.1, 2.5)
    table = harmonics(rng, n)
    # Mostly one warm afternoon: half of the shape is a sine.
    table = 0.5 * table + 0.7 * np.sin(2 * np.pi * np.arange(table.shape[1], dtype=np.float32) / table.shape[1])[None]
    diurnal = looked_up(table, cycles(day, length, uniform(rng, 0, 1, n))) * log_uniform(rng, 0.8, 6, n) * hourly
    swing = uniform(rng, 2, 15, n)
    out = uniform(rng, -5, 25, n) + swing * annual + diurnal * clear + weather * log_uniform(rng, 0.4, 5, n)
    out += normal(rng, n, length) * log_uniform(rng, 0.02, 0.8, n)
    return np.asarray(out, np.float32), labelled(length, day, year, spread(diurnal), spread(annual) * swing)


def bounded(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """Humidity, cloud, pressure-like: weather and a day squeezed between bounds, some often at the upper one."""
    day, year, hourly = clock(rng, n)
    size = log_uniform(rng, 0.2, 2, n) * hourly
    diurnal = looked_up(harmonics(rng, n), cycles(day, length, uniform(rng, 0, 1, n))) * size
    annual = np.sin(2 * np.pi * cycles(year, length, uniform(rng, 0, 1, n))) * uniform(rng, 0, 1.5, n)
    x = synoptic(rng, n, length, day) + diurnal + annual + normal(rng, n, length) * log_uniform(rng, 0.01, 0.4, n)
    kind = rng.random((n, 1))
    squeezed = 100 / (1 + np.exp(-np.clip(x * uniform(rng, 0.5, 2, n) + uniform(rng, -1, 2, n), -20, 20)))
    capped = np.minimum(60 + 20 * x, 100)
    return np.select([kind < 0.4, kind < 0.65], [squeezed, capped], x).astype(np.float32), labelled(length, day, year, size, spread(annual))


def wind(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """Wind speed: a Gaussian path bent into a Weibull-like one, windier by day; a third is turned into power, which saturates."""
    day, year, hourly = clock(rng, n)
    size = log_uniform(rng, 0.05, 0.8, n) * hourly
    diurnal = np.sin(2 * np.pi * cycles(day, length, uniform(rng, 0, 1, n))) * size
    annual = np.sin(2 * np.pi * cycles(year, length, uniform(rng, 0, 1, n))) * uniform(rng, 0, 0.6, n)
    x = synoptic(rng, n, length, day) + diurnal + annual + normal(rng, n, length) * log_uniform(rng, 0.03, 0.5, n)
    # log(1 + e^x) behaves as -log(1 - Phi(x)) does and costs less; its root of 1.3 to 2.5 is the Weibull's shape.
    speed = np.log1p(np.exp(np.clip(1.5 * x, -20, 20))) ** (1 / uniform(rng, 1.3, 2.5, n)) * uniform(rng, 3, 9, n)
    power = np.clip((speed / 12) ** 3, 0, 1) * log_uniform(rng, 1, 100, n)
    return np.where(often(rng, 0.35, n) > 0, power, speed).astype(np.float32), labelled(length, day, year, size, spread(annual))


def flow(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """Rain in pulses through a fast and a slow store, each emptying exponentially; wet and dry seasons; some is the rain itself."""
    year = pick(rng, (365.25, 365.25, 52.18, 12, 8766), n)
    strength = uniform(rng, 0, 1.2, n)
    annual = np.sin(2 * np.pi * cycles(year, length, uniform(rng, 0, 1, n))) * strength
    wet = log_uniform(rng, 0.01, 0.3, n) * np.exp(annual)
    rain = rng.standard_exponential((n, length), dtype=np.float32) ** uniform(rng, 1, 2, n)
    rain *= rng.random((n, length), dtype=np.float32) < wet
    fast = np.exp(-1 / log_uniform(rng, 0.5, 15, n)).astype(np.float32)
    store = np.exp(-1 / log_uniform(rng, 20, 300, n)).astype(np.float32)
    share = uniform(rng, 0.1, 0.8, n)
    quick = ar1(rain * (1 - fast), fast)
    base = ar1(rain * (1 - store), store)
    river = (1 - share) * quick + share * base + log_uniform(rng, 1e-3, 0.2, n)
    river *= np.exp(normal(rng, n, length) * log_uniform(rng, 0.005, 0.15, n) + annual * 0.3)
    wetness = often(rng, 0.15, n)
    out = np.where(wetness > 0, rain, river) * log_uniform(rng, 1, 300, n)
    zero = np.zeros((n, 1), np.float32)
    # A year is worth declaring where it can be told from the rain.
    return out.astype(np.float32), labelled(length, year, zero, (strength > 0.4) * strength * (wetness == 0), zero)


def generate(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """See `Family`."""
    return grouped(rng, n, length, ((temperature, 0.35), (bounded, 0.2), (wind, 0.2), (flow, 0.25)))


FAMILY = Family("weather_flow", generate, "temperature, humidity, wind, rain and rivers")
