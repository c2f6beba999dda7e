"""Series as columns, and the windows cut from them.

A dataset of items × variates is C = items · V *channels*, item-major: channel c is variate c % V of item c // V. Values stay where the
reader mapped them; a window is a channel and a cutoff, so a million windows cost 12 bytes each and no Python object.
Axes: C channels, N windows, H horizon. Values are float32, NaN where missing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.arrow import from_numpy, to_numpy
from harness.errors import DataError
from harness.forecast import F32, I64, Ragged
from harness.frequency import shift
from harness.types import Task

__all__ = ["Channels", "SeriesSet", "TaskData", "Training", "rolling"]


@dataclass(frozen=True, eq=False)
class Channels:
    """C float32 vectors that lie somewhere in `chunks`: channel c is `chunks[chunk[c]][begin[c] : begin[c] + length[c]]`.

    chunk int32 [C] never falls; begin, length int64 [C].
    """

    chunks: tuple[F32, ...]
    chunk: NDArray[np.int32]
    begin: I64
    length: I64

    @classmethod
    def from_ragged(cls, rows: Ragged) -> Channels:
        """Channels over one buffer."""
        return cls((rows.values,), np.zeros(len(rows), np.int32), rows.offsets[:-1], rows.lengths)

    def __len__(self) -> int:
        return len(self.length)

    def __getitem__(self, channel: int) -> F32:
        begin = int(self.begin[channel])
        values: F32 = self.chunks[self.chunk[channel]][begin : begin + int(self.length[channel])]
        return values

    def take(self, channel: NDArray[np.integer[Any]]) -> Channels:
        """The channels at these positions, without copying values."""
        return Channels(self.chunks, self.chunk[channel], self.begin[channel], self.length[channel])

    def cut(self, channel: NDArray[np.integer[Any]], low: I64, high: I64) -> Ragged:
        """Copy `[low, high)` of each named channel into one buffer."""
        parts = []
        for chunk, rows in self._runs(channel):
            begin = self.begin[channel[rows]] + low[rows]
            view = pa.LargeListViewArray.from_arrays(from_numpy(begin), from_numpy(high[rows] - low[rows]), from_numpy(self.chunks[chunk]))
            parts.append(to_numpy(view.flatten()))
        offsets = np.zeros(len(channel) + 1, np.int64)
        np.cumsum(high - low, out=offsets[1:])
        values = parts[0] if len(parts) == 1 else np.concatenate([*parts, np.empty(0, np.float32)])
        return Ragged(values, offsets)

    def gather(self, channel: NDArray[np.integer[Any]], at: I64, steps: int) -> F32:
        """Copy `steps` values from position `at` of each named channel: float32 [N, steps]."""
        out = np.empty((len(channel), steps), np.float32)
        ahead = np.arange(steps, dtype=np.int64)
        for chunk, rows in self._runs(channel):
            index = (self.begin[channel[rows]] + at[rows])[:, None] + ahead  # [N, steps]
            np.take(self.chunks[chunk], index, out=out[rows])
        return out

    def _runs(self, channel: NDArray[np.integer[Any]]) -> list[tuple[int, slice]]:
        """Consecutive rows whose channels lie in the same chunk."""
        if len(channel) == 0:
            return []
        where = self.chunk[channel]
        edges = [0, *(np.flatnonzero(np.diff(where)) + 1).tolist(), len(channel)]
        return [(int(where[a]), slice(a, b)) for a, b in zip(edges[:-1], edges[1:], strict=True)]


@dataclass(frozen=True, eq=False)
class SeriesSet:
    """The series of one dataset.

    Attributes:
        item_ids: Arrow string array [items].
        starts: datetime64[s] [items], the time of the first value.
        freq: the step, as the data says it ("W-WED").
        variates: V.
        target: C = items · V channels.
        past: items · P channels of covariates known up to the cutoff, or None.
        known: items · K channels of covariates known for the horizon too, each as long as its item's target, or None.
        fingerprint: a hash of all of the above, independent of how the files are cut into pieces.
        past_names: what the past covariates are called, P names, or () where nobody says.
        times: datetime64[s] [T], the time of every step, where all items share them and they are not evenly apart, as sessions of an
            exchange; None = `starts` and `freq` tell them.
        groups: Arrow string array [items], what an item is a part of, such as the patient of a recording; None = each is its own.
        check: raises `DataError` when the files behind the values have changed since; called before a cell and before its result counts.
    """

    item_ids: pa.Array | pa.ChunkedArray
    starts: NDArray[np.datetime64]
    freq: str
    variates: int
    target: Channels
    past: Channels | None = None
    known: Channels | None = None
    fingerprint: str = ""
    groups: pa.Array | pa.ChunkedArray | None = None
    past_names: tuple[str, ...] = ()
    times: NDArray[np.datetime64] | None = None
    check: Callable[[], None] = lambda: None  # raises DataError when the mapped files are not what they were when they were opened

    @property
    def items(self) -> int:
        return len(self.starts)

    def when(self, item: NDArray[np.integer[Any]], position: I64) -> NDArray[np.datetime64]:
        """The time of a position in each of these items, datetime64[s] [N]; behind the last step it goes on in steps of `freq`."""
        starts = self.starts[item]
        if self.times is None:
            return shift(starts, self.freq, position) if position.any() else starts
        last = len(self.times) - 1
        beyond = np.maximum(position - last, 0)
        found = self.times[np.minimum(position, last)]
        return shift(found, self.freq, beyond) if beyond.any() else found

    @property
    def past_count(self) -> int:
        """P, the number of past covariates of an item."""
        return 0 if self.past is None or self.items == 0 else len(self.past) // self.items

    @property
    def known_count(self) -> int:
        """K, the number of known covariates of an item."""
        return 0 if self.known is None or self.items == 0 else len(self.known) // self.items


@dataclass(frozen=True, eq=False)
class Training:
    """What the model of one fold learns from: K parts of series, `[begin, end)` of each named channel.

    channel int32 [K]; begin, end int64 [K], begin < end.
    """

    channel: NDArray[np.int32]
    begin: I64
    end: I64

    def __len__(self) -> int:
        return len(self.channel)


@dataclass(frozen=True, eq=False)
class TaskData:
    """A task with its data: N windows, ordered by item, variate, cutoff.

    Attributes:
        channel: int32 [N], the window's channel.
        cut: int64 [N], the position of the first label in its channel; the context is everything before it.
        slot: int32 [N], which of its series' windows this is, 0 the earliest.
        index: int64 [N], the window's number in the whole task; differs from its position when the task is limited.
        training: what is learnt from, for each fold; empty = there is one fold, which learns from each series up to its first cutoff.
        fold: int32 [N], the fold of each window, whose model alone forecasts it; None = all windows are of fold 0.
    """

    task: Task
    series: SeriesSet
    channel: NDArray[np.int32]
    cut: I64
    slot: NDArray[np.int32]
    index: I64
    training: tuple[Training, ...] = ()
    fold: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        length = self.series.target.length[self.channel]
        short = np.flatnonzero((self.cut < 1) | (self.cut + self.task.horizon > length))
        if len(short):
            row = int(short[0])
            channel = int(self.channel[row])
            item = self.series.item_ids[channel // self.series.variates]
            count = len(np.unique(self.channel[short]))
            raise DataError(
                f"{self.task.suite}:{self.task.name}: series {item} has {length[row]} values; {self.windows} windows of "
                f"{self.task.horizon} labels need at least {self.windows * self.task.horizon + 1}. "
                f"{count} series of the dataset are too short: remove them."
            )
        known, count = self.series.known, self.series.known_count
        if known is not None and count:
            target = np.repeat(self.series.target.length[:: self.series.variates], count)  # [items · K]
            other = np.flatnonzero(known.length != target)
            if len(other):
                row = int(other[0])
                raise DataError(
                    f"{self.task.suite}:{self.task.name}: known covariate {row % count} of series {self.series.item_ids[row // count]} has "
                    f"{known.length[row]} values and its target {target[row]}; a known covariate must be as long as its target."
                )
        self._check_folds()

    def _check_folds(self) -> None:
        """No model may learn from what it is to forecast: parts of an item end where the first labels of its fold begin.

        Raises:
            DataError: there is no such fold or part, or one holds labels.
        """
        fold = np.zeros(len(self), np.int32) if self.fold is None else self.fold
        name = f"{self.task.suite}:{self.task.name}"
        if fold.min(initial=0) < 0 or fold.max(initial=0) >= max(1, len(self.training)):
            raise DataError(f"{name}: windows of fold {fold.max(initial=0)}, training for {len(self.training)}; wanted one a fold")
        if not self.training:
            return
        # The first cutoff of each item in each fold, keyed by both: a task may have hundreds of folds and hundreds of thousands of windows.
        items = self.series.items
        keys, at = np.unique(fold.astype(np.int64) * items + self.channel // self.series.variates, return_inverse=True)
        # One entry more than keys, for items that a fold has no window of.
        first = np.full(len(keys) + 1, np.iinfo(np.int64).max)
        np.minimum.at(first, at, self.cut)
        keys = np.append(keys, -1)
        for number, part in enumerate(self.training):
            wrong = (part.begin < 0) | (part.begin >= part.end) | (part.end > self.series.target.length[part.channel])
            if wrong.any():
                row = int(np.flatnonzero(wrong)[0])
                at = f"[{part.begin[row]}, {part.end[row]}) of channel {part.channel[row]}"
                raise DataError(f"{name}: fold {number} learns from {at}; wanted a part of the channel")
            key = number * items + part.channel.astype(np.int64) // self.series.variates
            place = np.searchsorted(keys[:-1], key)
            late = np.flatnonzero((keys[place] == key) & (part.end > first[place]))
            if len(late):
                row = int(late[0])
                series = self.series.item_ids[int(part.channel[row]) // self.series.variates]
                raise DataError(f"{name}: fold {number} would learn from series {series} up to {part.end[row]}, past its first cutoff")

    @property
    def folds(self) -> NDArray[np.int32]:
        """The folds that have windows here, rising."""
        found: NDArray[np.int32] = np.zeros(min(1, len(self)), np.int32) if self.fold is None else np.unique(self.fold)
        return found

    def __len__(self) -> int:
        return len(self.cut)

    @property
    def windows(self) -> int:
        """W, windows per series (the largest, where series differ)."""
        return int(self.slot.max(initial=-1)) + 1

    def limited(self, items: NDArray[np.int64]) -> TaskData:
        """Only the windows of these items."""
        keep = np.isin(self.channel // self.series.variates, items)
        return self.take(np.flatnonzero(keep))

    def take(self, rows: NDArray[np.integer[Any]]) -> TaskData:
        """Only these windows; what is learnt from stays."""
        fold = None if self.fold is None else self.fold[rows]
        return replace(self, channel=self.channel[rows], cut=self.cut[rows], slot=self.slot[rows], index=self.index[rows], fold=fold)


def rolling(task: Task, series: SeriesSet, windows: int) -> TaskData:
    """The last `windows` non-overlapping windows of every series: cutoffs L − H·W, L − H·(W − 1), …, L − H."""
    count = len(series.target)
    slot = np.tile(np.arange(windows, dtype=np.int32), count)  # [C·W]
    channel = np.repeat(np.arange(count, dtype=np.int32), windows)
    cut = series.target.length[channel] - task.horizon * (windows - slot.astype(np.int64))
    return TaskData(task, series, channel, cut, slot, np.arange(len(cut), dtype=np.int64))
