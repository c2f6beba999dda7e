"""Rows of the pictures of what a store keeps of forecasts: errors by step, calibration, single windows."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from harness.again import run_command
from harness.cli.output import printable
from harness.errors import NothingMatched, UsageError, suggest
from harness_leaderboard import step_sums
from harness_leaderboard.aggregate import Array
from harness_leaderboard.kept_windows import (
    KINDS,
    Drawn,
    Kept,
    SuiteData,
    Window,
    choose_windows,
    draw_windows,
    kept_forecasts,
    numbered_window,
    window_range,
)
from harness_leaderboard.plots.numbers import LINES, Numbers, Picture
from harness_leaderboard.words import counted

__all__ = ["chosen_task", "fan", "no_forecasts", "pit", "reliability", "steps", "tenths"]

LAID_OVER = 2
"""Most models in a picture of one window."""
ROLES = {
    "best": "the window with the lowest error",
    "median": "the window with the middle error",
    "worst": "the window with the highest error",
    "apart": "the window on which models differ most",
}


def steps(numbers: Numbers) -> Picture:
    """MASE along the horizon: by step where there is one task, else by tenth of the horizon, over the tasks that all models shown have."""
    found = step_sums.error_steps(numbers.store, numbers.results) if _whole(numbers) else None
    drawn = _stored(numbers, [m for o, m in enumerate(found.models) if np.isfinite(found.mase[o]).any()] if found else [])
    if found is None or not drawn:
        raise NothingMatched(_no_sums(numbers, "errors by step"))
    at = [found.models.index(m) for m in drawn]
    names = [numbers.names[m] for m in drawn]
    if len(numbers.results.tasks) == 1:
        step, mase = found.of_task(0)
        position, values = step, mase[at]  # [P], [K, P]
        axis, words = "step of the horizon", f"task {printable(numbers.results.tasks[0]['name'], 80)}"
    else:
        curves = np.stack([tenths(found.of_task(r)[1][at]) for r in range(len(numbers.results.tasks))])  # [R, K, 10]
        whole = np.isfinite(curves).all(axis=(1, 2)) & (curves > 0).all(axis=(1, 2))
        position, axis = np.arange(1.0, 11.0), "tenth of the horizon"
        values = np.exp(np.log(curves[whole]).mean(axis=0)) if whole.any() else np.full(curves.shape[1:], np.nan)
        words = f"geometric mean over {counted(int(whole.sum()), 'task')} that all of them have"
    rows = [
        {"model": name, "order": k, "position": float(position[p]), "value": float(values[k, p])}
        for k, name in enumerate(names)
        for p in range(len(position))
        if np.isfinite(values[k, p])
    ]
    if not rows:
        raise NothingMatched("there is no task with errors by step of all of these models; name fewer with -m: " + ", ".join(names))
    return Picture(rows, numbers.title("MASE along the horizon"), f"{numbers.scope(drawn)}\n{words}", axis)


def tenths(mase: Array) -> Array:
    """[K, P] means of equal parts of a horizon -> [K, 10] of its tenths, each part weighted by its overlap; NaN where nothing is stored.

    >>> tenths(np.array([[1.0, 3.0]])).tolist()
    [[1.0, 1.0, 1.0, 1.0, 1.0, 3.0, 3.0, 3.0, 3.0, 3.0]]
    """
    count = mase.shape[1]
    start, edge = np.arange(count)[:, None] / count, np.arange(10)[None, :] / 10
    overlap = np.minimum(start + 1 / count, edge + 0.1) - np.maximum(start, edge)  # [P, 10]
    overlap = np.where(overlap > 1e-9, overlap, 0.0)
    there = np.isfinite(mase)
    weight = there.astype(np.float64) @ overlap
    sums = np.where(there, mase, 0.0) @ overlap
    found: Array = np.divide(sums, weight, out=np.full(weight.shape, np.nan), where=weight > 0)
    return found


def reliability(numbers: Numbers) -> Picture:
    """Share of labels at or below each quantile, every task counting the same."""
    drawn, levels, shares, tasks = _coverage(numbers)
    rows = [
        {"model": numbers.names[m], "order": k, "level": float(level), "coverage": float(shares[k, q])}
        for k, m in enumerate(drawn)
        for q, level in enumerate(levels)
    ]
    words = "on the diagonal a forecast says what is so; every task counts the same"
    return Picture(rows, numbers.title("calibration"), f"{_common(numbers, drawn, tasks)}\n{words}")


def pit(numbers: Numbers) -> Picture:
    """Share of labels between neighbouring quantiles, every task counting the same."""
    drawn, levels, shares, tasks = _coverage(numbers)
    edges = [0.0, *(float(level) for level in levels), 1.0]
    rows = []
    for k, m in enumerate(drawn):
        parts = np.diff([0.0, *shares[k], 1.0])
        rows += [
            {
                "model": numbers.names[m], "order": k, "bin": f"{low:g}–{high:g}", "low": low, "high": high, "share": float(part),
            }
            for low, high, part in zip(edges[:-1], edges[1:], parts, strict=True)
        ]  # fmt: skip
    words = "1 everywhere = as forecast; a hump: too wide, high ends: too narrow, a slope: too low or too high"
    return Picture(rows, numbers.title("where the values came"), f"{_common(numbers, drawn, tasks)}\n{words}", panels=len(drawn))


def _common(numbers: Numbers, drawn: Sequence[int], tasks: int) -> str:
    """What is shown, and that models are compared on the same tasks."""
    return f"{numbers.scope(drawn, tasks)}{' that all of them have' if len(drawn) > 1 else ''}"


def _coverage(numbers: Numbers) -> tuple[list[int], tuple[float, ...], Array, int]:
    """(models, levels [Q], shares [K, Q] as means over the tasks that all of these models have, number of such tasks)."""
    found = step_sums.calibration(numbers.store, numbers.results) if _whole(numbers) else None
    kept = [] if found is None else [m for o, m in enumerate(found.models) if (found.count[o] > 0).any()]
    drawn = _stored(numbers, kept)
    if found is None or not drawn:
        raise NothingMatched(_no_sums(numbers, "counts by quantile level"))
    at = [found.models.index(m) for m in drawn]
    common = (found.count[at] > 0).all(axis=0)  # [R]
    if not common.any():
        names = ", ".join(numbers.names[m] for m in drawn)
        raise NothingMatched(f"there is no task with counts by quantile level of all of these models; name fewer with -m: {names}")
    return drawn, found.levels, found.shares()[at][:, common].mean(axis=1), int(common.sum())


def _whole(numbers: Numbers) -> bool:
    """Are these results of whole tasks?

    Raises:
        UsageError: they are of some windows.
    """
    if numbers.results.sliced:
        raise UsageError(
            "got --windows; sums by step and forecasts are kept of whole tasks. Leave --windows out, or choose tasks with --where"
        )
    return True


def _stored(numbers: Numbers, models: Sequence[int]) -> list[int]:
    """Those of these models that the view shows, the best first."""
    return [m for m in numbers.order if m in models][: min(numbers.top or LINES, LINES)]


def _no_sums(numbers: Numbers, what: str) -> str:
    some = next((entry.model for entry in numbers.results.entries if entry.source == "own"), "naive")
    return (
        f"no model shown has {what}: they come from runs of one's own, published results have none. "
        f"To make some: {run_command({'model': some, 'suite': numbers.view.suite}, tasks=())}"
    )


def fan(numbers: Numbers, task: str, window: str) -> Picture:
    """One window of a task: what had been, what came, and the forecasts of one or two models.

    Args:
        task: "" = the first that has kept forecasts.
        window: a role ("best", "median", "worst", "apart") or the window's number in the task.

    Raises:
        NothingMatched: no forecasts are kept, or the task has no such window.
        UsageError: there is no such task.
    """
    _whole(numbers)
    kept = kept_forecasts(numbers.store, numbers.results)
    task = chosen_task(numbers, kept, task)
    if kept is None or task not in kept.cells:
        raise NothingMatched(no_forecasts(numbers, task))
    models = [m for m in numbers.order if m in kept.cells[task]][: min(numbers.top or LAID_OVER, LAID_OVER)]
    if not models:
        have = ", ".join(numbers.names[m] for m in kept.cells[task])
        raise NothingMatched(f"none of these models has kept forecasts of {printable(task, 80)}; those that have: {have}")
    drawn = _drawn(numbers, kept, task, window, models)
    models = [m for m in models if m in drawn.forecasts]
    rows = _series(drawn) + [row for k, m in enumerate(models) for row in _forecast(drawn, kept, m, numbers.names[m], k)]
    mean = f" (mean of {len(drawn.errors)} models)" if len(drawn.errors) > 1 and window != "apart" else ""
    role = f"{ROLES[window]}{mean}" if window in drawn.kinds else f"window {drawn.number}"
    variate = f", variate {drawn.variate}" if drawn.variate else ""
    at = f" at {drawn.cutoff.isoformat(' ', 'minutes')}" if drawn.cutoff else ""
    errors = "; ".join(f"{numbers.names[m]}: MASE {_digits(drawn.errors.get(m))}" for m in models)
    gone = (
        ""
        if drawn.label is not None
        else "\nthe suite's data is not here, or is not what was forecast: what had been and what came are missing"
    )
    words = f"{role}: series {printable(drawn.item, 60)}{variate}, forecast{at}, steps of {printable(drawn.freq, 20)}\n{errors}{gone}"
    return Picture(rows, numbers.title(printable(task, 80)), words)


def _digits(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def chosen_task(numbers: Numbers, kept: Kept | None, task: str) -> str:
    """The task to draw: the named one, else the first with kept forecasts of a model shown, of any, or with results of one shown.

    Args:
        task: its name, or what `-t` of other commands takes: a pattern of names or of "suite:name", or a dataset; "" = none is named.

    Raises:
        UsageError: no task fits, or several do.
    """
    names = [str(known["name"]) for known in numbers.results.tasks]
    if not task:
        cells = kept.cells if kept else {}
        shown = set(numbers.order)
        run = (numbers.results.status[numbers.order] == "ok").any(axis=0)
        ways = ([name for name in names if shown & set(cells.get(name, ()))], [name for name in names if name in cells])
        return next((way[0] for way in (*ways, [names[r] for r in np.flatnonzero(run)], names) if way), "")
    suite, said = numbers.view.suite, f"-t {printable(task, 80)}: "
    fit = [task] if task in names else [str(known["name"]) for known in numbers.results.tasks if _fits(known, suite, task)]
    if len(fit) == 1:
        return fit[0]
    with_forecasts = [name for name in (fit or sorted(names)) if kept is not None and name in kept.cells]
    if fit:
        some = with_forecasts or fit
        of = " with kept forecasts" if with_forecasts else ""
        raise UsageError(f"{said}{len(fit)} tasks fit, and this picture is of one. Name one{of}: {_listed(some)}")
    have = f" Tasks with kept forecasts: {_listed(with_forecasts)}" if with_forecasts else ""
    raise UsageError(f"{said}{suite} has no such task here.{suggest(task, names)}{have}")


def _fits(known: Mapping[str, Any], suite: str, pattern: str) -> bool:
    """As `harness.selection.select_tasks` has it."""
    name = str(known["name"])
    return fnmatchcase(name, pattern) or fnmatchcase(f"{suite}:{name}", pattern) or known.get("dataset") == pattern


def _listed(names: Sequence[str]) -> str:
    return ", ".join(printable(name, 60) for name in names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def no_forecasts(numbers: Numbers, task: str) -> str:
    own = [entry.model for m, entry in enumerate(numbers.results.entries) if numbers.is_own(m) and m in numbers.order] or ["naive"]
    of = f" of {printable(task, 80)}" if task else ""
    return (
        f"no forecasts{of} are kept here, or their files are gone. To make and keep them: "
        f"{run_command({'model': own[0], 'suite': numbers.view.suite}, tasks=[task] if task else (), save_forecasts=True)}"
    )


def _drawn(numbers: Numbers, kept: Kept, task: str, window: str, models: Sequence[int]) -> Drawn:
    """The window with its numbers."""
    of_task = Kept(kept.models, kept.levels, {task: kept.cells[task]})
    number, found = _window(numbers, of_task, task, window)
    drawn = draw_windows(of_task, task, {number: found}, SuiteData(numbers.plugins), models)[0]
    if not drawn.forecasts:
        raise NothingMatched(
            f"the kept forecasts of {printable(task, 80)} cannot be read: their files are broken, or lack window {number}. "
            f"To make them anew: harness run -s {shlex.quote(numbers.view.suite)} -t {shlex.quote(task)} --save-forecasts --rerun all"
        )
    return drawn


def _window(numbers: Numbers, kept: Kept, task: str, window: str) -> tuple[int, Window]:
    """(its number, the window) of a role or a number."""
    if window.isdecimal():
        number = int(window)
        found = numbered_window(numbers.store, kept, task, number) if number < 2**63 else None
        if found is None:
            low, high = window_range(numbers.store, kept, task)
            raise NothingMatched(
                f"--window {printable(window, 40)}: {printable(task, 80)} has none of that number; they run from {low} to {high}"
            )
        return number, found
    if window not in KINDS:
        raise UsageError(f"--window {printable(window, 40)}: wanted {', '.join(KINDS)} or a number.{suggest(window, KINDS)}")
    for number, found in choose_windows(numbers.store, kept).get(task, {}).items():
        if window in found.kinds:
            return number, found
    alone = window == "apart" and len(kept.cells[task]) == 1
    why = "one model alone has kept forecasts of it, so none differ" if alone else "no window has an error that is defined"
    raise NothingMatched(f"--window {window}: {printable(task, 80)} has none: {why}. A window by its number: --window 0")


def _series(drawn: Drawn) -> list[dict[str, Any]]:
    """What had been and what came."""
    count = len(drawn.context)
    rows: list[dict[str, Any]] = [{"part": "context", "x": k + 1 - count, "y": float(y)} for k, y in enumerate(drawn.context)]
    if drawn.label is not None:
        rows += [{"part": "label", "x": int(x), "y": float(y)} for x, y in zip(drawn.step, drawn.label, strict=True)]
    return rows


def _forecast(drawn: Drawn, kept: Kept, m: int, name: str, order: int) -> list[dict[str, Any]]:
    """A model's median and bands."""
    values = drawn.forecasts[m]  # [L, P]
    levels = [kept.levels[q] for q in kept.drawn]
    middle = int(np.argmin(np.abs(np.array(levels) - 0.5)))
    rows: list[dict[str, Any]] = [
        {"part": "median", "model": name, "order": order, "x": int(x), "y": float(y)}
        for x, y in zip(drawn.step, values[middle], strict=True)
    ]
    for q in range(len(levels) // 2):
        band = {"part": "band", "model": name, "order": order, "band": f"{levels[q]:g}–{levels[-1 - q]:g}", "rank": q + 1}
        rows += [
            {**band, "x": int(x), "low": float(low), "high": float(high)}
            for x, low, high in zip(drawn.step, values[q], values[-1 - q], strict=True)
        ]
    return rows
