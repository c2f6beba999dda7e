"""Each check of `harness.testing` finds the model that it is there for, and lets the others pass."""

from __future__ import annotations

import ast
import inspect
import re
import types
import unittest
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import HEADER, Lab

import harness.specimens
import harness.testing
from harness import Batch, Forecast, ModelInfo, Unsupported, UsageError, hookimpl
from harness.batches import cut_batch
from harness.conformance import CHECKS, contexts, covariates, declared, forecasts, invariance, kit, memory, training
from harness.forecast import F32, F64
from harness.plugins import Plugins
from harness.series import TaskData
from harness.specimens import at_horizon, rows_of
from harness.testing import Check, checks, make_batch, make_data

MODULES = [contexts, covariates, declared, forecasts, invariance, kit, memory, training]
INFO = ModelInfo("mine", license="MIT", summary="for this test")


def last_seen(batch: Batch) -> F64:
    """[N], 0 where nothing was seen."""
    return np.array([next((v for v in row[::-1] if np.isfinite(v)), 0.0) for row in batch], np.float64)


class Fan:
    """The last value seen, with quantiles around it."""

    def fan(self, batch: Batch) -> F32:
        last = last_seen(batch)
        width = 1 + 1e-3 * np.abs(last)
        values = last[:, None, None] + width[:, None, None] * (batch.quantile_levels[:, None] - 0.5)  # [N, Q, 1]
        return np.repeat(values, batch.horizon, axis=2).astype(np.float32)

    def predict(self, batch: Batch) -> Forecast:
        return Forecast.from_quantiles(self.fan(batch), batch.quantile_levels)

    def finetune(self, train: Batch, budget: str, seed: int) -> Fan:
        return self


def registered(factory: Callable[..., Any], info: ModelInfo) -> Plugins:
    """The plugins of this environment and one with this model."""
    plugins, module = Plugins(), types.ModuleType("kit")
    module.register_models = hookimpl(lambda register: register(info, factory))  # type: ignore[attr-defined]
    plugins.register(module, "kit")
    return plugins


def failures(factory: Callable[..., Any], info: ModelInfo = INFO) -> dict[str, str]:
    """{check that the model fails: message}; the light import and the memory have tests of their own."""
    plugins, found = registered(factory, info), {}
    for check in checks("mine", plugins=plugins):
        if check.name in ("light_import", "memory"):
            continue
        try:
            check()
        except AssertionError as error:
            found[check.name] = str(error)
        except unittest.SkipTest:
            continue
    return found


def with_predict(change: Callable[[Fan, Batch], Any]) -> type[Fan]:
    return type("Changed", (Fan,), {"predict": change})


@pytest.mark.parametrize(
    "info",
    [
        INFO,
        replace(INFO, max_horizon=4),
        replace(INFO, max_context=10, covariates=("past",)),
        replace(INFO, multivariate=True),
        replace(INFO, modes=("zero-shot", "finetune", "few-shot", "few-shot:0.1")),
        replace(INFO, modes=("finetune",)),
        replace(INFO, modes=("zero-shot", "full")),
        replace(INFO, modes=("full",)),
    ],
)
def test_a_good_model_passes(info: ModelInfo) -> None:
    assert failures(Fan, info) == {}


def test_upside_down_quantiles_are_found() -> None:
    bad = with_predict(lambda self, batch: Forecast("quantiles", self.fan(batch)[:, ::-1].copy(), batch.quantile_levels))
    found = failures(bad)
    assert set(found) == {"crossings"}
    assert "cross in 72 of 72 steps, first in row 0; wanted rising quantiles" in found["crossings"]


def test_levels_that_fall_are_found() -> None:
    bad = with_predict(lambda self, batch: Forecast("quantiles", self.fan(batch), batch.quantile_levels[::-1].copy()))
    assert "wanted rising levels between 0 and 1" in failures(bad)["levels"]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (lambda q: q[:, :1], r"[N windows, Q, H steps]"),
        (lambda q: q[:, :, :5], "predict returned quantiles of shape"),
        (lambda q: np.where(np.arange(len(q))[:, None, None] == len(q) - 1, np.nan, q).astype(np.float32), "NaN"),
    ],
)
def test_forecasts_of_no_use_are_found(values: Callable[[F32], F32], says: str) -> None:
    found = failures(with_predict(lambda self, batch: Forecast("quantiles", values(self.fan(batch)), batch.quantile_levels)))
    assert says in found["levels"]
    assert "horizons" in found


