"""Pre-training: numbers that may not move, losses and schedules beside plain loops and torch, and a training that is killed and goes on."""

from __future__ import annotations

import csv
import errno
import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from harness import HarnessError, UsageError
from harness.trained import TrainedModel

pytest.importorskip("torch", reason="torch is not installed; type: pip install 'harness-ttm[torch]'")

import torch
from harness_ttm import synthetic as generators
from harness_ttm.train import losses, real, session, tsf, windows
from harness_ttm.train.augment import smooth_basis, time_warped, warp
from harness_ttm.train.checkpoints import CheckpointError
from harness_ttm.train.checks import check, check_world
from harness_ttm.train.curve import best_of, picture, waited
from harness_ttm.train.loop import Trainer, TrainingError, checkpoint_folder
from harness_ttm.train.optim import groups, make_optimizer, set_learning_rate
from harness_ttm.train.outcome import trained_model
from harness_ttm.train.pace import Pace
from harness_ttm.train.reading import changed, differences, read
from harness_ttm.train.recipe import Loss, Optimizer, Real, Recipe, Rule, Schedule
from harness_ttm.train.schedules import Plateau, learning_rate
from harness_ttm.train.streams import Batches, Stream
from harness_ttm.train.validate import Validation
from harness_ttm.train.windows import Augment, Windows
from harness_ttm.train_command import train

