"""Running the sentinels and judging what came of them.

Axes: N windows, Q quantile levels, H horizon.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from harness.cells import Cell
from harness.doctor import Line
from harness.errors import HarnessError, PluginError
from harness.execute import forecast_cell
from harness.forecast import F32, F64, Ragged
from harness.plugins import Plugins
from harness.sentinels.answers import Labels, labels_of
from harness.sentinels.models import INFOS
from harness.series import Channels, SeriesSet, TaskData, rolling
from harness.types import Metric, ModelInfo, Task
from harness.workers import ChildWorker, InProcessWorker, Worker, WorkerFailed

__all__ = ["Seen", "examine_sentinels", "judge", "made_task", "quick_task", "run_sentinels"]

MASE, CRPS = "MASE[0.5]", "mean_weighted_sum_quantile_loss"
NAMES = ("oracle", "naive", "constant", "shuffled", "peeking")
TIMEOUT = 120.0
CLOSE = 1e-9
"""Relative difference of two sums of float64 in another order."""
QUICK = ("quick", "hospital/M/short")
ITEMS = 16
OPEN = (
    "this system lets a model's process read the memory of the process that started it, where the labels are: run plugins that are not "
    "to be trusted on another machine, or where kernel.yama.ptrace_scope is 1 and you are not root"
)


@dataclass(frozen=True)
class Seen:
    """What became of a sentinel: its scores, quantiles [N, Q, H] in the order of the windows, and notes."""

    mase: float
    crps: float
    quantiles: F32
    notes: Mapping[str, str]


class Kept:
    """A sink that keeps the forecasts."""

    def __init__(self) -> None:
        self.parts: list[F32] = []

    def write(self, rows: Any) -> None:
        """Rows of windows are not looked at: the scores follow from the same sums."""

    def forecasts(self, index: Any, quantiles: F32, mean: F32, probability: F64 | None = None) -> None:
        """Keep a block; blocks come in order."""
        del index, mean, probability
        self.parts.append(quantiles.copy())


def made_task(seed: int | None = None) -> TaskData:
    """Random walks of different levels, one window each: nothing is better than the last value, and no future can be guessed.

    Args:
        seed: None draws anew each time, so that no model can know the series.
    """
    rng = np.random.default_rng(seed)
    rows = [1000.0 + 200 * item + rng.normal(size=312).cumsum() for item in range(ITEMS)]
    task = Task("sentinels", "walks/H", "walks", "walks", "made", "H", "", horizon=12, season_length=1, variates=1, protocol="sentinels/1")
    starts = np.full(ITEMS, np.datetime64("2020-01-01", "s"))
    target = Channels.from_ragged(Ragged.from_rows(rows))
    return rolling(task, SeriesSet(pa.array([f"walk {item}" for item in range(ITEMS)]), starts, "H", 1, target), 1)


def quick_task(plugins: Plugins) -> TaskData:
    """The first items of a task of the suite `quick`, the last window of each: another window's context would hold an earlier one's labels.

    Raises:
        HarnessError: the suite or its data is not here.
    """
    suite, name = QUICK
    opened = plugins.suite(suite).factory(None)
    task = next(task for task in opened.tasks() if task.name == name)
    data: TaskData = opened.open(task).limited(np.arange(ITEMS))
    last = data.slot == data.windows - 1
    return data.take(np.flatnonzero(last))


def run_sentinels(plugins: Plugins, data: TaskData, isolation: str = "process", names: Sequence[str] = NAMES) -> dict[str, Seen]:
    """Run sentinels on a task.

    Args:
        isolation: "process", or "inprocess" for a model that shares the process, and so the labels, with the run.

    Raises:
        WorkerFailed: a sentinel could not be run.
        HarnessError: it could not be scored.
    """
    metrics = [plugins.metrics[name].info for name in (MASE, CRPS)]
    seen = {}
    with _installed():
        own = Plugins() if isolation == "inprocess" else plugins
        for name in names:
            if name in ("oracle", "shuffled"):
                seen[name] = _forecast(data, ModelInfo(name), Labels(data, int(name == "shuffled")), metrics)
                continue
            info = INFOS[f"sentinel-{name}"]
            worker: Worker = InProcessWorker(own) if isolation == "inprocess" else ChildWorker(1)
            try:
                worker.load(info.name, {}, TIMEOUT)
                seen[name] = _forecast(data, info, worker, metrics)
            finally:
                worker.stop()
    return seen


@contextlib.contextmanager
def _installed() -> Iterator[None]:
    """Let the processes that are started here find the sentinels as they find every plugin: by an entry point."""
    from harness.conformance.folder import PluginFolder, lay_out
    from harness.project import Project

    sentinels = PluginFolder(Project(Path(), "harness-sentinels", "1", {"sentinels": "harness.sentinels.models"}, ()), ())
    before = os.environ.get("PYTHONPATH")
    with tempfile.TemporaryDirectory(prefix="harness-sentinels-") as site:
        path = os.pathsep.join([*lay_out(sentinels, Path(site)), *filter(None, [before])])
        os.environ["PYTHONPATH"] = path
        sys.path.insert(0, site)  # for a model in this process
        try:
            yield
        finally:
            sys.path.remove(site)
            os.environ.pop("PYTHONPATH")
            if before is not None:
                os.environ["PYTHONPATH"] = before


def _forecast(data: TaskData, info: ModelInfo, worker: Worker, metrics: list[Metric]) -> Seen:
    """One sentinel's cell, as a run makes it."""
    cell = Cell("", data.task, info.name, info.name, {}, "zero-shot", "", 0, "", {})
    kept = Kept()
    outcome, facts, _ = forecast_cell(cell, data, info, worker, kept, metrics, timeout=TIMEOUT)()
    if outcome.status != "ok":
        raise HarnessError(outcome.reason)
    return Seen(outcome.scores[MASE], outcome.scores[CRPS], np.concatenate(kept.parts), facts.notes)


