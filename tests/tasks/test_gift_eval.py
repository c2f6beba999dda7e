"""The table and rules of GIFT-Eval against what is published, and the data of `quick` against published scores."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from harness.errors import DataError, Unavailable, UsageError
from harness.series import TaskData
from harness.types import Task
from harness_tasks.gift_eval import QUICK_FOLDERS, ROWS, GiftEval, gift_eval, horizon, window_count
from harness_tasks.quick import quick
from harness_tasks.selection import select_rows

Writer = Callable[..., Path]

# Domain, variates, then the names of the published result files; + marks those that also have a medium and a long term.
PUBLISHED = """
Econ/Fin 1: m4_daily/D m4_hourly/H m4_monthly/M m4_quarterly/Q m4_weekly/W m4_yearly/A
Energy 1: electricity/15T+ electricity/D electricity/H+ electricity/W solar/10T+ solar/D solar/H+ solar/W
Energy 7: ett1/15T+ ett1/D ett1/H+ ett1/W ett2/15T+ ett2/D ett2/H+ ett2/W
Healthcare 1: covid_deaths/D hospital/M us_births/D us_births/M us_births/W
Nature 1: kdd_cup_2018/D kdd_cup_2018/H+ saugeen/D saugeen/M saugeen/W temperature_rain/D
Nature 21: jena_weather/10T+ jena_weather/D jena_weather/H+
Sales 1: car_parts/M hierarchical_sales/D hierarchical_sales/W restaurant/D
Transport 1: loop_seattle/5T+ loop_seattle/D loop_seattle/H+ m_dense/D m_dense/H+ sz_taxi/15T+ sz_taxi/H
Web/CloudOps 2: bitbrains_fast_storage/5T+ bitbrains_fast_storage/H bitbrains_rnd/5T+ bitbrains_rnd/H
Web/CloudOps 2: bizitobs_application/10S+ bizitobs_service/10S+
Web/CloudOps 7: bizitobs_l2c/5T+ bizitobs_l2c/H+
"""

# Task: windows, and the MASE that is published for Seasonal_Naive.
QUICK = {
    "m4_hourly/H/short": (1, 1.1932101877276544),
    "hospital/M/short": (1, 0.9205278266364826),
    "covid_deaths/D/short": (1, 46.91239825526407),
    "us_births/D/short": (20, 1.8648391912491094),
    "us_births/M/short": (2, 0.7605310792868888),
    "us_births/W/short": (14, 1.5634204337929731),
    "saugeen/D/short": (20, 3.413049305768806),
    "saugeen/M/short": (7, 0.9763741730697157),
    "saugeen/W/short": (20, 1.990658004828632),
    "car_parts/M/short": (1, 1.2014638390969912),
    "hierarchical_sales/W/short": (4, 1.0250133777288337),
    "bizitobs_l2c/H/short": (6, 1.2140641267600039),
    "bizitobs_l2c/H/medium": (1, 1.5102861226255864),
    "bizitobs_l2c/H/long": (1, 1.4260541525613812),
}

TERMS = ("short", "medium", "long")


def published() -> dict[str, tuple[str, int]]:
    found = {}
    for line in PUBLISHED.strip().splitlines():
        head, _, names = line.partition(": ")
        domain, variates = head.rsplit(" ", 1)
        for name in names.split():
            for term in TERMS if name.endswith("+") else TERMS[:1]:
                found[f"{name.rstrip('+')}/{term}"] = (domain, int(variates))
    return found


def tasks() -> dict[str, Task]:
    return {task.name: task for task in gift_eval(None).tasks()}


def test_97_tasks_as_published() -> None:
    assert len(gift_eval(None).tasks()) == 97
    assert {name: (task.domain, task.variates) for name, task in tasks().items()} == published()


def test_result_file_has_the_same_97(real_data: Path) -> None:
    with (real_data / "published/gift-eval/seasonal_naive/all_results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["dataset"]: (row["domain"], int(row["num_variates"])) for row in rows} == published()


@pytest.mark.parametrize(
    ("name", "steps", "season"),
    [
        ("m4_yearly/A/short", 6, 1),
        ("m4_quarterly/Q/short", 8, 4),
        ("m4_monthly/M/short", 18, 12),
        ("m4_weekly/W/short", 13, 1),
        ("m4_daily/D/short", 14, 1),
        ("m4_hourly/H/short", 48, 24),
        ("hospital/M/short", 12, 12),
        ("electricity/W/short", 8, 1),
        ("restaurant/D/short", 30, 1),
        ("solar/H/medium", 480, 24),
        ("solar/10T/long", 720, 144),
        ("loop_seattle/5T/long", 720, 288),
        ("sz_taxi/15T/medium", 480, 96),
        ("bizitobs_service/10S/short", 60, 360),
        ("bizitobs_application/10S/long", 900, 360),
    ],
)
def test_horizon_and_season(name: str, steps: int, season: int) -> None:
    assert (tasks()[name].horizon, tasks()[name].season_length) == (steps, season)


@pytest.mark.parametrize(
    ("folder", "shortest", "windows"),
    [
        ("ett1/H", 17420, 20),
        ("us_births/M", 240, 2),
        ("us_births/W", 1043, 14),
        ("hospital", 84, 1),
        ("restaurant", 1, 1),
        ("m4_daily", 9999, 1),
    ],
)
def test_number_of_windows(folder: str, shortest: int, windows: int) -> None:
    row = next(row for row in ROWS if row.folder == folder)
    assert window_count(row, horizon(row, "short"), shortest) == windows


def test_other_words_of_the_tasks() -> None:
    found = tasks()
    assert found["m4_hourly/H/short"].dataset == "m4_hourly"
    assert {task.family for name, task in found.items() if name.startswith("ett")} == {"ett"}
    assert {task.family for name, task in found.items() if name.startswith("m4_")} == {"m4"}
    assert {task.suite for task in found.values()} == {"gift-eval"}
    assert {task.suite for task in quick().tasks()} == {"quick"}
    assert {task.protocol for task in quick().gift_eval.tasks()} == {task.protocol for task in found.values()} == {"gift-eval/1"}


def seasonal_naive_mase(data: TaskData) -> float:
    """Plain loop: mean of |error| / seasonal error over all points, those without a label or with seasonal error 0 left out."""
    m, steps = data.task.season_length, data.task.horizon
    scaled = []
    for channel, cut in zip(data.channel.tolist(), data.cut.tolist(), strict=True):
        values = data.series.target[channel].astype(np.float64)
        context, label = values[:cut], values[cut : cut + steps]
        lag = m if len(context) > m else 1
        steps_back = np.abs(context[lag:] - context[:-lag])
        steps_back = steps_back[~np.isnan(steps_back)]
        error = steps_back.mean() if len(steps_back) else 0.0
        last = np.flatnonzero(~np.isnan(context))
        filled = context[last[np.clip(np.searchsorted(last, np.arange(len(context)), "right") - 1, 0, None)]]
        forecast = filled[len(filled) - m + np.arange(steps) % m]
        if error > 0:
            scaled.append(np.abs(label - forecast) / error)
    points = np.concatenate(scaled)
    return float(points[~np.isnan(points)].mean())


@pytest.mark.parametrize("name", QUICK)
def test_quick_gives_the_published_score(name: str) -> None:
    suite = quick()
    data = suite.open(next(task for task in suite.tasks() if task.name == name))
    windows, mase = QUICK[name]
    assert data.windows == windows
    assert len(data) == windows * len(data.series.target)
    assert seasonal_naive_mase(data) == pytest.approx(mase, rel=1e-6)


def test_quick_is_all_that_is_in_the_package() -> None:
    whole = quick(Path("/nowhere"))  # --data is for the other suites
    assert [task.name for task in whole.tasks()][:14] == list(QUICK)
    assert [task.dialect for task in whole.tasks()][14:] == ["cgm", "spy", "spy"]
    assert [len(set((data.series.groups or data.series.item_ids).to_pylist())) for data in map(whole.open, whole.tasks()[14:])] == [5, 1, 1]
    suite = whole.gift_eval
    assert suite.root is not None
    assert {str(path.parent.relative_to(suite.root)) for path in suite.root.rglob("state.json")} == set(QUICK_FOLDERS)
    notice = (suite.root / "LICENSES.md").read_text()
    for folder in QUICK_FOLDERS:
        assert f"`{folder.split('/')[0]}" in notice, f"LICENSES.md says nothing of {folder}"


def test_quick_equals_the_real_data(real_data: Path) -> None:
    whole, part = gift_eval(real_data / "gift-eval"), quick().gift_eval
    for row in part.rows:
        assert part.series(row).fingerprint == whole.series(row).fingerprint


def test_real_data_opens(real_data: Path) -> None:
    suite = gift_eval(real_data / "gift-eval")
    opened = [suite.open(task) for task in suite.tasks() if (real_data / "gift-eval" / suite.row(task).folder).is_dir()]
    assert len(opened) == 33
    windows = {data.task.name: data.windows for data in opened}
    assert (windows["ett1/H/medium"], windows["jena_weather/H/short"], windows["hierarchical_sales/D/short"]) == (4, 19, 7)


def test_root_is_the_argument_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gift_eval(None).root is None
    monkeypatch.setenv("GIFT_EVAL", str(tmp_path))
    assert gift_eval(None).root == tmp_path
    (tmp_path / "given").mkdir()
    assert gift_eval(tmp_path / "given").root == tmp_path / "given"


def test_no_root_and_no_folder_say_how_to_fetch(tmp_path: Path) -> None:
    task = tasks()["loop_seattle/5T/long"]
    with pytest.raises(Unavailable, match="set GIFT_EVAL or --data") as caught:
        gift_eval(None).open(task)
    assert caught.value.fetch == "harness data pull gift-eval LOOP_SEATTLE/5T"
    with pytest.raises(Unavailable, match=f"no folder {tmp_path}/LOOP_SEATTLE/5T") as caught:
        gift_eval(tmp_path).open(task)
    assert caught.value.fetch == "harness data pull gift-eval LOOP_SEATTLE/5T"


def test_task_of_another_suite() -> None:
    with pytest.raises(UsageError, match="no task 'loop_seattle/5T/long'"):
        quick().open(tasks()["loop_seattle/5T/long"])


def test_a_folder_is_opened_once_for_all_terms(write: Writer, tmp_path: Path) -> None:
    write([np.arange(9000.0)], name="solar/10T", freq="10min")
    suite = GiftEval(tmp_path)
    opened = [suite.open(tasks()[f"solar/10T/{term}"]) for term in TERMS]
    assert all(data.series is opened[0].series for data in opened)
    assert [data.windows for data in opened] == [19, 2, 2]


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ({"freq": "D"}, ("frequency 'D'", "wanted 'H'")),
        ({"kind": pa.list_(pa.list_(pa.float32()), 2), "target": [[[1.0] * 99, [2.0] * 99]]}, ("2 variates", "wanted 1")),
        ({"target": []}, ("no rows",)),
    ],
)
def test_data_that_is_not_what_the_table_says(write: Writer, tmp_path: Path, layout: dict[str, Any], words: tuple[str, ...]) -> None:
    options = {"target": [[1.0] * 99], **layout}
    write(options.pop("target"), name="m4_hourly", **options)
    with pytest.raises(DataError) as caught:
        GiftEval(tmp_path).open(tasks()["m4_hourly/H/short"])
    for word in (*words, str(tmp_path / "m4_hourly"), "harness data pull gift-eval m4_hourly"):
        assert word in str(caught.value)


def test_too_short_a_series_is_named(write: Writer, tmp_path: Path) -> None:
    write([[1.0] * 99, [1.0] * 48, [1.0]], name="m4_hourly")
    with pytest.raises(DataError, match=r"m4_hourly/H/short: series item 1 has 48 values.*49.*2 series"):
        GiftEval(tmp_path).open(tasks()["m4_hourly/H/short"])


@pytest.mark.parametrize(
    ("names", "folders"),
    [
        (["LOOP_SEATTLE/5T"], ["LOOP_SEATTLE/5T"]),
        (["loop_seattle"], ["LOOP_SEATTLE/5T", "LOOP_SEATTLE/H", "LOOP_SEATTLE/D"]),
        (["saugeen/W", "car_parts"], ["saugeenday/W", "car_parts_with_missing"]),
        (["bitbrains_*/H"], ["bitbrains_fast_storage/H", "bitbrains_rnd/H"]),
        (["m4_hourly/H/"], ["m4_hourly"]),
    ],
)
def test_names_of_datasets(names: list[str], folders: list[str]) -> None:
    assert [row.folder for row in select_rows(ROWS, names, "gift-eval")] == folders


def test_no_name_is_all_and_an_unknown_one_is_suggested() -> None:
    assert select_rows(ROWS, [], "gift-eval") == list(ROWS)
    with pytest.raises(UsageError, match=r"no dataset 'LOOP_SEATLE'\. Did you mean 'loop_seattle'"):
        select_rows(ROWS, ["ett1", "LOOP_SEATLE"], "gift-eval")
