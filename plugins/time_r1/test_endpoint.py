"""Endpoints that fail in every way there is, asked over real connections on this machine."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import logging
import os
import re
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

pytest.importorskip("openai", reason="openai is not installed: pip install openai")

from harness_time_r1.backends.contract import Answer, Message, Request, Sampling
from harness_time_r1.backends.disguises import disguises
from harness_time_r1.backends.endpoint import Endpoint
from harness_time_r1.backends.kept import Kept, _hash
from harness_time_r1.backends.limits import Budget, Rates
from stand_in import Asked, Say, StandIn, completion, settle

from harness import Unsupported, UsageError

SECRET = "sk-Never/Seen+4f0d92c7="
VARIABLE = "A_KEY_OF_THE_TESTS"


class Clock:
    """Time that passes when somebody sleeps."""

    def __init__(self) -> None:
        self.now, self.slept = 1000.0, list[float]()

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No key of whoever runs the tests, and no proxy."""
    for name in ("OPENAI_API_KEY", "TIME_R1_API_KEY", "OPENAI_ORG_ID", "OPENAI_BASE_URL", "OPENAI_LOG"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ask(clock: Clock) -> Callable[..., Endpoint]:
    """An endpoint that waits by the tests' clock."""

    def make(server: StandIn | str, **options: Any) -> Endpoint:
        url = server if isinstance(server, str) else server.url
        usual: dict[str, Any] = {"clock": clock, "sleep": clock.sleep, "chance": lambda: 1.0, "timeout": 20.0}
        return Endpoint(url, "a-model", **(usual | options))

    return make


def question(text: str = "What next?", seed: int = 1, **sampling: Any) -> Request:
    return Request((Message("system", "Be brief."), Message("user", text)), Sampling(**({"max_tokens": 100} | sampling)), seed)


def test_what_is_sent_and_what_comes_back(ask: Callable[..., Endpoint]) -> None:
    with StandIn() as server:
        endpoint = ask(server, extra={"reasoning_effort": "low"}, price_prompt=2.0, price_completion=8.0)
        (answer,) = endpoint.answer([question(stop=("END",), seed=2**62 + 5, temperature=0.5, top_p=0.9)])
    assert (answer.text, answer.finish, answer.error, answer.attempts) == ("<answer>1</answer>", "stop", "", 1)
    assert (answer.prompt_tokens, answer.completion_tokens) == (10, 5) and answer.cost == pytest.approx((10 * 2 + 5 * 8) / 1e6)
    (asked,) = server.asked
    assert asked.path == "/v1/chat/completions" and "authorization" not in asked.headers
    assert asked.body == {
        "model": "a-model",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What next?"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 100,
        "seed": 5,
        "stop": ["END"],
        "reasoning_effort": "low",
    }
    assert dict(endpoint.counts) == {
        "requests": 1, "attempts": 1, "cached": 0, "errors": 0, "prompt_tokens": 10, "completion_tokens": 5, "cost": pytest.approx(6e-5)
    }  # fmt: skip
    json.dumps(endpoint.identity)


def test_greedy_says_nothing_of_top_p_and_the_limit_may_have_another_name(ask: Callable[..., Endpoint]) -> None:
    with StandIn() as server:
        ask(server, limit_field="max_completion_tokens").answer([question(temperature=0.0)])
    assert "top_p" not in server.asked[0].body and "max_tokens" not in server.asked[0].body
    assert server.asked[0].body["max_completion_tokens"] == 100


def test_answers_stand_in_the_order_of_the_requests(ask: Callable[..., Endpoint]) -> None:
    first = threading.Event()

    def reply(asked: Asked) -> Say:
        text = asked.body["messages"][-1]["content"]
        if text == "19":
            first.set()  # the last one asked is answered before the first
        return Say(body=completion(f"to {text}"), wait=first if text == "0" else None)

    with StandIn(reply) as server:
        answers = ask(server, concurrency=4).answer([question(str(k)) for k in range(20)])
        assert server.most_at_once <= 4
    assert [answer.text for answer in answers] == [f"to {k}" for k in range(20)]
    assert ask("http://127.0.0.1:9/v1").answer([]) == []


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
def test_what_may_pass_is_tried_again(status: int, ask: Callable[..., Endpoint], clock: Clock) -> None:
    with StandIn([Say(status, {"error": {"message": "busy"}}), Say(status), Say()]) as server:
        endpoint = ask(server)
        (answer,) = endpoint.answer([question()])
    assert (answer.finish, answer.attempts, len(server.asked)) == ("stop", 3, 3)
    assert clock.slept == [0.5, 1.0] and endpoint.counts["attempts"] == 3


@pytest.mark.parametrize("status", [400, 413, 422, 307])
def test_what_is_refused_is_not_tried_again(status: int, ask: Callable[..., Endpoint], clock: Clock) -> None:
    with StandIn([Say(status, {"error": {"message": "the prompt is too long"}}, {"Location": "http://127.0.0.1:9/elsewhere"})]) as server:
        endpoint = ask(server)
        (answer,) = endpoint.answer([question()])
    assert (answer.finish, answer.error, answer.attempts) == ("error", f"HTTP {status}: the prompt is too long", 1)
    assert not clock.slept and endpoint.counts["errors"] == 1


@pytest.mark.parametrize(("status", "said"), [(401, "refuses the key"), (403, "refuses the key"), (404, "knows no such model")])
def test_what_no_later_request_would_change_ends_all(status: int, said: str, ask: Callable[..., Endpoint]) -> None:
    with StandIn([Say(), Say(status, {"error": "no"})]) as server:
        kept: dict[int, Answer] = {}
        with pytest.raises(Unsupported, match=rf"time-r1: the endpoint http.* {said}.*a-model; no key was sent.*HTTP {status}: no"):
            ask(server, concurrency=1).answer([question(str(k)) for k in range(9)], kept.__setitem__)
    assert len(server.asked) == 2 and kept[0].finish == "stop" and kept[1].finish == "error"


def test_pauses_double_up_to_the_longest(ask: Callable[..., Endpoint], clock: Clock) -> None:
    with StandIn([Say(503)]) as server:
        (answer,) = ask(server, attempts=6, max_wait=3.0).answer([question()])
    assert clock.slept == [0.5, 1.0, 2.0, 3.0, 3.0] and (answer.finish, answer.attempts) == ("error", 6)
    assert ask("http://127.0.0.1:9/v1", chance=lambda: 0.0).pause(2, None) == 0.5


def test_an_endpoint_is_given_the_time_it_asks_for(ask: Callable[..., Endpoint], clock: Clock) -> None:
    with StandIn([Say(429, {}, {"Retry-After": "17"}), Say()]) as server:
        (answer,) = ask(server).answer([question()])
    assert answer.attempts == 2 and clock.slept == [17.0]
    wall = lambda: 1_000_000_000.0  # noqa: E731 - Sun, 09 Sep 2001 01:46:40 GMT
    clock.slept.clear()
    with StandIn([Say(503, {}, {"Retry-After": "Sun, 09 Sep 2001 01:46:52 GMT"}), Say()]) as server:
        ask(server, wall=wall).answer([question()])
    assert clock.slept == [12.0]
    clock.slept.clear()
    with StandIn([Say(429, {}, {"Retry-After-Ms": "nan", "Retry-After": "9"}), Say()]) as server:
        ask(server).answer([question()])
    assert clock.slept == [9.0]
    with StandIn([Say(429, {"error": "quota"}, {"Retry-After": "3600"}), Say()]) as server:
        (answer,) = ask(server).answer([question()])
    assert answer.error == "HTTP 429: quota; it asks to wait 3600 s, longer than TIME_R1_MAX_WAIT=60" and len(server.asked) == 1


def test_others_wait_too_when_an_endpoint_asks_for_it(ask: Callable[..., Endpoint], clock: Clock) -> None:
    with StandIn([Say(429, {}, {"Retry-After": "30"}), Say()]) as server:
        endpoint = ask(server, concurrency=1, attempts=1)
        answers = endpoint.answer([question("a"), question("b")])
        assert [answer.finish for answer in answers] == ["error", "stop"] and not clock.slept
        endpoint = ask(server, concurrency=1)
        endpoint.rates.pause(30)
        endpoint.answer([question("c")])
    assert clock.slept == [30.0]


BROKEN = {
    "cut": (Say(cut=20), "the connection failed: .*(closed|incomplete|peer)"),
    "dropped": (Say(drop=True), "the connection failed: "),
    "garbage": (Say(body=b"<html>It works!</html>"), "the reply is no JSON: it begins '<html>It works!</html>'"),
    "deep": (Say(body=b"[" * 100_000), "the reply is no JSON"),
    "half a letter": (Say(body=b"\xff\xfe{}"), "the reply is no JSON"),
    "empty": (Say(body=b""), "the reply is empty"),
    "a list": (Say(body=[]), "the reply is a list; wanted an object with choices"),
    "no choices": (Say(body={"choices": []}), "the reply has no choice with a message"),
    "null": (Say(body={"choices": [None]}), "the reply has no choice with a message"),
    "no message": (Say(body={"choices": [{"finish_reason": "stop"}]}), "the reply has no choice with a message"),
    "an error with 200": (Say(body={"error": {"message": "out of memory", "code": 1}}), "^out of memory$"),
    "endless": (Say(endless=True), "the reply is longer than 8,000,000 bytes"),
    "an endless error": (Say(500, endless=True), "the reply is longer than 8,000,000 bytes"),
    "packed": (Say(headers={"Content-Encoding": "gzip"}), "^the reply is packed"),
    "a packed error": (Say(400, headers={"Content-Encoding": "gzip"}), "^HTTP 400: the reply is packed"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_reply_is_an_answer_with_an_error(case: str, ask: Callable[..., Endpoint]) -> None:
    say, wanted = BROKEN[case]
    with StandIn([say]) as server:
        (answer,) = ask(server, attempts=2).answer([question()])
    assert answer.finish == "error" and answer.text == "" and answer.attempts in (1, 2)
    assert re.search(wanted, answer.error), answer.error


@pytest.mark.parametrize("status", [429, 500])
def test_the_status_says_whether_to_try_again_whatever_the_reply_is(status: int, ask: Callable[..., Endpoint], clock: Clock) -> None:
    asking = {"Retry-After": "7"}
    replies = [Say(status, b"?", {"Content-Encoding": "br", **asking}), Say(status, headers=asking, endless=True), Say()]
    with StandIn(replies) as server:
        (answer,) = ask(server, price_prompt=1.0).answer([question()])
    assert (answer.finish, answer.attempts, answer.cost) == ("stop", 3, 1e-5) and clock.slept == [7.0, 7.0]
    with StandIn([Say(401, b"?", {"Content-Encoding": "gzip"})]) as server, pytest.raises(Unsupported, match="refuses the key"):
        ask(server).answer([question()])


def test_a_reply_may_say_that_it_is_not_packed(ask: Callable[..., Endpoint]) -> None:
    with StandIn([Say(headers={"Content-Encoding": "Identity"})]) as server:
        assert ask(server).answer([question()])[0].finish == "stop"


def test_what_was_cut_on_its_way_is_asked_again(ask: Callable[..., Endpoint]) -> None:
    with StandIn([Say(cut=20), Say(drop=True), Say()]) as server:
        (answer,) = ask(server).answer([question()])
    assert (answer.finish, answer.attempts) == ("stop", 3)


def test_a_reply_that_trickles_has_a_deadline_for_the_whole(ask: Callable[..., Endpoint]) -> None:
    with StandIn([Say(drip=0.02)]) as server:
        (answer,) = ask(server, attempts=1, timeout=0.3).answer([question()])  # some 250 bytes would take 5 s, none more than 0.02
    assert (answer.finish, answer.error) == ("error", "no whole reply within 0.3 s")


def test_nobody_there(ask: Callable[..., Endpoint]) -> None:
    with StandIn() as server:
        url = server.url
    endpoint = ask(url, attempts=2, price_prompt=1.0, price_completion=1.0)
    (answer,) = endpoint.answer([question()])
    assert answer.error.startswith("the connection failed: ConnectError") and answer.attempts == 2
    assert endpoint.counts["cost"] == 0 == answer.cost  # nothing was sent


ENDS: dict[str, tuple[dict[str, Any], tuple[str, str]]] = {
    "cut": (completion("<think>so", "length"), ("<think>so", "length")),
    "filtered": (completion("some", "content_filter"), ("some", "refused")),
    "refused": (completion(None, "stop", refusal="I cannot."), ("", "refused")),
    "without an end": (completion("x", None), ("x", "stop")),
    "nothing": (completion(None), ("", "stop")),
    "parts": (completion([{"type": "text", "text": "a"}, {"text": "b"}, None]), ("ab", "stop")),  # type: ignore[arg-type]
    "a number": (completion(7), ("", "stop")),  # type: ignore[arg-type]
    "reasoning_content": (completion("1", reasoning_content="Up."), ("<think>\nUp.\n</think>\n1", "stop")),
    "reasoning": (completion("1", reasoning="Up."), ("<think>\nUp.\n</think>\n1", "stop")),
    "cut while it reasoned": (completion(None, "length", reasoning="Up and"), ("<think>\nUp and", "length")),
    "both": (completion("<think>Up.</think>1", reasoning="Up."), ("<think>Up.</think>1", "stop")),
    "opened by the template": (completion("Up.</think>1"), ("<think>\nUp.</think>1", "stop")),
}


@pytest.mark.parametrize("case", ENDS)
def test_how_an_answer_ended(case: str, ask: Callable[..., Endpoint]) -> None:
    body, wanted = ENDS[case]
    with StandIn([Say(body=body)]) as server:
        (answer,) = ask(server).answer([question()])
    assert (answer.text, answer.finish) == wanted


@pytest.mark.parametrize(
    "usage", [None, {}, [], {"prompt_tokens": -5, "completion_tokens": 1}, {"prompt_tokens": "x"}, {"prompt_tokens": 1e400}]
)
def test_without_a_count_the_most_is_paid(usage: Any, ask: Callable[..., Endpoint]) -> None:
    with StandIn([Say(body=completion() | {"usage": usage})]) as server:
        endpoint = ask(server, price_prompt=1.0, price_completion=10.0)
        (answer,) = endpoint.answer([question()])
    worst = (endpoint.count_tokens(question().messages) * 1.0 + 100 * 10.0) / 1e6
    assert answer.finish == "stop" and answer.prompt_tokens in (0, 1)
    assert answer.cost == pytest.approx(worst) and endpoint.counts["cost"] == pytest.approx(worst)


def test_the_cap_holds_when_many_ask_at_once(ask: Callable[..., Endpoint]) -> None:
    most = 500

    def reply(asked: Asked) -> Say:
        return Say(body=completion() | {"usage": {"prompt_tokens": 20, "completion_tokens": asked.body["max_tokens"]}})

    with StandIn(reply) as server:
        endpoint = ask(server, concurrency=16, price_completion=1000.0, cost_cap=3.2)  # an answer of 500 tokens costs 0.5
        with pytest.raises(
            Unsupported, match=r"the cost cap of 3.2 is reached: 3 is spent, and the next request could cost 0.5; raise TIME_R1_COST_CAP"
        ):
            endpoint.answer([question(str(k), max_tokens=most) for k in range(40)])
        assert len(server.asked) == 6 and sum(asked.body["max_tokens"] for asked in server.asked) == 6 * most
        assert endpoint.counts["cost"] == 3.0 and endpoint.counts["requests"] == 6
        with pytest.raises(Unsupported, match="the cost cap"):
            endpoint.answer([question()] * 9 + [question(max_tokens=201)])
    assert endpoint.counts["cost"] <= 3.2


def test_a_cap_is_used_up_where_answers_turn_out_cheaper(ask: Callable[..., Endpoint]) -> None:
    with StandIn() as server:  # 5 tokens where 500 could have been: all 12 fit, though not all at once
        endpoint = ask(server, concurrency=16, price_completion=1000.0, cost_cap=1.0)
        answers = endpoint.answer([question(str(k), max_tokens=500) for k in range(12)])
    assert len(answers) == 12 and endpoint.counts["cost"] == pytest.approx(12 * 5 / 1000)


def test_lost_answers_count_against_the_cap_and_refused_ones_do_not(ask: Callable[..., Endpoint]) -> None:
    with StandIn([Say(cut=20)]) as server:
        endpoint = ask(server, attempts=10, price_completion=1000.0, cost_cap=0.35)
        with pytest.raises(Unsupported, match=r"0\.3 is spent"):
            endpoint.answer([question(), question("b")])
        assert len(server.asked) == 3 and endpoint.counts["cost"] == pytest.approx(0.3)
    with StandIn([Say(503)]) as server:
        endpoint = ask(server, attempts=10, price_completion=1000.0, cost_cap=0.35)
        assert endpoint.answer([question()])[0].attempts == 10 and endpoint.counts["cost"] == 0


def test_a_budget_wakes_those_that_wait_in_another_thread() -> None:
    budget = Budget(1.0, 1.0, 1.0)
    held = asyncio.run(budget.reserve(0.8))
    got: list[int] = []
    thread = threading.Thread(target=lambda: got.append(asyncio.run(budget.reserve(0.5))))
    thread.start()
    assert settle(lambda: bool(budget._waiting))
    budget.settle(held, 0.1)
    thread.join(5)
    assert got and budget.spent == 0.1


async def _times(rates: Rates, clock: Clock, tokens: list[int]) -> list[float]:
    found = []
    for count in tokens:
        await rates.acquire(count)
        found.append(clock.now - 1000.0)
    return found


def test_no_minute_has_more_than_its_limit(clock: Clock) -> None:
    assert asyncio.run(_times(Rates(2, None, clock, clock.sleep), clock, [1] * 5)) == [0, 0, 60, 60, 120]
    clock.now = 1000.0
    assert asyncio.run(_times(Rates(None, 100, clock, clock.sleep), clock, [60, 40, 10, 95, 500, 1])) == [0, 0, 60, 120, 180, 240]
    clock.now = 1000.0
    rates = Rates(3, 100, clock, clock.sleep)

    async def together() -> list[float]:
        async def one(count: int) -> float:
            return (await rates.acquire(count)).time - 1000.0

        return await asyncio.gather(*(one(count) for count in (50, 40, 5, 5, 70, 30)))

    times = asyncio.run(together())
    assert times == [0, 0, 0, 60, 60, 120]  # the fourth is the fourth of its minute; 5 + 70 fit, 30 more do not
    clock.now = 1000.0
    rates = Rates(1, None, clock, clock.sleep)

    async def corrected() -> list[float]:
        rates.tokens, rates.requests = 100, None
        slot = await rates.acquire(90)
        slot.tokens = 10
        return await _times(rates, clock, [80, 20])

    assert asyncio.run(corrected()) == [0, 60]


def test_a_request_may_have_to_wait_for_several(clock: Clock) -> None:
    rates = Rates(None, 100, clock, clock.sleep)
    assert asyncio.run(_times(rates, clock, [50])) == [0]
    clock.now += 10
    assert asyncio.run(_times(rates, clock, [50, 100])) == [10, 70]


def test_a_pause_that_comes_while_others_wait_keeps_the_limit(clock: Clock) -> None:
    async def run() -> list[float]:
        begun = asyncio.Event()

        async def sleep(seconds: float) -> None:
            end = clock.now + seconds
            await begun.wait()
            clock.now = max(clock.now, end)

        rates = Rates(1, None, clock, sleep)
        await rates.acquire(1)
        waiting = [asyncio.create_task(rates.acquire(1)) for _ in range(3)]
        while len(rates._slots) < 4:
            await asyncio.sleep(0)
        rates.pause(200)
        begun.set()
        return sorted(slot.time - 1000.0 for slot in await asyncio.gather(*waiting))

    assert asyncio.run(run()) == [200, 260, 320]


def test_rates_hold_for_an_endpoint(ask: Callable[..., Endpoint], clock: Clock) -> None:
    with StandIn([Say(503), Say()]) as server:
        ask(server, requests_per_minute=2, concurrency=1).answer([question("a"), question("b")])
    assert len(server.asked) == 3 and clock.now == 1060.0  # the second try counts as well


def test_an_answer_counts_with_the_tokens_that_it_took(ask: Callable[..., Endpoint], clock: Clock) -> None:
    with StandIn() as server:  # two together could take more than the limit; the first took 15
        endpoint = ask(server, tokens_per_minute=300, concurrency=1)
        assert 150 < endpoint.count_tokens(question().messages) + 100 < 285
        endpoint.answer([question("a"), question("b")])
    assert clock.now == 1000.0 and not clock.slept


def _everything(error: BaseException) -> str:
    """What anybody could print of an error."""
    seen = io.StringIO()
    while error is not None:
        seen.write("".join(traceback.format_exception(error)) + repr(error) + repr(vars(error)))
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return seen.getvalue()


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv(VARIABLE, SECRET)
    yield VARIABLE


def test_the_key_is_seen_by_the_endpoint_and_by_nobody_else(
    key: str, ask: Callable[..., Endpoint], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    caplog.set_level(logging.DEBUG)
    replies = [
        Say(500, {"error": {"message": "you sent KEY to me"}}, echo=True),
        Say(429, b"KEY KEY", echo=True),
        Say(body=completion("the header was KEY"), echo=True),
        Say(400, {"error": "do not send KEY"}, echo=True),
        Say(body=b"KEY", echo=True),
        Say(body=completion("KEY", "length", reasoning="I was given KEY"), echo=True),
        Say(401, {"error": {"message": "Incorrect API key provided: KEY"}}, echo=True),
    ]
    errors = []
    with StandIn(replies) as server:
        endpoint = ask(server, key_variable=key, concurrency=1)
        kept = Kept(endpoint, tmp_path / "answers")
        answers = kept.answer([question("a")]) + kept.answer([question("b")]) + kept.answer([question("c")]) + kept.answer([question("d")])
        with pytest.raises(Unsupported, match="refuses the key") as caught:
            kept.answer([question("e")])
        errors.append(caught.value)
    assert [asked.headers["authorization"] for asked in server.asked] == [f"Bearer {SECRET}"] * 7
    assert [answer.finish for answer in answers] == ["stop", "error", "error", "length"]
    assert answers[0].text == "the header was Bearer ***" and "do not send Bearer ***" in answers[1].error
    files = b"".join(path.read_bytes() for path in (tmp_path / "answers").rglob("*") if path.is_file())
    assert files.count(b"the header was") == 1
    seen = [repr(endpoint), repr(endpoint.key), json.dumps(endpoint.identity), repr(answers), repr(vars(endpoint)), repr(kept.__dict__)]
    seen += [_everything(error) for error in errors] + [files.decode(), caplog.text, *map(str, capfd.readouterr())]
    seen += [repr(record.__dict__) for record in caplog.records]
    for text in seen:
        assert SECRET not in text and "Never" not in text


def _disguised() -> dict[str, str]:
    """The ways in which an endpoint may repeat a key, by their names."""
    b64 = lambda text: base64.b64encode(text.encode()).decode()  # noqa: E731
    each = {f"base64 {k} in": b64("x" * k + SECRET) for k in range(7)} | {
        f"base64 {k} in a text": b64("x" * k + f"{SECRET}\r\n") for k in range(3)
    }
    return each | {
        "itself": SECRET,
        "upper": SECRET.upper(),
        "lower": SECRET.lower(),
        "URL": quote(SECRET, safe=""),
        "URL in small letters": re.sub("%..", lambda code: code[0].lower(), quote(SECRET, safe="")),
        "all of it in percent": "".join(f"%{ord(letter):02X}" for letter in SECRET),
        "URL twice": quote(quote(SECRET, safe=""), safe=""),
        "Bearer": b64(f"Bearer {SECRET}"),
        "user": b64(f"user:{SECRET}"),
        "base64 for an URL": base64.urlsafe_b64encode(f"?:{SECRET}".encode()).decode().rstrip("="),
        "base64 in an URL": quote(b64(f"user:{SECRET}"), safe=""),
        "slashes of JSON": SECRET.replace("/", r"\/"),
        "codes of JSON": "".join(rf"\u{ord(letter):04X}" for letter in SECRET),
        "JSON in JSON": json.dumps(SECRET.replace("/", r"\/")),
        "HTML": SECRET.replace("/", "&#x2F;").replace("+", "&#43;"),
        "hex": SECRET.encode().hex(),
        "hex with colons": SECRET.encode().hex(":").upper(),
    }


@pytest.mark.parametrize("name", _disguised())
def test_the_key_is_known_in_its_disguises(name: str, ask: Callable[..., Endpoint], key: str) -> None:
    text = _disguised()[name]
    with StandIn([Say(body=completion(f"It is {text}, I think."))]) as server:
        (answer,) = ask(server, key_variable=key).answer([question()])
    assert re.fullmatch(r"It is (\S{1,12})?\*\*\*\S{0,5}, I think\.", answer.text), answer.text
    left = re.sub("[^A-Za-z0-9+/]", "", answer.text.removeprefix("It is ").removesuffix(", I think."))
    assert b"Nev" not in base64.b64decode(left[: len(left) // 4 * 4]) and "eve" not in left


@pytest.mark.parametrize("status", [200, 400])
def test_a_text_is_cut_behind_the_scrubbing(status: int, ask: Callable[..., Endpoint], key: str) -> None:
    """Wherever the cut falls, it leaves no beginning of the key."""
    places = [*range(52, 82, 6), *range(272, 302, 6)]
    for make_body in (
        lambda text: text.encode(),
        lambda text: {"error": {"message": text}},
        lambda text: completion(None, "content_filter", refusal=text),
    ):
        with StandIn(lambda asked: Say(status, make_body("." * int(asked.body["messages"][-1]["content"]) + SECRET))) as server:  # noqa: B023
            answers = ask(server, key_variable=key).answer([question(str(place)) for place in places])
        assert len(answers) == len(places)
        for answer in answers:
            assert "sk" not in answer.error and len(answer.error) <= 320, answer.error


def test_a_text_that_nearly_is_the_key_stays() -> None:
    """Also a long one: a search that went back again and again would not end."""
    pattern = disguises(SECRET)
    for near in ("\\", "s", "%25", "&#x0", SECRET[:-1] + " ", base64.b64encode(SECRET.encode()).decode()[:-4] + " "):
        text = near * (50_000 // len(near))
        assert pattern.sub("***", text) == text
    assert pattern.sub("***", "Nothing here: 12.5 -3 sk-Never") == "Nothing here: 12.5 -3 sk-Never"


def test_other_requests_of_the_same_libraries_may_be_logged(caplog: pytest.LogCaptureFixture, ask: Callable[..., Endpoint]) -> None:
    with StandIn() as server, caplog.at_level(logging.DEBUG):
        ask(server).answer([question()])
        assert not [
            record for record in caplog.records if record.name.partition(".")[0] in ("openai", "httpx", "httpx2", "httpcore", "httpcore2")
        ]
        logging.getLogger("httpx2").info("another's")
    assert "another's" in caplog.text


def test_which_key_goes_where(monkeypatch: pytest.MonkeyPatch, ask: Callable[..., Endpoint]) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-of-mine")
    monkeypatch.setenv("OPENAI_ADMIN_KEY", SECRET)
    with StandIn() as server:
        ask(server).answer([question()])  # it is meant for another host
        assert "authorization" not in server.asked[0].headers and "openai-organization" not in server.asked[0].headers
        monkeypatch.setenv("TIME_R1_API_KEY", "general-key")
        ask(server).answer([question()])
        ask(server, key_variable="OPENAI_API_KEY").answer([question()])
    assert [asked.headers.get("authorization") for asked in server.asked[1:]] == ["Bearer general-key", f"Bearer {SECRET}"]
    monkeypatch.delenv("TIME_R1_API_KEY")
    assert Endpoint("https://api.openai.com/v1", "gpt").key.variable == "OPENAI_API_KEY"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "password": ({"url": "https://me:sk-Never@host/v1"}, "got a name or a password before the host host; wanted none"),
    "query": ({"url": f"https://host/v1?key={SECRET}"}, r"got something behind \? or #, at the host host"),
    "no address": ({"url": "localhost:8000"}, "url got 'localhost:8000'; wanted an address such as http://localhost"),
    "a bad port": ({"url": f"http://host:{SECRET}/v1"}, "url got a text that is no address"),
    "another scheme": ({"url": "file:///etc/passwd"}, "wanted an address"),
    "no url": ({"url": 7}, "url got 7"),
    "a line break": ({"url": "https://ho\nst/v1"}, "url got a text with a blank, a line break"),
    "a line break behind": ({"url": "https://host/v1\n"}, "url got a text with a blank, a line break"),
    "a blank": ({"url": "https://host/a v1"}, "url got a text with a blank, a line break"),
    "a control": ({"url": "https://host/\x1b[2J"}, "url got a text with a blank, a line break"),
    "half a letter": ({"url": "https://host/\ud800"}, "url got a text with a blank, a line break"),
    "half a letter served": ({"model": "\ud800"}, r"model got '\\ud800'; wanted the model's name"),
    "a control served": ({"model": "a\x00b"}, "wanted the model's name"),
    "a blank served": ({"model": "m\n"}, "wanted the model's name"),
    "the key in the url": (
        {"url": f"https://host/{SECRET}/v1", "key_variable": VARIABLE},
        "the key in A_KEY_OF_THE_TESTS stands in url, served or extra",
    ),
    "the key in extra": (
        {"extra": {"token": [SECRET]}, "key_variable": VARIABLE},
        "the key in A_KEY_OF_THE_TESTS stands in url, served or extra",
    ),
    "plain": (
        {"url": "http://host/v1", "key_variable": VARIABLE},
        "key in A_KEY_OF_THE_TESTS would be sent where others can read it; wanted https",
    ),
    "not set": ({"key_variable": "NO_SUCH_VARIABLE"}, "NO_SUCH_VARIABLE is not set.*export NO_SUCH_VARIABLE="),
    "the key itself": ({"key_variable": SECRET}, "key_variable got a text that is no name; wanted the name of the variable"),
    "no model": ({"model": ""}, "model got ''; wanted the model's name"),
    "no prices": ({"cost_cap": 1.0}, "cost cap of 1.0 and no prices; wanted those of a million tokens.*TIME_R1_PRICES="),
    "taken": ({"extra": {"n": 4, "reasoning_effort": "low"}}, "extra got n; wanted"),
    "concurrency": ({"concurrency": 0}, "concurrency got 0"),
    "rates": ({"tokens_per_minute": 0.5}, "tokens_per_minute got 0.5"),
    "field": ({"limit_field": "max_token"}, "limit_field got 'max_token'.*Did you mean 'max_tokens'"),
}


@pytest.mark.usefixtures("key")
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_said_without_secrets(case: str) -> None:
    options, wanted = REFUSED[case]
    with pytest.raises(UsageError, match=wanted) as caught:
        Endpoint(**({"url": "https://host/v1", "model": "m"} | options))
    assert "Never" not in str(caught.value) and SECRET not in _everything(caught.value)


def test_a_key_that_no_header_can_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "sk-one two")
    with pytest.raises(UsageError, match="holds a letter that no key has") as caught:
        Endpoint("https://host/v1", "m", key_variable=VARIABLE)
    assert "sk-one" not in str(caught.value)
    monkeypatch.setenv(VARIABLE, "sk-one\n")  # as `cat` leaves it
    assert Endpoint("http://10.0.0.7/v1/chat/completions/", "m", key_variable=VARIABLE, insecure=True).url == "http://10.0.0.7/v1"


def test_a_loop_that_runs_is_not_in_the_way(ask: Callable[..., Endpoint]) -> None:
    async def inside(server: StandIn) -> list[Answer]:
        return ask(server).answer([question()])

    with StandIn([Say(), Say(401)]) as server:
        assert asyncio.run(inside(server))[0].finish == "stop"
        with pytest.raises(Unsupported):
            asyncio.run(inside(server))


def test_tokens_are_never_counted_too_few() -> None:
    endpoint = Endpoint("http://localhost/v1", "m", context_length=77)
    messages = [Message("user", "1.25 é 漢字\ud800")]
    assert endpoint.count_tokens(messages) >= 5 + 3 + 7 + 1 and endpoint.context_length == 77


# Answers on disk


class Backend:
    """Answers by counting."""

    def __init__(self, **identity: Any) -> None:
        self.identity, self.context_length, self.seen = identity, 9, list[Request]()
        self.finish, self.closed = "stop", False

    @property
    def counts(self) -> dict[str, float]:
        return {"requests": len(self.seen), "attempts": 0, "cached": 0, "errors": 0, "prompt_tokens": 0, "completion_tokens": 0, "cost": 0}

    def answer(self, requests: Sequence[Request], each: Callable[[int, Answer], object] | None = None) -> list[Answer]:
        self.seen += requests
        error = "why" if self.finish == "error" else ""
        answers = [Answer(f"{r.messages[-1].content} {r.seed} é\ud800", self.finish, error, 3, 4, 2, 0.5, 1.0) for r in requests]
        for place, answer in enumerate(answers):
            if each is not None:
                each(place, answer)
        return answers

    def count_tokens(self, messages: Any) -> int:
        return len(messages)

    def close(self) -> None:
        self.closed = True


def test_a_question_is_asked_once(tmp_path: Path) -> None:
    backend = Backend(model="m")
    kept = Kept(backend, tmp_path)
    first = kept.answer([question("a"), question("b"), question("a")])
    assert len(backend.seen) == 2 and [answer.attempts for answer in first] == [2, 2, 0]
    again = Kept(backend, tmp_path)
    second = again.answer([question("c"), question("b"), question("a")])
    assert [request.messages[-1].content for request in backend.seen] == ["a", "b", "c"]
    assert second[2] == replace(first[0], attempts=0, cost=0.0, seconds=0.0) and second[0].attempts == 2
    assert again.counts["requests"] == 3 + 2 and again.counts["cached"] == 2
    assert kept.count_tokens([Message("user", "")]) == 1 and kept.context_length == 9 and kept.identity == {"model": "m"}
    kept.close()
    assert backend.closed


def test_all_that_decides_an_answer_is_in_its_name(tmp_path: Path) -> None:
    base = question("a")
    changes: list[dict[str, Any]] = [{"temperature": 0.1}, {"top_p": 0.1}, {"max_tokens": 5}, {"stop": ("x",)}]
    others = [
        replace(base, seed=2),
        replace(base, messages=base.messages[1:]),
        replace(base, messages=(Message("user", base.messages[0].content), base.messages[1])),
        *(replace(base, sampling=replace(base.sampling, **change)) for change in changes),
    ]
    backend = Backend(model="m")
    Kept(backend, tmp_path).answer([base, *others])
    assert len(backend.seen) == 8
    other = Backend(model="n")
    Kept(other, tmp_path).answer([base])
    assert len(other.seen) == 1


@pytest.mark.parametrize("finish", ["error", "refused"])
def test_what_failed_is_asked_again(finish: str, tmp_path: Path) -> None:
    backend = Backend()
    backend.finish = finish
    kept = Kept(backend, tmp_path / "there")
    kept.answer([question()])
    assert kept.answer([question()])[0].finish == finish and len(backend.seen) == 2 and not (tmp_path / "there").exists()


def test_a_damaged_entry_is_none(tmp_path: Path) -> None:
    backend = Backend()
    kept = Kept(backend, tmp_path)
    kept.answer([question()])
    (path,) = tmp_path.rglob("*.json")
    whole = path.read_bytes()
    entry = json.loads(whole)
    changed = entry | {"answer": entry["answer"] | {"text": "another"}}
    negative = entry["answer"] | {"completion_tokens": -1}
    for k, data in enumerate(
        [
            json.dumps(entry | {"answer": negative, "hash": _hash(negative)}).encode(),
            whole[:-9],
            b"",
            b"null",
            b"\xff",
            b"[" * 99_999,
            json.dumps(changed).encode(),
            json.dumps({"key": 1}).encode(),
        ]
    ):
        path.write_bytes(data)
        assert kept.answer([question()])[0].attempts == 2 and len(backend.seen) == k + 2
        assert path.read_bytes() == whole  # and is made good
    assert kept.answer([question()])[0].attempts == 0


def test_a_full_disk_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    kept = Kept(Backend(), tmp_path)
    answers = kept.answer([question("a"), question("b")])
    assert (
        [answer.finish for answer in answers] == ["stop", "stop"]
        and not list(tmp_path.rglob("*.json"))
        and not list(tmp_path.rglob("*.tmp"))
    )
    assert [record.getMessage() for record in caplog.records if "are not kept" in record.getMessage()] == [
        next(record.getMessage() for record in caplog.records)
    ] and "No space left" in caplog.text  # fmt: skip


@pytest.mark.parametrize("what", ["a pipe", "a folder"])
def test_what_is_no_file_is_no_entry(what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    Kept(Backend(), tmp_path).answer([question()])
    (path,) = tmp_path.rglob("*.json")
    path.unlink()
    os.mkfifo(path) if what == "a pipe" else path.mkdir()
    found: list[Answer] = []
    thread = threading.Thread(target=lambda: found.extend(Kept(Backend(), tmp_path).answer([question()])), daemon=True)
    thread.start()
    thread.join(10)  # where it waited for a writer, it would for ever
    assert [answer.attempts for answer in found] == [2]
    assert f"{path} is {what}; remove it, or give another folder: TIME_R1_ANSWERS=FOLDER" in caplog.text


def test_a_folder_that_is_a_file_costs_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("mine")
    kept = Kept(Backend(), tmp_path / "file")
    assert [answer.attempts for _ in range(2) for answer in kept.answer([question("a"), question("b")])] == [2] * 4
    assert [record.levelname for record in caplog.records] == ["WARNING"] and "are not kept from here on" in caplog.text
    assert (tmp_path / "file").read_text() == "mine"


def test_two_processes_share_a_folder(tmp_path: Path) -> None:
    """Both write the same entries again and again; what is read is whole, and the last of them is."""
    program = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
from harness_time_r1.backends.contract import Answer
from harness_time_r1.backends.kept import Kept
kept = Kept(None, sys.argv[1])
answer = Answer("x" * 20_000)
for turn in range(8):
    kept._write("ab" + "0" * 62, answer)
    assert kept._read("ab" + "0" * 62).text == answer.text
assert not kept._unwritten
"""
    both = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], stderr=subprocess.PIPE) for _ in range(2)]
    assert [(process.communicate(timeout=60)[1], process.returncode) for process in both] == [(b"", 0)] * 2
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["0" * 62 + ".json"]


def test_the_cache_is_in_the_harnesss_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    Kept(Backend()).answer([question()])
    assert len(list((tmp_path / "time-r1" / "answers").glob("??/*.json"))) == 1


def test_many_at_once_share_a_folder(tmp_path: Path) -> None:
    wanted = [question(str(k)) for k in range(10)]
    found: list[list[str]] = []

    def work() -> None:
        found.append([answer.text for answer in Kept(Backend(), tmp_path).answer(wanted)])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all(texts == found[0] for texts in found)
    last = Backend()
    assert [answer.text for answer in Kept(last, tmp_path).answer(wanted)] == found[0] and not last.seen


def test_what_was_paid_for_is_kept_when_the_cap_ends_it(tmp_path: Path, ask: Callable[..., Endpoint]) -> None:
    with StandIn() as server:
        asked = [question(str(k)) for k in range(5)]
        with pytest.raises(Unsupported, match="cap"):
            Kept(ask(server, concurrency=1, price_completion=1000.0, cost_cap=0.112), tmp_path).answer(asked)
        assert len(server.asked) == 3  # 0.1 is set aside for each, 0.005 is spent
        second = Kept(ask(server, concurrency=1), tmp_path)
        assert [answer.attempts for answer in second.answer(asked)] == [0, 0, 0, 1, 1] and second.counts["cached"] == 3


def test_an_endpoint_that_is_away_is_not_asked_for_ever(ask: Callable[..., Endpoint]) -> None:
    with StandIn([Say(status=503)]) as server:
        endpoint = ask(server, attempts=2, concurrency=4)
        with pytest.raises(Unsupported, match=r"answered none of 8 requests in 2 tries: HTTP 503"):
            endpoint.answer([question(str(k)) for k in range(40)])
        assert len(server.asked) <= 2 * (8 + 4)
    with StandIn([*[Say(status=503)] * 7, Say()] * 5) as server:  # one that answers now and then goes on
        endpoint = ask(server, attempts=1, concurrency=1)
        assert [answer.finish for answer in endpoint.answer([question(str(k)) for k in range(40)])] == [*["error"] * 7, "stop"] * 5
