"""Training on from the weights, on the training part of a task.

Axes: N windows, L past steps, C context, h steps of a target, K lags, W held-out windows.

- The loss is the authors': the negative log-likelihood of each next value, over the context and the target, given the true values
  before it. The scaling is that of the past of the window. Windows without an interquartile range are left out: likelihood has no bound
  there.
- The newest steps of each series are held out. The weights with the best likelihood of their targets are kept where their gain passes
  `harness.holdout.Gate`; else those that the training started from are returned as they were, and the notes say so.
- Adam, a tenth of the steps to rise to the learning rate, then half a cosine down. The network has no dropout, and windows are drawn from
  the seed, so a budget of steps gives the same bits again on the CPU; one of seconds does not, and the notes say so.

The network that is given is not changed, and torch's generators are not used.
"""

from __future__ import annotations

import copy
import math
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from harness import Batch
from harness.forecast import F64
from harness.holdout import Gate
from harness_lag_llama.model import cleaned
from harness_lag_llama.network import Network, Parameters
from harness_lag_llama.sampling import LEAST_SCALE, Scaling, tokens
from harness_lag_llama.windows import Series, Windows

__all__ = ["Plan", "log_likelihood", "train"]

ROWS = 32
"""Windows of a step."""
LONGEST = 64
"""Steps of a target: likelihoods are one step ahead, so that a longer one costs time and adds little."""
CHECKS = 10
WARM = 0.1
STEEPEST = 1.0
FARTHEST = 1e3
"""Scaled targets are cut here: one jump out of a flat past must not decide where the weights go."""


@dataclass(frozen=True)
class Plan:
    """How to train: `steps`, or `seconds` where that is not None, with `rate` as the highest learning rate.

    `context` is C, `factor` what rotary positions are divided by.
    """

    steps: int
    seconds: float | None
    rate: float
    context: int
    factor: float


def train(base: Network, data: Batch, plan: Plan, seed: int) -> tuple[Network, dict[str, Any]]:
    """Train a copy of a network on `data`, each series up to its first cutoff.

    Returns it, or `base` where nothing was gained, and facts for the receipt.
    """
    begun, context = time.monotonic(), plan.context
    facts: dict[str, Any] = {} if plan.seconds is None else {"reproducible": "no: the budget is a time"}
    series = Series(data, min(data.horizon, LONGEST), context, context + max(base.shape.lags), seed)
    if not len(series.rows):
        return base, facts | {"kept": "base", "why": "no series has eight observed values", "steps": 0}
    held = [Problem(part, base, plan) for part in parts(series.held_out())]
    gate = Gate(judged(base, held), series.held.groups)
    if gate.windows < 2:
        return base, facts | gate.verdict().notes | {"steps": 0}

    network, rng = copy.deepcopy(base), np.random.default_rng([seed % 2**64, 84])
    optimizer = torch.optim.Adam(network.parameters(), lr=plan.rate)
    step, looked, astray, state = 0, 0, False, None
    while True:
        used = step / plan.steps if plan.seconds is None else (time.monotonic() - begun) / plan.seconds
        over = astray or (used >= 1 and step > 0)
        if step and (over or used * CHECKS >= looked + 1):
            looked = int(used * CHECKS)
            if gate.look(judged(network, held)):
                state = {name: value.clone() for name, value in network.state_dict().items()}
        if over:
            break
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * schedule(used)
        likelihood, known = Problem(series.draw(rng, ROWS), network, plan).likelihood(network)
        optimizer.zero_grad(set_to_none=True)
        (-(likelihood * known).sum() / known.sum().clamp_min(1)).backward()
        astray = not bool(torch.isfinite(nn.utils.clip_grad_norm_(network.parameters(), STEEPEST)))
        if not astray:
            optimizer.step()
            step += 1
    verdict = gate.verdict()
    facts |= {
        "steps": step,
        "learning rate": plan.rate,
        "held-out losses": [round(loss, 6) for loss in gate.losses],
        **verdict.notes,
    }
    if astray:
        facts["astray"] = f"after step {step}; the best weights before it were judged"
    if state is None or not verdict.kept:
        return base, facts
    network.load_state_dict(state)
    return network, facts


def parts(windows: Windows) -> list[Windows]:
    """The windows, some at a time."""
    cut = [slice(low, low + ROWS) for low in range(0, len(windows.values), ROWS)]
    return [Windows(windows.values[c], windows.seen[c], windows.calendar[c]) for c in cut]


class Problem:
    """Tokens, targets and what of them counts, on the network's device."""

    def __init__(self, windows: Windows, network: Network, plan: Plan) -> None:
        context = plan.context
        device = network.param_proj.proj[0].weight.device
        values, seen = cleaned(windows.values, windows.seen)
        y, known, calendar = (torch.from_numpy(a).to(device) for a in (values, seen, windows.calendar))
        history = y.shape[1] - calendar.shape[1] + context  # L
        some = known[:, :history].any(dim=1)
        first = torch.zeros_like(known[:, :history])
        first[:, 0] = ~some  # a window without a past is left out below
        scaling = Scaling(y[:, :history], known[:, :history] | first, 0)
        location, scale = scaling.location, scaling.scale
        at = torch.arange(history - context, y.shape[1] - 1, device=device)  # the tokens [C + h - 1], each forecasts the next step
        lags = y[:, at[:, None] - torch.tensor(network.shape.lags, device=device)]  # [N, C + h - 1, K]
        self.tokens = tokens(lags, calendar[:, :-1], location, scale)
        self.target = ((y[:, at + 1] - location) / scale).clamp(-FARTHEST, FARTHEST)
        self.known = known[:, at + 1] & (scale > LEAST_SCALE) & some[:, None]
        self.factor, self.context = plan.factor, context

    def likelihood(self, network: Network) -> tuple[Tensor, Tensor]:
        """Of each target [N, C + h - 1], scaled, and which of them count."""
        return log_likelihood(network(self.tokens, self.factor), self.target), self.known


def log_likelihood(law: Parameters, y: Tensor) -> Tensor:
    """The logarithm of the density of Student's t."""
    z = (y - law.loc) / law.scale
    half = law.df / 2
    constant = torch.lgamma(half + 0.5) - torch.lgamma(half) - 0.5 * torch.log(math.pi * law.df) - law.scale.log()
    return constant - (half + 0.5) * torch.log1p(z.square() / law.df)


@torch.no_grad()
def judged(network: Network, held: list[Problem]) -> F64:
    """The mean negative log-likelihood [W] of each held-out target; NaN where nothing of it counts."""
    out = []
    for problem in held:
        likelihood, known = (a[:, problem.context - 1 :] for a in problem.likelihood(network))
        count = known.sum(dim=1)
        mean = -(likelihood.double() * known).sum(dim=1) / count
        out.append(torch.where(count > 0, mean, torch.nan).cpu().numpy())
    result: F64 = np.concatenate(out)
    return result


def schedule(progress: float) -> float:
    """The learning rate as a share of the highest: up in a line, down along half a cosine to 1 %; `progress` runs from 0 to 1."""
    if progress < WARM:
        return (progress + 0.01) / (WARM + 0.01)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - WARM) / (1 - WARM))))
