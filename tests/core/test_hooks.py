"""Every hook does what its docstring says, in a plugin of a stranger. One test a hook, named after it."""

from __future__ import annotations

import json

import pytest
from support import GOOD, Lab

from harness import hookspecs
from harness.trained import TrainedModel, register

HOOKS = [name for name, value in vars(hookspecs).items() if hasattr(value, "harness_spec")]
TASK = "us_births/M/short"


def test_every_hook_has_a_test_and_a_line_of_documentation() -> None:
    assert [h for h in HOOKS if f"test_hook_{h}" not in globals()] == []
    assert [h for h in HOOKS if not (getattr(hookspecs, h).__doc__ or "").strip()] == []


def test_hook_register_models(lab: Lab) -> None:
    lab.plugin("mine", GOOD)
    lab.run("ls", "models", "good", "--json").expect(0)
    assert lab.models("good").expect(0).cells()["good", TASK]["status"] == "ok"


def test_hook_open_suite_file(lab: Lab) -> None:
    lab.plugin(
        "mine",
        GOOD
        + """
class Waves:
    def __init__(self, data): pass
    def tasks(self):
        from harness import Task
        return [Task("waves", "waves/H", "waves", "waves", "Nature", "H", "", 3, 2, 1)]
    def open(self, task):
        from harness.specimens import data_of
        from dataclasses import replace
        return replace(data_of([np.arange(40.0)], 3), task=task)

@hookimpl
def open_suite_file(path):
    from harness import SuiteInfo
    return (SuiteInfo("waves"), Waves) if path.name == "waves.yaml" else None
""",
    )
    (lab.folder / "waves.yaml").write_text("mine alone can read this: [")
    done = lab.run("run", "-m", "good", "-s", str(lab.folder / "waves.yaml"), "--json").expect(0)
    assert done.cells()["good", "waves/H"]["status"] == "ok"
    assert [row["name"] for row in lab.run("ls", "tasks", "-s", "waves", "--json").expect(0).json()] == ["waves/H"]


def test_hook_register_suites(lab: Lab) -> None:
    lab.plugin(
        "mine",
        GOOD
        + """
class Mine:
    def __init__(self, data): self.data = data
    def tasks(self):
        from harness import Task
        fixed = dict(suite="mine", dataset="waves", family="waves", domain="Nature", freq="H", term="", horizon=3)
        fixed |= dict(season_length=2, variates=1)
        return [Task(name="waves/H", **fixed), Task(name="far/H", **fixed), Task(name="broken/H", **fixed)]
    def open(self, task):
        from harness import DataError, Unavailable
        from harness.forecast import Ragged
        from harness.series import Channels, SeriesSet, rolling
        if task.name == "far/H": raise Unavailable("waves are far away", "get waves")
        if task.name == "broken/H": raise DataError("the file of waves is cut short; fetch it again")
        import pyarrow as pa
        rows = Ragged.from_rows([np.arange(20), np.arange(30) % 5])
        starts = np.array(["2020-01-01", "2020-01-02"], "datetime64[s]")
        series = SeriesSet(pa.array(["a", "b"]), starts, "H", 1, Channels.from_ragged(rows), fingerprint="v1")
        return rolling(task, series, 2)

@hookimpl
def register_suites(register): register(SuiteInfo("mine", summary="Waves"), Mine)
""",
    )
    rows = {r["name"]: r for r in lab.run("ls", "tasks", "-s", "mine", "--json").expect(0).json()}
    assert [(r["suite"], r["available"]) for r in rows.values()] == [("mine", True), ("mine", False), ("mine", False)]
    assert (rows["waves/H"]["windows"], rows["waves/H"]["n_windows"], rows["far/H"]["fetch"]) == (2, 4, "get waves")
    cells = lab.run("run", "-m", "good", "-s", "mine", "--json").expect(3, "cut short; fetch it again", "waves are far away").cells()
    assert cells["good", "waves/H"]["status"] == "ok"
    assert (cells["good", "broken/H"]["status"], cells["good", "broken/H"]["failure"]) == ("failed", "data")
    assert ("good", "far/H") not in cells
    lab.run("run", "-m", "good", "-s", "mine", "-t", "far/H").expect(5, "there is no data here for the 1 task asked for: nothing to run")
    lab.run("run", "-m", "good", "-s", "min").expect(2, "there is no suite 'min'. Did you mean 'mine'?")


