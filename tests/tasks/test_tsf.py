"""The `.tsf` format: what is read, what is refused and in which line, and that what is written reads back."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness import frequency
from harness.errors import DataError, StoreError
from harness.forecast import Ragged
from harness.monash import ALIASES, alias
from harness.series import Channels
from harness_tasks import tsf
from harness_tasks.arrow_folder import read_folder
from harness_tasks.tsf import TsfFile, read_batches, read_header, read_tsf, reader, write_tsf

DATA = Path(os.environ.get("HARNESS_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
HEAD = """# a comment
@relation Test
@attribute series_name string
@attribute start_timestamp date
@frequency daily
@horizon 3
@missing true
@equallength false
@data
"""  # 9 lines: the first series is in line 10
ROWS = "T1:2020-01-31 00-00-00:1,2.5,?,-4\nT2:2021-02-28 23-59-59:1e3,0.001\n"
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of text or bytes."""

    def to_file(content: str | bytes) -> Path:
        path = tmp_path / "test.tsf"
        path.write_bytes(content.encode("cp1252") if isinstance(content, str) else content)
        return path

    return to_file


def values(file: TsfFile) -> list[list[float]]:
    return [file.values[c].tolist() for c in range(len(file))]


def same(a: list[list[float]], b: list[list[float]]) -> None:
    assert [len(row) for row in a] == [len(row) for row in b]
    for x, y in zip(a, b, strict=True):
        np.testing.assert_array_equal(np.asarray(x, np.float32), np.asarray(y, np.float32))


EXPECTED = [[1.0, 2.5, np.nan, -4.0], [1000.0, 0.001]]


def test_all_of_a_file(write: Write) -> None:
    file = read_tsf(write(HEAD + ROWS))
    assert (file.relation, file.frequency, file.freq, file.horizon) == ("Test", "daily", "D", 3)
    assert (file.missing, file.equal_length, file.whole, file.dated) == (True, False, False, True)
    assert (file.header.missing, file.header.equal_length) == (True, False)
    assert file.header.attributes == (("series_name", "string"), ("start_timestamp", "date"))
    assert file.names.to_pylist() == ["T1", "T2"]
    assert file.starts.dtype == np.dtype("datetime64[s]")
    assert file.starts.tolist() == [datetime(2020, 1, 31), datetime(2021, 2, 28, 23, 59, 59)]
    assert file.values[0].dtype == np.float32
    assert (file.attributes.num_rows, file.attributes.num_columns) == (2, 0)
    same(values(file), EXPECTED)


def test_a_header_that_says_little(write: Write) -> None:
    file = read_tsf(write("@attribute city string\n@data\na b:1\n:2,3"))
    assert (file.relation, file.frequency, file.freq, file.horizon) == ("", None, None, None)
    assert (file.header.missing, file.header.equal_length) == (None, None)
    assert file.names.to_pylist() == ["a b", ""]
    assert not file.dated
    assert file.starts.tolist() == [datetime(1900, 1, 1)] * 2
    assert (file.missing, file.equal_length, file.whole) == (False, False, True)


def test_other_attributes_are_columns(write: Write) -> None:
    head = "@attribute place string\n@attribute series_name string\n@attribute horizon numeric\n@attribute seen date\n@data\n"
    file = read_tsf(write(head + "Ávila:A, b:6:2000-01-01 00-00-00:1\nRome:B:-1.5e1:1999-12-31 01-02-03:2"))
    assert file.names.to_pylist() == ["A, b", "B"]
    assert file.starts.tolist() == [datetime(2000, 1, 1), datetime(1999, 12, 31, 1, 2, 3)]
    assert file.attributes.to_pydict() == {"place": ["Ávila", "Rome"], "horizon": [6.0, -15.0]}


def test_without_a_string_series_are_numbered(write: Write) -> None:
    assert read_tsf(write("@attribute n numeric\n@data\n5:1\n5:2")).names.to_pylist() == ["T1", "T2"]


