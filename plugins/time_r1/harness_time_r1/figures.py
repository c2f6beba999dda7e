"""How numbers are written in a prompt: one number of decimals for a whole window, taken from how far its values lie apart.

The rule. The spread is what lies between the 5 % and the 95 % quantile of the context's values (its whole range where these are equal, the
value itself where all are). Every value is rounded to the decimal place at which the spread has `digits` significant digits, but to no more
than nine significant digits of the larger of both quantiles: float32 has no more. Whole numbers below 2^24 are written whole. Digits are
written out, never with an exponent; a place left of the point rounds to tens, hundreds and so on; zero has no sign.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Context, Decimal

import numpy as np
from numpy.typing import ArrayLike

__all__ = ["MISSING", "decimals_of", "show", "show_all"]

MISSING = "missing"
"""How a value that is not known is written."""

FLOAT32_DIGITS = 9
EXACT = Context(prec=400)  # digits: any float64 written out
WHOLE = 2.0**24  # above, float32 has whole numbers only, which then say nothing of the series


def decimals_of(values: ArrayLike, digits: int) -> int:
    """Decimal places for a window's values [T], NaN where missing; negative = left of the point.

    >>> decimals_of([0.0, 12.5, 50.0], 3), decimals_of([1e6, 3.5e6 + 0.5], 3), decimals_of([1, 2, 1000], 3), decimals_of([0.5, 0.5], 3)
    (1, -4, 0, 3)
    """
    seen = np.asarray(values, np.float64).reshape(-1)
    seen = seen[np.isfinite(seen)]
    if not len(seen):
        return 0
    most = float(np.abs(seen).max())
    if most < WHOLE and bool(np.all(seen == np.round(seen))):
        return 0
    low, high = (float(q) for q in np.quantile(seen, (0.05, 0.95), method="inverted_cdf"))
    spread = high - low or float(seen.max() - seen.min()) or most
    size = max(abs(low), abs(high)) or most
    return min(digits - 1 - Decimal(spread).adjusted(), FLOAT32_DIGITS - 1 - Decimal(size).adjusted())


def show(value: float, decimals: int) -> str:
    """A number with so many decimals, written out; `MISSING` where it is not finite.

    >>> show(1234.5678, 2), show(-0.001, 2), show(98765.0, -3), show(3e38, -37), show(float("nan"), 1)
    ('1234.57', '0.00', '99000', '300000000000000000000000000000000000000', 'missing')
    """
    if not np.isfinite(value):
        return MISSING
    text = f"{value:.{decimals}f}" if decimals >= 0 else _rounded_left(value, decimals)
    return text.lstrip("-") if not text.strip("-0.") else text


def _rounded_left(value: float, decimals: int) -> str:
    place = Decimal((0, (1,), -decimals))
    return f"{Decimal(float(value)).quantize(place, context=EXACT):f}"


def show_all(values: Iterable[float], decimals: int) -> list[str]:
    """Each of the numbers as `show` writes it."""
    return [show(value, decimals) for value in values]
