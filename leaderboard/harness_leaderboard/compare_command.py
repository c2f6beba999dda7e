"""The command `harness compare`. Only click is imported here; the rest inside the command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from harness.cli.run import db_option
from harness_leaderboard.gate import Condition, breaches, fail_if_option, say
from harness_leaderboard.options import slice_options

if TYPE_CHECKING:
    from harness_leaderboard.aggregate import Results

__all__ = ["compare"]


@click.command()
@click.argument("a")
@click.argument("b")
@slice_options
@click.option(
    "--metric",
    default="",
    show_default=False,
    metavar="NAME",
    help="MASE, CRPS or another metric with results, of which less is better.  [default: MASE, or the first of the suite's own two]",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@fail_if_option
@db_option
def compare(a: str, b: str, metric: str, as_json: bool, fail_if: tuple[Condition, ...], db: Path, **chosen: Any) -> int:
    """Compare two models: which is better, how sure that is, and which tasks make it so.

    A and B are names as in the leaderboard; "naive@gift-eval" takes the imported results where there are own ones too.

    \b
    harness compare ttm seasonal_naive
    harness compare chronos-2 TiRex -s gift-eval --metric CRPS
    harness compare new old --fail-if "difference_low>0"      exit code 4 when new is surely worse

    --fail-if knows difference (0.01: A's score is 1 % higher), difference_low, difference_high, nMASE_ratio, wins, losses, p_wilcoxon and
    the other numbers in the "numbers" of --json.
    """
    from harness.cli.output import print_json
    from harness.errors import UsageError
    from harness.plugins import load
    from harness_leaderboard import compare as comparing
    from harness_leaderboard.choose import choose_model, choose_score, short_metric
    from harness_leaderboard.compare_windows import compare_windows
    from harness_leaderboard.compare_words import unit_note, verdict
    from harness_leaderboard.view import open_view
    from harness_leaderboard.words import relative

    plugins = load()
    store = plugins.store(db)
    # A baseline cancels in a comparison: what it lacks takes no task away.
    view = open_view(plugins, store, **chosen, about_baseline=False)
    results, suite = view.results, view.suite
    full = choose_score(plugins, store, suite, results, metric)
    (first, said_a), (second, said_b) = choose_model(results, a), choose_model(results, b)
    if first == second:
        raise UsageError(
            f"both names are of the same results ({results.entries[first].label}); wanted two models, as in naive seasonal_naive"
        )
    found = comparing.compare(results, first, second, full)
    both_own = all(results.entries[i].source == "own" for i in (first, second))
    if both_own:
        found["tests"]["diebold_mariano"] = compare_windows(store, results, first, second, full, chosen["windows"])
    names = _names(results, first, second)
    score = relative(results.label(full))
    numbers = comparing.flat(found, f"n{short_metric(full).rpartition(':')[2]}")
    words = verdict(found["whole"], *names, f"{suite} ({view.selection})" if view.selection else suite, score)
    notes = [*results.notes, said_a, said_b, unit_note(found["whole"]), *_coverage_notes(found["coverage"], *names)]
    notes = [note for note in notes if note]
    broken = breaches(fail_if, [{"model": f"{names[0]} against {names[1]}", **numbers}], list(numbers))
    if as_json:
        sides = {key: {"label": results.entries[i].label, "source": results.entries[i].source} for key, i in (("a", first), ("b", second))}
        head = {"suite": suite, "metric": full, **sides, "verdict": found["whole"]["verdict"], "words": words, "numbers": numbers}
        print_json({**head, **found, "notes": notes, "breaches": broken})
    else:
        _print(found, words, names, score, notes)
    return say(broken)


def _names(results: Results, first: int, second: int) -> tuple[str, str]:
    """How the two are called in sentences: by their labels, with the source where they differ in it."""
    from harness.cli.output import printable

    entries = (results.entries[first], results.entries[second])
    differ = entries[0].source != entries[1].source
    one, other = (printable(e.label, 60) + (f" ({printable(e.source, 30)})" if differ else "") for e in entries)
    return one, other


def _coverage_notes(coverage: dict[str, Any], a: str, b: str) -> list[str]:
    from harness_leaderboard.words import counted

    lines = []
    for name, tasks in ((a, coverage["only_a"]), (b, coverage["only_b"])):
        if tasks:
            some = ", ".join(tasks[:4]) + (", …" if len(tasks) > 4 else "")
            lines.append(f"† Only {name} has {counted(len(tasks), 'task')}, which are left out: {some}")
    for name, stale in ((a, coverage["stale_a"]), (b, coverage["stale_b"])):
        if stale:
            lines.append(
                f"⚠ {counted(stale, 'result')} of {name} {'is' if stale == 1 else 'are'} stale: the model, task, data or scoring has "
                "changed since (what: harness ls cells). To make them anew, give the command of the run again."
            )
    return lines


def _print(found: dict[str, Any], words: str, names: tuple[str, str], score: str, notes: list[str]) -> None:
    from harness.cli.output import print_table, printable
    from harness_leaderboard.compare_words import driver_lines, test_lines, without

    a, b = names
    whole = found["whole"]
    click.echo(printable(words))
    click.echo(printable(f"A = {a}, B = {b}"))
    rows = [{"by": "all", "": "", **_line(whole)}]
    for column, groups in found["groups"].items():
        rows += [{"by": column if i == 0 else "", "": row["group"], **_line(row)} for i, row in enumerate(groups)]
    about = f"{score} of A relative to B; intervals at 95 %, of parts not corrected for their number"
    print_table(rows, ["by", "", *_line(whole)], about, drop=("over", "ties"), all_with="all numbers: --json")
    for title, side in (("tasks that speak for A", "for"), ("tasks that speak for B", "against")):
        lines = driver_lines(found["drivers"][side])
        if lines:
            print_table(lines, list(lines[0]), title)
    change = without(found["drivers"], whole, a, score)
    for line in [change] * bool(change) + test_lines(found["tests"], whole, a, b) + notes:
        click.echo(printable(line))


def _line(row: dict[str, Any]) -> dict[str, Any]:
    """A summary as a row of the table."""
    import math

    from harness_leaderboard.words import counted

    def percent(value: float) -> str:
        return "–" if math.isnan(value) else f"{100 * value:+.1f} %"

    verdicts = {"better": "A better", "worse": "A worse", "undecided": "–", "too few": "too few", "equal": "equal"}
    given = not math.isnan(row["low"])
    return {
        "tasks": row["tasks"],
        "difference": percent(row["difference"]),
        "from": percent(row["low"]) if given else "",
        "to": percent(row["high"]) if given else "",
        "wins": row["wins"],
        "ties": row["ties"],
        "losses": row["losses"],
        "over": counted(row["families"], "family"),
        "verdict": verdicts[row["verdict"]],
    }
