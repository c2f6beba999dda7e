"""The critical-difference diagram of Demšar (2006, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7, figure 1).

Notable choice: everything is a row of the data, the axis and its ticks as well, as positions on both sides of the axis follow from the
number of models. `critical_rows` lays them out; a page's script does the same with the rule in its docstring.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import altair as alt

from harness_leaderboard.charts.base import Drawing, Rows, Width, source, titled

__all__ = ["critical", "critical_rows"]

MARGIN = 0.5
"""Room for names at either side, in lengths of the axis."""


def critical_rows(
    models: Sequence[str], ranks: Sequence[float], cd: float | None, lines: Sequence[tuple[float, float, int]]
) -> list[dict[str, Any]]:
    """Lay out the diagram of k models.

    Ranks run from floor(best) to ceil(worst), at least one rank; beyond both ends are `MARGIN` of that length for names. Line 0 is the
    axis, −1 its ticks, −2 the bar of the critical difference, 1 to L the bars of groups, L + 1 on the names: the better half on the left
    from the best down, the others on the right from the worst down.

    Args:
        models: names, one of a kind.
        ranks: mean rank of each; a model without one (NaN) is left out.
        cd: the critical difference; None = not drawn.
        lines: (lowest rank, highest rank, level from 1) of each group that cannot be told apart; level says in which line it lies.
    """
    order = sorted((rank, name) for rank, name in zip(ranks, models, strict=True) if math.isfinite(rank))
    if not order:
        return []
    low, high = math.floor(order[0][0]), math.ceil(order[-1][0])
    high = max(high, low + 1)
    left, right = low - MARGIN * (high - low), high + MARGIN * (high - low)
    rows: list[dict[str, Any]] = [{"part": "axis", "start": low, "end": high, "row": 0}]
    every = max(1, math.ceil((high - low) / 10))
    rows += [{"part": "tick", "rank": rank, "row": 0, "above": -1, "text": str(rank)} for rank in range(low, high + 1, every)]
    if cd is not None and math.isfinite(cd):
        text = f"critical difference {cd:.2f}"
        rows.append({"part": "cd", "start": low, "end": min(low + cd, right), "row": -3, "above": -2, "text": text})
    rows += [{"part": "line", "start": a, "end": b, "row": level} for a, b, level in lines]
    first = 1 + max((level for _, _, level in lines), default=0)
    half = (len(order) + 1) // 2
    for i, (rank, name) in enumerate(order):
        best = i < half
        row = first + (i if best else len(order) - 1 - i)
        side, edge = ("left", left) if best else ("right", right)
        rows.append({"part": "model", "model": name, "rank": rank, "side": side, "edge": edge, "row": row, "base": 0})
    return rows


def critical(rows: Rows = None, width: Width = "container", title: str = "", subtitle: str = "") -> Drawing:
    """Mean ranks on an axis, names left and right; a thick bar joins models that cannot be told apart.

    Columns, by `part` (see `critical_rows`, which makes them): "axis" start, end, row; "tick" rank, row, above, text;
    "cd" start, end, row, above, text; "line" start, end, row; "model" model, rank, side, edge, row, base.
    """
    scale = alt.Scale(zero=False, nice=False, padding=4)

    def part(name: str) -> alt.Chart:
        return alt.Chart().transform_filter(f"datum.part == '{name}'")

    def x(field: str) -> alt.X:
        return alt.X(f"{field}:Q", scale=scale, axis=None)

    def y(field: str = "row") -> alt.Y:
        return alt.Y(f"{field}:O", axis=None)

    tips = [alt.Tooltip("model:N", title="model"), alt.Tooltip("rank:Q", title="mean rank", format=".3f")]
    model = part("model")
    left, right = (model.transform_filter(f"datum.side == '{side}'") for side in ("left", "right"))
    name: dict[str, Any] = {"dy": -6, "fontSize": 11, "limit": alt.ExprRef("width * 0.23")}
    number = "datum.model"
    layers = [
        part("axis").mark_rule().encode(x=x("start"), x2="end:Q", y=y()),
        part("tick").mark_tick(orient="vertical", size=8, thickness=1, style="plain").encode(x=x("rank"), y=y()),
        part("tick").mark_text(baseline="middle").encode(x=x("rank"), y=y("above"), text="text:N"),
        part("cd").mark_rule(strokeWidth=2, style="reference").encode(x=x("start"), x2="end:Q", y=y("above")),
        part("cd").mark_text(align="left").encode(x=x("start"), y=y(), text="text:N"),
        model.mark_rule(strokeWidth=1).encode(x=x("rank"), y=y(), y2="base:O", tooltip=tips),
        model.mark_rule(strokeWidth=1).encode(x=x("rank"), x2="edge:Q", y=y(), tooltip=tips),
        part("line").mark_rule(strokeWidth=5, strokeCap="round", opacity=0.8).encode(x=x("start"), x2="end:Q", y=y()),
        left.transform_calculate(name=number).mark_text(align="left", **name).encode(x=x("edge"), y=y(), text="name:N", tooltip=tips),
        right.transform_calculate(name=number).mark_text(align="right", **name).encode(x=x("edge"), y=y(), text="name:N", tooltip=tips),
    ]
    return alt.layer(*layers, data=source(rows)).properties(width=width, height=alt.Step(18), **titled(title, subtitle))
