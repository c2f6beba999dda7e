"""A suite that a file declares: its tasks, and its series read when a task is opened.

Windows are the last W of each series, `stride` steps apart, each with H labels: cutoffs L − H − stride·(W − 1 − w) for w = 0 … W − 1. Of
`windows: auto` W is by GIFT-Eval's rule, of the shortest series. A window has `min_context` steps before its cutoff at least. Those of a
file that declares a test part are in `harness_tasks.own.test_part`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness import frequency
from harness.errors import DataError, UsageError
from harness.files import data_folder
from harness.types import SuiteInfo, Task
from harness_tasks.gift_eval import MAX_WINDOWS, TEST_SHARE
from harness_tasks.own.declared import HUB, READY, Declared, Entry, Source
from harness_tasks.own.suite_file import read

if TYPE_CHECKING:
    from harness.forecast import F32, I64
    from harness.series import Channels, SeriesSet, TaskData
    from harness_tasks.own.grid import Gridded

__all__ = ["OwnSuite", "open_file"]

LISTED = 3
SUFFIXES = (".yaml", ".yml")


class OwnSuite:
    """The tasks of a suite file.

    Args:
        declared: the file.
        data: where the relative paths of its sources begin; None = beside the file.
    """

    def __init__(self, declared: Declared, data: Path | None = None) -> None:
        self.declared = declared
        self.base = data_folder(data) or declared.path.parent
        self._entries = {entry.task.name: entry for entry in declared.entries}
        self._opened: dict[Source, tuple[SeriesSet, list[str]]] = {}

    def tasks(self) -> Sequence[Task]:
        """All tasks in the order of the file; opens no data."""
        return [entry.task for entry in self.declared.entries]

    def open(self, task: Task) -> TaskData:
        """Read the task's source (once for all its tasks) and place its windows.

        Raises:
            Unavailable: the source is not there.
            DataError: it is there and broken, or a series is too short.
        """
        entry = self._entries.get(task.name)
        if entry is None:
            raise UsageError(f"{self.declared.path} has no task {task.name!r}; it has {', '.join(self._entries)}")
        if entry.source not in self._opened:
            self._opened[entry.source] = _read(entry.source, self.base)
        series, empty = self._opened[entry.source]
        if entry.steps or entry.test:
            from harness_tasks.own.test_part import first_steps, place

            series = first_steps(task, entry, series) if entry.steps else series
            if entry.test:
                _as_declared(task, entry, series)
                return place(task, entry, series, empty)
        return _windows(task, entry, series, empty)


def open_file(path: Path) -> tuple[SuiteInfo, Callable[[Path | None], OwnSuite]] | None:
    """The suite of a .yaml file, None for other files. Raises DataError for one that is broken."""
    if not path.name.endswith(SUFFIXES):
        return None
    declared = read(path)

    def factory(data: Path | None) -> OwnSuite:
        return OwnSuite(declared, data)

    return declared.info, factory


def _read(source: Source, base: Path) -> tuple[SeriesSet, list[str]]:
    """The series of a source with their fingerprint, and the names of those without any value."""
    from harness_tasks.fingerprint import fingerprint, unchanged
    from harness_tasks.own.grid import to_grid
    from harness_tasks.own.rows import observe
    from harness_tasks.own.tables import files_of

    of_hub = source.format == "datasets" and source.path.lower().startswith(HUB)
    kind, files = ("datasets", list[Path]()) if of_hub else files_of(source, base)
    inside = [each for file in files for each in (sorted(file.rglob("*")) if file.is_dir() else [file]) if each.is_file()]
    check = unchanged(inside)
    if kind in READY:
        series, empty = replace(_ready(kind, files, source), check=check), []
    else:
        if not source.columns.target and source.layout != "wide":
            raise DataError(f"{source.where}: source: got a folder of {kind} without target columns; wanted columns: {{target: COLUMN}}")
        gridded = to_grid(observe(source, kind, files), source)
        series, empty = _series(gridded, source, check), gridded.empty
    series = replace(series, fingerprint=fingerprint(series))
    check()  # not in the midst of being written
    return series, empty


def _series(gridded: Gridded, source: Source, check: Callable[[], None]) -> SeriesSet:
    import pyarrow as pa

    from harness.series import SeriesSet

    columns, wide = source.columns, source.layout == "wide"
    targets = 1 if wide else len(columns.target)
    first, second = targets, targets + len(columns.past)
    return SeriesSet(
        pa.array(gridded.names, pa.string()),
        gridded.starts,
        source.freq,
        targets,
        _channels(gridded.columns[:targets], gridded.begin, gridded.length),
        past=_channels(gridded.columns[first:second], gridded.begin, gridded.length) if columns.past else None,
        known=_channels(gridded.columns[second:], gridded.begin, gridded.length) if columns.known else None,
        past_names=columns.past,
        times=gridded.times,
        check=check,
    )


def _channels(columns: Sequence[F32], begin: I64, length: I64) -> Channels:
    """Columns [cells] of items as channels, item-major: item 0's first column, item 0's second, …"""
    from harness.series import Channels

    count, cells = len(columns), len(columns[0])
    values = columns[0] if count == 1 else np.concatenate(columns)
    at = (begin[:, None] + np.arange(count) * cells).reshape(-1)  # [items, K] -> [items·K]
    return Channels((values,), np.zeros(len(at), np.int32), at, np.repeat(length, count))


def _ready(kind: str, files: Sequence[Path], source: Source) -> SeriesSet:
    """Files that say themselves what is what: one folder of GIFT-Eval's layout, or one .tsf file."""
    from harness.series import SeriesSet

    if len(files) != 1:
        raise DataError(f"{source.where}: source: got {len(files)} {kind} files; wanted one for each task")
    if kind == "gift-eval":
        from harness_tasks.arrow_folder import read_folder

        series = read_folder(files[0])
    else:
        from harness_tasks.tsf import read_tsf

        file = read_tsf(files[0], strict=False)
        series = SeriesSet(file.names, file.starts, file.freq or source.freq, 1, file.values)
    if frequency.normalize(series.freq) != frequency.normalize(source.freq):
        raise DataError(f"{files[0]}: says freq {series.freq}; {source.where} declares {source.freq}")
    return series


