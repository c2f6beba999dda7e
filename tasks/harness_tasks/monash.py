"""The suite `monash`: the files of the Monash forecasting archive, each a task with one window at the end of every series.

A task is a row of `harness_tasks.monash_table`, or any other `.tsf` file in the folder or in a folder there. The last H values of a series
are its labels, all before them its context (the archive's fixed origin); the archive's dialect scores them. H is what the archive used for
the file; of one's own file what it says in `@horizon`, else what the archive uses for the frequency, unless `monash[horizon=24]` says it.

Where the series have an attribute `horizon`, as those of `cif_2016` do (12 or 6), that is each one's own H, as in the archive: the task
asks all for its H steps, and labels behind a series' own last one are missing. A series with no more than H values is asked for one step,
its last, in the same way. (The archive's script goes on with one step for all later series of the file, which is not followed.) Integer
rounding is the archive's: forecasts of the datasets that it rounds are rounded by the dialect, half to even as R does.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.errors import DataError, Unavailable
from harness.files import data_folder, need_text
from harness.monash import season, usual_horizon
from harness.parameters import whole
from harness.types import Task
from harness_tasks.monash_table import MONASH, MonashRow

if TYPE_CHECKING:
    from harness.forecast import I64
    from harness.series import Channels, SeriesSet, TaskData
    from harness_tasks.tsf import TsfFile

__all__ = ["Monash", "monash"]

COLLECTION = "Monash"
SUFFIX = "_dataset"
LONGEST = 1_000_000
"""Steps that a user may ask for."""
EACH = "horizon"
"""The attribute that is each series' own H."""


