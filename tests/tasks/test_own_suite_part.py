"""A declared test part: which windows lie in it, beside a plain loop."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import DataError
from harness.series import TaskData
from harness_tasks.own.suite import OwnSuite, open_file

FORM = """name: own
tasks:
  - {{name: t, source: t.csv, columns: {{id: id, target: [y, z], past: p, known: k}}, freq: D, {keys}}}
"""


def opened(folder: Path, lengths: dict[str, int], **keys: Any) -> TaskData:
    """The data of a task with these keys, of series of these lengths whose values are 100 · series + step."""
    rows = [f"{name},{100 * i + t},{-t},{t},{t}" for i, (name, n) in enumerate(lengths.items()) for t in range(n)]
    (folder / "t.csv").write_text("\n".join(["id,y,z,p,k", *rows]) + "\n")
    (folder / "own.yaml").write_text(FORM.format(keys=", ".join(f"{key}: {value}" for key, value in keys.items())))
    found = open_file(folder / "own.yaml")
    assert found is not None
    suite = found[1](None)
    assert isinstance(suite, OwnSuite)
    return suite.open(suite.tasks()[0])


def by_loop(length: int, test: float, horizon: int, stride: int) -> list[int]:
    part = int(Fraction(str(test)) * length) if test < 1 else int(test)
    cuts, cut = [], length - part
    while cut + horizon <= length:
        cuts.append(cut)
        cut += stride
    return cuts


@pytest.mark.parametrize("test", [7, 12, 0.2, 0.29, 0.5])
@pytest.mark.parametrize("stride", [1, 3, 5])
def test_windows_beside_a_loop(test: float, stride: int, tmp_path: Path) -> None:
    lengths = {"a": 40, "b": 55, "c": 100}
    data = opened(tmp_path, lengths, horizon=5, test=test, stride=stride)
    for i, length in enumerate(lengths.values()):
        for v in range(2):
            mine = data.channel == 2 * i + v
            assert data.cut[mine].tolist() == by_loop(length, test, 5, stride)
            assert data.slot[mine].tolist() == list(range(mine.sum()))
    assert data.index.tolist() == list(range(len(data)))


def test_without_stride_windows_do_not_overlap(tmp_path: Path) -> None:
    assert np.unique(opened(tmp_path, {"a": 50}, horizon=5, test=17).cut).tolist() == [33, 38, 43]


@pytest.mark.parametrize(("windows", "wanted"), [(1, [30]), (2, [30, 45]), (4, [30, 35, 40, 45]), (5, [30, 33, 37, 41, 45])])
def test_windows_are_spread_over_the_part(windows: int, wanted: list[int], tmp_path: Path) -> None:
    assert np.unique(opened(tmp_path, {"a": 50}, horizon=5, test=20, windows=windows).cut).tolist() == wanted


def test_more_windows_than_places_are_all_places(tmp_path: Path) -> None:
    assert np.unique(opened(tmp_path, {"a": 50}, horizon=5, test=7, windows=9).cut).tolist() == [43, 44, 45]


def test_what_lies_behind_the_steps_is_not_there(tmp_path: Path) -> None:
    data = opened(tmp_path, {"a": 50, "b": 41}, horizon=5, test=10, steps=40)
    assert data.cut.tolist() == [30, 35] * 4
    series = data.series
    assert series.past is not None and series.known is not None
    assert {*series.target.length, *series.past.length, *series.known.length} == {40}
    assert opened(tmp_path, {"a": 50}, horizon=5, windows=1, steps=40).cut.tolist() == [35, 35]  # without a test part too


def test_the_part_belongs_to_the_result(tmp_path: Path) -> None:
    protocols = {
        opened(tmp_path, {"a": 50}, horizon=5, **keys).task.protocol
        for keys in ({}, {"test": 10}, {"test": 0.123456789}, {"test": 0.12345678}, {"steps": 40}, {"test": 10, "steps": 40})
    }
    assert len(protocols) == 6
    assert "own/1 windows=auto stride=5 short=error min_context=1" in protocols  # as it was before there were such keys


def test_series_without_room(tmp_path: Path) -> None:
    lengths = {"a": 50, "b": 22, "c": 4}
    with pytest.raises(DataError, match=r"2 of 3 series have no room .* 5 or more and 3 steps before it: b \(22 steps, test part 20\), c"):
        opened(tmp_path, lengths, horizon=5, test=20, min_context=3)
    assert np.unique(opened(tmp_path, lengths, horizon=5, test=20, min_context=3, short="skip").channel).tolist() == [0, 1]
    with pytest.raises(DataError, match=r"3 of 3 series have no room for a test part of horizon 60 or more"):
        opened(tmp_path, lengths, horizon=60, test=20, short="skip")
    with pytest.raises(DataError, match=r"line 3: t: 2 of 3 series have fewer than the 40 steps that are wanted .*: b \(22\), c \(4\)"):
        opened(tmp_path, lengths, horizon=5, test=10, steps=40)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"test": 0}, "t: test: got '0'; wanted a whole number from 1"),
        ({"test": 1.0}, "t: test: got '1.0'; wanted steps, as 2880, or a share of each series between 0 and 1"),
        ({"test": -0.2}, "wanted steps"),
        ({"test": "much"}, "wanted a number"),
        ({"test": 10, "windows": 3, "stride": 2}, "t: test: got 'test' with 'windows' and 'stride'"),
        ({"test": 10, "short": "fewer"}, "t: short: got 'fewer' with 'test'"),
        ({"steps": 1}, "t: steps: got '1'; wanted a whole number from 2"),
    ],
)
def test_what_is_refused(keys: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as raised:
        opened(tmp_path, {"a": 50}, horizon=5, **keys)
    assert said in str(raised.value)
