"""Any table of published scores into the store: wide (a column for each metric) or long (columns metric and value).

Notable choices: the file is read as a stream and its scores are kept as numbers in flat arrays, so that a table of 100 MB fits; a cell
without a finite number is no score, and a result without any is a failed one; a score that is there twice is an error, as nobody can
tell which is meant; rows of another length than the header are an error, as their cells may be shifted.
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import DataError, UsageError
from harness_results import records
from harness_results.csv_columns import Columns, find_columns, metric_name, read_map
from harness_results.gift_eval_files import ALIASES
from harness_results.imported import Imported, published_id, put_models, suite_tasks, task_facts
from harness_results.table_files import number, open_table

if TYPE_CHECKING:
    from harness.types import Task
    from harness_results.store import DuckStore

__all__ = ["ScoreTable", "import_csv", "read_scores", "source_name"]

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


def source_name(path: Path, given: str = "") -> str:
    """The source of a table's results: the given name, else that of the file.

    Raises:
        UsageError: a name that other results have.
    """
    name = given.strip() or path.stem
    if name == "own" or (not given.strip() and name in ("gift-eval", "fev")):
        raise UsageError(
            f"the source '{name}' is that of {'own results' if name == 'own' else 'another import'}; name another: --source NAME"
        )
    return name


def read_scores(path: Path, suite: str, assignments: Sequence[str] = ()) -> ScoreTable:
    """Read a table of scores; nothing is stored.

    Args:
        path: a CSV file; separated by commas, semicolons, tabs or bars.
        suite: whose tasks they are. Tasks of a suite that a plugin declares take its facts; of another, those of the table.
        assignments: what columns mean, as "Method=model", "err=MASE[0.5]", "note=-".

    Raises:
        NothingMatched: no such file.
        UsageError: a mapping of a column that is not there.
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
    return table


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


def import_csv(store: DuckStore, table: ScoreTable, source: str) -> Imported:
    """Store a table's results; a model that was imported from this source into this suite before is replaced.

    Raises:
        StoreError: the store cannot be written.
    """
    infos = [records.model_row({k: v for k, v in about.items() if v}, model, source) for model, about in table.about.items()]
    rows = put_models(store, source, table.suite, _cells(table, source), infos)
    return Imported(models=len(infos), rows=rows, warnings=list(table.warnings))


def _cells(table: ScoreTable, source: str) -> Iterator[tuple[dict[str, Any], dict[str, float]]]:
    import numpy as np

    codes = np.frombuffer(table.codes, np.int64)
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order] >> 16, np.arange(len(table.cells) + 1))
    declared = {name: task_facts(task, table.suite) for name, task in table.declared.items()}
    for i, ((model, task, mode, seed), facts) in enumerate(table.cells.items()):
        mine = order[starts[i] : starts[i + 1]].tolist()
        scores = {table.metrics[table.codes[k] & 0xFFFF]: table.values[k] for k in mine}
        record = {
            "dialect": "csv",
            "protocol": f"csv:{table.suite}",
            **facts,
            **declared.get(task, {}),
            "cell_id": published_id("csv", source, table.suite, model, task, mode, str(seed)),
            "task": task,
            "model": model,
            "mode": mode,
            "seed": seed,
            "status": "ok" if scores else "failed",
            "failure": "" if scores else "error",
            "reason": "" if scores else f"the table has no number for it ({table.path.name})",
        }
        yield record, scores
