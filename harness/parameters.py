"""Checks of what a model's factory is given, for plugins: each returns the value, or says what was got and what was wanted.

All raise `UsageError`, which ends the command before anything is computed, with `MODEL: NAME got VALUE; wanted …`. None imports torch but
`check_gpu`, and that only for a GPU.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterable

from harness.errors import UsageError, suggest

__all__ = ["check_device", "check_gpu", "choice", "positive", "truth", "whole"]


def whole(model: str, name: str, value: object, least: int = 1, most: int | None = None, default: int | None = None) -> int:
    """A whole number, True and False not among them; None is `default`, where there is one.

    >>> whole("tiny", "context", 0)
    Traceback (most recent call last):
    harness.errors.UsageError: tiny: context got 0; wanted a whole number of at least 1
    """
    if value is None and default is not None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        limits = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise UsageError(f"{model}: {name} got {value!r}; wanted a whole number {limits}")
    return value


def positive(model: str, name: str, value: object, most: float = math.inf) -> float:
    """A finite number above 0, at most `most`."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= min(most, sys.float_info.max):
        limit = "" if most == math.inf else f", at most {most:g}"
        raise UsageError(f"{model}: {name} got {value!r}; wanted a number above 0{limit}")
    return float(value)


def truth(model: str, name: str, value: object) -> bool:
    """True or False, as themselves."""
    if not isinstance(value, bool):
        raise UsageError(f"{model}: {name} got {value!r}; wanted true or false")
    return value


def choice(model: str, name: str, value: object, choices: Iterable[str]) -> str:
    """One of two words or more; suggests a near one."""
    known = list(choices)
    if not isinstance(value, str) or value not in known:
        raise UsageError(f"{model}: {name} got {value!r}; wanted {', '.join(known[:-1])} or {known[-1]}.{suggest(str(value), known)}")
    return value


def check_device(model: str, device: object) -> str:
    """The name of a device as torch writes it, whether or not there is one here."""
    if not isinstance(device, str) or not re.fullmatch(r"cpu|cuda(:[0-9]+)?", device):
        raise UsageError(f"{model}: device got {device!r}; wanted cpu, cuda or cuda:0")
    return device


def check_gpu(model: str, device: str) -> None:
    """Refuse a GPU where torch sees none; torch is imported for that."""
    if device == "cpu":
        return
    import torch

    if not torch.cuda.is_available():
        raise UsageError(f"{model}: device got {device!r}, and torch {torch.__version__} sees no GPU here; leave it out for the CPU")
