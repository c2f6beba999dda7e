"""What a suite file declares: the suite, and for each task where its series are, how they are read and which windows are cut.

All that can be known without the data is checked here, so that a mistake in the file is told with its line before anything is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from harness import frequency
from harness.errors import DataError
from harness.files import expanded
from harness.types import DECILES, Event, SuiteInfo, Task
from harness_tasks.own.places import At, load

__all__ = ["FORMATS", "HUB", "SUFFIXES", "Columns", "Csv", "Declared", "Entry", "Source", "by_suffix", "read"]

SUITE = ("name", "summary", "license", "url", "version", "baseline", "defaults", "tasks")
FORMATS = ("csv", "parquet", "datasets", "gift-eval", "tsf")
SUFFIXES = {"csv": (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt"), "parquet": (".parquet", ".pq"), "tsf": (".tsf",)}
HUB = "hf:"
"""How a source begins that is a dataset of the hub."""
LAYOUTS = ("long", "wide", "nested")
READY = ("gift-eval", "tsf")  # formats that say themselves what is what
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
WINDOWS = ("freq", "horizon", "horizons", "windows", "stride", "short", "min_context")
ASKING = (
    "season_length",
    "variates",
    "quantile_levels",
    "dialect",
    "event",
    "context",
    "fill_gaps",
    "rounded",
    "domain",
    "family",
    "known_as",
)
TASK = ("name", *READING, *WINDOWS, *ASKING)
COLUMNS = ("id", "time", "target", "past", "known")
CSV = ("separator", "decimal", "encoding", "missing")
EVENT = ("name", "step", "above", "relative", "inclusive")
MERGED = ("columns", "csv")  # keys of keys, of which a task may give a part
STEPS = 1_000_000
PLAIN = r"[A-Za-z0-9][A-Za-z0-9._+-]*"
EPOCHS = ("epoch-s", "epoch-ms", "epoch-us", "epoch-ns")
DIRECTIVES = "YymdHMSjbBaApzI%"


@dataclass(frozen=True)
class Columns:
    """Which columns mean what; "" or () = there is none such."""

    id: str = ""
    time: str = ""
    target: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    known: tuple[str, ...] = ()

    @property
    def values(self) -> tuple[str, ...]:
        """Target, past and known, in this order."""
        return (*self.target, *self.past, *self.known)


@dataclass(frozen=True)
class Csv:
    """How text is written in a CSV file."""

    separator: str = ""  # "" = a tab for .tsv, else a comma
    decimal: str = "."
    encoding: str = "utf-8"
    missing: tuple[str, ...] = ()  # words for "no value" besides the usual ones


@dataclass(frozen=True)
class Source:
    """All that decides what series a table holds. Equal sources are read once."""

    path: str
    format: str  # "" = told by the suffix
    freq: str
    layout: str = "long"
    split: str = ""
    config: str = ""
    columns: Columns = Columns()
    csv: Csv = Csv()
    filter: tuple[tuple[str, tuple[str, ...]], ...] = ()
    time_format: str = ""
    timezone: str = ""
    snap: float = 0.0  # seconds
    duplicates: str = "error"
    gaps: str = "missing"
    where: str = field(default="", compare=False)  # the file and line that declare it


@dataclass(frozen=True)
class Entry:
    """A task, its source and its windows."""

    task: Task
    source: Source
    windows: int  # 0 = by the rule of GIFT-Eval
    stride: int
    short: str
    min_context: int
    where: str


@dataclass(frozen=True)
class Declared:
    """A suite file, read."""

    path: Path
    info: SuiteInfo
    entries: tuple[Entry, ...]


def read(path: Path) -> Declared:
    """Read a suite file.

    Raises:
        DataError: what is wrong, with its line.
    """
    top = load(path)
    keys = top.mapping(SUITE)
    for name in ("name", "tasks"):
        if name not in keys:
            raise DataError(f"{path}: has no '{name}'; wanted one. Keys: {', '.join(SUITE)}. To make such a file: harness new suite NAME")
    texts = {
        key: keys[key].text(empty=key != "name") for key in ("name", "summary", "license", "url", "version", "baseline") if key in keys
    }
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", texts["name"]) or texts["name"].endswith((".yaml", ".yml")):
        raise keys["name"].fail(repr(texts["name"]), "a name of small letters, digits, '-', '_' and '.', as my-shop")
    defaults = keys["defaults"].mapping(TASK[1:]) if "defaults" in keys else {}
    entries: list[Entry] = []
    lines: dict[str, str] = {}
    listed = keys["tasks"].each(alone=False)
    if not listed:
        raise keys["tasks"].fail("an empty list", "at least one task")
    for at in listed:
        for entry in _entries(at, defaults, texts["name"]):
            if entry.task.name in lines:
                raise at.fail(f"the task '{entry.task.name}' again, first in {lines[entry.task.name]}", "each name once")
            lines[entry.task.name] = entry.where.rpartition(", ")[2]
            entries.append(entry)
    return Declared(path, SuiteInfo(**texts), tuple(entries))


def _entries(at: At, defaults: Mapping[str, At], suite: str) -> list[Entry]:
    """The tasks of one item of the list, one for each horizon."""
    own = at.mapping(TASK)
    if "name" not in own:
        raise at.fail("a task without 'name'", "a name, as sales")
    name = own["name"].text()
    if not re.fullmatch(rf"{PLAIN}(/{PLAIN})*", name):
        raise own["name"].fail(repr(name), "letters, digits, '.', '_', '-', '+', and '/' between parts")
    keys = {key: At(value.path, value.node, f"{name}: {value.key}") for key, value in {**defaults, **own}.items()}
    for one, other in (("horizon", "horizons"), ("horizons", "horizon")):
        if one in own and other not in own:  # a task's own says what a default said otherwise
            keys.pop(other, None)
    if "horizon" in keys and "horizons" in keys:
        raise keys["horizons"].fail("'horizon' and 'horizons'", "one of them")
    merged = {key: [d[key] for d in (defaults, own) if key in d] for key in MERGED}
    source = _source(at, name, keys, merged)
    made = []
    for term, horizon, place in _horizons(at, keys):
        made.append(_entry(at, keys, source, suite, name, term, horizon, place))
    return made


def _horizons(at: At, keys: Mapping[str, At]) -> list[tuple[str, int, At]]:
    """(term, H, where it stands) of each horizon; one alone has no term."""
    if "horizon" in keys:
        return [("", keys["horizon"].whole(1, STEPS), keys["horizon"])]
    if "horizons" not in keys:
        raise at.fail("a task without 'horizon'", "horizon: STEPS, or horizons: [STEPS, STEPS]")
    from yaml import MappingNode

    several = keys["horizons"]
    if isinstance(several.node, MappingNode):
        found = [(term, value.whole(1, STEPS), value) for term, value in several.mapping().items()]
        for term, _, value in found:
            if not re.fullmatch(PLAIN, term):
                raise value.fail(f"the term {term!r}", "letters, digits, '.', '_', '-'")
    else:
        numbers = [(value.whole(1, STEPS), value) for value in several.each()]
        found = [(str(number), number, value) for number, value in numbers]
    if not found or len({term for term, _, _ in found}) < len(found):
        raise several.fail("no horizon" if not found else "a horizon twice", "at least one, each once")
    return found


def _source(at: At, name: str, keys: Mapping[str, At], merged: Mapping[str, list[At]]) -> Source:
    if "source" not in keys:
        raise at.fail(f"a task without 'source' ({name})", "a file, folder, pattern or hf:ORGANISATION/DATASET")
    path = keys["source"].text()
    kind = keys["format"].choice(FORMATS) if "format" in keys else by_suffix(path)
    layout = keys["layout"].choice(LAYOUTS) if "layout" in keys else "nested" if kind == "datasets" else "long"
    columns = _columns(merged["columns"], name)
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
    gaps = keys["gaps"].choice(("missing", "error", "joined")) if "gaps" in keys else "missing"
    if "freq" not in keys:
        raise DataError(_without_freq(at, name, path, kind, layout, columns))
    freq = keys["freq"].text()
    try:
        base = frequency.split(freq)[1]
    except DataError as error:
        raise keys["freq"].fail(repr(freq), str(error).partition("wanted ")[2]) from None
    snap = 0.0
    if "snap" in keys:
        snap = keys["snap"].number()
        step = frequency.SECONDS.get(base, 0) * frequency.split(freq)[0]
        if not 0 < snap <= step / 2 or base == "W":
            raise keys["snap"].fail(
                keys["snap"].said(), f"seconds, above 0 and at most half a step ({step / 2:g} s), of a freq in S, T, H or D"
            )
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
        snap=snap,
        duplicates=keys["duplicates"].choice(("error", "first", "last", "mean")) if "duplicates" in keys else "error",
        gaps=gaps,
        where=keys["source"].where,
    )


def by_suffix(path: str) -> str:
    """The format that the name tells, "" where it does not: a folder is looked into when it is read."""
    if path.lower().startswith(HUB):
        return "datasets"
    return next((kind for kind, suffixes in SUFFIXES.items() if path.lower().endswith(suffixes)), "")


def _without_freq(at: At, name: str, path: str, kind: str, layout: str, columns: Columns) -> str:
    """The message that freq is missing, with what the file's first rows look like."""
    from harness.scaffold.columns import freq_of

    file = at.path.parent / expanded(path)
    near = freq_of(file, columns.time, columns.id) if kind == "csv" and layout != "nested" and columns.time and file.is_file() else ""
    hint = f" The first rows of {path} look like freq: {near}" if near else " Such as 15T, H, D, W, M, Q"
    return f"{at.where}: {name}: got a task without 'freq'; wanted one, as it is never guessed.{hint}"


