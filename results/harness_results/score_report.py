"""What `harness score` finds: which results are asked for, their scores in each dialect, numbers over tasks, and what went wrong."""

from __future__ import annotations

import fnmatch
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.cli.output import printable
from harness.dialects import Dialect
from harness.dialects.registered import find
from harness.errors import DataError, HarnessError, NothingMatched, PluginError, Unavailable, UsageError
from harness.plugins import Plugins, Registered
from harness.store import Store
from harness.types import DialectInfo, SuiteInfo
from harness_results.dialects.boards import Aggregated, aggregate, label
from harness_results.dialects.broken import Broken, failure, make_all
from harness_results.dialects.cells import LeftOut, Row, Scored, score_cells, select_cells

__all__ = ["Asked", "Report", "make_report", "verdict", "where"]

SAME = 1e-9
"""Relative difference up to which a score is the stored one: sums are added in another order."""


@dataclass(frozen=True)
class Asked:
    """What to score: names, or names and globs; no models, suites or tasks = all."""

    dialects: Sequence[str]  # "fev" or "fev@0.10"
    models: Sequence[str] = ()
    suites: Sequence[str] = ()
    tasks: Sequence[str] = ()
    baseline: str = ""  # what aggregates are relative to; "" = the suite's
    data: Path | None = None  # None = for each result the folder of its run

    def shows(self, name: str) -> bool:
        """Whether a model of this name is asked for; a baseline that is not is scored and not shown."""
        return not self.models or any(name == pattern or fnmatch.fnmatchcase(name, pattern) for pattern in self.models)


@dataclass(frozen=True)
class Report:
    """Scores, and what is to be said of them."""

    asked: Mapping[str, Registered[DialectInfo]]
    dialects: Sequence[Dialect]  # those that could be made
    scored: Sequence[Scored]  # of the models that are shown
    left: Sequence[LeftOut]
    boards: Sequence[Aggregated]
    broken: Sequence[Broken]
    notes: Sequence[str]
    results: int  # scored or left out, with those of a baseline that is not shown


def make_report(plugins: Plugins, db: Path, asked: Asked) -> Report:
    """Score the kept forecasts of a results database.

    Raises:
        UsageError: no dialect, an unknown one, or a baseline without results.
        NothingMatched: no result of these models, suites and tasks.
        PluginError: none of the dialects can be made.
        StoreError: the database cannot be read.
    """
    entries = {found.info.name: found for found in (find(text, plugins) for text in asked.dialects)}
    if not entries:
        raise UsageError(f"no dialect given; name one or more, as in --dialect fev. There are: {', '.join(plugins.dialects)}")
    dialects, broken = make_all(entries.values())
    if not dialects:
        raise PluginError(failure(broken, entries, []))
    store = plugins.store(db)
    against = _baselines(plugins, asked.baseline)
    results = list(score_cells(plugins, store, _rows(store, asked, against), dialects, asked.data))
    visible = [r for r in results if any(map(asked.shows, (label(r.cell), r.cell["model"], r.cell["model_name"])))]
    names = {label(r.cell) for r in visible}
    boards = aggregate(dialects, results, against, lambda name: name in names)
    scored = [r for r in visible if isinstance(r, Scored)]
    return Report(
        asked=entries,
        dialects=dialects,
        scored=scored,
        left=[r for r in results if not isinstance(r, Scored)],
        boards=boards,
        broken=[*broken, *_failures(results, boards)],
        notes=[*_unfit(scored), *_unequal(scored), *(f"{b.dialect}, {where(b)}: {note}" for b in boards for note in b.notes)],
        results=len(results),
    )


def _rows(store: Store, asked: Asked, against: Callable[[str], str]) -> list[Row]:
    """The results that are asked for, and those of the baselines."""
    rows = select_cells(store, asked.models, asked.suites, asked.tasks, lambda row: row["model"] == against(row["suite"]))
    if asked.baseline and not any(row["model"] == asked.baseline for row in select_cells(store, [], asked.suites, asked.tasks)):
        raise UsageError(f"--baseline {asked.baseline}: {store.path} has no result of that model here. To see all: harness ls cells")
    return rows


def _failures(results: Sequence[Scored | LeftOut], boards: Sequence[Aggregated]) -> list[Broken]:
    of_cells = [Broken(name, reason, r.cell) for r in results if isinstance(r, Scored) for name, reason in r.broken.items()]
    return of_cells + [Broken(b.dialect, b.broken, {"suite": b.suite, "scope": b.scope}) for b in boards if b.broken]


def _unfit(scored: Sequence[Scored]) -> list[str]:
    """Which dialects do not score which tasks, and why."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for result in scored:
        for name, reason in result.unfit.items():
            found[name, reason].append(str(result.cell["task"]))
    lines = []
    for (name, reason), tasks in found.items():
        names = list(dict.fromkeys(tasks))
        lines.append(f"{name}: no scores on {names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''}: {reason}")
    return lines


def verdict(report: Report) -> HarnessError | None:
    """The error that the command ends with; None where all was scored."""
    if not report.scored:
        return _nothing(report.left)
    if not any(r.scores or r.broken for r in report.scored):
        return NothingMatched("none of the dialects scores these tasks, for the reasons above; each task's own: harness ls tasks --json")
    if refused := sum(r.kind == "refused" for r in report.left):
        return DataError(f"{refused} of {report.results} results were refused, for the reasons above; the others are scored")
    if report.broken:
        failed = {each.dialect for each in report.broken}
        return PluginError(failure(report.broken, report.asked, [d.name for d in report.dialects if d.name not in failed]))
    return None


def _nothing(left: Sequence[LeftOut]) -> HarnessError:
    """Why there is no score at all."""
    kinds = {each.kind for each in left}
    if "refused" in kinds:
        return DataError(f"all {len(left)} results were left out, for the reasons above")
    if "unavailable" in kinds:
        return Unavailable(f"the data of these results is not here: {len(left)} results were left out, for the reasons above")
    return NothingMatched(f"none of {len(left)} results has kept forecasts; what keeps them is above")


def _baselines(plugins: Plugins, asked: str) -> Callable[[str], str]:
    """The baseline of a suite: the one asked for, else the one it declares."""

    def of(suite: str) -> str:
        if asked:
            return asked
        try:
            return plugins.suite(suite).info.baseline
        except HarnessError:
            return SuiteInfo(suite).baseline

    return of


def where(board: Aggregated) -> str:
    """A board's suite, and which part of its tasks."""
    return f"{board.suite} ({board.scope})" if board.scope else board.suite


def _unequal(scored: Sequence[Scored]) -> list[str]:
    """What the dialect `gift-eval` finds otherwise than the run did."""
    found: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for result in scored:
        for metric, value in result.scores.get("gift-eval", {}).items():
            stored = result.stored.get(metric, math.nan)
            if not (math.isclose(value, stored, rel_tol=SAME, abs_tol=0.0) or (math.isnan(value) and math.isnan(stored))):
                which = (metric, printable(result.cell["model"], 80), result.cell["output"] or "forecasts")
                found[which].append(f"{printable(result.cell['task'], 80)} {value:.6g}, stored {stored:.6g}")
    why = {"MSIS": "; here it is from the kept levels, in a run from the model's own samples or levels"}
    return [
        f"gift-eval: {metric} of {model} ({kind}) is not the stored score on {len(tasks)} tasks: {tasks[0]}{why.get(metric, '')}"
        for (metric, model, kind), tasks in found.items()
    ]
