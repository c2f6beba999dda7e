"""Tables for people: what a stranger named is shown as it is, in titles, headers, cells and notes."""

from __future__ import annotations

import io
import sys

import pytest

from harness.cli.output import Column, print_grid, print_table

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
