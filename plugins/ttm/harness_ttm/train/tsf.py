"""A small strict reader of the `.tsf` files of the Monash archive: a header of @ lines, then one series a line.

    @attribute series_name string
    @attribute start_timestamp date
    @frequency daily
    @missing true
    @equallength false
    @data
    T1:1915-01-01 00-00-00:11.5,10.8,?

A line has one text for each @attribute and, last, the values; ":" stands between them, and "?" is a missing value.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from harness.errors import DataError
from harness.forecast import F32
from harness.monash import alias

__all__ = ["TsfFile", "read_tsf"]


@dataclass
class TsfFile:
    """Series of one file, oldest value first, NaN where missing. `freq` is a pandas alias; "" where the file says none, or a word that is
    none of the archive's."""

    relation: str = ""
    freq: str = ""
    series: list[F32] = field(default_factory=list)


def read_tsf(path: Path) -> TsfFile:
    """Read a whole file.

    Raises:
        DataError: no @data, no series, a line with more or fewer parts than the header says, an empty series, a value that is no number;
            a missing value under "@missing false", or other lengths under "@equallength true". Says which line.
    """
    out = TsfFile()
    attributes, begun, said = 0, False, {"missing": "", "equallength": ""}
    with path.open(encoding="latin-1") as lines:  # names may be anything; only numbers are used
        for number, line in enumerate(lines, 1):
            line = line.strip()
            if not line or line.startswith("#"):
                continue
            if begun:
                out.series.append(_values(line, attributes, said, f"{path}, line {number}"))
                if said["equallength"] == "true" and len(out.series[-1]) != len(out.series[0]):
                    got = f"{len(out.series[-1])} values after {len(out.series[0])} in the first series"
                    raise DataError(f"{path}, line {number}: {got}; wanted as many, since the header says @equallength true")
                continue
            if not line.startswith("@"):
                raise DataError(f"{path}, line {number}: got {line[:60]!r}; wanted a line that begins with @ or #, before @data")
            key, _, value = line[1:].partition(" ")
            key, value = key.lower(), value.strip()
            match key:
                case "data":
                    begun = True
                case "attribute":
                    attributes += 1
                case "relation":
                    out.relation = value
                case "frequency":
                    out.freq = _freq(value)
                case "missing" | "equallength":
                    said[key] = value.lower()
                case "horizon":
                    pass
                case _:
                    raise DataError(f"{path}, line {number}: got @{key}; wanted @attribute, @frequency, @missing, @equallength or @data")
    if not out.series:
        raise DataError(f"{path}: {'no series behind' if begun else 'no line'} @data; wanted a .tsf file with at least one series")
    return out


def _freq(word: str) -> str:
    try:
        return alias(word.lower())
    except DataError:
        return ""  # the seasons of a series are guessed then


def _values(line: str, attributes: int, said: dict[str, str], where: str) -> F32:
    parts = line.split(":")
    if len(parts) != attributes + 1:
        raise DataError(f"{where}: got {len(parts)} parts between colons; wanted {attributes + 1}, {attributes} attributes and the values")
    texts = parts[-1].split(",")
    if "?" in parts[-1] and said["missing"] == "false":
        raise DataError(f"{where}: got a missing value '?'; wanted none, since the header says @missing false")
    try:
        return np.array(["nan" if text.strip() == "?" else text for text in texts], np.float64).astype(np.float32)
    except ValueError:
        wrong = next(text for text in texts if not _is_number(text))
        raise DataError(f"{where}: got the value {wrong[:40]!r}; wanted a number or '?'") from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text.strip() == "?"
    return True
