"""A network that can forecast, trained here or read from a folder, with what belongs to it.

Axes: N windows, T context, Q quantile levels, H horizon. A forecast is deterministic: its quantiles are those of the distribution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PatchTSTForPrediction

from harness import Batch, Forecast, Unsupported, UsageError
from harness.forecast import F32, F64
from harness.quantiles import INTERVAL
from harness.threads import one_thread
from harness_patchtst.network import ROWS, head, mean_of, outputs, quantiles_of, save
from harness_patchtst.windows import Constant, Mask, standardise

__all__ = ["Fact", "Forecaster", "scaling_of"]

Fact = float | str | list[int] | list[float]
"""Something that a receipt tells of a training."""

FORMAT = "harness-patchtst/1"
MOST_BLOCKS = 4
"""A horizon may be this many times that of the head."""
LARGEST = float(np.finfo(np.float32).max)


class Forecaster:
    """Forecasts windows with a network.

    Args:
        network: as `network.build`, `adapt` or `load` returns it.
        constant: the scale of constant windows.
        least: no quantile lies below it; None is no bound.
        origin: facts about how it came to be, for `harness.json` and the receipt.
    """

    def __init__(
        self, network: PatchTSTForPrediction, constant: Constant, least: float | None = None, origin: Mapping[str, Fact] | None = None
    ) -> None:
        self.network, self.constant, self.least, self.origin = network, constant, least, dict(origin or {})
        self.notes: dict[str, Fact] = dict(self.origin)

    @property
    def horizon(self) -> int:
        """Steps of the head."""
        return int(self.network.config.prediction_length)

    @one_thread()
    def predict(self, batch: Batch) -> Forecast:
        """Quantiles [N, Q, H] at the asked levels and at those of the interval score, with mean [N, H]; points from a point head.

        A horizon longer than the head's is forecast in blocks, each from the medians of those before it. The distance of a quantile from
        the median then grows as that of a sum of independent errors: its square is that within the block plus that at the end of the
        block before.

        Raises:
            Unsupported: the horizon is more than four times that of the head.
        """
        blocks = math.ceil(batch.horizon / self.horizon)
        if blocks > MOST_BLOCKS:
            raise Unsupported(
                f"patchtst: a head of {self.horizon} steps forecasts {MOST_BLOCKS * self.horizon} at most, and the task asks for "
                f"{batch.horizon}; train one for it: --mode finetune or --mode full"
            )
        if blocks > 1:
            self.notes["blocks"] = blocks
        asked = batch.quantile_levels
        # gluonts takes the interval's levels from the distribution where there is one; else they would be extrapolated.
        extra = [q for q in INTERVAL if np.abs(asked - q).min() > 1e-6]
        levels = np.sort(np.append(asked, extra))
        quantiles = np.empty((len(batch), len(levels), batch.horizon), np.float32)
        mean = np.empty((len(batch), batch.horizon), np.float32)
        context = int(self.network.config.context_length)
        lowest = -LARGEST if self.least is None else self.least
        values, mask = batch.padded(context, fill=0)  # [N, T]
        mask &= np.isfinite(values)
        for low in range(0, len(batch), ROWS):
            rows = slice(low, min(low + ROWS, len(batch)))
            q, m = self._rows(values[rows], mask[rows], batch.horizon, levels)
            quantiles[rows] = np.clip(q, lowest, LARGEST)
            mean[rows] = np.clip(m, lowest, LARGEST)
        if not head(self.network):
            return Forecast.from_points(mean)
        return Forecast.from_quantiles(quantiles, levels, mean)

    def _rows(self, values: F32, mask: Mask, horizon: int, levels: F64) -> tuple[F64, F64]:
        """Quantiles [n, Q, H] and means [n, H] of at most `ROWS` contexts [n, T]."""
        quantiles: list[F64] = []
        means: list[F64] = []
        seen, past = mask, values.astype(np.float64)  # [n, T]
        before = np.zeros((len(values), len(levels), 1))  # [n, Q, 1] signed squares of the distances at the end of the last block
        for _ in range(math.ceil(horizon / self.horizon)):
            q, median, mean = self._block(past, seen, levels)
            distance = q - median[:, None, :]
            square = np.sign(distance) * distance**2 + before
            if quantiles:  # the first block stays as it is, to the last bit
                q = median[:, None, :] + np.sign(square) * np.sqrt(np.abs(square))
            quantiles.append(q)
            means.append(mean)
            before = square[:, :, -1:]
            past = np.concatenate([past, median], axis=1)[:, -past.shape[1] :]
            seen = np.concatenate([seen, np.ones(median.shape, np.bool_)], axis=1)[:, -past.shape[1] :]
        return np.concatenate(quantiles, axis=2)[:, :, :horizon], np.concatenate(means, axis=1)[:, :horizon]

    @torch.no_grad()
    def _block(self, past: F64, seen: Mask, levels: F64) -> tuple[F64, F64, F64]:
        """Quantiles [n, Q, h], medians and means [n, h] of the h steps of the head. A point head gives the point for each of them."""
        scaled, loc, scale = standardise(past, seen, scaling_of(self.network), self.constant)
        rows = np.zeros((ROWS, past.shape[1]), np.float32)
        rows[: len(past)] = scaled
        device = self.network.device
        parts = [p[: len(past)].cpu().numpy() for p in outputs(self.network, torch.from_numpy(rows).to(device))]
        kind = head(self.network)
        if not kind:
            point = loc[:, None] + scale[:, None] * parts[0].astype(np.float64)
            return np.repeat(point[:, None], len(levels), axis=1), point, point
        both = quantiles_of(kind, parts, np.append(levels, 0.5), loc, scale)
        return both[:, :-1], both[:, -1], mean_of(kind, parts, loc, scale)

    def save(self, folder: str | Path) -> Path:
        """Write config.json, model.safetensors and harness.json; `-M patchtst:weights=FOLDER` reads them. Returns the folder."""
        extra = {"format": FORMAT, "constant": asdict(self.constant), "least": self.least, "origin": self.origin}
        save(self.network, extra, folder)
        return Path(folder)

    @classmethod
    def read(cls, network: PatchTSTForPrediction, extra: Mapping[str, Any]) -> Forecaster:
        """The forecaster that `save` wrote; one without bounds where another wrote the folder.

        Raises:
            UsageError: harness.json is there and is not what `save` writes.
        """
        if not extra:
            return cls(network, Constant())
        try:
            if extra["format"] != FORMAT:
                raise ValueError(f"its format is {extra['format']!r}")
            constant = Constant(**{name: float(value) for name, value in extra["constant"].items()})
            least = None if extra["least"] is None else float(extra["least"])
            if not all(math.isfinite(x) and x >= 0 for x in (constant.relative, constant.absolute)) or not math.isfinite(least or 0):
                raise ValueError("its numbers are not finite, or negative")
            origin = {str(k): v for k, v in extra["origin"].items() if isinstance(v, int | float | str | list)}
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise UsageError(f"patchtst: harness.json is not what save() of this version ({FORMAT}) writes: {error!r}") from None
        return cls(network, constant, least, origin)


def scaling_of(network: PatchTSTForPrediction) -> str:
    """How contexts are scaled, by the library's words in config.json: "std", "mean" or "none"."""
    scaling = network.config.scaling
    return "mean" if scaling is True or scaling == "mean" else "std" if scaling == "std" else "none"
