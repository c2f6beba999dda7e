"""Tables of one's own beside plain loops: every layout and format, times as they are written, grids, gaps, duplicates, windows."""

from __future__ import annotations

import csv
import gzip
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from harness.errors import DataError, Unavailable
from harness.series import SeriesSet, TaskData
from harness_tasks.own.suite import OwnSuite, open_file

Opener = Callable[..., TaskData]
EPOCH = datetime(1970, 1, 1)


@pytest.fixture
def suite(tmp_path: Path) -> Callable[[str], OwnSuite]:
    """The suite of a YAML text."""

    def make(text: str) -> OwnSuite:
        (tmp_path / "own.yaml").write_text(text)
        found = open_file(tmp_path / "own.yaml")
        assert found is not None
        made = found[1](None)
        assert isinstance(made, OwnSuite)
        return made

    return make


@pytest.fixture
def opened(suite: Callable[[str], OwnSuite], tmp_path: Path) -> Opener:
    """The data of a task `t` with these keys, of a table with this text."""

    def open_task(table: str | bytes, name: str = "t.csv", **keys: Any) -> TaskData:
        (tmp_path / name).write_bytes(table.encode() if isinstance(table, str) else table)
        lines = {"source": name, "columns": "{id: id, time: t, target: y}", "freq": "D", "horizon": "1", **keys}
        text = "\n".join(f"    {key}: {value}" for key, value in lines.items())
        made = suite(f"name: own\ntasks:\n  - name: t\n{text}\n")
        return made.open(made.tasks()[0])

    return open_task


