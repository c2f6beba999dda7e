"""The suite cgm: which windows there are, what is learnt from, what a model is sent, and what is said where something is not there."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.batches import cut_batch, training_batch
from harness.errors import DataError, Unavailable, UsageError
from harness.forecast import Batch
from harness.identity import make_cell
from harness.plugins import load
from harness.series import TaskData
from harness.types import ModelInfo, Task
from harness_tasks.cgm.datasets import SAMPLE_FOLDER, found
from harness_tasks.cgm.suite import Cgm, Options, cgm
from harness_tasks.cgm.units import MGDL_PER_MMOL

DAY = 288
MODEL = ModelInfo("m", covariates=("past",))
Write = Callable[..., Path]


@pytest.fixture(autouse=True)
def no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CGM", raising=False)


def curve(patient: int, points: int) -> Any:
    """mg/dL, whole numbers, each patient another."""
    t = np.arange(points)
    return np.round(120 + 50 * np.sin(t / 31 + patient) + 15 * np.sin(t / 7 + 2 * patient))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def put(name: str = "mine.csv", patients: int = 8, days: int = 4, step: int = 5, edit: Any = None, scale: float = 1.0) -> Path:
        """A long table: id, time, glucose, bolus, carbs; `edit(patient, values)` may change the glucose, NaN is an empty cell."""
        lines = ["id,time,gl,bolus,carbs"]
        points = days * 1440 // step
        for p in range(patients):
            values = curve(p, points)
            values = values if edit is None else edit(p, values)
            times = np.datetime64("2022-05-01T00:00:00") + np.timedelta64(7 * p, "m") + np.arange(points) * np.timedelta64(step, "m")
            for k, (at, value) in enumerate(zip(np.datetime_as_string(times), values.tolist(), strict=True)):
                text = "" if np.isnan(value) else f"{value / scale:.6g}"
                meal, dose = (40 if k % (360 // step) == 9 else ""), (2.5 if k % (720 // step) == 9 else 0)
                lines.append(f"p{p},{at},{text},{dose},{meal}")
        path = tmp_path / "data" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n")
        return path

    return put


def suite(path: Path, **options: Any) -> Cgm:
    return Cgm(path.parent, options=Options(**options))


def task_of(suite: Cgm, name: str) -> Task:
    return next(task for task in suite.tasks() if task.name == name)


def opened(suite: Cgm, name: str) -> TaskData:
    return suite.open(task_of(suite, name))


def patients_of(data: TaskData, channel: Any) -> set[str]:
    assert data.series.groups is not None
    return {data.series.groups[int(c)].as_py() for c in np.unique(channel)}


def test_without_a_folder_there_is_the_sample_and_the_rest_says_how_to_get_it() -> None:
    suite = cgm(None)
    names = [task.name for task in suite.tasks()]
    assert len(names) == len(set(names))
    mine = [name for name in names if name.startswith("hall-sample/")]
    assert len(mine) == 26
    data = opened(suite, "hall-sample/60min/patients")
    assert patients_of(data, data.channel) == {"2133-004"}
    assert data.task.dataset == "hall-sample" and data.task.family == "hall" and "Hall2018" in data.task.sources
    with pytest.raises(Unavailable, match=r"no ohio|no OhioT1DM or ohio in the package.*--data FOLDER, or the environment variable CGM"):
        opened(suite, "ohio/60min/temporal")


def test_the_sample_is_small_and_what_its_notice_says() -> None:
    size = sum(file.stat().st_size for file in SAMPLE_FOLDER.iterdir())
    assert size < 120_000
    text = gzip.decompress((SAMPLE_FOLDER / "hall-sample.csv.gz").read_bytes()).decode()
    rows = [line.split(",") for line in text.splitlines()[1:]]
    notice = (SAMPLE_FOLDER / "LICENSES.md").read_text(encoding="utf-8")
    assert f"{len(rows):,} readings" in notice and "CC BY 4.0" in notice
    assert all(row[0] in notice for row in rows)


def test_the_sample_is_the_same_as_in_the_whole(real_data: Path) -> None:
    whole = Cgm(real_data / "cgm")._grid("hall")
    part = cgm(None)._grid("hall-sample")
    at = {name: i for i, name in enumerate(whole.names)}
    for i, name in enumerate(part.names):
        np.testing.assert_array_equal(part.glucose[i], whole.glucose[at[name]])
        assert part.starts[i] == whole.starts[at[name]]


def test_a_folder_is_named_by_the_environment(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(patients=2, days=1)
    monkeypatch.setenv("CGM", str(path.parent))
    assert {task.dataset for task in cgm(None).tasks()} >= {"mine", "hall"} and "hall-sample" not in {t.dataset for t in cgm(None).tasks()}
    monkeypatch.setenv("CGM", str(path))
    with pytest.raises(UsageError, match=r"CGM=.*mine.csv: there is no such folder"):
        cgm(None)


def test_an_empty_folder_has_tasks_that_say_what_is_missing(tmp_path: Path) -> None:
    suite = Cgm(tmp_path)
    assert {task.dataset for task in suite.tasks()} == {"hall", "iglu", "shanghai", "ohio", "brist1d", "aleppo"}
    for task in suite.tasks():
        with pytest.raises(Unavailable, match=rf"there is no .* in {tmp_path} .*name the folder"):
            suite.open(task)


@pytest.mark.parametrize("what", ["30min", "60min", "90min", "120min", "night-6h", "night-8h"])
def test_hold_outs(write: Write, what: str) -> None:
    """Nothing that is learnt from lies within H steps of a label; held-out people are learnt nothing from; `both` is the two together."""
    suite = Cgm(write(days=6).parent)
    time, people, both = (opened(suite, f"mine/{what}/{split}") for split in ("temporal", "patients", "both"))
    horizon = time.task.horizon
    for data in (time, people, both):
        (part,) = data.training
        end = dict(zip(part.channel.tolist(), part.end.tolist(), strict=True))
        assert (part.begin == 0).all()
        for channel, cut in zip(data.channel.tolist(), data.cut.tolist(), strict=True):
            assert cut - end.get(channel, -horizon) >= horizon
            assert cut >= 12 and cut + horizon <= data.series.target.length[channel]
    assert patients_of(people, people.channel).isdisjoint(patients_of(people, people.training[0].channel))
    assert patients_of(time, time.channel) == patients_of(time, time.training[0].channel)
    assert len(patients_of(people, people.channel)) == 1 and len(patients_of(time, time.channel)) == 7

    def windows(*sets: TaskData) -> list[tuple[int, int]]:
        return sorted((c, k) for d in sets for c, k in zip(d.channel.tolist(), d.cut.tolist(), strict=True))

    assert windows(time, people) == windows(both)
    if not what.startswith("night"):
        length = both.series.target.length
        assert len(people) == (length[people.channel[0]] - 12 - horizon + 1)  # one at every reading of the held-out person
        first = np.array([time.cut[time.channel == c].min() for c in np.unique(time.channel)])
        np.testing.assert_array_equal(length[np.unique(time.channel)] - first, int(0.2 * 6 * DAY))


def test_horizons_are_times_on_both_grids(write: Write) -> None:
    write("five.csv", patients=2, days=2)
    folder = write("quarter.csv", patients=2, days=2, step=15).parent
    horizons = {task.name: (task.horizon, task.freq, task.season_length) for task in Cgm(folder).tasks()}
    assert [horizons[f"five/{what}/both"][0] for what in ("30min", "60min", "90min", "120min", "night-6h", "night-8h")] == [
        6,
        12,
        18,
        24,
        72,
        96,
    ]
    assert [horizons[f"quarter/{what}/both"][0] for what in ("30min", "60min", "90min", "120min", "night-6h")] == [2, 4, 6, 8, 24]
    assert horizons["quarter/60min/both"] == (4, "15T", 96)
    data = opened(Cgm(folder), "quarter/60min/patients")
    assert data.cut.min() == 4  # an hour


def test_a_personal_model_learns_from_its_own_past_alone(write: Write) -> None:
    data = opened(suite(write(patients=3)), "mine/60min/personal")
    assert data.fold is not None and len(data.training) == 3
    assert data.series.groups is not None
    for fold, part in enumerate(data.training):
        mine = data.fold == fold
        assert patients_of(data, part.channel) == patients_of(data, data.channel[mine]) and len(patients_of(data, part.channel)) == 1
        assert data.cut[mine].min() - part.end.max() == 12
    assert patients_of(data, data.channel) == {"p0", "p1", "p2"}


@pytest.mark.parametrize("percent", [25, 50])
def test_ablations_learn_from_less_and_forecast_the_same(write: Write, percent: int) -> None:
    """Of history the newest part, of people a part of those that are learnt from."""
    suite = Cgm(write().parent)
    whole, history, people = (opened(suite, f"mine/60min/{split}") for split in ("both", f"history-{percent}", f"patients-{percent}"))
    for data in (history, people):
        np.testing.assert_array_equal(data.channel, whole.channel)
        np.testing.assert_array_equal(data.cut, whole.cut)
    full, part, some = whole.training[0], history.training[0], people.training[0]
    np.testing.assert_array_equal(part.channel, full.channel)
    np.testing.assert_array_equal(part.end, full.end)
    np.testing.assert_array_equal(part.end - part.begin, np.ceil(full.end * percent / 100))
    assert len(some) == round(7 * percent / 100) and set(some.channel.tolist()) < set(full.channel.tolist())
    np.testing.assert_array_equal(some.end, full.end[np.isin(full.channel, some.channel)])


def test_the_newest_part_is_of_a_patients_time_not_of_each_series(write: Write) -> None:
    """Everyone's readings pause for three hours twice: three series each, of which the last that are learnt from are the newest."""

    def breaks(_p: int, values: Any) -> Any:
        values[300:340] = values[800:840] = np.nan
        return values

    suite = Cgm(write(edit=breaks).parent)
    full, part = (opened(suite, f"mine/60min/{split}").training[0] for split in ("both", "history-25"))
    groups = opened(suite, "mine/60min/both").series.groups
    assert groups is not None
    assert len(part.channel) < len(full.channel)
    for who in {groups[int(c)].as_py() for c in full.channel}:
        points = {}
        for name, some in (("all", full), ("newest", part)):
            mine = [k for k, c in enumerate(some.channel.tolist()) if groups[c].as_py() == who]
            points[name] = [(int(some.channel[k]), t) for k in mine for t in range(some.begin[k], some.end[k])]
        assert points["newest"] == points["all"][-(-len(points["all"]) * 25 // 100) * -1 :]


@pytest.mark.parametrize(("what", "steps"), [("night-6h", 72), ("night-8h", 96)])
def test_nights_begin_at_midnight(write: Write, what: str, steps: int) -> None:
    """p0 lacks three readings in ten of its second night, p1 one more: that night is no window."""

    def holes(p: int, values: Any) -> Any:
        missing = int(0.3 * steps) + p
        if p < 2:
            values[DAY - p * 7 // 5 + 20 : DAY - p * 7 // 5 + 20 + missing] = np.nan
        return values

    data = opened(suite(write(edit=holes, days=5, patients=9), time_share=0.9, split_hours=24), f"mine/{what}/both")
    when = data.series.when(data.channel.astype(np.int64), data.cut)
    assert (when.astype("datetime64[D]") == when).all()
    labels = data.series.target.gather(data.channel, data.cut, steps)
    assert (np.isfinite(labels).mean(axis=1) >= 0.7).all()
    first = {g: str(when[data.channel == c].min())[:10] for c in np.unique(data.channel) for g in patients_of(data, np.array([c]))}
    assert first["p1"] == "2022-05-03" and first["p2"] == "2022-05-02"
    assert np.isnan(labels).any()


def test_meals_are_the_last_that_a_context_holds(write: Write) -> None:
    data = opened(suite(write(patients=8)), "mine/meal-2h/both")
    carbs = list(data.series.past_names).index("carbs")
    assert data.series.past is not None and len(data) > 4
    rows = data.channel.astype(np.int64) * len(data.series.past_names) + carbs
    assert (data.series.past.gather(rows, data.cut - 1, 1) == 40).all()
    assert (data.series.past.gather(rows, data.cut, 12) == 0).all()
    held = opened(suite(write(patients=8)), "mine/meal-2h/patients")
    assert len(held) == 4 * 4 - 1  # every six hours; the first has no hour before it


def test_gaps_are_filled_in_contexts_alone_and_only_short_ones(write: Write) -> None:
    def holes(_p: int, values: Any) -> Any:
        values[100:109] = np.nan  # nine: 45 minutes
        values[130:140] = np.nan
        return values

    data = opened(suite(write(edit=holes, patients=2)), "mine/60min/patients")
    at = int(np.flatnonzero(data.cut == 160)[0])
    context = next(iter(cut_batch(data, at, at + 1, MODEL, 0).contexts))
    truth = curve(int(next(iter(patients_of(data, data.channel)))[1:]), 200)
    np.testing.assert_allclose(context[100:109], np.interp(np.arange(100, 109), [99, 109], truth[[99, 109]]), rtol=1e-6)
    assert np.isnan(context[130:140]).all() and np.isfinite(np.delete(context, np.arange(130, 140))).all()
    assert not {*range(101, 110), *range(131, 141)} & set(data.cut.tolist())  # a context ends with a reading
    before = int(np.flatnonzero(data.cut == 98)[0])
    labels = data.series.target.gather(data.channel[before : before + 1], data.cut[before : before + 1], 12)[0]
    np.testing.assert_array_equal(np.isnan(labels), [k in range(2, 11) for k in range(12)])
    none = opened(suite(write(edit=holes, patients=2), gap_minutes=0), "mine/60min/patients")
    raw = next(iter(cut_batch(none, at, at + 1, MODEL, 0).contexts))
    assert np.isnan(raw[100:109]).all()


def seen(batch: Batch) -> list[list[float]]:
    return [np.nan_to_num(row, nan=-1.0).tolist() for ragged in (batch.contexts, *batch.past_covariates) for row in ragged]


def test_what_comes_after_the_cutoff_changes_nothing_that_a_model_is_sent(write: Write) -> None:
    """Other readings after the 900th: windows before it, and all that is learnt from, are the same."""
    plain = opened(suite(write(patients=3, edit=lambda _p, v: v)), "mine/60min/temporal")

    def later(_p: int, values: Any) -> Any:
        values[1000:1003] = np.nan
        values[1003:] += 77
        return values

    other = opened(suite(write(patients=3, edit=later)), "mine/60min/temporal")
    assert plain.series.fingerprint != other.series.fingerprint
    early = np.flatnonzero(plain.cut <= 1000)
    assert len(early) > 100
    np.testing.assert_array_equal(other.cut[np.isin(other.cut, plain.cut[early])], plain.cut[early])
    rows = plain.take(early), other.take(np.flatnonzero(other.cut <= 1000))
    assert seen(cut_batch(rows[0], 0, len(early), MODEL, 0)) == seen(cut_batch(rows[1], 0, len(early), MODEL, 0))
    assert seen(training_batch(plain, MODEL, "finetune", 0)) == seen(training_batch(other, MODEL, "finetune", 0))


def test_options(write: Write) -> None:
    path = write(patients=8)
    usual = opened(suite(path), "mine/60min/both")
    assert (usual.task.context, usual.task.fill_gaps) == (288, 9)
    other = opened(suite(path, context_hours=3, gap_minutes=20), "mine/60min/both")
    assert (other.task.context, other.task.fill_gaps) == (36, 4)
    assert max(map(len, cut_batch(other, 0, len(other), MODEL, 0).contexts)) == 36
    sparse = opened(suite(path, stride=6), "mine/60min/patients")
    assert set(np.diff(sparse.cut).tolist()) == {6}
    more = opened(suite(path, patient_share=0.5), "mine/60min/patients")
    assert len(patients_of(more, more.channel)) == 4
    longer = opened(suite(path, time_share=0.4), "mine/60min/temporal")
    assert longer.cut.min() < opened(suite(path), "mine/60min/temporal").cut.min()
    chosen = {frozenset(patients_of(d, d.channel)) for s in range(6) for d in [opened(suite(path, seed=s), "mine/60min/patients")]}
    assert len(chosen) > 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"context_hours": 0}, "context_hours=0; wanted a number from 1 to 1440"),
        ({"gap_minutes": 47}, "gap_minutes=47; wanted a multiple of 5, as a point stands for 5 or 15 minutes"),
        ({"stride": 1.5}, "stride=1.5; wanted a whole number from 1 to 1440"),
        ({"seed": True}, "seed=True; wanted a whole number"),
        ({"time_share": "0.2"}, "time_share='0.2'; wanted a number"),
        ({"unit": "g/L"}, "unit='g/L'; wanted one of mg/dL, mmol/L"),
        ({"dates": "dym"}, "dates='dym'; wanted one of ymd, dmy, mdy"),
    ],
)
def test_options_of_no_use(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        cgm(None, **options)


def test_every_option_that_decides_windows_is_part_of_a_results_identity(write: Write) -> None:
    folder, plugins = write(patients=4, days=2).parent, load()
    model = plugins.models["naive"]
    given = ["", "context_hours=6", "gap_minutes=10", "patient_share=0.3", "time_share=0.3", "stride=2", "seed=1", "tolerance_minutes=1"]
    ids = []
    for option in given:
        found = plugins.suite(f"cgm[{option}]" if option else "cgm")
        made = found.factory(folder)
        task = task_of(made, "mine/60min/both")
        ids.append(make_cell(plugins, task, made.open(task).series.fingerprint, model, {}).id)
    assert len(set(ids)) == len(given)
    assert task_of(plugins.suite("cgm").factory(folder), "mine/60min/both").protocol == "cgm/1"
    assert task_of(plugins.suite("cgm[seed=42,context_hours=24]").factory(folder), "mine/60min/both").protocol == "cgm/1"
    assert plugins.suite("cgm[stride=1]").info.name == "cgm"  # a default that is written out changes nothing
    with pytest.raises(UsageError, match=r"suite 'cgm' has no option 'strides'. Did you mean 'stride'"):
        plugins.suite("cgm[strides=2]")


def test_whose_a_series_is_and_when_meals_were_belong_to_the_identity(tmp_path: Path) -> None:
    """The same values of one person or of two give other scores; other meals give other windows of the tasks after meals alone."""
    lines = ["id,time,gl,diagnosis"]
    times = np.datetime_as_string(np.datetime64("2022-05-01T00:00:00") + np.arange(2000) * np.timedelta64(5, "m"))
    lines += [f"a,{at},{100 + k % 50},x" for k, at in enumerate(times)]
    table = tmp_path / "hall.csv"
    table.write_text("\n".join(lines) + "\n" + "\n".join(line.replace("a,", "b,", 1) for line in lines[1:]) + "\n")
    meals = tmp_path / "hall_meals.csv"
    meals.write_text("id,meal,mealtime\na,x,2022-05-02 09:58:00\nb,x,2022-05-07 09:58:00\na,x,2022-05-07 19:58:00\n")
    before = Cgm(tmp_path)
    after_meals, plain = opened(before, "hall/meal-2h/both"), opened(before, "hall/60min/both")
    assert (after_meals.series.past_names, after_meals.series.past) == ((), None)  # grams are not told
    assert str(after_meals.series.when(after_meals.channel.astype(np.int64), after_meals.cut - 1)[0])[11:16] == "10:00"
    meals.write_text(meals.read_text().replace("19:58", "18:58"))
    with pytest.raises(DataError, match="changed while they were read"):
        plain.series.check()
    after = Cgm(tmp_path)
    assert opened(after, "hall/60min/both").series.fingerprint == plain.series.fingerprint
    assert opened(after, "hall/meal-2h/both").series.fingerprint != after_meals.series.fingerprint
    meals.unlink()
    with pytest.raises(Unavailable, match=r"hall.csv records no meals; of the layout hall they stand in hall_meals.csv"):
        opened(Cgm(tmp_path), "hall/meal-2h/both")
    gridded = after._grid("hall")
    after._gridded["hall"] = replace(gridded, patients=tuple("a" for _ in gridded.patients))
    after._series.clear()
    assert after._set("hall").fingerprint != plain.series.fingerprint


def test_one_person_is_split_in_time_alone(write: Write) -> None:
    suite = Cgm(write(patients=1).parent)
    alone = opened(suite, "mine/60min/temporal")
    assert len(alone) == int(0.2 * 4 * DAY) - 12 + 1 and patients_of(alone, alone.training[0].channel) == {"p0"}
    assert len(opened(suite, "mine/60min/personal")) == len(alone)
    for split in ("patients", "both", "history-25"):
        with pytest.raises(
            Unavailable, match=r"mine has 1 patients; to hold out 0.15 of them leaves none to learn from; see mine/\*/temporal"
        ):
            opened(suite, f"mine/60min/{split}")


def test_a_set_that_is_too_short_for_a_task_says_so(write: Write) -> None:
    suite = Cgm(write(patients=2, days=1).parent)
    with pytest.raises(Unavailable, match=r"mine has no window for night-8h/temporal among its 2 series"):
        opened(suite, "mine/night-8h/temporal")


def test_units_are_told_by_the_values_or_by_the_caller(write: Write) -> None:
    usual = opened(suite(write(patients=2, days=2)), "mine/60min/temporal")
    other = opened(suite(write(patients=2, days=2, scale=MGDL_PER_MMOL)), "mine/60min/temporal")
    labels = [d.series.target.gather(d.channel, d.cut, 12) for d in (usual, other)]
    np.testing.assert_allclose(labels[0], labels[1], rtol=1e-4)
    low = write(patients=2, days=2, edit=lambda _p, v: v / 20 + 20)  # 23 to 29: meters have both
    broken = suite(low)
    assert "mine/60min/temporal" in {task.name for task in broken.tasks()}
    with pytest.raises(
        DataError, match=r"either unit.*as an option where the suite is named: 'cgm\[unit=mmol/L\]' or 'cgm\[unit=mg/dL\]'$"
    ):
        opened(broken, "mine/60min/temporal")
    known = opened(suite(low, unit="mmol/L"), "mine/60min/temporal")
    assert known.series.target[0][0] == pytest.approx((curve(0, 1)[0] / 20 + 20) * MGDL_PER_MMOL, rel=1e-5)
    with pytest.raises(DataError, match=r"the option unit says mmol/L, but the values .* are mg/dL"):
        opened(suite(write(patients=2, days=2), unit="mmol/L"), "mine/60min/temporal")


def test_other_files_and_folders_are_sets_of_their_own(write: Write, tmp_path: Path) -> None:
    folder = write("mine.csv", patients=2, days=2).parent
    (folder / "clinic").mkdir()
    (folder / "clinic" / "a.csv").write_bytes((folder / "mine.csv").read_bytes())
    (folder / "notes").mkdir()
    (folder / "notes" / "read.me").write_text("nothing")
    (folder / "table.csv").write_text("who,what\n1,2\n")
    suite = Cgm(folder)
    sets = {task.dataset for task in suite.tasks()}
    assert sets >= {"mine", "clinic", "table"} and "notes" not in sets
    one, two = opened(suite, "mine/60min/both"), opened(suite, "clinic/60min/both")
    assert one.series.fingerprint == two.series.fingerprint
    with pytest.raises(
        Unavailable, match=r"no readings of glucose: .*table.csv: has the columns who, what; wanted those of a known layout"
    ):
        opened(suite, "table/60min/both")
    (folder / "mine.txt").write_bytes((folder / "mine.csv").read_bytes())
    with pytest.raises(DataError, match=r"mine.csv and mine.txt are both the set 'mine'; rename or move one"):
        Cgm(folder)


def test_options_stand_in_the_protocol(tmp_path: Path) -> None:
    """Not in the suite's name alone, by which an own suite of these tasks may not go."""
    for options, protocol in (
        ({}, "cgm/1"),
        ({"context_hours": 24, "unit": "", "stride": 1}, "cgm/1"),
        ({"seed": 7, "patient_share": 0.3, "stride": 6}, "cgm/1 patient_share=0.3 stride=6 seed=7"),
        ({"unit": "mmol/L", "dates": "dmy", "tolerance_minutes": 2}, "cgm/1 tolerance_minutes=2 unit=mmol/L dates=dmy"),
        ({"context_hours": 12.5, "gap_minutes": 0, "split_hours": 3, "time_share": 0.4}, None),
    ):
        told = {(task.protocol, "/history-" in task.name) for task in Cgm(tmp_path, options=Options(**options)).tasks()}
        plain = protocol or "cgm/1 context_hours=12.5 gap_minutes=0 split_hours=3 time_share=0.4"
        assert told == {(plain, False), (plain.replace("cgm/1", "cgm/2"), True)}  # of which an earlier version learnt from other points


def test_a_broken_file_takes_no_other_set_down(write: Write) -> None:
    folder = write(patients=2, days=2).parent
    packed = bytearray(gzip.compress((folder / "mine.csv").read_bytes()))
    packed[20:60] = b"\xff" * 40
    (folder / "torn.csv.gz").write_bytes(bytes(packed))
    both = Cgm(folder)
    assert {task.dataset for task in both.tasks()} >= {"mine", "torn"} and len(opened(both, "mine/60min/temporal"))
    with pytest.raises(DataError, match=r"torn\.csv\.gz: cannot be read"):
        opened(both, "torn/60min/temporal")


def test_links_make_no_second_set_and_capitals_hide_none(write: Write, tmp_path: Path) -> None:
    folder = write("Mine.CSV", patients=2, days=1).parent
    outside = tmp_path / "outside.csv"
    outside.write_bytes((folder / "Mine.CSV").read_bytes())
    links = {"again": folder, "above": tmp_path, "OhioT1DM": folder, "a.csv": folder / "Mine.CSV", "b.csv": outside, "c.csv": outside}
    (folder / "sub").mkdir()
    (folder / "sub" / "z.csv").write_bytes(outside.read_bytes())
    links |= {"deep.csv": folder / "sub" / "z.csv", "self.csv": folder / "self.csv"}
    for name, target in links.items():
        (folder / name).symlink_to(target)
    assert sorted(name for _, name, _ in found(folder)) == ["Mine", "b", "sub"]


def rows(apart: int, value: int = 100, who: str = "a", second: int = 0, date: str = "2022-05-01") -> str:
    """An hour of readings that many minutes apart."""
    return "".join(f"{who},{date} 00:{m:02d}:{second:02d},{value}\n" for m in range(0, 60, apart))


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("a,2022-05-01 00:00:00,100\n", {}, "no subject has two readings; .* Put subjects with more readings into the file"),
        (rows(10), {}, r"of a \(10\) are .* Take these subjects out of the file, or thin their readings"),
        (rows(5) + rows(15, who="b") + rows(15, who="c"), {}, r"and a another; .* Put the subjects of each step into a file"),
        (rows(5, 25), {}, r"either unit.*'cgm\[unit=mmol/L\]'"),
        (rows(5, date="05/06/2022"), {}, r"line 2: .*'cgm\[dates=dmy\]' or 'cgm\[dates=mdy\]'"),
        (rows(5), {"tolerance_minutes": 3}, r"tolerance_minutes=3 is more than half of that; wanted at most 2\.5"),
        (rows(5, second=59), {"tolerance_minutes": 0.1}, r"'cgm\[tolerance_minutes=2\.5\]', or leave that option out"),
    ],
)
def test_what_is_wrong_with_a_file_names_it_and_what_to_type(tmp_path: Path, text: str, options: dict[str, Any], said: str) -> None:
    (tmp_path / "mine.csv").write_text("id,time,glucose\n" + text)
    with pytest.raises(DataError, match=said) as caught:
        Cgm(tmp_path, options=Options(**options)).read("mine")
    message = str(caught.value)
    assert str(tmp_path / "mine.csv") in message
    assert not any(word in message for word in ("step_minutes", "tolerance_s", "unit='", "dates='", "layout=", "to_grid", "split_after"))


def test_a_known_name_with_another_sensor_is_refused(write: Write) -> None:
    with pytest.raises(DataError, match=r"iglu.csv: readings are 15 minutes apart; wanted 5, as iglu has"):
        opened(Cgm(write("iglu.csv", patients=2, days=2, step=15).parent), "iglu/60min/temporal")


def test_real_episodes(real_data: Path) -> None:
    """Numbers that an auditor's loop and iglu-python's `event_class` have, which fills short gaps first: 94 to 97 and 50."""
    from harness_results.glucose import events

    suite = Cgm(real_data / "cgm")
    for name, limit, above, count in (("iglu", 180.0, True, 94), ("hall", 70.0, False, 50)):
        if name not in suite._paths:
            pytest.skip(f"no {name} in {real_data / 'cgm'}")
        inside = [events.in_episode(row[None], limit, 5.0, above=above)[0] for row in suite._grid(name).glucose]
        assert sum(int(np.diff(row.astype(int), prepend=0).clip(0).sum()) for row in inside) == count
