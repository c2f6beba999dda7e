"""Metrics that come or change after the results: scored again from the stored sums, as a run would have scored them."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from results_kit import spool_cell

import harness
from harness.metrics import METRICS
from harness.plugins import load
from harness.types import Metric
from harness_results.store import DuckStore

TASKS = ["us_births/M/short", "us_births/W/short", "hospital/M/short"]


def spread(block: Any) -> Mapping[str, Any]:
    """A statistic of a plugin's own: the distance between the outer quantiles."""
    return {"mine.spread": (block.quantiles[:, -1] - block.quantiles[:, 0]).sum(axis=1, dtype=float)}


def mean_spread(sums: Mapping[str, Any]) -> float:
    return float(sums["mine.spread"] / sums["n"])


def everything(sums: Mapping[str, Any]) -> float:
    """One number of all that a metric is given."""
    total = 0.0
    for i, name in enumerate(sorted(sums), 1):
        value = np.atleast_1d(np.asarray(sums[name], np.float64))
        total += i * float((value * np.arange(1, len(value) + 1)).sum())
    return total


OWN = (Metric("mine.mean_spread", mean_spread, statistics=spread), Metric("mine.everything", everything))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[tuple[str, str], float]]:
    """A run with OWN registered; the path of its store and what it scored."""
    plugins = load()
    for metric in OWN:
        plugins.metrics[metric.name] = type(next(iter(plugins.metrics.values())))(metric, metric.value, "mine", "mine", "1")
    try:
        path = tmp_path_factory.mktemp("rescore") / "x.duckdb"
        results = harness.run("seasonal_naive", tasks=TASKS, db=path, isolation="inprocess", progress="none")
    finally:
        for metric in OWN:
            del plugins.metrics[metric.name]
    rows = results.sql("SELECT result_id, metric, value FROM main.scores").to_pylist()
    return path, {(r["result_id"], r["metric"]): math.nan if r["value"] is None else r["value"] for r in rows}


def forget(path: Path, condition: str) -> None:
    import duckdb

    with duckdb.connect(str(path)) as con:
        con.execute(f"DELETE FROM scores WHERE {condition}")


def test_a_metric_gets_from_the_store_what_it_gets_in_a_run(made: tuple[Path, dict[tuple[str, str], float]]) -> None:
    path, then = made
    store = DuckStore(path)
    ids = sorted({result_id for result_id, _ in then})
    assert len(ids) == len(TASKS)
    forget(path, "metric LIKE 'M%' OR metric LIKE 'mine.%'")
    scores = store.rescore([*ids, "unknown"], [*METRICS, *OWN])
    assert set(scores) == set(ids)
    assert set(scores[ids[0]]) == {m.name for m in (*METRICS, *OWN)}
    for (result_id, metric), value in then.items():
        assert scores[result_id][metric] == pytest.approx(value, rel=1e-12, nan_ok=True), metric
    rows = store.query("SELECT result_id, metric, value FROM scores").to_pylist()
    assert {(r["result_id"], r["metric"]): r["value"] for r in rows} == {
        (result_id, name): None if math.isnan(value) else value for result_id, mine in scores.items() for name, value in mine.items()
    }
    assert {cell["cell_id"] for cell in store.query("SELECT DISTINCT cell_id FROM scores").to_pylist()} == {
        cell["cell_id"] for cell in store.query("SELECT cell_id FROM cells").to_pylist()
    }


def test_a_changed_formula_replaces_the_score_and_an_unchanged_one_writes_nothing(made: tuple[Path, dict[tuple[str, str], float]]) -> None:
    path, then = made
    store = DuckStore(path)
    ids = sorted({result_id for result_id, _ in then})
    assert store.rescore(ids, [Metric("late", lambda s: s["abs_error"] / s["n"])])[ids[0]]["late"] == pytest.approx(
        then[ids[0], "MAE[0.5]"]
    )
    before = path.stat().st_mtime_ns
    kept = store.rescore(ids, [Metric("late", lambda s: s["abs_error"] / s["n"] * (1 + 1e-12))])
    assert path.stat().st_mtime_ns == before
    rows = store.query("SELECT result_id, value FROM scores WHERE metric = 'late'").to_pylist()
    assert {r["result_id"]: r["value"] for r in rows} == {result_id: mine["late"] for result_id, mine in kept.items()}
    store.rescore(ids[:1], [Metric("late", lambda s: 2 * s["abs_error"] / s["n"])])
    rows = store.query("SELECT result_id, value FROM scores WHERE metric = 'late'").to_pylist()
    assert len(rows) == len(ids)
    assert {r["result_id"]: r["value"] for r in rows} == pytest.approx(
        {result_id: mine["late"] * (1 + (result_id == ids[0])) for result_id, mine in kept.items()}
    )


def test_undefined_scores_and_metrics_that_raise(made: tuple[Path, dict[tuple[str, str], float]], caplog: pytest.LogCaptureFixture) -> None:
    path, then = made
    store = DuckStore(path)
    ids = sorted({result_id for result_id, _ in then})

    def bad(sums: Mapping[str, Any]) -> float:
        raise SystemExit(str(sorted(sums))[:5])

    with caplog.at_level(logging.WARNING):
        scores = store.rescore(ids, [Metric("nothing", lambda _: math.nan), Metric("bad", bad), Metric("endless", lambda _: math.inf)])
    assert caplog.text.count("metric 'bad' raised SystemExit") == 1
    assert set(scores[ids[0]]) == {"nothing", "endless"}
    stored = store.find([row["cell_id"] for row in store.query("SELECT cell_id FROM cells").to_pylist()])
    assert all(row["scores"]["nothing"] is None and math.isinf(row["scores"]["endless"]) for row in stored.values())
    before = path.stat().st_mtime_ns
    store.rescore(ids, [Metric("nothing", lambda _: math.nan)])
    assert path.stat().st_mtime_ns == before


def test_what_has_no_sums_has_no_score(tmp_path: Path) -> None:
    store = DuckStore(tmp_path / "x.duckdb")
    assert store.rescore(["cell-1-a"], METRICS[:1]) == {}
    store.check()
    spool_cell(store.spool, steps=False, status="failed", scores={})
    spool_cell(store.spool, cell_id="some", task="other")  # with two of the statistics
    store.ingest()
    assert store.rescore(["cell-1-a", "some-a"], [Metric("count", lambda s: s["n"])]) == {"some-a": {"count": 6.0}}
    assert store.rescore([], METRICS) == {}