SUITE = """
class S:
    def __init__(self, data): BODY_INIT
    def tasks(self):
        from harness import Task
        BODY_TASKS
        fixed = dict(dataset="a", family="a", domain="x", freq="H", term="", horizon=3, season_length=1, variates=1)
        return [Task(suite="NAME", name="a/H", **fixed)]
    def open(self, task): BODY_OPEN
@hookimpl
def register_suites(register): register(SuiteInfo("NAME"), S)
"""


def test_a_broken_suite_costs_only_itself(lab: Lab) -> None:
    mistakes = {
        "bad_init": ("BODY_INIT", "raise KeyError('init')", "suite 'bad_init' raised KeyError while being made: 'init'"),
        "bad_tasks": ("BODY_TASKS", "raise OSError('tasks')", "suite 'bad_tasks' raised OSError while listing its tasks: tasks"),
        "bad_name": ("BODY_TASKS", "return [1]", "suite 'bad_name' lists 1; wanted tasks with suite='bad_name'"),
        "bad_open": ("BODY_OPEN", "raise KeyError('open')", "suite 'bad_open' raised KeyError while opening a/H: 'open'"),
        "bad_data": ("BODY_OPEN", "return [1.0]", "suite 'bad_data' gave a list for a/H; wanted a harness.series.TaskData"),
    }
    for name, (place, body, _) in mistakes.items():
        source = SUITE.replace(place, body).replace("NAME", name)
        lab.plugin(name, source.replace("BODY_INIT", "pass").replace("BODY_TASKS", "pass").replace("BODY_OPEN", "pass"))
    done = lab.run("ls", "tasks").expect(0, "us_births/M/short")
    for name, (_, _, text) in mistakes.items():
        assert name in ("bad_open", "bad_data") or text in done.err
        lab.run("run", "-m", "naive", "-s", name, "--json").expect(3, text)


def test_hook_register_metrics(lab: Lab) -> None:
    lab.plugin(
        "mine",
        GOOD
        + """
def statistics(block): return {"worst.sum": np.abs(block.labels).max(axis=1).astype(float)}
def value(sums): return sums["worst.sum"] / sums["n"]

@hookimpl
def register_metrics(register): register(Metric("worst", value, statistics=statistics))
@hookimpl
def register_suites(register): pass
""",
    )
    scores = lab.models("good").expect(0).cells()["good", TASK]["scores"]
    assert scores["worst"] > 0
    assert scores["worst"] == pytest.approx(lab.query("SELECT sum(extra['worst.sum']) / sum(n) FROM windows")[0][0])


def test_hook_register_dialects(lab: Lab) -> None:
    lab.plugin(
        "mine",
        """
from harness import DialectInfo

class Bias:
    def __init__(self, forecasts): self.sum = self.points = 0
    def add(self, block):
        self.sum += float(np.nansum(block.labels - block.mean))
        self.points += int((~np.isnan(block.labels)).sum())
    def metrics(self): return {"bias": self.sum / self.points}

class Made:
    tally = Bias

@hookimpl
def register_dialects(register): register(DialectInfo("mine", summary="of the mean", metrics=("bias",)), Made)
""",
    )
    lab.models("naive", "--save-forecasts").expect(0)
    (row,) = [row for row in lab.run("ls", "dialects", "--json").expect(0).json() if row["name"] == "mine"]
    assert (row["version"], row["summary"], row["metrics"], row["plugin"]) == ("1", "of the mean", ["bias"], "mine")
    (found,) = lab.run("score", "--dialect", "mine@1", "--json").expect(0).json()["scores"]
    assert found["scores"]["bias"] == pytest.approx(lab.query("SELECT sum(error) / sum(n) FROM windows")[0][0])
    lab.run("show", "mine").expect(0, "dialect mine", "metrics bias")


