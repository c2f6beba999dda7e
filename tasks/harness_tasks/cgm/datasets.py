"""The public sets of continuous glucose that the suite `cgm` knows by name, and how their files are found in a folder.

Licences and addresses are of the original publications; the suite brings none of the data but the part of Hall in `quick`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["DATASETS", "Dataset", "found"]

SUFFIXES = (".csv", ".csv.gz", ".txt", ".tsv", ".parquet", ".xml")
MEALS = "_meals"


@dataclass(frozen=True)
class Dataset:
    """One published set.

    Attributes:
        name: in tasks' names.
        files: globs of its file or folder in the data folder; the first that matches counts.
        step: minutes between readings.
        meals: whether it records meals.
        layout: of `harness_tasks.cgm.layouts`, "" = told by the columns.
        sources: other names, as authors of models may call it.
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
        ("ohio", "OhioT1DM", "ohio*"),
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
        ("brist1d", "brist1d*.csv", "BrisT1D*"),
        5,
        sources=("BrisT1D",),
        title="BrisT1D, the Kaggle challenge of Bristol: young adults with type 1 diabetes",
        license="see the publication",
        url="https://www.kaggle.com/competitions/brist1d",
    ),
    Dataset(
        "aleppo",
        ("aleppo", "aleppo*.txt", "HDeviceCGM.txt", "REPLACE-BG*"),
        5,
        sources=("REPLACE-BG", "Aleppo2017"),
        title="Aleppo et al. 2017: REPLACE-BG, 226 people with type 1 diabetes, Dexcom G4",
        license="see the Jaeb Center for Health Research",
        url="https://public.jaeb.org/dataset/546",
    ),
)


def found(root: Path | None) -> Iterator[tuple[Dataset | None, str, Path]]:
    """What lies in a folder: (the known set, its name, path), and (None, name, path) for each other file of readings."""
    if root is None or not root.is_dir():
        return
    taken = set()
    for dataset in DATASETS:
        paths = [path for glob in dataset.files for path in sorted(root.glob(glob)) if not _meals(path)]
        if paths:
            taken |= set(paths)
            yield dataset, dataset.name, paths[0]
    for path in sorted(root.iterdir()):
        if path not in taken and path.is_file() and path.name.endswith(SUFFIXES) and not _meals(path):
            yield None, path.name.split(".")[0], path


def _meals(path: Path) -> bool:
    return path.name.split(".")[0].endswith(MEALS)
