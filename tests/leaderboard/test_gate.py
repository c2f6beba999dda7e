"""`--fail-if`: what it reads, what it stops, and that nothing measured never passes."""

from __future__ import annotations

import doctest
import math
from typing import Any

import click
import pytest
from click.testing import CliRunner

from harness.errors import UsageError
from harness_leaderboard import gate
from harness_leaderboard.gate import breaches, fail_if_option, parse, say

ROWS: list[dict[str, Any]] = [
    {"model": "good", "source": "own", "nMASE": 0.7, "nCRPS": 0.5, "failed": 0},
    {"model": "poor", "source": "gift-eval", "nMASE": 0.9, "nCRPS": None, "failed": 2},
]


def test_worked_numbers() -> None:
    assert doctest.testmod(gate) == (0, 1)


@pytest.mark.parametrize(
    ("text", "column", "op", "number"),
    [
        ("nMASE>0.8", "nMASE", ">", 0.8),
        (" failed != 0 ", "failed", "!=", 0),
        ("difference>=1%", "difference", ">=", 0.01),
        ("nMASE<=-1e-3", "nMASE", "<=", -0.001),
        ("MASE[0.5]==1", "MASE[0.5]", "==", 1),
        ("rank_MASE<+.5 %", "rank_MASE", "<", 0.005),
    ],
)
def test_conditions_are_read(text: str, column: str, op: str, number: float) -> None:
    found = parse(text)
    assert (found.column, found.op, found.text) == (column, op, text.strip())
    assert found.number == pytest.approx(number)


@pytest.mark.parametrize(
    "text",
    [
        *("", "nMASE", "nMASE>", ">0.8", "0.8>nMASE", "nMASE=0.8", "nMASE=>0.8", "nMASE>nan", "nMASE>inf", "nMASE>1_0", "nMASE>%"),
        *("nMASE>0.8>0.7", "a b>1", "nMASE>0.8; DROP TABLE", "nMASE>" + "9" * 400, "\x1b[31m>1", "n" * 10_000, "nMASE>0.8\0"),
    ],
)
def test_nonsense_says_what_is_wanted(text: str) -> None:
    with pytest.raises(UsageError, match=r'wanted COLUMN OP NUMBER, as in "nMASE>0\.8"') as caught:
        parse(text)
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("op", "met"),
    [
        (">", [False, True]),
        (">=", [True, True]),
        ("<", [False, False]),
        ("<=", [True, False]),
        ("==", [True, False]),
        ("!=", [False, True]),
    ],
)
def test_every_operator(op: str, met: list[bool]) -> None:
    found = breaches([f"nMASE{op}0.7"], ROWS)
    assert [any(row["model"] in line for line in found) for row in ROWS] == met


def test_lines_name_the_row_the_number_and_the_condition() -> None:
    assert breaches(["nMASE>0.8"], ROWS) == ["gate nMASE>0.8: poor (gift-eval) has nMASE 0.9"]
    assert breaches(["nMASE>0.8", "failed>0", "nMASE>2"], ROWS) == [
        "gate nMASE>0.8: poor (gift-eval) has nMASE 0.9",
        "gate failed>0: poor (gift-eval) has failed 2",
    ]
    assert breaches([], ROWS) == []
    assert breaches(["difference>0"], [{"difference": 0.5}]) == ["gate difference>0: the result has difference 0.5"]


def test_what_was_not_measured_fails() -> None:
    assert breaches(["nCRPS>0.8"], ROWS) == ["gate nCRPS>0.8: poor (gift-eval) has no nCRPS"]
    assert breaches(["nMASE<0"], [{"model": "x", "nMASE": math.nan}]) == ["gate nMASE<0: x has no nMASE"]
    assert breaches(["nMASE>1"], [{"model": "x", "nMASE": math.inf}]) == ["gate nMASE>1: x has nMASE inf"]
    assert breaches(["nMASE>1"], []) == ["gate nMASE>1: there is no row to look at"]
    assert breaches(["a>1"], [{"a": None, "b": 1}]) == ["gate a>1: the result has no a"]


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match=r"'nMSAE' is no column\. Did you mean 'nMASE'\? Columns with numbers: nMASE, nCRPS, failed"):
        breaches(["nMSAE>0.8"], ROWS)
    with pytest.raises(UsageError, match="'model' holds text"):
        breaches(["model>0.8"], ROWS)
    with pytest.raises(UsageError, match="'failed' is no column"):
        breaches(["failed>0"], ROWS, columns=["nMASE"])


def test_the_option_and_the_exit_code() -> None:
    @click.command()
    @fail_if_option
    def command(fail_if: tuple[gate.Condition, ...]) -> None:
        raise SystemExit(say(breaches(fail_if, ROWS)))

    go = CliRunner().invoke
    assert go(command, []).exit_code == 0
    assert go(command, ["--fail-if", "nMASE>0.95"]).exit_code == 0
    result = go(command, ["--fail-if", "nMASE>0.95", "--fail-if", "nMASE>0.8"])
    assert (result.exit_code, result.stdout, result.stderr) == (4, "", "gate nMASE>0.8: poor (gift-eval) has nMASE 0.9\n")
    assert isinstance(go(command, ["--fail-if", "what"]).exception, UsageError)


def test_hostile_names_are_text() -> None:
    rows = [{"model": "\x1b[31m" + "x" * 10_000, "source": "\u202e", "nMASE": 2.0}]
    (line,) = breaches(["nMASE>1"], rows)
    assert line.isprintable()
    assert len(line) < 400
