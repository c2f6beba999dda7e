"""The audit of corpora: what is found however it was changed, what is not found, what is read, and the command."""

from __future__ import annotations

import csv
import gzip
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Lab

from harness.errors import DataError, UsageError
from harness.forecast import Ragged
from harness.series import Channels, TaskData, rolling
from harness.types import Task
from harness_tasks.arrow_folder import read_folder
from harness_tasks.audit import search as searching
from harness_tasks.audit.agreement import BITS, agreement, enough, innovation
from harness_tasks.audit.corpora import corpus_files, other_kinds, read_corpus
from harness_tasks.audit.fingerprints import SPAN, fingerprints
from harness_tasks.audit.index import Index, blocks_of, joined, separated
from harness_tasks.audit.report import Datasets, labels_within, match_rows, task_rows, to_csv
from harness_tasks.audit.search import Match, Seen, index_of, merged, search, unite

F64 = np.ndarray[Any, np.dtype[np.float64]]


def series(seed: int, n: int = 400) -> F64:
    """Something like a measured series: a season, a walk and noise."""
    draw = np.random.default_rng(seed)
    return 50 + 8 * np.sin(np.arange(n) * 2 * np.pi / 24 + seed) + np.cumsum(draw.normal(0, 0.4, n)) + draw.normal(0, 1, n)


def channels(rows: list[F64]) -> Channels:
    return Channels.from_ragged(Ragged.from_rows([row.astype(np.float32) for row in rows]))


def find(tests: list[F64], corpus: list[F64], folder: Path) -> list[Match]:
    """Look for series in a corpus that is stored as float64, row by row."""
    file = folder / "corpus.parquet"
    pq.write_table(pa.table({"target": pa.array([row.tolist() for row in corpus], pa.list_(pa.float64()))}), file)
    whole = channels(tests)
    return unite(list(search(Index.of(whole), whole, [file], Seen())))


TESTS = [series(seed) for seed in range(20)]


@pytest.mark.parametrize(
    ("change", "least"),
    [
        (lambda x: x, 20),
        (lambda x: 37.5 * x + 1e4, 20),
        (lambda x: -0.001 * x + 7, 20),
        (lambda x: x.astype(np.float32).astype(np.float64), 20),
        (lambda x: np.rint(1000 * x), 20),
        (lambda x: np.float32(3.7) * x.astype(np.float32) - np.float32(120), 20),
        (lambda x: x[150:250], 20),
        (lambda x: np.concatenate([series(900, 333), x, series(901, 100)]), 20),
        (lambda x: np.concatenate([series(900, 333), -2 * x[200:300]]), 20),
        (lambda x: np.where(np.arange(len(x)) % 29 == 3, np.nan, x), 20),
        (lambda x: np.r_[x[:180], np.full(60, np.nan), x[240:]], 20),
        (lambda x: np.r_[x[:200], np.interp(np.arange(40), [0, 40], x[[200, 240]]), x[240:]], 20),
        (lambda x: np.array([float(f"{v:.3g}") for v in x]), 10),
    ],
    ids=[
        "same", "scaled", "negated", "float32", "integers", "scaled-in-float32", "cut", "shifted", "cut-shifted-negated", "missing-values",
        "gap", "filled-gap", "rounded",
    ],
)  # fmt: skip
def test_what_is_found(change: Any, least: int, tmp_path: Path) -> None:
    others = [series(seed) for seed in range(100, 120)]
    found = find(TESTS, [part for x, other in zip(TESTS, others, strict=True) for part in (other, change(x))], tmp_path)
    assert all(match.series == f"column target, row {2 * match.channel + 1}" for match in found)
    assert least <= len({match.channel for match in found}) == len(found)


def test_what_is_told_of_a_match(tmp_path: Path) -> None:
    (match,) = find(TESTS, [np.concatenate([series(900, 333), 3 - 2 * TESTS[4][200:300]])], tmp_path)
    assert (match.channel, match.shift, match.intervals.tolist(), match.values) == (4, 200 - 333, [[200, 300]], 100)
    assert (match.scale, match.offset) == (pytest.approx(-0.5, rel=1e-4), pytest.approx(1.5, abs=1e-2))
    assert match.closeness < 1e-3 and match.bits > BITS and not match.rounded


