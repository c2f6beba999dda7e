"""Tables for people: what a stranger named is shown as it is, in titles, headers, cells and notes."""

from __future__ import annotations

import io
import json
import sys
from datetime import datetime

import pytest

from harness.cli import main
from harness.cli.output import Column, print_grid, print_rows, print_table, printable

HOSTILE = "ttm[context=512] [/b] [red]x :smile: \x1b[31m\nnext"
SHOWN = "ttm[context=512] [/b] [red]x :smile: �[31m�next"


def test_a_strangers_text_is_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([{HOSTILE: HOSTILE}], [HOSTILE], title=f"title {HOSTILE}")
    text = " ".join(capsys.readouterr().out.split())
    assert text.startswith(f"title {SHOWN} {SHOWN} ─")
    assert text.endswith(f"─ {SHOWN}")
    print_grid([Column(HOSTILE)], [[HOSTILE]], f"title {HOSTILE}", [f"note {HOSTILE}"], rule=False)
    assert " ".join(capsys.readouterr().out.split()) == f"title {SHOWN} {SHOWN} {SHOWN} note {SHOWN}"


def test_numbers_lie_to_the_right(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([{"name": "a", "n": 1.0, "sure": True}, {"name": "b", "n": 12345}], ["name", "n", "sure"])
    rows = capsys.readouterr().out.splitlines()[3:5]
    assert [row.split() for row in rows] == [["a", "1", "True"], ["b", "12345"]]
    assert rows[0].index("1") == rows[1].index("5")


def test_long_texts_are_cut_or_folded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    long = "x" * 1000
    print_grid([Column("folded", width=50), Column("cut", one_line=True, cut=True, width=30, longest=20)], [[long, long]])
    text = sys.stdout.getvalue()  # type: ignore[attr-defined]
    assert text.count("x") == 399 + 19
    assert f"{'x' * 19}…" in text
    assert max(map(len, text.splitlines())) <= 50 + 30 + 4


def at(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr("harness.cli.output.PIPED", width)


def test_columns_are_left_out_before_anything_is_unreadable(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"name": "a" * 32, "task": "loop_seattle/5T/short", "none": "", "n": 123456789, "why": "many words " * 9}]
    columns = ["name", "task", "none", "n", "why"]
    at(monkeypatch, 200)
    print_table(rows, columns, drop=["n"])
    text = capsys.readouterr().out
    assert "none" in text
    assert "a" * 12 in text
    assert "a" * 13 not in text
    at(monkeypatch, 80)
    print_table(rows, columns, drop=["n"], all_with="--json")
    text = capsys.readouterr().out
    assert "none" not in text.partition("left out")[0]
    assert "123456789" in text
    assert "left out, as a line has 80 characters: none; --json" in text
    at(monkeypatch, 60)
    print_table(rows, columns, drop=["n"])
    text = capsys.readouterr().out
    assert "left out, as a line has 60 characters: none, n" in text
    assert text.count("many") == 9
    assert max(map(len, text.splitlines())) <= 61


def test_what_fits_no_table_is_printed_in_blocks(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    names = [f"column_{i}" for i in range(20)]
    row = [f"some text {i}" for i in range(20)]
    at(monkeypatch, 80)
    print_rows(names, [row, row])
    text = capsys.readouterr().out
    lines = [line.rstrip() for line in text.splitlines()]
    assert lines[0] == "── 1 of 2 ──"
    assert lines[1] == "column_0   some text 0"
    assert lines.count("column_19  some text 19") == 2
    print_rows(["a", "b"], [["x" * 32, 1.5]])
    assert "x" * 32 in capsys.readouterr().out
    print_rows(names, [])
    assert capsys.readouterr().out


def test_moments_have_no_fractions_of_seconds() -> None:
    assert printable(datetime(2026, 1, 2, 3, 4, 5, 678)) == "2026-01-02 03:04:05"


@pytest.mark.parametrize("command", [["ls", "models"], ["weights", "list"], ["ls", "suites"], ["ls", "plugins"]])
def test_names_stay_whole_on_a_narrow_terminal(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at(monkeypatch, 80)
    with pytest.raises(SystemExit, match="0"):
        main([*command, "--json"])
    names = [row["model" if command[0] == "weights" else "name"] for row in json.loads(capsys.readouterr().out)]
    with pytest.raises(SystemExit, match="0"):
        main(command)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 81
    assert [line.split()[0] for line in lines if line.split() and line.split()[0] in names] == names
    assert f"all of it: harness {' '.join(command)} --json" in " ".join(" ".join(lines).split())


def test_columns_of_names_come_before_long_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"plugin": "harness-gluonts", "key": "0" * 16, "models": ["deepar", "dlinear", "tft", "11 more"], "size": "1.9 GB"}]
    at(monkeypatch, 70)
    print_table(rows, [*rows[0]], drop=("size",), whole=("plugin", "key"))
    text = capsys.readouterr().out
    assert [line for line in text.splitlines() if "harness-gluonts   0000000000000000   deepar, " in line]
    assert "left out, as a line has 70 characters: size" in text
