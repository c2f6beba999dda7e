"""The original, and gluonts, beside ours: the same weights, the same inputs, the same numbers."""

from __future__ import annotations

import json
import os
import sys
import types
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install torch")

from harness_lag_llama import LagLlama  # noqa: E402
from harness_lag_llama.calendar import features  # noqa: E402
from harness_lag_llama.lags import LAGS  # noqa: E402
from harness_lag_llama.network import Network, Shape  # noqa: E402
from harness_lag_llama.sampling import Scaling, sample_paths, student_t, tokens  # noqa: E402
from harness_lag_llama.weights import save  # noqa: E402
from tiny_lag_llama import TINY, made  # noqa: E402

from harness import Batch  # noqa: E402

SMALL = Shape(layers=2, heads=3, head_width=4)
"""The published lags, so that all of a token is there, and 21 thousand weights."""
GOLDEN = Path(__file__).with_name("golden.json")


def gluonts(module: str = "") -> Any:
    """A module of gluonts; the test is skipped where it is missing."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using `json`-module")  # a faster one is not installed
        return pytest.importorskip(f"gluonts{module}", reason="gluonts is not installed: pip install 'gluonts[torch]'")


# --- the original ---------------------------------------------------------------------------------------------------------------------


def inputs(context: int, horizon: int) -> dict[str, Any]:
    """Two windows with a history of the published length: one whole, one that is short and has gaps."""
    rng = np.random.default_rng(11)
    history = context + max(LAGS)
    t = np.arange(history + horizon)
    y = np.stack([50 + 10 * np.sin(t / 24 * 2 * np.pi) + rng.normal(size=len(t)), 30 + rng.normal(size=len(t)).cumsum()])
    seen = np.ones(y.shape, bool)
    seen[1, : history - context // 2] = False
    seen[1, history - 3] = False
    first = np.array([5, -(context - context // 2)])
    calendar = features(np.array(["2021-03-01T05:00", "2020-02-28T00:00"], "datetime64[s]"), "H", first, context + horizon)
    calendar = np.where((first[:, None] + np.arange(context + horizon) < 0)[..., None], 0, calendar)
    uniform = 1 - rng.random((2, horizon, 4, 2))
    arrays = {"past": np.where(seen, y, 0)[:, :history], "future": y[:, history:], "calendar": calendar}
    ready = {name: torch.from_numpy(a.astype(np.float32)) for name, a in arrays.items()}
    return ready | {"seen": torch.from_numpy(seen[:, :history]), "uniform": torch.from_numpy(uniform)}


def ours(network: Network, data: dict[str, Any], factor: float, cached: bool) -> dict[str, Any]:
    """Parameters of every token given the true future [2, C + H - 1], and paths [2, S, H] by the greedy rule and by chance."""
    history = data["past"].shape[1]
    y = torch.cat([data["past"], data["future"]], dim=1)
    scaling = Scaling(data["past"], data["seen"], 0)
    at = torch.arange(history - data["calendar"].shape[1] + data["future"].shape[1], y.shape[1] - 1)
    lags = y[:, at[:, None] - torch.tensor(network.shape.lags)]
    with torch.no_grad():
        law = network(tokens(lags, data["calendar"][:, :-1], scaling.location, scaling.scale), factor)
    arguments = (network, data["past"], data["seen"], data["calendar"])
    greedy = sample_paths(*arguments, torch.ones_like(data["uniform"][:, :, :1]), factor, cached)
    paths = sample_paths(*arguments, data["uniform"], factor, cached)
    return {**law._asdict(), "location": scaling.location, "spread": scaling.scale, "greedy": greedy[:, 0], "paths": paths}


def original(network: Network, data: dict[str, Any], factor: float, cached: bool) -> dict[str, Any]:
    """The same of the original's module, with the same weights."""
    from gluonts.torch.distributions import StudentTOutput
    from lag_llama.model.module import LagLlamaModel  # type: ignore[import-not-found]

    shape, horizon = network.shape, data["future"].shape[1]
    context = data["calendar"].shape[1] - horizon
    model = LagLlamaModel(
        context_length=context,
        max_context_length=2048,
        scaling="robust",
        input_size=1,
        n_layer=shape.layers,
        n_embd_per_head=shape.head_width,
        n_head=shape.heads,
        lags_seq=list(shape.lags),
        distr_output=StudentTOutput(),
        rope_scaling={"type": "linear", "factor": factor} if factor > 1 else None,
        time_feat=True,
    )
    model.load_state_dict(network.state_dict())
    model.eval()
    history = data["past"].shape[1]
    before = torch.zeros(2, history - context, 6)  # time features that the model does not look at
    past_time, future_time = torch.cat([before, data["calendar"][:, :context]], dim=1), data["calendar"][:, context:]

    def step(past: Any, seen: Any, t: int, law: Callable[[Any], Any]) -> Any:
        times = len(past) // 2
        given = [a.repeat_interleave(times, 0) for a in (past_time, future_time[:, : t + 1])]
        params, loc, scale = model(past, seen, *given, use_kv_cache=cached)
        return loc + scale * law([p[:, -1:] for p in params])

    def path(count: int, law: Callable[[int, Any], Any]) -> Any:
        past, seen = (a.repeat_interleave(count, 0) for a in (data["past"], data["seen"].float()))
        for t in range(horizon):
            value = step(past, seen, t, lambda p, t=t: law(t, p))
            past, seen = torch.cat([past, value], dim=1), torch.cat([seen, torch.ones_like(value)], dim=1)
        model.reset_cache()
        return past[:, history:].view(2, count, horizon)

    def drawn(t: int, p: Any) -> Any:
        u, w = data["uniform"][:, t].reshape(-1, 1, 2).unbind(-1)
        return p[1] + p[2] * student_t(p[0], u, w)

    with torch.no_grad(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Using a non-tuple sequence")  # gluonts' way to index
        (df, loc, scale), location, spread = model(data["past"], data["seen"].float(), past_time, future_time, future_target=data["future"])
        greedy, paths = path(1, lambda _, p: p[1])[:, 0], path(data["uniform"].shape[2], drawn)
    return {"df": df, "loc": loc, "scale": scale, "location": location, "spread": spread, "greedy": greedy, "paths": paths}


CASES = {"usual": (32, 5, 1.0, False), "long": (48, 5, 53 / 32, False), "cached": (32, 5, 1.0, True)}


@pytest.fixture
def checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    folder = os.environ.get("HARNESS_LAG_LLAMA", "")
    if not (Path(folder) / "lag_llama" / "model" / "module.py").is_file():
        pytest.skip("set HARNESS_LAG_LLAMA to a checkout of github.com/time-series-foundation-models/lag-llama to compare with it")
    gluonts(".torch.util")
    monkeypatch.syspath_prepend(folder)


def close(ours: dict[str, Any], theirs: dict[str, Any], what: str) -> None:
    """All to 1e-5 of their size, or of the window's spread where that is larger."""
    spread = torch.as_tensor(theirs["spread"])  # [2, 1]
    for name, value in theirs.items():
        value, found = torch.as_tensor(value).reshape(2, -1), ours[name].reshape(2, -1)
        size = value.abs().clamp_min(1) if name in ("df", "loc", "scale") else torch.maximum(value.abs(), spread)
        apart = float(((found - value).abs() / size).max())
        assert apart < 1e-5, f"{what}, {name}: {apart:.2g} apart"


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape", [SMALL, Shape()], ids=["small", "published"])
@pytest.mark.usefixtures("checkout")
def test_the_original_gives_the_same(case: str, shape: Shape) -> None:
    context, horizon, factor, cached = CASES[case]
    data, network = inputs(context, horizon), made(shape)
    if shape != SMALL:  # weights of a size at which 144 columns do not saturate
        network.load_state_dict({n: p * 0.2 if p.ndim > 1 else p for n, p in network.state_dict().items()})
    close(ours(network, data, factor, cached), original(network, data, factor, cached), case)


@pytest.mark.parametrize("case", CASES)
def test_numbers_that_the_original_gave(case: str) -> None:
    """`golden.json` was written by this file run as a program from `original`: its module at commit 013ff0c, gluonts 0.17.0,
    torch 2.13.0 on a CPU, with `made(SMALL)` and `inputs`. Parameters are those of every eleventh token."""
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))[case]
    context, horizon, factor, cached = CASES[case]
    found = ours(made(SMALL), inputs(context, horizon), factor, cached)
    assert len(set(golden["greedy"][0])) == horizon
    close({name: thinned(name, value) for name, value in found.items()}, golden, case)


