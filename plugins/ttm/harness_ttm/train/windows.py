"""Training windows from a pool of made series: cropped, thinned, mixed, flipped, holed; a pure function of (seed, step, shard).

Axes: n windows, L history, S steps ahead. NaN is missing, before the start of a series, or beyond its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness_ttm.seasons import CANDIDATES, FEATURES, HINTS, LIMIT, OFFSETS, fold, prepare
from harness_ttm.synthetic import mixture

__all__ = ["Augment", "Pool", "Windows", "make_windows", "network_inputs", "transformed"]

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
BANK = np.array([4, 5, 6, 7, 10, 12, 15, 21, 24, 30, 48, 52, 60, 90, 96, 144, 168, 288, 336, 365, 480, 672, 1008])


@dataclass(frozen=True)
class Augment:
    """Probabilities per window, unless they say otherwise."""

    whole_context: float = 0.45  # else its length is log-uniform from `shortest` to `longest_short`
    shortest: int = 16
    longest_short: int = 1024
    decimate: tuple[float, ...] = (0.6, 0.2, 0.1, 0.1)  # by 1, 2, 3, 4
    decimate_mean: float = 0.5  # by means; else every k-th value
    sign_flip: float = 0.3
    time_flip: float = 0.1
    mixup: float = 0.15
    jitter: float = 0.1
    missing_points: float = 0.15
    missing_block: float = 0.1
    hint: float = 0.7  # that a true period is among those named
    decoy: float = 0.25  # that a wrong one is
    scaling: float = 0.0  # see `harness_ttm.train.augment` for this and what follows
    scaling_size: float = 1.0
    time_warp: float = 0.0
    time_warp_size: float = 0.2
    magnitude_warp: float = 0.0
    magnitude_warp_size: float = 0.2
    warp_knots: int = 6


@dataclass
class Pool:
    """The newest `chunks` chunks of made series; chunk c of shard i is a function of (seed, i, c)."""

    seed: int
    shard: int
    size: int  # series per chunk
    length: int
    chunks: int
    weights: Mapping[str, float] | None = None
    newest: int = -1
    values: F32 = field(init=False)
    periods: F32 = field(init=False)

    def __post_init__(self) -> None:
        self.values = np.empty((self.size * self.chunks, self.length), np.float32)
        self.periods = np.empty((self.size * self.chunks, 2), np.float32)

    def advance(self, turn: int) -> None:
        """Hold the chunks turn … turn + chunks − 1."""
        low, high = turn, turn + self.chunks
        for chunk in range(max(low, self.newest + 1) if low <= self.newest + 1 else low, high):
            made = mixture(self.seed * 1000 + self.shard, chunk, self.size, self.length, self.weights)
            place = slice((chunk % self.chunks) * self.size, (chunk % self.chunks + 1) * self.size)
            self.values[place] = made.values
            self.periods[place] = made.periods
        self.newest = high - 1


@dataclass
class Windows:
    """`y` [n, L + S]: history and future; `hints` [n, HINTS]."""

    y: F32
    history: int
    hints: I64


def make_windows(pool: Pool, rng: np.random.Generator, n: int, history: int, ahead: int, augment: Augment) -> Windows:
    """Draw n windows from the pool."""
    series, length = pool.values.shape
    row = rng.integers(0, series, n)
    k = rng.choice(len(augment.decimate), n, p=np.asarray(augment.decimate)) + 1
    by_mean = rng.random(n) < augment.decimate_mean
    steps = length // k
    cut = np.floor(steps * 0.3 + rng.random(n) * (steps * 0.7 - 96)).astype(np.int64)
    y = np.empty((n, history + ahead), np.float32)
    offsets = np.arange(-history, ahead, dtype=np.int64)
    backwards = rng.random(n) < augment.time_flip
    for factor in range(1, len(augment.decimate) + 1):
        for mean in (False, True):
            rows = np.flatnonzero((k == factor) & (by_mean == mean)) if factor > 1 else (np.flatnonzero(k == 1) if not mean else row[:0])
            if len(rows) == 0:
                continue
            at = cut[rows, None] + offsets[None, :]  # [g, L + S]
            outside = (at < 0) | (at >= steps[rows, None])
            at = np.clip(at, 0, steps[rows, None] - 1) * factor
            at = np.where(backwards[rows, None], length - factor - at, at) + row[rows, None] * length
            flat = pool.values.reshape(-1)
            part = flat[at]
            if mean:
                for j in range(1, factor):
                    part = part + flat[at + j]
                part = part / np.float32(factor)
            part[outside] = np.nan
            y[rows] = part
    return transformed(y, pool.periods[row] / k[:, None], rng, history, augment)


def transformed(y: F32, periods: NDArray[np.floating[Any]], rng: np.random.Generator, history: int, augment: Augment) -> Windows:
    """Mix, shorten, flip, disturb and hole windows [n, L + S] in place, and name their periods [n, 2], or others."""
    n = len(y)
    # Mix-up: another window, brought to the same spread.
    mixed = np.flatnonzero(rng.random(n) < augment.mixup)
    if len(mixed) > 1:
        other = np.roll(mixed, 1)
        with np.errstate(all="ignore"):
            ratio = spread(y[mixed]) / np.maximum(spread(y[other]), 1e-12)
        share = rng.uniform(0.2, 0.8, (len(mixed), 1)).astype(np.float32)
        y[mixed] = share * y[mixed] + (1 - share) * ratio[:, None] * y[other]
        lead = share[:, 0] < 0.5
        periods[mixed] = np.where(lead[:, None], periods[other], periods[mixed])
    context = np.where(
        rng.random(n) < augment.whole_context,
        history,
        np.exp(rng.uniform(np.log(augment.shortest), np.log(augment.longest_short + 1), n)).astype(np.int64),
    )
    y[:, :history][np.arange(history, 0, -1)[None, :] > context[:, None]] = np.nan
    y[rng.random(n) < augment.sign_flip] *= -1
    noisy = np.flatnonzero(rng.random(n) < augment.jitter)
    if len(noisy):
        size = spread(y[noisy]) * np.exp(rng.uniform(np.log(0.01), np.log(0.2), len(noisy))).astype(np.float32)
        y[noisy] += rng.standard_normal((len(noisy), y.shape[1]), dtype=np.float32) * size[:, None]
    holes = np.flatnonzero(rng.random(n) < augment.missing_points)
    if len(holes):
        share = np.exp(rng.uniform(np.log(0.005), np.log(0.3), len(holes)))
        y[holes, :history] = np.where(rng.random((len(holes), history)) < share[:, None], np.nan, y[holes, :history])
    gaps = np.flatnonzero(rng.random(n) < augment.missing_block)
    for i in gaps:
        seen = min(int(context[i]), history)
        width = int(np.exp(rng.uniform(0, np.log(max(seen / 3, 2)))))
        begin = history - int(rng.integers(width, max(seen, width) + 1))
        y[i, begin : begin + width] = np.nan
    hints = np.zeros((n, HINTS), np.int64)
    for j in range(2):
        whole = np.rint(periods[:, j]).astype(np.int64)
        hints[:, j] = np.where((rng.random(n) < augment.hint) & (whole >= 2), whole, 0)
    hints[:, 2] = np.where(rng.random(n) < augment.decoy, rng.choice(BANK, n), 0)
    hints[:, 3] = np.where(rng.random(n) < augment.decoy / 2, rng.choice(BANK, n), 0)
    return Windows(y, history, hints)


def spread(y: F32) -> F32:
    """Standard deviation of the observed values, [n]."""
    seen = np.isfinite(y)
    filled = np.where(seen, y, 0).astype(np.float64)
    count = np.maximum(seen.sum(axis=1), 1)
    mean = filled.sum(axis=1) / count
    out: F32 = np.sqrt(np.maximum((np.where(seen, filled - mean[:, None], 0) ** 2).sum(axis=1) / count, 0)).astype(np.float32)
    return out


def network_inputs(windows: Windows, patches: I64, detail: int, patch: int) -> dict[str, F32]:
    """Arrays for `SeasonTTM` and its loss: z, mask [n, T], features, candidates, offsets, target and target_mask [n, F, P], weight [n]."""
    history = windows.history
    n, count = patches.shape
    out: dict[str, F32] = {
        "z": np.zeros((n, detail), np.float32),
        "mask": np.zeros((n, detail), np.float32),
        "features": np.empty((n, FEATURES), np.float32),
        "candidates": np.empty((n, count, CANDIDATES, patch), np.float32),
        "offsets": np.empty((n, count, OFFSETS), np.float32),
        "target": np.empty((n, count, patch), np.float32),
        "target_mask": np.empty((n, count, patch), np.float32),
        "weight": np.empty(n, np.float32),
    }
    seen = np.isfinite(windows.y[:, :history])
    length = np.where(seen.any(axis=1), history - seen.argmax(axis=1), 1)
    widths = [w for w in (detail, 2 * detail) if w < history] + [history]
    bucket = np.searchsorted(widths, length)
    for b in np.unique(bucket):  # short contexts need no long arrays
        rows, width = np.flatnonzero(bucket == b), widths[b]
        p = prepare(windows.y[rows, history - width : history], windows.hints[rows], detail)
        out["candidates"][rows], out["offsets"][rows] = fold(p, patches[rows], patch)
        future = windows.y[rows, history:].reshape(len(rows), -1, patch)  # [n, patches, P]
        label = np.take_along_axis(future, patches[rows, :, None], axis=1)  # [n, F, P]
        there = np.isfinite(label) & ~p.still[:, None, None]
        scaled = np.arcsinh((np.where(there, label, 0) - p.loc[:, None, None]) / p.scale[:, None, None])
        out["target"][rows] = np.where(there, np.clip(scaled, -LIMIT, LIMIT), 0)
        out["target_mask"][rows] = there
        out["z"][rows, detail - min(detail, width) :] = p.z[:, -detail:]
        out["mask"][rows, detail - min(detail, width) :] = p.mask[:, -detail:]
        out["features"][rows], out["weight"][rows] = p.features, p.weight
    return out
