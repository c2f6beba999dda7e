"""The report of `harness score` as tables, as JSON and as CSV, and the lines that go to stderr beside it."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from harness.cli.output import print_table, printable, spreadsheet_safe
from harness_results.dialects.broken import said as said_of_broken
from harness_results.dialects.cells import LeftOut
from harness_results.score_report import Report, where

__all__ = ["print_tables", "said", "to_csv", "to_json"]

NAMES = ("suite", "task", "model", "mode", "budget", "seed", "scope")


def print_tables(report: Report) -> None:
    """A table of the scores of each dialect, and its tables of numbers over tasks."""
    usual = {"mode": "zero-shot", "budget": "", "seed": 0, "scope": ""}
    plain = [name for name, value in usual.items() if all((r.cell[name] or value) == value for r in report.scored)]
    if len({r.cell["suite"] for r in report.scored}) == 1:
        plain.append("suite")
    names = [name for name in NAMES if name not in plain]
    for dialect in report.dialects:
        rows = [{**{n: r.cell[n] for n in names}, **r.scores[dialect.name]} for r in report.scored if dialect.name in r.scores]
        if not rows:
            continue
        # Without the last metrics, a line fits; what is left out is said.
        print_table(
            rows,
            [*names, *dialect.metrics],
            title=f"{dialect.name}@{dialect.version}: {len(rows)} results",
            drop=list(reversed(dialect.metrics[2:])),
            all_with="all of it: --json or --csv",
        )
        for board in report.boards:
            if board.dialect == dialect.name and board.rows:
                against = f", relative to {board.baseline}" if dialect.relative else ""
                print_table(board.rows, list(board.rows[0]), title=f"{dialect.name}: {where(board)}{against}")


def to_json(report: Report) -> str:
    """All of it as one document."""
    document = {
        "dialects": [{"name": d.name, "version": d.version, "source": d.info.source} for d in report.dialects],
        "scores": [
            {**{n: r.cell[n] for n in NAMES}, "result_id": r.cell["result_id"], "dialect": d.name, "scores": r.scores[d.name]}
            for d in report.dialects
            for r in report.scored
            if d.name in r.scores
        ],
        "aggregates": [
            {
                **{"dialect": b.dialect, "suite": b.suite, "scope": b.scope, "baseline": b.baseline, "rows": b.rows, "notes": b.notes},
                "findings": [{"task": each.task, "text": each.text, "short": each.short or each.text} for each in b.findings],
            }
            for b in report.boards
            if not b.broken
        ],
        "left_out": [{**{n: r.cell[n] for n in NAMES}, "kind": r.kind, "reason": r.reason, "command": r.command} for r in report.left],
        "failed": [{**{n: each.on.get(n) for n in NAMES}, "dialect": each.dialect, "reason": each.reason} for each in report.broken],
        "notes": list(report.notes),
    }
    return json.dumps(_finite(document), indent=2, ensure_ascii=True, allow_nan=False, default=str) + "\n"


def _finite(value: Any) -> Any:
    """NaN and infinity are null in JSON."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(k): _finite(v) for k, v in value.items()}
    return [_finite(v) for v in value] if isinstance(value, list | tuple) else value


def to_csv(report: Report) -> str:
    """A line for each score; text that a spreadsheet would take for a formula gets a leading apostrophe."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow(["dialect", "version", *NAMES, "metric", "value"])
    for dialect in report.dialects:
        for result in (r for r in report.scored if dialect.name in r.scores):
            head = [spreadsheet_safe(v) for v in (dialect.name, dialect.version, *(result.cell[name] for name in NAMES))]
            writer.writerows([*head, spreadsheet_safe(metric), repr(value)] for metric, value in result.scores[dialect.name].items())
    return sink.getvalue()


def said(report: Report) -> list[str]:
    """What was left out and what failed, each with what to type, and notes."""
    return [*_left_out(report.left), *said_of_broken(report.broken), *(f"note: {printable(note, 1000)}" for note in report.notes)]


def _left_out(left: Sequence[LeftOut]) -> list[str]:
    """A line for each reason: what was left out, and what to type."""
    grouped: dict[tuple[str, str, str], list[LeftOut]] = defaultdict(list)
    for each in left:
        grouped[each.kind, each.cell["model"], each.reason].append(each)
    lines = []
    for (kind, model, reason), members in grouped.items():
        tasks = list(dict.fromkeys(str(m.cell["task"]) for m in members))
        more = f" and {len(tasks) - 1} more" if len(tasks) > 1 else ""
        lines.append(f"{kind}: {printable(model, 80)} on {printable(tasks[0], 80)}{more}: {printable(reason, 1000)}")
        lines += [f"  {printable(command, 2000)}" for command in _commands(members)]
    return lines


def _commands(members: Sequence[LeftOut]) -> list[str]:
    """The members' commands, one for all that differ by the task alone."""
    alike: dict[str, list[LeftOut]] = defaultdict(list)
    for each in members:
        alike[each.remake([]) if each.remake else each.fetch].append(each)
    first = {text: group[0] for text, group in alike.items() if text}
    return [
        each.remake([str(member.cell["task"]) for member in alike[text]]) if each.remake else each.fetch for text, each in first.items()
    ]
