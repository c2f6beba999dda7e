"""Calibration, decisions and their tests: beside plain loops, scikit-learn, scipy, statsmodels."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from harness_results.direction import calibration as c
from harness_results.direction import decisions as d

F64 = NDArray[np.float64]
SKLEARN = "scikit-learn is not installed: pip install scikit-learn"


def case(n: int, seed: int = 0) -> tuple[F64, F64]:
    rng = np.random.default_rng(seed)
    p = np.round(rng.beta(2, 5, n), 2)
    return p, (rng.random(n) < p).astype(np.float64)


@pytest.mark.parametrize("n", [12, 500])
def test_losses_beside_scikit_learn(n: int) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason=SKLEARN)
    p, y = case(n, n)
    inside = np.clip(p, c.CLIP, 1 - c.CLIP)
    assert c.brier(p, y) == pytest.approx(metrics.brier_score_loss(y, p), abs=1e-14)
    assert c.log_loss(p, y) == pytest.approx(metrics.log_loss(y, inside, labels=[0, 1]), abs=1e-12)


def test_skill_is_against_what_could_be_known() -> None:
    p, y = case(300)
    assert c.brier_skill(np.full(300, 0.4), y, 0.4) == 0
    assert c.brier_skill(y, y, 0.4) == 1
    rates = np.linspace(0.2, 0.4, 300)
    loops = 1 - sum((a - b) ** 2 for a, b in zip(p, y, strict=True)) / sum((r - b) ** 2 for r, b in zip(rates, y, strict=True))
    assert c.brier_skill(p, y, rates) == pytest.approx(loops)
    assert np.isnan(c.brier_skill([0.0, 0.5], [0, 0], 0.0))
    with pytest.raises(ValueError, match="broadcast"):
        c.brier_skill(p, y, rates[:-1])


def test_certain_and_wrong_costs_what_is_said() -> None:
    assert c.log_loss([0.0], [1]) == pytest.approx(-math.log(1e-6))
    assert c.log_loss([1.0], [1]) == pytest.approx(1e-6, rel=1e-3)
    losses = c.log_losses([0.2, np.nan, 0.7], [1, np.nan, 0])
    assert np.isnan(losses[1])
    assert losses[2] == pytest.approx(-math.log(0.3))


def loop_bins(p: F64, y: F64, bins: int) -> list[tuple[int, float, float]]:
    """Windows sorted and dealt out, where all probabilities differ."""
    order = sorted(range(len(p)), key=lambda i: p[i])
    groups: list[list[int]] = [[] for _ in range(bins)]
    for rank, i in enumerate(order):
        groups[math.floor(bins * (rank + 0.5) / len(p))].append(i)
    return [(len(g), float(np.mean(p[g])), float(np.mean(y[g]))) for g in groups if g]


@pytest.mark.parametrize(("n", "bins"), [(100, 10), (103, 10), (7, 10), (1, 3), (50, 1)])
def test_reliability_beside_a_loop(n: int, bins: int) -> None:
    rng = np.random.default_rng(n)
    p = rng.permutation(np.linspace(0.1, 0.9, n))
    y = (rng.random(n) < p).astype(float)
    table, wanted = c.reliability(p, y, bins), loop_bins(p, y, bins)
    assert table.windows.tolist() == [count for count, _, _ in wanted]
    np.testing.assert_allclose(table.forecast, [f for _, f, _ in wanted])
    np.testing.assert_allclose(table.observed, [o for _, _, o in wanted])
    assert c.ece(p, y, bins) == pytest.approx(sum(k * abs(f - o) for k, f, o in wanted) / n)
    if n % bins == 0:
        assert set(table.windows.tolist()) == {n // bins}


def test_equal_probabilities_are_never_parted() -> None:
    p = np.repeat([0.2, 0.5, 0.7], [50, 3, 7])
    y = np.tile([0.0, 1.0, 1.0], 20)
    table = c.reliability(p, y)
    for value in (0.2, 0.5, 0.7):
        assert (np.abs(table.forecast - value) < 1e-12).sum() == 1
    order = np.random.default_rng(0).permutation(60)
    assert c.ece(p[order], y[order]) == pytest.approx(c.ece(p, y))
    assert c.reliability(np.full(9, 0.5), y[:9]).windows.tolist() == [9]


def test_intervals_of_shares_beside_statsmodels() -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion", reason="statsmodels is not installed: pip install statsmodels")
    p, y = case(400)
    table = c.reliability(p, y, level=0.9)
    low, high = proportion.proportion_confint(np.rint(table.observed * table.windows), table.windows, 0.1, "wilson")
    np.testing.assert_allclose(table.low, low, atol=1e-12)
    np.testing.assert_allclose(table.high, high, atol=1e-12)


@pytest.mark.parametrize(
    ("p", "collapsed"),
    [
        ([0.53] * 50, True),
        ([0.53] * 49 + [0.9], True),  # one that differs is a spread of nothing
        (np.linspace(0.5, 0.5005, 50), True),
        (np.linspace(0.5, 0.51, 50), False),
        ([0.0, 1.0] * 25, False),
    ],
)
def test_a_model_that_says_one_thing_is_found(p: F64, collapsed: bool) -> None:
    assert c.collapse(p).collapsed is collapsed


def test_collapse_counts_what_counts() -> None:
    found = c.collapse([0.5, 0.6, 0.7, np.nan], [0, 1, 0, np.nan])
    assert found.unique == 3
    assert found.share == pytest.approx(2 / 3)
    assert found.std == pytest.approx(np.std([0.5, 0.6, 0.7]))
    assert c.collapse([]).unique == 0


@pytest.mark.parametrize("threshold", [0.2, 0.31, 0.5])
def test_decisions_beside_scikit_learn(threshold: float) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason=SKLEARN)
    p, y = case(400, 2)
    found, called = d.decisions(p, y, threshold), p > threshold
    assert found.precision == pytest.approx(metrics.precision_score(y, called))
    assert found.recall == pytest.approx(metrics.recall_score(y, called))
    assert found.f1 == pytest.approx(metrics.f1_score(y, called))
    assert found.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(y, called))
    assert found.mcc == pytest.approx(metrics.matthews_corrcoef(y, called))
    assert found.accuracy == pytest.approx(metrics.accuracy_score(y, called))
    assert found.calls == called.mean()


def test_decisions_where_something_is_lacking() -> None:
    nothing = d.decisions([0.5, 0.5, 0.5], [1, 0, 1])  # at the threshold is no call
    assert np.isnan(nothing.precision)
    assert (nothing.recall, nothing.f1, nothing.balanced_accuracy, nothing.mcc, nothing.calls) == (0, 0, 0.5, 0, 0)
    one_class = d.decisions([0.9, 0.1], [1, 1])
    assert one_class.recall == 0.5
    assert np.isnan(one_class.balanced_accuracy)
    assert np.isnan(one_class.mcc)
    assert np.isnan(d.decisions([], [])).all()
    many = d.decisions(np.tile([0.9, 0.1], 200_000), np.tile([1, 0, 0, 1], 100_000))
    assert many.mcc == 0  # and no overflow
    each = d.decisions([0.4, 0.4, 0.4], [1, 0, np.nan], [0.3, 0.5, 0.1])
    assert each.accuracy == 1


def test_best_threshold_beside_a_search() -> None:
    p, y = case(120, 9)
    limit = d.best_threshold(p, y)
    values = np.unique(p)
    tried = [(d.decisions(p, y, t).balanced_accuracy, -abs(t - 0.5)) for t in (values[1:] + values[:-1]) / 2]
    assert d.decisions(p, y, limit).balanced_accuracy == pytest.approx(max(tried)[0])
    assert np.isnan(d.best_threshold([0.5, 0.5], [0, 1]))
    assert np.isnan(d.best_threshold([0.1, 0.5], [1, 1]))


def test_thresholds_are_of_earlier_folds_only() -> None:
    p, y = case(300, 4)
    fold = np.repeat([0, 1, 2], 100)
    found = d.frozen_thresholds(p, y, fold)
    assert (found[:100] == 0.5).all()
    assert (found[200:] == d.best_threshold(p[:200], y[:200])).all()
    later, other = p.copy(), y.copy()
    later[200:], other[200:] = 1 - later[200:], 1 - other[200:]
    assert np.array_equal(d.frozen_thresholds(later, other, fold), found)


def test_pesaran_timmermann_beside_chi_square() -> None:
    """Its square is Pearson's chi-square of the table of calls and outcomes, times n/(n − 1)."""
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed: pip install scipy")
    p, y = case(400, 8)
    called = p > 0.3
    found = d.pesaran_timmermann(called, y)
    table = [[((called == a) & (y == b)).sum() for b in (0, 1)] for a in (False, True)]
    chi, half, _, _ = stats.chi2_contingency(table, correction=False)
    assert found.statistic > 0
    assert found.statistic**2 == pytest.approx(chi * 400 / 399)
    assert found.p == pytest.approx(stats.norm.sf(found.statistic))
    assert half / 2 == pytest.approx(found.p, rel=0.05)
    assert found.agreement == (called == y).mean()


