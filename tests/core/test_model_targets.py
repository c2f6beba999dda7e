"""A model that is made of a class of the user's: how it is named, found, labelled, and told from itself after an edit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support import Lab

from harness import Batch, Forecast, ModelInfo, Task, UsageError, hookimpl
from harness.identity import label, make_cell
from harness.plugins import Plugins
from harness.selection import select_models
from harness.targets import iterate_target, load_target

ADAPTER = """
from harness.targets import load_target

class Adapter:
    def __init__(self, target, scale=1.0, **more):
        self.made = load_target(target)(**more)
        self.scale = scale

    def predict(self, batch):
        return Forecast.from_points(last(batch) * self.scale + self.made.add())

@hookimpl
def register_models(register):
    register(ModelInfo("wrap", summary="a class of yours", license="MIT", target="MODULE.CLASS"), Adapter)
"""
MINE = """
class Mine:
    def __init__(self, by=ADD):
        self.by = by

    def add(self):
        return self.by
"""
TASK = Task("s", "t", "t", "t", "d", "D", "", horizon=2, season_length=1, variates=1)


class Wrap:
    def __init__(self, target: str, scale: float = 1.0, **more: Any) -> None:
        self.target, self.scale, self.more = target, scale, more

    def predict(self, batch: Batch) -> Forecast:
        return Forecast.from_points(np.zeros((len(batch), batch.horizon)))


class Plain:
    def __init__(self, target: int = 3) -> None:
        self.target = target


class Own:
    @hookimpl
    def register_models(self, register: Callable[..., None]) -> None:
        register(ModelInfo("wrap", target="MODULE.CLASS"), Wrap)
        register(ModelInfo("aims"), Plain)


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugins]:
    """A model that takes a target, in a working folder with a module."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "target_of_mine.py").write_text(MINE.replace("ADD", "1"))
    found = Plugins()
    found.register(Own(), "own")
    yield found
    for name in [name for name in sys.modules if name.startswith("target_")]:
        del sys.modules[name]


def test_what_follows_a_colon_is_the_target(plugins: Plugins) -> None:
    texts = "wrap:target_of_mine.Mine, wrap:target_of_mine.Mine[by=2,scale=0.5],wrap[target=target_of_mine.Mine],naive"
    chosen = [(model.info.name, params) for model, params in select_models(plugins, texts)]
    target = {"target": "target_of_mine.Mine"}
    assert chosen == [("wrap", target), ("wrap", {**target, "by": 2, "scale": 0.5}), ("naive", {})]  # the third is the first
    assert [label(name, params) for name, params in chosen] == [
        "wrap:target_of_mine.Mine",
        "wrap:target_of_mine.Mine[by=2,scale=0.5]",
        "naive",
    ]
    for name, params in chosen:
        ((model, again),) = select_models(plugins, label(name, params))
        assert (model.info.name, again) == (name, params)


def test_parameters_for_one_of_two_targets(plugins: Plugins, tmp_path: Path) -> None:
    (tmp_path / "target_other.py").write_text("class B:\n    pass\n")
    texts = "wrap:target_of_mine.Mine,wrap:target_other.B"
    arguments = ["wrap:target_other.B:scale=2", "wrap:by=3", "target_only=a:b"]
    (_, first), (_, second) = select_models(plugins, texts, arguments)
    assert first == {"target": "target_of_mine.Mine", "by": 3, "target_only": "a:b"}
    assert second == {"target": "target_other.B", "scale": 2, "by": 3, "target_only": "a:b"}
    with pytest.raises(UsageError, match=r"-M wrap:target_none\.C:by=3: no model 'wrap:target_none\.C' in this run"):
        select_models(plugins, texts, ["wrap:target_none.C:by=3"])


def test_a_parameter_that_is_only_called_so_reads_back(plugins: Plugins) -> None:
    assert label("aims", {"target": 4}) == "aims[target=4]"
    ((_, params),) = select_models(plugins, label("aims", {"target": "a.b"}))
    assert params == {"target": "a.b"}


