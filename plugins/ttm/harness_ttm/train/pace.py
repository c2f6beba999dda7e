"""How many steps fit into a time: measured on a trainer that is thrown away, so that the training is a function of its recipe alone."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from harness_ttm.synthetic import mixture
from harness_ttm.train.loop import Trainer
from harness_ttm.train.recipe import Recipe
from harness_ttm.train.validate import Validation

__all__ = ["Pace", "measure"]

WARM, MEASURED = 3, 10
FEWEST = 10
USED = 0.97  # of the time; the rest is for what is written at the end


@dataclass(frozen=True)
class Pace:
    """Seconds: before the second step, of each step, of making series per step, of each validation; and what measuring took."""

    first: float
    step: float
    series: float
    validation: float
    measured: float

    def steps(self, seconds: float, recipe: Recipe) -> int:
        """Steps that fit into so many seconds, the measuring included; at least `FEWEST`."""
        each = self.step + self.series + (self.validation / recipe.validate_every if recipe.validate_every else 0.0)
        rest = USED * seconds - self.measured - self.first - (2 * self.validation if recipe.validate_every else 0.0)
        return max(int(rest / each), FEWEST)


def measure(recipe: Recipe, device: str, rank: int = 0, world: int = 1) -> Pace:
    """Take some steps and see how long they last."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        probe = Trainer(replace(recipe, steps=WARM + MEASURED), Path(folder) / "probe", device, rank, world)
        batches = probe.batches.ahead(0, pin=device != "cpu")
        for _ in range(WARM):
            probe.one_step(batches)
        first = time.perf_counter() - begun
        for _ in range(MEASURED):
            probe.one_step(batches)
        step = (time.perf_counter() - begun - first) / MEASURED
    data = recipe.data
    now = time.perf_counter()
    mixture(recipe.seed, 0, data.chunk, data.length, data.weights)
    pools = max(len(probe.shards) / data.workers, 1) if data.workers else len(probe.shards)  # that one process keeps filled
    series = (time.perf_counter() - now) * pools / data.steps_per_chunk
    now = time.perf_counter()
    if recipe.validate_every:
        Validation(recipe).scores(probe.averaged(), probe.levels)
    validation = time.perf_counter() - now
    return Pace(first, step, series, validation, time.perf_counter() - begun)
