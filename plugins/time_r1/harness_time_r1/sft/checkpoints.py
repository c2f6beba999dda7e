"""Which checkpoint of a supervised fine-tuning is whole. Nothing heavy is imported."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

__all__ = ["newest"]


def newest(folder: Path) -> Path | None:
    """The newest whole checkpoint: its state is written last."""
    numbers = {}
    for path in folder.glob("checkpoint-*") if folder.is_dir() else ():
        number = path.name.rpartition("-")[2]
        with contextlib.suppress(OSError, ValueError, RecursionError):
            if number.isdigit() and isinstance(json.loads((path / "trainer_state.json").read_text("utf-8")), dict):
                numbers[int(number)] = path
    return numbers[max(numbers)] if numbers else None
