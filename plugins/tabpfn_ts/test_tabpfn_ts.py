"""TabPFN-TS on tiny random checkpoints, written as the library writes its own and read by the library's loader.

Where tabpfn-time-series is installed, tables and forecasts are compared with its pipeline's.
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from harness_tabpfn_ts.releases import RELEASES
from tiny_tabpfn import checkpoint

from harness import Batch, Unavailable, Unsupported, UsageError
from harness.forecast import Ragged
from harness.frequency import shift
from harness.testing import checks, make_batch

V2, V3, V35 = RELEASES
LEVELS = [0.1, 0.5, 0.9]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint of each release under its published name."""
    where = tmp_path_factory.mktemp("tabpfn")
    for release in RELEASES:
        checkpoint(release.architecture, where / release.file)
    return where


def model(folder: Path, release: Any = V2, **params: Any) -> Any:
    from harness_tabpfn_ts import TabPFNTS

    return TabPFNTS(release, **{"weights": str(folder), "n_estimators": 1, **params})


def wave(steps: int, seed: int = 0, period: float = 24.0) -> np.ndarray[Any, np.dtype[np.float32]]:
    rng = np.random.default_rng(seed)
    t = np.arange(steps)
    return (20 + 0.05 * t + 4 * np.sin(2 * np.pi * t / period) + rng.normal(0, 0.5, steps)).astype(np.float32)


def rows(batch: Batch, which: list[int]) -> Batch:
    def some(ragged: Ragged) -> Ragged:
        return Ragged.from_rows([ragged[i] for i in which])

    index = np.asarray(which)
    known = tuple(some(k) for k in batch.known_covariates)
    each = {name: getattr(batch, name)[index] for name in ("starts", "group", "window_ids", "seeds")}
    return replace(batch, contexts=some(batch.contexts), known_covariates=known, **each)


# --- the kit -------------------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def kit(folder: Path) -> dict[str, Any]:
    return {str(c): c for c in checks("tabpfn-ts-v2", {"weights": str(folder / V2.file), "n_estimators": 1})}


@pytest.mark.parametrize("name", [str(c) for c in checks("tabpfn-ts-v2")])
def test_conformance(name: str, kit: dict[str, Any]) -> None:
    kit[name]()


def test_records() -> None:
    for release in RELEASES:
        info = release.info()
        assert info.weights == f"hf:{release.repo}" and info.weights_files == (release.file,)
        assert ("on-commercial" in info.weights_note) == ("non-commercial" in info.weights_license) == (not release.open)
        assert release.open or "https://ux.priorlabs.ai" in info.weights_note
    assert [r.name for r in RELEASES if r.open] == ["tabpfn-ts-v2"]


def test_the_files_are_those_that_the_library_names() -> None:
    from tabpfn.model_loading import ModelSource

    sources = (ModelSource.get_regressor_v2(), ModelSource.get_regressor_v3(), ModelSource.get_v3_5())
    for release, source in zip(RELEASES, sources, strict=True):
        assert release.repo == source.repo_id and release.file in source.filenames
    assert V35.file == ModelSource.get_v3_5().default_filename


# --- the table -----------------------------------------------------------------------------------------------------------------------


