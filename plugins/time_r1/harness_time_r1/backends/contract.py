"""What goes to a backend and what comes back. Nothing heavy is imported here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

__all__ = ["Answer", "Backend", "Message", "Request", "Sampling"]


class Message(NamedTuple):
    """One turn of a conversation."""

    role: str  # "system" | "user" | "assistant"
    content: str


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn. Temperature 0 is greedy, and then `top_p` says nothing."""

    temperature: float = 0.6
    top_p: float = 0.7
    max_tokens: int = 4096  # of the answer
    stop: tuple[str, ...] = ()


@dataclass(frozen=True)
class Request:
    """A conversation to be continued by one answer, drawn with a seed of its own."""

    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    seed: int = 0  # 0 ≤ seed < 2**63


@dataclass(frozen=True)
class Answer:
    """What came back, whatever it was: a request that could not be answered is an answer with `error`."""

    text: str = ""
    finish: str = "stop"  # "stop" | "length" (cut at max_tokens) | "refused" (by a filter of the endpoint) | "error"
    error: str = ""  # why there is no text, without keys or headers; "" where there is one
    prompt_tokens: int = 0
    completion_tokens: int = 0
    attempts: int = 1  # requests that were sent for it, 0 = taken from the cache
    cost: float = 0.0  # in the currency of the prices given, 0 where none were
    seconds: float = 0.0


class Backend(Protocol):
    """Answers requests; the order of answers is that of the requests."""

    @property
    def identity(self) -> Mapping[str, Any]:
        """All that decides an answer beside the request: model, digest of weights, endpoint without credentials. JSON, no secrets."""

    @property
    def counts(self) -> Mapping[str, float]:
        """Totals since it was made: "requests", "attempts", "cached", "errors", "prompt_tokens", "completion_tokens", "cost"."""

    @property
    def context_length(self) -> int | None:
        """Tokens of prompt and answer together that it takes; None where it does not say."""

    def answer(self, requests: Sequence[Request], each: Callable[[int, Answer], object] | None = None) -> list[Answer]:
        """One answer for each request. Never raises for what an endpoint does.

        `each` is called with the place of a request and its answer as soon as there is one, also before an error is raised.

        Raises:
            Unsupported: the cost cap is reached, or the endpoint knows neither key nor model: no later request would be answered either.
        """

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """How many tokens a conversation is, its template included; an upper estimate where there is no tokenizer."""

    def close(self) -> None:
        """Give connections and memory back."""
