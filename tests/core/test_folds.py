"""Folds: each has windows of its own, and a model that learns from what its fold gives alone. Contexts that are cut short, or mended."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from support import Lab

from harness import ModelInfo
from harness.batches import cut_batch, fill_gaps, ranges, training_batch
from harness.errors import DataError
from harness.forecast import Ragged
from harness.identity import make_cell
from harness.plugins import load
from harness.series import TaskData, Training
from harness.specimens import data_of, make_data
from harness.types import Task
from harness.wire import Region, read_batch, write_batch

INFO = ModelInfo("x")


def part(*rows: tuple[int, int, int]) -> Training:
    channel, begin, end = np.array(rows, np.int64).reshape(-1, 3).T
    return Training(channel.astype(np.int32), begin, end)


def folded() -> TaskData:
    """Two series of 40 steps, 1000 apart, four windows of two steps each; the newer two of each are fold 1."""
    data = data_of([np.arange(40), 1000 + np.arange(40)], 2, windows=4)
    fold = (data.slot >= 2).astype(np.int32)
    return replace(data, fold=fold, training=(part((0, 0, 30), (1, 10, 32)), part((0, 4, 36), (1, 0, 36), (1, 5, 9))))


def test_a_fold_learns_from_its_own_parts() -> None:
    data = folded()
    assert data.folds.tolist() == [0, 1]
    first, second = (training_batch(data, INFO, "full", 0, fold) for fold in (0, 1))
    assert [row.tolist() for row in first] == [[*range(30)], [*range(1010, 1032)]]
    assert [(row[0], row[-1]) for row in second] == [(4, 35), (1000, 1035), (1005, 1008)]
    assert len(set(second.group.tolist())) == 3
    assert (second.starts - data.series.starts[[0, 1, 1]]).astype("timedelta64[h]").astype(int).tolist() == [4, 0, 5]
    newest = training_batch(data, INFO, "few-shot:0.25", 0, 1)
    assert [row.tolist()[0] for row in newest] == [28, 1027, 1008]
    assert len(training_batch(data, INFO, "ttt", 0, 1)) == 0
    covered = training_batch(data, ModelInfo("y", covariates=("past", "known")), "full", 0, 1)
    assert [len(row) for row in covered.past_covariates[0]] == [32, 36, 4]
    assert [len(row) for row in covered.known_covariates[0]] == [34, 38, 6]


def test_variates_of_an_item_are_learnt_from_together() -> None:
    data = make_data(items=3, variates=2, horizon=3)
    whole = replace(data, training=(part(*((c, 2, 20) for c in range(4))),))
    assert training_batch(whole, INFO, "full", 0).group.tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize("size", [None, 1, 3])
def test_ranges_of_a_fold_are_its_windows(size: int | None) -> None:
    data = folded()
    for fold in (0, 1):
        rows = [row for low, high in ranges(data, INFO, size, fold) for row in range(low, high)]
        assert rows == np.flatnonzero(data.fold == fold).tolist()
    assert [row for low, high in ranges(data, INFO, size) for row in range(low, high)] == [*range(8)]
    kept = data.limited(np.array([1]))
    assert (kept.fold.tolist(), len(kept)) == ([0, 0, 1, 1], 4)
    assert [*ranges(kept, INFO, None, 1)] == [(2, 4)]


def test_a_fold_that_would_learn_from_its_labels_is_refused() -> None:
    data = folded()
    for training, words in (
        ((part((0, 0, 33)), part((0, 0, 36))), "fold 0 would learn from series item 0 up to 33"),
        ((part((0, 0, 30)), part((1, 0, 37))), "fold 1 would learn from series item 1 up to 37"),
        ((part((0, 0, 30)),), "wanted one a fold"),
        ((part((0, 5, 5)), part((0, 0, 3))), "wanted a part of the channel"),
        ((part((1, 0, 41)), part((0, 0, 3))), "wanted a part of the channel"),
    ):
        with pytest.raises(DataError, match=words):
            replace(data, training=training)
    replace(data, training=(part((0, 0, 32)), part((0, 0, 36), (1, 0, 36))))
    mixed = data.take(np.array([7, 0, 6, 1]))  # in no order; item 0 has windows in fold 0 alone, item 1 in fold 1 alone
    replace(mixed, training=(part((0, 0, 32), (1, 0, 40)), part((0, 0, 40), (1, 0, 36))))
    with pytest.raises(DataError, match="fold 1 would learn from series item 1 up to 37"):
        replace(mixed, training=(part((0, 0, 32)), part((0, 0, 40), (1, 0, 37))))


def test_the_variates_of_an_item_are_all_its_labels() -> None:
    data = make_data(items=2, variates=2, horizon=3, windows=1)
    with pytest.raises(DataError, match="would learn"):
        replace(data, training=(part((1, 0, int(data.cut[0]) + 1)),))


def test_contexts_are_cut_to_the_task_and_mended() -> None:
    data = data_of([[1, np.nan, 3, np.nan, np.nan, 6, np.nan, 8, 9, 10]], 2)
    task = replace(data.task, context=5, fill_gaps=1)
    (row,) = cut_batch(replace(data, task=task), 0, 1, INFO, 0)
    np.testing.assert_array_equal(row, [np.nan, np.nan, 6, 7, 8])
    (row,) = cut_batch(replace(data, task=task), 0, 1, ModelInfo("short", max_context=2), 0)
    np.testing.assert_array_equal(row, [np.nan, 8])
    (row,) = training_batch(replace(data, task=task), INFO, "full", 0)
    np.testing.assert_array_equal(row, [1, 2, 3, np.nan, np.nan, 6, 7, 8])


def test_gaps_are_filled_within_a_row_alone() -> None:
    rng = np.random.default_rng(0)
    rows = [np.where(rng.random(n) < 0.5, np.nan, rng.normal(size=n)).astype(np.float32) for n in rng.integers(0, 12, 300)]
    filled = fill_gaps(Ragged.from_rows(rows), 2)
    for before, after in zip(rows, filled, strict=True):
        wanted = before.copy()
        seen = np.flatnonzero(~np.isnan(before))
        for a, b in zip(seen[:-1], seen[1:], strict=True):
            if b - a <= 3:
                wanted[a : b + 1] = np.interp(np.arange(a, b + 1), [a, b], before[[a, b]])
        np.testing.assert_allclose(after, wanted, rtol=1e-5, atol=1e-6)


def test_events_travel() -> None:
    from harness.types import Event

    data = make_data(horizon=3)
    event = Event("up", 2, 0.01, "ratio", inclusive=True)
    batch = cut_batch(replace(data, task=replace(data.task, event=event, context=9)), 0, len(data), INFO, 0)
    region = Region()
    got = read_batch(region, write_batch(region, batch))
    region.close()
    assert got.event == event and got.context_limit == 9
    np.testing.assert_array_equal(got.thresholds, batch.thresholds)


WALK = """
import numpy as np
from dataclasses import replace
from harness import SuiteInfo
from harness.dialects import Dialect
from harness.series import Training
from harness.specimens import data_of
from harness.types import DialectInfo, Event, Metric

