"""GIFT-Eval: 97 configurations of 55 dataset folders, from one table.

Rules of the protocol (official repository: SalesforceAIResearch/gift-eval):
horizon H = 12 months, 8 weeks, 30 days, 48 hours, 48 steps of minutes or 60 of seconds, times 1, 10, 15 for short, medium, long;
M4 has horizons of its own. Windows W = ceil(0.1 · L / H), at least 1 and at most 20, L the shortest series; 1 for M4. The windows
are the last W·H values of each series and do not overlap. The season is gluonts' (`harness.frequency.season_length`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness import frequency
from harness.errors import DataError, Unavailable, UsageError
from harness.files import data_folder
from harness.types import Task

if TYPE_CHECKING:
    from harness.series import SeriesSet, TaskData

__all__ = ["QUICK_FOLDERS", "ROWS", "GiftEval", "Row", "gift_eval", "horizon", "window_count"]

SHORT = ("short",)
ALL = ("short", "medium", "long")


@dataclass(frozen=True)
class Row:
    """One dataset folder of the hub's dataset, and the tasks that are made of it."""

    folder: str  # below the root: "LOOP_SEATTLE/5T"
    name: str  # as published results spell it: "loop_seattle"
    family: str
    freq: str  # the folder's where it has one
    domain: str
    variates: int
    terms: tuple[str, ...]

    @property
    def label(self) -> str:
        """The task name without its term: "loop_seattle/5T"."""
        return f"{self.name}/{self.freq}"

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the series come from, as authors of models name it: ("ETT", "ETTm1", "ETTh1", "ett1", "GIFT-Eval")."""
        return tuple(dict.fromkeys((*SOURCES.get(self.name, ()), self.name, self.folder.split("/")[0], COLLECTION)))

    @property
    def aliases(self) -> tuple[str, ...]:
        """What a user may call it: "LOOP_SEATTLE/5T", "LOOP_SEATTLE", "loop_seattle/5T", "loop_seattle"."""
        return (self.folder, self.folder.split("/")[0], self.label, self.name)


# fmt: off
ROWS: tuple[Row, ...] = (
    Row("m4_yearly",                      "m4_yearly",             "m4",                "A",   "Econ/Fin",    1,  SHORT),
    Row("m4_quarterly",                   "m4_quarterly",          "m4",                "Q",   "Econ/Fin",    1,  SHORT),
    Row("m4_monthly",                     "m4_monthly",            "m4",                "M",   "Econ/Fin",    1,  SHORT),
    Row("m4_weekly",                      "m4_weekly",             "m4",                "W",   "Econ/Fin",    1,  SHORT),
    Row("m4_daily",                       "m4_daily",              "m4",                "D",   "Econ/Fin",    1,  SHORT),
    Row("m4_hourly",                      "m4_hourly",             "m4",                "H",   "Econ/Fin",    1,  SHORT),
    Row("electricity/15T",                "electricity",           "electricity",       "15T", "Energy",      1,  ALL),
    Row("electricity/H",                  "electricity",           "electricity",       "H",   "Energy",      1,  ALL),
    Row("electricity/D",                  "electricity",           "electricity",       "D",   "Energy",      1,  SHORT),
    Row("electricity/W",                  "electricity",           "electricity",       "W",   "Energy",      1,  SHORT),
    Row("solar/10T",                      "solar",                 "solar",             "10T", "Energy",      1,  ALL),
    Row("solar/H",                        "solar",                 "solar",             "H",   "Energy",      1,  ALL),
    Row("solar/D",                        "solar",                 "solar",             "D",   "Energy",      1,  SHORT),
    Row("solar/W",                        "solar",                 "solar",             "W",   "Energy",      1,  SHORT),
    Row("hospital",                       "hospital",              "hospital",          "M",   "Healthcare",  1,  SHORT),
    Row("covid_deaths",                   "covid_deaths",          "covid_deaths",      "D",   "Healthcare",  1,  SHORT),
    Row("us_births/D",                    "us_births",             "us_births",         "D",   "Healthcare",  1,  SHORT),
    Row("us_births/M",                    "us_births",             "us_births",         "M",   "Healthcare",  1,  SHORT),
    Row("us_births/W",                    "us_births",             "us_births",         "W",   "Healthcare",  1,  SHORT),
    Row("saugeenday/D",                   "saugeen",               "saugeen",           "D",   "Nature",      1,  SHORT),
    Row("saugeenday/M",                   "saugeen",               "saugeen",           "M",   "Nature",      1,  SHORT),
    Row("saugeenday/W",                   "saugeen",               "saugeen",           "W",   "Nature",      1,  SHORT),
    Row("temperature_rain_with_missing",  "temperature_rain",      "temperature_rain",  "D",   "Nature",      1,  SHORT),
    Row("kdd_cup_2018_with_missing/H",    "kdd_cup_2018",          "kdd_cup_2018",      "H",   "Nature",      1,  ALL),
    Row("kdd_cup_2018_with_missing/D",    "kdd_cup_2018",          "kdd_cup_2018",      "D",   "Nature",      1,  SHORT),
    Row("car_parts_with_missing",         "car_parts",             "car_parts",         "M",   "Sales",       1,  SHORT),
    Row("restaurant",                     "restaurant",            "restaurant",        "D",   "Sales",       1,  SHORT),
    Row("hierarchical_sales/D",           "hierarchical_sales",    "hierarchical_sales", "D",   "Sales",       1,  SHORT),
    Row("hierarchical_sales/W",           "hierarchical_sales",    "hierarchical_sales", "W",   "Sales",       1,  SHORT),
    Row("LOOP_SEATTLE/5T",                "loop_seattle",          "loop_seattle",      "5T",  "Transport",   1,  ALL),
    Row("LOOP_SEATTLE/H",                 "loop_seattle",          "loop_seattle",      "H",   "Transport",   1,  ALL),
    Row("LOOP_SEATTLE/D",                 "loop_seattle",          "loop_seattle",      "D",   "Transport",   1,  SHORT),
    Row("SZ_TAXI/15T",                    "sz_taxi",               "sz_taxi",           "15T", "Transport",   1,  ALL),
    Row("SZ_TAXI/H",                      "sz_taxi",               "sz_taxi",           "H",   "Transport",   1,  SHORT),
    Row("M_DENSE/H",                      "m_dense",               "m_dense",           "H",   "Transport",   1,  ALL),
    Row("M_DENSE/D",                      "m_dense",               "m_dense",           "D",   "Transport",   1,  SHORT),
    Row("ett1/15T",                       "ett1",                  "ett",               "15T", "Energy",      7,  ALL),
    Row("ett1/H",                         "ett1",                  "ett",               "H",   "Energy",      7,  ALL),
    Row("ett1/D",                         "ett1",                  "ett",               "D",   "Energy",      7,  SHORT),
    Row("ett1/W",                         "ett1",                  "ett",               "W",   "Energy",      7,  SHORT),
    Row("ett2/15T",                       "ett2",                  "ett",               "15T", "Energy",      7,  ALL),
    Row("ett2/H",                         "ett2",                  "ett",               "H",   "Energy",      7,  ALL),
    Row("ett2/D",                         "ett2",                  "ett",               "D",   "Energy",      7,  SHORT),
    Row("ett2/W",                         "ett2",                  "ett",               "W",   "Energy",      7,  SHORT),
    Row("jena_weather/10T",               "jena_weather",          "jena_weather",      "10T", "Nature",      21, ALL),
    Row("jena_weather/H",                 "jena_weather",          "jena_weather",      "H",   "Nature",      21, ALL),
    Row("jena_weather/D",                 "jena_weather",          "jena_weather",      "D",   "Nature",      21, SHORT),
    Row("bitbrains_fast_storage/5T",      "bitbrains_fast_storage", "bitbrains",         "5T",  "Web/CloudOps", 2,  ALL),
    Row("bitbrains_fast_storage/H",       "bitbrains_fast_storage", "bitbrains",         "H",   "Web/CloudOps", 2,  SHORT),
    Row("bitbrains_rnd/5T",               "bitbrains_rnd",         "bitbrains",         "5T",  "Web/CloudOps", 2,  ALL),
    Row("bitbrains_rnd/H",                "bitbrains_rnd",         "bitbrains",         "H",   "Web/CloudOps", 2,  SHORT),
    Row("bizitobs_application",           "bizitobs_application",  "bizitobs",          "10S", "Web/CloudOps", 2,  ALL),
    Row("bizitobs_service",               "bizitobs_service",      "bizitobs",          "10S", "Web/CloudOps", 2,  ALL),
    Row("bizitobs_l2c/5T",                "bizitobs_l2c",          "bizitobs",          "5T",  "Web/CloudOps", 7,  ALL),
    Row("bizitobs_l2c/H",                 "bizitobs_l2c",          "bizitobs",          "H",   "Web/CloudOps", 7,  ALL),
)
# fmt: on

QUICK_FOLDERS = (
    "m4_hourly",
    "hospital",
    "covid_deaths",
    "us_births/D",
    "us_births/M",
    "us_births/W",
    "saugeenday/D",
    "saugeenday/M",
    "saugeenday/W",
    "car_parts_with_missing",
    "hierarchical_sales/W",
    "bizitobs_l2c/H",
)
"""The folders of `quick_data`: small, and free to be passed on (see LICENSES.md there)."""

COLLECTION = "GIFT-Eval"
SOURCES = {
    "saugeen": ("Saugeen river",),
    # The coarser folders are sums of the series of 15 minutes, of which those called h are hourly samples.
    "ett1": ("ETT", "ETTm1", "ETTh1"),
    "ett2": ("ETT", "ETTm2", "ETTh2"),
    "bitbrains_fast_storage": ("BitBrains",),
    "bitbrains_rnd": ("BitBrains",),
    "bizitobs_application": ("BizITObs",),
    "bizitobs_service": ("BizITObs",),
    "bizitobs_l2c": ("BizITObs",),
}
"""Other names than their own of what the datasets are made of; which collections hold them: `harness.contamination.COLLECTIONS`."""

STEPS = {"M": 12, "W": 8, "D": 30, "H": 48, "T": 48, "S": 60}
STEPS_M4 = {"A": 6, "Q": 8, "M": 18, "W": 13, "D": 14, "H": 48}
TERM_FACTOR = {"short": 1, "medium": 10, "long": 15}
TEST_SHARE = 0.1
MAX_WINDOWS = 20


def horizon(row: Row, term: str) -> int:
    """H in steps of the row's frequency."""
    steps = STEPS_M4 if row.family == "m4" else STEPS
    return steps[frequency.split(row.freq)[1]] * TERM_FACTOR[term]


