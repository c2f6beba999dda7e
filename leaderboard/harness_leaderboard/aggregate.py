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

from harness.arithmetic import geometric_mean
from harness.types import Column

__all__ = [
    "LABELS",
    "MAIN",
    "Cell",
    "Entry",
    "Results",
    "alike",
    "common_tasks",
    "complete",
    "divided",
    "filled",
    "geometric_mean",
    "logs_of",
    "mean_ranks",
    "pool_of",
    "ratios",
    "win_rates",
]  # fmt: skip

Array = NDArray[np.float64]


MAIN = ("MASE[0.5]", "mean_weighted_sum_quantile_loss")
"""The two metrics that models are compared by: a scaled error of the point forecast, one of the distribution. These are of tasks that
are scored as GIFT-Eval's are; of others they are `DialectInfo.leading`."""

LABELS = {"MASE[0.5]": "MASE", "mean_weighted_sum_quantile_loss": "CRPS"}
"""How people call these metrics; others go by their own names."""


def logs_of(scores: Array) -> Array:
    """Logs of scores, of any shape; NaN where one is missing, zero, negative or infinite. Their differences need no baseline."""
    sound = np.isfinite(scores) & (scores > 0)
    logs: Array = np.log(scores, out=np.full(scores.shape, np.nan), where=sound)
    return logs


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
    reason: str = ""  # why it is not good


@dataclass
class Results:
    """Scores of a suite: M models × R tasks.

    `main` names the two metrics that models are compared by: an error of the point forecast (`mase`) and one of the whole distribution
    (`crps`), which are MASE and CRPS unless the suite has others (`labels`).
    """

    tasks: list[dict[str, Any]]  # R records of tasks: name, domain, freq, term, …
    entries: list[Entry]  # M
    scores: dict[str, Array]  # {metric: [M, R]}; NaN = no result
    baselines: dict[str, Array]  # {metric: [R]} the baseline's scores; NaN = it has no result
    status: NDArray[np.str_]  # [M, R]: ok, failed, skipped or "" = missing
    seeds: NDArray[np.int64]  # [M] most seeds of a task
    windows: Array  # [M] windows forecast in timed cells
    predict_s: Array  # [M] seconds it took
    fit_s: Array  # [M] seconds of training before
    peak_mb: Array  # [M] most memory of a worker, MiB; NaN = not measured
    baseline: str = "seasonal_naive"
    main: tuple[str, str] = MAIN
    own: tuple[str, ...] = ()  # metrics of the tasks' dialect that are shown as they are: means over tasks
    about: Mapping[str, Column] = field(default_factory=dict)  # what some of these say
    suite_size: int = 0  # tasks of the whole suite
    data_folder: str = ""  # `--data` of the runs, where it was one folder: for commands to type on this machine, not to be published
    runnable: bool = True  # a plugin has the suite: what is missing can be run
    sliced: bool = False  # scores are over some of the windows: what is stored of whole cells says nothing of them
    notes: list[str] = field(default_factory=list)
    stale: NDArray[np.bool_] | None = None  # [M, R]: the model, task, data or scoring has changed since; None = nowhere
    baseline_stale: NDArray[np.bool_] | None = None  # [R] the baseline's score is a stale one, as there is no other; None = nowhere
    marks: NDArray[np.str_] | None = None  # [M, R] whether labels may have been seen in training (`harness.contamination`), "" = no result
    fallen: Array | None = None  # [M, R] forecasts that are not the model's own, shares of windows added up over seeds; None = not known
    answered: Array | None = None  # [M, R] windows, over seeds, of which `fallen` is known
    cells: dict[tuple[int, str], list[Cell]] = field(default_factory=dict)  # own results by (number of the model, name of the task)

    @property
    def labels(self) -> tuple[str, str]:
        """What people call the main metrics."""
        return self.label(self.main[0]), self.label(self.main[1])

    def label(self, metric: str) -> str:
        """What people call a metric: of those that the suite's own dialect shows, the name without the dialect."""
        plain = metric.partition(":")[2] if metric in (*self.main, *self.own) else ""
        return LABELS.get(metric, plain or metric)

    @property
    def mase(self) -> Array:
        """[M, R]"""
        return self.scores[self.main[0]]

    @property
    def crps(self) -> Array:
        """[M, R]"""
        return self.scores[self.main[1]]

    @property
    def fallback(self) -> Array:
        """[M] share of each model's forecasts that is not its own, over all windows of its tasks; NaN where that is not known."""
        if self.fallen is None or self.answered is None:
            return np.full(len(self.entries), np.nan)
        windows = self.answered.sum(axis=1)
        return divided(self.fallen.sum(axis=1), windows, windows > 0)

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
            marks=None if self.marks is None else self.marks[:, keep],
            fallen=None if self.fallen is None else self.fallen[:, keep],
            answered=None if self.answered is None else self.answered[:, keep],
            cells={at: cells for at, cells in self.cells.items() if at[1] in names},
        )


