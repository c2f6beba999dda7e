"""Two models on one suite: how far apart, how sure, where, and what makes the difference.

All of it rests on log ratios of the two models' scores, task by task, log(a/b): their mean is the log of nMASE(A)/nMASE(B) over the tasks
that both have, whatever the baseline. Whether that can be told from nothing is decided by the paired bootstrap over dataset families
(`bootstrap.difference`); the other tests stand beside it and decide nothing.

`difference` is ratio − 1: −0.04 = A's score is 4 % lower. A task is a tie where the scores differ by less than 1e-6 in the logarithm.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import NothingMatched
from harness_leaderboard.aggregate import Array, Results, geometric_mean, logs_of, ratios
from harness_leaderboard.bootstrap import LEVEL, SAME, Units, difference, units_of
from harness_leaderboard.choose import short_metric
from harness_leaderboard.influence import drivers
from harness_leaderboard.significance import block_means, sign_test, wilcoxon

__all__ = ["PARTS", "compare", "flat", "summary"]

PARTS = ("domain", "term")
"""Columns of tasks by which a comparison is taken apart."""
DRIVERS = 5
"""Tasks shown in each direction."""


def compare(results: Results, a: int, b: int, metric: str, groups: Sequence[str] = PARTS) -> dict[str, Any]:
    """Compare rows a and b of `results` by one metric, lower is better.

    Returns:
        `whole`: `summary` of all tasks; `groups` {column: [summary with "group"]}; `drivers`: tasks and families that make the difference,
        and the summary without the strongest family; `tests`; `coverage`: tasks only one has, stale results. Undefined numbers are NaN.

    Raises:
        NothingMatched: there is no task that both have.
    """
    values = results.scores[metric]
    mine, other = values[a], values[b]
    both = ~np.isnan(mine) & ~np.isnan(other)
    if not both.any():
        raise NothingMatched(
            f"there is no task for which both have a {short_metric(metric)}: {results.entries[a].label} has {(~np.isnan(mine)).sum()}, "
            f"{results.entries[b].label} has {(~np.isnan(other)).sum()} of {len(results.tasks)} tasks; run what is missing"
        )
    families = [str(task["family"]) for task in results.tasks]
    whole = summary(mine, other, families)
    normal = geometric_mean(np.where(both, ratios(values[[a, b]], results.baselines[metric]), np.nan))
    whole |= {"score_a": float(normal[0]), "score_b": float(normal[1])}
    by_group = {column: _by_group(results, column, mine, other, families) for column in groups}
    return {
        "whole": whole,
        "groups": {column: rows for column, rows in by_group.items() if len(rows) > 1},
        "drivers": _drivers(results, a, b, metric, families),
        "tests": _tests(mine, other, families),
        "coverage": _coverage(results, a, b, metric),
    }


def summary(mine: Array, other: Array, families: Sequence[str]) -> dict[str, Any]:
    """Two models' scores [R] as one record: difference with interval and p, wins, ties, losses, and the verdict.

    `verdict` is "better" or "worse" (told apart at 95 %), "undecided", "equal" (no task differs), or "too few" (one or two dataset
    families, or nearly). `effective_families` is how many families of one size would weigh as much (`bootstrap.effective`); `undefined`
    counts pairs of scores without a ratio (zero or infinite), which still win or lose.
    """
    both = ~np.isnan(mine) & ~np.isnan(other)
    a, b = logs_of(np.where(both, mine, np.nan)), logs_of(np.where(both, other, np.nan))
    used = np.isfinite(a) & np.isfinite(b)
    units = _units(used, families)
    gap = difference(a[used], b[used], units)
    tie = both & (np.where(used, np.abs(np.where(used, a - b, 0)) <= SAME, mine == other))
    wins, losses = both & ~tie & (mine < other), both & ~tie & (mine > other)
    counts = {"tasks": int(both.sum()), "wins": int(wins.sum()), "ties": int(tie.sum()), "losses": int(losses.sum())}
    return {
        **counts,
        "undefined": int((both & ~used).sum()),
        "families": len({f for f, u in zip(families, both, strict=True) if u}),
        "effective_families": gap.effective,
        "ratio": float(np.exp(gap.mean)),
        "difference": float(np.expm1(gap.mean)),
        "low": float(np.expm1(gap.low)),
        "high": float(np.expm1(gap.high)),
        "p": gap.p,
        "verdict": _verdict(gap.mean, gap.p, counts["tasks"] == counts["ties"]),
    }


def _units(used: NDArray[np.bool_], families: Sequence[str]) -> Units:
    return units_of([family for family, kept in zip(families, used, strict=True) if kept])


def _verdict(mean: float, p: float, equal: bool) -> str:
    if equal:
        return "equal"
    if np.isnan(p):
        return "too few"
    if p > 1 - LEVEL + 1e-12:
        return "undecided"
    return "better" if mean < 0 else "worse"


def _by_group(results: Results, column: str, mine: Array, other: Array, families: Sequence[str]) -> list[dict[str, Any]]:
    """A summary for each value of a column of the tasks, in the suite's order; groups without a common task are left out."""
    values = [str(task.get(column, "")) for task in results.tasks]
    rows = []
    for group in dict.fromkeys(values):
        inside = np.array([value == group for value in values])
        kept = [family for family, stays in zip(families, inside, strict=True) if stays]
        row = summary(mine[inside], other[inside], kept)
        if row["tasks"]:
            rows.append({"group": group or "–", **row})
    return rows


