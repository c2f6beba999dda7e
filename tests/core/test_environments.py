"""Plugins in environments of their own: built from an index, run beside others that contradict them, brought up to date, examined."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support import Lab

from harness import workers
from harness.environments.core import MODULES, REQUIRES, make_wheel
from harness.environments.installers import clean_environment
from harness.environments.record import Elsewhere, Environment, info_of
from harness.environments.target import find_target
from harness.errors import UsageError
from harness.plugins import load

# The lowest versions that the worker's part says it takes, and today's: no environment can hold both.
OLD = {"numpy": "1.23.2", "pyarrow": "14.0.1", "pluggy": "1.5.0"}
NEW = {"numpy": "2.4.6"}
QUICK = {"PIP_COMPILE": "0"}
"""As a user may have it: compiling what it installs is a third of what pip does, and little of that is imported."""

SOURCE = '''
"""A model that says with which numpy it runs, and one that does not live long."""

import os
import signal

import numpy as np

from harness import Forecast, ModelInfo, Unsupported, hookimpl


class Shift:
    def __init__(self, by: float = 0.0) -> None:
        self.by, self.notes = by, {}

    def predict(self, batch):
        self.notes["numpy"] = np.__version__
        last = np.nan_to_num(batch.padded(1)[0])  # [N, 1]
        return Forecast.from_points(np.repeat(last + self.by, batch.horizon, axis=1))

    def finetune(self, train, budget, seed):
        self.by = float(np.nanmean(train.contexts.values))
        return self

    def save(self, folder):
        (folder / "by.json").write_text(str(self.by))


class Mortal(Shift):
    def predict(self, batch):
        if batch.freq.startswith("W"):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().predict(batch)


@hookimpl
def register_models(register):
    common = {"license": "Apache-2.0", "output": "points"}
    register(ModelInfo("shift-NAME", summary="the last value", modes=("zero-shot", "finetune"), **common), Shift)
    register(ModelInfo("mortal-NAME", summary="killed by weekly series", **common), Mortal)
'''


def write_plugin(folder: Path, name: str, pins: dict[str, str], source: str = SOURCE) -> Path:
    """A plugin's folder with these pins."""
    folder.mkdir(parents=True)
    wanted = ", ".join(f'"{package}=={version}"' for package, version in pins.items())
    (folder / "pyproject.toml").write_text(f"""
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "harness-{name}"
version = "0.3.0"
dependencies = ["ts-harness", {wanted}]
[project.entry-points.harness]
{name} = "harness_{name}"
""")
    (folder / f"harness_{name}.py").write_text(source.replace("NAME", name))
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with the plugins "old" and "new", and the cache with their environments."""
    folder = tmp_path_factory.mktemp("environments")
    probe = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder / "probe"), "pluggy==1.5.0"]
    if subprocess.run(probe, capture_output=True, check=False, timeout=120, env=clean_environment()).returncode:
        pytest.skip("no package index can be reached, so no environment can be built")
    write_plugin(folder / "old", "old", OLD)
    write_plugin(folder / "new", "new", NEW)
    lab = Lab(_made(folder / "lab"))
    lab.env |= {"HARNESS_CACHE": str(folder / "cache"), **QUICK}
    done = lab.run("env", "build", str(folder / "old"), str(folder / "new"), "--with", "pip", timeout=400)
    done.expect(0, "built: shift-old, mortal-old run there", "built: shift-new, mortal-new run there")
    plain = {name: value for name, value in clean_environment().items() if name != "PYTHONDONTWRITEBYTECODE"}
    for python in (folder / "cache" / "environments").glob("*/*/bin/python"):  # compile what the workers there will import
        subprocess.run([python, "-P", "-c", "import numpy, pluggy, pyarrow.compute, pyarrow.ipc"], check=True, cwd=folder, env=plain)
    yield folder


@pytest.fixture
def home(built: Path, lab: Lab) -> Lab:
    """A folder to run in, with the cache that holds the environments."""
    lab.env |= {"HARNESS_CACHE": str(built / "cache"), **QUICK}
    return lab


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def test_plugins_that_contradict_each_other_run_in_one_command(home: Lab) -> None:
    cells = home.models("shift-old,shift-new[by=0.0],naive", tasks="us_births/M/short").expect(0).cells()
    assert [c["status"] for c in cells.values()] == ["ok"] * 3
    told = ", ".join(f"json_extract_string(receipt, '$.{path}')" for path in ("notes.numpy", "versions.numpy", "environment.key"))
    found = {row[0]: row[1:] for row in home.query(f"SELECT model_name, isolation, {told} FROM cells")}
    assert found["shift-old"][:3] == ("env", OLD["numpy"], OLD["numpy"])
    assert found["shift-new"][:3] == ("env", NEW["numpy"], NEW["numpy"])
    assert found["naive"][0] == "process"
    assert found["naive"][3] is None
    assert found["shift-old"][3] != found["shift-new"][3]
    old, new, naive = (cells[m, "us_births/M/short"]["scores"]["MASE[0.5]"] for m in ("shift-old", "shift-new[by=0.0]", "naive"))
    assert old == new == naive


def test_the_same_command_takes_what_is_there(home: Lab) -> None:
    home.models("shift-old", tasks="us_births/M/short").expect(0)
    again = home.run("run", "-m", "shift-old", "-t", "us_births/M/short").expect(0, "reused 1")
    assert "to run 0" in again.err


def test_a_worker_that_is_killed_there_costs_its_cell(home: Lab) -> None:
    cells = home.models("mortal-old,shift-old", tasks="us_births/*/short").expect(3).cells()
    failed = {key for key, cell in cells.items() if cell["status"] != "ok"}
    assert failed == {("mortal-old", "us_births/W/short")}
    assert "SIGKILL" in cells["mortal-old", "us_births/W/short"]["reason"]


def test_it_learns_and_saves_there(home: Lab) -> None:
    home.run("run", "-m", "shift-old", "--mode", "finetune", "--save-models", "-t", "us_births/M/short", "--json").expect(0)
    ((path, numpy),) = home.query("SELECT path, json_extract_string(environment, '$.versions.numpy') FROM trained")
    assert numpy == OLD["numpy"]
    folder = Path(path) if Path(path).is_absolute() else home.folder / path
    assert float((folder / "by.json").read_text()) > 0


def test_what_is_said_of_it(home: Lab) -> None:
    models = {m["name"]: m for m in home.run("ls", "models", "--json").expect(0).json()}
    assert models["shift-old"]["plugin"] == "harness-old"
    assert models["shift-old"]["version"] == "0.3.0"
    home.run("show", "shift-old").expect(0, "by=0.0", "environment one of its own, ")
    home.models("shift-old[bye=1]").expect(2, "has no parameter 'bye'", "Did you mean 'by'?")
    home.models("shift-old", "--isolation", "process").expect(2, "is only in an environment of its own", "--isolation auto")
    home.models("shift-old", "--isolation", "inprocess").expect(2, "is only in an environment of its own")
    home.models("naive", "--isolation", "env").expect(2, "there is no environment", "harness env build harness-baselines")
    rows = {row["plugin"]: row for row in home.run("env", "list", "--json").expect(0).json()}
    assert set(rows) == {"harness-old", "harness-new"}
    assert rows["harness-old"]["models"] == ["shift-old", "mortal-old"]
    assert rows["harness-old"]["size"] > 1e6
    home.run("env", "check").expect(0, "ok", "harness-old", "harness-new")


def test_an_edit_of_the_plugin_counts_at_once(home: Lab, built: Path) -> None:
    home.models("shift-new", tasks="us_births/M/short").expect(0)
    file = built / "new" / "harness_new.py"
    before = file.read_text()
    try:
        file.write_text(before.replace("by: float = 0.0", "by: float = 0.0, more: float = 0.0").replace("last + self.by", "last * 2"))
        assert [cell["stale"] for cell in home.run("ls", "cells", "--json").expect(0).json()] == ["source"]
        done = home.run("run", "-m", "shift-new[more=1.0],shift-new", "-t", "us_births/M/short", "--json").expect(0)
        assert {c["cached"] for c in done.json()["cells"]} == {False}
    finally:
        file.write_text(before)
    home.models("shift-new[more=1.0]").expect(2, "has no parameter 'more'")


def test_a_result_of_an_environment_holds_as_long_as_that_would_make_it(home: Lab, built: Path) -> None:
    """The plugin is usable here too, and what wraps calls here takes no part there."""
    home.plugin("wrapper", "@hookimpl(wrapper=True)\ndef predict(model, batch):\n    return (yield)\n")
    home.plugin("harness_new", (built / "new" / "harness_new.py").read_text(), header="")
    info = (home.site / "harness_new-1.0.dist-info").rename(home.site / "harness_new-0.3.0.dist-info")
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: harness-new\nVersion: 0.3.0\n")
    (info / "entry_points.txt").write_text("[harness]\nnew = harness_new\n")
    home.models("shift-new", "--isolation", "env").expect(0)
    assert home.query("SELECT isolation FROM cells") == [("env",)]
    assert [cell["stale"] for cell in home.run("ls", "cells", "--json").expect(0).json()] == [""]
    again = home.models("shift-new").expect(0).json()["cells"]
    assert [cell["cached"] for cell in again] == [False]  # here it is another result: the wrapper takes part
    assert {cell["stale"] for cell in home.run("ls", "cells", "--json").expect(0).json()} - {""} == {f"superseded by {again[0]['id']}"}


def test_an_environment_holds_no_data_and_no_scoring(built: Path) -> None:
    (python,) = (built / "cache" / "environments" / "harness-old").glob("*/bin/python")
    program = """
