"""`harness serve-model` as a process: what it refuses, and how it ends."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from click.testing import CliRunner
from harness_serving.command import serve_model
from harness_serving.limits import Limits
from harness_serving.served import Served, part
from harness_serving.server import Server, bound, serve
from harness_serving.windows import Key, batch_of, make_row
from serving_kit import TOKEN, install, until

from harness.errors import HarnessError, UsageError
from harness.plugins import load

HARNESS = str(Path(sys.executable).with_name("harness"))


@pytest.fixture
def home(tmp_path: Path) -> Iterator[dict[str, str]]:
    install(tmp_path / "site")
    env = {k: v for k, v in os.environ.items() if not k.startswith("HARNESS_") or "TEST" in k}
    path = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    yield {**env, "PYTHONPATH": path, "HARNESS_CACHE": str(tmp_path / "cache"), "COLUMNS": "200", "TRICKY_GO": str(tmp_path / "go")}


def start(env: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    whole = [HARNESS, "serve-model", *arguments]
    return subprocess.Popen(whole, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def port_of(process: subprocess.Popen[str]) -> int:
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)/v1/forecast", line):
            return int(found[1])
    raise AssertionError("it ended before it served")


def descendants(pid: int) -> list[int]:
    """The processes that a process has started, and those that these have."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        children = (task / "children").read_text().split()
        found += [each for child in map(int, children) for each in (child, *descendants(child))]
    return found


def ask(port: int, first: float, token: str = TOKEN) -> int:
    body = f'{{"series": [{{"target": [{first}, 1]}}], "freq": "D", "horizon": 1}}'
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("POST", "/v1/forecast", body, {"Content-Type": "application/json", "Authorization": f"Bearer {token}"})
        return connection.getresponse().status


def health(port: int) -> str:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("GET", "/health")
        return connection.getresponse().read().decode()


def running(env: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return start({**env, "SERVE_TOKEN": TOKEN}, "tricky", "--port", "0", "--threads", "1", "--token-env", "SERVE_TOKEN", *arguments)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="needs /proc to find what is left behind")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_ends_it_when_what_runs_is_done(home: dict[str, str], number: int, code: int) -> None:
    process = running(home)
    try:
        port, children = port_of(process), descendants(process.pid)
        assert children
        for pid in children:  # a stranger's model need not know it
            assert TOKEN.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
        assert ask(port, 1, token="another") == 401
        with ThreadPoolExecutor(1) as threads:
            slow = threads.submit(ask, port, 222)
            until(lambda: '"queue":1' in health(port))
            process.send_signal(number)
            assert process.stderr is not None
            assert "stopping" in process.stderr.readline()
            Path(home["TRICKY_GO"]).touch()
            assert slow.result(30) == 200
        assert process.wait(30) == code
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
        assert process.stderr.read() == ""
    finally:
        process.kill()
        process.communicate()


def test_two_signals_end_it_at_once(home: dict[str, str]) -> None:
    process = running(home, "--timeout", "5m")
    try:
        port = port_of(process)
        with ThreadPoolExecutor(1) as threads:
            hung = threads.submit(ask, port, 777)
            until(lambda: '"queue":1' in health(port))
            process.send_signal(signal.SIGTERM)
            assert process.stderr is not None
            assert "stopping" in process.stderr.readline()
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
            assert hung.exception(30) is not None or hung.result() == 503  # said, if there was time for it
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.communicate()


def test_a_model_that_cannot_be_loaded(home: dict[str, str]) -> None:
    process = start(home, "broken", "--port", "0")
    _, err = process.communicate(timeout=60)
    assert "harness: model 'broken': the model could not be loaded: RuntimeError: no weights" in err
    assert "Traceback" not in err
    assert process.returncode == 3


def test_a_port_that_is_taken() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        port = sock.getsockname()[1]
        refused(["naive", "--port", str(port)], f"port {port} of 127.0.0.1 is taken; choose another with --port, 0 for any")


