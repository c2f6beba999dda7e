"""The layouts of glucose tables that are known by their columns; XML and the wide rows of BrisT1D have files of their own.

| layout | columns | where they were established |
|---|---|---|
| iglu | id, time, gl | the R package iglu's example data |
| hall | id, time, gl, diagnosis; meals beside it: id, meal, mealtime | Hall et al. 2018, as the R package iglu hands it out |
| shanghai | id, time, gl, ids such as T1DM_1001_0_20210730 | ShanghaiT1DM/T2DM as one long table |
| glucobench | id, time, gl and more, no basal, bolus, carbs or meal | IrinaStatsLab/GlucoBench config/*.yaml, raw_data/Dubosson_*.csv |
| jaeb | PtID, DeviceDtTmDaysFromEnroll, DeviceTm, RecordType, GlucoseValue, between bars | REPLACE-BG (Aleppo 2017), see `jaeb` |
| clarity | Timestamp (YYYY-MM-DDThh:mm:ss), Event Type, Glucose Value (mg/dL or mmol/L) | Dexcom Clarity's export, English |
| libreview | Device Timestamp, Record Type, Historic Glucose mg/dL or mmol/L | Abbott LibreView's export, English |
| long | any table whose columns are named as usual, or by the caller | |

Columns that GlucoBench adds are left aside, fast_insulin and slow_insulin too: there a dose is drawn out as a line that falls to zero, so
summing the rows would count it many times, and in its Hall table `insulin` is a fasting blood value.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.arrow import constant, from_numpy, to_numpy
from harness.errors import DataError
from harness_tasks.cgm import brist1d, exports, jaeb
from harness_tasks.cgm.advice import LAYOUT
from harness_tasks.cgm.columns import Table
from harness_tasks.cgm.raw import Options, Raw, RawEvents, amounts_of, given, unit_of, valid
from harness_tasks.cgm.readings import Bools, Times

__all__ = ["LAYOUTS", "ROLES", "Layout", "UnknownLayout", "sniff"]

ROLES = ("id", "date", "time", "glucose", "basal", "bolus", "insulin", "carbs", "meal", "event")

NAMES = {
    "id": "id subject subject_id subjectid patient patient_id patientid participant participant_id pt_id ptid person_id deidentid p_num",
    "time": "time timestamp datetime date_time ts device_timestamp datadttm devicedttm",
    "glucose": "gl glucose glucose_value glucosevalue glucose_level bg cgm cbg sgv sensor_glucose",
    "basal": "basal basal_dose basal_insulin",
    "bolus": "bolus bolus_dose bolus_insulin bolus_volume_delivered",
    "insulin": "insulin insulin_dose",
    "carbs": "carbs carb carbohydrates carb_input",
    "meal": "meal",
    "event": "event events",
}
EATEN = r"(?i)^(meal|breakfast|lunch|dinner|snack)s?$"
LISTED = 10  # kinds of events that a note names at most
UNIT_SUFFIX = re.compile(r"(_?\(.*\)|_(mg_?/?dl|mmol(_?/?l)?|u|units?|g|grams?))$")
RECORDING = re.compile(r"^(T[12]DM_\d+)_\d+_\d{8}$")


@dataclass(frozen=True)
class Layout:
    """A layout: whether a header and the first row have it, how it is read, and whose recording a subject is."""

    name: str
    fits: Callable[[Sequence[str], Mapping[str, str]], bool]
    read: Callable[[Table, Options], Raw]
    patient: Callable[[str], str] = lambda name: name


class UnknownLayout(DataError):
    """A table that has the columns of no layout: in a folder of many things, perhaps no glucose at all."""


def sniff(table: Table) -> Layout:
    """The layout of a table.

    Raises:
        UnknownLayout: none fits.
        DataError: two do.
    """
    found = [layout for layout in LAYOUTS.values() if layout.name != "long" and layout.fits(table.names, table.first)]
    if len(found) > 1:
        raise DataError(f"{table.path}: has the columns of two layouts, {' and '.join(one.name for one in found)}; wanted one. {LAYOUT}")
    if found:
        return found[0]
    if _long_fits(table.names, table.first):
        return LAYOUTS["long"]
    raise UnknownLayout(
        f"{table.path}: has the columns {', '.join(table.names)}; wanted those of a known layout ({', '.join(LAYOUTS)}). "
        "Call them id, time and glucose, or in Python say which they are: columns={'id': …, 'time': …, 'glucose': …}"
    )


def _role(name: str) -> str:
    """The role that a column's name is usual for, or ""."""
    plain = UNIT_SUFFIX.sub("", re.sub(r"[\s.\-]+", "_", name.strip().lower()))
    return next((role for role, names in NAMES.items() if plain in names.split()), "")


def _long_fits(names: Sequence[str], _first: Mapping[str, str]) -> bool:
    return {"id", "time", "glucose"} <= {_role(name) for name in names}


def _usual(table: Table) -> dict[str, str]:
    """{role: column} by the usual names."""
    roles: dict[str, str] = {}
    for name in table.names:
        role = _role(name)
        if role and role in roles:
            said = f"{{'{role}': '{roles[role]}'}}"
            both = f"both {roles[role]!r} and {name!r} may be the {role}"
            raise DataError(f"{table.path}: {both}; wanted one. Rename the other, or in Python say which: columns={said}")
        if role:
            roles[role] = name
    return roles


