"""Pictures of forecasts: error by step of the horizon, calibration, fans."""

from __future__ import annotations

from typing import Any

import altair as alt

from harness_leaderboard.charts.base import DASHES, SHAPES, Drawing, Rows, Width, by_order, named, source, titled

__all__ = ["fan", "pit", "reliability", "steps"]


def _legend(columns: int = 2, lines: bool = True) -> alt.Legend:
    """Pieces of lines, or symbols."""
    kind: dict[str, Any] = {"symbolType": "stroke", "symbolSize": 400, "symbolOpacity": 1} if lines else {"symbolSize": 120}
    return alt.Legend(orient="bottom", columns=columns, labelLimit=150, **kind)


def _colour(rows: Rows, legend: alt.Legend | None = None) -> alt.Color:
    """A model's colour."""
    more: dict[str, Any] = {"scale": alt.Scale(**named(rows))} if rows is not None else {}
    more |= {"legend": legend} if legend is not None else {}
    return alt.Color("model:N", sort=by_order(), title=None, **more)


def _kinds(rows: Rows, dashes: list[list[int]] = DASHES, columns: int = 2) -> dict[str, alt.Color | alt.StrokeDash]:
    """Colour and dash of a model's line."""
    scale = alt.Scale(range=dashes, **named(rows))
    return {
        "color": _colour(rows, _legend(columns)),
        "strokeDash": alt.StrokeDash("model:N", sort=by_order(), title=None, scale=scale, legend=_legend(columns)),
    }


def steps(rows: Rows = None, width: Width = "container", title: str = "", subtitle: str = "", unit: str = "step of the horizon") -> Drawing:
    """The error along the horizon, a line for each model.

    Columns: `model`, `order`, `position` (step from 1, or share of the horizon), `value` (MASE of that step, or over the baseline's).

    Args:
        unit: title of the axis of positions.
    """
    tips = [
        alt.Tooltip("model:N", title="model"),
        alt.Tooltip("position:Q", title=unit, format=".4~g"),
        alt.Tooltip("value:Q", title="error", format=".4~g"),
    ]
    base = alt.Chart().encode(
        x=alt.X("position:Q", title=unit, scale=alt.Scale(zero=False, nice=False), axis=alt.Axis(grid=False, tickMinStep=1)),
        y=alt.Y("value:Q", title="MASE", scale=alt.Scale(zero=False)),
    )
    line = base.mark_line(strokeWidth=2).encode(**_kinds(rows))
    point = base.mark_point(filled=True, size=18, opacity=1).encode(color=_colour(rows), tooltip=tips)
    return alt.layer(line, point, data=source(rows)).properties(width=width, height=280, **titled(title, subtitle))


def reliability(rows: Rows = None, width: Width = "container", title: str = "", subtitle: str = "") -> Drawing:
    """Calibration: the share of values that came at or below each quantile. On the diagonal a forecast says what is so.

    Columns: `model`, `order`, `level` (0 to 1), `coverage` share of labels at or below that quantile.
    """
    share = alt.Scale(domain=[0, 1], nice=False)
    tips = [
        alt.Tooltip("model:N", title="model"),
        alt.Tooltip("level:Q", title="level", format="~g"),
        alt.Tooltip("coverage:Q", title="share at or below", format=".3f"),
    ]
    base = alt.Chart().encode(
        x=alt.X("level:Q", scale=share, title="quantile level", axis=alt.Axis(tickCount=10, format="~g")),
        y=alt.Y("coverage:Q", scale=share, title="share of values at or below", axis=alt.Axis(tickCount=10, format="~g")),
    )
    corners = alt.InlineData(values=[{"level": 0, "coverage": 0}, {"level": 1, "coverage": 1}], name="diagonal")
    diagonal = alt.Chart(corners).mark_line(style="reference").encode(x="level:Q", y="coverage:Q")
    line = base.mark_line(strokeWidth=1.5).encode(color=_colour(rows, _legend(lines=False)))
    # Points tell models apart by shape; dashes besides would make the legend's outlines ragged.
    shape = alt.Shape("model:N", sort=by_order(), title=None, scale=alt.Scale(range=SHAPES, **named(rows)), legend=_legend(lines=False))
    point = base.mark_point(filled=True, size=45, opacity=1).encode(color=_colour(rows), shape=shape, tooltip=tips)
    return alt.layer(diagonal, line, point, data=source(rows)).properties(width=width, height=320, **titled(title, subtitle))


