"""Seasonal naive on GIFT-Eval without the harness: gluonts' splitter and `evaluate_model`, statsforecast's SeasonalNaive.

The yardstick for speed and for numbers. Written from the protocol: rolling windows over the end of each series, each variate a series of
its own, eleven metrics over all points. It calls the model of the library directly, one series at a time, which is faster than the data
frames of the official notebook, so a comparison of speed with it is not flattered. Needs gluonts, statsforecast, pyarrow and pandas:

    GIFT_EVAL=/data/gift-eval python benchmarks/official_gift_eval.py > official.csv
    GIFT_EVAL=/data/gift-eval python benchmarks/official_gift_eval.py m4_hourly/H/short ett1/H/short
"""

from __future__ import annotations

import csv
import math
import os
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from gluonts.dataset.split import split
from gluonts.dataset.util import forecast_start
from gluonts.ev import metrics as ev
from gluonts.model import evaluate_model
from gluonts.model.forecast import QuantileForecast
from gluonts.time_feature import get_seasonality
from statsforecast.models import SeasonalNaive

LEVELS = [q / 10 for q in range(1, 10)]
STEPS = {"M": 12, "W": 8, "D": 30, "H": 48, "T": 48, "S": 60}
STEPS_M4 = {"A": 6, "Q": 8, "M": 18, "W": 13, "D": 14, "H": 48}
TERMS = {"short": 1, "medium": 10, "long": 15}
NO_FOLDER_FREQ = {
    **{"m4_yearly": "A", "m4_quarterly": "Q", "m4_monthly": "M", "m4_weekly": "W", "m4_daily": "D", "m4_hourly": "H"},
    **{"hospital": "M", "covid_deaths": "D", "temperature_rain": "D", "car_parts": "M", "restaurant": "D"},
    **{"bizitobs_application": "10S", "bizitobs_service": "10S"},
}
PRETTY = {
    "saugeenday": "saugeen",
    "temperature_rain_with_missing": "temperature_rain",
    "kdd_cup_2018_with_missing": "kdd_cup_2018",
    "car_parts_with_missing": "car_parts",
}
LONG_TERM = {  # what also has medium and long terms
    *(f"{name}/15T" for name in ("electricity", "sz_taxi", "ett1", "ett2")),
    *(
        f"{name}/H"
        for name in ("electricity", "solar", "kdd_cup_2018", "loop_seattle", "m_dense", "ett1", "ett2", "jena_weather", "bizitobs_l2c")
    ),
    *(f"{name}/5T" for name in ("loop_seattle", "bitbrains_fast_storage", "bitbrains_rnd", "bizitobs_l2c")),
    *(f"{name}/10T" for name in ("solar", "jena_weather")),
    *(f"{name}/10S" for name in ("bizitobs_application", "bizitobs_service")),
}
assert len(LONG_TERM) == 21
METRICS = [
    ev.MSE(forecast_type="mean"),
    ev.MSE(forecast_type=0.5),
    ev.MAE(),
    ev.MASE(),
    ev.MAPE(),
    ev.SMAPE(),
    ev.MSIS(),
    ev.RMSE(),
    ev.NRMSE(),
    ev.ND(),
    ev.MeanWeightedSumQuantileLoss(quantile_levels=LEVELS),
]


class SeasonalNaivePredictor:
    """statsforecast's SeasonalNaive behind the one method that `evaluate_model` calls."""

    def __init__(self, horizon: int, season_length: int) -> None:
        self.horizon = horizon
        self.model = SeasonalNaive(season_length)

    def predict(self, dataset: Any, **_: Any) -> Iterator[QuantileForecast]:
        """One QuantileForecast per entry: mean and deciles, the median being the mean."""
        for entry in dataset:
            out = self.model.forecast(y=filled(entry["target"]), h=self.horizon, level=[20, 40, 60, 80])
            low, high = [out[f"lo-{w}"] for w in (80, 60, 40, 20)], [out[f"hi-{w}"] for w in (20, 40, 60, 80)]
            yield QuantileForecast(
                # [1 + Q, H], float32 as in the data frames that the published numbers went through
                np.stack([out["mean"], *low, out["mean"], *high]).astype(np.float32),
                forecast_start(entry),
                ["mean", *map(str, LEVELS)],
                item_id=entry["item_id"],
            )


