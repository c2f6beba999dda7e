"""The shipped weights: where they lie, and what is known of them without reading them."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

__all__ = ["ONNX", "SHIPPED", "TORCH", "digest", "facts"]

SHIPPED = Path(__file__).parent / "weights"
"""config.json, model.safetensors and model.onnx of the shipped model, with its card, recipe and curve."""
ONNX = "pip install harness-ttm"
TORCH = "pip install 'harness-ttm[torch]'"


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
