"""A run in the making: its cells and how each ended. These records go to the hooks and, as JSON, to the spool."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.types import Task

__all__ = ["Cell", "Outcome", "Run"]


@dataclass(frozen=True)
class Cell:
    """The unit of work, of resume and of result: model × task × mode × seed, with everything that decides its numbers."""

    id: str  # hash of `identity`
    task: Task
    model: str  # as typed, parameters sorted: "ttm[context=512]"
    model_name: str  # as registered: "ttm"
    params: Mapping[str, Any]
    mode: str
    budget: str
    seed: int
    scope: str  # "" = the whole task; "limit=10" = part of it
    identity: Mapping[str, Any]

    @property
    def key(self) -> tuple[str, str, str, str, str, int, str]:
        """What the cell is called; two results of one key with different ids mean that the older is stale."""
        return (self.task.suite, self.task.name, self.model, self.mode, self.budget, self.seed, self.scope)


@dataclass(frozen=True)
class Outcome:
    """How a cell ended.

    `status` is "ok", "failed" or "skipped". `failure` names the kind of failure: "load", "error", "forecast", "timeout",
    "crash", "data", "memory", "unsupported", "usage" (a parameter or budget that the model refuses: reported, not stored), else "".
    """

    status: str
    reason: str = ""
    failure: str = ""
    scores: Mapping[str, float] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)  # all columns of the table `cells`; see docs/store.md
    cached: bool = False


@dataclass
class Run:
    """One call of `harness run`."""

    id: str
    started_at: str  # ISO 8601, UTC
    command: list[str]
    cells: list[Cell]
    host: str = ""
    finished_at: str = ""
    status: str = "running"  # running | complete | failed | interrupted
    counts: dict[str, int] = field(default_factory=dict)

    def record(self) -> dict[str, Any]:
        """The row of the table `runs`."""
        row = asdict(self)
        row["cells"] = len(self.cells)
        row["command"] = json.dumps(self.command, ensure_ascii=False)  # as text, in which the spool replaces what is none
        row["counts"] = json.dumps(self.counts)
        return row
