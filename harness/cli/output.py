"""Tables for people and JSON for machines, on stdout."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Column", "print_grid", "print_json", "print_rows", "print_table", "printable"]


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
    if isinstance(value, list | tuple):
        value = ", ".join(str(v) for v in value)
    text = "".join(c if c.isprintable() else "�" for c in str(value))
    return text if not width or len(text) <= width else text[: width - 1] + "…"


@dataclass(frozen=True)
class Column:
    """How one column of a table looks."""

    name: str
    right: bool = False  # numbers
    one_line: bool = False  # True: never wrapped at words
    cut: bool = False  # what does not fit ends in "…"; False: it goes on in the next line
    width: int | None = None  # at most so many characters a line
    longest: int = 400  # a text longer than this is cut wherever it stands: a stranger's name may have 10,000 characters


def print_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], title: str = "") -> None:
    """Print these columns of records; see `print_rows`."""
    print_rows(columns, [[row.get(name) for name in columns] for row in rows], title)


def print_rows(names: Sequence[str], rows: Sequence[Sequence[Any]], title: str = "") -> None:
    """Print rows as a table that fits the terminal, or whole lines where there is none; columns of numbers lie to the right."""
    columns = []
    for i, name in enumerate(names):
        numeric = all(isinstance(row[i], int | float | None) and not isinstance(row[i], bool) for row in rows)
        columns.append(Column(name, right=bool(rows) and numeric))
    print_grid(columns, rows, title)


def print_grid(
    columns: Sequence[Column], rows: Iterable[Sequence[Any]], title: str = "", notes: Iterable[str] = (), rule: bool = True
) -> None:
    """Print a table, the `notes` below it. What stands in it is shown as text and does nothing, whoever wrote it.

    Args:
        rows: each with a value for each column.
        rule: a line below the header.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200, highlight=False)
    named = Text(printable(title)) if title else None
    table = Table(box=box.SIMPLE_HEAD if rule else None, title=named, title_justify="left", pad_edge=False)
    for column in columns:
        table.add_column(
            Text(printable(column.name)),
            justify="right" if column.right else "left",
            overflow="ellipsis" if column.cut else "fold",
            no_wrap=column.one_line,
            max_width=column.width,
        )
    for row in rows:
        table.add_row(*(Text(printable(value, column.longest)) for value, column in zip(row, columns, strict=True)))
    console.print(table)
    for note in notes:
        console.print(Text(printable(note)))
