"""The dialects `monash`, `time`, `tsfm-point` and `gift-eval` beside plain loops: one window, one point at a time, in Python floats."""

from __future__ import annotations

import doctest
import importlib
import math
import statistics
import tracemalloc
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
from dialect_kit import DIALECTS, KINDS, Case, case

from harness.dialects import Forecasts, dialect, score
from harness.errors import UsageError
from harness.forecast import Ragged
from harness.series import Channels
from harness_results.dialects.insample import mean_gaps, standard_deviations

MODULES = (
    "harness.arithmetic",
    *(f"harness_results.dialects.{name}" for name in ("insample", "gift_eval", "fev", "monash", "time_bench", "tsfm_point")),
)


def mean(values: Iterable[float]) -> float:
    kept = list(values)
    # fsum refuses inf - inf, which is NaN.
    return (math.fsum(kept) if all(map(math.isfinite, kept)) else sum(kept)) / len(kept) if kept else math.nan


def quotient(a: float, b: float) -> float:
    if b:
        return a / b
    return math.nan if not a or math.isnan(a) else math.copysign(math.inf, a)


def naive_error(context: Iterable[float], lag: int) -> float:
    """Mean |x_t − x_{t−lag}| of the values that are not NaN."""
    seen = [x for x in context if not math.isnan(x)]
    return mean(abs(a - b) for a, b in zip(seen[lag:], seen, strict=False))


def monash(made: Case, season: int) -> dict[str, float]:
    errors: dict[str, list[float]] = {"MASE": [], "sMAPE": [], "msMAPE": [], "MAE": [], "RMSE": []}
    for c in sorted(set(made.channel.tolist())):
        rows = [n for n in range(len(made.cut)) if made.channel[n] == c]
        points = [
            (y, f)
            for n in rows
            for y, f in zip(made.labels(n).tolist(), made.median(n).tolist(), strict=True)
            if not math.isnan(y)
        ]  # fmt: skip
        if not points:
            continue
        train = made.context(min(rows, key=lambda n: made.cut[n])).tolist()
        mae = mean(abs(y - f) for y, f in points)
        mase = quotient(mae, naive_error(train, season))
        if math.isnan(mase):
            mase = quotient(mae, naive_error(train, 1))
        if math.isfinite(mase):
            errors["MASE"].append(mase)
        ratios = [2 * abs(f - y) / (abs(f) + abs(y)) if f or y else math.nan for y, f in points]
        errors["sMAPE"].append(mean(r for r in ratios if not math.isnan(r)))
        errors["msMAPE"].append(mean(2 * abs(f - y) / max(abs(f) + abs(y) + 0.1, 0.6) if math.isfinite(y) else math.nan for y, f in points))
        errors["MAE"].append(mae)
        errors["RMSE"].append(math.sqrt(mean((f - y) ** 2 for y, f in points)))
    found = {}
    for name, values in errors.items():
        undefined = not values or any(math.isnan(v) for v in values)
        found[f"mean {name}"] = math.nan if undefined else mean(values)
        found[f"median {name}"] = math.nan if undefined else statistics.median(values)
    return {**found, "MASE series": len(errors["MASE"]), "series": len(errors["MAE"])}


def time(made: Case, season: int) -> dict[str, float]:
    windows: dict[str, list[float]] = {name: [] for name in DIALECTS["time"].metrics}
    for n in range(len(made.cut)):
        seen = [h for h, y in enumerate(made.labels(n)) if not math.isnan(y)]
        if not seen:
            continue
        label, median = made.labels(n)[seen].tolist(), made.median(n)[seen].tolist()
        context = [x for x in made.context(n).tolist() if not math.isnan(x)]
        scale = naive_error(context, season) if len(context) > season else math.nan
        errors = [abs(y - f) for y, f in zip(label, median, strict=True)]
        total = math.fsum(map(abs, label))
        losses = [
            math.fsum(2 * abs((y - q) * ((q >= y) - tau)) for y, q in zip(label, made.quantiles[n, k][seen].tolist(), strict=True))
            for k, tau in enumerate(made.levels)
        ]
        windows["MSE"].append(mean(e * e for e in errors))
        windows["MAE"].append(mean(errors))
        windows["RMSE"].append(math.sqrt(mean(e * e for e in errors)))
        windows["MAPE"].append(mean(quotient(e, abs(y)) for e, y in zip(errors, label, strict=True) if y and math.isfinite(y)))
        windows["sMAPE"].append(
            mean(2 * e / (abs(y) + abs(f)) for e, y, f in zip(errors, label, median, strict=True) if (y or f) and math.isfinite(y))
        )
        windows["MASE"].append(mean(errors) / scale if scale > 0 else math.nan)
        windows["ND"].append(math.fsum(errors) / total if total > 0 else math.nan)
        windows["CRPS"].append(mean(loss / total for loss in losses) if total > 0 else math.nan)
    return {name: mean(v for v in values if not math.isnan(v)) for name, values in windows.items()}


