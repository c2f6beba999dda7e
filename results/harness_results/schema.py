"""The tables of the results database, one comment a column; `harness db schema` and the documentation are printed from here.

Notable choices: no primary keys (DuckDB refuses to delete and insert one key in one transaction, which replacing a result
needs; uniqueness is kept by `harness_results.ingest`, the only writer), sums instead of means in `windows` and `steps` (any slice
is then one SQL aggregate), and metric values in a long table, so that a plugin's metric needs no new column.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness.errors import StoreError
from harness.spool import CELL_FIELDS, RUN_FIELDS, TRAINED_FIELDS

if TYPE_CHECKING:
    import duckdb

__all__ = ["MAIN_METRICS", "MIGRATIONS", "SCHEMA_VERSION", "TABLES", "VIEWS", "create", "describe", "stand_in", "version"]

SCHEMA_VERSION = 4
"""1: the first; 2: with the table `trained`; 3: with `cells.contamination`; 4: with `fallback` in `cells` and `windows`."""

NEW_TABLES: dict[int, tuple[str, ...]] = {2: ("trained",)}
"""{version: the tables that came with it}: what readers of an older database find empty."""

NEW_COLUMNS: dict[int, dict[str, tuple[str, ...]]] = {
    3: {"cells": ("contamination", "contamination_reason")},
    4: {"cells": ("fallback",), "windows": ("fallback",)},
}
"""{version: {table: the columns that came with it}}: what readers of an older database find null."""

MIGRATIONS: dict[int, Callable[[duckdb.DuckDBPyConnection], None]] = {
    1: lambda con: _create_table(con, "trained"),
    2: lambda con: _add_columns(con, 3),
    3: lambda con: _add_columns(con, 4),
}
"""{version: the step that takes a database of that version to the next}."""

MAIN_METRICS: dict[str, str] = {
    "MASE": "MASE[0.5]",
    "CRPS": "mean_weighted_sum_quantile_loss",
    "sMAPE": "sMAPE[0.5]",
    "MAPE": "MAPE[0.5]",
    "MAE": "MAE[0.5]",
    "MSE": "MSE[mean]",
    "RMSE": "RMSE[mean]",
    "NRMSE": "NRMSE[mean]",
    "ND": "ND[0.5]",
    "MSIS": "MSIS",
}
"""Columns of the view `results` and the metrics they show; all other metrics are in `scores`."""

_CELL_COMMENTS = {
    "result_id": "this execution; two executions of one cell share cell_id",
    "cell_id": "hash of identity: what decides the numbers; unique in this table",
    "run_id": "the run that made it; runs.id",
    "source": "'own', or the origin of an imported result: 'gift-eval'",
    "suite": "name of the suite",
    "task": "name of the task in its suite: 'm4_hourly/H/short'",
    "model": "the model with its parameters: 'ttm[context=512]'",
    "model_name": "the model as registered: 'ttm'",
    "params": "parameters given to the model",
    "mode": "zero-shot, few-shot:p, finetune, ttt or full",
    "budget": "training budget, '' when there is none",
    "seed": "seed of the cell",
    "scope": "'' = the whole task, else which part of it: 'limit=10'",
    "status": "ok, failed or skipped",
    "failure": "kind of failure: load, error, forecast, timeout, crash, data, memory, unsupported; '' when ok",
    "reason": "why it failed or was skipped, in words",
    "log": "the end of what the worker printed, for failed cells",
    "dataset": "the part of the task's name that names the data",
    "family": "datasets of one origin share a family",
    "domain": "domain of the data: 'Energy'",
    "freq": "pandas frequency alias: 'H', '15T'",
    "term": "short, medium or long; '' where a suite has no terms",
    "horizon": "steps to be forecast",
    "season_length": "steps of one season, used by the seasonal error",
    "variates": "series per item",
    "quantile_levels": "levels that were scored",
    "n_series": "series in the cell",
    "n_windows": "windows in the cell",
    "dialect": "rule by which scores were computed",
    "protocol": "version of the task's protocol",
    "scoring": "version of the scoring code",
    "data_fingerprint": "hash of the data's bytes",
    "plugin": "distribution that registers the model",
    "plugin_version": "its version",
    "source_digest": "hash of the plugin's source",
    "weights_digest": "hash of the weights",
    "identity": "everything that went into cell_id",
    "isolation": "process or inprocess",
    "device": "where the model ran: 'cpu', 'cuda:0'",
    "threads": "threads the model was allowed",
    "batch_size": "largest batch used, in windows",
    "crossings": "forecast steps whose quantiles crossed and were sorted",
    "output": "what the model returned: quantiles, samples or points",
    "forecasts": "file of the stored forecasts, relative to the database; '' = not kept",
    "started_at": "UTC",
    "finished_at": "UTC; null for imported results",
    "load_s": "seconds to load the model",
    "fit_s": "seconds to fit it",
    "predict_s": "seconds inside predict",
    "score_s": "seconds of scoring",
    "total_s": "seconds from first to last",
    "peak_rss_mb": "peak resident memory of the worker, MiB",
    "receipt": "versions, git commit, hardware, command",
    "contamination": "whether the model may have seen the task's labels in training: declared, after cut-off, clean or unknown; "
    "null = stored before there were marks",
    "contamination_reason": "why, in words",
    "fallback": "share of the forecasts, 0 to 1, that is not the model's own, as a simple forecast stands in for an answer of no use: mean "
    "of windows.fallback; null = not ok, imported, or stored before it was counted",
}

_TRAINED_COMMENTS = {
    "id": "hash of cell and run; of a registered one, of its configuration and path; unique in this table",
    "created": "when training ended, UTC",
    "parent": "model and digest of the weights that training started from: 'ttm@3f2a…'; without a known digest 'ttm[weights=r2]' or 'ttm'; "
    "'' = from nothing",
    "model": "the model with its parameters: 'ttm[context=512]'",
    "model_name": "the model as registered: 'ttm'",
    "version": "version of the model, or of its plugin",
    "suite": "suite of the task it was trained on; '' for a pre-training",
    "task": "that task; '' for a pre-training",
    "mode": "finetune, few-shot:p, full or pretrain",
    "budget": "training budget, '' when there is none",
    "seed": "seed of the training",
    "params": "parameters given to the model",
    "configuration": "hash of what decides what is learnt: task, data, model, version, source, parameters and files, mode, budget, seed",
    "data": "what it learnt from: name of the task and fingerprint of its data, or what a pre-training says",
    "git": "git commit of the working folder, '-dirty' where it had changes; '' outside of git",
    "environment": "Python, harness, packages, platform, hardware, command, hashes of files of weights, and what it takes to train again",
    "metrics": "fit_s (seconds), what the model noted while it learnt, and unsaved: why its weights were not kept",
    "path": "folder of the weights, relative to the database's folder or absolute; '' = not kept",
    "weights_digest": "hash of the weights at path, as it stands in parent of what starts from them; '' = none, or no folder of weights",
    "cell_id": "cells.cell_id of the cell it was trained for, which may be gone; '' for a pre-training",
    "run_id": "runs.id; '' for a pre-training",
}

_SUMS = {
    "n": ("INTEGER", "valid points"),
    "n_ape": ("INTEGER", "points that count in ape (label not zero)"),
    "n_sape": ("INTEGER", "points that count in sape"),
    "n_scaled": ("INTEGER", "points that count in scaled_error and scaled_interval (seasonal error not zero)"),
    "label": ("DOUBLE", "sum of labels"),
    "abs_label": ("DOUBLE", "sum of |label|"),
    "abs_error": ("DOUBLE", "sum of |label - median forecast|"),
    "sq_error": ("DOUBLE", "sum of squared errors of the median forecast"),
    "sq_error_mean": ("DOUBLE", "sum of squared errors of the mean forecast"),
    "error": ("DOUBLE", "sum of (label - median forecast)"),
    "ape": ("DOUBLE", "sum of |error| / |label|"),
    "sape": ("DOUBLE", "sum of 2 |error| / (|label| + |forecast|)"),
    "scaled_error": ("DOUBLE", "sum of |error| / seasonal error"),
    "scaled_interval": ("DOUBLE", "sum of interval scores / seasonal error"),
    "quantile_loss": ("DOUBLE[]", "sum of 2 * pinball loss, per level of cells.quantile_levels"),
    "hits": ("INTEGER[]", "points with label <= quantile, per level"),
    "extra": ("MAP(VARCHAR, DOUBLE)", "sums of plugins' metrics, by name"),
}

TABLES: dict[str, dict[str, tuple[str, str]]] = {
    "cells": {
        **{name: (kind, _CELL_COMMENTS.get(name, "")) for name, kind in CELL_FIELDS.items()},
        "superseded_by": ("VARCHAR", "cell_id of a newer result of the same suite, task, model, mode, budget, seed and scope"),
    },
    "scores": {
        "result_id": ("VARCHAR", "cells.result_id"),
        "cell_id": ("VARCHAR", "cells.cell_id"),
        "metric": ("VARCHAR", "name of the metric: 'MASE[0.5]'"),
        "value": ("DOUBLE", "the score; null where it is undefined"),
    },
    "windows": {
        "result_id": ("VARCHAR", "cells.result_id"),
        "window": ("BIGINT", "number of the window in its task"),
        "item_id": ("VARCHAR", "id of the item"),
        "variate": ("SMALLINT", "which of the item's series"),
        "slot": ("INTEGER", "which window of the series, 0 = the earliest"),
        "cutoff": ("TIMESTAMP", "first forecast time stamp"),
        "context_length": ("BIGINT", "steps before the cutoff"),
        "seasonal_error": ("DOUBLE", "mean |y[t] - y[t-m]| of the context"),
        "crossings": ("INTEGER", "steps whose quantiles crossed and were sorted"),
        "fallback": ("DOUBLE", "share of the forecast, 0 to 1, that is not the model's own; null = stored before it was counted"),
        **_SUMS,
    },
    "steps": {
        "result_id": ("VARCHAR", "cells.result_id"),
        "step": ("INTEGER", "step of the horizon, from 1"),
        **_SUMS,
    },
    "models": {
        "name": ("VARCHAR", "cells.model_name"),
        "source": ("VARCHAR", "cells.source"),
        "model_type": ("VARCHAR", "statistical, deep-learning, pretrained, zero-shot, fine-tuned or agentic"),
        "org": ("VARCHAR", "who made it"),
        "license": ("VARCHAR", "licence of the code"),
        "testdata_leakage": ("VARCHAR", "'Yes', 'No' or '' = unknown, as declared"),
        "link": ("VARCHAR", "where to read of it"),
        "info": ("JSON", "all that was declared"),
    },
    "trained": {name: (kind, _TRAINED_COMMENTS[name]) for name, kind in TRAINED_FIELDS.items()},
    "runs": {
        "id": (RUN_FIELDS["id"], "cells.run_id"),
        "started_at": (RUN_FIELDS["started_at"], "UTC"),
        "finished_at": (RUN_FIELDS["finished_at"], "UTC"),
        "status": (RUN_FIELDS["status"], "running, complete, failed or interrupted"),
        "command": (RUN_FIELDS["command"], "what was typed"),
        "cells": (RUN_FIELDS["cells"], "cells planned"),
        "host": (RUN_FIELDS["host"], "machine"),
        "counts": (RUN_FIELDS["counts"], "cells by outcome"),
    },
    "meta": {
        "key": ("VARCHAR", "'schema_version', 'created_by', 'created_at'"),
        "value": ("VARCHAR", ""),
    },
}

_HIDDEN = ("identity", "receipt", "log", "superseded_by")  # long, or constant in a view of current results

VIEWS: dict[str, tuple[str, str]] = {
    "results": (
        "current results: one row a cell (superseded ones left out), main scores as columns: "
        + ", ".join(f"{short} = {metric}" for short, metric in MAIN_METRICS.items()),
        f"SELECT c.* EXCLUDE ({', '.join(_HIDDEN)}), s.* EXCLUDE (result_id) FROM cells c LEFT JOIN (SELECT result_id, "
        + ", ".join(f"max(value) FILTER (metric = '{metric}') AS \"{short}\"" for short, metric in MAIN_METRICS.items())
        + " FROM scores GROUP BY result_id) s ON s.result_id = c.result_id WHERE c.superseded_by IS NULL",
    ),
}
"""{view: (comment, its query)}."""


def version(con: duckdb.DuckDBPyConnection) -> int | None:
    """Return the database's schema version, or None for an empty database.

    Raises:
        StoreError: a database of something else, or of a newer harness.
    """
    import duckdb

    rows: list[tuple[str, int]] = []
    # Asked without looking whether the tables are there: listing the tables would double the time that opening takes.
    with contextlib.suppress(duckdb.CatalogException, duckdb.BinderException):
        rows = con.execute("SELECT value, (SELECT count(*) FROM cells) FROM meta WHERE key = 'schema_version'").fetchall()
    found = int(rows[0][0]) if rows and str(rows[0][0]).isdigit() else None
    if found is None:
        tables = {row[0] for row in con.execute("SELECT table_name FROM duckdb_tables() WHERE NOT internal").fetchall()}
        if not tables:
            return None
        raise StoreError(
            f"a DuckDB database with other tables ({', '.join(sorted(tables)[:5])}), not a results database; name another file with --db"
        )
    if found > SCHEMA_VERSION:
        raise StoreError(
            f"written by a newer harness (schema version {found}; this one reads up to {SCHEMA_VERSION}); "
            "run: pip install --upgrade ts-harness"
        )
    return found


def create(con: duckdb.DuckDBPyConnection) -> None:
    """Bring an open, writable database to the current schema: create it, or migrate it step by step."""
    found = version(con)
    if found is None:
        _create_tables(con)
        return
    while found < SCHEMA_VERSION:
        con.execute("BEGIN")  # a process that is killed here leaves the version before, whole
        MIGRATIONS[found](con)
        found += 1
        con.execute("UPDATE meta SET value = ? WHERE key = 'schema_version'", [str(found)])
        con.execute("COMMIT")


def stand_in(con: duckdb.DuckDBPyConnection, found: int) -> None:
    """Give a connection that only reads a database of version `found` the tables that it lacks, empty; the file stays as it is."""
    for table in (table for since, tables in NEW_TABLES.items() if since > found for table in tables):
        con.execute(f"CREATE TEMP TABLE {table} ({_typed(table)})")
    for table, added in _added_since(found).items():
        columns = ", ".join(f'NULL::{TABLES[table][name][0]} AS "{name}"' for name in added)
        (name,) = con.execute("SELECT current_database()").fetchall()[0]
        # A name in the temporary schema stands before the same one in the file, also for `main.cells` and for views.
        con.execute(f'CREATE TEMP VIEW {table} AS SELECT *, {columns} FROM "{name.replace(chr(34), chr(34) * 2)}".main.{table}')


def _added_since(found: int) -> dict[str, list[str]]:
    """{table: columns} that came after version `found`, of tables that were there."""
    added: dict[str, list[str]] = {}
    for since, tables in NEW_COLUMNS.items():
        for table, names in tables.items() if since > found else ():
            added.setdefault(table, []).extend(names)
    return added


def _add_columns(con: duckdb.DuckDBPyConnection, since: int) -> None:
    for table, names in NEW_COLUMNS[since].items():
        for name in names:
            kind, comment = TABLES[table][name]
            con.execute(f'ALTER TABLE {table} ADD COLUMN "{name}" {kind}')
            con.execute(f'COMMENT ON COLUMN {table}."{name}" IS {_literal(comment)}')
    # A view keeps the columns that its tables had when it was made.
    for view in VIEWS:
        con.execute(f"DROP VIEW IF EXISTS {view}")
    _create_views(con)


def _typed(table: str) -> str:
    return ", ".join(f'"{name}" {kind}' for name, (kind, _) in TABLES[table].items())


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _create_table(con: duckdb.DuckDBPyConnection, table: str) -> None:
    con.execute(f"CREATE TABLE {table} ({_typed(table)})")
    for name, (_, comment) in TABLES[table].items():
        con.execute(f'COMMENT ON COLUMN {table}."{name}" IS {_literal(comment)}')


def _create_tables(con: duckdb.DuckDBPyConnection) -> None:
    con.execute("BEGIN")
    for table in TABLES:
        _create_table(con, table)
    _create_views(con)
    con.execute("INSERT INTO meta VALUES ('schema_version', ?), ('created_by', 'ts-harness'), ('created_at', now())", [str(SCHEMA_VERSION)])
    con.execute("COMMIT")


def _create_views(con: duckdb.DuckDBPyConnection) -> None:
    for view, (comment, query) in VIEWS.items():
        con.execute(f"CREATE VIEW {view} AS {query}")
        con.execute(f"COMMENT ON VIEW {view} IS {_literal(comment)}")


def describe() -> str:
    """The schema as Markdown."""
    lines: list[str] = []
    for table, columns in TABLES.items():
        lines += [f"## {table}", "", "| column | type | meaning |", "|---|---|---|"]
        lines += [f"| {name} | {kind} | {comment} |" for name, (kind, comment) in columns.items()]
        lines.append("")
    for view, (comment, _) in VIEWS.items():
        lines += [f"## {view} (view)", "", comment, ""]
    return "\n".join(lines)
