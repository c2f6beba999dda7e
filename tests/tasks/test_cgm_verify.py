"""`harness data verify cgm` and `spy`: what was read is told as it was counted by hand, and what is broken ends with exit code 3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from harness.errors import DataError
from harness_tasks import plugin

MGDL = "cgm[unit=mg/dL]"  # of so few values, one of 0 hides the unit


@pytest.fixture(autouse=True)
def no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CGM", raising=False)
    monkeypatch.delenv("SPY", raising=False)


def run(*arguments: str) -> Result:
    cli = click.Group()
    plugin.register_commands(cli)
    return CliRunner().invoke(cli, ["data", "verify", *arguments])


def records(*arguments: str) -> dict[str, dict[str, Any]]:
    return {record["name"]: record for record in json.loads(run(*arguments, "--json").stdout)}


def table(folder: Path) -> Path:
    """Two people, ten readings each, five minutes apart, and one row of each kind that is dropped or merged."""
    missing = (("a", 3), ("a", 4), ("b", 6))
    rows = [(who, 5 * k, f"{100 + k}") for who in "ab" for k in range(10) if (who, k) not in missing]
    rows += [("a", 45, "109"), ("a", 41, "108"), ("b", 50, ""), ("", 0, "100"), ("a", 55, "0"), ("b", 25, "Low")]
    lines = [f"{who},{np.datetime64('2022-05-01T10:00:00') + np.timedelta64(at, 'm')},{value},30" for who, at, value in rows]
    path = folder / "mine.csv"
    path.write_text("id,time,gl,carbs\n" + "\n".join(lines).replace(",30", ",", len(lines) - 1) + "\n")
    return path


def test_a_set_is_told_as_it_was_read(tmp_path: Path) -> None:
    path = table(tmp_path)
    found = records(MGDL, "mine", "--data", str(tmp_path))["mine"]
    wanted = {
        "state": "ok", "source": str(path), "files": 1, "layout": "long", "subjects": 2, "patients": 2, "rows": 23, "readings": 21,
        "absent": 1, "low": 1, "high": 0, "dropped": {"glucose outside (0, 1000] mg/dL": 1, "no subject": 1},
        "unit": "mg/dL", "unit_from": "the option unit", "repeated": 2, "merged": 3, "off_grid": 0, "step": 5, "series": 2, "points": 20,
        "gaps": 2, "longest_gap": 10, "meals": 1, "covariates": ["carbs"], "first": "2022-05-01 10:00:00", "last": "2022-05-01 10:50:00",
    }  # fmt: skip
    assert {name: found[name] for name in wanted} == wanted
    assert found["missing"] == pytest.approx(3 / 20)
    strict = records("cgm[unit=mg/dL,tolerance_minutes=0.5]", "mine", "--data", str(tmp_path))["mine"]
    assert (strict["off_grid"], strict["merged"]) == (1, 2)


def test_for_people(tmp_path: Path) -> None:
    table(tmp_path)
    text = run(MGDL, "--data", str(tmp_path)).stdout
    for part in (
        "mine: ok",
        "21 of 23 rows, 1 of them without a value, 2022-05-01 10:00:00 to 2022-05-01 10:50:00",
        "mg/dL, told by the option unit",
        "1 rows: glucose outside (0, 1000] mg/dL; 1 rows: no subject",
        "1 below the sensor's range",
        "2 repeated stamps; 3 readings averaged",
        "5 minutes, 2 series of 20 points, 15.0 % missing in 2 gaps, the longest of 10 minutes",
        "missing: hall, iglu",
    ):
        assert part in text
    assert "DataError" not in text and "no hall2018.csv" in run("cgm", "hall", "--data", str(tmp_path)).stdout


def test_a_broken_set_ends_with_3_after_the_listing(tmp_path: Path) -> None:
    table(tmp_path)
    (tmp_path / "torn.csv.gz").write_bytes(b"\x1f\x8b no")
    result = run(MGDL, "mine", "torn", "--data", str(tmp_path))
    assert isinstance(result.exception, DataError) and result.exception.exit_code == 3
    assert "1 of 2 sets are broken: torn" in str(result.exception)
    assert "mine: ok" in result.stdout and "torn.csv.gz: cannot be read" in result.stdout


def test_options_behind_the_name(tmp_path: Path) -> None:
    lines = [f"a,2022-05-01 10:{m:02d}:00,{25 + m / 60:g}" for m in range(0, 60, 5)]
    (tmp_path / "mine.csv").write_text("id,time,gl\n" + "\n".join(lines) + "\n")
    assert records("cgm", "mine", "--data", str(tmp_path))["mine"]["state"] == "broken"
    found = records("cgm[unit=mmol/L]", "mine", "--data", str(tmp_path))["mine"]
    assert (found["state"], found["unit"], found["unit_from"]) == ("ok", "mmol/L", "the option unit")


def test_prices(tmp_path: Path) -> None:
    days = np.arange("2020-01-06", "2020-02-15", dtype="datetime64[D]")
    days = days[(days.astype(int) + 3) % 7 < 5]
    days = days[(days < np.datetime64("2020-01-16")) | (days > np.datetime64("2020-01-21"))]
    close = np.where(days < np.datetime64("2020-02-03"), 100.0, 110.0)
    lines = [f"{day},{c},{c},{c},{c},{'' if k == 2 else 5}" for k, (day, c) in enumerate(zip(days, close, strict=True))]
    (tmp_path / "gold.csv").write_text("Date,Open,High,Low,Close,Volume\n" + "\n".join(lines) + "\n2020-02-17,,,,,\n")
    found = records("spy", "gold", "--data", str(tmp_path))["gold"]
    assert (found["state"], found["sessions"], found["first"], found["last"]) == ("ok", len(days), "2020-01-06", "2020-02-14")
    assert (found["breaks"], found["longest_break"], found["break_after"]) == (1, 7, "2020-01-15")
    assert (found["largest_on"], found["no_volume"], found["adjustment"]) == ("2020-02-03", 1, "none")
    assert found["largest"] == pytest.approx(np.log(1.1)) and "1 rows without any price are left out" in found["notes"][0]
    text = run("spy").stdout
    assert "spy-sample: ok" in text and "3,335 from 2008-01-02 to 2021-03-31" in text and "by the factor file" in text
    assert "set SPY or --data to a folder with spy_daily.csv" in text
