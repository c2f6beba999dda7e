"""A server over real sockets: forecasts, batches, limits of the queue, workers that crash and hang."""

from __future__ import annotations

import errno
import json
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness_serving.limits import Limits
from serving_kit import TOKEN, Running, found_by_workers, served, serving, until

LIMITS = Limits(
    max_batch=8, max_wait_ms=1, queue=4, timeout=20, read_timeout=5, max_series=20, max_context=50, max_horizon=9, max_body=20_000
)
CRASH, HANG, NAN, UNSUPPORTED, RAISE, MEMORY, SLOW, SURE = 666, 777, 888, 999, 555, 444, 222, 111


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with found_by_workers(tmp_path_factory.mktemp("tricky") / "site") as file:
        yield file


@pytest.fixture(scope="module")
def shared(gate: Path) -> Iterator[Running]:
    assert not gate.exists()
    with serving(served("tricky"), LIMITS) as running:
        yield running


@pytest.fixture
def go(gate: Path) -> Iterator[Path]:
    """A file that is not there: when it is, the slow model goes on."""
    yield gate
    gate.unlink(missing_ok=True)


@pytest.fixture
def server(shared: Running, go: Path) -> Running:
    assert not go.exists()
    shared.healthy()
    return shared


@pytest.fixture
def busy(server: Running, go: Path) -> Iterator[ThreadPoolExecutor]:
    """The model is at work on a request until `go` is there; threads for more requests."""
    with ThreadPoolExecutor(8) as threads:
        first = threads.submit(server.forecast, [SLOW, 1])
        batcher = server.service.batcher
        assert batcher is not None
        until(lambda: batcher.depth == 1 and not batcher._waiting)
        yield threads
        go.touch()
        assert first.result(20)[0] == 200
    until(lambda: batcher.depth == 0)


def depth(server: Running) -> int:
    assert server.service.batcher is not None
    return server.service.batcher.depth


def test_a_forecast(server: Running) -> None:
    series = [{"target": [1, None, 3.5], "start": "2024-01-30T00:00:00+01:00", "item_id": "a"}, {"target": [None, 2]}]
    body = {"series": series, "horizon": 3, "freq": "D", "quantile_levels": [0.9, 0.25]}
    status, headers, found = server.ask(body=body)
    assert status == 200
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers
    assert {k: found[k] for k in ("model", "version", "freq", "season_length")} == {
        "model": "tricky", "version": "1.0", "freq": "D", "season_length": 1
    }  # fmt: skip
    first, second = found["forecasts"]
    assert first["item_id"] == "a"
    assert first["timestamps"] == ["2024-02-01T23:00:00", "2024-02-02T23:00:00", "2024-02-03T23:00:00"]
    assert list(first["quantiles"]) == ["0.25", "0.9"]
    assert np.all(np.array(first["quantiles"]["0.25"]) <= first["quantiles"]["0.9"])
    assert len(first["mean"]) == 3
    assert set(second) == {"mean", "quantiles"}


def test_the_seed_of_the_request_decides_the_draws(server: Running) -> None:
    answers = [server.forecast([1, 2, 3], seed=seed)[1]["forecasts"] for seed in (5, 5, 6)]
    assert answers[0] == answers[1] != answers[2]


def test_a_stand_in_is_told(server: Running) -> None:
    found = server.forecast([SURE, 2], [1, 2])[1]["forecasts"]
    assert [f.get("fallback") for f in found] == [0.25, None]


def test_batches_change_nothing(server: Running, busy: ThreadPoolExecutor, go: Path) -> None:
    targets = [[float(n), 2.0, n + 3.0] for n in range(10, 22)]  # 12 windows: more than a batch
    later = [
        busy.submit(server.forecast, *targets),
        busy.submit(server.forecast, targets[3]),
        busy.submit(server.forecast, targets[5], horizon=2),
    ]
    until(lambda: depth(server) == 4)
    calls = server.counter("harness_batch_windows_count")
    go.touch()
    whole, one, other = (each.result(20)[1]["forecasts"] for each in later)
    assert server.counter("harness_batch_windows_count") == calls + 4  # the slow one; 8 and 4 + 1 windows; another horizon
    alone = [server.forecast(target)[1]["forecasts"][0] for target in targets]
    assert whole == alone
    assert one == [alone[3]]
    assert other == server.forecast(targets[5], horizon=2)[1]["forecasts"]


