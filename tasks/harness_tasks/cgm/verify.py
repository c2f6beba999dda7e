"""What the suite `cgm` finds in a folder: for each set what was read, dropped and merged, and what became of it on the grid."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from harness.errors import DataError, Unavailable, UsageError, suggest
from harness_tasks.cgm.grid import Gridded
from harness_tasks.cgm.readings import Readings
from harness_tasks.cgm.suite import Cgm

__all__ = ["ReadingsReport", "inspect", "select", "show"]


@dataclass
class ReadingsReport:
    """A set as it is. `state` is "ok", "missing" (not on this machine, or no glucose at all) or "broken"; then `error` says why.

    Attributes:
        rows: that may hold a reading; `readings` of them were kept, the others stand in `dropped` by their reason.
        absent: readings without a value; low, high: texts such as "Low" that became the sensor's limits.
        unit: of the source; unit_from: how that is known.
        repeated: readings at a second that their subject has already; merged: readings that share a point of the grid with an earlier one;
            off_grid: further from a point than the tolerance.
        step: minutes; points: of all `series`, the share `missing` of them without a reading, which lie in `gaps`, the longest of so many
            minutes.
        meals: recorded ones, −1 where the source keeps none; covariates: past ones.
        first, last: times of the first and the last reading.
    """

    name: str
    state: str
    source: str = ""
    files: int = 0
    layout: str = ""
    subjects: int = 0
    patients: int = 0
    rows: int = 0
    readings: int = 0
    absent: int = 0
    low: int = 0
    high: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    unit: str = ""
    unit_from: str = ""
    repeated: int = 0
    merged: int = 0
    off_grid: int = 0
    step: int = 0
    series: int = 0
    points: int = 0
    missing: float = 0.0
    gaps: int = 0
    longest_gap: int = 0
    meals: int = -1
    covariates: tuple[str, ...] = ()
    first: str = ""
    last: str = ""
    notes: tuple[str, ...] = ()
    error: str = ""

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def select(suite: Cgm, names: Sequence[str]) -> list[str]:
    """The sets that any of `names` or globs means, in the suite's order; all of them when there is none.

    Raises:
        UsageError: a name that means nothing; suggests a near one.
    """
    there = suite.sets()
    for name in names:
        if not any(fnmatch.fnmatchcase(one.lower(), name.lower()) for one in there):
            raise UsageError(f"suite cgm has no set {name!r}.{suggest(name, there)} To see all: harness data verify cgm")
    return [one for one in there if not names or any(fnmatch.fnmatchcase(one.lower(), name.lower()) for name in names)]


def inspect(suite: Cgm, names: Sequence[str]) -> Iterator[ReadingsReport]:
    """Read every set whole."""
    from harness_tasks.cgm.advice import for_suite

    for name in names:
        report = ReadingsReport(name, "ok")
        try:
            readings, gridded = suite.read(name)
        except Unavailable as error:
            report.state, report.error = "missing", error.reason
        except DataError as error:
            report.state, report.error = "broken", str(error)
        else:
            _describe(report, readings, gridded)
            report.unit_from = for_suite(report.unit_from)
        yield report


def _describe(report: ReadingsReport, readings: Readings, gridded: Gridded) -> None:
    told, grid = readings.report, gridded.report
    report.source, report.files, report.layout = told.sources[0], len(told.sources), told.layout
    report.subjects, report.patients = len(readings.names), len(set(readings.patients))
    report.rows, report.readings, report.absent, report.dropped = told.rows, told.readings, told.absent, dict(told.dropped)
    report.low, report.high, report.unit, report.unit_from = told.low, told.high, told.unit, told.unit_from
    report.repeated, report.merged, report.off_grid = told.duplicates, int(grid.merged.sum()), int(grid.off_grid.sum())
    report.step, report.series, report.points = gridded.step, len(gridded), int(grid.points.sum())
    report.missing = 1 - int(grid.on_grid.sum()) / report.points
    # No series begins or ends with a missing point, so a run of such lies within one.
    edge = np.diff(np.isnan(gridded.glucose.values).astype(np.int8), prepend=0, append=0)
    runs = np.flatnonzero(edge < 0) - np.flatnonzero(edge > 0)
    report.gaps, report.longest_gap = len(runs), int(runs.max(initial=0)) * gridded.step
    report.meals = -1 if readings.meals is None else len(readings.meals)
    report.covariates = tuple(gridded.covariates)
    report.first, report.last = str(readings.time.min()).replace("T", " "), str(readings.time.max()).replace("T", " ")
    report.notes = told.notes
    if grid.outside:
        report.notes += (f"{grid.outside} of {grid.events} doses and meals lie outside every series and are left out",)


def show(reports: Sequence[ReadingsReport]) -> None:
    """Print the reports for people: what a set is, then a line for each thing that was done to it; names of what is not there in one."""
    from harness.cli.output import printable

    for report in reports:
        if report.state != "missing" or len(reports) == 1:
            print(f"{printable(report.name)}: {report.state}")
            for name, text in _facts(report):
                print(f"  {name:<9} {printable(text)}")
    missing = [report for report in reports if report.state == "missing"]
    if len(reports) > 1 and missing:
        print(f"missing: {', '.join(printable(report.name) for report in missing)}; why and where to get one: harness data verify cgm NAME")


def _facts(f: ReadingsReport) -> Iterator[tuple[str, str]]:
    if f.state != "ok":
        yield "error", f.error
        return
    yield "source", f"{f.source}{f' and {f.files - 1} other files' if f.files > 1 else ''}, layout {f.layout}"
    yield "readings", f"{f.readings:,} of {f.rows:,} rows, {f.absent:,} of them without a value, {f.first} to {f.last}"
    yield "people", f"{f.subjects} subjects, {f.patients} patients"
    yield "unit", f"{f.unit}, told by {f.unit_from}"
    yield "dropped", "; ".join(f"{count:,} rows: {reason}" for reason, count in f.dropped.items() if count) or "no row"
    if f.low or f.high:
        yield "limits", f"{f.low:,} below the sensor's range, {f.high:,} above"
    yield "merged", f"{f.repeated:,} repeated stamps; {f.merged:,} readings averaged into a point that has one; {f.off_grid:,} off the grid"
    longest = f", the longest of {f.longest_gap} minutes" if f.gaps else ""
    missing = f"{f.points:,} points, {100 * f.missing:.1f} % missing in {f.gaps:,} gaps{longest}"
    yield "grid", f"{f.step} minutes, {f.series} series of {missing}"
    yield "meals", "none are kept" if f.meals < 0 else f"{f.meals:,}"
    if f.covariates:
        yield "past", ", ".join(f.covariates)
    for note in f.notes:
        yield "note", note
