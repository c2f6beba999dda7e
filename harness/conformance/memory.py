"""A check that a model does not grow with every forecast: a run makes thousands of them."""

from __future__ import annotations

import contextlib
import ctypes
import gc
import mmap
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.batches import cut_batch
from harness.conformance.kit import fail
from harness.errors import Unsupported
from harness.forecast import Batch, Ragged
from harness.specimens import Bench

__all__ = ["check_memory"]

ROUNDS = 5
ROUND_S = 0.5
MOST = 200
"""Forecasts in one round, which ends after `ROUND_S` seconds too."""
WARM_UP = 3
QUICK_S, SLOW_S = 0.05, 1.0
"""A model whose ordinary forecast takes less than the first is given larger batches where it is quick with those too, of which one that is
kept shows; one that takes longer than the second is given smaller ones."""
GROWS = 256 << 10
"""Bytes of one round that count as growth: an allocator takes memory in pieces of this size."""
TOO_MUCH = 8 << 20
"""Bytes of all rounds together below which nothing is said."""


def check_memory(bench: Bench) -> str:
    """The memory of the process does not grow with each forecast, once the first ones are made.

    Growth is found where it is in every round of forecasts, each of another batch; what an allocator takes once, or gives back, is none.
    Reported: forecasts made, and what the memory grew by in all.
    """
    if not STATM.exists():
        raise Unsupported("this system does not tell the memory of a process in /proc/self/statm")
    batch = bench.batch()
    bench.predict(batch)
    start = time.perf_counter()
    bench.predict(batch)
    seconds, made = time.perf_counter() - start, 0
    if seconds < QUICK_S:
        large = _large(bench)
        start = time.perf_counter()
        bench.predict(large)
        batch = large if time.perf_counter() - start < 4 * QUICK_S else batch
    elif seconds > SLOW_S:
        batch = bench.batch(items=2, windows=1)
    for _ in range(WARM_UP):
        bench.predict(_another(batch, made := made + 1))
    seen = [_resident()]
    for _ in range(ROUNDS):
        end = time.perf_counter() + ROUND_S
        for _ in range(MOST):
            bench.predict(_another(batch, made := made + 1))
            if time.perf_counter() > end:
                break
        seen.append(_resident())
    grown, least = seen[-1] - seen[0], int(np.diff(seen).min())
    text = f"{grown / 2**20:+.1f} MiB over {made} forecasts"
    if least > GROWS and grown > TOO_MUCH:
        each = grown / (made - WARM_UP)
        fail(f"the memory grew in each of {ROUNDS} rounds, {text}, {each / 1024:.0f} kB each; what does the model keep of a batch?")
    return text


STATM = Path("/proc/self/statm")


def _resident() -> int:
    """Bytes of this process that are in memory. What is free is given back first: what a model keeps could hide in it."""
    gc.collect()
    with contextlib.suppress(AttributeError):  # other C libraries than GNU's give it back by themselves, or not at all
        ctypes.CDLL(None).malloc_trim(0)
    return int(STATM.read_text().split()[1]) * mmap.PAGESIZE


def _large(bench: Bench) -> Batch:
    """A batch of about 64 windows of 512 steps, or of what the model takes."""
    most = min(bench.info.max_context or 512, 512)
    data = bench.data(items=64, windows=1, longest=0)
    batch = cut_batch(data, 0, len(data), bench.info, 0)
    if batch.past_covariates or batch.known_covariates:
        return batch  # its rows have the lengths of their covariates
    return replace(batch, contexts=Ragged.from_rows([np.resize(row, most) for row in batch]))


def _another(batch: Batch, number: int) -> Batch:
    """A batch that is new to a model that keeps what it has seen, by values or by id."""
    ids = batch.window_ids + np.uint64(number << 20)
    values = batch.contexts.values + np.float32(number % 97) / 8
    return replace(batch, contexts=Ragged(values, batch.contexts.offsets), window_ids=ids)
