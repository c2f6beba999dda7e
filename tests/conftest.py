"""Fixtures of all tests: a throw-away working folder with plugins of its own, and the folder of optional real data."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from support import Lab


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    """A folder to run the real command in, with no plugin but the installed ones yet."""
    return Lab(tmp_path)
