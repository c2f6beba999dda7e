"""What a model wrote, read as a forecast: tolerant of form, strict in what counts.

- Thinking ends at its `</think>`. It may lack `<think>` (some chat templates write that themselves), or `</think>`.
- The last whole `<answer>` block outside of the thinking counts. One that is not closed counts where there is no whole one and the model
  ended by itself, as it does where the closing tag is a stop sequence.
- Within it the last whole fenced block counts, else all of it. `harness_time_r1.answer_lines` reads its lines.
- A forecast is exactly H finite numbers of float32's range, one of each row. Nothing is filled in, cut off or put in order.

Names of rows are not needed. Where there are any, in a form that can be compared, and one is not later than the one before it, the answer
contradicts itself (`harness_time_r1.answer_names` has the rules). Dates without a time of day may be repeated. That rows are *other* than
those that were asked for is not looked at.

No pattern has an unbounded repetition and no line is read twice, so the time is linear in the text; an answer is read up to a limit that
follows from H, and what lies behind it can only make it longer. Nothing here raises, whatever the text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from harness.forecast import F64
from harness_time_r1.answer_lines import Block, read_block

__all__ = ["KINDS", "Parsed", "parse"]

KINDS = MappingProxyType(
    {
        "ok": "a forecast: exactly as many finite numbers as were asked for",
        "short": "fewer numbers than were asked for",
        "long": "more numbers than were asked for",
        "non-numeric": "a row without a number, or with a word, an ellipsis, NaN, infinity or a number beyond float32 in its place",
        "columns": "several numbers in a row, or several lists of them: which is meant is not said for certain",
        "disordered": "as many numbers as were asked for, in rows whose own names contradict their order, or repeat",
        "empty": "an answer block with nothing in it",
        "absent": "no answer block outside of the thinking",
        "truncated": "cut off at the limit of tokens before an answer was whole",
        "refused": "withheld by a filter of the endpoint",
        "error": "no answer came: the request failed",
    }
)
"""What can become of an answer, in one line each."""

TAG = re.compile(r"[<&](?:(?<=<)|(?<=&)lt;)[ \t]{0,3}(/?)[ \t]{0,3}(think|thinking|answer)[ \t]{0,3}(?:>|&gt;)", re.IGNORECASE)
FENCE = re.compile(r"(?:```|~~~)[`~]{0,20}")
LANGUAGE = re.compile(r"[A-Za-z][A-Za-z+#_-]{0,15}[ \t]{0,8}(?:\n|$)")


@dataclass(frozen=True, eq=False)
class Parsed:
    """An answer as it was read.

    Attributes:
        kind: one of `KINDS`.
        values: float64 [k], all numbers that were read, in their order, finite and within float32's range; k is H where `ok`. Of every
            kind, so that a reward may look at them.
        thinking: what stands before the answer, without tags.
        answer: the answer block as it is, "" where there is none.
        detail: why it is no forecast, in words; "" where it is one.
    """

    kind: str
    values: F64 = field(default_factory=lambda: np.empty(0, np.float64))
    thinking: str = ""
    answer: str = ""
    detail: str = ""

    @property
    def ok(self) -> bool:
        """Whether it is a forecast."""
        return self.kind == "ok"


def parse(text: str, horizon: int, finish: str = "stop") -> Parsed:
    """Read an answer to a prompt that asked for `horizon` values.

    Args:
        text: all that the model wrote, its thinking included.
        horizon: H, at least 1.
        finish: how it ended, as `backends.contract.Answer.finish` says.

    >>> parse("<think>rising</think><answer>1 2.5</answer>", 1)
    Parsed(kind='ok', values=array([2.5]), thinking='rising', answer='1 2.5', detail='')
    """
    text = _sound(text)
    thinking, answer, whole = _split(text)
    block = read_block(_body(answer), horizon) if answer is not None else Block()
    values = np.asarray(block.values, np.float64)
    kind, detail = _judge(answer, whole, block, horizon, finish)
    return Parsed(kind, values, thinking, (answer or "").strip(), detail)


def _judge(answer: str | None, whole: bool, block: Block, horizon: int, finish: str) -> tuple[str, str]:
    """Kind and detail."""
    got = len(block.values)
    if finish in ("refused", "error"):
        return finish, KINDS[finish]
    if finish == "length" and not whole:
        where = "in the thinking" if answer is None else f"in the answer, after {got} of {horizon} values"
        return "truncated", f"cut off at the limit of tokens {where}"
    if answer is None:
        return "absent", "there is no <answer> block behind the thinking"
    if block.blank:
        return "empty", "the <answer> block has nothing in it"
    if block.trouble:
        return "non-numeric", block.trouble
    if block.columns:
        return "columns", block.columns
    if got != horizon:
        return ("short" if got < horizon else "long"), f"got {got}{' or more' if block.cut else ''} values; wanted {horizon}"
    if block.disorder:
        return "disordered", block.disorder
    return "ok", ""


def _sound(text: str) -> str:
    """The text without lone surrogates and null characters, which nothing behind this could store."""
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text.replace("\x00", "\ufffd")


def _split(text: str) -> tuple[str, str | None, bool]:
    """(thinking, answer block or None, whether the block is whole)."""
    tags = [(m.start(), m.end(), m[1] == "/", m[2].lower() == "answer") for m in TAG.finditer(text)]
    thoughts = [(number, closing) for number, (_, _, closing, of_answer) in enumerate(tags) if not of_answer]
    inside = bool(thoughts) and thoughts[0][1]  # the first is a closing one: the opening one was the template's
    last_close = max((number for number, closing in thoughts if closing), default=-1)
    begun: int | None = None  # where an answer begins that is not yet closed
    found: tuple[int, int] | None = None
    for number, (start, end, closing, of_answer) in enumerate(tags):
        if not of_answer:
            # A thinking that is never closed hides no answer.
            inside = not closing and number < last_close
            begun = None if inside else begun
        elif inside:
            continue
        elif not closing:
            begun = end
        elif begun is not None:
            found, begun = (begun, start), None
    whole = found is not None
    if found is None and begun is not None:
        found = (begun, len(text))
    until = len(text) if found is None else found[0]
    inner = [(start, end) for start, end, _, _ in tags if end <= until]
    thinking = "".join(
        text[a:b] for a, b in zip([0, *(end for _, end in inner)], [*(start for start, _ in inner), until], strict=True)
    ).strip()
    return thinking, None if found is None else text[found[0] : found[1]], whole


def _body(answer: str) -> str:
    """What the last whole fence holds; where there is one mark alone, what stands behind it, or else before it."""
    if "```" not in answer and "~~~" not in answer:
        return answer
    marks = [(m.start(), m.end()) for m in FENCE.finditer(answer)]
    if not marks:
        return answer
    if len(marks) == 1:
        behind = _without_language(answer[marks[0][1] :])
        return behind if behind.strip() else answer[: marks[0][0]]
    first = (len(marks) // 2 - 1) * 2
    return _without_language(answer[marks[first][1] : marks[first + 1][0]])


def _without_language(body: str) -> str:
    return body[m.end() :] if (m := LANGUAGE.match(body)) else body
