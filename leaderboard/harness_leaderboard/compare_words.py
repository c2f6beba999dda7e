"""A comparison of two models in sentences and tables for people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness_leaderboard.bootstrap import FEWEST, LEAST
from harness_leaderboard.words import counted

__all__ = ["driver_lines", "interval", "share", "test_lines", "unit_note", "verdict", "without"]


def share(difference: float) -> str:
    """A relative difference in words: "4.1 % lower".

    >>> share(-0.0412), share(0.5), share(12.3), share(0.0)
    ('4.1 % lower', '50 % higher', '13.3 times as high', 'equal')
    """
    if math.isnan(difference):
        return "without a ratio"
    if difference == 0:
        return "equal"
    if difference > 4:
        return f"{difference + 1:.3g} times as high"
    return f"{_percent(difference)} % {'lower' if difference < 0 else 'higher'}"


def _percent(difference: float) -> str:
    value = abs(100 * difference)
    return f"{value:.0f}" if value >= 9.95 else f"{value:.1f}" if value >= 0.095 else f"{value:.2g}"


def interval(low: float, high: float) -> str:
    """An interval of relative differences: "95 % interval 1.2 to 7.0 % lower", or from one side to the other.

    >>> interval(-0.07, -0.012), interval(-0.03, 0.02)
    ('95 % interval 1.2 to 7.0 % lower', '95 % interval 3.0 % lower to 2.0 % higher')
    """
    if low < 0 and high < 0:
        return f"95 % interval {_percent(high)} to {_percent(low)} % lower"
    if low > 0 and 0 < high <= 4:
        return f"95 % interval {_percent(low)} to {_percent(high)} % higher"
    return f"95 % interval {share(low)} to {share(high)}"


def verdict(row: Mapping[str, Any], a: str, b: str, suite: str, score: str) -> str:
    """What is to be concluded, in one or two sentences.

    Args:
        row: a `compare.summary`.
        a, b: the models' names.
        suite: name of the suite.
        score: what is compared: "nMASE".
    """
    over = f"{counted(row['families'], 'family')}, {counted(row['tasks'], 'task')}"
    games = f"it wins {row['wins']}, ties {row['ties']}, loses {row['losses']}"
    sure = f"{share(row['difference'])} ({interval(row['low'], row['high'])}; {over})"
    kind = row["verdict"]
    if kind == "equal":
        return f"{a} and {b} have the same {score} on {suite}: they tie on all tasks ({over})."
    if kind in ("better", "worse"):
        return f"{a} is {kind} than {b} on {suite}: its {score} is {sure}; {games}."
    if kind == "undecided":
        return f"{a} and {b} cannot be told apart on {suite}: the {score} of {a} is {sure}; {games}."
    least = "one or two dataset families (or nearly) say too little of others"
    so_far = f"The {score} of {a} is {share(row['difference'])}; {games}."
    return f"Too few to tell whether {a} or {b} is better on {suite}: {over}; {least}. {so_far}"


def unit_note(row: Mapping[str, Any]) -> str:
    """What the interval rests on where that is less than it seems; "" where there is nothing to say."""
    if not FEWEST <= row["effective_families"] < LEAST:
        return ""
    many, few = counted(row["families"], "family"), row["effective_families"]
    return f"The interval is Student's t, and wide: {many} of these sizes weigh as much as {few} of one size."


def without(drivers: Mapping[str, Any], whole: Mapping[str, Any], a: str, score: str) -> str:
    """How the verdict changes without the family that does most for it; "" where there is only one family."""
    if "family" not in drivers:
        return ""
    rest = drivers["without"]
    part = drivers["family_adds"] / drivers["whole_adds"]
    adds = f"adds {100 * part:.0f} % of the difference" if part < 10 else "adds more than ten times the difference"
    head = f"The family '{drivers['family']}' {adds}; without it the {score} of {a} is {share(rest['difference'])}"
    if not math.isnan(rest["p"]):
        head += f" ({interval(rest['low'], rest['high'])})"
    words = {
        "better": f"{a} is better",
        "worse": f"{a} is worse",
        "undecided": "they cannot be told apart",
        "too few": "there are too few to tell",
        "equal": "they tie",
    }
    if rest["verdict"] == whole["verdict"]:
        return f"{head}: the verdict stays."
    return f"{head}: the verdict changes, {words[rest['verdict']]}."


def test_lines(tests: Mapping[str, Any], whole: Mapping[str, Any], a: str, b: str) -> list[str]:
    """One line for each test, with what it was made over."""
    found = tests.get("diebold_mariano")
    if tests["families"] < 2 and found is None:
        return ["Tests: none, as there is no second dataset family."]
    blocks = counted(tests["families"], "family")
    how = "Paired bootstrap" if whole["effective_families"] >= LEAST else "Student's t"
    signs = f"{tests['sign_lower']} lower, {tests['sign_equal']} equal, {tests['sign_higher']} higher"
    lines = [
        f"{how} over {blocks}: p {_p(whole['p'])}",
        f"Wilcoxon's signed ranks over {blocks}: p {_p(tests['wilcoxon_p'])}",
        f"Sign test over {blocks}: {signs}, p {_p(tests['sign_p'])}",
    ]
    if found is None:
        return [*lines, f"Diebold-Mariano by task: not made, as it needs stored windows of both {a} and {b}, and MASE or CRPS."]
    tested = len(found["tasks"])
    if tested:
        lines.append(
            f"Diebold-Mariano by task, {counted(tested, 'task')}, 5 % after Holm: {a} better on {found['a_better']}, "
            f"{b} better on {found['b_better']}, undecided on {found['undecided']}"
        )
    if found["no_answer"]:
        why = next(iter(found["no_answer"].values()))
        lines.append(f"Diebold-Mariano has no answer for {counted(len(found['no_answer']), 'task')} (the first: {why})")
    return lines


def _p(p: float) -> str:
    return "–" if math.isnan(p) else f"{p:.3f}" if p >= 0.001 else "< 0.001"


def driver_lines(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Rows of the table of tasks that make the difference."""
    return [
        {"task": r["task"], "A": r["a"], "B": r["b"], "A/B": r["ratio"], "moves the mean by": f"{100 * math.expm1(r['adds']):+.2f} %"}
        for r in rows
    ]
