"""Scores over some of the windows: computed anew from the windows' sums, for `--windows SQL`.

Published results have no windows, so they have no place in such a slice, and the baseline must be one's own. Of the sums only those are
read that the metrics use: a database of 30 million windows is one pass over five columns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.arrow import to_numpy
from harness.errors import NothingMatched, UsageError
from harness.scoring import LISTS, STATISTICS
from harness_leaderboard.aggregate import Array, Results
from harness_leaderboard.arrays import baseline_scores

if TYPE_CHECKING:
    from harness.store import Store
    from harness.types import Metric

__all__ = ["of_windows"]

COLUMNS = "item_id, variate, slot, cutoff, context_length, seasonal_error, fallback"


def of_windows(store: Store, results: Results, metrics: Sequence[Metric], condition: str) -> Results:
    """The results of own models over the windows for which a condition holds, for the tasks that have such windows.

    Args:
        store: where the windows are.
        results: the suite's results.
        metrics: the main metrics.
        condition: SQL over the columns of `windows`: "variate = 0 AND cutoff >= '2020-01-01'".

    Raises:
        UsageError: not a condition over these columns.
        NothingMatched: it holds for no window of an own result.
    """
    _check_condition(store, condition)
    own = [m for m, entry in enumerate(results.entries) if entry.source == "own"]
    row = {m: i for i, m in enumerate(own)}
    number = {task["name"]: r for r, task in enumerate(results.tasks)}
    at = {c.result_id: (row[m], number[name]) for (m, name), cells in results.cells.items() for c in cells if c.status == "ok"}
    shape = (len(own), len(results.tasks))
    total = {metric.name: np.zeros(shape) for metric in metrics}
    count = {metric.name: np.zeros(shape) for metric in metrics}
    seen: Array = np.zeros(shape)
    fallen, answered = np.zeros(shape), np.zeros(shape)
    for levels, ids in _by_levels(store, list(at)).items():
        sums, found, (windows, shares, told) = _sums(store, ids, levels, metrics, condition)
        places = np.array([at[result] for result in found], np.int64).reshape(-1, 2).T  # [2, K]
        for whole, part in ((seen, windows), (fallen, shares), (answered, told)):
            np.add.at(whole, (places[0], places[1]), part)
        for metric in metrics:
            value = np.asarray(metric.value(sums), np.float64)  # [K]
            good = ~np.isnan(value)
            np.add.at(total[metric.name], (places[0, good], places[1, good]), value[good])
            np.add.at(count[metric.name], (places[0, good], places[1, good]), 1)
    if not seen.any():
        raise NothingMatched(f"no window of an own result fulfils --windows {condition!r}. Columns: {COLUMNS}; their values: harness sql")
    scores = {name: np.divide(total[name], count[name], out=np.full(shape, np.nan), where=count[name] > 0) for name in total}
    return _restricted(results, own, scores, seen, (fallen, answered), condition)


def _check_condition(store: Store, condition: str) -> None:
    """Refuse what is more than a condition: "1=1) UNION ALL SELECT … WHERE (1=1" would count windows twice.

    As DuckDB's parser reads it, all but the condition must be as with the condition `true`.
    """
    sql = "SELECT json_serialize_sql('SELECT 1 WHERE (' || $1 || chr(10) || ')') AS tree"
    tree, plain = (json.loads(store.query(sql, [text])["tree"][0].as_py()) for text in (condition, "true"))
    if tree["error"]:
        raise UsageError(f"got --windows {condition!r}, which is no condition over {COLUMNS}: {tree['error_message'].splitlines()[0]}")
    for parsed in (tree, plain):
        parsed["statements"][0]["node"].pop("where_clause", None)
    if tree != plain:
        raise UsageError(f"got --windows {condition!r}, which is more than one condition over {COLUMNS}; wanted one, as in: slot = 0")


def _by_levels(store: Store, ids: list[str]) -> dict[tuple[float, ...], list[str]]:
    """Results by their quantile levels: lists of one length can be added."""
    sql = "SELECT quantile_levels, list(result_id) AS ids FROM main.cells WHERE result_id IN (SELECT unnest($1::VARCHAR[])) GROUP BY 1"
    return {tuple(row["quantile_levels"] or ()): row["ids"] for row in store.query(sql, [ids]).to_pylist()} if ids else {}


class _Asked(dict[str, Any]):
    """Sums of ones that remember which of them were looked at."""

    def __init__(self, levels: Sequence[float]) -> None:
        lists = {name: np.ones((1, len(levels))) for name in LISTS}
        super().__init__({**{name: np.ones(1) for name in STATISTICS}, **lists, "levels": np.asarray(levels, np.float64)})
        self.names: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.names.add(name)
        return super().__getitem__(name)


def _needed(metrics: Sequence[Metric], levels: Sequence[float]) -> list[str]:
    """The statistics that these metrics read."""
    asked = _Asked(levels)
    for metric in metrics:
        metric.value(asked)
    return [name for name in STATISTICS if name in asked.names]


_COUNTS = {
    "counted": "count(*)::DOUBLE AS counted",
    "fallen": "coalesce(sum(fallback), 0)::DOUBLE AS fallen",
    "told": "count(fallback)::DOUBLE AS told",
}
"""What is counted of a result's windows in the slice."""


