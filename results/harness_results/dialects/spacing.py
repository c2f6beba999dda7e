"""How far apart the windows of a cell begin, which tells how many of them one forecast reaches over. Axis: N windows."""

from __future__ import annotations

import numpy as np

from harness.dialects import Forecasts

__all__ = ["spacing"]


def spacing(forecasts: Forecasts) -> int:
    """The smallest distance between two windows of one series, in steps; 1 where no series has two.

    >>> made = Forecasts.from_arrays([np.arange(9.0)], [0, 0, 0], [3, 5, 7], np.zeros((3, 1, 2)), [0.5], freq="D")
    >>> spacing(made)
    2
    """
    order = np.lexsort((forecasts.cut, forecasts.channel))
    apart = np.diff(np.asarray(forecasts.cut)[order])[np.diff(np.asarray(forecasts.channel)[order]) == 0]
    apart = apart[apart > 0]
    return int(apart.min()) if len(apart) else 1
