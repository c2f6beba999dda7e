"""What the GIFT-Eval leaderboard asks of a folder with results, checked strictly; the import is the tolerant side.

Rules from the README of https://github.com/SalesforceAIResearch/gift-eval: a folder `results/<model>` with two files, `all_results.csv`
of 97 rows and 15 columns and `config.json` with eight fields; forecasts without NaN; a zero-shot model neither leaks nor trains on
GIFT-Eval; replication code that is available has a public link. What the README leaves open is taken from what most published folders do.
"""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import DataError, suggest
from harness_results.gift_eval_export import CONFIG_FIELDS
from harness_results.gift_eval_files import METRICS, PREFIX
from harness_results.small_files import read_small

if TYPE_CHECKING:
    from harness.types import Task

__all__ = ["CHOICES", "COLUMNS", "Check", "check_config", "check_folder", "passes"]

COLUMNS = ("dataset", "model", *(PREFIX + metric for metric in METRICS), "domain", "num_variates")
"""The fifteen columns, in order."""

CHOICES = {
    "model_type": ("statistical", "deep-learning", "agentic", "pretrained", "fine-tuned", "zero-shot"),
    "testdata_leakage": ("Yes", "No"),
    "replication_code_available": ("Yes", "No"),
}
"""The fields of config.json with a closed list of values."""

_EXAMPLES = {
    "model_dtype": "float32",
    "org": "'Our Lab'",
    "model_link": "https://huggingface.co/NAME/MODEL",
    "code_link": "https://github.com/NAME/REPOSITORY",
}
_FILES = {"all_results.csv", "config.json"}
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,79}")
_LINK = re.compile(r"https?://[^\s/]+\.[^\s]+")


@dataclass(frozen=True)
class Check:
    """One line of the checklist. `ok` is None where something could not be checked or is worth knowing only; `tasks` are those meant."""

    name: str
    ok: bool | None
    detail: str
    fix: str = ""
    tasks: tuple[str, ...] = field(default=())


def passes(checks: Sequence[Check]) -> bool:
    """Whether nothing is wrong."""
    return all(check.ok is not False for check in checks)


def check_folder(folder: Path, tasks: Mapping[str, Task]) -> list[Check]:
    """Check one model's folder.

    Args:
        folder: the model's folder; made by anyone.
        tasks: the suite's tasks by name.
    """
    folder = folder.resolve()
    checks = [_folder_name(folder.name), _files(folder)]
    rows, problem = _read_csv(folder / "all_results.csv")
    checks += [problem] if problem else _check_rows(rows, folder.name, tasks)
    return checks + _check_config_file(folder)


