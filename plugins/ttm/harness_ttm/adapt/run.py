"""One fine-tuning of one network: the loop, and what it may use of its budget."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness.budget import Budget
from harness.holdout import Gate
from harness_ttm.adapt.problem import Arrays, Problem
from harness_ttm.adapt.rate import LearningRate, lr_find, schedule
from harness_ttm.adapt.series import Series
from harness_ttm.adapt.settings import Settings
from harness_ttm.train.windows import Windows

__all__ = ["Run", "Spending", "reseed"]

I64 = NDArray[np.int64]
DEFAULT_STEPS = 200
SWEEP = 4  # batches that the learning-rate finder goes round
SEARCH = 1 / 3  # of a budget in time that it may take


@dataclass(frozen=True)
class Spending:
    """A budget that is being used since `begun`; one that has no limit is `DEFAULT_STEPS`."""

    limit: Budget
    begun: float = field(default_factory=time.perf_counter)

    @property
    def steps(self) -> int | None:
        """Of the budget; None where it is a time."""
        return self.limit.steps or (None if self.limit.seconds else DEFAULT_STEPS)

    @property
    def seconds(self) -> float:
        """Since the beginning."""
        return time.perf_counter() - self.begun

    def used(self, step: int) -> float:
        """Share of the budget."""
        return min(1.0, step / self.steps if self.steps else self.seconds / (self.limit.seconds or 1.0))

    def late(self) -> bool:
        """Whether a search for a rate should end."""
        return self.steps is None and self.used(0) > SEARCH

    def every(self, evaluations: int) -> int:
        """Steps from one validation to the next."""
        return 10 if self.steps is None else max(1, self.steps // evaluations)


@dataclass
class Run:
    """One training of one network, in place. What a step draws is a function of the seed and the step."""

    model: nn.Module
    problem: Problem
    series: Series
    hints: I64
    seed: int
    how: Settings
    steps: int = 0
    best_step: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    held: list[Arrays] = field(default_factory=list)  # what it is judged by
    gate: Gate = field(init=False)  # where windows are held out

    def __post_init__(self) -> None:
        self.device = next(self.model.parameters()).device
        self.problem.levels = self.problem.levels.to(self.device)

    def draw(self, kind: int, step: int) -> Arrays:
        """The batch of a step."""
        rng = np.random.default_rng([_mixed(self.seed, kind), step])
        windows = self.series.draw(self.problem, self.hints, rng, self.how.batch, self.how.augmentation)
        return self._arrays(windows, rng, self.how.patches)

    def _arrays(self, windows: Windows, rng: np.random.Generator, patches: int) -> Arrays:
        return {name: value.to(self.device) for name, value in self.problem.arrays(windows, rng, patches).items()}

    def hold_out(self) -> None:
        """Take up the held-out windows, 64 at a time; opens the gate with the losses of the network as it is."""
        rng = np.random.default_rng(_mixed(self.seed, 4))
        held = self.series.held.some(self.how.judged(self.problem.horizon), rng)
        parts = [held.only(np.arange(low, min(low + 64, len(held)))) for low in range(0, len(held), 64)]
        self.held = [self._arrays(self.series.newest(self.problem, self.hints, part), rng, 2 * self.how.patches) for part in parts]
        self.gate = Gate(self._losses(), held.groups)

    def search(self, spending: Spending) -> LearningRate:
        """A learning rate, by `lr_find`."""
        sweep = [self.draw(1, step) for step in range(SWEEP)]
        return lr_find(
            self.model,
            lambda net, step: _mean(self.problem.loss(_training(net), sweep[step % SWEEP])),
            weight_decay=self.how.weight_decay,
            late=spending.late,
        )

    def train(self, rate: float, spending: Spending) -> None:
        """Train until the budget is used or validation has not got better for a while; then the best weights are put back."""
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = _adamw(parameters, rate, self.how.weight_decay)
        every = spending.every(self.how.evaluations)
        state, since, total = _state(self.model), 0, 0.0
        ending = False
        while not ending and (used := spending.used(self.steps)) < 1 and (since < self.how.patience or not self.held):
            total += self._step(optimizer, parameters, rate * schedule(used))
            ending = spending.used(self.steps) >= 1  # it is looked at, too, where the budget is a time
            if self.steps % every and not ending:
                continue
            row = {"step": float(self.steps), "loss": total / (self.steps % every or every)}
            total = 0.0
            if self.held:
                since += 1
                if self.gate.look(self._losses()):
                    self.best_step, state, since = self.steps, _state(self.model), 0
                row["validation"] = self.gate.losses[-1]
            self.curve.append(row)
        if self.held:
            self.model.load_state_dict(state)

    def _step(self, optimizer: torch.optim.Optimizer, parameters: list[nn.Parameter], rate: float) -> float:
        """The loss of one step; one whose gradient is no number changes nothing."""
        reseed(self.device, self.seed, 3, self.steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        optimizer.zero_grad(set_to_none=True)
        loss = _mean(self.problem.loss(_training(self.model), self.draw(2, self.steps)))
        loss.backward()
        if torch.isfinite(nn.utils.clip_grad_norm_(parameters, self.how.clip)):
            optimizer.step()
        self.steps += 1
        return float(loss.detach())

    def facts(self) -> dict[str, float | str]:
        """What became of the training, as notes."""
        out: dict[str, float | str] = {
            "trainable parameters": sum(p.numel() for p in self.model.parameters() if p.requires_grad),
            "steps": self.steps,
        }
        if not self.held:
            return out | {"kept": "tuned"}
        return out | {"best step": self.best_step} | self.gate.verdict(fresh=self.how.fresh).notes

    def _losses(self) -> NDArray[np.float64]:
        """The losses of the held-out windows, [W]; NaN of those without a label."""
        self.model.eval()
        losses = [np.zeros(0)]
        with torch.no_grad():
            for arrays in self.held:
                each, there = self.problem.loss(self.model, arrays)
                losses.append(torch.where(there, each, torch.nan).double().cpu().numpy())
        return np.concatenate(losses)


def _adamw(parameters: list[nn.Parameter], rate: float, weight_decay: float) -> torch.optim.AdamW:
    """Biases and norms do not decay."""
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=rate)


def _mean(loss: tuple[Tensor, Tensor]) -> Tensor:
    each, there = loss
    return (each * there).sum() / there.sum().clamp(min=1)


def _training(model: nn.Module) -> nn.Module:
    """In training mode, but for batch norms that are not trained: these keep their statistics."""
    model.train()
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and not any(p.requires_grad for p in module.parameters()):
            module.eval()
    return model


def _state(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def reseed(device: torch.device, *numbers: int) -> None:
    """Seed torch's generators of the CPU and of the device."""
    torch.default_generator.manual_seed(_mixed(*numbers))
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(_mixed(*numbers))


def _mixed(*numbers: int) -> int:
    """One seed of several numbers."""
    return int(np.random.SeedSequence([n % 2**64 for n in numbers]).generate_state(1, np.uint64)[0] >> np.uint64(1))