@pytest.mark.parametrize("exponent", [-320, -300, -200, 0, 200, 300, 306.5])
def test_series_of_any_size_are_found(exponent: float, tmp_path: Path) -> None:
    """From the smallest to the largest numbers of float64; the last ones are so far apart that their differences overflow."""
    wide = [(x - x.mean()) * 10.0 ** max(exponent, -300) * 10.0 ** min(exponent + 300, 0) for x in TESTS[:6]]
    found = find(TESTS[:6], wide, tmp_path)
    assert [match.series for match in found] == [f"column target, row {i}" for i in range(6)]
    with np.errstate(over="ignore"):
        assert [match.scale for match in found] == [pytest.approx(float(np.float64(10.0) ** -exponent), rel=1e-4)] * 6
    assert [match.offset for match in found] == [pytest.approx(float(x.mean()), rel=1e-4) for x in TESTS[:6]]


@pytest.mark.parametrize(("size", "level"), [(1e-43, 0), (1e-38, 0), (3e36, 0), (1, 1e5)])
def test_test_series_of_any_size_are_found(size: float, level: float, tmp_path: Path) -> None:
    """From float32's subnormal numbers to its largest, and on a high level; the corpus is far away, and holds a huge value."""
    corpus = [-1e250 * np.r_[x[:300], 1e50, x[301:]] for x in TESTS[:6]]
    found = find([size * x + level for x in TESTS[:6]], corpus, tmp_path)
    assert [(match.series, match.intervals.tolist()) for match in found] == [
        (f"column target, row {i}", [[0, 300], [301, 400]]) for i in range(6)
    ]


def test_what_precision_has_lost_is_told_to_be_lost() -> None:
    """At a level of 10^9 float32 has steps of 64: the series holds nothing, and counts as one that cannot be found."""
    assert index_of(channels([x + 1e9 for x in TESTS[:3]])).known().tolist() == []


def test_short_series_are_found(tmp_path: Path) -> None:
    tests = [np.cumsum(np.random.default_rng(seed).normal(1, 3, 30)) for seed in range(60)]  # as yearly series are
    found = find(tests, [-x for x in tests], tmp_path)
    assert len(found) >= 50 and all(match.series.endswith(f" {match.channel}") for match in found)


def synthetic(n: int = 600) -> list[F64]:
    """Series of no character, whatever the scale: they match each other where nothing is copied."""
    t = np.arange(n, dtype=np.float64)
    draw = np.random.default_rng(5)
    return [
        *(3 * np.sin(2 * np.pi * t / p + f) for p in (7, 12, 24, 24.5, 168) for f in (0, 1)),
        *(np.sin(2 * np.pi * t / 24 + f) + 0.5 * np.sin(2 * np.pi * t / 168 + 2 * f) for f in (0, 1, 2)),
        *(slope * t + 5 for slope in (1, -0.3)),
        *((t % p) / p for p in (7, 24)),
        *(((t % p) < p / 3).astype(float) for p in (7, 24)),
        np.zeros(n),
        np.full(n, 3.5),
        *((draw.random(n) < share).astype(float) for share in (0.02, 0.05, 0.05, 0.1)),
        *(draw.poisson(0.2, n).astype(float) for _ in range(4)),
        *(np.exp(t / 200) + f for f in (0, 1)),
        (t - 300) ** 2,
        np.where(t > 300, 1.0, 0.0),
    ]


def test_no_false_alarm_among_made_series(tmp_path: Path) -> None:
    # Each is looked for among the others, shifted and scaled; the same one of two phases is one series under a shift, and still not told.
    made = synthetic()
    found = find(made, [2 * x[13:] + 1 for x in made], tmp_path)
    copied = {match.channel for match in found if match.series == f"column target, row {match.channel}"}
    assert [match for match in found if match.series != f"column target, row {match.channel}"] == []
    assert copied <= {i for i, x in enumerate(made) if len(np.unique(x)) in range(2, 8)}, "counts of 600 values are enough to be told"


