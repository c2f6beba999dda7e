"""Whether the values of a recipe fit together; each error says what was got, what is wanted, and what to change."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields

from harness import UsageError
from harness.errors import suggest
from harness.loggers import read_names
from harness_ttm.synthetic import FAMILIES
from harness_ttm.train.recipe import VALIDATION_SEED, Recipe

__all__ = ["check", "check_world"]

WORDS = {
    "optimizer.name": ("adamw", "adam", "sgd"),
    "schedule.name": ("wsd", "cosine", "restarts", "one_cycle", "plateau", "constant"),
    "loss.name": ("quantile", "mse", "mae", "huber", "mase"),
    "precision": ("float32", "bfloat16", "float16"),
}
POSITIVE = (
    "steps", "batch", "patches", "log_every", "checkpoint_every", "keep", "validation_windows", "max_skipped", "data.length",
    "data.history", "data.chunk", "data.chunks", "data.steps_per_chunk", "data.shards", "data.augment.shortest", "schedule.growth",
    "optimizer.learning_rate", "optimizer.clip", "loss.delta",
)  # fmt: skip
MOST = {
    "seed": 2**32, "steps": 10**9, "batch": 2**20, "validation_windows": 2**20, "data.length": 2**20, "data.history": 2**16,
    "optimizer.learning_rate": 100, "optimizer.weight_decay": 100, "optimizer.clip": 1e9, "loss.delta": 1e9, "loss.balance": 1e9,
    "data.augment.scaling_size": 10, "data.augment.time_warp_size": 10, "data.augment.magnitude_warp_size": 10,
    "data.chunk": 2**20, "data.chunks": 2**12, "data.shards": 2**6, "data.workers": 2**8, "data.augment.warp_knots": 2**10,
}  # fmt: skip
LARGEST_POOL = 2**37  # bytes
SHORTEST_HISTORY = 16
NOT_NEGATIVE = (
    "seed", "validate_every", "early_stopping", "data.workers", "optimizer.weight_decay", "loss.balance", "schedule.warmup",
    "schedule.patience", "data.augment.scaling_size", "data.augment.time_warp_size", "data.augment.magnitude_warp_size",
)  # fmt: skip
SHARES = ("schedule.decay", "schedule.floor", "schedule.factor", "optimizer.momentum")
NOT_SHARES = (
    "shortest", "longest_short", "decimate", "scaling_size", "time_warp_size", "magnitude_warp_size", "warp_knots",
)  # fmt: skip
"""Fields of `Augment` that are no probability."""
LEAST = 96  # steps that remain behind the latest cut of a thinned series


def check(recipe: Recipe) -> None:
    """Raise UsageError for the first thing that does not fit."""
    for problem in _problems(recipe):
        raise UsageError(problem)


def check_world(recipe: Recipe, world: int) -> None:
    """Raise UsageError where the shards cannot be dealt out to so many processes evenly."""
    shards = recipe.data.shards
    if shards % world:
        raise UsageError(f"{shards} shards on {world} processes; wanted as many for each: --set data.shards={-(-shards // world) * world}")
    own, workers = shards // world, recipe.data.workers
    if workers and own % workers and workers % own:
        raise UsageError(f"data.workers is {workers} for {own} shards of a process; wanted a divisor or a multiple of {own}")


def _value(recipe: Recipe, key: str) -> float:
    value = recipe
    for part in key.split("."):
        value = getattr(value, part)
    return value  # type: ignore[return-value]


def _problems(recipe: Recipe) -> Iterator[str]:
    model, data, augment = recipe.model, recipe.data, recipe.data.augment
    for key, words in WORDS.items():
        if (got := str(_value(recipe, key))) not in words:
            yield f"{key} is {got!r}; wanted {', '.join(words)}.{suggest(got, words)}"
    try:
        read_names(recipe.log)
    except UsageError as error:
        yield f"log is {recipe.log!r}: {error}"
    for key in POSITIVE:
        if not _value(recipe, key) > 0:
            yield f"{key} is {_value(recipe, key)}; wanted more than 0"
    if recipe.seed == VALIDATION_SEED:
        yield f"seed is {recipe.seed}, which the series of the validation are made with; wanted another"
    for key, most in MOST.items():
        if _value(recipe, key) > most:
            yield f"{key} is {_value(recipe, key)}; wanted at most {most:,}"
    if (pool := data.chunk * data.chunks * data.length * 4) > LARGEST_POOL:
        yield f"the series that a shard holds take {pool / 1e9:,.0f} GB; wanted less: smaller data.chunks, data.chunk or data.length"
    for key in NOT_NEGATIVE:
        if not _value(recipe, key) >= 0:
            yield f"{key} is {_value(recipe, key)}; wanted 0 or more"
    for key in (*SHARES, *(f"data.augment.{f.name}" for f in fields(augment) if f.name not in NOT_SHARES)):
        if not 0 <= _value(recipe, key) <= 1:
            yield f"{key} is {_value(recipe, key)}; wanted 0 to 1"
    if not model.season_fold:
        yield "model.season_fold is off; wanted season_fold: true and patch_mask: true under model: what is trained is a season-fold model"
    if not 0 <= recipe.ema < 1:
        yield f"ema is {recipe.ema}; wanted 0 up to 1, without 1 itself: that would keep the first weights for ever"
    if recipe.batch % data.shards:
        near = max(round(recipe.batch / data.shards), 1) * data.shards
        yield f"batch is {recipe.batch}, which {data.shards} shards do not divide; wanted a multiple: batch={near}, or other data.shards"
    if data.history < SHORTEST_HISTORY:
        yield f"data.history is {data.history}; wanted at least {SHORTEST_HISTORY}"
    if recipe.patches > model.max_horizon // model.patch_length:
        most = model.max_horizon // model.patch_length
        yield f"patches is {recipe.patches}; wanted at most {most}, which max_horizon {model.max_horizon} has"
    if not augment.decimate or min(augment.decimate) < 0 or abs(sum(augment.decimate) - 1) > 1e-6:
        yield f"data.augment.decimate is {list(augment.decimate)}; wanted shares of thinning by 1, 2, … that sum to 1"
    shortest = (len(augment.decimate) * LEAST * 10 + 6) // 7 + len(augment.decimate)
    if data.length < shortest:
        yield f"data.length is {data.length}; wanted at least {shortest} with data.augment.decimate of {len(augment.decimate)} shares"
    if augment.shortest > augment.longest_short:
        yield f"data.augment.shortest is {augment.shortest}, more than longest_short, which is {augment.longest_short}"
    if augment.warp_knots < 2:
        yield f"data.augment.warp_knots is {augment.warp_knots}; wanted 2 or more"
    yield from _weights(data.weights)
    share = sum(real.share for real in data.real)
    if any(real.share <= 0 for real in data.real) or share > 1:
        yield f"data.real has the shares {[real.share for real in data.real]}; wanted each more than 0, and a sum of at most 1"
    yield from _course(recipe)


def _weights(weights: dict[str, float] | None) -> Iterator[str]:
    for name in weights or {}:
        if name not in FAMILIES:
            yield f"data.weights names {name!r}; wanted families of made series: {', '.join(FAMILIES)}.{suggest(name, FAMILIES)}"
    if weights is not None and (min(weights.values(), default=0) < 0 or sum(weights.values()) <= 0):
        yield f"data.weights is {weights}; wanted none negative and at least one more than 0"


def _course(recipe: Recipe) -> Iterator[str]:
    schedule, optimizer = recipe.schedule, recipe.optimizer
    if schedule.warmup >= 1 and schedule.warmup > recipe.steps:
        yield f"schedule.warmup is {schedule.warmup:g} steps of {recipe.steps}; wanted fewer, or a share below 1"
    if not schedule.cycle > 0:
        yield f"schedule.cycle is {schedule.cycle}; wanted a share of the steps, or their number"
    if not all(0 <= beta < 1 for beta in optimizer.betas):
        yield f"optimizer.betas is {list(optimizer.betas)}; wanted two numbers from 0 to below 1"
    for rule in optimizer.rules:
        if not 0 < rule.learning_rate <= 1000:
            yield f"optimizer.rules has learning_rate {rule.learning_rate} for {rule.match!r}; wanted 0 to 1000 times, or frozen: true"
        if rule.weight_decay is not None and not 0 <= rule.weight_decay <= 100:
            yield f"optimizer.rules has weight_decay {rule.weight_decay} for {rule.match!r}; wanted 0 to 100"
        try:
            re.compile(rule.match)
        except (re.error, OverflowError, RecursionError) as error:
            yield f"optimizer.rules has match {rule.match!r}: {error}; wanted a regular expression, such as '^backbone'"
    needs = ["schedule.name plateau"] * (schedule.name == "plateau") + ["early_stopping"] * (recipe.early_stopping > 0)
    if needs and not recipe.validate_every:
        yield f"{needs[0]} goes by the validation, which is off; wanted validate_every of 1 or more"
