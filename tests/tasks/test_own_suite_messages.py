"""What a mistake in a suite file or its table is answered with; and that nothing but our own errors comes out, whatever is written."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import DataError, HarnessError, Unavailable
from harness_tasks.own import suite_file
from harness_tasks.own.suite import OwnSuite, open_file
from harness_tasks.own.suite_file import read

GOOD = """\
name: own
summary: all keys
license: MIT
url: https://example.org
version: "2"
baseline: naive
defaults:
  freq: D
  columns: {id: id, time: t}
tasks:
  - name: t
    source: t.csv
    format: csv
    layout: long
    columns: {target: [y], past: [p], known: [k]}
    filter: {id: [a, b]}
    csv: {separator: ',', decimal: '.', encoding: utf-8, missing: ['?']}
    time_format: '%Y-%m-%d'
    timezone: UTC
    snap: 1
    duplicates: mean
    gaps: missing
    horizon: 2
    windows: auto
    stride: 1
    short: skip
    min_context: 1
    season_length: 7
    quantile_levels: [0.1, 0.5, 0.9]
    dialect: gift-eval
    event: {name: up, step: 1, above: 0.5, relative: ratio, inclusive: true}
    context: 3
    fill_gaps: 1
    rounded: false
    domain: Sales
    family: f
    known_as: [M5]
