"""Conformance checks for models and scoring dialects, for plugin authors to run in their own tests.

    import pytest
    from harness.testing import checks

    @pytest.mark.parametrize("check", checks("my_model"), ids=str)
    def test_conformance(check):
        check()

Each check calls the registered model as a run would: the same batches from a made task, through the same hooks, with the same checks of
what comes back. A model that cannot do something says so by raising `Unsupported`, and the check is skipped; an exception to a rule is
declared with a reason and skipped aloud: `ModelInfo(..., exceptions={"batch_invariance": "attends over the whole batch"})`. `harness plugin
test` runs the same checks, each bounded in time, and prints what they report.

`check_dialect("my_dialect")` does the like for a scoring dialect, in one call.

A model whose output is "probabilities" is given tasks of events, with past covariates that have names; others are given one such task.

`make_batch`, `make_data` and `make_events` make ordinary windows, an ordinary task and one of events for tests of one's own.
"""

from __future__ import annotations

import unittest
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.conformance import APPLIES, CHECKS
from harness.conformance_dialects import DIALECT_CHECKS, DialectBench
from harness.dialects import Dialect
from harness.dialects.registered import dialect as registered_dialect
from harness.errors import Unsupported, UsageError, suggest
from harness.plugins import Plugins, load
from harness.specimens import Bench, make_batch, make_data, make_events
from harness.types import DECILES

__all__ = ["Check", "check_dialect", "checks", "make_batch", "make_data", "make_events"]


@dataclass(frozen=True)
class Check:
    """One check of one model; call it. `str` of it is a test's name."""

    model: str
    name: str
    params: Mapping[str, Any]
    reason: str = ""  # why it is not to be run: what the model declares
    plugins: Plugins = field(default_factory=load, repr=False)
    past_names: tuple[str, ...] = ()

    def __call__(self) -> str:
        """Run the check.

        Returns:
            What it found out and does not judge; "" for nothing.

        Raises:
            AssertionError: the model does not conform; says how.
            PluginError, UsageError: there is no such model, or it cannot be loaded.
            unittest.SkipTest: the check was declared an exception, or the model does not support it.
        """
        if self.reason:
            raise unittest.SkipTest(self.reason)
        bench = Bench(self.model, self.params, self.plugins, self.past_names)
        if bench.info.batch_dependent and self.name in ("batch_invariance", "order_invariance", "multivariate"):
            raise unittest.SkipTest(f"{self.model} declares that its forecasts depend on the batch")
        try:
            return CHECKS[self.name](bench) or ""
        except Unsupported as error:
            raise unittest.SkipTest(f"{self.model}: {error}") from None

    def __str__(self) -> str:
        return f"{self.model}-{self.name}"


def checks(
    model: str, params: Mapping[str, Any] | None = None, plugins: Plugins | None = None, past_names: Sequence[str] = ()
) -> list[Check]:
    """All checks for a registered model, those of training and of several variates where it declares them.

    The exceptions that the model declares are skipped with their reason; the check `card` refuses one that names no check or no reason.

    Args:
        model: its name.
        params: go to its factory.
        plugins: where to find the model; None is this environment.
        past_names: past covariates that a model of events looks for by name, besides those that its info names, as
            `extra={"past_names": "rsi14"}`.
    """
    plugins = plugins or load()
    # A model that is not there fails its checks, by name, rather than the collection of all tests.
    known = plugins.models.get(model)
    names = [name for name in CHECKS if known is None or name not in APPLIES or APPLIES[name](known.info)]
    reasons = {} if known is None else {name: reason for name, reason in known.info.exceptions.items() if name != "card"}
    return [Check(model, name, dict(params or {}), reasons.get(name, ""), plugins, tuple(past_names)) for name in names]


def check_dialect(
    dialect: str | Dialect,
    *,
    levels: Sequence[float] = DECILES,
    skip: Mapping[str, str] | None = None,
    plugins: Plugins | None = None,
) -> None:
    """Check a scoring dialect as `harness score` uses it, on made forecasts of every awkward kind.

    It gives the metrics that it declares and no others; the size and order of the blocks do not matter, nor does what was scored before;
    what it is given stays as it is; missing, infinite and constant values, no window and one window are scored, without a warning; other
    frequencies and levels are scored or refused with `Unsupported`; numbers over tasks are made of any board. It is shown tasks of values
    and tasks of events, with probabilities, and is checked on those that it does not refuse.

    Args:
        dialect: its name, as registered, or the dialect itself.
        levels: rising quantile levels that it can score.
        skip: {check: why it is not to be run}.
        plugins: where to find the dialect; None is this environment.

    Raises:
        AssertionError: the dialect does not conform; says how.
        PluginError, UsageError: there is no such dialect, or it cannot be made; `skip` names no check, or gives no reason.
    """
    _refuse_skip(skip or {}, DIALECT_CHECKS)
    found = registered_dialect(dialect, plugins) if isinstance(dialect, str) else dialect
    benches = {what: DialectBench(found, tuple(levels), what == "events") for what in ("values", "events")}
    refused = {what: error for what, bench in benches.items() if (error := bench.accepts()) is not None}
    for name, check in DIALECT_CHECKS.items():
        if name in (skip or {}):
            continue
        if len(refused) == len(benches):
            said = " and ".join(dict.fromkeys(map(str, refused.values())))
            wanted = "name levels that it can score: check_dialect(..., levels=[...])"
            raise AssertionError(f"{found.name}, {name}: it refuses ordinary forecasts of values and of events ({said}); {wanted}")
        for what, bench in benches.items():
            if what in refused:
                continue
            try:
                check(bench)
            except (AssertionError, Unsupported) as error:
                said = str(error) if isinstance(error, AssertionError) else f"it refuses what it must score: {error}"
                raise AssertionError(f"{found.name}, {name}{' (a task of events)' if bench.event else ''}: {said}") from error


def _refuse_skip(skip: Mapping[str, str], known: Mapping[str, Any]) -> None:
    for name, reason in skip.items():
        if name not in known or not reason:
            raise UsageError(f"skip={{{name!r}: {reason!r}}}: wanted a reason for one of {', '.join(known)}.{suggest(name, known)}")
