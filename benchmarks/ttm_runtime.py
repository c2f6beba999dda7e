"""The season-fold network on onnxruntime and on torch, in one run: `python benchmarks/ttm_runtime.py [--weights FOLDER] [--seconds 1]`.

Random weights of the shipped sizes, unless a folder with config.json, model.safetensors and model.onnx is named. Two tables:

- the network alone, 32 windows a call as the forecaster does it, horizons of 48 and 720 steps (3 and 45 future patches), on one thread;
- whole forecasts of batches of 1, 64 and 1,024 windows of 700 steps, horizon 48, for each number of threads (of onnxruntime; torch
  forecasts on one).

What runs on one thread is measured in CPU time, so that neighbours on the machine hardly count; more threads are measured on the wall and
want a quiet machine. The two take turns and the best turn counts. A ratio above 1 says that onnxruntime is faster. Needs torch, safetensors
and onnx.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
from harness_ttm.config import TTMConfig, read_config
from harness_ttm.forecaster import ROWS, Network, SeasonForecaster, torch_network
from harness_ttm.onnx_export import export_folder
from harness_ttm.onnx_network import onnx_network
from harness_ttm.season_head import SeasonTTM
from harness_ttm.seasons import CANDIDATES, FEATURES, OFFSETS
from harness_ttm.weights import load, save

from harness import Batch

SIZES = TTMConfig(
    context_length=512,
    patch_length=16,
    patch_stride=16,
    d_model=96,
    num_layers=2,
    adaptive_patching_levels=2,
    decoder_d_model=32,
    decoder_num_layers=1,
    fold_width=256,
    fold_layers=2,
    quantile_levels=tuple(round(0.1 * k, 1) for k in range(1, 10)),
    patch_mask=True,
    season_fold=True,
    scaling="none",
)
Work = Callable[[], object]


def best(works: dict[str, Work], seconds: float, clock: Callable[[], float]) -> dict[str, float]:
    """Shortest time of each, in seconds; they take turns for so many seconds each, at least three turns."""
    shortest = dict.fromkeys(works, float("inf"))
    end, turns = time.perf_counter() + seconds * len(works), 0
    while turns < 3 or time.perf_counter() < end:
        for name, work in works.items():
            start = clock()
            work()
            shortest[name] = min(shortest[name], clock() - start)
        turns += 1
    return shortest


def alone(folder: Path, seconds: float) -> None:
    """The network without the forecaster."""
    import torch

    config, rng = read_config(folder), np.random.default_rng(0)
    torch.set_num_threads(1)
    networks = {"onnxruntime": onnx_network(folder, 1), "torch": torch_network(load(folder, SeasonTTM)[0])}
    print("\n| steps ahead | onnxruntime, CPU ms | torch, CPU ms | ratio | largest difference |\n|---|---|---|---|---|")
    for horizon in (48, 720):
        count, patch = -(-horizon // config.patch_length), config.patch_length
        arrays = {
            "z": rng.normal(size=(ROWS, config.context_length)).astype(np.float32),
            "mask": np.ones((ROWS, config.context_length), np.float32),
            "features": rng.normal(size=(ROWS, FEATURES)).astype(np.float32),
            "candidates": rng.normal(size=(ROWS, count, CANDIDATES, patch)).astype(np.float32),
            "offsets": rng.normal(size=(ROWS, count, OFFSETS)).astype(np.float32),
        }
        works: dict[str, Work] = {name: partial(run, arrays) for name, run in networks.items()}
        found = best(works, seconds, time.process_time)
        apart = np.abs(networks["onnxruntime"](arrays) - networks["torch"](arrays)).max()
        ours, theirs = found["onnxruntime"], found["torch"]
        print(f"| {horizon} | {ours * 1e3:.1f} | {theirs * 1e3:.1f} | {theirs / ours:.2f} | {apart:.1e} |")


def forecasts(folder: Path, seconds: float, threads: list[int]) -> None:
    """Windows a second of whole forecasts."""

    config, rng = read_config(folder), np.random.default_rng(0)
    t = np.arange(700)
    contexts = [(np.sin(2 * np.pi * (t + k) / 24) + 0.3 * rng.normal(size=700)).astype(np.float32) for k in range(1024)]
    model, _ = load(folder, SeasonTTM)
    print("\n| threads | batch | onnxruntime, windows/s | torch, windows/s | ratio |\n|---|---|---|---|---|")
    for count in threads:
        networks: dict[str, Network] = {"onnxruntime": onnx_network(folder, count), "torch": torch_network(model)}
        for windows in (1, 64, 1024):
            batch = Batch.from_contexts(contexts[:windows], horizon=48, freq="H", season_length=24)
            works: dict[str, Work] = {name: partial(SeasonForecaster(run, config).predict, batch) for name, run in networks.items()}
            found = best(works, seconds, time.process_time if count == 1 else time.perf_counter)
            ours, theirs = windows / found["onnxruntime"], windows / found["torch"]
            print(f"| {count} | {windows} | {ours:,.0f} | {theirs:,.0f} | {ours / theirs:.2f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="folder with config.json, model.safetensors and model.onnx")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    options = parser.parse_args()
    import torch

    print(f"{os.cpu_count()} cores; " + ", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "torch", "numpy")))
    with tempfile.TemporaryDirectory() as made:
        folder = options.weights or Path(made)
        if options.weights is None:
            torch.manual_seed(0)
            model = SeasonTTM(SIZES)
            torch.nn.init.normal_(model.head.out.weight, std=0.05)
            save(model, folder)
            export_folder(folder)
        size, graph = ((folder / name).stat().st_size for name in ("model.safetensors", "model.onnx"))
        print(f"weights {size:,} bytes, graph {graph:,} bytes")
        alone(folder, options.seconds)
        forecasts(folder, options.seconds, options.threads)


if __name__ == "__main__":
    main()