import importlib, json, sys
found = []
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        continue
    found.append(name)
print(json.dumps(found))
"""
    absent = ["harness_tasks", "harness_results", "harness_leaderboard", "duckdb", "pandas", "harness.scoring", "harness.metrics"]
    absent += ["harness.execute", "harness.plan", "harness.runner", "harness.store", "harness.sentinels", "harness.api"]
    present = [
        f"harness.{name.removesuffix('.py').replace('/', '.')}".removesuffix(".__init__") for name in MODULES if name.endswith(".py")
    ]
    done = subprocess.run([python, "-P", "-c", program, *absent, *present], capture_output=True, text=True, check=True, cwd=built)
    assert json.loads(done.stdout) == present


def test_building_twice_takes_the_same_and_a_killed_build_leaves_nothing(home: Lab, built: Path) -> None:
    family = built / "cache" / "environments" / "harness-old"
    before = sorted(p.name for p in family.iterdir() if p.is_dir())
    start = time.monotonic()
    process = home.start("env", "build", str(built / "old"), "--with", "pip")
    while not list(family.glob("*.tmp/*")):
        assert process.poll() is None and time.monotonic() - start < 60
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert list(family.glob("*.tmp"))
    home.run("env", "build", "old", "--with", "pip").expect(0, "has these versions already")
    assert sorted(p.name for p in family.iterdir() if p.is_dir()) == before


def test_what_cannot_be_built_says_why_and_leaves_nothing(home: Lab, built: Path, tmp_path: Path) -> None:
    impossible = write_plugin(tmp_path / "impossible", "impossible", {"numpy": "1.26.4", "pyarrow": "0.1"})
    home.run("env", "build", str(impossible), "--with", "pip").expect(
        3, "finding versions that fit together failed", "pyarrow", "build.log"
    )
    silent = write_plugin(tmp_path / "silent", "silent", OLD, source="import nothing_of_this_name\n")
    done = home.run("env", "build", str(silent), str(impossible), "--with", "pip", timeout=200)
    done.expect(3, "no model is registered there", "nothing_of_this_name", "pyarrow")
    folders = [p for name in ("impossible", "silent") for p in (built / "cache/environments" / f"harness-{name}").iterdir() if p.is_dir()]
    assert folders == []
    assert "harness-silent" not in home.run("env", "list").expect(0).out


def test_check_sees_what_was_damaged_and_rm_removes(home: Lab, built: Path, tmp_path: Path) -> None:
    """In a copy whose files are links: what is taken away there stays where it was built."""
    cache = tmp_path / "own-cache"
    shutil.copytree(built / "cache", cache, symlinks=True, copy_function=_linked, ignore=shutil.ignore_patterns("harness-new", ".lock"))
    home.env["HARNESS_CACHE"] = str(cache)
    home.run("env", "check", "old").expect(0, "ok", "harness-old")
    (site,) = cache.glob("environments/harness-old/*/lib/*/site-packages")
    (info,) = site.glob("pluggy-*.dist-info")
    info.rename(site / "moved")
    home.run("env", "check", "old").expect(4, "pluggy is not there", "build it anew: harness env build")
    file = built / "old" / "harness_old.py"
    before = file.read_text()
    try:
        file.write_text("raise RuntimeError('not today')\n")
        home.run("env", "check", "harness_old").expect(4, "not today")
    finally:
        file.write_text(before)
    home.run("env", "rm", "none").expect(5, "there is no environment of 'none'")
    home.run("env", "rm", "shift-old").expect(0, "removed")
    home.run("env", "list").expect(0, "there is no environment yet")
    assert len(list((built / "cache/environments/harness-old").glob("*/lib/*/site-packages/pluggy-*.dist-info/METADATA"))) == 1


def _linked(source: str, target: str) -> None:
    shutil.copy2(source, target, follow_symlinks=False) if Path(source).is_symlink() else os.link(source, target)


def test_the_worker_is_this_harnesss_whatever_the_environment_was_built_with(home: Lab, built: Path) -> None:
    (site,) = (built / "cache/environments/harness-old").glob("*/lib/*/site-packages")
    worker = site / "harness" / "worker.py"
    before = worker.read_text()
    worker.write_text("raise SystemExit('an older worker')\n")
    try:
        home.models("shift-old", tasks="us_births/M/short").expect(0)
    finally:
        worker.write_text(before)


def test_another_version_of_the_plugin_is_another_environment(home: Lab, tmp_path: Path) -> None:
    """A requirement that stays the same text is resolved anew each time; what it leads to is part of the lock."""
    home.env |= {"HARNESS_CACHE": str(tmp_path / "own-cache"), "PIP_FIND_LINKS": str(tmp_path / "wheels")}
    own = write_plugin(tmp_path / "own", "own", {"pluggy": "1.5.0"})
    wheel = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(tmp_path / "wheels"), str(own)]
    for version in ("0.3.0", "0.4.0"):
        file = own / "pyproject.toml"
        file.write_text(file.read_text().replace("0.3.0", version))
        subprocess.run(wheel, check=True)
        home.run("env", "build", "harness-own>=0.1", "--with", "pip", timeout=200).expect(0, "installing")
    rows = home.run("env", "list", "--json").expect(0).json()
    assert [(row["version"], row["state"]) for row in rows] == [("0.4.0", "used"), ("0.3.0", "older")]
    home.run("env", "rm", "--old", "all").expect(0, "removed")
    assert len(home.run("env", "list", "--json").json()) == 1


def test_a_plugin_that_hangs_there_stops_only_its_own_runs(home: Lab, built: Path) -> None:
    file = built / "new" / "harness_new.py"
    before = file.read_text()
    try:
        file.write_text("import time\ntime.sleep(1000)\n")
        home.run("run", "-m", "naive", "-t", "us_births/M/short", timeout=60).expect(0)
    finally:
        file.write_text(before)


def test_broken_records_are_no_environments_and_can_be_removed(lab: Lab) -> None:
    family = lab.folder / "cache" / "environments" / "harness-x"
    for name, text in {"a": "", "b": "[]", "c": "{}", "d": '{"format": 2, "description": {"models": [{}]}}', "e": "\0"}.items():
        (family / name / "bin").mkdir(parents=True)
        (family / name / "bin" / "python").write_text("")
        (family / name / "environment.json").write_text(text)
    (family / "f").write_text("a file")
    rows = lab.run("env", "list", "--json").expect(0).json()
    assert [(row["plugin"], row["key"], row["state"]) for row in rows] == [("harness-x", key, "damaged") for key in "abcde"]
    lab.run("ls", "models").expect(0, "seasonal_naive")
    lab.run("env", "check").expect(4, "bad", "harness-x", "to remove it: harness env rm a")
    lab.run("env", "rm", "a").expect(0, "removed")
    lab.run("env", "rm", "harness_x").expect(0, "removed")
    assert sorted(path.name for path in family.iterdir()) == [".lock", "f"]
    lab.run("env", "list").expect(0, "there is no environment yet")


@pytest.mark.parametrize(
    ("typed", "texts"),
    [
        ("./nowhere", ["there is no ", "/nowhere/pyproject.toml; wanted the folder of a plugin"]),
        ("naiv", ["no plugin or model 'naiv' here", "Did you mean 'naive'?"]),
        ("a b", ["wanted a folder with a slash, as in ./FOLDER, a name, or a requirement"]),
        ("", ["wanted a folder with a slash, as in ./FOLDER, a name, or a requirement"]),
    ],
)
def test_targets_that_are_none(typed: str, texts: list[str]) -> None:
    with pytest.raises(UsageError) as error:
        find_target(load(), typed)
    assert all(text in str(error.value) for text in texts), error.value


def test_targets(tmp_path: Path) -> None:
    folder = write_plugin(tmp_path / "mine", "mine", {})
    found = find_target(load(), f"{folder}[x,y]")
    assert (found.distribution, found.folder, found.extras) == ("harness-mine", folder, "[x,y]")
    assert found.resolve.startswith("harness-mine[x,y] @ file://")
    assert find_target(load(), "harness-x>=1,<2").requirement == "harness-x>=1,<2"
    for name in ("seasonal_naive", "baselines", "harness_baselines"):
        assert find_target(load(), name).distribution == "harness-baselines"
    for name, text in {"no.toml": "x", "none": "[project]\n", "entry": '[project]\nname = "a"\n'}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / ("pyproject.toml" if name != "no.toml" else "other")).write_text(text)
        with pytest.raises(UsageError, match=r"pyproject.toml"):
            find_target(load(), str(tmp_path / name))


def test_the_wheel_holds_the_workers_part(tmp_path: Path) -> None:
    first, again = make_wheel(tmp_path), make_wheel(_made(tmp_path / "other"))
    assert first.read_bytes() == again.read_bytes()
    with zipfile.ZipFile(first) as archive:
        names = archive.namelist()
        metadata = archive.read(next(n for n in names if n.endswith("METADATA"))).decode()
    assert {f"harness/{name}" for name in MODULES} < set(names)
    assert all(f"Requires-Dist: {line}" in metadata for line in REQUIRES)
    assert "entry_points.txt" not in " ".join(names)


def test_a_model_elsewhere_tells_its_parameters() -> None:
    told: dict[str, Any] = {
        "info": {"name": "x", "modes": ["full"], "of_a_later_version": 1},
        "takes": [{"name": "size", "kind": "named", "optional": True, "default": "'small'"}, {"name": "more", "kind": "any"}],
    }
    assert info_of(told).modes == ("full",)
    factory = Elsewhere(told, None)  # type: ignore[arg-type]
    assert str(factory.__signature__) == "(*, size='small', **more)"


def test_uv_builds_one_too(home: Lab, tmp_path: Path) -> None:
    # The newest pyarrow asks for numpy 2 when it is imported, and does not say so: one that does not is to be found.
    own = write_plugin(tmp_path / "own", "own", {"numpy": "1.26.4"})
    home.env["HARNESS_CACHE"] = str(tmp_path / "own-cache")
    home.run("env", "build", str(own), "--with", "uv", timeout=200).expect(0, "with uv", "shift-own")
    home.run("env", "check", "--with", "uv").expect(0, "ok")
    assert home.models("shift-own").expect(0).cells()["shift-own", "us_births/M/short"]["status"] == "ok"


def test_a_name_stays_with_the_plugin_that_has_it_and_the_other_is_told(home: Lab, built: Path) -> None:
    (record,) = (built / "cache/environments/harness-old").glob("*/environment.json")
    facts = json.loads(record.read_text())
    clashing = json.loads(record.read_text())
    clashing["description"]["models"][0]["info"]["name"] = "naive"
    record.write_text(json.dumps(clashing))
    try:
        done = home.run("run", "-m", "naive", "-t", "us_births/M/short").expect(
            0, "harness-old has a model 'naive', which harness-baselines has"
        )
        assert "harness env rm harness-old" in done.err
        assert home.query("SELECT isolation, plugin FROM cells") == [("process", "harness-baselines")]
    finally:
        record.write_text(json.dumps(facts))


def test_a_worker_there_has_the_threads_of_the_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not those that the user's shell names for other programs; and nothing that leads it back here."""
    started: dict[str, Any] = {}

    def popen(command: list[str], **options: Any) -> None:
        started.clear()
        started.update(options["env"], command=command)
        raise OSError("seen enough")

    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setenv("PYTHONHOME", "/elsewhere")
    monkeypatch.setattr(workers.subprocess, "Popen", popen)
    for environment, python in ((None, sys.executable), (Environment(tmp_path, {}), str(tmp_path / "bin" / "python"))):
        with pytest.raises(OSError, match="seen enough"):
            workers.ChildWorker(2, environment)
        assert (started["OMP_NUM_THREADS"], started["command"][0]) == ("2", python)
        assert ("PYTHONHOME" in started) is (environment is None)
