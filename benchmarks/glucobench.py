"""GlucoBench's linear regression and ARIMA beside ours: `CGM=/data/cgm python benchmarks/glucobench.py [FOLDER] [--no-arima]`.

GlucoBench publishes the errors of eight models on five sets of continuous glucose (IrinaStatsLab/GlucoBench: `config/iglu.yaml`,
`data_formatter/utils.py`, `bin/linreg.py`, `bin/arima.py`). One set, Broll, is the five people that come with the R package iglu, which is
`iglu5.csv` in FOLDER. This follows their protocol on it and prints our numbers beside theirs.

The protocol: five-minute steps; gaps of up to 45 minutes are filled linearly, longer ones split a recording into segments; segments of
fewer than 240 readings are dropped. For each of ten seeds (10 to 19) one person is drawn, whose segments are the test out of distribution.
Of the others' segments, those of 720 points have their last 240 for the test and the 240 before for validation, shorter ones of 480 have a
validation and no test, the rest is learnt from. A model sees 192 points and forecasts 12, an hour. Context and labels lie within the test
part; the first window begins at its beginning, the next every 6 points, so a test part has 7 windows (ARIMA: 6, the first is left out). MSE
and MAE are of each window, in mg/dL; their mean and their median over windows are averaged over the seeds. Filled values count as labels.

The rows: "linear" is our model as it comes; "linear, 192 lags" is what theirs is: ordinary least squares of 12 steps on 192 lags, levels,
an intercept. "ARIMA" is statsforecast's AutoARIMA with their settings: fitted to the first 192 points of a test segment, then carried over
to the other windows. All learn from the training parts alone. "last value" is there to see what is gained.

What is not the same:

- Their grid begins with the first reading of a segment and interpolates between readings; the grid of this project has a point every five
  minutes of the clock, which holds the nearest reading; only gaps are interpolated. Tried with theirs, numbers move by 5 % at most.
- The draw of a person is theirs (numpy's `RandomState(seed).choice`) as long as they had the people in the order of the file.
- Their 192 lags were found by Optuna on the validation part of another draw; ours are chosen for each seed, on the newest part of the
  training parts. Neither uses the test part.
- Published numbers may come from other versions: where darts begins its first window, and how statsforecast searches orders, has changed.
- In distribution some forty windows of six test parts are scored, so numbers move by a quarter with what a single part does, the medians
  most. Out of distribution all points of a person are test, some 270 windows: there means agree within a hundredth, and medians within a
  tenth.
"""

from __future__ import annotations

import argparse
import csv
import os
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from harness_linear import Linear

from harness import Batch
from harness.batches import fill_gaps
from harness.files import expanded
from harness.forecast import F64
from harness_tasks.cgm.grid import to_grid
from harness_tasks.cgm.readings import Readings
from harness_tasks.cgm.tables import read_glucose

CONTEXT, HORIZON, STRIDE, PART, GAP_MINUTES = 192, 12, 6, 240, 45
SEEDS = range(10, 20)
ORDERS: dict[str, Any] = {"start_p": 0, "max_p": 10, "start_q": 0, "max_q": 10, "allowdrift": True, "allowmean": True}
PUBLISHED = {  # no covariates; {model: (mean MSE, mean MAE, median MSE, median MAE) in distribution, the same out of it}
    "linear": ((377.72, 12.92, 136.49, 9.71), (448.82, 13.39, 143.43, 9.83)),
    "ARIMA": ((415.33, 12.83, 110.90, 8.67), (536.00, 14.18, 138.08, 9.71)),
}
"""Dataset iglu of GlucoBench's table of results."""
Segments = list[tuple[str, F64]]


