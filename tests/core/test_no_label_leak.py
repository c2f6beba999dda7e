"""No label reaches a model: what it is given ends before the cutoff of its own window."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import Lab, write_dataset

from harness import Batch, Forecast
from harness.api import evaluate
from harness.batches import cut_batch, edges, ranges, training_batch
from harness.forecast import Ragged
from harness.series import Channels, SeriesSet, TaskData, rolling
from harness.types import ModelInfo, Task

# As pandas adds them; "A" and "Q" keep the day of the month, like the starts of the field's datasets.
OFFSETS: dict[str, Any] = {
    "H": pd.DateOffset(hours=1),
    "15T": pd.DateOffset(minutes=15),
    "D": pd.DateOffset(days=1),
    "W": pd.DateOffset(weeks=1),
    "M": pd.DateOffset(months=1),
    "Q": pd.DateOffset(months=3),
    "A": pd.DateOffset(years=1),
}


@st.composite
def datasets(draw: st.DrawFn) -> tuple[TaskData, ModelInfo]:
    """Ragged series whose every value says which channel and position it is: channel · 10⁴ + position + 1."""
    variates, items = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    windows, horizon = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    lengths = [draw(st.integers(windows * horizon + 1, 40)) for _ in range(items)]
    rows = [np.arange(lengths[c // variates]) + 1 + 10_000 * c for c in range(items * variates)]
    covariates = draw(st.integers(0, 2))
    past = [-(np.arange(lengths[c // covariates]) + 1 + 10_000 * c) for c in range(items * covariates)] if covariates else None
    freq = draw(st.sampled_from(sorted(OFFSETS)))
    series = SeriesSet(
        pa.array([f"item-{i}" for i in range(items)]),
        np.array([np.datetime64("2001-01-28", "s") + np.timedelta64(i, "D") for i in range(items)]),
        freq,
        variates,
        Channels.from_ragged(Ragged.from_rows(rows)),
        Channels.from_ragged(Ragged.from_rows(past)) if past else None,
    )
    task = Task("s", "d/x/short", "d", "d", "Nature", freq, "short", horizon, 1, variates)
    data = rolling(task, series, windows)
    if draw(st.booleans()):
        chosen = draw(st.lists(st.integers(0, items - 1), min_size=1, unique=True))
        data = data.limited(np.sort(np.array(chosen, np.int64)))
    info = ModelInfo(
        "m",
        max_context=draw(st.none() | st.integers(1, 20)),
        covariates=("past",) if draw(st.booleans()) else (),
        multivariate=draw(st.booleans()),
    )
    return data, info


@settings(max_examples=150, deadline=None)
@given(datasets(), st.none() | st.integers(1, 9), st.integers(0, 2**63 - 1))
def test_batches_end_before_their_cutoffs(made: tuple[TaskData, ModelInfo], size: int | None, seed: int) -> None:
    data, info = made
    task, series = data.task, data.series
    pieces = list(ranges(data, info, size))
    assert [a for a, _ in pieces] == [0, *(b for _, b in pieces[:-1])]
    assert pieces[-1][1] == len(data)
    whole = cut_batch(data, 0, len(data), info, seed)
    assert len(set(whole.window_ids.tolist())) == len(data)
    assert len(set(whole.seeds.tolist())) == len(data)
    for low, high in pieces:
        assert {low, high} <= set(edges(data, info).tolist())
        batch = cut_batch(data, low, high, info, seed)
        assert len(batch) == high - low
        assert batch.horizon == task.horizon
        np.testing.assert_array_equal(batch.window_ids, whole.window_ids[low:high])
        np.testing.assert_array_equal(batch.seeds, whole.seeds[low:high])
        np.testing.assert_array_equal(batch.group, whole.group[low:high])
        for row, context in enumerate(batch):
            channel, cut = int(data.channel[low + row]), int(data.cut[low + row])
            begin = 0 if info.max_context is None else max(0, cut - info.max_context)
            np.testing.assert_array_equal(context, np.arange(begin, cut) + 1 + 10_000 * channel)
            item = channel // series.variates
            start = pd.Timestamp(series.starts[item]) + begin * OFFSETS[series.freq]
            assert pd.Timestamp(batch.starts[row]) == start, (series.freq, begin)
            given_past = series.past_count if "past" in info.covariates else 0
            assert len(batch.past_covariates) == given_past
            for k, covariate in enumerate(batch.past_covariates):
                np.testing.assert_array_equal(covariate[row], -(np.arange(begin, cut) + 1 + 10_000 * (item * given_past + k)))
    if info.multivariate:
        for group in set(whole.group.tolist()):
            rows = np.flatnonzero(whole.group == group)
            assert len(rows) == series.variates
            assert len({next(p for p in pieces if p[0] <= r < p[1]) for r in rows}) == 1


@settings(max_examples=60, deadline=None)
@given(datasets(), st.sampled_from(["finetune", "few-shot:0.3", "few-shot:0.01", "few-shot:1"]))
def test_training_ends_before_the_first_cutoff(made: tuple[TaskData, ModelInfo], mode: str) -> None:
    data, info = made
    train = training_batch(data, info, mode, 0)
    assert len(train) == len(set(data.channel.tolist()))
    for row, context in enumerate(train):
        channel = int(context[0] - 1) // 10_000
        first = int(data.cut[data.channel == channel].min())
        share = float(mode.partition(":")[2] or 1)
        begin = first - max(1, int(np.ceil(first * share)))
        np.testing.assert_array_equal(context, np.arange(begin, first) + 1 + 10_000 * channel)
        start = pd.Timestamp(data.series.starts[channel // data.series.variates]) + begin * OFFSETS[data.series.freq]
        assert pd.Timestamp(train.starts[row]) == start


ECHO = """
class Echo:
    '''Forecasts follow from every value it is given, and from nothing else.'''
    def predict(self, batch):
        values, mask = batch.padded(fill=0.0)
        sums = (values * np.arange(1, values.shape[1] + 1, dtype=np.float64)[None, ::-1]).sum(axis=1)
        extra = batch.starts.astype("int64") % 1000 + batch.seeds.astype("float64") / 2**64 + batch.contexts.lengths
        return Forecast.from_points(np.repeat((sums + extra)[:, None], batch.horizon, axis=1))

