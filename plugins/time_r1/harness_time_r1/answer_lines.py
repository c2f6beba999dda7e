"""The lines of an answer, read as rows: the name of a row, if there is one, and its number.

A line is cut into pieces at blanks, tabs, `|` and `;`. Names are dates, times, steps (`t+3`, `Step 3`, `3.`, `3)`) and the words of a
calendar or a table's head. A piece that is a number may carry a unit or a currency; comments behind a row's number are left out.

- Lines without a number are left out before the first row and behind the H-th; between rows they are what stands in a row's place.
- Where all lines without a name hold two numbers, of which the first is whole and mostly rises by 1 (or, in H > 2 lines, by another step),
  the first is the row's. So it is in a single line of a whole and another number where H is 1.
- A comma is a list's, unless it groups thousands (`12,345.6`; `12,345` in a named row, or where there are H lines) or stands for a
  decimal point: somewhere in the answer it must then be followed by other than three digits (or have a 0 before it), and nowhere may
  there be a point.
- Words of a size (`1.2k`, `3 million`) are not multiplied out: such a number is none.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from harness_time_r1.answer_json import lines_of_json
from harness_time_r1.answer_words import (
    ABSENT,
    BULLET,
    CALENDAR,
    COMMA,
    COMMENT,
    COUNT,
    COUNTED,
    DASH,
    DOTTED,
    GROUPED,
    HEADS,
    INNER,
    LINK,
    LINKS,
    MONTHS,
    NAME,
    NUMBER,
    ORDINAL,
    PIECE,
    PLAIN,
    RULE,
    SIGNS,
    SIZES,
    STEP,
    TIME,
    YEAR,
)

__all__ = ["Block", "read_block"]

LARGEST = float(np.finfo(np.float32).max)
SHOWN = 40  # characters of a piece that a message shows

Key = tuple[int | float, ...]
"""What names of rows are compared by."""


@dataclass
class Row:
    """One line that holds a row: the number pieces in it, None where something else stands in a number's place."""

    pieces: list[str | None]
    named: bool
    key: Key | None
    said: str  # the line, for a message
    listed: bool = False  # one piece whose commas may be a list's


@dataclass
class Block:
    """What was read of an answer block."""

    values: list[float] = field(default_factory=list)
    blank: bool = False
    trouble: str = ""  # why a row has no number
    columns: str = ""
    disorder: str = ""
    cut: bool = False  # there was more than is read


def read_block(body: str, horizon: int) -> Block:
    """Read the lines of an answer block.

    >>> read_block("2016-07-01 10:00  1,204.5 MW\\n2016-07-01 11:00  998.0 MW", 2).values
    [1204.5, 998.0]
    """
    limit = 10 * horizon + 1000  # rows, and numbers of a row: more can only be too many
    lines = lines_of_json(body, limit)
    if lines is None:
        lines = list(itertools.islice((line for line in body.splitlines() if line.strip()), limit + 1))
    if not lines:
        return Block(blank=True)
    block = Block(cut=len(lines) > limit)
    rows: list[Row] = []
    filled = 0  # numbers so far
    stray = ""  # a line in a row's place, unless it is behind the last
    for line in lines[:limit]:
        row = _row(line, limit)
        if row is None:
            if rows and not stray and not _is_rule(line) and filled < horizon:
                stray = line
            continue
        if stray:
            block.trouble = block.trouble or f"got {_quoted(stray)} in place of a row"
            stray = ""
        rows.append(row)
        filled += 1 + (row.pieces[0] or "").count(",") if row.listed else len(row.pieces)
        block.cut |= len(row.pieces) > limit
    if stray and stray.strip(" \t])}>,;`\"'"):  # brackets close a list
        block.trouble = block.trouble or f"got {_quoted(stray)} in place of a row"
    if not rows:
        block.trouble = f"no line is a number or a name and a number; the first is {_quoted(lines[0])}"
        return block
    _lists(rows, horizon)
    _numbered(rows, horizon)
    _values(rows, block)
    _columns(rows, block)
    _order(rows, block)
    return block


def _quoted(text: str) -> str:
    text = " ".join(text.split())
    return ascii(text if len(text) <= SHOWN else text[: SHOWN - 1] + "~")


def _is_rule(line: str) -> bool:
    return len(line) <= PIECE and RULE.fullmatch(line.translate(SIGNS).strip()) is not None and "..." not in line


def _pieces(line: str, limit: int) -> list[str]:
    """A line cut at blanks, tabs, bars and semicolons, without markup, bullets and what links a name to its number."""
    line = line.strip()
    line = line[m.end() :] if (m := BULLET.match(line)) else line
    line = INNER.sub("", DASH.sub(f" {LINK} ", line)).translate(SIGNS).replace("...", " … ").replace("**", "").replace("__", "").strip()
    if line.startswith("(") and "," in line and line.rstrip(",").endswith(")"):
        line = line[1:].rstrip(",")[:-1]  # a pair
    for mark in "|;\t":
        line = line.replace(mark, " ")
    found: list[str] = []
    for piece in line.split(maxsplit=limit + 8)[: limit + 8]:
        piece = piece.strip("*")
        comma = piece.endswith(",")
        piece = piece.strip(",*")
        if not piece or (piece in LINKS and found):
            continue
        found += _cut(piece) if len(piece) <= PIECE else _listed(piece)
        if comma and found:
            found[-1] += ","  # this line's commas have blanks behind them
    return found[: limit + 8]