"""
TABLE = "id,t,y,p,k\n" + "\n".join(f"{n},2024-01-{d:02d},{d},{d},1" for n in "ab" for d in range(1, 13))


@pytest.fixture
def message(tmp_path: Path) -> Callable[..., str]:
    """The message of a suite file and a table, its path left out; "" where nothing is wrong."""

    def read_it(text: str | bytes, table: str | bytes = TABLE) -> str:
        path = tmp_path / "own.yaml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        (tmp_path / "t.csv").write_bytes(table.encode() if isinstance(table, str) else table)
        try:
            found = open_file(path)
            assert found is not None
            suite: Any = found[1](None)
            for task in suite.tasks():
                suite.open(task)
        except (DataError, Unavailable) as error:
            return str(error).replace(f"{tmp_path}/", "")
        return ""

    return read_it


def test_all_keys_at_once(message: Callable[..., str], tmp_path: Path) -> None:
    assert message(GOOD) == ""
    (task,) = OwnSuite(read(tmp_path / "own.yaml")).tasks()
    assert (task.context, task.fill_gaps, task.rounded, task.quantile_levels) == (3, 1, False, (0.1, 0.5, 0.9))
    info = read(tmp_path / "own.yaml").info
    assert (info.name, info.version, info.baseline) == ("own", "2", "naive")


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("horizon: 2", "horizont: 2", "own.yaml, line 23: tasks: got the key 'horizont'; wanted one of name, source"),
        ("horizon: 2", "horizont: 2", "Did you mean 'horizon'?"),
        ("domain: Sales", "freq: D\n    freq: H", "line 36: tasks: got the key 'freq' twice, first in line 35; wanted each key once."),
        ("horizon: 2", "horizon: two", "line 23: t: horizon: got 'two'; wanted a whole number from 1 to 1,000,000."),
        ("horizon: 2", "horizon: 0", "horizon: got '0'; wanted a whole number"),
        ("horizon: 2", "horizon: ", "horizon: got nothing; wanted a whole number"),
        ("horizon: 2", "horizon: 2\n    horizons: [3]", "line 24: t: horizons: got 'horizon' and 'horizons'; wanted one of them."),
        ("horizon: 2", "horizons: [3, 3]", "horizons: got a horizon twice"),
        ("    horizon: 2\n", "", "line 11: tasks: got a task without 'horizon'; wanted horizon: STEPS"),
        ("freq: D", "freq: 99999999999D", "line 8: t: freq: got '99999999999D'; wanted a multiple of at most 7 digits"),
        ("freq: D", "freq: 1X", "line 8: t: freq: got '1X'; wanted a pandas alias such as"),
        ("  freq: D\n", "  domain: x\n", "wanted one, as it is never guessed. The first rows of t.csv look like freq: D"),
        ("layout: long", "layout: broad", "got 'broad'; wanted one of long, wide, nested."),
        ("layout: long", "layout: wide", "in the wide layout each column is a series"),
        ("layout: long", "layout: nested", "a cell of CSV holds no list"),
        ("target: [y]", "target: [y, y]", "columns: target: got 'y' twice"),
        ("target: [y]", "target: [p]", "got the column 'p', which is 'target' too"),
        ("target: [y], ", "", "got a task without target columns (t); wanted columns:"),
        ("target: [y]", "target: [why]", "t.csv: has no column 'why' (own.yaml, line 12); its columns are id, t, y, p, k."),
        ("id: id", "id: iid", "Did you mean 'id'?"),
        ("source: t.csv", "source: tt.csv", "there is no tt.csv (own.yaml, line 12). Did you mean 't.csv'?"),
        ("source: t.csv", "source: 'x*.csv'", "no file matches x*.csv (own.yaml, line 12)"),
        ("name: t\n", "name: 'a b'\n", "line 11: tasks: name: got 'a b'; wanted letters"),
        ("name: own", "name: My Shop", "line 1: name: got 'My Shop'; wanted a name of small letters"),
        (
            "  - name: t\n",
            "  - {name: t, source: t.csv, freq: D, horizon: 2, columns: {target: y}}\n  - name: t\n",
            "the task 't' again, first in line 11",
        ),
        ("time_format: '%Y-%m-%d'", "time_format: '%Q'", "got '%Q'; wanted iso, epoch-s"),
        (
            "time_format: '%Y-%m-%d'",
            "time_format: epoch-s",
            "row 1 (line 2): got t '2024-01-01'; wanted a whole number, as time_format: epoch-s says.",
        ),
        ("time_format: '%Y-%m-%d'", "time_format: '%d.%m.%Y'", "wanted a time that exists, written as '%d.%m.%Y' (time_format)."),
        ("timezone: UTC", "timezone: Mars/Base", "got 'Mars/Base'; wanted a time zone as Europe/Berlin"),
        ("snap: 1", "snap: 50000", "got '50000'; wanted seconds, above 0 and at most half a step (43200 s)"),
        ("separator: ','", "separator: ab", "separator: got 'ab'; wanted one character"),
        ("decimal: '.'", "decimal: ','", "got a decimal comma and commas between fields; wanted another separator too"),
        ("encoding: utf-8", "encoding: klingon", "got 'klingon'; wanted an encoding that Python knows"),
        ("[0.1, 0.5, 0.9]", "[0.5, 0.1]", "got the levels 0.5, 0.1; wanted rising numbers between 0 and 1."),
        ("step: 1", "step: 3", "got step 3; wanted a step of the horizon, 1 to 2."),
        ("name: up, ", "", "got an event without 'name'; wanted a name, as up."),
        ("relative: ratio", "relative: percent", "got 'percent'; wanted one of '', ratio, difference."),
        ("rounded: false", "rounded: no", "got 'no'; wanted one of true, false."),
        ("family: f", "variates: 2", "got 'variates'; wanted it with format: gift-eval alone"),
        ("format: csv", "format: gift-eval", "got 'columns' with the format gift-eval; wanted none, since such files say it themselves"),
        ("family: f", "family: &x f", "has an anchor (& or *); wanted plain values. What tasks share goes into 'defaults'"),
        ("family: f", "family: !!python/name:os.system f", "has the tag"),
        ("family: f", "family: a: b", "is no YAML (mapping values are not allowed here)"),
        ("family: f", "family: [a]", "family: got a list of 1; wanted a text."),
        ("filter: {id: [a, b]}", "filter: {}", "filter: got no column; wanted COLUMN: VALUE"),
        ("filter: {id: [a, b]}", "filter: {idd: a}", "has no column 'idd'"),
        ("baseline: naive", "baseline: nayve", "own.yaml, line 6: baseline: there is no model 'nayve'. Did you mean 'naive'?"),
        ("baseline: naive", "baseline: nosuch[a=1]", "own.yaml, line 6: baseline: there is no model 'nosuch'"),
        (
            "dialect: gift-eval\n    event: {name: up, step: 1, above: 0.5, relative: ratio, inclusive: true}",
            "dialect: spy",
            "own.yaml, line 30: t: dialect: got 'spy' in a task without 'event'; wanted event: {name: up, relative: ratio",
        ),
        ("short: skip", "short: skip\n    windows: 9", "the key 'windows' twice"),
        ("windows: auto", "windows: 99", "got no series of 101 steps or more; wanted that for 99 windows."),
    ],
)
def test_mistakes_in_the_file(old: str, new: str, wanted: str, message: Callable[..., str]) -> None:
    assert old in GOOD
    assert wanted in message(GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "own.yaml: is empty; wanted a description of a suite. To make one: harness new suite own"),
        ("# nothing\n", "is empty"),
        ("tasks: []\n", "own.yaml: has no 'name'"),
        ("name: own\n", "own.yaml: has no 'tasks'"),
        ("name: own\ntasks: []\n", "line 2: tasks: got an empty list; wanted at least one task."),
        ("name: own\ntasks: {a: 1}\n", "line 2: tasks: got keys and values; wanted a list, as in [A, B]."),
        ("name: own\ntasks: [a]\n", "line 2: tasks: got 'a'; wanted keys and values, as in KEY: VALUE of name, source"),
        ("name: own\n---\nname: b\n", "own.yaml, line 2: is no YAML (expected a single document"),
        ("- a\n- b\n", "got a list of 2; wanted keys and values"),
        (b"name: \xff\n", "is not UTF-8"),
        (b"name: \x00\n", "is no YAML"),
        ("[" * 5000, "line 1: is nested 13 deep; wanted a description"),
        ("a" * 300_000, "has 300,000 bytes; wanted a description of a suite, at most 262,144. Data belongs in a file beside it"),
        ("name: own\ntasks:\n\t- name: t\n", "own.yaml, line 3: is no YAML"),
    ],
)
def test_files_that_are_none(text: str | bytes, wanted: str, message: Callable[..., str]) -> None:
    assert wanted in message(text)


SHORT = "name: own\ntasks:\n  - {name: t, source: t.csv, columns: {id: id, time: t, target: y}, freq: D, horizon: 1"


@pytest.mark.parametrize(
    ("table", "keys", "wanted"),
    [
        ("", "", "t.csv: the file is empty; wanted a header and rows"),
        ("id,t,y\n", "", "t.csv: has no row (own.yaml, line 3); wanted at least one. Is the file whole?"),
        ("id;t;y\na;2024-01-01;1\n", "", "t.csv (its header has ';': declare csv: {separator: ';'}): has no column 'id'"),
        ("id,t,y,y\na,2024-01-01,1,2\n", "", "has the column 'y' 2 times"),
        ("id,t,y\na,2024-01-01,1\na,2024-01-02,1,5\n", "", "t.csv, line 3: 4 fields; wanted 3, as in the header. Is the file whole?"),
        (
            "id,t,y\na,2024-01-01,abc\n",
            "",
            "t.csv, row 1 (line 2): got y 'abc'; wanted a number or nothing. Words for no value are declared by",
        ),
        ("id,t,y\na,2024-01-01,1\n\n\na,2024-01-02,'3'\n", "", "t.csv, row 2 (line 5): got y \"'3'\"; wanted a number"),
        ('id,t,y\na,2024-01-01,"1,5"\n', "", "A decimal comma is declared by csv: {decimal: ','}"),
        ("id;t;y\na;2024-01-01;1.234,5\n", ", csv: {separator: ;, decimal: ','}", "got y '1.234,5'; wanted a number or nothing."),
        ("id,t,y\na,2024-01-01,inf\n", "", "got y 'inf'; wanted a finite number"),
        ("id,t,y\na,2024-01-01,1e39\n", "", "got y '1e39'; wanted a finite number of at most 3.4e38"),
        ("id,t,y\na,2024-01-01,1\n,2024-01-01,1\n", "", "row 2 (line 3): got no id; wanted the name of a series in each row."),
        ("id,t,y\na,2024-01-01,1\na,,1\n", "", "row 2 (line 3): got no t; wanted a time in each row."),
        ("id,t,y\na,2024-01-01,1\na,2024-02-30,1\n", "", "row 2 (line 3): got t '2024-02-30'; wanted a time that exists, as 2024-01-31,"),
        ("id,t,y\na,01/02/2024,1\n", "", "Another way to write them is declared by time_format: '%d.%m.%Y %H:%M'"),
        ("id,t,y\na,1704067200,1\n", "", "Numbers are declared by time_format: epoch-s"),
        (
            "id,t,y\na,2024-01-01T00:00Z,1\na,2024-01-02T00:00,1\n",
            "",
            "row 2 (line 3): got t '2024-01-02T00:00'; wanted times with a zone, as in other",
        ),
        (
            "id,t,y\na,2024-01-01,1\na,2024-01-02T00:00Z,1\n",
            "",
            "got t '2024-01-02T00:00Z'; wanted times without a zone, as in other rows.",
        ),
        ("id,t,y\na,31.02.2024,1\n", ", time_format: '%d.%m.%Y'", "got t '31.02.2024'; wanted a time that exists, written as '%d.%m.%Y'"),
        ("id,t,y\na,1704067200000,1\n", ", time_format: epoch-s", "Is it another of epoch-s, epoch-ms"),
        (
            "id,t,y\na,2024-01-01,1\na,2024-01-02 01:00,1\n",
            "",
            "row 2 (line 3): got 2024-01-02 01:00:00 of series 'a', which is no whole number",
        ),
        ("id,t,y\na,2024-01-01 00:00:09,1\n", ", snap: 5", "row 1 (line 2): got 2024-01-01 00:00:09 of series 'a'"),
        ("id,t,y\na,2024-01-06,1\n", ", freq: B", "got 2024-01-06 00:00:00 of series 'a', a weekend; wanted business days"),
        (
            "id,t,y\na,2024-01-31,1\na,2024-02-28,1\n",
            ", freq: M",
            "wanted times M apart (own.yaml, line 3). Times of the same day and hour",
        ),
        (
            "id,t,y\na,2024-01-01,1\na,2024-01-01,2\n",
            "",
            "row 2 (line 3): got a second row for the same step of series 'a', the first at t.csv, row 1",
        ),
        ("id,t,y\na,2024-01-01,1\na,2024-01-01,2\n", "", "1 rows are like it. To allow them: duplicates: first, last or mean"),
        ("id,t,y\na,2024-01-01,1\n", "", "t: 1 of 1 series are shorter than the 2 steps that its windows need: a (1 steps)."),
        (
            "id,t,y\nä,2024-01-01,1\n".encode("latin-1"),
            "",
            "t.csv, line 2: has bytes that are not utf-8; wanted that. Another is declared by csv: {encoding: cp1252}. The first is 0xe4",
        ),
        ("ïd,t,y\nä,2024-01-01,1\n".encode("latin-1"), "", "has bytes that are not utf-8"),
        (
            "id,t,y\na,0001-01-01 00:00:00,1\na,9999-01-01 00:00:00,1\n",
            ", freq: S",
            "would have 315,506,361,601 steps of S for 2 rows, from t.csv, row 1",
        ),
    ],
)
def test_mistakes_in_the_table(table: str | bytes, keys: str, wanted: str, message: Callable[..., str]) -> None:
    text = SHORT.replace(", freq: D", "") if ", freq" in keys else SHORT
    assert wanted in message(f"{text}{keys}}}\n", table)


def test_what_is_cut_short(message: Callable[..., str], tmp_path: Path) -> None:
    import gzip

    packed = gzip.compress(b"id,t,y\n" + "".join(f"a,2024-01-01T00:{i % 60:02d},{i}\n" for i in range(5000)).encode())
    (tmp_path / "t.csv.gz").write_bytes(packed[: len(packed) // 2])
    assert "t.csv.gz: cannot be read" in message(SHORT.replace("t.csv", "t.csv.gz") + "}\n")
    (tmp_path / "empty").mkdir()
    assert "the folder empty has no file of a kind that is read" in message(SHORT.replace("t.csv", "empty") + "}\n")
    (tmp_path / "t.xlsx").write_bytes(b"PK")
    assert "got the file t.xlsx; wanted files of one kind that is read" in message(SHORT.replace("t.csv", "t.xlsx") + "}\n")


def outcome(folder: Path, text: bytes, table: bytes) -> None:
    """Nothing but our errors comes out of a suite file and its table."""
    path = folder / "own.yaml"
    path.write_bytes(text)
    (folder / "t.csv").write_bytes(table)
    try:
        found = open_file(path)
        assert found is not None
        suite: Any = found[1](None)
        for task in suite.tasks():
            data = suite.open(task)
            assert len(data) and (data.cut >= 1).all() and (data.cut + task.horizon <= data.series.target.length[data.channel]).all()
    except HarnessError as error:
        assert str(error)


WORDS = st.sampled_from([
    *GOOD.split(), "{", "}", "[", "]", ":", "-", "\n", "  ", "'", '"', "#", "&a", "*a", "!!int", "<<", "null", "~",
    "1e999", "-1", "٣", "\u2028", "|", ">", "%", "\\",
])  # fmt: skip


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(0, len(GOOD.split("\n")) - 1), WORDS, st.booleans()), min_size=1, max_size=4))
def test_any_file(tmp_path: Path, changes: list[tuple[int, str, bool]]) -> None:
    lines = GOOD.split("\n")
    for at, word, value in changes:
        key, colon, rest = lines[at].partition(":")
        lines[at] = f"{key}{colon} {word}" if value and colon else f"{key}{word}{colon}{rest}"
    outcome(tmp_path, "\n".join(lines).encode(), TABLE.encode())


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
@given(
    st.integers(0, 2**32),
    st.lists(
        st.sampled_from([b",", b"\n", b'"', b"\xff", b"\0", b"inf", b"-", b"9" * 25, b"2024-13-01", b"0", b"1e400", b" "]), max_size=5
    ),
)
def test_any_table(tmp_path: Path, seed: int, parts: list[bytes]) -> None:
    rng, table = random.Random(seed), TABLE.encode()
    for part in parts:
        at = rng.randrange(len(table))
        table = table[:at] + part + table[at + rng.randrange(4) :]
    more = rng.choice(
        ["", ", duplicates: mean", ", gaps: joined", ", snap: 100", ", freq: B", ", freq: M", ", short: skip", ", time_format: '%Y-%m-%d'"]
    )
    text = SHORT.replace(", freq: D", "") if ", freq" in more else SHORT
    outcome(tmp_path, f"{text}{more}}}\n".encode(), table)


def test_any_bytes(tmp_path: Path) -> None:
    rng = random.Random(1)
    for _ in range(60):
        text = bytearray(GOOD.encode())
        for _ in range(rng.randrange(1, 8)):
            at = rng.randrange(len(text))
            text[at : at + rng.randrange(6)] = rng.randbytes(rng.randrange(4))
        outcome(tmp_path, bytes(text), TABLE.encode())


DAYS = [f"2024-01-{day:02d}" for day in range(1, 29)]


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("packed.csv.gz", "packed.csv.gz: cannot be read (Error -3 while decompressing"),
        ("long.csv", "long.csv, row 29: got y '9999"),
        ("lists.parquet", "lists.parquet, row 1: got id of type list<element: string>; wanted a column of texts, numbers or times."),
        ("bytes.parquet", "bytes.parquet, row 1: got id of type binary; wanted a column"),
        ("a**b.csv", "got the pattern 'a**b.csv'"),
        (f"{'x' * 300}.csv", "source: got a path that is none"),
        ("~nobody-of-this-name/x.csv", "there is no "),
    ],
)
def test_sources_that_cannot_be_read(name: str, wanted: str, message: Callable[..., str], tmp_path: Path) -> None:
    import gzip

    text = "id,t,y\n" + "".join(f"a,{day},1\n" for day in DAYS)
    packed = bytearray(gzip.compress(text.encode()))
    packed[20:60] = b"\xff" * 40
    (tmp_path / "packed.csv.gz").write_bytes(packed)
    (tmp_path / "long.csv").write_text(f"{text}a,2024-02-01,{'9' * 200_000}\n")
    for kind, values in (("lists", pa.array([["a"]] * 28)), ("bytes", pa.array([b"\xff\xfe"] * 28))):
        pq.write_table(pa.table({"id": values, "t": DAYS, "y": [1.0] * 28}), tmp_path / f"{kind}.parquet")
    assert wanted in message(SHORT.replace("t.csv", name) + "}\n")


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_no_file(kind: str, message: Callable[..., str], tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    os.mkfifo(path) if kind == "pipe" else path.symlink_to("/dev/zero")
    said = message(SHORT.replace("t.csv", "p.csv") + "}\n")
    assert said == f"own.yaml, line 3: source: got p.csv, which is a {kind}; wanted a file, a folder of files or a pattern"


@pytest.mark.parametrize("source", ["caf*.csv", "folder"])
def test_a_name_that_is_no_utf_8(source: str, message: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    for folder in (tmp_path, tmp_path / "folder"):
        (folder / os.fsdecode(b"caf\xe9.csv")).write_text(TABLE)
    assert "caf\ufffd.csv: this path is not UTF-8" in message(SHORT.replace("t.csv", f"'{source}'") + "}\n")


def test_views_of_texts_are_texts(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": pa.array([" a"] * 28, pa.string_view()), "t": DAYS, "y": [1.0] * 28}), tmp_path / "t.parquet")
    (tmp_path / "own.yaml").write_text(SHORT.replace("t.csv", "t.parquet") + "}\n")
    _, factory = open_file(tmp_path / "own.yaml")
    suite = factory(None)
    assert suite.open(suite.tasks()[0]).series.item_ids.to_pylist() == ["a"]


@pytest.mark.parametrize("terms", ["[{}]", "{{{}}}"])
def test_horizons_beyond_counting_are_refused_before_tasks_are_made(tmp_path: Path, terms: str) -> None:
    def write(count: int) -> Path:
        each = (f"{h}" if terms == "[{}]" else f"h{h}: {h}" for h in range(1, count + 1))
        path = tmp_path / f"{count}.yaml"
        path.write_text(GOOD.replace("horizon: 2", f"horizons: {terms.format(', '.join(each))}").replace("step: 1,", ""))
        return path

    with pytest.raises(DataError, match=r"line 23: t: horizons: got 101 horizons; wanted at most 100: each is .*harness plot steps$"):
        read(write(101))
    assert len(read(write(100)).entries) == 100


def test_tasks_beyond_counting_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suite_file, "MOST", 3)
    path = tmp_path / "own.yaml"
    path.write_text(GOOD.replace("horizon: 2", "horizons: [2, 3, 4]"))
    assert len(read(path).entries) == 3
    path.write_text(GOOD.replace("horizon: 2", "horizons: [2, 3, 4, 5]"))
    with pytest.raises(DataError, match=r"line 11: tasks: got more than 3 tasks, counting each horizon; wanted fewer in one file"):
        read(path)
