"""Error grids: which zone a pair of reference and prediction lies in, from A (no harm) to E (the opposite treatment). mg/dL, any shape.

Clarke's zones were published as a drawing (Clarke et al. 1987, Diabetes Care 10:622), so those who program them differ on the lines: three
conventions are in use. A result should name its own.

* "ega": the R package ega 2.0.0. 20 % off is A and the edges of E are E; all else ends before its line, but D begins at a prediction of 70.
  methcomp 1.0.0 (Python) differs on two edges of E: it has D at a prediction of 70 where the reference is above 240, and C below 70 where
  it is 180.
* "codina": the MATLAB script by E. Guevara Codina from which most copies on GitHub descend. All lines are inclusive, in the order A, E, C,
  D; and C above the diagonal ends at a reference of 290, where that of "ega" goes on.
* "error-grids": the Python package error-grids 0.1.0: as "codina", but the lines of A are not A.

Parkes' consensus grid (Parkes et al. 2000; vertices from Pfützner et al. 2013, J Diabetes Sci Technol 7:1275) has straight lines between
published vertices, for type 1 and type 2 diabetes; beyond 550 mg/dL the last lines go on. Two conventions:

* "polygons": those lines; a point on a line belongs to the milder zone. On pairs of data this is methcomp's `parkeszones`, but for one
  line: its lower D of type 1 is drawn to a point that is not on it.
* "error-grids": the package's. A point on a sloping line belongs to the severer zone; and it takes every line but a chain's last to have no
  end, which makes zone B smaller where a chain bends towards the diagonal: above 385 (type 1) and 330 (type 2) below it, above 280 and 230
  above it.

All comparisons are exact for whole numbers. Glucose below 0, which only a model can predict, counts as 0. The zones of the surveillance
error grid are a table of experts' scores and no lines: not here.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from harness.arithmetic import divide
from harness.errors import suggest
from harness.forecast import F64
from harness_results.glucose.arrays import Bool, complete, grouped, pair

__all__ = ["CLARKE", "NONE", "PARKES", "ZONES", "clarke", "parkes", "zone_counts", "zone_shares"]

U8 = NDArray[np.uint8]

ZONES = "ABCDE"
NONE = 255
"""The code of a point without a reference."""

CLARKE = ("ega", "codina", "error-grids")
PARKES = ("polygons", "error-grids")


def clarke(reference: ArrayLike, prediction: ArrayLike, convention: str = "ega") -> U8:
    """Clarke's zone of each point, uint8 of their shape: 0 = A to 4 = E, `NONE` where the reference is NaN.

    120 for 100 is 20 % off; 190 for a hypoglycaemia of 60 is E.

    >>> clarke([100, 60, 250], [120, 190, 150]).tolist(), clarke([100, 60], [120, 190], "error-grids").tolist()
    ([0, 4, 3], [1, 4])

    Raises:
        ValueError: an unknown convention; two shapes; a prediction that is NaN where there is a reference.
    """
    r, p, seen = _points(reference, prediction, convention, CLARKE)
    return _coded(seen, {"ega": _ega, "codina": _codina, "error-grids": _error_grids}[convention](r, p))


def _ega(r: F64, p: F64) -> U8:
    between = (p >= 70) & (p < 180)
    zone = np.where(((r < 70) | (r > 240)) & between, 3, 1)
    zone[((r >= 130) & (r <= 180) & (5 * p < 7 * (r - 130))) | ((r > 70) & (p > 180) & (p > r + 110))] = 2
    zone[(5 * np.abs(r - p) <= r) | ((r < 70) & (p < 70))] = 0
    zone[((r <= 70) & (p >= 180)) | ((r >= 180) & (p <= 70))] = 4
    return zone.astype(np.uint8)


def _codina(r: F64, p: F64) -> U8:
    between = (p >= 70) & (p <= 180)
    left = (3 * r <= 175) | ((r <= 70) & (5 * p >= 6 * r))
    zone = np.where(between & ((r >= 240) | left), 3, 1)
    zone[((r >= 70) & (r <= 290) & (p >= r + 110)) | ((r >= 130) & (r <= 180) & (5 * p <= 7 * (r - 130)))] = 2
    zone[((r >= 180) & (p <= 70)) | ((r <= 70) & (p >= 180))] = 4
    zone[(5 * np.abs(r - p) <= r) | ((r <= 70) & (p <= 70))] = 0
    return zone.astype(np.uint8)


def _error_grids(r: F64, p: F64) -> U8:
    between = (p >= 70) & (p <= 180)
    zone = np.where(((r >= 70) & (r <= 290) & (p >= r + 110)) | ((r >= 130) & (r <= 180) & (5 * p <= 7 * (r - 130))), 2, 1)
    zone[between & ((r >= 240) | (r <= 70))] = 3
    zone[((r >= 180) & (p <= 70)) | ((r <= 70) & (p >= 180))] = 4
    zone[(5 * np.abs(r - p) < r) | ((r < 70) & (p < 70))] = 0
    return zone.astype(np.uint8)


Chain = tuple[tuple[int, int], ...]

# (reference, prediction) of each line's vertices, mildest zone first. Up to the first one an upper line is level and a lower one upright.
UPPER: dict[int, dict[int, Chain]] = {
    1: {
        1: ((30, 50), (140, 170), (280, 380), (430, 550)),
        2: ((30, 60), (50, 80), (70, 110), (260, 550)),
        3: ((25, 100), (50, 125), (80, 215), (125, 550)),
        4: ((0, 150), (35, 155), (50, 550)),
    },
    2: {
        1: ((30, 50), (230, 330), (440, 550)),
        2: ((30, 60), (280, 550)),
        3: ((25, 80), (35, 90), (125, 550)),
        4: ((35, 200), (50, 550)),
    },
}
LOWER: dict[int, dict[int, Chain]] = {
    1: {
        1: ((50, 30), (170, 145), (385, 300), (550, 450)),
        2: ((120, 30), (260, 130), (550, 250)),
        3: ((250, 40), (550, 150)),
    },
    2: {
        1: ((50, 30), (90, 80), (330, 230), (550, 450)),
        2: ((90, 0), (260, 130), (550, 250)),
        3: ((250, 40), (410, 110), (550, 160)),
    },
}


def parkes(reference: ArrayLike, prediction: ArrayLike, kind: int = 1, convention: str = "polygons") -> U8:
    """Parkes' zone of each point, uint8 of their shape: 0 = A to 4 = E, `NONE` where the reference is NaN.

    The line between A and B passes (140, 170) for type 1; 170 is on it, 171 above it.

    >>> parkes([140, 140, 600], [170, 171, 100]).tolist(), parkes([140], [170], convention="error-grids").tolist()
    ([0, 1, 3], [1])

    Args:
        reference: mg/dL, any shape.
        prediction: the same.
        kind: of diabetes, 1 or 2; any without insulin is 2.
        convention: "polygons" or "error-grids", as above.

    Raises:
        ValueError: another kind or convention; two shapes; a prediction that is NaN where there is a reference.
    """
    if kind not in UPPER:
        raise ValueError(f"got the kind {kind!r} of diabetes; wanted 1 or 2")
    r, p, seen = _points(reference, prediction, convention, PARKES)
    zone = np.zeros(r.shape, np.uint8)
    endless = convention == "error-grids"
    for code, chain in LOWER[kind].items():
        zone[(r > chain[0][0]) & _beyond(r, p, chain, -1.0, endless)] = code
    for code, chain in UPPER[kind].items():
        level = p > chain[0][1] if chain[0][0] else r >= 0  # the chain that begins at the edge has no level part
        zone[level & _beyond(r, p, chain, 1.0, endless)] = code
    return _coded(seen, zone)


def _beyond(r: F64, p: F64, chain: Chain, side: float, endless: bool) -> Bool:
    """Whether points lie above (side 1) or below (side −1) a line through vertices, whose last part goes on for ever.

    `endless` is error-grids' rule: on the line counts, and all parts but the last reach to both sides.
    """
    beyond = np.ones(r.shape, np.bool_)
    last = len(chain) - 2
    for part, ((x0, y0), (x1, y1)) in enumerate(zip(chain[:-1], chain[1:], strict=True)):
        height = side * ((p - y0) * (x1 - x0) - (r - x0) * (y1 - y0))  # times x1 − x0: no division, so exact
        over = height >= 0 if endless else height > 0
        here = (r >= x0) if part == last else np.full(r.shape, True) if endless else (r >= x0) & (r < x1)
        beyond &= over | ~here
    return beyond


def _points(reference: ArrayLike, prediction: ArrayLike, convention: str, known: tuple[str, ...]) -> tuple[F64, F64, Bool]:
    """Checked, at least 0, and 100 for what is missing."""
    if convention not in known:
        raise ValueError(f"got the convention {convention!r}; wanted one of {', '.join(known)}.{suggest(convention, known)}")
    r, p, seen = pair(reference, prediction)
    complete(seen, p, "zones of an error grid")
    return np.maximum(np.where(seen, r, 100.0), 0.0), np.maximum(np.where(seen, p, 100.0), 0.0), seen


def _coded(seen: Bool, zone: U8) -> U8:
    return np.where(seen, zone, np.uint8(NONE))


def zone_counts(codes: U8, group: ArrayLike | None = None, groups: int | None = None) -> F64:
    """How many points of codes [N, ...] lie in A to E, apart for each patient: float64 [P, 5], to be added over blocks.

    >>> zone_counts(clarke([100, 100, np.nan], [101, 140, 90])).tolist()
    [[1.0, 1.0, 0.0, 0.0, 0.0]]
    """
    return np.stack([grouped(codes == code, group, groups) for code in range(len(ZONES))], axis=1)


def zone_shares(counts: F64) -> F64:
    """Percent of points in each zone, [P, 5]; NaN for a patient without points.

    >>> zone_shares(np.array([[3.0, 1.0, 0.0, 0.0, 0.0]])).tolist()
    [[75.0, 25.0, 0.0, 0.0, 0.0]]
    """
    shares: F64 = 100.0 * divide(counts, counts.sum(axis=1, keepdims=True))
    return shares
