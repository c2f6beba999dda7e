"""Where the differences between two results of one model gather, found by a search over metrics and columns of the tasks.

A set of tasks (a few values of one column, or a range of a numeric one) is a hint when "differs" and "is in the set" are nearly the same:
F1 of precision (share of the set that differs) and recall (share of the differing that is in the set) of at least 0.8, and so good a match
is unlikely by chance: hypergeometric p times the number of sets that were tried (Bonferroni) below 1 %. Without that correction every
list of differing tasks would be "explained" by the datasets in it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness_leaderboard.aggregate import Array
from harness_leaderboard.choose import short_metric

__all__ = ["Pattern", "hints", "search"]

Mask = NDArray[np.bool_]

COLUMNS = ("term", "variates", "horizon", "freq", "season_length", "domain", "family", "dataset")
NUMERIC = ("horizon", "variates", "season_length")
F1, CHANCE, FEWEST, MOST = 0.8, 0.01, 3, 3

CAUSES = {
    "term": "another length of the context, or another way on beyond the steps that the model forecasts at once",
    "horizon": "another length of the context, or another way on beyond the steps that the model forecasts at once",
    "variates": "the variates of an item are given to the model in another way (together, one by one)",
    "freq": "another season length, resampling or frequency input",
    "season_length": "another season length",
    "family": "other data: versions, missing values, the way windows are cut",
    "dataset": "other data: versions, missing values, the way windows are cut",
}
METRIC_CAUSES = (
    ({"MSIS"}, "the tails of the quantiles: how levels 0.025 and 0.975 are made from those that are forecast"),
    ({"MASE[0.5]", "MSIS"}, "both are divided by the seasonal error: another season length or another stretch of the past"),
    ({"mean_weighted_sum_quantile_loss", "MSIS"}, "the quantiles, while the median agrees"),
    ({"MSE[mean]", "RMSE[mean]", "NRMSE[mean]"}, "the mean forecast, while the median agrees"),
    ({"MAPE[0.5]", "sMAPE[0.5]"}, "labels near zero, where one point decides"),
)


class Pattern(NamedTuple):
    """A set of tasks that matches those that differ: in words, how many it has, how many of them differ, and how well it matches."""

    column: str
    words: str
    size: int
    hits: int
    f1: float
    p: float


def hints(tasks: Sequence[Mapping[str, Any]], metrics: Sequence[str], gaps: Array, outside: Mask) -> list[str]:
    """Sentences about where the differences gather; none when nothing differs.

    Args:
        tasks: R records.
        metrics: K names.
        gaps: [K, R] signed relative differences, NaN = not compared.
        outside: [K, R] which are beyond their tolerance.
    """
    bad: Mask = np.logical_or.reduce(outside, axis=0)
    total = int(bad.sum())
    if not total:
        return []
    lines = [_by_metric(metrics, gaps, outside), _by_factor(metrics, gaps, outside)]
    if total == len(bad) and total > 1:
        lines.append("all configurations differ, so that no part of the suite explains it")
    elif total < FEWEST:
        lines.append(f"too few configurations differ ({total}) to see what they share")
    else:
        found = search(tasks, bad)
        lines += [_sentence(pattern, total) for pattern in found[:MOST]]
        if not found:
            lines.append(
                "the differing configurations share no term, frequency, domain, dataset, horizon, season length or number of variates"
            )
    return [line for line in lines if line] + _direction(metrics, gaps, outside)


def search(tasks: Sequence[Mapping[str, Any]], bad: Mask) -> list[Pattern]:
    """The sets of tasks that match `bad` [R], the best match first, of equal ones the simpler."""
    found = [pattern for column in COLUMNS for pattern in _of_column(tasks, column, bad)]
    best: dict[str, Pattern] = {}
    for pattern in found:  # one a column
        if pattern.column not in best or pattern.f1 > best[pattern.column].f1:
            best[pattern.column] = pattern
    return sorted(best.values(), key=lambda pattern: (-round(pattern.f1, 6), pattern.p, COLUMNS.index(pattern.column)))


def _of_column(tasks: Sequence[Mapping[str, Any]], column: str, bad: Mask) -> Iterator[Pattern]:
    values = [task.get(column) for task in tasks]
    if any(value is None for value in values) or len(set(values)) < 2:
        return
    if column in NUMERIC:
        numbers = np.array(values, np.float64)
        cuts = np.unique(numbers)
        for cut in cuts[1:]:
            for inside, words in ((numbers >= cut, f"{column} >= {cut:g}"), (numbers < cut, f"{column} < {cut:g}")):
                if pattern := _match(column, _named(column, words, cuts), inside, bad, 2 * (len(cuts) - 1)):
                    yield pattern
        return
    texts = [str(value) for value in values]
    distinct = list(dict.fromkeys(texts))
    inside_of = {value: np.array([text == value for text in texts]) for value in distinct}
    chosen = [value for value in distinct if bad[inside_of[value]].mean() > 0.5]
    if 0 < len(chosen) < len(distinct):
        inside = np.logical_or.reduce([inside_of[value] for value in chosen])
        words = f"{column} = {' or '.join(chosen)}" if len(chosen) <= 4 else f"{len(chosen)} of {len(distinct)} values of {column}"
        if pattern := _match(column, words, inside, bad, math.comb(len(distinct), len(chosen))):
            yield pattern


def _named(column: str, words: str, cuts: Array) -> str:
    """Simpler words for the one cut between univariate and multivariate tasks."""
    if column == "variates" and cuts[0] == 1 and words.endswith(f" {cuts[1]:g}"):
        return "multivariate tasks" if ">=" in words else "univariate tasks"
    return words


def _match(column: str, words: str, inside: Mask, bad: Mask, tried: int) -> Pattern | None:
    size, hits, total = int(inside.sum()), int((inside & bad).sum()), int(bad.sum())
    f1 = 2 * hits / (size + total)
    if f1 < F1:
        return None
    p = min(1.0, _chance(len(bad), total, size, hits) * tried)
    return Pattern(column, words, size, hits, f1, p) if p < CHANCE else None


def _chance(count: int, total: int, size: int, hits: int) -> float:
    """The chance that `size` tasks drawn from `count`, of which `total` differ, hold at least `hits` differing ones (hypergeometric)."""
    ways = sum(math.comb(total, k) * math.comb(count - total, size - k) for k in range(hits, min(size, total) + 1))
    return ways / math.comb(count, size)


def _sentence(pattern: Pattern, total: int) -> str:
    inside = "all differences are" if pattern.hits == total else f"{pattern.hits} of {total} differing configurations are"
    text = f"{inside} in {pattern.words}, where {pattern.hits} of {pattern.size} differ"
    return f"{text}; possible cause: {CAUSES[pattern.column]}" if pattern.column in CAUSES else text


def _by_metric(metrics: Sequence[str], gaps: Array, outside: Mask) -> str:
    """Which metrics differ, where others agree."""
    counts = outside.sum(axis=1)
    compared = (~np.isnan(gaps)).any(axis=1)
    order = [k for k in np.argsort(-counts, kind="stable") if counts[k]]
    few = next(n for n in range(1, len(order) + 1) if counts[order[:n]].sum() >= 0.9 * counts.sum())
    chosen = {metrics[k] for k in order[:few]}
    if len(order) == compared.sum() and few > compared.sum() / 2:
        return ""
    nearly = "only" if few == len(order) else "nearly only"
    cause = next((text for names, text in METRIC_CAUSES if chosen <= names), "")
    line = f"{nearly} {', '.join(short_metric(m) for m in metrics if m in chosen)} differ{'s' if len(chosen) == 1 else ''}"
    return f"{line}; possible cause: {cause}" if cause else line


def _by_factor(metrics: Sequence[str], gaps: Array, outside: Mask) -> str:
    """Whether all metrics of a configuration differ by one factor: then the errors are scaled, not other ones."""
    power = np.array([2.0 if name.startswith("MSE") else 1.0 for name in metrics])
    scaling = np.array([not name.startswith(("MAPE", "sMAPE")) for name in metrics])
    bad = np.logical_or.reduce(outside, axis=0)
    usable = scaling & np.isfinite(gaps[:, bad]).all(axis=1)
    if usable.sum() < 3 or outside[np.ix_(scaling, bad)].mean() < 0.9:
        return ""
    ratio = 1 + gaps[usable][:, bad]
    if (ratio <= 0).any():
        return ""
    logs = np.log(ratio) / power[usable][:, None]  # [K', R']
    middle = np.median(logs, axis=0)
    even = np.abs(logs - middle).max(axis=0) <= np.maximum(1e-4, 0.05 * np.abs(middle))
    if even.mean() < 0.9:
        return ""
    factor = float(np.exp(np.median(middle)))
    same = np.abs(middle - np.median(middle)).max() <= max(1e-4, 0.05 * abs(math.log(factor)))
    which = f"by the same factor, {factor:.4g}" if same else f"by one factor in each configuration, {factor:.4g} in the median"
    return f"all metrics differ {which}; possible cause: the same errors, scaled or averaged in another way"


def _direction(metrics: Sequence[str], gaps: Array, outside: Mask) -> list[str]:
    """Whether the own scores are better or worse, by the metric that differs most often."""
    k = int(np.argmax(outside.sum(axis=1)))
    values = gaps[k, outside[k]]
    values = values[np.isfinite(values)]
    if len(values) < FEWEST:
        return []
    higher = int((values > 0).sum())
    side, many = ("higher (worse)", higher) if higher >= len(values) - higher else ("lower (better)", len(values) - higher)
    median = 100 * abs(float(np.median(values)))
    return [f"the own {short_metric(metrics[k])} is {side} in {many} of {len(values)} of them, by {median:.2g} % in the median"]
