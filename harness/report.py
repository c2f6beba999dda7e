"""How a run ended."""

from __future__ import annotations

import collections
from dataclasses import dataclass, field

from harness.cells import Outcome, Run
from harness.plan import Plan

__all__ = ["Report"]


@dataclass(repr=False)
class Report:
    """How a run ended: the outcome of every cell, and what kept results from being stored, if anything did."""

    run: Run
    plan: Plan
    outcomes: dict[str, Outcome] = field(default_factory=dict)  # by cell id
    problem: str = ""
    abandoned: bool = False  # a model in this process did not stop when the run was interrupted, and still computes

    @property
    def counts(self) -> dict[str, int]:
        """Cells by state: ok, failed, skipped, cached (of those), and tasks unavailable."""
        counted = collections.Counter(o.status for o in self.outcomes.values())
        cached = sum(o.cached for o in self.outcomes.values())
        missing = len(self.plan.cells) - len(self.outcomes)
        states = {s: counted.get(s, 0) for s in ("ok", "failed", "skipped")}
        return {**states, "unfinished": missing, "cached": cached, "unavailable": len(self.plan.unavailable)}

    def said(self) -> str:
        """The counts in words: "run 1f0c…: 6 ok, 1 failed (2 reused)"."""
        counts = self.counts
        parts = [f"{counts['ok']} ok"] + [f"{counts[k]} {k}" for k in ("failed", "skipped", "unfinished", "unavailable") if counts[k]]
        return f"run {self.run.id}: {', '.join(parts)}" + (f" ({counts['cached']} reused)" if counts["cached"] else "")

    def __repr__(self) -> str:
        return f"<harness.Report of {self.said()}>"

    @property
    def exit_code(self) -> int:
        """0 all cells good, 3 some failed or not stored, 130 interrupted."""
        if self.run.status == "interrupted":
            return 130
        return 3 if self.problem or self.counts["failed"] or self.counts["unfinished"] else 0
