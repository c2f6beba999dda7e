"""Readings of another unit inside a source whose unit is known: whole subjects, and stretches of one.

One factor of 18 in a stretch of one subject is too little for percentiles of the file to show, and a label of 4 mg/dL scores every model.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa

from harness.arrow import from_numpy, to_numpy
from harness.errors import DataError
from harness.forecast import I64
from harness_tasks.cgm.advice import CALLER, UNIT
from harness_tasks.cgm.raw import Raw
from harness_tasks.cgm.readings import Bools
from harness_tasks.cgm.units import BULK, UNITS, of_other_unit

__all__ = ["check_units"]

NAMED = 5  # subjects that a message names at most
FEW = 3  # readings of a subject, none next to another, that are taken for slips


def check_units(raw: Raw, unit: str, told: str) -> Raw:
    """The source without readings that are none in its unit, which are counted and noted.

    In mg/dL these are below 20, in mmol/L below 1.1 and from 33.4 to 600: what meters and sensors do not show and the other unit has. Up to
    three of a subject, no two of them one after the other, are left out. Beyond that, readings outside (0, 1000] mg/dL are dropped later.

    Args:
        unit: what the source is in; told: how that is known.

    Raises:
        DataError: a subject whose readings fit the other unit alone, or who has more than a few that are none in this one; with the names,
            numbers, values and first lines.
    """
    named = raw.subject.dictionary_encode()
    code = to_numpy(named.indices.cast(pa.int64()).fill_null(-1))
    other = next(one for one in UNITS if one != unit)
    whole = [one for one in of_other_unit(code, raw.glucose, unit) if one >= 0]
    if whole:
        who = _named(raw, code, whole, np.isfinite(raw.glucose) & (raw.glucose > 0))
        raise DataError(
            f"{raw.source}: glucose is in {unit}, but that of these subjects can only be {other}: {who}; wanted one unit in a file. "
            f"Write theirs in {unit}, or into a file of their own"
        )
    odd = _none_in(raw, unit) & (code >= 0) & ~np.isnat(raw.time)
    if not odd.any():
        return raw
    bad = _more_than_slips(code, raw, odd)
    low, high = BULK[unit]
    words = f"below {low:g} {unit}" if unit == "mg/dL" else f"outside {low:g} to {high:g} {unit}"
    if bad:
        aside = f". If all of the file is in {other}, {UNIT}" if told == CALLER else ""
        raise DataError(
            f"{raw.source}: glucose is in {unit}, told by {told}, but these subjects have readings {words}, which no meter shows: "
            f"{_named(raw, code, bad, odd)}; wanted one unit in a file. Write those that are in {other} in {unit}, or into a file of their "
            f"own, and take out what is no reading{aside}"
        )
    first, keep = int(np.flatnonzero(odd)[0]), np.flatnonzero(~odd)
    at = str(raw.time[first]).replace("T", " ") if raw.where is None else raw.where(first)
    note = f"{odd.sum()} single readings {words} in {raw.source} are left out, the first of {raw.glucose[first]:g} at {at}"
    return replace(
        raw,
        subject=raw.subject.take(from_numpy(keep)),
        time=raw.time[keep],
        glucose=raw.glucose[keep],
        dropped=raw.dropped + Counter({f"glucose {words}": int(odd.sum())}),
        notes=[*raw.notes, note],
        where=None,
    )


def _none_in(raw: Raw, unit: str) -> Bools:
    """Which rows hold a number that is no glucose in this unit."""
    low, high = BULK[unit]
    values = raw.glucose
    out: Bools = (values > 0) & (values < low)
    return out if unit == "mg/dL" else out | ((values > high) & (values <= BULK["mg/dL"][1]))


def _more_than_slips(code: I64, raw: Raw, odd: Bools) -> list[int]:
    """The subjects with more than `FEW` of these readings, or two of them one after the other in time."""
    rows = np.flatnonzero(np.isfinite(raw.glucose) & (raw.glucose > 0) & ~np.isnat(raw.time) & np.isin(code, np.unique(code[odd])))
    rows = rows[np.lexsort((raw.time[rows], code[rows]))]
    there, owner = odd[rows], code[rows]
    next_to = there[1:] & there[:-1] & (owner[1:] == owner[:-1])
    who, count = np.unique(owner[there], return_counts=True)
    return sorted({*who[count > FEW].tolist(), *owner[1:][next_to].tolist()})


def _named(raw: Raw, code: I64, subjects: list[int], rows: Bools) -> str:
    """Subjects by name, each with how many of `rows` it has, their lowest and highest value, and where they begin."""
    said = []
    names = raw.subject.dictionary_encode().dictionary
    for one in subjects[:NAMED]:
        mine = np.flatnonzero((code == one) & rows)
        low, high = raw.glucose[mine].min(), raw.glucose[mine].max()
        values = f" of {low:g}" + (f" to {high:g}" if high > low else "")
        count = f"{len(mine)} reading{'s' if len(mine) > 1 else ''}"
        at = f", from {str(raw.time[mine[0]]).replace('T', ' ')} on" if raw.where is None else f", from {raw.where(int(mine[0]))} on"
        said.append(f"{names[one].as_py()} ({count}{values}{at})")
    return "; ".join(said) + (f" and {len(subjects) - NAMED} more" if len(subjects) > NAMED else "")
