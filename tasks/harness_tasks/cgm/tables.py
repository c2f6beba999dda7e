"""`read_glucose`: a file or a folder of continuous glucose data as `Readings`, whatever its layout, and an account of every row.

Rules that hold for all layouts:

* The unit is the caller's, else the one that the column's name or the layout states, else the one that the values tell
  (`harness_tasks.cgm.units.detect_unit`, which refuses what may be either). What is stated and contradicted by the values is an error, and
  so is a subject whose values fit the other unit alone, or a stretch of one whose values are none in this unit: too few of a file's rows,
  perhaps, for its percentiles to show (`harness_tasks.cgm.other_unit`).
* "Low" and "High" (also "LO", "HI", "<40", ">400", "<2.2", ">22.2") become 39 and 401 mg/dL, the numbers by which Dexcom's receivers and
  the JAEB centre's files write a glucose outside the sensor's 40 to 400; pass `limits` for another sensor. They are counted.
* A row without subject or time, or with a glucose outside (0, 1000] mg/dL, is dropped and counted by its reason. A row whose cell cannot
  be read is an error with its line: it shows that the file is not what it was taken for.
* A stamp that a subject has twice is kept and counted; the grid averages them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from harness.arrow import from_numpy, to_numpy
from harness.errors import DataError, suggest
from harness_tasks.cgm import ohio
from harness_tasks.cgm.advice import CALLER
from harness_tasks.cgm.clocks import turned_back
from harness_tasks.cgm.columns import open_table
from harness_tasks.cgm.datasets import SUFFIXES, meals_beside
from harness_tasks.cgm.layouts import LAYOUTS, read_long, read_meals, sniff
from harness_tasks.cgm.other_unit import check_units
from harness_tasks.cgm.raw import Options, Raw, RawEvents, valid
from harness_tasks.cgm.readings import Events, Readings, Report
from harness_tasks.cgm.units import MGDL_PER_MMOL, UNITS, detect_unit

__all__ = ["read_glucose"]

MOST = 1000.0  # mg/dL: above what any sensor and any laboratory meter writes


def read_glucose(
    path: str | Path,
    *,
    columns: Mapping[str, str] | None = None,
    unit: str = "",
    layout: str = "",
    dates: str = "",
    meals: str | Path | None = None,
    limits: tuple[float, float] = (39.0, 401.0),
) -> Readings:
    """Read continuous glucose data.

    Args:
        path: a .csv, .txt or .tsv (also .gz; comma, semicolon, tab or bar), .parquet or OhioT1DM .xml file, or a folder of such files of
            one layout, at any depth (of the layout ohio, its .xml files), whose recordings are joined by subject.
        columns: {role: column} for the roles id, date, time, glucose, basal, bolus, insulin, carbs, meal, event; an id "" names the subject
            after the file; a date stands beside a time that has none; a meal is any cell that is not empty, or an event called one (meal,
            breakfast, lunch, dinner, snack).
        unit: "mg/dL" or "mmol/L"; "" = found.
        layout: a name of `layouts.LAYOUTS`, or "ohio"; "" = found by the columns.
        dates: "ymd", "dmy" or "mdy"; "" = found, or refused where no date tells.
        meals: a table of meals (id, mealtime, perhaps carbs); of the layout hall, NAME_meals.csv beside NAME.csv is taken by itself.
        limits: mg/dL for "Low" and "High".

    Raises:
        DataError: the file and, where there is one, the line; what was got, what was wanted, what to pass.
        ValueError: an argument that does not exist.
    """
    folder = Path(path)
    for name, value, known in (("unit", unit, UNITS), ("layout", layout, (*LAYOUTS, "ohio"))):
        if value and value not in known:
            raise ValueError(f"read_glucose got the {name} {value!r}; wanted one of {', '.join(known)}.{suggest(value, known)}")
    if columns and layout not in ("", "long"):
        raise ValueError(f"read_glucose got columns and the layout {layout!r}, which has its own; wanted one of them")
    options = Options(dict(columns or {}), dates)
    scaled = [_to_mgdl(_read(file, layout, options), unit) for file in _files(folder, (".xml",) if layout == "ohio" else SUFFIXES)]
    layouts = sorted({raw.layout for raw in scaled})
    if len(layouts) > 1:
        raise DataError(f"{folder}: holds files of the layouts {', '.join(layouts)}; wanted one. Name a file, or sort them into folders")
    beside = meals_beside(folder)
    if meals is None and layouts == ["hall"] and beside.is_file():
        meals = beside
    if meals is not None:
        scaled[0].events["meals"] = read_meals(open_table(Path(meals)), options)
        scaled[0].notes.append(f"meals are from {meals}")
    return _join(scaled, LAYOUTS[layouts[0]].patient if layouts[0] in LAYOUTS else str, limits)


def _files(path: Path, suffixes: tuple[str, ...]) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.is_file() and file.name.lower().endswith(suffixes))
    if not files:
        raise DataError(f"{path}: holds no file that ends in {', '.join(suffixes)}; wanted tables of glucose readings")
    return files


def _read(path: Path, layout: str, options: Options) -> Raw:
    """One file, by the layout that is named, that the caller's columns imply, or that fits."""
    if layout == "ohio" or (path.suffix.lower() == ".xml" and not layout):
        if not path.is_file():
            raise DataError(f"{path}: no such file; wanted OhioT1DM's XML")
        return ohio.read(path)
    table = open_table(path, lambda names: any(one.fits(names, {}) for one in LAYOUTS.values() if one.name != "long"))
    if layout:
        if not LAYOUTS[layout].fits(table.names, table.first) and not (layout == "long" and options.columns):
            raise DataError(f"{path}: has the columns {', '.join(table.names)}; wanted those of the layout {layout}")
        return LAYOUTS[layout].read(table, options)
    return read_long(table, options) if options.columns else sniff(table).read(table, options)


