"""Pictures of the probabilities of an event, as Vega-Lite: how often what was said happened, and events against false alarms.

Axes: N windows, K points of a curve. Windows without an outcome count nowhere. The ROC curve is over pairs of all windows, as is the
dialect's `AUC`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from harness import events
from harness.batches import thresholds
from harness.dialects import Forecasts
from harness.errors import NothingMatched, UsageError
from harness.forecast import F64
from harness_results.direction.calibration import ece, reliability
from harness_results.direction.discrimination import auroc

__all__ = ["draw", "roc", "said"]

SIDE = 420
"""Pixels."""
MOST = 200
"""Points of a curve."""


def draw(kind: str, forecasts: Mapping[str, Forecasts], which: str) -> dict[str, Any]:
    """The picture `reliability` or `roc` of all these models.

    Raises:
        UsageError: one of several pictures is asked for.
        NothingMatched: there is no outcome, or no model has both an event and a window without.
    """
    if which:
        raise UsageError(f"got --grid {which} for the picture {kind}, which is of one kind; leave it out")
    pairs = {model: said(given) for model, given in forecasts.items()}
    given = next(iter(forecasts.values()))
    task = given.data.task if given.data is not None else None
    _, y = next(iter(pairs.values()))
    known = np.isfinite(y)
    if not 0 < np.nansum(y) < known.sum():
        raise NothingMatched(
            f"{int(np.nansum(y))} events in {int(known.sum())} windows with an outcome; wanted some with and some without it"
        )
    counts = f"{int(known.sum()):,} windows, {int(np.nansum(y)):,} with the event, base rate {np.nansum(y) / known.sum():.3f}"
    name = f"{task.suite}: {task.name}" if task else "event"
    made = _reliability(pairs) if kind == "reliability" else _roc(pairs)
    words = made.pop("words")
    return {
        "title": {"text": f"{name}, {made.pop('called')}", "subtitle": [counts, words], "anchor": "start"},
        "description": f"{name}. {counts}; {words}",
        "width": SIDE,
        "height": SIDE,
        **made,
    }


def said(forecasts: Forecasts) -> tuple[F64, F64]:
    """(probability of the event, whether it happened, NaN where that is not known) of each window, [N] each.

    Raises:
        NothingMatched: these forecasts have no probabilities.
    """
    event = None if forecasts.data is None else forecasts.data.task.event
    n = len(forecasts)
    chance, happened = np.full(n, np.nan), np.full(n, np.nan)
    for block in forecasts.blocks():
        if event is None or block.probability is None:
            raise NothingMatched("these forecasts were kept without the probability of an event; make them anew: --rerun all")
        limit = thresholds(event, forecasts.series, forecasts.channel[block.rows], forecasts.cut[block.rows])
        chance[block.rows], happened[block.rows] = block.probability, events.happened(event, block.labels, limit)
    return chance, happened


def roc(p: F64, y: F64) -> tuple[F64, F64]:
    """(share of false alarms, share of events found) [K] as the threshold falls, from (0, 0) to (1, 1); at most some `MOST` points.

    >>> roc(np.array([0.9, 0.8, 0.8, 0.1]), np.array([1.0, 1.0, 0.0, 0.0]))
    (array([0. , 0. , 0.5, 1. ]), array([0. , 0.5, 1. , 1. ]))
    """
    known = np.isfinite(y)
    p, y = p[known], y[known]
    order = np.argsort(-p, kind="stable")
    last = np.flatnonzero(np.append(np.diff(p[order]) != 0, True))  # of windows with one probability, the last
    found, alarms = np.cumsum(y[order])[last], np.cumsum(1 - y[order])[last]
    keep = np.unique(np.linspace(0, len(last) - 1, min(MOST, len(last))).round().astype(int))
    start = np.zeros(1)
    return np.concatenate([start, alarms[keep] / alarms[-1]]), np.concatenate([start, found[keep] / found[-1]])


def _roc(pairs: Mapping[str, tuple[F64, F64]]) -> dict[str, Any]:
    rows, names = [], []
    for model, (p, y) in pairs.items():
        names.append(f"{model}, area {auroc(p, y):.3f}")
        false, found = roc(p, y)
        rows += [{"model": names[-1], "x": float(a), "y": float(b), "at": k} for k, (a, b) in enumerate(zip(false, found, strict=True))]
    curve = _lines(names, "share of false alarms", "share of events found")
    curve["encoding"]["order"] = {"field": "at", "type": "quantitative"}
    words = "on the diagonal a model ranks as well as a guess; pairs of all folds, as in “AUC”"
    return {"called": "ROC", "words": words, "layer": [_diagonal(), {"data": {"values": rows, "name": "curves"}, **curve}]}


def _reliability(pairs: Mapping[str, tuple[F64, F64]]) -> dict[str, Any]:
    rows, names = [], []
    for model, (p, y) in pairs.items():
        names.append(f"{model}, ECE {ece(p, y):.3f}")
        table = reliability(p, y)
        each = zip(table.forecast, table.observed, table.low, table.high, table.windows, strict=True)
        rows += [
            {"model": names[-1], "x": float(x), "y": float(o), "low": float(a), "high": float(b), "windows": int(n)}
            for x, o, a, b, n in each
        ]
    lines = _lines(names, "probability said, mean of a tenth of the windows", "share in which it happened")
    colour = lines["encoding"]["color"]
    x = lines["encoding"]["x"]
    ends = {"y": {**lines["encoding"]["y"], "field": "low"}, "y2": {"field": "high"}}
    whisker = {"mark": {"type": "rule", "opacity": 0.5}, "encoding": {"x": x, **ends, "color": colour}}
    tips = [{"field": name, "type": "quantitative", "format": ".3f"} for name in ("x", "y", "low", "high")]
    point = {
        "mark": {"type": "point", "filled": True, "size": 50, "opacity": 1},
        "encoding": {**lines["encoding"], "shape": {**colour}, "tooltip": [{"field": "windows", "type": "quantitative"}, *tips]},
    }
    point["encoding"].pop("strokeDash")
    lines["encoding"].pop("strokeDash")
    words = "on the diagonal what is said is what happens; bars are 95 % intervals of the share (Wilson)"
    data = {"values": rows, "name": "bins"}
    return {
        "called": "reliability",
        "words": words,
        "layer": [_diagonal(), *({"data": data, **layer} for layer in (lines, whisker, point))],
    }


def _lines(names: list[str], x: str, y: str) -> dict[str, Any]:
    """A line for each model, in its colour and dash."""
    legend = {"orient": "bottom", "columns": 1, "labelLimit": 400, "symbolSize": 90, "symbolOpacity": 1}
    kind = {"field": "model", "type": "nominal", "title": None, "scale": {"domain": names}, "legend": legend, "sort": None}
    dashes = [[1, 0], [6, 2], [2, 2], [8, 2, 2, 2], [4, 4], [1, 3], [10, 3], [6, 2, 2, 2, 2, 2]]
    return {
        "mark": {"type": "line", "strokeWidth": 1.8},
        "encoding": {
            "x": _share("x", x),
            "y": _share("y", y),
            "color": kind,
            "strokeDash": {**kind, "scale": {"domain": names, "range": dashes}},
        },
    }


def _share(field: str, title: str) -> dict[str, Any]:
    axis = {"tickCount": 10, "format": "~g"}
    return {"field": field, "type": "quantitative", "title": title, "scale": {"domain": [0, 1], "nice": False}, "axis": axis}


def _diagonal() -> dict[str, Any]:
    ends = [{"x": 0, "y": 0}, {"x": 1, "y": 1}]
    encoding = {"x": _share("x", ""), "y": _share("y", "")}
    for side in encoding.values():
        side.pop("title")
    return {"data": {"values": ends, "name": "diagonal"}, "mark": {"type": "line", "style": "reference"}, "encoding": encoding}
