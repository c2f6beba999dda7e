"""Chronos, Chronos-Bolt and Chronos-2, by their authors' library chronos-forecasting.

Notable choices:

- A window's forecast is the same bits in any batch. Bolt and Chronos-2 run on a fixed number of rows of a fixed width at a time; Chronos
  (T5) runs one window at a time, which costs little, since its samples make the batch; an item with several variates or covariates runs by
  itself, since the order in which attention adds its rows up would depend on their place.
- The samples of T5 are drawn from the window's own seed: the library's sampling is given a distribution that has one token left.
- Bolt and Chronos-2 return the levels that they were trained on, untouched; the harness makes others of them, and sorts what crosses.
- The library answers contexts without a value, and infinite ones, with numbers that mean nothing. They never reach it (`contexts`).
- Weights are read from a folder on this machine, all tensors of it and no others; nothing is fetched and no code of a file is run (`load`).

`cards` says what is known of each model, `factories` makes them. This module only registers: chronos and torch are imported when one is
made.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness import ModelInfo, hookimpl

__all__ = ["register_models"]


@hookimpl
def register_models(register: Callable[[ModelInfo, Callable[..., Any]], None]) -> None:
    """Register the published checkpoints, two more ways to use Chronos-2, and `chronos` for any folder of weights."""
    from harness_chronos import cards

    for info, make in cards.models():
        register(info, make)
