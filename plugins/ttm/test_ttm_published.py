"""The published recipe beside a plain loop, the choice of a network, the conformance kit; on tiny random weights in the official layout."""

from __future__ import annotations

import contextlib
import unittest
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'harness-ttm[torch]'")

from harness_ttm.config import TTMConfig  # noqa: E402
from harness_ttm.model import TTM  # noqa: E402
from harness_ttm.published import PublishedTTM, fill, frequency_token  # noqa: E402
from harness_ttm.weights import load, save  # noqa: E402
from scipy.stats import norm  # noqa: E402

from harness import Batch, ModelInfo, hookimpl  # noqa: E402
from harness.errors import Unavailable, UsageError  # noqa: E402
from harness.forecast import F32, F64  # noqa: E402
from harness.plugins import Plugins  # noqa: E402
from harness.testing import Check, checks  # noqa: E402

TINY: dict[str, Any] = {
    "context_length": 48, "prediction_length": 12, "patch_length": 8, "patch_stride": 8, "d_model": 16, "num_layers": 1,
    "adaptive_patching_levels": 2, "decoder_num_layers": 1, "decoder_d_model": 8,
}  # fmt: skip
LEVELS = [0.05, 0.3, 0.5, 0.9]
NAN = np.nan


def write(folder: Path, **options: Any) -> Path:
    """A network with weights that are far from those of a new one."""
    torch.manual_seed(len(folder.name))
    model = TTM(TTMConfig.from_dict({**TINY, **options}))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape) * 0.3)
    save(model, folder)
    return folder


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("ttm") / "48-12")


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("several")
    for context in (24, 48, 96):
        for horizon in (12, 24):
            if (context, horizon) != (96, 24):
                write(root / f"{context}-{horizon}", context_length=context, prediction_length=horizon)
    write(root / "32-12-ft", context_length=32, resolution_prefix_tuning=True, frequency_token_vocab_size=10)
    return root


def contexts() -> list[F32]:
    rng = np.random.default_rng(0)
    rows = [50 + 10 * np.sin(np.arange(n) / 3) + rng.normal(size=n).cumsum() for n in (7, 30, 48, 61, 200)]
    rows[3][[0, 1, 20, 40, 59]] = NAN
    rows[4][150:175] = NAN
    return [row.astype(np.float32) for row in rows]


def by_hand(
    folder: Path, y: F32, horizon: int, levels: list[float], padding: str, windows: int, token: int | None = None
) -> tuple[F64, F64]:
    """One context: quantiles [Q, H] and points [H], with pandas' forward fill done by a loop and one window at a time."""
    model, config = load(folder)
    model = model.double()
    filled: list[float] = []
    for value in y:
        filled.append(float(value) if np.isfinite(value) else (filled[-1] if filled else NAN))
    first = next((v for v in filled if not np.isnan(v)), 0.0)
    series = [first if np.isnan(v) else v for v in filled]
    mean = sum(series) / len(series)
    sd = (sum((v - mean) ** 2 for v in series) / len(series)) ** 0.5 or 1.0
    unit = [(v - mean) / sd for v in series]

    def forecast(past: list[float]) -> list[float]:
        past = list(past)
        out: list[float] = []
        missing = max(0, config.context_length - len(past))
        while len(out) < horizon:
            x = ([0.0] * missing + past)[-config.context_length :]
            seen = ([0.0] * missing + [1.0] * len(past))[-config.context_length :]
            with torch.no_grad():
                new = model(
                    torch.tensor(x, dtype=torch.float64)[None, :, None],
                    torch.tensor(seen)[None, :, None] if padding == "mask" else torch.ones(1, len(x), 1),
                    None if token is None else torch.tensor([token]),
                ).predictions
            out += new[0, :, 0].tolist()
            past += new[0, :, 0].tolist()
        return out[:horizon]

    errors: list[list[float]] = [[] for _ in range(horizon)]
    for k in range(1, windows + 1):
        end = len(unit) - k * horizon
        if end < min(horizon, config.context_length):
            break
        for step, value in enumerate(forecast(unit[:end])):
            if np.isfinite(y[end + step]):
                errors[step].append(abs(unit[end + step] - value))
    every = [e for step in errors for e in step]
    spread = [sum(e) / len(e) if e else (sum(every) / len(every) if every else 1.0) for e in errors]
    points = forecast(unit)
    quantiles = [[mean + sd * norm.ppf(q, loc=p, scale=s or 1e-5) for p, s in zip(points, spread, strict=True)] for q in levels]
    return np.array(quantiles), mean + sd * np.array(points)


