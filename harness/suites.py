"""From what a user types to a suite: a name, a name with options in brackets, or a file that describes one.

    quick                               as a plugin registers it
    cgm[context=288,patient_share=0.2]  the same with options: keyword arguments of its factory, part of its name and of its results
    ./shop.yaml                         a file of the user's own, which a plugin's hook `open_suite_file` reads

A file is remembered by the name that it gives its suite, so that `-s shop` finds it again, in whatever folder the command is given. A name
that another file has is given away by `harness run` alone (`rebind`): what only looks at a file changes nothing for the other's results.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.cache import load_cached, store_cached
from harness.errors import DataError, HarnessError, PluginError, UsageError, describe, suggest
from harness.files import expanded, other_than_file
from harness.types import SuiteInfo

if TYPE_CHECKING:
    from harness.plugins import Plugins, Registered

__all__ = ["find_suite", "is_file", "rebind", "remembered", "stored_name"]

REMEMBERED = "suites.json"
"""In the user's cache: {name: path of the file}."""
SUFFIXES = (".yaml", ".yml")
DIGITS = 40
"""Of a number that is an option, which becomes a part of the suite's name. float64 has 17."""


def is_file(text: str) -> bool:
    """Whether this names a file, and not a suite that a plugin registers."""
    return text.endswith(SUFFIXES) or os.sep in text.partition("[")[0]


def find_suite(plugins: Plugins, text: str) -> Registered[SuiteInfo]:
    """The suite of what was typed; its `info.name` is the one that its tasks and results carry.

    Raises:
        UsageError: there is none; an option that it does not have, or a value of no use; a file that is not there or describes no suite.
        PluginError: it belongs to a plugin that could not be loaded.
    """
    if is_file(text):
        path, bracket, _ = text.partition("[")
        if bracket and expanded(path).is_file():
            raise UsageError(f"-s {text}: a suite of a file has no options in brackets; what they would say is written in {path}")
        return _of_file(plugins, expanded(text))
    match = re.fullmatch(r"([^\[\]]+)\[(.*)\]", text, re.DOTALL)
    if match is not None:
        return _with_options(_named(plugins, match[1].strip()), match[2])
    return _named(plugins, text)


def stored_name(plugins: Plugins, text: str) -> str:
    """The name by which results of a suite are stored: of a file what it calls itself, options in one spelling; else the text as it is,
    since a store may have results of suites that no plugin here has. Raises as `find_suite`.
    """
    return find_suite(plugins, text).info.name if is_file(text) or "[" in text else text


def remembered(plugins: Plugins) -> list[Registered[SuiteInfo]]:
    """The suites of files that were given before, are still there and can be read, by name.

    A file that has renamed its suite is remembered by both names, and has one suite.
    """
    found: dict[str, Registered[SuiteInfo]] = {}
    for name, path in load_cached(REMEMBERED).items():
        if name not in plugins.suites and isinstance(path, str) and Path(path).is_file():
            with contextlib.suppress(HarnessError):
                suite = _of_file(plugins, Path(path))
                found[suite.info.name] = suite
    return [suite for _, suite in sorted(found.items())]


def rebind(plugins: Plugins, text: str) -> str:
    """Remember the file of what was typed by its suite's name from now on, though another file had it; for commands that make results.

    Returns:
        What is to be said of it: a name was another file's, which is still there. "" where it was not, or where no file was typed.

    Raises:
        As `find_suite`.
    """
    if not is_file(text):
        return ""
    name, here = find_suite(plugins, text).info.name, str(expanded(text).absolute())
    before = load_cached(REMEMBERED).get(name)
    if not isinstance(before, str) or before == here:
        return ""
    _remember(name, here)
    return f"{name} was {before} until now; it is {here} from now on"


def _remember(name: str, path: str) -> None:
    with contextlib.suppress(OSError):  # then it must be given as a path each time
        store_cached(REMEMBERED, {**load_cached(REMEMBERED), name: path})


