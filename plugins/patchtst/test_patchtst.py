"""Forecasts beside the library's own, windows beside plain loops, and what a training must keep to."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install torch")
transformers: Any = pytest.importorskip("transformers", reason="transformers is not installed: pip install 'transformers>=5,<6'")

import harness_patchtst  # noqa: E402
from harness_patchtst import PatchTST, network  # noqa: E402
from harness_patchtst.parameters import Settings, Shape, cycle, shape_for  # noqa: E402
from harness_patchtst.windows import Constant, Series, standardise  # noqa: E402
from scipy import stats  # noqa: E402

from harness import Batch, ModelInfo, Ragged, Unsupported, UsageError, hookimpl  # noqa: E402
from harness.conformance import CHECKS  # noqa: E402
from harness.forecast import F64  # noqa: E402
from harness.plugins import Plugins  # noqa: E402
from harness.testing import checks, make_batch  # noqa: E402

DATA = Path(os.environ.get("HARNESS_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
TINY: dict[str, Any] = {"d_model": 8, "layers": 1, "heads": 2, "max_steps": 4, "batch_size": 8}
LEVELS = np.array([0.025, 0.1, 0.3, 0.5, 0.9, 0.975])


def library(folder: Path, **options: Any) -> Any:
    """A small network of the library with random weights, in a folder that the library writes."""
    shape = {"context_length": 24, "patch_length": 4, "patch_stride": 2, "prediction_length": 6, "num_input_channels": 3}
    size = {"d_model": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "ffn_dim": 16, "pooling_type": None}
    config = transformers.PatchTSTConfig(**{**shape, **size, "loss": "nll", "distribution_output": "student_t", **options})
    with torch.random.fork_rng():
        torch.manual_seed(5)
        made = transformers.PatchTSTForPrediction(config).eval()
        for value in made.parameters():
            torch.nn.init.normal_(value, std=0.3)  # the first weights are so small that all forecasts look alike
    transformers.utils.logging.disable_progress_bar()
    made.save_pretrained(folder)
    return made


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("weights")
    library(folder)
    return str(folder)


def waves(n: int, length: int, period: int = 7, noise: float = 0.1) -> list[F64]:
    rng = np.random.default_rng(3)
    t = np.arange(length)
    return [10 * (i + 1) * (2 + np.sin(2 * np.pi * (t + i) / period) + noise * rng.normal(size=length)) for i in range(n)]


@pytest.mark.parametrize("name", CHECKS)
def test_conformance_from_weights(name: str, weights: str) -> None:
    found = {c.name: c for c in checks("patchtst", {"weights": weights, "max_steps": 3, "batch_size": 8})}
    if name not in found:
        pytest.skip(f"{name} is not for this model")
    found[name]()


class Trained:
    """The model as one that only trains: the checks then look at trained forecasts."""

    @hookimpl
    def register_models(self, register: Callable[..., None]) -> None:
        infos: list[ModelInfo] = []
        harness_patchtst.register_models(lambda info, _: infos.append(info))
        register(replace(infos[0], name="patchtst_full", modes=("full",)), PatchTST)


PLUGINS = Plugins()
PLUGINS.register(Trained(), "patchtst_full")


@pytest.mark.parametrize("check", checks("patchtst_full", TINY, PLUGINS), ids=str)
def test_conformance_trained(check: Callable[[], None]) -> None:
    check()


@pytest.mark.parametrize("distribution", ["student_t", "normal", "negative_binomial"])
@pytest.mark.parametrize("scaling", ["std", "mean", None])
def test_quantiles_are_those_of_the_librarys_distribution(tmp_path: Path, distribution: str, scaling: str | None) -> None:
    theirs = library(tmp_path, distribution_output=distribution, scaling=scaling)
    size = 10.0 if scaling else 0.1  # without scaling the parameters of counts would be beyond float32
    rows = np.random.default_rng(0).gamma(3, size, (5, 3, 24)).astype(np.float32)  # [N, 3 channels, T]
    with torch.no_grad():
        answer = theirs(past_values=torch.from_numpy(rows.transpose(0, 2, 1).copy()))
    parts = [p.numpy().astype(np.float64).transpose(0, 2, 1).reshape(15, 6) for p in answer.prediction_outputs]  # [N · 3, H]
    loc, scale = (a.numpy().astype(np.float64).reshape(15, 1) for a in (answer.loc, answer.scale))
    if distribution == "student_t":
        law = stats.t(parts[0], loc + scale * parts[1], scale * parts[2])
    elif distribution == "normal":
        law = stats.norm(loc + scale * parts[0], scale * parts[1])
    else:
        odds = np.exp(parts[1]) * scale
        law = stats.nbinom(parts[0], 1 / (1 + odds))
    ours = PatchTST(weights=str(tmp_path)).predict(Batch.from_contexts(list(rows.reshape(15, 24)), 6, quantile_levels=LEVELS.tolist()))
    assert ours.mean is not None and ours.levels is not None
    np.testing.assert_allclose(ours.levels, LEVELS)
    if distribution == "negative_binomial":
        wanted = np.stack([law.ppf(q) for q in LEVELS], axis=1)
        assert (np.abs(ours.values - wanted) <= 1 + 1e-3 * wanted).all()  # at the very edge of a level either of two counts
        assert np.mean(ours.values == wanted) > 0.99
    else:
        wanted = np.stack([law.ppf(q) for q in LEVELS], axis=1)  # [N · 3, Q, H]
        np.testing.assert_allclose(ours.values, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
    np.testing.assert_allclose(ours.mean, law.mean(), rtol=1e-4, atol=1e-4 * np.abs(law.mean()).max())


def test_quantiles_are_those_of_the_librarys_samples(tmp_path: Path) -> None:
    theirs = library(tmp_path, num_input_channels=1, num_parallel_samples=4000)
    rows = np.random.default_rng(0).gamma(3, 10, (4, 24)).astype(np.float32)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        samples = theirs.generate(past_values=torch.from_numpy(rows[:, :, None])).sequences[..., 0].numpy()  # [N, S, H]
    ours = PatchTST(weights=str(tmp_path)).predict(Batch.from_contexts(list(rows), 6))
    assert ours.levels is not None
    below = (samples[:, :, None] <= ours.values[:, None]).mean(axis=1)  # [N, Q, H] share of samples below each quantile
    np.testing.assert_allclose(below, np.broadcast_to(ours.levels[None, :, None], below.shape), atol=0.035)


def test_missing_values_do_not_matter_how_they_are_written(weights: str) -> None:
    model, y = PatchTST(weights=weights), 100 + waves(1, 40)[0]
    forecasts = []
    for hole in (np.nan, np.inf, -np.inf):
        gap = y.copy()
        gap[[20, 21, 39]] = hole
        forecasts.append(model.predict(Batch.from_contexts([gap], 6)).values)
    np.testing.assert_array_equal(forecasts[0], forecasts[1])
    np.testing.assert_array_equal(forecasts[0], forecasts[2])


@pytest.mark.parametrize("scaling", ["std", "mean", "none"])
def test_standardise_beside_a_plain_loop(scaling: str) -> None:
    rng = np.random.default_rng(1)
    values = (50 + 3 * rng.normal(size=(6, 9))).astype(np.float32)
    mask = rng.random((6, 9)) < 0.7
    mask[0] = False
    values[1], mask[1] = 7, True
    constant = Constant(0.5, 4.0)
    scaled, loc, scale = standardise(np.where(mask, values, np.float32(np.nan)), mask, scaling, constant)
    for i, (row, seen) in enumerate(zip(values.astype(np.float64), mask, strict=True)):
        y = row[seen]
        centre = y.mean() if scaling == "std" and len(y) else 0.0
        spread = {"std": y.std() if len(y) else 0.0, "mean": np.abs(y).mean() if len(y) else 0.0, "none": 1.0}[scaling]
        spread = spread or (3.5 if len(y) else 4.0)  # a constant 7 has half its size; nothing at all has the absolute scale
        np.testing.assert_allclose([loc[i], scale[i]], [centre, spread], rtol=1e-12)
        np.testing.assert_allclose(scaled[i], np.where(seen, (row - centre) / spread, 0.0), atol=1e-9)


def test_windows_end_before_what_is_held_out() -> None:
    lengths, horizon, context = [200, 64, 30, 13, 12, 7, 2, 1, 40], 6, 24
    rows = [1000.0 * i + np.arange(n) for i, n in enumerate(lengths)]
    rows[8][:] = np.nan
    series = Series(Ragged.from_rows(rows), horizon, context)
    # Six series hold out: 64 / 6 is more than 8 windows of each, and an eighth of the length allows 4 of 200 steps
    end = [200 - 4 * 6, 64 - 6, 30 - 6, 13 - 3, 12 - 3, 7 - 1, 2, 1, 40]
    assert (series.held.end - np.cumsum([0, *lengths[:-1]])).tolist() == end
    held, groups = series.held_out(np.random.default_rng(0))
    assert groups.tolist() == [[0, 3], [0, 2], [0, 1], [0, 0], [1, 0], [2, 0], [3, 0], [4, 0], [5, 0]]
    assert held.known.sum(axis=1).tolist() == [6] * 6 + [3, 3, 1]
    assert held.target[:, 0].tolist() == [176, 182, 188, 194, 1058, 2024, 3010, 4009, 5006]
    np.testing.assert_array_equal(held.context[0], np.arange(152, 176))
    drawn = series.draw(np.random.default_rng(0), 6000)
    which, first = np.divmod(drawn.target[:, 0].astype(int), 1000)
    assert set(which.tolist()) == {0, 1, 2, 3, 4, 5, 6}  # not one of a single step, nor one without a value
    for i in range(7):
        own = drawn.known[which == i]
        starts = first[which == i]
        roomy = end[i] > horizon
        half = max(1, (end[i] - horizon) // 2 if roomy else end[i] // 2)
        low = min(context, half)
        assert set(starts.tolist()) == set(range(low, max(end[i] - horizon, low) + 1))
        assert (starts + own.sum(axis=1) <= end[i]).all() and own.all() == (end[i] - low >= horizon)
    steps = np.where(drawn.seen, drawn.context, -1)
    assert ((steps[:, -1] + 1) % 1000 == first % 1000).all()  # the context ends where the target begins
    assert (drawn.seen.sum(axis=1) == np.minimum(first, context)).all()  # what lies before the series is masked
    assert not drawn.context[~drawn.seen].any() and not drawn.target[~drawn.known].any()


def test_long_series_are_drawn_by_the_root_of_their_windows() -> None:
    rows = [np.zeros(4000) + i for i in range(1)] + [np.ones(60)] * 20
    series = Series(Ragged.from_rows(rows), 5, 20)
    drawn = series.draw(np.random.default_rng(0), 40_000)
    share = np.mean(drawn.target[:, 0] == 0)
    root = np.sqrt(series.count)
    assert share == pytest.approx(root[0] / root.sum(), abs=0.01) and series.count[0] > 100 * series.count[1]


def test_many_series_are_validated_on_a_part_of_them() -> None:
    series = Series(Ragged.from_rows([np.full(20, float(i)) for i in range(3000)]), 3, 8)
    held, _ = series.held_out(np.random.default_rng(0))
    assert held.target.shape == (1024, 3)
    assert len(np.unique(held.target[:, 0])) == 1024


def test_it_learns_a_season_that_nobody_names() -> None:
    rows = waves(6, 140, period=9)
    train = Batch.from_contexts([r[:-12] for r in rows], 12, freq="D", season_length=1)
    model = PatchTST(d_model=16, layers=1, heads=2, max_steps=80, batch_size=16, learning_rate=1e-2)
    trained = model.finetune(train, "", 0)
    forecast = trained.predict(train)
    labels = np.stack([r[-12:] for r in rows])
    median = forecast.values[:, 5]
    naive = np.abs(labels - train.padded(1)[0]).mean()
    assert np.abs(labels - median).mean() < 0.35 * naive
    inside = (labels > forecast.values[:, 1]) & (labels < forecast.values[:, 9])
    assert 0.5 < inside.mean() <= 1.0  # 80 % intervals
    assert trained.notes["context_length"] == 48 and trained.notes["distribution"] == "student_t"
    assert 0 < trained.notes["best_step"] <= trained.notes["steps"] <= 80
    losses = trained.notes["validation_losses"]
    assert isinstance(losses, list) and min(losses) == pytest.approx(trained.notes["loss after"], abs=1e-6) and min(losses) < losses[0]


def test_real_births_beat_naive() -> None:
    files = sorted((DATA / "gift-eval" / "us_births" / "D").glob("data-*.arrow"))
    if not files:
        pytest.skip(f"no us_births/D under {DATA}/gift-eval; set HARNESS_TEST_DATA to a folder that has it")
    with pa.memory_map(str(files[0])) as source:
        y = np.array(pa.ipc.open_stream(source).read_all()["target"][0].as_py(), np.float32)
    train = Batch.from_contexts([y[:-30]], 30, freq="D")
    trained = PatchTST(context_length=56, patch_length=7, d_model=16, layers=1, heads=2, learning_rate=1e-2).finetune(train, "80steps", 0)
    error = np.abs(y[-30:] - trained.predict(train).values[0, 5]).mean()
    assert error < 0.5 * np.abs(y[-30:] - y[-31]).mean()


@pytest.mark.parametrize("distribution", ["student_t", "normal", "negative_binomial"])
@pytest.mark.parametrize("horizon", [1, 5])
def test_a_trained_model_is_kept_whole(tmp_path: Path, distribution: str, horizon: int) -> None:
    train = Batch.from_contexts([np.random.default_rng(i).poisson(4, 50 + i) for i in range(5)], horizon, freq="D")
    trained = PatchTST(**TINY, distribution=distribution).finetune(train, "", 0)
    folder = trained.save(tmp_path / "kept")
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "harness.json", "model.safetensors"]
    again = PatchTST(weights=str(folder))
    first, second = trained.predict(train), again.predict(train)
    np.testing.assert_array_equal(first.values, second.values)
    np.testing.assert_array_equal(first.mean, second.mean)
    assert again.notes["weights"] == f"trained full, frequency D, horizon {horizon}"
    # The library reads the folder, and sees the same network
    theirs, report = transformers.PatchTSTForPrediction.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values())
    state = trained.network.state_dict()
    assert all(torch.equal(state[name], value) for name, value in theirs.state_dict().items())


def test_training_leaves_global_state_alone(weights: str) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state().clone()
    PatchTST(**TINY).finetune(make_batch(4), "", 0)
    PatchTST(weights=weights).finetune(make_batch(4), "2steps", 0, "finetune")
    assert torch.equal(torch.get_rng_state(), before)


def test_seeds_differ() -> None:
    a, b = (PatchTST(**TINY).finetune(make_batch(6), "", seed).predict(make_batch(6)).values for seed in (0, 1))
    assert not np.array_equal(a, b)


def test_more_rows_than_go_together_change_nothing(weights: str) -> None:
    model, contexts = PatchTST(weights=weights), [r[i % 30 :] for i, r in enumerate(waves(150, 60))]
    whole = model.predict(Batch.from_contexts(contexts, 20))
    for rows in ([0], [149], [63, 64, 65], list(range(149, 20, -1))):
        part = model.predict(Batch.from_contexts([contexts[r] for r in rows], 20))
        np.testing.assert_array_equal(part.values, whole.values[rows])
        np.testing.assert_array_equal(part.mean, whole.mean[rows])  # type: ignore[index]


def test_beyond_the_head_medians_are_fed_back_and_spread_adds_up(weights: str) -> None:
    model, y = PatchTST(weights=weights), waves(1, 60)[0]
    short = model.predict(Batch.from_contexts([y], 6, quantile_levels=[0.1, 0.5, 0.9]))
    long = model.predict(Batch.from_contexts([y], 12, quantile_levels=[0.1, 0.5, 0.9]))
    assert model.notes["blocks"] == 2
    np.testing.assert_array_equal(long.values[:, :, :6], short.values)
    median = short.values[0, 2].astype(np.float64)
    second = model.predict(Batch.from_contexts([np.append(y, median)], 6, quantile_levels=[0.1, 0.5, 0.9]))
    np.testing.assert_allclose(long.values[0, 2, 6:], second.values[0, 2], rtol=1e-4)
    distance = second.values[0, 3] - second.values[0, 2]
    end = short.values[0, 3, -1] - median[-1]
    np.testing.assert_allclose(long.values[0, 3, 6:] - long.values[0, 2, 6:], np.sqrt(distance**2 + end**2), rtol=1e-3)
    with pytest.raises(Unsupported, match=r"head of 6 steps forecasts 24 at most, and the task asks for 25; .*--mode finetune"):
        model.predict(Batch.from_contexts([y], 25))


def test_finetuning_begins_with_the_weights(weights: str) -> None:
    train, start = make_batch(6), PatchTST(weights=weights, learning_rate=1e-3)
    assert start.loaded is not None
    old = start.loaded.network.state_dict()

    def moved(trained: Any, part: str = "") -> float:
        state = {k: v for k, v in trained.network.state_dict().items() if k.startswith(part) and "running" not in k}
        return max(float((old[k] - v).abs().max()) for k, v in state.items() if v.is_floating_point())

    trained = start.finetune(train, "20steps", 0, "finetune")
    assert old.keys() == trained.network.state_dict().keys() and trained.notes["best_step"] != 0
    assert 1e-5 < moved(trained) < 0.05
    longer = start.finetune(replace(train, horizon=9), "20steps", 0, "few-shot:0.5")
    assert longer.horizon == 9 and longer.notes["trained"] == "few-shot:0.5" and 1e-5 < moved(longer, "model.") < 0.05
    assert moved(start.finetune(train, "20steps", 0, "full")) > 0.1
    other = PatchTST(weights=weights, distribution="normal").finetune(train, "1step", 0, "finetune")
    assert other.notes["distribution"] == "normal"
    np.testing.assert_array_equal(start.predict(train).values, PatchTST(weights=weights).predict(train).values)


def test_training_never_makes_weights_worse_on_what_is_held_out(weights: str) -> None:
    trained = PatchTST(weights=weights, learning_rate=1.0).finetune(make_batch(6), "6steps", 0, "finetune")
    losses = trained.notes["validation_losses"]
    assert trained.notes["kept"] == "tuned" and isinstance(losses, list)
    assert trained.notes["loss after"] == pytest.approx(min(losses), abs=1e-6) and min(losses) < losses[0]
    start = PatchTST(weights=weights, learning_rate=1e-9)
    for train, why in ((make_batch(6), "no look at the held-out"), (Batch.from_contexts([waves(1, 40)[0]], 6), "fewer than two")):
        trained = start.finetune(train, "6steps", 0, "finetune")
        assert trained.notes["kept"] == "base" and str(trained.notes["why"]).startswith(why)
        for name, value in start.loaded.network.state_dict().items():
            assert torch.equal(value, trained.network.state_dict()[name]), name


def test_a_point_head_gives_points_and_learns_a_distribution(tmp_path: Path) -> None:
    theirs = library(tmp_path, loss="mse", num_input_channels=1)
    y = waves(1, 24)[0].astype(np.float32)
    with torch.no_grad():
        wanted = theirs(past_values=torch.from_numpy(y[None, :, None])).prediction_outputs[0, :, 0].numpy()
    model = PatchTST(weights=str(tmp_path))
    forecast = model.predict(Batch.from_contexts([y], 6))
    assert forecast.kind == "points"
    np.testing.assert_allclose(forecast.values[0, 0], wanted, rtol=1e-4)
    assert model.finetune(make_batch(6), "1step", 0, "finetune").predict(make_batch(6)).kind == "quantiles"
    with pytest.raises(Unsupported, match=r"the weights give points and distribution=normal was asked for; train them to: --mode finetune"):
        PatchTST(weights=str(tmp_path), distribution="normal").predict(make_batch(2))


def test_without_weights_only_full() -> None:
    with pytest.raises(Unsupported, match=r"no weights of its own for zero-shot; train it on each task with --mode full"):
        PatchTST().predict(make_batch(2))
    for mode in ("finetune", "few-shot:0.1"):
        with pytest.raises(Unsupported, match=rf"no weights to train on from in mode {mode}; train new ones with --mode full"):
            PatchTST().finetune(make_batch(2), "", 0, mode)
    with pytest.raises(Unsupported, match=r"does not know the mode 'ttt'"):
        PatchTST().finetune(make_batch(2), "", 0, "ttt")


def test_what_cannot_be_learnt_from_is_unsupported() -> None:
    for contexts, why in (([[np.nan] * 30], "no value of the training series is observed"), ([[3.0]], "no training series has two steps")):
        with pytest.raises(Unsupported, match=why):
            PatchTST(**TINY).finetune(Batch.from_contexts(contexts, 4), "", 0)
    for bad in ([-1.0, 2.0] * 20, [0.5, 2.0] * 20):
        with pytest.raises(Unsupported, match=r"negative_binomial is for counts, .* use distribution=student_t"):
            PatchTST(**TINY, distribution="negative_binomial").finetune(Batch.from_contexts([bad], 4), "", 0)


def test_series_too_short_to_hold_out_are_all_trained_on() -> None:
    train = Batch.from_contexts([[1.0, 2.0, 3.0 + i] for i in range(4)], 8, freq="A")
    trained = PatchTST(**TINY).finetune(train, "", 0)
    assert trained.notes["steps"] == 4 and str(trained.notes["validation"]).startswith("none: every series is too short")
    assert np.isfinite(trained.predict(train).values).all()


def test_no_quantile_below_zero_where_no_value_is() -> None:
    rows = [np.maximum(r - 25, 0) for r in waves(4, 80)]
    for params, lowest in (({}, True), ({"nonnegative": False}, False)):
        trained = PatchTST(**TINY, **params).finetune(Batch.from_contexts(rows, 5), "", 0)
        values = trained.predict(Batch.from_contexts(rows, 5, quantile_levels=[0.001])).values
        assert bool((values >= 0).all()) == lowest and trained.notes["nonnegative"] == str(lowest).lower()
    below = PatchTST(**TINY).finetune(Batch.from_contexts([r - 40 for r in rows], 5), "", 0)
    assert below.least is None


def test_extremes_do_not_break_the_training() -> None:
    rows = [np.append(np.zeros(60), 1e30), np.full(70, 1e-30), np.append(np.ones(40), -3e38), *waves(2, 60)]
    for distribution in ("student_t", "normal"):
        trained = PatchTST(**TINY, distribution=distribution).finetune(Batch.from_contexts(rows, 4), "12steps", 0)
        assert "diverged" not in trained.notes
        assert np.isfinite(trained.predict(Batch.from_contexts(rows, 4)).values).all()


def test_a_time_is_kept_to(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness_patchtst import training

    ticks = iter(range(1000))
    monkeypatch.setattr(training.time, "monotonic", lambda: 0.25 * next(ticks))  # asked at the start and before each step
    trained = PatchTST(**{**TINY, "max_steps": None}).finetune(make_batch(6), "3s", 0)
    assert trained.notes["steps"] == 11 and trained.notes["validation_steps"] == [0, 11]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"context_length": 0}, r"context_length got 0; wanted a whole number from 3 to 4096"),
        ({"context_length": 9999}, r"context_length got 9999"),
        ({"context_length": 16, "patch_length": 16}, r"context_length got 16 with a patch_length of 16; wanted a context longer"),
        ({"patch_length": 4, "patch_stride": 8}, r"patch_stride got 8 with a patch_length of 4"),
        ({"patch_length": "8"}, r"patch_length got '8'; wanted a whole number of at least 2"),
        ({"d_model": 30}, r"d_model got 30 with 4 heads; wanted an even multiple"),
        ({"layers": True}, r"layers got True"),
        ({"dropout": 1}, r"dropout got 1; wanted a number from 0 up to 1"),
        ({"learning_rate": 0}, r"learning_rate got 0"),
        ({"batch_size": 0}, r"batch_size got 0"),
        ({"max_steps": 1.5}, r"max_steps got 1.5"),
        ({"patience": -1}, r"patience got -1"),
        ({"distribution": "gamma"}, r"distribution got 'gamma'; wanted student_t, normal or negative_binomial"),
        ({"nonnegative": "yes"}, r"nonnegative got 'yes'"),
        ({"device": "gpu"}, r"device got 'gpu'; wanted cpu, cuda or cuda:0"),
        ({"weights": 3}, r"weights got 3; wanted the path of a folder"),
    ],
)
def test_parameters_that_make_no_sense(params: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"patchtst: {message}"):
        PatchTST(**params)


def test_weights_that_are_none(tmp_path: Path) -> None:
    def refused(match: str) -> None:
        with pytest.raises(UsageError, match=match):
            PatchTST(weights=str(tmp_path))

    with pytest.raises(UsageError, match=r"there is no file .*config\.json; wanted a folder with config\.json and model\.safetensors"):
        PatchTST(weights=str(tmp_path / "nowhere"))
    library(tmp_path)
    config, tensors = tmp_path / "config.json", tmp_path / "model.safetensors"
    right, bytes_ = json.loads(config.read_text()), tensors.read_bytes()
    assert PatchTST(weights=str(tmp_path), d_model=8, context_length=24).loaded is not None
    with pytest.raises(UsageError, match=r"layers got 2, and the weights in .* have 1; leave layers out"):
        PatchTST(weights=str(tmp_path), layers=2)
    config.write_text(json.dumps({**right, "model_type": "patchtsmixer"}))
    refused(r"says patchtsmixer PatchTSTForPrediction; wanted patchtst PatchTSTForPrediction")
    config.write_text(json.dumps({**right, "architectures": ["PatchTSTForPretraining"]}))
    refused(r"says patchtst PatchTSTForPretraining")
    config.write_text(json.dumps({**right, "channel_attention": True}))
    refused(r"has channel_attention=True for 3 channels; wanted a network that treats each channel by itself")
    config.write_text(json.dumps({**right, "num_hidden_layers": 2}))
    refused(r"(?s)cannot be used: RuntimeError: .*Missing key")
    config.write_text(json.dumps({**right, "d_model": 16}))
    refused(r"(?s)cannot be used: RuntimeError: .*size mismatch")
    config.write_text("[]")
    refused(r"config\.json holds a list; wanted an object")
    config.write_text("[" * 100_000)
    refused(r"patchtst: .*config\.json cannot be read: its lists or objects stand in one another too deep")
    config.write_text(json.dumps(right))
    tensors.write_bytes(bytes_[: len(bytes_) // 2])
    refused(r"cannot be used: SafetensorError")
    tensors.unlink()
    torch.save({}, tmp_path / "pytorch_model.bin")
    refused(r"there is no file .*model\.safetensors")
    tensors.write_bytes(bytes_)
    for text in (
        "{}x",
        '{"format": "other"}',
        '{"format": "harness-patchtst/1", "constant": {"relative": -1, "absolute": 1}, "least": null}',
    ):
        (tmp_path / "harness.json").write_text(text)
        refused(r"harness\.json (cannot be read|is not what save\(\) of this version)")


def test_what_is_taken_where_nothing_is_set() -> None:
    cycles = {("H", 24): 168, ("D", 1): 7, ("W-SUN", 1): 52, ("15T", 96): 96, ("M", 12): 12, ("A", 1): 1, ("6H", 4): 28}
    assert {key: cycle(*key) for key in cycles} == cycles
    long = np.full(10, 100_000)
    for freq, m, horizon, wanted in (
        ("H", 24, 48, Shape(512, 16, 16)),
        ("D", 1, 30, Shape(120, 8, 4)),
        ("M", 12, 12, Shape(48, 4, 2)),
        ("A", 1, 6, Shape(32, 4, 2)),
        ("15T", 96, 720, Shape(512, 16, 16)),
    ):
        assert shape_for(Settings(), freq, m, horizon, long) == wanted
    assert shape_for(Settings(), "M", 12, 12, np.array([20, 20, 20])).context == 20
    assert shape_for(Settings(), "A", 1, 6, np.array([3, 3, 3])) == Shape(8, 4, 2)
    for context in (3, 50, 4096):
        shape = shape_for(Settings(context_length=context), "D", 1, 30, long)
        assert shape.context == context > shape.patch >= shape.stride
    assert shape_for(Settings(patch_length=24), "D", 1, 30, long) == Shape(120, 24, 12)
    for horizon in (1, 3):  # the library has no distribution of one step
        made = network.build(Shape(8, 4, 2), horizon, "normal", Settings(d_model=4, layers=1, heads=2))
        assert made.config.prediction_length == max(horizon, 2)
