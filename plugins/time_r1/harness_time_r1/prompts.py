"""From a window to the messages that a language model is asked with, and the further turns of slow thinking and of training data.

A prompt has five parts: what is to be done, where the data comes from, what is measured, the observed rows, and the form of the answer. The
same window gives the same text. Texts that come with the data are a stranger's: they are cleaned, quoted and limited in length. Numbers
are rounded by the rule of `harness_time_r1.figures`, rows named as `harness_time_r1.wording` says. Axes: T context, H horizon.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from harness.errors import Unsupported, UsageError, suggest
from harness.forecast import F32
from harness_time_r1.backends.contract import Message
from harness_time_r1.figures import MISSING, decimals_of, show, show_all
from harness_time_r1.wording import TIMESTAMPS, clean, cycle_words, frequency_words, naming_words, row_names, without_dates

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["CONTENT", "About", "Prompt", "answer_block", "build", "critic", "refine", "rewrite"]

CONTENT = "KEEP"
"""The one word of a critic that has nothing to say."""

LIMITS = {"dataset": 80, "domain": 80, "channel": 400, "unit": 40}
"""Characters of each text about the data that a prompt shows at most."""
FINDING, CRITIQUE = 400, 8000  # characters of each finding and of a critique


@dataclass(frozen=True)
class About:
    """What is said of a series in words. All may be empty; whoever wrote it is not trusted."""

    dataset: str = ""
    domain: str = ""
    channel: str = ""  # what is measured
    unit: str = ""


@dataclass(frozen=True, eq=False)
class Prompt:
    """What a model is asked for one window, and what its answer is to look like."""

    messages: tuple[Message, ...]
    look_back: int  # rows that are shown
    horizon: int
    last: float  # the last value of the context, not rounded; NaN where all are missing
    labels: tuple[str, ...]  # [H] the names of the rows to be forecast
    decimals: int  # decimal places of all numbers, negative = left of the point


def build(
    context: F32,
    *,
    start: np.datetime64,
    freq: str,
    horizon: int,
    about: About = About(),
    timestamps: str = "shown",
    digits: int = 4,
    budget: int | None = None,
    count: Callable[[Sequence[Message]], int] | None = None,
    named: bool | None = None,
) -> Prompt:
    """The prompt of a window.

    Args:
        context: [T] values, oldest first, NaN where missing; all may be.
        start: time of the first value.
        freq: the step, a pandas alias such as "15T".
        about: what is known of the series in words.
        timestamps: how rows are named: "shown" (dates), "relative" (steps, the place in the day, week or year) or "hidden" (numbers). In
            the last two, dates and years in `about` are taken out.
        digits: significant digits of the spread of the context's values.
        budget: tokens that the messages may take; None = no limit. The oldest rows are left out until they fit.
        count: tokens of messages, needed with a budget; more rows must not count less.
        named: whether the data set is named; None = unless timestamps are hidden. If not, its name is taken out of the other texts.

    Raises:
        Unsupported: not even the newest row fits.
        UsageError: an argument makes no sense.
        DataError: not a frequency.
    """
    context = np.asarray(context)
    if context.ndim != 1 or not len(context) or horizon < 1 or digits < 1:
        raise UsageError(
            f"time-r1: got a context of shape {context.shape}, horizon {horizon}, digits {digits}; wanted values [T] of at least one step, "
            "and whole numbers of at least 1"
        )
    if timestamps not in TIMESTAMPS:
        raise UsageError(f"time-r1: got timestamps {timestamps!r}; wanted one of {', '.join(TIMESTAMPS)}.{suggest(timestamps, TIMESTAMPS)}")
    if budget is not None and count is None:
        raise UsageError(f"time-r1: got a budget of {budget} tokens and no count; wanted a function that counts the tokens of messages")
    length = len(context)
    decimals = decimals_of(context, digits)
    figures = show_all(context.tolist(), decimals)
    fixed = _fixed(about, start, freq, horizon, timestamps, decimals, named if named is not None else timestamps != "hidden")

    def make(shown: int) -> tuple[tuple[Message, ...], list[str]]:
        names = row_names(start, freq, length, horizon, timestamps, shown)
        rows = [f"{name} {figure}" for name, figure in zip(names[:shown], figures[length - shown :], strict=True)]
        missing = MISSING in figures[length - shown :]
        ahead = names[shown:]
        text = _render("forecast", rows=rows, shortened=shown < length, any_missing=missing, first=ahead[0], final=ahead[-1], **fixed)
        return (Message("user", text),), ahead

    shown = length
    if budget is not None and count is not None:
        shown = _fitting(lambda n: count(make(n)[0]), length, budget)
    messages, ahead = make(shown)
    seen = context[np.isfinite(context)]
    return Prompt(messages, shown, horizon, float(seen[-1]) if len(seen) else float("nan"), tuple(ahead), decimals)


def _fitting(tokens: Callable[[int], int], most: int, budget: int) -> int:
    """The most rows of 1 … `most` whose tokens fit; a guess by proportion first, then halving.

    Raises:
        Unsupported: not even one does.
    """
    full = tokens(most)
    if full <= budget:
        return most
    low, high = 1, most  # low fits, high does not
    small = tokens(1) if most > 1 else full
    if small > budget:
        raise Unsupported(
            f"time-r1: a prompt of one row takes {small} tokens; wanted at most {budget}, beside what is kept free for the answer. Take a "
            "model with a longer context, or lower max_tokens"
        )
    guess = 1 + (budget - small) * (most - 1) // (full - small)
    for trial in (guess, guess + 1):
        if low < trial < high:
            low, high = (trial, high) if tokens(trial) <= budget else (low, trial)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if tokens(middle) <= budget else (low, middle)
    return low


def _fixed(about: About, start: np.datetime64, freq: str, horizon: int, timestamps: str, decimals: int, named: bool) -> dict[str, Any]:
    """All that a prompt says whatever the rows that are shown."""
    texts = {name: clean(getattr(about, name), limit) for name, limit in LIMITS.items()}
    if not named:
        secret, texts["dataset"] = texts["dataset"], ""
        if len(secret) > 1:
            texts = {name: re.sub(re.escape(secret), "the data set", text, flags=re.IGNORECASE) for name, text in texts.items()}
    if timestamps != "shown":
        texts = {name: without_dates(text) for name, text in texts.items()}
    if decimals > 0:
        rounding = f"Values have {decimals} {'decimal' if decimals == 1 else 'decimals'}; so has your answer."
    else:
        rounding = (
            "Values are whole numbers; so are yours." if decimals == 0 else f"Values are rounded to 1{'0' * -decimals}; so are yours."
        )
    return {
        **texts,
        "horizon": horizon,
        "frequency": frequency_words(freq),
        "cycle": cycle_words(freq),
        "naming": naming_words(start, freq, timestamps),
        "rounding": rounding,
        "missing": MISSING,
    }


def critic(prompt: Prompt, draft: str, findings: Sequence[str]) -> tuple[Message, ...]:
    """Ask for a review of a draft in the light of what checks by rule found; `CONTENT` is the answer where nothing is to be changed."""
    found = [clean(finding, FINDING) for finding in findings]
    return _continued(prompt, draft, _render("critic", findings=found, horizon=prompt.horizon, content=CONTENT))


def refine(prompt: Prompt, draft: str, critique: str) -> tuple[Message, ...]:
    """Ask for the forecast again, in the light of a review; what the reviewer thought before it wrote is left out."""
    said = "\n".join(filter(None, (clean(line, CRITIQUE) for line in critique.rpartition("</think>")[2].splitlines())))
    return _continued(prompt, draft, _render("refine", critique=said[:CRITIQUE], **_form(prompt)))


def rewrite(prompt: Prompt, draft: str, truth_rows: ArrayLike | str) -> tuple[Message, ...]:
    """Ask for the reasoning anew as if it had led to the true values: a rationalisation, not a forecast. For training data only.

    Args:
        truth_rows: the true values [H], NaN where missing; or their rows as text.
    """
    rows = [clean(line, FINDING) for line in truth_rows.splitlines()] if isinstance(truth_rows, str) else _rows(truth_rows, prompt)
    return _continued(prompt, draft, _render("rewrite", rows=rows, **_form(prompt)))


def answer_block(values: ArrayLike, prompt: Prompt) -> str:
    """The answer part for given values [H], rounded as the prompt's are.

    Raises:
        UsageError: not H finite values.
    """
    array = np.asarray(values, np.float64).reshape(-1)
    if not np.isfinite(array).all():
        raise UsageError(f"time-r1: got {int((~np.isfinite(array)).sum())} values of {len(array)} that are not finite; an answer has none")
    return "\n".join(["<answer>", "```", *_rows(array, prompt), "```", "</answer>"])


def _rows(values: ArrayLike, prompt: Prompt) -> list[str]:
    array = np.asarray(values, np.float64).reshape(-1)
    if len(array) != prompt.horizon:
        raise UsageError(f"time-r1: got {len(array)} values for a prompt that asks for {prompt.horizon}")
    return [f"{label} {show(value, prompt.decimals)}" for label, value in zip(prompt.labels, array.tolist(), strict=True)]


def _form(prompt: Prompt) -> dict[str, Any]:
    return {"horizon": prompt.horizon, "first": prompt.labels[0], "final": prompt.labels[-1]}


def _continued(prompt: Prompt, draft: str, text: str) -> tuple[Message, ...]:
    return (*prompt.messages, Message("assistant", draft), Message("user", text))


@functools.cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("harness_time_r1"),
        undefined=StrictUndefined,
        autoescape=False,  # plain text for a model; what strangers wrote goes through `clean`
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _render(name: str, **values: Any) -> str:
    return _environment().get_template(f"{name}.j2").render(**values).strip()
