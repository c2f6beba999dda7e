"""All plugins of this repository in one environment: each is there and runs on the embedded suite, with tiny weights of its own kind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import Lab

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml"))

WEIGHTS = """
import sys
from pathlib import Path
folder = Path(sys.argv[1])
import tiny_chronos, tiny_lag_llama, tiny_tabpfn, tiny_timesfm
from harness_lag_llama.weights import save
from harness_tabpfn_ts.releases import RELEASES
tiny_chronos.t5_folder(folder / "t5")
tiny_chronos.bolt_folder(folder / "bolt")
tiny_chronos.second_folder(folder / "second")
tiny_timesfm.write_25(folder / "timesfm25")
tiny_timesfm.write_3(folder / "timesfm3")
(folder / "lag_llama").mkdir()
save(tiny_lag_llama.made(), folder / "lag_llama")
for release in RELEASES:
    tiny_tabpfn.checkpoint(release.architecture, folder / release.file)
"""

ZERO_SHOT = [
    "naive", "seasonal_naive", "holt", "ttm", "timesfm-2.5[weights={timesfm25}]", "timesfm-3[weights={timesfm3}]",
    "chronos-t5-tiny[weights={t5},num_samples=2]", "chronos-bolt-tiny[weights={bolt}]", "chronos-2[weights={second}]",
    "chronos-2-multivariate[weights={second}]", "chronos[weights={bolt}]", "lag-llama[weights={lag_llama},num_samples=4]",
    "tabpfn-ts-v2[weights={v2},n_estimators=1,context=60]", "tabpfn-ts-v3.5[weights={v35},n_estimators=1,context=60]",
]  # fmt: skip

# Tasks that ask for values: many series, several variates, a long horizon, zeros, gaps with a context that is cut.
VALUES = "hospital/M/short,bizitobs_l2c/H/short,bizitobs_l2c/H/long,car_parts/M/short,us_births/D/short,hall-sample/*"


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Tiny weights, by the libraries' own classes; made in another process, since that imports all of them."""
    for library in ("torch", "chronos", "timesfm", "tabpfn", "gluonts"):
        pytest.importorskip(library, reason=f"{library} is not installed; make install has every plugin")
    folder = tmp_path_factory.mktemp("weights")
    folders = [str(ROOT / "plugins" / name) for name in ("chronos", "lag_llama", "tabpfn_ts", "timesfm")]
    program = f"import sys; sys.path[:0] = {folders!r}\n{WEIGHTS}"
    done = subprocess.run([sys.executable, "-c", program, str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    named = {name: str(folder / name) for name in ("t5", "bolt", "second", "timesfm25", "timesfm3", "lag_llama")}
    (v2,), (v35,) = folder.glob("*v2*"), folder.glob("*v3.5*")
    return {**named, "v2": str(v2), "v35": str(v35)}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    yield Lab(tmp_path_factory.mktemp("all"))


def test_every_plugin_is_there(home: Lab) -> None:
    rows = {row["name"]: row for row in home.run("ls", "plugins", "--json").expect(0).json()}
    assert [name for name in PLUGINS if rows.get(name, {}).get("state") != "ok"] == []
    assert len(PLUGINS) >= 10


def test_every_library_runs_on_the_embedded_suite(home: Lab, weights: dict[str, str]) -> None:
    models = ",".join(ZERO_SHOT).format(**weights)
    part = ["-s", "quick", "-t", VALUES, "--limit", "1", "--threads", "1", "--save-forecasts"]
    done = home.run("run", "-m", models, *part, "--json", timeout=900).expect(0)
    states = {(c["model"].partition("[")[0], c["task"]): c["status"] for c in done.json()["cells"]}
    assert set(states.values()) == {"ok"}
    assert len(states) == 6 * len(ZERO_SHOT)


def test_probabilities_from_quantiles_and_samples_of_libraries(home: Lab, weights: dict[str, str]) -> None:
    """Each day of the price task is a window, so the fast ones only: one that gives quantiles, one that gives samples, one natively."""
    fast = ("chronos-bolt", "lag-llama", "ttm")
    models = ",".join(model for model in ZERO_SHOT if model.startswith(fast)).format(**weights)
    done = home.run("run", "-m", models, "-s", "quick", "-t", "spy-sample/touch/*", "--threads", "1", "--json", timeout=900).expect(0)
    assert [c["status"] for c in done.json()["cells"]] == ["ok"] * len(fast)


def test_those_that_are_trained_on_each_task(home: Lab) -> None:
    models = "patchtst,deepar,tft,dlinear,gluonts:gluonts.torch.SimpleFeedForwardEstimator"
    part = ["-t", "us_births/W/short,hospital/M/short", "--limit", "1", "--threads", "1"]
    trained = home.run("run", "-m", models, "--mode", "full", "--budget", "2steps", *part, "--json", timeout=900)
    assert {c["status"] for c in trained.expect(0).json()["cells"]} == {"ok"}


def test_an_ensemble_of_them_and_the_board(home: Lab, weights: dict[str, str]) -> None:
    of = "+".join(model.format(**weights) for model in ZERO_SHOT if model.startswith(("ttm", "chronos-2[", "timesfm-2.5", "naive")))
    done = home.run("run", "-m", f"ensemble[of={of}]", "-s", "quick", "-t", VALUES, "--limit", "1", "--json").expect(0)
    assert {c["status"] for c in done.json()["cells"]} == {"ok"}
    board = home.run("leaderboard", "-s", "quick", "--limit", "1", "--format", "csv").expect(0).out
    assert all(name in board for name in ("chronos-bolt-tiny", "timesfm-3", "lag-llama", "tabpfn-ts-v2", "ensemble"))
