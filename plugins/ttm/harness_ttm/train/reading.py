"""Recipes from and to plain mappings: types are checked, unknown keys named, nothing is guessed."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from harness import UsageError
from harness.errors import suggest
from harness_ttm.config import TTMConfig

__all__ = ["changed", "differences", "plain", "read", "read_yaml"]

ODD = (yaml.YAMLError, ValueError, KeyError, AttributeError, TypeError, RecursionError)
"""What PyYAML raises for text that is no YAML, and for tags such as !!int with something else behind them."""
NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false", dict: "keys and values", types.NoneType: "null"}


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        UsageError: it cannot be read, or is something else.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        why = "there is no such file" if isinstance(error, FileNotFoundError) else f"it cannot be read: {error.strerror}"
        raise UsageError(f"-C {path}: {why}; wanted a recipe, such as the recipe.yaml beside trained weights") from None
    except ODD as error:
        raise UsageError(
            f"-C {path}: {' '.join(str(error).split())[:300] or type(error).__name__}; wanted keys and values in YAML"
        ) from None
    if not isinstance(values, dict):
        raise UsageError(f"-C {path}: got {values!r}; wanted keys and values, as in 'steps: 1000'")
    return values


def changed(values: Mapping[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """A copy of nested mappings with texts such as "data.augment.jitter=0.2" carried out; what stands behind = is YAML.

    Raises:
        UsageError: no =, no YAML, or a part of the key that is no mapping.
    """
    out = _copied(values)
    for text in changes:
        key, equals, value = text.partition("=")
        *above, last = key.strip().split(".")
        if not equals or not last:
            raise UsageError(f"got --set {text}; wanted key=value, as in --set data.shards=4")
        place = out
        for part in above:
            if place.get(part) is None:
                place[part] = {}
            place = place[part]
            if not isinstance(place, dict):
                raise UsageError(f"got --set {text}: {part} holds no keys; wanted one of the recipe's, as in --set data.shards=4")
        try:
            place[last] = yaml.safe_load(value)
        except ODD as error:
            raise UsageError(f"got --set {text[:200]}: {' '.join(str(error).split())[:300] or type(error).__name__}") from None
    return out


def _copied(values: Mapping[str, Any]) -> dict[str, Any]:
    return {k: _copied(v) if isinstance(v, dict) else v for k, v in values.items()}


def read(kind: Any, values: Any, where: str) -> Any:
    """A dataclass from nested mappings.

    Args:
        where: the keys above, as in "data.augment."; "" at the top.

    Raises:
        UsageError: an unknown or missing key, a wrong type.
    """
    if not isinstance(values, dict):
        raise UsageError(f"{where.rstrip('.') or 'the recipe'} is {values!r}; wanted keys and values")
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind) if f.name != "unknown"}
    given = {}
    for key, value in values.items():
        if key not in fields:
            raise UsageError(f"there is no key {where}{key}.{suggest(str(key), fields)} The keys are {', '.join(fields)}")
        given[str(key)] = convert(hints[key], value, f"{where}{key}")
    for name, f in fields.items():
        if name not in given and f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING:
            raise UsageError(f"{where}{name} is missing; it has no default")
    try:
        return kind(**given)
    except ValueError as error:  # what the configuration says of its own values
        raise UsageError(f"{where}{error}") from None


def convert(hint: Any, value: Any, where: str) -> Any:
    """A value as the type that is wanted: lists become tuples, whole numbers and texts such as 2e-3 numbers.

    Raises:
        UsageError: it is of another type.
    """
    if dataclasses.is_dataclass(hint):
        return read(hint, value, f"{where}.")
    arguments, origin = typing.get_args(hint), typing.get_origin(hint) or hint
    if origin is types.UnionType:
        if value is None and types.NoneType in arguments:
            return None
        (hint,) = (a for a in arguments if a is not types.NoneType)
        return convert(hint, value, where)
    if origin is tuple and isinstance(value, list | tuple):
        if arguments[-1] is not ... and len(value) != len(arguments):
            raise UsageError(f"{where} has {len(value)} values, {list(value)}; wanted {len(arguments)}")
        inner = [arguments[0]] * len(value) if arguments[-1] is ... else arguments
        return tuple(convert(h, v, f"{where}[{i}]") for i, (h, v) in enumerate(zip(inner, value, strict=True)))
    if origin is dict and isinstance(value, dict):
        return {str(k): convert(arguments[1], v, f"{where}.{k}") for k, v in value.items()}
    if origin is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if math.isfinite(number):
            return number
        raise UsageError(f"{where} is {value!r}; wanted a finite number")
    if origin is int and isinstance(value, int) and abs(value) >= 2**62:
        raise UsageError(f"{where} is {value!r}; wanted a whole number below 2^62")
    if origin is not float and isinstance(value, origin) and isinstance(value, bool) == (origin is bool):
        return value
    raise UsageError(f"{where} is {value!r}; wanted {'a list' if origin is tuple else NAMES.get(origin, str(hint))}")


def plain(value: Any) -> Any:
    """Dataclasses as mappings, tuples as lists: what YAML and JSON can hold."""
    if isinstance(value, TTMConfig):
        return {k: v for k, v in value.to_dict().items() if k in TTMConfig.names()}
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list | tuple) else value


def differences(one: Mapping[str, Any], other: Mapping[str, Any], where: str = "") -> list[str]:
    """The dotted keys whose values differ; a mapping on one side only counts as one key."""
    out = []
    for key in sorted({*one, *other}, key=str):
        a, b = one.get(key), other.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            out += differences(a, b, f"{where}{key}.")
        elif a != b:
            out.append(f"{where}{key}")
    return out
