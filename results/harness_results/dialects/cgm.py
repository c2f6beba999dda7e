"""Dialect `cgm`: errors of glucose forecasts per patient, then the mean over patients; error grids; events; nights as episodes.

mg/dL throughout. f is the median forecast, y a label, a patient what the suite says an item is part of (`SeriesSet.groups`), else the item.
Labels that are missing count nowhere; `masked` is their share. A task is of glucose where its own dialect is `cgm`; others are refused.
The definitions are in `harness_results.glucose`; over which points:

* RMSE, MAE, MAPE, MARD, gRMSE, bias: all steps up to the horizon, for each patient, then the mean over patients; `RMSE at H` and the like
  the last step alone, as most papers report it. `RMSE sd` is over patients, `RMSE low` and `RMSE high` the 95 % interval of their mean by a
  bootstrap over patients; `RMSE pooled` is over all points together.
* Clarke[ega], Clarke[error-grids], Clarke[codina], Parkes[1], Parkes[2]: percent of the points at the last step that lie in each zone, the
  mean over patients. The three Clarke grids are all published as "Clarke", and differ at the edges.
* TIR, TBR, TAR error: |share of forecasts − share of labels| in 70–180, below 70, above 180 mg/dL, in percent points, at the last step.
* hypo (< 70), severe (< 54), hyper (> 180) of the last step: the probability is that of the forecast's distribution, straight lines between
  its quantiles, clamped to the outermost, not rounded. AUROC, AUPRC and its base rate, Brier over all points; sensitivity and specificity
  of the alarm "at least as probable as not". Over all patients' points together, since few patients have enough events.
* detected, lead time, false alarms of hypo, severe, hyper: of tasks whose windows slide. An episode begins with 15 minutes of such readings
  and lasts until 15 minutes without one, in range or missing (`harness_results.glucose.events.in_episode`); an alarm is a forecast with a
  step that is at least as probable as not. Share of episodes with an alarm in the H steps before them or as they begin, the median of the
  minutes between, false alarms per day (`harness_results.glucose.alarms.watch`), a window standing for the time to the next one. NaN on
  other tasks.
* WQL (GIFT-Eval's), pinball (mg/dL, the WQL of the nocturnal literature), coverage and width of the central 50 and 80 %, MACE: all steps.
* night: of tasks whose windows are nights, with such an episode of glucose below 70 (`night hyper`: above 180). The night's score is its
  highest P(< 70 mg/dL), its alarm is raised at midnight if a step is at least as probable as not. Lead time: the median of the minutes from
  midnight to the first episode, of nights with an alarm and an episode, one number a night. `night<3.9` is the label of the nocturnal
  literature, a minimum below 3.9 mmol/L. NaN on other tasks.

Never compare numbers of nights with those of sliding windows, nor medians over windows (GlucoBench) with means over patients. A board whose
tasks mix such is told so.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from harness import frequency
from harness.dialects import Block, Board, Dialect, Finding, Forecasts
from harness.errors import Unsupported
from harness.forecast import F64
from harness_results.dialects.infos import CGM
from harness_results.dialects.spacing import spacing
from harness_results.glucose import alarms, decisions, distributions, error_grids, events, patients, picture, points, ranges, regions
from harness_results.glucose.arrays import Sums, add, pooled

__all__ = ["DIALECT"]

LIMITS = {"hypo": (events.HYPO[0], False), "severe": (events.HYPO[1], False), "hyper": (events.HYPER, True)}
"""{event: (threshold, whether above it)}."""
DECIMALS = 12
"""Of probabilities: takes away the last bits, so that what is even is even on every machine."""
EVEN = 0.5
RATES = ("AUROC", "AUPRC", "base rate", "sensitivity", "specificity")
DAY = 1440.0
MINUTES = {"S": 1 / 60, "T": 1.0, "H": 60.0, "D": 1440.0}
"""Of a step, by the base of a frequency; of others the dialect knows no episodes."""

WHAT = re.compile(r"\d+min|(night|meal)-\d+h")
KINDS = {"nights": "night", "hours after meals": "meal"}
"""Of windows, by how the second part of a task's name begins; others slide."""


