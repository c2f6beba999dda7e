"""The keys of a task that say where its series are and how they are read: source, format, layout, columns, csv, time_format and others."""

from __future__ import annotations

import re
from collections.abc import Mapping

from harness import frequency
from harness.errors import DataError
from harness.files import expanded
from harness_tasks.own.declared import EPOCHS, FORMATS, READY, Columns, Csv, Source, by_suffix
from harness_tasks.own.places import At

__all__ = ["MERGED", "READING", "read_source"]

LAYOUTS = ("long", "wide", "nested")
READING = (
    "source",
    "format",
    "split",
    "config",
    "layout",
    "columns",
    "filter",
    "csv",
    "time_format",
    "timezone",
    "snap",
    "duplicates",
    "gaps",
)
COLUMNS = ("id", "time", "target", "past", "known")
CSV = ("separator", "decimal", "encoding", "missing")
MERGED = ("columns", "csv")  # keys of keys, of which a task may give a part
DIRECTIVES = "YymdHMSjbBaApzI%"


def read_source(at: At, name: str, keys: Mapping[str, At], merged: Mapping[str, list[At]]) -> Source:
    """The source of the task `name`.

    Args:
        at: the task, for what it lacks.
        keys: its keys and those of the defaults.
        merged: of `MERGED`, the defaults' value and then the task's own.

    Raises:
        DataError: what is wrong, with its line.
    """
    if "source" not in keys:
        raise at.fail(f"a task without 'source' ({name})", "a file, folder, pattern or hf:ORGANISATION/DATASET")
    path = keys["source"].text()
    kind = keys["format"].choice(FORMATS) if "format" in keys else by_suffix(path)
    layout = keys["layout"].choice(LAYOUTS) if "layout" in keys else "nested" if kind == "datasets" else "long"
    columns = _columns(merged["columns"], name)
    _fit_together(at, name, kind, layout, columns, keys, merged)
    gaps = keys["gaps"].choice(("missing", "error", "joined")) if "gaps" in keys else "missing"
    if "freq" not in keys:
        raise DataError(_without_freq(at, name, path, kind, layout, columns))
    freq = keys["freq"].text()
    try:
        frequency.split(freq)
    except DataError as error:
        raise keys["freq"].fail(repr(freq), str(error).partition("wanted ")[2]) from None
    return Source(
        path=path,
        format=kind,
        freq=freq,
        layout=layout,
        split=keys["split"].text() if "split" in keys else "",
        config=keys["config"].text() if "config" in keys else "",
        columns=columns,
        csv=_csv(merged["csv"]),
        filter=_filter(keys["filter"]) if "filter" in keys else (),
        time_format=_time_format(keys["time_format"]) if "time_format" in keys else "",
        timezone=_timezone(keys["timezone"]) if "timezone" in keys else "",
        snap=_snap(keys["snap"], freq) if "snap" in keys else 0.0,
        duplicates=keys["duplicates"].choice(("error", "first", "last", "mean")) if "duplicates" in keys else "error",
        gaps=gaps,
        where=keys["source"].where,
    )


def _fit_together(
    at: At, name: str, kind: str, layout: str, columns: Columns, keys: Mapping[str, At], merged: Mapping[str, list[At]]
) -> None:
    """Refuse what a format or layout has no use for, and what it lacks."""
    if kind in READY:
        given = [
            key for key in ("columns", "layout", "filter", "csv", "time_format", "timezone", "snap", "duplicates", "gaps") if key in keys
        ]
        if given:
            raise keys[given[0]].fail(f"'{given[0]}' with the format {kind}", "none, since such files say it themselves")
    elif layout != "wide" and not columns.target:
        raise at.fail(f"a task without target columns ({name})", "columns: {id: COLUMN, time: COLUMN, target: COLUMN}")
    elif layout == "wide" and (columns.id or columns.past or columns.known):
        raise merged["columns"][-1].fail("an id, past or known column", "only time and target: in the wide layout each column is a series")
    if layout == "nested" and kind == "csv":
        raise keys["layout"].fail("'nested' for CSV", "long or wide: a cell of CSV holds no list")


