"""The first rows of a Parquet or Arrow file for a proposal: its types tell what is a time, a number or a name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pyarrow as pa

from harness.errors import DataError
from harness.scaffold.arrow import SUFFIX, first_rows
from harness.scaffold.columns import IDS, LISTS, ROWS, TARGETS, TIMES, Look, Table, pick, spacing
from harness.scaffold.season import season_of
from harness.table_rows import is_number, is_text, parquet_batches

__all__ = ["nested", "table"]

ISO = r"\d{4}-\d\d-\d\d"
INDEX = "__index_level_"
"""How the column begins in which pandas keeps its index."""


def table(path: Path) -> Table:
    """The first rows as texts, times in ISO 8601 and UTC.

    Raises:
        DataError: it cannot be read, or has no row.
    """
    batch = _rows(path, ROWS)
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


def nested(path: Path) -> Look | None:
    """What a file looks like whose rows are series, with lists of numbers; None for others. Raises as `table`."""
    schema = _rows(path, 1).schema
    lists = [field.name for field in schema if _kind(_inner(field.type)) == "number"]
    if not lists:
        return None
    batch = _rows(path, LISTS)
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
    return Look(tuple(columns), ",", ".", "utf-8", time, "", series, (target,), freq, longest, False, nested=True, season=season)


def _rows(path: Path, count: int) -> Any:
    """The first rows, a record batch."""
    arrow = path.name.lower().endswith(SUFFIX)
    batch = first_rows(path, count) if arrow else next(parquet_batches(path, lambda names, _: names, count), None)
    if batch is None or not batch.num_columns:
        raise DataError(f"{path}: has no row; wanted a table with at least one")
    return batch


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
    types = pa.types
    return kind.value_type if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind) else pa.null()


def _local(column: Any) -> Any:
    return column.cast(pa.timestamp("us"), safe=False)
