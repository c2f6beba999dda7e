"""Checks with contexts that real data has: broken ones, very long ones, and the same ones in another unit."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from harness.conformance.kit import fail, gap, measure, percent
from harness.errors import Unsupported
from harness.forecast import Ragged
from harness.specimens import Bench, data_of

__all__ = ["check_affine", "check_difficult_contexts", "check_long_context"]

VERY_LONG = 20_000
"""Steps of the longest context that is tried."""
UNITS = {"1024 times as large": (1024.0, 0.0), "1024 times as small": (1 / 1024, 0.0), "1024 higher": (1.0, 1024.0)}
"""Other units, by powers of two, that no value loses a bit in."""


def check_difficult_contexts(bench: Bench) -> str:
    """Finite forecasts, or `Unsupported`, for what real data holds: missing, constant, short, huge and tiny values.

    Reported: which of them are unsupported.
    """
    nan = np.nan
    contexts: dict[str, Sequence[float] | np.ndarray[Any, Any]] = {
        "one value": [3.0],
        "two values": [3.0, 4.0],
        "one missing value": [nan],
        "all missing": [nan] * 40,
        "all zero": [0.0] * 40,
        "constant": [7.0] * 40,
        "missing at the start": [nan] * 20 + [1.0, 2.0] * 10,
        "missing at the end": [1.0, 2.0] * 10 + [nan] * 20,
        "mostly missing": [1.0 if k % 9 == 0 else nan for k in range(80)],
        "shorter than the season": [1.0, 2.0, 3.0],
        "huge": np.linspace(1e30, 2e30, 40),
        "tiny": np.linspace(1e-30, 2e-30, 40),
        "one spike": [0.0] * 39 + [1e9],
    }
    usual = bench.data().task
    refused: dict[str, Unsupported] = {}
    for what, context in contexts.items():
        rows = [np.concatenate([context, np.ones(usual.horizon)])] * usual.variates
        try:
            bench.predict(bench.cut(bench.asked(data_of(rows, usual.horizon, variates=usual.variates))))
        except Unsupported as error:
            refused[what] = error
        except Exception as error:
            raise AssertionError(f"a context that is {what}: {type(error).__name__}: {error}") from error
    if len(refused) == len(contexts):
        raise refused["constant"]
    return f"unsupported: {', '.join(refused)}" if refused else ""


def check_long_context(bench: Bench) -> str:
    """A series longer than `max_context`, or of 20,000 steps for a model without that limit, has a finite forecast or is `Unsupported`.

    Reported: the steps that arrived, and how long the forecast took.
    """
    most = bench.info.max_context
    batch = bench.batch(items=2, windows=1, longest=VERY_LONG if most is None else min(most + 1000, VERY_LONG))
    longest = int(batch.contexts.lengths.max())
    if most is not None and longest > most:
        fail(f"ModelInfo.max_context is {most} and a context of {longest} steps arrived; this is a defect of the harness")
    start = time.perf_counter()
    try:
        bench.predict(batch)
    except Unsupported as error:
        raise Unsupported(f"a context of {longest} steps: {error}") from None
    except Exception as error:
        raise AssertionError(f"a context of {longest} steps: {type(error).__name__}: {error}") from error
    return f"{longest} steps in {time.perf_counter() - start:.2g} s"


def check_affine(bench: Bench) -> str:
    """Reported, not judged: what the forecast of a series in another unit differs by, once it is brought back into the first one.

    That a value will be higher is as probable in any unit; past covariates stay as they are.
    """
    batch = bench.batch(items=4, windows=1)
    (unit, words), plain = measure(bench, batch), bench.anew(batch).astype(np.float64)
    found = []
    for what, (factor, shift) in UNITS.items():
        values = (batch.contexts.values * np.float32(factor) + np.float32(shift)).astype(np.float32)
        limit = None if batch.thresholds is None else batch.thresholds * factor + shift
        other = bench.anew(replace(batch, contexts=Ragged(values, batch.contexts.offsets), thresholds=limit)).astype(np.float64)
        found.append(f"{what}: {percent(gap(other if bench.of_events else (other - shift) / factor, plain, unit))}")
    return f"{', '.join(found)} {words}"
