"""Gates for CI: `--fail-if "nMASE>0.8"` ends a command with exit code 4 when a row of its result meets the condition.

A condition is COLUMN OP NUMBER, OP one of > >= < <= == !=; NUMBER may end in % ("difference>1%"). The option may be given several times;
one that is met is enough. A number that is undefined (missing results, no interval) fails the gate too, and so does a result without rows:
a gate that passes because nothing was measured is worse than none.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from harness.errors import GATE_FAILED, UsageError, suggest

__all__ = ["Condition", "breaches", "fail_if_option", "parse", "say"]

OPERATORS: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
_PATTERN = re.compile(r"\s*([A-Za-z_][\w\[\].-]*)\s*(>=|<=|==|!=|>|<)\s*([^\s%<>=!]+)\s*(%?)\s*")
WANTED = 'wanted COLUMN OP NUMBER, as in "nMASE>0.8"; OP is one of > >= < <= == !='


@dataclass(frozen=True)
class Condition:
    """A condition that no row may meet; `text` is what was typed."""

    text: str
    column: str
    op: str
    number: float


def parse(text: str) -> Condition:
    """Read a condition.

    Raises:
        UsageError: it is none, or its number is not finite.

    >>> parse("difference >= 1.5%")
    Condition(text='difference >= 1.5%', column='difference', op='>=', number=0.015)
    """
    match = _PATTERN.fullmatch(text)
    try:
        number = float(match[3]) if match and "_" not in match[3] else math.nan
    except ValueError:
        number = math.nan
    if match is None or not math.isfinite(number):
        raise UsageError(f"got --fail-if {_short(text)!r}; {WANTED}")
    return Condition(text.strip(), match[1], match[2], number / 100 if match[4] else number)


def _short(text: str) -> str:
    from harness.cli.output import printable

    return printable(text, 80)


def _parsed(_: click.Context, __: click.Parameter, values: Sequence[str]) -> tuple[Condition, ...]:
    return tuple(parse(value) for value in values)


def fail_if_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--fail-if`, the same for every command; the command gets `fail_if`, a tuple of `Condition`."""
    text = "Exit with code 4 when a row meets this, or lacks the number: 'nMASE>0.8'. May be given several times."
    return click.option("--fail-if", multiple=True, metavar="CONDITION", callback=_parsed, help=text)(command)


def breaches(conditions: Sequence[Condition | str], rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> list[str]:
    """One line for each row that meets a condition, or lacks the number to tell; no line = the gate is passed.

    Args:
        conditions: as the option gives them, or as text.
        rows: records with numbers, None = undefined; "model" (and "source") name a row in its line.
        columns: names that may be asked for; none = those of the rows that hold numbers.

    Raises:
        UsageError: a condition asks for a column that is not there or holds text.
    """
    asked = [parse(condition) if isinstance(condition, str) else condition for condition in conditions]
    known = list(columns) or list(dict.fromkeys(name for row in rows for name in row))
    text = {name for row in rows for name, value in row.items() if not (value is None or isinstance(value, int | float))}
    numeric = [name for name in known if name not in text]
    lines = []
    for condition in asked:
        if rows and condition.column not in numeric:
            problem = "holds text" if condition.column in known else "is no column"
            have = ", ".join(numeric)
            raise UsageError(
                f"got --fail-if {_short(condition.text)!r}: '{_short(condition.column)}' {problem}.{suggest(condition.column, numeric)} "
                f"Columns with numbers: {have}"
            )
        if not rows:
            lines.append(f"gate {_short(condition.text)}: there is no row to look at")
        lines += [line for row in rows if (line := _breach(condition, row))]
    return lines


def _breach(condition: Condition, row: Mapping[str, Any]) -> str:
    value = row.get(condition.column)
    name = _short(str(row.get("model", "the result")))
    if row.get("source") not in (None, "", "own"):
        name += f" ({_short(str(row['source']))})"
    if value is None or math.isnan(value):
        return f"gate {_short(condition.text)}: {name} has no {condition.column}"
    if OPERATORS[condition.op](value, condition.number):
        return f"gate {_short(condition.text)}: {name} has {condition.column} {value:.6g}"
    return ""


def say(lines: Sequence[str]) -> int:
    """Print the lines of `breaches` to stderr; return the command's exit code, 4 when there is any, else 0."""
    for line in lines:
        click.echo(line, err=True)
    return GATE_FAILED if lines else 0
