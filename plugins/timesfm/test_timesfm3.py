"""TimesFM 3.0 beside the bare library, on small networks with random weights that the library itself has written."""

from __future__ import annotations

import gc
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install torch")
timesfm3: Any = pytest.importorskip("timesfm3", reason="timesfm is not installed: pip install 'timesfm>=3.0,<3.1'")

import tiny_timesfm as tiny  # noqa: E402
from harness_timesfm import TimesFM3, forecaster3  # noqa: E402
from harness_timesfm.cards import TIMESFM_3  # noqa: E402

from harness import Batch, Ragged, Unavailable, UsageError  # noqa: E402
from harness.forecast import F32  # noqa: E402
from harness.testing import checks  # noqa: E402
from harness.weights import missing  # noqa: E402


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("timesfm3")
    tiny.write_3(folder)
    return folder


@pytest.fixture(scope="session")
def bare(weights: Path) -> Any:
    """The library's own forecaster of these weights."""
    return timesfm3.TimesFM3Forecaster.from_pretrained(str(weights), device="cpu", per_core_batch_size=2)


def wave(length: int, seed: int = 0) -> F32:
    rng = np.random.default_rng(seed)
    return (20 + 5 * np.sin(np.arange(length) / 24 * 2 * np.pi) + rng.normal(size=length).cumsum() / 4).astype(np.float32)


def library(bare: Any, contexts: list[F32], horizon: int, **options: Any) -> list[F32]:
    """What the bare library forecasts: [V, 9, H] of each item."""
    usual: dict[str, Any] = {"use_symmetric_averaging": True, "make_positive": True, "return_quantiles": True}
    with forecaster3.cheap_collection():
        answers = list(bare.predict_batch(contexts, horizon, **{**usual, **options}))
    return [np.moveaxis(np.atleast_3d(a.quantiles) if a.quantiles.ndim == 3 else a.quantiles[None], 1, 2) for a in answers]


def items(rows: list[F32], horizon: int, group: list[int]) -> Batch:
    return replace(Batch.from_contexts(rows, horizon), group=np.array(group))


@pytest.mark.parametrize("name", [c.name for c in checks("timesfm-3")])
def test_conformance(name: str, weights: Path) -> None:
    {c.name: c for c in checks("timesfm-3", {"weights": str(weights), "context": 128})}[name]()


@pytest.mark.parametrize("horizon", [1, 64, 150])
def test_the_same_bits_as_the_bare_library(weights: Path, bare: Any, horizon: int) -> None:
    row = wave(100)
    row[[40, 41, 99]] = np.nan
    model = TimesFM3(str(weights), per_core_batch_size=1)
    found = model.predict(Batch.from_contexts([row], horizon))
    assert found.levels is not None and found.levels.tolist() == [q / 10 for q in range(1, 10)]
    np.testing.assert_array_equal(found.values[:1], library(bare, [row], horizon)[0])
    for name, value in (("use_symmetric_averaging", False), ("use_znorm", True), ("make_positive", False)):
        model = TimesFM3(str(weights), per_core_batch_size=1, **{name: value})
        bare.config.per_core_batch_size = 1 if name == "use_symmetric_averaging" else 2
        answer = library(bare, [row - 20], horizon, **{name: value})[0]
        np.testing.assert_array_equal(model.predict(Batch.from_contexts([row - 20], horizon)).values, answer)
    bare.config.per_core_batch_size = 2


def test_items_of_several_variates_with_covariates(weights: Path, bare: Any) -> None:
    rows = [wave(90, k) for k in range(6)]
    rows[1][:7] = np.nan  # a variate that begins later
    past = [[wave(90, 10)] * 3 + [wave(90, 11)] * 3, [wave(90, 12)] * 6]
    plan = [[wave(90 + 20, 13)] * 3 + [wave(90 + 20, 14)] * 3]
    plan[0][0] = plan[0][0].copy()
    batch = items(rows, 20, [5, 5, 5, 2, 2, 2])
    batch = replace(
        batch,
        past_covariates=tuple(Ragged.from_rows(rows) for rows in past),
        known_covariates=tuple(Ragged.from_rows(rows) for rows in plan),
    )
    for padding in ("none", "edge"):
        model = TimesFM3(str(weights), per_core_batch_size=1, padding_mode=padding)
        found = model.predict(batch).values
        for low in (0, 3):
            wanted = library(
                bare,
                [np.stack(rows[low : low + 3])],
                20,
                past_only_covariates=[np.stack([p[low] for p in past])],
                past_future_covariates=[np.stack([p[low] for p in plan])],
                padding_mode=padding,
            )
            np.testing.assert_array_equal(found[low : low + 3], wanted[0])
    without = TimesFM3(str(weights), per_core_batch_size=1, covariates=False).predict(batch).values
    np.testing.assert_array_equal(without[:3], library(bare, [np.stack(rows[:3])], 20)[0])
    alone = TimesFM3(str(weights), per_core_batch_size=1, covariates=False, joint=False).predict(batch).values
    np.testing.assert_array_equal(alone[:1], library(bare, [rows[0]], 20)[0])
    assert not np.allclose(alone, without, atol=1e-3)


