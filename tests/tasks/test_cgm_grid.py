"""The grid beside a loop over readings, amounts that add up, and what becomes of every reading of the real sets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import DataError
from harness_tasks.cgm.grid import find_step, to_grid
from harness_tasks.cgm.readings import Events, Readings, Report
from harness_tasks.cgm.tables import read_glucose

DAY = np.datetime64("2020-03-01T00:00:00", "s")


def made(rows: Sequence[tuple[int, float, float]], subjects: int | None = None, **more: Any) -> Readings:
    """Readings of (subject, seconds after DAY, mg/dL)."""
    rows = sorted(rows, key=lambda row: row[:2])
    count = max((row[0] for row in rows), default=-1) + 1 if subjects is None else subjects
    names = tuple(f"s{i}" for i in range(count))
    time = DAY + np.array([row[1] for row in rows]).astype("timedelta64[s]")
    report = Report(("made",), "long", len(rows), len(rows))
    subject, glucose = np.array([row[0] for row in rows], np.int32), np.array([row[2] for row in rows], np.float32)
    return Readings(names, names, subject, time, glucose, report, **more)


def events(rows: Sequence[tuple[int, float, float, float]], recorded: list[bool]) -> Events:
    """Events of (subject, seconds after DAY from, to, amount)."""
    begin, end = (DAY + np.array([row[i] for row in rows], np.int64).astype("timedelta64[s]") for i in (1, 2))
    amount = np.array([row[3] for row in rows], np.float32)
    return Events(np.array([row[0] for row in rows], np.int32), begin, end, amount, np.array(recorded, np.bool_))


def by_loop(readings: Readings, step: int, tolerance: float, split: float | None) -> list[tuple[int, int, dict[int, float]]]:
    """(subject, first point, {point: mean}) of each series."""
    out: list[tuple[int, int, dict[int, float]]] = []
    for s in range(len(readings.names)):
        points: dict[int, list[float]] = {}
        for r in range(len(readings)):
            seconds, value = int(readings.time[r].astype(np.int64)), float(readings.glucose[r])
            point = math.floor(seconds / (step * 60) + 0.5)
            if readings.subject[r] == s and not math.isnan(value) and abs(seconds - point * step * 60) <= tolerance:
                points.setdefault(point, []).append(value)
        parts: list[list[int]] = []
        for point in sorted(points):
            if not parts or (split is not None and (point - parts[-1][-1]) * step > split):
                parts.append([])
            parts[-1].append(point)
        out += [(s, part[0], {p: sum(points[p]) / len(points[p]) for p in part}) for part in parts]
    return out


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("step", "tolerance", "split"), [(5, None, None), (5, 60, 30), (15, None, 120), (15, 100, None), (1, 0, 1)])
def test_beside_a_loop(seed: int, step: int, tolerance: float | None, split: float | None) -> None:
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 120))
    rows = [(int(rng.integers(3)), float(rng.integers(-90000, 90000)), float(v)) for v in rng.uniform(40, 400, count).round(1)]
    rows += [(s, t + float(rng.integers(0, 3)), v + 1) for s, t, v in rows[: count // 3]]  # near-duplicates
    rows += [(0, float(t), float("nan")) for t in rng.integers(-90000, 90000, count // 5)]
    rows += [(1, float(step * 30), 100.0)]  # a tie, and never an empty grid
    rows += [(1, float(step * 60), 101.0)]
    readings = made(rows, 4)
    width = step * 30 if tolerance is None else tolerance
    want = by_loop(readings, step, width, split)
    got = to_grid(readings, step, tolerance, split)
    assert got.subject.tolist() == [s for s, _, _ in want]
    assert (got.starts.astype(np.int64) // (step * 60)).tolist() == [first for _, first, _ in want]
    for series, (_, first, points) in zip(got.glucose, want, strict=True):
        expected = np.full(max(points) - first + 1, np.nan)
        for point, value in points.items():
            expected[point - first] = value
        np.testing.assert_allclose(series, expected, rtol=1e-6)
        assert not np.isnan(series[[0, -1]]).any()
    report = got.report
    assert (report.readings == report.absent + report.off_grid + report.merged + report.on_grid).all()
    assert report.readings.sum() == len(readings)
    assert (report.on_grid.sum(), report.points.sum()) == (int((~np.isnan(got.glucose.values)).sum()), len(got.glucose.values))
    assert report.off_grid.sum() == 0 or tolerance is not None


def test_snapping() -> None:
    """By hand: 149 s after a point go back to it, 150 s on to the next; two on one point are averaged."""
    got = to_grid(made([(0, 149, 100), (0, 450, 110), (0, 600, 120), (0, 601, 130), (0, 1199, 90)]), 5)
    assert got.starts.tolist() == [DAY.item()]
    np.testing.assert_array_equal(got.glucose[0], np.array([100, np.nan, np.float32(120), np.nan, 90], np.float32))
    assert (int(got.report.merged[0]), float(got.report.missing[0]), got.freq) == (2, 0.4, "5T")
    strict = to_grid(made([(0, 149, 100), (0, 600, 120), (0, 601, 130), (0, 720, 1)]), 5, tolerance_s=100)
    assert strict.report.off_grid.tolist() == [2]
    assert "2 off the grid" in strict.report.lines()[1]


def test_midnight_is_a_point_whatever_the_phase() -> None:
    for phase in (0, 77, 149, 151, 299):
        for step in (5, 15):
            got = to_grid(made([(0, phase + step * 60 * i, 100.0 + i) for i in range(300)]), step)
            assert (got.starts[0] - DAY).astype(int) % (step * 60) == 0
            np.testing.assert_array_equal(got.glucose[0], np.arange(100, 400))


@pytest.mark.parametrize(("apart", "step"), [(300, 5), (299, 5), (240, 5), (360, 5), (900, 15), (840, 15)])
def test_the_step_is_found(apart: int, step: int) -> None:
    rows = [(s, apart * i + 7 * s, 100.0) for s in range(3) for i in range(9)] + [(0, 1e6, 100.0), (3, 0.0, 90.0)]
    assert find_step(made(rows)) == step == to_grid(made(rows)).step


def test_a_step_that_cannot_be_told_is_refused() -> None:
    with pytest.raises(DataError, match=r"s0 \(10\) are that many minutes apart; wanted about 5 or 15\. Pass step_minutes"):
        to_grid(made([(0, 600 * i, 100.0) for i in range(9)]))
    mixed = [(s, (900 if s == 2 else 300) * i, 100.0) for s in range(4) for i in range(9)]
    with pytest.raises(DataError, match=r"most subjects have one step and s2 another"):
        to_grid(made(mixed))
    assert to_grid(made(mixed), 15).step == 15
    for lonely in ([(0, 0.0, 100.0), (1, 300.0, 100.0)], [(0, 0.0, float("nan"))], []):
        with pytest.raises(DataError, match="no subject has two readings"):
            to_grid(made(lonely))
    with pytest.raises(DataError, match=r"none of 1 readings lies within 10 s of a grid point of 5 minutes; pass a larger"):
        to_grid(made([(0, 100.0, 100.0)]), 5, tolerance_s=10)
    with pytest.raises(DataError, match=r"most of them s0's; wanted at most .* Is a year wrong"):
        to_grid(made([(0, 0.0, 100.0), (0, 7e9, 100.0)]), 5)


@pytest.mark.parametrize(
    "wrong",
    [{"step_minutes": 7}, {"step_minutes": 0}, {"tolerance_s": 151}, {"tolerance_s": -1}, {"split_after": 4}, {"split_after": math.nan}],
)
def test_arguments(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"to_grid got {next(iter(wrong))}"):
        to_grid(made([(0, 300 * i, 100.0) for i in range(9)]), **wrong)


def test_series_of_a_split_subject() -> None:
    rows = [(s, 300 * i + gap, 100.0) for s in (0, 1) for gap in ((0, 7200) if s else (0,)) for i in range(5)]
    got = to_grid(made(rows), split_after=60)
    assert (got.names, got.patients) == (("s0", "s1#1", "s1#2"), ("s0", "s1", "s1"))
    assert got.glucose.lengths.tolist() == [5, 5, 5]
    assert to_grid(made(rows), split_after=99).names == ("s0", "s1#1", "s1#2")
    assert to_grid(made(rows), split_after=100).names == ("s0", "s1")  # the readings before and after are 100 minutes apart


def test_amounts_belong_to_the_point_after_them() -> None:
    rows = [(s, 300 * i, 100.0) for s in range(3) for i in range(7)]
    bolus = events(
        [(0, 0, 0, 1), (0, 1, 1, 2), (0, 300, 300, 4), (0, 301, 301, math.nan), (0, 1801, 1801, 8), (2, 0, 0, 1)], [True, False, True]
    )
    meals = events(
        [(1, 299, 299, 30), (1, 299, 300, 30), (1, 1700, 1700, math.nan), (1, -1, -1, 5), (1, -300, -300, 7)], [False, True, False]
    )
    got = to_grid(made(rows, covariates={"bolus": bolus}, meals=meals))
    np.testing.assert_array_equal(got.covariates["bolus"][0], [1, 6, np.nan, 0, 0, 0, 0])
    assert np.isnan(got.covariates["bolus"][1]).all()  # the source keeps none for it
    np.testing.assert_array_equal(got.covariates["bolus"][2], [1, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(got.covariates["carbs"][1], [5, 60, 0, 0, 0, 0, np.nan])
    assert got.meals is not None
    assert (got.meals.series.tolist(), got.meals.position.tolist()) == ([1, 1, 1, 1], [1, 1, 6, 0])
    assert (got.report.events, got.report.outside) == (11, 2)
    none = to_grid(made(rows, meals=events([(1, 299, 299, math.nan)], [False, True, False])))
    assert "carbs" not in none.covariates and none.meals is not None and len(none.meals) == 1
    assert to_grid(made(rows)).meals is None


def test_nothing_after_a_point_is_in_it() -> None:
    """Taking away all events after a moment changes no amount at points up to it."""
    rng = np.random.default_rng(3)
    rows = [(0, 300 * i, 100.0) for i in range(60)]
    begin = np.sort(rng.integers(0, 18000, 40))
    every = events([(0, b, b + d * (i % 2), 1.5) for i, (b, d) in enumerate(zip(begin, rng.integers(1, 4000, 40), strict=True))], [True])
    whole = to_grid(made(rows, covariates={"insulin": every})).covariates["insulin"][0]
    for point in (0, 13, 40, 59):
        seen = [row for row in range(40) if begin[row] <= point * 300]
        part = Events(every.subject[seen], every.begin[seen], every.end[seen], every.amount[seen], every.recorded)
        np.testing.assert_allclose(
            to_grid(made(rows, covariates={"insulin": part})).covariates["insulin"][0][: point + 1], whole[: point + 1], rtol=1e-5
        )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("split", [None, 20])
def test_what_flows_is_spread_evenly(seed: int, split: float | None) -> None:
    """Beside a loop over seconds: each second carries its share, and belongs to the first point at or after its end."""
    rng = np.random.default_rng(seed)
    rows = [(s, 300.0 * i, 100.0) for s in range(2) for i in range(40) if rng.random() < 0.7 or i in (0, 39)]
    flows = []
    for _ in range(8):
        begin = int(rng.integers(-3000, 12500))
        flows.append((int(rng.integers(2)), begin, begin + int(rng.choice([0, 1, 10, 300, 1000, 3700])), float(rng.integers(1, 9))))
    got = to_grid(made(rows, covariates={"basal": events(flows, [True, True])}), 5, split_after=split)
    want = {(g, p): 0.0 for g in range(len(got)) for p in range(len(got.glucose[g]))}
    outside = 0
    for subject, begin, end, amount in flows:
        hit = False
        for second in range(begin, max(end, begin + 1)):
            moment = begin if begin == end else second + 1
            point = math.ceil((int(DAY.astype(np.int64)) + moment) / 300)
            for g in np.flatnonzero(got.subject == subject).tolist():
                place = point - int(got.starts[g].astype(np.int64)) // 300
                if (g, place) in want:
                    want[g, place] += amount / max(end - begin, 1)
                    hit = True
        outside += not hit
    for g in range(len(got)):
        np.testing.assert_allclose(got.covariates["basal"][g], [want[g, p] for p in range(len(got.glucose[g]))], rtol=1e-4, atol=1e-6)
    assert got.report.outside == outside


def test_order_of_rows_and_of_subjects_changes_nothing() -> None:
    rng = np.random.default_rng(5)
    readings = made([(int(rng.integers(4)), float(rng.integers(0, 50000)), float(rng.integers(40, 400))) for _ in range(300)])
    moved = np.array([1, 3, 0, 2], np.int32)[readings.subject]  # subject s becomes the moved[s]-th
    order = np.argsort(moved, kind="stable")
    names = tuple(readings.names[s] for s in (2, 0, 3, 1))
    time, glucose = readings.time[order], readings.glucose[order]
    turned = replace(readings, names=names, patients=names, subject=moved[order], time=time, glucose=glucose)
    one, other = to_grid(readings, 5), to_grid(turned, 5)
    for name in one.names:
        np.testing.assert_array_equal(one.glucose[one.names.index(name)], other.glucose[other.names.index(name)])


def test_a_subject_without_values_has_no_series() -> None:
    got = to_grid(made([(0, 0.0, math.nan), (1, 0.0, 100.0), (1, 300.0, 100.0)], 3))
    assert (got.names, got.report.points.tolist()) == (("s1",), [0, 2, 0])
    assert got.report.absent.tolist() == [1, 0, 0]
    assert np.isnan(got.report.missing[[0, 2]]).all()
    assert "s0: 0 points, none missing" in got.report.lines()[1]


@pytest.mark.parametrize(
    ("file", "step", "points", "on_grid", "merged", "split_points"),
    [
        ("hall2018.csv", 5, 182633, 34886, 4, 36167),
        ("iglu5.csv", 5, 16884, 13865, 1, 14452),
        ("shanghai.csv.gz", 15, 128185, 128157, 0, 128172),
    ],
)
def test_the_real_sets(real_data: Path, file: str, step: int, points: int, on_grid: int, merged: int, split_points: int) -> None:
    path = real_data / "cgm" / file
    if not path.is_file():
        pytest.skip(f"no {path}")
    readings = read_glucose(path)
    got = to_grid(readings)
    report = got.report
    assert (got.step, int(report.points.sum()), int(report.on_grid.sum()), int(report.merged.sum())) == (step, points, on_grid, merged)
    assert (report.readings == report.absent + report.off_grid + report.merged + report.on_grid).all()
    assert (int(report.readings.sum()), int(report.absent.sum())) == (readings.report.readings, readings.report.absent)
    assert to_grid(readings, split_after=120).report.points.sum() == split_points
    moved = got.starts.astype(np.int64) - readings.time[np.searchsorted(readings.subject, got.subject)].astype(np.int64)
    assert np.abs(moved).max() <= step * 30
    weight = np.bincount(readings.subject[~np.isnan(readings.glucose)])
    if not merged:  # the grid moves values and changes none
        np.testing.assert_allclose(
            [np.nanmean(row.astype(np.float64)) for row in got.glucose],
            np.bincount(readings.subject, np.nan_to_num(readings.glucose.astype(np.float64))) / weight,
            rtol=1e-6,
        )
