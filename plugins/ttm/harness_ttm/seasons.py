"""From ragged contexts to what the season-fold network sees: scaled values, periods, and candidates for the future. NumPy and SciPy alone,
so that training, torch and ONNX share it.

Axes: N windows, L history, T the newest steps that the network reads in detail, J periods tried, K candidates, F future patches, P patch
length.

A missing value is masked and counts nowhere. Everything is a function of one row: results do not depend on the other rows (rows are
worked on in groups of a fixed number, since the vector units of FFT would otherwise round differently at the end of a batch).

Steps:

1. scale: location and scale are mean and standard deviation of the observed values among the newest T (where these are all equal: the
   newest value, and how far those before lie from it); values z = arcsinh((y − loc) / scale).
2. periods: those named by the frequency and the task, and peaks of the autocorrelation (FFT) of the detrended history. Of those that
   stand out from their neighbourhood, the one with the smallest mean |z_t − z_{t−p}| over the newest steps is the first period, the best
   that is no multiple of it the second.
3. candidates for each step ahead: zero (the mean), the last value, the last cycle and the mean of up to four cycles of both periods, the
   last cycle moved by the slope, and the recent level."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

__all__ = ["CANDIDATES", "FEATURES", "GROUP", "HINTS", "OFFSETS", "Prepared", "as_hints", "calendar_periods", "fold", "hints_of", "prepare"]

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
B1 = NDArray[np.bool_]

CANDIDATES = 8
FEATURES = 20
OFFSETS = 8
HINTS = 4
PEAKS = 3
GROUP = 16
RECENT = 512  # steps that a period is scored on
LIMIT = 8.0  # of |z|: beyond sinh(8) = 1490 standard deviations
FAR = float(np.sinh(LIMIT))


@dataclass
class Prepared:
    """N windows, ready for the network; `z` and `mask` [N, L] right-aligned, the newest step last."""

    z: F32  # [N, L] scaled, 0 where missing
    mask: B1  # [N, L]
    loc: NDArray[np.float64]  # [N]
    scale: NDArray[np.float64]  # [N]
    constant: B1  # [N] the observed values are equal, or none is observed
    still: B1  # [N] the newest T values are equal, or none of them is observed; training leaves these windows out
    periods: I64  # [N, 2], 0 = none
    features: F32  # [N, FEATURES]
    first: I64  # [N] where the history begins
    slope: F32  # [N] per step
    level: F32  # [N] of the newest steps
    last: F32  # [N]
    weight: F32  # [N] mean |z_t - z_{t-p}| of the best period: how well the window can be forecast


def calendar_periods(freq: str, season_length: int = 1) -> list[int]:
    """Season lengths in steps that a frequency suggests, and the task's own; at most `HINTS`, each at least 2.

    >>> calendar_periods("15T"), calendar_periods("D"), calendar_periods("M")
    ([96, 672], [7, 365], [12])
    """
    match = re.fullmatch(r"(\d*)([A-Za-z]+)(?:-[A-Za-z]+)?", freq.strip())
    multiple, base = (int(match[1] or 1) or 1, match[2]) if match else (1, "")
    base = {"min": "T", "s": "S", "sec": "S", "h": "H", "ME": "M", "MS": "M", "QE": "Q", "QS": "Q", "d": "D", "w": "W", "b": "B"}.get(
        base, base
    )
    whole = {
        "S": (86400, 3600, 60),
        "T": (1440, 10080),
        "H": (24, 168),
        "D": (7, 365),
        "B": (5, 21),
        "W": (52,),
        "M": (12,),
        "Q": (4,),
    }.get(base, ())
    found = [season_length] if season_length > 1 else []
    for steps in whole:
        p = round(steps / multiple)
        if p >= 2 and p not in found and abs(p * multiple - steps) <= 0.02 * steps:
            found.append(p)
    return found[:HINTS]


def hints_of(freq: str, season_length: int) -> I64:
    """Periods to be tried, [HINTS], 0 = none: those of the calendar."""
    return as_hints(calendar_periods(freq, season_length))


def as_hints(periods: Sequence[int], every: int = 1) -> I64:
    """Periods as hints [HINTS], in steps that are `every` times as long; what is then no whole number of at least 2 is left out.

    >>> as_hints([96, 672]).tolist(), as_hints([96, 100], every=8).tolist()
    ([96, 672, 0, 0], [12, 0, 0, 0])
    """
    found = [p // every for p in periods if p % every == 0 and p // every >= 2]
    hints = np.zeros(HINTS, np.int64)
    hints[: len(found)] = found
    return hints


def prepare(y: F32, hints: I64, detail: int) -> Prepared:
    """Scale windows, find their periods and describe them.

    Args:
        y: [N, L] float32, right-aligned, NaN where missing or before the start of a series. A row's numbers are the same in any batch
            whose N is a multiple of `GROUP`.
        hints: [N, J] periods to be tried, 0 = none.
        detail: T, steps that location and scale are taken over.
    """
    n, length = y.shape
    mask = np.isfinite(y)
    filled = np.where(mask, y, np.float32(0))
    loc, scale = _location_scale(filled[:, -detail:], mask[:, -detail:])
    still = scale == 0  # what lies before then tells how far values go
    if still.any():
        loc[still], scale[still] = _of_the_whole(filled[still], mask[still], detail)
    constant = scale == 0
    scale = np.where(constant, 1.0, scale)
    x = (filled - loc[:, None]) / scale[:, None]
    z: F32 = np.arcsinh(np.clip(x, -FAR, FAR, out=x).astype(np.float32))
    if not mask.all():
        z = np.where(mask, z, np.float32(0))
    first = np.where(mask.any(axis=1), mask.argmax(axis=1), length - 1)
    seen = length - first  # [N]
    r = _autocorrelation(z, mask, first)
    tried = _without_doubles(np.concatenate([hints, _peaks(r, seen)], axis=1), seen)  # [N, J]
    error = _lag_error(z, mask, np.concatenate([np.ones((n, 1), np.int64), tried], axis=1))  # [N, 1 + J]
    periods, scores = _choose(tried, error[:, 1:], _stands_out(r, tried, seen), hints.shape[1])
    slope, level, last = _recent(z, mask, periods[:, 0])
    one = error[:, 0]
    best = np.minimum(one, scores[:, 0])
    scores = np.minimum(scores, 3.0)
    newest, there = z[:, -detail:], mask[:, -detail:]
    span = _span(newest, there)  # [N, 4]
    if still.any():
        span[still] = _span(z[still], mask[still])
    count = np.maximum(there.sum(axis=1), 1)
    inside = np.minimum(seen, detail)
    p1, p2 = periods[:, 0], periods[:, 1]
    features = np.stack(
        [
            np.log(one + 0.01),
            np.log(scores[:, 0] + 0.01),
            np.log(scores[:, 1] + 0.01),
            np.log(seen / 64),
            np.log(inside / 64),
            1 - count / inside,
            p1 > 0,
            p2 > 0,
            np.log((p1 + 1) / 16),
            np.log((p2 + 1) / 16),
            np.where(p1 > 0, np.log(seen / np.maximum(p1, 1)), 0),
            np.where(p2 > 0, np.log(seen / np.maximum(p2, 1)), 0),
            *span.T,
            last,
            level,
            np.clip(slope * 64, -4, 4),
            ((np.diff(newest, axis=1) == 0) & there[:, 1:] & there[:, :-1]).sum(axis=1) / count,
        ],
        axis=1,
    ).astype(np.float32)
    return Prepared(z, mask, loc, scale, constant, still, periods, features, first, slope, level, last, best.astype(np.float32))


def _location_scale(y: F32 | NDArray[np.float64], m: B1) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation [N] of observed values; a scale of 0 = they are equal (but for rounding), or there is none."""
    x = np.asarray(y, np.float64)
    count = np.maximum(m.sum(axis=1), 1)
    loc = np.where(m, x, 0).sum(axis=1) / count
    biggest = np.where(m, np.abs(x - loc[:, None]), 0).max(axis=1)
    unit = np.where(biggest > 0, biggest, 1.0)  # so that squares of huge or tiny values stay in range
    scale = unit * np.sqrt((np.where(m, (x - loc[:, None]) / unit[:, None], 0) ** 2).sum(axis=1) / count)
    return loc, np.where(scale <= 1e-7 * np.abs(loc), 0.0, scale)


