"""Finding plugins, tolerantly: each entry point of the group `harness` is loaded on its own, and one that fails is kept with its reason.

The built-in suites, metrics, dialects, store and commands come through the same entry points, before all others.
`HARNESS_TRACE_HOOKS=1` prints every hook call.
"""

from __future__ import annotations

import contextlib
import copy
import difflib
import fnmatch
import functools
import hashlib
import importlib.metadata
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import pluggy

from harness import defaults, hookspecs
from harness.errors import PluginError, UsageError, describe, suggest
from harness.types import Column, DialectInfo, Metric, ModelInfo, SuiteInfo

if TYPE_CHECKING:
    import click

    from harness.environments import Environment
    from harness.store import Store

__all__ = ["Failure", "Plugins", "Registered", "iterate_sources", "load", "module_digest"]

Info = TypeVar("Info")

SIMPLEST = ("naive", "seasonal_naive", "drift", "mean", "window_average")
INSTALL_SIMPLEST = "pip install harness-baselines"
"""The models that everything else is compared with come as a plugin of their own, which an installation may lack."""

BUILT_IN = "ts-harness"
"""The distribution whose plugins are loaded first: the names that they register are taken when a stranger's plugin comes."""


@dataclass(frozen=True)
class Registered(Generic[Info]):
    """Something a plugin registered: what is known of it, how to make it, and where it came from."""

    info: Info
    factory: Callable[..., Any]
    plugin: str  # entry-point name
    distribution: str
    version: str
    environment: Environment | None = None  # where it runs, if not here: an environment of its own

    @property
    def parameters(self) -> Mapping[str, inspect.Parameter] | None:
        """What the factory takes, by name; None where that cannot be told, as of a class of a compiled extension."""
        try:
            return inspect.signature(self.factory).parameters
        except (TypeError, ValueError):
            return None


@dataclass(frozen=True)
class Failure:
    """A plugin that could not be loaded."""

    plugin: str
    distribution: str
    reason: str
    install: str  # what to type next
    whole: bool = True  # False: only its commands are missing

    def __str__(self) -> str:
        """In one line: which, why, what to type."""
        return f"plugin '{self.plugin}' could not be loaded: {self.reason.rstrip('.')}. {self.install}".strip()


