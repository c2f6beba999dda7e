"""The header of a `.tsf` file: what it may say, line by line."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path

from harness.errors import DataError, suggest
from harness.monash import alias

__all__ = ["TYPES", "TsfHeader", "fail", "parse_header"]

TYPES = ("string", "numeric", "date")
TRUTH = {**dict.fromkeys(("y", "yes", "t", "true", "on", "1"), True), **dict.fromkeys(("n", "no", "f", "false", "off", "0"), False)}
WORDS = ("relation", "attribute", "frequency", "horizon", "missing", "equallength", "data")


@dataclass(frozen=True)
class TsfHeader:
    """What a file says of all its series; None = it does not say.

    Attributes:
        attributes: (name, type) of each, in order; the types are string, numeric and date.
        frequency: the archive's word, in small letters: "half_hourly".
        missing: whether values are said to be missing.
        equal_length: whether all series are said to be equally long.
        extra: words that the format does not know and that are not like one of its own, with the rest of their line; only without
            `strict`.
        encoding: of names: "cp1252", or "utf-8" where the file says so by a byte order mark.
    """

    relation: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    frequency: str | None = None
    horizon: int | None = None
    missing: bool | None = None
    equal_length: bool | None = None
    extra: Mapping[str, str] = field(default_factory=dict)
    encoding: str = "cp1252"

    @property
    def freq(self) -> str | None:
        """The frequency as a pandas alias: "30T"."""
        return None if self.frequency is None else alias(self.frequency)


def _slip(word: str) -> bool:
    """Whether somebody meant a word of the format: "frequencey", "freq", and not "dataset"."""
    return bool(get_close_matches(word, WORDS, n=1, cutoff=0.8)) or (len(word) > 2 and any(known.startswith(word) for known in WORDS))


def fail(path: Path, line: int, got: str, wanted: str) -> DataError:
    """The error for one line of a file."""
    return DataError(f"{path}, line {line}: {got}; wanted {wanted}")


def parse_header(path: Path, lines: list[tuple[int, bytes]], encoding: str, strict: bool) -> TsfHeader:
    """Read the lines of a header, `@data` and what is not a word left out.

    Args:
        lines: number and text of each line that begins with "@", before "@data".

    Raises:
        DataError: any defect, with its line.
    """
    said: dict[str, str] = {}
    where: dict[str, int] = {}
    attributes: dict[str, str] = {}
    extra: dict[str, str] = {}
    for number, raw in lines:
        try:
            text = raw.decode(encoding)
        except UnicodeDecodeError:
            raise fail(path, number, f"{raw[:60]!r} is not {encoding}", "cp1252, or UTF-8 behind a byte order mark") from None
        first, *rest = text.split()
        word = first[1:].lower()
        if word == "attribute":
            name, kind = _attribute(path, number, rest)
            if name in attributes:
                raise fail(path, number, f"attribute {name} is declared a second time", "each name once")
            attributes[name] = kind
        elif word not in WORDS:
            near = suggest(word, WORDS)
            if strict or _slip(word):  # a word misspelt is no word of somebody's own: what it says would be lost
                known = ", ".join(f"@{known}" for known in WORDS)
                hint = near or " read_tsf(..., strict=False) passes over other words"
                raise fail(path, number, f"@{word} is no word of a header", f"{known}.{hint}")
            extra[word] = text.split(maxsplit=1)[1] if rest else ""
        elif word in said:
            raise fail(path, number, f"@{word} is said a second time (first in line {where[word]})", "it once")
        elif len(rest) != 1:
            raise fail(path, number, f"@{word} with {len(rest) or 'no'} words behind it", f"one: @{word} VALUE")
        else:
            said[word], where[word] = rest[0], number
    return TsfHeader(
        relation=said.get("relation", ""),
        attributes=tuple(attributes.items()),
        frequency=_frequency(path, where["frequency"], said["frequency"]) if "frequency" in said else None,
        horizon=_horizon(path, where["horizon"], said["horizon"]) if "horizon" in said else None,
        missing=_truth(path, where["missing"], "missing", said["missing"]) if "missing" in said else None,
        equal_length=_truth(path, where["equallength"], "equallength", said["equallength"]) if "equallength" in said else None,
        extra=extra,
        encoding=encoding,
    )


def _attribute(path: Path, line: int, rest: list[str]) -> tuple[str, str]:
    wanted = "@attribute NAME string, numeric or date"
    if len(rest) != 2:
        raise fail(path, line, f"@attribute with {len(rest) or 'no'} words behind it", wanted)
    name, kind = rest[0], rest[1].lower()
    if kind not in TYPES:
        raise fail(path, line, f"attribute {name} of type {rest[1]!r}", wanted)
    return name, kind


def _frequency(path: Path, line: int, word: str) -> str:
    try:
        alias(word.lower())
    except DataError as error:
        raise DataError(f"{path}, line {line}: {error}") from None
    return word.lower()


def _horizon(path: Path, line: int, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text) > 0):
        raise fail(path, line, f"@horizon {text}", "a whole number of steps, at least 1")
    return int(text)


def _truth(path: Path, line: int, word: str, text: str) -> bool:
    if text.lower() not in TRUTH:
        raise fail(path, line, f"@{word} {text}", "true or false")
    return TRUTH[text.lower()]
