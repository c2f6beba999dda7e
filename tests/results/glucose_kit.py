"""Real pairs of glucose for the tests of error metrics and error grids."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

__all__ = ["real_pairs"]

F64 = NDArray[np.float64]


def real_pairs() -> tuple[F64, F64]:
    """5,072 pairs of the R package ega."""
    folder = Path(os.environ.get("HARNESS_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
    file = folder / "oracles" / "ega_glucose_pairs.csv"
    if not file.exists():
        pytest.skip(f"no {file}; set HARNESS_TEST_DATA to the folder that has oracles/")
    table = np.loadtxt(file, delimiter=",", skiprows=1)
    return table[:, 0], table[:, 1]
