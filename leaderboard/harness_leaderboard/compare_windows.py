"""The test of Diebold and Mariano for each task of which both models' windows are stored: own results, not imported ones.

The loss at a cutoff is the pooled one of all windows there: MASE's, Σ scaled errors/Σ points, or CRPS's, Σ quantile loss (mean over levels)
/Σ points. A cutoff at which either has none stays as a gap. The p of the tasks are corrected by Holm's method, since among 97 tasks five
would be "found" by chance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError
from harness.statistics import diebold_mariano, holm
from harness_leaderboard.aggregate import Array, Results, divided
from harness_leaderboard.cutoffs import least_cutoffs, reach
from harness_leaderboard.words import counted

if TYPE_CHECKING:
    from harness.store import Store

__all__ = ["compare_windows"]

Moments = NDArray[np.datetime64]

_SUMS = {
    "MASE[0.5]": ("w.scaled_error", "w.n_scaled"),
    "mean_weighted_sum_quantile_loss": ("list_avg(w.quantile_loss)", "w.n"),
}
_SAME = "their losses are the same at every cutoff"
_NO_VARIANCE = "the difference of the losses never varies, or its variance cannot be estimated"


def compare_windows(store: Store, results: Results, a: int, b: int, metric: str, windows: str = "", level: float = 0.05) -> dict[str, Any]:
    """Test each task; own results only.

    Args:
        store: where the windows are.
        results: the suite's results.
        a, b: rows of the two models.
        metric: that of the losses; of others than MASE and CRPS there is no test.
        windows: SQL that holds for the windows to look at; "" = all.
        level: below it a corrected p counts as a difference.

    Returns:
        `tasks` [{task, statistic (below 0: a has the lower loss), p, p_holm, cutoffs, reach}] of those with an answer; `a_better`,
        `b_better`, `undecided` count them at `level` after Holm; `no_answer` {task: why} of the others whose windows both have.
    """
    losses = _losses(store, results, (a, b), metric, windows) if metric in _SUMS else {}
    found: list[dict[str, Any]] = []
    none: dict[str, str] = {}
    for task in results.tasks:
        name = task["name"]
        if (a, name) not in losses or (b, name) not in losses:
            continue
        cutoffs, mine, other = _side_by_side(losses[a, name], losses[b, name])
        why, span = _too_few(cutoffs, int((np.isfinite(mine) & np.isfinite(other)).sum()), task)
        test = None if why else diebold_mariano(mine, other, span, kernel="flat")
        if test is None or np.isnan(test.p) or test.statistic == 0:
            none[name] = why or (_SAME if test is not None and test.p == 1 else _NO_VARIANCE)
            continue
        row = {"task": name, "statistic": test.statistic, "p": test.p, "cutoffs": test.windows, "reach": span}
        found.append(row)
    for row, p in zip(found, holm(np.array([row["p"] for row in found])), strict=True):
        row["p_holm"] = float(p)
    sure = [row for row in found if row["p_holm"] <= level]
    better = sum(row["statistic"] < 0 for row in sure)
    counts = {"a_better": better, "b_better": len(sure) - better, "undecided": len(found) - len(sure)}
    return {**counts, "tasks": found, "no_answer": none}


def _losses(
    store: Store, results: Results, models: tuple[int, int], metric: str, windows: str
) -> dict[tuple[int, str], tuple[Moments, Array]]:
    """{(model, task): (distinct cutoffs [T] in time order, loss [T])} from the stored windows; several seeds are pooled."""
    owner = {c.result_id: at for at, cells in results.cells.items() if at[0] in models for c in cells if c.status == "ok"}
    total, count = _SUMS[metric]
    # Inside a subquery: whatever the condition says, rows of other results do not come in.
    kept = f"(SELECT * FROM main.windows WHERE ({windows}\n))" if windows else "main.windows"
    table = store.query(
        f"SELECT w.result_id, w.cutoff, coalesce(sum({total}), 0)::DOUBLE AS total, coalesce(sum({count}), 0)::DOUBLE AS points "
        f"FROM {kept} w WHERE w.result_id IN (SELECT unnest($1::VARCHAR[])) AND w.cutoff IS NOT NULL GROUP BY ALL ORDER BY w.cutoff",
        [list(owner)],
    )
    cutoff = table["cutoff"].to_numpy().astype("datetime64[s]")
    sums = np.stack([table[name].to_numpy() for name in ("total", "points")])  # [2, K]
    rows: dict[tuple[int, str], list[int]] = {}
    for i, result in enumerate(table["result_id"].to_pylist()):
        rows.setdefault(owner[result], []).append(i)
    out = {}
    for at, where in rows.items():
        moments, inverse = np.unique(cutoff[where], return_inverse=True)
        pooled = np.zeros((2, len(moments)))
        for row, values in zip(pooled, sums[:, where], strict=True):
            np.add.at(row, inverse, values)
        out[at] = (moments, divided(pooled[0], pooled[1], pooled[1] > 0))
    return out


def _side_by_side(mine: tuple[Moments, Array], other: tuple[Moments, Array]) -> tuple[Moments, Array, Array]:
    """(all cutoffs [T] of either, losses [T] of the first, of the second), NaN where one has none."""
    cutoffs = np.union1d(mine[0], other[0])
    spread = []
    for moments, losses in (mine, other):
        values = np.full(len(cutoffs), np.nan)
        values[np.searchsorted(cutoffs, moments)] = losses
        spread.append(values)
    return cutoffs, spread[0], spread[1]


def _too_few(cutoffs: Moments, shared: int, task: dict[str, Any]) -> tuple[str, int]:
    """(why the `shared` cutoffs of these are too few, "" = they are not; how many cutoffs a forecast reaches over)."""
    try:
        span = reach(cutoffs, str(task["freq"]), int(task["horizon"]))
    except (DataError, KeyError, TypeError, ValueError):
        return "its frequency is not known", 1
    if shared >= least_cutoffs(span):
        return "", span
    over = f" where a forecast reaches over {span}" if span > 1 else ""
    return f"{counted(shared, 'cutoff')}, wanted {least_cutoffs(span)}{over}", span
