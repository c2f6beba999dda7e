"""`Forecast.fallback`: what a model says of forecasts that are not its own, from its constructor to the database, and `Batch.domain`."""

from __future__ import annotations

import json
import types
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support import Lab

from harness import Batch, Forecast, ModelInfo, evaluate, hookimpl, scoring
from harness.batches import cut_batch, ids_of, training_batch
from harness.errors import ForecastError
from harness.forecast import F32
from harness.identity import make_cell
from harness.plugins import Plugins
from harness.quantiles import check
from harness.specimens import make_data
from harness.testing import checks
from harness.wire import Region, read_batch, read_forecast, write_batch, write_forecast

TASK = "bizitobs_l2c/H/short"
MAKERS: dict[str, Callable[[Any], Forecast]] = {
    "from_points": lambda share: Forecast.from_points(np.ones((3, 2)), fallback=share),
    "from_quantiles": lambda share: Forecast.from_quantiles(np.ones((3, 2, 2)), [0.9, 0.1], fallback=share),
    "from_samples": lambda share: Forecast.from_samples(np.ones((3, 4, 2)), fallback=share),
    "from_probabilities": lambda share: Forecast.from_probabilities([0.1, 0.2, 0.3], fallback=share),
}


@pytest.mark.parametrize("name", MAKERS)
def test_a_forecast_says_how_much_of_it_is_not_the_models_own(name: str) -> None:
    make = MAKERS[name]
    assert make(None).fallback is None
    for share in ([0, 0.25, 1], np.array([0.0, 0.25, 1.0])):
        kept = make(share).fallback
        assert kept is not None and kept.dtype == np.float32
        assert kept.tolist() == [0.0, 0.25, 1.0]
    assert check(make([True, False, True]), 3, 2).fallback is not None
    with pytest.raises(ForecastError, match=rf"{name} got a fallback of shape \(2,\); wanted \(3,\): one share for each window"):
        make([0, 1])
    with pytest.raises(ForecastError, match=rf"{name} got a fallback of 1.5 \(2 of 3 like it\); wanted shares from 0 to 1"):
        make([0, 1.5, -1])
    with pytest.raises(ForecastError, match=rf"{name} got a fallback of NaN \(1 of 3"):
        make([0, np.nan, 1])
    with pytest.raises(ForecastError, match=rf"{name} got an array of shape \(3, 1\); wanted \[N\] for fallback"):
        make([[0], [0], [1]])
    with pytest.raises(ForecastError, match=rf"{name} could not read str as numbers"):
        make("none")


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([0.0, 1.0, 1.0], "a fallback that is a list; wanted an array"),
        (np.zeros(3), r"a fallback of shape \(3,\) and float64; wanted \(3,\) and float32"),
        (np.zeros((3, 1), np.float32), r"a fallback of shape \(3, 1\)"),
        (np.array([0, 0, 2], np.float32), r"a fallback of 2 for window 2 of the batch \(1 of 3 like it\)"),
        (np.array([0, np.nan, 0], np.float32), "a fallback of nan for window 1"),
    ],
)
def test_a_share_made_by_hand_is_checked(wrong: Any, said: str) -> None:
    for made in (MAKERS["from_points"], MAKERS["from_probabilities"]):
        with pytest.raises(ForecastError, match=f"predict returned {said}.*fallback=shares"):
            check(replace(made(None), fallback=wrong), 3, 2)


def test_it_travels_to_the_parent_and_an_older_worker_sends_none() -> None:
    region = Region()
    values, mean, none = np.zeros((3, 2, 4), np.float32), np.zeros((3, 4), np.float32), np.zeros(3, np.int32)
    share = np.array([0, 0.5, 1], np.float32)
    _, _, facts = read_forecast(region, write_forecast(region, values, mean, none, None, None, share))
    assert facts["fallback"].tolist() == [0, 0.5, 1]
    assert facts["probability"] is None
    _, _, facts = read_forecast(region, write_forecast(region, values, mean, none, None, np.ones(3)))
    assert facts["fallback"] is None
    assert facts["probability"].tolist() == [1, 1, 1]
    region.close()


def test_a_batch_says_what_its_data_is() -> None:
    data = make_data()
    data = replace(data, task=replace(data.task, dataset="births", domain="Healthcare"))
    info = ModelInfo("mine", modes=("zero-shot", "finetune"))
    for batch in (cut_batch(data, 1, 3, info, 0), training_batch(data, info, "finetune", 0)):
        assert (batch.dataset, batch.domain) == ("births", "Healthcare")
        region = Region()
        header = json.loads(json.dumps(write_batch(region, batch)))
        there = read_batch(region, header)
        assert (there.dataset, there.domain) == ("births", "Healthcare")
        del header["dataset"], header["domain"]  # as a parent with an older core writes it
        there = read_batch(region, header)
        assert (there.dataset, there.domain) == ("", "")
        region.close()
    plain = Batch.from_contexts([[1.0, 2.0]], 3)
    assert (plain.dataset, plain.domain) == ("", "")
    told = Batch.from_contexts([[1.0, 2.0]], 3, dataset="births", domain="Healthcare")
    assert (told.dataset, told.domain) == ("births", "Healthcare")


