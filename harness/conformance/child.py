"""The process in which a model is checked: `python -m harness.conformance.child REQUEST`. A model may crash it and nothing else.

What the model prints goes to stderr. Answers are lines of JSON on what was stdout:

    {"choices": [...]}                         to {"do": "list", ...}: the models that are to be checked
    {"start": CHECK}                           to {"do": "run", ...}: for each check, before it
    {"check", "state", "text", "seconds"}      and after it
    {"end": true}                              when all is done
    {"error": TEXT, "code": EXIT CODE}         the request makes no sense, or a plugin is broken
"""

from __future__ import annotations

import importlib.metadata
import inspect
import json
import os
import re
import sys
import time
import unittest
from collections.abc import Callable, Collection, Iterator
from typing import Any

from harness.environments.record import normal
from harness.errors import HarnessError, PluginError, Unavailable, Unsupported, UsageError, describe, suggest
from harness.plugins import Plugins, load

__all__ = ["main"]

LOAD = "load"
"""The name of what comes before the checks: the model is made."""
Say = Callable[[dict[str, Any]], None]


def choices(plugins: Plugins, request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The models of a plugin, or the one that is named, with parameters.

    Raises:
        UsageError: there is no such plugin or model, or one that is not of this plugin.
        PluginError: the plugin could not be loaded.
    """
    from harness.selection import select_models

    entries, text = request["entries"], request["name"]
    own = _models_of(plugins, entries, text)
    names = request["models"] or (",".join(own) if own is not None else text)
    if own is not None and not own:
        raise UsageError(
            f"plugin {text} registers no model, and the checks are for models. For a scoring dialect: harness.testing.check_dialect"
        )
    for registered, params in select_models(plugins, names, request["arguments"]):
        name = registered.info.name
        if own is not None and name not in own:
            raise UsageError(f"model '{name}' is not of plugin {text}, which has: {', '.join(own)}.{suggest(name, own)}")
        where = registered.distribution or registered.plugin
        yield {"model": name, "params": params, "from": f"{where} {registered.info.version or registered.version}".strip()}


def _models_of(plugins: Plugins, entries: list[str] | None, text: str) -> list[str] | None:
    """Names of the models of a plugin, of some entry points where those are given; None where the text is no plugin's name."""
    folded = normal(text)
    wanted = set(entries or ())
    if entries is None:
        known = {e.name: e.dist.name if e.dist else "" for e in importlib.metadata.entry_points(group="harness")}
        wanted = {name for name, distribution in known.items() if text == name or normal(distribution) == folded}
        if not wanted and re.sub(r"\[.*", "", text, flags=re.DOTALL).strip() not in plugins.models and not set(text) & set("*?,["):
            near = suggest(text, [*plugins.models, *known, *filter(None, known.values())])
            raise UsageError(
                f"there is no plugin or model '{text}'.{near} To see all: harness ls plugins, harness ls models. A folder is written with "
                f"a slash: ./{text}{plugins.lacking(text)}"
            )
    broken = [f for f in plugins.failures.values() if f.whole and f.plugin in wanted]
    if broken:
        raise PluginError("\n".join(map(str, broken)))
    return sorted(name for name, entry in plugins.models.items() if entry.plugin in wanted) if wanted else None


def run(plugins: Plugins, request: dict[str, Any], say: Say) -> None:
    """Make the model, then run those of its checks that are not in `done`."""
    from harness.specimens import Bench
    from harness.testing import checks

    name, params, done, only = request["model"], request["params"], set(request["done"]), set(request["only"])
    usable = True
    if (environment := plugins.model(name).environment) is not None:
        text = f"it lives in an environment of its own, {environment.folder}; the checks need the whole harness beside it: install it here"
        say({"check": LOAD, "state": "absent", "text": text, "seconds": 0.0})
        return
    if LOAD not in done:
        needs = _required(plugins.model(name).factory, params)
        usable = _step(say, LOAD, lambda: _made(Bench(name, params, plugins), needs))
    for check in checks(name, params, plugins):
        if check.name in done or (only and check.name not in only) or not (usable or check.name == "light_import"):
            continue  # a model that cannot be made fails every check but that of its import, for one reason
        if check.reason:
            say({"check": check.name, "state": "exception", "text": check.reason, "seconds": 0.0})
        else:
            _step(say, check.name, check)


def _required(factory: Callable[..., Any], params: Collection[str]) -> list[str]:
    """Parameters of a factory that have no default and are not given."""
    try:
        takes = inspect.signature(factory).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in takes if p.default is p.empty and p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name not in params]


def _made(bench: Any, needs: list[str]) -> str:
    if needs:
        said = " ".join(f"-M {bench.name}:{name}=VALUE" for name in needs)
        raise Unavailable(f"{bench.name} must be given {', '.join(needs)}: {said}")
    bench.session  # noqa: B018 - the model is made when it is first asked for
    return f"made in {bench.load_s:.2g} s"


def _step(say: Say, name: str, call: Callable[[], str | None]) -> bool:
    """Run one check and say how it went; return whether the checks after it make sense."""
    say({"start": name})
    start = time.perf_counter()
    state, text = "ok", ""
    try:
        text = call() or ""
    except unittest.SkipTest as error:
        state, text = "skipped", str(error)
    except AssertionError as error:
        state, text = "failed", str(error)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # whatever a stranger's model raises
        state, text = ("absent" if name == LOAD and _is_absent(error) else "failed"), describe(error)
        if isinstance(error, Unavailable) and error.fetch and error.fetch not in text:
            text += f"; type: {error.fetch}"
        if name == LOAD and isinstance(error, Unsupported):
            state = "skipped"
    say({"check": name, "state": state, "text": text, "seconds": time.perf_counter() - start})
    return state == "ok"


def _is_absent(error: BaseException) -> bool:
    """Whether a model lacks something that the user can get or name: weights, a package, a parameter without a default.

    A `UsageError` is none: at its own defaults a model must be made, or say by `Unavailable` or `Unsupported` why not.
    """
    return isinstance(error, Unavailable | ModuleNotFoundError) or isinstance(error.__cause__, ModuleNotFoundError)


def main(arguments: list[str]) -> None:
    """Entry of the child process."""
    from harness.worker import _die_with_parent, take_stdout

    request = json.loads(arguments[0])
    _die_with_parent(request["parent"])
    answers = take_stdout()

    def say(event: dict[str, Any]) -> None:
        print(json.dumps(event, default=str), file=answers, flush=True)

    try:
        plugins = load()
        if request["do"] == "list":
            say({"choices": list(choices(plugins, request))})
        else:
            run(plugins, request, say)
        say({"end": True})
    except HarnessError as error:
        say({"error": str(error), "code": error.exit_code})
    sys.stderr.flush()
    # Leave at once: threads and pools that a model forgot must not hold the process.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1:])
