"""`harness plugin test` and `harness new plugin`: what a plugin's author types."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import pytest
from support import HEADER, Done, Lab

from harness import UsageError
from harness.conformance.folder import read_folder
from harness.conformance.trial import Chosen, Trial
from harness.scaffold import make_plugin

ROOT = Path(__file__).parents[2]
INFO = 'ModelInfo("{name}", license="MIT", summary="for this test", output="points"{more})'


def folder(lab: Lab, name: str, models: dict[str, str], where: str = "", more: str = "", entry: str = "") -> Path:
    """A plugin's folder, not installed: {model: body of its predict(self, batch)}."""
    path = lab.folder / name
    (path / where).mkdir(parents=True)
    source = HEADER
    for model, body in models.items():
        source += f"class {model.title()}:\n    def predict(self, batch):\n{textwrap.indent(body, ' ' * 8)}\n\n"
    source += "@hookimpl\ndef register_models(register):\n"
    for model in models:
        source += f"    register({INFO.format(name=model, more=more)}, {model.title()})\n"
    (path / where / f"{name}.py").write_text(source)
    entries = f'[project.entry-points.harness]\n{name} = "{entry or name}"\n'
    (path / "pyproject.toml").write_text(f'[project]\nname = "{name}"\nversion = "1.0"\ndependencies = ["numpy"]\n{entries}')
    return path


def states(done: Done) -> dict[str, dict[str, tuple[str, str]]]:
    """{model: {check: (state, text)}}."""
    return {m["model"]: {c["check"]: (c["state"], c["text"]) for c in m["checks"]} for m in done.json()["models"]}


def test_a_folder_that_is_not_installed(lab: Lab) -> None:
    folder(lab, "fresh", {"steady": "return Forecast.from_points(last(batch))", "other": "return 3"}, where="src")
    done = lab.run("plugin", "test", "./fresh", "-m", "steady")
    done.expect(0, "steady, of fresh 1.0", "ok load made in", "ok crossings", "light_import registering takes", "steady: 19 ok")
    assert "other" not in done.out
    assert not list((lab.folder / "fresh").rglob("*.dist-info"))


def test_a_model_that_fails_some_checks(lab: Lab) -> None:
    body = """
        points = last(batch)
        points[-1] += len(batch)
        return Forecast.from_points(points)
    """
    folder(lab, "faulty", {"odd": textwrap.dedent(body), "steady": "return Forecast.from_points(last(batch))"})
    checks = ("-c", "batch_invariance,order_invariance,crossings,levels")
    done = lab.run("plugin", "test", "./faulty", *checks, "--json").expect(4)
    assert done.json()["exit_code"] == 4
    found = states(done)
    assert {check for check, (state, _) in found["odd"].items() if state == "failed"} == {"batch_invariance", "order_invariance"}
    assert "alone and in a batch of 12 give forecasts that differ" in found["odd"]["batch_invariance"][1]
    assert [state for state, _ in found["steady"].values()] == ["ok"] * 5
    done = lab.run("plugin", "test", "./faulty", *checks)
    shown = done.expect(4, "FAILED batch_invariance windows [0] alone", "odd: 3 ok, 2 failed", "2 models: 8 ok, 2 failed")
    lab.run("plugin", "test", "./faulty", "-c", "level").expect(2, "there is no check 'level'. Did you mean 'levels'?")
    assert max(map(len, shown.out.splitlines())) <= 200


def test_a_model_that_ends_its_process_costs_one_check(lab: Lab) -> None:
    crash = "if batch.horizon == 50:\n    os.kill(os.getpid(), signal.SIGSEGV)\n"
    leaves = "if len(batch.quantile_levels) == 19:\n    print('so long', file=sys.stderr, flush=True); os._exit(7)\n"
    checks = ("-c", "levels,crossings,horizons,determinism,difficult_contexts,no_future")
    slow = "if np.isfinite(batch.contexts.values).sum() == 1:\n    time.sleep(60)\n"
    noise = "print('{}', flush=True)\n"
    folder(lab, "rough", {"rough": crash + leaves + slow + noise + "return Forecast.from_points(last(batch))"})
    done = lab.run("plugin", "test", "./rough", *checks, "--json", "--timeout", "8").expect(4)
    found = states(done)["rough"]
    wrong = {check: text for check, (state, text) in found.items() if state == "failed"}
    assert wrong["horizons"].startswith("the process was ended by SIGSEGV")
    assert wrong["levels"] == "the process ended itself with exit code 7; the last it printed: so long"
    assert wrong["difficult_contexts"] == "it took longer than 8 s and was ended; allow more with --timeout"
    assert set(wrong) == {"horizons", "levels", "difficult_contexts", "crossings"}
    assert {check for check, (state, _) in found.items() if state == "ok"} == {"load", "determinism", "no_future"}


