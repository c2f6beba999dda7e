"""Training corpora as streams of series, whatever they are stored in; at no time more than one piece of a file is in memory.

Read are: `.arrow` and `.feather` (Arrow streams and files, as HuggingFace `datasets` writes them), `.parquet`, `.csv` and `.csv.gz`,
`.tsf` (the Monash archive's), `.npy` and `.npz`. In a table each row of a column of lists of numbers is a series, each row of a list of
lists several, and each column of numbers is one; truth values are numbers. In an array the last axis is time.

Nothing says whether time runs along the rows or the columns, so both are read: of an array the last two axes, of a list of lists the inner
and the outer one, of a table the columns of numbers and, where it has no lists, its rows. Of fewer than `LEAST` values nothing is found, so
the second of the two is left out where it has fewer, and so are columns of numbers beside lists.

A CSV file, an array in `.npz`, and one column of a Parquet file are read whole. Values keep the precision they are stored in, and are
float64 where several columns make a series and float32 from a `.tsf` file, as its own loaders have them; nulls are NaN.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.arrow import to_numpy
from harness.errors import DataError, UsageError
from harness.forecast import I64
from harness.table_rows import is_list
from harness_tasks.audit.agreement import RUN

__all__ = ["KINDS", "Rows", "corpus_files", "other_kinds", "read_corpus"]

KINDS = (".arrow", ".feather", ".parquet", ".csv", ".csv.gz", ".tsf", ".npy", ".npz")
DESCRIPTIONS = (".md", ".txt", ".json", ".yaml", ".yml", ".toml", ".bib", ".pdf", ".py", "")
"""Files that hold no series, but what is said of them."""
ROWS = 512
"""Rows of a Parquet file that are decoded at one time."""
LEAST = RUN
"""Series of fewer values are found nowhere."""
SOME = 1 << 22
"""Values that are turned at one time."""
WRITTEN = re.compile(r"[-+(]?\s*[$€£]?\s*(\d{1,3}([,' \u00a0]\d{3})+(\.\d+)?|\d+,\d+|\d+(\.\d+)?(?=\s*%)|(?<=[$€£])\d+(\.\d+)?)\s*[%€)]?")
"""Numbers as people write them, which no reader takes for numbers: 1,234.5, 3,5, 12 %, $7."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Series that lie end to end: row i is `values[offsets[i] : offsets[i + 1]]`, and is called `name(i)`."""

    values: NDArray[Any]
    offsets: I64
    name: Callable[[int], str]


def corpus_files(path: Path) -> list[Path]:
    """The files of a corpus, from one of them or a folder with folders below it; in a dataset's folder, those that `state.json` names.

    Raises:
        UsageError: nothing is there, or no file of a kind that is read.
        DataError: a file that `state.json` names is not there.
    """
    from harness_tasks.arrow_folder import shard_files

    if path.is_file():
        if kind_of(path) not in KINDS:
            raise UsageError(f"{path}: got a file of another kind; wanted {', '.join(KINDS)}, or a folder of such files")
        return [path]
    if not path.is_dir():
        raise UsageError(f"there is no file or folder {path}; give one that exists: --corpus DIR")
    every = list(_below(path))
    found = [file for file in every if kind_of(file) in KINDS]
    listed = {file.parent for file in every if file.name == "state.json" and b"_data_files" in file.read_bytes()}
    shards = {file for folder in listed for file in shard_files(folder)}
    files = sorted({file for file in found if file.parent not in listed or kind_of(file) != ".arrow"} | shards)
    if not files:
        raise UsageError(f"{path} holds no file of a kind that is read: {', '.join(KINDS)}")
    return files


