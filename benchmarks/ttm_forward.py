"""Speed of the forward pass beside granite-tsfm, in one process, same weights: `python benchmarks/ttm_forward.py [--threads 1 2]`.

The network of 512 steps of context and 96 of horizon (805,280 parameters), random weights, on the CPU, without gradients. Ours runs in
chunks of a fixed number of windows on one thread (`in_chunks`), as the models do, or, on the second line, as one call of the network. They
take turns and the median counts; the largest difference of the forecasts is printed, too. Without granite-tsfm only ours is measured:
pip install --no-deps --target DIR granite-tsfm==0.3.11, then HARNESS_GRANITE=DIR.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import sys
import time
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from harness_ttm.chunks import in_chunks
from harness_ttm.config import TTMConfig
from harness_ttm.model import TTM

RELEASE = {
    "context_length": 512,
    "prediction_length": 96,
    "patch_length": 64,
    "patch_stride": 64,
    "d_model": 192,
    "num_layers": 2,
    "adaptive_patching_levels": 3,
    "decoder_num_layers": 2,
    "decoder_d_model": 128,
}


def granite() -> Any | None:
    """The reference with random weights, or None. Of its package the two files of the model are imported, and nothing else."""
    found = importlib.util.find_spec("tsfm_public")
    folder = os.environ.get("HARNESS_GRANITE") or (Path(found.origin).parents[1] if found and found.origin else "")
    inside = Path(folder) / "tsfm_public" / "models" / "tinytimemixer"
    if not folder or not inside.is_dir():
        return None
    package = types.ModuleType("granite_tinytimemixer")
    package.__path__ = [str(inside)]
    sys.modules[package.__name__] = package
    configuration = importlib.import_module(f"{package.__name__}.configuration_tinytimemixer")
    modeling = importlib.import_module(f"{package.__name__}.modeling_tinytimemixer")
    return modeling.TinyTimeMixerForPrediction(configuration.TinyTimeMixerConfig(**RELEASE)).eval()


CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}


def turns(works: list[Callable[[], object]], seconds: float, clock: Callable[[], float]) -> list[list[float]]:
    """Times of each work, one after the other, until the seconds are over; at least three turns, after one that does not count."""
    for work in works:
        work()
    took: list[list[float]] = [[] for _ in works]
    begin = time.perf_counter()
    while len(took[0]) < 3 or time.perf_counter() - begin < seconds:
        for times, work in zip(took, works, strict=True):
            start = clock()
            work()
            times.append(clock() - start)
    return took


def compare(ours: TTM, theirs: Any | None, batch: int, threads: int, seconds: float, clock: str) -> None:
    """Print windows per second of both for one size of batch."""
    torch.set_num_threads(threads)
    x = torch.randn(batch, RELEASE["context_length"], 1)
    names, works = ["in chunks", "one call"], [lambda: in_chunks(ours, x), lambda: ours(x)]
    if theirs is not None:
        names.append("granite-tsfm")
        works.append(lambda: theirs(past_values=x))
        gap = float((in_chunks(ours, x).predictions - theirs(past_values=x).prediction_outputs).abs().max())
    took = turns(works, seconds, CLOCKS[clock])
    for k, name in enumerate(names):
        middle = statistics.median(took[k])
        line = f"batch {batch:5d}  threads {threads}  {name:12s} {batch / middle:9,.0f} windows/s  {middle * 1e3:8.2f} ms"
        if theirs is not None and name != "granite-tsfm":
            # Of neighbours in time, so that what else the machine does weighs on both alike.
            ratio = statistics.median(b / a for a, b in zip(took[k], took[-1], strict=True))
            line += f"  ratio {ratio:5.2f} (of medians {statistics.median(took[-1]) / middle:5.2f})  difference {gap:.1e}"
        print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, nargs="+", default=[1, 64, 1024])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--seconds", type=float, default=10, help="for each size and number of threads")
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu is steadier where others use the machine")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.manual_seed(0)
    ours, theirs = TTM(TTMConfig.from_dict(RELEASE)).eval(), granite()
    if theirs is None:
        print("no granite-tsfm (pip install --no-deps --target DIR granite-tsfm==0.3.11, then HARNESS_GRANITE=DIR): only ours is measured")
    else:
        ours.load_state_dict(theirs.state_dict())
    print(f"torch {torch.__version__}, chunks of {ours.rows} windows, {options.clock} clock")
    with torch.inference_mode():
        for threads in options.threads:
            for batch in options.batch:
                compare(ours, theirs, batch, threads, options.seconds, options.clock)


if __name__ == "__main__":
    main()
