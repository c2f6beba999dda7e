"""Fine-tuning of a TimesFM 2.5 network on the training part of a task. Imports torch and timesfm.

Axes: N windows, T context, P patches of it, S steps ahead, Q deciles, W held-out windows.

- A window is scaled as a whole, then by the running mean and deviation of its patches, as the library does. After every patch the network
  forecasts, and all of these forecasts are trained on: the quantile loss of the deciles of both heads, the squared error of the mean.
- Steps beyond the horizon of the task are not trained on; the point head makes 128 at once, and longer horizons feed its medians back.
- The held-out windows are forecast as in a run. The weights with the least quantile loss on them are kept, if their gain passes
  `harness.holdout.Gate`; else those that the training started from are returned, and the notes say so.
- AdamW, a tenth of the steps to rise to the learning rate, then half a cosine down. There is no dropout. All that is random comes from the
  seed: torch's generators are not touched. On the CPU, a budget of steps gives the same bits again.

The network that is given is not changed.
"""

from __future__ import annotations

import contextlib
import math
import time
from typing import Any

import numpy as np
import torch
from timesfm.torch.util import revin, update_running_stats
from torch import Tensor, nn
from torch.nn.utils import parametrize

from harness import Batch
from harness.budget import Budget
from harness.forecast import F32, F64
from harness.holdout import Gate
from harness_timesfm import weights25
from harness_timesfm.contexts import fill
from harness_timesfm.forecaster25 import LEVELS, Fact, Forecaster25
from harness_timesfm.windows import Series

__all__ = ["train"]

RATE, RATE_WHOLE = 1e-4, 1e-5
CHECKS = 5
"""How often the held-out windows are forecast; each time costs about as much as a step or two."""
WARM = 0.1
STEEPEST = 1.0
DECAY = 0.01
SQUARED = 0.1
"""The weight of the mean's squared error; squares of scaled values are larger than quantile losses."""
FARTHEST = 20.0
"""Scaled targets are cut here: one jump out of a flat context must not decide where the weights go."""
LEAST_SEEN = 8
"""Observed steps before a forecast, for it to be trained on."""
FLAT = 1e-4
"""A running deviation under this share of the window's own is none to scale by."""
STOPS = 2.0
"""A training whose loss is this many times that at its beginning has gone astray."""


