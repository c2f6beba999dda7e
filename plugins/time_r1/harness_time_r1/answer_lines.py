"""The lines of an answer, read as rows: the name of a row, if there is one, and its number.

A line is cut into pieces at blanks, tabs, `|` and `;`. Names are dates, times, steps (`t+3`, `Step 3`, `3.`, `3)`) and the words of a
calendar or a table's head. A piece that is a number may carry a unit or a currency; comments behind a row's number are left out.

- Lines without a number are left out before the first row and behind the H-th; between rows they are what stands in a row's place.
- Where all lines without a name hold two numbers, of which the first is whole and mostly rises by 1 (or, in H > 2 lines, by another step),
  the first is the row's. So it is in a single line of a whole and another number where H is 1.
  Where a blank between them could group thousands (`12 345`), that holds only if all first numbers rise by exactly 1 and no second one
  begins with 0; where a comma could be either (`12,345`, `1,5` in lines that could be numbered so) nothing is said for certain.
- Any other line with several numbers is the only one, or all lines are one list: in one pair of brackets, or with a comma at the end of
  each but the last.
- A comma is a list's, unless it groups thousands (`12,345.6`; `12,345` in a named row, or where there are H lines) or stands for a
  decimal point: somewhere in the answer it must then be followed by other than three digits (or have a 0 before it), and nowhere may
  there be a point.
- Words of a size (`1.2k`, `3 million`) are not multiplied out: such a number is none. So is one that something else may multiply, except
  that `x 10^3` and the like are read.
- A number that may belong to a name (`May 5`, `July 2017`, `Step 5`, `5.` alone in a line) is no value.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from harness_time_r1.answer_json import lines_of_json
from harness_time_r1.answer_names import Key, contradiction, read_name
from harness_time_r1.answer_words import (
    ABSENT,
    BULLET,
    COMMA,
    COMMENT,
    COUNT,
    DASH,
    DOTTED,
    FACTORS,
    GROUPED,
    INNER,
    LINK,
    LINKED,
    LINKS,
    MONEY,
    NAME,
    NUMBER,
    PIECE,
    PLAIN,
    POWER,
    PRODUCT,
    RAISED,
    RULE,
    SIGNS,
    THOUSANDS,
    UNBROKEN,
    is_size,
)

__all__ = ["Block", "read_block"]

LARGEST = float(np.finfo(np.float32).max)
SHOWN = 40  # characters of a piece that a message shows
WIDTH = 100  # characters of a line for each number that is read: what is longer is cut


@dataclass
class Row:
    """One line that holds a row: the number pieces in it, None where something else stands in a number's place."""

    pieces: list[str | None]
    named: bool
    key: Key | None
    said: str  # the line, for a message
    listed: bool = False  # one piece whose commas may be a list's
    unbroken: bool = False  # there is a blank in it that is no break


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
    json = lines_of_json(body, limit)
    lines, unsaid = json or (list(itertools.islice((line for line in body.splitlines() if line.strip()), limit + 1)), "")
    if not lines:
        return Block(blank=True)
    block = Block(cut=len(lines) > limit, columns=unsaid)
    rows: list[Row] = []
    filled = 0  # numbers so far
    stray = ""  # a line in a row's place, unless it is behind the last
    for line in lines[:limit]:
        row = _row(line[: WIDTH * limit], limit)
        if row is not None and len(line) > WIDTH * limit:
            row.pieces.append(None)
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
    a_list = json is None and _is_one_list(body)
    block.columns = block.columns or _lists(rows, horizon)
    _numbered(rows, horizon)
    _bare(rows, a_list)
    _values(rows, block)
    block.columns = block.columns or _columns(rows, a_list)
    if found := contradiction(row.key for row in rows):
        block.disorder = f"got the row {_quoted(rows[found[0]].said)} behind {_quoted(rows[found[1]].said)}"
    return block


def _quoted(text: str) -> str:
    text = " ".join(text.split())
    return ascii(text if len(text) <= SHOWN else text[: SHOWN - 1] + "~")


