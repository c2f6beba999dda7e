"""What Chronos-2 attends over together: the series of an item, and its covariates, as the library's prepared inputs.

Axes: N windows, V variates, C covariates of an item, T context, H horizon.

An item is one window, or with `joint` the windows of one group. A series or covariate without an observed value before the cutoff is left
out: the library would make up a scale for it. Rows are aligned at the cutoff; NaN is missing, and the horizon of what is not known.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from harness import Batch
from harness.forecast import I64
from harness_chronos.contexts import Rows, rows_of

__all__ = ["Item", "Parts", "parts_of"]


@dataclass(frozen=True, eq=False)
class Item:
    """One item: its windows [V], and which covariates it has."""

    windows: I64
    past: tuple[int, ...] = ()
    known: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Rows of the network."""
        return len(self.windows) + len(self.past) + len(self.known)


@dataclass(frozen=True, eq=False)
class Parts:
    """The rows of a batch: those of the series, and of each covariate."""

    target: Rows
    past: tuple[Rows, ...]
    known: tuple[Rows, ...]
    group: I64

    def items(self, joint: bool) -> Iterator[Item]:
        """The items in the order of their first windows; windows without a value are in none."""
        observed = np.flatnonzero(self.target.lengths)
        if not joint:
            together = [observed[k : k + 1] for k in range(len(observed))]
        else:
            _, first, which = np.unique(self.group[observed], return_index=True, return_inverse=True)
            order = np.argsort(which, kind="stable")
            members = np.split(observed[order], np.flatnonzero(np.diff(which[order])) + 1) if len(observed) else []
            together = [members[k] for k in np.argsort(first)]
        for windows in together:
            one = int(windows[0])  # the windows of a group have the same covariates
            past = tuple(k for k, rows in enumerate(self.past) if rows.lengths[one])
            known = tuple(k for k, rows in enumerate(self.known) if rows.lengths[one])
            yield Item(windows, past, known)

    def length(self, item: Item) -> int:
        """Steps T from the first observed value of any of an item's rows."""
        one = int(item.windows[0])
        covariates = [int(self.past[k].lengths[one]) for k in item.past] + [int(self.known[k].lengths[one]) for k in item.known]
        return max(int(self.target.lengths[item.windows].max()), *covariates, 0)

    def context(self, item: Item) -> Tensor:
        """The past [V + C, T] of an item: series, covariates known so far, those known beforehand; the library wants that order."""
        width, one = self.length(item), item.windows[:1]
        rows = [self.target.cut(item.windows, width)]
        rows += [self.past[k].cut(one, width) for k in item.past] + [self.known[k].cut(one, width) for k in item.known]
        return torch.from_numpy(np.concatenate(rows))

    def future(self, item: Item, horizon: int) -> Tensor:
        """What is known of the horizon [V + C, H], NaN where nothing is."""
        ahead = np.full((item.size, horizon), np.nan, np.float32)
        for row, k in enumerate(item.known, item.size - len(item.known)):
            ahead[row] = self.known[k].future(item.windows[:1])[0, :horizon]
        return torch.from_numpy(ahead)


def prepared(context: Tensor, future: Tensor, item: Item) -> dict[str, Any]:
    """An input as `chronos.chronos2.preprocess` makes it of a dictionary with the same covariates."""
    covariates = len(item.past) + len(item.known)
    return {
        "context": context,
        "future_covariates": future,
        "n_targets": len(item.windows),
        "n_covariates": covariates,
        "n_future_covariates": len(item.known),
    }


def parts_of(batch: Batch, limit: int | None, covariates: bool) -> Parts:
    """The rows of a batch.

    Args:
        batch: stays as it is.
        limit: steps of history that are looked at; None is all.
        covariates: False leaves them out.
    """
    past = tuple(rows_of(rows, limit) for rows in batch.past_covariates) if covariates else ()
    known = tuple(rows_of(rows, limit, batch.horizon) for rows in batch.known_covariates) if covariates else ()
    return Parts(rows_of(batch.contexts, limit), past, known, batch.group)
