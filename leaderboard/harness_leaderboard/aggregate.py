"""The numbers of a leaderboard: from scores per model and task to one row per model.

Rules, as GIFT-Eval has them (its published aggregates are reproduced from the published results, see the tests):

- nMASE, nCRPS: geometric mean, over the model's tasks, of score / score of the suite's baseline on that task.
- rank_MASE, rank_CRPS: mean over the model's tasks of its rank, 1 = best; equal scores share the better rank. Ranks are taken among the
  *pool*: the models that have all tasks (all models, when none has). A model outside the pool is ranked against it and shifts nobody.
- win_rate: share of comparisons (task × other model of the pool) with the lower MASE; a tie counts half.
- A score that has no ratio (missing, zero, infinite, or a baseline that is) is left out of the geometric mean and counted in
  `undefined`; an infinite score still takes the last rank.
- Several seeds of one model: the mean over its seeds, task by task; a task is done when one seed is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Cell", "Entry", "Results", "board_rows", "complete", "geometric_mean", "group_means", "mean_ranks", "ratios", "win_rates"]

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Entry:
    """What a row of the leaderboard is about."""

    model: str
    source: str
    mode: str
    budget: str
    scope: str
    model_name: str = ""
    model_type: str = ""
    org: str = ""
    testdata_leakage: str = ""
    license: str = ""
    link: str = ""
    info: Mapping[str, Any] = field(default_factory=dict)  # all that was declared of the model

    @property
    def label(self) -> str:
        """The model's name, with its mode where that is not the plain one."""
        extra = " ".join(part for part in (self.mode, self.budget) if part not in ("", "zero-shot", "published"))
        return f"{self.model} ({extra})" if extra else self.model


@dataclass(frozen=True)
class Cell:
    """One stored result behind a number: of a model (row of `Results`), a task and a seed."""

    result_id: str
    cell_id: str
    seed: int
    status: str
    forecasts: str  # file of the kept forecasts; "" = not kept


@dataclass
class Results:
    """Scores of a suite: M models × R tasks.

    `main` names the two metrics that models are compared by: a scaled error of the point forecast (`mase`) and one of the whole
    distribution (`crps`).
    """

    tasks: list[dict[str, Any]]  # R records of tasks: name, domain, freq, term, …
    entries: list[Entry]  # M
    scores: dict[str, Array]  # {metric: [M, R]}; NaN = no result
    baselines: dict[str, Array]  # {metric: [R]} the baseline's scores; NaN = it has no result
    status: NDArray[np.str_]  # [M, R]: ok, failed, skipped or "" = missing
    seeds: NDArray[np.int64]  # [M] most seeds of a task
    windows: Array  # [M] windows forecast in timed cells
    predict_s: Array  # [M] seconds it took
    baseline: str = "seasonal_naive"
    main: tuple[str, str] = ("MASE[0.5]", "mean_weighted_sum_quantile_loss")
    notes: list[str] = field(default_factory=list)
    stale: NDArray[np.bool_] | None = None  # [M, R]: the model, task, data or scoring has changed since; None = nowhere
    baseline_stale: NDArray[np.bool_] | None = None  # [R] the baseline's score is a stale one, as there is no other; None = nowhere
    cells: dict[tuple[int, str], list[Cell]] = field(default_factory=dict)  # own results by (number of the model, name of the task)

    @property
    def mase(self) -> Array:
        """[M, R]"""
        return self.scores[self.main[0]]

    @property
    def crps(self) -> Array:
        """[M, R]"""
        return self.scores[self.main[1]]

    @property
    def baseline_mase(self) -> Array:
        """[R]"""
        return self.baselines[self.main[0]]

    @property
    def baseline_crps(self) -> Array:
        """[R]"""
        return self.baselines[self.main[1]]

    def only(self, keep: NDArray[np.bool_]) -> Results:
        """The same for some of the tasks ([R])."""
        kept = [task for task, stays in zip(self.tasks, keep, strict=True) if stays]
        names = {task["name"] for task in kept}
        return replace(
            self,
            tasks=kept,
            scores={name: values[:, keep] for name, values in self.scores.items()},
            baselines={name: values[keep] for name, values in self.baselines.items()},
            status=self.status[:, keep],
            notes=list(self.notes),
            stale=None if self.stale is None else self.stale[:, keep],
            baseline_stale=None if self.baseline_stale is None else self.baseline_stale[keep],
            cells={at: cells for at, cells in self.cells.items() if at[1] in names},
        )


