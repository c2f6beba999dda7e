"""Gaussian processes by spectral sampling.

The idea of random sums and products of kernels, periods from a bank of calendar seasons among them, is KernelSynth's
(Ansari et al. 2024, Chronos). Here nothing costs more than an FFT: the stationary part is white noise shaped by a random
spectral density, a periodic kernel is a random Fourier series with that kernel's coefficients, and a product of a periodic
and a smooth kernel is a sum of two cycles with smooth random amplitudes.
"""

from __future__ import annotations

import numpy as np
from scipy import fft, special

from ._parts import (
    BINS,
    F32,
    Family,
    Generator,
    cycles,
    drawn_pairs,
    labelled,
    log_uniform,
    looked_up,
    normal,
    often,
    pick,
    slow,
    some,
    spread,
    standardised,
    steps,
    uniform,
)


def stationary(rng: Generator, n: int, length: int) -> F32:
    """A path [n, L] of unit variance whose spectrum is a random sum of RBF, Matern, power-law and white parts."""
    size = 2 * length  # half is cut off, so that the end is free of the beginning
    f = (np.arange(1, length + 1, dtype=np.float32) / size)[None]
    total = np.zeros((n, length), np.float32)
    for _ in range(2):
        scale = log_uniform(rng, 2, 2 * length, n)
        rough = pick(rng, (0.5, 1.0, 1.5, 2.5), n) + 0.5
        density = np.exp(-rough * np.log1p((2 * np.pi * scale * f) ** 2 / (2 * rough)))
        density *= log_uniform(rng, 0.05, 1, n) / density.sum(axis=1, keepdims=True)
        total += density
    rows = some(rng, 0.5, n)
    rbf = np.exp(-2 * (np.pi * log_uniform(rng, 5, length, len(rows)) * f) ** 2)
    total[rows] += log_uniform(rng, 0.03, 1, len(rows)) / (rbf.sum(axis=1, keepdims=True) + 1e-9) * rbf
    rows = some(rng, 0.4, n)
    power = np.exp(-uniform(rng, 0.3, 2.2, len(rows)) * np.log(f))
    total[rows] += log_uniform(rng, 0.03, 1, len(rows)) / power.sum(axis=1, keepdims=True) * power
    total += log_uniform(rng, 0.001, 0.5, n) * often(rng, 0.7, n) / length
    spectrum = np.zeros((n, length + 1), np.complex64)
    spectrum[:, 1:] = normal(rng, n, 2 * length).view(np.complex64) * np.sqrt(total)
    return standardised(np.asarray(fft.irfft(spectrum, size, axis=1)[:, :length], np.float32))


def periodic_table(rng: Generator, n: int) -> F32:
    """A cycle [n, B] drawn from the kernel exp(-2 sin²(pi d) / s²): variance of harmonic k is proportional to I_k(1 / s²)."""
    top = 32
    k = np.arange(1, top + 1)[None]
    variance = special.ive(k, 1 / log_uniform(rng, 0.15, 2, n).astype(np.float64) ** 2)
    spectrum = np.zeros((n, BINS // 2 + 1), np.complex64)
    spectrum[:, 1 : top + 1] = np.sqrt(variance) * normal(rng, n, 2 * top).view(np.complex64)
    return standardised(np.asarray(fft.irfft(spectrum, BINS, axis=1), np.float32))


def season(rng: Generator, n: int, length: int, period: F32) -> F32:
    """A season [n, L] of unit variance; in a third of the rows its shape changes slowly (product of kernels)."""
    turns = cycles(period, length, uniform(rng, 0, 1, n))
    out = looked_up(periodic_table(rng, n), turns)
    moving = some(rng, 0.35, n)
    if count := len(moving):
        memory = np.maximum(log_uniform(rng, 2, 40, count) * period[moving], length / 8)
        other = looked_up(periodic_table(rng, count), turns[moving])
        depth = uniform(rng, 0.2, 1, count)
        out[moving] = out[moving] * (1 + depth * (slow(rng, count, length, memory) - 1)) + other * depth * slow(rng, count, length, memory)
    return out


def generate(rng: Generator, n: int, length: int) -> tuple[F32, F32]:
    """See `Family`; about four in five have a season, half of those two."""
    values = stationary(rng, n, length)
    short, long = drawn_pairs(rng, n, 0.35)
    # Signal to noise: the seasons are from a fifth to six times as large as the rest.
    first = log_uniform(rng, 0.2, 6, n) * often(rng, 0.8, n)
    second = first * log_uniform(rng, 0.15, 2, n) * often(rng, 0.6, n) * (long > 0)
    one, two = np.zeros((n, length), np.float32), np.zeros((n, length), np.float32)
    for part, strength, period in ((one, first, short), (two, second, long)):
        rows = np.flatnonzero(strength > 0)
        part[rows] = strength[rows] * season(rng, len(rows), length, period[rows])
    # A product of kernels: the season's size follows the stationary part.
    both = one + two
    rows = some(rng, 0.15, n)
    both[rows] *= 1 + 0.5 * np.tanh(values[rows])
    values += both
    values += often(rng, 0.3, n) * log_uniform(rng, 0.1, 4, n) * np.sign(uniform(rng, -1, 1, n)) * (steps(length) / length * 3.5)
    return values, labelled(length, short, long, spread(one), spread(two))


FAMILY = Family("gaussian_process", generate, "sums and products of smooth, rough, periodic and linear kernels, by FFT")
