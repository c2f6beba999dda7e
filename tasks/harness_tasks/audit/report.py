"""What an audit found, by task and by match: how many series, and whether their labels or only their contexts.

Axes: C channels (series) of all datasets together, N windows of a task.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.forecast import I64
from harness.series import Channels, TaskData
from harness_tasks.audit.index import joined
from harness_tasks.audit.search import Match, merged

__all__ = ["Datasets", "match_rows", "task_rows", "to_csv"]

CSV = (
    "suite", "task", "item_id", "variate", "begin", "end", "values", "labels", "kind", "closeness", "bits", "scale", "offset", "shift",
    "file", "series",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Datasets:
    """The series of tasks, those of one dataset once: channel `first[task] + c` of all is channel c of the task."""

    tasks: Sequence[TaskData]
    series: Channels
    first: Sequence[int]  # of each task

    @classmethod
    def of(cls, tasks: Sequence[TaskData]) -> Datasets:
        """Put the series of tasks together; datasets of one fingerprint are one."""
        parts: dict[Any, tuple[int, Channels]] = {}
        first, count = [], 0
        for data in tasks:
            key = data.series.fingerprint or id(data.series)
            if key not in parts:
                parts[key] = (count, data.series.target)
                count += len(data.series.target)
            first.append(parts[key][0])
        return cls(tasks, joined([target for _, target in parts.values()]), first)

    def of_task(self, number: int, matches: Iterable[Match]) -> dict[int, list[Match]]:
        """{channel of a task: matches of it}."""
        first, data = self.first[number], self.tasks[number]
        found: dict[int, list[Match]] = {}
        for match in matches:
            if first <= match.channel < first + len(data.series.target):
                found.setdefault(match.channel - first, []).append(match)
        return found


def labels_within(data: TaskData, channel: int, spans: I64) -> int:
    """How many labels of a series of a task lie in these intervals [k, 2], which are sorted and apart."""
    low, high = np.searchsorted(data.channel, [channel, channel + 1])
    cut = data.cut[low:high]
    before = np.r_[0, np.cumsum(spans[:, 1] - spans[:, 0])]

    def covered(position: I64) -> I64:
        """Positions of the intervals below this one."""
        at = np.searchsorted(spans[:, 0], position, side="right")
        inside = np.where(at > 0, np.minimum(position, spans[at - 1, 1]) - spans[at - 1, 0], 0)
        return np.where(at > 0, before[at - 1] + inside, 0)

    return int((covered(cut + data.task.horizon) - covered(cut)).sum())


def task_rows(datasets: Datasets, matches: Sequence[Match], known: NDArray[np.int32]) -> list[dict[str, Any]]:
    """One record a task.

    Args:
        known: channels of `datasets` that have a fingerprint: the others cannot be found.
    """
    rows = []
    for number, data in enumerate(datasets.tasks):
        task, first = data.task, datasets.first[number]
        found = datasets.of_task(number, matches)
        covered = {c: labels_within(data, c, merged(np.concatenate([m.intervals for m in group]))) for c, group in found.items()}
        total = len(data) * task.horizon
        count = len(data.series.target)
        rows.append(
            {
                "suite": task.suite,
                "task": task.name,
                "series": count,
                "checkable": int(((known >= first) & (known < first + count)).sum()),
                "found": len(found),
                "rounded": sum(all(match.rounded for match in group) for group in found.values()),
                "with_labels": sum(labels > 0 for labels in covered.values()),
                "labels": sum(covered.values()),
                "label_share": sum(covered.values()) / total if total else 0.0,
                "where": sorted({str(match.file) for group in found.values() for match in group}),
            }
        )
    return rows


def match_rows(datasets: Datasets, matches: Sequence[Match]) -> list[dict[str, Any]]:
    """One record a match and a task; positions are numbers of values from the beginning of the test series."""
    rows = []
    for number, data in enumerate(datasets.tasks):
        for channel, group in sorted(datasets.of_task(number, matches).items()):
            about = {
                "suite": data.task.suite,
                "task": data.task.name,
                "item_id": str(data.series.item_ids[channel // data.series.variates]),
                "variate": channel % data.series.variates,
            }
            for match in group:
                spans = merged(match.intervals)
                rows.append({**about, **_facts(match, spans), "labels": labels_within(data, channel, spans)})
    return rows


def _facts(match: Match, spans: I64) -> dict[str, Any]:
    return {
        "begin": int(spans[0, 0]),
        "end": int(spans[-1, 1]),
        "values": match.values,
        "kind": "rounded" if match.rounded else "copy",
        "closeness": match.closeness,
        "bits": match.bits,
        "scale": match.scale,
        "offset": match.offset,
        "shift": match.shift,
        "file": str(match.file),
        "series": match.series,
    }


def to_csv(rows: Iterable[Mapping[str, Any]]) -> str:
    """Records of `match_rows` as CSV; what a spreadsheet would take for a formula gets an apostrophe."""
    from harness.cli.output import spreadsheet_safe

    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(CSV)
    writer.writerows([spreadsheet_safe(row[name]) for name in CSV] for row in rows)
    return stream.getvalue()
