"""Threads of numeric libraries, for plugins: a result must not depend on how many there are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["one_thread"]


@contextmanager
def one_thread() -> Iterator[None]:
    """While this lasts, torch computes on one thread in the thread that asked; then it has as many as before. Also a decorator.

    With more threads torch divides a product, or a sum, at places that depend on their number, and the last bits of a training or a
    forecast with it. A run uses several cores by several workers (`--jobs`).
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
