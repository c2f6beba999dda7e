"""What has been finished, a line of JSON each, so that work that was killed goes on where it was.

The first line says what the work is. A line is on the disk before the next one is begun; the last one may have been cut off by a kill, and
is then taken away.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness import DataError, UsageError
from harness.errors import StoreError

__all__ = ["Journal"]


class Journal:
    """A file of records; made, or read where it is there.

    Args:
        path: the file.
        head: what the work is, as JSON; a file of other work is refused.

    Raises:
        UsageError: the file is of other work.
        DataError: it is no journal.
        StoreError: it cannot be read or written.
    """

    def __init__(self, path: Path, head: Mapping[str, Any]) -> None:
        self.path = path
        self.records: list[dict[str, Any]] = []
        try:
            self._open(head)
        except OSError as error:
            raise StoreError(f"could not use {path}: {error.strerror or error}; choose another folder with -o") from error

    def _open(self, head: Mapping[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        text = self.path.read_bytes() if self.path.exists() else b""
        whole = text.rfind(b"\n") + 1
        if whole < len(text):  # a line that a kill has cut off
            os.truncate(self.path, whole)
        lines = [self._read(number, line) for number, line in enumerate(text[:whole].splitlines(), 1)]
        wanted = json.loads(json.dumps(head))
        if not lines or (len(lines) == 1 and lines[0] != wanted):  # begun, and nothing was finished
            if lines:
                os.truncate(self.path, 0)
            self.add(head)
            self.records.clear()
            return
        if lines[0] != wanted:
            raise UsageError(
                f"{self.path.parent} was begun with other settings ({', '.join(_differing(lines[0], wanted))}); give those again, name "
                "another folder, or begin anew with --fresh"
            )
        self.records = lines[1:]

    def _read(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise DataError(f"{self.path}, line {number}: is no record; move the file away, or name another folder")
        return record

    def add(self, record: Mapping[str, Any]) -> None:
        """Write a record, so that it outlives this process.

        Raises:
            StoreError: it could not be written; what was there before is unchanged.
        """
        self.records.append(dict(record))
        line = (json.dumps(record, ensure_ascii=True) + "\n").encode()
        size = 0
        try:
            with self.path.open("ab") as file:
                size = file.tell()
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self.records.pop()
            if self.path.exists():
                os.truncate(self.path, size)
            said = f"could not write {self.path}: {error.strerror or error}"
            raise StoreError(f"{said}; what was finished is kept, and the same command goes on") from error


def _differing(there: Mapping[str, Any], asked: Mapping[str, Any], within: str = "") -> list[str]:
    """What differs, by name, down to single settings: "samples: 8 there, 9 asked for"."""
    said = []
    for name in sorted({*there, *asked}):
        a, b = there.get(name), asked.get(name)
        if isinstance(a, dict) and isinstance(b, dict):
            said += _differing(a, b, name)
        elif a != b:
            said.append(f"{name}: {a} there, {b} asked for" if within else name)
    return said
