"""Published results of the Monash archive into the store, as cells with source "monash", beside one's own.

They are results of the protocol `monash/1`: a fixed origin, the last H values of a series. A leaderboard puts them beside own results of
that protocol alone, so never beside GIFT-Eval's, which cuts other windows from the same data. What was published is the mean MASE and the
mean MAE over series, of twelve models; the other metrics of the dialect are not there.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from harness_results import records
from harness_results.dialects.infos import MONASH
from harness_results.imported import Imported, marked, published_id, put_models, suite_tasks, task_facts
from harness_results.monash_files import Scores, read_snapshot, read_table

if TYPE_CHECKING:
    from harness.types import Task
    from harness_results.store import DuckStore

__all__ = ["REISSUED", "SOURCE", "import_monash"]

SOURCE = SUITE = "monash"
REISSUED = ("bitcoin_without_missing", "vehicle_trips_without_missing", "rideshare_without_missing", "temperature_rain_without_missing")
"""Files that were issued again after the results were published, under other numbers at Zenodo; their values may be others."""

PAPER = "https://arxiv.org/abs/2105.06643"
ABOUT: Mapping[str, tuple[str, str]] = {
    "SES": ("statistical", "simple exponential smoothing, R package forecast"),
    "Theta": ("statistical", "Theta method, R package forecast"),
    "TBATS": ("statistical", "trigonometric seasons, Box-Cox, ARMA errors, trend; R package forecast"),
    "ETS": ("statistical", "exponential smoothing, components chosen by AICc; R package forecast"),
    "(DHR-)ARIMA": ("statistical", "auto.arima; with Fourier terms where there are several seasons; R package forecast"),
    "PR": ("", "one linear regression on lags for all series of a file"),
    "CatBoost": ("", "gradient boosting on lags for all series of a file"),
    "FFNN": ("deep-learning", "feed-forward network, GluonTS"),
    "DeepAR": ("deep-learning", "recurrent network, GluonTS"),
    "N-BEATS": ("deep-learning", "GluonTS"),
    "WaveNet": ("deep-learning", "GluonTS"),
    "Transformer": ("deep-learning", "GluonTS"),
}


def import_monash(
    store: DuckStore, path: Path | None = None, metric: str = "mean MASE", tasks: Mapping[str, Task] | None = None
) -> Imported:
    """Import published results; a model that was imported before is replaced.

    Args:
        store: where to.
        path: a table as `monash_files.read_table` reads them; None = the results inside this package.
        metric: what the table holds, where it has a column for each model.
        tasks: the suite's tasks by name; None = as the suite `monash` declares them.

    Raises:
        UsageError: no such table or metric.
        DataError: the table is broken.
        StoreError: the store cannot be written.
    """
    tasks = suite_tasks(SUITE) if tasks is None else tasks
    scores = read_snapshot(tasks) if path is None else read_table(path, tasks, metric)
    models = list(dict.fromkeys(model for model, _ in scores))
    result = Imported(len(models))
    result.rows = put_models(store, SOURCE, SUITE, _cells(scores, tasks), [_info(model, scores) for model in models])
    if path is None and (again := [name for name in REISSUED if any(task == name for _, task in scores)]):
        result.warnings.append(f"the data of {', '.join(again)} was issued again after these results: they may be of other values")
    return result


def _cells(scores: Scores, tasks: Mapping[str, Task]) -> list[tuple[dict[str, object], dict[str, float]]]:
    cells: list[tuple[dict[str, object], dict[str, float]]] = []
    for (model, task), values in scores.items():
        facts = task_facts(tasks[task], SUITE)
        known = marked({"model_type": ABOUT.get(model, ("", ""))[0]})
        cell: dict[str, object] = {
            **facts,
            **known,
            "cell_id": published_id(SOURCE, model, task),
            "model": model,
            "scoring": f"monash {MONASH.version}",
        }
        cells.append((cell, {f"{MONASH.name}:{metric}": value for metric, value in values.items()}))
    return cells


def _info(model: str, scores: Scores) -> dict[str, object]:
    kind, summary = ABOUT.get(model, ("", ""))
    about = {"summary": summary, "org": "Monash University", "url": PAPER} if summary else {}
    about["metrics"] = ", ".join(dict.fromkeys(metric for (name, _), values in scores.items() if name == model for metric in values))
    return records.model_row({"model_type": kind, **about}, model, SOURCE)
