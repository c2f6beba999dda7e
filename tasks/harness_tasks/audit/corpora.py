"""Training corpora as streams of series, whatever they are stored in; at no time more than one piece of a file is in memory.

Read are: `.arrow` and `.feather` (Arrow streams and files, as HuggingFace `datasets` writes them), `.parquet`, `.csv` and `.csv.gz`, `.tsf`
(the Monash archive's), `.npy` and `.npz`. In a table each row of a column of lists of numbers is a series, each row of a list of lists
several; a table without such a column has a series in each column of numbers. In an array the last axis is time. A CSV file, an array in
`.npz`, and one column of a Parquet file are read whole. Values keep the precision they are stored in; nulls are NaN.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from harness.arrow import to_numpy
from harness.errors import DataError, UsageError
from harness.forecast import I64

__all__ = ["KINDS", "Rows", "corpus_files", "read_corpus"]

KINDS = (".arrow", ".feather", ".parquet", ".csv", ".csv.gz", ".tsf", ".npy", ".npz")
ROWS = 512
"""Rows of a Parquet file that are decoded at one time."""


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
    found = [file for file in path.rglob("*") if kind_of(file) in KINDS and file.is_file()]
    listed = {state.parent for state in path.rglob("state.json") if state.is_file() and b"_data_files" in state.read_bytes()}
    shards = {file for folder in listed for file in shard_files(folder)}
    files = sorted({file for file in found if file.parent not in listed or kind_of(file) != ".arrow"} | shards)
    if not files:
        raise UsageError(f"{path} holds no file of a kind that is read: {', '.join(KINDS)}")
    return files


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
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _depth(kind: pa.DataType) -> int | None:
    """How many lists are around the numbers, None where there are no numbers in it."""
    depth = 0
    while _is_list(kind):
        kind, depth = kind.value_type, depth + 1
    return depth if _is_number(kind) else None


def _wanted(schema: pa.Schema) -> tuple[list[str], list[str]]:
    """(columns of lists of numbers, columns of numbers where there are none of lists)."""
    depths = {field.name: _depth(field.type) for field in schema}
    lists = [name for name, depth in depths.items() if depth]
    return lists, [] if lists else [name for name, depth in depths.items() if depth == 0]


def _arrow(path: Path) -> Iterator[Rows]:
    with pa.memory_map(str(path)) as source:
        file = source.size() >= 6 and source.read_at(6, 0) == b"ARROW1"
        reader = pa.ipc.open_file(source) if file else pa.ipc.open_stream(source)
        yield from _table(reader.schema, lambda: (reader.get_batch(i) for i in range(reader.num_record_batches)) if file else iter(reader))


def _parquet(path: Path) -> Iterator[Rows]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        lists, numbers = _wanted(file.schema_arrow)
        if lists:
            yield from _table(file.schema_arrow, lambda: file.iter_batches(batch_size=ROWS, columns=lists))
        for name in numbers:
            chunks = [_values(batch.column(0)) for batch in file.iter_batches(columns=[name])]
            yield _whole(np.concatenate(chunks) if chunks else np.empty(0), f"column {name}")


def _table(schema: pa.Schema, batches: Callable[[], Iterable[pa.RecordBatch]]) -> Iterator[Rows]:
    """The series of record batches that come one by one."""
    lists, numbers = _wanted(schema)
    if not lists and not numbers:
        return
    held: dict[str, list[NDArray[Any]]] = {name: [np.empty(0)] for name in numbers}
    row = 0
    for batch in batches():
        for name in lists:
            yield from _rows(batch.column(batch.schema.get_field_index(name)), f"column {name}", row)
        for name in numbers:
            held[name].append(_values(batch.column(batch.schema.get_field_index(name))))
        row += batch.num_rows
    for name in numbers:
        yield _whole(np.concatenate(held.pop(name)), f"column {name}")


def _rows(array: pa.Array, where: str, first: int) -> Iterator[Rows]:
    """A column of lists, or of lists of lists of any depth: the innermost are the series, numbered within their row."""
    row = np.arange(first, first + len(array))  # of each list
    while True:
        offsets, array = _flat(array)
        if not _is_list(array.type):
            break
        row = np.repeat(row, np.diff(offsets))
    begin = np.flatnonzero(np.r_[True, row[1:] != row[:-1]]) if len(row) else np.empty(0, np.int64)

    def name(i: int) -> str:
        inner = i - int(begin[np.searchsorted(begin, i, side="right") - 1])
        return f"{where}, row {row[i]}" + (f", series {inner}" if len(begin) < len(row) else "")

    if len(row):
        yield Rows(_values(array), offsets, name)


def _flat(array: pa.Array) -> tuple[I64, pa.Array]:
    """(offsets, child) of a list array; a null is an empty list."""
    if pa.types.is_fixed_size_list(array.type):
        array = array.cast(pa.list_(array.type.value_type))
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

    table = pyarrow.csv.read_csv(path)  # which sees by the name that it is compressed
    for name in table.column_names:
        if _is_number(table.schema.field(name).type):
            yield _whole(_values(table[name].combine_chunks()), f"column {name}")


def _tsf(path: Path) -> Iterator[Rows]:
    """A series a line behind `@data`: attributes and colons, then numbers and commas, `?` where one is missing."""
    with path.open(encoding="cp1252", errors="replace") as lines:
        for line in lines:
            if line.strip().lower() == "@data":
                break
        else:
            raise ValueError("there is no line @data")
        for number, line in enumerate(filter(str.strip, lines)):
            yield _whole(np.array(line.rpartition(":")[2].replace("?", "nan").split(","), np.float64), f"row {number}")


def _npy(path: Path) -> Iterator[Rows]:
    yield from _array(np.load(path, mmap_mode="r", allow_pickle=False), "")


def _npz(path: Path) -> Iterator[Rows]:
    with np.load(path, allow_pickle=False) as arrays:
        for name in arrays.files:
            yield from _array(arrays[name], f"array {name}, ")


def _array(array: NDArray[Any], where: str) -> Iterator[Rows]:
    """An array whose last axis is time; one of no numbers is left out."""
    if array.dtype.kind not in "fiu" or array.ndim == 0 or array.size == 0:
        return
    rows = array.reshape(-1, array.shape[-1])
    some = max(1, (1 << 22) // rows.shape[1])
    for low in range(0, len(rows), some):
        part = rows[low : low + some]
        offsets = np.arange(len(part) + 1, dtype=np.int64) * rows.shape[1]
        yield Rows(part.reshape(-1), offsets, lambda i, low=low: f"{where}row {low + i}")  # type: ignore[misc]
