"""Read a suite file: its own keys, and its tasks, each of which may stand for several, one for each horizon.

All that can be known without the data is checked, so that a mistake in the file is told with its line before anything is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from harness.errors import DataError, HarnessError
from harness.types import SuiteInfo
from harness_tasks.own.declared import Declared, Entry
from harness_tasks.own.places import At, load
from harness_tasks.own.source_keys import MERGED, READING, read_source
from harness_tasks.own.task_keys import ASKING, PLAIN, WINDOWS, horizons, read_entry

__all__ = ["read"]

SUITE = ("name", "summary", "license", "url", "version", "baseline", "defaults", "tasks")
MOST = 5000
"""Tasks of a suite."""
TASK = ("name", *READING, *WINDOWS, *ASKING)


def read(path: Path) -> Declared:
    """Read a suite file.

    Raises:
        DataError: what is wrong, with its line.
    """
    top = load(path)
    keys = top.mapping(SUITE)
    info = _info(path, keys)
    return Declared(path, info, tuple(_tasks(keys, info.name)))


def _info(path: Path, keys: Mapping[str, At]) -> SuiteInfo:
    for name in ("name", "tasks"):
        if name not in keys:
            raise DataError(f"{path}: has no '{name}'; wanted one. Keys: {', '.join(SUITE)}. To make such a file: harness new suite NAME")
    texts = {
        key: keys[key].text(empty=key != "name") for key in ("name", "summary", "license", "url", "version", "baseline") if key in keys
    }
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", texts["name"]) or texts["name"].endswith((".yaml", ".yml")):
        raise keys["name"].fail(repr(texts["name"]), "a name of small letters, digits, '-', '_' and '.', as my-shop")
    if "baseline" in texts:
        _check_baseline(keys["baseline"], texts["baseline"])
    return SuiteInfo(**texts)


def _check_baseline(at: At, text: str) -> None:
    """Refuse a baseline that no model can be, also of those that are in environments of their own."""
    from harness.plugins import load

    try:
        load().settled("auto").model(re.split(r"[\[:]", text, maxsplit=1)[0])
    except HarnessError as error:  # a plugin that could not be loaded too, as its models have no results here
        raise DataError(f"{at.where}: baseline: {error}") from None


def _tasks(keys: Mapping[str, At], suite: str) -> list[Entry]:
    """All tasks, in the order of the file."""
    defaults = keys["defaults"].mapping(TASK[1:]) if "defaults" in keys else {}
    entries: list[Entry] = []
    lines: dict[str, str] = {}
    listed = keys["tasks"].each(alone=False)
    if not listed:
        raise keys["tasks"].fail("an empty list", "at least one task")
    for at in listed:
        for entry in _entries(at, defaults, suite):
            if entry.task.name in lines:
                raise at.fail(f"the task '{entry.task.name}' again, first in {lines[entry.task.name]}", "each name once")
            lines[entry.task.name] = entry.where.rpartition(", ")[2]
            entries.append(entry)
        if len(entries) > MOST:
            raise at.fail(f"more than {MOST:,} tasks, counting each horizon", "fewer in one file. Make suites of them, a file each")
    return entries


def _entries(at: At, defaults: Mapping[str, At], suite: str) -> list[Entry]:
    """The tasks of one item of the list, one for each horizon."""
    own = at.mapping(TASK)
    if "name" not in own:
        raise at.fail("a task without 'name'", "a name, as sales")
    name = own["name"].text()
    if not re.fullmatch(rf"{PLAIN}(/{PLAIN})*", name):
        raise own["name"].fail(repr(name), "letters, digits, '.', '_', '-', '+', and '/' between parts")
    for key in [key for key, value in own.items() if value.unset and key in defaults]:
        own.pop(key)
        defaults = {other: value for other, value in defaults.items() if other != key}
    keys = {key: At(value.path, value.node, f"{name}: {value.key}") for key, value in {**defaults, **own}.items()}
    for one, other in (("horizon", "horizons"), ("horizons", "horizon")):
        if one in own and other not in own:  # a task's own says what a default said otherwise
            keys.pop(other, None)
    if "horizon" in keys and "horizons" in keys:
        raise keys["horizons"].fail("'horizon' and 'horizons'", "one of them")
    merged = {key: [d[key] for d in (defaults, own) if key in d] for key in MERGED}
    source = read_source(at, name, keys, merged)
    return [read_entry(at, keys, source, suite, name, *each) for each in horizons(at, keys)]
