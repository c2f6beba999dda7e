"""Any OpenAI-compatible endpoint as a backend: vLLM, llama.cpp, Ollama, hosted models. `openai` is imported when the first request is sent.

A request that an endpoint could not serve now (no connection, no whole reply in time, 408, 409, 425, 429, 5xx) is sent again after a pause
that doubles, with some chance in it, or that the endpoint asks for. One that it refuses is an answer with `error`. A key or a model that
it does not know ends the cell, as the cost cap does.

The seed of a request is sent, its lower 31 bits; whether the endpoint heeds it is its own affair, and hosted ones promise no more than to
try. Answers that must not change belong into a cache (`harness_time_r1.backends.kept`).

Costs are reckoned by the prices given and the tokens that the endpoint reports. The most that a request can cost is set aside before it is
sent; it stays set aside for good where the answer was lost on its way or came without a count, as it may have to be paid for.
"""

from __future__ import annotations

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from harness import Unsupported, UsageError
from harness.parameters import choice, positive, truth, whole
from harness_time_r1.backends.contract import Answer, Message, Request
from harness_time_r1.backends.fields import fields
from harness_time_r1.backends.limits import Budget, Rates
from harness_time_r1.backends.reply import read_reply
from harness_time_r1.backends.transport import Key, Sent, base_url, client, loopback, post, printable

__all__ = ["Endpoint"]

HOPELESS = {401: "refuses the key", 403: "refuses the key", 404: "knows no such model or address"}
"""What no later request would change."""
TAKEN = ("messages", "model", "n", "seed", "stop", "stream", "temperature", "top_p", "max_tokens", "max_completion_tokens")
SILENT = 8
"""Requests in a row without an answer after which an endpoint is taken to be away, and the cell ends."""
PER_MESSAGE, PER_CONVERSATION = 8, 64
"""Tokens that a template may add: around a turn, and once (a system turn of its own, a date)."""