def test_a_port_that_is_taken_at_the_same_time() -> None:
    with bound("127.0.0.1", 0) as first:  # whose model is still being loaded
        port = first.getsockname()[1]
        with pytest.raises(UsageError, match=f"port {port} of 127.0.0.1 is taken"):
            bound("127.0.0.1", port)
    bound("127.0.0.1", port).close()


def test_a_log_whose_reader_has_gone(home: dict[str, str]) -> None:
    process = running(home)
    try:
        port = port_of(process)
        assert process.stderr is not None
        process.stderr.close()
        assert [ask(port, first) for first in (555, 1, 555)] == [500, 200, 500]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_a_defect_ends_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(self: Server, _: object) -> None:
        self.service.defect = "forecasting has ended: RuntimeError: a defect"

    monkeypatch.setattr(Server, "run", ended)
    process = Mock(served=Served(load().model("naive"), {}))
    with bound("127.0.0.1", 0) as sock, pytest.raises(HarnessError, match="a defect of the server has ended it: forecasting") as found:
        serve(process, Limits(), "", sock)
    assert found.value.exit_code == 1
    process.close.assert_called_once()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            ["naive", "--host", "0.0.0.0"],
            "--host 0.0.0.0 can be reached from other machines, and no token is asked for; wanted --token-env NAME",
        ),
        (["naive", "--token-env", "NO_SUCH"], "--token-env NO_SUCH: there is no such variable, or it is empty; wanted at least 16"),
        (["naive", "--token-env", "SHORT"], "--token-env SHORT: its value has 9 characters, or others than printable ASCII"),
        (["naiv"], "there is no model 'naiv'. Did you mean 'naive'?"),
        (["naive[width=3]"], "model 'naive' has no parameter 'width'"),
        (["naive,drift"], "got 'naive,drift', which is 2 models; wanted one"),
        (["naive", "--timeout", "soon"], "got a time of 'soon'"),
        (["naive", "--isolation", "env"], "model 'naive' has no environment of its own; to build one: harness env build harness-baselines"),
        (["ensemble[of=naive+drift]"], "is made of kept forecasts of other models"),
        (["base_rate"], "forecasts events, not values"),
        (["linear"], "wanted the weights of a trained one, as in -M linear:weights=FOLDER"),
    ],
)
def test_what_is_refused(monkeypatch: pytest.MonkeyPatch, arguments: list[str], text: str) -> None:
    monkeypatch.setenv("SHORT", "too-short")
    refused([*arguments, "--port", "0"], text)


def refused(arguments: list[str], text: str) -> None:
    done = CliRunner().invoke(serve_model, arguments)
    assert isinstance(done.exception, UsageError), done.exception  # which the command ends with 2 for
    assert text in str(done.exception)
    assert "too-short" not in str(done.exception)


def test_the_list_of_commands_imports_no_server(home: dict[str, str]) -> None:
    program = (
        "import sys; from harness.cli import build; assert 'serve-model' in build().commands; "
        "print(sorted({'fastapi', 'uvicorn', 'pydantic', 'prometheus_client', 'starlette', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], env=home, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_ids_and_seeds_come_from_the_request_alone() -> None:
    key, start = Key("H", 2, (0.5,), 24, ("x",)), np.datetime64("2024-01-01", "s")
    values = np.array([1, np.nan, 3], np.float32)
    base = make_row(key, values, start, 0, [values])
    others = [
        make_row(key, values[1:], start, 0, [values]),
        make_row(key, values, start + 1, 0, [values]),
        make_row(key, values, start, 0, [values + 1]),
        make_row(Key("H", 3, (0.5,), 24, ("x",)), values, start, 0, [values]),
    ]
    same = make_row(key, values.copy(), start, 0, [values])
    assert (base.identity, base.seed) == (same.identity, same.seed)
    assert len({base.identity, *(o.identity for o in others)}) == 5
    seeded = make_row(key, values, start, 1, [values])
    assert seeded.identity == base.identity
    assert seeded.seed != base.seed
    batch = batch_of(key, [base, seeded])
    half = part(batch, 1, 2)
    assert half.seeds.tolist() == [seeded.seed]
    np.testing.assert_array_equal(half.past_covariates[0][0], values)
    assert Limits().held >= Limits().max_body