class Monash:
    """The archive's files below a folder.

    Args:
        root: the folder that holds the `.tsf` files, as they are or each in a folder of its name; None = it is not known.
        suite: the suite's name.
        rows: the table's rows to offer beside the other files of the folder.
        horizon: H of those others; 0 = what the file says, else what the archive uses for the frequency.
    """

    def __init__(self, root: Path | None, suite: str = "monash", rows: Sequence[MonashRow] = MONASH, horizon: int = 0) -> None:
        self.root, self.suite, self.horizon, self.rows = root, suite, horizon, tuple(rows)
        self._rows = {row.name: row for row in rows}
        self._last: tuple[object, TsfFile] | None = None

    def tasks(self) -> Sequence[Task]:
        """The table's files that have a horizon, then the folder's others by name.

        Of the others the headers are read. One that is broken is a task all the same, whose data is broken.

        Raises:
            DataError: two folders hold files of one name; a name that is not UTF-8.
        """
        listed = [self._listed(row) for row in self._rows.values() if row.horizon is not None]
        return listed + [self._found(name, path) for name, path in self._others().items()]

    def open(self, task: Task) -> TaskData:
        """Read the task's file and place its windows.

        Raises:
            Unavailable: no root, or the file is not in it.
            DataError: the file is there and broken, or its horizon, frequency or number of series is not what the archive says.
        """
        from harness.series import rolling

        row = self._rows.get(task.name)
        path = self._path(row.file if row else self._others().get(task.name, Path(f"{task.name}.tsf")).name)
        file, series = self._read(path, task.freq)
        if row is not None:
            self._as_the_archive_says(row, path, file, task)
        own = None if row is None and self.horizon else _own_horizons(path, file, task.horizon)
        steps = _steps(path, series.target.length, task.horizon, own)
        if own is not None and (own != task.horizon).any():
            series = replace(series, fingerprint=_with_horizons(series.fingerprint, own))
        return rolling(task, replace(series, target=_lengthened(series.target, task.horizon - steps)), 1)

    def _as_the_archive_says(self, row: MonashRow, path: Path, file: TsfFile, task: Task) -> None:
        """Raise DataError where a file of an archive's name is another one: its results would stand beside the published ones."""
        got = ""
        if row.horizon is not None and file.horizon not in (None, task.horizon):
            got = f"got @horizon {file.horizon}; the archive's is {task.horizon}"
        elif file.freq not in (None, row.freq):
            got = f"got @frequency {file.frequency}; the archive's is {row.freq}"
        elif len(file) != row.series:
            got = f"got {len(file)} series; the archive's file has {row.series}"
        if got:
            other = f"or, to use it as a dataset of your own, give it another name, as my_{row.file}"
            raise DataError(f"{path}: {got}. Fetch it again: harness data pull monash {row.name} --force; {other}")

    def files(self) -> dict[str, Path]:
        """{name: path} of the `.tsf` files in the root, and in folders there; what is no regular file, as a pipe or a dead link, is none.

        Raises:
            DataError: two folders hold files of one name, and the root none; a name that is not UTF-8.
        """
        if self.root is None or not self.root.is_dir():
            return {}
        every = [path for pattern in ("*", "*/*") for path in sorted(self.root.glob(pattern))]
        inside = [path for path in every if path.suffix.lower() == ".tsf" and path.is_file()]
        for path in inside:
            need_text(path.name)  # it becomes the name of a task
        found = {path.name: path for path in inside if path.parent == self.root}
        for path in inside:
            other = found.setdefault(path.name, path)
            if other.parent not in (path.parent, self.root):
                raise DataError(f"got two files {path.name}, in {other.parent} and in {path.parent}; wanted one. Rename one of them")
        return found

    def whole(self, file: str) -> tuple[TsfFile, SeriesSet]:
        """What a file holds, and its series as they are.

        Raises:
            Unavailable: no root, or the file is not in it.
            DataError: it is broken.
        """
        return self._read(self._path(file), None)

    def task_of(self, file: str) -> Task:
        """The task that is made of a file."""
        row = next((row for row in self._rows.values() if row.file == file and row.horizon is not None), None)
        if row is not None:
            return self._listed(row)
        name, path = next((name, path) for name, path in self._others().items() if path.name == file)
        return self._found(name, path)

    def _others(self) -> dict[str, Path]:
        """{name of the task: path} of files that the table does not have, or has without a horizon."""
        listed = {row.file for row in self._rows.values() if row.horizon is not None}
        unlisted = {row.file: row.name for row in self._rows.values() if row.horizon is None}
        named: dict[str, Path] = {}
        for file, path in sorted(self.files().items()):
            if file not in listed:
                names = [unlisted[file]] if file in unlisted else [path.stem.removesuffix(SUFFIX), path.stem, file]
                taken = {*named, *(() if file in unlisted else self._rows)}
                named[next(name for name in names if name not in taken)] = path
        return named

    def _path(self, file: str) -> Path:
        row = next((row for row in self._rows.values() if row.file == file), None)
        fetch = f"harness data pull monash {row.name}" if row else ""
        if self.root is None:
            raise Unavailable("no data folder is given; set MONASH or --data to the folder that holds the .tsf files", fetch)
        files = self.files()
        if file not in files:
            raise Unavailable(f"there is no {file} in {self.root}", fetch)
        return files[file]

    def _read(self, path: Path, freq: str | None) -> tuple[TsfFile, SeriesSet]:
        """A file, and its series as they are. The last one is kept: what opens it for each model reads it once.

        Args:
            freq: of a file that says none; None = as for its task.
        """
        from harness.series import SeriesSet
        from harness_tasks.fingerprint import cached_fingerprint, unchanged
        from harness_tasks.tsf import read_tsf

        stat, check = path.stat(), unchanged([path])
        stamp = (path, stat.st_size, stat.st_mtime_ns)
        if self._last is None or self._last[0] != stamp:
            self._last = None  # not two at a time
            self._last = (stamp, read_tsf(path, strict=False))  # the archive's own files do not all keep to what their headers say
        file = self._last[1]
        step = freq or file.freq or self.task_of(path.name).freq
        series = SeriesSet(file.names, file.starts, step, 1, file.values, check=check)
        series = replace(series, fingerprint=cached_fingerprint(series, path, [path]))
        check()  # not in the midst of being written
        return file, series

    def _listed(self, row: MonashRow) -> Task:
        assert row.horizon is not None
        sources = tuple(dict.fromkeys((row.family, row.name, COLLECTION)))
        return self._task(row.name, row.family, row.domain, row.freq, row.horizon, row.season_length, row.rounded, sources)

    def _found(self, name: str, path: Path) -> Task:
        """A file that is not in the table, or of which the archive has no horizon."""
        from harness_tasks.tsf import TsfHeader, read_header

        try:
            header = read_header(path, strict=False)
        except DataError:
            header = TsfHeader()  # which `open` will say
        row = self._rows.get(name)
        freq = header.freq or (row.freq if row else "A")
        horizon = self.horizon or header.horizon or usual_horizon(freq)
        sources = (row.family, row.name, COLLECTION) if row else (name,)
        return self._task(name, row.family if row else name, row.domain if row else "", freq, horizon, season(freq), False, sources)

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


