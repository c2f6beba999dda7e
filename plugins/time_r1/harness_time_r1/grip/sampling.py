"""Which answers of many are learnt from, and how much each counts. numpy only; chance comes from the generator that is handed in.

Of each prompt k·G answers are drawn and G kept. Axes: G kept answers of one prompt, C clusters.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness import UsageError

__all__ = ["SAMPLINGS", "advantages", "choose", "clusters", "weights"]

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.intp]
SAMPLINGS = ("cluster", "local", "uniform")
"""cluster: at random from clusters of like rewards; local: the best of each of G random groups of k; uniform: at random."""
LEAST = 1e-6
"""A standard deviation below this is none: rounding leaves some 1e-16 of equal rewards, and over that noise would be an advantage."""


def choose(rewards: F64, keep: int, how: str, rng: np.random.Generator, count: int = 4) -> I64:
    """[G] the places of the answers to keep, none twice, ascending.

    Args:
        rewards: [k·G].
        keep: G.
        how: one of `SAMPLINGS`.
        count: clusters of "cluster", at most.

    Raises:
        UsageError: an unknown way, fewer answers than are to be kept, or for "local" no multiple of it.

    >>> choose(np.array([0.0, 1.0, 2.0, 3.0]), 4, "cluster", np.random.default_rng(0)).tolist()
    [0, 1, 2, 3]
    """
    rewards = np.asarray(rewards, np.float64)
    if how not in SAMPLINGS:
        raise UsageError(f"got the sampling {how!r}; wanted one of {', '.join(SAMPLINGS)}")
    if keep < 1 or len(rewards) < keep or (how == "local" and len(rewards) % keep):
        raise UsageError(f"got {len(rewards)} answers to keep {keep} of; wanted a multiple of it")
    if how == "uniform":
        return np.sort(rng.permutation(len(rewards))[:keep])
    if how == "local":
        groups = rng.permutation(len(rewards)).reshape(keep, -1)  # [G, k]
        return np.sort(groups[np.arange(keep), rewards[groups].argmax(axis=1)])
    # One of each cluster in turn, in a random order within each, until enough are kept: rare rewards come first to their share.
    shuffled = rng.permutation(len(rewards))
    label = clusters(rewards, count)[shuffled]
    order = np.argsort(label, kind="stable")
    turn = np.empty(len(rewards), np.intp)
    starts = np.searchsorted(label[order], label[order])
    turn[order] = np.arange(len(rewards)) - starts  # the how-manyth of its cluster
    rank = np.lexsort((rng.random(len(rewards)), turn))
    return np.sort(shuffled[rank[:keep]])


def clusters(rewards: F64, count: int, rounds: int = 100) -> I64:
    """[N] the cluster of each reward, 0 the lowest: K-means in one dimension, begun at quantiles of the different rewards.

    There are no more clusters than different rewards; an empty one is dropped. No chance is involved.

    >>> clusters(np.array([0.0, 0.1, 5.0, 5.1, 9.0]), 3).tolist()
    [0, 0, 1, 1, 2]
    >>> clusters(np.array([-1.0, -1.0, 1.0]), 3).tolist()
    [0, 0, 1]
    """
    different = np.unique(rewards)
    count = min(count, len(different))
    centres = np.unique(np.quantile(different, (np.arange(count) + 0.5) / count))
    label = np.zeros(len(rewards), np.intp)
    for _ in range(rounds):
        label = np.searchsorted((centres[1:] + centres[:-1]) / 2, rewards, side="right")
        number = np.bincount(label, minlength=len(centres))
        moved = np.bincount(label, rewards, minlength=len(centres))[number > 0] / number[number > 0]
        if len(moved) == len(centres) and np.array_equal(moved, centres):
            break
        centres = moved
    return np.unique(label, return_inverse=True)[1].reshape(-1)


def advantages(rewards: F64) -> F64:
    """[G] (R − mean) / standard deviation over the kept answers of one prompt, the deviation with divisor G; 0 where they are all equal.

    >>> advantages(np.array([1.0, 3.0])).tolist(), advantages(np.array([0.7, 0.7])).tolist()
    ([-1.0, 1.0], [0.0, 0.0])
    """
    rewards = np.asarray(rewards, np.float64)
    spread = rewards.std()
    return np.zeros(len(rewards)) if spread <= LEAST else (rewards - rewards.mean()) / spread


def weights(rewards: F64) -> F64:
    """[G] softmax of the rewards, which sums to 1: the share of each answer in the objective. GRPO has 1/G for each.

    >>> weights(np.zeros(4)).tolist()
    [0.25, 0.25, 0.25, 0.25]
    """
    raised = np.exp(np.asarray(rewards, np.float64) - np.max(rewards))
    return np.asarray(raised / raised.sum(), np.float64)
