"""For all tests, those of plugins too: no process of them reaches the network, and an attempt fails the test in which it was made.

Building an environment from a package index is asked for, and exempt: its installer is started without PYTHONPATH.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

GUARD = Path(__file__).parent / "tests" / "guard"
_handle, _log = tempfile.mkstemp(prefix="harness-network-", suffix=".log")
os.close(_handle)
LOG = Path(_log)

os.environ["HARNESS_TEST_NETWORK_LOG"] = str(LOG)
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(GUARD), os.environ.get("PYTHONPATH", "")]))
# By its file, not by name: the interpreter may have one of this name already.
_spec = importlib.util.spec_from_file_location("harness_test_guard", GUARD / "sitecustomize.py")
assert _spec is not None
assert _spec.loader is not None
_spec.loader.exec_module(importlib.util.module_from_spec(_spec))


@pytest.fixture(autouse=True)
def no_network() -> Iterator[None]:
    """Fail a test during which something tried to reach the network, even if what asked took no for an answer."""
    before = LOG.stat().st_size
    yield
    if LOG.stat().st_size > before:
        said = LOG.read_bytes()[before:].decode("utf-8", "replace").strip()
        pytest.fail(f"something tried to reach the network:\n{said}")


def pytest_sessionfinish() -> None:
    """Take the log away."""
    LOG.unlink(missing_ok=True)
