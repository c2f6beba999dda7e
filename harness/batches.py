"""Cutting a task's windows into the batches that travel to a model. Only values before the cutoff are read here.

Axes: N windows. Batches are ranges of the task's windows; a window's id and seed depend on the task, its number and the run's seed alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.events import threshold
from harness.forecast import F64, I64, U64, Batch, Ragged
from harness.series import Channels, TaskData
from harness.types import Event, ModelInfo

__all__ = ["cut_batch", "edges", "fill_gaps", "ids_of", "longest", "ranges", "thresholds", "training_batch"]

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


def ranges(data: TaskData, info: ModelInfo, batch_size: int | None, fold: int | None = None) -> Iterator[tuple[int, int]]:
    """Cut the windows into ranges of `batch_size`, or of what fits memory and the model's wish; with `fold`, those of one fold."""
    if fold is not None and data.fold is not None:
        mine = np.flatnonzero(np.diff(np.concatenate([[0], data.fold == fold, [0]])))  # where runs of the fold's windows begin and end
        for low, high in mine.reshape(-1, 2).tolist():
            yield from ((low + a, low + b) for a, b in ranges(data.take(np.arange(low, high)), info, batch_size))
        return
    ends = edges(data, info)
    most = longest(data, info)
    length = data.cut if most is None else np.minimum(data.cut, most)
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
    cut, most = data.cut[low:high], longest(data, info)
    begin = np.zeros_like(cut) if most is None else np.maximum(cut - most, 0)
    channel = data.channel[low:high]
    group = (channel // data.series.variates).astype(np.int64) * max(data.windows, 1) + data.slot[low:high]
    return _batch(data, channel, begin, cut, group, window_ids(data, low, high), info, seed)


def longest(data: TaskData, info: ModelInfo) -> int | None:
    """Steps of context that a model is sent at most; None = all there are."""
    limits = [limit for limit in (info.max_context, data.task.context or None) if limit is not None]
    return min(limits, default=None)


def _batch(data: TaskData, channel: NDArray[np.int32], begin: I64, cut: I64, group: I64, ids: U64, info: ModelInfo, seed: int) -> Batch:
    """`[begin, cut)` of each channel [N], with what belongs to it."""
    task, series = data.task, data.series
    item = (channel // series.variates).astype(np.int64)
    past = []
    if "past" in info.covariates and series.past is not None:
        count = series.past_count
        past = [series.past.cut(item * count + k, begin, cut) for k in range(count)]
    known = []
    if "known" in info.covariates and series.known is not None:
        count = series.known_count
        known = [series.known.cut(item * count + k, begin, cut + task.horizon) for k in range(count)]
    contexts = series.target.cut(channel, begin, cut)
    return Batch(
        contexts=fill_gaps(contexts, task.fill_gaps) if task.fill_gaps else contexts,
        starts=series.when(item, begin),
        freq=series.freq,
        horizon=task.horizon,
        quantile_levels=np.asarray(task.quantile_levels, np.float64),
        season_length=task.season_length,
        group=group,
        window_ids=ids,
        seeds=_mix(ids ^ _mix(np.array([seed], np.uint64))),
        past_covariates=tuple(past),
        past_names=series.past_names if past else (),
        known_covariates=tuple(known),
        event=task.event,
        thresholds=None if task.event is None else thresholds(task.event, series.target, channel, cut),
        context_limit=task.context,
        dataset=task.dataset,
        domain=task.domain,
    )


def training_batch(data: TaskData, info: ModelInfo, mode: str, seed: int, fold: int = 0) -> Batch:
    """What the protocol gives a fold to learn from, whole; for "few-shot:p" the newest share p of each part, for "ttt" none.

    Where the data has no folds, that is each series up to its first cutoff. No label of the fold's windows is in it: `TaskData` checks.
    """
    if data.training:
        part = data.training[fold]
        channel, begin, end = part.channel, part.begin, part.end
        if data.series.known_count and "known" in info.covariates:  # rows of known covariates are longer by a horizon
            end = np.minimum(end, data.series.target.length[channel] - data.task.horizon)
        there = end > begin
        channel, begin, end = channel[there], begin[there], end[there]
        ids = ids_of(f"{data.task.name} training {fold}", np.arange(len(channel)))
    else:
        first = np.flatnonzero(data.slot == 0)
        channel, end = data.channel[first], data.cut[first]
        begin, ids = np.zeros_like(end), ids_of(data.task.name, data.index[first])
    if mode == "ttt":
        channel, begin, end, ids = channel[:0], begin[:0], end[:0], ids[:0]
    if mode.startswith("few-shot:"):
        share = float(mode.partition(":")[2])
        begin = end - np.maximum(1, np.ceil((end - begin) * share).astype(np.int64))
    parts = np.stack([channel // data.series.variates, begin, end], axis=1)  # [K, 3]: the same of each variate of an item belong together
    group = np.unique(parts, axis=0, return_inverse=True)[1].reshape(-1) if len(parts) else end
    return _batch(data, channel, begin, end, group, ids, info, seed)


def thresholds(event: Event, series: Channels, channel: NDArray[np.integer[Any]], cut: I64) -> F64:
    """What the value must exceed for the event to happen, float64 [N]; NaN where it depends on a context that has no value."""
    return threshold(event, _last(series, channel, cut) if event.relative else np.zeros(len(cut)))


def _last(series: Channels, channel: NDArray[np.integer[Any]], cut: I64) -> F64:
    """The last finite value before each cut [N], NaN where there is none."""
    found, open_, back = np.full(len(cut), np.nan), np.arange(len(cut)), np.zeros(len(cut), np.int64)
    while len(open_):
        value = series.gather(channel[open_], cut[open_] - 1 - back[open_], 1)[:, 0]
        found[open_] = np.where(np.isfinite(value), value, np.nan)
        back[open_] += 1
        open_ = open_[~np.isfinite(value) & (back[open_] < cut[open_])]
    return found


def fill_gaps(rows: Ragged, most: int) -> Ragged:
    """Fill runs of at most `most` missing values that lie between two values of the same row, on the straight line between them.

    >>> fill_gaps(Ragged.from_rows([[np.nan, 1, np.nan, 3, np.nan, np.nan, np.nan, 5, np.nan]]), 2).values.tolist()
    [nan, 1.0, 2.0, 3.0, nan, nan, nan, 5.0, nan]
    """
    missing = np.isnan(rows.values)
    if not missing.any():
        return rows
    seen = np.flatnonzero(~missing)
    if len(seen) < 2:
        return rows
    at = np.flatnonzero(missing)
    right = np.searchsorted(seen, at)  # the next value's place among those seen
    inner = (right > 0) & (right < len(seen))
    at, right = at[inner], right[inner]
    low, high = seen[right - 1], seen[right]
    row = np.searchsorted(rows.offsets, at, side="right")  # rows of no length have no place of their own
    same = (low >= rows.offsets[row - 1]) & (high < rows.offsets[row])
    fill = same & (high - low <= most + 1)
    at, low, high = at[fill], low[fill], high[fill]
    values = rows.values.copy()
    a, b = values[low].astype(np.float64), values[high].astype(np.float64)
    values[at] = a + (b - a) * ((at - low) / (high - low))
    return Ragged(values, rows.offsets)