def test_what_a_model_is_told_is_part_of_a_results_identity() -> None:
    plugins, task = Plugins(), make_data().task
    naive = plugins.model("naive")
    ids = {
        make_cell(plugins, each, "data", naive, {}, mode="zero-shot", budget="", seed=0, scope="").id
        for each in (task, replace(task, domain="Energy"), replace(task, dataset="other"))
    }
    assert len(ids) == 3


class Stumbles:
    """The last value, and one more where the window is not one of every third, at which it stumbles."""

    def predict(self, batch: Batch) -> Forecast:
        bad = batch.window_ids % 3 == 0
        last = np.nan_to_num(batch.padded(1)[0])
        share = bad * np.float32(0.5)
        return Forecast.from_points(np.repeat(last + ~bad[:, None], batch.horizon, axis=1), fallback=share if bad.any() else None)


def bad_ones(task: str, windows: Any) -> list[bool]:
    """Which of these windows are every third, from their numbers."""
    return [bool(number % 3 == 0) for number in ids_of(task, np.asarray(windows, np.int64))]


@pytest.mark.parametrize("size", [1, 4, None])
def test_shares_are_kept_over_blocks_and_batches(size: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scoring, "BLOCK", 5)
    made = evaluate(Stumbles(), TASK, batch_size=size).windows
    wanted = bad_ones(TASK, made["window"].to_numpy())
    assert made["fallback"].to_pylist() == [0.5 * bad for bad in wanted]
    assert 5 < sum(wanted) < len(wanted) - 5
    assert set(evaluate("naive", TASK).windows["fallback"].to_pylist()) == {0.0}


PLUGIN = """
from dataclasses import replace

class Stumbles:
    def __init__(self):
        self.notes = {}

    def predict(self, batch):
        self.notes["told"] = f"{batch.dataset}, {batch.domain}"
        bad = batch.window_ids % 3 == 0
        return Forecast.from_points(last(batch) + ~bad[:, None], fallback=bad if bad.any() else None)

@hookimpl(wrapper=True)
def predict(model, batch):
    forecast = yield
    return replace(forecast, mean=None)

@hookimpl
def register_models(register):
    register(ModelInfo("stumbles"), Stumbles)
"""


def test_shares_do_not_depend_on_how_they_were_computed(lab: Lab) -> None:
    lab.plugin("mine", PLUGIN)
    ways = {"auto": [], "b1": ["-b", "1", "-j", "2"], "inprocess": ["-b", "7", "--isolation", "inprocess"]}
    common = ["run", "-m", "stumbles,naive", "-t", f"us_births/M/short,{TASK}", "--progress", "none"]
    said = lab.many([[*common, "--db", f"{way}.duckdb", *options] for way, options in ways.items()])
    assert [answer.code for answer in said] == [0] * len(ways), said
    found = {way: lab.tables(lab.folder / f"{way}.duckdb") for way in ways}
    for way in ways:
        assert repr(found[way]) == repr(found["auto"]), way
    sql = "SELECT model, task, list(w.fallback ORDER BY w.window), list(w.window ORDER BY w.window), any_value(c.fallback) FROM cells c "
    for model, task, shares, windows, mean in lab.query(sql + "JOIN windows w USING (result_id) GROUP BY ALL", lab.folder / "b1.duckdb"):
        wanted = bad_ones(task, windows) if model == "stumbles" else [False] * len(windows)
        assert shares == wanted, (model, task)
        assert mean == sum(wanted) / len(wanted)
    db = lab.folder / "auto.duckdb"
    ((told,),) = lab.query(f"SELECT receipt->>'$.notes.told' FROM cells WHERE model = 'stumbles' AND task = '{TASK}'", db)
    assert told == "bizitobs_l2c, Web/CloudOps"
    ((cell,), (plain,)) = lab.query(f"SELECT cell_id FROM cells WHERE task = '{TASK}' ORDER BY model DESC", db)
    task, one, other = lab.many([["show", name, "--db", "auto.duckdb"] for name in (TASK, cell, plain)])
    share = sum(bad_ones(TASK, range(42))) / 42
    task.expect(0, f"{100 * share:.1f}%", "fallback: share of the forecasts that is not the model's own")
    one.expect(0, f"fallback {share:.4g}")
    assert "fallback" not in other.expect(0).out


def registered(factory: Callable[[], Any]) -> Plugins:
    plugins, module = Plugins(), types.ModuleType("kit")
    info = ModelInfo("mine", license="MIT", summary="for this test", output="points")
    module.register_models = hookimpl(lambda register: register(info, factory))  # type: ignore[attr-defined]
    plugins.register(module, "kit")
    return plugins


class Neighbours(Stumbles):
    """What it says of a window depends on how many there are."""

    def predict(self, batch: Batch) -> Forecast:
        share: F32 = np.full(len(batch), 1 / len(batch), np.float32)
        return replace(super().predict(batch), fallback=share)


def test_the_conformance_kit_looks_at_the_shares() -> None:
    def invariance(factory: Callable[[], Any]) -> Callable[[], str]:
        (found,) = [c for c in checks("mine", plugins=registered(factory)) if c.name == "batch_invariance"]
        return found

    invariance(Stumbles)()
    with pytest.raises(AssertionError, match=r"Forecast.fallback is \[1.0\] of windows \[0\] alone and \[0.08.* draw from batch.seeds"):
        invariance(Neighbours)()
