"""A training pool: families in given shares, defects and transformations of real series on some rows, rows in random order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from . import arima_ets, counts, gaussian_process, held_profiles, nonlinear, regimes, steps_profiles, trend_season, weather_flow
from ._parts import F32, I64, Family, Generator, log_uniform, normal, often, slow, some, spread, standardised, steps, uniform

FAMILIES: dict[str, Family] = {
    module.FAMILY.name: module.FAMILY
    for module in (
        gaussian_process,
        trend_season,
        arima_ets,
        regimes,
        steps_profiles,
        counts,
        weather_flow,
        nonlinear,
        held_profiles,
    )
}
WEIGHTS: dict[str, float] = {
    "gaussian_process": 0.20,
    "trend_season": 0.28,
    "arima_ets": 0.15,
    "regimes": 0.08,
    "steps_profiles": 0.11,
    "counts": 0.09,
    "weather_flow": 0.09,
}
SIGNED = ("gaussian_process", "trend_season", "arima_ets", "regimes")  # families that may be exponentiated


@dataclass(frozen=True)
class Pool:
    """values float32 [n, L], all finite; periods float32 [n, 2] in steps, the stronger first, 0 for none; family int8 [n].

    `family` is the place in `list(FAMILIES)`, of the larger part where two series were mixed.
    """

    values: F32
    periods: F32
    family: npt.NDArray[np.int8]


def mixture(seed: int, chunk: int, n: int, length: int, weights: Mapping[str, float] | None = None) -> Pool:
    """`n` series of `length` steps, the same for the same arguments; chunks of one seed are independent of each other.

    `weights` (default `WEIGHTS`) need not sum to one. Raises ValueError for an unknown family, for no positive weight, and for
    a length under 64 (too short for the slow parts).
    """
    share = dict(WEIGHTS if weights is None else weights)
    if unknown := sorted(set(share) - set(FAMILIES)):
        raise ValueError(f"unknown families {', '.join(unknown)}; there are {', '.join(FAMILIES)}")
    if length < 64:
        raise ValueError(f"length is {length}; wanted at least 64: make longer series and crop them")
    names = [name for name in FAMILIES if share.get(name, 0) > 0]
    if not names or min(share.values()) < 0:
        raise ValueError(f"weights are {share}; wanted none negative and at least one positive, such as {WEIGHTS}")
    rng = np.random.default_rng([seed, chunk, n, length])
    p = np.asarray([share[name] for name in names])
    values, periods = np.empty((n, length), np.float32), np.empty((n, 2), np.float32)
    family = np.empty(n, np.int8)
    start = 0
    for name, count in zip(names, rng.multinomial(n, p / p.sum()), strict=True):
        part = slice(start, start := start + int(count))
        family[part] = list(FAMILIES).index(name)
        if count:
            values[part], periods[part] = FAMILIES[name].generate(rng, int(count), length)
    order = rng.permutation(n)
    values, periods, family = values[order], periods[order], family[order]
    exponentiate(rng, values, np.isin(family, [list(FAMILIES).index(name) for name in SIGNED]))
    mix(rng, values, periods)
    for change, probability in CHANGES:
        rows = np.flatnonzero(rng.random(n) < probability)
        # A change may not touch a row so flat that its size would mean nothing.
        rows = rows[spread(values[rows])[:, 0] > 1e-6] if len(rows) else rows
        if len(rows):
            values[rows] = change(rng, values[rows])
    return Pool(tamed(values), periods, family)


def tamed(values: F32) -> F32:
    """Rows beyond 1e6 are scaled down to it; what is not finite (none is expected) becomes 0."""
    values = np.nan_to_num(values, copy=False, nan=0, posinf=1e6, neginf=-1e6)
    top = np.abs(values).max(axis=1, keepdims=True)
    return np.asarray(values * np.minimum(1, 1e6 / np.maximum(top, 1)), np.float32)


def exponentiate(rng: Generator, values: F32, allowed: npt.NDArray[np.bool_]) -> None:
    """In place: a tenth of the allowed rows become exp(s z), positive and skewed, s from .2 to 1.1."""
    rows = np.flatnonzero(allowed & (rng.random(len(values)) < 0.1))
    if len(rows):
        z = np.clip(standardised(values[rows]), -4, 4)
        values[rows] = np.exp(z * log_uniform(rng, 0.2, 1.1, len(rows)))


def mix(rng: Generator, values: F32, periods: F32, probability: float = 0.12) -> None:
    """In place: some rows are replaced by a weighted sum with another row (TSMixup's idea, Ansari et al. 2024).

    Both are standardised first, and the sum is put back at the row's own level and scale. The row's own part is the larger; its
    main season stays first, and the second is its own, or else the other's main season.
    """
    n = len(values)
    rows = np.flatnonzero(rng.random(n) < probability)
    if not len(rows):
        return
    others = rng.integers(n, size=len(rows))
    share = uniform(rng, 0.5, 0.95, len(rows))
    own, mean, scale = values[rows], values[rows].mean(axis=1, keepdims=True), spread(values[rows])
    own, theirs = standardised(own), standardised(values[others])
    first, second = periods[rows, :1].copy(), periods[rows, 1:].copy()
    guest = np.where(share < 0.85, periods[others, :1], 0)  # a small part does not bring its season
    values[rows] = mean + scale * (share * own + (1 - share) * theirs)
    second = np.where((first > 0) & (second == 0) & (np.abs(guest - first) > 1e-3), guest, second)
    periods[rows] = np.concatenate([np.where(first > 0, first, guest), second], axis=1)


def shifted(rng: Generator, x: F32) -> F32:
    """One or two shifts of level, of up to a few deviations."""
    n, length = x.shape
    out = x
    for k in range(2):
        size = normal(rng, n, 1) * spread(x) * (often(rng, 0.4, n) if k else 1)
        out = out + size * (steps(length) > uniform(rng, 0.02, 0.98, n) * length)
    return np.asarray(out, np.float32)


def spiked(rng: Generator, x: F32) -> F32:
    """Outliers on .05 to 2 % of the points, 2 to 12 deviations large, on one side or both."""
    n, length = x.shape
    hit = rng.random((n, length), dtype=np.float32) < log_uniform(rng, 5e-4, 0.02, n)
    both = often(rng, 0.5, n)
    side = np.where(both > 0, np.sign(uniform(rng, -1, 1, n)), np.sign(rng.random((n, length), dtype=np.float32) - 0.5))
    size = 1 + rng.standard_exponential((n, length), dtype=np.float32)
    return np.asarray(x + hit * side * size * spread(x) * uniform(rng, 1, 4, n), np.float32)


def rescaled(rng: Generator, x: F32) -> F32:
    """The whole series times a factor that changes: slowly, or a little at each step."""
    n, length = x.shape
    factor = normal(rng, n, length) * log_uniform(rng, 0.01, 0.3, n)
    rows = some(rng, 0.6, n)
    smooth = slow(rng, len(rows), length, log_uniform(rng, length / 20, length, len(rows)))
    factor[rows] = smooth * uniform(rng, 0.1, 0.7, len(rows))
    return np.asarray(x * np.exp(np.clip(factor, -3, 3)), np.float32)


def rounded(rng: Generator, x: F32) -> F32:
    """Whole multiples of a unit: a fiftieth of a deviation to a whole one."""
    unit = spread(x) * log_uniform(rng, 0.02, 1, len(x))
    return np.asarray(np.round(x / unit) * unit, np.float32)


def floored(rng: Generator, x: F32) -> F32:
    """Nothing below zero, and zero where the series would be below a level of its own: 2 deviations under its mean to half above."""
    level = x.mean(axis=1, keepdims=True) + spread(x) * uniform(rng, -2, 0.5, len(x))
    return np.asarray(np.maximum(x - level, 0), np.float32)


def capped(rng: Generator, x: F32) -> F32:
    """Nothing above a level: the mean to two deviations over it."""
    return np.asarray(np.minimum(x, x.mean(axis=1, keepdims=True) + spread(x) * uniform(rng, 0.2, 2, len(x))), np.float32)


def interrupted(rng: Generator, x: F32) -> F32:
    """One to four stretches of up to 5 % of the length at zero, or stuck at the value before."""
    n, length = x.shape
    t, out = steps(length), x.copy()
    for k in range(4):
        begin = np.floor(uniform(rng, 0.02, 1, n) * length)
        size = log_uniform(rng, 2, max(0.05 * length, 3), n) * (often(rng, 0.5, n) if k else 1)
        inside = (t >= begin) & (t < begin + size)
        before: I64 = np.maximum(begin - 1, 0).astype(np.int64)
        stuck = np.take_along_axis(x, before, axis=1) * often(rng, 0.4, n)
        out = np.where(inside, stuck, out)
    return np.asarray(out, np.float32)


# What real series suffer, in the order in which it happens to them, and how often.
CHANGES = (
    (shifted, 0.06),
    (rescaled, 0.08),
    (floored, 0.06),
    (capped, 0.04),
    (spiked, 0.08),
    (interrupted, 0.04),
    (rounded, 0.10),
)