@pytest.mark.parametrize(
    "content",
    [
        HEAD.replace("\n", "\r\n") + ROWS.replace("\n", "\r\n"),
        HEAD.replace("\n", "\r") + ROWS.replace("\n", "\r"),
        HEAD + ROWS.removesuffix("\n"),
        HEAD + ROWS + "\n\n# the end\n",
        HEAD + "\n" + ROWS.replace("\nT2", " \n  # between: 1,2\n\n \tT2"),
        HEAD.upper().replace("TEST", "Test").replace("SERIES_NAME", "series_name").replace("START_TIMESTAMP", "start_timestamp") + ROWS,
        HEAD.replace("@relation", "\n  @relation").replace("@data", "@data  ").replace("@horizon 3", "@horizon   3") + ROWS,
        HEAD.replace("true", "1").replace("false", "No") + ROWS,
        HEAD + ROWS.replace(",", " , ").replace("2.5", "+2.5"),
        HEAD + ROWS.replace("2.5", "2.50").replace(":1,", ":1.,").replace("0.001", ".001").replace("1e3", "1.0E+03"),
        HEAD + ROWS.replace("2020-01-31 00-00-00", "2020-1-31 0-0-0"),
        b"\xef\xbb\xbf" + (HEAD + ROWS).encode(),
    ],
    ids=[
        "crlf", "cr", "no last line end", "empty lines at the end", "comments and blanks", "capitals", "blanks in the header",
        "truth", "blanks around values", "other spellings", "short dates", "byte order mark",
    ],
)  # fmt: skip
def test_other_spellings_of_the_same_file(write: Write, content: str | bytes) -> None:
    file = read_tsf(write(content))
    same(values(file), EXPECTED)
    assert file.names.to_pylist() == ["T1", "T2"]
    assert file.starts.tolist() == [datetime(2020, 1, 31), datetime(2021, 2, 28, 23, 59, 59)]
    assert (file.relation, file.frequency, file.horizon, file.header.missing) == ("Test", "daily", 3, True)


def test_names_in_utf_8_behind_a_byte_order_mark(write: Write) -> None:
    text = "@attribute series_name string\n@data\nПример:1\n"
    assert read_tsf(write(b"\xef\xbb\xbf" + text.encode())).names.to_pylist() == ["Пример"]
    assert read_header(write(b"\xef\xbb\xbf" + text.encode())).encoding == "utf-8"


@pytest.mark.parametrize(
    ("text", "whole"), [("1,2,?", True), ("1.0,2e3", True), ("1,2.5", False), ("16777217.5,1", False), ("-0.0,3", True)]
)
def test_whole_numbers_are_told_at_full_precision(write: Write, text: str, whole: bool) -> None:
    assert read_tsf(write(f"@attribute a string\n@data\nx:{text}\n")).whole is whole


def test_numbers_are_rounded_once_to_double_then_to_single(write: Write) -> None:
    words = ["0.1", "16777217", "3.4028234e38", "1e-45", "1e-60", "123456.789012345678901234567890", "-7.0E-3", "0" * 400 + "1"]
    file = read_tsf(write("@attribute a string\n@data\nx:" + ",".join(words)))
    same(values(file), [[float(np.float32(float(word))) for word in words]])


@pytest.mark.parametrize("word", ALIASES)
def test_frequency_words_have_aliases_of_the_core(word: str) -> None:
    assert frequency.normalize(alias(word)) == alias(word)


def test_multiples_of_frequencies() -> None:
    assert [alias(word) for word in ("5_minutes", "1_days", "12_hours", "2_years")] == ["5T", "D", "12H", "2A"]
    for word in ("", "0_days", "fortnightly", "5_", "5 minutes", "1.5_hours"):
        with pytest.raises(DataError, match="half_hourly"):
            alias(word)


# Defects: the content, the line that the error names, and words that it must have.

