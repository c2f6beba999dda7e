"""The model `time-r1` as a run sees it: weights of a tiny Qwen2 and a stand-in endpoint, from a prompt to a scored cell."""

from __future__ import annotations

import inspect
import json
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install 'harness-time-r1[train]'")
pytest.importorskip("trl", reason="trl is not installed: pip install 'harness-time-r1[train]'")

from harness_time_r1.models import INFO, make  # noqa: E402
from harness_time_r1.operation import NUMBERS, steps_of  # noqa: E402
from harness_time_r1.parser import KINDS  # noqa: E402
from harness_time_r1.settings import Settings  # noqa: E402
from harness_time_r1.sft.rules import from_windows  # noqa: E402
from harness_time_r1.sft.samples import prompt_of  # noqa: E402
from harness_time_r1.sft.train import Training, train  # noqa: E402
from harness_time_r1.windows import of_training  # noqa: E402
from stand_in import Asked, Say, StandIn, completion  # noqa: E402
from tiny_qwen import make as tiny  # noqa: E402

import harness  # noqa: E402
from harness import Batch, UsageError  # noqa: E402
from harness.testing import checks  # noqa: E402

SEASON, H = (1.0, 5.0, 9.0, 5.0), 4
ASKED: dict[str, Any] = {"samples": 2, "context": 8, "timestamps": "hidden", "max_tokens": 60, "digits": 2, "temperature": 0.3}
KEY = "sk-a-key-that-nobody-may-see"


def series(count: int = 3, length: int = 60) -> list[np.ndarray[Any, Any]]:
    return [np.resize(np.array(SEASON, np.float32), length) + k for k in range(count)]


def batch(rows: list[np.ndarray[Any, Any]]) -> Batch:
    return Batch.from_contexts(rows, H, freq="D", season_length=4)


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A tiny network that has learnt to answer in form. The words of the prompt that never change are single tokens: it is quick."""
    folder = tmp_path_factory.mktemp("weights")
    settings = Settings(**ASKED)
    windows = of_training(batch(series()), H, 8, 60, 0)
    text = prompt_of(windows[0], settings).messages[0].content
    head, tail = text.partition("```\n")[0] + "```\n", text[text.index("```\n\n# Answer") :]
    words = (head, tail, "<think>\n\n</think>\n<answer>\n```\n", "\n```\n</answer>")
    tiny(folder / "base", words=words)
    how = Training(steps=120, learning_rate=5e-3, rank=0, batch=8, validation=0.0, every=1000, dropout=0.0)
    train(str(folder / "base"), from_windows(windows, settings, reasoning="none"), how, folder / "learnt")
    return str(folder / "learnt")


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """A suite of one task: three series of one season, days."""
    lines = ["id,time,value"]
    for k, values in enumerate(series()):
        for day, value in enumerate(values):
            lines.append(f"s{k},{np.datetime64('2020-01-01') + day},{value:g}")
    (tmp_path / "toy.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "toy.yaml").write_text(
        "name: toy\ntasks:\n  - {name: season, source: toy.csv, columns: {id: id, time: time, target: value}, freq: D, horizon: 4, "
        "windows: 2, season_length: 4}\n"
    )
    return tmp_path / "toy.yaml"


@pytest.fixture(autouse=True)
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of answers for this test alone."""
    monkeypatch.setenv("TIME_R1_ANSWERS", str(tmp_path / "answers"))
    yield tmp_path / "answers"


def run(suite: Path, params: dict[str, Any], **options: Any) -> harness.Results:
    given = [f"time-r1:{name}={json.dumps(value)}" for name, value in params.items()]
    return harness.run(
        ["naive", "time-r1"], suite=str(suite), db=suite.with_name("results.duckdb"), progress="none", model_args=given, **options
    )


