"""Forecasting with a season-fold network, whoever runs it (torch or onnxruntime): contexts in, quantiles out.

Axes: N windows, L history, F future patches, P steps of a patch, Q quantile levels, H horizon.

Rules:

- A context is cut to the newest `history_length` steps. Missing values are masked.
- A context whose observed values are all equal is forecast to stay there, at every level; one without any observed value is forecast as
  0.
- Quantiles are those of the network's levels; the harness interpolates others. The mean is the median.
- Where at least a twentieth of the context sits exactly on its lowest (highest) value, that is taken as a bound, and forecasts are
  clipped there.
- Beyond `max_horizon` the medians are appended to the context and forecast from again; the distance of a quantile from the median is then
  sqrt(own² + s²), s its mean distance over the last 24 steps of the block before.
- Rows run in groups of a fixed number, so that the same window has the same forecast, bit for bit, in any batch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from harness import Batch, Forecast
from harness_ttm.config import TTMConfig
from harness_ttm.seasons import GROUP, HINTS, fold, hints_of, prepare

__all__ = ["INPUTS", "Network", "SeasonForecaster", "torch_network"]

F32 = NDArray[np.float32]
INPUTS = ("z", "mask", "features", "candidates", "offsets")
"""What the network is given, in the order of its arguments."""
Network = Callable[[dict[str, F32]], F32]
"""{z, mask [R, T], features, candidates [R, F, K, P], offsets} → [R, F, P, Q]; R is a multiple of GROUP, at most ROWS."""
ROWS = 2 * GROUP
BUCKETS = (512, 1024, 2048, 4096)
CARRY = 24
LARGEST = float(np.finfo(np.float32).max)


class SeasonForecaster:
    """Quantile forecasts of every window of a batch.

    Args:
        network: runs groups of rows.
        config: of the network.
    """

    def __init__(self, network: Network, config: TTMConfig) -> None:
        self.network, self.config = network, config
        self.notes: dict[str, object] = {}
        self.levels = np.asarray(config.quantile_levels, np.float64)

    def predict(self, batch: Batch) -> Forecast:
        """Forecast a batch: quantiles [N, Q, H] in the unit of the context."""
        hints = hints_of(batch.freq, batch.season_length)
        return Forecast.from_quantiles(self.quantiles(list(batch), batch.horizon, hints), self.levels)

    def quantiles(self, contexts: list[F32], horizon: int, hints: NDArray[np.int64]) -> F32:
        """[N, Q, H] of contexts given one by one; `hints` [HINTS] periods to be tried."""
        config = self.config
        out = np.empty((len(contexts), len(self.levels), horizon), np.float32)
        most = config.history_length
        lengths = np.minimum([len(c) for c in contexts], most)
        widths = np.array([*(b for b in BUCKETS if b < most), most])
        bucket = np.searchsorted(widths, lengths)
        for b in np.unique(bucket):
            width = int(widths[b])
            rows = np.flatnonzero(bucket == b)
            for low in range(0, len(rows), ROWS):
                some = rows[low : low + ROWS]
                y = np.full((-(-len(some) // GROUP) * GROUP, width), np.nan, np.float32)
                for i, row in enumerate(some):
                    y[i, width - lengths[row] :] = contexts[row][-lengths[row] :]
                out[some] = self._group(y, horizon, hints)[: len(some)]
        return out

    def _group(self, y: F32, horizon: int, hints: NDArray[np.int64]) -> F32:
        """[R, L] → [R, Q, H]."""
        blocks: list[F32] = []
        carried = np.zeros((len(y), len(self.levels)))
        done = 0
        while done < horizon:
            steps = min(horizon - done, self.config.max_horizon)
            block = self._block(y, steps, hints)  # [R, Q, steps]
            middle = block[:, len(self.levels) // 2]
            apart = block - middle[:, None].astype(np.float64)  # squares of huge or tiny values stay in range
            if done:
                apart = np.sign(self.levels - 0.5)[None, :, None] * np.hypot(apart, carried[:, :, None])
                block = np.clip(middle[:, None] + apart, -LARGEST, LARGEST).astype(np.float32)
            blocks.append(block)
            done += steps
            if done >= horizon:
                break
            carried = np.abs(apart[:, :, -CARRY:]).mean(axis=2)
            y = self._longer(y, middle)
        return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=2)

    def _longer(self, y: F32, more: F32) -> F32:
        """[R, L] and [R, steps] as one history: of the next width that holds both, cut to `history_length`."""
        total, most = y.shape[1] + more.shape[1], self.config.history_length
        width = min(*(b for b in BUCKETS if b >= total), most) if total < most else most
        y = np.concatenate([y, more], axis=1)[:, -width:]
        return np.pad(y, ((0, 0), (width - y.shape[1], 0)), constant_values=np.nan)

    def _block(self, y: F32, steps: int, hints: NDArray[np.int64]) -> F32:
        config = self.config
        patch, detail = config.patch_length, config.context_length
        p = prepare(y, np.broadcast_to(hints, (len(y), HINTS)), detail)
        count = -(-steps // patch)
        patches = np.broadcast_to(np.arange(count), (len(y), count))
        candidates, offsets = fold(p, patches, patch)
        z, mask = p.z[:, -detail:], p.mask[:, -detail:].astype(np.float32)
        if z.shape[1] < detail:
            short = ((0, 0), (detail - z.shape[1], 0))
            z, mask = np.pad(z, short), np.pad(mask, short)
        arrays = {"z": z, "mask": mask, "features": p.features, "candidates": candidates, "offsets": offsets}
        raw = self.network({k: np.ascontiguousarray(v) for k, v in arrays.items()})  # [R, F, P, Q]
        q = raw.reshape(len(y), -1, len(self.levels))[:, :steps].transpose(0, 2, 1).copy()  # [R, Q, H]
        low, high = self._bounds(p.features)
        np.sinh(np.clip(q, low[:, None, None], high[:, None, None], out=q), out=q)
        spread = np.where(p.constant, 0.0, p.scale)
        value = q * spread[:, None, None]
        value += p.loc[:, None, None]
        return np.clip(value, -LARGEST, LARGEST, out=value).astype(np.float32)

    @staticmethod
    def _bounds(features: F32) -> tuple[F32, F32]:
        """Where to clip [R], [R]: where the context keeps to a lowest or highest value (features 12 to 15), else far away."""
        low = np.where(features[:, 14] >= 0.05, features[:, 12], np.float32(-10))
        high = np.where(features[:, 15] >= 0.05, features[:, 13], np.float32(10))
        return low, high


def torch_network(model: object, device: str = "cpu") -> Network:
    """A `SeasonTTM` as a `Network` on a device; on the CPU one thread at a time, since with three the bits of a row depended on its place.

    Raises:
        UsageError: torch does not have the device.
    """
    import torch

    from harness.threads import one_thread
    from harness_ttm.chunks import on_device

    assert isinstance(model, torch.nn.Module)
    network = on_device(model, device).eval()

    def run(arrays: dict[str, F32]) -> F32:
        rows = len(arrays["z"])
        # Always as many rows: the bits of a product depend on its shape.
        arrays = {k: np.pad(v, [(0, -rows % ROWS)] + [(0, 0)] * (v.ndim - 1)) if rows % ROWS else v for k, v in arrays.items()}
        with one_thread(), torch.inference_mode():
            out = network(*(torch.from_numpy(arrays[k]).to(device) for k in INPUTS))
        result: F32 = out[:rows].cpu().numpy()
        return result

    return run
