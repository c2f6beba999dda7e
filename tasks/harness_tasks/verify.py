"""What lies in a suite's data folder: one record a dataset folder, found by reading all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.errors import DataError, Unavailable
from harness_tasks.fingerprint import fingerprint, runs
from harness_tasks.gift_eval import GiftEval, Row

if TYPE_CHECKING:
    from harness.series import SeriesSet

__all__ = ["DatasetReport", "describe", "inspect", "show"]


@dataclass
class DatasetReport:
    """A dataset folder as it is. `state` is "ok", "missing" (not on this machine) or "broken"."""

    name: str  # the folder
    state: str
    items: int = 0
    variates: int = 0
    series: int = 0  # items × variates
    past_covariates: int = 0
    freq: str = ""
    min_length: int = 0
    max_length: int = 0
    missing: float = 0.0  # share of the values that are NaN
    zero: float = 0.0  # share of the values that are 0
    infinite: int = 0
    windows: dict[str, int] = field(default_factory=dict)  # by term, windows per series
    fingerprint: str = ""
    error: str = ""
    fetch: str = ""
    notes: list[str] = field(default_factory=list)  # what is odd, and read all the same

    def record(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def inspect(suite: GiftEval, rows: Sequence[Row]) -> Iterator[DatasetReport]:
    """Open every row's folder with all its tasks, and read every value. The fingerprint is computed, not taken from the cache."""
    tasks = suite.tasks()
    for row in rows:
        report = DatasetReport(row.folder, "ok")
        try:
            series = suite.series(row)
            describe(report, series)
            for task in tasks:
                if suite.row(task) is row:
                    report.windows[task.term] = suite.open(task).windows
        except Unavailable as error:
            report.state, report.error, report.fetch = "missing", error.reason, error.fetch
        except DataError as error:
            report.state, report.error = "broken", str(error)
        yield report


def describe(report: DatasetReport, series: SeriesSet) -> None:
    """Fill in what is to be seen of the values alone."""
    length = series.target.length
    total, missing, zero, infinite = int(length.sum()), 0, 0, 0
    for values in runs(series.target):
        missing += int(np.count_nonzero(np.isnan(values)))
        zero += int(np.count_nonzero(values == 0))
        infinite += int(np.count_nonzero(np.isinf(values)))
    report.items, report.variates, report.series = series.items, series.variates, len(series.target)
    report.past_covariates, report.freq = series.past_count, series.freq
    report.min_length, report.max_length = int(length.min()), int(length.max())
    report.missing, report.zero, report.infinite = missing / total, zero / total, infinite
    report.fingerprint = fingerprint(series)


def show(reports: Sequence[DatasetReport]) -> None:
    """Print the reports for people; what all missing folders have in common is said in one line."""
    from harness.cli.output import Column, print_grid

    missing = [report for report in reports if report.state == "missing"]
    reasons = {report.error for report in missing}
    if len(missing) > 1 and len(reasons) == 1:
        fetch = " and ".join(sorted({report.fetch.rpartition(" ")[0] for report in missing if report.fetch}))
        note = f"{len(missing)} dataset folders are missing: {reasons.pop()}" + (f"; fetch with: {fetch}" if fetch else "")
        reports = [report for report in reports if report.state != "missing"]
    else:
        note = ""
    columns = [
        Column("dataset", one_line=True),
        Column("state", one_line=True),
        Column("freq", one_line=True, drop=4),
        Column("items", right=True, drop=5),
        Column("variates", right=True, drop=2),
        Column("length", right=True),
        Column("missing", right=True, drop=6),
        Column("zero", right=True, drop=1),
        Column("windows", drop=3),
        Column("fingerprint or error", longest=0, wish=30),
    ]
    if reports:
        print_grid(columns, [_line(report) for report in reports], rule=False, all_with="all of it: --json")
    for report in reports:
        for odd in report.notes:
            print(f"{report.name}: {odd}")
    if note:
        print(note)


def _line(f: DatasetReport) -> list[str]:
    if f.state == "missing":
        return [f.name, f.state, *[""] * 7, f.fetch]
    length = str(f.min_length) if f.min_length == f.max_length else f"{f.min_length}–{f.max_length}"
    windows = " ".join(f"{term} {count}" for term, count in f.windows.items())
    cells = [f.freq, str(f.items), str(f.variates), length, _share(f.missing), _share(f.zero), windows] if f.items else [""] * 7
    return [f.name, f.state, *cells, " ".join(f.error.split()) or f.fingerprint[:12]]


def _share(share: float) -> str:
    if share == 0:
        return "–"
    return f"{share:.2%}" if share >= 0.0001 else "<0.01%"
