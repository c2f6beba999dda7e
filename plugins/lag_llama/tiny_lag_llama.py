"""Small networks with random weights for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from harness_lag_llama.network import Network, Shape

TINY = Shape(layers=1, heads=2, head_width=4, lags=(0, 1, 3, 7), context=8)


def made(shape: Shape = TINY, seed: int = 7, scale: float = 1.0) -> Network:
    """A network with weights drawn by numpy, so that another torch draws the same; those of norms are of size `scale`."""
    rng = np.random.default_rng(seed)
    network = Network(shape)
    drawn: dict[str, Any] = {}
    for name, value in network.state_dict().items():
        size = scale if name.endswith(".scale") else 0.3
        drawn[name] = torch.from_numpy(rng.normal(0, size, value.shape).astype(np.float32))
    network.load_state_dict(drawn)
    return network.eval()
