"""The reader of saved datasets: what it reads, that it copies nothing, and what it says of broken folders."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from harness.errors import DataError
from harness_tasks.arrow_folder import read_folder, shard_files

Writer = Callable[..., Path]
F32 = pa.float32()
TWO = [[1.0, 2.0, 3.0], [4.0, 5.0]]
PAIRS = [[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], [[7.0, 8.0], [9.0, 10.0]]]  # 2 items × 2 variates


def values(folder: Path) -> list[list[float]]:
    target = read_folder(folder).target
    return [target[c].tolist() for c in range(len(target))]


def data_file(folder: Path) -> Path:
    return next(iter(shard_files(folder)))


@pytest.mark.parametrize("kind", [pa.list_(F32), pa.large_list(F32), pa.list_(pa.float64()), pa.list_(pa.float16())])
def test_univariate_types(write: Writer, kind: pa.DataType) -> None:
    target: list[Any] = [np.asarray(row, np.float16) for row in TWO] if kind == pa.list_(pa.float16()) else TWO
    folder = write(target, kind=kind)
    assert values(folder) == TWO
    assert read_folder(folder).target[0].dtype == np.float32


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.list_(F32), 2), pa.list_(pa.list_(F32)), pa.large_list(pa.large_list(F32)), pa.list_(pa.large_list(pa.float64()), 2)],
)
def test_multivariate_types(write: Writer, kind: pa.DataType) -> None:
    series = read_folder(write(PAIRS, kind=kind, rows_per_batch=1))
    assert (series.items, series.variates, len(series.target)) == (2, 2, 4)
    assert [series.target[c].tolist() for c in range(4)] == [variate for item in PAIRS for variate in item]


def test_one_variate_in_a_nested_list_is_still_one_variate(write: Writer) -> None:
    series = read_folder(write([[[1.0, 2.0]], [[3.0]]], kind=pa.list_(pa.list_(F32))))
    assert (series.items, series.variates) == (2, 1)


@pytest.mark.parametrize("layout", [{"rows_per_batch": 2}, {"shards": 3}, {"file_format": True}, {"state": False, "shards": 2}])
def test_order_of_rows_over_batches_and_shards(write: Writer, layout: dict[str, Any]) -> None:
    rows = [[float(i)] * (i + 1) for i in range(7)]
    folder = write(rows, **layout)
    assert values(folder) == rows
    assert read_folder(folder).item_ids.to_pylist() == [f"item {i}" for i in range(7)]


def test_sliced_arrays_are_read_from_their_offset(write: Writer) -> None:
    # The file keeps an array's offset only inside nested children, so batches are sliced out of longer ones here.
    rows = [[float(i), float(i) + 0.5] for i in range(10)]
    nested = [[[float(i)] * 3, [-float(i)] * 3] for i in range(10)]
    from harness_tasks.arrow_folder import _lists

    def fail(got: str, wanted: str) -> DataError:
        return DataError(got + wanted)

    flat = pa.array(rows, pa.list_(F32)).slice(4, 3)
    got, begin, length, variates = _lists(flat, False, fail)
    assert [got[b : b + n].tolist() for b, n in zip(begin, length, strict=True)] == rows[4:7]
    for kind in (pa.list_(pa.list_(F32), 2), pa.list_(pa.list_(F32))):
        got, begin, length, variates = _lists(pa.array(nested, kind).slice(4, 3), True, fail)
        assert variates == 2
        assert [got[b : b + n].tolist() for b, n in zip(begin, length, strict=True)] == [v for item in nested[4:7] for v in item]


def test_values_are_views_of_the_mapped_file(write: Writer) -> None:
    before = pa.total_allocated_bytes()
    series = read_folder(write([np.arange(1_000_000, dtype=np.float32)]))
    assert pa.total_allocated_bytes() - before < 100_000
    assert not series.target[0].flags.owndata
    assert not series.target[0].flags.writeable
    assert series.target[0][-1] == 999_999


def test_compressed_buffers_are_read(write: Writer) -> None:
    assert values(write(TWO, options=pa.ipc.IpcWriteOptions(compression="zstd"))) == TWO


def test_nulls_become_nan_and_infinities_stay(write: Writer) -> None:
    got = read_folder(write([[1.0, None, np.inf], [np.nan, -np.inf]])).target
    np.testing.assert_array_equal(got[0], np.array([1, np.nan, np.inf], np.float32))
    np.testing.assert_array_equal(got[1], np.array([np.nan, -np.inf], np.float32))


@pytest.mark.parametrize(
    "start",
    [
        pa.array([datetime(1750, 1, 1, 6)], pa.timestamp("s")),
        pa.array([datetime(1750, 1, 1, 6)], pa.timestamp("us")),
        pa.array([datetime(1750, 1, 1, 6)], pa.timestamp("ns")),
        pa.array([datetime(1750, 1, 1, 6, tzinfo=UTC)], pa.timestamp("ms", "UTC")),
        pa.array(["1750-01-01T06:00:00"]),
        pa.array(["1750-01-01 06:00:00"], pa.large_string()),
        pa.array(["1750-01-01T06:00:00Z"]),
    ],
)
def test_starts_of_any_spelling(write: Writer, start: pa.Array) -> None:
    starts = read_folder(write([[1.0]], start=start)).starts
    assert starts.dtype == np.dtype("datetime64[s]")
    assert starts[0] == np.datetime64("1750-01-01T06:00:00")


def test_start_may_be_a_date(write: Writer) -> None:
    assert read_folder(write([[1.0]], start=pa.array([date(2020, 2, 3)]))).starts[0] == np.datetime64("2020-02-03")


def test_item_ids_become_text(write: Writer) -> None:
    assert read_folder(write(TWO, ids=pa.array([7, 8]))).item_ids.to_pylist() == ["7", "8"]
    assert read_folder(write(TWO, ids=pa.array(["a", "b"]).dictionary_encode())).item_ids.to_pylist() == ["a", "b"]


def test_past_covariates(write: Writer) -> None:
    past = pa.array([[[1.0, 1.0, 1.0], [2.0, 2.0, 2.0]], [[3.0, 3.0], [4.0, 4.0]]], pa.list_(pa.list_(F32)))
    series = read_folder(write(TWO, past=past, rows_per_batch=1))
    assert series.past is not None
    assert series.past_count == 2
    assert series.past[2].tolist() == [3.0, 3.0]


@pytest.mark.parametrize(
    "past",
    [
        pa.array([[[1.0, 1.0, 1.0]], [[3.0]]], pa.list_(pa.list_(F32))),  # shorter than the second target
        pa.array([[[1.0, 1.0, 1.0]], [[3.0, 3.0], [4.0, 4.0]]], pa.list_(pa.list_(F32))),  # one, then two
        pa.array([[[1.0, 1.0, 1.0]], None], pa.list_(pa.list_(F32))),
        pa.array([[], []], pa.list_(pa.list_(F32))),
        pa.array([1, 2]),
    ],
)
@pytest.mark.parametrize("rows_per_batch", [1, 2])
def test_past_covariates_that_do_not_fit_are_left_out(write: Writer, past: pa.Array, rows_per_batch: int) -> None:
    assert read_folder(write(TWO, past=past, rows_per_batch=rows_per_batch)).past is None


# What is broken: how the folder is made, and what the error must say.


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(DataError) as caught:
        read_folder(folder, "Fetch it again: harness data pull gift-eval x")
    message = str(caught.value)
    for word in (*words, str(folder), "wanted", "harness data pull gift-eval x"):
        assert word in message, message


@pytest.mark.parametrize("column", ["item_id", "start", "freq", "target"])
def test_missing_column(write: Writer, column: str) -> None:
    refused(write(TWO, drop=column), f"no column {column}")


@pytest.mark.parametrize("kind", [pa.list_(pa.bool_()), pa.list_(pa.string()), F32, pa.list_(pa.list_(pa.list_(F32)))])
def test_wrong_type_of_target(write: Writer, kind: pa.DataType) -> None:
    refused(write([], kind=kind, name="empty"), "no rows")
    examples: dict[str, list[Any]] = {"float": [1.0], "list<item: string>": [["a"]], "list<item: bool>": [[True]]}
    rows = examples.get(str(kind), [[[[1.0]]]])
    refused(write(rows, kind=kind), "column target", str(kind))


def test_wrong_types_elsewhere(write: Writer) -> None:
    refused(write(TWO, start=pa.array([1, 2])), "column start", "int64")
    refused(write(TWO, start=pa.array(["soon", "later"])), "column start", "soon")
    refused(write(TWO, freq="often"), "column freq", "often")
    refused(write(TWO, freq=3), "column freq", "3")
    refused(write(TWO, ids=pa.array(["a", None])), "column item_id", "null")


def test_no_rows_and_empty_series(write: Writer) -> None:
    refused(write([]), "no rows")
    refused(write([[1.0], [2.0], []], rows_per_batch=2), "item 2", "row 2", "no values")
    refused(write([[1.0], None]), "null")


def test_uneven_variates(write: Writer) -> None:
    nested = pa.list_(pa.list_(F32))
    refused(write([[[1.0], [2.0, 3.0]]], kind=nested), "[1, 2]")
    refused(write([[[1.0], [2.0]], [[1.0]]], kind=nested), "1, 2 variates")
    refused(write([[[1.0], [2.0]], [[1.0]]], kind=nested, rows_per_batch=1), "1 variates", "2 before")


def test_truncated_at_every_message(write: Writer) -> None:
    folder = write([[float(i)] * 50 for i in range(8)], rows_per_batch=2)
    path = data_file(folder)
    whole = path.read_bytes()
    # Every eighth byte covers each border between messages, where a cut stream would otherwise pass for a whole one.
    for size in range(0, len(whole), 8):
        path.write_bytes(whole[:size])
        refused(folder, path.name)
    path.write_bytes(whole)
    assert len(values(folder)) == 8


def test_truncated_file_format(write: Writer) -> None:
    folder = write(TWO, file_format=True)
    path = data_file(folder)
    path.write_bytes(path.read_bytes()[:-20])
    refused(folder, path.name, "Arrow")


def test_garbage_in_place_of_arrow(write: Writer) -> None:
    folder = write(TWO)
    data_file(folder).write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    refused(folder, "cannot be read as Arrow")


def test_offsets_that_point_outside(write: Writer) -> None:
    folder = write([[1.0] * 1237])
    path = data_file(folder)
    raw = path.read_bytes()
    at = raw.rindex(np.array([0, 1237], np.int32).tobytes())  # the lengths in the header before it look the same
    path.write_bytes(raw[:at] + np.array([0, 1 << 20], np.int32).tobytes() + raw[at + 8 :])
    refused(folder, "cannot be read as Arrow")


def test_missing_shard(write: Writer) -> None:
    folder = write([[1.0], [2.0]], shards=2)
    (folder / "data-00001-of-00002.arrow").unlink()
    refused(folder, "data-00001-of-00002.arrow is missing")
    (folder / "state.json").unlink()
    refused(folder, "1 Arrow files of 2")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"_data_files": [1]}', '{"_data_files": []}', "\x00"])
def test_garbage_in_state(write: Writer, text: str) -> None:
    folder = write(TWO)
    (folder / "state.json").write_text(text)
    refused(folder, "state.json")


@pytest.mark.parametrize("name", ["../other/data.arrow", "/etc/passwd", "", "."])
def test_state_cannot_name_files_elsewhere(write: Writer, name: str) -> None:
    import json

    folder = write(TWO)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name}]}))
    refused(folder, "state.json")


def test_folder_without_arrow_files(tmp_path: Path) -> None:
    folder = tmp_path / "nothing"
    folder.mkdir()
    refused(folder, "no Arrow file")


def test_whole_numbers_are_read_as_float32(write: Writer) -> None:
    series = read_folder(write([[1, None, 3], [4]], kind=pa.list_(pa.int64())), "")
    np.testing.assert_array_equal(series.target[0], np.array([1, np.nan, 3], np.float32))
    np.testing.assert_array_equal(series.target[1], np.array([4], np.float32))
