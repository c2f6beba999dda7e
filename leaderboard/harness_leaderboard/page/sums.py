"""Calibration and errors by step as the page's payload has them; `harness_leaderboard.step_sums` adds them up.

Axes: O own models, R tasks, Q quantile levels, P points of a task.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness_leaderboard import step_sums
from harness_leaderboard.aggregate import Results
from harness_leaderboard.page.payload import array

if TYPE_CHECKING:
    from harness.store import Store

__all__ = ["calibration", "error_steps"]


def calibration(store: Store, results: Results) -> dict[str, Any] | None:
    """{"models", "levels" [Q], "n" [O, R], "hits" [O, R, Q], "left_out": cells with other levels}; None where nothing is stored of that."""
    found = step_sums.calibration(store, results)
    if found is None:
        return None
    return {
        "models": found.models,
        "levels": list(found.levels),
        "n": array(found.count, "f4"),
        "hits": array(found.hits, "f4"),
        "left_out": found.left_out,
    }


def error_steps(store: Store, results: Results) -> dict[str, Any] | None:
    """{"models", "points" [R], "offset" [R] of a task's first in the following, "step" [ΣP] mean step, "mase" [O, ΣP]}; None as above."""
    found = step_sums.error_steps(store, results)
    if found is None:
        return None
    return {
        "models": found.models,
        "points": array(found.points, "u2"),
        "offset": array(found.offset, "i4"),
        "step": array(found.step, "f4"),
        "mase": array(found.mase, "f4"),
    }
