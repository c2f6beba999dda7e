"""The quantile loss of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["pinball"]


def pinball(gap: NDArray[Any], levels: NDArray[Any]) -> NDArray[Any]:
    """max(q · gap, (q − 1) · gap), with gap = observed − forecast; `levels` q of a shape that broadcasts against it.

    >>> pinball(np.array([2.0, -2.0]), np.array([0.9, 0.9])).round(1).tolist()
    [1.8, 0.2]
    """
    loss: NDArray[Any] = np.maximum(levels * gap, (levels - 1) * gap)
    return loss