class Endpoint:
    """A model behind an address.

    Args:
        url: up to where `/chat/completions` follows: "http://localhost:8000/v1".
        model: its name there.
        key_variable: the variable of the environment that holds the key; "" = `TIME_R1_API_KEY`, and for api.openai.com also
            `OPENAI_API_KEY`; where none is set no key is sent.
        concurrency: requests at a time.
        attempts: how often one is sent at most.
        timeout: seconds for a try, from its beginning to the last byte of the reply.
        max_wait: the longest pause between two tries in seconds; an endpoint that asks for a longer one gets no other try.
        requests_per_minute, tokens_per_minute: limits; a request counts with its prompt and its `max_tokens`, and when it has been answered
            with what it took.
        price_prompt, price_completion: of a million tokens.
        cost_cap: the most to be spent by this object, in the currency of the prices.
        context_length: tokens of prompt and answer together that the model takes, where that is known.
        limit_field: how the most tokens of an answer are called: max_tokens, or max_completion_tokens as newer models of OpenAI want it.
        extra: further fields of the request: {"reasoning_effort": "low"}. Part of the identity; no secrets.
        insecure: send a key over http to another machine.
        name: the harness's name of the model, for what is said.
        clock, sleep, chance, wall: seconds of a clock, waiting by it, numbers in [0, 1), seconds since 1970; for tests.

    Raises:
        UsageError: a parameter makes no sense.
    """

    def __init__(
        self,
        url: str,
        model: str,
        *,
        key_variable: str = "",
        concurrency: int = 8,
        attempts: int = 6,
        timeout: float = 600.0,
        max_wait: float = 60.0,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        price_prompt: float = 0.0,
        price_completion: float = 0.0,
        cost_cap: float | None = None,
        context_length: int | None = None,
        limit_field: str = "max_tokens",
        extra: Mapping[str, Any] | None = None,
        insecure: bool = False,
        name: str = "time-r1",
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.url = base_url(url, name)
        if not isinstance(model, str) or not printable(model):
            raise UsageError(f"{name}: model got {model!r}; wanted the model's name at {self.url}")
        self.host = urlsplit(self.url).hostname or ""
        self.key = Key(key_variable, self.host, name)
        if self.key.variable and self.url.startswith("http:") and not loopback(self.url) and not truth(name, "insecure", insecure):
            raise UsageError(
                f"{name}: url got {self.url}, and the key in {self.key.variable} would be sent where others can read it; wanted https://, "
                "or TIME_R1_INSECURE=1 in a network of your own"
            )
        self.model, self.name, self.extra = model, name, fields(name, extra)
        if wrong := sorted(set(self.extra) & set(TAKEN)):
            raise UsageError(f"{name}: extra got {', '.join(wrong)}; wanted fields that the request does not say itself")
        if self.key.scrubbed(known := json.dumps([self.url, self.model, self.extra])) != known:
            raise UsageError(
                f"{name}: the key in {self.key.variable} stands in url, served or extra, which are kept with results; wanted it in the "
                "environment alone"
            )
        self.concurrency, self.attempts = whole(name, "concurrency", concurrency, 1, 1024), whole(name, "attempts", attempts, 1, 100)
        self.timeout, self.max_wait = positive(name, "timeout", timeout, 1e6), positive(name, "max_wait", max_wait, 1e6)
        self.limit_field = choice(name, "limit_field", limit_field, ("max_tokens", "max_completion_tokens"))
        for what, limit in (("requests_per_minute", requests_per_minute), ("tokens_per_minute", tokens_per_minute)):
            if limit is not None:
                whole(name, what, limit)
        prices = [0.0 if value == 0 else positive(name, "price", value, 1e9) for value in (price_prompt, price_completion)]
        if cost_cap is not None and positive(name, "cost_cap", cost_cap, 1e9) and not any(prices):
            raise UsageError(
                f"{name}: got a cost cap of {cost_cap!r} and no prices; wanted those of a million tokens in prompts and in answers: "
                "TIME_R1_PRICES=0.15,0.60"
            )
        self.budget, self.rates = Budget(cost_cap, *prices), Rates(requests_per_minute, tokens_per_minute, clock, sleep)
        self._context = None if context_length is None else whole(name, "context_length", context_length)
        self._sleep, self._chance, self._wall = sleep, chance, wall
        self._counts: Counter[str] = Counter()
        self.unanswered = 0  # requests, one after the other
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return f"Endpoint({self.url!r}, {self.model!r})"

    @property
    def identity(self) -> Mapping[str, Any]:
        """The address, the model and the fields of a request that are always the same."""
        return {"kind": "endpoint", "url": self.url, "model": self.model, "limit_field": self.limit_field, "extra": self.extra}

    @property
    def counts(self) -> Mapping[str, float]:
        """Totals since it was made; "cost" holds what may have to be paid, though its answer was lost."""
        names = ("requests", "attempts", "cached", "errors", "prompt_tokens", "completion_tokens")
        with self._lock:
            return {name: self._counts[name] for name in names} | {"cost": self.budget.spent}

    @property
    def context_length(self) -> int | None:
        """As it was given."""
        return self._context

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """An upper estimate: no tokenizer makes more tokens of a text than it has bytes, and a template adds some."""
        return PER_CONVERSATION + sum(len(m.content.encode("utf-8", "replace")) + len(m.role) + PER_MESSAGE for m in messages)

    def close(self) -> None:
        """Nothing is held between two calls."""

    def answer(self, requests: Sequence[Request], each: Callable[[int, Answer], object] | None = None) -> list[Answer]:
        """One answer for each request; `each` is called with the place of a request and its answer once there is one.

        Raises:
            Unsupported: the cost cap is reached, or the endpoint does not know the key or the model.
        """
        call = _Call(self, requests, each)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            asyncio.run(call.run())
        else:  # in a notebook or a server, whose loop must not wait for itself
            self._apart(call)
        if call.stop is not None:
            raise Unsupported(f"{self.name}: {call.stop}")
        return [call.answers[place] for place in range(len(requests))]

    def _apart(self, call: _Call) -> None:
        failed: list[BaseException] = []

        def work() -> None:
            try:
                asyncio.run(call.run())
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=work, name="time-r1-endpoint")
        thread.start()
        thread.join()
        if failed:
            raise failed[0]

    def pause(self, attempt: int, asked: float | None) -> float | None:
        """Seconds before the next try; None where the endpoint asks for more than is waited."""
        if asked is not None and asked > self.max_wait:
            return None
        doubled = min(self.max_wait, 0.5 * 2.0 ** (attempt - 1)) * (0.5 + 0.5 * self._chance())
        return max(doubled, asked or 0.0)

    def settled(self, answer: Answer) -> Answer:
        """Count an answer."""
        with self._lock:
            self._counts.update(requests=1, attempts=answer.attempts, errors=int(answer.finish == "error"))
            self._counts.update(prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens)
        return answer


