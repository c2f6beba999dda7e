"""Counts: seasonal Poisson and negative binomial, intermittent demand, cumulative and epidemic sums.

Intermittent demand follows Croston's picture (1972): sizes at intervals, both changing slowly.
"""

from __future__ import annotations

import numpy as np

from ._parts import (
    F32,
    Family,
    Generator,
    ar1,
    cycles,
    drawn_pairs,
    grouped,
    labelled,
    log_uniform,
    looked_up,
    normal,
    often,
    per_block,
    pick,
    seasonal_table,
    slow,
    spread,
    steps,
    uniform,
)


def counted(rng: Generator, rate: F32) -> F32:
    """Poisson draws [n, L] of the rates; from 60 on the rounded normal, which is several times faster and looks the same."""
    z = rng.standard_normal(rate.shape, dtype=np.float32)
    out = np.maximum(np.round(rate + np.sqrt(rate) * z), 0)
    low = rate < 60
    out[low] = rng.poisson(rate[low])
    return np.asarray(out, np.float32)


def wave(rng: Generator, n: int, length: int) -> tuple[F32, F32, F32]:
    """log-rate of one or two seasons and a slow path, [n, L], and the periods and seasons' presence."""
    short, long = drawn_pairs(rng, n)
    strength = log_uniform(rng, 0.1, 1.2, n) * often(rng, 0.8, n)
    long_strength = strength * log_uniform(rng, 0.2, 1.5, n) * (long > 0) * often(rng, 0.8, n)
    one = looked_up(seasonal_table(rng, n), cycles(short, length, uniform(rng, 0, 1, n))) * strength
    two = looked_up(seasonal_table(rng, n), cycles(long, length, uniform(rng, 0, 1, n))) * long_strength
    path = slow(rng, n, length, log_uniform(rng, length / 30, length, n)) * log_uniform(rng, 0.03, 1, n)
    return np.asarray(one + two + path, np.float32), labelled(length, short, long, spread(one), spread(two)), strength


def seasonal(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """Poisson or over-dispersed counts around a seasonal rate of .1 to 3,000 a step."""
    log_rate, periods, _ = wave(rng, n, length)
    memory = uniform(rng, 0, 0.9, n)
    extra = ar1(normal(rng, n, length) * np.sqrt(1 - memory * memory), memory) * log_uniform(rng, 0.02, 0.8, n) * often(rng, 0.6, n)
    rate = np.exp(np.clip(log_rate + extra, -5, 3)) * log_uniform(rng, 0.1, 3000, n)
    rate *= np.where(often(rng, 0.1, n) > 0, rng.random((n, length)) > uniform(rng, 0.02, 0.5, n), 1)
    return counted(rng, rate.astype(np.float32)), periods


def intermittent(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """Mostly zeros: a demand now and then, of a size with a long tail, more often or larger in season."""
    log_rate, periods, strength = wave(rng, n, length)
    chance = np.clip(log_uniform(rng, 0.02, 0.8, n) * np.exp(np.clip(log_rate, -4, 2)), 0, 0.98)
    happens = rng.random((n, length), dtype=np.float32) < chance
    size = np.exp(normal(rng, n, length) * log_uniform(rng, 0.05, 1.2, n) + log_uniform(rng, 0.05, 4, n))
    weak = (strength < 0.4)[:, 0]  # at such rates one cannot see it
    periods[weak] = 0
    return (happens * np.ceil(size)).astype(np.float32), periods


def cumulative(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """Epidemics: two or three waves of cases, reported less at weekends; new cases, or their sum so far."""
    t, cases = steps(length), np.zeros((n, length), np.float32)
    scale = log_uniform(rng, 4, length / 10, n)
    for _ in range(3):
        z = np.clip((t - uniform(rng, -0.1, 1.1, n) * length) / (scale * log_uniform(rng, 0.5, 2, n)), -30, 30)
        cases += log_uniform(rng, 0.05, 1, n) / (np.exp(z / 2) + np.exp(-z / 2)) ** 2
    cases = cases + log_uniform(rng, 1e-3, 0.3, n) * 0.1
    cases *= log_uniform(rng, 30, 1e5, n) / cases.max(axis=1, keepdims=True)
    week = pick(rng, (7, 7, 7, 5, 12, 24), n)
    dip = np.minimum(np.exp(normal(rng, n, 7) * log_uniform(rng, 0.03, 0.8, n)), 3).astype(np.float32)
    turns = cycles(week, length, uniform(rng, 0, 1, n))
    cases *= per_block(dip, np.floor(turns * 7))
    new = counted(rng, cases * np.exp(normal(rng, n, length) * log_uniform(rng, 0.01, 0.4, n)))
    summed = often(rng, 0.6, n)
    total = np.cumsum(new, axis=1, dtype=np.float64)
    out = np.where(summed > 0, total, new).astype(np.float32)
    zero = np.zeros((n, 1), np.float32)
    return out, labelled(length, week, zero, (summed == 0) * spread(dip) * (spread(dip) > 0.1), zero)


def generate(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """See `Family`."""
    return grouped(rng, n, length, ((seasonal, 0.5), (intermittent, 0.25), (cumulative, 0.25)))


FAMILY = Family("counts", generate, "Poisson and over-dispersed counts, intermittent demand, cumulative cases")