def _of_the_whole(y: F32, m: B1, detail: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Location and scale [n] of rows whose newest `detail` steps are all equal, or missing.

    Equal: the newest value, and the median distance from it of those that differ. Missing: as usual, of as many observed ones before.
    """
    loc, scale = np.zeros(len(y)), np.zeros(len(y))
    for row in range(len(y)):  # rare
        seen = y[row][m[row]].astype(np.float64)
        if m[row, -detail:].any():
            loc[row] = seen[-1]
            apart = np.abs(seen - loc[row])
            apart = apart[apart > 1e-7 * np.abs(loc[row])]
            scale[row] = np.median(apart) if len(apart) else 0.0
        elif len(seen):
            loc[row : row + 1], scale[row : row + 1] = _location_scale(seen[None, -detail:], np.ones((1, min(len(seen), detail)), bool))
    return loc, scale


def _span(z: F32, m: B1) -> NDArray[np.float64]:
    """Lowest and highest observed value, and the shares of the observed ones that sit on them: [N, 4]; 0 where none is observed."""
    low, high = np.where(m, z, np.inf).min(axis=1), np.where(m, z, -np.inf).max(axis=1)
    low, high = np.where(np.isfinite(low), low, 0), np.where(np.isfinite(high), high, 0)
    count = np.maximum(m.sum(axis=1), 1)
    at_low, at_high = (((z == edge[:, None]) & m).sum(axis=1) / count for edge in (low, high))
    return np.stack([low, high, at_low, at_high], axis=1)


def _autocorrelation(z: F32, mask: B1, first: I64) -> F32:
    """Of each row without its straight line, for lags 0 … L − 1, unbiased for its length: [N, L]."""
    n, length = z.shape
    t = np.arange(length, dtype=np.float32)
    # A straight line is taken out: a trend would hide the seasons.
    w = mask.astype(np.float32)
    count = np.maximum(w.sum(axis=1), 1)
    tm = (w * t).sum(axis=1) / count
    zm = (w * z).sum(axis=1) / count
    centred = (t[None, :] - tm[:, None]) * w
    slope = (centred * z).sum(axis=1) / np.maximum((centred * centred).sum(axis=1), 1e-6)
    x = (z - zm[:, None]) * w - slope[:, None] * centred
    size = scipy.fft.next_fast_len(2 * length, real=True)
    r = np.empty((n, length), np.float32)
    for low in range(0, n, GROUP):
        spectrum = scipy.fft.rfft(x[low : low + GROUP], size, axis=1)
        r[low : low + GROUP] = scipy.fft.irfft(spectrum.real**2 + spectrum.imag**2, size, axis=1)[:, :length]
    pairs = np.maximum((length - first).astype(np.float32)[:, None] - t[None, :], 1)
    r *= (pairs[:, :1] / np.maximum(r[:, :1], 1e-6)) / pairs
    return r


def _peaks(r: F32, seen: I64) -> I64:
    """The lags [N, PEAKS] of the highest local maxima, up to half the length, long ones marked down; 0 = none."""
    r = r[:, : r.shape[1] // 2 + 2]
    lags = np.arange(r.shape[1], dtype=np.float32)
    inner = r[:, 2:-1]
    peak = (inner > r[:, 1:-2]) & (inner >= r[:, 3:]) & (inner > 0.1) & (lags[2:-1] <= (seen / 2)[:, None])
    # Of a period and its multiples the shortest is highest.
    height = np.where(peak, inner * (1 - lags[2:-1] / seen[:, None].astype(np.float32)), np.float32(-np.inf))
    rows, found = np.arange(len(r)), np.zeros((len(r), PEAKS), np.int64)
    for k in range(PEAKS):
        top = height.argmax(axis=1)
        found[:, k] = np.where(np.isfinite(height[rows, top]), top + 2, 0)
        height[rows, top] = -np.inf
    return found


def _without_doubles(tried: I64, seen: I64) -> I64:
    """0 for what is too long or too short, and for what lies within 8 % of one before it."""
    tried = np.where((tried >= 2) & (tried <= seen[:, None] - np.minimum(4, tried)), tried, 0)
    for j in range(1, tried.shape[1]):
        near = (np.abs(tried[:, j, None] - tried[:, :j]) <= 0.08 * tried[:, :j]) & (tried[:, :j] > 0)
        tried[:, j] = np.where(near.any(axis=1), 0, tried[:, j])
    return tried


def _stands_out(r: F32, tried: I64, seen: I64) -> B1:
    """Whether a lag is a season and not just near: its correlation lies above the line from half to one and a half of it, [N, J]."""

    def at(share: float) -> F32:
        lag = np.clip(np.rint(tried * share).astype(np.int64), 1, r.shape[1] - 1)
        return np.take_along_axis(r, lag, axis=1)

    before = np.minimum(at(0.5), at(0.4))
    after = np.minimum(at(1.5), at(1.6))
    enough = tried * 1.6 <= seen[:, None] - 4
    above = np.where(enough, at(1.0) - (before + after) / 2, at(1.0) - before)
    return (tried > 0) & (above > 0.05 + 1 / np.sqrt(np.maximum(seen, 1))[:, None])


def _lag_error(z: F32, mask: B1, lags: I64) -> F32:
    """Mean |z_t − z_{t−lag}| over the newest `RECENT` steps, [N, J]; 9 where lag is 0 or no pair is observed."""
    n, length = z.shape
    width = min(RECENT, length)
    error = np.full(lags.shape, 9.0, np.float32)
    start = (np.arange(n) * length)[:, None] + np.arange(length - width, length)  # [N, W] where the newest steps lie in the flat array
    steps = np.arange(length - width, length)
    flat, seen = z.reshape(-1), mask.reshape(-1)
    new, here = z[:, length - width :], mask[:, length - width :]
    for j in np.flatnonzero(lags.any(axis=0)):
        lag = lags[:, j, None]
        inside = steps >= lag  # [N, W]
        index = np.where(inside, start - lag, 0)
        both = seen.take(index)
        both &= here
        both &= inside
        count = np.count_nonzero(both, axis=1)
        gap = flat.take(index)
        np.abs(np.subtract(new, gap, out=gap), out=gap)
        gap *= both
        error[:, j] = np.where((count > 0) & (lag[:, 0] > 0), gap.sum(axis=1) / np.maximum(count, 1), 9.0)
    return error


def _choose(tried: I64, error: F32, season: B1, named: int) -> tuple[I64, F32]:
    """The two periods [N, 2] with the smallest errors [N, 2] among those that stand out; the second is no multiple of the first.

    Where none stands out, the first of the `named` ones is taken: the network sees how little it explains.
    """
    rows = np.arange(len(tried))
    # Of periods that explain the same, the shorter one. What does not stand out comes last, in the order of the names.
    score = error * (1 + 0.03 * np.log2(np.maximum(tried, 1)))
    score = np.where(season, score, 100.0 + np.arange(tried.shape[1]))
    score = np.where((tried > 0) & (season | (np.arange(tried.shape[1]) < named)), score, np.inf)
    periods, errors = np.zeros((len(tried), 2), np.int64), np.full((len(tried), 2), 9.0, np.float32)
    for k in range(2):
        best = score.argmin(axis=1)
        found = np.isfinite(score[rows, best])
        periods[:, k] = np.where(found, tried[rows, best], 0)
        errors[:, k] = np.where(found, error[rows, best], 9.0)
        ratio = tried / np.maximum(periods[:, k], 1)[:, None]
        score = np.where((ratio > 0.95) & (np.abs(ratio - np.round(ratio)) <= 0.05), np.inf, score)
    return periods, errors


def _recent(z: F32, mask: B1, period: I64) -> tuple[F32, F32, F32]:
    """Slope over the newest two seasons (32 steps without one), mean over the newest (8 without), last observed value: [N] each."""
    n, length = z.shape
    width = min(RECENT, length)
    back = np.arange(width, 0, -1, dtype=np.float32)[None, :]  # [1, W] steps before the end
    new = z[:, length - width :]
    here = mask[:, length - width :]
    w = (here & (back <= np.where(period > 0, 2 * period, 32)[:, None])).astype(np.float32)
    count = np.maximum(w.sum(axis=1), 1)
    tm = (w * -back).sum(axis=1) / count
    centred = (-back - tm[:, None]) * w
    slope = (centred * new).sum(axis=1) / np.maximum((centred * centred).sum(axis=1), 1e-6)
    w = (here & (back <= np.where(period > 0, np.minimum(period, width), 8)[:, None])).astype(np.float32)
    level = (w * new).sum(axis=1) / np.maximum(w.sum(axis=1), 1)
    end = length - 1 - mask[:, ::-1].argmax(axis=1)
    last = np.where(mask.any(axis=1), z[np.arange(n), end], 0)
    return slope.astype(np.float32), level.astype(np.float32), last.astype(np.float32)


def fold(p: Prepared, patches: I64, patch_length: int) -> tuple[F32, F32]:
    """Candidates [N, F, K, P] and offsets [N, F, OFFSETS] for the future patches numbered `patches` [N, F] (0 = the first steps ahead)."""
    n, length = p.z.shape
    count = patches.shape[1]
    ahead = (patches[:, :, None] * patch_length + np.arange(patch_length)).reshape(n, -1)  # [N, S] steps ahead, from 0
    rows = (np.arange(n) * length)[:, None]
    flat, seen = p.z.reshape(-1), p.mask.reshape(-1)
    out = np.empty((n, CANDIDATES, ahead.shape[1]), np.float32)
    out[:, 0] = 0
    out[:, 1] = p.last[:, None]
    cycles = ahead // np.maximum(p.periods[:, :1], 1)
    for k in range(2):
        period = p.periods[:, k, None]  # [N, 1]
        if not period.any():
            out[:, 2 + 2 * k : 4 + 2 * k] = out[:, 1:2]
            continue
        safe = np.maximum(period, 1)
        source = rows + length - safe + (ahead - safe * (cycles if k == 0 else ahead // safe))  # [N, S] the last cycle
        begin = rows + p.first[:, None]
        total = np.zeros(ahead.shape, np.float32)
        weight = np.zeros(ahead.shape, np.float32)
        recent = np.zeros(ahead.shape, np.float32)  # the newest observed value at this phase
        for _ in range(4):
            old = source < begin
            index = np.maximum(source, begin)
            there = seen.take(index)
            there &= ~old
            value = flat.take(index)
            value *= there
            np.copyto(recent, value, where=weight == 0)
            total += value
            weight += there
            source -= safe
        usable = (weight > 0) & (period > 0)
        out[:, 2 + 2 * k] = np.where(usable, recent, out[:, 1])
        out[:, 3 + 2 * k] = np.where(usable, total / np.maximum(weight, 1), out[:, 1])
    moved = p.slope[:, None] * (np.maximum(p.periods[:, :1], 1) * (1 + cycles)).astype(np.float32)
    out[:, 6] = np.clip(out[:, 2] + np.clip(moved, -3, 3), -LIMIT, LIMIT)
    out[:, 7] = p.level[:, None]
    begin = patches.astype(np.float32) * patch_length  # [N, F]
    p1, p2 = (np.maximum(p.periods[:, k : k + 1], 1) for k in range(2))
    seen_steps = (length - p.first)[:, None]
    offsets = np.stack(
        [
            np.log1p(begin / patch_length),
            np.log((begin + 8) / seen_steps),
            np.log1p(begin / p1),
            np.log1p(begin / p2),
            begin / 480,
            (begin == 0) * 1.0,
            np.exp(-begin / 32),
            np.exp(-begin / 128),
        ],
        axis=2,
    ).astype(np.float32)
    candidates = out.reshape(n, CANDIDATES, count, patch_length).transpose(0, 2, 1, 3)  # [N, F, K, P]
    return np.ascontiguousarray(candidates), offsets