def test_hook_register_commands(lab: Lab) -> None:
    source = "import click\n@hookimpl\ndef register_commands(cli):\n    @cli.command()\n    def hello(): click.echo('hi there')\n"
    lab.plugin("mine", source)
    assert lab.run("hello").expect(0).out == "hi there\n"
    lab.run("--help").expect(0, "hello")
    lab.run("helo").expect(2, "there is no command 'helo'. Did you mean 'hello'?")


def test_a_command_cannot_replace_another(lab: Lab) -> None:
    lab.plugin(
        "thief",
        "import click\n@hookimpl\ndef register_commands(cli):\n    @cli.command()\n    def other(): pass\n"
        "    @cli.command()\n    def run(): click.echo('stolen')\n",
    )
    lab.run("run", "-m", "naive", "-t", TASK, "--json").expect(0)
    lab.run("ls", "models").expect(0, "plugin 'thief' could not be loaded: register_commands: it replaces the command 'run'")
    lab.run("other").expect(2, "there is no command 'other'")


def test_hook_open_store(lab: Lab) -> None:
    """A stranger is asked before the built-in store, whatever it is called."""
    source = "@hookimpl\ndef open_store(path, readonly):\n    if path.suffix == '.NAME': raise RuntimeError('NAME was asked')\n"
    for name in ("aaa_store", "zzz_store"):
        lab.plugin(name, source.replace("NAME", name))
        done = lab.run("run", "-m", "naive", "-t", TASK, "--db", f"x.{name}")
        assert f"{name} was asked" in done.err
    lab.models("naive").expect(0)


def test_hook_rank_models(lab: Lab) -> None:
    lab.plugin(
        "aaa_rank",
        "@hookimpl\ndef rank_models(store, suite, models, limit):\n"
        "    return [{'model': f'first of {suite}: {models} {limit}', 'nMASE': 0.5}]\n",
    )
    lab.models("naive").expect(0)
    lab.python("import harness; print(harness.load().leaderboard('quick', limit=7).to_string())").expect(0, "first of quick: [] 7", "0.5")


WRAPPER = """
@hookimpl(wrapper=True)
def predict(model, batch):
    forecast = yield
    return Forecast(forecast.kind, forecast.values * np.float32(2), forecast.levels)
"""


def test_hook_predict(lab: Lab) -> None:
    """A wrapper changes the forecasts, so the cells are others."""
    lab.plugin("mine", GOOD)
    plain = lab.models("good").expect(0).cells()["good", TASK]
    lab.plugin("doubler", WRAPPER)
    doubled = lab.models("good").expect(0).cells()["good", TASK]
    assert not doubled["cached"]
    assert doubled["id"] != plain["id"]
    assert doubled["scores"]["MASE[0.5]"] > 2 * plain["scores"]["MASE[0.5]"]
    lab.run("doctor").expect(1, "these plugins take part in predict or finetune: doubler", "✗ self-test")
    lab.plugin("doubler", WRAPPER.replace("float32(2)", "float32(3)"))
    assert lab.models("good").expect(0).cells()["good", TASK]["id"] != doubled["id"]


def test_hook_finetune(lab: Lab) -> None:
    lab.plugin(
        "mine",
        """
class Learns:
    level = 0.0
    def predict(self, batch): return Forecast.from_points(np.full((len(batch), batch.horizon), self.level, np.float32))
    def finetune(self, train, budget, seed):
        print("longest", int(train.contexts.lengths.max()), budget, seed)
        self.level = float(np.nanmean(train.contexts.values))
        return self

@hookimpl
def register_models(register): register(ModelInfo("learns", modes=("zero-shot", "finetune", "few-shot")), Learns)
""",
    )
    every = ("--mode", "zero-shot,finetune,few-shot:0.5", "--budget", "3steps")
    scores = {c["mode"]: c["scores"]["MAE[0.5]"] for c in lab.models("learns", *every).expect(0).json()["cells"]}
    assert len(set(scores.values())) == 3
    assert scores["finetune"] < scores["zero-shot"]
    lab.plugin(
        "tuner",
        "@hookimpl(wrapper=True)\ndef finetune(model, train, budget, seed):\n    made = yield\n    made.level += 1e6\n    return made\n",
    )
    wrapped = {c["mode"]: c["scores"]["MAE[0.5]"] for c in lab.models("learns", *every).expect(0).json()["cells"]}
    assert wrapped["finetune"] > 10 * scores["finetune"]
    assert wrapped["zero-shot"] == scores["zero-shot"]
    lab.plugin("plain", GOOD.replace("good", "plain"))
    lab.models("plain", "--mode", "finetune").expect(0, "plain has no mode 'finetune'; it has zero-shot")
    lab.models("naive", "--mode", "zeroshot").expect(2, "got --mode zeroshot", "zero-shot")
    lab.models("learns", "--mode", "few-shot:abc").expect(2, "got --mode few-shot:abc", "few-shot:0.1")