def test_a_full_queue(server: Running, busy: ThreadPoolExecutor, go: Path) -> None:
    waiting = [busy.submit(server.forecast, [n, 1]) for n in range(3)]
    until(lambda: depth(server) == 4)
    status, headers, found = server.ask(body={"series": [{"target": [1]}], "horizon": 1, "freq": "D"})
    assert (status, headers["retry-after"]) == (503, "1")
    assert found["error"] == "4 requests are waiting already (--queue 4)"
    assert server.ask("/health")[2]["queue"] == 4
    go.touch()
    assert [each.result(20)[0] for each in waiting] == [200] * 3


@pytest.mark.usefixtures("busy")
def test_a_client_that_goes_frees_its_place(server: Running) -> None:
    body = json.dumps({"series": [{"target": [1]}], "horizon": 1, "freq": "D"}).encode()
    lines = [
        "POST /v1/forecast HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    ]
    head = "\r\n".join([*lines, "", ""])
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(head.encode() + body)
        until(lambda: depth(server) == 2)
    until(lambda: depth(server) == 1)
    until(lambda: server.counter("harness_requests_total", path="/v1/forecast", status="499") == 1)


def test_a_wait_that_is_too_long(go: Path) -> None:
    with serving(served("tricky"), Limits(timeout=20)) as server, ThreadPoolExecutor(2) as threads:
        first = threads.submit(server.forecast, [SLOW, 1])
        until(lambda: depth(server) == 1)
        later = threads.submit(server.forecast, [1, 2])
        until(lambda: depth(server) == 2)
        batcher = server.service.batcher
        assert batcher is not None
        (job,) = batcher._waiting
        assert job.done.get_loop().call_soon_threadsafe(batcher._expire, job)  # its time is over
        assert later.result(20) == (503, {"error": "its turn has not come within 20 s (--timeout)"})
        assert depth(server) == 1
        go.touch()
        assert first.result(20)[0] == 200


@pytest.mark.parametrize(
    ("first", "status", "text"),
    [
        (UNSUPPORTED, 422, "tricky cannot do nines"),
        (NAN, 500, "the model's forecast is of no use: predict returned samples with 60 NaN and 0 infinite values in 1 of 1 windows"),
        (RAISE, 500, "the model failed on this request; why is in the log of the server"),
    ],
)
def test_what_goes_wrong_costs_nobody_else(
    server: Running, busy: ThreadPoolExecutor, go: Path, capfd: pytest.CaptureFixture[str], first: int, status: int, text: str
) -> None:
    bad, good = busy.submit(server.forecast, [first, 1]), busy.submit(server.forecast, [1, 2], [2, 3])
    until(lambda: depth(server) == 3)
    go.touch()
    got, found = bad.result(20)
    assert got == status
    assert found["error"].startswith(text)
    assert "Traceback" not in str(found)
    assert "secret" not in str(found)
    assert good.result(20)[0] == 200
    assert ("a secret at /home/me/weights" in capfd.readouterr().err) == (first == RAISE)


def test_out_of_memory_halves_the_batch(server: Running) -> None:
    assert server.forecast([1, 2], [MEMORY, 2], [1, 3])[1]["forecasts"][0] == server.forecast([1, 2])[1]["forecasts"][0]


@pytest.mark.parametrize(
    ("first", "text"), [(CRASH, "the model's process has ended"), (HANG, "the model took longer than 0.3 s (--timeout)")]
)
def test_a_lost_worker_is_replaced(
    server: Running, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], first: int, text: str
) -> None:
    restarts, before = server.counter("harness_worker_restarts_total"), server.forecast([1, 2])
    with monkeypatch.context() as patch:
        if first == HANG:
            patch.setattr(server.service.process, "timeout", 0.3)
        status, headers, found = server.ask(body={"series": [{"target": [first]}], "horizon": 3, "freq": "D"})
    assert status == 503
    assert int(headers["retry-after"]) > 0
    assert found["error"].startswith(text)
    server.healthy()  # without a request that would have to wait for it
    assert server.forecast([1, 2]) == before
    assert server.counter("harness_worker_restarts_total") == restarts + 1
    limit = "timeout: it took longer than --timeout allows (0.3 s); the worker was killed"
    assert (limit in capfd.readouterr().err) == (first == HANG)