def test_one_level_for_all_is_found() -> None:
    found = failures(with_predict(lambda self, batch: Forecast.from_quantiles(self.fan(batch)[:, :1], [0.5])))
    assert "was asked of a forecast with the one level 0.5" in found["levels"]


def test_a_fixed_horizon_is_found() -> None:
    found = failures(with_predict(lambda self, batch: Fan.predict(self, replace(batch, horizon=6))))
    assert set(found) == {"horizons", "horizon_prefix"}


def test_horizons_follow_the_declared_limit() -> None:
    def limited(self: Fan, batch: Batch) -> Forecast:
        asked.add(batch.horizon)
        if batch.horizon > 20:
            raise Unsupported("too long")
        return Fan.predict(self, batch)

    asked: set[int] = set()
    assert failures(with_predict(limited), replace(INFO, max_horizon=20)) == {}
    assert max(asked) == 20
    assert (
        "max_horizon is 30 and a horizon of 30 is unsupported: too long"
        in failures(with_predict(limited), replace(INFO, max_horizon=30))["horizons"]
    )
    assert failures(with_predict(limited)) == {}
    assert one("horizons", with_predict(limited))() == "unsupported: 50 steps"


def test_what_is_unsupported_throughout_is_skipped_and_not_ok() -> None:
    def refuses(self: Fan, batch: Batch) -> Forecast:
        raise Unsupported("train it first")

    def wants_ten(self: Fan, batch: Batch) -> Forecast:
        if (batch.contexts.lengths < 10).any():
            raise Unsupported("too short")
        return Fan.predict(self, batch)

    for name in ("horizons", "difficult_contexts"):
        with pytest.raises(unittest.SkipTest, match="mine: train it first"):
            one(name, with_predict(refuses))()
    unsupported = "unsupported: one value, two values, one missing value, shorter than the season"
    assert one("difficult_contexts", with_predict(wants_ten))() == unsupported
    assert one("difficult_contexts", Fan)() == ""


def test_dependence_on_the_batch_is_found() -> None:
    bad = with_predict(lambda self, batch: Forecast.from_quantiles(self.fan(batch) + len(batch), batch.quantile_levels))
    assert set(failures(bad)) == {"batch_invariance"}
    assert failures(bad, replace(INFO, batch_dependent=True)) == {}
    bad = with_predict(lambda self, batch: Forecast.from_quantiles(self.fan(batch) + self.fan(batch)[0], batch.quantile_levels))
    assert set(failures(bad)) == {"batch_invariance", "order_invariance"}


def test_an_unseeded_generator_is_found() -> None:
    noise = np.random.default_rng()
    bad = with_predict(lambda self, batch: Forecast.from_quantiles(self.fan(batch) + noise.normal(), batch.quantile_levels))
    assert "determinism" in failures(bad)


def test_a_changed_batch_is_found() -> None:
    def starts(self: Fan, batch: Batch) -> Forecast:
        batch.starts[:] = batch.starts[0]
        return Fan.predict(self, batch)

    def covariates(self: Fan, batch: Batch) -> Forecast:
        for covariate in batch.past_covariates:
            covariate.values[:] = 0
        return Fan.predict(self, batch)

    assert failures(with_predict(starts)) == {
        "leaves_batch_alone": "predict() changed starts of the batch that it was given; work on a copy"
    }
    assert "past_covariates[0].values" in failures(with_predict(covariates), replace(INFO, covariates=("past",)))["leaves_batch_alone"]


def test_a_difficult_context_is_named() -> None:
    bad = with_predict(lambda self, batch: Forecast.from_points(np.repeat(batch.padded(1)[0], batch.horizon, axis=1)))
    found = failures(bad, replace(INFO, output="points"))
    assert "a context that is one missing value" in found["difficult_contexts"]


