"""Running a network so that the bits of a result depend on nothing but its window: a fixed number of rows at a time, on one thread."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from harness import UsageError
from harness.threads import one_thread
from harness_ttm.quick import quick

__all__ = ["ROWS", "in_chunks", "on_device"]

Network = TypeVar("Network", bound=nn.Module)
ROWS = 32
"""Rows at a time of a network that does not say it itself (`rows`)."""


def on_device(network: Network, device: str) -> Network:
    """The network, moved.

    Raises:
        UsageError: torch does not have the device.
    """
    try:
        return network.to(device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch without CUDA
        raise UsageError(f"torch cannot use device {device!r}: {str(error).splitlines()[0]}; use device=cpu") from None


def in_chunks(network: Callable[..., Any], *inputs: Tensor | None, rows: int | None = None) -> Any:
    """Run a network without gradients on a fixed number of rows at a time; what is missing of the last group is filled with zeros.

    So each product of matrices has the same shapes, and a row's result the same bits, whatever stands beside it; and what the
    network works on stays in the cache.

    Args:
        network: called with the rows of each input; returns a tensor or a tuple of tensors (or None), the rows first.
        inputs: tensors with N rows each, or None, which is passed on.
        rows: how many at a time; None is what the network's attribute `rows` says. A call with fewer costs as much as one with so many;
            where bits may depend on the batch, call the network itself.
    """
    rows = rows or int(getattr(network, "rows", ROWS))
    count = max(len(x) for x in inputs if x is not None)
    parts = []
    with ExitStack() as stack:
        stack.enter_context(one_thread())
        stack.enter_context(torch.inference_mode())
        if isinstance(network, nn.Module):
            stack.enter_context(quick(network))
        for low in range(0, max(count, 1), rows):
            some = [None if x is None else _rows(x, low, rows) for x in inputs]
            parts.append(network(*some))
        first = parts[0]
        if isinstance(first, Tensor):
            return torch.cat(parts)[:count]
        joined = [None if x[0] is None else torch.cat(x)[:count] for x in zip(*parts, strict=True)]
        return type(first)(*joined) if hasattr(first, "_fields") else tuple(joined)


def _rows(x: Tensor, low: int, rows: int) -> Tensor:
    """A copy of some rows: memory of its own, since the bits of a product can depend on where its input begins."""
    part = x.new_zeros(rows, *x.shape[1:])
    part[: len(x) - low] = x[low : low + rows]
    return part
