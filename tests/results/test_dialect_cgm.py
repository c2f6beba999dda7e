"""The dialect cgm at run time beside plain loops over the forecasts that were made, on the sample that comes with the package."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from harness import Batch, Forecast, evaluate
from harness.dialects import Board, Forecasts
from harness.errors import PluginError, Unsupported
from harness.series import TaskData
from harness.testing import make_data
from harness_results.dialects.cgm import DIALECT
from harness_results.glucose.alarms import watch
from harness_results.glucose.error_grids import clarke
from harness_results.glucose.patients import bootstrap
from harness_tasks.cgm.suite import cgm

F64 = NDArray[np.float64]


class Wide:
    """Quantiles around the last reading that are wrong in a way of their own in each window; keeps what it said."""

    def __init__(self) -> None:
        self.said: list[NDArray[np.float32]] = []

    def predict(self, batch: Batch) -> Forecast:
        last = np.array([row[np.isfinite(row)][-1] for row in batch.contexts])[:, None, None]
        rng = np.random.default_rng(int(batch.window_ids[0] % 2**32))
        ahead = np.sqrt(np.arange(1, batch.horizon + 1))
        off = rng.normal(0, 6, (len(batch), 1, batch.horizon)) * ahead  # so that a step in the middle may be the only one that is low
        spread = (np.array(batch.quantile_levels) - 0.5)[:, None] * 30 * ahead
        self.said.append((last + off + spread).astype(np.float32))  # [n, Q, H]
        return Forecast.from_quantiles(self.said[-1], batch.quantile_levels)


@dataclass
class Made:
    scores: dict[str, float]
    data: TaskData
    labels: F64  # [N, H]
    quantiles: F64  # [N, Q, H]
    patients: list[str]  # [N]

    @property
    def levels(self) -> list[float]:
        return list(self.data.task.quantile_levels)

    def chance(self, window: int, step: int, limit: float, above: bool = False) -> float:
        """The distribution is a straight line between quantiles, clamped."""
        below = float(np.interp(limit, self.quantiles[window, :, step], self.levels))
        return 1 - below if above else below


def run(what: str, **options: Any) -> Made:
    suite = f"cgm[{','.join(f'{name}={value}' for name, value in options.items())}]"
    model = Wide()
    found = evaluate(model, what, suite=suite)
    data = cgm(None, suite=suite, **options).open(found.task)
    labels = data.series.target.gather(data.channel, data.cut, data.task.horizon).astype(np.float64)
    groups = data.series.groups
    assert groups is not None
    quantiles = np.concatenate(model.said).astype(np.float64)
    assert len(quantiles) == len(labels)
    scores = {name.partition(":")[2]: value for name, value in found.scores.items() if name.startswith("cgm:")}
    assert set(scores) == set(DIALECT.metrics)
    return Made(scores, data, labels, quantiles, [groups[int(c)].as_py() for c in data.channel])


@pytest.fixture(scope="module")
def hour() -> Iterator[Made]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CGM", raising=False)
        yield run("hall-sample/60min/both", stride=3)


@pytest.fixture(scope="module")
def nights() -> Iterator[Made]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("CGM", raising=False)
        yield run("hall-sample/night-6h/both", patient_share=0.8)


def test_errors_are_means_over_patients(hour: Made) -> None:
    middle = hour.levels.index(0.5)
    errors: dict[str, list[tuple[float, float]]] = {}
    for n, who in enumerate(hour.patients):
        for h in range(12):
            if not math.isnan(hour.labels[n, h]):
                errors.setdefault(who, []).append((hour.quantiles[n, middle, h] - hour.labels[n, h], hour.labels[n, h]))
    assert len(errors) == 5 == hour.scores["patients"]
    rmse = [math.sqrt(sum(e * e for e, _ in told) / len(told)) for told in errors.values()]
    assert hour.scores["RMSE"] == pytest.approx(sum(rmse) / 5, rel=1e-9)
    assert hour.scores["RMSE sd"] == pytest.approx(math.sqrt(sum((r - sum(rmse) / 5) ** 2 for r in rmse) / 4), rel=1e-9)
    assert (hour.scores["RMSE low"], hour.scores["RMSE high"]) == pytest.approx(bootstrap(rmse), rel=1e-9)
    assert min(rmse) < hour.scores["RMSE low"] < hour.scores["RMSE"] < hour.scores["RMSE high"] < max(rmse)
    every = [e for told in errors.values() for e, _ in told]
    assert hour.scores["RMSE pooled"] == pytest.approx(math.sqrt(sum(e * e for e in every) / len(every)), rel=1e-9)
    assert hour.scores["RMSE pooled"] != pytest.approx(hour.scores["RMSE"], rel=1e-3)
    mard = [100 * sum(abs(e) / y for e, y in told) / len(told) for told in errors.values()]
    assert hour.scores["MARD"] == pytest.approx(sum(mard) / 5, rel=1e-9)
    assert hour.scores["points"] == len(every)
    assert hour.scores["masked"] == pytest.approx(1 - len(every) / hour.labels.size) and hour.scores["masked"] > 0


def test_errors_at_the_last_step_are_of_it_alone(hour: Made) -> None:
    middle, each = hour.levels.index(0.5), []
    for who in sorted(set(hour.patients)):
        told = [
            (hour.quantiles[n, middle, 11] - hour.labels[n, 11])
            for n, p in enumerate(hour.patients)
            if p == who and not math.isnan(hour.labels[n, 11])
        ]
        each.append((math.sqrt(sum(e * e for e in told) / len(told)), sum(told) / len(told)))
    assert hour.scores["RMSE at H"] == pytest.approx(sum(r for r, _ in each) / 5, rel=1e-9)
    assert hour.scores["bias at H"] == pytest.approx(sum(b for _, b in each) / 5, rel=1e-9)


@pytest.mark.parametrize("convention", ["ega", "error-grids", "codina"])
def test_zones_of_each_patient(hour: Made, convention: str) -> None:
    middle = hour.levels.index(0.5)
    shares: dict[str, list[float]] = {zone: [] for zone in "ABCDE"}
    for who in set(hour.patients):
        rows = [n for n, p in enumerate(hour.patients) if p == who and not math.isnan(hour.labels[n, 11])]
        zones = ["ABCDE"[int(clarke([hour.labels[n, 11]], [hour.quantiles[n, middle, 11]], convention)[0])] for n in rows]
        for zone in "ABCDE":
            shares[zone].append(100 * zones.count(zone) / len(rows))
    for zone in "ABCDE":
        assert hour.scores[f"Clarke[{convention}] {zone}"] == pytest.approx(sum(shares[zone]) / 5, rel=1e-9, abs=1e-12)
    assert hour.scores["Clarke[ega] A"] > 50


@pytest.mark.parametrize(("name", "limit", "above"), [("hypo", 70.0, False), ("hyper", 180.0, True)])
def test_events_by_pairs(hour: Made, name: str, limit: float, above: bool) -> None:
    """AUROC as the share of pairs in which the event had the higher probability, in as many comparisons as there are pairs."""
    cases = [
        (y > limit if above else y < limit, round(hour.chance(n, 11, limit, above), 10))
        for n, y in enumerate(hour.labels[:, 11].tolist())
        if not math.isnan(y)
    ]
    yes, no = [p for happened, p in cases if happened], [p for happened, p in cases if not happened]
    assert len(yes) > 10
    score = sum(float(np.sum(a > np.array(no)) + 0.5 * np.sum(a == np.array(no))) for a in yes)
    assert hour.scores[f"{name} AUROC"] == pytest.approx(score / len(yes) / len(no), abs=1e-9)
    precision = [sum(b >= a for b in yes) / (sum(b >= a for b in yes) + sum(b >= a for b in no)) for a in yes]
    assert hour.scores[f"{name} AUPRC"] == pytest.approx(sum(precision) / len(yes), abs=1e-9)
    assert hour.scores[f"{name} base rate"] == pytest.approx(len(yes) / len(cases), rel=1e-9)
    assert hour.scores[f"{name} sensitivity"] == pytest.approx(sum(p >= 0.5 for p in yes) / len(yes), abs=1e-9)
    assert hour.scores[f"{name} specificity"] == pytest.approx(sum(p < 0.5 for p in no) / len(no), abs=1e-9)
    exact = [
        (hour.chance(n, 11, limit, above) - float(y > limit if above else y < limit)) ** 2
        for n, y in enumerate(hour.labels[:, 11])
        if y == y
    ]
    assert hour.scores[f"{name} Brier"] == pytest.approx(sum(exact) / len(exact), rel=1e-6)


def test_ranges_and_intervals(hour: Made) -> None:
    middle, low, high = (hour.levels.index(q) for q in (0.5, 0.1, 0.9))
    tir, covered = [], []
    for who in set(hour.patients):
        rows = [n for n, p in enumerate(hour.patients) if p == who]
        last = [n for n in rows if not math.isnan(hour.labels[n, 11])]
        said = sum(70 <= hour.quantiles[n, middle, 11] <= 180 for n in last)
        tir.append(100 * abs(said - sum(70 <= hour.labels[n, 11] <= 180 for n in last)) / len(last))
        inside = [
            hour.quantiles[n, low, h] <= hour.labels[n, h] <= hour.quantiles[n, high, h]
            for n in rows
            for h in range(12)
            if not math.isnan(hour.labels[n, h])
        ]
        covered.append(sum(inside) / len(inside))
    assert hour.scores["TIR error"] == pytest.approx(sum(tir) / 5, rel=1e-9)
    assert hour.scores["coverage[80]"] == pytest.approx(sum(covered) / 5, rel=1e-9)


def watched(alarm: list[bool], decided: list[bool], low: list[bool], window: int) -> tuple[list[float], int]:
    """Step by step: an alarm holds until the next decision; an episode is judged if some decision spoke of it."""
    length, held, newest = len(low), [], None
    for t in range(length):
        newest = t if decided[t] else newest
        held.append(newest is not None and t - newest <= window and alarm[newest])
    begins = [t for t in range(length) if low[t] and (t == 0 or not low[t - 1])]
    leads = []
    for b in begins:
        if any(decided[t] for t in range(max(0, b - window), b)):
            before = [t for t in range(max(0, b - window), b) if held[t] and not low[t]]
            leads.append(float(b - before[0]) if before else 0.0 if held[b] else math.nan)
    raised = [t for t in range(length) if held[t] and (t == 0 or not held[t - 1]) and not low[t]]
    return leads, sum(not any(t <= b <= t + window for b in begins) for t in raised)


@pytest.mark.parametrize("seed", range(8))
def test_alarms_step_by_step(seed: int) -> None:
    rng = np.random.default_rng(seed)
    alarm, low = rng.random(200) < 0.3, np.repeat(rng.random(40) < 0.25, 5)
    decided = rng.random(200) < rng.choice([0.2, 0.6, 1.0])
    lead, false = watch(alarm, decided, low, window=6)
    expected, wrong = watched(alarm.tolist(), decided.tolist(), low.tolist(), 6)
    np.testing.assert_array_equal(lead, expected)
    assert false == wrong
    assert len(expected) > 3


def inside(series: list[float], limit: float, above: bool) -> list[bool]:
    """Steps of episodes at 5 minutes: from the first of three low readings in a row to the last low one before three that are not."""
    low = [value > limit if above else value < limit for value in series]  # NaN is not
    found, t = [False] * len(low), 0
    while t < len(low):
        if not all(low[t : t + 3]) or t + 3 > len(low):
            t += 1
            continue
        end = t
        while any(low[end + 1 : end + 4]):
            end = next(k for k in range(end + 1, end + 4) if low[k])
        found[t : end + 1] = [True] * (end + 1 - t)
        t = end + 1
    return found


@pytest.mark.parametrize(("name", "limit", "above"), [("hypo", 70.0, False), ("hyper", 180.0, True)])
def test_lead_times_of_windows_that_slide(hour: Made, name: str, limit: float, above: bool) -> None:
    leads: list[float] = []
    false = 0
    for channel in sorted(set(hour.data.channel.tolist())):
        series = hour.data.series.target[channel].tolist()
        low = inside(series, limit, above)
        alarm, decided = [False] * len(series), [False] * len(series)
        for n in np.flatnonzero(hour.data.channel == channel).tolist():
            at = int(hour.data.cut[n]) - 1
            decided[at] = True
            alarm[at] = any(hour.chance(n, h, limit, above) >= 0.5 for h in range(12))
        lead, wrong = watched(alarm, decided, low, 12)
        leads, false = leads + lead, false + wrong
    told = [lead for lead in leads if not math.isnan(lead)]
    assert len(leads) >= 3
    assert hour.scores[f"{name} detected"] == pytest.approx(len(told) / len(leads))
    assert hour.scores[f"{name} lead time"] == pytest.approx(float(np.median(told)) * 5)
    assert hour.scores[f"{name} false alarms"] == pytest.approx(false / (len(hour.labels) * 3 * 5 / 1440))  # every third reading
    assert all(math.isnan(hour.scores[name]) for name in DIALECT.metrics if name.startswith("night"))


@pytest.mark.parametrize(("name", "limit", "above"), [("night", 70.0, False), ("night hyper", 180.0, True)])
def test_nights_by_loops(nights: Made, name: str, limit: float, above: bool) -> None:
    cases: list[tuple[bool, float, int]] = []
    for n, night in enumerate(nights.labels.tolist()):
        begin = [*inside(night, limit, above), True].index(True)
        begin = begin if begin < len(night) else -1
        if begin >= 0 or sum(v == v for v in night) >= 0.7 * len(night):
            cases.append((begin >= 0, round(max(nights.chance(n, h, limit, above) for h in range(72)), 10), begin))
    yes, no = [p for happened, p, _ in cases if happened], [p for happened, p, _ in cases if not happened]
    assert yes and no
    pairs = [(a > b) + 0.5 * (a == b) for a in yes for b in no]
    assert nights.scores[f"{name} AUROC"] == pytest.approx(sum(pairs) / len(pairs), abs=1e-9)
    assert nights.scores[f"{name} base rate"] == pytest.approx(len(yes) / len(cases))
    assert nights.scores[f"{name} sensitivity"] == pytest.approx(sum(p >= 0.5 for p in yes) / len(yes))
    assert nights.scores[f"{name} specificity"] == pytest.approx(sum(p < 0.5 for p in no) / len(no))
    assert nights.scores[f"{name} false alarms"] == pytest.approx(sum(p >= 0.5 for p in no) / len(cases))
    told = [begin * 5 for _, p, begin in cases if p >= 0.5 and begin >= 0]
    assert nights.scores[f"{name} lead time"] == pytest.approx(np.median(told) if told else math.nan, nan_ok=True)
    assert told or name == "night"
    assert math.isnan(nights.scores["hypo lead time"])


def test_kept_forecasts_have_the_same_scores_in_blocks_of_any_size(hour: Made) -> None:
    n, levels = len(hour.labels), np.array(hour.levels)
    middle = hour.levels.index(0.5)

    def parts() -> Iterator[tuple[Any, ...]]:
        for a in range(0, n, 700):
            some = hour.quantiles[a : a + 700].astype(np.float32)
            yield np.arange(a, min(a + 700, n)), some, some[:, middle], None

    again = DIALECT.score(Forecasts.of(hour.data, levels, parts))
    assert again == pytest.approx(hour.scores, rel=1e-9, nan_ok=True)


def test_the_bootstrap_is_over_patients() -> None:
    rng = np.random.default_rng(0)
    each = rng.normal(20, 4, 200)
    low, high = bootstrap(each)
    half = 1.96 * each.std() / math.sqrt(200)
    assert low == pytest.approx(each.mean() - half, abs=0.15) and high == pytest.approx(each.mean() + half, abs=0.15)
    assert bootstrap(each) == (low, high) == bootstrap(np.append(each[::-1], np.nan))
    assert bootstrap(each, seed=1) != (low, high)
    assert all(math.isnan(edge) for edge in (*bootstrap([3.0]), *bootstrap([]), *bootstrap([np.nan, 2.0])))


def test_the_worked_numbers() -> None:
    import doctest

    from harness_results.glucose import alarms, events, patients

    for module in (alarms, events, patients):
        found = doctest.testmod(module)
        assert found.attempted and not found.failed


def test_a_folder_is_not_needed(tmp_path: Path) -> None:
    """What a wheel carries is beside the module."""
    import harness_tasks.cgm.datasets as datasets

    assert (datasets.SAMPLE_FOLDER / datasets.SAMPLE.files[0]).is_file()
    assert datasets.SAMPLE_FOLDER.is_relative_to(Path(datasets.__file__).parents[1])


def made(freq: str = "5T") -> Forecasts:
    series = [np.linspace(100, 130, 40)] * 2
    return Forecasts.from_arrays(series, [0, 1], [36, 36], np.full((2, 3, 4), 120.0), [0.1, 0.5, 0.9], freq=freq)


@pytest.mark.parametrize("freq", ["W", "M", "Q", "A", "B"])
def test_steps_that_are_no_minutes_are_refused(freq: str) -> None:
    with pytest.raises(PluginError, match=rf"dialect 'cgm'.*got steps of {freq}; wanted seconds, minutes, .*, such as 5T") as caught:
        DIALECT.score(made(freq))
    assert isinstance(caught.value.__cause__, Unsupported)
    assert DIALECT.score(made("H"))["points"] == 8


def test_a_task_that_is_not_declared_to_be_of_glucose_is_refused() -> None:
    data = make_data(2, 4, windows=1)
    given = Forecasts.of(replace(data, task=replace(data.task, freq="5T", dialect="gift-eval")), np.array([0.5]), lambda: iter(()))
    with pytest.raises(PluginError, match=r"scores glucose in mg/dL, .* is scored in 'gift-eval'\. .*: dialect: cgm$") as caught:
        DIALECT.score(given)
    assert isinstance(caught.value.__cause__, Unsupported)
    DIALECT.score(replace(given, data=replace(data, task=replace(data.task, freq="5T", dialect="cgm"))))


def test_a_board_that_mixes_kinds_is_told_so() -> None:
    def said(*tasks: str, scored: int = 9) -> list[str]:
        values = np.full((1, len(tasks)), np.nan)
        values[:, :scored] = 1.0
        assert DIALECT.aggregate is not None
        rows, findings = DIALECT.aggregate(Board(["m"], tasks, {"RMSE": values, "WQL": values * np.nan}, None))
        assert rows == []
        return [str(each) for each in findings]

    assert said("hall/60min/both", "iglu/60min/both") == said("mine", "a/b/c", "hall/60min/both") == said() == []
    (mixed,) = said("hall/30min/temporal", "hall/60min/both", "hall/night-8h/both", "hall/meal-2h/both")
    assert "nights (night-8h)" in mixed and "hours after meals (meal-2h)" in mixed and "sliding windows (30min, 60min)" in mixed
    assert "the hold-outs temporal, both" in mixed
    assert mixed.endswith("""such as --where "term = '60min' AND name LIKE '%/both'".""")
    assert said("hall/30min/temporal", "hall/night-8h/temporal")[0].endswith("""--where "term = '30min'".""")
    assert said("hall/30min/temporal", "hall/30min/patients")[0].endswith("""--where "name LIKE '%/temporal'".""")
    assert said("hall/30min/temporal", "hall/night-8h/temporal", scored=1) == []  # nobody has run the other