def _windows(task: Task, entry: Entry, series: SeriesSet, empty: Sequence[str]) -> TaskData:
    from harness.series import TaskData

    _as_declared(task, entry, series)
    lengths = series.target.length[:: series.variates]  # [items]
    horizon, stride, least = task.horizon, entry.stride, entry.min_context
    fits = lengths >= horizon + least
    least_windows = entry.windows or 1  # of `auto`, as many as all series have room for
    wanted = horizon + stride * (least_windows - 1) + least
    if entry.short == "error" and ((lengths < wanted).any() or empty):
        raise _short(task, entry, series, lengths, wanted, empty)
    if not fits.any():
        longest = f", the longest has {lengths.max()}" if len(lengths) else ""
        raise DataError(
            f"{entry.where}: {task.name}: got no series of {horizon + least} steps or more{longest}; wanted horizon + min_context"
        )
    count = entry.windows
    if not count:
        count = min(max(1, math.ceil(TEST_SHARE * int(lengths[fits].min()) / horizon)), MAX_WINDOWS)
        count = min(count, (int(lengths[fits].min()) - horizon - least) // stride + 1)
    needed = horizon + stride * (count - 1) + least
    channels = len(series.target)
    item = np.repeat(np.arange(series.items), series.variates)  # [C]
    slot = np.tile(np.arange(count, dtype=np.int32), channels)  # [C·W]
    channel = np.repeat(np.arange(channels, dtype=np.int32), count)
    cut = series.target.length[channel] - horizon - stride * (count - 1 - slot.astype(np.int64))
    keep = cut >= least
    if entry.short == "skip":
        keep &= (lengths >= needed)[item[channel]]
    if not keep.any():
        raise DataError(
            f"{entry.where}: {task.name}: got no series of {needed} steps or more; wanted that for {count} windows. windows: auto"
        )
    channel, slot, cut = channel[keep], slot[keep], cut[keep]
    return TaskData(task, series, channel, cut, slot, np.arange(len(cut), dtype=np.int64))


def _as_declared(task: Task, entry: Entry, series: SeriesSet) -> None:
    if series.variates != task.variates:
        raise DataError(f"{entry.where}: {task.name}: got {series.variates} variates; the file says variates: {task.variates}")


def _short(task: Task, entry: Entry, series: SeriesSet, lengths: I64, needed: int, empty: Sequence[str]) -> DataError:
    """Series that are too short, some by name."""
    short = np.flatnonzero(lengths < needed)
    said = [f"{series.item_ids[int(i)]} ({lengths[i]} steps)" for i in short[:LISTED]] + [f"{name} (no value)" for name in empty[:LISTED]]
    number = len(short) + len(empty)
    more = f" and {number - LISTED} more" if number > LISTED else ""
    count = {0: "its windows need", 1: "its window needs"}.get(entry.windows, f"its {entry.windows} windows need")
    return DataError(
        f"{entry.where}: {task.name}: {number} of {len(lengths) + len(empty)} series are shorter than the {needed} steps that {count}: "
        f"{', '.join(said[:LISTED])}{more}. To leave them out: short: skip; to give them fewer windows: short: fewer"
    )