def segments(readings: Readings) -> Segments:
    """(person, glucose without gaps) of each stretch without a gap of more than 45 minutes, of 240 readings at least."""
    grid = to_grid(readings, step_minutes=5, split_after=GAP_MINUTES)
    filled = fill_gaps(grid.glucose, GAP_MINUTES // 5)
    rows = zip(grid.patients, grid.glucose, filled, strict=True)
    return [(who, row.astype(np.float64)) for who, raw, row in rows if np.isfinite(raw).sum() >= PART]


def windows(part: F64, first: int = 0) -> list[tuple[F64, F64]]:
    """(context, labels) of the windows of a test part."""
    begins = range(first, len(part) - CONTEXT - HORIZON + 1, STRIDE)
    return [(part[b : b + CONTEXT], part[b + CONTEXT : b + CONTEXT + HORIZON]) for b in begins]


def parts(found: Segments, out: str) -> tuple[list[F64], list[F64], list[F64]]:
    """What is learnt from, the test parts, and the segments of the person that is left out."""
    train, test = [], []
    for who, row in found:
        if who == out:
            continue
        kept = 2 * PART if len(row) >= 3 * PART else PART if len(row) >= 2 * PART else 0
        train.append(row[: len(row) - kept])
        if kept == 2 * PART:
            test.append(row[-PART:])
    return train, test, [row for who, row in found if who == out]


def by_linear(model: Linear, train: list[F64], tests: list[list[F64]]) -> list[F64]:
    """Errors [windows, 2], MSE and MAE, of each list of test parts."""
    options = {"freq": "5T", "season_length": 288}
    learnt = model.finetune(Batch.from_contexts(train, HORIZON, **options), "", 0)  # type: ignore[arg-type]
    print(f"  {', '.join(f'{k} {learnt.notes[k]}' for k in ('lags', 'normalise', 'ridge') if k in learnt.notes)}", file=sys.stderr)
    answers = []
    for test in tests:
        cut = [window for part in test for window in windows(part)]
        forecast = learnt.predict(Batch.from_contexts([context for context, _ in cut], HORIZON, **options))  # type: ignore[arg-type]
        assert forecast.mean is not None
        answers.append(errors(np.stack([labels for _, labels in cut]), forecast.mean.astype(np.float64)))
    return answers


def errors(labels: F64, points: F64) -> F64:
    """[windows, 2] of labels and points [windows, 12]."""
    return np.stack([((labels - points) ** 2).mean(axis=1), np.abs(labels - points).mean(axis=1)], axis=1)


def by_last(train: list[F64], tests: list[list[F64]]) -> list[F64]:
    """As `by_linear`, of the last value."""
    del train
    cuts = [[window for part in test for window in windows(part)] for test in tests]
    return [errors(np.stack([y for _, y in cut]), np.stack([np.full(HORIZON, x[-1]) for x, _ in cut])) for cut in cuts]


def arima() -> Callable[[list[F64], list[list[F64]]], list[F64]]:
    """As `by_linear`, of AutoARIMA; a test part that was forecast once is not forecast again."""
    from statsforecast.models import AutoARIMA

    known: dict[bytes, F64] = {}

    def of(part: F64) -> F64:
        key = part.tobytes()
        if key not in known:
            low, span = part.min(), max(float(np.ptp(part)), 1e-9)
            begin = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of its optimiser
                model = AutoARIMA(**ORDERS).fit((part[:CONTEXT] - low) / span)
                cut = windows(part, STRIDE)
                points = [model.forward((context - low) / span, h=HORIZON)["mean"] * span + low for context, _ in cut]
            known[key] = errors(np.stack([labels for _, labels in cut]), np.stack(points)) if cut else np.empty((0, 2))
            print(f"  ARIMA: {len(part)} points, {len(cut)} windows, {time.perf_counter() - begin:.1f} s", file=sys.stderr, flush=True)
        return known[key]

    return lambda _, tests: [np.concatenate([of(part) for part in test]) for test in tests]


def statistics(found: F64) -> list[float]:
    """Mean MSE, mean MAE, median MSE, median MAE of errors [windows, 2]."""
    return [*found.mean(axis=0).tolist(), *np.median(found, axis=0).tolist()]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(description="GlucoBench's linear regression and ARIMA beside ours, on the set Broll (iglu5.csv).")
    parser.add_argument("folder", nargs="?", default=os.environ.get("CGM", ""), help="has iglu5.csv; else the environment variable CGM")
    parser.add_argument("--no-arima", action="store_true", help="leave ARIMA out, which takes minutes")
    options = parser.parse_args(arguments)
    if not options.folder:  # as `make bench` calls it where there is no data
        print("skipped: name the folder that holds iglu5.csv: python benchmarks/glucobench.py FOLDER, or set CGM=FOLDER")
        return
    file = expanded(options.folder) / "iglu5.csv"
    if not file.is_file():
        sys.exit(f"there is no {file}; wanted the folder that holds iglu5.csv, as FOLDER or in CGM")
    found = segments(read_glucose(file))
    people = list(dict.fromkeys(who for who, _ in found))
    print(f"{len(found)} segments of {len(people)} people, {sum(len(row) for _, row in found)} points", file=sys.stderr)
    models: dict[str, Callable[[list[F64], list[list[F64]]], list[F64]]] = {
        "last value": by_last,
        "linear": lambda train, tests: by_linear(Linear(), train, tests),
        "linear, 192 lags": lambda train, tests: by_linear(Linear(lags=CONTEXT, ridge=1e-12, normalise="global"), train, tests),
    }
    if not options.no_arima:
        models["ARIMA"] = arima()
    writer = csv.writer(sys.stdout)
    writer.writerow(["model", "test", "source", "mean MSE", "mean MAE", "median MSE", "median MAE", "sd of mean MSE over seeds", "windows"])
    for name, model in models.items():
        rows = []
        for seed in SEEDS:
            out = people[int(np.random.RandomState(seed).choice(len(people), 1, replace=False)[0])]
            train, test, stranger = parts(found, out)
            rows.append([(statistics(answer), len(answer)) for answer in model(train, [test, stranger])])
        for place, where in enumerate(("ID", "OOD")):
            each = np.array([row[place][0] for row in rows])  # [seeds, 4]
            count = np.mean([row[place][1] for row in rows])
            numbers = [f"{value:.2f}" for value in (*each.mean(axis=0), each[:, 0].std())]
            writer.writerow([name, where, "own", *numbers, f"{count:.0f}"])
            if name in PUBLISHED:
                writer.writerow([name, where, "published", *(f"{value:.2f}" for value in PUBLISHED[name][place]), "", ""])
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
