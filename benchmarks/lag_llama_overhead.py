"""Lag-Llama: forecasts through the harness beside the bare network, and our network beside the original's:
`python benchmarks/lag_llama_overhead.py [--task us_births/M/short] [--samples 100] [--turns 3] [--clock cpu]`.

Random weights of the published sizes, one thread, a task of the embedded suite. What is measured, in turns so that neighbours on the
machine weigh on all alike:

- bare: `sample_paths` on tensors that are ready;
- model: `LagLlama.predict` on a batch, with padding, time features and uniform numbers;
- run: `harness.evaluate` of the task, in this process, with the cutting of windows, all checks and scores;
- the original's module in the loop of its `forward`, where HARNESS_LAG_LLAMA names a checkout of its repository, on the first window.

Ratios are of medians; `cached` is with keys and values kept.
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from harness_lag_llama import LagLlama
from harness_lag_llama.calendar import features
from harness_lag_llama.model import cleaned
from harness_lag_llama.network import Network, Shape
from harness_lag_llama.sampling import sample_paths
from harness_lag_llama.weights import save

import harness
from harness import Batch
from harness.batches import cut_batch
from harness.plugins import load

CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def original(network: Network, cached: bool, count: int) -> Callable[[Any, Any, Any, int], Any] | None:
    """The loop of the original's `forward` on its own module with these weights; None where there is no checkout."""
    folder = os.environ.get("HARNESS_LAG_LLAMA", "")
    if not (Path(folder) / "lag_llama").is_dir():
        return None
    if folder not in sys.path:
        sys.path.insert(0, folder)
    from gluonts.torch.distributions import StudentTOutput
    from lag_llama.model.module import LagLlamaModel  # type: ignore[import-not-found]

    shape, law = network.shape, StudentTOutput()
    sizes = {"n_layer": shape.layers, "n_embd_per_head": shape.head_width, "n_head": shape.heads, "lags_seq": list(shape.lags)}
    model = LagLlamaModel(32, 2048, "robust", 1, distr_output=law, time_feat=True, **sizes)
    model.load_state_dict(network.state_dict())

    def paths(past: Any, seen: Any, calendar: Any, horizon: int) -> Any:
        before = torch.nn.functional.pad(calendar[:, :32], (0, 0, past.shape[1] - 32, 0))
        past, seen, before, after = (a.repeat_interleave(count, 0) for a in (past, seen.float(), before, calendar[:, 32:]))
        length = past.shape[1]
        with torch.no_grad():
            for step in range(horizon):
                parameters, loc, scale = model(past, seen, before, after[:, : step + 1], use_kv_cache=cached)
                value = law.distribution([p[:, -1:] for p in parameters], loc, scale).sample()
                past, seen = torch.cat([past, value], dim=1), torch.cat([seen, torch.ones_like(value)], dim=1)
        model.reset_cache()
        return past[:, length:]

    return paths


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", default="us_births/M/short")
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu is steadier where others use the machine")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network, clock = Network(Shape()).eval(), CLOCKS[options.clock]
    plugins = load()
    info, source = plugins.models["lag-llama"].info, plugins.suites["quick"].factory(None)
    task = next(t for t in source.tasks() if t.name == options.task)
    data = source.open(task)
    batch = cut_batch(data, 0, len(data), info, 0)
    print(f"{task.name}: {len(batch)} windows of {task.horizon} steps, {options.samples} paths, {options.clock} clock")
    with tempfile.TemporaryDirectory() as folder:
        save(network, Path(folder))
        for cached in (False, True):
            model = LagLlama(folder, num_samples=options.samples, kv_cache=cached)
            works = works_of(model, batch, functools.partial(harness.evaluate, model, task, info=info))
            took: dict[str, list[float]] = {name: [] for name in works}
            for turn in range(options.turns + 1):
                for name, work in works.items():
                    begin = clock()
                    work()
                    if turn:  # the first one warms up
                        took[name].append(clock() - begin)
            middle = {name: statistics.median(times) for name, times in took.items()}
            print("cached:" if cached else "plain:", ", ".join(f"{name} {seconds:.2f} s" for name, seconds in middle.items()))
            line = f"  model / bare {middle['model'] / middle['bare']:.3f}, run / bare {middle['run'] / middle['bare']:.3f}"
            if "original, one window" in middle:
                line += f", original / ours {middle['original, one window'] / middle['bare, one window']:.2f}"
            print(line, flush=True)


def works_of(model: LagLlama, batch: Batch, run: Callable[[], object]) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    horizon, cached = batch.horizon, model.kv_cache
    values, seen = (torch.from_numpy(a) for a in cleaned(*batch.padded(model.past, fill=0)))
    calendar = torch.from_numpy(features(batch.starts, batch.freq, batch.contexts.lengths - 32, 32 + horizon))
    uniform = torch.from_numpy(1 - np.random.default_rng(0).random((len(batch), horizon, model.num_samples, 2)))

    def bare(count: int) -> None:
        for row in range(count):
            at = slice(row, row + 1)
            sample_paths(model.network, values[at], seen[at], calendar[at], uniform[at], 1.0, cached)

    works = {"bare": lambda: bare(len(batch)), "model": lambda: model.predict(batch), "run": run, "bare, one window": lambda: bare(1)}
    theirs = original(model.network, cached, model.num_samples)
    if theirs is not None:
        works["original, one window"] = lambda: theirs(values[:1], seen[:1], calendar[:1], horizon)
    return works


if __name__ == "__main__":
    main()
