"""The check of probabilities: what a model says of an event, itself or by the quantiles, samples or points that it gives."""

from __future__ import annotations

import numpy as np

from harness.conformance.kit import REMEDY, fail, members, same
from harness.errors import Unsupported
from harness.events import probabilities
from harness.forecast import F32, Batch
from harness.selection import learns
from harness.specimens import Bench, asking, data_of, make_data, rows_of

__all__ = ["check_event"]


def check_event(bench: Bench) -> str:
    """On a task of events each window has a probability from 0 to 1; one of the model's own does not depend on the windows beside it.

    A model of values may answer such a task with values, which the core makes probabilities of, or with probabilities. One of events alone
    is asked for values too: it must answer `Unsupported`, in training or when it forecasts, so that its cells are skipped and do not fail.
    Where it learns, it is also given parts without an outcome and parts in which the event always, or never, happens.

    Reported: what the probabilities are made of, and their range.
    """
    data = bench.data() if bench.of_events else asking(bench.data(), bench.named)
    try:
        bench.begin(data=data)
        batch = bench.cut(data)
        kind, chance = _chances(bench, batch)
        # Of values `batch_invariance` has said it already; a model of values may have an answer of its own for an event.
        free = bench.info.batch_dependent or "batch_invariance" in bench.info.exceptions
        for groups in ([0], [5, 3]) if kind == "probabilities" and not free else ():
            part = members(batch, groups)
            alone = _chances(bench, rows_of(batch, part))[1]
            same(alone, chance[part], f"probabilities of windows {part} alone and in a batch of {len(batch)}", REMEDY)
    except Unsupported as error:
        raise Unsupported(f"on a task of events: {error}") from None
    if bench.of_events:
        _check_values_are_refused(bench)
        _check_one_sided_training(bench)
    return f"from {kind}: {chance.min():.3f} to {chance.max():.3f}"


def _chances(bench: Bench, batch: Batch) -> tuple[str, F32]:
    """The kind of the forecast, and the probability of each window, [N]."""
    assert batch.event is not None and batch.thresholds is not None
    forecast = bench.forecast(batch)
    chance = probabilities(forecast, batch.event, batch.thresholds)
    if not ((chance >= 0) & (chance <= 1)).all():
        fail(f"from {forecast.kind} follow probabilities from {chance.min():g} to {chance.max():g}; wanted numbers from 0 to 1")
    return forecast.kind, chance.astype(np.float32)


def _check_values_are_refused(bench: Bench) -> None:
    """A model of events alone says `Unsupported` on a task that asks for values."""
    wanted = "raise Unsupported where batch.event is None, in finetune and in predict"
    values = make_data(variates=3 if bench.info.multivariate else 1)
    try:
        bench.begin(data=values)
        bench.forecast(bench.cut(values))
    except Unsupported:
        return
    except Exception as error:
        fail(f"on a task of values, which asks for no event, it raised {type(error).__name__}: {error}; {wanted}")
    fail(f"on a task of values, which asks for no event, it returned a forecast; {wanted}, or declare the output that it has there")


def _check_one_sided_training(bench: Bench) -> None:
    """Whatever it has learnt from, a model of events gives probabilities, or says `Unsupported`."""
    horizon, variates = bench.data().task.horizon, 3 if bench.info.multivariate else 1
    parts = {
        "no outcome is known": np.full(60, np.nan),
        "the event never happens": np.arange(60.0, 0.0, -1.0),
        "the event always happens": np.arange(60.0),
        "nothing is long enough to have an outcome": np.arange(horizon + 1.0),
    }
    ordinary = bench.batch()
    for what, row in parts.items() if any(map(learns, bench.trained_modes)) else ():
        try:
            bench.begin(next(filter(learns, bench.trained_modes)), data=bench.asked(data_of([row] * variates, horizon, variates=variates)))
            _chances(bench, ordinary)
        except Unsupported:
            continue
        except Exception as error:
            fail(f"it learns from a part in which {what}: {type(error).__name__}: {error}; wanted a probability, or Unsupported")
