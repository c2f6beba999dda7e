"""Pictures of results as Vega-Lite specifications, one function a picture; the page and `harness plot` draw the same ones.

Each function takes records with the columns that its docstring names (None: the page's script supplies them), a width and titles, and
returns an Altair chart. Importing this package needs Altair, of the extra `page`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from harness_leaderboard.charts.base import look
from harness_leaderboard.charts.critical import critical, critical_rows
from harness_leaderboard.charts.forecasts import fan, pit, reliability, steps
from harness_leaderboard.charts.grids import domains, heatmap, winloss
from harness_leaderboard.charts.models import influence, intervals, pareto, policies

__all__ = [
    "PICTURES",
    "critical",
    "critical_rows",
    "distinct",
    "domains",
    "fan",
    "heatmap",
    "influence",
    "intervals",
    "look",
    "pareto",
    "pit",
    "policies",
    "reliability",
    "specifications",
    "steps",
    "winloss",
]

PICTURES: dict[str, Callable[..., Any]] = {
    made.__name__: made
    for made in (intervals, domains, pareto, critical, heatmap, steps, reliability, pit, fan, winloss, influence, policies)
}
"""All pictures by name."""


def specifications() -> dict[str, dict[str, Any]]:
    """{name: Vega-Lite specification without rows and colours} for a page.

    The page adds `datasets: {rows: [...]}` and `config`, the `look` of its theme. `width` is "container", except in `domains` and `pit`,
    which are small multiples: there the page sets `spec.width` and `columns`.
    """
    made = {}
    for name, picture in PICTURES.items():
        specification = picture().to_dict(validate=False)  # a third of a second; the tests validate
        specification.pop("config", None)  # Altair's own theme
        made[name] = specification
    return made


def distinct(labels: Sequence[str], sources: Sequence[str]) -> list[str]:
    """Names for an axis: labels, with the source where two are equal, and a number where that is not enough."""
    often = Counter(labels)
    taken: set[str] = set()
    out = []
    for label, source in zip(labels, sources, strict=True):
        name = plain = f"{label} [{source}]" if often[label] > 1 else label
        number = 1
        while name in taken:
            number += 1
            name = f"{plain} #{number}"
        taken.add(name)
        out.append(name)
    return out
