"""Sufficient statistics of each window: sums over its valid points, from which every metric of every slice follows.

Axes: N windows, Q quantile levels, H horizon, K statistics. Labels and forecasts are float32; a label that is NaN or infinite is missing
and counts nowhere. Differences are taken in float64, where those of two float32 numbers round once.

What is undefined is left out of sum and count alike, as gluonts' masked arrays do (source: gluonts `ev/stats.py`, `evaluate_model` with
`mask_invalid_label=True`): a division by zero is no point. So zero labels do not count in `ape`, points where label and median are both
zero do not count in `sape`, windows whose seasonal error is zero or NaN do not count in `scaled_error` and `scaled_interval`. Unlike
gluonts with float32 forecasts, nothing overflows: float64 holds every ratio and square of two float32 numbers.

Notable choices:

* 2·pinball(d, τ) = |d| + (1 − 2τ)·d with d = quantile − label: two passes instead of five, and no cancellation beyond 1/min(τ, 1 − τ).
  Likewise the interval score (u − l) + 40·max(l − y, 0) + 40·max(y − u, 0) is 20·(|l − y| + |u − y|) − 19·(u − l).
* A block is worked through in pieces whose temporaries stay in the second-level cache; each sum over steps runs along the contiguous
  last axis, so a window's statistics are the same bits in whatever block and place it is scored. Sums over windows (per step)
  depend, in the last bits, on how the windows are cut into blocks.
* `np.einsum` adds short rows three times as fast as `np.add.reduce` and is not used: its bits depend on the processor's vector width and,
  in rows longer than numpy's buffer, on the place.
* Hits are added in bytes, at most 255 at a time.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import ForecastError, PluginError
from harness.forecast import F32, F64
from harness.quantiles import Rule, rule
from harness.seasonal import seasonal_error
from harness.types import Metric

__all__ = ["BLOCK", "COUNTS", "LISTS", "STATISTICS", "SUMS", "VERSION", "Block", "Scores", "Totals", "score", "seasonal_error"]

VERSION = "1"  # changes when the same forecasts would score otherwise
BLOCK = 256  # windows scored together
PIECE = 1 << 17  # quantile values worked on together: 1 MiB in float64
POINTS = 8  # planes of the workspace beside the differences: SUMS without error and abs_error
SHORT = 4096  # rows that einsum adds in one go
WIDE = 8  # windows whose steps are added side by side
WORD = 8  # hits in an uint64
BYTE = 255  # most hits that a byte can count
EIGHT, PAIRS, ONES = np.uint64(8), np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0001000100010001)

COUNTS = ("n", "n_ape", "n_sape", "n_scaled")
SUMS = (
    "label", "abs_label", "error", "abs_error", "sq_error", "sq_error_mean", "ape", "sape", "scaled_error", "scaled_interval",
)  # fmt: skip
LISTS = ("quantile_loss", "hits")
STATISTICS = (*COUNTS, *SUMS, *LISTS)
"""The statistics' names, in the order of the columns of window rows.

