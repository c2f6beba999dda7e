"""Readings on a regular grid: one float32 series for each subject, or for each stretch between long breaks.

The grid has a point at midnight and one every `step` minutes (5 or 15 by the data). A reading goes to the nearest grid point, a tie to the
later one; readings that meet on one point are averaged; points that no reading falls on are NaN and are never filled here. A reading may
thus stand up to half a step before the moment it was taken.
What was given or eaten is placed by `harness_tasks.cgm.amounts`.

Axes: G series, S subjects, K points of a series. Everything is done on whole columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError
from harness.forecast import F32, F64, I64, Ragged
from harness_tasks.cgm.advice import NEAR as LARGER
from harness_tasks.cgm.advice import NO_STEP, SPAN, STEP
from harness_tasks.cgm.advice import STEPS as APART
from harness_tasks.cgm.amounts import Frame, Meals, place_events
from harness_tasks.cgm.readings import I32, Readings, Times

__all__ = ["GridReport", "Gridded", "find_step", "to_grid"]

STEPS = (5, 15)  # minutes
NEAR = 0.2  # by which share of a step the median distance may differ from it: Libre 3 has 5 ± 1 minutes
MOST = 20_000_000  # points in all: 190 years of five minutes; more is a wrong year somewhere


@dataclass(frozen=True, eq=False)
class GridReport:
    """What became of the readings, int64 [S] each: `readings` = `absent` + `off_grid` + `merged` + `on_grid`.

    absent: without a value; off_grid: further from a grid point than the tolerance; merged: averaged into a point that has one already;
    on_grid: points with a value. `points` are all points of the subject's series, so `points` − `on_grid` are missing. `events` and
    `outside`: how many events there are, and how many of them lie outside every series.
    """

    names: tuple[str, ...]
    readings: I64
    absent: I64
    off_grid: I64
    merged: I64
    on_grid: I64
    points: I64
    events: int = 0
    outside: int = 0

    @property
    def missing(self) -> F64:
        """The share of a subject's points without a value, float64 [S]; NaN where it has no point."""
        with np.errstate(invalid="ignore"):
            return 1 - self.on_grid / self.points

    def lines(self) -> list[str]:
        """The report as text: the whole, then a line a subject."""

        def line(name: str, rows: slice) -> str:
            points, there = int(self.points[rows].sum()), int(self.on_grid[rows].sum())
            share = f"{100 * (1 - there / points):.1f} %" if points else "none"
            return (
                f"{name}: {points} points, {share} missing; {self.readings[rows].sum()} readings: {there} points, "
                f"{self.merged[rows].sum()} merged, {self.off_grid[rows].sum()} off the grid, {self.absent[rows].sum()} without a value"
            )

        return [line("all", slice(None)), *(line(name, slice(s, s + 1)) for s, name in enumerate(self.names))]


@dataclass(frozen=True, eq=False)
class Gridded:
    """G series on one grid, ordered by subject and time.

    Attributes:
        step: minutes between points; freq: the same as pandas' old alias.
        names: of the series: the subject's, with "#1", "#2", … behind it where it is split.
        patients: whose each is.
        subject: int32 [G], the position of its subject in the readings.
        starts: datetime64[s] [G], the time of the first point.
        glucose: mg/dL; no series begins or ends with a missing value.
        covariates: by name, each as long as the glucose: "basal", "bolus", "insulin" in units and "carbs" in grams a step.
        meals: None where the source keeps none.
    """

    step: int
    names: tuple[str, ...]
    patients: tuple[str, ...]
    subject: I32
    starts: Times
    glucose: Ragged
    report: GridReport
    covariates: Mapping[str, Ragged] = field(default_factory=dict)
    meals: Meals | None = None

    @property
    def freq(self) -> str:
        return f"{self.step}T"

    def __len__(self) -> int:
        return len(self.names)