def _cut(piece: str) -> list[str]:
    """A piece cut behind a name that is joined to what follows by a comma, a colon or an equals sign, and each piece without its ends."""
    name = NAME.match(piece)
    if name is None or name.end() == len(piece) or piece[name.end()] not in ",:=":
        head, mark, tail = piece.partition("=")
        if mark and tail and head.isalpha():
            return [head, tail]
        head, mark, tail = piece.partition(":")
        if mark and tail and head.isalpha():
            return [head, *_cut(tail)]
        return _listed(piece) if ",-" in piece or ",+" in piece else [piece]
    rest = piece[name.end() + 1 :]
    return [piece[: name.end()], *(part or "-" for part in rest.split(","))] if rest else [piece[: name.end()] + ":"]


def _listed(piece: str) -> list[str]:
    """A piece with commas that can be a list's alone, cut at them; each but the last keeps its comma."""
    *parts, last = piece.split(",")
    return [*(f"{part or '-'}," for part in parts), last or "-"]


def _row(line: str, limit: int) -> Row | None:
    """The row in a line; None where it holds none."""
    if _is_rule(line):
        return None
    pieces = _pieces(line, limit)
    if not pieces or line.rstrip().endswith(":"):
        return None
    at, named, key = _name(pieces)
    rest = pieces[at + (named and pieces[at : at + 1] == [LINK]) :]
    if not rest:
        return Row([None], True, key, line) if named else None
    found: list[str | None] = []
    worded = False
    for n, piece in enumerate(rest):
        bare = piece.rstrip(",")
        if worded and not named:
            return None
        if found and (worded or (piece.startswith(COMMENT) and (named or not any(_is_number(p.rstrip(",")) for p in rest[n:])))):
            break
        if bare.lower() in ABSENT:
            found.append(None)
        elif len(bare) <= PIECE and NUMBER.fullmatch(bare):
            found.append(bare)
        elif bare in SIZES and bare != "K" and found:
            found[-1] = None
        elif bare[:1].isdigit() or (bare[:1] in "+-." and bare[1:2].isdigit()) or len(bare) > PIECE:
            found.append(None)
        elif found and (bare[0].isalpha() or bare[0] in "%°€$£¥µ"):
            worded = n + 1 < len(rest) and not _is_number(rest[n + 1].rstrip(","))  # a unit, or the first word of a comment
        elif bare[:1] in "€$£¥~≈" and NUMBER.fullmatch(bare[1:]):
            found.append(bare[1:])
        elif bare in LINKS or bare in ("€", "$", "£", "¥"):
            continue
        elif named:
            found.append(None)
        else:
            return None
    if not found:
        return Row([None], named, key, line) if named else None
    return Row(found, named, key, line, listed=not named and len(rest) == 1 and "," in rest[0])


def _is_number(piece: str) -> bool:
    return len(piece) <= PIECE and NUMBER.fullmatch(piece) is not None


def _name(pieces: Sequence[str]) -> tuple[int, bool, Key | None]:
    """(how many pieces a line's name takes, whether it is one, what it is compared by)."""
    at, named = 0, False
    date: Key | None = None
    clock: Key | None = None
    step: Key | None = None
    while at < len(pieces):
        piece = pieces[at].rstrip(",")
        word = piece.rstrip(".:").lower()
        left = len(pieces) - at - 1
        if len(piece) <= PIECE and (m := NAME.fullmatch(piece.rstrip(":"))):
            named = True
            if m["y"]:
                date = (int(m["y"]), int(m["m"]), int(m["d"] or 0))
            if t := TIME.search(piece):
                clock = (int(t[1]), int(t[2]), float(t[3] or 0))
            elif s := STEP.fullmatch(piece.rstrip(":")):
                step = (int(s[1]),)
            elif word[0] == "q" and left >= 2 and YEAR.fullmatch(pieces[at + 1]):
                at += 1
        elif word in MONTHS:
            named = True
            for _ in range(2):  # a day, a year
                if at + 2 < len(pieces) and ORDINAL.fullmatch(pieces[at + 1]):
                    at += 1
        elif word in COUNTED and left >= 1 and COUNT.fullmatch(pieces[at + 1]) and (left >= 2 or pieces[at + 1][-1] in ":)."):
            at, named = at + 1, True
            step = (int(pieces[at].rstrip(".):]")),)
        elif word in CALENDAR:
            named = True
        elif word not in HEADS and word not in COUNTED:
            before = left > 0 and _names(pieces[at + 1])  # "3. 2016-07-01", "1 July"
            if date or clock or step or not COUNT.fullmatch(piece) or not (before or piece.endswith((":", ")"))):
                break
            named = True
            step = None if before else (int(piece.rstrip(".):]")),)
        at += 1
    if date is not None:
        return at, named, (*date, *clock) if clock is not None else date
    return at, named, step


