"""The model that the harness knows: its parameters, forecasts, and training. torch is imported when one is made.

Axes: N windows, S sample paths, H horizon, C context, L past steps (C and the longest lag).
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from harness import Batch, Forecast
from harness.budget import parse_budget
from harness.forecast import F32, F64
from harness.parameters import check_device, check_gpu, choice, positive, truth, whole
from harness.threads import one_thread
from harness.weights import weights_folder
from harness_lag_llama.cards import LONGEST, NAME, WEIGHTS

if TYPE_CHECKING:
    from harness_lag_llama.network import Network

__all__ = ["LagLlama"]

MISSING = "contexts all missing, forecast as 0"
ROPE = ("auto", "linear", "none")
GPU_TOKENS = 1 << 18
"""Tokens of all paths at a time on a GPU; a token takes some 8 kB while the network is at work."""


class LagLlama:
    """Lag-Llama: sample paths from a network that sees each step as a set of lagged values.

    Args:
        weights: the published lag-llama.ckpt, a folder with it, or a folder that `save` wrote; "" is the published one, once it was pulled.
        context: C, steps that the network attends to at first (it was trained on 32); 1092 steps more are seen as lags.
        num_samples: S, sample paths.
        rope: "linear" divides the positions by max(1, (C + H) / 32), as the authors do for longer contexts; "none" does not; "auto" is
            "linear" where the context is longer than that of the training.
        kv_cache: keep keys and values from step to step, as the authors' `use_kv_cache`; many times as fast, and other forecasts.
        learning_rate: the highest of a training.
        max_steps: of a training; `--budget` goes before it.
        device: cpu or cuda.
    """

    def __init__(
        self,
        weights: str = "",
        context: int = 32,
        num_samples: int = 100,
        rope: str = "auto",
        kv_cache: bool = False,
        learning_rate: float = 1e-4,
        max_steps: int = 100,
        device: str = "cpu",
    ) -> None:
        for name, value, most in (("context", context, LONGEST), ("num_samples", num_samples, 10_000), ("max_steps", max_steps, 10**6)):
            whole(NAME, name, value, most=most)
        choice(NAME, "rope", rope, ROPE)
        truth(NAME, "kv_cache", kv_cache)
        positive(NAME, "learning_rate", learning_rate, 1)
        check_device(NAME, device)
        path = weights_folder(weights, source=WEIGHTS, model=NAME)
        self.context, self.num_samples, self.rope, self.kv_cache = context, num_samples, rope, kv_cache
        self.learning_rate, self.max_steps, self.device = float(learning_rate), max_steps, device
        self.notes: dict[str, Any] = {}

        from harness_lag_llama.weights import load

        check_gpu(NAME, device)
        self.network: Network = load(path).to(device)

    @property
    def past(self) -> int:
        """L, steps before a forecast that count."""
        return self.context + max(self.network.shape.lags)

    def factor(self, horizon: int) -> float:
        """What rotary positions are divided by."""
        trained = self.network.shape.context
        if self.rope == "none" or (self.rope == "auto" and self.context <= trained):
            return 1.0
        return max(1.0, (self.context + horizon) / trained)

    @one_thread()
    def predict(self, batch: Batch) -> Forecast:
        """Sample paths [N, S, H].

        A missing value is 0 to the network, as in the original, and counts nowhere in the scaling. A context that is all missing is
        forecast as 0. The scaling of a window without an interquartile range is 1e-10, so that it is forecast as its median.
        """
        from harness_lag_llama.calendar import features

        out = np.zeros((len(batch), self.num_samples, batch.horizon), np.float32)
        values, seen = cleaned(*batch.padded(self.past, fill=0))  # [N, L]
        calendar = features(batch.starts, batch.freq, batch.contexts.lengths - self.context, self.context + batch.horizon)
        some = np.flatnonzero(seen.any(axis=1))
        if len(some) < len(batch):
            self.notes[MISSING] = self.notes.get(MISSING, 0) + len(batch) - len(some)
        rows = self._together(batch.horizon)
        for low in range(0, len(some), rows):
            chosen = some[low : low + rows]
            filled = np.resize(chosen, rows)  # always as many: the bits of a product depend on its size
            uniform = np.stack([self._uniform(seed, batch.horizon) for seed in batch.seeds[filled].tolist()])
            out[chosen] = self._paths(values[filled], seen[filled], calendar[filled], uniform)[: len(chosen)]
        return Forecast.from_samples(out)

    def _together(self, horizon: int) -> int:
        """Windows at a time. It follows from the sizes alone, so that a window's bits do."""
        return 1 if self.device == "cpu" else max(1, GPU_TOKENS // (self.num_samples * (self.context + horizon)))

    def _uniform(self, seed: int, horizon: int) -> F64:
        """[H, S, 2], above 0 and at most 1: the first steps' are the same for any horizon."""
        return 1 - np.random.default_rng(seed).random((horizon, self.num_samples, 2))

    def _paths(self, values: F32, seen: np.ndarray[Any, np.dtype[np.bool_]], calendar: F32, uniform: F64) -> F32:
        """Paths [W, S, H] of a few windows."""
        import torch

        from harness_lag_llama.sampling import sample_paths

        tensors = (torch.from_numpy(np.ascontiguousarray(a)).to(self.device) for a in (values, seen, calendar, uniform))
        paths: F32 = sample_paths(self.network, *tensors, self.factor(uniform.shape[1]), self.kv_cache).cpu().numpy()
        return paths

    @one_thread()
    def finetune(self, train: Batch, budget: str, seed: int, mode: str = "finetune") -> LagLlama:
        """A model trained on from these weights, on each series of `train`, in the modes finetune and few-shot; see `training`.

        Raises:
            UsageError: a budget that cannot be read.
        """
        from harness_lag_llama.training import Plan
        from harness_lag_llama.training import train as trained

        limit = parse_budget(budget)
        plan = Plan(limit.steps or self.max_steps, limit.seconds, self.learning_rate, self.context, self.factor(train.horizon))
        made = copy.copy(self)
        made.network, facts = trained(self.network, train, plan, seed)
        made.notes = {"mode": mode, **facts}
        return made

    def save(self, folder: Path) -> None:
        """Write config.json and model.safetensors, which the parameter `weights` takes."""
        from harness_lag_llama.weights import save

        save(self.network, Path(folder))


def cleaned(values: F32, seen: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[F32, np.ndarray[Any, np.dtype[np.bool_]]]:
    """Values within reach of float32's arithmetic, 0 where there is none, and which are there. Infinity is missing, too."""
    from harness_lag_llama.sampling import LARGEST

    seen = seen & np.isfinite(values)
    return np.clip(np.where(seen, values, np.float32(0)), -LARGEST, LARGEST).astype(np.float32), seen