def tsfm_point(made: Case, _: int) -> dict[str, float]:
    errors: dict[str, list[float]] = {"": [], "[0.5]": []}
    for n in range(len(made.cut)):
        first = min(made.cut[k] for k in range(len(made.cut)) if made.channel[k] == made.channel[n])
        train = [x for x in made.series[made.channel[n]][:first].tolist() if math.isfinite(x)]
        if not train:
            continue
        sigma = statistics.pstdev(train) or 1.0
        for kind, ahead in (("", made.mean[n].tolist()), ("[0.5]", made.median(n).tolist())):
            errors[kind] += [(y - f) / sigma for y, f in zip(made.labels(n).tolist(), ahead, strict=True) if math.isfinite(y)]
    return {
        **{f"MSE{kind}": mean(e * e for e in values) for kind, values in errors.items()},
        **{f"MAE{kind}": mean(map(abs, values)) for kind, values in errors.items()},
    }


REFERENCES: dict[str, tuple[Callable[[Case, int], dict[str, float]], dict[str, int]]] = {
    "monash": (monash, {"D": 7, "H": 24, "M": 12, "A": 1}),
    "time": (time, {"D": 1, "H": 24, "Q": 4}),
    "tsfm-point": (tsfm_point, {"D": 0}),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("name", "freq"), [(name, freq) for name, (_, seasons) in REFERENCES.items() for freq in seasons])
def test_every_metric_is_that_of_the_loop(name: str, freq: str, kind: str) -> None:
    loop, seasons = REFERENCES[name]
    for variates, windows in ((1, 3), (2, 1)):
        made = case(kind, 3, variates=variates, windows=windows)
        if kind == "infinite" and name != "tsfm-point":
            # What an infinite label does is checked below; here only contexts hold some.
            made.series = [np.concatenate([s[: -5 * windows], np.nan_to_num(s[-5 * windows :], posinf=1.0)]) for s in made.series]
        found, wanted = DIALECTS[name].score(made.forecasts(5, freq)), loop(made, seasons[freq])
        assert set(found) == set(DIALECTS[name].metrics) == set(wanted)
        for metric, value in wanted.items():
            np.testing.assert_allclose(found[metric], value, rtol=1e-9, err_msg=f"{metric} of {kind}")


def test_an_infinite_label_is_no_missing_one() -> None:
    series = [[1, 3, 5, np.inf, 5], [1, 3, 5, 5, 5]]
    made = Forecasts.from_arrays(series, [0, 1], [3, 3], np.full((2, 1, 2), 4.0), [0.5])
    found = score(list(DIALECTS.values()), made)
    assert found["gift-eval"]["MAE[0.5]"] == 1.0  # missing there, and in the next
    assert found["tsfm-point"]["MAE"] == pytest.approx(1 / statistics.pstdev([1, 3, 5]))
    assert found["fev"]["MAE"] == found["monash"]["mean MAE"] == found["time"]["MAE"] == math.inf
    assert found["monash"]["MASE series"] == 1
    assert found["fev"]["MASE"] == 0.5  # three points at a scale of 2
    assert found["time"]["MASE"] == math.inf


