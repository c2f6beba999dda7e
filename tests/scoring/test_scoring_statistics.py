"""Each statistic against a plain loop in Python floats, to 1e-9, on hard data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.errors import PluginError
from harness.scoring import BLOCK, STATISTICS, Block, Totals, score
from harness.types import Metric

DECILES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


def make(labels, quantiles, mean, levels, scale):
    return Block(
        np.asarray(labels, np.float32), np.asarray(quantiles, np.float32), np.asarray(mean, np.float32),
        np.asarray(levels, np.float64), np.asarray(scale, np.float64),
    )  # fmt: skip


def agree(block, plain):
    found = score(block)
    assert list(found.windows) == list(STATISTICS)
    for row in range(len(block)):
        wanted = plain(block.labels[row], block.quantiles[row], block.mean[row], block.levels.tolist(), float(block.seasonal_error[row]))
        for name in STATISTICS:
            # Sums of signed values are known to the precision of what went into them.
            size = {"label": wanted["abs_label"], "error": wanted["abs_error"]}.get(name, 0.0)
            np.testing.assert_allclose(found.windows[name][row], wanted[name], rtol=1e-9, atol=1e-12 * size, err_msg=f"{name} of row {row}")
    for name in STATISTICS:
        size = {"label": "abs_label", "error": "abs_error"}.get(name, name)
        atol = 1e-12 * float(np.max(found.windows[size].sum(axis=0, dtype=float), initial=0))
        np.testing.assert_allclose(
            found.steps[name].sum(axis=0), found.windows[name].sum(axis=0), rtol=1e-9, atol=atol, err_msg=f"steps {name}"
        )


def random_block(seed, n=7, horizon=13, levels=DECILES, offset=0.0, scale=1.0):
    rng = np.random.default_rng(seed)
    values = np.sort(rng.normal(offset, scale, (n, len(levels), horizon)), axis=1)
    return make(rng.normal(offset, scale, (n, horizon)), values, rng.normal(offset, scale, (n, horizon)), levels, rng.random(n) + 0.1)


@pytest.mark.parametrize("levels", [DECILES, [0.5], [0.1, 0.9], [0.025, 0.5, 0.975], [0.01, 0.25, 0.75, 0.99], [0.5, 0.6]])
@pytest.mark.parametrize("horizon", [1, 8, 255, 256, 600])
def test_levels_and_horizons(plain, levels, horizon):
    block = random_block(horizon, n=3, horizon=horizon, levels=levels)
    if len(levels) == 1:
        found = score(block)
        assert np.isnan(found.windows["scaled_interval"]).all()  # no interval follows from one level
        np.testing.assert_array_equal(found.windows["n_scaled"], horizon)
        wanted = plain(block.labels[0], np.repeat(block.quantiles[0], 2, axis=0), block.mean[0], [0.5, 0.6], float(block.seasonal_error[0]))
        assert found.windows["abs_error"][0] == pytest.approx(wanted["abs_error"], rel=1e-9)
        assert found.windows["quantile_loss"][0, 0] == pytest.approx(wanted["quantile_loss"][0], rel=1e-9)
        assert found.windows["hits"][0, 0] == wanted["hits"][0]
    else:
        agree(block, plain)


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1.0, 1e30])
@pytest.mark.parametrize("offset", [0.0, 1e8])
def test_magnitudes(plain, scale, offset):
    agree(random_block(1, scale=scale, offset=offset), plain)


def test_small_losses_on_a_large_level(plain):
    rng = np.random.default_rng(3)
    steps = rng.integers(-3, 4, (4, 9, 24)) * 8  # float32 neighbours at 1e8 are 8 apart
    labels = 1e8 + rng.integers(-3, 4, (4, 24)) * 8
    block = make(labels, np.sort(1e8 + steps, axis=1), labels, DECILES, np.ones(4))
    assert 0 < score(block).windows["quantile_loss"].min() < 1000
    agree(block, plain)


def hard(rng, shape):
    """Values among which ties, zeros, tiny and huge ones are common."""
    pool = np.array([0.0, -0.0, 1.0, -1.0, 1e-30, -1e-30, 1e30, -1e30, 1e-40, 3.0, 1e8], np.float32)
    return np.where(rng.random(shape) < 0.5, rng.choice(pool, shape), rng.normal(size=shape)).astype(np.float32)


@pytest.mark.parametrize("seed", range(20))
def test_ties_zeros_and_missing(plain, seed):
    rng = np.random.default_rng(seed)
    n, horizon = 6, 11
    labels = hard(rng, (n, horizon))
    labels[rng.random((n, horizon)) < 0.2] = np.nan
    labels[rng.random((n, horizon)) < 0.1] = np.inf
    labels[rng.random((n, horizon)) < 0.1] = -np.inf
    labels[0], labels[1], labels[2] = np.nan, 0.0, np.inf
    scale = np.array([1.0, 2.0, 0.0, 0.0, np.nan, 1e-30])
    agree(make(labels, hard(rng, (n, 9, horizon)), hard(rng, (n, horizon)), DECILES, scale), plain)  # quantiles cross, too


FLOATS = st.floats(-1e6, 1e6, width=32)
LABELS = st.one_of(FLOATS, st.just(0.0), st.just(float("nan")), st.just(float("inf")))


@settings(max_examples=60, deadline=None)
@given(data=st.data(), n=st.integers(1, 3), horizon=st.integers(1, 5), levels=st.sampled_from([[0.1, 0.5, 0.9], [0.5, 0.9], [0.3, 0.4]]))
def test_any_block(plain, data, n, horizon, levels):
    labels = data.draw(hnp.arrays(np.float32, (n, horizon), elements=LABELS))
    values = data.draw(hnp.arrays(np.float32, (n, len(levels), horizon), elements=FLOATS))
    mean = data.draw(hnp.arrays(np.float32, (n, horizon), elements=FLOATS))
    scale = data.draw(hnp.arrays(np.float64, n, elements=st.sampled_from([0.0, 0.5, 3.0])))
    agree(make(labels, values, mean, levels, scale), plain)


def same_bits(a, b):
    assert a.dtype == b.dtype
    assert a.tobytes() == np.ascontiguousarray(b).tobytes()


@pytest.mark.parametrize(("levels", "horizon"), [(DECILES, 48), (DECILES, 1), (DECILES, 700), ([0.5], 12), ([0.5], 1), ([0.2, 0.5], 3)])
def test_a_window_is_the_same_bits_in_any_block(levels, horizon):
    block = random_block(5, n=BLOCK + 40, horizon=horizon, levels=levels)
    block.labels[::7, 0] = np.nan
    whole = score(block).windows
    for size in (1, 2, 3, 50, 255, BLOCK):
        for first in (0, 1, 17, BLOCK + 39):
            part = slice(first, first + size)
            cut = Block(block.labels[part], block.quantiles[part], block.mean[part], block.levels, block.seasonal_error[part])
            for name, values in score(cut).windows.items():
                same_bits(values, whole[name][part])
    order = np.random.default_rng(0).permutation(len(block))
    mixed = Block(block.labels[order], block.quantiles[order], block.mean[order], block.levels, block.seasonal_error[order])
    for name, values in score(mixed).windows.items():
        same_bits(values, whole[name][order])


def test_memory_layout_changes_no_bit():
    block = random_block(6, n=100, horizon=24)
    strided = Block(
        np.asfortranarray(block.labels), np.ascontiguousarray(block.quantiles.transpose(2, 1, 0)).transpose(2, 1, 0),
        np.repeat(block.mean, 2, axis=0)[::2], block.levels, np.repeat(block.seasonal_error, 2)[::2],
    )  # fmt: skip
    points = np.broadcast_to(block.quantiles[:, :1], block.quantiles.shape)
    plainly = Block(block.labels, points.copy(), block.mean, block.levels, block.seasonal_error)
    for first, second in ((block, strided), (plainly, Block(block.labels, points, block.mean, block.levels, block.seasonal_error))):
        a, b = score(first), score(second)
        for name in STATISTICS:
            same_bits(a.windows[name], b.windows[name])
            same_bits(a.steps[name], b.steps[name])


def test_no_input_is_changed_and_no_result_is_shared():
    block = random_block(8)
    block.labels[0, 0] = np.nan
    before = [a.copy() for a in (block.labels, block.quantiles, block.mean, block.seasonal_error)]
    first = score(block)
    kept = {name: values.copy() for name, values in first.windows.items()}
    score(random_block(9))
    for a, b in zip(before, (block.labels, block.quantiles, block.mean, block.seasonal_error), strict=True):
        same_bits(a, b)
    for name, values in first.windows.items():
        same_bits(values, kept[name])


def test_totals_add_blocks_in_order():
    block = random_block(10, n=90)
    totals = Totals(block.levels)
    for a in range(0, 90, 40):
        part = slice(a, a + 40)
        totals.add(score(Block(block.labels[part], block.quantiles[part], block.mean[part], block.levels, block.seasonal_error[part])))
    whole = score(block)
    assert totals.windows == 90
    assert totals.sums["n"] == 90 * 13
    for name in STATISTICS:
        np.testing.assert_allclose(totals.sums[name], whole.windows[name].sum(axis=0), rtol=1e-12, atol=1e-9)
        np.testing.assert_allclose(totals.steps[name], whole.steps[name], rtol=1e-12, atol=1e-9)
    np.testing.assert_array_equal(totals.sums["levels"], DECILES)


def test_wrong_shapes_are_named():
    block = random_block(11)
    with pytest.raises(ValueError, match=r"mean of shape \(7, 12\); wanted \(7, 13\)"):
        score(make(block.labels, block.quantiles, block.mean[:, 1:], DECILES, block.seasonal_error))
    with pytest.raises(ValueError, match=r"quantiles of shape \(7, 8, 13\); wanted \(7, 9, 13\)"):
        score(make(block.labels, block.quantiles[:, 1:], block.mean, DECILES, block.seasonal_error))


def test_a_metric_may_bring_statistics_of_its_own():
    block = random_block(12)
    worst = Metric("worst", lambda s: s["worst.max"], statistics=lambda b: {"worst.max": np.abs(b.labels - b.mean).max(axis=1)})
    found = score(block, [worst])
    np.testing.assert_allclose(found.extra["worst.max"], np.abs(block.labels - block.mean).max(axis=1))
    totals = Totals(block.levels)
    totals.add(found)
    assert worst.value(totals.sums) == pytest.approx(found.extra["worst.max"].sum())
    with pytest.raises(PluginError, match=r"'bad': statistic 'bad\.x' is float64 of shape \(3,\)"):
        score(block, [Metric("bad", lambda s: 0, statistics=lambda b: {"bad.x": np.zeros(3)})])
    with pytest.raises(PluginError, match="begin its name with the metric's"):
        score(block, [Metric("bad", lambda s: 0, statistics=lambda b: {"ape": np.zeros(7)})])
