"""The suite `time-r1`: nine public data sets as papers on long horizons, and Time-R1's among them, forecast them.

96 steps back and 96 ahead (NASDAQ 36 and 36), on the scale of the data, each column of a table a series of its own. Windows lie in the test
part: of ETT the steps 11,520 to 14,400 of hours, or four times that of quarters of an hour, which leaves out what lies behind them as those
papers do; elsewhere the last fifth. They do not overlap unless `stride` says so; `windows` spreads a fixed number over the test part.
The paper scores its test sets; its published code takes ten windows of each channel. Tasks are scored in the dialect `time-r1`
(`harness_time_r1.dialect`), beside the metrics of every run.

Files are found by their usual names below the data folder, in it or one or two folders down: a column for each series beside `date`, or as
the TFB benchmark writes them, a row for each value in columns `date`, `data` and `cols`. They are read by what reads a user's own suites.

Sources: arXiv 2506.10630 (which sets, which horizons); Zhou et al. 2021 (ETT and its parts); Wu et al. 2021 (exchange_rate.csv);
Qiu et al. 2024, TFB (Wind, AQWan, AQShunyi, NASDAQ).
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import DataError, PluginError, Unavailable, UsageError
from harness.files import data_folder
from harness.parameters import whole
from harness.types import SuiteInfo, Task
from harness_time_r1.dialect import INFO as DIALECT

if TYPE_CHECKING:
    from harness.series import TaskData
    from harness.types import Suite

__all__ = ["INFO", "SETS", "Set", "TimeR1Suite", "open_suite"]

VARIABLE = "TIME_R1"
DEEP = ("", "*/", "*/*/")
"""Where below the data folder a file may be."""
LONG = ["date", "data", "cols"]
"""The header of TFB's tables."""
ETT_URL = "https://github.com/zhouhaoyi/ETDataset"
AUTOFORMER_URL = "https://github.com/thuml/Autoformer"
TFB_URL = "https://github.com/decisionintelligence/TFB"
HEAD = 4096  # bytes that are looked into for header and first row
MOST = 1_000_000

INFO = SuiteInfo(
    "time-r1",
    summary="Time-R1's nine sets: ETT, Exchange, Wind, air quality, NASDAQ; 96 steps back, 96 ahead, the usual test parts",
    license="each data set has its own",
    url="https://arxiv.org/abs/2506.10630",
)


@dataclass(frozen=True)
class Set:
    """A data set: its file, its test part, and where it comes from."""

    name: str
    files: tuple[str, ...]  # what the file is called; the first is what we ask for
    freq: str
    domain: str
    family: str
    test: float  # steps, or below 1 the share
    url: str
    known_as: tuple[str, ...]
    steps: int = 0  # that count, of those in the file; 0 = all
    horizon: int = 96
    gaps: str = "missing"


HOURS, QUARTERS = 24 * 30, 4 * 24 * 30  # of a month, which has 30 days there

SETS = (
    Set("ETTh1", ("ETTh1.csv",), "H", "Energy", "ett", 4 * HOURS, ETT_URL, ("ETT", "ETTh1", "ETTm1", "ett1"), 20 * HOURS),
    Set("ETTh2", ("ETTh2.csv",), "H", "Energy", "ett", 4 * HOURS, ETT_URL, ("ETT", "ETTh2", "ETTm2", "ett2"), 20 * HOURS),
    Set("ETTm1", ("ETTm1.csv",), "15T", "Energy", "ett", 4 * QUARTERS, ETT_URL, ("ETT", "ETTm1", "ETTh1", "ett1"), 20 * QUARTERS),
    Set("ETTm2", ("ETTm2.csv",), "15T", "Energy", "ett", 4 * QUARTERS, ETT_URL, ("ETT", "ETTm2", "ETTh2", "ett2"), 20 * QUARTERS),
    Set("Exchange", ("exchange_rate.csv", "Exchange.csv"), "D", "Econ/Fin", "exchange", 0.2, AUTOFORMER_URL, ("exchange_rate", "Exchange")),
    Set("Wind", ("Wind.csv", "wind.csv"), "15T", "Energy", "wind", 0.2, TFB_URL, ("Wind", "TFB")),
    Set("AQWan", ("AQWan.csv",), "H", "Nature", "air-quality", 0.2, TFB_URL, ("AQWan", "Beijing air quality", "TFB")),
    Set("AQShunyi", ("AQShunyi.csv",), "H", "Nature", "air-quality", 0.2, TFB_URL, ("AQShunyi", "Beijing air quality", "TFB")),
    Set("NASDAQ", ("NASDAQ.csv", "nasdaq.csv"), "B", "Econ/Fin", "nasdaq", 0.2, TFB_URL, ("NASDAQ", "TFB"), horizon=36, gaps="joined"),
)


