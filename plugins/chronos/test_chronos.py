"""Forecasts beside the library's own, what never reaches it, and what a training must keep to; on tiny random weights of its classes."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch: Any = pytest.importorskip("torch", reason="torch is not installed: pip install torch")
chronos: Any = pytest.importorskip("chronos", reason="chronos is not installed: pip install harness-chronos")
transformers: Any = pytest.importorskip("transformers", reason="transformers is not installed: pip install 'transformers>=5,<6'")

from harness_chronos import cards, tune  # noqa: E402
from harness_chronos.contexts import chunks, rows_of  # noqa: E402
from harness_chronos.items import parts_of, prepared  # noqa: E402
from harness_chronos.t5 import Draws, own_draws, uniforms  # noqa: E402
from tiny_chronos import LEVELS, bolt_folder, second_folder, t5_folder  # noqa: E402

from harness import Batch, Ragged, Unavailable, Unsupported, UsageError  # noqa: E402
from harness.forecast import F32  # noqa: E402
from harness.plugins import load  # noqa: E402
from harness.quantiles import to_quantiles  # noqa: E402
from harness.testing import checks, make_batch  # noqa: E402

NAN = np.nan
SMALL: dict[str, dict[str, Any]] = {
    "chronos-t5-tiny": {"num_samples": 2, "rows": 8},
    "chronos-bolt-tiny": {},
    "chronos-2": {"max_steps": 2, "batch_size": 4},
    "chronos-2-multivariate": {"max_steps": 2, "batch_size": 4, "adapter": "lora"},
    "chronos-2-cross": {},
}
SHOWN = ("light_import", "levels", "requested_levels", "horizons", "long_context", "affine", "memory")
ELSEWHERE = {"chronos-2-multivariate": SHOWN, "chronos-2-cross": SHOWN}
"""Checks that chronos-2 has passed, and that the others could not fail by themselves: seconds each."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A folder for each kind."""
    root = tmp_path_factory.mktemp("weights")
    return {"t5": str(t5_folder(root / "t5")), "bolt": str(bolt_folder(root / "bolt")), "2": str(second_folder(root / "2"))}


def kind(name: str) -> str:
    return "t5" if "-t5-" in name else "bolt" if "-bolt-" in name else "2"


def make(name: str, folders: dict[str, str], **params: Any) -> Any:
    """A registered model on the tiny weights of its kind."""
    return load().model(name).factory(**{"weights": folders[kind(name)], **params})


def library(folder: str) -> Any:
    return chronos.BaseChronosPipeline.from_pretrained(folder, device_map="cpu", dtype=torch.float32)


def contexts() -> list[F32]:
    rng = np.random.default_rng(0)
    rows = [50 + 10 * np.sin(np.arange(n) / 3) + rng.normal(size=n).cumsum() for n in (1, 7, 30, 64, 65, 97, 100, 300)]
    rows[3][[0, 1, 2, 20, 40]] = NAN
    rows[6][-4:] = NAN
    rows[7][150:175] = NAN
    return [row.astype(np.float32) for row in rows]


@pytest.mark.parametrize("name", SMALL)
def test_conformance(name: str, folders: dict[str, str], subtests: Any) -> None:
    for check in checks(name, {"weights": folders[kind(name)], **SMALL[name]}):
        if name not in ELSEWHERE or check.name not in ELSEWHERE[name]:
            with subtests.test(check.name):
                check()


def test_conformance_of_single_windows(folders: dict[str, str], subtests: Any) -> None:
    """T5 as it is by default: one window at a time."""
    for check in checks("chronos-t5-tiny", {"weights": folders["t5"], "num_samples": 2}):
        if check.name in ("batch_invariance", "order_invariance", "no_future"):
            with subtests.test(check.name):
                check()


@pytest.mark.parametrize("which", ["t5", "bolt", "2"])
def test_conformance_of_the_one_for_any_folder(which: str, folders: dict[str, str], subtests: Any) -> None:
    for check in checks("chronos", {"weights": folders[which], **({"num_samples": 3} if which == "t5" else {})}):
        if check.name in ("card", "levels", "batch_invariance", "difficult_contexts", "no_future"):
            with subtests.test(check.name):
                check()


