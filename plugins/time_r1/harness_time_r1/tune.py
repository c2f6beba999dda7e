"""Learning from the training part of a task inside a run: `--mode finetune` and `few-shot`.

What comes of it are low-rank factors beside the weights, which the forecasts are then made with. The training is one of those that
`harness time-r1 sft` and `grip` do, with their defaults:

- trainer "sft": answers with the true values, behind a reasoning that states level, trend and season of the context by rule
  (`sft.rules`): no teacher is asked inside a run. It learns the form of an answer, and to forecast.
- trainer "grip": its own answers, by what they earn.

A budget is in steps; without one, "sft" sees each window once and "grip" does `GRIP_STEPS`.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import Batch, Unsupported, UsageError
from harness.budget import parse_budget
from harness_time_r1.windows import Window, of_training

if TYPE_CHECKING:
    from harness_time_r1.forecaster import TimeR1

__all__ = ["TRAINERS", "Tuning", "tuned"]

TRAINERS = ("sft", "grip")
GRIP_STEPS = 50
JUDGED = 16
"""Validation windows of "grip", at most: each costs answers of thousands of tokens."""


@dataclass(frozen=True)
class Tuning:
    """What a training starts from, and how it is done."""

    weights: str
    adapter: str
    device: str
    dtype: str
    rows: int
    trainer: str  # one of TRAINERS
    learning_rate: float | None  # None = the trainer's own
    rank: int  # of the factors
    windows: int  # to learn from, at most


def tuned(model: TimeR1, train: Batch, budget: str, seed: int) -> TimeR1:
    """A forecaster with what was learnt; see `TimeR1.finetune`."""
    from harness_time_r1.forecaster import TimeR1
    from harness_time_r1.operation import backend_of

    how = model.tuning
    if how is None:
        raise Unsupported("weights behind an endpoint, and those that were trained in this run, cannot be trained from here")
    allowed = parse_budget(budget)
    if allowed.seconds is not None:
        raise UsageError(f"time-r1: got a budget of {budget!r}; wanted steps, as in --budget 20steps: a time is not reproducible")
    windows = of_training(train, train.horizon, model.settings.context, how.windows, seed)
    if not windows:
        raise Unsupported(f"no training window: no series has a context and {train.horizon} steps after it that are all there")
    judged = of_training(train, train.horizon, model.settings.context, JUDGED, seed, part="validation")
    kept = tempfile.mkdtemp(prefix="time-r1-")
    folder = Path(kept) / "adapter"
    learn = _sft if how.trainer == "sft" else _grip
    try:
        notes = learn(model, how, windows, judged, allowed.steps, seed % 2**31, folder)
        model.backend.close()
        backend = backend_of(weights=how.weights, adapter=str(folder), device=how.device, dtype=how.dtype, rows=how.rows)
    except BaseException:
        shutil.rmtree(kept, ignore_errors=True)  # weights and checkpoints may be large
        raise
    learnt = TimeR1(backend, model.settings, model.steps)
    learnt.adapter = folder
    weakref.finalize(learnt, shutil.rmtree, kept, ignore_errors=True)  # it lives as long as the model
    learnt.notes.update({"trainer": how.trainer, "windows": len(windows), **notes})
    return learnt


def _sft(
    model: TimeR1, how: Tuning, windows: list[Window], _judged: list[Window], steps: int | None, seed: int, folder: Path
) -> dict[str, Any]:
    from harness_time_r1.sft.rules import from_windows
    from harness_time_r1.sft.train import Training, train

    rate: dict[str, Any] = {} if how.learning_rate is None else {"learning_rate": how.learning_rate}
    training = Training(steps=steps or 0, rank=how.rank, seed=seed, dtype=how.dtype, **rate)
    report = train(how.weights, from_windows(windows, model.settings), training, folder, adapter=how.adapter, device=how.device)
    return {"steps": report.steps, "parameters": report.parameters, **{f"loss_{name}": value for name, value in report.losses.items()}}


def _grip(
    model: TimeR1, how: Tuning, windows: list[Window], judged: list[Window], steps: int | None, seed: int, folder: Path
) -> dict[str, Any]:
    from harness_time_r1.grip.settings import GripSettings
    from harness_time_r1.grip.training import train

    rate: dict[str, Any] = {} if how.learning_rate is None else {"learning_rate": how.learning_rate}
    settings = GripSettings(
        steps=steps or GRIP_STEPS,
        rank=how.rank,
        seed=seed,
        max_completion=model.settings.max_tokens,
        **rate,
    )
    where: dict[str, Any] = {"adapter": how.adapter, "device": how.device, "dtype": how.dtype}
    report = train(how.weights, windows, settings, folder, validation=judged, asking=model.settings, **where)
    return {name: value for name, value in report.metrics().items() if name != "fit_s"}  # the run takes its own time
