"""Fine-tuning on the training part of a task: a new network, and a record of how it came about.

Axes: n windows, S series.

- Windows are cut at random origins, each series with equal chance, from the training contexts alone. They reach back as far as the windows
  that will be forecast (`Batch.context_limit`). The newest steps of each series are held out by `harness.holdout`, and no training window
  has a label there.
- Of a short horizon more windows are held out: by 38 windows of 12 steps, a gain of 9 % in quantile loss had a standard error of 8 %, and
  nothing that was learnt from glucose was kept (docs/log.md).
- The weights with the best loss on what is held out are kept. If their gain over the network that the training started from does not pass
  `harness.holdout.Gate`, that network is returned as it was, and the notes say so: fine-tuning costs time then, and no accuracy.
- "full" starts from random weights, which are then the base; the best weights are returned however they compare with the shipped ones.
- A budget in steps gives the same bits again, on one thread as all training here; one in seconds does not, and the notes say so.

The network that is given is not changed, and torch's global generator is as it was before.
"""

from __future__ import annotations

import copy
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from harness import Batch, Unsupported, UsageError
from harness.budget import parse_budget
from harness.holdout import ENOUGH, MOST, Gate, HoldOut, hold_out
from harness.threads import one_thread
from harness_ttm.adapt.lora import layers, merge
from harness_ttm.adapt.parts import choose
from harness_ttm.adapt.problem import Arrays, Problem, problem_of
from harness_ttm.adapt.rate import LearningRate, lr_find, schedule
from harness_ttm.adapt.windows import Augmentation, augment, cut, thinned_hints
from harness_ttm.part import Part, is_rate, parse_part
from harness_ttm.season_head import SeasonTTM
from harness_ttm.seasons import hints_of
from harness_ttm.train.windows import Windows

__all__ = ["Finetuned", "finetune"]

I64 = NDArray[np.int64]
MODES = "full, finetune, or few-shot:SHARE"
DEFAULT_STEPS = 200
RATE = 3e-3
"""Of a season-fold network that starts from its weights. What `lr_find` found there was chance: from 4e-5 to 1.2e-2 on three sets of
glucose (docs/log.md)."""
SHORT = 48  # steps; of a shorter horizon more windows are held out
SWEEP = 4  # batches that the learning-rate finder goes round
SEARCH = 1 / 3  # of a budget in time that it may take


@dataclass
class Finetuned:
    """What `finetune` returns."""

    model: nn.Module  # a plain network, low-rank factors merged
    notes: dict[str, float | str]
    curve: list[dict[str, float]] = field(default_factory=list)  # step, loss, validation
    search: LearningRate | None = None  # where the rate was looked for
    adapter: nn.Module | None = None  # with its factors unmerged, for `lora.save`; None for other parts, or where the base was kept