def pipeline_of(path: Path, context: int, periods: int, **config: Any) -> Any:
    """The authors' pipeline on a checkpoint; skips where it is not installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the packages that it brings
        pytest.importorskip("tabpfn_time_series", reason="tabpfn-time-series is not installed; nothing to compare with")
        import torch
        from tabpfn_time_series import TabPFNTSPipeline
        from tabpfn_time_series.features import AutoSeasonalFeature, CalendarFeature, RunningIndexFeature

        made = [RunningIndexFeature(), CalendarFeature(), AutoSeasonalFeature({"max_top_k": periods})]
        config = {"model_path": str(path), "device": "cpu", "inference_precision": torch.float32, **config}
        return TabPFNTSPipeline(max_context_length=context, temporal_features=made, tabpfn_model_config=config)


def theirs(pipeline: Any, times: Any, values: Any, horizon: int, known: dict[str, Any] | None = None) -> tuple[Any, Any, Any]:
    """The pipeline's table of the context, its targets, and its table of the horizon."""
    import pandas as pd
    from tabpfn_time_series import TimeSeriesDataFrame

    frame = pd.DataFrame({"item_id": 0, "timestamp": times, "target": [*values, *[np.nan] * horizon], **(known or {})})
    past, future = (TimeSeriesDataFrame.from_data_frame(part) for part in (frame[:-horizon], frame[-horizon:]))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Some covariate values in future_tsdf are missing")
        train, test = pipeline.featurize(past, future)
    return train.drop(columns="target").to_numpy(float), train["target"].to_numpy(float), test.drop(columns="target").to_numpy(float)


@pytest.mark.parametrize("freq", ["H", "15T", "10S", "D", "B", "W-WED", "M", "Q", "A"])
@pytest.mark.parametrize("gaps", [False, True])
def test_the_table_is_that_of_the_authors(folder: Path, freq: str, gaps: bool) -> None:
    from harness_tabpfn_ts.features import kept_rows, table

    context, horizon, periods = 150, 20, 12 if gaps else 5
    pipeline = pipeline_of(folder / V2.file, context, periods)
    values = wave(200, period=24 if gaps else 7.3)
    if gaps:
        values[np.random.default_rng(1).random(200) < 0.2] = np.nan
    times = shift(np.full(220, np.datetime64("1999-10-29T22:57:50", "s")), freq, np.arange(220))
    known = np.random.default_rng(2).normal(size=(220, 2)) if gaps else np.empty((220, 0))
    known[3:5] = known[-2:] = np.nan
    past, y, ahead = theirs(pipeline, times, values, horizon, {f"c{k}": known[:, k] for k in range(known.shape[1])})
    kept, target = kept_rows(values, context)
    steps = np.append(kept, 200 + np.arange(horizon))
    ours = table(target, times[steps], known[steps], periods)
    assert ours.shape == (len(y) + horizon, known.shape[1] + 18 + 2 * periods)
    np.testing.assert_array_equal(target, y)
    np.testing.assert_array_equal(ours[: len(y)], past)
    np.testing.assert_array_equal(ours[len(y) :], ahead)


def test_periods_are_those_of_the_authors() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("tabpfn_time_series", reason="tabpfn-time-series is not installed; nothing to compare with")
        from tabpfn_time_series.features import AutoSeasonalFeature
    from harness_tabpfn_ts.features import seasons

    rng = np.random.default_rng(0)
    cases = [np.array([1.0, 2.0]), np.array([1.0, 2.0, 1.0]), np.arange(40.0), np.append(np.zeros(39), 1e9), np.linspace(1e30, 2e30, 40)]
    cases += [np.tile([1.0, 2.0], 10), rng.normal(size=500), rng.integers(0, 3, 90).astype(float)]
    cases += [wave(int(n), k, p).astype(float) for k, (n, p) in enumerate(((97, 12), (800, 24), (1000, 365.25), (30, 52)))]
    for case in cases:
        for most in (5, 12):
            wanted = AutoSeasonalFeature.find_seasonal_periods(case, **{**AutoSeasonalFeature().config, "max_top_k": most})
            np.testing.assert_array_equal(seasons(case, most), [period for period, _ in wanted])


