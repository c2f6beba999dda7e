"""The suite `monash`: horizons, short series, gaps, rounding, folders, broken files; and its scores at run time beside a plain loop."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Lab

import harness
from harness.batches import cut_batch
from harness.errors import DataError, NothingMatched, Unavailable, UsageError
from harness.plugins import load
from harness.types import ModelInfo, Task
from harness_tasks.monash import Monash, monash
from harness_tasks.monash_table import MONASH
from harness_tasks.tsf import write_tsf

M = 12


def made(folder: Path, name: str, rows: Sequence[Any], **options: Any) -> Path:
    """A monthly file, unless said otherwise."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    write_tsf(path, rows, **{"frequency": "monthly", **options})
    return path


def wave(count: int, seed: int = 0) -> np.ndarray:
    """float32 [count]: a season of 12, a trend and noise."""
    t = np.arange(count)
    return np.asarray(50 + 10 * np.sin(2 * np.pi * t / M) + 0.1 * t + np.random.default_rng(seed).normal(size=count).round(2), np.float32)


def task_of(suite: Monash, name: str) -> Task:
    return next(task for task in suite.tasks() if task.name == name)


def test_without_a_folder_the_tables_tasks_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MONASH", raising=False)
    suite = monash(None)
    tasks = suite.tasks()
    assert len(tasks) == 52 == len({task.name for task in tasks})
    assert {task.protocol for task in tasks} == {"monash/1"} and {task.dialect for task in tasks} == {"monash"}
    hourly = task_of(suite, "m4_hourly")
    assert (hourly.horizon, hourly.season_length, hourly.freq, hourly.family, hourly.rounded) == (48, 24, "H", "m4", False)
    with pytest.raises(Unavailable, match="set MONASH or --data") as caught:
        suite.open(hourly)
    assert caught.value.fetch == "harness data pull monash m4_hourly"


def test_the_last_values_are_labels(tmp_path: Path) -> None:
    rows = [wave(40), wave(60, 1)]
    made(tmp_path, "shop.tsf", rows, horizon=6)
    suite = Monash(tmp_path)
    data = suite.open(task_of(suite, "shop"))
    assert (data.windows, data.cut.tolist()) == (1, [34, 54])
    for row, values in enumerate(rows):
        assert np.array_equal(data.series.target.gather(data.channel, data.cut, 6)[row], values[-6:])


@pytest.mark.parametrize(
    ("frequency", "said", "option", "wanted"),
    [
        ("monthly", 7, 0, 7),
        ("monthly", 7, 3, 3),
        ("monthly", None, 0, 12),
        ("daily", None, 0, 30),
        ("hourly", None, 5, 5),
        ("5_minutes", None, 0, 288),
    ],
)
def test_horizon_from_option_file_or_frequency(frequency: str, said: int | None, option: int, wanted: int, tmp_path: Path) -> None:
    made(tmp_path, "own.tsf", [np.arange(2000.0)], frequency=frequency, horizon=said)
    assert task_of(monash(tmp_path, horizon=option or None), "own").horizon == wanted


@pytest.mark.parametrize("horizon", [-1, 0, True, 1.5, 10**300])
def test_a_horizon_that_is_none(horizon: Any) -> None:
    with pytest.raises(UsageError, match=r"monash: horizon got .*; wanted a whole number from 1 to 1000000"):
        monash(None, horizon=horizon)


def test_a_horizon_of_nothing_is_told_where_it_is_typed() -> None:
    with pytest.raises(UsageError, match=r"monash: horizon got 0"):
        load().suite("monash[horizon=0]").factory(None)


