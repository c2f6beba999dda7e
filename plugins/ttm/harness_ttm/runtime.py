"""Which program runs the season-fold network: onnxruntime or torch.

The rule of `auto`, which looks at what is there and measures nothing:

1. onnxruntime, where it is installed, the folder has model.onnx and the device is the CPU;
2. else torch.

Why a rule and no timing: the two differ in the last digits (2e-6 of the scaled values), so what decides between them decides the numbers.
Installed packages change when someone changes them. A timing comes out otherwise on a busy machine, and if it were kept in the cache, the
numbers would depend on a file that anyone may delete. There is little to win either: on one thread onnxruntime takes 0.6 to 1.0 of torch's
time (benchmarks/ttm_runtime.py), and importing torch takes longer than a thousand forecasts. Who knows better says runtime=torch, which is
part of the result's identity. The name that comes back has the version; it belongs into the model's notes, and so into the receipt.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import PluginError, UsageError, suggest
from harness_ttm.cards import ONNX, TORCH
from harness_ttm.forecaster import Network, torch_network

if TYPE_CHECKING:
    from harness_ttm.forecaster import F32

__all__ = ["RUNTIMES", "choose_network", "pick_runtime", "torch_runtime"]

RUNTIMES = ("auto", "torch", "onnx")


def choose_network(folder: Path, runtime: str = "auto", device: str = "cpu", threads: int | None = None) -> tuple[Network, str]:
    """The network of a folder with config.json, model.safetensors and perhaps model.onnx, and what runs it: "onnxruntime 1.32.0".

    Args:
        folder: the weights.
        runtime: auto, torch or onnx.
        device: cpu, or what torch calls another one: cuda.
        threads: of onnxruntime, see `harness_ttm.onnx_network`.

    Raises:
        UsageError: there is no such runtime, or it does not run on the device.
        PluginError: the runtime is not installed.
        ValueError: the files are missing, damaged, or do not fit each other.
    """
    if pick_runtime(folder, runtime, device) == "onnx":
        from harness_ttm.onnx_network import onnx_network

        return onnx_network(folder, threads), f"onnxruntime {sys.modules['onnxruntime'].__version__}"
    return torch_runtime(folder, device), f"torch {sys.modules['torch'].__version__}" + (f" on {device}" if device != "cpu" else "")


def pick_runtime(folder: Path, runtime: str = "auto", device: str = "cpu") -> str:
    """`onnx` or `torch`, by the rule above. Imports neither."""
    if runtime not in RUNTIMES:
        raise UsageError(f"runtime is {runtime!r}; wanted auto, torch or onnx.{suggest(runtime, RUNTIMES)}")
    if runtime == "onnx" and device != "cpu":
        raise UsageError(f"runtime=onnx runs on the CPU and device is {device!r}; use runtime=torch or device=cpu")
    if runtime != "auto":
        return runtime
    drawn = (folder / "model.onnx").is_file()
    if drawn and device == "cpu" and _installed("onnxruntime"):
        return "onnx"
    if _installed("torch"):
        return "torch"
    if drawn and device == "cpu":
        raise PluginError(f"neither onnxruntime nor torch is installed, and the model needs one of them. Type: {ONNX}")
    why = f"device is {device!r}" if device != "cpu" else f"{folder} has no model.onnx"
    raise PluginError(f"torch is not installed and {why}, so nothing else can run the model. Type: {TORCH}")


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def torch_runtime(folder: Path, device: str = "cpu") -> Network:
    """The network on torch; on the CPU one thread at a time, since with three threads the bits of a row depended on its place.

    Raises:
        PluginError: torch or safetensors is not installed.
        UsageError: torch does not have the device.
        ValueError: the weights cannot be read.
    """
    try:
        import torch  # noqa: F401 - says what is missing

        from harness_ttm.season_weights import load

        model = load(folder)
    except ModuleNotFoundError as error:
        raise PluginError(f"runtime=torch needs the package {error.name!r}, which is not installed. Type: {TORCH}") from None
    try:
        network = torch_network(model, device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: torch without CUDA
        raise UsageError(f"torch cannot use device {device!r}: {str(error).splitlines()[0]}; use device=cpu") from None
    if device != "cpu":
        return network
    alone = _OneThread()

    def run(arrays: dict[str, F32]) -> F32:
        with alone:
            return network(arrays)

    return run


class _OneThread:
    """While anyone is inside, torch computes on one thread; training beside it, before or after, has all that it had."""

    def __init__(self) -> None:
        self.lock, self.inside, self.before = threading.Lock(), 0, 1

    def __enter__(self) -> None:
        import torch

        with self.lock:
            if not self.inside:
                self.before = torch.get_num_threads()
            self.inside += 1
            torch.set_num_threads(1)  # each thread has a number of its own

    def __exit__(self, *_: Any) -> None:
        import torch

        with self.lock:
            self.inside -= 1
            if not self.inside:
                torch.set_num_threads(self.before)
