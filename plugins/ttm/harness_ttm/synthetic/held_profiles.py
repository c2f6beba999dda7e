"""Held out: traffic-like days with two rush hours, weekends of another shape, and good and bad days.

Made from hour-of-day curves and a capacity, apart from the tables, blocks and masks of the training families.
"""

from __future__ import annotations

import numpy as np

from ._parts import F32, Family, Generator, ar1, labelled, log_uniform, normal, often, pick, uniform


def peak(hour: F32, centre: F32, rise: F32, fall: F32) -> F32:
    """A bell in hours that rises and falls at different speeds, without wrap."""
    width = np.where(hour < centre, rise, fall)
    return np.exp(-0.5 * ((hour - centre) / width) ** 2).astype(np.float32)


def generate(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """See `Family`; both periods are always there, the day first unless weekends differ more than hours do."""
    day = pick(rng, (24, 24, 48, 96, 96, 144, 288), n)
    t = np.arange(length, dtype=np.float32)[None] + np.floor(uniform(rng, 0, 7, n) * day)
    number = np.floor((t + 0.5) / day)
    hour = (t - number * day) * (24 / day)
    weekend = (number - 7 * np.floor((number + 0.5) / 7)) >= 5
    morning = peak(hour, uniform(rng, 6.5, 9.5, n), uniform(rng, 0.6, 1.5, n), uniform(rng, 1, 2.5, n)) * uniform(rng, 0.4, 1.3, n)
    evening = peak(hour, uniform(rng, 15.5, 19, n), uniform(rng, 1.2, 3, n), uniform(rng, 1, 2.5, n)) * uniform(rng, 0.4, 1.3, n)
    noon = peak(hour, uniform(rng, 12, 15, n), uniform(rng, 2, 4, n), uniform(rng, 2, 5, n))
    workday = morning + evening + uniform(rng, 0.1, 0.6, n) * noon
    quiet = noon * uniform(rng, 0.3, 1.1, n)
    load = np.where(weekend, quiet, workday) + log_uniform(rng, 0.02, 0.3, n)
    # A day's own factor, remembered from day to day.
    days = int(length / 24) + 9
    factor = np.exp(ar1(normal(rng, n, days), uniform(rng, 0, 0.9, n)) * log_uniform(rng, 0.01, 0.2, n))
    load = load * np.take_along_axis(factor, np.minimum(number, days - 1).astype(np.int64), axis=1)
    flow = load + np.sqrt(load) * normal(rng, n, length) * log_uniform(rng, 0.01, 0.25, n)
    # Speed or occupancy is the other face of the same days: it breaks down above a capacity.
    jam = uniform(rng, 0.8, 1.3, n)
    speed = 1 - 0.7 / (1 + np.exp(-np.clip((flow - jam) * uniform(rng, 4, 12, n), -30, 30)))
    values = np.where(often(rng, 0.3, n) > 0, speed, np.maximum(flow, 0)).astype(np.float32)
    within = workday.std(axis=1, keepdims=True)
    between = np.abs(np.where(weekend, np.float32(0), workday).mean(axis=1) / 0.71 - np.where(weekend, quiet, 0).mean(axis=1) / 0.29)
    return values, labelled(length, day, 7 * day, within, 0.45 * between[:, None].astype(np.float32))


FAMILY = Family("held_profiles", generate, "double-peaked days with another shape at weekends and day-level memory", held_out=True)
