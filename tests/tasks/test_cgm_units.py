"""Telling mg/dL from mmol/L, and refusing to where it could be either."""

from __future__ import annotations

import csv
import doctest
import gzip
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.errors import DataError
from harness_tasks.cgm import units
from harness_tasks.cgm.units import MGDL_PER_MMOL, UNITS, detect_unit, of_other_unit


def recording(seed: int = 0, n: int = 2000) -> NDArray[np.float64]:
    """mg/dL as a sensor shows them."""
    rng = np.random.default_rng(seed)
    return np.clip(rng.lognormal(np.log(145), 0.35, n), 40, 400).round()


def test_the_worked_numbers() -> None:
    found = doctest.testmod(units)
    assert found.attempted and not found.failed


def test_both_units_of_one_recording() -> None:
    mgdl = recording()
    assert detect_unit(mgdl) == "mg/dL"
    assert detect_unit((mgdl / MGDL_PER_MMOL).round(1)) == "mmol/L"
    assert detect_unit((mgdl / 18).astype(np.float32).reshape(40, 50)) == "mmol/L"


@pytest.mark.parametrize("factor", [18.0, 18.0156, 18.0182])
def test_the_factors_in_use_differ_by_a_thousandth(factor: float) -> None:
    assert abs(MGDL_PER_MMOL / factor - 1) < 0.0011


def test_meters_show_their_whole_range() -> None:
    assert detect_unit([20.0, 600.0, 100.0]) == "mg/dL" and detect_unit([1.1, 33.3, 6.0]) == "mmol/L"
    assert detect_unit([180]) == "mg/dL" and detect_unit([5.5]) == "mmol/L"


def test_a_few_wild_and_missing_values_change_nothing() -> None:
    wild = recording()
    wild[:15] = [0.0, -1.0, 9999.0] * 5
    wild[100:300] = np.nan
    wild[300:303] = [np.inf, -np.inf, np.inf]
    assert detect_unit(wild) == "mg/dL"
    assert detect_unit(np.where(np.arange(2000) < 15, wild, wild / 18)) == "mmol/L"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ([], "cannot be told from no readings; pass unit='mg/dL' or unit='mmol/L'"),
        ([np.nan, np.inf], "cannot be told from no readings"),
        ([22.0, 25.0, 30.0], "percentile of 3 glucose readings are 22, 25 and 30, which could be either unit"),
        ([0.0] * 5 + [120.0] * 95, "are 0, 120 and 120, which is neither unit .*0 stands for a missing reading"),
        ([5.0] * 50 + [120.0] * 50, "are 5, 5 and 120, which is neither unit .*two units are mixed"),
        ([1.2, 1.5, 2.4], "neither unit"),  # g/L
        ([-1.0, 0.0, 1.0], "neither unit .*values are scaled"),
        ([1400.0, 1500.0], "neither unit"),
        ([40.0] * 10, "are 40, 40 and 40, which is neither unit"),
    ],
)
def test_what_is_not_clear_is_refused(values: list[float], said: str) -> None:
    with pytest.raises(DataError, match=said):
        detect_unit(values)


def test_subjects_are_judged_as_each_would_be_alone() -> None:
    rng = np.random.default_rng(3)
    who = rng.integers(0, 60, 3000)
    scale = rng.choice([1.0, 18.0, 5.0, 100.0], 60)  # mg/dL, mmol/L, and what is neither or both
    values = rng.uniform(90, 170, 3000) / scale[who]
    values[rng.random(3000) < 0.05] = np.nan
    values[rng.random(3000) < 0.05] = 0.0  # dropped later, in whatever unit
    for unit in UNITS:
        expected = []
        for one in range(60):
            mine = values[(who == one) & (values > 0)]
            try:
                told = detect_unit(mine)
            except DataError:
                continue
            expected += [one] if told != unit else []
        assert of_other_unit(who, values, unit) == expected
        assert 5 < len(expected) < 40
    assert of_other_unit(np.array([0, 0]), np.array([np.inf, np.nan]), "mg/dL") == []


@pytest.mark.parametrize("name", ["hall2018.csv", "iglu5.csv", "shanghai.csv.gz"])
def test_real_recordings(real_data: Path, name: str) -> None:
    file = real_data / "cgm" / name
    if not file.exists():
        pytest.skip(f"no {file}")
    with gzip.open(file, "rt") if name.endswith(".gz") else file.open() as lines:
        rows = [(row["id"], float(row["gl"] or "nan")) for row in csv.DictReader(lines)]
    who, glucose = np.array([r[0] for r in rows]), np.array([r[1] for r in rows])
    order = np.argsort(who, kind="stable")
    _, first = np.unique(who[order], return_index=True)
    for one in np.split(glucose[order], first[1:]):
        assert detect_unit(one) == "mg/dL" and detect_unit((one / 18).round(1)) == "mmol/L"
