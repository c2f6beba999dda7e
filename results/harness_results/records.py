"""Cells' records as rows: types checked on the way in, so that one broken record is refused by itself and never stops the others."""

from __future__ import annotations

import contextlib
import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from harness.errors import StoreError
from harness.spool import CELL_FIELDS, RUN_FIELDS, TRAINED_FIELDS
from harness_results.plain import as_text, cleaned, listed, plain_info

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "cell_row",
    "delete_results",
    "insert_rows",
    "insert_scores",
    "make_current",
    "model_row",
    "refresh_superseded",
    "run_row",
    "scores_of",
    "trained_row",
    "transaction",
]

log = logging.getLogger(__name__)

MODEL_FIELDS = {
    "name": "VARCHAR",
    "source": "VARCHAR",
    "model_type": "VARCHAR",
    "org": "VARCHAR",
    "license": "VARCHAR",
    "testdata_leakage": "VARCHAR",
    "link": "VARCHAR",
    "info": "JSON",
}
_FIELDS = {"cells": CELL_FIELDS, "runs": RUN_FIELDS, "models": MODEL_FIELDS, "trained": TRAINED_FIELDS}
_KEY = ("source", "suite", "task", "model", "mode", "budget", "seed", "scope")


def _moment(value: Any) -> datetime | None:
    if not value:
        return None
    moment = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _typed(value: Any, kind: str) -> Any:
    if value is None:
        return None
    if kind == "JSON":
        if isinstance(value, str):
            json.loads(value)
            return as_text(value)
        return json.dumps(cleaned(value), default=str)
    if kind == "VARCHAR":
        return as_text(value)
    if kind == "TIMESTAMP":
        return _moment(value)
    if kind == "DOUBLE":
        return float(value)
    if kind == "DOUBLE[]":
        return [float(v) for v in value]
    number = int(value)
    if abs(number) >= 2 ** (63 if kind == "BIGINT" else 31):
        raise ValueError(f"{number} does not fit {kind}")
    return number


def _row(record: Mapping[str, Any], fields: Mapping[str, str], what: str) -> dict[str, Any]:
    row = {}
    for name, kind in fields.items():
        try:
            row[name] = _typed(record.get(name), kind)
        except (TypeError, ValueError, OverflowError) as error:
            raise StoreError(f"{what}: column {name}: got {record.get(name)!r}, wanted {kind} ({error})") from error
    return row


def cell_row(record: Mapping[str, Any]) -> dict[str, Any]:
    """The row of `cells`.

    Raises:
        StoreError: a value of a wrong type, or no result_id, cell_id, suite, task or model.
    """
    missing = [name for name in ("result_id", "cell_id", "suite", "task", "model") if not record.get(name)]
    if missing:
        raise StoreError(f"a cell's record without {', '.join(missing)}")
    row = _row(record, CELL_FIELDS, f"cell {record['cell_id']}")
    for name, default in (("source", "own"), ("status", "ok"), ("mode", "zero-shot"), ("budget", ""), ("scope", ""), ("seed", 0)):
        if row[name] is None:  # parts of the cell's key are never null, so that keys compare
            row[name] = default
    row["model_name"] = row["model_name"] or row["model"]
    return row


def run_row(record: Mapping[str, Any]) -> dict[str, Any]:
    """The row of `runs`."""
    if not record.get("id"):
        raise StoreError("a run's record without an id")
    return _row(record, RUN_FIELDS, f"run {record['id']}")


def trained_row(record: Mapping[str, Any]) -> dict[str, Any]:
    """The row of `trained`; what is not known is empty.

    Raises:
        StoreError: a value of a wrong type, or no id or model.
    """
    if missing := [name for name in ("id", "model") if not record.get(name)]:
        raise StoreError(f"the record of a trained model without {', '.join(missing)}")
    row = _row(record, TRAINED_FIELDS, f"trained model {record['id']}")
    for name, kind in TRAINED_FIELDS.items():
        if row[name] is None and kind in ("VARCHAR", "JSON"):
            row[name] = "" if kind == "VARCHAR" else "{}"
    row["seed"] = row["seed"] or 0
    row["model_name"] = row["model_name"] or row["model"].partition("[")[0]
    return row


def model_row(info: Mapping[str, Any], name: str, source: str) -> dict[str, Any]:
    """The row of `models` from what is known of a model: `ModelInfo`'s fields or a leaderboard's config.json.

    What is not plain (`plain_info`) is left out, with a logged warning.
    """
    info, dropped = plain_info(info)
    if dropped:
        log.warning("%s", f"left out of what is known of model {name[:80]!r}: {listed(dropped)}")
    extra = info.get("extra")
    known = {**(extra if isinstance(extra, Mapping) else {}), **info}
    record = {
        "name": name,
        "source": source,
        "model_type": known.get("model_type") or "",
        "org": known.get("org") or "",
        "license": known.get("license") or "",
        "testdata_leakage": known.get("testdata_leakage") or "",
        "link": known.get("url") or known.get("model_link") or known.get("link") or known.get("code_link") or "",
        "info": json.dumps(info),
    }
    return _row(record, MODEL_FIELDS, f"model {name}")