def test_a_value_after_the_cutoff_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(data: TaskData, *rest: Any) -> Batch:
        shorter = replace(data.task, horizon=data.task.horizon - 1)
        return replace(cut_batch(replace(data, task=shorter, cut=data.cut + 1), *rest), horizon=data.task.horizon)

    monkeypatch.setattr("harness.specimens.cut_batch", late)
    assert "series that differ only after the cutoff give forecasts that differ" in failures(Fan)["no_future"]


def test_groups_arrive_whole() -> None:
    def across(self: Fan, batch: Batch) -> Forecast:
        names, where, count = np.unique(batch.group, return_inverse=True, return_counts=True)
        sizes.update(count.tolist())
        fan = self.fan(batch)
        total = np.zeros((len(names), *fan.shape[1:]), np.float32)
        np.add.at(total, where, fan)
        return Forecast.from_quantiles(total[where], batch.quantile_levels)

    sizes: set[int] = set()
    assert failures(with_predict(across), replace(INFO, multivariate=True)) == {}
    assert sizes == {3}
    leaks = with_predict(lambda self, batch: Forecast.from_quantiles(self.fan(batch) + self.fan(batch).mean(), batch.quantile_levels))
    assert "one item, alone and in a batch of 36" in failures(leaks, replace(INFO, multivariate=True))["multivariate"]


def test_covariates_and_limits_are_as_in_a_run() -> None:
    def look(self: Fan, batch: Batch) -> Forecast:
        counts.add((len(batch.past_covariates), len(batch.known_covariates)))
        for past in batch.past_covariates:
            assert past.lengths.tolist() == batch.contexts.lengths.tolist()
        for known in batch.known_covariates:
            assert known.lengths.tolist() == (batch.contexts.lengths + batch.horizon).tolist()
        longest.append(int(batch.contexts.lengths.max()))
        starts.update(batch.starts.tolist())
        return Fan.predict(self, batch)

    longest: list[int] = []
    starts: set[Any] = set()
    counts: set[tuple[int, int]] = set()
    info = replace(INFO, covariates=("past",), max_context=70)
    assert failures(with_predict(look), info) == {}
    assert max(longest) == 70
    assert counts == {(2, 0), (0, 0), (4, 0)}  # also a task without covariates is tried, and one of an event
    assert failures(with_predict(look), replace(INFO, covariates=("past", "known"), max_context=70)) == {}
    assert counts == {(2, 0), (0, 0), (4, 0), (2, 2), (4, 2)}
    assert len(starts) > 6  # of cut contexts, later than those of their series


class Plans(Fan):
    """The first known covariate is added to the forecast; the past ones are not looked at."""

    def fan(self, batch: Batch) -> F32:
        fan = super().fan(batch)
        for covariate in batch.known_covariates[:1]:
            fan += np.nan_to_num(np.stack([row[-batch.horizon :] for row in covariate]))[:, None]
        return fan


def test_covariates_must_be_dispensable_and_what_they_change_is_said() -> None:
    def needs(self: Fan, batch: Batch) -> Forecast:
        if not batch.past_covariates:
            raise Unsupported("no covariate to work with")
        return Fan.predict(self, batch)

    def stumbles(self: Fan, batch: Batch) -> Forecast:
        shift = sum(float(row[-1]) for covariate in batch.past_covariates for row in covariate if len(row) > 1)
        return Forecast.from_quantiles(self.fan(batch) + np.float32(shift), batch.quantile_levels)

    info = replace(INFO, covariates=("past", "known"))
    assert failures(Plans, info) == {}
    text = one("covariates", Plans, info)()
    assert re.match(r"other past ones change 0 %, other known ones change [1-9].*, other values of them in the horizon [1-9]", text)
    assert one("covariates", Plans)() == "none declared, none given"
    assert "does not run without covariates: no covariate to work with" in failures(with_predict(needs), info)["covariates"]
    assert "NaN" in failures(with_predict(stumbles), info)["covariates"]


