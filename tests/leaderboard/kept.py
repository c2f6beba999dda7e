"""A real database with kept forecasts, made once for all tests that read it: five models, two seeds, failures, a long horizon."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
from support import Lab

from harness.plugins import load
from harness_leaderboard.aggregate import Results
from harness_leaderboard.view import View, open_view
from harness_results.store import DuckStore

__all__ = ["LIMITED", "MODELS", "TASKS", "changed", "kept_lab", "results_of", "rows_of", "view_of"]

TASKS = ("us_births/M/short", "us_births/W/short", "saugeen/M/short", "hierarchical_sales/W/short", "bizitobs_l2c/H/medium")
MODELS = ("naive", "seasonal_naive", "mean", "noisy", "fails")
LIMITED = "7"

PLUGIN = """
class Noisy:
    def predict(self, batch):
        return Forecast.from_points(last(batch) * (1 + np.asarray(batch.seeds, np.float64)[:, None] % 97 / 1000))

class Fails:
    def predict(self, batch):
        if batch.horizon == 8:
            raise ValueError("eight is too many")
        return Forecast.from_points(last(batch) + 1)

@hookimpl
def register_models(register):
    register(ModelInfo("noisy", license="MIT"), Noisy)
    register(ModelInfo("fails", license="MIT"), Fails)
"""


@cache
def kept_lab(base: Path) -> Lab:
    """The lab whose database holds the runs; `base` is the folder of all temporary files of this session."""
    folder = base / "kept"
    folder.mkdir()
    lab = Lab(folder)
    lab.plugin("kept_models", PLUGIN)
    common = ("-s", "quick", "--progress", "none", "--isolation", "inprocess", "--save-forecasts")
    tasks = ",".join(TASKS)
    answers = lab.many(
        [
            ["run", "-m", "naive,seasonal_naive,mean,fails", "-t", tasks, *common],
            ["run", "-m", "noisy", "-t", tasks, "--seed", "0,1", *common],
            ["run", "-m", "naive,mean", "-t", "hierarchical_sales/W/short", "--limit", LIMITED, *common],
        ]
    )
    assert [answer.code for answer in answers] == [3, 0, 0], answers
    return lab


def changed(lab: Lab, folder: Path, *statements: str) -> Path:
    """A copy of the database and its forecasts, after these statements."""
    db = folder / "copy.duckdb"
    shutil.copy(lab.db, db)
    shutil.copytree(lab.db.with_name(lab.db.name + ".forecasts"), db.with_name(db.name + ".forecasts"))
    with duckdb.connect(str(db)) as connection:
        for statement in statements:
            connection.execute(statement)
    return db


def view_of(db: Path, **options: Any) -> View:
    return open_view(load(), DuckStore(db, readonly=True), "quick", **options)


def results_of(db: Path, **options: Any) -> Results:
    return view_of(db, **options).results


def rows_of(results: Results, label: str) -> int:
    """The row of a model."""
    return next(m for m, entry in enumerate(results.entries) if entry.label == label)
