"""What a worker in an environment of its own costs: `python benchmarks/environments.py [--windows 10000] [--turns 5] [MODEL ...]`.

The environments must be there (`harness env build MODEL`). The same windows are forecast and scored by the same code through three
workers: in this process, in a child process, and in a child of the model's environment. All are warm: started, loaded and used once.
The start of each is measured apart, and what it takes to send a batch of contexts there and forecasts back.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from typing import Any

from harness.cells import Cell
from harness.environments import Environment
from harness.execute import forecast_cell
from harness.plugins import Plugins
from harness.specimens import make_data
from harness.workers import ChildWorker, InProcessWorker

# Before a model's library is imported; workers are told by their own count of threads.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")


class Nowhere:
    """A sink that keeps nothing."""

    def write(self, rows: Any) -> None:
        pass

    def forecasts(self, index: Any, quantiles: Any, mean: Any) -> None:
        pass


KINDS = ("in process", "child", "environment")


def start(kind: str, plugins: Plugins, there: Environment) -> InProcessWorker | ChildWorker:
    """A worker of this kind."""
    if kind == "in process":
        return InProcessWorker(plugins)
    return ChildWorker(1, there if kind == "environment" else None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--windows", type=int, default=10_000)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("models", nargs="*", default=["seasonal_naive", "ttm"])
    options = parser.parse_args()
    plugins = Plugins()
    data = make_data(options.windows // 10, 24, windows=10, season_length=24, longest=600)
    metrics = [m.info for m in plugins.metrics.values()]
    print(f"{len(data)} windows of 24 steps; medians of {options.turns} turns")
    for name in options.models:
        here = plugins.models[name]
        there = plugins.settled("env").models[name].environment
        if there is None:
            raise SystemExit(f"there is no environment for {name}; type: harness env build {name}")
        ready: dict[str, Any] = {}
        started: dict[str, float] = {}
        for kind in KINDS:
            begin = time.perf_counter()
            ready[kind] = start(kind, plugins, there)
            ready[kind].load(name, {}, None)
            started[kind] = time.perf_counter() - begin
        seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
        cell = Cell("", data.task, name, name, {}, "zero-shot", "", 0, "", {})
        for turn in range(options.turns + 1):
            for kind, worker in ready.items():
                begin = time.perf_counter()
                outcome, _, _ = forecast_cell(cell, data, here.info, worker, Nowhere(), metrics)()
                assert outcome.status == "ok", outcome.reason
                if turn:  # the first one warms up
                    seconds[kind].append(time.perf_counter() - begin)
        for worker in ready.values():
            worker.stop()
        base = statistics.median(seconds["in process"])
        for kind, times in seconds.items():
            middle = statistics.median(times)
            ratio = statistics.median(t / b for t, b in zip(times, seconds["in process"], strict=True))
            spread = f"{min(times):.3f}–{max(times):.3f}"
            print(f"{name:16} {kind:12} start {started[kind]:6.2f} s  run {middle:7.3f} s ({spread})  ratio {ratio:.2f}")
        extra = statistics.median(seconds["environment"]) - base
        print(f"{name:16} {'':12} environment − in process: {1e6 * extra / len(data):.1f} µs a window")


if __name__ == "__main__":
    main()
