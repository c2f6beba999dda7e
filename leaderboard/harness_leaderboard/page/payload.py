"""What the page is drawn from, as one JSON object: scores of models × tasks, what is known of both, and the receipts.

Notable choices: the page computes every slice itself, so it gets scores, not aggregates; arrays travel as base64 of their bytes, the two
main metrics in double precision so that ties stay ties; of a receipt goes out what repeats the result, and neither host name, nor folders,
nor what was typed, since the file is sent to others.

Axes: M models, R tasks, Q quantile levels. NaN = no value.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.again import run_command
from harness.contamination import AFTER, CLEAN, DECLARED, UNKNOWN
from harness.mappings import mapping
from harness.types import Column
from harness_leaderboard import bootstrap, influence
from harness_leaderboard.aggregate import Entry, Results
from harness_leaderboard.board import marks_of, parameters_of, units_of_tasks
from harness_leaderboard.plots import numbers
from harness_leaderboard.ties import LETTERED

if TYPE_CHECKING:
    from harness.store import Store
    from harness.types import SuiteInfo

__all__ = ["FORMAT", "array", "make_payload", "of_events", "statistics_of"]

FORMAT = 1
NEMENYI = (
    1.959964, 2.343701, 2.569032, 2.727774, 2.849705, 2.948320, 3.030878, 3.101730, 3.163684, 3.218654, 3.268004, 3.312739,
    3.353618, 3.391230, 3.426041, 3.458425, 3.488685, 3.517073, 3.543799, 3.569040, 3.592946, 3.615646, 3.637252, 3.657861,
    3.677556, 3.696413, 3.714498, 3.731869, 3.748578, 3.764672, 3.780193, 3.795179, 3.809664, 3.823680, 3.837254, 3.850413,
    3.863181, 3.875579, 3.887627, 3.899344, 3.910747, 3.921852, 3.932673, 3.943224, 3.953518, 3.963566, 3.973379, 3.982969,
    3.992343, 4.001512, 4.010485, 4.019268, 4.027869, 4.036297, 4.044556, 4.052654, 4.060597, 4.068390, 4.076038,
)  # fmt: skip
"""q of Nemenyi's test at 5 % for 2 to 60 models, a printed table (a test makes it anew): scipy.stats takes half a second to import."""
MOST = ("best", "own", "named", "ranked", "lacking", "lines", "groups", "tasks")
"""Limits of pictures, which `harness plot` has too (`harness_leaderboard.plots.numbers`)."""
OF_VALUES = ("steps", "calibration", "explorer")
"""Sections that have nothing to say where the probability of an event is forecast; errors by step are of MASE alone."""
STATUS = ("", "ok", "failed", "skipped")  # "" = missing
TASK_FACTS = ("name", "dataset", "family", "domain", "freq", "term", "horizon", "season_length", "variates")

_RECEIPTS = """
SELECT result_id, cell_id, run_id, suite, task, model, mode, budget, seed, scope, status, failure, reason, data_fingerprint,
       plugin, plugin_version, source_digest, weights_digest, scoring, protocol, isolation, device, threads, batch_size, n_series,
       n_windows, crossings, fallback, load_s, fit_s, predict_s, score_s, total_s, peak_rss_mb, receipt,
       CASE WHEN isfinite(finished_at) AND year(finished_at) BETWEEN 1 AND 9999 THEN finished_at END AS finished_at
FROM main.cells WHERE result_id IN (SELECT unnest($1::VARCHAR[])) ORDER BY cells.finished_at
"""
_SAID = (
    "cell_id", "seed", "status", "failure", "reason", "data_fingerprint", "plugin", "plugin_version", "source_digest", "weights_digest",
    "scoring", "protocol", "isolation", "device", "threads", "batch_size", "n_series", "n_windows", "crossings", "load_s", "fit_s",
    "predict_s", "score_s", "total_s", "peak_rss_mb",
)  # fmt: skip
_MACHINE = ("harness", "python", "platform", "cpu", "cores", "memory_mb", "git")


def array(values: NDArray[Any], dtype: str) -> dict[str, Any]:
    """An array as {"dtype", "shape", "data"}: its bytes, little-endian and in C order, in base64."""
    packed = np.ascontiguousarray(values, dtype=np.dtype(dtype).newbyteorder("<"))
    return {"dtype": dtype, "shape": list(packed.shape), "data": base64.b64encode(packed.tobytes()).decode("ascii")}


