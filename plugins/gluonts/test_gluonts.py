"""Every model trains and forecasts, what it says is the library's own, and a folder that names what it must not is not read."""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install torch")
pytest.importorskip("gluonts", reason="gluonts is not installed: pip install 'gluonts[torch]>=0.16,<0.18'")
pytest.importorskip("lightning", reason="lightning is not installed: pip install 'lightning>=2.4,<3'")

import harness_gluonts  # noqa: E402
from harness_gluonts import saved  # noqa: E402
from harness_gluonts.cards import CARDS, SET_BY_US  # noqa: E402
from harness_gluonts.data import Scale, entries, offset_alias, period_alias, scales  # noqa: E402
from harness_gluonts.quiet import library, quiet  # noqa: E402
from harness_gluonts.settings import chosen, context_for, cycle, lags_for  # noqa: E402
from harness_gluonts.training import Plan, parameters_of  # noqa: E402

library()

import gluonts.torch  # noqa: E402
from gluonts.dataset.util import forecast_start  # noqa: E402
from gluonts.model.forecast import QuantileForecast, SampleForecast  # noqa: E402
from gluonts.torch.distributions import PoissonOutput, StudentTOutput  # noqa: E402
from gluonts.torch.model.forecast import DistributionForecast  # noqa: E402
from scipy import stats  # noqa: E402

from harness import Batch, ModelInfo, Ragged, Unsupported, UsageError, hookimpl  # noqa: E402
from harness.batches import cut_batch, training_batch  # noqa: E402
from harness.budget import Budget  # noqa: E402
from harness.errors import ForecastError  # noqa: E402
from harness.plugins import Plugins  # noqa: E402
from harness.specimens import rows_of  # noqa: E402
from harness.testing import checks, make_batch, make_data  # noqa: E402

SMALL: dict[str, dict[str, Any]] = {
    "deepar": {"num_layers": 1, "hidden_size": 8, "num_parallel_samples": 10},
    "tft": {"hidden_dim": 8, "variable_dim": 4, "num_heads": 2},
    "gluonts-patchtst": {"d_model": 8, "nhead": 2, "dim_feedforward": 8, "num_encoder_layers": 1},
    "dlinear": {"hidden_dimension": 4},
    "tide": {},
    "simple-feedforward": {"hidden_dimensions": [8]},
    "wavenet": {"num_bins": 32, "num_residual_channels": 4, "num_skip_channels": 4, "num_parallel_samples": 10},
    "deepnpts": {"num_hidden_nodes": [8]},
    "lagtst": {"d_model": 8, "nhead": 2, "dim_feedforward": 8, "num_encoder_layers": 1},
}
SHORT = {"batch_size": 8, "max_epochs": 1, "num_batches_per_epoch": 2}
TWO = "2steps"


class Trained:
    """Some of the models as ones that only train, so that the checks look at trained forecasts."""

    @hookimpl
    def register_models(self, register: Callable[..., None]) -> None:
        def keep(info: ModelInfo, factory: Callable[..., Any]) -> None:
            if info.name in ("deepar", "simple-feedforward", "wavenet", "deepnpts"):
                more = {"light_import": "this test registers it, and imports torch"}
                register(replace(info, name=f"{info.name}_full", modes=("full",), exceptions={**info.exceptions, **more}), factory)

        harness_gluonts.register_models(keep)


PLUGINS = Plugins()
PLUGINS.register(Trained(), "gluonts_full")
KIT = [c for name in ("deepar", "simple-feedforward") for c in checks(f"{name}_full", {**SMALL[name], **SHORT}, plugins=PLUGINS)]
KIT = [c for c in KIT if (c.model, c.name) != ("deepar_full", "memory")]  # half a minute, and like the other's
KIT += [
    c
    for name in ("wavenet", "deepnpts")
    for c in checks(f"{name}_full", {**SMALL[name], **SHORT}, plugins=PLUGINS)
    if c.name in ("batch_invariance", "order_invariance", "determinism")
]


@pytest.mark.parametrize("check", KIT, ids=str)
def test_conformance(check: Callable[[], str]) -> None:
    check()


@pytest.mark.parametrize("check", [c for c in checks("tft", plugins=PLUGINS) if c.name == "light_import"], ids=str)
def test_registering_is_cheap(check: Callable[[], str]) -> None:
    check()


def made(name: str, **parameters: Any) -> Any:
    return PLUGINS.model(name).factory(**parameters)


