"""Reading what a user selects: models with parameters, tasks by glob, a limit, a time."""

from __future__ import annotations

import fnmatch
import inspect
import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.errors import HarnessError, NothingMatched, PluginError, UsageError, describe, suggest
from harness.plugins import Plugins, Registered
from harness.targets import PARAMETER, check_target, split_name
from harness.types import ModelInfo, Task

__all__ = ["canonical_limit", "learns", "parse_limit", "parse_modes", "select_models", "select_tasks", "split_list"]

MODES = ("zero-shot", "finetune", "full", "ttt")
"""Modes that are one word; "few-shot:SHARE" is the other kind."""
ModelChoice = tuple[Registered[ModelInfo], dict[str, Any]]


def split_list(texts: str | Iterable[str]) -> list[str]:
    """Split at commas outside brackets: "a,b[x=1,y=2]" -> ["a", "b[x=1,y=2]"]; a sequence of such texts is flattened."""
    parts: list[str] = []
    for text in [texts] if isinstance(texts, str) else texts:
        depth, start = 0, 0
        for at, letter in enumerate(text):
            depth += (letter in "[{") - (letter in "]}")
            if letter == "," and depth <= 0:
                parts.append(text[start:at])
                start = at + 1
        parts.append(text[start:])
    return [p.strip() for p in parts if p.strip()]


def parse_value(text: str) -> Any:
    """Read a parameter's value: a JSON value (number, true, list …), else the text itself."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {"True": True, "False": False, "None": None}.get(text, text)


def parse_assignment(text: str) -> tuple[str, Any]:
    """Read "key=value".

    Raises:
        UsageError: no key or no "=".
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip().isidentifier():
        raise UsageError(f"got model parameter {text!r}; wanted KEY=VALUE, as in -M context=512 or -M ttm:context=512")
    return key.strip(), parse_value(value.strip())


class Sweep(tuple[Any, ...]):
    """Values of a parameter, each of which makes a model of its own."""


def parse_parameter(text: str) -> tuple[str, Any]:
    """Read "key=value", where "{a,b,c}" is a `Sweep`; braces around JSON ({"a": 1}), and those within a JSON text, are as they are.

    >>> parse_parameter("rate={1e-5,1e-4}"), parse_parameter("lags={[1,7],[1]}"), parse_parameter('map={"a":1}')
    (('rate', (1e-05, 0.0001)), ('lags', ([1, 7], [1])), ('map', {'a': 1}))

    Raises:
        UsageError: no key or no "="; braces with nothing in them.
    """
    key, value = parse_assignment(text)
    typed = text.partition("=")[2].strip()
    if not isinstance(value, str) or typed[:1] + typed[-1:] != "{}":
        return key, value
    values = Sweep(map(parse_value, split_list(typed[1:-1])))
    if not values:
        raise UsageError(f"got {text}; wanted values between the braces, as in {key}={{1e-5,1e-4,1e-3}}")
    return key, values


