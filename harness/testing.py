"""Conformance checks for models, for plugin authors to run in their own tests.

    import pytest
    from harness.testing import checks

    @pytest.mark.parametrize("check", checks("my_model"), ids=str)
    def test_conformance(check):
        check()

Each check calls the registered model as a worker would: through the hooks, with the checks that a run makes. A model that cannot do
something says so by raising `Unsupported`, which passes; an exception to a rule is declared with a reason and skipped aloud:
`checks("my_model", skip={"batch_invariance": "attends over the whole batch"})`.
"""

from __future__ import annotations

import subprocess
import sys
import unittest
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from harness.errors import Unsupported, UsageError
from harness.forecast import F32, Batch, Ragged
from harness.plugins import Plugins, load
from harness.worker import Session

__all__ = ["Check", "checks", "make_batch"]

HEAVY = ("torch", "tensorflow", "jax", "transformers", "gluonts", "statsforecast", "datasets", "pandas", "sklearn")
"""What registering a model must not import."""


def make_batch(n: int = 12, horizon: int = 6, season_length: int = 4, seed: int = 0, levels: Sequence[float] | None = None) -> Batch:
    """N ordinary windows of different lengths: level, trend, season and noise, some values missing."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(n):
        t = np.arange(24 + 7 * i)
        y = 50 + 10 * i + 0.1 * t + 5 * np.sin(2 * np.pi * t / season_length) + rng.normal(0, 1, len(t))
        y[rng.random(len(t)) < 0.03] = np.nan
        y[-1] = 50.0 + i
        rows.append(y)
    return Batch.from_contexts(rows, horizon, freq="H", season_length=season_length, quantile_levels=levels, seed=seed)


@dataclass
class Bench:
    """A loaded model with everything a check needs."""

    name: str
    params: Mapping[str, Any]
    plugins: Plugins = field(default_factory=load)

    def __post_init__(self) -> None:
        self.session = Session(self.plugins)
        self.session.load(self.name, dict(self.params))
        self.info = self.plugins.model(self.name).info

    def predict(self, batch: Batch) -> tuple[F32, F32]:
        """Quantiles [N, Q, H] and means [N, H], checked as in a run; contexts are cut to the model's `max_context` first."""
        if self.info.max_context is not None:
            batch = replace(batch, contexts=Ragged.from_rows([row[-self.info.max_context :] for row in batch]))
        self.session.begin("", 0, None)
        quantiles, mean, _ = self.session.predict(batch)
        return quantiles, mean


def rows_of(batch: Batch, rows: Sequence[int]) -> Batch:
    """Some windows of a batch, in this order."""
    index = np.asarray(rows)
    return replace(
        batch,
        contexts=Ragged.from_rows([batch.contexts[int(i)] for i in index]),
        starts=batch.starts[index],
        group=batch.group[index],
        window_ids=batch.window_ids[index],
        seeds=batch.seeds[index],
    )


def check_levels(bench: Bench) -> None:
    """The asked quantile levels come back, in rising order, for one level, odd levels and many."""
    for levels in ([0.5], [0.025, 0.5, 0.975], [k / 20 for k in range(1, 20)]):
        quantiles, _ = bench.predict(make_batch(levels=levels))
        assert quantiles.shape[1] == len(levels)
        assert (np.diff(quantiles, axis=1) >= 0).all()


def check_horizons(bench: Bench) -> None:
    """A horizon of 1 and one longer than the context; beyond `max_horizon` the harness does not ask."""
    for horizon in (1, 50):
        if bench.info.max_horizon is None or horizon <= bench.info.max_horizon:
            quantiles, mean = bench.predict(make_batch(horizon=horizon))
            assert quantiles.shape[2] == horizon == mean.shape[1]


def check_batch_invariance(bench: Bench) -> None:
    """A window's forecast does not depend on the windows that it travels with, bit for bit."""
    batch = make_batch()
    whole, means = bench.predict(batch)
    for part in ([0], [5, 3], list(range(6, 12))):
        quantiles, mean = bench.predict(rows_of(batch, part))
        _same(quantiles, whole[part], f"windows {part} alone and in a batch of {len(batch)}")
        _same(mean, means[part], f"the means of windows {part} alone and in a batch of {len(batch)}")


def check_order_invariance(bench: Bench) -> None:
    """A window's forecast does not depend on its place in the batch, bit for bit."""
    batch = make_batch()
    whole, _ = bench.predict(batch)
    backwards, _ = bench.predict(rows_of(batch, range(len(batch))[::-1]))
    _same(backwards[::-1], whole, "the same batch forwards and backwards")


