"""The test of Diebold and Mariano for each task of which both models' windows are stored: own results, not imported ones.

The loss at a cutoff is the pooled one of all windows there: MASE's, Σ scaled errors/Σ points, or CRPS's, Σ quantile loss (mean over levels)
/Σ points. The p of the tasks are corrected by Holm's method, since among 97 tasks five would be "found" by chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError
from harness_leaderboard.aggregate import Array, Results
from harness_leaderboard.diebold_mariano import diebold_mariano, reach
from harness_leaderboard.significance import holm

if TYPE_CHECKING:
    from harness.store import Store

__all__ = ["LEAST_CUTOFFS", "compare_windows"]

Moments = NDArray[np.datetime64]

LEAST_CUTOFFS = 8
"""Fewest cutoffs that are tested."""
SPAN = 3
"""The series must be so many times as long as a forecast reaches."""

_SUMS = {
    "MASE[0.5]": ("w.scaled_error", "w.n_scaled"),
    "mean_weighted_sum_quantile_loss": ("list_avg(w.quantile_loss)", "w.n"),
}


def compare_windows(store: Store, results: Results, a: int, b: int, metric: str, level: float = 0.05) -> dict[str, Any]:
    """Test each task; own results only.

    Returns:
        `tasks` [{task, statistic (below 0: a has the lower loss), p, p_holm, cutoffs, reach, kernel}] of those with an answer; `a_better`,
        `b_better`, `undecided` count them at `level` after Holm; `no_answer` {task: why} of the others whose windows both have.
    """
    losses = _losses(store, results, (a, b), metric) if metric in _SUMS else {}
    found: list[dict[str, Any]] = []
    none: dict[str, str] = {}
    for task in results.tasks:
        name = task["name"]
        if (a, name) not in losses or (b, name) not in losses:
            continue
        mine, other = losses[a, name], losses[b, name]
        shared, at_a, at_b = np.intersect1d(mine[0], other[0], return_indices=True)
        why, span = _too_few(shared, task)
        test = diebold_mariano(mine[1][at_a], other[1][at_b], span)
        if why or np.isnan(test.p):
            none[name] = why or "the losses differ by the same at every cutoff"
            continue
        row = {"task": name, "statistic": test.statistic, "p": test.p, "cutoffs": test.cutoffs, "reach": span, "kernel": test.kernel}
        found.append(row)
    for row, p in zip(found, holm(np.array([row["p"] for row in found])), strict=True):
        row["p_holm"] = float(p)
    sure = [row for row in found if row["p_holm"] <= level]
    better = sum(row["statistic"] < 0 for row in sure)
    counts = {"a_better": better, "b_better": len(sure) - better, "undecided": len(found) - len(sure)}
    return {**counts, "tasks": found, "no_answer": none}


def _losses(store: Store, results: Results, models: tuple[int, int], metric: str) -> dict[tuple[int, str], tuple[Moments, Array]]:
    """{(model, task): (distinct cutoffs [T] in time order, loss [T])} from the stored windows; several seeds are pooled."""
    owner = {c.result_id: at for at, cells in results.cells.items() if at[0] in models for c in cells if c.status == "ok"}
    total, count = _SUMS[metric]
    table = store.query(
        f"SELECT w.result_id, w.cutoff, sum({total})::DOUBLE AS total, sum({count})::DOUBLE AS points FROM main.windows w "
        f"WHERE w.result_id IN (SELECT unnest($1::VARCHAR[])) AND {count} > 0 AND w.cutoff IS NOT NULL GROUP BY ALL ORDER BY w.cutoff",
        [list(owner)],
    )
    cutoff = table["cutoff"].to_numpy().astype("datetime64[s]")
    sums = np.stack([np.array(table[name].to_pylist(), np.float64) for name in ("total", "points")])  # [2, K], NULL as NaN
    rows: dict[tuple[int, str], list[int]] = {}
    for i, result in enumerate(table["result_id"].to_pylist()):
        rows.setdefault(owner[result], []).append(i)
    out = {}
    for at, where in rows.items():
        moments, inverse = np.unique(cutoff[where], return_inverse=True)
        pooled = np.zeros((2, len(moments)))
        for row, values in zip(pooled, sums[:, where], strict=True):
            np.add.at(row, inverse, values)
        out[at] = (moments, pooled[0] / pooled[1])
    return out


def _too_few(cutoffs: Moments, task: dict[str, Any]) -> tuple[str, int]:
    """(why these cutoffs are too few, "" = they are not; how many cutoffs a forecast reaches over)."""
    if len(cutoffs) < LEAST_CUTOFFS:
        return f"{len(cutoffs)} cutoffs, wanted {LEAST_CUTOFFS}", 1
    try:
        span = reach(cutoffs, str(task["freq"]), int(task["horizon"]))
    except (DataError, KeyError, TypeError, ValueError):
        return "its frequency is not known", 1
    if len(cutoffs) < SPAN * span:
        return f"{len(cutoffs)} cutoffs and a forecast reaches over {span}, wanted {SPAN} times as many", span
    return "", span
