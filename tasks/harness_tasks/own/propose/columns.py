"""What the first rows of a table are like: how it is written, which columns are id, time and target, how far apart rows are.

For proposals only: what is found here is written into a file for its author to read, and no result rests on it.
"""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from harness.errors import DataError
from harness.table_text import ABSENT, NotDecoded, Text, beginning, separator_of
from harness_tasks.own.declared import by_suffix
from harness_tasks.own.propose.look import IDS, ROWS, TARGETS, TIMES, Look, Table, pick
from harness_tasks.own.propose.rhythm import rhythm
from harness_tasks.own.propose.season import season_of

__all__ = ["freq_of", "look_at", "look_at_shards"]

PATTERNS = (
    "%Y-%m", "%Y%m%d", "%Y%m", "%Y/%m/%d", "%Y/%m/%d %H:%M", "%Y/%m/%d %H:%M:%S", "%d.%m.%Y", "%d.%m.%Y %H:%M", "%d.%m.%Y %H:%M:%S",
    "%d/%m/%Y", "%d/%m/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y", "%m/%d/%Y %H:%M", "%m/%d/%Y %H:%M:%S", "%d-%m-%Y", "%m-%d-%Y", "%b %Y",
    "%Y",
)  # fmt: skip
FEW = 0.05
"""A column is one of numbers where words are at most this share of it, WORDS different ones, without a digit."""
WORDS = 3


def look_at(path: Path, other: Path | None = None) -> Look:
    """Look at the beginning of a file.

    Args:
        path: a table, or the first file of one.
        other: another file of it, which tells whether each file is a series.

    Raises:
        DataError: it cannot be read, or has no header and row.
    """
    if by_suffix(path.name) == "parquet":
        from harness_tasks.own.propose.batches import nested, of_parquet, table

        first = of_parquet(path)
        return nested(first) or _look(table(first), table(of_parquet(other)) if other else None)
    return _look(_csv(path), _csv(other) if other else None)


def look_at_shards(folder: Path) -> Look:
    """Look at the beginning of a folder that `datasets` saved. Raises as `look_at`."""
    from harness_tasks.own.propose.batches import nested, of_shards, table

    first = of_shards(folder)
    return nested(first) or _look(table(first))


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


def _look(table: Table, other: Table | None = None) -> Look:
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
    each = [name for name in names if name in known or name not in numeric] if other else []
    series = pick(apart or known + words, IDS, names) if many or not time else pick(_in_files(table, other, time, each), IDS, names)
    values = [name for name in numeric if name != series]
    target = pick(values, TARGETS, [])
    wide = bool(time) and not series and not many and not target and len(values) > 1
    targets = tuple(values) if wide else (target or values[0],) if values else ()
    stamps = [_micros(text, times[time] or "") for text in cells[time]] if time else []
    owner = cells[series] if series else [""] * count
    freq, snap = rhythm(stamps, owner) if time else ("", 0.0)
    notes = tuple(_where(name, among[name] or (), table) for name in targets if among[name])
    if snap:
        notes = (f"times lie up to {snap:g} s beside the steps of {freq}: snap moves them there, if that is what they mean", *notes)
    return Look(
        names=tuple(names),
        separator=table.separator,
        decimal=decimal,
        encoding=table.encoding,
        time=time,
        time_format=times[time] or "" if time else "",
        id=series,
        targets=targets,
        freq=freq,
        longest=max(Counter(owner).values()),
        wide=wide,
        missing=tuple(dict.fromkeys(word for name in targets for word in among[name] or ())),
        notes=(*table.notes, *notes),
        season=season_of(freq, _series(stamps, owner, [cells[name] for name in targets], decimal)) if freq else (0, 0.0),
        snap=snap,
    )


def _in_files(table: Table, other: Table | None, time: str, names: Sequence[str]) -> list[str]:
    """Of these columns those that have one value in each of two files of the same times, and not the same: each file is a series."""
    if other is None or list(other.cells) != list(table.cells) or not set(table.cells[time]) & set(other.cells[time]):
        return []
    only = [(name, {*table.cells[name]}, {*other.cells[name]}) for name in names if name != time]
    return [name for name, mine, theirs in only if len(mine) == len(theirs) == 1 and mine != theirs and "" not in mine | theirs]


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
        if pattern is None:
            return ""
        return rhythm([_micros(stamp, pattern) for _, stamp in rows], [owner if series else "" for owner, _ in rows])[0]
    except (DataError, OSError, KeyError, ValueError):
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
