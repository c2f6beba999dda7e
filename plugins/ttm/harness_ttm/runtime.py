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
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import PluginError, UsageError, suggest
from harness_ttm.shipped import INSTALL, INSTALL_TORCH

if TYPE_CHECKING:
    from harness_ttm.forecaster import Network

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
        raise UsageError(f"runtime is {runtime!r}; wanted auto, torch or onnx.{suggest(str(runtime), RUNTIMES)}")
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
        raise PluginError(f"neither onnxruntime nor torch is installed, and the model needs one of them. Type: {INSTALL}")
    why = f"device is {device!r}" if device != "cpu" else f"{folder} has no model.onnx"
    raise PluginError(f"torch is not installed and {why}, so nothing else can run the model. Type: {INSTALL_TORCH}")


def _installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def torch_runtime(folder: Path, device: str = "cpu") -> Network:
    """The network on torch: `harness_ttm.forecaster.torch_network`.

    Raises:
        PluginError: torch or safetensors is not installed.
        UsageError: torch does not have the device, or the weights cannot be read.
    """
    try:
        import torch  # noqa: F401 - says what is missing

        from harness_ttm.forecaster import torch_network
        from harness_ttm.season_head import SeasonTTM
        from harness_ttm.weights import load

        model, _ = load(folder, SeasonTTM)
    except ModuleNotFoundError as error:
        raise PluginError(f"runtime=torch needs the package {error.name!r}, which is not installed. Type: {INSTALL_TORCH}") from None
    return torch_network(model, device)
