"""The rows of a table of strangers, as Arrow reads them: text or Parquet in batches, cells as texts and as numbers.

Of text every cell arrives as it is written, so that digits that are names stay as they are and a mistake can be shown; no Python object is
made per row. Only the columns asked for are read. What a small packed file unpacks to is bounded by `most` bytes, where that is not 0.
"""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.arrow import to_numpy
from harness.errors import DataError
from harness.forecast import F64
from harness.table_text import ABSENT, UNREADABLE, Text, damaged, opened, undecoded

__all__ = ["absent", "first_bad", "is_list", "is_number", "is_text", "joined", "numbers", "parquet_batches", "text_batches", "texts"]

BLOCK = 4 << 20  # bytes of text in a batch, and the most that a row may have
ROWS = 1 << 18  # of Parquet in a batch

Choose = Callable[[list[str], str], Sequence[str]]


def text_batches(
    text: Text, wanted: Sequence[int], *, source: Any = None, odd: Callable[[Any], bool] = lambda _: False, most: int = 0
) -> Iterator[pa.RecordBatch]:
    """The rows of a table of text, a column of strings for each of `wanted`, which are positions in the header.

    Args:
        source: to be read in place of the file.
        odd: told a row with too few or too many fields (Arrow's `InvalidRow`), says whether to leave it out.

    Raises:
        DataError: a row of another length, bytes that are no text, a file that is cut short; with the line. More than `most`.
    """
    from pyarrow import csv

    keys = [str(i) for i in range(len(text.names))]  # the names themselves may hold blanks or repeat
    mine = [keys[i] for i in wanted]
    wrong: list[Any] = []

    def refuse(row: Any) -> str:
        if odd(row):
            return "skip"
        wrong.append(row)
        return "error"

    # Rows are numbered where there is one thread.
    layout = csv.ReadOptions(column_names=keys, skip_rows=text.above, skip_rows_after_names=int(text.header), use_threads=False)
    layout.block_size, layout.encoding = BLOCK, text.encoding
    parsing = csv.ParseOptions(delimiter=text.separator, newlines_in_values=True, invalid_row_handler=refuse)
    parsing.ignore_empty_lines = not text.blank
    cells = csv.ConvertOptions(include_columns=mine, column_types=dict.fromkeys(mine, pa.string()), strings_can_be_null=False)
    try:
        with _source(text.path) if source is None else source as data:
            yield from _capped(csv.open_csv(data, layout, parsing, cells), text.path, most)
    except (pa.ArrowException, UnicodeError) as error:
        said = " ".join(str(error).split())[:200]
        if wrong:
            where = text.at(text.line(wrong[0].number - 1 - text.above - text.header))
            alike = f"as in the {'header' if text.header else 'first line'}. Is the file whole?"
            raise DataError(f"{where}: {wrong[0].actual_columns} fields; wanted {len(keys)}, {alike}") from None
        if "UTF8" in said or isinstance(error, UnicodeError):
            raise undecoded(text) from None
        raise DataError(f"{text.path}: cannot be read as CSV ({said}); wanted rows with as many fields as the header") from None
    except UNREADABLE as error:
        raise damaged(text.path, error) from None


def _source(path: Path) -> Any:
    """As `opened`, by Arrow itself where it can, which is faster."""
    data = opened(path)
    if isinstance(data, zipfile.ZipExtFile):
        return data
    data.close()
    return pa.input_stream(str(path), compression="gzip" if isinstance(data, gzip.GzipFile) else None)


