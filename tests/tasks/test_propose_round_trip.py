"""Every kind of data that `harness new suite --from` takes: what it proposes opens as it is, with the same series."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from tables_kit import opened, saved

from harness_tasks.own.declared import SUFFIXES
from harness_tasks.own.propose.suite import make_suite
from harness_tasks.tsf import write_tsf

DAYS = [datetime(2024, 1, 1) + timedelta(days=i) for i in range(60)]
VALUES = [i + 0.5 for i in range(60)]
LONG = {"shop": ["a"] * 60 + ["b"] * 60, "day": pa.array(DAYS * 2, pa.timestamp("us")), "sales": VALUES * 2}
NESTED = {"item_id": ["a", "b"], "start": pa.array(DAYS[:1] * 2, pa.timestamp("s")), "target": [VALUES] * 2}


def text(mark: str = ",", decimal: str = ".", days: int = 60) -> str:
    rows = [(shop, f"{d:%Y-%m-%d}", str(v).replace(".", decimal)) for shop in "ab" for d, v in zip(DAYS[:days], VALUES, strict=False)]
    return "\n".join(mark.join(row) for row in [("shop", "day", "sales"), *rows]) + "\n"


def write(path: Path) -> Path:
    """The two series, as the suffix says."""
    name = path.name
    if name.endswith((".parquet", ".pq")):
        parquet.write_table(pa.table(LONG), path)
    elif name.endswith(".tsf"):
        write_tsf(path, [VALUES, VALUES], names=["a", "b"], starts=np.array(DAYS[:1] * 2, "M8[s]"), frequency="daily", horizon=7)
    else:
        raw = text("\t" if ".tsv" in name else ",").encode()
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
    return path


def comma(path: Path) -> Path:
    path.write_text(text(";", ","))
    return path


def splits(path: Path) -> Path:
    for split in ("test", "train"):
        saved(path / split, NESTED)
    (path / "dataset_dict.json").write_text("{}")
    return path


def tables(*names: str) -> Callable[[Path], Path]:
    """A folder with a part of the table in each file: the first has the series a, the second b."""

    def made(path: Path) -> Path:
        path.mkdir()
        for part, name in enumerate(names):
            rows: dict[str, Any] = {key: column[part * 60 : part * 60 + 60] for key, column in LONG.items()}
            lines = text().splitlines()
            if name.endswith(".parquet"):
                parquet.write_table(pa.table(rows), path / name)
            else:
                (path / name).write_text("\n".join([lines[0], *lines[1 + part * 60 : 61 + part * 60]]) + "\n")
        return path

    return made


SINGLE: dict[str, Callable[[Path], Path]] = {f"x{suffix}": write for suffixes in SUFFIXES.values() for suffix in suffixes}
OTHERS: dict[str, Callable[[Path], Path]] = {
    "comma.csv": comma,
    "UPPER.CSV": write,
    "rows": lambda path: saved(path, LONG),
    "lists": lambda path: saved(path, {**NESTED, "start": pa.array([DAYS] * 2, pa.list_(pa.timestamp("us")))}),
    "splits": splits,
    "gift-eval": lambda path: saved(path, {**NESTED, "freq": ["D", "D"]}),
    "csv-folder": tables("1.csv", "2.csv"),
    "parquet-folder": tables("1.parquet", "2.parquet"),
}


@pytest.mark.parametrize("kind", [*SINGLE, *OTHERS])
def test_what_is_proposed_opens(kind: str, tmp_path: Path) -> None:
    source = {**SINGLE, **OTHERS}[kind](tmp_path / kind)
    made = make_suite("made", tmp_path, source)
    (data,) = opened(made.path)
    assert data.task.suite == "made" and data.task.freq == "D" and data.windows > 0, made.path.read_text()
    assert data.series.item_ids.to_pylist() == ["a", "b"]
    assert [data.series.target[i].tolist() for i in range(2)] == [VALUES, VALUES]
    assert {start.item() for start in data.series.starts} == {DAYS[0]}
