"""Fine-tuning on the training part of a task: a new network, and a record of how it came about.

Axes: n windows, S series.

- Windows are cut at random origins, each series with equal chance, from the training contexts alone. The newest steps of each series (the
  horizon, or a quarter of the series where that is shorter; several horizons of long series where there are few) are kept for validation,
  and no training window has a label there.
- The weights with the best validation loss are kept. If their mean gain over the network that the training started from is not above two
  standard errors, or there is one validation window alone, that network is returned as it was, and the notes say so: fine-tuning costs time
  then, and no accuracy. Windows of one series, and windows of one time, move together, so the error is the largest of three: over windows,
  over means of series, over means of the windows that are as far from the end.
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
from harness.threads import one_thread
from harness_ttm.adapt.lora import layers, merge
from harness_ttm.adapt.parts import choose
from harness_ttm.adapt.problem import Arrays, Problem, problem_of
from harness_ttm.adapt.rate import LearningRate, lr_find, schedule
from harness_ttm.adapt.windows import Augmentation, augment, cut, thinned_hints
from harness_ttm.part import Part, is_rate, parse_part
from harness_ttm.seasons import hints_of
from harness_ttm.train.windows import Windows

__all__ = ["Finetuned", "finetune"]

I64 = NDArray[np.int64]
MODES = "full, finetune, or few-shot:SHARE"
DEFAULT_STEPS = 200
ENOUGH = 64  # validation windows; of fewer series than that several are taken of each, as far as an eighth of it goes
MOST = 8  # of one series
MARGIN = 2.0  # standard errors of the gain: the best of some twenty looks at the same windows is better than it is
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
    held: I64  # [W, 3] validation windows: series, place of the first step ahead, how many lie behind it

    @classmethod
    def of(cls, train: Batch, problem: Problem, validate: bool) -> Series:
        values = np.asarray(train.contexts.values)
        begin, whole = train.contexts.offsets[:-1].copy(), train.contexts.offsets[1:].copy()
        # Steps before the first observed value are no history. Cumulative counts find it without a loop.
        seen = np.concatenate([[0], np.cumsum(np.isfinite(values))])
        places = np.append(np.flatnonzero(np.isfinite(values)), len(values))
        begin = np.minimum(places[seen[begin]], whole)
        length = whole - begin
        horizon = problem.horizon
        kept = np.minimum(horizon, length // 4) if validate else np.zeros_like(length)
        usable = (length - kept >= 2) & (kept >= int(validate))
        begin, whole, kept = begin[usable], whole[usable], kept[usable]
        count = np.minimum(np.clip(ENOUGH // max(len(begin), 1), 1, MOST), (whole - begin) // 8 // horizon)
        kept = np.maximum(kept, count * horizon) if validate else kept
        end = whole - kept
        count = np.maximum(count, 1)
        series = np.repeat(np.arange(len(begin)), count)
        behind = np.repeat(np.cumsum(count), count) - 1 - np.arange(len(series))
        origin = np.maximum(whole[series] - (behind + 1) * horizon, end[series])
        return cls(values, begin, end, whole, max(min(horizon, 64), 8), np.stack([series, origin, behind], axis=1))

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
        history = problem.history(int((self.whole - self.begin).max()))
        y = cut(self.values, begin, at, limit, history, problem.ahead, every)
        if how is not None:
            y = augment(y, history, how, rng)
        return Windows(y, history, thinned_hints(hints, every))

    def newest(self, problem: Problem, hints: I64, numbers: I64) -> Windows:
        """Some of the validation windows."""
        row, at, _ = self.held[numbers].T
        history = problem.history(int((self.whole - self.begin).max()))
        y = cut(self.values, self.begin[row], at, np.minimum(self.whole[row], at + problem.horizon), history, problem.ahead)
        return Windows(y, history, np.broadcast_to(hints, (len(row), len(hints))))


@one_thread()
def finetune(
    model: nn.Module,
    train: Batch,
    budget: str,
    seed: int,
    *,
    mode: str = "finetune",
    part: str = "",
    learning_rate: float | str = "auto",
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
        learning_rate: of AdamW, at its peak; "auto" looks for one by `lr_find`, beyond the steps of the budget.
        batch, patches: windows per step, and future patches per window (fewer where the horizon has fewer).
        augmentation: None changes no window.
        validate: False trains on all to the end of the budget, and returns the last weights.
        validation_windows: it is validated on at most so many windows.
        evaluations, patience: how often it validates within a budget in steps (within one in seconds: every 10 steps), and after how many
            times without a better loss it ends.

    Raises:
        UsageError: a mode, budget, part or learning rate that does not exist.
        Unsupported: mode full, and no series is long enough to learn from.
    """
    begun = time.perf_counter()
    chosen = _checked(mode, part, learning_rate)
    limit = parse_budget(budget)
    steps = limit.steps or (None if limit.seconds else DEFAULT_STEPS)
    problem = problem_of(model, train.horizon, train.freq)
    hints = hints_of(train.freq, train.season_length)
    series = Series.of(train, problem, validate)
    notes: dict[str, float | str] = {"mode": mode, "part": str(chosen), "budget": budget or f"{DEFAULT_STEPS}steps"}
    if not limit.reproducible:
        notes["reproducible"] = "no: the budget is a time"
    if not len(series.begin):
        if mode == "full":
            raise Unsupported("no series is long enough to learn from, and random weights forecast nothing")
        notes |= {"kept": "base", "why": "no series is long enough to learn from", "steps": 0}
        notes["seconds"] = round(time.perf_counter() - begun, 3)
        return Finetuned(copy.deepcopy(model), notes)

    def used(step: int) -> float:
        """Share of the budget."""
        return min(1.0, step / steps if steps else (time.perf_counter() - begun) / (limit.seconds or 1.0))

    device = next(model.parameters()).device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        _reseed(device, seed, 0)
        tuned = copy.deepcopy(model) if mode != "full" else type(model)(model.config).to(device)
        run = Run(tuned, problem, series, hints, seed, batch, patches, augmentation, weight_decay, clip)
        held = run.validation(validation_windows) if validate else []
        if held and not run.judged(held):
            if mode == "full":
                raise Unsupported(
                    "no series has an observed value in its newest horizon to judge a training by; random weights forecast nothing"
                )
            notes |= {"kept": "base", "why": "no validation window has a label", "steps": 0}
            notes["seconds"] = round(time.perf_counter() - begun, 3)
            return Finetuned(copy.deepcopy(model), notes)
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
    base: float = 0.0  # validation loss before the first step
    gain: tuple[float, float] = (0.0, 0.0)  # of the best weights over the base: mean over validation windows, and its standard error
    best: float = 0.0
    best_step: int = 0
    labelled: int = 0  # validation windows with a label
    curve: list[dict[str, float]] = field(default_factory=list)
    groups: I64 = field(default_factory=lambda: np.zeros((0, 2), np.int64))  # [W, 2] of the validation windows: series, windows behind it

    def __post_init__(self) -> None:
        self.device = next(self.model.parameters()).device
        self.problem.levels = self.problem.levels.to(self.device)

    def draw(self, kind: int, step: int) -> Arrays:
        """The batch of a step."""
        rng = np.random.default_rng([_mixed(self.seed, kind), step])
        return self._arrays(self.series.draw(self.problem, self.hints, rng, self.batch, self.augmentation), rng, self.patches)

    def _arrays(self, windows: Windows, rng: np.random.Generator, patches: int) -> Arrays:
        return {name: value.to(self.device) for name, value in self.problem.arrays(windows, rng, patches).items()}

    def validation(self, most: int) -> list[Arrays]:
        """The validation windows, at most so many, 64 at a time."""
        rng = np.random.default_rng(_mixed(self.seed, 4))
        rows = np.sort(rng.permutation(len(self.series.held))[:most])
        self.groups = self.series.held[rows][:, [0, 2]]
        parts = [rows[low : low + 64] for low in range(0, len(rows), 64)]
        return [self._arrays(self.series.newest(self.problem, self.hints, part), rng, 2 * self.patches) for part in parts]

    def judged(self, held: list[Arrays]) -> bool:
        """Whether a validation window has a label."""
        return bool(np.isfinite(_evaluate(self.model, self.problem, held)).any())

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
        before = _evaluate(self.model, self.problem, held)
        self.base, self.labelled = _average(before), int(np.isfinite(before).sum())
        self.best, state, since, total = self.base, _state(self.model), 0, 0.0
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
                    after = _evaluate(self.model, self.problem, held)
                    row["validation"] = _average(after)
                    since += 1
                    if row["validation"] < self.best:
                        self.best, self.best_step, state, since = row["validation"], self.steps, _state(self.model), 0
                        self.gain = _average(before - after), error_of_gain(before - after, self.groups)
                self.curve.append(row)
        if held:
            self.model.load_state_dict(state)

    def facts(self, mode: str, held: list[Arrays]) -> dict[str, float | str]:
        """What became of the training, as notes."""
        better = not held or (self.best_step > 0 and (mode == "full" or self.gain[0] > MARGIN * self.gain[1]))
        out: dict[str, float | str] = {
            "trainable parameters": sum(p.numel() for p in self.model.parameters() if p.requires_grad),
            "steps": self.steps,
            "kept": "tuned" if better else "base",
        }
        if held:
            out |= {
                "validation windows": self.labelled,
                "base validation loss": self.base,
                "best validation loss": self.best,
                "best step": self.best_step,
                "standard error of the gain": self.gain[1],
            }
        if not better:
            out["why"] = f"no step was better than the base on the validation windows by more than {MARGIN:g} standard errors"
        return out


