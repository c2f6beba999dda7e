"""The sentinels are where theory puts them, and a harness that is broken on purpose is found out."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Lab

import harness.execute
import harness.sentinels.examine
import harness.workers
from harness import Batch, scoring
from harness.batches import cut_batch
from harness.forecast import Ragged
from harness.plugins import Plugins, load
from harness.sentinels import Seen, judge, made_task, quick_task, run_sentinels
from harness.sentinels.answers import Labels, labels_of
from harness.sentinels.examine import plain_scores
from harness.sentinels.models import INFOS
from harness.sentinels.peek import Needle, peek
from harness.series import Channels, TaskData
from harness.wire import write_batch

HERE: dict[str, Any] = {"isolation": "inprocess", "names": ("oracle", "naive", "constant", "shuffled")}
"""For faults that show without a process of its own."""


@pytest.fixture(scope="module")
def walks() -> TaskData:
    return made_task(7)


@pytest.fixture(scope="module")
def seen(walks: TaskData) -> dict[str, Seen]:
    return run_sentinels(load(), walks)


def bad(data: TaskData, found: dict[str, Seen], walk: bool = True) -> dict[str, str]:
    """{sentinel that is not where it must be: what is said}."""
    return {line.text.split()[1]: line.text for line in judge(data, found, walk) if line.state == "bad"}


def test_sentinels_are_where_theory_puts_them(walks: TaskData, seen: dict[str, Seen]) -> None:
    assert bad(walks, seen) == {}
    assert (seen["oracle"].mase, seen["oracle"].crps) == (0.0, 0.0)
    assert 0 < seen["naive"].mase < seen["shuffled"].mase < seen["constant"].mase
    assert seen["naive"].crps < min(seen["shuffled"].crps, seen["constant"].crps)
    assert np.array_equal(seen["peeking"].quantiles, seen["naive"].quantiles)
    assert seen["peeking"].notes["found"] == "0"
    assert "MiB of memory" in seen["peeking"].notes["searched"]


def test_on_real_data_too() -> None:
    data = quick_task(load())
    assert len(data) == len(np.unique(data.channel)) == 16
    assert bad(data, run_sentinels(load(), data), walk=False) == {}


def test_sentinels_are_no_models_of_the_environment(seen: dict[str, Seen]) -> None:
    assert not set(INFOS) & set(Plugins().models)


def test_in_this_process_the_labels_are_found(walks: TaskData) -> None:
    """So the search can find something, and the verdict can be bad."""
    found = run_sentinels(load(), walks, isolation="inprocess", names=("naive", "peeking"))
    assert found["peeking"].notes["found"] == "16"
    assert "memory" in found["peeking"].notes["where"].split(", ")
    assert (found["peeking"].mase, found["peeking"].crps) == (0.0, 0.0)
    said = bad(walks, found)
    assert set(said) == {"peeking"}
    assert "found the labels of 16 windows; WRONG: it found labels in: " in said["peeking"]


def test_a_wrong_sign_in_the_scorer_is_found(walks: TaskData, monkeypatch: pytest.MonkeyPatch) -> None:
    real = scoring.score

    def wrong(block: scoring.Block, metrics: Any) -> scoring.Scores:
        return real(replace(block, labels=-block.labels), metrics)

    monkeypatch.setattr(harness.execute.scoring, "score", wrong)
    assert set(bad(walks, run_sentinels(load(), walks, **HERE))) == {"oracle", "naive", "constant", "shuffled"}


def test_a_wrong_weight_of_the_levels_is_found(walks: TaskData, monkeypatch: pytest.MonkeyPatch) -> None:
    real = scoring._Workspace.__init__

    def wrong(self: Any, levels: tuple[float, ...], horizon: int) -> None:
        real(self, levels, horizon)
        self.tilt = self.tilt + 0.2

    monkeypatch.setattr(scoring._Workspace, "__init__", wrong)
    monkeypatch.setattr(scoring, "_local", type("Local", (), {})())
    said = bad(walks, run_sentinels(load(), walks, **HERE))
    assert set(said) == {"naive", "constant"}  # the errors of all shuffled labels add up to 0
    assert "a plain loop gives CRPS" in said["naive"]


@pytest.mark.parametrize("by", [-1, 1])
def test_labels_that_are_shifted_by_one_are_found(walks: TaskData, monkeypatch: pytest.MonkeyPatch, by: int) -> None:
    real = Channels.gather

    def wrong(self: Channels, channel: Any, at: Any, steps: int) -> Any:
        return real(self, channel, np.minimum(at + by, self.length[channel] - steps), steps)

    monkeypatch.setattr(Channels, "gather", wrong)
    shorter = replace(walks, cut=walks.cut - 5)
    said = bad(shorter, run_sentinels(load(), shorter, **HERE))
    assert {"oracle", "naive"} <= set(said)
    assert "the labels themselves must score exactly 0" in said["oracle"]


@pytest.mark.parametrize("by", [-1, 1])
def test_contexts_that_are_shifted_by_one_are_found(walks: TaskData, monkeypatch: pytest.MonkeyPatch, by: int) -> None:
    def wrong(data: TaskData, *rest: Any) -> Batch:
        return cut_batch(replace(data, cut=data.cut + by), *rest)

    monkeypatch.setattr(harness.execute, "cut_batch", wrong)
    shorter = replace(walks, cut=walks.cut - 5)
    assert "its forecast is not the last value before each cutoff" in bad(shorter, run_sentinels(load(), shorter, **HERE))["naive"]


def test_labels_that_are_given_to_the_model_are_found(walks: TaskData, monkeypatch: pytest.MonkeyPatch) -> None:
    def longer(data: TaskData, low: int, high: int, *rest: Any) -> Batch:
        batch = cut_batch(data, low, high, *rest)
        rows = [data.series.target[channel] for channel in data.channel[low:high]]
        return replace(batch, contexts=Ragged.from_rows(rows))

    monkeypatch.setattr(harness.execute, "cut_batch", longer)
    assert set(bad(walks, run_sentinels(load(), walks, **HERE))) == {"naive"}


def test_labels_that_lie_behind_the_message_are_found(walks: TaskData, monkeypatch: pytest.MonkeyPatch) -> None:
    """The model is given nothing that it should not have, and shared memory holds more than the message."""

    def careless(region: Any, batch: Batch) -> dict[str, Any]:
        header = write_batch(region, batch)
        whole = b"".join(np.array(walks.series.target[c]).tobytes() for c in range(len(walks.series.target)))
        region.view(header["size"] + len(whole), grow=True)[header["size"] :] = whole
        return header

    monkeypatch.setattr(harness.workers, "write_batch", careless)
    said = bad(walks, run_sentinels(load(), walks, names=("naive", "peeking")))
    assert set(said) == {"peeking"}
    assert "WRONG: it found labels in: files" in said["peeking"]


def test_a_plain_loop_on_numbers_by_hand() -> None:
    data = made_task(0)
    task = replace(data.task, quantile_levels=(0.1, 0.5), horizon=2)
    target = Channels.from_ragged(Ragged.from_rows([[1, 2, 4, np.nan, 5, 7, 9]]))
    one = np.array([0], np.int32)
    series = replace(data.series, item_ids=data.series.item_ids[:1], starts=data.series.starts[:1], target=target)
    small = TaskData(task, series, one, np.array([5]), one, np.array([0]))
    # Steps in the context 1 2 4 – 5: 1 and 2, mean 1.5. Medians 6 and 10 for labels 7 and 9: errors 1 and 1.
    mase, crps = plain_scores(small, np.array([[[5, 9], [6, 10]]], np.float32))
    assert mase == pytest.approx((1 / 1.5 + 1 / 1.5) / 2)
    # Level 0.1: 2 · 0.1 · (2 + 0); level 0.5: 2 · 0.5 · (1 + 1); labels sum to 16.
    assert crps == pytest.approx((0.4 / 16 + 2 / 16) / 2)


def test_the_labels_of_another_window() -> None:
    data = made_task(1)
    labels = labels_of(data)
    for shift in (0, 1):
        worker = Labels(data, shift)
        worker.submit(cut_batch(data, 2, 4, INFOS["sentinel-naive"], 0))
        quantiles, mean, _ = worker.collect(None)
        np.testing.assert_array_equal(mean, labels[2 + shift : 4 + shift])
        np.testing.assert_array_equal(quantiles[:, 3], mean)


def test_what_a_future_looks_like() -> None:
    context = np.cumsum(np.random.default_rng(0).normal(size=40)).astype(np.float32)

    def read(*values: float, context: Any = context, neighbour: Any = ()) -> Any:
        data = np.array(values, np.float32).tobytes()
        return Needle(0, np.dtype(np.float32), b"", context, np.array(neighbour, np.float32), len(values)).read(data, 0)

    last = float(context[-1])
    assert read(last + 1, last, last + 0.5) is not None
    assert read(last + 1, last, last + 0.5, neighbour=[last + 1, last, last + 0.5]) is None  # the next window of the batch
    assert read(last + 1, last, last + 1e6) is None
    assert read(last + 1, last, np.nan) is None
    assert read(last, last, last) is None
    counts = np.arange(40, dtype=np.float32) % 7
    assert read(4, 5, 6, context=counts) is not None
    assert read(4, 5.5, 6, context=counts) is None


def test_what_cannot_be_looked_for_is_left_alone() -> None:
    assert peek(Batch.from_contexts([[1.0, 2.0], [0.0] * 50], 4)).futures == {}


def test_doctor_ends_with_3_where_a_sentinel_is_wrong(lab: Lab) -> None:
    """A wrapper that a plugin puts around every forecast counts as part of what is examined."""
    source = "@hookimpl(wrapper=True)\ndef predict(model, batch):\n    f = yield\n    return Forecast.from_points(f.values[:, 0] + 1)\n"
    lab.plugin("meddles", source)
    program = """
        import harness.doctor, harness.sentinels.examine
        from harness.cli import main
        harness.doctor._data = harness.doctor._known_answer = lambda *_: iter(())
        harness.sentinels.examine.quick_task = lambda plugins: harness.sentinels.examine.made_task(3)
        main(["doctor", "--sentinels"])
    """
    start = time.monotonic()
    done = lab.python(program)
    assert done.code == 3, done.out + done.err
    lines = [line for line in done.out.splitlines() if "sentinel" in line]
    assert [line[0] for line in lines if "oracle" in line] == ["✓", "✓"]
    assert ["its forecast is not the last value before each cutoff" in line for line in lines if " naive " in line] == [True, True]
    assert time.monotonic() - start < 80


def test_nothing_stays_of_the_sentinels(walks: TaskData, seen: dict[str, Seen], tmp_path: Path) -> None:
    import os
    import sys

    def traces() -> Iterator[str]:
        yield from (entry for entry in [*sys.path, os.environ.get("PYTHONPATH", "")] if "harness-sentinels" in entry)

    assert list(traces()) == []
