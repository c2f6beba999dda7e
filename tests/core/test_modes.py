"""Modes with training: what a model is told in each, what it is given, and that a mode that it does not declare is skipped."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from support import Lab

from harness import Batch, ModelInfo, UsageError
from harness.batches import training_batch
from harness.defaults import takes_mode
from harness.selection import learns, parse_modes
from harness.testing import make_data
from harness.wire import Region, read_batch, write_batch

TASK = "us_births/M/short"
TOLD = """
import json

class Told:
    mode = ""
    def predict(self, batch): return Forecast.from_points(last(batch) + len(self.mode))
    def finetune(self, train, budget, seed, mode):
        self.mode = mode
        kept = [len(train), int(train.contexts.lengths.sum()), train.horizon, train.freq, train.season_length, len(train.quantile_levels)]
        open("told.jsonl", "a").write(json.dumps([mode, budget, seed, kept, [len(p) for p in train.past_covariates]]) + "\\n")
        return self

@hookimpl
def register_models(register):
    register(ModelInfo("told", modes=("zero-shot", "finetune", "few-shot", "full", "ttt"), covariates=("past",)), Told)
    register(ModelInfo("some", modes=("zero-shot", "full")), Told)
"""


def told(lab: Lab) -> dict[str, list[Any]]:
    lines = [json.loads(line) for line in (lab.folder / "told.jsonl").read_text().splitlines()]
    return {mode: rest for mode, *rest in lines}


def test_modes_are_read() -> None:
    assert parse_modes("full,ttt,zero-shot,full,few-shot:0.1") == ["full", "ttt", "zero-shot", "few-shot:0.1"]
    with pytest.raises(UsageError, match=r"got --mode tt; wanted zero-shot, finetune, full, ttt or few-shot:SHARE.* Did you mean 'ttt'\?"):
        parse_modes(["tt"])
    with pytest.raises(UsageError, match=r"got --mode full:0\.5"):
        parse_modes("full:0.5")
    assert [learns(mode) for mode in ("zero-shot", "finetune", "few-shot:0.1", "full", "ttt")] == [False, True, True, True, False]


def test_the_budget_of_a_training_is_no_part_of_a_forecast_without_one(lab: Lab) -> None:
    lab.plugin("told", TOLD)
    cells = {c["mode"]: c for c in lab.models("told", "--mode", "zero-shot,full", "--budget", "9steps").expect(0).json()["cells"]}
    again = {c["mode"]: c for c in lab.models("told", "--mode", "zero-shot,full", "--budget", "8steps").expect(0).json()["cells"]}
    assert cells["zero-shot"]["id"] == again["zero-shot"]["id"]
    assert cells["full"]["id"] != again["full"]["id"]


@pytest.mark.parametrize("isolation", ["process", "inprocess"])
def test_a_model_is_told_its_mode(lab: Lab, isolation: str) -> None:
    lab.plugin("told", TOLD)
    every = ("--mode", "zero-shot,finetune,few-shot:0.5,full,ttt", "--budget", "9steps", "--seed", "3", "--isolation", isolation)
    cells = {c["mode"]: c for c in lab.models("told", *every).expect(0).json()["cells"]}
    assert len({c["id"] for c in cells.values()}) == len({c["scores"]["MAE[0.5]"] for c in cells.values()}) == 5
    heard = told(lab)
    assert set(heard) == {"finetune", "few-shot:0.5", "full", "ttt"}
    whole = heard["finetune"][2]
    assert heard["full"] == heard["finetune"] == ["9steps", 3, [1, whole[1], 12, "M", 12, 9], []]
    assert heard["few-shot:0.5"][2][1] == (whole[1] + 1) // 2
    assert heard["ttt"] == ["9steps", 3, [0, 0, 12, "M", 12, 9], []]
    assert all(c["cached"] for c in lab.models("told", *every).expect(0).json()["cells"])
    lab.run("replay", cells["ttt"]["id"], "--json").expect(0)


def test_a_mode_that_is_not_declared_is_skipped(lab: Lab) -> None:
    lab.plugin("told", TOLD)
    done = lab.models("some", "--mode", "full,ttt,finetune").expect(0)
    found = {c["mode"]: (c["status"], c["reason"]) for c in done.json()["cells"]}
    assert found["full"] == ("ok", "")
    assert found["ttt"] == ("skipped", "some has no mode 'ttt'; it has zero-shot, full")
    assert found["finetune"][0] == "skipped"
    assert set(told(lab)) == {"full"}


METHODS = {
    "three": ("(self, train, budget, seed)", "missing"),
    "four": ("(self, train, budget, seed, mode)", "full"),
    "default": ("(self, train, budget, seed, mode='finetune')", "full"),
    "named": ("(self, train, budget, seed, *, mode)", "full"),
    "options": ("(self, train, budget, seed, **options)", "full"),
}


def test_models_and_hooks_with_fewer_arguments_work(lab: Lab) -> None:
    classes = [
        f"class {name}(Base):\n    def finetune{arguments}:\n        found = locals()\n"
        "        self.mode = found.get('mode', found.get('options', {}).get('mode', 'missing'))\n        return self\n"
        for name, (arguments, _) in METHODS.items()
    ]
    models = "\n".join(f"    register(ModelInfo({name!r}, modes=('zero-shot', 'full')), {name})" for name in METHODS)
    lab.plugin(
        "mine",
        "class Base:\n    mode = ''\n    def predict(self, batch):\n        self.notes = {'mode': self.mode}\n"
        "        return Forecast.from_points(last(batch))\n"
        + "".join(classes)
        + "@hookimpl\ndef register_models(register):\n"
        + models
        + "\n",
    )
    # Of two wrappers, one was written before there was a mode.
    lab.plugin("old", "@hookimpl(wrapper=True)\ndef finetune(model, train, budget, seed):\n    return (yield)\n")
    lab.plugin("new", "@hookimpl(wrapper=True)\ndef finetune(model, mode):\n    print('told', mode)\n    return (yield)\n")
    lab.models(",".join(METHODS), "--mode", "full").expect(0)
    sql = "SELECT model, json_extract_string(receipt, '$.notes.mode') FROM cells ORDER BY model"
    assert dict(lab.query(sql)) == {name: mode for name, (_, mode) in METHODS.items()}


@pytest.mark.parametrize(
    ("method", "takes"),
    [
        (lambda train, budget, seed, mode: 0, True),
        (lambda train, budget, seed, *, mode="": 0, True),
        (lambda train, **rest: 0, True),
        (lambda train, budget, seed: 0, False),
        (lambda *everything: 0, False),
        (lambda mode, /: 0, False),
        (np.frombuffer, False),
    ],
)
def test_mode_is_passed_to_methods_that_take_it(method: Callable[..., Any], takes: bool) -> None:
    assert takes_mode(method) is takes


@pytest.mark.parametrize("variates", [1, 3])
@pytest.mark.parametrize("covariates", [(), ("past",)])
def test_a_batch_without_windows_travels(variates: int, covariates: tuple[str, ...]) -> None:
    data = make_data(variates=variates, horizon=5, levels=[0.2, 0.5])
    sent = training_batch(data, ModelInfo("x", covariates=covariates), "ttt", 0)
    region = Region()
    # A full batch before and after: nothing of it shows, and nothing is spoilt.
    whole = training_batch(data, ModelInfo("x", covariates=covariates), "full", 0)
    write_batch(region, whole)
    got = read_batch(region, write_batch(region, sent))
    again = read_batch(region, write_batch(region, whole))
    region.close()
    for batch in (sent, got):
        assert (len(batch), batch.contexts.values.size, batch.contexts.offsets.tolist()) == (0, 0, [0])
        assert [len(past) for past in batch.past_covariates] == [0] * 2 * len(covariates)
        assert (batch.horizon, batch.freq, batch.season_length, batch.quantile_levels.tolist()) == (5, "H", 4, [0.2, 0.5])
        assert all(len(array) == 0 for array in (batch.starts, batch.group, batch.window_ids, batch.seeds))
        assert batch.padded()[0].shape == (0, 0)
        assert list(batch) == []
    assert len(again) == 6 * variates
    np.testing.assert_array_equal(again.contexts.values, whole.contexts.values)
    types = [array.dtype for array in (got.starts, got.group, got.window_ids, got.seeds, got.contexts.values)]
    assert types == [array.dtype for array in (whole.starts, whole.group, whole.window_ids, whole.seeds, whole.contexts.values)]


def test_full_is_given_what_finetune_is() -> None:
    data, info = make_data(windows=3), ModelInfo("x")
    full, tuned = (training_batch(data, info, mode, 0) for mode in ("full", "finetune"))
    for batch in (full, tuned):
        assert isinstance(batch, Batch)
        assert batch.contexts.lengths.tolist() == data.cut[data.slot == 0].tolist()
    np.testing.assert_array_equal(full.contexts.values, tuned.contexts.values)


PICKY = """
from harness import UsageError
from harness.budget import parse_budget

