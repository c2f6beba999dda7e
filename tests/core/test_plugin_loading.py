"""A plugin that is broken costs itself, says why, and says what to type next."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support import GOOD, Lab

from harness.environments import record
from harness.environments.record import Environment
from harness.plugins import Plugins

MISTAKES = {
    "import_error": ("raise ValueError('boom at import')", ["ValueError: boom at import", "import_error.py"]),
    "missing_package": ("import no_such_package_xyz", ["No module named 'no_such_package_xyz'", "pip install no_such_package_xyz"]),
    "exits": ("sys.exit(7)", ["it called sys.exit(7)", "pip uninstall exits"]),
    "base_exception": ("class Panic(BaseException): pass\nraise Panic('rust went wrong')", ["Panic: rust went wrong"]),
    "syntax_error": ("def broken(:\n", ["SyntaxError"]),
    "misspelt_hook": (
        "@hookimpl\ndef register_model(register): pass",
        ["unknown hook 'register_model' in plugin 'misspelt_hook'", "misspelt_hook.py:", "Did you mean 'register_models'?"],
    ),
    "odd_hook": (
        "@hookimpl\ndef zzz(): pass",
        ["unknown hook 'zzz'", "The hooks are: cell_finished, finetune, open_store, open_suite_file, predict"],
    ),
    "wrong_argument": (
        "@hookimpl\ndef register_models(registry): pass",
        [
            "hook 'register_models' in plugin 'wrong_argument' (",
            "wrong_argument.py:",
            ") has an argument 'registry'; the hook's arguments are: register. Did you mean 'register'?",
        ],
    ),
    "not_an_info": ("@hookimpl\ndef register_models(register): register('name', print)", ["registered a str", "ModelInfo"]),
    "no_factory": ("@hookimpl\ndef register_models(register): register(ModelInfo('x'), 3)", ["a factory that cannot be called: 3"]),
    "taken_name": ("@hookimpl\ndef register_models(register): register(ModelInfo('naive'), dict)", ["'naive'", "'baselines' has already"]),
    "halfway": (
        "@hookimpl\ndef register_models(register):\n    register(ModelInfo('half'), dict)\n    raise RuntimeError('no further')\n"
        "@hookimpl\ndef register_metrics(register): register(Metric('half_metric', len))",
        ["RuntimeError: no further"],
    ),
    "text_for_tuple": (
        "@hookimpl\ndef register_models(register): register(ModelInfo('t', modes='zero-shot'), dict)",
        ["registered modes='zero-shot'; wanted a tuple of names: modes=('zero-shot',)"],
    ),
    "no_context": (
        "@hookimpl\ndef register_models(register): register(ModelInfo('t', max_context=0), dict)",
        ["registered max_context=0; wanted a number of at least 1, or None"],
    ),
    "exits_in_hook": ("@hookimpl\ndef register_models(register): sys.exit(0)", ["it called sys.exit(0)"]),
}


@pytest.fixture
def broken(lab: Lab) -> Lab:
    for name, (source, _) in MISTAKES.items():
        lab.plugin(name, source)
    lab.plugin("good", GOOD)
    return lab


def test_every_mistake_is_shown_and_costs_nothing_else(broken: Lab) -> None:
    done = broken.run("ls", "models").expect(0, "seasonal_naive", "good")
    for name, (_, texts) in MISTAKES.items():
        line = next(line for line in done.err.splitlines() if line.startswith(f"plugin '{name}' could not be loaded"))
        for text in texts:
            assert text in line, f"{name}: {text!r} not in {line!r}"
    broken.models("good,seasonal_naive").expect(0)


def test_nothing_stays_of_a_plugin_that_failed_halfway(broken: Lab) -> None:
    models = {row["name"] for row in broken.run("ls", "models", "--json").expect(0).json()}
    assert {"good", "naive"} <= models
    assert "half" not in models
    assert "half_metric" not in {row["name"] for row in broken.run("ls", "metrics", "--json").json()}
    states = {row["name"]: row["state"] for row in broken.run("ls", "plugins", "--json").json()}
    assert {states[name] for name in MISTAKES} == {"failed"}
    assert states["good"] == "ok"


def test_asked_for_by_name_gives_reason_and_install_line(lab: Lab) -> None:
    lab.plugin("acme", "import no_such_package_xyz")
    lab.models("acme").expect(3, "model 'acme' is not here", "No module named 'no_such_package_xyz'", "pip install no_such_package_xyz")
    lab.models("acme_large").expect(3, "pip install no_such_package_xyz")
    lab.models("naiv").expect(2, "there is no model 'naiv'. Did you mean 'naive'?", "harness ls models")


def test_a_run_says_which_plugins_take_no_part(lab: Lab) -> None:
    lab.plugin("mw", "@hookimpl(wrapper=True)\ndef predict(model, btch):\n    return (yield)\n")
    text = "warning: plugin 'mw' could not be loaded and takes no part: hook 'predict' in plugin 'mw' ("
    hint = "has an argument 'btch'; the hook's arguments are: model, batch. Did you mean 'batch'?"
    for command in ("run", "plan"):
        done = lab.run(command, "-m", "naive", "-t", "us_births/M/short").expect(0, hint)
        assert [line[: len(text)] for line in done.err.splitlines() if "mw" in line] == [text]
    for call in ("run('naive', tasks='us_births/M/short', progress='none')", "evaluate('naive', 'us_births/M/short')"):
        done = lab.python(f"import harness; harness.{call}").expect(0, "RuntimeWarning: plugin 'mw' could not be loaded and takes no part")
    assert "RuntimeWarning" not in lab.run("doctor").expect(3).err


def test_a_name_that_a_broken_plugin_may_have_had(lab: Lab) -> None:
    lab.plugin("mw", "raise ValueError('boom')")
    lab.models("boot").expect(2, "there is no model 'boot'.", "it may belong to a plugin that is broken: plugin 'mw' could not be", "boom")
    lab.models("boo*").expect(5, "no model matches 'boo*'", "plugin 'mw' could not be loaded: ValueError: boom", "pip uninstall mw")
    for i in range(3):
        lab.plugin(f"other{i}", "raise ValueError('bang')")
    done = lab.models("boot").expect(2, "one of 4 plugins that are broken:", "and 1 more: harness ls plugins")
    assert done.err.split("there is no model")[1].count("could not be loaded") == 3


def test_two_plugins_of_one_entry_point_name(lab: Lab) -> None:
    lab.plugin("first", GOOD)
    second = lab.plugin("second", GOOD.replace('"good"', '"better"'))
    (lab.site / "second-1.0.dist-info" / "entry_points.txt").write_text(f"[harness]\nfirst = {second.stem}\n")
    lab.run("ls", "models").expect(0, "good", "the plugin name 'first' is taken; rename the entry point of second")


def test_hostile_model_names_are_refused(lab: Lab) -> None:
    names = ["", " x", "a,b", "a[b]", "a/b", "..\\b", "a*", "a\nb", "a\x1b[31mred", "a\u202eb", "a=b", "a:b", "\x00"]
    for i, name in enumerate(names):
        lab.plugin(f"hostile{i}", GOOD.replace('"good"', ascii(name)))
    done = lab.run("ls", "models").expect(0)
    for i, name in enumerate(names):
        assert f"plugin 'hostile{i}' registered the name {name!r}; wanted text without any of" in done.err
    assert "\x1b" not in done.out + done.err


def test_odd_model_names_work_to_the_end(lab: Lab) -> None:
    names = ["x'); DROP TABLE cells; --", "<script>alert(1)<script>", "größer als 7 💥", "red{0}%s$HOME"]
    for i, name in enumerate(names):
        lab.plugin(f"odd{i}", GOOD.replace('"good"', ascii(name)))
    lab.models(",".join(names)).expect(0)
    assert lab.query("SELECT model, status FROM cells ORDER BY model") == [(name, "ok") for name in sorted(names)]
    lab.run("run", "-m", ",".join(names), "-t", "us_births/M/short").expect(0, "reused 4")


def test_what_a_plugin_prints_while_loading_does_not_spoil_json(lab: Lab) -> None:
    lab.plugin("chatty", "print('hello from import')\n" + GOOD.replace("register(M", "print('hello from hook'); register(M"))
    done = lab.run("ls", "models", "--json").expect(0, "hello from import", "hello from hook")
    assert "good" in {row["name"] for row in done.json()}


def test_plugin_object_as_entry_point_has_a_source(lab: Lab) -> None:
    source = (
        "class Plugin:\n    @hookimpl\n    def register_models(self, register): register(ModelInfo('obj'), Good)\n"
        "class Good:\n    def predict(self, batch): return Forecast.from_points(last(batch) + 0)\nplugin = Plugin()\n"
    )
    path = lab.plugin("objective", source, entry="objective:plugin")
    first = lab.models("obj").expect(0).cells()[("obj", "us_births/M/short")]["id"]
    path.write_text(path.read_text().replace("+ 0", "+ 1"))
    second = lab.models("obj").expect(0).cells()[("obj", "us_births/M/short")]
    assert second["id"] != first
    assert not second["cached"]


def test_files_in_the_working_folder_do_not_shadow_modules(lab: Lab) -> None:
    for name in ("random", "numpy", "harness", "queue"):
        (lab.folder / f"{name}.py").write_text("raise ImportError('the wrong file')")
    lab.models("naive").expect(0)


def test_doctor_shows_a_broken_plugin(lab: Lab) -> None:
    lab.plugin("acme", "import no_such_package_xyz")
    lab.run("doctor").expect(3, "✗ plugin 'acme' could not be loaded", "pip install no_such_package_xyz")


def test_every_file_of_a_package_belongs_to_its_source(lab: Lab) -> None:
    """Both for a plugin in the package's own module and for one in a module deeper down."""
    for name, deep in (("packed", "packed"), ("deeper", "deeper.sub.plugin")):
        folder = lab.site / name
        (folder / "sub").mkdir(parents=True)
        lab.plugin(name, GOOD.replace("good", name), entry=deep)
        (lab.site / f"{name}.py").rename(folder / ("__init__.py" if deep == name else "sub/plugin.py"))
        for path in (folder / "__init__.py", folder / "sub" / "__init__.py", folder / "other.py"):
            path.touch()

    def ids() -> list[str]:
        plan = lab.run("plan", "-m", "packed,deeper", "-t", "us_births/M/short", "--json").expect(0).json()
        return [c["id"] for c in plan["cells"]]

    before = ids()
    assert ids() == before
    for name in ("packed", "deeper"):
        (lab.site / name / "other.py").write_text("x = 1")
    after = ids()
    assert [a != b for a, b in zip(before, after, strict=True)] == [True, True]


