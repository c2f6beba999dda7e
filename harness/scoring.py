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
PIECE = 1 << 16  # quantile values worked on together: 512 KiB in float64
BYTE = 255  # most hits that a byte can count

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
    sums = np.empty((len(SUMS), n), np.float64)
    loss = np.empty((n, count), np.float64)
    hits = np.empty((n, count), np.int32)
    step_counts = np.zeros((len(COUNTS), horizon), np.float64)
    step_sums = np.zeros((len(SUMS), horizon), np.float64)
    step_loss = np.zeros((count, horizon), np.float64)
    step_hits = np.zeros((count, horizon), np.float64)
    # A division by infinity is 0: the way to leave a point out of a sum.
    known = (block.seasonal_error != 0) & ~np.isnan(block.seasonal_error)
    scale = np.where(known, block.seasonal_error, np.inf)[:, None]  # [N, 1]
    for a in range(0, n, work.rows):
        part = slice(a, min(a + work.rows, n))
        valid = work.points(labels[part], quantiles[part], mean[part], scale[part])
        _count(valid, known[part], horizon, counts[:, part], step_counts)
        rows = part.stop - part.start
        np.add.reduce(work.table[:, :rows], axis=2, out=sums[:, part])  # [K, n, H] -> [K, n]
        step_sums += np.add.reduce(work.table[:, :rows], axis=1)  # [K, H]
        work.levelwise(rows, valid[0], loss[part], hits[part], step_loss, step_hits)
    windows: dict[str, NDArray[Any]] = dict(zip((*COUNTS, *SUMS), (*counts, *sums), strict=True))
    windows.update(quantile_loss=loss, hits=hits)
    steps: dict[str, F64] = dict(zip((*COUNTS, *SUMS), (*step_counts, *step_sums), strict=True))
    steps.update(quantile_loss=np.ascontiguousarray(step_loss.T), hits=np.ascontiguousarray(step_hits.T))  # [H, Q]
    return Scores(windows, steps, _extra(block, metrics))


Valid = tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None, NDArray[np.bool_] | None]
"""Masks [n, H] of the points that are valid, that count in ape, that count in sape; None where all do."""


class _Workspace:
    """Buffers and weights for one set of levels and one horizon; `rows` windows at a time."""

    def __init__(self, levels: tuple[float, ...], horizon: int) -> None:
        count = len(levels)
        self.rows = max(1, min(BYTE, PIECE // max(1, count * horizon)))
        self.table = np.empty((len(SUMS), self.rows, horizon))  # [K, n, H]
        self.spare = np.empty((2, self.rows, horizon))
        self.difference = np.empty((self.rows, count, horizon))  # quantile − label
        self.loss = np.empty((self.rows, count, horizon))
        self.hit = np.empty((self.rows, count, horizon), np.bool_)
        self.tilt = np.repeat(1.0 - 2.0 * np.array(levels)[:, None], horizon, axis=1)  # [Q, H]
        self.median, self.lower, self.upper = (_rule(levels, level) for level in (0.5, 0.025, 0.975))

    def points(self, labels: F32, quantiles: F32, mean: F32, scale: F64) -> Valid:
        """Fill `table` and `difference` for n windows; points that do not count hold 0."""
        n = len(labels)
        label, abs_label, error, abs_error, sq_error, sq_mean, ape, sape, scaled, interval = self.table[:, :n]
        low, high = self.spare[:, :n]
        difference = self.difference[:n]
        np.copyto(label, labels)
        good: NDArray[np.bool_] | None = np.isfinite(labels)
        if good.all():  # type: ignore[union-attr]
            good = None
        else:
            label[~good] = 0.0  # type: ignore[operator]
        np.subtract(quantiles, label[:, None, :], out=difference)  # [n, Q, H]
        np.subtract(mean, label, out=sq_mean)
        if good is not None:
            np.copyto(difference, 0.0, where=~good[:, None, :])
            np.copyto(sq_mean, 0.0, where=~good)
        np.square(sq_mean, out=sq_mean)
        np.abs(label, out=abs_label)
        _take(difference, self.median, error)
        np.add(error, label, out=low)  # the median itself
        np.negative(error, out=error)
        np.abs(error, out=abs_error)
        np.square(error, out=sq_error)
        np.abs(low, out=low)
        low += abs_label
        counts_ape = _ratio(abs_error, abs_label, good, ape, high)
        counts_sape = _ratio(abs_error, low, good, sape, high)
        sape *= 2.0
        np.divide(abs_error, scale, out=scaled)
        _take(difference, self.lower, low)
        _take(difference, self.upper, high)
        np.subtract(low, high, out=interval)
        interval *= 19.0
        np.abs(low, out=low)
        np.abs(high, out=high)
        low += high
        low *= 20.0
        interval += low
        interval /= scale
        return good, counts_ape, counts_sape

    def levelwise(self, n: int, good: NDArray[np.bool_] | None, loss: F64, hits: NDArray[np.int32], step_loss: F64, step_hits: F64) -> None:
        """Quantile loss and hits of the n windows whose `difference` is filled; uses it up."""
        difference, spare, hit = self.difference[:n], self.loss[:n], self.hit[:n]
        np.greater_equal(difference, 0.0, out=hit)
        if good is not None:
            np.logical_and(hit, good[:, None, :], out=hit)
        bytes_ = hit.view(np.uint8)
        step_hits += np.add.reduce(bytes_, axis=0, dtype=np.uint8)  # [Q, H]
        hits[:] = np.add.reduce(bytes_[:, :, :BYTE], axis=2, dtype=np.uint8)  # [n, Q]
        for a in range(BYTE, bytes_.shape[2], BYTE):
            hits += np.add.reduce(bytes_[:, :, a : a + BYTE], axis=2, dtype=np.uint8)
        np.abs(difference, out=spare)
        difference *= self.tilt
        spare += difference
        np.add.reduce(spare, axis=2, out=loss)
        step_loss += np.add.reduce(spare, axis=0)


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


def _take(difference: F64, each: Rule | None, out: F64) -> None:
    """The difference [n, H] at one level from those at the given levels [n, Q, H]."""
    if each is None:
        out.fill(np.nan)
    elif each.weight == 0.0:
        np.copyto(out, difference[:, each.base])
    else:
        np.subtract(difference[:, each.high], difference[:, each.low], out=out)
        out *= each.weight
        out += difference[:, each.base]


def _ratio(error: F64, size: F64, good: NDArray[np.bool_] | None, out: F64, spare: F64) -> NDArray[np.bool_] | None:
    """out = error / size, 0 where it does not count; return where it counts, None = everywhere."""
    counts: NDArray[np.bool_] = size != 0
    if good is not None:
        counts &= good
    if counts.all():
        np.divide(error, size, out=out)
        return None
    np.copyto(spare, size)
    np.copyto(spare, np.inf, where=~counts)
    np.divide(error, spare, out=out)
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
