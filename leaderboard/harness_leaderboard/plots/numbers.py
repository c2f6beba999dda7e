"""A view with one score: ratios, means, order, and which models a picture shows by default.

Axes: M models, R tasks. A model's number is its row in `View.results`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.cli.output import printable
from harness.errors import NothingMatched
from harness_leaderboard import bootstrap
from harness_leaderboard.aggregate import Array, Results, geometric_mean, pool_of, ratios
from harness_leaderboard.board import units_of_tasks
from harness_leaderboard.view import View
from harness_leaderboard.words import counted, relative

if TYPE_CHECKING:
    from harness.plugins import Plugins
    from harness.store import Store

__all__ = ["BEST", "GROUPS", "LACKING", "LINES", "NAMED", "OWN", "RANKED", "TASKS", "Numbers", "Picture"]

BEST = 10
"""Models in a picture unless --top says otherwise: so many of the best…"""
OWN = 6
"""…and so many of one's own."""
NAMED = 12
"""Most timed models that all get a name beside their point; of more, only those on the front."""
RANKED = 20
"""Most models in the picture of mean ranks."""
LACKING = 30
"""Most models in the picture of policies."""
LINES = 8
"""Most models in a picture of lines: there are so many colours and dashes that can be told apart."""
GROUPS = 24
"""Most groups of tasks in a picture."""
TASKS = 250
"""Most tasks in a picture."""
NAME = 60
"""Most characters of a name in a picture."""


@dataclass(frozen=True)
class Picture:
    """What a picture is drawn from: records with the columns of its chart, and what is said above it."""

    rows: Sequence[dict[str, Any]]
    title: str
    subtitle: str
    axis: str = ""  # title of an axis whose meaning depends on the data; "" = the chart's own
    panels: int = 1  # small multiples
    width: int = 0  # pixels that it wants at least


@dataclass(frozen=True)
class Numbers:
    """A view and the score that its models are compared by.

    `chosen` says that models were named: then all of them are shown, and else the best and one's own.
    """

    plugins: Plugins
    store: Store
    view: View
    metric: str
    top: int | None = None
    chosen: bool = False

    @property
    def results(self) -> Results:
        return self.view.results

    @property
    def label(self) -> str:
        """What people call the score: "MASE"."""
        return self.results.label(self.metric)

    @cached_property
    def ratios(self) -> Array:
        """[M, R] scores over the baseline's; NaN = none."""
        return ratios(self.results.scores[self.metric], self.results.baselines[self.metric])

    @cached_property
    def logs(self) -> Array:
        """[M, R]"""
        return np.log(self.ratios)

    @cached_property
    def means(self) -> Array:
        """[M] geometric means of the ratios; NaN = none."""
        return geometric_mean(self.ratios)

    @cached_property
    def pool(self) -> NDArray[np.bool_]:
        """[M] the models that ranks and places are taken among."""
        return pool_of(self.results)

    @cached_property
    def units(self) -> bootstrap.Units:
        return units_of_tasks(self.results)

    @cached_property
    def names(self) -> list[str]:
        """[M] names for axes, one of a kind and of at most some 60 characters."""
        from harness_leaderboard.charts import distinct

        labels = [printable(entry.label, NAME) or "(no name)" for entry in self.results.entries]
        return distinct(labels, [printable(entry.source, 20) for entry in self.results.entries])

    @cached_property
    def order(self) -> list[int]:
        """The models of the view, the best first; those without a score last."""
        shown = [m for m, entry in enumerate(self.results.entries) if (entry.label, entry.source) in self.view.shown]
        return sorted(shown, key=lambda m: (bool(np.isnan(self.means[m])), self.means[m], self.names[m]))

    def is_own(self, m: int) -> bool:
        return self.results.entries[m].source == "own"

    def source(self, m: int) -> str:
        """Where a model's results come from, in a word."""
        return printable(self.results.entries[m].source, 30) or "?"

    def drawn(self) -> list[int]:
        """The models of a picture, the best first: all that were named, else the best that have all tasks, and the best own ones.

        Raises:
            NothingMatched: none has a score.
        """
        scored = [m for m in self.order if not np.isnan(self.means[m])]
        if not scored:
            raise NothingMatched(
                f"no model shown has an {relative(self.label)}: on no task have both it and {self.results.baseline} "
                "a score. What there is: harness leaderboard"
            )
        if self.chosen:
            return scored[: self.top]
        most = self.top or BEST
        # A model with few of the tasks may look best by luck, so those with all come first.
        kept = {*[m for m in scored if self.pool[m]][:most], *[m for m in scored if self.is_own(m)][:OWN]}
        for m in scored:
            if len(kept) < min(most, 3):
                kept.add(m)
        return [m for m in scored if m in kept]

    def title(self, words: str) -> str:
        """The suite and what is shown of it."""
        return f"{printable(self.view.suite, NAME)}: {words}"

    def scope(self, drawn: Sequence[int], tasks: int | None = None) -> str:
        """How many models and tasks are shown, and what was left out."""
        total, all_tasks = len(self.results.entries), len(self.results.tasks)
        of = f"{len(drawn)} of {counted(total, 'model')}" if len(drawn) < total else counted(total, "model")
        lacking = int(np.isnan(self.ratios[list(drawn)]).any(axis=1).sum())
        of += f" ({lacking} over some of the tasks only)" if lacking and tasks is None else ""
        left = f" ({printable(self.view.selection, 120)})" if self.view.selection else ""
        return f"{of}, {counted(all_tasks if tasks is None else tasks, 'task')}{left}"
