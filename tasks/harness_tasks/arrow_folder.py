"""Read a folder that HuggingFace `datasets` wrote with `save_to_disk`: `state.json` names the shards, each an Arrow stream.

Rows are items with the columns `item_id`, `start`, `freq`, `target` and perhaps `past_feat_dynamic_real`. The target of a univariate
dataset is list<float>, of a multivariate one a list of V such lists. Files are memory-mapped, and the values of a `Channels` are views
of each record batch's buffer: opening costs the same whatever the size. Only float64 values, nulls and compressed buffers are copied.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from harness import frequency
from harness.arrow import to_numpy
from harness.errors import DataError
from harness.forecast import F32, I64
from harness.series import Channels, SeriesSet
from harness.table_rows import is_list

__all__ = ["read_folder", "record_batches", "shard_files"]

COLUMNS = ("item_id", "start", "freq", "target")
PAST = "past_feat_dynamic_real"
SHARD = re.compile(r"data-\d+-of-(\d+)\.arrow")
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"

FIRST, LAST = np.datetime64("0001-01-01", "s"), np.datetime64("9999-12-31", "s")

Fail = Callable[[str, str], DataError]


def shard_files(folder: Path, fix: str = "") -> list[Path]:
    """The folder's Arrow files in the order of its rows.

    Raises:
        DataError: no Arrow file, one that `state.json` names is missing, or `state.json` is not what `save_to_disk` writes.
    """
    state = folder / "state.json"
    if not state.exists():
        return _unlisted_shards(folder, fix)
    try:
        names = [entry["filename"] for entry in json.loads(state.read_bytes())["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        what = f"cannot be read ({type(error).__name__}: {error})"
        raise _error(state, what, 'JSON with {"_data_files": [{"filename": ...}]}', fix) from None
    if not names:
        raise _error(state, "lists no data file", "at least one Arrow file", fix)
    for name in names:
        if not isinstance(name, str) or Path(name).name != name:  # what a stranger wrote must not leave its folder
            raise _error(state, f"names the data file {name!r}", "the name of a file in the same folder", fix)
        if not (folder / name).is_file():
            raise _error(folder, f"{name} is missing", f"the {len(names)} files that state.json names", fix)
    return [folder / name for name in names]


def read_folder(folder: Path, fix: str = "") -> SeriesSet:
    """Map a dataset folder; its `fingerprint` is left empty (see `harness_tasks.fingerprint`).

    Args:
        folder: an existing folder.
        fix: what to do about a broken folder, the last sentence of each error: "Fetch it again: harness data pull ...".

    Returns:
        Items in the order of the rows; nulls and NaN inside a series are NaN, infinities stay. Past covariates are kept where every
        row has the same number of them, each as long as the row's target.

    Raises:
        DataError: a shard is missing, truncated or not Arrow; a column is missing or of the wrong type; no rows; an empty series;
            rows of different numbers of variates, variates of different lengths.
    """
    rows = _Rows()
    for path in shard_files(folder, fix):

        def check(names: list[str], path: Path = path) -> None:
            if missing := [name for name in COLUMNS if name not in names]:
                raise _error(path, f"no column {', '.join(missing)} (columns: {', '.join(names) or 'none'})", ", ".join(COLUMNS), fix)

        for batch in record_batches(path, check, fix):
            if batch.num_rows:
                rows.add(batch, path, fix)
    if not rows.ids:
        raise _error(folder, "the dataset has no rows", "at least one series", fix)
    return SeriesSet(
        item_ids=pa.concat_arrays(rows.ids),
        starts=np.concatenate(rows.starts),
        freq=rows.freq,
        variates=rows.variates,
        target=rows.target.channels(),
        past=rows.past.channels() if rows.past is not None and rows.past_count else None,
    )


def _error(path: Path, got: str, wanted: str, fix: str) -> DataError:
    return DataError(f"{path}: {got}; wanted {wanted}. {fix}".rstrip())


def _unlisted_shards(folder: Path, fix: str) -> list[Path]:
    files = sorted(folder.glob("*.arrow"))
    if not files:
        raise _error(folder, "the folder has no Arrow file and no state.json", "state.json and data-*.arrow", fix)
    declared = {int(match[1]) for match in (SHARD.fullmatch(path.name) for path in files) if match}
    if declared and declared != {len(files)}:
        raise _error(folder, f"{len(files)} Arrow files of {max(declared)}", "all of them, or a state.json that lists them", fix)
    return files


def record_batches(path: Path, choose: Callable[[list[str]], object] = lambda _: None, fix: str = "") -> Iterator[pa.RecordBatch]:
    """Record batches of an Arrow stream or of an Arrow file with an index, mapped, each checked as it comes.

    Args:
        choose: told the names of the columns, raises where one is not there.
        fix: as for `read_folder`.

    Raises:
        DataError: it cannot be read; a stream that lacks the marker of its end, behind its last batch.
    """
    try:
        with pa.memory_map(str(path)) as source:
            if source.size() == 0:
                raise _error(path, "the file is empty", "an Arrow stream", fix)
            indexed = source.read_at(6, 0) == b"ARROW1"
            if indexed:
                reader = pa.ipc.open_file(source)
                batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
            else:
                batches = reader = pa.ipc.open_stream(source)
            choose(list(reader.schema.names))
            for batch in batches:
                batch.validate(full=True)
                yield batch
            # A stream cut exactly between two batches reads without complaint, so the marker that ends it is looked for.
            end = source.tell()
            if not indexed and (end < 8 or source.read_at(8, end - 8) != END_OF_STREAM):
                raise _error(path, f"the stream stops after {end} bytes without its end marker", "a whole Arrow stream", fix)
    except (pa.ArrowException, OSError) as error:
        said = " ".join(str(error).split())[:200]
        raise _error(path, f"cannot be read as Arrow ({said})", "a whole Arrow stream", fix) from None


@dataclass
class _Columns:
    """Channels in the making: one chunk a record batch."""

    chunks: list[F32] = field(default_factory=list)
    begin: list[I64] = field(default_factory=list)
    length: list[I64] = field(default_factory=list)

    def add(self, values: F32, begin: I64, length: I64) -> None:
        self.chunks.append(values)
        self.begin.append(begin)
        self.length.append(length)

    def channels(self) -> Channels:
        chunk = np.repeat(np.arange(len(self.chunks), dtype=np.int32), [len(b) for b in self.begin])
        return Channels(tuple(self.chunks), chunk, np.concatenate(self.begin), np.concatenate(self.length))


@dataclass
class _Rows:
    """The columns of a dataset, gathered batch by batch."""

    ids: list[pa.Array] = field(default_factory=list)
    starts: list[NDArray[np.datetime64]] = field(default_factory=list)
    freq: str = ""
    variates: int = 0
    nested: bool = False
    count: int = 0
    target: _Columns = field(default_factory=_Columns)
    past: _Columns | None = field(default_factory=_Columns)
    past_count: int = 0

    def add(self, batch: pa.RecordBatch, path: Path, fix: str) -> None:
        def column(name: str) -> tuple[pa.Array, Fail]:
            return batch.column(name), lambda got, wanted: _error(path, f"column {name}: {got}", wanted, fix)

        ids = _item_ids(*column("item_id"))
        starts = _starts(*column("start"))
        array, fail = column("target")
        nested = _is_nested(array.type, fail)
        values, begin, length, variates = _lists(array, nested, fail)
        if not self.ids:
            self.freq, self.variates, self.nested = _freq(*column("freq")), variates, nested
        elif (nested, variates) != (self.nested, self.variates):
            raise fail(f"{variates} variates from row {self.count} on, {self.variates} before", "one number of variates for all rows")
        empty = np.flatnonzero(length == 0)
        if len(empty):
            row = int(empty[0]) // variates
            raise fail(f"series {ids[row]} (row {self.count + row}) has no values", "at least one value in each series")
        self.ids.append(ids)
        self.starts.append(starts)
        self.target.add(values, begin, length)
        self.count += batch.num_rows
        self._add_past(batch, length[::variates])

    def _add_past(self, batch: pa.RecordBatch, length: I64) -> None:
        """Keep the past covariates, or give them up for the whole dataset: they are optional, and half of them are of no use."""
        index = batch.schema.get_field_index(PAST)
        if self.past is None:
            return
        try:
            if index < 0:
                raise DataError("no past covariates")
            values, begin, past_length, count = _lists(batch.column(index), True, lambda got, _: DataError(got))
        except DataError:
            self.past = None
            return
        if (self.past_count and count != self.past_count) or not np.array_equal(past_length, np.repeat(length, count)):
            self.past = None
            return
        self.past_count = count
        self.past.add(values, begin, past_length)


def _is_nested(kind: pa.DataType, fail: Fail) -> bool:
    if is_list(kind):
        if _is_number(kind.value_type):
            return False
        if is_list(kind.value_type) and _is_number(kind.value_type.value_type):
            return True
    raise fail(f"got type {kind}", "list<float> or, for V variates, a list of V list<float>")


def _flatten(array: pa.Array, fail: Fail) -> tuple[pa.Array, I64]:
    """A list array's (child, offsets int64 [n + 1] into it), also where the array is a slice of a longer one."""
    if array.null_count:
        raise fail(f"row {array.is_null().index(True).as_py()} of a record batch is null", "a list in each row")
    if pa.types.is_fixed_size_list(array.type):
        return array.flatten(), np.arange(len(array) + 1, dtype=np.int64) * array.type.list_size
    return array.values, to_numpy(array.offsets).astype(np.int64)


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def _lists(array: pa.Array, nested: bool, fail: Fail) -> tuple[F32, I64, I64, int]:
    """(values float32, begin int64 [n · V], length int64 [n · V], V) of a column of lists, or of lists of V lists."""
    variates = 1
    if nested:
        if not (is_list(array.type) and is_list(array.type.value_type)):
            raise fail(f"got type {array.type}", "a list of lists")
        inner, bounds = _flatten(array, fail)
        widths = np.unique(np.diff(bounds))
        if len(widths) != 1 or widths[0] == 0:
            raise fail(f"rows of {', '.join(map(str, widths))} variates", "one number of variates, at least 1, for all rows")
        variates = int(widths[0])
        array = inner[int(bounds[0]) : int(bounds[-1])]
    child, offsets = _flatten(array, fail)
    if not _is_number(child.type):
        raise fail(f"got values of type {child.type}", "numbers, best float32")
    length = np.diff(offsets)
    by_item = length.reshape(-1, variates)  # [n, V]
    uneven = np.flatnonzero((by_item != by_item[:, :1]).any(axis=1))
    if len(uneven):
        row = int(uneven[0])
        raise fail(f"variates of row {row} of a record batch have {by_item[row].tolist()} values", "equally many")
    if child.type != pa.float32():
        child = child.cast(pa.float32(), safe=False)  # counts above 2**24 round, as float64 values do
    if child.null_count:
        child = pc.fill_null(child, pa.scalar(np.nan, pa.float32()))
    return to_numpy(child), offsets[:-1], length, variates


