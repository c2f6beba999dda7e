"""What lies in the folder of the Monash archive: a report for each of its files and of the folder's others, found by reading all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.errors import DataError, Unavailable
from harness_tasks.monash import Monash
from harness_tasks.monash_table import MonashRow
from harness_tasks.verify import DatasetReport, describe

__all__ = ["Found", "inspect", "rows_of"]


@dataclass(frozen=True)
class Found:
    """A file in the folder that is none of the archive's."""

    file: str

    @property
    def folder(self) -> str:
        """What listings call it."""
        return self.file[: -len(".tsf")]

    @property
    def aliases(self) -> tuple[str, ...]:
        return (self.folder, self.file)


def rows_of(suite: Monash) -> list[MonashRow | Found]:
    """The archive's files, then the folder's others."""
    known = {row.file for row in suite.rows}
    return [*suite.rows, *(Found(name) for name in suite.files() if name not in known)]


def inspect(suite: Monash, rows: Sequence[MonashRow | Found]) -> Iterator[DatasetReport]:
    """Read every file, and place the windows of its task. The fingerprint is computed, not taken from the cache.

    What a file says of itself and does not hold to is a note: some of the archive's own are so.
    """
    for row in rows:
        report = DatasetReport(row.folder, "ok")
        try:
            file, series = suite.whole(row.file)
            describe(report, series)
            report.notes = list(file.contradictions)
            task = suite.task_of(row.file)
            report.windows[task.term] = suite.open(task).windows
        except Unavailable as error:
            why = error.reason if suite.root is None else f"not in {suite.root}"  # the same of all, to be said once
            report.state, report.error, report.fetch = "missing", why, error.fetch
        except DataError as error:
            report.state, report.error = "broken", str(error)
            if isinstance(row, MonashRow) and "--force" not in report.error:
                report.error = f"{report.error}. Fetch it again: harness data pull monash {row.name} --force"
        yield report