def test_levels_must_not_depend_on_each_other() -> None:
    bad = with_predict(lambda self, batch: Forecast.from_quantiles(self.fan(batch) + len(batch.quantile_levels), batch.quantile_levels))
    found = failures(bad)
    assert set(found) == {"requested_levels"}
    assert "when 19 levels are asked for; wanted the same" in found["requested_levels"]
    assert one("requested_levels", Fan)() == "the same bits"


def test_a_long_forecast_begins_as_the_short_one() -> None:
    bad = with_predict(lambda self, batch: Forecast.from_quantiles(self.fan(batch) + batch.horizon, batch.quantile_levels))
    found = failures(bad)
    assert set(found) == {"horizon_prefix"}
    assert "a forecast of 1 steps differs from the first 1 of 150 by up to" in found["horizon_prefix"]
    assert failures(bad, replace(INFO, exceptions={"horizon_prefix": "another network for each horizon"})) == {}
    rounds = with_predict(lambda self, batch: Forecast.from_quantiles(self.fan(batch) * (1 + 1e-8 * batch.horizon), batch.quantile_levels))
    assert "the first 1 of 150 steps differ by 0.00" in one("horizon_prefix", rounds)()
    assert one("horizon_prefix", Fan)() == "the first 1, 24, 100 of 150 steps: the same bits"
    assert one("horizon_prefix", Fan, replace(INFO, max_horizon=30))() == "the first 1, 24 of 30 steps: the same bits"
    with pytest.raises(unittest.SkipTest, match="its longest horizon is 1"):
        one("horizon_prefix", Fan, replace(INFO, max_horizon=1))()


def test_sample_paths_may_be_other_draws_for_another_horizon() -> None:
    def drawn(self: Fan, batch: Batch) -> Forecast:
        samples = [np.random.default_rng(seed).normal(size=(50, batch.horizon)) for seed in batch.seeds]
        return Forecast.from_samples(last_seen(batch)[:, None, None] + np.array(samples))

    info = replace(INFO, output="samples")
    assert failures(with_predict(drawn), info) == {}
    assert "of 150 steps differ by" in one("horizon_prefix", with_predict(drawn), info)()


def test_long_contexts_are_tried() -> None:
    def short(self: Fan, batch: Batch) -> Forecast:
        longest = int(batch.contexts.lengths.max())
        if longest > 8000:
            raise kind(f"{longest} are too many")
        return Fan.predict(self, batch)

    kind: type[Exception] = RuntimeError
    assert "a context of 20000 steps: RuntimeError: 20000 are too many" in failures(with_predict(short))["long_context"]
    assert "a context of 9000 steps" in failures(with_predict(short), replace(INFO, max_context=9000))["long_context"]
    assert failures(with_predict(short), replace(INFO, max_context=7000)) == {}
    assert one("long_context", Fan, replace(INFO, max_context=7000))().startswith("7000 steps in ")
    kind = Unsupported
    with pytest.raises(unittest.SkipTest, match="a context of 20000 steps: 20000 are too many"):
        one("long_context", with_predict(short))()


def test_another_unit_is_reported_and_not_judged() -> None:
    class Plain(Fan):
        def fan(self, batch: Batch) -> F32:
            return np.tile(last_seen(batch)[:, None, None], (1, len(batch.quantile_levels), batch.horizon)).astype(np.float32)

    class Clips(Plain):
        def fan(self, batch: Batch) -> F32:
            return np.minimum(super().fan(batch), np.float32(100))

    exact = "1024 times as large: 0 %, 1024 times as small: 0 %, 1024 higher: 0.00[0-9]+ % of the series' standard deviation"
    assert re.fullmatch(exact, one("affine", Plain)())  # a value of 1074 has 10 bits behind the point
    clipped = re.findall(r": ([0-9.e+]+) %", one("affine", Clips)())
    assert [float(number) > 100 for number in clipped] == [True, False, True]


