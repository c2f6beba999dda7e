"""Own suites: dialects and their seasons, `null`, short series, lists where numbers are wanted, a copy of the archive as the hub has it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tables_kit import saved

import harness
from harness.errors import DataError
from harness_tasks.own.suite import OwnSuite, open_file
from harness_tasks.own.suite_file import read
from harness_tasks.tsf import write_tsf

Opener = Callable[..., OwnSuite]
DAYS = [f"2024-0{1 + d // 28}-{1 + d % 28:02d}" for d in range(168)]


@pytest.fixture
def suite(tmp_path: Path) -> Opener:
    """A suite of a file with these keys of its one task, and of its defaults."""

    def opened(keys: str, defaults: str = "") -> OwnSuite:
        path = tmp_path / "own.yaml"
        path.write_text(f"name: own\n{defaults}tasks:\n  - {{name: t, source: t.csv, {keys}}}\n")
        return OwnSuite(read(path))

    return opened


COLUMNS = "columns: {id: id, time: t, target: y}, freq: D, horizon: 2"


@pytest.mark.parametrize("dialect", ["monsh", "monash@99"])
def test_a_dialect_that_is_none_is_told_when_the_suite_is_opened(suite: Opener, dialect: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"own.yaml, line 3: t: dialect: .*monash"):
        suite(f"{COLUMNS}, dialect: {dialect}")
    with pytest.raises(DataError, match="line 3"):
        open_file(tmp_path / "own.yaml")


@pytest.mark.parametrize(("freq", "season", "usual"), [("D", 7, 1), ("W", 52, 1), ("2W", 26, 1), ("H", 24, 24), ("S", 86_400, 3600)])
def test_the_season_is_that_of_the_dialect(suite: Opener, freq: str, season: int, usual: int) -> None:
    keys = COLUMNS.replace("freq: D", f"freq: {freq}")
    for given in ("", f", season_length: {season}"):
        (task,) = suite(f"{keys}, dialect: monash{given}").tasks()
        assert (task.season_length, task.dialect) == (season, "monash")
    (task,) = suite(keys).tasks()
    assert task.season_length == usual
    with pytest.raises(DataError, match=rf"line 3: t: season_length: got '14'; wanted {season} with dialect: monash"):
        suite(f"{keys}, dialect: monash, season_length: 14")


def test_null_takes_away_what_the_defaults_say(suite: Opener) -> None:
    defaults = "defaults: {columns: {id: id, time: t}, csv: {separator: ';', missing: [x]}, season_length: 7}\n"
    keys = "columns: {time: null, target: y}, csv: {separator: ~}, freq: D, horizon: 2"
    (entry,) = suite(f"{keys}, season_length: null", defaults).declared.entries
    assert (entry.source.columns.id, entry.source.columns.time, entry.source.columns.target) == ("id", "", ("y",))
    assert (entry.source.csv.separator, entry.source.csv.missing, entry.task.season_length) == ("", ("x",), 1)
    with pytest.raises(DataError, match="time: got nothing; wanted a text"):  # there is nothing to take away
        suite("columns: {time: null, target: y}, freq: D, horizon: 2")
    with pytest.raises(DataError, match="time: got nothing; wanted a text"):  # forgotten, not taken away
        suite("columns: {time: , target: y}, freq: D, horizon: 2", defaults)


def test_all_series_too_short_for_their_windows_are_counted_at_once(suite: Opener, tmp_path: Path) -> None:
    rows = [f"{name},{day},1" for name, count in (("a", 40), ("b", 2), ("c", 7), ("d", 8), ("e", 30)) for day in DAYS[:count]]
    (tmp_path / "t.csv").write_text("id,t,y\n" + "\n".join(rows) + "\n")
    own = suite(f"{COLUMNS}, windows: 4")
    with pytest.raises(DataError) as caught:  # b has too few for one window, c and d for four of them
        own.open(own.tasks()[0])
    assert "3 of 5 series are shorter than the 9 steps that its 4 windows need: b (2 steps), c (7 steps), d (8 steps)." in str(caught.value)


def copy_of_the_archive(folder: Path, rows: list[np.ndarray], horizon: int) -> None:
    """As `load_dataset(...).save_to_disk` writes `Monash-University/monash_tsf`: three splits, `test` the whole series."""
    for split, cut in (("train", 2 * horizon), ("validation", horizon), ("test", 0)):
        parts: list[Any] = [row[: len(row) - cut].tolist() for row in rows]
        saved(
            folder / split,
            {
                "start": pa.array([datetime(2000, 1, 1)] * len(rows), pa.timestamp("s")),
                "target": pa.array(parts, pa.list_(pa.float32())),
                "feat_static_cat": pa.array([[k] for k in range(len(rows))], pa.list_(pa.uint64())),
                "feat_dynamic_real": pa.nulls(len(rows), pa.list_(pa.list_(pa.float32()))),
                "item_id": pa.array([f"T{k + 1}" for k in range(len(rows))]),
            },
        )
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": ["train", "validation", "test"]}))


def test_a_copy_of_the_archive_from_the_hub_has_the_archives_scores(suite: Opener, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    rows = [np.cumsum(rng.normal(size=60 + k)).astype(np.float32) for k in range(4)]
    copy_of_the_archive(tmp_path / "hub", rows, 12)
    (tmp_path / "own.yaml").write_text(
        "name: own\ntasks:\n  - {name: copy, source: hub, split: test, layout: nested,\n"
        "     columns: {id: item_id, time: start, target: target}, freq: M, horizon: 12, windows: 1, dialect: monash}\n"
    )
    (tmp_path / "tsf").mkdir()
    write_tsf(tmp_path / "tsf" / "copy.tsf", rows, frequency="monthly", horizon=12)
    found = harness.evaluate("seasonal_naive", "copy", suite=str(tmp_path / "own.yaml")).scores
    wanted = harness.evaluate("seasonal_naive", "copy", suite="monash", data=tmp_path / "tsf").scores
    assert {k: v for k, v in found.items() if k.startswith("monash:")} == {k: v for k, v in wanted.items() if k.startswith("monash:")}
    assert found["monash:series"] == 4


def test_a_folder_of_lists_without_the_layout_says_which(suite: Opener, tmp_path: Path) -> None:
    copy_of_the_archive(tmp_path / "hub", [np.arange(40, dtype=np.float32)], 5)
    own = suite("columns: {id: item_id, time: start, target: target}, freq: D, horizon: 2, split: test".replace("t.csv", "hub"))
    path = own.declared.path
    path.write_text(path.read_text().replace("t.csv", "hub"))
    own = OwnSuite(read(path))
    with pytest.raises(DataError, match=r"target of type list<.*; wanted a column of numbers.*declared by layout: nested"):
        own.open(own.tasks()[0])
