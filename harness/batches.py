"""Cutting a task's windows into the batches that travel to a model. Only values before the cutoff are read here.

Axes: N windows. Batches are ranges of the task's windows; a window's id and seed depend on the task, its number and the run's seed alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from harness.forecast import I64, U64, Batch, Ragged
from harness.frequency import shift
from harness.series import TaskData
from harness.types import ModelInfo

__all__ = ["cut_batch", "edges", "ids_of", "ranges", "training_batch"]

CONTEXT_BYTES = 8 << 20
"""What the contexts of one batch may take with `-b auto`: fits beside everything else, and amortises a call."""
FORECAST_BYTES = 16 << 20
AUTO_ROWS = 4096


def _mix(values: U64) -> U64:
    """SplitMix64: spreads consecutive numbers over all 64 bits."""
    with np.errstate(over="ignore"):
        values = (values + np.uint64(0x9E3779B97F4A7C15)).astype(np.uint64)
        values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return values ^ (values >> np.uint64(31))


def window_ids(data: TaskData, low: int, high: int) -> U64:
    """Stable ids of the windows [low, high)."""
    return ids_of(data.task.name, data.index[low:high])


def ids_of(task: str, index: I64) -> U64:
    """Stable ids of windows, a function of the task's name and their numbers [N] in it."""
    base = int.from_bytes(hashlib.blake2b(task.encode(), digest_size=8).digest())
    return _mix(index.astype(np.uint64) ^ np.uint64(base))


def edges(data: TaskData, info: ModelInfo) -> I64:
    """Where a batch may end: after every window, or after every item for a multivariate model. Rising, from 0 to N."""
    n = len(data)
    if not info.multivariate or data.series.variates == 1:
        return np.arange(n + 1, dtype=np.int64)
    item = data.channel // data.series.variates
    return np.concatenate([[0], np.flatnonzero(np.diff(item)) + 1, [n]]).astype(np.int64)


def ranges(data: TaskData, info: ModelInfo, batch_size: int | None) -> Iterator[tuple[int, int]]:
    """Cut the windows into ranges of `batch_size`, or of what fits the memory budgets and the model's wish."""
    ends = edges(data, info)
    length = data.cut if info.max_context is None else np.minimum(data.cut, info.max_context)
    streams = 1 + (data.series.past_count if "past" in info.covariates else 0)
    streams += data.series.known_count if "known" in info.covariates else 0
    load = np.concatenate([[0], np.cumsum(length * (4 * streams))])  # bytes of the contexts before each window
    answer = 4 * data.task.horizon * (len(data.task.quantile_levels) + 1)
    rows = batch_size or min(info.batch_size or AUTO_ROWS, max(1, FORECAST_BYTES // answer))
    low, n = 0, len(data)
    while low < n:
        high = min(low + rows, n)
        if batch_size is None:
            high = min(high, int(np.searchsorted(load, load[low] + CONTEXT_BYTES, side="right")) - 1)
        high = max(int(ends[np.searchsorted(ends, high, side="right") - 1]), int(ends[np.searchsorted(ends, low, side="right")]))
        yield low, high
        low = high


def cut_batch(data: TaskData, low: int, high: int, info: ModelInfo, seed: int) -> Batch:
    """The windows [low, high) as the model may see them."""
    task, series = data.task, data.series
    channel, cut = data.channel[low:high], data.cut[low:high]
    begin = np.zeros_like(cut) if info.max_context is None else np.maximum(cut - info.max_context, 0)
    item = channel // series.variates
    past = []
    if "past" in info.covariates and series.past is not None:
        count = series.past_count
        past = [series.past.cut(item.astype(np.int64) * count + k, begin, cut) for k in range(count)]
    known = []
    if "known" in info.covariates and series.known is not None:
        count = series.known_count
        known = [series.known.cut(item.astype(np.int64) * count + k, begin, cut + task.horizon) for k in range(count)]
    ids = window_ids(data, low, high)
    starts = series.starts[item]
    return Batch(
        contexts=series.target.cut(channel, begin, cut),
        starts=shift(starts, series.freq, begin) if begin.any() else starts,
        freq=series.freq,
        horizon=task.horizon,
        quantile_levels=np.asarray(task.quantile_levels, np.float64),
        season_length=task.season_length,
        group=item.astype(np.int64) * max(data.windows, 1) + data.slot[low:high],
        window_ids=ids,
        seeds=_mix(ids ^ _mix(np.array([seed], np.uint64))),
        past_covariates=tuple(past),
        known_covariates=tuple(known),
    )


def training_batch(data: TaskData, info: ModelInfo, mode: str, seed: int) -> Batch:
    """Each series up to its first cutoff, whole; for mode "few-shot:p" the newest share p of that, for "ttt" no series at all.

    Test labels are all at or after the first cutoff, so none is in here.
    """
    first = np.flatnonzero(data.slot == 0)
    if mode == "ttt":
        first = first[:0]
    whole = replace(data, channel=data.channel[first], cut=data.cut[first], slot=data.slot[first], index=data.index[first])
    batch = cut_batch(whole, 0, len(whole), ModelInfo(info.name, covariates=info.covariates), seed)
    if not mode.startswith("few-shot:"):
        return batch
    share = float(mode.partition(":")[2])
    begin = whole.cut - np.maximum(1, np.ceil(whole.cut * share).astype(np.int64))

    def newest(rows: Ragged) -> Ragged:
        return Ragged.from_rows([row[b:] for row, b in zip(rows, begin, strict=True)])

    return replace(
        batch,
        contexts=newest(batch.contexts),
        past_covariates=tuple(map(newest, batch.past_covariates)),
        known_covariates=tuple(map(newest, batch.known_covariates)),
        starts=shift(batch.starts, batch.freq, begin),
    )
