"""Trading rules beside plain loops, Sharpe ratios beside their formulae, and the sentence that sums a task up."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from harness.statistics import diebold_mariano
from harness_results.direction import sharpe as s
from harness_results.direction import trading as t
from harness_results.direction import verdict as v
from harness_results.direction.discrimination import auroc_by_fold
from harness_results.direction.resampling import Interval

F64 = NDArray[np.float64]


def market(n: int, seed: int = 0) -> tuple[F64, F64]:
    rng = np.random.default_rng(seed)
    return rng.random(n), rng.normal(0.0004, 0.012, n)


def loop(position: F64, returns: F64, cost: float) -> tuple[list[float], float, float]:
    """(net returns, wealth at the end, largest drawdown), a period at a time."""
    before, worth, peak, worst, out = 0.0, 1.0, 1.0, 0.0, []
    for i, (held, earned) in enumerate(zip(position, returns, strict=True)):
        net = held * earned - abs(held - before) * cost / 10_000
        if i == len(position) - 1:
            net -= abs(held) * cost / 10_000
        out.append(net)
        before, worth = held, worth * (1 + net)
        peak = max(peak, worth)
        worst = max(worst, 1 - worth / peak)
    return out, worth, worst


@pytest.mark.parametrize("short", [False, True])
@pytest.mark.parametrize("cost", [0.0, 2.0, 50.0])
def test_an_account_beside_a_loop(short: bool, cost: float) -> None:
    p, returns = market(300)
    position = t.positions(p, 0.4, short=short)
    net, worth, worst = loop(position, returns, cost)
    found = t.account(position, returns, cost=cost)
    np.testing.assert_allclose(t.net_returns(position, returns, cost), net, atol=1e-15)
    assert found.net_return == pytest.approx(worth - 1)
    assert found.sharpe.value == pytest.approx(np.mean(net) / np.std(net, ddof=1) * math.sqrt(252))
    assert found.max_drawdown == pytest.approx(worst)
    traded = abs(position[0]) + abs(position[-1]) + sum(abs(a - b) for a, b in zip(position[1:], position[:-1], strict=True))
    assert found.turnover == pytest.approx(traded * 252 / 300)
    assert found.exposure == pytest.approx(np.abs(position).mean())


def test_holding_buys_and_sells_once() -> None:
    _, returns = market(100)
    found = t.hold(returns, cost=10)
    first, last = returns[0] - 0.001, returns[-1] - 0.001
    assert found.net_return == pytest.approx((1 + first) * np.prod(1 + returns[1:-1]) * (1 + last) - 1)
    assert found.turnover == pytest.approx(2 * 252 / 100)
    assert found.exposure == 1.0


def test_a_rule_that_never_trades_earns_and_knows_nothing() -> None:
    _, returns = market(50)
    found = t.account(np.zeros(50), returns)
    assert (found.net_return, found.max_drawdown, found.turnover) == (0, 0, 0)
    assert np.isnan(found.sharpe).all()


def test_periods_without_a_return_are_left_out() -> None:
    p, returns = market(60)
    holes = returns.copy()
    holes[[3, 20]] = np.nan
    kept = ~np.isnan(holes)
    position = t.positions(p)
    assert t.account(position, holes) == t.account(position[kept], returns[kept])
    assert t.account([], []).periods == 0
    assert t.account([1.0], [0.1]).net_return == pytest.approx(0.1 - 0.0004)


def test_ruin_is_ruin() -> None:
    found = t.account([2.0, 2.0], [-0.9, 0.5], cost=0)
    assert (found.net_return, found.max_drawdown) == (-1.0, 1.0)


def test_overlapping_windows_are_thinned() -> None:
    assert t.every(np.arange(11), 5).tolist() == [0, 5, 10]
    with pytest.raises(ValueError, match="horizon is 0"):
        t.every([1.0], 0)


def test_los_error_is_that_of_simulated_ratios() -> None:
    rng = np.random.default_rng(0)
    many = rng.normal(0.1, 1.0, (4000, 250))
    ratios = many.mean(axis=1) / many.std(axis=1, ddof=1)
    low, high = s.lo_interval(many[0], 1.0)[1:]
    one = s.sharpe(many[0], 1.0)
    assert (high - low) / 2 == pytest.approx(1.959964 * math.sqrt((1 + one**2 / 2) / 250))
    assert ratios.std() == pytest.approx(math.sqrt((1 + 0.1**2 / 2) / 250), rel=0.05)


def test_expected_maximum_is_that_of_simulated_trials() -> None:
    rng = np.random.default_rng(1)
    best = rng.normal(0.0, 0.3, (20_000, 50)).max(axis=1).mean()
    assert s.expected_maximum(0.09, 50) == pytest.approx(best, rel=0.02)
    assert s.expected_maximum(0.09, 1) == 0
    with pytest.raises(ValueError, match="0 trials"):
        s.expected_maximum(0.09, 0)


def test_deflated_ratio_beside_its_formula() -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed: pip install scipy")
    _, returns = market(500, 4)
    one, least = s.sharpe(returns, 1.0), s.expected_maximum(1 / 500, 20)
    spread = 1 - stats.skew(returns) * one + (stats.kurtosis(returns, fisher=False) - 1) / 4 * one**2
    wanted = stats.norm.cdf((one - least) * math.sqrt(499) / math.sqrt(spread))
    assert s.deflated_sharpe(returns, 20) == pytest.approx(wanted)
    assert np.isnan(s.deflated_sharpe(np.zeros(5), 2))


@pytest.mark.parametrize(
    ("position", "returns", "cost", "said"),
    [
        ([1.0], [0.1, 0.2], 2.0, "positions of shape"),
        ([np.nan], [0.1], 2.0, "a position is NaN"),
        ([1.0], [-1.5], 2.0, "below −1"),
        ([1.0], [np.inf], 2.0, "infinite"),
        ([1.0], [0.1], -1.0, "cost is -1"),
    ],
)
def test_bad_money_is_refused(position: list[float], returns: list[float], cost: float, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        t.account(position, returns, cost=cost)


def test_bad_probabilities_are_refused() -> None:
    with pytest.raises(ValueError, match="window 1 is NaN"):
        t.positions([0.1, np.nan])


def no_skill(n: int, seed: int) -> tuple[F64, F64]:
    """Probabilities of three models that know nothing, one constant within folds, and outcomes."""
    rng = np.random.default_rng(seed)
    y = (rng.random(n) < 0.53).astype(np.float64)
    learnt = np.repeat([0.52, 0.54], n // 2)
    return np.stack([0.53 + 0.001 * rng.normal(size=n), 0.53 + 0.001 * np.sin(np.arange(n) / 9), learnt]), y


def test_models_that_know_nothing_are_not_told_from_the_base_rate() -> None:
    p, y = no_skill(1000, 0)
    fold = np.repeat([0, 1], 500)
    found = v.evidence(["white", "slow", "learnt"], p, y, p[2], fold=fold, resamples=200)
    said = v.sentence(found)
    assert "no model is distinguishable from the base rate at 5 %" in said
    assert "(3 models, 1000 windows" in said
    assert found[2].auc.value != 0.5  # it ranks the two folds, which is nothing that it says of a day
    assert (found[2].p_auc, found[2].loss, found[2].p_loss) == (1.0, 0.0, 1.0)


def test_momentum_on_a_random_walk_is_no_finding() -> None:
    """Within a year, what rose ranks high late, when its rises are over: the area of pairs within folds is below 0.5 by itself."""
    within, said = [], 0
    for seed in range(12):
        walk = np.cumsum(np.random.default_rng(seed).normal(0, 0.01, 252 * 9 + 5))
        now = np.arange(252, 252 * 9)
        y, fold = (walk[now + 5] > walk[now]).astype(np.float64), now // 252
        momentum = np.clip(0.5 + 0.2 * (walk[now] - walk[now - 252]), 0.01, 0.99)
        within.append(auroc_by_fold(momentum, y, fold)[0])
        (found,) = v.evidence(["momentum"], [momentum], y, 0.5, horizon=5, fold=fold, resamples=60)
        said += found.p_auc < 0.05
    assert np.mean(within) < 0.45
    assert said <= 4


def test_models_that_know_something_are_named() -> None:
    rng = np.random.default_rng(1)
    truth = rng.beta(2, 6, 1500)
    y = (rng.random(1500) < truth).astype(np.float64)
    rows = np.stack([truth, 1 - truth, np.where(truth > 0.3, 1.0, 0.0), np.full(1500, 0.25)])
    found = v.evidence(["knows", "upside down", "point", "base"], rows, y, 0.25, resamples=200)
    said = v.sentence(found)
    assert "better than the base rate: knows (AUC " in said
    assert "; worse: upside down (AUC " in said
    assert "better in ranking, worse in log-loss: point (AUC " in said
    assert "base (" not in said
    assert v.evidence(["knows"], truth[None], y, 0.25, resamples=200)[0] == found[0]  # the others change nothing


def test_what_only_costs_more_is_worse_and_nothing_is_better() -> None:
    rng = np.random.default_rng(2)
    y = (rng.random(2000) < 0.5).astype(np.float64)
    found = v.evidence(["noise"], [np.clip(0.5 + 0.3 * rng.normal(size=2000), 0.01, 0.99)], y, 0.5, resamples=100)
    said = v.sentence(found)
    assert "no model is better than the base rate at 5 %; worse: noise (log-loss +" in said


def test_overlapping_windows_are_no_evidence_of_their_own() -> None:
    rng = np.random.default_rng(0)
    naive, fair = 0, 0
    for _ in range(40):
        moves = rng.normal(size=520)
        y = (np.convolve(moves, np.ones(21), "valid")[:500] > 0).astype(np.float64)
        slow = 0.5 + 0.01 * np.convolve(rng.normal(size=520), np.ones(21), "valid")[:500]
        slow = np.clip(slow, 0.01, 0.99)
        naive += v.evidence(["m"], [slow], y, 0.5, mean_block=1, resamples=60)[0].p_auc < 0.05
        fair += v.evidence(["m"], [slow], y, 0.5, horizon=21, resamples=60)[0].p_auc < 0.05
    assert naive > 15
    assert fair < 10


def test_series_that_move_together_are_no_evidence_of_their_own() -> None:
    """Thirty series that share most of what moves them, and an ignorant model: windows counted one by one find what is not there."""
    rng = np.random.default_rng(3)
    alone, together, when = np.zeros(2), np.zeros(2), np.repeat(np.arange(100), 30)
    for _ in range(60):
        y = (rng.normal(size=(100, 1)) + 0.5 * rng.normal(size=(100, 30)) > 0).astype(np.float64).reshape(-1)
        said = np.repeat(0.1 * rng.choice([-1, 1], 100) + 0.02 * rng.normal(size=100), 30)
        for found, time in ((alone, None), (together, when)):
            (each,) = v.evidence(["m"], [0.5 + said], y, 0.5 - said, resamples=30, time=time)  # as wrong as what it is compared with
            found += [each.p_auc < 0.05, each.p_loss < 0.05]
    assert (alone >= 10).all()
    assert (together <= 7).all()


def test_losses_are_averaged_per_time_before_they_are_tested() -> None:
    rng = np.random.default_rng(6)
    when, y = np.repeat(np.arange(80), [1, 3] * 40), (rng.random(160) < 0.5).astype(np.float64)
    y[::9] = np.nan  # not counted, and one time has no other window
    p = rng.uniform(0.2, 0.8, 160)
    (found,) = v.evidence(["m"], [p], y, 0.4, time=when, resamples=10)
    means = []
    for at in range(80):
        rows = [i for i in range(160) if when[i] == at and not np.isnan(y[i])]
        each = [[-math.log(q if y[i] else 1 - q) for q in (p[i], 0.4)] for i in rows]
        means += [[sum(column) / len(each) for column in zip(*each, strict=True)]] if each else []
    assert len(means) < 80
    wanted = diebold_mariano(*np.array(means).T)
    assert (found.loss, found.p_loss) == pytest.approx((wanted.difference, wanted.p), rel=1e-9)


@pytest.mark.parametrize("y", [[], [np.nan] * 5, [1.0] * 50, [1.0] * 50 + [0.0] * 3])
def test_too_little_for_a_verdict(y: list[float]) -> None:
    found = v.evidence(["m"], [np.linspace(0.4, 0.6, len(y))], y, 0.5, resamples=10)
    assert "no verdict" in v.sentence(found)
    assert v.sentence([]) == "no model has been run."


def test_a_sentence_where_no_test_has_an_answer() -> None:
    lost = v.Evidence("m", Interval(0.5, np.nan, np.nan), np.nan, 0.0, np.nan, 100, 50)
    assert v.sentence([lost]).endswith("(1 model, 100 windows, base rate .500, Holm).")


def test_wrong_numbers_of_models_are_refused() -> None:
    with pytest.raises(ValueError, match="2 models and probabilities of 1"):
        v.evidence(["a", "b"], [[0.5, 0.5]], [0, 1], 0.5)
