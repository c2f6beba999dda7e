"""Checks of what a model declares and of what it costs to register it."""

from __future__ import annotations

import inspect
import json
import subprocess
import sys
from importlib.machinery import PathFinder

from harness.conformance.kit import fail
from harness.errors import Unsupported, UsageError, suggest
from harness.selection import parse_modes
from harness.specimens import Bench

__all__ = ["check_card", "check_light_import"]

HEAVY = ("torch", "tensorflow", "jax", "transformers", "gluonts", "statsforecast", "datasets", "pandas", "sklearn")
"""What registering a model must not import."""
LONGEST = 120.0
"""Seconds that it may take."""


def check_card(bench: Bench) -> None:
    """What a leaderboard needs to know is declared: licence, summary, modes, and the kind of output that the model returns.

    Exceptions name checks that there are, each with a reason.
    """
    info = bench.info
    _check_exceptions(bench)
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
    for kind in info.covariates:
        if kind not in ("past", "known"):
            fail(f"ModelInfo.covariates holds {kind!r}; wanted past or known")
    if info.output not in ("quantiles", "samples", "points", "probabilities"):
        fail(
            f"ModelInfo.output is {info.output!r}; wanted 'quantiles', 'samples' or 'points', or 'probabilities' of a model of events alone"
        )
    if (kind := bench.forecast(bench.batch(items=2, windows=1)).kind) != info.output:
        fail(f"ModelInfo.output is {info.output!r} and predict returned {kind}; declare what it returns")


def _check_exceptions(bench: Bench) -> None:
    from harness.conformance import CHECKS

    for name, reason in bench.info.exceptions.items():
        if name == "card":
            fail("ModelInfo.exceptions names 'card', which is the check that reads the exceptions; mend what it says instead")
        if name not in CHECKS:
            known = f"{suggest(name, CHECKS)} The checks are: {', '.join(CHECKS)}"
            fail(f"ModelInfo.exceptions names {name!r}, and there is no such check.{known}")
        if not isinstance(reason, str) or not reason.strip():
            fail(f"ModelInfo.exceptions has no reason for {name!r}; say in a sentence why the model does not pass it")


def check_light_import(bench: Bench) -> str:
    """Registering the model imports nothing heavy: listing models must stay fast. Reported: its time and number of modules."""
    registered = bench.plugins.model(bench.name)
    plugin = bench.plugins.pm.get_plugin(registered.plugin)
    module = plugin if inspect.ismodule(plugin) else inspect.getmodule(plugin if inspect.isclass(plugin) else type(plugin))
    name = getattr(module, "__name__", "")
    by_hand = not inspect.ismodule(plugin) or PathFinder.find_spec(name.partition(".")[0]) is None
    if not registered.distribution and by_hand:
        raise Unsupported(f"plugin '{registered.plugin}' was registered by hand, from no module that could be imported by itself")
    wanted = {"entry": registered.plugin, "distribution": registered.distribution, "module": name}
    command = [sys.executable, "-c", IMPORT, json.dumps(wanted), json.dumps(HEAVY), json.dumps(sys.path)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=LONGEST)
    except subprocess.TimeoutExpired:
        fail(
            f"importing and registering plugin '{registered.plugin}' took longer than {LONGEST:g} s and was ended; do the work in __init__"
        )
    if done.returncode or not done.stdout:
        fail(f"plugin '{registered.plugin}' cannot be imported and registered by itself:\n{done.stderr}")
    found = json.loads(done.stdout)
    if heavy := found["heavy"]:
        fail(f"registering {bench.name} imports {' '.join(heavy)}; import it in the model's __init__ or predict")
    return f"registering takes {1000 * found['seconds']:.0f} ms and imports {found['modules']} modules beside the harness"


IMPORT = """
import importlib, importlib.metadata, json, os, sys, time, types
answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
wanted, heavy, path = map(json.loads, sys.argv[1:])
sys.path[:] = path
import pluggy
import harness
from harness import hookspecs, Batch, Forecast
entries = importlib.metadata.entry_points(group="harness", name=wanted["entry"])
mine = [e for e in entries if not wanted["distribution"] or e.dist and e.dist.name == wanted["distribution"]]
before, start = set(sys.modules), time.perf_counter()
plugin = mine[0].load() if mine else importlib.import_module(wanted["module"])
manager = pluggy.PluginManager("harness")
manager.add_hookspecs(hookspecs)
manager.register(plugin)
manager.hook.register_models(register=lambda info, factory: None)
seconds, modules = time.perf_counter() - start, len(set(sys.modules) - before)
found = {"heavy": [name for name in heavy if name in sys.modules], "seconds": seconds, "modules": modules}
print(json.dumps(found), file=answers, flush=True)
os._exit(0)
"""
"""A program that loads one plugin as the harness does: a module, or an object in one ("module:plugin")."""
