"""The command `harness plot`. Only click is imported here; the rest inside the command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.run import db_option
from harness_leaderboard.options import GROUPS, view_options
from harness_leaderboard.plots import PLOTS
from harness_leaderboard.plots.of_dialects import offered

if TYPE_CHECKING:
    from harness_leaderboard.plots.numbers import Numbers

__all__ = ["plot"]


def _help() -> str:
    """What `harness plot --help` says, with a line for each picture."""
    lines = "\n".join(f"{kind:12s} {made.about}" for kind, made in PLOTS.items())
    own = "\n".join(f"{kind:12s} {dialect}: {about}" for (dialect, kind), about in offered().items())
    examples = (
        "harness plot intervals -s gift-eval -o intervals.png",
        "harness plot forecasts -m naive,ttm -t us_births/D/short --window worst -o worst.svg",
        "harness plot error-grid -s cgm -m naive -t 'hall/30min/temporal' --grid 'parkes[1]' -o grid.svg",
    )
    kept = "\b\n"  # click leaves such a paragraph's lines as they are
    of_dialects = (
        f"{kept}Of one task (-t) of suites that are scored in a dialect of their own, from kept forecasts:\n{own}\n\n" if own else ""
    )
    return f"Draw one picture of a suite's results into a file.\n\n{kept}{lines}\n\n{of_dialects}{kept}" + "\n".join(examples)


@click.command(help=_help())
@click.argument("kind", metavar="KIND", type=click.Choice(tuple(dict.fromkeys((*PLOTS, *(kind for _, kind in offered()))))))
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
@click.option(
    "-t",
    "--task",
    default="",
    show_default=False,
    help="Task of `forecasts` and of a dialect's pictures; a glob that one task fits.  [default: the first with kept forecasts]",
)
@click.option(
    "--window", default="", show_default=False, metavar="best|median|worst|apart|N", help="Window of `forecasts`.  [default: median]"
)
@click.option("--grid", default="", show_default=False, metavar="NAME", help="Grid of `error-grid`.  [default: clarke[ega]]")
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
    grid: str,
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
    from harness_leaderboard.plots.files import picture_file, suffix_of
    from harness_leaderboard.plots.numbers import Numbers
    from harness_leaderboard.plots.of_dialects import draw, draws
    from harness_leaderboard.view import open_view

    suffix = suffix_of(output)
    own = {"task": task, "grid": grid}
    others = {"metric": metric, "by": by or "", "window": window}
    if kind in PLOTS and not task:
        _refuse(kind, **others, **own)
    need("altair", "vl_convert", *(["scipy"] if kind == "critical" else []))
    plugins = load()
    store = plugins.store(db)
    view = open_view(plugins, store, **chosen)
    for note in view.unmatched:
        click.echo(note, err=True)
    numbers = Numbers(plugins, store, view, choose_score(plugins, store, view.suite, view.results, metric), top, bool(chosen["models"]))
    if draws(numbers, kind):
        _refuse(kind, **others)
        drawn = draw(numbers, kind, task, grid, width or 0, dark)
    else:
        _refuse(kind, **others, **own)
        drawn = _drawn(numbers, kind, {"by": by or "domain", "task": task, "window": window or "median"}, width or 0, dark)
    write_whole(output, picture_file(drawn, suffix, scale))
    click.echo(f"wrote {output}", err=True)
    return 0


def _drawn(numbers: Numbers, kind: str, given: dict[str, str], width: int, dark: bool) -> dict[str, Any]:
    """One of the pictures of all suites."""
    from harness_leaderboard.plots.files import specification

    made = PLOTS[kind]
    picture = made.rows(numbers, **{name: value for name, value in given.items() if name in made.options})
    return specification(made.chart, picture, width, dark, numbers.label if "metric" in made.options else "MASE")


def _refuse(kind: str, **options: str) -> None:
    """Refuse an option that this picture would ignore."""
    from harness.errors import UsageError

    for name, value in options.items():
        if value and (kind not in PLOTS or name not in PLOTS[kind].options):
            useful = ", ".join(other for other, made in PLOTS.items() if name in made.options) or "pictures of a suite's own dialect"
            instead = " For one task: --where \"name = '...'\"" if name == "task" else ""
            raise UsageError(f"got --{name} for the picture {kind}, which has no use for it; --{name} is for {useful}.{instead}")