class Plugins:
    """All plugins of this environment, with what they register."""

    def __init__(self) -> None:
        self.pm = pluggy.PluginManager(hookspecs.PROJECT)
        self.pm.add_hookspecs(hookspecs)
        self.pm.register(defaults, name="harness.defaults")
        self.failures: dict[str, Failure] = {}
        self.complaints: set[tuple[str, str]] = set()  # (plugin, hook) that raised during this run
        self.origins: dict[str, tuple[str, str]] = {}  # plugin -> distribution, version
        self.models: dict[str, Registered[ModelInfo]] = {}
        self.suites: dict[str, Registered[SuiteInfo]] = {}
        self.metrics: dict[str, Registered[Metric]] = {}
        self.dialects: dict[str, Registered[DialectInfo]] = {}
        self._replaced: dict[str, Registered[ModelInfo]] = {}  # models that `settled` put elsewhere, as they are here
        if os.environ.get("HARNESS_TRACE_HOOKS", "") not in ("", "0"):
            self.pm.add_hookcall_monitoring(_trace_before, _trace_after)
        for entry in sorted(importlib.metadata.entry_points(group="harness"), key=_turn):
            self._load(entry)

    def _load(self, entry: importlib.metadata.EntryPoint) -> None:
        distribution = entry.dist.name if entry.dist else ""
        version = entry.dist.version if entry.dist else ""
        try:
            # What a plugin prints while it loads is not the answer to the command.
            with contextlib.redirect_stdout(sys.stderr):
                module = entry.load()
                self.register(module, entry.name, distribution, version)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # also sys.exit, and the panics of compiled extensions
            key = entry.name if entry.name not in self.failures else f"{entry.name} ({distribution})"
            self.failures[key] = Failure(entry.name, distribution, _reason(error), _install(error, distribution))

    def register(self, module: object, name: str, distribution: str = "", version: str = "") -> None:
        """Register a plugin module and what it announces, or nothing of it.

        Raises:
            PluginError: a misspelt hook, a wrong argument name, a name that is taken.
            Exception: whatever the plugin's own registration raises.
        """
        if self.pm.has_plugin(name):
            raise PluginError(f"the plugin name {name!r} is taken; rename the entry point of {distribution or 'this plugin'}")
        try:
            self.pm.register(module, name=name)
        except pluggy.PluginValidationError as error:
            with contextlib.suppress(Exception):
                self.pm.unregister(name=name)
            raise PluginError(self._wrong_argument(module, name) or " ".join(str(error).split())) from None
        before = (dict(self.models), dict(self.suites), dict(self.metrics), dict(self.dialects))
        try:
            self._check_pending(module, name)
            others = [p for p in self.pm.get_plugins() if p is not module]
            origin = (name, distribution, version)
            self.pm.subset_hook_caller("register_models", others)(register=self._adder(self.models, ModelInfo, *origin))
            self.pm.subset_hook_caller("register_suites", others)(register=self._adder(self.suites, SuiteInfo, *origin))
            metric = self._adder(self.metrics, Metric, *origin)
            self.pm.subset_hook_caller("register_metrics", others)(register=lambda m: metric(m, m.value))
            self.pm.subset_hook_caller("register_dialects", others)(register=self._adder(self.dialects, DialectInfo, *origin))
            self.origins[name] = (distribution, version)
        except BaseException:
            self.models, self.suites, self.metrics, self.dialects = before
            self.pm.unregister(name=name)
            raise

    def _wrong_argument(self, module: object, name: str) -> str:
        """What to say of the first hook of a plugin that takes an argument which the hook does not have; "" where none does."""
        for attribute in dir(module):
            options = self.pm.parse_hookimpl_opts(module, attribute)
            hook = (options and options["specname"]) or attribute
            spec: Any = getattr(hookspecs, hook, None)
            if options is None or not hasattr(spec, "harness_spec"):
                continue
            function = inspect.unwrap(getattr(module, attribute))
            known = list(inspect.signature(spec).parameters)
            for parameter in inspect.signature(function).parameters.values():
                if parameter.name not in known and parameter.default is parameter.empty:
                    return (
                        f"hook '{hook}' in plugin '{name}' ({_place(function, name)}) has an argument '{parameter.name}'; "
                        f"the hook's arguments are: {', '.join(known)}.{suggest(parameter.name, known)}"
                    )
        return ""

    def _check_pending(self, module: object, name: str) -> None:
        for caller in self.pm.get_hookcallers(module) or []:
            if caller.has_spec():
                continue
            for impl in caller.get_hookimpls():
                if impl.plugin is module and not impl.optionalhook:
                    known = [h for h in vars(hookspecs) if hasattr(getattr(hookspecs, h), "harness_spec")]
                    place = _place(impl.function, name)
                    hint = suggest(caller.name, known) or f" The hooks are: {', '.join(sorted(known))}."
                    raise PluginError(f"unknown hook '{caller.name}' in plugin '{name}' ({place}).{hint}")

    @staticmethod
    def _adder(table: dict[str, Registered[Info]], kind: type, plugin: str, distribution: str, version: str) -> Callable[..., None]:
        def register(info: Info, factory: Callable[..., Any]) -> None:
            if not isinstance(info, kind):
                raise PluginError(f"plugin '{plugin}' registered a {type(info).__name__}; wanted harness.{kind.__name__}(...)")
            if not callable(factory):
                raise PluginError(f"plugin '{plugin}' registered {info!r} with a factory that cannot be called: {factory!r}")
            key = info.name  # type: ignore[attr-defined]
            # Metric names are never typed in lists, and the field writes them with brackets; a version follows a dialect's name after @.
            forbidden = "" if kind is Metric else ",[]=:*?/\\@" if kind is DialectInfo else ",[]=:*?/\\"
            if not _is_name(key, forbidden):
                without = " ".join([*forbidden, "and control characters"]) if forbidden else "control characters"
                wanted = f"text without any of {without}, and without spaces at its ends"
                raise PluginError(f"plugin '{plugin}' registered the name {key!r}; wanted {wanted}")
            _check_fields(info, plugin)
            if key in table:
                raise PluginError(f"plugin '{plugin}' registers '{key}', which plugin '{table[key].plugin}' has already")
            table[key] = Registered(info, factory, plugin, distribution, version)

        return register

    def settled(self, isolation: str, asked: Sequence[str] = ()) -> Plugins:
        """The same plugins, with each model either of this environment or of an environment of its plugin's own; these stay as they are.

        Args:
            isolation: "env" = of its own wherever one is built; "auto" = of its own where the plugin cannot be imported here, or what it
                requires is not installed here in the versions that it wants; anything else = of this environment.
            asked: names or globs of the models that are to be run. A plugin that has one of them, or may have since its sources were
                changed, is asked again what it registers; one that cannot say is left out, with its reason among the failures.
        """
        made = copy.copy(self)  # the same hooks, and tables of its own
        made.models = {n: r for n, r in self.models.items() if r.environment is None} | self._replaced
        made.suites, made.metrics, made.dialects = dict(self.suites), dict(self.metrics), dict(self.dialects)
        made.failures, made.origins, made.complaints, made._replaced = dict(self.failures), dict(self.origins), set(), {}
        if isolation in ("auto", "env"):
            made._move(isolation, asked)
        return made

    def _move(self, isolation: str, asked: Sequence[str]) -> None:
        """Put the models of environments in their places."""
        from harness.environments.record import Elsewhere, info_of, latest, normal

        built = latest()
        known = {*self.models, *(m["info"]["name"] for environment in built.values() for m in environment.models)}
        for distribution, environment in built.items():
            if _concerns(asked, [m["info"]["name"] for m in environment.models], known):
                from harness.environments.build import current

                try:
                    environment = current(environment)
                except (PluginError, OSError) as error:
                    key = f"{distribution} (environment)"
                    self.failures[key] = Failure(distribution, environment.distribution, describe(error), "To see more: harness env check")
                    continue
            for model in environment.models:
                info = info_of(model)
                here = self.models.get(info.name)
                if here is not None and normal(here.distribution) != distribution:
                    # A name stays with the plugin that has it; the other one is told at every run.
                    what = f"the environment of {environment.distribution} has a model '{info.name}', which {here.distribution} has already"
                    remove = f"To remove it: harness env rm {environment.distribution}"
                    key = f"{distribution} ({info.name})"
                    self.failures[key] = Failure(distribution, environment.distribution, what, remove)
                    continue
                if here is not None and isolation == "auto" and is_satisfied(distribution):
                    continue
                if here is not None:
                    self._replaced[info.name] = here
                origin = (model["plugin"], environment.distribution, model["version"])
                self.models[info.name] = Registered(info, Elsewhere(model, environment), *origin, environment)

    def model(self, name: str) -> Registered[ModelInfo]:
        """The model of this name.

        Raises:
            PluginError: it belongs to a plugin that could not be loaded.
            UsageError: there is none; suggests a near one.
        """
        return self._find(name, self.models, "model", "harness ls models")

    def suite(self, text: str) -> Registered[SuiteInfo]:
        """The suite of a name, of one with options in brackets, or of a file; raises as `harness.suites.find_suite`."""
        from harness.suites import find_suite

        return find_suite(self, text)

    def named_suite(self, name: str) -> Registered[SuiteInfo]:
        """The suite that a plugin registered by this name; raises as `model` does."""
        return self._find(name, self.suites, "suite", "harness ls suites")

    def dialect(self, name: str) -> Registered[DialectInfo]:
        """The scoring dialect of this name, without a version; raises as `model` does."""
        return self._find(name, self.dialects, "dialect", "harness ls dialects")

    def _find(self, name: str, table: dict[str, Registered[Info]], what: str, listing: str) -> Registered[Info]:
        if name in table:
            return table[name]
        for failure in self.failures.values():
            stem = failure.distribution.removeprefix("harness-").replace("-", "_")
            if difflib.SequenceMatcher(None, name, failure.plugin).ratio() > 0.7 or name.startswith(
                (failure.plugin, stem or failure.plugin)
            ):
                raise PluginError(f"{what} '{name}' is not here, and {failure}")
        if what == "model" and (found := _built_with(name)):
            raise UsageError(f"model '{name}' is only in an environment of its own ({found}); for that: --isolation auto, or env")
        several = sorted(known for known in table if known.startswith(name)) if len(name) > 2 else []
        near = f" Is it {', '.join(several[:-1])} or {several[-1]}?" if len(several) > 1 else suggest(name, table)
        lacks = self.lacking(name) if what == "model" else self.broken()
        raise UsageError(f"there is no {what} '{name}'.{near} To see all: {listing}{lacks}")

    def lacking(self, name: str = "") -> str:
        """For the end of a message that a model is not here: the line that installs the simplest ones, where it is one or none is here at
        all, and `broken`."""
        hint = "" if self.models and name not in SIMPLEST else f"\nThe simplest models ({', '.join(SIMPLEST)}): {INSTALL_SIMPLEST}"
        return hint + self.broken()

    def broken(self) -> str:
        """For the end of a message that something is not here: lines on the plugins that may have had it, three at most; "" for none."""
        failures = [f for f in self.failures.values() if f.whole]
        lines = [f"it may belong to a plugin that is broken: {f}" if len(failures) == 1 else str(f) for f in failures[:3]]
        if len(failures) > 1:
            lines.insert(0, f"it may belong to one of {len(failures)} plugins that are broken:")
        if len(failures) > 3:
            lines.append(f"and {len(failures) - 3} more: harness ls plugins")
        return "".join(f"\n{line}" for line in lines)

    def absent(self) -> list[str]:
        """A line for each plugin that takes no part: a wrapper that is not there changes no forecast, and nobody would see it."""
        kind = "could not be loaded"
        return [str(f).replace(f"{kind}:", f"{kind} and takes no part:", 1) for f in self.failures.values() if f.whole]

    def commands(self, cli: click.Group) -> None:
        """Let every plugin add its commands; one that fails is kept as a failure."""
        for name, module in self.pm.list_name_plugin():
            if module is None:
                continue
            others = [p for p in self.pm.get_plugins() if p is not module]
            before = dict(cli.commands)
            try:
                self.pm.subset_hook_caller("register_commands", others)(cli=cli)
                taken = sorted(c for c in before if cli.commands.get(c) is not before[c])
                if taken:
                    raise PluginError(f"it replaces the command '{taken[0]}', which is there already; rename it")
            except (Exception, SystemExit) as error:
                cli.commands = before
                self.failures[name] = Failure(name, "", f"register_commands: {_reason(error)}", _install(error, ""), whole=False)

    def store(self, path: Path, readonly: bool = False) -> Store:
        """Open the results store at `path`.

        Raises:
            StoreError: it cannot be opened.
            PluginError: no plugin knows how to.
        """
        store: Store | None = self.pm.hook.open_store(path=path, readonly=readonly)
        if store is None:
            raise PluginError(f"no plugin opens a store at {path}; the built-in one is missing: pip install --force-reinstall ts-harness")
        return store

    def wrappers(self) -> list[str]:
        """Names of plugins that take part in `predict` or `finetune`: they can change numbers, so they belong to a result's identity."""
        names = {i.plugin_name for hook in ("predict", "finetune") for i in getattr(self.pm.hook, hook).get_hookimpls()}
        return sorted(names - {"harness.defaults"})


