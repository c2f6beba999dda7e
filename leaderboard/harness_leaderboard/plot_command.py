"""The command `harness plot`. Only click is imported here; the rest inside the command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.run import db_option
from harness_leaderboard.options import GROUPS, view_options

if TYPE_CHECKING:
    from harness_leaderboard.plots.numbers import Numbers, Picture

__all__ = ["KINDS", "plot"]

KINDS = (
    "intervals", "domains", "critical", "winloss", "heatmap", "pareto", "steps", "reliability", "pit", "forecasts", "influence", "policies",
)  # fmt: skip
SCORED = ("intervals", "domains", "critical", "winloss", "heatmap", "pareto", "influence", "policies")
"""Kinds that compare models by a score; the others have a measure of their own."""


@click.command()
@click.argument("kind", metavar="KIND", type=click.Choice(KINDS))
@view_options
@click.option(
    "--metric",
    default="",
    show_default=False,
    metavar="NAME",
    help="Score to compare by: MASE, CRPS or another where less is better.  [default: MASE]",
)
@click.option(
    "--by", type=click.Choice(GROUPS), default=None, show_default=False, help="Column that `domains` groups tasks by.  [default: domain]"
)
@click.option("-t", "--task", default="", show_default=False, help="Task of `forecasts`.  [default: the first with kept forecasts]")
@click.option(
    "--window", default="", show_default=False, metavar="best|median|worst|apart|N", help="Window of `forecasts`.  [default: median]"
)
@click.option(
    "--top",
    type=click.IntRange(1, 1000),
    default=None,
    show_default=False,
    metavar="N",
    help="So many of the best models, and one's own.  [default: 10]",
)
@click.option("--dark", is_flag=True, help="Light on dark.")
@click.option(
    "--width",
    type=click.IntRange(200, 10_000),
    default=None,
    show_default=False,
    metavar="PX",
    help="Width of the picture.  [default: 760]",
)
@click.option("--scale", type=click.FloatRange(0.25, 8), default=2.0, help="Pixels of a PNG for one of the picture.")
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), required=True, help="File to write: .png, .svg, .pdf, .html, .json (Vega-Lite)."
)
@db_option
def plot(
    kind: str,
    metric: str,
    by: str | None,
    task: str,
    window: str,
    top: int | None,
    dark: bool,
    width: int | None,
    scale: float,
    output: Path,
    db: Path,
    **chosen: Any,
) -> int:
    """Draw one picture of a suite's results into a file.

    \b
    intervals    nMASE of each model with its 95 % interval
    domains      nMASE by domain, or by another column (--by)
    critical     mean ranks, with Nemenyi's critical difference
    winloss      who beats whom, in per cent of tasks
    heatmap      score over baseline, model by task
    pareto       nMASE against seconds per 1,000 forecasts
    steps        error along the horizon
    reliability  share of values at or below each quantile
    pit          where in the forecast distribution the values came
    forecasts    one window: what had been, what came, what one or two models said
    influence    places when one dataset family is left out
    policies     nMASE when missing results count as the baseline's, or as the worst

    \b
    harness plot intervals -s gift-eval -o intervals.png
    harness plot forecasts -m naive,ttm -t us_births/D/short --window worst -o worst.svg
    """
    from harness.files import write_whole
    from harness.plugins import load
    from harness_leaderboard.needs import need
    from harness_leaderboard.plots.files import picture_file, specification, suffix_of
    from harness_leaderboard.plots.numbers import Numbers
    from harness_leaderboard.view import open_view

    suffix = suffix_of(output)
    _refuse(kind, metric=metric, by=by or "", task=task, window=window)
    need("altair", "vl_convert", *(["scipy"] if kind == "critical" else []))
    plugins = load()
    store = plugins.store(db)
    view = open_view(plugins, store, **chosen)
    numbers = Numbers(plugins, store, view, _metric(plugins, view.results, metric), top, bool(chosen["models"]))
    picture = _picture(kind, numbers, by or "domain", task, window or "median")
    made = specification("fan" if kind == "forecasts" else kind, picture, width or 0, dark, numbers.label if kind in SCORED else "MASE")
    write_whole(output, picture_file(made, suffix, scale))
    click.echo(f"wrote {output}", err=True)
    return 0


def _refuse(kind: str, **options: str) -> None:
    """Refuse an option that this picture would ignore."""
    from harness.errors import UsageError

    where = {"metric": SCORED, "by": ("domains",), "task": ("forecasts",), "window": ("forecasts",)}
    for name, value in options.items():
        if value and kind not in where[name]:
            instead = " For one task: --where \"name = '...'\"" if name == "task" else ""
            raise UsageError(
                f"got --{name} for the picture {kind}, which has no use for it; --{name} is for {', '.join(where[name])}.{instead}"
            )


def _metric(plugins: Any, results: Any, metric: str) -> str:
    """The full name of the score.

    Raises:
        UsageError: there is none of this name, or more of it is better.
    """
    from harness.errors import UsageError
    from harness_leaderboard.choose import choose_metric

    if not metric:
        return str(results.main[0])
    full = choose_metric(results, metric)
    if full in plugins.metrics and plugins.metrics[full].info.direction != "min":
        raise UsageError(f"--metric {metric}: {full} is not one of which less is better; choose another")
    return full


def _picture(kind: str, numbers: Numbers, by: str, task: str, window: str) -> Picture:
    from harness_leaderboard.plots import forecasts, grids, models

    if kind == "forecasts":
        return forecasts.fan(numbers, task, window)
    if kind == "domains":
        return grids.domains(numbers, by)
    module = next(module for module in (models, grids, forecasts) if kind in module.__all__)
    made: Picture = getattr(module, kind)(numbers)
    return made
