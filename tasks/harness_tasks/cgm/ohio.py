"""OhioT1DM: an XML file a patient and period, such as 559-ws-training.xml.

    <patient id="559" …><glucose_level><event ts="07-12-2021 00:01:00" value="121"/>…</glucose_level>
    <basal><event ts=… value="0.9"/></basal> <temp_basal><event ts_begin=… ts_end=… value="0"/></temp_basal>
    <bolus><event ts_begin=… ts_end=… type=… dose="4.2" bwz_carb_input=…/></bolus> <meal><event ts=… type=… carbs="45"/></meal></patient>

Stamps are day-first, glucose is mg/dL, basal and temp_basal are units an hour: a rate holds until the next one, a temporary rate takes its
place from ts_begin to ts_end; a bolus flows evenly from ts_begin to ts_end. (Marling & Bunescu 2020; the elements as parsers on GitHub read
them.) The parser is expat fed in pieces; a file with a DOCTYPE or an entity is refused, so that none is expanded and nothing is fetched.
"""

from __future__ import annotations

from array import array
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np
import pyarrow as pa

from harness.arrow import constant
from harness.errors import DataError
from harness.forecast import F64
from harness_tasks.cgm.columns import Rows, Table
from harness_tasks.cgm.raw import Raw, RawEvents
from harness_tasks.cgm.readings import Times

__all__ = ["read"]

WANTED = {
    "glucose_level": ("ts", "value"),
    "basal": ("ts", "value"),
    "temp_basal": ("ts_begin", "ts_end", "value"),
    "bolus": ("ts_begin", "ts_end", "dose"),
    "meal": ("ts", "carbs"),
}
NEVER: Times = np.empty(0, "datetime64[s]")


class _Reader:
    """What expat calls; keeps the wanted attributes of the wanted elements, column by column."""

    def __init__(self, path: Path) -> None:
        self.path, self.patient, self.section, self.depth = path, "", "", 0
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler, self.parser.EndElementHandler = self._start, self._end
        self.parser.StartDoctypeDeclHandler = self.parser.EntityDeclHandler = self._refuse
        self.cells: dict[str, dict[str, list[str | None]]] = {}
        self.lines: dict[str, array[int]] = {}

    def _refuse(self, *_: Any) -> None:
        raise DataError(
            f"{self.path}, line {self.parser.CurrentLineNumber}: a DOCTYPE or an entity; wanted plain XML of the OhioT1DM layout"
        )

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self.depth += 1
        if self.depth == 1:
            if name != "patient":
                raise DataError(f"{self.path}, line {self.parser.CurrentLineNumber}: begins with <{name}>; wanted <patient id=…>")
            self.patient = attributes.get("id", "")
        elif self.depth == 2:
            self.section = name if name in WANTED else ""
            if self.section:
                self.cells.setdefault(name, {column: [] for column in WANTED[name]})
                self.lines.setdefault(name, array("q"))
        elif self.depth == 3 and self.section and name == "event":
            for column, values in self.cells[self.section].items():
                values.append(attributes.get(column))
            self.lines[self.section].append(self.parser.CurrentLineNumber)

    def _end(self, _name: str) -> None:
        self.depth -= 1

    def rows(self, section: str) -> Rows | None:
        """An element's events; None where the file has no such element."""
        if section not in self.cells:
            return None
        columns = {name: pa.array(values, pa.string()) for name, values in self.cells[section].items()}
        return Rows(Table(self.path, [], {}, lines=self.lines[section]), columns, len(self.lines[section]))


def read(path: Path) -> Raw:
    """Read one file.

    Raises:
        DataError: not XML, cut short, another root, a DOCTYPE, no <glucose_level>, a stamp or number that is none.
    """
    reader = _Reader(path)
    try:
        with path.open("rb") as file:
            reader.parser.ParseFile(file)
    except expat.ExpatError as error:
        raise DataError(f"{path}, line {error.lineno}: {expat.ErrorString(error.code)}; wanted whole XML of the OhioT1DM layout") from None
    glucose = reader.rows("glucose_level")
    if glucose is None or not glucose.count:
        raise DataError(f"{path}: has no <glucose_level> with events; wanted XML of the OhioT1DM layout")
    name = reader.patient or path.name.split("-")[0].split(".")[0]
    time, notes = glucose.times("ts", "dmy")
    values = glucose.numbers("value", limits=True)
    who, where = constant(name, glucose.count), glucose.where
    raw = Raw("ohio", str(path), who, time, values, "mg/dL", "the layout", notes=notes, where=where)
    for section, read_events in (("bolus", _bolus), ("meal", _meals)):
        rows = reader.rows(section)
        if rows is not None:
            begin, end, amount = read_events(rows)
            raw.events["meals" if section == "meal" else section] = _named(name, begin, end, amount)
    basal = reader.rows("basal")
    if basal is not None:
        raw.events["basal"] = _named(name, *_basal(basal, reader.rows("temp_basal"), time[~np.isnat(time)]))
    return raw


def _named(name: str, begin: Times, end: Times, amount: F64) -> RawEvents:
    keep = ~np.isnat(begin) & ~np.isnat(end) & ~(amount == 0)
    return RawEvents(constant(name, int(keep.sum())), begin[keep], end[keep], amount[keep], frozenset({name}))


def _bolus(rows: Rows) -> tuple[Times, Times, F64]:
    begin, _ = rows.times("ts_begin", "dmy")
    end, _ = rows.times("ts_end", "dmy")
    return begin, np.where(np.isnat(end) | (end < begin), begin, end), rows.numbers("dose")


def _meals(rows: Rows) -> tuple[Times, Times, F64]:
    time, _ = rows.times("ts", "dmy")
    return time, time, rows.numbers("carbs")


def _basal(rows: Rows, temporary: Rows | None, seen: Times) -> tuple[Times, Times, F64]:
    """Rates as stretches with the units that flow in each, up to the last reading; nothing before the first rate is known."""
    start, rate = _ordered(rows.times("ts", "dmy")[0], rows.numbers("value"))
    begin, end, other = NEVER, NEVER, np.empty(0)
    if temporary is not None and temporary.count:
        begin, end = temporary.times("ts_begin", "dmy")[0], temporary.times("ts_end", "dmy")[0]
        sure = ~np.isnat(begin) & ~np.isnat(end) & (end > begin)
        order = np.argsort(begin[sure], kind="stable")
        begin, end, other = begin[sure][order], end[sure][order], temporary.numbers("value")[sure][order]
    last = np.sort(seen)[-1:]
    edges = np.unique(np.concatenate([start, begin, end, last]))
    edges = edges[edges <= last] if len(last) else NEVER
    if len(edges) < 2 or not len(start):
        return NEVER, NEVER, np.empty(0)
    low, high = edges[:-1], edges[1:]
    usual = np.searchsorted(start, low, "right") - 1
    flow = np.where(usual >= 0, rate[np.maximum(usual, 0)], np.nan)
    if len(begin):
        over = np.searchsorted(begin, low, "right") - 1
        inside = (over >= 0) & (low < end[np.maximum(over, 0)])
        flow = np.where(inside, other[np.maximum(over, 0)], flow)
    known = ~np.isnan(flow)
    units = flow * (high - low).astype(np.int64) / 3600
    return low[known], high[known], units[known]


def _ordered(time: Times, value: F64) -> tuple[Times, F64]:
    sure = ~np.isnat(time) & ~np.isnan(value)
    order = np.argsort(time[sure], kind="stable")
    return time[sure][order], value[sure][order]
