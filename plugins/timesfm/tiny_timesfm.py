"""Small networks with random weights, made by the libraries' own classes and written as the libraries write them; for tests and timings."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import timesfm3
import torch
from timesfm.timesfm_2p5 import timesfm_2p5_torch
from timesfm.timesfm_2p5.timesfm_2p5_base import TimesFM_2p5_200M_Definition

MODULE = timesfm_2p5_torch.TimesFM_2p5_200M_torch_module


def definition(width: int = 16, layers: int = 2, heads: int = 2, quantile_steps: int = 256) -> Any:
    """Sizes of a small TimesFM 2.5."""
    usual = TimesFM_2p5_200M_Definition()
    stack = usual.stacked_transformers
    transformer = dataclasses.replace(stack.transformer, model_dims=width, hidden_dims=2 * width, num_heads=heads)
    spread = dataclasses.replace(usual.output_projection_quantiles, input_dims=width, hidden_dims=width, output_dims=10 * quantile_steps)
    return dataclasses.replace(
        usual,
        output_quantile_len=quantile_steps,
        tokenizer=dataclasses.replace(usual.tokenizer, hidden_dims=width, output_dims=width),
        stacked_transformers=dataclasses.replace(stack, num_layers=layers, transformer=transformer),
        output_projection_point=dataclasses.replace(usual.output_projection_point, input_dims=width, hidden_dims=width),
        output_projection_quantiles=spread,
    )


@contextlib.contextmanager
def sized(sizes: Any) -> Iterator[None]:
    """The library's class with these sizes, which it takes from a class attribute."""
    before = MODULE.config
    MODULE.config = sizes
    try:
        yield
    finally:
        MODULE.config = before


def lively(module: Any, std: float = 0.3) -> Any:
    """Random weights all over: those that the library begins with are zeros in its norms, and all forecasts alike."""
    for value in module.parameters():
        torch.nn.init.normal_(value, std=std)
    return module


def write_25(folder: Path, seed: int = 0, std: float = 0.3, sizes: Any = None) -> Any:
    """Write config.json and model.safetensors of a small TimesFM 2.5; returns the library's model."""
    with torch.random.fork_rng(), sized(definition() if sizes is None else sizes):
        torch.manual_seed(seed)
        made = timesfm_2p5_torch.TimesFM_2p5_200M_torch(torch_compile=False)
        lively(made.model, std)
        made.save_pretrained(folder)
    return made


def read_25(folder: Path, sizes: Any = None) -> Any:
    """A small TimesFM 2.5, by the library's own loader."""
    with sized(definition() if sizes is None else sizes):
        return timesfm_2p5_torch.TimesFM_2p5_200M_torch.from_pretrained(str(folder), torch_compile=False)


def write_3(folder: Path, seed: int = 0, width: int = 16) -> Any:
    """Write config.json and model.safetensors of a small TimesFM 3.0."""
    block = timesfm3.ResidualBlockConfig(hidden_dims=width, output_dims=width, use_bias=False, activation="relu")
    transformer = timesfm3.TransformerConfig(
        model_dims=width,
        hidden_dims=width,
        num_heads=2,
        attention_norm="rms",
        feedforward_norm="rms",
        qk_norm="rms",
        use_bias=False,
        use_rope_seq=True,
        use_rope_var=True,
        ff_activation="relu",
        deterministic=True,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        stack = timesfm3.StackedTransformersConfig(num_layers=2, transformer=transformer)
        made = timesfm3.TimesFM3Torch(residual_block_config=block, transformer_config=stack)
        lively(made)
        made.save_pretrained(folder)
    return made
