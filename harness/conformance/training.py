"""Checks of training: what a model learns in each mode, what it may not keep, and what it saves."""

from __future__ import annotations

import inspect
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np

from harness.conformance.kit import fail, members, same
from harness.defaults import takes_mode
from harness.errors import Unsupported
from harness.forecast import F32, Batch
from harness.identity import WEIGHTS, file_digest
from harness.saved import save_model
from harness.selection import learns
from harness.specimens import Bench, rows_of

__all__ = ["check_finetune", "check_save"]

LONG = 2048
"""Steps of the longest context in which a model without `max_context` must find something to adapt to."""


def check_finetune(bench: Bench) -> None:
    """In each mode with training the model learns, forecasts, does so again alike, and leaves the untrained model as it was.

    In mode "ttt" it adapts to a window's own context inside `predict`, and forgets that: the next windows, and those beside it, see
    nothing of it.
    """
    batch = bench.batch()
    bench.begin()
    before, _ = bench.predict(batch)
    _check_mode_is_taken(bench)
    for mode in bench.trained_modes:
        bench.begin(mode)
        first, _ = bench.predict(batch)
        if mode == "ttt":
            _check_adapting(bench, batch, first)
        bench.begin(mode)
        same(bench.predict(batch)[0], first, f"two trainings with mode {mode!r} and one seed")
        bench.begin()
        same(bench.predict(batch)[0], before, f"the model before and after another one was trained with mode {mode!r}")


def _check_mode_is_taken(bench: Bench) -> None:
    """A model that can start untrained and from its weights must be told which; a plugin with a hook of its own is told."""
    kinds = {mode.partition(":")[0] for mode in bench.info.modes}
    method = getattr(bench.session.base, "finetune", None)
    hooks = {impl.plugin_name for impl in bench.plugins.pm.hook.finetune.get_hookimpls()}
    if "full" not in kinds or not kinds & {"finetune", "few-shot"} or method is None or bench.plugins.model(bench.name).plugin in hooks:
        return
    if not takes_mode(method):
        has = ", ".join(bench.info.modes)
        fail(
            f"ModelInfo.modes holds {has}, and finetune{inspect.signature(method)} cannot tell 'full', which starts untrained, from the "
            "others; give it an argument: mode='finetune'"
        )


def _check_adapting(bench: Bench, batch: Batch, first: F32) -> None:
    """In mode "ttt", which has begun: nothing stays of a window, and something is done with a long one."""
    same(bench.predict(batch)[0], first, "the same batch, twice in mode 'ttt', where nothing may stay of a window")
    for groups in () if bench.info.batch_dependent else ([0], [5, 3]):
        part = members(batch, groups)
        same(bench.predict(rows_of(batch, part))[0], first[part], f"in mode 'ttt', windows {part} alone and in a batch of {len(batch)}")
    if "zero-shot" not in bench.info.modes:
        return
    longest = bench.batch(items=3, windows=1, **({} if bench.info.max_context else {"longest": LONG}))
    adapted, _ = bench.predict(longest)
    bench.begin("zero-shot")
    if np.array_equal(bench.predict(longest)[0], adapted):
        steps = int(longest.contexts.lengths.max())
        fail(f"mode 'ttt' forecasts as zero-shot does, to the bit, also a context of {steps} steps; wanted a model that adapts in predict")


def check_save(bench: Bench) -> None:
    """What a trained model saves, its factory takes as `weights`, and what that makes forecasts the same bits; saving changes nothing."""
    batch = bench.batch()
    bench.begin(next(mode for mode in bench.trained_modes if learns(mode)))
    model = bench.session.model
    if not callable(getattr(model, "save", None)):
        raise Unsupported("the trained model has no method save(folder)")
    first, _ = bench.predict(batch)
    takes = inspect.signature(bench.plugins.model(bench.name).factory).parameters
    if "weights" not in takes and not any(p.kind is p.VAR_KEYWORD for p in takes.values()):
        fail("the trained model has a method save(folder), and its factory takes no parameter 'weights' to be given that folder")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "saved"
        if reason := save_model(model, path):
            fail(f"the trained model could not be saved: {reason}")
        if not file_digest(str(path)):
            fail(f"save(folder) wrote no file that ends in one of {', '.join(WEIGHTS)}; a result would not count with its content")
        same(bench.predict(batch)[0], first, "the trained model before and after it was saved")
        loaded = replace(bench, params={**bench.params, "weights": str(path)})
        loaded.begin("zero-shot")
        same(loaded.predict(batch)[0], first, "the trained model, and the one made with what it saved as weights")