class TimeR1Suite:
    """The nine sets below a folder.

    Args:
        root: the data folder; None = it is not known, and nothing can be read.
        stride: steps from one window to the next; 0 = the horizon, so that labels do not overlap.
        windows: spread so many over the test part of each series instead; 0 = by `stride`.
        context: steps that a model sees; 0 = the horizon, as in the paper; -1 = all that there are.
        suite: the name that tasks carry.
    """

    def __init__(self, root: Path | None, stride: int = 0, windows: int = 0, context: int = 0, suite: str = INFO.name) -> None:
        self.root, self.suite = root, suite
        self.stride, self.windows, self.context = stride, windows, context
        self._sets = {each.name: each for each in SETS}

    def tasks(self) -> Sequence[Task]:
        """One for each set, whether its file is here or not."""
        with self._declared([(each, None) for each in SETS]) as suite:
            return [self._named(task) for task in suite.tasks()]

    def open(self, task: Task) -> TaskData:
        """Read the set's file and place its windows.

        Raises:
            Unavailable: no folder is named, or the file is not in it.
            DataError: it is there and broken, or too short for its test part.
        """
        with self._declared([(self._sets[task.dataset], self._file(self._sets[task.dataset]))]) as suite:
            (own,) = suite.tasks()
            return replace(suite.open(own), task=task)

    def _named(self, task: Task) -> Task:
        """The task as this suite has it."""
        protocol = re.sub(r"own/\d+", "time-r1/1", task.protocol)
        return replace(task, suite=self.suite, protocol=protocol)

    def _file(self, wanted: Set) -> Path:
        """Where a set's file is."""
        name = wanted.files[0]
        if self.root is None:
            raise Unavailable(f"no data folder is given; name one by --data or {VARIABLE}; where each set is published: docs/time-r1.md")
        for deep in DEEP:
            found = sorted(path for file in wanted.files for path in self.root.glob(deep + file) if path.is_file())
            if len(found) > 1 and not all(path.samefile(found[0]) for path in found):
                raise DataError(f"{self.suite}:{wanted.name}: got {found[0]} and {found[1]}; wanted one of them. Move the other one away")
            if found:
                return found[0]
        where = f"in {self.root} or two folders down"
        raise Unavailable(f"there is no {' or '.join(wanted.files)} {where}; it is published at {wanted.url}; call it {name}")

    @contextmanager
    def _declared(self, sets: Sequence[tuple[Set, Path | None]]) -> Iterator[Suite]:
        """A suite of these sets and their files, as what reads a user's own suite files makes it of a description."""
        from harness.plugins import load

        text = json.dumps({"name": INFO.name, "tasks": [self._description(*each) for each in sets]})
        with tempfile.TemporaryDirectory(prefix="harness-time-r1-") as folder:
            path = Path(folder) / "time-r1.yaml"  # JSON is YAML
            path.write_text(text, encoding="utf-8")
            found = load().pm.hook.open_suite_file(path=path)
            if found is None:
                raise PluginError("no plugin here reads suite files, by which time-r1 reads its tables. Type: pip install ts-harness")
            try:
                yield found[1](sets[0][1].parent if sets[0][1] else None)
            except DataError as error:  # the description is ours, and gone when the message is read
                raise DataError(re.sub(rf"{re.escape(str(path))}, line \d+", f"suite {self.suite}", str(error))) from None

    def _description(self, each: Set, path: Path | None) -> dict[str, Any]:
        """A task as a suite file says it; what follows from its file, as the layout, is not in the task."""
        header, first = _head(path) if path else ([], "")
        long = header == LONG
        columns: dict[str, Any] = {"time": "date"} | ({"id": "cols", "target": "data"} if long else {})
        context = {0: each.horizon, -1: 0}.get(self.context, self.context)
        windows = {"windows": self.windows} if self.windows else {"stride": self.stride or each.horizon}
        return {
            "name": each.name,
            "source": path.name if path else each.files[0],
            "format": "csv",
            "layout": "long" if long else "wide",
            "columns": columns,
            "freq": each.freq,
            "gaps": each.gaps,
            "horizon": each.horizon,
            "test": each.test,
            "dialect": DIALECT.name,
            "domain": each.domain,
            "family": each.family,
            "known_as": list(each.known_as),
            **({"steps": each.steps} if each.steps else {}),
            **({"context": context} if context else {}),
            **({"time_format": pattern} if (pattern := _pattern(first)) else {}),
            **windows,
        }


def _head(path: Path) -> tuple[list[str], str]:
    """The header of a table and the time of its first row."""
    with path.open("rb") as file:
        lines = file.read(HEAD).decode("utf-8-sig", "replace").splitlines()
    cells = [[cell.strip().strip('"') for cell in line.split(",")] for line in lines[:2]]
    return (cells[0] if cells else []), (cells[1][0] if len(cells) > 1 else "")


def _pattern(time: str) -> str:
    """How a time with slashes is written, as copies of exchange_rate.csv have them; "" = as ISO 8601 says."""
    if not re.match(r"\d{4}/", time):
        return ""
    return "%Y/%m/%d" + ("" if " " not in time else " %H:%M" if time.count(":") == 1 else " %H:%M:%S")


def open_suite(data: Path | None, *, stride: int = 0, windows: int = 0, context: int = 0, suite: str = INFO.name) -> TimeR1Suite:
    """The suite below `data`, or the folder that the environment variable TIME_R1 names.

    Raises:
        UsageError: an option of no use, or a folder that is not there.
    """
    whole(INFO.name, "stride", stride, 0, MOST)
    whole(INFO.name, "windows", windows, 0, MOST)
    whole(INFO.name, "context", context, -1, MOST)
    if stride and windows:
        raise UsageError(
            f"{INFO.name}: got stride={stride} and windows={windows}; wanted one of these: windows are so many, spread over the test part"
        )
    return TimeR1Suite(data_folder(data, VARIABLE), stride, windows, context, suite)