class _Tally:
    """Sums for each patient: [P] or [P, ...].

    Raises:
        Unsupported: the task is not declared to be of glucose, or its step is no number of minutes.
    """

    def __init__(self, forecasts: Forecasts) -> None:
        self._of = forecasts
        data = forecasts.data
        if data is not None and data.task.dialect != CGM.name:  # limits and zones of mg/dL would score anything, and mean nothing
            raise Unsupported(
                f"the dialect 'cgm' scores glucose in mg/dL, and nothing says that {data.task.suite}/{data.task.name} is of glucose: it is "
                f"scored in '{data.task.dialect}'. If it is, write into its task in the suite file: dialect: cgm"
            )
        self._patient = picture.patients(forecasts)
        self._patients = int(self._patient.max(initial=-1)) + 1
        multiple, base = frequency.split(forecasts.freq)
        if base not in MINUTES:
            raise Unsupported(f"the dialect 'cgm' got steps of {forecasts.freq}; wanted seconds, minutes, hours or days, such as 5T")
        self._step = multiple * MINUTES[base]
        term = "" if data is None else data.task.term
        self._nights, self._slides = term.startswith("night"), not term.startswith(("night", "meal"))
        self._sums: dict[str, Sums] = {}
        self._told = {name: np.full((2, len(forecasts)), np.nan) for name in LIMITS}  # [2, N] whether it happened, its probability
        self._zones = {name: np.zeros((self._patients, 5)) for name in regions.GRIDS}
        self._labels = 0
        self._night: list[tuple[F64, F64, F64, F64]] = []  # [n, H] each: labels, P(< 70), P(> 180), P(< 70.2)
        self._alarms = {name: np.zeros(len(forecasts), np.bool_) for name in LIMITS}  # [N] whether a step is more probable than not

    def add(self, block: Block) -> None:
        if block.probability is not None and np.isnan(block.quantiles).all():
            raise Unsupported("the dialect 'cgm' scores values, and these forecasts are probabilities of an event alone")
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
        for name, grid in regions.GRIDS.items():
            self._zones[name] += error_grids.zone_counts(grid.zone(last, then), who, count)
        for name in LIMITS:
            self._event(name, block, last)
        if self._nights:
            nocturnal = np.round(events.probability_below(block.quantiles, block.levels, events.NOCTURNAL), DECIMALS)
            self._night.append((label, _chance(block, "hypo"), _chance(block, "hyper"), nocturnal))

    def _add(self, name: str, sums: Sums) -> None:
        self._sums[name] = add(self._sums.get(name), sums)

    def _event(self, name: str, block: Block, last: F64) -> None:
        limit, above = LIMITS[name]
        chance = _chance(block, name)  # [n, H]
        happened = (events.above if above else events.below)(last, limit)
        self._told[name][:, block.rows] = happened[:, 0], chance[:, -1]
        self._add(name, decisions.brier_sums(happened, chance[:, -1:]))
        self._alarms[name][block.rows] = (chance >= EVEN).any(axis=1)

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
        found["RMSE low"], found["RMSE high"] = patients.bootstrap(each)
        for name in regions.GRIDS:
            shares = error_grids.zone_shares(self._zones[name])
            found |= {f"{name} {letter}": _mean(shares[:, k]) for k, letter in enumerate(error_grids.ZONES)}
        found |= self._ranges() | self._events() | self._levels() | self._of_nights()
        counted = float(self._sums["all"]["n"].sum())
        there = (self._sums["all"]["n"] > 0).sum()
        return found | {"masked": 1 - counted / self._labels, "patients": float(there), "points": counted}

    def _ranges(self) -> dict[str, float]:
        seen, said = (ranges.range_scores(self._sums[name]) for name in ("seen", "said"))
        parts = {"TIR": ("TIR",), "TBR": ("TBR1", "TBR2"), "TAR": ("TAR1", "TAR2")}
        return {f"{name} error": _mean(np.abs(sum(said[k] - seen[k] for k in keys))) for name, keys in parts.items()}

    def _events(self) -> dict[str, float]:
        found: dict[str, float] = {}
        for name, (happened, chance) in self._told.items():
            counts = decisions.score_counts(happened, chance)
            told = decisions.discrimination(counts) | decisions.rates(decisions.confusion(counts, EVEN))
            told["Brier"] = float(decisions.brier(pooled(self._sums[name]))[0])
            found |= {f"{name} {m}": told[m] for m in (*RATES, "Brier")} | self._in_time(name)
        return found

    def _in_time(self, name: str) -> dict[str, float]:
        """How early the alarms of windows that slide over their series come, and how many are false."""
        if not self._slides:
            return {f"{name} {m}": np.nan for m in ("detected", "lead time", "false alarms")}
        (limit, above), of = LIMITS[name], self._of
        leads, false = [np.empty(0)], 0
        order = np.argsort(of.channel, kind="stable")
        there, first = np.unique(np.asarray(of.channel)[order], return_index=True)
        for channel, rows in zip(there.tolist(), np.split(order, first[1:]), strict=True):
            inside = events.in_episode(of.series[channel][None], limit, self._step, above=above)[0]
            alarm, decided = np.zeros(len(inside), np.bool_), np.zeros(len(inside), np.bool_)
            alarm[of.cut[rows] - 1], decided[of.cut[rows] - 1] = self._alarms[name][rows], True
            lead, wrong = alarms.watch(alarm, decided, inside, of.horizon)
            leads, false = [*leads, lead], false + wrong
        lead = np.concatenate(leads)
        known = lead[~np.isnan(lead)]
        return {
            f"{name} detected": len(known) / len(lead) if len(lead) else np.nan,
            f"{name} lead time": float(np.median(known)) * self._step if len(known) else np.nan,
            f"{name} false alarms": false / (len(of) * spacing(of) * self._step / DAY),
        }

    def _levels(self) -> dict[str, float]:
        scores = distributions.quantile_scores(self._sums["levels"], self._of.levels)
        return {name: _mean(values) for name, values in scores.items() if name != "n"}

    def _of_nights(self) -> dict[str, float]:
        found = dict.fromkeys([name for name in CGM.metrics if name.startswith("night")], np.nan)
        if not self._night:
            return found
        label, low, high, nocturnal = (np.concatenate(parts) for parts in zip(*self._night, strict=True))
        found |= self._episodes("night", label, low, *LIMITS["hypo"]) | self._episodes("night hyper", label, high, *LIMITS["hyper"])
        counts = decisions.score_counts(events.minimum_below(label), events.night_score(nocturnal))
        return found | {f"night<3.9 {m}": value for m, value in decisions.discrimination(counts).items() if m in RATES}

    def _episodes(self, name: str, label: F64, chance: F64, limit: float, above: bool) -> dict[str, float]:
        """Nights [n, H] with an episode and without, told apart by the highest chance of their steps: one decision a night."""
        happened = (events.episode_above if above else events.episode_below)(label, limit, self._step)
        counts = decisions.score_counts(happened, events.night_score(chance))
        told = decisions.discrimination(counts) | decisions.rates(decisions.confusion(counts, EVEN))
        inside = events.in_episode(label, limit, self._step, above=above)
        early = alarms.night_scores((chance >= EVEN).any(axis=1), inside, self._step)
        return {f"{name} {m}": told[m] for m in RATES} | {
            f"{name} lead time": early["lead time"],
            f"{name} false alarms": early["false alarms per night"],
        }


