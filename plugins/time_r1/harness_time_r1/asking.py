"""The prompt of a window by the model's settings: one way for forecasting, for both trainings, and for showing it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from harness import Unsupported
from harness.forecast import F32
from harness.frequency import shift
from harness_time_r1 import prompts
from harness_time_r1.backends.contract import Message
from harness_time_r1.prompts import About, Prompt
from harness_time_r1.settings import Settings
from harness_time_r1.windows import Window

__all__ = ["ask", "ask_window"]


def ask(
    settings: Settings,
    context: F32,
    *,
    start: np.datetime64,
    freq: str,
    horizon: int,
    dataset: str = "",
    domain: str = "",
    length: int | None = None,
    count: Callable[[Sequence[Message]], int] | None = None,
) -> Prompt:
    """The prompt for a window.

    Args:
        context: [T] values, NaN where missing; the newest `settings.context` are shown, at most.
        start: of the first value.
        dataset, domain: what the series is of, "" = not known.
        length: tokens of prompt and answer together that the model takes; None = any number.
        count: tokens of a conversation, needed with a length.

    Raises:
        Unsupported: not even the newest row fits beside the longest answer.
    """
    named = settings.named and settings.timestamps != "hidden"
    if length is not None and length <= settings.max_tokens:
        raise Unsupported(
            f"time-r1: the model takes {length} tokens, and max_tokens {settings.max_tokens} leaves none for the prompt; wanted less: "
            f"-M time-r1:max_tokens={max(1, length // 2)}"
        )
    newest = context[-settings.context :]
    skipped = np.array([len(context) - len(newest)], np.int64)
    first = shift(np.array([start], "datetime64[s]"), freq, skipped)[0]
    return prompts.build(
        newest,
        start=first,
        freq=freq,
        horizon=horizon,
        about=About(settings.dataset or dataset, domain if named else "", settings.channel, settings.unit),
        timestamps=settings.timestamps,
        digits=settings.digits,
        budget=None if length is None else length - settings.max_tokens,
        count=count,
        named=named or bool(settings.dataset),  # what the user calls it is named in any case
    )


def ask_window(
    settings: Settings, window: Window, length: int | None = None, count: Callable[[Sequence[Message]], int] | None = None
) -> Prompt:
    """The prompt for a training window; see `ask`."""
    return ask(
        settings,
        window.context,
        start=window.start,
        freq=window.freq,
        horizon=window.horizon,
        dataset=window.dataset,
        domain=window.domain,
        length=length,
        count=count,
    )
