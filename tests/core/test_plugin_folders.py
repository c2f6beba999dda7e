"""Folders of plugins as they are typed, environments without an index, and what a plugin does while it is imported."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support import GOOD, HEADER, Lab

from harness.conformance.folder import read_folder
from harness.environments import tether
from harness.environments.build import build
from harness.environments.installers import Uv
from harness.environments.target import Target, find_target
from harness.errors import UsageError
from harness.mappings import read_object
from harness.plugins import SIMPLEST, Plugins, load
from harness.project import named_folder

NOISY = f"import ctypes, os, subprocess\nos.write(1, b'one')\nctypes.CDLL(None).puts(b'two')\nsubprocess.run(['echo', 'three'])\n{GOOD}"
"""A plugin that writes to the process's own standard output while it is imported, past Python's."""


def plugin(folder: Path, name: str, source: str = HEADER + GOOD) -> Path:
    """A plugin's folder with a module of this name."""
    folder.mkdir(parents=True)
    (folder / f"{name}.py").write_text(source)
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "1"\n[project.entry-points.harness]\n{name} = "{name}"\n'
    )
    return folder


def fake_uv(lab: Lab, script: str) -> None:
    """A `uv` that comes before any other."""
    file = lab.folder / "bin" / "uv"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    lab.env["PATH"] = f"{file.parent}{os.pathsep}{os.environ['PATH']}"


