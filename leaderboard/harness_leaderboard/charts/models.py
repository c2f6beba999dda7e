"""Pictures of a leaderboard with one mark or row a model: intervals, cost, places, policies for what is missing."""

from __future__ import annotations

from typing import Any

import altair as alt

from harness_leaderboard.charts.base import SHAPES, Drawing, Rows, Width, of_model, ratio_axis, source, titled

__all__ = ["influence", "intervals", "pareto", "policies"]


def _tips(*fields: tuple[str, str]) -> list[alt.Tooltip]:
    """Tooltip lines: (field with its type, what it is called); numbers have four digits."""
    return [
        alt.Tooltip(name, title=title, format=".4~g") if name.endswith(":Q") else alt.Tooltip(name, title=title) for name, title in fields
    ]


def intervals(rows: Rows = None, width: Width = "container", title: str = "", subtitle: str = "") -> Drawing:
    """Forest plot: nMASE of each model with its interval; the dashed rule is the baseline.

    Columns: `model` its label (one of a kind), `order` number that sorts, `value` nMASE, `low`, `high` ends of its interval (null = none),
    `letters` of the groups that cannot be told apart, `source`.
    """
    base = alt.Chart().encode(y=of_model())
    tips = _tips(
        ("model:N", "model"), ("value:Q", "nMASE"), ("low:Q", "from"), ("high:Q", "to"), ("letters:N", "group"), ("source:N", "source")
    )
    x = alt.X("value:Q", **ratio_axis("nMASE (1 = baseline, less is better)"))
    baseline = alt.Chart().mark_rule(style="reference").encode(x=alt.datum(1))
    whisker = base.mark_rule(strokeWidth=2).encode(x=alt.X("low:Q"), x2="high:Q", tooltip=tips)
    point = base.mark_point(filled=True, size=60, opacity=1).encode(
        x=x, shape=alt.Shape("source:N", title=None, scale=alt.Scale(range=SHAPES), legend=alt.Legend(orient="top")), tooltip=tips
    )
    beside = "isValid(datum.value) ? format(datum.value, '.3f') + (datum.letters ? '  ' + datum.letters : '') : '–'"
    text = base.transform_calculate(beside=beside).mark_text(align="left", dx=6).encode(x=alt.value("width"), text="beside:N")
    return alt.layer(baseline, whisker, point, text, data=source(rows)).properties(
        width=width, height=alt.Step(20), **titled(title, subtitle)
    )


def pareto(rows: Rows = None, width: Width = "container", title: str = "", subtitle: str = "") -> Drawing:
    """Error beside cost: each model a point, the front (nothing is both cheaper and better) joined and named.

    Columns: `model`, `cost` seconds to fit and predict, per 1,000 forecasts, `value` nMASE, `front` true or false, `source`,
    `parameters` (null = unknown); optionally `named` true: its name beside the point though it is not on the front.
    """
    tips = _tips(
        ("model:N", "model"),
        ("value:Q", "nMASE"),
        ("cost:Q", "fit and predict, s per 1,000"),
        ("parameters:Q", "parameters"),
        ("source:N", "source"),
    )
    x = alt.X(
        "cost:Q",
        title="seconds to fit and predict, per 1,000 forecasts",
        scale=alt.Scale(type="log", padding=16),
        axis=alt.Axis(format="~g", tickCount=6),
    )
    y = alt.Y("value:Q", **ratio_axis("nMASE (1 = baseline, less is better)"))
    base = alt.Chart().transform_filter("isValid(datum.cost) && isValid(datum.value) && datum.cost > 0").encode(x=x, y=y)
    front = base.transform_filter("datum.front")
    line = front.mark_line(interpolate="step-after", opacity=0.5, strokeWidth=1.5).encode(order=alt.Order("cost:Q"))
    point = base.mark_point(filled=True, size=80).encode(
        shape=alt.Shape("source:N", title=None, legend=alt.Legend(orient="top")),
        color=alt.Color("source:N", title=None),
        opacity=alt.condition("datum.front", alt.value(1), alt.value(0.55)),
        tooltip=tips,
    )
    named = base.transform_filter("datum.front || datum.named")
    name = named.mark_text(align="left", dx=8, dy=-8, limit=160).encode(text="model:N")
    return alt.layer(line, point, name, data=source(rows)).properties(width=width, height=340, **titled(title, subtitle))


def influence(rows: Rows = None, width: Width = "container", title: str = "", subtitle: str = "") -> Drawing:
    """How a model's place moves when one family of data is left out.

    Columns: `model`, `order`, `place` with all families, `best` and `worst` place with one left out (1 = first); optionally
    `best_without`, `worst_without`: which family that is.
    """
    base = alt.Chart().encode(y=of_model())
    tips = _tips(
        ("model:N", "model"),
        ("place:Q", "place"),
        ("best:Q", "best"),
        ("best_without:N", "without"),
        ("worst:Q", "worst"),
        ("worst_without:N", "without"),
    )
    axis = alt.Axis(tickMinStep=1, format="d")
    x = alt.X("best:Q", title="place, 1 = first", scale=alt.Scale(zero=False, nice=False, padding=10), axis=axis)
    span = base.mark_rule(strokeWidth=5, opacity=0.4, strokeCap="round").encode(x=x, x2="worst:Q", tooltip=tips)
    point = base.mark_point(filled=True, size=60, opacity=1).encode(x="place:Q", tooltip=tips)
    beside = "isValid(datum.best) ? datum.best + '–' + datum.worst : '–'"
    text = base.transform_calculate(beside=beside).mark_text(align="left", dx=6).encode(x=alt.value("width"), text="beside:N")
    return alt.layer(span, point, text, data=source(rows)).properties(width=width, height=alt.Step(20), **titled(title, subtitle))


def policies(rows: Rows = None, width: Width = "container", title: str = "", subtitle: str = "") -> Drawing:
    """nMASE under different policies for what is missing: one row a model, one mark a policy.

    Columns: `model`, `order`, `policy` in words, `value` nMASE.
    """
    base = alt.Chart().encode(y=of_model())
    tips = _tips(("model:N", "model"), ("policy:N", "policy"), ("value:Q", "nMASE"))
    baseline = alt.Chart().mark_rule(style="reference").encode(x=alt.datum(1))
    span = base.mark_rule(opacity=0.4, strokeWidth=2).encode(x="min(value):Q", x2="max(value):Q")
    legend: dict[str, Any] = {"title": None, "sort": None, "legend": alt.Legend(orient="top", columns=3)}
    point = base.mark_point(filled=True, size=70, opacity=0.9).encode(
        x=alt.X("value:Q", **ratio_axis("nMASE (1 = baseline, less is better)")),
        shape=alt.Shape("policy:N", **legend),
        color=alt.Color("policy:N", **legend),
        tooltip=tips,
    )
    return alt.layer(baseline, span, point, data=source(rows)).properties(width=width, height=alt.Step(20), **titled(title, subtitle))
