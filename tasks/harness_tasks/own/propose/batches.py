"""The first rows of a Parquet file or of Arrow shards for a proposal: their types tell what is a time, a number or a name."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.errors import DataError
from harness.table_rows import is_list, is_number, is_text, parquet_batches
from harness_tasks.arrow_folder import record_batches, shard_files
from harness_tasks.own.propose.look import IDS, ROWS, TARGETS, TIMES, Look, Table, pick
from harness_tasks.own.propose.rhythm import spacing
from harness_tasks.own.propose.season import season_of

__all__ = ["First", "nested", "of_parquet", "of_shards", "table"]

First = Callable[[int], Any]
"""Told a number of rows, gives the first record batch of up to so many. Raises DataError: it cannot be read, or has no row."""
LISTS = 50
"""Rows that are looked at where each is a series."""
ISO = r"\d{4}-\d\d-\d\d"
INDEX = "__index_level_"
"""How the column begins in which pandas keeps its index."""


def of_parquet(path: Path) -> First:
    """The first rows of a Parquet file."""
    return lambda count: _some(path, next(parquet_batches(path, lambda names, _: names, count), None))


def of_shards(folder: Path) -> First:
    """The first rows of a folder that `datasets` saved."""

    def first(count: int) -> Any:
        batches = (batch for path in shard_files(folder) for batch in record_batches(path) if batch.num_rows)
        batch = next(batches, None)
        return _some(folder, None if batch is None else batch.slice(0, count))

    return first


def _some(path: Path, batch: Any) -> Any:
    if batch is None or not batch.num_columns:
        raise DataError(f"{path}: has no row; wanted a table with at least one")
    return batch


def table(first: First) -> Table:
    """The first rows as texts, times in ISO 8601 and UTC. Raises as `first`."""
    batch = first(ROWS)
    cells: dict[str, list[str]] = {}
    kinds: dict[str, str] = {}
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        kind = _kind(column.type)
        kinds[name] = "" if name.startswith(INDEX) and kind == "number" else kind
        if kind == "time":
            cells[name] = ["" if value is None else value.isoformat() for value in _local(column).to_pylist()]
        else:
            cells[name] = ["" if value is None else str(value) for value in column.to_pylist()] if kinds[name] else [""] * len(column)
    return Table(cells, kinds=kinds)


def nested(first: First) -> Look | None:
    """What a table looks like whose rows are series, with lists of numbers; None for others. Raises as `first`."""
    schema = first(1).schema
    lists = [field.name for field in schema if _kind(_inner(field.type)) == "number"]
    if not lists:
        return None
    batch = first(LISTS)
    columns = dict(zip(batch.schema.names, batch.columns, strict=True))
    kinds = {name: _kind(column.type) for name, column in columns.items()}
    stamped = [name for name, column in columns.items() if _kind(_inner(column.type)) == "time"]
    typed = stamped + [name for name, kind in kinds.items() if kind == "time"]
    written = [name for name, kind in kinds.items() if kind == "text" and all(re.match(ISO, str(v)) for v in columns[name].to_pylist())]
    time = pick(typed or written, TIMES, list(columns))
    series = pick([n for n, kind in kinds.items() if (kind == "text" or n.lower() in IDS) and n != time], IDS, list(columns))
    target = pick(lists, TARGETS, lists)
    values = columns[target].to_pylist()
    times: list[list[int]] = [[] for _ in values]
    if time in stamped:
        times = [[] if row.values is None else [int(stamp.value) for stamp in _local(row.values)] for row in columns[time]]
    freq = spacing([stamp for row in times for stamp in row], [str(i) for i, row in enumerate(times) for _ in row])
    found = [(stamps, [float("nan") if v is None else float(v) for v in row or ()]) for stamps, row in zip(times, values, strict=True)]
    longest = max((len(row) for _, row in found), default=0)
    season = season_of(freq, [(stamps, row) for stamps, row in found if len(stamps) == len(row)]) if freq else (0, 0.0)
    return Look(
        names=tuple(columns),
        time=time,
        id=series,
        targets=(target,),
        freq=freq,
        longest=longest,
        nested=True,
        season=season,
    )


def _kind(kind: Any) -> str:
    types = pa.types
    if types.is_timestamp(kind) or types.is_date(kind):
        return "time"
    if is_number(kind):
        return "number"
    if types.is_dictionary(kind):
        return "text" if _kind(kind.value_type) == "text" else ""
    return "text" if is_text(kind) else ""


def _inner(kind: Any) -> Any:
    """The type of the values of a list; of others null."""
    return kind.value_type if is_list(kind) else pa.null()


def _local(column: Any) -> Any:
    return column.cast(pa.timestamp("us"), safe=False)
