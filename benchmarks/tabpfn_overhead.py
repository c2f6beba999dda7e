"""What the harness adds to tabpfn: `python benchmarks/tabpfn_overhead.py [--tasks saugeen/M/short us_births/M/short] [--estimators 8 2]`.

Random weights of TabPFN v2, a tiny network and one of the published size, are written as the library does; each forecasts a task of the
suite quick. On the same windows, in one process on one thread, these take turns. The medians over turns are compared, in CPU time, which
other work on the machine disturbs less, and by the clock:

- bare: `TabPFNRegressor(model_path=PATH).fit(...)` and `predict`, on tables made beforehand. The library reads the checkpoint for each fit.
- shared: the same with one network that has been read once.
- predict: `TabPFNTS.predict` on the batch, which makes the tables, too.
- run: `harness.run` in this process with a new database: plan, checkpoint read, windows cut, forecasts, scores, results kept.

Apart: a table, reading the checkpoint, and one window in the precision that the library would choose.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from harness_tabpfn_ts import RELEASES, TabPFNTS
from harness_tabpfn_ts.features import kept_rows, table
from harness_tabpfn_ts.network import tabpfn, torch
from threadpoolctl import threadpool_limits

import harness
from harness import Batch
from harness.batches import cut_batch
from harness.frequency import shift
from harness.plugins import load
from harness.specimens import rows_of
from harness.threads import one_thread

V2 = RELEASES[0]


def checkpoint(path: Path, bars: int, **sizes: int) -> int:
    """Write random weights of the v2 architecture; returns the number of parameters."""
    from tabpfn.architectures import ARCHITECTURES
    from tabpfn.architectures.shared.bar_distribution import FullSupportBarDistribution

    config, _ = ARCHITECTURES["tabpfn_v2"].parse_config({"max_num_classes": 0, "num_buckets": bars, **sizes})
    network = ARCHITECTURES["tabpfn_v2"].get_architecture(config)
    borders = torch.cat([torch.tensor([-100.0]), torch.linspace(-4, 4, bars - 1), torch.tensor([100.0])])
    state = {**network.state_dict(), **{f"criterion.{k}": v for k, v in FullSupportBarDistribution(borders).state_dict().items()}}
    torch.save({"state_dict": state, "config": asdict(config)}, path)
    return sum(p.numel() for p in network.parameters())


def windows(task: str) -> Batch:
    """All windows of a task, as a run sends them."""
    source = load().suites["quick"].factory(None)
    data = source.open(next(t for t in source.tasks() if t.name == task))
    return cut_batch(data, 0, len(data), V2.info(), 0)


def tables(batch: Batch) -> list[tuple[Any, ...]]:
    """(table of the context, targets, table of the horizon, seed) of each window."""
    made = []
    for row, values in enumerate(batch):
        kept, target = kept_rows(values, 1000)
        steps = np.append(kept, len(values) + np.arange(batch.horizon))
        whole = table(target, shift(np.full(len(steps), batch.starts[row]), batch.freq, steps), np.empty((len(steps), 0)), V2.periods)
        made.append((whole[: len(target)], target, whole[len(target) :], int(batch.seeds[row])))
    return made


def library(model_path: Any, ready: list[tuple[Any, ...]], levels: list[float], estimators: int, precision: Any) -> None:
    """Fit and predict each window."""
    for past, target, ahead, seed in ready:
        regressor = tabpfn.TabPFNRegressor(
            model_path=model_path,
            n_estimators=estimators,
            device="cpu",
            random_state=seed,
            inference_precision=precision,
            ignore_pretraining_limits=True,
        )
        regressor.fit(past, target).predict(ahead, output_type="quantiles", quantiles=levels)


def seconds(call: Callable[[], object]) -> tuple[float, float]:
    """Seconds of this process's CPU time, and of the clock."""
    begin, clock = time.process_time(), time.perf_counter()
    call()
    return time.process_time() - begin, time.perf_counter() - clock


def run(path: Path, task: str, estimators: int) -> None:
    """A whole run, its database new."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        name = f"{V2.name}[weights={path},n_estimators={estimators}]"
        done = harness.run(name, tasks=[task], db=Path(folder) / "db", progress="none", isolation="inprocess", jobs=1, threads=1)
        if done.report is None or done.report.counts["ok"] != 1:
            raise SystemExit(f"the run failed: {done.report}")


@one_thread()
@threadpool_limits.wrap(limits=1)
def measure(title: str, path: Path, task: str, estimators: int, turns: int) -> None:
    """One size of network."""
    batch = windows(task)
    count, ready = len(batch), tables(batch)
    model = TabPFNTS(V2, str(path), n_estimators=estimators)
    levels = [*model.predict(rows_of(batch, [0])).levels.tolist(), 0.5]  # also warms up
    ways: dict[str, Callable[[], object]] = {
        "bare": lambda: library(path, ready, levels, estimators, torch.float32),
        "shared": lambda: library(model.network.specs, ready, levels, estimators, torch.float32),
        "predict": lambda: model.predict(batch),
        "run": lambda: run(path, task, estimators),
    }
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(turns):
        for name in list(ways) if turn % 2 == 0 else list(ways)[::-1]:
            taken[name].append(seconds(ways[name]))
    most = int(batch.contexts.lengths.max())
    print(f"{title}: {task}, {count} windows of {most} + {batch.horizon} steps, {estimators} estimators, {turns} turns")
    for kind, which in (("CPU", 0), ("clock", 1)):
        middle = {name: statistics.median(each[which] for each in taken[name]) / count for name in ways}
        ratios = ", ".join(f"{name} / bare {middle[name] / middle['bare']:.3f}" for name in ("shared", "predict", "run"))
        print(f"  {kind}, seconds a window: " + ", ".join(f"{name} {value:.3f}" for name, value in middle.items()) + "; " + ratios)
    reading = statistics.median(seconds(lambda: tabpfn.TabPFNRegressor(model_path=path).get_inference_config())[0] for _ in range(5))
    making = statistics.median(seconds(lambda: tables(batch))[0] for _ in range(5)) / count
    plain, auto = (seconds(lambda p=p: library(model.network.specs, ready[:1], levels, estimators, p))[0] for p in (torch.float32, "auto"))
    print(f"  CPU: a table {making * 1e3:.2f} ms; reading the checkpoint {reading * 1e3:.1f} ms")
    print(f"  CPU: a window in float32 {plain:.3f} s, in the library's choice {auto:.3f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    both = "for the tiny network, and for that of the published size"
    parser.add_argument("--tasks", nargs=2, default=["saugeen/M/short", "us_births/M/short"], help=both)
    parser.add_argument("--estimators", type=int, nargs=2, default=[8, 2], help=both)
    parser.add_argument("--turns", type=int, nargs=2, default=[2, 2], help=both)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    sizes = (("tiny", {"bars": 100, "emsize": 24, "nlayers": 2, "nhead": 2}), ("published size", {"bars": 5000}))
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        path = Path(folder) / V2.file
        for (title, size), task, estimators, turns in zip(sizes, options.tasks, options.estimators, options.turns, strict=True):
            parameters = checkpoint(path, **size)
            measure(f"{title}, {parameters:,} parameters", path, task, estimators, turns)


if __name__ == "__main__":
    main()