def thinned(name: str, value: Any) -> Any:
    return value[:, ::11] if name in ("df", "loc", "scale") else value


@pytest.mark.usefixtures("checkout")
@pytest.mark.slow
def test_the_originals_estimator_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint that Lightning writes of the original's own module is read, and its predictor draws from the same distributions.

    The estimator needs a module that gluonts had up to 0.14, of two classes, which stand in for it.
    """
    pytest.importorskip("scipy", reason="scipy is not installed")
    lightning = pytest.importorskip("lightning", reason="lightning is not installed: pip install lightning")
    import pandas as pd
    from scipy import stats

    loss: Any = types.ModuleType("gluonts.torch.modules.loss")
    loss.DistributionLoss = type("DistributionLoss", (), {"__module__": loss.__name__})
    loss.NegativeLogLikelihood = type("NegativeLogLikelihood", (loss.DistributionLoss,), {"__module__": loss.__name__})
    monkeypatch.setitem(sys.modules, loss.__name__, loss)
    horizon, count, start = 3, 2000, "2021-03-01T05:00"
    rng = np.random.default_rng(0)
    series = [(50 + 10 * np.sin(np.arange(1500) / 24 * 2 * np.pi) + rng.normal(size=1500)), 5 + rng.normal(size=20).cumsum()]
    series = [y.astype(np.float32) for y in series]
    series[0][[100, -3]] = series[1][5] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # three libraries say that they are older than each other
        from lag_llama.gluon.estimator import LagLlamaEstimator

        sizes = {"n_layer": SMALL.layers, "n_embd_per_head": SMALL.head_width, "n_head": SMALL.heads}
        usual = {"scaling": "robust", "time_feat": True, "context_length": 32, "device": torch.device("cpu")}
        estimator = LagLlamaEstimator(prediction_length=horizon, num_parallel_samples=count, batch_size=2, **sizes, **usual)
        module = estimator.create_lightning_module()
        module.model.load_state_dict(made(SMALL).state_dict())
        trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, default_root_dir=tmp_path)
        trainer.strategy.connect(module)
        module.trainer = trainer
        trainer.save_checkpoint(tmp_path / "lag-llama.ckpt")
        predictor = estimator.create_predictor(estimator.create_transformation(), module)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            given = [{"start": pd.Period(start, freq="h"), "target": y.copy()} for y in series]
            theirs = [f.samples for f in predictor.predict(given, num_samples=count)]
    ours = LagLlama(str(tmp_path), num_samples=count).predict(Batch.from_contexts(series, horizon, freq="H", start=start)).values
    for row in range(2):
        for step in range(horizon):
            assert stats.ks_2samp(theirs[row][:, step], ours[row, :, step]).pvalue > 0.001
    assert stats.ks_2samp(theirs[0][:, 0], ours[0, :, 1]).pvalue < 0.001  # the test can tell


def test_cached_forecasts_are_others() -> None:
    """The cache keeps old scalings, so it must change a forecast, and leave the first step alone."""
    data, network = inputs(32, 5), made(SMALL)
    plain, cached = (ours(network, data, 1.0, cached)["greedy"] for cached in (False, True))
    assert torch.equal(plain[:, 0], cached[:, 0])
    assert (plain[:, 1:] - cached[:, 1:]).abs().max() > 1e-3


# --- what a token holds ----------------------------------------------------------------------------------------------------------------


def test_the_network_is_the_published_one() -> None:
    network = Network(Shape())
    assert sum(p.numel() for p in network.parameters()) == 2_449_299
    assert len(network.state_dict()) == 73
    assert network.shape.features == 92


def test_lags_are_those_of_gluonts() -> None:
    propose = gluonts(".time_feature").get_lags_for_frequency
    theirs = {lag - 1 for f in ("QE", "ME", "W", "D", "h", "min", "s") for lag in propose(f, num_default_lags=1)}
    assert sorted(theirs) == list(LAGS)
    assert (len(LAGS), max(LAGS)) == (84, 1092)


FREQUENCIES = {
    "S": "s", "10S": "10s", "T": "min", "15T": "15min", "H": "h", "2H": "2h", "D": "D", "B": "B", "W": "W-SUN", "W-WED": "W-WED",
    "2W-MON": "2W-MON", "M": "M", "3M": "3M", "Q": "Q-DEC", "Q-OCT": "Q-OCT", "A": "Y-DEC", "A-JUN": "Y-JUN",
}  # fmt: skip


@pytest.mark.parametrize("freq", FREQUENCIES)
def test_time_features_are_those_of_gluonts(freq: str) -> None:
    import pandas as pd

    propose = gluonts(".time_feature").time_features_from_frequency_str
    start, count = "2023-02-27T22:47:51", 60  # a Monday, with a leap year ahead
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*(BDay freq|PeriodDtype.B.) is deprecated", category=FutureWarning)
        index = pd.period_range(pd.Period(start, freq=FREQUENCIES[freq]), periods=count, freq=FREQUENCIES[freq])
        theirs = np.stack([f(index) for f in propose("s")], axis=1)
    found = features(np.array([start, start], "datetime64[s]"), freq, np.array([0, -7]), count)
    np.testing.assert_allclose(found[0], theirs, atol=1e-6)
    np.testing.assert_array_equal(found[1, :7], 0)  # before the series began
    np.testing.assert_array_equal(found[1, 7:], found[0, : count - 7])


def test_quarters_may_be_named_by_their_beginning() -> None:
    start = np.array(["2023-02-27"], "datetime64[s]")
    for begins, ends in (("QS-OCT", "Q-SEP"), ("QS", "Q"), ("AS-APR", "A-MAR"), ("MS", "M")):
        np.testing.assert_array_equal(*(features(start, freq, np.array([0]), 9) for freq in (begins, ends)))


@pytest.mark.parametrize("freq", ["H", "W-WED", "M"])
@pytest.mark.parametrize("length", [3, 20, 200])
def test_inputs_are_those_of_the_originals_transformation(freq: str, length: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the network gets beside what gluonts' transformations, chained as the original chains them, make of the same series."""
    import pandas as pd

    transform, propose = gluonts(".transform"), gluonts(".time_feature").time_features_from_frequency_str
    rng = np.random.default_rng(length)
    y = rng.normal(size=length).astype(np.float32)
    y[rng.random(length) < 0.2] = np.nan
    y[-1] = 2
    save(made(TINY), tmp_path)
    model, start, horizon = LagLlama(str(tmp_path), context=8, num_samples=5), "2023-02-27T22:00:00", 4
    chain = transform.Chain(
        [
            transform.AddTimeFeatures("start", "target", "feat_time", propose("s"), horizon),
            transform.AddObservedValuesIndicator("target", "observed", transform.DummyValueImputation(0.0)),
            transform.InstanceSplitter(
                "target", "is_pad", "start", "forecast_start", transform.TestSplitSampler(), model.past, horizon,
                time_series_fields=["feat_time", "observed"],
            ),
        ]
    )  # fmt: skip
    (theirs,) = chain([{"start": pd.Period(start, freq=FREQUENCIES[freq]), "target": y.copy()}], is_train=False)
    got: list[Any] = []
    monkeypatch.setattr(model, "_paths", lambda *a: got.extend(a) or np.zeros((1, model.num_samples, horizon), np.float32))
    model.predict(Batch.from_contexts([y], horizon, freq=freq, start=start))
    values, seen, calendar, _ = (a[0] for a in got)
    np.testing.assert_array_equal(values, theirs["past_target"])
    np.testing.assert_array_equal(seen, theirs["past_observed"])
    np.testing.assert_allclose(calendar[: model.context], theirs["past_feat_time"][-model.context :], atol=1e-6)
    np.testing.assert_allclose(calendar[model.context :], theirs["future_feat_time"], atol=1e-6)


if __name__ == "__main__":  # HARNESS_LAG_LLAMA=CHECKOUT python test_lag_llama_original.py writes golden.json
    sys.path.insert(0, os.environ["HARNESS_LAG_LLAMA"])
    torch.set_num_threads(1)
    numbers = {}
    for case, (context, horizon, factor, cached) in CASES.items():
        given = original(made(SMALL), inputs(context, horizon), factor, cached)
        numbers[case] = {
            name: [[float(f"{x:.9g}") for x in row] for row in thinned(name, v).flatten(1).tolist()] for name, v in given.items()
        }
    GOLDEN.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