def test_a_model_that_keeps_its_batches_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[Any] = []

    def keeps(self: Fan, batch: Batch) -> Forecast:
        kept.append((batch, np.ones(1 << 17)))  # 1 MiB: seen however few forecasts a busy machine makes
        return Fan.predict(self, batch)

    def keeps_the_newest(self: Fan, batch: Batch) -> Forecast:
        kept[:] = [np.ones(20 << 20)]
        return Fan.predict(self, batch)

    monkeypatch.setattr(memory, "ROUND_S", 1.0)
    monkeypatch.setattr(memory, "MOST", 20)
    np.ones(3 << 20)  # from here on the C library takes arrays of up to 24 MiB from its heap,
    pieces = [np.ones(1 << 18) for _ in range(400)]
    del pieces[::2]  # in which 400 MiB are free: what is kept must not hide there
    with pytest.raises(AssertionError, match=r"the memory grew in each of 5 rounds, \+[0-9.]+ MiB over [0-9]+ forecasts, [0-9]+ kB each"):
        one("memory", with_predict(keeps))()
    kept.clear()
    for good in (with_predict(keeps_the_newest), Fan):
        assert re.fullmatch(r"[+-][0-9.]+ MiB over [0-9]+ forecasts", one("memory", good)())


class Learns(Fan):
    shift = 0.0

    def predict(self, batch: Batch) -> Forecast:
        return Forecast.from_quantiles(self.fan(batch) + self.shift, batch.quantile_levels)


def test_training_is_checked() -> None:
    class Good(Learns):
        def finetune(self, train: Batch, budget: str, seed: int) -> Fan:
            assert len(train) == 6
            self.shift = float(np.nanmean(train.contexts.values))
            return self

    class Global(Learns):
        def finetune(self, train: Batch, budget: str, seed: int) -> Fan:
            Global.shift += 1
            return self

    class Returns(Learns):
        def finetune(self, train: Batch, budget: str, seed: int) -> Any:
            return self.shift

    class Cannot:
        predict = Fan.predict
        fan = Fan.fan

    info = replace(INFO, modes=("zero-shot", "finetune"))
    assert failures(Good, info) == {}
    assert "two trainings with mode 'finetune' and one seed give forecasts that differ" in failures(Global, info)["finetune"]
    assert "declares the mode 'finetune' and cannot be trained on ordinary series" in failures(Cannot, info)["finetune"]
    assert "finetune" not in failures(Cannot)
    assert "the factory returned a float; wanted an object with a method predict(batch)" in failures(Returns, info)["finetune"]


class Adapts(Fan):
    """In mode "ttt" the median is shifted by the mean of each window's own context."""

    mode = "zero-shot"
    shift = 0.0

    def fan(self, batch: Batch) -> F32:
        means = np.array([np.nan_to_num(np.nanmean(row)) if np.isfinite(row).any() else 0.0 for row in batch], np.float32)
        adapted = means if self.mode == "ttt" else np.zeros(len(means), np.float32)
        return super().fan(batch) + adapted[:, None, None] + np.float32(self.shift)

    def finetune(self, train: Batch, budget: str, seed: int, mode: str = "finetune") -> Adapts:
        assert (len(train) == 0) == (mode == "ttt")
        assert (train.horizon, train.freq, len(train.quantile_levels)) == (6, "H", 9)
        self.mode, self.shift = mode, 3.0 if mode == "full" else 0.0
        return self


TTT = replace(INFO, modes=("zero-shot", "finetune", "full", "ttt"))


def test_a_model_that_adapts_passes() -> None:
    assert failures(Adapts, TTT) == {}
    assert failures(Adapts, replace(INFO, modes=("ttt",))) == {}
    assert failures(Adapts, replace(TTT, multivariate=True, covariates=("past",), max_context=30)) == {}