def test_a_run_that_puts_models_elsewhere_leaves_the_plugins_as_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def told(name: str) -> dict[str, Any]:
        return {"plugin": "baselines", "version": "9", "info": {"name": name}, "takes": None}

    description = {"models": [told("naive"), told("newer")]}
    built = Environment(tmp_path, {"distribution": "harness-baselines", "description": description})
    plugins = Plugins()
    before, failures = dict(plugins.models), dict(plugins.failures)
    monkeypatch.setattr(record, "latest", lambda: {"harness-baselines": built})
    elsewhere = plugins.settled("env")
    assert elsewhere.models["naive"].environment is elsewhere.models["newer"].environment is built
    assert elsewhere.models["drift"] is before["drift"]
    assert (plugins.models, plugins.failures) == (before, failures)
    assert elsewhere.settled("process").models == before
    here = plugins.settled("auto").models  # what the plugin requires is installed here
    assert here["naive"] is before["naive"] and "newer" in here
    other = replace(built, facts={**built.facts, "distribution": "harness-stranger"})
    monkeypatch.setattr(record, "latest", lambda: {"harness-stranger": other})
    refused = plugins.settled("env")
    assert refused.models["naive"] is before["naive"] and any("has already" in str(f) for f in refused.failures.values())
    assert plugins.failures == failures
