"""Rows of the pictures with a mark or a bar for each model: intervals, cost, places, policies, mean ranks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.cli.output import printable
from harness.errors import NothingMatched
from harness_leaderboard import bootstrap, significance, ties
from harness_leaderboard.aggregate import Array, divided, filled, geometric_mean
from harness_leaderboard.influence import influence as influences
from harness_leaderboard.plots.numbers import LACKING, NAMED, RANKED, Numbers, Picture
from harness_leaderboard.words import counted, relative

__all__ = ["critical", "influence", "intervals", "levels", "mean_ranks", "pareto", "policies", "rank_lines"]

POLICIES = {"drop": "left out", "baseline": "as the baseline", "worst": "as the worst model"}
"""What is done with a missing result, in words (see `aggregate.filled`)."""


def intervals(numbers: Numbers) -> Picture:
    """nMASE of each model with its interval, and letters of those that cannot be told apart."""
    drawn = numbers.drawn()
    logs = numbers.logs[drawn]  # [K, R]
    low, high = bootstrap.intervals(logs, numbers.units)
    sure = [k for k in range(len(drawn)) if not np.isnan(low[k])]
    lettered = 0 < len(sure) <= ties.LETTERED
    letters = ties.letters(bootstrap.told_apart(logs, numbers.units), sure) if lettered else [""] * len(drawn)
    rows = [
        {
            "model": numbers.names[m], "order": k, "value": numbers.means[m], "low": low[k], "high": high[k], "letters": letters[k],
            "source": numbers.source(m),
        }
        for k, m in enumerate(drawn)
    ]  # fmt: skip
    over = f"95 % intervals over {_families(numbers, logs)}" if sure else "no intervals: one or two dataset families, or nearly"
    same = "; models that share a letter cannot be told apart" if lettered else ""
    return Picture(rows, numbers.title(relative(numbers.label)), f"{numbers.scope(drawn)}\n{over}{same}")


def _families(numbers: Numbers, logs: Array) -> str:
    """How many of the dataset families have a ratio of any of these models."""
    touched = int((numbers.units.sums(np.isfinite(logs).astype(np.float64)) > 0).any(axis=0).sum())
    return counted(touched, "dataset family")


def pareto(numbers: Numbers) -> Picture:
    """nMASE beside seconds to fit and to predict, for 1,000 forecasts, of all models of the view that were timed."""
    results = numbers.results
    cost = divided(1000 * (results.fit_s + results.predict_s), results.windows, results.windows > 0)
    timed = [m for m in numbers.order if cost[m] > 0 and not np.isnan(numbers.means[m])]
    if not timed:
        raise NothingMatched("no model shown was timed: published results carry no times. To time one: harness run")

    def beaten(m: int) -> bool:
        """Is another model cheaper and better, or one of these and equal in the other?"""
        return any(
            numbers.means[o] <= numbers.means[m] and cost[o] <= cost[m] and (numbers.means[o] < numbers.means[m] or cost[o] < cost[m])
            for o in timed
        )

    rows = [
        {
            "model": numbers.names[m], "cost": cost[m], "value": numbers.means[m], "front": not beaten(m),
            "named": len(timed) <= NAMED, "source": numbers.source(m),
            "parameters": results.entries[m].info.get("parameters"),
        }
        for m in timed
    ]  # fmt: skip
    words = "no model is both cheaper and better than those on the line; times of one machine compare, those of several do not"
    return Picture(rows, numbers.title(f"{relative(numbers.label)} against cost"), f"{numbers.scope(timed)}\n{words}")


def influence(numbers: Numbers) -> Picture:
    """The places a model takes when one dataset family is left out."""
    families = [str(task.get("family") or task.get("dataset") or task["name"]) for task in numbers.results.tasks]
    if len(set(families)) < 2:
        raise NothingMatched("all tasks are of one dataset family, so none can be left out; take in more tasks, with --where or without")
    pool = np.flatnonzero(numbers.pool)
    found = dict(zip(pool.tolist(), influences(numbers.ratios[pool], families), strict=True))
    drawn = [m for m in numbers.drawn() if m in found and found[m].place]
    if not drawn:
        raise NothingMatched(
            "no model to show has all tasks, and places are among those that have; --common keeps the tasks of all own models"
        )
    rows = [
        {
            "model": numbers.names[m], "order": k, "place": found[m].place, "best": found[m].best, "worst": found[m].worst,
            "best_without": printable(found[m].best_without, 60) or "–", "worst_without": printable(found[m].worst_without, 60) or "–",
        }
        for k, m in enumerate(drawn)
    ]  # fmt: skip
    out = f"the best and worst when one of {counted(len(set(families)), 'family')} is left out"
    words = f"place among {counted(len(pool), 'model')} (point), and {out}"
    return Picture(rows, numbers.title(f"what {relative(numbers.label)} places hang on"), f"{numbers.scope(drawn)}\n{words}")


def policies(numbers: Numbers) -> Picture:
    """nMASE of the models that lack tasks, under three policies for what is missing."""
    results = numbers.results
    scores, baseline = results.scores[numbers.metric], results.baselines[numbers.metric]
    means = {name: geometric_mean(filled(numbers.ratios, scores, baseline, name)) for name in POLICIES}
    lacking = [m for m in numbers.order if (np.isnan(numbers.ratios[m]) & (np.isfinite(baseline) & (baseline > 0))).any()]
    if not lacking:
        raise NothingMatched("all models shown have all tasks, so no policy changes anything")
    whole = numbers.drawn() if numbers.chosen else lacking
    drawn = [m for m in whole if m in lacking][: numbers.top or LACKING]
    rows = [
        {"model": numbers.names[m], "order": k, "policy": words, "value": means[name][m]}
        for k, m in enumerate(drawn)
        for name, words in POLICIES.items()
        if not np.isnan(means[name][m])
    ]
    if not rows:
        raise NothingMatched("no model that lacks tasks has a score")
    title = numbers.title(f"{relative(numbers.label)} by what is done with missing results")
    known = int((np.isfinite(baseline) & (baseline > 0)).sum())
    over = f"\nover the {known} of {counted(len(baseline), 'task')} for which the baseline has a result" if known < len(baseline) else ""
    return Picture(rows, title, f"{numbers.scope(drawn)}: those that lack some{over}")


def critical(numbers: Numbers) -> Picture:
    """Mean ranks over blocks, and which of them Nemenyi's test cannot tell apart; of models that have all tasks."""
    from harness_leaderboard.charts import critical_rows

    drawn = [m for m in numbers.drawn() if numbers.pool[m]][:RANKED]
    if len(drawn) < 3:
        raise NothingMatched(
            f"got {counted(len(drawn), 'model')} with all tasks; the test of mean ranks wants three. More: --top, -m, --common"
        )
    scores = significance.block_means(numbers.logs[drawn], numbers.units)
    scores = levels(scores[:, ~np.isnan(scores).any(axis=0)])  # [K, N]
    blocks = scores.shape[1]
    if blocks < 2:
        raise NothingMatched("there are too few blocks: the test of mean ranks wants two dataset families that all models have")
    ranks = mean_ranks(scores)
    distance = significance.nemenyi_distance(len(drawn), blocks)
    test = significance.friedman(scores)
    rows = critical_rows([numbers.names[m] for m in drawn], ranks.tolist(), distance, rank_lines(ranks.tolist(), distance))
    differ = "at least one differs" if test.p < 0.05 else "they cannot be told apart as a whole"
    over = counted(blocks, "dataset family")
    p = "all are equal" if np.isnan(test.p) else "p < 0.001" if test.p < 0.001 else f"p = {test.p:.3f}"
    words = f"Friedman's test over {over}: {differ} ({p}); bars join what Nemenyi's cannot tell apart"
    return Picture(
        rows, numbers.title(f"mean ranks by {relative(numbers.label)}"), f"{numbers.scope(drawn)}; ranks are among those shown\n{words}"
    )