def test_a_name_that_is_no_utf_8(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.tsf")).write_text("@data\n")
    with pytest.raises(DataError, match=r"^caf.\.tsf: this path is not UTF-8"):
        monash(tmp_path).tasks()


@pytest.mark.parametrize(
    ("frequency", "season"),
    [
        *(("weekly", 52), ("daily", 7), ("10_minutes", 144), ("5_minutes", 288), ("yearly", 1), (None, 1), ("7_hours", 1)),
        *(("2_weeks", 26), ("4_weeks", 13), ("1_seconds", 86_400), ("10_seconds", 8640), ("2_days", 1), ("3_months", 4)),
    ],
)
def test_the_season_is_the_dialects(frequency: str | None, season: int, tmp_path: Path) -> None:
    from harness.dialects import Forecasts, dialect

    values = np.cumsum(np.random.default_rng(3).normal(size=max(700, season + 9))).astype(np.float32)
    made(tmp_path, "own.tsf", [values], frequency=frequency)
    task = task_of(Monash(tmp_path), "own")
    assert task.season_length == season
    cut = len(values) - 1
    one = Forecasts.from_arrays([values], [0], [cut], [[[values[-1] + 1]]], [0.5], freq=task.freq)  # an error of 1: the scale is 1 / MASE
    train = values[:cut].astype(np.float64)
    scale = np.abs(train[season:] - train[:-season]).mean()
    assert dialect("monash").score(one)["mean MASE"] == pytest.approx(1 / scale, rel=1e-5)


def test_the_option_leaves_the_archives_horizons_alone(tmp_path: Path) -> None:
    assert task_of(monash(tmp_path, horizon=5), "hospital").horizon == 12


def test_a_short_series_is_asked_for_one_step(tmp_path: Path) -> None:
    made(tmp_path, "own.tsf", [wave(40), [1, 2, 3, 4], [5, 6]], horizon=6)
    suite = Monash(tmp_path)
    data = suite.open(task_of(suite, "own"))
    assert data.cut.tolist() == [34, 3, 1]
    labels = data.series.target.gather(data.channel, data.cut, 6)
    assert labels[1, 0] == 4 and np.isnan(labels[1, 1:]).all()
    assert labels[2, 0] == 6 and np.isnan(labels[2, 1:]).all()
    made(tmp_path, "own.tsf", [wave(40), [1]], horizon=6)
    with pytest.raises(DataError, match=r"own.tsf: 1 of 2 series have one value, the first of them series 1"):
        Monash(tmp_path).open(task_of(suite, "own"))


def test_files_in_folders_and_names_that_clash(tmp_path: Path) -> None:
    made(tmp_path, "saugeenday_dataset/saugeenday_dataset.tsf", [wave(90)], frequency="daily")
    made(tmp_path, "a/own_dataset.tsf", [wave(90)])
    made(tmp_path, "b/own.tsf", [wave(90)])
    made(tmp_path, "hospital.tsf", [wave(90)])
    made(tmp_path, "wind_4_seconds_dataset.tsf", [wave(200)], frequency="4_seconds")
    suite = monash(tmp_path, horizon=9)
    others = {task.name: task for task in suite.tasks()[52:]}
    assert sorted(others) == ["hospital.tsf", "own", "own_dataset", "wind_4_seconds"]
    assert others["wind_4_seconds"].domain == "Energy", "a file of the archive that it has no horizon for"
    for name in (*others, "saugeenday"):
        assert suite.open(task_of(suite, name)).windows == 1
    made(tmp_path, "c/own.tsf", [wave(90)])
    with pytest.raises(DataError, match=r"got two files own.tsf, in .*b and in .*c; wanted one"):
        monash(tmp_path).tasks()


def test_what_is_no_regular_file_is_no_dataset(tmp_path: Path) -> None:
    """A pipe would be waited for without end, and a dead link would cost the whole folder."""
    made(tmp_path, "own.tsf", [wave(90)])
    os.mkfifo(tmp_path / "pipe.tsf")
    (tmp_path / "dead.tsf").symlink_to("nowhere")
    (tmp_path / "zero.tsf").symlink_to("/dev/zero")
    assert [task.name for task in monash(tmp_path, horizon=9).tasks()[52:]] == ["own"]


def test_a_broken_file_costs_its_task_alone(tmp_path: Path) -> None:
    (tmp_path / "bad.tsf").write_text("@relation x\n@frequency dayly\n@data\n")
    (tmp_path / "cut.tsf").write_text("@attribute n string\n@frequency daily\n@data\na:1,2,3,x\n")
    made(tmp_path, "good.tsf", [wave(90)])
    suite = Monash(tmp_path)
    with pytest.raises(DataError, match="line 2: got frequency 'dayly'"):
        suite.open(task_of(suite, "bad"))
    with pytest.raises(DataError, match=r"cut.tsf, line 4"):
        suite.open(task_of(suite, "cut"))
    assert suite.open(task_of(suite, "good")).windows == 1


def test_a_file_of_the_archive_must_be_as_the_archive_says(tmp_path: Path) -> None:
    suite = Monash(tmp_path)
    hospital, births = task_of(suite, "hospital"), task_of(suite, "us_births")
    made(tmp_path, "hospital_dataset.tsf", [wave(90)], frequency="weekly")
    with pytest.raises(
        DataError, match=r"got @frequency weekly; the archive's is M\. Fetch it again: harness data pull monash hospital --force"
    ):
        suite.open(hospital)
    made(tmp_path, "us_births_dataset.tsf", [wave(90)], frequency="daily", horizon=7)
    with pytest.raises(DataError, match=r"got @horizon 7; the archive's is 30"):
        suite.open(births)


def test_a_file_of_an_archives_name_with_another_number_of_series_is_refused(lab: Lab) -> None:
    rows = [wave(40, k) for k in range(3)]
    path = made(lab.folder / "data", "hospital_dataset.tsf", rows)
    said = "got 3 series; the archive's file has 767. Fetch it again: harness data pull monash hospital --force; or, to use it as a dataset"
    run = lab.run("run", "-m", "naive", "-s", "monash", "-t", "hospital", "--data", "data", "--json").expect(3)
    assert said in run.cells()["naive", "hospital"]["reason"]
    (found,) = lab.run("data", "verify", "monash", "hospital", "--data", "data", "--json").expect(3).json()
    assert found["state"] == "broken" and said in found["error"]
    path.rename(path.with_name("my_hospital_dataset.tsf"))
    suite = Monash(lab.folder / "data")
    assert len(suite.open(task_of(suite, "my_hospital"))) == 3


def test_each_series_has_the_horizon_that_it_says(tmp_path: Path) -> None:
    rows = [wave(40 + k, k) for k in range(72)]
    own = [6 if k % 5 == 0 else 12 for k in range(72)]
    path = made(tmp_path, "cif_2016_dataset.tsf", rows, attributes={"horizon": own})
    suite = Monash(tmp_path)
    task = task_of(suite, "cif_2016")
    data = suite.open(task)
    assert data.cut.tolist() == [len(row) - steps for row, steps in zip(rows, own, strict=True)]
    labels = data.series.target.gather(data.channel, data.cut, 12)
    assert (~np.isnan(labels)).sum(axis=1).tolist() == own
    assert np.array_equal(labels[5, :6], rows[5][-6:])
    each = [plain([row], steps, M, rounded=False) for row, steps in zip(rows, own, strict=True)]
    scores = harness.evaluate("seasonal_naive", task, data=tmp_path).scores
    for name in ("MASE", "sMAPE", "MAE", "RMSE"):
        assert scores[f"monash:mean {name}"] == pytest.approx(np.mean([found[f"mean {name}"] for found in each]), rel=1e-6)
    with_six = data.series.fingerprint
    made(tmp_path, path.name, rows, attributes={"horizon": [12] * 72})
    assert suite.open(task).series.fingerprint != with_six, "what was scored with other labels is stale"


def test_own_series_with_a_horizon_of_their_own(tmp_path: Path) -> None:
    def opened(own: Any, option: int = 0, **options: Any) -> list[int]:
        made(tmp_path, "own.tsf", [wave(40), wave(50), wave(8)], attributes={"horizon": own}, **options)
        suite = monash(tmp_path, horizon=option or None)
        return [int(cut) for cut in suite.open(task_of(suite, "own")).cut]

    assert opened([12, 3, 5]) == [28, 47, 3]
    assert opened([12, 3, 9]) == [28, 47, 7], "no longer than its H: one step"
    assert opened([12, 3, 5], option=4) == [36, 46, 4], "the option is for all"
    with pytest.raises(DataError, match=r"own.tsf: series T2 has the horizon 18, and the task's is 12; .* Say @horizon 18 in the header"):
        opened([12, 18, 5])
    assert opened([12, 18, 5], horizon=18) == [28, 32, 3]
    for wrong in ([12, 2.5, 5], [12, 0, 5], ["12", "long", "5"]):
        with pytest.raises(DataError, match=r"series T[12] has the horizon .*; wanted @attribute horizon numeric, a whole number of steps"):
            opened(wrong)


def test_a_slip_in_the_header_is_an_error_and_a_false_claim_a_note(lab: Lab) -> None:
    folder = lab.folder / "data"
    folder.mkdir()
    values = ",".join(map(str, range(1, 90)))
    (folder / "slip.tsf").write_text(f"@attribute a string\n@frequency daily\n@horizn 14\n@data\nx:{values}\n")
    (folder / "claim.tsf").write_text(f"@attribute a string\n@missing false\n@frequency daily\n@data\nx:{values}\ny:?,{values}\n")
    run = lab.run("run", "-m", "naive", "-s", "monash", "-t", "slip,claim", "--data", "data", "--json").expect(3)
    assert "slip.tsf, line 3: @horizn is no word of a header" in run.cells()["naive", "slip"]["reason"]
    assert run.cells()["naive", "claim"]["status"] == "ok"
    lab.run("data", "verify", "monash", "slip", "claim", "--data", "data").expect(
        3, "Did you mean 'horizon'", "claim: line 6: a value ?, and the header says @missing false"
    )


def test_a_file_whose_suffix_is_in_capitals(tmp_path: Path) -> None:
    made(tmp_path, "UPPER.TSF", [wave(40)])
    suite = Monash(tmp_path)
    assert suite.open(task_of(suite, "UPPER")).windows == 1
    from harness_tasks.monash_verify import inspect, rows_of

    (found,) = [f for f in inspect(suite, rows_of(suite)) if f.state != "missing"]
    assert (found.name, found.state) == ("UPPER", "ok")


def test_a_file_that_changes_is_read_again(tmp_path: Path) -> None:
    suite = Monash(tmp_path)
    made(tmp_path, "own.tsf", [wave(90)])
    task = task_of(suite, "own")
    first = suite.open(task).series.fingerprint
    made(tmp_path, "own.tsf", [wave(91)])
    assert suite.open(task).series.fingerprint != first


def test_the_river_of_the_archive(real_data: Path) -> None:
    suite = monash(real_data / "monash")
    task = task_of(suite, "saugeenday")
    if "saugeenday_dataset.tsf" not in suite.files():
        pytest.skip(f"no saugeenday_dataset.tsf in {real_data / 'monash'}")
    data = suite.open(task)
    assert (data.windows, int(data.cut[0]), task.horizon, task.season_length) == (1, 23741 - 30, 30, 7)
    assert str(data.series.starts[0]) == "1915-01-01T00:00:00"
    # Source: Godahewa et al. 2021, table of mean MASE: simple exponential smoothing 1.426, of a series whose best alpha is 1.
    assert harness.evaluate("naive", task, data=real_data / "monash").scores["monash:mean MASE"] == pytest.approx(1.426, abs=5e-4)


# ---- at run time -------------------------------------------------------------------------------------------------------------------------


def plain(rows: Sequence[Any], horizon: int, m: int, rounded: bool) -> dict[str, float]:
    """The archive's errors of seasonal naive, value by value."""
    each: dict[str, list[float]] = {"MASE": [], "MAE": [], "RMSE": [], "sMAPE": []}
    for row in rows:
        values = [float(v) for v in np.asarray(row, np.float32)]
        cut = len(values) - horizon if len(values) > horizon else len(values) - 1
        train = values[:cut]
        errors, shares = [], []
        for step, label in enumerate(values[cut:]):
            place = cut + step - m * math.ceil((step + 1) / m)
            past = [v for v in train if not math.isnan(v)]
            ahead = train[place] if place >= 0 and not math.isnan(train[place]) else past[-1]
            ahead = float(round(ahead)) if rounded else ahead  # half to even, as R
            if math.isnan(label):
                continue
            errors.append(abs(label - ahead))
            if abs(label) + abs(ahead) > 0:
                shares.append(2 * abs(label - ahead) / (abs(label) + abs(ahead)))
        known = [v for v in train if not math.isnan(v)]
        mae = sum(errors) / len(errors)
        lag = m if len(known) > m else 1
        gaps = [abs(known[i] - known[i - lag]) for i in range(lag, len(known))]
        scale = sum(gaps) / len(gaps)
        each["MAE"].append(mae)
        each["RMSE"].append(math.sqrt(sum(e * e for e in errors) / len(errors)))
        each["sMAPE"].append(sum(shares) / len(shares))
        if scale > 0:
            each["MASE"].append(mae / scale)
    return {f"mean {name}": float(np.mean(found)) for name, found in each.items()} | {
        f"median {name}": float(np.median(found)) for name, found in each.items()
    }


def gapped() -> list[np.ndarray]:
    rows = [wave(70), wave(50, 1), wave(8, 2), np.full(40, 3.0, np.float32)]
    rows[0][-3] = np.nan  # a label
    rows[1][5] = np.nan  # in the training part, and not what seasonal naive repeats
    rows[3][-1] = 4  # a scale of 0 and an error: an infinite MASE, which is left out
    return rows


def test_scores_of_a_run_are_those_of_a_plain_loop_and_what_fails_is_said(lab: Lab) -> None:
    rows = gapped()
    made(lab.folder / "data", "own.tsf", rows, horizon=6)
    (lab.folder / "data" / "bad.tsf").write_text("@frequency x\n@data\n")
    done = lab.run("run", "-m", "seasonal_naive", "-s", "monash", "-t", "own,bad,hospital", "--data", "data", "--json").expect(3)
    cells = done.cells()
    scores = cells["seasonal_naive", "own"]["scores"]
    wanted = plain(rows, 6, M, rounded=False)
    assert {name: scores[f"monash:{name}"] for name in wanted} == pytest.approx(wanted, rel=1e-6)
    assert (scores["monash:series"], scores["monash:MASE series"]) == (4, 3)
    assert "line 1: got frequency 'x'" in cells["seasonal_naive", "bad"]["reason"]
    assert "harness data pull monash hospital" in done.out
    rows_stored = lab.query("SELECT task, status, protocol, dialect FROM cells WHERE status = 'ok'")
    assert rows_stored == [("own", "ok", "monash/1", "monash")]


def test_whole_numbers_are_scored_where_the_archive_rounds(tmp_path: Path) -> None:
    rows = [np.asarray(np.round(wave(90), 1) + 0.5, np.float32)]
    made(tmp_path, "us_births_dataset.tsf", rows, frequency="daily")
    suite = Monash(tmp_path)
    task = task_of(suite, "us_births")
    assert task.rounded
    for rounded in (True, False):
        scores = harness.evaluate("seasonal_naive", replace(task, rounded=rounded), data=tmp_path).scores
        wanted = plain(rows, 30, 7, rounded)
        assert {name: scores[f"monash:{name}"] for name in wanted} == pytest.approx(wanted, rel=1e-6)


def test_no_label_is_in_a_context(tmp_path: Path) -> None:
    rows = [wave(40), np.arange(5.0)]
    made(tmp_path, "own.tsf", rows, horizon=6)
    suite = Monash(tmp_path)
    data = suite.open(task_of(suite, "own"))
    contexts = [np.array(row) for row in cut_batch(data, 0, 2, ModelInfo("any"), 0)]
    assert [len(row) for row in contexts] == [34, 4]
    assert np.array_equal(contexts[0], rows[0][:34]) and contexts[1].tolist() == [0, 1, 2, 3]


def test_the_option_stands_in_the_suites_name(tmp_path: Path) -> None:
    made(tmp_path, "own.tsf", [wave(60)])
    scores = harness.evaluate("seasonal_naive", "own", suite="monash[horizon=4]", data=tmp_path).scores
    wanted = plain([wave(60)], 4, M, rounded=False)
    assert {name: scores[f"monash:{name}"] for name in wanted} == pytest.approx(wanted, rel=1e-6)


def test_a_task_that_the_suite_does_not_have(tmp_path: Path) -> None:
    with pytest.raises(NothingMatched):
        harness.evaluate("naive", "hospitl", suite="monash", data=tmp_path)


def test_every_row_has_its_file_where_it_is_looked_for(tmp_path: Path) -> None:
    suite = Monash(tmp_path)
    for row in MONASH:
        (tmp_path / row.file).touch()
    assert {suite.task_of(row.file).name for row in MONASH} == {row.name for row in MONASH}
