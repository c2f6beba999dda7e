"""Which daily prices there are: instruments that the suite knows by name, other files of a folder, the sample inside the package.

A file's name without its ending is what its tasks are called; `NAME_factors.csv` beside it is its factor file. Two files of one name are
an error, as nobody could tell whose results are whose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.errors import DataError
from harness.files import need_text

__all__ = ["INSTRUMENTS", "SAMPLE", "SAMPLES", "Instrument", "Place", "find", "known"]

SUFFIXES = (".csv", ".csv.gz", ".zip", ".parquet", ".pq")
FACTORS = "_factors"
SAMPLES = Path(__file__).parents[1] / "samples" / "spy"


@dataclass(frozen=True)
class Instrument:
    """Daily prices that the suite knows by name, and how their file is found."""

    name: str
    files: tuple[str, ...] = ()
    factors: tuple[str, ...] = ()
    title: str = ""
    sources: tuple[str, ...] = ()
    family: str = ""  # of which other's days its are; "" = its own


@dataclass(frozen=True)
class Place:
    """A file of prices and its factor file, None = it has none."""

    path: Path
    factors: Path | None = None


INSTRUMENTS = (
    Instrument("spy", ("spy_daily.csv", "spy.csv", "SPY.csv"), ("spy_factors.csv",), "SPDR S&P 500 ETF", ("SPY", "S&P 500")),
    Instrument("sp500", ("sp500_index_daily.csv.gz", "sp500.csv", "GSPC.csv", "^GSPC.csv"), (), "S&P 500 index", ("S&P 500", "^GSPC")),
)
SAMPLE = Instrument("spy-sample", title="SPDR S&P 500 ETF, 2008 to March 2021", sources=("SPY", "S&P 500"), family="spy")


def known(name: str) -> Instrument:
    """The instrument of this name, or one of which nothing is known."""
    return next((each for each in (*INSTRUMENTS, SAMPLE) if each.name == name), Instrument(name))


def find(root: Path | None) -> dict[str, Place]:
    """{name: its files} below a folder, known instruments first; without a folder, of the sample. Opens no file.

    Raises:
        DataError: two files have one name, or one that is not UTF-8.
    """
    folder = SAMPLES if root is None else root
    found: dict[str, Place] = {}
    for name, path in _named(folder):
        if name in found:
            other = found[name].path.name
            raise DataError(f"{folder}: {other} and {path.name} are both '{name}': rename one, or move it to another folder")
        found[name] = Place(path, _factors(path, name))
    return found


def _named(folder: Path) -> Iterator[tuple[str, Path]]:
    files = sorted(path.name for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    taken = {file: each.name for each in INSTRUMENTS for file in each.files}
    for each in INSTRUMENTS:
        yield from ((each.name, folder / file) for file in each.files if file in files)
    for file in files:
        suffix = max((end for end in SUFFIXES if file.lower().endswith(end)), key=len, default="")
        stem = file[: len(file) - len(suffix)]
        if suffix and file not in taken and not file.startswith(".") and not stem.endswith(FACTORS):
            need_text(file)  # it becomes the name of tasks
            yield stem, folder / file


def _factors(path: Path, name: str) -> Path | None:
    stem = path.name.split(".")[0]
    for file in (*known(name).factors, f"{stem}{FACTORS}.csv", f"{name}{FACTORS}.csv"):
        if (path.parent / file).is_file():
            return path.parent / file
    return None
