"""What the first rows of a table look like, and names that columns usually have. For proposals only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["IDS", "ROWS", "TARGETS", "TIMES", "Look", "Table", "pick"]

ROWS = 3000
"""Rows that are looked at."""
TIMES = ("time", "timestamp", "date", "datetime", "ds", "period", "day", "month", "week", "hour", "stamp", "start", "zeit", "datum")
IDS = ("id", "unique_id", "item_id", "series", "series_id", "item", "store", "product", "sku", "name", "key", "sensor", "meter", "symbol")
TARGETS = ("target", "y", "value", "sales", "demand", "load", "count", "quantity", "close", "price", "consumption")


@dataclass(frozen=True)
class Look:
    """What a table looks like; "" and () where nothing was found."""

    names: tuple[str, ...]
    time: str
    id: str
    targets: tuple[str, ...]
    freq: str
    longest: int  # rows of the longest series among those that were looked at
    separator: str = ","
    decimal: str = "."
    encoding: str = "utf-8"
    time_format: str = ""
    wide: bool = False  # whether the columns look like series
    nested: bool = False  # whether a row is a series, with lists
    missing: tuple[str, ...] = ()  # words among the numbers of the targets
    notes: tuple[str, ...] = ()  # where they stand
    season: tuple[int, float] = (0, 0.0)  # steps, and how alike changes are at that distance; see `harness_tasks.own.propose.season`
    snap: float = 0.0  # seconds by which times lie beside the steps of `freq`


@dataclass(frozen=True)
class Table:
    """The first rows, as texts."""

    cells: Mapping[str, list[str]]
    lines: Sequence[int] = ()  # of CSV: where each row ends
    separator: str = ","
    encoding: str = "utf-8"
    kinds: Mapping[str, str] = field(default_factory=dict)  # of Parquet: "time", "number", "text", "" for what is of no use
    notes: tuple[str, ...] = ()  # rows that were passed over


def pick(found: Sequence[str], usual: Sequence[str], otherwise: Sequence[str]) -> str:
    """Of what was found, one of a usual name, else the first in the order of `otherwise`; "" for none."""
    by = {name.lower(): name for name in reversed(found)}
    for word in usual:
        if word in by:
            return by[word]
    return next((name for name in otherwise if name in found), "")
