"""What an endpoint's reply says, whatever it is: nothing in it is taken to be as it should."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from harness_time_r1.backends.contract import Answer

__all__ = ["MOST_LETTERS", "error_text", "read_reply"]

FINISHES = {"length": "length", "max_tokens": "length", "content_filter": "refused"}
"""What endpoints call an end that is none; everything else is "stop"."""
MOST_TOKENS = 10**9
MOST_LETTERS = 300
"""Of what is said of an error."""


def read_reply(body: bytes, scrubbed: Callable[[str], str]) -> tuple[Answer, bool]:
    """The answer in the body of a reply with status 200, and whether the reply says how many tokens it took.

    `scrubbed` takes the key out of a text. A text is cut behind that: of half a key it would leave the half.
    """
    answer, told = _read(body, scrubbed)
    return replace(answer, text=scrubbed(answer.text), error=scrubbed(answer.error)[:MOST_LETTERS]), told


def _read(body: bytes, scrubbed: Callable[[str], str]) -> tuple[Answer, bool]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        if not body:
            return _no("the reply is empty"), False
        return _no(f"the reply is no JSON: it begins {scrubbed(body.decode('utf-8', 'replace'))[:80]!r}"), False
    if not isinstance(found, dict):
        return _no(f"the reply is a {type(found).__name__}; wanted an object with choices"), False
    usage = found.get("usage")
    prompt, completion = (_tokens(usage, name) for name in ("prompt_tokens", "completion_tokens"))
    told = prompt is not None and completion is not None
    tokens: dict[str, Any] = {"prompt_tokens": prompt or 0, "completion_tokens": completion or 0}
    choices = found.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        said = error_text(body) if "error" in found else "the reply has no choice with a message"
        return Answer(finish="error", error=said, **tokens), told
    finish = FINISHES.get(str(choice.get("finish_reason")), "stop")
    text = _with_thinking(_text(message.get("content")), _text(message.get("reasoning_content")) or _text(message.get("reasoning")), finish)
    refusal = _text(message.get("refusal"))
    if finish == "refused" or (refusal and not text):
        return Answer(text=text, finish="refused", error=refusal or "a filter of the endpoint stopped the answer", **tokens), told
    return Answer(text=text, finish=finish, **tokens), told


def error_text(body: bytes) -> str:
    """What the body of an error says, in one line."""
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = body.decode("utf-8", "replace")
    for key in ("error", "message", "detail"):  # {"error": {"message": …}}, {"error": "…"}, {"detail": …}
        if isinstance(found, dict) and found.get(key):
            found = found[key]
    said = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
    return " ".join("".join(letter if letter.isprintable() else " " for letter in said).split())


def _no(error: str) -> Answer:
    return Answer(finish="error", error=error)


def _tokens(usage: Any, name: str) -> int | None:
    value = usage.get(name) if isinstance(usage, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS else None


def _text(content: Any) -> str:
    """A text, or those of a list of parts."""
    if isinstance(content, list):
        return "".join(_text(part.get("text")) for part in content if isinstance(part, dict))
    return content if isinstance(content, str) else ""


def _with_thinking(text: str, thinking: str, finish: str) -> str:
    """The reasoning that an endpoint has taken out of the answer, put back as the model wrote it.

    >>> _with_thinking("<answer>1</answer>", "Up.", "stop")
    '<think>\\nUp.\\n</think>\\n<answer>1</answer>'
    >>> _with_thinking("", "Up and", "length")  # cut while it reasoned
    '<think>\\nUp and'
    >>> _with_thinking("Up.</think>1", "", "stop")  # its template had opened the reasoning
    '<think>\\nUp.</think>1'
    """
    if thinking and "<think>" not in text:
        return f"<think>\n{thinking}" if finish == "length" and not text else f"<think>\n{thinking}\n</think>\n{text}"
    return f"<think>\n{text}" if "</think>" in text and "<think>" not in text else text
