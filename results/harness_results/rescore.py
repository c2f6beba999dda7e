"""Scoring stored results again from their sums, for metrics that came or changed after the results were made."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.scoring import LISTS, STATISTICS
from harness_results import records

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from harness.types import Metric

__all__ = ["computed", "put"]

log = logging.getLogger(__name__)

SAME = 1e-9
"""Relative difference up to which a score is taken for the stored one: sums over steps and over windows round differently."""

_LEVELS = "SELECT result_id, quantile_levels FROM cells WHERE result_id IN (SELECT unnest($1::VARCHAR[]))"
_STEPS = f"SELECT result_id, {', '.join(STATISTICS)} FROM steps WHERE result_id IN (SELECT unnest($1::VARCHAR[])) ORDER BY result_id, step"
_EXTRA = """
SELECT result_id, entry.key, sum(entry.value)
FROM (SELECT result_id, unnest(map_entries(extra)) AS entry FROM windows
      WHERE extra IS NOT NULL AND result_id IN (SELECT unnest($1::VARCHAR[])))
GROUP BY ALL
"""
_STORED = """
SELECT result_id, metric, value FROM scores
WHERE result_id IN (SELECT unnest($1::VARCHAR[])) AND metric IN (SELECT unnest($2::VARCHAR[]))
"""

Scores = dict[str, dict[str, float]]
"""{result id: {metric: score, NaN where undefined}}."""


def computed(con: duckdb.DuckDBPyConnection, result_ids: Sequence[str], metrics: Sequence[Metric]) -> tuple[Scores, Scores]:
    """Score results from what is stored of them.

    Results without sums (failed, imported) are left out, and so is, with a warning, a metric that raises.

    Returns:
        The scores, and those of them that differ from the stored ones.
    """
    ids = list(result_ids)
    levels = dict(con.execute(_LEVELS, [ids]).fetchall())
    extra: dict[str, dict[str, float]] = {}
    for result_id, name, value in con.execute(_EXTRA, [ids]).fetchall():
        extra.setdefault(result_id, {})[name] = value
    stored = {(result, metric): value for result, metric, value in con.execute(_STORED, [ids, [m.name for m in metrics]]).fetchall()}
    scores: Scores = {}
    changed: Scores = {}
    complaints: set[str] = set()
    steps = con.sql(_STEPS, params=[ids]).to_arrow_table()
    for result_id, rows in _by_result(steps):
        sums = {**_sums(rows), **extra.get(result_id, {}), "levels": np.asarray(levels.get(result_id) or [], np.float64)}
        mine = scores[result_id] = {}
        for metric in metrics:
            try:
                value = float(metric.value(sums))
            except (Exception, SystemExit) as error:
                complaints.add(f"metric '{metric.name}' raised {type(error).__name__}: {error}; reused results keep what they have of it")
                continue
            old = stored.get((result_id, metric.name), value)
            old = math.nan if old is None else old
            if (result_id, metric.name) in stored and _same(value, old):
                value = old
            else:
                changed.setdefault(result_id, {})[metric.name] = value
            mine[metric.name] = value
    for complaint in sorted(complaints):
        log.warning("%s. Mend or uninstall the plugin that registers it: harness ls metrics", complaint)
    return scores, changed


def put(con: duckdb.DuckDBPyConnection, scores: Scores) -> None:
    """Write these scores in place of those of the same results and metrics, in one transaction."""
    ids = list(scores)
    cells = dict(con.execute("SELECT result_id, cell_id FROM cells WHERE result_id IN (SELECT unnest($1::VARCHAR[]))", [ids]).fetchall())
    pairs = [(result_id, metric) for result_id, values in scores.items() for metric in values]
    with records.transaction(con):
        con.execute(
            "DELETE FROM scores WHERE (result_id, metric) IN (SELECT unnest($1::VARCHAR[]), unnest($2::VARCHAR[]))",
            [[result_id for result_id, _ in pairs], [metric for _, metric in pairs]],
        )
        records.insert_scores(
            con,
            (
                (result_id, cells[result_id], {metric: None if math.isnan(value) else value for metric, value in values.items()})
                for result_id, values in scores.items()
                if result_id in cells  # another process may have replaced it meanwhile
            ),
        )


def _same(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=SAME, abs_tol=0.0) or (math.isnan(a) and math.isnan(b))


def _by_result(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """The rows of each result; they lie together."""
    ids = table["result_id"].to_pylist()
    first = 0
    for i in range(1, len(ids) + 1):
        if i == len(ids) or ids[i] != ids[first]:
            yield ids[first], table.slice(first, i - first)
            first = i


def _sums(rows: pa.Table) -> dict[str, Any]:
    """A result's H rows of `steps` -> {statistic: float64, or [Q] for lists}; one that was not stored is left out."""
    sums: dict[str, Any] = {}
    for name in STATISTICS:
        column = rows[name].combine_chunks()
        if column.null_count:
            continue
        if name in LISTS:
            flat = column.flatten().to_numpy(zero_copy_only=False)
            sums[name] = flat.astype(np.float64).reshape(len(rows), -1).sum(axis=0)  # [H·Q] -> [H, Q] -> [Q]
        else:
            sums[name] = column.to_numpy(zero_copy_only=False).sum(dtype=np.float64)
    return sums
