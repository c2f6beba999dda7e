"""What both model cards say: how the weights are used, the settings, the packages. Nothing heavy is imported."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from harness_time_r1.settings import Settings

__all__ = ["holds", "table", "use", "versions"]


def versions(*names: str) -> dict[str, str]:
    """{package: version}; of one that is run from its folder "from source"."""
    found = {}
    for name in names:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "from source"
    return found


def table(values: Mapping[str, Any], head: str = "setting") -> str:
    """Two columns."""
    return "\n".join([f"| {head} | |", "|---|---|", *(f"| {name} | {value} |" for name, value in values.items())])


def holds(rank: int, merge: bool) -> str:
    """What is in the folder."""
    if not rank:
        return "All weights were trained; the folder is whole."
    if merge:
        return "The factors are merged into the weights; they are in `adapter` as well."
    return "The folder holds the low-rank factors alone; they need the weights that they were trained on."


def use(folder: Path | str, weights: str, *, factors: bool, asked: Mapping[str, Any] | None = None) -> str:
    """The command that forecasts with it.

    Args:
        weights: what the factors are for; "" = the published weights, which need not be named.
        factors: whether the folder holds factors alone.
        asked: how it was taught to be asked (`Settings.asked`); named where that is not the default.
    """
    other = {name: value for name, value in (asked or {}).items() if value != getattr(Settings, name)}
    texts = {name: value if isinstance(value, str) else json.dumps(value) for name, value in other.items()}
    how = "".join(f" -M {shlex.quote(f'time-r1:{name}={text}')}" for name, text in texts.items())
    base = f"-M time-r1:weights={weights} " if weights and factors else ""
    return f"harness run -m time-r1 {base}-M time-r1:{'adapter' if factors else 'weights'}={folder}{how}"
