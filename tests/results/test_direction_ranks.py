"""Areas under curves: beside plain loops, scikit-learn, and numbers known from elsewhere; and the block bootstrap."""

from __future__ import annotations

import doctest
import importlib
import itertools

import numpy as np
import pytest
from numpy.typing import NDArray

from harness_results.direction import discrimination as d
from harness_results.direction import resampling
from harness_results.glucose import decisions

F64 = NDArray[np.float64]
MODULES = ["calibration", "decisions", "discrimination", "inputs", "resampling", "sharpe", "trading", "verdict"]


def case(n: int, seed: int = 0, ties: bool = True) -> tuple[F64, F64]:
    """Scores [2, n] with some skill, and outcomes."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.3).astype(np.float64)
    scores = np.stack([y + rng.normal(size=n), 0.5 * y + rng.normal(size=n)])
    return (np.round(scores, 1) if ties else scores), y


@pytest.mark.parametrize("ties", [True, False])
def test_areas_from_ranks_are_those_from_counts(ties: bool) -> None:
    """The two ways to the same areas: `glucose.decisions` adds up counts of blocks."""
    scores, y = case(300, 3, ties)
    y[::7] = np.nan
    counts = decisions.merge(decisions.score_counts(y[:90], scores[0, :90]), decisions.score_counts(y[90:], scores[0, 90:]))
    assert decisions.auroc(counts) == pytest.approx(d.auroc(scores[0], y), rel=1e-12)
    assert decisions.auprc(counts) == pytest.approx(d.auprc(scores[0], y).value, rel=1e-12)


def loop_area(score: F64, y: F64) -> float:
    pairs = list(itertools.product(score[y == 1], score[y == 0]))
    return sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs) / len(pairs)


@pytest.mark.parametrize("module", MODULES)
def test_worked_numbers_of_docstrings(module: str) -> None:
    found = doctest.testmod(importlib.import_module(f"harness_results.direction.{module}"))
    assert found.failed == 0
    assert found.attempted > 0 or module == "inputs"


@pytest.mark.parametrize("ties", [True, False])
@pytest.mark.parametrize("n", [7, 60, 150])
def test_area_beside_a_loop_over_pairs_and_scikit_learn(n: int, ties: bool) -> None:
    metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is not installed: pip install scikit-learn")
    scores, y = case(n, n, ties)
    for row in scores:
        assert d.auroc(row, y) == pytest.approx(loop_area(row, y), abs=1e-12)
        assert d.auroc(row, y) == pytest.approx(metrics.roc_auc_score(y, row), abs=1e-12)
        assert d.auprc(row, y).value == pytest.approx(metrics.average_precision_score(y, row), abs=1e-12)
        assert d.auprc(row, y).base_rate == y.mean()


def test_area_is_one_under_a_rising_change_of_scale_and_falls_over_under_a_sign() -> None:
    (score, _), y = case(200)
    assert d.auroc(np.exp(score), y) == d.auroc(score, y) == pytest.approx(1 - d.auroc(-score, y))


def test_windows_without_outcome_do_not_count() -> None:
    (score, _), y = case(100)
    gaps = y.copy()
    gaps[::7] = np.nan
    kept = ~np.isnan(gaps)
    holes = np.where(kept, score, np.nan)  # what does not count may be NaN
    assert d.auroc(holes, gaps) == d.auroc(score[kept], y[kept])
    assert d.auprc(holes, gaps) == d.auprc(score[kept], y[kept])
    assert np.array_equal(d.bootstrap_auroc([holes], gaps, resamples=20), d.bootstrap_auroc([score[kept]], y[kept], resamples=20))


@pytest.mark.parametrize("score", [[0.5] * 6, [1e300] * 6, [0.0, -0.0] * 3])
def test_constant_scores_have_a_half_and_no_error(score: list[float]) -> None:
    y = [0, 1, 0, 1, 0, 1]
    assert d.auroc(score, y) == 0.5
    assert np.isnan(d.delong_interval(score, y).low)
    assert (d.bootstrap_auroc([score], y, resamples=20)[0] == 0.5).sum() > 10


@pytest.mark.parametrize("y", [[], [1.0], [0.0, 0.0], [np.nan, np.nan]])
def test_one_class_has_no_area(y: list[float]) -> None:
    score = np.arange(len(y), dtype=float)
    assert np.isnan(d.auroc(score, y))
    assert np.isnan(d.delong_interval(score, y)).all()
    assert np.isnan(d.bootstrap_auroc([score], y, resamples=5)).all()
    if not any(v == 1 for v in y):
        assert np.isnan(d.auprc(score, y).value)


def loop_delong(scores: F64, y: F64) -> F64:
    """Structural components from the kernel of all pairs."""
    kernel = [
        np.array([[1.0 if a > b else 0.5 if a == b else 0.0 for b in row[y == 0]] for a in row[y == 1]])  # [m, n − m]
        for row in scores
    ]
    out = np.zeros((len(scores), len(scores)))
    for i, j in itertools.product(range(len(scores)), repeat=2):
        ten = np.cov(kernel[i].mean(axis=1), kernel[j].mean(axis=1))[0, 1] / (y == 1).sum()
        one = np.cov(kernel[i].mean(axis=0), kernel[j].mean(axis=0))[0, 1] / (y == 0).sum()
        out[i, j] = ten + one
    return out


@pytest.mark.parametrize("ties", [True, False])
def test_delong_beside_all_pairs(ties: bool) -> None:
    scores, y = case(90, 3, ties)
    areas, covariance = d.delong(scores, y)
    np.testing.assert_allclose(areas, [loop_area(row, y) for row in scores])
    np.testing.assert_allclose(covariance, loop_delong(scores, y))


def test_delong_interval_holds_the_true_area_as_often_as_it_says() -> None:
    true = 0.7602  # Φ(1/√2) for normal scores a unit apart
    rng = np.random.default_rng(5)
    inside = 0
    for _ in range(400):
        y = (np.arange(200) < 80).astype(float)
        low, high = d.delong_interval(y + rng.normal(size=200), y)[1:]
        inside += low <= true <= high
    assert 0.92 <= inside / 400 <= 0.975


def test_areas_within_folds_do_not_rank_folds() -> None:
    fold = np.repeat([0, 1, 2], 40)
    rng = np.random.default_rng(0)
    y = (rng.random(120) < np.array([0.2, 0.5, 0.8])[fold]).astype(float)
    learnt = np.array([0.2, 0.5, 0.8])[fold]
    assert d.auroc(learnt, y) > 0.7
    assert d.auroc_by_fold(learnt, y, fold)[0] == 0.5
    score = rng.random(120)
    whole, each = d.auroc_by_fold(score, y, fold)
    pairs = {f: (y[fold == f] == 1).sum() * (y[fold == f] == 0).sum() for f in each}
    assert whole == pytest.approx(sum(loop_area(score[fold == f], y[fold == f]) * pairs[f] for f in each) / sum(pairs.values()))


def test_resampled_areas_are_areas_of_the_resamples() -> None:
    scores, y = case(45, 2)
    found = d.bootstrap_auroc(scores, y, resamples=30, mean_block=4, seed=7)
    drawn = np.concatenate(list(resampling.indices(45, 30, 4, 7)))
    for b, at in enumerate(drawn):
        for model in range(2):
            assert found[model, b] == pytest.approx(d.auroc(scores[model, at], y[at]), abs=1e-12)


def test_windows_of_one_time_are_drawn_together() -> None:
    scores, y = case(60, 2)
    time = np.repeat([2, 3, 5, 9], 15)
    found = d.bootstrap_auroc(scores, y, time=time, resamples=30, mean_block=2, seed=7)
    for b, drawn in enumerate(np.concatenate(list(resampling.indices(4, 30, 2, 7)))):
        at = np.concatenate([np.flatnonzero(time == [2, 3, 5, 9][k]) for k in drawn])
        assert found[:, b] == pytest.approx([d.auroc(row[at], y[at]) for row in scores], abs=1e-12)
    with pytest.raises(ValueError, match="times are float64 of shape"):
        d.bootstrap_auroc(scores, y, time=time * 1.0)


def test_resamples_do_not_depend_on_how_many_are_drawn_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(resampling.indices(50, 40, 10, 1)))
    monkeypatch.setattr(resampling, "PIECE", 170)
    parts = list(resampling.indices(50, 40, 10, 1))
    assert len(parts) == 14
    assert np.array_equal(np.concatenate(parts), whole)
    assert np.array_equal(np.concatenate(list(resampling.counts(50, 40, 10, 1))), [np.bincount(row, minlength=50) for row in whole])
    assert not np.array_equal(np.concatenate(list(resampling.indices(50, 40, 10, 2))), whole)


def test_blocks_go_on_and_wrap_around() -> None:
    drawn = np.concatenate(list(resampling.indices(300, 200, 10, 0)))
    follows = np.diff(drawn, axis=1) % 300 == 1
    assert follows.mean() == pytest.approx(0.9 + 0.1 / 300, abs=0.005)
    assert ((drawn[:, :-1] == 299) & (drawn[:, 1:] == 0)).any()
    often = np.bincount(drawn.reshape(-1), minlength=300) / 200
    assert abs(often.mean() - 1) < 1e-12
    assert often.std() < 0.35  # every window is as likely as any other
    ones = np.concatenate(list(resampling.indices(300, 50, 1, 0)))
    assert (np.diff(ones, axis=1) % 300 == 1).mean() < 0.02


def test_standard_errors_of_bootstrap_and_delong_agree_where_windows_are_independent() -> None:
    scores, y = case(1500, 11, ties=False)
    spread = d.bootstrap_auroc(scores, y, mean_block=1, resamples=1000).std(axis=1, ddof=1)
    np.testing.assert_allclose(spread, np.sqrt(np.diag(d.delong(scores, y)[1])), rtol=0.08)


def test_blocks_are_wider_where_neighbours_are_alike() -> None:
    rng = np.random.default_rng(4)
    slow = np.repeat(rng.normal(size=60), 20)  # scores and outcomes that hold for 20 windows
    y = (np.repeat(rng.normal(size=60), 20) > 0).astype(float)
    alone = d.bootstrap_auroc([slow], y, mean_block=1, resamples=300).std()
    blocks = d.bootstrap_auroc([slow], y, mean_block=40, resamples=300).std()
    assert blocks > 2.5 * alone


def test_variance_of_a_resampled_mean_beside_the_formula_and_arch() -> None:
    """Politis and Romano 1994, lemma 1; arch 8.0.0 (StationaryBootstrap(10, x, seed=0), 4000 resamples) has a standard error of 0.07052."""
    rng = np.random.default_rng(3)
    x = np.zeros(1000)
    noise = rng.normal(size=1000)
    for t in range(1, 1000):
        x[t] = 0.6 * x[t - 1] + noise[t]
    means = np.concatenate([part @ x / 1000 for part in resampling.counts(1000, 4000, 10, 0)])
    centred = x - x.mean()
    k = np.arange(1, 1000)
    gamma = np.array([centred[i:] @ centred[: 1000 - i] for i in range(1000)]) / 1000
    weight = (1 - k / 1000) * 0.9**k + k / 1000 * 0.9 ** (1000 - k)
    exact = ((gamma[0] + 2 * (weight * gamma[1:]).sum()) / 1000) ** 0.5
    assert means.std() == pytest.approx(exact, rel=0.03)
    assert means.std() == pytest.approx(0.07052, rel=0.04)
    bootstrap = pytest.importorskip("arch.bootstrap", reason="arch is not installed: pip install arch")
    assert bootstrap.StationaryBootstrap(10, x, seed=0).apply(lambda v: v.mean(), 4000).std() == pytest.approx(exact, rel=0.03)


@pytest.mark.parametrize(
    ("score", "outcome", "said"),
    [
        ([0.1, np.nan], [0, 1], "score of window 1 is NaN"),
        ([0.1, 0.2], [0, 2], "outcome of window 1 is 2; wanted 0, 1 or NaN"),
        ([0.1, 0.2, 0.3], [0, 1], r"wanted \[M, N\]"),
        ([[0.1], [0.2]], [0, 1], "shape"),
        (["a", "b"], [0, 1], "no array of numbers"),
        ([0.1, 0.2], [[0], [1]], "shape"),
    ],
)
def test_bad_input_is_named(score: object, outcome: object, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        d.auroc(score, outcome)  # type: ignore[arg-type]


def test_other_bad_numbers() -> None:
    with pytest.raises(ValueError, match="folds are float64"):
        d.auroc_by_fold([0.1, 0.2], [0, 1], [0.0, 1.0])
    with pytest.raises(ValueError, match="wanted whole numbers of shape"):
        d.bootstrap_auroc([[0.1, 0.2]], [0, 1], time=[1, 2, 3])
    with pytest.raises(ValueError, match="level is 95"):
        d.delong_interval([0.1, 0.2], [0, 1], 95)
    with pytest.raises(ValueError, match="mean block 0"):
        list(resampling.indices(3, 1, 0))
    assert np.isnan(resampling.percentiles(0.5, np.array([0.5, np.nan, np.nan])).low)
