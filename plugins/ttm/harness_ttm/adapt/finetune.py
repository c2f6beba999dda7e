"""Fine-tuning on the training part of a task: a new network, and a record of how it came about.

Axes: n windows, S series.

- Windows are cut at random origins, each series with equal chance, from the training contexts alone. They reach back as far as the windows
  that will be forecast (`Batch.context_limit`). The newest steps of each series are held out by `harness.holdout`, and no training window
  has a label there.
- Of a short horizon more windows are held out: by 38 windows of 12 steps, a gain of 9 % in quantile loss had a standard error of 8 %, and
  nothing that was learnt from glucose was kept (docs/log.md).
- The weights with the best loss on what is held out are kept. If their gain over the network that the training started from does not pass
  `harness.holdout.Gate`, that network is returned as it was, and the notes say so: fine-tuning costs time then, and no accuracy.
- "full" starts from random weights, which are then the base; the best weights are returned however they compare with the shipped ones.
- A budget in steps gives the same bits again, on one thread as all training here; one in seconds does not, and the notes say so.

The network that is given is not changed, and torch's global generator is as it was before.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field

import torch
from torch import nn

from harness import Batch, Unsupported
from harness.budget import parse_budget
from harness.threads import one_thread
from harness_ttm.adapt.lora import layers, merge
from harness_ttm.adapt.parts import choose
from harness_ttm.adapt.problem import problem_of
from harness_ttm.adapt.rate import LearningRate
from harness_ttm.adapt.run import DEFAULT_STEPS, Run, Spending, reseed
from harness_ttm.adapt.series import Series
from harness_ttm.adapt.settings import Settings
from harness_ttm.seasons import hints_of

__all__ = ["Finetuned", "finetune"]

Notes = dict[str, float | str]


@dataclass
class Finetuned:
    """What `finetune` returns."""

    model: nn.Module  # a plain network, low-rank factors merged
    notes: Notes
    curve: list[dict[str, float]] = field(default_factory=list)  # step, loss, validation
    search: LearningRate | None = None  # where the rate was looked for
    adapter: nn.Module | None = None  # with its factors unmerged, for `lora.save`; None for other parts, or where the base was kept


@one_thread()
def finetune(model: nn.Module, train: Batch, budget: str, seed: int, settings: Settings | None = None) -> Finetuned:
    """Fine-tune a copy of a network.

    Args:
        model: a `SeasonTTM`, or a `TTM` of one channel. It is left as it is.
        train: each series up to its first cutoff.
        budget: "200" or "200steps"; or "30s", "2m"; "" is 200 steps.
        seed: of all that is drawn.
        settings: None are the defaults of `Settings`.

    Raises:
        UsageError: a budget that makes no sense; a model that is neither network.
        Unsupported: mode full, and no series is long enough to learn from, or nothing was learnt.
    """
    how = settings or Settings()
    spending = Spending(parse_budget(budget))
    problem = problem_of(model, train.horizon, train.freq)
    series = Series.of(train, problem, how.validate, how.judged(problem.horizon))
    notes: Notes = {"mode": how.mode, "part": str(how.chosen), "budget": budget or f"{DEFAULT_STEPS}steps"}
    if not spending.limit.reproducible:
        notes["reproducible"] = "no: the budget is a time"
    if not len(series.begin):
        why = "no series is long enough to learn from"
        if how.fresh:
            raise Unsupported(f"{why}, and random weights forecast nothing")
        return _untrained(model, notes, why, spending)
    device = next(model.parameters()).device
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        reseed(device, seed, 0)
        tuned = type(model)(model.config).to(device) if how.fresh else copy.deepcopy(model)
        run = Run(tuned, problem, series, hints_of(train.freq, train.season_length), seed, how)
        if how.validate:
            run.hold_out()
        if run.held and not run.gate.windows:
            if how.fresh:
                raise Unsupported(
                    "no series has an observed value in its newest horizon to judge a training by; random weights forecast nothing"
                )
            return _untrained(model, notes, "no held-out window has a label", spending)
        choose(tuned, how.chosen)
        wanted = how.rate(getattr(model, "rate", None))
        search = run.search(spending) if wanted == "auto" else None
        rate = search.rate if search else float(wanted)
        run.train(rate, spending)
    if how.fresh and run.held and not run.best_step:
        raise Unsupported(
            f"no step of the {run.steps} was better than random weights, which forecast nothing; give it more: --budget 500steps"
        )
    return _trained(run, model, {**notes, "learning rate": rate, **run.facts()}, search, spending)


def _untrained(model: nn.Module, notes: Notes, why: str, spending: Spending) -> Finetuned:
    """The network as it was."""
    facts: Notes = {"kept": "base", "why": why, "steps": 0, "seconds": round(spending.seconds, 3)}
    return Finetuned(copy.deepcopy(model), notes | facts)


def _trained(run: Run, model: nn.Module, notes: Notes, search: LearningRate | None, spending: Spending) -> Finetuned:
    """What a run made of a network, or that network where it is kept."""
    tuned = copy.deepcopy(model) if notes["kept"] == "base" else run.model
    adapter = copy.deepcopy(tuned) if layers(tuned) else None
    notes["seconds"] = round(spending.seconds, 3)
    return Finetuned(_plain(tuned, model), notes, run.curve, search, adapter)


def _plain(tuned: nn.Module, model: nn.Module) -> nn.Module:
    """A tuned network, in place, as the one it came from: factors merged, in evaluation mode, the same parameters to be trained."""
    merge(tuned).eval()
    wanted = {name: p.requires_grad for name, p in model.named_parameters()}
    for name, parameter in tuned.named_parameters():
        parameter.requires_grad_(wanted[name])
    return tuned
