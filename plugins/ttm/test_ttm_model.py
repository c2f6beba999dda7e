"""The network beside the published counts, key names and numbers, and what must hold whatever the context; its files."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import json
import os
import pickle
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import NormalDist
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'harness-ttm[torch]'")

from harness_ttm.chunks import in_chunks  # noqa: E402
from harness_ttm.config import TTMConfig  # noqa: E402
from harness_ttm.model import TTM  # noqa: E402
from harness_ttm.quick import quick  # noqa: E402
from harness_ttm.weights import load, save  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from harness.errors import UsageError  # noqa: E402

DATA = Path(os.environ.get("HARNESS_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
LINE = "pip install --no-deps --target DIR granite-tsfm==0.3.11, then HARNESS_GRANITE=DIR"

RELEASE: dict[str, Any] = {
    "context_length": 512, "prediction_length": 96, "patch_length": 64, "patch_stride": 64, "d_model": 192, "num_layers": 2,
    "adaptive_patching_levels": 3, "decoder_num_layers": 2, "decoder_d_model": 128, "head_dropout": 0.2, "dropout": 0.2,
}  # fmt: skip
WIDE = {"patch_length": 128, "patch_stride": 128, "d_model": 384, "decoder_d_model": 256}
PREFIX = {"resolution_prefix_tuning": True, "frequency_token_vocab_size": 8}
RELEASED = {  # name: (what differs from 512-96, parameters, of them trained when the backbone is frozen)
    "512-96": ({}, 805_280, 289_696),
    "512-192-r2": ({"prediction_length": 192}, 903_680, 388_096),
    "512-336-r2": ({"prediction_length": 336}, 1_051_280, 535_696),
    "512-720-r2": ({"prediction_length": 720}, 1_444_880, 929_296),
    "1024-96-r1": ({"context_length": 1024}, 946_336, 389_984),
    "1024-96-r2": ({"context_length": 1024, **WIDE}, 2_964_960, 955_424),
    "1536-96-r2": ({"context_length": 1536, **WIDE}, 3_081_120, 1_054_560),
    "1536-720-r2": ({"context_length": 1536, "prediction_length": 720, **WIDE}, 4_998_672, 2_972_112),
    "512-96-ft": ({**PREFIX}, 854_972, 302_162),
    "1024-96-ft": ({"context_length": 1024, **WIDE, **PREFIX}, 3_126_076, 980_178),
    "1536-96-ft": ({"context_length": 1536, **WIDE, **PREFIX}, 3_243_996, 1_079_394),
}
SMALL: dict[str, Any] = {
    "context_length": 64, "prediction_length": 12, "patch_length": 8, "patch_stride": 8, "d_model": 32, "num_layers": 2,
    "adaptive_patching_levels": 3, "decoder_num_layers": 2, "decoder_d_model": 16, "num_input_channels": 3,
}  # fmt: skip
FCM = {"enable_forecast_channel_mixing": True}
OPTIONS: dict[str, dict[str, Any]] = {
    "as released": {},
    "no gates": {"gated_attn": False},
    "batch norm": {"norm_mlp": "BatchNorm"},
    "attention": {"self_attn": True, "self_attn_heads": 2},
    "attention without gates": {"self_attn": True, "gated_attn": False},
    "mix_channel": {"mode": "mix_channel"},
    "mix_channel decoder": {"decoder_mode": "mix_channel"},
    "mix_channel without gates": {"mode": "mix_channel", "decoder_mode": "mix_channel", "gated_attn": False},
    "mix_channel with batch norm": {"mode": "mix_channel", "norm_mlp": "BatchNorm"},
    "no decoder": {"use_decoder": False},
    "raw residual": {"decoder_raw_residual": True},
    "prefix": {**PREFIX},
    "prefix and raw residual": {**PREFIX, "decoder_raw_residual": True},
    "sines": {"use_positional_encoding": True},
    "learnt positions and prefix": {"use_positional_encoding": True, "positional_encoding_type": "random", **PREFIX},
    "mean scaling": {"scaling": "mean"},
    "no scaling": {"scaling": None},
    "scaling true": {"scaling": True},
    "no levels": {"adaptive_patching_levels": 0},
    "one level": {"adaptive_patching_levels": 1},
    "levels too narrow to divide": {"d_model": 16, "adaptive_patching_levels": 4},
    "levels in the decoder": {"decoder_adaptive_patching_levels": 2},
    "as wide as the decoder": {"decoder_d_model": 32},
    "context that patches do not fill": {"context_length": 70},
    "two patches": {"patch_length": 32, "patch_stride": 32},
    "filter": {"prediction_filter_length": 5},
    "some channels": {"prediction_channel_indices": [2, 0]},
    "static categories": {"decoder_mode": "mix_channel", "categorical_vocab_size_list": [3, 5]},
    "wide MLPs, other epsilon": {"expansion_factor": 3, "norm_eps": 1e-3},
    "fcm": {**FCM},
    "fcm, exogenous": {**FCM, "exogenous_channel_indices": [1]},
    "fcm, exogenous, one target": {**FCM, "exogenous_channel_indices": [1], "prediction_channel_indices": [0], "fcm_context_length": 3},
    "fcm, exogenous, filter, mix_channel": {
        **FCM, "exogenous_channel_indices": [0, 2], "prediction_filter_length": 7, "decoder_mode": "mix_channel",
    },
    "fcm with mixer": {**FCM, "fcm_use_mixer": True, "exogenous_channel_indices": [2], "fcm_mix_layers": 3},
    "fcm with mixer, attention": {**FCM, "fcm_use_mixer": True, "self_attn": True, "self_attn_heads": 2},
    "fcm, no gate, no past": {**FCM, "fcm_gated_attn": False, "fcm_prepend_past": False},
    "fcm, offset": {**FCM, "fcm_prepend_past_offset": 2, "fcm_context_length": 2},
    "fcm of single steps": {**FCM, "fcm_context_length": 0, "exogenous_channel_indices": [1]},
}  # fmt: skip


@pytest.fixture(scope="module")
def granite() -> tuple[Any, Any]:
    """Configuration and model class of the reference. Its package imports much that is not needed here, so the two files are."""
    found = importlib.util.find_spec("tsfm_public")
    folders = [os.environ.get("HARNESS_GRANITE", ""), *([str(Path(found.origin).parents[1])] if found and found.origin else [])]
    for folder in filter(None, folders):
        inside = Path(folder) / "tsfm_public" / "models" / "tinytimemixer"
        if inside.is_dir():
            package = types.ModuleType("granite_tinytimemixer")
            package.__path__ = [str(inside)]
            sys.modules[package.__name__] = package
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                configuration = importlib.import_module(f"{package.__name__}.configuration_tinytimemixer")
                modeling = importlib.import_module(f"{package.__name__}.modeling_tinytimemixer")
            return configuration.TinyTimeMixerConfig, modeling.TinyTimeMixerForPrediction
    pytest.skip(f"granite-tsfm is not here: {LINE}")


def scramble(model: nn.Module, size: float = 0.2) -> nn.Module:
    """Random weights: those of a new network hide much (norms of 1, gates that are nearly even)."""
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape) * size)
        for name, buffer in model.named_buffers():
            if "running" in name:
                buffer.copy_(torch.rand(buffer.shape) + 0.5)
    return model.eval()


def made(**options: Any) -> TTM:
    model = scramble(TTM(TTMConfig.from_dict({**SMALL, **options})))
    assert isinstance(model, TTM)
    return model


def extras(values: dict[str, Any], rows: int) -> dict[str, Tensor]:
    """What some options want beside the context."""
    out: dict[str, Tensor] = {}
    if values.get("resolution_prefix_tuning"):
        out["freq_token"] = torch.arange(rows) % values["frequency_token_vocab_size"]
    if values.get("exogenous_channel_indices"):
        out["future_values"] = torch.randn(rows, values["prediction_length"], values["num_input_channels"])
    if sizes := values.get("categorical_vocab_size_list"):
        out["static_categorical_values"] = torch.stack([torch.arange(rows) % size for size in sizes], dim=1)
    return out


def count(model: nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def formula(c: TTMConfig) -> tuple[int, int]:
    """Parameters in all, and those outside the backbone, from the sizes alone."""
    n, d, dd, size = c.tokens, c.d_model, c.decoder_d_model, c.patch_length

    def block(inner: int, width: int) -> int:
        return 2 * width + 5 * inner**2 + 4 * inner

    def layer(patches: int, width: int) -> int:
        return (block(patches, width) if patches > 1 else 0) + block(width, width)

    backbone = size * d + d + sum(c.num_layers * layer(n * 2**i, d // 2**i) for i in range(c.adaptive_patching_levels))
    if c.resolution_prefix_tuning:
        middle = (size + d) // 2
        backbone += c.frequency_token_vocab_size * size + size * middle + middle + middle * d + d
    rest = d * dd + dd + c.decoder_num_layers * layer(n, dd) + n * dd * c.prediction_length + c.prediction_length
    return backbone + rest, rest


@pytest.mark.parametrize("name", RELEASED)
def test_parameters_of_the_released_models(name: str) -> None:
    differs, total, trained = RELEASED[name]
    config = TTMConfig.from_dict({**RELEASE, **differs})
    with torch.device("meta"):
        model = TTM(config)
    assert (count(model), count(model) - count(model.backbone)) == (total, trained) == formula(config)


def keys(c: TTMConfig) -> dict[str, list[int]]:
    """Names and shapes of a released model, from its sizes."""
    out: dict[str, list[int]] = {}

    def linear(name: str, inner: int, outer: int) -> None:
        out[f"{name}.weight"], out[f"{name}.bias"] = [outer, inner], [outer]

    def layer(name: str, patches: int, width: int) -> None:
        for mixer, inner in (("patch_mixer", patches), ("feature_mixer", width)):
            out[f"{name}.{mixer}.norm.norm.weight"] = out[f"{name}.{mixer}.norm.norm.bias"] = [width]
            linear(f"{name}.{mixer}.mlp.fc1", inner, 2 * inner)
            linear(f"{name}.{mixer}.mlp.fc2", 2 * inner, inner)
            linear(f"{name}.{mixer}.gating_block.attn_layer", inner, inner)

    linear("backbone.encoder.patcher", c.patch_length, c.d_model)
    for stored, factor in enumerate((4, 2, 1)):
        for m in range(c.num_layers):
            name = f"backbone.encoder.mlp_mixer_encoder.mixers.{stored}.mixer_layers.{m}"
            layer(name, c.num_patches * factor, c.d_model // factor)
    linear("decoder.adapter", c.d_model, c.decoder_d_model)
    for m in range(c.decoder_num_layers):
        layer(f"decoder.decoder_block.mixers.{m}", c.num_patches, c.decoder_d_model)
    linear("head.base_forecast_block", c.num_patches * c.decoder_d_model, c.prediction_length)
    return out


def test_keys_are_the_published_ones() -> None:
    config = TTMConfig.from_dict(RELEASE)
    with torch.device("meta"):
        ours = {name: list(tensor.shape) for name, tensor in TTM(config).state_dict().items()}
    assert ours == keys(config)
    file = DATA / "oracles" / "ttm_state_keys.txt"
    if not file.exists():
        pytest.skip(f"no {file}; the keys were compared with the generated ones only")
    lines = [line.split(" ", 1) for line in file.read_text().splitlines() if line]
    assert {name: rest.rsplit(" ", 1)[0] for name, rest in lines} == {name: str(tuple(shape)) for name, shape in ours.items()}


@pytest.mark.parametrize("option", OPTIONS)
def test_numbers_are_those_of_the_reference(option: str, granite: tuple[Any, Any]) -> None:
    """In double precision to 1e-9, in single to 1e-5 of the largest: full, long and short contexts, with values missing, and gradients."""
    values = {**SMALL, **OPTIONS[option]}
    theirs = scramble(granite[1](granite[0](**values)))
    ours = TTM(TTMConfig.from_dict(values)).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    rows = 4
    more = extras(values, rows)
    for dtype, close in ((torch.float32, 1e-5), (torch.float64, 1e-9)):
        ours, theirs = ours.to(dtype), theirs.to(dtype)
        more = {k: v.to(dtype) if v.is_floating_point() else v for k, v in more.items()}
        for length in (values["context_length"], 100, 41, 1):
            x = torch.randn(rows, length, 3, dtype=dtype) * 3 + 10
            mask = (torch.rand(rows, length, 3) > 0.3).to(dtype)
            mask[0] = 1
            if values["scaling" if "scaling" in values else "d_model"] == "mean":
                mask[:, -1] = 1  # a row without a value takes its scale from the others there
            reference = theirs(past_values=x * mask, past_observed_mask=mask, **more)
            prediction = ours(torch.where(mask > 0, x, torch.nan), None, **more)
            size = max(1.0, float(reference.prediction_outputs.detach().abs().max()))
            for a, b in zip(
                (prediction.predictions, prediction.loc, prediction.scale), ("prediction_outputs", "loc", "scale"), strict=True
            ):
                torch.testing.assert_close(a, reference[b], rtol=0, atol=close * size)
            with torch.inference_mode(), quick(ours):  # the shorter ways of inference
                again = ours(x, mask, **more).predictions
            torch.testing.assert_close(again, prediction.predictions.detach(), rtol=0, atol=close * size)
    prediction.predictions.square().mean().backward()
    reference.prediction_outputs.square().mean().backward()
    grads = dict(theirs.named_parameters())
    for name, parameter in ours.named_parameters():
        if grads[name].grad is not None:
            torch.testing.assert_close(parameter.grad, grads[name].grad, rtol=1e-7, atol=1e-9, msg=name)


def test_training_is_that_of_the_reference(granite: tuple[Any, Any]) -> None:
    """Dropout is in the same places: means and spreads over many draws agree."""
    values = {**SMALL, "dropout": 0.5, "head_dropout": 0.3, "num_layers": 1, "adaptive_patching_levels": 2, "decoder_num_layers": 1}
    theirs = scramble(granite[1](granite[0](**values))).train()
    ours = TTM(TTMConfig.from_dict(values)).train()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(1, 64, 3).expand(1500, 64, 3)
    a, b = ours(x).predictions.detach(), theirs(past_values=x).prediction_outputs.detach()
    assert a[0].ne(a[1]).any()
    torch.testing.assert_close(a.mean(0), b.mean(0), atol=0.2 * float(b.std(0).mean()), rtol=0)
    torch.testing.assert_close(a.std(0).mean(), b.std(0).mean(), rtol=0.1, atol=0)


def test_a_folder_goes_to_the_reference_and_back(granite: tuple[Any, Any], tmp_path: Path) -> None:
    ours = made(decoder_mode="mix_channel")
    save(ours, tmp_path / "ours")
    x = torch.randn(5, 64, 3)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        theirs = granite[1].from_pretrained(tmp_path / "ours").eval()
        torch.testing.assert_close(theirs(past_values=x).prediction_outputs, ours(x).predictions, rtol=0, atol=1e-4)
        theirs.save_pretrained(tmp_path / "theirs")
    back, config = load(tmp_path / "theirs")
    assert config.quantile_levels == ()  # the file has those of release 3
    assert torch.equal(back(x).predictions, ours(x).predictions)


def test_a_context_that_is_missing_in_part() -> None:
    """NaN, infinity and the mask say the same; the values under the mask do not count; other rows are left alone."""
    model = made()
    x = torch.randn(4, 64, 3) * 5 + 20
    mask = torch.rand(4, 64, 3) > 0.4
    holes = torch.where(mask, x, torch.nan)
    holes[2] = torch.where(mask[2], x[2], -torch.inf)
    with torch.inference_mode():
        wanted = model(torch.where(mask, x, 0), mask).predictions
        assert torch.equal(model(holes).predictions, wanted)
        assert torch.equal(model(torch.where(mask, x, 1e9), mask.float()).predictions, wanted)
        full = model(x).predictions
        one = x.clone()
        one[1] = torch.nan
        assert torch.equal(model(one).predictions[[0, 2, 3]], full[[0, 2, 3]])


@pytest.mark.parametrize("scaling", ["std", "mean", "none"])
def test_difficult_contexts_give_finite_forecasts(scaling: str) -> None:
    model = made(scaling=scaling, quantile_levels=[0.1, 0.5, 0.9])
    contexts = {
        "all missing": torch.full((1, 64, 3), torch.nan),
        "constant": torch.full((1, 64, 3), 7.0),
        "one value": torch.full((1, 1, 3), 7.0),
        "one of many": torch.cat([torch.full((1, 63, 3), torch.nan), torch.ones(1, 1, 3)], dim=1),
        "longer": torch.randn(1, 200, 3),
    }
    for what, x in contexts.items():
        prediction = model(x)
        assert prediction.predictions.isfinite().all() and prediction.quantiles.isfinite().all(), what
    assert torch.equal(model(contexts["longer"]).predictions, model(contexts["longer"][:, -64:]).predictions)
    short = torch.randn(2, 9, 3)
    padded = torch.cat([torch.full((2, 55, 3), torch.nan), short], dim=1)
    assert torch.equal(model(short).predictions, model(padded).predictions)


def test_a_row_without_a_value_is_as_it_would_be_alone() -> None:
    model = made(scaling="mean")
    x = torch.randn(3, 64, 3)
    x[1] = torch.nan
    torch.testing.assert_close(model(x).predictions[1:2], model(x[1:2]).predictions, rtol=0, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(factor=st.floats(0.5, 1e4), shift=st.floats(-1e5, 1e5), seed=st.integers(0, 99))
def test_forecasts_follow_the_unit_of_the_series(factor: float, shift: float, seed: int) -> None:
    model = made(decoder_mode="mix_channel").double()
    x = torch.randn(2, 64, 3, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 10
    with torch.inference_mode():
        a, b = model(x).predictions * factor + shift, model(x * factor + shift).predictions
    torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-4 * factor)  # the scaling adds 1e-5 to the variance


@pytest.mark.parametrize(("mode", "mixes"), [("common_channel", False), ("mix_channel", True)])
def test_channels_are_independent_unless_they_are_mixed(mode: str, mixes: bool) -> None:
    model = made(decoder_mode=mode)
    x = torch.randn(2, 64, 3)
    other = x.clone()
    other[:, :, 2] += torch.linspace(0, 5, 64)[:, None].T
    a, b = model(x).predictions, model(other).predictions
    assert torch.equal(a[..., :2], b[..., :2]) is not mixes


def test_known_future_reaches_the_forecast_and_its_targets_do_not() -> None:
    model = made(**FCM, exogenous_channel_indices=[1])
    x, future = torch.randn(2, 64, 3), torch.randn(2, 12, 3)
    base = model(x, future_values=future).predictions
    assert base.shape == (2, 12, 2)
    targets = future.clone()
    targets[..., [0, 2]] = 99
    assert torch.equal(model(x, future_values=targets).predictions, base)
    known = future.clone()
    known[:, 6, 1] += 1
    changed = (model(x, future_values=known).predictions != base).any(dim=2).any(dim=0)
    assert changed.nonzero().flatten().tolist() == [5, 6, 7]  # one step before and after
    with pytest.raises(ValueError, match=r"channels \[1\] are exogenous; wanted future_values"):
        model(x)


def test_the_frequency_reaches_the_forecast() -> None:
    model = made(**PREFIX)
    x = torch.randn(1, 64, 3).expand(8, -1, -1)
    out = model(x, freq_token=torch.arange(8)).predictions
    assert len({tuple(row.flatten().tolist()) for row in out}) == 8
    with pytest.raises(ValueError, match="freq_token is None"):
        model(x)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), size=st.floats(0.01, 3.0), unit=st.floats(1e-3, 1e6))
def test_quantiles_never_cross(seed: int, size: float, unit: float) -> None:
    levels = [0.05, 0.1, 0.5, 0.6, 0.7, 0.99]
    model = scramble(TTM(TTMConfig.from_dict({**SMALL, "quantile_levels": levels, "prediction_filter_length": 7})), size)
    x = torch.randn(3, 64, 3, generator=torch.Generator().manual_seed(seed)) * unit
    with torch.inference_mode():
        prediction = model(x)
    assert prediction.quantiles.shape == (3, 6, 7, 3)
    assert (prediction.quantiles.diff(dim=1) >= 0).all()
    assert torch.equal(prediction.quantiles[:, 2], prediction.predictions)


def test_a_new_quantile_head_starts_from_the_spread_of_the_context() -> None:
    levels = [0.1, 0.2, 0.5, 0.8, 0.9]
    model = TTM(TTMConfig.from_dict({**SMALL, "quantile_levels": levels})).eval()
    prediction = model(torch.randn(2, 64, 3) * 4)
    apart = (prediction.quantiles - prediction.predictions[:, None]) / prediction.scale[:, None]
    for k, level in enumerate(levels):
        torch.testing.assert_close(apart[:, k], torch.full((2, 12, 3), NormalDist().inv_cdf(level)), atol=1e-5, rtol=0)
    for wrong in ([0.1, 0.9], [0.5, 0.1], [0.0, 0.5]):
        with pytest.raises(ValueError, match=r"wanted rising numbers between 0 and 1, 0.5 among them"):
            TTM(TTMConfig.from_dict({**SMALL, "quantile_levels": wrong}))


def test_patches_with_a_mask_tell_zero_from_missing() -> None:
    values = {**SMALL, "scaling": "none"}
    x = torch.randn(1, 64, 3)
    x[:, 20:30] = 0
    holes = x.clone()
    holes[:, 20:30] = torch.nan
    plain, masked = made(scaling="none"), made(scaling="none", patch_mask=True)
    assert torch.equal(plain(x).predictions, plain(holes).predictions)
    assert not torch.equal(masked(x).predictions, masked(holes).predictions)
    assert count(masked) - count(plain) == SMALL["patch_length"] * values["d_model"]


@contextlib.contextmanager
def adapted(model: TTM) -> Iterator[None]:
    """A low-rank adapter in place of some linear layers, as fine-tuning libraries put it."""

    class Adapter(nn.Module):  # type: ignore[misc]
        def __init__(self, base: nn.Linear) -> None:
            super().__init__()
            self.base, self.more = base, nn.Linear(base.in_features, base.out_features, bias=False)
            nn.init.constant_(self.more.weight, 0.01)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.base(x) + self.more(x)
            return out

    places = [(m, n) for m in model.modules() for n, child in m.named_children() if n in ("fc1", "attn_layer") and type(child) is nn.Linear]
    for parent, name in places:
        setattr(parent, name, Adapter(getattr(parent, name)))
    yield
    for parent, name in places:
        adapter = getattr(parent, name)
        with torch.no_grad():
            adapter.base.weight += adapter.more.weight
        setattr(parent, name, adapter.base)


def test_an_adapter_is_heard_in_every_mixer() -> None:
    """Left in place, and merged into the weights, it gives the same forecast, with gradients and without."""
    model = made(mode="mix_channel")
    x = torch.randn(4, 64, 3)
    before = model(x).predictions
    with adapted(model):
        trained = model(x).predictions
        chunked = in_chunks(model, x, rows=4).predictions
    merged = model(x).predictions
    assert (merged - before).abs().max() > 0.01
    torch.testing.assert_close(trained, merged, rtol=0, atol=1e-4)
    torch.testing.assert_close(chunked, merged, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "options", [RELEASE, {**RELEASE, **RELEASED["1536-96-r2"][0]}, {**RELEASE, "num_input_channels": 3, "decoder_mode": "mix_channel"}]
)
def test_a_window_has_the_same_bits_in_any_batch(options: dict[str, Any]) -> None:
    model = scramble(TTM(TTMConfig.from_dict(options)), 0.05)
    n = 70
    channels = options.get("num_input_channels", 1)
    x = torch.randn(n, options["context_length"], channels, generator=torch.Generator().manual_seed(1))
    whole = in_chunks(model, x).predictions
    assert whole.shape == (n, 96, channels)
    torch.testing.assert_close(whole, model(x).predictions.detach(), rtol=0, atol=1e-5 * float(whole.abs().max()))
    for size in (1, 7, 33):
        parts = [in_chunks(model, x[low : low + size]).predictions for low in range(0, n, size)]
        assert torch.equal(torch.cat(parts), whole), f"batches of {size}"
    order = torch.randperm(n, generator=torch.Generator().manual_seed(2))
    assert torch.equal(in_chunks(model, x[order]).predictions, whole[order])
    beside = x.clone()
    beside[1::2] = torch.nan
    assert torch.equal(in_chunks(model, beside).predictions[0::2], whole[0::2])


def test_the_quick_way_has_the_same_bits() -> None:
    model = scramble(TTM(TTMConfig.from_dict(RELEASE)), 0.05)
    x = torch.randn(8, 512, 1)
    with torch.inference_mode():
        plain = model(x).predictions
        with quick(model):
            assert model.backbone.encoder.mlp_mixer_encoder.quick is not None
            short = model(x).predictions
    assert torch.equal(plain, short)
    assert model.backbone.encoder.mlp_mixer_encoder.quick is None
    with torch.no_grad():
        model.head.base_forecast_block.bias += 1  # weights changed in place are seen
        assert not torch.equal(in_chunks(model, x, rows=8).predictions, short)


def test_threads_share_a_network() -> None:
    model = made()
    inputs = [torch.randn(3, 64, 3, generator=torch.Generator().manual_seed(k)) for k in range(40)]
    wanted = [in_chunks(model, x, rows=4).predictions for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda x: in_chunks(model, x, rows=4).predictions, inputs))
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))


def test_chunks_of_functions_and_tuples() -> None:
    x, y = torch.arange(10.0)[:, None], torch.arange(10)
    a, b, c = in_chunks(lambda x, none, y: (x + y[:, None], none, y), x, None, y, rows=4)
    assert torch.equal(a[:, 0], 2 * torch.arange(10.0)) and b is None and torch.equal(c, y)
    assert in_chunks(lambda x: x * 2, x[:0], rows=4).shape == (0, 1)


def test_weights_round_trip(tmp_path: Path) -> None:
    model = made(quantile_levels=[0.1, 0.5, 0.9], patch_mask=True)
    for _ in range(2):  # the second time over the first
        save(model, tmp_path / "a" / "b")
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == ["b"]
    assert sorted(p.name for p in (tmp_path / "a" / "b").iterdir()) == ["config.json", "model.safetensors"]
    for path in (tmp_path / "a" / "b", tmp_path / "a" / "b" / "model.safetensors"):
        back, config = load(path)
        assert dataclasses.replace(config, unknown={}) == model.config and not back.training
        assert all(torch.equal(p, back.state_dict()[name]) for name, p in model.state_dict().items())
    torch.save(model.state_dict(), tmp_path / "a" / "b" / "w.pt")
    again, _ = load(tmp_path / "a" / "b" / "w.pt", prediction_filter_length=3)
    x = torch.randn(1, 64, 3)
    assert torch.equal(again(x).predictions, model(x).predictions[:, :3])


def test_an_override_may_add_parts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = made()
    save(model, tmp_path / "w")
    wider, config = load(tmp_path / "w", decoder_mode="mix_channel", quantile_levels=[0.1, 0.5, 0.9])
    assert config.decoder_mode == "mix_channel" and "begin untrained, decoder.decoder_block" in caplog.text
    assert torch.equal(wider.state_dict()["head.base_forecast_block.weight"], model.state_dict()["head.base_forecast_block.weight"])
    with pytest.raises(UsageError, match=r"there is no option 'decoder_mod' .* Did you mean 'decoder_mode'\?"):
        load(tmp_path / "w", decoder_mod="mix_channel")
    with pytest.raises(UsageError, match=r"head.base_forecast_block.weight is \[12, 128\] in the file and \[12, 256\] by the conf"):
        load(tmp_path / "w", use_decoder=False)
    with pytest.raises(
        UsageError, match=r"decoder.adapter.weight is missing in the file and \[16, 32\] by the configuration; 1 others differ"
    ):
        tensors = {k: v for k, v in model.state_dict().items() if not k.startswith("decoder.adapter")}
        torch.save(tensors, tmp_path / "w" / "w.pt")
        load(tmp_path / "w" / "w.pt", quantile_levels=[0.5, 0.9])


def test_a_failed_save_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = made()
    save(model, tmp_path / "w")
    before = (tmp_path / "w" / "model.safetensors").read_bytes()

    def broken(path: Path, content: bytes) -> int:
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError("no space")

    monkeypatch.setattr(Path, "write_bytes", broken)
    for folder in ("w", "new"):
        with pytest.raises(OSError, match="no space"):
            save(model, tmp_path / folder)
    assert (tmp_path / "w" / "model.safetensors").read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["w"]


class Evil:
    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return (os.system, ("false",))


def _truncated(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])


def _config(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        file = folder / "config.json"
        values = {**json.loads(file.read_text()), **changes}
        file.write_text(json.dumps({k: v for k, v in values.items() if v is not None}))

    return change


def _pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"w": Evil()}))


BROKEN: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no weights": (
        lambda f: (f / "model.safetensors").unlink(),
        r"no weights in .* which holds config.json; wanted config.json and model.saf",
    ),
    "no config": (
        lambda f: (f / "config.json").unlink(),
        r"there is no .*config.json; wanted a folder with config.json and model.safetensors",
    ),
    "truncated": (_truncated, r"model.safetensors cannot be read \(5000 bytes; .*\); fetch it again"),
    "not JSON": (lambda f: (f / "config.json").write_text("{"), r"config.json is no JSON"),
    "another model": (_config(model_type="patchtst"), r"not the configuration of a TinyTimeMixer: its model_type is 'patchtst'"),
    "no sizes": (_config(d_model=None), r"not the configuration of a TinyTimeMixer: it has no d_model"),
    "other sizes": (
        _config(prediction_length=24),
        r"head.base_forecast_block.weight is \[12, 128\] in the file and \[24, 128\] by the configuration; 1 others differ",
    ),
    "release 3": (_config(multi_scale=True, multi_quantile_head=True), r"the configuration has multi_quantile_head=True, multi_scale=True"),
    "bad value": (_config(mode="mixed"), r"mode is 'mixed'; wanted common_channel, mix_channel"),
    "pickle": (_pickle, r"pytorch_model.bin cannot be read"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_broken_weights_are_refused(what: str, tmp_path: Path) -> None:
    save(made(), tmp_path / "w")
    harm, message = BROKEN[what]
    harm(tmp_path / "w")
    with pytest.raises(UsageError, match=message):
        load(tmp_path / "w")


def test_paths_that_are_nothing_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no .*nowhere; wanted a folder with config.json and model.safetensors"):
        load(tmp_path / "nowhere")
    (tmp_path / "w.csv").write_text("1")
    with pytest.raises(UsageError, match=r"w.csv is no file of weights; wanted .safetensors"):
        load(tmp_path / "w.csv")


def test_configurations_keep_what_they_do_not_know() -> None:
    published = {
        **RELEASE,
        "model_type": "tinytimemixer",
        "self_attn": False,
        "quantile_levels": [0.1, 0.5, 0.9],
        "multi_quantile_head": False,
    }
    config = TTMConfig.from_dict(published)
    assert config.quantile_levels == () and config.unknown == {"model_type": "tinytimemixer"}
    again = TTMConfig.from_dict(json.loads(json.dumps(config.to_dict())))
    assert again == config
    own = config.replaced(quantile_levels=[0.1, 0.5, 0.9])
    assert TTMConfig.from_dict(json.loads(json.dumps(own.to_dict()))) == own
    assert TTMConfig.from_dict({"scaling": True}).scaling == "std" and TTMConfig.from_dict({"scaling": None}).scaling == "none"
    for wrong, message in (
        ({"patch_length": 65}, "wanted 1 to context_length"),
        ({"prediction_filter_length": 17}, "wanted 1 to prediction_length"),
        ({"prediction_channel_indices": (1,)}, "wanted 0 to 0"),
        ({"adaptive_patching_levels": 6}, "wanted a multiple of 32"),
        ({"scaling": "max"}, "wanted std, mean, none"),
        ({"categorical_vocab_size_list": (3,)}, "wanted decoder_mode 'mix_channel'"),
    ):
        with pytest.raises(ValueError, match=message):
            TTMConfig(**wrong)
