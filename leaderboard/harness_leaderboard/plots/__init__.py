"""The pictures of `harness plot`: which rows each is drawn from, and how it becomes a file.

`PLOTS` has them all. `numbers.Numbers` is a view with one score; `models`, `grids` and `forecasts` make a `numbers.Picture` of it, one
function a picture; `files` makes its specification and the file. The charts themselves are those of the page, in
`harness_leaderboard.charts`. Importing this package imports none of them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from harness_leaderboard.plots.numbers import Numbers, Picture

__all__ = ["PLOTS", "Plot"]


class Plot(NamedTuple):
    """A picture of `harness plot`."""

    about: str
    """What it shows, in a line of the help."""
    makes: str
    """Where its rows come from: "module:function" of this package."""
    chart: str
    """Which of `harness_leaderboard.charts.PICTURES` draws them."""
    options: tuple[str, ...] = ()
    """Options that it has a use for besides those of all; "metric": it compares models by a score."""

    def rows(self, numbers: Numbers, **options: str) -> Picture:
        """What it is drawn from; `options` are those that its function takes."""
        module, _, function = self.makes.partition(":")
        made: Picture = getattr(import_module(f"{__name__}.{module}"), function)(numbers, **options)
        return made


PLOTS = {
    "intervals": Plot("nMASE of each model with its 95 % interval", "models:intervals", "intervals", ("metric",)),
    "domains": Plot("nMASE by domain, or by another column (--by)", "grids:domains", "domains", ("metric", "by")),
    "critical": Plot("mean ranks, with Nemenyi's critical difference", "models:critical", "critical", ("metric",)),
    "winloss": Plot("who beats whom, in per cent of tasks", "grids:winloss", "winloss", ("metric",)),
    "heatmap": Plot("score over baseline, model by task", "grids:heatmap", "heatmap", ("metric",)),
    "pareto": Plot("nMASE against seconds to fit and predict, per 1,000 forecasts", "models:pareto", "pareto", ("metric",)),
    "steps": Plot("error along the horizon", "forecasts:steps", "steps"),
    "reliability": Plot("share of values at or below each quantile", "forecasts:reliability", "reliability"),
    "pit": Plot("where in the forecast distribution the values came", "forecasts:pit", "pit"),
    "forecasts": Plot("one window: what had been, what came, what one or two models said", "forecasts:fan", "fan", ("task", "window")),
    "influence": Plot("places when one dataset family is left out", "models:influence", "influence", ("metric",)),
    "policies": Plot("nMASE when missing results count as the baseline's, or as the worst", "models:policies", "policies", ("metric",)),
}
"""{kind: picture}, in the order of the help."""