def values(series: SeriesSet) -> dict[str, list[list[float | None]]]:
    """{item: its variates, None where missing}."""
    ids = series.item_ids.to_pylist()
    out: dict[str, list[list[float | None]]] = {name: [] for name in ids}
    for c in range(len(series.target)):
        out[ids[c // series.variates]].append([None if math.isnan(v) else float(v) for v in series.target[c]])
    return out


def one(data: TaskData) -> list[float | None]:
    """The values of the only series."""
    ((only,),) = values(data.series).values()
    return only


def by_loop(rows: Sequence[tuple[str, datetime, float]], step: timedelta) -> dict[str, tuple[datetime, list[float | None]]]:
    """{id: (start, values)} by a loop over rows; a later row of one time wins."""
    found: dict[str, dict[datetime, float]] = {}
    for name, time, value in rows:
        found.setdefault(name, {})[time] = value
    out = {}
    for name in sorted(found):
        there = sorted(t for t, v in found[name].items() if not math.isnan(v))
        if not there:
            continue
        time, column = there[0], []
        while time <= there[-1]:
            value = found[name].get(time, math.nan)
            column.append(None if math.isnan(value) else value)
            time += step
        out[name] = (there[0], column)
    return out


@pytest.mark.parametrize("kind", ["csv", "csv.gz", "tsv", "parquet"])
@pytest.mark.parametrize("seed", range(5))
def test_long_beside_a_loop(seed: int, kind: str, opened: Opener, tmp_path: Path) -> None:
    rng = np.random.default_rng(seed)
    minutes = int(rng.choice([1, 15, 60, 24 * 60, 7 * 24 * 60]))
    step, rows = timedelta(minutes=minutes), []
    for name in rng.permutation(["b", "a", "c 1", "Z", "ü"])[: rng.integers(1, 6)]:
        start = EPOCH + timedelta(days=int(rng.integers(-9000, 20000)), minutes=int(rng.integers(0, 1440)))
        for k in rng.integers(0, 30, int(rng.integers(2, 40))):
            value = float(np.float32(rng.choice([np.nan, *rng.normal(size=4)])))
            rows += [(str(name), start + int(k) * step, value)]
        rows.append((str(name), start, 1.0))
    rows = [rows[i] for i in rng.permutation(len(rows))]
    name = f"t.{kind}"
    if kind == "parquet":
        columns = {"id": [r[0] for r in rows], "t": pa.array([r[1] for r in rows], pa.timestamp("ms")), "y": [r[2] for r in rows]}
        parquet.write_table(pa.table(columns), tmp_path / name)
        table = (tmp_path / name).read_bytes()
    else:
        mark = "\t" if kind == "tsv" else ","
        text = mark.join(["extra", "y", "t", "id"]) + "\n"
        text += "".join(mark.join(["x", "" if math.isnan(v) else repr(v), t.isoformat(), n]) + "\n" for n, t, v in rows)
        table = gzip.compress(text.encode()) if kind.endswith("gz") else text.encode()
    data = opened(table, name, freq=f"{minutes}T", duplicates="last", short="fewer")
    want = by_loop(rows, step)
    assert values(data.series) == {n: [column] for n, (_, column) in want.items()}
    assert [s.item() for s in data.series.starts] == [start for start, _ in want.values()]


def test_the_order_of_rows_does_not_matter(opened: Opener) -> None:
    rows = [f"{name},2024-01-{day:02d},{day}" for name in "ab" for day in range(1, 20)]
    first = opened("id,t,y\n" + "\n".join(rows))
    second = opened("id,t,y\n" + "\n".join(rows[::-1]))
    assert first.series.fingerprint == second.series.fingerprint != ""
    other = opened("id,t,y\n" + "\n".join(rows).replace("2024-01-07,7", "2024-01-07,8"))
    assert other.series.fingerprint != first.series.fingerprint


def test_many_pieces_and_files(opened: Opener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.table_rows.BLOCK", 64)
    monkeypatch.setattr("harness_tasks.own.grid.PIECE", 3)
    (tmp_path / "t").mkdir()
    for part in range(3):
        days = "\n".join(f"{name},2024-01-{1 + part * 10 + k:02d},{part * 10 + k}" for k in range(10) for name in "ab")
        (tmp_path / "t" / f"p{part}.csv").write_text(f"id,t,y\n{days}\n")
    for source in ("t", '"t/p*.csv"', f'"{tmp_path}/t/p?.csv"'):
        assert values(opened("", "unused", source=source).series) == {n: [[float(k) for k in range(30)]] for n in "ab"}
    (tmp_path / "t" / "p2.csv").write_text("id,t,y\na,2024-01-05,1\n")
    with pytest.raises(DataError, match=r"p2.csv, row 1 \(line 2\): got a second row .* the first at .*p0.csv, row 9 \(line 10\)"):
        opened("", "unused", source="t")


def test_variates_and_covariates(opened: Opener) -> None:
    table = "t,a,b,p,k\n2024-01-01,,,9,0\n2024-01-02,1,,1,true\n2024-01-03,2,3,,4\n2024-01-05,,6,7,8\n2024-01-06,,,1,1\n"
    with pytest.raises(DataError, match=r"row 2 \(line 3\): got k 'true'; wanted a number"):
        opened(table, columns="{time: t, target: [b, a], past: p, known: [k]}")
    data = opened(table.replace("true", "1"), columns="{time: t, target: [b, a], past: p, known: [k]}")
    series = data.series
    assert values(series) == {"series": [[None, 3.0, None, 6.0], [1.0, 2.0, None, None]]}
    assert series.past is not None and series.known is not None and series.past_names == ("p",)
    np.testing.assert_array_equal(series.past[0], np.array([1, np.nan, np.nan, 7], np.float32))
    np.testing.assert_array_equal(series.known[0], np.array([1, 4, np.nan, 8], np.float32))
    assert data.task.variates == 2 and data.channel.tolist() == [0, 1]
    assert series.starts[0].item() == datetime(2024, 1, 2)


def test_wide(opened: Opener) -> None:
    table = "t,north,south,count\n2024-01-01,1,,3\n2024-01-02,2,5,3\n2024-01-04,,6,3\n"
    data = opened(table, layout="wide", columns="{time: t}", short="fewer")
    assert values(data.series) == {"count": [[3.0, 3.0, None, 3.0]], "north": [[1.0, 2.0]], "south": [[5.0, None, 6.0]]}
    assert [str(s.item().date()) for s in data.series.starts] == ["2024-01-01", "2024-01-01", "2024-01-02"]
    assert set(values(opened(table, layout="wide", columns="{time: t, target: [south]}").series)) == {"south"}
    with pytest.raises(DataError, match=r"row 2 \(line 3\), column south: got .* which is no whole number of steps|row 2"):
        opened(table.replace("-02,2", "-02T01:00,2"), layout="wide", columns="{time: t}")


@pytest.mark.parametrize("timed", ["start", "list", "none"])
def test_nested(timed: str, opened: Opener, tmp_path: Path) -> None:
    start = [datetime(2024, 1, 31), datetime(2023, 2, 28)]
    y, k = [[1.0, None, 3.0], [4.0, 5.0]], [[1, 2, 3], [4, 5]]
    columns: dict[str, Any] = {"id": ["b", "a"], "y": y, "k": k}
    columns["t"] = (
        start
        if timed == "start"
        else [[datetime(2024, 1, 31), datetime(2024, 2, 29), datetime(2024, 3, 31)], [start[1], datetime(2023, 3, 28)]]
    )
    parquet.write_table(pa.table(columns), tmp_path / "n.parquet")
    named = "{id: id, target: y, known: k}" if timed == "none" else "{id: id, time: t, target: y, known: k}"
    data = opened((tmp_path / "n.parquet").read_bytes(), "n.parquet", layout="nested", columns=named, freq="M")
    assert values(data.series) == {"a": [[4.0, 5.0]], "b": [[1.0, None, 3.0]]}
    want = [datetime(1970, 1, 1)] * 2 if timed == "none" else [start[1], start[0]]
    assert [s.item() for s in data.series.starts] == want
    parquet.write_table(pa.table({**columns, "k": [[1, 2, 3], [4]]}), tmp_path / "n.parquet")
    with pytest.raises(DataError, match="row 2: got 1 values of k; wanted 2, as y has"):
        opened((tmp_path / "n.parquet").read_bytes(), "n.parquet", layout="nested", columns=named, freq="M")


def test_a_saved_dataset_needs_no_package(opened: Opener, write: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    write([[1.0, 2.0, 3.0], [4.0, 5.0]], name="saved", freq="H", shards=2)
    columns = "{id: item_id, time: start, target: target}"
    data = opened("", "unused", source="saved", columns=columns, layout="nested", freq="H")
    assert values(data.series) == {"item 0": [[1.0, 2.0, 3.0]], "item 1": [[4.0, 5.0]]}
    with pytest.raises(Unavailable, match="needs the package datasets"):
        opened("", "unused", source="hf:org/name", columns=columns)


def test_a_dataset_of_the_hub(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    datasets = pytest.importorskip("datasets")
    made = datasets.Dataset.from_dict({"id": ["a", "b"], "t": [datetime(2024, 1, 1)] * 2, "y": [[1.0, 2.0], [3.0, 4.0, 5.0]]})
    asked = []

    def load(name: str, config: str | None, **options: Any) -> Any:
        asked.append((name, config, options["split"], options["revision"]))
        return made

    monkeypatch.setattr(datasets, "load_dataset", load)
    data = opened("", "unused", source="hf:org/name@abc", config="daily", split="test")
    assert values(data.series) == {"a": [[1.0, 2.0]], "b": [[3.0, 4.0, 5.0]]}
    assert asked == [("org/name", "daily", "test", "abc")]


def test_ready_formats(suite: Callable[[str], OwnSuite], write: Any, tmp_path: Path) -> None:
    write([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]], name="folder", kind=pa.list_(pa.list_(pa.float32())), freq="H")
    (tmp_path / "t.tsf").write_text(
        "@relation r\n@attribute series_name string\n@attribute start_timestamp date\n@frequency daily\n@missing false\n"
        "@equallength false\n@data\nT1:2020-01-01 00-00-00:1,2,3\n"
    )
    made = suite(
        "name: own\ndefaults: {horizon: 1}\ntasks:\n- {name: a, source: folder, format: gift-eval, freq: H, variates: 2}\n"
        "- {name: b, source: t.tsf, freq: D}\n- {name: c, source: folder, format: gift-eval, freq: D}\n"
        "- {name: d, source: folder, format: gift-eval, freq: H}\n"
    )
    a, b, c, d = made.tasks()
    assert values(made.open(a).series) == {"item 0": [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]}
    assert values(made.open(b).series) == {"T1": [[1.0, 2.0, 3.0]]}
    with pytest.raises(DataError, match=r"says freq H; .*own.yaml, line 6 declares D"):
        made.open(c)
    with pytest.raises(DataError, match="got 2 variates; the file says variates: 1"):
        made.open(d)


@pytest.mark.parametrize(
    ("stamps", "keys", "start", "length"),
    [
        (["2024-01-01", "2024-01-02"], {}, "2024-01-01", 2),
        (["2024-01-01 06:30", "2024-01-03 06:30"], {}, "2024-01-01T06:30", 3),
        (["2024-01-01T00:00:00+01:00", "2024-01-01T00:00Z"], {"freq": "H"}, "2023-12-31T23:00", 2),
        (["31.12.2023 23:00", "01.01.2024 00:00"], {"freq": "H", "time_format": "'%d.%m.%Y %H:%M'"}, "2023-12-31T23:00", 2),
        (["Jan 2024", "Mar 2024"], {"freq": "M", "time_format": "'%b %Y'"}, "2024-01-01", 3),
        (["2019", "2021"], {"freq": "A", "time_format": "'%Y'"}, "2019-01-01", 3),
        (["20240131", "20240201"], {"time_format": "'%Y%m%d'"}, "2024-01-31", 2),
        (["1704067200", "1704070800"], {"freq": "H", "time_format": "epoch-s"}, "2024-01-01", 2),
        (["1704067200000000000", "1704070800000000000"], {"freq": "H", "time_format": "epoch-ns"}, "2024-01-01", 2),
        (["17", "20"], {"freq": "D", "time_format": "step"}, "1970-01-18", 4),
        (["2024-01-31", "2024-02-29", "2024-04-30"], {"freq": "M"}, "2024-01-31", 4),
        (["2023-11-30", "2024-02-29", "2024-05-30"], {"freq": "Q"}, "2023-11-30", 3),
        (["2024-02-29", "2025-02-28"], {"freq": "A"}, "2024-02-29", 2),
        (["2024-01-05", "2024-01-08", "2024-01-10"], {"freq": "B"}, "2024-01-05", 4),
        (["2024-01-03", "2024-01-17"], {"freq": "W-WED"}, "2024-01-03", 3),
        (["2024-01-01 00:00:01", "2024-01-01 00:59:58"], {"freq": "H", "snap": "5"}, "2024-01-01", 2),
        (["1965-12-31 23:00", "1966-01-01 01:00"], {"freq": "H"}, "1965-12-31T23:00", 3),
    ],
)
def test_times(stamps: list[str], keys: Mapping[str, str], start: str, length: int, opened: Opener) -> None:
    table = "id,t,y\n" + "\n".join(f"a,{stamp},{i}" for i, stamp in enumerate(stamps))
    data = opened(table, **keys)
    assert data.series.starts.tolist() == [datetime.fromisoformat(start)]
    assert len(one(data)) == length and sum(v is not None for v in one(data)) == len(stamps)


def test_zones(opened: Opener) -> None:
    """Hours through the end of summer time, written in three ways, and days that begin at local midnight."""
    berlin = ZoneInfo("Europe/Berlin")
    hours = [datetime(2024, 10, 26, 20, tzinfo=UTC) + timedelta(hours=k) for k in range(12)]
    for written in (hours, [h.astimezone(berlin) for h in hours]):
        data = opened("id,t,y\n" + "\n".join(f"a,{h.isoformat()},{i}" for i, h in enumerate(written)), freq="H")
        assert one(data) == [float(i) for i in range(12)] and data.series.starts[0].item() == datetime(2024, 10, 26, 20)
    naive = "id,t,y\n" + "\n".join(f"a,{h.astimezone(berlin).replace(tzinfo=None).isoformat()},{i}" for i, h in enumerate(hours))
    with pytest.raises(DataError, match="got a second row for the same step"):
        opened(naive, freq="H")
    with pytest.raises(DataError, match=r"row 5 \(line 6\): got t 2024-10-27 02:00:00, which is there twice in Europe/Berlin; .* offset"):
        opened(naive, freq="H", timezone="Europe/Berlin")
    kept = opened(naive, freq="H", timezone="Europe/Berlin", duplicates="first")
    assert one(kept) == [0.0, 1.0, 2.0, 3.0, 4.0, None, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0]
    with pytest.raises(DataError, match="got t 2024-03-31 02:30:00, which does not exist in Europe/Berlin"):
        opened("id,t,y\na,2024-03-31 02:30,1\na,2024-03-31 04:30,1\n", freq="H", timezone="Europe/Berlin")
    days = [datetime(2024, 3, 29 + k, tzinfo=berlin) if k < 3 else datetime(2024, 4, k - 2, tzinfo=berlin) for k in range(6)]
    table = "id,t,y\n" + "\n".join(f"a,{d.astimezone(UTC).isoformat()},{i}" for i, d in enumerate(days))
    with pytest.raises(DataError, match=r"no whole number of steps .* timezone: NAME"):
        opened(table)
    assert one(opened(table, timezone="Europe/Berlin")) == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]


@pytest.mark.parametrize(("how", "want"), [("first", [1.0, None, 5.0]), ("last", [3.0, 4.0, 5.0]), ("mean", [2.0, 4.0, 5.0])])
def test_duplicates(how: str, want: list[float | None], opened: Opener) -> None:
    table = "id,t,y\na,2024-01-01,1\na,2024-01-03,5\na,2024-01-02,\na,2024-01-01,3\na,2024-01-02,4\n"
    assert one(opened(table, duplicates=how)) == want


def test_gaps(opened: Opener) -> None:
    table = "id,t,y\na,2024-01-01,1\na,2024-01-04,2\na,2024-01-09,3\n"
    assert one(opened(table)) == [1.0, None, None, 2.0, None, None, None, None, 3.0]
    with pytest.raises(DataError, match=r"series 'a' has no row for 2024-01-02T00:00:00"):
        opened(table, gaps="error")
    joined = opened(table, gaps="joined", freq="B")
    assert one(joined) == [1.0, 2.0, 3.0] and joined.series.times is not None
    assert [str(t.item().date()) for t in joined.series.times] == ["2024-01-01", "2024-01-04", "2024-01-09"]
    both = table + "b,2024-01-01,1\nb,2024-01-04,2\nb,2024-01-09,\n"
    assert values(opened(both, gaps="joined").series) == {"a": [[1.0, 2.0, 3.0]], "b": [[1.0, 2.0, None]]}
    with pytest.raises(DataError, match="series 'b' has no row for 2024-01-09 00:00:00, which another has"):
        opened(both.replace("b,2024-01-09,\n", ""), gaps="joined")


def test_rows_without_times(opened: Opener) -> None:
    data = opened("id,y\na,1\nb,5\na,\na,3\nb,6\n", columns="{id: id, target: y}")
    assert values(data.series) == {"a": [[1.0, None, 3.0]], "b": [[5.0, 6.0]]}


def test_filter(opened: Opener) -> None:
    table = "id,land,y,t\na,DE,1,2024-01-01\nb,NO,2,2024-01-01\na,DE,3,2024-01-02\nb,NO,x,2024-01-02\nc,,7,2024-01-01\nc,,7,2024-01-02\n"
    assert values(opened(table, filter="{land: DE}").series) == {"a": [[1.0, 3.0]]}
    assert set(values(opened(table, filter="{land: [DE, ''], id: c}").series)) == {"c"}
    with pytest.raises(DataError, match=r"row 4 \(line 5\): got y 'x'"):
        opened(table, filter="{land: NO}")
    with pytest.raises(DataError, match="has no row that the filter keeps"):
        opened(table, filter="{land: FR}")


def test_how_csv_is_written(opened: Opener) -> None:
    table = '"id";"t";"y ü"\r\n"a;1";2024-01-01;1,5\r\n\r\n"a;1";2024-01-02;?\r\n"a;1";2024-01-03; 2 \r\n'
    keys = {"columns": "{id: id, time: t, target: 'y ü'}", "csv": "{separator: ';', decimal: ',', encoding: cp1252, missing: ['?']}"}
    data = opened(table.encode("cp1252"), **keys)
    assert values(data.series) == {"a;1": [[1.5, None, 2.0]]}
    bom = opened(b"\xef\xbb\xbf" + b"id,t,y\na,2024-01-01,1e3\na,2024-01-02,NA\na,2024-01-03,-.5\n")
    assert one(bom) == [1000.0, None, -0.5]
    quoted = opened('id,t,y,note\na,2024-01-01,1,"two\nlines"\na,2024-01-02,2,\n')
    assert one(quoted) == [1.0, 2.0]
    ids = opened("id,t,y\n007,2024-01-01,1\n007,2024-01-02,1\nNA,2024-01-01,1\nNA,2024-01-02,1\n")
    assert set(values(ids.series)) == {"007", "NA"}


def test_types_of_parquet(opened: Opener, tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": pa.array(["a", "a"]).dictionary_encode(),
            "t": pa.array([datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 2, tzinfo=UTC)], pa.timestamp("ns", "Asia/Tokyo")),
            "y": pa.array([2**53, None], pa.int64()),
            "k": pa.array([True, False]),
        }
    )
    parquet.write_table(table, tmp_path / "p.parquet")
    raw = (tmp_path / "p.parquet").read_bytes()
    data = opened(raw, "p.parquet", columns="{id: id, time: t, target: k, past: y}", short="fewer", timezone="Asia/Tokyo")
    assert one(data) == [1.0, 0.0] and data.series.starts[0].item() == datetime(2024, 1, 1, 9)
    assert data.series.past is not None and data.series.past[0][0] == 2.0**53
    with pytest.raises(DataError, match="row 1: got id 'a'; wanted a number or nothing"):
        opened(raw, "p.parquet", columns="{time: t, target: id}")
    with pytest.raises(DataError, match="cannot be read"):
        opened(raw[: len(raw) // 2], "p.parquet")


@pytest.mark.parametrize("seed", range(20))
def test_windows_beside_a_loop(seed: int, opened: Opener) -> None:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 60, 4).tolist()
    horizon, stride, count, least = (int(rng.integers(1, n)) for n in (6, 5, 5, 4))
    short = ["skip", "fewer"][seed % 2]
    rows = [f"s{i},{datetime(2024, 1, 1) + timedelta(days=k):%Y-%m-%d},{k}" for i, n in enumerate(lengths) for k in range(n)]
    want = []
    for i, length in enumerate(lengths):
        cuts = [length - horizon - stride * (count - 1 - w) for w in range(count)]
        good = [(i, w, cut) for w, cut in enumerate(cuts) if cut >= least]
        want += good if short == "fewer" or len(good) == count else []
    keys = {"horizon": horizon, "stride": stride, "windows": count, "min_context": least, "short": short}
    if not want:
        with pytest.raises(DataError, match="steps or more"):
            opened("id,t,y\n" + "\n".join(rows), **keys)
        return
    data = opened("id,t,y\n" + "\n".join(rows), **keys)
    assert list(zip(data.channel.tolist(), data.slot.tolist(), data.cut.tolist(), strict=True)) == want


@pytest.mark.parametrize(("length", "horizon", "want"), [(100, 5, 2), (101, 5, 3), (1000, 1, 20), (10, 9, 1), (30, 3, 1)])
def test_windows_by_the_rule_of_gift_eval(length: int, horizon: int, want: int, opened: Opener) -> None:
    from harness_tasks.gift_eval import ROWS, window_count

    rows = [f"a,{datetime(2020, 1, 1) + timedelta(days=k):%Y-%m-%d},{k}" for k in range(length)]
    data = opened("id,t,y\n" + "\n".join(rows), horizon=horizon)
    plain = next(row for row in ROWS if row.family != "m4")
    assert data.windows == want == window_count(plain, horizon, length)


def test_short_series_are_told(opened: Opener) -> None:
    rows = ["id,t,y", *(f"a,2024-01-{d:02d},1" for d in range(1, 10)), "b,2024-01-01,1", "c,2024-01-01,", "c,2024-01-02,"]
    table = "\n".join(rows)
    with pytest.raises(DataError, match=r"t: 2 of 3 series are shorter than the 4 steps .* b \(1 steps\), c \(no value\)\. .* short: skip"):
        opened(table, horizon=3)
    data = opened(table, horizon=3, short="skip")
    assert data.channel.tolist() == [0] and data.series.item_ids.to_pylist() == ["a", "b"]
    with pytest.raises(DataError, match="no series of 101 steps or more, the longest has 9"):
        opened(table, horizon=100, short="skip")


def test_a_changed_file_is_noticed(opened: Opener, tmp_path: Path) -> None:
    data = opened("id,t,y\na,2024-01-01,1\na,2024-01-02,1\n")
    data.series.check()
    (tmp_path / "t.csv").write_text("id,t,y\na,2024-01-01,1\na,2024-01-02,2\na,2024-01-03,2\n")
    with pytest.raises(DataError, match="changed while they were read"):
        data.series.check()


def test_terms_share_what_is_read(suite: Callable[[str], OwnSuite], tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,t,y\n" + "\n".join(f"a,2024-01-{d:02d},{d}" for d in range(1, 30)))
    made = suite(
        "name: own\ndefaults:\n  source: t.csv\n  columns: {id: id, time: t}\n  freq: D\n  horizon: 9\n  domain: Sales\ntasks:\n"
        "- {name: a, columns: {target: y}, horizons: [1, 2], known_as: [M5]}\n"
        "- {name: b/c, columns: {target: y}, horizons: {short: 1, long: 3}, family: f, season_length: 7}\n"
        "- {name: d, columns: {target: y}}\n"
    )
    tasks = made.tasks()
    assert [(t.name, t.term, t.horizon) for t in tasks] == [
        *(("a/1", "1", 1), ("a/2", "2", 2)),
        *(("b/c/short", "short", 1), ("b/c/long", "long", 3), ("d", "", 9)),
    ]
    assert tasks[0].sources == ("M5", "a") and tasks[2].family == "f" and tasks[2].season_length == 7 and tasks[4].domain == "Sales"
    assert tasks[0].protocol == "own/1 windows=auto stride=1 short=error min_context=1"
    assert made.open(tasks[0]).series is made.open(tasks[4]).series


def test_an_event(opened: Opener) -> None:
    data = opened(
        "id,t,y\n" + "\n".join(f"a,2024-01-{d:02d},{d}" for d in range(1, 30)), horizon=3, event="{name: up, relative: ratio, above: 0.1}"
    )
    event = data.task.event
    assert event is not None and (event.name, event.step, event.above, event.relative, event.inclusive) == ("up", 3, 0.1, "ratio", False)
    assert data.task.kind == "event" and data.task.row()["event"] == "up"


def test_the_same_numbers_as_csv_of_python(opened: Opener, tmp_path: Path) -> None:
    """Digits, exponents, blanks and words, read cell by cell with Python's own means."""
    cells = ["1", "1.", ".5", "+3", "-2e-3", " 7 ", "", "NaN", "null", "N/A", "123456789", "1e-40", "3.4e38", "0.1"]
    path = tmp_path / "t.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "t", "y", "k"])
        writer.writerows(["a", f"2024-01-{i + 1:02d}", cell, "1"] for i, cell in enumerate(cells))
    want = [np.float32(cell) if (cell.strip() and cell.strip()[-1].isdigit()) or cell in ("1.",) else np.float32("nan") for cell in cells]
    data = opened(path.read_bytes(), columns="{id: id, time: t, target: k, past: y}")
    assert data.series.past is not None
    np.testing.assert_array_equal(data.series.past[0], np.array(want))
