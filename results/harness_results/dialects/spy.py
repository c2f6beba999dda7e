"""Dialect `spy`: the probabilities of an event on daily prices, against the base rate of what each fold learnt from.

The event and its threshold are the task's (`Task.event`); a forecast of values becomes a probability by the one rule of `harness.events`.
Windows are in order of time, and belong to folds. Of several series (of a suite of one's own), windows of one time are one observation to
the block bootstrap and to Diebold and Mariano's test; without enough times in common neither has an answer, and there is no verdict.
Definitions are in `harness_results.direction`:

* Brier, log-loss (clipped at 1e-6), ECE (ten bins of equal mass); `Brier skill` is 1 − Brier / that of the folds' trained base rates.
* AUC counts all pairs of windows, with intervals by a stationary block bootstrap and by DeLong. `AUC within folds` counts pairs of windows
  of the same fold alone, where what is learnt anew each year and ranks years has 0.5. It is no measure of skill: of a score that follows
  the price, such as momentum, it is below 0.5 on a random walk.
* precision, recall, F1, balanced accuracy, MCC of the call "more probable than not"; `frozen`: at the threshold that was best in the folds
  before. `PT p`: Pesaran and Timmermann's test of these calls. `DM p`: Diebold and Mariano's of the log-losses against the base rate's.
* spread: 95 % less 5 % quantile of the probabilities, each less its fold's mean, as what is learnt anew each year moves with the years;
  `collapsed` is 1 where it or their standard deviation is below 0.001: the model says one thing whatever it is shown.
* of several series DeLong's interval and PT's p, which know no times, are NaN.
* trading, of events of the close alone: in the market where the event is more probable than not, else in cash; 2 bp a side; windows that
  do not overlap; a year's numbers; Sharpe ratio with Lo's interval. A year has 252 steps of a task of days, 52 of weeks, 12 of months, 4 of
  quarters; of shorter steps Sharpe ratio and turnover are NaN, as hours of trade differ. `hold` is the same for staying in the market. NaN
  for `touch`, which says nothing of the close, for several series together, and where the values are not known to be prices: they are in
  the suite `spy`, and elsewhere where an event is relative to the last value by a ratio and no value falls by more than all of it.

What is more than chance is said of all models together, in a sentence for each task (`harness score --dialect spy`, and below the
leaderboard): both the AUC and the log-loss of each model are tested, with Holm's correction over all of them. It says of which models the
probabilities have collapsed, of touch and threshold that they are volatility-like, and of an AUC above .95 for direction to check for a
leak.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np

from harness import events
from harness.dialects import Block, Board, Dialect, Finding, Forecasts
from harness.errors import Unsupported
from harness.forecast import F64, I64
from harness.frequency import shift, split
from harness.statistics import lags_for
from harness.types import Task
from harness_results.dialects.infos import SPY
from harness_results.dialects.spacing import spacing
from harness_results.direction import calibration, decisions, discrimination, pictures, trading, verdict
from harness_results.direction.resampling import Interval
from harness_results.direction.sharpe import SESSIONS

__all__ = ["DIALECT"]

EVEN = 0.5
OF_PRICES = "spy/"
"""How the protocols of the suite begin whose series without a ratio are returns, or logarithms of prices."""
A_YEAR = {"B": float(SESSIONS), "D": float(SESSIONS), "W": 52.0, "M": 12.0, "Q": 4.0, "A": 1.0}
"""Steps of a year, by the base of a frequency: days are sessions."""
VOLATILITY_LIKE = ("touch", "up-threshold")
"""Questions that a measure of how much prices move answers."""
DIRECTION = "direction"
TOO_GOOD = 0.95
"""An AUC that nobody has for the direction of prices: .54 would be much."""


class _Tally:
    """What was said and what happened, window by window: [N]."""

    def __init__(self, forecasts: Forecasts) -> None:
        data = forecasts.data
        if data is None or data.task.event is None:
            raise Unsupported("the dialect 'spy' scores probabilities of events, and this task asks for none")
        self._data, self._event, self._of = data, data.task.event, forecasts
        n = len(forecasts)
        self._chance, self._happened, self._move = np.full(n, np.nan), np.full(n, np.nan), np.full(n, np.nan)
        self._limit = _limits(forecasts, self._event)

    def add(self, block: Block) -> None:
        limit, rows = self._limit[block.rows], block.rows
        if block.probability is None:
            raise Unsupported("these forecasts were kept without the probability of the event; make them anew: --rerun all")
        self._chance[rows] = block.probability
        self._happened[rows] = events.happened(self._event, block.labels, limit)
        self._move[rows] = self._moves(block.labels[:, self._event.step - 1].astype(np.float64), limit)

    def _moves(self, label: F64, limit: F64) -> F64:
        """The simple return of the close over the event's steps, NaN where the series does not tell."""
        event = self._event
        if event.relative == "ratio":
            return label * (1 + event.above) / limit - 1
        if event.name == "touch" or not self._data.task.protocol.startswith(OF_PRICES):
            return np.full(len(label), np.nan)
        return np.expm1(label - (limit - event.above)) if event.relative == "difference" else label

    def metrics(self) -> dict[str, float]:
        time = _times(self._of)
        order = np.argsort(self._of.cut if time is None else time, kind="stable")
        p, y, move = self._chance[order], self._happened[order], self._move[order]
        fold = np.zeros(len(p), np.int32) if self._data.fold is None else self._data.fold[order]
        base = self._base_rates(fold)
        apart = spacing(self._of)
        h = -(-span(self._data.task) // apart)  # windows that one question reaches over
        if time is None:
            when = np.arange(len(p))
            (told,) = verdict.evidence(["model"], p[None], y, base, horizon=h, fold=fold)
            pooled = discrimination.delong_interval(p, y)
            timed = decisions.pesaran_timmermann(p > EVEN, y, lags_for(len(y), h) if h > 1 else 0).p
        else:
            stamps, when = np.unique(time[order], return_inverse=True)
            h = _reach(stamps, self._of, span(self._data.task))
            (told,) = verdict.evidence(["model"], p[None], y, base, horizon=h, fold=fold, time=when)
            pooled, timed = Interval(told.auc.value, np.nan, np.nan), np.nan
            if not verdict.shared(self._of.channel[order][np.isfinite(y)], when[np.isfinite(y)]):
                told = replace(told, auc=pooled, p_auc=np.nan, p_loss=np.nan)
        within, _ = discrimination.auroc_by_fold(p, y, fold)
        ranked = discrimination.auprc(p, y)
        calls = decisions.decisions(p, y)
        frozen = decisions.decisions(p, y, decisions.frozen_thresholds(p, _known_in_time(y, fold, when, h), fold))
        shape = calibration.collapse(verdict.less_means(p, fold), y)
        found = {
            "Brier": calibration.brier(p, y),
            "log-loss": calibration.log_loss(p, y),
            "Brier skill": calibration.brier_skill(p, y, base),
            "AUC": told.auc.value,
            "AUC low": told.auc.low,
            "AUC high": told.auc.high,
            "AUC DeLong low": pooled.low,
            "AUC DeLong high": pooled.high,
            "AUC within folds": within,
            "AUPRC": ranked.value,
            "base rate": ranked.base_rate,
            "trained base rate": float(base.mean()) if len(base) else np.nan,
            "ECE": calibration.ece(p, y),
            "precision": calls.precision,
            "recall": calls.recall,
            "F1": calls.f1,
            "balanced accuracy": calls.balanced_accuracy,
            "MCC": calls.mcc,
            "balanced accuracy frozen": frozen.balanced_accuracy,
            "MCC frozen": frozen.mcc,
            "PT p": timed,
            "DM p": told.p_loss,
            "AUC p": told.p_auc,
            "loss against base rate": told.loss,
            "spread": shape.spread,
            "std": shape.std,
            "collapsed": float(shape.collapsed),
            "events": float(np.nansum(y)),
            "windows": float(np.isfinite(y).sum()),
        }
        return found | self._traded(p, move, h, steps_a_year(self._of.freq) / (h * apart))

    def _base_rates(self, fold: Any) -> F64:
        """Of each window, the share of events in what its fold learnt from, ½ where nothing was."""
        rates = []
        for part in self._data.training:
            known = [
                events.outcomes(self._event, self._of.series[c][a:b])
                for c, a, b in zip(part.channel.tolist(), part.begin.tolist(), part.end.tolist(), strict=True)
            ]
            every = np.concatenate(known) if known else np.empty(0)
            rates.append(float(np.nanmean(every)) if np.isfinite(every).any() else EVEN)
        return np.array(rates)[fold] if rates else np.full(len(fold), EVEN)

    def _traded(self, p: F64, move: F64, h: int, year: float) -> dict[str, float]:
        """Every h-th window, of which a year has so many, NaN = nobody knows."""
        names = ("net return", "Sharpe", "Sharpe low", "Sharpe high", "drawdown", "turnover", "exposure")
        lost = dict.fromkeys((*names, "hold net return", "hold Sharpe", "hold drawdown"), np.nan)
        known = move[~np.isnan(move)]
        if not len(known) or not (np.isfinite(known) & (known >= -1)).all() or len(np.unique(self._of.channel)) > 1:
            return lost
        chance, realised = trading.every(p, h), trading.every(move, h)
        mine = trading.account(trading.positions(chance), realised, per_year=year)
        held = trading.hold(realised, per_year=year)
        return {
            "net return": mine.net_return,
            "Sharpe": mine.sharpe.value,
            "Sharpe low": mine.sharpe.low,
            "Sharpe high": mine.sharpe.high,
            "drawdown": mine.max_drawdown,
            "turnover": mine.turnover,
            "exposure": mine.exposure,
            "hold net return": held.net_return,
            "hold Sharpe": held.sharpe.value,
            "hold drawdown": held.max_drawdown,
        }


def span(task: Task) -> int:
    """Sessions from the close that a question starts at to the one that it ends at: windows so near to each other overlap.

    What the suite `spy` says in the task's term, "direction/5d"; else the event's step, of which a lag is a part.
    """
    found = re.search(r"/(\d+)d$", task.term)
    return int(found[1]) if found else task.event.step if task.event else 1


def steps_a_year(freq: str) -> float:
    """How many steps of this frequency a year of trade has: 252 sessions, 52 weeks, 12 months, 4 quarters; NaN for what is less than a day.

    >>> steps_a_year("B"), steps_a_year("W-FRI"), steps_a_year("2D"), steps_a_year("H")
    (252.0, 52.0, 126.0, nan)
    """
    multiple, base = split(freq)
    return A_YEAR.get(base, np.nan) / multiple


def _times(forecasts: Forecasts) -> I64 | None:
    """When each window begins, int64 [N]: positions where all series share their times, else seconds; None of a single series."""
    data = forecasts.data
    if data is None or len(np.unique(forecasts.channel)) < 2:
        return None
    if data.series.times is not None:
        return forecasts.cut
    found: I64 = data.series.when(forecasts.channel // forecasts.variates, forecasts.cut).astype("datetime64[s]").astype(np.int64)
    return found


def _reach(times: I64, forecasts: Forecasts, steps: int) -> int:
    """How many of these times [T], rising, a question over so many steps from one of them reaches over at most, itself included."""
    if forecasts.data is not None and forecasts.data.series.times is not None:
        ends = times + steps
    else:
        ends = shift(times.astype("datetime64[s]"), forecasts.freq, np.full(len(times), steps, np.int64)).astype(np.int64)
    return int((np.searchsorted(times, ends) - np.arange(len(times))).max(initial=1))


def _known_in_time(y: F64, fold: Any, when: Any, h: int) -> F64:
    """Outcomes [N] without those of each fold's last h − 1 times [N], which are not known yet when the next one begins."""
    known = y.copy()
    if h > 1:
        for number in np.unique(fold):
            inside = np.flatnonzero(fold == number)
            known[inside[np.isin(when[inside], np.unique(when[inside])[1 - h :])]] = np.nan
    return known


def _limits(forecasts: Forecasts, event: Any) -> F64:
    from harness.batches import thresholds

    return thresholds(event, forecasts.series, forecasts.channel, forecasts.cut)


def _aggregate(board: Board) -> tuple[list[dict[str, Any]], list[Finding]]:
    """A sentence for each task: which models are more than the base rate."""
    findings = []
    for r, task in enumerate(board.tasks):
        found, flat, apart = [], [], True
        for m, model in enumerate(board.models):
            score = {name: float(values[m, r]) for name, values in board.scores.items()}
            if not np.isfinite(score["windows"]) or m == board.baseline:
                continue
            area = Interval(score["AUC"], score["AUC low"], score["AUC high"])
            counts = int(score["windows"]), int(score["events"])
            loss = score["loss against base rate"]
            found.append(verdict.Evidence(model, area, score["AUC p"], loss, score["DM p"], *counts))
            flat += [model] if score["collapsed"] == 1 else []
            apart &= bool(np.isnan([score[name] for name in ("AUC DeLong low", "AUC low", "AUC p", "DM p")]).all())
        if found:
            also = _also(task, flat, [each.model for each in found if each.auc.value > TOO_GOOD])
            text, short = (verdict.sentence(found, apart=apart, details=details) + also for details in (True, False))
            findings.append(Finding(text, task, short))
    alike = [_volatility_like(finding.task) for finding in findings]
    if 0 < sum(alike) < len(alike):
        kinds = f"Volatility-like tasks ({sum(alike)} of {len(alike)}) and the others say nothing of each other"
        said = f"{kinds}: read each kind by itself, not means over both (by domain)."
        findings.append(Finding(said))
    return [], findings


def _volatility_like(task: str) -> bool:
    return any(part in VOLATILITY_LIKE for part in task.split("/"))


def _also(task: str, flat: list[str], good: list[str]) -> str:
    """What else is to be said: which models have collapsed or are too good for direction, and what a task like this does not tell."""
    said = f" Collapsed, one probability whatever they are shown: {', '.join(flat)}." if flat else ""
    if good and DIRECTION in task.split("/"):
        said += f" AUC above {TOO_GOOD:g}: {', '.join(good)}. Nobody ranks direction so well; check for a leak"
        said += " (the suite spy[lag=1], docs/spy.md)."
    if _volatility_like(task):
        said += " Volatility-like: a measure of how much prices move answers this; nothing follows for direction."
    return said


DIALECT = Dialect(SPY, _Tally, _aggregate, relative=False, draw=pictures.draw)
