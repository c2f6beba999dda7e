"""Learning rates over the steps, as a share of the peak; all but `Plateau` are functions of the step alone and need no state."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness_ttm.train.recipe import Schedule

__all__ = ["Plateau", "learning_rate"]

START, END = 1 / 25, 1e-4 / 25
"""Of one cycle (Smith and Topin 2018): the shares of the peak that it starts from and ends at."""


def learning_rate(step: int, steps: int, schedule: Schedule) -> float:
    """Share of the peak learning rate at a step (from 0) of `steps`.

    After a straight warm-up, which reaches 1 at its last step:

    - constant, plateau: 1 (`Plateau` multiplies it)
    - wsd: 1, then straight down over the last `decay` of the steps
    - cosine: half a cosine down to the end
    - restarts: halves of cosines, the first `cycle` steps long, each next `growth` times as long (Loshchilov and Hutter 2017)

    one_cycle has a warm-up of its own: half a cosine from 1/25 up over the warm-up, then half a cosine down to 1/250,000 at the last step.
    """
    warm = max(1, round(schedule.warmup if schedule.warmup >= 1 else steps * schedule.warmup))
    if schedule.name == "one_cycle":
        return _one_cycle(step, steps, warm)
    if step < warm:
        return (step + 1) / warm
    floor = schedule.floor
    if schedule.name == "wsd":
        begin = steps - round(steps * schedule.decay)
        return 1.0 if step < begin else max(1 - (step - begin) / max(steps - begin, 1), floor)
    if schedule.name == "cosine":
        return floor + (1 - floor) * (0.5 * (1 + math.cos(math.pi * (step - warm) / max(steps - warm, 1))))
    if schedule.name == "restarts":
        cycle = max(1, round(schedule.cycle if schedule.cycle >= 1 else steps * schedule.cycle))
        at = step - warm
        while at >= cycle:
            at -= cycle
            cycle *= schedule.growth
        return floor + (1 - floor) * (0.5 * (1 + math.cos(math.pi * at / cycle)))
    return 1.0


def _one_cycle(step: int, steps: int, warm: int) -> float:
    top = warm - 1  # the step of the peak
    if step <= top:
        low, high, share = START, 1.0, step / max(top, 1)
    else:
        low, high, share = 1.0, END, (step - top) / max(steps - 1 - top, 1)
    return high + (low - high) * (0.5 * (1 + math.cos(math.pi * min(share, 1.0))))


@dataclass
class Plateau:
    """A share that is multiplied by `factor` when more than `patience` validations in a row brought no better loss."""

    schedule: Schedule
    share: float = 1.0
    best: float = math.inf
    waited: int = 0

    def validated(self, loss: float) -> None:
        """Take in the loss of a validation; better is less by more than 1e-4 of it."""
        if loss < self.best * (1 - 1e-4):
            self.best, self.waited = loss, 0
        else:
            self.waited += 1
        if self.waited > self.schedule.patience:
            self.share, self.waited = max(self.share * self.schedule.factor, self.schedule.floor), 0

    def state(self) -> dict[str, float]:
        """What a checkpoint keeps."""
        return {"share": self.share, "best": self.best, "waited": self.waited}

    def load(self, state: dict[str, float]) -> None:
        """Take up a state."""
        self.share, self.best, self.waited = state["share"], state["best"], int(state["waited"])
