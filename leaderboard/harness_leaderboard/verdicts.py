"""What the dialect of a suite's tasks says of all models together: sentences, most of them on one task each, such as "no model is better".

They rest on all results of the suite, whichever models are shown: what is corrected for the number of models that were tried counts all.
Tasks of which the same is said, but for the numbers, are told together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from harness_leaderboard.words import counted

if TYPE_CHECKING:
    from harness.plugins import Plugins
    from harness_leaderboard.aggregate import Results

__all__ = ["Verdict", "grouped", "verdict_lines", "verdicts"]


@dataclass(frozen=True)
class Verdict:
    """A sentence on a task, by its number in the results (None = on all), and the same without numbers, which tells tasks alike."""

    task: int | None
    text: str
    plain: str


def verdicts(plugins: Plugins, results: Results) -> list[Verdict]:
    """The sentences of the tasks' own dialect; none where they have none, or its plugin is not here.

    A dialect that breaks costs its sentences alone: a note says so.
    """
    from harness.dialects import Board, dialect
    from harness.dialects.scoring import aggregate
    from harness.errors import PluginError
    from harness.types import Task

    name = next((str(task.get("dialect") or "") for task in results.tasks), "")
    if results.sliced or name == Task.dialect or name not in plugins.dialects:
        return []
    info = plugins.dialects[name].info
    none = np.full(results.status.shape, np.nan)
    scores = {metric: results.scores.get(f"{name}:{metric}", none) for metric in info.metrics}
    there = np.flatnonzero(np.any([np.isfinite(values).any(axis=1) for values in scores.values()], axis=0))
    base = [k for k, m in enumerate(there) if results.entries[m].model == results.baseline]
    names = [results.entries[m].label for m in there]
    tasks = [str(task["name"]) for task in results.tasks]
    board = Board(names, tasks, {metric: values[there] for metric, values in scores.items()}, base[0] if base else None)
    if not len(there):
        return []
    try:
        _, findings = aggregate(dialect(name, plugins), board)
    except PluginError as error:
        results.notes.append(f"No verdicts: {error}")
        return []
    return [Verdict(tasks.index(f.task) if f.task else None, f.text, f.short or f.text) for f in findings]


def grouped(found: Sequence[Verdict]) -> list[tuple[str, list[Verdict]]]:
    """[(sentence without numbers, its verdicts)], that of most tasks first, in their order."""
    groups: dict[str, list[Verdict]] = {}
    for verdict in found:
        groups.setdefault(verdict.plain, []).append(verdict)
    return sorted(groups.items(), key=lambda group: -len(group[1]))


def verdict_lines(found: Sequence[Verdict], tasks: Sequence[str]) -> list[str]:
    """A line for each group: the whole sentence where it is on one task, else without numbers, and the tasks."""
    lines = []
    for plain, members in grouped(found):
        names = [tasks[verdict.task] for verdict in members if verdict.task is not None]
        if len(members) == 1:
            lines.append(": ".join([*names, members[0].text]))
        else:
            lines.append(f"{counted(len(members), 'task')}: {plain} ({', '.join(names)})")
    return lines
