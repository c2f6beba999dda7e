"""The seasonal error against a plain loop, for every shape of context."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness import seasonal
from harness.forecast import Ragged
from harness.scoring import seasonal_error
from harness.series import Channels, SeriesSet


def loop(context, season):
    values = [float(v) for v in context]
    lag = season if season <= len(values) else 1
    gaps = [abs(a - b) for a, b in zip(values[lag:], values[:-lag], strict=True) if math.isfinite(a) and math.isfinite(b)]
    return math.fsum(gaps) / len(gaps) if gaps else 0.0


def agree(rows, channel, cut, season):
    channels = Channels.from_ragged(Ragged.from_rows(rows))
    found = seasonal_error(channels, np.array(channel, np.int32), np.array(cut, np.int64), season)
    wanted = [loop(channels[c][:t], season) for c, t in zip(channel, cut, strict=True)]
    np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=0)
    assert found.dtype == np.float64
    return found


@pytest.mark.parametrize("season", [1, 7, 24, 256, 300, 5000])
def test_windows_of_long_and_short_series(season):
    rng = np.random.default_rng(season)
    lengths = [1, 2, 7, 8, 24, 255, 256, 257, 511, 512, 513, 1025, 3000]
    rows = [rng.normal(size=n) * 10.0 ** rng.integers(-20, 20) for n in lengths]
    channel, cut = zip(
        *[(c, t) for c, n in enumerate(lengths) for t in sorted({1, n // 3 or 1, n // 2 or 1, max(1, n - 5), n})], strict=True
    )
    agree(rows, channel, cut, season)


@pytest.mark.parametrize("seed", range(8))
def test_missing_values(seed):
    rng = np.random.default_rng(seed)
    rows = [rng.normal(size=n) for n in (5, 300, 700, 1500)]
    for row in rows:
        row[rng.random(len(row)) < 0.3] = np.nan
        row[rng.random(len(row)) < 0.05] = rng.choice([np.inf, -np.inf])
    rows.append(np.full(600, np.nan))
    channel = np.repeat(np.arange(5), 4)
    cut = np.concatenate([np.linspace(2, len(row), 4).astype(int) for row in rows])
    found = agree(rows, channel, cut, int(rng.integers(1, 20)))
    assert (found[-4:] == 0).all()


def test_zeros_are_exact():
    rng = np.random.default_rng(0)
    periodic = np.tile(rng.normal(size=7) * 1e20, 200)
    rows = [rng.normal(size=900) * 1e30, periodic, np.full(700, 0.1), rng.normal(size=900) * 1e-30]
    found = agree(rows, [0, 1, 1, 2, 3], [900, 700, 1400, 700, 900], 7)
    assert found[1:4].tolist() == [0.0, 0.0, 0.0]
    assert found[0] > 1e29
    assert 0 < found[4] < 1e-29


def test_without_a_pair_the_result_is_zero():
    assert agree([[3.0], [1.0, 2.0, 4.0], [np.nan, 1.0]], [0, 1, 2], [1, 3, 2], 3).tolist() == [0.0, 0.0, 0.0]
    assert agree([[1.0, 2.0, 4.0]], [0], [2], 3).tolist() == [1.0]  # shorter than the season: lag 1


def test_result_depends_on_nothing_but_the_context():
    rng = np.random.default_rng(1)
    rows = [rng.normal(size=n) for n in (1200, 700, 2100)]
    channels = Channels.from_ragged(Ragged.from_rows(rows))
    channel = np.repeat([0, 1, 2], 6)
    cut = np.concatenate([np.linspace(20, len(row), 6).astype(np.int64) for row in rows])
    whole = seasonal_error(channels, channel, cut, 24)
    for row in range(len(cut)):
        assert seasonal_error(channels, channel[row : row + 1], cut[row : row + 1], 24)[0] == whole[row]
    order = rng.permutation(len(cut))
    assert seasonal_error(channels, channel[order], cut[order], 24).tobytes() == whole[order].tobytes()


def test_piecewise_in_little_memory(monkeypatch):
    rng = np.random.default_rng(2)
    rows = [rng.normal(size=n) for n in (3000, 40, 1000, 900)]
    channel, cut = [0, 0, 1, 2, 3], [1000, 3000, 40, 999, 900]
    whole = agree(rows, channel, cut, 5)
    monkeypatch.setattr(seasonal, "CHUNK", 300)
    assert agree(rows, channel, cut, 5).tobytes() == whole.tobytes()


def test_series_in_several_buffers_and_series_sets():
    rng = np.random.default_rng(3)
    buffers = tuple(rng.normal(size=600).astype(np.float32) for _ in range(3))
    channels = Channels(buffers, np.array([0, 1, 1, 2], np.int32), np.array([0, 0, 300, 100]), np.array([600, 300, 300, 500]))
    series = SeriesSet(None, np.zeros(4, "datetime64[s]"), "D", 1, channels)
    found = seasonal_error(series, np.arange(4), channels.length, 3)
    np.testing.assert_allclose(found, [loop(channels[c], 3) for c in range(4)], rtol=1e-12)


def test_no_windows_and_a_wrong_season():
    channels = Channels.from_ragged(Ragged.from_rows([[1.0, 2.0]]))
    assert seasonal_error(channels, np.empty(0, np.int32), np.empty(0, np.int64), 1).shape == (0,)
    with pytest.raises(ValueError, match="got season 0; wanted"):
        seasonal_error(channels, np.array([0]), np.array([2]), 0)
