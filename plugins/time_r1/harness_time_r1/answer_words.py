"""What stands in the lines of answers: names of rows, numbers, and the words and signs around them.

Every repetition in a pattern is bounded, so that a match at one place costs no more than a bounded time.
"""

from __future__ import annotations

import re

__all__ = [
    "ABSENT",
    "BULLET",
    "CALENDAR",
    "CLOCK_TIME",
    "COMMA",
    "COMMENT",
    "COUNT",
    "COUNTED",
    "DASH",
    "DATE",
    "DOTTED",
    "EITHER",
    "FACTORS",
    "GROUPED",
    "HEADS",
    "INNER",
    "LINK",
    "LINKED",
    "LINKS",
    "MONEY",
    "MONTHS",
    "NAME",
    "NUMBER",
    "OFFSET",
    "ORDINAL",
    "PERIOD",
    "PIECE",
    "PLAIN",
    "POWER",
    "PRODUCT",
    "QUARTER",
    "RAISED",
    "RULE",
    "SIGNS",
    "STEP",
    "THOUSANDS",
    "UNBROKEN",
    "WEEKDAYS",
    "YEAR",
    "is_size",
    "month_of",
]

PIECE = 400  # characters of a piece that may be a number: longer ones are not


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


CLOCK = r"[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,9})?)?(?:Z|[+-][0-9]{2}:?[0-9]{2})?"
DAY = (
    r"(?:-?[0-9]{4,6}[-/][0-9]{1,2}(?:[-/][0-9]{1,2})?|[0-9]{4}\.[0-9]{1,2}\.[0-9]{1,2}"
    r"|[0-9]{1,2}[-/.][0-9]{1,2}[-/.][0-9]{4}|[0-9]{4}-?(?:W[0-9]{1,2}|Q[1-4])|Q[1-4]-?[0-9]{4})"
)
NAME = re.compile(rf"(?:{DAY}(?:[T_]{CLOCK})?|{CLOCK}|t\(?[+-][0-9]{{1,7}}\)?|Q[1-4]|\([0-9]{{1,7}}\)|#[0-9]{{1,13}})", re.IGNORECASE)
DATE = re.compile(r"(-?[0-9]{4,6})[-/]([0-9]{1,2})(?:[-/]([0-9]{1,2}))?(?![0-9])|([0-9]{4})\.([0-9]{1,2})\.([0-9]{1,2})")
EITHER = re.compile(r"([0-9]{1,2})([-/.])([0-9]{1,2})[-/.]([0-9]{4})")
PERIOD = re.compile(r"([0-9]{4})-?(?:W([0-9]{1,2})|Q([1-4]))|Q([1-4])-?([0-9]{4})", re.IGNORECASE)
QUARTER = re.compile(r"Q([1-4])", re.IGNORECASE)
CLOCK_TIME = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}(?:\.[0-9]{1,9})?))?")
OFFSET = re.compile(r"(?:Z|:[0-9.]{2,12}([+-])([0-9]{2}):?([0-9]{2}))$", re.IGNORECASE)
STEP = re.compile(r"t\(?([+-][0-9]{1,7})\)?|\(([0-9]{1,7})\)|#([0-9]{1,13})", re.IGNORECASE)
YEAR = re.compile(r"[0-9]{4}[,:]?")
COUNT = re.compile(r"[0-9]{1,9}[.):\]]{0,2}")
ORDINAL = re.compile(r"([0-9]{1,4})(?:st|nd|rd|th)?[.,:]?", re.IGNORECASE)
NUMBER = re.compile(
    r"(?P<sign>[+-]?)(?P<number>\.?[0-9][0-9.,]{0,399})(?:[eE](?P<exponent>[+-]?[0-9]{1,4})|[×x*]10\^?(?P<power>[+-]?[0-9]{1,4}))?"
    r"(?P<unit>[A-Za-z%°µμ€$£¥℃℉][^0-9]{0,11})?"
)
PLAIN = re.compile(r"[0-9]{1,400}(?:\.[0-9]{0,400})?|\.[0-9]{1,400}")
GROUPED = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3}){1,130}(?:\.[0-9]{0,400})?")
DOTTED = re.compile(r"[1-9][0-9]{0,2}(?:\.[0-9]{3}){1,130},[0-9]{1,400}")
COMMA = re.compile(r"[0-9]{1,400},[0-9]{1,400}")
RULE = re.compile(r"[-=:+*_|~. ]{1,400}")
THIN = r"[\xa0\u2007]"  # blanks that are no break, and may group thousands
THOUSANDS = re.compile(rf"(?:^|[ \t|;,$€£¥~≈])[+-]?[0-9]{{1,3}}{THIN}[0-9]{{3}}(?![0-9])")
UNBROKEN = re.compile(THIN)
RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
FACTORS = re.compile(r"[xX×✕⋅∙•*^\\eEtT]")  # one of these is in every POWER and PRODUCT
POWER = re.compile(  # 1.2 x 10^3
    r"(?<=[0-9.])[ \t]{0,4}(?:[x×✕⋅∙•*]|\\?times|\\cdot)[ \t]{0,4}10"
    r"(?:[ \t]{0,2}(?:\^|\*\*)[ \t]{0,2}\(?([+-]?[0-9]{1,4})\)?|([⁺⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,4}))(?![0-9.])",
    re.IGNORECASE,
)
PRODUCT = re.compile(  # what else may multiply a number
    r"[0-9.][ \t]{0,4}(?:[x×✕⋅∙•]|\\?times|\\cdot)[ \t]{0,4}[0-9]|[0-9][ \t]{1,4}\*[ \t]{1,4}[0-9]|[0-9]\*{1,2}[0-9]|[0-9][ \t]{0,4}\^"
    r"|[0-9.][ \t]{1,4}[e][ \t]{0,2}[+-]?[0-9]|[0-9.][ \t]{0,4}\*[ \t]{0,4}10[ \t]{0,4}(?:\*\*|\^)",
    re.IGNORECASE,
)
LINKED = re.compile(r"[|;:=→⇒➔≈~>\t][ \t*]{0,8}[-+$€£¥~≈]?[0-9][0-9.,]{0,40}[ \t|;*,)\]}]{0,20}$")
WORD = re.compile(r"[^\W\d_]{1,40}")
MONEY = re.compile(r"[€$£¥]|(?<![A-Za-z])[kmbtg]{0,2}(?:usd|eur|gbp|jpy|cny|chf|inr|cad|aud|sek|nok|dkk|pln|brl|rub|krw)", re.IGNORECASE)
CODE = re.compile(r"(?:usd|eur|gbp|jpy|cny|chf|inr|cad|aud|sek|nok|dkk|pln|brl|rub|krw)", re.IGNORECASE)
FACTOR = re.compile(
    r"(?:^|[^A-Za-z])[x×*]1[0,]{2,12}|10(?:\^|\*\*|[⁰¹²³⁴⁵⁶⁷⁸⁹⁻])|^\(?e[+-]?[0-9]{1,3}\)?$|(?<![0-9.])(?:1,?)?000s", re.IGNORECASE
)
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
SIZES = _words(
    "k bn bln bio mn mln mio mia mrd mil mill mm tn trn tsd thsd thou ten tens lac lacs cr kilo mega giga tera tausend mille times half"
)
LETTERS = ("M", "B", "T", "G", "b", "k", "x", "X", "×")
SIZE_STEMS = (
    *("hundred", "thousand", "million", "billion", "trillion", "quadrillion", "milliard", "dozen", "lakh", "crore", "myriad", "hundert"),
    "tausend",
)
WEEKDAYS = {day: number for number, day in enumerate(["mon", "tue", "wed", "thu", "fri", "sat", "sun"])}
LINKS = _words(": = -> => → ≈ ~ ~= > >> ⇒ ➔ := is")
COMMENT = ("(", "#", "//", "←", "<-", "±", "+/-", "+-")
WIDE = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
SIGNS = str.maketrans(
    {**{chr(k): chr(v) for k, v in WIDE.items()}, **dict.fromkeys("−‒–—﹣‐‑", "-"), "、": ",", "。": ".", "：": ":", "·": "•", "…": " … "}
    | dict.fromkeys("\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\"'“”‘’«»`[]{}")
)


