"""Payloads of the page for tests: ordinary ones of any size, from a seed, with gaps, failures, ties and every optional part."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness_leaderboard.page.payload import statistics_of

__all__ = ["HOSTILE", "array", "empty_payload", "make_payload"]

DTYPES = {"f8": "<f8", "f4": "<f4", "u1": "u1", "u2": "<u2", "i4": "<i4"}

HOSTILE = [
    "<script>window.hurt = 1</script>",
    "\"><img src=x onerror='window.hurt = 1'>",
    "=1+1|cmd",
    "@SUM(A1)",
    "x" * 10_000,
    "\u202egnp.exe",
    "zero\u200bwidth",
    "bell\x07\x00\x1b[31m",
    "__proto__",
    "constructor",
    "toString",
    "",
    "{{ 7 * 7 }}${7 * 7}",
    "</script><h1>out</h1>",
    "שלום עולם",
    "datum.model'] + alert(1)",
    "a&b=c#d?e",
    "|pipe| `tick` *star*",
    "half \ud83d of a pair",
]
"""Names that are no names."""


def array(values: Any, dtype: str) -> dict[str, Any]:
    """An array as the payload holds it."""
    found: NDArray[Any] = np.ascontiguousarray(values, dtype=DTYPES[dtype])
    return {"dtype": dtype, "shape": list(found.shape), "data": base64.b64encode(found.tobytes()).decode()}


def make_payload(
    models: int = 24,
    families: int = 9,
    per_family: int = 2,
    own: int = 2,
    seed: int = 0,
    gaps: bool = True,
    details: bool = True,
    labels: tuple[str, str] = ("MASE", "CRPS"),
) -> dict[str, Any]:
    """A payload of `models` models on `families` × `per_family` tasks, the last `own` of them own runs.

    With `gaps`: one published model lacks a third of the tasks, one own model has failures, there are ties and an infinite score. With
    `details`: steps, calibration and forecasts of the own models. `labels`: what the main scores are called.
    """
    draw = np.random.default_rng(seed)
    tasks = _tasks(families, per_family)
    m, r = models, len(tasks)
    ratio = np.exp(
        draw.normal(0, 0.12, (m, r)) + np.linspace(-0.5, 0.2, m)[:, None] + draw.normal(0, 0.15, (m, families)).repeat(per_family, 1)
    )
    base = np.exp(draw.normal(0, 0.5, (2, r)))
    values = np.stack([ratio * base[0], ratio * np.exp(draw.normal(0, 0.03, (m, r))) * base[1]])
    status = np.ones((m, r), np.uint8)
    stale = np.zeros((m, r), np.uint8)
    if gaps and m >= 6 and r >= 6:
        status[2, : r // 3] = 0
        status[m - 1, 1::4] = 2
        status[m - 1, 2::8] = 3
        stale[m - 2, :3] = 1
        values[:, 4] = values[:, 3]
        values[0, 5, 0] = np.inf
        values[0, 5, 1] = 0.0
    values[:, status != 1] = np.nan
    records = [_model(i, own=i >= m - own, draw=draw) for i in range(m)]
    mine = list(range(m - own, m))
    cost = {name: np.full((m, r), np.nan) for name in ("fit_s", "predict_s", "windows", "peak_mb")}
    for i in mine:
        cost["fit_s"][i], cost["predict_s"][i], cost["windows"][i], cost["peak_mb"][i] = 0.5, 0.2 * (i + 1), 1000, 300 + 10 * i
    cells = {
        f"{i},{j}": {
            "cell_id": f"{i:04x}{j:04x}", "run_id": "r0", "place": 0, "at": "2026-11-20T10:00:00", "data_fingerprint": "d" * 16,
            "status": "ok", "source_digest": "s" * 16, "predict_s": 0.2, "peak_rss_mb": 310.0, "others": [],
            "failure": "timeout" if status[i, j] == 2 else "", "reason": "took longer than 60 s" if status[i, j] == 2 else "",
            "command": f"harness run -m own-{i} -s demo -t {tasks[j]['name']}", "replay": f"harness replay {i:04x}{j:04x}",
        }
        for i in mine
        for j in range(r)
    }  # fmt: skip
    payload: dict[str, Any] = {
        "format": 1,
        "suite": {"name": "demo", "summary": "Made-up numbers.", "version": "1", "license": "", "url": "", "baseline": "seasonal_naive"},
        "made": {
            "at": "2026-11-21T10:00:00Z",
            "by": "ts-harness 0.1.0",
            "db": "harness.duckdb",
            "command": "harness leaderboard -o x.html",
        },
        "notes": ["Only made-up numbers."],
        "selection": "",
        "tasks": tasks,
        "models": records,
        "scores": [
            {"name": "MASE[0.5]", "label": labels[0], "values": array(values[0], "f8"), "baseline": array(base[0], "f8")},
            {
                "name": "mean_weighted_sum_quantile_loss",
                "label": labels[1],
                "values": array(values[1], "f8"),
                "baseline": array(base[1], "f8"),
            },
            {"name": "MSIS", "label": "MSIS", "values": array(values[0] * 3, "f4"), "baseline": array(base[0] * 3, "f4")},
        ],
        "status": array(status, "u1"),
        "stale": array(stale, "u1"),
        "baseline_stale": array(np.zeros(r), "u1"),
        "cost": {
            **{name: array(part, "f4") for name, part in cost.items()},
            "hardware": ["8 cores" if i in mine else "" for i in range(m)],
        },
        "receipts": {"places": [{"cpu": "a processor", "cores": 8, "versions": {"numpy": "2.0"}}], "cells": cells},
        "statistics": statistics_of(len({task["family"] for task in tasks})),
        "calibration": None,
        "steps": None,
        "explorer": None,
    }
    if details and mine:
        payload |= _details(mine, tasks, draw)
    return payload


def empty_payload() -> dict[str, Any]:
    """A suite without a task and without a model."""
    nothing = array(np.empty((0, 0)), "f8")
    scores = [{"name": name, "label": name, "values": nothing, "baseline": nothing} for name in ("MASE", "CRPS")]
    return {"format": 1, "suite": {"name": ""}, "made": {}, "notes": [], "tasks": [], "models": [], "scores": scores, "statistics": {}}


def _tasks(families: int, per_family: int) -> list[dict[str, Any]]:
    domains = ["Energy", "Web/CloudOps", "Transport", "Nature", "Econ/Fin", "Sales", "Healthcare"]
    made = []
    for f in range(families):
        for k in range(per_family):
            freq, term = ("H", "D", "15T", "M")[k % 4], ("short", "medium", "long")[k % 3]
            record = {
                "name": f"family{f}/{freq}/{term}/{k}",
                "dataset": f"family{f}/{freq}",
                "family": f"family{f}",
                "freq": freq,
                "term": term,
            }
            numbers = {"horizon": [8, 12, 24, 48, 96, 480, 720, 30, 60, 14][(f + k) % 10], "season_length": 24, "variates": 1 + f % 3}
            made.append({**record, "domain": domains[f % len(domains)], **numbers})
    return made


def _model(i: int, own: bool, draw: np.random.Generator) -> dict[str, Any]:
    state = "clean" if i % 5 == 0 else "declared" if i % 7 == 3 else "unknown"
    return {
        "label": f"own-{i}" if own else f"model-{i:03}",
        "model": f"own-{i}" if own else f"model-{i:03}",
        "source": "own" if own else "gift-eval",
        "mode": "zero-shot" if own else "published",
        "budget": "",
        "scope": "",
        "type": ["pretrained", "statistical", "deep-learning", "fine-tuned"][i % 4],
        "org": f"org {i % 6}",
        "license": "Apache-2.0" if i % 2 else "MIT",
        "weights_license": "",
        "parameters": int(draw.integers(10**6, 10**9)) if i % 3 else None,
        "link": f"https://example.org/{i}",
        "leakage": "Yes" if state == "declared" else "No",
        "contamination": {"state": state, "text": "", "counts": {state: 3}},
        "output": "quantiles",
        "seeds": 1,
        "summary": "",
    }


def _details(mine: list[int], tasks: list[dict[str, Any]], draw: np.random.Generator) -> dict[str, Any]:
    o, r = len(mine), len(tasks)
    levels = [round(0.1 * q, 1) for q in range(1, 10)]
    n = np.full((o, r), 500.0)
    hits = n[:, :, None] * np.clip(np.array(levels) + draw.normal(0, 0.03, (o, r, 1)), 0, 1)
    points = np.array([min(48, task["horizon"]) for task in tasks])
    steps = np.concatenate([np.linspace(1, task["horizon"], p) for task, p in zip(tasks, points, strict=True)])
    mase = np.abs(1 + 0.3 * np.log(steps) + draw.normal(0, 0.05, (o, len(steps))))
    windows = []
    for kind in ("best", "median", "worst", "apart"):
        came = np.sin(np.arange(24) / 4) + draw.normal(0, 0.1, 24)
        forecasts = [array(came[None] + np.array([-1, -0.4, 0, 0.4, 1])[:, None] * (0.5 + k), "f4") for k in range(o)]
        windows.append(
            {
                "kind": kind, "item": f"item {kind}", "variate": 0, "cutoff": "2020-01-01T00:00:00", "freq": "H",
                "context": array(np.sin(np.arange(-96, 0) / 4), "f4"), "label": array(came, "f4"), "step": array(np.arange(1, 25), "f4"),
                "errors": [0.8 + k for k in range(o)], "forecasts": forecasts,
            }
        )  # fmt: skip
    return {
        "calibration": {"models": mine, "levels": levels, "n": array(n, "f4"), "hits": array(hits, "f4")},
        "steps": {
            "models": mine, "points": array(points, "u2"), "offset": array(np.cumsum(points) - points, "i4"), "step": array(steps, "f4"),
            "mase": array(mase, "f4"),
        },
        "explorer": {
            "models": mine, "tasks": [{"task": j, "windows": windows} for j in range(min(3, r))], "levels": [0.1, 0.3, 0.5, 0.7, 0.9],
            "left_out": "",
        },
    }  # fmt: skip
