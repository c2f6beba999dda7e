"""What a training may use, and the learning rate that suits it."""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from harness import UsageError

__all__ = ["DEFAULT_STEPS", "Budget", "LearningRate", "lr_find", "parse_budget", "schedule"]

DEFAULT_STEPS = 200
SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True)
class Budget:
    """Steps, or seconds; the other is None. What is trained in a given time differs from run to run."""

    steps: int | None = None
    seconds: float | None = None

    @property
    def reproducible(self) -> bool:
        return self.steps is not None

    def done(self, step: int, elapsed: float) -> float:
        """Share of the budget that is used, 0 to 1."""
        return min(1.0, step / self.steps if self.steps is not None else elapsed / (self.seconds or 1.0))


def parse_budget(text: str) -> Budget:
    """Read "200", "200steps", "30s", "2m" or "1h"; "" is 200 steps.

    >>> parse_budget("200steps").steps, parse_budget("2m").seconds
    (200, 120.0)

    Raises:
        UsageError: anything else, or nothing to be used.
    """
    if not text.strip():
        return Budget(steps=DEFAULT_STEPS)
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(steps?|s|m|h)?", text.strip())
    number, unit = (float(match[1]), match[2] or "steps") if match else (0.0, "")
    if number <= 0 or (unit.startswith("step") and not number.is_integer()):
        raise UsageError(f"got a budget of {text!r}; wanted steps or a time, as in 200, 200steps, 30s or 2m")
    return Budget(seconds=number * SECONDS[unit]) if unit in SECONDS else Budget(steps=int(number))


def schedule(done: float) -> float:
    """Share of the peak learning rate when a share of the budget is used: a tenth of it to rise, then half a cosine down to 0."""
    if done < 0.1:
        return 0.1 + 0.9 * done / 0.1
    return 0.5 * (1 + math.cos(math.pi * (done - 0.1) / 0.9))


@dataclass(frozen=True)
class LearningRate:
    """What `lr_find` found: the rate, and the sweep, as rates and smoothed losses of the same length."""

    rate: float
    rates: tuple[float, ...]
    losses: tuple[float, ...]


def lr_find(
    model: nn.Module,
    loss: Callable[[nn.Module, int], Tensor],
    *,
    low: float = 1e-5,
    high: float = 1e-1,
    steps: int = 40,
    smooth: float = 0.8,
    weight_decay: float = 0.01,
) -> LearningRate:
    """Look for a learning rate: train a copy while the rate rises exponentially from `low` to `high`; take where the loss falls steepest.

    The loss is smoothed by an exponential mean (corrected for its beginning); the slope is that over the rate's logarithm, and only
    what lies before the lowest smoothed loss counts. The sweep ends when the loss is above twice its lowest, or is no number.
    The network itself is not changed. Source of the idea: Smith 2015 (arXiv 1506.01186).

    Args:
        loss: of a network and a step's number; the mean over a batch.
    """
    network = copy.deepcopy(model)
    network.train()
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=low, weight_decay=weight_decay)
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    for step in range(steps):
        rate = low * (high / low) ** (step / max(steps - 1, 1))
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        value = loss(network, step)
        mean = smooth * mean + (1 - smooth) * float(value.detach())
        smoothed = mean / (1 - smooth ** (step + 1))
        if not math.isfinite(smoothed) or (losses and smoothed > 2 * min(losses)):
            break
        rates.append(rate)
        losses.append(smoothed)
        value.backward()
        optimizer.step()
    if len(losses) < 5:  # nothing to see; a tenth of where it broke off
        return LearningRate(rates[-1] / 10 if rates else low, tuple(rates), tuple(losses))
    slope = np.gradient(np.array(losses), np.log(rates))
    first = min(3, len(losses) // 4)  # the mean has not settled before
    last = max(int(np.argmin(losses)), first + 1)
    return LearningRate(rates[first + int(np.argmin(slope[first:last]))], tuple(rates), tuple(losses))
