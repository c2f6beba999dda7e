"""The event model: what it learns, what it must not see, and what it says where there is nothing to learn."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install torch")
transformers: Any = pytest.importorskip("transformers", reason="transformers is not installed: pip install 'transformers>=5,<6'")

import harness_patchtst  # noqa: E402
from harness_patchtst import PatchTSTEvent  # noqa: E402
from harness_patchtst.event_parameters import event_shape  # noqa: E402
from harness_patchtst.event_windows import Look, Pool  # noqa: E402

from harness import Batch, ModelInfo, Ragged, Unsupported, UsageError, hookimpl  # noqa: E402
from harness.batches import cut_batch, training_batch  # noqa: E402
from harness.events import threshold  # noqa: E402
from harness.forecast import F64  # noqa: E402
from harness.plugins import Plugins, load  # noqa: E402
from harness.series import TaskData, Training  # noqa: E402
from harness.specimens import data_of  # noqa: E402
from harness.testing import checks  # noqa: E402
from harness.types import Event  # noqa: E402

TINY: dict[str, Any] = {"d_model": 8, "layers": 1, "heads": 2, "max_steps": 60, "learning_rate": 0.01}
UP = Event("up", 1, 0.0)
T = 16


class Trained:
    """The model as one that only trains: the checks then look at trained forecasts."""

    @hookimpl
    def register_models(self, register: Callable[..., None]) -> None:
        infos: list[ModelInfo] = []
        harness_patchtst.register_models(lambda info, _: infos.append(info))
        register(replace(infos[1], name="patchtst_event_full", modes=("full",)), PatchTSTEvent)


PLUGINS = Plugins()
PLUGINS.register(Trained(), "patchtst_event_full")
LESS = {**TINY, "max_steps": 3, "context_length": 16, "gate": False}


KIT = [c for c in checks("patchtst_event_full", LESS, PLUGINS) if c.name not in ("save", "light_import")]
KIT += [c for c in checks("patchtst_event", LESS) if c.name in ("save", "light_import")]  # need the model as it is registered


@pytest.mark.parametrize("check", KIT, ids=str)
def test_conformance(check: Callable[[], None]) -> None:
    check()


def batch_of(rows: list[F64], event: Event = UP, past: list[list[F64]] | None = None, names: tuple[str, ...] = ()) -> Batch:
    """Windows, or training series, of a task with an event and 16 steps of context."""
    last = np.array([row[np.isfinite(row)][-1] if np.isfinite(row).any() else np.nan for row in rows])
    covariates = tuple(Ragged.from_rows(each) for each in past or [])
    batch = Batch.from_contexts(rows, event.step)
    limit = threshold(event, last)
    return replace(batch, event=event, thresholds=limit, context_limit=T, past_covariates=covariates, past_names=names)


def windows(series: F64, start: int, event: Event = UP, past: list[F64] | None = None, names: tuple[str, ...] = ()) -> Batch:
    """Every window of a series that ends at `start` or later and has a label."""
    cuts = range(start, len(series) - event.step + 1)
    return batch_of([series[c - T : c] for c in cuts], event, [[each[c - T : c] for c in cuts] for each in past or []], names)


def auc(happened: Any, chance: F64) -> float:
    """The share of pairs, one with the event and one without, in which the one with it has the higher probability; ties count half."""
    gap = chance[happened][:, None] - chance[~happened][None, :]
    return float((gap > 0).mean() + (gap == 0).mean() / 2)


def chances(model: Any, batch: Batch) -> F64:
    forecast = model.predict(batch)
    assert forecast.kind == "probabilities"
    return np.asarray(forecast.values[:, 0, 0], np.float64)


def wave(n: int = 900) -> F64:
    return np.asarray(np.sin(np.arange(n) / 3) + 0.3 * np.random.default_rng(0).normal(size=n))


def test_it_learns_what_the_series_says() -> None:
    series = wave()
    model = PatchTSTEvent(**TINY).finetune(batch_of([series[:700]]), "", 0)
    assert model.notes["says"] == "what was learnt" and model.notes["kept"] == "tuned"
    assert auc(series[700:] > 0, chances(model, windows(series, 700))) > 0.9


@pytest.mark.parametrize("relative", ["ratio", "difference"])
def test_it_learns_of_thresholds_that_follow_the_last_value(relative: str) -> None:
    series = 100 + 5 * wave()
    event = Event("up", 3, 0.01 if relative == "ratio" else 1.0, relative)
    model = PatchTSTEvent(**TINY).finetune(batch_of([series[:700]], event), "", 0)
    happened = series[702:] > threshold(event, series[699:-3])
    assert auc(happened, chances(model, windows(series, 700, event))) > 0.85


def wild(n: int = 1200) -> tuple[F64, F64]:
    """Changes whose size is told a step before by a covariate, and by nothing else."""
    rng = np.random.default_rng(1)
    size = np.exp(rng.normal(size=n))
    return np.append(0.0, size[:-1]) * np.abs(rng.normal(size=n)), size


def test_it_learns_what_a_covariate_says() -> None:
    series, size = wild()
    event = Event("touch", 1, 1.0)
    train = batch_of([series[:900]], event, [[size[:900]]], ("size",))
    test = windows(series, 900, event, [size], ("size",))
    happened = series[900:] > 1
    model = PatchTSTEvent(**TINY).finetune(train, "", 0)
    assert auc(happened, chances(model, test)) > 0.7 and model.notes["covariates"] == "size"
    blind = PatchTSTEvent(**TINY, covariates=False).finetune(train, "", 0)
    assert auc(happened, chances(blind, test)) < 0.6 and blind.notes["covariates"] == "none"
    with pytest.raises(Unsupported, match="learnt from the past covariate 'size', and the data has: other"):
        model.predict(replace(test, past_names=("other",)))
    more = replace(test, past_covariates=(test.contexts, *test.past_covariates), past_names=("other", "size"))
    np.testing.assert_array_equal(chances(model, more), chances(model, test))  # found by its name, wherever it stands


def test_of_noise_it_says_the_base_rate() -> None:
    noise = np.random.default_rng(2).normal(size=800) + 0.5
    model = PatchTSTEvent(**TINY).finetune(batch_of([noise[:600]]), "", 0)
    rate = float(str(model.notes["base rate"]))
    assert model.notes["says"] == "base rate" and model.notes["kept"] == "base" and "standard errors" in str(model.notes["why"])
    assert np.abs(chances(model, windows(noise, 600)) - rate).max() < 1e-6
    assert rate == pytest.approx((noise[:600] > 0).mean(), abs=0.04)
    free = PatchTSTEvent(**TINY, gate=False).finetune(batch_of([noise[:600]]), "", 0)
    assert np.ptp(chances(free, windows(noise, 600))) > 0 and "gate=false" in str(free.notes["why"])


def test_a_task_of_values_is_refused() -> None:
    batch = replace(batch_of([wave(100)]), event=None, thresholds=None)
    for call in (lambda: PatchTSTEvent().finetune(batch, "", 0), lambda: PatchTSTEvent().predict(batch)):
        with pytest.raises(Unsupported, match="forecasts events, and this task asks for values"):
            call()
    with pytest.raises(Unsupported, match="no weights of its own"):
        PatchTSTEvent().predict(batch_of([wave(100)]))
    with pytest.raises(Unsupported, match="in mode full"):
        PatchTSTEvent().finetune(batch_of([wave(100)]), "", 0, "finetune")
    with pytest.raises(Unsupported, match="no outcome of the event is known"):
        PatchTSTEvent().finetune(batch_of([np.full(50, np.nan)]), "", 0)


def folds(series: F64, size: F64) -> TaskData:
    """Two folds, which learn from [0, 400) and [0, 600), with ten windows each."""
    data = data_of([series], 2)
    assert data.series.past is not None
    past = replace(data.series.past, chunks=(np.concatenate([size, size]).astype(np.float32),))
    channel, slot = np.zeros(20, np.int32), np.arange(20, dtype=np.int32)
    cut = np.concatenate([404 + np.arange(10), 604 + np.arange(10)])
    training = tuple(Training(np.zeros(1, np.int32), np.array([0]), np.array([end])) for end in (400, 600))
    task = replace(data.task, kind="event", event=Event("touch", 2, 1.0), context=T)
    made = replace(data.series, past=past, past_names=("size", "again"), known=None)
    return TaskData(task, made, channel, cut, slot, slot.astype(np.int64), training, np.repeat(np.arange(2, dtype=np.int32), 10))


def test_a_fold_sees_nothing_later() -> None:
    info = load().model("patchtst_event").info

    def forecast(data: TaskData, fold: int, count: int) -> F64:
        model = PatchTSTEvent(**TINY, gate=False).finetune(training_batch(data, info, "full", 0, fold), "20steps", 0)
        return chances(model, cut_batch(data, 10 * fold, 10 * fold + count, info, 0))

    series, size = wild(700)
    before = [forecast(folds(series, size), fold, 1) for fold in (0, 1)]
    changed, other = series.copy(), size.copy()
    changed[404:] = 7 - changed[404:]
    other[404:] = 0
    after = [forecast(folds(changed, other), fold, 1) for fold in (0, 1)]
    np.testing.assert_array_equal(before[0], after[0])
    assert not np.array_equal(before[1], after[1])  # the second fold learns from what was changed


def test_no_outcome_reaches_into_what_is_held_out() -> None:
    event = Event("up", 5, 0.0)
    rows = [np.arange(n) % 7 - 3.0 for n in (400, 33, 3)]
    rows[0][50:60] = np.nan
    pool = Pool([Ragged.from_rows(rows)], event, T, np.random.default_rng(0))
    for number, (begin, n) in enumerate(((0, 400), (400, 33), (433, 3))):
        learnt = pool.learnt[pool.series[pool.learnt] == number] - begin
        held = pool.held[pool.series[pool.held] == number] - begin
        if n == 3:
            assert not len(learnt) and not len(held)  # no step of it has an outcome
            continue
        assert learnt.max() + event.step < held.min() and held.max() + event.step < n
        assert n / 11 < n - held.min() < n / 4 + 5
        for places in (learnt, held):
            np.testing.assert_array_equal(pool.outcome[begin + places], rows[number][places + 5] > 0)
    assert not np.isin(np.arange(45, 55), pool.learnt).any()  # their outcomes are missing
    cut = pool.cut(np.array([9, 60, 402]))
    np.testing.assert_array_equal(
        np.isnan(cut[:, :, 0]), [[True] * 6 + [False] * 10, [False] * 5 + [True] * 10 + [False], [True] * 13 + [False] * 3]
    )
    assert len(np.unique(pool.groups[pool.groups[:, 0] == 0], axis=0)) > 2  # several blocks of time


def test_scales_come_from_training_windows_and_level_from_the_threshold() -> None:
    rng = np.random.default_rng(0)
    calm = rng.normal(size=(40, T, 2)).astype(np.float32)
    look = Look.of(calm, np.full(40, 1.0))
    wide = np.concatenate([calm[:1], 10 * calm[:1]])
    wide[1, :, 1] = calm[0, :, 1]
    seen = look.at(wide, np.array([1.0, 1.0]))
    np.testing.assert_allclose(seen.shapes[0], seen.shapes[1], atol=1e-5)  # the same shape ...
    assert seen.levels[1, 0] < seen.levels[0, 0]  # ... in which a threshold of 1 is nearer
    x = calm[0, :, 0].astype(np.float64)
    level = (1 - calm[:, :, 0].astype(np.float64).mean(1)) / calm[:, :, 0].astype(np.float64).std(1)
    assert seen.levels[0, 0] == pytest.approx(((1 - x.mean()) / x.std() - level.mean()) / level.std(), rel=1e-4)
    assert seen.levels[0, 1] == pytest.approx((calm[0, -1, 1] - calm[:, -1, 1].mean()) / calm[:, -1, 1].std(), rel=1e-4)
    odd = look.at(np.full((1, T, 2), np.nan, np.float32), np.array([np.nan]))
    assert not odd.shapes.any() and not odd.levels.any()


def test_saved_and_read_it_says_the_same(tmp_path: Path) -> None:
    series, size = wild(500)
    event = Event("touch", 1, 1.0)
    model = PatchTSTEvent(**TINY, gate=False).finetune(batch_of([series[:400]], event, [[size[:400]]], ("size",)), "20steps", 3)
    test = windows(series, 400, event, [size], ("size",))
    model.save(tmp_path / "kept")
    again = PatchTSTEvent(weights=str(tmp_path / "kept"))
    np.testing.assert_array_equal(chances(again, test), chances(model, test))
    same = PatchTSTEvent(**TINY, gate=False).finetune(batch_of([series[:400]], event, [[size[:400]]], ("size",)), "20steps", 3)
    np.testing.assert_array_equal(chances(same, test), chances(model, test))
    alone = replace(test, contexts=Ragged.from_rows([test.contexts[7]]), past_covariates=(Ragged.from_rows([test.past_covariates[0][7]]),))
    alone = replace(alone, thresholds=np.ones(1), starts=test.starts[:1])
    np.testing.assert_array_equal(chances(again, alone), chances(model, test)[7:8])
    with pytest.raises(Unsupported, match="it was trained for Event"):
        again.predict(replace(test, event=replace(event, above=2.0)))
    (tmp_path / "kept" / "harness.json").write_text(json.dumps({"format": "other"}))
    with pytest.raises(UsageError, match="its format is 'other'"):
        PatchTSTEvent(weights=str(tmp_path / "kept"))
    with pytest.raises(UsageError, match="wanted a folder that a trained patchtst_event was saved to"):
        PatchTSTEvent(weights=str(tmp_path))


def test_windows_without_a_value_get_the_base_rate() -> None:
    series = wave(500)
    model = PatchTSTEvent(**TINY, gate=False).finetune(batch_of([series]), "20steps", 0)
    rows = [series[:T], np.full(T, np.nan), series[:3], np.where(np.arange(T) == 4, np.inf, series[:T])]
    found = chances(model, batch_of(rows))
    assert found[1] == np.float32(model.rate) and np.isfinite(found).all() and (found[[0, 2, 3]] != found[1]).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"d_model": 30}, "wanted an even multiple of the number of heads"),
        ({"covariates": 1}, "covariates got 1; wanted true or false"),
        ({"dropout": 1}, "dropout got 1"),
        ({"context_length": 2}, "context_length got 2"),
        ({"weights": 3}, "weights got 3"),
    ],
)
def test_parameters_of_no_use(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        PatchTSTEvent(**options)


def test_the_context_is_that_of_the_task() -> None:
    settings = PatchTSTEvent().settings
    assert [event_shape(settings, limit).context for limit in (0, 80, 256, 9999)] == [80, 80, 256, 1024]
    assert (event_shape(settings, 80).patch, event_shape(settings, 80).stride) == (16, 8)
    assert event_shape(PatchTSTEvent(context_length=40).settings, 80).context == 40
    with pytest.raises(UsageError, match="wanted patches shorter than the context"):
        event_shape(PatchTSTEvent(patch_length=100).settings, 80)
