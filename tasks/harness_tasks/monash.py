"""The suite `monash`: the files of the Monash forecasting archive, each a task with one window at the end of every series.

A task is a row of `harness_tasks.monash_table`, or any other `.tsf` file in the folder. The last H values of a series are its labels, all
before them its context (the archive's fixed origin); the archive's dialect scores them. H is what the file says in `@horizon`, else what the
archive used for it, or uses for the frequency; for files of one's own there is the option `monash[horizon=24]`.

A series with no more than H values is asked for one step, its last: its other labels are missing. (The archive's script goes on with one
step for all later series of the file, which is not followed.) Integer rounding is the archive's: forecasts of the datasets that it rounds
are rounded by the dialect, half to even as R does.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness import frequency
from harness.errors import DataError, Unavailable, UsageError
from harness.types import Task
from harness_tasks.monash_table import MONASH, SEASONALITY, MonashRow

if TYPE_CHECKING:
    from harness.series import Channels, SeriesSet, TaskData
    from harness_tasks.tsf import TsfFile, TsfHeader

__all__ = ["Monash", "monash"]

COLLECTION = "Monash"
SUFFIX = "_dataset"
HORIZONS = {"10T": 1008, "30T": 336, "H": 168, "D": 30, "W": 8, "M": 12, "Q": 8, "A": 6}
"""H of a file that says none: what the archive uses for most of its datasets of a frequency."""


class Monash:
    """The archive's files below a folder.

    Args:
        root: the folder that holds the `.tsf` files, as they are or each in a folder of its name; None = it is not known.
        suite: the suite's name.
        rows: the table's rows to offer beside the other files of the folder.
        horizon: H of those others; 0 = what the file says, else what the archive uses for the frequency.
    """

    def __init__(self, root: Path | None, suite: str = "monash", rows: Sequence[MonashRow] = MONASH, horizon: int = 0) -> None:
        self.root, self.suite, self.horizon = root, suite, horizon
        self._rows = {row.name: row for row in rows}
        self._opened: dict[str, TsfFile] = {}

    def tasks(self) -> Sequence[Task]:
        """The table's files that have a horizon, then the folder's others by name; of the latter the headers are read.

        Raises:
            DataError: the header of such a file is broken.
        """
        tasks = [self._listed(row) for row in self._rows.values() if row.horizon is not None]
        known = {row.file for row in self._rows.values() if row.horizon is not None}
        return tasks + [self._found(path) for name, path in sorted(self._files().items()) if name not in known]

    def open(self, task: Task) -> TaskData:
        """Read the task's file and place its windows.

        Raises:
            Unavailable: no root, or the file is not in it.
            DataError: the file is there and broken, or its horizon or frequency is not what the archive says.
        """
        path = self._path(task)
        file = self._read(path)
        row = self._rows.get(task.name)
        again = f"Fetch it again: harness data pull monash {task.name}" if row else "Mend the file, or rename it"
        if row is not None and file.horizon not in (None, task.horizon):
            raise DataError(f"{path}: got @horizon {file.horizon}; the archive's is {task.horizon}. {again}")
        if file.freq not in (None, task.freq):
            raise DataError(f"{path}: got @frequency {file.frequency}; the archive's is {task.freq}. {again}")
        return _windows(task, self._series(path, file, task))

    def _files(self) -> dict[str, Path]:
        """{name: path} of the `.tsf` files in the root, and in folders there."""
        if self.root is None or not self.root.is_dir():
            return {}
        return {path.name: path for path in (*sorted(self.root.glob("*/*.tsf")), *sorted(self.root.glob("*.tsf")))}

    def _path(self, task: Task) -> Path:
        row = self._rows.get(task.name)
        fetch = f"harness data pull monash {task.name}" if row else ""
        if self.root is None:
            raise Unavailable("no data folder is given; set MONASH or --data to the folder that holds the .tsf files", fetch)
        files = self._files()
        names = [row.file] if row else [f"{task.name}.tsf", f"{task.name}{SUFFIX}.tsf"]
        for name in names:
            if name in files:
                return files[name]
        raise Unavailable(f"there is no {names[0]} in {self.root}", fetch)

    def _read(self, path: Path) -> TsfFile:
        from harness_tasks.tsf import read_tsf

        if path.name not in self._opened:
            self._opened[path.name] = read_tsf(path, strict=False)  # the archive's own files do not all keep to what their headers say
        return self._opened[path.name]

    def _series(self, path: Path, file: TsfFile, task: Task) -> SeriesSet:
        """The file's series; a short one gets missing values behind it, so that its last one is the first of H labels."""
        from harness.series import SeriesSet
        from harness_tasks.fingerprint import cached_fingerprint, unchanged

        check = unchanged([path])
        series = SeriesSet(file.names, file.starts, task.freq, 1, file.values, check=check)
        series = replace(series, fingerprint=cached_fingerprint(series, path, [path]))
        check()  # not in the midst of being written
        return replace(series, target=_lengthened(file.values, task.horizon))

    def _listed(self, row: MonashRow) -> Task:
        assert row.horizon is not None
        sources = tuple(dict.fromkeys((row.family, row.name, COLLECTION)))
        return self._task(row.name, row.family, row.domain, row.freq, row.horizon, row.season_length, row.rounded, sources)

    def _found(self, path: Path) -> Task:
        """A file that is not in the table, or of which the archive has no horizon."""
        from harness_tasks.tsf import read_header

        header: TsfHeader = read_header(path, strict=False)
        row = next((row for row in self._rows.values() if row.file == path.name), None)
        name = row.name if row else path.stem.removesuffix(SUFFIX)
        freq = header.freq or (row.freq if row else "A")
        known = SEASONALITY.get(header.frequency)
        season = int(min(known)) if known else frequency.season_length(freq)
        horizon = self.horizon or header.horizon or HORIZONS.get(freq) or season
        sources = (row.family, row.name, COLLECTION) if row else (name,)
        return self._task(name, row.family if row else name, row.domain if row else "", freq, horizon, season, False, sources)

    def _task(
        self, name: str, family: str, domain: str, freq: str, horizon: int, season: int, rounded: bool, sources: tuple[str, ...]
    ) -> Task:
        return Task(
            suite=self.suite,
            name=name,
            dataset=name,
            family=family,
            domain=domain,
            freq=freq,
            term="",
            horizon=horizon,
            season_length=season,
            variates=1,
            dialect="monash",
            protocol="monash/1",
            sources=sources,
            rounded=rounded,
        )


