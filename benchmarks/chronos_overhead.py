"""What the plugin chronos costs beside the library itself: `python benchmarks/chronos_overhead.py [--full] [--seconds 2] [--windows 64]`.

The same weights and windows, in one process: `predict` of the plugin on a batch, and the bare call of the library on the list of the same
contexts, all at once, as its documentation shows it. Random weights: tiny ones, where all time is the way to the network and back, and with
`--full` those of the size of chronos-t5-small (46 million parameters), chronos-bolt-small (48) and chronos-2 (120). T5 draws 5 samples.

Contexts of one length, and of many, where the library pads all to the longest and the plugin to widths; horizon 48. One thread, CPU time
(neighbours on the machine hardly count), the two in turn, the best turn of each. A ratio above 1: the plugin is slower.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from chronos import BaseChronosPipeline
from chronos.chronos2 import Chronos2Model
from chronos.chronos2.config import Chronos2CoreConfig
from chronos.chronos_bolt import ChronosBoltModelForForecasting
from transformers import T5Config, T5ForConditionalGeneration
from transformers.utils import logging

from harness import Batch
from harness.plugins import load
from harness.threads import one_thread

HORIZON, SAMPLES = 48, 5
DECILES = [round(0.1 * k, 1) for k in range(1, 10)]
LEVELS = [0.01, *(round(0.05 * k, 2) for k in range(1, 20)), 0.99]
Work = Callable[[], object]


def t5(folder: Path, full: bool) -> None:
    """A network of the kind of chronos-t5."""
    size = {"d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8}
    tiny = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    tokens = 4096 if full else 64
    config = T5Config(vocab_size=tokens, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0, **(size if full else tiny))
    config.chronos_pipeline_class = "ChronosPipeline"
    config.chronos_config = {
        "tokenizer_class": "MeanScaleUniformBins", "tokenizer_kwargs": {"low_limit": -15.0, "high_limit": 15.0}, "n_tokens": tokens,
        "n_special_tokens": 2, "pad_token_id": 0, "eos_token_id": 1, "use_eos_token": True, "model_type": "seq2seq", "context_length": 512,
        "prediction_length": 64, "num_samples": 20, "temperature": 1.0, "top_k": 50, "top_p": 1.0,
    }  # fmt: skip
    T5ForConditionalGeneration(config).save_pretrained(folder)


def bolt(folder: Path, full: bool) -> None:
    """A network of the kind of chronos-bolt."""
    size = {"d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8}
    tiny = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    config = T5Config(vocab_size=2, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0, reg_token_id=1, **(size if full else tiny))
    config.chronos_pipeline_class, config.architectures = "ChronosBoltPipeline", ["ChronosBoltModelForForecasting"]
    config.chronos_config = {
        "context_length": 2048, "input_patch_size": 16, "input_patch_stride": 16, "prediction_length": 64, "quantiles": DECILES,
        "use_reg_token": True,
    }  # fmt: skip
    ChronosBoltModelForForecasting(config).save_pretrained(folder)


def second(folder: Path, full: bool) -> None:
    """A network of the kind of chronos-2."""
    size = {"d_model": 768, "d_kv": 64, "d_ff": 3072, "num_layers": 12, "num_heads": 12}
    tiny = {"d_model": 16, "d_kv": 8, "d_ff": 16, "num_layers": 1, "num_heads": 2}
    config = Chronos2CoreConfig(reg_token_id=1, **(size if full else tiny))
    config.chronos_pipeline_class, config.architectures = "Chronos2Pipeline", ["Chronos2Model"]
    config.chronos_config = {
        "context_length": 8192, "input_patch_size": 16, "input_patch_stride": 16, "output_patch_size": 16, "max_output_patches": 64,
        "quantiles": LEVELS, "time_encoding_scale": 8192, "use_arcsinh": True, "use_reg_token": True,
    }  # fmt: skip
    Chronos2Model(config).save_pretrained(folder)


def best(works: dict[str, Work], seconds: float) -> dict[str, float]:
    """Least CPU time of each, in seconds; they take turns, at least twice, for so many seconds each."""
    shortest = dict.fromkeys(works, float("inf"))
    end, turns = time.process_time() + seconds * len(works), 0
    while turns < 2 or time.process_time() < end:
        for name, work in works.items():
            start = time.process_time()
            work()
            shortest[name] = min(shortest[name], time.process_time() - start)
        turns += 1
    return shortest


def measure(what: str, model: str, folder: Path, lengths: str, contexts: list[np.ndarray], seconds: float, groups: int = 1) -> None:
    """One row of the table. With `groups` above 1, so many series are an item."""
    batch = Batch.from_contexts(contexts, HORIZON, freq="H")
    batch.group[:] = np.arange(len(contexts)) // groups
    ours: Any = load().model(model).factory(weights=str(folder), **({"num_samples": SAMPLES} if "-t5-" in model else {}))
    theirs = BaseChronosPipeline.from_pretrained(str(folder), device_map="cpu", dtype=torch.float32)
    given = [torch.from_numpy(y) for y in batch.contexts]
    if groups > 1:
        given = [torch.stack(given[k : k + groups]) for k in range(0, len(given), groups)]
    options = {"num_samples": SAMPLES} if "-t5-" in model else {}
    with one_thread():
        works: dict[str, Work] = {"ours": lambda: ours.predict(batch), "library": lambda: theirs.predict(given, HORIZON, **options)}
        found = best(works, seconds)
        apart = "draws"
        if "-t5-" not in model:
            wanted = torch.cat([torch.as_tensor(q).reshape(-1, *q.shape[-2:]) for q in theirs.predict(given, HORIZON)]).numpy()
            apart = f"{np.abs(ours.predict(batch).values - wanted).max() / np.abs(wanted).max():.0e}"
    a, b = found["ours"], found["library"]
    count = sum(p.numel() for p in theirs.inner_model.parameters())
    print(
        f"| {what} | {count / 1e6:.2f} M | {lengths} | {len(contexts)} | {a * 1e3:,.0f} | {b * 1e3:,.0f} | {a / b:.2f} | {apart} |",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="also networks of the published sizes: three to four minutes of CPU")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--windows", type=int, default=64)
    options = parser.parse_args()
    logging.disable_progress_bar()
    warnings.filterwarnings("ignore", message="We recommend keeping prediction length")
    rng = np.random.default_rng(0)
    print(", ".join(f"{name} {version(name)}" for name in ("chronos-forecasting", "transformers", "torch")), "\n")
    print("| model | parameters | contexts | windows | plugin, CPU ms | library, CPU ms | ratio | largest difference |")
    print("|---|---|---|---|---|---|---|---|")

    def made(windows: int, low: int, high: int) -> list[np.ndarray]:
        return [(50 + rng.normal(size=n).cumsum()).astype(np.float32) for n in rng.integers(low, high + 1, windows)]

    with tempfile.TemporaryDirectory() as root:
        torch.manual_seed(0)
        for full in (False, True) if options.full else (False,):
            folders = {name: Path(root) / f"{name}-{full}" for name in ("t5", "bolt", "2")}
            bolt(folders["bolt"], full)
            second(folders["2"], full)
            seconds = 0.0 if full else options.seconds
            same, many = made(options.windows, 512, 512), made(2 * options.windows, 64, 512)
            t5(folders["t5"], full)
            measure("T5", "chronos-t5-small", folders["t5"], "512", same[:2], seconds)
            for contexts, lengths in ((same, "512"), (many, "64 to 512"), (same[:1], "512")):
                measure("Bolt", "chronos-bolt-small", folders["bolt"], lengths, contexts, seconds)
                measure("Chronos-2", "chronos-2", folders["2"], lengths, contexts, seconds)
            measure("Chronos-2, items of 4 series", "chronos-2-multivariate", folders["2"], "512", same, seconds, groups=4)


if __name__ == "__main__":
    main()
