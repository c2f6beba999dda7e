"""A leaderboard's rows: what is known of each model on a suite, and how sure it is."""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.contamination import counts
from harness_leaderboard import bootstrap
from harness_leaderboard.aggregate import (
    Array,
    Entry,
    Results,
    divided,
    filled,
    geometric_mean,
    mean_ranks,
    pool_of,
    ratios,
    win_rates,
)
from harness_leaderboard.ties import LETTERED, letters, places

__all__ = ["board_rows", "group_means", "marks_of", "parameters_of", "units_of_tasks"]


def units_of_tasks(results: Results) -> bootstrap.Units:
    """The dataset families of the tasks, over which intervals are; a task without one is a family of its own dataset."""
    families = [str(task.get("family") or task.get("dataset") or task["name"]) for task in results.tasks]
    return bootstrap.units_of(families)


def board_rows(results: Results, shown: Container[tuple[str, str]] | None = None) -> list[dict[str, Any]]:
    """One record a model, the best nMASE first; undefined numbers are None.

    Args:
        results: all models of the suite: ranks and places are among them.
        shown: (label, source) of the models to return; None = all. Letters are among these, where they are at most `ties.LETTERED`.
    """
    pool = pool_of(results)
    units = units_of_tasks(results)
    r_mase, r_crps = ratios(results.mase, results.baseline_mase), ratios(results.crps, results.baseline_crps)
    logs = np.log(r_mase)
    low, high = bootstrap.intervals(logs, units)
    crps_low, crps_high = bootstrap.intervals(np.log(r_crps), units)
    apart = bootstrap.told_apart(logs, units)
    measured = ~np.isnan(low)
    best, worst = places(apart, pool & measured)
    families = bootstrap.effective(logs, units)
    n_mase = geometric_mean(r_mase)
    lacking, resting = _baseline_counts(results)
    undefined = ((results.status == "ok") & (np.isnan(r_mase) | np.isnan(r_crps))).sum(axis=1)
    timed = results.windows > 0
    columns: dict[str, Array] = {
        "nMASE": n_mase,
        "nCRPS": geometric_mean(r_crps),
        "rank_MASE": mean_ranks(results.mase, pool),
        "rank_CRPS": mean_ranks(results.crps, pool),
        "win_rate": win_rates(results.mase, pool),
        "predict_s_per_1k": divided(1000 * results.predict_s, results.windows, timed),
        "nMASE_low": low,
        "nMASE_high": high,
        "nCRPS_low": crps_low,
        "nCRPS_high": crps_high,
        "nMASE_if_baseline": geometric_mean(filled(r_mase, results.mase, results.baseline_mase, "baseline")),
        "nMASE_if_worst": geometric_mean(filled(r_mase, results.mase, results.baseline_mase, "worst")),
        "fit_s_per_1k": divided(1000 * results.fit_s, results.windows, timed),
        "peak_mb": results.peak_mb,
        "fallback": results.fallback,
    }
    keys = [(entry.label, entry.source) for entry in results.entries]
    order = [int(m) for m in np.argsort(n_mase, kind="stable") if shown is None or keys[m] in shown]
    lettered = [m for m in order if measured[m]]
    names = letters(apart, lettered) if len(lettered) <= LETTERED else [""] * len(measured)
    rows = []
    for m in order:
        row = _about(results, m)
        row |= {name: _number(values[m]) for name, values in columns.items()}
        row |= {"undefined": int(undefined[m]), "baseline_missing": int(lacking[m]), "baseline_stale": int(resting[m])}
        row |= {"effective_families": int(families[m]), "letters": names[m]}
        row |= {"compared_by": list(results.labels)}
        row |= {"own": {results.label(name): _number(_mean_of(results.scores[name][m])) for name in results.own}}
        row |= {"place_best": int(best[m]) or None, "place_worst": int(worst[m]) or None}
        rows.append(row)
    return sorted(rows, key=_order)


def _mean_of(values: Array) -> float:
    """Over the tasks that have a number."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _about(results: Results, m: int) -> dict[str, Any]:
    """What is counted and declared of one model."""
    entry = results.entries[m]
    total = len(results.tasks)
    counts = {state: int((results.status[m] == state).sum()) for state in ("ok", "failed", "skipped")}
    return {
        "model": entry.label,
        "source": entry.source,
        "coverage": counts["ok"] / total if total else None,
        "done": counts["ok"],
        "failed": counts["failed"],
        "skipped": counts["skipped"],
        "missing": total - sum(counts.values()),
        "total": total,
        "stale": 0 if results.stale is None else int(results.stale[m].sum()),
        "model_type": entry.model_type,
        "seeds": int(results.seeds[m]),
        "mode": entry.mode,
        "budget": entry.budget,
        "scope": entry.scope,
        "org": entry.org,
        "testdata_leakage": entry.testdata_leakage,
        "parameters": parameters_of(entry),
        "license": entry.license,
        **{f"contamination_{_spelt(state)}": count for state, count in marks_of(results, m).items()},
    }


def marks_of(results: Results, m: int) -> dict[str, int]:
    """{state: tasks of one model with a result that have it}, whether their labels may have been seen in training."""
    there = results.status[m] != ""
    return counts(np.full(there.sum(), "") if results.marks is None else results.marks[m, there])


def _spelt(state: str) -> str:
    return state.replace("-", "").replace(" ", "_")


def parameters_of(entry: Entry) -> int | None:
    """How many parameters a model declares; None = it does not say."""
    count = entry.info.get("parameters")
    return count if isinstance(count, int) and not isinstance(count, bool) else None


def _baseline_counts(results: Results) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """([M] done tasks for which the baseline has no score, [M] those for which it has only a stale one)."""
    done = results.status == "ok"
    lacking = np.isnan(results.baseline_mase) | np.isnan(results.baseline_crps)
    resting = np.zeros(len(results.tasks), dtype=np.bool_) if results.baseline_stale is None else results.baseline_stale
    return (done & lacking).sum(axis=1), (done & resting).sum(axis=1)


def group_means(results: Results, column: str) -> tuple[list[str], list[dict[str, Any]]]:
    """nMASE per group of tasks: (the groups' names in the order of the suite, one record a model with a value per group)."""
    values = ["–" if task[column] is None else str(task[column]) for task in results.tasks]
    groups = list(dict.fromkeys(values))
    if column in ("horizon", "variates"):
        groups.sort(key=lambda group: float(group) if group.lstrip("-").isdigit() else float("inf"))
    r_mase = ratios(results.mase, results.baseline_mase)
    means = {group: geometric_mean(r_mase[:, np.array([v == group for v in values])]) for group in groups}
    overall = geometric_mean(r_mase)
    _, resting = _baseline_counts(results)
    rows = []
    for i, entry in enumerate(results.entries):
        row: dict[str, Any] = {"model": entry.label, "source": entry.source, "nMASE": _number(overall[i])}
        row["done"], row["total"] = int((results.status[i] == "ok").sum()), len(values)
        row["compared_by"] = list(results.labels)
        row["stale"], row["baseline_stale"] = 0 if results.stale is None else int(results.stale[i].sum()), int(resting[i])
        rows.append({**row, "groups": {group: _number(means[group][i]) for group in groups}})
    return groups, sorted(rows, key=_order)


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _order(row: dict[str, Any]) -> tuple[bool, float, str, str]:
    score = row["nMASE"]
    return (score is None, score or 0.0, row["model"], row["source"])