DATA = Path(os.environ.get("HARNESS_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
TINY = """
model: {context_length: 32, patch_length: 8, patch_stride: 8, d_model: 8, num_layers: 1, adaptive_patching_levels: 2, dropout: 0.0,
  head_dropout: 0.0, decoder_d_model: 8, decoder_num_layers: 1, quantile_levels: [0.1, 0.5, 0.9], patch_mask: true, season_fold: true,
  fold_width: 16, fold_layers: 1, fold_context: 8, history_length: 128, max_horizon: 32}
seed: 3
steps: 12
batch: 16
patches: 2
log_every: 3
checkpoint_every: 4
validate_every: 0
validation_windows: 8
data: {length: 640, history: 96, chunk: 24, chunks: 2, steps_per_chunk: 4, shards: 2}
schedule: {warmup: 2}
"""


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """One thread, and series that are made once: the same arguments give the same series."""
    made: dict[str, Any] = {}

    def mixture(*arguments: Any) -> Any:
        return made[key] if (key := repr(arguments)) in made else made.setdefault(key, generators.mixture(*arguments))

    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(windows, "mixture", mixture)
        yield


def recipe_file(folder: Path, text: str = TINY) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tiny.yaml").write_text(text)
    return folder / "tiny.yaml"


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., Recipe]:
    """A tiny recipe with some values changed."""
    return lambda *changes: Recipe.load(recipe_file(tmp_path), changes)


def numbers(curve: list[dict[str, float]]) -> list[dict[str, float]]:
    """A curve without its speeds."""
    return [{k: v for k, v in row.items() if k != "windows_per_s"} for row in curve]


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    """Two states of a network hold the same bits."""
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


# What the shipped weights were trained with may not move: sums of |x| of arrays, and losses, of the code that trained them.
PINNED = {
    (0, 0): (161.3070580, 228.0, 130.7376934, 651.2794116, 106.1290286, 114.3377915, 128.0, 3.0238435),
    (1, 5): (173.8694213, 256.0, 121.9840489, 530.7536807, 106.8853156, 126.3368074, 128.0, 3.0881435),
}
ARRAYS = ("z", "mask", "features", "candidates", "offsets", "target", "target_mask", "weight")


@pytest.mark.parametrize("shard_step", PINNED)
def test_batches_are_those_of_the_shipped_weights(tiny: Callable[..., Recipe], shard_step: tuple[int, int]) -> None:
    batch = Stream(tiny(), shard_step[0]).batch(shard_step[1])
    assert [float(batch[name].double().abs().sum()) for name in ARRAYS] == pytest.approx(PINNED[shard_step], rel=1e-5)
    assert set(batch) == set(ARRAYS)


def test_training_is_that_of_the_shipped_weights(tiny: Callable[..., Recipe], tmp_path: Path) -> None:
    trainer = Trainer(tiny(), tmp_path / "out")
    assert trainer.train() == "done"
    assert [row["loss"] for row in trainer.curve] == pytest.approx(
        [0.663541336854299, 0.8444383442401886, 0.6594146688779196, 0.7372736632823944], rel=1e-5
    )
    assert [row["lr"] for row in trainer.curve] == pytest.approx([0.002, 0.002, 0.002, 0.0005])
    total = sum(float(v.double().abs().sum()) for v in trainer.average.values())
    assert total == pytest.approx(801.9500120716602, rel=1e-5)


def test_what_is_new_draws_from_generators_of_its_own(tiny: Callable[..., Recipe], tmp_path: Path) -> None:
    plain = Stream(tiny(), 0).batch(0)
    warped = Stream(tiny("data.augment.magnitude_warp=0.3", "data.augment.time_warp=0.3"), 0).batch(0)
    rows = (plain["z"] == warped["z"]).all(dim=1)
    assert 0 < rows.sum() < len(rows), "some rows are warped, the others are the same bits"
    (tmp_path / "a.tsf").write_text(
        "@attribute series_name string\n@frequency daily\n@data\n" + "T1:" + ",".join(map(str, range(300))) + "\n"
    )
    mixed = Stream(tiny(f"data.real=[{{path: {tmp_path / 'a.tsf'}, share: 0.4}}]"), 0).batch(0)
    rows = (plain["z"] == mixed["z"]).all(dim=1)
    assert 0 < rows.sum() < len(rows), "some rows are real, the others are the same bits"


def loss_by_loop(
    name: str, predicted: Any, target: Any, mask: Any, levels: Any, seasonal: Any, delta: float, balance: float
) -> list[float]:
    out = []
    for i in range(len(target)):
        total, count = 0.0, 0
        for f in range(target.shape[1]):
            for p in range(target.shape[2]):
                if not mask[i, f, p]:
                    continue
                count += 1
                y, m = float(target[i, f, p]), float(predicted[i, f, p, len(levels) // 2])
                if name == "quantile":
                    for q, level in enumerate(levels):
                        gap = y - float(predicted[i, f, p, q])
                        total += 2 * (level * gap if gap > 0 else (level - 1) * gap) / len(levels)
                elif name == "mse":
                    total += (y - m) ** 2
                elif name == "huber":
                    total += (y - m) ** 2 / 2 if abs(y - m) <= delta else delta * (abs(y - m) - delta / 2)
                else:
                    total += abs(y - m)
        value = total / count if count else 0.0
        if name == "mase":
            value /= max(float(seasonal[i]), 0.01)
        out.append(value / (2 * (float(seasonal[i]) + balance)) if balance else value)
    return out


@pytest.mark.parametrize("balance", [0.0, 0.3])
@pytest.mark.parametrize("name", ["quantile", "mse", "mae", "huber", "mase"])
def test_losses_beside_a_plain_loop(name: str, balance: float) -> None:
    rng = np.random.default_rng(0)
    predicted = np.sort(rng.normal(size=(5, 3, 4, 3)) * 2, axis=3)
    target, mask = rng.normal(size=(5, 3, 4)), rng.random((5, 3, 4)) < 0.6
    mask[4] = False  # a window without labels
    seasonal = np.array([0.5, 2.0, 0.001, 1.0, 0.2])
    levels = [0.1, 0.5, 0.8]
    arrays = [torch.from_numpy(x).float() for x in (predicted, np.where(mask, target, 0), mask, np.array(levels), seasonal)]
    got = losses.window_loss(Loss(name, balance, delta=0.7), *arrays)
    assert got.tolist() == pytest.approx(loss_by_loop(name, predicted, target, mask, levels, seasonal, 0.7, balance), rel=1e-5)
    if name != "quantile":
        made = arrays[0].clone().requires_grad_()
        losses.window_loss(Loss(name), made, *arrays[1:]).sum().backward()
        assert made.grad is not None and made.grad[..., 1].abs().sum() > 0 and made.grad[..., [0, 2]].abs().sum() == 0


def rates_of_torch(make: Callable[[Any], Any], steps: int, peak: float = 1.0) -> list[float]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=peak)
    schedule, out = make(optimizer), []
    for _ in range(steps):
        out.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return out


def test_schedules_beside_those_of_torch() -> None:
    from torch.optim import lr_scheduler as s

    steps, warm = 60, 12
    names: dict[str, dict[str, Any]] = {"cosine": {"floor": 0.1}, "restarts": {"cycle": 8.0, "growth": 2}, "one_cycle": {}, "constant": {}}
    ours = {name: [learning_rate(i, steps, Schedule(name, warmup=warm, **more)) for i in range(steps)] for name, more in names.items()}
    assert ours["cosine"][:warm] == pytest.approx(rates_of_torch(lambda o: s.LinearLR(o, 1 / warm, 1, warm - 1), warm))
    assert ours["cosine"][warm:] == pytest.approx(rates_of_torch(lambda o: s.CosineAnnealingLR(o, steps - warm, 0.1), steps - warm))
    assert ours["restarts"][warm:] == pytest.approx(rates_of_torch(lambda o: s.CosineAnnealingWarmRestarts(o, 8, 2), steps - warm))
    theirs = rates_of_torch(lambda o: s.OneCycleLR(o, 1.0, total_steps=steps, pct_start=warm / steps, cycle_momentum=False), steps)
    assert ours["one_cycle"] == pytest.approx(theirs)
    assert ours["constant"] == [(i + 1) / warm for i in range(warm)] + [1.0] * (steps - warm)
    wsd = [learning_rate(i, 100, Schedule("wsd", warmup=0.1, decay=0.2, floor=0.25)) for i in range(100)]
    assert wsd[9:80] == [1.0] * 71 and wsd[90] == pytest.approx(0.5) and wsd[99] == 0.25
    assert learning_rate(3, 100, Schedule(warmup=0.1)) == learning_rate(3, 100, Schedule(warmup=10)) == 0.4


def test_plateau_beside_that_of_torch() -> None:
    rng = np.random.default_rng(1)
    values = [*np.linspace(3, 1, 6), *(1 + 0.2 * rng.random(25))]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=2, min_lr=0.1)
    ours, resumed = Plateau(Schedule("plateau", factor=0.5, patience=2, floor=0.1)), None
    for i, value in enumerate(values):
        ours.validated(value)
        theirs.step(value)
        if i == 12:  # a state that was written and read
            resumed = Plateau(ours.schedule)
            resumed.load(json.loads(json.dumps(ours.state())))
        elif resumed is not None:
            resumed.validated(value)
        assert ours.share == pytest.approx(optimizer.param_groups[0]["lr"])
    assert ours.share == 0.1 and resumed is not None and resumed.state() == ours.state()


def test_parameter_groups_and_optimisers() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4), torch.nn.Linear(4, 2))
    rules = (Rule("^0", learning_rate=0.1), Rule("^2.weight", weight_decay=0.3), Rule("^1", frozen=True))
    made = groups(model.named_parameters(), Optimizer(weight_decay=0.05, rules=rules))
    facts = [(g["weight_decay"], g["multiplier"], [tuple(p.shape) for p in g["params"]]) for g in made]
    assert facts == [(0.05, 0.1, [(4, 3)]), (0.3, 1.0, [(2, 4)]), (0.0, 0.1, [(4,)]), (0.0, 1.0, [(2,)])]
    assert not model[1].weight.requires_grad and model[0].weight.requires_grad
    for name, kind in (("adamw", torch.optim.AdamW), ("adam", torch.optim.Adam), ("sgd", torch.optim.SGD)):
        optimizer = make_optimizer(torch.nn.Linear(2, 2), Optimizer(name, rules=(Rule("bias", learning_rate=2.0),)))
        set_learning_rate(optimizer, 0.5)
        assert type(optimizer) is kind and [g["lr"] for g in optimizer.param_groups] == [0.5, 1.0]
    with pytest.raises(UsageError, match=r"match 'backbon3' is found in no parameter's name; the names are 0.weight, 0.bias"):
        groups(model.named_parameters(), Optimizer(rules=(Rule("backbon3"),)))
    with pytest.raises(UsageError, match="freeze every parameter"):
        groups(model.named_parameters(), Optimizer(rules=(Rule("", frozen=True),)))


