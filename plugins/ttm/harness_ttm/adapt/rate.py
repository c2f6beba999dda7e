"""The learning rate of a fine-tuning: its course, and how one is found."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["UNTOLD", "LearningRate", "lr_find", "schedule"]

UNTOLD = 3e-4
"""The rate where there was no time to look for one."""


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
    late: Callable[[], bool] = lambda: False,
) -> LearningRate:
    """Look for a learning rate: train a copy while the rate rises exponentially from `low` to `high`; take where the loss falls steepest.

    The loss is smoothed by an exponential mean (corrected for its beginning); the slope is that over the rate's logarithm, and only
    what lies before the lowest smoothed loss counts. The sweep ends when the loss is above twice its lowest, or is no number. One that
    was cut short by the clock tells nothing: the rate is then `UNTOLD`. The network itself is not changed. Source of the idea: Smith 2015
    (arXiv 1506.01186).

    Args:
        loss: of a network and a step's number; the mean over a batch.
        late: whether time is up, asked before each step.
    """
    network = copy.deepcopy(model)
    network.train()
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=low, weight_decay=weight_decay)
    rates: list[float] = []
    losses: list[float] = []
    mean = 0.0
    for step in range(steps):
        if late():
            return LearningRate(UNTOLD, tuple(rates), tuple(losses))
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
