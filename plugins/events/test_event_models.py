"""Each model's rule beside plain loops, its fit beside scipy's, and what must hold whatever a fold gives."""

from __future__ import annotations

import doctest
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from harness_events import MODELS, models
from harness_events.models import AlwaysUp, AtrLogistic, BaseRate, LastSign, Logistic, Momentum, VolatilityLogistic, fit_logistic
from numpy.typing import ArrayLike

from harness import Batch, Unsupported
from harness.forecast import F64, Ragged
from harness.plugins import load
from harness.testing import Check, checks
from harness.types import Event

UP = Event("up", 2, 0.0, "difference")
NAN = math.nan
EVERY = [BaseRate, AlwaysUp, LastSign, Momentum, AtrLogistic, VolatilityLogistic]
ONE_FEATURE = [Momentum, AtrLogistic, VolatilityLogistic]


@pytest.mark.parametrize("check", [c for name in sorted(MODELS) for c in checks(name)], ids=str)
def test_conformance(check: Check) -> None:
    check()


def test_what_a_model_looks_for_is_what_its_info_names() -> None:
    """By that name `harness plugin test` makes the covariate; without it a model would be skipped, and nothing of it checked."""
    models = load().models
    for factory, name in zip(EVERY, MODELS, strict=True):
        assert models[name].info.extra.get("past_names", "") == getattr(factory, "feature", "")


def test_worked_numbers() -> None:
    found = doctest.testmod(models)
    assert (found.failed, found.attempted > 0) == (0, True)


def batch(rows: Sequence[ArrayLike], event: Event | None = UP, **past: Sequence[ArrayLike]) -> Batch:
    """Windows, or parts to learn from, with past covariates by name; a threshold that no model here looks at."""
    made = Batch.from_contexts(rows, 3)
    covariates = tuple(Ragged.from_rows(values) for values in past.values())
    limits = None if event is None else np.zeros(len(rows))
    return replace(made, event=event, thresholds=limits, past_covariates=covariates, past_names=tuple(past))


def with_features(rows: Sequence[ArrayLike], features: Sequence[ArrayLike], event: Event = UP) -> Batch:
    """All three features are the same numbers, beside one that nobody asks for."""
    return batch(
        rows, event, other=[np.zeros(np.shape(row)) for row in features], atr14=features, momentum252=features, volatility20=features
    )


def walk(length: int, seed: int, gaps: float = 0.0) -> F64:
    rng = np.random.default_rng(seed)
    values: F64 = np.round(rng.normal(0.1, 1, length).cumsum(), 1).astype(np.float32).astype(np.float64)
    values[rng.random(length) < gaps] = NAN
    return values


def known(row: F64, event: Event = UP) -> list[float]:
    """The outcome after each step by a plain loop, NaN where it is not known."""
    found = []
    for t in range(len(row)):
        seen = [v for v in row[: t + 1] if not math.isnan(v)]
        ahead = row[t + event.step] if t + event.step < len(row) else NAN
        found.append(NAN if not seen or math.isnan(ahead) else float(ahead > seen[-1] + event.above))
    return found


def said(model: BaseRate, windows: Batch) -> F64:
    forecast = model.predict(windows)
    assert (forecast.kind, forecast.values.shape) == ("probabilities", (len(windows), 1, 1))
    return forecast.values[:, 0, 0].astype(np.float64)


PARTS = [walk(60, 1), walk(3, 2), walk(45, 3, gaps=0.2), walk(2, 4), walk(1, 5)]


def test_base_rate_counts_the_outcomes_that_are_known() -> None:
    outcomes = [y for row in PARTS for y in known(row) if not math.isnan(y)]
    model = BaseRate().finetune(batch(PARTS), "", 0)
    rate = (sum(outcomes) + 0.5) / (len(outcomes) + 1)
    assert 60 < len(outcomes) < sum(map(len, PARTS)) - 2 * len(PARTS)
    assert model.notes == {"outcomes": len(outcomes), "base rate": rate}
    np.testing.assert_allclose(said(model, batch(PARTS)), rate, rtol=1e-6)


def test_always_up_is_as_sure_as_its_many_outcomes() -> None:
    model = AlwaysUp().finetune(batch(PARTS), "", 0)
    n = sum(not math.isnan(y) for row in PARTS for y in known(row))
    np.testing.assert_allclose(said(model, batch([[1.0], [5.0]])), (n + 0.5) / (n + 1), rtol=1e-6)
    assert said(model, batch([[1.0]]))[0] < 1


