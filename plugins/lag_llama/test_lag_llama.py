"""Distributions beside scipy, and what forecasts and trainings must keep to. The original is in test_lag_llama_original.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install torch")

from harness_lag_llama import LagLlama  # noqa: E402
from harness_lag_llama.sampling import Scaling, student_t  # noqa: E402
from harness_lag_llama.training import log_likelihood  # noqa: E402
from harness_lag_llama.weights import load, save  # noqa: E402
from harness_lag_llama.windows import Series  # noqa: E402
from tiny_lag_llama import TINY, made  # noqa: E402

from harness import Batch, UsageError  # noqa: E402
from harness.errors import Unavailable  # noqa: E402
from harness.testing import checks, make_batch  # noqa: E402

PARAMS = {"context": 8, "num_samples": 5, "learning_rate": 0.01, "max_steps": 5}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("weights")
    save(made(TINY), folder)
    return str(folder)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


# --- scaling and draws -----------------------------------------------------------------------------------------------------------------


def test_scaling_is_kept_up_as_if_computed_anew() -> None:
    rng = np.random.default_rng(2)
    past, seen = rng.normal(size=(6, 40)).astype(np.float32), rng.random((6, 40)) < np.linspace(0.1, 1, 6)[:, None]
    past[3] = np.round(past[3])  # ties
    seen[:, -1] = True
    scaling = Scaling(torch.from_numpy(past), torch.from_numpy(seen), 9)
    for _ in range(9):
        new = np.round(rng.normal(size=(6, 1)), 1).astype(np.float32)
        scaling.add(torch.from_numpy(new))
        past, seen = np.hstack([past, new]), np.hstack([seen, np.ones((6, 1), bool)])
        rows = [np.sort(row[there]) for row, there in zip(past, seen, strict=True)]
        np.testing.assert_array_equal(scaling.location[:, 0], [row[(len(row) - 1) // 2] for row in rows])
        spread = [max(np.subtract(*np.quantile(row.astype(np.float64), [0.75, 0.25])), 1e-10) for row in rows]
        np.testing.assert_allclose(scaling.scale[:, 0], spread, rtol=2e-6, atol=3e-7)


@pytest.mark.parametrize("df", [2.01, 3.5, 30.0, 1e4])
def test_draws_follow_the_distribution(df: float) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    u, w = torch.from_numpy(1 - np.random.default_rng(4).random((2, 20_000)))
    drawn = student_t(torch.full((20_000,), df), u, w).numpy()
    assert stats.kstest(drawn, stats.t(df).cdf).pvalue > 0.01
    assert stats.kstest(drawn, stats.t(df, scale=1.06).cdf).pvalue < 0.01  # the test can tell


def test_likelihood_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    from harness_lag_llama.network import Parameters

    y, df, loc, scale = np.meshgrid([-50.0, -1.0, 0.3, 7.0], [2.001, 4.0, 300.0], [0.5], [1e-3, 2.0])
    law = Parameters(*(torch.from_numpy(a) for a in (df, loc, scale)))
    np.testing.assert_allclose(log_likelihood(law, torch.from_numpy(y)).numpy(), stats.t(df, loc, scale).logpdf(y), rtol=1e-9)


# --- the model -------------------------------------------------------------------------------------------------------------------------


CACHED = ("batch_invariance", "order_invariance", "horizons", "difficult_contexts")
"""What the cache could break."""


@pytest.mark.parametrize("name", [c.name for c in checks("lag-llama")] + [f"{name}, cached" for name in CACHED])
def test_conformance(name: str, weights: str) -> None:
    check, _, cached = name.partition(", ")
    found = {c.name: c for c in checks("lag-llama", {**PARAMS, "weights": weights, "kv_cache": bool(cached)})}
    found[check]()


def test_paths_depend_on_the_seed_and_the_first_steps_on_nothing_else(weights: str) -> None:
    model = LagLlama(weights, **PARAMS)
    one, other = (model.predict(make_batch(3, seed=7, horizon=h)).values for h in (4, 9))
    np.testing.assert_array_equal(one, other[:, :, :4])
    more = LagLlama(weights, **{**PARAMS, "num_samples": 9}).predict(make_batch(3, seed=7, horizon=4)).values
    assert more.shape == (3, 9, 4)
    contexts = list(make_batch(3))
    first, second = (model.predict(Batch.from_contexts(contexts, 4, freq="H", seed=s)).values for s in (1, 2))
    assert not np.array_equal(first, second)
    assert len(np.unique(first[0, :, 0])) == PARAMS["num_samples"]


def test_only_the_past_that_counts_is_used(weights: str) -> None:
    model = LagLlama(weights, **PARAMS)
    y = np.random.default_rng(1).normal(size=model.past + 30)
    start = np.datetime64("2020-01-01", "s") + np.timedelta64(30, "h")
    whole = model.predict(Batch.from_contexts([y], 5, freq="H", start="2020-01-01")).values
    part = model.predict(Batch.from_contexts([y[30:]], 5, freq="H", start=str(start))).values
    np.testing.assert_array_equal(whole, part)


def test_forecasts_move_with_the_series(weights: str) -> None:
    """A factor on the series is one on the scaling; only log(scale) and log(1 + |location|) tell, so with them left out it is exact."""
    network = load(Path(weights))
    network.transformer["wte"].weight.data[:, len(TINY.lags) : len(TINY.lags) + 2] = 0
    model = LagLlama(weights, **PARAMS)
    model.network = network
    contexts = [np.nan_to_num(y, nan=50.0) for y in make_batch(4)]
    plain = model.predict(Batch.from_contexts(contexts, 5, freq="H")).values
    moved = model.predict(Batch.from_contexts([8 * y + 1024 for y in contexts], 5, freq="H")).values
    np.testing.assert_allclose(moved, 8 * plain + 1024, rtol=1e-4)


def test_missing_and_constant_contexts(weights: str) -> None:
    model = LagLlama(weights, **PARAMS)
    batch = Batch.from_contexts([[np.nan] * 9, [np.inf, np.nan], np.full(2000, 7.0), [0.0] * 30 + [5.0] * 3], 3, freq="H")
    values = model.predict(batch).values
    np.testing.assert_array_equal(values[:2], 0)
    assert model.notes == {"contexts all missing, forecast as 0": 2}
    np.testing.assert_allclose(values[2], 7, rtol=1e-6)
    np.testing.assert_allclose(values[3], 0, atol=1e-7)  # no interquartile range: the median


def test_a_longer_context_stretches_its_positions(weights: str) -> None:
    def factor(**more: Any) -> float:
        return LagLlama(weights, **{**PARAMS, **more}).factor(12)

    assert factor() == 1.0
    assert factor(rope="linear") == 20 / 8
    assert factor(context=20) == 32 / 8
    assert factor(context=20, rope="none") == 1.0
    assert factor(context=1, rope="linear") == 13 / 8


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"context": 0}, "context got 0; wanted a whole number from 1 to 2048"),
        ({"num_samples": True}, "num_samples got True"),
        ({"rope": "lineal"}, "rope got 'lineal'; wanted auto, linear or none. Did you mean 'linear'"),
        ({"kv_cache": 1}, "kv_cache got 1; wanted true or false"),
        ({"learning_rate": 3}, "learning_rate got 3"),
        ({"device": "tpu9"}, "device got 'tpu9'; wanted cpu, cuda or cuda:0"),
    ],
)
def test_parameters_that_are_refused(params: dict[str, Any], said: str, weights: str) -> None:
    with pytest.raises(UsageError, match=said):
        LagLlama(weights, **params)


def test_missing_weights_say_what_to_type(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(Unavailable, match="harness weights pull lag-llama"):
        LagLlama()


# --- training --------------------------------------------------------------------------------------------------------------------------


def training(n: int = 6, length: int = 150, horizon: int = 6) -> Batch:
    t = np.arange(length)
    rng = np.random.default_rng(0)
    return Batch.from_contexts([10 + np.sin(t * 2 * np.pi / 8 + k) + 0.05 * rng.normal(size=length) for k in range(n)], horizon, freq="H")


def test_training_learns_and_says_so(weights: str) -> None:
    model = LagLlama(weights, **PARAMS)
    before = {name: value.clone() for name, value in model.network.state_dict().items()}
    trained = model.finetune(training(), "60steps", 1)
    assert trained.notes["kept"] == "tuned"
    assert trained.notes["steps"] == 60
    assert trained.notes["held-out losses"][-1] < trained.notes["held-out losses"][0] - 1
    assert trained.notes["gain"] > 2 * trained.notes["standard error of the gain"]
    assert all(torch.equal(value, before[name]) for name, value in model.network.state_dict().items())
    again = model.finetune(training(), "60steps", 1)
    other = model.finetune(training(), "60steps", 2)
    same = [
        all(torch.equal(a, b) for a, b in zip(trained.network.parameters(), x.network.parameters(), strict=True)) for x in (again, other)
    ]
    assert same == [True, False]


def test_training_that_gains_nothing_gives_the_weights_back(weights: str) -> None:
    model = LagLlama(weights, **{**PARAMS, "learning_rate": 1e-9})
    trained = model.finetune(training(), "3steps", 0)
    assert trained.network is model.network
    assert trained.notes["kept"] == "base"
    assert "2 standard errors" in trained.notes["why"]


@pytest.mark.parametrize(
    ("contexts", "why"),
    [([[1.0] * 5], "no series has eight"), ([[np.nan] * 80] * 3, "no series has eight"), ([[3.0] * 80] * 3, "fewer than two held-out")],
)
def test_series_that_teach_nothing(contexts: list[list[float]], why: str, weights: str) -> None:
    trained = LagLlama(weights, **PARAMS).finetune(Batch.from_contexts(contexts, 6, freq="H"), "3steps", 0)
    assert trained.notes["kept"] == "base"
    assert why in trained.notes["why"]


def test_a_budget_in_seconds_is_marked(weights: str) -> None:
    trained = LagLlama(weights, **PARAMS).finetune(training(), "0.2s", 0)
    assert "reproducible" in trained.notes
    with pytest.raises(UsageError, match="budget"):
        LagLlama(weights, **PARAMS).finetune(training(), "soon", 0)


@pytest.mark.parametrize(("n", "length"), [(3, 400), (100, 90), (2, 9)])
def test_no_training_window_sees_what_is_held_out(n: int, length: int) -> None:
    """Values are their own places, and those that are held out are known by the windows that hold them."""
    rows = [np.arange(length) + 1000.0 * k for k in range(n)]
    batch = Batch.from_contexts(rows, 6, freq="H")
    series = Series(batch, 6, 8, 15)
    held = series.held_out()
    targets = held.values[:, 15:][held.seen[:, 15:]]
    drawn = series.draw(np.random.default_rng(0), 2000)
    assert not set(targets) & set(drawn.values[drawn.seen])
    assert len(set(targets)) == len(targets)
    assert {row[-1] for row in rows} <= set(targets) or n > 64
    assert drawn.seen[:, 15:].any(axis=1).all()
    np.testing.assert_array_equal(np.diff(drawn.values[drawn.seen[:, :15].all(axis=1)][:, :15], axis=1), 1)
