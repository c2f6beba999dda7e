"""Samples as tokens: the prompt as the tokenizer's template writes it, and the completion, which alone is learnt from.

Prompt and completion are turned into tokens one by one: those of the prompt are then what the network sees when it is asked. Nothing is
ever cut off: a sample that is too long is left out and counted, since one without its answer teaches to give none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from harness_time_r1.backends.contract import Message
from harness_time_r1.language_model import prompt_text

__all__ = ["IGNORED", "Encoded", "encode", "longest"]

IGNORED = -100
"""What the loss leaves out."""
OPENING = "<think>"


class Encoded(NamedTuple):
    """One sample: token ids, and labels of the same length, `IGNORED` where the prompt is."""

    ids: list[int]
    labels: list[int]


def encode(tokenizer: Any, prompt: Sequence[Message], completion: str) -> Encoded:
    """The tokens of a sample, the one that ends an answer included.

    A template that itself opens the reasoning at the end of the prompt has its completion begin behind that.
    """
    text = prompt_text(tokenizer, prompt)
    if text.rstrip().endswith(OPENING) and completion.startswith(OPENING):
        completion = completion.removeprefix(OPENING).lstrip("\n")
    before = list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
    after = list(tokenizer(completion, add_special_tokens=False, verbose=False)["input_ids"])
    if tokenizer.eos_token_id is not None and after[-1:] != [tokenizer.eos_token_id]:
        after.append(tokenizer.eos_token_id)
    return Encoded(before + after, [IGNORED] * len(before) + after)


def longest(network: Any, tokenizer: Any, asked: int) -> int:
    """Tokens of a sample at most: as asked, and no more than network and tokenizer take."""
    limits = [int(getattr(network.config.get_text_config(), "max_position_embeddings", 0) or 0), int(tokenizer.model_max_length), asked]
    return min(limit for limit in (*limits, 10**9) if limit > 0)
