"""A training recipe: what a YAML file may say. Every number of a training follows from it; `reading` reads it and `checks` checks it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from harness import UsageError
from harness_ttm.config import TTMConfig
from harness_ttm.train.windows import Augment

__all__ = ["VALIDATION_SEED", "Data", "Loss", "Optimizer", "Real", "Recipe", "Rule", "Schedule"]

VALIDATION_SEED = 999_983
"""Of the series of the validation. A shard takes the seed 1000 · seed + shard, so no training has these."""


@dataclass(frozen=True)
class Real:
    """Series of your own among the made ones."""

    path: str  # a .tsf file, a folder in the layout of GIFT-Eval, or a folder that holds such
    share: float = 0.1  # of the windows


@dataclass(frozen=True)
class Data:
    """Where training windows come from."""

    length: int = 3584  # steps of a made series
    history: int = 2560  # L, steps of history a window has at most
    chunk: int = 1024  # series made at a time
    chunks: int = 8  # held at once
    steps_per_chunk: int = 64  # training steps after which the oldest chunk is replaced
    shards: int = 2  # independent streams that share a batch; a process takes one or more
    weights: dict[str, float] | None = None  # of the generator families; None is the default mixture
    augment: Augment = field(default_factory=Augment)
    real: tuple[Real, ...] = ()
    workers: int = 0  # processes that make batches ahead, per training process; 0 makes them in between


@dataclass(frozen=True)
class Rule:
    """What differs for the parameters whose name the pattern matches; of several rules the last that matches counts."""

    match: str  # regular expression, looked for anywhere in the name: "^backbone", "norm"
    learning_rate: float = 1.0  # times that of the others
    weight_decay: float | None = None  # None: as without the rule; never of biases and norms
    frozen: bool = False  # not trained


@dataclass(frozen=True)
class Optimizer:
    """AdamW, Adam or SGD. Biases and norms (all parameters of one axis) have no weight decay."""

    name: str = "adamw"  # adamw, adam, sgd
    learning_rate: float = 2e-3  # its peak
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)  # of adamw and adam
    momentum: float = 0.9  # of sgd
    clip: float = 1.0  # largest norm of all gradients together
    rules: tuple[Rule, ...] = ()


@dataclass(frozen=True)
class Schedule:
    """Learning rate over the steps, as a share of the peak."""

    name: str = "wsd"  # wsd, cosine, restarts, one_cycle, plateau, constant
    warmup: float = 0.02  # share of the steps, or their number from 1 on
    decay: float = 0.35  # wsd: share of the steps, at the end
    floor: float = 0.0  # lowest share that wsd, cosine, restarts and plateau fall to
    cycle: float = 0.1  # restarts: length of the first cycle, share of the steps or their number from 1 on
    growth: int = 2  # restarts: each cycle is so many times as long as the one before
    factor: float = 0.5  # plateau: what the rate is multiplied by
    patience: int = 3  # plateau: validations in a row without a better loss that are put up with


@dataclass(frozen=True)
class Loss:
    """Loss of the scaled values, over observed labels. A point loss is that of the median: the other levels then stay untrained."""

    name: str = "quantile"  # quantile, mse, mae, huber, mase
    balance: float = 0.0  # windows weigh 1 / (mean seasonal error + balance); 0 weighs all alike
    delta: float = 1.0  # huber: where it turns from square to straight


@dataclass(frozen=True)
class Recipe:
    """All of a training."""

    model: TTMConfig
    seed: int = 0
    steps: int = 1000
    batch: int = 256  # windows per step, over all shards
    patches: int = 4  # future patches per window
    data: Data = field(default_factory=Data)
    optimizer: Optimizer = field(default_factory=Optimizer)
    schedule: Schedule = field(default_factory=Schedule)
    loss: Loss = field(default_factory=Loss)
    ema: float = 0.999  # of the moving average of the weights, which is what is saved
    precision: str = "float32"  # or bfloat16, float16: of the network's products
    compile: bool = False  # pays from five minutes on
    max_skipped: int = 20  # steps in a row with gradients that are not finite, after which the training stops
    log: str = "csv"  # always; and tensorboard, mlflow, wandb, one or several with commas
    log_every: int = 50
    checkpoint_every: int = 500
    keep: int = 2  # newest checkpoints
    validate_every: int = 1000  # 0: never
    validation_windows: int = 1024  # of each set
    early_stopping: int = 0  # validations in a row without a better loss, after which the training ends with the best weights; 0: off

    @classmethod
    def load(cls, path: Path, changes: Sequence[str] = ()) -> Recipe:
        """Read a YAML file; `changes` are texts such as "data.shards=4".

        Raises:
            UsageError: no such file, an unknown key (a near one is named), a wrong type, or values that do not fit together.
        """
        from harness_ttm.train.checks import check
        from harness_ttm.train.reading import changed, read, read_yaml

        try:
            recipe = cast(Recipe, read(cls, changed(read_yaml(path), changes), ""))
        except RecursionError:  # an anchor that holds itself
            raise UsageError(f"-C {path}: keys are nested without end; wanted those of a recipe") from None
        check(recipe)
        return recipe

    def to_dict(self) -> dict[str, Any]:
        """What `load` reads back, all defaults spelt out."""
        from harness_ttm.train.reading import plain

        return cast(dict[str, Any], plain(self))