RETRAINER = """
from harness.trained import TrainedModel
@hookimpl
def retrain(record, folder):
    if record["environment"].get("recipe") is None: return None
    folder.mkdir()
    (folder / "model.bin").write_text(f"{record['seed']} {record['environment']['recipe']['steps']}")
    return TrainedModel("good", path=folder, seed=record["seed"])
"""


def test_hook_retrain(lab: Lab) -> None:
    """Trains again what a command has trained; the first plugin whose record it is."""
    lab.plugin("mine", GOOD)
    lab.plugin("other", "@hookimpl\ndef retrain(record): return None\n")
    lab.plugin("trainer", RETRAINER)
    (lab.folder / "model.bin").write_text("3 10")
    for recipe, data in (({"steps": 10}, "a"), ({"steps": 11}, "b"), (None, "c")):
        made = TrainedModel("good", lab.folder / "model.bin", seed=3, data=data, environment={"recipe": recipe})
        register(lab.db, made)
    ids = {data: name for name, data in lab.query("SELECT id, data FROM trained")}
    same, other, nobody = lab.many([["replay", ids[data]] for data in "abc"])
    same.expect(0, "weights: the same bits")
    other.expect(4, "weights: they differ", "NOT equal: the weights are others, and no numbers were noted to tell how far")
    nobody.expect(3, "the plugin 'mine' has no hook retrain that takes it")


LISTENER = """
import json
def tell(*what): open("told.jsonl", "a").write(json.dumps(what) + "\\n")
@hookimpl
def run_started(run): tell("started", run.id, len(run.cells), run.status)
@hookimpl
def cell_finished(cell, outcome):
    tell("cell", cell.model, cell.task.name, outcome.status, outcome.scores.get("MASE[0.5]"), outcome.record["cell_id"] == cell.id)
@hookimpl
def run_finished(run): tell("finished", run.id, run.status, run.counts["ok"], run.counts["failed"])
"""


@pytest.fixture
def told(lab: Lab) -> list[list[object]]:
    lab.plugin("mine", GOOD)
    lab.plugin("bad", GOOD.replace("good", "bad").replace("return", "raise ValueError('no')\n        return"))
    lab.plugin("listener", LISTENER)
    lab.models("good,bad").expect(3)
    return [json.loads(line) for line in (lab.folder / "told.jsonl").read_text().splitlines()]


def test_hook_run_started(told: list[list[object]]) -> None:
    assert told[0][0] == "started"
    assert told[0][2:] == [2, "running"]


def test_hook_cell_finished(told: list[list[object]]) -> None:
    cells = {t[1]: t[2:] for t in told if t[0] == "cell"}
    assert cells["bad"] == [TASK, "failed", None, True]
    assert cells["good"][:2] == [TASK, "ok"]
    assert isinstance(cells["good"][2], float)


def test_hook_run_finished(told: list[list[object]]) -> None:
    assert told[-1] == ["finished", told[0][1], "failed", 1, 1]


def test_hook_calls_are_traced_when_asked(lab: Lab) -> None:
    done = lab.models("naive", env={"HARNESS_TRACE_HOOKS": "1"}).expect(0)
    for hook in ("register_models", "open_store", "run_started", "cell_finished", "run_finished"):
        assert f"hook {hook}(" in done.err
    assert "hook run_started" not in lab.models("naive", env={"HARNESS_TRACE_HOOKS": "0"}).err