def parquet_batches(path: Path, choose: Choose, rows: int = ROWS, most: int = 0, flat: bool = False) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file, dictionaries written out.

    Args:
        choose: told the file's columns and its name, says which are to be read; raises where one is not there.
        rows: in a batch.
        flat: whether columns of lists and the like are refused.

    Raises:
        DataError: no Parquet file, or a damaged one. More than `most`, by its own account or as it unpacks.
    """
    from pyarrow import parquet

    try:
        schema = parquet.read_schema(path)
        names = list(choose(list(schema.names), str(path)))
        for name in names if flat else ():
            if pa.types.is_nested(schema.field(name).type):
                raise DataError(f"{path}: column {name} holds {schema.field(name).type}; wanted one value in each row")
        # As a dictionary, a text that a million rows repeat is unpacked once, and weighed before it is written out.
        with parquet.ParquetFile(path, read_dictionary=names if most else None) as file:
            groups = [file.metadata.row_group(i) for i in range(file.metadata.num_row_groups if most else 0)]
            chunks = [group.column(i) for group in groups for i in range(group.num_columns)]
            told = sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema in names)
            yield from _capped(file.iter_batches(batch_size=rows, columns=names), path, most, told)
    except (pa.ArrowException, OSError) as error:
        said = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: cannot be read as Parquet ({said}); wanted a whole Parquet file") from None


def _capped(batches: Any, path: Path, most: int, told: int = 0) -> Iterator[pa.RecordBatch]:
    """Batches that have rows, until they are more than `most` bytes together, or at once where so many are told."""

    def check(size: int) -> None:
        if most and size > most:
            raise DataError(f"{path}: unpacks to more than {most >> 20} MiB; wanted a smaller table. Is it what it should be?")

    check(told)
    size = 0
    for batch in batches:
        if most:
            size += sum(map(_size, batch.columns))
            check(size)
        if batch.num_rows:
            yield pa.RecordBatch.from_arrays(list(map(_written_out, batch.columns)), names=batch.schema.names)


def _size(column: pa.Array) -> int:
    """Bytes, of a dictionary once it is written out."""
    if not pa.types.is_dictionary(column.type) or not is_text(column.type.value_type):
        return int(column.nbytes)
    return pc.sum(pc.binary_length(column.dictionary).take(column.indices)).as_py() or 0


def _written_out(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def joined(batches: Sequence[pa.RecordBatch]) -> list[pa.Array]:
    """The columns of at least one batch, each as one array."""
    return [column.combine_chunks() for column in pa.Table.from_batches(batches).columns]


def is_text(kind: pa.DataType) -> bool:
    """Whether a type is one of texts."""
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view())


def is_list(kind: pa.DataType) -> bool:
    """Whether a type is one of lists, of any length or all of one."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def is_number(kind: pa.DataType) -> bool:
    """Whether a type is one of numbers."""
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def texts(column: pa.Array) -> pa.Array:
    """Cells as text without blanks around it; null and "" stay. Raises ArrowException for types that have none, as lists."""
    column = _written_out(column)
    if not is_text(column.type) or column.type == pa.string_view():  # views cannot be trimmed
        column = column.cast(pa.string())
    return pc.utf8_trim_whitespace(column)


def absent(text: pa.Array, missing: Sequence[str] = ()) -> pa.Array:
    """Texts, null where there is a word for no value: a usual one, or one of `missing`."""
    return pc.if_else(pc.is_in(text, pa.array([*ABSENT, *missing], text.type)), pa.scalar(None, text.type), text)


def numbers(column: pa.Array, missing: Sequence[str] = (), decimal: str = ".") -> tuple[F64, int]:
    """Numbers, true and false, or texts as float64 [n], NaN where nothing stands; and the first row that is no number.

    That row is −1 where all are, else there are no values. With a decimal comma a point makes no number: 1.234 might be a thousand.
    """
    column = _written_out(column)
    if pa.types.is_boolean(column.type) or pa.types.is_null(column.type):
        column = column.cast(pa.int8())
    slow = is_text(column.type)
    values = None if slow and (missing or decimal != ".") else _floats(column)
    if values is None and slow:
        column = absent(texts(column), missing)
        if decimal != ".":
            column = pc.replace_substring(pc.if_else(pc.match_substring(column, "."), "a point", column), decimal, ".")
        values = _floats(column)
    return (np.empty(0), first_bad(column, _double)) if values is None else (values, -1)


def _floats(column: pa.Array) -> F64 | None:
    try:
        values = _double(column)
    except pa.ArrowException:
        return None
    return to_numpy(values.fill_null(np.nan) if values.null_count else values)


def _double(column: pa.Array) -> pa.Array:
    return column if column.type == pa.float64() else column.cast(pa.float64(), safe=False)


def first_bad(values: pa.Array, convert: Callable[[pa.Array], Any]) -> int:
    """The position of the first value that `convert` refuses, −1 where it takes all."""

    def refused(part: pa.Array) -> bool:
        try:
            convert(part)
        except (pa.ArrowException, OverflowError):
            return True
        return False

    if not refused(values):
        return -1
    low, high = 0, len(values)  # the first lies in [low, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if refused(values[low:middle]) else (middle, high)
    return low
