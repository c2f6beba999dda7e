"""What a layout's reader hands over, before units, order and checks that are the same for all: subjects by name, values as written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.arrow import from_numpy, to_numpy
from harness.forecast import F64
from harness_tasks.cgm.columns import Rows
from harness_tasks.cgm.readings import Bools, Times

__all__ = ["Options", "Raw", "RawEvents", "amounts_of", "given", "is_kind", "keep_kind", "unit_of", "valid"]

UNITS = ((re.compile(r"mmol", re.I), "mmol/L"), (re.compile(r"mg[\s_]*/?\s*_?dl", re.I), "mg/dL"))


@dataclass(frozen=True)
class Options:
    """What the caller says of a source: which column is what, and the order of day, month and year."""

    columns: Mapping[str, str] = field(default_factory=dict)
    dates: str = ""


@dataclass(eq=False)
class RawEvents:
    """Events whose subject is a name: string [E], begin, end datetime64[s] [E], amount float64 [E].

    `recorded` are the subjects whose events of this kind the source keeps.
    """

    subject: pa.Array
    begin: Times
    end: Times
    amount: F64
    recorded: frozenset[str]


@dataclass(eq=False)
class Raw:
    """R rows that may hold a reading.

    subject string [R], null where absent; time datetime64[s] [R], NaT where absent; glucose float64 [R] in the source's unit, NaN where
    absent, −inf for "Low" and +inf for "High".

    `dropped` counts what the reader itself left out; it and R make up the source's rows. `unit` "" = not said by header or layout. `where`
    says on which line of the source a row is, None where a row has no line of its own.
    """

    layout: str
    source: str
    subject: pa.Array
    time: Times
    glucose: F64
    unit: str = ""
    unit_from: str = ""
    dropped: Counter[str] = field(default_factory=Counter)
    events: dict[str, RawEvents] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    where: Callable[[int], str] | None = None


def unit_of(column: str) -> tuple[str, str]:
    """The unit that a column's name states, and the words for the report; "" where it states none.

    >>> unit_of("Glucose Value (mg/dL)")[0], unit_of("Historic Glucose mmol/L")[0], unit_of("gl")[0]
    ('mg/dL', 'mmol/L', '')
    """
    for pattern, unit in UNITS:
        if pattern.search(column):
            return unit, f"the column name {column!r}"
    return "", ""


def given(subject: pa.Array, time: Times, amount: F64, happened: Bools | None = None) -> RawEvents:
    """Events from a column beside the stamps: a number (0 too) shows that its subject's are recorded; those above 0 are events.

    With `happened`, those rows are events of unknown amount where they have no number.
    """
    sure = valid(subject) & ~np.isnat(time)
    known = sure & ~np.isnan(amount)
    mark = np.zeros(len(time), np.bool_) if happened is None else happened & sure
    keep = np.flatnonzero((known & (amount > 0)) | (mark & ~known))
    recorded = pc.unique(subject.take(from_numpy(np.flatnonzero(known | mark)))).to_pylist()
    return RawEvents(subject.take(from_numpy(keep)), time[keep], time[keep], amount[keep], frozenset(recorded))


def valid(column: pa.Array) -> Bools:
    """Where a column has a value."""
    out: Bools = to_numpy(pc.is_valid(column).cast(pa.float32())) > 0
    return out


def amounts_of(rows: Rows, name: str) -> F64:
    """A column of amounts: none may be negative."""
    values = rows.numbers(name)
    if (values < 0).any():
        row = int(np.flatnonzero(values < 0)[0])
        raise rows.fail(row, f"{name} is {values[row]:g}", "an amount of at least 0")
    return values


def keep_kind(raw: Raw, kind: pa.Array, wanted: str, column: str) -> Raw:
    """Only rows of one kind; the others are counted by theirs."""
    keep = is_kind(kind, wanted)
    others = pc.value_counts(kind.take(from_numpy(np.flatnonzero(~keep)))).to_pylist()
    raw.dropped += Counter({f"{column} {one['values'] or 'absent'}": one["counts"] for one in others})
    raw.subject = raw.subject.take(from_numpy(np.flatnonzero(keep)))
    raw.time, raw.glucose = raw.time[keep], raw.glucose[keep]
    if raw.where is not None:
        whole, kept = raw.where, np.flatnonzero(keep)
        raw.where = lambda row: whole(int(kept[row]))
    return raw


def is_kind(column: pa.Array, value: str) -> Bools:
    """Where a column has this text."""
    return valid(column) & valid(pc.if_else(pc.equal(column, value), 1, pa.scalar(None, pa.int64())))