@hookimpl
def register_models(register):
    register(ModelInfo("echo"), Echo)
    register(ModelInfo("echo_short", max_context=16, multivariate=True), Echo)
"""


@pytest.mark.parametrize("isolation", ["process", "inprocess"])
def test_later_values_change_no_earlier_forecast(lab: Lab, isolation: str) -> None:
    """Two datasets that differ only from a position on: forecasts of windows cut there or before are the same bits."""
    lab.plugin("mine", ECHO)
    rng = np.random.default_rng(0)
    rows = [rng.normal(size=n).cumsum().astype(np.float32) for n in (200, 173, 111)]  # weekly; W = ceil(0.1 · 111 / 8) = 2, H = 8
    changed = [row.copy() for row in rows]
    for row in changed:
        row[-8:] = 1e6  # the labels of the last window
    forecasts = {}
    for name, made in (("old", rows), ("new", changed)):
        write_dataset(lab.folder / name / "us_births" / "W", [r.tolist() for r in made], "W-SUN")
        db = lab.folder / f"{name}.duckdb"
        where = ("-s", "gift-eval", "--data", str(lab.folder / name), "--db", str(db))
        lab.models("echo,echo_short", "--save-forecasts", "--isolation", isolation, *where, tasks="us_births/W/short").expect(0)
        forecasts[name] = read_forecasts(lab, db)
    assert set(forecasts["old"]) == {"echo", "echo_short"}
    for model, table in forecasts["old"].items():
        assert table.num_rows == 6
        assert table.equals(forecasts["new"][model]), model
    ids = [{r[0] for r in lab.query("SELECT cell_id FROM cells", lab.folder / f"{n}.duckdb")} for n in ("old", "new")]
    assert not ids[0] & ids[1], "changed data must be another cell"
    # The other way about: a change before the cutoff does reach the model, so the test can see a difference.
    rows[0][-20] += 1
    write_dataset(lab.folder / "old" / "us_births" / "W", [r.tolist() for r in rows], "W-SUN")
    where = ("-s", "gift-eval", "--data", str(lab.folder / "old"), "--db", str(lab.folder / "third.duckdb"))
    lab.models("echo", "--save-forecasts", *where, tasks="us_births/W/short").expect(0)
    assert not read_forecasts(lab, lab.folder / "third.duckdb")["echo"].equals(forecasts["old"]["echo"])


@pytest.mark.parametrize("size", [None, 1])
def test_in_this_process_a_batch_is_no_view_of_the_dataset(size: int | None) -> None:
    """Else a model could change the data of the next, and find the labels behind its context."""
    seen = []

    def model(batch: Batch) -> Forecast:
        forecast = Forecast.from_points(np.array([[row[-1]] * batch.horizon for row in batch]))
        base = batch.contexts.values
        while isinstance(base, np.ndarray) and base.base is not None:
            base = base.base
        seen.append(base.nbytes)
        batch.contexts.values[:] = 7
        return forecast

    data = evaluate(model, "us_births/M/short", batch_size=size)
    wanted = [240 - 24, 240 - 12] if size else [2 * 240 - 36]
    assert seen == [4 * n for n in wanted]
    assert data.scores["MASE[0.5]"] == evaluate("naive", "us_births/M/short").scores["MASE[0.5]"]


def read_forecasts(lab: Lab, db: Path) -> dict[str, pa.Table]:
    """Stored forecasts by model, in the order of the windows."""
    files = lab.query("SELECT model, forecasts FROM cells", db)
    return {model: pq.read_table(db.parent / file).sort_by("window") for model, file in files}


def test_changed_data_is_stale_and_made_anew(lab: Lab) -> None:
    where = ("-s", "gift-eval", "--data", str(lab.folder / "data"))
    target = np.arange(150.0)
    ids = []
    for last in (1.0, 2.0):
        target[-1] = last
        write_dataset(lab.folder / "data" / "us_births" / "W", [target.tolist()], "W-SUN")
        cell = lab.models("naive", *where, tasks="us_births/W/short").expect(0).cells()["naive", "us_births/W/short"]
        assert not cell["cached"]
        ids.append(cell["id"])
    assert ids[0] != ids[1]
    assert lab.query("SELECT cell_id, superseded_by FROM cells ORDER BY finished_at") == [(ids[0], ids[1]), (ids[1], None)]