def make_payload(store: Store, results: Results, suite: SuiteInfo, made: Mapping[str, str], selection: str = "") -> dict[str, Any]:
    """All that the page shows, but for "calibration", "steps" and "explorer", which `harness_leaderboard.page.build` adds.

    Args:
        store: where the receipts are.
        results: the suite's results, stale ones marked.
        suite: as registered.
        made: "at", "by", "db" (its name alone), "command": how the page was made.
        selection: in words, what was left out; "" = the whole suite.
    """
    shape = (len(results.entries), len(results.tasks))
    rows = _rows(store, results)
    none = np.zeros(shape, np.bool_)
    return {
        "format": FORMAT,
        "suite": {name: getattr(suite, name) for name in ("name", "summary", "version", "license", "url")} | {"baseline": results.baseline},
        "made": dict(made),
        "notes": list(results.notes),
        "selection": selection,
        "shown": None,
        "tasks": [{name: task.get(name) for name in TASK_FACTS} for task in results.tasks],
        "models": [_model(entry, int(results.seeds[m]), marks_of(results, m)) for m, entry in enumerate(results.entries)],
        "scores": [_score(results, name) for name in _metrics(results)],
        "status": array(sum((results.status == name) * code for code, name in enumerate(STATUS)), "u1"),
        "stale": array(none if results.stale is None else results.stale, "u1"),
        "baseline_stale": array(np.zeros(shape[1]) if results.baseline_stale is None else results.baseline_stale, "u1"),
        "cost": _cost(rows, shape),
        "fallback": _fallback(results),
        "receipts": _receipts(rows),
        "statistics": statistics_of(len(units_of_tasks(results))),
        "calibration": None,
        "steps": None,
        "explorer": None,
        "verdicts": [],
        "hidden": list(OF_VALUES) if of_events(results) else [] if results.labels[0] == "MASE" else ["steps"],
    }


def of_events(results: Results) -> bool:
    """Whether the tasks ask for the probability of an event, of which errors and quantiles of values say nothing."""
    return bool(results.tasks) and all(task.get("kind") == "event" for task in results.tasks)


def _metrics(results: Results) -> list[str]:
    """The two that models are compared by, the suite's own, the others."""
    first = (*results.main, *(name for name in results.own if name not in results.main))
    return [*first, *sorted(set(results.scores) - set(first))]


def statistics_of(families: int) -> dict[str, Any]:
    """The constants of all statistics, for suites of so many dataset families, and how much a picture shows at most."""
    effective = range(2, families + 1)
    return {
        "level": bootstrap.LEVEL,
        "resamples": bootstrap.RESAMPLES,
        "seed": bootstrap.SEED,
        "fewest": bootstrap.FEWEST,
        "least": bootstrap.LEAST,
        "patterns": bootstrap.PATTERNS,
        "same": bootstrap.SAME,
        "lettered": LETTERED,
        # By the effective number of families n: Student's t with n - 1 degrees of freedom, and the share of resamples at either end.
        "critical": [None, None, *(bootstrap.critical(n - 1) for n in effective)],
        "tail": [None, None, *(bootstrap.tail(n) for n in effective)],
        "nemenyi": list(NEMENYI),
        "least_gap": influence.LEAST_GAP,
        "share_gap": influence.SHARE_GAP,
        "most": {name: getattr(numbers, name.upper()) for name in MOST},
    }


def _model(entry: Entry, seeds: int, marks: Mapping[str, int]) -> dict[str, Any]:
    known = {**mapping(entry.info.get("extra")), **entry.info}
    return {
        "label": entry.label,
        "model": entry.model,
        "source": entry.source,
        "mode": entry.mode,
        "budget": entry.budget,
        "scope": entry.scope,
        "type": entry.model_type,
        "org": entry.org,
        "license": entry.license,
        "weights_license": _text(known.get("weights_license")),
        "parameters": parameters_of(entry),
        "link": entry.link,
        "leakage": entry.testdata_leakage,
        "contamination": _contamination(entry, known, marks),
        "output": _text(known.get("output")),
        "seeds": seeds,
        "summary": _text(known.get("summary") or known.get("model_description")),
    }


def _contamination(entry: Entry, known: Mapping[str, Any], marks: Mapping[str, int]) -> dict[str, Any]:
    """What is declared of test data in the training data: {"state", "text", "counts"}; nothing here is measured.

    The state is the one that says most against the model: `declared` where one task is, `unknown` where one of the others is.
    """
    corpora = known.get("training_corpora") or ()
    trained = ", ".join(map(str, corpora)) if isinstance(corpora, list | tuple) else _text(corpora)
    until = _text(known.get("training_cutoff"))
    state = next((state for state in (DECLARED, UNKNOWN, AFTER, CLEAN) if marks[state]), UNKNOWN)
    counted = ", ".join(f"{count} {state}" for state, count in marks.items() if count)
    said = {"yes": "its authors declare leakage of test data", "no": "its authors declare no leakage of test data"}
    parts = (
        f"{counted} of {sum(marks.values())} tasks" if counted else "",
        f"trained on {trained}" if trained else "",
        f"up to {until}" if until else "",
        said.get(entry.testdata_leakage.casefold(), ""),
    )
    return {"state": state, "text": "; ".join(filter(None, parts)), "counts": dict(marks)}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, default=str)


