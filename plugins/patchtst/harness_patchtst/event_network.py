"""The library's encoder with a head that gives the log-odds of an event: made, trained, kept. Imports torch and transformers.

Axes: N windows, T context, C channels, P patches, D model width, L levels. Each channel goes through the same encoder by itself; what comes
out is averaged over patches, and one linear layer reads all channels and the levels. Its weights begin as 0 and its intercept as the
log-odds of the base rate: before the first step the network says the base rate, and that is also what it says where the gate does not
open. The loss is the binary cross-entropy.
"""

from __future__ import annotations

import copy
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PatchTSTConfig, PatchTSTModel

from harness import UsageError
from harness.files import expanded
from harness.forecast import F32, F64, I64
from harness.holdout import Gate
from harness.mappings import read_object
from harness_patchtst.event_parameters import NAME, EventSettings
from harness_patchtst.event_windows import Seen
from harness_patchtst.forecaster import Fact
from harness_patchtst.network import EXTRA, ROWS, Scaled, seeded
from harness_patchtst.parameters import Shape
from harness_patchtst.training import DECAY, MEMORY, STEEPEST, Plan, follow, one_cycle

__all__ = ["EventNetwork", "build", "chances", "load", "save", "train"]

CHECKS, CHECK_EVERY = 15, 10
"""How often a training is judged by what is held out; one of a time, every so many steps."""
HEAD = 10.0
"""The head learns so many times as fast: its weights begin as 0 and are to reach about 1, and AdamW moves by the rate at a step."""


class EventNetwork(nn.Module):
    """Log-odds [N] of shapes [N, T, C] and levels [N, L].

    Args:
        config: of the encoder.
        levels: L.
    """

    def __init__(self, config: PatchTSTConfig, levels: int) -> None:
        super().__init__()
        config._attn_implementation = "eager"  # as `network` has it: the same bits twice, on a GPU too
        self.encoder = PatchTSTModel(config)
        self.encoder.scaler = Scaled()
        self.dropout = nn.Dropout(config.head_dropout)
        self.head = nn.Linear(config.num_input_channels * config.d_model + levels, 1)
        self.train(False)

    def forward(self, shapes: Tensor, levels: Tensor) -> Tensor:
        hidden = self.encoder(past_values=shapes).last_hidden_state  # [N, C, P, D]
        pooled = self.dropout(hidden.mean(dim=2).flatten(1))  # [N, C · D]
        odds: Tensor = self.head(torch.cat([pooled, levels], dim=1))[:, 0]
        return odds

    @property
    def device(self) -> torch.device:
        return self.head.weight.device


def build(shape: Shape, channels: int, rate: float, settings: EventSettings) -> EventNetwork:
    """A network with random weights that says `rate`; drawn from torch's global state."""
    config = PatchTSTConfig(
        num_input_channels=channels,
        context_length=shape.context,
        patch_length=shape.patch,
        patch_stride=shape.stride,
        d_model=settings.d_model,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        ffn_dim=2 * settings.d_model,
        norm_type="layernorm",
        path_dropout=settings.dropout,
        ff_dropout=settings.dropout,
        head_dropout=settings.dropout,
        scaling=None,
    )
    made = EventNetwork(config, channels)
    nn.init.zeros_(made.head.weight)
    nn.init.constant_(made.head.bias, math.log(rate / (1 - rate)))
    return made.to(settings.device)


@torch.no_grad()
def log_odds(network: EventNetwork, seen: Seen) -> F64:
    """Log-odds [N], a fixed number of rows at a time, so that they are the same bits in any batch."""
    network.train(False)
    found = np.empty(len(seen))
    for low in range(0, len(seen), ROWS):
        part = slice(low, min(low + ROWS, len(seen)))
        filled = []
        for values in (seen.shapes[part], seen.levels[part]):
            rows = np.zeros((ROWS, *values.shape[1:]), np.float32)
            rows[: len(values)] = values
            filled.append(torch.from_numpy(rows).to(network.device))
        found[part] = network(*filled).double().cpu().numpy()[: part.stop - low]
    return found


def chances(network: EventNetwork, seen: Seen) -> F64:
    """Probabilities [N]."""
    found: F64 = 1 / (1 + np.exp(-np.clip(log_odds(network, seen), -500, 500)))
    return found


