"""Folders and files that a user types: "~name" of nobody, and folders of data that are not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.cache import cache_folder, load_cached, store_cached
from harness.errors import HarnessError, Unavailable, UsageError
from harness.files import data_folder, expanded
from harness.plugins import Plugins
from harness.suites import find_suite
from harness.weights import hub_cache, weights_folder
from harness_tasks.cgm.suite import cgm
from harness_tasks.gift_eval import gift_eval
from harness_tasks.monash import monash
from harness_tasks.own.suite import open_file
from harness_tasks.spy.suite import spy

SUITES: dict[str, Callable[[Path | None], Any]] = {"GIFT_EVAL": gift_eval, "MONASH": monash, "CGM": cgm, "SPY": spy}
NOBODY = "~nosuchuser/data"
OWN = "name: shop\ntasks:\n- {{name: a, source: {source}, columns: {{id: id, time: t, target: v}}, freq: D, horizon: 3}}\n"


def test_a_user_who_is_not_there_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert expanded("~/x") == tmp_path / "x" and expanded(Path("~")) == tmp_path
    assert expanded(NOBODY) == Path(NOBODY) == expanded(Path(NOBODY))
    assert expanded("a/~/b") == Path("a/~/b")


def test_the_argument_before_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MINE", raising=False)
    assert data_folder(None, "MINE") is None is data_folder(None)
    monkeypatch.setenv("MINE", "")
    assert data_folder(None, "MINE") is None
    (tmp_path / "a").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MINE", "~/a")
    assert data_folder(None, "MINE") == tmp_path / "a"
    assert data_folder(tmp_path, "MINE") == tmp_path


@pytest.mark.parametrize("variable", SUITES)
@pytest.mark.parametrize("folder", ["/nowhere/at all", NOBODY, "x" * 5000, __file__])
def test_every_suite_refuses_a_folder_that_is_not_there(variable: str, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, folder)
    with pytest.raises(UsageError) as caught:
        SUITES[variable](None)
    assert str(caught.value) == f"{variable}={folder}: there is no such folder"
    monkeypatch.delenv(variable)
    with pytest.raises(UsageError) as caught:
        SUITES[variable](Path(folder))
    assert str(caught.value) == f"--data {folder}: there is no such folder"


def test_files_of_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text in ("~nosuchuser/x.yaml", "~nosuchuser/x.yaml[a=1]"):
        with pytest.raises(UsageError, match=r"-s ~nosuchuser/x\.yaml.*: there is no such file"):
            find_suite(Plugins(), text)
    file = tmp_path / "shop.yaml"
    file.write_text(OWN.format(source="~nosuchuser/x.csv"))
    found = open_file(file)
    assert found is not None
    suite = found[1](None)
    with pytest.raises(Unavailable, match=r"there is no .*~nosuchuser/x\.csv"):
        suite.open(suite.tasks()[0])
    with pytest.raises(UsageError, match="--data ~nosuchuser/data: there is no such folder"):
        found[1](Path(NOBODY))
    file.write_text(OWN.format(source="~nosuchuser/x.csv").replace(" freq: D,", ""))
    with pytest.raises(HarnessError, match="without 'freq'"):
        open_file(file)


@pytest.mark.parametrize("variable", ["HARNESS_CACHE", "XDG_CACHE_HOME"])
def test_a_cache_of_nobody_is_told(variable: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HARNESS_CACHE", raising=False)
    monkeypatch.setenv(variable, "~nosuchuser/cache")
    told = r"~nosuchuser/cache.*: there is no home that '~nosuchuser' could stand for; write out where it is: HARNESS_CACHE=FOLDER"
    for use in (cache_folder, lambda: load_cached("a.json"), lambda: store_cached("a.json", {})):
        with pytest.raises(UsageError, match=told):
            use()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("variable", ["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"])
def test_weights_of_nobody_are_told(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for each in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(variable, "~nosuchuser")
    with pytest.raises(UsageError, match=f"got {variable}=~nosuchuser: there is no home .*: {variable}=FOLDER"):
        hub_cache()
    with pytest.raises(Unavailable, match=r"m: there is no file or folder .*/~nosuchuser/w; give one that exists: -M m:weights=PATH"):
        weights_folder("~nosuchuser/w", source="hf:a/b", model="m")


def test_where_the_hub_keeps_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for each in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert hub_cache() == tmp_path / ".cache" / "huggingface" / "hub"
    monkeypatch.setenv("XDG_CACHE_HOME", "~/x")
    assert hub_cache() == tmp_path / "x" / "huggingface" / "hub"
    monkeypatch.setenv("HF_HOME", "~/y")
    assert hub_cache() == tmp_path / "y" / "hub"
    monkeypatch.setenv("HF_HUB_CACHE", "/z")
    assert hub_cache() == Path("/z")