@pytest.mark.parametrize("horizon", [7, 150])
def test_quantiles_are_those_of_the_library(folders: dict[str, str], horizon: int) -> None:
    rows = contexts()
    for name in ("chronos-bolt-tiny", "chronos-2", "chronos"):
        model = make(name, folders)
        forecast = model.predict(Batch.from_contexts(rows, horizon))
        theirs = library(folders[kind(name)])
        with pytest.warns(UserWarning, match="We recommend") if horizon > 64 and "bolt" in name else nullcontext():
            wanted = torch.stack([torch.as_tensor(q) for q in theirs.predict([torch.from_numpy(row) for row in rows], horizon)])
        wanted = wanted.reshape(len(rows), -1, horizon).numpy()
        assert forecast.levels.tolist() == theirs.quantiles
        np.testing.assert_allclose(forecast.values, wanted, rtol=2e-4, atol=2e-4)
        assert wanted[:, -1].std(axis=0).max() > 1  # the windows' forecasts are not all alike
        assert ("horizon" in model.notes) == (horizon > 64 and "bolt" in name)


@pytest.mark.parametrize("horizon", [5, 70])
def test_without_chance_paths_are_those_of_the_library(folders: dict[str, str], horizon: int) -> None:
    """With top_k=1 the most likely token is drawn, whatever the numbers: to the bit, since each window runs at its own length."""
    theirs = library(folders["t5"])
    alone = make("chronos-t5-tiny", folders, num_samples=2, top_k=1)
    together = make("chronos-t5-tiny", folders, num_samples=2, top_k=1, rows=4)
    rows = contexts()[:: 1 if horizon < 64 else 3]
    batch = Batch.from_contexts(rows, horizon)
    found = alone.predict(batch).values
    for row, y in enumerate(rows):
        np.testing.assert_array_equal(found[row], theirs.predict([torch.from_numpy(y)], horizon, num_samples=2, top_k=1)[0].numpy())
    np.testing.assert_allclose(together.predict(batch).values, found, rtol=1e-5)
    assert ("horizon" in alone.notes) == (horizon > 64)


def test_samples_follow_the_librarys_distribution(folders: dict[str, str]) -> None:
    """Also where few tokens are kept, and the temperature is not 1: shares of values in 4,000 draws of two steps, beside the library's."""
    y = contexts()[2]
    options: dict[str, Any] = {"temperature": 0.7, "top_k": 6}
    ours = make("chronos-t5-tiny", folders, num_samples=4000, **options).predict(Batch.from_contexts([y], 2)).values[0]
    torch.manual_seed(0)
    theirs = library(folders["t5"]).predict([torch.from_numpy(y)], 2, num_samples=4000, **options)[0].numpy()
    for step in range(2):
        values = np.union1d(ours[:, step], theirs[:, step])
        a, b = (np.array([(x[:, step] == v).mean() for v in values]) for x in (ours, theirs))
        assert len(values) >= 2 and len(np.unique(ours[:, 0])) <= 6
        np.testing.assert_allclose(a, b, atol=4 * np.sqrt(0.5 / 4000))


def test_a_draw_is_by_the_inverse_of_the_distribution() -> None:
    p = torch.tensor([[0.1, 0.0, 0.6, 0.3], [0.0, 0.0, 1.0, 0.0]], dtype=torch.float64)
    for u, wanted in ((0.0, [0, 2]), (0.0999, [0, 2]), (0.1001, [2, 2]), (0.6999, [2, 2]), (0.7001, [3, 2]), (1 - 2.0**-53, [3, 2])):
        draws = Draws(torch.full((2, 1, 1), u, dtype=torch.float64))
        left = draws(torch.zeros(2, 1, dtype=torch.long), p.log().float())
        assert left.argmax(dim=1).tolist() == wanted and torch.isfinite(left).sum() == 2
    u = torch.arange(12.0, dtype=torch.float64).reshape(2, 2, 3)  # [n, H, S]
    assert Draws(u).u.tolist() == [[0, 1, 2, 6, 7, 8], [3, 4, 5, 9, 10, 11]]  # of each step: all samples of a window, then the next


def test_samples_depend_on_the_windows_seed_alone(folders: dict[str, str]) -> None:
    model = make("chronos-t5-tiny", folders, num_samples=4)
    batch = Batch.from_contexts([contexts()[3]] * 3, 5)
    state = torch.get_rng_state()
    first = model.predict(batch).values
    assert not np.array_equal(first[0], first[1]) and len(np.unique(first[0, :, 0])) > 1
    same = model.predict(replace(batch, seeds=np.full(3, 7, np.uint64))).values
    np.testing.assert_array_equal(same[0], same[2])
    np.testing.assert_array_equal(model.predict(replace(batch, horizon=3)).values, first[:, :, :3])
    # One at a time and several at a time: the same numbers, on products of other shapes.
    np.testing.assert_allclose(make("chronos-t5-tiny", folders, num_samples=4, rows=2).predict(batch).values, first, rtol=1e-5)
    assert torch.equal(torch.get_rng_state(), state) and "generate" not in vars(model.pipeline.model.model)
    assert uniforms(np.array([5], np.uint64), 2, 3).shape == (1, 2, 3)
    with pytest.raises(KeyError), own_draws(model.pipeline.model.model, torch.zeros(1, 1, 1)):
        raise KeyError
    assert "generate" not in vars(model.pipeline.model.model)