def _item_ids(array: pa.Array, fail: Fail) -> pa.Array:
    try:
        ids = array.cast(pa.string())
    except pa.ArrowException as error:
        raise fail(f"got type {array.type} ({error})", "strings") from None
    if ids.null_count:
        raise fail("got null", "an id in each row")
    return ids


def _starts(array: pa.Array, fail: Fail) -> NDArray[np.datetime64]:
    """datetime64[s] [n], UTC; of a timestamp of any unit, a date or an ISO 8601 string."""
    wanted = "a timestamp or an ISO 8601 string in each row"
    if array.null_count:
        raise fail("got null", wanted)
    if pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        try:
            array = array.cast(pa.timestamp("us"))
        except pa.ArrowException:
            try:
                array = array.cast(pa.timestamp("us", "UTC"))
            except pa.ArrowException as error:
                raise fail(f"got {str(array[0].as_py())!r} in the first row ({error})", wanted) from None
    elif not (pa.types.is_timestamp(array.type) or pa.types.is_date(array.type)):
        raise fail(f"got type {array.type}", wanted)
    zone = getattr(array.type, "tz", None)
    starts = to_numpy(array.cast(pa.timestamp("s", zone), safe=False).cast(pa.int64())).view("datetime64[s]")
    outside = np.flatnonzero((starts < FIRST) | (starts > LAST))
    if len(outside):
        raise fail(f"got a time that is no date of the years 1 to 9999, {array[int(outside[0])].cast(pa.int64(), safe=False)}", wanted)
    return starts


def _freq(array: pa.Array, fail: Fail) -> str:
    """The first row's frequency, as the data says it."""
    freq = array[0].as_py()
    wanted = "a pandas alias such as '15T', 'H', 'D', 'W-SUN', 'M' in the first row"
    if not isinstance(freq, str):
        raise fail(f"got {freq!r}", wanted)
    try:
        frequency.normalize(freq)
    except DataError:
        raise fail(f"got {freq!r}", wanted) from None
    return freq
