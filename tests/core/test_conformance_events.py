"""The conformance kit and models of events: a good one passes, each mistake is named; models of values are asked for events too."""

from __future__ import annotations

import types
import unittest
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from harness import Batch, Forecast, ModelInfo, Unsupported, hookimpl
from harness.batches import training_batch
from harness.conformance import OF_VALUES
from harness.conformance import events as module
from harness.errors import ForecastError
from harness.events import outcomes
from harness.forecast import F64
from harness.plugins import Plugins
from harness.quantiles import check as checked
from harness.specimens import PAST_NAMES
from harness.testing import checks, make_events

INFO = ModelInfo("mine", license="MIT", summary="for this test", output="probabilities", modes=("full",), covariates=("past",))
Predict = Callable[[Any, Batch], Any]


class Share:
    """The share of events in what was learnt from, moved by whether the newest change that is known was a rise."""

    rate = 0.5

    def chances(self, batch: Batch) -> F64:
        if batch.event is None:
            raise Unsupported("no event")
        newest = np.array([row[-1] for row in batch.past_covariates[0]]) if batch.past_covariates else np.zeros(len(batch))
        found: F64 = self.rate + 0.1 * np.sign(np.nan_to_num(newest)) * self.rate * (1 - self.rate)
        return found

    def predict(self, batch: Batch) -> Any:
        return Forecast.from_probabilities(self.chances(batch))

    def finetune(self, train: Batch, budget: str, seed: int) -> Any:
        if train.event is None:
            raise Unsupported("no event")
        known = np.concatenate([outcomes(train.event, row) for row in train])
        known = known[np.isfinite(known)]
        self.rate = (known.sum() + 0.5) / (len(known) + 1)
        return self


def with_predict(change: Predict) -> type[Share]:
    return type("Changed", (Share,), {"predict": change})


def ran(factory: Callable[..., Any], info: ModelInfo = INFO, names: tuple[str, ...] = ()) -> tuple[dict[str, str], dict[str, str]]:
    """({check: what it found out}, {check that the model fails: message}); skipped ones are in neither."""
    plugins, plugin = Plugins(), types.ModuleType("kit")
    plugin.register_models = hookimpl(lambda register: register(info, factory))  # type: ignore[attr-defined]
    plugins.register(plugin, "kit")
    good, bad = {}, {}
    for check in checks("mine", plugins=plugins, past_names=names):
        if check.name in ("light_import", "memory"):
            continue
        try:
            good[check.name] = check()
        except AssertionError as error:
            bad[check.name] = str(error)
        except unittest.SkipTest:
            continue
    return good, bad


def failures(factory: Callable[..., Any], info: ModelInfo = INFO) -> dict[str, str]:
    return ran(factory, info)[1]


@pytest.mark.parametrize(
    "info", [INFO, replace(INFO, covariates=()), replace(INFO, multivariate=True), replace(INFO, max_context=10, max_horizon=1)]
)
def test_a_good_model_of_events_passes(info: ModelInfo) -> None:
    good, bad = ran(Share, info)
    assert bad == {}
    assert not {*good} & {*OF_VALUES}
    assert {"card", "batch_invariance", "order_invariance", "determinism", "no_future", "event", "finetune", "difficult_contexts"} <= {
        *good
    }
    assert good["event"].startswith("from probabilities: 0.")
    assert good["affine"].endswith("1024 higher: 0 % in probability")


def test_a_task_of_events_has_names_outcomes_and_a_fold() -> None:
    data = make_events(variates=2, past_names=("rsi",))
    assert data.task.event is not None
    assert (data.task.kind, data.series.past_names, data.series.past_count) == ("event", (*PAST_NAMES, "rsi"), len(PAST_NAMES) + 1)
    train = training_batch(data, INFO, "full", 0)
    assert train.past_names == (*PAST_NAMES, "rsi")
    told = np.concatenate([outcomes(data.task.event, row) for row in train])
    assert 0.2 < np.nanmean(told) < 0.8
    assert (data.training[0].end <= data.cut[data.slot == 0] - data.task.horizon).all()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda self, b: Forecast.from_probabilities(self.chances(b)[:-1]), "probabilities; wanted "),
        (lambda self, b: Forecast.from_probabilities(self.chances(b)[:, None]), "1); wanted [N]"),
        (lambda self, b: Forecast.from_probabilities(self.chances(b) * np.nan), "from_probabilities got NaN ("),
        (lambda self, b: Forecast.from_probabilities(self.chances(b) + 1), "like it); wanted numbers from 0 to 1"),
        (lambda self, b: Forecast.from_probabilities(["high"] * len(b)), "could not read list as numbers"),
        (lambda self, b: self.chances(b), "predict returned ndarray; wanted a Forecast"),
        (
            lambda self, b: Forecast("probabilities", np.full((len(b), 1, 1), -0.5, np.float32)),
            "returned a probability of -0.5 for window 0",
        ),
        (lambda self, b: Forecast("probabilities", np.full((len(b), 1, 1), np.nan, np.float32)), "returned a probability of nan"),
        (lambda self, b: Forecast("probabilities", np.full((len(b), 1, 6), 0.5, np.float32)), "probabilities of shape ("),
        (lambda self, b: Forecast("probabilities", np.full((len(b), 1, 1), 0.5)), "probabilities of float64; wanted float32"),
    ],
)
def test_probabilities_of_no_use_are_found(change: Predict, says: str) -> None:
    found = failures(with_predict(change))
    assert "event" in found
    assert says in found["card"], found["card"]


