"""Test-time training: before a window is forecast, a small part of the network is tuned on that window's own context, then forgotten.

Axes: N windows of a batch, R windows tuned at once, M training windows of each, F future patches, P steps of a patch, Q levels, H horizon.

For each window of the batch, with a context that ends at t:

1. The newest H steps of the context are kept for the gate: origin t − H. Training windows have their origins at t − H − s, t − H − 2s, …;
   their labels end before the gate's begin. Fewer than `LEAST` origins in all, or a constant context: no tuning.
2. As many windows more are made from these: shifted in time, down-sampled, flipped, swollen, with noise. What is drawn comes from the
   window's own seed.
3. A part of the network (low-rank factors, biases, the head) is tuned by some steps of AdamW on all of them.
4. Gate: of the blends (1 − w) · bare + w · tuned, w in {0, ¼, ½, ¾, 1}, the one with the least loss on the newest H steps. Its mean gain
   must be above its standard error over these steps (neighbouring steps are alike, and it reckons with that), else w = 0: the bare
   forecast, bit for bit.
5. The forecast from the whole context is the blend of both networks' outputs. What was tuned is thrown away.

Nothing at or after t is in a batch, and no window sees another one. R windows are tuned at once, each with parameters of its own (`vmap`
over them), R the same whatever the batch, and torch
has one thread; so what is tuned is the same bits beside any other windows. The network's weights never change.

Sources: Sun et al. 2020 (arXiv 1909.13231); the resets and leave-one-out tasks are those of Akyürek et al. 2024 (arXiv 2411.07279).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call, vmap

from harness import Batch, Forecast, Unsupported, UsageError
from harness.threads import one_thread
from harness_ttm.adapt.gate import gate
from harness_ttm.adapt.parts import choose
from harness_ttm.adapt.problem import Arrays, SeasonProblem, Tail
from harness_ttm.adapt.windows import Augmentation, augment, cut, thinned_hints
from harness_ttm.config import TTMConfig
from harness_ttm.forecaster import BUCKETS, INPUTS, ROWS, Network, SeasonForecaster, torch_network
from harness_ttm.part import is_rate, parse_part
from harness_ttm.season_head import SeasonTTM
from harness_ttm.seasons import HINTS, hints_of
from harness_ttm.train.losses import quantile_loss
from harness_ttm.train.windows import Windows

__all__ = ["Adapted", "TTTForecaster"]

F32 = NDArray[np.float32]
I64 = NDArray[np.int64]
DEFAULT = "lora:4:decoder|head"
LEAST = 3  # origins, that of the gate among them; and observed steps of the gate


@dataclass
class Own:
    """What one window of a batch is tuned on."""

    row: int
    training: Arrays  # [M, …]
    gate: Arrays  # [1, …]


@dataclass
class Adapted:
    """What was tuned for some windows of a batch."""

    rows: I64  # [r ≤ R] which windows
    factors: dict[str, Tensor]  # [R, …] parameters of each, by name
    weight: F32  # [r] of the tuned network in the blend
    gain: F32  # [r] by which the blend's loss on the newest steps is below the bare network's; 0 where w is 0


class TTTForecaster:
    """Forecasts with a season-fold network that is tuned on each window's own context.

    Args:
        model: the network; it is copied.
        config: its configuration.
        part: what is tuned, see `harness_ttm.adapt.parts`: lora:4 to lora:8, bias, or head; "" is lora:4:decoder|head. Where it leaves the
            backbone alone, the backbone looks at each training window once, not once per step.
        steps, lr, weight_decay, clip: of AdamW; the rate falls in a straight line to 0; `clip` is the largest norm of a window's gradient.
        origins: at most so many training windows per window; as many made ones are added.
        stride: s, steps between origins; None: what spreads them over the context, a quarter of H to H.
        min_context: history that the oldest training window has at least; None: H, at least 16.
        patches: future patches per training window, drawn where the horizon has more.
        margin: standard errors by which a blend must be better.
        time_limit: seconds for all batches; windows that are left then have the bare forecast, and the notes count them. Forecasts are
            not reproducible when it is reached.
        memory_limit: MiB that tuning may take, about; decides how many windows are tuned at once.

    `notes` are totals over all batches: seconds, steps, trainable parameters per window, what became of the windows.
    """

    def __init__(
        self,
        model: SeasonTTM,
        config: TTMConfig,
        part: str = "",
        steps: int = 10,
        lr: float = 1e-3,
        *,
        weight_decay: float = 0.01,
        clip: float = 1.0,
        origins: int = 8,
        stride: int | None = None,
        min_context: int | None = None,
        patches: int = 4,
        margin: float = 1.0,
        augmentation: Augmentation | None = None,
        time_limit: float | None = None,
        memory_limit: float = 1024.0,
    ) -> None:
        if not isinstance(model, SeasonTTM):
            raise UsageError(f"got a {type(model).__name__} for test-time training; wanted a SeasonTTM")
        for name, value, least in (("steps", steps, 1), ("origins", origins, LEAST - 1), ("patches", patches, 1)):
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise UsageError(f"got {name} {value!r} for test-time training; wanted a whole number of at least {least}")
        if not is_rate(lr):
            raise UsageError(f"got lr {lr!r} for test-time training; wanted a number above 0, as in 0.001")
        self.part, self.config = parse_part(part or DEFAULT), config
        self.steps, self.lr, self.weight_decay, self.clip = steps, lr, weight_decay, clip
        self.origins, self.stride, self.min_context, self.patches, self.margin = origins, stride, min_context, patches, margin
        self.augmentation = augmentation or Augmentation()
        self.time_limit, self.memory_limit = time_limit, memory_limit
        self.bare = copy.deepcopy(model).eval()
        self.device = next(self.bare.parameters()).device
        self.network = torch_network(self.bare, str(self.device))
        self.forecaster = SeasonForecaster(self.network, config)
        self.levels = torch.tensor(config.quantile_levels, device=self.device)
        self.model = copy.deepcopy(model).eval()  # with factors, where the part is lora
        with torch.random.fork_rng(devices=[]):
            self.names = choose(self.model, self.part)
        self.start = {name: p.detach() for name, p in self.model.named_parameters() if name in set(self.names)}
        self.model.requires_grad_(False)
        self.tail = None if any(name.startswith("backbone.") for name in self.names) else Tail(self.model)
        self._sizes: dict[int, int] = {}  # R by number of future patches
        self._counts = {"windows": 0, "too short or constant": 0, "rejected": 0, "adapted": 0, "out of time": 0}
        self._seconds, self._steps, self._weight = 0.0, 0, 0.0
        self.notes: dict[str, object] = {}

    def _note(self) -> None:
        """What was done so far."""
        windows = max(self._counts["windows"], 1)
        self.notes |= {
            "ttt part": str(self.part),
            "ttt trainable parameters": sum(p.numel() for p in self.start.values()),
            "ttt seconds": round(self._seconds, 3),
            "ttt steps": self._steps,
            "ttt share adapted": round(self._counts["adapted"] / windows, 4),
            "ttt mean weight": round(self._weight / windows, 4),
        }
        self.notes |= {f"ttt {name}": count for name, count in self._counts.items()}
        if self._counts["out of time"]:
            self.notes["reproducible"] = "no: the time limit was reached"

    @one_thread()
    def predict(self, batch: Batch) -> Forecast:
        """Quantiles [N, Q, H] in the unit of the context."""
        begun = time.perf_counter()
        bare = self.forecaster.predict(batch)
        values = bare.values.copy()
        contexts, hints = list(batch), hints_of(batch.freq, batch.season_length)
        for adapted in self.adapt(batch):
            used = np.flatnonzero(adapted.weight > 0)
            self._counts["adapted"] += len(used)
            self._counts["rejected"] += len(adapted.rows) - len(used)
            self._weight += float(adapted.weight.sum())
            if len(used):
                rows = adapted.rows[used]
                blend = SeasonForecaster(self._blend(adapted, used), self.config)
                values[rows] = blend.quantiles([contexts[i] for i in rows], batch.horizon, hints)
        self._counts["windows"] += len(batch)
        self._seconds += time.perf_counter() - begun
        self._note()
        assert bare.levels is not None
        return Forecast.from_quantiles(values, bare.levels)

    def adapt(self, batch: Batch) -> Iterator[Adapted]:
        """Tune, at most R windows at a time, those with contexts of about one length together. What cannot be tuned is left out."""
        problem = SeasonProblem(self.config, batch.horizon)
        hints = hints_of(batch.freq, batch.season_length)
        most = self.config.history_length
        width = np.minimum(np.take((*BUCKETS, most), np.searchsorted(BUCKETS, batch.contexts.lengths)), most)
        end = None if self.time_limit is None else time.perf_counter() + self.time_limit - self._seconds
        left = len(batch)
        for w in np.unique(width):
            group: list[Own] = []
            rows = np.flatnonzero(width == w)
            for row in rows:
                if end is not None and time.perf_counter() > end:
                    self._counts["out of time"] += left
                    return
                own = self._windows(int(row), batch.contexts[int(row)], int(w), int(batch.seeds[row]), problem, hints)
                if own is None:
                    left -= 1
                    self._counts["too short or constant"] += 1
                else:
                    group.append(own)
                if group and (len(group) == self._group_size(problem) or row == rows[-1]):
                    tuned = self._tune(group, self._group_size(problem), batch.seeds, end)
                    if tuned is None:
                        self._counts["out of time"] += left
                        return
                    left -= len(group)
                    group = []
                    yield tuned

    def _windows(self, row: int, context: F32, width: int, seed: int, problem: SeasonProblem, hints: I64) -> Own | None:
        """The training windows and the gate of one context, made from it and its seed alone; None where it does not suffice."""
        rng = np.random.default_rng(seed)
        horizon = problem.horizon
        seen = np.flatnonzero(np.isfinite(context))
        begin = int(seen[0]) if len(seen) else len(context)
        gate = len(context) - horizon
        shortest = max(horizon, 16) if self.min_context is None else self.min_context
        room = gate - begin - shortest  # from the gate's origin back to the oldest
        stride = self.stride or int(np.clip(room // self.origins, max(1, -(-horizon // 4)), horizon))
        count = min(self.origins, room // stride)
        if count < LEAST - 1:
            return None
        origin = np.full(2 * self.origins, begin, np.int64)  # those beyond `count` stay empty: the shapes are the same for all
        limit, every = np.full_like(origin, begin), np.ones_like(origin)
        origin[:count] = gate - stride * np.arange(1, count + 1)
        made = slice(self.origins, None)
        origin[made] = rng.choice(origin[:count], self.origins) - rng.integers(0, stride, self.origins)
        every[made] += (rng.random(self.origins) < self.augmentation.thin) & (origin[made] - begin >= 2 * shortest)
        limit[:count] = np.minimum(origin[:count] + horizon, gate)
        limit[made] = np.minimum(origin[made] + every[made] * horizon, gate)
        y = cut(context, np.full_like(origin, begin), origin, limit, width, problem.ahead, every)
        y[made] = augment(y[made], width, self.augmentation, rng)
        training = problem.arrays(Windows(y, width, thinned_hints(hints, every)), rng, self.patches)
        place = np.array([begin], np.int64)
        y = cut(context, place, place * 0 + gate, place * 0 + len(context), width, problem.ahead)
        newest = problem.arrays(Windows(y, width, hints[None]), rng, problem.count)
        labelled = (training["target_mask"][: self.origins].sum(dim=(1, 2)) > 0).sum()
        if labelled < LEAST - 1 or newest["target_mask"].sum() < LEAST:
            return None
        return Own(row, training, newest)

    def _tune(self, group: list[Own], size: int, seeds: NDArray[np.uint64], end: float | None) -> Adapted | None:
        """Tune on a group, in R = `size` rows, and let the gate decide; None where time ran out."""
        rows = np.array([own.row for own in group])
        training = _stacked([own.training for own in group], size, self.device)
        parameters = {name: value.requires_grad_() for name, value in self._start(seeds[rows], size).items()}
        optimizer = torch.optim.AdamW(list(parameters.values()), lr=self.lr, weight_decay=self.weight_decay, foreach=False)
        inputs = self._inputs(training)
        target, mask = training["target"].flatten(0, 1), training["target_mask"].flatten(0, 1)  # [R·M, F, P]
        there = (mask.sum(dim=(1, 2)) > 0).view(size, -1)  # [R, M]
        for step in range(self.steps):
            if end is not None and time.perf_counter() > end:
                return None
            optimizer.param_groups[0]["lr"] = self.lr * (1 - step / self.steps)
            output = self._output(parameters, inputs).flatten(0, 1)  # [R·M, F, P, Q]
            each = quantile_loss(output, target, mask, self.levels).view(size, -1)
            loss = (each * there).sum(dim=1) / there.sum(dim=1).clamp(min=1)  # [R]
            for parameter, gradient in zip(parameters.values(), self._clipped(loss, list(parameters.values())), strict=True):
                parameter.grad = gradient
            optimizer.step()
        self._steps += self.steps * len(group)
        tuned = {name: value.detach() for name, value in parameters.items()}
        weight, gain = self._gate(tuned, _stacked([own.gate for own in group], size, self.device))
        return Adapted(rows, tuned, weight[: len(group)], gain[: len(group)])

    def _start(self, seeds: NDArray[np.uint64], size: int) -> dict[str, Tensor]:
        """Where tuning starts, [R, …] of each parameter: the network's own values; random and zero factors where the part is lora."""
        out = {name: value.expand(size, *value.shape).clone() for name, value in self.start.items()}
        first = {name: value for name, value in out.items() if ".lora_A." in name}
        for name in first:
            out[name.replace("lora_A", "lora_B")].zero_()
        for i, seed in enumerate(seeds.tolist()):
            rng = np.random.default_rng([seed, 1])
            for value in first.values():
                bound = value.shape[2] ** -0.5
                value[i] = torch.from_numpy(rng.uniform(-bound, bound, value.shape[1:]).astype(np.float32))
        return out

    def _inputs(self, arrays: Arrays) -> list[Tensor]:
        """Inputs [R, M, …] of the network that is tuned; where that is the tail alone, what the backbone has seen instead of the values."""
        inputs = [arrays[name] for name in INPUTS]
        if self.tail is None:
            return inputs
        with torch.no_grad():
            seen = self.bare.backbone(*(x.flatten(0, 1)[:, :, None] for x in inputs[:2]))  # [R·M, 1, n, D]
        return [seen.unflatten(0, inputs[0].shape[:2]), *inputs[2:]]

    def _output(self, parameters: dict[str, Tensor], inputs: list[Tensor]) -> Tensor:
        """[R, M, F, P, Q] of R networks, inputs [R, M, …]."""
        network: nn.Module = self.tail or self.model

        def one(own: dict[str, Tensor], *x: Tensor) -> Tensor:
            output: Tensor = functional_call(network, own, x)
            return output

        with torch.enable_grad():  # without it the network works in place, which vmap cannot; where nothing needs a gradient none is kept
            output: Tensor = vmap(one)(parameters, *inputs)
        return output

    def _clipped(self, loss: Tensor, parameters: list[Tensor]) -> list[Tensor]:
        """Gradients [R, …] of each, those of one window together no longer than `clip`. One that is no number counts as 0."""
        gradients = [torch.nan_to_num(g, 0.0, 0.0, 0.0) for g in torch.autograd.grad(loss.sum(), parameters)]  # rows do not meet in the sum
        length = torch.stack([g.flatten(1).square().sum(dim=1) for g in gradients]).sum(dim=0).sqrt()  # [R]
        share = self.clip / length.clamp(min=self.clip)
        return [g * share.view(-1, *[1] * (g.ndim - 1)) for g in gradients]

    def _gate(self, parameters: dict[str, Tensor], arrays: Arrays) -> tuple[F32, F32]:
        """Weight and gain [R], see `harness_ttm.adapt.gate`."""
        with torch.no_grad():
            bare = self.bare(*(arrays[name][:, 0] for name in INPUTS)).flatten(1, 2)  # [R, S, Q]
        tuned = self._output(parameters, self._inputs(arrays))[:, 0].flatten(1, 2)
        target, mask = (arrays[name][:, 0].flatten(1) for name in ("target", "target_mask"))  # [R, S]
        bare, tuned, target, mask, levels = (x.double().cpu().numpy() for x in (bare, tuned, target, mask, self.levels))
        return gate(bare, tuned, target, mask, levels, self.margin)

    def _blend(self, adapted: Adapted, used: I64) -> Network:
        """The blend as a network whose first rows are the windows `used` of those adapted; the other rows are padding."""
        k, size = len(used), len(next(iter(adapted.factors.values())))
        index = np.zeros(size, np.int64)  # R rows again, so that the bits are the same
        index[:k] = used
        factors = {name: f[torch.from_numpy(index)] for name, f in adapted.factors.items()}
        weight = adapted.weight[used][:, None, None, None]

        def run(arrays: dict[str, F32]) -> F32:
            out = self.network(arrays).copy()  # [rows, F, P, Q]
            own = {name: torch.from_numpy(_rows(arrays[name], size)).to(self.device)[:, None] for name in INPUTS}
            tuned = self._output(factors, self._inputs(own))[:k, 0].cpu().numpy()
            blended = out[:k] + weight * (tuned - out[:k])
            out[:k] = np.where(np.isfinite(blended), blended, out[:k])
            return out

        return run

    def _group_size(self, problem: SeasonProblem) -> int:
        """R: the largest power of two up to `ROWS` whose tuning fits `memory_limit`. A function of network, settings and horizon alone.

        Raises:
            Unsupported: not even one window fits.
        """
        if problem.count not in self._sizes:
            n, detail = 2 * self.origins, self.config.context_length
            empty = Windows(np.full((n, detail + problem.ahead), np.nan, np.float32), detail, np.zeros((n, HINTS), np.int64))
            need = self._bytes(problem.arrays(empty, np.random.default_rng(0), self.patches), problem.count)
            size = ROWS
            while size > 1 and size * need > self.memory_limit * 2**20:
                size //= 2
            if size * need > self.memory_limit * 2**20:
                wanted = f"wanted a memory_limit of at least {need / 2**20:.0f} MiB, or a smaller part than {self.part}"
                raise Unsupported(f"test-time training of one window takes about {need / 2**20:.0f} MiB; {wanted}")
            self._sizes[problem.count] = size
        return self._sizes[problem.count]

    def _bytes(self, arrays: Arrays, count: int) -> float:
        """What tuning of one window takes, about: thrice what autograd keeps, which is measured; the rest comes and goes."""
        own = {name: value.clone().requires_grad_() for name, value in self.start.items()}
        arrays = {name: value.to(self.device) for name, value in arrays.items()}
        weights = {p.untyped_storage().data_ptr() for p in (*self.model.parameters(), *own.values())}
        kept: dict[int, int] = {}

        def keep(value: Tensor) -> Tensor:
            storage = value.untyped_storage()
            if storage.data_ptr() not in weights:
                kept[storage.data_ptr()] = storage.nbytes()
            return value

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
            inputs = self._inputs({name: value[None] for name, value in arrays.items()})
            output = functional_call(self.tail or self.model, own, tuple(x[0] for x in inputs))
            quantile_loss(output, arrays["target"], arrays["target_mask"], self.levels).sum()
        given = sum(value.nbytes for value in arrays.values()) * (1 + count / self.patches / len(arrays["z"]))
        return 3 * sum(kept.values()) + given + 5 * sum(p.nbytes for p in self.start.values())  # value, gradient, two moments, a copy


def _rows(array: F32, size: int) -> F32:
    """The first `size` rows, with rows of zeros where there are fewer."""
    return np.pad(array[:size], [(0, size - min(size, len(array)))] + [(0, 0)] * (array.ndim - 1))


def _stacked(parts: list[Arrays], size: int, device: torch.device) -> Arrays:
    """[R, …] of the arrays of r ≤ R windows; what is missing is 0, and so has no label."""
    out = {}
    for name, first in parts[0].items():
        out[name] = torch.zeros(size, *first.shape, device=device)
        for i, part in enumerate(parts):
            out[name][i] = part[name]
    return out