@pytest.mark.parametrize("kind", KINDS)
def test_scores_do_not_depend_on_blocks(kind: str) -> None:
    made = case(kind, 2, variates=2)
    wanted = score(list(DIALECTS.values()), made.forecasts(4, "Q"))
    for block in (1, 7):
        found = score(list(DIALECTS.values()), made.forecasts(4, "Q", block))
        for name, metrics in wanted.items():
            for metric, value in metrics.items():
                np.testing.assert_allclose(found[name][metric], value, rtol=1e-12, err_msg=f"{name} {metric}")


def test_no_window_at_all_is_undefined_everywhere() -> None:
    none = Forecasts.from_arrays([[1.0, 2.0, 3.0]], [], [], np.empty((0, 1, 2)), [0.5])
    for name, metrics in score(list(DIALECTS.values()), none).items():
        assert {metric for metric, value in metrics.items() if not math.isnan(value)} <= {"MASE series", "series"}, name


def test_a_level_that_is_no_median_leaves_what_needs_one_undefined() -> None:
    made = Forecasts.from_arrays([[1.0, 2.0, 3.0, 4.0]], [0], [2], np.full((1, 1, 2), 2.0), [0.9], np.full((1, 2), 2.0))
    found = score(list(DIALECTS.values()), made)
    assert math.isnan(found["fev"]["MAE"])
    assert math.isnan(found["time"]["MASE"])
    assert found["time"]["CRPS"] == pytest.approx(2 * 0.9 * 3 / 7)
    assert math.isfinite(found["tsfm-point"]["MSE"])


def test_a_median_between_levels_and_a_season_of_two() -> None:
    # The median of 3 at 0.4 and 5 at 0.6 is 4; two steps back the values differ by 2, one step back by 7 or 9.
    series, ahead = [[1, 10, 3, 12, 5, 14, 6, 8]], [[[3.0, 3.0], [5.0, 5.0]]]
    made = Forecasts.from_arrays(series, [0], [6], ahead, [0.4, 0.6], season_length=2, freq="H")
    found = score(list(DIALECTS.values()), made)
    assert found["gift-eval"]["MASE[0.5]"] == found["fev"]["MASE"] == 1.5  # errors 2 and 4
    assert found["time"]["MAE"] == found["monash"]["mean MAE"] == 3


def test_the_dialects_differ_where_they_should() -> None:
    # Ten windows of large values, and one of nearly zero that is missed by 0.1: pooled it is nothing, by windows it is everything.
    series = [[100.0, 102.0] * 6 for _ in range(10)] + [[0.0, 0.2] * 5 + [1e-3, 1e-3]]
    ahead = np.full((11, 9, 2), 101.0)
    ahead[10] = 0.1
    made = Forecasts.from_arrays(series, range(11), [10] * 11, ahead, [k / 10 for k in range(1, 10)], season_length=1, freq="D")
    found = score(list(DIALECTS.values()), made)
    assert found["gift-eval"]["mean_weighted_sum_quantile_loss"] == pytest.approx(found["fev"]["WQL"]) == pytest.approx(0.00999, rel=1e-2)
    assert found["time"]["CRPS"] == pytest.approx((10 * 2 / 202 + 0.198 / 0.002) / 11, rel=1e-3)  # 9.009
    assert found["gift-eval"]["MASE[0.5]"] == pytest.approx(0.5, rel=1e-2)
    # Monash has a week of lag on daily data: seven steps back the values are the other ones, too.
    assert found["monash"]["mean MASE"] == pytest.approx(0.5, rel=1e-2)
    even = Forecasts.from_arrays(series, range(11), [10] * 11, ahead, made.levels, freq="M")
    assert math.isfinite(DIALECTS["monash"].score(even)["mean MASE"])  # ten values, lag 12: again with lag 1
    assert math.isnan(DIALECTS["time"].score(even)["MASE"])  # no more than m values
    assert math.isfinite(DIALECTS["fev"].score(even)["MASE"])  # the task's own season, 1


def test_short_and_constant_contexts_have_four_answers() -> None:
    series = [[1, 3, 5, 7, 7], [4, 4, 4, 7, 7]]  # three values, m = 4; and a constant
    made = Forecasts.from_arrays(series, [0, 1], [3, 3], np.full((2, 1, 2), 6.0), [0.5], season_length=4, freq="Q")
    found = score(list(DIALECTS.values()), made)
    assert found["gift-eval"]["MASE[0.5]"] == 0.5  # lag 1; the constant is left out
    assert math.isnan(found["fev"]["MASE"])
    assert math.isnan(found["time"]["MASE"])
    assert (found["monash"]["mean MASE"], found["monash"]["MASE series"]) == (0.5, 1)


