"""Numbers beside plain loops, and what must hold of a forecast: no future, no neighbours, no broken file."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from harness_ensemble import Ensemble
from harness_ensemble.backtest import mean_losses, weights
from harness_ensemble.model import _median
from harness_ensemble.names import read_members

import harness
from harness import Batch, Forecast, ForecastError, ModelInfo, Unsupported, UsageError
from harness.arrow import from_numpy, rows
from harness.batches import cut_batch
from harness.forecast import F32, F64
from harness.identity import label
from harness.kept_file import RESULT_ID, KeptError, KeptFile
from harness.plugins import load
from harness.quantiles import to_quantiles
from harness.selection import select_models
from harness.series import TaskData
from harness.specimens import data_of, rows_of
from harness.stored import Stored
from harness.testing import Check, checks, make_data
from harness.types import DECILES
from harness.wire import Region, read_stored, write_stored

INFO = ModelInfo("ensemble")
WAYS = ("median", "mean", "backtest")
OF = "a+b+c"
Given = dict[str, tuple[F32, F32]]


@pytest.mark.parametrize("check", checks("ensemble", {"of": "naive+drift"}), ids=str)
def test_conformance(check: Check) -> None:
    check()


def keep(path: Path, index: Sequence[int], quantiles: F32, mean: F32, result: str = "r", group: int = 7) -> Path:
    """Kept forecasts as a run writes them, in row groups of a few windows; quantiles [N, Q, H], means [N, H]."""
    number = np.asarray(index, np.int64)
    table = pa.table([from_numpy(number), rows(quantiles), rows(mean)], names=["window", "quantiles", "mean"])
    pq.write_table(table.replace_schema_metadata({RESULT_ID: result}), path, compression="zstd", row_group_size=group)
    return path


def forecasts(data: TaskData, seed: int, levels: Sequence[float] = DECILES) -> tuple[F32, F32]:
    """Forecasts of a made-up member: near the labels, differently for each seed; quantiles [N, Q, H], means [N, H]."""
    rng = np.random.default_rng(seed)
    h = data.task.horizon
    labels = np.nan_to_num(data.series.target.gather(data.channel, data.cut, h), nan=50.0)  # [N, H]
    centre = labels + rng.normal(seed - 1, 1 + seed, labels.shape)
    spread = np.sort(rng.normal(size=(len(levels), 1)), axis=0) * (1 + seed)  # [Q, 1]
    return (centre[:, None] + spread).astype(np.float32), centre.astype(np.float32)


def members(data: TaskData, folder: Path) -> tuple[Given, Stored]:
    """Forecasts of a, b and c, and the same as a model is given them."""
    given = {name: forecasts(data, seed) for seed, name in enumerate("abc")}
    return given, stored(data, folder, given)


def stored(data: TaskData, folder: Path, given: Given, levels: Sequence[float] = DECILES) -> Stored:
    folder.mkdir(exist_ok=True)
    files = {
        name: KeptFile(keep(folder / f"{name}.parquet", data.index.tolist(), *both), "r", tuple(levels), data.task.horizon)
        for name, both in given.items()
    }
    return Stored(data.task.name, files, data.index, data.channel, data.cut)


def model(found: Stored, how: str, of: str = OF, **more: Any) -> Ensemble:
    made = Ensemble(of, how, **more)
    made.use(found)
    return made


def batch_of(data: TaskData, low: int = 0, high: int | None = None) -> Batch:
    return cut_batch(data, low, len(data) if high is None else high, INFO, 0)


def predicted(found: Stored, how: str, batch: Batch, **more: Any) -> tuple[F32, F32]:
    forecast = model(found, how, **more).predict(batch)
    assert forecast.mean is not None
    return forecast.values, forecast.mean


def plain_weights(data: TaskData, given: Given, eta: float, season: int) -> F64:
    """The rule of `harness_ensemble.backtest`, number by number: [M, N]."""
    h, levels = data.task.horizon, data.task.quantile_levels
    out = np.empty((len(given), len(data)))
    for i in range(len(data)):
        past = data.series.target[int(data.channel[i])][: data.cut[i]].astype(np.float64)
        lag = season if len(past) >= season else 1
        gaps = [abs(b - a) for a, b in zip(past[:-lag], past[lag:], strict=True) if np.isfinite(a) and np.isfinite(b)]
        scale = sum(gaps) / len(gaps) if gaps else 0.0
        sums = []
        for quantiles, _ in given.values():
            total = 0.0
            for k in range(len(data)):
                if data.channel[k] != data.channel[i] or data.cut[k] + h > data.cut[i]:
                    continue
                losses = []
                for step in range(h):
                    label = past[data.cut[k] + step]
                    if np.isfinite(label):
                        losses += [
                            2 * max(q * (label - f), (q - 1) * (label - f)) for q, f in zip(levels, quantiles[k, :, step], strict=True)
                        ]
                total += sum(losses) / len(losses) if losses else 0.0
            sums.append(total)
        raw = [np.exp(-eta * (s - min(sums)) / scale) if scale else 1.0 for s in sums]
        out[:, i] = np.array(raw) / sum(raw)
    return out


def test_median_and_mean_beside_plain_numpy(tmp_path: Path) -> None:
    data = make_data(windows=4)
    given, found = members(data, tmp_path)
    for of in (OF, "a+c"):
        quantiles = np.stack([given[name][0] for name in of.split("+")]).astype(np.float64)
        means = np.stack([given[name][1] for name in of.split("+")]).astype(np.float64)
        for how, together in (("median", np.median), ("mean", np.mean)):
            values, mean = predicted(found, how, batch_of(data), of=of)
            np.testing.assert_array_equal(values, together(quantiles, axis=0).astype(np.float32))
            np.testing.assert_array_equal(mean, together(means, axis=0).astype(np.float32))
            assert (np.diff(values, axis=1) >= 0).all()


@pytest.mark.parametrize("variates", [1, 2])
@pytest.mark.parametrize("eta", [1.0, 0.2])
def test_backtest_beside_a_plain_loop(tmp_path: Path, eta: float, variates: int) -> None:
    data = make_data(items=4, windows=5, variates=variates)
    given, found = members(data, tmp_path)
    weight = plain_weights(data, given, eta, data.task.season_length)
    batch = batch_of(data)
    np.testing.assert_allclose(weights(found, list("abc"), found.places(batch.window_ids), batch, eta), weight, rtol=1e-9)
    values, mean = predicted(found, "backtest", batch, eta=eta)
    np.testing.assert_allclose(values, sum(w[:, None, None] * g[0] for w, g in zip(weight, given.values(), strict=True)), rtol=1e-5)
    np.testing.assert_allclose(mean, sum(w[:, None] * g[1] for w, g in zip(weight, given.values(), strict=True)), rtol=1e-5)
    assert np.all(weight[:, data.slot == 0] == 1 / 3)
    assert np.ptp(weight[:, data.slot == 4], axis=0).min() > 0.1
    assert weight[0, data.slot == 4].min() > 1 / 3  # the member with the least noise


def test_overlapping_windows_use_only_labels_that_are_over(tmp_path: Path) -> None:
    data = make_data(items=3, windows=4)
    sooner = data.cut - 2 * data.slot.astype(np.int64)  # every 4 steps, 6 steps long
    near = TaskData(data.task, data.series, data.channel, sooner, data.slot, data.index)
    given, found = members(near, tmp_path)
    weight = plain_weights(near, given, 1.0, 4)
    assert np.all(weight[:, near.slot == 1] == 1 / 3)  # the first window's labels reach into the second's
    batch = batch_of(near)
    np.testing.assert_allclose(weights(found, list("abc"), found.places(batch.window_ids), batch, 1.0), weight, rtol=1e-9)


@pytest.mark.parametrize("how", WAYS)
def test_a_window_has_the_same_bits_in_any_batch(tmp_path: Path, how: str) -> None:
    data = make_data(items=5, windows=4, variates=2)
    _, found = members(data, tmp_path)
    batch = batch_of(data)
    values, mean = predicted(found, how, batch)
    mixed = np.random.default_rng(1).permutation(len(data)).tolist()
    for some in ([0], [7], mixed, mixed[:11], range(3, 20), range(len(data))[::-1], [2, 2, 5]):
        part = list(some)
        got, means = predicted(found, how, rows_of(batch, part))
        np.testing.assert_array_equal(got, values[part])
        np.testing.assert_array_equal(means, mean[part])
    limited = data.limited(np.array([1, 4]))  # windows keep their numbers in a part of the task
    at = np.searchsorted(data.index, limited.index)
    given = {name: (q[at], m[at]) for name, (q, m) in {n: forecasts(data, s) for s, n in enumerate("abc")}.items()}
    np.testing.assert_array_equal(predicted(stored(limited, tmp_path / "part", given), how, batch_of(limited))[0], values[at])


@pytest.mark.parametrize("how", WAYS)
def test_the_same_again_and_the_batch_left_alone(tmp_path: Path, how: str) -> None:
    data = make_data(windows=3)
    _, found = members(data, tmp_path)
    batch = batch_of(data)
    before = batch.contexts.values.copy()
    one = model(found, how)
    first = one.predict(batch).values
    np.testing.assert_array_equal(one.predict(batch).values, first)
    np.testing.assert_array_equal(predicted(found, how, batch)[0], first)
    np.testing.assert_array_equal(batch.contexts.values, before)


@pytest.mark.parametrize("how", WAYS)
def test_no_label_and_no_later_forecast_changes_a_forecast(tmp_path: Path, how: str) -> None:
    data = make_data(items=3, windows=4)
    given, found = members(data, tmp_path / "a")
    values, _ = predicted(found, how, batch_of(data))
    for i in range(len(data)):
        channel, cut = int(data.channel[i]), int(data.cut[i])
        series = [data.series.target[c].copy() for c in range(len(data.series.target))]
        series[channel][cut:] += 1e6  # its own labels and what comes after them
        other = data_of(series, data.task.horizon, windows=4)
        later = (data.channel != channel) | (data.cut > cut)
        changed = {name: (np.where(later[:, None, None], q + 99, q), np.where(later[:, None], m + 99, m)) for name, (q, m) in given.items()}
        at_hand = stored(other, tmp_path / "b", changed)
        np.testing.assert_array_equal(predicted(at_hand, how, batch_of(other, i, i + 1))[0], values[i : i + 1])


def test_a_seen_label_changes_the_weights(tmp_path: Path) -> None:
    """The test above would pass if no label counted at all."""
    data = make_data(items=1, windows=2)
    _, found = members(data, tmp_path)
    values, _ = predicted(found, "backtest", batch_of(data))
    series = data.series.target[0].copy()
    series[data.cut[0]] += 40
    other, _ = predicted(found, "backtest", batch_of(data_of([series], data.task.horizon, windows=2)))
    np.testing.assert_array_equal(other[0], values[0])
    assert not np.allclose(other[1], values[1])


@pytest.mark.parametrize("how", WAYS)
def test_missing_constant_huge_and_single_windows(tmp_path: Path, how: str) -> None:
    nan, h, rng = np.nan, 6, np.random.default_rng(5)
    wave = rng.normal(50, 1, 40)
    series: list[Any] = [
        np.full(40, nan),
        np.full(40, 7.0),
        np.where(rng.random(40) < 0.4, nan, wave),
        np.where((np.arange(40) >= 22) & (np.arange(40) < 28), nan, wave),  # a window without a label
        np.where(np.arange(40) == 23, np.inf, wave),
        wave * 1e36,
        wave * 1e-40,
        wave[: 3 * h + 1],  # a context of one value
    ]
    data = data_of(series, h, windows=3, season_length=4)
    big = np.full((len(data), 9, h), 3e38, np.float32)
    given, found = members(data, tmp_path)
    values, _ = predicted(found, how, batch_of(data))
    assert np.isfinite(values).all()
    if how == "backtest":
        weight = plain_weights(data, given, 1.0, 4)
        batch = batch_of(data)
        got = weights(found, list("abc"), found.places(batch.window_ids), batch, 1.0)
        np.testing.assert_allclose(got, weight, rtol=1e-6, atol=1e-12)
        assert np.all(got[:, data.channel == 0] == 1 / 3)
    huge = stored(data, tmp_path / "huge", dict.fromkeys("abc", (big, big[:, 0])))
    assert np.isfinite(predicted(huge, how, batch_of(data))[0]).all()
    one = data_of([wave], h, windows=1)
    _, alone = members(one, tmp_path / "one")
    assert predicted(alone, how, batch_of(one))[0].shape == (1, 9, h)


def test_other_levels_follow_by_the_rule_of_the_core(tmp_path: Path) -> None:
    data = make_data(windows=2)
    few = [0.2, 0.5, 0.7]
    given = {"a": forecasts(data, 0, few), "b": forecasts(data, 1, few)}
    values, mean = predicted(stored(data, tmp_path, given, few), "mean", batch_of(data), of="a+b")
    wanted = [to_quantiles(Forecast.from_quantiles(q, few, m), DECILES) for q, m in given.values()]
    np.testing.assert_allclose(values, (wanted[0][0].astype(np.float64) + wanted[1][0]) / 2, rtol=1e-6)
    np.testing.assert_allclose(mean, (wanted[0][1].astype(np.float64) + wanted[1][1]) / 2, rtol=1e-6)


def test_what_goes_to_a_worker_holds_no_label(tmp_path: Path) -> None:
    data = make_data(windows=3)
    _, found = members(data, tmp_path)
    region = Region()
    header = write_stored(region, found)
    assert set(header) == {"task", "files", "size"}
    assert all(set(file) == {"path", "result_id", "levels", "horizon", "label"} for file in header["files"])
    assert found.message()[1].schema.names == ["window", "series", "cut"]
    assert {name for file in header["files"] for name in pq.read_schema(file["path"]).names} == {"window", "quantiles", "mean"}
    there = read_stored(region, header)
    for how in WAYS:
        np.testing.assert_array_equal(predicted(there, how, batch_of(data))[0], predicted(found, how, batch_of(data))[0])
    region.close()


def test_a_broken_file_is_told(tmp_path: Path) -> None:
    data = make_data(windows=3)
    given, found = members(data, tmp_path)
    batch, path, levels = batch_of(data), tmp_path / "b.parquet", tuple(DECILES)
    quantiles, mean = given["b"]
    index, whole = data.index.tolist(), path.read_bytes()
    bad = quantiles.copy()
    bad[2, 3, 1] = np.nan
    cases: list[tuple[Callable[[], object], str]] = [
        (lambda: path.write_bytes(whole[: len(whole) // 2]), "b.parquet cannot be read"),
        (lambda: path.write_bytes(b"no forecasts"), "b.parquet cannot be read"),
        (lambda: path.write_bytes(whole[:40] + bytes(60) + whole[100:]), "b.parquet"),
        (path.unlink, "there is no file .*b.parquet"),
        (lambda: keep(path, index, quantiles, mean, "other"), "forecasts of another result"),
        (lambda: keep(path, index[:-1], quantiles[:-1], mean[:-1]), "holds other windows"),
        (lambda: keep(path, [i + 1000 for i in index], quantiles, mean), "holds other windows"),
        (lambda: keep(path, [index[0], *index[:-1]], quantiles, mean), "holds other windows"),
        (lambda: keep(path, index, quantiles[..., :-1].copy(), mean[:, :-1].copy()), "wanted window: int64, quantiles"),
        (lambda: keep(path, index, bad, mean), "missing or not finite"),
        (lambda: keep(path, index, quantiles[:, ::-1].copy(), mean), "do not rise"),
    ]
    for spoil, message in cases:
        path.write_bytes(whole)
        predicted(found, "median", batch)
        spoil()
        for how in WAYS:
            with pytest.raises(KeptError, match=message):
                predicted(Stored.read(*found.message()), how, batch)
    path.write_bytes(whole)
    short = {name: KeptFile(tmp_path / f"{name}.parquet", "r", levels, 5) for name in "abc"}
    with pytest.raises(ForecastError, match="the kept forecasts of a on made/H/6 have 5 steps; wanted 6"):
        predicted(Stored(data.task.name, short, data.index, data.channel, data.cut), "mean", batch)
    with pytest.raises(ForecastError, match="18 of 18 windows are none of the 18 of other/H in this cell"):
        predicted(Stored("other/H", short, data.index, data.channel, data.cut), "mean", batch)
    cut = rows_of(batch, [1])
    part = Batch(**{**vars(cut), "contexts": rows_of(batch, [0]).contexts})
    with pytest.raises(ForecastError, match="from the beginning"):
        predicted(found, "backtest", part)


def test_members_and_parameters() -> None:
    assert read_members("ttm[a=1,b=[2,3]]+naive") == ["naive", "ttm[a=1,b=[2,3]]"]
    for spelt in ("of=naive+drift", "of=[drift,naive]", 'of=["naive","drift"]', "of=[naive, drift],how=median", "of=drift + naive,eta=1"):
        ((_, params),) = select_models(load(), f"ensemble[{spelt}]")
        assert params == {"of": "drift+naive"}
    wrong = {
        "of=naive": "of=naive, one model; wanted two or more",
        "of=naive+naive+drift": "with naive twice",
        "of=ensemble+naive": "cannot be its own member",
        "of=3": "wanted names of models",
        "of=a+b,how=medain": "Did you mean 'median'",
        "of=a+b,how=backtest,eta=0": "wanted a number above 0",
        "of=a+b,eta=2": "it is for how=backtest alone",
        "off=a+b": "Did you mean 'of'",
    }
    for spelt, message in wrong.items():
        with pytest.raises(UsageError, match=message):
            select_models(load(), f"ensemble[{spelt}]")


def test_without_a_run_it_says_how_to_have_one() -> None:
    with pytest.raises(Unsupported, match=r"harness run --save-forecasts.*ensemble\[of=drift\+naive\]"):
        harness.evaluate("ensemble[of=naive+drift]", "us_births/M/short")
    with pytest.raises(Unsupported, match="name two or more"):
        Ensemble.uses()


def test_small_pieces() -> None:
    rng = np.random.default_rng(0)
    for count in range(1, 12):
        part = rng.normal(size=(count, 5, 3))
        np.testing.assert_array_equal(_median(part.copy()), np.median(part, axis=0))
    labels = rng.normal(size=(4, 3)).astype(np.float32)
    exact = np.repeat(labels[:, None], 2, axis=1)
    assert mean_losses(labels, exact, np.array([0.1, 0.9])).tolist() == [0.0] * 4
    assert mean_losses(np.full((2, 3), np.nan, np.float32), exact[:2], np.array([0.1, 0.9])).tolist() == [0.0, 0.0]


def test_a_member_in_two_spellings_is_one() -> None:
    assert Ensemble.canonical_params(of="ttm@finetune+naive@zero-shot") == {"of": "naive+ttm (finetune)"}
    with pytest.raises(UsageError, match="with naive twice"):
        Ensemble(of="naive (zero-shot)+naive+drift")


def test_an_ensemble_within_another_has_one_spelling() -> None:
    wanted = "ensemble[of=ensemble[how=mean,of=drift+naive]+ttm[context=512,seed=1]]"
    for spelt in (
        "of=ensemble[of=naive+drift,how=mean]+ttm[seed=1,context=512]",
        "of=ttm[ context = 512, seed=1 ]+ensemble[how=mean, of=[drift, naive], eta=1.0]",
        "of=[ensemble[how=mean,of=naive[]+drift@zero-shot],ttm[context=512,seed=1]],how=median",
    ):
        ((model_, params),) = select_models(load(), f"ensemble[{spelt}]")
        assert label(model_.info.name, params) == wanted
    assert read_members("a@full+ensemble[of=ensemble[of=d+c]+b]") == ["a (full)", "ensemble[of=b+ensemble[of=c+d]]"]
    assert Ensemble.canonical_params(of="b+a", how="backtest", eta=2.0) == {"of": "a+b", "how": "backtest", "eta": 2}


def test_what_is_no_list_of_members_is_refused() -> None:
    wrong = {
        "ensemble[of=b+a]+ensemble[of=a+b]": r"with ensemble\[of=a\+b\] twice",
        "naive+naive[]": "with naive twice",
        "a[x=1,y=2]+a[y=2,x=1]": "twice",
        "ensemble[]+naive": "cannot be its own member",
        "ensemble[how=mean]+naive": "cannot be its own member",
        "ensemble[of=naive]+drift": "of=naive, one model",
        "ensemble[of=a+b,how=medain]+drift": "Did you mean 'median'",
        "a[x=1+b": r"with a '\[' that nothing closes",
        "a]x=1+b": r"with a '\]' that nothing opens",
        "a (full+b": r"with a '\(' that nothing closes",
        "[a,b]+[c,d]": "wanted NAME or NAME",
        "a[x]+b": "wanted KEY=VALUE",
    }
    for of, message in wrong.items():
        with pytest.raises(UsageError, match=message):
            read_members(of)
