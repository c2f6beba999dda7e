"""The training loop: the same numbers from one process or several, unbroken or resumed.

Nothing that is drawn depends on what was drawn before: a shard's part of a batch is a function of (seed, step, shard), and torch's
generator is seeded for each of them. So a checkpoint holds weights, optimiser, moving average and curve, and no state of any generator.

Axes: n windows of a shard, F future patches, P steps of a patch, Q quantile levels.
"""

from __future__ import annotations

import contextlib
import copy
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from harness import HarnessError, UsageError
from harness_ttm.forecaster import INPUTS
from harness_ttm.season_head import SeasonTTM
from harness_ttm.train import parallel
from harness_ttm.train.checkpoints import Checkpoints
from harness_ttm.train.curve import Row, best_of, waited, write_csv
from harness_ttm.train.losses import window_loss
from harness_ttm.train.optim import make_optimizer, set_learning_rate
from harness_ttm.train.progress import Progress
from harness_ttm.train.reading import differences
from harness_ttm.train.real import load_corpora
from harness_ttm.train.recipe import Recipe
from harness_ttm.train.schedules import Plateau, learning_rate
from harness_ttm.train.streams import Arrays, Batches
from harness_ttm.train.validate import Validation
from harness_ttm.weights import check_size

__all__ = ["Trainer", "TrainingError", "check_network", "checkpoint_folder"]

FREE = (
    "log", "log_every", "keep", "checkpoint_every", "data.workers", "compile", "validate_every", "validation_windows", "early_stopping",
    "max_skipped",
)  # fmt: skip
"""Keys of a recipe that may differ when a training is resumed: no step follows from them (nearly none, with compile). With early stopping
those of the validation decide which step's weights are taken, and when it ends."""

FIXED = ("model.", "optimizer.name", "optimizer.rules")
"""Keys that nothing can be resumed with when they differ: the state of the optimiser is by parameter."""


class TrainingError(HarnessError):
    """A training cannot go on."""

    exit_code = 3


def checkpoint_folder(folder: Path) -> Path:
    """`NAME-checkpoints` beside a folder: apart, since all files in a folder of weights are part of what they are known by in results."""
    folder = folder if folder.name not in ("", "..") else folder.resolve()
    return folder.with_name(f"{folder.name}-checkpoints")


def check_network(recipe: Recipe) -> None:
    """Refuse a network that is too large to be meant, and one that cannot be compiled here.

    Raises:
        UsageError: says how many parameters it would have, or what is missing.
    """
    try:
        check_size(recipe.model, SeasonTTM)
    except ValueError as error:
        raise UsageError(f"model: {error}") from None
    compiler = os.environ.get("CXX", "g++")
    if recipe.compile and shutil.which(compiler) is None:
        raise UsageError(f"compile is on, and torch.compile needs the compiler {compiler}, which is not here; --set compile=false")


