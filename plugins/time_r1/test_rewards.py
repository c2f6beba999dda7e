"""What answers earn: numbers worked by hand, ranges, and what is wrong with the terms as printed and as released."""

from __future__ import annotations

import doctest
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness_time_r1.grip import decompose, rewards
from harness_time_r1.grip.rewards import PARTS, VARIANTS, gamma_length, gamma_mse, reward, scale_of, score
from harness_time_r1.windows import Window

from harness import UsageError

NAN = np.nan
DOCS = Path(__file__).parents[2] / "docs" / "time-r1-training.md"
RANGES = {"bounded": (-1.0, 1.9), "paper_literal": (-1.0, np.inf), "released": (-1.0, 1.1)}  # as the docs say


def sample(context: Any, label: Any, season_length: int = 1) -> Window:
    past, ahead = (np.asarray(series, np.float32) for series in (context, label))
    return Window(past, ahead, np.datetime64("2020-01-01", "s"), "D", season_length, "a")


def earned(text: str, window: Window, variant: str = "bounded", finish: str = "stop") -> dict[str, float]:
    return reward(text, window, variant, finish=finish)[0]


ALTERNATING = sample([-1, 1], [0, 2, 0, 2], 2)  # the context's standard deviation is 1
WAVE = 10 * np.sin(np.arange(48) / 12 * 2 * np.pi)
TRUTH = WAVE[24:]
SEASONAL = sample(WAVE[:24], TRUTH, 12)


def block(values: Any) -> str:
    return "<think>so</think><answer>\n" + "\n".join(f"{v:.10g}" for v in values) + "\n</answer>"


@pytest.mark.parametrize("module", [rewards, decompose])
def test_examples_in_docstrings_hold(module: Any) -> None:
    found = doctest.testmod(module)
    assert found.attempted > 4
    assert not found.failed


def test_the_map_of_errors_has_the_known_points() -> None:
    assert gamma_mse(0) == 1
    assert gamma_mse(1) == pytest.approx(0.8511, abs=5e-5)
    assert gamma_mse(10) == pytest.approx(0.0949, abs=5e-5)
    for x in (0.1, 1.0, 7.0):
        assert gamma_mse(x) == pytest.approx(2 * (1 - 1 / (1 + math.exp(-0.3 * x))))
    assert gamma_mse(math.inf) == 0
    assert gamma_length(48, 96) == pytest.approx(0.05)


def test_bounded_terms_by_hand() -> None:
    # error (0, 0, 0, −2); trend (0, 0, −1/2, −4/3); season ±7/24; one maximum at 1, found; one minimum at 2, lost in a plateau
    parts = score([0, 2, 0, 0], ALTERNATING)
    trend, season = (1 / 4 + 16 / 9) / 4, (7 / 24) ** 2
    assert parts["format"] == 0
    assert parts["length"] == pytest.approx(0.1)
    assert parts["mse"] == pytest.approx(gamma_mse(1.0))
    assert parts["trend"] == pytest.approx(0.2 * gamma_mse(trend))
    assert parts["seasonal"] == pytest.approx(0.2 * gamma_mse(season))
    assert parts["change_points"] == pytest.approx(0.2)
    assert parts["total"] == pytest.approx(sum(parts[name] for name in PARTS))
    assert parts["total"] == pytest.approx(1.534, abs=1e-3)


def test_literal_terms_by_hand() -> None:
    parts = score([0, 2, 0, 0], ALTERNATING, "paper_literal")
    assert parts["mse"] == pytest.approx(gamma_mse(1.0))
    assert parts["trend"] == pytest.approx((1 / 4 + 16 / 9) / 4)  # the error itself, added
    assert parts["seasonal"] == pytest.approx((7 / 24) ** 2)
    assert parts["change_points"] == pytest.approx(0.2)
    assert parts["length"] == pytest.approx(0.1)


def test_released_terms_by_hand() -> None:
    # mean 0.5 and largest deviation 1.5 of the answer; error (0, 0, 0, −2) / 1.5
    parts = score([0, 2, 0, 0], ALTERNATING, "released")
    error = np.array([0, 0, 0, -4 / 3])
    assert parts["mse"] == pytest.approx(0.6 * gamma_mse(float(np.mean(error**2)), 2))
    # 25 steps, the first value 12 times before and the last 12 times behind: 13, 12, 11, 10 of them are 0
    trend = -4 / 3 * np.array([10, 11, 12, 13]) / 25
    assert parts["trend"] == pytest.approx(0.15 * gamma_mse(float(np.mean(trend**2)), 2))
    assert parts["seasonal"] == pytest.approx(0.05 * gamma_mse(float(np.mean((error - trend) ** 2)), 2))
    # The label's maxima are 1 and 3, its minima 0 and 2; the answer has the maximum 1 and the minima 0, 2 and 3.
    assert parts["change_points"] == pytest.approx(0.1 * 1 / 2 + 0.1 * 2 / 2)


