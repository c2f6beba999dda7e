"""Makes `results_kit` importable by the tests beside it and by child processes they start."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
