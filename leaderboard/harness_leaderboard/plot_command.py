"""The command `harness plot`. Only click is imported here; the rest inside the command."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from harness.cli.run import db_option
from harness_leaderboard.options import GROUPS, view_options
from harness_leaderboard.plots import PLOTS

__all__ = ["plot"]


def _help() -> str:
    """What `harness plot --help` says, with a line for each picture."""
    lines = "\n".join(f"{kind:12s} {made.about}" for kind, made in PLOTS.items())
    examples = (
        "harness plot intervals -s gift-eval -o intervals.png",
        "harness plot forecasts -m naive,ttm -t us_births/D/short --window worst -o worst.svg",
    )
    kept = "\b\n"  # click leaves such a paragraph's lines as they are
    return f"Draw one picture of a suite's results into a file.\n\n{kept}{lines}\n\n{kept}" + "\n".join(examples)


@click.command(help=_help())
@click.argument("kind", metavar="KIND", type=click.Choice(tuple(PLOTS)))
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
    from harness.files import write_whole
    from harness.plugins import load
    from harness_leaderboard.choose import choose_score
    from harness_leaderboard.needs import need
    from harness_leaderboard.plots.files import picture_file, specification, suffix_of
    from harness_leaderboard.plots.numbers import Numbers
    from harness_leaderboard.view import open_view

    made = PLOTS[kind]
    suffix = suffix_of(output)
    _refuse(kind, metric=metric, by=by or "", task=task, window=window)
    need("altair", "vl_convert", *(["scipy"] if kind == "critical" else []))
    plugins = load()
    store = plugins.store(db)
    view = open_view(plugins, store, **chosen)
    numbers = Numbers(plugins, store, view, choose_score(plugins, store, view.suite, view.results, metric), top, bool(chosen["models"]))
    given = {"by": by or "domain", "task": task, "window": window or "median"}
    picture = made.rows(numbers, **{name: value for name, value in given.items() if name in made.options})
    drawn = specification(made.chart, picture, width or 0, dark, numbers.label if "metric" in made.options else "MASE")
    write_whole(output, picture_file(drawn, suffix, scale))
    click.echo(f"wrote {output}", err=True)
    return 0


def _refuse(kind: str, **options: str) -> None:
    """Refuse an option that this picture would ignore."""
    from harness.errors import UsageError

    for name, value in options.items():
        if value and name not in PLOTS[kind].options:
            useful = ", ".join(other for other, made in PLOTS.items() if name in made.options)
            instead = " For one task: --where \"name = '...'\"" if name == "task" else ""
            raise UsageError(f"got --{name} for the picture {kind}, which has no use for it; --{name} is for {useful}.{instead}")
