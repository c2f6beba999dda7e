"""A leaderboard as a table for the terminal, Markdown, CSV or JSON. What a stranger named is shown as text and does nothing."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness_leaderboard.columns import COLUMNS
from harness_leaderboard.words import counted, enclosed, relative

if TYPE_CHECKING:
    from harness.cli.output import Column

__all__ = ["Table", "footnotes", "machine_note", "print_rich", "to_csv", "to_json", "to_markdown"]

_SHOWN = (
    "model", "source", "nMASE", "95%", "ties", "nCRPS", "rank_MASE", "rank_CRPS", "win_rate", "tasks", "failed", "fallback", "s/1k", "type",
)  # fmt: skip
_TEXT = ("model", "source", "ties", "type")
_DROPPED = ("type", "s/1k", "win_rate", "rank_CRPS", "rank_MASE", "ties", "95%", "failed", "source")
"""What a narrow terminal does without, the first first; `failed` and `source` only where they say the same of all."""
_BEFORE_OWN = 5
"""How many of these go before the suite's own columns do, the last of which goes first."""

LONGEST_NAME = 60
"""Characters of a model's name in a table for people."""
NAMED = 4
"""Models that a footnote names."""


@dataclass(frozen=True)
class Table:
    """A leaderboard to be shown.

    Attributes:
        rows: records of `harness_leaderboard.board.board_rows`, or with `groups` of `group_means`.
        notes: what is to be said below.
        partial: goes on from the note about models that lack tasks.
        verdicts: what the suite's dialect says of the models.
        alike: all models have the same tasks, so that means and ranks compare as they are.
    """

    title: str
    rows: Sequence[Mapping[str, Any]]
    groups: Sequence[str] = ()
    notes: Sequence[str] = ()
    partial: str = ""
    verdicts: Sequence[str] = ()
    alike: bool = False


def _clean(value: Any) -> str:
    from harness.cli.output import printable

    return printable(str(value))


def _short(row: Mapping[str, Any], name: str, alike: bool) -> str:
    """A cell as people read it; `alike` as in `Table`."""
    if name == "model":
        marks = {"†": row["done"] < row["total"], "‡": row.get("undefined"), "⚠": row.get("stale") or row.get("baseline_stale")}
        name = _clean(row["model"])
        # A long name is one with a path in it; its end tells the weights, and the mode.
        short = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 31]}…{name[-30:]}"
        return " ".join([short, *(mark for mark, shown in marks.items() if shown)])
    if name == "tasks":
        return f"{row['done']}/{row['total']}"
    if name == "95%":
        return "–" if row["nMASE_low"] is None else f"{row['nMASE_low']:.3f}–{row['nMASE_high']:.3f}"
    value = row.get({"s/1k": "predict_s_per_1k", "type": "model_type", "ties": "letters"}.get(name, name))
    if value is None or value == "":
        return "–"
    if name == "fallback":
        return f"{100 * value:.1f}%" if value == 0 or value >= 0.0005 else "<0.1%"
    if name == "win_rate" or name.startswith("rank_"):
        if row["win_rate"] is None:  # among one model everybody is the first
            return "–"
        text = f"{100 * value:.1f}%" if name == "win_rate" else f"{value:.2f}"
        return text if alike or row["done"] == row["total"] else f"({text})"
    if name == "s/1k":
        return f"{value:.3g}"
    return f"{value:.4f}" if isinstance(value, float) else _clean(value)


def _grid(rows: Sequence[Mapping[str, Any]], groups: Sequence[str], alike: bool) -> tuple[list[str], list[list[str]]]:
    """Header and cells of the short form, with a column for each group where there are any."""
    names = ["model", "source", "nMASE", "tasks"] if groups else list(_SHOWN)
    if not any(row.get("fallback") for row in rows):  # every forecast is its model's own, or nothing is known of it
        names = [name for name in names if name != "fallback"]
    if len(set(_compared_by(rows))) == 1:  # by one score alone
        names = [name for name in names if name not in ("nCRPS", "rank_CRPS")]
    own = [] if groups or not rows else list(rows[0].get("own") or ())
    at = names.index("rank_MASE") if own else len(names)
    body = []
    for row in rows:
        line = [_short(row, name, alike) for name in names]
        line[at:at] = [_own(row["own"][name]) for name in own]
        body.append(line + ["–" if (value := row["groups"][group]) is None else f"{value:.4f}" for group in groups])
    header = [_named(name, rows) for name in names]
    return header[:at] + [_clean(name) for name in own] + header[at:] + [_clean(group) for group in groups], body


