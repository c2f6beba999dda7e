"""The real command on the embedded suite: members run, the ensemble made of what they left, and what becomes of it when they change."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness_ensemble.backtest import mean_losses

import harness
from harness.forecast import F64
from harness.seasonal import seasonal_error
from harness.series import Channels

TASKS = "us_births/*"
NAMES = ["us_births/D/short", "us_births/M/short", "us_births/W/short"]
MEDIAN = "ensemble[of=mine+naive+seasonal_naive]"
MEAN, BACK = (MEDIAN.replace("[", f"[how={how},") for how in ("mean", "backtest"))
NESTED = f"ensemble[how=mean,of=drift+{MEDIAN}]"
HERE = ("--isolation", "inprocess")  # starts no worker, which takes longer than these cells
MINE = """
import numpy as np
from harness import Forecast, ModelInfo, hookimpl


class Mine:
    def predict(self, batch):
        last = np.nan_to_num(batch.padded(1)[0])
        return Forecast.from_points(np.repeat(last * FACTOR, batch.horizon, axis=1))


@hookimpl
def register_models(register):
    register(ModelInfo("mine", license="MIT", output="points"), Mine)
"""
DRIVER = """
import contextlib, io, json, sys
from harness.cli import main
said = []
for words in json.loads(sys.argv[1]):
    out = io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            main(words)
        except SystemExit as end:
            print(f"code {end.code or 0}")
    said.append(out.getvalue())