LINE = HEAD.count("\n") + 1
DEFECTS: dict[str, tuple[str | bytes, int | None, str]] = {
    "empty": ("", None, "empty"),
    "blank": ("\n \n", 3, "@data"),
    "only comments": ("# a\n# b\n", 3, "@data"),
    "no @data": (HEAD.replace("@data\n", ""), LINE - 1, "without a line @data"),
    "series before @data": (HEAD.replace("@data\n", "") + ROWS, LINE - 1, "before @data"),
    "header only": (HEAD, LINE, "without a series"),
    "header and comments": (HEAD + "# a\n\n", LINE + 2, "without a series"),
    "unknown word": ("@relation x\n@horizn 3\n@attribute a string\n@data\nx:1", 2, "Did you mean 'horizon'"),
    "a word twice": (HEAD.replace("@horizon 3", "@frequency weekly") + ROWS, 6, "second time (first in line 5)"),
    "no attribute": ("@relation x\n@data\nx:1\n", 2, "without an attribute"),
    "attribute after @data": (HEAD + "@attribute a string\n" + ROWS, LINE, "after @data"),
    "header word after a series": (HEAD + ROWS + "@horizon 3\n", LINE + 2, "after @data"),
    "second @data": (HEAD + "@data\n" + ROWS, LINE, "after @data"),
    "words behind @data": (HEAD.replace("@data", "@data now") + ROWS, 9, "@data alone"),
    "attribute without type": (HEAD.replace("series_name string", "series_name") + ROWS, 3, "1 words"),
    "attribute of three words": (HEAD.replace("series_name", "series name") + ROWS, 3, "3 words"),
    "attribute of another type": (HEAD.replace("string", "text") + ROWS, 3, "'text'"),
    "attribute twice": (HEAD.replace("start_timestamp date", "series_name date") + ROWS, 4, "second time"),
    "relation of two words": (HEAD.replace("Test", "A Test") + ROWS, 2, "2 words"),
    "word without value": (HEAD.replace("@frequency daily", "@frequency") + ROWS, 5, "no words"),
    "unknown frequency": (HEAD.replace("daily", "dayly") + ROWS, 5, "Did you mean 'daily'"),
    "horizon with a point": (HEAD.replace("@horizon 3", "@horizon 3.0") + ROWS, 6, "whole number"),
    "horizon 0": (HEAD.replace("@horizon 3", "@horizon 0") + ROWS, 6, "whole number"),
    "horizon with another alphabet's digit": (b"@horizon \xb2\n@attribute a string\n@data\nx:1", 1, "whole number"),
    "neither true nor false": (HEAD.replace("@missing true", "@missing maybe") + ROWS, 7, "true or false"),
    "too few fields": (HEAD + ROWS + "T3:1,2\n", LINE + 2, "2 fields"),
    "too many fields": (HEAD + "T0:x:2020-01-01 00-00-00:1\n" + ROWS, LINE, "4 fields"),
    "one more, one fewer": (HEAD + "a:b:2020-01-01 00-00-00:1\nc:1\n", LINE, "4 fields"),
    "a time between values": (HEAD + ROWS.replace("2.5", "12:30"), LINE, "12:30"),
    "all missing": (HEAD + ROWS + "T3:2020-01-01 00-00-00:?,?\n", LINE + 2, "all values missing"),
    "no values": (HEAD + ROWS + "T3:2020-01-01 00-00-00:\n", LINE + 2, "without values"),
    "empty value": (HEAD + ROWS.replace("2.5", ""), LINE, "of the series is empty"),
    "comma at the end": (HEAD + ROWS.replace("0.001", "0.001,"), LINE + 1, "of the series is empty"),
    "no number": (HEAD + ROWS.replace("2.5", "two"), LINE, "of the series is 'two'"),
    "comma for a point": (HEAD + ROWS.replace("2.5", "2;5"), LINE, "'2;5'"),
    "nan": (HEAD + ROWS.replace("2.5", "NaN"), LINE, "'NaN'"),
    "inf": (HEAD + ROWS.replace("2.5", "-inf"), LINE, "'-inf'"),
    "hexadecimal": (HEAD + ROWS.replace("2.5", "0x10"), LINE, "'0x10'"),
    "two ?": (HEAD + ROWS.replace("?", "??"), LINE, "'??'"),
    "beyond float32": (HEAD + ROWS.replace("2.5", "4e38"), LINE, "'4e38'"),
    "beyond float64": (HEAD + ROWS.replace("0.001", "-1e999"), LINE + 1, "'-1e999'"),
    "bad date": (HEAD + ROWS.replace("2021-02-28", "2021-02-29"), LINE + 1, "start_timestamp is '2021-02-29 23-59-59'"),
    "date with colons": (HEAD + ROWS.replace("23-59-59", "23:59:59"), LINE + 1, "5 fields"),
    "date of another kind": (HEAD + ROWS.replace("2021-02-28 23-59-59", "28.02.2021"), LINE + 1, "a date such as"),
    "year 0": (HEAD + ROWS.replace("2021-02-28", "0000-02-28"), LINE + 1, "a date such as"),
    "numeric attribute": ("@attribute a numeric\n@data\n1:1\nx:2\n", 4, "attribute a is 'x'"),
    "missing numeric attribute": ("@attribute a numeric\n@data\n?:1\n", 3, "a number"),
    "infinite numeric attribute": ("@attribute a numeric\n@data\n1e999:1\n", 3, "a number"),
    "byte that is not cp1252": (b"@attribute a string\n@data\nx:1\nA\x81:2\n", 4, "not cp1252"),
    "byte that is not cp1252 in the header": (b"@relation \x81\n@attribute a string\n@data\nx:1", 1, "not cp1252"),
    "byte that is not UTF-8": (b"\xef\xbb\xbf@attribute a string\n@data\n\xff:2\n", 3, "not utf-8"),
    "UTF-16": ("@attribute a string\n@data\nx:1".encode("utf-16"), None, "UTF-16"),
    "zip": (b"PK\x03\x04" + bytes(50), None, "unzip"),
    "gzip": (b"\x1f\x8b" + bytes(50), None, "gunzip"),
    "cut off in a date": (HEAD + ROWS + "T3:2020-0", LINE + 2, "2 fields"),
    "cut off behind a comma": (HEAD + ROWS + "T3:2020-01-01 00-00-00:1,2,", LINE + 2, "cut off"),
    "cut off behind a point": (HEAD + ROWS + "T3:2020-01-01 00-00-00:1,2.", LINE + 2, "cut off"),
    "cut off behind a sign": (HEAD + ROWS + "T3:2020-01-01 00-00-00:1,-", LINE + 2, "cut off"),
    "? and @missing false": (HEAD.replace("@missing true", "@missing false") + ROWS, LINE, "strict=False"),
    "unequal and @equallength true": (HEAD.replace("length false", "length true") + ROWS, LINE + 1, "2 values, the first series has 4"),
}  # fmt: skip


