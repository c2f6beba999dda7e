"""A server in a thread of the test's own process, its worker a real one, with a model that misbehaves as it is told to."""

from __future__ import annotations

import http.client
import json
import os
import socket
import textwrap
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness_serving.app import Service
from harness_serving.guard import Access
from harness_serving.limits import Limits
from harness_serving.served import ModelProcess, Served
from harness_serving.server import Server, bound

from harness.plugins import Registered
from harness.types import ModelInfo

SOURCE = """
import os, time
import numpy as np
from harness import Batch, Forecast, ModelInfo, Unsupported, hookimpl

CRASH, HANG, NAN, UNSUPPORTED, RAISE, MEMORY, SLOW, SURE = 666, 777, 888, 999, 555, 444, 222, 111

class Tricky:
    "Draws 20 paths around the last value, by the window's own seed; the first value of a context says what else happens."
    def predict(self, batch):
        firsts = [float(row[0]) for row in batch]
        if CRASH in firsts: os._exit(7)
        if HANG in firsts: time.sleep(600)
        if RAISE in firsts: raise ValueError("a secret at /home/me/weights")
        if UNSUPPORTED in firsts: raise Unsupported("tricky cannot do nines")
        if MEMORY in firsts and len(batch) > 1: raise MemoryError("out of memory")
        while SLOW in firsts and not os.path.exists(os.environ["TRICKY_GO"]): time.sleep(0.01)
        paths = np.empty((len(batch), 20, batch.horizon), np.float32)
        for n, (row, seed) in enumerate(zip(batch, batch.seeds.tolist())):
            paths[n] = np.nan_to_num(row[-1]) + np.random.default_rng(seed).normal(size=(20, batch.horizon))
        if NAN in firsts: paths[0] = np.nan
        return Forecast.from_samples(paths, fallback=[0.25 if first == SURE else 0 for first in firsts])

class Dependent:
    "Says how many windows its batch has, and a number of the global random state."
    def predict(self, batch):
        return Forecast.from_points(np.full((len(batch), batch.horizon), len(batch) + np.random.random(), np.float32))

class Plan:
    "The known covariate 'price' of the horizon plus the sum of the past one, 'rain', and the length of the context."
    def predict(self, batch):
        known = np.stack([row[-batch.horizon:] for row in batch.known_covariates[0]])
        past = np.array([row.sum() for row in batch.past_covariates[batch.past_names.index("rain")]])
        return Forecast.from_points(known + past[:, None] + batch.contexts.lengths[:, None])

class Broken:
    def __init__(self): raise RuntimeError("no weights")

MODELS = {
    "tricky": (ModelInfo("tricky", output="samples"), Tricky),
    "dependent": (ModelInfo("dependent", output="points", batch_dependent=True), Dependent),
    "plan": (ModelInfo("plan", output="points", covariates=("past", "known"), max_context=4, max_horizon=5), Plan),
    "broken": (ModelInfo("broken"), Broken),
}

@hookimpl
def register_models(register):
    for info, factory in MODELS.values():
        register(info, factory)
"""
TOKEN = "a-token-of-the-tests-0123456789"


def install(site: Path) -> None:
    """Put the plugin where processes with this folder on PYTHONPATH find it."""
    info = site / "tricky_models-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "tricky_models.py").write_text(textwrap.dedent(SOURCE))
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tricky-models\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[harness]\ntricky_models = tricky_models\n")


def served(name: str) -> Served:
    """A model of the plugin, which this very process does not load."""
    space: dict[str, Any] = {}
    exec(SOURCE, space)
    info: ModelInfo = space["MODELS"][name][0]
    return Served(Registered(info, space["MODELS"][name][1], "tricky_models", "tricky-models", "1.0"), {})


class Running:
    """A server that listens, and what a client does with it."""

    def __init__(self, service: Service, server: Server, port: int, token: str) -> None:
        self.service, self.server, self.port, self.token = service, server, port, token

    def ask(
        self,
        path: str = "/v1/forecast",
        body: bytes | Mapping[str, Any] | None = None,
        method: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, dict[str, str], Any]:
        """(status, headers, what the body holds)."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        all_headers = {} if sent is None else {"Content-Type": "application/json"}
        if self.token:
            all_headers["Authorization"] = f"Bearer {self.token}"
        try:
            connection.request(method or ("GET" if sent is None else "POST"), path, sent, {**all_headers, **(headers or {})})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        kind = answer.headers.get("content-type", "")
        said = {name.lower(): value for name, value in answer.headers.items()}
        return answer.status, said, json.loads(text) if kind.startswith("application/json") else text.decode()

    def forecast(self, *targets: Sequence[float | None], horizon: int = 3, freq: str = "D", **more: Any) -> tuple[int, Any]:
        """(status, answer) of a request with these series."""
        body = {"series": [{"target": list(t)} for t in targets], "horizon": horizon, "freq": freq, **more}
        status, _, found = self.ask(body=body)
        return status, found

    def counter(self, name: str, **labels: str) -> float:
        """A sample of `/metrics`, 0 where there is none."""
        return self.service.meters.registry.get_sample_value(name, labels) or 0.0

    def raw(self, data: bytes, wait: float = 10.0) -> bytes:
        """Send bytes, and return what comes back until the server closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), wait) as sock:
            sock.sendall(data)
            return drained(sock)

    def healthy(self) -> None:
        """Wait until forecasts are made."""
        until(lambda: self.ask("/health")[0] == 200)


def drained(sock: socket.socket) -> bytes:
    """What comes until the other side closes."""
    parts: list[bytes] = []
    while True:
        try:
            part = sock.recv(65536)
        except ConnectionResetError:
            part = b""
        if not part:
            return b"".join(parts)
        parts.append(part)


def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for something to become true; fail where it does not."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


@contextmanager
def serving(one: Served, limits: Limits, token: str = "", exposed: bool = False) -> Iterator[Running]:
    """A server of a model on a free port, until the end of the block."""
    process = ModelProcess(one, 1, limits.timeout)
    thread = ThreadPoolExecutor(1)
    with bound("127.0.0.1", 0) as sock:
        port = int(sock.getsockname()[1])
        try:
            thread.submit(process.load).result(60)
            server = Server(Service(process, limits, Access(token, exposed, port), thread))
            running = threading.Thread(target=server.run, args=([sock],))
            running.start()
            try:
                until(lambda: server.started)
                yield Running(server.service, server, port, token)
            finally:
                server.should_exit = True
                process.stop()
                running.join(20)
                assert not running.is_alive()
        finally:
            thread.submit(process.close).result(20)
            thread.shutdown()


@contextmanager
def found_by_workers(site: Path) -> Iterator[Path]:
    """Workers that are started meanwhile have the plugin; the file that is given lets its slow model go on."""
    install(site)
    go = site / "go"
    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "TRICKY_GO")}
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(site), before["PYTHONPATH"]]))
    os.environ["TRICKY_GO"] = str(go)
    try:
        yield go
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


__all__ = ["TOKEN", "Running", "drained", "found_by_workers", "install", "served", "serving", "until"]