@pytest.mark.parametrize("step", [1, 2, 5])
def test_last_sign_follows_the_last_outcome_that_is_known(step: int) -> None:
    event = replace(UP, step=step)
    model = LastSign().finetune(batch(PARTS, event), "", 0)
    pairs = []
    for row in PARTS:
        outcomes = known(row, event)
        pairs += [(outcomes[t - step], outcomes[t]) for t in range(step, len(row))]
    pairs = [pair for pair in pairs if not any(map(math.isnan, pair))]
    rate = model.rate
    after = {y: (sum(b for a, b in pairs if a == y) + rate) / (sum(a == y for a, _ in pairs) + 1) for y in (0.0, 1.0)}
    windows = [walk(step + 1 + k % 4, 100 + k, gaps=0.2) for k in range(40)]
    windows += [np.ones(step), np.full(step + 1, NAN)]  # too short, and nothing there
    wanted = []
    for row in windows:
        ahead = row[-1]
        before = [v for v in row[-step - 1 : len(row) - step] if not math.isnan(v)]
        last = NAN if len(row) <= step or math.isnan(ahead) or not before else float(ahead > before[-1])
        wanted.append(rate if math.isnan(last) else after[last])
    assert len({*wanted}) == 3
    np.testing.assert_allclose(said(model, batch(windows, event)), wanted, rtol=1e-6)


def test_a_feature_that_tells_is_learnt() -> None:
    """The feature at t is what the series does two steps on, with noise: the slope is positive, and is what scipy finds."""
    optimize = pytest.importorskip("scipy.optimize", reason="scipy is not installed: pip install scipy")
    row = walk(300, 7)
    ahead = np.concatenate([row[2:] - row[:-2], [0, 0]])
    feature = (3 + 10 * (ahead + np.random.default_rng(0).normal(0, 3, 300))).astype(np.float32).astype(np.float64)
    feature[::17] = NAN
    y = np.array(known(row))
    good = ~np.isnan(y) & ~np.isnan(feature)
    x = (feature[good] - feature[good].mean()) / feature[good].std()

    def cost(weights: F64) -> float:
        logit = weights[0] + weights[1] * x
        return float(np.logaddexp(0, np.where(y[good] == 1, -logit, logit)).sum() + models.RIDGE * len(x) * weights[1] ** 2 / 2)

    best = optimize.minimize(cost, [0.0, 0.0], method="BFGS", options={"gtol": 1e-9}).x
    assert best[1] > 0.5
    for kind in ONE_FEATURE:
        model = kind().finetune(with_features([row], [feature]), "", 0)
        assert isinstance(model, Logistic)
        assert (model.a, model.b) == pytest.approx(tuple(best), rel=1e-5, abs=1e-6)
        assert {"intercept", "slope of the standardised feature"} <= {*model.notes}
        at = np.array([-20.0, 3.0, 50.0, NAN])
        windows = [np.ones(4)] * 4
        z = (at - feature[good].mean()) / feature[good].std()
        wanted = 1 / (1 + np.exp(-(best[0] + best[1] * z)))
        wanted[3] = model.rate  # the feature is missing where the context ends
        seen = said(model, with_features(windows, [[9.0, 9.0, 9.0, v] for v in at]))
        np.testing.assert_allclose(seen, wanted, rtol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_the_fit_is_scipys(seed: int) -> None:
    optimize = pytest.importorskip("scipy.optimize", reason="scipy is not installed: pip install scipy")
    rng = np.random.default_rng(seed)
    x = rng.normal(size=50)
    y = (rng.random(50) < 1 / (1 + np.exp(-(seed - 2 + seed * x)))).astype(np.float64)

    def gradient(weights: F64) -> F64:
        error = 1 / (1 + np.exp(-(weights[0] + weights[1] * x))) - y
        return np.array([error.sum(), (error * x).sum() + models.RIDGE * len(x) * weights[1]])

    assert fit_logistic(x, y) == pytest.approx(tuple(optimize.root(gradient, [0.0, 0.0], tol=1e-12).x), abs=1e-6)


@pytest.mark.parametrize("seed", [821, 877, 1231, 1287, 1499])
def test_a_feature_with_values_far_out_does_not_run_away(seed: int) -> None:
    """Newton's method with whole steps ends at slopes of 1e13 here."""
    optimize = pytest.importorskip("scipy.optimize", reason="scipy is not installed: pip install scipy")
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 400))
    x = [rng.normal(size=n), rng.standard_cauchy(n), np.exp(2 * rng.normal(size=n)), rng.pareto(1, n)][seed % 4]
    x = (x - x.mean()) / x.std()
    slope = rng.normal() * 3
    y = (rng.random(n) < 1 / (1 + np.exp(-np.clip(slope * x * rng.integers(0, 5) + rng.normal() * 3, -50, 50)))).astype(np.float64)

    def cost(weights: F64) -> float:
        logit = weights[0] + weights[1] * x
        return float(np.logaddexp(0, np.where(y == 1, -logit, logit)).sum() + models.RIDGE * n * weights[1] ** 2 / 2)

    best = optimize.minimize(cost, [0.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10, "maxiter": 5000}).x
    assert fit_logistic(x, y) == pytest.approx(tuple(best), abs=1e-3)


def test_classes_that_are_apart_have_a_finite_slope() -> None:
    x = np.linspace(-1, 1, 40)
    a, b = fit_logistic(x, (x > 0).astype(np.float64))
    assert 1 < b < 1000
    assert math.isfinite(a)
    a, b = fit_logistic(x * 1.7, np.where(np.arange(40) == 39, 1.0, 0.0))  # one event of forty, where the feature is highest
    assert b > 1
    assert math.isfinite(a)