@dataclass
class Series:
    """The series that windows are cut from, as places in one buffer: [S] each."""

    values: NDArray[np.float32]
    begin: I64
    end: I64  # of what is trained on
    whole: I64  # of the series
    least: int  # steps of history that a window should have
    reach: int  # steps of history that a window may have at most
    held: HoldOut  # windows to judge by

    @classmethod
    def of(cls, train: Batch, problem: Problem, validate: bool, windows: int = ENOUGH) -> Series:
        horizon = problem.horizon
        held = hold_out(train.contexts, horizon, enough=enough(ENOUGH, horizon, windows), most=enough(MOST, horizon, windows))
        end = held.end if validate else held.whole
        usable = end < held.whole if validate else end - held.begin >= 2
        least = max(min(problem.horizon, 64), 8)
        longest = int((held.whole - held.begin)[usable].max(initial=1))
        reach = min(longest, train.context_limit or longest)
        return cls(np.asarray(train.contexts.values), held.begin[usable], end[usable], held.whole[usable], least, reach, held)

    def draw(self, problem: Problem, hints: I64, rng: np.random.Generator, n: int, how: Augmentation | None) -> Windows:
        """n training windows."""
        row = rng.integers(0, len(self.begin), n)
        begin, end = self.begin[row], self.end[row]
        length = end - begin
        low = np.minimum(self.least, (length + 1) // 2)
        high = np.maximum(low, length - problem.horizon)
        at = begin + low + np.floor(rng.random(n) * (high - low + 1)).astype(np.int64)
        every = np.ones(n, np.int64)
        if how is not None:
            room = (at - begin >= 2 * low) & (end - at >= 2)
            every += (rng.random(n) < how.thin) & room
        limit = np.minimum(end, at + every * problem.horizon)
        history = problem.history(self.reach)
        y = cut(self.values, np.maximum(begin, at - every * self.reach), at, limit, history, problem.ahead, every)
        if how is not None:
            y = augment(y, history, how, rng)
        return Windows(y, history, thinned_hints(hints, every))

    def newest(self, problem: Problem, hints: I64, held: HoldOut) -> Windows:
        """Some of the windows to judge by."""
        history = problem.history(self.reach)
        begin = np.maximum(held.begin[held.series], held.origin - self.reach)
        y = cut(self.values, begin, held.origin, held.limit, history, problem.ahead)
        return Windows(y, history, np.broadcast_to(hints, (len(held), len(hints))))


def enough(windows: int, horizon: int, most: int) -> int:
    """So many windows; of a horizon below `SHORT` steps, up to `most`, so many that they have twice the labels of those of `SHORT` steps.

    >>> enough(64, 48, 512), enough(64, 30, 512), enough(64, 12, 512), enough(64, 1, 512)
    (64, 204, 512, 512)
    """
    return windows if horizon >= SHORT else max(windows, min(2 * windows * SHORT // horizon, most))


@one_thread()
def finetune(
    model: nn.Module,
    train: Batch,
    budget: str,
    seed: int,
    *,
    mode: str = "finetune",
    part: str = "",
    learning_rate: float | str | None = None,
    batch: int = 64,
    patches: int = 8,
    weight_decay: float = 0.01,
    clip: float = 1.0,
    augmentation: Augmentation | None = None,
    validate: bool = True,
    validation_windows: int = 256,
    evaluations: int = 20,
    patience: int = 6,
) -> Finetuned:
    """Fine-tune a copy of a network.

    Args:
        model: a `SeasonTTM`, or a `TTM` of one channel. It is left as it is.
        train: each series up to its first cutoff.
        budget: "200" or "200steps"; or "30s", "2m"; "" is 200 steps.
        mode: "finetune" and "few-shot:p" start from the network's weights, "full" from random ones.
        part: what is trained, see `harness_ttm.part`; "" is decoder, and all in mode full.
        learning_rate: of AdamW, at its peak; "auto" looks for one by `lr_find`, beyond the steps of the budget. None is `RATE` for a
            `SeasonTTM` that starts from its weights, else "auto".
        batch, patches: windows per step, and future patches per window (fewer where the horizon has fewer).
        augmentation: None changes no window.
        validate: False trains on all to the end of the budget, and returns the last weights.
        validation_windows: it is validated on at most so many windows, and on twice as many of a horizon below `SHORT`.
        evaluations, patience: how often it validates within a budget in steps (within one in seconds: every 10 steps), and after how many
            times without a better loss it ends.

    Raises:
        UsageError: a mode, budget, part or learning rate that does not exist.
        Unsupported: mode full, and no series is long enough to learn from.
    """
    begun = time.perf_counter()
    if learning_rate is None:
        learning_rate = RATE if mode != "full" and isinstance(model, SeasonTTM) else "auto"
    chosen = _checked(mode, part, learning_rate)
    limit = parse_budget(budget)
    steps = limit.steps or (None if limit.seconds else DEFAULT_STEPS)
    problem = problem_of(model, train.horizon, train.freq)
    hints = hints_of(train.freq, train.season_length)
    judged = validation_windows * (2 if problem.horizon < SHORT else 1)
    series = Series.of(train, problem, validate, judged)
    notes: dict[str, float | str] = {"mode": mode, "part": str(chosen), "budget": budget or f"{DEFAULT_STEPS}steps"}
    if not limit.reproducible:
        notes["reproducible"] = "no: the budget is a time"

    def untrained(why: str, in_full: str) -> Finetuned:
        """The network as it was; in mode full there is none."""
        if mode == "full":
            raise Unsupported(in_full)
        facts = {**notes, "kept": "base", "why": why, "steps": 0, "seconds": round(time.perf_counter() - begun, 3)}
        return Finetuned(copy.deepcopy(model), facts)

    if not len(series.begin):
        return untrained(
            "no series is long enough to learn from", "no series is long enough to learn from, and random weights forecast nothing"
        )

    def used(step: int) -> float:
        """Share of the budget."""
        return min(1.0, step / steps if steps else (time.perf_counter() - begun) / (limit.seconds or 1.0))

    device = next(model.parameters()).device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        _reseed(device, seed, 0)
        tuned = copy.deepcopy(model) if mode != "full" else type(model)(model.config).to(device)
        run = Run(tuned, problem, series, hints, seed, batch, patches, augmentation, weight_decay, clip)
        held = run.hold_out(judged) if validate else []
        if held and not run.gate.windows:
            return untrained(
                "no held-out window has a label",
                "no series has an observed value in its newest horizon to judge a training by; random weights forecast nothing",
            )
        choose(tuned, chosen)
        search = run.search(lambda: steps is None and used(0) > SEARCH) if learning_rate == "auto" else None
        rate = search.rate if search else float(learning_rate)
        run.train(rate, used, held, 10 if steps is None else max(1, steps // evaluations), patience)
    if mode == "full" and held and not run.best_step:
        raise Unsupported(
            f"no step of the {run.steps} was better than random weights, which forecast nothing; give it more: --budget 500steps"
        )
    notes |= {"learning rate": rate, **run.facts(mode, held)}
    if notes["kept"] == "base":
        tuned = copy.deepcopy(model)
    adapter = copy.deepcopy(tuned) if layers(tuned) else None
    notes["seconds"] = round(time.perf_counter() - begun, 3)
    return Finetuned(_plain(tuned, model), notes, run.curve, search, adapter)


def _plain(tuned: nn.Module, model: nn.Module) -> nn.Module:
    """A tuned network, in place, as the one it came from: factors merged, in evaluation mode, the same parameters to be trained."""
    merge(tuned).eval()
    wanted = {name: p.requires_grad for name, p in model.named_parameters()}
    for name, parameter in tuned.named_parameters():
        parameter.requires_grad_(wanted[name])
    return tuned


def _checked(mode: str, part: str, learning_rate: float | str) -> Part:
    """The part that is trained, once mode, part and rate make sense together."""
    if mode not in ("full", "finetune") and not re.fullmatch(r"few-shot:\d*\.?\d+", mode):
        hint = "; for ttt use harness_ttm.adapt.TTTForecaster" if mode == "ttt" else ""
        raise UsageError(f"got mode {mode!r}; wanted {MODES}{hint}")
    chosen = parse_part(part or ("all" if mode == "full" else "decoder"))
    if mode == "full" and chosen.kind != "all":
        raise UsageError(f"got part {part!r} with mode 'full'; wanted all: a network with random weights in the other parts learns little")
    if learning_rate != "auto" and not is_rate(learning_rate):
        raise UsageError(f"got learning_rate {learning_rate!r}; wanted a number above 0, as in 0.001, or 'auto'")
    return chosen


@dataclass
class Run:
    """One training of one network, in place. What a step draws is a function of the seed and the step."""

    model: nn.Module
    problem: Problem
    series: Series
    hints: I64
    seed: int
    batch: int
    patches: int
    augmentation: Augmentation | None
    weight_decay: float
    clip: float
    steps: int = 0
    best_step: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    gate: Gate = field(init=False)  # where windows are held out

    def __post_init__(self) -> None:
        self.device = next(self.model.parameters()).device
        self.problem.levels = self.problem.levels.to(self.device)

    def draw(self, kind: int, step: int) -> Arrays:
        """The batch of a step."""
        rng = np.random.default_rng([_mixed(self.seed, kind), step])
        return self._arrays(self.series.draw(self.problem, self.hints, rng, self.batch, self.augmentation), rng, self.patches)

    def _arrays(self, windows: Windows, rng: np.random.Generator, patches: int) -> Arrays:
        return {name: value.to(self.device) for name, value in self.problem.arrays(windows, rng, patches).items()}

    def hold_out(self, most: int) -> list[Arrays]:
        """The held-out windows, at most so many, 64 at a time; opens the gate with the losses of the network as it is."""
        rng = np.random.default_rng(_mixed(self.seed, 4))
        held = self.series.held.some(most, rng)
        parts = [held.only(np.arange(low, min(low + 64, len(held)))) for low in range(0, len(held), 64)]
        arrays = [self._arrays(self.series.newest(self.problem, self.hints, part), rng, 2 * self.patches) for part in parts]
        self.gate = Gate(_evaluate(self.model, self.problem, arrays), held.groups)
        return arrays

    def search(self, late: Callable[[], bool]) -> LearningRate:
        """A learning rate, by `lr_find`."""
        sweep = [self.draw(1, step) for step in range(SWEEP)]
        return lr_find(
            self.model,
            lambda net, step: _mean(self.problem.loss(_training(net), sweep[step % SWEEP])),
            weight_decay=self.weight_decay,
            late=late,
        )

    def train(self, rate: float, done: Callable[[int], float], held: list[Arrays], every: int, patience: int) -> None:
        """Train until `done(step)` is 1 or validation has not got better for `patience` times; then the best weights are put back."""
        parameters = [p for p in self.model.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        optimizer = torch.optim.AdamW([g for g in groups if g["params"]], lr=rate)
        state, since, total = _state(self.model), 0, 0.0
        ending = False
        while not ending and (used := done(self.steps)) < 1 and (since < patience or not held):
            _reseed(self.device, self.seed, 3, self.steps)
            for group in optimizer.param_groups:
                group["lr"] = rate * schedule(used)
            optimizer.zero_grad(set_to_none=True)
            loss = _mean(self.problem.loss(_training(self.model), self.draw(2, self.steps)))
            loss.backward()
            if torch.isfinite(nn.utils.clip_grad_norm_(parameters, self.clip)):
                optimizer.step()
            self.steps, total = self.steps + 1, total + float(loss.detach())
            ending = done(self.steps) >= 1  # it is looked at, too, where the budget is a time
            if self.steps % every == 0 or ending:
                row = {"step": float(self.steps), "loss": total / (self.steps % every or every)}
                total = 0.0
                if held:
                    since += 1
                    if self.gate.look(_evaluate(self.model, self.problem, held)):
                        self.best_step, state, since = self.steps, _state(self.model), 0
                    row["validation"] = self.gate.losses[-1]
                self.curve.append(row)
        if held:
            self.model.load_state_dict(state)

    def facts(self, mode: str, held: list[Arrays]) -> dict[str, float | str]:
        """What became of the training, as notes."""
        out: dict[str, float | str] = {
            "trainable parameters": sum(p.numel() for p in self.model.parameters() if p.requires_grad),
            "steps": self.steps,
        }
        if not held:
            return out | {"kept": "tuned"}
        return out | {"best step": self.best_step} | self.gate.verdict(fresh=mode == "full").notes


def _evaluate(model: nn.Module, problem: Problem, held: list[Arrays]) -> NDArray[np.float64]:
    """The losses of the held-out windows, [W]; NaN of those without a label."""
    model.eval()
    losses = [np.zeros(0)]
    with torch.no_grad():
        for arrays in held:
            each, there = problem.loss(model, arrays)
            losses.append(torch.where(there, each, torch.nan).double().cpu().numpy())
    return np.concatenate(losses)


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


def _reseed(device: torch.device, *numbers: int) -> None:
    """Seed torch's generators of the CPU and of the device."""
    torch.default_generator.manual_seed(_mixed(*numbers))
    if device.type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(_mixed(*numbers))


def _mixed(*numbers: int) -> int:
    """One seed of several numbers."""
    return int(np.random.SeedSequence([n % 2**64 for n in numbers]).generate_state(1, np.uint64)[0] >> np.uint64(1))
