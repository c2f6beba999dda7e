"""`harness run -m ttm` beside the bare passes over the same windows:
`python benchmarks/ttm_run.py [--turns 3] [--seeds 4] [--suite quick] [TASK ...]`.

Bare is a process that has loaded the model and cut the batches, and calls `predict` on them (of which the network alone is printed
apart); the harness is the whole command with a new database, from the start of its process to its end, and the time that its worker
spent in `predict`. Both use one thread. The harness forecasts all windows once for each seed, and the bare time is taken as many times, so
that a start of two seconds does not hide what a window costs. The suite gift-eval needs GIFT_EVAL; without it the embedded suite is run.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

THREADS = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


def bare(suite: str, tasks: list[str]) -> None:
    """Print seconds of `predict`, seconds of the network in it, and windows."""
    from harness_ttm.models import TTM

    import harness
    from harness.batches import cut_batch, ranges
    from harness.errors import Unavailable
    from harness.plugins import load

    del harness
    plugins = load()
    info, source = plugins.models["ttm"].info, plugins.suites[suite].factory(None)
    batches = []
    for task in source.tasks():
        if tasks and task.name not in tasks:
            continue
        try:
            data = source.open(task)
        except Unavailable:
            continue
        batches += [cut_batch(data, low, high, info, 0) for low, high in ranges(data, info, None)]
    model = TTM(runtime="onnx")
    inner, network = [0.0], model.forecaster.network

    def timed(arrays):  # type: ignore[no-untyped-def]
        begin = time.perf_counter()
        out = network(arrays)
        inner[0] += time.perf_counter() - begin
        return out

    model.forecaster.network = timed
    model.predict(batches[0])
    inner[0], begin = 0.0, time.perf_counter()
    for batch in batches:
        model.predict(batch)
    print(time.perf_counter() - begin, inner[0], sum(len(b) for b in batches))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--suite", default="gift-eval" if os.environ.get("GIFT_EVAL") else "quick")
    parser.add_argument("--bare", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("tasks", nargs="*")
    options = parser.parse_args()
    if options.bare:
        bare(options.suite, options.tasks)
        return
    environment = {**os.environ, **THREADS}
    alone, inner, whole, cells, windows = [], [], [], [], 0
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        for turn in range(options.turns):
            command = [sys.executable, __file__, "--bare", "--suite", options.suite, *options.tasks]
            told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout.split()
            alone.append(float(told[0]) * options.seeds)
            inner.append(float(told[1]) * options.seeds)
            windows = int(told[2]) * options.seeds
            db = Path(name) / f"{turn}.duckdb"
            command = [sys.executable, "-m", "harness", "run", "-m", "ttm", "-M", "ttm:runtime=onnx", "-s", options.suite, "--db", str(db)]
            command += [
                "-j",
                "1",
                "--threads",
                "1",
                "--progress",
                "none",
                "--seed",
                f"0-{options.seeds - 1}",
                *(part for task in options.tasks for part in ("-t", task)),
            ]
            begin = time.perf_counter()
            subprocess.run(command, env=environment, check=True, capture_output=True)
            whole.append(time.perf_counter() - begin)
            import duckdb

            with duckdb.connect(str(db), read_only=True) as store:
                cells.append(store.sql("SELECT sum(predict_s) FROM cells").fetchall()[0][0])
            print(f"predict {alone[-1]:.2f} s, network {inner[-1]:.2f}; run {whole[-1]:.2f} s, in predict {cells[-1]:.2f}", flush=True)
    a, i, w, c = (statistics.median(x) for x in (alone, inner, whole, cells))
    print(
        f"{options.suite}, {windows} windows: run / predict {w / a:.2f}; run / network {w / i:.2f}; predict in the run / bare {c / a:.2f}"
    )


if __name__ == "__main__":
    main()