@pytest.mark.parametrize("name", DEFECTS)
def test_defects_name_their_line(write: Write, name: str) -> None:
    content, line, words = DEFECTS[name]
    path = write(content)
    for read in (read_tsf, lambda p: list(read_batches(p, piece=7))):
        with pytest.raises(DataError) as caught:
            read(path)
        message = str(caught.value)
        assert words in message, message
        assert str(path) in message
        assert "wanted" in message
        if line is not None:
            assert f"{path}, line {line}: " in message, message


def test_lines_are_counted_over_comments_and_pieces(write: Write) -> None:
    rows = [f"T{i}:2020-01-01 00-00-00:{i},2,3" for i in range(500)]
    rows[100] = "# a comment"
    rows[200] = ""
    rows[400] = "T400:2020-01-01 00-00-00:1,x,3"
    path = write(HEAD + "\n".join(rows))
    for piece in (10, 100, 1000, 1 << 20):
        with pytest.raises(DataError, match=f"line {LINE + 400}: .*value.* of the series is 'x'"):
            list(read_batches(path, piece=piece))


def test_not_strict_reads_what_the_archives_loaders_read(write: Write) -> None:
    head = (
        HEAD.replace("@missing true", "@missing false")
        .replace("@equallength false", "@equallength true")
        .replace("@data", "@Author me too\n@data")
    )
    path = write(head + ROWS)
    with pytest.raises(DataError, match=r"@author is no word.*strict=False"):
        read_tsf(path)
    file = read_tsf(path, strict=False)
    same(values(file), EXPECTED)
    assert (file.header.missing, file.missing, file.header.equal_length, file.equal_length) == (False, True, True, False)
    assert file.header.extra == {"author": "me too"}
    assert len(next(read_batches(path, strict=False))) == 2
    assert read_header(path, strict=False).horizon == 3
    assert file.contradictions and all("@" in said for said in file.contradictions)


@pytest.mark.parametrize("word", ["horizn 14", "frequencey daily", "equal_length true", "missin false"])
def test_a_slip_in_a_word_is_an_error_also_where_others_are_passed_over(write: Write, word: str) -> None:
    path = write(f"@relation x\n@{word}\n@attribute a string\n@data\nx:1\n")
    for read in (read_tsf, read_header):
        with pytest.raises(DataError, match=rf"line 2: @{word.split()[0]} is no word of a header; wanted .* Did you mean '"):
            read(path, strict=False)