def _named(plugins: Plugins, name: str) -> Registered[SuiteInfo]:
    if name in plugins.suites:
        return plugins.named_suite(name)
    known = load_cached(REMEMBERED)
    path = known.get(name)
    if isinstance(path, str):
        if not Path(path).is_file():
            raise UsageError(
                f"suite '{name}' was described by {path}, which is not there any more; give the file's new place: -s FILE.yaml"
            )
        found = _of_file(plugins, Path(path))
        if found.info.name != name:
            raise UsageError(f"suite '{name}' was described by {path}, which calls its suite '{found.info.name}' now; -s {found.info.name}")
        return found
    if near := suggest(name, [*plugins.suites, *known]):
        with contextlib.suppress(UsageError):
            return plugins.named_suite(name)  # raises what is to be said of a plugin that is broken
        raise UsageError(f"there is no suite '{name}'.{near} To see all: harness ls suites{plugins.broken()}")
    return plugins.named_suite(name)


def _of_file(plugins: Plugins, path: Path) -> Registered[SuiteInfo]:
    if what := other_than_file(path):
        raise UsageError(f"-s {path}: is {what}; wanted a file of YAML, as harness new suite makes it")
    if not path.is_file():
        raise UsageError(f"-s {path}: there is no such file; to make one: harness new suite {path.stem or 'my-suite'}")
    try:
        found: Any = plugins.pm.hook.open_suite_file(path=path.absolute())
    except DataError as error:  # a mistake in what the user wrote, not in data
        raise UsageError(str(error)) from None
    except HarnessError:
        raise
    except Exception as error:
        raise PluginError(f"{path}: reading it as a suite raised {describe(error)}; tell the author of the plugin") from error
    if found is None:
        raise UsageError(f"-s {path}: no plugin reads a suite from such a file; wanted a .yaml file, as harness new suite makes it")
    info, factory = found
    if info.name in plugins.suites:
        raise UsageError(f"{path}: it calls its suite '{info.name}', as one of a plugin is called; give it another name")
    from harness.plugins import Registered

    before = load_cached(REMEMBERED).get(info.name)
    if not isinstance(before, str) or not Path(before).is_file():
        _remember(info.name, str(path.absolute()))
    return Registered(info, factory, "file", "", "")


def _with_options(found: Registered[SuiteInfo], text: str) -> Registered[SuiteInfo]:
    """The suite with its factory's keyword arguments given, in one spelling: in the order of the factory, without the defaults."""
    from harness.selection import parse_assignment, split_list

    name = found.info.name
    takes = {key: value for key, value in (found.parameters or {}).items() if value.kind is value.KEYWORD_ONLY and key != "suite"}
    given: dict[str, Any] = {}
    for part in split_list(text):
        if "=" not in part:
            raise UsageError(
                f"suite '{name}' got the option {part!r}; wanted KEY=VALUE" + (f" with one of {', '.join(takes)}" if takes else "")
            )
        key, value = parse_assignment(part)
        typed = part.partition("=")[2].strip()
        if len(typed) > DIGITS and re.fullmatch(r"[-+.]?[0-9][-+.0-9eE]*", typed):
            raise UsageError(f"suite '{name}' got the option '{key}' with a number of {len(typed)} digits; wanted at most {DIGITS}")
        if key in given:
            raise UsageError(f"suite '{name}' got the option '{key}' twice; wanted it once")
        if key not in takes:
            known = f"it takes: {', '.join(takes)}" if takes else "it takes none"
            raise UsageError(f"suite '{name}' has no option '{key}'.{suggest(key, takes)} ({known})")
        whole = isinstance(takes[key].default, float) and isinstance(value, float) and value.is_integer()
        given[key] = int(value) if whole else value  # 12.0 and 12 are one
    options = {key: given[key] for key in takes if key in given and given[key] != takes[key].default}
    if not options:
        return found
    label = f"{name}[{','.join(f'{key}={_spelt(value)}' for key, value in options.items())}]"

    @functools.wraps(found.factory)
    def factory(data: Path | None) -> Any:
        return found.factory(data, suite=label, **options) if "suite" in (found.parameters or {}) else found.factory(data, **options)

    return replace(found, info=replace(found.info, name=label), factory=factory)


def _spelt(value: Any) -> str:
    """As it is typed: text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)
