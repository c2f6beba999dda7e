"""Rows of the results store as arrays of models × tasks: the mean over seeds, and the baseline's score of each task."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from harness.arrow import to_numpy
from harness.contamination import AFTER, CLEAN, DECLARED, UNKNOWN, mark_published
from harness.mappings import mapping
from harness.receipt import as_used
from harness.types import Task
from harness_leaderboard.aggregate import MAIN, Array, Cell, Entry, Results
from harness_leaderboard.words import counted

if TYPE_CHECKING:
    import pyarrow as pa

    from harness.types import DialectInfo

__all__ = ["baseline_scores", "to_arrays"]


def to_arrays(
    cells: list[dict[str, Any]],
    scores: pa.Table,
    tasks: list[dict[str, Any]],
    index: Mapping[str, int],
    models: Mapping[tuple[str, str], Mapping[str, Any]],
    *,
    baseline: str,
    notes: list[str],
    stale: Container[str],
    lower: Callable[[str], bool],
    dialect: str,
    info: DialectInfo | None = None,
    runnable: bool = True,
) -> Results:
    """Put stored rows into arrays of models × tasks.

    Args:
        cells: rows of `cells`, of one scope.
        scores: rows (result_id, metric, value) of their scores, perhaps of others too.
        tasks: the suite's tasks, the columns of the arrays; `index` numbers them by name.
        models: rows of `models` by (name, source).
        baseline: the model that scores are divided by.
        notes: what is to be said below the table; may be added to.
        stale: ids of cells that no longer hold.
        lower: whether lower is known to be better of a metric.
        dialect: the one that the tasks to be shown are scored in.
        info: what is known of it; None = nothing.
        runnable: whether a plugin has the suite.
    """
    keys = {(c["source"], c["model"], c["mode"], c["budget"], c["scope"]): c["model_name"] for c in cells}
    taken = _Taken(list(keys), len(tasks))
    for cell in cells:
        taken.add(cell, index[cell["task"]], cell["cell_id"] in stale, cell["contamination"] or _unmarked(cell, models))
    means = _means(scores, taken.place, taken.shape)
    main = _main(means, dialect, info, lower, notes)
    shown = [f"{dialect}:{name}" for name in (info.columns if info else ())]
    for name in main:
        means.setdefault(name, np.full(taken.shape, np.nan))
    if main != Results.main:
        notes.append(f"This suite is compared by {_named(main, dialect)}.")
    entries = [_entry(key, model_name, models) for key, model_name in keys.items()]
    base, rests, passed = baseline_scores(means, taken.stale, entries, baseline, main[0])
    if passed.any():
        notes.append(
            f"The own results of the baseline '{baseline}' are stale for {counted(int(passed.sum()), 'task')}; the published ones "
            "are taken instead. "
            "To make them anew, give the command of the run again."
        )
    return Results(
        tasks=tasks,
        entries=entries,
        scores=means,
        baselines=base,
        status=taken.status,
        seeds=taken.done.max(axis=1),
        windows=taken.windows,
        predict_s=taken.predict_s,
        fit_s=taken.fit_s,
        peak_mb=taken.peak_mb,
        baseline=baseline,
        main=main,
        own=tuple(name for name in shown if name in means),
        about={f"{dialect}:{name}": column for name, column in info.about.items()} if info else {},
        suite_size=len(tasks),
        runnable=runnable,
        notes=notes,
        stale=taken.stale,
        baseline_stale=rests,
        marks=taken.marks,
        fallen=taken.fallen,
        answered=taken.answered,
        cells=taken.own,
    )


class _Taken:
    """What the cells say besides scores: [M, R] of models × tasks, and [M] sums of what their forecasts cost.

    Attributes:
        place: of each good result, in the flat [M, R].
        own: the cells of one's own results, by model and task.
    """

    def __init__(self, keys: list[tuple[str, ...]], tasks: int) -> None:
        self.shape = (len(keys), tasks)
        self.status = np.full(self.shape, "", dtype="<U8")
        self.stale = np.zeros(self.shape, dtype=np.bool_)
        self.marks = np.full(self.shape, "", dtype="<U13")
        self.done = np.zeros(self.shape, dtype=np.int64)
        self.fallen, self.answered = np.zeros(self.shape), np.zeros(self.shape)
        self.windows, self.predict_s, self.fit_s = (np.zeros(len(keys)) for _ in range(3))
        self.peak_mb = np.full(len(keys), np.nan)
        self.place: dict[str, int] = {}
        self.own: dict[tuple[int, str], list[Cell]] = {}
        self._position = {key: i for i, key in enumerate(keys)}

    def add(self, cell: dict[str, Any], task: int, stale: bool, mark: str) -> None:
        """Take in a cell, whatever became of it."""
        model = self._position[cell["source"], cell["model"], cell["mode"], cell["budget"], cell["scope"]]
        at = (model, task)
        self.stale[at] |= stale
        self.marks[at] = _worst(str(self.marks[at]), mark)
        if cell["source"] == "own":
            stored = Cell(cell["result_id"], cell["cell_id"], cell["seed"], cell["status"], cell["forecasts"] or "", cell["reason"] or "")
            self.own.setdefault((model, cell["task"]), []).append(stored)
        if cell["status"] != "ok":
            self.status[at] = self.status[at] or cell["status"]
            return
        self.status[at] = "ok"
        self.done[at] += 1
        self.place[cell["result_id"]] = model * self.shape[1] + task
        if cell["fallback"] is not None and cell["n_windows"]:
            self.fallen[at] += cell["fallback"] * cell["n_windows"]
            self.answered[at] += cell["n_windows"]
        if cell["predict_s"] is not None and cell["n_windows"]:
            self.windows[model] += cell["n_windows"]
            self.predict_s[model] += cell["predict_s"]
            self.fit_s[model] += cell["fit_s"] or 0.0
        if cell["peak_rss_mb"]:
            self.peak_mb[model] = np.fmax(self.peak_mb[model], cell["peak_rss_mb"])


def _named(main: tuple[str, str], dialect: str) -> str:
    """The metrics that are compared by, for a sentence."""
    first, second = (name.removeprefix(f"{dialect}:") for name in main)
    return f"{first} and {second}" if first != second else f"{first} alone"


def _worst(one: str, other: str) -> str:
    """Of the marks of two seeds, the one that says more against the result; "" where there is none."""
    order = ("", CLEAN, AFTER, UNKNOWN, DECLARED)
    return max(one, other if other in order else UNKNOWN, key=order.index)


def _unmarked(cell: Mapping[str, Any], models: Mapping[tuple[str, str], Mapping[str, Any]]) -> str:
    """The mark of a result that was stored before there were marks: an imported one is as its model declares, an own one unknown."""
    return UNKNOWN if cell["source"] == "own" else mark_published(models.get((cell["model_name"], cell["source"]), {})).state


def _entry(key: tuple[str, ...], model_name: str, models: Mapping[tuple[str, str], Mapping[str, Any]]) -> Entry:
    source, model, mode, budget, scope = key
    row = models.get((model_name, source), {})
    about = {name: row.get(name) or "" for name in ("model_type", "org", "testdata_leakage", "license", "link")}
    info = mapping(row.get("info"))
    if source == "own":
        own_weights = "other than declared" if re.search(r"[\[,]weights=", model) else ""
        info = as_used({**info, "model_type": about["model_type"]}, mode, own_weights)
        about["model_type"] = info["model_type"]
    return Entry(model, source, mode, budget, scope, model_name, **about, info=info)


def _means(scores: pa.Table, place: Mapping[str, int], shape: tuple[int, int]) -> dict[str, Array]:
    """{metric: [M, R] means over seeds}, NaN where there is none."""
    columns = [scores[name].combine_chunks().dictionary_encode() for name in ("result_id", "metric")]
    ids, metrics = ([str(name) for name in column.dictionary.to_pylist()] for column in columns)
    result, metric = (to_numpy(column.indices) for column in columns)
    value = to_numpy(scores["value"].combine_chunks())
    at = np.array([place.get(name, -1) for name in ids], np.int64)[result]
    means = {}
    for number, name in sorted(enumerate(metrics), key=lambda pair: pair[1]):
        mine = (metric == number) & (at >= 0)
        count = np.bincount(at[mine], minlength=shape[0] * shape[1])
        total = np.bincount(at[mine], weights=value[mine], minlength=shape[0] * shape[1])
        with np.errstate(invalid="ignore"):
            means[name] = np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0).reshape(shape)
    return means


def _main(
    means: dict[str, Array], dialect: str, info: DialectInfo | None, lower: Callable[[str], bool], notes: list[str]
) -> tuple[str, str]:
    """The metrics to compare by: those of the tasks' dialect, else the two that most results have of those known to be lower-better."""
    main = MAIN
    if info is not None and dialect != Task.dialect:
        names = [f"{dialect}:{metric}" for metric in info.leading]
        main = names[0], names[-1]
    if any(name in means for name in main) or not means:
        return main
    often = sorted((name for name in means if lower(name)), key=lambda name: (np.isnan(means[name]).sum(), name))
    if often:
        return often[0], often[min(1, len(often) - 1)]
    notes.append(
        f"Nobody is ranked: of {', '.join(sorted(means)[:5])} it is not known that lower is better. "
        "If it is so, import the table again with --lower NAME."
    )
    return main