def divided(values: Array, counts: Array, where: NDArray[np.bool_]) -> Array:
    """values / counts, element by element, NaN outside `where`."""
    out: Array = np.full(np.broadcast_shapes(values.shape, counts.shape), np.nan)
    np.divide(values, counts, out=out, where=where)
    return out


def ratios(scores: Array, baseline: Array) -> Array:
    """[M, R] scores over the baseline's [R]; NaN where either is missing, zero, negative or infinite, or their ratio beyond doubles."""
    sound = np.isfinite(scores) & (scores > 0) & np.isfinite(baseline) & (baseline > 0)
    with np.errstate(over="ignore", under="ignore"):
        found = divided(scores, baseline, sound)
    return np.where(np.isfinite(found) & (found > 0), found, np.nan)


def complete(results: Results) -> NDArray[np.bool_]:
    """[M] which models have all tasks, done and with a number."""
    lacking: NDArray[np.bool_] = (np.isnan(results.mase) | np.isnan(results.crps) | (results.status != "ok")).any(axis=1)
    return ~lacking


def pool_of(results: Results) -> NDArray[np.bool_]:
    """[M] the models among which ranks are taken."""
    full = complete(results)
    return full if full.any() else np.ones(len(full), dtype=bool)


def alike(results: Results) -> bool:
    """Whether all models that have results have them on the same tasks; False where there are none."""
    done = (results.status == "ok") & ~np.isnan(results.mase)
    there = done[done.any(axis=1)]
    return bool(len(there) and (there == there[0]).all() and not (results.status[~done.any(axis=1)] == "failed").any())


def mean_ranks(scores: Array, pool: NDArray[np.bool_]) -> Array:
    """[M] mean over tasks of 1 + how many models of the pool have a strictly lower score; NaN for a model without scores."""
    there = ~np.isnan(scores)
    ranks = np.zeros(scores.shape)
    for r in range(scores.shape[1]):
        column = scores[:, r]
        # NaNs sort last and never count as lower.
        ranks[:, r] = 1 + np.searchsorted(np.sort(column[pool & there[:, r]]), column, side="left")
    count = there.sum(axis=1).astype(float)
    return divided((ranks * there).sum(axis=1), count, count > 0)


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
    return divided(wins, games, games > 0)


def filled(ratio: Array, scores: Array, baseline: Array, policy: str) -> Array:
    """[M, R] ratios with a value in place of what is lacking, where the baseline has a score.

    Lacking is a score that is missing (the cell failed, was skipped or not run) or infinite. "drop" leaves it out, "baseline" takes 1 (the
    harness answers with the baseline), "worst" the highest ratio that any model has on that task.
    """
    if policy == "drop":
        return ratio
    lacking = np.isnan(ratio) & ~(scores <= 0) & np.isfinite(baseline) & (baseline > 0)
    if policy == "baseline":
        return np.where(lacking, 1.0, ratio)
    worst = np.fmax.reduce(ratio, axis=0, initial=np.nan) if len(ratio) else np.full(ratio.shape[1], np.nan)
    return np.where(lacking, worst, ratio)


def common_tasks(results: Results) -> NDArray[np.bool_]:
    """[R] tasks that all own models have done; where there is no own model, those that all models have."""
    own = np.array([entry.source == "own" for entry in results.entries])
    counted: Sequence[bool] | NDArray[np.bool_] = own if own.any() else np.ones(len(own), dtype=bool)
    done = (results.status == "ok") & ~np.isnan(results.mase)
    kept: NDArray[np.bool_] = done[counted].all(axis=0)
    return kept
