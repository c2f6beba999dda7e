"""Folders and files that a user types: "~name" of nobody, and folders of data that are not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import HarnessError, Unavailable, UsageError
from harness.files import data_folder, expanded
from harness.plugins import Plugins
from harness.suites import find_suite
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