def _columns(given: list[At], name: str) -> Columns:
    found: dict[str, At] = {}
    for at in given:
        found |= At(at.path, at.node, f"{name}: columns").mapping(COLUMNS)
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
    found: dict[str, At] = {}
    for at in given:
        found |= at.mapping(CSV)
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


def _entry(at: At, keys: Mapping[str, At], source: Source, suite: str, name: str, term: str, horizon: int, place: At) -> Entry:
    def whole(key: str, low: int, default: int) -> int:
        return keys[key].whole(low, STEPS) if key in keys else default

    auto = "windows" not in keys or keys["windows"].said() == "'auto'"
    windows = 0 if auto else whole("windows", 1, 1)
    stride = whole("stride", 1, horizon)
    short = keys["short"].choice(("error", "skip", "fewer")) if "short" in keys else "error"
    least = whole("min_context", 1, 1)
    context = whole("context", 0, 0)
    if "variates" in keys and source.format != "gift-eval":
        raise keys["variates"].fail("'variates'", "it with format: gift-eval alone; elsewhere the target columns are counted")
    event = _event(keys["event"], horizon) if "event" in keys else None
    text = {key: keys[key].text(empty=True) for key in ("domain", "family", "dialect") if key in keys}
    known_as = keys["known_as"].texts() if "known_as" in keys else ()
    cut = f"windows={windows or 'auto'} stride={stride} short={short} min_context={least}"
    task = Task(
        suite=suite,
        name=f"{name}/{term}" if term else name,
        dataset=name,
        family=text.get("family") or name,
        domain=text.get("domain", ""),
        freq=frequency.normalize(source.freq),
        term=term,
        horizon=horizon,
        season_length=whole("season_length", 1, frequency.season_length(source.freq)),
        variates=1 if source.layout == "wide" else len(source.columns.target) or whole("variates", 1, 1),
        kind="forecast" if event is None else "event",
        dialect=text.get("dialect") or ("gift-eval" if event is None else "spy"),
        quantile_levels=_levels(keys["quantile_levels"]) if "quantile_levels" in keys else DECILES,
        protocol=f"own/1 {cut}",
        sources=tuple(dict.fromkeys((*known_as, name))),
        context=context,
        fill_gaps=whole("fill_gaps", 0, 0),
        rounded=keys["rounded"].flag() if "rounded" in keys else False,
        event=event,
    )
    return Entry(task, source, windows, stride, short, least, (place if term else at).where)


def _levels(at: At) -> tuple[float, ...]:
    levels = tuple(each.number() for each in at.each())
    if not levels or any(not 0 < level < 1 for level in levels) or any(a >= b for a, b in zip(levels, levels[1:], strict=False)):
        raise at.fail(f"the levels {', '.join(f'{level:g}' for level in levels) or 'none'}", "rising numbers between 0 and 1")
    return levels


def _event(at: At, horizon: int) -> Event:
    keys = at.mapping(EVENT)
    if "name" not in keys:
        raise at.fail("an event without 'name'", "a name, as up")
    step = keys["step"].whole(1, STEPS) if "step" in keys else horizon
    if step > horizon:
        raise keys["step"].fail(f"step {step}", f"a step of the horizon, 1 to {horizon}")
    return Event(
        keys["name"].text(),
        step,
        keys["above"].number() if "above" in keys else 0.0,
        keys["relative"].choice(("", "ratio", "difference")) if "relative" in keys else "",
        keys["inclusive"].flag() if "inclusive" in keys else False,
    )
