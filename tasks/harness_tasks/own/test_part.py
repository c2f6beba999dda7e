"""Windows of a test part: of a file that declares `test`, and series of which only the first `steps` count.

Papers on long horizons cut a series into training, validation and test part, and forecast inside the last one. So the test part of a
series of L steps is its last T, or the last ⌊share · L⌋, and a window's H labels lie in it: cutoffs L − T + stride·w as far as they fit, or
W cutoffs evenly over it, L − T + ⌊w·(T − H) / (W − 1)⌋. What lies before the first cutoff is what models learn from and look back to.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from harness.errors import DataError
from harness.types import Task
from harness_tasks.own.declared import Entry

if TYPE_CHECKING:
    from harness.forecast import I64
    from harness.series import Channels, SeriesSet, TaskData

__all__ = ["first_steps", "place"]

LISTED = 3


def first_steps(task: Task, entry: Entry, series: SeriesSet) -> SeriesSet:
    """The series without what lies behind their first `steps`.

    Raises:
        DataError: one has fewer: it is not the series that the file was written for.
    """
    steps = entry.steps
    lengths = series.target.length[:: series.variates]  # [items]
    fewer = np.flatnonzero(lengths < steps)
    if len(fewer):
        said = _some([f"{series.item_ids[int(i)]} ({lengths[i]:,})" for i in fewer])
        raise DataError(
            f"{entry.where}: {task.name}: {len(fewer)} of {len(lengths)} series have fewer than the {steps:,} steps that are "
            f"wanted (key steps): {said}. Is it the right file?"
        )

    def cut(channels: Channels | None) -> Channels | None:
        return None if channels is None else replace(channels, length=np.minimum(channels.length, steps))

    target = replace(series.target, length=np.minimum(series.target.length, steps))
    return replace(series, target=target, past=cut(series.past), known=cut(series.known))


def place(task: Task, entry: Entry, series: SeriesSet, empty: Sequence[str]) -> TaskData:
    """The windows of the test part.

    Raises:
        DataError: a series too short for it, or a test part too short for one window.
    """
    from harness.series import TaskData

    horizon = task.horizon
    lengths = series.target.length[:: series.variates]  # [items]
    part = np.floor(lengths * entry.test + 1e-9).astype(np.int64) if entry.test < 1 else np.full(len(lengths), int(entry.test))
    fits = (part >= horizon) & (lengths - part >= entry.min_context)
    if (entry.short == "error" and (empty or not fits.all())) or not fits.any():
        said = [f"{series.item_ids[int(i)]} ({lengths[i]:,} steps, test part {part[i]:,})" for i in np.flatnonzero(~fits)]
        said += [f"{name} (no value)" for name in empty]
        hint = " To leave them out: short: skip" if fits.any() else ""
        raise DataError(
            f"{entry.where}: {task.name}: {len(said)} of {len(lengths) + len(empty)} series have no room for a test part of "
            f"horizon {horizon} or more and {entry.min_context} steps before it: {_some(said)}.{hint}"
        )
    offsets = [_offsets(int(steps) - horizon, entry) if good else np.empty(0, np.int64) for steps, good in zip(part, fits, strict=True)]
    channel = np.repeat(np.arange(len(series.target), dtype=np.int32), np.repeat([len(each) for each in offsets], series.variates))
    slot = np.concatenate([np.arange(len(each), dtype=np.int32) for each in offsets for _ in range(series.variates)])
    offset = np.concatenate([each for each in offsets for _ in range(series.variates)])
    item = channel // series.variates
    return TaskData(task, series, channel, (lengths - part)[item] + offset, slot, np.arange(len(slot), dtype=np.int64))


def _offsets(room: int, entry: Entry) -> I64:
    """Where windows begin, in steps from the first of the test part, of which `room` are behind the first window's end."""
    if not entry.windows:
        return np.arange(0, room + 1, entry.stride, dtype=np.int64)
    count = min(entry.windows, room + 1)
    return np.arange(count, dtype=np.int64) * room // max(1, count - 1)


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if len(names) > LISTED else "")
