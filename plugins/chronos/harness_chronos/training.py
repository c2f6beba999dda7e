"""How Chronos-2 is fine-tuned: the settings, and what they may be. Needs no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness import UsageError
from harness.parameters import positive, whole

__all__ = ["Training", "training_of"]

RATES = {"": 1e-6, "lora": 1e-5}
"""What the library recommends."""
STEPS, BATCH_SIZE = 200, 32


@dataclass(frozen=True)
class Training:
    """`rank` is None where all weights are trained, 0 for the library's own choice of low-rank factors."""

    rank: int | None = None
    learning_rate: float = RATES[""]
    max_steps: int = STEPS
    batch_size: int = BATCH_SIZE

    @property
    def adapter(self) -> str:
        return "" if self.rank is None else "lora" if not self.rank else f"lora:{self.rank}"


def training_of(model: str, adapter: object, learning_rate: object, max_steps: object, batch_size: object) -> Training:
    """Read the parameters of a training.

    Args:
        model: its name, for what is said.
        adapter: "" trains all weights, "lora" or "lora:RANK" low-rank factors beside them.
        learning_rate, max_steps, batch_size: None is the default.

    Raises:
        UsageError: one that makes no sense.
    """
    match = re.fullmatch(r"(lora)?(?::(\d{1,4}))?", adapter) if isinstance(adapter, str) else None
    if match is None or (match[2] is not None and (not match[1] or int(match[2]) < 1)):
        raise UsageError(f"{model}: adapter got {adapter!r}; wanted lora, lora:RANK as in lora:16, or nothing to train all weights")
    rank = int(match[2] or 0) if match[1] else None
    return Training(
        rank,
        RATES[match[1] or ""] if learning_rate is None else positive(model, "learning_rate", learning_rate, 10),
        whole(model, "max_steps", max_steps, 1, 10**7, STEPS),
        whole(model, "batch_size", batch_size, 1, 4096, BATCH_SIZE),
    )
