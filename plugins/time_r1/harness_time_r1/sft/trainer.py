"""trl's trainer without what it tells others, and what is done after each of its steps. Imports trl and transformers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers.trainer_callback import TrainerCallback
from trl import SFTTrainer

from harness_time_r1.sft.curve import FIELDS, rows_of
from harness_time_r1.training.curve import write_curve
from harness_time_r1.training.weights import TrainerPart

__all__ = ["Trainer", "Watch"]


class Trainer(TrainerPart, SFTTrainer):
    """trl's trainer, with what we want otherwise."""


class Watch(TrainerCallback):
    """Writes curve.csv, passes on what happens, and asks whether to stop."""

    def __init__(
        self, path: Path, say: Callable[[str], None], stop: Callable[[int], bool], watch: Callable[[int, Mapping[str, float]], None]
    ) -> None:
        self.path, self.say, self.stop, self.watch = path, say, stop, watch

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002 - the library's names
        if self.stop(int(state.global_step)):
            control.should_save = control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:  # noqa: ARG002
        row = {name: float(logs[name]) for name in FIELDS if isinstance((logs or {}).get(name), int | float)}
        if not {"loss", "eval_loss"} & set(row):
            return
        write_curve(self.path, rows_of(state.log_history), FIELDS)
        self.watch(int(state.global_step), row)
        numbers = ", ".join(f"{name} {row[name]:.4f}" for name in ("loss", "eval_loss") if name in row)
        self.say(f"step {state.global_step} of {state.max_steps}: {numbers}")
