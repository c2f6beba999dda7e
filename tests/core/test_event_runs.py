"""Runs on tasks of events in folds: resumed after a kill, limited, repeated, scored again from what was kept, made an ensemble of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support import Lab

from harness import ModelInfo
from harness.batches import cut_batch
from harness.errors import ForecastError, StoreError
from harness.kept_file import KeptFile
from harness.specimens import make_events
from harness.stored import Stored

WALK = """
import os, signal
from pathlib import Path
import numpy as np
from dataclasses import replace
from harness import SuiteInfo
from harness.dialects import Dialect
from harness.events import happened
from harness.batches import thresholds
from harness.series import Training
from harness.specimens import data_of
from harness.types import DialectInfo, Event

HERE = Path(__file__).parent

def made():
    rows = [np.random.default_rng(k).normal(size=120).cumsum() for k in range(3)]
    return data_of(rows, 2, windows=20)

class Walk:
    def tasks(self):
        task = replace(made().task, suite="walk", dialect="odds", season_length=1, kind="event")
        return [replace(task, name="up", event=Event("up", 2, relative="difference"))]

    def open(self, task):
        data = made()
        fold = (data.slot // 4).astype(np.int32)
        every = np.arange(3, dtype=np.int32)
        ends = [data.cut[data.slot == 4 * f] - 1 for f in range(5)]
        return replace(data, task=task, fold=fold, training=tuple(Training(every, np.zeros(3, np.int64), end) for end in ends))

class Learner:
    '''As probable as it was given much to learn from. In the fold that a file names it kills the run.'''
    seen = 0

    def predict(self, batch):
        return Forecast.from_probabilities(np.full(len(batch), self.seen / 1000))

    def finetune(self, train, budget, seed):
        self.seen = len(train.contexts.values)
        with open(HERE / "log", "a") as log:
            log.write(f"{self.seen}\\n")
        if (HERE / "kill").exists() and self.seen == int((HERE / "kill").read_text()):
            (HERE / "kill").unlink()
            os.kill(os.getppid(), signal.SIGKILL)
        return self

class Odds:
    def __init__(self, forecasts):
        self.task = forecasts.data.task
        self.limit = thresholds(self.task.event, forecasts.series, forecasts.channel, forecasts.cut)
        self.sums = {"Brier": 0.0, "windows": 0, "chance": 0.0}

    def add(self, block):
        y = happened(self.task.event, block.labels, self.limit[block.rows])
        self.sums["Brier"] += float(((y - block.probability) ** 2).sum())
        self.sums["windows"] += len(y)
        self.sums["chance"] += float(block.probability.sum())

    def metrics(self):
        return self.sums

@hookimpl
def register_suites(register):
    register(SuiteInfo("walk", baseline="naive"), lambda data: Walk())

@hookimpl
def register_models(register):
    register(ModelInfo("learner", modes=("full",), model_type="statistical", output="probabilities"), Learner)

@hookimpl
def register_dialects(register):
    register(INFO, lambda: Dialect(INFO, Odds))

INFO = DialectInfo("odds", metrics=("Brier", "windows", "chance"))
"""
GIVEN = [3 * (80 + 8 * fold - 1) for fold in range(5)]
"""Values that a fold of all three series learns from."""
RUN = ["run", "-s", "walk", "--json", "--progress", "none"]


@pytest.fixture
def walk(lab: Lab) -> Lab:
    lab.plugin("walk", WALK)
    return lab


def cells(done: Any) -> dict[str, dict[str, float]]:
    """{model: scores}."""
    assert done.code == 0, done.err
    return {cell["model"]: cell["scores"] for cell in json.loads(done.out)["cells"]}


def test_a_run_that_is_killed_between_folds_resumes(walk: Lab) -> None:
    """Killed in fold 3 of 5, the cell is made anew, all folds of it, once; its scores are those of a run that nothing disturbed."""
    plain = cells(walk.run(*RUN, "-m", "learner", "--db", "plain.duckdb"))
    log = walk.site / "log"
    assert [int(line) for line in log.read_text().split()] == GIVEN
    log.unlink()
    (walk.site / "kill").write_text(str(GIVEN[2]))
    killed = walk.run(*RUN, "-m", "learner", "--save-forecasts", "--isolation", "process")
    assert killed.code == -9
    assert [int(line) for line in log.read_text().split()] == GIVEN[:3]
    log.unlink()
    again = cells(walk.run(*RUN, "-m", "learner", "--save-forecasts"))
    assert [int(line) for line in log.read_text().split()] == GIVEN
    assert again["learner"] == plain["learner"]
    assert again["learner"]["odds:chance"] == pytest.approx(sum(12 * given / 1000 for given in GIVEN))
    assert walk.query("SELECT count(*), count(DISTINCT cell_id) FROM cells") == [(1, 1)]
    assert walk.query("SELECT count(*) FROM windows") == [(60,)]
    assert walk.leftovers() == []
    third = walk.run(*RUN, "-m", "learner", "--save-forecasts")
    assert cells(third) == again
    assert len(log.read_text().split()) == len(GIVEN)  # nothing was learnt again


def test_a_limited_run_has_the_folds_of_its_series(walk: Lab) -> None:
    """With one of three series each fold still learns from all that the protocol gives it."""
    found = cells(walk.run(*RUN, "-m", "learner,naive", "--limit", "1"))
    assert found["learner"]["odds:windows"] == found["naive"]["odds:windows"] == 20
    assert found["learner"]["odds:chance"] == pytest.approx(sum(4 * given / 1000 for given in GIVEN))
    assert walk.query("SELECT DISTINCT scope FROM cells") == [("limit=1",)]


def test_kept_forecasts_give_the_scores_of_the_run_and_an_ensemble(walk: Lab) -> None:
    pytest.importorskip("harness_ensemble", reason="the ensemble is not installed: pip install harness-ensemble")
    found = cells(walk.run(*RUN, "-m", "learner,naive,drift", "--save-forecasts"))
    rows = json.loads(walk.run("score", "--dialect", "odds", "--json").expect(0).out)["scores"]
    scores = {row["model"]: {f"odds:{name}": value for name, value in row["scores"].items()} for row in rows}
    for model, wanted in found.items():
        assert scores[model] == {name: pytest.approx(value) for name, value in wanted.items() if name.startswith("odds:")}
    mixed = "ensemble[of=learner+naive+drift,how={}]"
    names = [mixed.format(how) for how in ("mean", "median", "backtest")]
    done = walk.run(*RUN, "-m", ",".join(names), "--save-forecasts")
    assert done.code == 0, done.err
    told = json.loads(done.out)["cells"]
    answers = {next((how for how in ("mean", "backtest") if f"how={how}" in cell["model"]), "median"): cell for cell in told}
    assert answers["backtest"]["status"] == "skipped"
    assert "how=backtest weighs members by their losses on values, and this task asks for the probability" in answers["backtest"]["reason"]
    chances = {model: kept(walk, model) for model in ("learner", "naive", "drift")}
    three = np.stack([*chances.values()])
    assert len(np.unique(three)) > 20
    for how, together in (("mean", np.mean), ("median", np.median)):
        chance = kept(walk, answers[how]["model"])
        np.testing.assert_allclose(chance, together(three, axis=0), atol=1e-7)
        assert answers[how]["scores"]["odds:chance"] == pytest.approx(chance.sum())


def kept(lab: Lab, model: str) -> Any:
    """The kept probabilities of a model [N]."""
    program = f"""
    import harness
    table = harness.load("harness.duckdb").forecasts({model!r}, "up").to_pandas()
    print(table[table.step == 1].probability.tolist())
    assert (table[table.step == 2].probability.tolist() == table[table.step == 1].probability.tolist())
    """
    done = lab.python(program)
    assert done.code == 0, done.err
    return np.array(json.loads(done.out))


def test_a_result_in_folds_can_be_repeated(walk: Lab) -> None:
    cells(walk.run(*RUN, "-m", "learner", "--save-forecasts"))
    ((cell,),) = walk.query("SELECT cell_id FROM cells")
    walk.run("replay", cell[:12]).expect(0)


def test_a_model_of_events_alone_says_so_on_a_task_of_values(walk: Lab) -> None:
    done = walk.run("run", "-m", "learner,naive", "-s", "quick", "-t", "us_births/M/short")
    done.expect(3, "learner: learnt anew for each task, which is mode full; not run in mode zero-shot")
    assert "predict returned probabilities on a task of values, which asks for no event" in " ".join((done.out + done.err).split())


def keep(path: Path, chances: Any, values: float = np.nan) -> KeptFile:
    """Kept forecasts of four windows with two levels and one step."""
    n = len(chances)
    columns = {
        "window": pa.array(range(n), pa.int64()),
        "quantiles": pa.FixedSizeListArray.from_arrays(pa.array(np.full(2 * n, values, np.float32)), 2),
        "mean": pa.FixedSizeListArray.from_arrays(pa.array(np.full(n, values, np.float32)), 1),
        "probability": pa.array(chances),
    }
    pq.write_table(pa.table(columns), path)
    return KeptFile(path, "r", (0.1, 0.9), 1)


def test_a_file_of_probabilities_is_read_whole_in_part_and_checked(tmp_path: Path) -> None:
    index = np.arange(4)
    file = keep(tmp_path / "a.parquet", [0.1, 0.2, 0.9, 1.0])
    values, means, chances = file.read(index)
    assert np.isnan(values).all() and np.isnan(means).all()
    assert chances is not None and chances.tolist() == [0.1, 0.2, 0.9, 1.0]
    for wrong, says in (
        (([0.1, 1.5, 0, 0], np.nan), "probabilities that are not between 0 and 1"),
        (([0.1, np.nan, 0, 0], 1.0), "probabilities that are not between 0 and 1"),
        ((["0.1"] * 4, 1.0), "probability: string; wanted double"),
    ):
        with pytest.raises(StoreError, match=says):
            keep(tmp_path / "b.parquet", *wrong).read(index)
    data = make_events(items=1, windows=4)
    batch = cut_batch(data, 0, 4, ModelInfo("x"), 0)
    values_too = keep(tmp_path / "c.parquet", [0.4, 0.3, 0.2, 0.1], 5.0)
    files: dict[str, KeptFile] = {"a": file, "c": values_too}
    stored = Stored(data.task.name, files, data.index, data.channel, data.cut)
    places = stored.places(batch.window_ids[[2, 0, 2]])
    for same in (stored, Stored.read(*stored.message())):
        assert same.probabilities("a", places).tolist() == [0.9, 0.1, 0.9]
        assert same.probabilities("c", places).tolist() == [0.2, 0.4, 0.2]
        assert same.forecasts("c", places, [0.5], 1)[0].tolist() == [[[5.0]]] * 3
        with pytest.raises(ForecastError, match="of a on made/H/6/up are probabilities of its event and no values; read them by prob"):
            same.forecasts("a", places, [0.5], 1)
    pq.write_table(pq.read_table(tmp_path / "c.parquet").drop_columns("probability"), tmp_path / "c.parquet")
    with pytest.raises(ForecastError, match="hold no probabilities"):
        Stored.read(*stored.message()).probabilities("c", places)


def test_an_event_reaches_a_process_as_it_reaches_this_one(walk: Lab) -> None:
    found = [cells(walk.run(*RUN, "-m", "learner,drift", "--db", f"{way}.duckdb", "--isolation", way)) for way in ("inprocess", "process")]
    assert found[0] == found[1]