def test_the_literal_terms_reward_error() -> None:
    good, bad = TRUTH + 1.0, TRUTH + 30.0
    literal = [score(answer, SEASONAL, "paper_literal")["total"] for answer in (TRUTH, good, bad)]
    bounded = [score(answer, SEASONAL)["total"] for answer in (TRUTH, good, bad)]
    assert literal[2] > literal[0] > 1.49  # a level that is wrong by three amplitudes beats the truth
    assert literal[2] > 18
    assert bounded[0] == pytest.approx(1.9)
    assert bounded[0] > bounded[1] > bounded[2]
    larger = [score(TRUTH * k, SEASONAL, "paper_literal")["total"] for k in (1, 4, 16)]
    assert larger == sorted(larger)  # and so does a season of too large a size


def test_the_released_terms_can_be_had_without_a_forecast() -> None:
    flat = score(np.zeros(24), SEASONAL, "released")
    assert flat["change_points"] == pytest.approx(0.2)  # a constant is an extremum everywhere
    assert score(np.zeros(24), SEASONAL)["change_points"] == 0
    # One number behind the horizon, as large as one likes, makes every error small.
    hacked = score([*np.zeros(24), 1e6], SEASONAL, "released")
    assert hacked["mse"] > 0.599
    assert hacked["total"] > 1.0
    assert score([*np.zeros(24), 1e6], SEASONAL)["mse"] == pytest.approx(score(np.zeros(24), SEASONAL)["mse"])


@pytest.mark.parametrize("variant", VARIANTS)
def test_totals_stay_in_their_range(variant: str) -> None:
    rng = np.random.default_rng(0)
    low, high = RANGES[variant]
    for _ in range(300):
        horizon, season = int(rng.integers(1, 20)), int(rng.integers(1, 8))
        label = rng.normal(size=horizon) * 10.0 ** rng.integers(-3, 6)
        label[rng.random(horizon) < 0.2] = NAN
        label[0] = 1.0
        answer = rng.normal(size=int(rng.integers(0, 2 * horizon))) * 10.0 ** rng.integers(-300, 300)
        parts = score(answer, sample(rng.normal(size=12), label, season), variant, in_format=bool(rng.random() < 0.8))
        assert low <= parts["total"] <= high
        assert math.isfinite(parts["total"])
    assert score(TRUTH, SEASONAL, variant)["total"] == pytest.approx(min(high, 1.5 if variant == "paper_literal" else high))


def test_an_answer_out_of_format_costs_one_and_earns_nothing() -> None:
    for text, finish in (
        ("4, 5, 6", "stop"),
        ("<answer></answer>", "stop"),
        ("<answer>\n0\n2\n0\nand so on\n</answer>", "stop"),
        ("<answer>\n0\n2", "length"),
    ):
        assert earned(text, ALTERNATING, finish=finish) == {"total": -1.0, "format": -1.0, **dict.fromkeys(PARTS[1:], 0.0)}
    assert earned(block([0, 2, 0, 2]), ALTERNATING)["total"] == pytest.approx(1.9)


def test_missing_and_superfluous_steps_cost() -> None:
    whole, short = earned(block([0, 2, 0, 2]), ALTERNATING), earned(block([0, 2]), ALTERNATING)
    assert short["mse"] == pytest.approx(0.5)  # right as far as it goes, and half of it is missing
    assert short["length"] == pytest.approx(0.05)
    assert short["trend"] == pytest.approx(0.1)
    assert short["change_points"] == 0
    long = earned(block([0, 2, 0, 2, 0, 2, 0, 2]), ALTERNATING)
    assert {**long, "length": 0, "total": 0} == {**whole, "length": 0, "total": 0}  # the first H count
    assert long["length"] == pytest.approx(0.05)
    assert earned(block([0, 2, 0, 2, 0, 2]), ALTERNATING, "paper_literal")["length"] == pytest.approx(0.1)
    assert earned(block([0, 2]), ALTERNATING, "paper_literal")["mse"] == 1  # which no printed term punishes
    assert earned(block([0, 2]), ALTERNATING, "released")["mse"] == 0


def test_missing_labels_are_masked_out() -> None:
    gap = sample([-1, 1], [0, NAN, 0, 2], 2)
    for answer in ([0, 99, 0, 2], [0, -99, 0, 2]):
        parts = score(answer, gap)
        assert parts["mse"] == 1
        assert parts["total"] == pytest.approx(1.9)  # no extremum beside the gap, in neither
    assert score([0, 99], gap)["mse"] == pytest.approx(1 / 3)
    for variant in VARIANTS:
        with pytest.raises(UsageError, match="label has no value"):
            score([1.0], sample([1, 2], [NAN]), variant)


def test_the_unit_is_the_contexts() -> None:
    flat = sample(np.full(8, 5.0), [5, 5, 10])
    assert np.full(3, 0.1).std() > 0  # by rounding: it is no spread
    assert scale_of(np.full(3, 0.1)) == pytest.approx(0.1)
    assert score([5, 5, 5], flat)["mse"] == pytest.approx(gamma_mse(1 / 3))
    assert scale_of(np.full(3, NAN)) == 1
    for factor in (1e-6, 1e6):
        scaled = sample(WAVE[:24] * factor, TRUTH * factor, 12)
        answer = TRUTH + np.cos(np.arange(24))
        assert score(answer * factor, scaled)["total"] == pytest.approx(score(answer, SEASONAL)["total"])


