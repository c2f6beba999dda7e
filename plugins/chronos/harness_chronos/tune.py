"""Fine-tuning of Chronos-2 by the library, on the training part of a task, and whether it was worth it. Imports chronos and torch.

Axes: W held-out windows, V variates, C covariates, L steps of an item, Q quantile levels, h steps ahead.

- The newest steps of each item are held out by `harness.holdout`. No training window reaches into them.
- The tuned weights are taken only where their gain on the held-out windows, in quantile loss, passes `harness.holdout.Gate`. Else the
  weights are those before, and the notes say so.
- Random numbers come from the seed, on one thread, and the global streams are as before. A budget in time gives other weights on another
  machine; its learning rate is constant, while one in steps falls to zero.
- The library trains a copy. What it writes goes to a folder that is gone afterwards. Low-rank factors are merged into the weights.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from transformers.trainer_callback import TrainerCallback

from harness import Batch, Unsupported, UsageError
from harness.budget import Budget, parse_budget
from harness.forecast import F64
from harness.holdout import Gate, HoldOut
from harness.threads import one_thread
from harness_chronos.items import Item, parts_of, prepared
from harness_chronos.load import quiet
from harness_chronos.settings import ADVICE

if TYPE_CHECKING:
    from harness_chronos.chronos2 import Chronos2

__all__ = ["tune"]

MOST_HELD = 256
ENDLESS = 10**6
"""Steps of a training that a time ends."""
LAYERS = [
    "self_attention.q",
    "self_attention.v",
    "self_attention.k",
    "self_attention.o",
    "output_patch_embedding.output_layer",
]
"""Where the library puts low-rank factors."""


@dataclass(frozen=True, eq=False)
class Series:
    """The history [V + C, L] of an item, which is trained on up to the step `end`."""

    item: Item
    past: Tensor
    end: int

    @property
    def train(self) -> Tensor:
        return self.past[:, : self.end]


@one_thread()
def tune(model: Chronos2, train: Batch, budget: str, seed: int, mode: str) -> tuple[Any, dict[str, object]]:
    """The pipeline to forecast with, and what is to be noted.

    Args:
        model: stays as it is.
        train: each series up to its first cutoff.
        budget: steps or a time; "" is the model's `max_steps`.
        mode: for the notes.

    Raises:
        UsageError: a budget that is none, or low-rank factors without peft.
        Unsupported: weights that are not single precision, or a GPU that is not the first.
    """
    limit, how, pipeline = parse_budget(budget), model.training, model.pipeline
    if pipeline.model.dtype != torch.float32:
        raise Unsupported(f"{model.name} is trained in float32, and dtype={str(pipeline.model.dtype).partition('.')[2]} was asked for")
    if pipeline.model.device.index:
        raise Unsupported(f"{model.name} is trained on the first GPU, and device={pipeline.model.device} was asked for")
    begun = time.monotonic()
    notes: dict[str, object] = {"mode": mode, "trained": how.adapter or "all weights", "learning rate": how.learning_rate}
    if not limit.reproducible:
        notes["reproducible"] = "no: the budget is a time"
    series, held = _series(model, train)
    held = held.some(MOST_HELD, np.random.default_rng(seed))
    learning = [series[k] for k in np.flatnonzero(held.end < held.whole)]
    half = int(np.median([each.end for each in learning])) // 2 if learning else 0
    ahead = min(train.horizon, pipeline.model_prediction_length, half)
    if ahead < 1:
        return pipeline, notes | {"kept": "base", "why": "no series is long enough to learn from", "steps": 0}
    gate = Gate(_losses(model, pipeline, series, held), held.groups)
    if gate.windows < 2:
        return pipeline, notes | gate.verdict().notes | {"steps": 0}
    with _seeded(seed, pipeline.model.device):
        tuned, steps = _fit(model, [each for each in learning if each.end >= 2 * ahead], ahead, limit, seed, begun)
    gate.look(_losses(model, tuned, series, held))
    verdict = gate.verdict()
    notes |= {"steps": steps, "series": len(learning), **verdict.notes, "seconds": round(time.monotonic() - begun, 3)}
    return tuned if verdict.kept else pipeline, notes


def _series(model: Chronos2, train: Batch) -> tuple[list[Series], HoldOut]:
    """The items of a training part, and what is held out of them; places are steps of an item."""
    parts = parts_of(train, None, model.covariates)
    items = list(parts.items(model.joint))
    length = np.array([int(parts.target.lengths[item.windows].max()) for item in items], np.int64)
    held = HoldOut.of(np.zeros_like(length), length, train.horizon)
    series = []
    for item, first, end in zip(items, length.tolist(), held.end.tolist(), strict=True):
        past = parts.context(item)
        series.append(Series(item, past[:, past.shape[1] - first :], end))  # covariates may begin earlier
    return series, held


def _losses(model: Chronos2, pipeline: Any, series: Sequence[Series], held: HoldOut) -> F64:
    """The mean quantile loss of each held-out window [W], in units of the spread of its context; NaN where it has no label."""
    levels = np.array(pipeline.quantiles)[:, None]  # [Q, 1]
    losses = np.full(len(held), np.nan)
    for at, (k, cut, end) in enumerate(zip(held.series.tolist(), held.origin.tolist(), held.limit.tolist(), strict=True)):
        each, h = series[k], end - cut
        variates = len(each.item.windows)
        context, label = each.past[:, max(0, cut - model.context) : cut], each.past[:variates, cut:end].numpy()
        seen = torch.isfinite(context[:variates]).any(dim=1).numpy()  # [V]
        if not seen.all() or not np.isfinite(label).any():
            continue  # a variate that begins later: the library would make up a scale for it
        future = torch.full((each.item.size, h), torch.nan)
        for row in range(each.item.size - len(each.item.known), each.item.size):
            future[row] = each.past[row, cut:end]
        with torch.random.fork_rng(devices=[]):
            q = pipeline.predict([prepared(context, future, each.item)], h, batch_size=each.item.size)[0].numpy()  # [V, Q, h]
        spread = np.nanstd(context[:variates].double().numpy(), axis=1)
        size = np.nanmax(np.abs(context[:variates].double().numpy()), axis=1)
        unit = np.where(spread > 1e-6 * size, spread, np.where(size > 0, size, 1.0))  # [V]
        gap = (label[:, None] - q.astype(np.float64)) / unit[:, None, None]  # [V, Q, h]
        there = np.isfinite(label)[:, None] & np.ones_like(levels, np.bool_)
        losses[at] = np.mean((2 * np.maximum(levels * gap, (levels - 1) * gap))[there]) if np.isfinite(q).all() else np.inf
    return losses


class Watch(TrainerCallback):
    """Counts steps, and ends a training once its time is over."""

    def __init__(self, deadline: float | None) -> None:
        self.deadline, self.steps = deadline, 0

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002 - the library's names
        self.steps = int(state.global_step)
        if self.deadline is not None and time.monotonic() >= self.deadline:
            control.should_training_stop = True


def _fit(model: Chronos2, series: Sequence[Series], ahead: int, limit: Budget, seed: int, begun: float) -> tuple[Any, int]:
    """A tuned pipeline and the steps that it took."""
    how, pipeline = model.training, model.pipeline
    inputs = [prepared(each.train, torch.full((each.item.size, ahead), torch.nan), each.item) for each in series]
    watch = Watch(None if limit.seconds is None else begun + limit.seconds)
    options: dict[str, Any] = {}
    if how.rank is not None:
        options["finetune_mode"] = "lora"
        try:
            import peft  # noqa: F401 - the library would train all weights instead
        except ImportError as error:
            raise UsageError(f"{model.name}: adapter={how.adapter} needs the package peft: pip install 'harness-chronos[lora]'") from error
        if how.rank:
            options["lora_config"] = {"r": how.rank, "lora_alpha": 2 * how.rank, "target_modules": list(LAYERS)}
    if limit.seconds is not None:
        options["lr_scheduler_type"] = "constant"
    with quiet(), tempfile.TemporaryDirectory(prefix="harness-chronos-") as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=ADVICE, category=UserWarning)
        # A choice of the user, where there is a GPU as well.
        warnings.filterwarnings("ignore", message="The model is being fine-tuned on the CPU", category=UserWarning)
        # peft asks transformers by a name that is going out of use.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        tuned = pipeline.fit(
            inputs,
            ahead,
            context_length=model.context,
            learning_rate=how.learning_rate,
            num_steps=ENDLESS if limit.seconds is not None else limit.steps or how.max_steps,
            batch_size=how.batch_size,
            output_dir=folder,
            callbacks=[watch],
            remove_printer_callback=True,
            disable_tqdm=True,
            logging_strategy="no",
            dataloader_pin_memory=pipeline.model.device.type == "cuda",
            seed=seed % 2**32,
            **options,
        )
    if how.rank is not None:
        tuned = type(pipeline)(model=tuned.model.merge_and_unload())
        tuned.model.requires_grad_(True)  # frozen weights are multiplied in another way: the saved ones would give other last digits
    tuned.model.eval()  # the library leaves it as it was trained: with dropout
    return tuned, watch.steps


@contextlib.contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from the global streams of Python, numpy and torch by a seed, and leave them as they were."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the library draws from it
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002
        torch.manual_seed(seed % 2**63)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002