@pytest.mark.parametrize("padding", ["zero", "mask"])
@pytest.mark.parametrize(("horizon", "windows"), [(6, 3), (12, 10), (30, 2), (12, 0)])
def test_numbers_are_those_of_a_plain_loop(weights: Path, padding: str, horizon: int, windows: int) -> None:
    batch = Batch.from_contexts(contexts(), horizon, quantile_levels=LEVELS)
    forecast = PublishedTTM(weights, padding=padding, in_sample=windows).predict(batch)
    assert forecast.mean is not None
    for row, y in enumerate(contexts()):
        quantiles, points = by_hand(weights, y, horizon, LEVELS, padding, windows)
        np.testing.assert_allclose(forecast.values[row], quantiles, rtol=1e-4, atol=1e-3, err_msg=f"row {row}")
        np.testing.assert_allclose(forecast.mean[row], points, rtol=1e-4, atol=1e-3)


def test_padding_matters_for_short_contexts_only(weights: Path) -> None:
    batch = Batch.from_contexts(contexts(), 6)
    zero, mask = (PublishedTTM(weights, padding=p, in_sample=0).predict(batch).values for p in ("zero", "mask"))
    same = [bool(np.array_equal(a, b)) for a, b in zip(zero, mask, strict=True)]
    assert same == [False, False, True, True, True]


def test_gaps_are_filled() -> None:
    assert fill(np.array([NAN, np.inf, 3, NAN, 5], np.float32)).tolist() == [3, 3, 3, 3, 5]
    assert fill(np.array([NAN, NAN], np.float32)).tolist() == [0, 0]


def test_numbers_of_frequencies() -> None:
    given = ["min", "2T", "5min", "10T", "15T", "30min", "60T", "1440T", "24H", "H", "D", "W-SUN", "B", "M", "4H", "10S"]
    assert [frequency_token(f) for f in given] == [1, 2, 3, 4, 5, 6, 7, 8, 8, 7, 8, 9, 0, 0, 0, 0]
    assert [frequency_token(f, 8) for f in ("H", "D")] == [7, 0]


def chosen(folder: Path, length: int, horizon: int, freq: str = "M", **options: Any) -> str:
    model = PublishedTTM(folder, in_sample=0, **options)
    model.predict(Batch.from_contexts([np.arange(length)], horizon, freq=freq))
    return next(name for name in model.notes if name.startswith("windows by ")).removeprefix("windows by ")


def test_each_window_takes_the_network_that_fits(several: Path) -> None:
    assert [chosen(several, n, 6) for n in (10, 24, 47, 48, 96, 500)] == ["24-12", "24-12", "24-12", "48-12", "96-12", "96-12"]
    assert [chosen(several, n, 13) for n in (10, 50, 500)] == ["24-24", "48-24", "48-24"]
    assert chosen(several, 500, 60) == "48-24"  # none is long enough: the longest
    assert chosen(several, 40, 6, "H") == "32-12"  # with a prefix, where the frequency has a number
    assert chosen(several, 500, 6, context_length=24) == "24-12"
    with pytest.raises(UsageError, match=r"no network in .* has a context of 512 steps; there are 24-12, 24-24, 32-12, 48-12"):
        PublishedTTM(several, context_length=512)
    mixed = Batch.from_contexts([np.sin(np.arange(n)) for n in (10, 60, 200)], 6, freq="M")
    whole = PublishedTTM(several).predict(mixed).values
    for row, context in enumerate(mixed):
        alone = PublishedTTM(several).predict(Batch.from_contexts([context], 6, freq="M")).values
        np.testing.assert_array_equal(alone[0], whole[row])


