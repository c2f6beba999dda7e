"""A training by GRIP among the trained models. Nothing heavy is imported before it trains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness import NothingMatched
from harness.mappings import mapping
from harness.trained import TrainedModel
from harness_time_r1.grip.settings import GripSettings
from harness_time_r1.settings import Settings
from harness_time_r1.training.record import absolute, trained_model
from harness_time_r1.windows import Window, of_task

if TYPE_CHECKING:
    from harness_time_r1.grip.training import Report

__all__ = ["Given", "again", "record"]


@dataclass(frozen=True)
class Given:
    """What the command was given beside the settings of GRIP."""

    suite: str
    task: str
    weights: str = ""
    adapter: str = ""
    data: str = ""  # the suite's data folder, "" = where it is by itself
    context: int = 96
    timestamps: str = "shown"
    digits: int = 4
    windows: int = 1000  # to learn from, at most
    validation: int = 32  # held out, at most
    device: str = "cpu"
    dtype: str = "float32"
    merge: bool = False

    def cut(self, part: str, seed: int) -> list[Window]:
        """The windows of a part of the task.

        Raises:
            NothingMatched: there is none to learn from.
        """
        count = self.windows if part == "train" else self.validation
        data = Path(self.data) if self.data else None
        found = of_task(self.suite, self.task, data, context=self.context, count=count, seed=seed, part=part) if count else []
        if part == "train" and not found:
            raise NothingMatched(f"no series of {self.task} is long enough for a window to learn from; wanted another, or less --context")
        return found

    def train(self, settings: GripSettings, folder: Path, **more: Any) -> Report:
        """Train by it; see `harness_time_r1.grip.training.train`."""
        asking = Settings(context=self.context, timestamps=self.timestamps, digits=self.digits, max_tokens=settings.max_completion)
        learnt, held = (self.cut(part, settings.seed) for part in ("train", "validation"))
        from harness_time_r1.grip.training import train

        where: dict[str, Any] = {"adapter": self.adapter, "device": self.device, "dtype": self.dtype, "merge": self.merge}
        return train(self.weights, learnt, settings, folder, validation=held, asking=asking, **where, **more)


def record(report: Report, settings: GripSettings, given: Given, command: Sequence[str] = ()) -> TrainedModel:
    """What is recorded of a training; the model is to ask as the training did."""
    suite = absolute(given.suite) if Path(given.suite).is_file() else given.suite
    places = {name: absolute(getattr(given, name)) for name in ("weights", "adapter", "data")}
    return trained_model(
        "grip",
        report,
        {**asdict(given), **places, "suite": suite, "settings": asdict(settings)},
        metrics=report.metrics(),
        seed=settings.seed,
        data=f"{given.task}, {report.fingerprint[:12]}: {report.windows} windows",
        command=command,
        params={"context": given.context, "timestamps": given.timestamps, "digits": given.digits},
        suite=suite,
        task=given.task,
    )


def again(found: Mapping[str, Any], folder: Path) -> TrainedModel:
    """Train as `record` noted it."""
    settings = GripSettings(**mapping(found["settings"]))
    given = Given(**{name: value for name, value in found.items() if name not in ("settings", "forced")})
    return record(given.train(settings, folder), settings, given)
