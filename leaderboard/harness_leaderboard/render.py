"""A leaderboard as a table for the terminal, Markdown, CSV or JSON. What a stranger named is shown as text and does nothing."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["COLUMNS", "print_rich", "to_csv", "to_json", "to_markdown"]

COLUMNS = (
    "model",
    "source",
    "nMASE",
    "nCRPS",
    "rank_MASE",
    "rank_CRPS",
    "win_rate",
    "coverage",
    "done",
    "failed",
    "skipped",
    "missing",
    "total",
    "stale",
    "undefined",
    "model_type",
    "predict_s_per_1k",
    "seeds",
    "mode",
    "budget",
    "scope",
    "org",
    "testdata_leakage",
)
"""Columns of the CSV and JSON forms; existing ones keep their names and meaning."""

_SHOWN = ("model", "source", "nMASE", "nCRPS", "rank_MASE", "rank_CRPS", "win_rate", "tasks", "failed", "s/1k", "type")
_TEXT = ("model", "source", "type")


def _clean(value: Any) -> str:
    from harness.cli.output import printable

    return printable(str(value))


def _short(row: Mapping[str, Any], name: str) -> str:
    """A cell as people read it."""
    if name == "model":
        marks = {"†": row["done"] < row["total"], "‡": row.get("undefined"), "⚠": row.get("stale")}
        return " ".join([_clean(row["model"]), *(mark for mark, shown in marks.items() if shown)])
    if name == "tasks":
        return f"{row['done']}/{row['total']}"
    value = row.get({"s/1k": "predict_s_per_1k", "type": "model_type"}.get(name, name))
    if value is None:
        return "–"
    if name == "win_rate":
        return f"{100 * value:.1f}%"
    if name.startswith("rank_"):
        return f"{value:.2f}"
    if name == "s/1k":
        return f"{value:.3g}"
    return f"{value:.4f}" if isinstance(value, float) else _clean(value)


def _grid(rows: Sequence[Mapping[str, Any]], groups: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Header and cells of the short form, with a column for each group where there are any."""
    names = ["model", "source", "nMASE", "tasks"] if groups else list(_SHOWN)
    body = []
    for row in rows:
        line = [_short(row, name) for name in names]
        body.append(line + ["–" if (value := row["groups"][group]) is None else f"{value:.4f}" for group in groups])
    return names + [_clean(group) for group in groups], body


def footnotes(rows: Sequence[Mapping[str, Any]], notes: Sequence[str]) -> list[str]:
    """What must be said below the table."""
    lines = list(notes)
    if any(row["done"] < row["total"] for row in rows):
        lines.append(
            "† not all tasks: its means are over fewer tasks than the others'. --common compares on the tasks that all own models have."
        )
    if any(row.get("undefined") for row in rows):
        lines.append(
            "‡ some scores have no ratio (zero, infinite or undefined, or no baseline) and are not in nMASE or nCRPS; see 'undefined'."
        )
    stale = sum(row.get("stale") or 0 for row in rows)
    if stale:
        lines.append(
            f"⚠ {stale} results are stale: the model, task, data or scoring has changed since (what: harness ls cells). "
            "To make them anew, give the command of the run again."
        )
    return lines


def print_rich(title: str, rows: Sequence[Mapping[str, Any]], groups: Sequence[str] = (), notes: Sequence[str] = ()) -> None:
    """Print a table to stdout and its footnotes below."""
    from harness.cli.output import Column, print_grid

    header, body = _grid(rows, groups)
    # Numbers must stay readable beside long names.
    columns = [Column(name, right=name not in _TEXT, one_line=name != "model", cut=True, width=60, longest=120) for name in header]
    print_grid(columns, body, title, footnotes(rows, notes))


def to_markdown(title: str, rows: Sequence[Mapping[str, Any]], groups: Sequence[str] = (), notes: Sequence[str] = ()) -> str:
    """A Markdown table with its footnotes."""
    header, body = _grid(rows, groups)
    lines = [f"**{_escaped(title)}**", "", "| " + " | ".join(_escaped(name) for name in header) + " |"]
    lines.append("|" + "|".join("---" if name in _TEXT else "---:" for name in header) + "|")
    lines += ["| " + " | ".join(_escaped(cell) for cell in line) + " |" for line in body]
    lines += ["", *(f"{_escaped(note)}  " for note in footnotes(rows, notes))]
    return "\n".join(lines).rstrip() + "\n"


def _escaped(text: str) -> str:
    text = _clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`|\[\]*_~])", r"\\\1", text)


def to_csv(rows: Sequence[Mapping[str, Any]], groups: Sequence[str] = ()) -> str:
    """Comma-separated values, numbers in full; text that a spreadsheet would take for a formula gets a leading apostrophe."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    names = ["model", "source", "nMASE", "done", "total"] if groups else list(COLUMNS)
    writer.writerow(names + [_spreadsheet(group) for group in groups])
    for row in rows:
        writer.writerow([_spreadsheet(v) for v in (*(row[name] for name in names), *(row["groups"][group] for group in groups))])
    return sink.getvalue()


def _spreadsheet(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return value
    text = _clean(value)
    return "'" + text if text.startswith(("=", "+", "-", "@")) else text


def to_json(rows: Sequence[Mapping[str, Any]]) -> str:
    """A list of objects; an undefined number is null."""
    return json.dumps([dict(row) for row in rows], indent=2, ensure_ascii=True, allow_nan=False) + "\n"
