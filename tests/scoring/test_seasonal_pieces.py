"""The seasonal error where series lie apart, out of order, or beside missing values, and windows come in any cut into blocks."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness import seasonal
from harness.forecast import Ragged
from harness.scoring import seasonal_error
from harness.series import Channels


def loop(context, season):
    values = [float(v) for v in context]
    lag = season if season <= len(values) else 1
    gaps = [abs(a - b) for a, b in zip(values[lag:], values[:-lag], strict=True) if math.isfinite(a) and math.isfinite(b)]
    return math.fsum(gaps) / len(gaps) if gaps else 0.0


def windows(lengths, each):
    channel = np.repeat(np.arange(len(lengths)), each)
    cut = np.concatenate([np.linspace(1, n, each).astype(np.int64) for n in lengths])
    return channel, cut


def channels_of(lengths, rng):
    return Channels.from_ragged(Ragged.from_rows([rng.normal(size=n) for n in lengths]))


@pytest.mark.parametrize("chunk", [100, 5000, seasonal.CHUNK])
def test_any_cut_into_blocks_gives_the_same_bits(chunk, monkeypatch):
    monkeypatch.setattr(seasonal, "CHUNK", chunk)
    lengths = [900, 30, 2500, 128, 129, 256, 700]
    channels = channels_of(lengths, np.random.default_rng(0))
    channel, cut = windows(lengths, 9)
    whole = seasonal_error(channels, channel, cut, 7)
    np.testing.assert_allclose(whole, [loop(channels[c][:t], 7) for c, t in zip(channel, cut, strict=True)], rtol=1e-12)
    for size in (1, 5, 16, 40):
        parts = [seasonal_error(channels, channel[a : a + size], cut[a : a + size], 7) for a in range(0, len(cut), size)]
        assert np.concatenate(parts).tobytes() == whole.tobytes()


@pytest.mark.parametrize("kept", [[5, 0, 3], [0, 5], [2, 2, 1]])
def test_channels_apart_and_out_of_order(kept):
    lengths = [300, 4000, 260, 5000, 40, 700]
    channels = channels_of(lengths, np.random.default_rng(1)).take(np.array(kept))
    channel, cut = windows([lengths[k] for k in kept], 4)
    found = seasonal_error(channels, channel, cut, 5)
    np.testing.assert_allclose(found, [loop(channels[c][:t], 5) for c, t in zip(channel, cut, strict=True)], rtol=1e-12)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_lies_outside_the_contexts_does_not_matter(bad):
    rng = np.random.default_rng(2)
    lengths = [400, 350, 600]
    channels = channels_of(lengths, rng)
    channel, cut = np.array([0, 0, 1, 2]), np.array([200, 390, 300, 500])
    before = seasonal_error(channels, channel, cut, 12)
    for c, t in ((0, 390), (1, 300), (2, 500)):
        channels[c][t:] = bad  # the labels
    assert seasonal_error(channels, channel, cut, 12).tobytes() == before.tobytes()


def test_one_missing_value_changes_only_contexts_that_hold_it():
    rng = np.random.default_rng(3)
    lengths = [400, 400, 400]
    channels = channels_of(lengths, rng)
    channel, cut = windows(lengths, 5)
    before = seasonal_error(channels, channel, cut, 6)
    channels[1][150] = np.nan
    after = seasonal_error(channels, channel, cut, 6)
    holds = (channel == 1) & (cut > 150)
    assert after[~holds].tobytes() == before[~holds].tobytes()
    assert (after[holds] != before[holds]).all()
    np.testing.assert_allclose(after, [loop(channels[c][:t], 6) for c, t in zip(channel, cut, strict=True)], rtol=1e-12)


def test_windows_in_any_order_of_cuts():
    rng = np.random.default_rng(4)
    channels = channels_of([500, 500], rng)
    channel, cut = np.array([0, 0, 0, 1, 1, 0, 1]), np.array([400, 3, 499, 2, 500, 250, 129])
    found = seasonal_error(channels, channel, cut, 4)  # some shorter than the season, which have lag 1
    np.testing.assert_allclose(found, [loop(channels[c][:t], 4) for c, t in zip(channel, cut, strict=True)], rtol=1e-12)