@pytest.mark.parametrize("observed", [False, True])
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("lag", [1, 3, 50])
def test_gaps_of_any_windows_in_any_order(lag: int, power: int, observed: bool) -> None:
    rng = np.random.default_rng(lag)
    rows = [np.where(rng.random(n) < 0.2, np.nan, rng.normal(0, 10.0 ** rng.integers(-8, 8), n)) for n in rng.integers(0, 90, 40)]
    channels = Channels.from_ragged(Ragged.from_rows(rows))
    owner = rng.integers(0, 40, 500)
    cut = np.array([rng.integers(0, len(rows[c]) + 1) for c in owner])
    found = mean_gaps(channels, owner, cut, lag, power=power, observed=observed)
    for n in range(500):
        context = channels[int(owner[n])][: cut[n]].astype(float).tolist()
        seen = [x for x in context if not math.isnan(x)] if observed else context
        wanted = mean(abs(a - b) ** power for a, b in zip(seen[lag:], seen, strict=False) if not math.isnan(a - b))
        np.testing.assert_allclose(found[n], wanted, rtol=1e-12)


def test_scales_are_worked_on_a_piece_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    channels = Channels.from_ragged(Ragged.from_rows([rng.normal(size=n) for n in rng.integers(1, 60, 50)]))
    owner = np.arange(50)
    whole = mean_gaps(channels, owner, channels.length, 2), standard_deviations(channels, owner, channels.length)
    for size in (1, 100):
        monkeypatch.setattr("harness_results.dialects.insample.VALUES", size)
        np.testing.assert_array_equal(mean_gaps(channels, owner, channels.length, 2), whole[0])
        np.testing.assert_array_equal(standard_deviations(channels, owner, channels.length), whole[1])


def test_a_level_shift_takes_no_digits_from_the_deviation() -> None:
    values = 1e7 + np.array([0.0, 1.0, 2.0, 3.0])
    one = Channels.from_ragged(Ragged.from_rows([values]))
    assert standard_deviations(one, np.array([0]), np.array([4]))[0] == pytest.approx(statistics.pstdev([0, 1, 2, 3]), rel=1e-12)


def test_many_windows_take_the_memory_of_a_block() -> None:
    n, horizon, levels = 20_000, 96, np.arange(1, 10) / 10
    few = np.random.default_rng(0).normal(size=(512, 9, horizon)).astype(np.float32)
    series = Channels.from_ragged(Ragged(np.tile(np.arange(5, dtype=np.float32), n * 21), np.arange(n + 1) * 105))
    every, none = np.arange(n), np.zeros(n, np.int64)

    def parts() -> Any:
        for a in range(0, n, 512):
            rows = every[a : a + 512]
            yield rows, few[: len(rows)], few[: len(rows), 4], None

    made = Forecasts(series, every, none + 9, none, levels, horizon, 1, "D", 1, parts)
    tracemalloc.start()
    try:
        score(list(DIALECTS.values()), made)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < n * 9 * horizon * 4 / 3  # the quantiles alone, in float32, would be 69 MB


@pytest.mark.parametrize("module", MODULES)
def test_worked_numbers(module: str) -> None:
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted > 0
    assert found.failed == 0


def test_names_and_versions() -> None:
    assert list(DIALECTS) == ["gift-eval", "fev", "monash", "time", "tsfm-point"]
    assert dialect("fev") == dialect("fev@0.10") == DIALECTS["fev"]
    with pytest.raises(UsageError, match=r"no dialect 'fve'. Did you mean 'fev'\?"):
        dialect("fve")
    with pytest.raises(UsageError, match=r"got dialect 'fev@0.9'; wanted fev or fev@0.10, which is the version here"):
        dialect("fev@0.9")
    for each in DIALECTS.values():
        assert len(set(each.metrics)) == len(each.metrics)
        assert each.info.source
        assert each.version
