"""Error grids as areas, lines and pictures: what is drawn is what the functions count."""

from __future__ import annotations

import doctest
from collections import defaultdict
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from harness.dialects import Forecasts
from harness.errors import NothingMatched, UsageError
from harness_results.direction import pictures
from harness_results.glucose import picture
from harness_results.glucose.error_grids import zone_counts, zone_shares
from harness_results.glucose.regions import GRIDS, areas, edges, grid


@pytest.mark.parametrize("name", GRIDS)
def test_areas_fill_the_grid_and_hold_one_zone_each(name: str) -> None:
    """A lattice that no line passes through: every point is in one area, and the function gives it that area's zone."""
    of = grid(name)
    made = areas(of)
    assert sum(area.size for area in made) == of.end**2  # exactly, in fractions
    points = (np.arange(311) + 0.3717) * of.end / 311
    r, p = np.meshgrid(points, points, indexing="ij")
    drawn = np.full(r.shape, 99)
    for area in made:
        at = np.array([float(x) for x in area.at])
        low, high = (np.interp(r, at, [float(y) for y in side]) for side in (area.low, area.high))
        inside = (r > at[0]) & (r < at[-1]) & (p > low) & (p < high)
        assert (drawn[inside] == 99).all()
        drawn[inside] = area.zone
    np.testing.assert_array_equal(drawn, of.zone(r, p))


@pytest.mark.parametrize("name", GRIDS)
def test_every_line_parts_two_zones_along_its_whole_length(name: str) -> None:
    of = grid(name)
    lines = edges(of)
    assert len(set(lines)) == len(lines) > 5
    for (x0, y0), (x1, y1) in lines:
        along = np.linspace(0.03, 0.97, 25)
        r, p = float(x0) + along * float(x1 - x0), float(y0) + along * float(y1 - y0)
        length = np.hypot(float(x1 - x0), float(y1 - y0))
        off = 1e-6 * np.array([-float(y1 - y0), float(x1 - x0)]) / length  # to the left of the line
        left, right = of.zone(r + off[0], p + off[1]), of.zone(r - off[0], p - off[1])
        assert (left != right).all(), ((x0, y0), (x1, y1))


def test_known_corners_of_clarkes_grid_are_ends_of_lines() -> None:
    ends = {point for line in edges(grid("Clarke[ega]")) for point in line}
    corners = {(70, 180), (240, 70), (240, 180), (180, 70), (70, 56), (Fraction(175, 3), 70), (130, 0), (290, 400)}
    assert corners <= ends


def test_names_of_grids() -> None:
    assert grid("").name == "Clarke[ega]"
    assert grid("PARKES[2]").end == 550
    with pytest.raises(UsageError, match=r"got the grid 'parkes\[3\]'; wanted one of .*Did you mean"):
        grid("parkes[3]")


def made(windows: int, patients: int = 3, seed: int = 0) -> Forecasts:
    """Forecasts of 2 steps after 5 values; one label is missing."""
    rng = np.random.default_rng(seed)
    series = rng.uniform(40, 420, (windows, 7)).astype(np.float32)
    series[0, 6] = np.nan
    ahead = np.maximum(series[:, None, 5:] + rng.normal(0, 40, (windows, 1, 2)), 1) * np.ones((1, 3, 1))
    ahead[0] = 100.0
    return Forecasts.from_arrays(list(series), np.arange(windows), np.full(windows, 5), ahead, [0.1, 0.5, 0.9], freq="5T")


@pytest.mark.parametrize("windows", [40, 4000])
def test_the_picture_says_what_the_scores_say(windows: int) -> None:
    given = made(windows)
    drawn = picture.draw("error-grid", {"m": given, "other": given}, "clarke[codina]")
    reference, prediction, patient = picture.last_step(given)
    assert np.isnan(reference[0]) and len(set(patient.tolist())) == windows
    of = grid("Clarke[codina]")
    shares = zone_shares(zone_counts(of.zone(reference, prediction), patient, windows))
    wanted = np.nanmean(shares, axis=0)
    told = drawn["title"]["subtitle"][1]
    assert told == "mean over patients: " + " · ".join(f"{letter} {share:.1f} %" for letter, share in zip("ABCDE", wanted, strict=True))
    layers: dict[str, Any] = {layer["data"]["name"]: layer["data"]["values"] for layer in drawn["layer"]}
    inside = int((np.isfinite(reference) & (reference <= 400) & (prediction <= 400)).sum())
    assert inside < windows - 1
    assert f"{windows - 1:,} forecasts at step 2, {windows - 1 - inside:,} of them beyond 400 mg/dL" in drawn["title"]["subtitle"][0]
    if "points" in layers:
        assert len(layers["points"]) == inside
    else:
        assert sum(row["count"] for row in layers["squares"]) == inside
        totals: dict[tuple[int, int], int] = defaultdict(int)
        for r, p in zip(reference.tolist(), prediction.tolist(), strict=True):
            if r <= 400 and p <= 400:
                totals[min(int(r // 4), 99), min(int(p // 4), 99)] += 1
        assert {(round(row["r"] / 4), round(row["p"] / 4)): row["count"] for row in layers["squares"]} == totals
    assert ("points" in layers) == (windows <= picture.POINTS)


def test_without_references_there_is_no_picture() -> None:
    series = [np.array([100, 100, np.nan], np.float32)]
    given = Forecasts.from_arrays(series, [0], [2], np.full((1, 3, 1), 100.0), [0.1, 0.5, 0.9])
    with pytest.raises(NothingMatched, match="none of the 1 labels of m is there"):
        picture.draw("error-grid", {"m": given}, "")


def test_a_curve_of_events_and_false_alarms() -> None:
    assert doctest.testmod(pictures).failed == 0
    rng = np.random.default_rng(1)
    p, y = rng.random(5000).round(2), np.where(rng.random(5000) < 0.02, np.nan, rng.random(5000) < 0.4)
    false, found = pictures.roc(p, y)
    known = np.isfinite(y)
    pairs = p[known & (y == 1)][:, None] - p[known & (y == 0)][None, :]
    area = (pairs > 0).mean() + 0.5 * (pairs == 0).mean()
    assert float(((found[1:] + found[:-1]) / 2 * np.diff(false)).sum()) == pytest.approx(area, abs=1e-12)
    assert len(pictures.roc(rng.random(5000), y)[0]) <= pictures.MOST + 1


def test_forecasts_of_values_alone_have_no_such_picture() -> None:
    with pytest.raises(NothingMatched, match="kept without the probability of an event"):
        pictures.draw("roc", {"m": made(5)}, "")
    with pytest.raises(UsageError, match="got --grid x for the picture roc"):
        pictures.draw("roc", {"m": made(5)}, "x")
