"""Results of fev as they are found: CSV files with a row for each model and task, written from `fev.Task.evaluation_summary`.

Notable choices. Columns are found by name. A task is named by `task_name` (else its dataset), and is the same task where everything
that decides its numbers agrees: horizon, windows, season, targets, covariates, levels, metrics' parameters. fev's metrics are
averaged over items and windows and its MASE is that of the point forecast, so they have names of their own, "fev:MASE", and
`fev:test_error` is the one that the task is judged by. A row without a finite `test_error` is a failed result.
Source of the format: fev 0.6 to 0.10, https://github.com/autogluon/fev.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness import frequency
from harness.errors import DataError
from harness_results.table_files import number, open_table

__all__ = ["METRICS", "PREFIX", "TASK_FIELDS", "FevRow", "agree", "digest", "read_fev", "task_facts_of"]

PREFIX = "fev:"
METRICS = (
    "MAE", "MAEB", "MAPE", "MASE", "MQL", "MSE", "RMSE", "RMSLE", "RMSSE", "SMAPE", "SQL", "WAPE", "WAPEB", "WQL",
)  # fmt: skip
"""fev's metrics; others are recognised where `eval_metric` or `extra_metrics` names them."""

TASK_FIELDS = (
    "horizon",
    "num_windows",
    "initial_cutoff",
    "window_step_size",
    "min_context_length",
    "max_context_length",
    "seasonality",
    "eval_metric",
    "quantile_levels",
    "target",
    "generate_univariate_targets_from",
    "known_dynamic_columns",
    "past_dynamic_columns",
    "static_columns",
)
"""Columns that decide a task's numbers."""

_OLDER = {
    "num_rolling_windows": "num_windows",
    "rolling_step_size": "window_step_size",
    "cutoff": "initial_cutoff",
    "target_column": "target",
    "multiple_target_columns": "generate_univariate_targets_from",
}
"""Names of these columns in older files."""

_OTHER = {"model_name", "dataset_path", "dataset_config", "extra_metrics", "id_column", "timestamp_column", "task_name", "test_error"}
_OTHER |= {"training_time_s", "inference_time_s", "num_forecasts", "dataset_fingerprint", "trained_on_this_dataset", "fev_version"}
_LONGEST = 4_000  # characters of a text that is kept only to be shown


