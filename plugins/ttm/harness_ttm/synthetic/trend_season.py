"""Trend, seasons and noise, added or multiplied.

ForecastPFN (Dooley et al. 2023) showed that series put together so carry over to real ones. Here the seasons are free shapes, the
longer season may be weekdays against weekends, days off occur, and the noise may follow the level.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ._parts import (
    F32,
    Family,
    Generator,
    ar_noise,
    cycles,
    drawn_pairs,
    heavy,
    labelled,
    log_uniform,
    looked_up,
    normal,
    often,
    per_block,
    pick,
    seasonal_table,
    slow,
    some,
    spread,
    steps,
    uniform,
)


def broken(x: F32) -> F32:
    """A line that bends at 0 and at 1."""
    return np.asarray(np.abs(x) - 1.5 * np.maximum(x - 1, 0), np.float32)


def growing(x: F32) -> F32:
    return np.exp(np.minimum(x, 3))


def damped(x: F32) -> F32:
    return -np.exp(-np.maximum(x, -3))


SHAPES: tuple[Callable[[F32], F32], ...] = (np.positive, growing, np.tanh, damped, broken)


def trend(rng: Generator, n: int, length: int) -> F32:
    """Paths [n, L] of about unit range: flat, linear, exponential, logistic, damped, broken, or smooth and random."""
    kind = rng.integers(7, size=(n, 1))
    # The time scale is free, for crops of 30 points and of 2,000 should both see bends.
    x = (steps(length) - uniform(rng, 0, length, n)) / log_uniform(rng, 30, 2 * length, n)
    sign = np.sign(uniform(rng, -1, 1, n))
    out = np.zeros((n, length), np.float32)
    for k, shape in enumerate(SHAPES, 1):
        rows = np.flatnonzero(kind[:, 0] == k)
        out[rows] = sign[rows] * shape(x[rows])
    rows = np.flatnonzero(kind[:, 0] == 6)
    out[rows] = slow(rng, len(rows), length, log_uniform(rng, length / 30, length, len(rows)))
    return out


def weekdays(rng: Generator, n: int, ratio: F32) -> F32:
    """Level of each day of the week, [n, 16]: the last two (or the last) lower or higher than the rest, and a little of their own."""
    day = np.arange(16, dtype=np.float32)[None]
    off = day >= ratio - np.where(ratio >= 6, pick(rng, (1, 2, 2, 2), n), 1)
    return (off * uniform(rng, -2.5, 0.7, n) + normal(rng, n, 16) * log_uniform(rng, 0.02, 0.7, n)).astype(np.float32)


def seasons(rng: Generator, n: int, length: int) -> tuple[F32, F32, F32, F32]:
    """Short and long season [n, L] and their periods [n, 1]."""
    short, long = drawn_pairs(rng, n)
    start = uniform(rng, 0, 1, n)
    ratio = np.where(long > 0, np.round(long / short), 1).astype(np.float32)
    turns = cycles(short, length, start + np.floor(uniform(rng, 0, 1, n) * ratio))
    one = looked_up(seasonal_table(rng, n), turns)
    by_day = (ratio[:, 0] > 1) & (ratio[:, 0] <= 14) & (rng.random(n) < 0.75)
    two = np.zeros((n, length), np.float32)
    rows = np.flatnonzero((long[:, 0] > 0) & ~by_day)
    two[rows] = looked_up(seasonal_table(rng, len(rows)), cycles(long[rows], length, uniform(rng, 0, 1, len(rows))))
    weekly = np.flatnonzero(by_day)
    if len(weekly):
        r = ratio[weekly]
        day = np.floor(turns[weekly])
        day -= np.floor(day / r) * r
        level = weekdays(rng, len(weekly), r)
        # Weekends have a level of their own, and often a flatter or another shape.
        two[weekly] = per_block(level, day)
        off = (day >= r - 2) * often(rng, 0.6, len(weekly))
        other = looked_up(seasonal_table(rng, len(weekly)), turns[weekly]) * uniform(rng, 0, 1, len(weekly))
        one[weekly] += off * (uniform(rng, 0.1, 1, len(weekly)) * one[weekly] + other * 0.6 - one[weekly])
    return one, two, short, long


def days_off(rng: Generator, n: int, length: int, period: F32, season: F32) -> F32:
    """What to add [n, L] for a few whole cycles without their season or at another level; cycles are those of `period`."""
    count = length // 4 + 2
    rate = log_uniform(rng, 0.003, 0.04, n) * (period >= 5)
    chosen = (rng.random((n, count), dtype=np.float32) < rate).astype(np.float32)
    mask = per_block(chosen, np.minimum(np.floor(cycles(period, length)), count - 1))
    return np.asarray(mask * (uniform(rng, -2, 1, n) - season * uniform(rng, 0, 1, n)), np.float32)


def generate(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """See `Family`; every row has a season."""
    one, two, short, long = seasons(rng, n, length)
    two *= log_uniform(rng, 0.15, 2.0, n) * often(rng, 0.85, n)
    strengths = spread(one), spread(two)
    rows = some(rng, 0.5, n)
    breath = slow(rng, len(rows), length, log_uniform(rng, length / 20, length, len(rows)))
    # No more than 1 - .9: a season does not turn over.
    one[rows] *= 1 + uniform(rng, 0.05, 0.5, len(rows)) * np.clip(breath, -1.8, 3)
    season = one + two
    rows = some(rng, 0.25, n)
    season[rows] += days_off(rng, len(rows), length, short[rows], one[rows])
    path = trend(rng, n, length) * log_uniform(rng, 0.05, 5, n)
    size = log_uniform(rng, 0.02, 1.5, n)
    noise = ar_noise(rng, n, length)
    rows = some(rng, 0.2, n)
    noise[rows] = heavy(rng, len(rows), length)
    noise *= size
    # Noise that is larger at the season's top, and noise that comes and goes.
    noise *= 1 + often(rng, 0.3, n) * 0.45 * np.clip(season, -2, 4)
    values = path + season + noise + uniform(rng, -3, 12, n) * often(rng, 0.7, n)
    rows = some(rng, 0.5, n)
    depth = log_uniform(rng, 0.1, 0.8, len(rows))
    values[rows] = np.exp(np.clip((path[rows] * 0.5 + season[rows] + noise[rows]) * depth, -6, 6))
    return values, labelled(length, short, long, *strengths)


FAMILY = Family("trend_season", generate, "trend with one or two seasons, weekdays and weekends, days off, noise by level")
