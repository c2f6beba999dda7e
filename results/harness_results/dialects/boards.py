"""From scored cells to each dialect's numbers over tasks, one board for each suite and scope.

A board holds the models that were asked for and the suite's baseline. A model's score on a task is the mean over its seeds. Results of a
part of a task (`--limit`) and of whole tasks never share a board.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.dialects import Board, Dialect, Finding, scoring
from harness.errors import PluginError
from harness_results.dialects.cells import LeftOut, Scored

__all__ = ["Aggregated", "aggregate", "label"]


@dataclass(frozen=True)
class Aggregated:
    """What a dialect says of a suite's models: rows with "model", findings, and both as sentences (`notes`), with what else is to be said.

    `broken` says why there are none, "" = it went well.
    """

    dialect: str
    suite: str
    scope: str
    baseline: str
    rows: list[dict[str, Any]]
    notes: list[str]
    broken: str = ""
    findings: tuple[Finding, ...] = ()


def label(cell: Mapping[str, Any]) -> str:
    """The model's name, with its mode and budget where they are not the plain ones."""
    extra = " ".join(part for part in (cell["mode"], cell["budget"] or "") if part not in ("", "zero-shot"))
    return f"{cell['model']} ({extra})" if extra else str(cell["model"])


def aggregate(
    dialects: Sequence[Dialect], results: Sequence[Scored | LeftOut], baseline: Callable[[str], str], shown: Callable[[str], bool]
) -> list[Aggregated]:
    """The boards of all dialects that have an aggregate. `baseline` names a suite's; only rows of models that are `shown` stay."""
    groups: dict[tuple[str, str], list[Scored | LeftOut]] = defaultdict(list)
    for result in results:
        groups[result.cell["suite"], result.cell["scope"] or ""].append(result)
    made = []
    for (suite, scope), members in groups.items():
        if not any(isinstance(result, Scored) for result in members):
            continue
        models = list(dict.fromkeys(label(result.cell) for result in members))
        tasks = list(dict.fromkeys(str(result.cell["task"]) for result in members))
        against = baseline(suite)
        named = [label(result.cell) for result in members if result.cell["model"] == against]
        position = models.index(min(named, key=len)) if named else None  # a baseline that learns has its mode in its label
        for dialect in dialects:
            if dialect.aggregate is None:
                continue
            board = _board(dialect, members, models, tasks, position)
            if not board.models:
                continue
            try:
                rows, findings = scoring.aggregate(dialect, board)
            except PluginError as error:
                made.append(Aggregated(dialect.name, suite, scope, against, [], [], str(error)))
                continue
            notes = [str(finding) for finding in findings]
            if not rows and board.baseline is None and dialect.relative:
                notes = [f"no ratios: there are no scored forecasts of the baseline '{against}'; name another one with --baseline"]
            kept = [row for row in rows if shown(row["model"])]
            made.append(Aggregated(dialect.name, suite, scope, against, kept, notes, findings=tuple(findings)))
    return made


def _board(dialect: Dialect, members: Sequence[Scored | LeftOut], models: list[str], tasks: list[str], position: int | None) -> Board:
    shape = (len(models), len(tasks))
    sums = {metric: np.zeros(shape) for metric in dialect.metrics}  # over seeds
    counts = {metric: np.zeros(shape) for metric in dialect.metrics}
    have = set()
    for result in members:
        if not isinstance(result, Scored) or dialect.name not in result.scores:
            continue
        at = (models.index(label(result.cell)), tasks.index(result.cell["task"]))
        have.add(at[0])
        for metric, value in result.scores[dialect.name].items():
            if not np.isnan(value):
                sums[metric][at] += value
                counts[metric][at] += 1
    scores = {m: np.divide(sums[m], counts[m], out=np.full(shape, np.nan), where=counts[m] > 0) for m in sums}
    # A model with no score at all is no competitor: its forecasts were not kept, which is said elsewhere.
    rows = sorted(have)
    return Board(
        [models[i] for i in rows],
        tasks,
        {metric: values[rows] for metric, values in scores.items()},
        rows.index(position) if position in rows and position is not None else None,
    )