def task(name: str, horizon: int = 6, windows: int = 2) -> tuple[Batch, Batch]:
    """A training batch and the windows of a task, with the covariates that the model declares."""
    info, data = PLUGINS.model(name).info, make_data(horizon=horizon, windows=windows)
    return training_batch(data, info, "full", 0), cut_batch(data, 0, len(data), info, 0)


@pytest.mark.parametrize("card", CARDS, ids=lambda c: c.name)
def test_each_trains_forecasts_and_reads_back(card: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    train, batch = task(card.name)
    model = made(card.name, **SMALL[card.name], batch_size=8)
    trained = model.finetune(train, TWO, 3, "full")
    assert list(tmp_path.iterdir()) == [], "a training leaves no file behind"
    forecast = trained.predict(batch)
    width = {"deepar": 10, "wavenet": 10, "deepnpts": 100, "tft": 9}.get(card.name, 11)
    assert forecast.kind == card.output and forecast.values.shape == (12, width, 6) and np.isfinite(forecast.values).all()
    assert trained.notes["steps"] == 2 and trained.notes["epochs"] == 1
    assert trained.notes.get("covariates") == {"tft": "2 past, 2 known"}.get(card.name, "0 past, 2 known" if card.covariates else None)
    for rows in ([4], [9, 2, 5]):
        np.testing.assert_array_equal(trained.predict(rows_of(batch, rows)).values, forecast.values[rows])
    np.testing.assert_array_equal(model.finetune(train, TWO, 3, "full").predict(batch).values, forecast.values)
    folder = trained.save(tmp_path / "kept")
    files = {"harness.json", "gluonts-config.json", "predictor.json", "prediction-net-state.pt"}
    assert {p.name for p in folder.iterdir()} == files | ({"embeddings.pt"} if card.name == "deepnpts" else set())
    again = made(card.name, **SMALL[card.name], weights=str(folder)).predict(batch)
    np.testing.assert_array_equal(again.values, forecast.values)


def test_other_seeds_give_other_networks() -> None:
    train, batch = task("dlinear")
    a, b = (made("dlinear", hidden_dimension=4).finetune(train, TWO, seed).predict(batch).values for seed in (0, 1))
    assert not np.array_equal(a, b)


@pytest.mark.parametrize("card", CARDS, ids=lambda c: c.name)
def test_parameters_are_those_of_the_library(card: Any) -> None:
    theirs = set(parameters_of(getattr(gluonts.torch, card.estimator)))
    ours = set(card.parameters)
    assert theirs - ours <= SET_BY_US | {"distr_output", "quantiles"} and ours <= theirs
    assert theirs & {"distr_output", "quantiles"} - ours <= {"distr_output"}
    assert set(inspect.signature(PLUGINS.model(card.name).factory).parameters) == set(card.defaults())


@pytest.mark.parametrize("name", ["simple-feedforward", "tft"])
def test_the_numbers_are_those_of_the_bare_predictor(name: str) -> None:
    """The library is asked in its own way: whole contexts, entries made one by one, its own quantiles."""
    import pandas as pd

    train, batch = task(name)
    trained = made(name, **SMALL[name], batch_size=8, use_covariates=False).finetune(train, TWO, 0)
    ours = trained.predict(batch)
    assert ours.levels is not None
    for row, context in enumerate(batch):
        entry = {"start": pd.Period(batch.starts[row].item(), freq="h"), "target": np.array(context)}
        with quiet():
            (theirs,) = trained.predictor.predict([entry])
        assert theirs.start_date == entry["start"] + len(context) == forecast_start(entry)
        wanted = np.stack([theirs.quantile(float(q)) for q in ours.levels])
        np.testing.assert_allclose(ours.values[row], wanted, rtol=1e-4, atol=1e-3)


def test_each_kind_of_forecast_is_converted_as_what_it_is() -> None:
    import pandas as pd
    from harness_gluonts.convert import convert

    start, levels = pd.Period("2024-01-01", "h"), np.array([0.05, 0.5, 0.9])
    rng = np.random.default_rng(0)
    paths = rng.normal(size=(7, 4))
    samples = convert([SampleForecast(paths, start), None], levels, 3)
    assert samples.kind == "samples" and samples.levels is None
    np.testing.assert_array_equal(samples.values, [paths[:, :3].astype(np.float32), np.zeros((7, 3))])

    array = np.array([[4.0, 5.0], [1.0, 2.0], [2.0, 3.0]])
    native = convert([QuantileForecast(array, forecast_keys=["mean", "0.2", "0.7"], start_date=start)], levels, 2)
    assert native.kind == "quantiles" and native.levels is not None and native.levels.tolist() == [0.2, 0.7]
    np.testing.assert_array_equal(native.values[0], array[1:])
    np.testing.assert_array_equal(native.mean, array[:1])
    only_mean = convert([QuantileForecast(array[:1], forecast_keys=["mean"], start_date=start)], levels, 2)
    np.testing.assert_array_equal(only_mean.values[0], array[:1])

    arguments = [torch.full((2,), 3.0), torch.tensor([1.0, -2.0]), torch.tensor([0.5, 2.0])]
    law = StudentTOutput().distribution(arguments, loc=torch.tensor(10.0), scale=torch.tensor(4.0))
    exact = convert([DistributionForecast(law, start)], levels, 2)
    assert exact.levels is not None and exact.levels.tolist() == [0.025, 0.05, 0.5, 0.9, 0.975]
    wanted = [10 + 4 * stats.t(3, loc, scale).ppf(exact.levels) for loc, scale in ((1.0, 0.5), (-2.0, 2.0))]
    np.testing.assert_allclose(exact.values[0].T, wanted, rtol=1e-5)
    np.testing.assert_allclose(exact.mean, [[14, 2]], rtol=1e-6)
    counts = PoissonOutput().distribution([torch.tensor([3.0, 4.0])])
    with pytest.raises(ForecastError, match=r"the distribution Poisson of the forecast has no quantiles \(no icdf\)"):
        convert([DistributionForecast(counts, start)], levels, 2)
    for odd, match in (
        ([object()], "gave a object; wanted a gluonts Forecast"),
        ([SampleForecast(paths, start)], r"gave a SampleForecast of shape \(7, 4\); wanted one series of 9 steps"),
        ([SampleForecast(rng.normal(size=(7, 9, 2)), start)], r"of shape \(7, 9, 2\); wanted one series"),
        ([SampleForecast(rng.normal(size=(n, 9)), start) for n in (2, 3)], "forecasts of 2 samples and of 3 samples in one batch"),
    ):
        with pytest.raises(ForecastError, match=match):
            convert(odd, levels, 9)


def test_quantiles_beyond_what_was_learnt_are_left_to_the_core() -> None:
    train, batch = task("tft")
    trained = made("tft", **SMALL["tft"], quantiles=[0.2, 0.5, 0.8]).finetune(train, TWO, 0)
    forecast = trained.predict(replace(batch, quantile_levels=np.array([0.01, 0.99])))
    assert forecast.levels is not None and forecast.levels.tolist() == [0.2, 0.5, 0.8]
    odd = replace(train, quantile_levels=np.array([0.05, 0.5]))
    assert made("tft", **SMALL["tft"]).finetune(odd, TWO, 0).predict(batch).levels.tolist() == [0.05, 0.5]


def test_entries_are_the_windows() -> None:
    rows = [np.arange(30.0), [1.0, np.nan, np.inf, 4.0]]
    batch = replace(
        Batch.from_contexts(rows, 2, freq="15T", start="2024-01-01T00:15"),
        past_covariates=(Ragged.from_rows([np.arange(30.0) + 1, [0, 1, np.nan, 3]]),),
        known_covariates=(Ragged.from_rows([np.arange(32.0), np.arange(6.0)]),),
    )
    first, second = entries(batch, newest=5, past=[Scale(1.0, 2.0)], known=[Scale()], horizon=4)
    assert str(first["start"]) == "2024-01-01 06:30" and first["start"].freqstr == "15min"
    np.testing.assert_array_equal(first["target"], np.arange(25.0, 30.0))
    np.testing.assert_array_equal(first["past_feat_dynamic_real"], [np.arange(25.0, 30.0) / 2])
    np.testing.assert_array_equal(first["feat_dynamic_real"], [[25, 26, 27, 28, 29, 30, 31, 0, 0]])
    assert str(second["start"]) == "2024-01-01 00:15"
    np.testing.assert_array_equal(second["target"], [1, np.nan, np.nan, 4])
    np.testing.assert_array_equal(second["past_feat_dynamic_real"], [[-0.5, 0, 0, 1]])
    second["target"][:] = 0
    assert batch.contexts[1][0] == 1, "a model that changes an entry changes nothing of the batch"
    (training,) = entries(batch, rows=[1], horizon=0)
    np.testing.assert_array_equal(training["feat_dynamic_real"], [[0, 1, 2, 3]])
    np.testing.assert_array_equal(training["past_feat_dynamic_real"], [[0, 1, np.nan, 3]])
    assert scales((Ragged.from_rows([[1, 3, np.nan]]), Ragged.from_rows([[5, 5, 5]]))) == [Scale(2.0, 1.0), Scale(5.0, 1.0)]


@pytest.mark.parametrize("freq", ["H", "15T", "10S", "D", "B", "W-WED", "M", "Q", "A", "2H", "Q-MAR"])
def test_every_frequency_is_spelt_as_the_library_reads_it(freq: str) -> None:
    rng = np.random.default_rng(0)
    train = Batch.from_contexts([10 + rng.normal(size=40) for _ in range(3)], 3, freq=freq, start="2020-01-06")
    with quiet():
        (entry,) = entries(train, rows=[0])
    assert period_alias(freq).split("-")[0] in entry["start"].freqstr and offset_alias(freq)
    trained = made("deepar", **SMALL["deepar"], context_length=8).finetune(train, "1step", 0)
    assert np.isfinite(trained.predict(train).values).all()


def test_what_is_taken_where_nothing_is_set() -> None:
    cycles = {("H", 24): 24, ("D", 1): 7, ("W-SUN", 1): 52, ("15T", 96): 96, ("M", 12): 12, ("A", 1): 1, ("2D", 1): 3}
    assert {key: cycle(*key) for key in cycles} == cycles
    long = np.full(9, 10_000)
    contexts = {("H", 24, 48): 96, ("H", 24, 6): 48, ("A", 1, 4): 16, ("10S", 360, 60): 512, ("D", 1, 300): 512}
    assert {key: context_for(*key, long) for key in contexts} == contexts
    assert context_for("H", 24, 48, np.array([60, 60, 60])) == 12 and context_for("H", 24, 48, np.array([49])) == 2
    assert max(lags_for("H", 10_000)) == 721 and max(lags_for("H", 100)) == 97 and lags_for("H", 1) == [1]
    given = {"context_length": None, "patch_len": 10, "stride": None, "negative_data": None, "seasonality": None}
    assert chosen("x", given, "H", 24, 6, [0.5], long, negative=True) == {
        "context_length": 48,
        "patch_len": 10,
        "stride": 5,
        "negative_data": True,
        "seasonality": 24,
    }
    assert Plan.of(Budget(), 7, 9) == Plan(7, 9) and Plan.of(Budget(steps=101), 7, 50) == Plan(3, 33)
    assert Plan.of(Budget(seconds=2.0), 7, 9) == Plan(7, 9, 2.0)


def test_a_time_is_kept_to(monkeypatch: pytest.MonkeyPatch) -> None:
    from harness_gluonts import training

    ticks = iter(range(1000))
    # Asked at the start and after each batch; lightning has a clock of its own.
    monkeypatch.setattr(training, "time", SimpleNamespace(monotonic=lambda: 0.25 * next(ticks)))
    train, batch = task("dlinear")
    for validation in (True, False):
        trained = made("dlinear", hidden_dimension=4, validation=validation, num_batches_per_epoch=3).finetune(train, "2s", 0)
        assert trained.notes["steps"] == 8
        assert np.isfinite(trained.predict(batch).values).all()
    with pytest.raises(Unsupported, match=r"deepnpts counts steps only.*--budget 200steps"):
        made("deepnpts").finetune(train, "2s", 0)


def test_the_last_horizon_is_held_out_and_chooses_the_epoch() -> None:
    train, _ = task("dlinear")
    held = made("dlinear", hidden_dimension=4).finetune(train, TWO, 0)
    assert held.notes["held_out"] == 6 and "best_validation_loss" in held.notes
    free = made("dlinear", hidden_dimension=4, validation=False).finetune(train, TWO, 0)
    assert free.notes["held_out"] == 0 and "best_training_loss" in free.notes
    changed = Ragged.from_rows([np.append(row[:-6], np.full(6, 1e6)) for row in train.contexts])
    other = made("dlinear", hidden_dimension=4).finetune(replace(train, contexts=changed), TWO, 0)
    for key, value in other.predictor.network.state_dict().items():
        assert torch.equal(value, held.predictor.network.state_dict()[key]), "what is held out is not trained on"


def test_missing_values_and_windows_without_any() -> None:
    rng = np.random.default_rng(1)
    rows = [np.where(rng.random(40) < 0.3, np.nan, 10 + rng.normal(size=40)) for _ in range(4)]
    train = Batch.from_contexts([*rows, np.full(40, np.nan), [1.0, 2.0]], 4, freq="H")
    for name in ("deepar", "simple-feedforward", "wavenet"):
        trained = made(name, **SMALL[name], context_length=8) if name != "wavenet" else made(name, **SMALL[name])
        trained = trained.finetune(train, TWO, 0)
        assert trained.notes["series"] == 4
        trained.notes.clear()
        forecast = trained.predict(train)
        assert np.isfinite(forecast.values).all() and (forecast.values[4] == 0).all() and (forecast.values[0] != 0).any()
        assert trained.notes == {"all_missing": 1}
        only = trained.predict(rows_of(train, [4]))
        assert (only.values == 0).all()


def test_a_forecast_that_is_not_finite_is_the_last_value(monkeypatch: pytest.MonkeyPatch) -> None:
    train, batch = task("dlinear")
    trained = made("dlinear", hidden_dimension=4).finetune(train, TWO, 0)
    good = trained.predict(batch)
    with torch.no_grad():
        for value in trained.predictor.network.parameters():
            value.fill_(float("nan"))
    trained.notes.clear()
    monkeypatch.setattr(torch.distributions.Distribution, "_Distribution__validate_args", False, raising=False)
    torch.distributions.Distribution.set_default_validate_args(False)
    try:
        bad = trained.predict(batch)
    finally:
        torch.distributions.Distribution.set_default_validate_args(True)
    last = [row[np.isfinite(row)][-1] for row in batch]
    np.testing.assert_array_equal(bad.values, np.broadcast_to(np.array(last)[:, None, None], good.values.shape))
    assert trained.notes == {"not_finite": 12}


def test_a_shorter_horizon_is_cut_and_a_longer_one_refused() -> None:
    train, batch = task("deepar")
    trained = made("deepar", **SMALL["deepar"]).finetune(train, TWO, 0)
    whole = trained.predict(batch).values
    known = tuple(Ragged.from_rows([row[:-4] for row in rows]) for rows in batch.known_covariates)
    short = trained.predict(replace(batch, horizon=2, known_covariates=known)).values
    assert short.shape == (12, 10, 2) and np.array_equal(short[:, :, 0], whole[:, :, 0])
    with pytest.raises(Unsupported, match=r"deepar: the weights forecast 6 steps, and the task asks for 7; train new ones: --mode full"):
        trained.predict(replace(batch, horizon=7))
    with pytest.raises(Unsupported, match=r"trained with 2 known covariates, and the task has 1"):
        trained.predict(replace(batch, known_covariates=batch.known_covariates[:1]))
    trained.notes.clear()
    without = trained.predict(replace(batch, known_covariates=())).values
    assert trained.notes == {"without_known_covariates": 12} and not np.array_equal(without, whole)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("deepar", {"hidden": 3}, r"model 'deepar' has no parameter 'hidden'\..*it takes: context_length, num_layers, hidden_size"),
        ("deepar", {"hidden_size": "many"}, r"deepar: it cannot be made with .*hidden_size='many'"),
        ("dlinear", {"distr_output": "gamma"}, r"dlinear: distr_output got 'gamma'; wanted student_t, normal, laplace or"),
        ("deepnpts", {"network_type": "rough"}, r"network_type got 'rough'; wanted discrete or smooth"),
        ("tft", {"max_epochs": 0}, r"tft: max_epochs got 0; wanted a whole number of at least 1"),
        ("tft", {"batch_size": 1.5}, r"tft: batch_size got 1\.5"),
        ("tft", {"validation": "yes"}, r"tft: validation got 'yes'; wanted true or false"),
        ("tft", {"device": "gpu"}, r"tft: device got 'gpu'; wanted cpu, cuda or cuda:0"),
        ("tft", {"weights": "/nowhere"}, r"there is no file /nowhere/harness\.json; wanted a folder that a trained model was saved to"),
    ],
)
def test_parameters_that_make_no_sense(name: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        made(name, **parameters)


def test_without_weights_only_full() -> None:
    with pytest.raises(Unsupported, match=r"tft has no weights of its own for zero-shot; train it on each task: --mode full, or"):
        made("tft").predict(make_batch(2))
    with pytest.raises(Unsupported, match=r"does not know the mode 'finetune'"):
        made("tft").finetune(make_batch(2), "", 0, "finetune")
    with pytest.raises(Unsupported, match=r"none of 2 training series has an observed value and more than 40 steps"):
        made("dlinear").finetune(make_batch(2, horizon=40), "", 0)
    with pytest.raises(Unsupported, match=r"negative_binomial is for counts, .* use distr_output=student_t"):
        made("dlinear", distr_output="negative_binomial").finetune(make_batch(2), "", 0)
    with pytest.raises(Unsupported, match=r"no training series is longer than a context of 99 steps, .* -M deepnpts:context_length="):
        made("deepnpts", context_length=99).finetune(make_batch(2), "", 0)


def test_counts_have_whole_quantiles() -> None:
    rng = np.random.default_rng(2)
    train = Batch.from_contexts([rng.poisson(5, 60) for _ in range(4)], 5, freq="D")
    values = made("dlinear", hidden_dimension=4, distr_output="negative_binomial").finetune(train, TWO, 0).predict(train).values
    assert (values >= 0).all() and np.array_equal(values, np.round(values))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    train, _ = task("simple-feedforward")
    trained = made("simple-feedforward", hidden_dimensions=[8]).finetune(train, TWO, 0)
    return Path(trained.save(tmp_path_factory.mktemp("kept") / "weights"))


@pytest.fixture
def copy(kept: Path, tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(kept, tmp_path / "weights"))


HOSTILE: list[dict[str, Any]] = [
    {"__kind__": "instance", "class": "os.system", "args": ["touch ran"]},
    {"__kind__": "instance", "class": "hostile_module.Payload", "args": []},
    {"__kind__": "type", "class": "hostile_module.Payload"},
    {"__kind__": "instance", "class": "builtins.getattr", "args": [1, "real"]},
    {"__kind__": "instance", "class": "functools.partial", "args": []},
    {"__kind__": "instance", "class": "pathlib.Path", "args": ["x"]},
    {"__kind__": "type", "class": "gluonts.torch.model.estimator.logging.os.system"},
    {"__kind__": "instance", "class": "gluonts.torch.model.predictor.torch.load", "args": ["ran"]},
    {"__kind__": "instance", "class": "gluonts.torch.model.predictor.torch", "args": []},
    {"__kind__": "type", "class": "gluonts.torch.model.estimator.np"},
    {"__kind__": "instance", "class": "gluonts.time_feature._base.hour_of_day", "args": [1]},
    {"__kind__": "stateful", "class": "gluonts.transform._base.Chain", "kwargs": {}},
    {"__kind__": "type", "class": "gluonts.ext.prophet.ProphetPredictor"},
    {"__kind__": "type", "class": "torch.hub.load"},
    {"__kind__": "type", "class": ["os"]},
    {"__kind__": "type"},
]


@pytest.mark.parametrize("named", HOSTILE, ids=lambda n: f"{n['__kind__']}-{n.get('class')}")
def test_a_folder_that_names_what_it_must_not_is_not_read(copy: Path, named: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy.parent)
    monkeypatch.syspath_prepend(str(copy.parent))
    (copy.parent / "hostile_module.py").write_text("open('ran', 'w').close()\nclass Payload:\n    pass\n")
    predictor = json.loads((copy / "predictor.json").read_text())
    predictor["kwargs"]["input_transform"]["kwargs"]["transformations"].append({"deep": [named]})
    (copy / "predictor.json").write_text(json.dumps(predictor))
    with pytest.raises(UsageError, match=r"weights=.* names .*; reading it would run code that somebody else chose. Nothing was loaded"):
        made("simple-feedforward", weights=str(copy))
    assert not (copy.parent / "ran").exists() and "hostile_module" not in sys.modules


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return open, ("ran", "w")


def test_what_else_a_folder_may_hide(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(copy.parent)

    def refused(match: str) -> None:
        with pytest.raises(UsageError, match=match):
            made("simple-feedforward", weights=str(copy))
        assert not Path("ran").exists()

    assert made("simple-feedforward", weights=str(copy), hidden_dimensions=[8]).loaded is not None
    with pytest.raises(UsageError, match=r"hidden_dimensions got \[9\], and the weights in .* have \[8\]; leave hidden_dimensions out"):
        made("simple-feedforward", weights=str(copy), hidden_dimensions=[9])
    with pytest.raises(
        UsageError, match=r"harness\.json is not what save\(\) wrote for it \(ValueError: it is of simple-feedforward, wanted"
    ):
        made("dlinear", weights=str(copy))
    state = (copy / "prediction-net-state.pt").read_bytes()
    torch.save({"x": Bomb()}, copy / "prediction-net-state.pt")
    refused(r"(?s)cannot be used: .*[Ww]eights.?only")
    (copy / "prediction-net-state.pt").write_bytes(state)
    config = (copy / "gluonts-config.json").read_text()
    for path in ("os.system", "gluonts.model.predictor.Localizer", "gluonts.torch.model.estimator.PyTorchLightningEstimator"):
        (copy / "gluonts-config.json").write_text(json.dumps({"type": path}))
        refused(r"names .*(reading it would run code|wanted a predictor that is read from predictor\.json)")
    (copy / "gluonts-config.json").write_text(config)
    facts = json.loads((copy / "harness.json").read_text())
    for change in ({"format": "other"}, {"horizon": "x"}, {"past": [[1]]}):
        (copy / "harness.json").write_text(json.dumps({**facts, **change}))
        refused(r"harness\.json is not what save\(\) wrote")
    (copy / "harness.json").unlink()
    refused(r"there is no file .*harness\.json; wanted a folder that a trained model was saved to: --save-models")
    assert saved.ALLOWED


MINE = '''
"""A user's module."""
import numpy as np
from gluonts.core.component import validated
from gluonts.model.forecast import SampleForecast
from gluonts.model.predictor import RepresentablePredictor
from gluonts.torch import SimpleFeedForwardEstimator


class Last(RepresentablePredictor):
    @validated()
    def __init__(self, prediction_length: int, freq: str, seed: int = 9, paths: int = 3) -> None:
        super().__init__(prediction_length=prediction_length)
        self.freq, self.seed, self.paths = freq, seed, paths

    def predict_item(self, item):
        seen = item["target"][np.isfinite(item["target"])]
        steps = np.random.normal(size=(self.paths, self.prediction_length))
        return SampleForecast(seen[-1] + steps, start_date=item["start"] + len(item["target"]), item_id=item["item_id"])


class Level:
    """Learns a level; no class of gluonts at all."""

    def __init__(self, prediction_length, share=1.0):
        self.prediction_length, self.share = prediction_length, share

    def train(self, dataset):
        level = float(np.mean([np.nanmean(e["target"]) for e in dataset]))
        return Constant(level * self.share, self.prediction_length)


class Constant:
    def __init__(self, level, length):
        self.level, self.length = level, length

    def predict(self, dataset):
        for entry in dataset:
            yield SampleForecast(np.full((1, self.length), self.level), start_date=entry["start"] + len(entry["target"]))


class Network(SimpleFeedForwardEstimator):
    @validated()
    def __init__(self, prediction_length: int, width: int = 4, num_batches_per_epoch: int = 2) -> None:
        super().__init__(prediction_length, hidden_dimensions=[width], batch_size=4, num_batches_per_epoch=num_batches_per_epoch)


def maker(prediction_length):
    return Constant(5.0, prediction_length)


def wrong(prediction_length):
    return 3


class Few:
    def predict(self, dataset):
        return iter([])


class Broken:
    def __init__(self, prediction_length):
        raise ValueError("no such thing")

    def predict(self, dataset):
        return []


class Empty:
    pass


ready = Constant(7.0, 6)
number = 3
'''


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a user's module in the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "gluonts_of_mine.py").write_text(MINE)
    yield "gluonts_of_mine"
    sys.modules.pop("gluonts_of_mine", None)


def own(mine: str, name: str, **parameters: Any) -> Any:
    return made("gluonts", target=f"{mine}.{name}", **parameters)


def test_a_predictor_of_ones_own(mine: str) -> None:
    batch = make_batch(5)
    model = own(mine, "Last", paths=4)
    forecast = model.predict(batch)
    assert forecast.kind == "samples" and forecast.values.shape == (5, 4, 6)
    np.testing.assert_array_equal(model.predict(batch).values, forecast.values)  # drawn from the windows' seeds
    assert not np.array_equal(model.predict(replace(batch, seeds=batch.seeds + np.uint64(1))).values, forecast.values)
    predictor = next(iter(model._made.values()))
    assert (predictor.prediction_length, predictor.freq, predictor.seed) == (6, "h", 0)
    assert own(mine, "Last", freq="D", seed=3).predict(batch).values.shape == (5, 3, 6)
    for name, value in (("maker", 5), ("ready", 7)):
        assert (own(mine, name).predict(batch).values == value).all()
    with_gap = Batch.from_contexts([[np.nan, np.nan], [1.0, 2.0]], 6)
    gap = own(mine, "Last").predict(with_gap).values
    assert (gap[0] == 0).all() and (gap[1] != 0).all()


def test_an_estimator_of_ones_own_is_trained(mine: str, tmp_path: Path) -> None:
    train = make_batch(4)
    with pytest.raises(Unsupported, match=r"gluonts:gluonts_of_mine\.Level is an Estimator, which is trained on each task: --mode full"):
        own(mine, "Level").predict(train)
    with pytest.raises(Unsupported, match=r"gluonts:gluonts_of_mine\.Last is a Predictor, which has nothing to train: --mode zero-shot"):
        own(mine, "Last").finetune(train, "", 0, "full")
    level = np.mean([np.nanmean(row) for row in train])
    values = own(mine, "Level", share=2.0).finetune(train, "", 0, "full").predict(train).values
    np.testing.assert_allclose(values, 2 * level, rtol=1e-5)
    with pytest.raises(UsageError, match=r"got a budget of '3steps', and only Estimators with lightning's trainer_kwargs can be given one"):
        own(mine, "Level").finetune(train, "3steps", 0, "full")

    trained = own(mine, "Network", width=3).finetune(train, "3steps", 0, "full")
    assert trained.notes["steps"] == 3
    forecast = trained.predict(train)
    assert forecast.kind == "quantiles" and forecast.values.shape == (4, 11, 6)
    np.testing.assert_array_equal(own(mine, "Network", width=3).finetune(train, "3steps", 0).predict(train).values, forecast.values)
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "__pycache__") == ["gluonts_of_mine.py"]
    folder = trained.save(tmp_path / "kept")
    np.testing.assert_array_equal(own(mine, "Network", weights=str(folder)).predict(train).values, forecast.values)
    with pytest.raises(UsageError, match=r"it is of gluonts:gluonts_of_mine\.Network, wanted gluonts:gluonts_of_mine\.Last"):
        own(mine, "Last", weights=str(folder))
    with pytest.raises(NotImplementedError, match=r"a Constant has no method serialize"):
        own(mine, "Level").finetune(train, "", 0).save(tmp_path / "none")


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("Lost", {}, r"got gluonts_of_mine\.Lost, and /.*gluonts_of_mine\.py has no 'Lost'\. Did you mean 'Last'\?"),
        (
            "Last",
            {"path": 3},
            r"gluonts_of_mine\.Last has no parameter 'path'\. Did you mean 'paths'\? Its constructor takes: predic",
        ),
        ("ready", {"level": 3}, r"ready is a Constant that is made already, and takes no parameters; got level\. Name its class"),
        ("Empty", {}, r"Empty is a class without predict\(dataset\) and train\(dataset\); wanted a gluonts Predictor or Estimator"),
        ("number", {}, r"number is a int; wanted a gluonts Predictor or Estimator, or a function that makes one"),
        ("wrong", {}, r"wrong made a int, which has neither predict\(dataset\) nor train\(dataset\)"),
        ("Broken", {}, r"Broken: it cannot be made with prediction_length=6: no such thing\. It takes \(prediction_length\)"),
        ("Last", {"paths": "many"}, r"Last: it cannot be made with .*paths='many'"),
        ("Few", {}, r"Few: predict gave 0 forecasts for 2 series; wanted one for each"),
    ],
)
def test_classes_that_make_no_model(mine: str, name: str, parameters: dict[str, Any], message: str) -> None:
    with pytest.raises((UsageError, ForecastError), match=message):
        own(mine, name, **parameters).predict(make_batch(2))


def test_the_librarys_own_classes_are_targets() -> None:
    train = make_batch(4)
    naive = made("gluonts", target="gluonts.model.seasonal_naive.SeasonalNaivePredictor", season_length=4).predict(train).values
    for row, context in enumerate(train):
        np.testing.assert_array_equal(naive[row, 0, [1, 5]], np.nan_to_num(np.array(context)[[-3, -3]], nan=naive[row, 0, 1]))
    parameters = {"hidden_dimensions": [4], "num_batches_per_epoch": 2, "trainer_kwargs": {"max_epochs": 1}}
    trained = made("gluonts", target="gluonts.torch.SimpleFeedForwardEstimator", **parameters).finetune(train, "", 0, "full")
    assert trained.notes["steps"] == 2 and np.isfinite(trained.predict(train).values).all()


def test_an_adapted_predictor_conforms(mine: str) -> None:
    wanted = {"card", "levels", "horizons", "determinism", "leaves_batch_alone", "difficult_contexts", "no_future"}
    found = {check.name: check for check in checks("gluonts", {"target": f"{mine}.Last"}, plugins=PLUGINS) if check.name in wanted}
    assert found.keys() == wanted
    for check in found.values():
        check()
