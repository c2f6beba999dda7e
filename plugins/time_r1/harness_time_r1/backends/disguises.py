"""How a key can stand in a text: as it is, escaped letter by letter, in base64 also in the middle of more, in hexadecimal digits."""

from __future__ import annotations

import base64
import re

__all__ = ["disguises"]


def disguises(key: str) -> re.Pattern[str]:
    r"""A pattern that finds a key in all these ways, and in capital or small letters.

    A letter may be escaped as in a URL (`%2f`, `%252F`), in JSON or Python (`\/`, `\u002f`, `\x2f`) or in HTML (`&#47;`, `&#x2f;`), and
    some may be while others are not. In base64 a key has three forms, by where it stands in what was encoded ("Bearer KEY", "user:KEY"): of
    each the digits that follow from the key alone are looked for, and those that it shares with its neighbours go with them. Repeats are
    limited, so that the time taken grows with the length of a text, whatever is in it.

    >>> found = disguises("sk-a/secret")
    >>> found.sub("***", r"sk-a%2Fsecret, sk-a\/secret, Basic dXNlcjpzay1hL3NlY3JldA==")
    '***, ***, Basic dXNlcj***'

    Args:
        key: printable letters of ASCII.
    """
    plain, spelt = "".join(map(_letter, key)), "[ :]?".join(map(_hex, key.encode()))
    forms = [rf"(?=[\\%&{_both(key[0])}]){plain}", rf"(?=[0-7]){spelt}"]  # the first look saves most of the time
    for before in range(3):  # bytes of what stands in front, beside whole groups of three
        digits = base64.b64encode(b"\0" * before + key.encode()).decode().rstrip("=")
        shared = (0, 2, 3)[before]
        whole = (before + len(key)) * 8 // 6
        own = "".join(map(_digit, digits[shared:whole]))
        forms.append(("[A-Za-z0-9+/_-]?" if shared else "") + own + "(?:[A-Za-z0-9+/_-](?:=|%3[dD]){0,2})?")
    return re.compile("|".join(forms))


def _both(letter: str) -> str:
    """A letter in both cases, within a class."""
    return "".join(re.escape(each) for each in sorted({letter.lower(), letter.upper()}))


def _hex(code: int) -> str:
    return "".join(f"[{_both(digit)}]" for digit in f"{code:02x}")


def _letter(letter: str) -> str:
    code, url, html = ord(letter), _hex(ord(letter)), "".join(f"[{_both(digit)}]" for digit in f"{ord(letter):x}")
    return rf"(?:\\{{0,3}}[{_both(letter)}]|%(?:25){{0,2}}{url}|\\{{1,3}}(?:[uU]00|[xX]){url}|&\#(?:[xX]0{{0,4}}{html}|0{{0,4}}{code});)"


def _digit(digit: str) -> str:
    """One of base64, of which two have another form where they stand in a URL."""
    return {"+": f"(?:{_letter('+')}|-)", "/": f"(?:{_letter('/')}|_)"}.get(digit, digit)
