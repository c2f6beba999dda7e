"""Batches: what a shard brings to a step, made in between or ahead of time by processes of their own.

A shard's part of a batch is a function of (recipe, shard, step) alone, so nothing depends on who makes it, nor on what was made before.

Axes: n windows of a shard, F future patches.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from harness_ttm.train.augment import warp
from harness_ttm.train.real import Corpus, load_corpora, put_real
from harness_ttm.train.recipe import Recipe
from harness_ttm.train.windows import Pool, make_windows, network_inputs

__all__ = ["Arrays", "Batches", "Stream", "future_patches"]

Arrays = dict[str, Tensor]

SYNTHETIC, REAL, WARP = 1, 7, 8
"""Second part of the seeds [seed, part, shard, step] of the three generators of a batch."""


class Stream:
    """The windows of one shard."""

    def __init__(self, recipe: Recipe, shard: int, corpora: list[Corpus] | None = None) -> None:
        data = recipe.data
        self.recipe, self.shard = recipe, shard
        self.pool = Pool(recipe.seed, shard, data.chunk, data.length, data.chunks, data.weights)
        self.corpora = load_corpora(data.real) if corpora is None else corpora
        augment = data.augment
        self.warps = any((augment.scaling, augment.time_warp, augment.magnitude_warp))

    def batch(self, step: int) -> Arrays:
        """The shard's part of the batch of a step."""
        recipe, data = self.recipe, self.recipe.data
        self.pool.advance(step // data.steps_per_chunk)
        rng = self._rng(SYNTHETIC, step)
        n = recipe.batch // data.shards
        windows = make_windows(self.pool, rng, n, data.history, recipe.model.max_horizon, data.augment)
        if self.corpora:
            put_real(windows, self.corpora, self._rng(REAL, step), data.augment)
        if self.warps:
            warp(windows, self._rng(WARP, step), data.augment)
        patches = future_patches(rng, n, recipe.patches, recipe.model.max_horizon // recipe.model.patch_length)
        arrays = network_inputs(windows, patches, recipe.model.context_length, recipe.model.patch_length)
        return {name: torch.from_numpy(array) for name, array in arrays.items()}

    def _rng(self, part: int, step: int) -> np.random.Generator:
        return np.random.default_rng([self.recipe.seed, part, self.shard, step])


def future_patches(rng: np.random.Generator, n: int, count: int, most: int) -> NDArray[np.int64]:
    """Numbers of future patches [n, count]: one near, the others spread over the logarithm of the distance, one in each stratum."""
    edges = np.exp(np.linspace(np.log(1), np.log(most), count))  # 1 … most
    low = np.concatenate([[0], np.floor(edges[:-1])])
    high = np.maximum(np.concatenate([[2], np.floor(edges[1:])]), low + 1)
    patches: NDArray[np.int64] = np.minimum((low + rng.random((n, count)) * (high - low)).astype(np.int64), most - 1)
    return patches


class Batches(Dataset[Arrays]):
    """The batches of a process's S shards in turn: number i is shard i % S of step i // S. A shard is opened when first asked for."""

    def __init__(self, recipe: Recipe, shards: list[int], corpora: list[Corpus] | None = None) -> None:
        self.recipe, self.shards, self.corpora = recipe, shards, corpora
        self.streams: dict[int, Stream] = {}

    def __len__(self) -> int:
        return self.recipe.steps * len(self.shards)

    def __getitem__(self, number: int) -> Arrays:
        step, place = divmod(number, len(self.shards))
        shard = self.shards[place]
        if shard not in self.streams:
            self.streams[shard] = Stream(self.recipe, shard, self.corpora)
        return self.streams[shard].batch(step)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "streams": {}, "corpora": None}  # a worker maps the files itself

    def ahead(self, step: int, pin: bool) -> Iterator[Arrays]:
        """All batches from a step on, in their order.

        With `data.workers` they come from processes through shared memory. Batch i is made by process i modulo their number, so
        each process holds the pools of few shards; where there are more processes than shards, a pool is made more than once.

        Args:
            pin: copy to pinned memory, for a GPU.
        """
        numbers = range(step * len(self.shards), len(self))
        workers = min(self.recipe.data.workers, len(numbers))
        if not workers and not pin:
            return (self[number] for number in numbers)
        loader = DataLoader(
            self,
            batch_size=None,
            sampler=numbers,
            num_workers=workers,
            pin_memory=pin,
            prefetch_factor=4 if workers else None,
            multiprocessing_context="spawn" if workers else None,  # a fork of a process with threads may hang
        )
        return iter(loader)