@pytest.mark.parametrize("kind", EVERY)
@pytest.mark.parametrize(
    "rows",
    [[[NAN] * 30], [[1.0, 2.0]], [np.arange(40.0)], [np.arange(40.0, 0, -1)], [np.ones(30)], [np.ones(30), np.arange(9.0)]],
    ids=["missing", "short", "always", "never", "constant", "two"],
)
def test_whatever_it_learns_from_it_says_a_probability(kind: type[BaseRate], rows: list[ArrayLike]) -> None:
    """No outcome, one class alone, a feature that never varies: probabilities between 0 and 1, which are never reached."""
    features = [np.arange(len(np.asarray(row)), dtype=np.float64) for row in rows]
    model = kind().finetune(with_features(rows, features), "", 0)
    windows: list[ArrayLike] = [[NAN], [1.0], [1.0, NAN, 3.0, 4.0], np.arange(50.0), [1e30] * 5, [-1e30] * 5]
    seen = said(model, with_features(windows, [np.linspace(-1e30, 1e30, len(np.asarray(row))) for row in windows]))
    assert ((seen > 0) & (seen < 1)).all()
    outcomes = [y for row in rows for y in known(np.asarray(row, np.float64)) if not math.isnan(y)]
    if not outcomes:
        assert (seen == 0.5).all()
    elif {*outcomes} == {1.0}:
        assert seen.min() > 0.9
    elif {*outcomes} == {0.0} and kind is not AlwaysUp:
        assert seen.max() < 0.1


@pytest.mark.parametrize("kind", ONE_FEATURE)
def test_probabilities_stay_half_an_event_away_from_certainty(kind: type[Logistic]) -> None:
    row, feature = np.tile([1.0, 1.0, 5.0, 5.0], 30), np.tile([1.0, 1.0, -1.0, -1.0], 30)  # the feature tells all
    model = kind().finetune(with_features([row], [feature]), "", 0)
    seen = said(model, with_features([[1.0]] * 2, [[1e6], [-1e6]]))
    least = 0.5 / (118 + 1)
    np.testing.assert_allclose(seen, [1 - least, least], rtol=1e-5)


def test_only_outcomes_within_the_part_are_learnt_from() -> None:
    """What comes after a part's end changes nothing, and the last two steps teach nothing: their outcome lies beyond it."""
    row = walk(80, 11)
    feature = walk(80, 12)
    other, moved = row[:50].copy(), feature[:50].copy()
    moved[-2:] = 1e9
    for kind in EVERY:
        one, two = kind().finetune(with_features([other], [feature[:50]]), "", 0), kind().finetune(with_features([other], [moved]), "", 0)
        assert one.count == two.count == 48
        windows = with_features([row], [feature])
        assert said(one, windows)[0] == said(two, windows)[0]


@pytest.mark.parametrize("kind", EVERY)
def test_series_are_learnt_from_together_and_in_any_order(kind: type[BaseRate]) -> None:
    rows = [walk(40, k, gaps=0.1) for k in range(4)]
    features = [walk(40, 50 + k) for k in range(4)]
    windows = with_features(rows, features)
    wanted = said(kind().finetune(with_features(rows, features), "", 0), windows)
    again = said(kind().finetune(with_features(rows, features), "", 7), windows)
    back = said(kind().finetune(with_features(rows[::-1], features[::-1]), "", 0), windows)
    alone = [
        said(kind().finetune(with_features(rows, features), "", 0), with_features([r], [f]))[0] for r, f in zip(rows, features, strict=True)
    ]
    np.testing.assert_array_equal(again, wanted)  # the seed is of no use to it
    np.testing.assert_allclose(back, wanted, rtol=1e-5)
    np.testing.assert_array_equal(alone, wanted)


@pytest.mark.parametrize("kind", EVERY)
def test_a_task_of_values_is_refused(kind: type[BaseRate]) -> None:
    for call in (lambda windows: kind().finetune(windows, "", 0), lambda windows: kind().predict(windows)):
        with pytest.raises(Unsupported, match="it tells how probable an event is, and this task asks for values, of no event"):
            call(batch(PARTS, None))


@pytest.mark.parametrize("kind", ONE_FEATURE)
def test_a_covariate_that_is_not_there_is_named(kind: type[Logistic]) -> None:
    wanted = f"it needs the past covariate '{kind.feature}', and the data has: rsi, volume"
    named = batch(PARTS, rsi=PARTS, volume=PARTS)
    with pytest.raises(Unsupported, match=wanted):
        kind().finetune(named, "", 0)
    model = kind().finetune(with_features(PARTS, PARTS), "", 0)
    with pytest.raises(Unsupported, match=wanted):
        model.predict(named)
    with pytest.raises(Unsupported, match="and the data has: none that has a name"):
        kind().finetune(replace(named, past_names=()), "", 0)


def test_the_features_are_those_of_the_suite_spy() -> None:
    targets = pytest.importorskip("harness_tasks.spy.targets", reason="the suites are not installed: pip install ts-harness")
    assert {kind.feature for kind in ONE_FEATURE} <= {*targets.COVARIATES}