print(json.dumps(said))
"""


class Place:
    """A working folder with a plugin `mine` in it, and the command run there."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.site, self.db = folder, folder / "site", folder / "harness.duckdb"
        info = self.site / "mine-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text("[harness]\nmine = mine\n")
        self.factor("1.01")

    def factor(self, text: str) -> None:
        (self.site / "mine.py").write_text(MINE.replace("FACTOR", text))

    def __call__(self, *commands: list[str]) -> list[str]:
        """Do these commands one after the other in a process of their own; what each of them printed, and its exit code at the end."""
        env = {k: v for k, v in os.environ.items() if not k.startswith("HARNESS_")}
        env |= {"PYTHONPATH": str(self.site), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "250"}
        program = [sys.executable, "-P", "-c", DRIVER, json.dumps(commands)]
        done = subprocess.run(program, cwd=self.folder, env=env, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return [" ".join(text.split()) for text in json.loads(done.stdout.splitlines()[-1])]

    def query(self, sql: str, *parameters: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = harness.load(self.db).sql(sql, parameters).to_pylist()
        return rows

    def forecasts(self, model: str, task: str) -> dict[str, F64]:
        """What `Results.forecasts` gives of a model: quantiles [N, Q, H], means and labels [N, H]."""
        table = harness.load(self.db).forecasts(model, task)
        levels = [name for name in table.column_names if re.fullmatch(r"0\.\d+", name)]
        columns = {name: table[name].to_numpy().astype(np.float64) for name in (*levels, "mean", "label")}
        steps = int(table["step"].to_numpy().max())
        shaped = {name: values.reshape(-1, steps) for name, values in columns.items()}  # [N·H] -> [N, H]
        return {"quantiles": np.stack([shaped[name] for name in levels], axis=1), "mean": shaped["mean"], "label": shaped["label"]}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    made = Place(tmp_path_factory.mktemp("ensemble"))
    ensembles = ["run", "-m", f"{MEDIAN},{MEAN},{BACK},{NESTED}", "-t", TASKS, "--save-forecasts"]
    members = ["run", "-m", "naive,seasonal_naive,drift,mine", "-t", TASKS, "--save-forecasts", *HERE]
    said = made(members, ensembles, ensembles, ["leaderboard", "--common"])
    assert "12 ok" in said[1] and said[1].endswith("code 0")
    assert "to run 0 · reused 12" in said[2]
    assert MEDIAN in said[3]
    return made


def test_numbers_are_those_of_a_plain_recomputation(place: Place) -> None:
    for task in NAMES:
        given = [place.forecasts(name, task) for name in ("mine", "naive", "seasonal_naive")]
        quantiles = np.stack([g["quantiles"] for g in given])  # [M, N, Q, H]
        means = np.stack([g["mean"] for g in given])
        for model, together in ((MEDIAN, np.median), (MEAN, np.mean)):
            found = place.forecasts(model, task)
            np.testing.assert_array_equal(found["quantiles"], together(quantiles, axis=0).astype(np.float32))
            np.testing.assert_array_equal(found["mean"], together(means, axis=0).astype(np.float32))
        nested = (place.forecasts("drift", task)["quantiles"] + place.forecasts(MEDIAN, task)["quantiles"]) / 2
        np.testing.assert_array_equal(place.forecasts(NESTED, task)["quantiles"], nested.astype(np.float32))


def test_backtest_weights_are_those_of_the_windows_before(place: Place) -> None:
    """The suite has one series a task, so all earlier windows are its own."""
    levels = np.arange(1, 10) / 10
    for task in NAMES:
        given = [place.forecasts(name, task) for name in ("mine", "naive", "seasonal_naive")]
        labels = given[0]["label"].astype(np.float32)
        losses = np.stack([mean_losses(labels, g["quantiles"].astype(np.float32), levels) for g in given])  # [M, N]
        source = harness.load(place.db)._plugins.suite("quick").factory(None)
        data = source.open(next(t for t in source.tasks() if t.name == task))
        found = place.forecasts(BACK, task)["quantiles"]
        for i in range(len(data)):
            past = Channels.from_ragged(harness.Ragged.from_rows([data.series.target[0][: data.cut[i]]]))
            scale = seasonal_error(past, np.zeros(1, np.int64), data.cut[i : i + 1], data.task.season_length)[0]
            weight = np.exp(-losses[:, :i].sum(axis=1) / scale)
            wanted = sum(w * g["quantiles"][i] for w, g in zip(weight / weight.sum(), given, strict=True))
            np.testing.assert_allclose(found[i], wanted, rtol=1e-5)
    notes = place.query("SELECT receipt FROM main.cells WHERE model = ? AND task = ?", BACK, "us_births/D/short")[0]["receipt"]
    assert '"windows with equal weights":"1 of 20"' in str(notes).replace('": "', '":"')


def test_a_replay_finds_the_same_forecasts(place: Place) -> None:
    cell = place.query("SELECT cell_id FROM main.cells WHERE model = ? AND task = 'us_births/M/short'", NESTED)[0]["cell_id"]
    (said,) = place(["replay", cell])
    assert "equal within" in said and said.endswith("code 0")


def test_a_run_of_all_together_and_of_none_kept(tmp_path: Path) -> None:
    place = Place(tmp_path)
    everything = ["run", "-m", f"{NESTED},{MEDIAN},naive,seasonal_naive,mine,drift", "-t", "us_births/M/short"]
    said, _ = place([*everything, *HERE], [*everything, "-j", "3", "--save-forecasts"])
    assert "mine, naive, seasonal_naive: this run makes its result without --save-forecasts" in said
    assert "To make them: harness run -m mine,naive,seasonal_naive -s quick -t us_births/M/short --save-forecasts" in said
    rows = place.query("SELECT model, status FROM main.cells WHERE superseded_by IS NULL")
    assert len(rows) == 6 and {row["status"] for row in rows} == {"ok"}
    median = np.median([place.forecasts(name, "us_births/M/short")["mean"] for name in ("mine", "naive", "seasonal_naive")], axis=0)
    np.testing.assert_array_equal(place.forecasts(MEDIAN, "us_births/M/short")["mean"], median.astype(np.float32))


def test_a_member_that_failed_is_named_with_what_does_it_again(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.factor("(1.01 if batch.horizon < 20 or __import__('os').path.exists('mended') else 1 // 0)")
    run = ["run", "-t", "us_births/D/short,us_births/M/short", "--save-forecasts", *HERE, "-m"]
    _, said = place([*run, "naive,mine"], [*run, "ensemble[of=mine+naive,how=backtest]"])
    assert "1 ok, 1 skipped" in said and said.endswith("code 0")
    assert "mine: it failed there (ZeroDivisionError" in said and "harness run -m mine -s quick -t us_births/D/short" in said
    (place.folder / "mended").touch()
    command = said.split("To make them: harness ")[1].split(" --rerun failed")[0] + " --rerun failed"
    _, said = place(shlex.split(command), [*run, "ensemble[of=naive+mine,how=backtest]"])
    assert "to run 1 · reused 1" in said and "2 ok" in said and "skipped" not in said


def test_a_changed_member_makes_it_stale_and_its_file_is_missed(place: Place) -> None:
    """Last: it changes the place."""
    task = "us_births/W/short"
    run = ["run", "-t", task, *HERE, "-m"]
    before = place.forecasts(MEAN, task)["mean"]
    place.factor("1.5")
    cells, board, said = place(["ls", "cells", "--json"], ["leaderboard", "--common"], [*run, MEAN])
    assert cells.count('"stale": "uses"') == 12  # nine that use it, three that use one of these
    assert "⚠" in board
    assert "mine: its result there is stale" in said
    place(shlex.split(_command(said, "mine")), [*run, MEAN, "--save-forecasts"])
    given = [place.forecasts(name, task)["mean"] for name in ("mine", "naive", "seasonal_naive")]
    now = place.forecasts(MEAN, task)["mean"]
    np.testing.assert_array_equal(now, np.mean(given, axis=0).astype(np.float32))
    assert not np.allclose(now, before)

    row = place.query("SELECT forecasts FROM main.cells WHERE model = 'naive' AND task = ? AND superseded_by IS NULL", task)[0]
    file = place.folder / row["forecasts"]
    file.write_bytes(file.read_bytes()[:300])
    one, other = "ensemble[of=mine+naive]", "ensemble[of=naive+seasonal_naive]"
    (said,) = place([*run, one])
    assert "cannot be read" in said and said.endswith("code 3")
    file.unlink()
    (said,) = place([*run, other])
    assert "naive: the file of its forecasts there is gone" in said
    again = place(shlex.split(_command(said, "naive")), [*run, other], [*run, one, "--rerun", "failed"])
    assert all("1 ok" in text and text.endswith("code 0") for text in again)


def _command(said: str, model: str) -> str:
    """The command that a reason names, without its first word."""
    found = re.search(rf"To make them: harness (run -m {model} -s quick -t \S+ --save-forecasts(?: --rerun all)?)", said)
    assert found is not None, said
    return found[1]