def _names(piece: str) -> bool:
    word = piece.rstrip(",.:").lower()
    return word in MONTHS or word in CALENDAR or (len(piece) <= PIECE and NAME.fullmatch(piece.rstrip(",:")) is not None)


def _lists(rows: Sequence[Row], horizon: int) -> None:
    """Take rows of one piece with commas apart, unless there is one for each value and their commas are within numbers."""
    if not any(row.listed for row in rows):
        return
    parts = [row.pieces[0].split(",") if row.listed and row.pieces[0] else None for row in rows]
    pairs = [p for p in parts if p is not None and len(p) == 2]
    numbered = (
        len(pairs) == len(rows) > 1
        and all(p[0].isdigit() for p in pairs)
        and {int(b[0]) - int(a[0]) for a, b in zip(pairs[:-1], pairs[1:], strict=True)} == {1}
    )
    within = (
        not numbered and len(rows) == horizon and all(p is None or _within(row.pieces[0] or "") for p, row in zip(parts, rows, strict=True))
    )
    for row, part in zip(rows, parts, strict=True):
        if part is not None and not within:
            row.pieces = [p if NUMBER.fullmatch(p) else None for p in part]


def _within(piece: str) -> bool:
    match = NUMBER.fullmatch(piece)
    return match is not None and any(p.fullmatch(match["number"]) for p in (GROUPED, DOTTED, COMMA))


def _numbered(rows: Sequence[Row], horizon: int) -> None:
    """Take the first of two numbers as the row's, where that is what they are."""
    two = [row for row in rows if not row.named and len(row.pieces) == 2 and row.pieces[0] and COUNT.fullmatch(row.pieces[0])]
    if not two or len(two) != sum(not row.named for row in rows):
        return
    numbers = [int((row.pieces[0] or "0").rstrip(".):]")) for row in two]
    steps = [b - a for a, b in zip(numbers[:-1], numbers[1:], strict=True)]
    usual = max(set(steps), key=steps.count) if steps else 0
    if (not steps and horizon == 1) or (usual > 0 and 2 * steps.count(usual) >= len(steps) and (usual == 1 or len(rows) == horizon > 2)):
        for row, number in zip(two, numbers, strict=True):
            row.pieces, row.named, row.key = row.pieces[1:], True, (number,)


def _values(rows: Sequence[Row], block: Block) -> None:
    """Turn pieces into numbers, with one meaning of a comma for all of them."""
    texts = [m["number"] for row in rows for piece in row.pieces if piece and (m := NUMBER.fullmatch(piece))]
    comma = any(DOTTED.fullmatch(t) or (COMMA.fullmatch(t) and not GROUPED.fullmatch(t)) for t in texts)
    point = any((PLAIN.fullmatch(t) and "." in t) or (GROUPED.fullmatch(t) and ("." in t or t.count(",") > 1)) for t in texts)
    for row in rows:
        for piece in row.pieces:
            value = _value(piece, comma and not point) if piece else None
            if value is None:
                block.trouble = block.trouble or f"got {_quoted(row.said)} in place of a row with a number"
            else:
                block.values.append(value)


def _value(piece: str, decimal_comma: bool) -> float | None:
    """The number in a piece; None where it is none, or beyond float32."""
    match = NUMBER.fullmatch(piece)
    if match is None or (unit := match["unit"] or "").strip(" .") in SIZES or unit in ("e", "E") or unit[:1] in ("x", "X"):
        return None
    text = match["number"]
    if decimal_comma and (DOTTED.fullmatch(text) or COMMA.fullmatch(text)):
        text = text.replace(".", "").replace(",", ".")
    elif GROUPED.fullmatch(text):
        text = text.replace(",", "")
    elif not PLAIN.fullmatch(text):
        return None
    value = float(f"{match['sign']}{text}e{match['exponent'] or match['power'] or 0}")
    return value if abs(value) <= LARGEST else None


def _columns(rows: Sequence[Row], block: Block) -> None:
    """Several numbers in a row that has a name; two numbers in every row of several."""
    several = next((row for row in rows if row.named and len(row.pieces) > 1 and (row.key is not None or len(rows) > 1)), None)
    if several is not None:
        block.columns = f"got {len(several.pieces)} numbers in the row {_quoted(several.said)}; wanted one"


def _order(rows: Sequence[Row], block: Block) -> None:
    """Names of one form that do not rise."""
    before: dict[int, Row] = {}
    for row in rows:
        if row.key is None:
            continue
        last = before.get(len(row.key))
        if last is not None and last.key is not None and (row.key < last.key or (row.key == last.key and len(row.key) != 3)):
            block.disorder = f"got the row {_quoted(row.said)} behind {_quoted(last.said)}"
            return
        before[len(row.key)] = row