def check_determinism(bench: Bench) -> None:
    """The same batch and seed give the same forecast, from this model and from another one made alike."""
    batch = make_batch()
    first, _ = bench.predict(batch)
    again, _ = bench.predict(batch)
    other, _ = Bench(bench.name, bench.params).predict(batch)
    _same(again, first, "two calls with one batch")
    _same(other, first, "two models made alike")


def check_leaves_batch_alone(bench: Bench) -> None:
    """Predicting does not change the batch."""
    batch = make_batch()
    before = batch.contexts.values.copy(), batch.contexts.offsets.copy()
    bench.predict(batch)
    np.testing.assert_array_equal(batch.contexts.values, before[0], "predict() changed the contexts that it was given")
    np.testing.assert_array_equal(batch.contexts.offsets, before[1], "predict() changed the contexts that it was given")


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
    for what, context in contexts.items():
        try:
            bench.predict(Batch.from_contexts([context], 6, freq="H", season_length=4))
        except Unsupported:
            continue
        except Exception as error:
            raise AssertionError(f"a context that is {what}: {type(error).__name__}: {error}") from error


def check_light_import(bench: Bench) -> None:
    """Registering the model imports nothing heavy: listing models must stay fast."""
    plugin = bench.plugins.pm.get_plugin(bench.plugins.model(bench.name).plugin)
    module = getattr(plugin, "__name__", "")
    code = f"import sys, importlib; m = importlib.import_module({module!r}); m.register_models(register=lambda i, f: None)"
    code += f"; print(*[h for h in {HEAVY!r} if h in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stdout.split(), f"registering {bench.name} imports {done.stdout.strip()}; import it in the model's __init__ or predict"


def check_card(bench: Bench) -> None:
    """What a leaderboard needs to know is declared: licence, summary, kind of output, modes."""
    info = bench.info
    assert info.license, "ModelInfo.license is empty; give the SPDX name of the code's licence"
    assert info.summary, "ModelInfo.summary is empty; say in one line what the model does"
    assert info.output in ("quantiles", "samples", "points"), f"ModelInfo.output is {info.output!r}"
    assert "zero-shot" in info.modes or info.modes, "ModelInfo.modes is empty"


def _same(a: F32, b: F32, what: str) -> None:
    if not np.array_equal(a, b):
        worst = np.max(np.abs(a.astype(np.float64) - b.astype(np.float64)))
        raise AssertionError(f"{what} give forecasts that differ by up to {worst:.3g}; wanted the same bits")


CHECKS: dict[str, Callable[[Bench], None]] = {
    f.__name__.removeprefix("check_"): f
    for f in (
        check_card,
        check_light_import,
        check_levels,
        check_horizons,
        check_batch_invariance,
        check_order_invariance,
        check_determinism,
        check_leaves_batch_alone,
        check_difficult_contexts,
    )
}


@dataclass(frozen=True)
class Check:
    """One check of one model; call it. `str` of it is a test's name."""

    model: str
    name: str
    params: Mapping[str, Any]
    reason: str = ""  # why it is not to be run

    def __call__(self) -> None:
        """Run the check.

        Raises:
            AssertionError: the model does not conform; says how.
            unittest.SkipTest: the check was declared an exception.
        """
        if self.reason:
            raise unittest.SkipTest(self.reason)
        bench = Bench(self.model, self.params)
        if bench.info.batch_dependent and self.name in ("batch_invariance", "order_invariance"):
            raise unittest.SkipTest(f"{self.model} declares that its forecasts depend on the batch")
        try:
            CHECKS[self.name](bench)
        except Unsupported as error:
            raise unittest.SkipTest(f"{self.model}: {error}") from None

    def __str__(self) -> str:
        return f"{self.model}-{self.name}"


def checks(model: str, params: Mapping[str, Any] | None = None, skip: Mapping[str, str] | None = None) -> list[Check]:
    """All checks for a registered model; `params` go to its factory, `skip` is {check: reason}.

    Raises:
        UsageError: `skip` names a check that does not exist, or gives no reason.
    """
    skip = skip or {}
    for name, reason in skip.items():
        if name not in CHECKS or not reason:
            raise UsageError(f"skip={{{name!r}: {reason!r}}}: wanted a reason for one of {', '.join(CHECKS)}")
    return [Check(model, name, dict(params or {}), skip.get(name, "")) for name in CHECKS]
