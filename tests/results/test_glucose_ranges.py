"""Time in range and indices: iglu-python's numbers, a plain loop, and sums over blocks and patients."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest

from harness_results.glucose import arrays, ranges

TRACE = 40.0 + (37 * np.arange(200)) % 331
IGLU = {  # iglu-python 0.4.3 on TRACE
    "TBR2": 5.5,
    "TBR1": 9.5 - 5.5,
    "TIR": 34.0,
    "TAR1": 56.5 - 35.5,
    "TAR2": 35.5,
    "LBGI": 2.456285921576571,
    "HBGI": 16.43195269232016,
    "GMI": 8.1254548,
    "CV": 47.88375831504991,
}


def test_the_numbers_of_iglu() -> None:
    found = ranges.range_scores(ranges.range_sums(TRACE))
    for name, value in IGLU.items():
        assert found[name] == pytest.approx([value], rel=1e-12), name
    assert sum(found[name][0] for name in ranges.RANGES) == pytest.approx(100.0)


def test_iglu_where_it_is_installed() -> None:
    iglu = pytest.importorskip("iglu_python", reason="pip install iglu-python==0.4.3 compares with it")
    trace = np.random.default_rng(0).uniform(35, 420, 500)
    found = {name: float(value[0]) for name, value in ranges.range_scores(ranges.range_sums(trace)).items()}
    low, high = iglu.below_percent(trace, [54, 70]), iglu.above_percent(trace, [180, 250])
    assert found["TBR2"] == pytest.approx(low["below_54"]) and found["TBR1"] == pytest.approx(low["below_70"] - low["below_54"])
    assert found["TAR2"] == pytest.approx(high["above_250"]) and found["TAR1"] == pytest.approx(high["above_180"] - high["above_250"])
    assert found["TIR"] == pytest.approx(iglu.in_range_percent(trace, [[70, 180]])["in_range_70_180"])
    for name, function in (("LBGI", iglu.lbgi), ("HBGI", iglu.hbgi), ("GMI", iglu.gmi), ("CV", iglu.cv_glu)):
        assert found[name] == pytest.approx(float(function(trace)), rel=1e-9), name


def test_a_plain_loop_gives_the_same() -> None:
    values = TRACE.tolist()
    mean = statistics.fmean(values)
    low = high = 0.0
    for g in values:
        f = 1.509 * (math.log(g) ** 1.084 - 5.381)
        low, high = low + (10 * f * f if f < 0 else 0), high + (10 * f * f if f > 0 else 0)
    found = ranges.range_scores(ranges.range_sums(TRACE))
    expected = {"LBGI": low / 200, "HBGI": high / 200, "mean": mean, "CV": 100 * statistics.stdev(values) / mean}
    for name, value in expected.items():
        assert found[name] == pytest.approx([value], rel=1e-12), name


def test_the_edges_of_ranges() -> None:
    edges = [53.99, 54.0, 69.99, 70.0, 180.0, 180.01, 250.0, 250.01]
    sums = ranges.range_sums(edges)
    assert [float(sums[name][0]) for name in ranges.RANGES] == [1, 2, 2, 2, 1]


def test_predictions_are_judged_where_there_is_a_reference() -> None:
    reference = np.array([[50.0, np.nan, 100.0], [np.nan, np.nan, 200.0]])
    prediction = np.array([[60.0, 300.0, 110.0], [40.0, np.nan, 190.0]])
    seen = ranges.range_scores(ranges.range_sums(reference, group=[0, 1], groups=2))
    ahead = ranges.range_scores(ranges.range_sums(prediction, reference, [0, 1], 2))
    assert ahead["TBR1"].tolist() == [50.0, 0.0] and seen["TBR2"].tolist() == [50.0, 0.0]
    assert ahead["TBR2"].tolist() == [0.0, 0.0] and ahead["TIR"].tolist() == seen["TIR"].tolist() == [50.0, 0.0]
    assert (ahead["mean"] - seen["mean"]).tolist() == [10.0, -10.0]
    assert np.isnan(seen["CV"][1]) and not np.isnan(seen["CV"][0])


def test_blocks_add_up() -> None:
    rng = np.random.default_rng(1)
    values, patient = rng.uniform(30, 400, (50, 5)), rng.integers(0, 3, 50)
    values[rng.random(values.shape) < 0.1] = np.nan
    whole = ranges.range_scores(ranges.range_sums(values, group=patient, groups=3))
    total = None
    for a in range(0, 50, 8):
        total = arrays.add(total, ranges.range_sums(values[a : a + 8], group=patient[a : a + 8], groups=3))
    assert total is not None
    for name, value in ranges.range_scores(total).items():
        np.testing.assert_allclose(value, whole[name], rtol=1e-10)
    one = ranges.range_scores(ranges.range_sums(values[patient == 1]))
    for name, value in one.items():
        np.testing.assert_allclose(value[0], whole[name][1], rtol=1e-10)


def test_odd_values() -> None:
    flat = ranges.range_scores(ranges.range_sums(np.full(50, 103.7)))
    assert flat["CV"] == pytest.approx([0.0], abs=1e-4) and flat["TIR"].tolist() == [100.0]
    none = ranges.range_scores(ranges.range_sums(np.full((2, 3), np.nan)))
    assert all(np.isnan(value).all() for value in none.values())
    wild = ranges.range_scores(ranges.range_sums([-20.0, 0.0, 0.5, 1.0]))
    assert wild["LBGI"] == pytest.approx([10 * (1.509 * 5.381) ** 2]) and wild["TBR2"].tolist() == [100.0]
    with pytest.raises(ValueError, match="time in range: the prediction is NaN at 1 of 2 points"):
        ranges.range_sums([np.nan, 1.0], [1.0, 1.0])