def _chance(block: Block, name: str) -> F64:
    """The probability of an event at each step [n, H]."""
    limit, above = LIMITS[name]
    chance = (events.probability_above if above else events.probability_below)(block.quantiles, block.levels, limit)
    return np.round(chance, DECIMALS)


def _mean(values: F64) -> float:
    """Over the patients that have a score."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else np.nan


def _aggregate(board: Board) -> tuple[list[dict[str, Any]], list[Finding]]:
    """No numbers of its own; a sentence where tasks of the suite `cgm`, SET/WHAT/HOLD-OUT, have little but the unit in common."""
    scored = np.any([np.isfinite(values).any(axis=0) for values in board.scores.values()], axis=0)
    parts = [task.rsplit("/", 2)[-2:] for task, there in zip(board.tasks, scored.tolist(), strict=True) if there]
    parts = [part for part in parts if len(part) == 2 and WHAT.fullmatch(part[0])]
    whats, splits = ({part[k]: None for part in parts} for k in (0, 1))
    kinds = {name: [w for w in whats if w.startswith(begin)] for name, begin in KINDS.items()}
    kinds["sliding windows"] = [w for w in whats if not w.startswith(tuple(KINDS.values()))]
    mixed, choose = [], []
    if len(whats) > 1:
        mixed += [f"{name} ({', '.join(some)})" for name, some in kinds.items() if some]
        choose += [f"term = '{'60min' if '60min' in whats else next(iter(whats))}'"]
    if len(splits) > 1:
        mixed += [f"the hold-outs {', '.join(splits)}, which have windows in common"]
        choose += [f"name LIKE '%/{'both' if 'both' in splits else next(iter(splits))}'"]
    if not mixed:
        return [], []
    only = f'--where "{" AND ".join(choose)}"'
    said = f"Means over the tasks mix {' and '.join(mixed)}: they are no number of any of these. Read one kind by itself, such as {only}."
    return [], [Finding(said)]


DIALECT = Dialect(CGM, _Tally, _aggregate, relative=False, draw=picture.draw)