def test_what_is_not_here_says_what_to_type(lab: Lab) -> None:
    source = """
        from harness.errors import Unavailable, UsageError
        def absent(): raise Unavailable("no weights here", fetch="harness weights pull far")
        def lacks(): import nowhere_to_be_found
        def broken(): raise RuntimeError("no idea")
        def named(target): raise RuntimeError("never called")
        def picky(width=-1): raise UsageError("width got -1")
        @hookimpl
        def register_models(register):
            for name, make in (("far", absent), ("lacks", lacks), ("broken", broken), ("named", named), ("picky", picky)):
                register(ModelInfo(name, license="MIT", summary="x", install="pip install it"), make)
    """
    lab.plugin("remote", source)
    found = states(lab.run("plugin", "test", "remote", "--json").expect(4))
    assert found["far"]["load"] == ("absent", "no weights here; type: harness weights pull far")
    assert found["lacks"]["load"][0] == "absent"
    assert "Type: pip install it" in found["lacks"]["load"][1]
    assert found["broken"]["load"] == ("failed", "RuntimeError: no idea")
    assert found["named"]["load"] == ("absent", "named must be given target: -M named:target=VALUE")
    assert found["picky"]["load"] == ("failed", "width got -1")  # at its own defaults
    assert all(set(checks) == {"load", "light_import"} for checks in found.values())
    lab.run("plugin", "test", "remote", "-m", "far").expect(3, "not here load no weights here; type: harness weights pull far")
    folder(lab, "untrained", {"untrained": "raise Unsupported('train it first')"})
    done = lab.run("plugin", "test", "./untrained", "-c", "card,levels")
    done.expect(3, "skipped levels untrained: train it first", "untrained: 1 ok, 2 skipped; nothing was checked, see why it skips")


def test_names_of_what_is_installed(lab: Lab) -> None:
    source = """
        class Width:
            def __init__(self, width=1.0):
                if width < 0: raise ValueError("too thin")
            def predict(self, batch): return Forecast.from_points(last(batch))
        @hookimpl
        def register_models(register):
            register(ModelInfo("wide", license="MIT", summary="x", output="points", exceptions={"affine": "no need"}), Width)
            register(ModelInfo("thin", license="MIT", summary="x", output="points"), Width)
    """
    lab.plugin("widths", source)
    assert set(states(lab.run("plugin", "test", "widths", "-c", "card", "--json").expect(0))) == {"thin", "wide"}
    done = lab.run("plugin", "test", "wide[width=2]", "-c", "card,affine", "--json").expect(0)
    assert done.json()["models"][0]["params"] == {"width": 2}
    assert states(done)["wide"]["affine"] == ("exception", "no need")
    lab.plugin("shattered", "1 / 0")
    said = {
        ("widths", "-m", "wide", "-M", "wide:width=-1"): (4, "FAILED load ValueError: too thin"),
        ("widths", "-m", "wide", "-M", "wide:breadth=1"): (2, "model 'wide' has no parameter 'breadth'"),
        ("widths", "-m", "naive"): (2, "model 'naive' is not of plugin widths, which has: thin, wide"),
        ("width",): (2, "there is no plugin or model 'width'. Did you mean 'widths'?"),
        ("results",): (2, "plugin results registers no model"),
        ("shattered",): (3, "plugin 'shattered' could not be loaded: ZeroDivisionError"),
    }
    answers = lab.many([["plugin", "test", *arguments] for arguments in said])
    for answer, (code, text) in zip(answers, said.values(), strict=True):
        answer.expect(code, text)