def test_adapting_is_checked() -> None:
    class Remembers(Adapts):
        """What it adapted to stays for the windows that follow."""

        def predict(self, batch: Batch) -> Forecast:
            values = self.fan(batch) + np.float32(self.shift)
            self.shift += 1.0 if self.mode == "ttt" else 0.0
            return Forecast.from_quantiles(values, batch.quantile_levels)

    class Neighbours(Adapts):
        """It adapts to the whole batch."""

        def fan(self, batch: Batch) -> F32:
            return Fan.fan(self, batch) + np.float32(np.nanmean(batch.contexts.values) if self.mode == "ttt" else 0.0)

    class Nothing(Adapts):
        def fan(self, batch: Batch) -> F32:
            return Fan.fan(self, batch)

    class Only(Adapts):
        """It adapts to long contexts alone, which is as good."""

        def fan(self, batch: Batch) -> F32:
            far = (batch.contexts.lengths > 2000) & (self.mode == "ttt")
            return Fan.fan(self, batch) + far.astype(np.float32)[:, None, None]

    class Leaks(Adapts):
        """The zero-shot model is not what it was."""

        def finetune(self, train: Batch, budget: str, seed: int, mode: str = "finetune") -> Adapts:
            Leaks.shift += 1.0 if mode == "ttt" else 0.0
            return Adapts()

    said = {
        kind.__name__: failures(kind, replace(INFO, modes=("zero-shot", "ttt"))) for kind in (Remembers, Neighbours, Nothing, Only, Leaks)
    }
    assert "the same batch, twice in mode 'ttt', where nothing may stay of a window" in said["Remembers"]["finetune"]
    assert "in mode 'ttt', windows [0] alone and in a batch of 12 give forecasts that differ" in said["Neighbours"]["finetune"]
    assert set(said["Nothing"]) == {"finetune"}
    assert "forecasts as zero-shot does, to the bit, also a context of 2048 steps" in said["Nothing"]["finetune"]
    assert said["Only"] == {}
    assert "finetune" in said["Leaks"]
    assert failures(Neighbours, replace(INFO, modes=("zero-shot", "ttt"), batch_dependent=True)) == {}


def test_full_and_finetune_must_be_told_apart() -> None:
    both = replace(INFO, modes=("zero-shot", "few-shot", "full"))
    assert "cannot tell 'full', which starts untrained, from the others; give it an argument" in failures(Fan, both)["finetune"]
    assert failures(Adapts, both) == {}
    plugins, module = Plugins(), types.ModuleType("kit")
    module.register_models = hookimpl(lambda register: register(both, Fan))  # type: ignore[attr-defined]
    module.finetune = hookimpl(lambda model, mode: model)  # type: ignore[attr-defined]
    plugins.register(module, "kit")
    (check,) = [check for check in checks("mine", plugins=plugins) if check.name == "finetune"]
    check()


class Keeps(Fan):
    """A level that is learnt, saved, and read again."""

    end = "bin"

    def __init__(self, weights: str = "") -> None:
        self.level = float(next(Path(weights).iterdir()).read_text()) if weights else 0.0

    def fan(self, batch: Batch) -> F32:
        return super().fan(batch) + np.float32(self.level)

    def finetune(self, train: Batch, budget: str, seed: int) -> Fan:
        self.level = float(np.nanmean(train.contexts.values))
        return self

    def save(self, folder: Path) -> None:
        (folder / f"level.{self.end}").write_text(repr(self.level))


def test_saving_is_checked() -> None:
    class Rounds(Keeps):
        def save(self, folder: Path) -> None:
            (folder / "level.bin").write_text(f"{self.level:.1f}")

    class Changes(Keeps):
        def save(self, folder: Path) -> None:
            super().save(folder)
            self.level = 0.0

    class Raises(Keeps):
        def save(self, folder: Path) -> None:
            raise ValueError("no room")

    class NoParameter(Keeps):
        def __init__(self) -> None:
            super().__init__()

    info = replace(INFO, modes=("zero-shot", "few-shot"))
    named = type("Named", (Keeps,), {"end": "txt"})
    assert failures(Keeps, info) == {}
    assert failures(Keeps, replace(INFO, modes=("full",))) == {}
    said = {kind.__name__: failures(kind, info)["save"] for kind in (Rounds, Changes, Raises, NoParameter, named)}
    assert "the trained model, and the one made with what it saved as weights give forecasts that differ" in said["Rounds"]
    assert "the trained model before and after it was saved give forecasts that differ" in said["Changes"]
    assert "could not be saved: save(folder) raised ValueError: no room" in said["Raises"]
    assert "its factory takes no parameter 'weights'" in said["NoParameter"]
    assert "wrote no file that ends in one of .safetensors" in said["Named"]
    # Where there is nothing to save, the check is skipped, and it is not there for models without training.
    (check,) = [check for check in checks("mine", plugins=registered(Fan, info)) if check.name == "save"]
    with pytest.raises(unittest.SkipTest, match=r"the trained model has no method save\(folder\)"):
        check()
    assert "save" not in {check.name for check in checks("mine", plugins=registered(Fan, replace(INFO, modes=("zero-shot", "ttt"))))}


