"""Fixtures of all tests: a throw-away working folder with plugins of its own, and the folder of optional real data."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from support import Lab

# pytest-xdist tells its workers a width, which commands would take for the user's.
os.environ.pop("COLUMNS", None)

# In the background of a shell without job control SIGINT is ignored, and children inherit that; a signal that is handled is not inherited.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A folder to run the real command in, with no plugin but the installed ones yet."""
    return Lab(tmp_path)