def filled(y: Any) -> Any:
    """Each missing value replaced by the last one before it, leading ones by the first; nothing observed counts as zeros."""
    series = pd.Series(y)
    return series.ffill().bfill().fillna(0).to_numpy(np.float32)


def read(folder: Path) -> tuple[list[dict[str, Any]], str, int]:
    """Entries for gluonts, one per item and variate; the frequency of the first row; the shortest length."""
    tables = []
    for file in sorted(folder.glob("data-*.arrow")):
        with pa.memory_map(str(file)) as source:
            tables.append(pa.ipc.open_stream(source).read_all())
    table = pa.concat_tables(tables)
    freq = table["freq"][0].as_py()
    entries, shortest = [], math.inf
    for item, start, target in zip(table["item_id"].to_pylist(), table["start"].to_pylist(), table["target"], strict=True):
        values = target.values
        period = pd.Period(start, freq=freq)
        variates = [row.values for row in values] if pa.types.is_nested(values.type) else [values]
        rows = [variate.to_numpy(zero_copy_only=False) for variate in variates]
        shortest = min(shortest, len(rows[0]))
        for dim, row in enumerate(rows):
            name = item if len(rows) == 1 else f"{item}_dim{dim}"
            entries.append({"item_id": name, "start": period, "target": row.astype(np.float32)})
    return entries, freq, int(shortest)


def score(entries: list[dict[str, Any]], freq: str, shortest: int, horizon: int, m4: bool) -> list[float]:
    """The eleven metrics of one configuration."""
    windows = 1 if m4 else min(max(1, math.ceil(0.1 * shortest / horizon)), 20)
    _, template = split(entries, offset=-horizon * windows)
    test = template.generate_instances(prediction_length=horizon, windows=windows, distance=horizon)
    season = get_seasonality(freq)
    frame = evaluate_model(
        SeasonalNaivePredictor(horizon, season),
        test_data=test,
        metrics=METRICS,
        axis=None,
        batch_size=512,
        mask_invalid_label=True,
        allow_nan_forecast=False,
        seasonality=season,
    )
    return [float(x) for x in frame.iloc[0]]


def main(wanted: list[str]) -> None:
    """Print one CSV row per configuration, and the seconds to standard error."""
    warnings.simplefilter("ignore")  # pandas' old frequency names, which the data uses
    root = Path(
        os.environ.get("GIFT_EVAL") or sys.exit("GIFT_EVAL is not set; wanted the folder with GIFT-Eval's datasets: export GIFT_EVAL=...")
    )
    writer = csv.writer(sys.stdout)
    begin, count = time.perf_counter(), 0
    for folder in sorted({file.parent for file in root.rglob("data-*.arrow")}):
        dataset, _, suffix = folder.relative_to(root).as_posix().partition("/")
        key = PRETTY.get(dataset.lower(), dataset.lower())
        freq_name = suffix or NO_FOLDER_FREQ[key]
        name = f"{key}/{freq_name}"
        terms = [t for t in TERMS if (t == "short" or name in LONG_TERM) and (not wanted or f"{name}/{t}" in wanted)]
        if not terms:
            continue
        entries, freq, shortest = read(folder)
        m4 = key.startswith("m4")
        for term in terms:
            values = score(entries, freq, shortest, (STEPS_M4 if m4 else STEPS)[freq_name.lstrip("0123456789")] * TERMS[term], m4)
            if count == 0:
                writer.writerow(["dataset", "model", *(f"eval_metrics/{metric().name}" for metric in METRICS)])
            writer.writerow([f"{name}/{term}", "Seasonal_Naive", *values])
            sys.stdout.flush()
            count += 1
    print(f"{count} configurations in {time.perf_counter() - begin:.1f} s", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