class Picky:
    def __init__(self, size: int = 1) -> None:
        if size > 9:
            raise UsageError(f"got size={size}; wanted 1 to 9")
        self.size = size

    def predict(self, batch):
        if self.size == 2:
            raise UsageError("not these data")
        return Forecast.from_points(last(batch))

    def finetune(self, train, budget, seed):
        parse_budget(budget)
        return self

@hookimpl
def register_models(register):
    register(ModelInfo("picky", modes=("zero-shot", "finetune")), Picky)
"""


@pytest.mark.parametrize(
    ("arguments", "text"), [(["-M", "picky:size=10"], "got size=10; wanted 1 to 9"), (["--mode", "finetune", "--budget", "soon"], "soon")]
)
def test_what_a_model_refuses_of_what_was_typed_is_said_and_not_stored(lab: Lab, arguments: list[str], text: str) -> None:
    lab.plugin("picky", PICKY)
    done = lab.run("run", "-m", "picky", "-t", "us_births/*/short", "--json", *arguments).expect(3)
    assert {(c["status"], c["failure"]) for c in done.json()["cells"]} == {("failed", "usage")}
    assert text in done.json()["cells"][0]["reason"]
    assert lab.query("SELECT count(*) FROM cells") == [(0,)]
    lab.run("run", "-m", "picky", "-t", "us_births/*/short").expect(0)


def test_a_refusal_while_forecasting_is_a_failure_of_the_cell(lab: Lab) -> None:
    lab.plugin("picky", PICKY)
    lab.models("picky[size=2]").expect(3)
    assert lab.query("SELECT failure, reason FROM cells") == [("error", "not these data")]
