"""`harness.statistics`: tails, Holm's correction and the test of two losses, beside plain loops, scipy and statsmodels."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from numpy.typing import NDArray

from harness import statistics
from harness.statistics import Losses, diebold_mariano, holm, long_run_variance, student_quantile, student_tail

F64 = NDArray[np.float64]
NAN, INF = math.nan, math.inf
SCIPY = "scipy is not installed: pip install scipy"
STATSMODELS = "statsmodels is not installed: pip install statsmodels"


def test_worked_numbers() -> None:
    found = doctest.testmod(statistics)
    assert (found.failed, found.attempted > 7) == (0, True)


@pytest.mark.parametrize("freedom", [1, 2, 2.5, 7, 30, 500, 5000])
def test_tails_beside_scipy(freedom: float) -> None:
    stats = pytest.importorskip("scipy.stats", reason=SCIPY)
    for t in (-30.0, -1.0, 0.0, 1e-6, 0.3, 1.0, 2.5, 8.0, 40.0, 1e6, INF):
        assert student_tail(t, freedom) == pytest.approx(stats.t.sf(t, freedom), rel=2e-8, abs=1e-300)
        assert statistics.normal_tail(t) == pytest.approx(stats.norm.sf(t), rel=1e-10, abs=1e-300)
    for share in (0.6, 0.975, 0.9999):
        assert student_quantile(share, freedom) == pytest.approx(stats.t.ppf(share, freedom), rel=1e-7)
        assert statistics.normal_quantile(share) == pytest.approx(stats.norm.ppf(share))
    assert math.isnan(student_tail(NAN, freedom))


def test_tails_of_what_is_none() -> None:
    with pytest.raises(ValueError, match="0 degrees of freedom; wanted more than 0"):
        student_tail(1.0, 0)
    with pytest.raises(ValueError, match="wanted one between"):
        student_quantile(0.5, 3)
    assert (statistics.normal_quantile(0.0), statistics.normal_quantile(1.0)) == (-INF, INF)


def test_holm_beside_statsmodels() -> None:
    multi = pytest.importorskip("statsmodels.stats.multitest", reason=STATSMODELS)
    random = np.random.default_rng(4)
    for n in (1, 2, 5, 60):
        p = np.round(random.random(n) ** 3, 2)  # with ties
        assert holm(p) == pytest.approx(multi.multipletests(p, method="holm")[1])
    square = random.random((3, 4))
    square[1, 2] = NAN
    there, before = ~np.isnan(square), square.copy()
    assert holm(square)[there] == pytest.approx(multi.multipletests(square[there], method="holm")[1])
    assert np.isnan(holm(square)[1, 2])
    assert np.array_equal(before, square, equal_nan=True)
    assert holm(np.empty(0)).shape == (0,)
    assert holm([NAN, 0.2])[1] == 0.2


def loop_variance(gap: list[float], lags: int, kernel: str) -> float:
    """n times the variance of the mean by plain loops; NaN is a gap."""
    there = [x for x in gap if not math.isnan(x)]
    n, mean = len(there), sum(there) / len(there)
    total = 0.0
    for k in range(lags + 1):
        pairs = [(gap[t] - mean) * (gap[t - k] - mean) for t in range(k, len(gap))]
        weight = 1.0 if kernel == "flat" else 1 - k / (lags + 1)
        total += weight * sum(x for x in pairs if not math.isnan(x)) / n * (1 if k == 0 else 2)
    return total


@pytest.mark.parametrize("kernel", statistics.KERNELS)
@pytest.mark.parametrize("h", [1, 2, 3, 5])
def test_diebold_mariano_by_loops(h: int, kernel: str) -> None:
    stats = pytest.importorskip("scipy.stats", reason=SCIPY)
    random = np.random.default_rng(h)
    a, b = random.gamma(2, size=40), random.gamma(2.5, size=40)
    a[3], b[9], a[20], b[20] = NAN, INF, INF, INF
    found = diebold_mariano(a, b, h, kernel=kernel)
    gap = [float(x - y) if math.isfinite(x) and math.isfinite(y) else NAN for x, y in zip(a, b, strict=True)]
    there = [x for x in gap if not math.isnan(x)]
    n, mean = len(there), sum(there) / len(there)
    lags = h - 1 if kernel == "flat" else max(h - 1, int(4 * (n / 100) ** (2 / 9)))
    assert (n, found.windows, found.lags) == (37, 37, lags)
    plain = mean / math.sqrt(loop_variance(gap, lags, kernel) / n)
    assert found.difference == pytest.approx(mean)
    assert found.statistic == pytest.approx(math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n) * plain)
    assert found.p == pytest.approx(2 * stats.t.cdf(-abs(found.statistic), 36))
    assert diebold_mariano(b, a, h, kernel=kernel).statistic == pytest.approx(-found.statistic)


def losses(n: int, seed: int) -> tuple[F64, F64]:
    rng = np.random.default_rng(seed)
    common = np.convolve(rng.normal(size=n + 4), np.ones(5), "valid")
    return common + rng.normal(size=n) + 0.1, rng.normal(size=n)


@pytest.mark.parametrize(("n", "h"), [(40, 1), (500, 5), (500, 21)])
def test_bartletts_kernel_beside_statsmodels(n: int, h: int) -> None:
    api = pytest.importorskip("statsmodels.api", reason=STATSMODELS)
    a, b = losses(n, n)
    found = diebold_mariano(a, b, h)
    fit = api.OLS(a - b, np.ones(n)).fit(cov_type="HAC", cov_kwds={"maxlags": found.lags, "use_correction": False})
    assert found.statistic == pytest.approx(fit.tvalues[0] * math.sqrt((n + 1 - 2 * h + h * (h - 1) / n) / n))


def test_without_lags_it_is_students_test() -> None:
    """The corrected statistic is that of a t-test: V divides by n where that takes n − 1, and √((n−1)/n) mends it."""
    stats = pytest.importorskip("scipy.stats", reason=SCIPY)
    gap = np.random.default_rng(5).normal(0.3, size=25)
    for options in ({"lags": 0}, {"kernel": "flat"}):
        found = diebold_mariano(gap, np.zeros(25), **options)
        assert (found.statistic, found.p) == pytest.approx(tuple(stats.ttest_1samp(gap, 0)))


def test_a_gap_stays_a_gap() -> None:
    """d = 1, −1, gap, 1, −1, 3: the second and the third value are two windows apart, and no pair of lag 1."""
    gap = np.array([1.0, -1, NAN, 1, -1, 3])
    mean = 0.6
    gamma0 = (2 * (1 - mean) ** 2 + 2 * (-1 - mean) ** 2 + (3 - mean) ** 2) / 5
    gamma1 = (2 * (1 - mean) * (-1 - mean) + (-1 - mean) * (3 - mean)) / 5
    found = diebold_mariano(gap, np.zeros(6), 2, kernel="flat")
    assert found.statistic == pytest.approx(math.sqrt((6 - 4 + 2 / 5) / 5) * mean / math.sqrt((gamma0 + 2 * gamma1) / 5))
    assert math.isnan(diebold_mariano(gap[~np.isnan(gap)], np.zeros(5), 2, kernel="flat").statistic)  # closed up it is another series


def test_only_the_flat_kernel_has_a_variance_that_is_not_positive() -> None:
    """d = 3, 1, 3, 1, 3: mean 2.2, γ0 = 0.96, γ1 = −0.768. With one lag 0.96 − 2 · 0.768 is negative, 0.96 − 0.768 is not."""
    gap = np.array([3.0, 1, 3, 1, 3])
    assert long_run_variance(gap, 1) == pytest.approx(0.192)
    assert long_run_variance(gap, 1, "flat") == pytest.approx(-0.576)
    found = diebold_mariano(gap, np.zeros(5), 2, kernel="flat")
    assert (math.isnan(found.statistic), math.isnan(found.p), found.windows) == (True, True, 5)
    assert 0 < diebold_mariano(gap, np.zeros(5), 2, lags=1).p < 1


def test_bartletts_variance_is_never_negative_with_gaps_either() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = np.where(rng.random(30) < 0.3, NAN, np.where(np.arange(30) % 2, 1.0, -1.0) + rng.normal(0, 0.3, 30))
        assert long_run_variance(values, int(rng.integers(0, 29))) >= 0


def test_where_there_is_no_answer() -> None:
    a, _ = losses(50, 2)
    assert diebold_mariano(a, a) == Losses(0.0, 0.0, 1.0, 50, 3)
    for kernel in statistics.KERNELS:
        for values, h in ((np.empty(0), 1), (np.ones(1), 1), (np.arange(5.0), 5), (np.full(9, 0.1), 1), (np.full(9, NAN), 1)):
            found = diebold_mariano(values, np.zeros(len(values)), h, kernel=kernel)
            assert (math.isnan(found.statistic), math.isnan(found.p)) == (True, True)
        assert math.isnan(diebold_mariano(np.full(50, 0.3), np.full(50, 0.1), kernel=kernel).p)  # 0.2 each time, but for rounding
    for wrong in ({"horizon": 0}, {"lags": -1}, {"kernel": "parzen"}):
        with pytest.raises(ValueError, match="wanted"):
            diebold_mariano(a, np.zeros(50), **wrong)
    with pytest.raises(ValueError, match="shapes"):
        diebold_mariano([1.0, 2.0], [1.0])


def test_bartletts_kernel_holds_its_level_over_overlapping_windows() -> None:
    rng = np.random.default_rng(0)
    found = [diebold_mariano(np.convolve(rng.normal(size=604), np.ones(5), "valid"), np.zeros(600), 5).p for _ in range(500)]
    assert 0.03 <= (np.array(found) < 0.05).mean() <= 0.12  # with few lags it finds a little too much
    naive = [diebold_mariano(np.convolve(rng.normal(size=604), np.ones(5), "valid"), np.zeros(600), lags=0).p for _ in range(200)]
    assert (np.array(naive) < 0.05).mean() > 0.25
