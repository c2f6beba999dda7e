"""What the fast sums rely on: the same bits in every place, and counters that do not run over."""

from __future__ import annotations

import numpy as np
import pytest

from harness.scoring import BLOCK, Block, score


def make(seed, n, horizon, levels):
    rng = np.random.default_rng(seed)
    size = 10.0 ** rng.integers(-6, 7, (n, 1, 1))  # adding in another order would show
    values = np.sort(rng.normal(0, 1, (n, len(levels), horizon)) * size, axis=1)
    labels, mean = (rng.normal(0, 1, (n, horizon)) * size[:, 0] for _ in range(2))
    return Block(
        labels.astype(np.float32), values.astype(np.float32), mean.astype(np.float32), np.array(levels), rng.random(n) + 0.1
    )  # fmt: skip


def part_of(block, rows):
    return Block(block.labels[rows], block.quantiles[rows], block.mean[rows], block.levels, block.seasonal_error[rows])


@pytest.mark.parametrize("horizon", [2, 3, 5, 7, 8, 9, 31, 33, 127, 2041, 4095, 4096, 4097, 8192, 8193, 9001])
@pytest.mark.parametrize("levels", [[0.5], [0.1, 0.4, 0.9]])
def test_a_window_alone_and_among_others(horizon, levels):
    block = make(horizon, 11, horizon, levels)
    whole = score(block).windows
    for rows in (slice(0, 1), slice(10, 11), slice(3, 6), slice(1, 10), slice(None, None, -1)):
        for name, values in score(part_of(block, rows)).windows.items():
            assert values.tobytes() == np.ascontiguousarray(whole[name][rows]).tobytes(), name


@pytest.mark.parametrize("n", [1, 7, 8, 255, 256, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 9])
@pytest.mark.parametrize("horizon", [1, 5, 8])
def test_hits_per_step_of_many_windows(n, horizon):
    labels = np.zeros((n, horizon), np.float32)
    quantiles = np.broadcast_to(np.array([-1.0, 0.0, 1.0], np.float32)[:, None], (n, 3, horizon))
    found = score(Block(labels, quantiles, labels, np.array([0.1, 0.5, 0.9]), np.ones(n)))
    assert (found.steps["hits"] == [0, n, n]).all()
    assert (found.windows["hits"] == [0, horizon, horizon]).all()
    assert (found.steps["n"] == n).all()


@pytest.mark.parametrize("horizon", [255, 256, 2039, 2040, 2041, 4100])
def test_hits_of_long_windows(horizon):
    rng = np.random.default_rng(0)
    labels = rng.normal(size=(9, horizon)).astype(np.float32)
    labels[rng.random(labels.shape) < 0.1] = np.nan
    quantiles = np.stack([np.full_like(labels, -10), rng.normal(size=labels.shape).astype(np.float32), np.full_like(labels, 10)], axis=1)
    found = score(Block(labels, quantiles, labels * 0, np.array([0.1, 0.5, 0.9]), np.ones(9)))
    valid = np.isfinite(labels)
    wanted = (quantiles >= np.where(valid, labels, np.inf)[:, None]).sum(axis=2)
    np.testing.assert_array_equal(found.windows["hits"], wanted)
    np.testing.assert_array_equal(found.windows["hits"][:, 2], valid.sum(axis=1))
    np.testing.assert_array_equal(found.steps["hits"][:, 2], valid.sum(axis=0))
    assert (found.windows["hits"][:, 0] == 0).all()


def test_a_negative_zero_is_a_zero():
    zeros = np.array([[0.0, -0.0, 0.0, -0.0]], np.float32)
    others = np.array([[0.0, 0.0, -0.0, -0.0]], np.float32)
    found = score(Block(zeros, others[:, None], others, np.array([0.5]), np.ones(1)))
    assert found.windows["hits"].tolist() == [[4]]
    assert found.windows["quantile_loss"].tolist() == [[0.0]]


def test_workspaces_of_several_tasks_do_not_mix():
    blocks = [make(1, 20, 12, [0.1, 0.5, 0.9]), make(2, 300, 5, [0.1, 0.5, 0.9]), make(3, 3, 12, [0.3, 0.7])]
    first = [score(block) for block in blocks]
    for block, before in zip(blocks[::-1], first[::-1], strict=True):
        again = score(block)
        for name, values in before.windows.items():
            assert again.windows[name].tobytes() == values.tobytes()
            assert again.steps[name].tobytes() == before.steps[name].tobytes()
