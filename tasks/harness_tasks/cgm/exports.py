"""What a person gets from a sensor's own portal: Dexcom Clarity and Abbott LibreView, in English.

The columns are those that several public exports and parsers of them have in common; neither maker publishes a specification. Readings,
insulin and food stand in rows of different kinds, all of one person, who is called as the file is: the name that the file may hold is not
read.
"""

from __future__ import annotations

import numpy as np

from harness.arrow import constant
from harness.errors import DataError
from harness_tasks.cgm.columns import Table
from harness_tasks.cgm.raw import Options, Raw, amounts_of, given, is_kind, keep_kind, unit_of, valid

__all__ = ["CLARITY", "LIBRE", "read_clarity", "read_libreview"]

CLARITY = ("Timestamp (YYYY-MM-DDThh:mm:ss)", "Event Type", "Event Subtype")
LIBRE = ("Device Timestamp", "Record Type")


def read_clarity(table: Table, _options: Options) -> Raw:
    """EGV rows are readings, Insulin and Carbs rows events, others are left out; all is of one person, called as the file is."""
    stamp, kind, subtype = CLARITY
    value = _one(table, "Glucose Value")
    extra = [name for name in ("Insulin Value (u)", "Carb Value (grams)") if name in table.names]
    rows = table.read([stamp, kind, subtype, value, *extra], ragged=True)
    time, notes = rows.times(stamp, "ymd")
    subject = constant(table.stem, rows.count)
    events = rows.text(kind)
    sort = rows.text(subtype)
    glucose = rows.numbers(value, limits=True)
    raw = Raw("clarity", str(table.path), subject, time, glucose, *unit_of(value), notes=notes, where=rows.where)
    if "Insulin Value (u)" in extra:
        dose, insulin = amounts_of(rows, "Insulin Value (u)"), is_kind(events, "Insulin")
        raw.events["bolus"] = given(subject, time, np.where(insulin & ~is_kind(sort, "Long-Acting"), dose, np.nan))
        raw.events["basal"] = given(subject, time, np.where(insulin & is_kind(sort, "Long-Acting"), dose, np.nan))
    if "Carb Value (grams)" in extra:
        raw.events["meals"] = given(subject, time, np.where(is_kind(events, "Carbs"), amounts_of(rows, "Carb Value (grams)"), np.nan))
    return keep_kind(raw, events, "EGV", kind)


def read_libreview(table: Table, options: Options) -> Raw:
    """Record Type 0 is the sensor's own reading; scans (1) stand between those and are left out. Insulin and carbohydrates are events."""
    stamp, kind = LIBRE
    value = _one(table, "Historic Glucose")
    known = {
        "bolus": ("Rapid-Acting Insulin (units)",),
        "basal": ("Long-Acting Insulin (units)", "Long-Acting Insulin Value (units)"),
        "meals": ("Carbohydrates (grams)",),
    }
    extra = {name: next((column for column in columns if column in table.names), "") for name, columns in known.items()}
    food = "Non-numeric Food" if "Non-numeric Food" in table.names else ""
    rows = table.read([name for name in (stamp, kind, value, *extra.values(), food) if name], ragged=True)
    time, notes = rows.times(stamp, options.dates)
    subject = constant(table.stem, rows.count)
    glucose = rows.numbers(value, limits=True)
    raw = Raw("libreview", str(table.path), subject, time, glucose, *unit_of(value), notes=notes, where=rows.where)
    for name, column in extra.items():
        if column:
            eaten = valid(rows.text(food)) if name == "meals" and food else None
            raw.events[name] = given(subject, time, amounts_of(rows, column), eaten)
    return keep_kind(raw, rows.text(kind), "0", kind)


def _one(table: Table, begins: str) -> str:
    """The one column whose name begins so."""
    names = [name for name in table.names if name.startswith(begins)]
    if len(names) != 1:
        raise DataError(f"{table.path}: has {len(names)} columns {begins!r}; wanted one. Its columns are {', '.join(table.names)}")
    return names[0]