def test_warps() -> None:
    rng = np.random.default_rng(0)
    y = np.cumsum(rng.normal(size=(6, 50)), axis=1).astype(np.float32)
    y[0, :7] = np.nan
    np.testing.assert_array_equal(time_warped(y, np.full(y.shape, 3.0), 40), y)  # a constant speed is none
    speed = np.exp(0.4 * rng.standard_normal((6, 4)) @ smooth_basis(4, 50))
    out = time_warped(y, speed, 40)
    np.testing.assert_array_equal(out[:, 39], y[:, 39])  # the last value before the cutoff stays
    speed /= speed.mean(axis=1, keepdims=True)
    for i in range(6):  # the plain loop
        path = [39.0]
        for t in range(39, 0, -1):
            path.insert(0, path[0] - speed[i, t])
        for t in range(40, 50):
            path.append(path[-1] + speed[i, t])
        inside = np.array([0 <= p <= 49 for p in path])
        want = np.interp(path, np.arange(50), y[i])
        np.testing.assert_allclose(out[i, inside], want[inside], rtol=1e-4, atol=1e-4)
        assert np.isnan(out[i, ~inside]).all()
    np.testing.assert_allclose(smooth_basis(5, 33).sum(axis=0), 1)
    made = Windows(y.copy(), 40, np.zeros((6, 4), np.int64))
    warp(made, np.random.default_rng(1), Augment(magnitude_warp=1.0, scaling=1.0, scaling_size=0.0))
    mean = np.nanmean(y[:, :40], axis=1, keepdims=True)
    ratio = (made.y - mean) / (y - mean)
    assert (ratio[np.isfinite(ratio)] > 0).all() and np.nanstd(ratio) > 0.05
    np.testing.assert_array_equal(np.isnan(made.y), np.isnan(y))
    warp(made, np.random.default_rng(1), Augment(scaling=1.0))
    scaled = made.y[:, 20:] / made.y[:, 20:21]
    warp(made, np.random.default_rng(2), Augment(scaling=1.0))
    np.testing.assert_allclose(made.y[:, 20:] / made.y[:, 20:21], scaled, rtol=1e-4)


TSF = """# a comment
@relation Toy
@attribute series_name string
@attribute start_timestamp date
@frequency 10_minutes
@missing true
@equallength false
@data
T1:2000-01-01 00-00-00:1,2.5,?,4,5
T2:2000-01-01 00-00-00:-1e3,0,1,2
"""


def test_tsf_files_are_read_and_broken_ones_refused(tmp_path: Path) -> None:
    path = tmp_path / "toy.tsf"
    path.write_text(TSF)
    file = tsf.read_tsf(path)
    assert (file.relation, file.freq, len(file.series)) == ("Toy", "10T", 2)
    np.testing.assert_array_equal(file.series[0], np.array([1, 2.5, np.nan, 4, 5], np.float32))

    def freq(word: str) -> str:
        path.write_text(TSF.replace("10_minutes", word))
        return tsf.read_tsf(path).freq

    words = ("4_seconds", "minutely", "Half_hourly", "quarterly", "yearly", "odd", "")
    assert [freq(word) for word in words] == ["4S", "T", "30T", "Q", "A", "", ""]
    for old, new, said in (
        ("@missing true", "@missing false", "line 9: got a missing value"),
        ("2.5", "2,x", "line 9: got the value 'x'; wanted a number"),
        ("T2:2000-01-01 00-00-00", "T2", "line 10: got 2 parts between colons; wanted 3"),
        ("@equallength false", "@equallength true", "line 10: 4 values after 5"),
        ("@relation Toy", "@relatoin Toy", "line 2: got @relatoin"),
        ("@data", "@missing true\nT", "line 9: got 'T'"),
        (TSF[TSF.index("T1") :], "", "no series behind @data"),
    ):
        path.write_text(TSF.replace(old, new))
        with pytest.raises(HarnessError, match=said):
            tsf.read_tsf(path)


def test_windows_of_a_corpus(tmp_path: Path) -> None:
    x = np.arange(40, dtype=np.float32)
    np.testing.assert_array_equal(real.cut(x, 5, 1, False, 8, 3), [np.nan] * 3 + list(range(8)))
    np.testing.assert_array_equal(real.cut(x, 9, 4, False, 4, 3), [20, 24, 28, 32, 36, np.nan, np.nan])
    x[21] = np.nan
    np.testing.assert_allclose(real.cut(x, 9, 4, True, 4, 1), [(20 + 22 + 23) / 3, 25.5, 29.5, 33.5, 37.5])
    (tmp_path / "toy.tsf").write_text(TSF)
    (corpus,) = real.load_corpora((Real(str(tmp_path), 0.3),))
    assert (len(corpus.series), corpus.observations, corpus.datasets) == (2, 9, (f"{tmp_path.name}/toy.tsf",))
    assert corpus.periods.tolist() == [[144.0, 1008.0]] * 2 and len(corpus.digest) == 64
    made = real.real_windows(corpus, np.random.default_rng(0), 200, 16, 8, Augment(mixup=0, jitter=0, sign_flip=0, missing_points=0))
    assert np.isfinite(made.y[:, 16]).mean() > 0.7, "the step after the cutoff has a label, unless the file has none"
    assert set(np.unique(made.y[np.isfinite(made.y)])) <= {-1000.0, 0.0, 1.0, 2.0, 2.5, 4.0, 5.0}
    with pytest.raises(UsageError, match=r"there is nothing at .*nowhere; wanted a .tsf file"):
        real.load_corpora((Real(str(tmp_path / "nowhere"), 0.3),))


