"""What an answer earns: format, length, squared error, season, trend and change points, in three variants.

- `bounded` (the default): every term bounded, errors on the scale of the context, spurious extrema and missing steps cost.
- `paper_literal`: as printed in arXiv 2506.10630, where the errors of season and trend are added: a worse forecast earns more.
- `released`: as in reward/reward.py of github.com/lqzxt/Time-R1 at 42d44eb; the answer's own spread is the scale.

The two others are there to compare with. docs/time-r1-training.md beside the package has formulae, ranges and what is wrong with them.

Axes: T context, H horizon, K values that an answer holds. NaN is missing: in a label it is masked out, in a context it is passed over.

    >>> values = np.float32([1, 2, 3, 1, 2, 3])
    >>> window = Window(values, values[:3], np.datetime64("2020-01-01", "s"), "D", season_length=3, id="a")
    >>> parts = score([1, 2, 3], window)
    >>> round(parts["total"], 6), round(score([1, 2], window)["total"], 6)
    (1.9, 1.266667)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from harness import UsageError
from harness_time_r1.grip.decompose import decompose, extrema, matches, released_extrema, released_parts
from harness_time_r1.parser import parse
from harness_time_r1.windows import Window

__all__ = ["PARTS", "READABLE", "VARIANTS", "gamma_length", "gamma_mse", "reward", "scale_of", "score"]

F64 = npt.NDArray[np.float64]
VARIANTS = ("bounded", "paper_literal", "released")
PARTS = ("format", "length", "mse", "seasonal", "trend", "change_points")
READABLE = ("ok", "short", "long")
"""Kinds of answers that are in format: numbers in an answer block, be they too few or too many."""
COMPONENT = 0.2
"""Weight of each of the terms of season and trend in `bounded`."""
FAR = 1e6
"""Scaled errors are cut to this, so that a literal reward stays a number."""


def reward(
    text: str, window: Window, variant: str = "bounded", *, finish: str = "stop", tolerance: int = 1
) -> tuple[dict[str, float], str]:
    """What an answer earns, and its kind (`parser.KINDS`): {"total", *PARTS}, the total being the sum of the parts.

    Args:
        text: the answer as it was written.
        finish: "length" where it was cut.
        tolerance: steps by which a change point may be off, ±.

    Raises:
        UsageError: an unknown variant, or a label without a value.
    """
    parsed = parse(text, len(window.label), finish)
    return score(parsed.values, window, variant, in_format=parsed.kind in READABLE, tolerance=tolerance), parsed.kind


def score(
    values: Sequence[float] | np.ndarray,
    window: Window,
    variant: str = "bounded",
    *,
    in_format: bool = True,
    tolerance: int = 1,
) -> dict[str, float]:
    """What the numbers of an answer earn, see `reward`.

    Args:
        values: [K] as read; of more than H the first H count.
        in_format: whether they stood where they belong.

    Raises:
        UsageError: as `reward`.
    """
    if variant not in VARIANTS:
        raise UsageError(f"got the rewards {variant!r}; wanted one of {', '.join(VARIANTS)}")
    label = np.asarray(window.label, np.float64)
    if not np.isfinite(label).any():
        raise UsageError("got a window whose label has no value; wanted windows with at least one, since nothing else can be rewarded")
    answer = np.asarray(values, np.float64).reshape(-1)
    usable = len(answer) > 0 and bool(np.isfinite(answer).all())
    parts = dict.fromkeys(PARTS, 0.0)
    parts["format"] = 0.0 if in_format and usable else -1.0
    # Out of format nothing else counts in `bounded`; the others add up whatever numbers there are.
    if usable and (in_format or variant != "bounded"):
        terms = {"bounded": _bounded, "paper_literal": _literal, "released": _released}[variant]
        parts.update(terms(answer, label, np.asarray(window.context, np.float64), int(window.season_length), tolerance))
    return {"total": sum(parts.values()), **parts}


def gamma_mse(mse: float, steepness: float = 0.3) -> float:
    """Map a mean squared error to (0, 1]: 2·(1 − σ(steepness·MSE)), 1 where there is none.

    >>> gamma_mse(0.0), round(gamma_mse(1.0), 4), round(gamma_mse(10.0), 4)
    (1.0, 0.8511, 0.0949)
    """
    small = float(np.exp(-steepness * mse))  # 2·(1 − σ(x)) = 2·e^−x / (1 + e^−x), which does not overflow
    return 2 * small / (1 + small)


def gamma_length(count: int, horizon: int) -> float:
    """0.1·min(1, K/H).

    >>> gamma_length(48, 96), gamma_length(96, 96), gamma_length(200, 96)
    (0.05, 0.1, 0.1)
    """
    return 0.1 * min(1.0, count / horizon)


def scale_of(context: np.ndarray) -> float:
    """The unit of errors: the standard deviation of a context; of a constant one its absolute value, or 1 where that is 0 or unknown.

    >>> scale_of(np.array([1.0, 3.0])), scale_of(np.array([-5.0, -5.0, np.nan])), scale_of(np.zeros(3))
    (1.0, 5.0, 1.0)
    """
    known = np.asarray(context, np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return 1.0
    spread, level = float(known.std()), abs(float(known.mean()))
    return spread if spread > 1e-7 * level else level or 1.0


def _errors(answer: F64, label: F64, context: F64) -> F64:
    """[min(K, H)] what an answer is off by, in units of the context's scale; NaN where there is no label."""
    count = min(len(answer), len(label))
    with np.errstate(over="ignore"):
        error = (answer[:count] - label[:count]) / scale_of(context)
    return np.clip(error, -FAR, FAR)