def test_claims_that_the_series_contradict_are_told_with_their_lines(write: Write) -> None:
    head = "@relation x\n@attribute a string\n@missing false\n@equallength true\n@author me\n@data\n"
    file = read_tsf(write(head + "x:1,2\ny:1,?\n\nz:1,?,3\n"), strict=False)
    assert file.contradictions == (
        "@author is no word of a header",
        "line 8: a value ?, and the header says @missing false",
        "line 10: 3 values, the first series has 2, and the header says @equallength true",
    )
    assert read_tsf(write(head.replace("@author me\n", "") + "x:1,2\ny:1,3\n")).contradictions == ()


def test_errors_number_the_value(write: Write) -> None:
    for text, words in (("two", "value 2 of the series is 'two'"), ("", "value 2 of the series is empty")):
        with pytest.raises(DataError, match=words):
            read_tsf(write(HEAD + ROWS.replace("2.5", text)))


def test_no_file(tmp_path: Path) -> None:
    for path in (tmp_path / "none.tsf", tmp_path):
        with pytest.raises(DataError, match="wanted"):
            read_tsf(path)


# Pieces: wherever the file is cut, the same comes out.


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 8, 13, 64, 1000])
@pytest.mark.parametrize("threads", [1, 3])
def test_pieces_of_any_size_give_the_same(write: Write, monkeypatch: pytest.MonkeyPatch, piece: int, threads: int) -> None:
    monkeypatch.setattr(reader, "THREADS", threads)
    rng = np.random.default_rng(piece)
    expected = [rng.integers(0, 100, n).astype(float).tolist() for n in (1, 2, 300, 1, 7, 50)]
    text = "".join(f"a,{i}:x, y:{','.join('?' if v == 7 else str(int(v)) for v in row)}\n# a: b, c\n" for i, row in enumerate(expected))
    path = write("@attribute series_name string\n@attribute other string\n@data\n" + text)
    batches = list(read_batches(path, piece=piece))
    table = pa.Table.from_batches(batches)
    assert table.schema.names == ["series_name", "other", "series_value"]
    assert table["series_name"].to_pylist() == [f"a,{i}" for i in range(6)]
    assert table["other"].to_pylist() == ["x, y"] * 6
    same(table["series_value"].to_pylist(), [[np.nan if v == 7 else v for v in row] for row in expected])
    assert len(batches) > 1 or piece == 1000


def test_a_long_row_is_read_in_pieces_and_cut_off_rows_are_noticed(write: Write) -> None:
    text = "x:" + ",".join(map(str, range(1000)))
    for end, words in (
        (",", "a value of the series is empty; the file seems to be cut off"),
        (",-", "'-'; the file seems"),
        (",x,1\n", "'x'"),
    ):
        with pytest.raises(DataError, match="line 3") as caught:
            list(read_batches(write("@attribute a string\n@data\n" + text + end), piece=100))
        assert words in str(caught.value)
    assert [len(b["series_value"][0]) for b in read_batches(write("@attribute a string\n@data\n" + text), piece=100)] == [1000]
    hole = "@missing false\n@attribute a string\n@data\ny:1\n" + text + ",?,1\nz:1"
    with pytest.raises(DataError, match=r"line 5: a value \?"):
        list(read_batches(write(hole), piece=100))
    with pytest.raises(DataError, match="line 3: a series with all values missing"):
        list(read_batches(write("@attribute a string\n@data\nx:" + "?," * 1000 + "?"), piece=100))


def test_a_stream_stops_where_it_is_left(write: Write) -> None:
    path = write(HEAD + ROWS * 200 + "broken\n")
    batches = read_batches(path, piece=50)
    assert next(batches)["series_name"].to_pylist() == ["T1"]
    batches.close()  # type: ignore[attr-defined]


