"""Making an estimator and training it: the budget in batches and epochs, the device, the random draws, and no file left behind."""

from __future__ import annotations

import inspect
import math
import tempfile
import time
from dataclasses import dataclass
from typing import Any

from harness import UsageError
from harness.budget import Budget
from harness_gluonts.data import Entry
from harness_gluonts.quiet import quiet

__all__ = ["Plan", "train", "trainer_options"]


@dataclass(frozen=True)
class Plan:
    """So many epochs of so many batches, or `seconds` where that is not None."""

    epochs: int
    batches: int
    seconds: float | None = None

    @classmethod
    def of(cls, budget: Budget, epochs: int, batches: int) -> Plan:
        """The budget in epochs of equal size, so that each ends with a check: at most `batches` each, and no step more than it has.

        >>> Plan.of(Budget(steps=130), 100, 50), Plan.of(Budget(steps=2), 100, 50)
        (Plan(epochs=3, batches=43, seconds=None), Plan(epochs=1, batches=2, seconds=None))
        """
        if budget.steps is not None:
            epochs = math.ceil(budget.steps / batches)
            batches = budget.steps // epochs
        return cls(epochs, batches, budget.seconds)

    @property
    def steps(self) -> int:
        """Batches in all."""
        return self.epochs * self.batches


def trainer_options(device: str, folder: str, plan: Plan | None = None, limit: Budget | None = None) -> dict[str, Any]:
    """What lightning's Trainer is told.

    Args:
        device: cpu, cuda or cuda:1.
        folder: where checkpoints lie until the best one is read.
        plan: how long to train.
        limit: the same for an estimator of which only its trainer is known; with neither, it trains as long as it says.
    """
    from lightning.fabric.plugins.environments.lightning import LightningEnvironment
    from lightning.pytorch.callbacks import Callback

    class Clock(Callback):
        """Ends the training once the time is over, after a whole batch. The library's own timer would begin at the first batch."""

        def __init__(self, seconds: float) -> None:
            self.end = time.monotonic() + seconds

        def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
            trainer.should_stop = trainer.should_stop or time.monotonic() >= self.end

    kind, _, number = device.partition(":")
    options: dict[str, Any] = {
        "accelerator": "cpu" if kind == "cpu" else "gpu",
        "devices": 1 if kind == "cpu" else [int(number or 0)],
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": True,
        "num_sanity_val_steps": 0,
        "default_root_dir": folder,
        "plugins": [LightningEnvironment()],  # one process, also inside a batch system's job
    }
    if plan is not None:
        options["max_epochs"] = plan.epochs if plan.seconds is None else -1
    if limit is not None and limit.steps is not None:
        options |= {"max_steps": limit.steps, "max_epochs": -1}
    seconds = plan.seconds if plan is not None else limit.seconds if limit is not None else None
    if seconds is not None:
        options |= {"callbacks": [Clock(seconds)], "max_epochs": -1}
    return options


def parameters_of(kind: Any) -> dict[str, inspect.Parameter]:
    """What a constructor takes, by name."""
    return dict(inspect.signature(kind).parameters)


def train(
    estimator: Any, data: list[Entry], held: list[Entry], options: dict[str, Any] | None = None, *, prints: bool = False
) -> tuple[Any, dict[str, float]]:
    """Train an estimator; return its predictor and what is known of the training.

    Args:
        data: entries to train on.
        held: entries whose last horizon chooses the epoch; empty = the training loss does.
        options: for a lightning trainer; None = the estimator has none.
        prints: what it prints is not swallowed.
    """
    if options is None:
        with quiet(prints=prints):
            return estimator.train(data), {}
    with quiet(prints=prints), tempfile.TemporaryDirectory() as folder:
        estimator.trainer_kwargs = {**estimator.trainer_kwargs, **options, "default_root_dir": folder}
        if hasattr(estimator, "train_model"):
            made = estimator.train_model(data, validation_data=held or None)
            loop, best = made.trainer, getattr(made.trainer.checkpoint_callback, "best_model_score", None)
            facts = {"steps": float(loop.global_step), "epochs": float(loop.current_epoch)}
            if best is not None:
                facts["best_validation_loss" if held else "best_training_loss"] = round(float(best), 6)
            return made.predictor, facts
        return estimator.train(data), {}


def build(kind: type[Any], name: str, arguments: dict[str, Any]) -> Any:
    """Make an estimator or predictor.

    Raises:
        UsageError: the constructor does not take what it is given; says what it takes.
    """
    try:
        with quiet(prints=True):
            return kind(**arguments)
    except (TypeError, ValueError, AssertionError) as error:  # pydantic's ValidationError is a ValueError
        said = " ".join(str(error).split()) or type(error).__name__
        given = ", ".join(f"{key}={value!r}" for key, value in arguments.items())
        raise UsageError(f"{name}: it cannot be made with {given}: {said}. It takes {inspect.signature(kind)}"[:1500]) from error
