"""The folder of a training, and its checkpoints in FOLDER-checkpoints: whose they are, who holds them, what a disk says. Nothing heavy.

Checkpoints are beside the folder and not in it: what is in it is the model, by whose files it is known again.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

from harness import DataError, UsageError
from harness.errors import HarnessError, StoreError
from harness.files import hold, write_whole

__all__ = ["RECORD", "checkpoint_folder", "finished", "opened"]

RECORD = "training.json"
KEPT = ("base", "adapter", "rank", "dtype")
"""What a checkpoint cannot be gone on from with another of."""


def checkpoint_folder(folder: Path) -> Path:
    """Where the checkpoints of a training into `folder` are."""
    return folder.with_name(f"{folder.name}-checkpoints")


@contextlib.contextmanager
def opened(folder: Path, decides: Mapping[str, Any], resume: bool | None) -> Iterator[list[str]]:
    """Make the folder and that of its checkpoints, note what this training is, and hold both until the end.

    Args:
        decides: all that a training must have in common with a checkpoint to go on from it; plain JSON.
        resume: None: go on with the same settings alone; True: there must be something to go on from, and settings may differ;
            False: begin anew, whatever is there of a training.

    Returns:
        Names of settings that it was gone on with other values of, now or before; [] for a training that follows from its settings.

    Raises:
        UsageError: the folder is of something else, of a training with other settings, or another training holds it.
        StoreError: it cannot be written, now or while this lasts.
    """
    here, decides = Path.cwd().resolve(), json.loads(json.dumps(dict(decides)))
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"-o {folder}: is a file; wanted a folder, made if it is not there")
    if folder.resolve() in (here, *here.parents):
        raise UsageError(f"-o {folder}: that is the working folder, or one above it; wanted a folder of its own")
    beside = checkpoint_folder(folder)
    for path in (folder, beside):
        inside = sorted(found.name for found in path.iterdir() if found.name != "lock") if path.is_dir() else []
        if inside and not (path / RECORD).is_file():
            raise UsageError(f"-o {folder}: {path} holds {', '.join(inside[:3])}, and no {RECORD}: it is not of a training. Name another")
    with _writing(folder):
        for path in (folder, beside):
            path.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(_lock(folder, beside)):
            forced = _compared(folder, decides, resume)
            text = json.dumps({"done": False, "forced": forced, "decides": decides}, indent=1) + "\n"
            for path in (beside, folder):
                write_whole(path / RECORD, text)
            yield forced


def finished(folder: Path, decides: Mapping[str, Any], forced: list[str], facts: Mapping[str, Any]) -> None:
    """Write training.json: what decided the training, and what came of it."""
    write_whole(folder / RECORD, json.dumps({"forced": forced, "decides": dict(decides), **facts}, indent=1) + "\n")


def _compared(folder: Path, decides: Mapping[str, Any], resume: bool | None) -> list[str]:
    beside = checkpoint_folder(folder)
    checkpoints = [path for path in beside.iterdir() if path.is_dir() and path.name.startswith(("checkpoint-", "step_", "."))]
    if resume is False:
        for path in checkpoints:
            shutil.rmtree(path)
        return []
    if resume and not checkpoints:
        raise UsageError(f"got --resume, and there is no checkpoint in {beside}; type the same without it")
    names: set[str] = set()
    forced: set[str] = set()
    for path in (beside, folder):
        if (path / RECORD).is_file():
            record = _read(path / RECORD)
            before = record.get("decides") or {}
            names |= {name for name in {*before, *decides} if before.get(name) != decides.get(name)}
            forced |= set(record.get("forced") or ()) if checkpoints else set()
    if names and resume is None:
        raise UsageError(
            f"-o {folder} is of a training with other settings ({', '.join(sorted(names))}); give those again, name another folder, "
            "go on with --resume, or begin anew with --fresh"
        )
    if resume and (fixed := sorted(names & set(KEPT))):
        raise UsageError(f"got --resume, and other settings ({', '.join(fixed)}) than the checkpoints in {beside} can be gone on with")
    return sorted(forced | names)


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path} cannot be read ({error}); begin anew with --fresh, or in another folder") from error
    return found if isinstance(found, dict) else {}


def _lock(folder: Path, beside: Path) -> TextIO:
    """A lock that lasts until what is returned is closed, or the process ends."""
    handle = hold(beside / "lock")
    if handle is None:
        raise UsageError(f"another training writes into {folder}; wait for it, or name another folder: -o")
    return handle


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """What a disk says, in words; torch and safetensors have errors of their own for it."""
    try:
        yield
    except HarnessError:
        raise
    except OSError as error:
        raise StoreError(f"could not write {folder}: {error.strerror or error}; the same command goes on once there is room") from error
    except Exception as error:
        if any(word in str(error) for word in ("No space left", "File too large", "Disk quota", "file write failed", "IoError")):
            raise StoreError(f"could not write {folder}: {str(error)[:200]}; the same command goes on once there is room") from error
        raise
