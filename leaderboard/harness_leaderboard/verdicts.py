"""What the dialect of a suite's tasks says of all models together: sentences, most of them on one task each, such as "no model is better".

They rest on all results of the suite, whichever models are shown: what is corrected for the number of models that were tried counts all.
Tasks of which the same is said, but for the numbers, are told together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness_leaderboard.words import counted

if TYPE_CHECKING:
    from harness.dialects import Finding
    from harness.plugins import Plugins
    from harness_leaderboard.aggregate import Results

__all__ = ["grouped", "verdict_lines", "verdicts"]


def verdicts(plugins: Plugins, results: Results) -> tuple[list[Finding], list[str]]:
    """The findings of the tasks' own dialect; none where it has none, or its plugin is not here.

    A dialect that breaks costs its findings alone: the second list is of notes that say so.
    """
    from harness.dialects import Board, dialect
    from harness.dialects.scoring import aggregate
    from harness.errors import PluginError
    from harness.types import Task

    name = next((str(task.get("dialect") or "") for task in results.tasks), "")
    if results.sliced or name == Task.dialect or name not in plugins.dialects:
        return [], []
    info = plugins.dialects[name].info
    none = np.full(results.status.shape, np.nan)
    scores = {metric: results.scores.get(f"{name}:{metric}", none) for metric in info.metrics}
    there = np.flatnonzero(np.any([np.isfinite(values).any(axis=1) for values in scores.values()], axis=0))
    if not len(there):
        return [], []
    base = [k for k, m in enumerate(there) if results.entries[m].model == results.baseline]
    models, tasks = [results.entries[m].label for m in there], [str(task["name"]) for task in results.tasks]
    board = Board(models, tasks, {metric: values[there] for metric, values in scores.items()}, base[0] if base else None)
    try:
        return aggregate(dialect(name, plugins), board)[1], []
    except PluginError as error:
        return [], [f"No verdicts: {error}"]


def grouped(found: Sequence[Finding]) -> list[tuple[str, list[Finding]]]:
    """[(sentence without numbers, the findings that say so)], that of most tasks first, in their order."""
    groups: dict[str, list[Finding]] = {}
    for finding in found:
        groups.setdefault(finding.short or finding.text, []).append(finding)
    return sorted(groups.items(), key=lambda group: -len(group[1]))


def verdict_lines(found: Sequence[Finding]) -> list[str]:
    """A line for each group: the whole sentence where it is on one task, else without numbers, and the tasks."""
    lines = []
    for plain, members in grouped(found):
        tasks = ", ".join(finding.task for finding in members)
        lines.append(str(members[0]) if len(members) == 1 else f"{counted(len(members), 'task')}: {plain} ({tasks})")
    return lines