def test_a_glob_leaves_out_what_needs_a_target(plugins: Plugins) -> None:
    names = {model.info.name for model, _ in select_models(plugins, "*")}
    assert "aims" in names and "wrap" not in names


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("wrap", r"model 'wrap' is made of a class of yours, and none was named; wanted wrap:MODULE\.CLASS, as in wrap:my_module\.MyModel"),
        ("wrap:Mine", r"got wrap:Mine; wanted wrap:MODULE\.CLASS"),
        ("wrap:./mine.py", r"got wrap:\./mine\.py; wanted wrap:MODULE\.CLASS"),
        ("wrap:target_of_mine.Mine.", r"got wrap:target_of_mine\.Mine\.; wanted"),
        ("wrap[target=7]", r"got wrap:7; wanted"),
        ("wrap:target_missing.Mine", r"got wrap:target_missing\.Mine, and there is no module 'target_missing', neither installed nor in /"),
        ("naive:target_of_mine.Mine", r"model 'naive' takes nothing after a colon, and parameters in brackets: naive\[key=value\]"),
        ("wrap:a.B[target=c.D]", r"got wrap:a\.B with target=c\.D; wanted the one or the other"),
        ("nave:a.B", r"there is no model 'nave'\. Did you mean 'naive'\?"),
    ],
)
def test_targets_that_make_no_sense(plugins: Plugins, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        select_models(plugins, text)


def test_the_source_of_the_target_is_part_of_the_identity(plugins: Plugins, tmp_path: Path) -> None:
    def cell(target: str) -> Any:
        return make_cell(plugins, TASK, "data", plugins.model("wrap"), {"target": target})

    first = cell("target_of_mine.Mine")
    assert first.model == "wrap:target_of_mine.Mine" and first.model_name == "wrap" and len(first.identity["files"]["target"]) == 32
    (tmp_path / "target_of_mine.py").write_text(MINE.replace("ADD", "222"))
    assert cell("target_of_mine.Mine").id != first.id
    (tmp_path / "target_of_mine.py").write_text(MINE.replace("ADD", "1"))
    assert cell("target_of_mine.Mine").id == first.id
    package = tmp_path / "target_package"
    (package / "deep").mkdir(parents=True)
    for path in ("__init__.py", "models.py", "deep/layers.py"):
        (package / path).write_text("")
    before = cell("target_package.models.M")
    (package / "deep" / "layers.py").write_text("x = 1\n")
    assert cell("target_package.models.M").id != before.id
    assert [p.name for p in iterate_target("target_package.models.M")] == ["__init__.py", "layers.py", "models.py"]
    assert "target_package" not in sys.modules, "looking for the source must not run it"
    assert make_cell(plugins, TASK, "data", plugins.model("naive"), {}).identity["files"] == {}


def test_a_class_that_cannot_be_had(plugins: Plugins, tmp_path: Path) -> None:
    assert load_target("target_of_mine.Mine").__name__ == "Mine"
    with pytest.raises(
        UsageError, match=r"target_of_mine\.Mini, and /.*target_of_mine\.py has no 'Mini'\. Did you mean 'Mine'\? \(it has Mine\)"
    ):
        load_target("target_of_mine.Mini")
    with pytest.raises(UsageError, match=r"got target_none\.Mine, and there is no module 'target_none', neither installed nor in /"):
        load_target("target_none.Mine")
    (tmp_path / "target_needs.py").write_text("import a_package_that_is_not_here\n")
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_here"):
        load_target("target_needs.X")


def test_a_run_finds_the_class_in_the_working_folder(lab: Lab) -> None:
    lab.plugin("wrapping", ADAPTER)
    mine = lab.folder / "mine.py"
    mine.write_text(MINE.replace("ADD", "1"))
    (lab.folder / "random.py").write_text("raise SystemExit('a module of the standard library was shadowed')\n")
    names = ["wrap:mine.Mine", "wrap:mine.Mine[by=3]"]
    done = lab.models(",".join(names)).expect(0)
    assert {model for model, _ in done.cells()} == set(names)
    assert lab.query("SELECT DISTINCT model_name FROM cells") == [("wrap",)]
    assert {r["model"] for r in lab.run("leaderboard", "--format", "json").json()} >= set(names)
    assert {c["cached"] for c in lab.models(",".join(names)).cells().values()} == {True}
    mine.write_text(MINE.replace("ADD", "100"))
    cells = lab.models(",".join(names)).cells()
    assert {c["cached"] for c in cells.values()} == {False}
    lab.models("wrap:mine.Mini").expect(3, "mine.py has no 'Mini'. Did you mean 'Mine'?")
    lab.models("wrap:mini.Mine").expect(2, "there is no module 'mini'")


NEEDY = """
class Needy:
    def __init__(self, size: int, device: str = "cpu") -> None:
        self.size = size

    def predict(self, batch):
        return Forecast.from_points(last(batch))

@hookimpl
def register_models(register):
    register(ModelInfo("needy"), Needy)
"""


def test_a_parameter_without_a_default_is_asked_for_before_the_run(lab: Lab) -> None:
    lab.plugin("needy", NEEDY)
    lab.models("needy").expect(2, "model 'needy' needs a value for size, as in -M needy:size=VALUE")
    lab.models("need*").expect(5, "no model matches 'need*'")
    lab.models("needy[size=1]").expect(0)
    lab.models("need*", "-M", "size=1").expect(5)