def month_of(word: str) -> int:
    """The number of a month whose name begins so, in lower case.

    >>> month_of("sept"), month_of("january")
    (9, 1)
    """
    return "janfebmaraprmayjunjulaugsepoctnovdec".index(word[:3]) // 3 + 1


def is_size(text: str, money: bool = False, joined: bool = False, near: bool = True) -> bool:
    """Whether what stands behind a number says how many of it are meant: a word of a size, or a power of ten.

    Args:
        text: a unit or a piece of a comment.
        money: the line has a currency, with which `m` is no metre and `t` no tonne.
        joined: it stands right behind the number, without a blank: `K` is then no kelvin.
        near: it stands so near to the number that a single letter may belong to it.

    >>> [is_size(text) for text in ("Million", "kUSD", "(thousands)", "MM", "x10^3", "MW", "km", "mm", "K")]
    [True, True, True, True, True, False, False, False, False]
    """
    if FACTOR.search(text):
        return True
    over = text.split("/")[0]  # in EUR/t the tonne is no size
    for word in WORD.findall(text):
        low = word.lower()
        bare = CODE.sub("", low)
        if bare != low:
            if bare in SIZES or bare in ("m", "b", "t", "g"):
                return True
            continue
        if len(low) == 1:
            if near and word in over and (word in LETTERS or (money and low in "mtgk") or (joined and text[:1] == "K")):
                return True
        elif word == "mm":
            if money:
                return True
        elif low in SIZES or low.rstrip("s") in SIZES or low.startswith(SIZE_STEMS):
            return True
    return False