def test_from_a_prompt_to_a_scored_cell(learnt: str, suite: Path, answers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIME_R1_STEPS", str(suite.parent / "steps"))
    results = run(suite, {"weights": learnt, **ASKED})
    cell = next(row for row in results.sql("SELECT * FROM cells WHERE model_name = 'time-r1'").to_pylist())
    assert cell["status"] == "ok", cell["reason"]
    notes = json.loads(cell["receipt"])["notes"]
    counted = dict(part.rsplit(" ", 1) for part in notes["answers"].split(", "))
    assert sum(map(int, counted.values())) == 12 and int(counted["ok"]) >= 6, notes  # 6 windows, 2 answers each
    assert cell["fallback"] == pytest.approx(1 - int(counted["ok"]) / 12)
    board = {row["model"]: row for row in results.leaderboard().to_dict("records")}
    assert next(row for name, row in board.items() if name.startswith("time-r1"))["fallback"] == pytest.approx(cell["fallback"])
    assert len(list(answers.rglob("*.json"))) >= 6  # an answer each, kept: a file may hold equal requests
    assert len([line for file in (suite.parent / "steps").iterdir() for line in file.read_text().splitlines()]) == 12


def test_a_network_that_knows_nothing_is_naive_and_that_is_told(tmp_path: Path, suite: Path) -> None:
    weights = tiny(tmp_path / "random")
    results = run(suite, {"weights": str(weights), **ASKED, "samples": 1, "max_tokens": 20})
    rows = {row["model_name"]: row for row in results.sql("SELECT * FROM results").to_pylist()}
    assert rows["time-r1"]["status"] == "ok" and rows["naive"]["fallback"] == 0
    assert rows["time-r1"]["fallback"] == 1
    assert rows["time-r1"]["MASE"] == pytest.approx(rows["naive"]["MASE"])


@pytest.mark.parametrize("trainer", ["sft", "grip"])
def test_learning_from_a_task_inside_a_run(trainer: str, learnt: str) -> None:
    """New factors, which the forecasts are made with and which can be saved; the same budget and seed give the same."""
    model = make(weights=learnt, trainer=trainer, learning_rate=0.01, windows=8, **{**ASKED, "max_tokens": 30})
    first = model.finetune(batch(series()), "2steps", 1)
    assert first.notes["steps"] == 2 and first.notes["trainer"] == trainer
    folder = first.adapter
    assert folder is not None and (folder / "adapter_model.safetensors").is_file()
    forecast = first.predict(batch([row[:-4] for row in series()]))
    assert forecast.values.shape == (3, 2, H) and np.isfinite(forecast.values).all()
    second = make(weights=learnt, trainer=trainer, learning_rate=0.01, windows=8, **{**ASKED, "max_tokens": 30}).finetune(
        batch(series()), "2steps", 1
    )
    assert second.adapter is not None and second.adapter != folder
    assert (second.adapter / "adapter_model.safetensors").read_bytes() == (folder / "adapter_model.safetensors").read_bytes()


def test_a_training_that_fails_leaves_nothing_behind(learnt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("harness_time_r1.sft.train.train", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        make(weights=learnt, windows=8, **ASKED).finetune(batch(series()), "2steps", 1)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_trained(learnt: str) -> None:
    model = make(weights=learnt, **ASKED)
    with pytest.raises(UsageError, match="a time is not reproducible"):
        model.finetune(batch(series()), "2m", 0)
    with pytest.raises(harness.Unsupported, match="no training window"):
        model.finetune(batch([np.ones(3, np.float32)]), "1steps", 0)
    elsewhere = make(url="http://127.0.0.1:1/v1", served="some")
    with pytest.raises(harness.Unsupported, match="weights behind an endpoint"):
        elsewhere.finetune(batch(series()), "", 0)


def test_conformance(subtests: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """By an endpoint that answers each request in its own way: what a forecast depends on is the window, its seed and nothing else."""
    monkeypatch.setenv("TIME_R1_ANSWERS", "off")

    def say(asked: Asked) -> Say:
        text = asked.body["messages"][-1]["content"]
        count = int(re.findall(r"exactly (\d+) line", text)[0])
        drawn = np.random.default_rng(zlib.crc32(f"{text}{asked.body['seed']}".encode()))
        if drawn.random() < 0.2:
            return Say(body=completion("I cannot say."))
        lines = "\n".join(f"{value:.2f}" for value in drawn.normal(size=count))
        return Say(body=completion(f"<answer>\n```\n{lines}\n```\n</answer>"))

    with StandIn(say) as server:
        for check in checks("time-r1", {"url": server.url, "served": "m", **ASKED}):
            if check.name not in ("memory", "finetune", "save"):  # the first forecasts for minutes, the others follow
                with subtests.test(check.name):
                    check()


def test_conformance_of_training(learnt: str, subtests: Any) -> None:
    for check in checks("time-r1", {"weights": learnt, "windows": 4, "rank": 2, **ASKED, "samples": 1, "max_tokens": 8}):
        if check.name in ("finetune", "save"):
            with subtests.test(check.name):
                check()


def answer(values: list[float]) -> str:
    lines = "\n".join(f"{row} {value:g}" for row, value in enumerate(values, 9))
    return f"<think>it repeats itself</think>\n<answer>\n```\n{lines}\n```\n</answer>"


def test_a_run_by_an_endpoint_that_knows_the_key(suite: Path, monkeypatch: pytest.MonkeyPatch, capfd: Any) -> None:
    """Asked with the key of the environment, which is in no file of the run; the second run asks nothing."""
    monkeypatch.setenv("TIME_R1_API_KEY", KEY)
    with StandIn([Say(status=503), Say(body=completion("I will not.")), Say(body=completion(answer([1, 2, 3, 4])))]) as server:
        params = {"url": server.url, "served": "m", **ASKED, "max_tokens": 500}
        results = run(suite, params)
        rows = results.sql("SELECT status, reason, fallback, receipt FROM cells WHERE model_name = 'time-r1'").to_pylist()
        assert rows[0]["status"] == "ok", rows[0]["reason"]
        assert rows[0]["fallback"] == pytest.approx(1 / 12)
        assert "absent 1" in json.loads(rows[0]["receipt"])["notes"]["answers"]
        asked = len(server.asked)
        assert asked == 13 and all(request.headers["authorization"] == f"Bearer {KEY}" for request in server.asked)
        run(suite, params, rerun="all")
        assert len(server.asked) == asked
    shown = capfd.readouterr()
    assert KEY not in shown.out + shown.err
    kept = [path for path in suite.parent.rglob("*") if path.is_file()]
    assert len(kept) > 3 and not [path for path in kept if KEY.encode() in path.read_bytes()]


def test_a_reached_cap_fails_the_cell_and_a_higher_one_goes_on(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIME_R1_PRICES", "0,1000")  # the 500 tokens of an answer may cost 0.5
    monkeypatch.setenv("TIME_R1_COST_CAP", "0.52")
    with StandIn([Say(body=completion(answer([1, 2, 3, 4])))]) as server:
        params = {"url": server.url, "served": "m", **ASKED, "max_tokens": 500}
        results = run(suite, params)
        (cell,) = results.sql("SELECT status, failure, reason FROM cells WHERE model_name = 'time-r1'").to_pylist()
        asked = len(server.asked)
        assert cell["status"] == "failed" and "cost" in cell["reason"] and "--rerun failed" in cell["reason"]
        assert 1 <= asked < 12
        monkeypatch.setenv("TIME_R1_COST_CAP", "100")
        results = run(suite, params, rerun="failed")
        (cell,) = results.sql("SELECT status, reason FROM cells WHERE model_name = 'time-r1' AND status = 'ok'").to_pylist()
        assert len(server.asked) == 12  # what had been answered was not asked again


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"url": "http://127.0.0.1:1/v1"}, "wanted the name of the model there"),
        ({"served": "m"}, "wanted the endpoint"),
        ({"weights": "w", "limit_field": "max_completion_tokens"}, "got limit_field and no url"),
        ({"url": "http://127.0.0.1:1/v1", "served": "m", "device": "cuda"}, "got device and url"),
        ({"iterations": 3}, "wanted executor=slow"),
        ({"url": "http://127.0.0.1:1/v1", "served": "m", "weights": "w"}, "wanted weights on this machine, or an endpoint"),
        ({"trainer": "rl"}, "trainer got 'rl'"),
        ({"weights": "no-such-folder"}, "there is no file or folder"),
    ],
)
def test_parameters_that_contradict_each_other(params: dict[str, Any], said: str) -> None:
    with pytest.raises(harness.HarnessError, match=said):
        make(**params)


def test_where_steps_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    monkeypatch.delenv("TIME_R1_STEPS", raising=False)
    slow = steps_of("slow")
    assert steps_of("single") is None and slow is not None and slow.path.parent == tmp_path / "time-r1" / "steps"
    monkeypatch.setenv("TIME_R1_STEPS", str(tmp_path / "mine"))
    single = steps_of("single")
    assert single is not None and single.path.parent == tmp_path / "mine"
    monkeypatch.setenv("TIME_R1_STEPS", "off")
    assert steps_of("slow") is None


def test_variables_that_are_no_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    cases = [
        ("CONCURRENCY", "many"),
        ("PRICES", "1"),
        ("COST_CAP", "a lot"),
        *(("INSECURE", word) for word in ("no", "false", "yes", "01")),
    ]
    for name, value in cases:
        with monkeypatch.context() as patched, pytest.raises(UsageError, match=f"TIME_R1_{name}={value}"):
            patched.setenv(f"TIME_R1_{name}", value)
            make(url="http://127.0.0.1:1/v1", served="m")


def test_a_key_goes_over_http_where_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIME_R1_API_KEY", KEY)
    for value in ("", "0"):
        monkeypatch.setenv("TIME_R1_INSECURE", value)
        with pytest.raises(UsageError, match="would be sent where others can read it"):
            make(url="http://10.0.0.7/v1", served="m")
    monkeypatch.setenv("TIME_R1_INSECURE", "1")
    make(url="http://10.0.0.7/v1", served="m")


@pytest.mark.parametrize(
    "extra", [5, "x", [1], 0, "", [], False, {"a": float("nan")}, {1: 2}, {1, 2}, {"a": {2}}, {"a": {1: 2}}, {"a": "\ud800"}, {"a": object}]
)
def test_further_fields_that_are_none(extra: Any) -> None:
    with pytest.raises(UsageError, match=r"time-r1: extra got .*; wanted an object of names and JSON values"):
        make(url="http://127.0.0.1:1/v1", served="m", extra=extra)
    if not isinstance(extra, dict):
        with pytest.raises(UsageError, match="got extra and no url"):
            make(extra=extra)


def test_further_fields_that_stand_in_themselves() -> None:
    extra: dict[str, Any] = {}
    extra["a"] = extra
    with pytest.raises(UsageError, match="wanted an object of names and JSON values"):
        make(url="http://127.0.0.1:1/v1", served="m", extra=extra)
    given = {"a": {"b": [1, 2.5, None, True, "x"]}}
    backend = make(url="http://127.0.0.1:1/v1", served="m", extra=given).backend
    given["a"]["b"].append(7)
    assert backend.identity["extra"] == {"a": {"b": [1, 2.5, None, True, "x"]}}  # a copy


def test_a_folder_that_nobody_could_name() -> None:
    with pytest.raises(harness.Unavailable, match=r"there is no file or folder .{100}… \(\d+ letters\); give one that exists"):
        make(weights="x" * 5000)


def test_answers_and_steps_that_can_be_kept_nowhere(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cell is scored all the same; its notes say what is not there."""
    (suite.parent / "file").write_text("mine")
    monkeypatch.setenv("TIME_R1_ANSWERS", str(suite.parent / "file"))
    monkeypatch.setenv("TIME_R1_STEPS", str(suite.parent / "file"))
    with StandIn([Say(body=completion(answer([1, 2, 3, 4])))]) as server:
        results = run(suite, {"url": server.url, "served": "m", **ASKED, "max_tokens": 500})
    (cell,) = results.sql("SELECT status, reason, receipt FROM cells WHERE model_name = 'time-r1'").to_pylist()
    assert cell["status"] == "ok", cell["reason"]
    assert "file is a file; wanted a folder that can be: TIME_R1_STEPS=FOLDER" in json.loads(cell["receipt"])["notes"]["steps"]
    assert (suite.parent / "file").read_text() == "mine"


def test_the_card_says_what_the_weights_are_not() -> None:
    assert "not Time-R1" in INFO.weights_note and INFO.weights.startswith("hf:")


def test_the_documentation_names_every_kind_parameter_and_variable() -> None:
    here = Path(__file__).resolve().parent
    page, readme = here.parents[1] / "docs" / "time-r1.md", (here / "README.md").read_text("utf-8")
    if page.is_file():  # not where the plugin stands by itself
        rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.+) \|$", page.read_text("utf-8"), re.MULTILINE))
        assert {kind: rows.get(kind) for kind in KINDS} == dict(KINDS)
    table = readme.partition("## Parameters")[2]
    assert [name for name in inspect.signature(make).parameters if f"`{name}`" not in table] == []
    variables = {"TIME_R1_PRICES", "TIME_R1_INSECURE", "TIME_R1_ANSWERS", "TIME_R1_STEPS", "TIME_R1_API_KEY"}
    variables |= {f"TIME_R1_{name.upper()}" for name in NUMBERS}
    assert set(re.findall(r"TIME_R1_[A-Z0-9_]+", table)) == variables  # each that is read, and no other
    assert not page.is_file() or set(re.findall(r"TIME_R1_[A-Z0-9_]+", page.read_text("utf-8"))) <= variables
