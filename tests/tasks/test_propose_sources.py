"""`harness new suite --from`: its proposals for .tsf files, folders and times off their steps can be opened, or it says what is wanted."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from tables_kit import opened, saved

from harness.errors import DataError, UsageError
from harness.series import TaskData
from harness_tasks.own.propose.columns import look_at
from harness_tasks.own.propose.rhythm import jittered
from harness_tasks.own.propose.suite import make_suite
from harness_tasks.own.suite import open_file
from harness_tasks.tsf import write_tsf


def proposed(folder: Path, source: Path, name: str = "made") -> tuple[str, tuple[str, ...], TaskData]:
    """The text of the proposal, its notes, and its data opened."""
    made = make_suite(name, folder, source)
    (data,) = opened(made.path)
    return made.path.read_text(), made.notes, data


@pytest.mark.parametrize(
    ("word", "said", "freq", "horizon"), [("half_hourly", None, "30T", 336), ("monthly", 18, "M", 18), (None, None, "A", 6)]
)
def test_a_tsf_file(tmp_path: Path, word: str | None, said: int | None, freq: str, horizon: int) -> None:
    write_tsf(tmp_path / "x.TSF", [np.arange(400.0)] * 2, frequency=word, horizon=said, attributes={"horizon": [3, 4]})
    text, notes, data = proposed(tmp_path, tmp_path / "x.TSF")
    assert (data.task.freq, data.task.horizon, data.series.items) == (freq, horizon, 2)
    assert any("attribute horizon" in note for note in notes) and any("@horizon" in note for note in notes) == (said is None)
    with_dialect = text.replace("# dialect: monash", "dialect: monash")
    (tmp_path / "made.yaml").write_text(with_dialect)
    assert open_file(tmp_path / "made.yaml") is not None, "what stands in a comment is right too"


def test_a_tsf_file_that_is_broken(tmp_path: Path) -> None:
    path = tmp_path / "x.tsf"
    path.write_text("@frequency dayly\n@data\n")
    with pytest.raises(DataError, match=r"x.tsf, line 1: got frequency 'dayly'.*'daily'"):
        make_suite("made", tmp_path, path)
    for text, words in (
        ("a,b\n1,2\n", "line 1: 'a,b' before @data"),
        ("@attribute name string\n", "line 2: the file ends without a line @data"),
        ("@attribute name string\n@frequency daily\n@horizn 14\n@data\nT1:1,2,3\n", "line 3: @horizn is no word of a header.*'horizon'"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=rf"x\.tsf, {words}"):
            make_suite("made", tmp_path, path)
    assert not (tmp_path / "made.yaml").exists()


@pytest.mark.parametrize("word", ["../secret/x.arrow", "/etc/x.arrow"])
def test_a_folder_that_names_files_elsewhere(tmp_path: Path, word: str) -> None:
    folder, secret = saved(tmp_path / "stranger", LISTS), saved(tmp_path / "secret", {"password": ["x"], "target": [[1.0]]})
    next(secret.glob("*.arrow")).rename(secret / "x.arrow")
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": word}]}))
    with pytest.raises(DataError, match=r"state\.json: names the data file '.*'; wanted the name of a file in the same folder"):
        make_suite("made", tmp_path, folder)


def test_a_shard_alone_and_other_files_that_no_suite_reads(tmp_path: Path) -> None:
    folder = saved(tmp_path / "lists", LISTS)
    (shard,) = folder.glob("*.arrow")
    with pytest.raises(UsageError, match=rf"a file of a kind that is not read; wanted one of \.csv, .*\.tsf, .*: --from {folder}$"):
        make_suite("made", tmp_path, shard)
    (tmp_path / "x.xlsx").write_bytes(b"PK")
    with pytest.raises(UsageError, match=r"x\.xlsx: got a file of a kind that is not read; .* or a folder of data$"):
        make_suite("made", tmp_path, tmp_path / "x.xlsx")
    assert not (tmp_path / "made.yaml").exists()


def test_a_shard_that_is_cut_short(tmp_path: Path) -> None:
    folder = saved(tmp_path / "lists", LISTS)
    (shard,) = folder.glob("*.arrow")
    shard.write_bytes(shard.read_bytes()[:300])
    with pytest.raises(DataError, match=r"\.arrow: cannot be read as Arrow \(.*\); wanted a whole Arrow stream"):
        make_suite("made", tmp_path, folder)


LISTS = {"start": ["2024-01-01 00:00:00"] * 2, "target": [[float(i) for i in range(90)]] * 2, "item_id": ["x", "y"]}


def test_folders_that_datasets_saved(tmp_path: Path) -> None:
    text, _, data = proposed(tmp_path, saved(tmp_path / "lists", LISTS), "lists")
    assert "layout: nested" in text and "time: start" in text and data.series.items == 2
    rows = {"day": [f"2024-01-{d:02d}" for d in range(1, 31)], "sales": list(range(30))}
    _, _, data = proposed(tmp_path, saved(tmp_path / "rows", rows), "rows")
    assert (data.task.freq, data.series.target.length.tolist()) == ("D", [30])
    for split, cut in (("test", 90), ("train", 60)):
        saved(tmp_path / "splits" / split, {**LISTS, "target": [[float(i) for i in range(cut)]] * 2})
    (tmp_path / "splits" / "dataset_dict.json").write_text("{}")
    text, notes, data = proposed(tmp_path, tmp_path / "splits", "splits")
    assert "split: test" in text and "of the splits test, train" in notes[0] and data.series.target.length.tolist() == [90, 90]


def test_a_folder_in_gift_evals_layout(tmp_path: Path) -> None:
    start = pa.array([datetime(2024, 1, 1)], pa.timestamp("s"))
    target = pa.array([[[1.0] * 50, [2.0] * 50]], pa.list_(pa.list_(pa.float32())))
    folder = saved(tmp_path / "all" / "H", {"item_id": ["x"], "start": start, "freq": ["H"], "target": target})
    text, _, data = proposed(tmp_path, folder)
    assert "format: gift-eval" in text and (data.task.variates, data.task.freq) == (2, "H")
    saved(tmp_path / "parts" / "train", {"item_id": ["x"], "start": start, "freq": ["H"], "target": target})
    (tmp_path / "parts" / "dataset_dict.json").write_text("{}")
    with pytest.raises(UsageError, match=r"1 splits in GIFT-Eval's layout \(train\); wanted one: --from .*parts/train"):
        make_suite("other", tmp_path, tmp_path / "parts")
    with pytest.raises(UsageError, match=r"got a folder of 1 folders of data sets \(H\); wanted one: --from .*all/H"):
        make_suite("other", tmp_path, tmp_path / "all")


def test_folders_of_files(tmp_path: Path) -> None:
    folder = tmp_path / "tables"
    folder.mkdir()
    for month in (1, 2):
        days = "".join(f"2024-0{month}-{day:02d},{day},the {month}.\n" for day in range(1, 29))
        (folder / f"{month}.csv").write_text(f"day,sales,month\n{days}")  # no series a month: their times are others
    _, notes, data = proposed(tmp_path, folder)
    assert "the first of 2 files" in notes[0] and data.series.target.length.tolist() == [59]
    (folder / "1.pdf").write_bytes(b"%PDF")
    with pytest.raises(UsageError, match=r"got a folder of .csv, .pdf; wanted one that `datasets` saved"):
        make_suite("other", tmp_path, folder)
    write_tsf(folder / "a.tsf", [[1.0]])
    with pytest.raises(UsageError, match=r"1 .tsf files \(a.tsf\); wanted one: .*; or, for all of them: harness run -s monash --data"):
        make_suite("other", tmp_path, folder)
    with pytest.raises(UsageError, match="there is no such file or folder"):
        make_suite("other", tmp_path, folder / "none")


@pytest.mark.parametrize(("step", "freq"), [(300, "5T"), (3600, "H"), (10, "10S")])
def test_times_beside_their_steps_are_snapped(tmp_path: Path, step: int, freq: str) -> None:
    rng = np.random.default_rng(4)
    beside = rng.integers(-step // 15, step // 15 + 1, 300)
    times = [datetime(2024, 1, 2) + timedelta(seconds=int(i * step + b)) for i, b in enumerate(beside)]
    (tmp_path / "t.csv").write_text("t,v\n" + "".join(f"{t},{i}\n" for i, t in enumerate(times)))
    text, notes, data = proposed(tmp_path, tmp_path / "t.csv")
    assert (data.task.freq, data.series.target.length.tolist()) == (freq, [300])
    assert "snap: " in text and f"beside the steps of {freq}" in notes[0]
    exact = [datetime(2024, 1, 2) + timedelta(seconds=i * step) for i in range(60)]
    (tmp_path / "t.csv").write_text("t,v\n" + "".join(f"{t},{i}\n" for i, t in enumerate(exact)))
    assert (look_at(tmp_path / "t.csv").freq, look_at(tmp_path / "t.csv").snap) == (freq, 0.0)


def test_times_without_a_spacing_are_not_given_one() -> None:
    rng = np.random.default_rng(1)
    anywhere = np.cumsum(rng.integers(1, 10_000_000_000, 500)).tolist()
    assert jittered(anywhere, [""] * 500) == ("", 0.0)
    assert jittered([0], [""]) == ("", 0.0)


def test_rows_with_other_numbers_of_fields_are_told_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("t,v\n2024-01-01,1,2\n2024-01-02,1,2\n")
    with pytest.raises(DataError, match=r"t.csv, line 2: has 3 fields, and the header has 2; wanted as many in each row"):
        look_at(path)
    path.write_text("t,v\n" + "".join(f"2024-01-{d:02d},{d}{',9' * (d in (4, 7))}\n" for d in range(1, 29)))
    assert look_at(path).notes == ("line 5 has 3 fields, and the header has 2, as 1 more: it cannot be read",)
    path.write_text("t,v\n")
    with pytest.raises(DataError, match="has no header and row"):
        look_at(path)
