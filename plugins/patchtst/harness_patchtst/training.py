"""The training loop: windows by chance, AdamW, a learning rate that rises and falls once, and the best weights on what was held out.

Checked and kept are running averages of the weights: the loss on what is held out jumps from step to step while the learning rate is high,
and the best of many jumps is luck.

Axes: N windows, T context, H horizon. The loss is the mean negative log-likelihood of scaled targets, over the steps that are observed.
"""

from __future__ import annotations

import copy
import logging
import math
import time
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PatchTSTForPrediction

from harness.forecast import F64
from harness.holdout import Gate
from harness_patchtst.forecaster import Fact
from harness_patchtst.network import ROWS, head, negative_log_likelihood, outputs
from harness_patchtst.windows import Constant, Sample, Series, standardise

__all__ = ["Plan", "train"]

LOG = logging.getLogger("harness_patchtst")
CHECKS = 40
"""How often a training of a number of steps is checked on what was held out; one of a time is checked every `CHECK_EVERY` steps."""
CHECK_EVERY = 50
WARM = 0.1
"""The share of the training in which the learning rate rises."""
FARTHEST = 1e3
"""Scaled targets are cut here: a jump out of a window with hardly any spread must not decide where the weights go."""
DECAY = 0.01
STEEPEST = 1.0
MEMORY = 0.98
"""What an average of weights keeps at each step: it looks back over about 50, over fewer at the start."""


@dataclass(frozen=True)
class Plan:
    """How to train: `steps` at most, or `seconds` where that is not None; `patience` checks without a better loss end it sooner."""

    steps: int
    seconds: float | None
    rate: float
    batch_size: int
    patience: int


@dataclass
class Tensors:
    """A sample on the device: scaled contexts [N, T], targets [N, H] as the loss takes them, their mask [N, H], scales [N]."""

    context: Tensor
    target: Tensor
    known: Tensor
    scale: Tensor


def tensors(sample: Sample, kind: str, scaling: str, constant: Constant, width: int, device: str) -> Tensors:
    """Scale a sample; targets are filled up, masked, to the `width` steps of the head."""
    scaled, loc, scale = standardise(sample.context, sample.seen, scaling, constant)
    target = sample.target.astype(np.float64)
    if kind != "negative_binomial":
        target = np.clip((target - loc[:, None]) / scale[:, None], -FARTHEST, FARTHEST)
    more = ((0, 0), (0, width - target.shape[1]))
    parts = (scaled, np.pad(np.where(sample.known, target, 0.0), more), np.pad(sample.known, more), scale)
    return Tensors(*(torch.from_numpy(p.astype(bool if p.dtype == bool else np.float32)).to(device) for p in parts))


def train(
    network: PatchTSTForPrediction, series: Series, plan: Plan, scaling: str, constant: Constant, seed: int, fresh: bool
) -> dict[str, Fact]:
    """Train a network in place; dropout draws from torch's global state, windows from the seed. Returns facts for the receipt.

    The weights that were best on what is held out are kept. Where the network was trained before and they do not pass
    `harness.holdout.Gate`, it stays as it was. A new network of whose series nothing is held out (all are too short) has the last weights.

    Args:
        fresh: the network is new, or a part of it is: any gain is enough.

    Raises:
        RuntimeError: the loss is no longer a number, and never was a useful one.
    """
    rng = np.random.default_rng(seed)
    kind, device, width = head(network), str(network.device), network.config.prediction_length
    held, groups = series.held_out(np.random.default_rng([seed, 1]))
    checks = tensors(held, kind, scaling, constant, width, device)
    average = copy.deepcopy(network)
    gate = Gate(validate(average, kind, checks), groups)
    if not fresh and gate.windows < 2:
        return {"steps": 0, **gate.verdict().notes}
    optimizer = torch.optim.AdamW(network.parameters(), lr=plan.rate, weight_decay=DECAY)
    every = CHECK_EVERY if plan.seconds is not None else max(1, plan.steps // CHECKS)
    begin, step, best_step, since, diverged = time.monotonic(), 0, 0, 0, False
    base = weights = {name: value.detach().clone() for name, value in average.state_dict().items()}
    seen = [(0, gate.losses[0])]  # step and loss of each check
    while True:
        progress = step / plan.steps if plan.seconds is None else (time.monotonic() - begin) / plan.seconds
        over = diverged or (progress >= 1 and step > 0)
        if gate.windows and step and not diverged and (over or step % every == 0):
            if gate.look(validate(average, kind, checks)):
                best_step, since = step, 0
                weights = {name: value.detach().clone() for name, value in average.state_dict().items()}
            else:
                since += 1
            if math.isfinite(gate.losses[-1]):
                seen.append((step, gate.losses[-1]))
            LOG.debug("step %d: validation loss %.4f", step, gate.losses[-1])
            over = over or since >= plan.patience
        if over:
            break
        for group in optimizer.param_groups:
            group["lr"] = plan.rate * one_cycle(progress)
        batch = tensors(series.draw(rng, plan.batch_size), kind, scaling, constant, width, device)
        network.train()
        losses = negative_log_likelihood(kind, outputs(network, batch.context), batch.target, batch.known, batch.scale)
        optimizer.zero_grad()
        (losses.sum() / batch.known.sum().clamp_min(1)).backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), STEEPEST)
        diverged = not bool(torch.isfinite(norm))
        if not diverged:
            optimizer.step()
            step += 1
            follow(average, network, min(MEMORY, step / (step + 10)))
    if diverged and not gate.windows:
        raise RuntimeError(f"patchtst: the loss is not a number after {step} steps; try a lower learning_rate than {plan.rate:g}")
    verdict = gate.verdict(fresh)
    network.load_state_dict((weights if verdict.kept else base) if gate.windows else average.state_dict())
    network.train(False)
    facts: dict[str, Fact] = {"steps": step, "epochs": round(step * plan.batch_size / len(series), 3)}
    if not gate.windows:
        facts["validation"] = "none: no held-out window has a loss" if len(groups) else "none: every series is too short to hold a part out"
    else:
        facts |= {**verdict.notes, "best_step": best_step}
        facts |= {"validation_steps": [s for s, _ in seen], "validation_losses": [round(x, 6) for _, x in seen]}
    if diverged:
        facts["diverged"] = f"after step {step}; the best weights before it are used"
    return facts


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, keep: float) -> None:
    """Move the averages towards the weights: average = keep · average + (1 − keep) · weight. Buffers are taken over."""
    for mean, value in zip(average.parameters(), network.parameters(), strict=True):
        mean.lerp_(value, 1 - keep)
    for mine, its in zip(average.buffers(), network.buffers(), strict=True):
        mine.copy_(its)


def one_cycle(progress: float) -> float:
    """The learning rate as a share of the highest: up in a line, down along half a cosine to 1 %; `progress` runs from 0 to 1."""
    if progress < WARM:
        return (progress + 0.01) / (WARM + 0.01)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - WARM) / (1 - WARM))))


@torch.no_grad()
def validate(network: PatchTSTForPrediction, kind: str, data: Tensors) -> F64:
    """The mean loss of each held-out window [N] over its observed steps, without dropout; NaN where it has none."""
    network.train(False)
    found = [np.zeros(0)]
    for low in range(0, len(data.context), ROWS):
        target, known, scale = (t[low : low + ROWS] for t in (data.target, data.known, data.scale))
        losses = negative_log_likelihood(kind, outputs(network, data.context[low : low + ROWS]), target, known, scale)
        found.append((losses.double().sum(dim=1) / known.sum(dim=1)).cpu().numpy())
    return np.concatenate(found)