def test_a_worker_that_dies_between_requests(server: Running) -> None:
    worker = server.service.process._worker
    assert worker is not None
    worker.kill_process()
    until(lambda: not server.service.process.alive)
    server.healthy()
    assert server.forecast([1, 2])[0] == 200


class Gone:
    """A log that cannot be written."""

    def __init__(self, code: int) -> None:
        self.code, self.tried = code, 0

    def write(self, _: str) -> int:
        self.tried += 1
        raise OSError(self.code, "it cannot be written")

    flush = write


@pytest.mark.parametrize("code", [errno.EPIPE, errno.ENOSPC])
def test_a_log_that_cannot_be_written_costs_no_forecast(server: Running, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    before = server.forecast([1, 2])
    monkeypatch.setattr(sys, "stderr", gone := Gone(code))
    assert server.forecast([RAISE])[0] == 500
    assert gone.tried
    assert server.forecast([CRASH])[0] == 503
    server.healthy()
    assert server.forecast([1, 2]) == before


@pytest.mark.usefixtures("gate")
@pytest.mark.parametrize("broken", ["_take", "process"])
def test_forecasting_that_ends_by_a_defect_stops_the_server(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], broken: str
) -> None:
    def raises(*_: object) -> Any:
        raise RuntimeError("a defect")

    with serving(served("tricky"), LIMITS) as server:
        service, stopped = server.service, threading.Event()
        give_up = service.give_up
        monkeypatch.setattr(service, "give_up", stopped.set)
        assert server.ask("/health")[0] == 200
        if broken == "_take":  # the task that forecasts, with a request that waits
            monkeypatch.setattr(service.batcher, "_take", raises)
            assert server.forecast([1]) == (503, {"error": "a defect of the server; it is being stopped"})
        else:  # the one that looks after the worker
            monkeypatch.setattr(service.process, "ready", raises)
            assert service.process._worker is not None
            service.process._worker.kill_process()
        assert stopped.wait(20)
        assert (server.ask("/health")[0], server.ask("/health")[2]["status"]) == (503, "stopping")
        assert server.forecast([1])[0] == 503
        give_up()
        until(lambda: not server.server.started or not server.server.servers[0].is_serving())
    said = capfd.readouterr().err
    assert "harness: a defect of the server: forecasting has ended: RuntimeError: a defect; the server stops\n" in said
    assert said.count("Traceback") == 1


