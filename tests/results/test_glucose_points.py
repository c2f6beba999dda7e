"""Errors of points: worked numbers, a plain loop, real pairs, and sums over blocks and patients."""

from __future__ import annotations

import doctest
import importlib
import math

import numpy as np
import pytest
from glucose_kit import real_pairs
from numpy.typing import NDArray

from harness_results.glucose import arrays, points

F64 = NDArray[np.float64]
MODULES = ["alarms", "arrays", "decisions", "distributions", "error_grids", "events", "points", "ranges"]


@pytest.mark.parametrize("name", MODULES)
def test_the_worked_numbers_of_each_docstring(name: str) -> None:
    found = doctest.testmod(importlib.import_module(f"harness_results.glucose.{name}"))
    assert found.attempted and not found.failed


def made(n: int = 40, h: int = 6, seed: int = 0) -> tuple[F64, F64]:
    """References [N, H], some missing, and predictions."""
    rng = np.random.default_rng(seed)
    reference = rng.uniform(40, 400, (n, h))
    prediction = reference + rng.normal(0, 40, (n, h))
    reference[rng.random((n, h)) < 0.2] = np.nan
    return reference, prediction


def quartic(x: float, a: float, width: float) -> float:
    """The rising curve as it is published, piece by piece."""
    xi = 2 / width * (x - a - width / 2)
    if x <= a:
        return 0.0
    if x <= a + width / 2:
        return -(xi**4) / 2 - xi**3 + xi + 0.5
    return xi**4 / 2 - xi**3 + xi + 0.5 if x <= a + width else 1.0


def falling(x: float, a: float, width: float) -> float:
    xi = -2 / width * (x - a + width / 2)
    if x <= a - width:
        return 1.0
    if x <= a - width / 2:
        return xi**4 / 2 - xi**3 + xi + 0.5
    return -(xi**4) / 2 - xi**3 + xi + 0.5 if x <= a else 0.0


