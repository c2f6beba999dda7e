"""How an answer's tokens are drawn, and when it ends: each row of a batch by its own settings and seed. Imports torch and transformers.

Axes: R rows that are continued together, W tokens of their prompts with what fills them up on the left, t steps taken so far, K tokens of
the vocabulary.

The library draws from torch's global stream, so an answer would depend on what was drawn before it. Here row r takes at step t the first
token, from the likeliest one on, at which the probabilities that are left after temperature and top-p add up to more than u[r, t]; u[r]
comes from the row's seed alone. That is a draw from the same distribution. The library is left a choice of one token.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import LogitsProcessor, StoppingCriteria

from harness_time_r1.backends.contract import Sampling

__all__ = ["Draws", "Ends", "Row", "drawn"]

SLACK = 8
"""Tokens looked at beyond those that a stop string can span: the first may begin within a letter."""


@dataclass(frozen=True)
class Row:
    """One answer to be drawn: how, by which seed, and of how many tokens at most. 0 tokens is a row that only fills the batch."""

    sampling: Sampling
    seed: int
    limit: int


def drawn(logits: Tensor, u: Tensor, temperature: Tensor, top_p: Tensor) -> Tensor:
    """A token of each row: [R].

    Args:
        logits: [R, K], finite or -inf.
        u: numbers in [0, 1), [R].
        temperature: [R]; 0 is the likeliest token, the first of several.
        top_p: [R] in (0, 1]; tokens are left, from the likeliest on, until their probabilities reach it.
    """
    greedy = logits.argmax(-1)  # [R]
    if not bool((temperature > 0).any()):
        return greedy
    scale = torch.where(temperature > 0, temperature, 1.0)[:, None]
    # Stable, so that equal logits keep the order of the vocabulary.
    p, order = (logits.double() / scale).softmax(-1).sort(dim=-1, descending=True, stable=True)  # [R, K]
    cumulative = p.cumsum(-1)
    left = ((cumulative - p) < top_p[:, None]).sum(-1, keepdim=True).clamp(min=1)  # [R, 1]
    total = cumulative.gather(-1, left - 1)
    place = torch.searchsorted(cumulative, u[:, None] * total, right=True)
    token = order.gather(-1, torch.minimum(place, left - 1)).squeeze(-1)  # rounding must not reach beyond what is left
    return torch.where(temperature > 0, token, greedy)


class Draws(LogitsProcessor):
    """Leaves one token of each row: the one that the row's number of this step names."""

    def __init__(self, rows: Sequence[Row], width: int, device: Any) -> None:
        self.width, self.device = width, device
        self.u = np.zeros((len(rows), max(1, *(row.limit for row in rows))))  # [R, t]
        for k, row in enumerate(rows):
            if row.sampling.temperature > 0:
                self.u[k, : row.limit] = np.random.default_rng(row.seed).random(row.limit)
        self.temperature = torch.tensor([row.sampling.temperature for row in rows], dtype=torch.float64, device=device)
        self.top_p = torch.tensor([row.sampling.top_p for row in rows], dtype=torch.float64, device=device)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores [R, K] that are -inf but for one token of each row; tokens so far [R, W + t]."""
        u = torch.from_numpy(self.u[:, input_ids.shape[1] - self.width].copy()).to(self.device)
        token = drawn(scores, u, self.temperature, self.top_p)
        return torch.full_like(scores, -torch.inf).scatter_(1, token[:, None], 0.0)


class Ends(StoppingCriteria):
    """Which rows have come to their end: one of the tokens that end an answer, a stop string, or the most tokens allowed.

    Attributes:
        lengths: tokens of each row at its end, the one that ends it included; 0 = it goes on.
    """

    def __init__(self, rows: Sequence[Row], width: int, ending: Collection[int], tokenizer: Any) -> None:
        self.rows, self.width, self.ending, self.tokenizer = rows, width, frozenset(ending), tokenizer
        self.lengths = [0] * len(rows)
        self.finishes = ["length"] * len(rows)

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: Any) -> Tensor:
        """True for each row that is at its end: [R]; tokens so far [R, W + t]."""
        del scores, kwargs
        step = input_ids.shape[1] - self.width
        last = input_ids[:, -1].tolist()
        for k, row in enumerate(self.rows):
            if self.lengths[k]:
                continue
            if last[k] in self.ending or self._stopped(row, input_ids[k, self.width :]):
                self.lengths[k], self.finishes[k] = step, "stop"
            elif step >= row.limit:
                self.lengths[k] = step
        return torch.tensor([length > 0 for length in self.lengths], device=input_ids.device)

    def _stopped(self, row: Row, tokens: Tensor) -> bool:
        if not row.sampling.stop:
            return False
        span = max(len(text.encode()) for text in row.sampling.stop) + SLACK  # a token is a byte or more
        tail = self.tokenizer.decode(tokens[-span:].tolist(), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return any(text in tail for text in row.sampling.stop)
