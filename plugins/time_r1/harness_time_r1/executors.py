"""From a prompt to an answer: in one pass, as in the paper, or in several.

`single` asks once, and as often again as `retries` says where an answer is no forecast. `slow` has a draft checked by rules and by a critic
and then refined, at most `iterations` times. No step sees a label, and nothing is chosen by how near it comes to one: what counts is the
last answer that can be read as a forecast.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness_time_r1 import prompts
from harness_time_r1.backends.contract import Answer, Backend, Message, Request, Sampling
from harness_time_r1.checks import findings
from harness_time_r1.parser import Parsed, parse
from harness_time_r1.prompts import Prompt

__all__ = ["EXECUTORS", "Ask", "Outcome", "Step", "single", "slow", "step_seed"]


@dataclass(frozen=True, eq=False)
class Ask:
    """One sampled answer to be got for one window."""

    prompt: Prompt
    context: np.ndarray  # [T], NaN where missing
    season_length: int
    seed: int  # of its first request; later ones are derived from it
    accepted: frozenset[str] = frozenset({"ok"})  # the kinds of answers that count as a forecast: a long one may, as its first H values


@dataclass(frozen=True)
class Step:
    """One thing that was done on the way to an answer."""

    name: str  # "draft" | "again" | "checks" | "critique" | "refined"
    messages: tuple[Message, ...] = ()
    answer: Answer | None = None
    kind: str = ""  # of a draft or refined answer, as `parser.KINDS` has it
    findings: tuple[str, ...] = ()

    def row(self) -> dict[str, Any]:
        """As JSON takes it."""
        row: dict[str, Any] = {"step": self.name, "kind": self.kind, "findings": list(self.findings)}
        if self.answer is not None:
            row |= {"messages": [message._asdict() for message in self.messages], "answer": vars(self.answer)}
        return row


@dataclass(eq=False)
class Outcome:
    """How one ask ended: the answer that counts, and all steps to it."""

    parsed: Parsed
    steps: list[Step] = field(default_factory=list)


def step_seed(seed: int, *path: int) -> int:
    """A seed for a part of what has a seed: 0 ≤ result < 2**63, the same on every machine."""
    text = ",".join(map(str, (seed, *path))).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "big") >> 1


def single(backend: Backend, asks: Sequence[Ask], sampling: Sampling, *, retries: int = 0, **_: int) -> list[Outcome]:
    """Ask once; an answer that is no forecast is asked for again, up to `retries` times, with another seed."""
    outcomes = _asked(backend, asks, sampling)
    for attempt in range(1, retries + 1):
        failed = [n for n, outcome in enumerate(outcomes) if outcome.parsed.kind not in asks[n].accepted]
        if not failed:
            break
        requests = [Request(asks[n].prompt.messages, sampling, step_seed(asks[n].seed, attempt)) for n in failed]
        for n, request, answer in zip(failed, requests, backend.answer(requests), strict=True):
            _take(outcomes[n], "again", request, answer, asks[n])
    return outcomes


def slow(backend: Backend, asks: Sequence[Ask], sampling: Sampling, *, retries: int = 0, iterations: int = 2) -> list[Outcome]:
    """Draft, reflect, refine: what rules find and a critic says goes back with the draft, until neither has anything to say.

    At most `iterations` times.

    A refined answer that is no forecast leaves the one before it in place.
    """
    outcomes = single(backend, asks, sampling, retries=retries)
    going = list(range(len(asks)))
    for turn in range(1, iterations + 1):
        found = {n: _checked(outcomes[n], asks[n]) for n in going}
        reflected = _ask_all(
            backend,
            {n: prompts.critic(asks[n].prompt, _draft(outcomes[n], asks[n]), found[n]) for n in going},
            sampling,
            {n: step_seed(asks[n].seed, turn, 1) for n in going},
        )
        going = [n for n in going if found[n] or _objects(reflected[n][1])]
        for n, (request, answer) in reflected.items():
            outcomes[n].steps.append(Step("critique", request.messages, answer))
        if not going:
            break
        refined = _ask_all(
            backend,
            {n: prompts.refine(asks[n].prompt, _draft(outcomes[n], asks[n]), _said(reflected[n][1], found[n])) for n in going},
            sampling,
            {n: step_seed(asks[n].seed, turn, 2) for n in going},
        )
        for n, (request, answer) in refined.items():
            _take(outcomes[n], "refined", request, answer, asks[n])
    return outcomes


EXECUTORS: Mapping[str, Callable[..., list[Outcome]]] = {"single": single, "slow": slow}


def _asked(backend: Backend, asks: Sequence[Ask], sampling: Sampling) -> list[Outcome]:
    requests = [Request(ask.prompt.messages, sampling, ask.seed) for ask in asks]
    outcomes = []
    for ask, request, answer in zip(asks, requests, backend.answer(requests), strict=True):
        parsed = parse(answer.text, ask.prompt.horizon, answer.finish)
        outcomes.append(Outcome(parsed, [Step("draft", request.messages, answer, parsed.kind)]))
    return outcomes


def _ask_all(
    backend: Backend, conversations: Mapping[int, tuple[Message, ...]], sampling: Sampling, seeds: Mapping[int, int]
) -> dict[int, tuple[Request, Answer]]:
    requests = {n: Request(messages, sampling, seeds[n]) for n, messages in conversations.items()}
    answers = backend.answer(list(requests.values()))
    return {n: (request, answer) for (n, request), answer in zip(requests.items(), answers, strict=True)}


def _take(outcome: Outcome, name: str, request: Request, answer: Answer, ask: Ask) -> None:
    """Note an answer; it counts if it is a forecast, or if there was none before."""
    parsed = parse(answer.text, ask.prompt.horizon, answer.finish)
    outcome.steps.append(Step(name, request.messages, answer, parsed.kind))
    if parsed.kind in ask.accepted or outcome.parsed.kind not in ask.accepted:
        outcome.parsed = parsed


def _checked(outcome: Outcome, ask: Ask) -> list[str]:
    usable = outcome.parsed.kind in ask.accepted
    found = findings(outcome.parsed, usable, ask.context, ask.prompt.horizon, ask.season_length)
    outcome.steps.append(Step("checks", findings=tuple(found)))
    return found


def _draft(outcome: Outcome, ask: Ask) -> str:
    """The text of the newest answer that counts."""
    for step in reversed(outcome.steps):
        if step.answer is not None and step.name != "critique" and (step.kind in ask.accepted or outcome.parsed.kind not in ask.accepted):
            return step.answer.text
    return ""


def _said(critique: Answer, found: Sequence[str]) -> str:
    """What a draft is to be changed for: what the critic says, or what rules found where it says nothing."""
    return critique.text if _objects(critique) else "\n".join(found)


def _objects(answer: Answer) -> bool:
    """Whether a critic has said anything but the one word that it was told to say where nothing is to be changed."""
    said = answer.text.rpartition("</think>")[2].strip().strip(".!*`'\"“”‘’ ").upper()
    return said not in ("", prompts.CONTENT)
