"""Reading the options of a run, from the command line or from Python, into one checked `RunSpec`.

Each option is taken in every form that a caller may have it in: `limit` as 10, 0.1 or "0.1", `timeout` as 90, 90.0 or "30m", `seeds`
as 3, "0-4" or [0, 1], lists as one text or several. What is of no use is refused here, by the option's name, and not later by an
arithmetic error.
"""

from __future__ import annotations

import dataclasses
import numbers
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from harness.budget import parse_duration
from harness.errors import UsageError, suggest
from harness.files import expanded
from harness.plan import RERUN, RunSpec
from harness.selection import canonical_limit, parse_modes, split_list

__all__ = ["make_spec", "read_batch_size", "read_seeds"]

ALIASES = {"model": "models", "suite": "suites", "task": "tasks", "mode": "modes", "seed": "seeds"}
"""One word for a list of one, as on the command line."""
ISOLATION = ("auto", "process", "env", "inprocess")
LONGEST = 20 * 86_400.0
"""Seconds; waiting longer than 2**31 milliseconds is beyond what the operating system's calls take."""


def make_spec(**fields: Any) -> RunSpec:
    """The options of a run, checked and in one form; a field that is not given, or is None, has its default.

    Args:
        fields: those of `RunSpec`, and `model`, `suite`, `task`, `mode`, `seed` for the plural.

    Raises:
        UsageError: no such field, one given under both of its names, or a value that makes no sense; names the option.
    """
    known = [f.name for f in dataclasses.fields(RunSpec)]
    given: dict[str, Any] = {}
    for name, value in fields.items():
        field = ALIASES.get(name, name)
        if field not in known:
            raise UsageError(f"got {name}; wanted an option of a run: {', '.join(known)}.{suggest(name, known)}")
        if value is None:
            continue
        if field in given:
            raise UsageError(f"got both {name}= and another value for {field}: {value!r} and {given[field]!r}; give one of them")
        given[field] = value
    if "models" not in given:
        raise UsageError("no model given; name one or more, as in: models=['naive', 'seasonal_naive']. To see all: harness ls models")
    return RunSpec(**{name: READERS[name](_option(name), value) for name, value in given.items()})


def read_seeds(option: str, value: Any) -> list[int]:
    """Seeds from 3, "0,2-4" or a sequence of such, each once.

    Raises:
        UsageError: none, or not whole numbers from 0 to 2**63 - 1.
    """
    seeds: list[int] = []
    for part in [value] if isinstance(value, str) or not isinstance(value, Iterable) else value:
        if isinstance(part, numbers.Integral) and not isinstance(part, bool):
            seeds.append(int(part))
            continue
        for text in split_list(part) if isinstance(part, str) else [repr(part)]:
            first, dash, last = text.partition("-")
            good = len(text) < 60 and first.isdecimal() and (last.isdecimal() if dash else True)
            if not good or not 0 <= int(last or first) - int(first) < 10_000:
                raise UsageError(f"got {option} {_short(text)}; wanted whole numbers, as in 0 or 0,1,2 or 0-4")
            seeds += range(int(first), int(last or first) + 1)
    if not seeds or not all(0 <= seed < 2**63 for seed in seeds):
        raise UsageError(f"got {option} {_short(seeds)}; wanted whole numbers from 0 to 2**63 - 1, as in 0 or 0-4")
    return list(dict.fromkeys(seeds))


def read_batch_size(option: str, value: Any) -> int | None:
    """Windows per call: a number of at least 1, or None for "auto".

    Raises:
        UsageError: anything else.
    """
    return None if value in ("auto", "", None) else _whole(option, value, 2**31, "a number of windows, or auto")


def _whole(option: str, value: Any, most: int, what: str = "") -> int:
    """A whole number from 1 to `most`, or its text."""
    number = int(value) if isinstance(value, str) and value.strip().isdecimal() else value
    if isinstance(number, bool) or not isinstance(number, numbers.Integral) or not 1 <= int(number) <= most:
        raise UsageError(f"got {option} {_short(value)}; wanted {what or f'a whole number from 1 to {most}'}")
    return int(number)


