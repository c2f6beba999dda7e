"""Any table of published scores, read: wide (a column for each metric) or long (columns metric and value).

Notable choices: the file is read as a stream and its scores are kept as numbers in flat arrays, so that a table of 100 MB fits; a cell
without a finite number is no score, and a result without any is a failed one; a score that is there twice is an error, as nobody can
tell which is meant; rows of another length than the header are an error, as their cells may be shifted. Of a metric that nobody knows it
is not guessed whether a lower score is better: it is said, and what the importing person declares is kept in the cells' receipts.
"""

from __future__ import annotations

import itertools
import shlex
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import DataError, UsageError, suggest
from harness_results.csv_columns import Columns, find_columns, metric_name, read_map
from harness_results.gift_eval_files import ALIASES
from harness_results.imported import suite_tasks
from harness_results.table_files import number, open_table

if TYPE_CHECKING:
    from harness.types import Task

__all__ = ["ScoreTable", "read_scores"]

SAMPLE = 1000
"""Rows that columns are judged by."""

_FACTS = ("dataset", "family", "domain", "freq", "term")
_COUNTS = ("horizon", "season_length", "variates", "n_series", "n_windows")
_SECONDS = ("fit_s", "predict_s")
_ABOUT = ("model_type", "org", "license", "link", "testdata_leakage")

CellKey = tuple[str, str, str, int]  # model, task, mode, seed


@dataclass
class ScoreTable:
    """What a file holds: score k is `values[k]`, of cell `codes[k] // 2**16` and metric `codes[k] % 2**16`, from line `lines[k]`."""

    path: Path
    suite: str
    columns: Columns
    declared: dict[str, Task]  # the suite's tasks; {} = nobody declares this suite
    cells: dict[CellKey, dict[str, Any]] = field(default_factory=dict)
    metrics: list[str] = field(default_factory=list)
    about: dict[str, dict[str, str]] = field(default_factory=dict)  # {model: what the table says of it}
    codes: array[int] = field(default_factory=lambda: array("q"))
    values: array[float] = field(default_factory=lambda: array("d"))
    lines: array[int] = field(default_factory=lambda: array("q"))
    warnings: list[str] = field(default_factory=list)
    directions: dict[str, str] = field(default_factory=dict)  # {metric: "min" | "max"}, as declared by who imports


def read_scores(
    path: Path, suite: str, assignments: Sequence[str] = (), lower: Sequence[str] = (), higher: Sequence[str] = ()
) -> ScoreTable:
    """Read a table of scores; nothing is stored.

    Args:
        path: a CSV file; separated by commas, semicolons, tabs or bars.
        suite: whose tasks they are. Tasks of a suite that a plugin declares take its facts; of another, those of the table.
        assignments: what columns mean, as "Method=model", "err=MASE[0.5]", "note=-".
        lower, higher: metrics of the table of which a lower, or a higher, score is better.

    Raises:
        NothingMatched: no such file.
        UsageError: a mapping of a column that is not there, a metric that the table has not.
        DataError: not such a table, a score that is there twice, or no task of the suite.
    """
    if not suite.strip():
        raise UsageError("got an empty suite name; wanted one, as in --suite gift-eval")
    file = open_table(path)
    sample = [row for _, row in itertools.islice(file.rows(), SAMPLE)]
    columns = find_columns(file.header, sample, read_map(assignments, file.header), file.separator)
    table = ScoreTable(path, suite, columns, _declared(suite), warnings=list(columns.notes))
    _read(table, file.rows(), file.separator)
    _refuse_twice(table)
    table.directions = _directions(table.metrics, lower, higher)
    table.warnings += _unranked(table)
    return table


