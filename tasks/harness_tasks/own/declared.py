"""What a suite file declares, as it is after reading: the suite, and each task with its source and its windows. No file is opened here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from harness.types import SuiteInfo, Task

__all__ = ["EPOCHS", "FORMATS", "HUB", "READY", "SUFFIXES", "Columns", "Csv", "Declared", "Entry", "Source", "by_suffix"]

FORMATS = ("csv", "parquet", "datasets", "gift-eval", "tsf")
SUFFIXES = {"csv": (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt"), "parquet": (".parquet", ".pq"), "tsf": (".tsf",)}
EPOCHS = ("epoch-s", "epoch-ms", "epoch-us", "epoch-ns")
"""How numbers that are times may be declared."""
HUB = "hf:"
"""How a source begins that is a dataset of the hub."""
READY = ("gift-eval", "tsf")  # formats that say themselves what is what


@dataclass(frozen=True)
class Columns:
    """Which columns mean what; "" or () = there is none such."""

    id: str = ""
    time: str = ""
    target: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()

    @property
    def values(self) -> tuple[str, ...]:
        """Target, past and known, in this order."""
        return (*self.target, *self.past, *self.known)


@dataclass(frozen=True)
class Csv:
    """How text is written in a CSV file."""

    separator: str = ""  # "" = a tab for .tsv, else a comma
    decimal: str = "."
    encoding: str = "utf-8"
    missing: tuple[str, ...] = ()  # words for "no value" besides the usual ones


@dataclass(frozen=True)
class Source:
    """All that decides what series a table holds. Equal sources are read once."""

    path: str
    format: str  # "" = told by the suffix
    freq: str
    layout: str = "long"
    split: str = ""
    config: str = ""
    columns: Columns = Columns()
    csv: Csv = Csv()
    filter: tuple[tuple[str, tuple[str, ...]], ...] = ()
    time_format: str = ""
    timezone: str = ""
    snap: float = 0.0  # seconds
    duplicates: str = "error"
    gaps: str = "missing"
    where: str = field(default="", compare=False)  # the file and line that declare it


@dataclass(frozen=True)
class Entry:
    """A task, its source and its windows."""

    task: Task
    source: Source
    windows: int  # 0 = by the rule of GIFT-Eval
    stride: int
    short: str
    min_context: int
    where: str
    test: float = 0.0  # steps of the test part, or below 1 the share; 0 = none is declared: the last windows
    steps: int = 0  # how many of each series count, from its first; 0 = all


@dataclass(frozen=True)
class Declared:
    """A suite file, read."""

    path: Path
    info: SuiteInfo
    entries: tuple[Entry, ...]


def by_suffix(path: str) -> str:
    """The format that the name tells, "" where it does not: a folder is looked into when it is read."""
    if path.lower().startswith(HUB):
        return "datasets"
    return next((kind for kind, suffixes in SUFFIXES.items() if path.lower().endswith(suffixes)), "")
