"""The error grid as a picture: zones, the lines between them, and where the forecasts of the last step lie, as Vega-Lite.

Up to `POINTS` forecasts are points, more are counted in squares, the darker the more. The percentages are those of the dialect's scores:
of each patient's points, then the mean over patients; they count all points, also those beyond the picture's edges.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np

from harness.dialects import Forecasts
from harness.errors import NothingMatched
from harness.forecast import F64
from harness_results.glucose.arrays import grouped
from harness_results.glucose.error_grids import ZONES, zone_counts, zone_shares
from harness_results.glucose.regions import Area, Grid, areas, edges, grid

__all__ = ["draw", "last_step", "patients"]

POINTS = 3000
SQUARES = 100
"""Along each side of the picture."""
SIDE = 520
"""Pixels."""
COLOURS = ("#009E73", "#56B4E9", "#E69F00", "#D55E00", "#CC79A7")
LEAST = 0.004
"""Of the picture, an area that has room for its letter."""


def draw(kind: str, forecasts: Mapping[str, Forecasts], which: str) -> dict[str, Any]:  # noqa: ARG001 - there is one kind
    """The picture `error-grid` of the first model.

    Args:
        kind: "error-grid".
        forecasts: {model: forecasts of one task}.
        which: the grid: "Clarke[ega]", "parkes[1]"; "" = the first.

    Raises:
        UsageError: there is no such grid.
        NothingMatched: no point has a reference.
    """
    of = grid(which)
    model, given = next(iter(forecasts.items()))
    reference, prediction, patient = last_step(given)
    if not np.isfinite(reference).any():
        raise NothingMatched(f"none of the {len(reference)} labels of {model} is there; an error grid needs references")
    counts = zone_counts(of.zone(reference, prediction), patient, int(patient.max()) + 1)
    shares = zone_shares(counts)
    shares = shares[np.isfinite(shares).all(axis=1)].mean(axis=0)  # [5]
    seen = np.isfinite(reference)
    r, p = reference[seen], np.maximum(prediction[seen], 0)
    inside = (r <= of.end) & (p <= of.end)
    beyond = f", {(~inside).sum():,} of them beyond {of.end} mg/dL" if not inside.all() else ""
    told = " · ".join(f"{letter} {share:.1f} %" for letter, share in zip(ZONES, shares, strict=True))
    task = given.data.task if given.data is not None else None
    name = f"{task.suite}: {task.name}" if task else "forecasts"
    many = int((counts.sum(axis=1) > 0).sum())
    about = f"{len(r):,} forecasts at step {given.horizon}{beyond}, {many} {'patient' if many == 1 else 'patients'}; {of.about}"
    subtitle = [about, f"mean over patients: {told}"]
    return {
        "title": {"text": f"{name}, {model}, {of.name}", "subtitle": subtitle, "anchor": "start"},
        "description": f"Error grid {of.name} of {model} on {name}. {'; '.join(subtitle)}",
        "width": SIDE,
        "height": SIDE,
        "layer": [_zones(of, shares), _points(r[inside], p[inside], of.end), _edges(of), _diagonal(of.end), _letters(of)],
    }


def last_step(forecasts: Forecasts) -> tuple[F64, F64, F64]:
    """(references, NaN where missing; median forecasts; patients, numbered from 0) at the last step, [N] each."""
    n = len(forecasts)
    reference, prediction = np.full(n, np.nan), np.full(n, np.nan)
    for block in forecasts.blocks():
        reference[block.rows], prediction[block.rows] = block.labels[:, -1], block.median()[:, -1]
    reference[~np.isfinite(reference)] = np.nan
    return reference, prediction, patients(forecasts)


def patients(forecasts: Forecasts) -> Any:
    """Whose window each is, int64 [N] from 0: what the suite says that an item is part of, else the item."""
    item = np.asarray(forecasts.channel, np.int64) // forecasts.variates
    groups = None if forecasts.data is None else forecasts.data.series.groups
    if groups is None:
        return np.unique(item, return_inverse=True)[1]
    whole = groups.combine_chunks() if hasattr(groups, "combine_chunks") else groups
    codes = np.asarray(whole.dictionary_encode().indices.to_numpy(zero_copy_only=False), np.int64)
    return np.unique(codes[item], return_inverse=True)[1]


def _scale(end: int) -> dict[str, Any]:
    return {"domain": [0, end], "nice": False, "zero": True}


def _x(field: str, end: int) -> dict[str, Any]:
    axis = {"grid": False, "tickCount": 10}
    return {"field": field, "type": "quantitative", "scale": _scale(end), "title": "reference, mg/dL", "axis": axis}


def _y(field: str, end: int) -> dict[str, Any]:
    return {**_x(field, end), "title": "forecast, mg/dL"}


def _zones(of: Grid, shares: F64) -> dict[str, Any]:
    """Each piece of a zone in the zone's colour; the legend has the percentages."""
    names = [f"{letter} {share:.1f} %" for letter, share in zip(ZONES, shares, strict=True)]
    rows = [
        {"piece": n, "zone": names[area.zone], "r": float(at), "low": float(low), "high": float(high)}
        for n, area in enumerate(areas(of))
        for at, low, high in zip(area.at, area.low, area.high, strict=True)
    ]
    legend = {"title": "zone", "orient": "right", "symbolType": "square", "symbolOpacity": 0.6, "symbolSize": 160}
    return {
        "data": {"values": rows, "name": "zones"},
        "mark": {"type": "area", "opacity": 0.22, "line": False, "clip": True},
        "encoding": {
            "x": _x("r", of.end),
            "y": {**_y("low", of.end), "stack": None},
            "y2": {"field": "high"},
            "detail": {"field": "piece", "type": "nominal"},
            "color": {"field": "zone", "type": "nominal", "scale": {"domain": names, "range": list(COLOURS)}, "legend": legend},
        },
    }