def _to_mgdl(raw: Raw, unit: str) -> Raw:
    """Glucose in mg/dL, and how its unit was found; −inf and +inf stay."""
    if raw.unit and unit and raw.unit != unit:
        raise DataError(f"{raw.source}: {raw.unit_from} says {raw.unit}, and unit={unit} was given; wanted one. Leave unit out")
    raw.notes += turned_back(raw)
    said, how = (unit, CALLER) if unit else (raw.unit, raw.unit_from)
    values = raw.glucose[np.isfinite(raw.glucose)]
    if not len(values):
        raise DataError(f"{raw.source}: has {len(raw.glucose)} readings and no glucose value among them; wanted numbers")
    told, why = "", ""
    try:
        told = detect_unit(values)
    except DataError as error:
        why = str(error)
    if not said and not told:
        raise DataError(f"{raw.source}: {why}")
    if said and told and said != told:
        raise DataError(f"{raw.source}: {how} says {said}, but the values (median {np.median(values):g}) are {told}; wanted one unit")
    found = said or told
    raw = check_units(raw, found, how or "the values")
    scale = MGDL_PER_MMOL if found == "mmol/L" else 1.0
    return replace(raw, glucose=raw.glucose * scale, unit=found, unit_from=how or "the values", where=None)


def _join(raws: Sequence[Raw], patient: Callable[[str], str], limits: tuple[float, float]) -> Readings:
    """Drop and count, name subjects, put in order."""
    subject, time = pa.concat_arrays([raw.subject for raw in raws]), np.concatenate([raw.time for raw in raws])
    glucose = np.concatenate([raw.glucose for raw in raws])
    low, high = np.isneginf(glucose), np.isposinf(glucose)
    glucose[low], glucose[high] = limits
    dropped = sum((raw.dropped for raw in raws), Counter[str]())
    rows = len(time) + dropped.total()
    keep = np.ones(len(time), np.bool_)
    for reason, wrong in (
        ("no subject", ~valid(subject)),
        ("no time", np.isnat(time)),
        (f"glucose outside (0, {MOST:g}] mg/dL", (glucose <= 0) | (glucose > MOST)),
    ):
        dropped += Counter({reason: int((keep & wrong).sum())})
        keep &= ~wrong
    if not keep.any():
        raise DataError(f"{raws[0].source}: none of {rows} rows is a reading ({dict(dropped)}); wanted at least one")
    kept = np.flatnonzero(keep)
    named = subject.take(from_numpy(kept)).dictionary_encode()
    code = to_numpy(named.indices)
    order = np.lexsort((time[kept], code))
    rows_in_order = kept[order]
    code, time, glucose = code[order], time[rows_in_order], glucose[rows_in_order].astype(np.float32)
    notes = dict.fromkeys(note for raw in raws for note in raw.notes)  # many files say the same
    events = {}
    for name in sorted({name for raw in raws for name in raw.events}):
        events[name], strangers = _events([raw.events[name] for raw in raws if name in raw.events], named.dictionary)
        notes |= {f"{strangers} {name} of subjects without a reading are left out": None} if strangers else {}
    names = tuple(named.dictionary.to_pylist())
    report = Report(
        sources=tuple(raw.source for raw in raws),
        layout=raws[0].layout,
        rows=rows,
        readings=len(kept),
        absent=int(np.isnan(glucose).sum()),
        dropped=dict(sorted(dropped.items())),
        duplicates=int(((np.diff(code) == 0) & (np.diff(time) == np.timedelta64(0, "s"))).sum()),
        low=int(low[kept].sum()),
        high=int(high[kept].sum()),
        unit=" and ".join(sorted({raw.unit for raw in raws})),
        unit_from=" and ".join(sorted({raw.unit_from for raw in raws})),
        notes=tuple(notes),
    )
    meals = events.pop("meals", None)
    return Readings(names, tuple(map(patient, names)), code, time, glucose, report, events, meals)


def _events(raws: Sequence[RawEvents], names: pa.Array) -> tuple[Events, int]:
    """Events of the named subjects, in order of subject and time, and how many are of others."""
    subject = pc.index_in(pa.concat_arrays([raw.subject for raw in raws]), names).fill_null(-1)
    code = to_numpy(subject)
    begin, end = np.concatenate([raw.begin for raw in raws]), np.concatenate([raw.end for raw in raws])
    amount = np.concatenate([raw.amount for raw in raws]).astype(np.float32)
    order = np.lexsort((begin, code))
    order = order[code[order] >= 0]
    recorded = frozenset().union(*(raw.recorded for raw in raws))
    known = np.array([name in recorded for name in names.to_pylist()], np.bool_)
    return Events(code[order], begin[order], end[order], amount[order], known), int((code < 0).sum())