def test_no_false_alarm_among_series_that_share_a_season(tmp_path: Path) -> None:
    draw = np.random.default_rng(8)
    day = draw.normal(0, 10, 24)
    both = [np.tile(day, 40) + draw.normal(0, 1, 960) for _ in range(30)]  # correlated at 0.99
    assert find(both[:15], both[15:], tmp_path) == []
    counted = [np.rint(row / 5) for row in both]
    assert find(counted[:15], counted[15:], tmp_path) == []


def test_no_false_alarm_among_nights(tmp_path: Path) -> None:
    hour = np.arange(144 * 30) % 144
    light = np.where((hour > 50) & (hour < 100), np.sin((hour - 50) / 50 * np.pi), 0)
    days = [np.round(light * np.random.default_rng(seed).uniform(0, 900, len(light)), 2) for seed in range(30)]
    assert find(days[:15], [-2 * row[144:] for row in days[15:]], tmp_path) == []


def test_no_false_alarm_among_walks_and_noise(tmp_path: Path) -> None:
    rows = [np.cumsum(np.random.default_rng(seed).normal(size=500)) for seed in range(100)]
    noise = [np.random.default_rng(seed).normal(size=500) for seed in range(100, 200)]
    assert find(rows[:50] + noise[:50], rows[50:] + noise[50:], tmp_path) == []


@given(
    st.integers(0, 50),
    st.floats(1e-6, 1e6),
    st.floats(-1e3, 1e3),
    st.booleans(),
)
@settings(max_examples=40, deadline=None)
def test_fingerprints_do_not_know_scale_and_offset(seed: int, scale: float, level: float, negative: bool) -> None:
    x = series(seed, 200)
    at, hashes = fingerprints(x)
    other_at, other = fingerprints((-scale if negative else scale) * (x + level))
    assert len(at) > 5
    assert dict(zip(other_at.tolist(), other.tolist(), strict=True)) == dict(zip(at.tolist(), hashes.tolist(), strict=True))


def test_fingerprints_know_only_what_is_under_them() -> None:
    x, y = series(1), series(2)
    at, hashes = fingerprints(x[100:200])
    whole = dict(zip(*map(np.ndarray.tolist, fingerprints(np.concatenate([y, [np.nan], x]))), strict=True))
    assert len(at) > 5 and all(whole[int(a) + len(y) + 1 + 100] == h for a, h in zip(at, hashes, strict=True))
    # None lies across the NaN, and none where there are too few values.
    assert all(a + SPAN <= len(y) or a > len(y) for a in whole)
    assert [len(fingerprints(x[:n])[0]) for n in (0, 1, SPAN - 1)] == [0, 0, 0]
    assert len(fingerprints(np.r_[x[:50], np.inf, -np.inf, 1e308, -1e308, x[50:99]])[0]) > 0


def test_a_repeated_fingerprint_is_kept_a_few_times() -> None:
    pattern = np.random.default_rng(3).normal(size=30)
    index = Index.of(channels([np.tile(pattern, 20)] * 40))
    of_one = Index.of(channels([np.tile(pattern, 20)]))
    assert 0 < len(of_one.hashes) <= 2 * 30
    assert np.unique(index.hashes, return_counts=True)[1].max() == 16
    assert set(index.known()) < set(range(40))


def test_innovations_are_what_the_past_does_not_foretell() -> None:
    t = np.arange(500)
    noise = np.random.default_rng(0).normal(size=500)
    assert innovation(np.sin(t / 5)).max() < 1e-9
    assert innovation(np.tile(noise[:24], 20))[48:].max() < 1e-9
    assert 0.5 < np.median(innovation(noise)) < 0.8
    assert np.median(innovation(10 * np.sin(t / 5) + noise)) < 1.5


