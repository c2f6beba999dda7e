"""Reading an ensemble's parameters: whose forecasts, put together how."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from harness import UsageError
from harness.errors import suggest

__all__ = ["ETA", "HOW", "check", "read_members"]

HOW = ("median", "mean", "backtest")
ETA = 1.0


def read_members(of: Any) -> list[str]:
    """The members' names, sorted: from "ttm+naive", "[ttm,naive]" or a list of names; none from "".

    >>> read_members("ttm[context=512]+naive"), read_members("[ttm (finetune), naive]"), read_members(["b", "a"])
    (['naive', 'ttm[context=512]'], ['naive', 'ttm (finetune)'], ['a', 'b'])
    >>> read_members("ttm@finetune+naive (zero-shot)+drift@zero-shot")
    ['drift', 'naive', 'ttm (finetune)']

    Raises:
        UsageError: one name only, a name twice, the ensemble itself, or no names at all.
    """
    if not isinstance(of, str) and not (isinstance(of, Sequence) and all(isinstance(name, str) for name in of)):
        raise UsageError(f"got of={of!r}; wanted names of models, as in of=ttm+seasonal_naive")
    names = sorted(_one_spelling(name) for text in ([of] if isinstance(of, str) else of) for name in _split(text))
    if twice := [a for a, b in zip(names[:-1], names[1:], strict=True) if a == b]:
        raise UsageError(f"got of={'+'.join(names)}, with {twice[0]} twice; wanted each model once")
    if "ensemble" in names:
        raise UsageError("an ensemble cannot be its own member; one with other members can: of=ensemble[of=ttm+naive]+seasonal_naive")
    if len(names) == 1:
        raise UsageError(f"got of={names[0]}, one model; wanted two or more, as in of={names[0]}+seasonal_naive")
    return names


def _one_spelling(name: str) -> str:
    """A member as the leaderboard writes it: "ttm@finetune" is "ttm (finetune)", and zero-shot, which is usual, is not said."""
    name = re.sub(r"@([^@\[\]()]+)$", r" (\1)", name)
    return re.sub(r"\s*\(zero-shot\)$", "", name)


def _split(text: str) -> list[str]:
    """The parts between + and commas that stand outside of brackets; a pair of brackets around all of it is taken off."""
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    parts, depth = [""], 0
    for letter in text:
        depth += (letter in "[({") - (letter in "])}")
        if letter in "+," and depth == 0:
            parts.append("")
        else:
            parts[-1] += letter
    return [name for part in parts if (name := part.strip().strip("\"'").strip())]


def check(how: Any, eta: Any) -> None:
    """Refuse what is no way of putting forecasts together.

    Raises:
        UsageError: says what was wanted.
    """
    if how not in HOW:
        raise UsageError(f"got how={how}; wanted one of {', '.join(HOW)}.{suggest(str(how), HOW)}")
    if isinstance(eta, bool) or not isinstance(eta, int | float) or not (math.isfinite(eta) and eta > 0):
        raise UsageError(f"got eta={eta!r}; wanted a number above 0, as in eta={ETA:g}")
    if eta != ETA and how != "backtest":
        raise UsageError(f"got eta={eta:g} with how={how}; it is for how=backtest alone")