@dataclass
class FevRow:
    """One result."""

    model: str
    task: str  # before tasks of one name are told apart
    where: str  # file and line
    definition: dict[str, Any]  # of TASK_FIELDS those that the file has, and "metrics": {name: parameters}
    dataset: str
    scores: dict[str, float]
    error: str  # "" = good
    trained: bool | None  # on this dataset
    fit_s: float | None
    predict_s: float | None
    forecasts: int | None  # items × targets × windows
    about: dict[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def key(self) -> tuple[str, str, str]:
        """Model, task and definition: which result it is."""
        return self.model, self.task, digest(self.definition)


def read_fev(file: Path) -> list[FevRow]:
    """Read one file.

    Raises:
        DataError: not a file of fev's results, or a row without a model or a task.
    """
    table = open_table(file)
    header = [_OLDER.get(name, name) for name in table.header]
    for wanted in ("model_name", "test_error"):
        if wanted not in header:
            got = ", ".join(header)[:200]
            raise DataError(f"{file}: there is no column '{wanted}'; wanted the columns of fev's evaluation_summary, got {got}")
    return [_row(dict(zip(header, cells, strict=False)), f"{file.name}, line {line}") for line, cells in table.rows()]


def _row(cells: Mapping[str, str], where: str) -> FevRow:
    text = {name: value.strip() for name, value in cells.items()}
    said = text.get("trained_on_this_dataset", "").lower()
    model = text.get("model_name", "")
    task = text.get("task_name") or text.get("dataset_config") or _from_path(text.get("dataset_path", ""))
    if not model or not task:
        lacking = "neither task_name nor dataset_config nor dataset_path" if model else "no model_name"
        raise DataError(f"{where}: {lacking}; is the file whole?")
    definition = {name: _value(text[name]) for name in TASK_FIELDS if name in text}
    if isinstance(least := definition.get("min_context_length"), int) and least < 1:
        definition["min_context_length"] = 1  # published files have negative ones, which leave out as little as 1
    metrics = _metrics(definition.get("eval_metric"), _value(text.get("extra_metrics", "")))
    definition |= {"metrics": metrics} | ({"eval_metric": next(iter(metrics), None)} if "eval_metric" in definition else {})
    scores = {}
    for name, value in text.items():
        if name.partition("[")[0] in {*METRICS, *metrics} and (score := number(value)) is not None:
            scores[PREFIX + name] = score
    error = number(text.get("test_error", ""))
    if error is not None:
        scores[PREFIX + "test_error"] = error
    known = {*_OTHER, *TASK_FIELDS, *(name.removeprefix(PREFIX) for name in scores), ""}
    about = {name: value[:_LONGEST] for name, value in text.items() if name not in known}
    about |= {name: text[name] for name in ("fev_version", "dataset_fingerprint", "dataset_path", "dataset_config") if text.get(name)}
    forecasts = number(text.get("num_forecasts", ""))
    return FevRow(
        model=model,
        task=task,
        where=where,
        definition=definition,
        dataset=text.get("dataset_config") or task,
        scores=scores,
        error="" if error is not None else f"test_error is {text.get('test_error') or 'blank'}",
        trained=True if said in ("true", "1", "1.0") else False if said in ("false", "0", "0.0") else None,
        fit_s=_seconds(text.get("training_time_s", "")),
        predict_s=_seconds(text.get("inference_time_s", "")),
        forecasts=int(forecasts) if forecasts is not None and 0 < forecasts < 2**53 else None,
        about=about,
    )


def _from_path(path: str) -> str:
    """As fev names the task of a file: by its two folders."""
    parts = [part for part in re.split(r"[/\\]", path) if part]
    return "/".join(parts[-3:-1]) or path


def _seconds(text: str) -> float | None:
    value = number(text)
    return value if value is not None and value >= 0 else None


def _value(text: str) -> Any:
    """What a cell says: JSON or a Python literal (fev's lists are written as Python writes them), else the text itself."""
    if not text:
        return None
    if len(text) <= _LONGEST:
        for read in (json.loads, ast.literal_eval):
            try:
                value = read(text)
            except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
                continue
            if isinstance(value, float) and value.is_integer():
                return int(value)  # pandas writes a column of whole numbers with a gap as 96.0
            return value if isinstance(value, bool | int | float | str | list | dict) else text
    return text


def _metrics(evaluated: Any, extra: Any) -> dict[str, dict[str, Any]]:
    """{metric: its parameters}, the one that the task is judged by first."""
    found: dict[str, dict[str, Any]] = {}
    for metric in [evaluated, *(extra if isinstance(extra, list) else [])]:
        name = metric.get("name") if isinstance(metric, dict) else metric
        if isinstance(name, str):
            found.setdefault(name, {k: v for k, v in metric.items() if k != "name"} if isinstance(metric, dict) else {})
    return found


def agree(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """The fields in which two definitions differ; what one of them does not say counts as equal."""
    differing = [name for name in TASK_FIELDS if name in one and name in other and one[name] != other[name]]
    mine, theirs = one.get("metrics", {}), other.get("metrics", {})
    return differing + [f"{name}'s parameters" for name in mine if name in theirs and mine[name] != theirs[name]]


def digest(definition: Mapping[str, Any]) -> str:
    """A short name of a definition; depends on nothing else."""
    text = json.dumps(definition, sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:10]


def task_facts_of(row: FevRow) -> dict[str, Any]:
    """What a row says of its task, as columns of `cells`: freq and family from names such as "ETT_15T"."""
    definition = row.definition
    target = definition.get("target")
    family, freq = _split_name(row.dataset)
    whole = {name: v for name in ("horizon", "seasonality") if isinstance(v := definition.get(name), int) and 0 < v < 2**31}
    levels = definition.get("quantile_levels")
    windows = definition.get("num_windows")
    return {
        "dataset": row.dataset,
        "family": family,
        "domain": "",
        "freq": freq,
        "term": "",
        "horizon": whole.get("horizon"),
        "season_length": whole.get("seasonality"),
        "variates": len(target) if isinstance(target, list) else 1,
        "quantile_levels": levels if isinstance(levels, list) and all(isinstance(q, int | float) for q in levels) else None,
        "n_windows": row.forecasts,
        "n_series": row.forecasts // windows if row.forecasts and isinstance(windows, int) and windows > 0 else None,
        "dialect": "fev",
    }


def _split_name(dataset: str) -> tuple[str, str]:
    match = re.fullmatch(r"(.+)_(\d+[A-Za-z]+)", dataset)
    if match:
        try:
            return match[1], frequency.normalize(match[2])
        except DataError:
            pass
    return dataset, ""
