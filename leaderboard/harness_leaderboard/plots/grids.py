"""Rows of the pictures with a mark for each pair: models and groups of tasks, models and tasks, models and models."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.cli.output import printable
from harness.errors import NothingMatched
from harness_leaderboard import bootstrap
from harness_leaderboard.aggregate import Array, geometric_mean
from harness_leaderboard.board import units_of_tasks
from harness_leaderboard.plots.numbers import GROUPS, TASKS, Numbers, Picture
from harness_leaderboard.words import counted, relative

__all__ = ["domains", "equal", "heatmap", "winloss"]

CELL = 11
"""Least pixels of a task, so that its name can be read."""
NAMES = 230
"""Pixels that models' names and margins take."""


def domains(numbers: Numbers, by: str) -> Picture:
    """nMASE of each model in each group of tasks: those with the same value of a column."""
    results, drawn = numbers.results, numbers.drawn()
    values = [str(task.get(by) if task.get(by) is not None else "") for task in results.tasks]
    groups = list(dict.fromkeys(values))
    if by in ("horizon", "variates"):
        groups.sort(key=float)
    rows = []
    for order, group in enumerate(groups[:GROUPS]):
        keep = np.array([value == group for value in values])
        logs = numbers.logs[drawn][:, keep]
        low, high = bootstrap.intervals(logs, units_of_tasks(results.only(keep)))
        means = geometric_mean(numbers.ratios[drawn][:, keep])
        name = f"{printable(group, 40) or '(none)'} · {counted(int(keep.sum()), 'task')}"
        rows += [
            {"group": name, "group_order": order, "model": numbers.names[m], "order": k, "value": means[k], "low": low[k], "high": high[k]}
            for k, m in enumerate(drawn)
        ]
    rest = f"; the first {GROUPS} of {len(groups)} groups" if len(groups) > GROUPS else ""
    words = "bars from the baseline: left is better; lines are 95 % intervals"
    title = numbers.title(f"{relative(numbers.label)} by {by}")
    return Picture(rows, title, f"{numbers.scope(drawn)}{rest}\n{words}", panels=min(len(groups), GROUPS))


def heatmap(numbers: Numbers) -> Picture:
    """Score over baseline of each model on each task, tasks of a domain side by side."""
    results, drawn = numbers.results, numbers.drawn()
    domain = {str(task.get("domain")): k for k, task in reversed(list(enumerate(results.tasks)))}
    order = sorted(range(len(results.tasks)), key=lambda r: (domain[str(results.tasks[r].get("domain"))], r))[:TASKS]
    rows = [
        {
            "model": numbers.names[m], "order": k, "task": printable(results.tasks[r]["name"], 80), "task_order": place,
            "ratio": numbers.ratios[m, r], "status": str(results.status[m, r]) or "missing",
        }
        for k, m in enumerate(drawn)
        for place, r in enumerate(order)
    ]  # fmt: skip
    rest = f"; the first {TASKS}" if len(results.tasks) > TASKS else ""
    signs = "× failed, – skipped, · missing, ? no ratio; tasks by domain"
    title = numbers.title(f"{numbers.label} over the baseline's")
    return Picture(rows, title, f"{numbers.scope(drawn)}{rest}\n{signs}", width=NAMES + CELL * len(order))


def winloss(numbers: Numbers) -> Picture:
    """Who beats whom, in tasks that both have; scores whose logs differ by less than `bootstrap.SAME` are equal."""
    drawn = numbers.drawn()
    if len(drawn) < 2:
        raise NothingMatched("got one model with scores; who beats whom wants two. More: --top, -m")
    scores = numbers.results.scores[numbers.metric][drawn]
    apart = bootstrap.told_apart(numbers.logs[drawn], numbers.units)
    rows: list[dict[str, Any]] = []
    for i, one in enumerate(drawn):
        for j, other in enumerate(drawn):
            row = {"model": numbers.names[one], "order": i, "other": numbers.names[other], "other_order": j}
            both = ~(np.isnan(scores[i]) | np.isnan(scores[j]))
            tied = equal(scores[i], scores[j])
            wins, ties, games = int(((scores[i] < scores[j]) & ~tied).sum()), int(tied.sum()), int(both.sum())
            if i == j:
                row |= {"wins": None, "ties": None, "losses": None, "share": None, "told_apart": None}
            else:
                share = (wins + ties / 2) / games if games else None
                row |= {"wins": wins, "ties": ties, "losses": games - wins - ties, "share": share, "told_apart": bool(apart[i, j])}
            rows.append(row)
    words = "per cent of tasks on which the model of the row is better, ties half; * told apart at 95 %"
    return Picture(rows, numbers.title(f"who beats whom by {numbers.label}"), f"{numbers.scope(drawn)}\n{words}")


def equal(a: Array, b: Array) -> NDArray[np.bool_]:
    """[R] where two models' scores are the same, or nearly: logs within `bootstrap.SAME`. False where either is NaN.

    >>> equal(np.array([1.0, 1.0, 0.0, np.inf]), np.array([1.0000001, 1.1, 0.0, 2.0])).tolist()
    [True, False, True, False]
    """
    sound = np.isfinite(a) & np.isfinite(b) & (a > 0) & (b > 0)
    gap = np.log(a, out=np.zeros(a.shape), where=sound) - np.log(b, out=np.zeros(b.shape), where=sound)
    near: NDArray[np.bool_] = (a == b) | (sound & (np.abs(gap) <= bootstrap.SAME))
    return near