def test_the_calendar_by_a_plain_loop() -> None:
    import datetime

    from harness_tabpfn_ts.features import calendar

    times = np.datetime64("1968-02-25T03:11:07", "s") + np.arange(0, 10**9, 7_654_321).astype("timedelta64[s]")
    for time, got in zip(times, calendar(times), strict=True):
        t: datetime.datetime = time.astype(object)
        day = t.timetuple()
        counts = [t.second, t.minute, t.hour, t.weekday(), t.day - 1, day.tm_yday - 1, t.isocalendar().week - 1, t.month - 1]
        wanted = [float(t.year)]
        for count, cycle in zip(counts, (60, 60, 24, 7, 30.5, 365, 52, 12), strict=True):
            angle = 2 * math.pi * count / (cycle - 1)
            wanted += [math.sin(angle), math.cos(angle)]
        np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_seasons_finds_a_season() -> None:
    from harness_tabpfn_ts.features import seasons

    t = np.arange(480)
    assert seasons(10 * np.sin(2 * np.pi * t / 24) + 4 * np.sin(2 * np.pi * t / 7) + 0.3 * t, 12)[:2].tolist() == [24, 7]


# --- the forecast --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", RELEASES, ids=lambda r: str(r.name))
def test_forecasts_are_those_of_the_authors(folder: Path, release: Any) -> None:
    horizon, seed, known = 9, 41, np.random.default_rng(3).normal(size=(2, 109)).astype(np.float32)
    values = wave(100)
    values[[3, 50, 51, 99]] = np.nan
    batch = Batch.from_contexts([values], horizon, freq="H", quantile_levels=LEVELS, seed=seed)
    batch = replace(batch, known_covariates=tuple(Ragged.from_rows([k]) for k in known))
    got = model(folder, release, n_estimators=2).predict(batch)
    pipeline = pipeline_of(folder / release.file, 32_768, release.periods, n_estimators=2, random_state=seed)
    times = shift(np.full(109, batch.starts[0]), "H", np.arange(109))
    past, y, ahead = theirs(pipeline, times, values.astype(float), horizon, {f"c{k}": known[k].astype(float) for k in range(2)})
    wanted = pipeline.predictor.inference_routine(past, y, ahead, quantiles=LEVELS)
    keep = [int(np.flatnonzero(np.isclose(got.levels, level))[0]) for level in LEVELS]
    np.testing.assert_allclose(got.values[0, keep], [wanted[level] for level in LEVELS], rtol=1e-5)
    np.testing.assert_allclose(got.mean[0], wanted["target"], rtol=1e-5)
    assert np.ptp(got.values[0, 1]) > 0


def test_any_level_is_had_from_the_distribution_itself(folder: Path) -> None:
    batch = Batch.from_contexts([wave(60)], 4, freq="H", quantile_levels=[0.001, 0.3, 0.999])
    got = model(folder).predict(batch)
    assert got.levels.tolist() == [0.001, 0.025, 0.3, 0.975, 0.999]
    assert (np.diff(got.values, axis=1) > 0).all()
    again = model(folder).predict(replace(batch, quantile_levels=np.array([0.3])))
    np.testing.assert_array_equal(again.values[:, 1], got.values[:, 2])


def test_the_point_is_the_median_or_the_mean(folder: Path) -> None:
    batch = Batch.from_contexts([wave(60)], 4, freq="H")
    median, mean = model(folder).predict(batch), model(folder, point="mean").predict(batch)
    np.testing.assert_array_equal(median.values, mean.values)
    np.testing.assert_array_equal(median.mean, median.values[:, np.flatnonzero(median.levels == 0.5)[0]])
    assert (np.abs(mean.mean - median.mean) > 1e-4).any()
    # The mean by a sum over many levels, which leaves out what lies beyond them.
    many = (np.arange(2000) + 0.5) / 2000
    whole = model(folder).predict(replace(batch, quantile_levels=many))
    inner = np.isin(whole.levels, many)
    np.testing.assert_allclose(mean.mean, whole.values[:, inner].mean(axis=1), rtol=0.01)