def train(base: Forecaster25, data: Batch, budget: Budget, seed: int) -> tuple[Any, dict[str, Fact]]:
    """Train a copy of a forecaster's network; returns the library's model to use, and facts for the receipt.

    What is returned is the very network that was given where training did not gain.

    Args:
        data: each series up to its first cutoff.
        budget: steps or seconds; neither is the setting `steps`.
    """
    begun, settings = time.monotonic(), base.settings
    facts: dict[str, Fact] = {"reproducible": "no: the budget is a time"} if budget.seconds else {}
    patch = int(base.library.model.p)
    series = Series(data.contexts, data.horizon, least=2 * patch, seed=seed)
    if not len(series):
        return base.library, facts | {"kept": "base", "why": "no series is long enough to learn from", "steps": 0}
    judge = Judge(series, data.horizon)
    gate = Gate(judge.losses(base), judge.held.groups)
    if gate.windows < 2:
        return base.library, facts | gate.verdict().notes | {"steps": 0}

    library = weights25.clone(base.library)
    module, rng = library.model, np.random.default_rng([seed % 2**64, 25])
    chosen = choose(module, settings.part, seed)
    rate = settings.learning_rate or (RATE if settings.part.startswith(("lora", "head")) else RATE_WHOLE)
    steps = budget.steps or settings.steps
    tuned = Forecaster25(library, settings, {})
    optimizer = torch.optim.AdamW(chosen, lr=rate, weight_decay=DECAY)
    context, ahead = -(-settings.train_context // patch) * patch, min(data.horizon, int(module.os))
    step, looked, astray, state = 0, 0, False, None
    while True:
        used = step / steps if budget.seconds is None else (time.monotonic() - begun) / budget.seconds
        over = astray or (used >= 1 and step > 0)
        if step and (over or used * CHECKS >= looked + 1):
            looked = int(used * CHECKS)
            if gate.look(judge.losses(tuned)):
                state = [value.detach().clone() for value in chosen]
            astray = astray or not gate.losses[-1] < STOPS * gate.losses[0]
            over = over or astray
        if over:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate * schedule(used)
        with deterministic(module.device):
            loss = loss_of(module, series.draw(rng, settings.train_batch, context, ahead), context, ahead)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
        norm = nn.utils.clip_grad_norm_(chosen, STEEPEST)
        astray = not bool(torch.isfinite(norm))
        if not astray:
            optimizer.step()
            step += 1
    verdict = gate.verdict()
    facts |= {
        "steps": step,
        "trainable parameters": sum(value.numel() for value in chosen),
        "learning rate": rate,
        "held-out losses": [round(loss, 6) for loss in gate.losses],
        **verdict.notes,
    }
    if astray:
        facts["astray"] = f"after step {step}; the best weights before it were judged"
    if state is None or not verdict.kept:
        return base.library, facts
    with torch.no_grad():
        for value, kept_value in zip(chosen, state, strict=True):
            value.copy_(kept_value)
    merge(module)
    return library, facts


class Judge:
    """Held-out windows, and how good forecasts of them are."""

    def __init__(self, series: Series, horizon: int) -> None:
        self.contexts, self.targets, self.held = series.held_out(horizon)
        spread = [float(np.nanstd(row.astype(np.float64))) if np.isfinite(row).any() else 0.0 for row in self.contexts]
        size = np.nan_to_num(np.nanmean(np.abs(self.targets.astype(np.float64)), axis=1)) if len(self.held) else np.zeros(0)
        scale = np.where(np.array(spread) > 0, spread, size)
        self.scale: F64 = np.where(scale > 0, scale, 1.0)

    def losses(self, forecaster: Forecaster25) -> F64:
        """The mean quantile loss [W] of each window's deciles over its observed steps, in deviations of its context."""
        if not len(self.held):
            return np.zeros(0)
        deciles = forecaster.forecast(self.contexts, self.targets.shape[1])[:, 1:].astype(np.float64)  # [W, Q, H]
        gap = self.targets[:, None].astype(np.float64) - deciles
        level = LEVELS[None, :, None]
        each = 2 * np.where(gap >= 0, level * gap, (level - 1) * gap).mean(axis=1)  # [W, H], NaN where there is no label
        each = np.where(np.isfinite(self.targets), each, np.nan)
        return np.nan_to_num(np.nanmean(each, axis=1) / self.scale, nan=np.inf, posinf=np.inf)


def loss_of(module: Any, windows: F32, context: int, ahead: int) -> Tensor:
    """The loss of all forecasts within windows [N, T + S]: after each patch of the context, of the S steps that follow it."""
    patch, device = int(module.p), module.device
    known = np.isfinite(windows)
    pad = ~np.logical_or.accumulate(known[:, :context], axis=1)  # [N, T] before the first observed value
    inputs = fill(windows[:, :context])
    y = np.where(known, windows, 0).astype(np.float64)
    count = np.maximum(known[:, :context].sum(axis=1, keepdims=True), 1)
    mean = y[:, :context].sum(axis=1, keepdims=True) / count
    deviation = np.sqrt((np.where(known, y - mean, 0)[:, :context] ** 2).sum(axis=1, keepdims=True) / count)
    deviation = np.where(deviation > 0, deviation, 1.0)

    def scaled(values: F32 | F64) -> Tensor:
        return torch.from_numpy(((values - mean) / deviation).astype(np.float32)).to(device)

    masks = torch.from_numpy(pad).to(device).reshape(len(windows), -1, patch)  # [N, P, patch]
    values = torch.where(masks, 0.0, scaled(inputs).reshape(masks.shape))
    seen, mu, sigma = running(values, masks)  # [N, P] each
    ((_, _, point, spread), _) = module(torch.where(masks, 0.0, revin(values, mu, sigma)), masks)

    def ahead_of(array: Tensor) -> Tensor:
        return array[:, patch:].unfold(1, ahead, patch)  # [N, T + S] -> [N, P, S]

    there = ahead_of(torch.from_numpy(known).to(device))
    last = torch.from_numpy(known[:, patch - 1 : context : patch].copy()).to(
        device
    )  # a gap at a patch's end is filled with what follows it
    useful = last & (seen >= LEAST_SEEN) & (sigma > FLAT)  # [N, P]
    there = there & useful[..., None]
    target = (ahead_of(scaled(y)) - mu[..., None]) / torch.where(useful, sigma, 1.0)[..., None]
    target = target.clamp(-FARTHEST, FARTHEST)  # [N, P, S]
    near = min(ahead, int(module.o))
    shape = (*useful.shape, -1, int(module.q))
    point, spread = point.reshape(shape)[:, :, :near], spread.reshape(shape)[:, :, :ahead]  # [N, P, S, 1 + Q]
    squared = (point[..., 0] - target[:, :, :near]).square()
    return (
        average(quantile_loss(point[..., 1:], target[:, :, :near]), there[:, :, :near])
        + average(quantile_loss(spread[..., 1:], target), there)
        + SQUARED * average(squared, there[:, :, :near])
    )


def running(values: Tensor, masks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Observed steps, their mean and deviation up to the end of each patch: [N, P] each, of values and masks [N, P, patch]."""
    state = tuple(torch.zeros(len(values), device=values.device) for _ in range(3))
    found = []
    for patch in range(values.shape[1]):
        state, _ = update_running_stats(*state, values[:, patch], masks[:, patch])
        found.append(state)
    count, mu, sigma = (torch.stack(part, dim=1) for part in zip(*found, strict=True))
    return count, mu, sigma


def quantile_loss(deciles: Tensor, target: Tensor) -> Tensor:
    """Twice the mean quantile loss over deciles [..., Q] of targets [...]."""
    levels = torch.as_tensor(LEVELS, dtype=torch.float32, device=target.device)
    gap = target[..., None] - deciles
    return 2 * torch.maximum(levels * gap, (levels - 1) * gap).mean(dim=-1)


def average(losses: Tensor, there: Tensor) -> Tensor:
    return torch.where(there, losses, 0.0).sum() / there.sum().clamp_min(1)


def schedule(used: float) -> float:
    """The learning rate as a share of its peak; `used` is the share of the budget."""
    if used < WARM:
        return (used + 0.01) / (WARM + 0.01)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, (used - WARM) / (1 - WARM))))


@contextlib.contextmanager
def deterministic(device: torch.device) -> Any:
    """On a GPU, attention by plain products: the gradients of the fused kernels are not the same bits twice."""
    if device.type != "cuda":
        yield
        return
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.MATH):
        yield


class LowRank(nn.Module):
    """Adds up · down to a matrix [out, in]; `up` begins as 0, so nothing changes before training."""

    def __init__(self, weight: Tensor, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        out, width = weight.shape
        rank = min(rank, out, width)
        self.down = nn.Parameter((torch.randn(rank, width, generator=generator) / math.sqrt(width)).to(weight.device))
        self.up = nn.Parameter(torch.zeros(out, rank, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.up @ self.down


def choose(module: Any, part: str, seed: int) -> list[nn.Parameter]:
    """Make a part of the network trainable, and nothing else; returns what is trained.

    Args:
        part: lora:RANK, head, layers:COUNT or all.
    """
    kind, _, number = part.partition(":")
    module.requires_grad_(kind == "all")
    heads = (module.output_projection_point, module.output_projection_quantiles)
    if kind == "lora":
        generator = torch.Generator().manual_seed(int(np.random.SeedSequence([seed % 2**64, 8]).generate_state(1)[0]))
        for linear in [m for layer in module.stacked_xf for m in layer.modules() if isinstance(m, nn.Linear)]:
            parametrize.register_parametrization(linear, "weight", LowRank(linear.weight, int(number), generator))
    elif kind != "all":
        layers = module.stacked_xf[-int(number) :] if kind == "layers" else []
        for trained in (*heads, *layers):
            trained.requires_grad_(True)
    return [value for value in module.parameters() if value.requires_grad]


def merge(module: Any) -> None:
    """Put low-rank factors into the matrices that they were added to."""
    for linear in [m for m in module.modules() if isinstance(m, nn.Linear) and parametrize.is_parametrized(m)]:
        parametrize.remove_parametrizations(linear, "weight", leave_parametrized=True)
