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
                     60min, the windows of `both`: learnt from a part of the people, or from the newest part of each one's time that is
                     learnt from, over all series of a person in order of time

Between what is learnt from and what is forecast lie at least H steps. What precedes a window is its context, also time that was learnt
from: that is what a device in use sees. A context ends with a reading; gaps in it of up to 45 minutes are filled in linearly from its own
values, longer ones stay missing; labels are never filled in, and a label that is missing counts nowhere.

A window needs an hour of history (steps since the beginning of its series) and, of its labels, one that is there; a night seven in ten.
Series are split where readings are more than two hours apart. Insulin and carbohydrates are past covariates where a source has them.

Without a folder there is the sample that comes with the package: five people of Hall et al., as the set `hall-sample`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError, Unavailable, UsageError
from harness.files import data_folder
from harness.forecast import I64
from harness.types import Task
from harness_tasks.cgm.datasets import DATASETS, SAMPLE, SAMPLE_FOLDER, Dataset, files_of, found, meals_beside

if TYPE_CHECKING:
    from harness.series import SeriesSet, TaskData, Training
    from harness_tasks.cgm.grid import Gridded
    from harness_tasks.cgm.readings import Readings
    from harness_tasks.cgm.splits import HoldOut

__all__ = ["LEVELS", "Cgm", "Options", "cgm"]

LEVELS = (0.05, 0.1, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.9, 0.95)
"""Deciles, and what intervals of 50 % and the tails of low glucose need."""
MINUTES = {"30min": 30, "60min": 60, "90min": 90, "120min": 120, "night-6h": 360, "night-8h": 480, "meal-2h": 120}
HOLD_OUTS = ("temporal", "patients", "both")
PROTOCOL = {"history": "cgm/2"}
"""Of tasks by how their hold-out begins, others have "cgm/1". Version 1 of history-… took the newest part of each series by itself."""
PARTS = ("personal", "patients-25", "patients-50", "history-25", "history-50")
DAY = 24 * 60
UNITS, ORDERS = ("", "mg/dL", "mmol/L"), ("", "ymd", "dmy", "mdy")


@dataclass(frozen=True)
class Options:
    """How windows are made; each is an option of the suite, as in `cgm[context_hours=12]`.

    Attributes:
        context_hours: of context that a model sees at most.
        gap_minutes: a multiple of 5: as many minutes of missing points in a row are filled in in contexts, at most. 45 are nine points of
            5 minutes, so between readings 50 minutes apart; three of 15 minutes. What is no multiple of 15 is rounded down there.
        split_hours: a series is split where readings are further apart.
        patient_share, time_share: what is held out.
        stride: steps from one window to the next.
        seed: of the choice of people.
        tolerance_minutes: readings that are further from a point of the grid are left out; 0 = half a step, so none is.
        unit: "mg/dL" or "mmol/L", where files do not tell it; it does not overrule one that does.
        dates: the order "ymd", "dmy" or "mdy", where files do not tell it.
    """

    context_hours: float = 24.0
    gap_minutes: int = 45
    split_hours: float = 2.0
    patient_share: float = 0.15
    time_share: float = 0.2
    stride: int = 1
    seed: int = 42
    tolerance_minutes: float = 0.0
    unit: str = ""
    dates: str = ""

    def __post_init__(self) -> None:
        for name, low, high in (
            ("context_hours", 1, 24 * 60),
            ("gap_minutes", 0, DAY),
            ("split_hours", 0.25, 24 * 365),
            ("patient_share", 0, 0.9),
            ("time_share", 0.01, 0.9),
            ("stride", 1, DAY),
            ("seed", 0, 2**31),
            ("tolerance_minutes", 0, 7.5),
        ):
            value = getattr(self, name)
            whole = name in ("gap_minutes", "stride", "seed")
            if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not low <= value <= high:
                raise UsageError(f"cgm: got {name}={value!r}; wanted {'a whole number' if whole else 'a number'} from {low:g} to {high:g}")
        if self.gap_minutes % 5:
            raise UsageError(f"cgm: got gap_minutes={self.gap_minutes}; wanted a multiple of 5, as a point stands for 5 or 15 minutes")
        for name, known in (("unit", UNITS), ("dates", ORDERS)):
            if getattr(self, name) not in known:
                raise UsageError(f"cgm: got {name}={getattr(self, name)!r}; wanted one of {', '.join(known[1:])}")

    @property
    def protocol(self) -> str:
        """Of the tasks: "cgm/1" and the options that differ from the defaults, since each may change windows, labels or what is learnt."""
        given = ((each.name, getattr(self, each.name)) for each in fields(self) if getattr(self, each.name) != each.default)
        return " ".join(["cgm/1", *(f"{name}={value if isinstance(value, str) else f'{value:.12g}'}" for name, value in given)])


