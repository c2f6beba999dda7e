"""What a user may set, and what is taken where nothing is set. Imports nothing heavy."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from harness import UsageError
from harness.forecast import I64
from harness.frequency import split
from harness.parameters import check_device, choice, positive, whole

__all__ = ["MAX_CONTEXT", "Settings", "Shape", "cycle", "shape_for"]

NAME = "patchtst"
MAX_CONTEXT = 4096
"""Steps of a context that travel to the model."""
USUAL_CONTEXT = 512
"""The longest context that is taken where none is set: the paper's longer one."""
PATCHES = 32
"""About so many patches are made of a context where no patch length is set: the work grows with them."""
STEPS = 2000
STEPS_FROM_WEIGHTS = 500
RATE = 1e-3
RATE_FROM_WEIGHTS = 1e-4
DISTRIBUTIONS = ("student_t", "normal", "negative_binomial")
CYCLES = {"D": 7, "B": 5, "W": 52, "M": 12, "Q": 4}
"""Steps of the cycle that series of a frequency usually have. The season of a protocol is 1 for days and weeks, whose cycles these are."""


@dataclass(frozen=True)
class Settings:
    """The parameters of the model; None takes what suits the task, or what the weights say. `PatchTST` describes them."""

    weights: str | None = None
    context_length: int | None = None
    patch_length: int | None = None
    patch_stride: int | None = None
    d_model: int | None = None
    layers: int | None = None
    heads: int | None = None
    dropout: float | None = None
    learning_rate: float | None = None
    batch_size: int = 64
    max_steps: int | None = None
    patience: int = 10
    distribution: str | None = None
    nonnegative: bool | None = None
    device: str = "cpu"

    def __post_init__(self) -> None:
        """Refuse values that make no sense.

        Raises:
            UsageError: says which, what was got, what was wanted.
        """
        if self.weights is not None and not isinstance(self.weights, str):
            _refuse("weights", self.weights, "the path of a folder with config.json and model.safetensors")
        for name, least in (("patch_length", 2), ("patch_stride", 1), ("d_model", 2), ("layers", 1), ("heads", 1), ("max_steps", 1)):
            value = getattr(self, name)
            if value is not None:
                whole(NAME, name, value, least)
        for name in ("batch_size", "patience"):
            whole(NAME, name, getattr(self, name))
        if self.context_length is not None:
            whole(NAME, "context_length", self.context_length, 3, MAX_CONTEXT)
        if self.dropout is not None and not (_number(self.dropout) and 0 <= self.dropout < 1):
            _refuse("dropout", self.dropout, "a number from 0 up to 1, without 1 itself")
        if self.learning_rate is not None:
            positive(NAME, "learning_rate", self.learning_rate, 1)
        if self.distribution is not None:
            choice(NAME, "distribution", self.distribution, DISTRIBUTIONS)
        if self.nonnegative is not None and not isinstance(self.nonnegative, bool):
            _refuse("nonnegative", self.nonnegative, "true, false, or nothing for what the training values say")
        check_device(NAME, self.device)
        self._agree()

    def _agree(self) -> None:
        """Refuse values that do not go together."""
        d_model, heads = self.d_model or 64, self.heads or 4
        if self.weights is None and (d_model % heads or d_model % 2):
            raise UsageError(f"patchtst: d_model got {d_model} with {heads} heads; wanted an even multiple of the number of heads")
        if self.context_length and self.patch_length and self.context_length <= self.patch_length:
            raise UsageError(
                f"patchtst: context_length got {self.context_length} with a patch_length of {self.patch_length}; wanted a context longer "
                f"than a patch"
            )
        if self.patch_stride and self.patch_length and self.patch_stride > self.patch_length:
            raise UsageError(
                f"patchtst: patch_stride got {self.patch_stride} with a patch_length of {self.patch_length}; wanted one that leaves no "
                f"step out"
            )


def _refuse(name: str, value: Any, wanted: str) -> NoReturn:
    raise UsageError(f"patchtst: {name} got {value!r}; wanted {wanted}")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


@dataclass(frozen=True)
class Shape:
    """What the network sees of a series, in steps: `context` newest values, cut into patches of `patch` values every `stride`."""

    context: int
    patch: int
    stride: int


def cycle(freq: str, season_length: int) -> int:
    """Steps of the longest cycle that one should see several of: a week of hours or days, a year of weeks, months or quarters.

    >>> cycle("H", 24), cycle("D", 1), cycle("15T", 96), cycle("A", 1)
    (168, 7, 96, 1)
    """
    multiple, base = split(freq)
    usual = 7 * season_length if base == "H" else CYCLES.get(base, 1) // multiple
    return max(usual, season_length, 1)


def shape_for(settings: Settings, freq: str, season_length: int, horizon: int, lengths: I64) -> Shape:
    """What is set, and for the rest: four cycles or four horizons of context, 512 steps at most, and no more than the median series has.

    Args:
        lengths: int64 [N], steps of the training series; half of them fill the context.

    Raises:
        UsageError: the set stride is as long as the context that follows from the data.
    """
    context = settings.context_length
    if context is None:
        wanted = min(max(4 * cycle(freq, season_length), 4 * horizon, 32), USUAL_CONTEXT)
        context = max(min(wanted, int(np.median(lengths))), 8)
        if settings.patch_length:
            context = max(context, 2 * settings.patch_length)
    stride = settings.patch_stride
    if stride is None:
        usual = max(2, 2 ** math.ceil(math.log2(context / PATCHES)))
        stride = max(1, settings.patch_length // 2) if settings.patch_length else usual
    patch = settings.patch_length or min(max(stride, min(2 * stride, 16)), context - 1)
    if settings.patch_stride is None:
        stride = min(stride, patch)
    if stride > patch:
        raise UsageError(f"patchtst: patch_stride got {stride}, and a context of {context} has no patch as long; set a smaller one")
    if settings.context_length is None:
        # The library leaves out the oldest steps that do not fill a patch.
        context = min(patch + stride * math.ceil((context - patch) / stride), MAX_CONTEXT)
    return Shape(context, patch, stride)
