"""Tables of strangers: what is the same for all who read them."""

from __future__ import annotations

import gzip
import random
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from harness import table_rows
from harness.errors import DataError
from harness.table_rows import first_bad, numbers, text_batches
from harness.table_text import NotDecoded, Text, beginning, check_columns, fields_of, separator_of

TABLE = 'a title, of sorts\n\nid;v\n"x\ny";1\n\nz;2\n'
WRITTEN = {"names": ("id", "v"), "separator": ";", "above": 2}


def rows(text: Text) -> list[list[str]]:
    batches = list(text_batches(text, range(len(text.names))))
    return [list(row.values()) for row in pa.Table.from_batches(batches).to_pylist()]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_rows_and_their_lines(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(TABLE.replace("z", "ä").encode(encoding))
    text = Text(path, encoding=encoding.removesuffix("-sig"), **WRITTEN)  # type: ignore[arg-type]
    assert beginning(text).startswith("a title")
    assert rows(text) == [["x\ny", "1"], ["ä", "2"]]
    assert [text.line(row) for row in range(3)] == [5, 7, 0]
    assert text.at(7) == f"{path}, line 7"


@pytest.mark.parametrize("how", ["plain", "gz", "gz by its name", "zip"])
def test_packed_tables(tmp_path: Path, how: str) -> None:
    path = tmp_path / ("t.csv.gz" if "name" in how else "t.csv")
    path.write_bytes(TABLE.encode() if how == "plain" else gzip.compress(TABLE.encode()))
    if how == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("inside.csv", TABLE)
    text = Text(path, **WRITTEN)  # type: ignore[arg-type]
    assert beginning(text) == TABLE and rows(text) == [["x\ny", "1"], ["z", "2"]] and text.line(1) == 7
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "")
        archive.writestr("b", "")
    if how == "zip":
        with pytest.raises(DataError, match=r"t\.csv: an archive of 2 files; wanted one of one file"):
            beginning(text)


def test_what_is_wrong_beyond_the_beginning(tmp_path: Path) -> None:
    good = b"id,v\n" + b"some name,12345\n" * 200_000  # more than what is looked at first, and less than a batch
    path = tmp_path / "t.csv"
    text = Text(path, ("id", "v"))
    path.write_bytes(good + b"\xe4,1\n")
    assert len(beginning(text)) < len(good)
    with pytest.raises(NotDecoded, match=r"t\.csv, line 200002: has bytes that are not utf-8; wanted that\. .* The first is 0xe4"):
        rows(text)
    path.write_bytes(good + b"a,1,2\n")
    with pytest.raises(DataError, match=r"t\.csv, line 200002: 3 fields; wanted 2, as in the header\. Is the file whole\?"):
        rows(text)
    left: list[tuple[int, str]] = []
    path.write_bytes(b"id,v\nx,1\ny\n\nz,3\n")

    def leave(row: Any) -> bool:
        left.append((row.number, row.text))
        return True

    assert [batch.num_rows for batch in text_batches(text, [1], odd=leave)] == [2]
    assert left == [(3, "y")]  # the second row, and the header counts
    packed = gzip.compress(good + random.Random(0).randbytes(1 << 20).hex().encode())
    (tmp_path / "t.csv.gz").write_bytes(packed[: len(packed) - 1000])
    with pytest.raises(DataError, match=r"t\.csv\.gz: cannot be read \(.+\); wanted a CSV file\. Is it damaged or cut short\?"):
        rows(Text(tmp_path / "t.csv.gz", ("id", "v")))


def test_packed_text_is_read_up_to_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_rows, "BLOCK", 1 << 16)
    path = tmp_path / "t.csv.gz"
    path.write_bytes(gzip.compress(b"id,v\n" + b"a,1\n" * 2_000_000, 1))
    seen = 0
    with pytest.raises(DataError, match=r"t\.csv\.gz: unpacks to more than 1 MiB; wanted a smaller table"):
        for batch in text_batches(Text(path, ("id", "v")), [0, 1], most=1 << 20):
            seen += batch.num_rows
    assert 0 < seen < 200_000


def test_headers(tmp_path: Path) -> None:
    for line, mark in (("a;b,c;d", ";"), ("mg, ml\tx", "\t"), ("a|b", "|"), ("a,b", ","), ("Höhe, m;x", ";")):
        assert separator_of(line) == mark
    assert fields_of(tmp_path, '\n\n a ;"b;\nc";\nx;y', ";") == ["a", "b;\nc", ""]
    assert fields_of(tmp_path, "\n", ",") == []
    check_columns(["b", "a"], ["a", "b", "c", "c"], "t.csv")
    with pytest.raises(
        DataError, match=r"^t\.csv: has no column 'values' \(y, line 2\); its columns are value, b\. Did you mean 'value'\?$"
    ):
        check_columns(["values"], ["value", "b"], "t.csv", " (y, line 2)")
    with pytest.raises(DataError, match=r"has the column 'c' 2 times; its columns are a, b, c, c\.$"):
        check_columns(["a", "c"], ["a", "b", "c", "c"], "t.csv")


@pytest.mark.parametrize(
    ("cells", "how", "values"),
    [
        (["1", "-2.5e3", " 3 "], {}, [1, -2500, 3]),
        (["1", "", "NA", "n/a", "NaN", "Null", "none", "-", "#N/A"], {}, [1] + [None] * 8),
        (["1", "off"], {"missing": ("off",)}, [1, None]),
        (["1,5", ",25", "-3"], {"decimal": ","}, [1.5, 0.25, -3]),
        (["1", "1.5"], {"decimal": ","}, 1),
        (["1", "2", "1,5", "x"], {}, 2),
        ([True, False, None], {}, [1, 0, None]),
        ([None, None], {}, [None, None]),
        ([2**60 + 1, None], {}, [float(2**60), None]),
    ],
)
def test_numbers(cells: list[object], how: dict[str, object], values: list[float | None] | int) -> None:
    plain = pa.array(cells)
    for column in (plain, plain.dictionary_encode()):
        found, row = numbers(column, **how)  # type: ignore[arg-type]
        assert row == (values if isinstance(values, int) else -1)
        if not isinstance(values, int):
            np.testing.assert_array_equal(found, [np.nan if value is None else value for value in values])


def test_the_first_bad_value_is_the_one_of_a_plain_loop() -> None:
    rng = random.Random(0)
    for size in (1, 2, 7, 100):
        words = [str(rng.randrange(100)) for _ in range(size)]
        assert first_bad(pa.array(words), lambda part: part.cast(pa.int64())) == -1
        for _ in range(5):
            at = sorted(rng.sample(range(size), min(size, 2)))
            bad = ["x" if i in at else word for i, word in enumerate(words)]
            assert first_bad(pa.array(bad), lambda part: part.cast(pa.int64())) == at[0]