def _over(values: Array, counts: Array, where: NDArray[np.bool_]) -> Array:
    """values / counts, NaN outside `where`."""
    out: Array = np.full(np.broadcast_shapes(values.shape, counts.shape), np.nan)
    np.divide(values, counts, out=out, where=where)
    return out


def ratios(scores: Array, baseline: Array) -> Array:
    """[M, R] scores over the baseline's [R]; NaN where either is missing, zero, negative or infinite."""
    sound = np.isfinite(scores) & (scores > 0) & np.isfinite(baseline) & (baseline > 0)
    return _over(scores, baseline, sound)


def geometric_mean(values: Array) -> Array:
    """[M, R] -> [M] over the values that are not NaN; NaN where there is none."""
    there = ~np.isnan(values)
    logs = np.log(values, out=np.zeros(values.shape), where=there)
    count = there.sum(axis=1).astype(float)
    means: Array = np.exp(_over(logs.sum(axis=1), count, count > 0))
    return means


def complete(results: Results) -> NDArray[np.bool_]:
    """[M] which models have all tasks, done and with a number."""
    lacking: NDArray[np.bool_] = (np.isnan(results.mase) | np.isnan(results.crps) | (results.status != "ok")).any(axis=1)
    return ~lacking


def pool_of(results: Results) -> NDArray[np.bool_]:
    """[M] the models among which ranks are taken."""
    full = complete(results)
    return full if full.any() else np.ones(len(full), dtype=bool)


def mean_ranks(scores: Array, pool: NDArray[np.bool_]) -> Array:
    """[M] mean over tasks of 1 + how many models of the pool have a strictly lower score; NaN for a model without scores."""
    there = ~np.isnan(scores)
    ranks = np.zeros(scores.shape)
    for r in range(scores.shape[1]):
        column = scores[:, r]
        # NaNs sort last and never count as lower.
        ranks[:, r] = 1 + np.searchsorted(np.sort(column[pool & there[:, r]]), column, side="left")
    count = there.sum(axis=1).astype(float)
    return _over((ranks * there).sum(axis=1), count, count > 0)


def win_rates(scores: Array, pool: NDArray[np.bool_]) -> Array:
    """[M] share of (task, other model of the pool) in which the model's score is lower, ties half; NaN without any comparison."""
    wins = np.zeros(len(scores))
    games = np.zeros(len(scores))
    there = ~np.isnan(scores)
    for r in range(scores.shape[1]):
        has = there[:, r]
        column = scores[has, r]
        others = np.sort(scores[pool & has, r])
        lower = np.searchsorted(others, column, side="left")
        tied = np.searchsorted(others, column, side="right") - lower - pool[has]  # itself is no opponent
        opponents = len(others) - pool[has]
        wins[has] += opponents - lower - tied / 2
        games[has] += opponents
    return _over(wins, games, games > 0)