def plain_scores(data: TaskData, quantiles: F32) -> tuple[float, float]:
    """MASE of the median and the weighted quantile loss of forecasts [N, Q, H], by their definitions, window by window."""
    levels, season = data.task.quantile_levels, data.task.season_length
    middle, labels = levels.index(0.5), labels_of(data).astype(np.float64)
    scaled, points, loss, size = 0.0, 0, np.zeros(len(levels)), 0.0
    for n, (channel, cut) in enumerate(zip(data.channel.tolist(), data.cut.tolist(), strict=True)):
        context = np.array(data.series.target[channel][:cut], np.float64)
        lag = season if season <= cut else 1
        steps = np.abs(context[lag:] - context[:-lag])
        steps = steps[np.isfinite(steps)]
        scale = float(np.mean(steps)) if len(steps) else 0.0
        for h, label in enumerate(labels[n].tolist()):
            if not np.isfinite(label):
                continue
            if scale:
                scaled += abs(float(quantiles[n, middle, h]) - label) / scale
                points += 1
            size += abs(label)
            for q, level in enumerate(levels):
                miss = label - float(quantiles[n, q, h])
                loss[q] += 2 * (level * miss if miss >= 0 else (level - 1) * miss)
    return scaled / points if points else np.nan, float(np.mean(loss / size)) if size else np.nan


def judge(data: TaskData, seen: Mapping[str, Seen], walks: bool) -> Iterator[Line]:
    """A line for each sentinel, "bad" where it is not where theory puts it.

    Args:
        seen: `naive` among others.
        walks: the series are random walks, where nothing is better than the last value.
    """
    where = f"on {len(data)} windows of {data.task.name}"
    plain = {name: plain_scores(data, sentinel.quantiles) for name, sentinel in seen.items()}
    for name, sentinel in seen.items():
        faults = list(_faults(name, data, seen, plain[name], walks))
        text = f"sentinel {name} {where}: MASE {sentinel.mase:.4g}, CRPS {sentinel.crps:.4g}"
        if name == "peeking":
            found, taken = _found(data, sentinel), sentinel.notes.get("found", "?")
            text += f"; searched {sentinel.notes.get('searched', 'nothing')}, found the labels of {found} windows"
            text += f", and took other numbers for those of {int(taken) - found}" if taken.isdecimal() and int(taken) > found else ""
        yield Line("bad" if faults else "ok", text + "".join(f"; WRONG: {fault}" for fault in faults), PluginError)


def _faults(name: str, data: TaskData, seen: Mapping[str, Seen], plain: tuple[float, float], walks: bool) -> Iterator[str]:
    this, naive = seen[name], seen["naive"]
    for metric, got, wanted in zip(("MASE", "CRPS"), (this.mase, this.crps), plain, strict=True):
        if not (got == wanted or abs(got / wanted - 1) < CLOSE if wanted else got == 0):
            yield f"a plain loop gives {metric} {wanted:.6g} for these forecasts"
    if name == "oracle":
        if this.mase != 0 or this.crps != 0:
            yield "the labels themselves must score exactly 0"
    elif name == "naive":
        if not np.array_equal(this.quantiles, _last_values(data)):
            yield "its forecast is not the last value before each cutoff"
    elif name == "peeking":
        if not this.notes.get("searched"):
            yield "it has not searched"
        if _found(data, this):
            yield f"it found labels in: {this.notes.get('where')}"
        elif this.notes.get("found") == "0" and not np.array_equal(this.quantiles, naive.quantiles):
            yield "its forecasts differ from those of naive"
    elif this.mase == 0 or this.crps == 0:
        yield "it knows nothing and must not score 0"
    elif walks and not (this.mase > naive.mase and this.crps > naive.crps):
        yield "on random walks it must be worse than naive"


def _found(data: TaskData, peeking: Seen) -> int:
    """How many windows were forecast with their very labels, where those are more than the last value again.

    What lies behind a copy of a context somewhere in memory may look like its future and be none: only the labels can tell.
    """
    labels = labels_of(data)  # [N, H]
    middle = peeking.quantiles[:, data.task.quantile_levels.index(0.5)]  # [N, H]
    same = np.where(np.isfinite(labels), middle == labels, True).all(axis=1) & np.isfinite(labels).any(axis=1)
    return int((same & (middle != _last_values(data)[:, 0]).any(axis=1)).sum())


def _last_values(data: TaskData) -> F32:
    """What naive must forecast: [N, Q, H]."""
    values = []
    for channel, cut in zip(data.channel.tolist(), data.cut.tolist(), strict=True):
        context = data.series.target[channel][:cut]
        seen = context[np.isfinite(context)]
        values.append(seen[-1] if len(seen) else np.float32(0))
    shape = (len(data), len(data.task.quantile_levels), data.task.horizon)
    return np.broadcast_to(np.array(values, np.float32)[:, None, None], shape)


def examine_sentinels(plugins: Plugins) -> Iterator[Line]:
    """Run and judge the sentinels on made data and on a task of the suite `quick`."""
    for walks in (True, False):
        try:
            data = made_task() if walks else quick_task(plugins)
        except (HarnessError, StopIteration) as error:
            yield Line("note", f"no sentinels on {':'.join(QUICK)}: {error}")
            continue
        try:
            seen = run_sentinels(plugins, data)
            yield from judge(data, seen, walks)
            if walks and seen["peeking"].notes.get("reads the parent") == "yes":
                yield Line("note", OPEN)
        except (HarnessError, WorkerFailed) as error:
            yield Line("bad", f"the sentinels could not be run on {data.task.name}: {error}", PluginError)