def _own_horizons(path: Path, file: TsfFile, most: int) -> I64 | None:
    """The attribute `horizon` of each series, [N]; None where there is none.

    Raises:
        DataError: it is no number of steps, or more than the task asks for.
    """
    if EACH not in file.attributes.column_names:
        return None
    own = np.array(file.attributes[EACH].to_pylist())
    wrong = np.flatnonzero((own < 1) | (own != np.floor(own))) if own.dtype.kind == "f" else np.arange(len(own))
    if len(wrong):
        name, said = file.names[int(wrong[0])], own[wrong[0]]
        raise DataError(f"{path}: series {name} has the {EACH} {said}; wanted @attribute {EACH} numeric, a whole number of steps in each")
    if own.max() > most:
        name = file.names[int(own.argmax())]
        raise DataError(
            f"{path}: series {name} has the {EACH} {own.max():g}, and the task's is {most}; wanted at most that. Say @horizon "
            f"{own.max():g} in the header, or one for all of them: -s 'monash[horizon={most}]'"
        )
    return own.astype(np.int64)


def _steps(path: Path, length: I64, horizon: int, own: I64 | None) -> I64:
    """How many labels each series has, [N]: its H, or one where it is no longer than that.

    Raises:
        DataError: a series of one value, which leaves nothing to forecast from.
    """
    steps = np.full(len(length), horizon) if own is None else own
    if (alone := np.flatnonzero(length < 2)).size:
        count = f"{len(alone)} of {len(length)} series have"
        raise DataError(f"{path}: {count} one value, the first of them series {alone[0]}; wanted two or more in each")
    found: I64 = np.where(length <= steps, 1, steps)
    return found


def _lengthened(values: Channels, more: I64) -> Channels:
    """The same series, each with so many missing values behind it [N]: no labels."""
    from harness.forecast import Ragged
    from harness.series import Channels

    if not more.any():
        return values
    rows = [np.append(values[c], np.full(n, np.nan, np.float32)) if n else values[c] for c, n in enumerate(more.tolist())]
    return Channels.from_ragged(Ragged.from_rows(rows))


def _with_horizons(fingerprint: str, own: I64) -> str:
    """A fingerprint of the values and of where each series' labels end."""
    return hashlib.blake2b(f"{fingerprint} {own.tolist()}".encode(), digest_size=16).hexdigest()


def monash(data: Path | None, *, suite: str = "monash", horizon: int | None = None) -> Monash:
    """The archive below `data`, or else the folder that the environment variable MONASH names.

    Args:
        horizon: H of files that the table does not have; None = what each file says.

    Raises:
        UsageError: a horizon that is none; `data` or MONASH names no folder.
    """
    if horizon is not None:
        whole("monash", "horizon", horizon, 1, LONGEST)
    return Monash(data_folder(data, "MONASH"), suite, horizon=horizon or 0)
