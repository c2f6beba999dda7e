"""Around calls of gluonts: its known warnings are silenced, its random draws come from a seed, its files go to a folder that is removed."""

from __future__ import annotations

import contextlib
import io
import logging
import random
import warnings
from collections.abc import Iterator

import numpy as np

__all__ = ["library", "quiet", "seeded"]

KNOWN = (
    r"Using `json`-module for json-handling",  # gluonts: a faster one is not installed
    r"Period(Dtype\[B\]| with BDay freq) is deprecated",  # pandas: gluonts has nothing else for business days
    r"The '?(train|val)_dataloader'? does not have many workers",  # lightning: entries come from memory
    r"Your `IterableDataset` has `__len__` defined",
    r"The number of training batches \(\d+\) is smaller than the logging interval",
    r"You defined a `validation_step` but have no `val_dataloader`",  # lightning: nothing is held out
    r"GPU available but not used",  # the device is the caller's choice
    r"The mean prediction is not stored in the forecast data",  # gluonts: the median stands for it, as it does here
    r"Checkpoint directory .* exists and is not empty",
    r"Using a non-tuple sequence for multidimensional indexing is deprecated",  # torch: gluonts' lags; still right with torch 2.13
    r"To copy construct from a tensor, it is recommended",  # torch: DeepNPTS
    r".*DiscreteDistribution'> does not define `(arg_constraints|support)`",  # torch: DeepNPTS
    r"invalid value encountered in scalar divide",  # WaveNet: a window without a value has the scale 1
    r"dropout option adds dropout after all but last recurrent layer",  # torch: DeepAR with one layer
    r"`isinstance\(treespec, LeafSpec\)` is deprecated",  # lightning with a newer torch
)
LOGGERS = ("lightning", "lightning.pytorch", "lightning.fabric", "gluonts")


@contextlib.contextmanager
def quiet(*, prints: bool = False) -> Iterator[None]:
    """While this lasts, warnings that are known and harmless are not shown, nor is what the libraries tell of their progress.

    Args:
        prints: what is printed stays; the library prints the losses of DeepNPTS.
    """
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.nullcontext() if prints else contextlib.redirect_stdout(io.StringIO()):
        for message in KNOWN:
            warnings.filterwarnings("ignore", message=message)
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)


def library() -> None:
    """Import gluonts with its torch models.

    Raises:
        ModuleNotFoundError: something that it needs is not installed.
    """
    with quiet():
        import gluonts.torch  # noqa: F401


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """While this lasts, whatever draws from the global states of random, numpy and torch draws from this seed; then they are as before."""
    import torch

    states = random.getstate(), np.random.get_state()  # noqa: NPY002 - gluonts draws its windows from the global state
    with torch.random.fork_rng():
        reseed(seed)
        try:
            yield
        finally:
            random.setstate(states[0])
            np.random.set_state(states[1])  # noqa: NPY002


def reseed(seed: int) -> None:
    """Begin the global states anew, inside `seeded`."""
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed % 2**63)
