"""The fingerprint follows the content, not the files; its cache is only ever a short cut."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from harness.cache import cache_folder
from harness.series import SeriesSet
from harness_tasks import fingerprint as module
from harness_tasks.arrow_folder import read_folder, shard_files
from harness_tasks.fingerprint import cached_fingerprint, fingerprint, runs

Writer = Callable[..., Path]
F32 = pa.float32()
ROWS = [[float(i * j) for j in range(1, 30 + i)] for i in range(12)]
NESTED = [[row, [-v for v in row]] for row in ROWS]


def of(folder: Path) -> str:
    return fingerprint(read_folder(folder))


@pytest.mark.parametrize(
    "layout",
    [
        {"rows_per_batch": 5},
        {"rows_per_batch": 1},
        {"shards": 2},
        {"shards": 3, "rows_per_batch": 2},
        {"kind": pa.large_list(F32)},
        {"kind": pa.list_(pa.float64())},
        {"file_format": True},
        {"options": pa.ipc.IpcWriteOptions(compression="lz4")},
        {"start": pa.array([datetime(2020, 1, 1 + i) for i in range(12)], pa.timestamp("us"))},
        {"start": pa.array([f"2020-01-{1 + i:02d}" for i in range(12)])},
        {"ids": pa.array([f"item {i}" for i in range(12)], pa.large_string())},
    ],
)
def test_same_series_in_other_files(write: Writer, layout: dict[str, Any]) -> None:
    assert of(write(ROWS, **layout, name="other")) == of(write(ROWS))


@pytest.mark.parametrize("kind", [pa.list_(pa.list_(F32)), pa.large_list(pa.list_(F32)), pa.list_(pa.large_list(F32), 2)])
def test_same_multivariate_series_in_other_files(write: Writer, kind: pa.DataType) -> None:
    first = write(NESTED, kind=pa.list_(pa.list_(F32), 2))
    assert of(write(NESTED, kind=kind, rows_per_batch=5, shards=2, name="other")) == of(first)


def test_joined_views_cut_into_pieces_hash_alike(write: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(ROWS)
    whole = of(folder)
    monkeypatch.setattr(module, "BLOCK", 7)
    assert of(folder) == whole


def test_nan_and_null_are_the_same(write: Writer) -> None:
    assert of(write([[1.0, None, 3.0]])) == of(write([[1.0, float("nan"), 3.0]], name="other"))


def changed() -> list[Any]:
    rows = [list(row) for row in ROWS]
    rows[7][3] += 0.5
    swapped = [ROWS[1], ROWS[0], *ROWS[2:]]
    moved = [ROWS[0] + ROWS[1][:1], ROWS[1][1:], *ROWS[2:]]  # the same values, another border
    return [
        pytest.param(rows, {}, id="one value"),
        pytest.param(swapped, {}, id="order"),
        pytest.param(moved, {}, id="border"),
        pytest.param(ROWS[:-1], {}, id="one item less"),
        pytest.param(ROWS, {"freq": "D"}, id="frequency"),
        pytest.param(ROWS, {"ids": pa.array([f"item {i}" for i in range(11)] + ["item x"])}, id="an item's id"),
        pytest.param(ROWS, {"start": pa.array([datetime(2020, 1, 1)] * 12, pa.timestamp("s"))}, id="starts"),
        pytest.param(ROWS, {"past": pa.array([[row] for row in ROWS], pa.list_(pa.list_(F32)))}, id="covariates"),
    ]


@pytest.mark.parametrize(("rows", "layout"), changed())
def test_any_change_shows(write: Writer, rows: list[list[float]], layout: dict[str, Any]) -> None:
    assert of(write(rows, **layout, name="other")) != of(write(ROWS))


def test_variates_are_not_items(write: Writer) -> None:
    flat = [variate for item in NESTED for variate in item]
    assert of(write(NESTED, kind=pa.list_(pa.list_(F32), 2))) != of(write(flat, name="other"))


def test_runs_give_every_value_once_in_order(write: Writer) -> None:
    series = read_folder(write(NESTED, kind=pa.list_(pa.list_(F32), 2), rows_per_batch=5))
    pieces = list(runs(series.target))
    assert len(pieces) == 3  # one a record batch: neighbours are joined
    np.testing.assert_array_equal(np.concatenate(pieces), np.concatenate([v for item in NESTED for v in item]))
    backwards = series.target.take(np.arange(len(series.target))[::-1])
    np.testing.assert_array_equal(np.concatenate(list(runs(backwards))), np.concatenate([v for i in NESTED[::-1] for v in i[::-1]]))


# The cache.


def cached(folder: Path, series: SeriesSet | None = None) -> str:
    return cached_fingerprint(series or read_folder(folder), folder, shard_files(folder))


def test_cache_is_used_and_follows_the_files(write: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(ROWS)
    first = cached(folder)
    assert first == of(folder)
    with monkeypatch.context() as patch:
        patch.setattr(module, "fingerprint", lambda series: "computed again")
        assert cached(folder) == first
        path = shard_files(folder)[0]
        os.utime(path, ns=(1, 1))
        assert cached(folder) == "computed again"
    rows = [list(row) for row in ROWS]
    rows[0][0] += 1
    write(rows)
    assert cached(folder) == of(folder) != first


@pytest.mark.parametrize("text", ["", "{", "[]", '{"x": 1}', "\xff"])
def test_garbage_in_the_cache_is_replaced(write: Writer, text: str) -> None:
    folder = write(ROWS)
    cache_folder().mkdir(parents=True)
    (cache_folder() / "fingerprints.json").write_text(text, encoding="latin-1")
    assert cached(folder) == of(folder)
    assert str(folder.resolve()) in json.loads((cache_folder() / "fingerprints.json").read_text())


def test_cache_that_cannot_be_written(write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("")
    monkeypatch.setenv("HARNESS_CACHE", str(blocked / "below"))
    folder = write(ROWS)
    assert cached(folder) == of(folder)


def test_writers_at_the_same_time_leave_a_whole_file(write: Writer) -> None:
    folders = [write([[float(i)] * 9], name=f"set{i}") for i in range(8)]
    expected = [of(folder) for folder in folders]
    got: dict[int, str] = {}

    def work(i: int) -> None:
        for _ in range(5):
            os.utime(shard_files(folders[i])[0])
            got[i] = cached(folders[i])

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [got[i] for i in range(8)] == expected
    assert json.loads((cache_folder() / "fingerprints.json").read_text())
    assert not list(cache_folder().glob("*.tmp"))


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", "/somewhere")
    assert cache_folder() == Path("/somewhere")
    monkeypatch.delenv("HARNESS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/base")
    assert cache_folder() == Path("/base/harness")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_folder() == Path("~/.cache/harness").expanduser()