@dataclass
class Trainer:
    """One process of a training.

    Args:
        recipe: what to do.
        folder: where the curve goes; checkpoints go beside it, into `checkpoint_folder(folder)`.
        rank, world: which process of how many; each takes every world-th shard. Only rank 0 writes.
    """

    recipe: Recipe
    folder: Path
    device: str = "cpu"
    rank: int = 0
    world: int = 1
    progress: Progress = field(default_factory=Progress)
    curve: list[Row] = field(default_factory=list)
    listeners: tuple[Callable[[Row], None], ...] = ()  # told each row, beside the progress
    stop: bool = False  # set to end after the step that is being done
    step: int = 0
    seconds: float = 0.0  # of training, over all sittings
    skipped: int = 0  # steps whose gradients were not finite
    in_a_row: int = 0
    mixed: tuple[str, ...] = ()  # keys whose values were others in an earlier sitting, from which weights follow: it was forced on
    since: dict[str, float] = field(default_factory=lambda: {"steps": 0, "loss": 0.0})  # the newest row of the curve

    def __post_init__(self) -> None:
        recipe = self.recipe
        check_network(recipe)
        torch.manual_seed(recipe.seed)
        self.model = SeasonTTM(recipe.model).to(self.device)
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.optimizer = make_optimizer(self.model, recipe.optimizer)
        self.shards = list(range(self.rank, recipe.data.shards, self.world))
        self.corpora = load_corpora(recipe.data.real)
        self.batches = Batches(recipe, self.shards, self.corpora)
        self.levels = torch.tensor(recipe.model.quantile_levels, device=self.device)
        self.forward: Callable[..., Tensor] = torch.compile(self.model) if recipe.compile else self.model
        self.kind = self.device.partition(":")[0]
        self.scaler = torch.amp.GradScaler(self.kind, enabled=recipe.precision == "float16")
        self.plateau = Plateau(recipe.schedule)
        self.rate = recipe.optimizer.learning_rate
        self.checkpoints = Checkpoints(checkpoint_folder(self.folder), recipe.keep, self.progress.message)
        self.validation: Validation | None = None

    def loss(self, arrays: Arrays) -> Tensor:
        """The loss of a shard's part of the batch, a share of the whole batch's mean."""
        arrays = {k: v.to(self.device, non_blocking=True) for k, v in arrays.items()}
        precision = self.recipe.precision
        half = contextlib.nullcontext() if precision == "float32" else torch.autocast(self.kind, getattr(torch, precision))
        with half:
            out = self.forward(*(arrays[k] for k in INPUTS))
        each = window_loss(self.recipe.loss, out.float(), arrays["target"], arrays["target_mask"], self.levels, arrays["weight"])
        return each.sum() / self.recipe.batch

    def train(self) -> str:
        """Train from `step` to the last step; "done", "early" (stopped by the validation) or "interrupted".

        Raises:
            TrainingError: gradients were not finite for `max_skipped` steps in a row.
            CheckpointError: a checkpoint could not be written.
        """
        recipe = self.recipe
        batches = self.batches.ahead(self.step, pin=self.kind == "cuda")
        begun, timed, entered, before = time.perf_counter(), 0, time.perf_counter(), self.seconds
        self.progress.begin(self.step, recipe.steps, recipe.batch)
        end = self._end()
        if end and recipe.validate_every and best_of(self.curve) is None:
            self._validate()  # a checkpoint of the end, from a training that did not
        while not end:
            value, stopping = self.one_step(batches)
            timed += 1
            self.seconds = before + time.perf_counter() - entered
            self.progress.advance(self.step, value)
            if self.step % recipe.log_every == 0 or self.step == recipe.steps:
                self._log(timed * recipe.batch / (time.perf_counter() - begun))
                begun, timed = time.perf_counter(), 0
            if recipe.validate_every and (self.step % recipe.validate_every == 0 or self.step == recipe.steps):
                pause = time.perf_counter()
                self._validate()
                begun += time.perf_counter() - pause  # the speed is that of training alone
            end = self._end() or ("interrupted" if stopping else "")
            if self.rank == 0 and (self.step % recipe.checkpoint_every == 0 or end):
                self.checkpoint()
        return end

    def _end(self) -> str:
        if self.recipe.early_stopping and waited(self.curve) >= self.recipe.early_stopping:
            return "early"
        return "done" if self.step >= self.recipe.steps else ""

    def one_step(self, batches: Iterator[Arrays]) -> tuple[float, bool]:
        """One step of the optimiser; returns the loss, and whether some process was asked to stop."""
        recipe = self.recipe
        self.model.train()
        self.optimizer.zero_grad(set_to_none=True)
        value = 0.0
        for shard in self.shards:
            torch.manual_seed(recipe.seed * 1_000_003 + self.step * 64 + shard)
            loss = self.loss(next(batches))
            self.scaler.scale(loss).backward()
            value += float(loss.detach())
        value, stopping = self.reduce(value)
        self.scaler.unscale_(self.optimizer)
        norm = float(nn.utils.clip_grad_norm_(self.model.parameters(), recipe.optimizer.clip))
        finite = math.isfinite(norm)
        if finite:
            self.rate = recipe.optimizer.learning_rate * learning_rate(self.step, recipe.steps, recipe.schedule) * self.plateau.share
            set_learning_rate(self.optimizer, self.rate)
            self.since["steps"] += 1
            self.since["loss"] += value
        if finite or self.scaler.is_enabled():
            self.scaler.step(self.optimizer)  # with float16 it looks for itself whether the gradients are finite
            self.scaler.update()
        self.step += 1
        self._move_average()
        self._count(finite)
        return value, stopping

    def reduce(self, value: float) -> tuple[float, bool]:
        """Sum gradients and the loss over processes; say whether any of them was asked to stop."""
        if self.world == 1:
            return value, self.stop
        value, stopping = parallel.sum_gradients(self.model.parameters(), value, float(self.stop))
        return value, stopping > 0

    def _move_average(self) -> None:
        keep = min(self.recipe.ema, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for name, tensor in self.model.state_dict().items():
                if tensor.is_floating_point():
                    self.average[name].lerp_(tensor, 1 - keep)
                else:
                    self.average[name].copy_(tensor)

    def _count(self, finite: bool) -> None:
        """Count steps that were skipped; too many in a row end the training."""
        self.in_a_row = 0 if finite else self.in_a_row + 1
        self.skipped += not finite
        if self.in_a_row >= self.recipe.max_skipped:
            rate = self.recipe.optimizer.learning_rate
            raise TrainingError(
                f"gradients were not finite for {self.in_a_row} steps in a row, up to step {self.step}; the newest checkpoint"
                f" is good. With --fresh, try a lower peak, as in --set optimizer.learning_rate={rate / 4:g} (now {rate:g}), a longer"
                " schedule.warmup, or precision=float32"
            )

    def _log(self, rate: float) -> None:
        steps = self.since["steps"]
        row: Row = {"step": self.step, "loss": self.since["loss"] / steps if steps else math.nan, "lr": self.rate, "windows_per_s": rate}
        if self.skipped:
            row["skipped"] = self.skipped
        self.curve.append(row)
        self.since = {"steps": 0, "loss": 0.0}
        self._tell(row)

    def _tell(self, row: Row) -> None:
        for listener in (self.progress.row, *self.listeners):
            listener(row)

    def averaged(self) -> SeasonTTM:
        """A copy of the network with the averaged weights, in evaluation mode."""
        model = copy.deepcopy(self.model)
        model.load_state_dict(self.average)
        return model.eval()

    def _validate(self) -> None:
        """Score the averaged weights on rank 0, tell the others, and keep them if they are the best so far."""
        scores: Row = {}
        if self.rank == 0:
            self.validation = self.validation or Validation(self.recipe)
            scores = self.validation.scores(self.averaged(), self.levels)
        scores = parallel.agree(scores, self.world)
        if self.curve and self.curve[-1]["step"] == self.step:
            self.curve[-1].update(scores)
        else:
            self.curve.append({"step": self.step, **scores})
        self.plateau.validated(scores["val_mixture"])
        self._tell({"step": self.step, **scores})
        if self.rank == 0 and best_of(self.curve) is self.curve[-1]:
            self.checkpoints.write_best({"step": self.step, "average": self.average, "scores": scores})

    def checkpoint(self) -> None:
        """Write a checkpoint whole, then remove the oldest; and the curve."""
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average,
            "optimizer": self.optimizer.state_dict(),
            "curve": self.curve,
            "recipe": self.recipe.to_dict(),
            "scaler": self.scaler.state_dict(),
            "plateau": self.plateau.state(),
            "mixed": list(self.mixed),
            "counts": {"seconds": self.seconds, "skipped": self.skipped, "in_a_row": self.in_a_row, "since": self.since},
        }
        self.checkpoints.write(self.step, state)
        write_csv(self.folder / "curve.csv", self.curve)

    def resume(self, force: bool = False) -> bool:
        """Take up the newest checkpoint that can be read; False where there is none.

        Args:
            force: take it also where its recipe differs in what weights follow from.

        Raises:
            UsageError: the recipe differs; says in what.
        """
        found = self.checkpoints.newest(self.device) if self.rank == 0 else None
        name = parallel.agree(found and found[0].name, self.world)
        if name is None:
            return False
        state: dict[str, Any] = found[1] if found else self.checkpoints.load(name, self.device)
        free = [key for key in FREE if self.recipe.schedule.name != "plateau" or not key.startswith("validat")]
        mine = self.recipe.to_dict()
        other = [key for key in differences(state.get("recipe", mine), mine) if key not in free]
        stale = f"{self.checkpoints.folder / name} was made with other values of {', '.join(other)}"
        if other and not force:
            raise UsageError(f"{stale}; wanted the same recipe, --fresh to start again, or --resume to go on from it all the same")
        if any(key.startswith(FIXED) for key in other):
            raise UsageError(f"{stale}; the network, the kind of optimizer and its rules stay as they were: --fresh starts again")
        self._take_up(state, stale)
        self.mixed = tuple(sorted({*state.get("mixed", ()), *other}))
        return True

    def _take_up(self, state: dict[str, Any], stale: str) -> None:
        """Everything that a checkpoint holds; what the recipe says of the optimiser goes before what it was."""
        said = [{key: value for key, value in group.items() if key != "params"} for group in self.optimizer.param_groups]
        try:
            self.model.load_state_dict(state["model"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise UsageError(f"{stale}, which does not fit: {str(error).splitlines()[0]}; --fresh starts again") from None
        for group, own in zip(self.optimizer.param_groups, said, strict=True):
            group.update(own)
        self.average = state["average"]
        self.step, self.curve = state["step"], state["curve"]
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.plateau.load(state["plateau"])
        counts = state["counts"]
        self.seconds, self.skipped, self.in_a_row, self.since = (counts[k] for k in ("seconds", "skipped", "in_a_row", "since"))
