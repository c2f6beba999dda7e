"""Shared pieces of the generators.

Axes: n series, L time steps. Parameters of the series are columns [n, 1] of float32, so that they broadcast over time and
nothing is promoted to float64 (twice the time). Nothing here makes a missing value.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Generator = np.random.Generator
Generate = Callable[[Generator, int, int], tuple[F32, F32]]

# (main season, longer season) in steps and how often: hours, half-hours, quarters of an hour, ten and five minutes, minutes,
# ten seconds, days, weeks, months, quarters. 0 is no season.
PAIRS: tuple[tuple[float, float, float], ...] = (
    (24, 168, 0.24),
    (48, 336, 0.07),
    (96, 672, 0.11),
    (144, 1008, 0.05),
    (288, 2016, 0.06),
    (60, 1440, 0.03),
    (360, 8640, 0.05),
    (7, 365.25, 0.10),
    (7, 0, 0.04),
    (24, 8766, 0.03),
    (365.25, 0, 0.02),
    (5, 0, 0.02),
    (30, 0, 0.02),
    (12, 0, 0.07),
    (4, 0, 0.05),
    (52.18, 0, 0.04),
)
BINS = 512  # points in the table of one cycle


@dataclass(frozen=True)
class Family:
    """A kind of series. `generate(rng, n, length)` returns values [n, length] and season lengths in steps [n, 2] (0 is none)."""

    name: str
    generate: Generate
    summary: str
    held_out: bool = False


def uniform(rng: Generator, low: float, high: float, n: int) -> F32:
    """A column [n, 1], uniform on [low, high)."""
    return (low + (high - low) * rng.random((n, 1), dtype=np.float32)).astype(np.float32)


def log_uniform(rng: Generator, low: float, high: float, n: int) -> F32:
    """A column [n, 1], log-uniform on [low, high)."""
    return np.exp(uniform(rng, float(np.log(low)), float(np.log(high)), n))


def often(rng: Generator, probability: float, n: int) -> F32:
    """A column [n, 1] of ones with this probability, zeros otherwise."""
    return (rng.random((n, 1)) < probability).astype(np.float32)


def some(rng: Generator, probability: float, n: int) -> I64:
    """Numbers of the rows chosen with this probability: what few rows have is made for those rows only."""
    return np.flatnonzero(rng.random(n) < probability)


def pick(rng: Generator, options: tuple[float, ...], n: int) -> F32:
    """A column [n, 1] drawn evenly from the options."""
    return np.asarray(options, np.float32)[rng.integers(len(options), size=(n, 1))]


def normal(rng: Generator, n: int, length: int) -> F32:
    """White noise [n, L]."""
    return rng.standard_normal((n, length), dtype=np.float32)


def heavy(rng: Generator, n: int, length: int) -> F32:
    """White noise [n, L] of unit scale, with tails from normal to very long, row by row."""
    z = normal(rng, n, length)
    return np.asarray(np.sinh(z * (tail := uniform(rng, 0.05, 1.0, n))) / tail, np.float32)


def steps(length: int) -> F32:
    """0, 1, 2 ... as a row [1, L]."""
    return np.arange(length, dtype=np.float32)[None]


def standardised(values: F32) -> F32:
    """Rows with mean 0 and standard deviation 1; a constant row becomes zeros."""
    centred = values - values.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.maximum(spread(centred), 1e-6), np.float32)


def spread(values: F32) -> F32:
    """Standard deviation of each row about its mean, [n, 1]."""
    return np.asarray(values.std(axis=1, keepdims=True), np.float32)


def drawn_pairs(rng: Generator, n: int, random: float = 0.2) -> tuple[F32, F32]:
    """Season lengths (short, long), each [n, 1]: from PAIRS, or with probability `random` log-uniform ones."""
    bank = np.asarray(PAIRS)
    row = rng.choice(len(bank), size=n, p=bank[:, 2] / bank[:, 2].sum())
    short, long = bank[row, :1].astype(np.float32), bank[row, 1:2].astype(np.float32)
    free = often(rng, random, n) > 0
    short = np.where(free, log_uniform(rng, 3, 400, n), short)
    ratio = np.round(log_uniform(rng, 2, 14, n))
    return short, np.where(free, short * ratio * often(rng, 0.5, n), long).astype(np.float32)


def days_and_weeks(rng: Generator, n: int) -> tuple[F32, F32]:
    """Steps in a day and in a week, each [n, 1]: 24 to 288 steps a day, seldom 1440."""
    bank = np.asarray((24, 48, 96, 144, 288, 1440), np.float32)
    day = bank[rng.choice(len(bank), size=(n, 1), p=(0.45, 0.15, 0.2, 0.08, 0.1, 0.02))]
    return day, np.asarray(7 * day, np.float32)


def cycles(period: F32, length: int, start: F32 | float = 0.0) -> F32:
    """Cycles since the start, [n, L], not wrapped; a period of 0 stands still at `start`."""
    rate = np.where(period > 0, 1 / np.maximum(period, 1e-3), 0).astype(np.float32)
    return np.asarray(start + steps(length) * rate, np.float32)


def wrapped(turns: F32) -> F32:
    """The part of each cycle that has passed, in [0, 1). Floor is twenty times faster than % here."""
    return turns - np.floor(turns)


def looked_up(table: F32, turns: F32) -> F32:
    """A periodic table [n, B] read at cycles [n, L], linearly between its points."""
    bins = table.shape[1]
    place = wrapped(turns) * np.float32(bins)
    left = place.astype(np.int32)
    place -= left
    np.minimum(left, bins - 1, out=left)  # rounding may reach the end
    ring = np.concatenate([table, table[:, :1]], axis=1)
    left += (np.arange(len(table), dtype=np.int32) * (bins + 1))[:, None]
    flat = ring.ravel()
    low = flat[left]
    left += 1
    return np.asarray(low + place * (flat[left] - low), np.float32)


def per_block(values: F32, block: F32) -> F32:
    """values [n, K] read at whole block numbers [n, L]; numbers past K start again."""
    index = block.astype(np.int64) % values.shape[1]
    return np.take_along_axis(values, index, axis=1)


def harmonics(rng: Generator, n: int, bins: int = BINS) -> F32:
    """Random cycles [n, B] of up to 24 harmonics whose amplitudes fall as k^-a, a from .5 (rough) to 3 (a sine)."""
    top = 24
    k = np.arange(1, top + 1, dtype=np.float32)[None]
    size = k ** -uniform(rng, 0.5, 3, n) * (k <= np.round(log_uniform(rng, 1, top, n)))
    spectrum = np.zeros((n, bins // 2 + 1), np.complex64)
    spectrum[:, 1 : top + 1] = size * (normal(rng, n, top) + 1j * normal(rng, n, top))
    return standardised(np.asarray(fft.irfft(spectrum, bins, axis=1), np.float32))


def bumps(rng: Generator, n: int, bins: int = BINS) -> F32:
    """Cycles [n, B] of one to three rounded peaks over a flat floor: rush hours, meals, shifts."""
    x = (np.arange(bins, dtype=np.float32) / bins)[None]
    out = np.zeros((n, bins), np.float32)
    for k in range(3):
        width = log_uniform(rng, 0.02, 0.2, n)
        turn = np.cos(2 * np.pi * (x - uniform(rng, 0, 1, n))) - 1
        out += uniform(rng, 0.3, 1.2, n) * np.exp(turn / (2 * np.pi * width) ** 2) * (often(rng, 0.6, n) if k else 1)
    return standardised(out)


def blocks(rng: Generator, n: int, bins: int = BINS) -> F32:
    """Cycles [n, B] that are on for a part and off for the rest, with edges from sharp to soft."""
    x = (np.arange(bins, dtype=np.float32) / bins)[None]
    share = uniform(rng, 0.08, 0.8, n)
    inside = np.cos(2 * np.pi * (x - uniform(rng, 0, 1, n))) - np.cos(np.pi * share)
    return standardised(np.asarray(1 / (1 + np.exp(-np.clip(inside * log_uniform(rng, 4, 200, n), -30, 30))), np.float32))


def seasonal_table(rng: Generator, n: int) -> F32:
    """One cycle of each series, [n, B], mean 0 and deviation 1: harmonics (half), peaks, on and off, or a sum of two."""
    smooth, peaks, square = harmonics(rng, n), bumps(rng, n), blocks(rng, n)
    weight = rng.dirichlet((0.35, 0.25, 0.12), size=n).astype(np.float32)
    return standardised(weight[:, :1] * smooth + weight[:, 1:2] * peaks + weight[:, 2:] * square)


def slow(rng: Generator, n: int, length: int, scale: F32) -> F32:
    """A smooth random path [n, L] of unit variance whose memory is about `scale` steps [n, 1] (squared-exponential spectrum).

    Drawn on twice the length, so that its end does not meet its beginning; scales under L / 40 (beyond 160 frequencies) and over L
    count as these.
    """
    size = 2 * length
    top = min(160, length)
    f = (np.arange(1, top + 1, dtype=np.float32) / size)[None]
    amplitude = np.exp(-((np.pi * np.clip(scale, length / 40, length) * f) ** 2))
    amplitude /= np.sqrt(np.square(amplitude).sum(axis=1, keepdims=True))
    spectrum = np.zeros((n, length + 1), np.complex64)
    spectrum[:, 1 : top + 1] = amplitude * (normal(rng, n, top) + 1j * normal(rng, n, top))
    return np.asarray(fft.irfft(spectrum, size, axis=1)[:, :length] * (size / 2), np.float32)


def ar1(shocks: F32, memory: F32) -> F32:
    """x[t] = memory x[t-1] + shocks[t], [n, L], begun in its stationary spread when |memory| < 1."""
    by_time = np.ascontiguousarray(shocks.T)
    keep = np.ascontiguousarray(memory[:, 0])
    state = by_time[0] / np.sqrt(np.maximum(1 - keep * keep, 1e-3))
    by_time[0] = state
    for t in range(1, len(by_time)):
        by_time[t] += keep * by_time[t - 1]
    return np.ascontiguousarray(by_time.T)


def ar_noise(rng: Generator, n: int, length: int, top: float = 0.97) -> F32:
    """Noise [n, L] of unit variance: white in half of the rows, else with memory up to `top`."""
    z = normal(rng, n, length)
    rows = np.flatnonzero(rng.random(n) < 0.5)
    memory = uniform(rng, 0, top, len(rows)) ** 0.5
    z[rows] = ar1(z[rows] * np.sqrt(1 - memory * memory), memory)
    return z


def segments(rng: Generator, n: int, length: int, mean: F32) -> I64:
    """Number of the stretch that each step lies in, [n, L]; stretches last `mean` steps [n, 1] on average (geometric)."""
    return np.asarray((rng.random((n, length), dtype=np.float32) < 1 / mean).cumsum(axis=1), np.int64)


def per_segment(values: F32, segment: I64) -> F32:
    """values [n, K] read at stretch numbers [n, L]; numbers past K start again."""
    return np.take_along_axis(values, segment % values.shape[1], axis=1)


def labelled(length: int, first: F32, second: F32, strength_first: F32, strength_second: F32) -> F32:
    """Season lengths [n, 2], the stronger first, but never first one that half of `length` does not hold when the other fits.

    A season without strength is 0, and so is a second equal to the first.
    """
    one = np.where(strength_first > 1e-6, first, 0)
    two = np.where((strength_second > 1e-6) & (np.abs(first - second) > 1e-3), second, 0)
    fits_one, fits_two = 2 * one <= length, 2 * two <= length
    better = np.where(fits_one == fits_two, strength_second > strength_first, fits_two)
    swap = (two > 0) & (better | (one == 0))
    return np.concatenate([np.where(swap, two, one), np.where(swap, one, two)], axis=1).astype(np.float32)


def no_periods(n: int) -> F32:
    return np.zeros((n, 2), np.float32)


def shares(n: int, weights: tuple[float, ...]) -> list[slice]:
    """Slices that cut n rows in about these shares, all of them used."""
    edges = np.round(np.cumsum((0.0, *weights)) / sum(weights) * n).astype(int)
    return [slice(int(a), int(b)) for a, b in zip(edges[:-1], edges[1:], strict=True)]


def grouped(rng: Generator, n: int, length: int, parts: tuple[tuple[Generate, float], ...]) -> tuple[F32, F32]:
    """Each part makes its share of the rows; rows in the order of the parts."""
    values, periods = np.zeros((n, length), np.float32), no_periods(n)
    for (make, _), rows in zip(parts, shares(n, tuple(w for _, w in parts)), strict=True):
        if count := rows.stop - rows.start:
            values[rows], periods[rows] = make(rng, count, length)
    return values, periods
