"""Samples without a teacher: the true values, and as reasoning nothing, or what a rule measures in the context."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from harness import UsageError
from harness.parameters import choice
from harness_time_r1.backends.contract import Message
from harness_time_r1.settings import Settings
from harness_time_r1.sft import dataset
from harness_time_r1.sft.facts import facts
from harness_time_r1.sft.samples import completion, prompt_of, row
from harness_time_r1.windows import Window

__all__ = ["from_windows"]


def from_windows(
    windows: Sequence[Window],
    asked: Settings | None = None,
    *,
    reasoning: str = "rules",
    count: Callable[[Sequence[Message]], int] | None = None,
    max_length: int = 0,
) -> Any:
    """A `datasets.Dataset` of windows whose answers are the true values.

    Nobody reasoned: column `reasoning` says "rules" or "none", `rationalised` is False. A model that is trained on it learns the form of
    the answer and to forecast without thinking; with "rules" also to state level, trend and season of the context, which it could compute.

    Args:
        windows: those with a missing label are left out.
        asked: how the prompt is written, as the model will be asked; None = as it is by default.
        reasoning: "rules" (see `harness_time_r1.sft.facts`) or "none", an empty one.
        count: tokens of messages, for the column `tokens`.
        max_length: tokens of a sample at most, by `count`; longer ones are left out. 0 = any number.

    Raises:
        UsageError: no window is left.
    """
    choice("time-r1 sft", "reasoning", reasoning, ("rules", "none"))
    asked, rows = asked or Settings(), []
    for window in windows:
        if not np.isfinite(window.label).all():
            continue
        prompt = prompt_of(window, asked)
        said = facts(window.context, window.season_length, window.horizon) if reasoning == "rules" else ""
        text = completion(said, window, prompt)
        tokens = 0 if count is None else count((*prompt.messages, Message("assistant", text)))
        if not max_length or tokens <= max_length:
            rows.append(row(window, prompt, asked, text, reasoning=reasoning, tokens=tokens))
    if not rows:
        raise UsageError(f"time-r1 sft: got {len(windows)} windows, none of which makes a sample; wanted whole labels that fit the model")
    return dataset.make(rows)
