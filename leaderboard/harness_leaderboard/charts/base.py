"""What all pictures share: where rows come from, colours of both themes, axes of ratios.

Notable choices:

* A specification names no colour of a theme. Colours are in the configuration (`look`), so one specification serves light and dark.
* Rows are the dataset "rows". Without rows the specification only names it, and a page's script supplies `datasets: {rows: [...]}`.
* Names are values of fields, never fields and never parts of an expression, so whatever a stranger wrote is drawn as text.
* Categories have Okabe and Ito's colours and, besides, shapes or dashes; magnitude has blue (better) to orange (worse).
* JSON has no NaN and no infinity: such numbers become null, and a mark without its number is not drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

__all__ = [
    "DASHES",
    "LABEL",
    "RATIO_TICKS",
    "SHAPES",
    "Drawing",
    "Rows",
    "Width",
    "by_order",
    "look",
    "named",
    "of_model",
    "ratio_axis",
    "source",
    "titled",
]

Rows = Sequence[Mapping[str, Any]] | None
"""Records of a picture; None = the page's script supplies them."""

Width = int | str
"""Pixels, or "container": as wide as the element the picture is put into."""

Drawing = alt.LayerChart | alt.FacetChart
"""A picture; small multiples are a FacetChart."""

LABEL = 180
"""Pixels of a name beside an axis; the tooltip has the whole."""

RATIO_TICKS = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1, 1.2, 1.4, 1.7, 2, 2.5, 3, 4, 5, 7, 10, 20, 50, 100, 1000]
SHAPES = ["circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left"]
DASHES = [[1, 0], [6, 2], [2, 2], [8, 2, 2, 2], [4, 4], [1, 3], [10, 3], [6, 2, 2, 2, 2, 2]]

_LIGHT = {
    "text": "#1f2328",
    "muted": "#57606a",
    "grid": "#d8dee4",
    "back": "#ffffff",
    "mid": "#f3f3f3",
    "better": "#0072B2",
    "worse": "#D55E00",
}
_DARK = {
    "text": "#e6edf3",
    "muted": "#9da7b1",
    "grid": "#343b43",
    "back": "#0d1117",
    "mid": "#22272e",
    "better": "#56B4E9",
    "worse": "#E69F00",
}
_CATEGORIES = {
    False: ["#0072B2", "#D55E00", "#009E73", "#A3528A", "#000000", "#B37700", "#2B8CC4", "#6B6B00"],
    True: ["#56B4E9", "#E69F00", "#2FC79B", "#E6A1C8", "#F0E442", "#FF8A4C", "#FFFFFF", "#9EB8FF"],
}
"""Okabe and Ito's colours; those that are too pale on white, or too dark on black, a little darker or lighter."""

_FONT = "system-ui, -apple-system, 'Segoe UI', 'Liberation Sans', Arial, sans-serif"


def look(dark: bool = False) -> dict[str, Any]:
    """The configuration of a theme for Vega-Lite: fonts, grid, colours; the background is transparent.

    Text has a contrast of at least 4.5:1 on white, or on #0d1117 where `dark`.
    """
    c = _DARK if dark else _LIGHT
    text = {"labelColor": c["text"], "titleColor": c["text"], "labelFont": _FONT, "titleFont": _FONT, "titleFontWeight": "normal"}
    return {
        "background": "transparent",
        "font": _FONT,
        "padding": 6,
        "view": {"stroke": None},
        "mark": {"color": c["better"]},
        "text": {"color": c["text"], "font": _FONT, "fontSize": 11},
        "rule": {"color": c["text"]},
        "axis": {
            **text,
            "labelFontSize": 11,
            "titleFontSize": 11,
            "titlePadding": 8,
            "gridColor": c["grid"],
            "domainColor": c["grid"],
            "tickColor": c["grid"],
            "labelLimit": LABEL,
        },
        "legend": {**text, "labelFontSize": 11, "titleFontSize": 11, "labelLimit": LABEL, "symbolStrokeWidth": 2},
        "header": {**text, "labelFontSize": 12, "labelFontWeight": "bold", "labelLimit": 2 * LABEL},
        "title": {"color": c["text"], "subtitleColor": c["muted"], "font": _FONT, "subtitleFont": _FONT, "fontSize": 14, "anchor": "start"},
        "range": {
            "category": _CATEGORIES[dark],
            "symbol": SHAPES,
            "diverging": [c["better"], c["mid"], c["worse"]],
        },
        # The colour of `mark` or `rule` is stronger than a style's fill or stroke, so styles name theirs as colour too.
        "style": {
            "reference": {"color": c["muted"], "stroke": c["muted"], "strokeDash": [4, 3], "strokeWidth": 1},
            "muted": {"color": c["muted"], "fill": c["muted"]},
            "better": {"color": c["better"], "fill": c["better"]},
            "worse": {"color": c["worse"], "fill": c["worse"]},
            "plain": {"color": c["text"], "fill": c["text"]},
            "came": {"color": c["text"], "stroke": c["text"]},
            "hollow": {"color": c["back"], "fill": c["back"]},
        },
    }


def source(rows: Rows) -> alt.Data:
    """The picture's data: these rows, or the named ones that a page supplies."""
    if rows is None:
        return alt.NamedData(name="rows")
    return alt.InlineData(values=[{name: _finite(value) for name, value in row.items()} for row in rows], name="rows")


def _finite(value: Any) -> Any:
    if isinstance(value, float):  # numpy's float64 is one
        return float(value) if math.isfinite(value) else None
    if hasattr(value, "item"):
        return _finite(value.item())
    return value


def titled(title: str, subtitle: str = "") -> dict[str, Any]:
    """The property `title`, each line of its texts cut to 200 characters; {} when there is none."""
    if not title:
        return {}
    text, below = ([line if len(line) <= 200 else line[:199] + "…" for line in part.split("\n")] for part in (title, subtitle))
    return {"title": alt.TitleParams(text=text, subtitle=below) if subtitle else alt.TitleParams(text=text)}


def named(rows: Rows) -> dict[str, Any]:
    """The domain of a scale of models, in their order: only scales with the same domain become one legend. {} without rows."""
    if rows is None:
        return {}
    order = {row["model"]: row["order"] for row in rows if row.get("model") is not None}
    return {"domain": sorted(order, key=lambda name: order[name])}


def by_order(field: str = "order") -> alt.EncodingSortField:
    """Sorted by a column of numbers, lowest first."""
    return alt.EncodingSortField(field=field, op="min", order="ascending")


def of_model(title: str | None = None) -> alt.Y:
    """One row a model, in the order of the column `order`; how long names may be is the configuration's."""
    return alt.Y("model:N", sort=by_order(), title=title, axis=alt.Axis(ticks=False, domain=False, grid=False))


def ratio_axis(title: str | None) -> dict[str, Any]:
    """Scale and axis of a ratio: logarithmic, as 0.5 is as far from 1 as 2 is."""
    axis = alt.Axis(values=RATIO_TICKS, labelOverlap="greedy", format="~g")
    return {"scale": alt.Scale(type="log", nice=False, padding=12), "axis": axis, "title": title}