def values():
    return np.random.default_rng(0).normal(size=120).cumsum()

class Walk:
    def tasks(self):
        task = data_of([values()], 2, windows=20).task
        task = replace(task, suite="walk", dialect="counts", season_length=1)
        return [task, replace(task, name="up", event=Event("up", 2, relative="difference"))]

    def open(self, task):
        data = data_of([values()], 2, windows=20)
        fold = (data.slot // 5).astype(np.int32)
        training = tuple(Training(np.zeros(1, np.int32), np.zeros(1, np.int64), data.cut[data.slot == 5 * f] - 1) for f in range(4))
        return replace(data, task=task, fold=fold, training=training)

class Learner:
    '''Forecasts how much it was given to learn from, and how often it has learnt.'''
    seen, trained = 0, 0

    def predict(self, batch):
        if batch.event is None:
            return Forecast.from_points(np.full((len(batch), batch.horizon), self.seen))
        return Forecast.from_probabilities(np.full(len(batch), self.seen / 1000))

    def finetune(self, train, budget, seed):
        self.seen, self.trained = len(train.contexts.values), self.trained + 1
        assert self.trained == 1
        return self

    def save(self, folder):
        (folder / "seen.json").write_text(str(self.seen))

class Counts:
    def __init__(self, forecasts):
        self.of, self.sums = forecasts, {"windows": 0, "points": 0.0, "chances": 0.0}

    def add(self, block):
        self.sums["windows"] += len(block)
        self.sums["points"] += float(block.median()[:, 0].sum())
        self.sums["chances"] += 0 if block.probability is None else float(block.probability.sum())
        assert self.of.data.task.dialect == "counts"

    def metrics(self):
        return self.sums

@hookimpl
def register_suites(register):
    register(SuiteInfo("walk", baseline="naive"), lambda data: Walk())

@hookimpl
def register_models(register):
    register(ModelInfo("learner", modes=("full",)), Learner)

@hookimpl
def register_dialects(register):
    register(INFO, lambda: Dialect(INFO, Counts))

INFO = DialectInfo("counts", metrics=("windows", "points", "chances"))
"""


@pytest.mark.parametrize("isolation", ["process", "inprocess"])
def test_each_fold_is_trained_by_itself(lab: Lab, isolation: str) -> None:
    """A cell of four folds: trained four times, on ever more; the task's own dialect scores it, and its events keep their chances."""
    lab.plugin("walk", WALK)
    run = ["run", "-m", "learner", "-s", "walk", "--mode", "full", "--isolation", isolation, "--save-models", "--save-forecasts", "--json"]
    done = lab.run(*run)
    assert done.code == 0, done.err
    cells = {cell["task"]: cell for cell in json.loads(done.out)["cells"]}
    given = [80 + 10 * fold - 1 for fold in range(4)]
    values, event = (cells[name]["scores"] for name in ("made/H/2", "up"))
    assert values["counts:windows"] == event["counts:windows"] == 20
    assert values["counts:points"] == 5 * sum(given)
    assert values["counts:chances"] == 0
    assert event["counts:points"] is None
    assert event["counts:chances"] == pytest.approx(5 * sum(given) / 1000)
    assert event["MASE[0.5]"] is None
    rows = json.loads(lab.run("sql", "SELECT task, metrics, path FROM trained ORDER BY task, created", "--json").out)
    assert sorted(json.loads(row["metrics"]).get("fold", 0) for row in rows if row["task"] == "up") == [0, 1, 2, 3]
    assert len({row["path"] for row in rows}) == 8
    saved = sorted(int((lab.folder / row["path"] / "seen.json").read_text()) for row in rows if row["task"] == "up")
    assert saved == given
    again = lab.run("score", "--dialect", "counts", "--json")
    assert again.code == 0, again.err
    assert "counts" in again.out


def test_the_version_of_a_tasks_dialect_belongs_to_its_results(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their scores are stored: other definitions make other results. Tasks that are scored by the metrics alone are what they were."""
    plugins = load()
    known = plugins.dialects["spy"]
    newer = replace(known, info=replace(known.info, version="next"))
    ids: dict[str, list[str]] = {}
    for entry in (known, newer):
        monkeypatch.setitem(plugins.dialects, "spy", entry)
        for name in ("spy", "gift-eval"):
            task = Task("s", "t", "d", "d", "", "D", "", 1, 1, 1, dialect=name)
            ids.setdefault(name, []).append(make_cell(plugins, task, "data", plugins.model("naive"), {}).id)
    assert ids["spy"][0] != ids["spy"][1]
    assert ids["gift-eval"][0] == ids["gift-eval"][1]
