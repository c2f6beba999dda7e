"""Pictures with a mark for each pair: models and groups of tasks, models and tasks, models and models."""

from __future__ import annotations

import altair as alt

from harness_leaderboard.charts.base import LABEL, RATIO_TICKS, Drawing, Rows, Width, by_order, of_model, source, titled

__all__ = ["domains", "heatmap", "winloss"]


def domains(rows: Rows = None, width: Width = 300, title: str = "", subtitle: str = "", columns: int = 1) -> Drawing:
    """nMASE by group of tasks: a small picture for each group, a bar from the baseline (1) for each model, left is better.

    A page sets `spec.width` of the specification (a number) and `columns` to fit.

    Columns: `group`, `group_order`, `model`, `order`, `value` nMASE, `low`, `high` ends of its interval (null = none).
    """
    scale = alt.Scale(type="log", nice=False, padding=8)
    axis = alt.Axis(values=RATIO_TICKS, labelOverlap="greedy", format="~g")
    base = alt.Chart().encode(y=of_model())
    tips = [
        alt.Tooltip("group:N", title="group"),
        alt.Tooltip("model:N", title="model"),
        alt.Tooltip("value:Q", title="nMASE", format=".4~g"),
        alt.Tooltip("low:Q", title="from", format=".4~g"),
        alt.Tooltip("high:Q", title="to", format=".4~g"),
    ]
    x = alt.X("value:Q", scale=scale, axis=axis, title="nMASE (1 = baseline, less is better)")
    shown = base.transform_filter("isValid(datum.value) && datum.value > 0")
    better = shown.transform_filter("datum.value <= 1").mark_bar(height=11, style="better").encode(x=x, x2=alt.X2Datum(1), tooltip=tips)
    worse = shown.transform_filter("datum.value > 1").mark_bar(height=11, style="worse").encode(x=x, x2=alt.X2Datum(1), tooltip=tips)
    whisker = base.mark_rule(strokeWidth=1).encode(x="low:Q", x2="high:Q", tooltip=tips)
    one = alt.Chart().mark_rule(style="reference").encode(x=alt.datum(1))
    number = "isValid(datum.value) ? format(datum.value, '.3f') : '–'"
    text = base.transform_calculate(number=number).mark_text(align="left", dx=6).encode(x=alt.value("width"), text="number:N")
    return (
        alt.layer(one, better, worse, whisker, text)
        .properties(width=width, height=alt.Step(16))
        .facet(
            facet=alt.Facet("group:N", sort=by_order("group_order"), title=None, header=alt.Header(labelAnchor="start", labelPadding=4)),
            columns=columns,
            data=source(rows),
        )
        .properties(**titled(title, subtitle))
    )


def heatmap(rows: Rows = None, width: Width = "container", title: str = "", subtitle: str = "") -> Drawing:
    """Score over baseline, model by task: blue is better, orange worse, colours end at 1/4 and 4; what is missing has a sign.

    Columns: `model`, `order`, `task`, `task_order`, `ratio` (null = none), `status` "ok", "failed" (×), "skipped" (–) or "missing" (·).
    """
    x = alt.X(
        "task:N",
        sort=by_order("task_order"),
        title=None,
        axis=alt.Axis(labelAngle=-90, labelLimit=LABEL, labelFontSize=8, labelOverlap=True, ticks=False, domain=False),
    )
    tips = [
        alt.Tooltip("model:N", title="model"),
        alt.Tooltip("task:N", title="task"),
        alt.Tooltip("ratio:Q", title="score / baseline", format=".4~g"),
        alt.Tooltip("status:N", title="status"),
    ]
    base = alt.Chart().encode(x=x, y=of_model())
    # In rgb: between dark grey and orange other interpolations lead through purple.
    there = base.transform_filter("isValid(datum.ratio) && datum.ratio > 0")
    cell = (
        there.transform_calculate(power="clamp(log(datum.ratio) / log(2), -2, 2)")
        .mark_rect()
        .encode(
            color=alt.Color(
                "power:Q",
                scale=alt.Scale(domain=[-2, 2], domainMid=0, range="diverging", interpolate="rgb"),
                legend=alt.Legend(
                    title="score / baseline",
                    orient="top",
                    direction="horizontal",
                    gradientLength=200,
                    values=[-2, -1, 0, 1, 2],
                    labelExpr="datum.value == -2 ? '≤ 1/4' : datum.value == 2 ? '≥ 4' : format(pow(2, datum.value), '~g')",
                ),
            ),
            tooltip=tips,
        )
    )
    sign = "datum.status == 'failed' ? '×' : datum.status == 'skipped' ? '–' : datum.status == 'ok' ? '?' : '·'"
    lacks = base.transform_filter("!isValid(datum.ratio) || datum.ratio <= 0").transform_calculate(sign=sign)
    none = lacks.mark_text(fontSize=10).encode(text="sign:N", tooltip=tips)
    return alt.layer(cell, none, data=source(rows)).properties(width=width, height=alt.Step(14), **titled(title, subtitle))


def winloss(rows: Rows = None, width: Width = "container", title: str = "", subtitle: str = "") -> Drawing:
    """Who beats whom: in per cent of the tasks that both have; * where the two are told apart.

    Columns: `model`, `order`, `other`, `other_order`, `wins`, `ties`, `losses` (tasks), `share` of wins with ties half (null = none),
    `told_apart` true, false or null.
    """
    x = alt.X(
        "other:N",
        sort=by_order("other_order"),
        title="against",
        axis=alt.Axis(orient="top", labelAngle=-60, labelLimit=LABEL, ticks=False, domain=False, grid=False),
    )
    tips = [
        alt.Tooltip("model:N", title="model"),
        alt.Tooltip("other:N", title="against"),
        alt.Tooltip("wins:Q", title="better on"),
        alt.Tooltip("ties:Q", title="equal on"),
        alt.Tooltip("losses:Q", title="worse on"),
        alt.Tooltip("told_apart:N", title="told apart"),
    ]
    base = alt.Chart().encode(x=x, y=of_model())
    # Half transparent, so that the numbers stand out from every shade.
    cell = (
        base.transform_filter("isValid(datum.share)")
        .transform_calculate(lost="1 - datum.share")
        .mark_rect(opacity=0.5)
        .encode(
            color=alt.Color("lost:Q", scale=alt.Scale(domain=[0, 1], domainMid=0.5, range="diverging", interpolate="rgb"), legend=None),
            tooltip=tips,
        )
    )
    number = "isValid(datum.share) ? format(100 * datum.share, '.0f') + (datum.told_apart ? '*' : '') : ''"
    text = base.transform_calculate(number=number).mark_text(fontSize=10).encode(text="number:N", tooltip=tips)
    return alt.layer(cell, text, data=source(rows)).properties(width=width, height=alt.Step(22), **titled(title, subtitle))