def test_agreement_of_what_is_no_number() -> None:
    x = series(1)
    assert agreement(x, np.full(len(x), np.nan), 0) is None
    assert agreement(x, np.full(len(x), 4.0), 0) is None and agreement(np.full(len(x), 4.0), x, 0) is None
    assert agreement(x[:20], x[:20], 0) is None
    assert agreement(x, 1e308 * np.sign(series(2) - 50), 0) is None
    assert agreement(x, x[::-1].copy(), 0) is None


def test_series_that_cannot_be_told_are_not_looked_for() -> None:
    draw = np.random.default_rng(4)
    kinds = [series(1), series(2, 20), draw.poisson(0.1, 60).astype(float), np.sin(np.arange(300) / 3), np.zeros(90), np.full(90, np.nan)]
    assert index_of(channels(kinds)).known().tolist() == [0]
    assert [enough(row) for row in kinds] == [True, False, False, False, False, False]


def test_series_that_rest_are_found(tmp_path: Path) -> None:
    draw = np.random.default_rng(6)
    levels = [np.repeat(draw.integers(0, 9, 80), draw.integers(1, 12, 80)).astype(float) for _ in range(20)]
    found = find(levels, [np.r_[np.zeros(9), 5 - 0.3 * x[40:]].astype(np.float32).astype(np.float64) for x in levels], tmp_path)
    assert len(found) >= 18 and all(match.series.endswith(f" {match.channel}") and match.shift == 31 for match in found)


def test_long_series_are_looked_at_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "PIECE", 1000)
    test = series(7, 3000)
    (match,) = find([test], [np.r_[series(8, 500), test, series(9, 700)]], tmp_path)
    assert (match.shift, match.intervals.tolist(), match.values) == (-500, [[0, 3000]], 3000)
    assert [list(blocks_of(np.array(sizes), 10)) for sizes in ([], [3, 7, 1], [20, 20], [10, 1, 9])] == [
        [], [(0, 2), (2, 3)], [(0, 1), (1, 2)], [(0, 1), (1, 3)],
    ]  # fmt: skip


def test_series_are_put_together() -> None:
    flat, starts = separated(np.arange(5.0), np.array([2, 0, 3]))
    assert starts.tolist() == [0, 3, 4]
    np.testing.assert_array_equal(flat, [0, 1, np.nan, np.nan, 2, 3, 4, np.nan])
    both = joined([channels([series(1, 30)]), channels([series(2, 40), series(3, 50)])])
    np.testing.assert_array_equal(both[2], series(3, 50).astype(np.float32))
    assert merged(np.array([[5, 9], [0, 3], [2, 4], [9, 12]])).tolist() == [[0, 4], [5, 12]]


def task(folder: Path, horizon: int = 10, windows: int = 3) -> TaskData:
    found = read_folder(folder)
    about = Task("s", f"t/{horizon}", "d", "d", "", "H", "", horizon, 24, found.variates)
    return rolling(about, found, windows)


def test_labels_are_told_from_contexts(write: Callable[..., Path], tmp_path: Path) -> None:
    folder = write([x.tolist() for x in TESTS[:4]])
    tasks = [task(folder), task(folder, 20, 1)]
    datasets = Datasets.of([tasks[0], tasks[1]])
    corpus = [TESTS[0], TESTS[1][:370], TESTS[2][100:385], series(77)]
    file = tmp_path / "c.npz"
    np.savez(file, **{str(i): row for i, row in enumerate(corpus)})
    index = Index.of(datasets.series)
    matches = unite(list(search(index, datasets.series, [file], Seen())))
    rows = task_rows(datasets, matches, index.known())
    assert len(datasets.series) == 8, "without a fingerprint, two readings are two datasets"
    # Labels are the last 30 of 400 values in the one task, the last 20 in the other.
    assert [(r["series"], r["checkable"], r["found"], r["with_labels"], r["labels"]) for r in rows] == [(4, 4, 3, 2, 45), (4, 4, 3, 2, 25)]
    assert rows[0]["label_share"] == 45 / 120
    listed = {(row["task"], row["item_id"]): row for row in match_rows(datasets, matches)}
    assert [listed["t/10", f"item {i}"]["labels"] for i in range(3)] == [30, 0, 15]
    assert (listed["t/20", "item 2"]["begin"], listed["t/20", "item 2"]["end"]) == (100, 385)
    assert labels_within(tasks[0], 0, np.array([[0, 371], [375, 381], [399, 1000]])) == 1 + 6 + 1
    text = list(csv.DictReader(to_csv(listed.values()).splitlines()))
    assert len(text) == 6 and text[0]["series"] == "array 0, row 0"


