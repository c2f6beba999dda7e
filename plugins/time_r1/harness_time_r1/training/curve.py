"""The curve of a training as a table. Nothing heavy is imported."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.files import write_whole

__all__ = ["write_curve"]


def write_curve(path: Path, rows: Sequence[Mapping[str, float]], columns: Sequence[str]) -> None:
    """curve.csv: a row for each step; empty where a number is not known.

    Args:
        columns: which come first, and are there in any case; all others by name behind them.
    """
    names = [*columns, *sorted({name for row in rows for name in row} - set(columns))]
    text = io.StringIO()
    table = csv.DictWriter(text, names, restval="", lineterminator="\n")
    table.writeheader()
    table.writerows({name: f"{value:.10g}" for name, value in row.items()} for row in rows)
    write_whole(path, text.getvalue())