def test_values_instead_of_probabilities_are_found() -> None:
    found = failures(with_predict(lambda self, b: Forecast.from_points(np.repeat(self.chances(b)[:, None], b.horizon, axis=1))))
    assert found["card"] == "ModelInfo.output is 'probabilities' and predict returned points; declare what it returns"
    assert "wanted 'quantiles', 'samples' or 'points', or 'probabilities'" in failures(Share, replace(INFO, output="chance"))["card"]


def test_a_model_that_looks_at_its_neighbours_is_found() -> None:
    ranks = with_predict(lambda self, b: Forecast.from_probabilities(np.argsort(self.chances(b)) / len(b)))
    assert {"batch_invariance", "order_invariance", "event"} <= {*failures(ranks)}
    drawn = with_predict(lambda self, b: Forecast.from_probabilities(np.random.default_rng().random(len(b))))
    assert {"batch_invariance", "determinism", "finetune"} <= {*failures(drawn)}


def test_a_missing_value_that_is_passed_on_is_found() -> None:
    raw = with_predict(lambda self, b: Forecast.from_probabilities(1 / (1 + np.exp(-np.array([row[-1] for row in b], np.float64) / 1e9))))
    found = failures(raw, replace(INFO, covariates=()))["difficult_contexts"]
    assert "a context that is one missing value: " in found
    assert "from_probabilities got NaN (1 of 1 like it); wanted numbers from 0 to 1" in found


def test_a_model_that_answers_a_task_of_values_is_found() -> None:
    class Always(Share):
        def chances(self, batch: Batch) -> F64:
            return np.full(len(batch), 0.5)

        def finetune(self, train: Batch, budget: str, seed: int) -> Any:
            return self

    class Stumbles(Share):
        def finetune(self, train: Batch, budget: str, seed: int) -> Any:
            assert train.event.step  # type: ignore[union-attr]
            return super().finetune(train, budget, seed)

    assert set(failures(Always)) == {"event"}
    assert "on a task of values, which asks for no event, it returned a forecast; raise Unsupported" in failures(Always)["event"]
    assert "it raised AttributeError: 'NoneType'" in failures(Stumbles)["event"]


def test_training_in_which_nothing_can_be_learnt_is_tried() -> None:
    class Plain(Share):
        def finetune(self, train: Batch, budget: str, seed: int) -> Any:
            super().finetune(train, budget, seed)
            assert train.event is not None
            known = np.concatenate([outcomes(train.event, row) for row in train])
            known = known[np.isfinite(known)]
            self.rate = known.mean() if len(known) else np.nan
            return self

    class Strict(Share):
        def finetune(self, train: Batch, budget: str, seed: int) -> Any:
            super().finetune(train, budget, seed)
            if not 0.05 < self.rate < 0.95:
                raise Unsupported("one class")
            return self

    assert failures(Plain)["event"].startswith("it learns from a part in which no outcome is known: ")
    assert failures(Strict) == {}


def test_a_covariate_of_another_name_can_be_given() -> None:
    class Needs(Share):
        def predict(self, batch: Batch) -> Any:
            if "rsi" not in batch.past_names:
                raise Unsupported("it needs the past covariate 'rsi'")
            return super().predict(batch)

    good, bad = ran(Needs)
    assert (bad, "event" in good) == ({}, False)
    good, bad = ran(Needs, names=("rsi",))
    assert (bad, good["covariates"].startswith("without them: it needs the past covariate 'rsi', other past ones change ")) == ({}, True)
    assert "event" in good


class Fan:
    def predict(self, batch: Batch) -> Any:
        last = np.array([row[np.isfinite(row)][-1] if np.isfinite(row).any() else 0.0 for row in batch])
        values = last[:, None, None] + 0.3 + (batch.quantile_levels[:, None] - 0.5)
        return Forecast.from_quantiles(np.repeat(values, batch.horizon, axis=2), batch.quantile_levels)


VALUES = replace(INFO, output="quantiles", modes=("zero-shot",), covariates=())


def test_a_model_of_values_is_asked_for_an_event() -> None:
    class Head(Fan):
        """One that has an answer of its own, and looks at the batch for it."""

        def predict(self, batch: Batch) -> Any:
            return super().predict(batch) if batch.event is None else Forecast.from_probabilities(np.linspace(0, 1, len(batch)))

    class OnlyValues(Fan):
        def predict(self, batch: Batch) -> Any:
            if batch.event is not None:
                raise Unsupported("values alone")
            return super().predict(batch)

    good, bad = ran(Fan, VALUES)
    assert bad == {}
    assert good["event"] == "from quantiles: 0.800 to 0.800"  # the 0.2 quantile is the last value
    assert set(failures(Head, VALUES)) == {"event"}
    assert "probabilities of windows [" in failures(Head, VALUES)["event"]
    good, bad = ran(OnlyValues, VALUES)
    assert (bad, "event" in good) == ({}, False)


def test_a_model_of_values_that_answers_with_probabilities_everywhere_is_found() -> None:
    bad = failures(lambda: types.SimpleNamespace(predict=lambda batch: Forecast.from_probabilities(np.full(len(batch), 0.5))), VALUES)
    assert "probabilities on a task of values, which asks for no event (batch.event is None)" in bad["levels"]


def test_probabilities_that_follow_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "probabilities", lambda forecast, event, limit: np.full(len(forecast), 1.5))
    assert failures(Fan, VALUES)["event"] == "from quantiles follow probabilities from 1.5 to 1.5; wanted numbers from 0 to 1"


def test_a_run_refuses_them_alike() -> None:
    with pytest.raises(ForecastError, match="returned 3 probabilities; wanted 4, one for each window"):
        checked(Forecast.from_probabilities([0.1, 0.2, 0.3]), 4, 1)
    assert checked(Forecast.from_probabilities([0, 1.0]), 2, 5).values.shape == (2, 1, 1)
