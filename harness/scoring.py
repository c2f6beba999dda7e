"""Sufficient statistics of each window: sums over its valid points, from which every metric of every slice follows.

Axes: N windows, Q quantile levels, H horizon, K statistics. Labels and forecasts are float32; a label that is NaN or infinite is missing
and counts nowhere. Differences are taken in float64, where those of two float32 numbers round once.

What is undefined is left out of sum and count alike, as gluonts' masked arrays do (source: gluonts `ev/stats.py`, `evaluate_model` with
`mask_invalid_label=True`): a division by zero is no point. So zero labels do not count in `ape`, points where label and median are both
zero do not count in `sape`, windows whose seasonal error is zero or NaN do not count in `scaled_error` and `scaled_interval`. Unlike
gluonts with float32 forecasts, nothing overflows: float64 holds every ratio and square of two float32 numbers.

Notable choices:

* 2·pinball(d, τ) = |d| + (1 − 2τ)·d with d = quantile − label, so the sums of d and of |d| are enough: no pass over the points for the
  weights, and no cancellation beyond 1/min(τ, 1 − τ). Likewise the interval score (u − l) + 40·max(l − y, 0) + 40·max(y − u, 0) is
  20·(|l − y| + |u − y| − 0.95·(u − l)).
* Differences lie level by level, [Q, n, H]: all that has the shape of the labels is then added to them in long rows.
* A block is worked through in pieces of up to 512 windows: smaller ones would stay in the second-level cache, and lose more to the calls.
* Sums over steps run along the contiguous last axis by `np.einsum`, three times as fast as `np.add.reduce`, which takes over where rows
  are longer than numpy's buffer and einsum's result would depend on the place. So a window's statistics are the same bits in whatever
  block and place it is scored (by one build of numpy). Sums over windows (per step) depend, in the last bits, on how the windows are
  cut into blocks.
* Hits are added eight at a time, as the bytes of one word.
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
BLOCK = 512  # windows scored together
PIECE = 1 << 18  # quantile values worked on together: 2 MiB in float64
POINTS = 8  # planes of the workspace beside the differences: SUMS without error and abs_error
SHORT = 4096  # longest row that einsum is sure to add in one go; numpy's buffer holds 8192 numbers
WIDE = 8  # windows whose steps are added side by side
WORD = 8  # hits in an uint64
BYTE = 255  # most hits that a byte counts
EIGHT, FORTY_EIGHT, PAIRS, ONES = np.uint64(8), np.uint64(48), np.uint64(0x00FF00FF00FF00FF), np.uint64(0x0001000100010001)

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
    seasonal_error float64 [N]. Labels may be NaN; the others are finite (a seasonal error of 0 or NaN is "undefined"). `interval` [N, 2, H]
    holds the quantiles at 0.025 and 0.975 where the forecast itself tells them (samples, other levels); None = from the given quantiles.
    """

    labels: F32
    quantiles: F32
    mean: F32
    levels: F64
    seasonal_error: F64
    interval: F64 | None = None

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
        tails = None if block.interval is None else block.interval[part]
        valid = work.sum(good, mean[part], tails, scale[part], sums[:, part], step_sums)
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

    The buffer holds planes [n, H]: D differences quantile − label, one for each level (and one for the median where that is no level),
    then POINTS. The differences are summed as they are, then all planes once the differences are absolute: L = 2 D + POINTS lines.
    """

    def __init__(self, levels: tuple[float, ...], horizon: int) -> None:
        self.horizon, self.count = horizon, len(levels)
        rows = max(1, min(BLOCK, PIECE // max(1, self.count * horizon)))
        self.rows = rows - rows % WIDE if rows > WIDE else rows
        self.tilt = 1.0 - 2.0 * np.array(levels)[:, None]  # [Q, 1]
        self.median, self.lower, self.upper = (_rule(levels, level) for level in (0.5, 0.025, 0.975))
        given = self.median is not None and self.median.weight == 0.0
        self.middle = self.median.base if self.median is not None and given else self.count  # the median's plane
        self.depth = self.count + (not given)  # D
        self.lines = 2 * self.depth + POINTS
        self.buffer = np.empty((self.depth + POINTS) * self.rows * horizon)
        self.planes = self.buffer.reshape(self.depth + POINTS, self.rows, horizon)
        self.spare = np.empty((2, self.rows, horizon))
        self.width = -(-horizon // WORD) * WORD
        self.hit = np.empty(self.count * self.rows * self.width, np.bool_)

    def start(self, labels: F32, quantiles: F32) -> NDArray[np.bool_] | None:
        """Take n windows: fill differences and labels; return which points are valid [n, H], None = all. The others hold 0."""
        shape = (self.depth + POINTS, len(labels), self.horizon)
        self.planes = self.buffer[: shape[0] * shape[1] * shape[2]].reshape(shape)
        difference, label = self.planes[: self.count], self.planes[self.depth]
        np.copyto(label, labels)
        np.copyto(difference, quantiles.transpose(1, 0, 2))  # [n, Q, H] -> [Q, n, H]
        good: NDArray[np.bool_] | None = np.isfinite(labels)
        if good.all():  # type: ignore[union-attr]
            good = None
        else:
            label[~good] = 0.0  # type: ignore[operator]
        difference -= label
        if good is not None:
            np.copyto(difference, 0.0, where=~good)
        if self.middle == self.count:
            _take(difference, self.median, self.planes[self.middle])
        return good

    def count_hits(self, good: NDArray[np.bool_] | None, hits: NDArray[np.int32], steps: F64) -> None:
        """How often quantile ≥ label: per window [n, Q] and, added, per step [Q, H]."""
        shape = (self.count, len(hits), self.width)
        hit = self.hit[: shape[0] * shape[1] * shape[2]].reshape(shape)
        inside = hit[:, :, : self.horizon]
        if self.width > self.horizon:
            hit[:, :, self.horizon :] = False
        np.greater_equal(self.planes[: self.count], 0.0, out=inside)
        if good is not None:
            np.logical_and(inside, good, out=inside)
        steps += _over_windows(hit.view(np.uint8))[:, : self.horizon]
        words = hit.view(np.uint64)  # [Q, n, width] -> [Q, n, width / 8]
        total = _fold(np.einsum("qnw->qn", words[:, :, :BYTE]))
        for a in range(BYTE, words.shape[2], BYTE):
            total += _fold(np.einsum("qnw->qn", words[:, :, a : a + BYTE]))
        hits[:] = total.T

    def sum(self, good: NDArray[np.bool_] | None, mean: F32, tails: F64 | None, scale: F64, sums: F64, steps: F64) -> Valid:
        """Fill the other planes and sum all: per window [L, n] and, added, per step [L, H]. The differences become absolute."""
        difference, depth = self.planes[: self.depth], self.depth
        label, abs_label, sq_error, sq_mean, ape, sape, scaled, interval = self.planes[depth:]
        error, spare = difference[self.middle], self.spare[:, : len(mean)]
        self._sum(difference, sums[:depth], steps[:depth])
        if tails is None:
            low, high = _take(difference, self.lower, spare[0]), _take(difference, self.upper, spare[1])
        else:
            np.subtract(tails.transpose(1, 0, 2), label, out=spare)  # [n, 2, H] -> [2, n, H]
            if good is not None:
                np.copyto(spare, 0.0, where=~good)
            low, high = spare
        np.subtract(low, high, out=interval)
        interval *= 0.95
        interval += np.abs(low, out=spare[0])
        interval += np.abs(high, out=spare[1])
        interval /= scale
        np.add(error, label, out=sape)  # the median itself
        np.abs(sape, out=sape)
        np.abs(label, out=abs_label)
        sape += abs_label
        np.copyto(sq_mean, mean)
        sq_mean -= label
        if good is not None:
            np.copyto(sq_mean, 0.0, where=~good)
        np.square(sq_mean, out=sq_mean)
        np.square(error, out=sq_error)
        np.abs(difference, out=difference)  # and with it `error`
        np.divide(error, scale, out=scaled)
        counts_ape = _ratio(error, abs_label, good, ape)
        counts_sape = _ratio(error, sape, good, sape)
        self._sum(self.planes, sums[depth:], steps[depth:])
        return good, counts_ape, counts_sape

    def _sum(self, planes: F64, sums: F64, steps: F64) -> None:
        """Sums of planes [K, n, H] over steps [K, n] and, added, over windows [K, H]."""
        if self.horizon <= SHORT:
            np.einsum("knh->kn", planes, out=sums)
        else:
            np.add.reduce(planes, axis=2, out=sums)
        steps += _over_windows(planes)

    def statistics(self, lines: F64) -> tuple[F64, F64]:
        """From lines of sums [L, n] the SUMS [K, n] and the quantile losses [n, Q]; n are windows, or steps."""
        signed, absolute, points = lines[: self.depth], lines[self.depth : 2 * self.depth], lines[2 * self.depth :]
        sums = np.empty((len(SUMS), lines.shape[1]))
        sums[:2] = points[:2]  # label, abs_label
        np.subtract(0.0, signed[self.middle], out=sums[2])  # error
        sums[3] = absolute[self.middle]  # abs_error
        sums[4:] = points[2:]
        sums[SUMS.index("sape")] *= 2.0
        sums[SUMS.index("scaled_interval")] *= 20.0
        loss = self.tilt * signed[: self.count]
        loss += absolute[: self.count]
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
    """Sums over windows: [K, n, H] -> [K, H]; of bytes, at most 255 · WIDE windows."""
    k, n, horizon = values.shape
    even = n - n % WIDE
    wide = np.add.reduce(values[:, :even].reshape(k, even // WIDE, WIDE * horizon), axis=1, dtype=values.dtype)
    sums: NDArray[Any] = np.add.reduce(wide.reshape(k, WIDE, horizon), axis=1)
    if even < n:
        sums += np.add.reduce(values[:, even:], axis=1)
    return sums


def _fold(lanes: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The sum of the eight bytes of each word."""
    return ((lanes & PAIRS) + (lanes >> EIGHT & PAIRS)) * ONES >> FORTY_EIGHT


def _take(difference: F64, each: Rule | None, out: F64) -> F64:
    """The difference [n, H] at one level from those at the given levels [Q, n, H]; `out` is used where that is none of them."""
    if each is None:
        out.fill(np.nan)
    elif each.weight == 0.0:
        given: F64 = difference[each.base]
        return given
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
