"""The checks of `harness.testing`: what a run, a score and a leaderboard rely on. Each raises AssertionError with what is wrong."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from harness.batches import cut_batch, ranges
from harness.defaults import takes_mode
from harness.errors import Unsupported, UsageError
from harness.forecast import F32, Batch, Ragged
from harness.identity import WEIGHTS, file_digest
from harness.quantiles import sort_crossings
from harness.saved import save_model
from harness.selection import learns, parse_modes
from harness.series import Channels
from harness.specimens import Bench, data_of, rows_of
from harness.types import ModelInfo

__all__ = ["APPLIES", "CHECKS"]

HEAVY = ("torch", "tensorflow", "jax", "transformers", "gluonts", "statsforecast", "datasets", "pandas", "sklearn")
"""What registering a model must not import."""
LEVELS = ([0.5], [0.025, 0.5, 0.975], [k / 20 for k in range(1, 20)])
LONG = 2048
"""Steps of the longest context in which a model without `max_context` must find something to adapt to."""
FARTHEST = 1024
"""Steps that a check forecasts at most, whatever the model's `max_horizon`."""


def fail(message: str) -> NoReturn:
    """Not `assert`, which python -O leaves out."""
    raise AssertionError(message)


def check_card(bench: Bench) -> None:
    """What a leaderboard needs to know is declared: licence, summary, modes, and the kind of output that the model returns."""
    info = bench.info
    if not info.license:
        fail("ModelInfo.license is empty; give the SPDX name of the code's licence")
    if not info.summary:
        fail("ModelInfo.summary is empty; say in one line what the model does")
    if not info.modes:
        fail("ModelInfo.modes is empty; wanted one or more of zero-shot, finetune, few-shot, full, ttt")
    for mode in info.modes:
        try:
            parse_modes(["few-shot:0.5" if mode == "few-shot" else mode])
        except UsageError:
            fail(f"ModelInfo.modes holds {mode!r}; wanted zero-shot, finetune, full, ttt, few-shot, or few-shot:SHARE as in few-shot:0.1")
    if info.output not in ("quantiles", "samples", "points"):
        fail(f"ModelInfo.output is {info.output!r}; wanted 'quantiles', 'samples' or 'points'")
    if (kind := bench.forecast(bench.batch(items=2, windows=1)).kind) != info.output:
        fail(f"ModelInfo.output is {info.output!r} and predict returned {kind}; declare what it returns")


