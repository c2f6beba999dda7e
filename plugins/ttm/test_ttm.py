"""The registered models: the conformance kit, the files that ship, and forecasts of real data."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness_ttm.config import TTMConfig
from harness_ttm.models import TTM, TTMBlend, TTMRelease
from harness_ttm.shipped import SHIPPED, digest

import harness
from harness import Batch, Unsupported, UsageError
from harness.testing import Check, checks

LEARNING = ("finetune", "save")
"""Checks that train: on tiny weights, below."""
TINY = {
    "context_length": 64,
    "patch_length": 16,
    "patch_stride": 16,
    "d_model": 16,
    "num_layers": 1,
    "decoder_d_model": 8,
    "decoder_num_layers": 1,
    "dropout": 0.0,
    "quantile_levels": [0.1, 0.5, 0.9],
    "patch_mask": True,
    "season_fold": True,
    "fold_width": 16,
    "fold_layers": 1,
    "fold_context": 16,
    "history_length": 256,
    "max_horizon": 96,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model with random weights."""
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'harness-ttm[torch]'")
    from harness_ttm.season_head import SeasonTTM
    from harness_ttm.weights import save

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("tiny")
    save(SeasonTTM(TTMConfig.from_dict(TINY)), path)
    return path


@pytest.mark.parametrize("check", [c for c in checks("ttm") if c.name not in LEARNING], ids=str)
def test_conformance_of_the_shipped_model(check: Check) -> None:
    check()


@pytest.mark.parametrize("check", checks("ttm-blend"), ids=str)
def test_conformance_of_the_blend(check: Check) -> None:
    check()


@pytest.mark.parametrize("name", LEARNING)
def test_training_conforms_on_tiny_weights(folder: Path, name: str) -> None:
    (check,) = [c for c in checks("ttm", {"weights": str(folder), "steps": 3, "learning_rate": 0.001}) if c.name == name]
    check()


def test_the_files_that_ship() -> None:
    facts = json.loads((SHIPPED / "facts.json").read_text())
    weights = SHIPPED / "model.safetensors"
    assert digest() == facts["sha256"]  # of all files that decide a forecast
    assert facts["parameters"] <= 5_000_000
    assert sum(f.stat().st_size for f in SHIPPED.rglob("*")) <= 16 << 20
    assert {"config.json", "model.onnx", "README.md", "recipe.yaml", "curve.csv"} <= {f.name for f in SHIPPED.iterdir()}
    header = json.loads(weights.read_bytes()[8 : 8 + int.from_bytes(weights.read_bytes()[:8], "little")])
    assert sum(int(np.prod(v["shape"])) for k, v in header.items() if k != "__metadata__") == facts["parameters"]


