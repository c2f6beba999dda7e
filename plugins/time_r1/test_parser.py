"""Answers as models write them: several hundred odd ones, each with what it is to be taken for; and what must hold for any text."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import harness_time_r1
import numpy as np
import pytest
from harness_time_r1 import answer_json, answer_names, answer_words, parser, prompts
from harness_time_r1.backends.contract import Answer
from harness_time_r1.figures import show_all
from harness_time_r1.parser import KINDS, Parsed, parse
from hypothesis import example, given, settings
from hypothesis import strategies as st

CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "answers.json").read_text(encoding="utf-8"))
LARGEST = float(np.finfo(np.float32).max)


def sound(parsed: Parsed, horizon: int) -> None:
    """What holds of every answer that was read."""
    assert parsed.kind in KINDS
    assert parsed.values.dtype == np.float64
    assert np.isfinite(parsed.values).all()
    assert (np.abs(parsed.values) <= LARGEST).all()
    assert parsed.ok == (parsed.kind == "ok")
    assert not parsed.ok or len(parsed.values) == horizon
    assert parsed.kind != "short" or len(parsed.values) < horizon
    assert parsed.kind != "long" or len(parsed.values) > horizon
    assert bool(parsed.detail) != parsed.ok
    "".join((parsed.thinking, parsed.answer, parsed.detail)).encode()  # can be stored


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
def test_odd_answers(case: dict[str, Any]) -> None:
    parsed = parse(case["text"], case["horizon"], case.get("finish", "stop"))
    sound(parsed, case["horizon"])
    assert parsed.kind == case["kind"], parsed
    if "values" in case:
        assert parsed.values.tolist() == case["values"]


def test_the_cases_are_many_and_of_every_kind() -> None:
    assert len(CASES) >= 300
    assert {case["kind"] for case in CASES} == set(KINDS)
    assert sum(case["kind"] != "ok" for case in CASES) >= 120
    assert all("values" in case for case in CASES if case["kind"] == "ok")


def test_what_is_kept_of_an_answer() -> None:
    parsed = parse("before <think> a rise </think> so\n<answer>\n```\n1.5\n```\n</answer> behind", 1)
    assert (parsed.thinking, parsed.answer, parsed.detail) == ("before  a rise  so", "```\n1.5\n```", "")
    parsed = parse("<think>a rise", 1)
    assert (parsed.thinking, parsed.answer, parsed.detail) == ("a rise", "", "there is no <answer> block behind the thinking")
    assert parse("<answer>2016-07-01 12,5,3</answer>", 1).detail == "got '2016-07-01 12,5,3' in place of a row with a number"
    assert parse("<answer>2016-07-01 5 6</answer>", 1).detail == "got 2 numbers in the row '2016-07-01 5 6'; wanted one"
    assert parse("<answer>1\n2</answer>", 3).detail == "got 2 values; wanted 3"
    assert parse("<think>a", 3, "length").detail == "cut off at the limit of tokens in the thinking"
    assert parse("<answer>1\n2", 3, "length").detail == "cut off at the limit of tokens in the answer, after 2 of 3 values"
    assert "\\u2009" in parse("<answer>ab\u2009c</answer>", 1).detail or "ab c" in parse("<answer>ab\u2009c</answer>", 1).detail


def test_the_contract_s_ways_to_end_are_known() -> None:
    for finish in ("stop", "length", "refused", "error"):
        assert parse("", 1, Answer(finish=finish).finish).kind == {"stop": "absent", "length": "truncated"}.get(finish, finish)


TEXT = st.text(st.characters(exclude_categories=()), max_size=300)  # lone surrogates too
CRUMBS = (
    "<think> </think> <answer> </answer> ``` ```json , ; | : - – . ... … ( ) [ ] { } \" ' * _ = 1 12 -3.5 1e9 1,234 12,5 1e400 nan None "
    "± # MW % k 2016-07-01 00:00 2016-07-01T00:00:00Z 07/01/2016 t+1 Tue Jul Q3 Step Day value \ue000 \x00 \ud800 "
    'x 10^3 × ³ ** e3 million € USD 31/12/2016 03.07.2016 2016W40 2016-07 2016Q4 July 3, 12:30 pm (1) #2 {"forecast": {"load": 000 \\times'
)
PIECED = st.lists(st.sampled_from([*CRUMBS.split(), " ", " ", "\n", "\t", "\xa0"]), max_size=60).map("".join)


@given(st.one_of(TEXT, PIECED), st.integers(1, 5), st.sampled_from(["stop", "length", "refused", "error", "?"]), st.booleans())
@example("<answer>2016-07-01,,</answer>", 1, "stop", False)
@example("[" * 5000, 1, "stop", True)
@settings(max_examples=120, deadline=None)
def test_any_text(text: str, horizon: int, finish: str, answered: bool) -> None:
    sound(parse(f"<answer>{text}</answer>" if answered else text, horizon, finish), horizon)


def prompt_of(horizon: int, timestamps: str, freq: str, decimals: int = 2) -> prompts.Prompt:
    context = np.round(np.linspace(0, 9.99 * 10.0**-decimals * 100, 12), 6).astype(np.float32)
    return prompts.build(context, start=np.datetime64("2016-06-29T22:00:00"), freq=freq, horizon=horizon, timestamps=timestamps)


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_a_good_answer_spoilt(data: st.DataObject) -> None:
    horizon = data.draw(st.integers(1, 6))
    prompt = prompt_of(
        horizon, data.draw(st.sampled_from(["shown", "relative", "hidden"])), data.draw(st.sampled_from(["H", "D", "M", "B"]))
    )
    text = f"<think>\nup\n</think>\n{prompts.answer_block(np.arange(horizon) / 4, prompt)}"
    for _ in range(data.draw(st.integers(1, 4))):
        at, width = data.draw(st.integers(0, len(text))), data.draw(st.integers(0, 12))
        text = text[:at] + data.draw(st.one_of(st.just(""), st.text(max_size=5), st.just(text[at : at + width] * 2))) + text[at + width :]
    sound(parse(text, horizon, data.draw(st.sampled_from(["stop", "length"]))), horizon)


@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=8),
    st.sampled_from(["shown", "relative", "hidden"]),
    st.sampled_from(["S", "15T", "H", "D", "B", "W-SUN", "M", "Q", "A"]),
    st.integers(-3, 5),
)
@example([1.0], "hidden", "M", 0)
@example([3.0, 2.0], "hidden", "M", 0)
@example([12.0, 1.0], "relative", "M", -3)
@example([512.0], "hidden", "D", 0)
@example([112.0, 118.0, 132.0, 129.0], "hidden", "M", 0)
@example([2016.0, 2017.0], "relative", "M", 0)
@example([2016.0, 2017.0], "relative", "Q", 0)
@settings(max_examples=60, deadline=None)
def test_what_a_prompt_asks_for_is_read(values: list[float], timestamps: str, freq: str, decimals: int) -> None:
    """The answer block of given values is read as these values, rounded."""
    prompt = prompt_of(len(values), timestamps, freq, decimals)
    rounded = [float(text) for text in show_all(values, prompt.decimals)]
    parsed = parse(prompts.answer_block(values, prompt), len(values))
    if all(abs(value) <= LARGEST for value in rounded):  # rounding may leave the range
        assert parsed.kind == "ok", (parsed, prompt.labels)
        assert parsed.values.tolist() == rounded
    else:
        assert parsed.kind == "non-numeric"


@given(
    st.sampled_from(["million", "billion", "thousand", "trillion", "hundred", "dozen", "lakh", "crore", "bn", "mn", "mio", "mrd"]),
    st.sampled_from([str, str.upper, str.title]),
    st.sampled_from(["", " ", " (", " MW, in ", " USD ", " x "]),
    st.sampled_from(["", "s", " MW", ")", " €"]),
    st.sampled_from(["", "t+1 ", "2016-07-01 ", "Step 1: ", "97 "]),
)
@settings(max_examples=60, deadline=None)
def test_a_size_in_words_is_never_left_out(size: str, case: Callable[[str], str], before: str, behind: str, name: str) -> None:
    assert not parse(f"<answer>{name}3{before}{case(size)}{behind}</answer>", 1).ok


@given(st.integers(1, 9), st.integers(2, 6), st.integers(2, 4), st.sampled_from([" ", ", ", ",", "\t", " | ", "; "]), st.randoms())
@settings(max_examples=60, deadline=None)
def test_a_table_of_numbers_is_never_a_list(first: int, rows: int, columns: int, mark: str, random: Any) -> None:
    """Whatever the numbers, and though there are as many as were asked for."""
    table = [[f"{first + random.random():.3f}" for _ in range(columns)] for _ in range(rows)]
    assert parse("<answer>" + "\n".join(mark.join(row) for row in table) + "</answer>", rows * columns).kind == "columns"
    assert parse(f"<answer>{json.dumps([[float(x) for x in row] for row in table])}</answer>", rows * columns).kind == "columns"


@given(
    st.dictionaries(
        st.sampled_from(["history", "future", "input", "output", "lower", "upper", "p50", "load"]), st.just([1.5, 2.5]), min_size=2
    )
)
@settings(max_examples=30, deadline=None)
def test_lists_without_a_name_that_says_so_are_no_forecast(lists: dict[str, list[float]]) -> None:
    assert parse(f"<answer>{json.dumps(lists)}</answer>", 2).kind == "columns"
    named = parse(f"<answer>{json.dumps({**lists, 'forecast': [3, 4]})}</answer>", 2)
    assert named.ok
    assert named.values.tolist() == [3, 4]


NAMED: dict[str, Callable[[date], str]] = {
    "ISO": date.isoformat,
    "points": lambda d: f"{d:%Y.%m.%d}",
    "German": lambda d: f"{d:%d.%m.%Y}",
    "in words": lambda d: f"{d:%B} {d.day}, {d.year}",
    "day first in words": lambda d: f"{d.day} {d:%b} {d.year}",
    "day first": lambda d: f"{d:%d/%m/%Y}",
    "month first": lambda d: f"{d:%m/%d/%Y}",
}


@pytest.mark.parametrize("form", NAMED)
@given(st.lists(st.dates(date(1990, 1, 1), date(2030, 12, 31)), min_size=2, max_size=6))
@settings(max_examples=30, deadline=None)
def test_dates_of_any_form_are_compared(form: str, dates: list[date]) -> None:
    """Rising dates are no contradiction; falling ones are, unless they rise read the other way round."""
    body = "".join(f"{NAMED[form](each)} 1.5\n" for each in sorted(dates))
    assert parse(f"<answer>{body}</answer>", len(dates)).ok
    fallen = sorted(set(dates), reverse=True)
    turned = [(d.year, d.day, d.month) for d in fallen]
    unclear = form in ("day first", "month first") and all(d.day <= 12 for d in fallen) and turned == sorted(turned)
    body = "".join(f"{NAMED[form](each)} 1.5\n" for each in fallen)
    wanted = "ok" if len(fallen) == 1 or unclear else "disordered"
    assert parse(f"<answer>{body}</answer>", len(fallen)).kind == wanted


def bounded(pattern: Any, inside: bool = False) -> list[str]:
    """The repetitions in a parsed pattern that have no bound."""
    found = []
    for operation, argument in pattern:
        name = str(operation)
        if "REPEAT" in name:
            low, high, body = argument
            if int(high) > 1000:
                found.append(f"{name} {low} {high}")
            found += bounded(body, True)
        elif name == "SUBPATTERN":
            found += bounded(argument[-1], inside)
        elif name == "BRANCH":
            found += [each for branch in argument[1] for each in bounded(branch, inside)]
        elif name in ("ASSERT", "ASSERT_NOT"):
            found += bounded(argument[1], inside)
    return found


def test_no_pattern_repeats_without_bound() -> None:
    from re import _parser  # type: ignore[attr-defined]

    patterns = {
        f"{m.__name__}.{k}": v
        for m in (parser, answer_words, answer_names, answer_json)
        for k, v in vars(m).items()
        if isinstance(v, re.Pattern)
    }
    assert len(patterns) >= 15
    assert bounded(_parser.parse("(a+b)?")) == ["MAX_REPEAT 1 MAXREPEAT"]
    assert {name: found for name, p in patterns.items() if (found := bounded(_parser.parse(p.pattern, p.flags)))} == {}


def steps(text: str, horizon: int) -> int:
    """Lines of this package's code that reading a text takes."""
    folder, count = str(Path(harness_time_r1.__file__).parent), 0

    def trace(frame: Any, event: str, _: Any) -> Any:
        nonlocal count
        if not frame.f_code.co_filename.startswith(folder):
            return None
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        parse(text, horizon)
    finally:
        sys.settrace(before)
    return count