def baseline_scores(
    scores: Mapping[str, Array], old: NDArray[np.bool_], entries: list[Entry], baseline: str, main: str
) -> tuple[dict[str, Array], NDArray[np.bool_], NDArray[np.bool_]]:
    """The baseline's score per task: one's own that still holds, else the published one, else a stale one of one's own.

    Args:
        main: the metric that says where there is a result.

    Returns:
        {name: [R] scores}, [R] which are stale ones, [R] where a stale one was passed over.
    """
    own = [i for i, e in enumerate(entries) if e.model == baseline and e.source == "own" and e.mode == "zero-shot"]
    own = own or [i for i, e in enumerate(entries) if e.model == baseline and e.source == "own" and e.mode == "full"]
    others = [i for i, e in enumerate(entries) if e.source != "own" and _spelt(e.model) == _spelt(baseline)]
    best = {}
    for name, values in scores.items():
        best[name] = np.full(values.shape[1], np.nan)
        for row in (*(np.where(old[i], np.nan, values[i]) for i in own), *(values[i] for i in (*others, *own))):
            best[name] = np.where(np.isnan(best[name]), row, best[name])
    there = ~np.isnan(scores[main])
    held: NDArray[np.bool_] = np.logical_or.reduce((there & ~old)[own])
    stale: NDArray[np.bool_] = np.logical_or.reduce((there & old)[own]) & ~held
    published: NDArray[np.bool_] = np.logical_or.reduce(there[others])
    return best, stale & ~published, stale & published


def _spelt(name: str) -> str:
    """A model's name as other tables may spell it: "Seasonal Naive" is seasonal_naive."""
    return name.casefold().replace(" ", "").replace("_", "").replace("-", "")
