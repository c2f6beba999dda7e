"""Models that are made of a class which the user names: `-m gluonts:my_module.MyEstimator[context_length=24]`.

`ModelInfo.target` says that a model takes such a class, which reaches its factory as the parameter `target`. The class is looked for as
Python looks for it, and after that in the working folder; only the worker imports it. The module's source is part of a result's identity.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.machinery
import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeGuard

from harness.errors import UsageError, suggest

__all__ = ["PARAMETER", "check_target", "is_target", "iterate_target", "load_target", "split_name"]

PARAMETER = "target"
"""The parameter of the factory that what follows the colon becomes."""
TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


def split_name(text: str) -> tuple[str, str]:
    """A model's name, and what follows its first colon; "" for nothing.

    >>> split_name("gluonts:my_module.MyEstimator"), split_name("naive")
    (('gluonts', 'my_module.MyEstimator'), ('naive', ''))
    """
    name, _, target = text.partition(":")
    return name.strip(), target.strip()


def is_target(text: object) -> TypeGuard[str]:
    """Whether this is MODULE.CLASS, as it may follow a colon."""
    return isinstance(text, str) and TARGET.fullmatch(text) is not None


def check_target(model: str, target: object) -> None:
    """Refuse what is no target, and one whose module is nowhere.

    Raises:
        UsageError: says what was got and what to type.
    """
    wanted = f"wanted {model}:MODULE.CLASS, as in {model}:my_module.MyModel for the class MyModel of my_module.py in this folder"
    if not target:
        raise UsageError(f"model '{model}' is made of a class of yours, and none was named; {wanted}")
    if not is_target(target):
        raise UsageError(f"got {model}:{target}; {wanted}")
    top = str(target).partition(".")[0]
    if top not in sys.modules and not _places(top):
        raise UsageError(f"got {model}:{target}, and there is no module '{top}', neither installed nor in {Path.cwd()}; {wanted}")


def iterate_target(target: str) -> Iterator[Path]:
    """The Python files of the target's top module, sorted: the file, or all of the package; none where it is not found, or is no file."""
    for place in _places(target.partition(".")[0]):
        yield from sorted(place.rglob("*.py")) if place.is_dir() else [place]


def load_target(target: str) -> Any:
    """Import the module and return what it has under the name.

    The working folder is put at the end of the search path, and stays there: a module of the user's may import its neighbours late.

    Raises:
        UsageError: no such module, or nothing of that name in it.
        Exception: whatever the module raises while it is imported.
    """
    module, _, name = target.rpartition(".")
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.append(here)
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # a module that the user's own needs
        raise UsageError(f"got {target}, and there is no module '{error.name}', neither installed nor in {here}") from None
    if not hasattr(found, name):
        public = [each for each, value in vars(found).items() if not each.startswith("_") and callable(value)]
        own = [each for each in public if getattr(vars(found)[each], "__module__", "") == module]
        has = f"it has {', '.join((own or public)[:10])}" if public else "it has no class"
        place = getattr(found, "__file__", None) or module
        raise UsageError(f"got {target}, and {place} has no '{name}'.{suggest(name, public)} ({has})")
    return getattr(found, name)


def _places(top: str) -> list[Path]:
    """Where a top module lies, a file or folders; without importing it."""
    spec = None
    with contextlib.suppress(ImportError, ValueError):  # ValueError: it is loaded, and does not say from where
        spec = importlib.util.find_spec(top)
    if spec is None:
        spec = importlib.machinery.PathFinder.find_spec(top, [str(Path.cwd())])
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return [Path(place) for place in spec.submodule_search_locations]
    return [Path(spec.origin)] if spec.origin and Path(spec.origin).is_file() else []