@pytest.mark.parametrize(
    ("info", "says"),
    [
        (ModelInfo("mine", summary="x"), "ModelInfo.license is empty"),
        (ModelInfo("mine", license="MIT"), "ModelInfo.summary is empty"),
        (replace(INFO, modes=()), "ModelInfo.modes is empty"),
        (replace(INFO, modes=("zero-shot", "zeroshot")), "ModelInfo.modes holds 'zeroshot'; wanted zero-shot, finetune"),
        (replace(INFO, modes=("zero-shot", "few-shot:2")), "ModelInfo.modes holds 'few-shot:2'"),
        (replace(INFO, covariates=("past", "static")), "ModelInfo.covariates holds 'static'; wanted past or known"),
        (replace(INFO, output="numbers"), "ModelInfo.output is 'numbers'; wanted 'quantiles'"),
        (replace(INFO, output="points"), "ModelInfo.output is 'points' and predict returned quantiles"),
    ],
)
def test_the_card_is_checked(info: ModelInfo, says: str) -> None:
    plugins = registered(Fan, info)
    (card,) = [check for check in checks("mine", plugins=plugins) if check.name == "card"]
    with pytest.raises(AssertionError, match=says):
        card()


def one(name: str, factory: Callable[..., Any], info: ModelInfo = INFO) -> Check:
    """One check of a model made here."""
    (check,) = [check for check in checks("mine", plugins=registered(factory, info)) if check.name == name]
    return check


def test_a_declared_exception_is_skipped_with_its_reason() -> None:
    upside_down = with_predict(lambda self, batch: Forecast("quantiles", self.fan(batch)[:, ::-1].copy(), batch.quantile_levels))
    declared = replace(INFO, exceptions={"crossings": "its levels are learnt one by one"})
    assert one("crossings", upside_down, declared).reason == "its levels are learnt one by one"
    with pytest.raises(unittest.SkipTest, match="its levels are learnt one by one"):
        one("crossings", upside_down, declared)()
    assert failures(upside_down, declared) == {}


def test_exceptions_are_read_by_the_card() -> None:
    for exceptions, says in (
        ({"crossing": "x"}, "names 'crossing', and there is no such check. Did you mean 'crossings'?"),
        ({"crossings": " "}, "has no reason for 'crossings'; say in a sentence"),
        ({"card": "no time"}, "names 'card', which is the check that reads the exceptions"),
    ):
        info = replace(INFO, exceptions=exceptions)
        assert one("card", Fan, info).reason == ""
        assert says in failures(Fan, info)["card"]


def test_a_model_that_is_not_there_fails_its_checks() -> None:
    assert {c.name for c in checks("no such model")} == set(CHECKS)
    with pytest.raises(UsageError, match="there is no model 'no such model'"):
        checks("no such model")[0]()


LIGHT = """
import sys
sys.path.insert(0, "site")
import harness.testing as kit
(check,) = [c for c in kit.checks("mine") if c.name == "light_import"]
try:
    check()
except AssertionError as error:
    print("failed:", error)
else:
    print("passed")
"""
MODEL = """
class Plugin:
    @hookimpl
    def register_models(self, register):
        register(ModelInfo("mine"), object)

plugin = Plugin()
print("noise")
"""
ENDLESS = """
register_models = hookimpl(lambda register: register(ModelInfo("mine"), object))
import sys, time
if sys.argv[0] == "-c" and len(sys.argv) == 4:  # as the check starts it
    time.sleep(60)
"""