def _directions(metrics: Sequence[str], lower: Sequence[str], higher: Sequence[str]) -> dict[str, str]:
    """{metric: direction} as declared; raises UsageError where that makes no sense."""
    found: dict[str, str] = {}
    for option, names, direction in (("--lower", lower, "min"), ("--higher", higher, "max")):
        for text in names:
            metric = metric_name(text)
            if metric not in metrics:
                raise UsageError(f"{option} {text!r}: no such metric.{suggest(metric, metrics)} Its metrics: {', '.join(metrics)}"[:2000])
            if found.setdefault(metric, direction) != direction:
                raise UsageError(f"got both --lower and --higher for {text!r}; wanted one of them")
    return found


def _unranked(table: ScoreTable) -> list[str]:
    """What is to be said of metrics by which nobody is ranked."""
    from harness.directions import lower_is_better
    from harness.plugins import load

    known = {metric: lower_is_better(metric, load(), table.directions) for metric in table.metrics}
    unknown = [metric for metric, lower in known.items() if lower is None]
    other = [metric for metric, lower in known.items() if lower is False]
    lines = []
    if unknown:
        names = f"{', '.join(unknown[:5])}{f' and {len(unknown) - 5} more' if len(unknown) > 5 else ''}"
        declare = f"--lower {shlex.quote(unknown[0])}"
        lines.append(f"no model is ranked by {names}: whether lower is better is not known; if it is, import again with {declare}")
    if other:
        lines.append(f"no model is ranked by {', '.join(other[:5])}{' …' if len(other) > 5 else ''}: lower is not better")
    return lines


def _declared(suite: str) -> dict[str, Task]:
    from harness.plugins import load

    return suite_tasks(suite) if suite in load().suites else {}


@dataclass
class _Left:
    """What was left out, and where first."""

    rows: dict[str, list[Any]] = field(default_factory=dict)

    def add(self, why: str, line: int, text: str) -> None:
        self.rows.setdefault(why, [0, line, text])[0] += 1

    def lines(self) -> list[str]:
        return [f"{count} {why}, such as {text[:100]!r} in line {line}" for why, (count, line, text) in self.rows.items()]


def _read(table: ScoreTable, rows: Iterator[tuple[int, list[str]]], separator: str) -> None:
    columns, fields = table.columns, table.columns.fields
    width, names = len(columns.header), {}
    metrics = {name: i for i, name in enumerate(dict.fromkeys(columns.metrics.values()))}
    wide = [(column, metrics[name]) for column, name in columns.metrics.items()]
    find, left = _task_finder(table), _Left()
    numbers = {name: i for i, name in enumerate(table.cells)}
    for line, row in rows:
        if len(row) != width:
            raise DataError(
                f"{table.path}, line {line}: got {len(row)} cells, wanted {width} as in the header; is the file whole, its text quoted?"
            )
        model, task = row[fields["model"]].strip(), find(row)
        if not model or task is None:
            left.add(
                "rows without a model left out" if not model else "rows of no task of the suite left out", line, _task_text(columns, row)
            )
            continue
        key = (model, task, _cell(columns, row, "mode") or "published", _seed(table, row, line))
        if (at := numbers.get(key)) is None:
            at = numbers[key] = len(numbers)
            table.cells[key] = _facts(table, row, task)
            table.about.setdefault(model, {name: _cell(columns, row, name) for name in _ABOUT})
        if columns.long:
            text = row[fields["metric"]]
            if text not in names:
                names[text] = metrics.setdefault(metric_name(text), len(metrics))
            found = [(fields["value"], names[text])]
        else:
            found = wide
        for column, metric in found:
            value = number(row[column], separator)
            if value is None:
                left.add("cells without a finite number are no scores", line, row[column])
                continue
            table.codes.append(at << 16 | metric)
            table.values.append(value)
            table.lines.append(line)
    table.metrics = list(metrics)
    table.warnings += left.lines()
    if len(metrics) >= 1 << 16:
        raise DataError(f"{table.path}: got {len(metrics):,} metrics; is the column 'metric' one of names?")
    if not table.cells:
        said = "; ".join(left.lines()) or "a header and no rows"
        raise DataError(f"{table.path}: no result of suite '{table.suite}': {said}")


def _cell(columns: Columns, row: Sequence[str], name: str) -> str:
    at = columns.fields.get(name)
    return "" if at is None else row[at].strip()