def _below(path: Path) -> Iterator[Path]:
    """The files of a folder and of those below it, also through links, each folder once."""
    seen: set[str] = set()
    for folder, names, files in os.walk(path, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            names.clear()
            continue
        seen.add(real)
        names.sort()
        yield from (file for name in sorted(files) if (file := Path(folder, name)).is_file())


def other_kinds(path: Path) -> dict[str, int]:
    """{kind: how many files of a corpus's folder are of it and are not read}; descriptions (.md, .txt, .json, .yaml, licences) are none."""
    counts: dict[str, int] = {}
    for file in _below(path) if path.is_dir() else ():
        kind = kind_of(file)
        if kind not in (*KINDS, *DESCRIPTIONS) and not file.name.startswith("."):
            counts[kind or file.name] = counts.get(kind or file.name, 0) + 1
    return dict(sorted(counts.items()))


def kind_of(path: Path) -> str:
    """The end of a file's name, both of its parts where it is compressed."""
    return "".join(path.suffixes[-2:]).lower() if path.suffix.lower() == ".gz" else path.suffix.lower()


def read_corpus(path: Path) -> Iterator[Rows]:
    """The series of one file, piece by piece.

    Raises:
        DataError: it cannot be read to its end, or holds no numbers; says why.
    """
    kind = kind_of(path)
    read = {".arrow": _arrow, ".feather": _arrow, ".parquet": _parquet, ".tsf": _tsf, ".npy": _npy, ".npz": _npz}.get(kind, _csv)
    any_series = False
    try:
        for rows in read(path):
            any_series = True
            yield rows
    except (pa.ArrowException, OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        why = " ".join(str(error).split())
        raise DataError(f"{path}: cannot be read as {kind} ({why}). Mend it, or move it out of the corpus") from error
    if not any_series:
        raise DataError(f"{path}: got no column of numbers or of lists of numbers; wanted at least one. Move it out of the corpus")


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_boolean(kind))


def _is_list(kind: pa.DataType) -> bool:
    return is_list(kind) or _is_view(kind)


def _is_view(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list_view(kind) or pa.types.is_large_list_view(kind))


def _depth(kind: pa.DataType) -> int | None:
    """How many lists are around the numbers, None where there are no numbers in it."""
    depth = 0
    while _is_list(kind):
        kind, depth = kind.value_type, depth + 1
    return depth if _is_number(kind) else None


def _wanted(schema: pa.Schema) -> tuple[list[int], list[int]]:
    """(columns of lists of numbers, columns of numbers), by their places.

    Raises:
        ValueError: a column may hold series in a way that is not read: what is left out would count as looked at.
    """
    for field in schema:
        if _depth(field.type) is None and _hides_series(field.type):
            raise ValueError(f"column {field.name} is {field.type}, which is not read; wanted lists of numbers, or numbers")
    depths = [_depth(field.type) for field in schema]
    lists = [place for place, depth in enumerate(depths) if depth]
    return lists, [place for place, depth in enumerate(depths) if depth == 0]


def _hides_series(kind: pa.DataType, inside: bool = False) -> bool:
    """Whether there are lists of numbers somewhere inside a nested type."""
    if pa.types.is_struct(kind) or pa.types.is_map(kind):
        return any(_hides_series(kind.field(k).type, inside or pa.types.is_map(kind)) for k in range(kind.num_fields))
    return _hides_series(kind.value_type, True) if _is_list(kind) else inside and _is_number(kind)


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _arrow(path: Path) -> Iterator[Rows]:
    with pa.memory_map(str(path)) as source:
        file = source.size() >= 6 and source.read_at(6, 0) == b"ARROW1"
        reader = pa.ipc.open_file(source) if file else pa.ipc.open_stream(source)
        yield from _table(reader.schema, lambda: (reader.get_batch(i) for i in range(reader.num_record_batches)) if file else iter(reader))


def _parquet(path: Path) -> Iterator[Rows]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        lists, numbers = _wanted(schema)
        if twice := {name for name in schema.names if schema.names.count(name) > 1}:
            raise ValueError(f"two columns are called {sorted(twice)[0]}")
        if lists:
            some = [schema.names[place] for place in lists]
            yield from _table(pa.schema([schema.field(place) for place in lists]), lambda: file.iter_batches(batch_size=ROWS, columns=some))
        # A column is slow to find among thousands, and nothing is found in a few rows.
        for place in numbers if file.metadata.num_rows >= LEAST or len(numbers) < LEAST else ():
            chunks = [_values(batch.column(0)) for batch in file.iter_batches(columns=[schema.names[place]])]
            yield from _column(chunks, schema.names[place], beside=bool(lists))
        if len(numbers) >= LEAST and not lists:
            row = 0
            for batch in file.iter_batches(max(1, SOME // len(numbers)), columns=[schema.names[place] for place in numbers]):
                yield _across(batch.columns, row)
                row += batch.num_rows


def _table(schema: pa.Schema, batches: Callable[[], Iterable[pa.RecordBatch]]) -> Iterator[Rows]:
    """The series of record batches that come one by one."""
    lists, numbers = _wanted(schema)
    if not lists and not numbers:
        return
    held: dict[int, list[NDArray[Any]]] = {place: [np.empty(0)] for place in numbers}
    row = 0
    for batch in batches():
        for place in lists:
            yield from _rows(batch.column(place), f"column {schema.names[place]}", row)
        for place in numbers:
            held[place].append(_values(batch.column(place)))
        if len(numbers) >= LEAST and not lists and batch.num_rows:
            yield _across([batch.column(place) for place in numbers], row)
        row += batch.num_rows
    for place in numbers:
        yield from _column(held.pop(place), schema.names[place], beside=bool(lists))


def _column(chunks: list[NDArray[Any]], name: str, *, beside: bool) -> Iterator[Rows]:
    """A column of numbers; none where it stands beside lists and is too short to be found."""
    values = np.concatenate(chunks) if chunks else np.empty(0)
    if not beside or len(values) >= LEAST:
        yield _whole(values, f"column {name}")


def _across(columns: Sequence[pa.Array], first: int) -> Rows:
    """The rows of columns of numbers, each a series."""
    table = np.stack([np.asarray(_values(column), np.float64) for column in columns], axis=1)  # [rows, columns]
    offsets = np.arange(len(table) + 1, dtype=np.int64) * len(columns)
    return Rows(table.reshape(-1), offsets, lambda i: f"row {first + i}")


def _rows(array: pa.Array, where: str, first: int) -> Iterator[Rows]:
    """A column of lists, or of lists of lists of any depth: the innermost are the series, numbered within their row."""
    row = np.arange(first, first + len(array))  # of each list
    outer = np.arange(0)  # where the lists of each list begin, and the end
    while True:
        offsets, array = _flat(array)
        if not _is_list(array.type):
            break
        row, outer = np.repeat(row, np.diff(offsets)), offsets
    begin = np.flatnonzero(np.r_[True, row[1:] != row[:-1]]) if len(row) else np.empty(0, np.int64)

    def name(i: int) -> str:
        inner = i - int(begin[np.searchsorted(begin, i, side="right") - 1])
        return f"{where}, row {row[i]}" + (f", series {inner}" if len(begin) < len(row) else "")

    if len(row):
        values = _values(array)
        yield Rows(values, offsets, name)
        yield from _turned_lists(values, offsets, outer, name)


def _turned_lists(values: NDArray[Any], offsets: I64, outer: I64, name: Callable[[int], str]) -> Iterator[Rows]:
    """Of lists of equally long lists, the series across them: value k of each."""
    length = np.diff(offsets)
    for low, high in zip(outer[:-1].tolist(), outer[1:].tolist(), strict=True):
        if high - low >= LEAST and length[low] > 0 and (length[low:high] == length[low]).all():
            part = values[offsets[low] : offsets[high]].reshape(high - low, -1)
            yield from _series_of(part.T, lambda i, low=low: f"{name(low)} and on, value {i}")  # type: ignore[misc]


def _series_of(rows: NDArray[Any], name: Callable[[int], str]) -> Iterator[Rows]:
    """The rows of a matrix, some at a time."""
    some = max(1, SOME // rows.shape[1])
    for low in range(0, len(rows), some):
        part = rows[low : low + some]
        offsets = np.arange(len(part) + 1, dtype=np.int64) * rows.shape[1]
        yield Rows(part.reshape(-1), offsets, lambda i, low=low: name(low + i))  # type: ignore[misc]


def _flat(array: pa.Array) -> tuple[I64, pa.Array]:
    """(offsets, child) of a list array; a null is an empty list."""
    if pa.types.is_fixed_size_list(array.type):
        array = array.cast(pa.list_(array.type.value_type))
    elif _is_view(array.type):
        sizes = np.where(np.asarray(array.is_null()), 0, to_numpy(array.sizes))
        return np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]), array.flatten()
    offsets = to_numpy(array.offsets).astype(np.int64)
    return offsets - offsets[0], array.values[int(offsets[0]) : int(offsets[-1])]


def _values(array: pa.Array) -> NDArray[Any]:
    """Numbers as floats, nulls as NaN; float32 and float64 without a copy where that can be."""
    if array.type not in (pa.float32(), pa.float64()):
        array = array.cast(pa.float64(), safe=False)
    if array.null_count:
        array = array.fill_null(float("nan"))
    return to_numpy(array)


def _whole(values: NDArray[Any], where: str) -> Rows:
    return Rows(values, np.array([0, len(values)]), lambda _: where)


def _csv(path: Path) -> Iterator[Rows]:
    import pyarrow.csv

    missing = pyarrow.csv.ConvertOptions(null_values=[*pyarrow.csv.ConvertOptions().null_values, "?", "-", "."])
    table = pyarrow.csv.read_csv(path, convert_options=missing)  # which sees by the name that it is compressed
    if table.column_names and all(map(_is_written_number, table.column_names)):  # no line of names: these are values
        table = pyarrow.csv.read_csv(path, pyarrow.csv.ReadOptions(autogenerate_column_names=True), convert_options=missing)
    numbers = [column for field, column in zip(table.schema, table.columns, strict=True) if _is_number(field.type)]
    if len(numbers) >= LEAST and table.num_rows:
        yield _across([column.combine_chunks() for column in numbers], 0)
    for name, field, column in zip(table.column_names, table.schema, table.columns, strict=True):
        if _is_number(field.type):
            yield _whole(_values(column.combine_chunks()), f"column {name}")
        elif _is_text(field.type) and (words := _words_among_numbers(column)):
            said = ", ".join(map(repr, words))
            raise ValueError(f"column {name} is mostly numbers, and holds {said}; where a value is missing write nothing, ? or NaN")
        elif _is_text(field.type) and (written := _written(column)):
            raise ValueError(f"column {name} holds numbers written as {written!r}; write them with digits and a point alone, as in 1234.5")


def _is_written_number(text: str) -> bool:
    try:
        return bool(float(text) or True)
    except ValueError:
        return False


def _written(column: pa.ChunkedArray) -> str:
    """The first number of a text column in which more than half of the texts are numbers as people write them; "" for another column."""
    texts = [text.strip() for text in column.to_pylist() if text is not None and text.strip()]
    found = [text for text in texts if WRITTEN.fullmatch(text)]
    return found[0] if len(found) > len(texts) / 2 else ""


def _words_among_numbers(column: pa.ChunkedArray) -> list[str]:
    """The first texts of a column that are no numbers, where more than half of it are numbers; none for another column."""
    words, numbers = [], 0
    for text in column.to_pylist():
        try:
            numbers += text is not None and bool(float(text) or True)
        except ValueError:
            words.append(text)
    return words[:3] if numbers > len(words) else []


def _tsf(path: Path) -> Iterator[Rows]:
    """The archive's format, whatever the header claims; a series a row behind `@data`."""
    from harness_tasks.tsf import read_batches

    row = 0
    try:
        for batch in read_batches(path, strict=False):
            offsets, child = _flat(batch.column(batch.num_columns - 1))
            yield Rows(_values(child), offsets, lambda i, first=row: f"row {first + i}")  # type: ignore[misc]
            row += batch.num_rows
    except DataError as error:
        raise ValueError(str(error).removeprefix(f"{path}, ")) from error


def _npy(path: Path) -> Iterator[Rows]:
    yield from _array(np.load(path, mmap_mode="r", allow_pickle=False), "")


def _npz(path: Path) -> Iterator[Rows]:
    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:
            yield from _array(arrays[name], f"array {name}, ")


def _array(array: NDArray[Any], where: str) -> Iterator[Rows]:
    """An array whose last axis is time, or the one before it; one of no numbers is left out.

    Raises:
        ValueError: records or complex numbers, of which no part would be looked at.
    """
    if array.dtype.kind in "cV":
        raise ValueError(f"{where}got {array.dtype}, which is not read; wanted an array of real numbers")
    if array.dtype.kind not in "fiub" or array.ndim == 0 or array.size == 0:
        return
    if array.ndim > 1 and array.shape[-1] == 1:  # values of one variate
        array = array[..., 0]
    yield from _series_of(array.reshape(-1, array.shape[-1]), lambda i: f"{where}row {i}")
    if array.ndim > 1 and array.shape[-2] >= LEAST:
        count = array.shape[-1]
        for number, matrix in enumerate(array.reshape(-1, *array.shape[-2:])):
            begin = f"{where}matrix {number}, " if array.ndim > 2 else where
            some = max(1, SOME // len(matrix))
            for low in range(0, count, some):  # some columns of all rows: what is mapped is not turned as a whole
                yield from _series_of(matrix[:, low : low + some].T, lambda i, at=begin, low=low: f"{at}column {low + i}")  # type: ignore[misc]