LONG: dict[str, Callable[[int], str]] = {
    "rows": lambda n: "<answer>" + "2016-07-01 1.5\n" * n,
    "prose": lambda n: "<answer>" + "and so on and so on, 3 by 3\n" * n,
    "rows and prose": lambda n: "<answer>" + "1.5\nthen a rise\n" * n,
    "one line": lambda n: "<answer>" + "1.5 " * n,
    "commas": lambda n: "<answer>" + "1,5,1,5" * n,
    "tags": lambda n: "<think><answer></answer>" * n,
    "closing tags": lambda n: "<answer>1" + "</think>" * n,
    "fences": lambda n: "<answer>" + "```\n1\n" * n + "</answer>",
    "long lines": lambda n: "<answer>" + ("1,2 3.5 x 10^3 " * 100 + "\n") * (n // 50),
    "dates": lambda n: "<answer>" + "03/04/2016 1.5\n" * n,
    "half tags": lambda n: "< " * n + "<answer" * n,
    "digits": lambda n: "<answer>" + "9" * n,
    "points": lambda n: "<answer>" + "1.2,3." * n,
    "brackets": lambda n: "<answer>" + "[" * n,
    "JSON": lambda n: "<answer>" + json.dumps(list(range(n))) + "</answer>",
    "objects": lambda n: "<answer>" + json.dumps([{"t": "2016-07-01", "value": k} for k in range(n)]) + "</answer>",
}


@pytest.mark.parametrize("name", LONG)
def test_the_work_grows_with_the_text_and_no_faster(name: str) -> None:
    """Of twice the text, at most twice the lines of code run; what a line does with a pattern is bounded (above)."""
    once, twice = steps(LONG[name](200), 500), steps(LONG[name](400), 500)
    assert twice <= 2.1 * once + 200


@pytest.mark.parametrize("name", LONG)
def test_a_megabyte(name: str) -> None:
    each = (len(LONG[name](1100)) - len(LONG[name](100))) / 1000
    text = LONG[name](int(1_000_000 / each))
    assert len(text) > 900_000
    sound(parse(text, 3), 3)
