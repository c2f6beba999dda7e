"""From the results store to arrays of models × tasks."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Container, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.again import run_command
from harness.directions import declared_directions, lower_is_better
from harness.errors import NothingMatched, UsageError
from harness.plugins import load
from harness.selection import canonical_limit, select_tasks
from harness.types import Task
from harness_leaderboard.aggregate import Results
from harness_leaderboard.arrays import to_arrays
from harness_leaderboard.words import counted, relative

if TYPE_CHECKING:
    from harness.store import Store

__all__ = ["baseline_notes", "collect", "default_suite"]

LONGEST_CONDITION = 200
"""Characters of a condition that a command to type repeats."""

TASK_COLUMNS = ("dataset", "family", "domain", "freq", "term", "horizon", "season_length", "variates", "dialect", "protocol")

# Published results belong to every suite that has their tasks under the same protocol (`quick` is a part of `gift-eval`).
_CURRENT = """
FROM main.cells c
WHERE c.superseded_by IS NULL AND (c.suite = $1 OR (c.source <> 'own' AND c.protocol IN (SELECT unnest($2::VARCHAR[]))))
"""
_CELLS = f"""
SELECT c.result_id, c.source, coalesce(c.model, '') AS model, coalesce(c.model_name, c.model, '') AS model_name,
       coalesce(c.mode, '') AS mode, coalesce(c.budget, '') AS budget, coalesce(c.scope, '') AS scope, c.seed, c.task, c.cell_id, c.status,
       c.n_windows, c.predict_s, c.fit_s, c.peak_rss_mb, c.forecasts, c.contamination, c.reason, c.fallback
{_CURRENT}
"""
_FOLDERS = """
SELECT DISTINCT json_extract_string(receipt, '$.data_folder') AS folder FROM main.cells
WHERE suite = $1 AND source = 'own' AND superseded_by IS NULL AND folder <> ''
"""
_STORED_TASKS = f"""
SELECT task AS name, {", ".join(f"any_value({name}) AS {name}" for name in TASK_COLUMNS)} FROM main.cells
WHERE suite = $1 AND superseded_by IS NULL GROUP BY task ORDER BY task
"""
_SCORES = f"""
SELECT s.result_id, s.metric, s.value FROM main.scores s WHERE s.value IS NOT NULL AND s.result_id IN (SELECT c.result_id {_CURRENT})
"""


def default_suite(store: Store) -> str:
    """The suite to show when none is named: the only one with own results, else gift-eval.

    Raises:
        UsageError: several, none of them gift-eval.
        NothingMatched: the store is empty.
    """
    rows = store.query("SELECT DISTINCT suite, source = 'own' AS own FROM cells ORDER BY suite").to_pylist()
    own = [row["suite"] for row in rows if row["own"]]
    if len(own) == 1:
        return str(own[0])
    if any(row["suite"] == "gift-eval" for row in rows):
        return "gift-eval"
    if not rows:
        raise NothingMatched(f"{store.path} holds no results yet. To make some: harness run -m naive,seasonal_naive")
    have = ", ".join(own or [row["suite"] for row in rows])
    raise UsageError(f"there are results of several suites; name one with -s (suite= in Python): {have}")


def _declared(suite: str, data: Path | None) -> tuple[list[dict[str, Any]], str]:
    """A suite's tasks in a folder and its baseline, as declared; no tasks when its plugin is not here or cannot list them."""
    from harness.errors import PluginError
    from harness.plan import open_suites
    from harness.plugins import load
    from harness.types import SuiteInfo

    plugins = load()
    baseline = SuiteInfo(suite).baseline
    try:
        baseline = plugins.suite(suite).info.baseline
        return [dict(vars(task)) for task in open_suites(plugins, [suite], data)[suite].tasks()], baseline
    except (UsageError, PluginError):
        return [], baseline