def train(
    network: EventNetwork, learnt: Seen, outcome: F32, held: Seen, held_outcome: F64, groups: I64, plan: Plan, seed: int, gated: bool
) -> dict[str, Fact]:
    """Train a network in place on windows [N] with outcomes [N]; the best averages of its weights on held-out windows are kept.

    Where they do not pass `harness.holdout.Gate`, the network stays as it was and says the base rate. Dropout draws from torch's global
    state, the order of windows from the seed. Returns facts for the receipt.

    Args:
        groups: [W, 2] of the held-out windows, see `Gate`.
        gated: False keeps the best weights, whatever the gate says.
    """

    def losses(of: EventNetwork) -> F64:
        odds = log_odds(of, held)
        return np.logaddexp(0.0, odds) - held_outcome * odds

    rng, average = np.random.default_rng([seed, 2]), copy.deepcopy(network)
    base = {name: value.detach().clone() for name, value in network.state_dict().items()}
    gate = Gate(losses(average), groups)
    if gate.windows < 2:
        return {"steps": 0, "says": "base rate", **gate.verdict().notes}
    parts = [{"params": list(network.encoder.parameters()), "times": 1.0}, {"params": list(network.head.parameters()), "times": HEAD}]
    optimizer = torch.optim.AdamW(parts, lr=plan.rate, weight_decay=DECAY)
    every = CHECK_EVERY if plan.seconds is not None else max(1, plan.steps // CHECKS)
    begin, step, best_step, best, least, since, diverged = time.monotonic(), 0, 0, base, math.inf, 0, False
    order = np.zeros(0, np.int64)
    while True:
        progress = step / plan.steps if plan.seconds is None else (time.monotonic() - begin) / plan.seconds
        over = diverged or (progress >= 1 and step > 0)
        if step and not diverged and (over or step % every == 0):
            gate.look(losses(average))
            since += 1
            if gate.losses[-1] < least:
                least, best_step, since = gate.losses[-1], step, 0
                best = {name: value.detach().clone() for name, value in average.state_dict().items()}
            over = over or since >= plan.patience
        if over:
            break
        for group in optimizer.param_groups:
            group["lr"] = group["times"] * plan.rate * one_cycle(progress)
        if len(order) < min(plan.batch_size, len(learnt)):
            order = rng.permutation(len(learnt))  # each window once, then anew
        rows, order = order[: plan.batch_size], order[plan.batch_size :]
        shapes, levels, target = (torch.from_numpy(a[rows]).to(network.device) for a in (learnt.shapes, learnt.levels, outcome))
        network.train()
        loss = nn.functional.binary_cross_entropy_with_logits(network(shapes, levels), target)
        optimizer.zero_grad()
        loss.backward()
        diverged = not bool(torch.isfinite(nn.utils.clip_grad_norm_(network.parameters(), STEEPEST)))
        if not diverged:
            optimizer.step()
            step += 1
            follow(average, network, min(MEMORY, step / (step + 10)))
    verdict = gate.verdict()
    kept = verdict.kept or (not gated and best is not base)
    network.load_state_dict(best if kept else base)
    network.train(False)
    facts: dict[str, Fact] = {"steps": step, "epochs": round(step * plan.batch_size / len(learnt), 3), "best_step": best_step}
    facts |= {**verdict.notes, "says": "what was learnt" if kept else "base rate"}
    if kept and not verdict.kept:
        facts |= {"kept": "tuned", "why": f"gate=false; else the base rate: {verdict.notes.get('why')}"}
    if diverged:
        facts["diverged"] = f"after step {step}; the best weights before it were judged"
    return facts


def save(network: EventNetwork, extra: dict[str, Any], folder: Path) -> None:
    """Write config.json of the encoder, model.safetensors with the head in it, and harness.json."""
    folder.mkdir(parents=True, exist_ok=True)
    network.encoder.config.architectures = [NAME]
    network.encoder.config.save_pretrained(folder)
    state = {name: value.detach().contiguous().cpu() for name, value in network.state_dict().items()}
    save_file(state, folder / "model.safetensors", {"format": "pt"})
    (folder / EXTRA).write_text(json.dumps(extra, indent=2) + "\n", encoding="utf-8")


def load(weights: str, device: str) -> tuple[EventNetwork, dict[str, Any]]:
    """Read what `save` wrote; nothing is executed and nothing fetched.

    Raises:
        UsageError: there is no such folder, or it holds something else.
    """
    folder = expanded(weights).resolve()
    wanted = f"wanted a folder that a trained {NAME} was saved to: harness run --save-models, or save(folder)"
    for name in ("config.json", "model.safetensors", EXTRA):
        if not (folder / name).is_file():
            raise UsageError(f"{NAME}: weights got {weights!r}, where there is no file {folder / name}; {wanted}")
    stored, extra = read_object(folder / "config.json", NAME), read_object(folder / EXTRA, NAME)
    if stored.get("architectures") != [NAME]:
        raise UsageError(f"{NAME}: {folder / 'config.json'} is of {stored.get('architectures')}; {wanted}")
    try:
        config = PatchTSTConfig.from_pretrained(folder, local_files_only=True)
        with seeded(0, "cpu"):
            network = EventNetwork(config, config.num_input_channels)
        network.load_state_dict(load_file(folder / "model.safetensors"))
    except Exception as error:
        raise UsageError(f"{NAME}: the weights in {folder} cannot be used: {type(error).__name__}: {str(error)[:500]}") from error
    return network.to(device), extra