class Cgm:
    """The known sets of glucose readings, and other files of such, below a folder; without one, the sample and no other."""

    def __init__(self, root: Path | None, suite: str = "cgm", options: Options | None = None) -> None:
        self.root, self.suite, self.options = root, suite, options or Options()
        self._known = {known.name: known for known in (DATASETS if root else (SAMPLE, *DATASETS))}
        files = found(root) if root else ((SAMPLE, SAMPLE.name, SAMPLE_FOLDER / SAMPLE.files[0]),)
        self._paths: dict[str, Path] = {}
        for _, name, path in files:
            if name in self._paths:
                raise DataError(f"{root}: {self._paths[name].name} and {path.name} are both the set {name!r}; rename or move one")
            self._paths[name] = path
        self._gridded: dict[str, Gridded] = {}
        self._series: dict[str, SeriesSet] = {}

    def tasks(self) -> Sequence[Task]:
        """Those of the known sets; then of other files there, which are read for it: of a broken one, tasks that cannot be opened."""
        tasks = [task for known in self._known.values() for task in self._of(known)]
        for name in self._paths:
            if name not in self._known:
                try:
                    gridded = self._grid(name)
                except (DataError, Unavailable):
                    tasks += self._of(Dataset(name, (), 5))
                else:
                    tasks += self._of(Dataset(name, (), gridded.step, gridded.meals is not None))
        return tasks

    def open(self, task: Task) -> TaskData:
        """Read the task's set (once for all its tasks) and place its windows.

        Raises:
            Unavailable: no folder, or the set is not in it, or has no such window.
            DataError: it is there and broken.
        """
        from harness.series import TaskData
        from harness_tasks.cgm.windows import place_windows

        name, what, split = task.name.rsplit("/", 2)
        gridded = self._grid(name)
        if what.startswith("meal") and gridded.meals is None:
            raise Unavailable(
                f"{self._paths[name]} records no meals; of the layout hall they stand in {meals_beside(self._paths[name]).name}"
            )
        held = self._hold_out(name, gridded, task.horizon, split)
        rows, cut = place_windows(gridded, what, task.horizon, self.options.stride)
        tested = cut >= held.test_start[rows]
        tested &= {"temporal": ~held.held_out, "patients": held.held_out}.get(split, np.ones(len(gridded), np.bool_))[rows]
        rows, cut = rows[tested], cut[tested]
        training, fold = self._training(gridded, held, split, rows)
        if fold is not None:  # who has nothing to learn from has no model of its own, so no window
            learnt = np.isin(fold, np.flatnonzero([len(part) > 0 for part in training]))
            rows, cut, fold = rows[learnt], cut[learnt], fold[learnt]
        if not len(rows):
            raise Unavailable(f"{name} has no window for {what}/{split} among its {len(gridded)} series; what one needs: docs/cgm.md")
        first = np.concatenate([[0], np.flatnonzero(np.diff(rows)) + 1])
        slot = np.arange(len(rows)) - np.repeat(first, np.diff([*first, len(rows)]))
        index = np.arange(len(rows), dtype=np.int64)
        series = self._set(name)
        if what.startswith("meal"):
            series = replace(series, fingerprint=_with_meals(series.fingerprint, gridded))
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
            family=known.family or known.name,
            domain="Healthcare",
            freq=f"{known.step}T",
            term=what,
            horizon=minutes // known.step,
            season_length=DAY // known.step,
            variates=1,
            dialect="cgm",
            quantile_levels=LEVELS,
            protocol=options.protocol.replace("cgm/1", PROTOCOL.get(split.partition("-")[0], "cgm/1")),
            sources=tuple(dict.fromkeys((known.name, *known.sources))),
            context=max(1, round(options.context_hours * 60 / known.step)),
            fill_gaps=options.gap_minutes // known.step,
        )

    def sets(self) -> list[str]:
        """The names of all sets: the known ones, then those of other files there."""
        return list(dict.fromkeys([*self._known, *self._paths]))

    def read(self, name: str) -> tuple[Readings, Gridded]:
        """A set's readings and what became of them on the grid, read now.

        Raises:
            Unavailable: it is not there, or a file of something else.
            DataError: it is broken; names its file, and what can be typed where the suite is named.
        """
        from harness_tasks.cgm.advice import for_suite
        from harness_tasks.cgm.grid import find_step, to_grid
        from harness_tasks.cgm.layouts import UnknownLayout
        from harness_tasks.cgm.tables import read_glucose

        options, known, path = self.options, self._known.get(name), self._paths.get(name)
        if path is None:
            assert known is not None
            where = self.root or "the package, and no folder is given"
            raise Unavailable(
                f"there is no {' or '.join(known.files[:2])} in {where} ({known.title}; {known.url}); "
                "name the folder that has it: --data FOLDER, or the environment variable CGM"
            )
        try:
            readings = read_glucose(path, layout=known.layout if known else "", unit=options.unit, dates=options.dates)
            step = find_step(readings)
            if options.tolerance_minutes > step / 2:
                got = f"tolerance_minutes={options.tolerance_minutes:g}"
                raise DataError(f"readings are {step} minutes apart, and {got} is more than half of that; wanted at most {step / 2:g}")
            gridded = to_grid(readings, step, (options.tolerance_minutes * 60) or None, options.split_hours * 60)
        except UnknownLayout as error:
            if known is None:  # a file of something else
                raise Unavailable(f"no readings of glucose: {error}") from None
            raise
        except DataError as error:
            said = for_suite(str(error))
            raise DataError(said if str(path) in said else f"{path}: {said}") from None
        if known and step != known.step:
            raise DataError(f"{path}: readings are {step} minutes apart; wanted {known.step}, as {name} has. Rename the file")
        return readings, gridded

    def _grid(self, name: str) -> Gridded:
        if name not in self._gridded:
            self._gridded[name] = self.read(name)[1]
        return self._gridded[name]

    def _set(self, name: str) -> SeriesSet:
        import pyarrow as pa

        from harness.series import Channels, SeriesSet
        from harness_tasks.fingerprint import fingerprint, unchanged

        if name not in self._series:
            gridded, path = self._grid(name), self._paths[name]
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
                past_names=tuple(gridded.covariates),
                groups=pa.array(gridded.patients),
                check=unchanged(files_of(path)),
            )
            # Scores depend on whose a series is, and models on what a covariate is called.
            told = _digest(fingerprint(series), *gridded.patients, *gridded.covariates)
            self._series[name] = replace(series, fingerprint=told)
        return self._series[name]

    def _hold_out(self, name: str, gridded: Gridded, horizon: int, split: str) -> HoldOut:
        """Who and what is held out for a split: people too but for `personal`, and for `temporal` of a single person."""
        from harness_tasks.cgm.splits import held_count, hold_out

        options, people = self.options, len(set(gridded.patients))
        share = 0.0 if split == "personal" or (split == "temporal" and people < 2) else options.patient_share
        if share and held_count(people, share) >= people:
            raise Unavailable(
                f"{name} has {people} patients; to hold out {share:g} of them leaves none to learn from; see {name}/*/temporal"
            )
        return hold_out(
            gridded.patients,
            gridded.starts,
            gridded.glucose.lengths,
            gridded.step,
            horizon,
            patient_share=share,
            time_share=options.time_share,
            seed=options.seed,
        )

    def _training(self, gridded: Gridded, held: HoldOut, split: str, rows: I64) -> tuple[tuple[Training, ...], NDArray[np.int32] | None]:
        """What is learnt from, and for `personal` the fold of each window."""
        from harness.series import Training

        begin, end = np.zeros(len(gridded), np.int64), held.train_end.copy()
        if split.startswith("history"):
            from harness_tasks.cgm.splits import newest

            begin = newest(gridded.patients, gridded.starts, gridded.step, end, int(split.rpartition("-")[2]))
        learnt = end > begin
        if split.startswith("patients-"):
            from harness_tasks.cgm.splits import ranked

            people = sorted({p for p, row in zip(gridded.patients, learnt.tolist(), strict=True) if row})
            kept = set(ranked(people, self.options.seed + 1)[: max(1, round(len(people) * int(split.rpartition("-")[2]) / 100))])
            learnt &= np.array([patient in kept for patient in gridded.patients])

        def part(chosen: NDArray[np.bool_]) -> Training:
            at = np.flatnonzero(chosen)
            return Training(at.astype(np.int32), begin[at], end[at])

        if split != "personal":
            return (part(learnt),), None
        names, owner = np.unique(np.asarray(gridded.patients), return_inverse=True)
        return tuple(part(learnt & (owner == k)) for k in range(len(names))), owner[rows].astype(np.int32)