def _snap(at: At, freq: str) -> float:
    """Seconds by which a time may miss its step."""
    multiple, base = frequency.split(freq)
    snap, step = at.number(), frequency.SECONDS.get(base, 0) * multiple
    if not 0 < snap <= step / 2 or base == "W":
        raise at.fail(at.said(), f"seconds, above 0 and at most half a step ({step / 2:g} s), of a freq in S, T, H or D")
    return snap


def _without_freq(at: At, name: str, path: str, kind: str, layout: str, columns: Columns) -> str:
    """The message that freq is missing, with what the file's first rows look like."""
    from harness_tasks.own.propose.columns import freq_of

    file = at.path.parent / expanded(path)
    near = freq_of(file, columns.time, columns.id) if kind == "csv" and layout != "nested" and columns.time and file.is_file() else ""
    hint = f" The first rows of {path} look like freq: {near}" if near else " Such as 15T, H, D, W, M, Q"
    return f"{at.where}: {name}: got a task without 'freq'; wanted one, as it is never guessed.{hint}"


def _joined(given: list[At], known: tuple[str, ...]) -> dict[str, At]:
    """The parts of the defaults and of the task, which replaces them one by one, by `null` with nothing."""
    found: dict[str, At] = {}
    for at in given:
        for key, value in at.mapping(known).items():
            if key in found and value.unset:
                found.pop(key)
            else:
                found[key] = value
    return found


def _columns(given: list[At], name: str) -> Columns:
    found = _joined([At(at.path, at.node, f"{name}: columns") for at in given], COLUMNS)
    single = {key: found[key].text() for key in ("id", "time") if key in found}
    many = {key: found[key].texts() for key in ("target", "past", "known") if key in found}
    used: dict[str, str] = {}
    for key, names in (*((k, (v,)) for k, v in single.items()), *many.items()):
        for column in names:
            if column in used:
                raise found[key].fail(f"the column {column!r}, which is '{used[column]}' too", "another column for each")
            used[column] = key
    return Columns(**single, **many)  # type: ignore[arg-type]


def _csv(given: list[At]) -> Csv:
    found = _joined(given, CSV)
    separator = found["separator"].text() if "separator" in found else ""
    if separator in (r"\t", "tab"):
        separator = "\t"
    if separator and (len(separator) != 1 or not separator.isascii() or separator.isalnum() or separator in "\"'\r\n.-+"):
        raise found["separator"].fail(repr(separator), "one character, as ';' or '|' or '\\t'")
    decimal = found["decimal"].choice((".", ",")) if "decimal" in found else "."
    if decimal == "," and separator in ("", ","):
        raise found["decimal"].fail("a decimal comma and commas between fields", "another separator too, as separator: ';'")
    encoding = found["encoding"].text() if "encoding" in found else "utf-8"
    try:
        "a,1;2\t3".encode(encoding).decode(encoding)
    except (LookupError, UnicodeError, ValueError):
        raise found["encoding"].fail(repr(encoding), "an encoding that Python knows, as utf-8, cp1252, latin-1") from None
    return Csv(separator, decimal, encoding, found["missing"].texts(empty=True) if "missing" in found else ())


def _filter(at: At) -> tuple[tuple[str, tuple[str, ...]], ...]:
    found = {column: value.texts(empty=True) for column, value in at.mapping().items()}
    if not found or "" in found:
        raise at.fail("no column", "COLUMN: VALUE, or COLUMN: [VALUE, VALUE]")
    return tuple(found.items())


def _time_format(at: At) -> str:
    text = at.text()
    if text in (*EPOCHS, "step", "iso"):
        return "" if text == "iso" else text
    used = re.findall(r"%(.?)", text)
    if not used or any(not each or each not in DIRECTIVES for each in used) or not {"Y", "y"} & set(used):
        words = f"iso, {', '.join(EPOCHS)}, step, or a pattern with a year, as '%d.%m.%Y %H:%M' (of %{' %'.join(DIRECTIVES)})"
        raise at.fail(repr(text), words)
    return text


def _timezone(at: At) -> str:
    from zoneinfo import ZoneInfo

    text = at.text()
    try:
        ZoneInfo(text)
    except Exception:  # a name that is none, or no path, or that of a folder: each raises something else
        raise at.fail(repr(text), "a time zone as Europe/Berlin or UTC") from None
    return text