def check_light_import(bench: Bench) -> None:
    """Registering the model imports nothing heavy: listing models must stay fast."""
    registered = bench.plugins.model(bench.name)
    plugin = bench.plugins.pm.get_plugin(registered.plugin)
    module = plugin if inspect.ismodule(plugin) else inspect.getmodule(plugin if inspect.isclass(plugin) else type(plugin))
    wanted = {"entry": registered.plugin, "distribution": registered.distribution, "module": getattr(module, "__name__", "")}
    command = [sys.executable, "-c", IMPORT, json.dumps(wanted), json.dumps(HEAVY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        fail(f"plugin '{registered.plugin}' cannot be imported and registered by itself:\n{done.stderr}")
    if heavy := json.loads(done.stdout.splitlines()[-1]):
        fail(f"registering {bench.name} imports {' '.join(heavy)}; import it in the model's __init__ or predict")


IMPORT = """
import contextlib, importlib, importlib.metadata, json, sys, types
import pluggy
from harness import hookspecs
wanted, heavy = map(json.loads, sys.argv[1:])
with contextlib.redirect_stdout(sys.stderr):
    entries = importlib.metadata.entry_points(group="harness", name=wanted["entry"])
    mine = [e for e in entries if not wanted["distribution"] or e.dist and e.dist.name == wanted["distribution"]]
    plugin = mine[0].load() if mine else importlib.import_module(wanted["module"])
    manager = pluggy.PluginManager("harness")
    manager.add_hookspecs(hookspecs)
    manager.register(plugin)
    manager.hook.register_models(register=lambda info, factory: None)
print(json.dumps([name for name in heavy if name in sys.modules]))
"""
"""A program that loads one plugin as the harness does: a module, or an object in one ("module:plugin")."""


def check_levels(bench: Bench) -> None:
    """The asked quantile levels can be had of the forecast, for one level, odd levels and many."""
    for levels in LEVELS:
        batch = bench.batch(levels=levels)
        forecast = bench.forecast(batch)
        given = forecast.levels
        if given is not None and not (np.all(np.diff(given) > 0) and given[0] > 0 and given[-1] < 1):
            fail(
                f"predict returned quantiles at levels {given.tolist()}; wanted rising levels between 0 and 1: use Forecast.from_quantiles"
            )
        quantiles, _ = bench.convert(forecast, batch)
        if quantiles.shape[1] != len(levels):
            fail(f"asked for the levels {levels}, predict returned {quantiles.shape[1]} of them")


def check_crossings(bench: Bench) -> None:
    """Quantiles rise with their level. A run sorts those that do not and counts them; a model should not need it."""
    for levels in LEVELS[1:]:
        batch = bench.batch(levels=levels)
        _, crossings = sort_crossings(bench.predict(batch)[0])
        if crossings.sum():
            steps = len(batch) * batch.horizon
            fail(
                f"quantiles at the levels {levels} cross in {int(crossings.sum())} of {steps} steps, first in row "
                f"{int(np.flatnonzero(crossings)[0])}; wanted rising quantiles: mend their order, or sort along axis 1"
            )


def check_horizons(bench: Bench) -> None:
    """A horizon of 1, one longer than the context, and the longest that the model declares; beyond `max_horizon` a run does not ask."""
    most = bench.info.max_horizon
    wanted = {h for h in (1, 50, min(most or 1, FARTHEST)) if most is None or h <= most}
    for horizon in sorted(wanted):
        try:
            quantiles, mean = bench.predict(bench.batch(horizon=horizon))
        except Unsupported as error:
            if most is not None:
                fail(f"ModelInfo.max_horizon is {most} and a horizon of {horizon} is unsupported: {error}")
            continue
        if not quantiles.shape[2] == horizon == mean.shape[1]:
            fail(f"asked for {horizon} steps, predict returned {quantiles.shape[2]}, and means of {mean.shape[1]}")


def check_batch_invariance(bench: Bench) -> None:
    """A window's forecast does not depend on the windows that it travels with, bit for bit."""
    batch = bench.batch()
    whole, means = bench.predict(batch)
    count = len(np.unique(batch.group))
    for groups in ([0], [5, 3], list(range(count // 2, count))):
        part = _members(batch, groups)
        quantiles, mean = bench.predict(rows_of(batch, part))
        _same(quantiles, whole[part], f"windows {part} alone and in a batch of {len(batch)}")
        _same(mean, means[part], f"the means of windows {part} alone and in a batch of {len(batch)}")


def check_order_invariance(bench: Bench) -> None:
    """A window's forecast does not depend on its place in the batch, bit for bit."""
    batch = bench.batch()
    order = _members(batch, range(len(np.unique(batch.group)))[::-1])
    _same(bench.predict(rows_of(batch, order))[0], bench.predict(batch)[0][order], "the same batch forwards and backwards")


def check_determinism(bench: Bench) -> None:
    """The same batch and seed give the same forecast, from this model and from another one made alike."""
    batch = bench.batch()
    bench.begin()
    first, _ = bench.predict(batch)
    bench.begin()
    again, _ = bench.predict(batch)
    other, _ = replace(bench).predict(batch)
    _same(again, first, "two cells with one batch and one seed")
    _same(other, first, "two models made alike")


def check_leaves_batch_alone(bench: Bench) -> None:
    """Predicting does not change the batch."""
    batch = bench.batch()
    before = {name: array.copy() for name, array in _arrays(batch).items()}
    bench.predict(batch)
    for name, array in _arrays(batch).items():
        if not np.array_equal(array, before[name], equal_nan=array.dtype.kind == "f"):
            fail(f"predict() changed {name} of the batch that it was given; work on a copy")


def check_difficult_contexts(bench: Bench) -> None:
    """Finite forecasts, or `Unsupported`, for what real data holds: missing, constant, short, huge and tiny values."""
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
    for what, context in contexts.items():
        rows = [np.concatenate([context, np.ones(usual.horizon)])] * usual.variates
        try:
            bench.predict(bench.cut(data_of(rows, usual.horizon, variates=usual.variates)))
        except Unsupported:
            continue
        except Exception as error:
            raise AssertionError(f"a context that is {what}: {type(error).__name__}: {error}") from error


def check_no_future(bench: Bench) -> None:
    """No value at or after the cutoff is used: other values there, and more of them, change no forecast."""
    data = bench.data(windows=1)
    series = data.series

    def longer(channels: Channels) -> Channels:
        cut = data.cut[:: len(data) // series.items] if channels is series.past else data.cut
        cut = np.repeat(cut, len(channels) // len(cut))
        rows = [np.concatenate([channels[c][: cut[c]], np.full(40, 1e6 + c)]) for c in range(len(channels))]
        return Channels.from_ragged(Ragged.from_rows(rows))

    past = None if series.past is None else longer(series.past)
    other = replace(data, series=replace(series, target=longer(series.target), past=past))
    first, _ = bench.predict(bench.cut(data))
    bench.begin()
    _same(bench.predict(bench.cut(other))[0], first, "series that differ only after the cutoff")


def check_multivariate(bench: Bench) -> None:
    """The windows of an item arrive together, and an item's forecast does not depend on the other items."""
    data = bench.data()
    whole, _ = bench.predict(bench.cut(data))
    for low, high in ranges(data, bench.info, 1):
        batch = cut_batch(data, low, high, bench.info, 0)
        if len(batch) % data.task.variates:
            fail(f"{len(batch)} windows of items with {data.task.variates} variates arrived together; this is a defect of the harness")
        _same(bench.predict(batch)[0], whole[low:high], f"windows {low} to {high - 1}, one item, alone and in a batch of {len(data)}")


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
        _same(bench.predict(batch)[0], first, f"two trainings with mode {mode!r} and one seed")
        bench.begin()
        _same(bench.predict(batch)[0], before, f"the model before and after another one was trained with mode {mode!r}")


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
    _same(bench.predict(batch)[0], first, "the same batch, twice in mode 'ttt', where nothing may stay of a window")
    for groups in () if bench.info.batch_dependent else ([0], [5, 3]):
        part = _members(batch, groups)
        _same(bench.predict(rows_of(batch, part))[0], first[part], f"in mode 'ttt', windows {part} alone and in a batch of {len(batch)}")
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
        _same(bench.predict(batch)[0], first, "the trained model before and after it was saved")
        loaded = replace(bench, params={**bench.params, "weights": str(path)})
        loaded.begin("zero-shot")
        _same(loaded.predict(batch)[0], first, "the trained model, and the one made with what it saved as weights")


def _members(batch: Batch, groups: Sequence[int]) -> list[int]:
    """The rows of these groups, in this order."""
    names = np.unique(batch.group)
    return [int(row) for group in groups for row in np.flatnonzero(batch.group == names[group % len(names)])]


def _arrays(batch: Batch) -> dict[str, np.ndarray[Any, Any]]:
    ragged = {"contexts": batch.contexts, **{f"past_covariates[{k}]": past for k, past in enumerate(batch.past_covariates)}}
    found = {f"{name}.{part}": getattr(rows, part) for name, rows in ragged.items() for part in ("values", "offsets")}
    return found | {name: getattr(batch, name) for name in ("starts", "quantile_levels", "group", "window_ids", "seeds")}


def _same(a: F32, b: F32, what: str) -> None:
    if not np.array_equal(a, b):
        worst = np.max(np.abs(a.astype(np.float64) - b.astype(np.float64)))
        fail(f"{what} give forecasts that differ by up to {worst:.3g}; wanted the same bits")


CHECKS: dict[str, Callable[[Bench], None]] = {
    name.removeprefix("check_"): check for name, check in list(globals().items()) if name.startswith("check_")
}
APPLIES: dict[str, Callable[[ModelInfo], bool]] = {
    "multivariate": lambda info: info.multivariate,
    "finetune": lambda info: any(mode != "zero-shot" for mode in info.modes),
    "save": lambda info: any(map(learns, info.modes)),
}
"""Which models a check is for; all where it is not listed."""