class _Call:
    """The requests of one call, and what has come of them."""

    def __init__(self, endpoint: Endpoint, requests: Sequence[Request], each: Callable[[int, Answer], object] | None) -> None:
        self.endpoint, self.each = endpoint, each
        self.queue: Iterator[tuple[int, Request]] = iter(enumerate(requests))
        self.workers = min(endpoint.concurrency, len(requests))
        self.answers: dict[int, Answer] = {}
        self.stop: str | None = None  # why no other request is sent

    async def run(self) -> None:
        """Work through the queue, so many at a time; what has been sent is waited for."""
        if self.workers:
            async with client(self.endpoint.url, self.endpoint.key, self.endpoint.timeout) as made:
                await asyncio.gather(*(self._work(made) for _ in range(self.workers)))

    async def _work(self, made: Any) -> None:
        for place, request in self.queue:
            if self.stop is not None:
                return
            answer = await self._answered(made, request)
            if answer is not None:
                self.answers[place] = self.endpoint.settled(answer)
                if self.each is not None:
                    self.each(place, answer)

    async def _answered(self, made: Any, request: Request) -> Answer | None:
        """The answer to a request; None where it was not sent for good, because all was stopped."""
        of, began, cost = self.endpoint, time.monotonic(), 0.0
        estimate = of.count_tokens(request.messages)
        body = _body(of, request)
        answer = Answer(finish="error", error="it was not sent", attempts=0)
        for attempt in range(1, of.attempts + 1):
            sent = await self._sent(made, body, estimate, request.sampling.max_tokens)
            if sent is None:
                return None if attempt == 1 else replace(answer, error=f"{answer.error}; then all was stopped")
            reply, answer = sent
            cost += answer.cost
            answer = replace(answer, attempts=attempt, cost=cost, seconds=time.monotonic() - began)
            if not reply.again or attempt == of.attempts or self.stop is not None:
                self._heard(answer, reply.again)
                break
            wait = of.pause(attempt, reply.wait)
            if wait is None:
                return replace(
                    answer, error=f"{answer.error}; it asks to wait {reply.wait:g} s, longer than TIME_R1_MAX_WAIT={of.max_wait:g}"
                )
            if reply.wait is not None:
                of.rates.pause(reply.wait)  # for all of them
            await of._sleep(wait)
        return answer

    def _heard(self, answer: Answer, lost: bool) -> None:
        """Stop where request after request got no answer in all its tries: the next one would not either, and each takes its time."""
        of = self.endpoint
        of.unanswered = of.unanswered + 1 if lost else 0
        if of.unanswered >= max(of.concurrency, SILENT):
            said = f"the endpoint {of.url} answered none of {of.unanswered} requests in {of.attempts} tries: {answer.error}"
            self.stop = self.stop or said

    async def _sent(self, made: Any, body: Mapping[str, Any], estimate: int, most: int) -> tuple[Sent, Answer] | None:
        """Send a request once, when it may be; None where it may not."""
        of, worst = self.endpoint, self.endpoint.budget.price(estimate, most)
        try:
            units = await of.budget.reserve(worst)
        except Unsupported as error:
            self.stop = self.stop or str(error)
            return None
        cost = worst  # also where this is cancelled
        try:
            slot = await of.rates.acquire(estimate + most)
            if self.stop is not None:
                cost = 0.0
                return None
            reply = await post(made, of.key, body, of.extra, of.timeout, of._wall)
            if reply.status in HOPELESS:
                self.stop = self.stop or self._hopeless(reply)
            if reply.error:
                cost = worst if reply.paid else 0.0
                return reply, Answer(finish="error", error=reply.error, cost=cost)
            answer, told = read_reply(reply.body, of.key.scrubbed)
            if told:
                slot.tokens = answer.prompt_tokens + answer.completion_tokens
                cost = of.budget.price(answer.prompt_tokens, answer.completion_tokens)
            return reply, replace(answer, cost=cost)
        finally:
            of.budget.settle(units, cost)

    def _hopeless(self, reply: Sent) -> str:
        of = self.endpoint
        key = f"the key in {of.key.variable} was sent" if of.key.variable else "no key was sent: export TIME_R1_API_KEY=…"
        return f"the endpoint {of.url} {HOPELESS[reply.status]} (model {of.model}; {key}): {reply.error}"


def _body(of: Endpoint, request: Request) -> dict[str, Any]:
    """The fields of a request. Temperature 0 needs no top_p; the seed is one that all of them can read."""
    sampling = request.sampling
    body: dict[str, Any] = {
        "model": of.model,
        "messages": [{"role": message.role, "content": message.content} for message in request.messages],
        "temperature": sampling.temperature,
        "seed": request.seed & 0x7FFFFFFF,
        of.limit_field: sampling.max_tokens,
    }
    if sampling.temperature > 0:
        body["top_p"] = sampling.top_p
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    return body
