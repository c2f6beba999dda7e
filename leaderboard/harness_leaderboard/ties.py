"""What follows from pairwise comparisons: the places that they allow, and letters for models that cannot be told apart."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["LETTERED", "letters", "places"]

LETTERED = 30
"""Most models that get letters; more have too many groups to be read (121 published models: hundreds); there places serve."""


def places(apart: NDArray[np.int8], ranked: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """([M] best, [M] worst) place of each model that its comparisons allow, among those `ranked`; 0 for the others."""
    among = apart[:, ranked]
    best = 1 + (among < 0).sum(axis=1)
    worst = ranked.sum() - (among > 0).sum(axis=1)
    return np.where(ranked, best, 0), np.where(ranked, worst, 0)


def letters(apart: NDArray[np.int8], order: Sequence[int]) -> list[str]:
    """[M] letters: models that share one cannot be told apart, models that share none can. "" for those not in `order`.

    Piepho's insert-and-absorb: begin with one group of all; each pair that is told apart splits the groups that hold both; a group inside
    another is dropped. Letters follow `order` (the best model has an a); after z come aa, ab, …
    """
    position = {model: i for i, model in enumerate(order)}
    groups = [(1 << len(order)) - 1] if order else []  # sets of positions, as bits
    for i, a in enumerate(order):
        for b in (order[j] for j in range(i + 1, len(order)) if apart[a, order[j]]):
            both = (1 << i) | (1 << position[b])
            split = [group for group in groups if group & both == both]
            if split:
                parts = {group & ~(1 << k) for group in split for k in (i, position[b])}
                groups = _absorbed([group for group in groups if group & both != both], sorted(parts))
    names = {}
    # By the first model of each group, then the second, …: reading the bits from the lowest.
    for number, group in enumerate(sorted(groups, key=lambda group: f"{group:0{len(order)}b}"[::-1], reverse=True)):
        names[group] = _letter(number)
    return ["".join(_spaced([names[g] for g in names if g >> position[m] & 1])) if m in position else "" for m in range(len(apart))]


def _absorbed(kept: list[int], new: list[int]) -> list[int]:
    """Groups with the new ones that lie in no other."""
    groups = list(kept)
    for i, group in enumerate(new):
        if not any(group & other == group for other in groups) and not any(group & other == group for other in new[i + 1 :]):
            groups.append(group)
    return groups


def _letter(number: int) -> str:
    """0 is a, 25 z, 26 aa."""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("a") + rest) + text
    return text


def _spaced(names: list[str]) -> list[str]:
    return names if all(len(name) == 1 for name in names) else [" ".join(names)]
