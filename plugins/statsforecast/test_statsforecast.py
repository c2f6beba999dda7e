"""Numbers beside the library called by hand, and what must hold whatever the context."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import harness_statsforecast
import numpy as np
import pyarrow as pa
import pytest
from harness_statsforecast import ENTRIES, StatsForecastModel

from harness import Batch, ModelInfo, Unsupported
from harness.forecast import F32, F64
from harness.testing import Check, checks

models: Any = pytest.importorskip("statsforecast.models", reason="statsforecast is not installed: pip install statsforecast")
DATA = Path(os.environ.get("HARNESS_TEST_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")
FAST = sorted(set(ENTRIES) - {"auto_arima", "auto_tbats"})
QUANTILES = [name for name in FAST if ENTRIES[name].output == "quantiles"]


@pytest.mark.parametrize("check", [c for name in ("theta", "auto_ets", "croston", "tsb") for c in checks(name, {"n_jobs": 1})], ids=str)
def test_conformance(check: Check) -> None:
    check()


def wave(length: int, seed: int = 0) -> F64:
    rng = np.random.default_rng(seed)
    out: F64 = 50 + 10 * np.sin(np.arange(length) / 7 * 2 * np.pi) + rng.normal(size=length)
    return out


def model(name: str, **params: Any) -> StatsForecastModel:
    return StatsForecastModel(name, **{"n_jobs": 1, **params})


def predict(name: str, contexts: list[Any], horizon: int = 9, levels: list[float] | None = None, **params: Any) -> F32:
    return model(name, **params).predict(Batch.from_contexts(contexts, horizon, season_length=7, quantile_levels=levels)).values


@pytest.fixture(scope="module")
def pooled() -> Iterator[StatsForecastModel]:
    two = StatsForecastModel("auto_ets", n_jobs=2)
    yield two
    two.close()


@pytest.mark.parametrize("name", ["auto_arima", *QUANTILES])
def test_intervals_are_those_of_the_library(name: str) -> None:
    y = wave(80).astype(np.float32).astype(np.float64)
    season = {} if not ENTRIES[name].seasonal else {"season_length": 7}
    out = getattr(models, ENTRIES[name].cls)(**season).forecast(y=y, h=9, level=[80.0, 95.0])
    ours = predict(name, [y], levels=[0.025, 0.1, 0.5, 0.9])[0]
    expected = np.stack([out["lo-95.0"], out["lo-80.0"], out["mean"], out["hi-80.0"]])
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


@pytest.mark.parametrize("name", sorted(n for n in ENTRIES if ENTRIES[n].output == "points"))
def test_points_are_those_of_the_library(name: str) -> None:
    entry, y = ENTRIES[name], np.where(np.arange(60) % 4 == 0, wave(60).round(), 0.0)
    out = getattr(models, entry.cls)(**entry.defaults, **({"season_length": 7} if entry.seasonal else {})).forecast(y=y, h=9)
    forecast = model(name).predict(Batch.from_contexts([y], 9, season_length=7))
    assert forecast.kind == "points"
    np.testing.assert_allclose(forecast.values[0, 0], out["mean"], rtol=1e-6)


def test_real_series_with_auto_ets() -> None:
    files = sorted((DATA / "gift-eval" / "hospital").glob("data-*.arrow"))
    if not files:
        pytest.skip(f"no hospital under {DATA}/gift-eval; set HARNESS_TEST_DATA to a folder that has it")
    with pa.memory_map(str(files[0])) as source:
        y = np.array(pa.ipc.open_stream(source).read_all()["target"][0].as_py(), np.float64)
    out = models.AutoETS(season_length=12).forecast(y=y[:-12], h=12, level=[60.0])
    ours = predict("auto_ets", [y[:-12]], 12, [0.2, 0.8], season_length=12)[0]
    np.testing.assert_allclose(ours, np.stack([out["lo-60.0"], out["hi-60.0"]]), rtol=1e-6)


@pytest.mark.parametrize("name", FAST)
def test_finite_and_rising_whatever_the_context(name: str) -> None:
    gaps = wave(40)
    gaps[[0, 1, 5, 20, 39]] = np.nan
    contexts = [[7.0], [1, 2], [np.nan] * 5, [4.0] * 30, wave(10), -wave(30), gaps, 1e30 * wave(30), [3e38, -3e38] * 9, np.zeros(20)]
    for horizon, levels in ((1, [0.5]), (16, [0.025, 0.5, 0.975]), (16, [0.1, 0.3])):
        values = predict(name, contexts, horizon, levels)
        assert values.shape == (len(contexts), len(levels) if ENTRIES[name].output == "quantiles" else 1, horizon)
        assert np.isfinite(values).all()
        assert (values[:, 1:] >= values[:, :-1]).all()


@pytest.mark.parametrize("name", ["auto_theta", "croston_sba"])
def test_missing_values_take_the_last_value(name: str) -> None:
    y = np.repeat(wave(30), 2)
    gaps = y.copy()
    gaps[1::2] = np.nan
    np.testing.assert_array_equal(predict(name, [gaps]), predict(name, [y]))
    leading = np.concatenate([[np.nan, np.inf], y])
    np.testing.assert_array_equal(predict(name, [leading]), predict(name, [np.concatenate([y[:1], y[:1], y])]))


@pytest.mark.parametrize("name", ["auto_ets", "auto_theta", "auto_ces", "mstl", "tsb"])
def test_a_row_is_the_same_in_any_batch(name: str) -> None:
    contexts = [wave(40 + n, n) for n in range(5)]
    together = predict(name, contexts)
    np.testing.assert_array_equal(together, np.concatenate([predict(name, [c]) for c in contexts]))
    np.testing.assert_array_equal(together, predict(name, contexts[::-1])[::-1])


def test_processes_change_nothing(pooled: StatsForecastModel) -> None:
    contexts: list[Any] = [*(wave(40 + n, n) for n in range(6)), [1.0, 2.0]]
    np.testing.assert_array_equal(pooled.predict(Batch.from_contexts(contexts, 9, season_length=7)).values, predict("auto_ets", contexts))
    assert pooled.notes["fallback"] == 1


def test_a_fallback_is_counted_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    ets = model("auto_ets")
    short: list[Any] = [wave(60), [5.0, 6.0], wave(50), [3.0]]
    forecast = ets.predict(Batch.from_contexts(short, 4, quantile_levels=[0.5]))
    assert ets.notes["fallback"] == 2
    assert str(ets.notes["fallback_reason"]).startswith("auto_ets: window 1 (2 steps): AutoETS raised NotImplementedError")
    assert "2 of 4 windows forecast by Naive instead" in caplog.text
    assert forecast.values[[1, 3], 0].tolist() == [[6.0] * 4, [3.0] * 4]
    assert forecast.fallback is not None and forecast.fallback.tolist() == [0, 1, 0, 1]
    ets.predict(Batch.from_contexts(short, 4))
    assert ets.notes["fallback"] == 4


def test_no_fallback_no_note() -> None:
    ets = model("auto_ets")
    ets.predict(Batch.from_contexts([wave(60)], 4))
    assert ets.notes == {}


def test_fallback_error_names_the_window() -> None:
    with pytest.raises(RuntimeError, match=r"auto_ets: window 1 \(2 steps\): AutoETS raised .*; 1 of 2 windows failed"):
        predict("auto_ets", [wave(60), [5.0, 6.0]], fallback="error")


@pytest.mark.parametrize("name", ["mstl", "holt_winters"])
def test_no_season_is_unsupported(name: str) -> None:
    with pytest.raises(Unsupported, match=rf"{name} needs a season; this task's season length is 1"):
        model(name).predict(Batch.from_contexts([wave(60)], 4, season_length=1))
    assert model(name, season_length=7).predict(Batch.from_contexts([wave(60)], 4, season_length=1)).values.shape == (1, 9, 4)


def test_max_context_keeps_the_newest_steps() -> None:
    y = wave(300)
    np.testing.assert_array_equal(predict("auto_theta", [y], max_context=50), predict("auto_theta", [y[-50:]]))
    assert model("auto_theta", max_context=10**9).max_context == ENTRIES["auto_theta"].max_context


def test_parameters_reach_the_library() -> None:
    out = models.AutoETS(season_length=7, model="ANN").forecast(y=wave(60), h=9)
    ours = model("auto_ets", model="ANN").predict(Batch.from_contexts([wave(60)], 9, season_length=7))
    assert ours.mean is not None
    np.testing.assert_allclose(ours.mean[0], out["mean"], rtol=1e-5)


def test_a_bad_parameter_says_what_was_wanted() -> None:
    with pytest.raises(TypeError, match=r"auto_ets got the parameter 'modle'; statsforecast's AutoETS takes .*model"):
        model("auto_ets", modle="ZZZ")
    with pytest.raises(ValueError, match=r"auto_ets: n_jobs got 0; wanted a whole number of at least 1"):
        model("auto_ets", n_jobs=0)
    with pytest.raises(ValueError, match=r"auto_ets: fallback got 'mean'; wanted one of naive, error"):
        model("auto_ets", fallback="mean")


def test_registering_does_not_import_the_library() -> None:
    code = "import sys, harness_statsforecast as h; h.register_models(lambda info, make: None); sys.exit('statsforecast' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_registration_is_complete() -> None:
    infos: dict[str, ModelInfo] = {}
    harness_statsforecast.register_models(lambda info, _: infos.update({info.name: info}))
    assert set(infos) == set(ENTRIES)
    for info in infos.values():
        assert info.license == "Apache-2.0" and info.max_context and info.summary and "statsforecast.2" in info.version


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="reads the process table from /proc")
def test_the_processes_end_when_the_parent_is_killed() -> None:
    code = """
        import sys, time, numpy as np
        from concurrent.futures import ProcessPoolExecutor
        from harness import Batch
        from harness_statsforecast import StatsForecastModel
        model = StatsForecastModel("croston", n_jobs=2)
        model.predict(Batch.from_contexts([np.arange(9.0)] * 8, 3))
        print(*model._pool._processes, flush=True)
        time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pids = parent.stdout.readline().split()
        parent.send_signal(signal.SIGKILL)
    assert pids
    deadline = time.monotonic() + 10
    while alive := [pid for pid in pids if running(pid)]:
        assert time.monotonic() < deadline, f"still running: {alive}"
        time.sleep(0.05)


def running(pid: str) -> bool:
    """Whether a process lives; one that ended and was not yet collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
