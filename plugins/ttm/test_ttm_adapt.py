"""Fine-tuning and test-time training: they help where they can, harm nothing where they cannot, depend on nothing that they should not."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'harness-ttm[torch]'")
sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness_ttm.adapt import (  # noqa: E402 - after the check for torch
    Augmentation,
    PointProblem,
    SeasonProblem,
    Settings,
    TTTForecaster,
    choose,
    finetune,
    linear_names,
    lora,
    lr_find,
    parse_part,
    weights_digest,
)
from harness_ttm.adapt.finetune import Finetuned  # noqa: E402
from harness_ttm.adapt.gate import standard_error  # noqa: E402
from harness_ttm.adapt.problem import Problem  # noqa: E402
from harness_ttm.adapt.rate import schedule  # noqa: E402
from harness_ttm.adapt.series import Series  # noqa: E402
from harness_ttm.adapt.windows import augment, cut, thinned_hints  # noqa: E402
from harness_ttm.config import TTMConfig  # noqa: E402
from harness_ttm.forecaster import (  # noqa: E402
    INPUTS,
    SeasonForecaster,
    torch_network,
)
from harness_ttm.model import TTM  # noqa: E402
from harness_ttm.season_head import SeasonTTM  # noqa: E402
from harness_ttm.seasons import hints_of  # noqa: E402
from harness_ttm.train.losses import quantile_loss  # noqa: E402

from harness import Batch, Forecast, ModelInfo, Ragged, Unsupported, UsageError  # noqa: E402
from harness.batches import cut_batch  # noqa: E402
from harness.specimens import data_of  # noqa: E402

H = 12
CONFIG = TTMConfig(
    context_length=64,
    d_model=16,
    num_layers=1,
    adaptive_patching_levels=2,
    decoder_num_layers=1,
    quantile_levels=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9),
    patch_mask=True,
    season_fold=True,
    fold_width=24,
    fold_layers=1,
    fold_context=16,
    history_length=256,
    max_horizon=64,
)
POINT = TTMConfig(context_length=32, d_model=16, num_layers=1, adaptive_patching_levels=2, decoder_num_layers=1, prediction_length=H)
QUICK: dict[str, Any] = {"steps": 3, "memory_limit": 12.0, "clip": 0.05}


def seasonal(n: int, length: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """What the base is trained on: a clean season of 12 steps, [n, length]."""
    rng = np.random.default_rng(seed)
    season = 3 * np.sin(2 * np.pi * np.arange(length) / 12 + rng.uniform(0, 6, (n, 1)))
    return (10 + season + 0.1 * rng.standard_normal((n, length))).astype(np.float32)


def swinging(n: int, length: int, seed: int = 1) -> np.ndarray[Any, Any]:
    """What it has never seen: no season, y_t = -0.9 y_{t-1} + noise, [n, length]."""
    rng = np.random.default_rng(seed)
    y, noise = np.zeros((n, length)), rng.standard_normal((n, length))
    for t in range(1, length):
        y[:, t] = -0.9 * y[:, t - 1] + noise[:, t]
    return (5 + 2 * y).astype(np.float32)


def batch_of(y: Any, horizon: int = H, seed: int = 0) -> Batch:
    return Batch.from_contexts(list(y), horizon, freq="M", season_length=12, seed=seed)


def pinball(forecast: Forecast, labels: np.ndarray[Any, Any]) -> float:
    assert forecast.levels is not None
    levels, gap = forecast.levels[:, None], labels[:, None] - forecast.values  # [N, Q, H]
    return float(2 * np.maximum(levels * gap, (levels - 1) * gap).mean())


def bare(model: SeasonTTM) -> SeasonForecaster:
    return SeasonForecaster(torch_network(model), model.config)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def base() -> SeasonTTM:
    """A tiny network, trained from random weights on seasonal series for a second or two."""
    torch.manual_seed(0)
    settings = Settings(mode="full", learning_rate=1e-2, batch=24, evaluations=10)
    done = finetune(SeasonTTM(CONFIG), batch_of(seasonal(32, 200)), "50", 0, settings)
    assert isinstance(done.model, SeasonTTM)
    return done.model


@pytest.fixture(scope="module")
def tuned(base: SeasonTTM) -> Finetuned:
    return finetune(base, batch_of(swinging(32, 308)[:, :-H]), "30", 1, Settings(learning_rate=2e-2, batch=32, evaluations=5))


def parameters(model: Any) -> dict[str, Any]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


# Parts.


@pytest.mark.parametrize("network", [SeasonTTM(CONFIG), TTM(POINT)], ids=["season", "published"])
def test_parts_of_both_networks(network: Any) -> None:
    def names(part: str) -> set[str]:
        import copy

        fresh = copy.deepcopy(network)
        found = choose(fresh, parse_part(part))
        assert found == list(parameters(fresh))
        return set(found)

    every = {name for name, _ in network.named_parameters()}
    head, decoder, bias = names("head"), names("decoder"), names("bias")
    assert names("all") == every
    assert head and all(n.startswith("head.") for n in head)
    assert head < decoder and {n.split(".")[0] for n in decoder} == {"decoder", "head"}
    assert {
        n for n in every if n.endswith(".bias")
    } < bias and "backbone.encoder.mlp_mixer_encoder.mixers.0.mixer_layers.0.feature_mixer.norm.norm.weight" in bias
    assert not any(n.endswith("fc1.weight") for n in bias)
    factors = names("lora:2")
    layers = {n.rpartition(".lora_")[0] for n in factors}
    assert len(factors) == 2 * len(layers) and "backbone.encoder.patcher" in layers
    assert ("head.out" if isinstance(network, SeasonTTM) else "head.base_forecast_block") in layers
    assert names("lora:2:mlp.fc1") == {n for n in factors if ".mlp.fc1." in n}
    within = names("lora:2:decoder|head")
    assert {n for n in factors if n.split(".")[0] in ("decoder", "head")} == {n for n in within if "adapter" not in n}


def test_default_factors_are_beside_every_linear_layer_but_the_adapter() -> None:
    model = SeasonTTM(CONFIG)
    every = {name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}
    assert every - set(linear_names(model)) == {"decoder.adapter"}


def test_what_a_network_holds_fixed_is_never_trained() -> None:
    model = TTM(POINT.replaced(use_positional_encoding=True))
    assert "backbone.encoder.positional_encoder.position_enc" not in choose(model, parse_part("all"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hed", "got part 'hed'; wanted head, decoder, bias, all, or lora:RANK as in lora:4. Did you mean 'head'?"),
        ("lora", "wanted a rank of at least 1 after lora:, as in lora:4"),
        ("lora:0", "wanted a rank of at least 1"),
        ("head:3", "got part 'head:3'; wanted head"),
        ("lora:4:(", "whose pattern is no regular expression"),
    ],
)
def test_other_texts_are_refused(text: str, said: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_part(text)
    assert said in str(error.value)


def test_a_pattern_or_part_that_finds_nothing_says_what_is_there() -> None:
    with pytest.raises(
        UsageError, match=r"got the pattern 'q_proj', which matches no linear layer of SeasonTTM; some of its names: .*head\.out"
    ):
        choose(SeasonTTM(CONFIG), parse_part("lora:4:q_proj"))
    with pytest.raises(UsageError, match=r"got part 'head', of which Linear has no parameter; its modules: none"):
        choose(torch.nn.Linear(2, 2), parse_part("head"))


# Low-rank factors.


def inputs(model: SeasonTTM, n: int = 6) -> list[Any]:
    problem = SeasonProblem(model.config, H)
    series = Series.of(batch_of(seasonal(n, 120, 7)), problem, True)
    windows = series.newest(problem, hints_of("M", 12), series.held.only(np.arange(n)))
    arrays = problem.arrays(windows, np.random.default_rng(0), 99)
    return [arrays[name] for name in INPUTS]


def with_factors(model: Any, seed: int = 3) -> Any:
    """A copy with factors that do something."""
    import copy

    model = copy.deepcopy(model)
    choose(model, parse_part("lora:3"))
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for layer in lora.layers(model).values():
            layer.lora_B.weight.normal_(0, 0.02, generator=generator)
    return model.eval()


def test_factors_begin_as_nothing_and_merge_to_the_same_function(base: SeasonTTM) -> None:
    import copy

    x = inputs(base)
    with torch.no_grad():
        plain = base(*x)
        fresh = copy.deepcopy(base)
        choose(fresh, parse_part("lora:3"))
        torch.testing.assert_close(fresh(*x), plain, rtol=0, atol=1e-5)  # patches are mixed by another product where factors are
        model = with_factors(base)
        changed = model(*x)
        assert (changed - plain).abs().max() > 1e-2
        merged = lora.merge(copy.deepcopy(model))
        torch.testing.assert_close(merged(*x), changed, rtol=0, atol=1e-5)
        assert list(merged.state_dict()) == list(base.state_dict())
        assert weights_digest(merged) != weights_digest(base)
        assert weights_digest(lora.unload(model)) == weights_digest(base)


def test_alpha_is_twice_the_rank_and_scales_the_change() -> None:
    layer = lora.LoRALinear(torch.nn.Linear(5, 4), 2, 8.0)
    torch.nn.init.ones_(layer.lora_B.weight)
    x = torch.randn(3, 5)
    by_hand = x @ layer.base_layer.weight.T + layer.base_layer.bias + 8 / 2 * (x @ layer.lora_A.weight.T).sum(dim=1, keepdim=True)
    torch.testing.assert_close(layer(x), by_hand)
    merged = lora.merge(torch.nn.Sequential(layer))
    assert isinstance(merged[0], torch.nn.Linear) and (merged(x) - by_hand).abs().max() < 1e-6
    model = torch.nn.Sequential(torch.nn.Linear(5, 4))
    assert lora.layers(lora.inject(model, ["0"], 3))["0"].alpha == 6


def test_saved_factors_are_loaded_again(base: SeasonTTM, tmp_path: Path) -> None:
    import copy

    model, x = with_factors(base), inputs(base)
    lora.save(model, tmp_path, base="tiny")
    again = lora.load(copy.deepcopy(base), tmp_path)
    with torch.no_grad():
        assert torch.equal(again(*x), model(*x))


@pytest.mark.parametrize("kind", ["season", "published"])
def test_peft_loads_our_factors_and_we_load_its(kind: str, base: SeasonTTM, tmp_path: Path) -> None:
    import copy
    import warnings

    peft = pytest.importorskip("peft", reason="peft is not installed: pip install peft")
    network: Any = base if kind == "season" else TTM(POINT).eval()
    x = inputs(base) if kind == "season" else [torch.randn(4, 32, 1)]
    model = with_factors(network)
    lora.save(model, tmp_path / "ours")

    def output(net: Any) -> Any:
        with torch.no_grad():
            out = net(*x)
        return out if kind == "season" else out.predictions

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = peft.PeftModel.from_pretrained(copy.deepcopy(network), str(tmp_path / "ours")).eval()
        torch.testing.assert_close(output(theirs.base_model.model), output(model), rtol=1e-5, atol=1e-6)
        assert (output(model) - output(network)).abs().max() > 1e-3
        theirs.save_pretrained(str(tmp_path / "theirs"))
    torch.testing.assert_close(output(lora.load(copy.deepcopy(network), tmp_path / "theirs")), output(model), rtol=1e-5, atol=1e-6)


def test_factors_that_do_not_fit_are_refused(base: SeasonTTM, tmp_path: Path) -> None:
    import copy
    import json

    with pytest.raises(UsageError, match=r"there is no adapter_config.json in .*wanted a folder that lora.save or peft wrote"):
        lora.load(copy.deepcopy(base), tmp_path)
    model = with_factors(base)
    with pytest.raises(UsageError, match=r"has low-rank factors already; merge\(model\) or unload\(model\) first"):
        lora.inject(model, ["head.out"], 2)
    with pytest.raises(UsageError, match=r"got 'head' for low-rank factors, which is SeasonHead; wanted the name of a linear layer"):
        lora.inject(copy.deepcopy(base), ["head"], 2)
    lora.save(model, tmp_path)
    with pytest.raises(UsageError, match="does not fit TTM"):
        lora.load(TTM(POINT), tmp_path)
    other = SeasonTTM(CONFIG.replaced(fold_width=32))
    with pytest.raises(UsageError, match=r"has shape \(.*; wanted \("):
        lora.load(other, tmp_path)
    assert not lora.layers(other)
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    (tmp_path / "adapter_config.json").write_text(json.dumps({**config, "use_dora": True}))
    with pytest.raises(UsageError, match="has use_dora=True; wanted plain LoRA of linear layers"):
        lora.load(copy.deepcopy(base), tmp_path)
    (tmp_path / "adapter_config.json").write_text("[" * 100_000)
    with pytest.raises(UsageError, match=r"adapter_config.json cannot be read: its lists or objects stand in one another too deep"):
        lora.load(copy.deepcopy(base), tmp_path)


# Learning rate.


def test_the_course_of_the_rate() -> None:
    rates = [schedule(done / 100) for done in range(101)]
    assert rates[0] < rates[5] < rates[10] == max(rates) == 1 and rates[10:] == sorted(rates[10:], reverse=True) and rates[-1] < 1e-9


def test_the_rate_that_is_found_trains_better_than_a_far_lower_or_higher_one() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(256, 8, generator=generator)
    y = x @ torch.randn(8, 1, generator=generator)
    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(8, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
    before = weights_digest(model)

    def loss(network: Any, step: int) -> Any:
        rows = slice(step % 4 * 64, step % 4 * 64 + 64)
        return torch.nn.functional.mse_loss(network(x[rows]), y[rows])

    found = lr_find(model, loss)
    assert weights_digest(model) == before
    assert len(found.rates) == len(found.losses) and found.rate in found.rates and found == lr_find(model, loss)

    def after(rate: float) -> float:
        import copy

        network = copy.deepcopy(model)
        optimizer = torch.optim.AdamW(network.parameters(), lr=rate)
        for step in range(30):
            optimizer.zero_grad()
            loss(network, step).backward()
            optimizer.step()
        return sum(loss(network, step).item() for step in range(4))

    assert after(found.rate) < 0.5 * min(after(found.rate / 100), after(found.rate * 100))


# Windows.


def test_cut_windows_beside_a_plain_loop() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal(60).astype(np.float32)
    values[rng.random(60) < 0.2] = np.nan
    n, history, ahead = 40, 7, 5
    begin = rng.integers(0, 30, n)
    origin = begin + rng.integers(0, 12, n)
    limit = np.minimum(origin + rng.integers(0, 8, n), 60)
    every = rng.integers(1, 3, n)
    got = cut(values, begin, origin, limit, history, ahead, every)
    for i in range(n):
        for j in range(history + ahead):
            at = origin[i] + every[i] * (j - history)
            steps = values[at : at + every[i]] if begin[i] <= at and at + every[i] <= limit[i] else values[:0]
            seen = steps[np.isfinite(steps)]
            np.testing.assert_allclose(got[i, j], seen.mean() if len(seen) else np.nan, rtol=1e-6)
    np.testing.assert_array_equal(thinned_hints(np.array([12, 7, 2, 0]), np.array([1, 2])), [[12, 7, 2, 0], [6, 0, 0, 0]])


@pytest.mark.parametrize("how", [None, Augmentation(sign_flip=0, swell=0, jitter=0, thin=1.0)], ids=["plain", "thinned"])
def test_training_windows_hold_no_value_that_is_validated_on(how: Augmentation | None) -> None:
    problem = SeasonProblem(CONFIG, H)
    lengths = [3, 9, 30, 100, 200]
    rows = [np.full(n, 1.0, np.float32) for n in lengths]
    for row in rows:
        row[len(row) - (2 * H if len(row) == 200 else min(H, len(row) // 4)) :] = 1e6  # of the longest an eighth has two horizons
    rows[3][:5] = np.nan
    train = batch_of(rows)
    series = Series.of(train, problem, True)
    assert len(series.begin) == 4  # three steps leave nothing to validate on
    windows = series.draw(problem, hints_of("M", 12), np.random.default_rng(0), 500, how)
    assert np.nanmax(windows.y) == 1
    future = np.isfinite(windows.y[:, windows.history :])
    assert future.any(axis=1).mean() > 0.99 and not future[:, H:].any()
    assert np.isfinite(windows.y[:, : windows.history]).any(axis=1).all()
    newest = series.newest(problem, hints_of("M", 12), series.held)
    assert np.isfinite(newest.y[:, windows.history :]).sum(axis=1).tolist() == [2, 7, 12, 12, 12]
    assert np.nanmin(newest.y[:, windows.history :]) == 1e6 and series.held.series.tolist() == [1, 2, 3, 4, 4]
    assert (newest.y[3, : windows.history] == 1e6).sum() == 0 and (newest.y[4, : windows.history] == 1e6).sum() == H
    everything = Series.of(train, problem, False).draw(problem, hints_of("M", 12), np.random.default_rng(0), 500, None)
    assert np.nanmax(everything.y) == 1e6


@pytest.mark.parametrize("how", [None, Augmentation(sign_flip=0, swell=0, jitter=0, thin=1.0)], ids=["plain", "thinned"])
@pytest.mark.parametrize("problem", [SeasonProblem(CONFIG, H), PointProblem(POINT, 8, "M")], ids=["season", "published"])
def test_training_windows_reach_back_as_far_as_the_task_allows(problem: Problem, how: Augmentation | None) -> None:
    train, hints = batch_of([np.arange(n, dtype=np.float32) for n in (40, 150, 400)]), hints_of("M", 12)
    for limit, longest in ((20, 20), (0, problem.history(400))):
        series = Series.of(replace(train, context_limit=limit), problem, True)
        drawn, judged = series.draw(problem, hints, np.random.default_rng(0), 300, how), series.newest(problem, hints, series.held)
        for windows, every in ((drawn, 1 if how is None else 2), (judged, 1)):
            past = windows.y[:, : windows.history]
            count = np.isfinite(past).sum(axis=1)
            assert count.max() <= longest and (count.max() > 20) == (limit == 0)
            assert (np.isfinite(past[count == 20][:, -20:])).all()  # the newest ones
            assert limit == 0 or np.nanmax(past[:, -1:] - past[:, -20:-19]) == (limit - 1) * every


def test_of_a_short_horizon_more_windows_are_judged_by() -> None:
    rows = [np.arange(2000, dtype=np.float32)] * 4

    def held(horizon: int, windows: int) -> int:
        return len(Series.of(batch_of(rows), SeasonProblem(CONFIG, horizon), True, windows).held)

    assert held(48, 512) == 4 * 5  # an eighth is 250 steps
    assert held(47, 512) == 4 * 5 and held(24, 512) == 4 * 10
    assert held(12, 512) == 4 * 20 and held(12, 64) == 4 * 16
    assert held(4, 512) == 4 * 62 and held(1, 512) == 4 * 128
    assert held(12, 20) == held(48, 20) == 4 * 5


@pytest.mark.parametrize(("horizon", "by_default"), [(12, 512), (47, 512), (48, 256)])
def test_a_number_of_windows_is_kept_as_the_most(horizon: int, by_default: int, base: SeasonTTM) -> None:
    train = batch_of(np.arange(600 * 200, dtype=np.float32).reshape(600, 200), horizon)

    def judged(windows: int | None) -> object:
        settings = Settings(learning_rate=1e-9, batch=2, patches=1, validation_windows=windows)
        return finetune(base, train, "1", 0, settings).notes["held-out windows"]

    assert (judged(None), judged(70), judged(9)) == (by_default, 70, 9)


def test_augmentation_changes_what_it_says() -> None:
    rng = np.random.default_rng(0)
    y = swinging(50, 60, 3)
    y[:, 5] = np.nan
    off = Augmentation(sign_flip=0, swell=0, thin=0, jitter=0)
    np.testing.assert_allclose(augment(y, 40, off, rng), y, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(augment(y, 40, replace(off, sign_flip=1), rng), -y, rtol=1e-5, atol=1e-6)
    noisy = augment(y, 40, replace(off, jitter=1), rng) - y
    spread = np.nanstd(noisy[:, :40], axis=1) / np.nanstd(y[:, :40], axis=1)
    assert np.abs(noisy[:, 40:]).max() < 1e-5 and 0.02 < spread.mean() < 0.08 and spread.max() < 0.15
    mean = np.nanmean(y[:, :40], axis=1, keepdims=True)
    grown = np.log((augment(y, 40, replace(off, swell=1), rng) - mean) / (y - mean))
    slope = np.diff(np.delete(grown, 5, axis=1)[:, 5:], axis=1)
    np.testing.assert_allclose(slope, np.repeat(np.median(slope, axis=1, keepdims=True), slope.shape[1], axis=1), atol=2e-2)
    assert 0.3 < np.abs(np.median(slope, axis=1) * 59).max() <= 0.41
    assert np.isnan(grown[:, 5]).all()


# Fine-tuning.


def test_a_gain_within_its_error_is_not_taken(base: SeasonTTM, monkeypatch: pytest.MonkeyPatch) -> None:
    def kept(margin: float) -> tuple[object, bool]:
        monkeypatch.setattr("harness.holdout.MARGIN", margin)
        done = finetune(base, batch_of(swinging(8, 120)), "20", 0, Settings(learning_rate=1e-3, batch=8, patches=1))
        assert done.notes["loss after"] < done.notes["loss before"]
        return done.notes["kept"], weights_digest(done.model) == weights_digest(base)

    assert kept(0) == ("tuned", False)
    assert kept(1e9) == ("base", True)


def test_finetuning_helps_on_new_data_and_leaves_the_base(base: SeasonTTM, tuned: Finetuned) -> None:
    y = swinging(32, 308)
    batch, labels = batch_of(y[:, :-H]), y[:, -H:]
    before, after = pinball(bare(base).predict(batch), labels), pinball(bare(tuned.model).predict(batch), labels)
    assert after < 0.85 * before, (before, after)
    assert tuned.notes["kept"] == "tuned" and tuned.notes["loss after"] < 0.85 * float(tuned.notes["loss before"])
    assert tuned.notes["steps"] == 30 and tuned.notes["part"] == "decoder" and tuned.notes["learning rate"] == 2e-2
    state, start = tuned.model.state_dict(), base.state_dict()
    same = {name.split(".")[0] for name in state if torch.equal(state[name], start[name])}
    assert all(torch.equal(state[name], start[name]) for name in state if name.startswith("backbone.")) and "head" not in same
    trained = sum(p.numel() for name, p in base.named_parameters() if not name.startswith("backbone."))
    assert tuned.notes["trainable parameters"] == trained
    assert all(p.requires_grad for p in tuned.model.parameters())


def test_finetuning_repeats_with_its_seed_and_touches_nothing(base: SeasonTTM) -> None:
    train, digest = batch_of(swinging(8, 120)), weights_digest(base)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    values = train.contexts.values.copy()

    def run(seed: int) -> str:
        how: dict[str, Any] = {"part": "lora:2", "batch": 8, "patches": 1, "validate": False, "augmentation": Augmentation()}
        done = finetune(base, train, "3", seed, Settings(**how))
        return weights_digest(done.model)

    first, torch_state = run(3), torch.random.get_rng_state()
    torch.manual_seed(99)
    assert run(3) == first != run(4)
    assert torch.equal(torch_state, before) and weights_digest(base) == digest
    np.testing.assert_array_equal(train.contexts.values, values)


def test_a_training_that_does_not_help_returns_the_base(base: SeasonTTM) -> None:
    done = finetune(base, batch_of(swinging(8, 120)), "3steps", 0, Settings(learning_rate=9.0, batch=8))
    assert weights_digest(done.model) == weights_digest(base) and done.model is not base
    assert done.notes["kept"] == "base" and "was better by more than 2 standard errors" in str(done.notes["why"])
    assert done.notes["loss after"] > done.notes["loss before"] and done.notes["best step"] == 0
    short = finetune(base, batch_of([[1.0, 2.0], [3.0]]), "3", 0)
    assert weights_digest(short.model) == weights_digest(base) and short.notes["why"] == "no series is long enough to learn from"
    flat = finetune(base, batch_of([[1.0] * 50]), "3", 0, Settings(learning_rate=1e-3))
    assert weights_digest(flat.model) == weights_digest(base) and flat.notes["why"] == "no held-out window has a label"


def test_full_training_does_not_know_the_base(base: SeasonTTM) -> None:
    torch.manual_seed(1)
    stranger = SeasonTTM(CONFIG)
    train = batch_of(seasonal(8, 120))
    one, two = (finetune(model, train, "3", 2, Settings(mode="full", learning_rate=1e-3, batch=8)) for model in (base, stranger))
    assert weights_digest(one.model) == weights_digest(two.model) != weights_digest(base)
    with pytest.raises(Unsupported, match="no series is long enough to learn from, and random weights forecast nothing"):
        finetune(base, batch_of([[1.0, 2.0]]), "3", 0, Settings(mode="full"))
    assert one.notes["part"] == "all" and one.notes["trainable parameters"] == sum(p.numel() for p in base.parameters())


def test_early_stopping_keeps_the_best_weights(base: SeasonTTM) -> None:
    settings = Settings(mode="full", learning_rate=0.3, batch=8, patches=1, evaluations=200, patience=2)
    done = finetune(base, batch_of(swinging(8, 120)), "400", 0, settings)
    losses = [row["validation"] for row in done.curve]
    assert done.notes["steps"] < 400 and all(loss > done.notes["loss after"] for loss in losses[-2:])
    assert done.notes["loss after"] == min([*losses, done.notes["loss before"]])
    again = finetune(done.model, batch_of(swinging(8, 120)), "1", 0, Settings(learning_rate=1e-9, batch=8, patches=1))
    assert again.notes["loss before"] == done.notes["loss after"]


def test_low_rank_finetuning_gives_a_plain_network_and_its_factors(base: SeasonTTM, tmp_path: Path) -> None:
    import copy

    done = finetune(base, batch_of(swinging(16, 240)), "30", 0, Settings(part="lora:2", learning_rate=1e-2, batch=16, evaluations=3))
    assert done.notes["kept"] == "tuned" and done.adapter is not None
    assert list(done.model.state_dict()) == list(base.state_dict())
    lora.save(done.adapter, tmp_path)
    x = inputs(base)
    with torch.no_grad():
        torch.testing.assert_close(lora.load(copy.deepcopy(base), tmp_path).eval()(*x), done.model(*x), rtol=1e-5, atol=1e-5)


def test_a_budget_in_seconds_is_kept_and_said_to_be_unrepeatable(base: SeasonTTM) -> None:
    done = finetune(base, batch_of(swinging(4, 80)), "0.2s", 0, Settings(mode="few-shot:0.5", learning_rate=1e-3, batch=8, patches=1))
    assert done.notes["reproducible"] == "no: the budget is a time" and done.notes["mode"] == "few-shot:0.5"
    assert done.notes["steps"] >= 1 and float(done.notes["seconds"]) >= 0.2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mode": "ttt"}, "got mode 'ttt'; wanted full, finetune, or few-shot:SHARE; for ttt use harness_ttm.adapt.TTTForecaster"),
        ({"mode": "few-shot"}, "got mode 'few-shot'; wanted full"),
        ({"mode": "full", "part": "head"}, "got part 'head' with mode 'full'; wanted all"),
        ({"learning_rate": "fast"}, "got learning_rate 'fast'; wanted a number above 0, as in 0.001, or 'auto'"),
        ({"learning_rate": -1.0}, "got learning_rate -1.0"),
        ({"validation_windows": 0}, "validation_windows got 0; wanted a whole number of at least 1"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], said: str, base: SeasonTTM) -> None:
    with pytest.raises(UsageError) as error:
        finetune(base, batch_of(seasonal(2, 60)), "3", 0, Settings(**options))
    assert said in str(error.value)


def test_a_rate_is_looked_for_where_none_was_measured(base: SeasonTTM) -> None:
    def trained(**options: Any) -> Finetuned:
        return finetune(base, batch_of(swinging(4, 80)), "1", 0, Settings(batch=4, patches=1, **options))

    assert trained().notes["learning rate"] == trained(mode="few-shot:0.5").notes["learning rate"] == SeasonTTM.rate
    assert trained().search is None
    found = trained(learning_rate="auto")
    assert found.search is not None and found.notes["learning rate"] == found.search.rate
    assert trained(mode="full", validate=False).search is not None


def test_the_published_network_is_finetuned_by_the_same_code() -> None:
    torch.manual_seed(0)
    model, y = TTM(POINT), seasonal(16, 150)
    done = finetune(model, batch_of(y[:, :-H]), "40", 0, Settings(part="all", batch=32))
    assert done.search is not None and done.notes["learning rate"] == done.search.rate

    def error(network: Any) -> float:
        with torch.no_grad():
            out = network.eval()(torch.from_numpy(y[:, -H - 32 : -H, None]))
        return float((out.predictions[:, :, 0] - torch.from_numpy(y[:, -H:])).abs().mean())

    assert error(done.model) < 0.5 * error(model)
    with pytest.raises(UsageError, match="fine-tuning is for one channel; wanted mode and decoder_mode common_channel"):
        PointProblem(POINT.replaced(decoder_mode="mix_channel"), H, "M")
    prefix = PointProblem(POINT.replaced(resolution_prefix_tuning=True, frequency_token_vocab_size=10), H, "H")
    assert prefix.token == 7
    with pytest.raises(UsageError, match="got a Linear to adapt; wanted a SeasonTTM or a TTM"):
        finetune(torch.nn.Linear(2, 2), batch_of(y), "1", 0)


# Test-time training.


def collected(forecaster: TTTForecaster, batch: Batch) -> dict[int, tuple[dict[str, Any], float]]:
    """Tuned parameters and weight of each window, by its id."""
    out = {}
    for part in forecaster.adapt(batch):
        for i, row in enumerate(part.rows):
            out[int(batch.window_ids[row])] = ({name: f[i].numpy() for name, f in part.factors.items()}, float(part.weight[i]))
    return out


def assert_same(one: dict[int, Any], two: dict[int, Any], ids: Any) -> None:
    for i in (int(i) for i in ids):
        assert one[i][1] == two[i][1]
        for name, value in one[i][0].items():
            np.testing.assert_array_equal(value, two[i][0][name])


def taken(batch: Batch, rows: list[int]) -> Batch:
    contexts = Ragged.from_rows([batch.contexts[i] for i in rows])
    return replace(
        batch,
        contexts=contexts,
        **{name: getattr(batch, name)[rows] for name in ("starts", "group", "window_ids", "seeds")},
    )


def mixed(n: int = 9) -> Batch:
    """Windows of different lengths, some too short to be tuned, some with gaps."""
    y = swinging(n, 308, 4)
    rows = [row[-length:] for row, length in zip(y, np.resize([300, 150, 70, 20, 308], n), strict=True)]
    rows[0][40:50] = np.nan
    return batch_of(rows, seed=11)


def test_tuning_helps_on_new_data_and_leaves_the_network(base: SeasonTTM) -> None:
    y, digest = swinging(32, 308), weights_digest(base)
    batch, labels = batch_of(y[:, :-H]), y[:, -H:]
    forecaster = TTTForecaster(base, CONFIG, steps=25, lr=1e-2)
    before, after = pinball(bare(base).predict(batch), labels), pinball(forecaster.predict(batch), labels)
    assert after < 0.96 * before, (before, after)
    assert weights_digest(base) == digest == weights_digest(forecaster.bare) == weights_digest(lora.unload(forecaster.model))
    notes = forecaster.notes
    assert notes["ttt windows"] == 32 and notes["ttt adapted"] + notes["ttt rejected"] == 32 and notes["ttt steps"] == 32 * 25
    assert 0.2 < float(notes["ttt mean weight"]) <= float(notes["ttt share adapted"]) <= 1 and float(notes["ttt seconds"]) > 0
    model = SeasonTTM(CONFIG)
    choose(model, parse_part("lora:4:decoder|head"))
    assert notes["ttt trainable parameters"] == sum(p.numel() for p in parameters(model).values())


@pytest.mark.parametrize("part", ["lora:2", "lora:2:decoder|head", "bias", "head"])
def test_what_is_tuned_is_the_same_bits_beside_others_and_in_any_order(part: str, base: SeasonTTM) -> None:
    batch = mixed()
    forecaster = TTTForecaster(base, CONFIG, part, margin=0.0, **QUICK)
    whole, values = collected(forecaster, batch), forecaster.predict(batch).values
    assert 0 < len(whole) < len(batch) and sum(weight > 0 for _, weight in whole.values()) > 2
    order = np.random.default_rng(0).permutation(len(batch)).tolist()
    shuffled = taken(batch, order)
    assert_same(whole, collected(forecaster, shuffled), whole)
    np.testing.assert_array_equal(forecaster.predict(shuffled).values, values[order])
    some = [0, 4, 5]
    fewer = collected(forecaster, taken(batch, some))
    assert_same(fewer, whole, fewer)
    np.testing.assert_array_equal(forecaster.predict(taken(batch, some)).values, values[some])
    again = TTTForecaster(base, CONFIG, part, margin=0.0, **QUICK)
    np.testing.assert_array_equal(again.predict(batch).values, values)
    other = replace(batch, seeds=batch.seeds + np.uint64(100))
    name = next(iter(forecaster.start))
    changed = collected(forecaster, other)
    assert any((changed[i][0][name] != whole[i][0][name]).any() for i in whole)


def test_values_after_the_cutoff_change_nothing(base: SeasonTTM) -> None:
    y = swinging(6, 300, 8)
    y2 = y.copy()
    y2[:, -H:] = 1e4
    info = ModelInfo("ttm", license="Apache-2.0", output="quantiles")
    batches = [cut_batch(data, 0, 6, info, 0) for data in (data_of(list(v), H, season_length=12) for v in (y, y2))]
    forecaster = TTTForecaster(base, CONFIG, "lora:2", margin=0.0, **QUICK)
    one, two = (collected(forecaster, batch) for batch in batches)
    assert len(one) == 6
    assert_same(one, two, one)
    np.testing.assert_array_equal(*(forecaster.predict(batch).values for batch in batches))


def test_the_newest_steps_of_a_context_judge_and_do_not_teach(base: SeasonTTM) -> None:
    y = swinging(3, 200, 8)
    y2 = y.copy()
    y2[:, -H:] += 100
    forecaster = TTTForecaster(base, CONFIG, "bias", stride=3, augmentation=Augmentation(thin=0.5), **QUICK)
    one, two = (collected(forecaster, batch_of(v)) for v in (y, y2))
    assert len(one) == 3
    for i in one:
        for name, value in one[i][0].items():
            np.testing.assert_array_equal(value, two[i][0][name])


@pytest.mark.parametrize("part", ["lora:2", "lora:2:decoder|head"])
def test_tuning_beside_a_plain_loop(part: str, base: SeasonTTM) -> None:
    """Without vmap: one window's factors by torch's optimiser, and its forecast by blending two networks."""
    import copy

    batch = batch_of(swinging(3, 200, 12)[1:2])
    forecaster = TTTForecaster(base, CONFIG, part, margin=-1e9, steps=4, lr=1e-2, clip=0.05)
    (done,) = list(forecaster.adapt(batch))
    own = forecaster._windows(0, batch.contexts[0], 256, int(batch.seeds[0]), SeasonProblem(CONFIG, H), hints_of("M", 12))
    assert own is not None
    model = copy.deepcopy(base).eval()
    names = choose(model, parse_part(part))
    start = forecaster._start(batch.seeds, 1)
    with torch.no_grad():
        for name in names:
            model.get_parameter(name).copy_(start[name][0])
    optimizer = torch.optim.AdamW([model.get_parameter(name) for name in names], lr=1e-2, weight_decay=0.01)
    levels, arrays = torch.tensor(CONFIG.quantile_levels), own.training
    for step in range(4):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / 4)
        optimizer.zero_grad()
        each = quantile_loss(model(*(arrays[k] for k in INPUTS)), arrays["target"], arrays["target_mask"], levels)
        (each.sum() / (arrays["target_mask"].sum(dim=(1, 2)) > 0).sum()).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.05)
        optimizer.step()
    for name in names:
        torch.testing.assert_close(done.factors[name][0], model.get_parameter(name).detach(), rtol=1e-3, atol=1e-4)

    def loss(w: float) -> float:
        gap = own.gate["target"][..., None] - (1 - w) * base(*(own.gate[k] for k in INPUTS)) - w * model(*(own.gate[k] for k in INPUTS))
        each = 2 * torch.maximum(levels * gap, (levels - 1) * gap).mean(dim=3)
        return float((each * own.gate["target_mask"]).sum() / own.gate["target_mask"].sum())

    with torch.no_grad():
        losses = {w: loss(w) for w in (0.0, 0.25, 0.5, 0.75, 1.0)}
    weight = min(losses, key=lambda w: losses[w])
    assert weight == done.weight[0] > 0
    np.testing.assert_allclose(done.gain[0], losses[0.0] - losses[weight], rtol=1e-3)
    plain, other = torch_network(copy.deepcopy(base)), torch_network(model)
    blend = SeasonForecaster(lambda a: (1 - weight) * plain(a) + weight * other(a), CONFIG)
    np.testing.assert_allclose(forecaster.predict(batch).values, blend.predict(batch).values, rtol=1e-3)


def test_the_gate_keeps_the_bare_forecast_bit_for_bit(base: SeasonTTM) -> None:
    batch = mixed(5)
    plain = bare(base).predict(batch).values
    strict = TTTForecaster(base, CONFIG, margin=1e9, **QUICK)
    np.testing.assert_array_equal(strict.predict(batch).values, plain)
    assert strict.notes["ttt adapted"] == 0 and strict.notes["ttt rejected"] == 4 and strict.notes["ttt too short or constant"] == 1
    loose = TTTForecaster(base, CONFIG, margin=0.0, **QUICK)
    values, weights = loose.predict(batch).values, collected(loose, batch)
    for row in range(5):
        assert (values[row] != plain[row]).any() == (weights.get(row, ({}, 0.0))[1] > 0)
    flat = batch_of([np.full(200, 3.0), np.full(200, np.nan)])
    np.testing.assert_array_equal(loose.predict(flat).values, bare(base).predict(flat).values)


def test_the_standard_error_reckons_with_neighbours_that_are_alike() -> None:
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((200, 48))
    walk = swinging(1, 200 * 48 + 1, 5)[0].astype(np.float64)  # -0.9: neighbours cancel, and the error is that of independent values
    alike = noise.copy()
    for t in range(1, 48):
        alike[:, t] += 0.8 * alike[:, t - 1]
    count = np.full(200, 48.0)
    for values, low, high in ((noise, 1.0, 1.2), (walk[:-1].reshape(200, 48), 1.0, 1.02), (alike, 1.7, 2.6)):
        apart = values - values.mean(axis=1, keepdims=True)
        got = standard_error(apart, count)
        plain = values.std(axis=1, ddof=1) / np.sqrt(48)
        assert low <= np.median(got / plain) <= high and (got >= plain * (1 - 1e-6)).all()
        total = sum((apart[3] ** 2).tolist())
        for k in range(1, 8):
            total += 2 * (1 - k / 8) * sum(float(a * b) for a, b in zip(apart[3, k:], apart[3, :-k], strict=True))
        np.testing.assert_allclose(got[3], max(np.sqrt(max(total, 0) / 47 / 48), plain[3]), rtol=1e-6)
    hole = np.concatenate([noise[:, :40] - noise[:, :40].mean(axis=1, keepdims=True), np.zeros((200, 8))], axis=1)
    np.testing.assert_allclose(standard_error(hole, np.full(200, 40.0)), standard_error(hole[:, :40], np.full(200, 40.0)))


def test_origins_are_at_least_three(base: SeasonTTM) -> None:
    forecaster, problem = TTTForecaster(base, CONFIG, **QUICK), SeasonProblem(CONFIG, H)
    y = swinging(1, 200)[0]
    least = H + 16 + 2 * 3  # the gate, the shortest history, two strides of a quarter of the horizon
    assert forecaster._windows(0, y[:least], 256, 0, problem, hints_of("M", 12)) is not None
    assert forecaster._windows(0, y[: least - 1], 256, 0, problem, hints_of("M", 12)) is None
    own = forecaster._windows(0, y, 256, 0, problem, hints_of("M", 12))
    assert own is not None and own.training["z"].shape == (16, 64) and own.gate["target_mask"].sum() == H


def test_limits_of_time_and_memory(base: SeasonTTM) -> None:
    batch = mixed(5)
    hurried = TTTForecaster(base, CONFIG, time_limit=0.0)
    np.testing.assert_array_equal(hurried.predict(batch).values, bare(base).predict(batch).values)
    assert hurried.notes["ttt out of time"] == 5 and hurried.notes["reproducible"] == "no: the time limit was reached"
    with pytest.raises(Unsupported, match=r"takes about \d+ MiB; wanted a memory_limit of at least \d+ MiB, or a smaller part than head"):
        TTTForecaster(base, CONFIG, "head", memory_limit=0.01).predict(batch)
    sizes = []
    for limit in (4.0, 10.0):
        forecaster = TTTForecaster(base, CONFIG, "bias", margin=0.0, steps=2, memory_limit=limit)
        sizes.append((max(len(f) for part in forecaster.adapt(batch) for f in part.factors.values()), forecaster.predict(batch).values))
    assert sizes[0][0] < sizes[1][0] <= 32
    np.testing.assert_allclose(sizes[0][1], sizes[1][1], rtol=1e-3)


def test_a_horizon_beyond_what_the_network_was_trained_for(base: SeasonTTM) -> None:
    batch = batch_of(swinging(2, 308, 9), horizon=150)
    values = TTTForecaster(base, CONFIG, "bias", margin=0.0, min_context=40, **QUICK).predict(batch).values
    assert values.shape == (2, 9, 150) and np.isfinite(values).all() and (np.diff(values, axis=1) >= 0).all()


def test_wrong_options_of_test_time_training_are_refused(base: SeasonTTM) -> None:
    with pytest.raises(UsageError, match="got steps 0 for test-time training; wanted a whole number of at least 1"):
        TTTForecaster(base, CONFIG, steps=0)
    with pytest.raises(UsageError, match="got a TTM for test-time training; wanted a SeasonTTM"):
        TTTForecaster(TTM(POINT), POINT)  # type: ignore[arg-type]
