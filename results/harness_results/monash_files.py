"""Tables of the Monash archive's published results: as they are printed, a column a model, and as they are bundled, a row a result.

A printed table holds one metric; its datasets are known by the paper's names ("Tourism Yearly"), by short ones ("TourY") and by the
archive's files ("tourism_yearly"). Of files with gaps the archive evaluated the filled twin, so a dataset's name means that one.
The bundled table, `published/monash.csv`, has the columns task, model and a metric each; where it is from stands in `published/NOTICE.md`.

`python -m harness_results.monash_files MASE.csv MAE.csv` makes it anew from two printed tables, of mean MASE and of mean MAE.
"""

from __future__ import annotations

import csv
import io
import math
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from harness.errors import DataError, UsageError, suggest
from harness.files import other_than_file, write_whole
from harness_results.dialects.infos import MONASH

__all__ = ["DATASETS", "SNAPSHOT", "Scores", "dataset_task", "read_snapshot", "read_table"]

SNAPSHOT = Path(__file__).parent / "published" / "monash.csv"

Scores = dict[tuple[str, str], dict[str, float]]
"""{(model, task): {metric: score}}."""

GAPS = ("", "-", "–", "—", "na", "nan")
DOUBTFUL = (("FFNN", "tourism_monthly", "mean MASE"),)
"""Cells whose source is a text with a letter misread; they are not bundled."""

DATASETS: Mapping[str, str] = MappingProxyType(
    {
        **{f"m1{k}": f"m1_{word}" for k, word in zip("yqm", ("yearly", "quarterly", "monthly"), strict=True)},
        **{f"m3{k}": f"m3_{word}" for k, word in zip("yqmo", ("yearly", "quarterly", "monthly", "other"), strict=True)},
        **{f"m4{k}": f"m4_{w}" for k, w in zip("yqmwdh", ("yearly", "quarterly", "monthly", "weekly", "daily", "hourly"), strict=True)},
        **{f"tour{k}": f"tourism_{word}" for k, word in zip("yqm", ("yearly", "quarterly", "monthly"), strict=True)},
        "cif": "cif_2016",
        "auselec": "australian_electricity_demand",
        "auselectricitydemand": "australian_electricity_demand",
        "bitcoin": "bitcoin_without_missing",
        "pedestrian": "pedestrian_counts",
        "vehicletrips": "vehicle_trips_without_missing",
        "kdd": "kdd_cup_2018_without_missing",
        "kddcup": "kdd_cup_2018_without_missing",
        "kddcup2018": "kdd_cup_2018_without_missing",
        "nn5d": "nn5_daily_without_missing",
        "nn5daily": "nn5_daily_without_missing",
        "nn5w": "nn5_weekly",
        "kaggled": "kaggle_web_traffic_without_missing",
        "kaggledaily": "kaggle_web_traffic_without_missing",
        "kagglew": "kaggle_web_traffic_weekly",
        "kaggleweekly": "kaggle_web_traffic_weekly",
        "solar10min": "solar_10_minutes",
        "solarw": "solar_weekly",
        "elech": "electricity_hourly",
        "elecw": "electricity_weekly",
        "carparts": "car_parts_without_missing",
        "fredmd": "fred_md",
        "traffich": "traffic_hourly",
        "trafficw": "traffic_weekly",
        "rideshare": "rideshare_without_missing",
        "covid": "covid_deaths",
        "temprain": "temperature_rain_without_missing",
        "temperaturerain": "temperature_rain_without_missing",
        "sunspot": "sunspot_without_missing",
        "saugeen": "saugeenday",
        "saugeenriverflow": "saugeenday",
        "births": "us_births",
    }
)
"""{name of a dataset as printed, of small letters and digits alone: task}, beside the tasks' own names."""


def dataset_task(name: str, tasks: Collection[str]) -> str | None:
    """The task that a printed name means: "Aus. Electricity Demand" is australian_electricity_demand; None = none of `tasks`.

    >>> dataset_task("Tourism Yearly", ["tourism_yearly"]), dataset_task("KDD Cup", ["kdd_cup_2018_without_missing"])
    ('tourism_yearly', 'kdd_cup_2018_without_missing')
    """
    plain = _plain(name.removesuffix(".tsf").replace("_dataset", ""))
    found = {_plain(task): task for task in tasks}.get(plain) or DATASETS.get(plain)
    return found if found in tasks else None


