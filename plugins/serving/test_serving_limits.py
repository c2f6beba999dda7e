"""Malformed, huge and slow requests over real sockets are refused without harm; the OpenAPI document tells the truth (schemathesis)."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from harness_serving.guard import Access
from harness_serving.limits import FREE_CHUNKS, LEAST_CHUNK, Limits, Refused
from harness_serving.reading import most_parts, parse
from harness_serving.schema import request_model
from harness_serving.served import Served
from serving_kit import TOKEN, Running, serving, until

from harness.plugins import load
from harness.types import ModelInfo

LIMITS = Limits(queue=64, timeout=20, max_series=20, max_context=2000, max_horizon=40, max_body=20_000)


def light() -> Served:
    return Served(load().model("seasonal_naive"), {})


@pytest.fixture(scope="module")
def server() -> Iterator[Running]:
    with serving(light(), LIMITS) as running:
        yield running
        assert running.forecast([1, 2, 3])[0] == 200  # after all that was done to it
        assert running.counter("harness_requests_total", path="/v1/forecast", status="500") == 0
        assert running.counter("harness_worker_restarts_total") == 0
        assert running.service.bodies.held == 0


@pytest.fixture(scope="module")
def impatient() -> Iterator[Running]:
    with serving(light(), Limits(read_timeout=0.3, max_body=1000, max_series=4)) as running:
        yield running
        assert running.forecast([1, 2, 3])[0] == 200
        assert running.service.bodies.held == 0


def body(**changed: Any) -> dict[str, Any]:
    return {"series": [{"target": [1, 2, 3]}], "horizon": 2, "freq": "D", **changed}


def test_the_same_as_the_model_says(server: Running) -> None:
    rng = np.random.default_rng(0)
    targets = [rng.normal(size=n).astype(np.float32) for n in (3, 50, 200)]
    found = server.forecast(*[t.tolist() for t in targets], horizon=30, freq="H")[1]
    from harness_baselines import SeasonalNaive

    from harness import Batch

    direct = SeasonalNaive().predict(Batch.from_contexts(targets, 30, freq="H", season_length=24))
    for n, one in enumerate(found["forecasts"]):
        assert direct.mean is not None
        np.testing.assert_array_equal(np.array(one["mean"], np.float32), direct.mean[n])
        np.testing.assert_array_equal(np.array(list(one["quantiles"].values()), np.float32), direct.values[n])
    assert found["season_length"] == 24


@pytest.mark.parametrize(
    ("sent", "status", "text"),
    [
        (b"", 400, "Invalid JSON: EOF while parsing a value at line 1 column 0"),
        (b"\xff\xfe", 400, "Invalid JSON: expected value at line 1 column 1"),
        (b"[" * 20_000, 400, "Invalid JSON: recursion limit exceeded"),
        (b'{"a":' * 3000, 400, "Invalid JSON: recursion limit exceeded"),
        (b'{"series": [{"target": [' + b"9" * 6000 + b"]}]}", 400, "Invalid JSON: number out of range"),
        (b"[]", 422, "the body: Input should be an object"),
        (b'{"series": [{"target": [NaN]}], "horizon": 1, "freq": "D"}', 422, "series.0.target.0: Input should be a finite number"),
        (b'{"series": [{"target": [-Infinity]}], "horizon": 1, "freq": "D"}', 422, "series.0.target.0: Input should be a finite number"),
        (b'{"series": [{"target": [1e999]}], "horizon": 1, "freq": "D"}', 422, "series.0.target.0: Input should be a finite number"),
        (b'{"series": [{"target": [1e39]}], "horizon": 1, "freq": "D"}', 422, "series.0.target.0: Input should be less than or equal"),
        (b'{"series": [{"target": [' + b'"1",' * 1500 + b'"1"]}]}', 422, "series.0.target.0: Input should be a valid number"),
    ],
)  # fmt: skip
def test_bodies_that_are_refused(server: Running, sent: bytes, status: int, text: str) -> None:
    got, _, found = server.ask(body=sent)
    assert (got, found["error"][: len(text)]) == (status, text)
    assert found["error"].count("target") <= 1  # one complaint, not one for each value


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"series": []}, "series: List should have at least 1 item"),
        ({"series": [{"target": [1]}] * 21}, "series: List should have at most 20 items"),
        ({"series": [{"target": []}]}, "series.0.target: List should have at least 1 item"),
        ({"series": [{"target": [1] * 2001}]}, "series.0.target: List should have at most 2000 items"),
        ({"series": [{"target": [True]}]}, "series.0.target.0: Input should be a valid number"),
        ({"series": [{"target": [1], "past_covariates": {"x": [1]}}]}, "series.0.past_covariates: model 'seasonal_naive' reads no past c"),
        ({"series": [{"target": [1], "start": "2024-02-30"}]}, "series.0.start: got '2024-02-30'; wanted an ISO time"),
        ({"series": [{"target": [1], "start": "2024-02-01T00:00:00.5"}]}, "series.0.start: got '2024-02-01T00:00:00.5'; wanted whole"),
        ({"series": [{"target": [1], "start": "9999-12-31"}]}, "series.0: 1 + 2 steps of 'D' from 9999-12-31T00:00:00 reach"),
        ({"freq": "9999999A"}, "series.0: 3 + 2 steps of '9999999A' from 2000-01-01T00:00:00 reach beyond the year 9999"),
        ({"freq": "fortnight"}, "freq: wanted a step as pandas writes it"),
        ({"horizon": 0}, "horizon: Input should be greater than or equal to 1"),
        ({"horizon": 41}, "horizon: Input should be less than or equal to 40"),
        ({"horizon": 1.0}, "horizon: Input should be a valid integer"),
        ({"horizon": "2"}, "horizon: Input should be a valid integer"),
        ({"seed": -1}, "seed: Input should be greater than or equal to 0"),
        ({"quantile_levels": [0.5, 0.5]}, "quantile_levels: two are the same"),
        ({"quantile_levels": [1]}, "quantile_levels.0: Input should be less than or equal to 0.999"),
        ({"season_lenght": 7}, "season_lenght: there is no such field"),
    ],
)  # fmt: skip
def test_values_that_are_refused(server: Running, changed: dict[str, Any], text: str) -> None:
    status, _, found = server.ask(body=body(**changed))
    assert (status, found["error"][: len(text)]) == (422, text)


def test_an_answer_that_would_be_huge(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness_serving.reading.MOST_NUMBERS", 19)
    assert server.ask(body=body())[2]["error"].startswith("the answer would have 1 series × 10 × 2 steps = 20 numbers; wanted at most 19")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Encoding": "gzip"}, 415),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
        ({"Host": "rebound.example"}, 403),
        ({"Host": "rebound.example:80"}, 403),
        ({"Host": "127.0.0.1"}, 403),  # another port: another server
        ({"Origin": "https://elsewhere.example"}, 200),
    ],
)
def test_headers(server: Running, headers: dict[str, str], status: int) -> None:
    got, answered, _ = server.ask(body=body(), headers=headers)
    assert got == status
    assert not [name for name in answered if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("OPTIONS", "/v1/forecast", 405),
        ("GET", "/v1/forecast", 405),
        ("GET", "/docs", 404),
        ("POST", "/health", 405),
        ("GET", "/../etc/passwd", 404),
        ("GET", "/health/", 404),
        ("POST", "/v1/forecast/", 404),
    ],
)
def test_other_paths(server: Running, method: str, path: str, status: int) -> None:
    got, _, found = server.ask(path, method=method)
    assert got == status
    assert set(found) == {"error"}


BOTH = ModelInfo("both", covariates=("past", "known"))


@pytest.mark.parametrize(
    "crowd",
    [
        b'{"horizon": 1, ' + b", ".join(b'"k%d": 1' % n for n in range(25_000)) + b"}",  # the first complaint of many
        b'{"series": [{"target": [1], "past_covariates": {' + b", ".join(b'"k%d" : "1"' % n for n in range(25_000)) + b"}}]}",
        b'{"horizon": 1, "x": [' + b"[]," * 25_000 + b"[]]}",
        b'{"horizon": 1, "x": [' + b"{}," * 25_000 + b"{}]}",
        b'{"\\"":1,"\\\\":1,' + b'"a":1,' * 25_000 + b'"b":1}',
        b'{"quantile_levels": [' + b'"1",' * 25_000 + b'"1"]}',
        b'"\\"' * 9 + b'":' * 60_000,  # no JSON; the quotes are closed somewhere
    ],
)
def test_a_crowd_of_fields_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, crowd: bytes) -> None:
    limits = Limits(max_series=2)
    model = request_model(limits, BOTH)
    monkeypatch.setattr(model, "model_validate_json", None)  # not even looked at
    with pytest.raises(Refused, match=r"more than 20000 strings \(names of fields, too\), lists and objects") as found:
        parse(crowd, model, BOTH, most_parts(limits, BOTH))
    assert found.value.status == 422


def test_what_stands_in_text_is_no_crowd() -> None:
    limits = Limits(max_series=2)
    name = ':[{\\"' * 10_000
    one = {"target": [1], "item_id": '":' * 50, "past_covariates": {name: [2]}}
    found = parse(json.dumps(body(series=[one])).encode(), request_model(limits, BOTH), BOTH, most_parts(limits, BOTH))
    assert list(found.series[0].past_covariates) == [name]


def test_the_largest_right_request_is_no_crowd() -> None:
    limits = Limits(max_series=300)
    names = [f"k{n}" for n in range(64)]
    one = {
        "target": [1], "start": "2024-01-01", "item_id": "a", "past_covariates": {name: [1] for name in names},
        "known_covariates": {name: [1, 1, 1] for name in names},
    }  # fmt: skip
    whole = body(series=[one] * 300, season_length=1, quantile_levels=[0.5], seed=1)
    sent, model, most = json.dumps(whole).encode(), request_model(limits, BOTH), most_parts(limits, BOTH)
    assert len(parse(sent, model, BOTH, most).series) == 300
    with pytest.raises(Refused, match="more than 80109"):  # it has all that a request can have
        parse(sent, model, BOTH, most - 1)


def said(answer: bytes) -> Any:
    """What the body of an answer holds."""
    return json.loads(answer.partition(b"\r\n\r\n")[2])


def head(server: Running, *lines: str) -> bytes:
    return "\r\n".join(
        [f"POST /v1/forecast HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nContent-Type: application/json", *lines, "", ""]
    ).encode()


def test_a_body_that_says_that_it_is_huge(server: Running) -> None:
    for size in ("20001", "9" * 19):
        with socket.create_connection(("127.0.0.1", server.port), 10) as sock:
            sock.sendall(head(server, f"Content-Length: {size}"))
            assert sock.recv(65536).startswith(b"HTTP/1.1 413 ")  # before a byte of it was sent


def chunked(size: int, count: int) -> bytes:
    return (f"{size:x}\r\n".encode() + b" " * size + b"\r\n") * count


def test_a_body_in_small_chunks(server: Running) -> None:
    begin = head(server, "Transfer-Encoding: chunked", "Connection: close")
    answer = server.raw(begin + chunked(1, 5 * FREE_CHUNKS))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert said(answer) == {"error": "the body comes in too many small chunks; wanted 512 bytes or more in each, or a Content-Length"}
    with socket.create_connection(("127.0.0.1", server.port), 10) as sock:  # one that is answered without its body
        sock.sendall(head(server, "Transfer-Encoding: chunked").replace(b"/v1/forecast", b"/other"))
        assert sock.recv(65536).startswith(b"HTTP/1.1 404 ")
        with contextlib.suppress(ConnectionError):
            sock.sendall(chunked(1, 2 * FREE_CHUNKS))
        until(lambda: cut_off(sock))
    allowed = chunked(1, FREE_CHUNKS) + chunked(LEAST_CHUNK, 20)
    assert b"Invalid JSON: EOF" in server.raw(begin + allowed + b"0\r\n\r\n")
    until(lambda: not server.server.server_state.connections)


def test_a_head_that_is_long(server: Running) -> None:
    lines = f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nConnection: close\r\n"
    assert server.raw(lines.encode() + b"a: b\r\n" * 1000 + b"\r\n").startswith(b"HTTP/1.1 200 ")
    assert server.raw(lines.encode() + b"a: b\r\n" * 10_000 + b"\r\n").startswith(b"HTTP/1.1 400 ")


def test_a_body_without_a_length(server: Running) -> None:
    chunk = b"1000\r\n" + b" " * 4096 + b"\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 10) as sock:
        sock.sendall(head(server, "Transfer-Encoding: chunked") + chunk * 5)
        assert sock.recv(65536).startswith(b"HTTP/1.1 413 ")
    whole = json.dumps(body()).encode()
    parts = b"".join(f"{len(whole[a : a + 7]):x}\r\n".encode() + whole[a : a + 7] + b"\r\n" for a in range(0, len(whole), 7))
    sent = head(server, "Transfer-Encoding: chunked", "Connection: close") + parts + b"0\r\n\r\n"
    assert server.raw(sent).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"POST /v1/forecast HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/forecast HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
        b"GET /health HTTP/1.1\r\nX: " + b"a" * 200_000,
        b"\r\n" * 50_000,
    ],
)
def test_what_is_no_request(impatient: Running, sent: bytes) -> None:
    answer = impatient.raw(sent)
    assert answer == b"" or answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 403 "))
    assert not answer or set(said(answer)) == {"error"}
    impatient.healthy()  # and whoever asks next is answered


def cut_off(sock: socket.socket) -> bool:
    """Send one more byte; whether the server has closed the connection."""
    sock.settimeout(0.02)
    try:
        sock.sendall(b"G")
        return not sock.recv(1000)
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_slow_heads_bodies_and_readers(impatient: Running) -> None:
    address = ("127.0.0.1", impatient.port)
    assert impatient.raw(b"GET /health HT") == b""  # a head that does not end
    with socket.create_connection(address, 10) as sock:  # a second one, byte by byte, on a connection that has had an answer
        sock.sendall(f"GET /health HTTP/1.1\r\nHost: 127.0.0.1:{impatient.port}\r\n\r\n".encode())
        assert sock.recv(65536).startswith(b"HTTP/1.1 200 ")
        until(lambda: cut_off(sock))
    with socket.create_connection(address, 10) as sock:  # a body that does not come, and then comes on and on
        sock.sendall(head(impatient, "Content-Length: 900") + b"{")
        assert sock.recv(65536).startswith(b"HTTP/1.1 408 ")
        until(lambda: cut_off(sock))
    with socket.socket() as sock:  # an answer that is not taken
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(address)
        asked = json.dumps(
            {"series": [{"target": [1, 2.5]}] * 4, "horizon": 1024, "freq": "D", "quantile_levels": [n / 100 for n in range(1, 50)]}
        )
        sock.sendall(head(impatient, f"Content-Length: {len(asked)}") + asked.encode())
        until(lambda: impatient.counter("harness_requests_total", path="/v1/forecast", status="200") > 0)
        until(lambda: not impatient.server.server_state.connections)


def test_memory_of_bodies_is_bounded(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.service.bodies, "held", Limits().held - 10)
    status, headers, found = server.ask(body=body())
    assert (status, headers["retry-after"], found["error"]) == (503, "1", "other requests fill the memory for bodies")
    assert server.service.bodies.held == Limits().held - 10


def test_connections_are_bounded(impatient: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness_serving.connection.MOST_CONNECTIONS", 0)
    answer = impatient.raw(b"GET /health HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert said(answer) == {"error": "too many connections"}


def test_the_document_is_true(server: Running) -> None:
    fuzz(server, {})


def test_the_document_is_true_with_a_token() -> None:
    with serving(light(), LIMITS, TOKEN) as server:
        fuzz(server, {"Authorization": f"Bearer {TOKEN}"}, only="/v1/models")


def fuzz(server: Running, headers: dict[str, str], only: str = "/") -> None:
    """Send what schemathesis makes of the OpenAPI document, right and wrong, and let it judge the answers."""
    pytest.importorskip("schemathesis", reason="schemathesis is not installed: pip install 'harness-serving[test]'")
    import schemathesis
    from hypothesis import HealthCheck, given, settings
    from schemathesis import GenerationMode
    from schemathesis.specs.openapi.checks import positive_data_acceptance

    seen = set()
    schema = schemathesis.openapi.from_url(f"http://127.0.0.1:{server.port}/openapi.json", headers=headers)
    for result in schema.get_all_operations():
        operation: Any = result.ok()  # type: ignore[union-attr]
        if not operation.path.startswith(only):
            continue
        for mode in GenerationMode:
            if mode == GenerationMode.NEGATIVE and operation.method != "post":
                continue  # nothing of a request without parameters can be wrong

            @settings(
                max_examples=15 if operation.method == "post" else 3,
                deadline=None,
                derandomize=True,
                database=None,
                suppress_health_check=list(HealthCheck),
            )
            @given(operation.as_strategy(generation_mode=mode))
            def check(case: Any) -> None:
                # What the schema cannot say (a real date, a year before 10000) may be refused although it is right by the schema.
                response = case.call(headers=headers)
                case.validate_response(response, excluded_checks=[positive_data_acceptance], headers=headers)
                seen.add((case.path, response.status_code))

            check()
    if only == "/":
        assert {status for path, status in seen if path == "/v1/forecast"} >= {200, 422}
    assert not {status for _, status in seen if status >= 500}


def test_the_document_names_every_answer(server: Running) -> None:
    made = server.ask("/openapi.json")[2]
    assert set(made["paths"]) == {"/health", "/metrics", "/v1/forecast", "/v1/models"}
    answers = made["paths"]["/v1/forecast"]["post"]["responses"]
    assert set(answers) == {"200", "400", "401", "403", "408", "413", "415", "422", "500", "503"}
    request = made["components"]["schemas"]["ForecastRequest"]
    assert request["properties"]["horizon"]["maximum"] == 40
    assert "past_covariates" not in made["components"]["schemas"]["Series"]["properties"]


def allowed(access: Access, path: str, host: str, shown: str = "") -> bool:
    headers = [(b"host", host.encode())] + ([(b"authorization", f"Bearer {shown}".encode())] if shown else [])
    try:
        access.check(path, headers)
    except Refused:
        return False
    return True


def test_a_name_of_another_gets_no_more_with_a_token_than_without() -> None:
    """A page of the web may reach this machine under a name of its own; a proxy has one too, and shows the token."""
    own, token = "127.0.0.1:8000", "x" * 32
    bare, guarded, exposed = Access("", False, 8000), Access(token, False, 8000), Access(token, True, 8000)
    assert allowed(bare, "/metrics", own) and not allowed(bare, "/metrics", "evil.example:8000")
    assert allowed(guarded, "/metrics", own) and not allowed(guarded, "/metrics", "evil.example:8000")
    assert allowed(guarded, "/metrics", "proxy.example", token) and not allowed(exposed, "/metrics", own)
    assert allowed(guarded, "/health", "evil.example:8000") and not guarded.trusted([(b"host", b"evil.example:8000")])
    assert guarded.trusted([(b"host", own.encode())]) and not exposed.trusted([(b"host", own.encode())])


def test_another_address_of_loopback_answers_to_itself() -> None:
    assert allowed(Access("", False, 8000, "127.0.0.2"), "/v1/forecast", "127.0.0.2:8000")
    assert not allowed(Access("", False, 8000), "/v1/forecast", "127.0.0.2:8000")


def test_what_a_frequency_is_and_a_series_without_a_value(server: Running) -> None:
    for sent, said in (
        ({"series": [{"target": [1, 2]}], "horizon": 1, "freq": "days"}, "freq: wanted a step as pandas writes it: H, 15T, D, W-SUN, M"),
        ({"series": [{"target": [1]}, {"target": [None, None]}], "horizon": 1, "freq": "D"}, "series.1.target: every value is missing"),
    ):
        status, _, found = server.ask(body=sent)
        assert status == 422 and found["error"].startswith(said)