def test_real_folders_in_the_layout_of_gift_eval() -> None:
    if not (DATA / "gift-eval" / "us_births").is_dir():
        pytest.skip(f"no us_births under {DATA}/gift-eval; set HARNESS_TEST_DATA to a folder that has it")
    (corpus,) = real.load_corpora((Real(str(DATA / "gift-eval" / "us_births"), 0.5),))
    assert corpus.datasets == ("us_births/D", "us_births/M", "us_births/W") and len(corpus.series) == 3
    assert corpus.periods[:, 0].tolist() == [7, 12, 52] and corpus.observations == 7305 + 240 + 1043


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (["stepz=3"], r"there is no key stepz. Did you mean 'steps'\?"),
        (["data.augment.jiter=0.1"], r"there is no key data.augment.jiter. Did you mean 'jitter'\?"),
        (["model.d_modle=8"], r"there is no key model.d_modle. Did you mean 'd_model'\?"),
        (["steps=many"], "steps is 'many'; wanted a whole number"),
        (["steps=1.5"], "steps is 1.5; wanted a whole number"),
        (["compile=1"], "compile is 1; wanted true or false"),
        (["optimizer.betas=[0.9]"], r"optimizer.betas has 1 values, \[0.9\]; wanted 2"),
        (["optimizer=adam"], "optimizer is 'adam'; wanted keys and values"),
        (["optimizer.name=adan"], r"optimizer.name is 'adan'; wanted adamw, adam, sgd. Did you mean 'adam'\?"),
        (["batch=15"], "batch is 15, which 2 shards do not divide; wanted a multiple: batch=16"),
        (["model.max_horizon=30"], "model.max_horizon is 30, no multiple of patch_length 8; wanted one such as 24"),
        (["model.quantile_levels=[0.1, 0.9]"], "wanted rising numbers between 0 and 1, 0.5 among them"),
        (["model.quantile_levels=[0.1, 0.5]"], "wanted 0.5 in the middle"),
        (["model.quantile_levels=[]"], "wanted 0.5 in the middle"),
        (["model.norm_eps=-1"], "model.norm_eps is -1.0; wanted a number above 0"),
        (["model.dropout=1"], "model.dropout is 1.0; wanted a number from 0 up to 1"),
        (["model.num_layers=-1"], "model.num_layers is -1; wanted a whole number from 1 to 1,000"),
        (["model.patch_stride=0"], "model.patch_stride is 0; wanted a whole number"),
        (["model.patch_stride=100"], "model.patch_stride is 100; wanted 1 to context_length"),
        (["model.history_length=5000"], "model.history_length is 5000; wanted at most 4096"),
        (["model.self_attn=true", "model.self_attn_heads=3"], "model.self_attn_heads is 3; wanted a divisor of 4"),
        (["model.resolution_prefix_tuning=true"], "whose head has no such part"),
        (["optimizer.learning_rate=.inf"], "optimizer.learning_rate is inf; wanted a finite number"),
        (["data.augment.decimate=[.nan]"], r"decimate\[0\] is nan; wanted a finite number"),
        (["optimizer.rules=[{match: norm, learning_rate: -1}]"], "has learning_rate -1.0 for 'norm'"),
        (["optimizer.rules=[{match: norm, weight_decay: -1}]"], "has weight_decay -1.0 for 'norm'"),
        (["ema=1"], "ema is 1.0; wanted 0 up to 1"),
        (["seed=100000000000000000000000000000"], r"wanted a whole number below 2\^62"),
        (["batch=1000000000000"], "wanted at most 1,048,576"),
        (["data.chunk=100000", "data.chunks=1000"], "the series that a shard holds take 256 GB"),
        (["seed=2024-13-45"], "got --set seed=2024-13-45"),
        (["seed=!!int abc"], "got --set seed=!!int abc"),
        (["model=&a {season_fold: *a}"], "model.season_fold is .*; wanted true or false|nested without end"),
        (["optimizer.rules=[{match: 'a{99999999999}'}]"], "wanted a regular expression"),
        (["data.history=1"], "data.history is 1; wanted at least 16"),
        (["data.augment.time_warp_size=1e30"], "wanted at most 10"),
        (["optimizer.learning_rate=1e30"], "wanted at most 100"),
        (["seed=999983"], "which the series of the validation are made with"),
        (["model.norm_mlp=nonsense"], "model.norm_mlp is 'nonsense'; wanted LayerNorm, BatchNorm"),
        (["model.season_fold=false"], "what is trained is a season-fold model"),
        (["patches=9"], "patches is 9; wanted at most 4"),
        (["data.length=300"], "data.length is 300; wanted at least"),
        (["data.augment.decimate=[0.5, 0.2]"], "sum to 1"),
        (["data.augment.mixup=1.2"], "data.augment.mixup is 1.2; wanted 0 to 1"),
        (["data.weights={waves: 1}"], "data.weights names 'waves'; wanted families"),
        (["data.real=[{path: a, share: 0.7}, {path: b, share: 0.6}]"], "a sum of at most 1"),
        (["data.real=[{share: 0.7}]"], r"data.real\[0\].path is missing"),
        (["schedule.name=plateau"], "plateau goes by the validation, which is off"),
        (["optimizer.rules=[{match: '('}]"], "wanted a regular expression"),
        (["steps"], "got --set steps; wanted key=value"),
        (["steps.a=1"], "steps holds no keys"),
        (["model.patch_length=64"], "model.patch_length is 64; wanted 1 to context_length"),
    ],
)  # fmt: skip
def test_recipes_that_will_not_do(tiny: Callable[..., Recipe], changes: list[str], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        tiny(*changes)


def test_recipes_are_read_back_with_all_defaults(tiny: Callable[..., Recipe]) -> None:
    recipe = tiny(
        "optimizer.learning_rate=3e-4", "optimizer.rules=[{match: norm, frozen: true}]", "data.real=[{path: a}]", "loss.name=huber"
    )
    assert recipe.optimizer.learning_rate == 3e-4 and recipe.optimizer.rules == (Rule("norm", frozen=True),) and recipe.loss.name == "huber"
    whole = recipe.to_dict()
    assert read(Recipe, whole, "") == recipe and whole["data"]["augment"]["jitter"] == 0.1
    assert differences(whole, changed(whole, ["seed=4", "data.shards=1"])) == ["data.shards", "seed"]
    with pytest.raises(UsageError, match=r"there is no such file; wanted a recipe"):
        Recipe.load(Path("nowhere.yaml"))
    with pytest.raises(UsageError, match=r"2 shards on 4 processes; wanted as many for each: --set data.shards=4"):
        check_world(recipe, 4)
    with pytest.raises(UsageError, match=r"data.workers is 4 for 3 shards"):
        check_world(replace(recipe, data=replace(recipe.data, shards=3, workers=4)), 1)
    check(replace(recipe, model=replace(recipe.model, decoder_num_layers=2)))


def test_validation_is_fixed_and_knows_the_seasonal_candidate(tiny: Callable[..., Recipe]) -> None:
    recipe = tiny()
    levels = torch.tensor(recipe.model.quantile_levels)
    one, other = Validation(recipe), Validation(replace(recipe, seed=99, batch=32))
    assert list(one.sets) == ["mixture", "nonlinear", "held_profiles"]
    for name in one.sets:
        same(one.sets[name][0], other.sets[name][0])

    class Seasonal(torch.nn.Module):  # type: ignore[misc]
        def forward(self, *inputs: Any) -> Any:
            return inputs[3][:, :, 2, :, None].expand(-1, -1, -1, 3)

    scores = one.scores(Seasonal(), levels)
    part = one.sets["mixture"][0]
    gap = (part["target"] - part["candidates"][:, :, 2]).abs() * part["target_mask"]
    want = (gap.sum(dim=(1, 2)) / part["target_mask"].sum(dim=(1, 2)).clamp(min=1)).mean()
    assert scores["val_mixture"] == pytest.approx(float(want), rel=1e-5) and scores["val_mixture_ratio"] == pytest.approx(1)
    assert len(scores) == 6


def test_validation_changes_no_weight_and_keeps_the_best(tiny: Callable[..., Recipe], tmp_path: Path) -> None:
    bare = Trainer(tiny("checkpoint_every=100"), tmp_path / "a")
    bare.train()
    watched = Trainer(tiny("validate_every=2", "keep=1"), tmp_path / "b")
    watched.train()
    same(bare.average, watched.average)
    rows = [row for row in watched.curve if "val_mixture" in row]
    assert [row["step"] for row in rows] == [2, 4, 6, 8, 10, 12]
    best = best_of(watched.curve)
    assert best is not None and best["val_mixture"] == min(row["val_mixture"] for row in rows)
    kept = watched.checkpoints.best("cpu")
    assert kept is not None and kept["step"] == best["step"]
    assert [p.name for p in watched.checkpoints.files()] == ["step_00000012.pt"]
    table = list(csv.DictReader((tmp_path / "b" / "curve.csv").read_text().splitlines()))
    assert float(table[-1]["val_mixture"]) == rows[-1]["val_mixture"] and table[0]["loss"] == ""
    assert waited([{"step": i, "val_mixture": v} for i, v in enumerate([3.0, 2.0, math.nan, 2.5, 2.0])]) == 3


def test_early_stopping_and_plateau(tiny: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([3.0, 2.0, 2.5, 2.6, 2.7, 2.8])
    monkeypatch.setattr(Validation, "scores", lambda *_: {"val_mixture": next(values)})
    changes = ["validate_every=1", "early_stopping=3", "schedule.name=plateau", "schedule.patience=1", "log_every=1"]
    trainer = Trainer(tiny(*changes), tmp_path / "out")
    assert trainer.train() == "early"
    assert trainer.step == 5 and [row["lr"] for row in trainer.curve] == pytest.approx([1e-3, 2e-3, 2e-3, 2e-3, 1e-3])
    best = trainer.checkpoints.best("cpu")
    assert best is not None and best["step"] == 2
    again = Trainer(tiny(*changes), tmp_path / "out")
    assert again.resume() and again.train() == "early" and again.step == 5 and again.plateau.share == 0.5


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_half_precision_goes_on_where_it_was(tiny: Callable[..., Recipe], tmp_path: Path, precision: str) -> None:
    recipe = tiny(f"precision={precision}", "steps=4", "checkpoint_every=2", "log_every=1", "keep=9")
    whole = Trainer(recipe, tmp_path / "a")
    whole.train()
    exact = Trainer(replace(recipe, precision="float32"), tmp_path / "b")
    exact.train()
    losses_ = [[row["loss"] for row in t.curve] for t in (whole, exact)]
    assert losses_[0] == pytest.approx(losses_[1], rel=0.05) and losses_[0] != losses_[1]
    last = checkpoint_folder(tmp_path / "a") / "step_00000004.pt"
    state = torch.load(last, weights_only=True)
    assert (state["scaler"].get("scale") is not None) == (precision == "float16")
    last.unlink()
    half = Trainer(recipe, tmp_path / "a")
    assert half.resume() and half.step == 2
    half.train()
    same(half.average, whole.average)


def test_steps_without_finite_gradients_are_skipped_and_too_many_end_it(tiny: Callable[..., Recipe], tmp_path: Path) -> None:
    class Broken(Trainer):
        bad: tuple[int, ...] = ()

        def loss(self, arrays: Any) -> Any:
            return super().loss(arrays) * (math.nan if self.step in self.bad else 1.0)

    trainer = Broken(tiny("steps=6", "log_every=6"), tmp_path / "a")
    trainer.bad = (1, 2)
    trainer.train()
    assert trainer.curve[-1]["skipped"] == 2 and math.isfinite(trainer.curve[-1]["loss"])
    assert all(torch.isfinite(v).all() for v in trainer.average.values())
    trainer = Broken(tiny("steps=9", "max_skipped=3"), tmp_path / "b")
    trainer.bad = (4, 5, 6, 7)
    with pytest.raises(
        TrainingError,
        match=r"not finite for 3 steps in a row, up to step 7; .* as in --set optimizer.learning_rate=0.0005",
    ):
        trainer.train()
    assert [p.name for p in trainer.checkpoints.files()] == ["step_00000004.pt"]


def test_a_full_disk_leaves_the_checkpoint_before(tiny: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(tiny("steps=8"), tmp_path / "out")
    save = torch.save

    def full(state: Any, file: Any) -> None:
        if state["step"] == 8:
            file.write(b"half of it")
            raise OSError(errno.ENOSPC, "No space left on device")
        save(state, file)

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(
        CheckpointError, match=r"the disk is full; the newest before: step_00000004.pt is whole. Make room and type the same"
    ):
        trainer.train()
    assert [p.name for p in checkpoint_folder(tmp_path / "out").iterdir()] == ["step_00000004.pt"]


def test_a_resumed_training_has_the_same_bits(tiny: Callable[..., Recipe], tmp_path: Path) -> None:
    recipe = tiny("validate_every=5")
    whole = Trainer(recipe, tmp_path / "a")
    whole.train()
    first = Trainer(recipe, tmp_path / "b")
    step = first.one_step
    first.one_step = lambda batches: (step(batches)[0], first.step == 7)  # type: ignore[method-assign]
    assert first.train() == "interrupted" and first.step == 7
    # A broken newest checkpoint is passed over: step 7 is cut short, so step 4 is taken.
    newest = first.checkpoints.files()[-1]
    newest.write_bytes(newest.read_bytes()[:3000])
    said: list[str] = []
    second = Trainer(recipe, tmp_path / "b")
    second.checkpoints.say = said.append
    assert second.resume() and second.step == 4
    assert "step_00000007.pt is passed over: it cannot be read" in said[0]
    assert second.train() == "done"
    same(second.average, whole.average)
    same(second.model.state_dict(), whole.model.state_dict())
    assert numbers(second.curve) == numbers(whole.curve)
    other = Trainer(tiny("optimizer.clip=2", "log_every=1", "validate_every=5"), tmp_path / "b")
    with pytest.raises(UsageError, match=r"step_00000012.pt was made with other values of optimizer.clip; wanted the same recipe, --fresh"):
        other.resume()
    assert other.resume(force=True) and other.step == 12


def test_what_is_said_of_the_optimizer_holds_after_resuming(tiny: Callable[..., Recipe], tmp_path: Path) -> None:
    Trainer(tiny(), tmp_path / "out").train()
    changes = ("steps=14", "optimizer.weight_decay=0.01", "optimizer.betas=[0.8, 0.9]")
    other = Trainer(tiny(*changes), tmp_path / "out")
    assert other.resume(force=True)
    group = other.optimizer.param_groups[0]
    assert group["weight_decay"] == 0.01 and group["betas"] == (0.8, 0.9)
    assert other.step == 12 and other.train() == "done" and other.step == 14
    for change in ("optimizer.name=sgd", "model.d_model=16", "optimizer.rules=[{match: norm, learning_rate: 2}]"):
        with pytest.raises(UsageError, match="stay as they were: --fresh starts again"):
            Trainer(tiny(change), tmp_path / "out").resume(force=True)
    with pytest.raises(UsageError, match="does not fit"):
        Trainer(tiny("optimizer.weight_decay=0"), tmp_path / "out").resume(force=True)


def test_workers_make_the_same_batches(tiny: Callable[..., Recipe]) -> None:
    recipe = tiny("steps=5", "data.workers=1")
    here = Batches(replace(recipe, data=replace(recipe.data, workers=0)), [0, 1])
    made = list(Batches(recipe, [0, 1]).ahead(2, pin=False))
    assert len(made) == 6
    for number, batch in enumerate(made, start=4):
        same(batch, here[number])


def test_two_processes_learn_what_one_does(tiny: Callable[..., Recipe], tmp_path: Path) -> None:
    recipe = tiny("model.head_dropout=0.2", "steps=6", "validate_every=3")
    one = Trainer(recipe, tmp_path / "one")
    one.train()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "harness",
        "train",
        "ttm",
        "-C",
        str(tmp_path / "tiny.yaml"),
        "-o",
        str(tmp_path / "two"),
        "--threads",
        "1",
    ]
    command += [f"--set={change}" for change in ("model.head_dropout=0.2", "steps=6", "validate_every=3")]
    environment = {**os.environ, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            command, env={**environment, "RANK": rank, "LOCAL_RANK": rank}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for rank in "01"
    ]
    said = [process.communicate(timeout=900) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    assert said[1][0] == "", "only rank 0 speaks"
    two = torch.load(checkpoint_folder(tmp_path / "two") / "step_00000006.pt", weights_only=True)
    for name, tensor in one.average.items():
        torch.testing.assert_close(two["average"][name], tensor, rtol=1e-6, atol=1e-6)
    for (a, x), (b, y) in zip(one.optimizer.state_dict()["state"].items(), two["optimizer"]["state"].items(), strict=True):
        assert a == b
        torch.testing.assert_close(x["exp_avg"], y["exp_avg"], rtol=1e-5, atol=1e-6)  # the mean of the gradients
    assert [row["loss"] for row in two["curve"]] == pytest.approx([row["loss"] for row in one.curve], rel=1e-6)
    assert "2 processes" in (tmp_path / "two" / "README.md").read_text()


def test_a_killed_training_goes_on_with_the_same_bits(tmp_path: Path) -> None:
    config = recipe_file(tmp_path, TINY.replace("steps: 12", "steps: 40"))
    whole = Trainer(Recipe.load(config), tmp_path / "whole")
    whole.train()
    words = ["ttm", "-C", str(config), "-o", str(tmp_path / "out"), "--threads", "1"]
    folder = checkpoint_folder(tmp_path / "out")
    killed = subprocess.Popen([sys.executable, "-m", "harness", "train", *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        limit = time.monotonic() + 900
        while not list(folder.glob("step_*.pt")):
            assert killed.poll() is None and time.monotonic() < limit, "it ended, or wrote no checkpoint in time"
            time.sleep(0.002)
    finally:
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    newest = sorted(folder.glob("step_*.pt"))[-1]
    (folder / "step_00000099.tmp").write_bytes(newest.read_bytes()[:500])  # as if it had been killed while writing
    (folder / "step_00000039.pt").write_bytes(newest.read_bytes()[:2000])
    done = CliRunner().invoke(train, words, catch_exceptions=False)  # another process than that one, as when it is typed
    assert done.exit_code == 0, done.stderr
    assert "step_00000039.pt is passed over" in done.stderr and "going on from step" in done.stderr
    assert sorted(p.name for p in folder.glob("*.pt")) == ["step_00000039.pt", "step_00000040.pt"]
    state = torch.load(folder / "step_00000040.pt", weights_only=True)
    same(state["average"], whole.average)
    same(state["model"], whole.model.state_dict())
    assert numbers(state["curve"]) == numbers(whole.curve)


def test_the_command_leaves_a_folder_that_can_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness_ttm.season_head import SeasonTTM
    from harness_ttm.weights import load

    monkeypatch.chdir(tmp_path)
    recipe_file(tmp_path)
    (tmp_path / "toy.tsf").write_text(TSF)
    arguments = ["ttm", "-C", "tiny.yaml", "-o", "mine", "--set", "data.real=[{path: toy.tsf, share: 0.25}]", "--set", "validate_every=6"]
    done = CliRunner().invoke(train, [*arguments, "--dry-run"], catch_exceptions=False)
    assert done.exit_code == 0 and "real series  toy.tsf: 25%, 2 series, 9 observations" in done.output and not Path("mine").exists()
    done = CliRunner().invoke(train, [*arguments, "--set", "log=tensorboard", "--db", "r.duckdb"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "harness run -m ttm -M ttm:weights=mine" in done.stdout and "recorded as" in done.stderr
    assert sorted(p.name for p in Path("mine").iterdir()) == sorted(
        ["README.md", "config.json", "curve.csv", "model.safetensors", "recipe.yaml", *(["curve.png"] if picture([{"step": 1}]) else [])]
    )
    state = torch.load("mine-checkpoints/step_00000012.pt", weights_only=True)
    same(dict(load(Path("mine"), SeasonTTM)[0].state_dict()), state["average"])
    again = Recipe.load(Path("mine/recipe.yaml"))
    assert again == Recipe.load(Path("tiny.yaml"), ["data.real=[{path: toy.tsf, share: 0.25}]", "validate_every=6", "log=tensorboard"])
    text = Path("mine/README.md").read_text()
    for part in (
        "license: apache-2.0",
        "1 process",
        "| toy.tsf | 25.0% | 2 | 9 |",
        "version 1",
        "torch 2",
        "`held_profiles`",
        "12 of 12, 192",
    ):
        assert part in text, part
    row = __import__("duckdb").connect("r.duckdb").execute("SELECT model_name, mode, seed, data, metrics FROM trained").fetchone()
    assert row[:3] == ("ttm", "pretrain", 3) and "toy.tsf 25% sha256" in row[3] and json.loads(row[4])["windows"] == 192
    assert list(Path("mine-checkpoints/tensorboard").iterdir())


def test_the_command_refuses_what_will_not_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe_file(tmp_path)
    (tmp_path / "file").write_text("")
    (tmp_path / "taken-checkpoints").write_text("")
    for arguments, said in (
        (["tmm"], r"got model 'tmm'; wanted ttm. Did you mean 'ttm'\?"),
        (["ttm", "--resume"], "got --resume, and there is no checkpoint in tiny-checkpoints"),
        (["ttm", "--steps", "3", "--time", "3m"], "wanted one of them"),
        (["ttm", "--device", "tpu"], "got --device tpu; wanted cpu, cuda"),
        (["ttm", "-o", "file"], r"-o file: .*file is a file; wanted a folder"),
        (["ttm", "-o", "file/deep/down"], r"-o file/deep/down: .*file is a file; wanted a folder"),
        (["ttm", "-o", "taken"], r"-o taken: .*taken-checkpoints is a file; wanted a folder"),
        (["ttm", "--time", "soon"], "wanted seconds or a number with s, m or h"),
    ):
        with pytest.raises(UsageError, match=said):
            CliRunner().invoke(train, [*arguments, "-C", "tiny.yaml"], catch_exceptions=False)
    if not torch.cuda.is_available():
        with pytest.raises(UsageError, match="finds no CUDA device; wanted --device cpu"):
            CliRunner().invoke(train, ["ttm", "--device", "cuda", "-C", "tiny.yaml"], catch_exceptions=False)


def test_without_a_recipe_it_is_that_of_the_shipped_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(UsageError, match=r"torch\.compile needs the compiler .*; --set compile=false"):
        CliRunner().invoke(train, ["ttm", "--dry-run"], catch_exceptions=False)
    done = CliRunner().invoke(train, ["ttm", "--dry-run", "--set", "compile=false"], catch_exceptions=False)
    assert "1,415,440 parameters" in done.output and "my-ttm" in done.output


def test_a_schedule_in_steps_fits_any_number_of_them(tiny: Callable[..., Recipe]) -> None:
    long = tiny("steps=1000", "schedule.warmup=300", "schedule.name=restarts", "schedule.cycle=50")
    schedule = session._as_shares(long).schedule
    assert (schedule.warmup, schedule.cycle) == (0.3, 0.05)
    assert session._as_shares(tiny("schedule.warmup=0.1")).schedule.warmup == 0.1


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe_file(tmp_path)
    (tmp_path / "paper").mkdir()
    (tmp_path / "paper" / "README.md").write_text("mine")
    for where, said in (("paper", "holds README.md, and no recipe.yaml"), (".", "the working folder"), ("/", "the working folder, or one")):
        with pytest.raises(UsageError, match=said):
            CliRunner().invoke(train, ["ttm", "-C", "tiny.yaml", "-o", where], catch_exceptions=False)
    assert (tmp_path / "paper" / "README.md").read_text() == "mine"


def test_a_network_that_is_too_large_is_refused_before_it_is_made(tmp_path: Path) -> None:
    recipe_file(tmp_path)
    with pytest.raises(UsageError, match=r"model: the network would have [0-9,]+ parameters; wanted at most 1,000,000,000"):
        Trainer(Recipe.load(tmp_path / "tiny.yaml", ["model.d_model=8192", "model.num_layers=100"]), tmp_path / "out")


def test_a_refused_fresh_start_keeps_the_checkpoints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe_file(tmp_path)
    run = ["ttm", "-C", "tiny.yaml", "--progress", "none"]
    assert CliRunner().invoke(train, run, catch_exceptions=False).exit_code == 0
    before = sorted(Path("tiny-checkpoints").glob("*.pt"))
    for change in ("data.real=[{path: nothing_here}]", "optimizer.rules=[{match: nosuch, frozen: true}]"):
        with pytest.raises(UsageError):
            CliRunner().invoke(train, [*run, "--fresh", "--set", change], catch_exceptions=False)
    other = Trainer(Recipe.load(Path("tiny.yaml")), Path("tiny")).checkpoints
    with other.lock(), pytest.raises(UsageError, match="another training writes into tiny-checkpoints"):
        CliRunner().invoke(train, [*run, "--fresh"], catch_exceptions=False)
    assert before and sorted(Path("tiny-checkpoints").glob("*.pt")) == before


def test_a_training_that_came_to_nothing_writes_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe_file(tmp_path)
    run = ["ttm", "-C", "tiny.yaml", "--progress", "none", "--set", "early_stopping=2", "--set", "validate_every=2"]
    assert CliRunner().invoke(train, run, catch_exceptions=False).exit_code == 0
    good = Path("tiny/model.safetensors").read_bytes()
    best = Path("tiny-checkpoints/best.pt")
    best.write_bytes(best.read_bytes()[:100])
    with pytest.raises(TrainingError, match="the best weights, in tiny-checkpoints, cannot be read, and none were written; --fresh"):
        CliRunner().invoke(train, run, catch_exceptions=False)
    real = Trainer.averaged

    def broken(self: Trainer) -> Any:
        model = real(self)
        next(iter(model.parameters())).data.fill_(float("nan"))
        return model

    monkeypatch.setattr(Trainer, "averaged", broken)
    for change in ("validate_every=0", "validate_every=2"):
        with pytest.raises(TrainingError, match="the training diverged, and no weights were written"):
            CliRunner().invoke(train, [*run[:-4], "--fresh", "--set", change], catch_exceptions=False)
    assert Path("tiny/model.safetensors").read_bytes() == good


def test_ctrl_c_writes_a_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe_file(tmp_path)
    move = Trainer._move_average

    def interrupted(self: Trainer) -> None:
        move(self)
        if self.step == 6:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Trainer, "_move_average", interrupted)
    before = signal.getsignal(signal.SIGINT)
    done = CliRunner().invoke(train, ["ttm", "-C", "tiny.yaml"])
    assert done.exit_code == 1 and "the same command goes on from there" in done.stderr, done.output
    steps = [int(p.stem[5:]) for p in sorted(Path("tiny-checkpoints").glob("*.pt"))]
    assert steps in ([4, 6], [4, 7])
    assert signal.getsignal(signal.SIGINT) == before


def test_time_is_turned_into_steps(tiny: Callable[..., Recipe]) -> None:
    pace = Pace(first=5.0, step=0.08, series=0.02, validation=2.0, measured=8.0)
    assert pace.steps(600, tiny()) == int((0.97 * 600 - 13) / 0.1)
    assert pace.steps(600, tiny("validate_every=20")) == int((0.97 * 600 - 17) / 0.2)
    assert pace.steps(1, tiny()) == 10


def test_the_command_imports_nothing_heavy() -> None:
    code = "import sys, harness_ttm.train_command; print([m for m in ('torch', 'scipy', 'pandas', 'duckdb') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_training_is_done_again_from_its_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The record alone is enough: in another folder, and without the recipe's file. Equal bits; and what differs is said."""
    import harness
    from harness.cli.replay import replay
    from harness.trained import register

    (tmp_path / "then").mkdir()
    (tmp_path / "now").mkdir()
    monkeypatch.chdir(tmp_path / "then")
    (tmp_path / "then" / "toy.tsf").write_text(TSF)
    file = recipe_file(tmp_path / "then")
    changes = ["--set", "data.real=[{path: toy.tsf, share: 0.25}]", "--set", "validate_every=6", "--steps", "7"]
    done = CliRunner().invoke(train, ["ttm", "-C", str(file), "-o", "mine", *changes, "--progress", "none"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert Path("harness.duckdb").exists(), "recorded without being asked to, as a run is"
    file.unlink()
    monkeypatch.chdir(tmp_path / "now")
    db = tmp_path / "then" / "harness.duckdb"
    (row,) = harness.load(db).trained().to_pylist()
    environment = json.loads(row["environment"])
    assert environment["recipe"]["steps"] == 7 and set(environment["weight_files"]) == {"model.safetensors"}

    def again(name: str, *options: str) -> Any:
        return CliRunner().invoke(replay, [name, "--db", str(db), *options], catch_exceptions=False, standalone_mode=False)

    done = again(row["configuration"][:10], "--json")
    answer = json.loads(done.stdout)
    assert done.return_value == 0
    assert (answer["equal"], answer["weights"], answer["changed"]) == (True, "equal", {})
    numbers_of = {line["name"]: line["difference"] for line in answer["numbers"]}
    assert set(numbers_of) >= {"loss", "val_mixture", "best_step", "windows"} and not any(numbers_of.values())
    # Another recipe, or other data, is another training: told, with what differs.
    recipe = {**environment["recipe"], "optimizer": {**environment["recipe"]["optimizer"], "learning_rate": 1e-3}}
    fields = {"model": "ttm", "path": row["path"], "mode": "pretrain", "metrics": json.loads(row["metrics"]), "data": row["data"]}
    changed = register(db, TrainedModel(**fields, environment={**environment, "recipe": recipe, "note": 1}))
    done = again(changed)
    assert done.return_value == 4 and "weights: they differ" in done.output and "NOT equal" in done.output
    assert "configuration differs: it was " in done.output
    (tmp_path / "then" / "toy.tsf").write_text(TSF.replace(":1,2.5", ":7,2.5"))
    done = again(row["id"])
    assert done.return_value == 4 and "data differs: it was made series" in done.output


def test_what_cannot_be_trained_again_says_why(tiny: Callable[..., Recipe], tmp_path: Path) -> None:
    from harness_ttm import retrain

    from harness import Unsupported

    row = {"model_name": "ttm", "mode": "pretrain", "path": "/w", "environment": {}}
    assert retrain({**row, "mode": "full"}, tmp_path) is None and retrain({**row, "model_name": "other"}, tmp_path) is None
    with pytest.raises(Unsupported, match=r"before recipes were recorded; the recipe.yaml in /w does it: harness train ttm -C recipe.yaml"):
        retrain(row, tmp_path)
    forced = {"recipe": tiny().to_dict(), "mixed": ["seed"]}
    with pytest.raises(Unsupported, match=r"it went on \(--resume\) from checkpoints of another recipe, with other values of seed"):
        retrain({**row, "environment": forced}, tmp_path)
    with pytest.raises(UsageError, match="there is no key stepz"):
        retrain({**row, "environment": {"recipe": {**tiny().to_dict(), "stepz": 1}}}, tmp_path)


def test_a_forced_training_stays_marked(tiny: Callable[..., Recipe], tmp_path: Path) -> None:
    first = Trainer(tiny("steps=4"), tmp_path / "out")
    first.train()
    second = Trainer(tiny("steps=8", "optimizer.learning_rate=1e-3"), tmp_path / "out")
    assert second.resume(force=True) and second.mixed == ("optimizer.learning_rate", "steps")
    second.train()
    third = Trainer(tiny("steps=8", "optimizer.learning_rate=1e-3"), tmp_path / "out")
    assert third.resume() and third.mixed == second.mixed, "also after another interruption"
    assert trained_model(third, {}, []).environment["mixed"] == ["optimizer.learning_rate", "steps"]


def test_the_configuration_is_that_of_the_weights(tiny: Callable[..., Recipe], tmp_path: Path) -> None:
    def hashed(*changes: str) -> str:
        return trained_model(Trainer(tiny(*changes), tmp_path), {}, []).configuration

    plain = hashed()
    assert plain == hashed("log=tensorboard", "log_every=4", "keep=9", "checkpoint_every=5", "data.workers=2")
    assert len({plain, hashed("seed=4"), hashed("steps=13"), hashed("optimizer.learning_rate=1e-3"), hashed("data.chunk=12")}) == 5


@pytest.mark.skipif(find_spec("mlflow") is None, reason="mlflow is not installed; type: pip install mlflow-skinny")
def test_a_training_is_logged_where_its_recipe_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")  # so that it is taken back
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.chdir(tmp_path)
    recipe_file(tmp_path)
    arguments = ["ttm", "-C", "tiny.yaml", "-o", "mine", "--steps", "6", "--progress", "none", "--set", "validate_every=6"]
    done = CliRunner().invoke(train, [*arguments, "--log", "mlflow"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=(tmp_path / "mine-checkpoints" / "mlruns").as_uri())
    (run,) = client.search_runs([client.get_experiment_by_name("harness-ttm").experiment_id])
    assert (run.info.run_name, run.info.status, run.data.params["optimizer.learning_rate"]) == ("mine", "FINISHED", "0.002")
    with open("mine/curve.csv") as stream:  # noqa: PTH123
        losses = [float(row["loss"]) for row in csv.DictReader(stream) if row["loss"]]
    assert [m.value for m in client.get_metric_history(run.info.run_id, "loss")] == losses
    assert run.data.metrics["val_mixture"] > 0
    assert {file.path for file in client.list_artifacts(run.info.run_id)} == {"recipe.yaml", "curve.csv", "README.md"}


def test_a_logger_that_is_not_there_is_told_before_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe_file(tmp_path)
    monkeypatch.setattr("harness.loggers.logger.find_spec", {}.get)
    monkeypatch.setattr("harness_ttm.train_command.needs_torch", lambda _: pytest.fail("torch was looked for first"))
    with pytest.raises(UsageError, match="the logger mlflow needs a package that is not installed"):
        CliRunner().invoke(train, ["ttm", "-C", "tiny.yaml", "-o", "mine", "--log", "mlflow"], catch_exceptions=False)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("harness.loggers.logger.find_spec", {}.get)
    with pytest.raises(UsageError, match="the logger wandb needs a package that is not installed; type: pip install wandb"):
        CliRunner().invoke(train, ["ttm", "-C", "tiny.yaml", "-o", "mine", "--set", "log=csv,wandb", "--dry-run"], catch_exceptions=False)
    with pytest.raises(UsageError, match="log is 'csv,wandbb': there is no logger 'wandbb'; wanted csv, tensorboard, mlflow, wandb"):
        CliRunner().invoke(train, ["ttm", "-C", "tiny.yaml", "-o", "mine", "--set", "log=csv,wandbb"], catch_exceptions=False)
    assert [path.name for path in tmp_path.iterdir()] == ["tiny.yaml"]


def test_a_database_that_cannot_take_the_record_is_told_before_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    recipe_file(tmp_path)
    (tmp_path / "no.duckdb").write_text("this is no database, and long enough to be looked at" * 100)
    with pytest.raises(HarnessError, match=r"no\.duckdb"):
        CliRunner().invoke(train, ["ttm", "-C", "tiny.yaml", "-o", "mine", "--db", "no.duckdb"], catch_exceptions=False)
    assert not (tmp_path / "mine").exists()