def board_rows(results: Results) -> list[dict[str, Any]]:
    """One record a model, the best nMASE first; undefined numbers are None."""
    pool = pool_of(results)
    r_mase, r_crps = ratios(results.mase, results.baseline_mase), ratios(results.crps, results.baseline_crps)
    n_mase, n_crps = geometric_mean(r_mase), geometric_mean(r_crps)
    rank_mase, rank_crps = mean_ranks(results.mase, pool), mean_ranks(results.crps, pool)
    wins = win_rates(results.mase, pool)
    done = results.status == "ok"
    lacking, resting = _baseline_counts(results)
    undefined = (done & (np.isnan(r_mase) | np.isnan(r_crps))).sum(axis=1)
    seconds = _over(1000 * results.predict_s, results.windows, results.windows > 0)
    total = len(results.tasks)
    rows = []
    for i, entry in enumerate(results.entries):
        counts = {state: int((results.status[i] == state).sum()) for state in ("ok", "failed", "skipped")}
        rows.append(
            {
                "model": entry.label,
                "source": entry.source,
                "nMASE": _number(n_mase[i]),
                "nCRPS": _number(n_crps[i]),
                "rank_MASE": _number(rank_mase[i]),
                "rank_CRPS": _number(rank_crps[i]),
                "win_rate": _number(wins[i]),
                "coverage": counts["ok"] / total if total else None,
                "done": counts["ok"],
                "failed": counts["failed"],
                "skipped": counts["skipped"],
                "missing": total - sum(counts.values()),
                "total": total,
                "stale": 0 if results.stale is None else int(results.stale[i].sum()),
                "undefined": int(undefined[i]),
                "model_type": entry.model_type,
                "predict_s_per_1k": _number(seconds[i]),
                "seeds": int(results.seeds[i]),
                "mode": entry.mode,
                "budget": entry.budget,
                "scope": entry.scope,
                "org": entry.org,
                "testdata_leakage": entry.testdata_leakage,
                "baseline_missing": int(lacking[i]),
                "baseline_stale": int(resting[i]),
            }
        )
    return sorted(rows, key=_order)


def _baseline_counts(results: Results) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """([M] done tasks for which the baseline has no score, [M] those for which it has only a stale one)."""
    done = results.status == "ok"
    lacking = np.isnan(results.baseline_mase) | np.isnan(results.baseline_crps)
    resting = np.zeros(len(results.tasks), dtype=np.bool_) if results.baseline_stale is None else results.baseline_stale
    return (done & lacking).sum(axis=1), (done & resting).sum(axis=1)


def group_means(results: Results, column: str) -> tuple[list[str], list[dict[str, Any]]]:
    """nMASE per group of tasks: (the groups' names in the order of the suite, one record a model with a value per group)."""
    values = [str(task[column]) for task in results.tasks]
    groups = list(dict.fromkeys(values))
    if column in ("horizon", "variates"):
        groups.sort(key=float)
    r_mase = ratios(results.mase, results.baseline_mase)
    means = {group: geometric_mean(r_mase[:, np.array([v == group for v in values])]) for group in groups}
    overall = geometric_mean(r_mase)
    _, resting = _baseline_counts(results)
    rows = []
    for i, entry in enumerate(results.entries):
        row: dict[str, Any] = {"model": entry.label, "source": entry.source, "nMASE": _number(overall[i])}
        row["done"], row["total"] = int((results.status[i] == "ok").sum()), len(values)
        row["stale"], row["baseline_stale"] = 0 if results.stale is None else int(results.stale[i].sum()), int(resting[i])
        rows.append({**row, "groups": {group: _number(means[group][i]) for group in groups}})
    return groups, sorted(rows, key=_order)


def common_tasks(results: Results) -> NDArray[np.bool_]:
    """[R] tasks that all own models have done; where there is no own model, those that all models have."""
    own = np.array([entry.source == "own" for entry in results.entries])
    counted: Sequence[bool] | NDArray[np.bool_] = own if own.any() else np.ones(len(own), dtype=bool)
    done = (results.status == "ok") & ~np.isnan(results.mase)
    kept: NDArray[np.bool_] = done[counted].all(axis=0)
    return kept


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _order(row: dict[str, Any]) -> tuple[bool, float, str, str]:
    score = row["nMASE"]
    return (score is None, score or 0.0, row["model"], row["source"])