def scores_of(record: Mapping[str, Any]) -> dict[str, float | None]:
    """A record's scores; JSON has no infinity, so it comes as text ("inf"), and NaN as null."""
    scores: dict[str, float | None] = {}
    for name, value in (record.get("scores") or {}).items():
        try:
            number = None if value is None else float(value)
        except (TypeError, ValueError) as error:
            raise StoreError(f"cell {record.get('cell_id')}: score {name}: got {value!r}, wanted a number") from error
        scores[as_text(name)] = None if number is None or math.isnan(number) else number
    return scores


def insert_rows(con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows (from the functions above) to `cells`, `runs`, `models` or `trained`."""
    fields = _FIELDS[table]
    _insert(con, table, fields, [[row[name] for row in rows] for name in fields])


def insert_scores(con: duckdb.DuckDBPyConnection, rows: Iterable[tuple[str, str, Mapping[str, float | None]]]) -> None:
    """Append (result id, cell id, {metric: value}) to `scores`."""
    flat = [(result, cell, metric, value) for result, cell, scores in rows for metric, value in scores.items()]
    fields = {"result_id": "VARCHAR", "cell_id": "VARCHAR", "metric": "VARCHAR", "value": "DOUBLE"}
    _insert(con, "scores", fields, [list(column) for column in zip(*flat, strict=True)])


def _insert(con: duckdb.DuckDBPyConnection, table: str, fields: Mapping[str, str], columns: Sequence[list[Any]]) -> None:
    """Append columns of equal length. As lists: an Arrow array of Python objects would import pandas, which costs more than the rest."""
    if not columns or not columns[0]:
        return
    names = ", ".join(f'"{name}"' for name in fields)
    values = ", ".join(f"unnest(${number}::{kind}[])" for number, kind in enumerate(fields.values(), 1))
    con.execute(f"INSERT INTO {table} ({names}) SELECT {values}", columns)


@contextlib.contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """All of the `with` body, or nothing of it."""
    con.execute("BEGIN")
    try:
        yield
        con.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(Exception):  # the first error is the one to show, and a fatal one has ended the transaction already
            con.execute("ROLLBACK")
        raise


def delete_results(con: duckdb.DuckDBPyConnection, result_ids: Sequence[str]) -> None:
    """Remove results from all tables that hold rows of them."""
    if result_ids:
        for table in ("windows", "steps", "scores", "cells"):
            con.execute(f"DELETE FROM {table} WHERE result_id IN (SELECT unnest($1::VARCHAR[]))", [list(result_ids)])


def refresh_superseded(con: duckdb.DuckDBPyConnection, cell_ids: Sequence[str]) -> None:
    """Of the results that share a key with one of these cells, leave the newest current and mark the others with its id."""
    key = ", ".join(_KEY)
    con.execute(
        f"""
        UPDATE cells SET superseded_by = ranked.mark
        FROM (
            SELECT result_id,
                   CASE WHEN row_number() OVER newest = 1 THEN NULL ELSE first_value(cell_id) OVER newest END AS mark
            FROM cells WHERE ({key}) IN (SELECT ({key}) FROM cells WHERE cell_id IN (SELECT unnest($1::VARCHAR[])))
            WINDOW newest AS (PARTITION BY {key} ORDER BY finished_at DESC NULLS LAST, started_at DESC NULLS LAST, result_id)
        ) ranked
        WHERE ranked.result_id = cells.result_id AND ranked.mark IS DISTINCT FROM cells.superseded_by
        """,
        [list(cell_ids)],
    )


def make_current(con: duckdb.DuckDBPyConnection, cell_ids: Sequence[str]) -> None:
    """Make these results current, and mark the others of their keys as superseded by them."""
    mine, other = (", ".join(f"{table}.{name}" for name in _KEY) for table in ("chosen", "cells"))
    con.execute(
        f"""
        UPDATE cells SET superseded_by = CASE WHEN cells.cell_id = chosen.cell_id THEN NULL ELSE chosen.cell_id END
        FROM (SELECT * FROM cells WHERE cell_id IN (SELECT unnest($1::VARCHAR[]))) chosen
        WHERE ({mine}) = ({other})
        """,
        [list(cell_ids)],
    )