def collect(
    store: Store,
    suite: str,
    tasks: Sequence[Mapping[str, Any]] | None = None,
    baseline: str = "",
    limit: str = "",
    stale: Container[str] = (),
    where: str = "",
    data: Path | None = None,
) -> Results:
    """Read a suite's current results, of tasks that are scored in one dialect: what else there is, a note says.

    Args:
        store: where from.
        suite: name of the suite.
        tasks: its tasks as records with "name"; None = as declared, and others that the store has.
        baseline: the model that scores are divided by; "" = the suite's.
        limit: show the results of `harness run --limit` of this size; "" = those of whole tasks, if there are any.
        stale: ids of own cells that no longer hold; see `harness.stale`.
        where: SQL that holds for the tasks to keep; "" = all.
        data: folder of the suite's data, on which may depend what tasks it has; None = that of the runs, where it was one and is here.

    Raises:
        NothingMatched: no result of this suite, or no such task.
        UsageError: a limit or a condition that is none.
    """
    folder = _data_folder(store, suite)
    declared, standard = _declared(suite, data or (Path(folder) if folder and Path(folder).is_dir() else None))
    baseline = baseline or standard
    known = [dict(task) for task in (declared if tasks is None else tasks)]
    if tasks is None:  # a suite that lists what lies in a folder declares no task of another folder
        names = {task["name"] for task in known}
        known += [task for task in store.query(_STORED_TASKS, [suite]).to_pylist() if task["name"] not in names]
    index = {task["name"]: i for i, task in enumerate(known)}
    keep = _where(known, where)
    dialect = _leading(known, keep)
    protocols = sorted({str(task.get("protocol", "")) for task in known} - {""})
    cells = [cell for cell in store.query(_CELLS, [suite, protocols]).to_pylist() if cell["task"] in index]
    notes: list[str] = []
    scopes = sorted({str(cell["scope"]).removeprefix("limit=") for cell in cells})
    cells = _one_scope(cells, notes, limit)
    if not cells:
        raise _nothing(store, suite, baseline, limit, scopes)
    scores = store.query(_SCORES, [suite, protocols])
    directions = declared_directions(store, suite)

    def lower(metric: str) -> bool:
        return lower_is_better(metric, load(), directions) is True

    registered = load().dialects.get(dialect)
    others = Counter(_dialect(known[index[name]]) for name in {cell["task"] for cell in cells} if keep[index[name]])
    notes += _about_others({name: count for name, count in sorted(others.items()) if name != dialect}, suite, where)
    info = registered.info if registered else None
    results = to_arrays(
        cells,
        scores,
        known,
        index,
        _models(store),
        baseline=baseline,
        notes=notes,
        stale=stale,
        lower=lower,
        dialect=dialect,
        info=info,
        runnable=bool(declared),
    )
    keep &= np.array([_dialect(task) == dialect for task in known])
    results.data_folder = folder
    return results if keep.all() else results.only(keep)


def _nothing(store: Store, suite: str, baseline: str, limit: str, scopes: Sequence[str]) -> NothingMatched:
    """What to say of a suite without results, or with those of other scopes only."""
    if scopes:
        ways = " or ".join(f"with --limit {scope}" if scope else "of whole tasks (without --limit)" for scope in scopes)
        return NothingMatched(f"no results of suite '{suite}' with --limit {limit}; there are some {ways}")
    have = [str(row["suite"]) for row in store.query("SELECT DISTINCT suite FROM cells ORDER BY suite").to_pylist()]
    return NothingMatched(
        f"no results of suite '{suite}' in {store.path}; it holds: {', '.join(have) or 'nothing'}. "
        f"To make some: {run_command({'model': baseline, 'suite': suite}, tasks=())}"
    )


def _data_folder(store: Store, suite: str) -> str:
    """`--data` of the suite's current own results, "" where it was none, or several."""
    folders = store.query(_FOLDERS, [suite])["folder"].to_pylist()
    return str(folders[0]) if len(folders) == 1 else ""


def _where(tasks: list[dict[str, Any]], condition: str) -> NDArray[np.bool_]:
    """[R] the tasks for which an SQL condition holds; raises as `select_tasks` does."""
    if not condition:
        return np.ones(len(tasks), np.bool_)
    known = set(Task.__dataclass_fields__)
    asked = [Task(**{k: v for k, v in {"suite": "", **task}.items() if k in known}) for task in tasks]
    kept = {task.name for task in select_tasks(asked, where=condition)}
    return np.array([task["name"] in kept for task in tasks])


def _dialect(task: Mapping[str, Any]) -> str:
    return str(task.get("dialect") or "")


def _leading(tasks: list[dict[str, Any]], keep: NDArray[np.bool_]) -> str:
    """The dialect of most of these tasks, of several the first in the suite: scores of two dialects are never put into one mean."""
    count = Counter(_dialect(task) for task, stays in zip(tasks, keep, strict=True) if stays)
    return count.most_common(1)[0][0] if count else ""


def _about_others(others: Mapping[str, int], suite: str, where: str) -> list[str]:
    """What to type to see the tasks with results that are scored in another dialect, {dialect: how many}."""
    if not others:
        return []
    counts = ", ".join(f"{counted(count, 'task')} as '{dialect}'" for dialect, count in others.items())
    condition = f"({where}) and " if where and len(where) < LONGEST_CONDITION else ""
    return [
        f"Scored otherwise, and so not here: {counts}. To see them: "
        f"harness leaderboard -s {shlex.quote(suite)} --where \"{condition}dialect = '{next(iter(others))}'\""
    ]


