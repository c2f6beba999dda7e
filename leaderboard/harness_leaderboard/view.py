"""What a command is to show: a suite's results, narrowed to tasks, windows and models as its options say."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness.again import run_command
from harness.errors import NothingMatched, suggest
from harness.selection import split_list
from harness_leaderboard.aggregate import Results, common_tasks, complete
from harness_leaderboard.collect import baseline_notes, collect, default_suite
from harness_leaderboard.words import counted

if TYPE_CHECKING:
    from harness.plugins import Plugins
    from harness.store import Store

__all__ = ["View", "open_view"]


@dataclass(frozen=True)
class View:
    """Results to show.

    `results` has all models, as ranks are among all; `shown` are (label, source) of those to show. `restricted` says that only the tasks
    are left that the shown models have. `selection` says in words what was left out, "" = nothing.
    `hidden` are models that have nothing to show and are not counted. `unmatched` says which names of models are nobody's here.
    """

    suite: str
    results: Results
    shown: frozenset[tuple[str, str]]
    restricted: bool
    suite_size: int
    selection: str
    hidden: frozenset[tuple[str, str]] = frozenset()
    unmatched: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The suite, and how many of its models and tasks are shown."""
        tasks, models, shown = len(self.results.tasks), len(self.results.entries) - len(self.hidden), len(self.shown - self.hidden)
        count = f"{shown} of {counted(models, 'model')}" if shown < models else counted(models, "model")
        among = f"{tasks} of {counted(self.suite_size, 'task')}" if tasks < self.suite_size else counted(tasks, "task")
        title = f"{self.suite}: {count}, {among}"
        return f"{title} (those that the models shown have)" if self.restricted else title


def open_view(
    plugins: Plugins,
    store: Store,
    suite: str = "",
    *,
    models: tuple[str, ...] = (),
    where: str = "",
    common: bool = False,
    windows: str = "",
    limit: str = "",
    baseline: str = "",
    data: Path | None = None,
    about_baseline: bool = True,
    gate: bool = False,
    db: Path | None = None,
) -> View:
    """Read a suite's results and narrow them.

    Args:
        suite: "" = the only one with own results, else gift-eval.
        models: names or patterns of the models to show; () = all.
        where: SQL that holds for the tasks to keep; "" = all.
        common: keep only tasks that all own models have.
        windows: SQL that holds for the windows to score; "" = all.
        limit: results of runs with this `--limit`.
        baseline: the model that scores are divided by; "" = the suite's.
        data: the folder to list tasks and to tell stale results by; None = for each result the one of its run.
        about_baseline: whether the notes say what the baseline lacks.
        db: the database that commands to type name; None = none, as what is shown is passed on.
        gate: the rows decide something: tasks that the models lack stay, and a named model that is not there is an error.

    Raises:
        NothingMatched: no results, no such model (with `gate`: one of them), no task or window is left, or there are windows of none.
        UsageError: an option that makes no sense.
    """
    from harness.stale import stale_results
    from harness.suites import stored_name

    suite = stored_name(plugins, suite) if suite else default_suite(store)
    stale = stale_results(plugins, store, suite, data)
    results = collect(store, suite, baseline=baseline, limit=limit, stale=stale, where=where, data=data)
    if baseline and np.isnan(results.baseline_mase).all() and np.isnan(results.baseline_crps).all():
        names = sorted({entry.model for entry in results.entries})
        raise NothingMatched(
            f"no model '{baseline}' to divide by has scores on '{suite}'.{suggest(baseline, names)} To see all: harness leaderboard"
        )
    words = [f"tasks where {where}"] if where else []
    if windows:
        results = _of_windows(plugins, store, suite, results, windows)
        words.append(f"windows where {windows}")
    if common:
        results = _common(results)
        words.append("tasks that all own models have")
    shown, unmatched = _chosen(results, models, strict=gate)
    results.notes += unmatched
    results, restricted = _restricted(results, shown) if models and not gate else (results, False)
    if about_baseline:
        results.notes += baseline_notes(results, suite, _limit(results), db)
    return View(suite, results, shown, restricted, results.suite_size, "; ".join(words), unmatched=tuple(unmatched))


def _of_windows(plugins: Plugins, store: Store, suite: str, results: Results, condition: str) -> Results:
    from harness_leaderboard.window_slice import of_windows

    said = f"got --windows {condition!r} for suite '{suite}'"
    if not any(entry.source == "own" for entry in results.entries):
        words = {"model": results.baseline, "suite": suite}
        how = f"; to make own ones: {run_command(words, tasks=())}" if results.runnable else ""
        raise NothingMatched(f"{said}, which has published results alone; published results have no windows{how}")
    strange = [name for name in results.main if name not in plugins.metrics]
    if strange:
        raise NothingMatched(f"{said}, whose scores {', '.join(strange)} no plugin here computes from windows; leave --windows out")
    return of_windows(store, results, [plugins.metrics[name].info for name in results.main], condition)


def _common(results: Results) -> Results:
    keep = common_tasks(results)
    if not keep.any():
        raise NothingMatched("there is no task that all own models have; leave --common out, or run what is missing")
    return results.only(keep)


def _chosen(results: Results, models: tuple[str, ...], strict: bool) -> tuple[frozenset[tuple[str, str]], list[str]]:
    """((label, source) of the models to show, a sentence for each name that is nobody's).

    A pattern is matched with a model's name, and with its name and mode as the table shows it.
    """
    patterns = split_list(models)
    if not patterns:
        return frozenset((entry.label, entry.source) for entry in results.entries), []
    names = sorted({name for entry in results.entries for name in (entry.model, entry.label)})
    found = {p: {name for name in names if name == p or fnmatch.fnmatchcase(name, p)} for p in patterns}
    missing = [p for p in patterns if not found[p]]
    if missing and (strict or len(missing) == len(patterns)):
        raise NothingMatched(f"no model matches {', '.join(missing)!r}.{suggest(missing[0], names)} To see all: harness leaderboard")
    said = [f"No model matches {p!r}.{suggest(p, names)}" for p in missing]
    wanted = set().union(*found.values())
    return frozenset((entry.label, entry.source) for entry in results.entries if wanted & {entry.model, entry.label}), said


def _restricted(results: Results, chosen: frozenset[tuple[str, str]]) -> tuple[Results, bool]:
    """Where none of the chosen own models (where there are none: of the chosen) has all tasks, only the tasks that one of them has."""
    shown = np.array([(entry.label, entry.source) in chosen for entry in results.entries])
    own = shown & np.array([entry.source == "own" for entry in results.entries])
    counted = own if own.any() else shown
    had = (results.status[counted] != "").any(axis=0)
    if complete(results)[counted].any() or had.all() or not had.any():
        return results, False
    return results.only(had), True


def _limit(results: Results) -> str:
    """What `--limit` the results were made with, "" = none."""
    part = re.match(r"limit=([^,]+)", results.entries[0].scope)
    return part[1] if part else ""
