"""Samples and other levels than the asked ones, through the whole path, beside gluonts on the same forecasts."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import harness
from harness.forecast import Batch, Forecast

TASK = "m4_hourly/H/short"
LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)


def samples(count: int) -> Callable[[Batch], Forecast]:
    def model(batch: Batch) -> Forecast:
        last = np.array([row[-1] for row in batch])
        noise = np.stack([np.random.default_rng(seed).normal(0, 50, (count, batch.horizon)) for seed in batch.seeds])
        return Forecast.from_samples(last[:, None, None] + noise)

    return model


def other_levels(batch: Batch) -> Forecast:
    last = np.array([row[-1] for row in batch])
    spread = np.array([-90.0, -30.0, 0.0, 25.0, 120.0])[None, :, None] * np.ones((len(last), 1, batch.horizon))
    return Forecast.from_quantiles(last[:, None, None] + spread, LEVELS)


def by_gluonts(model: Callable[[Batch], Forecast]) -> dict[str, float]:
    evaluation = pytest.importorskip("gluonts.model.evaluation", reason="gluonts is not installed: pip install gluonts")
    import pandas as pd
    from gluonts.ev import metrics as gm
    from gluonts.model.forecast import QuantileForecast, SampleForecast

    from harness.batches import cut_batch
    from harness.types import ModelInfo
    from harness_tasks.quick import quick

    suite = quick(None)
    data = suite.open(next(t for t in suite.tasks() if t.name == TASK))
    batch = cut_batch(data, 0, len(data), ModelInfo("m"), 0)
    answer = model(batch)
    start = pd.Period("2020-01-01", "h")
    forecasts: list[Any] = [
        SampleForecast(values, start) if answer.kind == "samples" else QuantileForecast(values, start, [str(level) for level in LEVELS])
        for values in answer.values
    ]
    labels = data.series.target.gather(data.channel, data.cut, data.task.horizon)
    test_data = SimpleNamespace(
        input=[{"start": start, "target": row} for row in batch], label=[{"start": start, "target": row} for row in labels]
    )
    metrics = [gm.MASE(), gm.MSIS(), gm.MSE("mean"), gm.MeanWeightedSumQuantileLoss([k / 10 for k in range(1, 10)])]
    table = evaluation.evaluate_forecasts(
        forecasts,
        test_data=test_data,
        metrics=metrics,
        seasonality=24,
    )
    return {name: float(table[name].iloc[0]) for name in table.columns}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("model", [samples(100), samples(7), samples(1), other_levels], ids=["100", "7", "1", "levels"])
@pytest.mark.parametrize("batch_size", [None, 5])
def test_scores_are_those_of_gluonts(model: Callable[[Batch], Forecast], batch_size: int | None) -> None:
    theirs = by_gluonts(model)
    ours = harness.evaluate(model, TASK, batch_size=batch_size).scores
    for name, value in theirs.items():
        assert ours[name] == pytest.approx(value, rel=1e-5), name


def test_a_model_that_changes_its_way_of_answering() -> None:
    """Each batch another kind: the interval of a block comes from both, whatever the batches."""

    def fickle(batch: Batch) -> Forecast:
        if int(batch.window_ids[0]) % 2:
            return other_levels(batch)
        last = np.array([row[-1] for row in batch])
        return Forecast.from_quantiles(
            last[:, None, None] + np.arange(9)[None, :, None] * np.ones((1, 1, batch.horizon)), batch.quantile_levels
        )

    scores = harness.evaluate(fickle, TASK, batch_size=1).scores
    assert np.isfinite(scores["MSIS"])
