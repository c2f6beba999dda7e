"""What the dialect of a suite's tasks says of all models together: sentences, most of them on one task each, such as "no model is better".

They rest on all results of the suite, whichever models are shown: what is corrected for the number of models that were tried counts all.
What stands in brackets is detail; tasks whose sentences are otherwise the same are told together.
"""

from __future__ import annotations

import re
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
    """A sentence on a task, by its number in the results (None = on all), and the same without details, which tells tasks alike."""

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
        _, notes = aggregate(dialect(name, plugins), board)
    except PluginError as error:
        results.notes.append(f"No verdicts: {error}")
        return []
    return [_verdict(note, tasks, names) for note in notes]


def _verdict(note: str, tasks: Sequence[str], models: Sequence[str]) -> Verdict:
    """
    >>> _verdict("a/1d: no model is better (2 models; the nearest is b (full)).", ["a/1d"], ["b (full)"])
    Verdict(task=0, text='no model is better (2 models; the nearest is b (full)).', plain='no model is better.')
    """
    name, colon, rest = note.partition(": ")
    task = tasks.index(name) if colon and name in tasks else None
    text = note if task is None else rest
    return Verdict(task, text, _without_brackets(text, models))


def _without_brackets(text: str, models: Sequence[str]) -> str:
    """Without what stands in round brackets, but for those of models' names.

    >>> _without_brackets("better: a (full) (AUC .7 (x)), b (AUC .6).", ["a (full)", "b"])
    'better: a (full), b.'
    """
    own = sorted({model for model in models if "(" in model}, key=len, reverse=True)
    for number, model in enumerate(own):
        text = text.replace(model, chr(0xE000 + number))
    while (shorter := re.sub(r"\s*\([^()]*\)", "", text)) != text:
        text = shorter
    for number, model in enumerate(own):
        text = text.replace(chr(0xE000 + number), model)
    return text


def grouped(found: Sequence[Verdict]) -> list[tuple[str, list[Verdict]]]:
    """[(sentence without details, its verdicts)], that of most tasks first, in their order."""
    groups: dict[str, list[Verdict]] = {}
    for verdict in found:
        groups.setdefault(verdict.plain, []).append(verdict)
    return sorted(groups.items(), key=lambda group: -len(group[1]))


def verdict_lines(found: Sequence[Verdict], tasks: Sequence[str]) -> list[str]:
    """A line for each group: the whole sentence where it is on one task, else without details, and the tasks."""
    lines = []
    for plain, members in grouped(found):
        names = [tasks[verdict.task] for verdict in members if verdict.task is not None]
        if len(members) == 1:
            lines.append(": ".join([*names, members[0].text]))
        else:
            lines.append(f"{counted(len(members), 'task')}: {plain} ({', '.join(names)})")
    return lines