def _evaluate(model: nn.Module, problem: Problem, held: list[Arrays]) -> NDArray[np.float64]:
    """The losses of the validation windows, [W]; NaN of those without a label."""
    model.eval()
    losses = [np.zeros(0)]
    with torch.no_grad():
        for arrays in held:
            each, there = problem.loss(model, arrays)
            losses.append(torch.where(there, each, torch.nan).double().cpu().numpy())
    return np.concatenate(losses)


def _average(losses: NDArray[np.float64]) -> float:
    seen = losses[np.isfinite(losses)]
    return float(seen.mean()) if len(seen) else 0.0


def error_of_gain(gains: NDArray[np.float64], groups: I64) -> float:
    """Of the mean gain: the largest of that over windows and those over the means of groups; infinite for one window.

    Args:
        gains: [W], NaN where there is none.
        groups: [W, 2], by each column the windows are grouped; one that makes a single group says nothing.
    """
    seen = np.isfinite(gains)
    gains, groups = gains[seen], groups[seen]
    if len(gains) < 2:
        return np.inf
    errors = [0.0]
    for labels in (np.arange(len(gains)), *groups.T):
        _, group, count = np.unique(labels, return_inverse=True, return_counts=True)
        if len(count) > 1:
            apart = np.bincount(group, gains - gains.mean())  # sums over groups, which weigh by their size
            errors.append(float(np.sqrt((apart**2).sum() * len(count) / (len(count) - 1)) / len(gains)))
    return max(errors)


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
