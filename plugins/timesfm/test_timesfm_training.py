"""Fine-tuning of TimesFM 2.5 on small networks: what it learns, what it keeps, and its numbers beside plain loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install torch")
timesfm: Any = pytest.importorskip("timesfm", reason="timesfm is not installed: pip install 'timesfm>=3.0,<3.1'")

import tiny_timesfm as tiny  # noqa: E402
from harness_timesfm import TimesFM25, training  # noqa: E402
from harness_timesfm.windows import Series  # noqa: E402

from harness import Batch, Ragged, Unsupported, UsageError  # noqa: E402
from harness.forecast import F32  # noqa: E402

OPTIONS: dict[str, Any] = {"context": 64, "train_context": 64, "train_batch": 8, "part": "all", "learning_rate": 0.01, "steps": 40}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("timesfm25")
    tiny.write_25(folder, std=0.1)
    return str(folder)


def seasons(n: int = 12, length: int = 200, period: int = 8) -> Batch:
    """Series that a network can learn to forecast, as a training part with a horizon of 8."""
    t = np.arange(length)
    rng = np.random.default_rng(1)
    rows = [50 + 10 * np.sin(2 * np.pi * (t + i) / period) + rng.normal(0, 0.5, length) for i in range(n)]
    rows[2][50:60] = np.nan
    return Batch.from_contexts(rows, 8)


def noise(n: int = 12, length: int = 200) -> Batch:
    return Batch.from_contexts(list(np.random.default_rng(2).normal(0, 1, (n, length))), 8)


def states(model: TimesFM25) -> dict[str, Any]:
    return {name: value.clone() for name, value in model.forecaster.library.model.state_dict().items()}


def changed(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if not torch.equal(before[name], after[name])}


def test_it_learns_and_leaves_the_base_alone(weights: str, tmp_path: Path) -> None:
    model, batch = TimesFM25(weights, **OPTIONS), seasons()
    before, forecast = states(model), model.predict(batch).values
    tuned = model.finetune(batch, "", 0)
    assert tuned.notes["kept"] == "tuned" and tuned.notes["steps"] == 40
    losses = tuned.notes["held-out losses"]
    assert isinstance(losses, list) and min(losses) < 0.7 * losses[0] and len(losses) == training.CHECKS + 1
    assert not changed(before, states(model))
    np.testing.assert_array_equal(model.predict(batch).values, forecast)
    assert len(changed(before, states(tuned))) == len(before)
    assert all(not p.requires_grad or p.is_leaf for p in tuned.forecaster.library.model.parameters())
    tuned.save(tmp_path)
    found = tuned.predict(batch)
    again = TimesFM25(str(tmp_path), context=64).predict(batch)
    np.testing.assert_array_equal(again.values, found.values)
    # The library itself reads what was saved.
    library = tiny.read_25(tmp_path)
    library.compile(
        timesfm.ForecastConfig(
            max_context=64,
            max_horizon=8,
            normalize_inputs=True,
            use_continuous_quantile_head=True,
            fix_quantile_crossing=True,
            per_core_batch_size=64,
        )
    )
    _, quantiles = library.forecast(8, list(batch))
    np.testing.assert_array_equal(quantiles[..., 1:].transpose(0, 2, 1), found.values)


def test_the_seed_and_nothing_else_decides(weights: str) -> None:
    batch = seasons(4)
    state = torch.random.get_rng_state()
    made = [TimesFM25(weights, **{**OPTIONS, "part": "lora:2"}).finetune(batch, "12steps", seed) for seed in (3, 3, 4)]
    assert torch.equal(torch.random.get_rng_state(), state)
    assert all(m.notes["kept"] == "tuned" for m in made)
    assert not changed(states(made[0]), states(made[1]))
    assert changed(states(made[0]), states(made[2]))


@pytest.mark.parametrize(
    ("part", "wanted"),
    [
        ("head", ("output_projection",)),
        ("layers:1", ("output_projection", "stacked_xf.1.")),
        ("lora:2", ("stacked_xf",)),
        ("lora:999", ("stacked_xf",)),
    ],
)
def test_only_the_chosen_part_is_trained(weights: str, part: str, wanted: tuple[str, ...]) -> None:
    model = TimesFM25(weights, **{**OPTIONS, "part": part})
    tuned = model.finetune(seasons(6), "15steps", 0)
    assert tuned.notes["kept"] == "tuned"
    names = changed(states(model), states(tuned))
    assert names and all(name.startswith(wanted) for name in names)
    if part.startswith("lora"):
        matrices = ("qkv_proj.weight", "out.weight", "ff0.weight", "ff1.weight")
        assert names == {name for name in states(model) if name.startswith("stacked_xf") and name.endswith(matrices)}
        added = states(tuned)["stacked_xf.0.ff0.weight"] - states(model)["stacked_xf.0.ff0.weight"]
        assert np.linalg.matrix_rank(added, 1e-4) <= (2 if part == "lora:2" else 16)


@pytest.mark.parametrize("rate", [0.9, 1e-9], ids=["astray", "no gain"])
def test_a_training_that_gains_nothing_gives_the_weights_back(weights: str, rate: float) -> None:
    good = TimesFM25(weights, **OPTIONS).finetune(noise(), "60steps", 0)  # it knows the noise's distribution now
    again = TimesFM25(weights, **{**OPTIONS, "learning_rate": rate})
    again.forecaster.library = good.forecaster.library
    tuned = again.finetune(noise(), "6steps", 1)
    assert tuned.notes["kept"] == "base"
    assert "better by more than 2 standard errors" in str(tuned.notes["why"])
    assert ("astray" in tuned.notes) == (rate > 0.1)
    assert not changed(states(again), states(tuned))


def test_too_little_to_learn_from(weights: str) -> None:
    model = TimesFM25(weights, **OPTIONS)
    for rows, why in (
        ([np.ones(3), np.full(40, np.nan)], "no series is long enough"),
        ([np.arange(40.0)], "fewer than two held-out windows"),
        ([np.r_[np.arange(40.0), [np.nan] * 20]] * 3, "fewer than two held-out windows"),
    ):
        tuned = model.finetune(Batch.from_contexts(rows, 8), "5steps", 0)
        assert tuned.notes["kept"] == "base" and why in str(tuned.notes["why"]) and tuned.notes["steps"] == 0
        assert tuned is not model and not changed(states(model), states(tuned))


def test_budgets_and_modes(weights: str) -> None:
    model = TimesFM25(weights, **OPTIONS)
    timed = model.finetune(seasons(3), "0.5s", 0, mode="few-shot:0.5")
    assert timed.notes["reproducible"] == "no: the budget is a time" and timed.notes["trained"] == "few-shot:0.5"
    assert isinstance(timed.notes["steps"], int) and timed.notes["steps"] >= 1
    with pytest.raises(Unsupported, match="does not know the mode 'full'"):
        model.finetune(seasons(3), "", 0, mode="full")
    with pytest.raises(UsageError, match="budget of 'much'"):
        model.finetune(seasons(3), "much", 0)


def test_windows_see_nothing_of_what_is_held_out() -> None:
    rng = np.random.default_rng(0)
    lengths = [2, 3, 5, 20, 33, 100, 400]
    rows = [np.full(n, np.nan, np.float32) if n == 2 else (rng.permutation(n) + 1000 * k).astype(np.float32) for k, n in enumerate(lengths)]
    rows[4][:7] = np.nan
    rows[5][np.arange(100) % 3 == 0] = np.nan
    series = Series(Ragged.from_rows(rows), 6, 8)
    contexts, targets, judged = series.held_out(6)
    which = judged.series - 2  # of the first two nothing can be held out
    usable = [row[np.flatnonzero(np.isfinite(row))[0] :] for row in rows if np.isfinite(row).sum() >= 4]
    assert len(series) == len(usable)
    held: list[list[float]] = [[] for _ in usable]
    for number, row in enumerate(which.tolist()):
        history, target = contexts[number], targets[number]
        known = target[np.isfinite(target)]
        whole = usable[row]
        np.testing.assert_array_equal(whole[: len(history)], history)
        np.testing.assert_array_equal(whole[len(history) : len(history) + 6][np.isfinite(whole[len(history) : len(history) + 6])], known)
        held[row] += known.tolist()
    assert len(held[-1]) > 6  # several windows of the long series
    drawn = series.draw(np.random.default_rng(1), 3000, 16, 6)
    assert drawn.shape == (3000, 22)
    seen = set(drawn[np.isfinite(drawn)].tolist())
    for row, values in enumerate(held):
        assert values and not seen & set(values)
        assert len(seen & set(usable[row].tolist())) > 0.5 * (np.isfinite(usable[row]).sum() - len(values))
    # Each window is a piece of one series, at its place.
    places = {float(v): (k, i) for k, row in enumerate(usable) for i, v in enumerate(row) if np.isfinite(v)}
    for window in drawn[:200]:
        at = {(places[float(v)][0], places[float(v)][1] - i) for i, v in enumerate(window) if np.isfinite(v)}
        assert len(at) == 1


def test_the_loss_beside_a_plain_loop(weights: str) -> None:
    """Each forecast made within a window, scored step by step with numbers of its own."""
    module = TimesFM25(weights).forecaster.library.model
    rng = np.random.default_rng(4)
    windows: F32 = (30 + rng.normal(size=(3, 96 + 40)).cumsum(axis=1)).astype(np.float32)
    windows[0, :40] = np.nan  # begins within its second patch
    windows[1, [50, 63, 64, 110]] = np.nan  # the second patch ends in a gap
    windows[2, 130:] = np.nan
    with torch.no_grad():
        found = float(training.loss_of(module, windows, 96, 40))
    sums = {"point": [0.0, 0], "spread": [0.0, 0], "squared": [0.0, 0]}
    for window in windows:
        start = int(np.flatnonzero(np.isfinite(window))[0])
        history = window[:96]
        observed = history[np.isfinite(history)].astype(np.float64)
        mean, deviation = observed.mean(), observed.std()
        steps = np.arange(96)
        line = np.interp(steps, steps[np.isfinite(history)], observed)
        filled = np.where(steps >= start, (line - mean) / deviation, 0.0)
        pad = steps < start
        inputs, stats = np.zeros((3, 32)), []
        for patch in range(3):
            so_far = filled[: 32 * (patch + 1)][~pad[: 32 * (patch + 1)]]
            mu, sigma = (so_far.mean(), so_far.std()) if len(so_far) else (0.0, 0.0)
            stats.append((len(so_far), mu, sigma))
            part = slice(32 * patch, 32 * (patch + 1))
            inputs[patch] = np.where(pad[part], 0, (filled[part] - mu) / (sigma if sigma > 1e-6 else 1))
        with torch.no_grad():
            (_, _, point, spread), _ = module(torch.tensor(inputs[None], dtype=torch.float32), torch.tensor(pad.reshape(1, 3, 32)))
        for patch, (count, mu, sigma) in enumerate(stats):
            if count < training.LEAST_SEEN or not np.isfinite(history[32 * (patch + 1) - 1]):
                continue
            for step in range(40):
                value = window[32 * (patch + 1) + step]
                if not np.isfinite(value):
                    continue
                target = np.clip(((value - mean) / deviation - mu) / sigma, -training.FARTHEST, training.FARTHEST)
                for name, outputs in (("point", point), ("spread", spread)):
                    channels = outputs[0, patch].reshape(-1, 10)[step].double().numpy()
                    loss = 0.0
                    for level, decile in zip(np.arange(1, 10) / 10, channels[1:], strict=True):
                        loss += 2 * max(level * (target - decile), (level - 1) * (target - decile)) / 9
                    sums[name][0] += loss
                    sums[name][1] += 1
                    if name == "point":
                        sums["squared"][0] += (target - channels[0]) ** 2
                        sums["squared"][1] += 1
    wanted = sum(weight * sums[name][0] / sums[name][1] for name, weight in (("point", 1), ("spread", 1), ("squared", training.SQUARED)))
    assert sums["point"][1] > 200
    np.testing.assert_allclose(found, wanted, rtol=1e-4)


def test_the_losses_beside_a_plain_loop(weights: str) -> None:
    rows = [np.random.default_rng(k).normal(size=400) + 3 for k in range(5)]
    batch = Batch.from_contexts(rows, 8)
    judge = training.Judge(Series(batch.contexts, 8, 64), 8)
    forecaster = TimesFM25(weights, **OPTIONS).forecaster
    losses = judge.losses(forecaster)
    deciles = forecaster.forecast(judge.contexts, 8)[:, 1:]
    assert len(judge.held) == len(losses) == 30
    for number in range(len(losses)):
        total = 0.0
        for level, decile in zip(np.arange(1, 10) / 10, deciles[number], strict=True):
            gap = judge.targets[number].astype(np.float64) - decile
            total += 2 * float(np.mean(np.where(gap >= 0, level * gap, (level - 1) * gap))) / 9
        np.testing.assert_allclose(losses[number], total / np.std(judge.contexts[number]), rtol=1e-5)