def _one_scope(cells: list[dict[str, Any]], notes: list[str], limit: str) -> list[dict[str, Any]]:
    """Whole tasks, where there are any own ones; else the most used part, without the published results, which are of whole tasks."""
    partial = Counter(cell["scope"] for cell in cells if cell["source"] == "own" and cell["scope"])
    if not partial and not limit:
        return cells
    if not limit and any(cell["source"] == "own" and not cell["scope"] for cell in cells):
        count = sum(partial.values())
        are = "is" if count == 1 else "are"
        notes.append(
            f"{counted(count, 'result')} of parts of tasks {are} left out, as there are results of whole tasks; --limit N shows those."
        )
        return [cell for cell in cells if not cell["scope"]]
    scope = f"limit={canonical_limit(limit)}" if limit else partial.most_common(1)[0][0]
    notes.append(f"Only parts of the tasks were run ({scope}); these numbers compare with each other, not with published ones.")
    return [cell for cell in cells if cell["scope"] == scope]


def _models(store: Store) -> dict[tuple[str, str], dict[str, Any]]:
    rows = store.query("SELECT name, source, model_type, org, testdata_leakage, license, link, info FROM main.models").to_pylist()
    return {(row["name"], row["source"]): row for row in rows}


def baseline_notes(results: Results, suite: str, limit: str = "", db: Path | None = None) -> list[str]:
    """What is to be said of the baseline, counting tasks for which own models (where there it lacks none: any) have results.

    Args:
        db: the database that a command to type names; None = none.
    """
    own = np.array([entry.source == "own" for entry in results.entries])
    there = results.status != ""
    without = np.isnan(results.baseline_mase) | np.isnan(results.baseline_crps)
    asked = there[own if own.any() else ~own].any(axis=0)
    if not (asked & without).any():
        asked = there.any(axis=0)
    lines = _lacking_baseline(results, suite, limit, db, asked, asked & without) if (asked & without).any() else []
    rests = 0 if results.baseline_stale is None else int(results.baseline_stale.sum())
    if rests:
        row, data = _baseline_row(results, suite, limit), results.data_folder if db else None
        some, them = ("a stale result", "it") if rests == 1 else ("stale results", "them")
        lines.append(
            f"⚠ The baseline '{results.baseline}' has only {some} for {counted(rests, 'task')}; "
            f"the ratios of all models there rest on {them}. To make {them} anew: {run_command(row, tasks=(), data=data, db=db)}"
        )
    return lines


def _baseline_row(results: Results, suite: str, limit: str) -> dict[str, str]:
    """What a command to run the baseline is made from."""
    return {"model": results.baseline, "suite": suite, "scope": f"limit={limit}" if limit else ""}


def _lacking_baseline(
    results: Results, suite: str, limit: str, db: Path | None, asked: NDArray[np.bool_], lacking: NDArray[np.bool_]
) -> list[str]:
    """That the baseline lacks tasks ([R] `lacking` of the [R] `asked`), whether it failed there, and what to type."""
    names = [str(task["name"]) for task, lacks in zip(results.tasks, lacking, strict=True) if lacks]
    mine = [m for m, entry in enumerate(results.entries) if entry.source == "own" and entry.model == results.baseline]
    failed = int((lacking & (results.status[mine] == "failed").any(axis=0)).sum())
    rerun = "failed" if failed else ""
    few = names if len(names) <= 3 else ()
    data = results.data_folder if db else None  # what names no database is passed on, and says nothing of this machine
    command = run_command(_baseline_row(results, suite, limit), tasks=few, data=data, db=db, rerun=rerun)
    count, of = len(names), f"{len(names)} of the {counted(int(asked.sum()), 'task')} with results"
    if failed == count:
        what, how = f"failed for {of}", f"To try again, once the cause is mended (harness ls cells failed): {command}"
    else:
        what = f"has no result for {of}{f' (it failed for {failed})' if failed else ''}"
        how = f"To add them: {command}" if results.runnable else "To divide by another model: --baseline NAME"
    done = (results.status == "ok") & ~np.isnan(results.mase) & ~np.isnan(results.crps)
    most = int(done.sum(axis=1).argmax())
    here = int(asked.sum()) - count
    if results.runnable and done[most].sum() > max(2 * here, here + 2) and results.entries[most].model != results.baseline:
        how += f". To divide by a model that has more of them: --baseline {shlex.quote(results.entries[most].model)}"
    ratios = " or ".join(relative(name) for name in dict.fromkeys(results.labels))
    left = f", which {'has' if count == 1 else 'have'} no ratio and {'is' if count == 1 else 'are'} not in {ratios}"
    means = f"; the means are over {here}" if here else ""
    return [f"‡ The baseline '{results.baseline}' {what}{left}{means}. {how}"]
