"""All that a model could do to find its labels in its own process, short of opening the dataset's files.

The last values of a context are searched for, as float32 and as float64, wherever the process can read; what follows them, if it is no
neighbour that the batch itself explains and looks like the series going on, is taken for the future. Places:

- the memory of the process, all of it, from /proc/self/maps and /proc/self/mem: arrays beyond their ends, shared memory, what was freed;
- open files by /proc/self/fd, shared memory among them, also what is not mapped;
- arrays that the garbage collector or a frame of any thread leads to, with the arrays that they are views of.

The system decides whether a process may read the memory of the one that started it; that is tried and told, and not used.
"""

from __future__ import annotations

import contextlib
import gc
import os
import stat
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from harness.forecast import F32, Batch

__all__ = ["Found", "peek"]

TAIL = 24
"""Values that are searched for, the newest of a context: so many occur by chance nowhere."""
DISTINCT = 4
KINDS: tuple[np.dtype[Any], ...] = (np.dtype(np.float32), np.dtype(np.float64))
CHUNK = 8 << 20
LARGEST_FILE = 256 << 20
JUMP = 8.0
"""A future's steps are at most so many times the largest step of the context."""
DEPTH = 3
"""Attributes that are followed from a variable of a frame: model, batch, task, series, …"""


@dataclass
class Found:
    """`futures` {row: float32 [H]}, the `places` where they lay, in words what was `searched`, and whether the parent can be read."""

    futures: dict[int, F32] = field(default_factory=dict)
    places: set[str] = field(default_factory=set)
    searched: str = ""
    parent: bool = False


@dataclass(frozen=True)
class Needle:
    """The newest values of one window as they would lie in memory, and what is known of what may follow."""

    row: int
    kind: np.dtype[Any]
    data: bytes
    context: F32
    neighbour: F32  # what follows the context in the batch's own buffer
    horizon: int

    def read(self, buffer: bytes, end: int) -> F32 | None:
        """The future behind a hit that ends at `end`, None where it looks like none."""
        size = self.horizon * self.kind.itemsize
        if end + size > len(buffer):
            return None
        raw = np.frombuffer(buffer[end : end + size], self.kind)
        with np.errstate(all="ignore"):  # whatever the memory holds
            values = raw.astype(np.float32)
        if not np.isfinite(values).all() or len(np.unique(values)) < min(3, self.horizon):
            return None
        known = min(len(self.neighbour), self.horizon)
        if known and np.array_equal(values[:known], self.neighbour[:known], equal_nan=True):
            return None
        seen = self.context[np.isfinite(self.context)].astype(np.float64)
        if np.array_equal(seen, np.rint(seen)) and not np.array_equal(values, np.rint(values)):
            return None  # counts are not followed by fractions: these are numbers of another kind, read as floats
        steps = np.abs(np.diff(np.append(seen[-1], values.astype(np.float64))))
        return values if steps.max() <= JUMP * np.abs(np.diff(seen)).max() else None


def peek(batch: Batch) -> Found:
    """Search everywhere for what follows each context."""
    found = Found()
    search = Search(list(_needles(batch)), found)
    size, counts = 0, dict.fromkeys(("memory", "files", "arrays"), 0)
    for place, pieces in (("memory", _memory(search.overlap)), ("files", _files()), ("arrays", _arrays())):
        for data in pieces:
            search(data, place)
            counts[place] += 1
            size += len(data) if place == "memory" else 0
    memory = f"{size / 2**20:.0f} MiB of memory in {counts['memory']} pieces"
    found.searched = f"{memory}, {counts['files']} open files, {counts['arrays']} arrays"
    found.parent = _reads_parent()
    return found


def _needles(batch: Batch) -> Iterator[Needle]:
    values, ends = batch.contexts.values, batch.contexts.offsets[1:].tolist()
    for row, context in enumerate(batch):
        tail = context[-TAIL:]
        if len(tail) < TAIL or len(np.unique(tail[np.isfinite(tail)])) < DISTINCT:
            continue
        neighbour = values[ends[row] : ends[row] + batch.horizon].copy()
        for kind in KINDS:
            yield Needle(row, kind, tail.astype(kind).tobytes(), context, neighbour, batch.horizon)


