"""The dialect `gift-eval` equals gluonts, and the published results."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from harness.forecast import Forecast, Ragged
from harness.metrics import METRICS, evaluate
from harness.quantiles import check, to_quantiles
from harness.scoring import BLOCK, Block, Totals, score, seasonal_error
from harness.series import Channels

DECILES = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]


def ours(labels, quantiles, mean, levels, contexts, season):
    labels = np.asarray(labels, np.float32)
    series = Channels.from_ragged(Ragged.from_rows(contexts))
    scale = seasonal_error(series, np.arange(len(series)), series.length, season)
    values, middle = to_quantiles(Forecast.from_quantiles(quantiles, levels, mean), levels)
    totals = Totals(levels)
    for a in range(0, len(labels), BLOCK):
        part = slice(a, a + BLOCK)
        totals.add(score(Block(labels[part], values[part], middle[part], totals.levels, scale[part])))
    return evaluate(totals.sums, METRICS[:11])


def data(seed, n=230, horizon=6, levels=DECILES, length=30):
    rng = np.random.default_rng(seed)
    labels = rng.normal(5, 3, (n, horizon)).astype(np.float32)
    quantiles = np.sort(rng.normal(5, 3, (n, len(levels), horizon)), axis=1).astype(np.float32)
    mean = rng.normal(5, 3, (n, horizon)).astype(np.float32)
    contexts = [rng.normal(5, 3, rng.integers(1, length)).astype(np.float32) for _ in range(n)]
    return rng, labels, quantiles, mean, contexts


def compare(gluonts_scores, *arguments):
    wanted, found = gluonts_scores(*arguments), ours(*arguments)
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("season", [1, 7, 29])
@pytest.mark.parametrize("with_mean", [True, False])
def test_plain_data(gluonts_scores, season, with_mean):
    _, labels, quantiles, mean, contexts = data(season)
    compare(gluonts_scores, labels, quantiles, mean if with_mean else None, DECILES, contexts, season)


def test_missing_zero_and_constant(gluonts_scores):
    rng, labels, quantiles, mean, contexts = data(1)
    labels[rng.random(labels.shape) < 0.1] = np.nan
    labels[rng.random(labels.shape) < 0.1] = np.inf
    zero = rng.random(labels.shape) < 0.2
    labels[zero] = 0.0
    quantiles[:, 4][zero & (rng.random(labels.shape) < 0.5)] = 0.0  # label and median 0
    labels[7] = np.nan
    for index, context in enumerate(contexts):
        kind = index % 6
        context[rng.random(len(context)) < 0.3] = np.nan if kind == 0 else context[0]
        if kind == 1:
            context[:] = 4.0  # constant: seasonal error 0
        elif kind == 2:
            context[:] = np.nan
        elif kind == 3:
            context[len(context) // 2] = np.inf
    compare(gluonts_scores, labels, quantiles, mean, DECILES, contexts, 5)


@pytest.mark.parametrize("length", [1, 2, 6, 7, 8])
def test_contexts_about_a_season_long(gluonts_scores, length):
    rng, labels, quantiles, mean, contexts = data(2, n=12)
    contexts[:6] = [rng.normal(size=length) for _ in range(6)]
    compare(gluonts_scores, labels, quantiles, mean, DECILES, contexts, 7)


def test_no_window_can_be_scaled(gluonts_scores):
    _, labels, quantiles, mean, _ = data(3, n=4)
    compare(gluonts_scores, labels, quantiles, mean, DECILES, [[1.0]] * 4, 1)
    assert np.isnan(ours(labels, quantiles, mean, DECILES, [[1.0]] * 4, 1)["MASE[0.5]"])


@pytest.mark.parametrize("levels", [[0.5], [0.1, 0.5, 0.9], [0.025, 0.5, 0.975], [0.01, 0.1, 0.5, 0.8], [0.3, 0.4], [0.05, 0.2, 0.5, 0.7]])
def test_levels(gluonts_scores, levels):
    _, labels, quantiles, mean, contexts = data(4, n=20, levels=levels)
    compare(gluonts_scores, labels, quantiles, mean, levels, contexts, 3)


def test_one_window_and_crossing_quantiles(gluonts_scores):
    _, labels, quantiles, mean, contexts = data(5, n=30)
    compare(gluonts_scores, labels[:1], quantiles[:1], mean[:1], DECILES, contexts[:1], 3)
    compare(gluonts_scores, labels, quantiles[:, ::-1].copy(), mean, DECILES, contexts, 3)


@pytest.mark.parametrize("size", [1e-15, 1e15])
def test_magnitudes(gluonts_scores, size):
    _, labels, quantiles, mean, contexts = data(6, n=30)
    scaled = [np.asarray(c, np.float32) * np.float32(size) for c in contexts]
    compare(gluonts_scores, labels * np.float32(size), quantiles * np.float32(size), mean * np.float32(size), DECILES, scaled, 3)


def gift_eval(name):
    root = Path(os.environ.get("HARNESS_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
    folder = root / "gift-eval" / name
    if not folder.is_dir():
        pytest.skip(f"real data not found: no folder {folder}; set HARNESS_TEST_DATA to the folder that holds gift-eval/")
    rows = []
    for part in json.loads((folder / "state.json").read_text())["_data_files"]:
        with pa.memory_map(str(folder / part["filename"])) as source:
            rows += pa.ipc.open_stream(source).read_all()["target"].to_pylist()
    return [np.array(row, np.float32) for row in rows]


Z = [-1.2815515655446004, -0.8416212335729143, -0.5244005127080409, -0.2533471031357997, 0.0]


def seasonal_naive(context, horizon, season):
    """Quantiles [Q, H] of the normal seasonal naive model that the published baseline used (statsforecast's)."""
    seen = np.flatnonzero(~np.isnan(context))
    filled = context[seen[np.maximum(np.searchsorted(seen, np.arange(len(context)), side="right") - 1, 0)]].astype(np.float32)
    error = (filled[season:] - filled[:-season]).astype(np.float64)
    ahead = np.arange(horizon)
    point = filled[len(filled) - season + ahead % season].astype(np.float64)
    sigma = np.sqrt(np.nansum(error**2) / (len(filled) - season)) * np.sqrt(ahead // season + 1)
    z = np.array([*Z, *(-v for v in Z[-2::-1])])
    return point + z[:, None] * sigma


@pytest.mark.parametrize(
    ("name", "horizon", "season", "mase", "wql", "unscaled"),
    [
        ("covid_deaths", 30, 1, 46.91239825526407, 0.126723, 36),
        ("car_parts_with_missing", 12, 12, 1.2014638390969914, 1.72174, 61),
        ("hospital", 12, 12, 0.920528, 0.0624882, 0),
    ],
)
def test_published_seasonal_naive(name, horizon, season, mase, wql, unscaled):
    rows = gift_eval(name)
    contexts, labels = [row[:-horizon] for row in rows], np.stack([row[-horizon:] for row in rows])
    quantiles = np.stack([seasonal_naive(context, horizon, season) for context in contexts])
    check(Forecast.from_quantiles(quantiles, DECILES), len(rows), horizon)
    found = ours(labels, quantiles, None, DECILES, contexts, season)
    assert found["MASE[0.5]"] == pytest.approx(mase, rel=1e-6 if len(str(mase)) > 10 else 1e-5)
    assert found["mean_weighted_sum_quantile_loss"] == pytest.approx(wql, rel=1e-5)
    series = Channels.from_ragged(Ragged.from_rows(contexts))
    zero = seasonal_error(series, np.arange(len(series)), series.length, season) == 0
    pair = [np.isfinite(context[season:] - context[:-season]).any() for context in contexts]
    assert int((zero & pair).sum()) == unscaled