def _own(value: float | None) -> str:
    """A mean of the suite's own columns, of four places at most where it is near zero."""
    return "–" if value is None else f"{round(value, 4) + 0.0:.4g}"


def _named(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    """A column's heading: where models are compared by other scores than MASE and CRPS, with their names."""
    point, whole = _compared_by(rows)
    if not name.startswith(("n", "rank_")):
        return name
    before, label = (name[:-4], point if name.endswith("MASE") else whole)
    return _clean(before + enclosed(label))


def _compared_by(rows: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
    """What people call the two metrics that models are compared by."""
    first, second = (rows[0].get("compared_by") if rows else None) or ("MASE", "CRPS")
    return first, second


def machine_note(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the columns of CSV and JSON hold, whose names are the same for all suites."""
    first, second = _compared_by(rows)
    return [] if (first, second) == ("MASE", "CRPS") else [f"In the columns' names MASE stands for {first}, CRPS for {second}."]


def footnotes(table: Table) -> list[str]:
    """What must be said below the table, but for the verdicts."""
    rows = table.rows
    lines = [*_uncertainty(rows), *table.notes]
    lacking = [row for row in rows if row["done"] < row["total"]]
    if lacking and table.alike:
        failed = any(row.get("failed") or row.get("skipped") for row in rows)
        same = f"all on the same {lacking[0]['done']} of {counted(lacking[0]['total'], 'task')}"
        lines.append(f"† {same}: {_lacking(rows)}." if failed else f"† {same}.")
    elif lacking:
        lines.append(f"† not all tasks: {_lacking(rows)}; means are over those that a model has. {table.partial}".rstrip())
    # What the lack of a baseline explains is said by `harness_leaderboard.collect.baseline_notes`.
    if any((row.get("undefined") or 0) > (row.get("baseline_missing") or 0) for row in rows):
        of = " or ".join(relative(name) for name in dict.fromkeys(_compared_by(rows)))
        lines.append(f"‡ some scores have no ratio (zero, infinite or undefined) and are not in {of}; see 'undefined'.")
    if any(row.get("fallback") for row in rows):
        lines.append("fallback: share of the forecasts that is not the model's own, but a simple one in place of an answer of no use.")
    lines += _contaminated(rows)
    stale = sum(row.get("stale") or 0 for row in rows)
    if stale:
        are, them = ("is", "it") if stale == 1 else ("are", "them")
        lines.append(
            f"⚠ {counted(stale, 'result')} {are} stale: the model, task, data or scoring has changed since (what: harness ls cells). "
            f"To make {them} anew, give the command of the run again."
        )
    return lines


def _lacking(rows: Sequence[Mapping[str, Any]]) -> str:
    """Which of these models lack how many tasks, and why; once, where all of several lack the same.

    >>> about = {"total": 14, "skipped": 0}
    >>> _lacking([{**about, "model": "a", "done": 12, "failed": 2, "missing": 0}, {**about, "model": "b", "done": 14}])
    'a lacks 2 of 14 (14 %: 2 failed)'
    """
    words = {"failed": "failed", "skipped": "skipped", "missing": "not run"}
    lacking: dict[str, list[str]] = {}
    for row in rows:
        if (lack := row["total"] - row["done"]) > 0:
            why = [f"{row[name]} {word}" for name, word in words.items() if row.get(name)]
            share = f"{100 * lack / row['total']:.0f} %" + (f": {', '.join(why)}" if why else "")
            lacking.setdefault(f"{lack} of {row['total']} ({share})", []).append(_clean(row["model"])[:LONGEST_NAME])
    said = []
    for what, names in list(lacking.items())[:NAMED]:
        if len(rows) > 1 and len(names) == len(rows):
            return f"all models shown lack {what}"
        named = [*names[:NAMED], f"{len(names) - NAMED} more"] if len(names) > NAMED else names
        said.append(f"{', '.join(named)} {'lacks' if len(names) == 1 else 'lack'} {what}")
    rest = sum(len(names) for names in list(lacking.values())[NAMED:])
    return "; ".join([*said, *([f"{rest} more lack others"] if rest else [])])


def _contaminated(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Which of these models declare that they were trained on tasks' series."""
    seen = [row for row in rows if row.get("contamination_declared")]
    if not seen:
        return []
    named = [
        f"{_clean(row['model'])[:LONGEST_NAME]} ({row['contamination_declared']} of {counted(_results_of(row), 'task')})"
        for row in seen[:NAMED]
    ]
    more = [f"{len(seen) - NAMED} more"] if len(seen) > NAMED else []
    return [f"Contamination: trained on tasks' series, as declared: {', '.join([*named, *more])}. All states: --format csv"]


def _results_of(row: Mapping[str, Any]) -> int:
    return sum(row[name] for name in COLUMNS if name.startswith("contamination_"))


def _uncertainty(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the intervals are over, where there are any."""
    if not any(row.get("nMASE_low") is not None for row in rows):
        there = [row for row in rows if row["done"]]
        return [] if "effective_families" not in next(iter(there), {}) else [f"No intervals: {_no_intervals(there)}"]
    ties = "" if not any(row["letters"] for row in rows) else "; models that share a letter under 'ties' cannot be told apart"
    return [f"95%: interval of {relative(_compared_by(rows)[0])} over dataset families{ties}, each pair by itself."]


def _no_intervals(rows: Sequence[Mapping[str, Any]]) -> str:
    """Why models with results have no interval."""
    divided = any(row["nMASE"] is not None for row in rows)
    lacking = any(row["baseline_missing"] for row in rows)
    if not divided:
        of = relative(_compared_by(rows)[0])
        return f"they are of {of}, for which the baseline has no result here (below)." if lacking else "no score here has a ratio (below)."
    which = "the tasks for which the baseline has a result (below)" if lacking else "the tasks"
    return f"{which} are of one or two dataset families, or nearly; so few say too little of others."


def print_rich(table: Table) -> None:
    """Print a table to stdout, its footnotes below, and what the suite's dialect says of the models."""
    from harness.cli.output import print_grid, terminal_width

    title, rows, groups = table.title, table.rows, table.groups
    header, body = _grid(rows, groups, table.alike)
    below = [*footnotes(table), *_told(table.verdicts)]
    if not rows:
        print("\n".join([_clean(title), *below]))
        return
    whole = "all columns: --format csv"
    if not groups:
        print_grid(_columns(header, rows, body, _drops(rows)), body, title, below, all_with=whole)
        return
    parts = _parts(header, rows, body, len(groups), terminal_width())
    for number, part in enumerate(parts, 1):
        names, cells = [header[i] for i in part], [[line[i] for i in part] for line in body]
        heading = title if len(parts) == 1 else f"{title} ({number} of {len(parts)})"
        print_grid(_columns(names, rows, cells), cells, heading, below if number == len(parts) else (), all_with=whole)


def _drops(rows: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """{heading: its turn to be left out}, for those that may be."""
    own = [_clean(name) for name in reversed(list(rows[0].get("own") or ()))]
    names = [_named(name, rows) for name in _DROPPED]
    order = [*names[:_BEFORE_OWN], *own[:-1], *names[_BEFORE_OWN:-2], *own[-1:], *names[-2:]]
    if own and not any(row["nMASE_low"] is not None for row in rows):  # columns without a number are the first to go
        order = [*(empty := ["ties", "95%"]), *(name for name in order if name not in empty)]
    return {name: turn for turn, name in enumerate(order, 1)}


def _columns(
    header: Sequence[str], rows: Sequence[Mapping[str, Any]], body: Sequence[Sequence[str]], drops: Mapping[str, int] | None = None
) -> list[Column]:
    """How each column looks: names and numbers stay whole, the rest makes room; `drops` says which may be left out, and when."""
    from harness.cli.output import Column

    turns = {name: turn for turn, name in enumerate(_DROPPED, 1)} if drops is None else drops
    columns = []
    for i, name in enumerate(header):
        needed = (name == "failed" and any(row["failed"] for row in rows)) or (name == "source" and len({line[i] for line in body}) > 1)
        drop = 0 if needed else turns.get(name, 0)
        if name == "model":  # with its marks
            columns.append(Column(name, width=LONGEST_NAME + 6, wish=LONGEST_NAME + 6, longest=120))
        else:
            columns.append(Column(name, right=name not in _TEXT, one_line=True, cut=True, width=30, wish=30, longest=120, drop=drop))
    return columns


def _parts(
    header: Sequence[str], rows: Sequence[Mapping[str, Any]], body: Sequence[Sequence[str]], groups: int, room: int
) -> list[list[int]]:
    """The columns of each of the tables that the groups are spread over, as many groups in each as fit."""
    from harness.cli.output import widths

    first = len(header) - groups
    several = len({row["source"] for row in rows}) > 1
    again = [i for i in range(first) if header[i] == "model" or (header[i] == "source" and several)]
    parts = [list(range(first))]
    for i in range(first, len(header)):
        tried = [*parts[-1], i]
        columns = _columns([header[k] for k in tried], rows, [[line[k] for k in tried] for line in body])
        out, given = widths(columns, [[line[k] for k in tried] for line in body], room)
        lost = [k for k in out if header[tried[k]] != "source"]
        whole = given and not lost and given[0] >= min(max(len(line[0]) for line in body), columns[0].wish)
        if whole or all(k < first for k in parts[-1]):
            parts[-1] = tried
        else:
            parts.append([*again, i])
    return parts


def _told(verdicts: Sequence[str]) -> list[str]:
    """Verdicts under a heading of theirs."""
    return ["", "Verdicts", *(f"• {_clean(line)}" for line in verdicts)] if verdicts else []


def to_markdown(table: Table) -> str:
    """A Markdown table with its footnotes."""
    header, body = _grid(table.rows, table.groups, table.alike)
    lines = [f"**{_escaped(table.title)}**", "", "| " + " | ".join(_escaped(name) for name in header) + " |"]
    lines.append("|" + "|".join("---" if name in _TEXT else "---:" for name in header) + "|")
    lines += ["| " + " | ".join(_escaped(cell) for cell in line) + " |" for line in body]
    lines += ["", *(f"{_escaped(note)}  " for note in footnotes(table))]
    lines += ["", "**Verdicts**", "", *(f"- {_escaped(line)}" for line in table.verdicts)] if table.verdicts else []
    return "\n".join(lines).rstrip() + "\n"


def _escaped(text: str) -> str:
    text = _clean(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`|\[\]*_~])", r"\\\1", text)


def to_csv(rows: Sequence[Mapping[str, Any]], groups: Sequence[str] = ()) -> str:
    """Comma-separated values, numbers in full; text that a spreadsheet would take for a formula gets a leading apostrophe.

    `compared_by`, after the columns of `COLUMNS`, says which scores stand for MASE and CRPS in their names: "Brier, log-loss".
    """
    from harness.cli.output import spreadsheet_safe

    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    names = ["model", "source", "nMASE", "done", "total"] if groups else list(COLUMNS)
    told = ", ".join(_compared_by(rows))
    own = [] if groups or not rows else list(rows[0].get("own") or ())
    writer.writerow([*names, "compared_by"] + [spreadsheet_safe(name) for name in (*own, *groups)])
    for row in rows:
        numbers = (*(row["own"][name] for name in own), *(row["groups"][group] for group in groups))
        writer.writerow([spreadsheet_safe(v) for v in (*(row[name] for name in names), told, *numbers)])
    return sink.getvalue()


def to_json(rows: Sequence[Mapping[str, Any]]) -> str:
    """A list of objects; an undefined number is null."""
    plain = [{k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()} for row in rows]
    return json.dumps(plain, indent=2, ensure_ascii=True, allow_nan=False) + "\n"