def _mean_square(values: F64) -> float:
    """Over the values that are there; 0 where there are none."""
    known = values[np.isfinite(values)]
    return float(np.mean(known**2)) if len(known) else 0.0


def _bounded(answer: F64, label: F64, context: F64, season: int, tolerance: int) -> dict[str, float]:
    """Terms from 0 to 0.1, 1, 0.2, 0.2 (no season: 0), 0.4. Steps that are missing earn nothing; more than H cost as many too few do."""
    error = _errors(answer, label, context)
    known = np.isfinite(label)
    share = float(np.isfinite(error).sum() / known.sum())  # of the steps that have a label, those that are answered
    trend, seasonal = decompose(error, season)
    given = np.full(len(label), np.nan)
    given[: len(error)] = answer[: len(error)]
    given[~known] = np.nan  # no extremum where there can be none in the label
    points = 0.0
    for found, wanted in zip(extrema(given), extrema(label), strict=True):
        both = len(found) + len(wanted)
        points += 0.2 * (2 * matches(found, wanted, tolerance) / both if both else share)
    return {
        "length": 0.1 * min(len(answer) / len(label), len(label) / len(answer)),
        "mse": share * gamma_mse(_mean_square(error)),
        "seasonal": COMPONENT * share * gamma_mse(_mean_square(seasonal)) if season > 1 else 0.0,
        "trend": COMPONENT * share * gamma_mse(_mean_square(trend)),
        "change_points": points,
    }


def _literal(answer: F64, label: F64, context: F64, season: int, tolerance: int) -> dict[str, float]:
    """As printed: errors over the steps that are answered, those of season and trend added, change points by what is found alone."""
    error = _errors(answer, label, context)
    trend, seasonal = decompose(error, season)
    points = 0.0
    for found, wanted in zip(extrema(answer[: len(label)]), extrema(label), strict=True):
        # 0/0 is not said: full credit where the answer has none either.
        points += 0.2 * (matches(found, wanted, tolerance) / len(wanted) if len(wanted) else float(not len(found)))
    return {
        "length": gamma_length(len(answer), len(label)),
        "mse": gamma_mse(_mean_square(error)),
        "seasonal": _mean_square(seasonal) if season > 1 else 0.0,
        "trend": _mean_square(trend),
        "change_points": points,
    }


def _released(answer: F64, label: F64, context: F64, season: int, tolerance: int) -> dict[str, float]:
    """As released (docs/time-r1-training.md). Neither context nor season nor a tolerance is looked at; missing labels are masked out."""
    del context, season, tolerance
    horizon = len(label)
    found, parts = 0.0, {"mse": 0.0, "seasonal": 0.0, "trend": 0.0}
    if len(answer) >= horizon:
        centre = float(answer.mean())
        with np.errstate(over="ignore"):
            width = max(float(np.abs(answer - centre).max()), 1e-8)
            error = np.clip((answer[:horizon] - label) / width, -FAR, FAR)
        trend, rest = released_parts(error)
        parts = {
            "mse": 0.6 * gamma_mse(_mean_square(error), 2.0),
            "seasonal": 0.05 * gamma_mse(_mean_square(rest), 2.0),
            "trend": 0.15 * gamma_mse(_mean_square(trend), 2.0),
        }
    if min(len(answer), horizon) >= 3:  # with less it fails
        for given, wanted in zip(released_extrema(answer), released_extrema(label), strict=True):
            found += 0.1 * len(np.intersect1d(given, wanted)) / max(len(wanted), 1)
    return {"length": gamma_length(len(answer), horizon), **parts, "change_points": found}