def _list(option: str, value: Any) -> list[str]:
    values = [value] if isinstance(value, str) or not isinstance(value, Iterable) else list(value)
    for each in values:
        if not isinstance(each, str):
            raise UsageError(f"got {option} {_short(each)}, a {type(each).__name__}; wanted text, or a list of texts")
    return values


def _models(option: str, value: Any) -> list[str]:
    for each in [value] if isinstance(value, str) or not isinstance(value, Iterable) else value:
        if callable(each) or hasattr(each, "predict"):
            raise UsageError(
                f"got {_short(each)} as a model; a run takes names of registered models, as in 'naive'. To score a function or an object: "
                "harness.evaluate(model, task); to register it: docs/plugins.md"
            )
    return _list(option, value)


def _text(option: str, value: Any) -> str:
    if not isinstance(value, str):
        raise UsageError(f"got {option} {_short(value)}, a {type(value).__name__}; wanted text")
    return value


def _number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def _limit(option: str, value: Any) -> str:
    del option  # the reader of the text names it
    if _number(value):
        return canonical_limit(str(int(value)) if float(value).is_integer() else str(float(value)))
    return canonical_limit(value if isinstance(value, str) else repr(value))


def _timeout(option: str, value: Any) -> float | None:
    if isinstance(value, str):
        seconds = parse_duration(value)
    elif _number(value):
        seconds = float(value)
    else:
        seconds = -1.0
    if seconds is not None and not 0 < seconds <= LONGEST:
        raise UsageError(f"got {option} {_short(value)}; wanted a time of at most {LONGEST / 86_400:.0f} days, in seconds or as 30m or 2h")
    return seconds


def _modes(option: str, value: Any) -> list[str]:
    return parse_modes(_list(option, value))


def _suites(option: str, value: Any) -> list[str]:
    suites = list(dict.fromkeys(split_list(_list(option, value))))
    if not suites:
        raise UsageError(f"got {option} without a name; wanted one or more suites, as in quick. To see all: harness ls suites")
    return suites


def _budget(option: str, value: Any) -> str:
    return str(value) if _number(value) else _text(option, value)


def _flag(option: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise UsageError(f"got {option} {_short(value)}; wanted True or False")
    return value


def _one_of(*words: str) -> Any:
    def read(option: str, value: Any) -> str:
        if value not in words:
            raise UsageError(
                f"got {option} {_short(value)}; wanted one of {', '.join(filter(None, words))}.{suggest(str(value), filter(None, words))}"
            )
        return str(value)

    return read


def _device(option: str, value: Any) -> str:
    if not _text(option, value).strip():
        raise UsageError(f"got an empty {option}; wanted a device, as in cpu or cuda:0")
    return str(value).strip()


def _folder(option: str, value: Any) -> Path:
    if not isinstance(value, str | os.PathLike) or not str(value):
        raise UsageError(f"got {option} {_short(value)}; wanted a folder")
    return expanded(value)


def _option(name: str) -> str:
    """How the command line calls the field."""
    spelt = {"suites": "suite", "modes": "mode", "seeds": "seed"}
    return "--" + spelt.get(name, name).replace("_", "-")


def _short(value: object, width: int = 80) -> str:
    text = value if isinstance(value, str) and value else repr(value)
    return text if len(text) <= width else text[: width - 1] + "…"


READERS: dict[str, Any] = {
    "models": _models,
    "suites": _suites,
    "model_args": _list,
    "tasks": _list,
    "exclude": _list,
    "where": _text,
    "limit": _limit,
    "modes": _modes,
    "budget": _budget,
    "seeds": read_seeds,
    "batch_size": read_batch_size,
    "jobs": lambda option, value: _whole(option, value, 1024),
    "threads": lambda option, value: _whole(option, value, 4096),
    "device": _device,
    "isolation": _one_of(*ISOLATION),
    "timeout": _timeout,
    "save_forecasts": _flag,
    "save_models": _flag,
    "rerun": _one_of(*RERUN),
    "data": _folder,
}
"""How each field is read: (the option's name, what was given) -> what `RunSpec` holds."""