n, n_ape, n_sape, n_scaled int32: valid points, and those of them where the ratio is defined. Sums over those points, float64, of the
label y, |y|, y − median, |y − median|, its square, (y − mean)², |y − median|/|y|, 2|y − median|/(|y| + |median|),
|y − median| / seasonal error, and the score of the 95 % interval / seasonal error. quantile_loss float64 [Q]: sum of 2·pinball;
hits int32 [Q]: how often y ≤ quantile.
"""


@dataclass(frozen=True, eq=False)
class Block:
    """N windows to be scored: labels float32 [N, H], quantiles float32 [N, Q, H] at `levels` float64 [Q] (rising), mean float32 [N, H],
    seasonal_error float64 [N]. Labels may be NaN; the others are finite (a seasonal error of 0 or NaN is "undefined").
    """

    labels: F32
    quantiles: F32
    mean: F32
    levels: F64
    seasonal_error: F64

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Scores:
    """Statistics of a block.

    `windows`: {name: [N], or [N, Q] for lists}, counts int32, sums float64. `steps`: {name: float64 [H] or [H, Q]}, the same summed over
    windows. `extra`: {name: float64 [N]} from metrics with statistics of their own.
    """

    windows: dict[str, NDArray[Any]]
    steps: dict[str, F64]
    extra: dict[str, F64] = field(default_factory=dict)


class Totals:
    """Adds the scores of blocks, in the order given.

    `sums` is {statistic: float64, or [Q] for lists}, with "levels" [Q] and the extra statistics: what `Metric.value` takes.
    `steps` is {statistic: float64 [H] or [H, Q]}.
    """

    def __init__(self, levels: F64 | Sequence[float]) -> None:
        self.levels: F64 = np.asarray(levels, np.float64)
        self.windows = 0
        self.steps: dict[str, F64] = {}
        self._sums: dict[str, Any] = {}

    def add(self, scores: Scores) -> None:
        """Add a block."""
        self.windows += len(scores.windows["n"])
        for name, values in (*scores.windows.items(), *scores.extra.items()):
            self._sums[name] = self._sums.get(name, 0.0) + values.sum(axis=0, dtype=np.float64)
        for name, values in scores.steps.items():
            self.steps[name] = self.steps[name] + values if name in self.steps else values

    @property
    def sums(self) -> dict[str, Any]:
        return {**self._sums, "levels": self.levels}


def score(block: Block, metrics: Sequence[Metric] = ()) -> Scores:
    """Statistics of a block; `metrics` are asked for statistics of their own.

    Raises:
        ValueError: arrays whose shapes do not fit together.
        PluginError: a metric's own statistics are not float [N].
    """
    labels, quantiles, mean = block.labels, block.quantiles, block.mean
    n, horizon = labels.shape
    count = len(block.levels)
    wanted = {"quantiles": (n, count, horizon), "mean": (n, horizon), "seasonal_error": (n,)}
    for name, shape in wanted.items():
        if getattr(block, name).shape != shape:
            raise ValueError(f"score() got {name} of shape {getattr(block, name).shape}; wanted {shape}, as labels are {labels.shape}")
    work = _workspace(tuple(block.levels.tolist()), horizon)
    counts = np.empty((len(COUNTS), n), np.int32)
    hits = np.empty((n, count), np.int32)
    sums = np.empty((work.lines, n), np.float64)
    step_counts = np.zeros((len(COUNTS), horizon), np.float64)
    step_hits = np.zeros((count, horizon), np.float64)
    step_sums = np.zeros((work.lines, horizon), np.float64)
    # A division by infinity is 0: the way to leave a point out of a sum.
    known = (block.seasonal_error != 0) & ~np.isnan(block.seasonal_error)
    scale = np.where(known, block.seasonal_error, np.inf)[:, None]  # [N, 1]
    for a in range(0, n, work.rows):
        part = slice(a, min(a + work.rows, n))
        good = work.start(labels[part], quantiles[part])
        work.count_hits(good, hits[part], step_hits)
        valid = work.points(mean[part], scale[part], good, sums[:, part], step_sums)
        _count(valid, known[part], horizon, counts[:, part], step_counts)
    point_sums, loss = work.statistics(sums)
    windows: dict[str, NDArray[Any]] = dict(zip((*COUNTS, *SUMS), (*counts, *point_sums), strict=True))
    windows.update(quantile_loss=loss, hits=hits)
    point_sums, loss = work.statistics(step_sums)
    steps: dict[str, F64] = dict(zip((*COUNTS, *SUMS), (*step_counts, *point_sums), strict=True))
    steps.update(quantile_loss=loss, hits=np.ascontiguousarray(step_hits.T))  # [H, Q]
    return Scores(windows, steps, _extra(block, metrics))


Valid = tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None, NDArray[np.bool_] | None]
"""Masks [n, H] of the points that are valid, that count in ape, that count in sape; None where all do."""


class _Workspace:
    """Buffers for one set of levels and one horizon; `rows` windows are worked on at a time.

    The buffer holds D planes [n, H] of differences quantile − label, one for each level (and one for the median where that is no
    level), then the POINTS. It is summed as it is, D lines, and once the differences are absolute, D + POINTS lines.
    """

    def __init__(self, levels: tuple[float, ...], horizon: int) -> None:
        self.levels, self.horizon, self.count = np.array(levels), horizon, len(levels)
        rows = max(1, min(BLOCK, PIECE // max(1, self.count * horizon)))
        self.rows = rows - rows % WIDE if rows > WIDE else rows
        self.median, self.lower, self.upper = (_rule(levels, level) for level in (0.5, 0.025, 0.975))
        given = self.median is not None and self.median.weight == 0.0
        self.middle = self.median.base if self.median is not None and given else self.count  # the median's plane
        self.planes = self.count + (not given)  # D
        self.lines = 2 * self.planes + POINTS
        self.buffer = np.empty((self.planes + POINTS) * self.rows * horizon)
        self.spare = np.empty((2, self.rows, horizon))
        self.width = -(-horizon // WORD) * WORD
        self.hit = np.zeros(self.count * self.rows * self.width, np.bool_)

    def start(self, labels: F32, quantiles: F32) -> NDArray[np.bool_] | None:
        """Take n windows: fill the differences and the labels; return which points are valid. The others hold 0."""
        n = len(labels)
        self.table = self.buffer[: (self.planes + POINTS) * n * self.horizon].reshape(self.planes + POINTS, n, self.horizon)
        difference, label = self.table[: self.planes], self.table[self.planes]
        np.copyto(label, labels)
        good: NDArray[np.bool_] | None = np.isfinite(labels)
        if good.all():  # type: ignore[union-attr]
            good = None
        else:
            label[~good] = 0.0  # type: ignore[operator]
        np.copyto(difference[: self.count], quantiles.transpose(1, 0, 2))  # [n, Q, H] -> [Q, n, H]
        difference[: self.count] -= label
        if good is not None:
            np.copyto(difference[: self.count], 0.0, where=~good)
        if self.middle == self.count:
            _take(difference, self.median, difference[self.middle])
        return good

    def count_hits(self, good: NDArray[np.bool_] | None, hits: NDArray[np.int32], step_hits: F64) -> None:
        """How often quantile ≥ label: per window [n, Q] and, added, per step [Q, H]."""
        n = len(hits)
        hit = self.hit[: self.count * n * self.width].reshape(self.count, n, self.width)
        hit[:, :, self.horizon :] = False
        inside = hit[:, :, : self.horizon]
        np.greater_equal(self.table[: self.count], 0.0, out=inside)
        if good is not None:
            np.logical_and(inside, good, out=inside)
        step_hits += _over_windows(hit.view(np.uint8))[:, : self.horizon]
        words = hit.view(np.uint64)  # [Q, n, W]: eight counters of one byte
        total = np.zeros((self.count, n), np.uint64)
        for a in range(0, words.shape[2], BYTE):
            lanes = np.einsum("qnw->qn", words[:, :, a : a + BYTE])
            total += ((lanes & PAIRS) + (lanes >> EIGHT & PAIRS)) * ONES >> np.uint64(48)
        hits[:] = total.T

    def points(self, mean: F32, scale: F64, good: NDArray[np.bool_] | None, sums: F64, steps: F64) -> Valid:
        """Sum the planes per window [L, n] and, added, per step [L, H]; uses them up."""
        n, planes = len(mean), self.planes
        difference = self.table[:planes]
        label, abs_label, sq_error, sq_mean, ape, sape, scaled, interval = self.table[planes:]
        low, high = self.spare[:, :n]
        self._sum(difference, sums[:planes], steps[:planes])
        np.abs(label, out=abs_label)
        error = difference[self.middle]
        np.square(error, out=sq_error)
        np.copyto(sq_mean, mean)
        sq_mean -= label
        if good is not None:
            np.copyto(sq_mean, 0.0, where=~good)
        np.square(sq_mean, out=sq_mean)
        np.add(error, label, out=sape)  # the median itself
        np.abs(sape, out=sape)
        sape += abs_label
        low = _take(difference, self.lower, low)
        high = _take(difference, self.upper, high)
        np.subtract(low, high, out=interval)
        interval *= 0.95
        low, high = np.abs(low, out=self.spare[0, :n]), np.abs(high, out=self.spare[1, :n])
        interval += low
        interval += high
        interval /= scale
        np.abs(difference, out=difference)
        np.divide(error, scale, out=scaled)
        counts_ape = _ratio(error, abs_label, good, ape)
        counts_sape = _ratio(error, sape, good, sape)
        self._sum(self.table, sums[planes:], steps[planes:])
        return good, counts_ape, counts_sape

    def _sum(self, values: F64, sums: F64, steps: F64) -> None:
        """Sums of planes [K, n, H] over steps [K, n] and, added, over windows [K, H]."""
        if self.horizon <= SHORT:
            np.einsum("knh->kn", values, out=sums)
        else:
            np.add.reduce(values, axis=2, out=sums)
        steps += _over_windows(values)

    def statistics(self, lines: F64) -> tuple[F64, F64]:
        """From lines of sums [L, ...]: the SUMS [K, ...] and the quantile losses [..., Q]."""
        signed, absolute, points = np.split(lines, (self.planes, 2 * self.planes))
        sums = np.empty((len(SUMS), lines.shape[1]))
        sums[:2], sums[4:] = points[:2], points[2:]
        np.subtract(0.0, signed[self.middle], out=sums[2])
        sums[3] = absolute[self.middle]
        sums[7] *= 2.0
        sums[9] *= 20.0
        loss = absolute[: self.count] + (1.0 - 2.0 * self.levels)[:, None] * signed[: self.count]
        return sums, np.ascontiguousarray(loss.T)


_local = threading.local()


def _workspace(levels: tuple[float, ...], horizon: int) -> _Workspace:
    """The thread's workspace; one is kept, as blocks of one task follow each other."""
    if getattr(_local, "key", None) != (levels, horizon):
        _local.work, _local.key = _Workspace(levels, horizon), (levels, horizon)
    work: _Workspace = _local.work
    return work