def _points(r: F64, p: F64, end: int) -> dict[str, Any]:
    """The forecasts: each a point, or counted in squares."""
    if len(r) <= POINTS:
        rows = [{"reference": float(a), "forecast": round(float(b), 2)} for a, b in zip(r, p, strict=True)]
        tips = [{"field": name, "type": "quantitative", "format": ".4~g"} for name in ("reference", "forecast")]
        return {
            "data": {"values": rows, "name": "points"},
            "mark": {"type": "point", "style": "plain", "filled": True, "size": 10, "opacity": 0.4, "clip": True},
            "encoding": {"x": _x("reference", end), "y": _y("forecast", end), "tooltip": tips},
        }
    size = end / SQUARES
    cell = np.minimum((np.stack([r, p]) / size).astype(np.int64), SQUARES - 1)  # [2, n]
    counts = grouped(np.ones(len(r)), cell[0] * SQUARES + cell[1], SQUARES * SQUARES)
    rows = [
        {"r": i * size, "r2": (i + 1) * size, "p": j * size, "p2": (j + 1) * size, "count": int(counts[i * SQUARES + j])}
        for i, j in (divmod(k, SQUARES) for k in np.flatnonzero(counts).tolist())
    ]
    legend = {"title": "forecasts", "orient": "right", "symbolType": "square", "symbolSize": 160, "format": ",d"}
    scale = {"type": "log", "domain": [1, max(2, int(counts.max()))], "range": [0.12, 0.95]}
    return {
        "data": {"values": rows, "name": "squares"},
        "mark": {"type": "rect", "style": "plain", "clip": True, "strokeWidth": 0},
        "encoding": {
            "x": _x("r", end),
            "x2": {"field": "r2"},
            "y": _y("p", end),
            "y2": {"field": "p2"},
            "opacity": {"field": "count", "type": "quantitative", "scale": scale, "legend": legend},
            "tooltip": [{"field": "count", "type": "quantitative", "title": "forecasts", "format": ",d"}],
        },
    }


def _edges(of: Grid) -> dict[str, Any]:
    rows = [{"r": float(a), "p": float(b), "r2": float(c), "p2": float(d)} for (a, b), (c, d) in edges(of)]
    return {
        "data": {"values": rows, "name": "edges"},
        "mark": {"type": "rule", "strokeWidth": 1.2},
        "encoding": {"x": _x("r", of.end), "y": _y("p", of.end), "x2": {"field": "r2"}, "y2": {"field": "p2"}},
    }


def _diagonal(end: int) -> dict[str, Any]:
    return {
        "data": {"values": [{"r": 0, "p": 0, "r2": end, "p2": end}], "name": "diagonal"},
        "mark": {"type": "rule", "style": "reference"},
        "encoding": {"x": _x("r", end), "y": _y("p", end), "x2": {"field": "r2"}, "y2": {"field": "p2"}},
    }


def _letters(of: Grid) -> dict[str, Any]:
    """A letter in each piece that has room for it."""
    roomy = [area for area in areas(of) if area.size >= LEAST * of.end**2]
    rows = [{"zone": ZONES[area.zone], **_middle(area)} for area in roomy]
    return {
        "data": {"values": rows, "name": "letters"},
        "mark": {"type": "text", "style": "plain", "fontSize": 16, "fontWeight": "bold"},
        "encoding": {"x": _x("r", of.end), "y": _y("p", of.end), "text": {"field": "zone", "type": "nominal"}},
    }


def _middle(area: Area) -> dict[str, float]:
    """In the middle of the largest part of a piece between two of its corners."""
    ends = list(pairwise(zip(area.at, area.low, area.high, strict=True)))
    (a, b, e), (c, d, f) = max(ends, key=lambda part: (part[1][0] - part[0][0]) * sum(high - low for _, low, high in part))
    r, low, high = (a + c) / 2, (b + d) / 2, (e + f) / 2
    return {"r": float(r), "p": float((low + high) / 2)}
