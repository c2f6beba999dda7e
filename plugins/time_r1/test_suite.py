"""The suite time-r1 on small made tables in the published layouts: which windows there are, and what is said where a file is not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from harness_time_r1.suite import INFO, SETS, TimeR1Suite, open_suite

import harness
from harness.contamination import matches
from harness.errors import DataError, Unavailable, UsageError
from harness.plugins import load
from harness.series import TaskData

CHANNELS = ("HUFL", "HULL", "MUFL", "MULL", "LUFL", "LULL", "OT")


def wide(path: Path, steps: int, step: str, channels: tuple[str, ...] = ("a", "b"), time: str = "%Y-%m-%d %H:%M:%S") -> None:
    """A table with a column for each channel, whose values are 1000 · channel + step / 100."""
    path.parent.mkdir(parents=True, exist_ok=True)
    stamps = (np.datetime64("2016-07-01T00:00:00") + np.arange(steps) * np.timedelta64(*_step(step))).astype("datetime64[s]").tolist()
    rows = [f"{t.strftime(time)},{','.join(f'{1000 * c + i / 100:g}' for c in range(len(channels)))}" for i, t in enumerate(stamps)]
    path.write_text("\n".join([f"date,{','.join(channels)}", *rows]) + "\n")


def _step(step: str) -> tuple[int, str]:
    return int(step[:-1]), step[-1]


def opened(folder: Path, name: str, **options: int) -> TaskData:
    suite = open_suite(folder, **options)
    return suite.open(next(task for task in suite.tasks() if task.name == name))


def test_the_tasks_are_the_papers() -> None:
    tasks = open_suite(None).tasks()
    assert [task.name for task in tasks] == ["ETTh1", "ETTh2", "ETTm1", "ETTm2", "Exchange", "Wind", "AQWan", "AQShunyi", "NASDAQ"]
    assert {task.name: (task.horizon, task.context) for task in tasks} == {
        **{each.name: (96, 96) for each in SETS},
        "NASDAQ": (36, 36),
    }
    assert [task.season_length for task in tasks] == [24, 24, 96, 96, 1, 96, 24, 24, 5]
    assert all(task.suite == "time-r1" and task.protocol.startswith("time-r1/1 ") and task.variates == 1 for task in tasks)
    assert tasks[2].protocol == "time-r1/1 windows=auto stride=96 short=error min_context=1 test=11520 steps=57600"


def test_contamination_knows_the_sets() -> None:
    sources = {task.name: task.sources for task in open_suite(None).tasks()}
    assert matches(["ett_h1", "ETT", "GiftEval"], sources["ETTh1"]) and matches(["exchange_rate"], sources["Exchange"])
    assert not matches(["electricity", "NASDAQ"], sources["ETTm2"])


def test_etts_test_part_is_the_literatures(tmp_path: Path) -> None:
    wide(tmp_path / "ETT-small" / "ETTh1.csv", 17_420, "1h", CHANNELS)
    data = opened(tmp_path, "ETTh1")
    assert data.series.item_ids.to_pylist() == sorted(CHANNELS)
    cut = data.cut.reshape(7, -1)
    assert (cut == 8640 + 2880 + 96 * np.arange(30)).all()  # Zhou et al. 2021: 12, 4 and 4 months of 30 days
    assert cut.max() + 96 == 14_400
    labels = data.series.target.gather(data.channel[:1], data.cut[:1], 2)
    np.testing.assert_allclose(labels, [[115.20, 115.21]], rtol=1e-6)
    assert str(data.series.when(np.array([0]), data.cut[:1])[0]) == "2017-10-24T00:00:00"
    assert len(opened(tmp_path, "ETTh1", stride=1)) == 7 * (2880 - 96 + 1)
    ten = opened(tmp_path, "ETTh1", windows=10).cut.reshape(7, 10)
    assert len({tuple(row) for row in ten.tolist()}) == 1
    assert ten[0, 0] == 11_520 and ten[0, -1] == 14_400 - 96 and set(np.diff(ten[0])) == {309, 310}


def test_other_sets_are_the_last_fifth(tmp_path: Path) -> None:
    wide(tmp_path / "exchange_rate" / "exchange_rate.csv", 1003, "1D", time="%Y/%m/%d 0:00")  # 1990/1/1 0:00, as it is published
    data = opened(tmp_path, "Exchange")
    assert data.cut.tolist() == [803, 899] * 2  # ⌊0.2 · 1003⌋ = 200
    assert data.task.context == 96 and opened(tmp_path, "Exchange", context=-1).task.context == 0


def test_tfbs_layout_is_the_same_data(tmp_path: Path) -> None:
    one, other = tmp_path / "wide", tmp_path / "long"
    wide(one / "AQWan.csv", 600, "1h")
    other.mkdir()
    header, *rows = (one / "AQWan.csv").read_text().splitlines()
    cells = [row.split(",") for row in rows]
    names = header.split(",")[1:]
    text = [f"{row[0]},{row[1 + c]},{name}" for c, name in enumerate(names) for row in cells]
    (other / "AQWan.csv").write_text("\n".join(["date,data,cols", *text]) + "\n")
    a, b = opened(one, "AQWan"), opened(other, "AQWan")
    assert a.series.fingerprint == b.series.fingerprint
    assert a.task == b.task and a.cut.tolist() == b.cut.tolist() == [480] * 2


def test_sessions_are_steps(tmp_path: Path) -> None:
    wide(tmp_path / "NASDAQ.csv", 400, "3D")  # no weekends, no holidays
    assert opened(tmp_path, "NASDAQ").cut.tolist() == [320, 356] * 2


def test_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIME_R1", raising=False)
    with pytest.raises(Unavailable, match=r"^no data folder is given; name one by --data or TIME_R1; where each set is published"):
        opened(None, "ETTh1")  # type: ignore[arg-type]
    published = r"it is published at https://github.com/zhouhaoyi/ETDataset; call it ETTh1.csv"
    with pytest.raises(Unavailable, match=rf"there is no ETTh1.csv in .* or two folders down; {published}"):
        opened(tmp_path, "ETTh1")
    with pytest.raises(Unavailable, match=r"there is no Wind.csv or wind.csv in .* or two folders down"):
        opened(tmp_path, "Wind")
    monkeypatch.setenv("TIME_R1", str(tmp_path / "no"))
    with pytest.raises(UsageError, match=r"TIME_R1=.*no: there is no such folder"):
        open_suite(None)


def test_what_is_broken(tmp_path: Path) -> None:
    wide(tmp_path / "ETTh2.csv", 500, "1h")
    with pytest.raises(DataError, match=r"^suite time-r1: ETTh2: 2 of 2 series have fewer than the 14,400 steps .* a \(500\)"):
        opened(tmp_path, "ETTh2")
    wide(tmp_path / "Wind.csv", 300, "15m")
    with pytest.raises(DataError, match=r"Wind: 2 of 2 series have no room for a test part of horizon 96 .* a \(300 steps, test part 60\)"):
        opened(tmp_path, "Wind")
    wide(tmp_path / "one" / "AQWan.csv", 600, "1h")
    wide(tmp_path / "two" / "AQWan.csv", 600, "1h")
    with pytest.raises(DataError, match="wanted one of them"):
        opened(tmp_path, "AQWan")


@pytest.mark.parametrize("options", [{"stride": -1}, {"windows": 1.5}, {"context": -2}, {"stride": 1, "windows": 2}, {"stride": True}])
def test_options_of_no_use(options: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=r"time-r1: .* wanted"):
        open_suite(None, **options)


def test_it_is_run_by_name_with_its_options(tmp_path: Path) -> None:
    assert load().suites["time-r1"].info is INFO
    wide(tmp_path / "AQShunyi.csv", 600, "1h")
    results = harness.run(
        "seasonal_naive", suite="time-r1[windows=3]", data=tmp_path, db=tmp_path / "r.duckdb", isolation="inprocess", progress="none"
    )
    rows = results.sql("SELECT suite, task, n_windows, status FROM cells").to_pylist()
    assert [(row["suite"], row["task"], row["status"]) for row in rows] == [("time-r1[windows=3]", "AQShunyi", "ok")]


def test_the_name_of_the_suite_is_in_its_tasks() -> None:
    assert {task.suite for task in TimeR1Suite(None, windows=3, suite="time-r1[windows=3]").tasks()} == {"time-r1[windows=3]"}