def _rule(levels: tuple[float, ...], asked: float) -> Rule | None:
    try:
        return rule(levels, asked)
    except ForecastError:
        return None  # one level, and not this one: what needs it is undefined


def _over_windows(values: NDArray[Any]) -> NDArray[Any]:
    """Sums over windows: [K, n, H] -> [K, H]; of bytes, at most 255 · WIDE of them."""
    k, n, horizon = values.shape
    if n % WIDE:
        return np.add.reduce(values, axis=1, dtype=values.dtype)
    wide = np.add.reduce(values.reshape(k, n // WIDE, WIDE * horizon), axis=1, dtype=values.dtype)
    return np.add.reduce(wide.reshape(k, WIDE, horizon), axis=1)


def _take(difference: F64, each: Rule | None, out: F64) -> F64:
    """The difference [n, H] at one level from those at the given levels [Q, n, H]; `out` is used where that is none of them."""
    if each is None:
        out.fill(np.nan)
    elif each.weight == 0.0:
        return difference[each.base]
    else:
        np.subtract(difference[each.high], difference[each.low], out=out)
        out *= each.weight
        out += difference[each.base]
    return out


def _ratio(error: F64, size: F64, good: NDArray[np.bool_] | None, out: F64) -> NDArray[np.bool_] | None:
    """out = error / size, 0 where it does not count; return where it counts, None = everywhere."""
    if good is None and np.minimum.reduce(size, axis=None) > 0.0:
        np.divide(error, size, out=out)
        return None
    counts: NDArray[np.bool_] = size != 0
    if good is not None:
        counts &= good
    np.divide(error, np.where(counts, size, np.inf), out=out)
    return counts


def _count(valid: Valid, known: NDArray[np.bool_], horizon: int, out: NDArray[np.int32], steps: F64) -> None:
    """Counts per window [4, n] and, added, per step [4, H]."""
    for index, mask in enumerate(valid):
        if mask is None:
            out[index] = horizon
            steps[index] += out.shape[1]
        else:
            np.add.reduce(mask, axis=1, dtype=np.int32, out=out[index])
            steps[index] += np.add.reduce(mask, axis=0, dtype=np.int32)
    np.multiply(out[0], known, out=out[3])
    steps[3] += known.sum() if valid[0] is None else np.add.reduce(valid[0] & known[:, None], axis=0, dtype=np.int32)


def _extra(block: Block, metrics: Sequence[Metric]) -> dict[str, F64]:
    result: dict[str, F64] = {}
    for metric in metrics:
        if metric.statistics is None:
            continue
        found: Mapping[str, Any] = metric.statistics(block)
        for name, values in found.items():
            array = np.asarray(values)
            if array.shape != (len(block),) or array.dtype.kind not in "fiub":
                raise PluginError(
                    f"metric {metric.name!r}: statistic {name!r} is {array.dtype} of shape {array.shape}; wanted one number for each of "
                    f"the block's windows, float64 {(len(block),)}"
                )
            if name in STATISTICS or name in result:
                raise PluginError(f"metric {metric.name!r}: a statistic named {name!r} is there already; begin its name with the metric's")
            result[name] = array.astype(np.float64)
    return result