def read_long(table: Table, options: Options) -> Raw:
    """A row a reading, covariates beside it: units of insulin and grams of carbohydrate that were given at the row's time."""
    unknown = sorted(set(options.columns) - set(ROLES))
    if unknown:
        raise ValueError(f"columns names {', '.join(unknown)}; wanted some of {', '.join(ROLES)}")
    roles = dict(options.columns) if {"time", "glucose"} <= set(options.columns) else {**_usual(table), **options.columns}
    missing = [role for role in ("id", "time", "glucose") if role not in roles]
    if missing:
        raise DataError(
            f"{table.path}: no column is known for {' and '.join(missing)} of {', '.join(table.names)}. "
            "Rename them, or in Python say which: columns={…}"
        )
    return _rows(table, roles, "long", options.dates)


def _rows(table: Table, roles: Mapping[str, str], layout: str, dates: str = "ymd") -> Raw:
    rows = table.read([name for name in roles.values() if name])
    subject = rows.text(roles["id"]) if roles["id"] else constant(table.stem, rows.count)
    if "date" in roles:
        both = pc.binary_join_element_wise(rows.text(roles["date"]), rows.text(roles["time"]), " ")
        rows.columns["date and time"] = both
        time, notes = rows.times("date and time", dates)
    else:
        time, notes = rows.times(roles["time"], dates)
    glucose = rows.numbers(roles["glucose"], limits=True)
    raw = Raw(layout, str(table.path), subject, time, glucose, *unit_of(roles["glucose"]), notes=notes, where=rows.where)
    for name in ("basal", "bolus", "insulin"):
        if name in roles:
            raw.events[name] = given(subject, time, amounts_of(rows, roles[name]))
    eaten = valid(rows.text(roles["meal"])) if "meal" in roles else None
    if "event" in roles:
        eaten = _meals_among(raw, rows.text(roles["event"]), eaten)
    if "carbs" in roles or eaten is not None:
        grams = amounts_of(rows, roles["carbs"]) if "carbs" in roles else np.full(rows.count, np.nan)
        raw.events["meals"] = given(subject, time, grams, eaten)
    rest = [name for name in table.names if name and name not in roles.values()]
    raw.notes += [f"columns left aside: {', '.join(rest)}"] if rest else []
    return raw


def _meals_among(raw: Raw, said: pa.Array, eaten: Bools | None) -> Bools | None:
    """Which rows are meals, `eaten` or by what is said of them; a note counts what else is said. None where no meal is told of at all."""
    meal = to_numpy(pc.match_substring_regex(said, EATEN).cast(pa.float32()).fill_null(0)) > 0
    counts = pc.value_counts(said.take(from_numpy(np.flatnonzero(valid(said) & ~meal)))).to_pylist()
    rest = sorted(((one["counts"], one["values"]) for one in counts), key=lambda one: (-one[0], one[1]))
    if rest:
        named = ", ".join(f"{text} ({count:,})" for count, text in rest[:LISTED])
        raw.notes.append(f"events that are no meals are left aside: {named}" + (f" and {len(rest) - LISTED} more" if rest[LISTED:] else ""))
    return (meal if eaten is None else eaten | meal) if meal.any() else eaten


def _read_as(layout: str) -> Callable[[Table, Options], Raw]:
    return lambda table, options: _rows(table, {"id": "id", "time": "time", "glucose": "gl"}, layout, options.dates)


def read_meals(table: Table, options: Options) -> RawEvents:
    """A table of meals: id, mealtime (or time), and perhaps grams of carbohydrate."""
    when = next((name for name in ("mealtime", "time") if name in table.names), "mealtime")
    grams = next((name for name in table.names if _role(name) == "carbs"), "")
    rows = table.read(["id", when, *([grams] if grams else [])])
    time: Times = rows.times(when, options.dates)[0]
    amount = amounts_of(rows, grams) if grams else np.full(rows.count, np.nan)
    return given(rows.text("id"), time, amount, np.ones(rows.count, np.bool_))


def _has(*columns: str) -> Callable[[Sequence[str], Mapping[str, str]], bool]:
    return lambda names, _: set(columns) <= set(names)


def _plain(names: Sequence[str]) -> set[str]:
    return {name for name in names if name}


def _glucobench(names: set[str]) -> bool:
    """What is known of the person or the minute beside the readings, under names of its own; what was given or eaten makes a table long."""
    roles = {_role(name) for name in names}
    return names > IGLU and names != IGLU | {"diagnosis"} and "" in roles and roles.isdisjoint(GIVEN)


def _recording(first: Mapping[str, str]) -> bool:
    return bool(RECORDING.fullmatch(first.get("id", "")))


IGLU = {"id", "time", "gl"}
GIVEN = ("basal", "bolus", "carbs", "meal", "event")
LAYOUTS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        Layout("iglu", lambda names, first: _plain(names) == IGLU and not _recording(first), _read_as("iglu")),
        Layout("hall", lambda names, _: _plain(names) == IGLU | {"diagnosis"}, _read_as("hall")),
        Layout(
            "shanghai",
            lambda names, first: _plain(names) == IGLU and _recording(first),
            _read_as("shanghai"),
            lambda name: RECORDING.sub(r"\1", name),
        ),
        Layout("glucobench", lambda names, _: _glucobench(_plain(names)), _read_as("glucobench")),
        Layout("jaeb", lambda names, _: {key.lower() for key in jaeb.COLUMNS} <= {name.lower() for name in names}, jaeb.read),
        Layout("clarity", _has(*exports.CLARITY), exports.read_clarity),
        Layout("libreview", _has(*exports.LIBRE), exports.read_libreview),
        Layout("brist1d", _has("p_num", "time", "bg-0:00", "bg-5:55"), brist1d.read),
        Layout("long", _long_fits, read_long),
    )
}