def test_the_frequency_reaches_a_network_with_a_prefix(several: Path) -> None:
    folder = several / "32-12-ft"
    y = contexts()[3]
    for freq, token in (("D", 8), ("15T", 5), ("M", 0)):
        forecast = PublishedTTM(folder, in_sample=1).predict(Batch.from_contexts([y], 6, freq=freq, quantile_levels=LEVELS))
        quantiles, _ = by_hand(folder, y, 6, LEVELS, "zero", 1, token)
        np.testing.assert_allclose(forecast.values[0], quantiles, rtol=1e-4, atol=1e-3)


def test_forecasts_follow_the_unit_of_the_series(weights: Path) -> None:
    model = PublishedTTM(weights)
    y = contexts()[2:]
    base = model.predict(Batch.from_contexts(y, 12)).values
    for factor, shift in ((1e-20, 0.0), (1e20, 0.0), (3.0, 1000.0)):
        moved = model.predict(Batch.from_contexts([v.astype(np.float64) * factor + shift for v in y], 12)).values
        np.testing.assert_allclose((moved.astype(np.float64) - shift) / factor, base, rtol=1e-3)


def test_notes_count_windows_without_an_error_to_learn_from(weights: Path) -> None:
    model = PublishedTTM(weights)
    for _ in range(2):
        model.predict(Batch.from_contexts([[1, 2, 3], np.arange(60), np.arange(30)], 12))
    assert model.notes == {"windows": 6, "windows without an in-sample window": 2, "windows by 48-12": 6}


def test_without_weights_the_error_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "none"))
    line = r"harness weights pull ttm-r1. .* -M ttm-r1:weights=PATH .*`hf download ibm-granite/granite-timeseries-ttm-r1 --revision"
    with pytest.raises(Unavailable, match=line):
        PublishedTTM(release="r1")
    with pytest.raises(UsageError, match=r"got release 'r4'; wanted r1 or r2"):
        PublishedTTM(release="r4")
    with pytest.raises(UsageError, match=r"got padding 'zeros'; wanted zero or mask. Did you mean 'zero'\?"):
        PublishedTTM(tmp_path, padding="zeros")
    with pytest.raises(UsageError, match="got in_sample -1"):
        PublishedTTM(tmp_path, in_sample=-1)
    with pytest.raises(UsageError, match=r"there is no .*nowhere; wanted a folder with config.json"):
        PublishedTTM(tmp_path / "nowhere")
    with pytest.raises(UsageError, match=r"no weights in .* which holds nothing"):
        PublishedTTM(tmp_path)
    mixing: list[dict[str, Any]] = [{"decoder_mode": "mix_channel"}, {"enable_forecast_channel_mixing": True}]
    for k, options in enumerate(mixing):
        with pytest.raises(UsageError, match="no model of single series"):
            PublishedTTM(write(tmp_path / f"mixes{k}", num_input_channels=2, **options))


class Registration:
    """A plugin of this test alone."""

    @hookimpl
    def register_models(self, register: Any) -> None:
        exceptions = {"horizon_prefix": "each horizon has a network of its own"}
        info = ModelInfo("made-ttm", summary="tiny random weights", license="Apache-2.0", max_context=300, exceptions=exceptions)
        register(info, PublishedTTM)


@pytest.fixture(scope="module")
def registered(several: Path) -> list[Check]:
    plugins = Plugins()
    plugins.register(Registration(), "made-ttm")
    return checks("made-ttm", {"weights": str(several)}, plugins)


def test_conformance(registered: list[Check]) -> None:
    """The checks of the kit: same bits in any batch and order, any levels and horizons, difficult contexts, nothing changed."""
    ran = 0
    for check in registered:
        with contextlib.suppress(unittest.SkipTest):  # this test registers it: there is no import to look at
            check()
            ran += 1
    assert ran >= 9
