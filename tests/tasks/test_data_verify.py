"""`harness data verify`, its exit code, and that registering the commands and suites costs no heavy import."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from harness.errors import DataError, UsageError
from harness.types import SuiteInfo
from harness_tasks import plugin

Writer = Callable[..., Path]


def run(*arguments: str) -> Result:
    cli = click.Group()
    plugin.register_commands(cli)
    return CliRunner().invoke(cli, ["data", *arguments])


def records(result: Result) -> dict[str, dict[str, Any]]:
    return {record["name"]: record for record in json.loads(result.stdout)}


def test_quick_is_whole() -> None:
    result = run("verify", "quick", "--json")
    assert result.exit_code == 0
    found = records(result)
    assert len(found) == 12
    assert {record["state"] for record in found.values()} == {"ok"}
    parts = found["car_parts_with_missing"]
    assert (parts["items"], parts["series"], parts["min_length"], parts["max_length"]) == (2674, 2674, 51, 51)
    assert parts["missing"] == pytest.approx(0.0449, abs=1e-4)
    assert parts["windows"] == {"short": 1}
    assert found["bizitobs_l2c/H"]["windows"] == {"short": 6, "medium": 1, "long": 1}
    assert (found["bizitobs_l2c/H"]["variates"], found["bizitobs_l2c/H"]["past_covariates"]) == (7, 2)


def test_shares_and_lengths(write: Writer, tmp_path: Path) -> None:
    write([[0.0, np.nan, 1.0, 2.0] * 20, [np.inf] * 80 + [0.0] * 80], name="m4_hourly")
    record = records(run("verify", "gift-eval", "m4_hourly", "--data", str(tmp_path), "--json"))["m4_hourly"]
    assert (record["missing"], record["zero"], record["infinite"]) == (20 / 240, 100 / 240, 80)
    assert (record["min_length"], record["max_length"], record["state"]) == (80, 160, "ok")
    assert len(record["fingerprint"]) == 32


def test_table(write: Writer, tmp_path: Path) -> None:
    write([[1.0] * 99], name="m4_hourly")
    result = run("verify", "gift-eval", "m4_*", "--data", str(tmp_path))
    assert result.exit_code == 0, "what is not there is no failure"
    lines = {line.split()[0]: line for line in result.stdout.splitlines() if line}
    assert "ok" in lines["m4_hourly"]
    assert "short 1" in lines["m4_hourly"]
    assert "harness data pull gift-eval m4_daily" in lines["m4_daily"]
    assert "\x1b" not in result.stdout


def test_without_a_folder_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GIFT_EVAL", raising=False)
    result = run("verify", "gift-eval")
    assert result.exit_code == 0
    (line,) = result.stdout.splitlines()
    assert "dataset folders are missing: no data folder is given" in line
    assert line.endswith("fetch with: harness data pull gift-eval")


@pytest.mark.parametrize("width", [60, 80, 120])
def test_a_narrow_terminal_cuts_nothing_that_is_needed(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.cli.output.PIPED", width)
    text = run("verify", "quick").stdout
    assert max(map(len, text.splitlines())) <= width + 1
    lines = {line.split()[0]: line.split() for line in text.splitlines() if line}
    assert lines["car_parts_with_missing"][1] == "ok"
    assert len(lines["car_parts_with_missing"][-1]) == 12  # the fingerprint


def test_broken_dataset_ends_with_3_after_the_listing(write: Writer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.cli.output.PIPED", 400)  # the folder's name may be long
    path = write([[1.0] * 99], name="m4_hourly") / "data-00000-of-00001.arrow"
    path.write_bytes(path.read_bytes()[:-50])
    write([[1.0] * 5], name="hospital", freq="M")
    for extra in ([], ["--json"]):
        result = run("verify", "gift-eval", "m4_hourly", "hospital", "restaurant", "--data", str(tmp_path), *extra)
        assert isinstance(result.exception, DataError)
        assert result.exception.exit_code == 3
        assert "2 of 3 dataset folders are broken: m4_hourly, hospital" in str(result.exception)
        assert "wanted a whole Arrow stream" in result.stdout
        assert "series item 0 has 5 values" in result.stdout
    assert [record["state"] for record in records(result).values()] == ["broken", "broken", "missing"]


def test_what_a_file_says_is_not_markup(write: Writer, tmp_path: Path) -> None:
    write([[1.0] * 5], name="m4_hourly", freq="[red]x[/red]")
    assert "[red]x[/red]" in run("verify", "gift-eval", "m4_hourly", "--data", str(tmp_path)).stdout


def test_a_changed_value_shows_though_the_file_looks_the_same(write: Writer, tmp_path: Path) -> None:
    def shown() -> str:
        return str(records(run("verify", "gift-eval", "m4_hourly", "--data", str(tmp_path), "--json"))["m4_hourly"]["fingerprint"])

    import os

    path = write([[1.0] * 99], name="m4_hourly") / "data-00000-of-00001.arrow"
    before, times = shown(), (path.stat().st_atime_ns, path.stat().st_mtime_ns)
    write([[1.0] * 98 + [2.0]], name="m4_hourly")
    os.utime(path, ns=times)
    assert shown() != before


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["verify", "qick"], "Did you mean 'quick'"),
        (["verify", "quick", "hospitals"], "Did you mean 'hospital'"),
        (["verify", "quick", "ett1"], "suite quick has no dataset 'ett1'"),
        (["pull", "quick"], "its data is inside the package"),
        (["pull", "gift-evl"], "Did you mean 'gift-eval'"),
        (["pull", "cgm"], "there is nothing to fetch for it"),
        (["verify", "cgm", "hal"], "suite cgm has no set 'hal'. Did you mean 'hall'"),
        (["verify", "spy", "gold"], "suite spy has no instrument 'gold'. To see all: harness data verify spy"),
        (["verify", "cgm[strides=2]"], "suite 'cgm' has no option 'strides'. Did you mean 'stride'"),
    ],
)
def test_wrong_names(arguments: list[str], words: str) -> None:
    error = run(*arguments).exception
    assert isinstance(error, UsageError)
    assert words in str(error)


def test_suites_are_registered_with_what_opens_them(tmp_path: Path) -> None:
    found: dict[str, Any] = {}

    def register(info: SuiteInfo, factory: Callable[[Path | None], Any]) -> None:
        found[info.name] = factory

    plugin.register_suites(register)
    assert list(found)[:3] == ["gift-eval", "quick", "monash"]
    assert len(found["gift-eval"](tmp_path).tasks()) == 97
    assert len(found["quick"](None).tasks()) == 17


def test_registering_is_cheap() -> None:
    code = (
        "import sys, click; from harness_tasks import plugin; cli = click.Group(); plugin.register_commands(cli);"
        "plugin.register_suites(lambda info, factory: None);"
        "print([m for m in ('numpy', 'pyarrow', 'huggingface_hub', 'rich') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
