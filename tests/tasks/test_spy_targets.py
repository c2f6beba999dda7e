"""Series of events, features known at the time, and walk-forward folds: nothing after t is used, and nothing learnt is tested."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from spy_kit import between, made

from harness.errors import DataError
from harness.events import outcomes
from harness.forecast import F32
from harness.types import Event
from harness_results.direction.discrimination import auroc
from harness_tasks.spy import targets as t
from harness_tasks.spy.folds import walk_forward
from harness_tasks.spy.prices import Prices, read_prices


@pytest.mark.parametrize("h", [1, 5, 21])
def test_targets_beside_a_loop(h: int) -> None:
    prices = made(60)
    returns, touch = t.simple_return(prices, h), t.high_touch(prices, h)
    assert returns.dtype == touch.dtype == np.float32
    assert np.isnan(returns[:h]).all()
    assert np.isnan(touch[:h]).all()
    for now in range(h, 60):
        base = prices.close[now - h]
        assert returns[now] == np.float32(prices.close[now] / base - 1)
        assert touch[now] == np.float32(max(prices.high[now - h + 1 : now + 1]) / base - 1)
    assert (touch[h:] >= returns[h:]).all()
    assert t.price(prices).tolist() == prices.close.astype(np.float32).tolist()
    np.testing.assert_allclose(np.exp(t.log_price(prices)), prices.close, rtol=1e-6)


@pytest.mark.parametrize("h", [1, 5])
def test_direction_is_the_same_event_of_returns_prices_and_logs(h: int) -> None:
    prices = made(300, 3)
    up = outcomes(Event("up", step=h), t.simple_return(prices, h))
    by_price = outcomes(Event("up", step=h, relative="ratio"), t.price(prices))
    by_log = outcomes(Event("up", step=h, relative="difference"), t.log_price(prices))
    truth = np.full(300, np.nan)
    truth[:-h] = prices.close[h:] > prices.close[:-h]
    for found in (up, by_price, by_log):
        np.testing.assert_array_equal(found, truth)


def on_ticks() -> tuple[Prices, list[Fraction]]:
    """Prices in cents with many exact moves of +1 % over one session and over five, and their closes exactly."""
    rng, found = np.random.default_rng(0), [100.0]
    for _ in range(3000):
        last = found[-5] if len(found) >= 5 and rng.random() < 0.5 else found[-1]
        exact = float(last).is_integer() and rng.random() < 0.5
        new = round(last * 1.01, 2) if exact else float(np.clip(round(last * (1 + rng.normal(0, 0.01))), 20, 900))
        found.append(new if abs(np.log(new / found[-1])) < 0.3 else found[-1])
    close = np.array(found)
    days = np.datetime64("2000-01-03") + np.arange(len(close))
    return Prices(days, close, close, close, close, close), [Fraction(str(price)) for price in found]


@pytest.mark.parametrize("h", [1, 5])
@pytest.mark.parametrize("inclusive", [True, False])
def test_a_rise_of_one_percent_is_the_same_event_of_returns_prices_and_logs(h: int, inclusive: bool) -> None:
    """Beside fractions: float32 knows neither 0.01 nor 21.21, and a threshold computed from one rounded price is missed by another."""
    prices, exact = on_ticks()
    rise = [b / a - 1 for a, b in zip(exact, exact[h:], strict=False)]
    assert rise.count(Fraction(1, 100)) > 100
    truth = [float(r >= Fraction(1, 100) if inclusive else r > Fraction(1, 100)) for r in rise]
    events = {
        "return": (Event("up", h, t.threshold(0.01), "", inclusive), t.simple_return(prices, h)),
        "price": (Event("up", h, 0.01, "ratio", inclusive), t.price(prices)),
        "log-price": (Event("up", h, float(np.log1p(0.01)), "difference", inclusive), t.log_price(prices)),
    }
    for name, (event, values) in events.items():
        found = outcomes(event, values)
        np.testing.assert_array_equal(found[:-h], truth, name)


def test_features_beside_loops() -> None:
    prices = made(300)
    found = dict(zip(t.COVARIATES, t.covariates(prices), strict=True))
    log = np.log(prices.close)
    for now in (260, 299):
        spans = [
            max(prices.high[i] - prices.low[i], abs(prices.high[i] - prices.close[i - 1]), abs(prices.low[i] - prices.close[i - 1]))
            for i in range(now - 13, now + 1)
        ]
        assert found["atr14"][now] == pytest.approx(np.mean(spans) / prices.close[now], rel=1e-6)
        moves = [log[i] - log[i - 1] for i in range(now - 19, now + 1)]
        assert found["volatility20"][now] == pytest.approx(np.std(moves, ddof=1) * np.sqrt(252), rel=1e-6)
        assert found["momentum252"][now] == pytest.approx(prices.close[now] / prices.close[now - 252] - 1, rel=1e-6)
        assert found["volume_change"][now] == pytest.approx(np.log(prices.volume[now] / prices.volume[now - 1]), rel=1e-5)
        for name in ("open", "high", "low", "close"):
            assert found[f"{name}_return"][now] == pytest.approx(getattr(prices, name)[now] / prices.close[now - 1] - 1, rel=1e-5)
    first = {name: int(np.flatnonzero(np.isfinite(row))[0]) for name, row in found.items()}
    assert list(first.values()) == [1, 1, 1, 1, 14, 20, 252, 1]
    assert all(np.isfinite(row[first[name] :]).all() for name, row in found.items())
    assert t.covariates(prices, ["atr14", "close_return"]).shape == (2, 300)
    assert t.covariates(prices, []).shape == (0, 300)


def feature(name: str, prices: Prices) -> F32:
    found: F32 = t.covariates(prices, [name])[0]
    return found


SERIES: dict[str, Callable[[Prices], F32]] = {
    **{name: partial(feature, name) for name in t.COVARIATES},
    "return1": lambda p: t.simple_return(p, 1),
    "return5": lambda p: t.simple_return(p, 5),
    "touch1": lambda p: t.high_touch(p, 1),
    "touch5": lambda p: t.high_touch(p, 5),
    "price": t.price,
    "log_price": t.log_price,
}


@pytest.mark.parametrize("name", sorted(SERIES))
@pytest.mark.parametrize("now", [30, 260, 280])
def test_nothing_after_t_is_used(name: str, now: int) -> None:
    prices, other = made(320), made(320, 99)
    columns = {}
    for column in ("open", "high", "low", "close", "volume"):
        changed = getattr(prices, column).copy()
        changed[now + 1 :] = 3 * getattr(other, column)[now + 1 :]
        columns[column] = changed
    altered = replace(prices, **columns)
    before, after = SERIES[name](prices), SERIES[name](altered)
    np.testing.assert_array_equal(before[: now + 1], after[: now + 1])
    assert not np.array_equal(before, after, equal_nan=True)
    cut = between(prices, "2000-01-01", str(prices.date[now]))  # or is not there at all
    assert len(cut) == now + 1
    np.testing.assert_array_equal(SERIES[name](cut), before[: now + 1])


@pytest.mark.parametrize("n", [1, 2, 14, 15, 20])
def test_short_series_have_no_values_yet(n: int) -> None:
    prices = made(n)
    assert t.covariates(prices).shape == (len(t.COVARIATES), n)
    assert np.isnan(t.simple_return(prices, n)).all()
    assert np.isnan(t.high_touch(prices, n + 3)).all()


def test_bad_arguments_are_refused() -> None:
    prices = made(30)
    for function in (t.simple_return, t.high_touch):
        with pytest.raises(ValueError, match="h is 0"):
            function(prices, 0)
    with pytest.raises(ValueError, match=r"covariate 'atr'; wanted some of open_return.*Did you mean 'atr14'"):
        t.covariates(prices, ["atr"])
    halted = replace(prices, volume=np.where(np.arange(30) == 7, 0.0, prices.volume))
    assert np.flatnonzero(np.isnan(t.covariates(halted, ["volume_change"])[0])).tolist() == [0, 7, 8]


def test_a_high_at_the_threshold_touches_it() -> None:
    flat = np.full(2, 100.0)
    two = replace(made(2), open=flat, high=np.array([100.0, 101]), low=np.array([100.0, 99]), close=flat)
    touch = t.high_touch(two)
    assert outcomes(Event("touch", above=t.threshold(0.01), inclusive=True), np.append(touch, np.nan))[0] == 1
    assert outcomes(Event("up"), t.simple_return(two))[0] == 0  # no change is no rise


@pytest.mark.parametrize("rolling", [False, True])
@pytest.mark.parametrize("h", [1, 5, 21])
def test_folds_learn_nothing_that_they_are_tested_on(h: int, rolling: bool) -> None:
    days = made(260 * 8).date
    found = walk_forward(days, h, years=3, rolling=rolling, first=h)
    assert found.year.tolist() == [2003, 2004, 2005, 2006, 2007]
    year = days.astype("datetime64[Y]").astype(int) + 1970
    assert np.array_equal(found.cut, np.arange(np.flatnonzero(year == 2003)[0], len(days) - h + 1))
    assert np.array_equal(year[found.cut], found.year[found.fold])
    for fold, (begin, end) in enumerate(zip(found.begin, found.end, strict=True)):
        # Moves are numbered by the session that they end at: the move of c is from the close of c − 1 to that of c.
        tested = {m for cut in found.cut[found.fold == fold].tolist() for m in range(cut, cut + h)}
        learnt = {m for now in range(begin, end) for m in range(now - h + 1, now + 1)}  # the values themselves, over h sessions each
        learnt |= {m for now in range(begin, end) for m in range(now + 1, now + h + 1)}  # and what follows any session of the part
        assert not learnt & tested
        assert min(tested) - max(learnt) == h + 1  # the embargo lies between
        assert min(learnt) >= 1  # only what exists is learnt from
        if rolling:
            assert year[begin] == max(2000, found.year[fold] - 3)
            assert begin == h or year[begin - 1] == found.year[fold] - 4
        else:
            assert begin == h


def test_gaps_between_learning_and_testing_can_be_set() -> None:
    days = made(260 * 5).date
    none = walk_forward(days, 5, years=2, purge=0, embargo=0)
    some = walk_forward(days, 5, years=2, purge=7, embargo=3)
    opening = none.cut[np.flatnonzero(np.diff(none.fold, prepend=-1))]
    assert np.array_equal(none.end, opening)
    assert np.array_equal(some.end, opening - 10)
    late = walk_forward(days, 5, years=2, from_year=2003)
    assert late.year.tolist() == [2003, 2004]
    assert late.fold[0] == 0


def test_a_first_year_that_is_not_whole_does_not_count() -> None:
    days = made(260 * 4).date
    assert walk_forward(days, 1, years=2).year[0] == 2002
    assert walk_forward(days[15:], 1, years=2).year[0] == 2003
    assert walk_forward(days, 1, years=2, first=15).year[0] == 2002  # the same years for all horizons


def test_folds_that_cannot_be() -> None:
    days = made(300).date
    with pytest.raises(DataError, match=r"300 sessions from 2000-01-03 to .* leave no window of 5 sessions to test from 2010 on"):
        walk_forward(days, 5)
    with pytest.raises(DataError, match="has 260 sessions to learn from, of which 300 are left out"):
        walk_forward(made(300).date, 5, years=1, purge=200, embargo=100)
    with pytest.raises(DataError, match="no session is in or after 2099, the first year to test: the last is on 2"):
        walk_forward(days, 5, years=2, from_year=2099)
    with pytest.raises(DataError, match="the first 3 have no value"):
        walk_forward(days[:3], 1, first=3)
    with pytest.raises(ValueError, match="days do not rise"):
        walk_forward(days[::-1], 1)
    with pytest.raises(ValueError, match="horizon 0"):
        walk_forward(days, 0)
    with pytest.raises(ValueError, match="purge -1"):
        walk_forward(days, 1, purge=-1)
    with pytest.raises(ValueError, match="wanted datetime64"):
        walk_forward(np.arange(5), 1)  # type: ignore[arg-type]


def ranked(prices: Prices, feature: str) -> dict[str, float]:
    """Base rates of touch (+1 %) and of a rise, next session, and the areas of one feature for both."""
    score = t.covariates(prices, [feature])[0]
    known = np.isfinite(score)
    touch = outcomes(Event("touch", above=t.threshold(0.01), inclusive=True), t.high_touch(prices))[known]
    up = outcomes(Event("up"), t.simple_return(prices))[known]
    return {
        "touch rate": float(np.nanmean(touch)),
        "up rate": float(np.nanmean(up)),
        "touch": auroc(score[known], touch),
        "up": auroc(score[known], up),
    }


def test_volatility_ranks_touches_of_the_index_and_not_its_direction(real_data: Path) -> None:
    """The S&P 500 from 1999 to 2018, computed before by other code (pandas, scipy): .218, .746, .489; realised volatility .730."""
    prices = between(read_prices(real_data / "spy/sp500_index_daily.csv.gz"), "1999-01-01", "2018-12-31")
    atr = ranked(prices, "atr14")
    assert {name: round(value, 3) for name, value in atr.items()} == {"touch rate": 0.218, "up rate": 0.531, "touch": 0.746, "up": 0.489}
    assert ranked(prices, "volatility20")["touch"] == pytest.approx(0.730, abs=5e-4)


def test_volatility_ranks_touches_of_spy_and_not_its_direction(real_data: Path) -> None:
    raw = ranked(read_prices(real_data / "spy/spy_daily.csv"), "atr14")
    assert {name: round(value, 3) for name, value in raw.items()} == {"touch rate": 0.268, "up rate": 0.533, "touch": 0.727, "up": 0.489}
    prices = read_prices(real_data / "spy/spy_daily.csv", real_data / "spy/spy_factors.csv")
    atr, volatility = ranked(prices, "atr14"), ranked(prices, "volatility20")
    rounded = {"touch rate": 0.270, "up rate": 0.538, "touch": 0.727, "up": 0.488}
    assert {name: round(value, 3) for name, value in atr.items()} == rounded
    assert round(volatility["touch"], 3) == 0.718  # a classifier with .718 on this target knows no more than that
    folds = walk_forward(prices.date, 1, first=1)
    assert (folds.year[0], folds.year[-1], len(folds.cut)) == (2008, 2021, 3335)
