"""The shipped weights: where they lie, and what is known of them without reading them."""

from __future__ import annotations

import hashlib
import json
import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from harness.errors import PluginError

__all__ = ["INSTALL", "INSTALL_TORCH", "SHIPPED", "digest", "facts", "needs_torch", "write_facts"]

SHIPPED = Path(__file__).parent / "weights"
"""config.json, model.safetensors and model.onnx of the shipped model, with its card, recipe and curve."""
INSTALL = "pip install harness-ttm"
INSTALL_TORCH = "pip install 'harness-ttm[torch]'"


def facts() -> dict[str, Any]:
    """Parameters, history_length, corpora, and the digest that the files should have."""
    found: dict[str, Any] = json.loads((SHIPPED / "facts.json").read_text(encoding="utf-8"))
    return found


def digest() -> str:
    """sha256 over the files of the shipped model that decide its forecasts."""
    total = hashlib.sha256()
    for name in ("config.json", "model.onnx", "model.safetensors"):
        total.update((SHIPPED / name).read_bytes())
    return total.hexdigest()


def needs_torch(what: str = "this") -> None:
    """Raise `PluginError` where torch or safetensors is not installed. Imports neither."""
    if missing := [name for name in ("torch", "safetensors") if find_spec(name) is None]:
        packages = " and ".join(map(repr, missing))
        they = "package {}, which is" if len(missing) == 1 else "packages {}, which are"
        raise PluginError(f"{what} needs the {they.format(packages)} not installed. Type: {INSTALL_TORCH}, or make install in a clone")


def write_facts() -> None:
    """Write facts.json after the other files have changed: `python -m harness_ttm.shipped`."""
    from harness_ttm.config import read_config
    from harness_ttm.onnx_network import read_stored

    counts = [math.prod(tensor.shape) for tensor in read_stored(SHIPPED / "model.safetensors").values()]
    made = {
        "sha256": digest(),
        "parameters": sum(counts),
        "history_length": read_config(SHIPPED).history_length,
        "corpora": facts()["corpora"],
    }
    (SHIPPED / "facts.json").write_text(json.dumps(made) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write_facts()
