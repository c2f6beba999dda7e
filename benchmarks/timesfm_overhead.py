"""What the harness adds to a bare call of TimesFM 2.5, with random weights: tiny ones, and with --full those of the published size.
`python benchmarks/timesfm_overhead.py [--full] [--turns 5] [--context 512] [TASK ...]`; needs the plugin timesfm, fetches nothing.

Each turn, over the same windows with the same weights, in one process on one thread:

- bare: one call of the library's `forecast` with all contexts, as its users would make it, `--size` rows at a time;
- predict: our model's `predict` over the batches of a run;
- evaluate: `harness.evaluate`, which also opens the task, cuts the windows, checks the forecasts and scores them.

The library pads every context to the longest, we to a width of its own length. The time that evaluate spends inside the library's
`forecast` is told apart: the rest of it is the harness, and its ratio depends least on what else the machine does.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "plugins" / "timesfm"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="weights of the published size: 231 million")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--context", type=int, default=512)
    parser.add_argument("--size", type=int, default=8)
    parser.add_argument("tasks", nargs="*", help="of the embedded suite")
    options = parser.parse_args()
    import tiny_timesfm as tiny
    import torch

    from harness.threads import one_thread

    sizes = tiny.TimesFM_2p5_200M_Definition() if options.full else tiny.definition()
    tasks = options.tasks or (["us_births/D/short"] if options.full else ["m4_hourly/H/short", "hospital/M/short", "us_births/D/short"])
    with tempfile.TemporaryDirectory(prefix="bench-") as name, one_thread():
        tiny.write_25(Path(name), std=0.02 if options.full else 0.3, sizes=sizes)
        bare = tiny.read_25(Path(name), sizes)
        print(f"{sum(p.numel() for p in bare.model.parameters()):,} weights, torch {torch.__version__}, context {options.context}")
        for task in tasks:
            measure(bare, name, task, options)


def measure(bare: Any, weights: str, task: str, options: argparse.Namespace) -> None:
    """Print the medians of one task, and their ratios."""
    import numpy as np
    import timesfm
    from harness_timesfm import TimesFM25
    from harness_timesfm.cards import TIMESFM_25

    import harness
    from harness.batches import cut_batch, ranges
    from harness.plugins import load

    source = load().suites["quick"].factory(None)
    data = source.open(next(t for t in source.tasks() if t.name == task))
    batches = [cut_batch(data, low, high, TIMESFM_25, 0) for low, high in ranges(data, TIMESFM_25, None)]
    horizon, windows = data.task.horizon, sum(len(batch) for batch in batches)
    model = TimesFM25(weights, context=options.context)
    library, spent = model.forecaster.library, [0.0]
    inner = library.forecast

    def timed(**arguments: Any) -> Any:
        begin = time.perf_counter()
        answer = inner(**arguments)
        spent[0] += time.perf_counter() - begin
        return answer

    library.forecast = timed
    longest = -(-min(options.context, max(int(batch.contexts.lengths.max()) for batch in batches)) // 32) * 32

    def by_library() -> Any:
        config = timesfm.ForecastConfig(
            max_context=longest,
            max_horizon=horizon,
            normalize_inputs=True,
            per_core_batch_size=options.size,
            use_continuous_quantile_head=True,
            fix_quantile_crossing=True,
        )
        bare.compile(config)
        return bare.forecast(horizon=horizon, inputs=[row for batch in batches for row in batch])[1]

    def by_predict() -> Any:
        return np.concatenate([model.predict(batch).values for batch in batches])

    def by_harness() -> Any:
        return harness.evaluate(model, task, info=TIMESFM_25)

    ways = {"bare": by_library, "predict": by_predict, "evaluate": by_harness}
    theirs, ours = by_library()[..., 1:].transpose(0, 2, 1), by_predict()  # both are warm now
    unit = np.maximum(np.array([np.nanstd(row) for batch in batches for row in batch]), 1e-9)[:, None, None]
    apart = float(np.abs((theirs - ours) / unit).max())
    alone = model.predict(cut_batch(data, 0, 1, TIMESFM_25, 0)).values[0]
    took: dict[str, list[float]] = {way: [] for way in [*ways, "library"]}
    for _ in range(options.turns):
        for way, call in ways.items():
            spent[0], begin = 0.0, time.perf_counter()
            call()
            took[way].append(time.perf_counter() - begin)
        took["library"].append(spent[0])  # of evaluate
    b, p, e, inside = (statistics.median(took[way]) for way in ("bare", "predict", "evaluate", "library"))
    each = (e - inside) / windows * 1e3
    same = np.array_equal(alone, ours[0])
    print(f"{task}, {windows} windows, horizon {horizon}")
    print(f"  seconds: bare {b:.3f}, predict {p:.3f}, evaluate {e:.3f}, of that in the library {inside:.3f}")
    print(f"  predict / bare {p / b:.3f}; evaluate / bare {e / b:.3f}; evaluate / its own library call {e / inside:.3f}")
    print(f"  the harness: {each:.3f} ms a window")
    print(f"  deciles differ from the bare ones by {apart:.1e} deviations at most; a window alone has the same bits: {same}", flush=True)


if __name__ == "__main__":
    main()