def expanded(params: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Parameters without a `Sweep`: each combination of the values, the last parameter changing fastest."""
    choices = [value if isinstance(value, Sweep) else (value,) for value in params.values()]
    return [dict(zip(params, values, strict=True)) for values in itertools.product(*choices)]


def select_models(plugins: Plugins, models: str | Iterable[str], arguments: Iterable[str] = ()) -> list[ModelChoice]:
    """Read `-m` ("naive,ttm[context=512]", globs allowed) and `-M` ("context=512", "ttm:context=512").

    A value in braces, "ttm[context={512,1024}]", is several: each makes a model, with a result of its own.

    A factory that can be given one thing in several ways may have a static or class method `canonical_params(**params) -> dict`, which
    returns the parameters in one of them: they are part of a result's identity, and of the model's name there.

    "NAME:TARGET" is NAME with the parameter `target`. A glob leaves models out that need one, or another parameter.

    Raises:
        UsageError: a name, a parameter or a spelling that does not exist.
        PluginError: a model whose plugin could not be loaded.
    """
    chosen: list[ModelChoice] = []
    for text in split_list(models):
        match = re.fullmatch(r"([^\[\]]+)(?:\[(.*)\])?", text, re.DOTALL)
        if match is None:
            raise UsageError(f"got model {text!r}; wanted NAME or NAME[key=value,…]")
        params = dict(parse_parameter(p) for p in split_list(match[2] or ""))
        name, target = split_name(match[1])
        if target:
            params = _targeted(plugins.model(name), target, params)
        names = [name]
        if set(name) & set("*?"):
            names = fnmatch.filter([n for n, m in plugins.models.items() if not m.info.target and not _lacking(m, params)], name)
            if not names:
                raise NothingMatched(f"no model matches {match[1]!r}. To see all: harness ls models{plugins.lacking()}")
        chosen += [(plugins.model(name), dict(params)) for name in names]
    if not chosen:
        raise UsageError(
            "no model given; name one or more with -m, as in: harness run -m naive,seasonal_naive. To see all: harness ls models"
        )
    for text in arguments:
        name, colon, _ = text.partition("=")[0].rpartition(":")
        key, value = parse_parameter(text.removeprefix(name + colon))
        hits = [params for model, params in chosen if name in ("", model.info.name, f"{model.info.name}:{params.get(PARAMETER)}")]
        if not hits:
            raise UsageError(f"-M {text}: no model '{name}' in this run.{suggest(name, [m.info.name for m, _ in chosen])}")
        for params in hits:
            params.setdefault(key, value)
    chosen = [(model, each) for model, params in chosen for each in expanded(params)]
    for model, params in chosen:
        _check_params(model, params)
        if model.info.target:
            check_target(model.info.name, params.get(PARAMETER))
    chosen = [(model, _canonical(model, params)) for model, params in chosen]
    unique = {(m.info.name, json.dumps(p, sort_keys=True, default=str)): (m, p) for m, p in chosen}
    return list(unique.values())


def _targeted(model: Registered[ModelInfo], target: str, params: dict[str, Any]) -> dict[str, Any]:
    """The parameters of "NAME:TARGET[…]", with the target among them."""
    name = model.info.name
    if not model.info.target and PARAMETER not in (model.parameters or ()):
        raise UsageError(f"got {name}:{target}; model '{name}' takes nothing after a colon, and parameters in brackets: {name}[key=value]")
    if PARAMETER in params:
        raise UsageError(f"got {name}:{target} with {PARAMETER}={params[PARAMETER]}; wanted the one or the other")
    return {PARAMETER: target, **params}


def _canonical(model: Registered[ModelInfo], params: dict[str, Any]) -> dict[str, Any]:
    """The parameters as the factory's own `canonical_params` writes them, where it has that; else as they are."""
    method = getattr(model.factory, "canonical_params", None)
    if not callable(method):
        return params
    try:
        return dict(method(**params))
    except HarnessError:
        raise
    except (TypeError, ValueError) as error:
        raise UsageError(f"model '{model.info.name}' got parameters of no use: {error}") from error
    except Exception as error:
        given = ", ".join(f"{key}={value!r}" for key, value in params.items())
        raise PluginError(f"{model.info.name}: canonical_params({given}) raised {describe(error)}") from error


def _check_params(model: Registered[ModelInfo], params: dict[str, Any]) -> None:
    accepted = model.parameters
    if accepted is None:
        return
    if lacking := _lacking(model, params):
        name = model.info.name
        raise UsageError(
            f"model '{name}' needs a value for {', '.join(lacking)}, as in -M {name}:{lacking[0]}=VALUE. More: harness show {name}"
        )
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in accepted.values()):
        return
    for key in params:
        if key not in accepted:
            takes = f"it takes: {', '.join(accepted)}" if accepted else "it takes none"
            raise UsageError(f"model '{model.info.name}' has no parameter '{key}'.{suggest(key, accepted)} ({takes})")


def _lacking(model: Registered[ModelInfo], params: Mapping[str, Any]) -> list[str]:
    """Parameters without a value that the factory does not do without; `device` is the run's to give."""
    several = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    wanted = [n for n, p in (model.parameters or {}).items() if p.default is p.empty and p.kind not in several]
    return [name for name in wanted if name not in params and name not in ("device", PARAMETER)]


def select_tasks(tasks: Sequence[Task], globs: Iterable[str] = (), exclude: Iterable[str] = (), where: str = "") -> list[Task]:
    """Keep the tasks whose name (or "suite:name") matches a glob and no exclusion, and for which the SQL condition holds.

    Raises:
        NothingMatched: nothing is left; suggests a near name.
        UsageError: the condition is not SQL over the columns of a task.
    """
    wanted, unwanted = split_list(globs), split_list(exclude)
    kept = [t for t in tasks if (not wanted or any(_matches(t, g) for g in wanted)) and not any(_matches(t, g) for g in unwanted)]
    for glob in wanted:
        if not any(_matches(t, glob) for t in tasks):
            raise NothingMatched(f"no task matches {glob!r}.{suggest(glob, [t.name for t in tasks])} To see all: harness ls tasks")
    if where and kept:
        found = _where(kept, where)
        if not found:
            raise NothingMatched(f"--where {where!r} holds for none of {len(kept)} tasks. {_values(kept, where)}")
        kept = found
    if not kept:
        raise NothingMatched(f"no task is left of {len(tasks)} after --tasks, --exclude and --where. To see all: harness ls tasks")
    return kept


