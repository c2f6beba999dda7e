"""Reading an ensemble's parameters: whose forecasts, put together how."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from harness import UsageError
from harness.errors import suggest

__all__ = ["ETA", "HOW", "check", "one_spelling", "read_members"]

HOW = ("median", "mean", "backtest")
ETA = 1.0
NESTED = "an ensemble cannot be its own member; one with other members can: of=ensemble[of=ttm+naive]+seasonal_naive"


def read_members(of: Any) -> list[str]:
    """The members' names, sorted: from "ttm+naive", "[ttm,naive]" or a list of names; none from "".

    >>> read_members("ttm[context=512]+naive"), read_members("[ttm (finetune), naive]"), read_members(["b", "a"])
    (['naive', 'ttm[context=512]'], ['naive', 'ttm (finetune)'], ['a', 'b'])
    >>> read_members("ttm@finetune+naive (zero-shot)+drift@zero-shot")
    ['drift', 'naive', 'ttm (finetune)']
    >>> read_members("naive[]+ensemble[how=median, of=[ttm[b=2, a=1],drift]]")
    ['ensemble[of=drift+ttm[a=1,b=2]]', 'naive']

    Raises:
        UsageError: one name only, a name twice, the ensemble itself, brackets without their other half, or no names at all.
    """
    if not isinstance(of, str) and not (isinstance(of, Sequence) and all(isinstance(name, str) for name in of)):
        raise UsageError(f"got of={of!r}; wanted names of models, as in of=ttm+seasonal_naive")
    names = sorted(_member(name) for text in ([of] if isinstance(of, str) else of) for name in _split(text))
    if twice := [a for a, b in zip(names[:-1], names[1:], strict=True) if a == b]:
        raise UsageError(f"got of={'+'.join(names)}, with {twice[0]} twice; wanted each model once")
    if len(names) == 1:
        raise UsageError(f"got of={names[0]}, one model; wanted two or more, as in of={names[0]}+seasonal_naive")
    return names


def one_spelling(params: dict[str, Any]) -> dict[str, Any]:
    """An ensemble's parameters in one spelling: members sorted and joined by +, what has its usual value left out, 2.0 as 2.

    Raises:
        UsageError: parameters that make no sense.
    """
    how, eta = params.get("how", "median"), params.get("eta", ETA)
    check(how, eta)
    kept = {name: value for name, value in params.items() if name not in ("how", "eta", "of")}
    if "of" in params:
        kept["of"] = "+".join(read_members(params["of"]))
    if how != "median":
        kept["how"] = how
    if eta != ETA:
        kept["eta"] = int(eta) if eta == round(eta) and eta < 2**53 else float(eta)
    return kept


def _member(name: str) -> str:
    """A member as the leaderboard writes it: "ttm@finetune" is "ttm (finetune)", and zero-shot, which is usual, is not said.

    Parameters are sorted, those of an ensemble within are in one spelling. What another model calls by two names is not known here.

    Raises:
        UsageError: an ensemble without members, or no name with parameters in brackets.
    """
    match = re.fullmatch(r"(.*?)(?:\s*\(([^()\[\]]+)\)|@([^@\[\]()]+))?", name, re.DOTALL)
    assert match is not None
    model, mode = match[1].strip(), " ".join((match[2] or match[3] or "").split())
    if "[" in model:
        model = _with_parameters(model)
    if model == "ensemble":
        raise UsageError(NESTED)
    return model if mode in ("", "zero-shot") else f"{model} ({mode})"


def _with_parameters(text: str) -> str:
    """ "ttm[ b=2, a=1 ]" as "ttm[a=1,b=2]".

    Raises:
        UsageError: it is no name with parameters in brackets, or an ensemble without members.
    """
    from harness.identity import label  # only here: listing models loads this module
    from harness.selection import parse_assignment, split_list

    match = re.fullmatch(r"([^\[\]]+)\[(.*)\]", text, re.DOTALL)
    if match is None:
        raise UsageError(f"got member {text!r}; wanted NAME or NAME[key=value,…], with or without a mode, as in 'ttm (finetune)'")
    name, params = match[1].strip(), dict(parse_assignment(part) for part in split_list(match[2]))
    if name != "ensemble":
        return label(name, params)
    if not params.get("of"):
        raise UsageError(NESTED)
    return label(name, one_spelling(params))


def _split(text: str) -> list[str]:
    """The parts between + and commas that stand outside of brackets; a pair of brackets around all of it is taken off.

    Raises:
        UsageError: a bracket without its other half.
    """
    text = text.strip()
    parts, open_, around = [""], "", text.startswith("[")
    for at, letter in enumerate(text):
        if letter in "[({":
            open_ += letter
        elif letter in "])}":
            if open_[-1:] != {"]": "[", ")": "(", "}": "{"}[letter]:
                raise UsageError(f"got of={text}, with a {letter!r} that nothing opens; wanted brackets in pairs")
            open_ = open_[:-1]
            around &= bool(open_) or at == len(text) - 1  # the first one is closed here
        if letter in "+," and not open_:
            parts.append("")
        else:
            parts[-1] += letter
    if open_:
        raise UsageError(f"got of={text}, with a {open_[-1]!r} that nothing closes; wanted brackets in pairs")
    if around:
        return _split(text[1:-1])
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
