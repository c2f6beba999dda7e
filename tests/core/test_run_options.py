"""Options of a run from Python: every form that a caller may have them in, and a message for each that makes no sense."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import harness
from harness import Batch, Forecast, ModelInfo, Unsupported, UsageError
from harness.spec import make_spec

TASK = "us_births/M/short"


@pytest.mark.parametrize(
    ("option", "value", "wanted"),
    [
        ("limit", 10, "10"),
        ("limit", np.int64(10), "10"),
        ("limit", 0.1, "0.1"),
        ("limit", np.float32(0.5), "0.5"),
        ("limit", ".50", "0.5"),
        ("limit", "", ""),
        ("seeds", 3, [3]),
        ("seeds", "0-2,7", [0, 1, 2, 7]),
        ("seeds", [1, "2", 1], [1, 2]),
        ("seeds", range(3), [0, 1, 2]),
        ("seed", 4, [4]),
        ("timeout", "30m", 1800.0),
        ("timeout", 90, 90.0),
        ("timeout", "", None),
        ("jobs", "2", 2),
        ("batch_size", "auto", None),
        ("batch_size", "64", 64),
        ("batch_size", np.int32(64), 64),
        ("mode", "few-shot:0.1", ["few-shot:0.1"]),
        ("tasks", "m4_*", ["m4_*"]),
        ("task", ["a", "b"], ["a", "b"]),
        ("suite", "quick,gift-eval", ["quick", "gift-eval"]),
        ("data", "~/data", Path.home() / "data"),
        ("rerun", "", ""),
        ("budget", 500, "500"),
    ],
)
def test_an_option_in_any_form(option: str, value: Any, wanted: Any) -> None:
    field = {"seed": "seeds", "mode": "modes", "task": "tasks", "suite": "suites"}.get(option, option)
    assert getattr(make_spec(models="naive", **{option: value}), field) == wanted


def test_none_is_the_default() -> None:
    options = ["suite", "tasks", "limit", "seeds", "batch_size", "jobs", "threads", "timeout", "rerun", "data", "device", "isolation"]
    assert make_spec(models="naive", **dict.fromkeys(options)) == make_spec(models=["naive"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"limit": 0}, r"got --limit 0; wanted a number of items per task \(10\) or a share"),
        ({"limit": True}, "got --limit True; wanted"),
        ({"limit": [10]}, r"got --limit \[10\]; wanted"),
        ({"seeds": "x"}, "got --seed x; wanted whole numbers"),
        ({"seeds": 1.5}, r"got --seed 1\.5; wanted whole numbers"),
        ({"seeds": -1}, r"got --seed \[-1\]; wanted whole numbers from 0"),
        ({"seeds": []}, r"got --seed \[\]; wanted whole numbers from 0"),
        ({"timeout": "soon"}, "got a time of 'soon'; wanted seconds"),
        ({"timeout": 0}, "got --timeout 0; wanted a time of at most 20 days"),
        ({"timeout": float("inf")}, "got --timeout inf; wanted a time"),
        ({"timeout": "1000h"}, "got --timeout 1000h; wanted a time of at most 20 days"),
        ({"jobs": 0}, "got --jobs 0; wanted a whole number from 1 to 1024"),
        ({"jobs": 1.5}, r"got --jobs 1\.5; wanted a whole number"),
        ({"threads": -1}, "got --threads -1; wanted a whole number from 1 to 4096"),
        ({"batch_size": 0}, "got --batch-size 0; wanted a number of windows, or auto"),
        ({"batch_size": "many"}, "got --batch-size many; wanted a number of windows, or auto"),
        ({"isolation": "proces"}, "got --isolation proces; wanted one of auto, process, env, inprocess. Did you mean 'process'"),
        ({"rerun": "fail"}, "got --rerun fail; wanted one of failed, stale, all. Did you mean 'failed'"),
        ({"save_forecasts": "yes"}, "got --save-forecasts yes; wanted True or False"),
        ({"device": ""}, "got an empty --device; wanted a device"),
        ({"tasks": [3]}, "got --tasks 3, a int; wanted text"),
        ({"suite": []}, "got --suite without a name; wanted one or more suites"),
        ({"data": 3}, "got --data 3; wanted a folder"),
        ({"suite": "quick", "suites": ["gift-eval"]}, r"got both suites= and another value for suites: \['gift-eval'\] and 'quick'"),
        ({"time_out": 3}, "got time_out; wanted an option of a run: models, suites.* Did you mean 'timeout'"),
    ],
)
def test_what_makes_no_sense_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        harness.run("naive", progress="none", **options)


def test_no_model_is_said_so() -> None:
    with pytest.raises(UsageError, match="no model given"):
        make_spec(suite="quick")


def test_a_run_with_numbers(tmp_path: Path) -> None:
    options: dict[str, Any] = {"tasks": "hospital/M/short", "progress": "none", "isolation": "inprocess", "db": tmp_path / "r.duckdb"}
    rows = harness.run("naive", limit=3, seeds=3, batch_size=2, **options).sql("SELECT scope, seed, n_series FROM cells").to_pylist()
    assert rows == [{"scope": "limit=3", "seed": 3, "n_series": 3}]
    again = harness.run("naive", limit="3", seeds="3", **options)
    assert again.report is not None
    assert again.report.counts["cached"] == 1


def naive(batch: Batch) -> Forecast:
    return Forecast.from_points(np.repeat(np.nan_to_num(batch.padded(1)[0]), batch.horizon, axis=1))


def test_evaluate_does_not_ask_for_more_than_the_model_can() -> None:
    with pytest.raises(Unsupported, match="horizon 12 is beyond the 5 steps that short can forecast"):
        harness.evaluate(naive, TASK, info=ModelInfo("short", max_horizon=5))
    with pytest.raises(Unsupported, match="no mode 'zero-shot'"):
        harness.evaluate(naive, TASK, info=ModelInfo("trained", modes=("finetune",)))
    assert harness.evaluate(naive, TASK, info=ModelInfo("long", max_horizon=12)).scores["MASE[0.5]"] > 0


def test_evaluate_refuses_what_it_would_ignore() -> None:
    with pytest.raises(UsageError, match="got info= for 'naive'"):
        harness.evaluate("naive", TASK, info=ModelInfo("naive"))
    with pytest.raises(UsageError, match="'naive,drift' names 2 models; wanted one"):
        harness.evaluate("naive,drift", TASK)
    with pytest.raises(UsageError, match="got batch_size 0; wanted a number of windows, or auto"):
        harness.evaluate(naive, TASK, batch_size=0)
    with pytest.raises(UsageError, match=r"got seed \[-3\]; wanted whole numbers from 0"):
        harness.evaluate(naive, TASK, seed=-3)
