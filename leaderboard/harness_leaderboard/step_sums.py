"""Sums that a store keeps per step of the horizon: calibration, and the error along the horizon; for the page and for plots.

Axes: O own models, R tasks, Q quantile levels, P points of a task. Both come from the table `steps`, whose size is that of the horizons:
a cell of a million windows costs no more than one of ten.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.arrow import to_numpy
from harness_leaderboard.aggregate import Array, Results

if TYPE_CHECKING:
    from harness.store import Store

__all__ = ["POINTS", "Calibration", "ErrorSteps", "calibration", "error_steps"]

POINTS = 48
"""Most points of one task's curve; neighbouring steps of longer horizons are taken together."""

_CELLS = """
SELECT result_id, quantile_levels FROM main.cells
WHERE status = 'ok' AND result_id IN (SELECT unnest($1::VARCHAR[]))
"""
_STEPS = """
SELECT s.result_id, ((s.step - 1) * least($2, c.horizon) // c.horizon)::DOUBLE AS point, avg(s.step)::DOUBLE AS step,
       coalesce(sum(s.scaled_error), 0)::DOUBLE AS error, coalesce(sum(s.n_scaled), 0)::DOUBLE AS count
FROM main.steps s JOIN main.cells c USING (result_id)
WHERE s.result_id IN (SELECT unnest($1::VARCHAR[])) AND s.step BETWEEN 1 AND c.horizon AND c.horizon > 0
GROUP BY ALL
"""


@dataclass(frozen=True)
class Calibration:
    """How many labels lie at or below each quantile; several seeds are added up, and 0 labels = nothing is stored."""

    models: list[int]  # O rows of `Results`
    levels: tuple[float, ...]  # Q
    count: Array  # [O, R] labels
    hits: Array  # [O, R, Q] labels at or below the quantile
    left_out: int  # cells with other levels

    def shares(self) -> Array:
        """[O, R, Q] of labels at or below each quantile; NaN where there is no label."""
        there = np.broadcast_to((self.count > 0)[:, :, None], self.hits.shape)
        share: Array = np.divide(self.hits, self.count[:, :, None], out=np.full(self.hits.shape, np.nan), where=there)
        return share


@dataclass(frozen=True)
class ErrorSteps:
    """MASE along the horizon; the points of all tasks stand one after the other. NaN = nothing is stored."""

    models: list[int]  # O rows of `Results`
    points: NDArray[np.int64]  # [R] P of each task
    offset: NDArray[np.int64]  # [R] of a task's first point
    step: Array  # [ΣP] mean of the steps of a point, from 1
    mase: Array  # [O, ΣP]

    def of_task(self, r: int) -> tuple[Array, Array]:
        """(steps [P], MASE [O, P]) of a task."""
        part = slice(int(self.offset[r]), int(self.offset[r] + self.points[r]))
        return self.step[part], self.mase[:, part]


def calibration(store: Store, results: Results) -> Calibration | None:
    """How many labels lie at or below each quantile, by own model and task; None where nothing is stored of that.

    Only of cells with the levels that most cells have.
    """
    owner, models = _owners(results)
    cells = {row["result_id"]: tuple(row["quantile_levels"] or ()) for row in store.query(_CELLS, [list(owner)]).to_pylist()}
    often = Counter(levels for levels in cells.values() if levels).most_common(1)
    if not often:
        return None
    levels = often[0][0]
    ids = [result for result, own in cells.items() if own == levels]
    hits = ", ".join(f"coalesce(sum(hits[{q + 1}]), 0)::DOUBLE AS hits_{q}" for q in range(len(levels)))
    selected = f"result_id, coalesce(sum(n), 0)::DOUBLE AS n, {hits}"
    sql = f"SELECT {selected} FROM main.steps WHERE result_id IN (SELECT unnest($1::VARCHAR[])) GROUP BY result_id"
    table = store.query(sql, [ids]).combine_chunks()
    count = np.zeros((len(models), len(results.tasks)))
    found = np.zeros((*count.shape, len(levels)))
    at = _places(table["result_id"].to_pylist(), owner)
    np.add.at(count, at, _column(table, "n"))
    np.add.at(found, at, np.stack([_column(table, f"hits_{q}") for q in range(len(levels))], axis=1))
    if not count.any():
        return None
    return Calibration(models, levels, count, found, left_out=sum(own != levels for own in cells.values()))


def error_steps(store: Store, results: Results) -> ErrorSteps | None:
    """MASE along the horizon, by own model and task, P ≤ 48 points a task; None where nothing is stored of that."""
    owner, models = _owners(results)
    points = np.minimum(np.array([max(int(task["horizon"] or 0), 0) for task in results.tasks], np.int64), POINTS)
    offset = np.concatenate([[0], np.cumsum(points)])
    table = store.query(_STEPS, [list(owner), POINTS]).combine_chunks()
    if not len(table):
        return None
    row, task = _places(table["result_id"].to_pylist(), owner)
    place = offset[task] + _column(table, "point").astype(np.int64)
    inside = place < offset[task + 1]  # a task's horizon may have changed since
    error, count, step = np.zeros((len(models), offset[-1])), np.zeros((len(models), offset[-1])), np.full(offset[-1], np.nan)
    np.add.at(error, (row[inside], place[inside]), _column(table, "error")[inside])
    np.add.at(count, (row[inside], place[inside]), _column(table, "count")[inside])
    step[place[inside]] = _column(table, "step")[inside]
    mase = np.divide(error, count, out=np.full(error.shape, np.nan), where=count > 0)
    return ErrorSteps(models, points, offset[:-1], step, mase)


Owner = Mapping[str, tuple[int, int]]
"""{result id: (row among the own models, number of the task)}."""


def _owners(results: Results) -> tuple[Owner, list[int]]:
    """Whose each good own result is, and the own models' rows."""
    models = sorted({m for m, _ in results.cells})
    row = {m: o for o, m in enumerate(models)}
    number = {task["name"]: r for r, task in enumerate(results.tasks)}
    return {c.result_id: (row[m], number[t]) for (m, t), cells in results.cells.items() for c in cells if c.status == "ok"}, models


def _places(ids: Sequence[str], owner: Owner) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """([K] rows, [K] tasks) of these results."""
    both = np.array([owner[result] for result in ids], np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1]


def _column(table: Any, name: str) -> Array:
    """A column of doubles without nulls."""
    return to_numpy(table[name].combine_chunks())