def window_count(row: Row, steps: int, shortest: int) -> int:
    """W of a task with horizon `steps` whose shortest series has `shortest` values."""
    if row.family == "m4":
        return 1
    return min(max(1, math.ceil(TEST_SHARE * shortest / steps)), MAX_WINDOWS)


class GiftEval:
    """The rows of a table below a root folder, as a suite.

    Args:
        root: the folder that holds the dataset folders, or None.
        suite: the suite's name.
        rows: the rows to offer.
    """

    def __init__(self, root: Path | None, suite: str = "gift-eval", rows: Sequence[Row] = ROWS) -> None:
        self.root = root
        self.suite = suite
        self.rows = tuple(rows)
        self._by_label = {row.label: row for row in self.rows}
        self._opened: dict[str, SeriesSet] = {}

    def tasks(self) -> Sequence[Task]:
        """All tasks in the order of the table; opens no file."""
        return [
            Task(
                suite=self.suite,
                name=f"{row.label}/{term}",
                dataset=row.name,
                family=row.family,
                domain=row.domain,
                freq=row.freq,
                term=term,
                horizon=horizon(row, term),
                season_length=frequency.season_length(row.freq),
                variates=row.variates,
                sources=row.sources,
            )
            for row in self.rows
            for term in row.terms
        ]

    def open(self, task: Task) -> TaskData:
        """Map the task's folder (once for all its terms) and place its windows.

        Raises:
            Unavailable: no root, or the folder is not in it.
            DataError: the folder is there and broken, or its data is not what the table says.
        """
        from harness.series import rolling

        row = self.row(task)
        series = self.series(row)
        return rolling(task, series, window_count(row, task.horizon, int(series.target.length[:: series.variates].min())))

    def row(self, task: Task) -> Row:
        """The table's row of a task.

        Raises:
            UsageError: the task is not of this suite.
        """
        row = self._by_label.get(f"{task.dataset}/{task.freq}")
        if row is None:
            raise UsageError(f"{self.suite} has no task {task.name!r}; 'harness ls tasks -s {self.suite}' lists those it has")
        return row

    def series(self, row: Row) -> SeriesSet:
        """The series of a row's folder, mapped, with their fingerprint. Raises as `open` does."""
        if row.folder not in self._opened:
            self._opened[row.folder] = self._read(row)
        return self._opened[row.folder]

    def _read(self, row: Row) -> SeriesSet:
        from dataclasses import replace

        from harness_tasks.arrow_folder import read_folder, shard_files
        from harness_tasks.fingerprint import cached_fingerprint, unchanged

        fetch = f"harness data pull gift-eval {row.folder}"
        if self.root is None:
            raise Unavailable("no data folder is given; set GIFT_EVAL or --data to the folder that holds the datasets", fetch)
        folder = self.root / row.folder
        if not folder.is_dir():
            raise Unavailable(f"there is no folder {folder}", fetch)
        fix = f"Fetch it again: {fetch}"
        shards = shard_files(folder, fix)
        check = unchanged(shards)
        series = read_folder(folder, fix)
        if frequency.normalize(series.freq) != row.freq:
            raise DataError(f"{folder}: got frequency {series.freq!r}; wanted {row.freq!r}. {fix}")
        if series.variates != row.variates:
            raise DataError(f"{folder}: got {series.variates} variates; wanted {row.variates}. {fix}")
        series = replace(series, fingerprint=cached_fingerprint(series, folder, shards), check=check)
        check()  # not in the midst of being written
        return series


def gift_eval(data: Path | None) -> GiftEval:
    """The whole suite, below `data` or else the folder that the environment variable GIFT_EVAL names.

    Raises:
        UsageError: `data` or GIFT_EVAL names no folder.
    """
    return GiftEval(data_folder(data, "GIFT_EVAL"))
