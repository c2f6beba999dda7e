"""How fine-tuning is done: the settings of `harness_ttm.adapt.finetune`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness import UsageError
from harness.parameters import whole
from harness_ttm.adapt.windows import Augmentation
from harness_ttm.part import Part, is_rate, parse_part

__all__ = ["SHORT", "Settings"]

MODES = "full, finetune, or few-shot:SHARE"
SHORT = 48  # steps; of a shorter horizon more windows are held out
FEW, MANY = 256, 512
"""Windows that it is validated on at most, of a horizon of `SHORT` steps or more, and of a shorter one."""


@dataclass(frozen=True)
class Settings:
    """How a network is fine-tuned.

    Args:
        mode: "finetune" and "few-shot:p" start from the network's weights, "full" from random ones.
        part: what is trained, see `harness_ttm.part`; "" is decoder, and all in mode full.
        learning_rate: of AdamW, at its peak; "auto" looks for one by `lr_find`, beyond the steps of the budget. None is the `rate` of the
            network's class where it has one and starts from its weights, else "auto".
        batch, patches: windows per step, and future patches per window (fewer where the horizon has fewer).
        weight_decay: of weights of two dimensions or more.
        clip: length of the gradient at most.
        augmentation: None changes no window.
        validate: False trains on all to the end of the budget, and returns the last weights.
        validation_windows: it is validated on at most so many windows. None is 256, or 512 where the horizon is below 48. So many are
            there of many series, which have one window each. Of few series there are 64 together, or as many as have 6,144 steps together
            where the horizon is below 48, up to this number, and as far as an eighth of each series goes.
        evaluations, patience: how often it validates within a budget in steps (within one in seconds: every 10 steps), and after how many
            times without a better loss it ends.

    Raises:
        UsageError: a mode, part, learning rate or number of validation windows that makes no sense.
    """

    mode: str = "finetune"
    part: str = ""
    learning_rate: float | str | None = None
    batch: int = 64
    patches: int = 8
    weight_decay: float = 0.01
    clip: float = 1.0
    augmentation: Augmentation | None = None
    validate: bool = True
    validation_windows: int | None = None
    evaluations: int = 20
    patience: int = 6

    def __post_init__(self) -> None:
        if self.mode not in ("full", "finetune") and not re.fullmatch(r"few-shot:\d*\.?\d+", self.mode):
            hint = "; for ttt use harness_ttm.adapt.TTTForecaster" if self.mode == "ttt" else ""
            raise UsageError(f"got mode {self.mode!r}; wanted {MODES}{hint}")
        if self.chosen.kind != "all" and self.fresh:
            why = "a network with random weights in the other parts learns little"
            raise UsageError(f"got part {self.part!r} with mode 'full'; wanted all: {why}")
        if self.learning_rate not in (None, "auto") and not is_rate(self.learning_rate):
            raise UsageError(f"got learning_rate {self.learning_rate!r}; wanted a number above 0, as in 0.001, or 'auto'")
        if self.validation_windows is not None:
            whole("fine-tuning", "validation_windows", self.validation_windows)

    @property
    def fresh(self) -> bool:
        """Whether it starts from random weights."""
        return self.mode == "full"

    @property
    def chosen(self) -> Part:
        """What is trained."""
        return parse_part(self.part or ("all" if self.fresh else "decoder"))

    def rate(self, measured: float | None) -> float | str:
        """The learning rate, or "auto", of a network for whose weights this one was measured, or none."""
        if self.learning_rate is not None:
            return self.learning_rate
        return "auto" if self.fresh or measured is None else measured

    def judged(self, horizon: int) -> int:
        """Windows that it is validated on at most.

        >>> Settings().judged(48), Settings().judged(47), Settings(validation_windows=100).judged(12)
        (256, 512, 100)
        """
        return self.validation_windows or (MANY if horizon < SHORT else FEW)
