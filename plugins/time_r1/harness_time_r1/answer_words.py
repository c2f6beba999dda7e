"""What stands in the lines of answers: names of rows, numbers, and the words and signs around them.

Every repetition in a pattern is bounded, so that a match at one place costs no more than a bounded time.
"""

from __future__ import annotations

import re

__all__ = [
    "ABSENT",
    "BULLET",
    "CALENDAR",
    "COMMA",
    "COMMENT",
    "COUNT",
    "COUNTED",
    "DASH",
    "DOTTED",
    "GROUPED",
    "HEADS",
    "INNER",
    "LINK",
    "LINKS",
    "MONTHS",
    "NAME",
    "NUMBER",
    "ORDINAL",
    "PIECE",
    "PLAIN",
    "RULE",
    "SIGNS",
    "SIZES",
    "STEP",
    "TIME",
    "YEAR",
]

PIECE = 400  # characters of a piece that may be a number: longer ones are not


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


CLOCK = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
DAY = (
    r"(?:(?P<y>-?[0-9]{4,6})[-/](?P<m>[0-9]{1,2})(?:[-/](?P<d>[0-9]{1,2}))?|[0-9]{4}\.[0-9]{1,2}\.[0-9]{1,2}"
    r"|[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{4}|[0-9]{4}-?(?:W[0-9]{1,2}|Q[1-4])|Q[1-4]-?[0-9]{4})"
)
NAME = re.compile(rf"(?:{DAY}(?:[T_]{CLOCK})?|{CLOCK}|t\(?[+-][0-9]{{1,7}}\)?|Q[1-4]|\([0-9]{{1,7}}\)|#[0-9]{{1,7}})", re.IGNORECASE)
TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}(?:\.[0-9]{1,9})?))?")
STEP = re.compile(r"t\(?([+-][0-9]{1,7})\)?", re.IGNORECASE)
YEAR = re.compile(r"[0-9]{4}[,:]?")
COUNT = re.compile(r"[0-9]{1,9}[.):\]]{0,2}")
ORDINAL = re.compile(r"[0-9]{1,4}(?:st|nd|rd|th)?[,:]?", re.IGNORECASE)
NUMBER = re.compile(
    r"(?P<sign>[+-]?)(?P<number>\.?[0-9][0-9.,]{0,399})(?:[eE](?P<exponent>[+-]?[0-9]{1,4})|[×x*]10\^?(?P<power>[+-]?[0-9]{1,4}))?"
    r"(?P<unit>[A-Za-z%°µμ€$£¥℃℉][^0-9]{0,11})?"
)
PLAIN = re.compile(r"[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400}")
GROUPED = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3}){1,130}(?:\.[0-9]{0,400})?")
DOTTED = re.compile(r"[1-9][0-9]{0,2}(?:\.[0-9]{3}){1,130},[0-9]{1,400}")
COMMA = re.compile(r"[0-9]{1,400},[0-9]{1,400}")
RULE = re.compile(r"[-=:+*_|~. ]{1,400}")
INNER = re.compile(r"(?<=[0-9])['’_\u2009\u202f](?=[0-9]{3}(?![0-9]))")
BULLET = re.compile(r"[-*+•·‣▪–—][ \t]{1,8}")
DASH = re.compile(r"[ \t][–—][ \t]")
LINK = "\ue000"  # a dash between blanks: behind a name it is no minus

CALENDAR = _words("mon tue wed thu fri sat sun monday tuesday wednesday thursday friday saturday sunday tues thurs am pm utc gmt z")
MONTHS = _words(
    "jan feb mar apr may jun jul aug sep sept oct nov dec january february march april june july august september october november december"
)
COUNTED = _words("step day hour week month quarter year row period minute second point index time t h no nr number line")
HEADS = _words(
    "value values forecast forecasts prediction predictions predicted timestamp timestamps date dates datetime time y yhat answer result "
    "output final"
)
ABSENT = _words(
    "nan none null n/a na missing inf -inf +inf infinity -infinity unknown nil tbd ? … - -- --- – — continue (continue) continued "
    "(continued) etc etc. ditto same value"
)
SIZES = _words("k K M B k. bn mn mln million billion thousand trillion hundred lakh crore tn")
LINKS = _words(": = -> => → ≈ ~ ~= > >> ⇒ ➔ := is")
COMMENT = ("(", "#", "//", "←", "<-", "±", "+/-", "+-")
WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
SIGNS = str.maketrans(
    {**{chr(k): chr(v) for k, v in WIDE.items()}, **dict.fromkeys("−‒–—﹣‐‑", "-"), "、": ",", "。": ".", "：": ":", "·": "•", "…": " … "}
    | dict.fromkeys("\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\"'“”‘’«»`[]{}")
)
