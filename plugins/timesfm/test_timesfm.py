"""TimesFM 2.5 beside the bare library, on small networks with random weights that the library itself has written."""

from __future__ import annotations

import doctest
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install torch")
timesfm: Any = pytest.importorskip("timesfm", reason="timesfm is not installed: pip install 'timesfm>=3.0,<3.1'")

import tiny_timesfm as tiny  # noqa: E402
from harness_timesfm import TimesFM25, contexts, parameters, weights25  # noqa: E402
from harness_timesfm.contexts import clean, fill, interpolate, widths  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from harness import Batch, Ragged, Unavailable, Unsupported, UsageError  # noqa: E402
from harness.errors import PluginError  # noqa: E402
from harness.forecast import F32, F64  # noqa: E402
from harness.testing import checks, make_batch  # noqa: E402

DATA = Path(os.environ.get("HARNESS_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
PARAMS: dict[str, Any] = {"context": 128, "steps": 3, "train_batch": 4, "train_context": 64}


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("timesfm25")
    tiny.write_25(folder)
    return folder


@pytest.fixture(scope="session")
def bare(weights: Path) -> Any:
    """The library's own model of these weights, by its own loader."""
    return tiny.read_25(weights)


def wave(length: int, seed: int = 0, level: float = 20.0) -> F32:
    rng = np.random.default_rng(seed)
    y: F64 = level + 5 * np.sin(np.arange(length) / 24 * 2 * np.pi) + rng.normal(size=length).cumsum() / 4
    return y.astype(np.float32)


def library(bare: Any, rows: list[F32], horizon: int, context: int, size: int = 1, **options: Any) -> F32:
    """What the bare library forecasts, [N, 10, H]."""
    usual: dict[str, Any] = {"use_continuous_quantile_head": True, "force_flip_invariance": True, "infer_is_positive": True}
    usual |= {"normalize_inputs": True, "fix_quantile_crossing": True, "max_horizon": horizon}
    bare.compile(timesfm.ForecastConfig(max_context=context, per_core_batch_size=size, **{**usual, **options}))
    _, quantiles = bare.forecast(horizon=horizon, inputs=[row.copy() for row in rows])
    return np.ascontiguousarray(quantiles.transpose(0, 2, 1))


def ours(model: TimesFM25, rows: list[F32], horizon: int, **options: Any) -> F32:
    """Mean and deciles [N, 10, H] of our model."""
    forecast = model.predict(Batch.from_contexts(rows, horizon, **options))
    assert forecast.mean is not None and forecast.levels is not None
    np.testing.assert_allclose(forecast.levels, np.arange(1, 10) / 10)
    return np.concatenate([forecast.mean[:, None], forecast.values], axis=1)


@pytest.mark.parametrize("name", [c.name for c in checks("timesfm-2.5")])
def test_conformance(name: str, weights: Path) -> None:
    {c.name: c for c in checks("timesfm-2.5", {"weights": str(weights), **PARAMS})}[name]()


@pytest.mark.parametrize("module", [contexts], ids=lambda m: m.__name__)
def test_examples_in_docstrings(module: Any) -> None:
    result = doctest.testmod(module, extraglobs={"np": np})
    assert result.attempted and not result.failed


@pytest.mark.parametrize("horizon", [1, 24, 150])
def test_the_same_bits_as_the_bare_library(weights: Path, bare: Any, horizon: int) -> None:
    rows = [wave(128), wave(300, 1), wave(97, 2)]
    rows[1][[3, 250, 251, 299]] = np.nan  # one out of sight, two inside, one at the end
    rows[2][:1] = np.nan  # 96 are left: a width of its own
    model = TimesFM25(str(weights), context=128, per_core_batch_size=4)
    wanted = library(bare, rows[:2], horizon, 128, 4)
    np.testing.assert_array_equal(ours(model, rows[:2], horizon), wanted)
    np.testing.assert_array_equal(ours(model, rows, horizon)[2:], library(bare, rows[2:], horizon, 96, 4))
    assert not model.notes


def test_as_the_bare_library_whatever_it_pads_to(weights: Path, bare: Any) -> None:
    rows = [wave(length, length) for length in (1, 2, 31, 33, 64, 200, 500, 512, 700)]
    wanted = library(bare, rows, 40, 512)
    unit = np.array([max(np.std(row), 1e-3) for row in rows])[:, None, None]
    found = ours(TimesFM25(str(weights), context=512), rows, 40)
    # The library scales padded contexts by a deviation over their zeros, too: rounding alone, and less of it in narrow ones.
    assert np.abs((found - wanted) / unit).max() < 1e-3
    np.testing.assert_allclose(found, library(bare, rows, 40, 512, normalize_inputs=False), atol=2e-3 * unit.max())


def test_options_are_those_of_the_library(weights: Path, bare: Any) -> None:
    row = [wave(64, 3) - 22]
    for name in ("normalize_inputs", "force_flip_invariance", "infer_is_positive", "fix_quantile_crossing"):
        for value in (True, False):
            model = TimesFM25(str(weights), per_core_batch_size=1, **{name: value})
            np.testing.assert_array_equal(ours(model, row, 9), library(bare, row, 9, 64, **{name: value}))
    flat = ours(TimesFM25(str(weights), use_continuous_quantile_head=False, per_core_batch_size=1), row, 9)
    np.testing.assert_array_equal(flat, library(bare, row, 9, 64, use_continuous_quantile_head=False))
    # Negated series have negated forecasts, deciles the other way round; without the option they do not.
    for flip in (True, False):
        model = TimesFM25(str(weights), force_flip_invariance=flip, infer_is_positive=False)
        there, back = ours(model, row, 9), -ours(model, [-row[0]], 9)[:, [0, *range(9, 0, -1)]]
        assert np.allclose(there, back, atol=1e-3) == flip


def test_horizons_beyond_the_heads_and_beyond_the_context(weights: Path, bare: Any) -> None:
    row = [wave(70)]
    model = TimesFM25(str(weights), per_core_batch_size=1)
    ours(model, row, 256)
    assert "quantile head" not in model.notes
    np.testing.assert_array_equal(ours(model, row, 257), library(bare, row, 257, 96, use_continuous_quantile_head=False))
    assert model.notes == {"quantile head": "not used: it reaches 256 steps"}
    with pytest.raises(Unsupported, match="quantile head reaches 256 steps and 257 are asked for; leave use_continuous_quantile_head out"):
        ours(TimesFM25(str(weights), use_continuous_quantile_head=True), row, 257)
    whole = TimesFM25(str(weights), context=16384)
    assert whole.forecaster.reach(6).context == 16384 - 128
    assert whole.notes["context"] == "16256 steps: no more has room beside the horizon"
    assert whole.forecaster.reach(16_256).context == 128
    with pytest.raises(Unsupported, match="16257 steps ahead and a context are more than the 16384 steps"):
        whole.forecaster.reach(16_257)
    assert TimesFM25(str(weights), context=500).forecaster.reach(6).context == 512


def test_a_long_context(weights: Path, bare: Any) -> None:
    row = [wave(9000)]
    found = ours(TimesFM25(str(weights), context=8192, per_core_batch_size=1), row, 5)
    np.testing.assert_array_equal(found, library(bare, row, 5, 8192))


def test_what_the_library_cannot_take(weights: Path) -> None:
    nan, inf, y = np.float32(np.nan), np.float32(np.inf), wave(60)
    holed, infinite = y.copy(), y.copy()
    holed[[20, 59]], infinite[20], infinite[59] = nan, inf, -inf
    model = TimesFM25(str(weights))
    rows = [np.full(40, nan), holed, infinite, np.array([inf]), y, y * np.float32(2.0**80), y * np.float32(2.0**-40)]
    found = ours(model, rows, 6)
    assert np.isfinite(found).all()
    assert not found[[0, 3]].any()
    np.testing.assert_array_equal(found[1], found[2])
    assert model.notes == {
        "windows all missing, forecast as 0": 2,
        "windows with infinite values, taken as missing": 2,
        "windows forecast at another size": 2,
    }
    np.testing.assert_allclose(found[5] / 2.0**80, found[4], rtol=1e-3)
    np.testing.assert_allclose(found[6] * 2.0**40, found[4], rtol=1e-3)
    empty = Batch.from_contexts([np.array([]), y], 6)
    assert not model.predict(empty).values[0].any()


def test_a_forecast_is_the_same_bits_whatever_travels_with_it(weights: Path) -> None:
    rows = [wave(length, length) for length in range(3, 400, 13)]
    model = TimesFM25(str(weights), context=256)
    whole = ours(model, rows, 30)
    for row in (0, 7, 19, len(rows) - 1):
        np.testing.assert_array_equal(ours(model, [rows[row]], 30)[0], whole[row])
    np.testing.assert_array_equal(ours(model, rows[::-1], 30)[::-1], whole)
    np.testing.assert_array_equal(ours(model, rows[5:9], 30), whole[5:9])
    assert np.unique(widths(np.array([len(r) for r in rows]), 256, 32)).tolist() == [32, 64, 96, 128, 160, 192, 224, 256]


def test_widths_follow_from_each_length() -> None:
    lengths = np.arange(1, 5000)
    found = widths(lengths, 4096, 32)
    needed = np.minimum(lengths, 4096)
    assert (found >= needed).all() and (found % 32 == 0).all() and found.max() == 4096
    assert (found[256:] < 1.25 * needed[256:] + 32).all()
    assert len(np.unique(found)) == 8 + 4 * 4


def test_cleaning_beside_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    rows = [np.where(rng.random(n) < 0.3, np.nan, rng.normal(size=n)).astype(np.float32) for n in rng.integers(1, 9, 200)]
    rows[3][:] = np.inf
    histories = clean(Ragged.from_rows(rows))
    for number, row in enumerate(rows):
        seen = np.flatnonzero(np.isfinite(row))
        wanted = row[seen[0] :] if len(seen) else row[:0]
        np.testing.assert_array_equal(histories[number], np.where(np.isfinite(wanted), wanted, np.nan))
        if len(seen):
            line = np.interp(np.arange(len(wanted)), np.flatnonzero(np.isfinite(wanted)), wanted[np.isfinite(wanted)])
            np.testing.assert_allclose(interpolate(histories[number]), line, rtol=1e-6)
            np.testing.assert_allclose(fill(wanted[None])[0], line, rtol=1e-5, atol=1e-6)


def test_weights_by_a_relative_path_ask_no_hub(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("timesfm.timesfm_2p5.timesfm_2p5_torch.hf_hub_download", refuse)
    monkeypatch.setattr("huggingface_hub.file_download.hf_hub_download", refuse)
    monkeypatch.chdir(weights.parent)
    batch = make_batch()
    by_name = TimesFM25(weights.name).predict(batch).values
    np.testing.assert_array_equal(by_name, TimesFM25(str(weights / "model.safetensors")).predict(batch).values)


@pytest.mark.parametrize("sizes", [{"width": 24, "layers": 1, "heads": 3}, {"width": 8, "layers": 3, "quantile_steps": 128}])
def test_networks_of_other_sizes_load_without_being_told(tmp_path: Path, sizes: dict[str, int]) -> None:
    wanted = tiny.definition(**sizes)
    made = tiny.write_25(tmp_path, sizes=wanted)
    model = TimesFM25(str(tmp_path), per_core_batch_size=1)
    assert model.forecaster.library.model.config == wanted
    np.testing.assert_array_equal(ours(model, [wave(50)], 8), library(made, [wave(50)], 8, 64))
    assert tiny.MODULE.config.tokenizer.hidden_dims == 1280  # the library's class is as it was


def test_weights_of_half_precision(weights: Path, tmp_path: Path) -> None:
    save_file({name: value.bfloat16() for name, value in load_file(weights / "model.safetensors").items()}, tmp_path / "model.safetensors")
    model = TimesFM25(str(tmp_path))
    assert {value.dtype for value in model.forecaster.library.model.parameters()} == {torch.float32}
    assert np.isfinite(ours(model, [wave(50)], 8)).all()


def test_weights_that_are_of_something_else(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = load_file(weights / "model.safetensors")
    for change, said in (
        (lambda s: s.pop("tokenizer.hidden_layer.weight"), "KeyError: 'tokenizer.hidden_layer.weight'"),
        (lambda s: s.pop("stacked_xf.1.ff1.weight"), "stacked_xf.1.ff1.weight"),
        (lambda s: s.update({"stacked_xf.7.ff1.weight": torch.zeros(1)}), r"layers stacked_xf.N with the numbers \[0, 1, 7\]"),
        (lambda s: s.update({"output_projection_point.output_layer.weight": torch.zeros(15, 16)}), "15 is no multiple of 10"),
        (lambda s: s.clear() or s.update({"decoder.weight": torch.zeros(2)}), "has 1 tensors: decoder.weight"),
    ):
        state = dict(whole)
        change(state)
        save_file(state, tmp_path / "model.safetensors")
        with pytest.raises(UsageError, match=said) as caught:
            TimesFM25(str(tmp_path))
        assert str(tmp_path) in str(caught.value) and "wanted model.safetensors" in str(caught.value)
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(UsageError, match="cannot be read as safetensors"):
        TimesFM25(str(tmp_path))
    for error in (MemoryError, torch.OutOfMemoryError):  # no fault of the file
        with monkeypatch.context() as patch:
            patch.setattr("harness_timesfm.weights25.load_file", Mock(side_effect=error("full")))
            with pytest.raises(error, match="full"):
                TimesFM25(str(tmp_path))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="there is no file"):
        TimesFM25(str(tmp_path))


def test_without_weights_it_says_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(Unavailable, match=r"harness weights pull timesfm-2\.5"):
        TimesFM25()


def test_the_published_sizes() -> None:
    """The keys and shapes of the published network, from a list; its definition is read off them."""
    listed = DATA / "oracles" / "timesfm25_state_keys.txt"
    if not listed.exists():
        pytest.skip(f"no {listed}; set HARNESS_TEST_DATA to a folder that has it")
    shapes: dict[str, tuple[int, ...]] = {}
    for line in listed.read_text().splitlines():
        name, _, shape = line.partition(" ")
        shapes[name] = tuple(int(n) for n in shape.strip("()").split(",") if n.strip())
    definition = weights25.definition_of(shapes)
    assert definition == tiny.MODULE.config
    state = weights25.build(definition).model.state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == shapes
    from harness_timesfm.cards import TIMESFM_25

    assert sum(value.numel() for value in state.values()) == TIMESFM_25.parameters


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"context": 0}, "context got 0; wanted a whole number"),
        ({"per_core_batch_size": True}, "per_core_batch_size got True"),
        ({"covariates": "xreg"}, "covariates got 'xreg'; wanted 'xreg . timesfm' or 'timesfm . xreg'"),
        ({"ridge": -1}, "ridge got -1"),
        ({"part": "lora"}, "part got 'lora'; wanted lora:RANK"),
        ({"learning_rate": 2}, "learning_rate got 2"),
        ({"infer_is_positive": 1}, "infer_is_positive got 1; wanted true or false"),
        ({"device": "tpu"}, "device got 'tpu'; wanted cpu, cuda"),
    ],
)
def test_parameters_that_make_no_sense(weights: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        TimesFM25(str(weights), **options)


def test_a_missing_package_is_named(weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: Callable[[str], Any] = parameters.importlib.util.find_spec  # type: ignore[attr-defined]
    monkeypatch.setattr(parameters.importlib.util, "find_spec", lambda name: None if name == "jax" else found(name))  # type: ignore[attr-defined]
    TimesFM25(str(weights))
    with pytest.raises(PluginError, match=r"with covariates= needs the package 'jax'.*pip install 'harness-timesfm\[xreg\]'"):
        TimesFM25(str(weights), covariates="xreg + timesfm")
