"""From what plugins register to dialects that score."""

from __future__ import annotations

from typing import Any

from harness.dialects.contract import Dialect
from harness.dialects.scoring import blame
from harness.errors import PluginError, UsageError
from harness.plugins import Plugins, Registered, load
from harness.types import DialectInfo, Task

__all__ = ["dialect", "find", "make", "own_dialect"]


def dialect(text: str, plugins: Plugins | None = None) -> Dialect:
    """The dialect of "fev" or "fev@0.10"; raises as `find` and `make` do."""
    return make(find(text, plugins))


def own_dialect(task: Task, plugins: Plugins | None = None) -> Dialect | None:
    """The dialect that a task names; None where that is the one whose scores are the metrics themselves. Raises as `find` and `make` do."""
    return None if task.dialect == Task.dialect else dialect(task.dialect, plugins)


def find(text: str, plugins: Plugins | None = None) -> Registered[DialectInfo]:
    """What is registered as "fev" or "fev@0.10", in these plugins or, by default, those of this environment.

    Raises:
        UsageError: no such dialect, or another version of it than the one here.
        PluginError: it belongs to a plugin that could not be loaded.
    """
    name, at, version = text.partition("@")
    found = (load() if plugins is None else plugins).dialect(name)
    here = found.info.version
    if at and version != here:
        raise UsageError(f"got dialect {text!r}; wanted {name} or {name}@{here}, which is the version here")
    return found


def make(entry: Registered[DialectInfo]) -> Dialect:
    """The dialect of a registration.

    Raises:
        PluginError: its factory raised something, or returned no dialect.
    """
    info = entry.info
    try:
        made: Any = entry.factory()
        tally, aggregate, relative = getattr(made, "tally", None), getattr(made, "aggregate", None), getattr(made, "relative", True)
        own, draw = getattr(made, "info", info), getattr(made, "draw", None)
    except Exception as error:
        raise blame(info.name, "being made", error) from error
    if not callable(tally) or not (aggregate is None or callable(aggregate)):
        wanted = "a harness.dialects.Dialect, or an object with the methods tally(forecasts) and, if it has one, aggregate(board)"
        raise PluginError(f"the factory of dialect '{info.name}' returned a {type(made).__name__}; wanted {wanted}")
    if bool(info.plots) != callable(draw):
        raise PluginError(
            f"dialect '{info.name}' registers the pictures {', '.join(info.plots) or '(none)'}, and its factory returned a "
            f"{type(made).__name__} with draw={draw!r}; wanted a method draw(kind, forecasts, which), or neither"
        )
    if own != info:
        raise PluginError(f"the factory of dialect '{info.name}' returned one of {own!r}; wanted the registered {info!r}")
    return Dialect(info, tally, aggregate, bool(relative), draw)
