"""Machines and timetables: square and saw-tooth waves, pulses, schedules by weekday, loads with idle time, sunshine, steps, ramps."""

from __future__ import annotations

import numpy as np

from ._parts import (
    F32,
    Family,
    Generator,
    ar1,
    blocks,
    bumps,
    cycles,
    days_and_weeks,
    drawn_pairs,
    grouped,
    labelled,
    log_uniform,
    looked_up,
    no_periods,
    normal,
    often,
    per_block,
    per_segment,
    pick,
    segments,
    spread,
    steps,
    uniform,
    wrapped,
)


def waves(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """Square, saw-tooth, triangle and pulse waves, half of them changing height from cycle to cycle."""
    period, _ = drawn_pairs(rng, n, 0.6)
    turns = cycles(period, length, uniform(rng, 0, 1, n))
    x, kind, duty = wrapped(turns), rng.integers(4, size=(n, 1)), uniform(rng, 0.05, 0.9, n)
    square = (x < duty).astype(np.float32)
    saw = np.where(x < duty, x / duty, (1 - x) / (1 - duty))
    pulse = np.exp(-x * log_uniform(rng, 3, 60, n))
    wave = np.select([kind == 0, kind == 1, kind == 2], [square, saw, np.where(duty > 0.5, x, 1 - x)], pulse).astype(np.float32)
    height = 1 + 0.3 * normal(rng, n, 400) * often(rng, 0.5, n)
    out = wave * per_block(height, np.floor(turns))
    out += log_uniform(rng, 0.003, 0.5, n) * normal(rng, n, length) * often(rng, 0.8, n)
    one = np.ones((n, 1), np.float32)
    return np.asarray(out, np.float32), labelled(length, period, period, one, one)


def schedules(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """A daily profile on some weekdays, little or nothing on the others; a base load; noise when it is on."""
    day, week = days_and_weeks(rng, n)
    turns = cycles(day, length, np.floor(uniform(rng, 0, 7, n)) + uniform(rng, 0, 1, n))
    table = np.where(often(rng, 0.6, n) > 0, blocks(rng, n), bumps(rng, n))
    table -= table.min(axis=1, keepdims=True)
    size = np.maximum(1 + 0.1 * normal(rng, n, 7), 0.2) * np.where(np.arange(7) < 5, 1, uniform(rng, 0, 1, n) * often(rng, 0.7, n))
    # One in five rows has days off of its own instead of a weekend.
    size = np.where(often(rng, 0.2, n) > 0, rng.random((n, 7)) < 0.7, size).astype(np.float32)
    number = np.floor(turns)
    mask = per_block(size, number)
    active = looked_up(table, turns) * mask
    jitter = np.maximum(1 + log_uniform(rng, 0.01, 0.3, n) * normal(rng, n, 500), 0)
    out = active * per_block(jitter, number) * (1 + log_uniform(rng, 0.01, 0.4, n) * normal(rng, n, length))
    out += log_uniform(rng, 0.005, 0.1, n) * normal(rng, n, length) * often(rng, 0.7, n) + uniform(rng, 0, 2, n)
    # Strength of the week: how far the days differ; of the day: the profile on an average day.
    return np.asarray(out, np.float32), labelled(length, day, week, spread(table) * size.mean(axis=1, keepdims=True), spread(mask))


def machines(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """Runs at a few loads with idle zeros between, some with a duty cycle inside the run (the period that is declared)."""
    stretch = segments(rng, n, length, log_uniform(rng, 8, 400, n))
    loads = np.round(uniform(rng, 1, 6, n) * rng.random((n, 64), dtype=np.float32)) + 0.1 * normal(rng, n, 64)
    loads *= rng.random((n, 64), dtype=np.float32) > uniform(rng, 0.1, 0.6, n)
    load = per_segment(loads.astype(np.float32), stretch)
    period = log_uniform(rng, 4, 200, n)
    duty = often(rng, 0.5, n)
    wave = (wrapped(cycles(period, length)) < uniform(rng, 0.2, 0.8, n)).astype(np.float32)
    load *= 1 + duty * (wave * uniform(rng, 0.3, 1, n) - 0.5)
    inertia = uniform(rng, 0, 0.9, n) * often(rng, 0.4, n)
    out = ar1(load * (1 - inertia), inertia)
    out += log_uniform(rng, 0.005, 0.3, n) * normal(rng, n, length) * (load != 0)
    return np.asarray(out, np.float32), labelled(length, period, period, duty, duty)


def sunshine(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """Solar-like days: zero at night, a bow by day, made smaller by clouds; the day's length drifts with the year."""
    day = pick(rng, (24, 24, 24, 48, 96, 96, 144, 288), n)
    turns = cycles(day, length, uniform(rng, 0, 1, n))
    year = np.sin(2 * np.pi * (turns / 365.25 + uniform(rng, 0, 1, n)))
    bow = np.maximum(np.cos(2 * np.pi * turns) - uniform(rng, -0.3, 0.5, n) + uniform(rng, 0, 0.35, n) * year, 0)
    bow = bow ** uniform(rng, 0.7, 1.6, n) * (1 + uniform(rng, 0, 0.4, n) * year)
    # Whole days are dull or bright, with some memory, and within the day clouds pass.
    days = ar1(normal(rng, n, 600), uniform(rng, 0, 0.7, n))
    bright = 1 / (1 + np.exp(-uniform(rng, 0.3, 2, n) * days - uniform(rng, 0, 2, n)))
    cloud = ar1(normal(rng, n, length), uniform(rng, 0.3, 0.97, n)) * log_uniform(rng, 0.01, 0.5, n)
    out = bow * per_block(bright.astype(np.float32), np.floor(turns)) * np.clip(1 + cloud, 0.05, 1.4)
    zero = np.zeros((n, 1), np.float32)
    return np.asarray(out, np.float32), labelled(length, day, zero, zero + 1, zero)


def jumps(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """Stairs, ramps that break or fall back, and rare spikes that decay; no season."""
    stretch = segments(rng, n, length, log_uniform(rng, 15, length, n))
    level = normal(rng, n, 256)
    level = np.where(often(rng, 0.4, n) > 0, np.cumsum(level, axis=1), level).astype(np.float32)
    start = per_segment(level, stretch)
    edge = np.diff(stretch, axis=1, prepend=stretch[:, :1]) > 0
    since = steps(length) - np.maximum.accumulate(np.where(edge, steps(length), 0), axis=1)
    ramp = since * per_segment(normal(rng, n, 64), stretch) * log_uniform(rng, 1e-3, 0.05, n) * often(rng, 0.4, n)
    hits = (rng.random((n, length), dtype=np.float32) < log_uniform(rng, 5e-4, 0.03, n)) * often(rng, 0.5, n)
    spikes = ar1(hits * rng.standard_exponential((n, length), dtype=np.float32), uniform(rng, 0, 0.95, n)) * uniform(rng, 1, 6, n)
    noise = normal(rng, n, length) * log_uniform(rng, 0.005, 0.5, n)
    return np.asarray(start * often(rng, 0.75, n) + ramp + spikes + noise, np.float32), no_periods(n)


def generate(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """See `Family`."""
    return grouped(rng, n, length, ((waves, 0.2), (schedules, 0.3), (machines, 0.12), (sunshine, 0.2), (jumps, 0.18)))


FAMILY = Family("steps_profiles", generate, "waves, pulses, weekday schedules, machine loads, sunshine, stairs and ramps")