def _drivers(results: Results, a: int, b: int, metric: str, families: Sequence[str]) -> dict[str, Any]:
    """What each task adds to the mean log ratio; the strongest on either side, the strongest family, and the summary without it."""
    values = results.scores[metric]
    parts = drivers(values, a, values[b])
    order = np.argsort(np.where(np.isnan(parts), 0.0, parts), kind="stable")

    def rows(indices: NDArray[np.int64]) -> list[dict[str, Any]]:
        about = [(results.tasks[i], float(parts[i]), float(values[a, i]), float(values[b, i])) for i in indices]
        return [{"task": t["name"], "family": t["family"], "a": x, "b": y, "ratio": x / y, "adds": part} for t, part, x, y in about]

    found: dict[str, Any] = {
        "for": rows(np.array([i for i in order[:DRIVERS] if parts[i] < -SAME / len(parts)], np.int64)),
        "against": rows(np.array([i for i in order[::-1][:DRIVERS] if parts[i] > SAME / len(parts)], np.int64)),
    }
    total = {f: float(np.nansum(parts[[g == f for g in families]])) for f in dict.fromkeys(families)}
    whole = float(np.nansum(parts))
    strongest = max(total, key=lambda family: total[family] * (1 if whole >= 0 else -1))
    kept = np.array([family != strongest for family in families])
    if whole and kept.any() and (~np.isnan(parts[kept])).any():
        rest = summary(values[a, kept], values[b, kept], [family for family in families if family != strongest])
        found |= {"family": strongest, "family_adds": total[strongest], "whole_adds": whole, "without": rest}
    return found


def _tests(mine: Array, other: Array, families: Sequence[str]) -> dict[str, Any]:
    """Wilcoxon's test and the sign test over dataset families."""
    logs = np.stack([logs_of(mine), logs_of(other)])
    used = np.isfinite(logs[0]) & np.isfinite(logs[1])
    units = _units(used, families)
    blocks = block_means(logs[:, used], units)
    ranks, signs = wilcoxon(blocks[0], blocks[1]), sign_test(blocks[0], blocks[1])
    return {
        "families": blocks.shape[1],
        "wilcoxon_p": ranks.p,
        "sign_lower": signs.lower,
        "sign_equal": signs.equal,
        "sign_higher": signs.higher,
        "sign_p": signs.p,
    }


def _coverage(results: Results, a: int, b: int, metric: str) -> dict[str, Any]:
    """Tasks that only one of them has, and how many of the compared results are stale."""
    has_a, has_b = ~np.isnan(results.scores[metric][a]), ~np.isnan(results.scores[metric][b])
    names = np.array([str(task["name"]) for task in results.tasks], dtype=object)
    stale = np.zeros((len(results.entries), len(names)), np.bool_) if results.stale is None else results.stale
    return {
        "only_a": names[has_a & ~has_b].tolist(),
        "only_b": names[has_b & ~has_a].tolist(),
        "neither": int((~has_a & ~has_b).sum()),
        "stale_a": int((stale[a] & has_a & has_b).sum()),
        "stale_b": int((stale[b] & has_a & has_b).sum()),
    }


def flat(found: dict[str, Any], name: str) -> dict[str, Any]:
    """The numbers of a comparison in one record, as `--fail-if` and `--json` have them; `name` is that of the score, "nMASE"."""
    whole, tests, coverage = found["whole"], found["tests"], found["coverage"]
    record = {"difference": whole["difference"], "difference_low": whole["low"], "difference_high": whole["high"]}
    record |= {f"{name}_ratio": whole["ratio"], f"{name}_A": whole["score_a"], f"{name}_B": whole["score_b"]}
    record |= {key: whole[key] for key in ("wins", "ties", "losses", "tasks", "families", "effective_families", "undefined")}
    record |= {"p_bootstrap": whole["p"], "p_wilcoxon": tests["wilcoxon_p"], "p_sign": tests["sign_p"]}
    record |= {"only_A": len(coverage["only_a"]), "only_B": len(coverage["only_b"])}
    return record | {"stale_A": coverage["stale_a"], "stale_B": coverage["stale_b"]}