def test_folders_that_are_no_plugins(lab: Lab) -> None:
    lab.run("plugin", "test", "./nowhere").expect(2, "there is no nowhere/pyproject.toml", "harness new plugin NAME")
    path = lab.folder / "half"
    path.mkdir()
    for text, says in (
        ("[project", "cannot be read as that of a plugin"),
        ("[build-system]", "cannot be read as that of a plugin"),
        ('[project]\nname = "x"\n', "names no plugin"),
        ('[project]\nname = "../x"\n[project.entry-points.harness]\nx = "x"\n', "cannot be read as that of a plugin"),
        ('[project]\nname = "x"\n[project.entry-points.harness]\nx = "elsewhere"\n', "there is no module elsewhere"),
        ('[project]\nname = "x"\n[project.entry-points.harness]\nx = "../up"\n', "wanted a module"),
    ):
        (path / "pyproject.toml").write_text(text)
        with pytest.raises(UsageError, match=says):
            read_folder(path)
    path = folder(lab, "misspelt", {"m": "return None"}, entry="misspelt:nothing")
    lab.run("plugin", "test", "./misspelt").expect(3, "plugin 'misspelt' could not be loaded")


def test_a_folder_comes_before_what_is_installed(lab: Lab) -> None:
    lab.plugin("twice", f"@hookimpl\ndef register_models(register): register({INFO.format(name='old', more='')}, dict)\n")
    path = folder(lab, "twice", {"new": "return Forecast.from_points(last(batch))"})
    source = f"""
        import os, sys
        from pathlib import Path
        os.environ["PYTHONPATH"] = {str(lab.site)!r}
        from harness.conformance.folder import read_folder
        from harness.conformance.trial import Trial
        with Trial("./twice", read_folder(Path({str(path)!r}))) as trial:
            print([chosen.model for chosen in trial.models()])
    """
    assert lab.python(source).expect(0).out.strip() == "['new']"


def test_an_interrupted_trial_leaves_no_process(lab: Lab) -> None:
    path = folder(lab, "hangs", {"hangs": "open('pid', 'w').write(str(os.getpid())); time.sleep(600)"})
    with Trial("./hangs", read_folder(path), limit=60) as trial:
        here = Path.cwd()
        os.chdir(lab.folder)
        try:
            results = trial.results(Chosen("hangs", {}))
            assert next(results).check == "load"
            # The next one hangs: it is left while it does.
            import threading

            timer = threading.Timer(4, lambda: os.kill(int((lab.folder / "pid").read_text()), 9))
            timer.start()
            result = next(results)
            assert (result.check, result.state, result.text) == ("card", "failed", "the process was ended by SIGKILL")
            results.close()  # type: ignore[attr-defined]
        finally:
            os.chdir(here)
    assert not Path(f"/proc/{(lab.folder / 'pid').read_text()}").exists()


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "got the name ''; wanted a name of small letters"),
        ("../up", "Perhaps: harness new plugin up"),
        ("/etc/x", "Perhaps: harness new plugin etc-x"),
        ("-rf", "Perhaps: harness new plugin rf"),
        ("MyModel", "Perhaps: harness new plugin my-model"),
        ("my model", "Perhaps: harness new plugin my-model"),
        ("a\nb", "wanted a name of small letters"),
        ("modèle", "wanted a name of small letters"),
        ("3d", "begins with a letter"),
        ("a--b", "Perhaps: harness new plugin a-b"),
        ("x" * 60, "got a name of 60 characters; wanted at most 40"),
        ("class", "a word of Python's grammar; choose another, as in my-class"),
        ("harness-mine", "harness new plugin mine"),
        ("baselines", "the plugin of harness-baselines has; choose another"),
        ("tasks", "the plugin of ts-harness has"),
        ("naive", "a model of harness-baselines has"),
        ("seasonal-naive", "a model of harness-baselines has"),
    ],
)
def test_names_that_are_refused(name: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=says.replace("(", r"\(")):
        make_plugin(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_places_that_are_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="mine is there already; choose another name"):
        make_plugin("mine", tmp_path)
    with pytest.raises(UsageError, match="link is there already"):
        make_plugin("link", tmp_path)
    with pytest.raises(UsageError, match=r"there is no folder .*far; make it first, or choose another with --into"):
        make_plugin("mine", tmp_path / "far")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "mine"]


