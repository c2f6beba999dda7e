"""What the first rows of a CSV or Parquet file are like: how it is written, which columns are id, time and target, how far apart rows are.

For proposals only: what is found here is written into a file for its author to read, and no result rests on it.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import DataError
from harness.scaffold.rhythm import gaps_of, jittered
from harness.scaffold.season import season_of
from harness.table_text import ABSENT, NotDecoded, Text, beginning, separator_of

__all__ = ["Look", "Table", "freq_of", "look_at", "pick", "spacing"]

ROWS = 3000
LISTS = 50
"""Rows of a Parquet file with lists."""
PATTERNS = (
    "%Y-%m", "%Y%m%d", "%Y%m", "%Y/%m/%d", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S",
    "%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%d-%m-%Y", "%m-%d-%Y", "%b %Y",
    "%Y",
)  # fmt: skip
TIMES = ("time", "timestamp", "date", "datetime", "ds", "period", "day", "month", "week", "hour", "stamp", "start", "zeit", "datum")
IDS = ("id", "unique_id", "item_id", "series", "series_id", "item", "store", "product", "sku", "name", "key", "sensor", "meter", "symbol")
TARGETS = ("target", "y", "value", "sales", "demand", "load", "count", "quantity", "close", "price", "consumption")
PARQUET = (".parquet", ".pq")
TEXT = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".txt")
SECONDS = ((604_800, "W"), (86_400, "D"), (3600, "H"), (60, "T"), (1, "S"))
FEW = 0.05
"""A column is one of numbers where words are at most this share of it, WORDS different ones, without a digit."""
WORDS = 3


@dataclass(frozen=True)
class Look:
    """What a file looks like; "" and () where nothing was found."""

    names: tuple[str, ...]
    separator: str
    decimal: str
    encoding: str
    time: str
    time_format: str
    id: str
    targets: tuple[str, ...]
    freq: str
    longest: int  # rows of the longest series among those that were looked at
    wide: bool  # whether the columns look like series
    nested: bool = False  # whether a row is a series, with lists
    missing: tuple[str, ...] = ()  # words among the numbers of the targets
    notes: tuple[str, ...] = ()  # where they stand
    season: tuple[int, float] = (0, 0.0)  # steps, and how alike changes are at that distance; see `harness.scaffold.season`
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


def look_at(path: Path) -> Look:
    """Look at the beginning of a file.

    Raises:
        DataError: it cannot be read, or has no header and row.
    """
    if path.name.lower().endswith((*PARQUET, ".arrow")):
        from harness.scaffold.parquet import nested, table

        return nested(path) or _look(table(path))
    return _look(_csv(path))


def _csv(path: Path) -> Table:
    text, encoding = _beginning(path)
    lines = text.splitlines()
    separator = separator_of(lines[0] if lines else "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
    rows: list[tuple[int, list[str]]] = []
    end = 0  # of the last row
    try:
        for row in reader:
            if row:
                rows.append((reader.line_num, row))
            end = reader.line_num
            if len(rows) > ROWS:
                break
    except csv.Error as error:
        raise DataError(
            f"{path}, line {end + 1}: this row cannot be read ({error}); wanted a CSV file with at most {csv.field_size_limit():,} "
            "characters in a cell. A quote that is never closed makes all behind it one cell"
        ) from None
    names = [name.strip() for name in rows[0][1]] if rows else []
    whole = [(line, row) for line, row in rows[1:] if len(row) == len(names)]
    if not whole and rows[1:] and rows[-1][0] - rows[-2][0] > 1:
        line = rows[-2][0] + 1
        raise DataError(f"{path}, line {line}: a row begins here and ends in line {rows[-1][0]}; wanted a quote in it that is closed")
    odd = [(line, f"has {len(row)} fields, and the header has {len(names)}") for line, row in rows[1:] if len(row) != len(names)]
    if odd and not whole:
        raise DataError(f"{path}, line {odd[0][0]}: {odd[0][1]}; wanted as many in each row. A cell with {separator!r} in it needs quotes")
    if not whole or not any(names):
        raise DataError(f"{path}: has no header and row; wanted a CSV file with names of columns in its first line")
    cells = {name: [row[i].strip() for _, row in whole] for i, name in reversed(list(enumerate(names)))}
    more = f", as {len(odd) - 1} more" if odd[1:] else ""
    notes = tuple(f"line {line} {said}{more}: it cannot be read" for line, said in odd[:1])
    return Table({name: cells[name] for name in names}, [line for line, _ in whole], separator, encoding, notes=notes)


def _look(table: Table) -> Look:
    cells, kinds, names = table.cells, table.kinds, list(table.cells)
    count = len(next(iter(cells.values())))
    times = {name: None if kinds.get(name) in ("number", "") else _pattern(values) for name, values in cells.items()}
    if "time" in kinds.values():  # a type says more than how a text looks
        times = {name: pattern if kinds[name] == "time" else None for name, pattern in times.items()}
    time = pick([name for name, pattern in times.items() if pattern is not None], TIMES, names)
    commas = table.separator != "," and any(re.fullmatch(r"-?\d+,\d+", value) for values in cells.values() for value in values[:50])
    decimal = "," if commas else "."
    among = {name: _words(cells[name], decimal, kinds.get(name)) for name in names if name != time}
    numeric = [name for name, words in among.items() if words is not None]
    known = [name for name in names if name.lower() in IDS and name != time]
    words = [name for name in names if name not in numeric and name != time and _repeats(cells[name])]
    many = len(set(cells[time])) < count if time else False  # several series share their times
    apart = [name for name in known + words if time and len(set(zip(cells[name], cells[time], strict=True))) == count]  # a row a step
    series = pick(apart or known + words, IDS, names) if many or not time else ""
    values = [name for name in numeric if name != series]
    target = pick(values, TARGETS, [])
    wide = bool(time) and not series and not many and not target and len(values) > 1
    targets = tuple(values) if wide else (target or values[0],) if values else ()
    stamps = [_micros(text, times[time] or "") for text in cells[time]] if time else []
    owner = cells[series] if series else [""] * count
    freq, snap = _rhythm(stamps, owner) if time else ("", 0.0)
    notes = tuple(_where(name, among[name] or (), table) for name in targets if among[name])
    if snap:
        notes = (f"times lie up to {snap:g} s beside the steps of {freq}: snap moves them there, if that is what they mean", *notes)
    return Look(
        tuple(names),
        table.separator,
        decimal,
        table.encoding,
        time,
        times[time] or "" if time else "",
        series,
        targets,
        freq,
        max(Counter(owner).values()),
        wide,
        missing=tuple(dict.fromkeys(word for name in targets for word in among[name] or ())),
        notes=(*table.notes, *notes),
        season=season_of(freq, _series(stamps, owner, [cells[name] for name in targets], decimal)) if freq else (0, 0.0),
        snap=snap,
    )


def _series(
    stamps: Sequence[int], owner: Sequence[str], columns: Sequence[Sequence[str]], decimal: str
) -> Iterator[tuple[list[int], list[float]]]:
    """(times, values) of each series of each column."""
    rows: dict[str, list[int]] = {}
    for row, name in enumerate(owner):
        rows.setdefault(name, []).append(row)
    for column in columns:
        for mine in rows.values():
            yield [stamps[row] for row in mine], [_number(column[row], decimal) for row in mine]


def _number(text: str, decimal: str) -> float:
    try:
        return float(text.replace(decimal, "."))
    except ValueError:
        return float("nan")


def _where(name: str, words: Sequence[str], table: Table) -> str:
    """Which words stand among the numbers of a column, and in which line the first of each."""
    said = []
    for word in words:
        lines = [line for line, value in zip(table.lines, table.cells[name], strict=True) if value == word]
        more = f" and {len(lines) - 1} more" if len(lines) > 1 else ""
        said.append(f"'{word}' (line {lines[0]}{more})")
    return f"{name}: numbers but for {', '.join(said)}"


def freq_of(path: Path, time: str, series: str = "") -> str:
    """What the spacing of a file's first rows looks like, "" where it cannot be told. Never raises."""
    try:
        cells = _csv(path).cells
        rows = [(owner, stamp) for owner, stamp in zip(cells[series or time], cells[time], strict=True) if stamp]
        pattern = _pattern([stamp for _, stamp in rows])
        return (
            ""
            if pattern is None
            else _rhythm([_micros(stamp, pattern) for _, stamp in rows], [owner if series else "" for owner, _ in rows])[0]
        )
    except (DataError, OSError, KeyError, ValueError):
        return ""


