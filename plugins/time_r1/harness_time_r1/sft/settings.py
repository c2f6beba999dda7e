"""How a supervised fine-tuning is done, and what is told of it. Nothing heavy is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness import UsageError
from harness.parameters import positive, whole

__all__ = ["MODEL", "NAME", "Report", "Training"]

MODEL, NAME = "time-r1", "time-r1 sft"


@dataclass(frozen=True)
class Training:
    """How it is trained. The paper has epochs 1 and learning rate 5e-5; all else is a choice of ours."""

    epochs: float = 1.0
    steps: int = 0  # instead of epochs, 0 = by epochs
    learning_rate: float = 5e-5  # at its peak; it falls to zero as a cosine
    warmup: float = 0.03  # share of the steps
    rank: int = 8  # of the low-rank factors; 0 trains all weights
    dropout: float = 0.05  # before the factors
    batch: int = 4  # samples at once
    accumulate: int = 1  # batches to a step
    max_length: int = 0  # tokens of a sample, 0 = what the network takes
    validation: float = 0.1  # share of the samples
    every: int = 25  # steps between checkpoints
    seed: int = 0
    dtype: str = "float32"
    recompute: bool = False  # activations are computed again instead of kept: less memory, more time
    merge: bool = False

    def __post_init__(self) -> None:
        """Raises UsageError for a number that makes no sense."""
        positive(NAME, "epochs", self.epochs, 1000)
        positive(NAME, "learning_rate", self.learning_rate, 1)
        for name, least, most in (("steps", 0, 10**7), ("rank", 0, 1024), ("batch", 1, 4096), ("accumulate", 1, 4096), ("every", 1, 10**7)):
            whole(NAME, name, getattr(self, name), least, most)
        whole(NAME, "max_length", self.max_length, 0, 10**7)
        whole(NAME, "seed", self.seed, 0, 2**31 - 1)
        for name in ("warmup", "dropout", "validation"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
                raise UsageError(f"{NAME}: {name} got {value!r}; wanted a number from 0 to below 1")


@dataclass(frozen=True)
class Report:
    """What came of a training."""

    folder: Path
    done: bool  # False: it was stopped; the same goes on
    steps: int
    planned: int
    samples: int  # trained on
    validation: int
    left_out: Mapping[str, int]  # samples, by why
    parameters: int  # that were trained
    losses: Mapping[str, float]  # "first", "last" of the training; "before", "after" of the validation part, where there is one
    seconds: float
    configuration: str  # hash of all that decides the weights
    base: str  # digest of the weights that it started from
    fingerprint: str  # hash of the samples
    adapter: bool  # whether the folder holds low-rank factors alone
    forced: Sequence[str] = ()  # settings that it was gone on with other values of
    curve: Sequence[Mapping[str, float]] = field(default_factory=tuple)