def test_garbage_without_an_end_is_not_read_on_forever(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness_tasks.tsf.pieces.LONGEST", 1000)
    with pytest.raises(DataError, match=r"line 3: .* without a comma or a line end"):
        list(read_batches(write("@attribute a string\n@data\n" + "z" * 5000), piece=100))


# Writing.


def test_what_is_written_reads_back(tmp_path: Path) -> None:
    path, rng = tmp_path / "out.tsf", np.random.default_rng(0)
    rows = [rng.normal(0, 10.0 ** rng.integers(-30, 30), rng.integers(2, 60)).astype(np.float32) for _ in range(200)]
    for row in rows[::3]:
        row[0] = np.nan
    names = [f"Nämé {i}, €" for i in range(200)]
    starts = np.datetime64("0987-01-01", "s") + np.arange(200) * np.timedelta64(31 * 86_400 + 3_601, "s")
    more = pa.table(
        {"horizon": pa.array([6] * 200), "lat": pa.array(rng.normal(size=200)), "kind": ["a b"] * 200, "seen": pa.array(starts)}
    )
    write_tsf(path, rows, names=names, starts=starts, attributes=more, relation="R", frequency="hourly", horizon=4, comments=["one\ntwo"])
    file = read_tsf(path)
    for c, row in enumerate(rows):
        np.testing.assert_array_equal(file.values[c].view(np.int32)[~np.isnan(row)], row.view(np.int32)[~np.isnan(row)])
        np.testing.assert_array_equal(np.isnan(file.values[c]), np.isnan(row))
    assert file.names.to_pylist() == names
    np.testing.assert_array_equal(file.starts, starts)
    assert file.attributes.column_names == ["horizon", "lat", "kind", "seen"]
    assert file.attributes["lat"].to_pylist() == more["lat"].to_pylist()
    assert file.attributes["seen"].to_pylist() == more["seen"].to_pylist()
    assert (file.relation, file.frequency, file.horizon, file.header.missing, file.header.equal_length) == ("R", "hourly", 4, True, False)
    assert path.read_bytes().startswith(b"# one\n# two\n@relation R\n@attribute series_name string\n")
    assert list(tmp_path.iterdir()) == [path]


def test_shortest_text_and_plain_defaults(tmp_path: Path) -> None:
    path = tmp_path / "out.tsf"
    write_tsf(path, Channels.from_ragged(Ragged.from_rows([[1, 0.1, -0.5], [3e38, np.nan, 1e-7]])))
    text = "@relation series\n@attribute series_name string\n@missing true\n@equallength true\n@data\n"
    assert path.read_text() == text + "T1:1,0.1,-0.5\nT2:3e+38,?,1e-7\n"


def test_many_values_are_written_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness_tasks.tsf.writer.VALUES", 10)
    rows = [np.arange(n, dtype=np.float32) + n for n in (1, 25, 3, 4, 5, 30, 1)]
    write_tsf(tmp_path / "out.tsf", rows)
    same(values(read_tsf(tmp_path / "out.tsf")), [row.tolist() for row in rows])


BAD: list[tuple[dict[str, Any], str]] = [
    ({"values": []}, "no series"),
    ({"values": [[1.0], []]}, "series 1 without values"),
    ({"values": [[1.0], [np.nan]]}, "series 1 with all values missing"),
    ({"values": [[1.0], [2.0, np.inf]]}, "infinity in series 1"),
    ({"names": ["a"]}, "1 values of series_name"),
    ({"names": ["a", None]}, "1 of them null"),
    ({"names": ["a", "b:c"]}, "'b:c'"),
    ({"names": ["a", "#b"]}, "'#b'"),
    ({"names": ["@a", "b"]}, "'@a'"),
    ({"names": ["a ", "b"]}, "'a '"),
    ({"names": ["a\nb", "b"]}, "no colon or control character"),
    ({"names": ["a", "Пример"]}, "cp1252"),
    ({"starts": np.array(["2020-01-01", "NaT"], "M8[s]")}, "no time"),
    ({"starts": np.array(["2020-01-01", "10000-01-01"], "M8[s]")}, "no time"),
    ({"attributes": {"series_name": ["a", "b"]}}, "argument of their own"),
    ({"attributes": {"two words": ["a", "b"]}}, "one word"),
    ({"attributes": {"x": [1.0, np.nan]}}, "not finite"),
    ({"attributes": {"x": [[1], [2]]}}, "strings, numbers or times"),
    ({"relation": "two words"}, "one word"),
    ({"frequency": "often"}, "half_hourly"),
    ({"horizon": 0}, "horizon 0"),
    ({"horizon": 2.0}, "horizon 2.0"),
]


@pytest.mark.parametrize(("arguments", "words"), BAD)
def test_what_would_not_read_back_is_not_written(tmp_path: Path, arguments: dict[str, Any], words: str) -> None:
    path = tmp_path / "out.tsf"
    path.write_text("before")
    with pytest.raises(ValueError, match="write_tsf") as caught:
        write_tsf(path, **{"values": [[1.0], [2.0]], **arguments})
    assert words in str(caught.value)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="choose another file"):
        write_tsf(tmp_path / "none" / "out.tsf", [[1.0]])


