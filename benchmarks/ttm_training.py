"""Windows per second of `harness train`: series, batches, steps: `python benchmarks/ttm_training.py [--steps 6] [--device cpu]`.

The network and the lengths are those of the shipped weights, or of a recipe given with -C. One process, as many threads as torch takes
(`--threads`). Series and batches are numpy on one core; a training step is that of the network alone, on a batch that is there, and the
last line is a whole step as in `harness train`, with the batch made in between and new series every `steps_per_chunk` steps.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from harness_ttm.synthetic import mixture
from harness_ttm.train.loop import Trainer
from harness_ttm.train.reading import read
from harness_ttm.train.recipe import Recipe
from numpy.typing import NDArray

SHIPPED = {
    "model": {
        "context_length": 512,
        "patch_length": 16,
        "patch_stride": 16,
        "d_model": 96,
        "num_layers": 2,
        "adaptive_patching_levels": 2,
        "dropout": 0.0,
        "decoder_d_model": 32,
        "decoder_num_layers": 1,
        "quantile_levels": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9],
        "patch_mask": True,
        "season_fold": True,
        "fold_layers": 3,
    },
    "patches": 6,
    "validate_every": 0,
}


def middle(call: Callable[[int], object], count: int) -> NDArray[np.float64]:
    """Medians of a call after one that is not counted: seconds, and seconds of CPU of this process, which neighbours disturb less."""
    times = []
    for i in range(count + 1):
        begin, used = time.perf_counter(), time.process_time()
        call(i)
        times.append((time.perf_counter() - begin, time.process_time() - used))
    return np.median(times[1:], axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-C", "--config", type=Path)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--precision", default="float32")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    recipe = Recipe.load(options.config) if options.config else read(Recipe, SHIPPED, "")
    data = replace(recipe.data, chunks=1)  # a full pool only costs memory and the time to fill it
    recipe = replace(recipe, data=data, compile=options.compile, precision=options.precision)
    n, shards = recipe.batch // data.shards, data.shards

    series = middle(lambda i: mixture(recipe.seed, i, data.chunk // 4, data.length, data.weights), 2) / (data.chunk // 4)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(recipe, Path(folder) / "out", options.device)
        batch = middle(lambda i: trainer.batches[i * shards], options.steps) / n
        arrays = trainer.batches[0]

        def step(_: int) -> None:
            trainer.optimizer.zero_grad(set_to_none=True)
            trainer.loss(arrays).backward()
            trainer.optimizer.step()
            if options.device != "cpu":
                torch.cuda.synchronize()

        network = middle(step, options.steps) / n
        batches = trainer.batches.ahead(0, pin=options.device != "cpu")
        whole = middle(lambda _: trainer.one_step(batches), options.steps) / recipe.batch
    renewal = series * data.chunk * shards / (data.steps_per_chunk * recipe.batch)
    parameters = sum(p.numel() for p in trainer.model.parameters())
    where = f"{options.device}, {torch.get_num_threads()} thread(s), {recipe.precision}"
    print(f"{parameters:,} parameters, {recipe.batch} windows a step, {where}")
    rows = (
        ("series made", series),
        ("windows of batches", batch),
        ("windows of the network", network),
        ("windows of training", whole + renewal),
    )
    for name, seconds in rows:
        print(f"{name:24s} {1 / seconds[0]:10,.0f} per second {1 / seconds[1]:10,.0f} per second of CPU")


if __name__ == "__main__":
    main()
