"""The regression beside numpy's least squares and plain loops, the rules for missing values, and what must hold whatever the data."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import harness_linear
import numpy as np
import pytest
from harness_linear import Linear
from harness_linear.forecaster import LEVELS, Forecaster, quantiles_of
from harness_linear.learning import TRIAL, collect, every_origin, usual_lags
from harness_linear.ridge import Sums
from harness_linear.windows import SPREAD, Windows, change, fill

from harness import Batch, ModelInfo, Unsupported, UsageError
from harness.forecast import F64
from harness.holdout import hold_out
from harness.testing import Check, checks
from harness.types import Event

LEVEL = [0.1, 0.5, 0.9]


@pytest.mark.parametrize("check", checks("linear"), ids=str)
def test_conformance(check: Check) -> None:
    check()


def walks(count: int, length: int, seed: int = 0, scale: float = 1.0) -> list[F64]:
    """Series with a memory of two steps around a level of 50."""
    rng = np.random.default_rng(seed)
    rows = np.zeros((count, length + 50))
    noise = rng.normal(size=rows.shape)
    for t in range(2, rows.shape[1]):
        rows[:, t] = 1.2 * rows[:, t - 1] - 0.4 * rows[:, t - 2] + noise[:, t]
    return list(scale * (50 + rows[:, 50:]))


def batch(rows: list[Any], horizon: int = 4, levels: list[float] | None = None) -> Batch:
    return Batch.from_contexts(rows, horizon, freq="A", quantile_levels=levels or LEVEL)


def learnt(rows: list[Any], horizon: int = 4, **params: Any) -> Forecaster:
    return Linear(**params).finetune(batch(rows, horizon), "", 0)


@pytest.mark.parametrize("normalise", ["last", "global", "scaled"])
def test_weights_are_those_of_least_squares(normalise: str) -> None:
    rows, lags, horizon = [r.astype(np.float32).astype(np.float64) for r in walks(4, 400)], 3, 2
    model = learnt(rows, horizon, lags=lags, ridge=1e-12, normalise=normalise)
    mean = np.concatenate(rows).mean()
    x, y = [], []
    for row in rows:
        for origin in range(lags, len(row) - horizon + 1):
            past = row[max(0, origin - SPREAD) : origin]
            unit = np.abs(np.diff(past)).mean() if normalise == "scaled" else 1.0
            centre = mean if normalise == "global" else past[-1]
            # The last lag of "last" is always 0; without it the least squares have one answer.
            own = row[origin - lags : origin - (normalise != "global")]
            x.append(np.append((own - centre) / unit, 1.0))
            y.append((row[origin : origin + horizon] - centre) / unit)
    wanted = np.linalg.lstsq(np.array(x), np.array(y), rcond=None)[0]  # [lags + 1, H]
    ours = model.rule.weights if normalise == "global" else model.rule.weights[:-1]
    np.testing.assert_allclose(ours, wanted[:-1], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(model.rule.intercepts, wanted[-1], rtol=1e-4, atol=1e-6)
    assert model.notes["kept"] == "linear" and model.notes["windows"] == len(x)


def test_ridge_beside_the_normal_equations() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(3, 1, (40, 5)), rng.normal(size=(40, 2))
    sums = Sums(5, 2)
    for part in (slice(0, 7), slice(7, 40)):
        sums.add(x[part], y[part])
    cx, cy = x - x.mean(axis=0), y - y.mean(axis=0)
    for strength, (weights, intercepts) in zip((0.01, 2.0), sums.solutions((0.01, 2.0)), strict=True):
        penalty = strength * np.trace(cx.T @ cx) / 5 * np.eye(5)
        wanted = np.linalg.solve(cx.T @ cx + penalty, cx.T @ cy)
        np.testing.assert_allclose(weights, wanted, rtol=1e-9)
        np.testing.assert_allclose(intercepts, y.mean(axis=0) - x.mean(axis=0) @ wanted, rtol=1e-9, atol=1e-12)


def test_each_step_by_itself_uses_every_row_that_has_it() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(30, 2)), rng.normal(size=(30, 4))
    y[10:, 1], y[:, 3] = np.nan, np.nan  # the last step has no row: it takes what the third has
    each, whole = Sums(2, 4, each=True), Sums(2, 4)
    each.add(x, y)
    whole.add(x, y)
    assert each.rows.tolist() == [30, 10, 30, 0] and whole.rows.tolist() == [0]
    ((weights, intercepts),) = each.solutions((1e-12,))
    for step, rows in ((0, 30), (1, 10), (2, 30)):
        wanted = np.linalg.lstsq(np.column_stack([x, np.ones(30)])[:rows], y[:rows, step], rcond=None)[0]
        np.testing.assert_allclose(np.append(weights[:, step], intercepts[step]), wanted, rtol=1e-6)
    np.testing.assert_array_equal(weights[:, 3], weights[:, 2])


def test_windows_beside_a_plain_loop() -> None:
    nan = np.nan
    rows = [np.array([nan, 1, 2, nan, 4, 5, 6, 7, nan, 9]), np.array([3.0]), np.arange(6.0)]
    b = batch(rows, 2)
    values, offsets = b.contexts.values, b.contexts.offsets
    windows = Windows(values, offsets[:-1] + np.array([1, 0, 0]), offsets[1:])
    (block,) = windows.sample(2, 2, 1, 100, np.random.default_rng(0))
    found = [(x.tolist(), y.tolist(), s) for x, y, s in zip(*block, strict=True)]
    wanted = []
    for row, first in ((rows[0], 1), (rows[2], 0)):
        for origin in range(first + 2, len(row)):
            past, ahead = row[origin - 2 : origin].copy(), np.append(row[origin : origin + 2], nan)[:2]
            if np.isnan(past[-1]) or np.isnan(ahead).all():
                continue
            past[0] = past[1] if np.isnan(past[0]) else past[0]
            wanted.append((past.tolist(), ahead.tolist(), abs(past[1] - past[0])))
    assert repr(found) == repr(wanted) and len(found) == 9
    few = list(windows.sample(2, 2, 1, 3, np.random.default_rng(0)))
    assert sum(len(x) for x, _, _ in few) <= 3
    assert TRIAL.windows(192, 48) * (192 + 48) <= TRIAL.values


def test_a_gap_takes_the_value_before_it_and_a_start_the_earliest() -> None:
    model = learnt(walks(4, 150), lags=6)
    nan = np.nan
    gaps = [[nan, nan, 3, nan, 5, 4, nan], [np.inf, 2, -np.inf, 9], [7.0], [2.0] + [nan] * 600]
    whole = [[3] * 60 + [3, 3, 3, 3, 5, 4, 4], [2] * 60 + [2, 2, 2, 9], [7.0] * 90, [2.0] * 90]
    a, b = (model.rule.points(*_contexts(rows)) for rows in (gaps, whole))
    np.testing.assert_allclose(a, b)
    forecast = model.predict(batch([[nan] * 3, gaps[3]]))
    assert forecast.mean is not None
    wanted = model.rule.points(np.array([[model.rule.mean] * SPREAD, [2.0] * SPREAD]), np.zeros(2))
    np.testing.assert_allclose(forecast.mean, wanted, rtol=1e-6)


def _contexts(rows: list[Any]) -> tuple[F64, F64]:
    last = [np.array(r)[np.isfinite(r)][-1:] if not np.isfinite(r[-SPREAD:]).any() else r for r in rows]
    filled, first = fill(batch(last).padded(SPREAD)[0])
    return filled, change(filled, first) * 0


def test_quantiles_cover_what_comes() -> None:
    rows = walks(12, 400)
    model = learnt([r[:300] for r in rows])
    at = range(300, 396, 3)
    forecast = model.predict(batch([r[:t] for r in rows for t in at]))
    labels = np.stack([r[t : t + 4] for r in rows for t in at])  # [N, H]
    q = dict(zip(np.round(forecast.levels, 3).tolist(), np.moveaxis(forecast.values, 1, 0), strict=True))  # type: ignore[arg-type]
    for level in LEVEL:
        assert abs((labels <= q[level]).mean() - level) < 0.07
    assert (np.diff(forecast.values, axis=1) >= 0).all() and model.notes["kept"] == "linear"
    assert np.abs(labels - q[0.5]).mean() < 0.9 * np.abs(labels - np.stack([r[t - 1 : t] for r in rows for t in at])).mean()


def test_a_level_between_two_of_the_table_is_interpolated() -> None:
    table = np.column_stack([LEVELS, 10 * LEVELS**2])
    np.testing.assert_allclose(quantiles_of(table, np.array([0.0001, 0.255, 0.5, 0.9999]))[:, 0], [0.001, 0.255, 0.5, 0.999])
    np.testing.assert_allclose(quantiles_of(table, np.array([0.255]))[0, 1], 10 * (0.25**2 + 0.26**2) / 2)


def test_series_of_many_sizes_are_scaled_by_their_windows() -> None:
    rows = [row * 10.0**k for k, row in zip(range(-3, 6), walks(9, 200), strict=True)]
    model = learnt(rows)
    assert model.notes["normalise"] == "scaled" and model.by_window
    wide = model.predict(batch(rows))
    spread = wide.values[:, -1] - wide.values[:, 0]
    assert (spread[1:] > 3 * spread[:-1]).all()


def test_a_random_walk_stays_the_last_value() -> None:
    rng = np.random.default_rng(1)
    model = learnt([rng.normal(size=120).cumsum() for _ in range(6)], lags=60, ridge=1e-9)
    assert model.notes["kept"] == "last value" and "nothing beats" in str(model.notes["why"])
    forecast = model.predict(batch([[5.0, 3.0, 4.0]]))
    assert forecast.mean is not None and (forecast.mean == 4.0).all() and forecast.values[0, 0, 0] < 4 < forecast.values[0, -1, 0]


def test_no_quantile_below_zero_where_no_value_is() -> None:
    rows = [np.abs(r - 50) for r in walks(6, 90)]
    for params, lowest in (({}, True), ({"nonnegative": False}, False)):
        values = learnt(rows, **params).predict(batch([[0.0, 3.0, 0.0]], 4, [0.001])).values
        assert bool((values >= 0).all()) == lowest


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([], r"there is no training series"),
        ([[np.nan] * 20], r"no value of the training series is observed"),
        ([[3.0], [4.0]], r"no training series has two values that the horizon can join"),
    ],
)
def test_nothing_to_learn_from(rows: list[Any], why: str) -> None:
    with pytest.raises(Unsupported, match=why):
        learnt(rows)


@pytest.mark.parametrize("horizon", [1, 4, 30])
@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ([[1.0, 2.0]], "last value"),  # nothing to hold out
        ([[1.0, 2.0, 4.0, 3.0]] * 5, None),
        ([[7.0] * 40, [0.0] * 30], "last value"),
        ([np.linspace(1e30, 2e30, 60)], None),
        ([np.append(np.zeros(60), -3e38), *walks(3, 60)], None),
        ([np.linspace(1e-30, 2e-30, 60)], None),
        ([[1.0 if k % 9 == 0 else np.nan for k in range(300)]], None),
        ([walks(1, 60)[0], [np.nan] * 50, [2.0]], None),
    ],
)
def test_whatever_the_series_the_forecast_is_finite(rows: list[Any], kept: str | None, horizon: int) -> None:
    model = learnt(rows, horizon)
    forecast = model.predict(batch([*rows, [np.nan], [1e30, -1e30], [1e-30]], horizon))
    assert np.isfinite(forecast.values).all() and (np.diff(forecast.values, axis=1) >= 0).all()
    if kept:
        assert model.notes["kept"] == kept and len(str(model.notes["why"]))


@pytest.mark.parametrize(("freq", "season"), [("H", 24), ("D", 1), ("W-SUN", 1), ("M", 12), ("A", 1), ("15T", 96), ("6H", 4)])
def test_a_season_is_found_at_any_frequency(freq: str, season: int) -> None:
    cycle = {"D": 7, "W-SUN": 52}.get(freq, season)
    length, rng = max(6 * cycle, 60), np.random.default_rng(0)
    rows = [10 * np.sin(2 * np.pi * np.arange(length) / max(cycle, 2) + k) + 0.1 * rng.normal(size=length) for k in range(4)]
    train = Batch.from_contexts(rows, 3, freq=freq, season_length=season)
    forecast = Linear().finetune(train, "", 0).predict(train)
    wanted = np.stack([10 * np.sin(2 * np.pi * np.arange(length, length + 3) / max(cycle, 2) + k) for k in range(4)])
    assert forecast.mean is not None and np.abs(forecast.mean - wanted).max() < 2.0
    assert cycle == 1 or cycle + 1 in usual_lags(season, freq)


def test_held_out_windows_begin_anywhere_in_the_held_out_stretch() -> None:
    rows = batch([np.arange(100.0), np.arange(20.0), [1.0]], 3).contexts
    held = hold_out(rows, 6)
    found = every_origin(held, 3)
    wanted = [(s, o) for s in range(3) for o in range(held.end[s], max(held.end[s], held.whole[s] - 3) + 1) if held.end[s] < held.whole[s]]
    assert list(zip(found.series.tolist(), found.origin.tolist(), strict=True)) == wanted and len(wanted) > 4
    assert (found.limit <= held.whole[found.series]).all() and (found.behind >= 0).all()


def test_a_candidate_that_is_judged_has_seen_nothing_of_what_is_held_out() -> None:
    sums, losses = [], []
    for change_by in (0.0, 1e4):
        train = batch(walks(3, 200), 4)
        held = hold_out(train.contexts, 12)
        for begin, end in zip(held.end, held.whole, strict=True):
            train.contexts.values[begin:end] += change_by
        windows = Windows(train.contexts.values, held.begin, held.end)
        sums.append(collect(windows, 3, 4, ("last",), 50.0, TRIAL, np.random.default_rng(0))["last"])
        losses.append(Linear(normalise="last").finetune(train, "", 0).notes["loss before"])
    np.testing.assert_array_equal(sums[0].gram, sums[1].gram)
    np.testing.assert_array_equal(sums[0].cross, sums[1].cross)
    assert sums[0].rows[0] == 3 * (held.end - held.begin)[0] - 3 * 6 and losses[0] != losses[1]


def test_learning_is_the_same_twice_and_a_shorter_horizon_is_the_first_steps() -> None:
    rows = walks(5, 120)
    first, again = learnt(rows), learnt(rows)
    np.testing.assert_array_equal(first.rule.weights, again.rule.weights)
    np.testing.assert_array_equal(first.predict(batch(rows, 2)).values, first.predict(batch(rows, 4)).values[:, :, :2])
    with pytest.raises(Unsupported, match=r"has learnt 4 steps, and the task asks for 5; .*leave weights out"):
        first.predict(batch(rows, 5))


def test_a_saved_model_is_used_as_it_is(tmp_path: Path) -> None:
    rows = walks(4, 120)
    model = learnt(rows)
    model.save(tmp_path)
    loaded = Linear(weights=str(tmp_path))
    for made in (loaded, loaded.finetune(batch(walks(4, 120, seed=5)), "", 3)):
        np.testing.assert_array_equal(made.predict(batch(rows)).values, model.predict(batch(rows)).values)
    assert "nothing here" in str(loaded.finetune(batch(rows), "", 0).notes["learnt"])
    with pytest.raises(Unsupported, match=r"has learnt nothing yet; run it with --mode full, or name a folder"):
        Linear().predict(batch(rows))


def test_weights_that_are_none(tmp_path: Path) -> None:
    def refused(match: str) -> None:
        with pytest.raises(UsageError, match=match):
            Linear(weights=str(tmp_path))

    refused(r"linear\.json cannot be read: .*; wanted a folder that save\(\) of a learnt model wrote")
    learnt(walks(4, 120)).save(tmp_path)
    facts, arrays = tmp_path / "linear.json", tmp_path / "linear.npz"
    right, whole = json.loads(facts.read_text()), arrays.read_bytes()
    for wrong, match in (
        ({"format": "other"}, "format 'other'"),
        ({"normalise": "mean"}, "normalise 'mean'"),
        ({"mean": "x"}, "could not convert"),
        ({"mean": float("nan")}, "not finite"),
        ({"origin": 3}, "TypeError"),
    ):
        facts.write_text(json.dumps({**right, **wrong}))
        refused(f"cannot be used: .*{match}")
    facts.write_text(json.dumps(right))
    with np.load(arrays) as found:
        good = dict(found)
    for wrong_arrays, match in (
        ({"weights": good["weights"][:, :2]}, "arrays of shapes"),
        ({"table": good["table"][::-1]}, "that fall"),
        ({"intercepts": good["intercepts"] * np.nan}, "not finite"),
        ({"table": np.array([{}], dtype=object)}, "pickle"),
    ):
        np.savez(arrays, **{**good, **wrong_arrays})
        refused(f"(?s)cannot be used: .*{match}")
    arrays.write_bytes(whole[: len(whole) // 2])
    refused("cannot be used: BadZipFile")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"lags": 0}, r"lags got 0; wanted a whole number from 1 to 512"),
        ({"lags": 999}, r"lags got 999"),
        ({"lags": "auto"}, r"lags got 'auto'"),
        ({"ridge": 0}, r"ridge got 0; wanted a number above 0"),
        ({"normalise": "mean"}, r"normalise got 'mean'; wanted auto, last, scaled or global"),
        ({"nonnegative": "yes"}, r"nonnegative got 'yes'; wanted true or false"),
        ({"weights": 3}, r"weights got 3; wanted the path of a folder"),
        ({"weights": "x", "lags": 3}, r"weights are used as they are; leave lags, ridge, normalise and nonnegative out"),
    ],
)
def test_parameters_that_make_no_sense(params: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"linear: {message}"):
        Linear(**params)


def test_an_event_is_asked_of_a_forecast_of_values() -> None:
    from harness.events import probabilities, threshold

    rows = walks(6, 200)
    event = Event("up", step=2, relative="difference")
    asked = replace(batch(rows), event=event, thresholds=threshold(event, np.array([r[-1] for r in rows])))
    model = Linear().finetune(asked, "", 0)
    chance = probabilities(model.predict(asked), event, np.array([r[-1] for r in rows]))
    assert chance.shape == (6,) and ((chance > 0) & (chance < 1)).all()
    above = np.array([r[-1] for r in rows]) > 50  # what is above the level is pulled down
    assert chance[above].max(initial=0) < chance[~above].min(initial=1) + 0.35


def test_registered_with_one_mode() -> None:
    infos: list[ModelInfo] = []
    harness_linear.register_models(lambda info, _: infos.append(info))
    from harness.plan import untrainable

    assert infos[0].modes == ("full",) and untrainable(infos[0])
