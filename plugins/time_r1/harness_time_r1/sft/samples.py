"""One sample: the prompt of a window, a reasoning, the true values; and what is refused as a sample.

Axes: H horizon. Values are written with the prompt's decimals, and a sample's label is what is then read.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np

from harness_time_r1 import prompts
from harness_time_r1.asking import ask_window
from harness_time_r1.backends.contract import Backend, Message
from harness_time_r1.figures import show
from harness_time_r1.parser import parse
from harness_time_r1.prompts import Prompt
from harness_time_r1.settings import Settings
from harness_time_r1.windows import Window

__all__ = ["LEAKS", "REASONS", "completion", "fault", "leak", "prompt_of", "reasoning_of", "row"]

REASONS = {
    "error": "the teacher could not be asked; the next run asks again",
    "label": "a true value is missing",
    "no forecast": "none of the candidates was one",
    "refused": "the teacher refused to rewrite",
    "truncated": "the rewriting was cut off at max_tokens",
    "empty": "the rewriting has no reasoning",
    "tags": "the reasoning holds tags or control tokens, which would end it early",
    "leak": "the reasoning says that its writer knew the true values, or of an earlier attempt",
    "answer": "the sample does not read as the true values",
    "long": "the sample has more tokens than max_length",
}
"""Why a window became no sample."""

KNOWN = r"(?:actual|true|correct|real|known|given|provided|revealed|target)"
THINGS = (
    r"(?:future |next |subsequent |observed )?(?:values?|outcomes?|answers?|data|numbers?|figures?|rows?|series|solution|labels?|results?)"
)
BEFORE = r"(?:earlier|previous|prior|first|initial|original|old)"
LEAKS = (
    r"ground[ -]?truth",
    rf"\b(?:the|these|those|your|with|to|by) {KNOWN} {THINGS}\b",
    r"\b(?:true|actual) (?:values?|outcomes?|answers?)\b",
    rf"\bgiven (?:that )?the {KNOWN}\b",
    rf"\b{THINGS} (?:that |which )?(?:were|was|are|is|have been|has been) (?:now |already )?"
    r"(?:given|provided|revealed|supplied|known|told|shown) (?:to|in advance|beforehand)\b",
    r"\b(?:that|which) did follow\b",
    r"\bturn(?:ed|s) out (?:to|that)\b",
    r"\bhindsight\b",
    r"\bnow that (?:we|i) (?:know|have|see)\b",
    r"\b(?:we|i) (?:now|already) know (?:the|that the|what)\b",
    r"\b(?:are|is) now known\b",
    rf"\b(?:my|the|our|in an?) {BEFORE} (?:attempt|forecast|answer|prediction|reasoning|draft|try|version|estimate)\b",
    r"\brationali[sz]",
    r"\b(?:rewrit(?:e|ing|ten)|re-writ(?:e|ing|ten)) (?:the |my |this |of the )?(?:reasoning|answer)\b",
    r"\bcorrect(?:ed|ing) (?:my|the|values?|forecast|reasoning|version)\b",
    r"\b(?:as|was|were|been|i am|i'm) (?:told|instructed|asked) (?:to|in|by)\b",
)
"""What says that the writer knew the answer, as regular expressions without case. Some good reasonings are lost by them."""
_LEAKS = re.compile("|".join(LEAKS), re.IGNORECASE)
_TAGS = re.compile(r"</?\s*(?:think|answer)\s*>|<\|[^|>\n]{1,40}\|>|<[｜][^>\n]{1,40}>|</?s>|```", re.IGNORECASE)


def prompt_of(window: Window, asked: Settings, backend: Backend | None = None) -> Prompt:
    """The prompt of a window, as the forecaster writes it.

    Args:
        backend: where its context length is known, the oldest rows are left out until prompt and answer fit.
    """
    if backend is None:
        return ask_window(asked, window)
    return ask_window(asked, window, backend.context_length, backend.count_tokens)


def reasoning_of(text: str) -> str:
    """The reasoning of an answer: the last block of thoughts before the answer block, or all that is before it where there are no tags.

    A model that always thinks puts thoughts of its own before those that it was asked to write.

    >>> reasoning_of("<think>I was told.</think><think> It falls. </think><answer>1</answer>"), reasoning_of("It falls.<answer>1")
    ('It falls.', 'It falls.')
    """
    text = text.rpartition("<answer>")[0] or text.partition("<answer>")[0]
    if "</think>" in text:
        text = text.rpartition("</think>")[0]
    return text.rpartition("<think>")[2].strip()


def leak(reasoning: str) -> str:
    """The words by which a reasoning gives away that its writer knew the answer; "" where there are none.

    >>> leak("The level stays near 5, so given the true values it falls."), leak("True to its season it falls; values are given hourly.")
    ('given the true', '')
    """
    found = _LEAKS.search(" ".join(reasoning.split()))
    return found[0] if found else ""


def completion(reasoning: str, window: Window, prompt: Prompt) -> str:
    """What the model is to answer."""
    return f"<think>\n{reasoning}\n</think>\n{prompts.answer_block(window.label, prompt)}"


def rounded(window: Window, prompt: Prompt) -> list[float]:
    """The true values [H] as they are written."""
    return [float(show(value, prompt.decimals)) for value in window.label.tolist()]


def fault(reasoning: str, text: str, window: Window, prompt: Prompt, tokens: int, most: int) -> tuple[str, str]:
    """Why a completion is refused, and what was found; ("", "") where it is good.

    Args:
        reasoning: of the completion; whether it is empty, and what it gives away, is looked at.
        text: the completion.
        tokens: of prompt and completion.
        most: tokens at most, 0 = any number.
    """
    if not reasoning:
        return "empty", ""
    if found := _TAGS.search(reasoning):
        return "tags", found[0]
    if words := leak(reasoning):
        return "leak", words
    parsed = parse(text, window.horizon, "stop")
    if not parsed.ok or not np.array_equal(parsed.values, rounded(window, prompt)):
        return "answer", f"{parsed.kind} {parsed.detail}".strip()
    if most and tokens > most:
        return "long", f"{tokens} tokens, at most {most}"
    return "", ""


def row(window: Window, prompt: Prompt, asked: Settings, text: str, **more: Any) -> dict[str, Any]:
    """The row of a data set: all columns, those of a teacher empty unless given; `asked` is how the prompt was written."""
    empty = {"reasoning": "none", "rationalised": False, "teacher": "", "candidates": 0, "usable": 0, "choice": -1, "by": "", "score": None}
    return {
        "id": window.id,
        "prompt": [message._asdict() for message in prompt.messages],
        "completion": [Message("assistant", text)._asdict()],
        "dataset": window.dataset,
        "domain": window.domain,
        "freq": window.freq,
        "start": str(window.start),
        "look_back": prompt.look_back,
        "horizon": window.horizon,
        "asked": json.dumps(asked.asked()),
        "label": rounded(window, prompt),
        **empty,
        "chosen": "",
        "tokens": 0,
        **more,
    }