def _lengthened(values: Channels, horizon: int) -> Channels:
    """The same series; those with no more than H values, but at least two, get H − 1 missing ones behind them.

    Raises:
        DataError: a series of one value, which leaves nothing to forecast from.
    """
    from harness.forecast import Ragged
    from harness.series import Channels

    short = np.flatnonzero(values.length <= horizon)
    if not len(short):
        return values
    if (alone := np.flatnonzero(values.length < 2)).size:
        raise DataError(f"series {alone[0]} has one value, and {len(alone)} of {len(values)} are like it; wanted two or more in each")
    tail = np.full(horizon - 1, np.nan, np.float32)
    rows = [np.concatenate([values[c], tail]) if n <= horizon else values[c] for c, n in enumerate(values.length.tolist())]
    return Channels.from_ragged(Ragged.from_rows(rows))


def _windows(task: Task, series: SeriesSet) -> TaskData:
    """One window at the end of each series."""
    from harness.series import rolling

    return rolling(task, series, 1)


def monash(data: Path | None, *, suite: str = "monash", horizon: int = 0) -> Monash:
    """The archive below `data`, or else the folder that the environment variable MONASH names.

    Args:
        horizon: H of files that the table does not have.
    """
    if isinstance(horizon, bool) or not isinstance(horizon, int) or horizon < 0:
        raise UsageError(f"monash: got horizon {horizon!r}; wanted a number of steps, for files that the archive does not have")
    named = os.environ.get("MONASH")
    root = data if data is not None else Path(named) if named else None
    return Monash(root.expanduser() if root is not None else None, suite, horizon=horizon)