def read_table(path: Path, tasks: Collection[str], metric: str = "mean MASE") -> Scores:
    """A table of published results.

    Args:
        path: a CSV file: columns task, model and metrics of the dialect `monash`; or first the dataset, then a column for each model.
        tasks: those that results may be of.
        metric: what a table with a column for each model holds.

    Raises:
        UsageError: no such file, or no such metric.
        DataError: it is no such table; says which line, and what is wrong with it.
    """
    if metric not in MONASH.metrics:
        hint = suggest(metric, MONASH.metrics)
        raise UsageError(f"got metric {metric!r}; wanted one of the dialect monash: {', '.join(MONASH.metrics)}.{hint}")
    if what := other_than_file(path):
        raise UsageError(f"{path} is {what}; wanted a CSV file: --from FILE")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror or error}); give a CSV file: --from FILE") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is no text in UTF-8 ({error.reason}); wanted a CSV file") from error
    rows = [(number, [cell.strip() for cell in row]) for number, row in enumerate(csv.reader(io.StringIO(text)), 1) if any(row)]
    if len(rows) < 2:
        raise DataError(f"{path} has {len(rows)} lines; wanted a line of names and one for each result")
    head = rows[0][1]
    if len(set(head)) < len(head):
        raise DataError(f"{path}, line 1: a column name stands there twice; wanted each once")
    read = _long if {"task", "model"} <= set(head) else _printed
    return read(path, head, rows[1:], tasks, metric)


def _printed(path: Path, head: Sequence[str], rows: Sequence[tuple[int, list[str]]], tasks: Collection[str], metric: str) -> Scores:
    """A row a dataset, a column a model."""
    models = [(k, name) for k, name in enumerate(head) if k and name and name.casefold() != "note"]
    if not models:
        raise DataError(f"{path}, line 1: got {','.join(head)[:80]!r}; wanted dataset and a column for each model, or task,model,METRIC...")
    scores: Scores = {}
    for number, row in rows:
        task = _task(path, number, row[0], tasks)
        for k, model in models:
            value = _number(path, number, model, row[k] if k < len(row) else "")
            if value is not None:
                _put(scores, (model, task), metric, value, path, number)
    return scores


def _long(path: Path, head: Sequence[str], rows: Sequence[tuple[int, list[str]]], tasks: Collection[str], metric: str) -> Scores:
    """A row a result, a column a metric."""
    del metric
    metrics = [(k, name.removeprefix("monash:")) for k, name in enumerate(head) if name not in ("task", "model")]
    for _, name in metrics:
        if name not in MONASH.metrics:
            raise DataError(f"{path}, line 1: {name!r} is no metric of the dialect monash; wanted some of {', '.join(MONASH.metrics)}")
    at, of = head.index("task"), head.index("model")
    scores: Scores = {}
    for number, row in rows:
        if len(row) != len(head) or not row[of]:
            raise DataError(f"{path}, line {number}: got {','.join(row)[:80]!r}; wanted {len(head)} fields, with a model among them")
        task = _task(path, number, row[at], tasks)
        for k, name in metrics:
            value = _number(path, number, name, row[k])
            if value is not None:
                _put(scores, (row[of], task), name, value, path, number)
    return scores


def _task(path: Path, line: int, name: str, tasks: Collection[str]) -> str:
    task = dataset_task(name, tasks)
    if task is None:
        raise DataError(f"{path}, line {line}: suite monash has no dataset {name!r}.{suggest(name, tasks)} To see all: harness ls tasks")
    return task


def _number(path: Path, line: int, column: str, text: str) -> float | None:
    """None where there is nothing."""
    if text.casefold() in GAPS:
        return None
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise DataError(f"{path}, line {line}, column {column}: got {text!r}; wanted a number of at least 0, or nothing") from None
    return value


def _put(scores: Scores, key: tuple[str, str], metric: str, value: float, path: Path, line: int) -> None:
    if metric in scores.setdefault(key, {}):
        raise DataError(f"{path}, line {line}: {metric} of {key[0]} on {key[1]} stands in the table twice; wanted it once")
    scores[key][metric] = value


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())


def read_snapshot(tasks: Collection[str]) -> Scores:
    """The bundled results; those of tasks that are not among `tasks` are left out."""
    with SNAPSHOT.open(encoding="utf-8", newline="") as lines:
        own = {row["task"] for row in csv.DictReader(lines)}
    found = read_table(SNAPSHOT, own)
    return {key: values for key, values in found.items() if key[1] in tasks}


def main(arguments: Sequence[str]) -> None:
    """Make the bundled table from printed ones."""
    from harness_results.imported import suite_tasks

    if len(arguments) != 2:
        raise UsageError("usage: python -m harness_results.monash_files MEAN_MASE.csv MEAN_MAE.csv")
    tasks = suite_tasks("monash")
    metrics = ("mean MASE", "mean MAE")
    tables = {metric: read_table(Path(file), tasks, metric) for metric, file in zip(metrics, arguments, strict=True)}
    models = list(dict.fromkeys(model for table in tables.values() for model, _ in table))
    out = io.StringIO()
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(["task", "model", *metrics])
    for task in tasks:
        for model in models:
            values = [tables[m].get((model, task), {}).get(m) if (model, task, m) not in DOUBTFUL else None for m in metrics]
            if any(value is not None for value in values):
                lines.writerow([task, model, *("" if value is None else f"{value:g}" if value >= 1e15 else value for value in values)])
    write_whole(SNAPSHOT, out.getvalue())
    print(f"{SNAPSHOT}: {len(models)} models, {out.getvalue().count(chr(10)) - 1} results")


if __name__ == "__main__":
    main(sys.argv[1:])
