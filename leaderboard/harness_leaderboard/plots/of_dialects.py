"""Pictures that a scoring dialect draws itself, of kept forecasts of one task: error grids of glucose, ROC curves of events.

A suite whose tasks are scored in such a dialect has them; where the dialect's picture has the name of one of `PLOTS`, it is drawn instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from harness.cli.output import printable
from harness.errors import HarnessError, NothingMatched, UsageError
from harness_leaderboard.plots import PLOTS

if TYPE_CHECKING:
    from harness.types import DialectInfo
    from harness_leaderboard.plots.numbers import Numbers

__all__ = ["draw", "draws", "offered"]


def offered() -> dict[tuple[str, str], str]:
    """{(dialect, kind of picture): what it shows} of the dialects here."""
    from harness.plugins import load

    return {(name, kind): about for name, entry in load().dialects.items() for kind, about in entry.info.plots.items()}


def draws(numbers: Numbers, kind: str) -> bool:
    """Whether the dialect of the tasks that are looked at draws such a picture.

    Raises:
        UsageError: it does not, and nothing else does for these tasks.
    """
    info = _info(numbers)
    if info is not None and kind in info.plots:
        return True
    if kind not in PLOTS:
        who = ", ".join(dialect for dialect, other in offered() if other == kind)
        own = f"the dialect '{info.name}'" if info is not None else "no dialect that draws"
        raise UsageError(f"the picture {kind} is of tasks that are scored in {who}; suite '{numbers.view.suite}' is scored in {own}")
    return False


def _info(numbers: Numbers) -> DialectInfo | None:
    name = next((str(task.get("dialect") or "") for task in numbers.results.tasks), "")
    entry = numbers.plugins.dialects.get(name)
    return None if entry is None else entry.info


def draw(numbers: Numbers, kind: str, task: str, which: str, width: int, dark: bool) -> dict[str, Any]:
    """The Vega-Lite specification of a dialect's picture, in the colours of a theme.

    Args:
        task: "" = the first that has kept forecasts of a model shown.
        which: which picture of that kind, "" = the usual one.
        width: pixels of the inner picture, whose shape stays; 0 = as the dialect draws it.

    Raises:
        NothingMatched: no forecasts are kept, or the data is not here.
        UsageError: there is no such task or picture.
        PluginError: the dialect raised something else.
    """
    from harness.dialects import dialect
    from harness.dialects.scoring import blame
    from harness_leaderboard.charts import look
    from harness_leaderboard.kept_windows import SuiteData, kept_forecasts
    from harness_leaderboard.plots.files import BACK
    from harness_leaderboard.plots.forecasts import chosen_task, no_forecasts
    from harness_leaderboard.plots.numbers import LINES

    info = _info(numbers)
    assert info is not None  # `draws` was asked before
    kept = kept_forecasts(numbers.store, numbers.results)
    task = chosen_task(numbers, kept, task)
    models = [] if kept is None else [m for m in numbers.order if m in kept.cells.get(task, {})][: min(numbers.top or LINES, LINES)]
    if kept is None or not models:
        raise NothingMatched(no_forecasts(numbers, task))
    if numbers.chosen and (without := [numbers.names[m] for m in numbers.order if m not in kept.cells[task]]):
        click.echo(f"left out, as no forecasts of {printable(task, 80)} are kept: {', '.join(without)}", err=True)
    data = SuiteData(numbers.plugins)
    forecasts = {numbers.names[m]: data.forecasts(numbers.store, kept.cells[task][m]) for m in models}
    by = dialect(info.name, numbers.plugins)
    try:
        made = dict(by.draw(kind, forecasts, which)) if by.draw is not None else {}
        title = made["title"]["text"]
    except HarnessError:
        raise
    except Exception as error:
        raise blame(info.name, f"drawing {kind}", error) from error
    if width and made.get("width"):
        made["width"], made["height"] = width, round(width * made.get("height", 300) / made["width"])
    made["config"] = {**look(dark), "background": BACK[dark]}
    made.setdefault("description", title)
    return made