def find_step(readings: Readings) -> int:
    """The step in minutes, 5 or 15, from the median distance of each subject's neighbouring readings.

    Raises:
        DataError: a distance that is neither, or subjects with different ones; names them.
    """
    value = ~np.isnan(readings.glucose)
    subject, seconds = readings.subject[value], readings.time[value].astype(np.int64)
    apart = np.diff(seconds)
    inside = (np.diff(subject) == 0) & (apart > 0)
    order = np.lexsort((apart[inside], subject[1:][inside]))
    apart, owner = apart[inside][order], subject[1:][inside][order]
    who, first, count = np.unique(owner, return_index=True, return_counts=True)
    if not len(who):
        raise DataError(f"no subject has two readings; wanted some, to tell the step. {NO_STEP}")
    median = (apart[first + (count - 1) // 2] + apart[first + count // 2]) / 120  # minutes
    steps = np.array(STEPS, np.float64)
    fits = np.abs(median[:, None] - steps) <= NEAR * steps  # [subjects, steps]
    unfit = np.flatnonzero(~fits.any(1))
    if len(unfit):
        said = ", ".join(f"{readings.names[who[i]]} ({median[i]:g})" for i in unfit[:5])
        wanted = " or ".join(map(str, STEPS))
        raise DataError(f"readings of {said} are that many minutes apart; wanted about {wanted}. {STEP}")
    found = fits.argmax(1)
    if len(np.unique(found)) > 1:
        odd = ", ".join(readings.names[who[i]] for i in np.flatnonzero(found != np.bincount(found).argmax())[:5])
        raise DataError(f"most subjects have one step and {odd} another; wanted one. {APART}")
    return STEPS[int(found[0])]


def to_grid(
    readings: Readings, step_minutes: int | None = None, tolerance_s: float | None = None, split_after: float | None = None
) -> Gridded:
    """Put readings on a grid.

    Args:
        step_minutes: a divisor of 1440; None = found.
        tolerance_s: how far from its grid point a reading may lie, at most half a step; None = half a step (150 s of five minutes), with
            which every reading has a point.
        split_after: minutes; a subject is split where two neighbouring readings are further apart. None = one series a subject.

    Returns:
        Subjects without a reading on the grid have no series; the report has them.

    Raises:
        DataError: the step cannot be told; no reading lies on the grid; a span of more points than any study has.
        ValueError: an argument out of its range.
    """
    step, tolerance = _checked(readings, step_minutes, tolerance_s, split_after)
    size = step * 60
    seconds = readings.time.astype(np.int64)
    value = ~np.isnan(readings.glucose)
    point = (seconds + size // 2) // size  # points are counted from 1970, so midnight is one
    near = np.abs(seconds - point * size) <= tolerance
    rows = np.flatnonzero(value & near)
    if not len(rows):
        raise DataError(f"none of {len(readings)} readings lies within {tolerance:g} s of a grid point of {step} minutes; {LARGER}")
    owner, at, mean = _merge(readings.subject[rows], point[rows], readings.glucose[rows])
    frame, values = _series(owner, at, mean, readings.names, step, split_after)
    covariates, meals, outside = place_events(readings, frame)
    return Gridded(
        step=step,
        names=_names(readings.names, frame.subject),
        patients=tuple(readings.patients[s] for s in frame.subject),
        subject=frame.subject,
        starts=(frame.first * size).astype("datetime64[s]"),
        glucose=Ragged(values, frame.offsets),
        report=_report(readings, frame, value, near, owner, outside),
        covariates=covariates,
        meals=meals,
    )


def _checked(readings: Readings, step_minutes: int | None, tolerance_s: float | None, split_after: float | None) -> tuple[int, float]:
    """The step in minutes and the tolerance in seconds; raises as `to_grid` where an argument is out of its range."""
    step = find_step(readings) if step_minutes is None else step_minutes
    if step < 1 or 1440 % step:
        raise ValueError(f"to_grid got step_minutes={step_minutes}; wanted a whole number of minutes that a day is a multiple of")
    half = step * 30
    tolerance = half if tolerance_s is None else tolerance_s
    if not 0 <= tolerance <= half:
        raise ValueError(f"to_grid got tolerance_s={tolerance_s}; wanted 0 to {half:g}, half a step")
    if split_after is not None and not split_after >= step:
        raise ValueError(f"to_grid got split_after={split_after}; wanted at least the step of {step} minutes")
    return step, tolerance


def _merge(subject: I32, point: I64, glucose: F32) -> tuple[I32, I64, F64]:
    """Readings [n] in order of subject and time -> subject, grid point and mean glucose of each point that has some."""
    new = np.ones(len(point), np.bool_)
    new[1:] = (np.diff(subject) != 0) | (np.diff(point) != 0)
    cell = np.cumsum(new) - 1
    return subject[new], point[new], np.bincount(cell, glucose.astype(np.float64)) / np.bincount(cell)


def _series(owner: I32, at: I64, mean: F64, names: tuple[str, ...], step: int, split_after: float | None) -> tuple[Frame, F32]:
    """Lay points with a value into series: the frame of these, and their values, NaN where no reading falls.

    Args:
        owner, at, mean: subject, grid point and value of each, in order.
        names: of subjects, for errors.
        step: minutes.
        split_after: most minutes between neighbours of one series, None = any number.

    Raises:
        DataError: more points than any study has.
    """
    begin = np.ones(len(at), np.bool_)
    begin[1:] = np.diff(owner) != 0
    if split_after is not None:
        begin[1:] |= np.diff(at) * step > split_after
    series = np.cumsum(begin) - 1  # of each point with a value
    heads = np.flatnonzero(begin)
    first, last = at[heads], at[np.append(heads[1:], len(at)) - 1]
    length = last - first + 1
    if length.sum() > MOST:
        long = names[owner[heads[int(length.argmax())]]]
        raise DataError(f"the readings span {length.sum()} points, most of them {long}'s; wanted at most {MOST}. Is a year wrong? {SPAN}")
    offsets = np.zeros(len(heads) + 1, np.int64)
    np.cumsum(length, out=offsets[1:])
    values = np.full(int(offsets[-1]), np.nan, np.float32)
    values[offsets[series] + at - first[series]] = mean
    return Frame(step * 60, owner[heads], first, length, offsets), values


def _report(readings: Readings, frame: Frame, value: NDArray[np.bool_], near: NDArray[np.bool_], owner: I32, outside: int) -> GridReport:
    """What became of the readings: `value` and `near` [n] say of each whether it has a value and lies near its point.

    Args:
        owner: the subject of each point with a value.
        outside: how many events lie outside every series.
    """
    subjects = len(readings.names)

    def count(mask: NDArray[np.bool_]) -> I64:
        return np.bincount(readings.subject[mask], minlength=subjects).astype(np.int64)

    on_grid = np.bincount(owner, minlength=subjects).astype(np.int64)
    return GridReport(
        names=readings.names,
        readings=count(np.ones(len(readings), np.bool_)),
        absent=count(~value),
        off_grid=count(value & ~near),
        merged=count(value & near) - on_grid,
        on_grid=on_grid,
        points=np.bincount(frame.subject, frame.length, subjects).astype(np.int64),
        events=sum(map(len, readings.covariates.values())) + (0 if readings.meals is None else len(readings.meals)),
        outside=outside,
    )


def _names(names: tuple[str, ...], subject: I32) -> tuple[str, ...]:
    """The subjects' names, numbered where there are several series of one."""
    parts = np.bincount(subject)
    number = np.arange(len(subject)) - np.searchsorted(subject, subject) + 1
    return tuple(names[s] if parts[s] == 1 else f"{names[s]}#{n}" for s, n in zip(subject.tolist(), number.tolist(), strict=True))
