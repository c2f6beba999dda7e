"""TimesFM 2.5 networks: read from a file of any size, and written as the library does. Imports torch and timesfm.

The library takes its sizes from a class attribute, and its config.json does not hold them. Here they are read off the shapes in the file,
so that a smaller or larger network of the same kind loads like the published one.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from timesfm.timesfm_2p5 import timesfm_2p5_torch
from timesfm.timesfm_2p5.timesfm_2p5_base import TimesFM_2p5_200M_Definition
from torch import Tensor

from harness import UsageError

__all__ = ["build", "clone", "definition_of", "load", "save"]

FILE = "model.safetensors"
Shapes = Mapping[str, tuple[int, ...]]


def definition_of(shapes: Shapes) -> Any:
    """The library's definition of a network whose weights have these shapes; what shapes do not tell is as published.

    That is: nine deciles and a mean, swish as activation, rotary positions, 16384 steps in all.

    Raises:
        KeyError, ValueError: they are not those of a TimesFM 2.5 network.
    """
    usual = TimesFM_2p5_200M_Definition()
    numbers = {int(name.split(".")[1]) for name in shapes if name.startswith("stacked_xf.")}
    layers = len(numbers)
    if numbers != set(range(layers)) or not layers:
        raise ValueError(f"layers stacked_xf.N with the numbers {sorted(numbers)}")
    patch2 = shapes["tokenizer.hidden_layer.weight"][1]
    first = "stacked_xf.0."
    inner, width = shapes[first + "ff0.weight"]
    (head,) = shapes[first + "attn.per_dim_scale.per_dim_scale"]
    channels = len(usual.quantiles) + 1
    outputs = {name: shapes[f"output_projection_{name}.output_layer.weight"][0] for name in ("point", "quantiles")}
    patch = patch2 // 2
    for what, size, unit in (
        ("a patch and its mask", patch2, 2),
        ("the width of attention, in heads", width, head),
        ("outputs of the point head, in channels", outputs["point"], channels),
        ("outputs of the quantile head, in channels", outputs["quantiles"], channels),
        ("steps of the point head, in patches", outputs["point"] // channels, patch),
    ):
        if size % unit or not size:
            raise ValueError(f"{what}: {size} is no multiple of {unit}")

    def block(name: str, usual_block: Any) -> Any:
        rows, columns = shapes[f"{name}.hidden_layer.weight"]
        out = shapes[f"{name}.output_layer.weight"][0]
        bias = f"{name}.hidden_layer.bias" in shapes
        return dataclasses.replace(usual_block, input_dims=columns, hidden_dims=rows, output_dims=out, use_bias=bias)

    transformer = dataclasses.replace(
        usual.stacked_transformers.transformer,
        model_dims=width,
        hidden_dims=inner,
        num_heads=width // head,
        qk_norm="rms" if first + "attn.query_ln.scale" in shapes else "none",
        use_bias=first + "ff0.bias" in shapes,
        fuse_qkv=first + "attn.qkv_proj.weight" in shapes,
    )
    return dataclasses.replace(
        usual,
        input_patch_len=patch,
        output_patch_len=outputs["point"] // channels,
        output_quantile_len=outputs["quantiles"] // channels,
        tokenizer=block("tokenizer", usual.tokenizer),
        stacked_transformers=dataclasses.replace(usual.stacked_transformers, num_layers=layers, transformer=transformer),
        output_projection_point=block("output_projection_point", usual.output_projection_point),
        output_projection_quantiles=block("output_projection_quantiles", usual.output_projection_quantiles),
    )


def build(definition: Any) -> Any:
    """The library's model with a network of these sizes on the device "meta": no memory is used, and no random number drawn."""
    sized = type("SizedModule", (timesfm_2p5_torch.TimesFM_2p5_200M_torch_module,), {"config": definition})
    with torch.device("meta"):
        library = timesfm_2p5_torch.TimesFM_2p5_200M_torch(torch_compile=False)
        library.model = sized()
    return library


def fitted(definition: Any, state: Mapping[str, Tensor], device: str) -> Any:
    """The library's model with these weights, which it takes over, on a device.

    The library itself takes the first GPU that it finds, and a batch for each GPU.
    """
    library = build(definition)
    library.model.load_state_dict(state, strict=True, assign=True)
    library.model.device, library.model.device_count = torch.device(device), 1
    library.model.to(library.model.device)
    library.model.eval()
    return library


def load(path: Path, device: str = "cpu") -> Any:
    """Read a folder with model.safetensors, or such a file; nothing is executed and nothing fetched.

    Args:
        path: absolute.

    Raises:
        UsageError: there is no such file, or it does not hold a TimesFM 2.5 network in the library's own layout.
    """
    file = path / FILE if path.is_dir() else path
    wanted = f"wanted {FILE} as the timesfm library writes it (save_pretrained), for example that of google/timesfm-2.5-200m-pytorch"
    if not file.is_file():
        raise UsageError(f"timesfm-2.5: there is no file {file}; {wanted}")
    try:
        read = load_file(file)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise UsageError(f"timesfm-2.5: {file} cannot be read as safetensors: {error}; {wanted}") from None
    try:
        definition = definition_of({name: tuple(value.shape) for name, value in read.items()})
        # Memory of their own: what is read may lie anywhere in the file, and the bits of a product can depend on where its input begins.
        return fitted(definition, {name: value.to(torch.float32, copy=True) for name, value in read.items()}, device)
    except torch.OutOfMemoryError:
        raise
    except (KeyError, ValueError, RuntimeError) as error:
        has = ", ".join(sorted(read)[:3])
        lines = " ".join(str(error).split())[:400]
        raise UsageError(
            f"timesfm-2.5: {file} is not of this model: {type(error).__name__}: {lines}; it has {len(read)} tensors: {has}, …; {wanted} "
            f"(transformers writes another layout)"
        ) from None


def clone(library: Any) -> Any:
    """The same network again, with weights of its own."""
    module = library.model
    state = {name: value.detach().clone() for name, value in module.state_dict().items()}
    return fitted(module.config, state, str(module.device))


def save(library: Any, folder: Path) -> None:
    """Write config.json and model.safetensors, which `load` reads; so does the library, where the sizes are the published ones."""
    state = {name: value.detach().contiguous().cpu() for name, value in library.model.state_dict().items()}
    save_file(state, folder / FILE, {"format": "pt"})
    (folder / "config.json").write_text(json.dumps({"torch_compile": False}) + "\n", encoding="utf-8")