def test_forecasting_imports_no_torch() -> None:
    program = """
import sys, numpy as np
from harness import Batch
from harness_ttm.models import TTM
model = TTM(runtime="onnx")
model.predict(Batch.from_contexts([np.arange(50.0)], 12, freq="M", season_length=12))
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"], done.stderr


def test_onnx_and_torch_agree_on_the_shipped_model() -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install 'harness-ttm[torch]'")
    rng = np.random.default_rng(0)
    batch = Batch.from_contexts([rng.normal(size=n).cumsum() for n in (10, 200, 3000)], 60, freq="H", season_length=24)
    a, b = (TTM(runtime=r).predict(batch).values for r in ("onnx", "torch"))
    np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(a).max())


def test_better_than_seasonal_naive_on_real_data(tmp_path: Path) -> None:
    """Bounds with room to spare over what was measured; weights that are damaged or not trained miss them by far."""
    models, values = ["ttm", "ttm-blend", "seasonal_naive"], "*/short,*/medium,*/long,hall-sample/*"  # events have no such scores
    results = harness.run(models, suite="quick", tasks=values, limit=16, isolation="inprocess", progress="none", db=tmp_path / "h.duckdb")
    board = {row["model"]: row for row in results.leaderboard().to_dict("records")}
    for name in ("ttm", "ttm-blend"):
        assert board[name]["nMASE"] < 0.85
        assert board[name]["nCRPS"] < 0.75


@pytest.mark.parametrize("change", ["ints", "bools", "nan", "inf"])
def test_weights_that_are_none_of_this_network(folder: Path, tmp_path: Path, change: str) -> None:
    torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install 'harness-ttm[torch]'")
    from safetensors.torch import load_file, save_file

    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())
    tensors = load_file(folder / "model.safetensors")
    name = next(iter(tensors))
    if change in ("ints", "bools"):
        tensors = {k: v.to(torch.int32 if change == "ints" else torch.bool) for k, v in tensors.items()}
    else:
        tensors[name].flatten()[0] = float(change)
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(UsageError, match="wanted torch.float32" if change in ("ints", "bools") else "not finite"):
        TTM(weights=str(tmp_path), runtime="torch")


def test_the_blend_is_finite_at_the_end_of_the_range() -> None:
    ends = np.where(np.arange(300) % 24 == 0, 3.4e38, -3.4e38)
    batch = Batch.from_contexts([ends, -ends, ends * 1e-38], 24, freq="H", season_length=24)
    assert np.isfinite(TTMBlend().predict(batch).values).all()


def test_a_season_is_continued() -> None:
    t = np.arange(24 * 20)
    y = (100 + 10 * np.sin(2 * np.pi * t / 24)).astype(np.float32)
    out = TTM().predict(Batch.from_contexts([y[:-48]], 48, freq="H", season_length=24)).values
    assert np.abs(out[0, 4] - y[-48:]).mean() < 1


def test_a_spread_where_only_the_newest_steps_are_constant() -> None:
    """512 steps are read in detail; that a sensor stands still for so long does not make it certain to stay."""
    rng = np.random.default_rng(0)
    before, still = rng.poisson(1.0, 1000), np.zeros(600)
    contexts = [np.r_[before, still], np.r_[1e30, before, still], np.r_[before + 7, still + 7], still + 7, np.r_[before, still * np.nan]]
    zeros, spike, seven, constant, gap = TTM().predict(Batch.from_contexts(contexts, 24, freq="H", season_length=24)).values
    assert (zeros >= 0).all() and 0 < zeros[-1].max() < 1
    assert 0 < spike[-1].max() < 1
    assert (np.abs(seven[4] - 7) < 0.1).all() and (seven[-1] > 7).any()
    assert (constant == 7).all()
    assert gap[-1].min() > gap[0].max()


@pytest.mark.parametrize(("name", "content"), [("no config", None), ("cut short", "{"), ("not a folder", "x")])
def test_weights_that_are_none(tmp_path: Path, name: str, content: str | None) -> None:
    where = tmp_path / "weights"
    if name != "not a folder":
        where.mkdir()
    if content == "{":
        (where / "config.json").write_text(content)
    with pytest.raises(UsageError, match=r"config\.json"):
        TTM(weights=str(where))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"d_model": "16"}, "d_model is '16'; wanted a whole number"),
        ({"patch_mask": False}, "season_fold is on and patch_mask is off"),
        ({"quantile_levels": [0.9, 0.5, 0.1]}, "wanted rising numbers"),
        ({"quantile_levels": [0.1, 0.5]}, "wanted 0.5 in the middle"),
        ({"quantile_levels": []}, "wanted 0.5 in the middle"),
        ({"history_length": 10_000}, "wanted at most 4096"),
        ({"norm_eps": float("nan")}, "norm_eps is nan"),
        ({"use_decoder": False}, "whose head has no such part"),
        ({"num_layers": 10**9}, "num_layers is 1000000000"),
        ({"model_type": "bert"}, "its model_type is 'bert'"),
        ({"fold_width": 32}, "does not fit its config.json"),
        ({"scaling": [1]}, r"scaling is \(1,\); wanted std, mean, none"),
        ({"dropout": 10**400}, "wanted a number from 0 up to 1"),
        ({"d_model": 8192, "num_layers": 1000, "decoder_d_model": 8192}, "the network would have"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_configuration_that_lies(folder: Path, tmp_path: Path, change: dict[str, Any], message: str) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(UsageError, match=message):
        TTM(weights=str(tmp_path), runtime="torch")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"part": 5}, "got part 5"),
        ({"part": "tail"}, "got part 'tail'"),
        ({"learning_rate": 0}, "learning_rate 0"),
        ({"learning_rate": True}, "learning_rate True"),
        ({"learning_rate": float("inf")}, "learning_rate inf"),
        ({"learning_rate": "fast"}, "learning_rate 'fast'"),
        ({"steps": 0}, "steps got 0; wanted a whole number of at least 1"),
        ({"steps": 2.5}, "steps got 2.5"),
        ({"weights": 3}, "got weights 3"),
        ({"weights": "~nobody-of-this-name/w"}, "there is no .*~nobody-of-this-name/w/config.json; wanted a folder"),
        ({"device": "meta"}, "device got 'meta'; wanted cpu, cuda"),
        ({"device": []}, "device got"),
        ({"runtime": 5}, "runtime is 5"),
        ({"learning_rate": 10**400}, "wanted a number above 0"),
        ({"part": "lora:4:a{99999999999}"}, "no regular expression"),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused_in_every_mode(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        TTM(**options)


def test_a_budget_of_test_time_training_is_its_steps_or_a_time_for_all(folder: Path) -> None:
    train = Batch.from_contexts([], 16, freq="H", season_length=24)
    rng = np.random.default_rng(0)
    batch = Batch.from_contexts([np.sin(np.arange(200) / 3) + rng.normal(size=200) / 10 for _ in range(4)], 16, freq="H", season_length=24)
    for options, budget, steps in (({}, "", 10), ({"steps": 3}, "", 3), ({"steps": 3}, "2steps", 2)):
        model = TTM(weights=str(folder), **options)
        tuned = model.finetune(train, budget, 0, "ttt")
        tuned.predict(batch)
        assert not model.notes and tuned.notes["ttt steps"] == steps * len(batch)
    model = TTM(weights=str(folder)).finetune(train, "0.000001s", 0, "ttt")
    model.predict(batch)
    assert model.notes["ttt out of time"] == len(batch) and "time limit" in model.notes["reproducible"]


def test_a_published_release_is_fine_tuned_and_saved(tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install 'harness-ttm[torch]'")
    from harness_ttm import model
    from harness_ttm.weights import save

    torch.manual_seed(0)
    where = tmp_path / "release"
    save(model.TTM(TTMConfig(context_length=32, prediction_length=8, dropout=0.0, head_dropout=0.0)), where)
    before = {f.name: f.read_bytes() for f in where.iterdir()}
    t = np.arange(200)
    train = Batch.from_contexts([np.sin(t / 3 + k) for k in range(8)], 8, freq="H", season_length=24)
    bare = TTMRelease(str(where), "r2", None, "zero", 3, "", None, "cpu")
    tuned = TTMRelease(str(where), "r2", None, "zero", 3, "all", 0.01, "cpu").finetune(train, "60steps", 0, "finetune")
    assert tuned.notes["kept"] == "tuned"
    future = np.stack([np.sin(np.arange(200, 208) / 3 + k) for k in range(8)])
    error = [np.abs(m.predict(train).values[:, 4] - future).mean() for m in (tuned, bare)]
    assert error[0] < 0.7 * error[1]
    tuned.save(tmp_path / "tuned")
    again = TTM(weights=str(tmp_path / "tuned"))
    assert again.release is not None
    again.release.in_sample = 3
    np.testing.assert_array_equal(again.predict(train).values, tuned.predict(train).values)
    assert {f.name: f.read_bytes() for f in where.iterdir()} == before
    with pytest.raises(Unsupported, match="season-fold"):
        bare.finetune(train, "", 0, "ttt")


def test_a_blend_wants_season_weights(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install 'harness-ttm[torch]'")
    from harness_ttm import model
    from harness_ttm.weights import save

    save(model.TTM(TTMConfig(context_length=32, prediction_length=8)), tmp_path)
    TTM(weights=str(tmp_path))
    with pytest.raises(UsageError, match="point model"):
        TTMBlend(weights=str(tmp_path))


def test_what_is_learnt_is_saved_and_loads(folder: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    train = Batch.from_contexts([np.sin(np.arange(200) / 3) + rng.normal(size=200) / 10 for _ in range(8)], 16, freq="H", season_length=24)
    model = TTM(weights=str(folder), part="all", learning_rate=0.003)
    with pytest.raises(Unsupported, match="finetune, few-shot:p and full"):
        model.save(tmp_path / "no")
    model = model.finetune(train, "30steps", 0, "full")
    model.save(tmp_path / "saved")
    again = TTM(weights=str(tmp_path / "saved"), runtime="torch")
    np.testing.assert_array_equal(again.predict(train).values, model.predict(train).values)
    assert not np.array_equal(again.predict(train).values, TTM(weights=str(folder)).predict(train).values)


def test_low_rank_factors_are_saved_beside_the_weights_and_load(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install 'harness-ttm[torch]'")
    rng = np.random.default_rng(0)
    train = Batch.from_contexts([np.sin(np.arange(400) / 3) + rng.normal(size=400) / 10 for _ in range(16)], 16, freq="H", season_length=24)
    tuned = TTM(weights=str(folder), part="lora:2", learning_rate=0.01).finetune(train, "60steps", 0, "finetune")
    assert tuned.trained is not None and tuned.trained.notes["kept"] == "tuned"
    tuned.save(tmp_path)
    again = TTM(weights=str(folder), adapter=str(tmp_path / "adapter"))
    np.testing.assert_array_equal(again.predict(train).values, tuned.predict(train).values)
    np.testing.assert_array_equal(TTM(weights=str(tmp_path), runtime="torch").predict(train).values, tuned.predict(train).values)
    with pytest.raises(UsageError, match="adapters run on torch"):
        TTM(weights=str(folder), adapter=str(tmp_path / "adapter"), runtime="onnx")


@pytest.mark.parametrize("mode", ["finetune", "full", "ttt"])
def test_what_is_learnt_does_not_depend_on_the_number_of_threads(folder: Path, mode: str) -> None:
    torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install 'harness-ttm[torch]'")
    rng = np.random.default_rng(0)
    train = Batch.from_contexts([np.sin(np.arange(300) / 3) + rng.normal(size=300) / 10 for _ in range(9)], 16, freq="H", season_length=24)
    before, made = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 4):
            torch.set_num_threads(threads)
            model = TTM(weights=str(folder), learning_rate=0.01).finetune(train, "5steps", 0, mode)
            made.append(model.predict(train).values)
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert not np.array_equal(made[0], TTM(weights=str(folder)).predict(train).values) or mode == "ttt"
    np.testing.assert_array_equal(made[0], made[1])
    np.testing.assert_array_equal(made[0], made[2])


def test_notes_are_those_of_one_result(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed: pip install 'harness-ttm[torch]'")
    from harness_ttm import model
    from harness_ttm.weights import save

    save(model.TTM(TTMConfig(context_length=32, prediction_length=8)), tmp_path)
    release, blend = TTMRelease(str(tmp_path), "r2", None, "zero", 3, "", None, "cpu"), TTMBlend()
    for each in (release, blend):
        for count in (5, 2):
            each.notes.clear()  # as a worker does between results
            each.predict(Batch.from_contexts([np.sin(np.arange(200))] * count, 8, freq="H", season_length=24))
            assert each.notes["windows"] == count


def test_a_release_runs_on_torch(tmp_path: Path) -> None:
    torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install 'harness-ttm[torch]'")
    from harness_ttm import model
    from harness_ttm.weights import save

    save(model.TTM(TTMConfig(context_length=32, prediction_length=8)), tmp_path)
    made = TTM(weights=str(tmp_path))
    made.predict(Batch.from_contexts([np.arange(50)], 8))
    assert made.notes["runtime"] == f"torch {torch.__version__}"
    with pytest.raises(UsageError, match="run on torch"):
        TTM(weights=str(tmp_path), runtime="onnx")
    with pytest.raises(UsageError, match="runtime is 'nonsense'"):
        TTM(weights=str(tmp_path), runtime="nonsense")


def test_modes_that_start_from_the_weights_leave_the_files_alone(folder: Path) -> None:
    def state() -> dict[str, Any]:
        return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in folder.iterdir()}

    before = state()
    train = Batch.from_contexts([np.sin(np.arange(200) / 3) for _ in range(4)], 16, freq="H", season_length=24)
    TTM(weights=str(folder), learning_rate=0.001).finetune(train, "5steps", 0, "finetune").predict(train)
    assert state() == before


@pytest.mark.parametrize("at", [-1, -2, -40])
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_value_is_a_missing_one_in_every_view(at: int, value: float) -> None:
    y = 10 + np.sin(np.arange(200) / 4)
    gone, infinite = y.copy(), y.copy()
    gone[at], infinite[at] = np.nan, value
    model = TTMBlend()
    np.testing.assert_array_equal(
        model.predict(Batch.from_contexts([infinite], 6)).values, model.predict(Batch.from_contexts([gone], 6)).values
    )
