"""Areas under curves, thresholds and alarms: beside plain loops, scikit-learn where it is installed, and what must hold of ranks."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness_results.glucose import alarms, arrays, decisions

F64 = NDArray[np.float64]
CASES = st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=40).filter(lambda c: len({y for y, _ in c}) == 2)


def made(n: int = 300, seed: int = 0) -> tuple[F64, F64]:
    """Labels and scores with ties."""
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < 0.2).astype(np.float64)
    score: F64 = np.clip(0.3 * label + rng.normal(0.4, 0.2, n), 0.0, 1.0)
    return label, score.round(2)


def by_pairs(label: F64, score: F64) -> float:
    yes, no = score[label == 1], score[label == 0]
    won = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in itertools.product(yes.tolist(), no.tolist())]
    return sum(won) / len(won)


def by_steps(label: F64, score: F64) -> float:
    """Average precision, threshold by threshold."""
    area, recall = 0.0, 0.0
    for threshold in sorted(set(score.tolist()), reverse=True):
        alarm = score >= threshold
        hits = float(label[alarm].sum())
        area += (hits / label.sum() - recall) * hits / alarm.sum()
        recall = hits / label.sum()
    return area


def test_areas_by_plain_loops() -> None:
    label, score = made()
    counts = decisions.score_counts(label, score)
    assert decisions.auroc(counts) == pytest.approx(by_pairs(label, score), rel=1e-12)
    assert decisions.auprc(counts) == pytest.approx(by_steps(label, score), rel=1e-12)
    assert decisions.base_rate(counts) == pytest.approx(label.mean())
    found = decisions.discrimination(counts)
    assert found["AUPRC gain"] == pytest.approx(found["AUPRC"] - label.mean()) and found["n"] == 300


def test_areas_where_scikit_learn_is_installed() -> None:
    sklearn = pytest.importorskip("sklearn.metrics", reason="pip install scikit-learn compares with it")
    label, score = made(2000, 1)
    counts = decisions.score_counts(label, score)
    assert decisions.auroc(counts) == pytest.approx(sklearn.roc_auc_score(label, score), rel=1e-12)
    assert decisions.auprc(counts) == pytest.approx(sklearn.average_precision_score(label, score), rel=1e-12)


@given(CASES)
def test_only_ranks_count(cases: list[tuple[bool, int]]) -> None:
    label, score = np.array(cases, np.float64).T
    counts = decisions.score_counts(label, score)
    area = decisions.auroc(counts)
    for rising in (np.exp, lambda s: 3 * s - 7, lambda s: s**3):
        other = decisions.score_counts(label, rising(score))
        assert decisions.auroc(other) == area and decisions.auprc(other) == decisions.auprc(counts)
    assert decisions.auroc(decisions.score_counts(label, -score)) == pytest.approx(1 - area, abs=1e-12)
    assert decisions.auroc(decisions.score_counts(1 - label, score)) == pytest.approx(1 - area, abs=1e-12)
    assert 0 < decisions.auprc(counts) <= 1


def test_scores_that_know_all_or_nothing() -> None:
    label = np.array([0.0, 1.0, 0.0, 1.0, 0.0])
    perfect, none = decisions.score_counts(label, label), decisions.score_counts(label, np.full(5, 0.3))
    assert (decisions.auroc(perfect), decisions.auprc(perfect)) == (1.0, 1.0)
    assert (decisions.auroc(none), decisions.auprc(none)) == (0.5, 0.4)
    for known in ([0.0, 0.0], [1.0, 1.0], [np.nan, np.nan], []):
        counts = decisions.score_counts(known, np.zeros(len(known)))
        assert math.isnan(decisions.auroc(counts))
        assert math.isnan(decisions.auprc(counts)) != (1.0 in known)


def test_blocks_can_be_merged() -> None:
    label, score = made()
    label[::7] = np.nan
    whole = decisions.score_counts(label, score)
    merged = decisions.score_counts(label[:1], score[:1])
    for start in range(1, 300, 50):
        part = slice(start, start + 50)
        merged = decisions.merge(merged, decisions.score_counts(label[part], score[part]))
    for a, b in zip(merged, whole, strict=True):
        np.testing.assert_array_equal(a, b)
    assert whole.yes.sum() + whole.no.sum() == np.isfinite(label).sum()
    grid = decisions.score_counts(label.reshape(30, 10), score.reshape(30, 10))
    assert decisions.auroc(grid) == decisions.auroc(whole)


def test_alarms_at_a_threshold() -> None:
    label, score = made()
    found = decisions.confusion(decisions.score_counts(label, score), 0.5)
    alarm = score >= 0.5
    assert found == (
        (alarm & (label == 1)).sum(),
        (alarm & (label == 0)).sum(),
        (~alarm & (label == 1)).sum(),
        (~alarm & (label == 0)).sum(),
    )
    shares = decisions.rates(decisions.confusion(decisions.score_counts(label, score), 0.5))
    assert shares["sensitivity"] == alarm[label == 1].mean() and shares["specificity"] == (~alarm)[label == 0].mean()
    assert shares["PPV"] == label[alarm].mean() and shares["NPV"] == 1 - label[~alarm].mean()
    assert shares["F1"] == pytest.approx(2 / (1 / shares["PPV"] + 1 / shares["sensitivity"]))
    quiet = decisions.rates(decisions.Confusion(0, 0, 2, 3))
    assert math.isnan(quiet["PPV"]) and quiet["F1"] == 0.0 and quiet["sensitivity"] == 0.0
    assert all(math.isnan(v) for v in decisions.rates(decisions.Confusion(0, 0, 0, 0)).values())


@pytest.mark.parametrize("rule", ["F1", "youden", "sensitivity"])
@given(cases=CASES)
def test_thresholds_by_trying_all(rule: str, cases: list[tuple[bool, int]]) -> None:
    label, score = np.array(cases, np.float64).T
    counts = decisions.score_counts(label, score)
    tried = {float(t): decisions.rates(decisions.confusion(counts, t)) for t in np.unique(score)}
    values = {t: r["F1"] if rule == "F1" else r["sensitivity"] + (r["specificity"] if rule == "youden" else 0) for t, r in tried.items()}
    best = 0.8 if rule == "sensitivity" else max(values.values())
    assert decisions.choose_threshold(counts, rule, 0.8) == max(t for t, v in values.items() if v >= best - 1e-9)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: decisions.score_counts([0.5], [0.5]), r"got a label 0\.5; wanted 1"),
        (lambda: decisions.score_counts([1.0, 0.0], [np.nan, 0.5]), "NaN at 1 of 2 points"),
        (lambda: decisions.score_counts([1.0], [0.5, 0.5]), "wanted two arrays of one shape"),
        (lambda: decisions.choose_threshold(decisions.score_counts([1.0], [0.5])), "got 1 events and 0 cases without one"),
        (lambda: decisions.choose_threshold(decisions.score_counts([1.0, 0.0], [0.5, 0.1]), "f1"), "wanted F1, youden or sensitivity"),
        (lambda: decisions.choose_threshold(decisions.score_counts([1.0, 0.0], [0.5, 0.1]), "sensitivity", 1.2), "share of 1.2"),
        (lambda: decisions.brier_sums([1.0], [1.2]), "got the probability 1.2; wanted numbers from 0 to 1"),
        (lambda: decisions.brier_sums([1.0], [np.nan]), "the Brier score: the prediction is NaN at 1 of 1"),
        (lambda: alarms.lead_times(np.ones((2, 3)), np.ones((2, 3)), 1), r"float64 of shape \(2, 3\).* wanted bool"),
        (lambda: alarms.false_alarms(np.ones((2, 3), bool), np.ones((2, 2), bool), 1), "wanted bool"),
        (lambda: alarms.lead_times(np.ones((2, 3), bool), np.ones((2, 3), bool), -1), "window of -1 steps"),
        (lambda: alarms.begins(np.ones(3, bool)), r"bool of shape \(3,\)"),
    ],
)
def test_errors_say_what_is_wanted(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()


def test_the_brier_score() -> None:
    label, score = made()
    label[::5] = np.nan
    patient = np.arange(300) % 3
    sums = decisions.brier_sums(label, score, patient, 3)
    seen = ~np.isnan(label)
    expected = [np.mean((score - label)[seen & (patient == each)] ** 2) for each in range(3)]
    np.testing.assert_allclose(decisions.brier(sums), expected, rtol=1e-12)
    pooled = decisions.brier(arrays.pooled(arrays.add(sums, sums)))
    assert pooled == pytest.approx([np.nanmean((score - label) ** 2)])
    assert np.isnan(decisions.brier(decisions.brier_sums([np.nan], [0.5]))).all()


def watched(alarm: list[bool], inside: list[bool], window: int) -> tuple[list[float], int]:
    """Lead times and false alarms of one night, step by step."""
    begin = [t for t in range(len(inside)) if inside[t] and not (t and inside[t - 1])]
    lead = []
    for b in begin:
        warned = [t for t in range(max(b - window, 0), b + 1) if alarm[t] and (t == b or not inside[t])]
        lead.append(float(b - warned[0]) if warned else math.nan)
    raised = [t for t in range(len(alarm)) if alarm[t] and not (t and alarm[t - 1]) and not inside[t]]
    return lead, sum(not any(t <= b <= t + window for b in begin) for t in raised)


@pytest.mark.parametrize("window", [0, 1, 6, 24, 100])
def test_alarms_in_time_by_a_plain_loop(window: int) -> None:
    rng = np.random.default_rng(window)
    alarm = rng.random((150, 24)) < 0.15
    inside = np.repeat(rng.random((150, 8)) < 0.15, 3, axis=1)
    each = [watched(a, i, window) for a, i in zip(alarm.tolist(), inside.tolist(), strict=True)]
    np.testing.assert_array_equal(alarms.lead_times(alarm, inside, window), [t for lead, _ in each for t in lead])
    assert alarms.false_alarms(alarm, inside, window).tolist() == [false for _, false in each]


def test_one_decision_a_night_counts_the_first_episode_of_each() -> None:
    inside = np.zeros((5, 96), np.bool_)
    inside[0, 40:45] = inside[0, 60:63] = inside[0, 80:83] = inside[1, 10:13] = inside[3, :4] = inside[3, 90:] = True
    found = alarms.night_scores([True, False, True, True, False], inside, 5)
    assert found == {"lead time": (40 + 0) / 2 * 5, "false alarms per night": 1 / 5}  # of nights 0 and 3; night 2 has none
    assert math.isnan(alarms.night_scores([False] * 5, inside, 5)["lead time"])


def test_nights_without_episodes_or_steps() -> None:
    none = np.zeros((2, 5), np.bool_)
    found = alarms.night_scores([False, True], none, 5)
    assert found["false alarms per night"] == 0.5 and math.isnan(found["lead time"])
    empty = np.zeros((0, 5), np.bool_)
    assert math.isnan(alarms.night_scores([], empty, 5)["false alarms per night"])
    short = np.zeros((2, 0), np.bool_)
    assert alarms.false_alarms(short, short, 3).tolist() == [0, 0] and alarms.lead_times(short, short, 3).tolist() == []
    assert math.isnan(alarms.night_scores([True, False], short, 5)["lead time"])
