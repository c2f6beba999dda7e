"""`harness new suite`: what it makes runs at once, of an example or of a table of one's own; every command that takes `-s` takes files."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from support import Lab

from harness.errors import DataError, UsageError
from harness.scaffold.columns import freq_of, look_at, spacing
from harness.scaffold.suite import example_table, make_suite
from harness.series import TaskData
from harness_tasks.own.suite import open_file


def opened(path: Path) -> list[TaskData]:
    """The data of all tasks of a suite file."""
    found = open_file(path)
    assert found is not None
    suite: Any = found[1](None)
    return [suite.open(task) for task in suite.tasks()]


def test_the_example_can_be_read_as_it_is(tmp_path: Path) -> None:
    made = make_suite("my-shop", tmp_path)
    assert made.files == ("my-shop.yaml", "my-shop.csv") and made.notes == ()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["my-shop.csv", "my-shop.yaml"]
    short, long = opened(made.path)
    assert (short.task.name, short.windows, len(short)) == ("sales/7", 6, 24)
    assert (long.task.name, long.windows, long.task.season_length) == ("sales/28", 2, 7)
    assert short.series.known_count == 1 and short.series.item_ids.to_pylist() == ["east", "harbour", "north", "south"]
    assert example_table() == (tmp_path / "my-shop.csv").read_text() == example_table()
    text = made.path.read_text()
    assert text.count("  # - name: rise") == 1  # what stands in a comment is right too
    at = text.index("  # - name: rise")
    made.path.write_text(text[:at] + text[at:].replace("  # ", "  "))
    assert opened(made.path)[2].task.kind == "event"


STEPS = {
    "15T": timedelta(minutes=15),
    "H": timedelta(hours=1),
    "D": timedelta(days=1),
    "W": timedelta(days=7),
    "10S": timedelta(seconds=10),
}


def rows(times: list[str], value: Callable[[int], str], names: tuple[str, ...] = ("a", "b")) -> list[list[str]]:
    return [[name, time, value(i)] for name in names for i, time in enumerate(times)]


@pytest.mark.parametrize(
    ("pattern", "mark", "decimal", "encoding"),
    [("%Y-%m-%dT%H:%M:%S", ",", ".", "utf-8"), ("%d.%m.%Y %H:%M:%S", ";", ",", "cp1252"), ("%m/%d/%Y %H:%M:%S", "\t", ".", "utf-8")],
)
@pytest.mark.parametrize("freq", STEPS)
def test_a_table_of_ones_own(freq: str, pattern: str, mark: str, decimal: str, encoding: str, tmp_path: Path) -> None:
    times = [(datetime(2024, 1, 20) + k * STEPS[freq]).strftime(pattern) for k in range(40)]
    table = [["Zähler", "Date", "Wert kWh"], *rows(times, lambda i: f"{i * 0.5:.1f}".replace(".", decimal))]
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "my table.csv").write_bytes("\r\n".join(mark.join(row) for row in table).encode(encoding))
    made = make_suite("own", tmp_path, tmp_path / "in" / "my table.csv")
    assert made.notes == () and 'source: "in/my table.csv"' in made.path.read_text()
    (data,) = opened(made.path)
    assert data.task.freq == freq and data.task.name == "Wert-kWh" and data.series.item_ids.to_pylist() == ["a", "b"]
    assert data.series.starts[0].item() == datetime(2024, 1, 20)
    assert data.series.target[1].tolist() == [i * 0.5 for i in range(40)]


def test_other_tables(tmp_path: Path) -> None:
    months = [f"{2000 + k // 12}-{k % 12 + 1:02d}" for k in range(60)]
    (tmp_path / "wide.csv").write_text("month,north,south\n" + "\n".join(f"{m},{i},{i + 1}" for i, m in enumerate(months)))
    made = make_suite("wide", tmp_path, tmp_path / "wide.csv")
    (data,) = opened(made.path)
    assert data.task.freq == "M" and data.series.item_ids.to_pylist() == ["north", "south"] and "layout: wide" in made.path.read_text()
    days = [datetime(2024, 1, 1) + timedelta(days=k) for k in range(60)]
    (tmp_path / "b.csv").write_text("close,date\n" + "\n".join(f"{i},{d:%Y-%m-%d}" for i, d in enumerate(days) if d.weekday() < 5))
    assert look_at(tmp_path / "b.csv").freq == "B" and freq_of(tmp_path / "b.csv", "date") == "B"
    (tmp_path / "plain.csv").write_text("x\n" + "\n".join(map(str, range(30))))
    made = make_suite("plain", tmp_path, tmp_path / "plain.csv")
    assert len(made.notes) == 2 and "no column of times" in made.notes[0] and "mend freq" in made.notes[1]
    assert opened(made.path)[0].series.target[0].tolist() == list(range(30))
    (tmp_path / "empty.csv").write_text("a,b\n")
    with pytest.raises(DataError, match="has no header and row"):
        make_suite("e", tmp_path, tmp_path / "empty.csv")
    assert freq_of(tmp_path / "empty.csv", "a") == freq_of(tmp_path / "none.csv", "a") == spacing([5], ["a"]) == ""


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("My Shop", "Perhaps: harness new suite my-shop"),
        ("shop.yaml", "Perhaps: harness new suite shop"),
        ("quick", "which a suite of a plugin has"),
        ("there", "there.yaml is there already"),
        ("", "wanted small letters"),
    ],
)
def test_names_that_will_not_do(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "there.yaml").write_text("x")
    with pytest.raises(UsageError, match=message):
        make_suite(name, tmp_path)
    with pytest.raises(UsageError, match="there is no folder"):
        make_suite("ok", tmp_path / "none")
    with pytest.raises(UsageError, match=r"--from .*none\.csv: there is no such file"):
        make_suite("ok", tmp_path, tmp_path / "none.csv")
    assert [p.name for p in tmp_path.iterdir()] == ["there.yaml"]


def test_every_command_takes_a_file(lab: Lab) -> None:
    lab.plugin("good", "\nclass Good:\n    def predict(self, batch):\n        return Forecast.from_points(last(batch))\n\n"
               "@hookimpl\ndef register_models(register):\n    register(ModelInfo('good'), Good)\n")  # fmt: skip
    made, run, again, limited, board, cells, listed, suites, shown, scored, wrong = lab.many([
        ["new", "suite", "shop"],
        ["run", "-m", "good", "-s", "./shop.yaml", "--save-forecasts", "--isolation", "inprocess", "--json"],
        ["run", "-m", "good", "-s", "shop", "--isolation", "inprocess", "--json"],
        ["run", "-m", "good", "-s", "shop", "--limit", "2", "--isolation", "inprocess", "--json"],
        ["leaderboard", "-s", "./shop.yaml"],
        ["ls", "cells", "-s", "./shop.yaml", "--json"],
        ["ls", "tasks", "-s", "shop", "--json"],
        ["ls", "suites", "--json"],
        ["show", "shop:sales/7", "--json"],
        ["score", "--dialect", "fev", "-s", "./shop.yaml", "--json"],
        ["ls", "tasks", "-s", "./shop.yaml[windows=2]"],
    ])  # fmt: skip
    made.expect(
        0, "made ./shop.yaml and shop.csv. Next:", "harness run -m naive,seasonal_naive -s ./shop.yaml", "harness leaderboard -s shop"
    )
    assert {key: cell["status"] for key, cell in run.expect(0).cells().items()} == {("good", "sales/7"): "ok", ("good", "sales/28"): "ok"}
    assert again.expect(0).json()["counts"]["cached"] == 2
    assert limited.expect(0).json()["counts"]["cached"] == 0
    board.expect(0, "shop: 1 models, 2 tasks")
    assert len(cells.expect(0).json()) == 4 and {row["stale"] for row in cells.json()} == {""}
    assert [row["available"] for row in listed.expect(0).json()] == [True, True]
    assert [row["plugin"] for row in suites.expect(0).json() if row["name"] == "shop"] == ["file"]
    assert {row["kind"] for row in shown.expect(0).json()} == {"task", "cell"}
    scored.expect(0)
    wrong.expect(2, "a suite of a file has no options in brackets")
    (cell,) = [row["name"] for row in cells.json() if row["task"] == "sales/7" and not row["scope"]]
    table = lab.folder / "shop.csv"
    replayed, gone = lab.many([["replay", cell], ["ls", "cells", "-s", "shop", "--json"]])
    replayed.expect(0, "equal within")
    assert {row["stale"] for row in gone.expect(0).json()} == {""}
    table.write_text(table.read_text().replace("2023-02-01,north,", "2023-02-01,north,1"))
    (stale,) = lab.many([["ls", "cells", "-s", "shop", "--json"]])
    assert all("data" in row["stale"] for row in stale.expect(0).json())