def _listed(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _folder_name(name: str) -> Check:
    good = bool(_FOLDER.fullmatch(name)) and not name.endswith(".")
    rule = "1 to 80 of A-Z a-z 0-9 . _ + -, beginning with a letter or a digit"
    return Check("folder name", good, name if good else f"got {name!r}; wanted {rule}", "" if good else "--config model=NAME")


def _files(folder: Path) -> Check:
    try:
        found = {path.name for path in folder.iterdir()}
    except OSError as error:
        return Check("files", False, f"{folder}: {error.strerror}")
    lacking, more = sorted(_FILES - found), sorted(found - _FILES)
    if not lacking and not more:
        return Check("files", True, "all_results.csv, config.json")
    parts = [f"missing: {_listed(lacking)}" if lacking else "", f"not wanted: {_listed(more)}" if more else ""]
    return Check("files", False, "; ".join(part for part in parts if part), f"remove what is not wanted from {folder}" if more else "")


def _read_csv(file: Path) -> tuple[list[list[str]], Check | None]:
    """The rows with the header, or what is wrong with the file as such."""
    try:
        text = read_small(file).decode("utf-8")
        rows = [row for row in csv.reader(io.StringIO(text, newline=""), strict=True) if row]
    except DataError as error:
        return [], Check("all_results.csv", False, f"cannot be read: {error}")
    except UnicodeDecodeError as error:
        return [], Check("all_results.csv", False, f"is not UTF-8 (byte {error.start})")
    except csv.Error as error:
        return [], Check("all_results.csv", False, f"is not a CSV file: {error}")
    if text.startswith("\ufeff"):
        return [], Check("all_results.csv", False, "begins with a byte order mark, which becomes a part of the first column's name")
    return (rows, None) if rows else ([], Check("all_results.csv", False, "is empty"))


def _check_rows(rows: list[list[str]], model: str, tasks: Mapping[str, Task]) -> list[Check]:
    header, body = rows[0], rows[1:]
    checks = [_columns(header)]
    if header.count("dataset") != 1:
        return [*checks, Check("rows", False, "there is no column 'dataset', so no row can be told")]
    table: dict[str, list[str | None]] = {
        name: [row[i] if i < len(row) else None for row in body] for i, name in reversed(list(enumerate(header)))
    }
    names = [name or "" for name in table["dataset"]]
    checks += _datasets(names, tasks)
    if "model" in table:
        other = sorted({value or "" for value in table["model"]} - {model})
        detail = f"got {_listed([repr(name) for name in other])}; wanted the folder's name in all rows" if other else f"{model} in all rows"
        checks.append(Check("column model", not other, detail))
    checks.append(_metrics(names, table))
    for column in ("domain", "num_variates"):
        if column in table:
            wrong = [
                name for name, text in zip(names, table[column], strict=True) if name in tasks and not _declared(column, text, tasks[name])
            ]
            detail = f"differs from the suite's in {len(wrong)} rows: {_listed(wrong)}" if wrong else "as the suite has it"
            checks.append(Check(f"column {column}", not wrong, detail, tasks=tuple(wrong)))
    return checks


def _declared(column: str, text: str | None, task: Task) -> bool:
    # "2.0" is what pandas writes for a column of whole numbers in which one was missing for a while.
    return text == task.domain if column == "domain" else text in (str(task.variates), f"{task.variates}.0")


def _columns(header: list[str]) -> Check:
    if header == list(COLUMNS):
        return Check("columns", True, f"{len(COLUMNS)} in the official order")
    lacking = [name for name in COLUMNS if name not in header]
    more = [name or "(one without a name)" for name in header if name not in COLUMNS]
    parts = [f"missing: {_listed(lacking)}" if lacking else "", f"not wanted: {_listed(more)}" if more else ""]
    detail = "; ".join(part for part in parts if part) or "twice or in another order"
    return Check("columns", False, f"got {len(header)}, wanted the {len(COLUMNS)} of the README; {detail}")


def _datasets(names: list[str], tasks: Mapping[str, Task]) -> list[Check]:
    lacking = [name for name in sorted(tasks) if name not in names]
    unknown = sorted({name for name in names if name not in tasks})
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    got = f"{len(tasks) - len(lacking)} of {len(tasks)}"
    detail = f"{got}; missing: {_listed(lacking)}" if lacking else got
    checks = [Check("rows", not lacking, detail, tasks=tuple(lacking))]
    if unknown:
        checks.append(Check("names of rows", False, f"no such task: {_listed([repr(n) for n in unknown])}.{suggest(unknown[0], tasks)}"))
    if twice:
        checks.append(Check("names of rows", False, f"more than once: {_listed([repr(n) for n in twice])}"))
    return checks


def _metrics(names: list[str], table: Mapping[str, list[str | None]]) -> Check:
    bad: dict[str, list[str]] = {}  # {task: metrics}
    count = 0
    for metric in METRICS:
        for name, text in zip(names, table.get(PREFIX + metric, []), strict=False):
            count += 1
            if not _usable(text):
                bad.setdefault(name, []).append(f"{metric} = {text or 'nothing'}")
    if not bad:
        return Check("metrics", True, f"{count:,} finite numbers")
    said = _listed([f"{name} ({', '.join(metrics)})" for name, metrics in bad.items()])
    return Check("metrics", False, f"no finite number, or a negative one, in {len(bad)} rows: {said}", tasks=tuple(bad))


def _usable(text: str | None) -> bool:
    try:
        return text is not None and "_" not in text and 0 <= float(text) < math.inf
    except ValueError:
        return False


def _check_config_file(folder: Path) -> list[Check]:
    try:
        config = json.loads(read_small(folder / "config.json").decode("utf-8"))
    except (DataError, ValueError, RecursionError) as error:
        return [Check("config.json", False, f"cannot be read: {error}")]
    if not isinstance(config, dict):
        return [Check("config.json", False, f"got {type(config).__name__}; wanted an object with {', '.join(CONFIG_FIELDS)}")]
    return check_config(config, folder.name)


def check_config(config: Mapping[str, Any], model: str) -> list[Check]:
    """Check the fields of config.json; `model` is the name of the folder."""
    checks = [_field(config, name, model) for name in CONFIG_FIELDS]
    if more := sorted(str(name) for name in config if name not in CONFIG_FIELDS):
        checks.append(Check("config: other fields", False, f"not wanted: {_listed(more)}"))
    if config.get("model_type") == "zero-shot" and config.get("testdata_leakage") == "Yes":
        detail = "a model whose training data overlap with the test data is not zero-shot"
        checks.append(Check("config: zero-shot", False, detail, "--config model_type=pretrained"))
    return checks


def _field(config: Mapping[str, Any], name: str, model: str) -> Check:
    title = f"config: {name}"
    value = config.get(name)
    if name in CHOICES:
        choices = CHOICES[name]
        if value in choices:
            return Check(title, True, str(value))
        fix = " or ".join(f"--config {name}={choice}" for choice in choices) if len(choices) == 2 else f"--config {name}=TYPE"
        return Check(title, False, f"{_got(config, name)}; wanted {', '.join(choices)}", fix)
    if not isinstance(value, str):
        return Check(title, False, f"{_got(config, name)}; wanted text", f"--config {name}={_EXAMPLES.get(name, model)}")
    if name == "model":
        return Check(title, value == model, value if value == model else f"got {value!r}; wanted the folder's name, {model!r}")
    fix = f"--config {name}={_EXAMPLES[name]}"
    if name in ("model_dtype", "org"):
        return Check(title, bool(value.strip()), value if value.strip() else "is empty", "" if value.strip() else fix)
    if not value.strip():
        if name == "code_link" and config.get("replication_code_available") == "Yes":
            return Check(title, False, "is empty, though replication code is said to be available", fix)
        return Check(title, None, "is empty: the model has no public link", fix)
    good = bool(_LINK.fullmatch(value))
    return Check(title, good, value if good else f"got {value!r}; wanted an address that begins with https://", "" if good else fix)


def _got(config: Mapping[str, Any], name: str) -> str:
    return f"got {config[name]!r}" if config.get(name) not in (None, "") else "is empty" if name in config else "is missing"
