"""All steps of each answer, a line of JSON each, for reading afterwards: prompts, reasoning, findings, critiques, what was taken."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness import DataError
from harness.files import other_than_file

__all__ = ["Steps", "read_steps"]

RECORD = {"window": int, "sample": int, "kind": str, "steps": list}
STEP = {"step": str}
ANSWER = {"text": str, "finish": str, "error": str, "completion_tokens": int}
"""What must be in a record for it to be read; there may be more."""
KINDS = {int: "a whole number", str: "a text", list: "a list", dict: "an object", float: "a number", bool: "true or false"}


class Steps:
    """A file of its own for each process, `FOLDER/<time>-<process>.jsonl`; a line is written whole or is the last one.

    A disk that is full, or a folder that cannot be made or written, ends the writing, not the forecasting; `problem` says so.
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
            folder = self.path.parent
            what = f"{folder} is {kind}" if (kind := _other_than_folder(folder)) else str(error.strerror or error)
            self.problem = f"steps could not be written: {self.path}: {what}; wanted a folder that can be: TIME_R1_STEPS=FOLDER"


def read_steps(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a file, or of all files of a folder in the order of their names; a last line that was cut off is left out.

    Raises:
        DataError: there is nothing, or a line is no whole record.
    """
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise DataError(f"{path} holds no steps (*.jsonl); they are written where TIME_R1_STEPS names a folder")
    for file in files:
        if what := other_than_file(file):
            raise DataError(f"{file} is {what}; wanted a file of steps")
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
            if wrong := _lacks(record):
                raise DataError(f"{file}, line {number}: is no record of steps: {wrong}")
            yield record


def _lacks(record: Any) -> str:
    """What a record must have and has not, "" where it is whole."""
    if wrong := _wrong(record, RECORD, "it"):
        return wrong
    for number, step in enumerate(record["steps"], 1):
        name = f"its step {number}"
        if wrong := _wrong(step, STEP, name):
            return wrong
        if not isinstance(step.get("kind", ""), str):
            return f"kind of {name} is {_kind(step['kind'])}; wanted a text"
        findings = step.get("findings", [])
        if not isinstance(findings, list) or not all(isinstance(finding, str) for finding in findings):
            return f"findings of {name} are no list of texts"
        if step.get("answer") is not None and (wrong := _wrong(step["answer"], ANSWER, f"the answer of {name}")):
            return wrong
    return ""


def _wrong(value: Any, fields: Mapping[str, type], name: str) -> str:
    """Why a value is no object with such fields, "" where it is."""
    if not isinstance(value, dict):
        return f"{name} is {_kind(value)}; wanted an object"
    for field, kind in fields.items():
        if field not in value:
            return f"{name} has no {field}"
        if type(value[field]) is not kind:
            return f"{field} of {name} is {_kind(value[field])}; wanted {KINDS[kind]}"
    return ""


def _kind(value: object) -> str:
    return KINDS.get(type(value), "null")


def _other_than_folder(path: Path) -> str:
    """What is at a path where it is no folder: "a file"; "" for a folder, or where nothing is."""
    if os.path.isfile(path):  # noqa: PTH113 - Path's raises for a text too long to be a path
        return "a file"
    kind = other_than_file(path)
    return "" if kind == "a folder" else kind
