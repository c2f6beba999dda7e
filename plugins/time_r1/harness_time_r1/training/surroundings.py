"""What a training needs around it: packages, one device, streams of random numbers of its own, no remarks of libraries, signals."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import version
from types import FrameType

import numpy as np

from harness import UsageError
from harness.interrupt import handlers
from harness.parameters import check_device, check_gpu
from harness.threads import one_thread
from harness_time_r1.language_model import quiet

__all__ = ["PACKAGES", "TRL", "check", "check_trl", "stopping", "surroundings"]

PACKAGES = ("torch", "transformers", "trl", "peft", "datasets", "accelerate")
TRL = ((1, 15), (1, 17))
"""From which version of trl on, and below which, its parts are as GRIP needs them; as in pyproject.toml."""


def check(name: str, device: str, *, rank: int, dtype: str) -> None:
    """Refuse, before anything is read, what cannot be done here.

    Args:
        rank: of the low-rank factors; 0 = all weights are trained.
        dtype: what the weights are held in.

    Raises:
        UsageError: a package is missing, there are several processes, there is not one such device, or steps would be lost to rounding.
    """
    import importlib.util

    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise UsageError(f"{name}: training needs the package {package}: pip install 'harness-time-r1[train]'")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise UsageError(f"{name}: trains in one process; got WORLD_SIZE={os.environ['WORLD_SIZE']}: start it without torchrun")
    if not rank and dtype != "float32":
        raise UsageError(f"{name}: got rank 0 and dtype {dtype}, in which small steps are rounded away; wanted float32, or factors: rank=8")
    if check_device(name, device) == "cpu":
        return
    import torch

    check_gpu(name, device)
    if device not in ("cuda", "cuda:0") or torch.cuda.device_count() > 1:  # trl takes the first that there is
        raise UsageError(f"{name}: got device {device} and {torch.cuda.device_count()} GPUs; wanted cuda, and one: CUDA_VISIBLE_DEVICES=0")


def check_trl(name: str) -> None:
    """Refuse a trl whose private methods are not those that the training overrides. Nothing heavy is imported.

    Raises:
        UsageError: it is another version than `TRL`.
    """
    got = version("trl")
    if not TRL[0] <= tuple(int(part) for part in re.findall("[0-9]+", got)[:2]) < TRL[1]:
        least, below = (".".join(map(str, bound)) for bound in TRL)
        wanted = f"trl>={least},<{below}"
        raise UsageError(f"{name}: got trl {got}; wanted {wanted}, whose inner parts the training is written for: pip install '{wanted}'")


@contextlib.contextmanager
def surroundings(device: str) -> Iterator[None]:
    """One thread on a CPU, since the last bits depend on their number; random streams as before afterwards; no remarks of libraries."""
    import torch

    from harness_time_r1.sft.dataset import quiet as quiet_datasets

    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the libraries draw from it
    with contextlib.ExitStack() as stack:
        stack.enter_context(quiet())
        stack.enter_context(quiet_datasets())
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")  # what trl and transformers remark on their own defaults
        stack.enter_context(torch.random.fork_rng(devices=[torch.device(device)] if device != "cpu" else []))
        if device == "cpu":
            stack.enter_context(one_thread())
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)  # noqa: NPY002


@contextlib.contextmanager
def stopping(say: Callable[[str], None]) -> Iterator[Callable[[int], bool]]:
    """Ctrl-C and SIGTERM make what this returns true, and the training ends after its step; a second one ends it at once."""
    asked: list[int] = []

    def ask(signum: int, frame: FrameType | None) -> None:
        del frame
        if asked:
            raise KeyboardInterrupt
        asked.append(signum)
        # Not from within the handler: the stream may be locked by what was interrupted.
        threading.Thread(target=say, args=("stopping after this step; once more to stop at once, without a checkpoint",)).start()

    before = handlers(ask, signal.SIGINT, signal.SIGTERM)
    try:
        yield lambda _: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
