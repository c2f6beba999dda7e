"""Checkpoints in a folder: each written whole or not at all, the newest `keep` kept, beside them the best; a broken one is passed over."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

import torch

from harness import HarnessError, UsageError
from harness.errors import describe
from harness.files import hold

__all__ = ["CheckpointError", "Checkpoints"]

BEST = "best.pt"
NEEDED = ("step", "model", "average", "optimizer", "curve", "recipe", "scaler", "plateau", "counts")


class CheckpointError(HarnessError):
    """A checkpoint could not be written; those that were there before are whole."""

    exit_code = 3


class Checkpoints:
    """The files `step_00000500.pt` and `best.pt` of a folder."""

    def __init__(self, folder: Path, keep: int, say: Callable[[str], None] = print) -> None:
        self.folder, self.keep, self.say = folder, keep, say

    def lock(self) -> TextIO:
        """Make the folder and hold it until what is returned is closed, or the process ends.

        Raises:
            UsageError: another training holds it, or it cannot be written to.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            handle = hold(self.folder / "lock")
        except OSError as error:
            raise UsageError(f"{self.folder}: {error.strerror or error}; wanted a folder that can be written to: -o") from None
        if handle is None:
            raise UsageError(f"another training writes into {self.folder}; wait for it, or name another folder: -o")
        return handle

    def files(self) -> list[Path]:
        """All by step, the newest last."""
        return sorted(self.folder.glob("step_*.pt"), key=lambda path: (len(path.name), path.name))

    def write(self, step: int, state: dict[str, Any]) -> Path:
        """Write the checkpoint of a step, then remove the oldest.

        Raises:
            CheckpointError: the disk is full, or the folder is gone or not writable.
        """
        path = self.folder / f"step_{step:08d}.pt"
        self._write(path, state)
        for old in self.files()[: -self.keep]:
            old.unlink(missing_ok=True)
        return path

    def write_best(self, state: dict[str, Any]) -> None:
        """Write what scored best so far in place of the one before."""
        self._write(self.folder / BEST, state)

    def _write(self, path: Path, state: dict[str, Any]) -> None:
        temporary = path.with_suffix(".tmp")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except (OSError, RuntimeError) as error:  # torch says what its writer met as a RuntimeError
            with contextlib.suppress(OSError):
                temporary.unlink(missing_ok=True)
            full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error)
            cut = getattr(error, "errno", None) == errno.EFBIG or "inline_container" in str(error)  # torch's writer says no more
            why = "the disk is full" if full else "a full disk, or a limit on the size of files, cut it short" if cut else describe(error)
            kept = self.files()
            rest = f"{kept[-1].name} is whole" if kept else "there is none yet"
            raise CheckpointError(
                f"could not write the checkpoint {path}: {why}; the newest before: {rest}. Make room and type the same command again"
            ) from error

    def newest(self, device: str) -> tuple[Path, dict[str, Any]] | None:
        """The newest checkpoint that can be read, and its path; None where there is none. Says which are passed over."""
        for path in reversed(self.files()):
            state = self._read(path, device)
            if state is not None:
                return path, state
        return None

    def load(self, name: str, device: str) -> dict[str, Any]:
        """The checkpoint of this name.

        Raises:
            CheckpointError: it is gone or broken.
        """
        state = self._read(self.folder / name, device)
        if state is None:
            raise CheckpointError(f"{self.folder / name} cannot be read on every process; wanted one folder that all of them see")
        return state

    def best(self, device: str) -> dict[str, Any] | None:
        """What scored best, where there is such."""
        path = self.folder / BEST
        return self._read(path, device, ("average",)) if path.exists() else None

    def _read(self, path: Path, device: str, needed: tuple[str, ...] = NEEDED) -> dict[str, Any] | None:
        try:
            state = torch.load(path, weights_only=True, map_location=device)
            missing = [name for name in needed if name not in state]
        except Exception as error:  # of many kinds, by where the file was cut
            self.say(f"{path.name} is passed over: it cannot be read ({describe(error)[:120]})")
            return None
        if missing:
            self.say(f"{path.name} is passed over: it has no {', '.join(missing)}")
            return None
        result: dict[str, Any] = state
        return result

    def remove_leftovers(self) -> None:
        """Remove what a killed process left half written."""
        for path in self.folder.glob("*.tmp"):
            path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove all checkpoints."""
        self.remove_leftovers()
        for path in (*self.files(), self.folder / BEST):
            path.unlink(missing_ok=True)
