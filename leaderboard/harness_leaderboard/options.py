"""Options that the commands about a suite's results share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

__all__ = ["GROUPS", "slice_options", "view_options"]

GROUPS = ("domain", "freq", "term", "horizon", "variates", "dataset")
"""Columns of tasks that results are grouped by."""

_SUITE = "Suite to show.  [default: the only one with own results, else gift-eval]"
_WHERE = "Only tasks for which this holds: \"domain = 'Energy' and term = 'short'\"."
_DATA = "Data folder to list tasks and tell stale results by.  [default: for each result the one of its run]"

_MODELS = click.option(
    "-m", "--models", "--model", multiple=True, metavar="LIST", help="Show only these: 'ttm*,naive'. Ranks are among all."
)
_SLICE = (
    click.option("-s", "--suite", default="", show_default=False, help=_SUITE),
    click.option("--common", is_flag=True, help="Only the tasks that all own models have."),
    click.option("--where", default="", show_default=False, metavar="SQL", help=_WHERE),
    click.option(
        "--windows",
        default="",
        show_default=False,
        metavar="SQL",
        help="Score own results over these windows only: \"cutoff >= '2020-01-01'\".",
    ),
    click.option("--limit", default="", show_default=False, metavar="N|SHARE", help="Show the results of runs with this --limit."),
    click.option(
        "--baseline", default="", show_default=False, metavar="MODEL", help="Model that scores are divided by.  [default: the suite's]"
    ),
    click.option("--data", type=click.Path(path_type=Path), default=None, show_default=False, help=_DATA),
)


def slice_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say which results are looked at; `harness_leaderboard.view.open_view` takes their values by the same names."""
    for option in reversed(_SLICE):
        command = option(command)
    return command


def view_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`slice_options`, and which models are shown of them."""
    suite, *others = _SLICE
    for option in reversed((suite, _MODELS, *others)):
        command = option(command)
    return command
