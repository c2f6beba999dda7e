"""REPLACE-BG (Aleppo et al. 2017) as the Jaeb Center hands it out: tables between bars, with days from enrolment and times of day.

HDeviceCGM.txt has the readings, in mg/dL: RecordType CGM is one, Calibration is not. Beside it, where they are,

* HDeviceBolus.txt: `Normal` is what was given at once, in units. A bolus with an `Extended` part is an event of unknown amount: how long it
  flowed is in milliseconds or in minutes, by the uploading software.
* HDeviceWizard.txt: `CarbInput` is the grams of carbohydrate that were told to the pump's calculator; a meal is an entry above 0.

Uploads overlap, so equal rows of one moment count once. (Columns as public readers of these tables use them.)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from harness.arrow import from_numpy, to_numpy
from harness.forecast import F64
from harness_tasks.cgm.columns import Rows, Table, open_table
from harness_tasks.cgm.raw import Options, Raw, RawEvents, amounts_of, given, keep_kind
from harness_tasks.cgm.readings import Times

__all__ = ["BESIDE", "COLUMNS", "read"]

COLUMNS = ("PtID", "DeviceDtTmDaysFromEnroll", "DeviceTm", "RecordType", "GlucoseValue")
STAMP = COLUMNS[:3]
BESIDE = {"HDeviceBolus.txt": "bolus", "HDeviceWizard.txt": "meals"}
ENROLMENT = np.datetime64("2000-01-01", "s")  # stands for a day that the source does not tell


def read(table: Table, _options: Options) -> Raw:
    """The readings, and insulin and carbohydrates of the tables beside them.

    Raises:
        DataError: a column is not there; a day, time or number that is none.
    """
    name = _names(table, COLUMNS)
    rows = table.read(list(name.values()))
    time = _times(rows, name)
    note = f"days are counted from enrolment, which is put at {ENROLMENT.astype('datetime64[D]')}: dates and weekdays are made up"
    glucose = rows.numbers(name["GlucoseValue"], limits=True)
    raw = Raw("jaeb", str(table.path), rows.text(name["PtID"]), time, glucose, "mg/dL", "the layout", notes=[note], where=rows.where)
    raw = keep_kind(raw, rows.text(name["RecordType"]), "CGM", name["RecordType"])
    for file, kind in BESIDE.items():
        path = table.path.with_name(file)
        if path.is_file():
            raw.events[kind] = _bolus(path) if kind == "bolus" else _carbs(path)
            raw.notes.append(f"{'insulin' if kind == 'bolus' else 'carbohydrates'} from {file}")
    return raw


def _bolus(path: Path) -> RawEvents:
    table = open_table(path)
    name = _names(table, (*STAMP, "Normal", "Extended"))
    rows = table.read(list(name.values()))
    normal, extended = amounts_of(rows, name["Normal"]), amounts_of(rows, name["Extended"])
    return _given(rows, name, np.where(extended > 0, np.nan, normal), extended > 0)


def _carbs(path: Path) -> RawEvents:
    table = open_table(path)
    name = _names(table, (*STAMP, "CarbInput"))
    rows = table.read(list(name.values()))
    grams = amounts_of(rows, name["CarbInput"])
    return _given(rows, name, grams, np.zeros(len(grams), np.bool_))


def _given(rows: Rows, name: dict[str, str], amount: F64, happened: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> RawEvents:
    subject, time = rows.text(name["PtID"]), _times(rows, name)
    who = to_numpy(subject.dictionary_encode().indices.cast(pa.int64()).fill_null(-1))
    key = np.stack([who, time.astype(np.int64), np.where(np.isnan(amount), -1000, np.round(amount * 1000)).astype(np.int64)], axis=1)
    once = np.sort(np.unique(key, axis=0, return_index=True)[1])  # the first of equal rows
    return given(subject.take(from_numpy(once)), time[once], amount[once], happened[once])


def _names(table: Table, wanted: tuple[str, ...]) -> dict[str, str]:
    """{wanted: as the table spells it}: some say PtId and some PtID. What is missing is as wanted."""
    there = {name.lower(): name for name in table.names}
    return {name: there.get(name.lower(), name) for name in wanted}


def _times(rows: Rows, name: dict[str, str]) -> Times:
    day = name["DeviceDtTmDaysFromEnroll"]
    days, seconds = rows.numbers(day), rows.clock(name["DeviceTm"])
    sure = ~np.isnan(days) & (seconds >= 0)
    bad = sure & ((np.abs(days) > 36525) | (days % 1 != 0))
    if bad.any():
        raise rows.fail(int(np.flatnonzero(bad)[0]), f"{day} is {days[bad][0]:g}", "whole days of one study")
    time: Times = ENROLMENT + np.where(sure, days, 0).astype(np.int64) * 86400 + np.where(sure, seconds, 0)
    time[~sure] = np.datetime64("NaT")
    return time
