"""Chronos (T5): tokens of scaled values, continued by sampling. Imports chronos, torch and transformers.

Axes: N windows, S samples, H horizon, K tokens of the vocabulary, R = n · S rows that are sampled together.

The library draws each token from torch's global stream, so a window's samples depend on what was drawn before it. Here sample s of a window
takes at step h the token at which the cumulative probabilities, in the order of the tokens, first exceed u[h, s]; u comes from the window's
seed alone. That is a draw from the same distribution, after the library's own temperature, top-k and top-p. Beyond 64 steps the library
appends the median of the samples to the context and goes on.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from typing import Any

import chronos.chronos
import numpy as np
import torch
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from harness import Batch, Forecast
from harness.forecast import F32, F64, I64
from harness.quantiles import INTERVAL, to_quantiles
from harness.threads import one_thread
from harness_chronos.contexts import chunks, count, filled, rows_of, unscaled
from harness_chronos.settings import beyond

__all__ = ["ChronosT5", "Draws", "own_draws"]

LOG = logging.getLogger(chronos.chronos.__file__)


class ChronosT5:
    """Sample paths of a T5 network.

    Args:
        pipeline: the library's `ChronosPipeline`.
        context: steps of history that are looked at.
        num_samples: S.
        rows: windows at a time.
        temperature, top_k, top_p: how tokens are drawn; None is what the weights say.
        quantiles: return the asked levels, and those of the interval score, in the place of samples.
    """

    def __init__(
        self,
        pipeline: Any,
        context: int,
        num_samples: int,
        rows: int = 1,
        temperature: float | None = None,
        top_k: int | None = None,
        top_p: float | None = None,
        quantiles: bool = False,
    ) -> None:
        self.pipeline, self.context, self.num_samples, self.rows = pipeline, context, num_samples, rows
        self.sampling = {"temperature": temperature, "top_k": top_k, "top_p": top_p}
        self.quantiles = quantiles
        self.notes: dict[str, object] = {}

    @one_thread()
    def predict(self, batch: Batch) -> Forecast:
        """Sample paths [N, S, H]; zeros for a context without a value."""
        rows = rows_of(batch.contexts, self.context)
        count(rows, self.notes)
        samples = np.zeros((len(batch), self.num_samples, batch.horizon), np.float32)
        observed = np.flatnonzero(rows.lengths)
        for index, width in self._parts(rows.lengths[observed]):
            some = observed[index]
            x = filled(rows.cut(some, width), self.rows)  # [r, T]
            u = filled(uniforms(batch.seeds[some], batch.horizon, self.num_samples), self.rows)  # [r, H, S]
            samples[some] = unscaled(self._sample(x, u)[: len(some)], rows.exponent[some])
        forecast = Forecast.from_samples(samples)
        if not self.quantiles:
            return forecast
        levels = np.unique(np.append(batch.quantile_levels, INTERVAL))
        return Forecast.from_quantiles(*_as_quantiles(forecast, levels))

    def _parts(self, lengths: I64) -> Iterator[tuple[I64, int]]:
        """Windows that run together, by their places, and their width: one by one they need no more than their own length."""
        if self.rows == 1:
            yield from ((np.array([k]), length) for k, length in enumerate(lengths.tolist()))
        else:
            yield from ((index, width) for index, width, _ in chunks(lengths, self.rows))

    def _sample(self, x: F32, u: F64) -> F32:
        """Paths [r, S, H] of contexts [r, T] by draws [r, H, S]."""
        network, trained, horizon = self.pipeline.model.model, self.pipeline.model_prediction_length, u.shape[1]
        devices = [network.device] if network.device.type == "cuda" else []
        with own_draws(network, torch.from_numpy(u)), beyond(self.notes, horizon, trained, LOG), torch.random.fork_rng(devices):
            paths = self.pipeline.predict(torch.from_numpy(x), horizon, self.num_samples, **self.sampling)
        found: F32 = paths.numpy()
        return found


def uniforms(seeds: Any, horizon: int, samples: int) -> F64:
    """Numbers in [0, 1) by the seeds of windows [n]: [n, H, S]. The first steps are the same for every horizon."""
    return np.stack([np.random.default_rng(seed).random((horizon, samples)) for seed in seeds])


def _as_quantiles(forecast: Forecast, levels: F64) -> tuple[F32, F64, F32]:
    values, mean = to_quantiles(forecast, levels)
    return values, levels, mean


class Draws(LogitsProcessor):
    """Leaves one token of each row: the one that the row's number of this step names.

    Args:
        u: numbers in [0, 1), [n, H, S].
    """

    def __init__(self, u: Tensor) -> None:
        self.u = u.permute(1, 0, 2).reshape(u.shape[1], -1)  # [H, R]: the library repeats each window S times
        self.step = 0
        self.warpers = LogitsProcessorList()

    def begin(self, config: GenerationConfig) -> None:
        """Take over how a call draws, in the order of transformers."""
        warpers: list[LogitsProcessor] = []
        if config.temperature not in (None, 1.0):
            warpers.append(TemperatureLogitsWarper(float(config.temperature)))
        if config.top_k:
            warpers.append(TopKLogitsWarper(config.top_k))
        if config.top_p is not None and config.top_p < 1:
            warpers.append(TopPLogitsWarper(config.top_p))
        self.warpers = LogitsProcessorList(warpers)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores [R, K] that are -inf but for one token of each row."""
        cumulative = self.warpers(input_ids, scores).double().softmax(-1).cumsum(-1)  # [R, K]
        total = cumulative[:, -1:]
        wanted = self.u[self.step].to(scores.device)[:, None] * total
        # Rounding must not reach the total: no token is beyond it.
        token = torch.searchsorted(cumulative, torch.minimum(wanted, total.nextafter(torch.zeros_like(total))), right=True)
        self.step += 1
        return torch.full_like(scores, -torch.inf).scatter_(1, token, 0.0)


@contextlib.contextmanager
def own_draws(network: Any, u: Tensor) -> Iterator[Draws]:
    """While this lasts, `network.generate` draws by the numbers [n, H, S]: step h of all its calls together by `u[:, h]`."""
    draws = Draws(u)
    library: Callable[..., Tensor] = type(network).generate

    def generate(**options: Any) -> Tensor:
        draws.begin(options["generation_config"])
        # Behind these stand the library's own warpers, which leave a distribution of one token as it is.
        return library(network, logits_processor=LogitsProcessorList([draws]), **options)

    network.generate = generate
    try:
        yield draws
    finally:
        del network.generate
