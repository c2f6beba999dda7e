"""Training windows: a context and what came after it, cut out of the series that a model may learn from. Needs numpy alone.

    windows = of_training(batch, batch.horizon, context=96, count=300, seed=0)              # in a model's `finetune`
    judged = of_training(batch, batch.horizon, context=96, count=64, seed=0, part="validation")
    windows = of_task("quick", "m4_hourly/H/short", None, context=96, count=300, seed=0)    # in a command

- The newest steps of each series are held out by `harness.holdout`: windows of "validation" forecast them, none of "train" touches them.
- Origins are drawn by chance and none twice: a series first, each as likely as another, then a place in it.
- A label is whole, since an answer writes every value. A context may lack a quarter of its values. Windows that lack
  more are left out, so that fewer than `count` may come back.

Axes: N windows, T context, H horizon. NaN is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from harness import Batch, UsageError
from harness.forecast import F32, I64
from harness.frequency import shift
from harness.holdout import HoldOut, hold_out

if TYPE_CHECKING:
    from harness.series import TaskData

__all__ = ["MISSING", "PARTS", "Window", "of_task", "of_training"]

PARTS = ("train", "validation")
MISSING = 0.25
"""The share of a context that may be missing."""
SHORTEST = 3
"""Steps of a context that are the least to say anything of a series."""
ALL = 8
"""Where there are at most so many times as many windows as are wanted, all are looked at; else they are drawn."""
ROUNDS = 50


@dataclass(frozen=True, eq=False)
class Window:
    """A context, and the values that followed it.

    Attributes:
        context: float32 [T], oldest first, NaN where missing.
        label: float32 [H]; finite, where `of_training` or `of_task` cut it.
        start: datetime64[s], the time of the context's first value.
        freq: the step, in pandas' old alias ("H", "15T").
        season_length: m, in steps.
        id: stable over runs: which series it is of, and where in it.
        dataset, domain: what the series are of, in words; "" = not known.
    """

    context: F32
    label: F32
    start: np.datetime64
    freq: str
    season_length: int
    id: str
    dataset: str = ""
    domain: str = ""

    @property
    def horizon(self) -> int:
        """H."""
        return len(self.label)


def of_training(
    batch: Batch,
    horizon: int,
    context: int,
    count: int,
    seed: int,
    *,
    part: str = "train",
    dataset: str = "",
    domain: str = "",
    missing: float = MISSING,
) -> list[Window]:
    """Cut windows out of whole training series, as `finetune` gets them.

    Args:
        batch: each series up to its first cutoff; `context_limit` bounds the contexts.
        horizon: H.
        context: T at most; a window near the beginning of its series has less.
        count: windows at most.
        seed: decides which, and in which order.
        part: "train", or "validation" for the newest steps, which are held out.
        dataset, domain: for the windows; "" = what the batch says.
        missing: the share of a context that may be missing.

    Returns:
        N windows in a random order; [] where no series is long enough.

    Raises:
        UsageError: a part that there is not, or a number that makes no sense.
    """
    if part not in PARTS:
        raise UsageError(f"got part {part!r}; wanted one of {', '.join(PARTS)}")
    for name, value in (("horizon", horizon), ("context", context), ("count", count)):
        if value < 1:
            raise UsageError(f"got {name} {value}; wanted a whole number of at least 1")
    reach = min(context, batch.context_limit or context)
    rng = np.random.default_rng(seed)
    held = hold_out(batch.contexts, horizon)
    if part == "validation":
        order = rng.permutation(len(held))
        places: Iterator[tuple[int, int]] = zip(held.series[order].tolist(), held.origin[order].tolist(), strict=True)
    else:
        places = _places(held, horizon, reach, count, rng)
    dataset, domain = dataset or batch.dataset, domain or batch.domain
    values, found = batch.contexts.values, []
    for row, origin in places:
        begin = max(int(held.begin[row]), origin - reach)
        past = np.array(values[begin:origin], np.float32)
        label = np.full(horizon, np.nan, np.float32)
        end = min(origin + horizon, int(held.whole[row] if part == "validation" else held.end[row]))
        label[: end - origin] = values[origin:end]
        if not _enough(past, missing) or not np.isfinite(label).all():
            continue
        first = begin - int(batch.contexts.offsets[row])
        start = shift(batch.starts[row : row + 1], batch.freq, np.array([first], np.int64))[0]
        name = f"{int(batch.window_ids[row]):016x}@{origin - int(batch.contexts.offsets[row])}"
        found.append(Window(past, label, start, batch.freq, batch.season_length, name, dataset, domain))
        if len(found) == count:
            break
    return found


def _enough(values: F32, missing: float) -> bool:
    """Whether there is a value, and no larger share than `missing` is none."""
    there = np.isfinite(values)
    return bool(there.any()) and float(np.mean(~there)) <= missing


def _places(held: HoldOut, horizon: int, reach: int, count: int, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """(series, origin) of training windows, none twice, in a random order that does not favour long series."""
    length = held.end - held.begin
    least = np.minimum(min(reach, max(min(horizon, 64), 8)), length - horizon)  # steps of history
    origins = np.where(least >= min(SHORTEST, reach), length - horizon - least + 1, 0)  # of each series
    first = held.begin + least
    usable = np.flatnonzero(origins > 0)
    if not len(usable):
        return
    if int(origins.sum()) <= ALL * count:
        yield from _shuffled(usable, first, origins, rng)
        return
    seen: set[tuple[int, int]] = set()
    for _ in range(ROUNDS):  # more windows than are wanted, and some will lack values
        row = usable[rng.integers(0, len(usable), count)]
        at = first[row] + np.floor(rng.random(count) * origins[row]).astype(np.int64)
        for place in zip(row.tolist(), at.tolist(), strict=True):
            if place not in seen:
                seen.add(place)
                yield place


def _shuffled(usable: I64, first: I64, origins: I64, rng: np.random.Generator) -> Iterator[tuple[int, int]]:
    """All places: one of each series by chance, then a second one of each that has one, and so on."""
    row = np.repeat(usable, origins[usable])
    offset = np.concatenate([rng.permutation(int(n)) for n in origins[usable]])
    turn = np.concatenate([np.arange(int(n)) for n in origins[usable]])
    order = np.lexsort((rng.random(len(row)), turn))
    yield from zip(row[order].tolist(), (first[row] + offset)[order].tolist(), strict=True)


def of_task(
    suite: str,
    task: str,
    data_folder: Path | None,
    *,
    context: int,
    count: int,
    seed: int,
    part: str = "train",
    missing: float = MISSING,
) -> list[Window]:
    """Cut windows out of the training part of a task: what lies before the first label of any of its tests.

    Args:
        suite: as `harness run -s` takes it.
        task: its whole name.
        data_folder: as `--data`; None = where the suite's data is by itself.
        context, count, seed, part, missing: see `of_training`.

    Raises:
        UsageError, NothingMatched: no such suite, task or folder.
        Unavailable, DataError: the data is not here, or is broken.
    """
    from harness.batches import training_batch
    from harness.plan import open_suites
    from harness.plugins import load
    from harness.selection import select_tasks
    from harness.types import ModelInfo

    suites = open_suites(load(), [suite], data_folder)
    every = [each for made in suites.values() for each in made.tasks()]
    chosen = [each for each in every if task in (each.name, f"{each.suite}:{each.name}")] or select_tasks(every, [task])
    if len(chosen) > 1:
        raise UsageError(f"got task {task!r}, which {len(chosen)} tasks of {suite} match; wanted the name of one, such as {chosen[0].name}")
    data = _untested(suites[chosen[0].suite].open(chosen[0]))
    data.series.check()
    batch = training_batch(data, ModelInfo("time-r1"), "finetune", seed)
    return of_training(
        batch,
        chosen[0].horizon,
        context,
        count,
        seed,
        part=part,
        dataset=chosen[0].dataset,
        domain=chosen[0].domain,
        missing=missing,
    )


def _untested(data: TaskData) -> TaskData:
    """The task with the parts of all its folds as one, each ending where the first label of any fold begins.

    What one fold learns from is tested in another, and weights that a command trains are for all of them.
    """
    if not data.training:
        return data
    from harness.series import Training

    parts = np.concatenate([np.stack([p.channel.astype(np.int64), p.begin, p.end], axis=1) for p in data.training])  # [K, 3]
    first = np.full(data.series.items, np.iinfo(np.int64).max)
    np.minimum.at(first, data.channel // data.series.variates, data.cut)
    parts[:, 2] = np.minimum(parts[:, 2], first[parts[:, 0] // data.series.variates])
    parts = np.unique(parts[parts[:, 2] > parts[:, 1]], axis=0)
    learnt = Training(parts[:, 0].astype(np.int32), parts[:, 1].copy(), parts[:, 2].copy())
    return replace(data, training=(learnt,), fold=None)
