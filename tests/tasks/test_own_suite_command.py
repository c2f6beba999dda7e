"""`harness new suite`: what it makes runs at once, of an example or of a table of one's own; every command that takes `-s` takes files."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet
from support import Lab
from tables_kit import opened

from harness.errors import DataError, UsageError
from harness_tasks.own.propose.columns import freq_of, look_at
from harness_tasks.own.propose.rhythm import spacing
from harness_tasks.own.propose.season import season_of, usual_season
from harness_tasks.own.propose.suite import example_table, make_suite


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


def dated(values: list[str], step: timedelta = timedelta(days=1), name: str = "Umsatz") -> str:
    return f"Datum,{name}\n" + "".join(f"{datetime(2021, 1, 4) + i * step},{value}\n" for i, value in enumerate(values))


def test_words_among_numbers_are_named(tmp_path: Path) -> None:
    values = [f"{i % 50}.5" for i in range(1300)]
    values[1234] = "n.v."
    (tmp_path / "umsatz.csv").write_text(dated(values))
    made = make_suite("umsatz", tmp_path, tmp_path / "umsatz.csv")
    assert made.notes == ("Umsatz: numbers but for 'n.v.' (line 1236)",)
    assert "csv: {missing: [n.v.]}" in made.path.read_text()
    (data,) = opened(made.path)
    assert np.flatnonzero(np.isnan(data.series.target[0])).tolist() == [1234]
    values[3], values[5], values[7] = '"a: b"', "n.v.", "NA"
    (tmp_path / "umsatz.csv").write_text(dated(values))
    made = make_suite("again", tmp_path, tmp_path / "umsatz.csv")
    assert made.notes == ("Umsatz: numbers but for 'a: b' (line 5), 'n.v.' (line 7 and 1 more)",)
    assert np.isnan(opened(made.path)[0].series.target[0]).sum() == 4
    for odd in (["12x"], ["a", "b", "c", "d"], ["x"] * 70):  # digits; too many words; too often
        (tmp_path / "odd.csv").write_text(dated([*odd, *values[10:1200]]))
        assert look_at(tmp_path / "odd.csv").targets == ()


def wandering(kind: str, count: int, season: int) -> list[float]:
    rng = np.random.default_rng(5)
    noise, at = rng.normal(size=count), np.arange(count)
    return {
        "season": 10 + 0.02 * at + 2 * np.sin(2 * np.pi * at / season) + noise,
        "noise": noise,
        "walk": np.cumsum(noise),
        "slow": 100 * np.sin(2 * np.pi * at / (20 * season)) + 0.01 * noise,
        "trend": 0.5 * at + noise,
    }[kind].tolist()


@pytest.mark.parametrize("freq", ["D", "H", "W", "15T", "B", "M"])
def test_a_season_is_proposed_where_it_shows(freq: str) -> None:
    season, count = {"D": 7, "H": 24, "W": 52, "15T": 96, "B": 5, "M": 12}[freq], 800
    assert usual_season(freq) == season
    for kind in ("season", "noise", "walk", "slow", "trend"):
        found, alike = season_of(freq, [([], wandering(kind, count, season)), ([], [1.0] * count)])
        assert found == (season if kind == "season" else 0), (kind, alike)
    values, half = wandering("season", count, season), season // 2
    rest = []
    for at in range(half, count - half):
        around = values[at - half : at + half + 1]
        rest.append(values[at] - (sum(around) - (0 if season % 2 else (around[0] + around[-1]) / 2)) / season)
    r = sum(a * b for a, b in zip(rest, rest[season:], strict=False))
    r /= math.sqrt(sum(a * a for a in rest[:-season]) * sum(b * b for b in rest[season:]))
    assert season_of(freq, [([], values)])[1] == pytest.approx(r)
    assert season_of(freq, [([], values[: 3 * season - 1])]) == season_of(freq, []) == (0, 0.0)


def test_the_season_of_a_table_with_gaps(tmp_path: Path) -> None:
    lines = dated([f"{v:.3f}" for v in wandering("season", 400, 7)]).splitlines()
    kept = [lines[0], *(line for i, line in enumerate(lines[1:]) if i % 11)]  # in their order there is no week any more
    (tmp_path / "shop.csv").write_text("\n".join([kept[0], *reversed(kept[1:])]))
    made = make_suite("shop", tmp_path, tmp_path / "shop.csv")
    assert "\n    season_length: 7 " in made.path.read_text() and opened(made.path)[0].task.season_length == 7
    (tmp_path / "walk.csv").write_text(dated([f"{v:.3f}" for v in wandering("walk", 400, 7)]))
    made = make_suite("walk", tmp_path, tmp_path / "walk.csv")
    assert "# season_length: steps of a season; a week is 7" in made.path.read_text() and opened(made.path)[0].task.season_length == 1


def test_a_parquet_table(tmp_path: Path) -> None:
    days = [datetime(2021, 1, 4) + timedelta(days=i) for i in range(60)]
    long = {
        "note": ["2020-01-01"] * 120,  # looks like a time, but a type says more
        "when": pa.array(days * 2, pa.timestamp("ns")),
        "shop": pa.array(["a"] * 60 + ["b"] * 60).dictionary_encode(),
        "open": [True] * 120,
        "sold": pa.array([float(i % 7) for i in range(60)] * 2, pa.float32()),
    }
    parquet.write_table(pa.table(long), tmp_path / "long.parquet")
    made = make_suite("long", tmp_path, tmp_path / "long.parquet")
    (data,) = opened(made.path)
    assert made.notes == () and "csv:" not in made.path.read_text()
    assert (data.task.name, data.task.freq, data.task.season_length) == ("sold", "D", 7)
    assert data.series.item_ids.to_pylist() == ["a", "b"] and data.series.target[1].tolist() == [float(i % 7) for i in range(60)]
    lists = {"start": days[:2], "name": ["x", "y"], "target": [[1.0, 2.0, 3.0] * 9, [4.0] * 30]}
    parquet.write_table(pa.table(lists), tmp_path / "lists.pq")
    made = make_suite("lists", tmp_path, tmp_path / "lists.pq")
    assert len(made.notes) == 1 and "mend freq" in made.notes[0] and "layout: nested" in made.path.read_text()
    assert opened(made.path)[0].series.item_ids.to_pylist() == ["x", "y"]
    parquet.write_table(pa.table({**lists, "start": [days[:27], days[:30]]}), tmp_path / "timed.pq")
    assert (look_at(tmp_path / "timed.pq").freq, look_at(tmp_path / "timed.pq").longest) == ("D", 30)
    (tmp_path / "broken.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="wanted a whole Parquet file"):
        look_at(tmp_path / "broken.parquet")
    parquet.write_table(pa.table({"a": pa.array([], pa.int64())}), tmp_path / "none.parquet")
    with pytest.raises(DataError, match="has no row"):
        look_at(tmp_path / "none.parquet")


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


@pytest.mark.parametrize("name", ["p.csv", "p.tsf", "p.parquet"])
def test_a_pipe_is_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(UsageError, match=rf"--from .*{name}: is a pipe; wanted a CSV, Parquet or \.tsf file, or a folder of data"):
        make_suite("x", tmp_path, tmp_path / name)


def test_bytes_that_are_no_text_are_no_table(tmp_path: Path) -> None:
    (tmp_path / "b.csv").write_bytes(np.random.default_rng(1).bytes(20_000))
    with pytest.raises(DataError, match=r"--from .*b\.csv: the column .* has characters that are no text; wanted a table of text"):
        make_suite("x", tmp_path, tmp_path / "b.csv")
    assert not (tmp_path / "x.yaml").exists()
    (tmp_path / os.fsdecode(b"caf\xe9.csv")).write_text("t,y\n2024-01-01,1\n")
    with pytest.raises(DataError, match=r"caf.\.csv: this path is not UTF-8"):
        make_suite("x", tmp_path, tmp_path / os.fsdecode(b"caf\xe9.csv"))


def test_odd_names_are_quoted(tmp_path: Path) -> None:
    """Names of columns and files that YAML would end a line at, or not read at all; signs of cp1252 that are taken for latin-1."""
    names = ["a\x85b", "c\u2028", "d\ufffe", "\ufeffe", "f\ng: h", "i\x80", "\U0001f600"]
    table = pa.table({"t": ["2024-01-01", "2024-01-02", "2024-01-03"], **{name: [1.0, 2.0, 4.0] for name in names}})
    for columns in (["t", *names], ["t", *reversed(names)]):
        path = tmp_path / f"odd\n{columns[1]}.parquet"
        parquet.write_table(table.select(columns), path)
        (data,) = opened(make_suite(f"x{len(list(tmp_path.iterdir()))}", tmp_path, path).path)
        assert data.series.target.length.tolist() == [3] * len(data.series.target)


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
    board.expect(0, "shop: 1 model, 2 tasks")
    assert len(cells.expect(0).json()) == 4 and {row["stale"] for row in cells.json()} == {""}
    assert [row["available"] for row in listed.expect(0).json()] == [True, True]
    assert [row["plugin"] for row in suites.expect(0).json() if row["name"] == "shop"] == ["file"]
    assert {row["kind"] for row in shown.expect(0).json()} == {"task", "cell"}
    scored.expect(0)
    wrong.expect(2, "a suite of a file has no options in brackets")
    (cell,) = [row["name"] for row in cells.json() if row["task"] == "sales/7" and not row["scope"]]
    (lab.folder / "other").mkdir()
    other = lab.folder / "other" / "shop.yaml"
    other.write_text((lab.folder / "shop.yaml").read_text().replace("[7, 28]", "[8]"))
    (lab.folder / "other" / "shop.csv").write_text((lab.folder / "shop.csv").read_text())
    plain = lab.folder / "plain.yaml"
    plain.write_text((lab.folder / "shop.yaml").read_text().replace("name: shop", "name: plain").replace("horizons: [7, 28]", "horizon: 7"))
    whole, named, slashed = lab.many([
        ["show", "./plain.yaml", "--json"],
        ["show", "plain:sales", "--json"],
        ["show", "sales/28", "--json"],
    ])  # fmt: skip
    whole.expect(0)
    assert [(row["kind"], row["suite"], row["horizon"]) for row in named.expect(0).json()] == [("task", "plain", 7)]
    assert ("task", "shop", 28) in [(row["kind"], row["suite"], row["horizon"]) for row in slashed.expect(0).json()]
    looked, planned, kept, ran, name, back = lab.many([
        ["ls", "tasks", "-s", str(other), "--json"],
        ["plan", "-m", "good", "-s", str(other), "--isolation", "inprocess"],
        ["ls", "tasks", "-s", "shop", "--json"],
        ["run", "-m", "good", "-s", str(other), "--isolation", "inprocess", "--json", "--db", "other.duckdb"],
        ["ls", "tasks", "-s", "shop", "--json"],
        ["run", "-m", "good", "-s", "./shop.yaml", "--isolation", "inprocess", "--json"],
    ])  # fmt: skip
    assert [row["name"] for row in looked.expect(0).json()] == ["sales/8"] == [row["name"] for row in name.expect(0).json()]
    planned.expect(0)
    assert [row["name"] for row in kept.expect(0).json()] == ["sales/7", "sales/28"]
    ran.expect(0, f"shop was {lab.folder / 'shop.yaml'} until now; it is {other} from now on")
    assert back.expect(0, f"shop was {other} until now").json()["counts"]["cached"] == 2
    table = lab.folder / "shop.csv"
    replayed, gone = lab.many([["replay", cell], ["ls", "cells", "-s", "shop", "--json"]])
    replayed.expect(0, "equal within")
    assert {row["stale"] for row in gone.expect(0).json()} == {""}
    table.write_text(table.read_text().replace("2023-02-01,north,", "2023-02-01,north,1"))
    (stale,) = lab.many([["ls", "cells", "-s", "shop", "--json"]])
    assert all("data" in row["stale"] for row in stale.expect(0).json())