def test_the_plugin_that_is_made_passes(lab: Lab) -> None:
    done = lab.run("new", "plugin", "brave-new").expect(0, "made ./brave-new with pyproject.toml, harness_brave_new.py, test_brave_new.py")
    assert [line.strip() for line in done.out.splitlines()[1:]] == [
        "harness plugin test ./brave-new",
        "pip install -e ./brave-new",
        "harness run -m naive,brave_new",
    ]
    made = lab.folder / "brave-new"
    text = "".join(path.read_text() for path in made.iterdir())
    assert "mymodel" not in text.lower()
    assert "class BraveNewModel:" in text
    assert 'name = "harness-brave-new"' in text
    lab.run("plugin", "test", "./brave-new").expect(0, "brave_new: 19 ok")
    for command in (["ruff", "check"], ["ruff", "format", "--check"]):
        if shutil.which(tool := str(Path(sys.executable).with_name(command[0]))):
            config = ["--config", str(ROOT / "pyproject.toml")]
            ran = subprocess.run([tool, *command[1:], *config, str(made)], capture_output=True, text=True, check=False)
            assert ran.returncode == 0, ran.stdout + ran.stderr


def run(*command: str | Path, **options: Any) -> str:
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, check=False, timeout=300, **options)
    assert done.returncode == 0, f"{' '.join(map(str, command))}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.slow
def test_wheels_in_a_fresh_environment(tmp_path: Path) -> None:
    """The core's wheel has the template; a plugin made with it installs by pip, passes its test, is run and stands on the leaderboard."""
    pytest.importorskip("hatchling", reason="hatchling is not installed: pip install 'ts-harness[test]'")
    wheels = tmp_path / "wheels"
    for source in (ROOT, ROOT / "plugins" / "baselines"):
        run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", wheels, cwd=source)
    run(sys.executable, "-m", "venv", "--without-pip", tmp_path / "venv")
    own = tmp_path / "venv" / "bin"
    site = Path(run(own / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    # What the harness needs comes from the environment of this test, without the harness and its plugins.
    needs = tmp_path / "needs"
    needs.mkdir()
    for distribution in distributions():
        if not distribution.name.lower().replace("_", "-").startswith(("harness-", "ts-harness")):
            for file in distribution.files or ():
                top = file.parts[0]
                target = Path(str(distribution.locate_file(top)))
                if top not in ("..", "__pycache__") and target.exists() and not (needs / top).exists():
                    (needs / top).symlink_to(target)
    (site / "needs.pth").write_text(f"{needs}\n")

    def install(*what: Path) -> None:
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "--python", own / "python", "install"]
        run(*pip, "--no-index", "--no-deps", "--no-build-isolation", *what)

    install(*wheels.glob("*.whl"))
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HARNESS_", "PYTHON", "GIFT_EVAL"))}
    work: dict[str, Any] = {"cwd": tmp_path, "env": environment | {"HARNESS_CACHE": str(tmp_path / "cache")}}
    assert "site-packages" in run(own / "python", "-c", "import harness; print(harness.__file__)", **work)
    run(own / "harness", "new", "plugin", "fresh-one", **work)
    made = tmp_path / "fresh-one"
    assert "fresh_one: 19 ok" in run(own / "harness", "plugin", "test", "./fresh-one", **work)
    install(made)
    assert "fresh_one" in run(own / "harness", "ls", "models", **work)
    assert " passed" in run(own / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_fresh_one.py", **work | {"cwd": made})
    assert "fresh_one: 19 ok" in run(own / "harness", "plugin", "test", "fresh_one", **work)
    run(own / "harness", "run", "-m", "seasonal_naive,fresh_one", "-t", "us_births/*", **work)
    assert "fresh_one" in run(own / "harness", "leaderboard", **work)
