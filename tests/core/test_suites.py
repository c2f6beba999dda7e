"""What `-s` takes: names, options in brackets in any order and spelling, files, and names of files that were given before."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import PluginError, UsageError
from harness.hookspecs import hookimpl
from harness.plugins import Plugins
from harness.suites import find_suite, is_file, rebind, remembered, stored_name
from harness.types import SuiteInfo

FILE = "name: {name}\ntasks:\n  - {{name: t, source: t.csv, columns: {{time: t, target: y}}, freq: D, horizon: 2}}\n"


def made(data: Path | None, *, suite: str = "opts", hours: float = 24.0, stride: int = 1, kind: str = "a", flag: bool = False) -> Any:
    return suite, data, hours, stride, kind, flag


class Opts:
    """A plugin with a suite that has options, and one that reads files ending in `.boom.yaml` badly."""

    @hookimpl
    def register_suites(self, register: Callable[..., None]) -> None:
        register(SuiteInfo("opts"), made)
        register(SuiteInfo("bare"), lambda data: data)

    @hookimpl(tryfirst=True)
    def open_suite_file(self, path: Path) -> None:
        if path.name.endswith(".boom.yaml"):
            raise KeyError("x")


@pytest.fixture
def plugins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plugins:
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    found = Plugins()
    plugin = Opts()
    found.pm.register(plugin, name="opts")
    from harness.plugins import Registered

    plugin.register_suites(lambda info, factory: found.suites.__setitem__(info.name, Registered(info, factory, "opts", "opts", "1")))
    return found


def write(folder: Path, name: str = "shop", text: str = "", file: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / (file or f"{name}.yaml")
    path.write_text(text or FILE.format(name=name))
    (folder / "t.csv").write_text("t,y\n" + "".join(f"2024-01-{d:02d},{d}\n" for d in range(1, 20)))
    return path


@pytest.mark.parametrize(
    ("text", "name", "options"),
    [
        ("opts", "opts", (24.0, 1, "a", False)),
        ("opts[]", "opts", (24.0, 1, "a", False)),
        ("opts[stride=2]", "opts[stride=2]", (24.0, 2, "a", False)),
        ("opts[stride=2,hours=12]", "opts[hours=12,stride=2]", (12, 2, "a", False)),
        ("opts[ hours = 12.0 , stride = 2 ]", "opts[hours=12,stride=2]", (12, 2, "a", False)),
        ("opts[hours=24,stride=1]", "opts", (24.0, 1, "a", False)),
        ("opts[hours=0.5]", "opts[hours=0.5]", (0.5, 1, "a", False)),
        ("opts[kind=b]", "opts[kind=b]", (24.0, 1, "b", False)),
        ('opts[kind="b"]', "opts[kind=b]", (24.0, 1, "b", False)),
        ("opts[flag=true]", "opts[flag=true]", (24.0, 1, "a", True)),
        ("opts[flag=False]", "opts", (24.0, 1, "a", False)),
    ],
)
def test_options_have_one_spelling(text: str, name: str, options: tuple[Any, ...], plugins: Plugins) -> None:
    found = find_suite(plugins, text)
    assert found.info.name == name == (stored_name(plugins, text) if "[" in text else text)
    assert found.factory(Path("/d")) == (name, Path("/d"), *options)
    again = find_suite(plugins, found.info.name)
    assert again.info.name == name and again.factory(None) == (name, None, *options)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("opts[strid=2]", "suite 'opts' has no option 'strid'. Did you mean 'stride'? (it takes: hours, stride, kind, flag)"),
        ("opts[suite=x]", "suite 'opts' has no option 'suite'."),
        ("bare[x=1]", "suite 'bare' has no option 'x'. (it takes none)"),
        ("opts[stride]", "suite 'opts' got the option 'stride'; wanted KEY=VALUE with one of hours, stride, kind, flag"),
        ("opts[stride=1,stride=2]", "suite 'opts' got the option 'stride' twice; wanted it once"),
        ("optz[stride=1]", "there is no suite 'optz'. Did you mean 'opts'?"),
        ("cgm[stride=0]", "cgm: got stride=0; wanted a whole number from 1 to 1440"),
    ],
)
def test_options_that_are_none(text: str, message: str, plugins: Plugins) -> None:
    with pytest.raises(UsageError, match=re.escape(message)):
        find_suite(plugins, text).factory(None)


def test_a_file_is_found_again_by_its_name(plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "one", "shop", file="any.yaml")
    found = find_suite(plugins, "one/any.yaml")
    assert found.info.name == "shop" == stored_name(plugins, str(path)) == stored_name(plugins, "one/any.yaml")
    (tmp_path / "two").mkdir()
    monkeypatch.chdir(tmp_path / "two")
    again = find_suite(Plugins(), "shop")
    assert again.info == found.info
    suite = again.factory(None)
    (task,) = suite.tasks()
    assert task.suite == "shop" and suite.open(task).windows == 1
    assert [each.info.name for each in remembered(plugins)] == ["shop"]


def test_a_file_that_is_gone_or_says_something_else(plugins: Plugins, tmp_path: Path) -> None:
    path = write(tmp_path / "one")
    find_suite(plugins, str(path))
    with pytest.raises(UsageError, match=r"there is no suite 'shops'. Did you mean 'shop'\?"):
        find_suite(plugins, "shops")
    path.write_text(FILE.format(name="store"))
    with pytest.raises(UsageError, match="which calls its suite 'store' now; -s store"):
        find_suite(plugins, "shop")
    assert [each.info.name for each in remembered(plugins)] == ["store"]  # once, though it is remembered by two names
    moved = path.rename(tmp_path / "moved.yaml")
    with pytest.raises(
        UsageError, match=r"suite 'shop' was described by .*one/shop.yaml, which is not there any more; give the file's new place"
    ):
        find_suite(plugins, "shop")
    moved.write_text(FILE.format(name="shop"))
    find_suite(plugins, "./moved.yaml")
    assert find_suite(plugins, "shop").info.name == "shop"
    moved.write_text("name: [")
    assert [each.info.name for each in remembered(plugins)] == []


def test_a_name_that_another_file_has_is_given_away_by_a_run_alone(plugins: Plugins, tmp_path: Path) -> None:
    first, second = write(tmp_path / "one"), write(tmp_path / "two")
    second.write_text(FILE.format(name="shop").replace("horizon: 2", "horizon: 3"))

    def horizon(text: str) -> int:
        (task,) = find_suite(plugins, text).factory(None).tasks()
        return int(task.horizon)

    assert (horizon("one/shop.yaml"), horizon("two/shop.yaml"), horizon("shop")) == (2, 3, 2)
    assert stored_name(plugins, "two/shop.yaml") == "shop" and [each.info.name for each in remembered(plugins)] == ["shop"]
    assert horizon("shop") == 2
    assert rebind(plugins, "shop") == rebind(plugins, "quick") == rebind(plugins, "one/shop.yaml") == "" and horizon("shop") == 2
    assert rebind(plugins, "two/shop.yaml").startswith(f"shop was {first} until now; it is {second} from now on")
    assert rebind(plugins, "two/shop.yaml") == "" and horizon("shop") == 3
    second.unlink()
    assert rebind(plugins, "one/shop.yaml") == "" and horizon("shop") == 2  # nothing is taken from a file that is gone


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nope.yaml", "-s nope.yaml: there is no such file; to make one: harness new suite nope"),
        ("./nope", "-s nope: there is no such file"),
        (
            "./shop.yaml[windows=2]",
            "-s ./shop.yaml[windows=2]: a suite of a file has no options in brackets; what they would say is written in ./shop.yaml",
        ),
        ("shop.toml/", "-s shop.toml: there is no such file"),
        ("./t.csv", "-s t.csv: no plugin reads a suite from such a file; wanted a .yaml file, as harness new suite makes it"),
        ("quick.yaml", "it calls its suite 'quick', as one of a plugin is called; give it another name"),
    ],
)
def test_files_that_are_none(text: str, message: str, plugins: Plugins, tmp_path: Path) -> None:
    write(tmp_path)
    write(tmp_path, "quick")
    with pytest.raises(UsageError, match=re.escape(message)):
        find_suite(plugins, text)


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_file_at_all(kind: str, plugins: Plugins, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    os.mkfifo(path) if kind == "pipe" else path.mkdir()
    with pytest.raises(UsageError, match=rf"x\.yaml: is a {kind}; wanted a file of YAML, as harness new suite makes it"):
        find_suite(plugins, str(path))


def test_hook_open_suite_file(plugins: Plugins, tmp_path: Path) -> None:
    class Toml:
        @hookimpl
        def open_suite_file(self, path: Path) -> tuple[SuiteInfo, Callable[[Path | None], Any]] | None:
            return (SuiteInfo("of-toml"), lambda data: (path, data)) if path.suffix == ".toml" else None

    plugins.pm.register(Toml())
    write(tmp_path)
    (tmp_path / "x.toml").write_text("")
    found = find_suite(plugins, "./x.toml")
    assert found.info.name == "of-toml" and found.factory(None) == (tmp_path / "x.toml", None)
    assert find_suite(plugins, "of-toml").info == found.info
    assert find_suite(plugins, "./shop.yaml").info.name == "shop"


def test_a_broken_file_and_a_broken_reader(plugins: Plugins, tmp_path: Path) -> None:
    path = write(tmp_path, text="name: shop\ntask: []\n")
    with pytest.raises(UsageError, match=re.escape(f"{path}, line 2: got the key 'task'; wanted one of name, ") + ".*Did you mean 'tasks'"):
        find_suite(plugins, "./shop.yaml")
    write(tmp_path, file="x.boom.yaml")
    with pytest.raises(PluginError, match=r"x.boom.yaml: reading it as a suite raised KeyError: 'x'; tell the author of the plugin"):
        find_suite(plugins, "x.boom.yaml")


def test_a_cache_that_cannot_be_written_costs_the_name_alone(plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "file"))
    path = write(tmp_path)
    assert find_suite(plugins, str(path)).info.name == "shop"
    with pytest.raises(UsageError, match="there is no suite 'shop'"):
        find_suite(plugins, "shop")
    (tmp_path / "cache2").mkdir()
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path / "cache2"))
    (tmp_path / "cache2" / "suites.json").write_text('{"shop": 3, "b": ["x"]}')
    assert remembered(plugins) == []
    with pytest.raises(UsageError, match="there is no suite 'b'"):
        find_suite(plugins, "b")


def test_what_is_a_file() -> None:
    assert [text for text in ("a.yaml", "a.yml", "./a", "d/a[x=1]", "cgm[of=a/b]", "cgm", "a.yaml[x=1]") if is_file(text)] == [
        *("a.yaml", "a.yml", "./a", "d/a[x=1]"),
    ]
    assert stored_name(Plugins(), "a suite of results alone") == "a suite of results alone"