@pytest.mark.parametrize("heavy", ["", "import pandas\n"])
def test_light_import_of_an_object(lab: Lab, heavy: str) -> None:
    lab.plugin("objected", heavy + MODEL, entry="objected:plugin")
    out = lab.python(LIGHT).expect(0).out
    assert out.strip() == ("failed: registering mine imports pandas; import it in the model's __init__ or predict" if heavy else "passed")


@pytest.mark.parametrize("heavy", ["", "import pandas\n"])
def test_light_import_of_a_package(lab: Lab, heavy: str) -> None:
    lab.plugin("packed", "", entry="packed.inner.plugin")
    (lab.site / "packed.py").unlink()
    inner = lab.site / "packed" / "inner"
    inner.mkdir(parents=True)
    (lab.site / "packed" / "__init__.py").write_text(heavy)
    (inner / "__init__.py").write_text("")
    (inner / "plugin.py").write_text(HEADER + "@hookimpl\ndef register_models(register):\n    register(ModelInfo('mine'), object)\n")
    assert lab.python(LIGHT).expect(0).out.startswith("failed: registering mine imports pandas" if heavy else "passed")


def test_an_import_without_an_end_is_ended(lab: Lab) -> None:
    lab.plugin("endless", MODEL.replace('print("noise")', ""))
    (lab.site / "endless.py").write_text((lab.site / "endless.py").read_text() + ENDLESS)
    out = (
        lab.python(LIGHT.replace("try:", "import harness.conformance.declared as declared; declared.LONGEST = 2.0\ntry:", 1)).expect(0).out
    )
    assert out.strip() == "failed: importing and registering plugin 'endless' took longer than 2 s and was ended; do the work in __init__"


@pytest.mark.parametrize("module", [*MODULES, harness.specimens, harness.testing], ids=lambda module: module.__name__)
def test_no_check_is_left_out_by_python_with_optimisation(module: types.ModuleType) -> None:
    tree = ast.parse(inspect.getsource(module))
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)] == []


def test_a_module_registered_by_hand_has_no_import_to_look_at() -> None:
    with pytest.raises(unittest.SkipTest, match="registered by hand"):
        one("light_import", Fan)()
    (check,) = [check for check in checks("naive") if check.name == "light_import"]
    assert re.fullmatch(r"registering takes [0-9]+ ms and imports [0-9]+ modules beside the harness", check())


def test_made_data() -> None:
    data = make_data(items=3, horizon=5, windows=2, variates=2, longest=100)
    assert (len(data), data.windows, data.task.variates) == (12, 2, 2)
    assert data.cut[-2:].tolist() == [100, 105]
    batch = make_batch(n=4, horizon=3, levels=[0.5])
    assert (len(batch), batch.horizon, batch.quantile_levels.tolist()) == (4, 3, [0.5])


def test_rows_of_a_batch_carry_everything() -> None:
    batch = cut_batch(make_data(), 0, 12, ModelInfo("x", covariates=("past", "known")), 0)
    rows: Sequence[int] = [7, 2]
    part = rows_of(batch, rows)
    for k, row in enumerate(rows):
        np.testing.assert_array_equal(part.contexts[k], batch.contexts[row])
        for ours, theirs in zip(part.past_covariates, batch.past_covariates, strict=True):
            np.testing.assert_array_equal(ours[k], theirs[row])
    assert part.window_ids.tolist() == batch.window_ids[rows].tolist()
    assert (len(part.past_covariates), len(part.known_covariates)) == (2, 2)
    shorter = at_horizon(part, 2)
    assert shorter.horizon == 2
    for ours, theirs in zip(shorter.known_covariates, part.known_covariates, strict=True):
        assert ours.lengths.tolist() == (part.contexts.lengths + 2).tolist()
        np.testing.assert_array_equal(ours[1], theirs[1][: len(ours[1])])


def test_every_check_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "plugins.md").read_text(encoding="utf-8")
    section = page[page.index("### Checks") : page.index("### Trying it")]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    assert [name for row in rows for name in re.findall(r"`(\w+)`", row)] == list(CHECKS)