def lives(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked after does not."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return done.stdout.strip()[:1] not in ("", "Z", "X")


# What an environment is built with.


def test_a_build_that_is_killed_takes_its_installer_along(lab: Lab) -> None:
    plugin(lab.folder / "own", "own")
    pids = lab.folder / "pids"
    fake_uv(lab, f"sleep 600 &\necho $$ $! > '{pids}.new'\nmv '{pids}.new' '{pids}'\nwait")
    process = lab.start("env", "build", "./own", "--with", "uv")
    start = time.monotonic()
    while not pids.exists():
        assert process.poll() is None and time.monotonic() - start < 60
        time.sleep(0.02)
    installer, its_child = map(int, pids.read_text().split())
    process.kill()
    process.communicate()
    fake_uv(lab, "echo no wheel today\nexit 7")
    # The lock of the first build is held until all that it started has gone: the second cannot come to its end before.
    lab.run("env", "build", "./own", "--with", "uv").expect(3, "making a virtual environment failed", "no wheel today")
    assert not lives(installer)
    assert not lives(its_child)
    family = lab.folder / "cache" / "environments" / "own"
    assert sorted(path.name for path in family.iterdir()) == [".lock", "build.log"]


def test_a_tethered_command_is_run_to_its_end_or_to_its_limit() -> None:
    script = "import sys; print('out', sys.stdin.read()); print('err', file=sys.stderr); sys.exit(3)"
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    assert tether.run([sys.executable, "-c", script], **pipes) == (3, "out \n", "err\n")
    code, _, _ = tether.run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    assert code == 128 + signal.SIGKILL
    assert tether.run(["/nowhere/uv"], **pipes) == (127, "", "/nowhere/uv cannot be started: No such file or directory\n")
    with pytest.raises(subprocess.TimeoutExpired):
        tether.run(["sleep", "600"], timeout=0.1)


# Names and folders.


@pytest.mark.parametrize(
    ("typed", "folder"),
    [
        ("./a", ("a", "")),
        ("a/b", ("a/b", "")),
        (".", (".", "")),
        ("..[x]", ("..", "[x]")),
        ("./a[x, y]", ("a", "[x, y]")),
        ("./there[1]", ("there[1]", "")),
        ("./li\nne[x]", ("li\nne", "[x]")),
        ("a", None),
        ("there[1]", None),
        ("ttm-r2[weights=a/b]", None),
        ("a @ file:///a/b", None),
        ("a[x] @ file:///a/b", None),
        ("a==1.0", None),
        ("", None),
    ],
)
def test_what_is_a_folder(typed: str, folder: tuple[str, str] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "there[1]").mkdir()
    monkeypatch.chdir(tmp_path)
    found = named_folder(typed)
    assert (found and (str(found[0]), found[1])) == folder


def test_the_home_of_nobody() -> None:
    with pytest.raises(UsageError, match=r"got the folder ~nobody-of-this-name/x: .*; write out where it is"):
        named_folder("~nobody-of-this-name/x")


def test_a_bare_word_is_a_name_for_every_command(lab: Lab) -> None:
    plugin(lab.folder / "own", "own")
    built(lab, "own", lab.folder / "own", "0123")
    said = {
        ("plugin", "test", "own"): (2, "A folder is written with a slash: ./own"),
        ("plugin", "test", "./own[x]"): (2, "extras such as [x] say what to install, and nothing is installed here"),
        ("env", "build", "more"): (2, "There is a folder of that name; for that: harness env build ./more."),
        ("env", "check", "./more"): (5, "there is no environment of './more'"),
        ("env", "rm", "./own[x]"): (5, "there is no environment of './own[x]'"),
        ("env", "check", "./own"): (4, "own 0123"),
        ("env", "check", "../" + lab.folder.name + "/own"): (4, "own 0123"),
        ("env", "rm", str(lab.folder / "own")): (0, "removed"),
        ("env", "rm", "own"): (5, "there is no environment of 'own'"),
    }
    (lab.folder / "more").mkdir()
    for answer, (code, text) in zip(lab.many([list(arguments) for arguments in said]), said.values(), strict=True):
        answer.expect(code, text)


def built(lab: Lab, name: str, folder: Path, key: str) -> None:
    """The record of an environment that was built from a folder, with another Python in it that has nothing."""
    place = lab.folder / "cache" / "environments" / name / key
    (place / "bin").mkdir(parents=True)
    (place / "bin" / "python").symlink_to(sys.executable)
    described = {"models": [], "failures": [], "wrappers": {}, "sources": {}, "files": {}, "versions": {}, "python": "3"}
    facts = {"format": 2, "distribution": name, "requirement": str(folder), "folder": str(folder), "built_at": "", "description": described}
    (place / "environment.json").write_text(json.dumps(facts))


def test_damaged_environments_have_the_names_of_their_folders_too(lab: Lab) -> None:
    plugin(lab.folder / "somewhere", "own")
    (lab.folder / "cache" / "environments" / "own" / "half").mkdir(parents=True)
    checked, removed = lab.many([["env", "check", "./somewhere"], ["env", "rm", "./somewhere"]])
    checked.expect(4, "bad own half")
    removed.expect(0, "removed")


def test_odd_letters_in_the_path_of_a_folder(lab: Lab) -> None:
    path = plugin(lab.folder / "a 'b' \"c\" #d %20 é $HOME [x]\ny", "odd")
    done = lab.run("plugin", "test", f"./{path.name}", "-c", "levels,light_import", "--json").expect(0)
    assert [check["state"] for check in done.json()["models"][0]["checks"]] == ["ok"] * 3


def test_letters_that_cannot_stand_in_the_path_of_a_folder(tmp_path: Path) -> None:
    for name in ("li\nne", "car\rriage", os.fsdecode(b"by\xffte")):
        with pytest.raises(UsageError, match=r"got the folder .*; wanted a path of one line in UTF-8, for pip and uv: rename or move it"):
            find_target(load(), str(plugin(tmp_path / name, "odd")))
    with pytest.raises(UsageError, match=r"co:lon has ':' in its name, at which Python's search path is cut; rename or move the folder"):
        read_folder(plugin(tmp_path / "co:lon", "odd"))
    sharp = plugin(tmp_path / "c#", "odd")
    with pytest.raises(UsageError, match=r"uv cannot install from .*c#, for the '#' in its path; type --with pip, or rename it"):
        build(Target("odd", str(sharp), sharp), Uv.__new__(Uv))


def test_objects_in_files(tmp_path: Path) -> None:
    file = tmp_path / "config.json"
    for content, says in (
        (None, "cannot be read: No such file or directory; wanted weights"),
        (b"", "cannot be read: it is no JSON (JSONDecodeError: "),
        (b"\xff{}", "cannot be read: it is no JSON (UnicodeDecodeError: "),
        (b'{"a":' * 100_000, "cannot be read: its lists or objects stand in one another too deep; wanted weights"),
        (b'{"a": ' + b"1" * 5000 + b"}", "cannot be read: it is no JSON (ValueError: "),
        (b"[]", "holds a list; wanted an object with names and values"),
    ):
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(UsageError) as error:
            read_object(file, "tiny", "weights")
        assert str(error.value).startswith(f"tiny: {file} {says}")
    file.write_bytes(b'{"a": [1]}')
    assert read_object(file) == {"a": [1]}
    (tmp_path / "pyproject.toml").write_text("a = " + "[" * 100_000)
    with pytest.raises(UsageError, match=r"pyproject.toml cannot be read as that of a plugin: RecursionError"):
        read_folder(tmp_path)


# While a plugin is imported.


def test_what_a_plugin_writes_while_it_is_imported_is_no_answer(lab: Lab) -> None:
    lab.plugin("noisy", NOISY)
    done = lab.python("import sys, harness.describe; harness.describe.main('noisy')").expect(0)
    assert [model["info"]["name"] for model in json.loads(done.out)["models"]] == ["good"]
    assert {"one", "two", "three"} <= set(done.err.replace("onet", "one\nt").split())
    lab.run("plugin", "test", "noisy", "-c", "light_import").expect(0, "ok light_import")


def test_threads_of_a_plugin_do_not_hold_its_description(lab: Lab) -> None:
    lab.plugin("busy", f"threading.Thread(target=time.sleep, args=(600,)).start()\n{GOOD}")
    assert json.loads(lab.python("import harness.describe; harness.describe.main('busy')").expect(0).out)["models"]


def test_the_limit_of_a_trial_holds_for_the_import(lab: Lab) -> None:
    plugin(lab.folder / "loops", "loops", "while True: pass\n")
    done = lab.run("plugin", "test", "./loops", "--timeout", "0.5")
    done.expect(3, "the plugins were not imported within 0.5 s, the limit of --timeout; does ./loops do more than register?")


# What is said of it.


def test_show_says_where_a_model_runs(lab: Lab) -> None:
    lab.plugin("whole", GOOD.replace('"good"', '"fits"'))
    lab.plugin("picky", GOOD)
    with (lab.site / "picky-1.0.dist-info" / "METADATA").open("a") as file:
        file.write("Requires-Dist: nowhere-to-be-found>=1\n")
    lab.plugin("broken", "import nowhere_to_be_found")
    fits, good, absent = lab.many([["show", "fits"], ["show", "good"], ["show", "broken-model"]])
    assert "  environment        this one\n" in fits.expect(0).out
    good.expect(0, "environment this one, where what picky requires is not installed", "harness env build picky")
    absent.expect(5, "plugin 'broken' could not be loaded", "In an environment of its own a plugin may be whole: harness env build broken")


def test_an_installation_without_the_simplest_models_says_how_to_get_them() -> None:
    plugins = Plugins()
    assert {name for name, model in plugins.models.items() if model.distribution == "harness-baselines"} == set(SIMPLEST)
    line = r"\nThe simplest models \(naive, .*\): pip install harness-baselines"
    with pytest.raises(UsageError) as error:
        plugins.model("nowhere")
    assert "harness-baselines" not in str(error.value)
    del plugins.models["naive"]
    with pytest.raises(UsageError, match=line):
        plugins.model("naive")
    plugins.models = {}
    with pytest.raises(UsageError, match=line):
        plugins.model("ttm")
    with pytest.raises(UsageError, match=line):
        find_target(plugins, "naive-too")