# Whatever the bytes: a result that a plain loop finds too, or a `DataError`.


def by_hand(content: bytes) -> list[tuple[str, list[float]]]:
    """First attribute and values of each series, read as the archive's loaders do: line by line, word by word. Raises anything."""
    text = content.removeprefix(b"\xef\xbb\xbf").decode("utf-8" if content.startswith(b"\xef\xbb\xbf") else "cp1252", "surrogateescape")
    count, data, found = 0, False, []
    for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        line = line.strip(" \t\x0b\x0c")
        if not line or line.startswith("#"):
            continue
        if line.startswith("@"):
            count += line.lower().startswith("@attribute")
            data = data or line.lower().startswith("@data")
            continue
        assert data
        fields = line.split(":")
        assert len(fields) == count + 1
        row = [np.nan if word.strip() == "?" else float(word) for word in fields[-1].split(",")]
        assert not np.isnan(row).all()
        found.append((fields[0], row))
    return found


PLAIN = (HEAD + ROWS).encode()
MANY = (HEAD.replace("daily", "hourly") + ROWS * 3).encode() + "Ä, b:1999-12-31 01-02-03:?,7,?,0.125,12345678\n".encode("cp1252")


def examined(path: Path, content: bytes, piece: int) -> None:
    path.write_bytes(content)
    try:
        file = read_tsf(path)
    except DataError as error:
        assert str(path) in str(error)
        for strict in (True, False):
            try:
                list(read_batches(path, piece=piece, strict=strict))
            except DataError:
                continue
            assert not strict, f"only one of two readers refused {content!r}: {error}"
        return
    expected = by_hand(content)
    assert len(file) == len(expected)
    same(values(file), [row for _, row in expected])
    table = pa.Table.from_batches(list(read_batches(path, piece=piece)))
    same(table.column(table.num_columns - 1).to_pylist(), [row for _, row in expected])
    if file.header.attributes[0][1] == "string" and (names := table.column(0).to_pylist()):
        assert names == [name for name, _ in expected]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200), headed=st.booleans(), piece=st.integers(1, 300))
@example(content=b"T1:2020-01-01 00-00-00:1\r", headed=True, piece=1)
def test_any_bytes(tmp_path: Path, content: bytes, headed: bool, piece: int) -> None:
    examined(tmp_path / "any.tsf", HEAD.encode() + content if headed else content, piece)


FRAGMENTS = [
    b"\n", b"\r\n", b"\r", b":", b",", b"?", b"#", b"@", b" ", b"\t", b"-", b"+", b".", b"e", b"1", b"9" * 50, b"nan", b"inf", b"1e39",
    b"_", b"\x00", b"\x81", b"\xa0", b"\xff", b"@data\n", b"@missing false\n", b"\xef\xbb\xbf", b"T9:2020-01-01 00-00-00:1,2\n",
]  # fmt: skip


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    base=st.sampled_from([PLAIN, MANY]),
    edits=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 12), st.sampled_from(FRAGMENTS)), min_size=1, max_size=3),
    piece=st.integers(1, 300),
)
def test_mutated_files(tmp_path: Path, base: bytes, edits: list[tuple[float, int, bytes]], piece: int) -> None:
    content = base
    for place, length, new in edits:
        at = int(place * len(content))
        content = content[:at] + new + content[at + length :]
    examined(tmp_path / "mutated.tsf", content, piece)


@pytest.mark.parametrize("size", range(len(PLAIN)))
def test_cut_off_anywhere_reads_as_by_hand_or_not_at_all(tmp_path: Path, size: int) -> None:
    examined(tmp_path / "cut.tsf", PLAIN[:size], 40)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.lists(st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=8), min_size=1))
def test_any_values_read_back(tmp_path: Path, rows: list[list[float | None]]) -> None:
    arrays = [np.array([np.nan if v is None else v for v in [*row, 1.5]], np.float32) for row in rows]
    write_tsf(tmp_path / "any.tsf", arrays)
    same(values(read_tsf(tmp_path / "any.tsf")), [array.tolist() for array in arrays])


