"""Paths of many windows drawn together are the library's own, each window's from its seed alone; what cannot be told apart is noticed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install torch")
pytest.importorskip("gluonts", reason="gluonts is not installed: pip install 'gluonts[torch]>=0.16,<0.18'")
pytest.importorskip("lightning", reason="lightning is not installed: pip install 'lightning>=2.4,<3'")

from harness_gluonts import draws  # noqa: E402
from harness_gluonts.draws import Draws, Uncovered, samples_of  # noqa: E402
from harness_gluonts.forecaster import ROWS  # noqa: E402
from harness_gluonts.quiet import library, quiet  # noqa: E402

library()

from gluonts.torch.distributions import LaplaceOutput, NegativeBinomialOutput, NormalOutput, StudentTOutput  # noqa: E402
from gluonts.torch.distributions.discrete_distribution import DiscreteDistribution  # noqa: E402
from scipy import stats  # noqa: E402
from torch.distributions import Categorical, MixtureSameFamily, Normal  # noqa: E402

from harness import Batch, Ragged  # noqa: E402
from harness.plugins import Plugins  # noqa: E402
from harness.specimens import rows_of  # noqa: E402

PLUGINS = Plugins()
DEEPAR: dict[str, Any] = {"num_layers": 1, "hidden_size": 8, "num_parallel_samples": 10, "context_length": 12, "batch_size": 8}
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "student_t": ("deepar", {**DEEPAR, "num_parallel_samples": 7}),
    "normal": ("deepar", {**DEEPAR, "distr_output": "normal"}),
    "laplace": ("deepar", {**DEEPAR, "distr_output": "laplace", "hidden_size": 9}),
    "negative_binomial": ("deepar", {**DEEPAR, "distr_output": "negative_binomial"}),
    "wavenet": (
        "wavenet",
        {
            "num_bins": 32,
            "num_residual_channels": 3,
            "num_skip_channels": 3,
            "dilation_depth": 3,
            "num_parallel_samples": 7,
            "seasonality": 4,
        },
    ),
    "discrete": ("deepnpts", {"num_hidden_nodes": [8], "context_length": 12}),
    "smooth": ("deepnpts", {"num_hidden_nodes": [8], "context_length": 12, "network_type": "smooth"}),
}


def counts(windows: int) -> Batch:
    """Windows of counts, of unlike lengths and levels."""
    rng = np.random.default_rng(windows)
    return Batch.from_contexts([rng.poisson(5 + 3 * i, size=40 + i).astype(float) for i in range(windows)], 4, freq="H", season_length=4)


def trained(name: str, steps: str = "2steps") -> Any:
    model, parameters = NETWORKS[name]
    return PLUGINS.model(model).factory(**parameters).finetune(counts(6), steps, 0, "full")


@pytest.mark.parametrize("name", NETWORKS)
def test_paths_are_those_of_the_bare_predictor_under_the_windows_seed(name: str) -> None:
    """The library is asked for one window at a time, in its own way, after torch.manual_seed: the same paths, but for rounding."""
    import pandas as pd

    model, batch = trained(name), counts(ROWS + 3)
    ours = model.predict(batch)
    assert ours.kind == "samples" and "one_by_one" not in model.notes
    for row in (0, 1, ROWS - 1, ROWS, ROWS + 2):
        entry = {"start": pd.Period(batch.starts[row].item(), freq="h"), "target": np.array(batch.contexts[row])}
        with quiet():
            torch.manual_seed(int(batch.seeds[row] % np.uint64(2**63)))
            (theirs,) = model.predictor.predict([entry])
        np.testing.assert_allclose(ours.values[row], theirs.samples, rtol=1e-3, atol=1e-2)
    assert not np.array_equal(ours.values[ROWS], ours.values[ROWS + 1])


@pytest.mark.parametrize("name", NETWORKS)
def test_a_windows_bits_do_not_depend_on_its_place(name: str) -> None:
    model, batch, rng = trained(name), counts(ROWS + 5), np.random.default_rng(0)
    whole = model.predict(batch).values
    for size in (1, 2, ROWS - 1, ROWS + 5):
        rows = rng.permutation(len(batch))[:size].tolist()
        np.testing.assert_array_equal(model.predict(rows_of(batch, rows)).values, whole[rows])
    other = model.predict(replace(batch, seeds=batch.seeds + np.uint64(1))).values
    assert all(not np.array_equal(a, b) for a, b in zip(other, whole, strict=True))


LAWS: dict[str, tuple[Any, tuple[float, ...], Any]] = {
    "student_t": (StudentTOutput, (4.0, 1.0, 0.5), stats.t(4, 2.0, 1.0)),
    "normal": (NormalOutput, (1.0, 0.5), stats.norm(2.0, 1.0)),
    "laplace": (LaplaceOutput, (1.0, 0.5), stats.laplace(2.0, 1.0)),
    "negative_binomial": (NegativeBinomialOutput, (3.0, 0.5), stats.nbinom(3, 1 / (1 + np.exp(0.5 + np.log(2.0))))),
}
"""An output of gluonts, its arguments before a scale of 2, and what that is to scipy."""


@pytest.mark.parametrize("name", LAWS)
def test_draws_have_the_distribution(name: str) -> None:
    """Those of all windows together, and their windows are not like each other."""
    output, arguments, law = LAWS[name]
    windows, samples = 32, 250
    shape = (windows * samples, 1)
    made = output().distribution([torch.full(shape, each) for each in arguments], scale=torch.full(shape, 2.0))
    with Draws(range(windows), windows, samples):
        drawn = made.sample().numpy().ravel().astype(float)
    if name == "negative_binomial":
        bins = np.arange(int(law.ppf(0.99)))
        seen = np.array([(drawn == k).sum() for k in bins])
        expected = len(drawn) * law.pmf(bins)
        rest = len(drawn) - np.array([seen.sum(), expected.sum()])
        assert stats.chisquare(np.append(seen, rest[0]), np.append(expected, rest[1])).pvalue > 1e-3
        return
    assert stats.kstest(drawn, law.cdf).pvalue > 1e-3
    between = np.corrcoef(law.cdf(drawn).reshape(windows, samples)) - np.eye(windows)
    assert np.abs(between).max() < 5 / np.sqrt(samples)


def test_draws_are_torchs_own_for_each_window() -> None:
    rng = torch.Generator().manual_seed(5)
    weights, where = torch.rand(12, 6, generator=rng), torch.rand(12, 6, generator=rng)
    mixture = lambda w, x: MixtureSameFamily(Categorical(w), Normal(x, torch.ones_like(x)))  # noqa: E731
    for law in (mixture, lambda w, x: DiscreteDistribution(values=x, probs=w / w.sum(1, keepdim=True))):
        with quiet():
            with Draws([7, 2**64 - 1], 3, 4):  # the third fills up
                together = law(weights, where).sample()
            for window, seed in enumerate((7, 2**63 - 1)):
                rows = slice(4 * window, 4 * window + 4)
                torch.manual_seed(seed)
                assert torch.equal(law(weights[rows], where[rows]).sample(), together[rows])


def test_what_is_not_covered_is_noticed() -> None:
    with pytest.raises(Uncovered, match=r"something drew from torch's global state"), Draws([0, 1], 2, 3):
        torch.rand(6)
    for call in (lambda: torch.empty(3, 2).normal_(), lambda: torch.multinomial(torch.ones(3, 2), 1)):  # paths first, then windows
        with pytest.raises(Uncovered, match=r"a tensor of shape \(3, 2\) for 2 × 3 rows"), Draws([0, 1], 2, 3):
            call()
    own = torch.Generator()
    for call in (
        lambda: torch.normal(0.0, 1.0, (6,)),
        lambda: torch.poisson(torch.ones(6), generator=own),
        lambda: torch.ones(6).uniform_(generator=own),
    ):
        with pytest.raises(Uncovered, match=r"(normal|poisson|uniform_) is called in another way"), Draws([0, 1], 2, 3):
            call()
    with pytest.raises(ZeroDivisionError), Draws([0, 1], 2, 3):
        torch.rand(1)
        raise ZeroDivisionError
    assert samples_of(torch.nn.Linear(1, 1)) is None


def test_a_network_that_draws_otherwise_forecasts_window_by_window(monkeypatch: pytest.MonkeyPatch) -> None:
    model, batch = trained("normal"), counts(5)
    together = model.predict(batch).values
    monkeypatch.setattr(draws, "ROWWISE", frozenset())
    alone = model.predict(batch).values
    assert model.notes["one_by_one"] == 5
    np.testing.assert_allclose(alone, together, rtol=1e-3, atol=1e-2)
    np.testing.assert_array_equal(model.predict(rows_of(batch, [3, 1])).values, alone[[3, 1]])
    assert model.notes["one_by_one"] == 7


def test_windows_without_a_value_take_no_part() -> None:
    model, batch = trained("student_t"), counts(4)
    gaps = replace(batch, contexts=Ragged.from_rows([np.full(5, np.nan), *batch.contexts][:4]))
    only = replace(gaps, contexts=Ragged.from_rows([[np.nan]] * 4))
    assert (model.predict(gaps).values[0] == 0).all() and (model.predict(only).values == 0).all()
