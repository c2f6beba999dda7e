"""Random draws of many windows in one call of a network, those of each window from its own seed.

A network that draws sample paths puts the S paths of each window on rows of its own, window after window, and asks torch for the draws of
all rows at once. `Draws` steps in at torch's functions that draw, and calls the same function for one window's rows after the other, each
with a generator of that window's seed. So what is drawn has the library's own distribution, and is to the bit what torch would have given
for that window alone after `torch.manual_seed(seed)`; nothing of it depends on the other windows.

What draws in any other way is not let pass unseen: an unknown layout of rows, or a global state that has moved, raises `Uncovered`.

Axes: N windows, S samples.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

__all__ = ["Draws", "Uncovered", "samples_of"]

ROWWISE: frozenset[Callable[..., Any]] = frozenset({torch.normal, torch._standard_gamma, torch.poisson, torch.multinomial})
"""Functions that draw for the rows of their tensors: of normal, gamma (of Student's t), negative binomial and discrete distributions."""
IN_PLACE: frozenset[Callable[..., Any]] = frozenset({torch.Tensor.normal_, torch.Tensor.uniform_})
"""Functions that fill a tensor: of Student's t and Laplace's distributions."""


class Uncovered(Exception):
    """The network draws in a way that cannot be taken apart by windows."""


class Draws(TorchFunctionMode):
    """While this lasts, torch draws for rows of windows, in this thread.

    Args:
        seeds: of the first windows of a call; windows beyond them are there to fill up, and get the draws of the first.
        windows: N, of each call.
        samples: S, rows of each window.
        device: where the network runs.

    Raises:
        Uncovered: while drawing, for tensors of other than N × S rows; at the end, if something drew from torch's global state.
    """

    def __init__(self, seeds: Sequence[int], windows: int, samples: int, device: Any = "cpu") -> None:
        super().__init__()
        self.windows, self.samples, self.device = windows, samples, torch.device(device)
        self.generators = [torch.Generator(self.device).manual_seed(seed % 2**63) for seed in seeds]
        self.states: list[torch.Tensor] = []

    def __enter__(self) -> Draws:
        self.states = self._global()
        super().__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        super().__exit__(kind, error, trace)
        if kind is None and not all(map(torch.equal, self.states, self._global())):
            raise Uncovered("something drew from torch's global state")

    def _global(self) -> list[torch.Tensor]:
        here = [] if self.device.type == "cpu" else [torch.cuda.get_rng_state(self.device)]
        return [torch.random.get_rng_state(), *here]

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None) -> Any:
        if func in ROWWISE:
            return self._rowwise(func, args, kwargs or {})
        if func in IN_PLACE:
            return self._in_place(func, args, kwargs or {})
        return func(*args, **(kwargs or {}))

    def _rowwise(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
        """Draw for each window; tensors among the positional arguments have N × S rows, as has the result."""
        if kwargs.keys() - {"replacement"} or not isinstance(args[0], torch.Tensor):
            raise Uncovered(f"{func.__name__} is called in another way")
        parts = [self._parts(each) if isinstance(each, torch.Tensor) else [each] * self.windows for each in args]
        of_each = zip(self.generators, zip(*parts, strict=True), strict=False)  # those that fill up have none
        drawn = [func(*some, **kwargs, generator=generator) for generator, some in of_each]
        return torch.cat(drawn + drawn[:1] * (self.windows - len(drawn)))

    def _in_place(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> torch.Tensor:
        """Fill the rows of each window."""
        whole: torch.Tensor = args[0]
        parts = self._parts(whole)
        if "generator" in kwargs:
            raise Uncovered(f"{func.__name__} is called in another way")
        for index, part in enumerate(parts):
            if index < len(self.generators):
                func(part, *args[1:], **kwargs, generator=self.generators[index])
            else:
                part.copy_(parts[0])
        return whole

    def _parts(self, tensor: torch.Tensor) -> Sequence[torch.Tensor]:
        """The rows of each window."""
        if not tensor.ndim or len(tensor) != self.windows * self.samples:
            raise Uncovered(f"a tensor of shape {tuple(tensor.shape)} for {self.windows} × {self.samples} rows")
        return tensor.split(self.samples)


def samples_of(network: Any) -> int | None:
    """How many paths a network of gluonts draws for each window; None = it does not say."""
    for module in network.modules():
        found = getattr(module, "num_parallel_samples", None)
        if isinstance(found, int):
            return found
    return None
