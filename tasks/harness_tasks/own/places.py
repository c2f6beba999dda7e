"""YAML with places: each value knows its line, and is read as what it should be.

YAML guesses what a value is: `no` is false to it, `1:30` is 90, `2024-01-01` a date. Here nothing is guessed: the reader of a key says
whether it wants a text or a number. Refused are repeated keys, unknown keys, anchors and tags, and whatever is not one document.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from harness.errors import DataError, suggest

__all__ = ["At", "load"]

LARGEST = 256 * 1024
"""Bytes. A description has a few pages; what is larger is data that was named by mistake."""
DEEPEST = 12
NULLS = ("", "~", "null", "Null", "NULL")
SHOWN = 40


class At:
    """A value, what it is called ("tasks: sales: horizon"), and where it stands."""

    def __init__(self, path: Path, node: yaml.Node, name: str = "") -> None:
        self.path, self.node, self.name = path, node, name

    @property
    def line(self) -> int:
        """Where the value begins, 1 the first."""
        return int(self.node.start_mark.line) + 1 if self.node.start_mark else 1

    @property
    def where(self) -> str:
        """The file and the line, as errors begin."""
        return f"{self.path}, line {self.line}"

    @property
    def key(self) -> str:
        """The last part of the name."""
        return self.name.rpartition(": ")[2]

    def fail(self, got: str, wanted: str, hint: str = "") -> DataError:
        """An error of this place."""
        what = f"{self.name}: " if self.name else ""
        return DataError(f"{self.where}: {what}got {got}; wanted {wanted}.{hint}")

    def said(self) -> str:
        """What stands here, in short."""
        if isinstance(self.node, yaml.MappingNode):
            return "keys and values"
        if isinstance(self.node, yaml.SequenceNode):
            return f"a list of {len(self.node.value)}"
        text = str(self.node.value)
        if not text or self._is_null():
            return "nothing"
        return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}…")

    @property
    def unset(self) -> bool:
        """Whether `null` is written here: a task says so of what its defaults say."""
        return self._is_null() and bool(self.node.value)

    def mapping(self, known: Collection[str] | None = None) -> dict[str, At]:
        """The keys and their values; of `known` keys alone, where these are given.

        Raises:
            DataError: not a mapping, a key that is not known or there twice.
        """
        if not isinstance(self.node, yaml.MappingNode):
            raise self.fail(self.said(), "keys and values, as in KEY: VALUE" + (f" of {', '.join(known)}" if known else ""))
        found: dict[str, At] = {}
        for key_node, value in self.node.value:
            key_at = At(self.path, key_node, self.name)
            if not isinstance(key_node, yaml.ScalarNode):
                raise key_at.fail(key_at.said(), "a word as key")
            key = str(key_node.value)
            if known is not None and key not in known:
                raise key_at.fail(f"the key {key!r}", f"one of {', '.join(known)}", suggest(key, known))
            if key in found:
                raise key_at.fail(f"the key {key!r} twice, first in line {found[key].line}", "each key once")
            found[key] = At(self.path, value, f"{self.name}: {key}" if self.name else key)
        return found

    def each(self, alone: bool = True) -> list[At]:
        """The values of a list; with `alone`, one value that is no list counts as a list of one."""
        if isinstance(self.node, yaml.SequenceNode):
            return [At(self.path, node, self.name) for node in self.node.value]
        if alone and isinstance(self.node, yaml.ScalarNode) and not self._is_null():
            return [self]
        raise self.fail(self.said(), "a list, as in [A, B]" + (", or one value" if alone else ""))

    def text(self, empty: bool = False) -> str:
        """The value as it is written, without quotes; `empty` allows ''."""
        if not isinstance(self.node, yaml.ScalarNode) or self._is_null():
            raise self.fail(self.said(), "a text")
        text = str(self.node.value)
        if not text and not empty:
            raise self.fail("an empty text", "a text")
        return text

    def texts(self, empty: bool = False) -> tuple[str, ...]:
        """A list of texts, each once, or one alone."""
        found: list[str] = []
        for at in self.each():
            text = at.text(empty)
            if text in found:
                raise at.fail(f"{text!r} twice", "each once")
            found.append(text)
        if not found:
            raise self.fail("an empty list", "at least one text")
        return tuple(found)

    def choice(self, options: Collection[str]) -> str:
        """One of these words."""
        text = self.text(empty="" in options)
        if text not in options:
            raise self.fail(repr(text), f"one of {', '.join(o or repr(o) for o in options)}", suggest(text, options))
        return text

    def whole(self, low: int, high: int) -> int:
        """A whole number from low to high."""
        text = str(self.node.value) if isinstance(self.node, yaml.ScalarNode) else ""
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise self.fail(self.said(), f"a whole number from {low} to {high:,}")
        return int(text)

    def number(self) -> float:
        """A finite number."""
        text = str(self.node.value) if isinstance(self.node, yaml.ScalarNode) else ""
        if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text, re.ASCII) or not math.isfinite(float(text)):
            raise self.fail(self.said(), "a number, as 0.5")
        return float(text)

    def flag(self) -> bool:
        """true or false."""
        return self.choice(("true", "false")) == "true"

    def _is_null(self) -> bool:
        return isinstance(self.node, yaml.ScalarNode) and self.node.style is None and self.node.value in NULLS


def load(path: Path) -> At:
    """The one document of a file.

    Raises:
        DataError: it cannot be read, is no YAML, has no content, or uses what is refused (see above).
    """
    try:
        size = path.stat().st_size
        if size > LARGEST:
            raise DataError(
                f"{path}: has {size:,} bytes; wanted a description of a suite, at most {LARGEST:,}. Data belongs in a file beside it"
            )
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); wanted a file of YAML") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not UTF-8; wanted YAML in UTF-8. Save the file in that encoding") from None
    try:
        depth = 0
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            _refuse(path, event, depth)
        node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f", line {mark.line + 1}" if mark else ""
        said = "; ".join(filter(None, (error.context, error.problem)))
        raise DataError(
            f"{path}{where}: is no YAML ({said}); wanted KEY: VALUE lines. Indent with blanks, and quote texts with ': '"
        ) from None
    except (yaml.YAMLError, ValueError) as error:
        raise DataError(f"{path}: is no YAML ({' '.join(str(error).split())}); wanted KEY: VALUE lines") from None
    if node is None:
        raise DataError(f"{path}: is empty; wanted a description of a suite. To make one: harness new suite {path.stem}")
    return At(path, node)


def _refuse(path: Path, event: yaml.Event, depth: int) -> None:
    line = event.start_mark.line + 1 if event.start_mark else 1
    if depth > DEEPEST:
        raise DataError(f"{path}, line {line}: is nested {depth} deep; wanted a description of a suite, which has {DEEPEST} levels at most")
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
        raise DataError(f"{path}, line {line}: has an anchor (& or *); wanted plain values. What tasks share goes into 'defaults'")
    tag = getattr(event, "tag", None)
    if tag:
        raise DataError(f"{path}, line {line}: has the tag {tag!r}; wanted plain values")