def _rhythm(micros: Sequence[int], owner: Sequence[str]) -> tuple[str, float]:
    """(freq, seconds that times lie beside it): the usual distance where half of all are that, else what `jittered` finds."""
    gaps = Counter(gaps_of(micros, owner))
    if gaps and 2 * gaps.most_common(1)[0][1] < gaps.total() and (found := jittered(micros, owner))[0]:
        return found
    return spacing(micros, owner), 0.0


def spacing(micros: Sequence[int], owner: Sequence[str]) -> str:
    """The alias of the most usual distance between neighbours in time of one series, in microseconds; "" where no alias fits.

    >>> spacing([0, 86_400_000_000, 172_800_000_000], ["a", "a", "a"])
    'D'
    """
    gaps = Counter(gaps_of(micros, owner))
    if not gaps:
        return ""
    step, often = gaps.most_common(1)[0]
    days = step / 86_400_000_000
    for low, high, alias in ((28, 31, "M"), (90, 92, "Q"), (365, 366, "A")):
        if low <= days <= high:
            return alias
    if days == 1 and gaps[3 * step] * 8 > often and not any(datetime.fromtimestamp(s // 10**6, UTC).weekday() > 4 for s in micros):
        return "B"
    seconds, rest = divmod(step, 1_000_000)
    for unit, alias in SECONDS:
        if not rest and seconds % unit == 0 and seconds:
            return alias if seconds == unit else f"{seconds // unit}{alias}"
    return ""


def _beginning(path: Path) -> tuple[str, str]:
    """The first lines of a file and their encoding: UTF-8, else that of Windows, else one in which every byte is a letter."""
    for encoding in ("utf-8", "cp1252"):
        with suppress(NotDecoded):
            text = beginning(Text(path, encoding=encoding))
            if encoding != "utf-8" and "\0" in text:
                raise DataError(f"{path}: is no text; wanted a CSV file")
            return text, encoding
    return beginning(Text(path, encoding="latin-1")), "latin-1"


def _pattern(values: Sequence[str]) -> str | None:
    """How times are written: "" = ISO 8601, a pattern, or None where these are no times."""
    some = [value for value in values if value]
    if not some or len(some) < len(values):
        return None
    for pattern in ("", *PATTERNS):
        try:
            stamps = [_micros(value, pattern) for value in some]
        except ValueError:
            continue
        years = [1970 + stamp / 31_556_952e6 for stamp in stamps]
        if min(years) > 1800 and max(years) < 2200:
            return pattern
    return None


def _micros(text: str, pattern: str) -> int:
    if pattern:
        found = datetime.strptime(text, pattern)
        if re.search(r"\d{5}", text) and pattern == "%Y":
            raise ValueError(text)
    elif not re.match(r"\d{4}-\d\d-\d\d", text):
        raise ValueError(text)
    else:
        found = datetime.fromisoformat(text)
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    return round((found - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)


def pick(found: Sequence[str], usual: Sequence[str], otherwise: Sequence[str]) -> str:
    """Of what was found, one of a usual name, else the first in the order of `otherwise`; "" for none."""
    by = {name.lower(): name for name in reversed(found)}
    for word in usual:
        if word in by:
            return by[word]
    return next((name for name in otherwise if name in found), "")


def _words(values: Sequence[str], decimal: str, kind: str | None = None) -> tuple[str, ...] | None:
    """The few words among the numbers of a column, () where there are none; None where these are no numbers.

    Args:
        values: as texts.
        decimal: the sign.
        kind: of a Parquet file, whose reader takes no words.
    """
    if kind == "number":
        return ()
    point = re.escape(decimal)
    some = [value for value in values if value not in ABSENT]
    odd = [value for value in some if not re.fullmatch(rf"[+-]?(\d+{point}?\d*|{point}\d+)([eE][+-]?\d+)?", value)]
    words = tuple(dict.fromkeys(odd))
    if not some or (words and kind is not None):
        return None
    few = len(odd) <= FEW * len(some) and len(words) <= WORDS and not any(re.search(r"\d", word) for word in words)
    return words if few else None


def _repeats(values: Sequence[str]) -> bool:
    return all(values) and len(set(values)) < len(values)