def _turn(entry: importlib.metadata.EntryPoint) -> tuple[bool, str, str]:
    """What entry points are loaded in the order of."""
    distribution = entry.dist.name if entry.dist else ""
    return distribution != BUILT_IN, distribution, entry.name


def _is_name(text: object, forbidden: str = "") -> bool:
    return isinstance(text, str) and bool(text) and text.isprintable() and not set(text) & set(forbidden) and text == text.strip()


def _check_fields(info: object, plugin: str) -> None:
    """Refuse what is easily mistyped: modes="zero-shot" would be nine modes of one letter."""
    for field in ("modes", "devices", "covariates", "training_corpora", "metrics", "compared_by", "weights_files"):
        value = getattr(info, field, ())
        if isinstance(value, str):
            raise PluginError(f"plugin '{plugin}' registered {field}={value!r}; wanted a tuple of names: {field}=({value!r},)")
    for field in ("max_context", "max_horizon", "batch_size"):
        value = getattr(info, field, None)
        if value is not None and (not isinstance(value, int) or value < 1):
            raise PluginError(f"plugin '{plugin}' registered {field}={value!r}; wanted a number of at least 1, or None")
    if isinstance(info, DialectInfo):
        names = info.metrics
        if not isinstance(names, tuple) or not names or not all(map(_is_name, names)) or len(set(names)) < len(names):
            wanted = "a tuple of different names of metrics, one or more"
            raise PluginError(f"plugin '{plugin}' registered dialect '{info.name}' with metrics={names!r}; wanted {wanted}")
        if not isinstance(info.compared_by, tuple) or len(info.compared_by) > 2 or not set(info.compared_by) <= set(names):
            wanted = f"one or two of its metrics, as in compared_by=({names[0]!r},)"
            raise PluginError(f"plugin '{plugin}' registered dialect '{info.name}' with compared_by={info.compared_by!r}; wanted {wanted}")
        for name, column in info.about.items():
            if name not in names or not isinstance(column, Column) or column.direction not in ("min", "max", "none"):
                wanted = 'a harness.types.Column(what, unit, "min", "max" or "none") of one of its metrics'
                raise PluginError(f"plugin '{plugin}' registered dialect '{info.name}' with about {name!r}: {column!r}; wanted {wanted}")
        if not _is_name(info.version, ","):
            raise PluginError(
                f"plugin '{plugin}' registered dialect '{info.name}' with version={info.version!r}; wanted text, such as \"1\""
            )