def loop(reference: F64, prediction: F64) -> dict[str, float]:
    n, error, size, square, relative, weighted = 0, 0.0, 0.0, 0.0, 0.0, 0.0
    for g, p in zip(reference.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if math.isnan(g):
            continue
        low = 1.5 * falling(g, 85, 30) * quartic(p, g, 10)
        high = quartic(g, 155, 100) * falling(p, g, 20)
        n, error, size, square = n + 1, error + p - g, size + abs(p - g), square + (p - g) ** 2
        relative, weighted = relative + abs(p - g) / g, weighted + (1 + low + high) * (p - g) ** 2
    rows = {"RMSE": math.sqrt(square / n), "MAE": size / n, "MAPE": relative / n, "MARD": 100 * relative / n}
    return {"n": n, **rows, "bias": error / n, "gRMSE": math.sqrt(weighted / n)}


def test_a_plain_loop_gives_the_same() -> None:
    reference, prediction = made()
    found = points.point_scores(points.point_sums(reference, prediction))
    expected = loop(reference, prediction)
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert found[name] == pytest.approx([value], rel=1e-12), name


@pytest.mark.parametrize(
    ("reference", "prediction", "weight"),
    [(50, 60, 2.5), (70, 90, 1.75), (85, 100, 1), (120, 120, 1), (200, 150, 1.40095), (260, 180, 2), (100, 60, 1)],
)
def test_the_penalty_at_known_points(reference: float, prediction: float, weight: float) -> None:
    assert points.penalty(reference, prediction) == pytest.approx([weight], abs=1e-12)


def test_the_penalty_lies_between_1_and_its_most_and_grows_with_the_error() -> None:
    low, high = np.full(200, 50.0), np.full(200, 300.0)
    up = points.penalty(low, np.linspace(50, 65, 200))
    down = points.penalty(high, np.linspace(300, 270, 200))
    assert np.all(np.diff(up) >= 0) and (up[0], up[-1]) == (1.0, 2.5)
    assert np.all(np.diff(down) >= 0) and (down[0], down[-1]) == (1.0, 2.0)
    anywhere = points.penalty(*np.random.default_rng(1).uniform(-50, 700, (2, 5000)))
    assert anywhere.min() >= 1.0 and anywhere.max() <= 2.5
    assert points.penalty([50.0, 50.0], [np.inf, -np.inf]).tolist() == [2.5, 1.0]


def test_real_pairs_have_the_known_errors() -> None:
    reference, prediction = real_pairs()
    found = {name: float(value[0]) for name, value in points.point_scores(points.point_sums(reference, prediction)).items()}
    assert found["n"] == 5072
    assert found["MARD"] == pytest.approx(20.816, abs=5e-4)
    assert found["RMSE"] == pytest.approx(45.8332, abs=5e-5)
    assert found["MAE"] == pytest.approx(26.420, abs=5e-4)
    assert found["gRMSE"] == pytest.approx(57.6600, abs=5e-5)
    assert points.penalty(reference, prediction).mean() == pytest.approx(1.15919, abs=5e-6)


def test_blocks_and_patients_add_up() -> None:
    reference, prediction = made(n=60)
    patient = np.random.default_rng(3).integers(0, 4, 60)
    patient[patient == 2] = 1  # a patient without a window
    whole = points.point_sums(reference, prediction, patient, 4)
    total = None
    for a in range(0, 60, 7):
        total = arrays.add(total, points.point_sums(reference[a : a + 7], prediction[a : a + 7], patient[a : a + 7], 4))
    assert total is not None
    found = points.point_scores(total)
    for name, values in points.point_scores(whole).items():
        np.testing.assert_allclose(found[name], values, rtol=1e-12)
        alone = [loop(reference[patient == each], prediction[patient == each])[name] for each in (0, 1, 3)]
        np.testing.assert_allclose(values[[0, 1, 3]], alone, rtol=1e-12)
        assert values[2] == 0 if name == "n" else np.isnan(values[2])
    pooled = points.point_scores(arrays.pooled(total))
    assert pooled["gRMSE"] == pytest.approx([loop(reference, prediction)["gRMSE"]], rel=1e-12)


def test_any_shape_and_type_will_do() -> None:
    reference, prediction = made(n=12, h=4)
    flat = points.rmse(points.point_sums(reference.ravel(), prediction.ravel()))
    cube = points.rmse(points.point_sums(reference.reshape(3, 4, 4), prediction.reshape(3, 4, 4)))
    small = points.rmse(points.point_sums(reference.astype(np.float32), prediction.astype(np.float32)))
    assert cube == pytest.approx(flat, rel=1e-14) and small == pytest.approx(flat, rel=1e-6)
    assert points.mae(points.point_sums(100, 90)).tolist() == [10.0]


def test_nothing_to_score_is_nan_and_a_lost_prediction_is_not_passed_over() -> None:
    for reference in (np.empty((0, 3)), np.full((2, 3), np.nan)):
        found = points.point_scores(points.point_sums(reference, np.zeros(reference.shape)))
        assert found.pop("n").tolist() == [0.0] and all(np.isnan(v).all() for v in found.values())
    lost = points.point_scores(points.point_sums([100.0, 100.0], [np.nan, 90.0], [0, 1], 2))
    assert np.isnan(lost["gRMSE"][0]) and lost["gRMSE"][1] == 10.0
    hidden = points.point_scores(points.point_sums([np.nan, 100.0], [np.nan, 90.0]))
    assert hidden["MAE"].tolist() == [10.0]
    zero = points.point_scores(points.point_sums([0.0, 100.0], [20.0, 90.0]))
    assert zero["MARD"].tolist() == [10.0] and zero["MAE"].tolist() == [15.0]


@pytest.mark.parametrize(
    ("group", "groups", "said"),
    [
        (None, 2, "pass group, int"),
        ([0, 1], None, "wanted group, int"),
        ([0], 2, "for 2 windows"),
        ([0.0, 1.0], 2, "float64 of shape"),
        ([0, 2], 2, "wanted 0 to 1, as there are 2"),
        ([-1, 0], 2, "from -1 to 0"),
    ],
)
def test_wrong_groups(group: list[float] | None, groups: int | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        points.point_sums([1.0, 2.0], [1.0, 2.0], group, groups)


def test_wrong_shapes_and_sums() -> None:
    with pytest.raises(ValueError, match=r"reference of shape \(2,\) and a prediction of shape \(3,\); wanted two arrays of one shape"):
        points.point_sums([1.0, 2.0], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="wanted the same, from one function"):
        arrays.add({"n": np.ones(1)}, {"m": np.ones(1)})
