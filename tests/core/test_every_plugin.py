"""All plugins of this repository in one environment: each is there and runs on the embedded suite, with tiny weights of its own kind."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest
from support import Lab

ROOT = Path(__file__).parents[2]
PLUGINS = sorted(path.parent.name for path in (ROOT / "plugins").glob("*/pyproject.toml"))

RUN = """
import json, sys
from pathlib import Path
folder, commands = Path(sys.argv[1]), json.loads(sys.argv[2])
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
from harness.cli import main
for words in commands:
    try:
        main(words)
    except SystemExit as end:
        if end.code:
            raise
"""
"""Makes tiny weights, by the libraries' own classes, and runs commands on them: to import all these libraries takes half a minute."""

# T5 takes one window at a time by default, which takes minutes here; that way is tested beside it.
ZERO_SHOT = [
    "naive", "seasonal_naive", "holt", "ttm", "timesfm-2.5[weights={timesfm25}]", "timesfm-3[weights={timesfm3}]",
    "chronos-t5-tiny[weights={t5},num_samples=2,rows=32]", "chronos-bolt-tiny[weights={bolt}]", "chronos-2[weights={second}]",
    "chronos-2-multivariate[weights={second}]", "chronos[weights={bolt}]", "lag-llama[weights={lag_llama},num_samples=4]",
    "tabpfn-ts-v2[weights={v2},n_estimators=1,context=60]", "tabpfn-ts-v3.5[weights={v35},n_estimators=1,context=60]",
]  # fmt: skip

# Tasks that ask for values: many series, several variates, zeros, gaps with a context that is cut; and a long horizon.
VALUES = "hospital/M/short,bizitobs_l2c/H/short,car_parts/M/short,us_births/D/short,hall-sample/*"
LONG = "bizitobs_l2c/H/long"
STEPWISE = ("chronos-t5", "lag-llama")
"""Not asked for the long horizon: they draw its steps one after the other, as those of a short one, and take a minute for that."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("all"))


@pytest.fixture(scope="module")
def weights(home: Lab) -> dict[str, str]:
    """Where the tiny weights are; all libraries have run on them in one process."""
    for library in ("torch", "chronos", "timesfm", "tabpfn", "gluonts"):
        if importlib.util.find_spec(library) is None:  # found, not imported: that takes ten seconds, and happens where they are used
            pytest.skip(f"{library} is not installed; make install has every plugin")
    folder = home.folder / "weights"
    folder.mkdir()
    releases = importlib.import_module("harness_tabpfn_ts.releases").RELEASES
    (v2,), (v35,) = ([release.file for release in releases if version in release.file] for version in ("v2", "v3.5"))
    named = {name: str(folder / name) for name in ("t5", "bolt", "second", "timesfm25", "timesfm3", "lag_llama")}
    named |= {"v2": str(folder / v2), "v35": str(folder / v35)}
    part = ["-s", "quick", "--limit", "1", "--threads", "1", "--save-forecasts", "--isolation", "inprocess", "--progress", "none"]
    far = [model for model in ZERO_SHOT if not model.startswith(STEPWISE)]
    asked = ((ZERO_SHOT, VALUES), (far, LONG))
    commands = [["run", "-m", ",".join(models).format(**named), "-t", tasks, *part] for models, tasks in asked]
    paths = [str(ROOT / "plugins" / name) for name in ("chronos", "lag_llama", "tabpfn_ts", "timesfm")]
    program = [sys.executable, "-P", "-c", f"import sys; sys.path[:0] = {paths!r}\n{RUN}", str(folder), json.dumps(commands)]
    done = subprocess.run(program, cwd=home.folder, env=home.env, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stderr
    return named


def test_every_plugin_is_there(home: Lab) -> None:
    rows = {row["name"]: row for row in home.run("ls", "plugins", "--json").expect(0).json()}
    assert [name for name in PLUGINS if rows.get(name, {}).get("state") != "ok"] == []
    assert len(PLUGINS) >= 10


def test_every_library_runs_on_the_embedded_suite(home: Lab, weights: dict[str, str]) -> None:
    """In one process, beside each other; each in a worker of its own is what the tests below have of some."""
    found = home.query("SELECT split_part(model, '[', 1), task, status FROM cells WHERE isolation = 'inprocess'")
    assert {status for _, _, status in found} == {"ok"}
    assert len({(model, task) for model, task, _ in found}) == len(found) == 6 * len(ZERO_SHOT) - len(STEPWISE)


def test_probabilities_from_quantiles_and_samples_of_libraries(home: Lab, weights: dict[str, str]) -> None:
    """Each day of the price task is a window, so the fast ones only: one that gives quantiles, one that gives samples, one natively."""
    fast = ("chronos-bolt", "lag-llama", "ttm")
    models = ",".join(model for model in ZERO_SHOT if model.startswith(fast)).format(**weights)
    done = home.run("run", "-m", models, "-s", "quick", "-t", "spy-sample/touch/*", "--threads", "1", "--json", timeout=900).expect(0)
    assert [c["status"] for c in done.json()["cells"]] == ["ok"] * len(fast)


def test_an_ensemble_of_them_and_the_board(home: Lab, weights: dict[str, str]) -> None:
    of = "+".join(model.format(**weights) for model in ZERO_SHOT if model.startswith(("ttm", "chronos-2[", "timesfm-2.5", "naive")))
    done = home.run("run", "-m", f"ensemble[of={of}]", "-s", "quick", "-t", f"{VALUES},{LONG}", "--limit", "1", "--json").expect(0)
    assert {c["status"] for c in done.json()["cells"]} == {"ok"}
    board = home.run("leaderboard", "-s", "quick", "--limit", "1", "--format", "csv").expect(0).out
    assert all(name in board for name in ("chronos-bolt-tiny", "timesfm-3", "lag-llama", "tabpfn-ts-v2", "ensemble"))