def test_pesaran_timmermann_of_overlapping_windows_beside_statsmodels() -> None:
    api = pytest.importorskip("statsmodels.api", reason="statsmodels is not installed: pip install statsmodels")
    p, y = case(300, 8)
    called = (p > 0.3).astype(float)
    fit = api.OLS(y, api.add_constant(called)).fit(cov_type="HAC", cov_kwds={"maxlags": 4, "use_correction": False})
    assert d.pesaran_timmermann(called, y, lags=4).statistic == pytest.approx(fit.tvalues[1])
    alone = d.pesaran_timmermann(called, y).statistic
    few = d.pesaran_timmermann(called, y, lags=1).statistic
    assert few == pytest.approx(alone, rel=0.15)


def test_pesaran_timmermann_has_no_answer_where_nothing_was_timed() -> None:
    assert np.isnan(d.pesaran_timmermann([1, 1, 1], [1, 0, 1]).p)
    assert np.isnan(d.pesaran_timmermann([1, 0, 1], [1, 1, 1]).p)
    assert np.isnan(d.pesaran_timmermann([], []).p)
    with pytest.raises(ValueError, match="p > threshold"):
        d.pesaran_timmermann([0.6, 0.4], [1, 0])


def test_probabilities_outside_of_their_range_are_refused() -> None:
    for function in (c.brier, c.log_loss, c.ece):
        with pytest.raises(ValueError, match=r"a probability is 1.2; wanted \[0, 1\]"):
            function([0.5, 1.2], [0, 1])
        assert np.isnan(function([], []))
        assert np.isnan(function([0.5], [np.nan]))
