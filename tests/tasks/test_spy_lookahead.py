"""Features and models that look ahead are found out: by altered prices, by a lag, by a search of their memory, by windows one at a time."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from spy_kit import made, write

from harness import Batch, Forecast
from harness.api import evaluate
from harness.batches import cut_batch
from harness.events import happened
from harness.forecast import F64
from harness.plugins import load
from harness.sentinels import judge, peek, run_sentinels
from harness.types import ModelInfo
from harness_results.direction.discrimination import auroc
from harness_tasks.spy import targets
from harness_tasks.spy.lookahead import Feature, peeking
from harness_tasks.spy.prices import Prices, read_prices
from harness_tasks.spy.suite import spy

PAST = ModelInfo("m", covariates=("past",))


def tomorrow(prices: Prices) -> F64:
    """The next session's return: a column that was shifted the wrong way."""
    found = np.full(len(prices), np.nan)
    found[:-1] = np.diff(prices.close) / prices.close[:-1]
    return found


def centred(prices: Prices) -> F64:
    """A moving average around each session."""
    found: F64 = np.convolve(prices.close, np.full(5, 0.2), mode="same").astype(np.float64)
    return found


def scaled(prices: Prices) -> F64:
    """Standardised by the whole series."""
    return (prices.close - prices.close.mean()) / prices.close.std()


def test_features_that_look_ahead_are_named() -> None:
    planted = {"tomorrow": tomorrow, "centred": centred, "scaled": scaled, **targets.COVARIATES}
    found = peeking(planted, made(400))
    assert set(found) == {"tomorrow", "centred", "scaled"}
    assert found["scaled"] == "2000-01-03"
    assert peeking({"tomorrow": tomorrow}, made(400), [10, 20]) == {"tomorrow": str(made(400).date[10])}
    series: dict[str, Feature] = {
        "return": partial(targets.simple_return, h=5),
        "touch": partial(targets.high_touch, h=5),
        "price": targets.price,
    }
    assert peeking(series, made(400)) == {}
    with pytest.raises(ValueError, match=r"sessions \[399\] of 400; wanted positions from 0 to 398"):
        peeking(planted, made(400), [399])
    with pytest.raises(ValueError, match=r"feature 'one' has shape \(\); wanted \(400,\)"):
        peeking({"one": lambda prices: prices.close[0]}, made(400))


def test_features_of_the_real_files_do_not_look_ahead(real_data: Path) -> None:
    prices = read_prices(real_data / "spy/spy_daily.csv", real_data / "spy/spy_factors.csv")
    assert peeking(targets.COVARIATES, prices) == {}


def areas(folder: Path, name: str, feature: str, sign: float = 1.0) -> dict[int, float]:
    """{lag: area under the ROC curve of a feature's last value}, of all windows."""
    found = {}
    for lag in (0, 1):
        suite = spy(folder, years=2, lag=lag)
        data = suite.open(next(task for task in suite.tasks() if task.name == f"shop/{name}"))
        batch = cut_batch(data, 0, len(data), PAST, 0)
        rows = batch.past_covariates[batch.past_names.index(feature)]
        event = data.task.event
        assert event is not None
        labels = data.series.target.gather(data.channel, data.cut, data.task.horizon)
        found[lag] = auroc(sign * rows.values[rows.offsets[1:] - 1], happened(event, labels, np.full(len(data), event.above)))
    return found


def clustered(n: int) -> Prices:
    """Prices whose moves grow and shrink slowly, as those of markets do: something that an honest feature knows."""
    plain = made(n)
    calm = 0.3 + 1.4 * (np.sin(np.arange(n) / 40) > 0)
    close = 100 * np.exp(np.cumsum(np.diff(np.log(plain.close), prepend=np.log(100)) * calm))
    high, low = close * (plain.high / plain.close) ** calm, close * (plain.low / plain.close) ** calm
    return Prices(plain.date, np.clip(plain.open / plain.close * close, low, high), high, low, close, plain.volume)


def test_a_lag_ends_what_a_look_ahead_has_and_leaves_what_is_honest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(targets.COVARIATES, "tomorrow", tomorrow)
    write(clustered(260 * 5), tmp_path / "shop.csv")
    peeked = areas(tmp_path, "direction/1d/return", "tomorrow")
    assert peeked[0] == 1.0
    assert peeked[1] == pytest.approx(0.5, abs=0.06)
    honest = areas(tmp_path, "touch/1d/return", "atr14")
    assert honest[0] > 0.65
    assert honest[1] > honest[0] - 0.03


class Neighbour:
    """Windows a session apart: the label of each is the last value of the next one's context, in the same batch."""

    def predict(self, batch: Batch) -> Forecast:
        newest = np.array([row[-1] for row in batch])
        return Forecast.from_probabilities(np.append(np.where(newest[1:] > 0, 0.9, 0.1), 0.5))


def test_a_model_that_reads_its_neighbours_labels_has_nothing_when_windows_come_alone() -> None:
    task: dict[str, Any] = {"task": "spy-sample/direction/1d/return", "suite": "spy[since=2021]"}
    together = evaluate(Neighbour(), **task).scores["spy:AUC"]
    assert together > 0.99
    alone = evaluate(Neighbour(), **task, batch_size=1).scores
    assert alone["spy:AUC"] == 0.5
    assert alone["spy:collapsed"] == 1


def test_the_peeking_sentinel_on_an_event(monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds the label where the series shares its process, and is found out; that no series is near a model in a run, others test."""
    suite = spy(None)
    data = suite.open(next(task for task in suite.tasks() if task.name == "spy-sample/direction/5d/log-price"))
    last = data.take(np.array([len(data) - 1]))  # another window's context would hold the label
    names = ("naive", "peeking")
    # Where the series lies, in place of all memory of this process, which takes half a minute to search.
    monkeypatch.setattr(peek, "_memory", lambda overlap: iter([np.asarray(data.series.target[0]).tobytes()]))
    inside = run_sentinels(load(), last, isolation="inprocess", names=names)
    assert inside["peeking"].notes["found"] == "1"
    assert [line.state for line in judge(last, inside, walks=False)] == ["ok", "bad"]