def _is_rule(line: str) -> bool:
    return len(line) <= PIECE and RULE.fullmatch(line.translate(SIGNS).strip()) is not None and "..." not in line


def _plain(line: str) -> tuple[str, bool]:
    """A line without markup, bullet and typographic signs, powers of ten as exponents; whether a number in it is another than it seems."""
    line = line.strip()
    line = line[m.end() :] if (m := BULLET.match(line)) else line
    line = INNER.sub("", DASH.sub(f" {LINK} ", line)).translate(SIGNS)
    odd = UNBROKEN.search(line) is not None and THOUSANDS.search(line) is not None
    if FACTORS.search(line):  # quick to say that there is none
        line = POWER.sub(lambda m: f"e{m[1] or m[2].translate(RAISED)}", line)
        odd |= PRODUCT.search(line) is not None
    return line.replace("...", " … ").replace("**", "").replace("__", "").strip(), odd


def _pieces(line: str, limit: int) -> list[str]:
    """A line cut at blanks, tabs, bars and semicolons, without what links a name to its number."""
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
    text, odd = _plain(line)
    pieces = _pieces(text, limit)
    if not pieces or line.rstrip().endswith(":"):
        return None
    name = read_name(pieces, LINKED.search(text[-120:]) is not None)
    at, named, key = name.pieces, name.named, name.key
    rest = pieces[at + (named and pieces[at : at + 1] == [LINK]) :]
    if not rest or name.alone:
        return Row([None], True, key, line) if named else None
    money = MONEY.search(text[:PIECE]) is not None
    first = -1  # the piece that is the first number
    found: list[str | None] = []
    worded = False
    for n, piece in enumerate(rest):
        bare = piece.rstrip(",")
        if found and not _is_number(bare) and is_size(bare, money, near=n - first <= 2):
            found[-1] = None
        if worded and not named:
            return None
        if found and (worded or (piece.startswith(COMMENT) and (named or not any(_is_number(p.rstrip(",")) for p in rest[n:])))):
            if any(is_size(p, money, near=k - first <= 2) for k, p in enumerate(rest[n:], n)):
                found[-1] = None
            break
        if bare.lower() in ABSENT:
            found.append(None)
        elif len(bare) <= PIECE and (m := NUMBER.fullmatch(bare)):
            first = n if first < 0 else first
            found.append(None if m["unit"] and is_size(m["unit"], money, joined=True) else bare)
        elif bare[:1].isdigit() or (bare[:1] in "+-." and bare[1:2].isdigit()) or len(bare) > PIECE:
            found.append(None)
        elif found and (bare[0].isalpha() or bare[0] in "%°€$£¥µ"):
            worded = n + 1 < len(rest) and not _is_number(rest[n + 1].rstrip(","))  # a unit, or the first word of a comment
        elif bare[:1] in "€$£¥~≈" and (m := NUMBER.fullmatch(bare[1:])):
            first = n if first < 0 else first
            found.append(None if m["unit"] and is_size(m["unit"], money, joined=True) else bare[1:])
        elif bare in LINKS or bare in ("€", "$", "£", "¥"):
            continue
        elif named:
            found.append(None)
        else:
            return None
    if not found:
        return Row([None], named, key, line) if named else None
    if odd:
        found = [None]
    listed = not named and len(rest) == 1 and "," in rest[0]
    return Row(found, named, key, line, listed, UNBROKEN.search(text) is not None)


def _is_number(piece: str) -> bool:
    return len(piece) <= PIECE and NUMBER.fullmatch(piece) is not None


def _is_one_list(body: str) -> bool:
    """Whether several lines are one list: in one pair of brackets, or each line but the last ends with a comma."""
    brackets = sum(body.count(mark) for mark in "[({")
    if brackets > 1:
        return False
    if brackets == 1 and body.rstrip().endswith(("]", ")", "}")):
        return True
    lines = [line.rstrip() for line in body.splitlines() if line.strip()]
    return len(lines) > 1 and not lines[-1].endswith(",") and all(line.endswith(",") for line in lines[:-1])


