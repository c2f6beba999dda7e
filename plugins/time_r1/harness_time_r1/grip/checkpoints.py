"""Checkpoints of a training, each a folder that is whole or not there; the best few stay, and the newest to go on from."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.files import flush

__all__ = ["SCORE", "Store"]

SCORE = "validation_reward"
STATE = "grip.json"


class Store:
    """The folders `step_00000050` in a folder that is there. `grip.json` in each holds the curve up to it and the size of every file."""

    def __init__(self, folder: Path, keep: int, say: Callable[[str], None]) -> None:
        self.folder, self.keep, self.say = folder, keep, say
        self.writing = folder / ".writing"
        shutil.rmtree(self.writing, ignore_errors=True)  # what a killed process left

    def folders(self) -> list[Path]:
        """All by step, the newest last."""
        found = [path for path in self.folder.glob("step_*") if path.is_dir() and path.name[5:].isdigit()]
        return sorted(found, key=lambda path: int(path.name[5:]))

    @contextlib.contextmanager
    def write(self, step: int) -> Iterator[Callable[[Path, Sequence[Mapping[str, float]]], None]]:
        """Write the checkpoint of a step: what is given to the function that comes is the folder, and the curve so far."""
        shutil.rmtree(self.writing, ignore_errors=True)
        self.writing.mkdir(parents=True)

        def done(made: Path, curve: Sequence[Mapping[str, float]]) -> None:
            sizes = {str(path.relative_to(made)): path.stat().st_size for path in sorted(made.rglob("*")) if path.is_file()}
            state = {"step": step, "curve": list(curve), "files": sizes}
            (made / STATE).write_text(json.dumps(state), "utf-8")
            for path in (*made.rglob("*"), made):
                flush(path)
            final = self.folder / f"step_{step:08d}"
            shutil.rmtree(final, ignore_errors=True)  # of a training that was begun again further back
            made.replace(final)
            flush(self.folder)

        try:
            yield done
        finally:
            shutil.rmtree(self.writing, ignore_errors=True)
        self._prune()

    def state(self, path: Path) -> dict[str, Any] | None:
        """What is known of a checkpoint; None where it is not whole, which is said."""
        try:
            state = json.loads((path / STATE).read_text("utf-8"))
            for name, size in state["files"].items():
                if (found := os.stat(path / name).st_size) != size:  # noqa: PTH116 - one call
                    raise ValueError(f"{name} has {found} bytes, not {size}")
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.say(f"{path.name} is passed over: it is not whole ({error})")
            return None
        return dict(state)

    def newest(self) -> tuple[Path, dict[str, Any]] | None:
        """The newest that is whole."""
        for path in reversed(self.folders()):
            if (state := self.state(path)) is not None:
                return path, state
        return None

    def best(self) -> list[tuple[float, Path]]:
        """Score and folder of those that were validated, the best first, of equals the earlier."""
        scored = []
        for path in self.folders():
            state = self.state(path)
            row = state["curve"][-1] if state and state["curve"] else {}
            if state and row.get("step") == state["step"] and math.isfinite(row.get(SCORE, math.nan)):
                scored.append((float(row[SCORE]), path))
        return sorted(scored, key=lambda pair: -pair[0])

    def _prune(self) -> None:
        stay = {path for _, path in self.best()[: self.keep]} | set(self.folders()[-1:])
        for path in self.folders():
            if path not in stay:
                shutil.rmtree(path)
