"""An error grid as areas and lines to be drawn, taken from the function that classifies: what is drawn is what is counted.

All edges of these grids are straight, so the lines they lie on cut the plane into pieces of one zone each. The pieces are found by
arithmetic of fractions, and the function is asked once in the middle of each; neighbours of one zone are put together. A line that a grid
has no edge on does no harm, one that is lacking does: the tests count a lattice of points in each area.

Axes: reference r and prediction p, mg/dL, from 0 to the grid's end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import UsageError, suggest
from harness_results.glucose.error_grids import LOWER, UPPER, Chain, clarke, parkes

__all__ = ["GRIDS", "Area", "Grid", "Segment", "areas", "edges", "grid"]

Zone = Callable[[Any, Any], NDArray[np.uint8]]
Line = tuple[int, int, int]
"""(a, b, c) of a·r + b·p = c; b = 0 is upright."""
Point = tuple[Fraction, Fraction]
Segment = tuple[Point, Point]


@dataclass(frozen=True)
class Grid:
    """An error grid: its name as in the scores, where its axes end, who published it, its zones and the lines of their edges."""

    name: str
    end: int
    about: str
    zone: Zone
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Area:
    """A piece of one zone: at each r of `at`, p runs from `low` to `high`; straight between."""

    zone: int
    at: tuple[Fraction, ...]
    low: tuple[Fraction, ...]
    high: tuple[Fraction, ...]

    @property
    def size(self) -> Fraction:
        """(mg/dL)²."""
        heights = [high - low for low, high in zip(self.low, self.high, strict=True)]
        return sum(
            ((b - a) * (one + two) / 2 for (a, b), (one, two) in zip(pairwise(self.at), pairwise(heights), strict=True)), Fraction(0)
        )


_CLARKE: tuple[Line, ...] = (
    *((1, 0, r) for r in (70, 130, 180, 240, 290)),
    *((0, 1, p) for p in (70, 180)),
    (3, 0, 175),
    *((6, -5, 0), (4, -5, 0)),  # 20 % off
    (-1, 1, 110),  # C above the diagonal
    (7, -5, 910),  # C below it
)


def _chains(kind: int) -> tuple[Line, ...]:
    chains: list[Chain] = [*UPPER[kind].values(), *LOWER[kind].values()]
    starts = [line for chain in chains for line in ((1, 0, chain[0][0]), (0, 1, chain[0][1]))]
    return (*starts, *(line for chain in chains for part in pairwise(chain) for line in (_through(*part), (1, 0, part[0][0]))))


def _through(one: tuple[int, int], other: tuple[int, int]) -> Line:
    (x0, y0), (x1, y1) = one, other
    return y1 - y0, x0 - x1, (y1 - y0) * x0 - (x1 - x0) * y0


def _clarke(convention: str) -> Grid:
    about = f"Clarke et al. 1987, edges as in {convention}"
    return Grid(f"Clarke[{convention}]", 400, about, lambda r, p: clarke(r, p, convention), _CLARKE)


def _parkes(kind: int) -> Grid:
    return Grid(f"Parkes[{kind}]", 550, f"Parkes et al. 2000, type {kind} diabetes", lambda r, p: parkes(r, p, kind), _chains(kind))


GRIDS = {made.name: made for made in (*map(_clarke, ("ega", "error-grids", "codina")), _parkes(1), _parkes(2))}


def grid(name: str) -> Grid:
    """The grid of a name, in letters of any case; "" = the first. Raises UsageError where there is none."""
    known = {key.casefold(): made for key, made in GRIDS.items()}
    if not name:
        return next(iter(GRIDS.values()))
    if name.casefold() not in known:
        raise UsageError(f"got the grid {name!r}; wanted one of {', '.join(GRIDS)}.{suggest(name, GRIDS)}")
    return known[name.casefold()]


def areas(of: Grid) -> list[Area]:
    """The pieces that make up the grid, without gap or overlap."""
    done: list[Area] = []
    open_: list[Area] = []
    for left, right in pairwise(_stops(of)):
        found = []
        for low, high, zone in _strip(of, left, right):
            before = [a for a in open_ if a.zone == zone and (a.low[-1], a.high[-1]) == (low[0], high[0])]
            if before:
                open_.remove(before[0])
                grown = before[0]
                found.append(Area(zone, (*grown.at, right), (*grown.low, low[1]), (*grown.high, high[1])))
            else:
                found.append(Area(zone, (left, right), low, high))
        done, open_ = done + open_, found
    return [_without_middles(area) for area in done + open_]


def edges(of: Grid) -> list[Segment]:
    """The lines between zones: each separates two of them along its whole length."""
    stops = _stops(of)
    strips = [_strip(of, left, right) for left, right in pairwise(stops)]
    found: list[Segment] = []
    for (left, right), strip in zip(pairwise(stops), strips, strict=True):
        found += [((left, low[0]), (right, low[1])) for low, _, _ in strip[1:]]
    for at, before, after in zip(stops[1:-1], strips, strips[1:], strict=False):
        found += [((at, low), (at, high)) for low, high in _differing(before, after)]
    return _joined(found)


Piece = tuple[tuple[Fraction, Fraction], tuple[Fraction, Fraction], int]
"""Of a strip between two r: p at both sides of its lower and of its upper edge, and its zone."""


def _stops(of: Grid) -> list[Fraction]:
    """The r at which something may change: where two of the lines meet, one meets the frame, or one stands upright."""
    lines = (*of.lines, (0, 1, 0), (0, 1, of.end))
    found = {Fraction(0), Fraction(of.end)}
    for n, (a, b, c) in enumerate(lines):
        if not b:
            found.add(Fraction(c, a))
        for d, e, f in lines[:n]:
            if b and e and (across := a * e - d * b):
                found.add(Fraction(c * e - f * b, across))
    return sorted(r for r in found if 0 <= r <= of.end)


def _strip(of: Grid, left: Fraction, right: Fraction) -> list[Piece]:
    """The pieces between two neighbouring stops, from below, those of one zone put together."""
    middle = (left + right) / 2
    rising = {(0, 1, 0), (0, 1, of.end), *(line for line in of.lines if line[1] and 0 < _height(line, middle) < of.end)}
    by_height = {_height(line, middle): line for line in rising}  # two that are one line have one height
    order = [by_height[p] for p in sorted(by_height)]
    centres = [(_height(a, middle) + _height(b, middle)) / 2 for a, b in pairwise(order)]
    zones = of.zone(np.full(len(centres), float(middle)), np.array([float(p) for p in centres])).tolist()
    pieces: list[Piece] = []
    for (a, b), zone in zip(pairwise(order), zones, strict=True):
        low = (_height(a, left), _height(a, right))
        if pieces and pieces[-1][2] == zone:
            low = pieces.pop()[0]
        pieces.append((low, (_height(b, left), _height(b, right)), int(zone)))
    return pieces


def _height(line: Line, r: Fraction) -> Fraction:
    a, b, c = line
    return (c - a * r) / b


def _differing(before: Sequence[Piece], after: Sequence[Piece]) -> list[tuple[Fraction, Fraction]]:
    """Where two strips that meet have different zones: parts of their common side."""
    sides = [(low[1], high[1], zone) for low, high, zone in before], [(low[0], high[0], zone) for low, high, zone in after]
    marks = sorted({p for side in sides for low, high, _ in side for p in (low, high)})
    found: list[tuple[Fraction, Fraction]] = []
    for low, high in pairwise(marks):
        one, two = (next(zone for a, b, zone in side if a <= low and high <= b) for side in sides)
        if one != two:
            found.append((low, high))
    return found


def _joined(found: Sequence[Segment]) -> list[Segment]:
    """The same with segments put together that go on in one direction."""
    whole: list[Segment] = []
    for begin, end in sorted(found):
        for n, (first, last) in enumerate(whole):
            if last == begin and _in_line(first, last, end):
                whole[n] = (first, end)
                break
        else:
            whole.append((begin, end))
    return whole


def _in_line(a: Point, b: Point, c: Point) -> bool:
    return (b[0] - a[0]) * (c[1] - b[1]) == (c[0] - b[0]) * (b[1] - a[1])


def _without_middles(area: Area) -> Area:
    """The same without points at which neither edge bends."""
    kept = [0]
    for n in range(1, len(area.at) - 1):
        corners = [[(area.at[k], side[k]) for k in (kept[-1], n, n + 1)] for side in (area.low, area.high)]
        if not all(_in_line(*three) for three in corners):
            kept.append(n)
    kept.append(len(area.at) - 1)
    return Area(area.zone, *(tuple(side[n] for n in kept) for side in (area.at, area.low, area.high)))