def test_the_one_for_any_folder_gives_quantiles_of_the_samples(folders: dict[str, str]) -> None:
    batch = Batch.from_contexts(contexts(), 4, quantile_levels=[0.2, 0.9])
    samples = make("chronos-t5-tiny", folders).predict(batch)
    quantiles = make("chronos", folders, weights=folders["t5"]).predict(batch)
    assert samples.values.shape[1] == 20 and quantiles.levels.tolist() == [0.025, 0.2, 0.9, 0.975]
    for a, b in zip(to_quantiles(quantiles, [0.2, 0.9]), to_quantiles(samples, [0.2, 0.9]), strict=True):
        np.testing.assert_array_equal(a, b)


def watched(model: Any, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What the library's predict is given."""
    seen: list[Any] = []
    library_predict = model.pipeline.predict

    def predict(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        seen.extend(
            [x["context"] for x in inputs] if isinstance(inputs, list) else [row for x in inputs for row in x.reshape(-1, x.shape[-1])]
        )
        return library_predict(inputs, *args, **kwargs)

    monkeypatch.setattr(model.pipeline, "predict", predict)
    return seen


@pytest.mark.parametrize("name", SMALL)
def test_what_never_reaches_the_library(name: str, folders: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    model = make(name, folders, **({"num_samples": 2} if kind(name) == "t5" else {}))
    seen = watched(model, monkeypatch)
    y = contexts()[2]
    odd = y.copy()
    odd[[0, 5, 29]] = [np.inf, -np.inf, np.inf]
    gap = np.where(np.isfinite(odd), odd, NAN)
    batch = Batch.from_contexts([np.full(40, NAN), odd, [NAN], y, np.concatenate([[NAN] * 5, y])], 3)
    batch = replace(batch, contexts=Ragged.from_rows([*batch.contexts, []]), seeds=np.array([1, 2, 3, 4, 4, 5], np.uint64))
    batch = replace(batch, group=np.arange(6), starts=np.repeat(batch.starts[:1], 6))
    found = model.predict(batch).values
    assert not found[[0, 2, 5]].any() and np.isfinite(found).all()
    assert model.notes["windows without a value, forecast as zeros"] == 3 and model.notes["infinite values, taken as missing"] == 3
    assert seen and all(torch.isfinite(x).any(dim=-1).all() and not torch.isinf(x).any() for x in seen)
    if not model.__dict__.get("cross"):
        np.testing.assert_array_equal(found[3], found[4])  # leading missing values are no history
        alone = replace(Batch.from_contexts([gap], 3), seeds=np.array([2], np.uint64))
        np.testing.assert_array_equal(model.predict(alone).values[0], found[1])
    model.predict(Batch.from_contexts([[NAN] * 3], 2))
    assert model.predict(Batch.from_contexts([], 2)).values.shape[0] == 0


@pytest.mark.parametrize("name", ["chronos-t5-tiny", "chronos-bolt-tiny", "chronos-2", "chronos-2-multivariate"])
def test_the_unit_does_not_matter(name: str, folders: dict[str, str]) -> None:
    """Powers of two are exact; beyond them single precision would overflow, or vanish."""
    model = make(name, folders)
    rows = contexts()[2:5]

    def forecast(factor: float) -> F32:
        batch = Batch.from_contexts([row * np.float32(factor) for row in rows], 4)
        values: F32 = model.predict(replace(batch, group=np.array([0, 1, 1]))).values
        return values

    plain = forecast(1.0)
    for exponent in (90, -90):
        np.testing.assert_allclose(forecast(2.0**exponent) / np.float32(2.0**exponent), plain, rtol=1e-4, atol=1e-3)
        assert model.notes.pop("windows of huge or tiny values, rescaled") == 3


@pytest.mark.parametrize("name", ["chronos-bolt-tiny", "chronos-2", "chronos-2-multivariate"])
def test_the_place_among_other_rows_does_not_matter(name: str, folders: dict[str, str]) -> None:
    """To the bit. An odd number of rows together would fail: their 21 levels of 16 steps do not fill whole pairs of vector registers."""
    rng = np.random.default_rng(4)
    rows = [100 * rng.normal(size=n).cumsum() for n in rng.integers(80, 96, 63)]
    model, batch = make(name, folders), Batch.from_contexts(rows, 16)
    found = model.predict(batch).values
    for order in (np.arange(63)[::-1], *(rng.permutation(63)[:42] for _ in range(4))):
        part = Batch.from_contexts([rows[k] for k in order], 16)
        np.testing.assert_array_equal(model.predict(part).values, found[order])


def test_rows_of_a_batch() -> None:
    ragged = Ragged.from_rows([[NAN, 1, 2, NAN, 9], [NAN, NAN, 5], [3, NAN, 1e30, 8], [NAN, NAN]])
    before = ragged.values.copy()
    rows = rows_of(ragged, 2, ahead=1)
    assert rows.lengths.tolist() == [2, 0, 1, 0] and rows.exponent.tolist() == [0, 0, 99, 0]
    np.testing.assert_array_equal(rows.cut(np.array([0, 2]), 3), np.float32([[NAN, 2, NAN], [NAN, NAN, np.float32(1e30) / 2.0**99]]))
    np.testing.assert_array_equal(rows.future(np.array([0])), [[9]])
    np.testing.assert_array_equal(ragged.values, before)
    lengths = np.array([1, 64, 65, 96, 97, 128, 129, 8192, 5000, 64])
    planned = list(chunks(lengths))
    assert sorted(np.concatenate([index for index, _, _ in planned]).tolist()) == list(range(10))
    widths = {int(lengths[k]): (width, together) for index, width, together in planned for k in index}
    wanted = {1: (64, 32), 64: (64, 32), 65: (96, 32), 96: (96, 32), 97: (128, 32), 128: (128, 32), 129: (192, 32)}
    assert widths == {**wanted, 8192: (8192, 1), 5000: (6144, 1)}
    assert {together for _, _, together in chunks(lengths, device="cuda")} == {1024, 32}
    assert all(len(index) <= together == 2 for index, _, together in chunks(lengths, 2))


def with_covariates(n: int, horizon: int) -> Batch:
    """Windows of different lengths with two past covariates and a known one, some values missing."""
    rng = np.random.default_rng(1)
    rows = [20 + rng.normal(size=30 + 11 * k).cumsum() for k in range(n)]
    past = [[rng.normal(size=len(row)) for row in rows] for _ in range(2)]
    past[0][n // 4][:] = NAN
    past[1][0][3:9] = NAN
    known = [np.sin(np.arange(len(row) + horizon) / 4) for row in rows]
    batch = Batch.from_contexts(rows, horizon)
    return replace(batch, past_covariates=tuple(map(Ragged.from_rows, past)), known_covariates=(Ragged.from_rows(known),))


def test_covariates_go_to_the_library_and_change_the_forecast(folders: dict[str, str]) -> None:
    horizon = 20
    batch, model, theirs = with_covariates(4, horizon), make("chronos-2", folders), library(folders["2"])
    found = model.predict(batch).values
    for row, y in enumerate(batch):
        past = {f"p{k}": rows[row] for k, rows in enumerate(batch.past_covariates) if np.isfinite(rows[row]).any()}
        known = batch.known_covariates[0][row]
        whole = {"target": y, "past_covariates": past | {"z": known[: len(y)]}, "future_covariates": {"z": known[len(y) :]}}
        np.testing.assert_array_equal(found[row], theirs.predict([whole], horizon)[0][0].numpy())
    bare = make("chronos-2", folders, covariates=False).predict(batch).values
    np.testing.assert_array_equal(bare, model.predict(replace(batch, past_covariates=(), known_covariates=())).values)
    scale = np.abs(bare).mean()
    assert (np.abs(found - bare).max(axis=(1, 2)) > 0.01 * scale).all()
    other = Ragged.from_rows([np.append(row[:-horizon], row[-horizon:][::-1]) for row in batch.known_covariates[0]])
    assert (np.abs(model.predict(replace(batch, known_covariates=(other,))).values - found).max(axis=(1, 2)) > 1e-3 * scale).all()
    partly = Ragged.from_rows([np.append(row[:-5], [np.inf] * 5) for row in batch.known_covariates[0]])
    assert np.isfinite(model.predict(replace(batch, known_covariates=(partly,))).values).all()
    part = replace(batch, contexts=Ragged.from_rows([batch.contexts[2]]), group=batch.group[2:3], starts=batch.starts[2:3])
    part = replace(part, past_covariates=tuple(Ragged.from_rows([c[2]]) for c in batch.past_covariates))
    part = replace(part, known_covariates=tuple(Ragged.from_rows([c[2]]) for c in batch.known_covariates))
    np.testing.assert_array_equal(model.predict(part).values[0], found[2])


def test_groups_go_to_the_library_and_change_the_forecast(folders: dict[str, str]) -> None:
    rng = np.random.default_rng(2)
    rows = [10 + rng.normal(size=80).cumsum() for _ in range(5)]
    rows[1][:20] = NAN
    rows[4][:] = NAN
    batch = replace(Batch.from_contexts(rows, 18), group=np.array([4, 4, 1, 4, 4]))
    joint, alone, theirs = make("chronos-2-multivariate", folders), make("chronos-2", folders), library(folders["2"])
    found, single = joint.predict(batch).values, alone.predict(batch).values
    wanted = theirs.predict([np.stack([rows[k] for k in (0, 1, 3)]).astype(np.float32)], 18)[0].numpy()
    np.testing.assert_array_equal(found[[0, 1, 3]], wanted)
    np.testing.assert_array_equal(found[2], single[2])
    assert (np.abs(found - single)[[0, 1, 3]].max(axis=(1, 2)) > 0.01).all() and not found[4].any()
    shuffled = replace(batch, group=np.array([1, 4, 4, 4, 4]))
    assert not np.array_equal(joint.predict(shuffled).values[1], found[1])


def test_cross_learning_is_among_windows_of_one_cutoff(folders: dict[str, str]) -> None:
    """A later window holds the labels of an earlier one: it must not reach it."""
    rng = np.random.default_rng(3)
    rows = [10 + rng.normal(size=n).cumsum() for n in (60, 60, 50, 60, 40)]
    batch = Batch.from_contexts(rows, 5)
    batch = replace(batch, starts=batch.starts + np.array([0, 0, 10, 1, 20]) * np.timedelta64(86_400, "s"))  # row 3 ends a day later
    cross, alone, theirs = make("chronos-2-cross", folders), make("chronos-2", folders), library(folders["2"])
    found = cross.predict(batch).values
    same = [0, 1, 2, 4]
    wanted = theirs.predict([torch.tensor(rows[k], dtype=torch.float32) for k in same], 5, cross_learning=True)
    np.testing.assert_array_equal(found[same], torch.cat(wanted).numpy())
    single = alone.predict(batch).values
    np.testing.assert_allclose(found[3], single[3], rtol=1e-4)
    assert (np.abs(found - single)[same].max(axis=(1, 2)) > 0.01).all()
    two = make("chronos-2-cross", folders, rows=2).predict(batch).values
    wanted = theirs.predict([torch.tensor(row, dtype=torch.float32) for row in rows[:2]], 5, cross_learning=True)
    np.testing.assert_array_equal(two[:2], torch.cat(wanted).numpy())
    assert load().model("chronos-2-cross").info.batch_dependent


# --- training


def learnable(n: int = 8, length: int = 120, horizon: int = 8, groups: int | None = None) -> Batch:
    """Series that repeat a pattern which tiny random weights do not know."""
    t = np.arange(length)
    rows = [100 + 10 * np.where((t + k) % 8 < 4, 1.0, -1.0) for k in range(n)]
    batch = Batch.from_contexts(rows, horizon, freq="H", season_length=8)
    return batch if groups is None else replace(batch, group=np.arange(n) % groups)


def state(model: Any) -> dict[str, Any]:
    return {name: value.clone() for name, value in model.pipeline.model.state_dict().items()}


@pytest.mark.parametrize(("name", "adapter"), [("chronos-2", ""), ("chronos-2", "lora:4"), ("chronos-2-multivariate", "lora")])
def test_training_is_kept_where_it_helps(name: str, adapter: str, folders: dict[str, str], tmp_path: Path) -> None:
    train = learnable(groups=3)
    model = make(name, folders, learning_rate=0.02, batch_size=8, adapter=adapter)
    before, environment, files = state(model), dict(os.environ), sorted(Path(tempfile.gettempdir()).glob("harness-chronos-*"))
    here, random_state = sorted(Path.cwd().iterdir()), (torch.get_rng_state(), np.random.get_state()[1].copy())  # noqa: NPY002
    tuned = model.finetune(train, "25steps", 3)
    assert tuned.notes["kept"] == "tuned", tuned.notes
    assert tuned.notes["steps"] == 25 and tuned.notes["loss after"] < 0.9 * tuned.notes["loss before"]
    assert tuned.notes["trained"] == (adapter or "all weights") and model.notes == {}
    assert all(torch.equal(value, before[key]) for key, value in model.pipeline.model.state_dict().items())
    assert dict(os.environ) == environment and sorted(Path.cwd().iterdir()) == here
    assert sorted(Path(tempfile.gettempdir()).glob("harness-chronos-*")) == files
    assert torch.equal(torch.get_rng_state(), random_state[0]) and np.array_equal(np.random.get_state()[1], random_state[1])  # noqa: NPY002
    again = model.finetune(train, "25steps", 3)
    other = model.finetune(train, "25steps", 4)
    assert all(torch.equal(value, state(tuned)[key]) for key, value in state(again).items())
    assert not all(torch.equal(value, state(tuned)[key]) for key, value in state(other).items())
    first = tuned.predict(train).values
    np.testing.assert_array_equal(tuned.predict(train).values, first)  # no dropout
    tuned.save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    for loaded in (make(name, folders, weights=str(tmp_path)), make(name, folders, weights=str(tmp_path / "model.safetensors"))):
        np.testing.assert_array_equal(loaded.predict(train).values, first)


def test_a_bad_training_returns_the_weights_before(folders: dict[str, str]) -> None:
    train = learnable()
    no_gain = "no look at the held-out windows was better by more than 2 standard errors"
    whys = {5.0: "the trained weights forecast no numbers", 1e-12: no_gain}
    for rate, why in whys.items():
        model = make("chronos-2", folders, learning_rate=rate, batch_size=4, max_steps=3)
        tuned = model.finetune(train, "", 0)
        assert (tuned.notes["kept"], tuned.notes["why"], tuned.notes["steps"]) == ("base", why, 3)
        np.testing.assert_array_equal(tuned.predict(train).values, model.predict(train).values)


def test_no_training_window_reaches_what_is_held_out(folders: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def fit(inputs: Any, ahead: int, **options: Any) -> Any:
        given.append((inputs, ahead, options))
        return model.pipeline

    batch = with_covariates(3, 6)
    batch = replace(batch, contexts=Ragged.from_rows([np.append([NAN] * 4, row[4:]) for row in batch.contexts]))
    model = make("chronos-2", folders)
    monkeypatch.setattr(model.pipeline, "fit", fit)
    notes = model.finetune(batch, "9steps", 0).notes
    inputs, ahead, options = given[0]
    assert ahead == 6 and options["num_steps"] == 9 and "finetune_mode" not in options
    for x, y, past, known in zip(inputs, batch.contexts, batch.past_covariates[1], batch.known_covariates[0], strict=True):
        observed = len(y) - 4
        held = 6 * max(1, observed // 8 // 6)
        assert (x["n_targets"], x["n_future_covariates"]) == (1, 1) and x["context"].shape == (1 + x["n_covariates"], observed - held)
        for row, wanted in ((0, y), (-2, past), (-1, known[:-6])):
            np.testing.assert_array_equal(x["context"][row].numpy(), wanted[4 : len(y) - held])
    assert notes["held-out windows"] == 3 and notes["kept"] == "base"


def test_losses_are_those_of_a_plain_loop(folders: dict[str, str]) -> None:
    model, batch = make("chronos-2", folders), with_covariates(2, 6)
    series, held = tune._series(model, batch)
    assert held.groups.tolist() == [[0, 0], [1, 0]] and (held.limit - held.origin).tolist() == [6, 6]
    found = tune._losses(model, model.pipeline, series, held)
    for k in range(2):
        y, cut = batch.contexts[k], len(batch.contexts[k]) - 6
        past = tuple(Ragged.from_rows([c[k][:cut]]) for c in batch.past_covariates)
        window = replace(Batch.from_contexts([y[:cut]], 6), past_covariates=past)
        window = replace(window, known_covariates=(Ragged.from_rows([batch.known_covariates[0][k][: cut + 6]]),))
        q = model.predict(window).values[0].astype(float)
        total = 0.0
        for level, row in zip(LEVELS, q, strict=True):
            total += sum(2 * max(level * (a - b), (level - 1) * (a - b)) for a, b in zip(y[cut:].astype(float), row, strict=True))
        assert found[k] == pytest.approx(total / len(LEVELS) / 6 / np.std(y[:cut].astype(float)), rel=1e-5)


def test_a_time_ends_a_training(folders: dict[str, str]) -> None:
    model = make("chronos-2", folders, batch_size=4)
    tuned = model.finetune(learnable(4, 60), "2s", 0)
    assert tuned.notes["steps"] >= 1 and tuned.notes["seconds"] < 30 and str(tuned.notes["reproducible"]).startswith("no")


def test_what_cannot_be_trained_on(folders: dict[str, str]) -> None:
    model = make("chronos-2", folders)
    long, two = "no series is long enough", "fewer than two held-out windows"
    for rows, why in (([[1.0, 2.0, 3.0]] * 3, long), ([[NAN] * 50] * 3, long), ([np.arange(13.0)], two)):
        tuned = model.finetune(Batch.from_contexts(rows, 4), "", 0)
        assert why in tuned.notes["why"] and tuned.notes["steps"] == 0 and tuned.pipeline is model.pipeline
    with pytest.raises(Unsupported, match=r"chronos-2 starts from its weights; it does not know the mode 'full'"):
        model.finetune(learnable(), "", 0, "full")
    with pytest.raises(UsageError, match="budget of 'soon'"):
        model.finetune(learnable(), "soon", 0)
    with pytest.raises(Unsupported, match="trained in float32, and dtype=bfloat16 was asked for"):
        make("chronos-2", folders, dtype="bfloat16").finetune(learnable(), "", 0)
    assert not hasattr(make("chronos-bolt-tiny", folders), "finetune")


# --- weights and parameters


@pytest.mark.parametrize(
    ("name", "params", "message"),
    [
        ("chronos-t5-tiny", {"num_samples": 0}, "num_samples got 0; wanted a whole number from 1 to 10000"),
        ("chronos-t5-tiny", {"top_k": 1.5}, "top_k got 1.5"),
        ("chronos-t5-tiny", {"top_p": 1.5}, "top_p got 1.5; wanted a number above 0, at most 1"),
        ("chronos-t5-tiny", {"temperature": 0}, "temperature got 0"),
        ("chronos-t5-tiny", {"context": 513}, "context got 513; wanted a whole number from 1 to 512"),
        ("chronos-bolt-tiny", {"rows": 0}, "rows got 0"),
        ("chronos-2", {"rows": 3}, "rows got 3; wanted a power of two"),
        ("chronos-bolt-tiny", {"context": True}, "context got True; wanted a whole number from 1 to 2048"),
        ("chronos-bolt-tiny", {"dtype": "int8"}, "dtype got 'int8'; wanted float32 or bfloat16"),
        ("chronos-bolt-tiny", {"device": "gpu"}, "device got 'gpu'; wanted cpu, cuda or cuda:0"),
        ("chronos-2", {"weights": 3}, "weights got 3; wanted the path of a folder"),
        ("chronos-2", {"covariates": "no"}, "covariates got 'no'; wanted true or false"),
        ("chronos-2", {"adapter": "dora"}, "adapter got 'dora'; wanted lora, lora:RANK"),
        ("chronos-2", {"adapter": "lora:0"}, "adapter got 'lora:0'"),
        ("chronos-2", {"adapter": ":4"}, "adapter got ':4'"),
        ("chronos-2", {"learning_rate": -1}, "learning_rate got -1; wanted a number above 0, at most 10"),
        ("chronos-2", {"max_steps": 0}, "max_steps got 0"),
        ("chronos-2", {"batch_size": "8"}, "batch_size got '8'"),
    ],
)
def test_parameters_that_make_no_sense(name: str, params: dict[str, Any], message: str, folders: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=f"{name}: {message}"):
        make(name, folders, **params)


def test_weights_that_are_none(folders: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(match: str, name: str = "chronos-bolt-tiny") -> None:
        with pytest.raises(UsageError, match=match):
            make(name, folders, weights=str(tmp_path))

    refused(r"holds nothing; wanted a folder with config\.json and model\.safetensors")
    config, tensors = tmp_path / "config.json", tmp_path / "model.safetensors"
    right, whole = json.loads(Path(folders["bolt"], "config.json").read_text()), Path(folders["bolt"], "model.safetensors").read_bytes()
    config.write_text(json.dumps(right))
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    refused(r"holds config\.json, pytorch_model\.bin; wanted")
    (tmp_path / "model-00001-of-00001.safetensors").write_bytes(whole)  # of no use to the library without an index
    refused(r"holds config\.json, model-00001-of-00001\.safetensors, pytorch_model\.bin; wanted")
    (tmp_path / "model-00001-of-00001.safetensors").unlink()
    tensors.write_bytes(whole)
    assert make("chronos-bolt-tiny", folders, weights=str(tmp_path)).pipeline is not None
    refused(r"holds a Chronos-Bolt; wanted a Chronos-2\. For any of them: -M chronos:weights=", "chronos-2")
    for change, match in (
        ({"chronos_pipeline_class": "Chronos3Pipeline"}, r"asks for the pipeline 'Chronos3Pipeline'; .*pip install -U chronos-forecasting"),
        ({"chronos_config": None}, r"has no chronos_config: it is no Chronos"),
        ({"auto_map": {"AutoModel": "evil.Model"}}, r"names code to be run \(auto_map\), and none is"),
        ({"num_layers": 3}, r"\d+ tensors are missing in model\.safetensors, encoder\.block\.2"),
        ({"num_layers": 1}, r"\d+ tensors have no place in the network of config\.json beside model\.safetensors, encoder\.block\.1"),
        ({"d_model": 32}, r"cannot be used: \w+Error: .*size mismatch|mismatched"),
    ):
        config.write_text(json.dumps({**right, **change}))
        refused(match)
    for text in ("{}x", "[" * 100_000):
        config.write_text(text)
        refused(r"config\.json cannot be read: it.*; wanted a folder with config\.json")
    config.write_text(json.dumps(right))
    tensors.write_bytes(whole[: len(whole) // 2])
    refused(r"cannot be used: SafetensorError")
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "amazon/chronos-2"}')
    refused(r"holds adapter_config\.json: factors beside weights that lie elsewhere")
    with pytest.raises(Unavailable, match="there is no file or folder"):
        make("chronos-2", folders, weights="amazon/chronos-2")
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(Unavailable, match="harness weights pull chronos-2"):
        make("chronos-2", folders, weights="")
    with pytest.raises(Unavailable, match="chronos has no weights of its own; give a folder: -M chronos:weights=FOLDER"):
        make("chronos", folders, weights="")


def test_weights_where_the_hub_keeps_them(folders: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The published ones, by the name of the model alone; a folder of the same name in the working directory is not asked."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.chdir(tmp_path)
    snapshot = tmp_path / "hub" / "models--amazon--chronos-bolt-tiny"
    (snapshot / "snapshots").mkdir(parents=True)
    (snapshot / "refs").mkdir()
    (snapshot / "refs" / "main").write_text("0f0f")
    (snapshot / "snapshots" / "0f0f").symlink_to(folders["bolt"])
    batch = make_batch(3)
    found = make("chronos-bolt-tiny", folders, weights="").predict(batch).values
    np.testing.assert_array_equal(found, make("chronos-bolt-tiny", folders).predict(batch).values)
    (tmp_path / "own").symlink_to(folders["bolt"])
    np.testing.assert_array_equal(make("chronos-bolt-tiny", folders, weights="own").predict(batch).values, found)


def test_half_precision(folders: dict[str, str]) -> None:
    for name in ("chronos-t5-tiny", "chronos-bolt-tiny", "chronos-2"):
        half, whole = (make(name, folders, dtype=dtype) for dtype in ("bfloat16", "float32"))
        a, b = (model.predict(Batch.from_contexts(contexts(), 4)).values for model in (half, whole))
        assert half.pipeline.inner_model.dtype == torch.bfloat16 and not np.array_equal(a, b)
        assert np.isfinite(a).all()


def test_the_newest_steps_alone_are_looked_at(folders: dict[str, str]) -> None:
    y = contexts()[7]
    for name in SMALL:
        model = make(name, folders, context=50)
        batch, cut = Batch.from_contexts([y], 4), Batch.from_contexts([y[-50:]], 4)
        np.testing.assert_array_equal(model.predict(batch).values, make(name, folders).predict(cut).values)


def test_cards() -> None:
    infos = {info.name: info for info, _ in cards.models()}
    assert len(infos) == 13
    published = {name: info for name, info in infos.items() if name != "chronos"}
    for name, info in published.items():
        repository = "chronos-2" if name.startswith("chronos-2") else name
        assert (info.weights, info.weights_license, info.org) == (f"hf:amazon/{repository}", "Apache-2.0", "Amazon")
        assert "model.safetensors" in info.weights_files and info.parameters
    assert infos["chronos-2-multivariate"].multivariate and not infos["chronos-2"].multivariate


def test_inputs_are_as_the_library_prepares_them() -> None:
    from chronos.chronos2.preprocess import from_list_of_dicts

    batch = with_covariates(1, 5)
    batch = replace(batch, past_covariates=batch.past_covariates[1:])
    parts = parts_of(batch, None, True)
    (item,) = parts.items(False)
    ours = prepared(parts.context(item), parts.future(item, 5), item)
    y, known = batch.contexts[0], batch.known_covariates[0][0]
    past = {f"p{k}": rows[0] for k, rows in enumerate(batch.past_covariates)} | {"z": known[:-5]}
    (theirs,) = from_list_of_dicts([{"target": y, "past_covariates": past, "future_covariates": {"z": known[-5:]}}], 5)
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        np.testing.assert_array_equal(np.asarray(ours[key]), np.asarray(value))