def test_every_kind_of_file_is_read(write: Callable[..., Path], tmp_path: Path) -> None:
    rows = [series(1, 30), series(2, 30)]
    folder = tmp_path / "corpus"
    folder.mkdir()
    lists = pa.table({"id": ["a", "b"], "n": [1, 2], "target": [r.tolist() for r in rows]})
    lists = lists.append_column("when", pa.array([[1], [2]], pa.list_(pa.date32())))
    pq.write_table(lists, folder / "lists.parquet")
    nested = pa.table({"v": pa.array([[rows[0].tolist(), rows[1].tolist()], None, [rows[1].tolist()]])})
    with pa.OSFile(str(folder / "nested.arrow"), "wb") as sink, pa.ipc.new_file(sink, nested.schema) as out:
        out.write_table(nested)
    wide = pa.table({"date": ["x"] * 30, "A": rows[0], "B": pa.array(rows[1], pa.float32())})
    pq.write_table(wide, folder / "wide.parquet", row_group_size=7)
    pa.csv.write_csv(wide, folder / "wide.csv")
    with gzip.open(folder / "wide.csv.gz", "wb") as out:
        out.write((folder / "wide.csv").read_bytes())
    np.save(folder / "two.npy", np.stack(rows))
    np.savez(folder / "three.npz", x=rows[0], y=np.stack(rows).astype(np.float32)[None], z=np.array(["a"]))
    lines = [f"T{i}:2020-01-01 00-00-00:{','.join(['?', *map(repr, row.tolist()[1:])])}" for i, row in enumerate(rows)]
    (folder / "monash.tsf").write_text("# made\n@relation x\n@attribute n string\n@attribute s date\n@data\n" + "\n".join(lines) + "\n")
    (folder / "README.md").write_text("nothing")
    write([row.tolist() for row in rows], name="corpus/hf", shards=2)
    files = corpus_files(folder)
    assert [file.relative_to(folder).as_posix() for file in files] == [
        "hf/data-00000-of-00002.arrow", "hf/data-00001-of-00002.arrow", "lists.parquet", "monash.tsf", "nested.arrow", "three.npz",
        "two.npy", "wide.csv", "wide.csv.gz", "wide.parquet",
    ]  # fmt: skip
    names: dict[str, list[str]] = {}
    for file in files:
        for part in read_corpus(file):
            for i in range(len(part.offsets) - 1):
                names.setdefault(file.name, []).append(part.name(i))
                row = part.values[part.offsets[i] : part.offsets[i + 1]]
                assert any(np.allclose(row[1:], other[1:], rtol=1e-6) for other in rows), (file, part.name(i))
    assert names["lists.parquet"] == ["column target, row 0", "column target, row 1"]
    assert names["nested.arrow"] == ["column v, row 0, series 0", "column v, row 0, series 1", "column v, row 2, series 0"]
    assert names["wide.parquet"] == names["wide.csv"] == names["wide.csv.gz"] == ["column A", "column B"]
    assert names["three.npz"] == ["array x, row 0", "array y, row 0", "array y, row 1"]
    assert names["monash.tsf"] == names["two.npy"] == ["row 0", "row 1"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.arrow", b"", "cannot be read as .arrow"),
        ("a.arrow", b"ARROW1 and no more", "cannot be read as .arrow"),
        ("a.parquet", b"PAR1PAR1", "cannot be read as .parquet"),
        ("a.npy", b"\x93NUMPY and no more", "cannot be read as .npy"),
        ("a.npz", b"PK no zip", "cannot be read as .npz"),
        ("a.csv", b"a,b\n1\n1,2,3\n", "cannot be read as .csv"),
        ("a.csv", b"name\nx\n", "no column of numbers"),
        ("a.csv", b"a\n1\n2\n3\nfour\n5\n", "column a is mostly numbers, and holds 'four'"),
        ("a.csv.gz", b"no gzip", "cannot be read as .csv.gz"),
        ("a.tsf", b"@relation x\n", "without a line @data"),
        ("a.tsf", b"@data\na:1,2,x\n", "cannot be read as .tsf"),
        ("a.tsf", b"@attribute n string\n@data\na:1,2\nb:1,x\n", r"\(line 4: "),
    ],
)
def test_broken_files_are_named(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(DataError, match=said) as error:
        list(read_corpus(file))
    assert str(file) in str(error.value) and "out of the corpus" in str(error.value)


def test_other_shapes_of_series_are_read_or_refused(tmp_path: Path) -> None:
    """Nothing that may hold series is passed over without a word."""
    row = np.arange(30.0) ** 2
    for kind in (pa.list_view(pa.float64()), pa.large_list_view(pa.float32()), pa.list_(pa.float64(), 30)):
        table = pa.table({"other": [1, 2], "v": pa.array([row.tolist()] * 2, kind)})
        with pa.OSFile(str(tmp_path / "a.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as out:
            out.write_table(table)
        (part,) = read_corpus(tmp_path / "a.arrow")
        assert len(part.offsets) == 3 and np.array_equal(part.values[:30], row.astype(part.values.dtype))
    hidden = pa.table({"x": [1.0], "series": [{"name": "a", "target": row.tolist()}]})
    pq.write_table(hidden, tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"column series is struct<.*> *, which is not read"):
        list(read_corpus(tmp_path / "a.parquet"))
    pq.write_table(pa.table({"x": row, "about": [{"id": 1, "tags": ["a"]}] * 30}), tmp_path / "b.parquet")
    assert [len(part.values) for part in read_corpus(tmp_path / "b.parquet")] == [30]
    np.save(tmp_path / "a.npy", row[:, None])
    assert [part.offsets.tolist() for part in read_corpus(tmp_path / "a.npy")] == [[0, 30]]
    (tmp_path / "a.csv").write_text("a,a,b\n1,2,x\n?,4,y\n-,6,z\n")
    values = [part.values for part in read_corpus(tmp_path / "a.csv")]
    np.testing.assert_array_equal(values, [[1, np.nan, np.nan], [2, 4, 6]])


def names_of(file: Path) -> list[str]:
    return [part.name(i) for part in read_corpus(file) for i in range(len(part.offsets) - 1)]


@pytest.mark.parametrize("kind", ["matrix.npy", "cube.npz", "lists.parquet", "deeper.arrow", "table.csv", "nameless.csv", "table.parquet"])
def test_time_may_run_along_rows_or_columns(kind: str, tmp_path: Path) -> None:
    """Nothing in a file says which way time runs."""
    file, rows = tmp_path / kind, np.stack(TESTS[:5])  # [V, T]
    if kind == "matrix.npy":
        np.save(file, rows.T)
        wanted = [f"column {i}" for i in range(5)]
    elif kind == "cube.npz":
        np.savez(file, a=np.stack([rows[:2].T, rows[2:4].T, np.stack([rows[4], np.arange(400.0)]).T]))
        wanted = [f"array a, matrix {i // 2}, column {i % 2}" for i in range(5)]
    elif kind == "lists.parquet":
        pq.write_table(pa.table({"v": [rows[:2].T.tolist(), rows[2:].T.tolist()]}), file)
        wanted = [f"column v, row {i // 2}, series 0 and on, value {i % 2}" for i in (0, 1, 2, 3)] + [
            "column v, row 1, series 0 and on, value 2"
        ]
    elif kind == "deeper.arrow":
        nested = pa.table({"v": [[rows[:2].T.tolist(), rows[2:].T.tolist()]]})
        with pa.OSFile(str(file), "wb") as sink, pa.ipc.new_stream(sink, nested.schema) as out:
            out.write_table(nested)
        wanted = [f"column v, row 0, series {0 if i < 2 else 400} and on, value {i if i < 2 else i - 2}" for i in range(5)]
    elif kind == "table.parquet":
        pq.write_table(pa.table({f"t{i}": column for i, column in enumerate(rows.T)}), file)
        wanted = [f"row {i}" for i in range(5)]
    else:  # as the series of M4 are published: a name, then values
        head = "id," + ",".join(f"V{i}" for i in range(400)) + "\n" if kind == "table.csv" else ""
        file.write_text(head + "".join((f"H{i}," if head else "") + ",".join(map(repr, row.tolist())) + "\n" for i, row in enumerate(rows)))
        wanted = [f"row {i}" for i in range(5)]
    tests = channels(TESTS[:5])
    found = {match.channel: match.series for match in search(Index.of(tests), tests, [file], Seen())}
    assert [found.get(i) for i in range(5)] == wanted


def test_truth_values_and_columns_beside_lists_are_read(tmp_path: Path) -> None:
    x = np.arange(30.0)
    pq.write_table(pa.table({"about": [[1.0, 2.0]] * 30, "value": x, "open": x > 4}), tmp_path / "a.parquet")
    assert names_of(tmp_path / "a.parquet")[-2:] == ["column value", "column open"]
    np.save(tmp_path / "a.npy", x > 4)
    (part,) = read_corpus(tmp_path / "a.npy")
    np.testing.assert_array_equal(part.values, x > 4)


@pytest.mark.parametrize("text", ["1,234.5", "12.5%", "$7.25", "3,5", "-1'000"])
def test_numbers_as_people_write_them_are_refused(text: str, tmp_path: Path) -> None:
    with (tmp_path / "a.csv").open("w", newline="") as out:
        csv.writer(out).writerows([["n", "a"], *([i, text] for i in range(9)), [9, "7"]])
    with pytest.raises(DataError, match="column a holds numbers written as"):
        list(read_corpus(tmp_path / "a.csv"))
    (tmp_path / "b.csv").write_text("day,version,value\n" + "03.04.2024,1.2.3,5\n" * 9)
    assert names_of(tmp_path / "b.csv") == ["column value"]


def test_records_and_complex_numbers_are_refused(tmp_path: Path) -> None:
    for array in (np.zeros(30, [("a", "f8"), ("b", "i4")]), np.zeros(30, np.complex128)):
        np.savez(tmp_path / "a.npz", x=np.arange(30.0), y=array)
        with pytest.raises(DataError, match=r"array y, got .*wanted an array of real numbers"):
            list(read_corpus(tmp_path / "a.npz"))


def test_links_are_followed_once_and_other_kinds_are_named(tmp_path: Path) -> None:
    real, corpus = tmp_path / "real", tmp_path / "corpus"
    real.mkdir()
    corpus.mkdir()
    np.save(real / "a.npy", np.arange(9.0))
    (real / "b.json.gz").write_bytes(b"")
    (real / "README.md").write_text("about")
    (corpus / "link").symlink_to(real)
    (real / "back").symlink_to(corpus)
    assert [file.name for file in corpus_files(corpus)] == ["a.npy"]
    assert other_kinds(corpus) == {".json.gz": 1}


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.array([{"a": 1}]), allow_pickle=True)
    with pytest.raises(DataError, match="pickle"):
        list(read_corpus(tmp_path / "a.npy"))


def test_what_is_no_corpus(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("1")
    for path, said in ((tmp_path, "holds no file of a kind"), (tmp_path / "a.txt", "another kind"), (tmp_path / "b", "no file or folder")):
        with pytest.raises(UsageError, match=said):
            corpus_files(path)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_the_command(lab: Lab, tmp_path: Path) -> None:
    from harness_tasks.quick import quick

    births = quick().open(next(t for t in quick().tasks() if t.name == "us_births/M/short")).series.target[0]
    (tmp_path / "dirty").mkdir()
    (tmp_path / "clean").mkdir()
    np.save(tmp_path / "dirty" / "a.npy", np.r_[series(1), -3.0 * births[20:230].astype(np.float64) + 4])
    np.save(tmp_path / "clean" / "a.npy", np.stack([series(1), series(2)]))
    (tmp_path / "broken.csv").write_text("a\nx\n")
    options = ["-t", "us_births/*,saugeen/M/*"]
    found, none, as_json, broken, absent, other = lab.many(
        [
            ["audit", "contamination", "--corpus", "dirty", "--corpus", "clean", *options, "-o", "found.csv"],
            ["audit", "contamination", "--corpus", "clean", *options],
            ["audit", "contamination", "--corpus", "dirty", *options, "--json"],
            ["audit", "contamination", "--corpus", "broken.csv", *options],
            ["audit", "contamination", "--corpus", "clean", "-s", "gift-eval", "-t", "us_births/*"],
            ["audit", "contamination", "--corpus", "nowhere"],
        ]
    )
    found.expect(4, "1 different test series were found among 3 series of 2 files", "us_births/M/short", "58.3%")
    assert "read 2 of 2 files, 3 series" in found.err and "us_births" not in found.err
    none.expect(0, "0 different test series were found among 2 series")
    answer = json.loads(as_json.out)
    assert as_json.code == 4 and answer["looked_at"] == {"files": 1, "series": 1, "values": 610}
    assert {row["task"]: row["labels"] for row in answer["tasks"] if row["found"]} == {"us_births/M/short": 14}
    (match,) = answer["matches"]
    assert (match["begin"], match["end"], match["labels"], match["kind"]) == (20, 230, 14, "copy")
    assert match["scale"] == pytest.approx(-1 / 3, rel=1e-3)
    (row,) = csv.DictReader((tmp_path / "found.csv").read_text().splitlines())
    assert (row["task"], row["labels"], row["file"]) == ("us_births/M/short", "14", "dirty/a.npy")
    broken.expect(3, "broken.csv: got no column of numbers")
    absent.expect(5, "tasks are not looked for, as their data is not here", "Name its folder with --data")
    other.expect(2, "there is no file or folder nowhere")


def test_ctrl_c_ends_it_quietly(lab: Lab, tmp_path: Path) -> None:
    np.save(tmp_path / "big.npy", np.cumsum(np.random.default_rng(0).normal(size=(400, 50_000)), axis=1).astype(np.float32))
    process = lab.start("audit", "contamination", "--corpus", "big.npy", "-t", "us_births/M/*", "-o", "out.csv")
    assert process.stderr is not None
    line = process.stderr.readline()  # it has begun
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert "1 tasks" in line
    assert process.returncode == 130 and "Traceback" not in err, err
    assert not (tmp_path / "out.csv").exists()


def test_a_real_copy_is_found(real_data: Path, tmp_path: Path) -> None:
    """The river of the Monash archive's file is the one of GIFT-Eval."""
    data = read_folder(real_data / "gift-eval" / "saugeenday" / "D")
    files = corpus_files(real_data / "monash")
    matches = unite(list(search(Index.of(data.target), data.target, files, Seen())))
    assert [(m.channel, m.shift, m.values, m.rounded) for m in matches] == [(0, 0, len(data.target[0]), False)]


def test_real_datasets_do_not_hold_each_other(real_data: Path) -> None:
    root = real_data / "gift-eval"
    tests = [read_folder(root / name).target for name in ("hospital", "ett1/H", "us_births/D", "hierarchical_sales/W")]
    whole = joined(tests)
    others = ("ett1/D", "us_births/W", "us_births/M", "hierarchical_sales/D", "m4_hourly")
    corpus = [file for name in others for file in corpus_files(root / name)]
    assert list(search(Index.of(whole), whole, corpus, Seen())) == []
