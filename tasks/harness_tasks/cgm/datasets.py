"""The public sets of continuous glucose that the suite `cgm` knows by name, and how their files are found in a folder.

Licences and addresses are of the original publications; the package has none of the data but `SAMPLE`, a part of Hall.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.files import need_text

__all__ = ["DATASETS", "SAMPLE", "SAMPLE_FOLDER", "SUFFIXES", "Dataset", "files_of", "found", "meals_beside"]

BESIDE = ("HDeviceBolus.txt", "HDeviceWizard.txt")  # of the layout jaeb
SUFFIXES = (".csv", ".txt", ".tsv", ".csv.gz", ".txt.gz", ".tsv.gz", ".parquet", ".xml")  # in any case
MEALS = "_meals"


@dataclass(frozen=True)
class Dataset:
    """One published set.

    Attributes:
        name: in tasks' names.
        files: globs of its file or folder below the data folder; the first that matches counts.
        step: minutes between readings.
        meals: whether it records meals.
        layout: of `harness_tasks.cgm.layouts`, "" = told by the columns.
        sources: other names, as authors of models may call it.
        family: of tasks, "" = its name.
    """

    name: str
    files: tuple[str, ...]
    step: int
    meals: bool = False
    layout: str = ""
    sources: tuple[str, ...] = ()
    title: str = ""
    license: str = ""
    url: str = ""
    family: str = ""


DATASETS: tuple[Dataset, ...] = (
    Dataset(
        "hall",
        ("hall2018.csv", "hall.csv", "Hall*.csv"),
        5,
        meals=True,
        sources=("Hall2018", "GlucoBench"),
        title="Hall et al. 2018, glucotypes: 57 people without and with diabetes, Dexcom G4",
        license="CC-BY-4.0",
        url="https://doi.org/10.1371/journal.pbio.2005143",
    ),
    Dataset(
        "iglu",
        ("iglu5.csv", "iglu.csv", "iglu*.csv", "Broll*.csv", "broll*.csv"),
        5,
        sources=("Broll2021", "GlucoBench"),
        title="Broll et al. 2021: the five people with type 2 diabetes of the R package iglu, Dexcom G4",
        license="GPL-2.0-or-later",
        url="https://doi.org/10.1371/journal.pone.0248560",
    ),
    Dataset(
        "shanghai",
        ("shanghai.csv.gz", "shanghai.csv", "Shanghai*.csv"),
        15,
        sources=("ShanghaiT1DM", "ShanghaiT2DM"),
        title="Zhao et al. 2023: ShanghaiT1DM and ShanghaiT2DM, 112 people, FreeStyle Libre",
        license="CC-BY-4.0",
        url="https://doi.org/10.1038/s41597-023-01940-7",
    ),
    Dataset(
        "ohio",
        ("OhioT1DM", "ohio", "[Oo]hio*"),
        5,
        meals=True,
        layout="ohio",
        sources=("OhioT1DM", "BGLP"),
        title="Marling and Bunescu 2020: OhioT1DM, 12 people with type 1 diabetes, Medtronic Enlite",
        license="data use agreement",
        url="https://webpages.charlotte.edu/rbunescu/data/ohiot1dm/OhioT1DM-dataset.html",
    ),
    Dataset(
        "brist1d",
        # Of Kaggle's folder train.csv alone: the rows of test.csv are six hours each, in no order and without a date.
        ("brist1d/train.csv", "brist1d*.csv", "[Bb]ris[Tt]1[Dd]*/train.csv", "BrisT1D*.csv"),
        5,
        meals=True,
        sources=("BrisT1D",),
        title="BrisT1D, the Kaggle challenge of Bristol: young adults with type 1 diabetes",
        license="see the publication",
        url="https://www.kaggle.com/competitions/brist1d",
    ),
    Dataset(
        "aleppo",
        ("HDeviceCGM.txt", "*/HDeviceCGM.txt", "*/*/HDeviceCGM.txt", "aleppo*.txt", "aleppo"),
        5,
        meals=True,
        sources=("REPLACE-BG", "Aleppo2017"),
        title="Aleppo et al. 2017: REPLACE-BG, 226 people with type 1 diabetes, Dexcom G4",
        license="see the Jaeb Center for Health Research",
        url="https://public.jaeb.org/dataset/546",
    ),
)


SAMPLE_FOLDER = Path(__file__).parents[1] / "samples" / "cgm"
SAMPLE = Dataset(
    "hall-sample",
    ("hall-sample.csv.gz",),
    5,
    meals=True,
    layout="hall",
    sources=("hall", "Hall2018", "GlucoBench"),
    title="five people of Hall et al. 2018, in the package",
    license="CC-BY-4.0",
    url="https://doi.org/10.1371/journal.pbio.2005143",
    family="hall",
)
"""A part of the set `hall` under a name of its own, so that its results are never taken for those of the whole."""


def found(root: Path) -> Iterator[tuple[Dataset | None, str, Path]]:
    """What lies in a folder: (the known set, its name, path), and (None, name, path) for each other file of readings or folder of such.

    A link to the folder itself, to one that holds it, or to what is a set already is none: its people would count twice.

    Raises:
        DataError: a name that is not UTF-8.
    """
    taken: set[Path] = set()
    for dataset in DATASETS:
        paths = [path for glob in dataset.files for path in sorted(root.glob(glob)) if not _meals(path) and not _around(root, path)]
        if paths:
            taken |= {root / path.relative_to(root).parts[0] for path in paths}
            yield dataset, dataset.name, paths[0]
    places = {_place(path) for path in taken}
    others = []
    for path in sorted(root.iterdir(), key=lambda path: (path.is_symlink(), path)):  # what a link leads to comes before the link
        if path in taken or path.name.startswith(".") or _meals(path) or _around(root, path) or not _readable(path):
            continue
        need_text(path.name)  # it becomes the name of tasks
        place = _place(path)
        if not (path.is_symlink() and any(place.is_relative_to(other) for other in places)):
            places.add(place)
            others.append(path)
    yield from ((None, path.name.split(".")[0], path) for path in sorted(others))


def files_of(path: Path) -> list[Path]:
    """The files that a set at this path is read from, those beside it with insulin and meals too."""
    if path.is_dir():
        return sorted(file for file in path.rglob("*") if file.is_file())
    beside = (meals_beside(path), *(path.with_name(name) for name in BESIDE))
    return [path, *(file for file in beside if file.is_file())]


def meals_beside(path: Path) -> Path:
    """Where the meals of a file of the layout hall stand."""
    return path.with_name(f"{path.name.split('.')[0]}{MEALS}.csv")


def _readable(path: Path) -> bool:
    """Whether a file may be one of readings, or a folder holds such a file."""
    if path.is_dir():
        return any(file.is_file() and file.name.lower().endswith(SUFFIXES) for file in path.iterdir())
    return path.is_file() and path.name.lower().endswith(SUFFIXES)


def _around(root: Path, path: Path) -> bool:
    """Whether the entry of the folder that a path lies in is a link to the folder itself or to one that holds it."""
    entry = root / path.relative_to(root).parts[0]
    return entry.is_symlink() and _place(root).is_relative_to(_place(entry))


def _place(path: Path) -> Path:
    """Where a path leads; of links that lead in a circle, some link (`Path.resolve` would raise)."""
    return Path(os.path.realpath(path))


def _meals(path: Path) -> bool:
    return path.name.split(".")[0].endswith(MEALS)
