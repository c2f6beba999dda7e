"""All steps of each answer, a line of JSON each, for reading afterwards: prompts, reasoning, findings, critiques, what was taken."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness import DataError

__all__ = ["Steps", "read_steps"]


class Steps:
    """A file of its own for each process, `FOLDER/<time>-<process>.jsonl`; a line is written whole or is the last one.

    A disk that is full ends the writing, not the forecasting; `problem` says so.
    """

    def __init__(self, folder: Path) -> None:
        import datetime

        now = datetime.datetime.now(datetime.UTC).strftime("%Y%m%dT%H%M%S%f")
        self.path = folder / f"{now}-{os.getpid()}.jsonl"
        self.problem = ""

    def write(self, record: Mapping[str, Any]) -> None:
        """Append a record."""
        if self.problem:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8", errors="replace") as file:
                file.write(json.dumps(record, ensure_ascii=True) + "\n")
        except OSError as error:
            self.problem = f"{self.path} could not be written: {error.strerror or error}"


def read_steps(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file, or of all files of a folder in the order of their names; a last line that was cut off is left out.

    Raises:
        DataError: there is nothing, or a line is no record.
    """
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path} holds no steps (*.jsonl); they are written where TIME_R1_STEPS names a folder")
    for file in files:
        try:
            lines = file.read_text("utf-8", errors="replace").split("\n")
        except OSError as error:
            raise DataError(f"{file} cannot be read: {error.strerror or error}") from error
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError):
                if number == len(lines):  # a process was killed while it wrote
                    break
                raise DataError(f"{file}, line {number}: is no JSON; wanted a record of steps") from None
            if not isinstance(record, dict) or not isinstance(record.get("steps"), list):
                raise DataError(f"{file}, line {number}: is no record of steps")
            yield record
