"""Published GIFT-Eval results as they are found: one folder a model, a CSV file and a `config.json`.

The files are not uniform (line ends, row order, index columns, spelling of names, missing columns), so they are joined by name
and read with forgiveness; whatever was forgiven is said in `Published.warnings`. Source of the format: the results folder of
https://huggingface.co/spaces/Salesforce/GIFT-Eval.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import DataError, NothingMatched
from harness.files import other_than_file
from harness_results.plain import listed, plain_info
from harness_results.small_files import read_small

__all__ = ["ALIASES", "METRICS", "PREFIX", "Published", "find_folders", "read_all", "read_folder"]

PREFIX = "eval_metrics/"
METRICS = (
    "MSE[mean]",
    "MSE[0.5]",
    "MAE[0.5]",
    "MASE[0.5]",
    "MAPE[0.5]",
    "sMAPE[0.5]",
    "MSIS",
    "RMSE[mean]",
    "NRMSE[mean]",
    "ND[0.5]",
    "mean_weighted_sum_quantile_loss",
)
"""The eleven metrics of a published file, in its column order; also the harness's own names for them."""

ALIASES = {
    "saugeenday": "saugeen",
    "temperature_rain_with_missing": "temperature_rain",
    "kdd_cup_2018_with_missing": "kdd_cup_2018",
    "car_parts_with_missing": "car_parts",
}
"""Folder names of the datasets that some files use in place of the published names."""


@dataclass
class Published:
    """One model's results: `scores[task][metric]`, None where the file holds no number."""

    model: str
    scores: dict[str, dict[str, float | None]]
    config: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def find_folders(path: Path) -> list[Path]:
    """The results files below `path`, one per model, from a CSV file, a model's folder, or a folder of such folders.

    Raises:
        NothingMatched: no CSV file there.
    """
    if path.is_file():
        return [path]
    if path.is_dir():
        for root in (path, path / "results"):
            below = [found for folder in sorted(root.iterdir()) if folder.is_dir() and (found := _csv_in(folder))] if root.is_dir() else []
            if below:
                return below
        if found := _csv_in(path):
            return [found]
    other = "" if path.is_dir() else other_than_file(path)
    what = "no CSV file in it or in the folders below it" if path.is_dir() else f"it is {other}" if other else "nothing there"
    raise NothingMatched(f"{path}: {what}; wanted an all_results.csv, a model's folder, or a folder of models' folders")


def _csv_in(folder: Path) -> Path | None:
    files = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".csv" and p.is_file())
    return min(files, key=lambda p: (p.stem.lower().replace("-", "_") != "all_results", p.name), default=None)


def read_folder(file: Path, tasks: Mapping[str, Any]) -> Published:
    """Read one model's results; the model is named by the folder of its file.

    Args:
        file: the CSV file.
        tasks: known tasks by name; rows of others are left out with a warning.

    Raises:
        DataError: no file of at most 64 MB, or not a CSV file of results.
    """
    text = read_small(file).decode("utf-8-sig", errors="replace")
    published = Published(file.resolve().parent.name, {})
    try:
        rows = list(csv.reader(io.StringIO(text.replace("\0", ""), newline="")))
    except csv.Error as error:
        raise DataError(f"{file} is not a CSV file: {error}") from error
    header = [name.strip() for name in rows[0]] if rows else []
    metrics = {i: name.removeprefix(PREFIX) for i, name in enumerate(header) if name.startswith(PREFIX) or name in METRICS}
    where = [i for i, name in enumerate(header) if name.lower() == "dataset"]
    if not where or not metrics:
        wanted = "a column 'dataset'" if not where else f"columns such as '{PREFIX}MASE[0.5]'"
        raise DataError(f"{file}: wanted {wanted}; got {', '.join(header[:6]) or 'an empty file'}")
    known = {name.lower(): name for name in tasks}
    unknown: list[str] = []
    again: list[str] = []
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        name = _task_name(row[where[0]] if where[0] < len(row) else "", known)
        if name is None:
            unknown.append(row[where[0]] if where[0] < len(row) else f"(line {number})")
            continue
        if _put(published, name, {metric: _number(row[i] if i < len(row) else "") for i, metric in metrics.items()}, number):
            again.append(name)
    if again:
        published.warnings.append(f"{len(again)} rows are there again with equal numbers: {', '.join(sorted(set(again))[:5])}")
    if unknown:
        published.warnings.append(f"{len(unknown)} rows of unknown datasets left out: {', '.join(sorted(set(unknown))[:5])!r}")
    if not published.scores:
        raise DataError(f"{file}: no row names a task of the suite; got {', '.join(sorted(set(unknown))[:3])!r}")
    _note_gaps(published)
    published.config = _config(file.parent, published.warnings)
    return published


def _task_name(text: str, known: Mapping[str, str]) -> str | None:
    name = text.strip().lower()
    dataset, slash, rest = name.partition("/")
    return known.get(name) or known.get(ALIASES.get(dataset, dataset) + slash + rest)


def _number(text: str) -> float | None:
    if "_" in text:  # Python would read 1_0 as ten
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return None if value != value else value


def _put(published: Published, name: str, scores: dict[str, float | None], line: int) -> bool:
    """Take in a row; return whether it was there already with equal numbers."""
    if name not in published.scores:
        published.scores[name] = scores
        return False
    same = published.scores[name] == scores
    if not same:
        published.warnings.append(f"line {line}: {name} is there twice with different numbers; the first is kept")
    return same


def _note_gaps(published: Published) -> None:
    gaps = sum(value is None for row in published.scores.values() for value in row.values())
    if gaps:
        published.warnings.append(f"{gaps} cells hold no number")
    below = [
        f"{name} ({metric} = {value:g})"
        for name, row in published.scores.items()
        for metric, value in row.items()
        if metric in METRICS and value is not None and value < 0
    ]
    if below:
        published.warnings.append(f"{len(below)} numbers are negative, which none of these metrics can be: {listed(below)}")


def _config(folder: Path, warnings: list[str]) -> dict[str, Any]:
    file = folder / "config.json"
    if not file.exists():
        return {}
    try:
        config = json.loads(read_small(file).decode("utf-8-sig", errors="replace"))
    except (DataError, ValueError, RecursionError) as error:
        warnings.append(f"config.json cannot be read ({error})")
        return {}
    if not isinstance(config, dict):
        warnings.append(f"config.json is left out: it holds a {type(config).__name__}; wanted an object")
        return {}
    known, dropped = plain_info(config)
    if dropped:
        warnings.append(f"left out of config.json: {listed(dropped)}")
    return known


def read_all(path: Path, tasks: Mapping[str, Any]) -> tuple[list[Published], list[str]]:
    """Read every model below `path`; return them and what could not be read. One broken file never stops the others."""
    read: dict[str, Published] = {}
    problems: list[str] = []
    for file in find_folders(path):
        try:
            published = read_folder(file, tasks)
        except DataError as error:
            problems.append(str(error))
        except (OSError, ValueError, RecursionError) as error:
            problems.append(f"{file}: {error}")
        else:
            read[published.model] = published
    return list(read.values()), problems
