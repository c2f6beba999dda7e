"""Does an own result agree with a published one of the same model? Configuration by configuration, metric by metric.

Axes: K metrics that both have, R tasks. The relative difference of a score is (own − theirs)/|theirs|: 0 where both are equal (also both
zero, both infinite), infinite where only theirs is zero or only they have a number, NaN where they have none: what was not published is no
disagreement, and is not compared but counted.
A configuration is within tolerance when all its metrics are. Agreement in MASE alone is little: a wrong tail of the quantiles, a wrong mean
forecast or another rule for zeros shows in other metrics first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import NothingMatched, UsageError
from harness_leaderboard.aggregate import Array
from harness_leaderboard.choose import short_metric
from harness_leaderboard.parity_hints import hints

__all__ = ["TOLERANCE", "parity", "read_tolerances", "relative"]

TOLERANCE = 0.01
_ROUNDING = 1e-9
"""A difference of exactly the tolerance is within it, whatever rounding does."""


def relative(own: Array, theirs: Array) -> Array:
    """Signed relative differences, any shape; see the module's rule for zeros, infinities and missing numbers.

    >>> relative(np.array([1.1, 0.0, 1.0, np.inf, np.nan, 1.0]), np.array([1.0, 0.0, 0.0, np.inf, 1.0, np.nan])).round(3).tolist()
    [0.1, 0.0, inf, 0.0, inf, nan]
    """
    missing = np.isnan(own) | np.isnan(theirs)
    usual = np.isfinite(own) & np.isfinite(theirs) & (theirs != 0)
    out: Array = np.where(~missing & (own == theirs), 0.0, np.inf)
    with np.errstate(over="ignore"):
        out[usual] = (own[usual] - theirs[usual]) / np.abs(theirs[usual])
    out[np.isnan(theirs)] = np.nan
    return out


def read_tolerances(texts: Sequence[str]) -> dict[str, float]:
    """Read `--tolerance`: "1%" or "0.01" for all metrics (key ""), "MSIS=5%" for one.

    Raises:
        UsageError: not a share from 0 to below 1, or a percentage.

    >>> read_tolerances(["2%", "MSIS=0.05"])
    {'': 0.02, 'MSIS': 0.05}
    """
    found = {"": TOLERANCE}
    for text in texts:
        name, equals, number = text.rpartition("=")
        plain = number.strip().removesuffix("%")
        try:
            value = float(plain) / (100 if number.strip().endswith("%") else 1)
        except ValueError:
            value = np.nan
        wrong = not 0 <= value < (np.inf if "%" in number else 1) or "_" in plain or (equals and not name.strip())
        if wrong:
            raise UsageError(f"got --tolerance {text[:60]!r}; wanted a percentage or a share, as in 1%, 0.01 or MSIS=5%")
        found[name.strip()] = value
    return found


def parity(
    tasks: Sequence[Mapping[str, Any]],
    own: Mapping[str, Array],
    theirs: Mapping[str, Array],
    tolerances: Mapping[str, float],
    metrics: Sequence[str] = (),
) -> dict[str, Any]:
    """Compare two sets of scores.

    Args:
        tasks: R records with "name" and the columns that `hints` looks at.
        own: {metric: [R]}, NaN = no score.
        theirs: the same of the published model.
        tolerances: {metric: share}, "" for the others.
        metrics: those to compare; none = all that both have.

    Returns:
        `agrees`; `configurations` and how many are `within`; `metrics` [{metric, tolerance, compared, unpublished, within, median, largest,
        task}] with signed differences, where `unpublished` counts configurations of which only the own side has this metric; `outside`
        [{task, metric, difference: the worst, differences: {metric: signed}}], the worst first; `hints`;
        `only_own`, `only_theirs`: tasks that one lacks.

    Raises:
        NothingMatched: no task or no metric that both have.
    """
    names = [str(task["name"]) for task in tasks]
    shared = [name for name in (metrics or own) if _any(own, name) and _any(theirs, name)]
    mine = np.array([own[name] for name in shared]).reshape(len(shared), len(names))
    other = np.array([theirs[name] for name in shared]).reshape(mine.shape)
    has_own, has_theirs = (~np.isnan(mine)).any(axis=0), (~np.isnan(other)).any(axis=0)
    both = has_own & has_theirs
    if not both.any():
        what = f"{has_own.sum()} tasks of one's own and {has_theirs.sum()} of theirs have scores in {len(shared)} shared metrics"
        raise NothingMatched(f"there is no configuration that both have: {what}; run what is missing, or name another with --against")
    gaps = relative(mine[:, both], other[:, both])  # [K, R']
    allowed = np.array([tolerances.get(name, tolerances.get(short_metric(name), tolerances.get("", TOLERANCE))) for name in shared])
    outside: NDArray[np.bool_] = np.abs(gaps) > allowed[:, None] * (1 + _ROUNDING) + 1e-15
    lacking = (np.isnan(other[:, both]) & ~np.isnan(mine[:, both])).sum(axis=1)  # [K]
    kept = [task for task, stays in zip(tasks, both, strict=True) if stays]
    bad: NDArray[np.bool_] = np.logical_or.reduce(outside, axis=0)
    return {
        "agrees": not bad.any(),
        "configurations": len(kept),
        "within": int((~bad).sum()),
        "metrics": [
            {**_metric(name, gaps[k], outside[k], float(allowed[k]), kept), "unpublished": int(lacking[k])} for k, name in enumerate(shared)
        ],
        "outside": _outside(shared, gaps, outside, kept),
        "hints": hints(kept, shared, gaps, outside),
        "only_own": [name for name, a, b in zip(names, has_own, has_theirs, strict=True) if a and not b],
        "only_theirs": [name for name, a, b in zip(names, has_own, has_theirs, strict=True) if b and not a],
    }


def _any(scores: Mapping[str, Array], name: str) -> bool:
    return name in scores and not np.isnan(scores[name]).all()


def _metric(name: str, gaps: Array, outside: NDArray[np.bool_], allowed: float, tasks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    there = ~np.isnan(gaps)
    finite = gaps[np.isfinite(gaps)]
    worst = int(np.argmax(np.where(there, np.abs(gaps), -1))) if there.any() else -1
    return {
        "metric": name,
        "tolerance": allowed,
        "compared": int(there.sum()),
        "within": int((there & ~outside).sum()),
        "median": float(np.median(finite)) if len(finite) else np.nan,
        "largest": float(gaps[worst]) if worst >= 0 else np.nan,
        "task": str(tasks[worst]["name"]) if worst >= 0 and gaps[worst] != 0 else "",
    }


def _outside(metrics: Sequence[str], gaps: Array, outside: NDArray[np.bool_], tasks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The configurations that differ, the worst first; of each, the metrics beyond their tolerance."""
    rows = []
    for r in np.flatnonzero(outside.any(axis=0)):
        beyond = {name: float(gaps[k, r]) for k, name in enumerate(metrics) if outside[k, r]}
        worst = max(beyond, key=lambda name: abs(beyond[name]))
        rows.append({"task": str(tasks[int(r)]["name"]), "metric": worst, "difference": beyond[worst], "differences": beyond})
    return sorted(rows, key=lambda row: (-abs(row["difference"]), row["task"]))
