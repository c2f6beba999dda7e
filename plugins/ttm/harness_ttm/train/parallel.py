"""Several processes that train one network, as `torchrun` starts them: sums over them, and one answer for all."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from harness import UsageError

__all__ = ["agree", "join", "leave", "sum_gradients"]


def join(device: str) -> tuple[int, int, str]:
    """(rank, world, device) from RANK, WORLD_SIZE and LOCAL_RANK; (0, 1, device) where these are not set.

    The processes meet through gloo on CPUs and nccl on GPUs; on GPUs each takes the one of its local rank.

    Raises:
        UsageError: there is no such device.
    """
    if device != "cpu" and not device.startswith("cuda"):
        raise UsageError(f"got --device {device}; wanted cpu, cuda or cuda:N")
    if device != "cpu" and not torch.cuda.is_available():
        raise UsageError(f"got --device {device}, and torch {torch.__version__} finds no CUDA device; wanted --device cpu")
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        return 0, 1, device
    import torch.distributed as dist

    rank = int(os.environ["RANK"])
    if device != "cpu":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    dist.init_process_group("gloo" if device == "cpu" else "nccl")
    return rank, world, device


def leave(world: int) -> None:
    """Part from the other processes."""
    if world > 1:
        import torch.distributed as dist

        dist.destroy_process_group()


def sum_gradients(parameters: Iterable[nn.Parameter], *more: float) -> list[float]:
    """Sum all gradients over the processes in place, and further numbers, which are returned."""
    import torch.distributed as dist

    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([g.reshape(-1) for g in gradients] + [gradients[0].new_tensor(more)])
    dist.all_reduce(flat)
    at = 0
    for g in gradients:
        g.copy_(flat[at : at + g.numel()].view_as(g))
        at += g.numel()
    return [float(x) for x in flat[at:]]


def agree(value: Any, world: int) -> Any:
    """Rank 0's value, on every process."""
    if world == 1:
        return value
    import torch.distributed as dist

    box = [value]
    dist.broadcast_object_list(box, src=0)
    return box[0]
