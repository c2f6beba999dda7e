"""Tables for people and JSON for machines, on stdout."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

__all__ = ["print_json", "print_table", "printable"]


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


def print_table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str], title: str = "") -> None:
    """Print rows as a table that fits the terminal, or whole lines where there is none."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    rows = list(rows)
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 200, highlight=False)
    table = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    for name in columns:
        numeric = bool(rows) and all(isinstance(r.get(name), int | float | None) and not isinstance(r.get(name), bool) for r in rows)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    from rich.text import Text

    for row in rows:
        table.add_row(*(Text(printable(row.get(name), 400)) for name in columns))
    console.print(table)
