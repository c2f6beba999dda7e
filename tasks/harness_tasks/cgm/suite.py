"""The suite `cgm`: glucose some minutes ahead, through the night, and after meals, for people and times that were not learnt from.

A task is DATASET/WHAT/HOLD-OUT.

WHAT     30min, 60min, 90min, 120min   a window at every reading (or every `stride`-th): the steps up to the horizon
         night-6h, night-8h            a window at each midnight
         meal-2h                       a window after each recorded meal, whose grid point is the last of the context
HOLD-OUT temporal    the last 20 % of the time of people who are learnt from
         patients    people who are not learnt from, 15 % of them, over all their time
         both        the windows of these two together
         personal    60min: for each person a model of their own, learnt from their own past; the last 20 % of their time
         patients-25, patients-50, history-25, history-50
                     60min, the windows of `both`: learnt from a part of the people, or from the newest part of each one's time

Between what is learnt from and what is forecast lie at least H steps. What precedes a window is its context, also time that was learnt
from: that is what a device in use sees. A context ends with a reading; gaps in it of up to 45 minutes are filled in linearly from its own
values, longer ones stay missing; labels are never filled in, and a label that is missing counts nowhere.

A window needs an hour of history (steps since the beginning of its series) and, of its labels, one that is there; a night seven in ten.
Series are split where readings are more than two hours apart.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import Unavailable, UsageError
from harness.forecast import I64
from harness.types import Task
from harness_tasks.cgm.datasets import DATASETS, Dataset, found

if TYPE_CHECKING:
    from harness.series import SeriesSet, TaskData, Training
    from harness_tasks.cgm.grid import Gridded
    from harness_tasks.cgm.splits import HoldOut

__all__ = ["LEVELS", "Cgm", "Options", "cgm"]

LEVELS = (0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95)
"""Deciles, and what intervals of 50 % and the tails of low glucose need."""
MINUTES = {"30min": 30, "60min": 60, "90min": 90, "120min": 120, "night-6h": 360, "night-8h": 480, "meal-2h": 120}
HOLD_OUTS = ("temporal", "patients", "both")
PARTS = ("personal", "patients-25", "patients-50", "history-25", "history-50")
DAY = 24 * 60
HISTORY = 60  # minutes of a series before its first window
LABELLED = 0.7  # the part of a night's labels that must be there


@dataclass(frozen=True)
class Options:
    """How windows are made; each is an option of the suite, as in `cgm[context_hours=12]`.

    Attributes:
        context_hours: of context that a model sees at most.
        gap_minutes: gaps in contexts up to this length are filled in.
        split_hours: a series is split where readings are further apart.
        patient_share, time_share: what is held out.
        stride: steps from one window to the next.
        seed: of the choice of people.
    """

    context_hours: float = 24.0
    gap_minutes: int = 45
    split_hours: float = 2.0
    patient_share: float = 0.15
    time_share: float = 0.2
    stride: int = 1
    seed: int = 42

    def __post_init__(self) -> None:
        for name, low, high in (
            ("context_hours", 1, 24 * 60),
            ("gap_minutes", 0, DAY),
            ("split_hours", 0.25, 24 * 365),
            ("patient_share", 0, 0.9),
            ("time_share", 0.01, 0.9),
            ("stride", 1, DAY),
            ("seed", 0, 2**31),
        ):
            value = getattr(self, name)
            whole = name in ("gap_minutes", "stride", "seed")
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not low <= value <= high:
                raise UsageError(f"cgm: got {name}={value!r}; wanted {'a whole number' if whole else 'a number'} from {low:g} to {high:g}")


class Cgm:
    """The known sets of glucose readings, and other files of such, below a folder."""

    def __init__(self, root: Path | None, suite: str = "cgm", options: Options | None = None) -> None:
        self.root, self.suite, self.options = root, suite, options or Options()
        self._paths = {name: path for _, name, path in found(root)}
        self._gridded: dict[str, Gridded] = {}
        self._series: dict[str, SeriesSet] = {}

    def tasks(self) -> Sequence[Task]:
        """Those of the known sets; then of other files in the folder, which are read for it.

        Raises:
            DataError: such a file is broken.
        """
        tasks = [task for known in DATASETS for task in self._of(known)]
        for known, name, _ in found(self.root):
            if known is None:
                gridded = self._grid(name)
                step, meals = gridded.step, gridded.meals is not None
                tasks += self._of(Dataset(name, (), step, meals))
        return tasks

    def open(self, task: Task) -> TaskData:
        """Read the task's set (once for all its tasks) and place its windows.

        Raises:
            Unavailable: no folder, or the set is not in it, or has no such window.
            DataError: it is there and broken.
        """
        from harness.series import TaskData

        name, what, split = task.name.rsplit("/", 2)
        gridded, series = self._grid(name), self._set(name)
        held = self._hold_out(gridded, task.horizon, patients=split != "personal")
        rows, cut = self._windows(gridded, what, task.horizon)
        tested = cut >= held.test_start[rows]
        tested &= {"temporal": ~held.held_out, "patients": held.held_out}.get(split, np.ones(len(gridded), np.bool_))[rows]
        rows, cut = rows[tested], cut[tested]
        if not len(rows):
            raise Unavailable(f"{name} has no window for {what}/{split} among its {len(gridded)} series; what one needs: docs/cgm.md")
        training, fold = self._training(gridded, held, split, rows)
        if fold is not None:
            learnt = np.isin(fold, np.flatnonzero([len(part) > 0 for part in training]))
            rows, cut, fold = rows[learnt], cut[learnt], fold[learnt]
        first = np.concatenate([[0], np.flatnonzero(np.diff(rows)) + 1])
        slot = np.arange(len(rows)) - np.repeat(first, np.diff([*first, len(rows)]))
        index = np.arange(len(rows), dtype=np.int64)
        return TaskData(task, series, rows.astype(np.int32), cut, slot.astype(np.int32), index, training, fold)

    def _of(self, known: Dataset) -> Iterator[Task]:
        for what, minutes in MINUTES.items():
            if what.startswith("meal") and not known.meals:
                continue
            for split in (*HOLD_OUTS, *(PARTS if what == "60min" else ())):
                yield self._task(known, what, minutes, split)

    def _task(self, known: Dataset, what: str, minutes: int, split: str) -> Task:
        options = self.options
        return Task(
            suite=self.suite,
            name=f"{known.name}/{what}/{split}",
            dataset=known.name,
            family=known.name,
            domain="Healthcare",
            freq=f"{known.step}T",
            term=what,
            horizon=minutes // known.step,
            season_length=DAY // known.step,
            variates=1,
            dialect="cgm",
            quantile_levels=LEVELS,
            protocol="cgm/1",
            sources=tuple(dict.fromkeys((known.name, *known.sources))),
            context=max(1, round(options.context_hours * 60 / known.step)),
            fill_gaps=options.gap_minutes // known.step,
        )

    def _grid(self, name: str) -> Gridded:
        from harness_tasks.cgm.grid import to_grid
        from harness_tasks.cgm.tables import read_glucose

        if name not in self._gridded:
            if self.root is None:
                raise Unavailable("no data folder is given; set CGM or --data to the folder that holds the readings")
            if name not in self._paths:
                known = next(known for known in DATASETS if known.name == name)
                raise Unavailable(f"there is no {' or '.join(known.files[:2])} in {self.root} ({known.title}; {known.url})")
            layout = next((known.layout for known in DATASETS if known.name == name), "")
            readings = read_glucose(self._paths[name], layout=layout)
            self._gridded[name] = to_grid(readings, split_after=self.options.split_hours * 60)
        return self._gridded[name]

    def _set(self, name: str) -> SeriesSet:
        import pyarrow as pa

        from harness.series import Channels, SeriesSet
        from harness_tasks.fingerprint import fingerprint, unchanged

        if name not in self._series:
            gridded, path = self._grid(name), self._paths[name]
            files = sorted(path.rglob("*")) if path.is_dir() else [path]
            past = None
            if gridded.covariates:
                channels = [Channels.from_ragged(rows) for rows in gridded.covariates.values()]
                past = _interleaved(channels)
            series = SeriesSet(
                pa.array(gridded.names),
                gridded.starts,
                gridded.freq,
                1,
                Channels.from_ragged(gridded.glucose),
                past=past,
                groups=pa.array(gridded.patients),
                check=unchanged([file for file in files if file.is_file()]),
            )
            self._series[name] = replace(series, fingerprint=fingerprint(series))
        return self._series[name]

    def _hold_out(self, gridded: Gridded, horizon: int, patients: bool) -> HoldOut:
        from harness_tasks.cgm.splits import hold_out

        options, lengths = self.options, gridded.glucose.lengths
        share = options.patient_share if patients else 0.0
        return hold_out(
            gridded.patients,
            gridded.starts,
            lengths,
            gridded.step,
            horizon,
            patient_share=share,
            time_share=options.time_share,
            seed=options.seed,
        )

    def _windows(self, gridded: Gridded, what: str, horizon: int) -> tuple[NDArray[np.int64], I64]:
        """All windows of a kind, tested or not: (series [N], position of the first label [N]), ordered by both."""
        values, offsets = gridded.glucose.values, gridded.glucose.offsets
        lengths, least = gridded.glucose.lengths, max(1, HISTORY // gridded.step)
        if what.startswith("meal"):
            assert gridded.meals is not None
            pairs = np.unique(np.stack([gridded.meals.series.astype(np.int64), gridded.meals.position + 1], axis=1), axis=0)
            rows, cut = pairs[:, 0], pairs[:, 1]
        else:
            rows = np.repeat(np.arange(len(gridded)), lengths)
            cut = np.arange(len(values)) - offsets[rows]
            if what.startswith("night"):
                minute = (gridded.starts.astype("datetime64[m]").astype(np.int64)[rows] + cut * gridded.step) % DAY
                keep = minute == 0
            else:
                keep = cut % self.options.stride == 0
            rows, cut = rows[keep], cut[keep]
        there = (cut >= least) & (cut + horizon <= lengths[rows])
        rows, cut = rows[there], cut[there]
        known = np.concatenate([[0], np.cumsum(~np.isnan(values))])  # readings before each place
        at = offsets[rows] + cut
        labels = known[at + horizon] - known[at]
        enough = labels >= (LABELLED * horizon if what.startswith("night") else 1)
        enough &= ~np.isnan(values[at - 1])
        return rows[enough], cut[enough]

    def _training(
        self, gridded: Gridded, held: HoldOut, split: str, rows: I64
    ) -> tuple[tuple[Training, ...], NDArray[np.int32] | None]:
        """What is learnt from, and for `personal` the fold of each window."""
        from harness.series import Training

        begin, end = np.zeros(len(gridded), np.int64), held.train_end.copy()
        if split.startswith("history"):
            begin = end - np.ceil(end * int(split.rpartition("-")[2]) / 100).astype(np.int64)
        learnt = end > begin
        if split.startswith("patients-"):
            from harness_tasks.cgm.splits import ranked

            names = sorted({p for p, row in zip(gridded.patients, learnt.tolist(), strict=True) if row})
            kept = set(ranked(names, self.options.seed + 1)[: max(1, round(len(names) * int(split.rpartition("-")[2]) / 100))])
            learnt &= np.array([patient in kept for patient in gridded.patients])

        def part(chosen: NDArray[np.bool_]) -> Training:
            at = np.flatnonzero(chosen)
            return Training(at.astype(np.int32), begin[at], end[at])

        if split != "personal":
            return (part(learnt),), None
        names, owner = np.unique(np.asarray(gridded.patients), return_inverse=True)
        return tuple(part(learnt & (owner == k)) for k in range(len(names))), owner[rows].astype(np.int32)


def _interleaved(channels: Sequence[Any]) -> Any:
    """Covariates as channels of items: item 0's first, item 0's second, …"""
    from harness.series import Channels

    begin = np.stack([c.begin for c in channels], axis=1).reshape(-1)  # [items, K] -> [items·K]
    length = np.stack([c.length for c in channels], axis=1).reshape(-1)
    offsets = np.cumsum([0, *(len(c.chunks[0]) for c in channels)])[:-1]
    values = np.concatenate([c.chunks[0] for c in channels])
    return Channels((values,), np.zeros(len(begin), np.int32), begin + np.tile(offsets, len(channels[0])), length)


def cgm(
    data: Path | None,
    *,
    suite: str = "cgm",
    context_hours: float = 24.0,
    gap_minutes: int = 45,
    split_hours: float = 2.0,
    patient_share: float = 0.15,
    time_share: float = 0.2,
    stride: int = 1,
    seed: int = 42,
) -> Cgm:
    """The suite below `data`, or else the folder that the environment variable CGM names; the options are those of `Options`."""
    named = os.environ.get("CGM")
    root = data if data is not None else Path(named) if named else None
    options = Options(context_hours, gap_minutes, split_hours, patient_share, time_share, stride, seed)
    return Cgm(root.expanduser() if root is not None else None, suite, options)