@functools.cache
def load() -> Plugins:
    """The plugins of this environment, loaded once, and the models of environments whose plugins cannot be used here."""
    return Plugins().settled("auto")


def _concerns(asked: Sequence[str], models: Sequence[str], known: set[str]) -> bool:
    """Whether a plugin with these models may be meant: by a name or glob of theirs, or by a name that nobody is known to have."""
    return any(fnmatch.filter(models, name) or not fnmatch.filter(known, name) for name in asked)


def _built_with(model: str) -> str:
    """The folder of an environment that has a model; "" where none has."""
    from harness.environments.record import latest

    return next((str(e.folder) for e in latest().values() if any(m["info"]["name"] == model for m in e.models)), "")


def is_satisfied(distribution: str) -> bool:
    """Whether all that an installed distribution requires is installed in versions that it takes."""
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        wanted = [Requirement(line) for line in importlib.metadata.requires(distribution) or []]
        return all(
            r.specifier.contains(importlib.metadata.version(r.name), prereleases=True)
            for r in wanted
            if r.marker is None or r.marker.evaluate({"extra": ""})
        )
    except (importlib.metadata.PackageNotFoundError, InvalidRequirement):
        return False


def _place(function: Any, name: str) -> str:
    """Where a function is written: file:line, the plugin's name where that cannot be told."""
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code else name