class Search:
    """Looks for all needles at once: for the upper 16 bits of their last values first, which leaves little to compare."""

    def __init__(self, needles: list[Needle], found: Found) -> None:
        self.found = found
        self.groups = []
        for kind in KINDS:
            own = [needle for needle in needles if needle.kind == kind]
            table = np.zeros(1 << 16, np.bool_)
            for needle in own:
                table[np.frombuffer(needle.data, np.uint16)[-1]] = True
            self.groups.append((kind.itemsize, own, table))
        self.overlap = max([len(n.data) + n.horizon * n.kind.itemsize for n in needles], default=0)

    def __call__(self, data: bytes, place: str) -> None:
        """Search a piece of memory that begins where a number may begin."""
        for size, needles, table in self.groups:
            upper = np.frombuffer(data, np.uint16, len(data) // size * (size // 2))[size // 2 - 1 :: size // 2]  # one for each number
            for last in np.flatnonzero(table[upper]).tolist() if needles else ():
                end = (last + 1) * size
                for needle in needles:
                    if data.endswith(needle.data, max(0, end - len(needle.data)), end) and (future := needle.read(data, end)) is not None:
                        self.found.futures.setdefault(needle.row, future)
                        self.found.places.add(place)


def _memory(overlap: int) -> Iterator[bytes]:
    """The readable memory of this process in pieces that overlap, but for program code."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
        memory = os.open("/proc/self/mem", os.O_RDONLY)
    except OSError:
        return
    try:
        for line in lines:
            bounds, rights, *_, name = [*line.split(None, 5), ""][:6]
            if not rights.startswith("r") or "x" in rights or ".so" in name or name.startswith("[v"):
                continue
            low, high = (int(bound, 16) for bound in bounds.split("-"))
            for start in range(low, high, CHUNK):
                with contextlib.suppress(OSError, OverflowError):
                    yield os.pread(memory, min(CHUNK + overlap, high - start), start)
    finally:
        os.close(memory)


def _files() -> Iterator[bytes]:
    """What open files hold, shared memory among them."""
    with contextlib.suppress(OSError):
        for entry in sorted(os.listdir("/proc/self/fd")):  # noqa: PTH208 - the folder changes while it is read
            with contextlib.suppress(OSError):
                about = os.stat(f"/proc/self/fd/{entry}")  # noqa: PTH116
                if stat.S_ISREG(about.st_mode) and 0 < about.st_size <= LARGEST_FILE:
                    with open(f"/proc/self/fd/{entry}", "rb") as file:  # noqa: PTH123
                        yield file.read()


def _arrays() -> Iterator[bytes]:
    """Arrays of numbers that can be reached, and those that they are views of, each once."""
    seen: set[int] = set()
    for start in (*_collected(), *_in_frames()):
        array: Any = start
        while isinstance(array, np.ndarray):
            if id(array) not in seen and array.dtype.kind == "f" and 0 < array.nbytes <= LARGEST_FILE:
                seen.add(id(array))
                yield array.tobytes()
            array = array.base


def _collected() -> list[np.ndarray[Any, Any]]:
    """Arrays that an object known to the garbage collector holds."""
    return [held for known in gc.get_objects() for held in gc.get_referents(known) if type(held) is np.ndarray]


def _in_frames() -> list[np.ndarray[Any, Any]]:
    """Arrays in the variables of all frames of all threads, and in what those hold."""
    found: list[np.ndarray[Any, Any]] = []
    looked: set[int] = set()

    def look(value: Any, depth: int) -> None:
        if id(value) in looked:
            return
        looked.add(id(value))
        if type(value) is np.ndarray:
            found.append(value)
        elif depth and not isinstance(value, type | types.ModuleType | types.FunctionType):
            with contextlib.suppress(Exception):  # an object of a stranger's
                for held in list(object.__getattribute__(value, "__dict__").values()):
                    look(held, depth - 1)

    for top in sys._current_frames().values():
        frame: types.FrameType | None = top
        while frame is not None:
            for value in list(frame.f_locals.values()):
                look(value, DEPTH)
            frame = frame.f_back
    return found


def _reads_parent() -> bool:
    """Whether the system lets this process read the memory of its parent."""
    parent = os.getppid()
    with contextlib.suppress(OSError, ValueError, IndexError, OverflowError):
        line = next(line for line in Path(f"/proc/{parent}/maps").read_text().splitlines() if " r" in line)
        with open(f"/proc/{parent}/mem", "rb", buffering=0) as memory:  # noqa: PTH123
            memory.seek(int(line.partition("-")[0], 16))
            return len(memory.read(8)) == 8
    return False
