"""Error grids: published counts, other packages where they are installed, and what must hold of zones whatever the convention."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from glucose_kit import real_pairs
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness_results.glucose.error_grids import CLARKE, NONE, PARKES, clarke, parkes, zone_counts, zone_shares

F64 = NDArray[np.float64]
EITHER = [(kind, convention) for kind in (1, 2) for convention in PARKES]
EVERY: list[Callable[[Any, Any], NDArray[np.uint8]]] = [
    *(lambda r, p, c=c: clarke(r, p, c) for c in CLARKE),
    *(lambda r, p, k=k, c=c: parkes(r, p, k, c) for k, c in EITHER),
]


def lattice(step: int = 5, top: int = 400) -> tuple[F64, F64]:
    """Whole numbers from 20, those on which lines begin and bend among them; steps of 5 alone are the 5,929 points of the notes."""
    at = np.arange(20.0, top + 1, step)
    r, p = np.meshgrid(at, at, indexing="ij")
    return r.ravel(), p.ravel()


@pytest.mark.parametrize(
    ("convention", "counts"),
    [("error-grids", [3647, 1167, 52, 190, 16]), ("ega", [3657, 1166, 53, 180, 16]), ("codina", [3661, 1155, 52, 188, 16])],
)
def test_clarke_on_real_pairs(convention: str, counts: list[int]) -> None:
    assert zone_counts(clarke(*real_pairs(), convention)).tolist() == [counts]


@pytest.mark.parametrize(
    ("kind", "convention", "counts"),
    [
        (1, "polygons", [3913, 947, 163, 47, 2]),  # methcomp has 162 C and 48 D: one pair lies between its lower D line and this one
        (2, "polygons", [4376, 550, 115, 29, 2]),  # methcomp's
        (1, "error-grids", [3913, 944, 166, 47, 2]),  # error-grids'
        (2, "error-grids", [4399, 527, 115, 29, 2]),
    ],
)
def test_parkes_on_real_pairs(kind: int, convention: str, counts: list[int]) -> None:
    assert zone_counts(parkes(*real_pairs(), kind, convention)).tolist() == [counts]


def test_conventions_differ_on_lines_alone_but_for_the_end_of_c() -> None:
    r, p = np.random.default_rng(0).uniform(1, 650, (2, 20_000))
    assert np.array_equal(clarke(r, p, "codina"), clarke(r, p, "error-grids"))
    apart = clarke(r, p, "codina") != clarke(r, p, "ega")
    assert apart.any() and (r[apart] > 290).all() and (p[apart] > r[apart] + 110).all()


def by_hand(r: float, p: float, convention: str) -> int:
    """One point by plain comparisons, first zone that fits."""
    error, low, high = abs(r - p), 7 * (r - 130), r + 110
    if convention == "ega":
        if (r <= 70 and p >= 180) or (r >= 180 and p <= 70):
            return 4
        if 5 * error <= r or (r < 70 and p < 70):
            return 0
        if (130 <= r <= 180 and 5 * p < low) or (r > 70 and p > 180 and p > high):
            return 2
        return 3 if (r < 70 or r > 240) and 70 <= p < 180 else 1
    if (5 * error < r or (r < 70 and p < 70)) if convention == "error-grids" else (5 * error <= r or (r <= 70 and p <= 70)):
        return 0
    if (r <= 70 and p >= 180) or (r >= 180 and p <= 70):
        return 4
    upper_or_lower = (70 <= r <= 290 and p >= high) or (130 <= r <= 180 and 5 * p <= low)
    if convention == "codina" and upper_or_lower:
        return 2
    if 70 <= p <= 180 and (r >= 240 or (r <= 70 and (convention == "error-grids" or 3 * r <= 175 or 5 * p >= 6 * r))):
        return 3
    return 2 if upper_or_lower else 1


@pytest.mark.parametrize("convention", CLARKE)
def test_clarke_by_plain_comparisons(convention: str) -> None:
    r, p = lattice()
    assert len(r) == 5929
    expected = [by_hand(*pair, convention) for pair in zip(r.tolist(), p.tolist(), strict=True)]
    assert clarke(r, p, convention).tolist() == expected


def inside(polygon: list[tuple[float, float]], r: F64, p: F64) -> NDArray[np.bool_]:
    """Whether points lie within a polygon, by counting the edges to their right; for points on no edge."""
    odd = np.zeros(r.shape, np.bool_)
    for (x0, y0), (x1, y1) in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        if y0 != y1:
            crosses = (p < y0) != (p < y1)
            odd ^= crosses & (r < x0 + (p - y0) * (x1 - x0) / (y1 - y0))
    return odd


# The zones of type 1 and 2 as closed polygons up to 550 mg/dL, from the figures' vertices, mildest first.
POLYGONS: dict[int, list[tuple[int, list[tuple[float, float]]]]] = {
    1: [
        (1, [(50, 0), (50, 30), (170, 145), (385, 300), (550, 450), (550, 0)]),
        (1, [(0, 50), (30, 50), (140, 170), (280, 380), (430, 550), (0, 550)]),
        (2, [(120, 0), (120, 30), (260, 130), (550, 250), (550, 0)]),
        (2, [(0, 60), (30, 60), (50, 80), (70, 110), (260, 550), (0, 550)]),
        (3, [(250, 0), (250, 40), (550, 150), (550, 0)]),
        (3, [(0, 100), (25, 100), (50, 125), (80, 215), (125, 550), (0, 550)]),
        (4, [(0, 150), (35, 155), (50, 550), (0, 550)]),
    ],
    2: [
        (1, [(50, 0), (50, 30), (90, 80), (330, 230), (550, 450), (550, 0)]),
        (1, [(0, 50), (30, 50), (230, 330), (440, 550), (0, 550)]),
        (2, [(90, 0), (260, 130), (550, 250), (550, 0)]),
        (2, [(0, 60), (30, 60), (280, 550), (0, 550)]),
        (3, [(250, 0), (250, 40), (410, 110), (550, 160), (550, 0)]),
        (3, [(0, 80), (25, 80), (35, 90), (125, 550), (0, 550)]),
        (4, [(0, 200), (35, 200), (50, 550), (0, 550)]),
    ],
}


@pytest.mark.parametrize("kind", [1, 2])
def test_parkes_by_polygons(kind: int) -> None:
    r, p = np.random.default_rng(kind).uniform(0, 550, (2, 20_000))
    expected = np.zeros(r.shape, np.uint8)
    for zone, polygon in POLYGONS[kind]:
        expected[inside(polygon, r, p)] = zone
    assert np.array_equal(parkes(r, p, kind), expected)
    assert set(expected.tolist()) == {0, 1, 2, 3, 4}


def test_points_on_a_line_of_parkes() -> None:
    on = [(30, 50), (85, 110), (140, 170), (430, 550), (50, 30), (50, 10), (170, 145), (550, 450), (10, 50)]  # between A and B, type 1
    r, p = np.array(on, float).T
    assert parkes(r, p).tolist() == [0] * len(on)
    sloping = [0, 1, 1, 0, 0, 0, 1, 0, 0]  # 430 and 550 lie beyond a bend; level and upright parts are milder in both conventions
    assert parkes(r, p, convention="error-grids").tolist() == sloping
    out = np.where(p > r, 1.0, -1.0)
    assert parkes(r + np.array([0, 0, 0, 0, 1, 1, 0, 0, 0]), p + out * 0.01).tolist() == [1] * len(on)


@pytest.mark.parametrize("kind", [1, 2])
def test_parkes_beyond_the_figure(kind: int) -> None:
    last = {1: ((280, 380), (430, 550)), 2: ((230, 330), (440, 550))}[kind]
    (x0, y0), (x1, y1) = last
    far = 5000.0
    edge = y0 + (far - x0) * (y1 - y0) / (x1 - x0)
    assert parkes([far, far, far], [edge - 1, edge + 1, far], kind).tolist() == [0, 1, 0]
    assert parkes([2000.0, 10.0], [10.0, 2000.0], kind).tolist() == [3, 4]


def test_error_grids_where_it_is_installed() -> None:
    oracle = pytest.importorskip("error_grids", reason="pip install error-grids==0.1.0 compares with it")
    plain = np.array([0, 1, 1, 2, 2, 3, 3, 4, 4])
    r, p = lattice(step=20, top=660)
    theirs = plain[oracle.clarke_error_zone_detailed(r, p)]
    apart = theirs != clarke(r, p, "error-grids")
    assert np.array_equal(5 * p[apart], 7 * (r[apart] - 130))  # its line of C has rounding errors
    for kind in (1, 2):
        assert np.array_equal(plain[oracle.parkes_error_zone_detailed(r, p, kind)], parkes(r, p, kind, "error-grids"))


def test_methcomp_where_it_is_installed() -> None:
    oracle = pytest.importorskip("methcomp", reason="pip install methcomp==1.0.0 compares with it")
    r, p = lattice(step=20, top=540)
    apart = np.array(oracle.clarkezones(r, p, "mgdl", numeric=True)) != clarke(r, p)
    assert apart.any() and (((p == 70) & (r > 240)) | ((r == 180) & (p < 70)))[apart].all()
    for kind in (1, 2):
        ours = parkes(r, p, kind)
        apart = np.array(oracle.parkeszones(kind, r, p, "mgdl", numeric=True)) != ours
        sliver = (kind == 1) & (r > 250) & (p < 160) & (ours == 2)  # below its lower D line, above the published one
        on_line = (parkes(r, p + 1e-9, kind) != ours) | (parkes(r, p - 1e-9, kind) != ours)  # where its far vertices have rounding errors
        assert not (apart & ~sliver & ~on_line).any() and (apart & on_line).sum() <= 1


@pytest.mark.parametrize("zones", EVERY)
def test_zones_cover_the_plane(zones: Callable[[Any, Any], NDArray[np.uint8]]) -> None:
    r, p = np.random.default_rng(5).uniform(-50, 900, (2, 5000))
    codes = zones(r, p)
    assert codes.dtype == np.uint8 and codes.shape == r.shape and codes.max() <= 4
    assert zone_counts(codes).sum() == len(r)
    assert np.array_equal(codes, zones(np.maximum(r, 0), np.maximum(p, 0)))  # below 0 is 0
    assert zones([100.0], [np.inf]).tolist()[0] >= 2


@given(st.floats(1, 1000))
def test_a_perfect_prediction_is_a(glucose: float) -> None:
    assert all(zones([glucose], [glucose]).tolist() == [0] for zones in EVERY)


@given(st.integers(88, 600), st.integers(0, 100))
def test_clarkes_a_is_symmetric_about_the_diagonal_above_the_low_corner(r: int, off: int) -> None:
    for convention in CLARKE:  # from 87.5 on, 20 % below is no longer below 70
        up, down = clarke([r, r], [r + off, max(r - off, 0)], convention)
        assert (up == 0) == (down == 0) == (5 * off < r or (5 * off == r and convention != "error-grids"))


def test_the_low_corner_of_clarke_is_a_square() -> None:
    r, p = np.random.default_rng(6).uniform(0, 69.9, (2, 1000))
    for convention in CLARKE:
        assert not clarke(r, p, convention).any()


@given(st.integers(1, 600), st.integers(0, 600))
def test_parkes_grows_worse_away_from_the_diagonal(r: int, off: int) -> None:
    for kind, convention in EITHER:
        zones = parkes([r] * 4, [r, r + off, r + off + 7, r + off + 60], kind, convention)
        below = parkes([r] * 4, [r, max(r - off, 0), max(r - off - 7, 0), max(r - off - 60, 0)], kind, convention)
        assert sorted(zones) == zones.tolist() and sorted(below) == below.tolist()


def test_missing_references_have_no_zone_and_patients_are_kept_apart() -> None:
    reference = np.array([[100.0, np.nan], [100.0, 60.0]])
    codes = clarke(reference, [[101.0, np.nan], [160.0, 200.0]])
    assert codes.tolist() == [[0, NONE], [1, 4]]
    counts = zone_counts(codes, [1, 0], 3)
    assert counts.tolist() == [[0, 1, 0, 0, 1], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    shares = zone_shares(counts)
    assert shares[:2].sum(axis=1).tolist() == [100.0, 100.0] and np.isnan(shares[2]).all()
    assert zone_counts(parkes(np.empty((0, 4)), np.empty((0, 4)))).tolist() == [[0.0] * 5]


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: clarke([1.0], [1.0], "egas"), r"wanted one of ega, codina, error-grids\. Did you mean 'ega'\?"),
        (lambda: parkes([1.0], [1.0], 3), "got the kind 3 of diabetes; wanted 1 or 2"),
        (lambda: parkes([1.0], [1.0], 1, "methcomp"), "wanted one of polygons, error-grids"),
        (lambda: clarke([1.0, 2.0], [1.0]), "wanted two arrays of one shape"),
        (lambda: parkes([1.0, np.nan], [np.nan, 1.0]), "NaN at 1 of 1 points that have a reference"),
    ],
)
def test_errors_say_what_is_wanted(call: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        call()


def test_conventions_on_the_lattice_of_the_notes() -> None:
    r, p = lattice()
    zones = {convention: clarke(r, p, convention) for convention in CLARKE}
    apart = {(a, b): int((zones[a] != zones[b]).sum()) for a, b in itertools.combinations(CLARKE, 2)}
    assert apart == {("ega", "codina"): 134, ("ega", "error-grids"): 143, ("codina", "error-grids"): 41}


def test_the_counts_of_other_packages_on_the_lattice() -> None:
    r, p = lattice()
    zones = {
        "error-grids 0.1.0, Clarke": (clarke(r, p, "error-grids"), [1242, 1710, 1025, 962, 990]),
        "error-grids 0.1.0, Parkes 1": (parkes(r, p, 1, "error-grids"), [1437, 1907, 1520, 842, 223]),
        "error-grids 0.1.0, Parkes 2": (parkes(r, p, 2, "error-grids"), [1909, 1509, 1566, 768, 177]),
        "methcomp 1.0.0, Parkes 2": (parkes(r, p, 2), [1871, 1550, 1567, 764, 177]),
        "methcomp 1.0.0, Clarke, but for 42 on edges of E": (clarke(r, p), [1267, 1803, 990 - 10, 921 - 32, 948 + 42]),
    }
    for name, (codes, counts) in zones.items():
        assert zone_counts(codes).tolist() == [counts], name