def _matches(task: Task, glob: str) -> bool:
    return fnmatch.fnmatchcase(task.name, glob) or fnmatch.fnmatchcase(f"{task.suite}:{task.name}", glob) or task.dataset == glob


def _where(tasks: list[Task], condition: str) -> list[Task]:
    import duckdb
    import pyarrow as pa

    rows = [{**t.row(), "position": i} for i, t in enumerate(tasks)]
    columns = [c for c in rows[0] if c not in ("position", "quantile_levels")]
    with duckdb.connect(":memory:") as connection:
        connection.register("tasks", pa.Table.from_pylist(rows))
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        # The condition is a column, not a part of the query: what escapes its brackets changes the shape of the answer.
        sql = f"SELECT position, ({condition}\n) AS holds FROM tasks"
        try:
            many = len(connection.extract_statements(sql)) != 1
            found = [] if many else connection.execute(sql).fetchall()
            problem = "it is more than one statement" if many else ""
        except duckdb.Error as error:
            problem = str(error).splitlines()[0]
    answers = dict(row for row in found if len(row) == 2) if not problem else {}
    if not problem and (
        len(found) != len(tasks) or set(answers) != set(range(len(tasks))) or not {*answers.values()} <= {True, False, None}
    ):
        problem = "it is not true or false for each task"
    if problem:
        raise UsageError(
            f"--where {condition!r}: {problem}. Wanted an SQL condition over {', '.join(columns)}, as in --where \"domain = 'Energy'\""
        )
    return [task for position, task in enumerate(tasks) if answers[position]]


def _values(tasks: Sequence[Task], condition: str) -> str:
    """What the columns of a condition hold, so that a misspelt value is seen; domain, freq and term where it names none."""
    columns = [c for c in tasks[0].row() if c != "quantile_levels" and re.search(rf"\b{c}\b", condition)]
    parts = []
    for column in columns or ["domain", "freq", "term"]:
        values = sorted({task.row()[column] for task in tasks})
        shown = ", ".join(map(repr, values[:15])) + (f" and {len(values) - 15} more" if len(values) > 15 else "")
        parts.append(f"{column} is {shown}")
    return f"There, {'; '.join(parts)}."


def parse_limit(text: str) -> int | float | None:
    """Read `--limit`: a whole number of items, or a share between 0 and 1.

    Raises:
        UsageError: neither.
    """
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if 0 < value < 1:
        return value
    if re.fullmatch(r"[0-9]{1,15}", text.strip()) and value >= 1:
        return int(value)
    raise UsageError(f"got --limit {text}; wanted a number of items per task (10) or a share of them (0.1)")


def canonical_limit(text: str) -> str:
    """A limit in one spelling: ".5" and "0.50" are "0.5"; "" stays.

    Raises:
        UsageError: not a limit.
    """
    limit = parse_limit(text)
    return "" if limit is None else str(limit)


def parse_modes(texts: str | Iterable[str]) -> list[str]:
    """Read `--mode`, each once: zero-shot, finetune, full, ttt, or few-shot with a share of the training data.

    Raises:
        UsageError: another word, or no share between 0 and 1.
    """
    modes = list(dict.fromkeys(split_list(texts)))
    for mode in modes:
        name, _, share = mode.partition(":")
        if name == "few-shot" and re.fullmatch(r"0?\.\d+|1(\.0*)?", share) and float(share) > 0:
            continue
        if mode not in MODES:
            raise UsageError(f"got --mode {mode}; wanted {', '.join(MODES)} or few-shot:SHARE, as in few-shot:0.1.{suggest(mode, MODES)}")
    if not modes:
        raise UsageError("no mode given; the usual one is --mode zero-shot")
    return modes


def learns(mode: str) -> bool:
    """Whether a model is trained on a task's own data in this mode, so that there is a trained model afterwards.

    >>> [learns(mode) for mode in ("zero-shot", "ttt", "full", "few-shot:0.1")]
    [False, False, True, True]
    """
    return mode.partition(":")[0] in ("finetune", "few-shot", "full")
