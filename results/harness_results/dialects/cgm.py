"""Dialect `cgm`: errors of glucose forecasts per patient, then the mean over patients; error grids; events; nights as episodes.

mg/dL throughout. f is the median forecast, y a label, a patient what the suite says an item is part of (`SeriesSet.groups`), else the item.
Labels that are missing count nowhere; `masked` is their share. The definitions are in `harness_results.glucose`; which points they run over:

* RMSE, MAE, MAPE, MARD, gRMSE, bias: all steps up to the horizon, for each patient, then the mean over patients; `RMSE at H` and the like
  the last step alone, as most papers report it. `RMSE sd` is over patients; `RMSE pooled` over all points together.
* Clarke[ega], Clarke[error-grids], Clarke[codina], Parkes[1], Parkes[2]: percent of the points at the last step that lie in each zone, the
  mean over patients. The three Clarke grids are all published as "Clarke", and differ at the edges.
* TIR, TBR, TAR error: |share of forecasts − share of labels| in 70–180, below 70, above 180 mg/dL, in percent points, at the last step.
* hypo (< 70), severe (< 54), hyper (> 180) of the last step: the probability is that of the forecast's distribution, a straight line between
  its quantiles, clamped to the outermost. AUROC, AUPRC and its base rate, Brier over all points; sensitivity and specificity of the alarm
  "at least as probable as not".
* WQL (GIFT-Eval's), pinball (mg/dL, the WQL of the nocturnal literature), coverage and width of the central 50 and 80 %, MACE: all steps.
* night: of tasks whose windows are nights. An episode is at least 15 minutes below 70; the night's score is its highest P(< 70 mg/dL).
  `night<3.9` is the label of the nocturnal literature: a minimum below 3.9 mmol/L. Lead time in minutes from midnight, of the episodes whose
  night has an alarm (a step at least as probable as not before it). NaN on other tasks.

Never compare numbers of nights with those of sliding windows, nor medians over windows (GlucoBench) with means over patients.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness import frequency
from harness.dialects import Block, Dialect, Forecasts
from harness.forecast import F64, I64
from harness_results.dialects.infos import CGM
from harness_results.glucose import alarms, decisions, distributions, error_grids, events, points, ranges
from harness_results.glucose.arrays import Sums, add, pooled

__all__ = ["DIALECT"]

GRIDS = {
    "Clarke[ega]": ("ABCDE", lambda r, p: error_grids.clarke(r, p, "ega")),
    "Clarke[error-grids]": ("ABCDE", lambda r, p: error_grids.clarke(r, p, "error-grids")),
    "Clarke[codina]": ("ABCDE", lambda r, p: error_grids.clarke(r, p, "codina")),
    "Parkes[1]": ("ABCDE", lambda r, p: error_grids.parkes(r, p, 1)),
    "Parkes[2]": ("ABCDE", lambda r, p: error_grids.parkes(r, p, 2)),
}
LIMITS = {"hypo": (70.0, False), "severe": (54.0, False), "hyper": (180.0, True)}  # (threshold, whether above it)
DECIMALS = 4
"""Of probabilities that are counted: keeps a million points small."""
EVEN = 0.5
MINUTES = {"S": 1 / 60, "T": 1.0, "H": 60.0, "D": 1440.0}


class _Tally:
    """Sums for each patient: [P] or [P, ...]."""

    def __init__(self, forecasts: Forecasts) -> None:
        self._of = forecasts
        data = forecasts.data
        item = np.asarray(forecasts.channel, np.int64) // forecasts.variates
        names = item if data is None or data.series.groups is None else _codes(data.series.groups)[item]
        there, self._patient = np.unique(names, return_inverse=True)
        self._patients = len(there)
        multiple, base = frequency.split(forecasts.freq)
        self._step = multiple * MINUTES.get(base, 1440.0 * 7)
        self._nights = data is not None and data.task.term.startswith("night")
        self._sums: dict[str, Sums] = {}
        self._counts: dict[str, decisions.ScoreCounts] = {}
        self._zones = {name: np.zeros((self._patients, 5)) for name in GRIDS}
        self._labels = 0
        self._night: list[tuple[F64, F64, F64]] = []  # labels [n, H], P(< 70) [n, H], P(< 70.2) [n, H]

    def add(self, block: Block) -> None:
        label, ahead = block.labels.astype(np.float64), block.median()  # [n, H]
        label[~np.isfinite(label)] = np.nan
        who, count = self._patient[block.rows], self._patients
        self._labels += label.size
        last, then = label[:, -1:], ahead[:, -1:]
        self._add("all", points.point_sums(label, ahead, who, count))
        self._add("last", points.point_sums(last, then, who, count))
        self._add("levels", distributions.quantile_sums(label, block.quantiles, block.levels, who, count))
        self._add("seen", ranges.range_sums(last, None, who, count))
        self._add("said", ranges.range_sums(then, last, who, count))
        for name, (_, zone) in GRIDS.items():
            self._zones[name] += error_grids.zone_counts(zone(last, then), who, count)
        for name, (limit, above) in LIMITS.items():
            self._event(name, block, last, limit, above)
        if self._nights:
            chances = [events.probability_below(block.quantiles, block.levels, limit) for limit in (70.0, events.NOCTURNAL)]
            self._night.append((label, chances[0], chances[1]))

    def _add(self, name: str, sums: Sums) -> None:
        self._sums[name] = add(self._sums.get(name), sums)

    def _event(self, name: str, block: Block, last: F64, limit: float, above: bool) -> None:
        chance = (events.probability_above if above else events.probability_below)(block.quantiles[:, :, -1:], block.levels, limit)
        happened = (events.above if above else events.below)(last, limit)
        found = decisions.score_counts(happened, chance, DECIMALS)
        self._counts[name] = decisions.merge(self._counts[name], found) if name in self._counts else found
        self._add(name, decisions.brier_sums(happened, chance))

    def metrics(self) -> dict[str, float]:
        if not self._sums:
            return dict.fromkeys(CGM.metrics, np.nan) | {"patients": 0.0, "points": 0.0}
        found: dict[str, float] = {}
        for name, end in (("all", ""), ("last", " at H")):
            scores = points.point_scores(self._sums[name])
            found |= {f"{metric}{end}": _mean(values) for metric, values in scores.items() if metric != "n"}
            found |= {f"RMSE pooled{end}": float(points.rmse(pooled(self._sums[name]))[0])}
        each = points.rmse(self._sums["all"])
        each = each[np.isfinite(each)]
        found["RMSE sd"] = float(each.std(ddof=1)) if len(each) > 1 else np.nan
        for name, (letters, _) in GRIDS.items():
            shares = error_grids.zone_shares(self._zones[name])
            found |= {f"{name} {letter}": _mean(shares[:, k]) for k, letter in enumerate(letters)}
        found |= self._ranges() | self._events() | self._levels() | self._of_nights()
        counted = float(self._sums["all"]["n"].sum())
        there = (self._sums["all"]["n"] > 0).sum()
        return found | {"masked": 1 - counted / self._labels, "patients": float(there), "points": counted}

    def _ranges(self) -> dict[str, float]:
        seen, said = (ranges.range_scores(self._sums[name]) for name in ("seen", "said"))
        parts = {"TIR": ("TIR",), "TBR": ("TBR1", "TBR2"), "TAR": ("TAR1", "TAR2")}
        return {f"{name} error": _mean(np.abs(sum(said[k] - seen[k] for k in keys))) for name, keys in parts.items()}

    def _events(self) -> dict[str, float]:
        found = {}
        for name, counts in self._counts.items():
            told = decisions.discrimination(counts) | decisions.rates(decisions.confusion(counts, EVEN))
            told["Brier"] = float(decisions.brier(pooled(self._sums[name]))[0])
            found |= {f"{name} {m}": told[m] for m in ("AUROC", "AUPRC", "base rate", "sensitivity", "specificity", "Brier")}
        return found

    def _levels(self) -> dict[str, float]:
        scores = distributions.quantile_scores(self._sums["levels"], self._of.levels)
        return {name: _mean(values) for name, values in scores.items() if name != "n"}

    def _of_nights(self) -> dict[str, float]:
        found = dict.fromkeys([name for name in CGM.metrics if name.startswith("night")], np.nan)
        if not self._night:
            return found
        label, chance, below = (np.concatenate(parts) for parts in zip(*self._night, strict=True))
        score = {
            "night": (events.episode_below(label, 70.0, self._step), events.night_score(chance)),
            "night<3.9": (events.minimum_below(label), events.night_score(below)),
        }
        for name, (happened, value) in score.items():
            counts = decisions.score_counts(happened, value, DECIMALS)
            told = decisions.discrimination(counts) | decisions.rates(decisions.confusion(counts, EVEN))
            found |= {f"{name} {m}": told[m] for m in ("AUROC", "AUPRC", "base rate")}
            if name == "night":
                found |= {f"night {m}": told[m] for m in ("sensitivity", "specificity")}
        inside = events.in_episode(label, 70.0, self._step)
        alarm = np.zeros(chance.shape, np.bool_)
        alarm[:, 0] = (chance >= EVEN).any(axis=1)  # one decision a night, at its begin
        told = alarms.alarm_scores(alarm, inside, chance.shape[1], self._step)
        return found | {"night lead time": told["lead time"], "night false alarms": told["false alarms per night"]}


def _codes(groups: Any) -> I64:
    """Which group an item is of, as a number [items]."""
    column = groups.combine_chunks() if hasattr(groups, "combine_chunks") else groups
    return np.asarray(column.dictionary_encode().indices.to_numpy(zero_copy_only=False), np.int64)


def _mean(values: F64) -> float:
    """Over the patients that have a score."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


DIALECT = Dialect(CGM, _Tally)
