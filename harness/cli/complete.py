"""Completion of names in a shell (`harness completion bash`): what is registered here, without opening data or a database."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable
from typing import Any

import click

__all__ = ["comma_list", "progress_kinds", "shown_names"]

Completer = Callable[[click.Context, click.Parameter, str], list[str]]


def comma_list(what: str) -> Completer:
    """Complete the last part of a list of "models", "suites" or "tasks"."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        del parameter
        head, comma, last = incomplete.rpartition(",")
        return [f"{head}{comma}{name}" for name in _starting(_names(what, context), last)]

    return complete


def progress_kinds(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """The words of `--progress`."""
    del context, parameter
    return _starting(("auto", "rich", "plain", "none"), incomplete)


def shown_names(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Anything that `harness show` knows by a registered name."""
    del parameter
    return _starting([name for what in ("models", "suites", "metrics", "dialects", "tasks") for name in _names(what, context)], incomplete)


def _starting(names: Iterable[str], text: str) -> list[str]:
    return sorted({name for name in names if name.startswith(text)})


def _names(what: str, context: click.Context) -> list[str]:
    """Registered names; none where something is broken, since a message would land in the middle of what is being typed."""
    from harness.plugins import load
    from harness.selection import split_list

    names: list[str] = []
    with contextlib.suppress(Exception):
        plugins = load()
        if what != "tasks":
            return list(getattr(plugins, what))
        asked: Any = context.params.get("suite") or list(plugins.suites)
        for suite in split_list(asked):
            with contextlib.suppress(Exception):
                names += [task.name for task in plugins.suite(suite).factory(None).tasks()]
    return names