def test_known_covariates_count_and_their_number_is_limited(folder: Path) -> None:
    batch = Batch.from_contexts([wave(80)], 5, freq="H")

    def known(*covariates: Any) -> Batch:
        return replace(batch, known_covariates=tuple(Ragged.from_rows([c]) for c in covariates))

    made = model(folder)
    first = made.predict(known(np.arange(85) % 5))
    assert not np.array_equal(first.values, made.predict(known(np.append(np.arange(80) % 5, [9, 9, 9, 9, 9]))).values)
    assert not np.array_equal(first.values, made.predict(batch).values)
    with pytest.raises(Unsupported, match=r"473 known covariates make 501 features; its weights read 500 at most"):
        made.predict(known(*np.zeros((473, 85))))


def test_the_seed_is_that_of_the_window(folder: Path) -> None:
    batch = Batch.from_contexts([wave(80)] * 2, 5, freq="H")
    batch = replace(batch, seeds=np.array([2**64 - 1, 7], np.uint64))
    made = model(folder)
    both = made.predict(batch)
    assert not np.array_equal(both.values[0], both.values[1])
    for row in (0, 1):
        np.testing.assert_array_equal(made.predict(rows(batch, [row])).values[0], both.values[row])


def test_missing_constant_and_tiny_contexts(folder: Path) -> None:
    nan = np.nan
    tiny = wave(60)
    odd = [[nan] * 30, [7.0] * 30, [nan, 7.0, nan, 7.0], [3.0], [nan, 3.0, nan]]
    batch = Batch.from_contexts([*odd, tiny, tiny * 2.0**-100, tiny * 2.0**70], 3, freq="H")
    made = model(folder)
    got = made.predict(replace(batch, seeds=np.zeros(8, np.uint64)))
    for row, value in ((0, 0), (1, 7), (2, 7), (3, 3)):
        assert (got.values[row] == value).all() and (got.mean[row] == value).all()
    assert np.isfinite(got.values[4]).all()
    assert made.notes == {"context": 1000, "context_as_published": 4096, "all_missing": 1, "constant": 3}
    np.testing.assert_array_equal(got.values[5], got.values[6] * 2.0**100)
    np.testing.assert_array_equal(got.values[5], got.values[7] * 2.0**-70)
    made.notes.clear()
    made.predict(rows(batch, [5]))
    assert made.notes == {"context": 1000, "context_as_published": 4096}


def test_rows_on_a_cpu(folder: Path) -> None:
    """The library refuses more than 1000 rows for v2 and warns from 200 on; only the newest count, unless more are asked for."""
    values = wave(1300)
    batch = Batch.from_contexts([values], 2, freq="H")
    usual = model(folder).predict(batch)
    newest = replace(batch, contexts=Ragged.from_rows([values[300:]]), starts=batch.starts + np.timedelta64(300, "h"))
    np.testing.assert_array_equal(usual.values, model(folder).predict(newest).values)
    longer = model(folder, context=1200)
    assert longer.notes == {"context": 1200}
    assert not np.array_equal(usual.values, longer.predict(batch).values)
    assert model(folder, V3).notes == {"context": 5000, "context_as_published": 32_768}