def _digest(*parts: str) -> str:
    """32 hexadecimal digits over texts in their order."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        state.update(f"{len(part)}:{part}".encode())
    return state.hexdigest()


def _with_meals(fingerprint: str, gridded: Gridded) -> str:
    """The fingerprint of windows that follow meals: these may be written in another file than the readings, without amounts."""
    meals = gridded.meals
    assert meals is not None
    return _digest(fingerprint, *(f"{s}:{p}" for s, p in zip(meals.series.tolist(), meals.position.tolist(), strict=True)))


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
    context_hours: float = Options.context_hours,
    gap_minutes: int = Options.gap_minutes,
    split_hours: float = Options.split_hours,
    patient_share: float = Options.patient_share,
    time_share: float = Options.time_share,
    stride: int = Options.stride,
    seed: int = Options.seed,
    tolerance_minutes: float = Options.tolerance_minutes,
    unit: str = Options.unit,
    dates: str = Options.dates,
) -> Cgm:
    """The suite below `data`, or else the folder that the environment variable CGM names, or else of the sample; options as in `Options`.

    Raises:
        UsageError: an option out of its range; `data` or CGM names no folder.
        DataError: two files of one name.
    """
    options = Options(context_hours, gap_minutes, split_hours, patient_share, time_share, stride, seed, tolerance_minutes, unit, dates)
    return Cgm(data_folder(data, "CGM"), suite, options)