def _reason(error: BaseException) -> str:
    if isinstance(error, PluginError):
        return describe(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" ({frames[-1].filename}:{frames[-1].lineno})" if frames else ""
    return f"while being loaded, {describe(error)}" if isinstance(error, SystemExit) else f"{describe(error)}{place}"


DISTRIBUTIONS = {
    "PIL": "pillow",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python",
    "sklearn": "scikit-learn",
    "skimage": "scikit-image",
    "yaml": "pyyaml",
}
"""Modules whose distribution has another name; all others are taken to be named alike."""


def install_line(module: str) -> str:
    """The pip line that brings a missing module, as far as its name tells."""
    name = module.partition(".")[0]
    return f"pip install {DISTRIBUTIONS.get(name, name)}"


def _install(error: BaseException, distribution: str) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name:
        return f"To install what it needs: {install_line(error.name)}"
    return f"To remove it: pip uninstall {distribution}" if distribution else ""


def _trace_before(hook_name: str, hook_impls: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    arguments = ", ".join(f"{k}={_short(v)}" for k, v in kwargs.items())
    print(f"hook {hook_name}({arguments}) -> {[i.plugin_name for i in hook_impls]}", file=sys.stderr)


def _trace_after(outcome: Any, hook_name: str, hook_impls: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    del hook_impls, kwargs
    state = f"raised {type(outcome.exception).__name__}" if outcome.exception else f"gave {_short(outcome.get_result())}"
    print(f"hook {hook_name} {state}", file=sys.stderr)


def _short(value: object, width: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= width else text[: width - 1] + "…"


@functools.cache
def module_digest(module: object) -> str:
    """A hash of a plugin's Python files; of none, the hash of nothing."""
    state = hashlib.blake2b(digest_size=16)
    for path in iterate_sources(module):
        state.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return state.hexdigest()


def iterate_sources(module: object) -> Iterator[Path]:
    """The Python files of a plugin: those of its package, or its one module."""
    if getattr(module, "__file__", None) is None:  # an object in a module: "module:plugin"
        module = sys.modules.get(getattr(module, "__module__", ""))
    file = getattr(module, "__file__", None)
    if file is None:
        return
    path = Path(file)
    package = getattr(module, "__package__", "") or ""
    root = path.parent if path.name == "__init__.py" or package else None
    # A plugin module inside a package ("harness_ttm.plugin") stands for the whole top package.
    for _ in range(package.count(".")):
        root = root.parent if root else None
    yield from sorted(root.rglob("*.py")) if root else [path]
