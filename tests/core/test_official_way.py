"""Data that nobody prepared for: made-up datasets of GIFT-Eval's table, scored by the harness and by gluonts with statsforecast."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from support import Lab, write_dataset

REPOSITORY = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("HARNESS_TEST_DATA") or REPOSITORY.parent / "shared" / "data")
METRICS = 11


def series(rng: np.random.Generator, length: int, season: int, missing: float = 0, zero: float = 0, scale: float = 1) -> Any:
    y = scale * (10 + 5 * np.sin(np.arange(length) * 2 * np.pi / season) + rng.normal(0, 1, length))
    y[rng.random(length) < zero] = 0
    y[rng.random(length) < missing] = np.nan
    return y.astype(np.float32)


def write_all(root: Path) -> None:
    """Several frequencies, one and two variates, missing values, many zeros, constants, a series without any value, very short ones."""
    rng = np.random.default_rng(1)
    two = pa.list_(pa.list_(pa.float32()), 2)
    hourly = [series(rng, 1300 + 37 * i, 24, 0.02 * (i % 2), 0.3, 10.0 ** (i % 5)) for i in range(12)]
    write_dataset(root / "solar/H", [*hourly, np.full(1200, 3, np.float32), np.zeros(1500, np.float32)], "H")
    daily = [series(rng, int(rng.integers(67, 400)), 7, 0.1, 0.1) for _ in range(30)]
    write_dataset(root / "restaurant", [*daily, np.full(100, np.nan, np.float32)], "D")
    write_dataset(root / "m4_weekly", [series(rng, 93 + i, 52) for i in range(10)], "W-SUN")
    write_dataset(root / "m4_yearly", [series(rng, 7 + i, 5) for i in range(10)], "A-DEC")
    pairs = [np.stack([series(rng, 1500, 288, 0, 0.5), series(rng, 1500, 288, 0.01, 0.2)]).tolist() for _ in range(3)]
    write_dataset(root / "bitbrains_rnd/5T", pairs, "5T", kind=two)
    write_dataset(root / "temperature_rain_with_missing", [series(rng, 725, 7, 0.3, 0.4) for _ in range(15)], "D")


def rows(text: str) -> dict[str, dict[str, str]]:
    return {row["dataset"]: row for row in csv.DictReader(io.StringIO(text))}


def compare(ours: dict[str, dict[str, str]], theirs: dict[str, dict[str, str]]) -> None:
    for name, row in ours.items():
        metrics = [column for column in row if column.startswith("eval_metrics/")]
        assert len(metrics) == METRICS
        for metric in metrics:
            assert float(row[metric]) == pytest.approx(float(theirs[name][metric]), rel=1e-6), (name, metric)


def test_other_datasets_score_as_the_official_way(lab: Lab, tmp_path: Path) -> None:
    pytest.importorskip("gluonts", reason="gluonts is not installed: pip install gluonts")
    pytest.importorskip("statsforecast", reason="statsforecast is not installed: pip install statsforecast")
    data = tmp_path / "data"
    write_all(data)
    environment = {"GIFT_EVAL": str(data)}
    assert lab.run("run", "-m", "seasonal_naive", "-s", "gift-eval", env=environment).code == 0
    assert lab.run("export", "gift-eval", "-o", str(tmp_path / "out")).code == 0
    ours = rows((tmp_path / "out/seasonal_naive/all_results.csv").read_text())
    script = REPOSITORY / "benchmarks" / "official_gift_eval.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env={**os.environ, **environment}, check=False)
    assert done.returncode == 0, done.stderr
    theirs = rows(done.stdout)
    assert set(ours) == set(theirs)
    assert len(ours) == 10
    compare(ours, theirs)


@pytest.mark.parametrize("jobs", ["1", "3"])
def test_published_numbers_of_all_configurations_that_are_here(lab: Lab, tmp_path: Path, jobs: str) -> None:
    if not (DATA / "gift-eval").is_dir():
        pytest.skip(f"no gift-eval under {DATA}; set HARNESS_TEST_DATA to a folder that has it")
    done = lab.run("run", "-m", "naive,seasonal_naive", "-s", "gift-eval", "--data", str(DATA / "gift-eval"), "--json", "-j", jobs)
    assert done.code == 0
    assert done.json()["counts"] == {"ok": 66, "failed": 0, "skipped": 0, "unfinished": 0, "cached": 0, "unavailable": 64}
    assert lab.run("export", "gift-eval", "-o", str(tmp_path / "out")).code == 0
    for model in ("naive", "seasonal_naive"):
        ours = rows((tmp_path / "out" / model / "all_results.csv").read_text())
        assert len(ours) == 33
        compare(ours, rows((DATA / "published/gift-eval" / model / "all_results.csv").read_text()))