def test_an_item_is_forecast_alike_whatever_travels_with_it(weights: Path, bare: Any) -> None:
    lengths = [3, 40, 64, 65, 100, 280, 300, 320, 350, 500]
    rows = [wave(length, length) for length in lengths]
    rows[6][[0, 1, 2, 150]] = np.nan
    model = TimesFM3(str(weights), context=320, per_core_batch_size=3)
    whole = model.predict(Batch.from_contexts(rows, 30)).values
    for row in range(len(rows)):
        np.testing.assert_array_equal(model.predict(Batch.from_contexts([rows[row]], 30)).values[0], whole[row])
    np.testing.assert_array_equal(model.predict(Batch.from_contexts(rows[::-1], 30)).values[::-1], whole)
    for row, length in enumerate(lengths):
        wanted = library(bare, [rows[row][-320:]], 30)[0][0]
        np.testing.assert_allclose(whole[row], wanted, rtol=1e-4, atol=1e-4 * np.nanstd(rows[row]), err_msg=str(length))
    # How many go together follows from the patches that they fill, not from the batch.
    auto = TimesFM3(str(weights))
    sizes = set()
    for some in ([wave(33)], [wave(64)], [wave(33), wave(64), wave(50)]):
        auto.predict(Batch.from_contexts(some, 30))
        sizes.add(auto.forecaster.library.config.per_core_batch_size)
    assert len(sizes) == 1
    # What the library itself makes of them together is another forecast.
    bare.config.per_core_batch_size = 2 * len(rows)
    together = library(bare, rows, 30)[5][0]
    bare.config.per_core_batch_size = 2
    assert np.abs(together - whole[5]).max() > 0.01 * np.std(rows[5])


def test_what_the_library_cannot_take(weights: Path) -> None:
    nan, y = np.float32(np.nan), wave(60)
    infinite = y.copy()
    infinite[[20, 59]] = np.inf
    rows = [np.full(60, nan), infinite, y, y * np.float32(2.0**80), y * np.float32(2.0**-40), np.full(60, nan), y, np.full(60, nan)]
    model = TimesFM3(str(weights))
    found = model.predict(items(rows, 6, [0, 1, 2, 3, 4, 5, 6, 6])).values
    assert np.isfinite(found).all() and not found[[0, 5, 7]].any() and found[6].any()
    assert model.notes == {
        "windows all missing, forecast as 0": 3,
        "windows with infinite values, taken as missing": 1,
        "windows forecast at another size": 2,
    }
    np.testing.assert_allclose(found[3] / 2.0**80, found[2], rtol=1e-3)
    np.testing.assert_allclose(found[4] * 2.0**40, found[2], rtol=1e-3)
    # A long gap up to the cutoff: the last value before it goes on, also where the context is cut within the gap.
    gap = np.concatenate([y, np.full(200, nan)])
    held = np.concatenate([y, np.full(200, y[-1])])
    short = TimesFM3(str(weights), context=64)
    np.testing.assert_array_equal(short.predict(Batch.from_contexts([gap], 6)).values, short.predict(Batch.from_contexts([held], 6)).values)


def test_many_variates_are_taken_apart(weights: Path) -> None:
    rows = [wave(40, k) for k in range(40)]
    model = TimesFM3(str(weights), use_symmetric_averaging=False)
    found = model.predict(items(rows, 5, [0] * 40)).values
    first = model.predict(items(rows[:32], 5, [0] * 32)).values
    np.testing.assert_allclose(found[:32], first, rtol=1e-4, atol=1e-3)


def test_the_collector_is_as_before(weights: Path) -> None:
    TimesFM3(str(weights)).predict(Batch.from_contexts([wave(40)], 5))
    assert gc.get_freeze_count() == 0
    gc.freeze()
    try:
        TimesFM3(str(weights)).predict(Batch.from_contexts([wave(40)], 5))
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_weights_that_are_of_something_else(weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"there is no file .*config.json; wanted a folder with config.json and model.safetensors"):
        TimesFM3(str(tmp_path))
    tiny.write_25(tmp_path)
    with pytest.raises(UsageError, match=r"config\.json has no input_patch_len"):
        TimesFM3(str(tmp_path))
    config = json.loads((weights / "config.json").read_text())
    config["transformer_config"]["num_layers"] = 3
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "model.safetensors").write_bytes((weights / "model.safetensors").read_bytes())
    with pytest.raises(UsageError, match=r"differ in .* tensors, one of them transformer_stack\.layers\.2"):
        TimesFM3(str(tmp_path))
    config["transformer_config"]["num_layers"], config["transformer_config"]["transformer"]["hidden_dims"] = 2, 24
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(UsageError, match=r"is not of this model: .*(size mismatch|shape)"):
        TimesFM3(str(tmp_path))
    monkeypatch.chdir(weights.parent)
    TimesFM3(weights.name)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(Unavailable, match="harness weights pull timesfm-3"):
        TimesFM3()


def test_terms_are_said_before_weights_are_fetched() -> None:
    said = str(missing(TIMESFM_3.name, TIMESFM_3.weights, TIMESFM_3.weights_license, TIMESFM_3.weights_note))
    assert "timesfm-non-commercial-license-v1.0" in said and "non-commercial, non-production use alone" in said
    # The library's own default is where the weights are.
    assert TIMESFM_3.weights == f"hf:{timesfm3.ModelConfig().checkpoint_path}"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"context": -1}, "context got -1"),
        ({"joint": "yes"}, "joint got 'yes'; wanted true or false"),
        ({"padding_mode": "zero"}, "none or edge"),
    ],
)
def test_parameters_that_make_no_sense(weights: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        TimesFM3(str(weights), **options)
