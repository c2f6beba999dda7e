"""Optimisers with groups of parameters: what decays, what learns faster or slower, what stays."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from harness import UsageError
from harness_ttm.train.recipe import Optimizer, Rule

__all__ = ["groups", "make_optimizer", "set_learning_rate"]


def groups(named: Iterable[tuple[str, nn.Parameter]], optimizer: Optimizer) -> list[dict[str, Any]]:
    """Parameters by weight decay and multiplier of the learning rate, in the order in which such a pair first occurs; decayed ones first.

    A frozen parameter is in no group and asks for no gradient.

    Raises:
        UsageError: a rule whose pattern matches no name, or nothing is left to train.
    """
    named = list(named)
    for rule in optimizer.rules:
        if not any(re.search(rule.match, name) for name, _ in named):
            some = ", ".join(name for name, _ in named[:3])
            raise UsageError(f"optimizer.rules: match {rule.match!r} is found in no parameter's name; the names are {some}, …")
    out: dict[tuple[float, float], list[nn.Parameter]] = {}
    for decayed in (True, False):
        for name, parameter in named:
            if (parameter.ndim > 1) != decayed or not parameter.requires_grad:
                continue
            rule = next((r for r in reversed(optimizer.rules) if re.search(r.match, name)), Rule(""))
            if rule.frozen:
                parameter.requires_grad_(False)
                continue
            decay = (optimizer.weight_decay if rule.weight_decay is None else rule.weight_decay) if decayed else 0.0
            out.setdefault((decay, rule.learning_rate), []).append(parameter)
    if not out:
        raise UsageError("optimizer.rules freeze every parameter; wanted some left to train")
    return [{"params": parameters, "weight_decay": decay, "multiplier": times} for (decay, times), parameters in out.items()]


def make_optimizer(model: nn.Module, optimizer: Optimizer) -> torch.optim.Optimizer:
    """The optimiser of a recipe over a network's parameters."""
    made = groups(model.named_parameters(), optimizer)
    if optimizer.name == "sgd":
        return torch.optim.SGD(made, lr=optimizer.learning_rate, momentum=optimizer.momentum)
    kind = torch.optim.AdamW if optimizer.name == "adamw" else torch.optim.Adam
    return kind(made, lr=optimizer.learning_rate, betas=optimizer.betas)


def set_learning_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give each group its multiple of a rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["multiplier"]