def test_a_defect_in_one_answer_costs_that_request(server: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(server.service.batcher, "observe", lambda *_: 1 / 0)
        assert server.forecast([1])[0] == 500
    assert server.forecast([1])[0] == 200


def test_metrics_and_models(server: Running) -> None:
    server.forecast([1, 2])
    server.ask("/made-up/by/a/stranger")
    status, headers, text = server.ask("/metrics")
    assert status == 200
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    for line in ('harness_requests_total{path="/v1/forecast",status="200"}', "harness_worker_up 1.0", "harness_queue_depth 0.0"):
        assert line in text
    assert "harness_model_seconds_bucket" in text
    assert "stranger" not in text
    (model,) = server.ask("/v1/models")[2]["models"]
    assert (model["name"], model["max_horizon"], model["max_values"]) == ("tricky", 9, 50)


@pytest.mark.usefixtures("gate")
def test_covariates() -> None:
    def one(target: list[float], rain: list[float], price: list[float]) -> dict[str, Any]:
        return {"target": target, "past_covariates": {"rain": rain, "air": rain}, "known_covariates": {"price": price}}

    with serving(served("plan"), LIMITS) as server:
        target, rain, price = [1.0] * 6, [1.0, 1, 1, 1, 1, 1], [float(n) for n in range(8)]
        status, _, found = server.ask(body={"series": [one(target, rain, price)] * 2, "horizon": 2, "freq": "H"})
        assert status == 200
        assert found["forecasts"][1]["mean"] == [6 + 4 + 4, 7 + 4 + 4]  # the newest 4 steps are what the model reads
        for bad, text in [
            ([one(target, rain[1:], price)], "series.0.past_covariates.air: got 5 values; wanted 6"),
            ([one(target, rain, price[1:])], "series.0.known_covariates.price: got 7 values; wanted 8"),
            (
                [one(target, rain, price), {"target": target}],
                "series.1.past_covariates: got [], and series.0 has ['air', 'rain']; wanted the same",
            ),
        ]:
            status, _, found = server.ask(body={"series": bad, "horizon": 2, "freq": "H"})
            assert (status, found["error"][: len(text)]) == (422, text)
        assert server.forecast([1], horizon=6)[0] == 422  # the model's own limit


@pytest.mark.usefixtures("gate")
def test_a_model_that_depends_on_its_batch_is_not_batched() -> None:
    with serving(served("dependent"), LIMITS) as server:
        with ThreadPoolExecutor(4) as threads:
            found = list(threads.map(lambda _: server.forecast([1, 2], seed=3), range(4)))
        means = {answer["forecasts"][0]["mean"][0] for _, answer in found}
        assert len(means) == 1  # always one window, always seeded anew
        assert 1 <= means.pop() < 2
        assert len(server.forecast(*[[1.0]] * 12)[1]["forecasts"]) == 12  # whole, though more than a batch
        assert server.counter("harness_batch_windows_count") == 5


def test_stopping_refuses_what_is_new_and_answers_what_has_begun(go: Path) -> None:
    with serving(served("tricky"), Limits(timeout=20)) as server, ThreadPoolExecutor(1) as threads:
        first = threads.submit(server.forecast, [SLOW, 1])
        until(lambda: depth(server) == 1)
        kept = socket.create_connection(("127.0.0.1", server.port))
        server.service.close()
        assert server.ask("/health")[2]["status"] == "stopping"
        assert server.forecast([1])[1]["error"] == "the server is being stopped"
        server.server.should_exit = True
        go.touch()
        assert first.result(20)[0] == 200
        kept.close()


@pytest.mark.usefixtures("gate")
def test_the_token() -> None:
    with serving(served("tricky"), LIMITS, TOKEN, exposed=True) as server:
        assert server.forecast([1])[0] == 200
        for shown in ("", "Bearer", "Bearer x", f"Basic {TOKEN}", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}"):
            for path in ("/v1/models", "/metrics", "/openapi.json", "/other"):
                status, headers, found = server.ask(path, headers={"Authorization": shown})
                assert (status, headers["www-authenticate"]) == (401, "Bearer"), (shown, path)
                assert TOKEN not in str(found)
        assert server.ask("/health", headers={"Authorization": ""})[2] == {"status": "ok"}  # no more for strangers
        assert server.ask("/health", headers={"Host": "elsewhere.example"})[2]["model"] == "tricky"
        assert server.ask("/openapi.json")[2]["components"]["securitySchemes"]
    with serving(served("tricky"), LIMITS, TOKEN) as server:
        server.token = ""
        assert [server.ask(path)[0] for path in ("/health", "/metrics", "/v1/models")] == [200, 200, 401]


def test_requests_at_once(server: Running) -> None:
    found: list[int] = []
    threads = [threading.Thread(target=lambda n=n: found.append(server.forecast([n, 1])[0])) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert found == [200] * 4
