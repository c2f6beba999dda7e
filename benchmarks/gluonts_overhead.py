"""What it costs to call a gluonts predictor through the harness: the same predictor, bare and as a model, on the same windows.

    python benchmarks/gluonts_overhead.py [--windows 512] [--context 512] [--repeat 5]

Bare is the library's own way: a list of entries, each with a pandas Period, then `predictor.predict` and the deciles of each forecast.
Through the harness is `Session.predict`, as a worker does it: entries from the batch, the same predictor, conversion to quantiles with
the interval's levels, and the checks. The turns alternate, and CPU time on one thread is counted, since other work on a machine
slows the one more than the other; the ratio is of their medians. Entries are timed by themselves, too.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from harness import Batch
from harness.plugins import load
from harness.threads import one_thread
from harness.worker import Session

HORIZON = 24
DECILES = [k / 10 for k in range(1, 10)]


def windows(count: int, context: int) -> Batch:
    """Hourly windows with a daily season."""
    rng, t = np.random.default_rng(0), np.arange(context)
    rows = [50 + i % 7 + 5 * np.sin(2 * np.pi * (t + i) / 24) + rng.normal(size=context) for i in range(count)]
    return Batch.from_contexts(rows, HORIZON, freq="H", season_length=24)


def bare_entries(batch: Batch) -> list[dict[str, Any]]:
    """Entries as they are usually made."""
    return [{"start": pd.Period(start, freq="h"), "target": np.array(row)} for start, row in zip(batch.starts, batch, strict=True)]


def timed(calls: dict[str, Callable[[], object]], repeat: int) -> dict[str, float]:
    """Median CPU seconds of each call; they take turns."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(repeat):
        for name, call in calls.items():
            start = time.process_time()
            call()
            seconds[name].append(time.process_time() - start)
    return {name: statistics.median(each) for name, each in seconds.items()}


def main() -> None:
    """Print milliseconds per window and the ratio for a predictor of samples, a network of distributions, and those that draw paths."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=512)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()

    from harness_gluonts.data import entries
    from harness_gluonts.quiet import library, quiet

    library()
    batch = windows(args.windows, args.context)
    made = timed({"one by one": lambda: bare_entries(batch), "of a batch": lambda: entries(batch)}, args.repeat)
    print(f"entries, µs each: {', '.join(f'{name} {1e6 * s / args.windows:.1f}' for name, s in made.items())}")
    print(f"{'predictor':42} {'bare':>9} {'harness':>9} {'ratio':>7}   CPU ms per window, {args.windows} windows of {args.context} steps")
    train = windows(8, args.context)
    naive = {"target": "gluonts.model.seasonal_naive.SeasonalNaivePredictor", "season_length": 24}
    deepar = {"num_parallel_samples": 100, "batch_size": 32}
    turns: list[tuple[str, dict[str, Any], int]] = [
        ("gluonts", naive, 0),
        ("simple-feedforward", {"batch_size": 32}, 32),
        ("deepar", deepar, 32),
        ("deepar", deepar, 1),
        ("deepnpts", {"batch_size": 32}, 32),
        ("wavenet", deepar, 32),
    ]
    for name, params, batch_size in turns:
        count = args.windows if name in ("gluonts", "simple-feedforward") else max(1, args.windows // 16)  # paths take long
        part = windows(count, args.context)
        session = Session(load())
        session.load(name, dict(params))
        session.begin("2steps", 0, None if name == "gluonts" else train, "full")
        session.predict(part)  # makes what is made once
        predictor = next(iter(session.model._made.values())) if name == "gluonts" else session.model.predictor

        def bare(predictor: Any = predictor, part: Batch = part, size: int = batch_size) -> None:
            if size:
                predictor.batch_size = size
            with quiet(), one_thread():
                for forecast in predictor.predict(bare_entries(part)):
                    for level in DECILES:
                        forecast.quantile(level)

        both = timed({"bare": bare, "harness": lambda session=session, part=part: session.predict(part)}, args.repeat)  # type: ignore[misc]
        title = params.get("target", name).rpartition(".")[2] + (f", {batch_size} together when bare" if batch_size else "")
        print(f"{title:42} {1e3 * both['bare'] / count:9.3f} {1e3 * both['harness'] / count:9.3f} {both['harness'] / both['bare']:7.2f}")


if __name__ == "__main__":
    main()
