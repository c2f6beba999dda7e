"""Quantile scores: beside plain loops, the core's metrics, and what calibrated forecasts must have."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from harness import Forecast
from harness.quantiles import to_quantiles
from harness.types import DECILES
from harness_results.glucose import arrays, distributions

F64 = NDArray[np.float64]


def made(n: int = 40, h: int = 5, seed: int = 0) -> tuple[F64, F64]:
    """References [N, H], some missing, and deciles [N, 9, H]."""
    rng = np.random.default_rng(seed)
    reference = rng.normal(140, 40, (n, h))
    quantiles = np.sort(rng.normal(140, 40, (n, 9, h)), axis=1).astype(np.float32).astype(np.float64)
    reference[rng.random((n, h)) < 0.2] = np.nan
    return reference, quantiles


def scores(reference: F64, quantiles: F64, levels: tuple[float, ...] = DECILES) -> dict[str, float]:
    found = distributions.quantile_scores(distributions.quantile_sums(reference, quantiles, levels), levels)
    return {name: float(value[0]) for name, value in found.items()}


def test_a_plain_loop_gives_the_same() -> None:
    reference, quantiles = made()
    losses, hits, size = [], np.zeros(9), []
    inside: dict[int, list[bool]] = {50: [], 80: []}
    width: dict[int, list[float]] = {50: [], 80: []}
    for i, t in zip(*np.nonzero(~np.isnan(reference)), strict=True):
        y, at = reference[i, t], quantiles[i, :, t]
        losses.append([level * (y - q) if y >= q else (1 - level) * (q - y) for level, q in zip(DECILES, at, strict=True)])
        hits += y <= at
        size.append(abs(y))
        for share, (a, b) in {50: (0.25, 0.75), 80: (0.1, 0.9)}.items():
            low, high = np.interp([a, b], DECILES, at)
            inside[share].append(bool(low <= y <= high))
            width[share].append(high - low)
    n = len(losses)
    expected = {
        "n": n,
        "pinball": np.mean(losses),
        "WQL": np.mean([2 * sum(row[k] for row in losses) / sum(size) for k in range(9)]),
        "coverage[50]": np.mean(inside[50]),
        "sharpness[50]": np.mean(width[50]),
        "coverage[80]": np.mean(inside[80]),
        "sharpness[80]": np.mean(width[80]),
        "MACE": np.mean(np.abs(hits / n - DECILES)),
    }
    assert scores(reference, quantiles) == pytest.approx(expected, rel=1e-12)


def test_calibrated_forecasts_have_the_coverage_they_should() -> None:
    rng = np.random.default_rng(2)
    reference = rng.uniform(0, 1, (200, 100))
    quantiles = np.broadcast_to(np.array(DECILES)[:, None], (200, 9, 100))
    found = scores(reference, quantiles)
    assert found["coverage[50]"] == pytest.approx(0.5, abs=0.01) and found["coverage[80]"] == pytest.approx(0.8, abs=0.01)
    assert found["sharpness[50]"] == pytest.approx(0.5) and found["sharpness[80]"] == pytest.approx(0.8)
    assert found["MACE"] < 0.005
    assert found["pinball"] == pytest.approx(np.mean([t * (1 - t) / 2 for t in DECILES]), rel=0.02)


@pytest.mark.parametrize("levels", [(0.05, 0.2, 0.5, 0.8, 0.95), (0.25, 0.5, 0.75), (0.1, 0.25, 0.75, 0.9), (0.4, 0.6)])
def test_edges_are_the_quantiles_of_the_core(levels: tuple[float, ...]) -> None:
    quantiles = np.sort(np.random.default_rng(3).normal(140, 40, (20, len(levels), 3)), axis=1).astype(np.float32)
    for share in distributions.INTERVALS:
        wanted = [0.5 - share / 200, 0.5 + share / 200]
        expected, _ = to_quantiles(Forecast.from_quantiles(quantiles, levels), wanted)
        low, high = distributions.interval(quantiles.astype(np.float64), np.array(levels), share / 100)
        np.testing.assert_allclose(np.stack([low, high], axis=1), expected, rtol=1e-5)


def test_one_level_has_no_interval() -> None:
    found = scores(np.array([[100.0]]), np.array([[[90.0]]]), (0.5,))
    assert found["pinball"] == 5.0 and found["WQL"] == 0.1 and found["MACE"] == 0.5
    assert np.isnan(found["coverage[50]"]) and np.isnan(found["sharpness[80]"])


def test_edges_belong_to_the_interval_and_crossing_ones_are_put_in_order() -> None:
    both = np.array([[[90.0, 110.0], [110.0, 90.0]]])
    found = scores(np.array([[90.0, 110.0]]), both, (0.1, 0.9))
    assert found["coverage[80]"] == 1.0 and found["sharpness[80]"] == 20.0


def test_blocks_and_patients_add_up() -> None:
    reference, quantiles = made()
    patient = np.random.default_rng(4).integers(0, 3, 40)
    total = None
    for a in range(0, 40, 6):
        part = slice(a, a + 6)
        total = arrays.add(total, distributions.quantile_sums(reference[part], quantiles[part], DECILES, patient[part], 4))
    assert total is not None
    found = distributions.quantile_scores(total, DECILES)
    for each in range(3):
        alone = scores(reference[patient == each], quantiles[patient == each])
        assert {name: float(value[each]) for name, value in found.items()} == pytest.approx(alone, rel=1e-12)
    assert all(np.isnan(value[3]) for name, value in found.items() if name != "n")
    pooled = distributions.quantile_scores(arrays.pooled(total), DECILES)
    assert {name: float(value[0]) for name, value in pooled.items()} == pytest.approx(scores(reference, quantiles), rel=1e-12)


def test_no_windows_at_all() -> None:
    sums = distributions.quantile_sums(np.empty((0, 4)), np.empty((0, 9, 4)), DECILES, np.empty(0, np.int64), 2)
    assert sums["pinball"].tolist() == [[0.0] * 9] * 2
    assert all(np.isnan(value).all() for name, value in distributions.quantile_scores(sums, DECILES).items() if name != "n")


def test_missing_quantiles_are_not_passed_over() -> None:
    quantiles = np.full((1, 9, 2), np.nan)
    lost = scores(np.array([[100.0, 120.0]]), quantiles)
    assert lost.pop("n") == 2 and all(np.isnan(value) for value in lost.values())
    quantiles[:, :, 0] = np.arange(91, 100)
    assert scores(np.array([[100.0, np.nan]]), quantiles)["sharpness[80]"] == 8.0


@pytest.mark.parametrize(
    ("reference", "quantiles", "levels"),
    [((3,), (3, 2, 1), [0.1, 0.9]), ((3, 1), (3, 2, 2), [0.1, 0.9]), ((3, 1), (3, 2, 1), [0.9, 0.1]), ((3, 1), (3, 2, 1), [0.5])],
)
def test_wrong_shapes(reference: tuple[int, ...], quantiles: tuple[int, ...], levels: list[float]) -> None:
    with pytest.raises(ValueError, match=r"wanted \[N, H\], \[N, Q, H\] and Q rising levels"):
        distributions.quantile_sums(np.zeros(reference), np.zeros(quantiles), levels)
