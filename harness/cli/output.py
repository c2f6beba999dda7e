"""Tables for people and JSON for machines, on stdout."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

__all__ = [
    "Column",
    "print_grid",
    "print_json",
    "print_rows",
    "print_table",
    "printable",
    "spreadsheet_safe",
    "terminal_width",
    "widths",
]

PIPED = 200
"""Characters of a line where there is no terminal, and COLUMNS does not say how many."""

FLOOR = 8
"""No column of folded text is narrower than so many characters."""


def print_json(value: Any) -> None:
    """Print a value as JSON; NaN and infinity become null."""
    print(json.dumps(_plain(value), indent=2, ensure_ascii=False, default=str))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value


def printable(value: Any, width: int = 0) -> str:
    """A value as one line of text: no control characters, at most `width` characters where that is given."""
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}" if math.isfinite(value) else str(value)
    if isinstance(value, datetime):
        value = value.isoformat(" ", "seconds")
    if isinstance(value, list | tuple):
        value = ", ".join(str(v) for v in value)
    text = "".join(c if c.isprintable() else "�" for c in str(value))
    return text if not width or len(text) <= width else text[: width - 1] + "…"


def spreadsheet_safe(value: Any) -> Any:
    """A value of a CSV file: numbers in full, None as nothing, text as one line; what would be taken for a formula gets an apostrophe.

    >>> [spreadsheet_safe(value) for value in ("=1+1", "naive", -1, 0.1, None)]
    ["'=1+1", 'naive', -1, '0.1', '']
    """
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return value
    text = printable(value)
    return "'" + text if text.startswith(("=", "+", "-", "@")) else text


@dataclass(frozen=True)
class Column:
    """How one column of a table looks."""

    name: str
    right: bool = False  # numbers; never wrapped
    one_line: bool = False  # True: never wrapped at words
    cut: bool = False  # what does not fit ends in "…"; False: it goes on in the next line
    width: int | None = None  # at most so many characters a line
    longest: int = 400  # a text longer than this is cut wherever it stands: a stranger's name may have 10,000 characters
    wish: int = 16  # text is wrapped at so many characters or more, as long as there are columns to leave out instead
    drop: int = 0  # where the terminal is too narrow, columns with a number are left out, the lowest first; 0: never


def print_table(
    rows: Iterable[Mapping[str, Any]],
    columns: Sequence[str],
    title: str = "",
    drop: Sequence[str] = (),
    all_with: str = "",
    notes: Sequence[str] = (),
    whole: Sequence[str] = (),
) -> None:
    """Print these columns of records for people: ids are shortened to 12 characters, which every command understands.

    Args:
        drop: columns to leave out where the terminal is too narrow, in this order; before them go those that are empty in all rows.
        all_with: the option that prints all columns, for the line that says which were left out.
        notes: lines below the table.
        whole: columns of names to type, which stay on one line where any table fits; the text beside them gets what room there is.
    """
    cells = [[_short_id(row.get(name)) for name in columns] for row in rows]
    shaped = _shaped(columns, cells)
    for i, column in enumerate(shaped):
        empty = bool(cells) and all(row[i] in (None, "", [], ()) for row in cells)
        if column.name in whole:
            shaped[i] = replace(column, one_line=True)
        elif drop:
            shaped[i] = replace(column, wish=40 if whole else 24)
        if column.name in drop or (drop and empty):
            shaped[i] = replace(shaped[i], drop=1 if empty else 2 + drop.index(column.name))
    print_grid(shaped, cells, title, notes, all_with=all_with)


def print_rows(names: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> None:
    """Print rows as a table; a block of lines for each row where a table would not be readable."""
    print_grid(_shaped(names, rows), rows, title, blocks=True)


def _shaped(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[Column]:
    """Columns of numbers lie to the right; moments stay on one line."""
    columns = []
    for i, name in enumerate(names):
        numeric = all(isinstance(row[i], int | float | None) and not isinstance(row[i], bool) for row in rows)
        columns.append(Column(name, right=bool(rows) and numeric, one_line=any(isinstance(row[i], datetime) for row in rows)))
    return columns


def _short_id(value: Any) -> Any:
    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{20}\b", r"\1", value) if isinstance(value, str) else value


def terminal_width() -> int:
    """Characters of a line on stdout."""
    return _console().width


def _piped() -> int:
    """Characters of a line where there is no terminal."""
    given = os.environ.get("COLUMNS", "")
    return int(given) if given.isdecimal() and 0 < int(given) < 10_000 else PIPED


def _console() -> Console:
    from rich.console import Console

    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else _piped(), highlight=False)


def widths(columns: Sequence[Column], body: Sequence[Sequence[str]], room: int) -> tuple[list[int], dict[int, int]]:
    """Share out a line of `room` characters: (columns to leave out, {other column: its characters}); no characters = it cannot be done.

    Columns are left out before text is wrapped at fewer characters than it wishes, and text is wrapped before numbers are.
    """
    from rich.cells import cell_len

    full = [
        min(max([cell_len(printable(c.name)), *(cell_len(row[i]) for row in body)]), c.width or c.longest or PIPED)
        for i, c in enumerate(columns)
    ]
    stiff = [c.right or (c.one_line and not c.cut) for c in columns]
    wish = [full[i] if stiff[i] else min(full[i], c.wish) for i, c in enumerate(columns)]
    floor = [full[i] if stiff[i] else min(full[i], FLOOR) for i in range(len(columns))]
    kept, out = list(range(len(columns))), []

    def fits(least: Sequence[int]) -> bool:
        return sum(least[i] for i in kept) + 3 * (len(kept) - 1) + 2 <= room  # three characters between columns, one at either edge

    for i in sorted((i for i in kept if columns[i].drop), key=lambda i: columns[i].drop):
        if fits(wish):
            break
        kept.remove(i)
        out.append(i)
    least = wish if fits(wish) else floor
    if not fits(least):
        return out, {}
    given = {i: least[i] for i in kept}
    spare = room - sum(given.values()) - 3 * (len(kept) - 1) - 2
    while spare and (narrow := [i for i in kept if given[i] < full[i]]):
        share = max(1, spare // len(narrow))
        for i in narrow:
            more = min(share, full[i] - given[i], spare)
            given[i], spare = given[i] + more, spare - more
    return sorted(out), given


def print_grid(
    columns: Sequence[Column],
    rows: Iterable[Sequence[Any]],
    title: str = "",
    notes: Iterable[str] = (),
    rule: bool = True,
    blocks: bool = False,
    all_with: str = "",
) -> None:
    """Print a table that fits the terminal, the `notes` below it. What stands in it is shown as text and does nothing, whoever wrote it.

    Args:
        rows: each with a value for each column.
        rule: a line below the header.
        blocks: where text would be wrapped at fewer characters than it wishes, a block of lines for each row instead.
        all_with: what to type to see the columns that were left out.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    console = _console()
    values = [list(row) for row in rows]
    body = [[printable(value, column.longest) for value, column in zip(row, columns, strict=True)] for row in values]
    out, given = widths([replace(c, drop=0) for c in columns] if blocks else columns, body, console.width)
    wished = blocks and not all(
        given.get(i, 0) >= min(c.wish, max([len(c.name), *(len(row[i]) for row in body)])) for i, c in enumerate(columns)
    )
    if body and (not given or wished):
        _print_blocks(console, columns, values, title)
    else:
        named = Text(printable(title)) if title else None
        table = Table(box=box.SIMPLE_HEAD if rule else None, title=named, title_justify="left", pad_edge=False)
        shown = [i for i in range(len(columns)) if i not in out]
        for i in shown:
            table.add_column(
                Text(printable(columns[i].name)),
                justify="right" if columns[i].right else "left",
                overflow="ellipsis" if columns[i].cut else "fold",
                no_wrap=columns[i].one_line or columns[i].right,
                width=given.get(i),
            )
        for row in body:
            table.add_row(*(Text(row[i]) for i in shown))
        console.print(table)
        if out:
            names = ", ".join(columns[i].name for i in out)
            console.print(Text(f"left out, as a line has {console.width} characters: {names}" + (f"; {all_with}" if all_with else "")))
    for note in notes:
        console.print(Text(printable(note)))


def _print_blocks(console: Console, columns: Sequence[Column], rows: Sequence[Sequence[Any]], title: str) -> None:
    """One row after the other, a line for each value; nothing is cut."""
    from rich.table import Table
    from rich.text import Text

    if title:
        console.print(Text(printable(title)))
    for number, row in enumerate(rows, 1):
        console.print(Text(f"── {number} of {len(rows)} ──"))
        block = Table.grid(padding=(0, 2))
        block.add_column(no_wrap=True, max_width=max(FLOOR, console.width // 2))
        block.add_column(overflow="fold")
        for column, value in zip(columns, row, strict=True):
            block.add_row(Text(printable(column.name)), Text(printable(value)))
        console.print(block)