# Real data.


def test_a_file_of_the_archive_is_the_dataset_of_gift_eval() -> None:
    path, folder = DATA / "monash" / "saugeenday_dataset.tsf", DATA / "gift-eval" / "saugeenday" / "D"
    if not path.exists() or not folder.exists():
        pytest.skip(f"no {path} or no {folder}; set HARNESS_TEST_DATA to a folder that has both")
    file, other = read_tsf(path), read_folder(folder)
    assert (file.relation, file.frequency, file.horizon, len(file), file.whole) == ("SaugeenDay", "daily", None, 1, False)
    np.testing.assert_array_equal(file.values[0], other.target[0])
    np.testing.assert_array_equal(file.starts, other.starts)
    assert file.names.to_pylist() == ["T1"]
    same(values(file), [row for _, row in by_hand(path.read_bytes())])


def test_the_package_names_what_it_offers() -> None:
    assert sorted(tsf.__all__) == sorted(tsf._EXPORTS)
    assert all(getattr(tsf, name).__name__ == name for name in tsf.__all__)
    with pytest.raises(AttributeError, match="read_ts"):
        tsf.read_ts  # noqa: B018


def test_the_archives_table_costs_no_numpy() -> None:
    code = "import sys, harness_tasks.monash_table as m; m.MONASH[0].freq; print(sorted({'numpy', 'pyarrow'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("unit", ["Y", "M", "D", "h", "m", "s", "ms", "us", "ns"])
def test_dates_of_every_unit_are_written(tmp_path: Path, unit: str) -> None:
    times = np.array(["2020-01-01", "2021-01-01"], f"datetime64[{unit}]")
    path = tmp_path / "x.tsf"
    for column in (times, list(times), times.astype("datetime64[s]").tolist()):
        write_tsf(path, [[1.0], [2.0]], starts=times, attributes={"d": column})
        back = read_tsf(path)
        assert back.starts.tolist() == times.astype("datetime64[s]").tolist() == back.attributes["d"].to_pylist()


def test_whole_numbers_are_written_with_all_their_digits(tmp_path: Path) -> None:
    path = tmp_path / "x.tsf"
    numbers = [2**53 + 1, -(2**63)]
    write_tsf(
        path, [[1.0], [2.0]], attributes={"n": numbers, "u": np.array([2**64 - 1, 0], np.uint64), "f": np.array([0.5, 2], np.float16)}
    )
    assert f"T1:{2**53 + 1}:{2**64 - 1}:0.5:1" in path.read_text() and f":{-(2**63)}:0:2:2" in path.read_text()


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (np.array(["2020-01-01T00:00:00.5"], "datetime64[ms]"), "a part of a second"),
        ([datetime(2020, 1, 1, 0, 0, 0, 5)], "a part of a second"),
        ([datetime(2020, 1, 1, tzinfo=UTC)], "without a zone"),
        (np.array(["NaT"], "datetime64[D]"), "no time of the years"),
        (np.array([30_000_000], "datetime64[D]"), "no time of the years"),
        ([2**70], "no column"),
        ([object()], "no column"),
        ([[1]], "wanted strings, numbers or times"),
        ([np.inf], "not finite"),
        ([True], "wanted strings, numbers or times"),
    ],
)
def test_attributes_that_cannot_be_written(tmp_path: Path, column: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        write_tsf(tmp_path / "x.tsf", [[1.0]], attributes={"a": column})
    assert list(tmp_path.glob("*.tsf*")) == []


@pytest.mark.parametrize(
    ("word", "slip"), [("frequencey", True), ("freq", True), ("equal_length", True), ("dataset", False), ("author", False)]
)
def test_a_slip_is_an_error_and_a_word_of_ones_own_is_kept(tmp_path: Path, word: str, slip: bool) -> None:
    path = tmp_path / "x.tsf"
    path.write_text(f"@{word} daily\n@attribute series_name string\n@data\na:1,2,3\n")
    if slip:
        with pytest.raises(DataError, match=rf"line 1: @{word} is no word of a header"):
            read_tsf(path, strict=False)
    else:
        assert read_tsf(path, strict=False).header.extra == {word: "daily"}
