"""What the columns of a table of published scores mean: guessed from usual names and from the cells, overruled by `--map`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from harness.errors import DataError, UsageError, suggest
from harness_results.gift_eval_files import METRICS, PREFIX
from harness_results.schema import MAIN_METRICS
from harness_results.table_files import number

__all__ = ["FIELDS", "Columns", "find_columns", "metric_name", "read_map"]

FIELDS: dict[str, tuple[str, ...]] = {
    "model": ("model_name", "method", "algorithm", "forecaster"),
    "task": ("task_name", "config", "configuration"),
    "dataset": ("dataset_name", "data", "data_set", "dataset_config"),
    "metric": ("metric_name", "measure"),
    "value": ("score", "result", "metric_value"),
    "freq": ("frequency",),
    "term": (),
    "horizon": ("h", "pred_len", "prediction_length", "forecast_horizon"),
    "domain": (),
    "family": ("dataset_family",),
    "season_length": ("seasonality", "season", "seasonal_period"),
    "variates": ("num_variates", "n_variates"),
    "mode": (),
    "seed": (),
    "n_series": ("num_series",),
    "n_windows": ("num_windows",),
    "fit_s": ("training_time_s",),
    "predict_s": ("inference_time_s",),
    "model_type": (),
    "org": ("organization", "organisation"),
    "license": ("licence",),
    "link": ("url", "model_link"),
    "testdata_leakage": (),
}
"""Names of the harness and what else is read as such, whatever the case."""

IGNORE = "-"
_NOTHING = {"", "-", "–", "nan", "na", "n/a", "none", "null", "inf", "-inf", "+inf", "infinity"}
_METRICS = {name.lower(): name for name in METRICS} | {short.lower(): name for short, name in MAIN_METRICS.items()}


@dataclass(frozen=True)
class Columns:
    """Where things are: `fields` {name of the harness: column}, `metrics` {column: metric} (none where a row holds one score)."""

    header: list[str]
    fields: dict[str, int]
    metrics: dict[int, str]
    notes: list[str] = field(default_factory=list)

    @property
    def long(self) -> bool:
        """Whether each row holds one score, named by a column."""
        return "metric" in self.fields

    def meanings(self) -> list[tuple[str, str]]:
        """(column, what it is taken for) in the order of the file; "" = left out."""
        named = {i: name for name, i in self.fields.items()} | {i: f"score {name}" for i, name in self.metrics.items()}
        return [(name, named.get(i, "")) for i, name in enumerate(self.header)]


def metric_name(text: str) -> str:
    """The harness's name of a metric: "MASE" and "eval_metrics/MASE[0.5]" -> "MASE[0.5]"; others stay as they are."""
    name = text.strip().removeprefix(PREFIX)
    return _METRICS.get(name.lower(), name)


def read_map(assignments: Sequence[str], header: Sequence[str]) -> dict[str, str]:
    """Read `--map column=name`; the name is a field, a metric, or "-" for a column to leave out.

    Raises:
        UsageError: no such column, or no "=".
    """
    mapping = {}
    for text in assignments:
        # A column's name may hold "=": the longest that is one.
        at = next((i for i in range(len(text) - 1, 0, -1) if text[i] == "=" and text[:i].strip() in header), -1)
        if at < 0 or not text[at + 1 :].strip():
            column = text.partition("=")[0].strip()
            raise UsageError(f"--map {text!r}: wanted COLUMN=NAME.{suggest(column, header)} The columns are: {', '.join(header)}"[:2000])
        mapping[text[:at].strip()] = text[at + 1 :].strip()
    return mapping


def find_columns(header: list[str], sample: Sequence[Sequence[str]], mapping: Mapping[str, str], separator: str = ",") -> Columns:
    """Tell what each column is.

    Args:
        header: names of the columns.
        sample: some rows, to tell columns of numbers from columns of words.
        mapping: what is known already; see `read_map`.

    Raises:
        DataError: no model, task or score, or a name that two columns have.
    """
    fields: dict[str, int] = {}
    metrics: dict[int, str] = {}
    notes: list[str] = []
    for i, name in enumerate(header):
        if name in mapping and mapping[name] != IGNORE:
            if mapping[name] not in FIELDS:
                metrics[i] = mapping[name]
            elif mapping[name] in fields:
                raise DataError(f"columns {header[fields[mapping[name]]]!r} and {name!r} are both mapped to '{mapping[name]}'; wanted one")
            else:
                fields[mapping[name]] = i
    _guess_fields(header, mapping, fields, notes)
    if ("metric" in fields) != ("value" in fields):  # a lone "score" of a wide table is a score
        for name in ("metric", "value"):
            fields.pop(name, None)
    if "metric" not in fields:
        taken = {*fields.values(), *metrics}
        for i, name in enumerate(header):
            if i not in taken and name not in mapping and _is_score(name, [row[i] for row in sample if i < len(row)], separator):
                metrics[i] = metric_name(name)
    columns = Columns(header, fields, {} if "metric" in fields else metrics, notes)
    _refuse(columns)
    return columns


def _guess_fields(header: Sequence[str], mapping: Mapping[str, str], fields: dict[str, int], notes: list[str]) -> None:
    plain = [re.sub(r"\W+", "_", name.strip().lower()).strip("_") for name in header]
    for wanted, others in FIELDS.items():
        if wanted in fields:
            continue
        found = [i for known in (wanted, *others) for i, name in enumerate(plain) if name == known and header[i] not in mapping]
        found = [i for i in found if i not in fields.values()]
        if found:
            fields[wanted] = found[0]
            notes += [f"column {header[i]!r} is left out, as {header[found[0]]!r} is the {wanted}" for i in found[1:] if wanted != "value"]


def _is_score(name: str, cells: Sequence[str], separator: str) -> bool:
    plain = name.strip().lower()
    if plain.removeprefix(PREFIX) in _METRICS:
        return True
    if not plain or plain == "index" or plain.startswith("unnamed:"):
        return False
    numbers = [number(cell, separator) is not None for cell in cells if cell.strip().lower() not in _NOTHING]
    return bool(numbers) and all(numbers)


def _refuse(columns: Columns) -> None:
    got = ", ".join(repr(name) for name in columns.header)[:500]
    if "model" not in columns.fields:
        raise DataError(f"no column names the models; wanted one such as 'model', or --map COLUMN=model. The columns are: {got}")
    if "task" not in columns.fields and "dataset" not in columns.fields:
        raise DataError(f"no column names the tasks; wanted 'task' or 'dataset', or --map COLUMN=task. The columns are: {got}")
    if not columns.long and not columns.metrics:
        raise DataError(
            f"no column holds scores; wanted columns of numbers, or 'metric' and 'value', or --map COLUMN=MASE. The columns are: {got}"
        )
    names = list(columns.metrics.values())
    if twice := sorted({name for name in names if names.count(name) > 1}):
        same = [columns.header[i] for i, name in columns.metrics.items() if name == twice[0]]
        raise DataError(f"columns {' and '.join(map(repr, same))} are both the score {twice[0]!r}; leave one out with --map COLUMN=-")