def levels(scores: Array) -> Array:
    """[K, N] logs -> [K, N] whole numbers in their order, the same for scores that are equal, or nearly.

    In each block a score within `bootstrap.SAME` of the next lower one is equal to it, as it is when models are told apart: three models
    that differ by 1e-12 are no finding, however often in the same order.

    >>> levels(np.array([[0.5, 0.1], [0.5 + 1e-9, 0.3], [0.2, 0.2]])).tolist()
    [[1.0, 0.0], [1.0, 2.0], [0.0, 1.0]]
    """
    order = np.argsort(scores, axis=0, kind="stable")
    steps = np.diff(np.take_along_axis(scores, order, axis=0), axis=0, prepend=scores.min(axis=0, keepdims=True)) > bootstrap.SAME
    found: Array = np.empty(scores.shape)
    np.put_along_axis(found, order, steps.cumsum(axis=0).astype(np.float64), axis=0)
    return found


def mean_ranks(scores: Array) -> Array:
    """[K, N] -> [K] mean over blocks of the rank from 1, equal scores sharing their mean.

    >>> mean_ranks(np.array([[1.0, 2.0], [1.0, 1.0], [3.0, 3.0]])).tolist()
    [1.75, 1.25, 3.0]
    """
    lower = (scores[None, :, :] < scores[:, None, :]).sum(axis=1)  # [K, N]
    equal = (scores[None, :, :] == scores[:, None, :]).sum(axis=1)
    ranks: Array = (lower + (equal + 1) / 2).mean(axis=1)
    return ranks


def rank_lines(ranks: Sequence[float], distance: float) -> list[tuple[float, float, int]]:
    """The largest groups of neighbours within the critical distance: (lowest rank, highest rank, line from 1), few lines without overlap.

    >>> rank_lines([1.0, 1.5, 3.0, 3.4], 0.6)
    [(1.0, 1.5, 1), (3.0, 3.4, 1)]
    """
    ordered = sorted(ranks)
    lines: list[tuple[float, float, int]] = []
    ends: list[float] = []  # where each line of bars is taken up to
    reached = -1
    for i, rank in enumerate(ordered):
        last = i
        while last + 1 < len(ordered) and ordered[last + 1] - rank <= distance:
            last += 1
        if last > max(i, reached):
            free = next((line for line, end in enumerate(ends) if end < rank), len(ends))
            ends[free : free + 1] = [ordered[last]]
            lines.append((rank, ordered[last], free + 1))
        reached = max(reached, last)
    return lines