def pit(rows: Rows = None, width: Width = 220, title: str = "", subtitle: str = "", columns: int = 2) -> Drawing:
    """Where in the forecast distribution the values came, a small picture for each model; 1 everywhere = as forecast.

    A hump in the middle: forecasts too wide; high ends: too narrow; a slope: too low or too high. A page sets `spec.width` of the
    specification (a number) and `columns` to fit.

    Columns: `model`, `order`, `bin` its name ("0.1–0.2"), `low`, `high` levels of the bin (0 and 1 at the ends), `share` of values in it.
    """
    base = alt.Chart().transform_calculate(density="datum.share / (datum.high - datum.low)")
    tips = [
        alt.Tooltip("model:N", title="model"),
        alt.Tooltip("bin:N", title="levels"),
        alt.Tooltip("share:Q", title="share", format=".3f"),
    ]
    bar = base.mark_bar(binSpacing=1, opacity=0.85).encode(
        x=alt.X("low:Q", bin="binned", scale=alt.Scale(domain=[0, 1]), title="quantile level", axis=alt.Axis(grid=False)),
        x2="high:Q",
        y=alt.Y("density:Q", title="share / expected share"),
        tooltip=tips,
    )
    uniform = alt.Chart().mark_rule(style="reference").encode(y=alt.datum(1))
    return (
        alt.layer(bar, uniform)
        .properties(width=width, height=110)
        .facet(
            facet=alt.Facet("model:N", sort=by_order(), title=None, header=alt.Header(labelAnchor="start", labelPadding=4)),
            columns=columns,
            data=source(rows),
        )
        .properties(**titled(title, subtitle))
    )


def fan(
    rows: Rows = None, width: Width = "container", title: str = "", subtitle: str = "", unit: str = "step, 1 = the first forecast"
) -> Drawing:
    """One window: what had been (line), what came (points), and the forecasts of one or two models (median and bands).

    Columns: `part` "context", "label", "median" or "band"; `model` (of medians and bands), `order`, `x` step (1 = the first that is
    forecast, 0 = the last that was known), `y`, and for bands `low`, `high`, `band` its levels ("0.1–0.9") and `rank` 1 = the widest.

    Args:
        unit: title of the axis of steps, where the time of the cutoff may stand.
    """
    x = alt.X("x:Q", title=unit, scale=alt.Scale(zero=False, nice=False), axis=alt.Axis(grid=False, tickMinStep=1))
    value = alt.Scale(zero=False)
    kinds = _kinds(rows, [[1, 0], [5, 3]], 1)
    models, dashes = kinds["color"], kinds["strokeDash"]
    base = alt.Chart().encode(x=x)
    bands = base.transform_filter("datum.part == 'band'")
    tips = [
        alt.Tooltip("model:N", title="model"),
        alt.Tooltip("x:Q", title="step"),
        alt.Tooltip("band:N", title="levels"),
        alt.Tooltip("low:Q", title="from", format=".5~g"),
        alt.Tooltip("high:Q", title="to", format=".5~g"),
    ]
    low = alt.Y("low:Q", scale=value, title="value")
    area = bands.mark_area(opacity=0.2, line=False).encode(y=low, y2="high:Q", color=models, detail="band:N", tooltip=tips)
    edges = [
        bands.mark_line(strokeWidth=0.8, opacity=0.8).encode(
            y=alt.Y(f"{end}:Q", scale=value), color=models, strokeDash=dashes, detail="band:N"
        )
        for end in ("low", "high")
    ]
    seen = [alt.Tooltip("x:Q", title="step"), alt.Tooltip("y:Q", title="value", format=".5~g")]
    y = alt.Y("y:Q", scale=value, title="value")
    median = base.transform_filter("datum.part == 'median'").mark_line(strokeWidth=2).encode(y=y, color=models, strokeDash=dashes)
    context = base.transform_filter("datum.part == 'context'").mark_line(style="came", strokeWidth=1.2).encode(y=y, tooltip=seen)
    label = (
        base.transform_filter("datum.part == 'label'")
        .mark_point(style="came", size=28, strokeWidth=1.3, opacity=1)
        .encode(y=y, tooltip=seen)
    )
    return alt.layer(area, *edges, median, context, label, data=source(rows)).properties(width=width, height=300, **titled(title, subtitle))