def _score(results: Results, metric: str) -> dict[str, Any]:
    """Scores of a metric; ties of a main one must stay ties, the others are only shown."""
    dtype = "f8" if metric in results.main else "f4"
    column = results.about.get(metric, Column(""))
    with np.errstate(over="ignore"):  # beyond single precision: inf
        values, baseline = array(results.scores[metric], dtype), array(results.baselines[metric], dtype)
    own = {"own": True, "what": column.what, "unit": column.unit, "direction": column.direction} if metric in results.own else {}
    return {"name": metric, "label": results.label(metric), "values": values, "baseline": baseline, **own}


Rows = dict[tuple[int, int], list[dict[str, Any]]]
"""Rows of `cells`, the newest first, by model and task."""


def _rows(store: Store, results: Results) -> Rows:
    number = {task["name"]: r for r, task in enumerate(results.tasks)}
    at = {cell.result_id: (m, number[name]) for (m, name), cells in results.cells.items() for cell in cells}
    rows: Rows = {}
    if at:
        for row in store.query(_RECEIPTS, [list(at)]).to_pylist():
            rows.setdefault(at[row["result_id"]], []).insert(0, row)
    return rows


def _cost(rows: Rows, shape: tuple[int, int]) -> dict[str, Any]:
    """Seconds and memory of each own cell, [M, R] (several seeds add up, of memory the most), and each model's hardware."""
    sums = {name: np.full(shape, np.nan) for name in ("fit_s", "predict_s", "load_s", "windows", "peak_mb")}
    hardware: dict[int, dict[str, None]] = {}
    for at, cells in rows.items():
        for row in (row for row in cells if row["status"] == "ok"):
            for name, column in (("fit_s", "fit_s"), ("predict_s", "predict_s"), ("load_s", "load_s"), ("windows", "n_windows")):
                if row[column] is not None:
                    sums[name][at] = np.nansum((sums[name][at], row[column]))
            if row["peak_rss_mb"]:
                sums["peak_mb"][at] = np.fmax(sums["peak_mb"][at], row["peak_rss_mb"])
            machine = mapping(mapping(row["receipt"]).get("machine"))
            hardware.setdefault(at[0], {})[_hardware(machine, row)] = None
    return {name: array(values, "f4") for name, values in sums.items()} | {
        "hardware": [" / ".join(filter(None, hardware.get(m, {}))) for m in range(shape[0])]
    }


def _fallback(results: Results) -> dict[str, Any] | None:
    """[M, R] forecasts that are not the models' own, and windows of which that is known; None where all is the models' own."""
    if results.fallen is None or results.answered is None or not results.fallen.any():
        return None
    return {"fallen": array(results.fallen, "f4"), "answered": array(results.answered, "f4")}


def _hardware(machine: Mapping[str, Any], row: Mapping[str, Any]) -> str:
    parts = [_text(machine.get("cpu")), row["device"] if row["device"] not in (None, "", "cpu") else ""]
    threads = f"{row['threads']} thread{'s' if row['threads'] != 1 else ''}" if row["threads"] else ""
    return ", ".join(filter(None, (*parts, threads)))


def _receipts(rows: Rows) -> dict[str, Any]:
    """What repeats each own cell; what many cells share (machine, versions) is kept once, in "places"."""
    places: dict[str, int] = {}
    cells = {}
    for (m, r), found in rows.items():
        told = [_receipt(row, places) for row in found]
        cells[f"{m},{r}"] = {**told[0], "others": told[1:]}
    return {"places": [json.loads(place) for place in places], "cells": cells}


def _receipt(row: Mapping[str, Any], places: dict[str, int]) -> dict[str, Any]:
    stored = mapping(row["receipt"])
    machine = mapping(stored.get("machine"))
    place = {**{name: machine.get(name) for name in _MACHINE}, "versions": mapping(stored.get("versions"))}
    key = json.dumps(place, sort_keys=True, default=str)
    return {
        **{name: row[name] for name in _SAID},
        **({"fallback": row["fallback"]} if row["fallback"] else {}),
        "run_id": row["run_id"],
        "at": row["finished_at"].isoformat(timespec="seconds") if row["finished_at"] else "",
        "place": places.setdefault(key, len(places)),
        "command": run_command(row),
        "replay": f"harness replay {row['cell_id'][:12]}",
    }
