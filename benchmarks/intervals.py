"""How often two models are told apart where there is nothing to find: `python benchmarks/intervals.py [--pairs 3000]`.

Tasks of a dataset family rise and fall together (nine tenths of the variance), families are independent, the mean difference is zero;
5 % is what 95 % intervals promise. Beside `harness_leaderboard.bootstrap` stand plain percentiles of resampled families and tasks.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from harness_leaderboard.bootstrap import told_apart, units_of, weights

SIZES = {
    "16, 8, 8": [16, 8, 8],
    "5 × 12": [12] * 5,
    "6 × 12": [12] * 6,
    "12, 6, 3, 1, 1, 1": [12, 6, 3, 1, 1, 1],
    "12 × 5": [5] * 12,
    "19 as in GIFT-Eval": [1, 1, 1, 1, 1, 2, 3, 3, 4, 4, 4, 6, 7, 7, 8, 8, 8, 12, 16],
    "28 × 4": [4] * 28,
}


def plain(gap: np.ndarray, owner: np.ndarray, drawn: np.ndarray) -> bool:
    """Whether the middle 95 % of resampled means [B] leave out zero."""
    sums, counts = np.bincount(owner, weights=gap), np.bincount(owner)
    means = np.sort((drawn @ sums) / (drawn @ counts))
    return bool(means[49] > 0 or means[-50] < 0)


def alarms(sizes: list[int], pairs: int, seed: int = 1) -> tuple[float, float, float]:
    """Shares of false alarms: as here, plain percentiles over families, over tasks."""
    random = np.random.default_rng(seed)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    units = units_of([f"family {f}" for f in owner])
    by_family, by_task, each = weights(len(sizes)), weights(len(owner)), np.arange(len(owner))
    found = np.zeros(3)
    for _ in range(pairs):
        gap = math.sqrt(0.9) * random.normal(size=len(sizes))[owner] + math.sqrt(0.1) * random.normal(size=len(owner))
        here = bool(told_apart(np.stack([gap, np.zeros(len(gap))]), units)[0, 1])
        found += here, plain(gap, owner, by_family), plain(gap, each, by_task)
    return tuple(found / pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=3000)
    pairs = parser.parse_args().pairs
    print("| families and their tasks | as here | plain, over families | plain, over tasks |\n|---|---|---|---|")
    for name, sizes in SIZES.items():
        print(f"| {name} | " + " | ".join(f"{100 * share:.1f} %" for share in alarms(sizes, pairs)) + " |")


if __name__ == "__main__":
    main()
