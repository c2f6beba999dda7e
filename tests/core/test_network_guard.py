"""The guard that keeps the tests off the network: it stops this process and those that it starts, and it is heard."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = "import socket; socket.create_connection(('{}', 80), 1)"


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A log of its own, so that the attempts here fail no test."""
    log = tmp_path / "log"
    monkeypatch.setenv("HARNESS_TEST_NETWORK_LOG", str(log))
    return log


@pytest.mark.parametrize("host", ["example.org", "192.0.2.1"])
def test_this_process_is_kept_off(host: str, quiet: Path) -> None:
    with pytest.raises(OSError, match="the tests keep off the network"):
        socket.create_connection((host, 80), 1)
    assert host in quiet.read_text()


def test_a_process_that_it_starts_is_kept_off(quiet: Path) -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM.format("example.org")], capture_output=True, text=True, check=False)
    assert done.returncode and "the tests keep off the network" in done.stderr
    assert "example.org" in quiet.read_text()


def test_loopback_is_free(quiet: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname(), 1).close()
        socket.getaddrinfo("localhost", 80)
    assert not quiet.exists()


def test_an_attempt_fails_its_test(pytester_free_run: subprocess.CompletedProcess[str]) -> None:
    assert pytester_free_run.returncode == 1
    assert "something tried to reach the network" in pytester_free_run.stdout
    assert "socket.getaddrinfo 'example.org'" in pytester_free_run.stdout


@pytest.fixture
def pytester_free_run(tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """A test that swallows the refusal, run under the root's conftest.py."""
    root = Path(__file__).parents[2]
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "guard").symlink_to(root / "tests" / "guard")
    (tmp_path / "conftest.py").write_text((root / "conftest.py").read_text())
    (tmp_path / "test_it.py").write_text(
        "import contextlib, socket\n\ndef test_it():\n    with contextlib.suppress(OSError):\n"
        "        socket.create_connection(('example.org', 80), 1)\n"
    )
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "HARNESS_TEST_NETWORK_LOG")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