def _lists(rows: Sequence[Row], horizon: int) -> str:
    """Take rows of one piece with commas apart, unless there is one for each value and their commas are within numbers.

    Returns:
        Why it is not said what a comma is, "" where it is.
    """
    if not any(row.listed for row in rows):
        return ""
    parts = [row.pieces[0].split(",") if row.listed and row.pieces[0] else None for row in rows]
    pairs = [p for p in parts if p is not None and len(p) == 2 and COUNT.fullmatch(p[0])]
    numbered = len(pairs) == len(rows) and _rises([int(p[0].rstrip(".):]")) for p in pairs], horizon)
    within = all(p is None or _within(row.pieces[0] or "") for p, row in zip(parts, rows, strict=True))
    if numbered and within:
        return f"got {_quoted(rows[0].said)}: a row's number and a value, or one number with a comma in it"
    for row, part in zip(rows, parts, strict=True):
        if part is not None and (numbered or not within or len(rows) != horizon):
            row.pieces = [p if NUMBER.fullmatch(p) else None for p in part]
    return ""


def _rises(numbers: Sequence[int], horizon: int) -> bool:
    """Whether numbers can be those of rows: they rise, mostly by 1 or, where there are H > 2, mostly by another step."""
    steps = [b - a for a, b in zip(numbers[:-1], numbers[1:], strict=True)]
    if not steps:
        return horizon == 1
    usual = max(sorted(set(steps)), key=steps.count)
    return usual > 0 and 2 * steps.count(usual) >= len(steps) and (usual == 1 or len(numbers) == horizon > 2)


def _within(piece: str) -> bool:
    match = NUMBER.fullmatch(piece.rstrip("."))
    return match is not None and any(p.fullmatch(match["number"]) for p in (GROUPED, DOTTED, COMMA))


def _numbered(rows: Sequence[Row], horizon: int) -> None:
    """Take the first of two numbers as the row's, where that is what they are."""
    two = [row for row in rows if not row.named and len(row.pieces) == 2 and row.pieces[0] and COUNT.fullmatch(row.pieces[0])]
    if not two or len(two) != sum(not row.named for row in rows) or any(row.unbroken for row in two):
        return
    numbers = [int((row.pieces[0] or "0").rstrip(".):]")) for row in two]
    if _grouped(two) and any(b - a != 1 for a, b in zip(numbers[:-1], numbers[1:], strict=True)):
        return
    if _rises(numbers, horizon) and not (_grouped(two) and any((row.pieces[1] or "")[:1] == "0" for row in two)):
        for row, number in zip(two, numbers, strict=True):
            row.pieces, row.named, row.key = row.pieces[1:], True, ("step 1", (number,))


def _grouped(rows: Sequence[Row]) -> bool:
    """Whether each row's two numbers could be one, with a blank between its thousands."""
    return all(GROUPED.fullmatch(f"{row.pieces[0]},{(row.pieces[1] or '').replace(',', '.')}") for row in rows)


def _bare(rows: Sequence[Row], a_list: bool) -> None:
    """`1.` alone in a line of its own is a row's number as well as a value."""
    for row in rows:
        piece = row.pieces[0] or ""
        if not a_list and not row.named and len(row.pieces) == 1 and piece[:-1].isdigit() and piece[-1] == ".":
            row.pieces = [None]


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
    if match is None or (unit := match["unit"] or "").lower() in ("e", "st", "nd", "rd", "th") or unit[:1] in ("x", "X"):
        return None
    if unit and is_size(unit, joined=True):
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


def _columns(rows: Sequence[Row], a_list: bool) -> str:
    """Why it is not said which number of a row is meant: there are several, and they are no list in one line, or over several."""
    several = next((row for row in rows if len(row.pieces) > 1 and (row.named or (len(rows) > 1 and not a_list))), None)
    return "" if several is None else f"got {len(several.pieces)} numbers in the row {_quoted(several.said)}; wanted one"