def _sums(
    store: Store, ids: list[str], levels: Sequence[float], metrics: Sequence[Metric], condition: str
) -> tuple[Mapping[str, Any], list[str], tuple[Array, Array, Array]]:
    """({statistic: [K] or [K, Q]}, [K] result ids, [K] each: windows, the sum of their `fallback`, those of which it is known) of the
    results that have windows in the slice.
    """
    names = _needed(metrics, levels)
    plain = [f"coalesce(sum({name}), 'nan')::DOUBLE AS {name}" for name in names if name not in LISTS]
    lists = [f"coalesce(sum({name}[{q + 1}]), 'nan')::DOUBLE AS {name}_{q}" for name in names if name in LISTS for q in range(len(levels))]
    selected = ", ".join(["result_id", *_COUNTS.values(), *plain, *lists])
    # Inside a subquery: whatever the condition says, rows of other results do not come in.
    kept = f"(SELECT * FROM main.windows WHERE ({condition}\n))"
    sql = f"SELECT {selected} FROM {kept} WHERE result_id IN (SELECT unnest($1::VARCHAR[])) GROUP BY result_id"
    try:
        table = store.query(sql, [ids]).combine_chunks()
    except UsageError as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"got --windows {condition!r}, which is no condition over {COLUMNS}: {reason}") from error
    column = {name: to_numpy(table[name].combine_chunks()) for name in table.column_names[1:]}
    sums: dict[str, Any] = {name: column[name] for name in names if name not in LISTS}
    sums |= {name: np.stack([column[f"{name}_{q}"] for q in range(len(levels))], axis=1) for name in names if name in LISTS}
    sums["levels"] = np.asarray(levels, np.float64)
    counted, fallen, told = (column[name] for name in _COUNTS)
    return sums, table["result_id"].to_pylist(), (counted, fallen, told)


def _restricted(
    results: Results, own: list[int], scores: dict[str, Array], seen: Array, fallback: tuple[Array, Array], condition: str
) -> Results:
    entries = [results.entries[m] for m in own]
    stale = np.zeros(seen.shape, np.bool_) if results.stale is None else results.stale[own]
    base, rests, _ = baseline_scores(scores, stale, entries, results.baseline, results.main[0])
    shown = f"Only windows for which {condition}: {int(seen.max(axis=0).sum()):,} windows of {int((seen > 0).any(axis=0).sum())} tasks."
    sliced = replace(
        results,
        entries=entries,
        scores=scores,
        baselines=base,
        # A good result without a window here is no result here.
        status=np.where((results.status[own] == "ok") & (seen == 0), "", results.status[own]),
        seeds=results.seeds[own],
        windows=results.windows[own],
        predict_s=results.predict_s[own],
        fit_s=results.fit_s[own],
        peak_mb=results.peak_mb[own],
        stale=stale,
        baseline_stale=rests,
        fallen=fallback[0],
        answered=fallback[1],
        notes=[*results.notes, f"{shown} Published results have no windows and are left out."],
        sliced=True,
        cells={(own.index(m), name): cells for (m, name), cells in results.cells.items()},
    )
    return sliced.only(np.asarray((seen > 0).any(axis=0)))