def test_context_and_precision_are_those_of_a_cpu_on_a_gpu_too(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A result's identity does not have the device."""
    from harness_tabpfn_ts import network

    asked: list[tuple[str, str]] = []
    real = network.load

    def on_a_cpu(release: Any, weights: str, device: str, precision: str) -> Any:
        asked.append((device, precision))
        return real(release, weights, "cpu", precision)

    monkeypatch.setattr(network, "load", on_a_cpu)
    for release, rows_taken in ((V2, 1000), (V3, 5000), (V35, 5000)):
        made = [model(folder, release, device=device) for device in ("cpu", "cuda")]
        assert [m.context for m in made] == [rows_taken] * 2
        assert made[0].notes == made[1].notes
        assert model(folder, release, device="cuda", context=6000).context == 6000
    assert {precision for _, precision in asked} == {"float32"}


@pytest.mark.parametrize("value", ["1", "True", "y"])
def test_a_ckpt_is_not_run(value: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """torch would run what is in it, whoever calls it."""
    name = "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=rf"{name}={value}, with which torch would run what .*ckpt holds; .*Type: unset {name}"):
        model(folder)
    assert model(folder, V35).network is not None
    monkeypatch.setenv(name, "0")
    assert model(folder).network is not None


@pytest.mark.parametrize("kind", ["MemoryError", "torch.OutOfMemoryError"])
def test_too_little_memory_is_no_fault_of_the_weights(kind: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness_tabpfn_ts import network

    error = {"MemoryError": MemoryError, "torch.OutOfMemoryError": network.torch.OutOfMemoryError}[kind]

    def full(**_: Any) -> None:
        raise error("full")

    monkeypatch.setattr(network.tabpfn, "TabPFNRegressor", full)
    with pytest.raises(error, match="full"):
        model(folder)


def test_the_precision_on_a_cpu_is_the_same_everywhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The library computes in bfloat16 on a CPU that is fast with it."""
    from tabpfn import utils

    batch = Batch.from_contexts([wave(60)], 4, freq="H")
    got: dict[tuple[str, bool], Any] = {}
    for fast in (False, True):
        monkeypatch.setattr(utils, "_cpu_supports_fast_bf16", lambda fast=fast: fast)
        for precision in ("float32", "auto"):
            got[precision, fast] = model(folder, precision=precision).predict(batch).values
    np.testing.assert_array_equal(got["float32", False], got["float32", True])
    assert (got["auto", False] != got["auto", True]).any()
    np.testing.assert_allclose(got["auto", False], got["float32", False], rtol=1e-4)


def test_the_network_is_read_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import tabpfn.model_loading as loading

    read: list[str] = []
    build = loading._build_model

    def counted(resolved: str, *args: Any, **kwargs: Any) -> Any:
        read.append(resolved)
        return build(resolved, *args, **kwargs)

    monkeypatch.setattr(loading, "_build_model", counted)
    made = model(folder)
    before = {k: v.clone() for k, v in made.network.specs.model.state_dict().items()}
    made.predict(make_batch(4))
    assert len(read) == 1
    assert all((v == before[k]).all() for k, v in made.network.specs.model.state_dict().items())


def test_no_process_is_started(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(os, "fork", refuse)
    model(folder).predict(make_batch(2))


GUARD = """
import os, socket, sys
attempts = []
def refuse(*args, **kwargs):
    attempts.append(args)
    raise OSError("no network")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
from harness import Batch
from harness.plugins import load
model = load().models["tabpfn-ts-v2"].factory(weights=sys.argv[1], n_estimators=1)
model.predict(Batch.from_contexts([[1.0, 2.0, 4.0, 3.0, 5.0, 4.0]], 2))
assert os.environ["TABPFN_DISABLE_TELEMETRY"] == "1"
assert not attempts, attempts
assert "tabpfn_common_utils" not in sys.modules and "tabpfn_time_series" not in sys.modules
print("quiet")
"""


def test_a_new_process_makes_no_network_attempt(folder: Path) -> None:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TABPFN", "HF_"))}
    done = subprocess.run([sys.executable, "-c", GUARD, str(folder)], env=kept, capture_output=True, text=True, check=False)
    assert done.stdout.endswith("quiet\n"), done.stderr


# --- weights -------------------------------------------------------------------------------------------------------------------------


def test_where_weights_are_found(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness_tabpfn_ts.network import find

    assert find(V2, str(folder)) == folder / V2.file and find(V35, str(folder / V35.file)).name == V35.file
    with pytest.raises(Unavailable, match=r"there is no file or folder .*nowhere"):
        find(V2, str(tmp_path / "nowhere"))
    with pytest.raises(Unavailable, match=rf"no {re.escape(V2.file)} in .*harness weights pull tabpfn-ts-v2.*keep the name"):
        find(V2, str(tmp_path))
    with pytest.raises(Unavailable, match=r"no tabpfn-v3\.5.*Non-commercial.*ux\.priorlabs\.ai.*weights pull tabpfn-ts-v3\.5"):
        find(V35, str(tmp_path))
    (tmp_path / "my-regressor.ckpt").touch()
    (tmp_path / "my-classifier.ckpt").touch()
    assert find(V2, str(tmp_path)).name == "my-regressor.ckpt"
    (tmp_path / "other.safetensors").touch()
    with pytest.raises(UsageError, match=r"several checkpoints: my-regressor\.ckpt, other\.safetensors; give one"):
        find(V2, str(tmp_path))
    (tmp_path / "weights.bin").touch()
    with pytest.raises(UsageError, match=r"ends in \.bin; wanted \.ckpt or \.safetensors, and keep the name"):
        find(V2, str(tmp_path / "weights.bin"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for release in RELEASES:
        with pytest.raises(Unavailable, match=rf"harness weights pull {re.escape(release.name)}"):
            find(release, "")


def test_weights_in_the_cache_of_the_hub(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There a file is a link to one that is named by its hash, without a suffix."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    for release in (V2, V35):
        home = tmp_path / f"models--{release.repo.replace('/', '--')}"
        snapshot = home / "snapshots" / "0123abc"
        for part in (snapshot, home / "refs", home / "blobs"):
            part.mkdir(parents=True)
        (home / "refs" / "main").write_text("0123abc")
        (home / "blobs" / "9f86d081").write_bytes((folder / release.file).read_bytes())
        (snapshot / release.file).symlink_to("../../blobs/9f86d081")
        batch = Batch.from_contexts([wave(40)], 3, freq="H")
        got = model(folder, release, weights="").predict(batch)
        np.testing.assert_array_equal(got.values, model(folder, release).predict(batch).values)


def test_a_link_across_file_systems_is_copied(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness_tabpfn_ts import network

    def other(*_: Any) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(network.os, "link", other)
    (tmp_path / "blob").write_bytes((folder / V35.file).read_bytes())
    (tmp_path / V35.file).symlink_to("blob")
    assert model(tmp_path, V35).network.specs.model is not None


def test_weights_that_are_none(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"holds a tabpfn_v3_5; wanted a tabpfn_v2; use -m tabpfn-ts-v3\.5 for it"):
        model(folder, weights=str(folder / V35.file))
    for name, content in (("a.ckpt", b"no"), ("b.safetensors", b"no"), ("c.ckpt", (folder / V2.file).read_bytes()[:5000])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError, match=rf"the checkpoint .*{re.escape(name)} cannot be used: \w+"):
            model(folder, weights=str(tmp_path / name))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"context": 1}, r"context got 1; wanted a whole number from 2 to 10000"),
        ({"context": 10_001}, r"context got 10001"),
        ({"context": "long"}, r"context got 'long'"),
        ({"n_estimators": 0}, r"n_estimators got 0; wanted a whole number from 1"),
        ({"n_estimators": True}, r"n_estimators got True"),
        ({"point": "mode"}, r"point got 'mode'; wanted median or mean"),
        ({"precision": "float16"}, r"precision got 'float16'; wanted float32 or auto"),
        ({"device": "gpu"}, r"device got 'gpu'; wanted cpu, cuda or cuda:0"),
        ({"weights": 3}, r"weights got 3; wanted the path"),
    ],
)
def test_parameters_that_make_no_sense(params: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=f"tabpfn-ts-v2: {message}"):
        model(Path(), **params)


def test_a_gpu_that_is_not_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness_tabpfn_ts import network

    monkeypatch.setattr(network.torch, "cuda", SimpleNamespace(is_available=lambda: False))
    with pytest.raises(UsageError, match=r"device got 'cuda', and torch .* sees no GPU here; leave it out for the CPU"):
        model(folder, device="cuda")
