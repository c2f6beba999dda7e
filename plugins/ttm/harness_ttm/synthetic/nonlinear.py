"""Held out: chaos, delay, coupled oscillators and drifting frequency. Made with no part of the other families' seasons."""

from __future__ import annotations

import numpy as np

from ._parts import F32, Family, Generator, grouped, labelled, log_uniform, no_periods, normal, slow, standardised, steps, uniform


def seen(rng: Generator, path: F32) -> F32:
    """A standardised path with noise of measurement, from almost none to a third."""
    n, length = path.shape
    return standardised(path) + normal(rng, n, length) * log_uniform(rng, 0.01, 0.33, n)


def logistic(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """The logistic map, chaotic, each value held for one to twelve steps and smoothed."""
    hold = int(rng.integers(1, 13))
    r, x = uniform(rng, 3.6, 3.99, n)[:, 0], uniform(rng, 0.1, 0.9, n)[:, 0]
    by_time = np.empty((length // hold + 2, n), np.float32)
    for t in range(len(by_time)):
        x = r * x * (1 - x)
        by_time[t] = x
    at = np.arange(length) / hold
    left = at.astype(int)
    part = (at - left).astype(np.float32)[:, None]
    path = by_time[left] * (1 - part) + by_time[left + 1] * part
    return seen(rng, np.ascontiguousarray(path.T)), no_periods(n)


def lorenz(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """One coordinate of Lorenz's system (1963), Euler steps of .01, at three speeds of sampling."""
    every = int(rng.integers(1, 4))
    state = normal(rng, 3, n) * 5 + np.asarray([[0], [0], [25]], np.float32)
    rho = uniform(rng, 26, 34, n)[:, 0]
    out = np.empty((length, n), np.float32)
    which = rng.integers(3, size=n)
    for t in range(-300 // every, length):
        for _ in range(every):
            x, y, z = state
            state += np.float32(0.01) * np.stack([10 * (y - x), x * (rho - z) - y, x * y - np.float32(8 / 3) * z])
        if t >= 0:
            out[t] = np.take_along_axis(state, which[None], axis=0)[0]
    return seen(rng, np.ascontiguousarray(out.T)), no_periods(n)


def mackey_glass(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """The Mackey-Glass delay equation (1977) with one step a unit and a delay of 14 to 40, quasi-periodic to chaotic."""
    delay, rows = rng.integers(14, 41, size=n), np.arange(n)
    x = np.empty((length + 240, n), np.float32)
    x[:40] = uniform(rng, 0.4, 1.4, n)[:, 0] + 0.05 * normal(rng, 40, n)
    for t in range(40, len(x)):
        late = x[t - delay, rows]
        x[t] = 0.9 * x[t - 1] + 0.2 * late / (1 + late**10)
    return seen(rng, np.ascontiguousarray(x[240:].T)), no_periods(n)


def oscillators(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """Three phase oscillators that pull at one another (Kuramoto 1975); their sum has no exact period, so none is declared."""
    rate = 2 * np.pi / log_uniform(rng, 8, 200, n)[:, 0] * np.exp(0.3 * normal(rng, 3, n))
    angle = 2 * np.pi * rng.random((3, n), dtype=np.float32)
    pull = log_uniform(rng, 0.001, 0.1, n)[:, 0]
    out = np.empty((length, n), np.float32)
    for t in range(length):
        together = np.sin(angle - np.roll(angle, 1, axis=0)) + np.sin(angle - np.roll(angle, 2, axis=0))
        angle = angle + rate - pull * together
        out[t] = np.sin(angle).sum(axis=0)
    return seen(rng, np.ascontiguousarray(out.T)), no_periods(n)


def drifting(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """Waves whose frequency drifts up to a third either way; the middle period is declared when the drift is under 3 %."""
    period, depth = log_uniform(rng, 6, length / 8, n), log_uniform(rng, 0.003, 0.33, n)
    line = (2 * steps(length) / length - 1) * np.sign(uniform(rng, -1, 1, n))
    wander = np.where(uniform(rng, 0, 1, n) < 0.5, line, np.clip(slow(rng, n, length, uniform(rng, length / 8, length, n)) / 2, -1, 1))
    angle = 2 * np.pi * np.cumsum((1 + depth * wander) / period, axis=1, dtype=np.float64)
    sharp = uniform(rng, 0, 1.5, n)
    path = np.sin(angle + sharp * np.sin(angle)) * (1 + 0.5 * slow(rng, n, length, uniform(rng, length / 8, length, n)))
    zero = np.zeros((n, 1), np.float32)
    return seen(rng, path.astype(np.float32)), labelled(length, period, zero, (depth < 0.03).astype(np.float32), zero)


def generate(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """See `Family`."""
    return grouped(rng, n, length, ((logistic, 1), (lorenz, 1), (mackey_glass, 1), (oscillators, 1), (drifting, 1)))


FAMILY = Family("nonlinear", generate, "chaos, delay, coupled oscillators, drifting frequency", held_out=True)
