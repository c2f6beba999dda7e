"""How GRIP trains: every number that decides what is learnt, checked before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from harness import UsageError
from harness.errors import suggest
from harness.parameters import choice, whole
from harness_time_r1.grip.rewards import VARIANTS
from harness_time_r1.grip.sampling import SAMPLINGS

__all__ = ["GripSettings", "changed"]

NAME = "grip"


@dataclass(frozen=True)
class GripSettings:
    """The paper's values where it names one (arXiv 2506.10630); docs/time-r1-training.md says where it does not."""

    steps: int = 500  # of the optimiser
    prompts: int = 1  # to a step; the paper's batch of 16 are the kept answers of one
    group: int = 16  # G, answers kept of each prompt
    oversample: int = 3  # k: k·G are drawn
    sampling: str = "cluster"  # "cluster" | "local" | "uniform"
    clusters: int = 4  # of "cluster"; with one for each kept answer, the good answers that are alike are hardly ever learnt from
    weighting: bool = True  # softmax weights; without, each kept answer counts alike
    variant: str = "bounded"  # of the rewards
    tolerance: int = 1  # steps by which a change point may be off
    learning_rate: float = 1e-6
    epsilon: float = 0.2  # of the clipping
    beta: float = 0.04  # of the distance to the reference
    temperature: float = 1.0
    max_completion: int = 3000  # tokens of an answer
    iterations: int = 1  # steps on each set of answers
    micro_batch: int = 4  # answers in one backward pass; changes memory and rounding, nothing else
    draw_batch: int = 48  # answers drawn at once; changes which are drawn
    rank: int = 8  # of LoRA; 0 = all weights are trained
    gradient_checkpointing: bool = False  # less memory, a third more time
    every: int = 50  # steps between checkpoints, each with a validation where there are windows for one
    keep: int = 3  # best checkpoints that stay, beside the newest
    validation_answers: int = 2  # to each window
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what makes no sense.

        Raises:
            UsageError: says which, what it got, what was wanted.
        """
        most = 1_000_000
        for name, low in (
            *((name, 1) for name in ("steps", "prompts", "oversample", "max_completion", "iterations", "micro_batch", "draw_batch")),
            *((name, 1) for name in ("every", "keep", "validation_answers", "clusters")),
            *((name, 0) for name in ("tolerance", "rank")),
        ):
            whole(NAME, name, getattr(self, name), low, most)
        whole(NAME, "group", self.group, 2, 4096)
        whole(NAME, "seed", self.seed, 0, 2**31 - 1)
        choice(NAME, "sampling", self.sampling, SAMPLINGS)
        choice(NAME, "variant", self.variant, VARIANTS)
        for name, top in (("learning_rate", 1.0), ("epsilon", 1.0), ("temperature", 10.0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= top:
                raise UsageError(f"{NAME}: {name} got {value!r}; wanted a number above 0, at most {top:g}")
        if isinstance(self.beta, bool) or not isinstance(self.beta, int | float) or not 0 <= self.beta <= 100:
            raise UsageError(f"{NAME}: beta got {self.beta!r}; wanted a number from 0 to 100")
        if self.prompts * self.group % self.micro_batch:
            raise UsageError(
                f"{NAME}: micro_batch got {self.micro_batch}; wanted a divisor of the {self.prompts * self.group} answers of a step "
                "(prompts × group)"
            )
        if self.steps % self.iterations or self.every % self.iterations:
            raise UsageError(
                f"{NAME}: got steps {self.steps} and every {self.every} with iterations {self.iterations}; wanted multiples of it: "
                "a checkpoint lies between two sets of answers"
            )

    def decides(self) -> dict[str, Any]:
        """What a training must have in common with a checkpoint to go on from it: all but how long, and how often it is saved."""
        free = ("steps", "every", "keep", "validation_answers", "gradient_checkpointing")
        return {name: value for name, value in asdict(self).items() if name not in free}


def changed(changes: Sequence[str], given: Mapping[str, Any]) -> GripSettings:
    """The settings with those that are given, and texts NAME=VALUE, which come last.

    Raises:
        UsageError: a text of another form, a name that there is not, a value of another kind.

    >>> changed(["group=8", "beta=0.1", "weighting=false"], {"steps": 20}).group
    8
    """
    kinds = {f.name: str(f.type) for f in fields(GripSettings)}
    values = dict(given)
    for text in changes:
        name, sign, value = text.partition("=")
        if not sign or name not in kinds:
            raise UsageError(f"got --set {text}; wanted NAME=VALUE with one of {', '.join(kinds)}.{suggest(name, kinds)}")
        try:
            values[name] = READ[kinds[name]](value)
        except ValueError:
            wanted = {"int": "a whole number", "float": "a number", "bool": "true or false"}[kinds[name]]
            raise UsageError(f"got --set {text}; wanted {wanted}") from None
    return GripSettings(**values)


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


READ: Mapping[str, Callable[[str], Any]] = {"int": int, "float": float, "str": str, "bool": _truth}
