"""The dialect `spy`: what a run stores is what plain loops say, and its verdict on models of which is known what they know."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from spy_kit import made, write

from harness import Batch, Forecast
from harness.batches import thresholds
from harness.cells import Cell
from harness.dialects import Block, Board, Forecasts, dialect
from harness.errors import PluginError
from harness.events import happened
from harness.execute import forecast_cell
from harness.forecast import F32, F64
from harness.plugins import Plugins
from harness.series import TaskData
from harness.specimens import data_of
from harness.types import Event, ModelInfo, Task
from harness.workers import InProcessWorker
from harness_results.dialects.spy import span
from harness_results.direction.decisions import best_threshold
from harness_tasks.spy.suite import Spy, spy

SPY = dialect("spy")
N = 260 * 4 + 30


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Spy:
    folder = tmp_path_factory.mktemp("prices")
    write(made(N), folder / "shop.csv")
    return spy(folder, years=2)


def opened(suite: Spy, name: str) -> TaskData:
    return suite.open(next(task for task in suite.tasks() if task.name == f"shop/{name}"))


def scored(data: TaskData, p: F64) -> dict[str, float]:
    """The scores of probabilities [N]."""
    levels = np.asarray(data.task.quantile_levels)
    shape = (len(data), len(levels), data.task.horizon)
    empty = np.full(shape, np.nan, np.float32)

    def parts() -> Any:
        for low in range(0, len(data), 100):
            rows = np.arange(low, min(low + 100, len(data)))
            yield rows, empty[rows], empty[rows, 0], p[rows]

    return SPY.score(Forecasts.of(data, levels, parts))


def happenings(data: TaskData) -> F64:
    event = data.task.event
    assert event is not None
    labels = data.series.target.gather(data.channel, data.cut, data.task.horizon)
    return happened(event, labels, thresholds(event, data.series.target, data.channel, data.cut))


class Kept:
    """A sink that keeps the probabilities."""

    def __init__(self) -> None:
        self.p: list[F64] = []

    def write(self, rows: Any) -> None:
        """Rows are of no interest here."""

    def forecasts(self, index: Any, quantiles: F32, mean: F32, probability: F64 | None = None) -> None:
        assert probability is not None
        self.p.append(probability.copy())


class Spread:
    """Quantiles around the newest values of a context: a forecaster of values, whose probabilities the harness reads off."""

    def predict(self, batch: Batch) -> Forecast:
        near = np.array([row[-3:].mean() for row in batch])[:, None, None]
        wide = np.array([row.std() for row in batch])[:, None, None] + 1e-6
        z = np.linspace(-2, 2, len(batch.quantile_levels))[None, :, None]
        return Forecast.from_quantiles(np.repeat(near + z * wide, batch.horizon, axis=2), batch.quantile_levels)


def ran(data: TaskData, model: Any) -> tuple[dict[str, float], F64]:
    """(scores that a run stores, probabilities [N])."""
    worker, kept = InProcessWorker(Plugins()), Kept()
    worker.use(model)
    cell = Cell("", data.task, "m", "m", {}, "zero-shot", "", 0, "", {})
    outcome, _, _ = forecast_cell(cell, data, ModelInfo("m"), worker, kept, [], dialect=SPY)()
    assert outcome.status == "ok", outcome.reason
    return dict(outcome.scores), np.concatenate(kept.p)


def truth(name: str) -> tuple[list[int], list[int], float]:
    """Outcomes, years and the share of events in the training part of the first fold, from the prices themselves, one by one."""
    prices, (question, days, _) = made(N), name.split("/")
    h = int(days[0])

    def event(base: int) -> int:
        """Of the close `base`."""
        if question == "touch":
            return int(np.float32(max(prices.high[base + 1 : base + h + 1]) / prices.close[base] - 1) >= np.float32(0.01))
        ratio = prices.close[base + h] / prices.close[base]
        return int(ratio > 1) if question == "direction" else int(np.float32(ratio - 1) >= np.float32(0.01))

    year = [int(str(day)[:4]) for day in prices.date]
    tested = [t for t in range(N - h + 1) if year[t] >= 2002]
    first = tested[0]
    begin, end = (h if name.endswith("return") else 0), first - 2 * h
    learnt = [event(t) for t in range(begin, end - h)]
    return [event(t - 1) for t in tested], [year[t] for t in tested], sum(learnt) / len(learnt)


@pytest.mark.parametrize("name", ["direction/1d/return", "direction/5d/log-price", "touch/1d/return", "up-threshold/1d/price"])
def test_a_run_stores_what_plain_loops_say(suite: Spy, name: str) -> None:
    data = opened(suite, name)
    scores, p = ran(data, Spread())
    outcome, year, learnt = truth(name)
    assert len(p) == len(outcome)
    pairs = inner = won = inner_won = 0.0
    for i in range(len(p)):
        for j in range(len(p)):
            if outcome[i] > outcome[j]:
                beats = 1.0 if p[i] > p[j] else 0.5 if p[i] == p[j] else 0.0
                pairs, won = pairs + 1, won + beats
                if year[i] == year[j]:
                    inner, inner_won = inner + 1, inner_won + beats
    assert scores["spy:AUC"] == pytest.approx(won / pairs, rel=1e-12)
    assert scores["spy:AUC within folds"] == pytest.approx(inner_won / inner, rel=1e-12)
    n = len(p)
    assert scores["spy:Brier"] == pytest.approx(sum((a - b) ** 2 for a, b in zip(p, outcome, strict=True)) / n, rel=1e-12)
    inside = [min(max(a, 1e-6), 1 - 1e-6) for a in p]
    loss = -sum(math.log(a if b else 1 - a) for a, b in zip(inside, outcome, strict=True)) / n
    assert scores["spy:log-loss"] == pytest.approx(loss, rel=1e-12)
    assert scores["spy:base rate"] == pytest.approx(sum(outcome) / n)
    assert (scores["spy:windows"], scores["spy:events"]) == (n, sum(outcome))
    called = [a > 0.5 for a in p]
    hits = sum(1 for a, b in zip(called, outcome, strict=True) if a and b)
    assert scores["spy:precision"] == pytest.approx(hits / sum(called)) if any(called) else math.isnan(scores["spy:precision"])
    assert scores["spy:recall"] == pytest.approx(hits / sum(outcome))
    first = data.take(np.flatnonzero(data.fold == 0))
    assert scored(first, p[: len(first)])["trained base rate"] == pytest.approx(learnt, rel=1e-12)


def test_trading_follows_the_close(suite: Spy) -> None:
    """Of returns, prices and log prices the same: long where the event is more probable than not, 2 bp a side, every h-th window."""
    prices = made(N)
    start = int(np.flatnonzero(prices.date >= np.datetime64("2002-01-01"))[0])
    found = {}
    for name in ("direction/5d/return", "direction/5d/price", "direction/5d/log-price"):
        data = opened(suite, name)
        p = np.where(np.arange(len(data)) % 3 == 0, 0.9, 0.1)
        found[name] = scored(data, p)
        worth, held = 1.0, 0
        for window in range(0, len(data), 5):
            base = start - 1 + window
            here = int(p[window] > 0.5)
            leave = here if window + 5 >= len(data) else 0
            worth *= 1 + here * (prices.close[base + 5] / prices.close[base] - 1) - 2e-4 * (abs(here - held) + leave)
            held = here
        assert found[name]["net return"] == pytest.approx(worth - 1, rel=1e-4)
        assert found[name]["exposure"] == pytest.approx(np.mean([p[w] > 0.5 for w in range(0, len(data), 5)]))
        assert found[name]["hold net return"] != pytest.approx(found[name]["net return"])
    touch = opened(suite, "touch/1d/return")
    assert math.isnan(scored(touch, np.full(len(touch), 0.5))["Sharpe"])


def test_a_lag_is_no_part_of_the_span(suite: Spy) -> None:
    assert suite.root is not None
    for name, wanted in (("direction/5d/return", 5), ("touch/1d/return", 1)):
        assert span(opened(suite, name).task) == span(opened(spy(suite.root, years=2, lag=2), name).task) == wanted
    assert span(Task("s", "hot/D", "hot", "hot", "", "D", "", 7, 1, 1, event=Event("hot", 3))) == 3
    plain, late = opened(suite, "direction/5d/return"), opened(spy(suite.root, years=2, lag=2), "direction/5d/return")
    p = np.linspace(0.3, 0.7, len(plain))
    ours, theirs = scored(plain, p), scored(late, p)
    # The training part is shorter by the lag, so numbers against its base rate differ a little.
    same = [key for key in ours if key not in ("trained base rate", "Brier skill", "DM p", "loss against base rate")]
    assert {key: theirs[key] for key in same} == pytest.approx({key: ours[key] for key in same}, nan_ok=True)


def told(suite: Spy, name: str, **probabilities: F64) -> str:
    """The verdict on models with these probabilities."""
    data = opened(suite, name)
    each = [scored(data, p) for p in probabilities.values()]
    board = {metric: np.array([[scores[metric]] for scores in each]) for metric in SPY.metrics}
    assert SPY.aggregate is not None
    rows, notes = SPY.aggregate(Board(list(probabilities), [data.task.name], board, None))
    assert rows == []
    (note,) = notes
    return str(note)


def test_the_verdict_on_what_is_known(suite: Spy) -> None:
    name = "direction/1d/return"
    y = happenings(opened(suite, name))
    rng = np.random.default_rng(6)
    knows = np.clip(0.5 + 0.2 * (y - 0.5) + rng.normal(0, 0.1, len(y)), 0.05, 0.95)
    rate, noise = np.full(len(y), 0.52), np.clip(0.52 + rng.normal(0, 0.02, len(y)), 0.01, 0.99)
    said = told(suite, name, seer=knows)
    assert said.startswith("shop/direction/1d/return: of 1 model (")
    assert "better than the base rate: seer (AUC ." in said
    assert "olatility" not in said
    assert "ollapsed" not in said
    said = told(suite, name, guess=noise)
    assert "no model is distinguishable from the base rate at 5 % (1 model, " in said
    said = told(suite, name, seer=knows, wrong=1 - knows, flat=rate, guess=noise)
    assert "better than the base rate: seer (" in said
    assert "; worse: wrong (" in said
    assert said.endswith("Collapsed, one probability whatever they are shown: flat.")
    said = told(suite, "touch/1d/return", flat=rate[: len(opened(suite, "touch/1d/return"))])
    assert said.endswith("Volatility-like: a measure of how much prices move answers this; nothing follows for direction.")


def test_what_is_learnt_anew_each_year_and_then_says_one_thing_has_collapsed(suite: Spy) -> None:
    data = opened(suite, "direction/1d/return")
    assert data.fold is not None
    yearly = (0.5 + 0.02 * data.fold).astype(np.float64)
    found = scored(data, yearly)
    assert (found["collapsed"], found["AUC within folds"], found["AUC p"]) == (1.0, 0.5, 1.0)
    assert found["spread"] == pytest.approx(0.0, abs=1e-12)
    narrow = scored(data, yearly + 0.0004 * (np.arange(len(data)) % 3))
    assert narrow["collapsed"] == 1.0
    assert scored(data, yearly + 0.004 * (np.arange(len(data)) % 3))["collapsed"] == 0.0


def test_thresholds_are_frozen_on_outcomes_that_were_known(suite: Spy) -> None:
    """The last h − 1 outcomes of a fold are known only in the next one, and have no say in its threshold."""
    data = opened(suite, "direction/5d/return")
    assert data.fold is not None
    y, fold = happenings(data), data.fold
    late = np.flatnonzero(fold == 0)[-4:]
    p = np.random.default_rng(3).choice([0.35, 0.45, 0.55], len(data))
    p[fold == 0] = 0.5  # no threshold to choose
    p[late] = np.where(y[late] == 1, 0.5, 0.3)  # 0.4 would be best
    assert (y[late] == 0).any()

    def balanced(dropped: int) -> float:
        limit = np.full(len(data), 0.5)
        for f in np.unique(fold)[1:]:
            before = np.concatenate([np.flatnonzero(fold == g)[: (fold == g).sum() - dropped] for g in range(f)])
            best = best_threshold(p[before], y[before])
            limit[fold == f] = best if np.isfinite(best) else 0.5
        called = p > limit
        return float((called[y == 1].mean() + (~called[y == 0]).mean()) / 2)

    assert scored(data, p)["balanced accuracy frozen"] == pytest.approx(balanced(4), rel=1e-12)
    assert balanced(4) != balanced(0)


def test_what_it_cannot_score() -> None:
    plain = Forecasts.from_arrays([np.arange(9.0)], [0], [8], np.zeros((1, 1, 1)), [0.5])
    with pytest.raises(PluginError, match="scores probabilities of events, and this task asks for none"):
        SPY.score(plain)


def test_old_forecasts_without_a_probability_are_refused(suite: Spy) -> None:
    data = opened(suite, "direction/1d/return")
    rows = np.arange(len(data))
    tally = SPY.tally(Forecasts.of(data, np.array([0.5]), lambda: iter(())))
    nothing = np.zeros((len(data), 1, 1), np.float32)
    with pytest.raises(Exception, match="kept without the probability of the event; make them anew"):
        tally.add(Block(rows, nothing[:, 0], nothing, nothing[:, 0], np.array([0.5])))


def asked(rows: list[F64], event: Event, spacing: int = 1, count: int = 12, freq: str = "D", apart: int = 0) -> TaskData:
    """A question on series that no suite of prices made: `count` windows of each, `spacing` steps apart; each begins `apart` days later."""
    whole = data_of(rows, event.step)
    starts = np.datetime64("2020-01-01T00:00:00") + apart * np.arange(len(rows)) * np.timedelta64(1, "D")
    whole = replace(whole, task=replace(whole.task, freq=freq), series=replace(whole.series, freq=freq, starts=starts))
    channel = np.repeat(np.arange(len(rows), dtype=np.int32), count)
    slot = np.tile(np.arange(count, dtype=np.int32), len(rows))
    cut = whole.series.target.length[channel] - event.step - spacing * (count - 1 - slot.astype(np.int64))
    task = replace(whole.task, kind="event", event=event, dialect="spy")
    return TaskData(task, whole.series, channel, cut, slot, np.arange(len(cut)))


@pytest.mark.parametrize("event", [Event("cold", 2, 0.0), Event("rise", 2, 0.0, "difference"), Event("rise", 2, 0.0, "ratio")])
def test_what_is_no_price_is_scored_and_not_traded(event: Event) -> None:
    rows = [np.random.default_rng(0).normal(0, 5, 60)]  # below −1, and of both signs
    scores = scored(asked(rows, event), np.linspace(0.1, 0.9, 12))
    assert math.isnan(scores["net return"]) and math.isnan(scores["hold Sharpe"])
    assert 0 < scores["Brier"] < 1 and scores["windows"] == 12


def test_several_series_are_not_traded_as_one() -> None:
    rows = [100 * np.exp(np.random.default_rng(k).normal(0, 0.01, 60).cumsum()) for k in range(2)]
    event = Event("rise", 1, 0.0, "ratio")
    assert math.isfinite(scored(asked(rows[:1], event), np.linspace(0.1, 0.9, 12))["net return"])
    assert math.isnan(scored(asked(rows, event), np.linspace(0.1, 0.9, 24))["net return"])


@pytest.mark.parametrize(("spacing", "every"), [(1, 5), (2, 3), (5, 1), (7, 1)])
def test_periods_follow_each_other_whatever_the_distance_of_windows(spacing: int, every: int) -> None:
    prices = 100 * np.exp(np.random.default_rng(0).normal(0, 0.01, 120).cumsum())
    data = asked([prices], Event("rise", 5, 0.0, "ratio"), spacing)
    scores = scored(data, np.full(12, 0.9) + np.linspace(0, 0.05, 12))
    held = [float(np.float32(prices[c + 4]) / np.float32(prices[c - 1])) for c in data.cut[::every].tolist()]
    assert scores["net return"] == pytest.approx(math.prod(held) - 1, abs=1e-3)  # but for the costs
    assert scores["turnover"] == pytest.approx(2 * 252 / (every * spacing) / len(held))


@pytest.mark.parametrize(("freq", "year"), [("B", 252), ("D", 252), ("W-FRI", 52), ("M", 12), ("Q", 4), ("2D", 126), ("H", math.nan)])
def test_a_year_is_that_of_the_steps(freq: str, year: float) -> None:
    prices = 100 * np.exp(np.random.default_rng(0).normal(0, 0.01, 120).cumsum())
    scores = scored(asked([prices], Event("rise", 1, 0.0, "ratio"), 1, 12, freq), np.linspace(0.4, 0.9, 12))
    assert scores["turnover"] == pytest.approx(2 * year / 12, nan_ok=True)
    assert math.isnan(scores["Sharpe"]) == math.isnan(scores["hold Sharpe"]) == math.isnan(year)
    assert math.isfinite(scores["net return"]) and math.isfinite(scores["exposure"])


WALK = 100 * np.exp(np.random.default_rng(4).normal(0, 0.01, 300).cumsum())


@pytest.mark.parametrize("step", [1, 3])
def test_a_series_and_its_copies_are_the_evidence_of_one(step: int) -> None:
    """Windows of one date are one observation, however many series have it: what a copy adds is nothing, and the test says so."""
    event, p = Event("rise", step, 0.0, "ratio"), np.random.default_rng(5).uniform(0.3, 0.7, 200)
    one = scored(asked([WALK], event, count=200), p)
    many = asked([WALK] * 3, event, count=200)
    three = scored(many, np.tile(p, 3))
    for name in ("AUC", "AUC low", "AUC high", "DM p", "loss against base rate", "Brier", "balanced accuracy frozen"):
        assert three[name] == pytest.approx(one[name], rel=1e-9), name
    assert three["AUC p"] == pytest.approx(one["AUC p"], rel=0.3)  # without DeLong's error
    for name in ("AUC DeLong low", "AUC DeLong high", "PT p"):
        assert math.isnan(three[name]) and math.isfinite(one[name])
    mixed = np.random.default_rng(0).permutation(600)
    assert scored(many.take(mixed), np.tile(p, 3)[mixed]) == pytest.approx(three, nan_ok=True)  # whatever order they are stored in


def test_series_with_times_of_their_own_that_are_not_evenly_apart() -> None:
    event, p = Event("rise", 2, 0.0, "ratio"), np.random.default_rng(5).uniform(0.3, 0.7, 200)
    plain = asked([WALK, WALK[::-1].copy()], event, count=200)
    days = np.datetime64("2020-01-01T00:00:00") + np.cumsum(np.arange(300) % 3 + 1) * np.timedelta64(1, "D")
    named = replace(plain, series=replace(plain.series, times=days))
    assert scored(named, np.tile(p, 2)) == pytest.approx(scored(plain, np.tile(p, 2)), nan_ok=True)


def test_means_over_questions_that_say_nothing_of_each_other_are_told() -> None:
    nan = np.full((1, 2), np.nan)
    scores = {name: nan.copy() for name in SPY.metrics} | {"windows": np.full((1, 2), 100.0), "events": np.full((1, 2), 50.0)}
    assert SPY.aggregate is not None
    found = SPY.aggregate(Board(["a"], ["x/direction/1d/return", "x/touch/1d/return"], scores, None))[1]
    assert [getattr(finding, "task", None) for finding in found] == ["x/direction/1d/return", "x/touch/1d/return", ""]
    assert "Volatility-like tasks (1 of 2)" in str(found[-1])
    alone = SPY.aggregate(Board(["a"], ["x/touch/1d/return", "y/touch/1d/return"], scores, None))[1]
    assert "Volatility-like tasks" not in str(alone[-1])


@pytest.mark.parametrize(("area", "question", "said"), [(0.97, "direction", True), (0.93, "direction", False), (0.97, "touch", False)])
def test_what_is_too_good_for_direction_is_to_be_checked(area: float, question: str, said: bool) -> None:
    one = {"windows": 1000.0, "events": 500.0, "AUC": area, "AUC low": area - 0.02, "AUC high": area + 0.02, "AUC p": 1e-9, "DM p": 1e-9}
    scores = {name: np.array([[one.get(name, 0.0)], [0.5 if name == "AUC" else one.get(name, 0.0)]]) for name in SPY.metrics}
    assert SPY.aggregate is not None
    (found,) = SPY.aggregate(Board(["seer", "coin"], [f"x/{question}/1d/return"], scores, None))[1]
    told = "AUC above 0.95: seer. Nobody ranks direction so well; check for a leak (the suite spy[lag=1], docs/spy.md)."
    assert (told in str(found)) == said


def test_series_without_common_dates_have_no_verdict() -> None:
    p = np.random.default_rng(5).uniform(0.3, 0.7, 200)
    data = asked([WALK, WALK], Event("rise", 1, 0.0, "ratio"), count=100, apart=500)
    scores = scored(data, p)
    assert all(math.isnan(scores[name]) for name in ("AUC low", "AUC high", "AUC p", "DM p", "AUC DeLong low", "PT p"))
    assert 0 < scores["AUC"] < 1 and scores["windows"] == 200
    assert SPY.aggregate is not None
    board = Board(["guess"], [data.task.name], {name: np.array([[scores[name]]]) for name in SPY.metrics}, None)
    note = str(SPY.aggregate(board)[1][0])
    assert "no verdict: 200 windows of several series without common dates; wanted 40 dates that series share" in note
    near = asked([WALK, WALK], Event("rise", 1, 0.0, "ratio"), count=100, apart=10)  # 90 of 110 dates are shared
    assert math.isfinite(scored(near, p)["DM p"])


@pytest.mark.parametrize("event", [Event("jump", 1, 1e308, "ratio"), Event("far", 1, math.inf)])
def test_an_event_that_no_window_has_an_outcome_of_is_no_result(event: Event) -> None:
    """The threshold is beyond what a number holds: nothing warns, and the cell fails."""
    data = asked([WALK], event)
    worker = InProcessWorker(Plugins())
    worker.use(Spread())
    cell = Cell("", data.task, "m", "m", {}, "zero-shot", "", 0, "", {})
    outcome, _, _ = forecast_cell(cell, data, ModelInfo("m"), worker, Kept(), [], dialect=SPY)()
    assert (outcome.status, outcome.failure) == ("failed", "data")
    assert f"none of the 12 windows of {data.task.suite}:{data.task.name} has an outcome of the event '{event.name}'" in outcome.reason
    assert ran(asked([WALK], replace(event, above=0.0)), Spread())[0]["spy:windows"] == 12