def _seed(table: ScoreTable, row: Sequence[str], line: int) -> int:
    text = _cell(table.columns, row, "seed")
    if not text:
        return 0
    value = number(text)
    if value is None or not value.is_integer() or abs(value) >= 2**53:
        raise DataError(
            f"{table.path}, line {line}: got seed {text[:100]!r}; wanted a whole number, or leave the column out with --map COLUMN=-"
        )
    return int(value)


def _task_text(columns: Columns, row: Sequence[str]) -> str:
    return "/".join(part for name in ("task", "dataset", "freq", "term") if (part := _cell(columns, row, name)))


def _task_finder(table: ScoreTable) -> Callable[[Sequence[str]], str | None]:
    """A function from a row to the name of its task, None where the suite has none such.

    A declared task is found by its name, whatever its case, or by its parts. Other tasks are named by the column task, else by dataset,
    freq, term and, without a term, horizon.
    """
    columns = table.columns
    known = {name.lower(): name for name in table.declared}
    seen: dict[tuple[str, ...], str | None] = {}

    def find(row: Sequence[str]) -> str | None:
        parts = tuple(_cell(columns, row, name) for name in ("task", "dataset", "freq", "term", "horizon"))
        if parts not in seen:
            seen[parts] = _known(parts, known) if known else _new(parts)
        return seen[parts]

    return find


def _new(parts: tuple[str, ...]) -> str | None:
    task, dataset, freq, term, horizon = parts
    if task or not dataset:
        return task or None
    return "/".join(part for part in (dataset, freq, term or horizon) if part)


def _known(parts: tuple[str, ...], known: Mapping[str, str]) -> str | None:
    task, dataset, freq, term, _ = parts
    tries = [task, dataset, f"{dataset}/{term}", f"{dataset}/{freq}", f"{dataset}/{freq}/{term}", f"{task}/{term}", f"{task}/{freq}/{term}"]
    for text in tries:
        name = text.lower()
        first, slash, rest = name.partition("/")
        if found := known.get(name) or known.get(ALIASES.get(first, first) + slash + rest):
            return found
    return None


def _facts(table: ScoreTable, row: Sequence[str], task: str) -> dict[str, Any]:
    """A cell's columns, as far as the row knows them; a declared task's facts come from its suite."""
    facts: dict[str, Any] = {}
    for names, whole in ((_COUNTS, True), (_SECONDS, False)):
        for name in names:
            value = number(_cell(table.columns, row, name))
            if value is not None and 0 <= value < 2**31 and (not whole or value.is_integer()):
                facts[name] = int(value) if whole else value
    facts |= {name: _cell(table.columns, row, name) for name in _FACTS}
    if not facts["dataset"]:
        facts["dataset"] = task.partition("/")[0]
    facts["family"] = facts["family"] or facts["dataset"]
    return facts


def _refuse_twice(table: ScoreTable) -> None:
    """Raises DataError naming the lines where a score is there twice."""
    import numpy as np

    codes = np.frombuffer(table.codes, np.int64)
    order = np.argsort(codes, kind="stable")
    again = np.flatnonzero(codes[order][1:] == codes[order][:-1])
    if not again.size:
        return
    keys = list(table.cells)
    said = []
    for i in again[:3]:
        first, second = int(order[i]), int(order[i + 1])
        model, task, _, seed = keys[table.codes[first] >> 16]
        metric = table.metrics[table.codes[first] & 0xFFFF]
        which = f"{metric} of {model!r} on {task!r}" + (f", seed {seed}" if seed else "")
        said.append(
            f"{which}: {table.values[first]:g} in line {table.lines[first]}, {table.values[second]:g} in line {table.lines[second]}"
        )
    raise DataError(
        f"{table.path}: {again.size:,} scores are there twice: {'; '.join(said)[:1500]}. "
        "If rows differ by another column, map it: --map COLUMN=task, =seed, =mode, =term, =freq or =horizon"
    )