def test_spurious_change_points_cost() -> None:
    zigzag = np.tile([1.0, -1.0], 12) * 10
    few = score(TRUTH, SEASONAL)["change_points"]
    assert few == pytest.approx(0.4)
    assert score(zigzag, SEASONAL)["change_points"] < 0.15
    assert score(zigzag, SEASONAL, "paper_literal")["change_points"] == pytest.approx(0.4)  # full, for extrema everywhere
    line = sample(np.arange(10.0), np.arange(10.0, 20.0))  # without any
    assert score(np.arange(10.0), line)["change_points"] == pytest.approx(0.4)
    assert score(zigzag[:10], line)["change_points"] == 0
    assert score(zigzag[:10], line, "paper_literal")["change_points"] == 0
    late = np.roll(TRUTH, 2)
    assert score(late, SEASONAL, tolerance=1)["change_points"] < score(late, SEASONAL, tolerance=2)["change_points"]


def test_extrema_and_pairs_beside_plain_loops() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        values = rng.integers(0, 4, 15).astype(float)
        values[rng.random(15) < 0.1] = NAN
        maxima = [t for t in range(1, 14) if values[t - 1] < values[t] > values[t + 1]]
        minima = [t for t in range(1, 14) if values[t - 1] > values[t] < values[t + 1]]
        assert [found.tolist() for found in decompose.extrema(values)] == [maxima, minima]
        a, b = (np.flatnonzero(rng.random(12) < 0.4) for _ in range(2))
        assert decompose.matches(a, b, 1) == most_pairs(a.tolist(), b.tolist())


def most_pairs(a: list[int], b: list[int]) -> int:
    """By trying everything."""
    if not a:
        return 0
    rest = [most_pairs(a[1:], b[:k] + b[k + 1 :]) + 1 for k, other in enumerate(b) if abs(a[0] - other) <= 1]
    return max([most_pairs(a[1:], b), *rest])


@pytest.mark.parametrize("season", [4, 7])
def test_the_parts_agree_with_statsmodels_where_both_are_defined(season: int) -> None:
    seasonal: Any = pytest.importorskip("statsmodels.tsa.seasonal", reason="statsmodels is not installed: pip install statsmodels")
    values = np.random.default_rng(season).normal(size=6 * season).cumsum()
    theirs = seasonal.seasonal_decompose(values, period=season).trend
    inside = np.isfinite(theirs)
    trend, season_part = decompose.decompose(values, season)
    assert inside.sum() == len(values) - 2 * (season // 2)
    np.testing.assert_allclose(trend[inside], theirs[inside])
    np.testing.assert_allclose(season_part.reshape(6, season), np.tile(season_part[:season], (6, 1)))
    assert season_part[:season].sum() == pytest.approx(0, abs=1e-9)


def test_parts_of_a_difference_are_differences_of_parts() -> None:
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 17))
    a[[3, 11]] = b[[3, 11]] = NAN
    for season in (1, 2, 5, 30):
        for whole, one, other in zip(*(decompose.decompose(x, season) for x in (a - b, a, b)), strict=True):
            np.testing.assert_allclose(whole, one - other, atol=1e-12)


def test_the_totals_that_the_docs_print() -> None:
    if not DOCS.exists():
        pytest.skip(f"{DOCS} is not there: the plugin is used without the repository")
    zeros = np.zeros(24)
    answers: dict[str, Any] = {
        "the truth": TRUTH,
        "its level wrong by 1": TRUTH + 1,
        "its level wrong by 30": TRUTH + 30,
        "its amplitude four times too large": TRUTH * 4,
        "0 throughout": zeros,
        "up and down by 10 at each step": np.tile([10.0, -10.0], 12),
        "0 throughout, and 1,000,000 behind the horizon": [*zeros, 1e6],
        "the first half of the truth": TRUTH[:12],
    }
    text = DOCS.read_text("utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    head = rows.index(["answer", *VARIANTS])
    said = {row[0]: row[1:] for row in rows[head + 2 : head + 2 + len(answers)]}
    totals = {name: [score(values, SEASONAL, variant)["total"] for variant in VARIANTS] for name, values in answers.items()}
    assert said == {name: [f"{total:.2f}" for total in row] for name, row in totals.items()}
    literal = [row[VARIANTS.index("paper_literal")] for row in totals.values()]
    beaten = ("no", "one", "two", "three", "four", "five", "six", "seven")[sum(total > literal[0] for total in literal)]
    assert re.search("By the printed terms ([a-z]+) wrong answers beat the truth", text)[1] == beaten  # type: ignore[index]


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(UsageError, match="wanted one of bounded, paper_literal, released"):
        score([1], ALTERNATING, "paper")
