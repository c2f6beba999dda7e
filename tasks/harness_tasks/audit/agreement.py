"""Whether two stretches of values are one series up to scale and offset, and whether they hold enough to say so.

Two series agree where x = a·y + b fits; how closely, is measured against the innovation e of the test series: what its own past (the four
values before, and those about a season before) does not foretell. So a line, a sine or a pattern that repeats, which agrees with any other
of its kind, has next to no innovation, and series that only share a season disagree by as much as their innovations.

- A copy: agreement within `CLOSE` of the typical |e|, for `RUN` finite values in a row. What disagrees lies together (another series, a gap
  that was filled): the stretches that agree have `RUN` values in the mean, so that counts which are often equal by chance are no copies.
- A rounded copy: within `ROUGH`, for `SHARE` of all values that both have, at least `ROUGH_RUN`.

Either must hold `BITS` of information, a copy in one stretch: how many values of that resolution the innovations could have taken, log2
summed over the values that agree, and never more than the entropy of the values. Counts that are mostly 0 and lines hold too little, and
are not reported.
Values that are not finite in one of the two count neither way; single runs shorter than `PIECE` do not count.

Axes: n values that both have.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.forecast import F64, I64
from harness_tasks.audit.fingerprints import SPAN

__all__ = ["BITS", "CLOSE", "ROUGH", "RUN", "Agreement", "agreement", "enough", "innovation"]

CLOSE, RUN = 0.02, 24
ROUGH, ROUGH_RUN, SHARE = 0.25, 48, 0.9
PIECE = 8
BITS = 80.0
"""Chance agreement has a probability of about 2^−BITS; 10^5 test series against 10^7 others at 10^3 offsets are 2^50 trials."""
LAGS = 4
LONGEST = 1 << 16
"""Innovations are estimated from so many values around the fingerprint, and information is counted among them."""
SINGLE = 4 * float(np.finfo(np.float32).eps)


@dataclass(frozen=True, eq=False)
class Agreement:
    """Where two stretches agree: intervals int64 [k, 2] of positions in them; `closeness` in units of the typical innovation."""

    intervals: I64
    values: int
    scale: float
    offset: float
    closeness: float
    rounded: bool
    bits: float


def agreement(test: F64, corpus: F64, near: int) -> Agreement | None:
    """How two stretches of equal length agree around a position where their fingerprints do; None where they do not, or hold too little.

    Args:
        test: float64 [length], as NaN where missing.
        corpus: the same of a corpus; test ≈ scale · corpus + offset.
        near: the position of the fingerprint's first value.
    """
    there = np.flatnonzero(np.isfinite(test) & np.isfinite(corpus))
    if len(there) < RUN:
        return None
    at = int(np.searchsorted(there, near))
    x, (y, exponent) = test[there], _about_one(corpus[there], at)
    looked = slice(max(0, at - LONGEST // 2), max(0, at - LONGEST // 2) + LONGEST)
    with np.errstate(over="ignore", invalid="ignore"):
        center, spread = float(x[looked].mean()), float(x[looked].std())
    if not 0 < spread < np.inf:
        return None
    surprise = innovation((x[looked] - center) / spread) * spread
    unit = float(np.median(surprise[surprise > 0])) if (surprise > 0).any() else 0.0
    for limit, rounded in ((CLOSE, False), (ROUGH, True)):
        found = _fit(x, y, at, limit * unit)
        if found is None:
            continue
        scale, offset, error, agree = found
        runs = _runs(agree, PIECE)
        longest = int(np.diff(runs, axis=1).max(initial=0))
        inside = np.zeros(len(x), np.bool_)
        for low, high in runs:
            inside[low:high] = True
        n = int(inside.sum())
        if rounded and (n < max(ROUGH_RUN, SHARE * len(x)) or longest < RUN):
            continue
        if not rounded and (longest < RUN or n < RUN * len(runs)):
            continue
        resolution = max(float(np.quantile(np.abs(error[inside]), 0.99)), _floor(x))
        seen = x[looked], surprise, resolution
        bits = _information(*seen, inside[looked])
        if bits >= BITS and (rounded or _in_one(seen, runs - looked.start) >= BITS):
            spans = np.stack([there[runs[:, 0]], there[runs[:, 1] - 1] + 1], axis=1)
            return Agreement(spans, n, _times_two(scale, -exponent), offset, resolution / unit if unit else 0.0, rounded, bits)
    return None


def enough(x: F64) -> bool:
    """Whether values would be told from others, if they were found."""
    x = x[np.isfinite(x)]
    spread = float(x.std()) if len(x) >= RUN else 0.0
    if not 0 < spread < np.inf:
        return False
    surprise = innovation((x - x.mean()) / spread) * spread
    return _information(x, surprise, _floor(x)) >= BITS


def _about_one(y: F64, at: int) -> tuple[F64, int]:
    """y · 2^-exponent, where the largest of the values under the fingerprint is near 1, and the exponent.

    Squares and products then stay in float64 wherever the scale of the corpus lies. What is far above the fingerprint may become
    infinite, and agrees with nothing: a test series is float32, whose range is less than that.
    """
    exponent = int(np.frexp(np.abs(y[max(0, at) : at + SPAN]).max(initial=0.0))[1])
    with np.errstate(over="ignore"):
        return np.ldexp(y, -exponent), exponent


def _times_two(x: float, exponent: int) -> float:
    """x · 2^exponent; infinite, or 0, where float64 holds no such number."""
    with np.errstate(over="ignore", under="ignore"):
        return float(np.ldexp(x, exponent))


def _in_one(seen: tuple[F64, F64, float], runs: I64) -> float:
    """Bits in the one of some runs that holds most."""
    best = 0.0
    for low, high in np.clip(runs, 0, len(seen[0])).tolist():
        if high - low >= RUN and best < BITS:
            part = slice(low, high)
            best = max(best, _information(seen[0][part], seen[1][part], seen[2]))
    return best


def _floor(x: F64) -> float:
    """What float32 cannot tell apart at the larger of these values."""
    return SINGLE * float(np.quantile(np.abs(x), 0.99))


def _fit(x: F64, y: F64, at: int, tolerance: float) -> tuple[float, float, F64, NDArray[np.bool_]] | None:
    """(scale, offset, errors [n], which agree [n]) of x = scale · y + offset, fitted around `at` and then ever further from it."""
    floor = np.maximum(_floor(x), SINGLE * np.abs(x))
    low, high = max(0, at), min(len(x), at + SPAN)
    chosen = np.arange(low, high)
    scale = offset = 0.0
    error = agree = None
    for reach in (0, 0, 16, 64, 256, 1024, len(x), len(x)):
        if len(chosen) < PIECE:
            return None
        px, py = x[chosen], y[chosen]
        with np.errstate(over="ignore", invalid="ignore"):
            mx, my = px.mean(), py.mean()
            variance = float(((py - my) ** 2).sum())
        if not 0 < variance < np.inf:
            return None
        scale = float(((px - mx) * (py - my)).sum() / variance)
        offset = float(mx - scale * my)
        if scale == 0:
            return None
        with np.errstate(over="ignore"):
            error = x - scale * y - offset
        agree = np.abs(error) <= np.maximum(floor, max(tolerance, SINGLE * abs(scale) * float(np.abs(py).max())))
        begin, end = max(0, low - reach), min(len(x), high + reach)
        chosen = np.flatnonzero(agree[begin:end]) + begin
    assert error is not None and agree is not None
    return scale, offset, error, agree


def _runs(agree: NDArray[np.bool_], least: int) -> I64:
    """[k, 2] of runs of True of at least so many."""
    edges = np.flatnonzero(np.diff(np.r_[False, agree, False].astype(np.int8))).reshape(-1, 2)
    kept: I64 = edges[(edges[:, 1] - edges[:, 0]) >= least].astype(np.int64)
    return kept


def _information(x: F64, surprise: F64, resolution: float, where: NDArray[np.bool_] | None = None) -> float:
    """Bits that values (some of them, where that is given) hold beyond what their past foretells, at a resolution."""
    if where is not None and not where.any():
        return 0.0
    values, count = np.unique(x if where is None else x[where], return_counts=True)
    share = count / count.sum()
    entropy = -float((share * np.log2(share)).sum()) * float(count.sum())
    grid = float(np.diff(values).min()) if len(values) > 1 else 0.0
    if grid > 20 * resolution:  # whole numbers, or others on a grid: an error of less than half a step foretells the value
        bits = np.log2(1 + 2 * np.abs(np.rint(surprise / grid)))
    else:
        ratio = surprise / resolution if resolution > 0 else np.zeros(len(x))
        bits = np.where(ratio > 4, np.log2(np.maximum(ratio, 1)), 0.0)
    # A series that rests goes on resting: nights without sun are alike everywhere.
    bits[2:][(x[2:] == x[1:-1]) & (x[1:-1] == x[:-2])] = 0.0
    return min(float((bits if where is None else bits[where]).sum()), entropy)


def innovation(x: F64) -> F64:
    """|e| [n]: what the past of each value does not foretell, by the better of two linear predictions; 0 for the first values.

    The predictions are fitted to x itself by least squares: from the `LAGS` values before, and from two before, three about the lag of the
    highest autocorrelation and one at twice that lag. x should have mean 0 and deviation 1.
    """
    out = _predicted(x, range(1, LAGS + 1))
    lag = _season(x)
    if lag and len(x) > 2 * lag + 8:
        seasonal = _predicted(x, (1, 2, lag - 1, lag, lag + 1, *((2 * lag,) if len(x) > 6 * lag else ())))
        tail = slice(2 * lag, None) if len(x) > 6 * lag else slice(lag + 1, None)
        if np.square(seasonal[tail]).sum() < np.square(out[tail]).sum():
            out[tail] = seasonal[tail]
    return out


def _predicted(x: F64, lags: range | tuple[int, ...]) -> F64:
    begin = max(lags)
    out = np.zeros(len(x))
    past = np.stack([np.ones(len(x) - begin), *(x[begin - lag : len(x) - lag] for lag in dict.fromkeys(lags))], axis=1)
    found = np.linalg.lstsq(past, x[begin:], rcond=None)[0]
    out[begin:] = np.abs(x[begin:] - past @ found)
    return out


def _season(x: F64) -> int:
    """The first lag above 4 that has nearly the highest autocorrelation of the differences, 0 for a short series."""
    d = np.diff(x)
    d -= d.mean()
    most = min(len(d) // 2, 2048)
    if most <= LAGS + 1:
        return 0
    spectrum = np.fft.rfft(d, 2 * len(d))
    product = np.fft.irfft(np.abs(spectrum) ** 2)[: most + 1]
    found = product[LAGS + 1 :] / (len(d) - np.arange(LAGS + 1, most + 1))
    return LAGS + 1 + int(np.argmax(found >= 0.9 * found.max()))
